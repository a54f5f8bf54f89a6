"""The lives of messages, told from the timeline.

What nobody does, because it follows from time (a message becomes visible again, or expires), is
concluded when somebody asks.
"""

from typing import Any

from broker.arns import parse_arn, queue_arn
from broker.clock import Clock
from broker.envelopes import timestamp_text
from broker.explanations import Explanations
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
    VISIBILITY_CHANGED,
    Event,
    Timeline,
)
from broker.topic_errors import NotFound
from storage.contract import Storage
from storage.records import QueueKey, QueueRecord
from storage.topic_records import TopicKey

_NEVER_MS = 1 << 62
#: these happen to all messages of a queue
_WHOLE_QUEUE = (PURGED, QUEUE_DELETED)
#: after these there is no such message
_ENDS = (DELETED, MOVED, *_WHOLE_QUEUE)


class _Life:
    """What happened to one message, in order, and where it stands at the end of that."""

    def __init__(self, message_id: str) -> None:
        self.message_id = message_id
        #: where it is; 0: nowhere, or who knows
        self.queue_id = 0
        #: where it was ever
        self.queue_ids: set[int] = set()
        self.events: list[Event] = []

    def enter(self, queue_id: int) -> None:
        """It is in that queue now."""
        self.queue_id = queue_id
        self.queue_ids.add(queue_id)

    def add(self, event: Event) -> None:
        """What happened next."""
        self.events.append(event)
        if event[1] in _ENDS or event[1] == ROLLED_BACK:
            self.queue_id = 0
        elif event[1] == DEAD_LETTERED:
            self.enter(event[5])
        elif event[1] in (ENQUEUED, RECEIVED):
            self.enter(event[2])


