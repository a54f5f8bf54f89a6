"""Messages to topics: what a client may publish (SNS reference, 4)."""

import hashlib
import re
from collections.abc import Mapping
from typing import NamedTuple

from broker import limits
from broker.envelopes import ProtocolMessages
from broker.message_attributes import RawAttribute, attributes_bytes, illegal_character, is_number
from broker.topic_errors import InvalidMessageAttribute, InvalidParameter, NullMember
from storage.records import MessageAttribute

_ID = re.compile(r"[!-~]{1,128}")  # alphanumeric and punctuation
_BAD_NAME_CHARACTER = re.compile(r"[^A-Za-z0-9_.-]")
_FAMILIES = ("String", "Number", "Binary")
#: what of the reserved names a client may use (9.1, 9.2)
_SERVICE_PREFIXES = ("aws.sns.", "aws.mm.")
_RESERVED_PREFIXES = ("aws.", "amazon.")


class TopicDraft(NamedTuple):
    """A message as a client published it, not checked yet."""

    message: str
    subject: str | None = None
    message_structure: str | None = None
    attributes: Mapping[str, RawAttribute] | None = None
    group_id: str | None = None
    deduplication_id: str | None = None
    trace_header: str | None = None


class CheckedMessage(NamedTuple):
    """A message that may be published, as far as that does not depend on where."""

    draft: TopicDraft
    attributes: Mapping[str, MessageAttribute] | None
    size_bytes: int

    @property
    def structured(self) -> bool:
        """Whether it has an entry for each protocol; other structures are ignored (4.2)."""
        return self.draft.message_structure == "json"


def check_draft(draft: TopicDraft, *, path: str = "messageAttributes") -> CheckedMessage:
    """A draft whose subject, message and attributes are fine (4.2, 4.4).

    ``path``: where its attributes are in the request, for texts.  Raises ``InvalidParameter``,
    ``InvalidMessageAttribute`` or ``NullMember``.
    """
    subject = draft.subject
    if subject is not None and (
        not 1 <= len(subject) <= limits.SUBJECT_CHARACTERS_MAX
        or any(ord(character) < 32 or 127 <= ord(character) < 160 for character in subject)
    ):
        raise InvalidParameter.of("Subject")
    if not draft.message:
        raise InvalidParameter.of("Empty message")
    attributes = _check_attributes(draft.attributes, path) if draft.attributes else None
    size_bytes = len(draft.message.encode("utf-8", "surrogatepass"))
    if draft.attributes:
        size_bytes += attributes_bytes(draft.attributes)
    return CheckedMessage(draft, attributes, size_bytes)


def check_structure(checked: CheckedMessage) -> None:
    """Refuse a message without an entry for those protocols that have none of their own (4.2)."""
    if checked.structured:
        ProtocolMessages(checked.draft.message, structured=True).check_default()


def check_size(checked: CheckedMessage, limit_bytes: int) -> None:
    """Refuse a message that is too long for where it goes."""
    if checked.size_bytes > limit_bytes:
        raise InvalidParameter.of("Message too long")


def check_ids(checked: CheckedMessage, *, fifo: bool, content_based: bool) -> str | None:
    """The deduplication id of a message to a topic; None in standard topics (4.2, 4.7)."""
    draft = checked.draft
    if fifo and draft.group_id is None:
        raise InvalidParameter.of("The MessageGroupId parameter is required for FIFO topics")
    if draft.group_id is not None:
        _check_id("MessageGroupId", draft.group_id)
    if not fifo:
        if draft.deduplication_id is not None:
            raise InvalidParameter.of(
                "MessageDeduplicationId Reason: The request includes MessageDeduplicationId"
                " parameter that is not valid for this topic type"
            )
        return None
    if draft.deduplication_id is not None:
        _check_id("MessageDeduplicationId", draft.deduplication_id)
        return draft.deduplication_id
    if not content_based:
        raise InvalidParameter.of(
            "The topic should either have ContentBasedDeduplication enabled or"
            " MessageDeduplicationId provided explicitly"
        )
    return hashlib.sha256(draft.message.encode("utf-8", "surrogatepass")).hexdigest()


def _check_id(parameter: str, value: str) -> None:
    if not _ID.fullmatch(value):
        raise InvalidParameter.of(
            f"{parameter} Reason: The {parameter} can include alphanumeric characters and"
            " punctuation, 1 to 128 of them"
        )


def _check_attributes(
    attributes: Mapping[str, RawAttribute], path: str
) -> dict[str, MessageAttribute]:
    untyped = [name for name, raw in attributes.items() if raw.data_type is None]
    if untyped:
        raise NullMember(*(f"{path}.{name}.member.dataType" for name in untyped))
    checked = {}
    for name, raw in attributes.items():
        _check_name(name)
        checked[name] = _check_value(name, raw)
    return checked


def _check_name(name: str) -> None:
    problem = None
    offender = _BAD_NAME_CHARACTER.search(name)
    if not name:
        problem = "The message attribute name must not be empty."
    elif len(name.encode("utf-8", "surrogatepass")) > limits.SNS_ATTRIBUTE_NAME_BYTES_MAX:
        problem = "Length of message attribute name must be less than 256 bytes."
    elif offender is not None:
        problem = (
            f"Invalid non-alphanumeric character '#x{ord(offender[0]):X}' was found in the message"
            " attribute name. Can only include alphanumeric characters, hyphens, underscores,"
            " or dots."
        )
    elif name.startswith("."):
        problem = "Invalid message attribute name starting with character '.' was found."
    elif name.endswith("."):
        problem = "Invalid message attribute name ending with character '.' was found."
    elif ".." in name:
        problem = "Message attribute name can not have successive '.' character."
    elif is_reserved(name) and not name.lower().startswith(_SERVICE_PREFIXES):
        problem = (
            "You can't use message attribute names beginning with 'AWS.' or 'Amazon.'."
            " These strings are reserved for internal use."
        )
    if problem is not None:
        raise InvalidMessageAttribute(problem)


def is_reserved(name: str) -> bool:
    """Whether an attribute is for services, not for those who receive the message."""
    return name.lower().startswith(_RESERVED_PREFIXES)


def _check_value(name: str, raw: RawAttribute) -> MessageAttribute:
    data_type = raw.data_type or ""
    family, dot, suffix = data_type.partition(".")
    if family not in _FAMILIES or (dot and not suffix) or illegal_character(data_type):
        raise InvalidMessageAttribute(
            f"The message attribute '{name}' has an invalid message attribute type, the set of"
            " supported type prefixes is Binary, Number, and String."
        )
    field, value, other = (
        ("Binary", raw.binary_value, raw.string_value)
        if family == "Binary"
        else ("String", raw.string_value, raw.binary_value)
    )
    if other and not value:
        raise InvalidMessageAttribute(
            f"The message attribute '{name}' with type '{family}' must use field '{field}'."
        )
    if not value:
        raise InvalidMessageAttribute(
            f"The message attribute '{name}' must contain non-empty message attribute value for"
            f" message attribute type '{family}'."
        )
    if isinstance(value, str) and family == "Number" and not is_number(value):
        raise InvalidMessageAttribute(f"Could not cast message attribute '{name}' value to number.")
    return MessageAttribute(data_type, value)
