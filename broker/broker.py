"""The broker: its verbs by area, and what runs beside them."""

from broker.callers import Caller
from broker.clock import AdjustableClock, Clock
from broker.courier import Courier
from broker.deliveries.pump import Pump
from broker.deliveries.settings import DeliverySettings
from broker.delivery_status import DeliveryStatusLog
from broker.explanations import Explanations
from broker.ids import Ids
from broker.inspection import Inspection
from broker.lives import Lives
from broker.messages import Messages
from broker.move_tasks import MoveTasks
from broker.observer import Observer
from broker.outbox import Outbox
from broker.phones import Phones
from broker.platforms import Platforms
from broker.publishing import Publisher
from broker.queue_copies import QueueCopies
from broker.queues import Queues
from broker.recent_publications import RecentPublications
from broker.replays import Replays
from broker.seals import Seal
from broker.signatures import Signatures
from broker.sms import Sms
from broker.statistics import Survey
from broker.subscriptions import Subscriptions
from broker.sweeping import Sweeper
from broker.timekeeping import Timekeeper
from broker.timeline import EVENTS_MAX
from broker.topic_errors import TopicError
from broker.topic_messages import TopicDraft
from broker.topics import Topics
from broker.waiting import WaitingRoom
from storage.contract import Storage
from storage.topic_records import DocumentChange, DocumentKey

#: where it is written when somebody asks whether that is possible
_PROBE = DocumentKey("probe", "", "", "written at")


class Broker:
    """Queues and topics over one store.  Made by ``open``; ``close`` ends it."""

    def __init__(
        self,
        store: Storage,
        clock: Clock,
        ids: Ids,
        secret: bytes,
        *,
        block_deleted_names: bool,
        deliveries: DeliverySettings,
        timeline_events: int,
    ) -> None:
        self._store = store
        self._clock = clock
        seal = Seal(secret)
        self.waiting = WaitingRoom(clock)
        store.on_change(self.waiting.changed)
        self.observer = Observer(timeline_events)
        store.on_commit(self.observer.statistics.committed)
        self.survey = Survey(store, clock, self.observer.statistics)
        self.queues = Queues(
            store, clock, seal, self.observer, block_deleted_names=block_deleted_names
        )
        self.messages = Messages(store, clock, ids, seal, self.waiting, self.observer)
        self.move_tasks = MoveTasks(store, clock, ids, self.observer)
        self.store_description = store.description
        self._open_topics(store, clock, ids, seal, deliveries)
        self._sweeper = Sweeper(store, clock, self.topics.trim_archives)
        self.inspection = Inspection(
            store,
            clock,
            ids,
            waiting=self.waiting,
            pump=self._pump,
            move_tasks=self.move_tasks,
            replays=self._replays,
            sweeper=self._sweeper,
            observer=self.observer,
        )
        #: None: the clock cannot be turned
        self.timekeeper: Timekeeper | None = None
        if isinstance(clock, AdjustableClock):
            self.timekeeper = Timekeeper(
                store,
                clock,
                self.observer.statistics,
                waiting=self.waiting,
                pump=self._pump,
                move_tasks=self.move_tasks,
                replays=self._replays,
                sweeper=self._sweeper,
            )

    def _open_topics(
        self, store: Storage, clock: Clock, ids: Ids, seal: Seal, deliveries: DeliverySettings
    ) -> None:
        self.topics = Topics(store, clock, seal)
        self.platforms = Platforms(store, clock, ids, seal)
        self.platforms.publish_event = self._publish_event
        self.sms = Sms(store, clock, ids, seal)
        self.phones = Phones(self.sms, self.platforms)
        self.signatures = Signatures(
            store, clock, certificate_base_url=deliveries.certificate_base_url
        )
        copies = QueueCopies(store, self.messages)
        recent = RecentPublications()
        status_log = DeliveryStatusLog(ids)
        self._replays = Replays(store, clock, ids, copies, self.signatures, self.observer)
        self._courier = Courier(
            store,
            clock,
            self.signatures,
            copies,
            self.phones,
            status_log,
            deliveries,
            self.observer,
        )
        self._pump = Pump(store, clock, self._courier.attempt)
        self.outbox = Outbox(store, clock, copies, self.signatures, self._pump, deliveries)
        self.subscriptions = Subscriptions(
            store,
            clock,
            ids,
            seal,
            self.topics,
            self.platforms,
            self.outbox,
            replay_wanted=self._replays.start,
        )
        self.publishing = Publisher(
            store,
            clock,
            ids,
            topics=self.topics,
            platforms=self.platforms,
            phones=self.phones,
            copies=copies,
            signatures=self.signatures,
            outbox=self.outbox,
            status_log=status_log,
            recent=recent,
            replays=self._replays,
            observer=self.observer,
        )
        self.explanations = Explanations(store, clock, recent)
        self.lives = Lives(store, clock, self.observer.timeline, self.explanations)

    @classmethod
    async def open(
        cls,
        store: Storage,
        clock: Clock,
        ids: Ids,
        *,
        block_deleted_names: bool = False,
        deliveries: DeliverySettings | None = None,
        timeline_events: int = EVENTS_MAX,
    ) -> "Broker":
        """Open the store and begin to serve from it; raises ``StoreUnusable``.

        ``deliveries``: where deliveries may go; a mail server's URL in it has been checked.
        ``timeline_events``: how many of the latest events are kept in memory; 0: none.
        """
        await store.open()
        secret = await store.keep_secret("seal", ids.secret())
        broker = cls(
            store,
            clock,
            ids,
            secret,
            block_deleted_names=block_deleted_names,
            deliveries=deliveries or DeliverySettings(),
            timeline_events=timeline_events,
        )
        await broker.move_tasks.resume()
        await broker.outbox.resume()
        await broker._pump.start()
        await broker._replays.resume()
        broker._sweeper.start()
        return broker

    async def check_writable(self) -> None:
        """Write a few bytes to the store; raises ``StorageError`` if it does not take them."""
        last = await self._store.get_document(_PROBE)
        change = DocumentChange(_PROBE, last, str(self._clock.now_ms()))
        await self._store.change_documents([change])

    def stop_waiting(self) -> None:
        """Answer all parked receives with what there is: nothing.  None parks from now on."""
        self.waiting.close()
        self.messages.faults.stop()

    async def close(self) -> None:
        """End what runs, and close the store."""
        self.stop_waiting()
        await self._sweeper.stop()
        await self.move_tasks.stop()
        await self._replays.stop()
        await self._pump.stop()
        await self._courier.close()
        await self._store.close()

    async def _publish_event(self, topic_arn: str, message: str) -> None:
        """Publish what happened to a platform endpoint, where its application wants it told."""
        _, _, _, region, account, _ = topic_arn.split(":", 5)
        caller = Caller(account, region, "", signed=True)
        try:
            await self.publishing.publish(
                caller,
                TopicDraft(message),
                topic_arn=topic_arn,
                target_arn=None,
                phone_number=None,
                base_url="",
            )
        except TopicError:
            return  # the topic is gone, or takes no such messages
