"""Queues, topics and subscriptions as they are, and the steps that change them.

Everything goes through the broker's verbs, so that its rules hold here too.
"""

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from enum import IntEnum
from typing import NamedTuple

from api.config.models import Queue, Subscription, Topic
from broker import (
    Broker,
    Caller,
    DeliverySettings,
    QueueKey,
    RandomIds,
    SystemClock,
    open_storage,
    partition,
)

_PAGE = 1_000
_PENDING = "PendingConfirmation"
_QUEUE_ATTRIBUTES = list(Queue.attribute_fields().values())
_TOPIC_ATTRIBUTES = frozenset(Topic.attribute_fields().values())
_SUBSCRIPTION_ATTRIBUTES = frozenset(Subscription.attribute_fields().values())


class World(NamedTuple):
    """One account in one region."""

    account: str
    region: str

    @property
    def caller(self) -> Caller:
        """The account itself."""
        principal = f"arn:{partition(self.region)}:iam::{self.account}:root"
        return Caller(self.account, self.region, principal, signed=True)

    def __str__(self) -> str:
        return f"{self.account}/{self.region}"


@dataclasses.dataclass(frozen=True, slots=True)
class QueueId:
    """Names a queue."""

    world: World
    name: str

    @property
    def key(self) -> QueueKey:
        """As the broker names it."""
        return QueueKey(*self.world, self.name)

    def __str__(self) -> str:
        return f"queue {self.name} in {self.world}"


@dataclasses.dataclass(frozen=True, slots=True)
class TopicId:
    """Names a topic."""

    world: World
    name: str

    def __str__(self) -> str:
        return f"topic {self.name} in {self.world}"


@dataclasses.dataclass(frozen=True, slots=True)
class SubscriptionId:
    """Names a subscription: a topic has one for each protocol and endpoint."""

    topic: TopicId
    protocol: str
    endpoint: str

    def __str__(self) -> str:
        endpoint = self.endpoint
        if self.protocol == "sqs":
            endpoint = endpoint.rpartition(":")[2]
        scheme, slashes, rest = endpoint.partition("://")
        if slashes:  # without a password
            authority, slash, path = rest.partition("/")
            endpoint = scheme + slashes + authority.rpartition("@")[2] + slash + path
        return f"subscription of {self.protocol} {endpoint} to {self.topic}"


Id = QueueId | TopicId | SubscriptionId


@dataclasses.dataclass(frozen=True, slots=True)
class State:
    """How a resource is configured."""

    attributes: Mapping[str, str]  # those that can be set
    tags: Mapping[str, str] = dataclasses.field(default_factory=dict)
    data_protection_policy: str = ""
    owner: str = ""  # of a subscription
    pending: bool = False  # a subscription whose attributes are not told before it is confirmed


class Stage:
    """A broker that steps are carried out on, and the ARNs that it gave."""

    def __init__(self, broker: Broker, *, base_url: str = "") -> None:
        """``base_url``: what links in confirmations begin with."""
        self.broker = broker
        self.base_url = base_url
        self.arns: dict[TopicId | SubscriptionId, str] = {}

    @classmethod
    @contextlib.asynccontextmanager
    async def rehearsal(cls) -> "AsyncIterator[Stage]":
        """An empty broker in memory, of which nothing gets out."""
        broker = await Broker.open(
            open_storage("memory", strict=False),
            SystemClock(),
            RandomIds(),
            deliveries=NoDeliveries(),
        )
        try:
            yield cls(broker)
        finally:
            await broker.close()


class NoDeliveries(DeliverySettings):
    """Nothing can be reached, so nothing is sent."""

    @property
    def reachable(self) -> frozenset[str]:
        """See ``DeliverySettings``."""
        return frozenset()


# --- reading ------------------------------------------------------------------------------------


async def read_states(stage: Stage, worlds: Collection[World]) -> dict[Id, State]:
    """All that there is in some worlds; ``stage`` learns the ARNs."""
    states: dict[Id, State] = {}
    for world in worlds:
        await _read_queues(stage, world, states)
        await _read_topics(stage, world, states)
    return states


async def _read_queues(stage: Stage, world: World, states: dict[Id, State]) -> None:
    token: str | None = None
    while True:
        records, token = await stage.broker.queues.page(
            world.account, world.region, max_results=_PAGE, next_token=token
        )
        for record in records:
            attributes = await stage.broker.queues.attributes(record.key, _QUEUE_ATTRIBUTES)
            states[QueueId(world, record.key.name)] = State(attributes, record.tags)
        if token is None:
            return
        await asyncio.sleep(0)


