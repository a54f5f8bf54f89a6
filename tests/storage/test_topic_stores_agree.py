"""Random calls about topics, the same to every store: all give the answers of the reference.

Topic ids, revisions, sequences and delivery ids differ from store to store, so what one store gave
is only ever handed back to that store.  Answers are compared by what they mean: without these ids,
and with the rank of a sequence among those that were drawn in its place.
"""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from dataclasses import replace
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from storage.contract import Storage
from storage.errors import StorageError
from storage.memory import MemoryStorage
from storage.records import QueueKey, QueueSettings
from storage.topic_records import (
    UNFINISHED,
    Delivery,
    DeliveryFilter,
    DeliveryStatus,
    DocumentChange,
    Lane,
    NewDelivery,
    Publication,
    Published,
    Publishing,
    Replay,
    ReplayStatus,
    SubscriptionRecord,
    SubscriptionState,
    TopicKey,
    TopicRecord,
)
from tests.storage.builders import EPOCH_MS
from tests.storage.conftest import STORES
from tests.storage.topic_builders import (
    ACCOUNT,
    REGION,
    a_copy,
    a_delivery,
    a_key,
    a_publication,
    a_subscription,
    finished,
    waiting,
)

OTHERS = sorted(set(STORES) - {"memory"})

WINDOW_MS = 20_000
EXPIRY_MS = 10_000

QUEUES = ("standard", "fifo")
TOPICS = ("t1", "t2")
LANES = [Lane(protocol, endpoint) for protocol in ("http", "email") for endpoint in ("x", "y")]

topics = st.sampled_from(TOPICS)
queues = st.sampled_from(QUEUES)
lanes = st.sampled_from(LANES)
statuses = st.sampled_from(DeliveryStatus)
moments = st.sampled_from((0, 0, 1, 500, 1_000, 5_000, 30_000))
seldom = st.sampled_from((False, False, False, False, True))
mostly = st.sampled_from((True, True, True, True, False))
chosen_filters = st.sampled_from(
    (
        DeliveryFilter(protocols=("http",), statuses=UNFINISHED),
        DeliveryFilter(protocols=("email", "http"), endpoint="x"),
        DeliveryFilter(statuses=(DeliveryStatus.DELIVERED, DeliveryStatus.FAILED)),
        DeliveryFilter(topic_arn="arn:t1", subscription_id="s"),
        DeliveryFilter(topic_arn="arn:t2", endpoint="y"),
        DeliveryFilter(account=ACCOUNT, region=REGION, endpoint="y"),
        DeliveryFilter(message_id="id of m1"),
        DeliveryFilter(subscription_id="other"),
        DeliveryFilter(statuses=()),
        DeliveryFilter(),
    )
)

#: A publication: the queues that get a copy, its deliveries, its deduplication key, if archived.
Entry = tuple[list[str], list[tuple[Lane, DeliveryStatus, int]], str | None, bool]

entries_published: st.SearchStrategy[list[Entry]] = st.lists(
    st.tuples(
        st.lists(queues, max_size=2),
        st.lists(st.tuples(lanes, statuses, moments), max_size=3),
        st.sampled_from((None, None, "k", "l")),
        st.booleans(),
    ),
    min_size=1,
    max_size=3,
)

_Answer = TypeVar("_Answer")


