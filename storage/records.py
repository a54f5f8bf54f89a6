"""The values that cross the storage contract: plain, typed, immutable.

Times are integers of epoch milliseconds.  Records that a request creates by the thousand are
named tuples (cheap to make); the few that live long are frozen dataclasses.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple


class QueueKey(NamedTuple):
    """What makes a queue unique: accounts and regions are separate worlds."""

    account: str
    region: str
    name: str


@dataclass(frozen=True, slots=True)
class RedrivePolicy:
    """After ``max_receive_count`` receives a message goes to the dead-letter queue."""

    dead_letter_target_arn: str
    max_receive_count: int


@dataclass(frozen=True, slots=True)
class RedriveAllowPolicy:
    """Which queues may name this one as their dead-letter queue."""

    permission: str  # allowAll | denyAll | byQueue
    source_queue_arns: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class QueueSettings:
    """Every queue attribute a client can set, typed; the defaults are those of a new queue."""

    visibility_timeout_ms: int = 30_000
    maximum_message_size_bytes: int = 1_048_576
    message_retention_period_ms: int = 345_600_000
    delay_ms: int = 0
    receive_message_wait_time_ms: int = 0
    policy: str | None = None
    redrive_policy: RedrivePolicy | None = None
    redrive_allow_policy: RedriveAllowPolicy | None = None
    sqs_managed_sse_enabled: bool = True
    kms_master_key_id: str | None = None
    kms_data_key_reuse_period_s: int = 300
    fifo: bool = False
    content_based_deduplication: bool = False
    deduplication_scope: str = "queue"  # queue | messageGroup
    fifo_throughput_limit: str = "perQueue"  # perQueue | perMessageGroupId


@dataclass(frozen=True, slots=True)
class QueueRecord:
    """One queue as the store keeps it.

    ``queue_id`` never changes and is never given out again.  ``content_id`` names the set of
    messages the queue holds now: a purge gives the queue a new one, so that it costs the same
    for any number of messages.
    """

    key: QueueKey
    queue_id: int
    content_id: int
    created_at_ms: int
    modified_at_ms: int
    settings: QueueSettings
    tags: Mapping[str, str]
    #: fixed at creation: later changes of the attribute are reported but have no effect [AWS]
    deduplicates_per_group: bool
    purged_at_ms: int | None = None


class MessageAttribute(NamedTuple):
    """One message attribute: ``str`` for the String and Number families, ``bytes`` for Binary."""

    data_type: str
    value: str | bytes


class NewMessage(NamedTuple):
    """A message to be added.

    It can be received from ``visible_at_ms`` on.  ``deduplication_id`` only matters in FIFO
    queues; ``group_id`` orders there, and shares fairly in standard queues.
    """

    message_id: str
    body: str
    sent_at_ms: int
    visible_at_ms: int
    sender_id: str
    attributes: Mapping[str, MessageAttribute] | None = None
    group_id: str | None = None
    deduplication_id: str | None = None
    trace_header: str | None = None


class Added(NamedTuple):
    """What became of a new message: stored, or a duplicate of the message named here."""

    message_id: str
    sequence: int
    duplicate: bool = False


class Claim(NamedTuple):
    """A message handed out.  (queue, sequence, receive_count) names this very hand-out."""

    sequence: int
    message_id: str
    body: str
    attributes: Mapping[str, MessageAttribute] | None
    sender_id: str
    sent_at_ms: int
    receive_count: int
    first_received_at_ms: int
    claimed_at_ms: int
    group_id: str | None
    deduplication_id: str | None
    trace_header: str | None
    dead_letter_source_arn: str | None


class DeadLetter(NamedTuple):
    """The rule a claim applies: messages received this often move instead of being returned."""

    queue_id: int
    max_receive_count: int
    source_arn: str


class Claimed(NamedTuple):
    """The outcome of a claim.

    ``next_due_at_ms`` is set when nothing was handed out: nothing in this queue becomes
    receivable by itself before that moment; it is later than the claim's ``now_ms``.
    ``dead_lettered`` are the ids of the messages that moved to the dead-letter queue, in order.
    """

    messages: list[Claim]
    next_due_at_ms: int | None = None
    again: bool = False  # stopped at a bound on upkeep: call again
    over_limit: bool = False  # refused: too many messages are in flight
    attempt_void: bool = False  # refused: the attempt's messages have changed since
    dead_lettered: tuple[str, ...] = ()


class Receipt(NamedTuple):
    """Names one hand-out of one message; the broker seals it into a receipt handle."""

    queue_id: int
    sequence: int
    receive_count: int
    claimed_at_ms: int


class Outcome(Enum):
    """What became of a message that a receipt names."""

    DONE = "done"
    GONE = "gone"  # deleted, moved or expired: there is no such message in the queue
    STALE = "stale"  # FIFO: the hand-out ended by time or by a newer one; nothing was done
    VISIBLE = "visible"  # standard: it is receivable already; nothing was done


class Counts(NamedTuple):
    """How many messages a queue holds at a moment."""

    visible: int
    in_flight: int
    delayed: int

    @property
    def total(self) -> int:
        """All of them."""
        return self.visible + self.in_flight + self.delayed


class Movable(NamedTuple):
    """A receivable message of a dead-letter queue and the queue it came from, if known."""

    sequence: int
    dead_letter_source_arn: str | None


class Move(NamedTuple):
    """Move one message: it becomes a new message, under a new id, in the destination."""

    sequence: int
    destination_queue_id: int
    message_id: str


class MoveTaskStatus(Enum):
    """The life of a message move task, in AWS's words."""

    RUNNING = "RUNNING"
    COMPLETED = "COMPLETED"
    CANCELLING = "CANCELLING"
    CANCELLED = "CANCELLED"
    FAILED = "FAILED"


@dataclass(frozen=True, slots=True)
class MoveTask:
    """A message move task; ``destination_arn`` is absent when messages go back to their origin."""

    task_id: str
    source_arn: str
    source_queue_id: int
    destination_arn: str | None
    messages_per_second: int | None
    started_at_ms: int
    to_move: int
    moved: int = 0
    status: MoveTaskStatus = MoveTaskStatus.RUNNING
    failure_reason: str | None = None
