"""Reads ``elasticmq.conf`` as a file of Headrace's own format."""

import re
from typing import Any

from api.config.foreign import Foreign, ForeignReader
from api.config.nodes import Node

_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([a-z]*)")
#: HOCON's units; a number without one is milliseconds
_UNITS_MS = {
    **dict.fromkeys(("", "ms", "milli", "millis", "millisecond", "milliseconds"), 1),
    **dict.fromkeys(("s", "second", "seconds"), 1_000),
    **dict.fromkeys(("m", "minute", "minutes"), 60_000),
    **dict.fromkeys(("h", "hour", "hours"), 3_600_000),
    **dict.fromkeys(("d", "day", "days"), 86_400_000),
}
_DURATIONS = {
    "defaultVisibilityTimeout": "visibilityTimeout",
    "delay": "delaySeconds",
    "receiveMessageWait": "receiveMessageWaitTimeSeconds",
}
_COPYING = ("copyTo", "moveTo")
_QUEUE_KEYS = (
    *_DURATIONS,
    "deadLettersQueue",
    "fifo",
    "contentBasedDeduplication",
    *_COPYING,
    "tags",
)
#: parts that only say how ElasticMQ itself is run
_OWN_AFFAIRS = ("akka", "pekko", "generate-node-address", "rest-stats")


def read_elasticmq(root: Node, file: str) -> Foreign:
    """The queues of an ElasticMQ configuration; raises ``ConfigError``."""
    return _Reader(file).read(root)


class _Reader(ForeignReader):
    def read(self, root: Node) -> Foreign:
        parts = self.members(
            root,
            (
                "node-address",
                "rest-sqs",
                "queues",
                "aws",
                "auto-create-queues",
                "queues-storage",
                "messages-storage",
                *_OWN_AFFAIRS,
            ),
        )
        self._address(parts)
        content: dict[str, Node] = {}
        aws = self.members(parts.get("aws"), ("region", "accountId"))
        for key, name in (("region", "region"), ("accountId", "account")):
            if key in aws:
                self.suggest(name, aws[key])
                content[name] = aws[key]
        for storage in ("queues-storage", "messages-storage"):
            if self._enabled(parts.get(storage)):
                self.unsupported(
                    parts[storage], "is not used: see --store for where messages are kept"
                )
        if self._enabled(parts.get("auto-create-queues")):
            self.unsupported(
                parts["auto-create-queues"],
                "is not supported: queues are made by this file or by CreateQueue",
            )
        queues = parts.get("queues", root.with_value({}))
        content["queues"] = queues.with_value(self._queues(queues))
        return self.finish(root.with_value(content))

    def _enabled(self, node: Node | None) -> bool:
        return self.members(node).get("enabled", Node(False, 0)).value in (True, "true")

    def _address(self, parts: dict[str, Node]) -> None:
        address = self.members(
            parts.get("node-address"), ("protocol", "host", "port", "context-path")
        )
        self.unsupported(address.get("context-path"), "is not supported: URLs have no prefix")
        scheme = str(address.get("protocol", Node("http", 0)).value)
        self.suggest_public_url(scheme, address.get("host"), address.get("port"))
        rest = self.members(
            parts.get("rest-sqs"), ("enabled", "bind-port", "bind-hostname", "sqs-limits")
        )
        self.suggest("port", rest.get("bind-port"))
        self.suggest("host", rest.get("bind-hostname"))
        limits = rest.get("sqs-limits")
        if limits is not None and limits.value != "strict":
            self.unsupported(limits, "is not supported: limits are those of AWS")

    def _queues(self, node: Node) -> dict[str, Node]:
        queues: dict[str, Node] = {}
        for name, queue in self.members(node).items():
            attributes = self.members(queue, _QUEUE_KEYS)
            fifo = attributes.get("fifo", Node(False, 0)).value in (True, "true")
            queues[_suffixed(name, fifo=fifo)] = queue.with_value(
                self._queue(attributes, fifo=fifo)
            )
        return queues

    def _queue(self, attributes: dict[str, Node], *, fifo: bool) -> dict[str, Node]:
        read: dict[str, Node] = {}
        for name, node in attributes.items():
            if name in _DURATIONS:
                read[_DURATIONS[name]] = node.with_value(self._seconds(node))
            elif name == "fifo":
                read["fifoQueue"] = node
            elif name == "deadLettersQueue":
                members = dict(self.members(node, ("name", "maxReceiveCount")))
                target = members.get("name")
                if target is not None and isinstance(target.value, str):
                    members["name"] = target.with_value(_suffixed(target.value, fifo=fifo))
                read["deadLetterQueue"] = node.with_value(members)
            elif name in _COPYING:
                self.unsupported(node, "is not supported: messages stay in their queue")
            else:
                read[name] = node
        return read

    def _seconds(self, node: Node) -> Any:
        """As ElasticMQ reads it: whole seconds, the rest cut off."""
        match = _DURATION.fullmatch(str(node.value))
        if match is None or match[2] not in _UNITS_MS:
            self.problems.append(node.problem("must be a duration, such as 30 seconds"))
            return None
        if not match[2] and float(match[1]):
            self.warnings.append(
                node.problem(f"is {match[1]} milliseconds: a number without a unit is, in HOCON")
            )
        return int(float(match[1]) * _UNITS_MS[match[2]]) // 1_000


def _suffixed(name: str, *, fifo: bool) -> str:
    """ElasticMQ adds the suffix that the name of a FIFO queue lacks."""
    return f"{name}.fifo" if fifo and not name.endswith(".fifo") else name
