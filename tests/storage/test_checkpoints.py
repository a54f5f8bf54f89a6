"""Checkpoints: saving a state, and going back to it."""

from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from storage.admin_records import Checkpoint, Scope
from storage.contract import EVERYBODY, Storage
from storage.errors import UnknownQueue
from storage.records import MoveTaskStatus, Outcome
from storage.topic_records import (
    DeliveryFilter,
    DeliveryStatus,
    DocumentChange,
    SubscriptionState,
    TopicRecord,
)
from tests.storage.admin_builders import (
    OTHER_ACCOUNT,
    drained,
    live_through,
    peek,
    reset,
    restore,
    save,
    show,
    twins,
)
from tests.storage.builders import (
    EPOCH_MS,
    RETENTION_MS,
    WINDOW_MS,
    AQueue,
    a_message,
    a_queue,
    a_task,
)
from tests.storage.test_sweep import sweep_all
from tests.storage.topic_builders import (
    ACCOUNT,
    LANE,
    REGION,
    a_delivery,
    a_key,
    a_publishing,
    a_topic,
    archive,
    drop_topic,
    due,
    ended,
    finished,
    listed,
    messages_of,
    publish,
    subscribe,
    the_topic,
    waiting,
)

Reopen = Callable[[], Awaitable[Storage]]

both_kinds = pytest.mark.parametrize("fifo", [False, True], ids=["standard", "fifo"])


async def stir(queue: AQueue, *, at: int) -> None:
    """Do a bit of everything to a queue."""
    await queue.send("a-new", "z-new", at=at)
    for claim in await queue.receive(3, at=at):
        await queue.delete(claim, at=at)
    await queue.receive(2, at=at, timeout_ms=100_000)
    await queue.receive(1, at=at, timeout_ms=0)
    await show(queue, "a-3", at=at)


# --- the list -----------------------------------------------------------------------------------


async def test_a_checkpoint_says_what_it_holds(
    storage: Storage, queue: AQueue, fifo_queue: AQueue
) -> None:
    await queue.send("expired", at=2 - RETENTION_MS)
    await queue.send("a", "b-1", "b-2", at=0)
    await queue.receive(1, at=1)
    await fifo_queue.send("a-1", at=0, delay_ms=1_000)
    await a_topic(storage)
    await a_topic(storage, account=OTHER_ACCOUNT)
    checkpoint = await save(storage, Scope(ACCOUNT), at=5)
    assert checkpoint == Checkpoint("a checkpoint", Scope(ACCOUNT), EPOCH_MS + 5, 2, 1, 4)
    assert await storage.list_checkpoints() == [checkpoint]


async def test_checkpoints_are_listed_by_name(storage: Storage) -> None:
    assert await storage.list_checkpoints() == []
    saved = [await save(storage, name=name, at=0) for name in ("b", "a", "\N{ROCKET}", "B")]
    assert await storage.list_checkpoints() == sorted(saved, key=lambda each: each.name)


async def test_a_checkpoint_replaces_another_of_its_name(storage: Storage, queue: AQueue) -> None:
    await queue.send("a", at=0)
    await save(storage, at=0)
    await queue.send("b", at=1)
    second = await save(storage, Scope(ACCOUNT), at=2)
    assert await storage.list_checkpoints() == [second]
    await queue.purge(at=3)
    assert await restore(storage, at=4) == second
    assert await queue.received(at=4) == ["a", "b"]


async def test_there_can_be_several_checkpoints(storage: Storage, queue: AQueue) -> None:
    await save(storage, name="empty", at=0)
    await queue.send("a", at=0)
    await save(storage, name="one", at=0)
    await restore(storage, name="empty", at=1)
    assert await queue.counts(at=1) == (0, 0, 0)
    await restore(storage, name="one", at=2)
    assert await queue.counts(at=2) == (1, 0, 0)


async def test_a_checkpoint_that_there_is_not_is_neither_restored_nor_deleted(
    storage: Storage, queue: AQueue, changes: list[tuple[int, int]]
) -> None:
    assert await storage.restore_checkpoint("none", now_ms=EPOCH_MS) is None
    assert not await storage.delete_checkpoint("none")
    assert changes == []
    assert await queue.counts(at=0) == (0, 0, 0)


