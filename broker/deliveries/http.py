"""Deliveries by HTTP: one POST, and what came of it."""

import asyncio
import re
from base64 import b64encode
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from broker.deliveries.attempts import (
    Attempt,
    Result,
    Stopwatch,
    classify,
    reason,
    without_secrets,
)
from broker.deliveries.tls import Trust

if TYPE_CHECKING:
    import httpcore
    import httpx

#: an answer has so many seconds from the first byte sent to its own last byte (SNS reference, 5.3)
TIMEOUT_S = 15.0
#: connections are kept to so many origins, so many to each
_ORIGINS_KEPT = 128
_IDLE_OF_AN_ORIGIN = 4
#: what of an answer's body is read
MAX_BODY_BYTES = 65_536
#: AWS documents no limit for an endpoint
MAX_URL_LENGTH = 2048

_HOST = re.compile(r"(?=.{1,254}\Z)[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*\.?")


def is_http_endpoint(url: str) -> bool:
    """Whether a text is a URL, of http or https, that a request can be sent to."""
    return _parse(url) is not None


def _parse(url: str) -> "httpx.URL | None":
    """The parts of such a URL, as the client that will send the request reads them."""
    import httpx

    if len(url) > MAX_URL_LENGTH or not url.isprintable() or " " in url or "\\" in url:
        return None
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL:
        return None
    host = parsed.raw_host.decode("ascii")
    if parsed.scheme not in ("http", "https") or not (":" in host or _HOST.fullmatch(host)):
        return None
    if parsed.port is not None and not 1 <= parsed.port <= 65_535:
        return None
    return parsed


class Answer(NamedTuple):
    """What an HTTP endpoint answered."""

    status_code: int
    headers: Mapping[str, str]  # names in any case
    body: bytes  # as it was sent, up to ``MAX_BODY_BYTES``
    text: str  # the body, if it is one to read, else the reason phrase; without our secrets


class NoAnswer(Exception):
    """There is no (complete) answer; the text says why."""

    def __init__(self, result: Result, text: str) -> None:
        super().__init__(text)
        self.result = result


