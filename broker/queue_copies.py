"""Copies of publications for queues: subscribed ones, and dead-letter queues of subscriptions."""

from broker.arns import parse_queue_arn
from broker.errors import BrokerError, QueueDoesNotExist
from broker.message_attributes import RawAttribute
from broker.messages import Messages
from broker.subscription_attributes import dead_letter_arn
from broker.topic_messages import is_reserved
from broker.values import Draft
from storage.contract import Storage
from storage.records import NewMessage, QueueKey
from storage.topic_records import Publication, SubscriptionRecord

#: who sends the messages that come from topics, as queues tell it
SENDER_ID = "AIDAIT2UOQQY3AUEKVGXU"

Copy = tuple[int, NewMessage]


class QueueCopies:
    """Makes copies by the rules of SendMessage."""

    def __init__(self, store: Storage, messages: Messages) -> None:
        self._store = store
        self._messages = messages

    async def copy(
        self,
        publication: Publication,
        body: str,
        *,
        raw: bool,
        queue: QueueKey,
        queue_id: int | None,
        now_ms: int,
    ) -> Copy:
        """The copy for a queue (SNS reference, 5.2).

        ``queue_id``: which one was subscribed, if it was there; another of the same name is not
        it [AWS].  Raises what SendMessage raises.
        """
        record = await self._store.get_queue(queue)
        if record is None or (queue_id is not None and record.queue_id != queue_id):
            raise QueueDoesNotExist
        fifo = record.settings.fifo
        draft = Draft(
            body,
            attributes=_raw_attributes(publication) if raw else None,
            # FIFO topics pass groups on to FIFO queues only; standard ones to standard queues
            group_id=publication.group_id if fifo or publication.sequence is None else None,
            deduplication_id=publication.deduplication_id if fifo else None,
            trace_header=publication.trace_header,
        )
        message = self._messages.message_of(record, draft, now_ms=now_ms, sender_id=SENDER_ID)
        return record.queue_id, message

    async def dead_letter(
        self,
        publication: Publication,
        body: str,
        subscription: SubscriptionRecord,
        *,
        now_ms: int,
    ) -> Copy | None:
        """The copy for the subscription's dead-letter queue (5.11); None: nothing can go there."""
        arn = dead_letter_arn(subscription.attributes)
        queue = None if arn is None else parse_queue_arn(arn)
        if queue is None:
            return None
        # what has too many attributes for a queue is kept without them
        for raw in (is_raw(subscription), False):
            try:
                return await self.copy(
                    publication, body, raw=raw, queue=queue, queue_id=None, now_ms=now_ms
                )
            except BrokerError:
                continue
        return None


def is_raw(subscription: SubscriptionRecord) -> bool:
    """Whether a subscription asks for raw delivery and its protocol has it (3.2)."""
    return (
        subscription.attributes.get("RawMessageDelivery") == "true"
        and subscription.protocol in _RAW_PROTOCOLS
    )


_RAW_PROTOCOLS = ("sqs", "http", "https", "firehose")


def _raw_attributes(publication: Publication) -> dict[str, RawAttribute] | None:
    """A publication's attributes as attributes of a queue's message; not those for services."""
    if not publication.attributes:
        return None
    return {
        name: RawAttribute(attribute.data_type, attribute.value)
        if isinstance(attribute.value, str)
        else RawAttribute(attribute.data_type, binary_value=attribute.value)
        for name, attribute in publication.attributes.items()
        if not is_reserved(name)
    }
