"""SQLite: transactions that calls share, and what happens when one of them, or the disk, fails."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import apsw
import pytest

from storage.errors import StoreBroken, StoreUnwritable, UnknownQueue
from storage.records import QueueKey, QueueSettings, Receipt
from storage.sqlite import SQLiteStorage
from tests.storage.builders import EPOCH_MS, a_message
from tests.storage.faulty_disk import FaultyDisk, faulty_disk

NOW_MS = EPOCH_MS


@pytest.fixture
def disk() -> Iterator[FaultyDisk]:
    with faulty_disk() as disk:
        yield disk


@pytest.fixture
async def store(tmp_path: Path, disk: FaultyDisk) -> AsyncIterator[SQLiteStorage]:
    store = SQLiteStorage(tmp_path / "headrace.db", strict=True)
    await store.open()
    yield store
    disk.failing = False
    await store.close()


@pytest.fixture
async def queue_id(store: SQLiteStorage) -> int:
    key = QueueKey("000000000000", "us-east-1", "queue")
    record, _ = await store.create_queue(key, QueueSettings(), {}, now_ms=NOW_MS)
    return record.queue_id


async def send(store: SQLiteStorage, queue_id: int, body: str) -> None:
    await store.add_messages(
        [(queue_id, a_message(body))], now_ms=NOW_MS, deduplication_window_ms=0
    )


async def visible(store: SQLiteStorage, queue_id: int) -> int:
    return (await store.count_messages(queue_id, now_ms=NOW_MS)).visible


async def test_an_answer_comes_after_its_flush(
    store: SQLiteStorage, queue_id: int, disk: FaultyDisk
) -> None:
    before = disk.flushes
    await send(store, queue_id, "a")
    assert disk.flushes == before + 1


async def test_calls_that_arrive_together_share_a_flush(
    store: SQLiteStorage, queue_id: int, disk: FaultyDisk
) -> None:
    before = disk.flushes
    await asyncio.gather(*(send(store, queue_id, str(n)) for n in range(50)))
    assert disk.flushes == before + 1
    assert await visible(store, queue_id) == 50


async def test_reads_and_empty_claims_cause_no_flush(
    store: SQLiteStorage, queue_id: int, disk: FaultyDisk
) -> None:
    before = disk.flushes
    await store.count_messages(queue_id, now_ms=NOW_MS)
    claimed = await store.claim_messages(
        queue_id, limit=10, now_ms=NOW_MS, hidden_until_ms=NOW_MS + 1, in_flight_max=10
    )
    await store.delete_messages([Receipt(queue_id, 7, 1, NOW_MS)], now_ms=NOW_MS)
    await store.peek_movable(queue_id, limit=10, now_ms=NOW_MS)
    assert claimed.messages == []
    assert disk.flushes == before


async def test_a_refused_call_does_not_touch_the_others_of_its_transaction(
    store: SQLiteStorage, queue_id: int
) -> None:
    good, refused, good_too = await asyncio.gather(
        send(store, queue_id, "a"),
        send(store, 12345, "b"),
        send(store, queue_id, "c"),
        return_exceptions=True,
    )
    assert (good, good_too) == (None, None)
    assert isinstance(refused, UnknownQueue)
    assert await visible(store, queue_id) == 2


async def test_a_bug_in_one_call_does_not_touch_the_others_of_its_transaction(
    store: SQLiteStorage, queue_id: int
) -> None:
    def half_done() -> None:
        store._execute("DELETE FROM messages")
        raise RuntimeError("a bug")

    await send(store, queue_id, "before")
    answers = await asyncio.gather(
        send(store, queue_id, "a"),
        store._run(half_done),
        send(store, queue_id, "c"),
        return_exceptions=True,
    )
    assert [type(answer) for answer in answers] == [type(None), RuntimeError, type(None)]
    assert await visible(store, queue_id) == 3


async def test_a_full_disk_refuses_and_the_store_goes_on(
    store: SQLiteStorage, queue_id: int
) -> None:
    assert store._connection is not None
    await send(store, queue_id, "before")
    pages = store._connection.pragma("page_count")
    store._connection.pragma("max_page_count", pages + 2)
    with pytest.raises(StoreUnwritable):
        await send(store, queue_id, "x" * 100_000)
    assert await visible(store, queue_id) == 1
    store._connection.pragma("max_page_count", pages + 1_000)
    await send(store, queue_id, "x" * 100_000)
    assert await visible(store, queue_id) == 2


async def test_a_file_locked_by_another_program_refuses_and_the_store_goes_on(
    store: SQLiteStorage, queue_id: int, tmp_path: Path
) -> None:
    assert store._connection is not None
    store._connection.set_busy_timeout(1)
    other = apsw.Connection(str(tmp_path / "headrace.db"))
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreUnwritable):
        await send(store, queue_id, "a")
    other.execute("ROLLBACK")
    other.close()
    await send(store, queue_id, "b")
    assert await visible(store, queue_id) == 1


async def test_after_a_failed_flush_nothing_is_accepted(
    store: SQLiteStorage, queue_id: int, disk: FaultyDisk
) -> None:
    """The kernel may have dropped what it could not write: a later success would prove nothing."""
    disk.failing = True
    with pytest.raises(StoreBroken):
        await send(store, queue_id, "a")
    disk.failing = False
    with pytest.raises(StoreBroken):
        await send(store, queue_id, "b")


async def test_what_waits_for_a_failed_flush_is_refused_too(
    store: SQLiteStorage, queue_id: int, disk: FaultyDisk
) -> None:
    disk.failing = True
    first = asyncio.ensure_future(send(store, queue_id, "a"))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    answers = await asyncio.gather(first, send(store, queue_id, "b"), return_exceptions=True)
    assert [type(answer) for answer in answers] == [StoreBroken, StoreBroken]


async def test_a_caller_that_gives_up_does_not_disturb_its_transaction(
    store: SQLiteStorage, queue_id: int
) -> None:
    gave_up = asyncio.ensure_future(send(store, queue_id, "a"))
    other = asyncio.ensure_future(send(store, queue_id, "b"))
    await asyncio.sleep(0)
    gave_up.cancel()
    await other
    assert await visible(store, queue_id) in (1, 2)


async def test_relaxed_answers_without_a_flush(tmp_path: Path, disk: FaultyDisk) -> None:
    store = SQLiteStorage(tmp_path / "relaxed.db", strict=False)
    await store.open()
    key = QueueKey("000000000000", "us-east-1", "queue")
    record, _ = await store.create_queue(key, QueueSettings(), {}, now_ms=NOW_MS)
    before = disk.flushes
    await send(store, record.queue_id, "a")
    assert disk.flushes == before
    await store.close()


async def test_the_runtime_brings_a_sqlite_without_the_wal_reset_bug() -> None:
    assert tuple(map(int, apsw.sqlite_lib_version().split("."))) >= (3, 51, 3)