async def test_a_deleted_checkpoint_is_forgotten(storage: Storage, queue: AQueue) -> None:
    await queue.send("a", at=0)
    await save(storage, at=0)
    kept = await save(storage, name="other", at=0)
    assert await storage.delete_checkpoint("a checkpoint")
    assert await storage.list_checkpoints() == [kept]
    assert await storage.restore_checkpoint("a checkpoint", now_ms=EPOCH_MS) is None
    assert not await storage.delete_checkpoint("a checkpoint")
    await sweep_all(storage, at=1)
    await queue.purge(at=2)
    await restore(storage, name="other", at=3)
    assert await queue.received(at=3) == ["a"]


# --- messages -----------------------------------------------------------------------------------


@both_kinds
async def test_saving_changes_nothing(storage: Storage, fifo: bool) -> None:
    queue, twin = await twins(storage, fifo=fifo)
    for each in (queue, twin):
        await live_through(each, fifo=fifo)
    before = await queue.record(), await peek(queue, at=701)
    await save(storage, Scope(ACCOUNT), at=701)
    assert (await queue.record(), await peek(queue, at=701)) == before
    for at in (702, 6_000, 60_000):
        assert await drained(queue, at=at) == await drained(twin, at=at)


@both_kinds
@pytest.mark.parametrize("at", [702, 6_000, 60_000])
async def test_a_restored_queue_hands_out_what_it_would_have(
    storage: Storage, fifo: bool, at: int
) -> None:
    """Its twin is never touched; every message, count, group and turn is as there."""
    queue, twin = await twins(storage, fifo=fifo)
    for each in (queue, twin):
        await live_through(each, fifo=fifo)
    before = await peek(queue, at=701)
    await save(storage, Scope(ACCOUNT), at=701)
    await stir(queue, at=701)
    await restore(storage, at=701)
    assert await peek(queue, at=701) == before
    assert await queue.counts(at=at) == await twin.counts(at=at)
    claims = await drained(queue, at=at)
    assert claims
    assert claims == await drained(twin, at=at)
    assert await queue.counts(at=at) == await twin.counts(at=at)


@both_kinds
async def test_a_checkpoint_can_be_restored_again_and_again(storage: Storage, fifo: bool) -> None:
    """At once, and with as much or little sweeping in between as there was time for."""
    queue, twin = await twins(storage, fifo=fifo)
    for each in (queue, twin):
        await live_through(each, fifo=fifo)
        await each.add(*(a_message(f"m{n}", group_id=f"g{n}") for n in range(700)), at=700)
    await save(storage, Scope(ACCOUNT), at=701)
    for sweeps in (0, 0, 1, 2, 10):
        await restore(storage, at=701)
        await stir(queue, at=701)
        for _ in range(sweeps):
            await storage.sweep(now_ms=EPOCH_MS + 701, limit=100)
    await restore(storage, at=702)
    await sweep_all(storage, at=702)
    await restore(storage, at=703)
    assert await drained(queue, at=60_000) == await drained(twin, at=60_000)


async def test_receipts_from_before_are_good_again_and_later_ones_not(
    storage: Storage, queue: AQueue, fifo_queue: AQueue
) -> None:
    await queue.send("a", "b", at=0)
    await fifo_queue.send("g-1", "h-1", at=0)
    taken = [await each.receive(1, at=0, timeout_ms=100_000) for each in (queue, fifo_queue)]
    await save(storage, at=1)
    later = []
    for each, claims in zip((queue, fifo_queue), taken, strict=True):
        assert await each.delete(*claims, at=2) == [Outcome.DONE]
        await each.send("g-2", at=2)
        later.append(await each.receive(at=3))
        assert len(later[-1]) == 2
    await restore(storage, at=4)
    for each, claims in zip((queue, fifo_queue), taken, strict=True):
        assert (await each.counts(at=5)).in_flight == 1
        assert await each.hide(*claims, at=5, for_ms=1_000) == [Outcome.DONE]
        assert await each.delete(*claims, at=5) == [Outcome.DONE]
    # Of a standard queue any receipt of a message that is there deletes it [AWS].
    assert await queue.hide(*later[0], at=6, for_ms=1) == [Outcome.VISIBLE, Outcome.GONE]
    assert await fifo_queue.delete(*later[1], at=6) == [Outcome.STALE, Outcome.GONE]
    assert (await queue.counts(at=6), await fifo_queue.counts(at=6)) == ((1, 0, 0), (1, 0, 0))


async def test_what_fell_due_or_expired_meanwhile_is_so_at_once(
    storage: Storage, queue: AQueue
) -> None:
    await queue.send("old", at=0)
    await queue.receive(at=0, timeout_ms=5_000)
    await queue.send("delayed", at=10, delay_ms=1_000)
    await save(storage, at=10)
    await restore(storage, at=20)
    assert await queue.counts(at=20) == (0, 1, 1)
    await restore(storage, at=5_000)
    assert await queue.received(at=5_000) == ["old", "delayed"]
    await restore(storage, at=RETENTION_MS)
    assert await queue.received(at=RETENTION_MS) == ["delayed"]


