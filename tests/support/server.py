"""A server within the test's process: the whole application, without a port and without time."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import count
from typing import Any, TypeVar

import httpx
import pytest

from api.app import create_app
from api.context import Site
from broker import Broker, DeliverySettings
from storage.contract import Storage
from tests.support.client import Client, Protocol
from tests.support.clock import FakeClock
from tests.support.until import until

_T = TypeVar("_T")

ACCOUNT = "000000000000"
REGION = "us-east-1"
ENDPOINT = "http://localhost:4566"

#: for tests of what no store has a part in
MEMORY_ONLY = pytest.mark.parametrize("store", ["memory"], indirect=True)


class CountedIds:
    """Implements ``broker.Ids``: no two are alike, and they are the same in every run."""

    def __init__(self) -> None:
        self._numbers = count(1)

    def uuid(self) -> str:
        """See ``Ids``."""
        return f"00000000-0000-4000-8000-{next(self._numbers):012x}"

    def secret(self) -> bytes:
        """See ``Ids``."""
        return next(self._numbers).to_bytes(32, "big")


@dataclass(frozen=True)
class Server:
    """A running server, and what tests do to it beside calling it."""

    broker: Broker
    clock: FakeClock
    app: Callable[..., Awaitable[None]]
    http: httpx.AsyncClient

    def client(self, protocol: Protocol) -> Client:
        """A client without credentials."""
        return Client(self.http, protocol)

    async def park(self, call: Coroutine[Any, Any, _T]) -> asyncio.Task[_T]:
        """Start a call that has to wait, and return once it does."""
        parked = self.broker.waiting.parked
        task = asyncio.create_task(call)
        await until(lambda: self.broker.waiting.parked > parked or task.done())
        assert not task.done(), f"did not wait: {task.result()}"
        return task


@asynccontextmanager
async def running(
    store: Storage,
    clock: FakeClock,
    *,
    public_url: str | None = None,
    block_deleted_names: bool = False,
    deliveries: DeliverySettings | None = None,
    timeline_events: int = 100_000,
    log_requests: bool = False,
    with_admin: bool = True,
) -> AsyncIterator[Server]:
    """A server over a store that is not open yet; both are closed in the end."""
    ids = CountedIds()
    broker = await Broker.open(
        store,
        clock,
        ids,
        block_deleted_names=block_deleted_names,
        deliveries=deliveries,
        timeline_events=timeline_events,
    )
    app = create_app(
        broker,
        Site(REGION, ACCOUNT, public_url),
        ids,
        log_requests=log_requests,
        with_admin=with_admin,
    )
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url=ENDPOINT, timeout=None) as http:  # noqa: S113
        try:
            yield Server(broker, clock, app, http)
        finally:
            await broker.close()