class TopicStoresAgree(RuleBasedStateMachine):
    """The reference and another store, treated alike."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.folder = TemporaryDirectory()
        self.makers: list[Callable[[], Storage]] = [
            MemoryStorage,
            *((lambda name=name: STORES[name](Path(self.folder.name))) for name in OTHERS),
        ]
        self.stores = [make() for make in self.makers]
        self.now_ms = EPOCH_MS
        self.numbers = count(1)
        #: what each store gave for each topic, subscription and queue; some are gone by now
        self.topics: dict[str, list[TopicRecord]] = {}
        self.subscriptions: dict[str, list[SubscriptionRecord]] = {}
        self.queue_ids: dict[str, list[int]] = {}
        #: sequences drawn, as each store gave them
        self.drawn: list[list[int]] = []
        for store in self.stores:
            self.runner.run(store.open())

    @initialize()
    def start(self) -> None:
        """Two topics with a subscription each, and a queue of each kind."""
        self.create_missing()
        for name, lane in zip(TOPICS, LANES, strict=False):
            self.add_subscription(name, lane, SubscriptionState.CONFIRMED)

    @rule()
    def create_missing(self) -> None:
        """Topics and queues that were deleted are created again, as others."""
        for name in QUEUES:
            self.create_queue(name)
        for name in TOPICS:
            self.create_topic(name)

    @rule(what=st.sampled_from((*QUEUES, *TOPICS)))
    def destroy(self, what: str) -> None:
        if what in QUEUES:
            self.delete_queue(what)
        else:
            self.delete_topic(what)

    def teardown(self) -> None:
        try:
            if sys.exc_info()[0] is None:  # otherwise a step has failed, and that is the news
                self.look_at_everything()
                for name in QUEUES:
                    self.drain(name)
        finally:
            for store in self.stores:
                self.runner.run(store.close())
            self.runner.close()
            self.folder.cleanup()

    # Asking every store.

    def ask(self, call: Callable[[int, Storage], Awaitable[_Answer]]) -> list[_Answer]:
        """What each store answers; ``call`` gets its number and the store."""

        async def answer(number: int) -> _Answer:
            return await call(number, self.stores[number])

        return [self.runner.run(answer(number)) for number in range(len(self.stores))]

    def agree(self, call: Callable[[int, Storage], Awaitable[_Answer]]) -> _Answer:
        """The answer of every store, which must be the same."""
        answers = self.ask(call)
        assert all(answer == answers[0] for answer in answers), answers
        return answers[0]

    def attempt(
        self, call: Callable[[int, Storage], Awaitable[_Answer]]
    ) -> list[_Answer | type[StorageError]]:
        """What each store answers or refuses with."""

        async def answer(number: int, store: Storage) -> _Answer | type[StorageError]:
            try:
                return await call(number, store)
            except StorageError as error:
                return type(error)

        return self.ask(answer)

    def agree_or_refuse(
        self, call: Callable[[int, Storage], Awaitable[_Answer]]
    ) -> _Answer | type[StorageError]:
        """The answer of every store, or the error of every store."""
        answers = self.attempt(call)
        assert all(answer == answers[0] for answer in answers), answers
        return answers[0]

    # What an answer means, whichever store gave it.

    def sequence(self, number: int, sequence: int | None) -> int | None:
        """The same for all stores: which of the sequences drawn it is."""
        if sequence is None:
            return None
        return next(
            rank for rank, drawn in enumerate(self.drawn, start=1) if drawn[number] == sequence
        )

    def publication(self, number: int, publication: Publication) -> Publication:
        return publication._replace(sequence=self.sequence(number, publication.sequence))

    def delivery(self, number: int, delivery: Delivery) -> Delivery:
        return Delivery(0, self.publication(number, delivery.publication), delivery.details)

    def topic(self, topic: TopicRecord | None) -> TopicRecord | None:
        return None if topic is None else replace(topic, topic_id=0, revision=0)

    def subscription(self, number: int, record: SubscriptionRecord) -> SubscriptionRecord:
        replay = record.replay
        if replay is not None:
            rank = self.sequence(number, replay.after_sequence or None)
            replay = replace(replay, after_sequence=rank or 0)
        return replace(record, topic_id=0, replay=replay)

    # Queues, which copies go to.

    def create_queue(self, name: str) -> None:
        key = QueueKey(ACCOUNT, REGION, name)
        queue_settings = QueueSettings(fifo=name == "fifo")
        answers = self.ask(
            lambda _, store: store.create_queue(key, queue_settings, {}, now_ms=self.now_ms)
        )
        self.queue_ids[name] = [record.queue_id for record, _ in answers]

    def delete_queue(self, name: str) -> None:
        self.agree_or_refuse(
            lambda number, store: store.delete_queue(
                self.queue_ids[name][number], now_ms=self.now_ms
            )
        )

    # Documents.

    @rule(
        changes=st.lists(
            st.tuples(st.sampled_from("abc"), mostly, st.sampled_from((None, "", "1", "2"))),
            max_size=3,
            unique_by=lambda change: change[0],
        )
    )
    def change_documents(self, changes: list[tuple[str, bool, str | None]]) -> None:
        async def change(_: int, store: Storage) -> bool:
            return await store.change_documents(
                [
                    DocumentChange(
                        a_key(name), await store.get_document(a_key(name)) if right else "?", value
                    )
                    for name, right, value in changes
                ]
            )

        assert self.agree(change) == all(right for _, right, _ in changes)

    # Topics.

    def fetch_topic(self, name: str) -> None:
        """See what each store has of a topic; what it gave before is kept if it is gone."""
        key = TopicKey(ACCOUNT, REGION, name)
        found = self.ask(lambda _, store: store.get_topic(key))
        assert len({record is None for record in found}) == 1
        present = [record for record in found if record is not None]
        self.topics[name] = present or self.topics[name]

    def create_topic(self, name: str) -> None:
        key = TopicKey(ACCOUNT, REGION, name)
        answers = self.ask(
            lambda _, store: store.create_topic(key, {"a": "b"}, {}, None, now_ms=self.now_ms)
        )
        assert len({created for _, created in answers}) == 1
        self.topics[name] = [record for record, _ in answers]

    @rule(name=topics, value=st.sampled_from("bc"), current=mostly)
    def replace_topic(self, name: str, value: str, current: bool) -> None:
        if current:
            self.fetch_topic(name)

        async def change(number: int, store: Storage) -> TopicRecord | None:
            old = self.topics[name][number]
            new = replace(old, attributes={"a": value}, tags={"t": value})
            stored = await store.replace_topic(old, new)
            assert stored is None or stored.revision > old.revision
            return self.topic(stored)

        self.agree(change)

    def delete_topic(self, name: str) -> None:
        self.ask(
            lambda number, store: store.delete_topic(
                self.topics[name][number].topic_id,
                now_ms=self.now_ms,
                expires_at_ms=self.now_ms + EXPIRY_MS,
            )
        )

    # Subscriptions.

    @rule(
        name=topics,
        lane=lanes,
        state=st.sampled_from((SubscriptionState.PENDING, SubscriptionState.CONFIRMED)),
    )
    def add_subscription(self, name: str, lane: Lane, state: SubscriptionState) -> None:
        subscription_id = f"s{next(self.numbers)}"
        pending = state is SubscriptionState.PENDING

        async def add(number: int, store: Storage) -> tuple[SubscriptionRecord, bool]:
            return await store.add_subscription(
                a_subscription(
                    self.topics[name][number],
                    subscription_id,
                    protocol=lane.protocol,
                    endpoint=lane.endpoint,
                    state=state,
                    expires_at_ms=self.now_ms + EXPIRY_MS if pending else None,
                )
            )

        answers = self.attempt(add)
        given = [answer for answer in answers if isinstance(answer, tuple)]
        assert len(given) == len(answers) or len(set(map(str, answers))) == 1
        if not given:
            return
        means = [(self.subscription(n, record), new) for n, (record, new) in enumerate(given)]
        assert all(each == means[0] for each in means), means
        self.subscriptions[means[0][0].subscription_id] = [record for record, _ in given]

    def fetch_subscription(self, chosen: int) -> str | None:
        """One of the subscriptions there ever were, as each store has it now."""
        if not self.subscriptions:
            return None
        subscription_id = sorted(self.subscriptions)[chosen % len(self.subscriptions)]
        found = self.ask(lambda _, store: store.get_subscription(subscription_id))
        means = [None if r is None else self.subscription(n, r) for n, r in enumerate(found)]
        assert all(each == means[0] for each in means), means
        present = [record for record in found if record is not None]
        if present:
            self.subscriptions[subscription_id] = present
        return subscription_id

    @rule(
        chosen=st.integers(0, 20),
        change=st.sampled_from(("attributes", "confirm", "end", "end", "revive", "expire")),
        current=mostly,
    )
    def replace_subscription(self, chosen: int, change: str, current: bool) -> None:
        subscription_id = self.fetch_subscription(chosen)
        if subscription_id is None:
            return
        deleted = SubscriptionState.DELETED

        def changed(old: SubscriptionRecord) -> SubscriptionRecord:
            if change == "attributes":
                return replace(old, attributes={"a": str(self.now_ms)})
            if change == "expire":
                return replace(old, expires_at_ms=self.now_ms + EXPIRY_MS // 2)
            if change == "end":
                until_ms = self.now_ms + EXPIRY_MS
                return replace(old, state=deleted, ended_at_ms=self.now_ms, expires_at_ms=until_ms)
            confirmed = SubscriptionState.CONFIRMED
            if change == "confirm":
                expires_at_ms = None if old.ended_at_ms is None else old.expires_at_ms
                return replace(old, state=confirmed, expires_at_ms=expires_at_ms)
            return replace(old, state=confirmed, ended_at_ms=None, expires_at_ms=None)

        async def swap(number: int, store: Storage) -> bool:
            old = self.subscriptions[subscription_id][number]
            expected = old if current else replace(old, created_at_ms=0)
            return await store.replace_subscription(expected, changed(expected))

        done = self.agree(swap)
        assert current or not done

    # Publishing.

    @rule(
        name=st.sampled_from((*TOPICS, *TOPICS, None)),
        entries=entries_published,
        current=mostly,
    )
    def publish(
        self,
        name: str | None,
        entries: list[Entry],
        current: bool,
    ) -> None:
        if name is not None and current:
            self.fetch_topic(name)
        first = len(self.drawn)
        for _ in entries:
            self.drawn.append(self.ask(lambda _, store: store.next_sequence()))
        messages = [f"m{next(self.numbers)}" for _ in entries]

        def publishing(number: int, position: int) -> Publishing:
            names, deliveries, key, archived = entries[position]
            message = messages[position]
            return Publishing(
                a_publication(
                    message,
                    at=self.now_ms - EPOCH_MS,
                    topic_arn=None if name is None else f"arn:{name}",
                    sequence=None if name is None else self.drawn[first + position][number],
                ),
                [(self.queue_ids[each][number], a_copy(message)) for each in names],
                [self.details(*each) for each in deliveries],
                None if name is None else key,
                name is not None and archived,
            )

        async def accept(number: int, store: Storage) -> list[Published] | None:
            answer = await store.publish(
                None if name is None else self.topics[name][number],
                [publishing(number, position) for position in range(len(entries))],
                now_ms=self.now_ms,
                deduplication_window_ms=WINDOW_MS,
            )
            return answer and [
                each._replace(sequence=self.sequence(number, each.sequence)) for each in answer
            ]

        self.agree_or_refuse(accept)
        self.look_at_lanes()

    @rule(
        name=topics,
        lane=lanes,
        entries=entries_published,
        limit=st.integers(1, 5),
        status=statuses,
        later_ms=moments,
    )
    def subscribe_publish_and_attempt(
        self,
        name: str,
        lane: Lane,
        entries: list[Entry],
        limit: int,
        status: DeliveryStatus,
        later_ms: int,
    ) -> None:
        """The usual traffic, so that every run has some."""
        self.add_subscription(name, lane, SubscriptionState.CONFIRMED)
        self.publish(name, entries, True)
        self.attempt_what_is_due(lane, limit, status, later_ms)

    def details(self, lane: Lane, status: DeliveryStatus, later_ms: int) -> NewDelivery:
        """A delivery in some state."""
        at = self.now_ms - EPOCH_MS
        details = a_delivery(
            lane.endpoint, protocol=lane.protocol, at=at, due=at + later_ms, subscription_id="s"
        )
        if status is DeliveryStatus.PENDING:
            return details
        if status is DeliveryStatus.WAITING:
            return waiting(details)
        return finished(details, at=at, status=status)

    # Deliveries.

    @rule(lane=lanes, limit=st.integers(1, 5), status=statuses, later_ms=moments)
    def attempt_what_is_due(
        self, lane: Lane, limit: int, status: DeliveryStatus, later_ms: int
    ) -> None:
        """Settle each that is due in its order, all in one way."""
        for deliveries in zip(*self.due_deliveries(lane, limit=limit), strict=True):
            self.settle(list(deliveries), status, later_ms, None)
        self.look_at_lanes()

    @rule(
        chosen=st.integers(0, 20),
        status=statuses,
        later_ms=moments,
        letter=st.sampled_from((None, None, *QUEUES)),
    )
    def settle_any(
        self, chosen: int, status: DeliveryStatus, later_ms: int, letter: str | None
    ) -> None:
        found = self.ask(lambda _, store: store.list_deliveries(DeliveryFilter(), limit=1_000))
        deliveries = list(zip(*found, strict=True))
        if deliveries:
            self.settle(list(deliveries[chosen % len(deliveries)]), status, later_ms, letter)
            self.look_at_lanes()

    def settle(
        self,
        deliveries: list[Delivery],
        status: DeliveryStatus,
        later_ms: int,
        letter: str | None,
    ) -> None:
        """Settle what is the same delivery in each store."""
        old = self.same_deliveries([[delivery] for delivery in deliveries])[0].details
        lane = Lane(old.protocol, old.endpoint)
        details = self.details(lane, status, later_ms)._replace(
            created_at_ms=old.created_at_ms, attempts=old.attempts + 1
        )
        message = a_copy(deliveries[0].publication.message)
        self.agree_or_refuse(
            lambda number, store: store.settle_delivery(
                deliveries[number].delivery_id,
                details,
                dead_letter=None if letter is None else (self.queue_ids[letter][number], message),
                now_ms=self.now_ms,
                deduplication_window_ms=WINDOW_MS,
            )
        )

    def same_deliveries(self, answers: list[list[Delivery]]) -> list[Delivery]:
        """What every store answered, which must mean the same."""
        means = [
            [self.delivery(number, delivery) for delivery in answer]
            for number, answer in enumerate(answers)
        ]
        assert all(each == means[0] for each in means), means
        return means[0]

    @rule(protocols=st.lists(st.sampled_from(("http", "email")), max_size=2, unique=True))
    def resume(self, protocols: list[str]) -> None:
        self.agree(lambda _, store: store.resume_deliveries(protocols, now_ms=self.now_ms))
        self.look_at_lanes()

    @rule(
        chosen=chosen_filters,
        newest_first=st.booleans(),
        limit=st.integers(1, 5),
        after=st.integers(0, 20),
    )
    def list_deliveries(
        self, chosen: DeliveryFilter, newest_first: bool, limit: int, after: int
    ) -> None:
        found = self.ask(lambda _, store: store.list_deliveries(DeliveryFilter(), limit=1_000))
        ids = [[0, *(delivery.delivery_id for delivery in answer)] for answer in found]
        self.same_deliveries(
            self.ask(
                lambda number, store: store.list_deliveries(
                    chosen,
                    after_id=ids[number][after % len(ids[number])],
                    newest_first=newest_first,
                    limit=limit,
                )
            )
        )

    @rule(chosen=chosen_filters)
    def clear(self, chosen: DeliveryFilter) -> None:
        self.agree(lambda _, store: store.clear_deliveries(chosen))
        self.look_at_lanes()

    # Archives.

    @rule(name=topics, ago_ms=st.sampled_from((0, 1, 1_000)), limit=st.integers(1, 3))
    def trim_archive(self, name: str, ago_ms: int, limit: int) -> None:
        self.agree(
            lambda number, store: store.trim_archive(
                self.topics[name][number].topic_id, before_ms=self.now_ms + 1 - ago_ms, limit=limit
            )
        )

    @rule(
        chosen=st.integers(0, 20),
        page=st.integers(1, 4),
        names=st.lists(queues, max_size=2),
        caught_up=st.booleans(),
    )
    def replay(self, chosen: int, page: int, names: list[str], caught_up: bool) -> None:
        """Replay a page of the archive, as far as it goes, to some queues."""
        subscription_id = self.fetch_subscription(chosen)
        if subscription_id is None:
            return
        status = ReplayStatus.COMPLETED if caught_up else ReplayStatus.IN_PROGRESS

        async def advance(number: int, store: Storage) -> bool:
            old = self.subscriptions[subscription_id][number]
            begun = old.replay or Replay(ReplayStatus.PENDING, EPOCH_MS, None)
            found = await store.read_archive(
                old.topic_id,
                after_sequence=begun.after_sequence,
                from_ms=begun.from_ms,
                until_ms=None,
                limit=page,
            )
            sequence = found[-1].sequence if found else None
            until = begun.after_sequence if sequence is None else sequence
            return await store.advance_replay(
                old,
                replace(old, replay=replace(begun, status=status, after_sequence=until)),
                [
                    (self.queue_ids[name][number], a_copy(publication.message))
                    for publication in found
                    for name in names
                ],
                caught_up_with=until if caught_up else None,
                now_ms=self.now_ms,
                deduplication_window_ms=WINDOW_MS,
            )

        self.agree_or_refuse(advance)

    # Time.

    @rule(by_ms=st.sampled_from((1, 500, 1_000, 5_000, 10_000, 20_000)))
    def advance(self, by_ms: int) -> None:
        """Time passes, and a subscription that may be removed from now on is removed."""
        self.now_ms += by_ms
        for chosen in range(len(self.subscriptions)):
            self.fetch_subscription(chosen)
        for records in self.subscriptions.values():
            expires_at_ms = records[0].expires_at_ms
            if expires_at_ms is not None and expires_at_ms <= self.now_ms:
                self.sweep()
                break

    @rule()
    def sweep(self) -> None:
        """Until nothing is left, so that what has expired is gone from every store."""

        async def sweep_all(_: int, store: Storage) -> None:
            for _ in range(100):
                next_ms = await store.sweep(now_ms=self.now_ms, limit=10)
                if next_ms is None or next_ms > self.now_ms:
                    return
            raise AssertionError("the sweep comes to no end")

        self.ask(sweep_all)

    @rule(sure=seldom)
    def restart(self, sure: bool) -> None:
        """Close the durable stores and open them again."""
        for number, store in enumerate(self.stores):
            if sure and store.durable:
                self.runner.run(store.close())
                self.stores[number] = self.makers[number]()
                self.runner.run(self.stores[number].open())

    # Looking.

    def look_at_lanes(self) -> None:
        pending = self.agree(lambda _, store: self.sorted_lanes(store))
        for lane in LANES:
            assert self.lane_due_ms(lane, EPOCH_MS - 1) == dict(pending).get(lane)
            self.lane_due_ms(lane, self.now_ms)
            self.due_deliveries(lane, limit=50)

    def lane_due_ms(self, lane: Lane, after_ms: int) -> int | None:
        return self.agree(lambda _, store: store.lane_due_ms(lane, after_ms=after_ms))

    def due_deliveries(self, lane: Lane, *, limit: int) -> list[list[Delivery]]:
        """What each store answers, which means the same."""
        found = self.ask(
            lambda _, store: store.due_deliveries(lane, now_ms=self.now_ms, limit=limit)
        )
        self.same_deliveries(found)
        return found

    async def sorted_lanes(self, store: Storage) -> list[tuple[Lane, int]]:
        return sorted(await store.pending_lanes())

    def look_at_everything(self) -> None:
        """All that can be read."""
        self.agree(lambda _, store: store.list_documents("a-kind", ACCOUNT, REGION, limit=10))
        self.same_deliveries(
            self.ask(lambda _, store: store.list_deliveries(DeliveryFilter(), limit=1_000))
        )
        for chosen in range(len(self.subscriptions)):
            self.fetch_subscription(chosen)

        async def live(number: int, store: Storage) -> list[SubscriptionRecord]:
            found = await store.list_subscriptions(ACCOUNT, REGION, limit=100)
            return [self.subscription(number, record) for record in found]

        self.agree(live)
        listed = self.ask(lambda _, store: store.list_topics(ACCOUNT, REGION, limit=10))
        means = [[self.topic(record) for record in answer] for answer in listed]
        assert all(each == means[0] for each in means), means
        for records in zip(*listed, strict=True):
            self.look_at_topic(list(records))

    def look_at_topic(self, records: list[TopicRecord]) -> None:
        async def subscriptions(number: int, store: Storage) -> list[SubscriptionRecord]:
            found = await store.topic_subscriptions(records[number].topic_id)
            return [self.subscription(number, record) for record in found]

        async def archived(number: int, store: Storage) -> list[Publication]:
            found = await store.read_archive(
                records[number].topic_id,
                after_sequence=0,
                from_ms=EPOCH_MS + 1_000,
                until_ms=self.now_ms - 1,
                limit=100,
            )
            return [self.publication(number, publication) for publication in found]

        self.agree(subscriptions)
        self.agree(archived)
        self.agree(lambda number, store: store.archive_begins_at_ms(records[number].topic_id))

    def drain(self, name: str) -> None:
        """Receive all there is, to see that it is the same and in the same order."""

        async def receive(number: int, store: Storage) -> list[tuple[str, str]]:
            claimed = await store.claim_messages(
                self.queue_ids[name][number],
                limit=10,
                now_ms=self.now_ms,
                hidden_until_ms=self.now_ms + 1_000_000,
                in_flight_max=10_000,
            )
            return [(claim.message_id, claim.body) for claim in claimed.messages]

        while isinstance(received := self.agree_or_refuse(receive), list) and received:
            pass


TopicStoresAgree.TestCase.settings = settings(
    max_examples=100,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)


class TestTopicStoresAgree(TopicStoresAgree.TestCase):  # type: ignore[misc,valid-type]
    """Runs the state machine."""
