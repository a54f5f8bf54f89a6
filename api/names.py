"""Queue URLs, both ways.  Pure: no request, no settings."""

import re
from functools import lru_cache
from typing import NamedTuple

from broker import QueueKey

_NAME = r"(?P<name>[^/?#]+)"
_PATHS = [
    re.compile(pattern)
    for pattern in (
        # LocalStack's "path" strategy, and ours for regions other than the default one
        rf"/queue/(?P<region>[a-z0-9-]+)/(?P<account>\d{{12}})/{_NAME}/?",
        # old ElasticMQ, GoAWS
        rf"/queue/{_NAME}/?",
        # AWS and nearly everybody else
        rf"/(?P<account>\d{{12}})/{_NAME}/?",
    )
]
#: hosts that tell the region: AWS, its legacy form, LocalStack's "standard" and "domain"
_REGION_HOSTS = (
    re.compile(r"sqs\.(?P<region>[a-z]{2}(-[a-z]+)+-\d)\..+"),
    re.compile(r"(?P<region>[a-z]{2}(-[a-z]+)+-\d)\.queue\..+"),
)
_BARE_NAME = re.compile(r"[A-Za-z0-9_.-]{1,80}")
_URL = re.compile(
    r"https?://(?P<host>\[[^]/?#]*\]|[^/?#:]*)(:\d*)?(?P<path>/[^?#]*)", re.IGNORECASE
)

#: longer ones are not worth remembering, and name no queue: some 400 is what hosts and names take
_URL_CHARACTERS_MAX = 1_024


class QueueReference(NamedTuple):
    """A queue as a client names it; None where that leaves it to the caller's own."""

    account: str | None
    region: str | None
    name: str


def queue_key(url: str, account: str, region: str) -> QueueKey | None:
    """The queue that a QueueUrl means to a caller of that account and region; None if none."""
    return _queue_key(url, account, region) if len(url) <= _URL_CHARACTERS_MAX else None


@lru_cache(maxsize=10_000)
def _queue_key(url: str, account: str, region: str) -> QueueKey | None:
    found = parse_queue_url(url)
    if found is None:
        return None
    return QueueKey(found.account or account, found.region or region, found.name)


def parse_queue_url(url: str) -> QueueReference | None:
    """The queue that a QueueUrl means, in every shape clients hold; None if it names none.

    Only the path counts, and a region in it or in the host: clients reach one server under many
    names (SQS reference 1.9, rivals section 3).  A bare queue name is accepted too.
    """
    match = _URL.fullmatch(url)
    if match is None:
        if url.startswith("/"):
            return _parse_path(url)
        return QueueReference(None, None, url) if _BARE_NAME.fullmatch(url) else None
    reference = _parse_path(match["path"])
    if reference is None or reference.region is not None:
        return reference
    for pattern in _REGION_HOSTS:
        host = pattern.fullmatch(match["host"].lower())
        if host is not None:
            return reference._replace(region=host["region"])
    return reference


def _parse_path(path: str) -> QueueReference | None:
    for pattern in _PATHS:
        match = pattern.fullmatch(path)
        if match is not None:
            found = match.groupdict()
            return QueueReference(found.get("account"), found.get("region"), found["name"])
    return None


def queue_url(base_url: str, key: QueueKey, *, default_region: str) -> str:
    """The URL of a queue; one of another region says so, for two queues must not share a URL."""
    if key.region == default_region:
        return f"{base_url}/{key.account}/{key.name}"
    return f"{base_url}/queue/{key.region}/{key.account}/{key.name}"
