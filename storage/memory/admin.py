"""What tools and tests ask of the memory store: looking at messages, and starting over."""

from bisect import bisect_right
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from heapq import heapify

from storage.admin_records import MessageState, Peeked, PeekFilter, Scope, Transfer
from storage.contract import EVERYBODY
from storage.memory.contents import NEVER, Content, FifoContent, Message
from storage.memory.queues import MemoryQueues
from storage.records import Counts, QueueKey, QueueRecord
from storage.topic_records import DeliveryFilter, DocumentKey, Published, TopicKey, TopicRecord


class MemoryAdmin(MemoryQueues):
    """See ``storage.admin_contract.AdminStorage``."""

    # --- messages -------------------------------------------------------------------------------

    def _settled_content(self, queue_id: int, now_ms: int) -> Content:
        content = self._queue(queue_id).content
        content.settle(now_ms, limit=NEVER)
        return content

    async def peek_messages(
        self,
        queue_id: int,
        chosen: PeekFilter,
        *,
        after_sequence: int = 0,
        limit: int,
        now_ms: int,
    ) -> list[Peeked]:
        messages = self._settled_content(queue_id, now_ms).messages
        sequences = sorted(messages)  # quick, as they nearly are
        found: list[Peeked] = []
        for position in range(bisect_right(sequences, after_sequence), len(sequences)):
            if len(found) >= limit:
                break
            message = messages[sequences[position]]
            if _is_chosen(message, chosen):
                hidden_until_ms = message.hidden_until_ms if message.hidden else None
                found.append(Peeked(message.claim(), _state(message), hidden_until_ms))
        return found

    async def oldest_message_sent_at_ms(self, queue_id: int, *, now_ms: int) -> int | None:
        content = self._queue(queue_id).content
        content.settle(now_ms)
        return content.oldest_enqueued_at_ms()

    async def all_queues(self) -> list[QueueRecord]:
        return [queue.record for queue in self._queues.values()]

    async def all_topics(self) -> list[TopicRecord]:
        return [topic.record for topic in self._topics.values()]

    async def survey_queues(
        self, queue_ids: Sequence[int], *, now_ms: int
    ) -> dict[int, tuple[Counts, int | None]]:
        return {
            queue_id: (
                await self.count_messages(queue_id, now_ms=now_ms),
                await self.oldest_message_sent_at_ms(queue_id, now_ms=now_ms),
            )
            for queue_id in queue_ids
            if queue_id in self._queues
        }

    async def show_messages(
        self, queue_id: int, sequences: Sequence[int], *, now_ms: int
    ) -> list[str]:
        content = self._settled_content(queue_id, now_ms)
        shown: list[str] = []
        for message in _present(content, sequences):
            if message.hidden:
                content.show(message)
                shown.append(message.new.message_id)
        if shown:
            self._changed(queue_id, len(shown))
        return shown

    async def remove_messages(
        self, queue_id: int, sequences: Sequence[int], *, now_ms: int
    ) -> list[str]:
        content = self._settled_content(queue_id, now_ms)
        removed: list[str] = []
        unlocked = 0
        for message in _present(content, sequences):
            content.remove(message)
            removed.append(message.new.message_id)
            unlocked += _unlocks(content, message)
        if unlocked:
            self._changed(queue_id, unlocked)
        return removed

    async def transfer_messages(
        self, queue_id: int, transfers: Sequence[Transfer], *, now_ms: int
    ) -> int:
        targets = [self._queue(transfer.destination_queue_id).content for transfer in transfers]
        source = self._settled_content(queue_id, now_ms)
        arrived: dict[int, int] = {}
        unlocked = 0
        for transfer, target in zip(transfers, targets, strict=True):
            message = source.messages.get(transfer.sequence)
            if message is None:
                continue
            self._move(message, source, target, transfer.message_id, now_ms)
            destination = transfer.destination_queue_id
            arrived[destination] = arrived.get(destination, 0) + 1
            unlocked += _unlocks(source, message)
        if unlocked:
            self._changed(queue_id, unlocked)
        for destination, number in arrived.items():
            self._changed(destination, number)
        return sum(arrived.values())

    # --- starting over --------------------------------------------------------------------------

    async def reset(self, scope: Scope, *, now_ms: int) -> None:
        for queue_id in self._clear(scope):
            self._changed(queue_id, EVERYBODY)

    def _clear(self, scope: Scope) -> list[int]:
        """Remove what is in a scope; the ids of the queues that were."""
        queues = [queue for queue in self._queues.values() if holds(scope, queue.record.key)]
        for queue in queues:
            self._take_queue(queue)
        self._deletions = deque(each for each in self._deletions if not holds(scope, each[1]))
        self._deleted_at_ms = {key: at_ms for at_ms, key in self._deletions}
        for source_id in self._task_sources(scope):
            for task_id in self._tasks_by_source.pop(source_id):
                del self._tasks[task_id]
                self._unfinished.pop(task_id, None)
            self._source_keys.pop(source_id, None)
        for key in [key for key in self._documents if holds(scope, key)]:
            self._put_document(key, None)
        self._clear_topics(scope)
        self._clear_deliveries(DeliveryFilter(account=scope.account, region=scope.region))
        return [queue.record.queue_id for queue in queues]

    def _clear_topics(self, scope: Scope) -> None:
        """Remove the topics of a scope, and all subscriptions to topics of it."""
        for record in [each for each in self._subscriptions.values() if holds(scope, each.topic)]:
            del self._subscriptions[record.subscription_id]
            if record.ended_at_ms is None:
                self._leave(record)
        self._expiring = [each for each in self._expiring if each[1] in self._subscriptions]
        heapify(self._expiring)
        for topic in [each for each in self._topics.values() if holds(scope, each.record.key)]:
            self._take_topic(topic.record)
        # Those of topics deleted earlier go too: such a topic may come back.
        self._set_accepted_publications(
            item for item in self._accepted_publications.items() if item[0][0] in self._topics
        )

    def _set_accepted_publications(
        self, accepted: Iterable[tuple[tuple[int, str], tuple[int, Published]]]
    ) -> None:
        self._accepted_publications = dict(accepted)
        self._closing_windows = deque(
            sorted((until_ms, key) for key, (until_ms, _) in self._accepted_publications.items())
        )

    def _task_sources(self, scope: Scope) -> list[int]:
        """The sources of the move tasks of a scope."""
        if scope == Scope():
            return list(self._tasks_by_source)
        return [source for source, key in self._source_keys.items() if holds(scope, key)]


def holds(scope: Scope, key: QueueKey | TopicKey | DocumentKey) -> bool:
    """Whether what has that key is in the scope."""
    return scope.account in (None, key.account) and scope.region in (None, key.region)


def _present(content: Content, sequences: Sequence[int]) -> Iterator[Message]:
    """Those of the messages that are there when it is their turn."""
    for sequence in sequences:
        message = content.messages.get(sequence)
        if message is not None:
            yield message


def _state(message: Message) -> MessageState:
    if not message.hidden:
        return MessageState.VISIBLE
    return MessageState.IN_FLIGHT if message.receive_count else MessageState.DELAYED


def _is_chosen(message: Message, chosen: PeekFilter) -> bool:
    """Whether the filter means this message."""
    return (
        (chosen.states is None or _state(message) in chosen.states)
        and (chosen.group_id is None or message.new.group_id == chosen.group_id)
        and (chosen.message_id is None or message.new.message_id == chosen.message_id)
    )


def _unlocks(content: Content, removed: Message) -> bool:
    """Whether a group was locked by the message that was removed, and is no longer."""
    return (
        isinstance(content, FifoContent)
        and removed.hidden
        and content.is_ready(removed.new.group_id)
    )
