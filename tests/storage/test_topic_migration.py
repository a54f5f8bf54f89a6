"""SQLite: a file from before there were topics is opened with all that is in it."""

from dataclasses import asdict
from json import dumps
from pathlib import Path

import apsw
import pytest

from storage.records import QueueKey, QueueSettings
from storage.sqlite import SQLiteStorage
from storage.sqlite.content import Content
from storage.sqlite.database import APPLICATION_ID, migrations
from storage.sqlite.messages import Messages
from storage.topic_records import DeliveryFilter, DocumentKey, TopicKey
from tests.storage.builders import EPOCH_MS, RETENTION_MS, WINDOW_MS, AQueue, a_message

ACCOUNT, REGION = "000000000000", "us-east-1"
KEY = QueueKey(ACCOUNT, REGION, "a-queue.fifo")
SETTINGS = QueueSettings(fifo=True)
QUEUE_ID, CONTENT_ID, FIRST_SEQUENCE = 1, 2, 1 << 40


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file of schema 1 that was opened once, with a queue and three messages in it."""
    path = tmp_path / "headrace.db"
    connection = apsw.Connection(str(path))
    number, first = migrations()[0]
    with connection:
        connection.pragma("application_id", APPLICATION_ID)
        connection.execute(first.read_text("utf-8"))
        connection.pragma("user_version", number)
        connection.execute("UPDATE openings SET count = 1")
        connection.execute(
            "INSERT INTO queues VALUES (?, ?, ?, ?, ?, ?, ?, NULL, ?, ?, ?)",
            (
                *(QUEUE_ID, CONTENT_ID, *KEY, EPOCH_MS, EPOCH_MS, False),
                *(dumps(asdict(SETTINGS)), dumps({"k": "v"})),
            ),
        )
        messages = Messages(connection, sequence=FIRST_SEQUENCE)
        messages.contents[QUEUE_ID] = Content(
            CONTENT_ID, QUEUE_ID, fifo=True, per_group=False, retention_ms=RETENTION_MS
        )
        new = [a_message(body, group_id="g", deduplication_id=body) for body in "abc"]
        messages.add([(QUEUE_ID, message) for message in new], EPOCH_MS, WINDOW_MS)
    connection.close()
    return path


def schema(path: Path) -> int:
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        return int(connection.pragma("user_version"))
    finally:
        connection.close()


async def test_queues_and_messages_survive_the_migration(path: Path) -> None:
    assert schema(path) == 1
    store = SQLiteStorage(path, strict=True)
    await store.open()
    record = await store.get_queue(KEY)
    assert record is not None
    assert (record.queue_id, record.settings, record.tags) == (QUEUE_ID, SETTINGS, {"k": "v"})
    queue = AQueue(store, record)
    assert await queue.counts(at=1) == (3, 0, 0)
    again = a_message("b", group_id="g", deduplication_id="b")
    assert await queue.add(again, at=1) == [("id of b", True)]
    assert await queue.received(at=1) == ["a", "b", "c"]
    await store.close()
    assert schema(path) == migrations()[-1][0]


async def test_sequences_go_on_rising_after_the_migration(path: Path) -> None:
    store = SQLiteStorage(path, strict=True)
    await store.open()
    assert await store.next_sequence() > FIRST_SEQUENCE + 3
    await store.close()


async def test_a_migrated_file_has_no_topics_and_can_have_some(path: Path) -> None:
    store = SQLiteStorage(path, strict=True)
    await store.open()
    assert await store.list_topics(ACCOUNT, REGION, limit=10) == []
    assert await store.list_subscriptions(ACCOUNT, REGION, limit=10) == []
    assert await store.list_deliveries(DeliveryFilter(), limit=10) == []
    assert await store.get_document(DocumentKey("kind", ACCOUNT, REGION, "name")) is None
    topic, created = await store.create_topic(
        TopicKey(ACCOUNT, REGION, "a-topic"), {}, {}, None, now_ms=EPOCH_MS
    )
    assert created
    await store.close()
    again = SQLiteStorage(path, strict=True)
    await again.open()
    assert await again.get_topic(topic.key) == topic
    await again.close()