async def test_a_restored_message_expires_in_its_time(storage: Storage, queue: AQueue) -> None:
    await queue.send("a", at=0)
    await save(storage, at=1)
    await restore(storage, at=2)
    next_ms = await sweep_all(storage, at=3)
    assert next_ms is not None
    assert EPOCH_MS + 3 < next_ms <= EPOCH_MS + RETENTION_MS
    assert await sweep_all(storage, at=RETENTION_MS) is None
    assert await queue.counts(at=RETENTION_MS) == (0, 0, 0)


async def test_however_many_fell_due_meanwhile_are_handed_out_in_order(
    storage: Storage, queue: AQueue
) -> None:
    await queue.add(*(a_message(str(n), delay_ms=1_000 + n) for n in range(1_500)), at=0)
    await save(storage, at=0)
    await restore(storage, at=1)
    assert await queue.counts(at=5_000) == (1_500, 0, 0)
    assert await queue.received(3, at=5_000) == ["0", "1", "2"]


async def test_deduplication_is_what_it_was(storage: Storage, fifo_queue: AQueue) -> None:
    first = a_message("a", group_id="g", deduplication_id="d")
    second = a_message("b", group_id="g", deduplication_id="e")
    await fifo_queue.add(first, at=0)
    await save(storage, at=1)
    await fifo_queue.add(second, at=2)
    await fifo_queue.purge(at=3)
    await restore(storage, at=4)
    assert await fifo_queue.add(first, at=5) == [("id of a", True)]
    assert await fifo_queue.add(second, at=5) == [("id of b", False)]
    assert await fifo_queue.add(first, at=WINDOW_MS) == [("id of a", False)]
    assert await fifo_queue.add(second, at=WINDOW_MS) == [("id of b", True)]


async def test_receive_attempts_are_what_they_were(storage: Storage, fifo_queue: AQueue) -> None:
    await fifo_queue.send("g-1", "h-1", at=0)
    first = await fifo_queue.claim(1, at=0, attempt_id="x")
    await save(storage, at=1)
    await fifo_queue.claim(1, at=2, attempt_id="x", timeout_ms=60_000)
    await fifo_queue.delete(*first.messages, at=2)
    await fifo_queue.claim(1, at=2, attempt_id="y")
    await restore(storage, at=3)
    assert await fifo_queue.claim(1, at=4, attempt_id="x") == first
    [claim] = (await fifo_queue.claim(1, at=5, attempt_id="y")).messages
    assert (claim.body, claim.receive_count, claim.claimed_at_ms) == ("h-1", 1, EPOCH_MS + 5)


async def test_dead_letters_are_where_they_were(storage: Storage, queue: AQueue) -> None:
    dead = await a_queue(storage, "dead")
    rule = dead.as_dead_letter_queue()
    await queue.send("a", "b", at=0)
    await queue.receive(1, at=0, timeout_ms=0)
    await queue.receive(1, at=1, timeout_ms=0, dead_letter=rule)
    await save(storage, at=2)
    claimed = await queue.claim(at=3, timeout_ms=0, dead_letter=rule)
    assert (claimed.messages, claimed.dead_lettered) == ([], ("id of b",))
    await dead.purge(at=4)
    await restore(storage, at=5)
    [a] = await dead.receive(at=6)
    assert (a.body, a.receive_count, a.dead_letter_source_arn) == ("a", 2, "arn:source")
    [b] = await queue.receive(at=6)
    assert (b.body, b.receive_count, b.dead_letter_source_arn) == ("b", 2, None)


async def test_the_oldest_message_is_what_it_was(storage: Storage, queue: AQueue) -> None:
    await queue.send("a", at=10)
    await save(storage, at=11)
    await queue.purge(at=12)
    await queue.send("b", at=13)
    await restore(storage, at=14)
    oldest = await storage.oldest_message_sent_at_ms(queue.queue_id, now_ms=EPOCH_MS + 15)
    assert oldest == EPOCH_MS + 10


