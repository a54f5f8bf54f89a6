"""The part of the storage contract about topics, subscriptions and deliveries.

The rules of ``storage.contract`` hold here too.  Topics, subscriptions and documents may be held
in memory as a whole; deliveries, publications and archives may not.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

from storage.records import NewMessage
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

#: of all finished deliveries at least this many, the latest, are kept
FINISHED_DELIVERIES_KEPT = 10_000


class TopicStorage(Protocol):
    """What the broker asks of a store for topics."""

    async def get_secret(self, name: str) -> bytes | None:
        """The secret of that name, if ``keep_secret`` has kept one."""

    async def next_sequence(self) -> int:
        """A new sequence, above all that were given out so far; it may stay unused."""

    # --- documents ------------------------------------------------------------------------------

    async def get_document(self, key: DocumentKey) -> str | None:
        """The document of that key."""

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
        """Up to ``limit`` (name, value) in order of name (by code point).

        Only those whose name starts with ``prefix`` and sorts after ``after``.
        """

    async def change_documents(self, changes: Sequence[DocumentChange]) -> bool:
        """Make all of the changes if every document is as expected; else none, and False."""

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
        """The topic of that key, and whether this call created it; an existing one is unchanged."""

    async def get_topic(self, key: TopicKey) -> TopicRecord | None:
        """The topic of that key."""

    async def list_topics(
        self, account: str, region: str, *, after: str = "", limit: int
    ) -> list[TopicRecord]:
        """Up to ``limit`` topics whose name sorts after ``after``, in order of name."""

    async def count_topics(self, account: str, region: str, *, fifo: bool) -> int:
        """How many FIFO topics, or others, an account has in a region."""

    async def archiving_topics(self) -> list[TopicRecord]:
        """All topics with the attribute ``ArchivePolicy``."""

    async def replace_topic(self, old: TopicRecord, new: TopicRecord) -> TopicRecord | None:
        """Store ``new`` if the topic still equals ``old``; None, and no change, if it does not.

        Only ``attributes``, ``tags`` and ``data_protection_policy`` may differ.  The answer has
        the new revision.
        """

    async def delete_topic(self, topic_id: int, *, now_ms: int, expires_at_ms: int) -> None:
        """Remove the topic with its archive and deduplication history, if it is there.

        Its live subscriptions stay readable: they get ``ended_at_ms = now_ms`` and that
        ``expires_at_ms``.  Deliveries that are unfinished go on.
        """

    # --- subscriptions --------------------------------------------------------------------------

    async def add_subscription(self, new: SubscriptionRecord) -> tuple[SubscriptionRecord, bool]:
        """The live subscription of that topic, protocol and endpoint; whether it is this new one.

        An existing one is unchanged.  Raises ``UnknownTopic`` if the topic is gone.
        """

    async def get_subscription(self, subscription_id: str) -> SubscriptionRecord | None:
        """The subscription of that id, live or not."""

    async def topic_subscriptions(self, topic_id: int) -> list[SubscriptionRecord]:
        """All live subscriptions of a topic, in order of ``subscription_id``."""

    async def list_subscriptions(
        self, account: str, region: str, *, after: str = "", limit: int
    ) -> list[SubscriptionRecord]:
        """Up to ``limit`` live subscriptions owned by an account, to topics of that region.

        Those whose ``subscription_id`` sorts after ``after``, in that order.
        """

    async def replaying_subscriptions(self) -> list[SubscriptionRecord]:
        """All live subscriptions with a replay that is PENDING or IN_PROGRESS."""

    async def replace_subscription(self, old: SubscriptionRecord, new: SubscriptionRecord) -> bool:
        """Store ``new`` if the subscription still equals ``old``; False, and no change, if not.

        Id, topic, protocol and endpoint may not differ.  False also if ``new`` is live and the
        topic is gone, or another live one has its protocol and endpoint.  The topic gets a new
        revision; if ``new`` is DELETED and ``old`` was not, it counts one more deleted.
        """

    # --- publishing -----------------------------------------------------------------------------

    async def publish(
        self,
        topic: TopicRecord | None,
        publishings: Sequence[Publishing],
        *,
        now_ms: int,
        deduplication_window_ms: int,
    ) -> list[Published] | None:
        """Accept publications, in order: all of them, or none if it raises.

        In one step: the copies are added to their queues exactly as ``add_messages`` adds them,
        the deliveries (with the publication) are remembered, archived ones are kept for
        ``read_archive``.

        ``topic`` (None: published directly): if the topic no longer has that record's revision,
        or is gone, nothing happens and the answer is None: what was to come of it has changed.
        Raises ``UnknownQueue`` if a queue is gone.

        A publication whose ``deduplication_key`` was accepted by this topic less than
        ``deduplication_window_ms`` ago is passed over as a whole: the answer names the one
        accepted then.  That holds within one call too.
        """

    # --- deliveries -----------------------------------------------------------------------------

    async def pending_lanes(self) -> list[tuple[Lane, int]]:
        """All lanes with PENDING deliveries, each with the earliest ``due_at_ms`` in it."""

    async def due_deliveries(self, lane: Lane, *, now_ms: int, limit: int) -> list[Delivery]:
        """Up to ``limit`` PENDING deliveries of a lane that are due, in order of (due, id)."""

    async def lane_due_ms(self, lane: Lane, *, after_ms: int) -> int | None:
        """The earliest ``due_at_ms`` of a PENDING delivery of a lane that is later than that."""

    async def settle_delivery(
        self,
        delivery_id: int,
        details: NewDelivery,
        *,
        dead_letter: tuple[int, NewMessage] | None = None,
        now_ms: int,
        deduplication_window_ms: int = 0,
    ) -> bool:
        """Store what became of an attempt; False, and no change, if the delivery is not there.

        Status, due time, attempts and what they brought may differ from before; a finished one
        has ``finished_at_ms``.  ``dead_letter`` is added to the queue of that id in the same step,
        as ``add_messages`` does.  Raises ``UnknownQueue`` if that queue is gone.
        """

    async def resume_deliveries(self, protocols: Sequence[str], *, now_ms: int) -> int:
        """Make the WAITING deliveries of these protocols PENDING and due; how many there were."""

    async def list_deliveries(
        self, chosen: DeliveryFilter, *, after_id: int = 0, newest_first: bool = False, limit: int
    ) -> list[Delivery]:
        """Up to ``limit`` deliveries that fit ``chosen``, in order of id.

        ``after_id``: only those with a higher id; ``newest_first``: from the highest id down, and
        only those with an id below ``after_id`` if that is not 0.
        """

    async def clear_deliveries(self, chosen: DeliveryFilter) -> int:
        """Forget the deliveries that fit ``chosen``, unfinished ones too; how many there were."""

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
        """Up to ``limit`` archived publications in order of sequence.

        Those with a sequence above ``after_sequence``, published at or after ``from_ms`` and, if
        given, not after ``until_ms``.
        """

    async def archive_begins_at_ms(self, topic_id: int) -> int | None:
        """When the oldest archived publication of a topic was published."""

    async def trim_archive(self, topic_id: int, *, before_ms: int, limit: int) -> int:
        """Forget up to ``limit`` archived publications published before that; how many it were."""

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
        """``replace_subscription``, and add the copies as ``add_messages`` does, in one step.

        ``caught_up_with``: only if the topic's archive has no publication of a higher sequence;
        else False and no change.  Raises ``UnknownQueue`` if a queue is gone.
        """