class Lives:
    """Tells the life of a message."""

    def __init__(
        self, store: Storage, clock: Clock, timeline: Timeline, explanations: Explanations
    ) -> None:
        self._store = store
        self._clock = clock
        self._timeline = timeline
        self._explanations = explanations

    async def of(self, message_id: str) -> dict[str, Any] | None:
        """The life of a message of a queue, or of one that was published; None: it is not known.

        A document for JSON: ``messageId``, ``events`` in order of time and, of a publication,
        ``copies``: the same of each copy in a queue.
        """
        records = {record.queue_id: record for record in await self._store.all_queues()}
        lives = self._collect(message_id, records)
        own = lives.pop(message_id)
        if not own.events and not lives:
            return None
        told: dict[str, Any] = {"messageId": message_id, "events": await self._tell(own, records)}
        publication = next((event for event in own.events if event[1] == PUBLISHED), None)
        if publication is not None or lives:
            told["copies"] = [
                {"messageId": life.message_id, "events": await self._tell(life, records)}
                for life in lives.values()
            ]
        if publication is not None:
            told["events"][1:1] = await self._verdicts(publication)
        return told

    def _collect(self, message_id: str, records: dict[int, QueueRecord]) -> dict[str, _Life]:
        """That message's life and those of its copies."""
        lives = {message_id: _Life(message_id)}
        places: dict[tuple[int, int], _Life] = {}  # lives by queue id and sequence
        for event in self._timeline.events:
            _, kind, queue_id, event_message_id, sequence, detail, more = event
            if kind in (MOVED, MAYBE_MOVED):
                old, new = places.get((queue_id, sequence)), lives.get(more)
                if old is not None:
                    old.add(event)
                if new is not None:
                    new.add(event)
                    new.enter(detail)
                continue
            if kind == ROLLED_BACK:
                for life in lives.values():
                    if any(self._is_in(more, each, records) for each in life.queue_ids):
                        life.add(event)
                continue
            if event_message_id is None:
                if kind in _WHOLE_QUEUE:
                    for life in lives.values():
                        if life.queue_id == queue_id:
                            life.add(event)
                    continue
                life_there = places.get((queue_id, sequence))
                if life_there is not None:
                    life_there.add(event)
                continue
            life_of_id = lives.get(event_message_id)
            if life_of_id is None:
                if kind != ENQUEUED or more != message_id:
                    continue
                life_of_id = lives[event_message_id] = _Life(event_message_id)
            if kind == DEAD_LETTERED and not more:  # a standard queue: the sequence is kept
                for (at_queue, at_sequence), there in list(places.items()):
                    if there is life_of_id and at_queue == queue_id:
                        places[detail, at_sequence] = life_of_id
            elif sequence:
                places[queue_id, sequence] = life_of_id
            life_of_id.add(event)
        return lives

    async def _tell(self, life: _Life, records: dict[int, QueueRecord]) -> list[dict[str, Any]]:
        """The events of a life, and between them what followed from time."""
        now_ms = self._clock.now_ms()
        told: list[dict[str, Any]] = []
        hidden_until_ms: int | None = None  # in flight until then
        retained_from_ms: int | None = None  # since when it ages
        queue_id = 0
        last_ms = 0
        ended = False

        def returned(before_ms: int) -> None:
            nonlocal hidden_until_ms
            if hidden_until_ms is not None and hidden_until_ms <= before_ms:
                told.append(
                    self._document(hidden_until_ms, "returned", queue=self._arn(queue_id, records))
                )
                hidden_until_ms = None

        def expires_ms() -> int:
            record = records.get(queue_id)
            if ended or record is None or retained_from_ms is None:
                return _NEVER_MS
            return retained_from_ms + record.settings.message_retention_period_ms

        for event in sorted(life.events, key=lambda each: each[0]):
            at_ms, kind, event_queue_id, _, _, detail, more = event
            if kind == PURGED and expires_ms() <= at_ms:
                break  # it was there no more
            returned(at_ms)
            told.append(self._shown(event, life, records))
            last_ms = at_ms
            if kind == ENQUEUED:
                queue_id, retained_from_ms = event_queue_id, at_ms
            elif kind == RECEIVED:
                queue_id, hidden_until_ms = event_queue_id, more
            elif kind == VISIBILITY_CHANGED:
                hidden_until_ms = detail
            elif kind == DEAD_LETTERED:
                queue_id, hidden_until_ms = detail, None
                if more:  # a FIFO queue: its retention starts anew
                    retained_from_ms = at_ms
            elif kind in (MOVED, MAYBE_MOVED) and more == life.message_id:
                queue_id, retained_from_ms = detail, at_ms
            elif kind == ROLLED_BACK:  # whether it is there now, and since when, is not known
                hidden_until_ms = retained_from_ms = None
            elif kind in _ENDS:
                ended = True
                hidden_until_ms = None
        expired_ms = expires_ms()
        returned(min(now_ms, expired_ms - 1))
        if last_ms < expired_ms <= now_ms:
            queue = self._arn(queue_id, records)
            told.append(self._document(expired_ms, "expired", queue=queue))
        return told

    def _shown(self, event: Event, life: _Life, records: dict[int, QueueRecord]) -> dict[str, Any]:
        """An event that was recorded, as it is told."""
        at_ms, kind, queue_id, _, _, detail, more = event
        if kind == ROLLED_BACK:
            account, region = more
            return self._document(at_ms, kind, checkpoint=detail, account=account, region=region)
        queue = self._arn(queue_id, records)
        if kind == PUBLISHED:
            return self._document(at_ms, kind, topicArn=detail)
        if kind == DELIVERY:
            protocol, outcome, status_code = more
            return self._document(
                at_ms,
                kind,
                outcome=outcome,
                protocol=protocol,
                to=detail,
                statusCode=status_code,
            )
        if kind == ENQUEUED:
            visible_at = timestamp_text(detail) if detail > at_ms else None
            return self._document(at_ms, kind, queue=queue, visibleAt=visible_at, publication=more)
        if kind == RECEIVED:
            until = timestamp_text(more)
            return self._document(at_ms, kind, queue=queue, receiveCount=detail, hiddenUntil=until)
        if kind == VISIBILITY_CHANGED:
            until = timestamp_text(detail)
            return self._document(at_ms, kind, queue=queue, hiddenUntil=until)
        if kind == DEAD_LETTERED:
            to = self._arn(detail, records)
            return self._document(at_ms, kind, **{"from": queue, "to": to})
        if kind in (MOVED, MAYBE_MOVED):
            to = self._arn(detail, records)
            if more == life.message_id:  # it would not be known if it had not been moved
                return self._document(at_ms, MOVED, **{"from": queue, "to": to})
            return self._document(at_ms, kind, **{"from": queue, "to": to}, newMessageId=more)
        return self._document(at_ms, kind, queue=queue)

    async def _verdicts(self, publication: Event) -> list[dict[str, Any]]:
        """What the subscriptions of a topic made of a publication, if that is still known."""
        at_ms, _, _, message_id, _, arn, _ = publication
        parsed = None if arn is None else parse_arn(arn)
        topic = None if parsed is None else await self._store.get_topic(TopicKey(*parsed[1]))
        if topic is None:
            return []
        assert message_id is not None
        try:
            told = await self._explanations.of_message_id(topic, message_id)
        except NotFound:
            return []
        verdicts = []
        for verdict in told["subscriptions"]:
            deliveries = verdict.pop("deliveries")
            copies = [each["queueMessageId"] for each in deliveries if "queueMessageId" in each]
            outcome = "matched" if deliveries else verdict["outcome"]
            verdicts.append(
                self._document(
                    at_ms,
                    "subscription",
                    **{**verdict, "outcome": outcome},
                    queueMessageId=copies[0] if copies else None,
                )
            )
        return verdicts

    def _key(self, queue_id: int, records: dict[int, QueueRecord]) -> QueueKey | None:
        """The key of a queue; None if it was deleted long ago."""
        record = records.get(queue_id)
        return self._timeline.deleted_queues.get(queue_id) if record is None else record.key

    def _is_in(
        self, scope: tuple[str | None, ...], queue_id: int, records: dict[int, QueueRecord]
    ) -> bool:
        """Whether a queue is of that account and region (None: any)."""
        key = self._key(queue_id, records)
        account, region = scope
        return key is None or (account in (None, key.account) and region in (None, key.region))

    def _arn(self, queue_id: int, records: dict[int, QueueRecord]) -> str | None:
        """The ARN of a queue; None if it was deleted long ago."""
        key = self._key(queue_id, records)
        return None if key is None else queue_arn(key)

    @staticmethod
    def _document(at_ms: int, event: str, **details: Any) -> dict[str, Any]:
        """What is known of an event: details that are None are left out."""
        known = {name: value for name, value in details.items() if value is not None}
        return {"at": timestamp_text(at_ms), "event": event, **known}