@both_kinds
async def test_sequences_go_on_rising(storage: Storage, fifo: bool) -> None:
    """Those given out since are not given out again."""
    queue = await a_queue(storage, fifo=fifo)
    await queue.send("g-1", at=0)
    await save(storage, at=1)
    await queue.send("g-2", at=2)
    [*_, last] = await peek(queue, at=2)
    drawn = await storage.next_sequence()
    await restore(storage, at=3)
    assert await storage.next_sequence() > drawn > last.message.sequence
    await queue.send("g-3", at=4)
    old, new = await queue.receive(at=5)
    assert (old.body, new.body) == ("g-1", "g-3")
    assert new.sequence > drawn


# --- queues -------------------------------------------------------------------------------------


async def test_settings_and_tags_are_what_they_were(storage: Storage, queue: AQueue) -> None:
    old = await queue.record()
    tagged = replace(old, tags={"k": "v"}, modified_at_ms=EPOCH_MS + 1)
    assert await storage.replace_queue(old, tagged)
    await save(storage, at=2)
    await queue.change(at=3, delay_ms=5_000, visibility_timeout_ms=1)
    untagged = await queue.record()
    assert await storage.replace_queue(untagged, replace(untagged, tags={"other": "x"}))
    await restore(storage, at=4)
    record = await queue.record()
    assert record == replace(tagged, content_id=record.content_id)
    assert await queue.change(at=5, delay_ms=7_000)


async def test_the_retention_is_what_it_was(storage: Storage, queue: AQueue) -> None:
    await queue.send("a", at=0)
    await save(storage, at=0)
    await queue.change(at=1, message_retention_period_ms=60_000)
    assert await queue.counts(at=60_000) == (0, 0, 0)
    await restore(storage, at=60_001)
    assert await queue.counts(at=RETENTION_MS - 1) == (1, 0, 0)
    assert await queue.counts(at=RETENTION_MS) == (0, 0, 0)


async def test_a_queue_that_still_exists_keeps_its_id(storage: Storage, queue: AQueue) -> None:
    await save(storage, at=0)
    await restore(storage, at=1)
    assert (await queue.record()).queue_id == queue.queue_id


async def test_a_queue_made_since_is_gone_and_was_never_there(storage: Storage) -> None:
    await save(storage, at=0)
    queue = await a_queue(storage, "new")
    await queue.send("a", at=1)
    await restore(storage, at=2)
    assert await storage.get_queue(queue.key) is None
    assert await storage.list_queues(ACCOUNT, REGION, limit=9) == []
    assert await storage.queue_deleted_at_ms(queue.key) is None
    with pytest.raises(UnknownQueue):
        await queue.counts(at=2)


async def test_a_queue_deleted_since_is_back_with_all_it_held(
    storage: Storage, queue: AQueue
) -> None:
    await queue.send("a", "b", at=0)
    [claim] = await queue.receive(1, at=0)
    await save(storage, at=1)
    await queue.drop(at=2)
    await restore(storage, at=3)
    assert await storage.queue_deleted_at_ms(queue.key) is None
    [record] = await storage.list_queues(ACCOUNT, REGION, limit=9)
    again = AQueue(storage, record)
    assert again.key == queue.key
    assert await again.delete(claim, at=4) == [Outcome.DONE]
    assert await again.received(at=5) == ["b"]


async def test_a_queue_made_in_place_of_a_deleted_one_is_gone(
    storage: Storage, queue: AQueue
) -> None:
    await queue.send("a", at=0)
    await save(storage, at=1)
    await queue.drop(at=2)
    other = await a_queue(storage, at=3)
    await other.send("b", at=3)
    await restore(storage, at=4)
    [record] = await storage.list_queues(ACCOUNT, REGION, limit=9)
    assert await AQueue(storage, record).received(at=5) == ["a"]
    with pytest.raises(UnknownQueue):
        await other.counts(at=5)


async def test_deletions_are_remembered_as_they_were(storage: Storage, queue: AQueue) -> None:
    before = await a_queue(storage, "before")
    await before.drop(at=0)
    await save(storage, at=1)
    await a_queue(storage, "before", at=2)
    await (await a_queue(storage, "before")).drop(at=3)
    await queue.drop(at=3)
    await restore(storage, at=4)
    assert await storage.queue_deleted_at_ms(before.key) == EPOCH_MS
    assert await storage.queue_deleted_at_ms(queue.key) is None


