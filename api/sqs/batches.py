"""SendMessageBatch, DeleteMessageBatch, ChangeMessageVisibilityBatch (SQS reference, 4.10)."""

import re
from collections.abc import Sequence
from typing import Annotated, Protocol

from pydantic import Field

from api.context import Context
from api.injections import entry_failure
from api.operation import Integer, QueryList, Required, Wire
from api.sqs.digests import body_digest
from api.sqs.messages import (
    AttributesIn,
    SystemAttributesIn,
    digest_of_sent,
    raw_attributes,
)
from broker import Draft, QueueKey
from broker.errors import (
    BatchEntryIdsNotDistinct,
    BrokerError,
    EmptyBatchRequest,
    InvalidBatchEntryId,
    InvalidParameterValue,
    MessageTooLong,
    MissingParameter,
    ReceiptHandleExpired,
    ReceiptHandleIsInvalid,
    TooManyEntriesInBatchRequest,
)

_ENTRIES_MAX = 10
_ID = re.compile(r"[A-Za-z0-9_-]{1,80}")


class BatchResultErrorEntry(Wire):
    id: str
    sender_fault: bool
    code: str
    message: str | None = None


class _Entry(Protocol):
    id: str | None


def _ids(entries: Sequence[_Entry], kind: str) -> list[str]:
    """The entries' ids, if the batch as a whole is in order; else why not (2.8, 1 to 7)."""
    if not entries:
        raise EmptyBatchRequest(f"There should be at least one {kind} in the request.")
    if len(entries) > _ENTRIES_MAX:
        raise TooManyEntriesInBatchRequest(
            f"Maximum number of entries per request are {_ENTRIES_MAX}."
            f" You have sent {len(entries)}."
        )
    ids: list[str] = []
    for number, entry in enumerate(entries, 1):
        if entry.id is None:
            raise MissingParameter(f"{kind}.{number}.Id")
        if not _ID.fullmatch(entry.id):
            raise InvalidBatchEntryId(
                "A batch entry id can only contain alphanumeric characters, hyphens and"
                " underscores. It can be at most 80 letters long."
            )
        ids.append(entry.id)
    seen: set[str] = set()
    for each in ids:
        if each in seen:
            raise BatchEntryIdsNotDistinct(f"Id {each} repeated.")
        seen.add(each)
    return ids


async def _key(ctx: Context, queue_url: str) -> QueueKey:
    """The queue, which must exist before anything is said about entries."""
    key = ctx.queue_key(queue_url)
    await ctx.broker.queues.get(key)
    return key


def _failure(entry_id: str, error: BrokerError) -> BatchResultErrorEntry:
    told = entry_failure(error)
    return BatchResultErrorEntry(
        id=entry_id, sender_fault=told.fault == "Sender", code=told.code, message=told.message
    )


# --- SendMessageBatch ---------------------------------------------------------------------------


class SendMessageBatchRequestEntry(Wire):
    id: Annotated[str | None, Required] = None
    message_body: Annotated[str | None, Required] = None
    delay_seconds: Integer | None = None
    message_attributes: AttributesIn = None
    message_system_attributes: SystemAttributesIn = None
    message_deduplication_id: str | None = None
    message_group_id: str | None = None


class SendMessageBatchRequest(Wire):
    queue_url: str
    entries: Annotated[
        list[SendMessageBatchRequestEntry], QueryList("SendMessageBatchRequestEntry")
    ]


class SendMessageBatchResultEntry(Wire):
    id: str
    message_id: str
    md5_of_message_body: str = Field(alias="MD5OfMessageBody")
    md5_of_message_attributes: str | None = Field(None, alias="MD5OfMessageAttributes")
    md5_of_message_system_attributes: str | None = Field(None, alias="MD5OfMessageSystemAttributes")
    sequence_number: str | None = None


class SendMessageBatchResult(Wire):
    successful: Annotated[
        list[SendMessageBatchResultEntry] | None,
        Required,
        QueryList("SendMessageBatchResultEntry"),
    ] = None
    failed: Annotated[
        list[BatchResultErrorEntry] | None, Required, QueryList("BatchResultErrorEntry")
    ] = None


async def send_message_batch(
    request: SendMessageBatchRequest, ctx: Context
) -> SendMessageBatchResult:
    """Accept up to ten messages in one step; each is answered for itself."""
    key = await _key(ctx, request.queue_url)
    kind = "SendMessageBatchRequestEntry"
    ids = _ids(request.entries, kind)
    trace_header = ctx.trace_header
    try:
        answers = await ctx.broker.messages.send_batch(
            key,
            [
                Draft(
                    entry.message_body,
                    entry.delay_seconds,
                    raw_attributes(entry.message_attributes),
                    raw_attributes(entry.message_system_attributes),
                    entry.message_group_id,
                    entry.message_deduplication_id,
                    trace_header,
                )
                for entry in request.entries
            ],
            sender_id=ctx.sender_id,
        )
    except MissingParameter as error:
        # In a batch AWS calls the missing group id of a FIFO message an invalid value. [AWS]
        raise InvalidParameterValue(str(error)) from None
    successful, failed = [], []
    for number, (entry_id, entry, answer) in enumerate(
        zip(ids, request.entries, answers, strict=True), 1
    ):
        if isinstance(answer, BrokerError):
            failed.append(_failure(entry_id, _send_error(answer, f"{kind}.{number}")))
        else:
            successful.append(
                SendMessageBatchResultEntry(
                    id=entry_id,
                    message_id=answer.message_id,
                    md5_of_message_body=body_digest(entry.message_body or ""),
                    md5_of_message_attributes=digest_of_sent(entry.message_attributes),
                    md5_of_message_system_attributes=digest_of_sent(
                        entry.message_system_attributes
                    ),
                    sequence_number=answer.sequence_number,
                )
            )
    return SendMessageBatchResult(successful=successful or None, failed=failed or None)


