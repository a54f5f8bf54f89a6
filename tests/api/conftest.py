"""Servers over each store, and clients of each protocol."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from storage import open_storage
from storage.contract import Storage
from tests.support.client import Client, Protocol, Queue
from tests.support.clock import FakeClock
from tests.support.server import Server, running
from tests.support.sns import SnsClient


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    """An empty store, not open yet.  Not strict: no test here outlives its process."""
    url = "memory" if request.param == "memory" else f"sqlite:{tmp_path / 'headrace.db'}"
    return open_storage(url, strict=False)


@pytest.fixture(params=["json", "query"])
def protocol(request: pytest.FixtureRequest) -> Protocol:
    """The wire protocol in which the client speaks."""
    protocol: Protocol = request.param
    return protocol


@pytest.fixture
def clock() -> FakeClock:
    """The server's clock."""
    return FakeClock()


@pytest.fixture
async def server(store: Storage, clock: FakeClock) -> AsyncIterator[Server]:
    """A server without queues."""
    async with running(store, clock) as server:
        yield server


@pytest.fixture
def sqs(server: Server, protocol: Protocol) -> Client:
    """A client of the server."""
    return server.client(protocol)


@pytest.fixture
async def queue(sqs: Client) -> Queue:
    """A standard queue with default attributes."""
    return await sqs.queue("jobs")


@pytest.fixture
async def fifo(sqs: Client) -> Queue:
    """A FIFO queue with default attributes."""
    return await sqs.queue("jobs.fifo")


@pytest.fixture
def sns(server: Server) -> SnsClient:
    """A client of the server's topics, without credentials."""
    return SnsClient(server.http)
