"""Archives of topics, and their replay."""

from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from storage.contract import Storage
from storage.errors import UnknownQueue
from storage.records import MessageAttribute, NewMessage
from storage.topic_records import Replay, ReplayStatus, SubscriptionRecord, TopicRecord
from tests.storage.builders import EPOCH_MS, WINDOW_MS, AQueue, a_queue
from tests.storage.topic_builders import (
    a_copy,
    a_delivery,
    a_publishing,
    a_topic,
    archive,
    drop_topic,
    ended,
    publish,
    subscribe,
    the_topic,
)


async def read(
    storage: Storage,
    topic: TopicRecord,
    *,
    after: int = 0,
    since: int = 0,
    until: int | None = None,
    limit: int = 100,
) -> list[str]:
    """The archived messages above a sequence and between two moments."""
    found = await storage.read_archive(
        topic.topic_id,
        after_sequence=after,
        from_ms=EPOCH_MS + since,
        until_ms=None if until is None else EPOCH_MS + until,
        limit=limit,
    )
    return [publication.message for publication in found]


async def begins(storage: Storage, topic: TopicRecord) -> int | None:
    """When the archive begins, counted like ``at``."""
    begins_at_ms = await storage.archive_begins_at_ms(topic.topic_id)
    return None if begins_at_ms is None else begins_at_ms - EPOCH_MS


async def trim(storage: Storage, topic: TopicRecord, *, before: int, limit: int = 100) -> int:
    return await storage.trim_archive(topic.topic_id, before_ms=EPOCH_MS + before, limit=limit)


async def advance(
    storage: Storage,
    old: SubscriptionRecord,
    new: SubscriptionRecord,
    *copies: tuple[int, NewMessage],
    caught_up_with: int | None = None,
    at: int = 0,
) -> bool:
    return await storage.advance_replay(
        old,
        new,
        copies,
        caught_up_with=caught_up_with,
        now_ms=EPOCH_MS + at,
        deduplication_window_ms=WINDOW_MS,
    )


def replayed(subscription: SubscriptionRecord, after_sequence: int) -> SubscriptionRecord:
    """The subscription when its replay has come that far."""
    replay = Replay(ReplayStatus.IN_PROGRESS, EPOCH_MS, None, after_sequence)
    return replace(subscription, replay=replay)


# --- reading and trimming ---------------------------------------------------------------------


async def test_a_topic_without_an_archive_has_an_empty_one(storage: Storage) -> None:
    topic = await a_topic(storage)
    await publish(storage, topic, a_publishing("a", a_delivery(), sequence=1))
    assert await read(storage, topic) == []
    assert await begins(storage, topic) is None
    assert await trim(storage, topic, before=2**40) == 0


async def test_an_archived_publication_is_read_as_it_was_published(storage: Storage) -> None:
    topic = await a_topic(storage)
    publishing = a_publishing(
        "häuser \N{ROCKET}\r\n",
        archived=True,
        subject="a subject",
        structured=True,
        attributes={"bytes": MessageAttribute("Binary", b"\x00\xff")},
        group_id="g",
        deduplication_id="d",
        sequence=await storage.next_sequence(),
        trace_header="Root=1",
    )
    await publish(storage, topic, publishing)
    found = await storage.read_archive(
        topic.topic_id, after_sequence=0, from_ms=EPOCH_MS, until_ms=None, limit=9
    )
    assert found == [publishing.publication]


async def test_an_archive_is_read_above_a_sequence_and_in_pages(storage: Storage) -> None:
    topic = await a_topic(storage)
    archived = await archive(storage, topic, "a", "b", "c", "d")
    sequences = [publication.sequence or 0 for publication in archived]
    assert await read(storage, topic, limit=2) == ["a", "b"]
    assert await read(storage, topic, after=sequences[1], limit=2) == ["c", "d"]
    assert await read(storage, topic, after=sequences[2], limit=2) == ["d"]
    assert await read(storage, topic, after=sequences[3]) == []


async def test_both_ends_of_a_time_range_belong_to_it(storage: Storage) -> None:
    topic = await a_topic(storage)
    await archive(storage, topic, "0", "1", "2", "3", "4")
    assert await read(storage, topic, since=2) == ["2", "3", "4"]
    assert await read(storage, topic, until=2) == ["0", "1", "2"]
    assert await read(storage, topic, since=1, until=3) == ["1", "2", "3"]
    assert await read(storage, topic, since=1, until=3, limit=2) == ["1", "2"]
    assert await read(storage, topic, since=5) == []
    assert await read(storage, topic, since=3, until=1) == []


