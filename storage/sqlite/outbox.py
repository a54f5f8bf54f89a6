"""The rules of the storage contract about publications, deliveries and archives, as statements.

Everything here is synchronous and runs inside a transaction that ``GroupCommit`` opened.
"""

from collections.abc import Callable, Sequence
from json import dumps
from typing import Any

import apsw

from storage.records import NewMessage
from storage.sqlite.content import NEVER, decode_attributes, encode_attributes
from storage.sqlite.messages import Messages
from storage.topic_contract import FINISHED_DELIVERIES_KEPT
from storage.topic_records import (
    UNFINISHED,
    Delivery,
    DeliveryFilter,
    DeliveryKind,
    DeliveryStatus,
    Lane,
    NewDelivery,
    Publication,
)

Row = tuple[Any, ...]

INSERT_PUBLICATION = """
INSERT INTO publications (publication_id, last_delivery_id, archived_topic_id, message_id,
    topic_arn, message, published_at_ms, subject, structured, attributes, group_id,
    deduplication_id, sequence, trace_header, base_url)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
INSERT_DELIVERY = """
INSERT INTO deliveries (delivery_id, publication_id, account, region, protocol, endpoint,
    subscription_id, status, due_at_ms, created_at_ms, kind, token, attempts, last_attempt_at_ms,
    finished_at_ms, status_code, response, dwell_ms)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
# The columns that make a Delivery; those of p are also read from archives, in that order.
DELIVERIES = """
SELECT d.delivery_id, p.message_id, p.topic_arn, p.message, p.published_at_ms, p.subject,
    p.structured, p.attributes, p.group_id, p.deduplication_id, p.sequence, p.trace_header,
    p.base_url, d.account, d.region, d.protocol, d.endpoint, d.subscription_id, d.status,
    d.due_at_ms, d.created_at_ms, d.kind, d.token, d.attempts, d.last_attempt_at_ms,
    d.finished_at_ms, d.status_code, d.response, d.dwell_ms
FROM deliveries AS d CROSS JOIN publications AS p
WHERE p.publication_id = d.publication_id"""
PENDING_LANES = """
SELECT protocol, endpoint, min(due_at_ms) FROM deliveries WHERE status = 'pending'
GROUP BY protocol, endpoint
"""
DUE = (
    DELIVERIES
    + """ AND d.protocol = ? AND d.endpoint = ? AND d.status = 'pending' AND d.due_at_ms <= ?
ORDER BY d.due_at_ms, d.delivery_id LIMIT ?
"""
)
LANE_DUE = """
SELECT due_at_ms FROM deliveries
WHERE protocol = ? AND endpoint = ? AND status = 'pending' AND due_at_ms > ?
ORDER BY due_at_ms LIMIT 1
"""
STATUS = "SELECT status FROM deliveries WHERE delivery_id = ?"
SETTLE = """
UPDATE deliveries SET status = ?, due_at_ms = ?, attempts = ?, last_attempt_at_ms = ?,
    finished_at_ms = ?, status_code = ?, response = ?, dwell_ms = ?
WHERE delivery_id = ?
"""
RESUME = """
UPDATE deliveries SET status = 'pending', due_at_ms = ?
WHERE status = 'waiting' AND protocol = ?
"""
CHOSEN_DELETED = """
DELETE FROM deliveries WHERE delivery_id IN (
    SELECT d.delivery_id FROM deliveries AS d CROSS JOIN publications AS p
    WHERE p.publication_id = d.publication_id"""
# A scan, from one end on: of what was chosen NULL stands for any.
FITS = """
AND (:account IS NULL OR d.account = :account)
AND (:region IS NULL OR d.region = :region)
AND (:protocols IS NULL OR d.protocol IN (SELECT value FROM json_each(:protocols)))
AND (:statuses IS NULL OR d.status IN (SELECT value FROM json_each(:statuses)))
AND (:endpoint IS NULL OR d.endpoint = :endpoint)
AND (:subscription_id IS NULL OR d.subscription_id = :subscription_id)
AND (:topic_arn IS NULL OR p.topic_arn = :topic_arn)
AND (:message_id IS NULL OR p.message_id = :message_id)
"""
LIST = DELIVERIES + FITS + " AND d.delivery_id > :bound ORDER BY d.delivery_id LIMIT :limit"
LIST_NEWEST = (
    DELIVERIES + FITS + " AND d.delivery_id < :bound ORDER BY d.delivery_id DESC LIMIT :limit"
)
CLEAR = CHOSEN_DELETED + FITS + ") RETURNING publication_id, status"
COUNT_FINISHED = "SELECT count(*) FROM deliveries WHERE status NOT IN ('pending', 'waiting')"
TRIM_FINISHED = """
DELETE FROM deliveries WHERE delivery_id IN (
    SELECT delivery_id FROM deliveries WHERE status NOT IN ('pending', 'waiting')
    ORDER BY finished_at_ms, delivery_id LIMIT ?)
RETURNING publication_id
"""
# Publications of these ids that nothing needs any more.
DROP_PUBLICATIONS = """
DELETE FROM publications WHERE publication_id IN (SELECT value FROM json_each(?))
AND archived_topic_id IS NULL AND NOT EXISTS (
    SELECT 1 FROM deliveries AS d
    WHERE d.delivery_id > publications.publication_id
    AND d.delivery_id <= publications.last_delivery_id)
"""

