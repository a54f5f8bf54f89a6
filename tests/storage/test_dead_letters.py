"""Claims that move exhausted messages to a dead-letter queue."""

import pytest

from storage.contract import Storage
from storage.records import MessageAttribute, Outcome
from tests.storage.builders import (
    EPOCH_MS,
    RETENTION_MS,
    AQueue,
    a_message,
    a_queue,
    bodies,
)


@pytest.fixture
async def dead(storage: Storage) -> AQueue:
    """A dead-letter queue for standard queues."""
    return await a_queue(storage, "dead")


@pytest.fixture
async def fifo_dead(storage: Storage) -> AQueue:
    """A dead-letter queue for FIFO queues."""
    return await a_queue(storage, "dead.fifo", fifo=True)


async def test_the_receive_after_the_last_allowed_one_moves_the_message(
    queue: AQueue, dead: AQueue
) -> None:
    rule = dead.as_dead_letter_queue(max_receive_count=2)
    await queue.send("a", at=0)
    for _ in range(2):
        [claim] = await queue.receive(at=0, timeout_ms=0, dead_letter=rule)
        assert await dead.counts(at=0) == (0, 0, 0)
    assert await queue.receive(at=0, dead_letter=rule) == []
    assert await queue.counts(at=0) == (0, 0, 0)
    assert await dead.counts(at=0) == (1, 0, 0)
    assert await queue.delete(claim, at=0) == [Outcome.GONE]


async def test_a_moved_message_keeps_what_it_was(queue: AQueue, dead: AQueue) -> None:
    attributes = {"a": MessageAttribute("String", "x")}
    message = a_message("a", group_id="g", attributes=attributes, trace_header="Root=1")
    await queue.add(message, at=0)
    [claim] = await queue.receive(at=5)
    await queue.receive(at=30_005, dead_letter=dead.as_dead_letter_queue())
    [moved] = await dead.receive(at=30_006)

    assert moved == claim._replace(
        receive_count=2,
        claimed_at_ms=EPOCH_MS + 30_006,
        dead_letter_source_arn="arn:source",
    )


async def test_standard_a_moved_message_goes_on_ageing(queue: AQueue, dead: AQueue) -> None:
    await queue.send("a", at=0)
    await queue.receive(at=0, timeout_ms=0)
    await queue.receive(at=1_000, dead_letter=dead.as_dead_letter_queue())
    assert await dead.counts(at=RETENTION_MS - 1) == (1, 0, 0)
    assert await dead.counts(at=RETENTION_MS) == (0, 0, 0)


async def test_fifo_a_moved_message_is_enqueued_anew(fifo_queue: AQueue, fifo_dead: AQueue) -> None:
    message = a_message("a", group_id="g", deduplication_id="d")
    await fifo_queue.add(message, at=0)
    [claim] = await fifo_queue.receive(at=0, timeout_ms=0)
    await fifo_queue.receive(at=1_000, dead_letter=fifo_dead.as_dead_letter_queue())
    assert await fifo_dead.counts(at=RETENTION_MS) == (1, 0, 0)
    [moved] = await fifo_dead.receive(at=RETENTION_MS)

    assert moved.sequence > claim.sequence
    assert (moved.message_id, moved.deduplication_id) == ("id of a", "id of a")
    assert (moved.sent_at_ms, moved.receive_count, moved.group_id) == (EPOCH_MS, 2, "g")
    assert await fifo_dead.counts(at=RETENTION_MS + 1_000) == (0, 0, 0)


async def test_fifo_a_move_lets_the_group_go_on(fifo_queue: AQueue, fifo_dead: AQueue) -> None:
    await fifo_queue.send("g-1", "g-2", "h-1", at=0)
    await fifo_queue.receive(1, at=0, timeout_ms=0)
    rule = fifo_dead.as_dead_letter_queue()
    assert bodies(await fifo_queue.receive(at=0, dead_letter=rule)) == ["h-1", "g-2"]
    assert await fifo_dead.received(at=0) == ["g-1"]


async def test_fifo_a_move_does_not_unlock_the_group_there(
    fifo_queue: AQueue, fifo_dead: AQueue
) -> None:
    await fifo_dead.send("g-0", at=0)
    await fifo_dead.receive(at=0)
    await fifo_queue.send("g-1", at=0)
    await fifo_queue.receive(at=0, timeout_ms=0)
    await fifo_queue.receive(at=0, dead_letter=fifo_dead.as_dead_letter_queue())
    assert await fifo_dead.received(at=0) == []
    assert await fifo_dead.received(at=30_000) == ["g-0", "g-1"]


