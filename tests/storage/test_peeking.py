"""Looking at messages, and putting a hand on them, as a tool does."""

from typing import Any

import pytest

from storage.admin_records import MessageState, Peeked, PeekFilter, Transfer
from storage.contract import Storage
from storage.errors import UnknownQueue
from storage.records import MessageAttribute, Outcome
from tests.storage.admin_builders import (
    drained,
    live_through,
    oldest,
    peek,
    peeked,
    remove,
    sequences,
    show,
    states,
    transfer,
    twins,
    without_sequences,
)
from tests.storage.builders import (
    EPOCH_MS,
    RETENTION_MS,
    WINDOW_MS,
    AQueue,
    a_message,
    a_queue,
    bodies,
)

VISIBLE, DELAYED, IN_FLIGHT = MessageState.VISIBLE, MessageState.DELAYED, MessageState.IN_FLIGHT

both_kinds = pytest.mark.parametrize("fifo", [False, True], ids=["standard", "fifo"])

# --- peeking ------------------------------------------------------------------------------------


async def test_a_peek_shows_all_messages_in_order_with_their_state(
    queue: AQueue, fifo_queue: AQueue
) -> None:
    for each in (queue, fifo_queue):
        await each.send("a-1", "b-1", at=0)
        await each.send("c-1", at=0, delay_ms=5_000)
        await each.receive(1, at=10)
        await each.send("d-1", at=20)
        found = await peek(each, at=30)
        assert [(p.message.body, p.state, p.hidden_until_ms) for p in found] == [
            ("a-1", IN_FLIGHT, EPOCH_MS + 30_010),
            ("b-1", VISIBLE, None),
            ("c-1", DELAYED, EPOCH_MS + 5_000),
            ("d-1", VISIBLE, None),
        ]


async def test_a_message_that_was_never_received_is_shown_as_it_was_sent(queue: AQueue) -> None:
    attributes = {
        "text": MessageAttribute("String", "\N{ROCKET}"),
        "bytes": MessageAttribute("Binary", b"\x00\xff"),
    }
    await queue.add(
        a_message("a\r\n", group_id="g", attributes=attributes, trace_header="Root=1"), at=0
    )
    [before] = await peek(queue, at=5)
    [claim] = await queue.receive(at=7)
    shown = claim._replace(receive_count=0, first_received_at_ms=0, claimed_at_ms=0)
    assert before == Peeked(shown, VISIBLE, None)


async def test_a_message_in_flight_is_shown_as_it_was_handed_out(
    queue: AQueue, fifo_queue: AQueue
) -> None:
    for each in (queue, fifo_queue):
        await each.add(a_message("a", group_id="g", deduplication_id="d"), at=0)
        await each.receive(at=5, timeout_ms=0)
        [claim] = await each.receive(at=10)
        [found] = await peek(each, at=11)
        assert found.message._replace(claimed_at_ms=0) == claim._replace(claimed_at_ms=0)
        assert (claim.receive_count, claim.first_received_at_ms) == (2, EPOCH_MS + 5)


async def test_a_peek_tells_when_a_message_was_last_received(queue: AQueue) -> None:
    await queue.send("a", "b", at=0)
    await queue.receive(1, at=5, timeout_ms=0)
    [claim, _] = await queue.receive(at=10)
    await queue.hide(claim, at=20, for_ms=0)
    found = await peek(queue, at=30)
    assert [each.message.claimed_at_ms for each in found] == [EPOCH_MS + 10, EPOCH_MS + 10]


async def test_a_dead_letter_is_shown_with_where_it_came_from(
    storage: Storage, queue: AQueue
) -> None:
    dead = await a_queue(storage, "dead")
    await queue.send("a", at=0)
    await queue.receive(at=0, timeout_ms=0)
    await queue.receive(at=1, dead_letter=dead.as_dead_letter_queue())
    [found] = await peek(dead, at=2)
    assert (found.message.dead_letter_source_arn, found.state) == ("arn:source", VISIBLE)
    assert found.message.receive_count == 1


