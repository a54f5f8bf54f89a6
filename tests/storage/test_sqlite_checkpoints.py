"""SQLite: checkpoints as copies of rows; what is written and read, and files from before."""

import asyncio
import re
from collections.abc import AsyncIterator
from dataclasses import asdict
from json import dumps
from pathlib import Path

import apsw
import pytest

from storage.admin_contract import AdminStorage
from storage.admin_records import PeekFilter, Scope
from storage.records import MoveTaskStatus, QueueKey, QueueSettings
from storage.sqlite import SQLiteStorage, checkpoints, messages
from storage.sqlite.database import APPLICATION_ID, migrations
from tests.storage.admin_builders import oldest, peek, peeked, reset, restore, save
from tests.storage.builders import EPOCH_MS, RETENTION_MS, AQueue, a_message, a_queue, a_task
from tests.storage.test_sweep import sweep_all
from tests.storage.topic_builders import (
    ACCOUNT,
    REGION,
    a_delivery,
    a_publishing,
    a_topic,
    archive,
    publish,
    the_topic,
)

#: The tables of which a checkpoint has copies.
COPIED = {
    *("queues", "messages", "lanes", "deduplications", "receive_attempts", "deleted_queues"),
    *("move_tasks", "documents", "topics", "subscriptions", "topic_deduplications", "archives"),
    *("deliveries", "publications"),
}
#: What there is beside: never in a checkpoint, or said of checkpoints themselves.
NOT_COPIED = {"secrets", "openings", "discarded_contents", "discarded_archives", "checkpoints"}


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SQLiteStorage]:
    store = SQLiteStorage(tmp_path / "headrace.db", strict=False)
    await store.open()
    yield store
    await store.close()


@pytest.fixture
async def queue(store: SQLiteStorage) -> AQueue:
    return await a_queue(store)


def rows_written(store: SQLiteStorage) -> int:
    assert store._connection is not None
    return store._connection.total_changes()


def tables(store: SQLiteStorage) -> dict[str, int]:
    """How many rows each table has."""
    names = store._execute(
        "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%'"
    ).fetchall()
    counts = {}
    for (name,) in names:
        [(count,)] = store._execute(f"SELECT count(*) FROM {name}").fetchall()  # noqa: S608
        counts[str(name)] = int(count)
    return counts


def test_the_store_keeps_the_contract_for_tools(store: SQLiteStorage) -> None:
    """The type checker holds it against the contract."""
    tools: AdminStorage = store
    assert tools is store


# --- copies -------------------------------------------------------------------------------------


def test_every_table_is_copied_or_known_not_to_be(store: SQLiteStorage) -> None:
    copies = {f"checkpoint_{name}" for name in COPIED}
    assert tables(store).keys() == COPIED | copies | NOT_COPIED


@pytest.mark.parametrize("table", sorted(COPIED))
def test_a_copy_has_the_columns_of_its_table_in_their_order(
    store: SQLiteStorage, table: str
) -> None:
    columns, copied = columns_of(store, table), columns_of(store, f"checkpoint_{table}")
    added = ["checkpoint_id", "open_turn"] if table == "queues" else ["checkpoint_id"]
    assert copied == added + columns


def columns_of(store: SQLiteStorage, table: str) -> list[str]:
    found = store._execute("SELECT name FROM pragma_table_info(?)", (table,)).fetchall()
    return [name for (name,) in found]


async def fill(store: SQLiteStorage) -> None:
    """Have something in every table of which a checkpoint has a copy."""
    queue, fifo = await a_queue(store), await a_queue(store, "q.fifo", fifo=True)
    await queue.send("a", "b", "g-1", "g-2", at=0)
    await fifo.add(a_message("a", group_id="g", deduplication_id="d"), at=0)
    await fifo.claim(1, at=0, attempt_id="x")
    await (await a_queue(store, "gone")).drop(at=0)
    await store.create_move_task(a_task("a task", queue))
    topic = await a_topic(store)
    await archive(store, topic, "a")
    await publish(store, await the_topic(store, topic), a_publishing("b", a_delivery(), key="k"))


async def test_a_deleted_checkpoint_leaves_no_rows(store: SQLiteStorage) -> None:
    before = tables(store)
    await fill(store)
    await save(store, at=0)
    await save(store, name="other", at=0)
    await reset(store, at=0)
    await store.delete_checkpoint("a checkpoint")
    await store.delete_checkpoint("other")
    await sweep_all(store, at=0)
    assert tables(store) == before


