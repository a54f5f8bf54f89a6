"""What callers hand to the broker and get from it."""

from collections.abc import Mapping
from typing import NamedTuple

from broker.message_attributes import RawAttribute
from storage.records import Claim


class Draft(NamedTuple):
    """A message as a client wrote it, not checked yet."""

    body: str | None
    delay_s: int | None = None  # None: the queue's own default applies
    attributes: Mapping[str, RawAttribute] | None = None
    system_attributes: Mapping[str, RawAttribute] | None = None
    group_id: str | None = None
    deduplication_id: str | None = None
    trace_header: str | None = None  # of the request; an explicit system attribute wins


class Sent(NamedTuple):
    """An accepted message, or the earlier one that it duplicates."""

    message_id: str
    sequence_number: str | None  # FIFO only


class Received(NamedTuple):
    """A message handed out, with the handle that deletes it."""

    claim: Claim
    receipt_handle: str
    sequence_number: str | None  # FIFO only
