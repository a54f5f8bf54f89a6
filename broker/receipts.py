"""Receipt handles: a receipt, sealed.

A handle tells garbage, another queue's handle, a deleted message and an ended hand-out apart
without a table of handles (SQS reference, 4.1 and 4.3).
"""

import struct

from broker.seals import Seal
from storage.records import Receipt

_FIELDS = struct.Struct(">4sQQIQ")
_PREFIX = b"\x01\x01\x01\x01"  # handles then begin with "AQEB", as those of AWS do


def receipt_handle(seal: Seal, receipt: Receipt) -> str:
    """The handle of a receipt."""
    return seal.seal(_FIELDS.pack(_PREFIX, *receipt))


def open_handle(seal: Seal, handle: str) -> Receipt | None:
    """The receipt of a handle that was made under that seal; None for anything else."""
    content = seal.open(handle)
    if content is None or len(content) != _FIELDS.size or not content.startswith(_PREFIX):
        return None
    return Receipt(*_FIELDS.unpack(content)[1:])
