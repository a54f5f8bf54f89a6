"""FIFO queues: order within groups, and groups taking turns."""

from typing import NamedTuple

import pytest

from tests.storage.builders import AQueue, bodies


class Step(NamedTuple):
    """Receive up to ``limit`` at that moment, expect that; then delete or show some of it."""

    at: int
    limit: int
    expected: str
    timeout_ms: int = 30_000
    delete: str = ""
    show: str = ""


# The orders recorded on AWS (SQS reference, 5.3), as "what is sent", then what happens.
RECORDED = {
    "A: one group is emptied before the next": (
        "g1-m1 g2-m1 g1-m2 g1-m3",
        [Step(0, 10, "g1-m1 g1-m2 g1-m3 g2-m1")],
    ),
    "B: groups that time out queue up behind those that wait": (
        "g1-m1 g1-m2 g1-m3 g1-m4 g2-m1 g3-m1",
        [
            Step(0, 2, "g1-m1 g1-m2"),
            Step(0, 1, "g2-m1"),
            Step(30_000, 10, "g3-m1 g1-m1 g1-m2 g1-m3 g1-m4 g2-m1"),
        ],
    ),
    "C: without a timeout a served group goes to the back": (
        "g1-m1 g2-m1 g2-m2 g3-m1 g1-m2",
        [
            Step(0, 3, "g1-m1 g1-m2 g2-m1", timeout_ms=0),
            Step(0, 10, "g3-m1 g1-m1 g1-m2 g2-m1 g2-m2", timeout_ms=0),
        ],
    ),
    "D: a message shown again returns alone, behind the waiting group": (
        "g1-m1 g1-m2 g2-m1",
        [Step(0, 2, "g1-m1 g1-m2", show="g1-m1"), Step(1, 3, "g2-m1 g1-m1")],
    ),
    "E: a group unlocked by deletion queues up at the back": (
        "g1-m1 g2-m1 g1-m2 g2-m2 g1-m3 g1-m4 g3-m1",
        [
            Step(0, 2, "g1-m1 g1-m2", delete="g1-m1 g1-m2"),
            Step(0, 10, "g2-m1 g2-m2 g3-m1 g1-m3 g1-m4"),
        ],
    ),
    "F: a group stays locked until its last message in flight is deleted": (
        "g1-m1 g2-m1 g1-m2 g2-m2 g1-m3 g1-m4 g3-m1",
        [
            Step(0, 2, "g1-m1 g1-m2", delete="g1-m1"),
            Step(0, 10, "g2-m1 g2-m2 g3-m1"),
        ],
    ),
}


@pytest.mark.parametrize("name", RECORDED)
async def test_the_recorded_orders_hold(fifo_queue: AQueue, name: str) -> None:
    sent, steps = RECORDED[name]
    await fifo_queue.send(*sent.split(), at=0)
    for step in steps:
        claims = await fifo_queue.receive(step.limit, at=step.at, timeout_ms=step.timeout_ms)
        assert bodies(claims) == step.expected.split()
        by_body = {claim.body: claim for claim in claims}
        for body in step.delete.split():
            await fifo_queue.delete(by_body[body], at=step.at)
        for body in step.show.split():
            await fifo_queue.hide(by_body[body], at=step.at, for_ms=0)


@pytest.mark.parametrize(("extended", "expected"), [(0, []), (1, ["g-1"]), (2, ["g-1", "g-2"])])
async def test_delivery_stops_at_the_first_hidden_message(
    fifo_queue: AQueue, extended: int, expected: list[str]
) -> None:
    await fifo_queue.send("g-1", "g-2", "g-3", "g-4", at=0)
    claims = await fifo_queue.receive(3, at=0)
    await fifo_queue.hide(claims[extended], at=0, for_ms=60_000)
    assert await fifo_queue.received(at=30_000) == expected


async def test_a_message_in_flight_locks_its_group_only(fifo_queue: AQueue) -> None:
    await fifo_queue.send("g-1", "g-2", "h-1", at=0)
    assert await fifo_queue.received(1, at=0) == ["g-1"]
    assert await fifo_queue.received(at=0) == ["h-1"]
    assert await fifo_queue.received(at=0) == []


