"""Adding messages."""

import pytest

from storage.contract import Storage
from storage.errors import UnknownQueue
from storage.records import MessageAttribute
from tests.storage.builders import EPOCH_MS, WINDOW_MS, AQueue, a_message, a_queue


async def test_a_message_arrives_as_it_was_sent(queue: AQueue) -> None:
    attributes = {
        "text": MessageAttribute("String", "häuser\r\n\N{ROCKET}"),
        "bytes": MessageAttribute("Binary.png", b"\x00\xff"),
    }
    message = a_message("body\t", group_id="g", attributes=attributes, trace_header="Root=1")
    await queue.add(message, at=0)
    [claim] = await queue.receive(at=5)

    assert claim.message_id == message.message_id
    assert claim.body == "body\t"
    assert dict(claim.attributes or {}) == attributes
    assert (claim.sender_id, claim.sent_at_ms) == ("a sender", EPOCH_MS)
    assert (claim.group_id, claim.trace_header) == ("g", "Root=1")
    assert claim.dead_letter_source_arn is None


async def test_sequences_rise_over_all_queues(storage: Storage, queue: AQueue) -> None:
    other = await a_queue(storage, "other")
    targets = [queue, other, queue]
    added = await storage.add_messages(
        [(target.queue_id, a_message(str(n))) for n, target in enumerate(targets)],
        now_ms=EPOCH_MS,
        deduplication_window_ms=WINDOW_MS,
    )
    sequences = [answer.sequence for answer in added]
    assert sequences == sorted(set(sequences))
    assert 0 < sequences[0] <= sequences[-1] < 2**63
    assert [answer.message_id for answer in added] == ["id of 0", "id of 1", "id of 2"]
    assert await queue.received(at=0) == ["0", "2"]


async def test_one_missing_queue_keeps_all_messages_out(storage: Storage, queue: AQueue) -> None:
    gone = await a_queue(storage, "gone")
    await gone.drop(at=0)
    with pytest.raises(UnknownQueue):
        await storage.add_messages(
            [(queue.queue_id, a_message("a")), (gone.queue_id, a_message("b"))],
            now_ms=EPOCH_MS,
            deduplication_window_ms=WINDOW_MS,
        )
    assert await queue.counts(at=0) == (0, 0, 0)


async def test_a_delayed_message_appears_at_its_moment(queue: AQueue) -> None:
    await queue.send("later", at=0, delay_ms=1_000)
    early = await queue.claim(at=999)
    assert early.messages == []
    assert early.next_due_at_ms == EPOCH_MS + 1_000
    assert await queue.received(at=1_000) == ["later"]


async def test_messages_that_arrive_are_told(queue: AQueue, changes: list[tuple[int, int]]) -> None:
    await queue.add(a_message("a"), a_message("b"), at=0)
    assert {queue_id for queue_id, _ in changes} == {queue.queue_id}
    assert sum(number for _, number in changes) == 2


async def test_a_delayed_message_is_told_too(queue: AQueue, changes: list[tuple[int, int]]) -> None:
    await queue.send("later", at=0, delay_ms=1_000)
    assert changes == [(queue.queue_id, 1)]


async def test_a_refused_call_tells_nothing(
    storage: Storage, queue: AQueue, changes: list[tuple[int, int]]
) -> None:
    with pytest.raises(UnknownQueue):
        await storage.add_messages(
            [(queue.queue_id, a_message("a")), (2**62, a_message("b"))],
            now_ms=EPOCH_MS,
            deduplication_window_ms=WINDOW_MS,
        )
    assert changes == []
