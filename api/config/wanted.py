"""What a declaration asks for, resource by resource."""

import difflib
import json
from collections.abc import Collection
from typing import NamedTuple

from api.config.declarations import Block, Declaration
from api.config.models import Queue, Subscription, Topic, aws_name
from api.config.nodes import ConfigError, Node, Problem
from api.config.resources import Id, QueueId, State, SubscriptionId, TopicId, World
from broker import queue_arn

_FIFO_SWITCHES = ("FifoQueue", "FifoTopic", "ContentBasedDeduplication")


class Wanted(NamedTuple):
    """A resource as it is declared."""

    state: State
    node: Node  # where it is
    needs: list[Id]  # what has to be there for it

    def refused(self, error: Exception) -> Problem:
        """Why the broker refuses it, at the attribute that it speaks of."""
        text = str(error)
        named = [name for name in self.state.attributes if name in text]
        for name in sorted(named, key=len, reverse=True)[:1]:
            for key in _keys_of(name):
                node = self.node.at((key,))
                if node is not self.node:
                    if isinstance(node.value, dict | list) or str(node.value) in text:
                        return node.problem(text)
                    return node.problem(f"{_shown(node.value)}: {text}")
        return self.node.problem(text)


def _keys_of(attribute: str) -> list[str]:
    """The keys that an attribute may have been given by."""
    special = {"RedrivePolicy": ["deadLetterQueue"], "RawMessageDelivery": ["raw"]}
    camel = [
        name
        for model in (Queue, Topic, Subscription)
        for name in model.key_names()
        if aws_name(name) == attribute
    ]
    return [attribute, *camel, *special.get(attribute, [])]


def _shown(value: object) -> str:
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _without_fifo(name: str, attributes: dict[str, str]) -> dict[str, str]:
    """Not FIFO is what other names say already; AWS refuses to hear it in words."""
    if name.endswith(".fifo"):
        return attributes
    return {
        attribute: value
        for attribute, value in attributes.items()
        if attribute not in _FIFO_SWITCHES or value != "false"
    }


class Request(NamedTuple):
    """All that a declaration asks for."""

    worlds: list[World]
    resources: dict[Id, Wanted]


def resolve(declaration: Declaration, default: World) -> Request:
    """What is asked for, where; raises ``ConfigError`` for what leads nowhere.

    ``default``: the account and region of what the file gives none.
    """
    resolver = _Resolver(declaration, default)
    for world, block in resolver.blocks:
        resolver.add_queues(world, block)
    for world, block in resolver.blocks:
        resolver.add_topics(world, block)
    if resolver.problems:
        raise ConfigError(declaration.file, resolver.problems)
    worlds = list(dict.fromkeys(world for world, _ in resolver.blocks))
    return Request(worlds, resolver.resources)


class _Resolver:
    def __init__(self, declaration: Declaration, default: World) -> None:
        self.blocks = [
            (World(block.account or default.account, block.region or default.region), block)
            for block in declaration.blocks
        ]
        self.queue_names: dict[World, set[str]] = {}
        for world, block in self.blocks:
            self.queue_names.setdefault(world, set()).update(block.content.queues or {})
        self.resources: dict[Id, Wanted] = {}
        self.problems: list[Problem] = []

    def _add(self, resource: Id, wanted: Wanted) -> None:
        before = self.resources.setdefault(resource, wanted)
        if before is not wanted:
            first = before.node
            self.problems.append(
                wanted.node.problem(f"is there twice, first in line {first.line} ({first.path})")
            )

    def _queue(self, world: World, name: str, node: Node) -> QueueId:
        """The queue of that name, which has to be declared for the same account and region."""
        known: Collection[str] = self.queue_names[world]
        if name not in known:
            nearest = difflib.get_close_matches(name, known, n=1)
            hint = f"; did you mean {nearest[0]}?" if nearest else ""
            self.problems.append(
                node.problem(f"no queue {name} is declared for account and region {world}{hint}")
            )
        return QueueId(world, name)

    def add_queues(self, world: World, block: Block) -> None:
        for name, queue in (block.content.queues or {}).items():
            node = block.node.at(("queues", name))
            attributes, needs = _without_fifo(name, queue.attributes), list[Id]()
            if queue.dead_letter_queue is not None:
                target = self._queue(
                    world,
                    queue.dead_letter_queue.name,
                    node.at(("deadLetterQueue", "name")),
                )
                needs.append(target)
                attributes["RedrivePolicy"] = json.dumps(
                    {
                        "deadLetterTargetArn": queue_arn(target.key),
                        "maxReceiveCount": queue.dead_letter_queue.max_receive_count,
                    }
                )
            self._add(QueueId(world, name), Wanted(State(attributes, queue.tags), node, needs))

    def add_topics(self, world: World, block: Block) -> None:
        for name, topic in (block.content.topics or {}).items():
            node = block.node.at(("topics", name))
            resource = TopicId(world, name)
            policy = topic.data_protection_policy or ""
            attributes = _without_fifo(name, topic.attributes)
            self._add(resource, Wanted(State(attributes, topic.tags, policy), node, []))
            for index, subscription in enumerate(topic.subscriptions):
                part = node.at(("subscriptions", index))
                self._add_subscription(resource, subscription, part)

    def _add_subscription(self, topic: TopicId, given: Subscription, node: Node) -> None:
        needs: list[Id] = [topic]
        if given.queue is not None:
            queue = self._queue(topic.world, given.queue, node.at(("queue",)))
            needs.append(queue)
            resource = SubscriptionId(topic, "sqs", queue_arn(queue.key))
        else:
            assert given.protocol is not None and given.endpoint is not None  # the model's rule
            resource = SubscriptionId(topic, given.protocol, given.endpoint)
        attributes = given.attributes
        if given.dead_letter_queue is not None:
            target = self._queue(
                topic.world, given.dead_letter_queue, node.at(("deadLetterQueue",))
            )
            needs.append(target)
            attributes["RedrivePolicy"] = json.dumps({"deadLetterTargetArn": queue_arn(target.key)})
        self._add(resource, Wanted(State(attributes), node, needs))
