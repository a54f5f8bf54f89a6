"""The values that cross the storage contract about topics, subscriptions and deliveries."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from storage.records import MessageAttribute, NewMessage


class TopicKey(NamedTuple):
    """What makes a topic unique: accounts and regions are separate worlds."""

    account: str
    region: str
    name: str


@dataclass(frozen=True, slots=True)
class TopicRecord:
    """One topic as the store keeps it.

    ``topic_id`` never changes and is never given out again.  ``revision`` is a new, higher number
    after each change of the topic or of one of its subscriptions: what was computed from one
    revision holds as long as the topic has it.
    """

    key: TopicKey
    topic_id: int
    revision: int
    created_at_ms: int
    #: the attributes that were set, as AWS names and writes them
    attributes: Mapping[str, str]
    tags: Mapping[str, str]
    data_protection_policy: str | None = None
    #: how many subscriptions it had that were deleted
    subscriptions_deleted: int = 0

    @property
    def fifo(self) -> bool:
        """Whether it is a FIFO topic."""
        return self.attributes.get("FifoTopic") == "true"


class SubscriptionState(Enum):
    """The life of a subscription."""

    PENDING = "pending"  # its endpoint has not confirmed yet: nothing is delivered
    CONFIRMED = "confirmed"
    DELETED = "deleted"  # unsubscribed; kept for a while, as it can be confirmed again


class ReplayStatus(Enum):
    """The life of a replay, in AWS's words."""

    PENDING = "Pending"
    IN_PROGRESS = "In progress"
    COMPLETED = "Completed"
    FAILED = "Failed"


#: replays in these go on
REPLAYS_UNDER_WAY = (ReplayStatus.PENDING, ReplayStatus.IN_PROGRESS)


@dataclass(frozen=True, slots=True)
class Replay:
    """A replay of a topic's archive to one subscription, and how far it is."""

    status: ReplayStatus
    from_ms: int
    until_ms: int | None  # None: up to now, and then on with what is published
    after_sequence: int = 0  # archived messages up to this one have been replayed


@dataclass(frozen=True, slots=True)
class SubscriptionRecord:
    """One subscription as the store keeps it.

    It is *live* while ``ended_at_ms`` is None: neither unsubscribed nor left by a topic that was
    deleted.  From ``expires_at_ms`` on it may be removed at any time.
    """

    subscription_id: str  # a UUID, the end of its ARN
    topic: TopicKey
    topic_id: int
    owner: str  # the account that subscribed
    principal: str  # the ARN of who subscribed
    protocol: str
    endpoint: str
    state: SubscriptionState
    created_at_ms: int
    #: the attributes that were set, as AWS names and writes them
    attributes: Mapping[str, str]
    confirmation_was_authenticated: bool = False
    authenticate_on_unsubscribe: bool = False
    #: when the newest confirmation token was made
    token_issued_at_ms: int = 0
    #: protocol sqs: the queue of that ARN when it was subscribed; another one is not it
    queue_id: int | None = None
    replay: Replay | None = None
    ended_at_ms: int | None = None
    expires_at_ms: int | None = None

    @property
    def is_replayed_to(self) -> bool:
        """Whether it is live and a replay to it is under way."""
        return (
            self.ended_at_ms is None
            and self.replay is not None
            and self.replay.status in REPLAYS_UNDER_WAY
        )


class DocumentKey(NamedTuple):
    """Names a document: a small piece of state that is only ever read and written whole."""

    kind: str
    account: str
    region: str
    name: str


class DocumentChange(NamedTuple):
    """``value`` (None: nothing) in place of ``expected`` (None: nothing)."""

    key: DocumentKey
    expected: str | None
    value: str | None


class Publication(NamedTuple):
    """A published message, or one that a topic itself sends (a confirmation)."""

    message_id: str
    topic_arn: str | None  # None: published directly to an endpoint or a phone number
    message: str  # as published: with ``structured`` the JSON text with an entry per protocol
    published_at_ms: int
    subject: str | None = None
    structured: bool = False  # MessageStructure=json
    attributes: Mapping[str, MessageAttribute] | None = None
    group_id: str | None = None
    deduplication_id: str | None = None
    sequence: int | None = None  # FIFO topics
    trace_header: str | None = None
    base_url: str = ""  # what links in envelopes and mails begin with


class DeliveryKind(Enum):
    """What is delivered, in AWS's words for the envelope's ``Type``."""

    NOTIFICATION = "Notification"
    SUBSCRIPTION_CONFIRMATION = "SubscriptionConfirmation"
    UNSUBSCRIBE_CONFIRMATION = "UnsubscribeConfirmation"


class DeliveryStatus(Enum):
    """The life of a delivery."""

    PENDING = "pending"  # to be attempted at ``due_at_ms``
    WAITING = "waiting"  # for something that is not configured: a mail server, an endpoint
    DELIVERED = "delivered"
    DEAD_LETTERED = "dead-lettered"
    FAILED = "failed"  # given up, with no dead-letter queue to go to


#: deliveries in these are attempted some time; in all others they are finished
UNFINISHED = (DeliveryStatus.PENDING, DeliveryStatus.WAITING)


class NewDelivery(NamedTuple):
    """A delivery to be remembered: one publication on its way to one endpoint."""

    account: str
    region: str
    protocol: str
    endpoint: str
    subscription_id: str | None  # None: published directly
    status: DeliveryStatus
    due_at_ms: int | None  # when it is to be attempted; None unless PENDING
    created_at_ms: int
    kind: DeliveryKind = DeliveryKind.NOTIFICATION
    token: str | None = None  # of a confirmation
    attempts: int = 0
    last_attempt_at_ms: int | None = None
    finished_at_ms: int | None = None
    status_code: int | None = None
    response: str | None = None  # what the other side said, or why there was no answer
    dwell_ms: int | None = None  # how long the last attempt took


class Delivery(NamedTuple):
    """A delivery as the store keeps it."""

    delivery_id: int  # rises with the moment of acceptance
    publication: Publication
    details: NewDelivery


class Lane(NamedTuple):
    """The deliveries to one endpoint by one protocol, which wait for nobody but each other."""

    protocol: str
    endpoint: str


class DeliveryFilter(NamedTuple):
    """Which deliveries are meant; None stands for any."""

    account: str | None = None
    region: str | None = None
    protocols: tuple[str, ...] | None = None
    statuses: tuple[DeliveryStatus, ...] | None = None
    endpoint: str | None = None
    topic_arn: str | None = None
    subscription_id: str | None = None
    message_id: str | None = None


class Publishing(NamedTuple):
    """One publication with all that comes of it, to be stored in one step."""

    publication: Publication
    copies: list[tuple[int, NewMessage]]  # for the queues of these ids
    deliveries: list[NewDelivery]
    deduplication_key: str | None = None  # FIFO topics: published once in the window
    archived: bool = False


class Published(NamedTuple):
    """What became of a publication: accepted, or a duplicate of the one named here."""

    message_id: str
    sequence: int | None
    duplicate: bool = False
