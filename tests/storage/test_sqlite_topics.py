"""SQLite: how topics are kept; what statements cost, what is removed, what a rollback undoes."""

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path
from random import Random

import pytest

from storage.sqlite import SQLiteStorage, documents, outbox, topics
from storage.topic_contract import FINISHED_DELIVERIES_KEPT
from storage.topic_records import (
    DeliveryFilter,
    DeliveryStatus,
    NewDelivery,
    Publication,
    Publishing,
    SubscriptionRecord,
    SubscriptionState,
    TopicKey,
    TopicRecord,
)
from tests.storage.builders import EPOCH_MS

NOW_MS = EPOCH_MS
KEY = TopicKey("000000000000", "us-east-1", "a-topic.fifo")


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SQLiteStorage]:
    store = SQLiteStorage(tmp_path / "headrace.db", strict=False)
    await store.open()
    yield store
    await store.close()


@pytest.fixture
async def topic(store: SQLiteStorage) -> TopicRecord:
    record, _ = await store.create_topic(KEY, {"FifoTopic": "true"}, {}, None, now_ms=NOW_MS)
    return record


def a_publication(*, sequence: int | None = None, published_at_ms: int = NOW_MS) -> Publication:
    return Publication("an id", "arn:topic", "a message", published_at_ms, sequence=sequence)


def a_delivery(status: DeliveryStatus = DeliveryStatus.PENDING, *, at: int = 0) -> NewDelivery:
    pending = status is DeliveryStatus.PENDING
    delivery = NewDelivery(
        *("000000000000", "us-east-1", "http", "http://host/", "s", status),
        due_at_ms=NOW_MS if pending else None,
        created_at_ms=NOW_MS,
    )
    return delivery if pending else delivery._replace(finished_at_ms=NOW_MS + at)


def a_subscription(topic: TopicRecord) -> SubscriptionRecord:
    return SubscriptionRecord(
        *("s", topic.key, topic.topic_id, "000000000000", "arn:root", "http", "http://host/"),
        state=SubscriptionState.CONFIRMED,
        created_at_ms=NOW_MS,
        attributes={},
    )


async def publish(
    store: SQLiteStorage, topic: TopicRecord | None, *publishings: Publishing
) -> None:
    published = await store.publish(topic, publishings, now_ms=NOW_MS, deduplication_window_ms=0)
    assert published is not None


def rows(store: SQLiteStorage, table: str) -> int:
    """How many rows the publications or the deliveries have."""
    count = {
        "publications": "SELECT count(*) FROM publications",
        "deliveries": "SELECT count(*) FROM deliveries",
        "discarded_archives": "SELECT count(*) FROM discarded_archives",
    }
    [(number,)] = store._execute(count[table]).fetchall()
    return int(number)


# --- what statements cost -----------------------------------------------------------------------


def plan(store: SQLiteStorage, statement: str) -> list[str]:
    """How SQLite goes about a statement."""
    names = re.findall(r":(\w+)", statement)
    bindings = dict.fromkeys(names) if names else (None,) * statement.count("?")
    return [row[3] for row in store._execute("EXPLAIN QUERY PLAN " + statement, bindings)]


@pytest.mark.parametrize(
    "statement",
    [
        outbox.DUE,
        outbox.LANE_DUE,
        outbox.STATUS,
        outbox.SETTLE,
        outbox.RESUME,
        outbox.DISORDER,
        outbox.DISORDER_NOTED,
        outbox.READ_ARCHIVE,
        outbox.ARCHIVED_AFTER,
        outbox.ARCHIVE_BEGINS,
        outbox.OLDEST_ARCHIVED,
        topics.END_SUBSCRIPTIONS,
        topics.EXPIRED_SUBSCRIPTIONS,
        topics.NEXT_EXPIRY,
        topics.DEDUPLICATION,
        documents.LIST,
        documents.LIST_FROM,
    ],
)
def test_what_runs_often_goes_by_an_index_and_sorts_nothing(
    store: SQLiteStorage, statement: str
) -> None:
    steps = [step for step in plan(store, statement) if step != "SCAN CONSTANT ROW"]
    assert any(step.startswith("SEARCH") for step in steps)
    assert [step for step in steps if step.startswith("SCAN") or "TEMP" in step] == []


