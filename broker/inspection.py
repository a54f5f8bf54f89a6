"""What tools and tests do with a running broker: look, wait, start over, go back."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple, TypeVar

from broker.arns import parse_queue_arn
from broker.clock import Clock
from broker.deliveries.pump import Pump
from broker.errors import InvalidParameterValue, ResourceNotFound
from broker.ids import Ids
from broker.messages import sequence_number
from broker.move_tasks import MoveTasks
from broker.observer import Observer
from broker.replays import Replays
from broker.sweeping import Sweeper
from broker.waiting import WaitingRoom
from storage.admin_records import Checkpoint, MessageState, Peeked, PeekFilter, Scope, Transfer
from storage.contract import Storage
from storage.errors import UnknownQueue
from storage.records import Counts, Move, QueueKey, QueueRecord
from storage.topic_records import TopicKey

_T = TypeVar("_T")

_SURVEYED_AT_ONCE = 200


class QueueView(NamedTuple):
    """A queue at a moment."""

    record: QueueRecord
    counts: Counts
    #: when the oldest message was enqueued, in whatever state it is; None: there is none
    oldest_at_ms: int | None
    oldest_age_ms: int | None


class MessageView(NamedTuple):
    """A message at a moment; ``sequence_number`` as clients know it, in FIFO queues only."""

    peeked: Peeked
    sequence_number: str | None


class Removed(NamedTuple):
    """What a reset has removed."""

    queues: int
    topics: int
    messages: int


class Condition(NamedTuple):
    """What is waited for, of one queue: all that is given must hold; a number means at least."""

    messages: int | None = None
    visible: int | None = None
    in_flight: int | None = None
    delayed: int | None = None
    empty: bool = False

    def holds(self, counts: Counts) -> bool:
        """Whether a queue with these counts meets it."""
        return (
            counts.total >= (self.messages or 0)
            and counts.visible >= (self.visible or 0)
            and counts.in_flight >= (self.in_flight or 0)
            and counts.delayed >= (self.delayed or 0)
            and not (self.empty and counts.total)
        )


class Inspection:
    """Verbs for tools and tests; none of them asks whose a queue is."""

    def __init__(
        self,
        store: Storage,
        clock: Clock,
        ids: Ids,
        *,
        waiting: WaitingRoom,
        pump: Pump,
        move_tasks: MoveTasks,
        replays: Replays,
        sweeper: Sweeper,
        observer: Observer,
    ) -> None:
        self._store = store
        self._observer = observer
        self._clock = clock
        self._ids = ids
        self._waiting = waiting
        self._move_tasks = move_tasks
        self._replays = replays
        self._pump = pump
        self._sweeper = sweeper
        self._changing = asyncio.Lock()

    # --- queues ---------------------------------------------------------------------------------

    async def queues(self, scope: Scope) -> list[QueueView]:
        """The queues of a scope, by account, region and name."""
        records = [each for each in await self._store.all_queues() if _holds(scope, each.key)]
        return await self._views(sorted(records, key=lambda record: record.key))

    async def queue(self, key: QueueKey) -> QueueView:
        """The queue of that key; raises ``ResourceNotFound``."""
        views = await self._views([await self._record(key)])
        if not views:
            raise _no_queue(key)
        return views[0]

    async def dead_letter_queue(self, key: QueueKey) -> QueueKey:
        """Where a queue's dead letters go.

        Raises ``ResourceNotFound`` or, if it has no redrive policy, ``InvalidParameterValue``.
        """
        policy = (await self._record(key)).settings.redrive_policy
        target = None if policy is None else parse_queue_arn(policy.dead_letter_target_arn)
        if target is None:
            raise InvalidParameterValue(f"queue {key.name} has no dead-letter queue")
        return target

    async def _record(self, key: QueueKey) -> QueueRecord:
        record = await self._store.get_queue(key)
        if record is None:
            raise _no_queue(key)
        return record

    async def _views(self, records: Sequence[QueueRecord]) -> list[QueueView]:
        """Those that there are still."""
        views: list[QueueView] = []
        for start in range(0, len(records), _SURVEYED_AT_ONCE):
            chunk = records[start : start + _SURVEYED_AT_ONCE]
            now_ms = self._clock.now_ms()
            found = await self._store.survey_queues(
                [record.queue_id for record in chunk], now_ms=now_ms
            )
            for record in chunk:
                if record.queue_id in found:
                    counts, oldest_at_ms = found[record.queue_id]
                    views.append(_view(record, counts, oldest_at_ms, now_ms))
        return views

    # --- messages -------------------------------------------------------------------------------

    async def peek(
        self, key: QueueKey, chosen: PeekFilter, *, after: int = 0, limit: int
    ) -> list[MessageView]:
        """Messages of a queue that fit ``chosen``, the oldest first; see the store's method.

        Nothing changes by it.  Raises ``ResourceNotFound`` if there is no such queue.
        """
        record = await self._record(key)
        try:
            found = await self._store.peek_messages(
                record.queue_id,
                chosen,
                after_sequence=after,
                limit=limit,
                now_ms=self._clock.now_ms(),
            )
        except UnknownQueue:
            raise _no_queue(key) from None
        fifo = record.settings.fifo
        return [
            MessageView(each, sequence_number(each.message.sequence) if fifo else None)
            for each in found
        ]

    async def message(self, key: QueueKey, message_id: str) -> MessageView:
        """The message of that id; raises ``ResourceNotFound``."""
        found = await self.peek(key, PeekFilter(message_id=message_id), limit=1)
        if not found:
            raise _no_message(key, message_id)
        return found[0]

    async def show(self, key: QueueKey, message_id: str) -> MessageView:
        """Make a message visible if it is hidden, and return it; raises ``ResourceNotFound``."""

        async def show(queue_id: int, sequence: int, now_ms: int) -> None:
            shown = await self._store.show_messages(queue_id, [sequence], now_ms=now_ms)
            self._observer.shown(queue_id, shown, now_ms)

        await self._act(key, message_id, show)
        return await self.message(key, message_id)

    async def remove(self, key: QueueKey, message_id: str) -> None:
        """Delete a message, in whatever state it is; raises ``ResourceNotFound``."""

        async def remove(queue_id: int, sequence: int, now_ms: int) -> list[str]:
            removed = await self._store.remove_messages(queue_id, [sequence], now_ms=now_ms)
            self._observer.removed(queue_id, removed, now_ms)
            return removed

        if not await self._act(key, message_id, remove):
            raise _no_message(key, message_id)

    async def move(self, key: QueueKey, message_id: str, destination: QueueKey) -> str:
        """Move a message, in whatever state it is; the id of the one it becomes.

        Raises ``ResourceNotFound`` for a queue or message that is not there and
        ``InvalidParameterValue`` where the message cannot go.
        """
        target = await self._record(destination)
        if destination == key:
            raise InvalidParameterValue(f"the message is in queue {key.name} already")
        if target.settings.fifo:
            view = await self.message(key, message_id)
            if view.peeked.message.group_id is None:
                raise InvalidParameterValue(
                    f"the message has no group, and queue {destination.name} is a FIFO queue"
                )
        new_id = self._ids.uuid()

        async def transfer(queue_id: int, sequence: int, now_ms: int) -> int:
            transfers = [Transfer(sequence, target.queue_id, new_id)]
            moved = await self._store.transfer_messages(queue_id, transfers, now_ms=now_ms)
            self._observer.moved(queue_id, [Move(*each) for each in transfers], moved, now_ms)
            return moved

        if not await self._act(key, message_id, transfer):
            raise _no_message(key, message_id)
        return new_id

    async def _act(
        self, key: QueueKey, message_id: str, change: Callable[[int, int, int], Awaitable[_T]]
    ) -> _T:
        """Have the store change a message: ``change`` takes queue id, sequence and moment."""
        record = await self._record(key)
        sequence = (await self.message(key, message_id)).peeked.message.sequence
        try:
            changed = await change(record.queue_id, sequence, self._clock.now_ms())
        except UnknownQueue:
            raise ResourceNotFound("the queue has just been deleted") from None
        self._waiting.deleted(record.queue_id)
        return changed

    # --- waiting --------------------------------------------------------------------------------

    async def wait(
        self, key: QueueKey, condition: Condition, *, timeout_s: float
    ) -> tuple[bool, Counts]:
        """Return once a queue meets a condition, or when so much real time has passed.

        Whether it does then, and what the queue holds.  Returns early if the broker stops.
        Raises ``ResourceNotFound`` if there is no such queue, or it goes.
        """
        changed = asyncio.Event()
        with self._waiting.watched(changed.set):
            counts = Counts(0, 0, 0)
            try:
                async with asyncio.timeout(timeout_s):
                    while True:
                        changed.clear()
                        record, counts = await self._counts(key)
                        if condition.holds(counts):
                            return True, counts
                        if self._waiting.closed:
                            return False, counts
                        await self._look_again(record, condition, counts, changed)
            except TimeoutError:
                _, counts = await self._counts(key)
                return condition.holds(counts), counts

    async def wait_until_gone(self, key: QueueKey, *, timeout_s: float) -> bool:
        """Return once there is no such queue, or when so much real time has passed; whether."""
        changed = asyncio.Event()
        with self._waiting.watched(changed.set):
            try:
                async with asyncio.timeout(timeout_s):
                    while await self._store.get_queue(key) is not None:
                        if self._waiting.closed:
                            return False
                        await changed.wait()
                        changed.clear()
            except TimeoutError:
                return await self._store.get_queue(key) is None
        return True

    async def _counts(self, key: QueueKey) -> tuple[QueueRecord, Counts]:
        record = await self._record(key)
        try:
            return record, await self._store.count_messages(
                record.queue_id, now_ms=self._clock.now_ms()
            )
        except UnknownQueue:
            raise _no_queue(key) from None

    async def _look_again(
        self, record: QueueRecord, condition: Condition, counts: Counts, changed: asyncio.Event
    ) -> None:
        """Return after a change, or at the moment at which time alone may have met a condition."""
        due_ms = await self._due_ms(record, condition, counts)
        if due_ms is None:
            await changed.wait()
            return
        # Later than now: what the store has as the oldest may be a message that has expired.
        timer = self._clock.call_at(max(due_ms, self._clock.now_ms() + 1), changed.set)
        try:
            await changed.wait()
        finally:
            timer.cancel()

    async def _due_ms(
        self, record: QueueRecord, condition: Condition, counts: Counts
    ) -> int | None:
        """When time alone may meet a condition that is not met; None: never.

        Messages become visible by themselves, and they expire.
        """
        missing = (condition.visible or 0) - counts.visible
        hidden = counts.in_flight + counts.delayed
        now_ms = self._clock.now_ms()
        try:
            if 0 < missing <= hidden:
                found = await self._store.peek_messages(
                    record.queue_id,
                    PeekFilter((MessageState.DELAYED, MessageState.IN_FLIGHT)),
                    limit=hidden,
                    now_ms=now_ms,
                )
                due = sorted(each.hidden_until_ms or now_ms for each in found)
                return due[missing - 1] if len(due) >= missing else now_ms
            if condition.empty:
                oldest_ms = await self._store.oldest_message_sent_at_ms(
                    record.queue_id, now_ms=now_ms
                )
                if oldest_ms is not None:
                    return oldest_ms + record.settings.message_retention_period_ms
        except UnknownQueue:
            return now_ms
        return None

    # --- starting over, going back --------------------------------------------------------------

    async def reset(self, scope: Scope) -> Removed:
        """Remove all queues and topics of a scope and what belongs to them; what went.

        Who waits at one of the queues is answered as after its deletion.
        """
        async with self._changing:
            views = await self.queues(scope)
            topics = [each for each in await self._store.all_topics() if _holds(scope, each.key)]
            now_ms = self._clock.now_ms()
            await self._while_at_rest(lambda: self._store.reset(scope, now_ms=now_ms))
            for view in views:
                self._observer.queue_deleted(view.record, now_ms)
        return Removed(len(views), len(topics), sum(view.counts.total for view in views))

    async def save_checkpoint(self, name: str, scope: Scope) -> Checkpoint:
        """Remember all that a reset of that scope would remove; replaces one of that name."""
        async with self._changing:
            return await self._store.save_checkpoint(name, scope, now_ms=self._clock.now_ms())

    async def checkpoints(self) -> list[Checkpoint]:
        """All checkpoints by name."""
        return await self._store.list_checkpoints()

    async def restore_checkpoint(self, name: str) -> Checkpoint:
        """Put everything in a checkpoint's scope back to what it was.

        Raises ``ResourceNotFound``.  Who waits at a queue that was there then goes on waiting.
        """

        async def restore() -> Checkpoint | None:
            records = await self._store.all_queues()
            now_ms = self._clock.now_ms()
            restored = await self._store.restore_checkpoint(name, now_ms=now_ms)
            if restored is not None:
                before = [each for each in records if _holds(restored.scope, each.key)]
                self._observer.rolled_back(restored, before, now_ms)
            return restored

        async with self._changing:
            restored = await self._while_at_rest(restore)
        if restored is None:
            raise _no_checkpoint(name)
        return restored

    async def delete_checkpoint(self, name: str) -> None:
        """Forget a checkpoint; raises ``ResourceNotFound``."""
        if not await self._store.delete_checkpoint(name):
            raise _no_checkpoint(name)

    async def _while_at_rest(self, change: Callable[[], Awaitable[_T]]) -> _T:
        """Replace state under those who work on it: they begin anew with what there is then.

        A delivery that is being attempted is not broken off.
        """
        await self._move_tasks.stop()
        await self._replays.stop()
        try:
            return await change()
        finally:
            await self._move_tasks.resume()
            await self._replays.resume()
            await self._pump.start()
            self._sweeper.wake()  # it makes checkpoints ready to be restored again


def _holds(scope: Scope, key: QueueKey | TopicKey) -> bool:
    """Whether what has that key is in the scope."""
    return scope.account in (None, key.account) and scope.region in (None, key.region)


def _view(record: QueueRecord, counts: Counts, oldest_at_ms: int | None, now_ms: int) -> QueueView:
    if oldest_at_ms is None or not counts.total:
        return QueueView(record, counts, None, None)
    return QueueView(record, counts, oldest_at_ms, max(0, now_ms - oldest_at_ms))


def _no_queue(key: QueueKey) -> ResourceNotFound:
    return ResourceNotFound(
        f"there is no queue {key.name} in account {key.account}, region {key.region}"
    )


def _no_message(key: QueueKey, message_id: str) -> ResourceNotFound:
    return ResourceNotFound(f"there is no message {message_id} in queue {key.name}")


def _no_checkpoint(name: str) -> ResourceNotFound:
    return ResourceNotFound(f"there is no checkpoint {name}")