class HttpTransport:
    """Posts to HTTP endpoints over connections that are kept for the next request.

    Nothing is taken from the environment, no redirect is followed, no cookie kept, no answer
    decompressed.  Waiting for one of the ``max_connections`` counts as part of an attempt, so
    callers should not make more attempts at once.
    """

    def __init__(self, trust: Trust | None = None, *, max_connections: int = 200) -> None:
        self._trust = trust if trust is not None else Trust()
        self._connections = asyncio.Semaphore(max_connections)
        #: the origin used last comes last
        self._pools: OrderedDict[str, _Pool] = OrderedDict()

    async def post(
        self,
        url: str,
        headers: Sequence[tuple[str, str]],
        body: bytes,
        *,
        timeout_s: float = TIMEOUT_S,
    ) -> Attempt:
        """Make one attempt; see ``exchange`` for the request and ``classify`` for the result."""
        watch = Stopwatch()
        try:
            answer = await self.exchange(url, headers, body, timeout_s=timeout_s)
        except NoAnswer as none:
            return watch.attempt(none.result, None, str(none))
        return watch.attempt(classify(answer.status_code), answer.status_code, answer.text)

    async def exchange(
        self,
        url: str,
        headers: Sequence[tuple[str, str]],
        body: bytes,
        *,
        timeout_s: float = TIMEOUT_S,
    ) -> Answer:
        """Post once and return the answer, of any status.

        The request has the headers given and Host, Content-Length and Connection.  A user and
        password in the URL are sent as basic authentication, and if the endpoint asks for digest
        authentication, once more as that (SNS reference, 5.3).  Raises ``NoAnswer`` after
        ``timeout_s``, however far the endpoint has got, and for everything that is not HTTP.
        """
        import httpx

        parsed = _parse(url)
        if parsed is None:  # not even with a hint: what cannot be parsed may hold a password
            raise NoAnswer(Result.REFUSED, "not a URL that a request can be sent to")
        login = _Login.of(parsed)
        try:
            request = httpx.Request(
                "POST",
                parsed,
                headers=[("Connection", "Keep-Alive"), *headers],
                content=body,
            )
        except UnicodeEncodeError:
            raise NoAnswer(Result.REFUSED, "a header cannot be sent") from None
        try:
            async with asyncio.timeout(timeout_s):
                response, content = await self._send(request, login)
        except TimeoutError:
            raise NoAnswer(Result.RETRY, f"no complete answer within {timeout_s:g} s") from None
        except (httpx.TransportError, OSError, ValueError) as error:
            text = without_secrets(reason(error), login.secrets)
            raise NoAnswer(Result.RETRY, f"no answer: {text}") from None
        text = without_secrets(_text(response, content), login.secrets)
        return Answer(response.status_code, response.headers, content, text)

    async def close(self) -> None:
        """Close all connections."""
        while self._pools:
            _, pool = self._pools.popitem()
            await pool.transport.aclose()

    async def _send(
        self, request: "httpx.Request", login: "_Login"
    ) -> tuple["httpx.Response", bytes]:
        if not login.known:
            return await self._send_once(request)
        request.headers["Authorization"] = login.basic
        response, body = await self._send_once(request)
        if response.status_code == 401 and login.answer_challenge(request, response):
            return await self._send_once(request)
        return response, body

    async def _send_once(self, request: "httpx.Request") -> tuple["httpx.Response", bytes]:
        async with self._connections:
            pool = self._pool(request)
            pool.users += 1
            try:
                return await self._send_by(pool, request)
            finally:
                pool.users -= 1
                await self._forget_idle_pools()

    async def _send_by(
        self, pool: "_Pool", request: "httpx.Request"
    ) -> tuple["httpx.Response", bytes]:
        opened: list[httpcore.AsyncNetworkStream] = []

        async def trace(event: str, info: Mapping[str, Any]) -> None:
            if event == "connection.connect_tcp.complete":
                opened.append(info["return_value"])

        request.extensions["trace"] = trace
        try:
            response = await pool.transport.handle_async_request(request)
        except BaseException:
            # httpcore leaves the connection open if a TLS handshake is cancelled
            for stream in opened:
                await stream.aclose()
            raise
        try:
            body = bytearray()
            async for part in response.aiter_raw():
                body += part
                if len(body) > MAX_BODY_BYTES:
                    break
            return response, bytes(body[:MAX_BODY_BYTES])
        finally:
            await response.aclose()  # and the connection, unless the body was read to its end

    def _pool(self, request: "httpx.Request") -> "_Pool":
        """The connections to an origin.

        Of httpx this is the transport beneath its client, which would add headers and keep cookies;
        one for each origin, because with each request it looks at every connection it has.
        """
        url = request.url
        origin = f"{url.scheme}://{url.netloc.decode('ascii')}"
        pool = self._pools.get(origin)
        if pool is None:
            import httpx

            limits = httpx.Limits(max_keepalive_connections=_IDLE_OF_AN_ORIGIN, keepalive_expiry=30)
            transport = httpx.AsyncHTTPTransport(verify=self._trust.context(), limits=limits)
            pool = self._pools[origin] = _Pool(transport)
        self._pools.move_to_end(origin)
        return pool

    async def _forget_idle_pools(self) -> None:
        while len(self._pools) > _ORIGINS_KEPT:
            idle = next((origin for origin, pool in self._pools.items() if not pool.users), None)
            if idle is None:
                return
            await self._pools.pop(idle).transport.aclose()


class _Pool:
    """The connections to one origin, and how many requests use them at the moment."""

    __slots__ = ("transport", "users")

    def __init__(self, transport: "httpx.AsyncHTTPTransport") -> None:
        self.transport = transport
        self.users = 0


class _Login(NamedTuple):
    """The user and password that a URL brings."""

    user: str
    password: str
    raw_password: str  # as it stands in the URL

    @classmethod
    def of(cls, url: "httpx.URL") -> "_Login":
        return cls(url.username, url.password, url.userinfo.decode("ascii").partition(":")[2])

    @property
    def known(self) -> bool:
        return bool(self.user or self.password)

    @property
    def basic(self) -> str:
        """The Authorization header of basic authentication."""
        return f"Basic {self._token}"

    @property
    def _token(self) -> str:
        return b64encode(f"{self.user}:{self.password}".encode()).decode("ascii")

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must not be shown."""
        return (self.password, self.raw_password, self._token) if self.known else ()

    def answer_challenge(self, request: "httpx.Request", response: "httpx.Response") -> bool:
        """Give the request the Authorization header that a digest challenge asks for.

        False if there is no challenge that can be answered.
        """
        import httpx

        response.request = request  # the flow looks there
        flow = httpx.DigestAuth(self.user, self.password).auth_flow(request)
        next(flow)
        try:
            flow.send(response)
        # a malformed challenge, an algorithm or a quality of protection that httpx does not know
        except (StopIteration, httpx.ProtocolError, LookupError, ValueError, NotImplementedError):
            return False
        return True


def _text(response: "httpx.Response", body: bytes) -> str:
    """What an answer says to a reader."""
    if body and response.headers.get("content-encoding", "identity").lower() == "identity":
        return body.decode("utf-8", "replace")
    return response.reason_phrase or f"status {response.status_code}"
