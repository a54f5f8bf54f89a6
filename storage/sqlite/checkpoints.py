"""Starting over and going back, as statements; inside a transaction that ``GroupCommit`` opened.

A checkpoint is a copy of the rows of its scope.  Restoring gives each queue the very content it
had, whatever became of that, and writes where its rows differ from the copies.  It can, because a
message keeps its sequence until it is moved, and only a dead letter gets into another queue with
it: within its account and region.
"""

from collections.abc import Callable
from typing import Any

import apsw

from storage.admin_records import Checkpoint, Scope
from storage.sqlite.content import Content
from storage.sqlite.messages import Messages

Row = tuple[Any, ...]

# The scope: whatever has the account and the region, as far as these are not NULL.
CLEAR_QUEUES = (
    """INSERT INTO discarded_contents SELECT content_id FROM queues
    WHERE account IS coalesce(:account, account) AND region IS coalesce(:region, region)""",
    """DELETE FROM queues
    WHERE account IS coalesce(:account, account) AND region IS coalesce(:region, region)""",
    """DELETE FROM deleted_queues
    WHERE account IS coalesce(:account, account) AND region IS coalesce(:region, region)""",
    """DELETE FROM move_tasks
    WHERE account IS coalesce(:account, account) AND region IS coalesce(:region, region)""",
)
CLEAR_TOPICS = (
    """INSERT INTO discarded_archives SELECT topic_id FROM archives WHERE topic_id IN (
        SELECT topic_id FROM topics
        WHERE account IS coalesce(:account, account) AND region IS coalesce(:region, region))""",
    """DELETE FROM archives WHERE topic_id IN (
        SELECT topic_id FROM topics
        WHERE account IS coalesce(:account, account) AND region IS coalesce(:region, region))""",
    """DELETE FROM topics
    WHERE account IS coalesce(:account, account) AND region IS coalesce(:region, region)""",
    # with those of topics deleted earlier, one of which may come back
    "DELETE FROM topic_deduplications WHERE topic_id NOT IN (SELECT topic_id FROM topics)",
    """DELETE FROM subscriptions
    WHERE account IS coalesce(:account, account) AND region IS coalesce(:region, region)""",
    """DELETE FROM documents
    WHERE account IS coalesce(:account, account) AND region IS coalesce(:region, region)""",
)

