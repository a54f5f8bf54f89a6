"""Starting over: removing everything, an account, or a region."""

import pytest

from storage.admin_records import Scope
from storage.contract import EVERYBODY, Storage
from storage.errors import UnknownQueue
from storage.records import MoveTaskStatus, Outcome, QueueKey
from storage.topic_records import DocumentChange, DocumentKey
from tests.storage.admin_builders import EVERYTHING, OTHER_ACCOUNT, reset, save
from tests.storage.builders import EPOCH_MS, AQueue, a_message, a_queue, a_task
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
    publish,
    subscribe,
    the_topic,
    waiting,
)

OTHER_REGION = "eu-west-1"

#: Where the things of these tests are.
PLACES = [(ACCOUNT, REGION), (ACCOUNT, OTHER_REGION), (OTHER_ACCOUNT, REGION)]

in_each_scope = pytest.mark.parametrize(
    ("scope", "left"),
    [
        (EVERYTHING, []),
        (Scope(ACCOUNT), [(OTHER_ACCOUNT, REGION)]),
        (Scope(ACCOUNT, REGION), [(ACCOUNT, OTHER_REGION), (OTHER_ACCOUNT, REGION)]),
        (Scope("222222222222"), PLACES),
    ],
    ids=["everything", "account", "region", "nothing"],
)


# --- scopes -------------------------------------------------------------------------------------


@in_each_scope
async def test_a_reset_removes_the_queues_of_its_scope(
    storage: Storage, scope: Scope, left: list[tuple[str, str]]
) -> None:
    queues = [await a_queue(storage, account=a, region=r) for a, r in PLACES]
    for each in queues:
        await each.send("a", "b", at=0)
    await reset(storage, scope, at=1)
    for (account, region), queue in zip(PLACES, queues, strict=True):
        names = [r.key for r in await storage.list_queues(account, region, limit=9)]
        assert names == ([queue.key] if (account, region) in left else [])
        assert (await storage.get_queue(queue.key) is not None) == ((account, region) in left)
        if (account, region) in left:
            assert await queue.received(at=1) == ["a", "b"]


@in_each_scope
async def test_a_reset_removes_the_topics_of_its_scope_with_their_subscriptions(
    storage: Storage, scope: Scope, left: list[tuple[str, str]]
) -> None:
    for number, (account, region) in enumerate(PLACES):
        topic = await a_topic(storage, account=account, region=region)
        await subscribe(storage, topic, f"s{number}")
    await reset(storage, scope, at=1)
    for number, (account, region) in enumerate(PLACES):
        found = await storage.list_topics(account, region, limit=9)
        stays = (account, region) in left
        assert len(found) == stays
        assert await storage.count_topics(account, region, fifo=False) == stays
        assert len(await storage.list_subscriptions(account, region, limit=9)) == stays
        assert (await storage.get_subscription(f"s{number}") is not None) == stays
        for topic in found:
            assert len(await storage.topic_subscriptions(topic.topic_id)) == 1


@in_each_scope
async def test_a_reset_removes_the_documents_of_its_scope(
    storage: Storage, scope: Scope, left: list[tuple[str, str]]
) -> None:
    keys = [DocumentKey("a-kind", account, region, "a") for account, region in PLACES]
    await storage.change_documents([DocumentChange(key, None, "x") for key in keys])
    await reset(storage, scope, at=1)
    for key in keys:
        stays = (key.account, key.region) in left
        assert await storage.get_document(key) == ("x" if stays else None)
        listed = await storage.list_documents("a-kind", key.account, key.region, limit=9)
        assert listed == ([("a", "x")] if stays else [])


@in_each_scope
async def test_a_reset_forgets_the_deliveries_of_its_scope(
    storage: Storage, scope: Scope, left: list[tuple[str, str]]
) -> None:
    for number, (account, region) in enumerate(PLACES):
        pending = a_delivery(account=account, region=region)
        others = [waiting(pending), finished(pending, at=0)]
        await publish(storage, None, a_publishing(f"m{number}", pending, *others))
    await reset(storage, scope, at=1)
    expected = [f"m{number}" for number, place in enumerate(PLACES) if place in left]
    assert await due(storage, at=1) == expected
    assert len(await listed(storage)) == 3 * len(expected)
    assert [lane for lane, _ in await storage.pending_lanes()] == [LANE] * bool(expected)
    assert await storage.resume_deliveries([LANE.protocol], now_ms=EPOCH_MS) == len(expected)


