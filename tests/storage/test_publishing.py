"""Publishing: copies, deliveries, archive and deduplication in one step."""

from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from storage.contract import Storage
from storage.errors import UnknownQueue
from storage.records import MessageAttribute
from storage.topic_records import Published
from tests.storage.builders import EPOCH_MS, WINDOW_MS, AQueue, a_message, a_queue
from tests.storage.test_sweep import sweep_all
from tests.storage.topic_builders import (
    a_copy,
    a_delivery,
    a_publishing,
    a_topic,
    drop_topic,
    listed,
    messages_of,
    publish,
    subscribe,
    the_topic,
)


async def test_a_publication_is_accepted_under_its_id(storage: Storage) -> None:
    topic = await a_topic(storage)
    assert await publish(storage, topic, a_publishing("a"), a_publishing("b")) == [
        Published("id of a", None),
        Published("id of b", None),
    ]
    sequence = await storage.next_sequence()
    assert await publish(storage, topic, a_publishing("c", sequence=sequence)) == [
        Published("id of c", sequence)
    ]


async def test_publishing_nothing_is_accepted(storage: Storage) -> None:
    topic = await a_topic(storage)
    assert await publish(storage, topic) == []


async def test_copies_arrive_as_messages(storage: Storage, queue: AQueue) -> None:
    message = a_message(
        "a",
        group_id="g",
        attributes={"bytes": MessageAttribute("Binary", b"\x00\xff")},
        trace_header="Root=1",
    )
    publishing = a_publishing("a")._replace(copies=[(queue.queue_id, message)])
    await publish(storage, await a_topic(storage), publishing)
    await queue.add(message, at=0)
    copied, added = await queue.receive(at=0)
    assert copied._replace(sequence=0) == added._replace(sequence=0)


async def test_copies_go_to_every_queue_in_order(storage: Storage, queue: AQueue) -> None:
    other = await a_queue(storage, "other")
    await publish(
        storage,
        await a_topic(storage),
        a_publishing("a", to=[queue, other]),
        a_publishing("b", to=[other]),
        a_publishing("c", to=[other, queue]),
    )
    assert await queue.received(at=0) == ["a", "c"]
    assert await other.received(at=0) == ["a", "b", "c"]


async def test_a_delayed_copy_appears_at_its_moment(storage: Storage, queue: AQueue) -> None:
    late = a_publishing("a")._replace(copies=[(queue.queue_id, a_message("a", delay_ms=1_000))])
    await publish(storage, await a_topic(storage), late)
    assert (await queue.claim(at=999)).next_due_at_ms == EPOCH_MS + 1_000
    assert await queue.received(at=1_000) == ["a"]


async def test_copies_are_told_to_those_who_wait(
    storage: Storage, queue: AQueue, changes: list[tuple[int, int]]
) -> None:
    topic = await a_topic(storage)
    other = await a_queue(storage, "other")
    await publish(
        storage, topic, a_publishing("a", to=[queue, other]), a_publishing("b", to=[queue])
    )
    told = {queue_id: 0 for queue_id, _ in changes}
    for queue_id, messages in changes:
        told[queue_id] += messages
    assert told == {queue.queue_id: 2, other.queue_id: 1}


async def test_a_queue_passes_over_copies_that_it_has(storage: Storage, fifo_queue: AQueue) -> None:
    """The queue's own deduplication, as when the message is sent there."""
    topic = await a_topic(storage)
    await publish(storage, topic, a_publishing("a", to=[fifo_queue, fifo_queue]))
    assert await fifo_queue.add(a_copy("a"), at=1) == [("id of a", True)]
    await publish(storage, topic, a_publishing("a", to=[fifo_queue]), at=WINDOW_MS - 1)
    assert await fifo_queue.received(at=WINDOW_MS - 1) == ["a"]
    await publish(storage, topic, a_publishing("a", to=[fifo_queue]), at=WINDOW_MS)
    assert (await fifo_queue.counts(at=WINDOW_MS)).visible == 1


