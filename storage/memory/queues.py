"""The memory store's half about queues and messages."""

from bisect import insort
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import replace
from heapq import heapify, heappop, heappush
from itertools import islice

from storage.contract import EVERYBODY, ChangeListener, CommitListener
from storage.errors import UnknownQueue
from storage.memory.contents import (
    NEVER,
    SLACK,
    UPKEEP_MAX,
    Accepted,
    Attempt,
    Burial,
    Content,
    FifoContent,
    Message,
    StandardContent,
)
from storage.memory.topics import MemoryTopics, drop, page
from storage.records import (
    Added,
    Claimed,
    Counts,
    DeadLetter,
    Movable,
    Move,
    MoveTask,
    MoveTaskStatus,
    NewMessage,
    Outcome,
    QueueKey,
    QueueRecord,
    QueueSettings,
    Receipt,
)

#: Move tasks remembered for each source, those that are unfinished apart.
MOVE_TASKS_KEPT = 10

#: For how long the deletion of a queue is remembered.
DELETION_REMEMBERED_MS = 60_000

#: move tasks in these go on
UNFINISHED_TASKS = (MoveTaskStatus.RUNNING, MoveTaskStatus.CANCELLING)


class Queue:
    """A queue: its record and what it holds."""

    __slots__ = ("content", "record")

    def __init__(self, record: QueueRecord, content: Content) -> None:
        self.record = record
        self.content = content