@pytest.mark.parametrize(
    ("statement", "step"),
    [
        (outbox.DUE, "deliveries_pending (protocol=? AND endpoint=? AND due_at_ms<?)"),
        (outbox.LANE_DUE, "deliveries_pending (protocol=? AND endpoint=? AND due_at_ms>?)"),
        (
            outbox.READ_ARCHIVE,
            "archives_in_order (archived_topic_id=? AND sequence>? AND sequence<?)",
        ),
    ],
)
def test_only_what_is_wanted_is_looked_at(store: SQLiteStorage, statement: str, step: str) -> None:
    assert any(each.endswith(step) for each in plan(store, statement))


async def test_reads_cause_no_flush(store: SQLiteStorage, topic: TopicRecord) -> None:
    assert store._connection is not None
    before = store._connection.total_changes()
    await store.pending_lanes()
    await store.list_deliveries(DeliveryFilter(), limit=10)
    await store.read_archive(topic.topic_id, after_sequence=0, from_ms=0, until_ms=None, limit=10)
    await store.sweep(now_ms=NOW_MS, limit=100)
    assert store._connection.total_changes() == before


# --- publications -------------------------------------------------------------------------------


async def test_a_publication_is_kept_once_and_goes_with_its_last_delivery(
    store: SQLiteStorage,
) -> None:
    deliveries = [a_delivery(), a_delivery(DeliveryStatus.FAILED)]
    await publish(store, None, Publishing(a_publication(), [], deliveries))
    await publish(store, None, Publishing(a_publication(), [], [a_delivery()]))
    assert (rows(store, "publications"), rows(store, "deliveries")) == (2, 3)
    failed = DeliveryFilter(statuses=(DeliveryStatus.FAILED,))
    assert await store.clear_deliveries(failed) == 1
    assert rows(store, "publications") == 2
    assert await store.clear_deliveries(DeliveryFilter()) == 2
    assert rows(store, "publications") == 0


async def test_a_publication_without_deliveries_is_not_kept(
    store: SQLiteStorage, topic: TopicRecord
) -> None:
    await publish(store, topic, Publishing(a_publication(sequence=1), [], []))
    assert rows(store, "publications") == 0


async def test_an_archived_publication_outlives_its_deliveries(
    store: SQLiteStorage, topic: TopicRecord
) -> None:
    publication = a_publication(sequence=1)
    await publish(store, topic, Publishing(publication, [], [a_delivery()], archived=True))
    await store.clear_deliveries(DeliveryFilter())
    archived = await store.read_archive(
        topic.topic_id, after_sequence=0, from_ms=0, until_ms=None, limit=10
    )
    assert archived == [publication]
    assert await store.trim_archive(topic.topic_id, before_ms=NOW_MS + 1, limit=10) == 1
    assert rows(store, "publications") == 0


async def test_deliveries_outlive_the_archive(store: SQLiteStorage, topic: TopicRecord) -> None:
    publication = a_publication(sequence=1)
    await publish(store, topic, Publishing(publication, [], [a_delivery()], archived=True))
    assert await store.trim_archive(topic.topic_id, before_ms=NOW_MS + 1, limit=10) == 1
    [delivery] = await store.list_deliveries(DeliveryFilter(), limit=10)
    assert delivery.publication == publication
    assert await store.archive_begins_at_ms(topic.topic_id) is None


async def test_the_archive_of_a_deleted_topic_is_swept_in_steps(
    store: SQLiteStorage, topic: TopicRecord
) -> None:
    for sequence in range(1, 26):
        archived = Publishing(a_publication(sequence=sequence), [], [], archived=True)
        await publish(store, topic, archived)
    await store.delete_topic(topic.topic_id, now_ms=NOW_MS, expires_at_ms=NOW_MS)
    left = [rows(store, "publications")]
    while await store.sweep(now_ms=NOW_MS, limit=10) == NOW_MS:
        left.append(rows(store, "publications"))
    assert left == [25, 15, 5, 0, 0]
    assert rows(store, "discarded_archives") == 0


