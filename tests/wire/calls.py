"""Requests as bytes, to an application in the process, with anything in them."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from typing import Any, NamedTuple
from urllib.parse import urlencode
from xml.etree import ElementTree

from api.app import create_app
from api.context import Site
from broker import Broker
from storage.contract import Storage
from storage.memory import MemoryStorage
from tests.support.client import flatten
from tests.support.clock import FakeClock
from tests.support.server import ACCOUNT, REGION, CountedIds
from tests.support.sns import model as sns_model

HOST = "localhost:9324"
#: longer than any call may wait
_PATIENCE_S = 10

Headers = Iterable[tuple[str | bytes, str | bytes]]

#: what an SDK sends along with a call of SNS
SNS_SIGNED: Headers = (
    (
        "authorization",
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20260101/us-east-1/sns/aws4_request, Signature=0",
    ),
)


class Answer(NamedTuple):
    """An HTTP response."""

    status: int
    header_list: list[tuple[bytes, bytes]]
    body: bytes

    @property
    def headers(self) -> dict[str, str]:
        return {name.decode(): value.decode("latin-1") for name, value in self.header_list}

    def json(self) -> dict[str, Any]:
        """The body of a JSON answer; an empty one has no members."""
        found = json.loads(self.body or b"{}")
        assert isinstance(found, dict)
        return found

    def xml(self) -> ElementTree.Element:
        """The root of an XML answer, its namespaces dropped."""
        root = ElementTree.fromstring(self.body)  # noqa: S314 - our own document
        for element in root.iter():
            element.tag = element.tag.rpartition("}")[2]
        return root

    @property
    def code(self) -> str | None:
        """The legacy code of an error, by header or in XML; None for a success."""
        if self.status == 200:
            return None
        told = self.headers.get("x-amzn-query-error")
        return told.partition(";")[0] if told else self.xml().findtext("Error/Code")


class Server:
    """An application over a broker of its own, and the clock of both."""

    def __init__(self, app: Callable[..., Any], broker: Broker, clock: FakeClock) -> None:
        self._app = app
        self.broker = broker
        self.clock = clock

    async def send(
        self,
        body: bytes | Iterable[bytes] = b"",
        *,
        method: str = "POST",
        path: str = "/",
        query_string: bytes = b"",
        headers: Headers = (),
    ) -> Answer:
        """Send one request and wait, on the test's clock, for the answer."""
        answer, _ = await self.send_counting(
            body, method=method, path=path, query_string=query_string, headers=headers
        )
        return answer

    async def send_counting(
        self,
        body: bytes | Iterable[bytes] = b"",
        *,
        method: str = "POST",
        path: str = "/",
        query_string: bytes = b"",
        headers: Headers = (),
    ) -> tuple[Answer, int]:
        """As ``send``; also how many pieces of the body the application took."""
        pieces = iter([body] if isinstance(body, bytes) else body)
        following: bytes | None = next(pieces, b"")
        taken = 0
        started: list[dict[str, Any]] = []
        parts: list[bytes] = []

        async def receive() -> dict[str, Any]:
            nonlocal following, taken
            if following is None:
                await asyncio.Event().wait()  # the client stays, and says no more
            piece, following = following, next(pieces, None)
            taken += 1
            return {"type": "http.request", "body": piece, "more_body": following is not None}

        async def send(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.start":
                started.append(message)
            else:
                parts.append(message.get("body", b""))

        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": path,
            "raw_path": path.encode("utf-8", "surrogateescape"),
            "query_string": query_string,
            "root_path": "",
            "headers": [
                (_header_bytes(name).lower(), _header_bytes(value)) for name, value in headers
            ],
            "client": ("127.0.0.1", 50_000),
            "server": ("127.0.0.1", 9_324),
        }
        call = asyncio.ensure_future(self._app(scope, receive, send))
        async with asyncio.timeout(_PATIENCE_S):
            for _ in range(10):  # the store in memory answers within a few turns
                if call.done():
                    break
                await asyncio.sleep(0)
            while not call.done():
                if self.broker.waiting.parked:
                    await self.clock.advance(1_000, settle=5)
                else:
                    await asyncio.wait([call], timeout=0.001)
        await call
        [start] = started
        return Answer(start["status"], list(start["headers"]), b"".join(parts)), taken

    async def json(
        self, operation: str, members: Mapping[str, Any] | bytes, *, headers: Headers = ()
    ) -> Answer:
        """Call an operation by AWS JSON 1.0."""
        body = members if isinstance(members, bytes) else json.dumps(members).encode()
        return await self.send(body, headers=[*json_headers(operation), *headers])

    async def query(
        self, operation: str, members: Mapping[str, Any], *, headers: Headers = ()
    ) -> Answer:
        """Call an operation by Query, ``members`` being those of the JSON protocol."""
        return await self.send(query_body(operation, members), headers=[*QUERY_HEADERS, *headers])

    async def sns(
        self, operation: str, members: Mapping[str, Any], *, headers: Headers = SNS_SIGNED
    ) -> Answer:
        """Call an operation of SNS, as somebody with credentials if nothing else is said."""
        return await self.send(sns_body(operation, members), headers=[*QUERY_HEADERS, *headers])