async def test_deliveries_are_remembered_with_their_publication(storage: Storage) -> None:
    publishing = a_publishing("a", a_delivery("http://a"), a_delivery("http://b", due=5))
    await publish(storage, await a_topic(storage), publishing)
    found = await listed(storage)
    assert [each.details for each in found] == publishing.deliveries
    assert [each.publication for each in found] == [publishing.publication] * 2


async def test_direct_publications_need_no_topic(storage: Storage, queue: AQueue) -> None:
    direct = a_publishing("a", a_delivery(subscription_id=None), to=[queue], topic_arn=None)
    assert await publish(storage, None, direct) == [Published("id of a", None)]
    assert [each.publication for each in await listed(storage)] == [direct.publication]
    assert await queue.received(at=0) == ["a"]


async def test_nothing_is_published_by_what_a_topic_was(storage: Storage, queue: AQueue) -> None:
    topic = await a_topic(storage)
    subscription = await subscribe(storage, topic)
    before = await the_topic(storage, topic)
    publishing = a_publishing("a", a_delivery(), to=[queue], key="k", archived=True, sequence=1)
    assert await publish(storage, topic, publishing) is None
    assert await storage.replace_subscription(subscription, subscription)
    assert await publish(storage, before, publishing) is None
    now = await the_topic(storage, topic)
    assert await storage.replace_topic(now, now) is not None
    assert await publish(storage, now, publishing) is None

    assert await queue.counts(at=0) == (0, 0, 0)
    assert await listed(storage) == []
    assert await storage.archive_begins_at_ms(topic.topic_id) is None
    now = await the_topic(storage, topic)
    assert await publish(storage, now, publishing) == [Published("id of a", 1)]


async def test_nothing_is_published_to_a_topic_that_is_gone(
    storage: Storage, queue: AQueue
) -> None:
    topic = await a_topic(storage)
    await drop_topic(storage, topic, at=0)
    assert await publish(storage, topic, a_publishing("a", a_delivery(), to=[queue])) is None
    await a_topic(storage)
    assert await publish(storage, topic, a_publishing("a", a_delivery(), to=[queue])) is None
    assert await queue.counts(at=0) == (0, 0, 0)
    assert await listed(storage) == []


async def test_publishing_leaves_the_revision_as_it_is(storage: Storage, queue: AQueue) -> None:
    topic = await a_topic(storage)
    await publish(storage, topic, a_publishing("a", a_delivery(), to=[queue], key="k"))
    assert await the_topic(storage, topic) == topic


async def test_one_missing_queue_keeps_everything_out(
    storage: Storage, queue: AQueue, changes: list[tuple[int, int]]
) -> None:
    topic = await a_topic(storage)
    gone = await a_queue(storage, "gone")
    await gone.drop(at=0)
    changes.clear()
    first = a_publishing("a", a_delivery(), to=[queue], key="k", archived=True, sequence=1)
    with pytest.raises(UnknownQueue):
        await publish(storage, topic, first, a_publishing("b", to=[queue, gone], key="l"))
    assert changes == []
    assert await queue.counts(at=0) == (0, 0, 0)
    assert await listed(storage) == []
    assert await storage.archive_begins_at_ms(topic.topic_id) is None
    assert await publish(storage, topic, first) == [Published("id of a", 1)]


async def test_a_changed_topic_is_told_before_a_missing_queue(storage: Storage) -> None:
    """Its subscription may have gone with the queue, so the caller is to look again."""
    topic = await a_topic(storage)
    gone = await a_queue(storage, "gone")
    await gone.drop(at=0)
    assert await storage.replace_topic(topic, replace(topic, tags={"a": "b"})) is not None
    assert await publish(storage, topic, a_publishing("a", to=[gone])) is None