# By how much a new publication is older than one of a lower sequence, or younger than one of a
# higher; the first is estimated by the youngest of all.
DISORDER = """
SELECT max(
    0,
    coalesce(
        (SELECT max(published_at_ms) FROM publications INDEXED BY archives_by_age
            WHERE archived_topic_id = :topic_id),
        :published_at_ms) - :published_at_ms,
    :published_at_ms - coalesce(
        (SELECT min(published_at_ms) FROM publications INDEXED BY archives_in_order
            WHERE archived_topic_id = :topic_id AND sequence > :sequence),
        :published_at_ms))
"""
NOTE_DISORDER = """
INSERT INTO archives (topic_id, disorder_ms) VALUES (?, ?)
ON CONFLICT (topic_id) DO UPDATE SET disorder_ms = excluded.disorder_ms
    WHERE excluded.disorder_ms > disorder_ms
"""
DISORDER_NOTED = "SELECT disorder_ms FROM archives WHERE topic_id = ?"
# What is not of the time wanted is passed over by its index, and only where sequences and times
# may disagree: before one that is too old by more than the disorder, all are too old, and after
# one that is too young by more than that, all are too young.
READ_ARCHIVE = """
SELECT message_id, topic_arn, message, published_at_ms, subject, structured, attributes, group_id,
    deduplication_id, sequence, trace_header, base_url
FROM publications INDEXED BY archives_in_order
WHERE archived_topic_id = :topic_id
AND sequence >= max(:after_sequence + 1, coalesce(
    (SELECT sequence FROM publications INDEXED BY archives_by_age
        WHERE archived_topic_id = :topic_id AND published_at_ms < :from_ms - :disorder_ms
        ORDER BY published_at_ms DESC LIMIT 1), 0))
AND sequence <= coalesce(
    (SELECT sequence FROM publications INDEXED BY archives_by_age
        WHERE archived_topic_id = :topic_id AND published_at_ms > :until_ms + :disorder_ms
        ORDER BY published_at_ms LIMIT 1), 9223372036854775807)
AND published_at_ms >= :from_ms AND published_at_ms <= :until_ms
ORDER BY sequence LIMIT :limit
"""
ARCHIVED_AFTER = """
SELECT 1 FROM publications INDEXED BY archives_in_order
WHERE archived_topic_id = ? AND sequence > ? LIMIT 1
"""
ARCHIVE_BEGINS = """
SELECT published_at_ms FROM publications INDEXED BY archives_by_age
WHERE archived_topic_id = ? ORDER BY published_at_ms LIMIT 1
"""
OLDEST_ARCHIVED = """
SELECT publication_id FROM publications INDEXED BY archives_by_age
WHERE archived_topic_id = ? AND published_at_ms < ? ORDER BY published_at_ms LIMIT ?
"""
DROP_ARCHIVED = """
DELETE FROM publications WHERE publication_id IN (SELECT value FROM json_each(?))
AND NOT EXISTS (
    SELECT 1 FROM deliveries AS d
    WHERE d.delivery_id > publications.publication_id
    AND d.delivery_id <= publications.last_delivery_id)
"""
LEAVE_ARCHIVE = """
UPDATE publications SET archived_topic_id = NULL
WHERE publication_id IN (SELECT value FROM json_each(?))
"""
FORGET_DISORDER = "DELETE FROM archives WHERE topic_id = ?"
DISCARD = "INSERT INTO discarded_archives SELECT topic_id FROM archives WHERE topic_id = ?"
DISCARDED = "SELECT topic_id FROM discarded_archives LIMIT 1"
DISCARDED_IS_EMPTY = "DELETE FROM discarded_archives WHERE topic_id = ?"

_STATUSES = {status.value: status for status in DeliveryStatus}
_KINDS = {kind.value: kind for kind in DeliveryKind}
_UNFINISHED = {status.value for status in UNFINISHED}