async def test_move_tasks_are_what_they_were(storage: Storage, queue: AQueue) -> None:
    other = await a_queue(storage, "other")
    await storage.create_move_task(a_task("done", queue, status=MoveTaskStatus.COMPLETED))
    await storage.create_move_task(
        a_task("running", queue, messages_per_second=3, started_at_ms=EPOCH_MS + 1)
    )
    await storage.create_move_task(a_task("first", other))
    before = await storage.list_move_tasks(queue.queue_id, limit=9)
    await save(storage, at=2)
    await storage.set_move_task_status("running", MoveTaskStatus.FAILED, failure_reason="why")
    await storage.create_move_task(a_task("new", queue, started_at_ms=EPOCH_MS + 3))
    await restore(storage, at=4)
    assert await storage.list_move_tasks(queue.queue_id, limit=9) == before
    assert [task.task_id for task in before] == ["running", "done"]
    assert {task.task_id for task in await storage.unfinished_move_tasks()} == {"running", "first"}
    assert await storage.get_move_task("new") is None
    assert not await storage.create_move_task(a_task("refused", queue))
    await reset(storage, Scope(ACCOUNT), at=5)
    assert await storage.get_move_task("running") is None


async def test_a_restored_move_task_goes_on(storage: Storage, queue: AQueue) -> None:
    await storage.create_move_task(a_task("a task", queue))
    await save(storage, at=0)
    await storage.set_move_task_status("a task", MoveTaskStatus.COMPLETED)
    await restore(storage, at=1)
    done = await storage.set_move_task_status("a task", MoveTaskStatus.COMPLETED)
    assert done is not None
    assert await storage.unfinished_move_tasks() == []


# --- topics -------------------------------------------------------------------------------------


async def test_a_topic_keeps_its_id_and_gets_back_what_it_was(storage: Storage) -> None:
    topic = await a_topic(storage, DisplayName="before")
    await save(storage, at=0)
    changed = replace(topic, attributes={"DisplayName": "after"}, tags={"k": "v"})
    latest = await storage.replace_topic(topic, changed)
    assert latest is not None
    await restore(storage, at=1)
    record = await the_topic(storage, topic)
    assert replace(record, revision=0) == replace(topic, revision=0)
    assert record.revision > latest.revision


async def test_what_was_composed_before_a_restore_is_not_published(storage: Storage) -> None:
    """Whatever the topic was then, and even if it is the same now."""
    topic = await a_topic(storage)
    await save(storage, at=0)
    await subscribe(storage, topic)
    later = await the_topic(storage, topic)
    await restore(storage, at=1)
    assert await publish(storage, topic, a_publishing("a"), at=2) is None
    assert await publish(storage, later, a_publishing("a"), at=2) is None
    now = await the_topic(storage, topic)
    assert await publish(storage, now, a_publishing("a"), at=2) is not None


async def test_topics_made_since_are_gone_deleted_ones_back(storage: Storage) -> None:
    old = await a_topic(storage, "old")
    await subscribe(storage, old)
    await save(storage, at=0)
    before = await storage.get_subscription("s1")
    new = await a_topic(storage, "new")
    await subscribe(storage, new, "s2")
    await drop_topic(storage, old, at=1)
    await restore(storage, at=2)
    assert [t.key for t in await storage.list_topics(ACCOUNT, REGION, limit=9)] == [old.key]
    assert await storage.get_subscription("s2") is None
    assert await storage.get_subscription("s1") == before
    again = await the_topic(storage, old)
    assert await storage.topic_subscriptions(again.topic_id) == [before]
    assert await storage.list_subscriptions(ACCOUNT, REGION, limit=9) == [before]


async def test_subscriptions_are_what_they_were(storage: Storage) -> None:
    topic = await a_topic(storage)
    live = await subscribe(storage, topic, "live")
    gone = await subscribe(storage, topic, "gone")
    assert await storage.replace_subscription(gone, ended(gone, at=0))
    pending = await subscribe(
        storage,
        topic,
        "pending",
        state=SubscriptionState.PENDING,
        expires_at_ms=EPOCH_MS + 5_000,
    )
    await save(storage, at=1)
    assert await storage.replace_subscription(live, ended(live, at=2))
    confirmed = replace(pending, state=SubscriptionState.CONFIRMED, expires_at_ms=None)
    assert await storage.replace_subscription(pending, confirmed)
    await subscribe(storage, topic, "new")
    await restore(storage, at=3)
    assert await storage.topic_subscriptions(topic.topic_id) == [live, pending]
    assert await storage.get_subscription("gone") == ended(gone, at=0)
    assert (await the_topic(storage, topic)).subscriptions_deleted == 1
    twin, added = await storage.add_subscription(replace(live, subscription_id="twin"))
    assert (twin, added) == (live, False)
    await sweep_all(storage, at=5_000)
    assert await storage.get_subscription("pending") is None
    assert await storage.topic_subscriptions(topic.topic_id) == [live]


