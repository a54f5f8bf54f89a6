"""The part of the storage contract about topics, over SQLite."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import apsw

from storage.records import NewMessage
from storage.sqlite.documents import Documents
from storage.sqlite.group_commit import GroupCommit
from storage.sqlite.messages import Messages
from storage.sqlite.topics import Topics
from storage.topic_records import (
    Delivery,
    DeliveryFilter,
    DocumentChange,
    DocumentKey,
    Lane,
    NewDelivery,
    Publication,
    Published,
    Publishing,
    SubscriptionRecord,
    TopicKey,
    TopicRecord,
)

T = TypeVar("T")


class SQLiteTopicStorage:
    """See ``storage.topic_contract.TopicStorage``; ``SQLiteStorage`` is made on it."""

    _execute: Callable[..., Any]
    _messages: Messages
    _group_commit: GroupCommit

    def _start_topics(self, connection: apsw.Connection) -> None:
        self._documents = Documents(connection)
        self._topics = Topics(connection, self._messages)
        self._outbox = self._topics.outbox

    def _run(self, call: Callable[[], T]) -> "asyncio.Future[T]":
        """Have a call run in a transaction; the future ends after its commit."""
        return self._group_commit.submit(call)

    async def get_secret(self, name: str) -> bytes | None:
        """See the contract."""

        def look() -> bytes | None:
            found = self._execute("SELECT value FROM secrets WHERE name = ?", (name,)).fetchall()
            return bytes(found[0][0]) if found else None

        return await self._run(look)

    async def next_sequence(self) -> int:
        """See the contract."""
        return self._messages.next_number()

    # --- documents ------------------------------------------------------------------------------

    async def get_document(self, key: DocumentKey) -> str | None:
        """See the contract."""
        return await self._run(lambda: self._documents.get(key))

    async def list_documents(
        self,
        kind: str,
        account: str,
        region: str,
        *,
        prefix: str = "",
        after: str = "",
        limit: int,
    ) -> list[tuple[str, str]]:
        """See the contract."""
        return await self._run(
            lambda: self._documents.find(kind, account, region, prefix, after, limit)
        )

    async def change_documents(self, changes: Sequence[DocumentChange]) -> bool:
        """See the contract."""
        return await self._run(lambda: self._documents.change(changes))

    # --- topics ---------------------------------------------------------------------------------

    async def create_topic(
        self,
        key: TopicKey,
        attributes: Mapping[str, str],
        tags: Mapping[str, str],
        data_protection_policy: str | None,
        *,
        now_ms: int,
    ) -> tuple[TopicRecord, bool]:
        """See the contract."""
        return await self._run(
            lambda: self._topics.create_topic(key, attributes, tags, data_protection_policy, now_ms)
        )

    async def get_topic(self, key: TopicKey) -> TopicRecord | None:
        """See the contract."""
        return self._topics.get_topic(key)

    async def list_topics(
        self, account: str, region: str, *, after: str = "", limit: int
    ) -> list[TopicRecord]:
        """See the contract."""
        return self._topics.list_topics(account, region, after, limit)

    async def count_topics(self, account: str, region: str, *, fifo: bool) -> int:
        """See the contract."""
        return self._topics.count_topics(account, region, fifo)

    async def archiving_topics(self) -> list[TopicRecord]:
        """See the contract."""
        return self._topics.archiving_topics()

    async def replace_topic(self, old: TopicRecord, new: TopicRecord) -> TopicRecord | None:
        """See the contract."""
        return await self._run(lambda: self._topics.replace_topic(old, new))

    async def delete_topic(self, topic_id: int, *, now_ms: int, expires_at_ms: int) -> None:
        """See the contract."""
        await self._run(lambda: self._topics.delete_topic(topic_id, now_ms, expires_at_ms))

    # --- subscriptions --------------------------------------------------------------------------

    async def add_subscription(self, new: SubscriptionRecord) -> tuple[SubscriptionRecord, bool]:
        """See the contract."""
        return await self._run(lambda: self._topics.add_subscription(new))

    async def get_subscription(self, subscription_id: str) -> SubscriptionRecord | None:
        """See the contract."""
        return self._topics.get_subscription(subscription_id)

    async def topic_subscriptions(self, topic_id: int) -> list[SubscriptionRecord]:
        """See the contract."""
        return self._topics.topic_subscriptions(topic_id)

    async def list_subscriptions(
        self, account: str, region: str, *, after: str = "", limit: int
    ) -> list[SubscriptionRecord]:
        """See the contract."""
        return self._topics.list_subscriptions(account, region, after, limit)

    async def replaying_subscriptions(self) -> list[SubscriptionRecord]:
        """See the contract."""
        return self._topics.replaying_subscriptions()

    async def replace_subscription(self, old: SubscriptionRecord, new: SubscriptionRecord) -> bool:
        """See the contract."""
        return await self._run(lambda: self._topics.replace_subscription(old, new))

    # --- publishing -----------------------------------------------------------------------------

    async def publish(
        self,
        topic: TopicRecord | None,
        publishings: Sequence[Publishing],
        *,
        now_ms: int,
        deduplication_window_ms: int,
    ) -> list[Published] | None:
        """See the contract."""
        return await self._run(
            lambda: self._topics.publish(topic, publishings, now_ms, deduplication_window_ms)
        )

    # --- deliveries -----------------------------------------------------------------------------

    async def pending_lanes(self) -> list[tuple[Lane, int]]:
        """See the contract."""
        return await self._run(self._outbox.pending_lanes)

    async def due_deliveries(self, lane: Lane, *, now_ms: int, limit: int) -> list[Delivery]:
        """See the contract."""
        return await self._run(lambda: self._outbox.due(lane, now_ms, limit))

    async def lane_due_ms(self, lane: Lane, *, after_ms: int) -> int | None:
        """See the contract."""
        return await self._run(lambda: self._outbox.lane_due_ms(lane, after_ms))

    async def settle_delivery(
        self,
        delivery_id: int,
        details: NewDelivery,
        *,
        dead_letter: tuple[int, NewMessage] | None = None,
        now_ms: int,
        deduplication_window_ms: int = 0,
    ) -> bool:
        """See the contract."""
        return await self._run(
            lambda: self._outbox.settle(
                delivery_id, details, dead_letter, now_ms, deduplication_window_ms
            )
        )

    async def resume_deliveries(self, protocols: Sequence[str], *, now_ms: int) -> int:
        """See the contract."""
        return await self._run(lambda: self._outbox.resume(protocols, now_ms))

    async def list_deliveries(
        self, chosen: DeliveryFilter, *, after_id: int = 0, newest_first: bool = False, limit: int
    ) -> list[Delivery]:
        """See the contract."""
        return await self._run(
            lambda: self._outbox.list_deliveries(chosen, after_id, newest_first, limit)
        )

    async def clear_deliveries(self, chosen: DeliveryFilter) -> int:
        """See the contract."""
        return await self._run(lambda: self._outbox.clear(chosen))

    # --- archives -------------------------------------------------------------------------------

    async def read_archive(
        self,
        topic_id: int,
        *,
        after_sequence: int,
        from_ms: int,
        until_ms: int | None,
        limit: int,
    ) -> list[Publication]:
        """See the contract."""
        return await self._run(
            lambda: self._outbox.read_archive(topic_id, after_sequence, from_ms, until_ms, limit)
        )

    async def archive_begins_at_ms(self, topic_id: int) -> int | None:
        """See the contract."""
        return await self._run(lambda: self._outbox.archive_begins_at_ms(topic_id))

    async def trim_archive(self, topic_id: int, *, before_ms: int, limit: int) -> int:
        """See the contract."""
        return await self._run(lambda: self._outbox.trim_archive(topic_id, before_ms, limit))

    async def advance_replay(
        self,
        old: SubscriptionRecord,
        new: SubscriptionRecord,
        copies: Sequence[tuple[int, NewMessage]],
        *,
        caught_up_with: int | None = None,
        now_ms: int,
        deduplication_window_ms: int,
    ) -> bool:
        """See the contract."""
        return await self._run(
            lambda: self._topics.advance_replay(
                old, new, copies, caught_up_with, now_ms, deduplication_window_ms
            )
        )
