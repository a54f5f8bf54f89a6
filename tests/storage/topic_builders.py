"""Short words for the tests of the storage contract about topics."""

from collections.abc import Sequence
from dataclasses import replace

from storage.contract import Storage
from storage.records import NewMessage
from storage.topic_records import (
    Delivery,
    DeliveryFilter,
    DeliveryStatus,
    DocumentKey,
    Lane,
    NewDelivery,
    Publication,
    Published,
    Publishing,
    SubscriptionRecord,
    SubscriptionState,
    TopicKey,
    TopicRecord,
)
from tests.storage.builders import EPOCH_MS, WINDOW_MS, AQueue, a_message

ACCOUNT = "000000000000"
REGION = "us-east-1"

#: The lane of the deliveries of ``a_delivery``.
LANE = Lane("http", "http://a")

#: When subscriptions that have ended may be removed.
EXPIRY_MS = 3_600_000


async def a_topic(
    storage: Storage,
    name: str = "a-topic",
    *,
    at: int = 0,
    account: str = ACCOUNT,
    region: str = REGION,
    **attributes: str,
) -> TopicRecord:
    """The topic of that name, created if need be."""
    key = TopicKey(account, region, name)
    record, _ = await storage.create_topic(key, attributes, {}, None, now_ms=EPOCH_MS + at)
    return record


async def the_topic(storage: Storage, topic: TopicRecord) -> TopicRecord:
    """The topic as it is now."""
    record = await storage.get_topic(topic.key)
    assert record is not None
    return record


async def drop_topic(storage: Storage, topic: TopicRecord, *, at: int) -> None:
    """Delete the topic."""
    await storage.delete_topic(
        topic.topic_id, now_ms=EPOCH_MS + at, expires_at_ms=EPOCH_MS + at + EXPIRY_MS
    )


def a_subscription(
    topic: TopicRecord, subscription_id: str = "s1", **fields: object
) -> SubscriptionRecord:
    """A confirmed subscription; its endpoint is made from its id."""
    subscription = SubscriptionRecord(
        subscription_id=subscription_id,
        topic=topic.key,
        topic_id=topic.topic_id,
        owner=topic.key.account,
        principal="arn:aws:iam::000000000000:root",
        protocol="http",
        endpoint=f"http://{subscription_id}",
        state=SubscriptionState.CONFIRMED,
        created_at_ms=EPOCH_MS,
        attributes={},
    )
    return replace(subscription, **fields)  # type: ignore[arg-type]


async def subscribe(
    storage: Storage, topic: TopicRecord, subscription_id: str = "s1", **fields: object
) -> SubscriptionRecord:
    """Add a new subscription."""
    record, added = await storage.add_subscription(a_subscription(topic, subscription_id, **fields))
    assert added
    return record


def ended(subscription: SubscriptionRecord, *, at: int) -> SubscriptionRecord:
    """The subscription after somebody unsubscribed."""
    return replace(
        subscription,
        state=SubscriptionState.DELETED,
        ended_at_ms=EPOCH_MS + at,
        expires_at_ms=EPOCH_MS + at + EXPIRY_MS,
    )


def a_publication(message: str, *, at: int = 0, **fields: object) -> Publication:
    """A message published at that moment; its id is made from its text."""
    publication = Publication(
        message_id=f"id of {message}",
        topic_arn="arn:aws:sns:us-east-1:000000000000:a-topic",
        message=message,
        published_at_ms=EPOCH_MS + at,
    )
    return publication._replace(**fields)  # type: ignore[arg-type]


def a_delivery(
    endpoint: str = LANE.endpoint, *, at: int = 0, due: int = 0, **fields: object
) -> NewDelivery:
    """A delivery accepted at one moment and due at another."""
    delivery = NewDelivery(
        account=ACCOUNT,
        region=REGION,
        protocol=LANE.protocol,
        endpoint=endpoint,
        subscription_id="s1",
        status=DeliveryStatus.PENDING,
        due_at_ms=EPOCH_MS + due,
        created_at_ms=EPOCH_MS + at,
    )
    return delivery._replace(**fields)  # type: ignore[arg-type]


def waiting(details: NewDelivery) -> NewDelivery:
    """The delivery when what it needs is not configured."""
    return details._replace(status=DeliveryStatus.WAITING, due_at_ms=None)


def finished(
    details: NewDelivery, *, at: int, status: DeliveryStatus = DeliveryStatus.DELIVERED
) -> NewDelivery:
    """The delivery after its last attempt."""
    return details._replace(
        status=status,
        due_at_ms=None,
        attempts=details.attempts + 1,
        last_attempt_at_ms=EPOCH_MS + at,
        finished_at_ms=EPOCH_MS + at,
    )


def a_publishing(
    message: str,
    *deliveries: NewDelivery,
    to: Sequence[AQueue] = (),
    at: int = 0,
    key: str | None = None,
    archived: bool = False,
    **fields: object,
) -> Publishing:
    """A publication with these deliveries and a copy ``to`` each of these queues.

    ``key`` is its deduplication key; ``fields`` are those of the publication.
    """
    return Publishing(
        a_publication(message, at=at, **fields),
        [(queue.queue_id, a_copy(message, at=at)) for queue in to],
        list(deliveries),
        key,
        archived,
    )


def a_copy(message: str, *, at: int = 0) -> NewMessage:
    """What a queue gets of a publication; a FIFO queue gets it once."""
    return a_message(message, at=at, group_id="g", deduplication_id=message)


async def publish(
    storage: Storage, topic: TopicRecord | None, *publishings: Publishing, at: int = 0
) -> list[Published] | None:
    """Publish to a topic at that moment."""
    return await storage.publish(
        topic, publishings, now_ms=EPOCH_MS + at, deduplication_window_ms=WINDOW_MS
    )


async def archive(
    storage: Storage, topic: TopicRecord, *messages: str, at: int = 0
) -> list[Publication]:
    """Publish messages that are archived only, one after the other, a millisecond apart."""
    archived: list[Publication] = []
    for later, message in enumerate(messages):
        publishing = a_publishing(
            message, at=at + later, archived=True, sequence=await storage.next_sequence()
        )
        present = await the_topic(storage, topic)
        assert await publish(storage, present, publishing, at=at + later) is not None
        archived.append(publishing.publication)
    return archived


async def listed(storage: Storage, limit: int = 100, **chosen: object) -> list[Delivery]:
    """The deliveries that fit, in order of id; ``chosen`` is that of ``DeliveryFilter``."""
    return await storage.list_deliveries(
        DeliveryFilter(**chosen),  # type: ignore[arg-type]
        limit=limit,
    )


async def due(storage: Storage, lane: Lane = LANE, *, at: int, limit: int = 100) -> list[str]:
    """The messages of the deliveries that are due, in order."""
    found = await storage.due_deliveries(lane, now_ms=EPOCH_MS + at, limit=limit)
    return messages_of(found)


def messages_of(deliveries: Sequence[Delivery]) -> list[str]:
    """What is delivered by each."""
    return [delivery.publication.message for delivery in deliveries]


def a_key(name: str, *, kind: str = "a-kind", region: str = REGION) -> DocumentKey:
    """Names a document."""
    return DocumentKey(kind, ACCOUNT, region, name)
