"""The rules of the storage contract about messages, as statements on one connection.

Everything here is synchronous and runs inside a transaction that ``GroupCommit`` opened.  The
terms (content, lane, turn, hidden, due) are explained in the schema, the rules in the contract.
"""

from collections.abc import Callable, Sequence
from json import dumps, loads
from typing import Any

import apsw

from storage.admin_records import MessageState, Peeked, PeekFilter, Transfer
from storage.contract import EVERYBODY
from storage.errors import UnknownQueue
from storage.records import (
    Added,
    Claim,
    Claimed,
    Counts,
    DeadLetter,
    Movable,
    Move,
    NewMessage,
    Outcome,
    Receipt,
)
from storage.sqlite.content import NEVER, Content, decode_attributes, encode_attributes

Row = tuple[Any, ...]

_STATE_NAMES = (
    ("visible", MessageState.VISIBLE),
    ("in_flight", MessageState.IN_FLIGHT),
    ("delayed", MessageState.DELAYED),
)

#: how many messages one call promotes, expires or dead-letters at most
UPKEEP_LIMIT = 1_000

INSERT = """
INSERT INTO messages (sequence, content_id, lane_id, fifo, due_at_ms, hidden_until_ms,
    receive_count, enqueued_at_ms, sent_at_ms, message_id, sender_id, group_id, deduplication_id,
    trace_header, attributes, body)
VALUES (?, ?, ?, ?, ?, ?, 0, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""

# The columns a claim needs; the first six are for the store, the rest make a Claim.
VISIBLE_IN_LANE = """
SELECT sequence, enqueued_at_ms, lane_id, due_at_ms, receive_count, first_received_at_ms,
    message_id, body, attributes, sender_id, sent_at_ms, group_id, deduplication_id, trace_header,
    dead_letter_source_arn
FROM messages WHERE lane_id = ? AND due_at_ms IS NULL AND fifo = 0 AND sequence > ?
ORDER BY sequence LIMIT ?
"""
FIFO_LANE = """
SELECT sequence, enqueued_at_ms, lane_id, due_at_ms, receive_count, first_received_at_ms,
    message_id, body, attributes, sender_id, sent_at_ms, group_id, deduplication_id, trace_header,
    dead_letter_source_arn
FROM messages WHERE lane_id = ? AND fifo = 1 AND sequence > ? ORDER BY sequence LIMIT ?
"""
BY_SEQUENCE = """
SELECT sequence, enqueued_at_ms, lane_id, due_at_ms, receive_count, first_received_at_ms,
    message_id, body, attributes, sender_id, sent_at_ms, group_id, deduplication_id, trace_header,
    dead_letter_source_arn, hidden_until_ms
FROM messages WHERE sequence = ? AND content_id = ?
"""
STATE = """
SELECT enqueued_at_ms, lane_id, due_at_ms, receive_count, hidden_until_ms
FROM messages WHERE sequence = ? AND content_id = ?
"""
HIDE = """
UPDATE messages SET due_at_ms = ?, hidden_until_ms = ?, receive_count = receive_count + 1,
    first_received_at_ms = coalesce(first_received_at_ms, ?), claimed_at_ms = ?
WHERE sequence = ?
"""
SET_HIDDEN = "UPDATE messages SET due_at_ms = ?, hidden_until_ms = ? WHERE sequence = ?"
SHOW = "UPDATE messages SET due_at_ms = NULL WHERE sequence = ?"
DELETE = "DELETE FROM messages WHERE sequence = ?"
DELETE_RETURNING = """
DELETE FROM messages WHERE sequence = ? AND content_id = ?
RETURNING due_at_ms, receive_count, lane_id
"""
DELETE_ANY = DELETE_RETURNING + ", message_id"
DEAD_LETTER_STANDARD = """
UPDATE messages SET content_id = ?, lane_id = ?, dead_letter_source_arn = ? WHERE sequence = ?
"""
DEAD_LETTER_FIFO = """
UPDATE messages SET content_id = ?, lane_id = ?, dead_letter_source_arn = ?, sequence = ?,
    enqueued_at_ms = ?, deduplication_id = message_id
WHERE sequence = ?
"""
# The columns of BY_SEQUENCE and one more; each message is in one of the two indexes.
PEEK_WITHOUT_GROUP = """
SELECT sequence, enqueued_at_ms, lane_id, due_at_ms, receive_count, first_received_at_ms,
    message_id, body, attributes, sender_id, sent_at_ms, group_id, deduplication_id, trace_header,
    dead_letter_source_arn, hidden_until_ms, claimed_at_ms
FROM messages INDEXED BY messages_without_group
WHERE content_id = :content_id AND lane_id = content_id AND sequence > :after_sequence
"""
PEEK_IN_GROUPS = """
SELECT sequence, enqueued_at_ms, lane_id, due_at_ms, receive_count, first_received_at_ms,
    message_id, body, attributes, sender_id, sent_at_ms, group_id, deduplication_id, trace_header,
    dead_letter_source_arn, hidden_until_ms, claimed_at_ms
FROM messages INDEXED BY messages_in_groups
WHERE content_id = :content_id AND lane_id <> content_id AND sequence > :after_sequence
"""
FITS = """
AND (:group_id IS NULL OR group_id = :group_id)
AND (:message_id IS NULL OR message_id = :message_id)
AND CASE WHEN due_at_ms IS NULL THEN :visible WHEN receive_count > 0 THEN :in_flight
    ELSE :delayed END
