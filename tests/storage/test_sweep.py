"""Sweeping: removing what nobody can see any more."""

from storage.contract import Storage
from tests.storage.builders import EPOCH_MS, RETENTION_MS, WINDOW_MS, AQueue, a_message


async def sweep_all(storage: Storage, *, at: int, limit: int = 100) -> int | None:
    """Sweep until there is nothing left to remove now."""
    for _ in range(1_000):
        next_ms = await storage.sweep(now_ms=EPOCH_MS + at, limit=limit)
        if next_ms != EPOCH_MS + at:
            return next_ms
    raise AssertionError("the sweep comes to no end")


async def test_an_empty_store_has_nothing_to_sweep(storage: Storage, queue: AQueue) -> None:
    assert await sweep_all(storage, at=0) is None


async def test_a_sweep_says_when_there_will_be_more(storage: Storage, queue: AQueue) -> None:
    """Early is fine, and then it says again; late would leave things lying about."""
    await queue.send("a", at=0)
    next_ms = await sweep_all(storage, at=1)
    assert next_ms is not None
    assert EPOCH_MS + 1 < next_ms <= EPOCH_MS + RETENTION_MS


async def test_a_sweep_comes_to_an_end(storage: Storage, queue: AQueue) -> None:
    await queue.add(*(a_message(str(number)) for number in range(250)), at=0)
    assert await sweep_all(storage, at=RETENTION_MS) is None
    assert await queue.counts(at=RETENTION_MS) == (0, 0, 0)


async def test_what_a_purge_and_a_deletion_left_is_swept(
    storage: Storage, queue: AQueue, fifo_queue: AQueue
) -> None:
    await queue.add(*(a_message(str(number)) for number in range(250)), at=0)
    await fifo_queue.add(
        *(a_message(str(n), group_id="g", deduplication_id=str(n)) for n in range(250)), at=0
    )
    await fifo_queue.claim(5, at=0, attempt_id="a")
    await queue.purge(at=0)
    await fifo_queue.drop(at=0)
    assert await storage.sweep(now_ms=EPOCH_MS + 1, limit=100) == EPOCH_MS + 1
    await sweep_all(storage, at=1)
    assert await sweep_all(storage, at=WINDOW_MS) is None
    assert await queue.counts(at=1) == (0, 0, 0)


async def test_closed_windows_are_swept(storage: Storage, fifo_queue: AQueue) -> None:
    message = a_message("a", group_id="g", deduplication_id="d")
    await fifo_queue.add(message, at=0)
    [claim] = (await fifo_queue.claim(at=0, attempt_id="a")).messages
    await fifo_queue.delete(claim, at=0)
    next_ms = await sweep_all(storage, at=1)
    assert next_ms is not None
    assert EPOCH_MS + 1 < next_ms <= EPOCH_MS + WINDOW_MS
    assert await sweep_all(storage, at=WINDOW_MS) in (None, EPOCH_MS + RETENTION_MS)


async def test_a_sweep_changes_no_answer(
    storage: Storage, queue: AQueue, fifo_queue: AQueue
) -> None:
    for each in (queue, fifo_queue):
        await each.send("a-1", "b-1", "a-2", at=0)
        await each.receive(1, at=0)
        await each.send("c-1", at=0, delay_ms=5_000)
        before = await each.counts(at=10)
        await sweep_all(storage, at=10)
        assert await each.counts(at=10) == before
    assert await queue.received(at=30_000) == ["b-1", "a-1", "c-1", "a-2"]
    assert await fifo_queue.received(at=30_000) == ["b-1", "c-1", "a-1", "a-2"]


async def test_a_sweep_leaves_what_is_there_now_alone(storage: Storage, queue: AQueue) -> None:
    await queue.send("old", at=0)
    await queue.purge(at=1)
    await queue.send("new", at=2)
    await sweep_all(storage, at=3)
    assert await queue.received(at=3) == ["new"]
