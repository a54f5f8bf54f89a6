"""Tokens that confirm a subscription: sealed, so that none has to be kept (SNS reference, 1.7)."""

import struct
from typing import NamedTuple

from broker.seals import Seal

_FIELDS = struct.Struct(">3s36sQ32s49s")  # with the seal's 16 bytes 288 hex digits, as AWS's have
_PREFIX = b"\x23\x36\x41"


class ConfirmationToken(NamedTuple):
    """What a token says."""

    subscription_id: str
    region: str
    issued_at_ms: int


def confirmation_token(seal: Seal, token: ConfirmationToken) -> str:
    """The text of a token: 288 hexadecimal digits."""
    fields = _FIELDS.pack(
        _PREFIX,
        token.subscription_id.encode("ascii"),
        token.issued_at_ms,
        token.region.encode("ascii"),
        b"",
    )
    return seal.seal_bytes(fields).hex()


def is_hexadecimal(text: str) -> bool:
    """Whether a text could be a token: what is not is refused in other words [AWS]."""
    try:
        bytes.fromhex(text)
    except ValueError:
        return False
    return bool(text) and text.isalnum()


def open_token(seal: Seal, text: str) -> ConfirmationToken | None:
    """What a token that this broker made says; None for any other text."""
    content = seal.open_bytes(bytes.fromhex(text)) if is_hexadecimal(text) else None
    if content is None or len(content) != _FIELDS.size or not content.startswith(_PREFIX):
        return None
    _, subscription_id, issued_at_ms, region, _ = _FIELDS.unpack(content)
    return ConfirmationToken(
        subscription_id.decode("ascii"), region.rstrip(b"\0").decode("ascii"), issued_at_ms
    )
