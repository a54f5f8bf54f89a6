"""What a durable store still knows after it was closed and opened again: everything."""

from collections.abc import Awaitable, Callable
from dataclasses import replace

from storage.contract import Storage
from storage.records import MessageAttribute, MoveTaskStatus, Outcome, RedrivePolicy
from tests.storage.builders import (
    EPOCH_MS,
    RETENTION_MS,
    WINDOW_MS,
    AQueue,
    a_message,
    a_queue,
    a_task,
    bodies,
)

Reopen = Callable[[AQueue], Awaitable[AQueue]]


async def test_queues_survive(storage: Storage, reopen: Reopen) -> None:
    queue = await a_queue(storage, redrive_policy=RedrivePolicy("arn:dead", 3), delay_ms=5)
    old = await queue.record()
    await storage.replace_queue(old, replace(old, tags={"k": "v"}, modified_at_ms=EPOCH_MS + 1))
    await queue.purge(at=2)
    record = await queue.record()
    assert await (await reopen(queue)).record() == record


async def test_messages_survive_as_they_were_sent(queue: AQueue, reopen: Reopen) -> None:
    attributes = {
        "text": MessageAttribute("String", "\N{ROCKET}"),
        "bytes": MessageAttribute("Binary", b"\x00\xff"),
    }
    message = a_message("a\r\n", group_id="g", attributes=attributes, trace_header="Root=1")
    await queue.add(message, at=0)
    [before] = await queue.receive(at=0, timeout_ms=0)
    [after] = await (await reopen(queue)).receive(at=0)
    assert after == before._replace(receive_count=2)


async def test_hand_outs_survive(queue: AQueue, fifo_queue: AQueue, reopen: Reopen) -> None:
    await fifo_queue.send("g-1", "g-2", at=0)
    [claim] = await fifo_queue.receive(1, at=0)
    again = await reopen(fifo_queue)
    assert await again.received(at=29_999) == []
    assert await again.delete(claim, at=29_999) == [Outcome.DONE]
    assert await again.received(at=29_999) == ["g-2"]


async def test_counts_and_due_times_survive(queue: AQueue, reopen: Reopen) -> None:
    await queue.send("a", "b-1", "c-1", at=0)
    await queue.send("d", at=0, delay_ms=40_000)
    await queue.receive(2, at=0)
    again = await reopen(queue)
    assert await again.counts(at=1) == (1, 2, 1)
    assert await again.received(at=1) == ["c-1"]
    claimed = await again.claim(at=2)
    assert claimed.next_due_at_ms is not None
    assert EPOCH_MS + 2 < claimed.next_due_at_ms <= EPOCH_MS + 30_000
    assert await again.counts(at=50_000) == (4, 0, 0)


async def test_what_fell_due_meanwhile_is_there(fifo_queue: AQueue, reopen: Reopen) -> None:
    await fifo_queue.send("g-1", "h-1", at=0)
    await fifo_queue.receive(1, at=0, timeout_ms=2_000)
    await fifo_queue.receive(1, at=0, timeout_ms=1_000)
    assert await (await reopen(fifo_queue)).received(at=5_000) == ["h-1", "g-1"]


async def test_what_expired_meanwhile_is_not(queue: AQueue, reopen: Reopen) -> None:
    await queue.send("a", "b-1", at=0)
    assert await (await reopen(queue)).counts(at=RETENTION_MS) == (0, 0, 0)


async def test_the_order_of_groups_survives(
    storage: Storage, fifo_queue: AQueue, reopen: Reopen
) -> None:
    await fifo_queue.send("g1-m1", "g2-m1", "g2-m2", "g3-m1", "g1-m2", at=0)
    await fifo_queue.receive(3, at=0, timeout_ms=0)
    again = await reopen(fifo_queue)
    assert await again.received(at=0) == ["g3-m1", "g1-m1", "g1-m2", "g2-m1", "g2-m2"]


async def test_fair_turns_survive(queue: AQueue, reopen: Reopen) -> None:
    await queue.send("a-1", "a-2", "b-1", "b-2", at=0)
    assert await queue.received(1, at=0) == ["a-1"]
    assert await (await reopen(queue)).received(3, at=0) == ["b-1", "a-2", "b-2"]


async def test_deduplication_survives(fifo_queue: AQueue, reopen: Reopen) -> None:
    message = a_message("a", group_id="g", deduplication_id="d")
    await fifo_queue.add(message, at=0)
    again = await reopen(fifo_queue)
    assert await again.add(message, at=WINDOW_MS - 1) == [("id of a", True)]
    assert await again.add(message, at=WINDOW_MS) == [("id of a", False)]


async def test_receive_attempts_survive(fifo_queue: AQueue, reopen: Reopen) -> None:
    await fifo_queue.send("g-1", "g-2", at=0)
    first = await fifo_queue.claim(1, at=0, attempt_id="a")
    assert await (await reopen(fifo_queue)).claim(1, at=1, attempt_id="a") == first


async def test_dead_letters_survive(storage: Storage, queue: AQueue, reopen: Reopen) -> None:
    dead = await a_queue(storage, "dead")
    await queue.send("a", at=0)
    await queue.receive(at=0, timeout_ms=0)
    await queue.receive(at=0, dead_letter=dead.as_dead_letter_queue())
    [claim] = await (await reopen(dead)).receive(at=0)
    assert (claim.receive_count, claim.dead_letter_source_arn) == (2, "arn:source")


async def test_sequences_go_on_rising(queue: AQueue, reopen: Reopen) -> None:
    await queue.send("a", at=0)
    again = await reopen(queue)
    await again.send("b", at=0)
    first, second = await again.receive(at=0)
    assert bodies([first, second]) == ["a", "b"]
    assert second.sequence > first.sequence


async def test_move_tasks_survive(storage: Storage, queue: AQueue, reopen: Reopen) -> None:
    await storage.create_move_task(a_task("1", queue, messages_per_second=3))
    await storage.set_move_task_status("1", MoveTaskStatus.FAILED, failure_reason="why")
    await storage.create_move_task(a_task("2", queue, destination_arn="arn:x"))
    before = await storage.list_move_tasks(queue.queue_id, limit=10)
    again = (await reopen(queue)).storage
    assert await again.list_move_tasks(queue.queue_id, limit=10) == before
    assert [task.task_id for task in await again.unfinished_move_tasks()] == ["2"]


async def test_secrets_survive(storage: Storage, queue: AQueue, reopen: Reopen) -> None:
    await storage.keep_secret("receipts", b"\x00secret")
    again = (await reopen(queue)).storage
    assert await again.keep_secret("receipts", b"other") == b"\x00secret"


async def test_the_moment_of_a_deletion_survives(
    storage: Storage, queue: AQueue, reopen: Reopen
) -> None:
    gone = await a_queue(storage, "gone")
    await gone.drop(at=7)
    again = (await reopen(queue)).storage
    assert await again.queue_deleted_at_ms(gone.key) == EPOCH_MS + 7


async def test_what_a_purge_left_is_swept_after_a_restart(queue: AQueue, reopen: Reopen) -> None:
    await queue.add(*(a_message(str(number)) for number in range(250)), at=0)
    await queue.purge(at=0)
    again = await reopen(queue)
    while await again.storage.sweep(now_ms=EPOCH_MS, limit=100) == EPOCH_MS:
        pass
    assert await again.counts(at=0) == (0, 0, 0)
