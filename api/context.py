"""What a handler gets beside its request."""

import re
from typing import NamedTuple

from api.names import queue_key, queue_url
from broker import Broker, Caller, Hangup, QueueKey, partition
from broker.errors import AccessDenied, QueueDoesNotExist

_ARN_PARTS = 6

#: what a Host header may look like; anything else would end up in QueueUrls
_HOST = re.compile(r"[A-Za-z0-9._-]{1,253}(:\d{1,5})?|\[[0-9A-Fa-f:.]{2,45}\](:\d{1,5})?")


class Site(NamedTuple):
    """Where this server is, as far as answers tell."""

    region: str
    account: str
    public_url: str | None  # None: as the client calls it, by its Host header
    queue_urls: str = "auto"  # the setting of that name


def base_url(site: Site, scheme: str, host: bytes) -> str:
    """How the client reaches this server: as the site says, or by the request's Host header."""
    if site.public_url is not None:
        return site.public_url
    named = host.decode("latin-1")
    return f"{scheme}://{named if _HOST.fullmatch(named) else 'localhost'}"


def link_caller(account: str, default_region: str, arn: str) -> Caller:
    """Who follows a link.

    AWS's links name the region by their host.  Ours have one host for all, so the ARN says it.
    """
    parts = arn.split(":")
    region = (parts[3] if len(parts) >= _ARN_PARTS else "") or default_region
    return Caller(account, region, _root_arn(account, region), signed=False)


def _root_arn(account: str, region: str) -> str:
    return f"arn:{partition(region)}:iam::{account}:root"


class Context:
    """One call: who calls, by which headers, and the broker."""

    __slots__ = ("_headers", "_scheme", "_site", "account", "broker", "hangup", "region")

    def __init__(
        self,
        broker: Broker,
        site: Site,
        account: str,
        region: str,
        scheme: str,
        headers: dict[bytes, bytes],
        hangup: Hangup,
    ) -> None:
        self.broker = broker
        self.account = account
        self.region = region
        self.hangup = hangup
        self._site = site
        self._scheme = scheme
        self._headers = headers

    @property
    def caller(self) -> QueueKey:
        """Account and region of the call, where a queue's name does not matter."""
        return QueueKey(self.account, self.region, "")

    @property
    def sender_id(self) -> str:
        """Who sends a message: the account itself, as there are no users within it."""
        return self.account

    @property
    def trace_header(self) -> str | None:
        """The request's X-Ray trace header."""
        value = self._headers.get(b"x-amzn-trace-id")
        if value is None:
            return None
        text = value.decode("latin-1")
        return text if text.isprintable() else None

    def queue_key(self, url: str) -> QueueKey:
        """The queue that a QueueUrl names; raises ``QueueDoesNotExist`` for what names none."""
        key = queue_key(url, self.account, self.region)
        if key is None:
            raise QueueDoesNotExist
        return key

    def own_queue_key(self, url: str) -> QueueKey:
        """As ``queue_key``, for operations that only the queue's own account may call."""
        key = self.queue_key(url)
        if key.account != self.account:
            raise AccessDenied(f"Access to the resource {url} is denied.")
        return key

    def queue_url(self, key: QueueKey) -> str:
        """The URL under which this client reaches a queue."""
        return queue_url(
            self.base_url, key, default_region=self._site.region, shape=self._site.queue_urls
        )

    # --- SNS ------------------------------------------------------------------------------------

    @property
    def base_url(self) -> str:
        """The URL under which this client reaches the server, without a path."""
        return base_url(self._site, self._scheme, self._headers.get(b"host", b""))

    @property
    def signed(self) -> bool:
        """Whether the request carried credentials, whoever's they are."""
        return b"Credential=" in self._headers.get(b"authorization", b"")

    @property
    def principal_arn(self) -> str:
        """The ARN of the caller: the account's root user, as there are no others."""
        return _root_arn(self.account, self.region)

    @property
    def sns_caller(self) -> Caller:
        """Who calls, as the broker's verbs about topics take it."""
        return Caller(self.account, self.region, self.principal_arn, self.signed)