async def test_sending_to_a_locked_group_does_not_unlock_it(fifo_queue: AQueue) -> None:
    await fifo_queue.send("g-1", at=0)
    await fifo_queue.receive(at=0)
    await fifo_queue.send("g-2", at=1)
    assert await fifo_queue.received(at=1) == []
    assert await fifo_queue.received(at=30_000) == ["g-1", "g-2"]


async def test_a_delayed_head_holds_back_its_group(fifo_queue: AQueue) -> None:
    await fifo_queue.send("g-1", at=0, delay_ms=1_000)
    await fifo_queue.send("g-2", "h-1", at=0)
    assert await fifo_queue.received(at=999) == ["h-1"]
    assert await fifo_queue.received(at=1_000) == ["g-1", "g-2"]


async def test_a_drained_group_works_again(fifo_queue: AQueue) -> None:
    await fifo_queue.send("g-1", at=0)
    [claim] = await fifo_queue.receive(at=0)
    await fifo_queue.delete(claim, at=0)
    await fifo_queue.send("g-2", at=1)
    assert await fifo_queue.received(at=1) == ["g-2"]


async def test_groups_take_turns_in_the_order_in_which_they_fell_due(
    fifo_queue: AQueue,
) -> None:
    """As if somebody had watched all the time, though nobody looked in between."""
    await fifo_queue.send("g-1", "h-1", at=0)
    await fifo_queue.receive(1, at=0, timeout_ms=2_000)
    await fifo_queue.receive(1, at=0, timeout_ms=1_000)
    await fifo_queue.send("i-1", at=1_500)
    assert await fifo_queue.received(at=3_000) == ["h-1", "i-1", "g-1"]


async def test_a_deletion_brings_the_queue_to_its_moment_first(fifo_queue: AQueue) -> None:
    await fifo_queue.send("g-1", "g-2", "h-1", at=0)
    [first] = await fifo_queue.receive(1, at=0, timeout_ms=2_000)
    await fifo_queue.receive(1, at=0, timeout_ms=1_000)
    await fifo_queue.delete(first, at=1_500)
    assert await fifo_queue.received(at=3_000) == ["h-1", "g-2"]


async def test_a_deletion_that_unlocks_a_group_is_told(
    fifo_queue: AQueue, changes: list[tuple[int, int]]
) -> None:
    await fifo_queue.send("g-1", "g-2", "g-3", at=0)
    first, second = await fifo_queue.receive(2, at=0)
    changes.clear()
    await fifo_queue.delete(first, at=0)
    assert changes == []
    await fifo_queue.delete(second, at=0)
    assert changes == [(fifo_queue.queue_id, 1)]


async def test_a_new_delay_holds_for_messages_never_received(fifo_queue: AQueue) -> None:
    await fifo_queue.send("g-1", "h-1", at=0)
    await fifo_queue.receive(1, at=0, timeout_ms=0)
    await fifo_queue.change(at=1_000, delay_ms=5_000)
    assert await fifo_queue.counts(at=1_000) == (1, 0, 1)
    assert await fifo_queue.received(at=1_000) == ["g-1"]
    assert await fifo_queue.received(at=5_000) == ["h-1"]


async def test_a_shorter_delay_shows_messages_at_once(
    fifo_queue: AQueue, changes: list[tuple[int, int]]
) -> None:
    await fifo_queue.send("g-1", at=0, delay_ms=60_000)
    changes.clear()
    await fifo_queue.change(at=1_000, delay_ms=500)
    assert {queue_id for queue_id, _ in changes} == {fifo_queue.queue_id}
    assert await fifo_queue.received(at=1_000) == ["g-1"]


async def test_a_standard_queue_keeps_the_delays_it_gave(queue: AQueue) -> None:
    await queue.send("a", at=0, delay_ms=60_000)
    await queue.change(at=1_000, delay_ms=500)
    assert await queue.received(at=59_999) == []