async def test_a_duplicate_is_passed_over_as_a_whole(
    storage: Storage, queue: AQueue, changes: list[tuple[int, int]]
) -> None:
    topic = await a_topic(storage)
    first = a_publishing("a", a_delivery(), to=[queue], key="k", sequence=1)
    await publish(storage, topic, first)
    changes.clear()
    again = a_publishing("b", a_delivery(), to=[queue], key="k", sequence=2, archived=True)
    assert await publish(storage, topic, again, at=1) == [Published("id of a", 1, duplicate=True)]
    assert changes == []
    assert messages_of(await listed(storage)) == ["a"]
    assert await queue.received(at=1) == ["a"]
    assert await storage.archive_begins_at_ms(topic.topic_id) is None


async def test_deduplication_holds_within_one_call(storage: Storage, queue: AQueue) -> None:
    topic = await a_topic(storage)
    answers = await publish(
        storage,
        topic,
        a_publishing("a", to=[queue], key="k", sequence=1),
        a_publishing("b", to=[queue], key="l", sequence=2),
        a_publishing("c", to=[queue], key="k", sequence=3),
        a_publishing("d", to=[queue], sequence=4),
        a_publishing("e", to=[queue], sequence=5),
    )
    assert answers == [
        Published("id of a", 1),
        Published("id of b", 2),
        Published("id of a", 1, duplicate=True),
        Published("id of d", 4),
        Published("id of e", 5),
    ]
    assert await queue.received(at=0) == ["a", "b", "d", "e"]


async def test_the_window_runs_from_the_first_acceptance(storage: Storage, queue: AQueue) -> None:
    topic = await a_topic(storage)

    async def accepted(message: str, *, at: int) -> str:
        answer = await publish(storage, topic, a_publishing(message, to=[queue], key="k"), at=at)
        assert answer is not None
        return answer[0].message_id

    assert await accepted("a", at=0) == "id of a"
    assert await accepted("b", at=WINDOW_MS - 1) == "id of a"
    assert await accepted("c", at=WINDOW_MS) == "id of c"
    assert await accepted("d", at=2 * WINDOW_MS - 1) == "id of c"
    assert await queue.received(at=2 * WINDOW_MS) == ["a", "c"]


async def test_every_window_closes_at_its_moment(storage: Storage) -> None:
    """Whether or not what is over has been forgotten by then."""
    topic = await a_topic(storage)
    keys = [str(number) for number in range(20)]
    for at, duplicate in ((0, False), (WINDOW_MS, False), (2 * WINDOW_MS - 1, True)):
        for key in keys:
            answer = await publish(storage, topic, a_publishing("a", key=key), at=at)
            assert answer == [Published("id of a", None, duplicate)]
        await storage.sweep(now_ms=EPOCH_MS + at, limit=3)
        keys.reverse()


async def test_topics_deduplicate_for_themselves(storage: Storage, queue: AQueue) -> None:
    for name in ("a", "b"):
        await publish(
            storage, await a_topic(storage, name), a_publishing(name, to=[queue], key="k")
        )
    assert await queue.received(at=0) == ["a", "b"]


async def test_a_changed_topic_deduplicates_as_before(storage: Storage) -> None:
    topic = await a_topic(storage)
    await publish(storage, topic, a_publishing("a", key="k"))
    changed = await storage.replace_topic(topic, topic)
    assert await publish(storage, changed, a_publishing("b", key="k"), at=1) == [
        Published("id of a", None, duplicate=True)
    ]


async def test_a_duplicate_needs_its_queues_all_the_same(storage: Storage) -> None:
    topic = await a_topic(storage)
    await publish(storage, topic, a_publishing("a", key="k"))
    gone = await a_queue(storage, "gone")
    await gone.drop(at=0)
    with pytest.raises(UnknownQueue):
        await publish(storage, topic, a_publishing("b", to=[gone], key="k"))


