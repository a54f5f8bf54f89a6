"""The rules of the storage contract about topics and subscriptions, and about publishing.

Topics and subscriptions are kept in memory as a whole; their tables serve to make that anew.
Everything here that writes is synchronous and runs inside a transaction that ``GroupCommit``
opened.
"""

import dataclasses
from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Mapping, Sequence
from json import dumps, loads
from typing import Any, TypeVar

import apsw

from storage.errors import UnknownTopic
from storage.records import NewMessage
from storage.sqlite.content import NEVER
from storage.sqlite.messages import Messages
from storage.sqlite.outbox import Outbox
from storage.topic_records import (
    Published,
    Publishing,
    Replay,
    ReplayStatus,
    SubscriptionRecord,
    SubscriptionState,
    TopicKey,
    TopicRecord,
)

Row = tuple[Any, ...]
Key = TypeVar("Key")

LOAD_TOPICS = """
SELECT account, region, name, topic_id, revision, created_at_ms, attributes, tags,
    data_protection_policy, subscriptions_deleted
FROM topics ORDER BY account, region, name
"""
INSERT_TOPIC = """
INSERT INTO topics (account, region, name, topic_id, revision, created_at_ms, attributes, tags,
    data_protection_policy, subscriptions_deleted)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
UPDATE_TOPIC = """
UPDATE topics SET revision = ?, attributes = ?, tags = ?, data_protection_policy = ?
WHERE topic_id = ?
"""
REVISE_TOPIC = "UPDATE topics SET revision = ?, subscriptions_deleted = ? WHERE topic_id = ?"
DELETE_TOPIC = "DELETE FROM topics WHERE topic_id = ?"

LOAD_SUBSCRIPTIONS = """
SELECT subscription_id, account, region, topic_name, topic_id, owner, principal, protocol,
    endpoint, state, created_at_ms, attributes, confirmation_was_authenticated,
    authenticate_on_unsubscribe, token_issued_at_ms, queue_id, replay, ended_at_ms, expires_at_ms
FROM subscriptions ORDER BY subscription_id
"""
PUT_SUBSCRIPTION = """
INSERT OR REPLACE INTO subscriptions (subscription_id, account, region, topic_name, topic_id,
    owner, principal, protocol, endpoint, state, created_at_ms, attributes,
    confirmation_was_authenticated, authenticate_on_unsubscribe, token_issued_at_ms, queue_id,
    replay, ended_at_ms, expires_at_ms)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
END_SUBSCRIPTIONS = """
UPDATE subscriptions SET ended_at_ms = ?, expires_at_ms = ?
WHERE topic_id = ? AND ended_at_ms IS NULL
"""
EXPIRED_SUBSCRIPTIONS = """
SELECT subscription_id FROM subscriptions WHERE expires_at_ms <= ? ORDER BY expires_at_ms LIMIT ?
"""
NEXT_EXPIRY = """
SELECT expires_at_ms FROM subscriptions WHERE expires_at_ms IS NOT NULL
ORDER BY expires_at_ms LIMIT 1
"""
DELETE_SUBSCRIPTION = "DELETE FROM subscriptions WHERE subscription_id = ?"

DEDUPLICATION = """
SELECT message_id, sequence, expires_at_ms FROM topic_deduplications
WHERE topic_id = ? AND deduplication_key = ?
"""
REMEMBER = """
INSERT OR REPLACE INTO topic_deduplications
    (accepted, topic_id, deduplication_key, message_id, sequence, expires_at_ms)
VALUES (?, ?, ?, ?, ?, ?)
"""

_STATES = {state.value: state for state in SubscriptionState}


