"""Who gets what is published to a topic: compiled once for each revision of the topic."""

from collections import OrderedDict
from collections.abc import Iterator
from typing import NamedTuple

from broker.arns import parse_queue_arn, subscription_arn
from broker.envelopes import ProtocolMessages
from broker.filter_matching import FilterIndex, FilterPolicy, MessageFacts
from broker.filter_policies import parse_filter_policy
from broker.platforms import platform_of
from broker.queue_copies import is_raw
from broker.subscription_attributes import DEFAULT_SCOPE
from storage.contract import Storage
from storage.records import QueueKey
from storage.topic_records import (
    Publication,
    ReplayStatus,
    SubscriptionRecord,
    SubscriptionState,
    TopicRecord,
)

_TOPICS_REMEMBERED = 1_000


class Recipient(NamedTuple):
    """A subscription that gets what it does not filter out."""

    subscription: SubscriptionRecord
    arn: str
    raw: bool
    queue: QueueKey | None  # protocol sqs
    content_key: str  # which entry of a structured message is for it


def filter_policy(subscription: SubscriptionRecord) -> FilterPolicy | None:
    """A subscription's filter policy; None if it takes everything."""
    return parse_filter_policy(
        subscription.attributes.get("FilterPolicy", ""),
        subscription.attributes.get("FilterPolicyScope", DEFAULT_SCOPE),
    )


def recipient(subscription: SubscriptionRecord) -> Recipient:
    """A subscription with what deliveries to it depend on."""
    is_queue = subscription.protocol == "sqs"
    return Recipient(
        subscription,
        subscription_arn(subscription),
        is_raw(subscription),
        parse_queue_arn(subscription.endpoint) if is_queue else None,
        content_key(subscription.protocol, subscription.endpoint),
    )


def content_key(protocol: str, endpoint: str) -> str:
    """Which entry of a structured message is for an endpoint (SNS reference, 4.3)."""
    return platform_of(endpoint) if protocol == "application" else protocol


def takes_new_messages(subscription: SubscriptionRecord) -> bool:
    """Whether what is published now goes to a subscription, and not what a replay brings it (8.3).

    A replay with an end is all that its subscription gets; one without goes over into this.
    """
    if subscription.state is not SubscriptionState.CONFIRMED:
        return False
    replay = subscription.replay
    return (
        replay is None
        or replay.status is ReplayStatus.FAILED
        or (replay.status is ReplayStatus.COMPLETED and replay.until_ms is None)
    )


class Fanout:
    """The recipients of one revision of a topic."""

    def __init__(self, subscriptions: list[SubscriptionRecord]) -> None:
        by_key: dict[str, list[tuple[Recipient, FilterPolicy | None]]] = {}
        for subscription in filter(takes_new_messages, subscriptions):
            each = recipient(subscription)
            by_key.setdefault(each.content_key, []).append((each, filter_policy(subscription)))
        self._indexes = {key: FilterIndex(items) for key, items in by_key.items()}

    def matching(
        self, publication: Publication, messages: ProtocolMessages
    ) -> Iterator[tuple[str, list[Recipient]]]:
        """Messages of a publication, each with those who get it."""
        facts: dict[str, MessageFacts] = {}
        for key, index in self._indexes.items():
            message = messages.text(key)
            if message not in facts:
                facts[message] = MessageFacts(publication.attributes, message)
            recipients = index.matching(facts[message])
            if recipients:
                yield message, recipients


class Fanouts:
    """The fan-outs of the topics that were published to lately."""

    def __init__(self, store: Storage) -> None:
        self._store = store
        self._known: OrderedDict[int, tuple[int, Fanout]] = OrderedDict()

    async def of(self, topic: TopicRecord) -> Fanout:
        """That of a topic, as of the revision of the record or later."""
        known = self._known.get(topic.topic_id)
        if known is not None and known[0] == topic.revision:
            return known[1]
        fanout = Fanout(await self._store.topic_subscriptions(topic.topic_id))
        self._known[topic.topic_id] = (topic.revision, fanout)
        self._known.move_to_end(topic.topic_id)
        if len(self._known) > _TOPICS_REMEMBERED:
            self._known.popitem(last=False)
        return fanout