async def test_an_archive_is_read_in_order_of_sequence(storage: Storage) -> None:
    """Sequences are drawn before publishing, so a higher one may be published first."""
    topic = await a_topic(storage)
    first, second = await storage.next_sequence(), await storage.next_sequence()
    late = a_publishing("second", at=1, archived=True, sequence=second)
    await publish(storage, topic, late, at=1)
    await publish(storage, topic, a_publishing("first", at=2, archived=True, sequence=first), at=2)
    assert await read(storage, topic) == ["first", "second"]
    assert await read(storage, topic, after=first) == ["second"]
    assert await begins(storage, topic) == 1
    assert await trim(storage, topic, before=2) == 1
    assert await read(storage, topic) == ["first"]


async def test_topics_have_archives_of_their_own(storage: Storage) -> None:
    topic, other = await a_topic(storage), await a_topic(storage, "other")
    await archive(storage, topic, "a")
    await archive(storage, other, "b", at=5)
    assert (await read(storage, topic), await read(storage, other)) == (["a"], ["b"])
    assert (await begins(storage, topic), await begins(storage, other)) == (0, 5)
    assert await trim(storage, topic, before=9) == 1
    assert await read(storage, other) == ["b"]


async def test_an_archive_is_trimmed_by_time_in_steps(storage: Storage) -> None:
    topic = await a_topic(storage)
    await archive(storage, topic, "0", "1", "2", "3", "4")
    assert await trim(storage, topic, before=0) == 0
    assert await trim(storage, topic, before=3, limit=2) == 2
    assert await read(storage, topic) == ["2", "3", "4"]
    assert await begins(storage, topic) == 2
    assert await trim(storage, topic, before=3, limit=2) == 1
    assert await trim(storage, topic, before=3, limit=2) == 0
    assert await trim(storage, topic, before=2**40) == 2
    assert await read(storage, topic) == []
    assert await begins(storage, topic) is None
    await archive(storage, topic, "5", at=5)
    assert await read(storage, topic) == ["5"]


async def test_archives_survive(
    storage: Storage, reopen_storage: Callable[[], Awaitable[Storage]]
) -> None:
    topic = await a_topic(storage)
    await archive(storage, topic, "0", "1", "2")
    await trim(storage, topic, before=1)
    again = await reopen_storage()
    assert await read(again, topic) == ["1", "2"]
    assert await begins(again, topic) == 1
    await archive(again, topic, "3", at=3)
    assert await read(again, topic) == ["1", "2", "3"]


# --- replaying --------------------------------------------------------------------------------


async def test_a_replay_advances_with_its_copies(
    storage: Storage, queue: AQueue, changes: list[tuple[int, int]]
) -> None:
    topic = await a_topic(storage)
    old = await subscribe(storage, topic)
    before = await the_topic(storage, topic)
    copies = [(queue.queue_id, a_copy("a")), (queue.queue_id, a_copy("b"))]
    assert await advance(storage, old, replayed(old, 2), *copies)
    assert await storage.get_subscription("s1") == replayed(old, 2)
    assert (await the_topic(storage, topic)).revision > before.revision
    assert {queue_id for queue_id, _ in changes} == {queue.queue_id}
    assert sum(messages for _, messages in changes) == 2
    assert await queue.received(at=0) == ["a", "b"]


async def test_a_replay_may_advance_without_copies(storage: Storage) -> None:
    old = await subscribe(storage, await a_topic(storage))
    assert await advance(storage, old, replayed(old, 2))
    assert await storage.get_subscription("s1") == replayed(old, 2)


async def test_a_replayed_copy_is_deduplicated_like_every_message(
    storage: Storage, fifo_queue: AQueue
) -> None:
    old = await subscribe(storage, await a_topic(storage))
    copy = (fifo_queue.queue_id, a_copy("a"))
    assert await advance(storage, old, replayed(old, 1), copy)
    assert await advance(storage, replayed(old, 1), replayed(old, 2), copy, at=WINDOW_MS - 1)
    assert (await fifo_queue.counts(at=WINDOW_MS - 1)).visible == 1
    assert await advance(storage, replayed(old, 2), replayed(old, 3), copy, at=WINDOW_MS)
    assert (await fifo_queue.counts(at=WINDOW_MS)).visible == 2


