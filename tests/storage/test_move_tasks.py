"""Message move tasks: what is remembered of them, and moving."""

import pytest

from storage.contract import Storage
from storage.errors import UnknownQueue
from storage.records import Move, MoveTaskStatus
from tests.storage.builders import (
    EPOCH_MS,
    RETENTION_MS,
    AQueue,
    a_message,
    a_queue,
    a_task,
)


async def movable(queue: AQueue, *, at: int, limit: int = 10) -> list[int]:
    found = await queue.storage.peek_movable(queue.queue_id, limit=limit, now_ms=EPOCH_MS + at)
    return [each.sequence for each in found]


async def move(task_id: str, sequences: list[int], to: AQueue, *, at: int) -> int:
    moves = [Move(sequence, to.queue_id, f"new {sequence}") for sequence in sequences]
    return await to.storage.move_messages(task_id, moves, now_ms=EPOCH_MS + at)


async def test_a_source_has_one_unfinished_task(storage: Storage, queue: AQueue) -> None:
    assert await storage.create_move_task(a_task("1", queue))
    assert not await storage.create_move_task(a_task("2", queue))
    await storage.set_move_task_status("1", MoveTaskStatus.CANCELLING)
    assert not await storage.create_move_task(a_task("2", queue))
    await storage.set_move_task_status("1", MoveTaskStatus.CANCELLED)
    assert await storage.create_move_task(a_task("2", queue))


async def test_tasks_are_listed_latest_first(storage: Storage, queue: AQueue) -> None:
    other = await a_queue(storage, "other")
    for number in range(10):
        await storage.create_move_task(a_task(str(number), queue))
        await storage.set_move_task_status(str(number), MoveTaskStatus.COMPLETED)
    await storage.create_move_task(a_task("other", other))
    listed = await storage.list_move_tasks(queue.queue_id, limit=10)
    assert [task.task_id for task in listed] == list("9876543210")
    assert len(await storage.list_move_tasks(queue.queue_id, limit=3)) == 3


async def test_a_task_is_kept_as_it_was_given(storage: Storage, queue: AQueue) -> None:
    task = a_task("1", queue, destination_arn="arn:x", messages_per_second=5, to_move=7)
    await storage.create_move_task(task)
    assert await storage.get_move_task("1") == task
    assert await storage.get_move_task("2") is None


async def test_unfinished_tasks_are_listed_oldest_first(storage: Storage) -> None:
    for name in "abc":
        await storage.create_move_task(a_task(name, await a_queue(storage, name)))
    await storage.set_move_task_status("b", MoveTaskStatus.FAILED, failure_reason="why")
    await storage.set_move_task_status("a", MoveTaskStatus.CANCELLING)
    assert [task.task_id for task in await storage.unfinished_move_tasks()] == ["a", "c"]
    failed = await storage.get_move_task("b")
    assert failed is not None
    assert (failed.status, failed.failure_reason) == (MoveTaskStatus.FAILED, "why")


async def test_a_finished_task_changes_no_more(storage: Storage, queue: AQueue) -> None:
    await storage.create_move_task(a_task("1", queue))
    done = await storage.set_move_task_status("1", MoveTaskStatus.COMPLETED)
    assert done is not None
    assert done.status is MoveTaskStatus.COMPLETED
    assert await storage.set_move_task_status("1", MoveTaskStatus.CANCELLING) is None
    assert await storage.set_move_task_status("?", MoveTaskStatus.CANCELLING) is None
    assert await storage.get_move_task("1") == done


async def test_tasks_outlive_their_queue(storage: Storage, queue: AQueue) -> None:
    await storage.create_move_task(a_task("1", queue))
    await queue.drop(at=0)
    assert len(await storage.list_move_tasks(queue.queue_id, limit=10)) == 1


async def test_movable_is_what_could_be_received(queue: AQueue) -> None:
    await queue.send("plain1", "plain2", "a-1", "a-2", "b-1", at=0)
    await queue.send("late", at=0, delay_ms=1_000)
    await queue.receive(1, at=0, timeout_ms=500)
    assert len(await movable(queue, at=0)) == 4
    assert len(await movable(queue, at=500)) == 5
    assert len(await movable(queue, at=1_000, limit=3)) == 3


async def test_peeking_changes_no_order(queue: AQueue, fifo_queue: AQueue) -> None:
    texts = ["a-1", "b-1", "a-2", "b-2"]
    for each, expected in ((queue, ["a-1", "b-1", "a-2", "b-2"]), (fifo_queue, sorted(texts))):
        await each.send(*texts, at=0)
        first = await movable(each, at=0)
        assert await movable(each, at=0) == first
        assert (await movable(each, at=0, limit=1)) == first[:1]
        assert await each.received(at=0) == expected


async def test_fifo_movable_stops_at_the_first_hidden_message(fifo_queue: AQueue) -> None:
    await fifo_queue.send("g-1", "g-2", "g-3", "h-1", at=0)
    claims = await fifo_queue.receive(2, at=0)
    await fifo_queue.hide(claims[0], at=0, for_ms=0)
    h_1_and_g_1 = await movable(fifo_queue, at=0)
    assert len(h_1_and_g_1) == 2
    assert h_1_and_g_1[1] == claims[0].sequence


async def test_movable_names_the_queue_a_message_came_from(storage: Storage, queue: AQueue) -> None:
    dead = await a_queue(storage, "dead")
    await queue.send("a", at=0)
    await queue.receive(at=0, timeout_ms=0)
    await queue.receive(at=0, dead_letter=dead.as_dead_letter_queue())
    await dead.send("b", at=0)
    found = await storage.peek_movable(dead.queue_id, limit=10, now_ms=EPOCH_MS)
    assert [each.dead_letter_source_arn for each in found] == ["arn:source", None]


