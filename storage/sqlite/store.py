"""The storage contract over SQLite, through apsw: one connection, WAL, group commit."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from json import dumps
from pathlib import Path
from typing import Any

import apsw

from storage.admin_records import Scope
from storage.contract import EVERYBODY, ChangeListener, CommitListener
from storage.errors import StoreUnusable, UnknownQueue
from storage.records import (
    Added,
    Claimed,
    Counts,
    DeadLetter,
    Movable,
    Move,
    MoveTask,
    MoveTaskStatus,
    NewMessage,
    Outcome,
    QueueKey,
    QueueRecord,
    QueueSettings,
    Receipt,
)
from storage.sqlite.admin_store import SQLiteAdminStorage, encode_settings
from storage.sqlite.content import NEVER
from storage.sqlite.database import FileLock, one_line_errors, open_database
from storage.sqlite.group_commit import GroupCommit
from storage.sqlite.messages import Messages

#: Sequences of one opening; 2**40 of them last for years at full speed.
_SEQUENCES_PER_OPENING = 1 << 40
_UNFINISHED = ("RUNNING", "CANCELLING")
_DELETED_QUEUES_KEPT_MS = 60_000

_DISCARDED_MESSAGES = (
    # one statement for each index that leads to messages of a content
    """DELETE FROM messages WHERE sequence IN (SELECT sequence FROM messages
    WHERE content_id = ? AND lane_id = content_id LIMIT ?)""",
    """DELETE FROM messages WHERE sequence IN (SELECT sequence FROM messages
    WHERE content_id = ? AND lane_id <> content_id LIMIT ?)""",
    """DELETE FROM lanes WHERE lane_id IN (SELECT lane_id FROM lanes
    WHERE content_id = ? LIMIT ?)""",
    """DELETE FROM deduplications WHERE accepted IN (SELECT accepted FROM deduplications
    WHERE content_id = ? LIMIT ?)""",
    """DELETE FROM receive_attempts WHERE attempt IN (SELECT attempt FROM receive_attempts
    WHERE content_id = ? LIMIT ?)""",
)
# What a window closed on.  Windows open in the order of the primary keys, so the oldest rows tell.
_CLOSED_WINDOWS = (
    (
        "SELECT expires_at_ms FROM deduplications ORDER BY accepted LIMIT 1",
        """DELETE FROM deduplications WHERE accepted IN (SELECT accepted FROM deduplications
        ORDER BY accepted LIMIT ?) AND expires_at_ms <= ?""",
    ),
    (
        "SELECT expires_at_ms FROM receive_attempts ORDER BY attempt LIMIT 1",
        """DELETE FROM receive_attempts WHERE attempt IN (SELECT attempt FROM receive_attempts
        ORDER BY attempt LIMIT ?) AND expires_at_ms <= ?""",
    ),
    (
        "SELECT expires_at_ms FROM topic_deduplications ORDER BY accepted LIMIT 1",
        """DELETE FROM topic_deduplications WHERE accepted IN (
        SELECT accepted FROM topic_deduplications ORDER BY accepted LIMIT ?)
        AND expires_at_ms <= ?""",
    ),
)


class SQLiteStorage(SQLiteAdminStorage):
    """A store in one file.  strict: every answer after its fsync; else: after its write."""

    durable = True

    def __init__(self, path: Path, *, strict: bool) -> None:
        self._path = path
        self._strict = strict
        self.description = f"sqlite:{path} ({'strict' if strict else 'relaxed'})"
        self._lock: FileLock | None = None
        self._connection: apsw.Connection | None = None
        self._queues = {}
        self._by_id = {}
        self._listener: ChangeListener = lambda _queue_id, _messages: None

    async def open(self) -> None:
        """See the contract."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise StoreUnusable(f"cannot create {self._path.parent}: {error.strerror}") from None
        self._lock = FileLock(self._path)
        try:
            connection = open_database(self._path, strict=self._strict)
            with one_line_errors(self._path):
                try:
                    self._start(connection)
                except BaseException:
                    connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
                    connection.close()
                    raise
        except BaseException:
            self._lock.release()
            self._lock = None
            raise

    def _start(self, connection: apsw.Connection) -> None:
        self._execute: Callable[..., Any] = connection.cursor().execute
        opening = self._openings() + 1
        self._messages = Messages(connection, sequence=opening * _SEQUENCES_PER_OPENING)
        self._start_topics(connection)
        self._start_checkpoints(connection)
        self._load()
        # Last, so that a file that cannot be read is left as it was.
        with connection:
            connection.execute("UPDATE openings SET count = count + 1")
        if not self._strict:
            # The number of this opening must outlive a power cut even where messages may not.
            connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_FULL)
        self._connection = connection
        self._group_commit = GroupCommit(connection, reload=self._load, committed=self._committed)

    def _openings(self) -> int:
        """How often the file was opened before."""
        [(count,)] = self._execute("SELECT count FROM openings").fetchall()
        return int(count)

    def _load(self) -> None:
        """Read queues, topics and counts: at the start, and after a rollback."""
        self._queues.clear()
        self._by_id.clear()
        self._messages.changes.clear()
        self._messages.contents.clear()
        self._load_queues(Scope())
        self._topics.load()

    async def close(self) -> None:
        """See the contract."""
        if self._connection is None:
            return
        await self._group_commit.close()
        self._connection.close()
        self._connection = None
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def on_change(self, listener: ChangeListener) -> None:
        """See the contract."""
        self._listener = listener

    def on_commit(self, listener: CommitListener) -> None:
        """See the contract."""
        self._group_commit.timed = listener

    def _committed(self) -> None:
        changes = self._messages.changes
        if changes:
            self._messages.changes = []
            for queue_id, messages in changes:
                self._listener(queue_id, messages)

    async def keep_secret(self, name: str, candidate: bytes) -> bytes:
        """See the contract."""

        def keep() -> bytes:
            self._execute("INSERT OR IGNORE INTO secrets VALUES (?, ?)", (name, candidate))
            [(value,)] = self._execute("SELECT value FROM secrets WHERE name = ?", (name,))
            return bytes(value)

        return await self._run(keep)

    # --- queues ---------------------------------------------------------------------------------

    async def create_queue(
        self, key: QueueKey, settings: QueueSettings, tags: Mapping[str, str], *, now_ms: int
    ) -> tuple[QueueRecord, bool]:
        """See the contract."""

        def create() -> tuple[QueueRecord, bool]:
            existing = self._queues.get(key)
            if existing is not None:
                return existing, False
            record = QueueRecord(
                key=key,
                queue_id=self._messages.next_number(),
                content_id=self._messages.next_number(),
                created_at_ms=now_ms,
                modified_at_ms=now_ms,
                settings=settings,
                tags=dict(tags),
                deduplicates_per_group=settings.deduplication_scope == "messageGroup",
            )
            self._execute(
                "INSERT INTO queues VALUES (?, ?, ?, ?, ?, ?, ?, NULL, ?, ?, ?)",
                (
                    record.queue_id,
                    record.content_id,
                    *key,
                    now_ms,
                    now_ms,
                    record.deduplicates_per_group,
                    encode_settings(settings),
                    dumps(record.tags),
                ),
            )
            self._remember(record)
            return record, True

        return await self._run(create)

    async def get_queue(self, key: QueueKey) -> QueueRecord | None:
        """See the contract."""
        return self._queues.get(key)

    async def list_queues(
        self, account: str, region: str, *, prefix: str = "", after: str = "", limit: int
    ) -> list[QueueRecord]:
        """See the contract."""
        found = [
            record
            for key, record in self._queues.items()
            if key.account == account
            and key.region == region
            and key.name.startswith(prefix)
            and key.name > after
        ]
        return sorted(found, key=lambda record: record.key.name)[:limit]

    async def replace_queue(self, old: QueueRecord, new: QueueRecord) -> bool:
        """See the contract."""

        def replace() -> bool:
            if self._by_id.get(old.queue_id) != old:
                return False
            self._execute(
                "UPDATE queues SET settings = ?, tags = ?, modified_at_ms = ? WHERE queue_id = ?",
                (
                    encode_settings(new.settings),
                    dumps(dict(new.tags)),
                    new.modified_at_ms,
                    old.queue_id,
                ),
            )
            self._remember(new)
            content = self._messages.content(old.queue_id)
            retention_ms = new.settings.message_retention_period_ms
            if retention_ms != old.settings.message_retention_period_ms:
                self._messages.change_retention(content, retention_ms, new.modified_at_ms)
            if new.settings.fifo and new.settings.delay_ms != old.settings.delay_ms:
                self._messages.change_fifo_delay(content, new.settings.delay_ms, new.modified_at_ms)
            return True

        return await self._run(replace)

    async def delete_queue(self, queue_id: int, *, now_ms: int) -> None:
        """See the contract."""

        def delete() -> None:
            record = self._record(queue_id)
            self._execute("DELETE FROM queues WHERE queue_id = ?", (queue_id,))
            self._execute("INSERT INTO discarded_contents VALUES (?)", (record.content_id,))
            self._execute(
                "DELETE FROM deleted_queues WHERE deleted_at_ms <= ?",
                (now_ms - _DELETED_QUEUES_KEPT_MS,),
            )
            self._execute(
                "INSERT OR REPLACE INTO deleted_queues VALUES (?, ?, ?, ?)", (*record.key, now_ms)
            )
            del self._queues[record.key], self._by_id[queue_id]
            del self._messages.contents[queue_id]
            self._messages.changes.append((queue_id, EVERYBODY))

        await self._run(delete)

    def _record(self, queue_id: int) -> QueueRecord:
        try:
            return self._by_id[queue_id]
        except KeyError:
            raise UnknownQueue(str(queue_id)) from None

    async def queue_deleted_at_ms(self, key: QueueKey) -> int | None:
        """See the contract."""

        def look() -> int | None:
            found = self._execute(
                """SELECT deleted_at_ms FROM deleted_queues
                WHERE account = ? AND region = ? AND name = ?""",
                key,
            ).fetchall()
            return found[0][0] if found else None

        return await self._run(look)

    async def purge_queue(self, queue_id: int, *, now_ms: int) -> None:
        """See the contract."""

        def purge() -> None:
            record = self._record(queue_id)
            purged = dataclasses.replace(
                record, content_id=self._messages.next_number(), purged_at_ms=now_ms
            )
            self._execute(
                "UPDATE queues SET content_id = ?, purged_at_ms = ? WHERE queue_id = ?",
                (purged.content_id, now_ms, queue_id),
            )
            self._execute("INSERT INTO discarded_contents VALUES (?)", (record.content_id,))
            self._remember(purged)
            self._messages.changes.append((queue_id, EVERYBODY))

        await self._run(purge)

    # --- messages -------------------------------------------------------------------------------

    async def add_messages(
        self,
        messages: Sequence[tuple[int, NewMessage]],
        *,
        now_ms: int,
        deduplication_window_ms: int,
    ) -> list[Added]:
        """See the contract."""
        return await self._run(
            lambda: self._messages.add(messages, now_ms, deduplication_window_ms)
        )

    async def claim_messages(
        self,
        queue_id: int,
        *,
        limit: int,
        now_ms: int,
        hidden_until_ms: int,
        in_flight_max: int,
        dead_letter: DeadLetter | None = None,
        attempt_id: str | None = None,
        attempt_window_ms: int = 0,
    ) -> Claimed:
        """See the contract."""
        return await self._run(
            lambda: self._messages.claim(
                queue_id,
                limit,
                now_ms,
                hidden_until_ms,
                in_flight_max,
                dead_letter,
                attempt_id,
                attempt_window_ms,
            )
        )

    async def delete_messages(self, receipts: Sequence[Receipt], *, now_ms: int) -> list[Outcome]:
        """See the contract."""
        return await self._run(lambda: self._messages.delete(receipts, now_ms))

    async def change_visibility(
        self, changes: Sequence[tuple[Receipt, int]], *, now_ms: int
    ) -> list[Outcome]:
        """See the contract."""
        return await self._run(lambda: self._messages.change_visibility(changes, now_ms))

    async def count_messages(self, queue_id: int, *, now_ms: int) -> Counts:
        """See the contract."""
        return await self._run(lambda: self._messages.count(queue_id, now_ms))

    # --- message move tasks ---------------------------------------------------------------------

    async def create_move_task(self, task: MoveTask) -> bool:
        """See the contract."""

        def create() -> bool:
            if self._execute(
                """SELECT 1 FROM move_tasks WHERE source_queue_id = ?
                AND status IN ('RUNNING', 'CANCELLING')""",
                (task.source_queue_id,),
            ).fetchall():
                return False
            source = self._by_id.get(task.source_queue_id)
            self._execute(
                """INSERT INTO move_tasks (task_id, source_queue_id, source_arn, destination_arn,
                messages_per_second, started_at_ms, to_move, moved, status, failure_reason,
                account, region) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)""",
                (
                    task.task_id,
                    task.source_queue_id,
                    task.source_arn,
                    task.destination_arn,
                    task.messages_per_second,
                    task.started_at_ms,
                    task.to_move,
                    task.moved,
                    task.status.value,
                    task.failure_reason,
                    None if source is None else source.key.account,
                    None if source is None else source.key.region,
                ),
            )
            self._execute(  # the ten latest of a source are listed; the others are history
                """DELETE FROM move_tasks WHERE source_queue_id = ? AND started <= (
                SELECT started FROM move_tasks WHERE source_queue_id = ?
                ORDER BY started DESC LIMIT 1 OFFSET 10)""",
                (task.source_queue_id, task.source_queue_id),
            )
            return True

        return await self._run(create)

    async def list_move_tasks(self, source_queue_id: int, *, limit: int) -> list[MoveTask]:
        """See the contract."""
        return await self._run(
            lambda: self._move_tasks(
                "WHERE source_queue_id = ? ORDER BY started DESC LIMIT ?", (source_queue_id, limit)
            )
        )

    async def get_move_task(self, task_id: str) -> MoveTask | None:
        """See the contract."""
        return await self._run(lambda: self._move_task(task_id))

    async def unfinished_move_tasks(self) -> list[MoveTask]:
        """See the contract."""
        return await self._run(
            lambda: self._move_tasks(
                "WHERE status IN ('RUNNING', 'CANCELLING') ORDER BY started", ()
            )
        )

    async def set_move_task_status(
        self, task_id: str, status: MoveTaskStatus, *, failure_reason: str | None = None
    ) -> MoveTask | None:
        """See the contract."""

        def change() -> MoveTask | None:
            task = self._move_task(task_id)
            if task is None or task.status.value not in _UNFINISHED:
                return None
            self._execute(
                "UPDATE move_tasks SET status = ?, failure_reason = ? WHERE task_id = ?",
                (status.value, failure_reason, task_id),
            )
            return self._move_task(task_id)

        return await self._run(change)

    def _move_task(self, task_id: str) -> MoveTask | None:
        found = self._move_tasks("WHERE task_id = ?", (task_id,))
        return found[0] if found else None

    def _move_tasks(self, which: str, bindings: tuple[Any, ...]) -> list[MoveTask]:
        columns = (
            "SELECT task_id, source_arn, source_queue_id, destination_arn, messages_per_second,"
            " started_at_ms, to_move, moved, status, failure_reason FROM move_tasks "
        )
        return [
            MoveTask(
                task_id=row[0],
                source_arn=row[1],
                source_queue_id=row[2],
                destination_arn=row[3],
                messages_per_second=row[4],
                started_at_ms=row[5],
                to_move=row[6],
                moved=row[7],
                status=MoveTaskStatus(row[8]),
                failure_reason=row[9],
            )
            for row in self._execute(columns + which, bindings)
        ]

    async def peek_movable(self, queue_id: int, *, limit: int, now_ms: int) -> list[Movable]:
        """See the contract."""
        return await self._run(lambda: self._messages.peek_movable(queue_id, limit, now_ms))

    async def move_messages(self, task_id: str, moves: Sequence[Move], *, now_ms: int) -> int:
        """See the contract."""

        def move() -> int:
            task = self._move_task(task_id)
            if task is None or task.status is not MoveTaskStatus.RUNNING:
                return 0
            moved = self._messages.move(task.source_queue_id, moves, now_ms)
            self._execute(
                "UPDATE move_tasks SET moved = moved + ? WHERE task_id = ?", (moved, task_id)
            )
            return moved

        return await self._run(move)

    # --- upkeep ---------------------------------------------------------------------------------

    async def sweep(self, *, now_ms: int, limit: int) -> int | None:
        """See the contract."""

        def sweep() -> int | None:
            return min(
                self._empty_discarded(now_ms, limit),
                self._forget_closed_windows(now_ms, limit),
                self._topics.sweep(now_ms, limit),
                *(
                    self._messages.settle(content, now_ms)
                    for content in self._messages.contents.values()
                    if not content.is_settled(now_ms)
                ),
                *(
                    min(content.next_due_ms, content.next_expiry_ms)
                    for content in self._messages.contents.values()
                ),
            )

        next_ms = await self._run(sweep)
        return None if next_ms is None or next_ms >= NEVER else max(next_ms, now_ms)

    def _empty_discarded(self, now_ms: int, limit: int) -> int:
        """Remove some of what a purge or deletion left; when there is more to do."""
        found = self._execute("SELECT content_id FROM discarded_contents LIMIT 1").fetchall()
        if not found:
            return NEVER
        content_id = found[0][0]
        for statement in _DISCARDED_MESSAGES:
            self._execute(statement, (content_id, limit))
            if self._changes():
                return now_ms
        self._execute("DELETE FROM discarded_contents WHERE content_id = ?", (content_id,))
        return now_ms

    def _forget_closed_windows(self, now_ms: int, limit: int) -> int:
        next_ms = NEVER
        for oldest, forget in _CLOSED_WINDOWS:
            self._execute(forget, (limit, now_ms))
            for (expires_at_ms,) in self._execute(oldest).fetchall():
                next_ms = min(next_ms, expires_at_ms)
        return next_ms

    def _changes(self) -> int:
        assert self._connection is not None
        return self._connection.changes()
