"""A server in the process with a topic, for tests of whole deliveries."""

from collections.abc import AsyncIterator

import pytest

from storage import open_storage
from tests.deliveries.scene import Scene
from tests.support.clock import FakeClock
from tests.support.server import running
from tests.support.sns import SnsClient


@pytest.fixture
def clock() -> FakeClock:
    """The server's clock."""
    return FakeClock()


@pytest.fixture
async def scene(clock: FakeClock) -> AsyncIterator[Scene]:
    """A server that delivers by http and https only, and a topic."""
    async with running(open_storage("memory", strict=False), clock) as server:
        yield Scene(server, await SnsClient(server.http).topic("news"))