"""
PEEK = (
    PEEK_WITHOUT_GROUP
    + FITS
    + " UNION ALL "
    + PEEK_IN_GROUPS
    + FITS
    + " ORDER BY sequence LIMIT :limit"
)
OLDEST = """
SELECT min(enqueued_at_ms) FROM (
    SELECT * FROM (
        SELECT enqueued_at_ms FROM messages INDEXED BY messages_without_group
        WHERE content_id = :content_id AND lane_id = content_id ORDER BY sequence LIMIT 1)
    UNION ALL SELECT * FROM (
        SELECT enqueued_at_ms FROM messages INDEXED BY messages_in_groups
        WHERE content_id = :content_id AND lane_id <> content_id ORDER BY sequence LIMIT 1))
"""

DUE = """
SELECT sequence, enqueued_at_ms, lane_id, receive_count FROM messages
WHERE content_id = ? AND due_at_ms <= ? ORDER BY due_at_ms, sequence LIMIT ?
"""
FIRST_DUE = """
SELECT due_at_ms FROM messages WHERE content_id = ? AND due_at_ms IS NOT NULL
ORDER BY due_at_ms LIMIT 1
"""
# Messages of a content that are due by now: how many, of them in flight, of them not expired.
COUNT_DUE = """
SELECT count(*), coalesce(sum(receive_count > 0), 0), coalesce(sum(enqueued_at_ms > ?), 0)
FROM messages WHERE content_id = ? AND due_at_ms <= ?
"""
OLDEST_WITHOUT_GROUP = """
SELECT sequence, enqueued_at_ms, lane_id, due_at_ms FROM messages
WHERE lane_id = ? AND due_at_ms IS NULL AND fifo = 0 ORDER BY sequence
"""
OLDEST_IN_GROUPS = """
SELECT sequence, enqueued_at_ms, lane_id, due_at_ms FROM messages
WHERE content_id = ? AND lane_id <> content_id ORDER BY sequence
"""
COUNT_EXPIRED_WITHOUT_GROUP = """
SELECT count(*) FROM messages
WHERE lane_id = ? AND due_at_ms IS NULL AND fifo = 0 AND enqueued_at_ms <= ?
"""
COUNT_EXPIRED_IN_GROUPS = """
SELECT count(*) FROM messages
WHERE content_id = ? AND lane_id <> content_id AND due_at_ms IS NULL AND enqueued_at_ms <= ?
"""

JOIN_FIFO_LANE = """
INSERT INTO lanes (lane_id, content_id, group_id, size, turn) VALUES (?, ?, ?, 1, ?)
ON CONFLICT (content_id, group_id) DO UPDATE SET size = size + 1
RETURNING lane_id, turn
"""
JOIN_FAIR_LANE = """
INSERT INTO lanes (lane_id, content_id, group_id, size, turn) VALUES (?, ?, ?, 1, ?)
ON CONFLICT (content_id, group_id) DO UPDATE SET size = size + 1,
    turn = coalesce(turn, excluded.turn)
RETURNING lane_id, turn
"""
LEAVE_LANE = "UPDATE lanes SET size = size - 1 WHERE lane_id = ? RETURNING size, turn"
REMOVE_LANE = "DELETE FROM lanes WHERE lane_id = ?"
LANE_TURN = "SELECT turn FROM lanes WHERE lane_id = ?"
SET_TURN = "UPDATE lanes SET turn = ? WHERE lane_id = ?"
DROP_TURN = "UPDATE lanes SET turn = NULL WHERE lane_id = ? AND turn IS NOT NULL"
NEXT_LANE = """
SELECT lane_id, turn FROM lanes WHERE content_id = ? AND turn < ? ORDER BY turn LIMIT 1
"""
READY_LANES = """
SELECT lane_id FROM lanes WHERE content_id = ? AND turn IS NOT NULL ORDER BY turn LIMIT ?
"""
HEAD_DUE = """
SELECT due_at_ms FROM messages WHERE lane_id = ? AND fifo = 1 ORDER BY sequence LIMIT 1
"""
# FIFO lanes of a content with whether they have a turn and whether their head is hidden.
LANES_AND_HEADS = """
SELECT l.lane_id, l.turn IS NOT NULL, m.due_at_ms IS NOT NULL
FROM lanes AS l JOIN messages AS m ON m.sequence = (
    SELECT min(sequence) FROM messages WHERE lane_id = l.lane_id AND fifo = 1)
WHERE l.content_id = ? ORDER BY m.sequence
"""

DEDUPLICATION = """
SELECT message_id, accepted, expires_at_ms FROM deduplications
WHERE content_id = ? AND deduplication_key = ?
"""
REMEMBER = """
INSERT OR REPLACE INTO deduplications
    (accepted, content_id, deduplication_key, message_id, expires_at_ms)
VALUES (?, ?, ?, ?, ?)
"""
ATTEMPT = """
SELECT attempt, claimed_at_ms, expires_at_ms, hidden_until_ms, claims FROM receive_attempts
WHERE content_id = ? AND attempt_id = ?
"""
REMEMBER_ATTEMPT = """
INSERT OR REPLACE INTO receive_attempts
    (attempt, content_id, attempt_id, claimed_at_ms, expires_at_ms, hidden_until_ms, claims)
