"""Calls as an SDK would put them on the wire: one at a time or many at once."""

import asyncio
import http.client
import json
from collections.abc import Coroutine, Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, TypeVar, cast
from urllib.parse import urlencode

import uvloop

T = TypeVar("T")


def _headers(service: str, signed: str, **more: str) -> dict[str, str]:
    """What boto3 sends along with every call; wrk is given the very same."""
    return {
        **more,
        "User-Agent": "Boto3/1.40.0 md/Botocore#1.40.0 ua/2.1 os/linux#6.1.0 md/arch#x86_64"
        " lang/python#3.11.7 md/pyimpl#CPython m/Z,b cfg/retry-mode#legacy Botocore/1.40.0",
        "Accept-Encoding": "identity",
        "X-Amz-Date": "20250101T000000Z",
        "Authorization": "AWS4-HMAC-SHA256"
        f" Credential=test/20250101/us-east-1/{service}/aws4_request,"
        f" SignedHeaders={signed}, Signature={'0123456789abcdef' * 4}",
        "amz-sdk-invocation-id": "5ba1f4f6-5b0c-4d6c-9d7e-0d4f6f1f2a3b",
        "amz-sdk-request": "attempt=1",
    }


#: Of a call of SQS, with ``target``.
HEADERS = _headers(
    "sqs",
    "content-type;host;x-amz-date;x-amz-target;x-amzn-query-mode",
    **{"Content-Type": "application/x-amz-json-1.0", "x-amzn-query-mode": "true"},
)

#: Of a call of SNS.
SNS_HEADERS = _headers(
    "sns",
    "content-type;host;x-amz-date",
    **{"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"},
)

#: A message of 256 bytes.
TEXT = "headrace" * 32


class BenchError(Exception):
    """Something kept a figure from being measured; the text is for the reader of the table."""


def target(operation: str) -> dict[str, str]:
    """The header that names the operation."""
    return {"X-Amz-Target": f"AmazonSQS.{operation}"}


def call(port: int, operation: str, /, **members: object) -> Any:
    """One SQS call on a connection of its own; returns the decoded answer."""
    headers = HEADERS | target(operation)
    return json.loads(_exchange(port, "POST", "/", operation, json.dumps(members), headers) or "{}")


def fetch(port: int, method: str, path: str) -> bytes:
    """One request without a body, on a connection of its own; returns the body of its answer."""
    return _exchange(port, method, path, path)


def _exchange(
    port: int,
    method: str,
    path: str,
    name: str,
    body: str | None = None,
    headers: Mapping[str, str] = MappingProxyType({}),
) -> bytes:
    """The body of an answer, which must be a 200; ``name`` is for the error if it is not."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        answer = response.read()
    except (OSError, http.client.HTTPException) as error:
        raise BenchError(f"{name}: {error!r}") from error
    finally:
        connection.close()
    if response.status != 200:
        raise BenchError(f"{name}: {response.status} {answer[:200].decode(errors='replace')}")
    return answer


def create_queue(port: int, name: str, **attributes: str) -> str:
    """Create a queue, FIFO if its name says so, and return its URL."""
    if name.endswith(".fifo"):
        attributes["FifoQueue"] = "true"
    url: str = call(port, "CreateQueue", QueueName=name, Attributes=attributes)["QueueUrl"]
    return url


def raw_request(operation: str, **members: object) -> bytes:
    """The bytes of one SQS request, ready for `Connection.request`."""
    return _raw(HEADERS | target(operation), json.dumps(members))


def sns_form(action: str, parameters: Mapping[str, str]) -> str:
    """The body of one SNS request."""
    return urlencode({"Action": action, "Version": "2010-03-31", **parameters})


def raw_sns_request(action: str, parameters: Mapping[str, str]) -> bytes:
    """The bytes of one SNS request, ready for `Connection.request`."""
    return _raw(SNS_HEADERS, sns_form(action, parameters))


def _raw(headers: dict[str, str], body: str) -> bytes:
    headers = headers | {"Host": "127.0.0.1", "Content-Length": str(len(body.encode()))}
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"POST / HTTP/1.1\r\n{lines}\r\n{body}".encode()


class Connection(asyncio.Protocol):
    """A keep-alive HTTP/1.1 connection that carries one request at a time."""

    def __init__(self) -> None:
        self._received = bytearray()
        self._answer: asyncio.Future[bytes] | None = None

    @classmethod
    async def open(cls, port: int) -> "Connection":
        """Connect to the server on this port."""
        _, connection = await asyncio.get_running_loop().create_connection(cls, "127.0.0.1", port)
        return connection

    async def request(self, raw: bytes) -> bytes:
        """Send one request and return the body of its answer, which must be a 200."""
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(raw)
        return await self._answer

    def close(self) -> None:
        """Hang up."""
        self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports have the methods, not the base class.
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._answer and not self._answer.done():
            self._answer.set_exception(BenchError("the server hung up before it had answered"))

    def data_received(self, data: bytes) -> None:
        self._received += data
        head_end = self._received.find(b"\r\n\r\n")
        if head_end < 0:
            return
        head = bytes(self._received[:head_end]).lower()
        length = head.partition(b"content-length:")[2].partition(b"\r\n")[0]
        end = head_end + 4 + int(length or 0)
        if len(self._received) < end or not self._answer or self._answer.done():
            return
        body = bytes(self._received[head_end + 4 : end])
        self._received.clear()
        if head[9:12] == b"200":
            self._answer.set_result(body)
        else:
            self._answer.set_exception(BenchError(f"{head[9:12].decode()} {body[:200].decode()}"))


async def send_all(port: int, requests: Iterable[bytes], connections: int = 32) -> None:
    """Send all requests over so many connections; any answer but full success raises."""
    remaining = iter(requests)

    async def work() -> None:
        connection = await Connection.open(port)
        for raw in remaining:
            answer = await connection.request(raw)
            if b'"Failed":[{' in answer.replace(b" ", b""):
                raise BenchError(f"an entry of a batch was refused: {answer[:200].decode()}")
        connection.close()

    async with asyncio.TaskGroup() as workers:
        for _ in range(connections):
            workers.create_task(work())


def run_on_uvloop(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine on uvloop; the first error of a task group is raised bare."""
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(main)
    except* BenchError as group:
        error: BaseException = group
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        failure = error
    raise failure


def drive(port: int, requests: Iterable[bytes], connections: int = 32) -> None:
    """See ``send_all``."""
    run_on_uvloop(send_all(port, requests, connections))


def message_batches(url: str, count: int, groups: Sequence[str] = ()) -> Iterator[bytes]:
    """SendMessageBatch requests that fill a queue; FIFO messages go round the groups in turn."""
    for start in range(0, count, 10):
        entries: list[dict[str, str]] = []
        for number in range(start, min(start + 10, count)):
            entry = {"Id": f"m{number}", "MessageBody": TEXT}
            if groups:
                entry["MessageGroupId"] = groups[number % len(groups)]
                entry["MessageDeduplicationId"] = f"load-{groups[0]}-{number}"
            entries.append(entry)
        yield raw_request("SendMessageBatch", QueueUrl=url, Entries=entries)
