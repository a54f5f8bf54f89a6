"""Retention: what is too old does not exist."""

from storage.contract import EVERYBODY, Storage
from tests.storage.builders import RETENTION_MS, AQueue, a_message, a_queue


async def test_a_message_expires_at_its_moment(queue: AQueue, fifo_queue: AQueue) -> None:
    for each in (queue, fifo_queue):
        await each.send("g-a", at=0)
        assert await each.counts(at=RETENTION_MS - 1) == (1, 0, 0)
        assert await each.received(at=RETENTION_MS) == []
        assert await each.counts(at=RETENTION_MS) == (0, 0, 0)


async def test_hidden_messages_expire_too(queue: AQueue, fifo_queue: AQueue) -> None:
    for each in (queue, fifo_queue):
        await each.send("g-a", at=0)
        await each.send("h-b", at=0, delay_ms=2 * RETENTION_MS)
        await each.receive(at=0, timeout_ms=2 * RETENTION_MS)
        assert await each.counts(at=RETENTION_MS - 1) == (0, 1, 1)
        assert await each.counts(at=RETENTION_MS) == (0, 0, 0)
        assert await each.received(at=3 * RETENTION_MS) == []


async def test_a_shorter_retention_holds_for_messages_that_are_there(queue: AQueue) -> None:
    await queue.send("visible", "flying", at=0)
    await queue.send("young", at=61_000)
    await queue.receive(1, at=0, timeout_ms=200_000)
    await queue.change(at=100_000, message_retention_period_ms=60_000)
    assert await queue.counts(at=100_000) == (1, 0, 0)
    assert await queue.received(at=100_000) == ["young"]
    assert (await queue.claim(at=100_000)).next_due_at_ms is not None


async def test_a_longer_retention_keeps_messages(queue: AQueue) -> None:
    await queue.send("a", at=0)
    await queue.change(at=1, message_retention_period_ms=2 * RETENTION_MS)
    assert await queue.counts(at=2 * RETENTION_MS - 1) == (1, 0, 0)
    assert await queue.counts(at=2 * RETENTION_MS) == (0, 0, 0)


async def test_a_longer_retention_brings_nothing_back(queue: AQueue, fifo_queue: AQueue) -> None:
    for each in (queue, fifo_queue):
        await each.send("g-a", "h-b", at=0)
        await each.receive(1, at=0, timeout_ms=4 * RETENTION_MS)
        await each.change(at=RETENTION_MS, message_retention_period_ms=3 * RETENTION_MS)
        assert await each.counts(at=RETENTION_MS) == (0, 0, 0)


async def test_a_change_of_retention_is_told(queue: AQueue, changes: list[tuple[int, int]]) -> None:
    await queue.change(at=0, message_retention_period_ms=60_000)
    assert changes == [(queue.queue_id, EVERYBODY)]


async def test_expiry_unlocks_a_fifo_group(fifo_queue: AQueue) -> None:
    await fifo_queue.send("g-1", at=0)
    await fifo_queue.receive(at=0, timeout_ms=2 * RETENTION_MS)
    await fifo_queue.send("g-2", at=1)
    assert await fifo_queue.received(at=RETENTION_MS - 1) == []
    assert await fifo_queue.received(at=RETENTION_MS) == ["g-2"]


async def test_no_expired_message_is_handed_out_however_many_there_are(
    storage: Storage,
) -> None:
    for kind in (False, True):
        queue = await a_queue(storage, f"many-{kind}", fifo=kind)
        old = [a_message(str(number), group_id=str(number % 7)) for number in range(2_500)]
        await queue.add(*old, at=0)
        await queue.send("g-young", at=1)
        received: list[str] = []
        while (claimed := await queue.claim(at=RETENTION_MS)) and (
            claimed.messages or claimed.again
        ):
            received += [message.body for message in claimed.messages]
        assert received == ["g-young"]


async def test_counts_leave_out_everything_expired_however_much(queue: AQueue) -> None:
    await queue.add(*(a_message(str(number)) for number in range(2_500)), at=0)
    await queue.receive(1_200, at=0, timeout_ms=2 * RETENTION_MS)
    await queue.send("young", at=1)
    assert await queue.counts(at=RETENTION_MS) == (1, 0, 0)