async def fill_up(store: SQLiteStorage, finished: int) -> None:
    """Make it ten finished deliveries too many, of which ``finished`` are there; sweep them."""
    more = [a_delivery(DeliveryStatus.DELIVERED, at=30)] * (
        FINISHED_DELIVERIES_KEPT + 10 - finished
    )
    await publish(store, None, Publishing(a_publication(), [], more))
    assert await store.sweep(now_ms=NOW_MS, limit=6) == NOW_MS
    assert await store.sweep(now_ms=NOW_MS, limit=6) is None
    assert rows(store, "deliveries") == FINISHED_DELIVERIES_KEPT
    [oldest] = await store.list_deliveries(DeliveryFilter(), limit=1)
    assert oldest.details.finished_at_ms == NOW_MS + 10


async def test_finished_deliveries_are_counted_however_they_come_and_go(
    store: SQLiteStorage,
) -> None:
    finished = [a_delivery(DeliveryStatus.DELIVERED, at=at) for at in range(20)]
    await publish(store, None, Publishing(a_publication(), [], [*finished, a_delivery()]))
    *_, pending = await store.list_deliveries(DeliveryFilter(), limit=100)
    failed = a_delivery(DeliveryStatus.FAILED)
    for _ in range(2):  # settled again it is still one
        await store.settle_delivery(pending.delivery_id, failed, now_ms=NOW_MS)
    await store.clear_deliveries(DeliveryFilter(statuses=(DeliveryStatus.FAILED,)))
    await fill_up(store, 20)


async def test_finished_deliveries_are_counted_after_a_restart(
    store: SQLiteStorage, tmp_path: Path
) -> None:
    finished = [a_delivery(DeliveryStatus.DELIVERED, at=at) for at in range(20)]
    await publish(store, None, Publishing(a_publication(), [], finished))
    await store.close()
    again = SQLiteStorage(tmp_path / "headrace.db", strict=False)
    await again.open()
    await fill_up(again, 20)
    await again.close()


# --- archives -----------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("jump_ms", [0, 3, 40])
async def test_an_archive_is_read_whole_though_sequences_and_times_disagree(
    store: SQLiteStorage, topic: TopicRecord, seed: int, jump_ms: int
) -> None:
    """Publications arrive out of their order, and clocks jump back."""
    chance = Random(seed)
    numbers = sorted(range(1, 61), key=lambda number: number + chance.randint(0, jump_ms))
    archived = [
        a_publication(
            sequence=number, published_at_ms=NOW_MS + number + chance.randint(-jump_ms, jump_ms)
        )
        for number in numbers
    ]
    await publish(store, topic, *(Publishing(each, [], [], archived=True) for each in archived))
    archived.sort(key=lambda publication: publication.sequence or 0)
    for _ in range(100):
        after = chance.choice((0, 0, chance.randint(0, 60)))
        from_ms = NOW_MS + chance.randint(-50, 110)
        until_ms = chance.choice((None, from_ms + chance.randint(0, 50)))
        expected = [
            each
            for each in archived
            if (each.sequence or 0) > after
            and each.published_at_ms >= from_ms
            and (until_ms is None or each.published_at_ms <= until_ms)
        ]
        found = await store.read_archive(
            topic.topic_id, after_sequence=after, from_ms=from_ms, until_ms=until_ms, limit=100
        )
        assert found == expected


# --- rollback -----------------------------------------------------------------------------------


async def test_a_bug_in_one_call_does_not_touch_the_topics_of_its_transaction(
    store: SQLiteStorage, topic: TopicRecord
) -> None:
    other = KEY._replace(name="other")

    def half_done() -> None:
        store._topics.delete_topic(topic.topic_id, NOW_MS, NOW_MS)
        store._topics.create_topic(KEY._replace(name="half"), {}, {}, None, NOW_MS)
        raise RuntimeError("a bug")

    await store.add_subscription(a_subscription(topic))
    created, failed = await asyncio.gather(
        store.create_topic(other, {}, {}, None, now_ms=NOW_MS),
        store._run(half_done),
        return_exceptions=True,
    )
    assert isinstance(failed, RuntimeError)
    assert not isinstance(created, BaseException)
    names = [each.key.name for each in await store.list_topics(*KEY[:2], limit=10)]
    assert names == ["a-topic.fifo", "other"]
    assert await store.get_topic(other) == created[0]
    assert await store.topic_subscriptions(topic.topic_id) == [a_subscription(topic)]
    owned = await store.list_subscriptions(*KEY[:2], limit=10)
    assert owned == [a_subscription(topic)]
