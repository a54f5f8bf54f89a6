"""Checkpoints of the memory store.

A checkpoint has of what each queue held a copy that is never live, the *original*, and a copy of
that, the *spare*.  Restoring puts the spare in the queue's place, whatever its size; ``sweep``
makes the next one.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace

from storage.admin_records import Checkpoint, Scope
from storage.contract import EVERYBODY
from storage.memory.admin import MemoryAdmin, holds
from storage.memory.contents import COPY_STEP, NEVER, Content
from storage.memory.queues import UNFINISHED_TASKS
from storage.memory.topics import Archive, fits
from storage.records import MoveTask, QueueKey, QueueRecord
from storage.topic_records import (
    UNFINISHED,
    Delivery,
    DeliveryFilter,
    DocumentKey,
    Published,
    SubscriptionRecord,
    TopicRecord,
)


class _KeptContent:
    """What a queue held at a checkpoint: the original and, in time, a spare."""

    __slots__ = ("_copying", "_original", "_spare")

    def __init__(self, original: Content) -> None:
        self._original = original
        self._spare: Content | None = None
        self._copying = original.copying()

    def go_on(self) -> bool:
        """Do one step of making the spare; whether it is ready."""
        if self._spare is None:
            try:
                next(self._copying)
            except StopIteration as end:
                self._spare = end.value
        return self._spare is not None

    def take(self) -> Content:
        """The spare; from now on there is none."""
        while self._spare is None:
            self.go_on()
        spare, self._spare, self._copying = self._spare, None, self._original.copying()
        return spare

    def contents(self) -> Iterator[Content]:
        """The copies that there are."""
        yield self._original
        if self._spare is not None:
            yield self._spare


@dataclass(frozen=True, slots=True)
class _Saved:
    """What a checkpoint remembers."""

    checkpoint: Checkpoint
    queues: list[tuple[QueueRecord, _KeptContent]]
    deletions: list[tuple[int, QueueKey]]
    #: by the id of their source
    tasks: dict[int, list[MoveTask]]
    source_keys: dict[int, QueueKey]
    documents: dict[DocumentKey, str]
    topics: list[TopicRecord]
    subscriptions: list[SubscriptionRecord]
    accepted_publications: dict[tuple[int, str], tuple[int, Published]]
    archives: dict[int, Archive]
    #: the finished ones in order of finishing
    deliveries: list[Delivery]


class MemoryCheckpoints(MemoryAdmin):
    """The rest of ``storage.admin_contract.AdminStorage``."""

    def __init__(self) -> None:
        super().__init__()
        self._checkpoints: dict[str, _Saved] = {}
        #: the contents of checkpoints whose spare is not ready
        self._unready: dict[_KeptContent, None] = {}

    async def save_checkpoint(self, name: str, scope: Scope, *, now_ms: int) -> Checkpoint:
        self._forget_checkpoint(name)
        topics = [t.record for t in self._topics.values() if holds(scope, t.record.key)]
        topic_ids = {topic.topic_id for topic in topics}
        sources = self._task_sources(scope)
        deliveries = [self._deliveries[delivery_id] for delivery_id in self._finished]
        deliveries += (d for d in self._deliveries.values() if d.details.status in UNFINISHED)
        chosen = DeliveryFilter(account=scope.account, region=scope.region)
        queues, messages = self._keep_queues(scope, now_ms)
        checkpoint = Checkpoint(name, scope, now_ms, len(queues), len(topics), messages)
        self._checkpoints[name] = _Saved(
            checkpoint=checkpoint,
            queues=queues,
            deletions=[each for each in self._deletions if holds(scope, each[1])],
            tasks={
                source: [self._tasks[task_id] for task_id in self._tasks_by_source[source]]
                for source in sources
            },
            source_keys={k: key for k, key in self._source_keys.items() if holds(scope, key)},
            documents={key: text for key, text in self._documents.items() if holds(scope, key)},
            topics=topics,
            subscriptions=[s for s in self._subscriptions.values() if holds(scope, s.topic)],
            accepted_publications={
                key: accepted
                for key, accepted in self._accepted_publications.items()
                if key[0] in topic_ids
            },
            archives={
                topic_id: archive.copy()
                for topic_id, archive in self._archives.items()
                if topic_id in topic_ids
            },
            deliveries=[each for each in deliveries if fits(each, chosen)],
        )
        return checkpoint

    def _keep_queues(
        self, scope: Scope, now_ms: int
    ) -> tuple[list[tuple[QueueRecord, _KeptContent]], int]:
        """The queues of a scope with what they hold, spares included; how many messages it is."""
        kept: list[tuple[QueueRecord, _KeptContent]] = []
        messages = 0
        for queue in [each for each in self._queues.values() if holds(scope, each.record.key)]:
            queue.content.settle(now_ms, limit=NEVER)
            messages += len(queue.content.messages)
            original = _KeptContent(queue.content).take()
            content = _KeptContent(original)
            while not content.go_on():
                pass
            kept.append((queue.record, content))
        return kept, messages

    async def list_checkpoints(self) -> list[Checkpoint]:
        return [self._checkpoints[name].checkpoint for name in sorted(self._checkpoints)]

    async def restore_checkpoint(self, name: str, *, now_ms: int) -> Checkpoint | None:
        saved = self._checkpoints.get(name)
        if saved is None:
            return None
        changed = dict.fromkeys(self._clear(saved.checkpoint.scope))
        for record, kept in saved.queues:
            content = kept.take()
            content.content_id = self._next_number()
            self._put_queue(replace(record, content_id=content.content_id), content)
            self._plan_upkeep(content)
            self._unready[kept] = None
            changed[record.queue_id] = None
        self._deletions = deque(sorted([*self._deletions, *saved.deletions]))
        self._deleted_at_ms = {key: at_ms for at_ms, key in self._deletions}
        self._restore_tasks(saved)
        self._restore_topics(saved)
        self._restore_deliveries(saved.deliveries)
        for queue_id in changed:
            self._changed(queue_id, EVERYBODY)
        return saved.checkpoint

    def _restore_tasks(self, saved: _Saved) -> None:
        self._source_keys |= saved.source_keys
        for source_id, tasks in saved.tasks.items():
            self._tasks_by_source[source_id] = deque(task.task_id for task in tasks)
            self._tasks |= {task.task_id: task for task in tasks}
        unfinished = [task for task in self._tasks.values() if task.status in UNFINISHED_TASKS]
        unfinished.sort(key=lambda task: task.started_at_ms)
        self._unfinished = {task.task_id: None for task in unfinished}

    def _restore_topics(self, saved: _Saved) -> None:
        """And subscriptions and documents."""
        for key, value in saved.documents.items():
            self._put_document(key, value)
        for topic in saved.topics:
            self._put_topic(replace(topic, revision=self._next_number()))
        for subscription in saved.subscriptions:
            self._subscriptions[subscription.subscription_id] = subscription
            if subscription.ended_at_ms is None:
                self._join(subscription)
            if subscription.expires_at_ms is not None:
                self._expire_in_time(subscription.subscription_id, subscription.expires_at_ms)
        self._set_accepted_publications(
            [*self._accepted_publications.items(), *saved.accepted_publications.items()]
        )
        self._archives |= {each: archive.copy() for each, archive in saved.archives.items()}

    def _restore_deliveries(self, deliveries: list[Delivery]) -> None:
        restored = {delivery.delivery_id: delivery for delivery in deliveries}
        self._deliveries = dict(sorted((self._deliveries | restored).items()))
        for delivery in deliveries:
            self._put_delivery(delivery)
        finished = [self._deliveries[delivery_id] for delivery_id in self._finished]
        finished.sort(key=lambda delivery: delivery.details.finished_at_ms or 0)
        self._finished = {delivery.delivery_id: None for delivery in finished}

    async def delete_checkpoint(self, name: str) -> bool:
        return self._forget_checkpoint(name)

    def _forget_checkpoint(self, name: str) -> bool:
        """``delete_checkpoint``."""
        saved = self._checkpoints.pop(name, None)
        if saved is None:
            return False
        for _, kept in saved.queues:
            self._unready.pop(kept, None)
            for content in kept.contents():
                self._discard(content)
        return True

    # --- upkeep ---------------------------------------------------------------------------------

    async def sweep(self, *, now_ms: int, limit: int) -> int | None:
        next_ms = await super().sweep(now_ms=now_ms, limit=limit)
        for _ in range(0, limit, COPY_STEP):
            if not self._unready:
                return next_ms
            kept = next(iter(self._unready))
            if kept.go_on():
                del self._unready[kept]
        return now_ms if self._unready else next_ms
