"""The verbs that publish: to topics, to platform endpoints, to phone numbers."""

import re
from collections.abc import Sequence
from typing import NamedTuple

from broker import limits
from broker.arns import arn_parts, topic_arn
from broker.callers import Caller
from broker.clock import Clock
from broker.delivery_status import DeliveryStatusLog, wants_success
from broker.envelopes import ProtocolMessages
from broker.errors import BrokerError, QueueDoesNotExist
from broker.fanouts import Fanouts, Recipient
from broker.ids import Ids
from broker.observer import Observer
from broker.outbox import Outbox
from broker.phones import Phones
from broker.platforms import Platforms, check_platform_entry
from broker.queue_copies import QueueCopies
from broker.recent_publications import RecentPublication, RecentPublications
from broker.renderings import Rendering
from broker.replays import Replays
from broker.signatures import Signatures
from broker.sms import check_phone_number, check_sms_attributes, check_sms_message
from broker.topic_errors import (
    EmptyPublishBatch,
    EndpointDisabled,
    InvalidParameter,
    InvalidPublishBatchId,
    PlatformApplicationDisabled,
    PublishBatchIdsNotDistinct,
    PublishBatchTooLong,
    TooManyPublishBatchEntries,
)
from broker.topic_messages import (
    CheckedMessage,
    TopicDraft,
    check_draft,
    check_ids,
    check_size,
    check_structure,
)
from broker.topics import Topics
from storage.contract import Storage
from storage.errors import UnknownQueue
from storage.topic_records import (
    DeliveryStatus,
    NewDelivery,
    Publication,
    Publishing,
    TopicRecord,
)

_BATCH_ID = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)


class PublishedMessage(NamedTuple):
    """An accepted message, or the earlier one that it duplicates."""

    message_id: str
    sequence_number: str | None  # FIFO topics


class _Composed(NamedTuple):
    """A publication with all that comes of it, and the ids of its copies by subscription."""

    publishing: Publishing
    queue_message_ids: dict[str, str]


class _Accepted(NamedTuple):
    """A message that may be published to a topic, and under which deduplication id."""

    message_id: str
    checked: CheckedMessage
    deduplication_id: str | None


