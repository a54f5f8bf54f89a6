"""Changing for how long a message stays hidden."""

from storage.records import Outcome
from tests.storage.builders import RETENTION_MS, AQueue


async def test_a_timeout_can_be_extended(queue: AQueue) -> None:
    await queue.send("a", at=0)
    [claim] = await queue.receive(at=0)
    assert await queue.hide(claim, at=29_999, for_ms=30_000) == [Outcome.DONE]
    assert await queue.received(at=59_998) == []
    assert await queue.received(at=59_999) == ["a"]


async def test_a_timeout_can_be_cut_short(queue: AQueue) -> None:
    await queue.send("a", at=0)
    [claim] = await queue.receive(at=0)
    await queue.hide(claim, at=0, for_ms=1_000)
    assert await queue.received(at=999) == []
    assert await queue.received(at=1_000) == ["a"]


async def test_zero_shows_the_message_at_once(queue: AQueue, fifo_queue: AQueue) -> None:
    for each in (queue, fifo_queue):
        await each.send("g-a", at=0)
        [claim] = await each.receive(at=0)
        assert await each.hide(claim, at=5, for_ms=0) == [Outcome.DONE]
        assert await each.counts(at=5) == (1, 0, 0)
        assert await each.received(at=5) == ["g-a"]


async def test_a_change_counts_no_receive(queue: AQueue) -> None:
    await queue.send("a", at=0)
    [claim] = await queue.receive(at=0)
    await queue.hide(claim, at=0, for_ms=0)
    [again] = await queue.receive(at=0)
    assert again.receive_count == 2


async def test_standard_a_visible_message_is_left_alone(queue: AQueue) -> None:
    await queue.send("a", "b", at=0)
    timed_out, shown = await queue.receive(at=0)
    await queue.hide(shown, at=0, for_ms=0)
    assert await queue.hide(shown, at=0, for_ms=60_000) == [Outcome.VISIBLE]
    assert await queue.hide(timed_out, at=30_000, for_ms=60_000) == [Outcome.VISIBLE]
    assert await queue.received(at=30_000) == ["a", "b"]


async def test_standard_an_old_receipt_changes_the_current_hand_out(queue: AQueue) -> None:
    await queue.send("a", at=0)
    [old] = await queue.receive(at=0, timeout_ms=0)
    await queue.receive(at=0)
    assert await queue.hide(old, at=0, for_ms=0) == [Outcome.DONE]
    assert await queue.received(at=0) == ["a"]


async def test_fifo_only_the_latest_hand_out_in_flight_changes(fifo_queue: AQueue) -> None:
    await fifo_queue.send("g-a", at=0)
    [first] = await fifo_queue.receive(at=0)
    assert await fifo_queue.hide(first, at=30_000, for_ms=1) == [Outcome.STALE]
    [second] = await fifo_queue.receive(at=30_000)
    assert await fifo_queue.hide(first, at=30_000, for_ms=0) == [Outcome.STALE]
    assert await fifo_queue.hide(second, at=30_000, for_ms=0) == [Outcome.DONE]


async def test_a_deleted_or_expired_message_is_gone(queue: AQueue, fifo_queue: AQueue) -> None:
    for each in (queue, fifo_queue):
        await each.send("g-a", "h-b", at=0)
        deleted, expired = await each.receive(at=0, timeout_ms=2 * RETENTION_MS)
        await each.delete(deleted, at=0)
        assert await each.hide(deleted, at=0, for_ms=9) == [Outcome.GONE]
        assert await each.hide(expired, at=RETENTION_MS, for_ms=9) == [Outcome.GONE]


async def test_each_change_of_a_batch_stands_for_itself(queue: AQueue) -> None:
    await queue.send("a", "b", at=0)
    first, second = await queue.receive(at=0)
    await queue.delete(first, at=0)
    assert await queue.hide(first, second, at=0, for_ms=0) == [Outcome.GONE, Outcome.DONE]


async def test_a_change_is_told_and_a_refusal_is_not(
    queue: AQueue, changes: list[tuple[int, int]]
) -> None:
    await queue.send("a", at=0)
    [claim] = await queue.receive(at=0)
    changes.clear()
    await queue.hide(claim, at=0, for_ms=0)
    assert changes == [(queue.queue_id, 1)]
    await queue.hide(claim, at=0, for_ms=0)
    assert changes == [(queue.queue_id, 1)]


async def test_a_message_shown_goes_before_younger_ones(queue: AQueue) -> None:
    await queue.send("a", "b", "c", at=0)
    [claim] = await queue.receive(1, at=0)
    await queue.hide(claim, at=0, for_ms=0)
    assert await queue.received(at=0) == ["a", "b", "c"]