class Topics:
    """All topics of one database file, with their subscriptions."""

    def __init__(self, connection: apsw.Connection, messages: Messages) -> None:
        """``messages``: gives out the numbers, and takes the copies for queues."""
        self._execute: Callable[..., Any] = connection.cursor().execute
        self._messages = messages
        #: what is on its way, and the archives
        self.outbox = Outbox(connection, messages)
        self._topics: dict[int, TopicRecord] = {}
        self._ids: dict[TopicKey, int] = {}
        self._subscriptions: dict[str, SubscriptionRecord] = {}
        #: the live subscription of a topic, protocol and endpoint
        self._live: dict[tuple[int, str, str], str] = {}
        # In order: the names of an account's topics in a region; the ids of the live subscriptions
        # of a topic, and of those that an account owns in a region.
        self._names: dict[tuple[str, str], list[str]] = {}
        self._of_topic: dict[int, list[str]] = {}
        self._owned: dict[tuple[str, str], list[str]] = {}

    def load(self) -> None:
        """Read topics and subscriptions: at the start, and after a rollback."""
        for cache in (
            *(self._topics, self._ids, self._subscriptions, self._live),
            *(self._names, self._of_topic, self._owned),
        ):
            cache.clear()
        for row in self._execute(LOAD_TOPICS).fetchall():
            key = TopicKey(*row[:3])
            self._topics[row[3]] = TopicRecord(
                key=key,
                topic_id=row[3],
                revision=row[4],
                created_at_ms=row[5],
                attributes=loads(row[6]),
                tags=loads(row[7]),
                data_protection_policy=row[8],
                subscriptions_deleted=row[9],
            )
            self._ids[key] = row[3]
            self._names.setdefault(key[:2], []).append(key.name)
        for row in self._execute(LOAD_SUBSCRIPTIONS).fetchall():
            record = _subscription(row)
            self._subscriptions[record.subscription_id] = record
            if record.ended_at_ms is None:
                self._join(record)
        self.outbox.load()

    # --- topics ---------------------------------------------------------------------------------

    def create_topic(
        self,
        key: TopicKey,
        attributes: Mapping[str, str],
        tags: Mapping[str, str],
        data_protection_policy: str | None,
        now_ms: int,
    ) -> tuple[TopicRecord, bool]:
        """See the contract."""
        existing = self.get_topic(key)
        if existing is not None:
            return existing, False
        record = TopicRecord(
            key=key,
            topic_id=self._messages.next_number(),
            revision=self._messages.next_number(),
            created_at_ms=now_ms,
            attributes=dict(attributes),
            tags=dict(tags),
            data_protection_policy=data_protection_policy,
        )
        self._execute(
            INSERT_TOPIC,
            (
                *key,
                record.topic_id,
                record.revision,
                now_ms,
                dumps(record.attributes),
                dumps(record.tags),
                data_protection_policy,
                record.subscriptions_deleted,
            ),
        )
        self._topics[record.topic_id] = record
        self._ids[key] = record.topic_id
        insort(self._names.setdefault((key.account, key.region), []), key.name)
        return record, True

    def get_topic(self, key: TopicKey) -> TopicRecord | None:
        """See the contract."""
        topic_id = self._ids.get(key)
        return None if topic_id is None else self._topics[topic_id]

    def list_topics(self, account: str, region: str, after: str, limit: int) -> list[TopicRecord]:
        """See the contract."""
        return [
            self._topics[self._ids[TopicKey(account, region, name)]]
            for name in _page(self._names.get((account, region), []), after, limit)
        ]

    def count_topics(self, account: str, region: str, fifo: bool) -> int:
        """See the contract."""
        names = self._names.get((account, region), [])
        return sum(name.endswith(".fifo") == fifo for name in names)

    def all(self) -> list[TopicRecord]:
        """All topics."""
        return list(self._topics.values())

    def archiving_topics(self) -> list[TopicRecord]:
        """See the contract."""
        return [each for each in self._topics.values() if "ArchivePolicy" in each.attributes]

    def replace_topic(self, old: TopicRecord, new: TopicRecord) -> TopicRecord | None:
        """See the contract."""
        if self._topics.get(old.topic_id) != old:
            return None
        record = dataclasses.replace(
            old,
            revision=self._messages.next_number(),
            attributes=dict(new.attributes),
            tags=dict(new.tags),
            data_protection_policy=new.data_protection_policy,
        )
        self._execute(
            UPDATE_TOPIC,
            (
                record.revision,
                dumps(record.attributes),
                dumps(record.tags),
                record.data_protection_policy,
                record.topic_id,
            ),
        )
        self._topics[record.topic_id] = record
        return record

    def delete_topic(self, topic_id: int, now_ms: int, expires_at_ms: int) -> None:
        """See the contract.  What deduplication knew of it goes as its windows close."""
        record = self._topics.get(topic_id)
        if record is None:
            return
        self._execute(END_SUBSCRIPTIONS, (now_ms, expires_at_ms, topic_id))
        self._execute(DELETE_TOPIC, (topic_id,))
        self.outbox.discard_archive(topic_id)
        for subscription in self.topic_subscriptions(topic_id):
            self._leave(subscription)
            self._subscriptions[subscription.subscription_id] = dataclasses.replace(
                subscription, ended_at_ms=now_ms, expires_at_ms=expires_at_ms
            )
        del self._topics[topic_id], self._ids[record.key]
        _drop(self._names, record.key[:2], record.key.name)

    def _revise(self, topic_id: int, *, deleted: bool = False) -> None:
        """One of the topic's subscriptions has changed; ``deleted``: into one that is deleted."""
        record = self._topics.get(topic_id)
        if record is None:
            return
        record = self._topics[topic_id] = dataclasses.replace(
            record,
            revision=self._messages.next_number(),
            subscriptions_deleted=record.subscriptions_deleted + deleted,
        )
        self._execute(REVISE_TOPIC, (record.revision, record.subscriptions_deleted, topic_id))

    # --- subscriptions --------------------------------------------------------------------------

    def add_subscription(self, new: SubscriptionRecord) -> tuple[SubscriptionRecord, bool]:
        """See the contract."""
        if new.topic_id not in self._topics:
            raise UnknownTopic(str(new.topic_id))
        existing = self._live.get((new.topic_id, new.protocol, new.endpoint))
        if existing is not None:
            return self._subscriptions[existing], False
        self._put(new)
        self._join(new)
        self._revise(new.topic_id)
        return new, True

    def get_subscription(self, subscription_id: str) -> SubscriptionRecord | None:
        """See the contract."""
        return self._subscriptions.get(subscription_id)

    def topic_subscriptions(self, topic_id: int) -> list[SubscriptionRecord]:
        """See the contract."""
        return [self._subscriptions[each] for each in self._of_topic.get(topic_id, [])]

    def list_subscriptions(
        self, account: str, region: str, after: str, limit: int
    ) -> list[SubscriptionRecord]:
        """See the contract."""
        owned = self._owned.get((account, region), [])
        return [self._subscriptions[each] for each in _page(owned, after, limit)]

    def replaying_subscriptions(self) -> list[SubscriptionRecord]:
        """See the contract."""
        return [each for each in self._subscriptions.values() if each.is_replayed_to]

    def replace_subscription(self, old: SubscriptionRecord, new: SubscriptionRecord) -> bool:
        """See the contract."""
        if not self._may_replace(old, new):
            return False
        self._replace(old, new)
        return True

    def _may_replace(self, old: SubscriptionRecord, new: SubscriptionRecord) -> bool:
        if self._subscriptions.get(old.subscription_id) != old:
            return False
        if new.ended_at_ms is not None:
            return True
        live = self._live.get((new.topic_id, new.protocol, new.endpoint), new.subscription_id)
        return new.topic_id in self._topics and live == new.subscription_id

    def _replace(self, old: SubscriptionRecord, new: SubscriptionRecord) -> None:
        if old.ended_at_ms is None:
            self._leave(old)
        self._put(new)
        if new.ended_at_ms is None:
            self._join(new)
        deleted = SubscriptionState.DELETED
        self._revise(new.topic_id, deleted=new.state is deleted and old.state is not deleted)

    def _put(self, record: SubscriptionRecord) -> None:
        """Keep a record, new or in place of what it was."""
        self._subscriptions[record.subscription_id] = record
        self._execute(
            PUT_SUBSCRIPTION,
            (
                record.subscription_id,
                *record.topic,
                record.topic_id,
                record.owner,
                record.principal,
                record.protocol,
                record.endpoint,
                record.state.value,
                record.created_at_ms,
                dumps(dict(record.attributes)),
                record.confirmation_was_authenticated,
                record.authenticate_on_unsubscribe,
                record.token_issued_at_ms,
                record.queue_id,
                _encode_replay(record.replay),
                record.ended_at_ms,
                record.expires_at_ms,
            ),
        )

    def _join(self, live: SubscriptionRecord) -> None:
        """Enter a subscription where live ones are looked for."""
        subscription_id = live.subscription_id
        self._live[live.topic_id, live.protocol, live.endpoint] = subscription_id
        insort(self._of_topic.setdefault(live.topic_id, []), subscription_id)
        insort(self._owned.setdefault((live.owner, live.topic.region), []), subscription_id)

    def _leave(self, live: SubscriptionRecord) -> None:
        """Undo ``_join``."""
        subscription_id = live.subscription_id
        del self._live[live.topic_id, live.protocol, live.endpoint]
        _drop(self._of_topic, live.topic_id, subscription_id)
        _drop(self._owned, (live.owner, live.topic.region), subscription_id)

    # --- publishing -----------------------------------------------------------------------------

    def publish(
        self,
        topic: TopicRecord | None,
        publishings: Sequence[Publishing],
        now_ms: int,
        window_ms: int,
    ) -> list[Published] | None:
        """See the contract."""
        topic_id = None
        if topic is not None:
            topic_id = topic.topic_id
            known = self._topics.get(topic_id)
            if known is None or known.revision != topic.revision:
                return None
        for publishing in publishings:
            self._check_queues(publishing.copies)
        answers = []
        for publishing in publishings:
            answer = self._accept(topic_id, publishing, now_ms, window_ms)
            answers.append(answer)
            if answer.duplicate:
                continue
            self._messages.add(publishing.copies, now_ms, window_ms)
            archived = publishing.archived and answer.sequence is not None
            self.outbox.add(
                publishing.publication,
                publishing.deliveries,
                archived_topic_id=topic_id if archived else None,
            )
        return answers

    def _check_queues(self, copies: Sequence[tuple[int, NewMessage]]) -> None:
        """Raise ``UnknownQueue`` while nothing has been changed."""
        for queue_id, _ in copies:
            self._messages.content(queue_id)

    def _accept(
        self, topic_id: int | None, publishing: Publishing, now_ms: int, window_ms: int
    ) -> Published:
        """What a publication is: new, which is remembered, or a duplicate."""
        publication, key = publishing.publication, publishing.deduplication_key
        if topic_id is not None and key is not None:
            found = self._execute(DEDUPLICATION, (topic_id, key)).fetchall()
            if found and found[0][2] > now_ms:
                return Published(found[0][0], found[0][1], duplicate=True)
            self._execute(
                REMEMBER,
                (
                    self._messages.next_number(),
                    topic_id,
                    key,
                    publication.message_id,
                    publication.sequence,
                    now_ms + window_ms,
                ),
            )
        return Published(publication.message_id, publication.sequence)

    def advance_replay(
        self,
        old: SubscriptionRecord,
        new: SubscriptionRecord,
        copies: Sequence[tuple[int, NewMessage]],
        caught_up_with: int | None,
        now_ms: int,
        window_ms: int,
    ) -> bool:
        """See the contract."""
        if not self._may_replace(old, new):
            return False
        if caught_up_with is not None and self.outbox.is_archived_after(
            old.topic_id, caught_up_with
        ):
            return False
        self._check_queues(copies)
        self._replace(old, new)
        self._messages.add(copies, now_ms, window_ms)
        return True

    # --- upkeep ---------------------------------------------------------------------------------

    def sweep(self, now_ms: int, limit: int) -> int:
        """See the contract; ``NEVER`` if nothing is known to fall due."""
        expired = self._execute(EXPIRED_SUBSCRIPTIONS, (now_ms, limit)).fetchall()
        for (subscription_id,) in expired:
            self._execute(DELETE_SUBSCRIPTION, (subscription_id,))
            record = self._subscriptions.pop(subscription_id)
            if record.ended_at_ms is None:
                self._leave(record)
                self._revise(record.topic_id)
        next_expiry = self._execute(NEXT_EXPIRY).fetchall()
        return min(next_expiry[0][0] if next_expiry else NEVER, self.outbox.sweep(now_ms, limit))