class MemoryQueues(MemoryTopics):
    """See ``storage.contract.Storage``; what topics need of queues is here too."""

    def __init__(self) -> None:
        super().__init__()
        self._listeners: list[ChangeListener] = []
        self._queues: dict[int, Queue] = {}
        self._ids: dict[QueueKey, int] = {}
        self._names: dict[tuple[str, str], list[str]] = {}
        self._deleted_at_ms: dict[QueueKey, int] = {}
        self._deletions: deque[tuple[int, QueueKey]] = deque()
        self._tasks: dict[str, MoveTask] = {}
        self._tasks_by_source: dict[int, deque[str]] = {}
        #: of sources that may be gone by now
        self._source_keys: dict[int, QueueKey] = {}
        self._unfinished: dict[str, None] = {}
        #: contents by the moment at which ``sweep`` will find something in them, and a number
        #: that is different for each; an entry counts if the content says the same moment
        self._upkeep: list[tuple[int, int, Content]] = []
        #: what purges and deletions left
        self._discarded: deque[Content] = deque()

    def on_change(self, listener: ChangeListener) -> None:
        self._listeners.append(listener)

    def on_commit(self, listener: CommitListener) -> None:
        """There are no commits."""

    async def keep_secret(self, name: str, candidate: bytes) -> bytes:
        return self._secrets.setdefault(name, candidate)

    def _queue(self, queue_id: int) -> Queue:
        queue = self._queues.get(queue_id)
        if queue is None:
            raise UnknownQueue(f"there is no queue {queue_id}")
        return queue

    def _changed(self, queue_id: int, receivable: int) -> None:
        for listener in self._listeners:
            listener(queue_id, receivable)

    # --- queues ---------------------------------------------------------------------------------

    async def create_queue(
        self, key: QueueKey, settings: QueueSettings, tags: Mapping[str, str], *, now_ms: int
    ) -> tuple[QueueRecord, bool]:
        existing = self._ids.get(key)
        if existing is not None:
            return self._queues[existing].record, False
        content = self._new_content(settings)
        record = QueueRecord(
            key=key,
            queue_id=self._next_number(),
            content_id=content.content_id,
            created_at_ms=now_ms,
            modified_at_ms=now_ms,
            settings=settings,
            tags=dict(tags),
            deduplicates_per_group=settings.deduplication_scope == "messageGroup",
        )
        self._put_queue(record, content)
        return record, True

    def _put_queue(self, record: QueueRecord, content: Content) -> None:
        key = record.key
        self._queues[record.queue_id] = Queue(record, content)
        self._ids[key] = record.queue_id
        insort(self._names.setdefault((key.account, key.region), []), key.name)

    def _new_content(self, settings: QueueSettings) -> Content:
        kind = FifoContent if settings.fifo else StandardContent
        return kind(self._next_number(), settings.message_retention_period_ms, self._next_number)

    async def get_queue(self, key: QueueKey) -> QueueRecord | None:
        queue_id = self._ids.get(key)
        return None if queue_id is None else self._queues[queue_id].record

    async def list_queues(
        self, account: str, region: str, *, prefix: str = "", after: str = "", limit: int
    ) -> list[QueueRecord]:
        names = self._names.get((account, region), [])
        return [
            self._queues[self._ids[QueueKey(account, region, name)]].record
            for name in page(names, prefix=prefix, after=after, limit=limit)
        ]

    async def replace_queue(self, old: QueueRecord, new: QueueRecord) -> bool:
        queue = self._queues.get(old.queue_id)
        if queue is None or queue.record != old:
            return False
        queue.record = new
        content, before, after = queue.content, old.settings, new.settings
        # What has expired by the old retention period does not come back by a longer one.
        content.settle(new.modified_at_ms, limit=NEVER)
        retention_changed = before.message_retention_period_ms != after.message_retention_period_ms
        if retention_changed:
            content.retention_ms = after.message_retention_period_ms
            content.refill_due()
            self._plan_upkeep(content)
        if before.delay_ms != after.delay_ms and isinstance(content, FifoContent):
            content.delay(after.delay_ms, new.modified_at_ms)
        if retention_changed or before.delay_ms != after.delay_ms:
            self._changed(new.queue_id, EVERYBODY)
        return True

    async def delete_queue(self, queue_id: int, *, now_ms: int) -> None:
        queue = self._queue(queue_id)
        key = queue.record.key
        self._take_queue(queue)
        self._deleted_at_ms[key] = now_ms
        self._deletions.append((now_ms, key))
        self._forget_deletions(now_ms, limit=2)
        self._changed(queue_id, EVERYBODY)

    def _take_queue(self, queue: Queue) -> None:
        """Take out a queue with what it holds."""
        key = queue.record.key
        del self._queues[queue.record.queue_id], self._ids[key]
        names = self._names[key.account, key.region]
        drop(names, key.name)
        if not names:
            del self._names[key.account, key.region]
        self._discard(queue.content)

    async def queue_deleted_at_ms(self, key: QueueKey) -> int | None:
        return self._deleted_at_ms.get(key)

    def _forget_deletions(self, now_ms: int, *, limit: int) -> int:
        forgotten = 0
        deletions = self._deletions
        while forgotten < limit and deletions:
            deleted_at_ms, key = deletions[0]
            if deleted_at_ms + DELETION_REMEMBERED_MS > now_ms:
                break
            deletions.popleft()
            if self._deleted_at_ms.get(key) == deleted_at_ms:
                del self._deleted_at_ms[key]
            forgotten += 1
        return forgotten

    async def purge_queue(self, queue_id: int, *, now_ms: int) -> None:
        queue = self._queue(queue_id)
        old, new = queue.content, self._new_content(queue.record.settings)
        queue.content = new
        queue.record = replace(queue.record, content_id=new.content_id, purged_at_ms=now_ms)
        self._discard(old)
        self._changed(queue_id, EVERYBODY)

    def _discard(self, content: Content) -> None:
        content.sweep_at_ms = NEVER
        if content.messages or content.accepted or content.attempts:
            self._discarded.append(content)

    # --- messages -------------------------------------------------------------------------------

    async def add_messages(
        self,
        messages: Sequence[tuple[int, NewMessage]],
        *,
        now_ms: int,
        deduplication_window_ms: int,
    ) -> list[Added]:
        return self._add(messages, now_ms, deduplication_window_ms)

    def _check_queues(self, messages: Sequence[tuple[int, NewMessage]]) -> None:
        for queue_id, _ in messages:
            self._queue(queue_id)

    def _add(
        self,
        messages: Sequence[tuple[int, NewMessage]],
        now_ms: int,
        deduplication_window_ms: int,
    ) -> list[Added]:
        queues = [self._queue(queue_id) for queue_id, _ in messages]
        results: list[Added] = []
        receivable: dict[int, int] = {}
        for queue, (queue_id, new) in zip(queues, messages, strict=True):
            content = queue.content
            if now_ms >= content.next_due_ms or now_ms >= content.oldest_ms + content.retention_ms:
                content.settle(now_ms)
            key: tuple[str | None, str] | None = None
            if content.fifo:
                if content.accepted_order and content.accepted_order[0][0] <= now_ms:
                    content.prune(now_ms, limit=2)
                if new.deduplication_id is not None:
                    per_group = queue.record.deduplicates_per_group
                    key = (new.group_id if per_group else None, new.deduplication_id)
                    accepted = content.accepted.get(key)
                    if accepted is not None and now_ms < accepted.until_ms:
                        results.append(Added(accepted.message_id, accepted.sequence, True))
                        continue
            message = Message(self._next_number(), new, now_ms, new.visible_at_ms)
            content.add(message)
            if key is not None:
                until_ms = now_ms + deduplication_window_ms
                content.accepted[key] = Accepted(until_ms, new.message_id, message.sequence)
                content.accepted_order.append((until_ms, key))
                if until_ms < content.sweep_at_ms:
                    self._plan_upkeep(content)
            if now_ms + content.retention_ms < content.sweep_at_ms:
                self._plan_upkeep(content)
            results.append(Added(new.message_id, message.sequence))
            receivable[queue_id] = receivable.get(queue_id, 0) + (not message.hidden)
        for queue_id, number in receivable.items():
            self._changed(queue_id, number or 1)
        return results

    async def claim_messages(
        self,
        queue_id: int,
        *,
        limit: int,
        now_ms: int,
        hidden_until_ms: int,
        in_flight_max: int,
        dead_letter: DeadLetter | None = None,
        attempt_id: str | None = None,
        attempt_window_ms: int = 0,
    ) -> Claimed:
        content = self._queue(queue_id).content
        if not content.settled(now_ms) and content.settle(now_ms) == UPKEEP_MAX:
            # Nothing may be handed out before all has been brought to this moment.
            return Claimed([], now_ms + 1, again=True)
        if not content.fifo:
            attempt_id = None
        if attempt_id is not None:
            attempt = content.attempts.get(attempt_id)
            if attempt is not None and now_ms < attempt.until_ms:
                return self._repeat(content, attempt, now_ms, hidden_until_ms)
        capacity = in_flight_max - content.in_flight
        if capacity <= 0:
            return Claimed([], content.earliest_due_ms(), over_limit=True)
        burial: Burial | None = None
        if dead_letter is not None and dead_letter.queue_id != queue_id:
            target = self._queues.get(dead_letter.queue_id)
            if target is not None and target.content.fifo == content.fifo:
                burial = Burial(
                    target.content, dead_letter.max_receive_count, dead_letter.source_arn
                )
        claims, moved = content.hand_out(min(limit, capacity), now_ms, hidden_until_ms, burial)
        if moved and burial is not None and dead_letter is not None:
            self._plan_upkeep(burial.content)
            self._changed(dead_letter.queue_id, len(moved))
        if not claims:
            again = len(moved) == UPKEEP_MAX
            due_ms = content.earliest_due_ms()
            return Claimed([], due_ms, again=again, dead_lettered=tuple(moved))
        if attempt_id is not None:
            until_ms = now_ms + attempt_window_ms
            content.prune(now_ms, limit=2)
            content.attempts[attempt_id] = Attempt(
                until_ms, [(c.sequence, c.receive_count, hidden_until_ms) for c in claims]
            )
            content.attempts_order.append((until_ms, attempt_id))
            self._plan_upkeep(content)
        return Claimed(claims, dead_lettered=tuple(moved)) if moved else Claimed(claims)

    def _repeat(
        self, content: Content, attempt: Attempt, now_ms: int, hidden_until_ms: int
    ) -> Claimed:
        """Hand out the messages of an attempt again, if nothing has happened to them since."""
        messages: list[Message] = []
        for sequence, receive_count, until_ms in attempt.handed_out:
            message = content.messages.get(sequence)
            if (
                message is None
                or not message.hidden
                or message.receive_count != receive_count
                or message.hidden_until_ms != until_ms
            ):
                return Claimed([], attempt_void=True)
            messages.append(message)
        for message in messages:
            if hidden_until_ms <= now_ms:
                content.show(message)
            else:
                content.rehide(message, hidden_until_ms)
        attempt.handed_out = [(m.sequence, m.receive_count, hidden_until_ms) for m in messages]
        return Claimed([message.claim() for message in messages])

    async def delete_messages(self, receipts: Sequence[Receipt], *, now_ms: int) -> list[Outcome]:
        if not receipts:
            return []
        queue_id = receipts[0].queue_id
        content = self._queue(queue_id).content
        content.settle(now_ms)
        outcomes: list[Outcome] = []
        unlocked = 0
        for receipt in receipts:
            message = content.messages.get(receipt.sequence)
            if message is None or content.expired(message, now_ms):
                outcomes.append(Outcome.GONE)
            elif isinstance(content, FifoContent):
                if self._stale(message, receipt, now_ms):
                    outcomes.append(Outcome.STALE)
                    continue
                # A lane that was locked and still exists with a turn has been unlocked by this.
                content.remove(message)
                unlocked += content.is_ready(message.new.group_id)
                outcomes.append(Outcome.DONE)
            else:
                content.remove(message)
                outcomes.append(Outcome.DONE)
        if unlocked:
            self._changed(queue_id, unlocked)
        return outcomes

    @staticmethod
    def _stale(message: Message, receipt: Receipt, now_ms: int) -> bool:
        """FIFO: whether the receipt is of an earlier hand-out, or of one that has ended."""
        return (
            receipt.receive_count != message.receive_count
            or not message.hidden
            or message.hidden_until_ms <= now_ms
        )

    async def change_visibility(
        self, changes: Sequence[tuple[Receipt, int]], *, now_ms: int
    ) -> list[Outcome]:
        if not changes:
            return []
        queue_id = changes[0][0].queue_id
        content = self._queue(queue_id).content
        content.settle(now_ms)
        outcomes: list[Outcome] = []
        for receipt, until_ms in changes:
            message = content.messages.get(receipt.sequence)
            if message is None or content.expired(message, now_ms):
                outcomes.append(Outcome.GONE)
            elif content.fifo and self._stale(message, receipt, now_ms):
                outcomes.append(Outcome.STALE)
            elif not message.hidden or message.hidden_until_ms <= now_ms:
                outcomes.append(Outcome.VISIBLE)
            else:
                if until_ms <= now_ms:
                    content.show(message)
                else:
                    content.rehide(message, until_ms)
                outcomes.append(Outcome.DONE)
        done = outcomes.count(Outcome.DONE)
        if done:
            self._changed(queue_id, done)
        return outcomes

    async def count_messages(self, queue_id: int, *, now_ms: int) -> Counts:
        content = self._queue(queue_id).content
        content.settle(now_ms, limit=NEVER)
        in_flight, delayed = content.in_flight, content.delayed
        return Counts(len(content.messages) - in_flight - delayed, in_flight, delayed)

    # --- message move tasks ---------------------------------------------------------------------

    async def create_move_task(self, task: MoveTask) -> bool:
        own = self._tasks_by_source.setdefault(task.source_queue_id, deque())
        if own and own[-1] in self._unfinished:
            return False
        source = self._queues.get(task.source_queue_id)
        if source is not None:
            self._source_keys[task.source_queue_id] = source.record.key
        self._tasks[task.task_id] = task
        if task.status in UNFINISHED_TASKS:
            self._unfinished[task.task_id] = None
        own.append(task.task_id)
        if len(own) > MOVE_TASKS_KEPT:
            del self._tasks[own.popleft()]
        return True

    async def list_move_tasks(self, source_queue_id: int, *, limit: int) -> list[MoveTask]:
        own = self._tasks_by_source.get(source_queue_id, ())
        return [self._tasks[task_id] for task_id in islice(reversed(own), limit)]

    async def get_move_task(self, task_id: str) -> MoveTask | None:
        return self._tasks.get(task_id)

    async def unfinished_move_tasks(self) -> list[MoveTask]:
        return [self._tasks[task_id] for task_id in self._unfinished]

    async def set_move_task_status(
        self, task_id: str, status: MoveTaskStatus, *, failure_reason: str | None = None
    ) -> MoveTask | None:
        if task_id not in self._unfinished:
            return None
        task = replace(self._tasks[task_id], status=status, failure_reason=failure_reason)
        self._tasks[task_id] = task
        if status not in UNFINISHED_TASKS:
            del self._unfinished[task_id]
        return task

    async def peek_movable(self, queue_id: int, *, limit: int, now_ms: int) -> list[Movable]:
        content = self._queue(queue_id).content
        content.settle(now_ms, limit=NEVER)
        return [Movable(m.sequence, m.dead_letter_source_arn) for m in content.movable(limit)]

    async def move_messages(self, task_id: str, moves: Sequence[Move], *, now_ms: int) -> int:
        task = self._tasks.get(task_id)
        if task is None or task.status is not MoveTaskStatus.RUNNING:
            return 0
        source = self._queue(task.source_queue_id).content
        targets = [self._queue(move.destination_queue_id).content for move in moves]
        source.settle(now_ms, limit=NEVER)
        arrived: dict[int, int] = {}
        for move, target in zip(moves, targets, strict=True):
            message = source.messages.get(move.sequence)
            if message is None or message.hidden:
                continue
            self._move(message, source, target, move.message_id, now_ms)
            queue_id = move.destination_queue_id
            arrived[queue_id] = arrived.get(queue_id, 0) + 1
        moved = sum(arrived.values())
        self._tasks[task_id] = replace(task, moved=task.moved + moved)
        for queue_id, number in arrived.items():
            self._changed(queue_id, number)
        return moved

    def _move(
        self, message: Message, source: Content, target: Content, message_id: str, now_ms: int
    ) -> None:
        """Make a message of one content a new one of another."""
        target.settle(now_ms)
        source.remove(message)
        new = message.new._replace(message_id=message_id, sent_at_ms=now_ms)
        target.add(Message(self._next_number(), new, now_ms, now_ms))
        self._plan_upkeep(target)

    # --- upkeep ---------------------------------------------------------------------------------

    async def sweep(self, *, now_ms: int, limit: int) -> int | None:
        next_ms = min(self._sweep_queues(now_ms, limit), self._sweep_topics(now_ms, limit))
        return max(next_ms, now_ms) if next_ms < NEVER else None

    def _sweep_queues(self, now_ms: int, limit: int) -> int:
        """What ``sweep`` does about queues; ``NEVER`` if nothing is known to fall due."""
        self._forget_deletions(now_ms, limit=limit)
        upkeep = self._upkeep
        due: list[Content] = []
        while upkeep and upkeep[0][0] <= now_ms:
            at_ms, _, content = heappop(upkeep)
            if content.sweep_at_ms == at_ms:
                content.sweep_at_ms = NEVER
                due.append(content)
        for content in due:
            content.settle(now_ms, limit=limit)
            content.prune(now_ms, limit=limit)
            self._plan_upkeep(content)
        if self._discarded and self._discarded[0].dismantle(limit=limit) < limit:
            self._discarded.popleft()
        if self._discarded:
            return now_ms
        while upkeep and upkeep[0][2].sweep_at_ms != upkeep[0][0]:
            heappop(upkeep)
        return upkeep[0][0] if upkeep else NEVER

    def _plan_upkeep(self, content: Content) -> None:
        """See to it that ``sweep`` looks at this content in time."""
        at_ms = content.next_sweep_ms()
        if at_ms >= content.sweep_at_ms:
            return
        content.sweep_at_ms = at_ms
        heappush(self._upkeep, (at_ms, self._next_number(), content))
        if len(self._upkeep) > 2 * len(self._queues) + SLACK:
            self._upkeep = [entry for entry in self._upkeep if entry[2].sweep_at_ms == entry[0]]
            heapify(self._upkeep)
