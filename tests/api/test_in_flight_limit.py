"""How many messages of a queue may be in flight (SQS reference, 2.9 and 4.9)."""

import pytest

from tests.support.client import Queue, refusal
from tests.support.clock import FakeClock
from tests.support.server import MEMORY_ONLY, Server
from tests.support.until import soon


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two instead of 120,000, to get there sooner."""
    monkeypatch.setattr("broker.limits.IN_FLIGHT_MAX", 2)


async def test_a_receive_returns_no_more_than_may_be_in_flight(queue: Queue) -> None:
    await queue.send_each("a", "b", "c")
    assert await queue.bodies() == ["a", "b"]


async def test_at_the_limit_a_standard_receive_is_refused(queue: Queue, clock: FakeClock) -> None:
    await queue.send_each("a", "b", "c")
    first, _ = await queue.receive()
    assert (await refusal(queue.receive()))[0] == "OverLimit"
    await queue.delete(first)
    assert await queue.bodies() == ["c"]
    await clock.advance(30_000)
    assert sorted(await queue.bodies()) == ["b", "c"]


async def test_at_the_limit_a_poll_waits(server: Server, queue: Queue, clock: FakeClock) -> None:
    await queue.send_each("a", "b", "c")
    await queue.receive()
    poll = await server.park(queue.bodies(WaitTimeSeconds=20))
    await clock.advance(20_000)
    assert await soon(poll) == []


@MEMORY_ONLY
async def test_below_the_limit_again_a_poll_goes_on(server: Server, queue: Queue) -> None:
    await queue.send_each("a", "b", "c")
    first, _ = await queue.receive()
    poll = await server.park(queue.bodies(WaitTimeSeconds=20))
    await queue.delete(first)
    assert await soon(poll, timeout_s=1) == ["c"]


async def test_a_timeout_that_ends_lets_a_poll_go_on(
    server: Server, queue: Queue, clock: FakeClock
) -> None:
    await queue.send_each("a", "b", "c")
    await queue.receive(VisibilityTimeout=5)
    poll = await server.park(queue.bodies(1, WaitTimeSeconds=20))
    await clock.advance(5_000)
    assert len(await soon(poll)) == 1


async def test_at_the_limit_a_fifo_receive_is_empty(fifo: Queue) -> None:
    for group in ("g", "h", "i"):
        await fifo.send_to(group, group)
    assert await fifo.bodies() == ["g", "h"]
    assert await fifo.bodies() == []