def _header_bytes(value: str | bytes) -> bytes:
    return value if isinstance(value, bytes) else value.encode("latin-1")


def json_headers(operation: str) -> list[tuple[str | bytes, str | bytes]]:
    """What goes with a request of AWS JSON 1.0."""
    return [
        ("host", HOST),
        ("content-type", "application/x-amz-json-1.0"),
        ("x-amz-target", f"AmazonSQS.{operation}"),
    ]


QUERY_HEADERS: list[tuple[str | bytes, str | bytes]] = [
    ("host", HOST),
    ("content-type", "application/x-www-form-urlencoded; charset=utf-8"),
]


@contextlib.asynccontextmanager
async def serving(
    store: Storage | None = None, *, public_url: str | None = None
) -> AsyncIterator[Server]:
    """A server on a clock of its own, with the same ids every time."""
    clock, ids = FakeClock(), CountedIds()
    broker = await Broker.open(store or MemoryStorage(), clock, ids)
    try:
        yield Server(create_app(broker, Site(REGION, ACCOUNT, public_url), ids), broker, clock)
    finally:
        await broker.close()


def queue_url(name: str) -> str:
    """The URL of a queue of ours, as ``Server`` calls it."""
    return f"http://{HOST}/{ACCOUNT}/{name}"


def query_body(operation: str, members: Mapping[str, Any]) -> bytes:
    """A call as the body of a Query request."""
    parameters = {"Action": operation, "Version": "2012-11-05"}
    for name, value in members.items():
        parameters |= flatten(operation, name, value)
    return urlencode(parameters).encode()


def sns_body(operation: str, members: Mapping[str, Any]) -> bytes:
    """A call of SNS as the body of its request; what does not fit the shape goes as its text."""
    shape = sns_model().operation_model(operation).input_shape
    parameters = [("Action", operation), ("Version", "2010-03-31")]
    parameters += _flat(shape, members, "")
    return urlencode(parameters, errors="surrogatepass").encode()


def _flat(shape: Any, value: Any, name: str) -> list[tuple[str, str]]:
    if value is None:
        return []
    kind = None if shape is None else shape.type_name
    below = f"{name}." if name else ""
    found: list[tuple[str, str]] = []
    if isinstance(value, dict) and kind == "map":
        key_name = shape.key.serialization.get("name", "key")
        value_name = shape.value.serialization.get("name", "value")
        for number, (key, each) in enumerate(value.items(), 1):
            found.append((f"{below}entry.{number}.{key_name}", key))
            found += _flat(shape.value, each, f"{below}entry.{number}.{value_name}")
    elif isinstance(value, dict):
        members = {} if kind != "structure" else shape.members
        for each in value:
            found += _flat(members.get(each), value[each], f"{below}{each}")
    elif isinstance(value, list):
        if not value:
            return [(name, "")]  # as botocore has it
        for number, each in enumerate(value, 1):
            found += _flat(
                shape.member if kind == "list" else None, each, f"{below}member.{number}"
            )
    else:
        text = str(value).lower() if isinstance(value, bool) else str(value)
        found.append((name, text))
    return found


async def check_serves(server: Server) -> None:
    """A message can still be sent and received."""
    url = queue_url("canary")
    assert (await server.json("CreateQueue", {"QueueName": "canary"})).status == 200
    sent = await server.json("SendMessage", {"QueueUrl": url, "MessageBody": "alive"})
    assert sent.status == 200
    received = (await server.json("ReceiveMessage", {"QueueUrl": url})).json()
    assert [message["Body"] for message in received["Messages"]] == ["alive"]
    handle = received["Messages"][0]["ReceiptHandle"]
    deleted = await server.json("DeleteMessage", {"QueueUrl": url, "ReceiptHandle": handle})
    assert deleted.status == 200