async def test_a_moved_message_is_a_new_one(storage: Storage, queue: AQueue) -> None:
    other = await a_queue(storage, "other", delay_ms=60_000)
    await queue.add(a_message("a", group_id="g", trace_header="Root=1"), at=0)
    [before] = await queue.receive(at=0, timeout_ms=0)
    await storage.create_move_task(a_task("1", queue, to_move=1))
    assert await move("1", await movable(queue, at=0), other, at=1_000) == 1

    assert await queue.counts(at=1_000) == (0, 0, 0)
    assert await other.counts(at=1_000) == (1, 0, 0)
    [after] = await other.receive(at=1_001)
    assert after.sequence > before.sequence
    assert after == before._replace(
        sequence=after.sequence,
        message_id=f"new {before.sequence}",
        sent_at_ms=EPOCH_MS + 1_000,
        first_received_at_ms=EPOCH_MS + 1_001,
        claimed_at_ms=EPOCH_MS + 1_001,
    )
    task = await storage.get_move_task("1")
    assert task is not None
    assert task.moved == 1


async def test_the_retention_of_a_moved_message_starts_anew(
    storage: Storage, queue: AQueue
) -> None:
    other = await a_queue(storage, "other")
    await queue.send("a", at=0)
    await storage.create_move_task(a_task("1", queue))
    await move("1", await movable(queue, at=0), other, at=1_000)
    assert await other.counts(at=RETENTION_MS + 999) == (1, 0, 0)
    assert await other.counts(at=RETENTION_MS + 1_000) == (0, 0, 0)


async def test_moving_does_not_deduplicate(storage: Storage, fifo_queue: AQueue) -> None:
    other = await a_queue(storage, "other.fifo", fifo=True)
    message = a_message("a", group_id="g", deduplication_id="d")
    await fifo_queue.add(message, at=0)
    await other.add(message, at=0)
    await storage.create_move_task(a_task("1", fifo_queue))
    assert await move("1", await movable(fifo_queue, at=0), other, at=0) == 1
    claims = await other.receive(at=0)
    assert [claim.deduplication_id for claim in claims] == ["d", "d"]


async def test_what_is_no_longer_visible_is_passed_over(storage: Storage, queue: AQueue) -> None:
    other = await a_queue(storage, "other")
    await queue.send("flying", "deleted", "there", at=0)
    sequences = await movable(queue, at=0)
    _, deleted = await queue.receive(2, at=0)
    await queue.delete(deleted, at=0)
    await storage.create_move_task(a_task("1", queue))
    assert await move("1", sequences, other, at=0) == 1
    assert await other.received(at=0) == ["there"]
    assert await move("1", sequences, other, at=RETENTION_MS) == 0


async def test_a_task_that_does_not_run_moves_nothing(storage: Storage, queue: AQueue) -> None:
    other = await a_queue(storage, "other")
    await queue.send("a", at=0)
    await storage.create_move_task(a_task("1", queue))
    await storage.set_move_task_status("1", MoveTaskStatus.CANCELLING)
    assert await move("1", await movable(queue, at=0), other, at=0) == 0
    assert await queue.counts(at=0) == (1, 0, 0)


async def test_a_missing_destination_keeps_everything_in_place(
    storage: Storage, queue: AQueue
) -> None:
    other, gone = await a_queue(storage, "other"), await a_queue(storage, "gone")
    await gone.drop(at=0)
    await queue.send("a", "b", at=0)
    await storage.create_move_task(a_task("1", queue))
    first, second = await movable(queue, at=0)
    moves = [Move(first, other.queue_id, "x"), Move(second, gone.queue_id, "y")]
    with pytest.raises(UnknownQueue):
        await storage.move_messages("1", moves, now_ms=EPOCH_MS)
    assert await queue.received(at=0) == ["a", "b"]
    assert await other.counts(at=0) == (0, 0, 0)
    task = await storage.get_move_task("1")
    assert task is not None
    assert task.moved == 0


async def test_fifo_moving_the_head_lets_the_group_go_on(
    storage: Storage, fifo_queue: AQueue
) -> None:
    other = await a_queue(storage, "other.fifo", fifo=True)
    await fifo_queue.send("g-1", "g-2", at=0)
    await storage.create_move_task(a_task("1", fifo_queue))
    await move("1", await movable(fifo_queue, at=0, limit=1), other, at=0)
    assert await fifo_queue.received(at=0) == ["g-2"]
    assert await other.received(at=0) == ["g-1"]


async def test_fifo_a_group_whose_head_moved_away_waits_for_the_next_one(
    storage: Storage, fifo_queue: AQueue
) -> None:
    other = await a_queue(storage, "other.fifo", fifo=True)
    await fifo_queue.send("g-1", "g-2", at=0)
    first, _ = await fifo_queue.receive(at=0, timeout_ms=30_000)
    await fifo_queue.hide(first, at=0, for_ms=0)
    await storage.create_move_task(a_task("1", fifo_queue))
    assert await move("1", await movable(fifo_queue, at=0), other, at=0) == 1
    await fifo_queue.send("h-1", at=1)
    assert await fifo_queue.received(at=30_000) == ["h-1", "g-2"]


async def test_a_move_is_told_to_the_destination(
    storage: Storage, queue: AQueue, changes: list[tuple[int, int]]
) -> None:
    other = await a_queue(storage, "other")
    await queue.send("a", "b", at=0)
    await storage.create_move_task(a_task("1", queue))
    changes.clear()
    await move("1", await movable(queue, at=0), other, at=0)
    assert {queue_id for queue_id, _ in changes} == {other.queue_id}
    assert sum(number for _, number in changes) == 2