async def test_a_replaced_checkpoint_leaves_no_rows(store: SQLiteStorage) -> None:
    await fill(store)
    await save(store, at=0)
    once = tables(store)
    assert once["checkpoint_messages"] == 5
    await save(store, at=0)
    assert tables(store) == once


async def test_a_restored_checkpoint_leaves_the_rows_there_were(store: SQLiteStorage) -> None:
    await fill(store)
    await sweep_all(store, at=0)
    await save(store, at=0)
    before = tables(store)
    for _ in range(2):
        await reset(store, at=0)
        await sweep_all(store, at=0)
        await restore(store, at=0)
        await sweep_all(store, at=0)
        assert tables(store) == before


async def test_what_was_archived_since_leaves_no_rows(store: SQLiteStorage) -> None:
    topic = await a_topic(store)
    await archive(store, topic, "before")
    await save(store, at=0)
    before = tables(store)
    await archive(store, topic, "since")
    await restore(store, at=0)
    assert tables(store) == before
    found = await store.read_archive(
        topic.topic_id, after_sequence=0, from_ms=0, until_ms=None, limit=9
    )
    assert [each.message for each in found] == ["before"]


# --- what differs is written --------------------------------------------------------------------


async def test_restoring_writes_only_where_rows_differ(store: SQLiteStorage, queue: AQueue) -> None:
    await queue.add(*(a_message(str(number)) for number in range(500)), at=0)
    await save(store, at=0)
    before = rows_written(store)
    await restore(store, at=1)
    unchanged = rows_written(store) - before
    assert unchanged < 20
    await queue.delete(*await queue.receive(5, at=1), at=1)
    await queue.receive(5, at=1)
    await queue.send("new", at=1)
    before = rows_written(store)
    await restore(store, at=1)
    assert rows_written(store) - before == unchanged + 5 + 5 + 1
    assert await queue.counts(at=1) == (500, 0, 0)


async def test_checkpoints_of_different_moments_are_restored_in_any_order(
    store: SQLiteStorage, queue: AQueue
) -> None:
    """A message that one of them has not may be older than those that it has."""
    moments: list[list[str]] = []
    for number in range(4):
        await queue.send(f"g-{number}", str(number), at=0)
        [claim, *_] = await queue.receive(1, at=0, timeout_ms=0)
        await queue.delete(claim, at=0)
        await save(store, name=str(number), at=0)
        moments.append(await peeked(queue, at=0))
    for number in (0, 3, 1, 2, 0, 1, 3):
        await restore(store, name=str(number), at=0)
        assert await peeked(queue, at=0) == moments[number]
        assert (await queue.counts(at=0)).visible == len(moments[number])


async def test_a_receive_is_told_from_another_that_ends_at_the_same_moment(
    store: SQLiteStorage, queue: AQueue
) -> None:
    await queue.send("a", at=0)
    await save(store, name="before", at=0)
    await queue.receive(at=0, timeout_ms=10_000)
    await save(store, at=0)
    before = await peek(queue, at=1)
    await restore(store, name="before", at=1)
    await queue.receive(at=5_000, timeout_ms=5_000)
    await restore(store, at=5_000)
    assert await peek(queue, at=5_000) == before


@pytest.mark.parametrize("swept", [False, True])
async def test_a_message_comes_back_from_wherever_it_got(
    store: SQLiteStorage, queue: AQueue, swept: bool
) -> None:
    """A dead letter keeps its sequence, in a queue that the checkpoint does not know."""
    await queue.send("a", "g-1", "b", at=0)
    await queue.receive(3, at=0, timeout_ms=0)
    await save(store, at=0)
    new = await a_queue(store, "new")
    await queue.receive(3, at=0, dead_letter=new.as_dead_letter_queue())
    assert await peeked(new, at=0) == ["a", "g-1", "b"]
    await new.purge(at=0)
    if swept:
        await sweep_all(store, at=0)
    await restore(store, at=0)
    assert await peeked(queue, at=0) == ["a", "g-1", "b"]
    await sweep_all(store, at=0)
    assert await queue.received(at=0) == ["a", "g-1", "b"]


async def test_what_is_half_swept_comes_back_whole(store: SQLiteStorage, queue: AQueue) -> None:
    texts = [f"g{number % 7}-{number}" if number % 2 else str(number) for number in range(300)]
    await queue.send(*texts, at=0)
    await save(store, at=0)
    await queue.purge(at=0)
    assert await store.sweep(now_ms=EPOCH_MS, limit=50) == EPOCH_MS
    await restore(store, at=0)
    await sweep_all(store, at=0)
    assert await peeked(queue, at=0, limit=1_000) == texts
    assert await queue.counts(at=0) == (300, 0, 0)


