"""Counting messages, exactly."""

from tests.storage.builders import AQueue


async def test_a_new_queue_counts_nothing(queue: AQueue) -> None:
    assert await queue.counts(at=0) == (0, 0, 0)


async def test_each_message_is_counted_once(queue: AQueue, fifo_queue: AQueue) -> None:
    for each in (queue, fifo_queue):
        await each.send("a-1", "b-1", "c-1", at=0)
        await each.send("d-1", "e-1", at=0, delay_ms=1_000)
        await each.receive(1, at=0)
        counts = await each.counts(at=0)
        assert (counts.visible, counts.in_flight, counts.delayed) == (2, 1, 2)


async def test_counts_follow_time(queue: AQueue) -> None:
    await queue.send("a", at=0)
    await queue.send("b", at=0, delay_ms=1_000)
    await queue.receive(at=0)
    assert await queue.counts(at=999) == (0, 1, 1)
    assert await queue.counts(at=1_000) == (1, 1, 0)
    assert await queue.counts(at=30_000) == (2, 0, 0)


async def test_messages_of_a_locked_group_are_visible(fifo_queue: AQueue) -> None:
    await fifo_queue.send("g-1", "g-2", at=0)
    await fifo_queue.receive(1, at=0)
    assert await fifo_queue.counts(at=0) == (1, 1, 0)


async def test_a_message_received_without_timeout_is_visible(queue: AQueue) -> None:
    await queue.send("a", at=0)
    await queue.receive(at=0, timeout_ms=0)
    assert await queue.counts(at=0) == (1, 0, 0)


async def test_deleting_a_visible_message_counts(queue: AQueue) -> None:
    await queue.send("a", "b", at=0)
    claim, _ = await queue.receive(at=0, timeout_ms=0)
    await queue.delete(claim, at=0)
    assert await queue.counts(at=0) == (1, 0, 0)