VALUES (?, ?, ?, ?, ?, ?, ?)
"""
RENEW_ATTEMPT = "UPDATE receive_attempts SET hidden_until_ms = ? WHERE attempt = ?"

COUNT_HIDDEN = """
SELECT receive_count > 0, count(*) FROM messages
WHERE content_id = ? AND due_at_ms IS NOT NULL GROUP BY 1
"""
COUNT_VISIBLE_WITHOUT_GROUP = """
SELECT count(*) FROM messages WHERE lane_id = ? AND due_at_ms IS NULL AND fifo = 0
"""
COUNT_HIDDEN_IN_GROUPS = """
SELECT count(*) FROM messages
WHERE content_id = ? AND lane_id <> content_id AND due_at_ms IS NOT NULL
"""
COUNT_LANES = """
SELECT coalesce(sum(size), 0), count(turn) FROM lanes WHERE content_id = ?
"""
RETIME_EXPIRY = """
UPDATE messages SET due_at_ms = min(hidden_until_ms, enqueued_at_ms + ?)
WHERE content_id = ? AND due_at_ms IS NOT NULL
"""
RETIME_DELAY = """
UPDATE messages SET hidden_until_ms = sent_at_ms + :delay_ms, due_at_ms =
    CASE WHEN sent_at_ms + :delay_ms <= :now_ms THEN NULL
    ELSE min(sent_at_ms + :delay_ms, enqueued_at_ms + :retention_ms) END
