"""SendMessage, ReceiveMessage, DeleteMessage, ChangeMessageVisibility."""

from base64 import b64encode
from collections.abc import Callable, Mapping
from typing import Annotated

from pydantic import Field

from api.context import Context
from api.operation import Blob, Integer, QueryList, QueryMap, Wire
from api.sqs.digests import attributes_digest, body_digest
from broker import QUEUE_ATTRIBUTE_NAMES, Draft, MessageAttribute, RawAttribute, Received
from broker.errors import InvalidAttributeName


class MessageAttributeValue(Wire):
    """A message attribute as clients write it."""

    string_value: str | None = None
    binary_value: Blob | None = None
    string_list_values: Annotated[list[str] | None, QueryList("StringListValue")] = None
    binary_list_values: Annotated[list[Blob] | None, QueryList("BinaryListValue")] = None
    data_type: str | None = None

    def raw(self) -> RawAttribute:
        """As the broker takes it."""
        return RawAttribute(
            self.data_type,
            self.string_value,
            self.binary_value,
            bool(self.string_list_values or self.binary_list_values),
        )


AttributesIn = Annotated[
    dict[str, MessageAttributeValue] | None, QueryMap("MessageAttribute", "Name", "Value")
]
SystemAttributesIn = Annotated[
    dict[str, MessageAttributeValue] | None, QueryMap("MessageSystemAttribute", "Name", "Value")
]


def raw_attributes(
    attributes: Mapping[str, MessageAttributeValue] | None,
) -> dict[str, RawAttribute] | None:
    """Attributes as the broker takes them."""
    if attributes is None:
        return None
    return {name: value.raw() for name, value in attributes.items()}


def digest_of_sent(attributes: Mapping[str, MessageAttributeValue] | None) -> str | None:
    """The digest of attributes that were accepted."""
    if not attributes:
        return None
    return attributes_digest(
        {
            name: MessageAttribute(
                each.data_type or "", each.string_value or each.binary_value or b""
            )
            for name, each in attributes.items()
        }
    )


# --- SendMessage --------------------------------------------------------------------------------


class SendMessageRequest(Wire):
    queue_url: str
    message_body: str
    delay_seconds: Integer | None = None
    message_attributes: AttributesIn = None
    message_system_attributes: SystemAttributesIn = None
    message_deduplication_id: str | None = None
    message_group_id: str | None = None


class SendMessageResult(Wire):
    md5_of_message_body: str = Field(alias="MD5OfMessageBody")
    md5_of_message_attributes: str | None = Field(None, alias="MD5OfMessageAttributes")
    md5_of_message_system_attributes: str | None = Field(None, alias="MD5OfMessageSystemAttributes")
    message_id: str
    sequence_number: str | None = None


async def send_message(request: SendMessageRequest, ctx: Context) -> SendMessageResult:
    """Accept one message; by the time this returns, the store holds it."""
    sent = await ctx.broker.messages.send(
        ctx.queue_key(request.queue_url),
        Draft(
            request.message_body,
            request.delay_seconds,
            raw_attributes(request.message_attributes),
            raw_attributes(request.message_system_attributes),
            request.message_group_id,
            request.message_deduplication_id,
            ctx.trace_header,
        ),
        sender_id=ctx.sender_id,
    )
    return SendMessageResult(
        md5_of_message_body=body_digest(request.message_body),
        md5_of_message_attributes=digest_of_sent(request.message_attributes),
        md5_of_message_system_attributes=digest_of_sent(request.message_system_attributes),
        message_id=sent.message_id,
        sequence_number=sent.sequence_number,
    )


# --- ReceiveMessage -----------------------------------------------------------------------------


class ReceiveMessageRequest(Wire):
    queue_url: str
    attribute_names: Annotated[list[str] | None, QueryList("AttributeName")] = None
    message_system_attribute_names: Annotated[list[str] | None, QueryList("AttributeName")] = None
    message_attribute_names: Annotated[list[str] | None, QueryList("MessageAttributeName")] = None
    max_number_of_messages: Integer | None = None
    visibility_timeout: Integer | None = None
    wait_time_seconds: Integer | None = None
    receive_request_attempt_id: str | None = None


class ReceivedAttributeValue(Wire):
    string_value: str | None = None
    binary_value: str | None = None  # base64
    data_type: str


class Message(Wire):
    message_id: str
    receipt_handle: str
    md5_of_body: str = Field(alias="MD5OfBody")
    body: str
    attributes: Annotated[dict[str, str] | None, QueryMap("Attribute", "Name", "Value")] = None
    md5_of_message_attributes: str | None = Field(None, alias="MD5OfMessageAttributes")
    message_attributes: Annotated[
        dict[str, ReceivedAttributeValue] | None, QueryMap("MessageAttribute", "Name", "Value")
    ] = None


class ReceiveMessageResult(Wire):
    messages: Annotated[list[Message] | None, QueryList("Message")] = None


