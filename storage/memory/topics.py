"""The memory store's half about topics, subscriptions, documents, deliveries and archives.

Deliveries are in ``_deliveries`` in order of id.  Beside that, each one that is not finished stands
where it will be looked for: PENDING ones in their lane's schedule, WAITING ones under their
protocol; the finished ones stand in order of finishing.  A publication has no place of its own: it
is there as long as a delivery or an archive refers to it.
"""

from bisect import bisect_left, bisect_right, insort
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from heapq import heapify, heappop, heappush
from itertools import count, islice, takewhile
from typing import Generic, TypeVar

from storage.errors import UnknownTopic
from storage.memory.contents import NEVER, SLACK
from storage.records import Added, NewMessage
from storage.topic_contract import FINISHED_DELIVERIES_KEPT
from storage.topic_records import (
    UNFINISHED,
    Delivery,
    DeliveryFilter,
    DeliveryStatus,
    DocumentChange,
    DocumentKey,
    Lane,
    NewDelivery,
    Publication,
    Published,
    Publishing,
    SubscriptionRecord,
    SubscriptionState,
    TopicKey,
    TopicRecord,
)

_Entry = TypeVar("_Entry", int, tuple[int, int])


class _Sorted(Generic[_Entry]):
    """Different entries in ascending order; cheap to add and to remove near either end."""

    __slots__ = ("entries", "start")

    def __init__(self) -> None:
        self.entries: list[_Entry] = []
        #: how many of them, in front, have been removed
        self.start = 0

    def __len__(self) -> int:
        return len(self.entries) - self.start

    def put(self, entry: _Entry) -> None:
        insort(self.entries, entry, lo=self.start)

    def remove(self, entry: _Entry) -> None:
        """Take out an entry that is there."""
        entries, start = self.entries, self.start
        position = bisect_left(entries, entry, lo=start)
        if position - start > len(entries) - position:
            del entries[position]
            return
        entries[start + 1 : position + 1] = entries[start:position]
        self.start += 1
        if self.start > len(self) + SLACK:
            del entries[: self.start]
            self.start = 0

    def copy(self) -> "_Sorted[_Entry]":
        copy: _Sorted[_Entry] = _Sorted()
        copy.entries = self.entries[self.start :]
        return copy

    def first(self) -> _Entry:
        """The lowest entry; there must be one."""
        return self.entries[self.start]

    def last(self) -> _Entry:
        """The highest entry; there must be one."""
        return self.entries[-1]

    def above(self, bound: _Entry) -> Iterator[_Entry]:
        """The entries higher than ``bound``, from the lowest on."""
        entries = self.entries
        for position in range(bisect_right(entries, bound, lo=self.start), len(entries)):
            yield entries[position]


class Archive:
    """The archived publications of a topic.

    They are numbered before they are published, so a higher sequence may arrive first.
    """

    __slots__ = ("by_time", "publications", "sequences")

    def __init__(self) -> None:
        self.publications: dict[int, Publication] = {}
        self.sequences: _Sorted[int] = _Sorted()
        #: (published at, sequence)
        self.by_time: _Sorted[tuple[int, int]] = _Sorted()

    def put(self, sequence: int, publication: Publication) -> None:
        self.publications[sequence] = publication
        self.sequences.put(sequence)
        self.by_time.put((publication.published_at_ms, sequence))

    def copy(self) -> "Archive":
        copy = Archive()
        copy.publications = self.publications.copy()
        copy.sequences, copy.by_time = self.sequences.copy(), self.by_time.copy()
        return copy

    def trim(self, before_ms: int, *, limit: int) -> int:
        """Forget up to ``limit`` that were published before that; how many it were."""
        trimmed = 0
        while trimmed < limit and self.publications:
            published_at_ms, sequence = self.by_time.first()
            if published_at_ms >= before_ms:
                break
            self.by_time.remove((published_at_ms, sequence))
            self.sequences.remove(sequence)
            del self.publications[sequence]
            trimmed += 1
        return trimmed


