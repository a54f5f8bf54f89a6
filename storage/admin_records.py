"""The values that cross the storage contract for tools and tests."""

from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from storage.records import Claim


class MessageState(Enum):
    """What a message is doing."""

    VISIBLE = "visible"
    DELAYED = "delayed"  # hidden, and never received
    IN_FLIGHT = "inFlight"


class PeekFilter(NamedTuple):
    """Which messages of a queue are meant; None stands for any."""

    states: tuple[MessageState, ...] | None = None
    group_id: str | None = None
    message_id: str | None = None


class Peeked(NamedTuple):
    """A message as it is at a moment.

    Of ``message`` the times of receives are 0 where there was none.
    """

    message: Claim
    state: MessageState
    hidden_until_ms: int | None  # None: it is visible


class Transfer(NamedTuple):
    """Move one message: it becomes a new message, under a new id, in the destination."""

    sequence: int
    destination_queue_id: int
    message_id: str


class Scope(NamedTuple):
    """A part of everything: one account, or one of its regions, or (None) all of them."""

    account: str | None = None
    region: str | None = None


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A remembered state."""

    name: str
    scope: Scope
    saved_at_ms: int
    queues: int
    topics: int
    messages: int