async def test_a_peek_is_of_this_moment(queue: AQueue, fifo_queue: AQueue) -> None:
    for each in (queue, fifo_queue):
        await each.send("a-1", "b-1", at=0)
        await each.send("c-1", at=0, delay_ms=1_000)
        await each.receive(1, at=0, timeout_ms=500)
        assert await states(each, at=499) == {"a-1": IN_FLIGHT, "b-1": VISIBLE, "c-1": DELAYED}
        assert await states(each, at=500) == {"a-1": VISIBLE, "b-1": VISIBLE, "c-1": DELAYED}
        assert await states(each, at=1_000) == {"a-1": VISIBLE, "b-1": VISIBLE, "c-1": VISIBLE}
        assert await states(each, at=RETENTION_MS) == {}


async def test_a_peek_shows_however_many_fell_due_or_expired(queue: AQueue) -> None:
    await queue.add(*(a_message(str(n), delay_ms=1_000) for n in range(2_500)), at=0)
    await queue.send("young", at=5)
    found = await peek(queue, at=1_000, limit=3_000, states=(VISIBLE,))
    assert len(found) == 2_501
    assert await peeked(queue, at=RETENTION_MS) == ["young"]


async def test_the_messages_of_a_locked_group_are_visible(fifo_queue: AQueue) -> None:
    await fifo_queue.send("g-1", "g-2", at=0)
    await fifo_queue.receive(1, at=0)
    assert await states(fifo_queue, at=1) == {"g-1": IN_FLIGHT, "g-2": VISIBLE}


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        ({}, ["a-1", "b-1", "a-2", "c", "d"]),
        ({"states": (VISIBLE,)}, ["a-2", "c"]),
        ({"states": (IN_FLIGHT,)}, ["a-1", "b-1"]),
        ({"states": (DELAYED,)}, ["d"]),
        ({"states": (DELAYED, VISIBLE)}, ["a-2", "c", "d"]),
        ({"states": ()}, []),
        ({"group_id": "a"}, ["a-1", "a-2"]),
        ({"group_id": "other"}, []),
        ({"group_id": "a", "states": (IN_FLIGHT,)}, ["a-1"]),
        ({"message_id": "id of c"}, ["c"]),
        ({"message_id": "id of c", "states": (DELAYED,)}, []),
        ({"message_id": "id of c", "group_id": "a"}, []),
        ({"message_id": "other"}, []),
    ],
)
async def test_a_peek_can_be_narrowed(
    queue: AQueue, chosen: dict[str, Any], expected: list[str]
) -> None:
    await queue.send("a-1", "b-1", "a-2", at=0)
    await queue.receive(2, at=0)
    await queue.send("c", at=0)
    await queue.send("d", at=0, delay_ms=1_000)
    assert await peeked(queue, at=1, **chosen) == expected


async def test_a_peek_has_pages(queue: AQueue, fifo_queue: AQueue) -> None:
    for each in (queue, fifo_queue):
        texts = [f"{'ab'[number % 2]}-{number}" for number in range(7)]
        await each.send(*texts, at=0)
        await each.receive(3, at=0)
        found: list[str] = []
        after = 0
        while page := await peek(each, at=1, after=after, limit=2):
            assert len(page) <= 2
            found += (p.message.body for p in page)
            after = page[-1].message.sequence
        assert found == texts


async def test_pages_are_of_what_was_chosen(queue: AQueue) -> None:
    await queue.send("a-1", "b-1", "b-2", "a-2", "b-3", "a-3", at=0)
    page = await peek(queue, at=0, limit=2, group_id="a")
    assert [each.message.body for each in page] == ["a-1", "a-2"]
    after = page[-1].message.sequence
    assert await peeked(queue, at=0, after=after, limit=2, group_id="a") == ["a-3"]
    assert await peeked(queue, at=0, after=after, limit=2, group_id="b") == ["b-3"]


async def test_a_message_that_came_later_but_is_older_is_shown_in_its_place(
    storage: Storage, queue: AQueue
) -> None:
    """A dead letter of a standard queue keeps its sequence."""
    dead = await a_queue(storage, "dead")
    await queue.send("a", at=0)
    await dead.send("b", at=1)
    await queue.receive(at=2, timeout_ms=0)
    await queue.receive(at=3, dead_letter=dead.as_dead_letter_queue())
    assert await peeked(dead, at=4) == ["a", "b"]
    [a, _] = await peek(dead, at=4)
    assert await peeked(dead, at=4, after=a.message.sequence) == ["b"]