# The copies have the columns of the tables, in their order.
SAVE_QUEUES = (
    """INSERT INTO checkpoint_queues SELECT :checkpoint_id, 0, * FROM queues
    WHERE account IS coalesce(:account, account) AND region IS coalesce(:region, region)""",
    """INSERT INTO checkpoint_messages SELECT :checkpoint_id, *
    FROM messages INDEXED BY messages_without_group WHERE content_id IN (
        SELECT content_id FROM checkpoint_queues WHERE checkpoint_id = :checkpoint_id)
    AND lane_id = content_id""",
    """INSERT INTO checkpoint_messages SELECT :checkpoint_id, *
    FROM messages INDEXED BY messages_in_groups WHERE content_id IN (
        SELECT content_id FROM checkpoint_queues WHERE checkpoint_id = :checkpoint_id)
    AND lane_id <> content_id""",
    """INSERT INTO checkpoint_lanes SELECT :checkpoint_id, * FROM lanes
    WHERE content_id IN (
        SELECT content_id FROM checkpoint_queues WHERE checkpoint_id = :checkpoint_id)""",
    """INSERT INTO checkpoint_deduplications SELECT :checkpoint_id, * FROM deduplications
    WHERE content_id IN (
        SELECT content_id FROM checkpoint_queues WHERE checkpoint_id = :checkpoint_id)""",
    """INSERT INTO checkpoint_receive_attempts SELECT :checkpoint_id, * FROM receive_attempts
    WHERE content_id IN (
        SELECT content_id FROM checkpoint_queues WHERE checkpoint_id = :checkpoint_id)""",
    """INSERT INTO checkpoint_deleted_queues SELECT :checkpoint_id, * FROM deleted_queues
    WHERE account IS coalesce(:account, account) AND region IS coalesce(:region, region)""",
    """INSERT INTO checkpoint_move_tasks SELECT :checkpoint_id, * FROM move_tasks
    WHERE account IS coalesce(:account, account) AND region IS coalesce(:region, region)""",
)
SAVE_TOPICS = (
    """INSERT INTO checkpoint_topics SELECT :checkpoint_id, * FROM topics
    WHERE account IS coalesce(:account, account) AND region IS coalesce(:region, region)""",
    """INSERT INTO checkpoint_topic_deduplications SELECT :checkpoint_id, *
    FROM topic_deduplications
    WHERE topic_id IN (
        SELECT topic_id FROM checkpoint_topics WHERE checkpoint_id = :checkpoint_id)""",
    """INSERT INTO checkpoint_archives SELECT :checkpoint_id, * FROM archives
    WHERE topic_id IN (
        SELECT topic_id FROM checkpoint_topics WHERE checkpoint_id = :checkpoint_id)""",
    """INSERT INTO checkpoint_subscriptions SELECT :checkpoint_id, * FROM subscriptions
    WHERE account IS coalesce(:account, account) AND region IS coalesce(:region, region)""",
    """INSERT INTO checkpoint_documents SELECT :checkpoint_id, * FROM documents
    WHERE account IS coalesce(:account, account) AND region IS coalesce(:region, region)""",
    """INSERT INTO checkpoint_deliveries SELECT :checkpoint_id, * FROM deliveries
    WHERE account IS coalesce(:account, account) AND region IS coalesce(:region, region)""",
    """INSERT INTO checkpoint_publications SELECT :checkpoint_id, * FROM publications
    WHERE publication_id IN (
        SELECT publication_id FROM checkpoint_deliveries WHERE checkpoint_id = :checkpoint_id
        UNION
        SELECT publication_id FROM publications INDEXED BY archives_in_order
        WHERE archived_topic_id IN (
            SELECT topic_id FROM checkpoint_topics WHERE checkpoint_id = :checkpoint_id))""",
    # the archives of others are theirs
    """UPDATE checkpoint_publications SET archived_topic_id = NULL
    WHERE checkpoint_id = :checkpoint_id AND archived_topic_id NOT IN (
        SELECT topic_id FROM checkpoint_topics WHERE checkpoint_id = :checkpoint_id)""",
)
SAVE_OPEN_TURN = """
UPDATE checkpoint_queues SET open_turn = ? WHERE checkpoint_id = ? AND queue_id = ?
"""