async def test_a_bug_in_one_call_undoes_a_restore_of_its_transaction(
    store: SQLiteStorage, queue: AQueue
) -> None:
    await queue.send("a", at=0)
    await save(store, at=0)
    await queue.drop(at=0)
    other = await a_queue(store, "other")
    await other.send("b", at=0)

    def half_done() -> None:
        found = store._checkpoints.find("a checkpoint")
        assert found is not None
        store._clear(Scope())
        store._checkpoints.restore(found[1])
        store._load_queues(Scope())
        raise RuntimeError("a bug")

    again, failed = await asyncio.gather(
        a_queue(store, "third"), store._run(half_done), return_exceptions=True
    )
    assert isinstance(failed, RuntimeError)
    assert isinstance(again, AQueue)
    names = [record.key.name for record in await store.list_queues(ACCOUNT, REGION, limit=9)]
    assert names == ["other", "third"]
    assert await other.received(at=0) == ["b"]
    await restore(store, at=0)
    assert await queue.received(at=0) == ["a"]


# --- what statements cost -----------------------------------------------------------------------

STATEMENTS = [
    messages.PEEK,
    messages.OLDEST,
    *(each for each in checkpoints.SAVE_QUEUES if "_lanes" in each or "FROM messages" in each),
    *(each for each in checkpoints.RESTORE_QUEUES if re.match("(DELETE FROM|INSERT INTO) m", each)),
]


@pytest.mark.parametrize("statement", STATEMENTS)
def test_what_concerns_one_scope_does_not_look_at_all_messages(
    store: SQLiteStorage, statement: str
) -> None:
    """And what is to be in order is read in order."""
    bindings = dict.fromkeys(re.findall(r":(\w+)", statement))
    plan = [row[3] for row in store._execute("EXPLAIN QUERY PLAN " + statement, bindings)]
    assert any(step.startswith("SEARCH") for step in plan)
    assert [step for step in plan if re.match("SCAN (messages|lanes|checkpoint_)", step)] == []
    assert [step for step in plan if "TEMP B-TREE" in step] == []


async def test_the_oldest_message_is_found_in_the_same_steps_among_any_number(
    store: SQLiteStorage, queue: AQueue
) -> None:
    async def steps() -> int:
        content_id = store._messages.content(queue.queue_id).content_id
        seen: list[int] = []
        connection = store._connection
        assert connection is not None
        connection.trace_v2(
            apsw.SQLITE_TRACE_PROFILE,
            lambda event: seen.append(event["stmt_status"]["SQLITE_STMTSTATUS_VM_STEP"]),
        )
        connection.execute(messages.OLDEST, {"content_id": content_id}).fetchall()
        connection.trace_v2(0, None)
        [taken] = seen
        return taken

    async def fill(number: int) -> None:
        """Have as many messages in every state, with and without a group."""
        for group_id in (None, "g"):
            new = [a_message(str(n), group_id=group_id) for n in range(number)]
            await queue.add(*new, at=0)
            await queue.receive(number, at=0)
            await queue.add(
                *new, *(each._replace(visible_at_ms=EPOCH_MS + 5) for each in new), at=0
            )

    await fill(3)
    few = await steps()
    await fill(1_000)
    assert await steps() == few
    assert await oldest(queue, at=1) == 0


# --- files from before --------------------------------------------------------------------------