async def test_closed_windows_are_swept(storage: Storage) -> None:
    topic = await a_topic(storage)
    for number in range(25):
        await publish(storage, topic, a_publishing("a", key=str(number)), at=number)
    next_ms = await sweep_all(storage, at=30)
    assert next_ms is not None
    assert EPOCH_MS + 30 < next_ms <= EPOCH_MS + WINDOW_MS
    next_ms = await sweep_all(storage, at=WINDOW_MS, limit=10)
    assert next_ms is not None
    assert EPOCH_MS + WINDOW_MS < next_ms <= EPOCH_MS + WINDOW_MS + 1
    assert await storage.sweep(now_ms=EPOCH_MS + WINDOW_MS + 24, limit=10) == (
        EPOCH_MS + WINDOW_MS + 24
    )
    assert await sweep_all(storage, at=WINDOW_MS + 24, limit=10) is None


async def test_a_sweep_leaves_open_windows_alone(storage: Storage) -> None:
    topic = await a_topic(storage)
    await publish(storage, topic, a_publishing("a", key="k"))
    await sweep_all(storage, at=WINDOW_MS - 1)
    answer = await publish(storage, topic, a_publishing("b", key="k"), at=WINDOW_MS - 1)
    assert answer == [Published("id of a", None, duplicate=True)]
    # A key that is used again has a window of its own.
    await publish(storage, topic, a_publishing("c", key="k"), at=WINDOW_MS)
    await sweep_all(storage, at=WINDOW_MS)
    answer = await publish(storage, topic, a_publishing("d", key="k"), at=2 * WINDOW_MS - 1)
    assert answer == [Published("id of c", None, duplicate=True)]


async def test_deduplication_survives(
    storage: Storage, reopen_storage: Callable[[], Awaitable[Storage]]
) -> None:
    topic = await a_topic(storage)
    sequence = await storage.next_sequence()
    await publish(storage, topic, a_publishing("a", key="k", sequence=sequence))
    await publish(storage, topic, a_publishing("b", key="l"))
    again = await reopen_storage()
    repeated = (a_publishing("c", key="k"), a_publishing("d", key="l"))
    assert await publish(again, topic, *repeated, at=WINDOW_MS - 1) == [
        Published("id of a", sequence, duplicate=True),
        Published("id of b", None, duplicate=True),
    ]
    assert await publish(again, topic, *repeated, at=WINDOW_MS) == [
        Published("id of c", None),
        Published("id of d", None),
    ]


async def test_copies_survive(
    storage: Storage, queue: AQueue, reopen: Callable[[AQueue], Awaitable[AQueue]]
) -> None:
    await publish(storage, await a_topic(storage), a_publishing("a", to=[queue]))
    again = await reopen(queue)
    assert await again.counts(at=0) == (1, 0, 0)
    assert await again.received(at=0) == ["a"]


async def some_numbers(storage: Storage, queue: AQueue) -> list[int]:
    """Numbers of every kind that rise, in the order in which they were given out."""
    topic = await a_topic(storage)
    numbers = [await storage.next_sequence()]
    await queue.send("sent", at=0)
    await publish(storage, topic, a_publishing("a", to=[queue]))
    numbers += [claim.sequence for claim in await queue.receive(at=0)]
    numbers.append(await storage.next_sequence())
    await publish(storage, topic, a_publishing("a", a_delivery(), a_delivery()))
    numbers += [each.delivery_id for each in (await listed(storage))[-2:]]
    numbers.append(await storage.next_sequence())
    changed = await storage.replace_topic(topic, topic)
    assert changed is not None
    return [*numbers, changed.revision]


async def test_all_numbers_are_of_one_rising_order(storage: Storage, queue: AQueue) -> None:
    numbers = await some_numbers(storage, queue) + await some_numbers(storage, queue)
    assert numbers == sorted(set(numbers))
    assert 0 < numbers[0] < numbers[-1] < 2**63


async def test_numbers_go_on_rising_after_a_restart(
    storage: Storage, queue: AQueue, reopen: Callable[[AQueue], Awaitable[AQueue]]
) -> None:
    numbers = await some_numbers(storage, queue)
    numbers.append(await storage.next_sequence())  # and stays unused
    again = await reopen(queue)
    numbers += await some_numbers(again.storage, again)
    assert numbers == sorted(set(numbers))
