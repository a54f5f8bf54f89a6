"""What the verbs tell of what they did: one call each, after the store has confirmed it."""

from collections.abc import Iterable, Sequence

from broker.statistics import Statistics, add
from broker.timeline import (
    DEAD_LETTERED,
    DELETED,
    DELIVERY,
    ENQUEUED,
    MAYBE_MOVED,
    MOVED,
    PUBLISHED,
    PURGED,
    QUEUE_DELETED,
    RECEIVED,
    ROLLED_BACK,
    SENT_AGAIN,
    VISIBILITY_CHANGED,
    Timeline,
)
from storage.admin_records import Checkpoint
from storage.records import (
    Added,
    Claimed,
    DeadLetter,
    Move,
    NewMessage,
    Outcome,
    QueueRecord,
    Receipt,
)
from storage.topic_records import (
    DeliveryKind,
    DeliveryStatus,
    NewDelivery,
    Publication,
    Publishing,
)

#: what one attempt of a delivery came to, for those that are not simply finished
_RETRY = "retry"
#: an enum's member, looked up once: that costs more than counting
_DONE = Outcome.DONE


class Observer:
    """Keeps counters and, unless switched off, the timeline.

    Queues are told by their id: on this path a name costs more than all the rest.
    """

    def __init__(self, timeline_events: int) -> None:
        """``timeline_events``: how many of them are kept; 0: none."""
        self.statistics = Statistics()
        self.timeline = Timeline(timeline_events)
        self._record = self.timeline.events.append if timeline_events else None
        self._queues = self.statistics.queues
        self._topics = self.statistics.topics

    # --- queues ---------------------------------------------------------------------------------

    def sent(self, queue_id: int, message: NewMessage, added: Added, now_ms: int) -> None:
        """A message was accepted, perhaps as a duplicate."""
        kind, message_id, sequence = ENQUEUED, added.message_id, added.sequence
        if added.duplicate:
            kind = SENT_AGAIN
        else:
            self._queues[queue_id].sent += 1
        if self._record is not None:
            self._record(
                (now_ms, kind, queue_id, message_id, sequence, message.visible_at_ms, None)
            )

    def copied(
        self, publication: Publication, copies: Iterable[tuple[int, NewMessage]], now_ms: int
    ) -> None:
        """A publication was put into queues."""
        record, publication_id = self._record, publication.message_id
        for queue_id, message in copies:
            self._queues[queue_id].sent += 1
            if record is not None:
                visible_at_ms = message.visible_at_ms
                record(
                    (
                        now_ms,
                        ENQUEUED,
                        queue_id,
                        message.message_id,
                        0,
                        visible_at_ms,
                        publication_id,
                    )
                )

    def claimed(
        self,
        queue_id: int,
        claimed: Claimed,
        dead_letter: DeadLetter | None,
        *,
        fifo: bool,
        hidden_until_ms: int,
        now_ms: int,
    ) -> None:
        """A claim was made: messages were handed out, or moved to the dead-letter queue."""
        record = self._record
        if claimed.dead_lettered:
            assert dead_letter is not None
            self._queues[queue_id].dead_lettered += len(claimed.dead_lettered)
            if record is not None:
                target, how = dead_letter.queue_id, "fifo" if fifo else ""
                for message_id in claimed.dead_lettered:
                    record((now_ms, DEAD_LETTERED, queue_id, message_id, 0, target, how))
        if claimed.messages:
            self._queues[queue_id].received += len(claimed.messages)
            if record is not None:
                for claim in claimed.messages:
                    record(
                        (
                            now_ms,
                            RECEIVED,
                            queue_id,
                            claim.message_id,
                            claim.sequence,
                            claim.receive_count,
                            hidden_until_ms,
                        )
                    )

    def empty_receive(self, queue_id: int) -> None:
        """A receive was answered without a message."""
        self._queues[queue_id].empty_receives += 1

    def deleted(self, receipt: Receipt, outcome: Outcome, now_ms: int) -> None:
        """A message was deleted, if the outcome is DONE."""
        if outcome is _DONE:
            queue_id, sequence, _, _ = receipt
            self._queues[queue_id].deleted += 1
            if self._record is not None:
                self._record((now_ms, DELETED, queue_id, None, sequence, None, None))

    def visibility_changed(
        self, changes: Sequence[tuple[Receipt, int]], outcomes: Sequence[Outcome], now_ms: int
    ) -> None:
        """Messages were hidden until other moments, those whose outcome is DONE."""
        if self._record is None:
            return
        for (receipt, hidden_until_ms), outcome in zip(changes, outcomes, strict=True):
            if outcome is _DONE:
                queue_id, sequence = receipt.queue_id, receipt.sequence
                self._record(
                    (now_ms, VISIBILITY_CHANGED, queue_id, None, sequence, hidden_until_ms, None)
                )

    def moved(self, source_queue_id: int, moves: Sequence[Move], number: int, now_ms: int) -> None:
        """So many of these moves were made; which, is not told if some were not."""
        if self._record is None or not number:
            return
        kind = MOVED if number == len(moves) else MAYBE_MOVED
        for sequence, destination, message_id in moves:
            self._record((now_ms, kind, source_queue_id, None, sequence, destination, message_id))

    def removed(self, queue_id: int, message_ids: Iterable[str], now_ms: int) -> None:
        """Somebody has deleted messages who had not received them."""
        if self._record is not None:
            for message_id in message_ids:
                self._record((now_ms, DELETED, queue_id, message_id, 0, None, None))

    def shown(self, queue_id: int, message_ids: Iterable[str], now_ms: int) -> None:
        """Somebody has made messages visible who had not received them."""
        if self._record is not None:
            for message_id in message_ids:
                self._record((now_ms, VISIBILITY_CHANGED, queue_id, message_id, 0, now_ms, None))

    def purged(self, queue_id: int, now_ms: int) -> None:
        """A queue was emptied."""
        if self._record is not None:
            self._record((now_ms, PURGED, queue_id, None, 0, None, None))

    def queue_deleted(self, record: QueueRecord, now_ms: int) -> None:
        """A queue was deleted with what it held."""
        self._queues.forget(record.queue_id)
        if self._record is not None:
            self.timeline.queue_deleted(record)
            self._record((now_ms, QUEUE_DELETED, record.queue_id, None, 0, None, None))

    def rolled_back(
        self, checkpoint: Checkpoint, before: Iterable[QueueRecord], now_ms: int
    ) -> None:
        """All in a checkpoint's scope is as it was; ``before``: its queues, which may be gone."""
        if self._record is not None:
            for record in before:
                self.timeline.queue_deleted(record)
            name, scope = checkpoint.name, tuple(checkpoint.scope)
            self._record((now_ms, ROLLED_BACK, 0, None, 0, name, scope))

    # --- topics ---------------------------------------------------------------------------------

    def published(self, publishing: Publishing, delivered_copies: int, now_ms: int) -> None:
        """A message was published, with all that came of it at once.

        ``delivered_copies``: how many of the copies are for subscribed queues.
        """
        publication, copies, deliveries, *_ = publishing
        arn = publication.topic_arn
        if arn is not None:
            counters = self._topics[arn]
            counters.published += 1
            if delivered_copies:
                add(counters.delivered, "sqs", delivered_copies)
        if self._record is not None:
            self._record((now_ms, PUBLISHED, 0, publication.message_id, 0, arn, None))
        self.copied(publication, copies, now_ms)
        for delivery in deliveries:
            # a copy that was delivered has a delivery too, if its topic logs the status of it
            copied = delivery.protocol == "sqs" and delivery.status is DeliveryStatus.DELIVERED
            if delivery.finished_at_ms is not None and not copied:
                self.attempted(publication, delivery, now_ms)

    def attempted(self, publication: Publication, settled: NewDelivery, now_ms: int) -> None:
        """A delivery was attempted, and settled so."""
        if settled.kind is not DeliveryKind.NOTIFICATION:
            return
        status, protocol = settled.status, settled.protocol
        outcome = _RETRY if status is DeliveryStatus.PENDING else status.value
        if publication.topic_arn is not None:
            counters = self._topics[publication.topic_arn]
            if status is DeliveryStatus.DELIVERED:
                add(counters.delivered, protocol)
            elif status is DeliveryStatus.PENDING:
                add(counters.retried, protocol)
            else:
                add(counters.failed, protocol)
        if self._record is not None:
            to = settled.endpoint
            if settled.subscription_id is not None:
                to = f"{publication.topic_arn}:{settled.subscription_id}"
            told = (protocol, outcome, settled.status_code)
            self._record((now_ms, DELIVERY, 0, publication.message_id, 0, to, told))