async def test_documents_are_what_they_were(storage: Storage) -> None:
    a, b, c = a_key("a"), a_key("b"), a_key("c")
    await storage.change_documents([DocumentChange(a, None, "1"), DocumentChange(b, None, "2")])
    await save(storage, at=0)
    assert await storage.change_documents(
        [DocumentChange(a, "1", "x"), DocumentChange(b, "2", None), DocumentChange(c, None, "y")]
    )
    await restore(storage, at=1)
    found = await storage.list_documents("a-kind", ACCOUNT, REGION, limit=9)
    assert found == [("a", "1"), ("b", "2")]
    assert await storage.get_document(c) is None


async def test_topic_deduplication_is_what_it_was(storage: Storage) -> None:
    topic = await a_topic(storage)

    async def is_duplicate(message: str, *, at: int, of: TopicRecord = topic) -> bool:
        publishing = a_publishing(message, key=message, at=at)
        [answer] = await publish(storage, await the_topic(storage, of), publishing, at=at) or []
        return answer.duplicate

    assert not await is_duplicate("a", at=0)
    await save(storage, at=1)
    assert not await is_duplicate("b", at=2)
    await drop_topic(storage, topic, at=3)
    await restore(storage, at=4)
    assert await is_duplicate("a", at=5)
    assert not await is_duplicate("b", at=5)
    assert not await is_duplicate("a", at=WINDOW_MS)


async def test_archives_are_what_they_were(storage: Storage) -> None:
    topic = await a_topic(storage)
    _, *before = await archive(storage, topic, "trimmed", "a", "b", "c")
    await storage.trim_archive(topic.topic_id, before_ms=EPOCH_MS + 1, limit=9)
    await save(storage, at=10)

    async def read() -> list[str]:
        found = await storage.read_archive(
            topic.topic_id, after_sequence=0, from_ms=0, until_ms=None, limit=9
        )
        return [publication.message for publication in found]

    await storage.trim_archive(topic.topic_id, before_ms=EPOCH_MS + 3, limit=9)
    await archive(storage, topic, "d", at=20)
    assert await read() == ["c", "d"]
    for _ in range(2):
        await restore(storage, at=30)
        assert await read() == ["a", "b", "c"]
        assert await storage.archive_begins_at_ms(topic.topic_id) == before[0].published_at_ms
        await drop_topic(storage, topic, at=31)
        await sweep_all(storage, at=32)
    await restore(storage, at=33)
    await archive(storage, await the_topic(storage, topic), "e", at=40)
    assert await read() == ["a", "b", "c", "e"]


async def test_deliveries_are_what_they_were(storage: Storage) -> None:
    pending = a_delivery(due=50)
    await publish(
        storage,
        None,
        a_publishing("a", a_delivery(), pending, waiting(pending), finished(pending, at=0)),
    )
    before = await listed(storage)
    await save(storage, at=0)
    for delivery in before:
        done = finished(delivery.details, at=1, status=DeliveryStatus.FAILED)
        assert await storage.settle_delivery(delivery.delivery_id, done, now_ms=EPOCH_MS + 1)
    await publish(storage, None, a_publishing("b", a_delivery("http://b")))
    assert await storage.clear_deliveries(DeliveryFilter(endpoint=LANE.endpoint)) == 4
    await restore(storage, at=2)
    restored = await listed(storage)
    assert [(d.publication, d.details) for d in restored] == [
        (d.publication, d.details) for d in before
    ]
    assert await storage.pending_lanes() == [(LANE, EPOCH_MS)]
    assert await due(storage, at=10) == ["a"]
    assert await due(storage, at=50) == ["a", "a"]
    assert await storage.lane_due_ms(LANE, after_ms=EPOCH_MS) == EPOCH_MS + 50
    assert await storage.resume_deliveries(["http"], now_ms=EPOCH_MS + 2) == 1
    newest = await storage.list_deliveries(DeliveryFilter(), newest_first=True, limit=9)
    assert newest[::-1] == await listed(storage)


async def test_restored_deliveries_stand_in_order_among_others(storage: Storage) -> None:
    for number, account in enumerate((ACCOUNT, OTHER_ACCOUNT, ACCOUNT, OTHER_ACCOUNT)):
        publishing = a_publishing(f"m{number}", a_delivery(account=account))
        await publish(storage, None, publishing)
    await save(storage, Scope(ACCOUNT), at=0)
    await restore(storage, at=1)
    assert messages_of(await listed(storage)) == ["m0", "m1", "m2", "m3"]
    await publish(storage, None, a_publishing("m4", a_delivery()))
    assert messages_of(await listed(storage)) == ["m0", "m1", "m2", "m3", "m4"]