@both_kinds
async def test_a_peek_changes_nothing(storage: Storage, fifo: bool) -> None:
    """A queue that is peeked at all the time hands out what its twin does."""
    seen, unseen = await twins(storage, fifo=fifo)
    for each in (seen, unseen):
        await live_through(each, fifo=fifo)
    for at in (701, 1_000, 6_000, 50_000):
        assert await peek(seen, at=at)
        assert await peek(seen, at=at, states=(VISIBLE,), group_id="b", limit=1)
        claims = [await each.receive(2, at=at, timeout_ms=2_000) for each in (seen, unseen)]
        assert claims[0]
        assert without_sequences(claims[0]) == without_sequences(claims[1])
        await peek(seen, at=at)
        assert await seen.counts(at=at) == await unseen.counts(at=at)
    await peek(seen, at=60_000)
    assert await drained(seen, at=60_000) == await drained(unseen, at=60_000)


async def test_a_peek_keeps_receipts_and_attempts_good(queue: AQueue, fifo_queue: AQueue) -> None:
    await fifo_queue.send("g-1", at=0)
    first = await fifo_queue.claim(at=0, attempt_id="x")
    await peek(fifo_queue, at=1)
    again = await fifo_queue.claim(at=2, attempt_id="x")
    assert again.messages == first.messages
    await peek(fifo_queue, at=3)
    assert await fifo_queue.delete(*first.messages, at=3) == [Outcome.DONE]


async def test_looking_is_not_told(queue: AQueue, changes: list[tuple[int, int]]) -> None:
    await queue.send("a", at=0)
    changes.clear()
    await peek(queue, at=0)
    await oldest(queue, at=0)
    assert changes == []


async def test_of_a_queue_that_is_gone_nothing_is_shown_or_changed(
    storage: Storage, queue: AQueue
) -> None:
    await queue.send("a", at=0)
    [sequence] = await sequences(queue, "a", at=0)
    other = await a_queue(storage, "other")
    await queue.drop(at=0)
    gone, now_ms = queue.queue_id, EPOCH_MS
    with pytest.raises(UnknownQueue):
        await storage.peek_messages(gone, PeekFilter(), limit=1, now_ms=now_ms)
    with pytest.raises(UnknownQueue):
        await storage.oldest_message_sent_at_ms(gone, now_ms=now_ms)
    with pytest.raises(UnknownQueue):
        await storage.show_messages(gone, [sequence], now_ms=now_ms)
    with pytest.raises(UnknownQueue):
        await storage.remove_messages(gone, [sequence], now_ms=now_ms)
    with pytest.raises(UnknownQueue):
        await storage.transfer_messages(
            gone, [Transfer(sequence, other.queue_id, "new")], now_ms=now_ms
        )


# --- the age of the oldest message --------------------------------------------------------------


async def test_an_empty_queue_has_no_oldest_message(queue: AQueue, fifo_queue: AQueue) -> None:
    for each in (queue, fifo_queue):
        assert await oldest(each, at=0) is None
        await each.send("g-1", at=1)
        await each.delete(*await each.receive(at=2), at=3)
        assert await oldest(each, at=4) is None
        await each.send("g-2", at=5)
        await each.purge(at=6)
        assert await oldest(each, at=7) is None


async def test_the_oldest_message_may_be_visible_delayed_or_in_flight(
    queue: AQueue, fifo_queue: AQueue
) -> None:
    for each in (queue, fifo_queue):
        await each.send("a-1", at=10, delay_ms=1_000)
        assert await oldest(each, at=11) == 10
        await each.send("b-1", "c-1", at=20)
        assert await oldest(each, at=1_500) == 10
        claims = await each.receive(at=2_000)
        assert await oldest(each, at=2_001) == 10
        [a] = [claim for claim in claims if claim.body == "a-1"]
        await each.delete(a, at=2_002)
        assert await oldest(each, at=2_003) == 20


async def test_the_oldest_message_goes_when_it_expires(queue: AQueue, fifo_queue: AQueue) -> None:
    for each in (queue, fifo_queue):
        await each.send("a-1", at=0)
        await each.send("b-1", at=500)
        await each.counts(at=RETENTION_MS)
        assert await oldest(each, at=RETENTION_MS) == 500
        await each.counts(at=RETENTION_MS + 500)
        assert await oldest(each, at=RETENTION_MS + 500) is None


