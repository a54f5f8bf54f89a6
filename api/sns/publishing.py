"""Publish, PublishBatch."""

from collections.abc import Mapping
from typing import Annotated

from api.context import Context
from api.injections import entry_failure
from api.operation import Blob, NestedList, NestedMap, Wire
from broker import RawAttribute, TopicDraft
from broker.errors import BrokerError

_ENTRIES_MAX = 10


class MessageAttributeValue(Wire):
    """A message attribute as clients write it."""

    data_type: str
    string_value: str | None = None
    binary_value: Blob | None = None


MessageAttributes = Annotated[
    dict[str, MessageAttributeValue] | None, NestedMap(key="Name", value="Value")
]


class PublishedContent(Wire):
    """What a message consists of, in both operations."""

    message: str
    subject: str | None = None
    message_structure: str | None = None
    message_attributes: MessageAttributes = None
    message_deduplication_id: str | None = None
    message_group_id: str | None = None

    def draft(self, trace_header: str | None) -> TopicDraft:
        """As the broker takes it."""
        return TopicDraft(
            message=self.message,
            subject=self.subject,
            message_structure=self.message_structure,
            attributes=_raw_attributes(self.message_attributes),
            group_id=self.message_group_id,
            deduplication_id=self.message_deduplication_id,
            trace_header=trace_header,
        )


def _raw_attributes(
    attributes: Mapping[str, MessageAttributeValue] | None,
) -> dict[str, RawAttribute] | None:
    if attributes is None:
        return None
    return {
        name: RawAttribute(value.data_type, value.string_value, value.binary_value)
        for name, value in attributes.items()
    }


class PublishRequest(PublishedContent):
    topic_arn: str | None = None
    target_arn: str | None = None
    phone_number: str | None = None


class PublishResult(Wire):
    message_id: str
    sequence_number: str | None = None


async def publish(request: PublishRequest, ctx: Context) -> PublishResult:
    """Accept one message; by the time this returns, the store holds all that comes of it."""
    published = await ctx.broker.publishing.publish(
        ctx.sns_caller,
        request.draft(ctx.trace_header),
        topic_arn=request.topic_arn,
        target_arn=request.target_arn,
        phone_number=request.phone_number,
        base_url=ctx.base_url,
    )
    return PublishResult(message_id=published.message_id, sequence_number=published.sequence_number)


# --- PublishBatch -------------------------------------------------------------------------------


class PublishBatchRequestEntry(PublishedContent):
    id: str


class PublishBatchRequest(Wire):
    topic_arn: str
    publish_batch_request_entries: Annotated[list[PublishBatchRequestEntry], NestedList()]


class PublishBatchResultEntry(Wire):
    id: str
    message_id: str
    sequence_number: str | None = None


class BatchResultErrorEntry(Wire):
    id: str
    code: str
    message: str | None = None
    sender_fault: bool


class PublishBatchResult(Wire):
    failed: Annotated[list[BatchResultErrorEntry] | None, NestedList()] = None
    successful: Annotated[list[PublishBatchResultEntry] | None, NestedList()] = None


async def publish_batch(request: PublishBatchRequest, ctx: Context) -> PublishBatchResult:
    """Accept up to ten messages in one step: all, or none (SNS reference, 4.6)."""
    trace_header = ctx.trace_header
    entries = request.publish_batch_request_entries
    failed: list[BatchResultErrorEntry] = []
    if ctx.broker.messages.faults.active and _is_in_order(entries):
        failures = ctx.broker.messages.faults.of_publications(request.topic_arn, len(entries))
        told = zip(entries, failures, strict=True)
        failed = [_failure(entry.id, error) for entry, error in told if error is not None]
        failed_ids = {each.id for each in failed}
        entries = [entry for entry in entries if entry.id not in failed_ids]
        if failed and not entries:
            return PublishBatchResult(failed=failed, successful=[])
    published = await ctx.broker.publishing.publish_batch(
        ctx.sns_caller,
        request.topic_arn,
        [(entry.id, entry.draft(trace_header)) for entry in entries],
        base_url=ctx.base_url,
    )
    return PublishBatchResult(
        failed=failed,
        successful=[
            PublishBatchResultEntry(
                id=entry.id, message_id=each.message_id, sequence_number=each.sequence_number
            )
            for entry, each in zip(entries, published, strict=True)
        ],
    )


def _is_in_order(entries: list[PublishBatchRequestEntry]) -> bool:
    """Whether a batch is one of which entries may fail: others are refused as a whole."""
    return len({each.id for each in entries}) == len(entries) <= _ENTRIES_MAX


def _failure(entry_id: str, error: BrokerError) -> BatchResultErrorEntry:
    told = entry_failure(error)
    return BatchResultErrorEntry(
        id=entry_id, code=told.code, message=told.message, sender_fault=told.fault == "Sender"
    )