# --- scopes -------------------------------------------------------------------------------------


@pytest.mark.parametrize("scope", [Scope(ACCOUNT), Scope(ACCOUNT, REGION)])
async def test_what_is_outside_of_the_scope_is_left_alone(storage: Storage, scope: Scope) -> None:
    inside, outside = await twins(storage, fifo=False)
    topic = await a_topic(storage, account=OTHER_ACCOUNT)
    key = a_key("a")._replace(account=OTHER_ACCOUNT)
    await outside.send("a", "b", at=0)
    await save(storage, scope, at=1)
    [claim] = await outside.receive(1, at=2)
    await outside.send("c", at=2)
    made = await a_queue(storage, "made", account=OTHER_ACCOUNT)
    await a_queue(storage, "made")
    await storage.change_documents([DocumentChange(key, None, "x")])
    await subscribe(storage, topic)
    changed = await the_topic(storage, topic)
    delivery = a_delivery(account=OTHER_ACCOUNT)
    await publish(storage, changed, a_publishing("m", delivery, key="k"), at=2)
    await archive(storage, changed, "kept", at=2)
    await storage.create_move_task(a_task("a task", made))
    record = await outside.record()
    await restore(storage, at=3)
    assert await outside.record() == record
    assert await outside.delete(claim, at=4) == [Outcome.DONE]
    assert await outside.received(at=4) == ["b", "c"]
    queues = await storage.list_queues(OTHER_ACCOUNT, REGION, limit=9)
    assert [each.key.name for each in queues] == ["a-queue", "made"]
    assert [each.key for each in await storage.list_queues(ACCOUNT, REGION, limit=9)] == [
        inside.key
    ]
    assert await storage.get_document(key) == "x"
    assert await the_topic(storage, topic) == changed
    assert len(await storage.topic_subscriptions(topic.topic_id)) == 1
    assert await storage.archive_begins_at_ms(topic.topic_id) == EPOCH_MS + 2
    assert messages_of(await listed(storage)) == ["m"]
    [again] = await publish(storage, changed, a_publishing("m", key="k"), at=4) or []
    assert again.duplicate
    assert [task.task_id for task in await storage.unfinished_move_tasks()] == ["a task"]


async def test_a_checkpoint_knows_nothing_of_what_is_outside_of_its_scope(
    storage: Storage,
) -> None:
    topic = await a_topic(storage, account=OTHER_ACCOUNT)
    details = a_delivery(account=OTHER_ACCOUNT)
    await publish(storage, topic, a_publishing("m", details, key="k"))
    await save(storage, Scope(ACCOUNT), at=0)
    [delivery] = await listed(storage)
    done = finished(details, at=1)
    assert await storage.settle_delivery(delivery.delivery_id, done, now_ms=EPOCH_MS + 1)
    await publish(storage, topic, a_publishing("m", key="k"), at=WINDOW_MS)
    await restore(storage, at=WINDOW_MS + 1)
    assert [each.details for each in await listed(storage)] == [done]
    [again] = await publish(storage, topic, a_publishing("m", key="k"), at=WINDOW_MS + 2) or []
    assert again.duplicate


async def test_a_checkpoint_of_a_region_is_not_of_another(storage: Storage) -> None:
    here = await a_queue(storage)
    there = await a_queue(storage, region="eu-west-1")
    checkpoint = await save(storage, Scope(ACCOUNT, REGION), at=0)
    assert checkpoint.queues == 1
    for each in (here, there):
        await each.send("a", at=1)
    await restore(storage, at=2)
    assert await here.counts(at=2) == (0, 0, 0)
    assert await there.counts(at=2) == (1, 0, 0)


# --- after a reset ------------------------------------------------------------------------------


@both_kinds
async def test_a_checkpoint_outlives_a_reset(storage: Storage, fifo: bool) -> None:
    queue, twin = await twins(storage, fifo=fifo)
    for each in (queue, twin):
        await live_through(each, fifo=fifo)
    topic = await a_topic(storage)
    await subscribe(storage, topic)
    await save(storage, Scope(ACCOUNT), at=701)
    await reset(storage, Scope(ACCOUNT), at=701)
    await sweep_all(storage, at=701)
    await restore(storage, at=701)
    [record] = await storage.list_queues(ACCOUNT, REGION, limit=9)
    again = AQueue(storage, record)
    assert await drained(again, at=60_000) == await drained(twin, at=60_000)
    restored = await the_topic(storage, topic)
    assert len(await storage.topic_subscriptions(restored.topic_id)) == 1