def _send_error(error: BrokerError, entry: str) -> BrokerError:
    """The same refusal in the words it has within a batch (2.8)."""
    if isinstance(error, MissingParameter):
        return MissingParameter(f"{entry}.{error.parameter}")
    if isinstance(error, MessageTooLong):
        return InvalidParameterValue(
            "One or more parameters cannot be validated."
            f" Reason: Message must be shorter than {error.limit_bytes} bytes."
        )
    if (
        isinstance(error, InvalidParameterValue)
        and error.reason is not None
        and error.parameter in ("MessageDeduplicationId", "MessageGroupId")
    ):
        return InvalidParameterValue(error.reason.removesuffix("."))
    return error


# --- DeleteMessageBatch -------------------------------------------------------------------------


class DeleteMessageBatchRequestEntry(Wire):
    id: Annotated[str | None, Required] = None
    receipt_handle: Annotated[str | None, Required] = None


class DeleteMessageBatchRequest(Wire):
    queue_url: str
    entries: Annotated[
        list[DeleteMessageBatchRequestEntry], QueryList("DeleteMessageBatchRequestEntry")
    ]


class DeleteMessageBatchResultEntry(Wire):
    id: str


class DeleteMessageBatchResult(Wire):
    successful: Annotated[
        list[DeleteMessageBatchResultEntry] | None,
        Required,
        QueryList("DeleteMessageBatchResultEntry"),
    ] = None
    failed: Annotated[
        list[BatchResultErrorEntry] | None, Required, QueryList("BatchResultErrorEntry")
    ] = None


async def delete_message_batch(
    request: DeleteMessageBatchRequest, ctx: Context
) -> DeleteMessageBatchResult:
    """Delete up to ten messages; each is answered for itself."""
    key = await _key(ctx, request.queue_url)
    kind = "DeleteMessageBatchRequestEntry"
    ids = _ids(request.entries, kind)
    errors = await ctx.broker.messages.delete_batch(
        key, [entry.receipt_handle or "" for entry in request.entries]
    )
    return DeleteMessageBatchResult(
        successful=[
            DeleteMessageBatchResultEntry(id=each)
            for each, error in zip(ids, errors, strict=True)
            if error is None
        ]
        or None,
        failed=_handle_failures(ids, errors, kind),
    )


def _handle_failures(
    ids: list[str], errors: Sequence[BrokerError | None], kind: str
) -> list[BatchResultErrorEntry] | None:
    return [
        _failure(entry_id, _handle_error(error, f"{kind}.{number}"))
        for number, (entry_id, error) in enumerate(zip(ids, errors, strict=True), 1)
        if error is not None
    ] or None


def _handle_error(error: BrokerError, entry: str) -> BrokerError:
    """The same refusal in the words it has within a batch (2.11, 2.13)."""
    if isinstance(error, MissingParameter):
        return MissingParameter(f"{entry}.{error.parameter}")
    if isinstance(error, ReceiptHandleExpired):
        return ReceiptHandleIsInvalid("The receipt handle has expired")
    return error


# --- ChangeMessageVisibilityBatch ---------------------------------------------------------------


class ChangeMessageVisibilityBatchRequestEntry(Wire):
    id: Annotated[str | None, Required] = None
    receipt_handle: Annotated[str | None, Required] = None
    visibility_timeout: Integer | None = None


class ChangeMessageVisibilityBatchRequest(Wire):
    queue_url: str
    entries: Annotated[
        list[ChangeMessageVisibilityBatchRequestEntry],
        QueryList("ChangeMessageVisibilityBatchRequestEntry"),
    ]


class ChangeMessageVisibilityBatchResultEntry(Wire):
    id: str


class ChangeMessageVisibilityBatchResult(Wire):
    successful: Annotated[
        list[ChangeMessageVisibilityBatchResultEntry] | None,
        Required,
        QueryList("ChangeMessageVisibilityBatchResultEntry"),
    ] = None
    failed: Annotated[
        list[BatchResultErrorEntry] | None, Required, QueryList("BatchResultErrorEntry")
    ] = None


async def change_message_visibility_batch(
    request: ChangeMessageVisibilityBatchRequest, ctx: Context
) -> ChangeMessageVisibilityBatchResult:
    """Change the visibility of up to ten messages; each is answered for itself."""
    key = await _key(ctx, request.queue_url)
    kind = "ChangeMessageVisibilityBatchRequestEntry"
    ids = _ids(request.entries, kind)
    changes = [
        (entry.receipt_handle or "", entry.visibility_timeout)
        for entry in request.entries
        if entry.visibility_timeout is not None
    ]
    answers = iter(await ctx.broker.messages.change_visibility_batch(key, changes))
    errors: list[BrokerError | None] = []
    for entry in request.entries:
        if entry.visibility_timeout is None:
            errors.append(MissingParameter("VisibilityTimeout"))
        else:
            errors.append(next(answers))
    for at, error in enumerate(errors):
        if (
            isinstance(error, InvalidParameterValue)
            and error.parameter == "VisibilityTimeout"
            and error.reason == "Must be between 0 and 43200."
        ):
            errors[at] = InvalidParameterValue.of(
                "VisibilityTimeout",
                request.entries[at].visibility_timeout,
                "VisibilityTimeout must be an integer between 0 and 43200.",
            )
    return ChangeMessageVisibilityBatchResult(
        successful=[
            ChangeMessageVisibilityBatchResultEntry(id=each)
            for each, error in zip(ids, errors, strict=True)
            if error is None
        ]
        or None,
        failed=_handle_failures(ids, errors, kind),
    )
