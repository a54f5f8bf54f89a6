"""Purging a queue."""

from storage.contract import EVERYBODY
from storage.records import Outcome
from tests.storage.builders import EPOCH_MS, AQueue, a_message


async def test_a_purge_removes_visible_delayed_and_flying_messages(
    queue: AQueue, fifo_queue: AQueue
) -> None:
    for each in (queue, fifo_queue):
        await each.send("a-1", "b-1", at=0)
        await each.send("c-1", at=0, delay_ms=1_000)
        [claim] = await each.receive(1, at=0)
        await each.purge(at=0)
        assert await each.counts(at=0) == (0, 0, 0)
        assert await each.received(at=60_000) == []
        assert await each.delete(claim, at=0) == [Outcome.GONE]


async def test_a_purged_queue_works_on(queue: AQueue, fifo_queue: AQueue) -> None:
    for each in (queue, fifo_queue):
        await each.send("g-1", at=0)
        await each.receive(at=0)
        await each.purge(at=1)
        await each.send("g-2", at=1)
        assert await each.received(at=1) == ["g-2"]
        assert await each.counts(at=1) == (0, 1, 0)


async def test_a_purge_forgets_the_deduplication_history(fifo_queue: AQueue) -> None:
    message = a_message("a", group_id="g", deduplication_id="d")
    await fifo_queue.add(message, at=0)
    await fifo_queue.purge(at=1)
    assert await fifo_queue.add(message, at=1) == [("id of a", False)]


async def test_a_purge_gives_the_record_a_new_content(queue: AQueue) -> None:
    before = await queue.record()
    await queue.purge(at=5)
    after = await queue.record()
    assert after.content_id != before.content_id
    assert after.purged_at_ms == EPOCH_MS + 5
    assert (after.queue_id, after.settings) == (before.queue_id, before.settings)
    assert after.modified_at_ms == before.modified_at_ms


async def test_a_purge_leaves_other_queues_alone(queue: AQueue, fifo_queue: AQueue) -> None:
    await queue.send("a", at=0)
    await fifo_queue.purge(at=0)
    assert await queue.received(at=0) == ["a"]


async def test_a_purge_is_told(queue: AQueue, changes: list[tuple[int, int]]) -> None:
    await queue.purge(at=0)
    assert changes == [(queue.queue_id, EVERYBODY)]
