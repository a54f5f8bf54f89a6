"""The part of the storage contract for tools and tests, over SQLite; and the queues as cached."""

import dataclasses
from collections.abc import Sequence
from json import dumps, loads

import apsw

from storage.admin_records import Checkpoint, Peeked, PeekFilter, Scope, Transfer
from storage.contract import EVERYBODY
from storage.records import (
    Counts,
    QueueKey,
    QueueRecord,
    QueueSettings,
    RedriveAllowPolicy,
    RedrivePolicy,
)
from storage.sqlite.checkpoints import Checkpoints
from storage.sqlite.content import NEVER, Content
from storage.sqlite.topic_store import SQLiteTopicStorage
from storage.topic_records import DeliveryFilter, TopicRecord

LOAD_QUEUES = """
SELECT account, region, name, queue_id, content_id, created_at_ms, modified_at_ms, purged_at_ms,
    deduplicates_per_group, settings, tags
FROM queues
WHERE account IS coalesce(:account, account) AND region IS coalesce(:region, region)
"""


class SQLiteAdminStorage(SQLiteTopicStorage):
    """See ``storage.admin_contract.AdminStorage``; ``SQLiteStorage`` is made on it."""

    _queues: dict[QueueKey, QueueRecord]
    _by_id: dict[int, QueueRecord]

    def _start_checkpoints(self, connection: apsw.Connection) -> None:
        self._checkpoints = Checkpoints(connection, self._messages)

    # --- queues as cached -----------------------------------------------------------------------

    def _load_queues(self, scope: Scope) -> None:
        """Read the queues of a scope, none of which is cached, and count what they hold."""
        for row in self._execute(LOAD_QUEUES, scope._asdict()).fetchall():
            record = QueueRecord(
                key=QueueKey(*row[:3]),
                queue_id=row[3],
                content_id=row[4],
                created_at_ms=row[5],
                modified_at_ms=row[6],
                purged_at_ms=row[7],
                deduplicates_per_group=bool(row[8]),
                settings=_decode_settings(row[9]),
                tags=loads(row[10]),
            )
            self._remember(record)
            self._messages.recount(self._messages.contents[record.queue_id])

    def _remember(self, record: QueueRecord) -> None:
        """Cache a record; a content it did not have yet starts empty."""
        self._queues[record.key] = record
        self._by_id[record.queue_id] = record
        known = self._messages.contents.get(record.queue_id)
        if known is None or known.content_id != record.content_id:
            content = Content(
                record.content_id,
                record.queue_id,
                fifo=record.settings.fifo,
                per_group=record.deduplicates_per_group,
                retention_ms=record.settings.message_retention_period_ms,
            )
            content.next_due_ms = content.next_expiry_ms = NEVER
            self._messages.contents[record.queue_id] = content

    def _queues_in(self, scope: Scope) -> list[QueueRecord]:
        return [
            record
            for key, record in self._queues.items()
            if scope.account in (None, key.account) and scope.region in (None, key.region)
        ]

    # --- messages -------------------------------------------------------------------------------

    async def peek_messages(
        self,
        queue_id: int,
        chosen: PeekFilter,
        *,
        after_sequence: int = 0,
        limit: int,
        now_ms: int,
    ) -> list[Peeked]:
        """See the contract."""
        return await self._run(
            lambda: self._messages.peek(queue_id, chosen, after_sequence, limit, now_ms)
        )

    async def oldest_message_sent_at_ms(self, queue_id: int, *, now_ms: int) -> int | None:
        """See the contract."""
        return await self._run(lambda: self._messages.oldest_at_ms(queue_id, now_ms))

    async def all_queues(self) -> list[QueueRecord]:
        """See the contract."""
        return list(self._queues.values())

    async def all_topics(self) -> list[TopicRecord]:
        """See the contract."""
        return self._topics.all()

    async def survey_queues(
        self, queue_ids: Sequence[int], *, now_ms: int
    ) -> dict[int, tuple[Counts, int | None]]:
        """See the contract."""

        def survey() -> dict[int, tuple[Counts, int | None]]:
            found: dict[int, tuple[Counts, int | None]] = {}
            for queue_id in queue_ids:
                if queue_id in self._by_id:
                    counts = self._messages.count(queue_id, now_ms)
                    oldest = self._messages.oldest_at_ms(queue_id, now_ms) if any(counts) else None
                    found[queue_id] = counts, oldest
            return found

        return await self._run(survey)

    async def show_messages(
        self, queue_id: int, sequences: Sequence[int], *, now_ms: int
    ) -> list[str]:
        """See the contract."""
        return await self._run(lambda: self._messages.show(queue_id, sequences, now_ms))

    async def remove_messages(
        self, queue_id: int, sequences: Sequence[int], *, now_ms: int
    ) -> list[str]:
        """See the contract."""
        return await self._run(lambda: self._messages.remove(queue_id, sequences, now_ms))

    async def transfer_messages(
        self, queue_id: int, transfers: Sequence[Transfer], *, now_ms: int
    ) -> int:
        """See the contract."""
        return await self._run(lambda: self._messages.transfer(queue_id, transfers, now_ms))

    # --- starting over, going back --------------------------------------------------------------

    async def reset(self, scope: Scope, *, now_ms: int) -> None:
        """See the contract."""

        def start_over() -> None:
            self._clear(scope)
            self._topics.load()

        await self._run(start_over)

    def _clear(self, scope: Scope) -> None:
        """Remove all of a scope; of what is cached the topics are still as they were."""
        for record in self._queues_in(scope):
            del self._queues[record.key], self._by_id[record.queue_id]
            del self._messages.contents[record.queue_id]
            self._messages.changes.append((record.queue_id, EVERYBODY))
        self._checkpoints.clear(scope)
        self._outbox.clear(DeliveryFilter(account=scope.account, region=scope.region))

    async def save_checkpoint(self, name: str, scope: Scope, *, now_ms: int) -> Checkpoint:
        """See the contract."""

        def save() -> Checkpoint:
            contents = [
                self._messages.contents[record.queue_id] for record in self._queues_in(scope)
            ]
            return self._checkpoints.save(name, scope, contents, now_ms)

        return await self._run(save)

    async def list_checkpoints(self) -> list[Checkpoint]:
        """See the contract."""
        return await self._run(self._checkpoints.all)

    async def restore_checkpoint(self, name: str, *, now_ms: int) -> Checkpoint | None:
        """See the contract."""

        def restore() -> Checkpoint | None:
            found = self._checkpoints.find(name)
            if found is None:
                return None
            checkpoint, checkpoint_id = found
            before = {record.queue_id for record in self._queues_in(checkpoint.scope)}
            self._clear(checkpoint.scope)
            open_turns = self._checkpoints.restore(checkpoint_id)
            self._load_queues(checkpoint.scope)
            self._topics.load()
            for record in self._queues_in(checkpoint.scope):
                content = self._messages.contents[record.queue_id]
                content.open_turn = open_turns.get(record.queue_id, 0)
                if record.queue_id not in before:
                    self._messages.changes.append((record.queue_id, EVERYBODY))
            return checkpoint

        return await self._run(restore)

    async def delete_checkpoint(self, name: str) -> bool:
        """See the contract."""
        return await self._run(lambda: self._checkpoints.delete(name))


def encode_settings(settings: QueueSettings) -> str:
    """Queue settings as the text that is stored."""
    return dumps(dataclasses.asdict(settings))


def _decode_settings(text: str) -> QueueSettings:
    stored = loads(text)
    if stored["redrive_policy"]:
        stored["redrive_policy"] = RedrivePolicy(**stored["redrive_policy"])
    if stored["redrive_allow_policy"]:
        allowed = stored["redrive_allow_policy"]
        stored["redrive_allow_policy"] = RedriveAllowPolicy(
            allowed["permission"], tuple(allowed["source_queue_arns"])
        )
    return QueueSettings(**stored)
