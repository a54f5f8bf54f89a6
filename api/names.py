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
#: what a client called, without the region that LocalStack's hosts begin with
_CALLED = re.compile(
    r"(?P<scheme>https?://)((?P<standard>sqs\.[a-z]{2}(-[a-z]+)+-\d\.)"
    r"|(?P<domain>([a-z]{2}(-[a-z]+)+-\d\.)?queue\.))?(?P<host>.+)"
)
#: a name of LocalStack's in the public DNS: it and all below it are 127.0.0.1
_LOOPBACK_NAME = "localhost.localstack.cloud"

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


def queue_url(base_url: str, key: QueueKey, *, default_region: str, shape: str = "auto") -> str:
    """The URL of a queue, in a shape that ``parse_queue_url`` understands.

    ``auto``: a queue of another region says so, for two queues must not share a URL.  The other
    shapes are those of LocalStack's ``SQS_ENDPOINT_STRATEGY``; ``dynamic`` is that of the host that
    was called.
    """
    path = f"{key.account}/{key.name}"
    called = _CALLED.fullmatch(base_url)
    if called is not None and (host := _host_for_prefixes(called["host"])) is not None:
        if shape == "standard" or (shape == "dynamic" and called["standard"]):
            return f"{called['scheme']}sqs.{key.region}.{host}/{path}"
        if shape == "domain" or (shape == "dynamic" and called["domain"]):
            region = "" if key.region == default_region else f"{key.region}."
            return f"{called['scheme']}{region}queue.{host}/{path}"
    if shape == "off" or (shape != "path" and key.region == default_region):
        return f"{base_url}/{path}"
    return f"{base_url}/queue/{key.region}/{path}"


def _host_for_prefixes(host: str) -> str | None:
    """What a region can be put before so that the name still leads here; None: nothing."""
    name, colon, port = host.rpartition(":") if re.search(r":\d+$", host) else (host, "", "")
    if name == "localhost" or name.startswith("127.") or name == "[::1]":
        return f"{_LOOPBACK_NAME}{colon}{port}"
    return None if name.startswith("[") or re.fullmatch(r"[\d.]+", name) else host