RESTORE_QUEUES = (
    """INSERT INTO queues SELECT queue_id, content_id, account, region, name, created_at_ms,
        modified_at_ms, purged_at_ms, deduplicates_per_group, settings, tags
    FROM checkpoint_queues WHERE checkpoint_id = :checkpoint_id""",
    """DELETE FROM discarded_contents
    WHERE content_id IN (
        SELECT content_id FROM checkpoint_queues WHERE checkpoint_id = :checkpoint_id)""",
    """INSERT INTO deleted_queues SELECT account, region, name, deleted_at_ms
    FROM checkpoint_deleted_queues WHERE checkpoint_id = :checkpoint_id""",
    """INSERT INTO move_tasks SELECT started, task_id, source_queue_id, source_arn,
        destination_arn, messages_per_second, started_at_ms, to_move, moved, status,
        failure_reason, account, region
    FROM checkpoint_move_tasks WHERE checkpoint_id = :checkpoint_id""",
    # What a content has and the checkpoint has not goes; what differs then, or is missing, is put.
    """DELETE FROM messages INDEXED BY messages_without_group
    WHERE content_id IN (
        SELECT content_id FROM checkpoint_queues WHERE checkpoint_id = :checkpoint_id)
    AND lane_id = content_id AND NOT EXISTS (
        SELECT 1 FROM checkpoint_messages AS s
        WHERE s.checkpoint_id = :checkpoint_id AND s.sequence = messages.sequence)""",
    """DELETE FROM messages INDEXED BY messages_in_groups
    WHERE content_id IN (
        SELECT content_id FROM checkpoint_queues WHERE checkpoint_id = :checkpoint_id)
    AND lane_id <> content_id AND NOT EXISTS (
        SELECT 1 FROM checkpoint_messages AS s
        WHERE s.checkpoint_id = :checkpoint_id AND s.sequence = messages.sequence)""",
    """INSERT INTO messages SELECT sequence, content_id, lane_id, fifo, due_at_ms,
        hidden_until_ms, receive_count, first_received_at_ms, enqueued_at_ms, sent_at_ms,
        message_id, sender_id, group_id, deduplication_id, trace_header, dead_letter_source_arn,
        attributes, body, claimed_at_ms
    FROM checkpoint_messages WHERE checkpoint_id = :checkpoint_id
    ON CONFLICT (sequence) DO UPDATE SET content_id = excluded.content_id,
        lane_id = excluded.lane_id, due_at_ms = excluded.due_at_ms,
        hidden_until_ms = excluded.hidden_until_ms, receive_count = excluded.receive_count,
        first_received_at_ms = excluded.first_received_at_ms,
        claimed_at_ms = excluded.claimed_at_ms,
        dead_letter_source_arn = excluded.dead_letter_source_arn
    WHERE content_id <> excluded.content_id OR lane_id <> excluded.lane_id
        OR due_at_ms IS NOT excluded.due_at_ms
        OR hidden_until_ms IS NOT excluded.hidden_until_ms
        OR receive_count <> excluded.receive_count
        OR claimed_at_ms IS NOT excluded.claimed_at_ms""",
    """DELETE FROM lanes
    WHERE content_id IN (
        SELECT content_id FROM checkpoint_queues WHERE checkpoint_id = :checkpoint_id)
    AND NOT EXISTS (
        SELECT 1 FROM checkpoint_lanes AS s
        WHERE s.checkpoint_id = :checkpoint_id AND s.lane_id = lanes.lane_id)""",
    """INSERT INTO lanes SELECT lane_id, content_id, group_id, size, turn
    FROM checkpoint_lanes WHERE checkpoint_id = :checkpoint_id
    ON CONFLICT (lane_id) DO UPDATE SET size = excluded.size, turn = excluded.turn
    WHERE size <> excluded.size OR turn IS NOT excluded.turn""",
    """DELETE FROM deduplications
    WHERE content_id IN (
        SELECT content_id FROM checkpoint_queues WHERE checkpoint_id = :checkpoint_id)
    AND NOT EXISTS (
        SELECT 1 FROM checkpoint_deduplications AS s
        WHERE s.checkpoint_id = :checkpoint_id AND s.accepted = deduplications.accepted)""",
    """INSERT INTO deduplications SELECT accepted, content_id, deduplication_key, message_id,
        expires_at_ms
    FROM checkpoint_deduplications WHERE checkpoint_id = :checkpoint_id
    ON CONFLICT (accepted) DO NOTHING""",
    """DELETE FROM receive_attempts
    WHERE content_id IN (
        SELECT content_id FROM checkpoint_queues WHERE checkpoint_id = :checkpoint_id)""",
    """INSERT INTO receive_attempts SELECT attempt, content_id, attempt_id, claimed_at_ms,
        expires_at_ms, hidden_until_ms, claims
    FROM checkpoint_receive_attempts WHERE checkpoint_id = :checkpoint_id""",
)
RESTORE_TOPICS = (
    """INSERT INTO topics SELECT topic_id, revision, account, region, name, created_at_ms,
        subscriptions_deleted, data_protection_policy, attributes, tags
    FROM checkpoint_topics WHERE checkpoint_id = :checkpoint_id""",
    """INSERT INTO subscriptions SELECT subscription_id, topic_id, account, region, topic_name,
        owner, principal, protocol, endpoint, state, created_at_ms,
        confirmation_was_authenticated, authenticate_on_unsubscribe, token_issued_at_ms,
        queue_id, ended_at_ms, expires_at_ms, replay, attributes
    FROM checkpoint_subscriptions WHERE checkpoint_id = :checkpoint_id""",
    """INSERT INTO topic_deduplications SELECT accepted, topic_id, deduplication_key, message_id,
        sequence, expires_at_ms
    FROM checkpoint_topic_deduplications WHERE checkpoint_id = :checkpoint_id""",
    """INSERT INTO documents SELECT kind, account, region, name, value
    FROM checkpoint_documents WHERE checkpoint_id = :checkpoint_id""",
    """INSERT INTO deliveries SELECT delivery_id, publication_id, account, region, protocol,
        endpoint, subscription_id, status, due_at_ms, created_at_ms, kind, token, attempts,
        last_attempt_at_ms, finished_at_ms, status_code, response, dwell_ms
    FROM checkpoint_deliveries WHERE checkpoint_id = :checkpoint_id""",
    """DELETE FROM discarded_archives
    WHERE topic_id IN (
        SELECT topic_id FROM checkpoint_topics WHERE checkpoint_id = :checkpoint_id)""",
    """INSERT INTO archives SELECT topic_id, disorder_ms
    FROM checkpoint_archives WHERE checkpoint_id = :checkpoint_id""",
    # What was archived since goes, or leaves the archive if there are deliveries of it.
    """DELETE FROM publications INDEXED BY archives_in_order
    WHERE archived_topic_id IN (
        SELECT topic_id FROM checkpoint_topics WHERE checkpoint_id = :checkpoint_id)
    AND NOT EXISTS (
        SELECT 1 FROM checkpoint_publications AS s
        WHERE s.checkpoint_id = :checkpoint_id
        AND s.publication_id = publications.publication_id
        AND s.archived_topic_id = publications.archived_topic_id)
    AND NOT EXISTS (
        SELECT 1 FROM deliveries AS d
        WHERE d.delivery_id > publications.publication_id
        AND d.delivery_id <= publications.last_delivery_id)""",
    """UPDATE publications INDEXED BY archives_in_order SET archived_topic_id = NULL
    WHERE archived_topic_id IN (
        SELECT topic_id FROM checkpoint_topics WHERE checkpoint_id = :checkpoint_id)
    AND NOT EXISTS (
        SELECT 1 FROM checkpoint_publications AS s
        WHERE s.checkpoint_id = :checkpoint_id
        AND s.publication_id = publications.publication_id
        AND s.archived_topic_id = publications.archived_topic_id)""",
    """INSERT INTO publications SELECT publication_id, last_delivery_id, archived_topic_id,
        sequence, published_at_ms, message_id, topic_arn, structured, group_id,
        deduplication_id, trace_header, base_url, subject, attributes, message
    FROM checkpoint_publications WHERE checkpoint_id = :checkpoint_id
    ON CONFLICT (publication_id) DO UPDATE SET archived_topic_id = excluded.archived_topic_id
    WHERE archived_topic_id IS NULL AND excluded.archived_topic_id IS NOT NULL""",
)
OPEN_TURNS = """
SELECT queue_id, open_turn FROM checkpoint_queues
WHERE checkpoint_id = :checkpoint_id AND open_turn <> 0
"""
SAVED_TOPIC_IDS = "SELECT topic_id FROM checkpoint_topics WHERE checkpoint_id = :checkpoint_id"
REVISE_TOPIC = "UPDATE topics SET revision = ? WHERE topic_id = ?"