async def _read_topics(stage: Stage, world: World, states: dict[Id, State]) -> None:
    topics, caller = stage.broker.topics, world.caller
    token: str | None = None
    while True:
        arns, token = await topics.page(caller, token)
        for arn in arns:
            topic = TopicId(world, arn.rpartition(":")[2])
            stage.arns[topic] = arn
            attributes = await topics.attributes(caller, arn)
            states[topic] = State(
                {name: value for name, value in attributes.items() if name in _TOPIC_ATTRIBUTES},
                await topics.tags(caller, arn),
                await topics.data_protection_policy(caller, arn),
            )
            await _read_subscriptions(stage, topic, states)
        if token is None:
            return


async def _read_subscriptions(stage: Stage, topic: TopicId, states: dict[Id, State]) -> None:
    caller, arn = topic.world.caller, stage.arns[topic]
    token: str | None = None
    while True:
        listings, token = await stage.broker.subscriptions.page_of_topic(caller, arn, token)
        for each in listings:
            subscription = SubscriptionId(topic, each.protocol, each.endpoint)
            if each.subscription_arn != _PENDING:
                stage.arns[subscription] = each.subscription_arn
            states[subscription] = await _read_subscription(stage, subscription, each.owner)
        if token is None:
            return


async def _read_subscription(stage: Stage, subscription: SubscriptionId, owner: str) -> State:
    arn = stage.arns.get(subscription)
    if arn is None:
        return State({}, owner=owner, pending=True)
    told = await stage.broker.subscriptions.attributes(subscription.topic.world.caller, arn)
    attributes = {name: value for name, value in told.items() if name in _SUBSCRIPTION_ATTRIBUTES}
    return State(attributes, owner=owner)


# --- steps --------------------------------------------------------------------------------------


class Phase(IntEnum):
    """When a step is taken: what is named by others comes before them, and goes after them."""

    CREATE_QUEUES = 0
    CHANGE_QUEUES = 1
    CHANGE_REDRIVE_POLICIES = 2
    UNSUBSCRIBE = 3
    CREATE_TOPICS = 4
    CHANGE_TOPICS = 5
    SUBSCRIBE = 6
    CHANGE_SUBSCRIPTIONS = 7
    DELETE_TOPICS = 8
    DELETE_QUEUES = 9


class Step(NamedTuple):
    """One or more calls of the broker that change a resource."""

    phase: Phase
    resource: Id
    run: Callable[[Stage], Awaitable[None]]


def creation(resource: Id, state: State) -> list[Step]:
    """The steps that make a resource; names and values are refused when they are run."""
    match resource:
        case QueueId():
            return _creation_of_queue(resource, state)
        case TopicId():
            return [_creation_of_topic(resource, state)]
        case SubscriptionId():
            return [_creation_of_subscription(resource, state)]


def _creation_of_queue(queue: QueueId, state: State) -> list[Step]:
    attributes = dict(state.attributes)
    if queue.name.endswith(".fifo"):
        attributes.setdefault("FifoQueue", "true")
    redrive = attributes.pop("RedrivePolicy", None)

    async def create(stage: Stage) -> None:
        await stage.broker.queues.create(queue.key, attributes, state.tags)

    steps = [Step(Phase.CREATE_QUEUES, queue, create)]
    if redrive is not None:  # its queue may be one that is made after this one
        steps += _change_of_queue(queue, {"RedrivePolicy": redrive})
    return steps


def _creation_of_topic(topic: TopicId, state: State) -> Step:
    attributes = dict(state.attributes)
    if topic.name.endswith(".fifo"):
        attributes.setdefault("FifoTopic", "true")

    async def create(stage: Stage) -> None:
        stage.arns[topic] = await stage.broker.topics.create(
            topic.world.caller,
            topic.name,
            attributes,
            list(state.tags.items()),
            state.data_protection_policy or None,
        )

    return Step(Phase.CREATE_TOPICS, topic, create)


def _creation_of_subscription(subscription: SubscriptionId, state: State) -> Step:
    world = subscription.topic.world
    caller = World(state.owner, world.region).caller if state.owner else world.caller

    async def subscribe(stage: Stage) -> None:
        stage.arns[subscription] = await stage.broker.subscriptions.subscribe(
            caller,
            stage.arns[subscription.topic],
            subscription.protocol,
            subscription.endpoint,
            state.attributes,
            return_arn=True,
            base_url=stage.base_url,
        )

    return Step(Phase.SUBSCRIBE, subscription, subscribe)


