"""The HTTP protocol under the application: whole answers in one write, one timer for being idle."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any, cast

import pytest
import uvicorn

from api.app import create_app
from api.context import Site
from api.protocol import HttpProtocol
from api.server import UVICORN_SETTINGS, listen
from broker import Broker, RandomIds, SystemClock, open_storage

LIST = (
    b"POST / HTTP/%b\r\nhost: localhost\r\nx-amz-target: AmazonSQS.ListQueues\r\n"
    b"content-length: 2\r\n\r\n{}"
)

Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Connect = Callable[[], Any]


@contextlib.asynccontextmanager
async def served(**settings: Any) -> AsyncIterator[Connect]:
    """A server in this process; gives what opens a connection to it."""
    broker = await Broker.open(open_storage("memory", strict=True), SystemClock(), RandomIds())
    app = create_app(broker, Site("us-east-1", "000000000000", None), RandomIds())
    with contextlib.closing(listen("127.0.0.1", 0)) as bound:
        server = uvicorn.Server(uvicorn.Config(app, **(UVICORN_SETTINGS | settings)))
        serving = asyncio.create_task(server._serve(sockets=[bound]))
        yield lambda: asyncio.open_connection("127.0.0.1", bound.getsockname()[1])
        server.should_exit = True
        await serving
    await broker.close()


async def read_answer(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    """Head and body of one answer."""
    head = await reader.readuntil(b"\r\n\r\n")
    [length] = [
        int(line.split(b":")[1]) for line in head.splitlines() if line.startswith(b"content-length")
    ]
    return head, await reader.readexactly(length)


async def test_a_connection_serves_one_request_after_another() -> None:
    async with served() as connect, asyncio.timeout(10):
        reader, writer = await connect()
        for _ in range(3):
            writer.write(LIST % b"1.1")
            head, body = await read_answer(reader)
            assert head.startswith(b"HTTP/1.1 200 OK\r\n")
            assert b"date: " in head
            assert body == b"{}"
        writer.close()


async def test_requests_sent_at_once_are_answered_in_order() -> None:
    async with served() as connect, asyncio.timeout(10):
        reader, writer = await connect()
        writer.write((LIST % b"1.1") * 5)
        ids = []
        for _ in range(5):
            head, _ = await read_answer(reader)
            ids.append(head.partition(b"x-amzn-requestid: ")[2].partition(b"\r\n")[0])
        assert ids == sorted(set(ids))
        writer.close()


async def test_an_old_client_gets_its_answer_and_the_end() -> None:
    async with served() as connect, asyncio.timeout(10):
        reader, writer = await connect()
        writer.write(LIST % b"1.0")
        answer = await reader.read()
        assert b"\r\nconnection: close\r\n" in answer
        assert answer.endswith(b"\r\n\r\n{}")
        writer.close()


async def test_head_is_answered_without_a_body() -> None:
    async with served() as connect, asyncio.timeout(10):
        reader, writer = await connect()
        writer.write(b"HEAD / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
        answer = await reader.read()
        assert answer.startswith(b"HTTP/1.1 404 ")
        assert answer.endswith(b"\r\n\r\n")
        writer.close()


async def test_a_client_without_requests_is_closed_after_its_time() -> None:
    async with served(timeout_keep_alive=0.05) as connect, asyncio.timeout(10):
        reader, writer = await connect()
        writer.write(LIST % b"1.1")
        await read_answer(reader)
        assert await reader.read() == b""
        writer.close()


class _Loop:
    """An event loop's clock and timers, turned by hand."""

    def __init__(self) -> None:
        self.now = 0.0
        self.timers: list[tuple[float, Callable[[], None]]] = []

    def time(self) -> float:
        return self.now

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> None:
        self.timers.append((self.now + delay_s, callback))

    def run_until(self, moment: float) -> None:
        while self.timers and self.timers[0][0] <= moment:
            self.now, callback = self.timers.pop(0)
            callback()
        self.now = moment


class _Transport:
    closed = False

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def connection() -> HttpProtocol:
    """A connection that has just answered, with ten seconds to be idle."""
    protocol = HttpProtocol.__new__(HttpProtocol)
    protocol.loop = cast("asyncio.AbstractEventLoop", _Loop())
    protocol.transport = cast("asyncio.Transport", _Transport())
    protocol.timeout_keep_alive = 10
    protocol._idle_since = 0.0
    protocol._expect_idle(10)
    return protocol


def test_time_to_be_idle_counts_from_the_last_answer(connection: HttpProtocol) -> None:
    loop = cast("_Loop", connection.loop)
    transport = cast("_Transport", connection.transport)
    loop.run_until(6)
    connection._unset_keepalive_if_required()  # a request comes
    connection._idle_since = loop.time()  # and is answered
    loop.run_until(15.9)
    assert not transport.closed
    loop.run_until(16)
    assert transport.closed


def test_a_request_under_way_is_not_idle_however_long_it_takes(connection: HttpProtocol) -> None:
    loop = cast("_Loop", connection.loop)
    connection._unset_keepalive_if_required()
    loop.run_until(100)
    assert not cast("_Transport", connection.transport).closed


def test_there_is_one_timer_however_many_requests(connection: HttpProtocol) -> None:
    loop = cast("_Loop", connection.loop)
    for second in range(100):
        loop.run_until(second)
        connection._unset_keepalive_if_required()
        connection._idle_since = loop.time()
        assert len(loop.timers) == 1