def _page(names: list[str], after: str, limit: int) -> list[str]:
    """Up to ``limit`` names above ``after``."""
    start = bisect_right(names, after)
    return names[start : start + limit]


def _drop(lists: dict[Key, list[str]], key: Key, name: str) -> None:
    """Take a name out of the ordered list of a key, and the list if it was the last."""
    names = lists[key]
    del names[bisect_left(names, name)]
    if not names:
        del lists[key]


def _subscription(row: Row) -> SubscriptionRecord:
    return SubscriptionRecord(
        subscription_id=row[0],
        topic=TopicKey(row[1], row[2], row[3]),
        topic_id=row[4],
        owner=row[5],
        principal=row[6],
        protocol=row[7],
        endpoint=row[8],
        state=_STATES[row[9]],
        created_at_ms=row[10],
        attributes=loads(row[11]),
        confirmation_was_authenticated=bool(row[12]),
        authenticate_on_unsubscribe=bool(row[13]),
        token_issued_at_ms=row[14],
        queue_id=row[15],
        replay=_decode_replay(row[16]),
        ended_at_ms=row[17],
        expires_at_ms=row[18],
    )


def _encode_replay(replay: Replay | None) -> str | None:
    if replay is None:
        return None
    return dumps([replay.status.value, replay.from_ms, replay.until_ms, replay.after_sequence])


def _decode_replay(text: str | None) -> Replay | None:
    if text is None:
        return None
    status, *rest = loads(text)
    return Replay(ReplayStatus(status), *rest)