async def receive_message(request: ReceiveMessageRequest, ctx: Context) -> ReceiveMessageResult:
    """Hand out messages; a call that may wait returns as soon as there is one."""
    key = ctx.queue_key(request.queue_url)
    system_names = {
        *(request.message_system_attribute_names or ()),
        *(request.attribute_names or ()),
    }
    if system_names - _KNOWN_SYSTEM_NAMES:
        await ctx.broker.queues.get(key)
        unknown = sorted(system_names - _KNOWN_SYSTEM_NAMES)[0]
        raise InvalidAttributeName(f"Unknown Attribute {unknown}.")
    max_messages = request.max_number_of_messages
    received = await ctx.broker.messages.receive(
        key,
        max_messages=1 if max_messages is None else max_messages,
        visibility_timeout_s=request.visibility_timeout,
        wait_s=request.wait_time_seconds,
        attempt_id=request.receive_request_attempt_id,
        hangup=ctx.hangup,
    )
    names = request.message_attribute_names
    return ReceiveMessageResult(
        messages=[received_message(each, system_names, names) for each in received] or None
    )


def received_message(
    received: Received, system_names: set[str], names: list[str] | None
) -> Message:
    """A message with those of its system attributes and attributes that are asked for."""
    claim = received.claim
    message = Message(
        message_id=claim.message_id,
        receipt_handle=received.receipt_handle,
        md5_of_body=body_digest(claim.body),
        body=claim.body,
    )
    if system_names:
        message.attributes = _system_attributes(received, system_names) or None
    if names and claim.attributes:
        chosen = _chosen(claim.attributes, names)
        if chosen:
            # over what is returned, not over what was sent: SDKs check it so [AWS]
            message.md5_of_message_attributes = attributes_digest(chosen)
            message.message_attributes = {
                name: _attribute_value(attribute) for name, attribute in chosen.items()
            }
    return message


_SYSTEM_ATTRIBUTES: Mapping[str, Callable[[Received], str | None]] = {
    "SenderId": lambda r: r.claim.sender_id,
    "SentTimestamp": lambda r: str(r.claim.sent_at_ms),
    "ApproximateReceiveCount": lambda r: str(r.claim.receive_count),
    "ApproximateFirstReceiveTimestamp": lambda r: str(r.claim.first_received_at_ms),
    "SequenceNumber": lambda r: r.sequence_number,
    "MessageDeduplicationId": lambda r: r.sequence_number and r.claim.deduplication_id,
    "MessageGroupId": lambda r: r.claim.group_id,
    "AWSTraceHeader": lambda r: r.claim.trace_header,
    "DeadLetterQueueSourceArn": lambda r: r.claim.dead_letter_source_arn,
}
# names of queue attributes are tolerated in AttributeNames, for historical reasons
_KNOWN_SYSTEM_NAMES = {"All", *_SYSTEM_ATTRIBUTES, *QUEUE_ATTRIBUTE_NAMES}


def _system_attributes(received: Received, names: set[str]) -> dict[str, str]:
    attributes = {}
    for name, value_of in _SYSTEM_ATTRIBUTES.items():
        if name in names or "All" in names:
            value = value_of(received)
            if value is not None:
                attributes[name] = value
    return attributes


def _chosen(
    attributes: Mapping[str, MessageAttribute], patterns: list[str]
) -> dict[str, MessageAttribute]:
    """The attributes asked for: by name, by ``prefix.*``, or all (4.8)."""
    if not {"All", ".*", "*"}.isdisjoint(patterns):
        return dict(attributes)
    exact = set(patterns)
    # the dot is not part of the prefix: `Hel.*` matches `Hello` [AWS]
    prefixes = tuple(pattern[:-2] for pattern in patterns if pattern.endswith(".*"))
    return {
        name: attribute
        for name, attribute in attributes.items()
        if name in exact or name.startswith(prefixes)
    }


def _attribute_value(attribute: MessageAttribute) -> ReceivedAttributeValue:
    if isinstance(attribute.value, str):
        return ReceivedAttributeValue(string_value=attribute.value, data_type=attribute.data_type)
    return ReceivedAttributeValue(
        binary_value=b64encode(attribute.value).decode("ascii"), data_type=attribute.data_type
    )


# --- DeleteMessage, ChangeMessageVisibility -----------------------------------------------------


class DeleteMessageRequest(Wire):
    queue_url: str
    receipt_handle: str


async def delete_message(request: DeleteMessageRequest, ctx: Context) -> None:
    """Delete a message by a receipt handle; repeating it is fine."""
    await ctx.broker.messages.delete(ctx.queue_key(request.queue_url), request.receipt_handle)


class ChangeMessageVisibilityRequest(Wire):
    queue_url: str
    receipt_handle: str
    visibility_timeout: Integer


async def change_message_visibility(request: ChangeMessageVisibilityRequest, ctx: Context) -> None:
    """Have a message in flight visible again that many seconds from now."""
    await ctx.broker.messages.change_visibility(
        ctx.queue_key(request.queue_url), request.receipt_handle, request.visibility_timeout
    )