async def test_standard_a_dead_letter_is_as_old_as_it_was(storage: Storage, queue: AQueue) -> None:
    dead = await a_queue(storage, "dead")
    await queue.send("a", at=10)
    await dead.send("b", at=100)
    await queue.receive(at=110, timeout_ms=0)
    await queue.receive(at=200, dead_letter=dead.as_dead_letter_queue())
    assert await oldest(dead, at=201) == 10
    await remove(dead, "a", at=202)
    assert await oldest(dead, at=203) == 100


async def test_fifo_a_dead_letter_is_as_old_as_its_move(
    storage: Storage, fifo_queue: AQueue
) -> None:
    dead = await a_queue(storage, "dead.fifo", fifo=True)
    await fifo_queue.send("g-1", at=10)
    await fifo_queue.receive(at=110, timeout_ms=0)
    await fifo_queue.receive(at=200, dead_letter=dead.as_dead_letter_queue())
    assert await oldest(dead, at=201) == 200
    assert await oldest(fifo_queue, at=201) is None


# --- showing ------------------------------------------------------------------------------------


async def test_hidden_messages_are_shown_others_passed_over(
    queue: AQueue, fifo_queue: AQueue
) -> None:
    for each in (queue, fifo_queue):
        await each.send("a-1", "b-1", at=0)
        await each.send("c-1", at=0, delay_ms=5_000)
        await each.receive(1, at=0)
        found = await sequences(each, "c-1", "b-1", "a-1", "a-1", at=1)
        shown = await each.storage.show_messages(
            each.queue_id, [*found, 2**62], now_ms=EPOCH_MS + 1
        )
        assert shown == ["id of c-1", "id of a-1"]
        assert await each.counts(at=1) == (3, 0, 0)
        assert await each.received(at=1) == ["b-1", "c-1", "a-1"]


@both_kinds
async def test_showing_is_giving_back(storage: Storage, fifo: bool) -> None:
    """As by a visibility timeout of nothing."""
    queue, twin = await twins(storage, fifo=fifo)
    for each in (queue, twin):
        await each.send("a-1", "b-1", "a-2", "b-2", "c-1", at=0)
    [claim, *_] = await queue.receive(3, at=1)
    [other, *_] = await twin.receive(3, at=1)
    assert await show(queue, "a-1", at=2) == ["id of a-1"]
    await twin.hide(other, at=2, for_ms=0)
    assert await queue.delete(claim, at=2) == await twin.delete(other, at=2)
    for at in (3, 31_000):
        assert await drained(queue, at=at) == await drained(twin, at=at)


async def test_a_message_that_was_shown_keeps_what_it_was(queue: AQueue) -> None:
    await queue.send("a", at=0)
    [claim] = await queue.receive(at=5)
    await show(queue, "a", at=10)
    [again] = await queue.receive(at=20)
    assert again == claim._replace(receive_count=2, claimed_at_ms=EPOCH_MS + 20)


async def test_fifo_a_shown_message_opens_its_group(fifo_queue: AQueue) -> None:
    await fifo_queue.send("g-1", "g-2", at=0)
    [claim] = await fifo_queue.receive(1, at=0)
    await show(fifo_queue, "g-1", at=1)
    assert await fifo_queue.delete(claim, at=1) == [Outcome.STALE]
    assert await fifo_queue.received(at=1) == ["g-1", "g-2"]


async def test_showing_is_told(queue: AQueue, changes: list[tuple[int, int]]) -> None:
    await queue.send("a", "b", at=0)
    await queue.receive(at=0)
    changes.clear()
    await show(queue, "a", "b", at=1)
    assert changes == [(queue.queue_id, 2)]
    await show(queue, "a", "b", at=1)
    assert changes == [(queue.queue_id, 2)]


# --- removing -----------------------------------------------------------------------------------


