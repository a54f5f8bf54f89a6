"""Message attributes: what clients may attach to a message (SQS reference, 4.5).

User attributes and system attributes follow the same rules and are refused in the same words.
"""

import re
from collections.abc import Mapping
from typing import NamedTuple

from broker import limits
from broker.errors import BrokerError, InvalidParameterValue, UnsupportedOperation
from storage.records import MessageAttribute

# Letters and digits of every script: AWS accepts `attr.1øßä`, though it documents ASCII. [AWS]
_NAME = re.compile(r"[\w.-]+")
_NUMBER = re.compile(r"[+-]?(?P<digits>\d+\.?\d*|\.\d+)(?:[eE](?P<exponent>[+-]?\d{1,4}))?", re.A)
_NUMBER_DIGITS_MAX = 38
_NUMBER_EXPONENTS = range(-128, 127)

#: what may not stand in a body or a string value (4.7)
_ILLEGAL = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_LEGAL_ASCII = bytes((0x9, 0xA, 0xD, *range(0x20, 0x80)))
_ALLOWED = "#x9 | #xA | #xD | [#x20-#xD7FF] | [#xE000-#xFFFD] | [#x10000-#x10FFFF]"


class RawAttribute(NamedTuple):
    """An attribute as a client wrote it, not checked yet."""

    data_type: str | None = None
    string_value: str | None = None
    binary_value: bytes | None = None
    has_list_values: bool = False


def illegal_character(text: str) -> str | None:
    """The first character that SQS does not carry, as it is named in refusals; None: all fine."""
    # two subsets of what is allowed that are quick to see
    if text.isascii():
        if not text.encode().translate(None, _LEGAL_ASCII):
            return None
    elif text.isprintable():
        return None
    found = _ILLEGAL.search(text)
    return None if found is None else f"#x{ord(found[0]):X}"


def invalid_character_text(character: str, where: str) -> str:
    """The refusal of a character in a message's ``where``."""
    return (
        f"Invalid binary character '{character}' was found in the message {where},"
        f" the set of allowed characters is {_ALLOWED}"
    )


def attributes_bytes(attributes: Mapping[str, RawAttribute]) -> int:
    """What attributes add to a message's size: names, types and values, binary ones decoded."""
    size = 0
    for name, raw in attributes.items():
        size += len(_utf8(name)) + len(_utf8(raw.data_type or ""))
        size += len(_utf8(raw.string_value or "")) + len(raw.binary_value or b"")
    return size


def _utf8(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def check_attributes(
    attributes: Mapping[str, RawAttribute], *, kind: str = "(user)"
) -> dict[str, MessageAttribute]:
    """The attributes, each with its one value.  Raises ``InvalidParameterValue`` with AWS's text.

    ``kind``: ``(user)`` or ``system``, as the texts have it.
    """
    if len(attributes) > limits.ATTRIBUTES_MAX:
        raise InvalidParameterValue(
            f"Number of message attributes [{len(attributes)}] exceeds the allowed maximum"
            f" [{limits.ATTRIBUTES_MAX}]."
        )
    checked = {}
    for name, raw in attributes.items():
        _check_name(name, kind)
        checked[name] = _check_value(name, raw, kind)
    return checked


def _check_name(name: str, kind: str) -> None:
    subject = f"Message {kind} attribute name"
    problem = None
    if not name:
        problem = f"The request must contain non-empty message {kind} attribute names."
    elif len(name) > limits.ATTRIBUTE_NAME_CHARACTERS_MAX:
        problem = f"{subject} must be shorter than {limits.ATTRIBUTE_NAME_CHARACTERS_MAX} bytes."
    elif name.lower().startswith(("aws.", "amazon.")):
        problem = (
            "You can't use message attribute names beginning with 'AWS.' or 'Amazon'."
            " These strings are reserved for internal use."
        )
    elif not _NAME.fullmatch(name):
        problem = (
            f"{subject} '{name}' is invalid. It can only include letters, digits, hyphens,"
            " underscores and periods."
        )
    elif name.startswith("."):
        problem = f"{subject} must not begin with character '.'."
    elif name.endswith("."):
        problem = f"{subject} must not end with character '.'."
    elif ".." in name:
        problem = f"{subject} must not have successive '.' characters."
    if problem is not None:
        raise InvalidParameterValue(problem)


def _check_value(name: str, raw: RawAttribute, kind: str) -> MessageAttribute:
    subject = f"message {kind} attribute '{name}'"
    if raw.has_list_values:
        raise UnsupportedOperation(
            "Message attribute list values in SendMessage operation are not supported."
        )
    if raw == RawAttribute():
        raise _invalid(f"The {subject} must contain a non-empty message attribute value.")
    if not raw.data_type:
        raise _invalid(f"The {subject} must contain a non-empty message attribute type.")
    family = raw.data_type.partition(".")[0]
    if family not in ("String", "Number", "Binary"):
        raise _invalid(
            f"The type of {subject} is invalid. You must use only the following supported type"
            " prefixes: Binary, Number, String."
        )
    if len(_utf8(raw.data_type)) > limits.ATTRIBUTE_TYPE_BYTES_MAX:
        raise _invalid(
            f"Message {kind} attribute type must be shorter than"
            f" {limits.ATTRIBUTE_TYPE_BYTES_MAX} bytes."
        )
    character = illegal_character(raw.data_type)
    if character is not None:
        raise _invalid(invalid_character_text(character, f"{kind} attribute '{name}' type"))
    if raw.string_value and raw.binary_value:
        raise _invalid(f"M{subject[1:]} must have a single value.")
    used, other = (
        (raw.binary_value, raw.string_value)
        if family == "Binary"
        else (raw.string_value, raw.binary_value)
    )
    if not used:
        if other:
            field = "Binary" if family == "Binary" else "String"
            raise _invalid(f"M{subject[1:]} with type '{family}' must use field '{field}'.")
        raise _invalid(f"M{subject[1:]} must contain a non-empty value of type '{raw.data_type}'.")
    if isinstance(used, str):
        character = illegal_character(used)
        if character is not None:
            raise _invalid(invalid_character_text(character, f"{kind} attribute '{name}' value"))
        if family == "Number" and not is_number(used):
            raise _invalid(f"Can't cast the value of {subject} to a number.")
    return MessageAttribute(raw.data_type, used)


def _invalid(text: str) -> BrokerError:
    return InvalidParameterValue(text)


def is_number(text: str) -> bool:
    """Up to 38 digits, between 1e-128 and 1e+126 in size, or zero."""
    if len(text) > 512:
        return False
    match = _NUMBER.fullmatch(text)
    if match is None:
        return False
    integer, _, fraction = match["digits"].partition(".")
    significant = (integer + fraction).lstrip("0")
    if not significant:
        return True
    # the power of ten of the first significant digit
    power = len(significant) - 1 - len(fraction) + int(match["exponent"] or 0)
    return len(significant.rstrip("0")) <= _NUMBER_DIGITS_MAX and power in _NUMBER_EXPONENTS