@pytest.fixture
def old_file(tmp_path: Path) -> Path:
    """A file of schema 2 that was opened once: two queues, messages in every state, a task."""
    path = tmp_path / "old.db"
    connection = apsw.Connection(str(path))
    with connection:
        connection.pragma("application_id", APPLICATION_ID)
        for number, step in migrations()[:2]:
            connection.execute(step.read_text("utf-8"))
            connection.pragma("user_version", number)
        connection.execute("UPDATE openings SET count = 1")
        for queue_id, name, fifo in ((1, "a-queue", False), (2, "a-queue.fifo", True)):
            connection.execute(
                "INSERT INTO queues VALUES (?, ?, ?, ?, ?, ?, ?, NULL, 0, ?, '{}')",
                (
                    *(queue_id, queue_id + 2, ACCOUNT, REGION, name, EPOCH_MS, EPOCH_MS),
                    dumps(asdict(QueueSettings(fifo=fifo))),
                ),
            )
        connection.execute("INSERT INTO lanes VALUES (5, 3, 'g', 1, 5), (6, 4, 'g', 2, NULL)")
        connection.executemany(
            """INSERT INTO messages (sequence, content_id, lane_id, fifo, due_at_ms,
            hidden_until_ms, receive_count, first_received_at_ms, enqueued_at_ms, sent_at_ms,
            message_id, sender_id, group_id, body)
            VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'a sender', ?, ?)""",
            [
                (*(10, 3, 3, 0, EPOCH_MS + 9, EPOCH_MS + 9, 1, EPOCH_MS), *_sent("a", None)),
                (*(11, 3, 3, 0, None, None, 0, None), *_sent("b", None)),
                (*(12, 3, 5, 0, None, None, 0, None), *_sent("c", "g")),
                (*(13, 4, 6, 1, EPOCH_MS + 9, EPOCH_MS + 9, 1, EPOCH_MS), *_sent("d", "g")),
                (*(14, 4, 6, 1, None, None, 0, None), *_sent("e", "g")),
            ],
        )
        connection.execute(
            """INSERT INTO move_tasks (task_id, source_queue_id, source_arn, started_at_ms,
            to_move, moved, status)
            VALUES ('a task', 1, 'arn:source', 0, 1, 0, 'RUNNING'),
                ('of a gone queue', 9, 'arn:gone', 0, 1, 1, 'COMPLETED')"""
        )
    connection.close()
    return path


def _sent(body: str, group_id: str | None) -> tuple[object, ...]:
    return EPOCH_MS, EPOCH_MS, f"id of {body}", group_id, body


@pytest.fixture
async def old_store(old_file: Path) -> AsyncIterator[SQLiteStorage]:
    store = SQLiteStorage(old_file, strict=False)
    await store.open()
    yield store
    await store.close()


async def the_queue(store: SQLiteStorage, name: str) -> AQueue:
    record = await store.get_queue(QueueKey(ACCOUNT, REGION, name))
    assert record is not None
    return AQueue(store, record)


async def test_messages_of_an_old_file_are_looked_at(old_store: SQLiteStorage) -> None:
    """When they were last received was not kept."""
    queue, fifo = await the_queue(old_store, "a-queue"), await the_queue(old_store, "a-queue.fifo")
    assert await peeked(queue, at=0) == ["a", "b", "c"]
    found = await peek(fifo, at=0)
    assert [(each.message.body, each.state.value) for each in found] == [
        ("d", "inFlight"),
        ("e", "visible"),
    ]
    first = found[0].message
    assert (first.first_received_at_ms, first.claimed_at_ms) == (EPOCH_MS, 0)
    assert await oldest(queue, at=0) == 0
    [shown] = await old_store.peek_messages(
        queue.queue_id, PeekFilter(group_id="g"), limit=9, now_ms=EPOCH_MS
    )
    assert shown.message.body == "c"


async def test_an_old_file_is_saved_and_restored(old_store: SQLiteStorage) -> None:
    checkpoint = await save(old_store, at=0)
    assert (checkpoint.queues, checkpoint.messages) == (2, 5)
    await reset(old_store, at=0)
    await sweep_all(old_store, at=0)
    await restore(old_store, at=0)
    queue, fifo = await the_queue(old_store, "a-queue"), await the_queue(old_store, "a-queue.fifo")
    assert await queue.received(at=9) == ["a", "c", "b"]
    assert await fifo.received(at=8) == []
    assert await fifo.received(at=9) == ["d", "e"]


async def test_move_tasks_of_an_old_file_are_of_the_account_of_their_source(
    old_store: SQLiteStorage,
) -> None:
    await reset(old_store, Scope("111111111111"), at=0)
    task = await old_store.get_move_task("a task")
    assert task is not None
    assert task.status is MoveTaskStatus.RUNNING
    await reset(old_store, Scope(ACCOUNT), at=0)
    assert await old_store.get_move_task("a task") is None
    assert await old_store.get_move_task("of a gone queue") is not None
    await reset(old_store, at=0)
    assert await old_store.get_move_task("of a gone queue") is None


async def test_what_was_discarded_in_an_old_file_is_swept(old_store: SQLiteStorage) -> None:
    for name in ("a-queue", "a-queue.fifo"):
        await (await the_queue(old_store, name)).purge(at=0)
    await sweep_all(old_store, at=RETENTION_MS)
    left = tables(old_store)
    assert (left["messages"], left["lanes"], left["discarded_contents"]) == (0, 0, 0)