# --- what goes with them ------------------------------------------------------------------------


@pytest.mark.parametrize("fifo", [False, True], ids=["standard", "fifo"])
async def test_after_a_reset_receipts_are_good_for_nothing(storage: Storage, fifo: bool) -> None:
    queue = await a_queue(storage, fifo=fifo)
    await queue.send("g-1", at=0)
    [claim] = await queue.receive(at=0)
    await reset(storage, at=1)
    again = await a_queue(storage, fifo=fifo, at=2)
    assert again.queue_id != queue.queue_id
    await again.send("g-2", at=2)
    with pytest.raises(UnknownQueue):
        await queue.delete(claim, at=2)
    assert await again.delete(claim, at=2) == [Outcome.GONE]
    assert await again.received(at=2) == ["g-2"]


async def test_a_reset_forgets_deduplication_and_attempts(
    storage: Storage, fifo_queue: AQueue
) -> None:
    message = a_message("a", group_id="g", deduplication_id="d")
    await fifo_queue.add(message, at=0)
    await fifo_queue.claim(at=0, attempt_id="x")
    await reset(storage, at=1)
    again = await a_queue(storage, fifo_queue.key.name, fifo=True, at=1)
    assert await again.add(message, at=1) == [("id of a", False)]
    assert (await again.claim(at=1, attempt_id="x")).messages[0].receive_count == 1


async def test_a_reset_forgets_deletions(storage: Storage, queue: AQueue) -> None:
    """A queue can be made anew at once, whichever way it went."""
    other = await a_queue(storage, "other")
    elsewhere = await a_queue(storage, "other", account=OTHER_ACCOUNT)
    await other.drop(at=0)
    await elsewhere.drop(at=0)
    await reset(storage, Scope(ACCOUNT), at=1)
    assert await storage.queue_deleted_at_ms(queue.key) is None
    assert await storage.queue_deleted_at_ms(other.key) is None
    assert await storage.queue_deleted_at_ms(elsewhere.key) == EPOCH_MS


async def test_a_reset_forgets_the_move_tasks_of_its_queues(
    storage: Storage, queue: AQueue
) -> None:
    other = await a_queue(storage, account=OTHER_ACCOUNT)
    await storage.create_move_task(a_task("done", queue, status=MoveTaskStatus.COMPLETED))
    await storage.create_move_task(a_task("running", queue))
    await storage.create_move_task(a_task("elsewhere", other))
    await reset(storage, Scope(ACCOUNT), at=1)
    assert await storage.list_move_tasks(queue.queue_id, limit=9) == []
    assert await storage.get_move_task("done") is None
    assert await storage.get_move_task("running") is None
    assert [task.task_id for task in await storage.unfinished_move_tasks()] == ["elsewhere"]
    await reset(storage, Scope(ACCOUNT), at=2)
    assert await storage.get_move_task("elsewhere") is not None


async def test_a_reset_of_everything_forgets_the_move_tasks_of_deleted_queues(
    storage: Storage, queue: AQueue
) -> None:
    await storage.create_move_task(a_task("a task", queue))
    await queue.drop(at=0)
    late = await a_queue(storage, "late")
    await late.drop(at=0)
    await storage.create_move_task(a_task("late", late))
    await reset(storage, at=1)
    assert await storage.get_move_task("a task") is None
    assert await storage.get_move_task("late") is None
    assert await storage.unfinished_move_tasks() == []


async def test_a_reset_forgets_subscriptions_that_have_ended(storage: Storage) -> None:
    """Those of a topic that is gone too: nobody can confirm them again."""
    topic = await a_topic(storage)
    gone = await a_topic(storage, "gone")
    old = await subscribe(storage, topic)
    assert await storage.replace_subscription(old, ended(old, at=0))
    await subscribe(storage, gone, "s2")
    await drop_topic(storage, gone, at=0)
    await reset(storage, Scope(ACCOUNT), at=1)
    assert await storage.get_subscription("s1") is None
    assert await storage.get_subscription("s2") is None