async def test_messages_in_any_state_are_removed(queue: AQueue, fifo_queue: AQueue) -> None:
    for each in (queue, fifo_queue):
        await each.send("a-1", "b-1", "b-2", at=0)
        await each.send("c-1", "d-1", at=0, delay_ms=5_000)
        [claim] = await each.receive(1, at=0)
        found = await sequences(each, "c-1", "a-1", "a-1", "b-1", at=1)
        removed = await each.storage.remove_messages(
            each.queue_id, [2**62, *found], now_ms=EPOCH_MS + 1
        )
        assert removed == ["id of c-1", "id of a-1", "id of b-1"]
        assert await each.counts(at=1) == (1, 0, 1)
        assert await each.delete(claim, at=1) == [Outcome.GONE]
        assert await each.received(at=60_000) == ["b-2", "d-1"]


@both_kinds
async def test_what_is_left_is_handed_out_as_if_the_removed_had_been_received(
    storage: Storage, fifo: bool
) -> None:
    queue, twin = await twins(storage, fifo=fifo)
    for each in (queue, twin):
        await each.send("a-1", "b-1", "a-2", "b-2", "c-1", "a-3", at=0)
    await queue.receive(2, at=1)
    await twin.delete(*(await twin.receive(2, at=1)), at=2)
    in_flight = await peeked(queue, at=2, states=(IN_FLIGHT,))
    await remove(queue, *in_flight, at=2)
    assert len(in_flight) == 2
    assert await drained(queue, at=3) == await drained(twin, at=3)


async def test_a_removed_message_still_counts_as_sent(fifo_queue: AQueue) -> None:
    message = a_message("a", group_id="g", deduplication_id="d")
    await fifo_queue.add(message, at=0)
    await remove(fifo_queue, "a", at=1)
    assert await fifo_queue.add(message, at=WINDOW_MS - 1) == [("id of a", True)]


async def test_fifo_removing_what_locks_a_group_is_told(
    fifo_queue: AQueue, changes: list[tuple[int, int]]
) -> None:
    await fifo_queue.send("g-1", "g-2", "h-1", at=0)
    await fifo_queue.receive(1, at=0)
    changes.clear()
    await remove(fifo_queue, "h-1", at=1)
    assert changes == []
    await remove(fifo_queue, "g-1", at=1)
    assert changes == [(fifo_queue.queue_id, 1)]
    assert await fifo_queue.received(at=1) == ["g-2"]


# --- moving -------------------------------------------------------------------------------------


async def test_messages_in_any_state_move_and_become_new_ones(
    storage: Storage, queue: AQueue
) -> None:
    other = await a_queue(storage, "other", delay_ms=9_000)
    attributes = {"a": MessageAttribute("String", "x")}
    await queue.add(a_message("a", attributes=attributes, trace_header="Root=1"), at=0)
    await queue.send("b", at=0, delay_ms=50_000)
    await queue.send("c", "d", at=0)
    [before, _] = await queue.receive(2, at=5)
    assert await transfer(queue, "a", "b", "c", to=other, at=10) == 3

    moved = await other.receive(at=20)
    assert bodies(moved) == ["a", "b", "c"]
    assert moved[0].sequence > before.sequence
    assert moved[0] == before._replace(
        sequence=moved[0].sequence,
        message_id="new a",
        sent_at_ms=EPOCH_MS + 10,
        receive_count=1,
        first_received_at_ms=EPOCH_MS + 20,
        claimed_at_ms=EPOCH_MS + 20,
    )
    assert await queue.counts(at=20) == (1, 0, 0)
    assert await queue.delete(before, at=20) == [Outcome.GONE]


async def test_a_moved_message_begins_its_retention_anew(storage: Storage, queue: AQueue) -> None:
    other = await a_queue(storage, "other")
    await queue.send("a", at=0)
    await transfer(queue, "a", to=other, at=1_000)
    assert await other.counts(at=RETENTION_MS + 999) == (1, 0, 0)
    assert await other.counts(at=RETENTION_MS + 1_000) == (0, 0, 0)


async def test_messages_move_to_different_queues_in_one_call(
    storage: Storage, queue: AQueue, changes: list[tuple[int, int]]
) -> None:
    b, c = await a_queue(storage, "b"), await a_queue(storage, "c")
    await queue.send("1", "2", "3", at=0)
    found = await sequences(queue, "1", "2", "3", at=0)
    changes.clear()
    targets = (b, c, b)
    transfers = [
        Transfer(sequence, target.queue_id, f"new {sequence}")
        for sequence, target in zip(found, targets, strict=True)
    ]
    moved = await storage.transfer_messages(queue.queue_id, transfers, now_ms=EPOCH_MS + 1)
    assert moved == 3
    assert sorted(changes) == [(b.queue_id, 2), (c.queue_id, 1)]
    assert (await b.received(at=1), await c.received(at=1)) == (["1", "3"], ["2"])