class Outbox:
    """All publications and deliveries of one database file."""

    def __init__(self, connection: apsw.Connection, messages: Messages) -> None:
        """``messages``: gives out the numbers, and takes the dead letters."""
        self._connection = connection
        self._execute: Callable[..., Any] = connection.cursor().execute
        self._executemany: Callable[..., Any] = connection.cursor().executemany
        self._messages = messages
        #: how many deliveries are finished
        self._finished = 0

    def load(self) -> None:
        """Count what is counted: at the start, and after a rollback."""
        [(self._finished,)] = self._execute(COUNT_FINISHED).fetchall()

    def add(
        self,
        publication: Publication,
        deliveries: Sequence[NewDelivery],
        *,
        archived_topic_id: int | None,
    ) -> None:
        """Remember deliveries and the publication, and archive it if a topic is given."""
        if not deliveries and archived_topic_id is None:
            return
        if archived_topic_id is not None:
            self._note_disorder(archived_topic_id, publication)
        publication_id = last_delivery_id = self._messages.next_number()
        rows = []
        for delivery in deliveries:
            last_delivery_id = self._messages.next_number()
            rows.append(
                (
                    last_delivery_id,
                    publication_id,
                    *delivery[:5],
                    delivery.status.value,
                    delivery.due_at_ms,
                    delivery.created_at_ms,
                    delivery.kind.value,
                    *delivery[9:],
                )
            )
            self._finished += delivery.status not in UNFINISHED
        self._execute(
            INSERT_PUBLICATION,
            (
                publication_id,
                last_delivery_id,
                archived_topic_id,
                *publication[:6],
                encode_attributes(publication.attributes),
                *publication[7:],
            ),
        )
        self._executemany(INSERT_DELIVERY, rows)

    # --- deliveries -----------------------------------------------------------------------------

    def pending_lanes(self) -> list[tuple[Lane, int]]:
        """See the contract."""
        return [
            (Lane(protocol, endpoint), due_at_ms)
            for protocol, endpoint, due_at_ms in self._execute(PENDING_LANES).fetchall()
        ]

    def due(self, lane: Lane, now_ms: int, limit: int) -> list[Delivery]:
        """See ``due_deliveries`` in the contract."""
        return [_delivery(row) for row in self._execute(DUE, (*lane, now_ms, limit)).fetchall()]

    def lane_due_ms(self, lane: Lane, after_ms: int) -> int | None:
        """See the contract."""
        found = self._execute(LANE_DUE, (*lane, after_ms)).fetchall()
        return found[0][0] if found else None

    def settle(
        self,
        delivery_id: int,
        details: NewDelivery,
        dead_letter: tuple[int, NewMessage] | None,
        now_ms: int,
        window_ms: int,
    ) -> bool:
        """See ``settle_delivery`` in the contract."""
        found = self._execute(STATUS, (delivery_id,)).fetchall()
        if not found:
            return False
        if dead_letter is not None:
            self._messages.add([dead_letter], now_ms, window_ms)
        self._finished += (details.status not in UNFINISHED) - (found[0][0] not in _UNFINISHED)
        self._execute(
            SETTLE,
            (
                details.status.value,
                details.due_at_ms,
                details.attempts,
                details.last_attempt_at_ms,
                details.finished_at_ms,
                details.status_code,
                details.response,
                details.dwell_ms,
                delivery_id,
            ),
        )
        return True

    def resume(self, protocols: Sequence[str], now_ms: int) -> int:
        """See ``resume_deliveries`` in the contract."""
        resumed = 0
        for protocol in protocols:
            self._execute(RESUME, (now_ms, protocol))
            resumed += self._connection.changes()
        return resumed

    def list_deliveries(
        self, chosen: DeliveryFilter, after_id: int, newest_first: bool, limit: int
    ) -> list[Delivery]:
        """See the contract."""
        bindings = {**_bindings(chosen), "limit": limit}
        if newest_first:
            found = self._execute(LIST_NEWEST, {**bindings, "bound": after_id or NEVER})
        else:
            found = self._execute(LIST, {**bindings, "bound": after_id})
        return [_delivery(row) for row in found.fetchall()]

    def clear(self, chosen: DeliveryFilter) -> int:
        """See ``clear_deliveries`` in the contract."""
        cleared = self._execute(CLEAR, _bindings(chosen)).fetchall()
        self._finished -= sum(status not in _UNFINISHED for _, status in cleared)
        self._drop_publications({publication_id for publication_id, _ in cleared})
        return len(cleared)

    def _drop_publications(self, publication_ids: set[int]) -> None:
        """Remove publications whose last delivery may have gone, unless something needs them."""
        if publication_ids:
            self._execute(DROP_PUBLICATIONS, (dumps(sorted(publication_ids)),))

    # --- archives -------------------------------------------------------------------------------

    def _note_disorder(self, topic_id: int, publication: Publication) -> None:
        [(disorder_ms,)] = self._execute(
            DISORDER,
            {
                "topic_id": topic_id,
                "published_at_ms": publication.published_at_ms,
                "sequence": publication.sequence,
            },
        ).fetchall()
        self._execute(NOTE_DISORDER, (topic_id, disorder_ms))

    def _disorder_ms(self, topic_id: int) -> int | None:
        """What was noted of the archive of a topic; None if there is no archive."""
        found = self._execute(DISORDER_NOTED, (topic_id,)).fetchall()
        return found[0][0] if found else None

    def read_archive(
        self, topic_id: int, after_sequence: int, from_ms: int, until_ms: int | None, limit: int
    ) -> list[Publication]:
        """See the contract."""
        disorder_ms = self._disorder_ms(topic_id)
        if disorder_ms is None:
            return []
        found = self._execute(
            READ_ARCHIVE,
            {
                "topic_id": topic_id,
                "after_sequence": after_sequence,
                "from_ms": from_ms,
                "until_ms": NEVER if until_ms is None else until_ms,
                "disorder_ms": disorder_ms,
                "limit": limit,
            },
        )
        return [_publication(row) for row in found.fetchall()]

    def is_archived_after(self, topic_id: int, sequence: int) -> bool:
        """Whether the archive of a topic has a publication of a higher sequence."""
        return self._disorder_ms(topic_id) is not None and bool(
            self._execute(ARCHIVED_AFTER, (topic_id, sequence)).fetchall()
        )

    def archive_begins_at_ms(self, topic_id: int) -> int | None:
        """See the contract."""
        if self._disorder_ms(topic_id) is None:
            return None
        found = self._execute(ARCHIVE_BEGINS, (topic_id,)).fetchall()
        return found[0][0] if found else None

    def trim_archive(self, topic_id: int, before_ms: int, limit: int) -> int:
        """See the contract."""
        return 0 if self._disorder_ms(topic_id) is None else self._trim(topic_id, before_ms, limit)

    def _trim(self, topic_id: int, before_ms: int, limit: int) -> int:
        found = self._execute(OLDEST_ARCHIVED, (topic_id, before_ms, limit)).fetchall()
        if found:
            publication_ids = dumps([publication_id for (publication_id,) in found])
            self._execute(DROP_ARCHIVED, (publication_ids,))
            self._execute(LEAVE_ARCHIVE, (publication_ids,))
        return len(found)

    def discard_archive(self, topic_id: int) -> None:
        """Leave the archive of a topic that is gone to ``sweep``."""
        self._execute(DISCARD, (topic_id,))
        self._execute(FORGET_DISORDER, (topic_id,))

    # --- upkeep ---------------------------------------------------------------------------------

    def sweep(self, now_ms: int, limit: int) -> int:
        """Remove some of what nobody can see any more; when there is more to do, or ``NEVER``."""
        surplus = self._finished - FINISHED_DELIVERIES_KEPT
        if surplus > 0:
            trimmed = self._execute(TRIM_FINISHED, (min(surplus, limit),)).fetchall()
            self._finished -= len(trimmed)
            self._drop_publications({publication_id for (publication_id,) in trimmed})
        for (topic_id,) in self._execute(DISCARDED).fetchall():
            if not self._trim(topic_id, NEVER, limit):
                self._execute(DISCARDED_IS_EMPTY, (topic_id,))
            return now_ms
        return now_ms if surplus > limit else NEVER


def _bindings(chosen: DeliveryFilter) -> dict[str, str | None]:
    """A filter's values by the names in ``FITS``."""
    return {
        **chosen._asdict(),
        "protocols": None if chosen.protocols is None else dumps(chosen.protocols),
        "statuses": None
        if chosen.statuses is None
        else dumps([status.value for status in chosen.statuses]),
    }


def _publication(row: Row) -> Publication:
    return Publication._make((*row[:5], bool(row[5]), decode_attributes(row[6]), *row[7:]))


def _delivery(row: Row) -> Delivery:
    status, kind = _STATUSES[row[18]], _KINDS[row[21]]
    details = NewDelivery._make((*row[13:18], status, *row[19:21], kind, *row[22:]))
    return Delivery(row[0], _publication(row[1:13]), details)
