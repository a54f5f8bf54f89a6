"""Standard queues with message groups: lanes take turns."""

from tests.storage.builders import AQueue


async def test_a_noisy_group_does_not_delay_a_quiet_one(queue: AQueue) -> None:
    await queue.send(*(f"noisy-{number}" for number in range(8)), at=0)
    await queue.send("quiet-0", at=1)
    assert await queue.received(3, at=1) == ["noisy-0", "quiet-0", "noisy-1"]


async def test_lanes_take_turns_one_message_each(queue: AQueue) -> None:
    await queue.send("a-1", "a-2", "a-3", "b-1", "b-2", "c-1", at=0)
    assert await queue.received(6, at=0) == ["a-1", "b-1", "c-1", "a-2", "b-2", "a-3"]


async def test_turns_go_on_over_calls(queue: AQueue) -> None:
    await queue.send("a-1", "a-2", "b-1", "b-2", at=0)
    received = [(await queue.received(1, at=0))[0] for _ in range(4)]
    assert received == ["a-1", "b-1", "a-2", "b-2"]


async def test_the_lane_without_a_group_takes_turns_and_starts_in_front(queue: AQueue) -> None:
    await queue.send("a-1", "a-2", "b-1", "plain1", "plain2", "plain3", at=0)
    assert await queue.received(6, at=0) == ["plain1", "a-1", "b-1", "plain2", "a-2", "plain3"]


async def test_a_group_is_not_locked_by_messages_in_flight(queue: AQueue) -> None:
    await queue.send("a-1", "a-2", at=0)
    assert await queue.received(1, at=0) == ["a-1"]
    assert await queue.received(1, at=0) == ["a-2"]


async def test_a_lane_with_newly_visible_messages_joins_at_the_back(queue: AQueue) -> None:
    await queue.send("a-1", at=0)
    [claim] = await queue.receive(at=0)
    await queue.send("b-1", "c-1", at=1)
    await queue.hide(claim, at=2, for_ms=0)
    assert await queue.received(at=2) == ["b-1", "c-1", "a-1"]


async def test_a_returned_message_is_the_oldest_of_its_lane(queue: AQueue) -> None:
    await queue.send("a-1", "a-2", "a-3", at=0)
    [first] = await queue.receive(1, at=0)
    await queue.hide(first, at=0, for_ms=0)
    assert await queue.received(at=0) == ["a-1", "a-2", "a-3"]


async def test_without_a_timeout_lanes_still_take_turns(queue: AQueue) -> None:
    await queue.send("a-1", "b-1", "b-2", at=0)
    assert await queue.received(10, at=0, timeout_ms=0) == ["a-1", "b-1", "b-2"]
    assert await queue.received(10, at=0, timeout_ms=0) == ["a-1", "b-1", "b-2"]


async def test_a_delayed_group_joins_when_it_is_due(queue: AQueue) -> None:
    await queue.send("late-1", at=0, delay_ms=1_000)
    await queue.send("a-1", "a-2", at=500)
    assert await queue.received(10, at=1_000) == ["a-1", "late-1", "a-2"]