WHERE content_id = :content_id AND lane_id <> content_id AND receive_count = 0
"""


class Messages:
    """All messages of one database file."""

    def __init__(self, connection: apsw.Connection, *, sequence: int) -> None:
        """``sequence``: above every one given out so far."""
        self._connection = connection
        self._execute: Callable[..., Any] = connection.cursor().execute
        self._sequence = sequence
        #: the contents that queues hold now, by queue id
        self.contents: dict[int, Content] = {}
        #: what listeners have to be told once the transaction is committed
        self.changes: list[tuple[int, int]] = []

    def _one(self, statement: str, bindings: Row) -> Row | None:
        """The only row of a statement, which is run to its end: COMMIT refuses unfinished ones."""
        rows = self._execute(statement, bindings).fetchall()
        return rows[0] if rows else None

    def next_number(self) -> int:
        """A number above all earlier ones: a sequence, a turn, an id."""
        self._sequence += 1
        return self._sequence

    def content(self, queue_id: int) -> Content:
        """What the queue holds; raises ``UnknownQueue``."""
        try:
            return self.contents[queue_id]
        except KeyError:
            raise UnknownQueue(str(queue_id)) from None

    def recount(self, content: Content) -> None:
        """Make a content's counts anew from the database."""
        content.in_flight = content.delayed = 0
        for received, number in self._execute(COUNT_HIDDEN, (content.content_id,)).fetchall():
            content.count(hidden=True, received=bool(received), change=number)
        [(in_groups, ready)] = self._execute(COUNT_LANES, (content.content_id,))
        [(visible,)] = self._execute(COUNT_VISIBLE_WITHOUT_GROUP, (content.content_id,))
        if in_groups:
            [(hidden,)] = self._execute(COUNT_HIDDEN_IN_GROUPS, (content.content_id,))
            visible += in_groups - hidden
        content.visible = visible
        content.ready_lanes = ready
        content.next_due_ms = content.next_expiry_ms = 0

    # --- adding ---------------------------------------------------------------------------------

    def add(
        self, messages: Sequence[tuple[int, NewMessage]], now_ms: int, window_ms: int
    ) -> list[Added]:
        """See the contract."""
        contents = [self.content(queue_id) for queue_id, _ in messages]
        added = []
        attributes = encoded = None
        for content, (queue_id, message) in zip(contents, messages, strict=True):
            self._settle(content, now_ms)
            sequence = self._sequence = self._sequence + 1
            if content.fifo and message.deduplication_id is not None:
                key = message.deduplication_id
                if content.per_group:
                    key = f"{message.group_id}\0{key}"
                known = self._one(DEDUPLICATION, (content.content_id, key))
                if known is not None and known[2] > now_ms:
                    added.append(Added(known[0], known[1], duplicate=True))
                    continue
                self._execute(
                    REMEMBER,
                    (sequence, content.content_id, key, message.message_id, now_ms + window_ms),
                )
            hidden_until = due = None
            if message.visible_at_ms > now_ms:
                hidden_until = message.visible_at_ms
                due = min(hidden_until, now_ms + content.retention_ms)
                content.next_due_ms = min(content.next_due_ms, due)
                content.delayed += 1
            else:
                content.visible += 1
            lane_id = content.content_id
            if message.group_id is not None:
                lane_id = self._join_lane(
                    content, message.group_id, turn=sequence if due is None else None
                )
            if message.attributes is not attributes:  # copies of a publication share theirs
                attributes = message.attributes
                encoded = encode_attributes(attributes)
            self._execute(
                INSERT,
                (
                    sequence,
                    content.content_id,
                    lane_id,
                    content.fifo,
                    due,
                    hidden_until,
                    now_ms,
                    message.sent_at_ms,
                    message.message_id,
                    message.sender_id,
                    message.group_id,
                    message.deduplication_id,
                    message.trace_header,
                    encoded,
                    message.body,
                ),
            )
            if content.next_expiry_ms == NEVER:
                content.next_expiry_ms = now_ms + content.retention_ms
            self.changes.append((queue_id, 1))
            added.append(Added(message.message_id, sequence))
        return added

    def _join_lane(self, content: Content, group_id: str, *, turn: int | None) -> int:
        """Count a message into its group's lane, made if need be; the lane's id.

        ``turn``: a number never used as one before, if the message is visible.
        """
        [(lane_id, turn_now)] = self._execute(
            JOIN_FIFO_LANE if content.fifo else JOIN_FAIR_LANE,
            (self.next_number(), content.content_id, group_id, turn),
        )
        if turn is not None and turn_now == turn:  # set just now; any other is an older one
            content.ready_lanes += 1
        return int(lane_id)

    # --- bringing a content to a moment ---------------------------------------------------------

    def _settle(self, content: Content, now_ms: int) -> None:
        """Show what fell due and remove what expired by ``now_ms``, up to a bound."""
        if content.next_due_ms <= now_ms:
            self._promote(content, now_ms)
        if content.next_expiry_ms <= now_ms:
            self._expire(content, now_ms)

    def settle_all(self, content: Content, now_ms: int) -> None:
        """As ``_settle``, without a bound."""
        while not content.is_settled(now_ms):
            self._settle(content, now_ms)

    def _promote(self, content: Content, now_ms: int) -> None:
        expired_before = now_ms - content.retention_ms
        due = self._execute(DUE, (content.content_id, now_ms, UPKEEP_LIMIT)).fetchall()
        for sequence, enqueued_at_ms, lane_id, receive_count in due:
            if enqueued_at_ms <= expired_before:
                self._execute(DELETE, (sequence,))
                content.count(hidden=True, received=receive_count > 0, change=-1)
                self._leave_lane(content, lane_id)
                continue
            self._show(content, sequence, enqueued_at_ms, lane_id, receive_count)
        if len(due) < UPKEEP_LIMIT:
            first = self._one(FIRST_DUE, (content.content_id,))
            content.next_due_ms = NEVER if first is None else first[0]

    def _show(
        self,
        content: Content,
        sequence: int,
        enqueued_at_ms: int,
        lane_id: int,
        receive_count: int,
    ) -> None:
        """Make a hidden message visible."""
        self._execute(SHOW, (sequence,))
        content.count(hidden=True, received=receive_count > 0, change=-1)
        content.visible += 1
        content.next_expiry_ms = min(content.next_expiry_ms, enqueued_at_ms + content.retention_ms)
        self._shown_in_lane(content, lane_id)

    def _expire(self, content: Content, now_ms: int) -> None:
        """Remove visible messages that expired, oldest first."""
        expired_before = now_ms - content.retention_ms
        budget = UPKEEP_LIMIT
        next_expiry_ms = NEVER
        for oldest in (OLDEST_WITHOUT_GROUP, OLDEST_IN_GROUPS):
            expired: list[Row] = []
            for row in self._connection.execute(oldest, (content.content_id,)):
                if row[1] > expired_before or len(expired) == budget:
                    next_expiry_ms = min(next_expiry_ms, row[1] + content.retention_ms)
                    break
                expired.append(row)
            budget -= len(expired)
            for sequence, _, lane_id, due_at_ms in expired:
                if due_at_ms is None:  # the others are for _promote
                    self._execute(DELETE, (sequence,))
                    content.visible -= 1
                    self._leave_lane(content, lane_id)
        content.next_expiry_ms = next_expiry_ms

    def _shown_in_lane(self, content: Content, lane_id: int) -> None:
        """A message of that lane became visible: does the lane get a turn by that?"""
        if lane_id == content.content_id:
            return
        [(turn,)] = self._execute(LANE_TURN, (lane_id,))
        if turn is None and (not content.fifo or self._head_is_visible(lane_id)):
            self._execute(SET_TURN, (self.next_number(), lane_id))
            content.ready_lanes += 1

    def _leave_lane(self, content: Content, lane_id: int, *, unlock: bool = True) -> None:
        """A message of that lane was removed: the lane may vanish, unlock, lock or run dry."""
        if lane_id == content.content_id:
            return
        [(size, turn)] = self._execute(LEAVE_LANE, (lane_id,))
        if size == 0:
            self._execute(REMOVE_LANE, (lane_id,))
            content.ready_lanes -= turn is not None
        elif content.fifo:
            if not unlock:
                return
            ready = self._head_is_visible(lane_id)
            if ready and turn is None:
                self._execute(SET_TURN, (self.next_number(), lane_id))
                content.ready_lanes += 1
                self.changes.append((content.queue_id, 1))
            elif not ready and turn is not None:
                self._execute(SET_TURN, (None, lane_id))
                content.ready_lanes -= 1
        elif turn is not None and not self._has_visible(lane_id):
            self._execute(SET_TURN, (None, lane_id))
            content.ready_lanes -= 1

    def _head_is_visible(self, lane_id: int) -> bool:
        [(due_at_ms,)] = self._execute(HEAD_DUE, (lane_id,))
        return due_at_ms is None

    def _has_visible(self, lane_id: int) -> bool:
        return self._one(VISIBLE_IN_LANE, (lane_id, 0, 1)) is not None

    # --- claiming -------------------------------------------------------------------------------

    def claim(
        self,
        queue_id: int,
        limit: int,
        now_ms: int,
        hidden_until_ms: int,
        in_flight_max: int,
        dead_letter: DeadLetter | None,
        attempt_id: str | None,
        attempt_window_ms: int,
    ) -> Claimed:
        """See the contract."""
        content = self.content(queue_id)
        self._settle(content, now_ms)
        if not content.is_settled(now_ms):
            return Claimed([], next_due_at_ms=now_ms + 1, again=True)
        if not content.fifo:
            attempt_id = None
        if attempt_id is not None:
            repeated = self._repeat(content, attempt_id, now_ms, hidden_until_ms)
            if repeated is not None:
                return repeated
        limit = min(limit, in_flight_max - content.in_flight)
        if limit <= 0:
            return Claimed([], next_due_at_ms=self._next_due(content), over_limit=True)
        graveyard = self._graveyard(content, dead_letter)
        if content.fifo:
            rows, moved = self._pick_fifo(content, limit, now_ms, hidden_until_ms, graveyard)
        else:
            rows, moved = self._pick_standard(content, limit, now_ms, hidden_until_ms, graveyard)
        if not rows:
            return Claimed(
                [],
                next_due_at_ms=self._next_due(content),
                again=len(moved) >= UPKEEP_LIMIT,
                dead_lettered=tuple(moved),
            )
        claims = [
            _claim(row, row[4] + 1, now_ms if row[5] is None else row[5], now_ms) for row in rows
        ]
        if attempt_id is not None:
            self._execute(
                REMEMBER_ATTEMPT,
                (
                    self.next_number(),
                    content.content_id,
                    attempt_id,
                    now_ms,
                    now_ms + attempt_window_ms,
                    hidden_until_ms,
                    dumps([(claim.sequence, claim.receive_count) for claim in claims]),
                ),
            )
        return Claimed(claims, dead_lettered=tuple(moved)) if moved else Claimed(claims)

    @staticmethod
    def _next_due(content: Content) -> int | None:
        return None if content.next_due_ms == NEVER else content.next_due_ms

    def _graveyard(
        self, content: Content, dead_letter: DeadLetter | None
    ) -> tuple[Content, DeadLetter] | None:
        if dead_letter is None or dead_letter.queue_id == content.queue_id:
            return None
        target = self.contents.get(dead_letter.queue_id)
        if target is None or target.fifo != content.fifo:
            return None
        return target, dead_letter

    def _pick_standard(
        self,
        content: Content,
        limit: int,
        now_ms: int,
        hidden_until_ms: int,
        graveyard: tuple[Content, DeadLetter] | None,
    ) -> tuple[list[Row], list[str]]:
        """The rows handed out, hidden by now, and the ids of those dead-lettered instead."""
        given: list[Row] = []
        moved: list[str] = []
        after: dict[int, int] = {}  # lane -> the last sequence this call has seen there
        while len(given) < limit and len(moved) < UPKEEP_LIMIT:
            lane_id, rows, more = self._next_standard(content, limit - len(given), after)
            if not rows:
                break
            after[lane_id] = rows[-1][0]
            served = False
            for row in rows:
                if self._bury(content, row, now_ms, graveyard):
                    moved.append(row[6])
                else:
                    self._hide(content, row, now_ms, hidden_until_ms)
                    given.append(row)
                    served = True
            if lane_id != content.content_id:
                self._after_turn(content, lane_id, served=served, more=more)
            elif served and content.ready_lanes:
                content.open_turn = self.next_number()
        if hidden_until_ms <= now_ms:
            for row in given:  # still visible: their lanes have something to give again
                self._shown_in_lane(content, row[2])
        return given, moved

    def _next_standard(
        self, content: Content, limit: int, after: dict[int, int]
    ) -> tuple[int, list[Row], bool]:
        """The lane whose turn it is, what it gives, and whether it has more to give."""
        open_lane = content.content_id
        if not content.ready_lanes:
            rows = self._visible(open_lane, after.get(open_lane, 0), limit)
            return open_lane, rows, False
        [(lane_id, turn)] = self._execute(NEXT_LANE, (content.content_id, NEVER))
        if content.open_turn < turn:
            rows = self._visible(open_lane, after.get(open_lane, 0), 1)
            if rows:
                return open_lane, rows, True
        rows = self._visible(lane_id, after.get(lane_id, 0), 2)
        return lane_id, rows[:1], len(rows) > 1

    def _visible(self, lane_id: int, after: int, limit: int) -> list[Row]:
        return list(self._execute(VISIBLE_IN_LANE, (lane_id, after, limit)))

    def _after_turn(self, content: Content, lane_id: int, *, served: bool, more: bool) -> None:
        """A group lane gave a message: to the back if it has more, out of the rotation if not."""
        if not more:
            # a dead-lettered message may have taken the lane, or its turn, with it
            self._execute(DROP_TURN, (lane_id,))
            content.ready_lanes -= self._connection.changes()
        elif served:
            self._execute(SET_TURN, (self.next_number(), lane_id))

    def _pick_fifo(
        self,
        content: Content,
        limit: int,
        now_ms: int,
        hidden_until_ms: int,
        graveyard: tuple[Content, DeadLetter] | None,
    ) -> tuple[list[Row], list[str]]:
        given: list[Row] = []
        moved: list[str] = []
        not_served_yet = self.next_number()
        while len(given) < limit and len(moved) < UPKEEP_LIMIT:
            lane = self._one(NEXT_LANE, (content.content_id, not_served_yet))
            if lane is None:
                break
            lane_id = lane[0]
            # Out of the rotation while it is being served: what happens to it is decided below.
            self._execute(SET_TURN, (None, lane_id))
            content.ready_lanes -= 1
            self._walk(content, lane_id, given, moved, limit, now_ms, hidden_until_ms, graveyard)
            head = self._one(HEAD_DUE, (lane_id,))
            if head is not None and head[0] is None:
                self._execute(SET_TURN, (self.next_number(), lane_id))
                content.ready_lanes += 1
        return given, moved

    def _walk(
        self,
        content: Content,
        lane_id: int,
        given: list[Row],
        moved: list[str],
        limit: int,
        now_ms: int,
        hidden_until_ms: int,
        graveyard: tuple[Content, DeadLetter] | None,
    ) -> None:
        """Hand out a FIFO lane from its head while visible, or move it to the dead letters."""
        after = 0
        while len(given) < limit and len(moved) < UPKEEP_LIMIT:
            wanted = limit - len(given)
            rows = self._execute(FIFO_LANE, (lane_id, after, wanted)).fetchall()
            for row in rows:
                if row[3] is not None:
                    return
                after = row[0]
                if self._bury(content, row, now_ms, graveyard):
                    moved.append(row[6])
                else:
                    self._hide(content, row, now_ms, hidden_until_ms)
                    given.append(row)
            if len(rows) < wanted:
                return

    def _hide(self, content: Content, row: Row, now_ms: int, hidden_until_ms: int) -> None:
        """Count a receive of a visible message and hide it until then."""
        if hidden_until_ms <= now_ms:
            self._execute(HIDE, (None, hidden_until_ms, now_ms, now_ms, row[0]))
            return
        due = min(hidden_until_ms, row[1] + content.retention_ms)
        self._execute(HIDE, (due, hidden_until_ms, now_ms, now_ms, row[0]))
        content.visible -= 1
        content.in_flight += 1
        if due < content.next_due_ms:
            content.next_due_ms = due

    def _bury(
        self, content: Content, row: Row, now_ms: int, graveyard: tuple[Content, DeadLetter] | None
    ) -> bool:
        """Move a visible message to the dead-letter queue if it was received often enough."""
        if graveyard is None or row[4] < graveyard[1].max_receive_count:
            return False
        target, rule = graveyard
        self._settle(target, now_ms)
        sequence, enqueued_at_ms, lane_id, group_id = row[0], row[1], row[2], row[11]
        number = self.next_number()  # its turn there, and in a FIFO queue its new sequence
        target_lane = target.content_id
        if group_id is not None:
            target_lane = self._join_lane(target, group_id, turn=number)
        if content.fifo:
            enqueued_at_ms = now_ms
            self._execute(
                DEAD_LETTER_FIFO,
                (target.content_id, target_lane, rule.source_arn, number, now_ms, sequence),
            )
        else:
            self._execute(
                DEAD_LETTER_STANDARD, (target.content_id, target_lane, rule.source_arn, sequence)
            )
        content.visible -= 1
        target.visible += 1
        target.next_expiry_ms = min(target.next_expiry_ms, enqueued_at_ms + target.retention_ms)
        # A FIFO lane is being walked: the walk decides, at its end, whether it is ready.
        self._leave_lane(content, lane_id, unlock=False)
        self.changes.append((target.queue_id, 1))
        return True

    def _repeat(
        self, content: Content, attempt_id: str, now_ms: int, hidden_until_ms: int
    ) -> Claimed | None:
        """The answer to a receive attempt made before; None if it was not, or too long ago."""
        known = self._one(ATTEMPT, (content.content_id, attempt_id))
        if known is None or known[2] <= now_ms:
            return None
        attempt, claimed_at_ms, _, hidden_until_then_ms, stored = known
        rows = []
        for sequence, receive_count in loads(stored):
            row = self._one(BY_SEQUENCE, (sequence, content.content_id))
            if (
                row is None
                or row[4] != receive_count
                or row[15] != hidden_until_then_ms
                or row[3] is None
            ):
                return Claimed([], attempt_void=True)
            rows.append(row)
        for row in rows:
            self._set_hidden(content, row[0], row[1], row[2], now_ms, hidden_until_ms)
        self._execute(RENEW_ATTEMPT, (hidden_until_ms, attempt))
        return Claimed([_claim(row, row[4], row[5], claimed_at_ms) for row in rows])

    # --- after a claim --------------------------------------------------------------------------

    def delete(self, receipts: Sequence[Receipt], now_ms: int) -> list[Outcome]:
        """See the contract."""
        return [self._delete(receipt, now_ms) for receipt in receipts]

    def _delete(self, receipt: Receipt, now_ms: int) -> Outcome:
        content = self.content(receipt.queue_id)
        self._settle(content, now_ms)
        if content.fifo:
            state = self._one(STATE, (receipt.sequence, content.content_id))
            if state is not None and self._is_stale(receipt, state, now_ms):
                return Outcome.STALE
        deleted = self._one(DELETE_RETURNING, (receipt.sequence, content.content_id))
        if deleted is None:
            return Outcome.GONE
        due_at_ms, receive_count, lane_id = deleted
        content.count(hidden=due_at_ms is not None, received=receive_count > 0, change=-1)
        self._leave_lane(content, lane_id)
        return Outcome.DONE

    def change_visibility(
        self, changes: Sequence[tuple[Receipt, int]], now_ms: int
    ) -> list[Outcome]:
        """See the contract."""
        return [self._change_visibility(receipt, until, now_ms) for receipt, until in changes]

    def _change_visibility(self, receipt: Receipt, until_ms: int, now_ms: int) -> Outcome:
        content = self.content(receipt.queue_id)
        self._settle(content, now_ms)
        state = self._one(STATE, (receipt.sequence, content.content_id))
        if state is None or state[0] + content.retention_ms <= now_ms:
            return Outcome.GONE
        if content.fifo:
            if self._is_stale(receipt, state, now_ms):
                return Outcome.STALE
        elif state[2] is None or state[4] <= now_ms:
            return Outcome.VISIBLE
        self._set_hidden(content, receipt.sequence, state[0], state[1], now_ms, until_ms)
        self.changes.append((content.queue_id, 1))
        return Outcome.DONE

    @staticmethod
    def _is_stale(receipt: Receipt, state: Row, now_ms: int) -> bool:
        """Whether a FIFO hand-out has ended: by a newer one, or by time."""
        _, _, due_at_ms, receive_count, hidden_until_ms = state
        return (
            receive_count != receipt.receive_count or due_at_ms is None or hidden_until_ms <= now_ms
        )

    def _set_hidden(
        self,
        content: Content,
        sequence: int,
        enqueued_at_ms: int,
        lane_id: int,
        now_ms: int,
        until_ms: int,
    ) -> None:
        """Change until when a message in flight is hidden."""
        if until_ms <= now_ms:
            self._execute(SET_HIDDEN, (None, until_ms, sequence))
            content.in_flight -= 1
            content.visible += 1
            content.next_expiry_ms = min(
                content.next_expiry_ms, enqueued_at_ms + content.retention_ms
            )
            self._shown_in_lane(content, lane_id)
            return
        due = min(until_ms, enqueued_at_ms + content.retention_ms)
        self._execute(SET_HIDDEN, (due, until_ms, sequence))
        content.next_due_ms = min(content.next_due_ms, due)

    def count(self, queue_id: int, now_ms: int) -> Counts:
        """See the contract."""
        content = self.content(queue_id)
        self._settle(content, now_ms)
        visible, in_flight, delayed = content.visible, content.in_flight, content.delayed
        if not content.is_settled(now_ms):
            # More upkeep is left than one call does: count what it would change.
            expired_before = now_ms - content.retention_ms
            [(due, received, kept)] = self._execute(
                COUNT_DUE, (expired_before, content.content_id, now_ms)
            )
            in_flight -= received
            delayed -= due - received
            visible += kept
            for query in (COUNT_EXPIRED_WITHOUT_GROUP, COUNT_EXPIRED_IN_GROUPS):
                [(expired,)] = self._execute(query, (content.content_id, expired_before))
                visible -= expired
        return Counts(visible, in_flight, delayed)

    # --- moving ---------------------------------------------------------------------------------

    def peek_movable(self, queue_id: int, limit: int, now_ms: int) -> list[Movable]:
        """See the contract."""
        content = self.content(queue_id)
        self.settle_all(content, now_ms)
        rows: list[Row] = []
        if not content.fifo:
            rows += self._visible(content.content_id, 0, limit)
        for (lane_id,) in self._execute(READY_LANES, (content.content_id, limit)).fetchall():
            if len(rows) >= limit:
                break
            if content.fifo:
                for row in self._execute(FIFO_LANE, (lane_id, 0, limit - len(rows))).fetchall():
                    if row[3] is not None:
                        break
                    rows.append(row)
            else:
                rows += self._visible(lane_id, 0, limit - len(rows))
        return [Movable(row[0], row[14]) for row in rows]

    def move(self, source_queue_id: int, moves: Sequence[Move], now_ms: int) -> int:
        """Move visible messages of a queue to others; how many were moved."""
        source = self.content(source_queue_id)
        targets = [self.content(move.destination_queue_id) for move in moves]
        self.settle_all(source, now_ms)
        moved = 0
        for move, target in zip(moves, targets, strict=True):
            row = self._one(BY_SEQUENCE, (move.sequence, source.content_id))
            if row is None or row[3] is not None:
                continue
            self._move(source, target, row, move.message_id, now_ms)
            self.changes.append((target.queue_id, 1))
            moved += 1
        return moved

    def _move(
        self, source: Content, target: Content, row: Row, message_id: str, now_ms: int
    ) -> None:
        """Make a message, in whatever state, a new one of ``target``."""
        self._settle(target, now_ms)
        self._execute(DELETE, (row[0],))
        source.count(hidden=row[3] is not None, received=row[4] > 0, change=-1)
        self._leave_lane(source, row[2])
        sequence = self.next_number()
        lane_id, group_id = target.content_id, row[11]
        if group_id is not None:
            lane_id = self._join_lane(target, group_id, turn=sequence)
        self._execute(
            INSERT,
            (
                *(sequence, target.content_id, lane_id, target.fifo, None, None, now_ms, now_ms),
                *(message_id, row[9], group_id, row[12], row[13], row[8], row[7]),
            ),
        )
        target.visible += 1
        target.next_expiry_ms = min(target.next_expiry_ms, now_ms + target.retention_ms)

    # --- what tools ask -------------------------------------------------------------------------

    def _settled(self, queue_id: int, now_ms: int) -> Content:
        content = self.content(queue_id)
        self.settle_all(content, now_ms)
        return content

    def peek(
        self, queue_id: int, chosen: PeekFilter, after_sequence: int, limit: int, now_ms: int
    ) -> list[Peeked]:
        """See ``peek_messages`` in the contract."""
        content = self._settled(queue_id, now_ms)
        found = self._execute(
            PEEK,
            {
                "content_id": content.content_id,
                "after_sequence": after_sequence,
                "limit": limit,
                "group_id": chosen.group_id,
                "message_id": chosen.message_id,
                **{
                    name: chosen.states is None or state in chosen.states
                    for name, state in _STATE_NAMES
                },
            },
        )
        return [_peeked(row) for row in found.fetchall()]

    def oldest_at_ms(self, queue_id: int, now_ms: int) -> int | None:
        """See ``oldest_message_sent_at_ms`` in the contract."""
        content = self.content(queue_id)
        self._settle(content, now_ms)
        [(enqueued_at_ms,)] = self._execute(OLDEST, {"content_id": content.content_id})
        return None if enqueued_at_ms is None else int(enqueued_at_ms)

    def show(self, queue_id: int, sequences: Sequence[int], now_ms: int) -> list[str]:
        """See ``show_messages`` in the contract."""
        content = self._settled(queue_id, now_ms)
        shown = []
        for sequence in sequences:
            row = self._one(BY_SEQUENCE, (sequence, content.content_id))
            if row is not None and row[3] is not None:
                self._show(content, sequence, row[1], row[2], row[4])
                shown.append(row[6])
        if shown:
            self.changes.append((queue_id, len(shown)))
        return shown

    def remove(self, queue_id: int, sequences: Sequence[int], now_ms: int) -> list[str]:
        """See ``remove_messages`` in the contract."""
        content = self._settled(queue_id, now_ms)
        removed = []
        for sequence in sequences:
            row = self._one(DELETE_ANY, (sequence, content.content_id))
            if row is not None:
                content.count(hidden=row[0] is not None, received=row[1] > 0, change=-1)
                self._leave_lane(content, row[2])
                removed.append(row[3])
        return removed

    def transfer(self, queue_id: int, transfers: Sequence[Transfer], now_ms: int) -> int:
        """See ``transfer_messages`` in the contract."""
        targets = [self.content(each.destination_queue_id) for each in transfers]
        source = self._settled(queue_id, now_ms)
        arrived: dict[int, int] = {}
        for each, target in zip(transfers, targets, strict=True):
            row = self._one(BY_SEQUENCE, (each.sequence, source.content_id))
            if row is not None:
                self._move(source, target, row, each.message_id, now_ms)
                arrived[target.queue_id] = arrived.get(target.queue_id, 0) + 1
        self.changes += arrived.items()
        return sum(arrived.values())

    # --- changes of settings and upkeep ---------------------------------------------------------

    def change_retention(self, content: Content, retention_ms: int, now_ms: int) -> None:
        """Let a new retention period hold for the messages that are there."""
        self.settle_all(content, now_ms)
        content.retention_ms = retention_ms
        self._execute(RETIME_EXPIRY, (retention_ms, content.content_id))
        content.next_due_ms = content.next_expiry_ms = 0
        self.changes.append((content.queue_id, EVERYBODY))

    def change_fifo_delay(self, content: Content, delay_ms: int, now_ms: int) -> None:
        """Hide each message never received until it was sent plus the delay."""
        self.settle_all(content, now_ms)
        self._execute(
            RETIME_DELAY,
            {
                "delay_ms": delay_ms,
                "now_ms": now_ms,
                "retention_ms": content.retention_ms,
                "content_id": content.content_id,
            },
        )
        heads = self._execute(LANES_AND_HEADS, (content.content_id,)).fetchall()
        for lane_id, has_turn, head_is_hidden in heads:
            if has_turn == head_is_hidden:
                turn = None if head_is_hidden else self.next_number()
                self._execute(SET_TURN, (turn, lane_id))
        self.recount(content)
        self.changes.append((content.queue_id, EVERYBODY))

    def settle(self, content: Content, now_ms: int) -> int:
        """Bring a content nearer to ``now_ms``; when there is more to do (``NEVER``: unknown)."""
        self._settle(content, now_ms)
        return min(content.next_due_ms, content.next_expiry_ms)


def _claim(row: Row, receive_count: int, first_received_at_ms: int, claimed_at_ms: int) -> Claim:
    return Claim(
        row[0],
        row[6],
        row[7],
        decode_attributes(row[8]),
        row[9],
        row[10],
        receive_count,
        first_received_at_ms,
        claimed_at_ms,
        row[11],
        row[12],
        row[13],
        row[14],
    )


def _peeked(row: Row) -> Peeked:
    claim = _claim(row, row[4], row[5] or 0, row[16] or 0)
    if row[3] is None:
        return Peeked(claim, MessageState.VISIBLE, None)
    return Peeked(claim, MessageState.IN_FLIGHT if row[4] else MessageState.DELAYED, row[15])