class _Topic:
    """A topic: its record and its live subscriptions."""

    __slots__ = ("by_endpoint", "record", "subscription_ids")

    def __init__(self, record: TopicRecord) -> None:
        self.record = record
        #: in order
        self.subscription_ids: list[str] = []
        self.by_endpoint: dict[Lane, str] = {}


class MemoryTopics:
    """See ``storage.topic_contract.TopicStorage``; ``MemoryStorage`` adds the queues to it."""

    def __init__(self) -> None:
        self._next_number = count(1).__next__
        self._secrets: dict[str, bytes] = {}
        self._documents: dict[DocumentKey, str] = {}
        self._document_names: dict[tuple[str, str, str], list[str]] = {}
        self._topics: dict[int, _Topic] = {}
        self._topic_ids: dict[TopicKey, int] = {}
        self._topic_names: dict[tuple[str, str], list[str]] = {}
        self._subscriptions: dict[str, SubscriptionRecord] = {}
        #: the live ones' ids in order, by owner and region
        self._owned: dict[tuple[str, str], list[str]] = {}
        #: (expires at, subscription id); an entry counts if the subscription says the same moment
        self._expiring: list[tuple[int, str]] = []
        #: by topic and deduplication key: until when, and what a duplicate is answered
        self._accepted_publications: dict[tuple[int, str], tuple[int, Published]] = {}
        self._closing_windows: deque[tuple[int, tuple[int, str]]] = deque()
        self._deliveries: dict[int, Delivery] = {}
        self._lanes: dict[Lane, _Sorted[tuple[int, int]]] = {}
        self._waiting: dict[str, dict[int, None]] = {}
        self._finished: dict[int, None] = {}
        self._archives: dict[int, Archive] = {}
        #: what deleted topics left
        self._discarded_archives: deque[Archive] = deque()

    # What the half about queues does.

    def _check_queues(self, messages: Sequence[tuple[int, NewMessage]]) -> None:
        """Raise ``UnknownQueue`` unless all of these queues are there."""
        raise NotImplementedError

    def _add(
        self,
        messages: Sequence[tuple[int, NewMessage]],
        now_ms: int,
        deduplication_window_ms: int,
    ) -> list[Added]:
        """``add_messages``."""
        raise NotImplementedError

    async def get_secret(self, name: str) -> bytes | None:
        return self._secrets.get(name)

    async def next_sequence(self) -> int:
        return self._next_number()

    # --- documents ------------------------------------------------------------------------------

    async def get_document(self, key: DocumentKey) -> str | None:
        return self._documents.get(key)

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
        names = self._document_names.get((kind, account, region), [])
        return [
            (name, self._documents[DocumentKey(kind, account, region, name)])
            for name in page(names, prefix=prefix, after=after, limit=limit)
        ]

    async def change_documents(self, changes: Sequence[DocumentChange]) -> bool:
        if any(self._documents.get(change.key) != change.expected for change in changes):
            return False
        for key, _, value in changes:
            self._put_document(key, value)
        return True

    def _put_document(self, key: DocumentKey, value: str | None) -> None:
        """Keep a document, or (None) keep none."""
        names, name = self._document_names.setdefault(key[:3], []), key.name
        if value is not None:
            if key not in self._documents:
                insort(names, name)
            self._documents[key] = value
        elif self._documents.pop(key, None) is not None:
            drop(names, name)
        if not names:
            del self._document_names[key[:3]]

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
        existing = self._topic_ids.get(key)
        if existing is not None:
            return self._topics[existing].record, False
        record = TopicRecord(
            key=key,
            topic_id=self._next_number(),
            revision=self._next_number(),
            created_at_ms=now_ms,
            attributes=dict(attributes),
            tags=dict(tags),
            data_protection_policy=data_protection_policy,
        )
        self._put_topic(record)
        return record, True

    def _put_topic(self, record: TopicRecord) -> None:
        """Keep a topic that has no subscriptions yet."""
        key = record.key
        self._topics[record.topic_id] = _Topic(record)
        self._topic_ids[key] = record.topic_id
        insort(self._topic_names.setdefault((key.account, key.region), []), key.name)

    async def get_topic(self, key: TopicKey) -> TopicRecord | None:
        topic_id = self._topic_ids.get(key)
        return None if topic_id is None else self._topics[topic_id].record

    async def list_topics(
        self, account: str, region: str, *, after: str = "", limit: int
    ) -> list[TopicRecord]:
        names = self._topic_names.get((account, region), [])
        return [
            self._topics[self._topic_ids[TopicKey(account, region, name)]].record
            for name in page(names, after=after, limit=limit)
        ]

    async def count_topics(self, account: str, region: str, *, fifo: bool) -> int:
        names = self._topic_names.get((account, region), [])
        return sum(name.endswith(".fifo") == fifo for name in names)

    async def archiving_topics(self) -> list[TopicRecord]:
        records = (topic.record for topic in self._topics.values())
        return [record for record in records if "ArchivePolicy" in record.attributes]

    async def replace_topic(self, old: TopicRecord, new: TopicRecord) -> TopicRecord | None:
        topic = self._topics.get(old.topic_id)
        if topic is None or topic.record != old:
            return None
        topic.record = replace(
            old,
            revision=self._next_number(),
            attributes=dict(new.attributes),
            tags=dict(new.tags),
            data_protection_policy=new.data_protection_policy,
        )
        return topic.record

    async def delete_topic(self, topic_id: int, *, now_ms: int, expires_at_ms: int) -> None:
        topic = self._topics.get(topic_id)
        if topic is None:
            return
        for subscription_id in list(topic.subscription_ids):
            old = self._subscriptions[subscription_id]
            self._put_subscription(replace(old, ended_at_ms=now_ms, expires_at_ms=expires_at_ms))
        self._take_topic(topic.record)

    def _take_topic(self, record: TopicRecord) -> None:
        """Take out a topic, whose subscriptions are live no longer, with its archive."""
        key = record.key
        del self._topics[record.topic_id], self._topic_ids[key]
        names = self._topic_names[key.account, key.region]
        drop(names, key.name)
        if not names:
            del self._topic_names[key.account, key.region]
        archive = self._archives.pop(record.topic_id, None)
        if archive is not None:
            self._discarded_archives.append(archive)

    # --- subscriptions --------------------------------------------------------------------------

    async def add_subscription(self, new: SubscriptionRecord) -> tuple[SubscriptionRecord, bool]:
        topic = self._topics.get(new.topic_id)
        if topic is None:
            raise UnknownTopic(f"there is no topic {new.topic_id}")
        existing = topic.by_endpoint.get(Lane(new.protocol, new.endpoint))
        if existing is not None:
            return self._subscriptions[existing], False
        self._put_subscription(new)
        return new, True

    async def get_subscription(self, subscription_id: str) -> SubscriptionRecord | None:
        return self._subscriptions.get(subscription_id)

    async def topic_subscriptions(self, topic_id: int) -> list[SubscriptionRecord]:
        topic = self._topics.get(topic_id)
        if topic is None:
            return []
        return [self._subscriptions[each] for each in topic.subscription_ids]

    async def list_subscriptions(
        self, account: str, region: str, *, after: str = "", limit: int
    ) -> list[SubscriptionRecord]:
        owned = self._owned.get((account, region), [])
        return [self._subscriptions[each] for each in page(owned, after=after, limit=limit)]

    async def replaying_subscriptions(self) -> list[SubscriptionRecord]:
        return [each for each in self._subscriptions.values() if each.is_replayed_to]

    async def replace_subscription(self, old: SubscriptionRecord, new: SubscriptionRecord) -> bool:
        if not self._replaceable(old, new):
            return False
        self._put_subscription(new)
        return True

    def _replaceable(self, old: SubscriptionRecord, new: SubscriptionRecord) -> bool:
        """Whether ``replace_subscription`` may do it."""
        if self._subscriptions.get(old.subscription_id) != old:
            return False
        if new.ended_at_ms is not None:
            return True
        topic = self._topics.get(old.topic_id)
        if topic is None:
            return False
        live = topic.by_endpoint.get(Lane(new.protocol, new.endpoint))
        return live is None or live == new.subscription_id

    def _put_subscription(self, new: SubscriptionRecord) -> None:
        """Keep a subscription, new or in place of what it was."""
        old = self._subscriptions.get(new.subscription_id)
        if old is not None and old.ended_at_ms is None:
            self._leave(old)
        self._subscriptions[new.subscription_id] = new
        if new.ended_at_ms is None:
            self._join(new)
        if new.expires_at_ms is not None:
            self._expire_in_time(new.subscription_id, new.expires_at_ms)
        deleted = SubscriptionState.DELETED
        self._revise(
            new.topic_id,
            deleted=old is not None and old.state is not deleted and new.state is deleted,
        )

    def _revise(self, topic_id: int, *, deleted: bool = False) -> None:
        """A subscription of that topic has changed; ``deleted``: it has been deleted."""
        topic = self._topics.get(topic_id)
        if topic is not None:
            topic.record = replace(
                topic.record,
                revision=self._next_number(),
                subscriptions_deleted=topic.record.subscriptions_deleted + deleted,
            )

    def _join(self, live: SubscriptionRecord) -> None:
        topic = self._topics[live.topic_id]
        insort(topic.subscription_ids, live.subscription_id)
        topic.by_endpoint[Lane(live.protocol, live.endpoint)] = live.subscription_id
        owned = self._owned.setdefault((live.owner, live.topic.region), [])
        insort(owned, live.subscription_id)

    def _leave(self, live: SubscriptionRecord) -> None:
        topic = self._topics[live.topic_id]
        drop(topic.subscription_ids, live.subscription_id)
        del topic.by_endpoint[Lane(live.protocol, live.endpoint)]
        owned = self._owned[live.owner, live.topic.region]
        drop(owned, live.subscription_id)
        if not owned:
            del self._owned[live.owner, live.topic.region]

    def _expire_in_time(self, subscription_id: str, expires_at_ms: int) -> None:
        """See to it that the sweep removes the subscription."""
        heappush(self._expiring, (expires_at_ms, subscription_id))
        if len(self._expiring) > 2 * len(self._subscriptions) + SLACK:
            self._expiring = [
                (record.expires_at_ms, record.subscription_id)
                for record in self._subscriptions.values()
                if record.expires_at_ms is not None
            ]
            heapify(self._expiring)

    # --- publishing -----------------------------------------------------------------------------

    async def publish(
        self,
        topic: TopicRecord | None,
        publishings: Sequence[Publishing],
        *,
        now_ms: int,
        deduplication_window_ms: int,
    ) -> list[Published] | None:
        if topic is not None:
            present = self._topics.get(topic.topic_id)
            if present is None or present.record.revision != topic.revision:
                return None
        for publishing in publishings:
            self._check_queues(publishing.copies)
        topic_id = None if topic is None else topic.topic_id
        until_ms = now_ms + deduplication_window_ms
        results: list[Published] = []
        copies: list[tuple[int, NewMessage]] = []
        for publication, own_copies, deliveries, deduplication_key, archived in publishings:
            result = Published(publication.message_id, publication.sequence)
            if topic_id is not None and deduplication_key is not None:
                self._close_windows(now_ms, limit=2)
                key = topic_id, deduplication_key
                accepted = self._accepted_publications.get(key)
                if accepted is not None and now_ms < accepted[0]:
                    results.append(accepted[1])
                    continue
                self._accepted_publications[key] = until_ms, result._replace(duplicate=True)
                self._closing_windows.append((until_ms, key))
            results.append(result)
            copies += own_copies
            for details in deliveries:
                self._put_delivery(Delivery(self._next_number(), publication, details))
            if topic_id is not None and archived and publication.sequence is not None:
                archive = self._archives.setdefault(topic_id, Archive())
                archive.put(publication.sequence, publication)
        if copies:
            self._add(copies, now_ms, deduplication_window_ms)
        return results

    def _close_windows(self, now_ms: int, *, limit: int) -> int:
        """Forget up to ``limit`` deduplication keys whose window has passed."""
        closed = 0
        closing = self._closing_windows
        while closed < limit and closing and closing[0][0] <= now_ms:
            until_ms, key = closing.popleft()
            accepted = self._accepted_publications.get(key)
            if accepted is not None and accepted[0] == until_ms:
                del self._accepted_publications[key]
            closed += 1
        return closed

    # --- deliveries -----------------------------------------------------------------------------

    def _put_delivery(self, delivery: Delivery) -> None:
        """Keep a delivery, new or in place of one that was taken out of its orders."""
        delivery_id, _, details = delivery
        self._deliveries[delivery_id] = delivery
        if details.status not in UNFINISHED:
            self._finished[delivery_id] = None
        elif details.status is DeliveryStatus.WAITING:
            self._waiting.setdefault(details.protocol, {})[delivery_id] = None
        elif details.due_at_ms is not None:
            lane = Lane(details.protocol, details.endpoint)
            self._lanes.setdefault(lane, _Sorted()).put((details.due_at_ms, delivery_id))

    def _take_out(self, delivery: Delivery) -> None:
        """Take a delivery out of all orders but that of ids."""
        delivery_id, _, details = delivery
        if details.status not in UNFINISHED:
            del self._finished[delivery_id]
        elif details.status is DeliveryStatus.WAITING:
            waiting = self._waiting[details.protocol]
            del waiting[delivery_id]
            if not waiting:
                del self._waiting[details.protocol]
        elif details.due_at_ms is not None:
            lane = Lane(details.protocol, details.endpoint)
            schedule = self._lanes[lane]
            schedule.remove((details.due_at_ms, delivery_id))
            if not schedule:
                del self._lanes[lane]

    async def pending_lanes(self) -> list[tuple[Lane, int]]:
        return [(lane, schedule.first()[0]) for lane, schedule in self._lanes.items()]

    async def due_deliveries(self, lane: Lane, *, now_ms: int, limit: int) -> list[Delivery]:
        schedule = self._lanes.get(lane)
        if schedule is None:
            return []
        due = takewhile(lambda entry: entry[0] <= now_ms, schedule.above((-1, 0)))
        return [self._deliveries[delivery_id] for _, delivery_id in islice(due, limit)]

    async def lane_due_ms(self, lane: Lane, *, after_ms: int) -> int | None:
        schedule = self._lanes.get(lane)
        if schedule is None:
            return None
        for due_at_ms, _ in schedule.above((after_ms, NEVER)):
            return due_at_ms
        return None

    async def settle_delivery(
        self,
        delivery_id: int,
        details: NewDelivery,
        *,
        dead_letter: tuple[int, NewMessage] | None = None,
        now_ms: int,
        deduplication_window_ms: int = 0,
    ) -> bool:
        old = self._deliveries.get(delivery_id)
        if old is None:
            return False
        if dead_letter is not None:
            self._add([dead_letter], now_ms, deduplication_window_ms)
        self._take_out(old)
        self._put_delivery(old._replace(details=details))
        return True

    async def resume_deliveries(self, protocols: Sequence[str], *, now_ms: int) -> int:
        resumed = 0
        for protocol in protocols:
            for delivery_id in self._waiting.pop(protocol, {}):
                old = self._deliveries[delivery_id]
                details = old.details._replace(status=DeliveryStatus.PENDING, due_at_ms=now_ms)
                self._put_delivery(old._replace(details=details))
                resumed += 1
        return resumed

    async def list_deliveries(
        self, chosen: DeliveryFilter, *, after_id: int = 0, newest_first: bool = False, limit: int
    ) -> list[Delivery]:
        deliveries = self._deliveries
        if newest_first:
            fitting = (
                delivery
                for delivery_id, delivery in reversed(deliveries.items())
                if (not after_id or delivery_id < after_id) and fits(delivery, chosen)
            )
        else:
            fitting = (
                delivery
                for delivery_id, delivery in deliveries.items()
                if delivery_id > after_id and fits(delivery, chosen)
            )
        return list(islice(fitting, limit))

    async def clear_deliveries(self, chosen: DeliveryFilter) -> int:
        return self._clear_deliveries(chosen)

    def _clear_deliveries(self, chosen: DeliveryFilter) -> int:
        cleared = [each for each in self._deliveries.values() if fits(each, chosen)]
        for delivery in cleared:
            self._forget_delivery(delivery)
        return len(cleared)

    def _forget_delivery(self, delivery: Delivery) -> None:
        self._take_out(delivery)
        del self._deliveries[delivery.delivery_id]

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
        archive = self._archives.get(topic_id)
        if archive is None:
            return []
        last_ms = NEVER if until_ms is None else until_ms
        rest = map(archive.publications.__getitem__, archive.sequences.above(after_sequence))
        return list(islice((p for p in rest if from_ms <= p.published_at_ms <= last_ms), limit))

    async def archive_begins_at_ms(self, topic_id: int) -> int | None:
        archive = self._archives.get(topic_id)
        return None if archive is None else archive.by_time.first()[0]

    async def trim_archive(self, topic_id: int, *, before_ms: int, limit: int) -> int:
        archive = self._archives.get(topic_id)
        if archive is None:
            return 0
        trimmed = archive.trim(before_ms, limit=limit)
        if not archive.publications:
            del self._archives[topic_id]
        return trimmed

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
        if not self._replaceable(old, new):
            return False
        archive = self._archives.get(old.topic_id)
        if caught_up_with is not None and archive and archive.sequences.last() > caught_up_with:
            return False
        self._add(copies, now_ms, deduplication_window_ms)
        self._put_subscription(new)
        return True

    # --- upkeep ---------------------------------------------------------------------------------

    def _sweep_topics(self, now_ms: int, limit: int) -> int:
        """What ``sweep`` does about topics; ``NEVER`` if nothing is known to fall due."""
        self._close_windows(now_ms, limit=limit)
        self._remove_expired(now_ms, limit)
        excess = len(self._finished) - FINISHED_DELIVERIES_KEPT
        if excess > 0:
            for delivery_id in list(islice(self._finished, min(excess, limit))):
                self._forget_delivery(self._deliveries[delivery_id])
        if self._discarded_archives and not self._discarded_archives[0].trim(NEVER, limit=limit):
            self._discarded_archives.popleft()
        if self._discarded_archives or excess > limit:
            return now_ms
        return min(
            self._closing_windows[0][0] if self._closing_windows else NEVER,
            self._expiring[0][0] if self._expiring else NEVER,
        )

    def _remove_expired(self, now_ms: int, limit: int) -> None:
        """Remove up to ``limit`` subscriptions whose time has come."""
        removed = 0
        expiring = self._expiring
        while removed < limit and expiring and expiring[0][0] <= now_ms:
            expires_at_ms, subscription_id = heappop(expiring)
            record = self._subscriptions.get(subscription_id)
            if record is not None and record.expires_at_ms == expires_at_ms:
                del self._subscriptions[subscription_id]
                if record.ended_at_ms is None:
                    self._leave(record)
                    self._revise(record.topic_id)
                removed += 1


def page(names: list[str], *, prefix: str = "", after: str, limit: int) -> list[str]:
    """Up to ``limit`` of the sorted names: those with that prefix that sort after ``after``."""
    start = bisect_right(names, after) if after >= prefix else bisect_left(names, prefix)
    page = islice(range(start, len(names)), limit)
    return list(takewhile(lambda name: name.startswith(prefix), (names[each] for each in page)))


def drop(names: list[str], name: str) -> None:
    """Take a name out of sorted names."""
    del names[bisect_left(names, name)]


def fits(delivery: Delivery, chosen: DeliveryFilter) -> bool:
    """Whether the filter means this delivery."""
    publication, details = delivery.publication, delivery.details
    return (
        (chosen.account is None or details.account == chosen.account)
        and (chosen.region is None or details.region == chosen.region)
        and (chosen.protocols is None or details.protocol in chosen.protocols)
        and (chosen.statuses is None or details.status in chosen.statuses)
        and (chosen.endpoint is None or details.endpoint == chosen.endpoint)
        and (chosen.topic_arn is None or publication.topic_arn == chosen.topic_arn)
        and (chosen.subscription_id is None or details.subscription_id == chosen.subscription_id)
        and (chosen.message_id is None or publication.message_id == chosen.message_id)
    )