async def test_a_subscription_is_where_its_topic_is(storage: Storage) -> None:
    topic = await a_topic(storage)
    await subscribe(storage, topic, owner=OTHER_ACCOUNT)
    await reset(storage, Scope(OTHER_ACCOUNT), at=1)
    assert len(await storage.topic_subscriptions(topic.topic_id)) == 1
    await reset(storage, Scope(ACCOUNT), at=2)
    assert await storage.get_subscription("s1") is None
    assert await storage.list_subscriptions(OTHER_ACCOUNT, REGION, limit=9) == []


async def test_a_reset_forgets_what_was_published(storage: Storage) -> None:
    topic = await a_topic(storage, ArchivePolicy="x")
    await archive(storage, topic, "a")
    await publish(storage, topic, a_publishing("b", key="k"))
    stale = await the_topic(storage, topic)
    await reset(storage, at=1)
    assert await storage.archiving_topics() == []
    assert await storage.archive_begins_at_ms(topic.topic_id) is None
    assert await publish(storage, stale, a_publishing("c"), at=2) is None
    again = await a_topic(storage, ArchivePolicy="x", at=2)
    assert again.topic_id != topic.topic_id
    assert await storage.archive_begins_at_ms(again.topic_id) is None
    [published] = await publish(storage, again, a_publishing("b", key="k"), at=2) or []
    assert not published.duplicate


async def test_a_reset_leaves_secrets_and_checkpoints(storage: Storage, queue: AQueue) -> None:
    await storage.keep_secret("a secret", b"x")
    checkpoint = await save(storage, at=0)
    await reset(storage, at=1)
    assert await storage.get_secret("a secret") == b"x"
    assert await storage.list_checkpoints() == [checkpoint]


async def test_sequences_go_on_after_a_reset(storage: Storage, queue: AQueue) -> None:
    await queue.send("a", at=0)
    before = await storage.next_sequence()
    await reset(storage, at=1)
    assert await storage.next_sequence() > before
    again = await a_queue(storage)
    await again.send("b", at=2)
    [claim] = await again.receive(at=2)
    assert claim.sequence > before


# --- telling ------------------------------------------------------------------------------------


async def test_whoever_waits_at_a_queue_that_goes_is_told(
    storage: Storage, queue: AQueue, fifo_queue: AQueue, changes: list[tuple[int, int]]
) -> None:
    await a_queue(storage, account=OTHER_ACCOUNT)
    await reset(storage, Scope(ACCOUNT), at=1)
    assert sorted(changes) == [(queue.queue_id, EVERYBODY), (fifo_queue.queue_id, EVERYBODY)]


async def test_a_reset_of_nothing_does_nothing(
    storage: Storage, changes: list[tuple[int, int]]
) -> None:
    await reset(storage, at=0)
    assert changes == []
    assert await storage.get_queue(QueueKey(ACCOUNT, REGION, "a-queue")) is None


# --- what it leaves -----------------------------------------------------------------------------


async def test_what_a_reset_left_is_swept(
    storage: Storage, queue: AQueue, fifo_queue: AQueue
) -> None:
    await queue.add(*(a_message(str(number)) for number in range(250)), at=0)
    await fifo_queue.add(
        *(a_message(str(n), group_id="g", deduplication_id=str(n)) for n in range(250)), at=0
    )
    await fifo_queue.claim(5, at=0, attempt_id="x")
    topic = await a_topic(storage)
    await archive(storage, topic, *(str(number) for number in range(150)))
    await publish(storage, topic, a_publishing("b", a_delivery(), key="k"))
    await subscribe(storage, topic, expires_at_ms=EPOCH_MS + 50)
    await reset(storage, at=1)
    assert await storage.sweep(now_ms=EPOCH_MS + 1, limit=100) == EPOCH_MS + 1
    assert await sweep_all(storage, at=1) is None


async def test_a_sweep_after_a_reset_leaves_what_is_made_since(storage: Storage) -> None:
    queue = await a_queue(storage)
    await queue.add(*(a_message(str(number)) for number in range(250)), at=0)
    await reset(storage, at=1)
    again = await a_queue(storage)
    topic = await a_topic(storage)
    await again.send("new", at=2)
    await archive(storage, topic, "new", at=2)
    await storage.change_documents([DocumentChange(a_key("a"), None, "new")])
    await sweep_all(storage, at=3)
    assert await again.received(at=3) == ["new"]
    assert await storage.archive_begins_at_ms(topic.topic_id) == EPOCH_MS + 2
    assert await storage.get_document(a_key("a")) == "new"