async def test_a_replay_that_was_changed_in_between_does_not_advance(
    storage: Storage, queue: AQueue
) -> None:
    topic = await a_topic(storage)
    old = await subscribe(storage, topic)
    assert await storage.replace_subscription(old, ended(old, at=0))
    before = await the_topic(storage, topic)
    assert not await advance(storage, old, replayed(old, 2), (queue.queue_id, a_copy("a")))
    assert await storage.get_subscription("s1") == ended(old, at=0)
    assert await the_topic(storage, topic) == before
    assert await queue.counts(at=0) == (0, 0, 0)


async def test_a_replay_of_a_topic_that_is_gone_does_not_advance(
    storage: Storage, queue: AQueue
) -> None:
    topic = await a_topic(storage)
    live = await subscribe(storage, topic)
    await drop_topic(storage, topic, at=0)
    old = await storage.get_subscription("s1")
    assert old is not None
    assert not await advance(storage, old, replayed(live, 2), (queue.queue_id, a_copy("a")))
    assert await queue.counts(at=0) == (0, 0, 0)


async def test_a_missing_queue_keeps_a_replay_where_it_is(
    storage: Storage, queue: AQueue, changes: list[tuple[int, int]]
) -> None:
    topic = await a_topic(storage)
    old = await subscribe(storage, topic)
    gone = await a_queue(storage, "gone")
    await gone.drop(at=0)
    changes.clear()
    before = await the_topic(storage, topic)
    copies = [(queue.queue_id, a_copy("a")), (gone.queue_id, a_copy("a"))]
    with pytest.raises(UnknownQueue):
        await advance(storage, old, replayed(old, 2), *copies)
    assert changes == []
    assert await storage.get_subscription("s1") == old
    assert await the_topic(storage, topic) == before
    assert await queue.counts(at=0) == (0, 0, 0)
    # That it was changed in between is told first.
    assert not await advance(storage, replayed(old, 1), replayed(old, 2), *copies)


async def test_a_replay_is_caught_up_only_with_the_whole_archive(
    storage: Storage, queue: AQueue
) -> None:
    topic = await a_topic(storage)
    archived = await archive(storage, topic, "a", "b")
    first, second = [publication.sequence or 0 for publication in archived]
    old = await subscribe(storage, await the_topic(storage, topic))
    copy = (queue.queue_id, a_copy("a"))
    before = await the_topic(storage, topic)
    assert not await advance(storage, old, replayed(old, first), copy, caught_up_with=first)
    assert await storage.get_subscription("s1") == old
    assert await the_topic(storage, topic) == before
    assert await queue.counts(at=0) == (0, 0, 0)

    assert await advance(storage, old, replayed(old, second), copy, caught_up_with=second)
    assert await storage.get_subscription("s1") == replayed(old, second)
    assert await queue.received(at=0) == ["a"]


async def test_a_replay_has_caught_up_with_an_empty_archive(storage: Storage) -> None:
    topic = await a_topic(storage)
    old = await subscribe(storage, topic)
    assert await advance(storage, old, replayed(old, 0), caught_up_with=0)
    await archive(storage, topic, "a")
    assert not await advance(storage, replayed(old, 0), old, caught_up_with=0)
    await trim(storage, topic, before=2**40)
    assert await advance(storage, replayed(old, 0), old, caught_up_with=0)


async def test_a_replay_has_nothing_to_do_with_other_archives(storage: Storage) -> None:
    topic = await a_topic(storage)
    await archive(storage, await a_topic(storage, "other"), "a")
    await publish(storage, topic, a_publishing("b", a_delivery(), sequence=2**50))
    old = await subscribe(storage, topic)
    assert await advance(storage, old, replayed(old, 0), caught_up_with=0)


async def test_what_a_replay_has_done_survives(
    storage: Storage, queue: AQueue, reopen: Callable[[AQueue], Awaitable[AQueue]]
) -> None:
    old = await subscribe(storage, await a_topic(storage))
    await advance(storage, old, replayed(old, 2), (queue.queue_id, a_copy("a")))
    again = await reopen(queue)
    assert await again.storage.get_subscription("s1") == replayed(old, 2)
    assert await again.received(at=0) == ["a"]