async def test_fifo_a_moved_group_comes_behind_those_that_fell_due_there_before(
    fifo_queue: AQueue, fifo_dead: AQueue
) -> None:
    await fifo_dead.send("h-1", at=0, delay_ms=1_000)
    await fifo_queue.send("g-1", at=0)
    await fifo_queue.receive(at=0, timeout_ms=0)
    await fifo_queue.receive(at=2_000, dead_letter=fifo_dead.as_dead_letter_queue())
    assert await fifo_dead.received(at=2_000) == ["h-1", "g-1"]


async def test_fresh_messages_are_handed_out_by_the_claim_that_moves_others(
    queue: AQueue, dead: AQueue
) -> None:
    await queue.send("old1", "old2", at=0)
    await queue.receive(at=0, timeout_ms=0)
    await queue.send("new", at=1)
    rule = dead.as_dead_letter_queue()
    assert bodies(await queue.receive(1, at=1, dead_letter=rule)) == ["new"]
    assert await dead.received(at=1) == ["old1", "old2"]


async def test_a_moved_message_does_not_use_up_its_groups_turn(queue: AQueue, dead: AQueue) -> None:
    await queue.send("a-1", at=0)
    await queue.receive(at=0, timeout_ms=0)
    await queue.send("a-2", "b-1", at=0)
    rule = dead.as_dead_letter_queue()
    assert bodies(await queue.receive(2, at=0, dead_letter=rule)) == ["a-2", "b-1"]


async def test_a_moved_group_joins_at_the_back_there(queue: AQueue, dead: AQueue) -> None:
    await queue.send("a-1", at=0)
    await queue.receive(at=0, timeout_ms=0)
    await dead.send("b-1", at=0)
    await queue.receive(at=0, dead_letter=dead.as_dead_letter_queue())
    assert await dead.received(at=0) == ["b-1", "a-1"]


async def test_a_queue_that_is_gone_or_the_queue_itself_gets_nothing(
    queue: AQueue, dead: AQueue
) -> None:
    await queue.send("a", at=0)
    await dead.drop(at=0)
    for rule in (dead.as_dead_letter_queue(), queue.as_dead_letter_queue()):
        for _ in range(2):
            claims = await queue.receive(at=0, timeout_ms=0, dead_letter=rule)
            assert bodies(claims) == ["a"]


async def test_a_move_is_told_to_the_dead_letter_queue(
    queue: AQueue, dead: AQueue, changes: list[tuple[int, int]]
) -> None:
    await queue.send("a", "b", at=0)
    await queue.receive(at=0, timeout_ms=0)
    changes.clear()
    await queue.receive(at=0, dead_letter=dead.as_dead_letter_queue())
    assert {queue_id for queue_id, _ in changes} == {dead.queue_id}
    assert sum(number for _, number in changes) == 2


async def test_at_the_limit_in_flight_nothing_moves(queue: AQueue, dead: AQueue) -> None:
    await queue.send("a", "b", at=0)
    await queue.receive(1, at=0, timeout_ms=0)
    await queue.receive(1, at=0)
    await queue.claim(at=0, in_flight_max=1, dead_letter=dead.as_dead_letter_queue())
    assert await dead.counts(at=0) == (0, 0, 0)


async def test_thousands_move_over_several_calls(queue: AQueue, dead: AQueue) -> None:
    """``again`` says that there is more; no message is handed out instead of moved."""
    await queue.add(*(a_message(str(number)) for number in range(2_100)), at=0)
    while await queue.receive(700, at=0, timeout_ms=1):
        pass
    await queue.send("fresh", at=1)
    rule = dead.as_dead_letter_queue()
    received: list[str] = []
    calls = 0
    while (claimed := await queue.claim(at=1, dead_letter=rule)) and (
        claimed.messages or claimed.again
    ):
        received += bodies(claimed.messages)
        calls += 1
    assert received == ["fresh"]
    assert calls > 1
    assert await dead.counts(at=1) == (2_100, 0, 0)


async def test_fifo_a_group_that_lost_its_head_and_was_served_is_locked(
    fifo_queue: AQueue, fifo_dead: AQueue, changes: list[tuple[int, int]]
) -> None:
    """It queues up at the back once it is unlocked, and that is told, as with any other group."""
    await fifo_queue.send("g-1", at=0)
    await fifo_queue.receive(at=0, timeout_ms=0)
    await fifo_queue.send("g-2", "g-3", at=0)
    rule = fifo_dead.as_dead_letter_queue()
    [claim] = await fifo_queue.receive(1, at=0, dead_letter=rule)
    await fifo_queue.send("h-1", at=0)
    changes.clear()
    await fifo_queue.delete(claim, at=0)
    assert changes == [(fifo_queue.queue_id, 1)]
    assert await fifo_queue.received(at=0) == ["h-1", "g-3"]