# --- telling ------------------------------------------------------------------------------------


async def test_whoever_waits_at_a_queue_of_the_scope_is_told_once(
    storage: Storage, queue: AQueue, changes: list[tuple[int, int]]
) -> None:
    deleted = await a_queue(storage, "deleted")
    await a_queue(storage, account=OTHER_ACCOUNT)
    await save(storage, Scope(ACCOUNT), at=0)
    assert changes == []
    await deleted.drop(at=1)
    made = await a_queue(storage, "made")
    changes.clear()
    await restore(storage, at=2)
    ids = (await storage.list_queues(ACCOUNT, REGION, limit=9))[1].queue_id, made.queue_id
    assert sorted(changes) == sorted(
        [(queue.queue_id, EVERYBODY), *((queue_id, EVERYBODY) for queue_id in ids)]
    )


# --- upkeep -------------------------------------------------------------------------------------


async def test_what_a_restore_replaced_is_swept(storage: Storage, queue: AQueue) -> None:
    await queue.add(*(a_message(f"old {n}") for n in range(250)), at=0)
    await save(storage, at=0)
    await queue.add(*(a_message(f"new {n}") for n in range(250)), at=0)
    await restore(storage, at=1)
    await sweep_all(storage, at=1)
    assert await queue.counts(at=1) == (250, 0, 0)
    assert await storage.delete_checkpoint("a checkpoint")
    await sweep_all(storage, at=2)
    await queue.purge(at=3)
    assert await sweep_all(storage, at=3) is None


async def test_a_sweep_keeps_checkpoints(
    storage: Storage, queue: AQueue, fifo_queue: AQueue
) -> None:
    message = a_message("a", group_id="g", deduplication_id="d")
    for each in (queue, fifo_queue):
        await each.add(message, at=0)
    await save(storage, at=0)
    await reset(storage, at=1)
    await sweep_all(storage, at=2)
    await sweep_all(storage, at=WINDOW_MS - 1)
    await restore(storage, at=WINDOW_MS - 1)
    assert await queue.received(at=WINDOW_MS - 1) == ["a"]
    assert await fifo_queue.add(message, at=WINDOW_MS - 1) == [("id of a", True)]


# --- restarts -----------------------------------------------------------------------------------


@both_kinds
async def test_checkpoints_survive_a_restart(
    storage: Storage, reopen_storage: Reopen, fifo: bool
) -> None:
    queue, twin = await twins(storage, fifo=fifo)
    for each in (queue, twin):
        await live_through(each, fifo=fifo)
    topic = await a_topic(storage)
    await subscribe(storage, topic)
    await archive(storage, topic, "a")
    await publish(storage, await the_topic(storage, topic), a_publishing("b", a_delivery()))
    checkpoint = await save(storage, Scope(ACCOUNT), at=701)
    await stir(queue, at=701)
    await reset(storage, Scope(ACCOUNT), at=702)

    again = await reopen_storage()
    assert await again.list_checkpoints() == [checkpoint]
    assert await restore(again, at=703) == checkpoint
    drawn = await again.next_sequence()

    last = await reopen_storage()
    assert await last.next_sequence() > drawn
    [record] = await last.list_queues(ACCOUNT, REGION, limit=9)
    [other] = await last.list_queues(OTHER_ACCOUNT, REGION, limit=9)
    restored, untouched = AQueue(last, record), AQueue(last, other)
    assert await restored.counts(at=704) == await untouched.counts(at=704)
    assert await drained(restored, at=60_000) == await drained(untouched, at=60_000)
    found = await the_topic(last, topic)
    assert len(await last.topic_subscriptions(found.topic_id)) == 1
    assert await last.archive_begins_at_ms(found.topic_id) == EPOCH_MS
    assert messages_of(await listed(last)) == ["b"]


async def test_a_restart_in_the_middle_of_the_sweeping_loses_nothing(
    storage: Storage, queue: AQueue, reopen_storage: Reopen
) -> None:
    await queue.add(*(a_message(str(number)) for number in range(500)), at=0)
    await save(storage, at=0)
    await queue.purge(at=1)
    await restore(storage, at=1)
    await storage.sweep(now_ms=EPOCH_MS + 1, limit=100)
    again = await reopen_storage()
    await sweep_all(again, at=2)
    for at in (3, 4):
        record = await again.get_queue(queue.key)
        assert record is not None
        assert await AQueue(again, record).counts(at=at) == (500, 0, 0)
        await restore(again, at=at)
