"""Deleting messages by receipt."""

from storage.contract import Storage
from storage.records import Outcome, Receipt
from tests.storage.builders import RETENTION_MS, AQueue, a_queue


async def test_a_deleted_message_never_returns(queue: AQueue) -> None:
    await queue.send("a", at=0)
    [claim] = await queue.receive(at=0)
    assert await queue.delete(claim, at=0) == [Outcome.DONE]
    assert await queue.received(at=60_000) == []
    assert await queue.counts(at=60_000) == (0, 0, 0)


async def test_deleting_twice_is_gone(queue: AQueue, fifo_queue: AQueue) -> None:
    for each in (queue, fifo_queue):
        await each.send("g-a", at=0)
        [claim] = await each.receive(at=0)
        assert await each.delete(claim, claim, at=0) == [Outcome.DONE, Outcome.GONE]


async def test_outcomes_come_in_the_order_of_the_receipts(queue: AQueue) -> None:
    await queue.send("a", "b", at=0)
    first, second = await queue.receive(at=0)
    await queue.delete(second, at=0)
    assert await queue.delete(second, first, at=0) == [Outcome.GONE, Outcome.DONE]


async def test_standard_any_receipt_deletes(queue: AQueue) -> None:
    """One that has timed out, and one of an earlier hand-out, too."""
    await queue.send("a", "b", at=0)
    timed_out, old = await queue.receive(at=0)
    assert await queue.delete(timed_out, at=40_000) == [Outcome.DONE]
    assert await queue.received(at=40_000) == ["b"]
    assert await queue.delete(old, at=40_000) == [Outcome.DONE]
    assert await queue.counts(at=90_000) == (0, 0, 0)


async def test_standard_deleting_a_visible_message_takes_it_out_of_its_lane(
    queue: AQueue,
) -> None:
    await queue.send("a", "g-b", "g-c", at=0)
    claims = await queue.receive(at=0, timeout_ms=0)
    for claim in claims:
        await queue.delete(claim, at=0)
    assert await queue.received(at=0) == []


async def test_fifo_only_the_latest_hand_out_in_flight_deletes(fifo_queue: AQueue) -> None:
    await fifo_queue.send("g-a", at=0)
    [first] = await fifo_queue.receive(at=0)
    assert await fifo_queue.delete(first, at=30_000) == [Outcome.STALE]
    [second] = await fifo_queue.receive(at=30_000)
    assert await fifo_queue.delete(first, at=30_000) == [Outcome.STALE]
    assert await fifo_queue.delete(second, at=59_999) == [Outcome.DONE]


async def test_fifo_a_receipt_without_timeout_is_stale(fifo_queue: AQueue) -> None:
    await fifo_queue.send("g-a", at=0)
    [claim] = await fifo_queue.receive(at=0, timeout_ms=0)
    assert await fifo_queue.delete(claim, at=0) == [Outcome.STALE]


async def test_fifo_an_extended_hand_out_still_deletes(fifo_queue: AQueue) -> None:
    await fifo_queue.send("g-a", at=0)
    [claim] = await fifo_queue.receive(at=0)
    await fifo_queue.hide(claim, at=0, for_ms=60_000)
    assert await fifo_queue.delete(claim, at=40_000) == [Outcome.DONE]


async def test_an_expired_message_is_gone(queue: AQueue, fifo_queue: AQueue) -> None:
    for each in (queue, fifo_queue):
        await each.send("g-a", at=0)
        [claim] = await each.receive(at=0, timeout_ms=2 * RETENTION_MS)
        assert await each.delete(claim, at=RETENTION_MS) == [Outcome.GONE]


async def test_a_receipt_of_another_queue_deletes_nothing(storage: Storage, queue: AQueue) -> None:
    other = await a_queue(storage, "other")
    await queue.send("a", at=0)
    [claim] = await queue.receive(at=0)
    foreign = Receipt(other.queue_id, claim.sequence, 1, claim.claimed_at_ms)
    assert await storage.delete_messages([foreign], now_ms=claim.claimed_at_ms) == [Outcome.GONE]
    assert (await queue.counts(at=0)).in_flight == 1


async def test_deleting_nothing_answers_nothing(storage: Storage) -> None:
    assert await storage.delete_messages([], now_ms=0) == []