INSERT = """
INSERT INTO checkpoints (checkpoint_id, name, account, region, saved_at_ms, queues, topics,
    messages)
VALUES (:checkpoint_id, :name, :account, :region, :saved_at_ms,
    (SELECT count(*) FROM checkpoint_queues WHERE checkpoint_id = :checkpoint_id),
    (SELECT count(*) FROM checkpoint_topics WHERE checkpoint_id = :checkpoint_id),
    (SELECT count(*) FROM checkpoint_messages WHERE checkpoint_id = :checkpoint_id))
"""
LIST = """
SELECT name, account, region, saved_at_ms, queues, topics, messages, checkpoint_id
FROM checkpoints ORDER BY name
"""
FIND = """
SELECT name, account, region, saved_at_ms, queues, topics, messages, checkpoint_id
FROM checkpoints WHERE name = ?
"""
FORGET = (
    "DELETE FROM checkpoint_messages WHERE checkpoint_id = :checkpoint_id",
    "DELETE FROM checkpoint_lanes WHERE checkpoint_id = :checkpoint_id",
    "DELETE FROM checkpoint_deduplications WHERE checkpoint_id = :checkpoint_id",
    "DELETE FROM checkpoint_receive_attempts WHERE checkpoint_id = :checkpoint_id",
    "DELETE FROM checkpoint_queues WHERE checkpoint_id = :checkpoint_id",
    "DELETE FROM checkpoint_deleted_queues WHERE checkpoint_id = :checkpoint_id",
    "DELETE FROM checkpoint_move_tasks WHERE checkpoint_id = :checkpoint_id",
    "DELETE FROM checkpoint_topics WHERE checkpoint_id = :checkpoint_id",
    "DELETE FROM checkpoint_topic_deduplications WHERE checkpoint_id = :checkpoint_id",
    "DELETE FROM checkpoint_archives WHERE checkpoint_id = :checkpoint_id",
    "DELETE FROM checkpoint_subscriptions WHERE checkpoint_id = :checkpoint_id",
    "DELETE FROM checkpoint_documents WHERE checkpoint_id = :checkpoint_id",
    "DELETE FROM checkpoint_deliveries WHERE checkpoint_id = :checkpoint_id",
    "DELETE FROM checkpoint_publications WHERE checkpoint_id = :checkpoint_id",
    "DELETE FROM checkpoints WHERE checkpoint_id = :checkpoint_id",
)