class Change(NamedTuple):
    """What is to become of a resource that is there."""

    attributes: Mapping[str, str]
    tags: Mapping[str, str]  # to be set
    without_tags: list[str]
    data_protection_policy: str | None  # None: as it is


def alteration(resource: Id, change: Change) -> list[Step]:
    """The steps that change a resource; values are refused when they are run."""
    match resource:
        case QueueId():
            steps = _change_of_queue(resource, change.attributes)
        case TopicId():
            steps = [_change_of_topic(resource, change)]
        case SubscriptionId():
            return [_change_of_subscription(resource, change.attributes)]
    steps.extend(_changes_of_tags(resource, change))
    return steps


def _change_of_queue(queue: QueueId, attributes: Mapping[str, str]) -> list[Step]:
    """Redrive policies come last: they are checked against the queues they name."""

    def step(phase: Phase, given: Mapping[str, str]) -> Step:
        return Step(
            phase, queue, lambda stage: stage.broker.queues.set_attributes(queue.key, given)
        )

    others = {name: value for name, value in attributes.items() if name != "RedrivePolicy"}
    steps = [step(Phase.CHANGE_QUEUES, others)] if others else []
    if "RedrivePolicy" in attributes:
        redrive = {"RedrivePolicy": attributes["RedrivePolicy"]}
        steps.append(step(Phase.CHANGE_REDRIVE_POLICIES, redrive))
    return steps


def _changes_of_tags(resource: QueueId | TopicId, change: Change) -> list[Step]:
    async def tag(stage: Stage) -> None:
        if isinstance(resource, QueueId):
            if change.without_tags:
                await stage.broker.queues.untag(resource.key, change.without_tags)
            if change.tags:
                await stage.broker.queues.tag(resource.key, change.tags)
        else:
            caller, arn = resource.world.caller, stage.arns[resource]
            await stage.broker.topics.untag(caller, arn, change.without_tags)
            await stage.broker.topics.tag(caller, arn, list(change.tags.items()))

    if not change.tags and not change.without_tags:
        return []
    is_queue = isinstance(resource, QueueId)
    return [Step(Phase.CHANGE_QUEUES if is_queue else Phase.CHANGE_TOPICS, resource, tag)]


def _change_of_topic(topic: TopicId, change: Change) -> Step:
    async def configure(stage: Stage) -> None:
        topics, caller, arn = stage.broker.topics, topic.world.caller, stage.arns[topic]
        for name, value in change.attributes.items():
            await topics.set_attribute(caller, arn, name, value)
        if change.data_protection_policy is not None:
            await topics.put_data_protection_policy(caller, arn, change.data_protection_policy)

    return Step(Phase.CHANGE_TOPICS, topic, configure)


def _change_of_subscription(subscription: SubscriptionId, attributes: Mapping[str, str]) -> Step:
    """A filter policy has to be one in the scope there is: the wider scope comes first."""
    widens = attributes.get("FilterPolicyScope") == "MessageBody"
    names = sorted(attributes, key=lambda name: (name == "FilterPolicyScope") != widens)

    async def configure(stage: Stage) -> None:
        for name in names:
            await stage.broker.subscriptions.set_attribute(
                subscription.topic.world.caller, stage.arns[subscription], name, attributes[name]
            )

    return Step(Phase.CHANGE_SUBSCRIPTIONS, subscription, configure)


def deletion(resource: Id) -> list[Step]:
    """The steps that remove a resource; a topic goes with its subscriptions."""

    async def delete(stage: Stage) -> None:
        match resource:
            case QueueId():
                await stage.broker.queues.delete(resource.key)
            case TopicId():
                await stage.broker.topics.delete(resource.world.caller, stage.arns[resource])
            case SubscriptionId():
                await stage.broker.subscriptions.unsubscribe(
                    resource.topic.world.caller, stage.arns[resource], base_url=stage.base_url
                )

    phases = {
        QueueId: Phase.DELETE_QUEUES,
        TopicId: Phase.DELETE_TOPICS,
        SubscriptionId: Phase.UNSUBSCRIBE,
    }
    return [Step(phases[type(resource)], resource, delete)]