async def test_a_message_that_is_gone_is_passed_over(storage: Storage, queue: AQueue) -> None:
    other = await a_queue(storage, "other")
    await queue.send("a", "b", at=0)
    [a, b] = await sequences(queue, "a", "b", at=0)
    await remove(queue, "a", at=0)
    transfers = [Transfer(each, other.queue_id, f"new {each}") for each in (a, b, b, 2**62)]
    assert await storage.transfer_messages(queue.queue_id, transfers, now_ms=EPOCH_MS) == 1
    assert await other.received(at=0) == ["b"]


async def test_nothing_moves_if_a_destination_is_gone(
    storage: Storage, queue: AQueue, changes: list[tuple[int, int]]
) -> None:
    other, gone = await a_queue(storage, "other"), await a_queue(storage, "gone")
    await queue.send("a", "b", at=0)
    [a, b] = await sequences(queue, "a", "b", at=0)
    await gone.drop(at=0)
    changes.clear()
    transfers = [Transfer(a, other.queue_id, "1"), Transfer(b, gone.queue_id, "2")]
    with pytest.raises(UnknownQueue):
        await storage.transfer_messages(queue.queue_id, transfers, now_ms=EPOCH_MS)
    assert changes == []
    assert await queue.counts(at=0) == (2, 0, 0)
    assert await other.counts(at=0) == (0, 0, 0)


async def test_fifo_messages_join_their_groups_at_the_back(
    storage: Storage, fifo_queue: AQueue
) -> None:
    other = await a_queue(storage, "other.fifo", fifo=True)
    await other.send("h-0", "g-0", at=0)
    await other.receive(1, at=0)
    await fifo_queue.send("h-1", "g-1", "i-1", "g-2", at=0)
    assert await transfer(fifo_queue, "i-1", "g-2", "h-1", to=other, at=1) == 3
    assert await other.received(at=1) == ["g-0", "g-2", "i-1"]
    assert await other.received(at=30_000) == ["h-0", "h-1"]
    assert await fifo_queue.received(at=1) == ["g-1"]


async def test_fifo_moving_what_locks_a_group_is_told_there_too(
    storage: Storage, fifo_queue: AQueue, changes: list[tuple[int, int]]
) -> None:
    other = await a_queue(storage, "other.fifo", fifo=True)
    await fifo_queue.send("g-1", "g-2", at=0)
    await fifo_queue.receive(1, at=0)
    changes.clear()
    await transfer(fifo_queue, "g-1", to=other, at=1)
    assert sorted(changes) == sorted([(fifo_queue.queue_id, 1), (other.queue_id, 1)])
    assert await fifo_queue.received(at=1) == ["g-2"]


async def test_fifo_no_deduplication_takes_place(storage: Storage, fifo_queue: AQueue) -> None:
    other = await a_queue(storage, "other.fifo", fifo=True)
    message = a_message("a", group_id="g", deduplication_id="d")
    await fifo_queue.add(message, at=0)
    await other.add(message, at=0)
    assert await transfer(fifo_queue, "a", to=other, at=1) == 1
    moved = await other.receive(at=2)
    assert [(claim.message_id, claim.deduplication_id) for claim in moved] == [
        ("id of a", "d"),
        ("new a", "d"),
    ]


async def test_a_message_with_a_group_moves_to_a_queue_of_the_other_kind(
    queue: AQueue, fifo_queue: AQueue
) -> None:
    await queue.send("g-1", "g-2", at=0)
    assert await transfer(queue, "g-1", "g-2", to=fifo_queue, at=1) == 2
    assert await fifo_queue.received(1, at=1) == ["g-1"]
    assert await fifo_queue.received(1, at=1) == []
    assert await transfer(fifo_queue, "g-2", "g-1", to=queue, at=2) == 2
    assert await queue.received(at=2) == ["g-2", "g-1"]
