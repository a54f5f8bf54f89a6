"""What a handler gets beside its request."""

import re
from typing import NamedTuple

from api.names import queue_key, queue_url
from broker import Broker, Hangup, QueueKey
from broker.errors import AccessDenied, QueueDoesNotExist

#: what a Host header may look like; anything else would end up in QueueUrls
_HOST = re.compile(r"[A-Za-z0-9._-]{1,253}(:\d{1,5})?|\[[0-9A-Fa-f:.]{2,45}\](:\d{1,5})?")


class Site(NamedTuple):
    """Where this server is, as far as answers tell."""

    region: str
    account: str
    public_url: str | None  # None: as the client calls it, by its Host header


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
        base_url = self._site.public_url
        if base_url is None:
            host = self._headers.get(b"host", b"").decode("latin-1")
            base_url = f"{self._scheme}://{host if _HOST.fullmatch(host) else 'localhost'}"
        return queue_url(base_url, key, default_region=self._site.region)
