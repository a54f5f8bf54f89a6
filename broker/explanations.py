"""Why did it not arrive?  What a topic's subscriptions make of a message, and why."""

from typing import Any

from broker.arns import subscription_arn, topic_arn
from broker.clock import Clock
from broker.envelopes import ProtocolMessages, timestamp_text
from broker.fanouts import content_key, filter_policy, takes_new_messages
from broker.filter_matching import MessageFacts
from broker.recent_publications import RecentPublications
from broker.topic_errors import NotFound
from broker.topic_messages import TopicDraft, check_draft, check_structure
from storage.contract import Storage
from storage.topic_records import (
    Delivery,
    DeliveryFilter,
    DeliveryKind,
    Publication,
    SubscriptionRecord,
    SubscriptionState,
    TopicRecord,
)

_DELIVERIES_MAX = 10_000


class Explanations:
    """Answers what became, or would become, of a message to a topic."""

    def __init__(self, store: Storage, clock: Clock, recent: RecentPublications) -> None:
        self._store = store
        self._clock = clock
        self._recent = recent

    async def of_message_id(self, topic: TopicRecord, message_id: str) -> dict[str, Any]:
        """What became of a message that was published, by its id.

        Raises ``NotFound`` if neither memory nor outbox knows it (any more).
        """
        chosen = DeliveryFilter(topic_arn=topic_arn(topic.key), message_id=message_id)
        deliveries = await self._store.list_deliveries(chosen, limit=_DELIVERIES_MAX)
        recent = self._recent.find(message_id)
        if recent is not None and recent.publication.topic_arn == topic_arn(topic.key):
            publication, queue_message_ids = recent
        elif deliveries:
            publication, queue_message_ids = deliveries[0].publication, {}
        else:
            raise NotFound("Message is not known: it was published too long ago, or never")
        told = await self.of_publication(topic, publication)
        by_subscription: dict[str | None, list[dict[str, Any]]] = {}
        for delivery in deliveries:
            by_subscription.setdefault(delivery.details.subscription_id, []).append(
                delivery_document(delivery)
            )
        for each in told["subscriptions"]:
            subscription_id = each["subscriptionArn"].rpartition(":")[2]
            each["deliveries"] = by_subscription.pop(subscription_id, [])
            if subscription_id in queue_message_ids:
                each["deliveries"].append(
                    {
                        "status": "delivered",
                        "queueMessageId": queue_message_ids[subscription_id],
                    }
                )
        told["subscriptions"] += [
            {
                "subscriptionArn": made[0]["subscriptionArn"],
                "protocol": made[0]["protocol"],
                "endpoint": made[0]["endpoint"],
                "outcome": "ended",
                "reason": "The subscription has ended since.",
                "deliveries": made,
            }
            for made in by_subscription.values()
        ]
        return told

    async def of_draft(self, topic: TopicRecord, draft: TopicDraft) -> dict[str, Any]:
        """What would become of a message if it were published now.

        Raises what Publish raises about the message itself.
        """
        checked = check_draft(draft)
        check_structure(checked)
        publication = Publication(
            message_id="",
            topic_arn=topic_arn(topic.key),
            message=draft.message,
            published_at_ms=self._clock.now_ms(),
            structured=checked.structured,
            attributes=checked.attributes,
        )
        told = await self.of_publication(topic, publication)
        del told["messageId"]
        return told

    async def of_publication(self, topic: TopicRecord, publication: Publication) -> dict[str, Any]:
        """What the topic's subscriptions, as they are now, make of a message.

        Raises ``InvalidParameter`` for a structured message that cannot be read.
        """
        messages = ProtocolMessages.of(publication)
        return {
            "topicArn": topic_arn(topic.key),
            "messageId": publication.message_id,
            "subscriptions": [
                self._verdict(record, publication, messages)
                for record in await self._store.topic_subscriptions(topic.topic_id)
            ],
        }

    @staticmethod
    def _verdict(
        record: SubscriptionRecord, publication: Publication, messages: ProtocolMessages
    ) -> dict[str, Any]:
        told: dict[str, Any] = {
            "subscriptionArn": subscription_arn(record),
            "protocol": record.protocol,
            "endpoint": record.endpoint,
        }
        if record.state is SubscriptionState.PENDING:
            return {**told, "outcome": "pending", "reason": "The endpoint has not confirmed yet."}
        if record.created_at_ms > publication.published_at_ms:
            return {
                **told,
                "outcome": "too late",
                "reason": "It was subscribed after the message had been published.",
            }
        if not takes_new_messages(record):
            return {
                **told,
                "outcome": "replaying",
                "reason": "It only gets what its replay brings.",
            }
        policy = filter_policy(record)
        if policy is None:
            return {**told, "outcome": "matched", "reason": "It has no filter policy."}
        message = messages.text(content_key(record.protocol, record.endpoint))
        explained = policy.explain(MessageFacts(publication.attributes, message)).document()
        return {
            **told,
            "outcome": "matched" if explained.pop("matches") else "filtered",
            "filterPolicyScope": policy.scope,
            "filterPolicy": record.attributes["FilterPolicy"],
            **explained,
        }


def message_for(publication: Publication, protocol: str, endpoint: str) -> str:
    """The message of a publication that an endpoint gets."""
    return ProtocolMessages.of(publication).text(content_key(protocol, endpoint))


def delivery_document(delivery: Delivery) -> dict[str, Any]:
    """A delivery as it is shown, for JSON."""
    publication, details = delivery.publication, delivery.details

    def instant(at_ms: int | None) -> str | None:
        return None if at_ms is None else timestamp_text(at_ms)

    shown: dict[str, Any] = {
        "id": delivery.delivery_id,
        "kind": details.kind.value,
        "status": details.status.value,
        "protocol": details.protocol,
        "endpoint": details.endpoint,
        "account": details.account,
        "region": details.region,
        "topicArn": publication.topic_arn,
        "subscriptionArn": (
            None
            if details.subscription_id is None
            else f"{publication.topic_arn}:{details.subscription_id}"
        ),
        "messageId": publication.message_id,
        "subject": publication.subject,
        "message": publication.message,
        "createdAt": instant(details.created_at_ms),
        "dueAt": instant(details.due_at_ms),
        "attempts": details.attempts,
        "lastAttemptAt": instant(details.last_attempt_at_ms),
        "finishedAt": instant(details.finished_at_ms),
        "statusCode": details.status_code,
        "response": details.response,
        "dwellTimeMs": details.dwell_ms,
    }
    if details.kind is not DeliveryKind.NOTIFICATION:
        shown["token"] = details.token
    return shown
