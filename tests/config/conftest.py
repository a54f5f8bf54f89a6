"""A broker in memory, and files to declare what it is to have."""

import json
import textwrap
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from api.config import Mode, Plan, apply, load, plan
from api.config.resources import NoDeliveries
from broker import Broker, Caller, QueueKey, RandomIds, open_storage
from tests.support.clock import FakeClock

ACCOUNT, REGION = "000000000000", "us-east-1"
ROOT = Caller(ACCOUNT, REGION, f"arn:aws:iam::{ACCOUNT}:root", signed=True)

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes a file; the text may be indented as a whole."""

    def write(text: str, name: str = "headrace.yaml") -> Path:
        path = tmp_path / name
        path.write_text(textwrap.dedent(text), "utf-8")
        return path

    return write


class World:
    """A broker, and short ways to declare and to look."""

    def __init__(self, broker: Broker, write: Write) -> None:
        self.broker = broker
        self._write = write

    async def plan(self, text: str, mode: Mode = "create") -> Plan:
        """What a declaration would change."""
        return await plan(self.broker, load(self._write(text)), mode, ACCOUNT, REGION)

    async def declare(self, text: str, mode: Mode = "create") -> list[str]:
        """Have what a file declares; the lines of the plan."""
        made = await self.plan(text, mode)
        await apply(self.broker, made)
        return made.lines()

    async def queues(self, account: str = ACCOUNT, region: str = REGION) -> list[str]:
        """The names of the queues."""
        records, _ = await self.broker.queues.page(account, region)
        return [record.key.name for record in records]

    async def queue(self, name: str, *names: str) -> dict[str, str]:
        """Attributes of a queue."""
        key = QueueKey(ACCOUNT, REGION, name)
        return await self.broker.queues.attributes(key, list(names) or ["All"])

    async def tags(self, name: str) -> dict[str, str]:
        """The tags of a queue."""
        return dict((await self.broker.queues.get(QueueKey(ACCOUNT, REGION, name))).tags)

    async def topics(self) -> list[str]:
        """The names of the topics."""
        arns, _ = await self.broker.topics.page(ROOT, None)
        return [arn.rpartition(":")[2] for arn in arns]

    async def topic(self, name: str) -> dict[str, str]:
        """The attributes of a topic."""
        return await self.broker.topics.attributes(ROOT, topic_arn(name))

    async def subscriptions(self, topic: str) -> dict[str, dict[str, Any]]:
        """The attributes of a topic's subscriptions by endpoint; queues by name."""
        listed, _ = await self.broker.subscriptions.page_of_topic(ROOT, topic_arn(topic), None)
        found: dict[str, dict[str, Any]] = {}
        for each in listed:
            name = each.endpoint.rpartition(":")[2] if each.protocol == "sqs" else each.endpoint
            arn = each.subscription_arn
            pending = arn == "PendingConfirmation"
            found[name] = {} if pending else await self.broker.subscriptions.attributes(ROOT, arn)
            if "FilterPolicy" in found[name]:
                found[name]["FilterPolicy"] = json.loads(found[name]["FilterPolicy"])
        return found


def topic_arn(name: str) -> str:
    return f"arn:aws:sns:{REGION}:{ACCOUNT}:{name}"


def queue_arn(name: str) -> str:
    return f"arn:aws:sqs:{REGION}:{ACCOUNT}:{name}"


@pytest.fixture
async def world(write: Write) -> AsyncIterator[World]:
    """An empty broker, of which nothing gets out."""
    broker = await Broker.open(
        open_storage("memory", strict=False), FakeClock(), RandomIds(), deliveries=NoDeliveries()
    )
    yield World(broker, write)
    await broker.close()
