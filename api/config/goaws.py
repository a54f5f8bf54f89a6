"""Reads ``goaws.yaml`` as a file of Headrace's own format."""

import json
from typing import Any

from api.config.foreign import Foreign, ForeignReader
from api.config.models import File
from api.config.nodes import Node

_ENVIRONMENT_KEYS = (
    "Host",
    "Port",
    "SqsPort",
    "SnsPort",
    "Region",
    "AccountId",
    "LogToFile",
    "LogFile",
    "LogLevel",
    "EnableDuplicates",
    "QueueAttributeDefaults",
    "Queues",
    "Topics",
    "RandomLatency",
)
#: the environment that GoAWS runs unless it is told another
_USUAL = "Local"


def is_goaws(root: Node) -> bool:
    """Whether a YAML file is one of GoAWS: environments, with keys that GoAWS has."""
    if not isinstance(root.value, dict) or not root.value.keys().isdisjoint(File.key_names()):
        return False
    return any(
        isinstance(each.value, dict) and not each.value.keys().isdisjoint(_ENVIRONMENT_KEYS)
        for each in root.value.values()
    )


def read_goaws(root: Node, file: str) -> Foreign:
    """The queues and topics of a GoAWS configuration; raises ``ConfigError``."""
    return _Reader(file).read(root)


class _Reader(ForeignReader):
    def read(self, root: Node) -> Foreign:
        environments: dict[str, Node] = root.value
        chosen = _USUAL if _USUAL in environments else next(iter(environments))
        for name, node in environments.items():
            if name != chosen:
                self.unsupported(node, f"is not used: the environment {chosen} is")
        environment = environments[chosen]
        parts = self.members(environment, _ENVIRONMENT_KEYS)
        content: dict[str, Node] = {}
        for key, name in (("Region", "region"), ("AccountId", "account")):
            if key in parts:
                self.suggest(name, parts[key])
                content[name] = parts[key]
        self._address(parts)
        for key in ("LogToFile", "LogFile"):
            self.unsupported(parts.get(key), "is not supported: logs go to standard error")
        if any(each.value for each in self.members(parts.get("RandomLatency")).values()):
            self.unsupported(parts["RandomLatency"], "is not supported")
        defaults = self.members(parts.get("QueueAttributeDefaults"))
        queues = self._queues(parts, defaults)
        topics = self._topics(parts, queues, defaults)
        content["queues"] = parts.get("Queues", environment).with_value(queues)
        content["topics"] = parts.get("Topics", environment).with_value(topics)
        return self.finish(environment.with_value(content))

    def _address(self, parts: dict[str, Node]) -> None:
        port = parts.get("Port", parts.get("SqsPort", parts.get("SnsPort")))
        self.suggest("port", port)
        self.suggest_public_url("http", parts.get("Host"), port)
        for key in ("SqsPort", "SnsPort"):
            if parts.get(key) is not port:
                self.unsupported(parts.get(key), "is not listened on: one port serves both")

    def _queues(self, parts: dict[str, Node], defaults: dict[str, Node]) -> dict[str, Node]:
        queues: dict[str, Node] = {}
        for item in self.items(parts.get("Queues")):
            attributes = dict(self.members(item))
            name = self._name(item, attributes.pop("Name", None), queues)
            if name is None:
                continue
            redrive = attributes.pop("RedrivePolicy", None)
            if redrive is not None and redrive.value:
                attributes["deadLetterQueue"] = self._dead_letter_queue(redrive)
            queues[name] = item.with_value({**defaults, **attributes})
        return queues

    def _name(self, item: Node, name: Node | None, others: dict[str, Node]) -> str | None:
        if name is None or not isinstance(name.value, str | int) or isinstance(name.value, bool):
            self.problems.append(item.problem("must have a Name"))
            return None
        if str(name.value) in others:
            self.problems.append(name.problem(f"{name.value} is there twice"))
            return None
        return str(name.value)

    def _dead_letter_queue(self, node: Node) -> Node:
        """GoAWS looks at the name in the ARN only."""
        policy: Any = node.plain()
        if isinstance(policy, str):
            try:
                policy = json.loads(policy)
            except (ValueError, RecursionError):
                policy = None
        if not isinstance(policy, dict):
            self.problems.append(node.problem("must be a mapping, or JSON in a text"))
            return node
        names = {"deadLetterTargetArn": "name", "maxReceiveCount": "maxReceiveCount"}
        read = {names.get(key, key): node.with_value(value) for key, value in policy.items()}
        target = read.get("name")
        if target is not None and isinstance(target.value, str):
            read["name"] = node.with_value(target.value.rpartition(":")[2])
        return node.with_value(read)

    def _topics(
        self, parts: dict[str, Node], queues: dict[str, Node], defaults: dict[str, Node]
    ) -> dict[str, Node]:
        """Queues that are only subscribed are added to ``queues``, as GoAWS does."""
        topics: dict[str, Node] = {}
        for item in self.items(parts.get("Topics")):
            attributes = self.members(item, ("Name", "Subscriptions"))
            name = self._name(item, attributes.get("Name"), topics)
            if name is None:
                continue
            listed = attributes.get("Subscriptions", item)
            subscriptions = []
            for node in self.items(attributes.get("Subscriptions")):
                subscription = self._subscription(node)
                subscriptions.append(node.with_value(subscription))
                queue = subscription.get("queue")
                if queue is not None and isinstance(queue.value, str):
                    queues.setdefault(queue.value, queue.with_value(dict(defaults)))
            topics[name] = item.with_value({"subscriptions": listed.with_value(subscriptions)})
        return topics

    def _subscription(self, node: Node) -> dict[str, Node]:
        names = {
            "QueueName": "queue",
            "Protocol": "protocol",
            "EndPoint": "endpoint",
            "Raw": "raw",
            "FilterPolicy": "filterPolicy",
        }
        known = (*names, "TopicArn")  # which says what is known already
        return {
            names[key]: each
            for key, each in self.members(node, known).items()
            if key in names and each.value not in (None, "")
        }