class Publisher:
    """Publishes.  What it answers for is stored, with all that is to be delivered of it."""

    def __init__(
        self,
        store: Storage,
        clock: Clock,
        ids: Ids,
        *,
        topics: Topics,
        platforms: Platforms,
        phones: Phones,
        copies: QueueCopies,
        signatures: Signatures,
        outbox: Outbox,
        status_log: DeliveryStatusLog,
        recent: RecentPublications,
        replays: Replays,
        observer: Observer,
    ) -> None:
        self._store = store
        self._clock = clock
        self._ids = ids
        self._topics = topics
        self._platforms = platforms
        self._phones = phones
        self._copies = copies
        self._signatures = signatures
        self._outbox = outbox
        self._status_log = status_log
        self._recent = recent
        self._replays = replays
        self._observer = observer
        self._fanouts = Fanouts(store)

    async def publish(
        self,
        caller: Caller,
        draft: TopicDraft,
        *,
        topic_arn: str | None,
        target_arn: str | None,
        phone_number: str | None,
        base_url: str,
    ) -> PublishedMessage:
        """Publish to exactly one of these (SNS reference, 4.1).

        ``base_url``: what links in envelopes begin with.
        """
        given = [each for each in (topic_arn, target_arn, phone_number) if each is not None]
        if not given:
            raise InvalidParameter.missing("TopicArn or TargetArn")
        if len(given) > 1:
            raise InvalidParameter.of(
                "Only one of TopicArn, TargetArn and PhoneNumber may be specified"
            )
        checked = check_draft(draft)
        if phone_number is not None:
            return await self._to_phone(caller, checked, phone_number, base_url)
        if target_arn is not None and _is_endpoint(target_arn):
            return await self._to_endpoint(caller, checked, target_arn, base_url)
        topic = await self._topics.get(caller, given[0])
        check_size(checked, _bytes_max(topic))
        check_structure(checked)
        [published] = await self._to_topic(caller, topic, [checked], base_url)
        return published

    async def publish_batch(
        self,
        caller: Caller,
        topic_arn: str | None,
        drafts: Sequence[tuple[str, TopicDraft]],
        *,
        base_url: str,
    ) -> list[PublishedMessage]:
        """Publish up to ten messages, in order; one that is refused refuses all (4.6)."""
        arn_parts(topic_arn, "TopicArn")
        if len(drafts) > limits.PUBLISH_BATCH_ENTRIES_MAX:
            raise TooManyPublishBatchEntries
        if not drafts:
            raise EmptyPublishBatch
        if len({entry_id for entry_id, _ in drafts}) != len(drafts):
            raise PublishBatchIdsNotDistinct
        for entry_id, _ in drafts:
            _check_batch_id(entry_id)
        topic = await self._topics.get(caller, topic_arn)
        checked = [
            check_draft(draft, path=f"publishBatchRequestEntries.{number}.member.messageAttributes")
            for number, (_, draft) in enumerate(drafts, 1)
        ]
        for each in checked:
            check_structure(each)
        if sum(each.size_bytes for each in checked) > _bytes_max(topic):
            raise PublishBatchTooLong
        return await self._to_topic(caller, topic, checked, base_url)

    # --- topics ---------------------------------------------------------------------------------

    async def _to_topic(
        self, caller: Caller, topic: TopicRecord, messages: list[CheckedMessage], base_url: str
    ) -> list[PublishedMessage]:
        attributes = topic.attributes
        content_based = attributes.get("ContentBasedDeduplication") == "true"
        accepted = [
            _Accepted(
                self._ids.uuid(),
                checked,
                check_ids(checked, fifo=topic.fifo, content_based=content_based),
            )
            for checked in messages
        ]
        while True:
            now_ms = self._clock.now_ms()
            composed = [await self._compose(topic, each, base_url, now_ms) for each in accepted]
            try:
                published = await self._store.publish(
                    topic,
                    [each.publishing for each in composed],
                    now_ms=now_ms,
                    deduplication_window_ms=limits.DEDUPLICATION_WINDOW_MS,
                )
            except UnknownQueue:  # deleted at this moment: look again
                continue
            if published is not None:
                break
            topic = await self._topics.again(topic)
        for each, answer in zip(composed, published, strict=True):
            if not answer.duplicate:
                self._after(topic, each)
        return [
            PublishedMessage(
                each.message_id, None if each.sequence is None else f"{each.sequence:020}"
            )
            for each in published
        ]

    def _after(self, topic: TopicRecord, composed: _Composed) -> None:
        """What remains to be done when a publication is stored."""
        publication, _, deliveries, *_ = composed.publishing
        copies = len(composed.queue_message_ids)
        self._observer.published(composed.publishing, copies, publication.published_at_ms)
        self._outbox.accepted(deliveries)
        if composed.publishing.archived:
            self._replays.archived(topic.topic_id)
        self._recent.remember(RecentPublication(publication, composed.queue_message_ids))
        for delivery in deliveries:
            if delivery.finished_at_ms is not None:
                self._status_log.write(topic.attributes, publication, delivery)

    async def _compose(
        self, topic: TopicRecord, accepted: _Accepted, base_url: str, now_ms: int
    ) -> _Composed:
        """A message with all that comes of it, as the topic is now.

        For FIFO topics nothing waits between taking a sequence and handing it to the store (they
        sign nothing): the order of sequences is that of publishing, and replays rely on it.
        """
        message_id, checked, deduplication_id = accepted
        draft = checked.draft
        publication = Publication(
            message_id=message_id,
            topic_arn=topic_arn(topic.key),
            message=draft.message,
            published_at_ms=now_ms,
            subject=draft.subject,
            structured=checked.structured,
            attributes=checked.attributes,
            group_id=draft.group_id,
            deduplication_id=deduplication_id,
            sequence=await self._store.next_sequence() if topic.fifo else None,
            trace_header=draft.trace_header,
            base_url=base_url,
        )
        key = deduplication_id
        if key is not None and topic.attributes.get("FifoThroughputScope") == "MessageGroup":
            key = f"{draft.group_id}\0{key}"
        publishing = Publishing(
            publication,
            copies=[],
            deliveries=[],
            deduplication_key=key,
            archived="ArchivePolicy" in topic.attributes,
        )
        composed = _Composed(publishing, {})
        rendering = Rendering(
            publication,
            self._signatures,
            signature_version=topic.attributes.get("SignatureVersion", "1"),
        )
        fanout = await self._fanouts.of(topic)
        for message, recipients in fanout.matching(publication, rendering.messages):
            if recipients[0].content_key == "sqs":
                await self._to_queues(topic, recipients, message, rendering, composed, now_ms)
                continue
            for recipient in recipients:
                publishing.deliveries.append(
                    await self._delivery(recipient, topic.key.region, now_ms)
                )
        return composed

    async def _to_queues(
        self,
        topic: TopicRecord,
        recipients: list[Recipient],
        message: str,
        rendering: Rendering,
        composed: _Composed,
        now_ms: int,
    ) -> None:
        """Add the copies for queues; what a queue refuses goes to its dead-letter queue at once."""
        publishing = composed.publishing
        publication = publishing.publication
        enveloped = not all(recipient.raw for recipient in recipients)
        notification = await rendering.notification(message) if enveloped else None
        tells_success = wants_success(topic.attributes, "sqs", publication.message_id)
        for recipient in recipients:
            subscription = recipient.subscription
            body = message
            if notification is not None and not recipient.raw:
                body = notification.envelope(recipient.arn)
            assert recipient.queue is not None
            try:
                copy = await self._copies.copy(
                    publication,
                    body,
                    raw=recipient.raw,
                    queue=recipient.queue,
                    queue_id=subscription.queue_id,
                    now_ms=now_ms,
                )
            except BrokerError as refusal:
                delivery = self._finished(recipient, topic.key.region, now_ms, refusal)
                dead_letter = await self._copies.dead_letter(
                    publication, body, subscription, now_ms=now_ms
                )
                if dead_letter is not None:
                    publishing.copies.append(dead_letter)
                    delivery = delivery._replace(status=DeliveryStatus.DEAD_LETTERED)
                publishing.deliveries.append(delivery)
                continue
            publishing.copies.append(copy)
            message_id = copy[1].message_id
            composed.queue_message_ids[subscription.subscription_id] = message_id
            if tells_success:
                delivery = self._finished(recipient, topic.key.region, now_ms, None)
                response = f'{{"sqsMessageId":"{message_id}"}}'
                publishing.deliveries.append(delivery._replace(response=response))

    @staticmethod
    def _finished(
        recipient: Recipient, region: str, now_ms: int, refusal: BrokerError | None
    ) -> NewDelivery:
        """A delivery to a queue, which is attempted once, in the publish itself."""
        subscription = recipient.subscription
        gone = isinstance(refusal, QueueDoesNotExist)
        return NewDelivery(
            subscription.owner,
            region,
            subscription.protocol,
            subscription.endpoint,
            subscription.subscription_id,
            DeliveryStatus.DELIVERED if refusal is None else DeliveryStatus.FAILED,
            None,
            now_ms,
            attempts=1,
            last_attempt_at_ms=now_ms,
            finished_at_ms=now_ms,
            status_code=200 if refusal is None else 404 if gone else 400,
            response=None if refusal is None else str(refusal),
            dwell_ms=0,
        )

    async def _delivery(self, recipient: Recipient, region: str, now_ms: int) -> NewDelivery:
        """A delivery that the pump makes, or the outbox keeps."""
        subscription = recipient.subscription
        delivery = self._outbox.new(
            account=subscription.owner,
            region=region,
            protocol=subscription.protocol,
            endpoint=subscription.endpoint,
            subscription_id=subscription.subscription_id,
            now_ms=now_ms,
        )
        if delivery.status is DeliveryStatus.DELIVERED:
            problem = await self._phones.problem(delivery)
            if problem is not None:
                return delivery._replace(status=DeliveryStatus.FAILED, response=problem)
        return delivery

    # --- endpoints and phone numbers ------------------------------------------------------------

    async def _to_endpoint(
        self, caller: Caller, checked: CheckedMessage, arn: str, base_url: str
    ) -> PublishedMessage:
        endpoint = await self._platforms.endpoint(arn)
        if endpoint is None:
            raise InvalidParameter.of(
                "TargetArn Reason: No endpoint found for the target arn specified"
            )
        if not endpoint.enabled:
            raise EndpointDisabled
        if not await self._platforms.application_enabled(endpoint.application_arn):
            raise PlatformApplicationDisabled
        check_size(checked, limits.PUBLISH_BYTES_MAX)
        if checked.structured:
            messages = ProtocolMessages(checked.draft.message, structured=True)
            check_platform_entry(endpoint.platform, messages)
        return await self._direct(caller, checked, "application", arn, base_url)

    async def _to_phone(
        self, caller: Caller, checked: CheckedMessage, number: str, base_url: str
    ) -> PublishedMessage:
        check_phone_number(number)
        check_sms_attributes(checked.attributes or {})
        check_size(checked, limits.PUBLISH_BYTES_MAX)
        check_structure(checked)
        messages = ProtocolMessages(checked.draft.message, structured=checked.structured)
        check_sms_message(messages.text("sms"))
        return await self._direct(caller, checked, "sms", number, base_url)

    async def _direct(
        self, caller: Caller, checked: CheckedMessage, protocol: str, endpoint: str, base_url: str
    ) -> PublishedMessage:
        now_ms = self._clock.now_ms()
        draft = checked.draft
        publication = Publication(
            message_id=self._ids.uuid(),
            topic_arn=None,
            message=draft.message,
            published_at_ms=now_ms,
            subject=draft.subject,
            structured=checked.structured,
            attributes=checked.attributes,
            trace_header=draft.trace_header,
            base_url=base_url,
        )
        delivery = self._outbox.new(
            account=caller.account,
            region=caller.region,
            protocol=protocol,
            endpoint=endpoint,
            subscription_id=None,
            now_ms=now_ms,
        )
        if delivery.status is DeliveryStatus.DELIVERED:
            problem = await self._phones.problem(delivery)
            if problem is not None:
                delivery = delivery._replace(status=DeliveryStatus.FAILED, response=problem)
        publishing = Publishing(publication, [], [delivery])
        await self._store.publish(None, [publishing], now_ms=now_ms, deduplication_window_ms=0)
        self._observer.published(publishing, 0, now_ms)
        self._outbox.accepted([delivery])
        return PublishedMessage(publication.message_id, None)


def _is_endpoint(arn: str) -> bool:
    parts = arn_parts(arn, "TargetArn")
    return parts[5].startswith("endpoint/")


def _bytes_max(topic: TopicRecord) -> int:
    return int(topic.attributes.get("MaximumMessageSize", limits.PUBLISH_BYTES_MAX))


def _check_batch_id(entry_id: str) -> None:
    if len(entry_id) > limits.BATCH_ENTRY_ID_CHARACTERS_MAX:
        raise InvalidPublishBatchId(
            f"The Id of a batch entry in the batch request is too long: {entry_id}"
        )
    if not _BATCH_ID.fullmatch(entry_id):
        raise InvalidPublishBatchId(
            "The Id of a batch entry in the batch request contains an impermissible character:"
            f" {entry_id}"
        )