class Checkpoints:
    """All checkpoints of one database file, and the removal of a scope.

    Nothing that is cached is touched: whoever calls makes that true again.
    """

    def __init__(self, connection: apsw.Connection, messages: Messages) -> None:
        """``messages``: gives out the numbers, and knows the contents."""
        self._execute: Callable[..., Any] = connection.cursor().execute
        self._executemany: Callable[..., Any] = connection.cursor().executemany
        self._messages = messages

    def clear(self, scope: Scope) -> None:
        """Remove all of a scope but its deliveries."""
        bindings = scope._asdict()
        for statement in CLEAR_QUEUES:
            self._execute(statement, bindings)
        for statement in CLEAR_TOPICS:
            self._execute(statement, bindings)

    def save(self, name: str, scope: Scope, contents: list[Content], now_ms: int) -> Checkpoint:
        """See ``save_checkpoint`` in the contract; ``contents``: of the queues of the scope."""
        self.delete(name)
        for content in contents:
            self._messages.settle_all(content, now_ms)
        checkpoint_id = self._messages.next_number()
        bindings = {**scope._asdict(), "checkpoint_id": checkpoint_id}
        for statement in SAVE_QUEUES:
            self._execute(statement, bindings)
        for statement in SAVE_TOPICS:
            self._execute(statement, bindings)
        self._executemany(
            SAVE_OPEN_TURN,
            [(each.open_turn, checkpoint_id, each.queue_id) for each in contents if each.open_turn],
        )
        self._execute(INSERT, {**bindings, "name": name, "saved_at_ms": now_ms})
        [row] = self._execute(FIND, (name,)).fetchall()
        return _checkpoint(row)

    def find(self, name: str) -> tuple[Checkpoint, int] | None:
        """The checkpoint of that name, and its id."""
        found = self._execute(FIND, (name,)).fetchall()
        return (_checkpoint(found[0]), found[0][7]) if found else None

    def all(self) -> list[Checkpoint]:
        """See ``list_checkpoints`` in the contract."""
        return [_checkpoint(row) for row in self._execute(LIST).fetchall()]

    def restore(self, checkpoint_id: int) -> dict[int, int]:
        """Put back what a checkpoint holds, its scope being cleared; the open turns of queues."""
        bindings = {"checkpoint_id": checkpoint_id}
        for statement in RESTORE_QUEUES:
            self._execute(statement, bindings)
        for statement in RESTORE_TOPICS:
            self._execute(statement, bindings)
        topic_ids = self._execute(SAVED_TOPIC_IDS, bindings).fetchall()
        self._executemany(
            REVISE_TOPIC, [(self._messages.next_number(), topic_id) for (topic_id,) in topic_ids]
        )
        return dict(self._execute(OPEN_TURNS, bindings).fetchall())

    def delete(self, name: str) -> bool:
        """See ``delete_checkpoint`` in the contract."""
        found = self.find(name)
        if found is None:
            return False
        for statement in FORGET:
            self._execute(statement, {"checkpoint_id": found[1]})
        return True


def _checkpoint(row: Row) -> Checkpoint:
    return Checkpoint(row[0], Scope(row[1], row[2]), *row[3:7])
