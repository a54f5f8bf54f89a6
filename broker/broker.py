"""The broker: its verbs by area, and what runs beside them."""

import asyncio

from broker.callers import Caller
from broker.clock import Clock, Sleeper
from broker.courier import Courier
from broker.deliveries.pump import Pump
from broker.deliveries.settings import DeliverySettings
from broker.delivery_status import DeliveryStatusLog
from broker.explanations import Explanations
from broker.ids import Ids
from broker.messages import Messages
from broker.move_tasks import MoveTasks
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
from broker.subscriptions import Subscriptions
from broker.topic_errors import TopicError
from broker.topic_messages import TopicDraft
from broker.topics import Topics
from broker.waiting import WaitingRoom
from storage.contract import Storage
from storage.errors import StoreBroken, StoreUnwritable

_SWEEP_LIMIT = 1_000
#: Sweeping frees space, nothing depends on when it happens: not more often than this …
_SWEEP_PAUSE_MS = 1_000
#: … and not less often, for what a store cannot foresee (a purge, a deleted queue).
_SWEEP_INTERVAL_MS = 60_000


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
    ) -> None:
        self._store = store
        self._clock = clock
        seal = Seal(secret)
        self.waiting = WaitingRoom(clock)
        store.on_change(self.waiting.changed)
        self.queues = Queues(store, clock, seal, block_deleted_names=block_deleted_names)
        self.messages = Messages(store, clock, ids, seal, self.waiting)
        self.move_tasks = MoveTasks(store, clock, ids)
        self._sweeper: asyncio.Task[None] | None = None
        self.store_description = store.description
        self._open_topics(store, clock, ids, seal, deliveries)

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
        self._replays = Replays(store, clock, ids, copies, self.signatures)
        self._courier = Courier(
            store, clock, self.signatures, copies, self.phones, status_log, deliveries
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
        )
        self.explanations = Explanations(store, clock, recent)

    @classmethod
    async def open(
        cls,
        store: Storage,
        clock: Clock,
        ids: Ids,
        *,
        block_deleted_names: bool = False,
        deliveries: DeliverySettings | None = None,
    ) -> "Broker":
        """Open the store and begin to serve from it; raises ``StoreUnusable``.

        ``deliveries``: where deliveries may go; a mail server's URL in it has been checked.
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
        )
        await broker.move_tasks.resume()
        await broker.outbox.resume()
        await broker._pump.start()
        await broker._replays.resume()
        broker._sweeper = asyncio.create_task(broker._sweep(), name="sweeper")
        return broker

    def stop_waiting(self) -> None:
        """Answer all parked receives with what there is: nothing.  None parks from now on."""
        self.waiting.close()

    async def close(self) -> None:
        """End what runs, and close the store."""
        self.stop_waiting()
        if self._sweeper is not None:
            self._sweeper.cancel()
            await asyncio.gather(self._sweeper, return_exceptions=True)
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

    async def _sweep(self) -> None:
        """Have the store remove, in small steps, what nobody can see any more."""
        archives_due_ms = 0
        while True:
            now_ms = self._clock.now_ms()
            try:
                next_ms = await self._store.sweep(now_ms=now_ms, limit=_SWEEP_LIMIT)
                if now_ms >= archives_due_ms:
                    await self.topics.trim_archives()
                    archives_due_ms = now_ms + _SWEEP_INTERVAL_MS
            except StoreUnwritable:
                next_ms = None
            except StoreBroken:
                return  # the store has said so itself
            if next_ms is not None and next_ms <= now_ms:
                await asyncio.sleep(0)  # more to do at once, after whoever is waiting
                continue
            latest_ms = now_ms + _SWEEP_INTERVAL_MS
            next_ms = latest_ms if next_ms is None else min(next_ms, latest_ms)
            await Sleeper().sleep_until(self._clock, max(next_ms, now_ms + _SWEEP_PAUSE_MS))
