"""Replays: the archive of a FIFO topic once more to one of its queues (SNS reference, 8.3)."""

import asyncio
import dataclasses
import logging

from broker.clock import Clock, Sleeper
from broker.envelopes import ProtocolMessages
from broker.errors import BrokerError
from broker.fanouts import Recipient, filter_policy, recipient
from broker.filter_matching import MessageFacts
from broker.ids import Ids
from broker.limits import ATTRIBUTES_MAX, DEDUPLICATION_WINDOW_MS
from broker.observer import Observer
from broker.queue_copies import Copy, QueueCopies
from broker.renderings import Rendering
from broker.signatures import Signatures
from storage.contract import Storage
from storage.errors import StoreBroken, StoreUnwritable, UnknownQueue
from storage.records import MessageAttribute
from storage.topic_records import Publication, ReplayStatus, SubscriptionRecord, SubscriptionState

logger = logging.getLogger(__name__)

#: archived messages replayed in one step
_STEP = 100
_RETRY_MS = 5_000
#: marks what is replayed; AWS documents the name
_REPLAYED = MessageAttribute("String", "true")


class Replays:
    """Runs replays; one that was under way goes on after a restart."""

    def __init__(
        self,
        store: Storage,
        clock: Clock,
        ids: Ids,
        copies: QueueCopies,
        signatures: Signatures,
        observer: Observer,
    ) -> None:
        self._store = store
        self._clock = clock
        self._ids = ids
        self._copies = copies
        self._signatures = signatures
        self._observer = observer
        self._tasks: dict[str, asyncio.Task[None]] = {}
        #: replays that wait for what their topic may still archive
        self._waiting: dict[int, set[Sleeper]] = {}
        self._asleep = 0

    @property
    def under_way(self) -> int:
        """How many replays do something, not counting those that wait."""
        return len(self._tasks) - self._asleep

    async def resume(self) -> None:
        """Go on with what the store holds from before."""
        for record in await self._store.replaying_subscriptions():
            self.start(record.subscription_id)

    async def stop(self) -> None:
        """Break off; it goes on after the next start."""
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    def start(self, subscription_id: str) -> None:
        """Replay to a subscription, as its record says; a running task takes over a new policy."""
        for topic_id in list(self._waiting):
            self.archived(topic_id)
        if subscription_id not in self._tasks:
            task = asyncio.create_task(self._run(subscription_id), name="replay")
            self._tasks[subscription_id] = task

    async def _run(self, subscription_id: str) -> None:
        try:
            while True:
                record = await self._store.get_subscription(subscription_id)
                if record is None or record.replay is None or not _is_under_way(record):
                    return
                try:
                    await self._step(record)
                except UnknownQueue:
                    continue
                except StoreUnwritable:
                    await self._sleep(Sleeper(), self._clock.now_ms() + _RETRY_MS)
                await asyncio.sleep(0)
        except StoreBroken:
            return  # the store has said so itself
        except Exception:
            logger.exception("a replay broke off")
        finally:
            del self._tasks[subscription_id]

    def archived(self, topic_id: int) -> None:
        """Have the replays that wait for it look at a topic's archive again."""
        for sleeper in self._waiting.get(topic_id, ()):
            sleeper.wake()

    async def _wait(self, topic_id: int, until_ms: int) -> None:
        sleeper = Sleeper()
        waiting = self._waiting.setdefault(topic_id, set())
        waiting.add(sleeper)
        try:
            await self._sleep(sleeper, until_ms)
        finally:
            waiting.discard(sleeper)
            if not waiting:
                self._waiting.pop(topic_id, None)

    async def _sleep(self, sleeper: Sleeper, until_ms: int) -> None:
        self._asleep += 1
        try:
            await sleeper.sleep_until(self._clock, until_ms)
        finally:
            self._asleep -= 1

    async def _step(self, record: SubscriptionRecord) -> None:
        """Replay some messages, or note that there are no more; without effect if it is overtaken.

        Without an end the replay goes over into what is published from then on: the store only
        lets it end while the archive holds nothing newer.
        """
        replay = record.replay
        assert replay is not None
        now_ms = self._clock.now_ms()
        # What has a lower sequence is in the archive by now: a publish waits for nothing between
        # taking its sequence and handing itself to the store.
        read_up_to = await self._store.next_sequence()
        publications = await self._store.read_archive(
            record.topic_id,
            after_sequence=replay.after_sequence,
            from_ms=replay.from_ms,
            until_ms=replay.until_ms,
            limit=_STEP,
        )
        to = recipient(record)
        made = [(each, await self._copies_of(each, to, now_ms)) for each in publications]
        after_sequence = replay.after_sequence
        if publications:
            after_sequence = publications[-1].sequence or after_sequence
        ended = not publications and (replay.until_ms is None or replay.until_ms < now_ms)
        if not publications and not ended:
            assert replay.until_ms is not None
            if await self._store.get_subscription(record.subscription_id) == record:
                await self._wait(record.topic_id, replay.until_ms + 1)
            return
        changed = dataclasses.replace(
            record,
            replay=dataclasses.replace(
                replay,
                status=ReplayStatus.COMPLETED if ended else ReplayStatus.IN_PROGRESS,
                after_sequence=after_sequence,
            ),
        )
        advanced = await self._store.advance_replay(
            record,
            changed,
            [copy for _, copies in made for copy in copies],
            caught_up_with=read_up_to if ended and replay.until_ms is None else None,
            now_ms=now_ms,
            deduplication_window_ms=DEDUPLICATION_WINDOW_MS,
        )
        if advanced:
            for publication, copies in made:
                self._observer.copied(publication, copies, now_ms)

    async def _copies_of(self, publication: Publication, to: Recipient, now_ms: int) -> list[Copy]:
        assert to.queue is not None  # FIFO topics have no other subscribers
        message = ProtocolMessages.of(publication).text(to.content_key)
        marked = {**(publication.attributes or {}), "Replayed": _REPLAYED}
        policy = filter_policy(to.subscription)
        if policy is not None and not policy.matches(MessageFacts(marked, message)):
            return []
        # a new id, or the queue would take it for the duplicate of the first delivery
        publication = publication._replace(deduplication_id=self._ids.uuid())
        if not to.raw or len(marked) <= ATTRIBUTES_MAX:  # a raw message has no room for more
            publication = publication._replace(attributes=marked)
        rendering = Rendering(publication, self._signatures, signature_version="1")
        body = message
        if not to.raw:
            notification = await rendering.notification(message)
            body = notification.envelope(to.arn)
        try:
            return [
                await self._copies.copy(
                    publication,
                    body,
                    raw=to.raw,
                    queue=to.queue,
                    queue_id=to.subscription.queue_id,
                    now_ms=now_ms,
                )
            ]
        except BrokerError:
            dead_letter = await self._copies.dead_letter(
                publication, body, to.subscription, now_ms=now_ms
            )
            return [] if dead_letter is None else [dead_letter]


def _is_under_way(record: SubscriptionRecord) -> bool:
    return record.is_replayed_to and record.state is SubscriptionState.CONFIRMED
