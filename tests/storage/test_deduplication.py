"""FIFO deduplication: accepted ids, for as long as their window is open."""

import pytest

from storage.contract import Storage
from tests.storage.builders import WINDOW_MS, AQueue, a_message, a_queue


async def test_a_duplicate_names_the_message_accepted_first(fifo_queue: AQueue) -> None:
    first = a_message("first", group_id="g", deduplication_id="d")
    second = a_message("second", group_id="g", deduplication_id="d")
    assert await fifo_queue.add(first, at=0) == [("id of first", False)]
    assert await fifo_queue.add(second, at=1) == [("id of first", True)]
    assert await fifo_queue.received(at=1) == ["first"]


async def test_a_duplicate_has_the_sequence_of_the_first(storage: Storage) -> None:
    queue = await a_queue(storage, "a.fifo", fifo=True)
    message = a_message("first", group_id="g", deduplication_id="d")
    first, second = await storage.add_messages(
        [(queue.queue_id, message)] * 2, now_ms=0, deduplication_window_ms=WINDOW_MS
    )
    assert (first.duplicate, second.duplicate) == (False, True)
    assert first.sequence == second.sequence


async def test_the_window_runs_from_the_first_acceptance(fifo_queue: AQueue) -> None:
    """Duplicates do not extend it."""
    again = [a_message(str(n), group_id="g", deduplication_id="d") for n in range(4)]
    await fifo_queue.add(again[0], at=0)
    assert await fifo_queue.add(again[1], at=WINDOW_MS - 1) == [("id of 0", True)]
    assert await fifo_queue.add(again[2], at=WINDOW_MS) == [("id of 2", False)]
    assert await fifo_queue.add(again[3], at=WINDOW_MS + 1) == [("id of 2", True)]


async def test_the_window_outlives_the_message(fifo_queue: AQueue) -> None:
    message = a_message("a", group_id="g", deduplication_id="d")
    await fifo_queue.add(message, at=0)
    [claim] = await fifo_queue.receive(at=0)
    await fifo_queue.delete(claim, at=0)
    assert await fifo_queue.add(message, at=1) == [("id of a", True)]


@pytest.mark.parametrize(("scope", "duplicate"), [("queue", True), ("messageGroup", False)])
async def test_groups_share_ids_unless_the_scope_is_the_group(
    storage: Storage, scope: str, duplicate: bool
) -> None:
    queue = await a_queue(storage, "a.fifo", fifo=True, deduplication_scope=scope)
    await queue.add(a_message("a", group_id="g", deduplication_id="d"), at=0)
    [(_, answer)] = await queue.add(a_message("b", group_id="h", deduplication_id="d"), at=0)
    assert answer is duplicate
    [(_, same_group)] = await queue.add(a_message("c", group_id="g", deduplication_id="d"), at=0)
    assert same_group


async def test_queues_do_not_share_ids(storage: Storage, fifo_queue: AQueue) -> None:
    other = await a_queue(storage, "other.fifo", fifo=True)
    message = a_message("a", group_id="g", deduplication_id="d")
    await fifo_queue.add(message, at=0)
    assert await other.add(message, at=0) == [("id of a", False)]


async def test_standard_queues_do_not_deduplicate(queue: AQueue) -> None:
    message = a_message("a", deduplication_id="d")
    assert await queue.add(message, message, at=0) == [("id of a", False)] * 2


async def test_a_duplicate_tells_nothing(
    fifo_queue: AQueue, changes: list[tuple[int, int]]
) -> None:
    message = a_message("a", group_id="g", deduplication_id="d")
    await fifo_queue.add(message, at=0)
    changes.clear()
    await fifo_queue.add(message, at=1)
    assert changes == []


async def test_a_sweep_forgets_no_open_window(storage: Storage, fifo_queue: AQueue) -> None:
    message = a_message("a", group_id="g", deduplication_id="d")
    await fifo_queue.add(message, at=0)
    record = await fifo_queue.record()
    await storage.sweep(now_ms=record.created_at_ms + WINDOW_MS - 1, limit=100)
    assert await fifo_queue.add(message, at=WINDOW_MS - 1) == [("id of a", True)]
