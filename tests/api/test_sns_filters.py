"""Filter policies as publishing shows them: who gets what (SNS reference, 7.1, 7.5)."""

import asyncio
import json
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage import open_storage
from tests.support.client import Answer, Client, Queue
from tests.support.clock import FakeClock
from tests.support.server import MEMORY_ONLY, Server, running
from tests.support.sns import SnsClient
from tests.support.topics import (
    Subscription,
    Topic,
    dead_letters_to,
    new_topic,
    outbox,
    take,
    take_bodies,
    take_one,
)


def string(value: str) -> Answer:
    return {"DataType": "String", "StringValue": value}


def array(*values: Any) -> Answer:
    return {"DataType": "String.Array", "StringValue": json.dumps(values)}


def number(value: str) -> Answer:
    return {"DataType": "Number", "StringValue": value}


BINARY: Answer = {"DataType": "Binary", "BinaryValue": b"red"}
RED = {"color": string("red")}
BLUE = {"color": string("blue")}


@pytest.fixture
def sqs(server: Server) -> Client:
    """A client of its queues."""
    return server.client("json")


@pytest.fixture
async def topic(sns: SnsClient) -> Topic:
    """A standard topic with default attributes."""
    return await new_topic(sns)


async def filtered(topic: Topic, sqs: Client, policy: Any, **attributes: str) -> Queue:
    """A queue that gets the raw messages which a policy lets pass."""
    queue = await sqs.queue()
    await topic.subscribe(
        queue, RawMessageDelivery="true", FilterPolicy=json.dumps(policy), **attributes
    )
    return queue


# --- message attributes -------------------------------------------------------------------------


@MEMORY_ONLY
@pytest.mark.parametrize(
    ("policy", "attributes", "passes"),
    [
        ({"color": ["red"]}, RED, True),
        ({"color": ["red"]}, BLUE, False),
        ({"color": ["red"]}, {}, False),
        ({"color": ["Red"]}, RED, False),
        ({"color": ["blue", "red"]}, RED, True),
        ({"color": ["red"], "n": [1]}, RED, False),
        ({"color": ["red"], "n": [1]}, {**RED, "n": number("1")}, True),
        # presence
        ({"color": [{"exists": True}]}, RED, True),
        ({"color": [{"exists": True}]}, {"color": BINARY}, True),
        ({"color": [{"exists": True}]}, {}, False),
        ({"color": [{"exists": False}]}, {}, True),
        ({"color": [{"exists": False}]}, RED, False),
        ({"color": [None]}, {}, False),
        ({"color": [None, {"anything-but": "x"}]}, {}, False),
        ({"color": [{"anything-but": "blue"}]}, {}, False),
        ({"color": [{"anything-but": "blue"}]}, RED, True),
        ({"color": [{"anything-but": "blue"}, {"exists": False}]}, {}, True),
        # types
        ({"color": ["red"]}, {"color": BINARY}, False),
        ({"n": [301.5]}, {"n": number("3.015e2")}, True),
        ({"n": ["1"]}, {"n": number("1")}, False),
        ({"n": [1]}, {"n": string("1")}, False),
        ({"n": [{"numeric": [">", 5]}]}, {"n": number("6")}, True),
        ({"n": [{"numeric": [">", 5]}]}, {"n": number("5")}, False),
        ({"n": [{"numeric": [">=", 5, "<", 7]}]}, {"n": number("5")}, True),
        ({"n": [{"numeric": [">=", 5, "<", 7]}]}, {"n": number("7")}, False),
        # arrays
        ({"color": ["red"]}, {"color": array("red", "blue")}, True),
        ({"color": ["red"]}, {"color": array("green", "blue")}, False),
        ({"color": [1]}, {"color": array("green", 1)}, True),
        ({"color": [None]}, {"color": array("green", None)}, True),
        ({"color": [{"anything-but": ["red"]}]}, {"color": array("red", "blue")}, False),
        # operators
        ({"color": [{"prefix": "re"}]}, RED, True),
        ({"color": [{"suffix": "ed"}]}, RED, True),
        ({"color": [{"equals-ignore-case": "RED"}]}, RED, True),
        ({"color": [{"anything-but": {"prefix": "re"}}]}, RED, False),
        ({"ip": [{"cidr": "10.0.0.0/24"}]}, {"ip": string("10.0.0.255")}, True),
        ({"ip": [{"cidr": "10.0.0.0/24"}]}, {"ip": string("10.0.0.256")}, False),
        ({"$or": [{"color": ["red"]}, {"n": [1]}]}, {"n": number("1")}, True),
        ({"$or": [{"color": ["red"]}, {"n": [1]}]}, {"n": number("2")}, False),
    ],
)
async def test_a_policy_reads_message_attributes(
    topic: Topic, sqs: Client, policy: Answer, attributes: Answer, passes: bool
) -> None:
    queue = await filtered(topic, sqs, policy)
    await topic.publish('{"color":"red","n":1}', MessageAttributes=attributes)
    assert len(await take(queue)) == passes


async def test_each_subscriber_has_its_own_policy(topic: Topic, sqs: Client) -> None:
    red, blue, both, none = [
        await topic.queue(
            sqs, name, RawMessageDelivery="true", **({"FilterPolicy": policy} if policy else {})
        )
        for name, policy in {
            "red": '{"color":["red"]}',
            "blue": '{"color":["blue"]}',
            "both": '{"color":["red","blue"]}',
            "none": "",
        }.items()
    ]
    await topic.publish("red", MessageAttributes=RED)
    await topic.publish("blue", MessageAttributes=BLUE)
    await topic.publish("grey")
    assert await take_bodies(red) == ["red"]
    assert await take_bodies(blue) == ["blue"]
    assert sorted(await take_bodies(both)) == ["blue", "red"]
    assert sorted(await take_bodies(none)) == ["blue", "grey", "red"]


async def test_entries_of_a_batch_are_filtered_one_by_one(topic: Topic, sqs: Client) -> None:
    queue = await filtered(topic, sqs, {"color": ["red"]})
    answer = await topic.publish_batch(
        {"Message": "1", "MessageAttributes": RED},
        {"Message": "2", "MessageAttributes": BLUE},
        {"Message": "3"},
        {"Message": "4", "MessageAttributes": RED},
    )
    assert len(answer["Successful"]) == 4
    assert sorted(await take_bodies(queue)) == ["1", "4"]


# --- the message --------------------------------------------------------------------------------


@MEMORY_ONLY
@pytest.mark.parametrize(
    ("policy", "message", "passes"),
    [
        ({"object": {"nested": ["x"]}}, '{"object":{"nested":"x"}}', True),
        ({"object": {"nested": ["x"]}}, '{"object.nested":"x"}', True),
        ({"object.nested": ["x"]}, '{"object":{"nested":"x"}}', True),
        ({"object": {"nested": ["x"]}}, '{"object":{"nested":"y"}}', False),
        ({"a": ["x"]}, '{"a":["y","x"]}', True),
        ({"a": {"b": ["x"]}}, '{"a":[[{"b":"x"}]]}', True),
        ({"a": [1]}, '{"a":1.0}', True),
        ({"a": [1]}, '{"a":"1"}', False),
        ({"a": [True]}, '{"a":true}', True),
        ({"a": [True]}, '{"a":"true"}', False),
        ({"a": [""]}, '{"a":""}', True),
        ({"a": [{"exists": False}]}, '{"b":1}', True),
        ({"a": [{"exists": False}]}, '{"a":1}', False),
        ({"a": ["x"]}, '{"a":"x","empty":[],"nothing":null}', True),
        ({"a": ["x"]}, '"x"', False),
        ({"a": ["x"]}, "[1]", False),
        ({"a": ["x"]}, "1", False),
        ({"a": ["x"]}, "hello", False),
        ({"a": ["x"]}, '{"a":"x"', False),
        ({"a": [{"exists": False}]}, "hello", False),
    ],
)
async def test_a_policy_of_the_other_scope_reads_the_message(
    topic: Topic, sqs: Client, policy: Answer, message: str, passes: bool
) -> None:
    queue = await filtered(topic, sqs, policy, FilterPolicyScope="MessageBody")
    await topic.publish(message, MessageAttributes={"a": string("x")})
    assert await take_bodies(queue) == [message] * passes


@MEMORY_ONLY
async def test_a_policy_reads_the_message_for_the_protocol(topic: Topic, sqs: Client) -> None:
    queue = await filtered(topic, sqs, {"a": ["x"]}, FilterPolicyScope="MessageBody")
    for own, default in (("x", "y"), ("y", "x")):
        structured = {"default": json.dumps({"a": default}), "sqs": json.dumps({"a": own})}
        await topic.publish(json.dumps(structured), MessageStructure="json")
    assert await take_bodies(queue) == ['{"a": "x"}']


# --- beside filtering ---------------------------------------------------------------------------


@MEMORY_ONLY
@pytest.mark.parametrize("raw", ["true", "false"])
@pytest.mark.parametrize("scope", ["MessageAttributes", "MessageBody"])
async def test_raw_delivery_does_not_matter_to_filters(
    topic: Topic, sqs: Client, raw: str, scope: str
) -> None:
    queue = await sqs.queue()
    await topic.subscribe(
        queue,
        RawMessageDelivery=raw,
        FilterPolicy='{"color":["red"]}',
        FilterPolicyScope=scope,
    )
    await topic.publish('{"color":"red"}', MessageAttributes=RED)
    await topic.publish('{"color":"blue"}', MessageAttributes=BLUE)
    body = (await take_one(queue))["Body"]
    assert (body if raw == "true" else json.loads(body)["Message"]) == '{"color":"red"}'


async def test_what_is_filtered_out_has_not_failed(
    server: Server, topic: Topic, sqs: Client
) -> None:
    dead = await sqs.queue("dead")
    policy = dead_letters_to(await dead.arn())
    queue = await filtered(topic, sqs, {"color": ["red"]}, RedrivePolicy=policy)
    await topic.publish("grey")
    assert await take(queue) == await take(dead) == []
    assert await outbox(server.http) == []


async def test_a_changed_policy_applies_at_once(topic: Topic, sqs: Client) -> None:
    queue = await sqs.queue()
    subscription = await topic.subscribe(queue, RawMessageDelivery="true")
    bodies = []
    for policy in ('{"color":["red"]}', '{"color":["blue"]}', "", '{"color":["red"]}', "{}"):
        await subscription.set("FilterPolicy", policy)
        await topic.publish(f"red {policy}", MessageAttributes=RED)
        bodies += await take_bodies(queue)
    assert bodies == ['red {"color":["red"]}', "red ", 'red {"color":["red"]}', "red {}"]


async def test_a_changed_scope_applies_at_once(topic: Topic, sqs: Client) -> None:
    queue = await sqs.queue()
    subscription = await topic.subscribe(
        queue, RawMessageDelivery="true", FilterPolicy='{"color":["red"]}'
    )
    await subscription.set("FilterPolicyScope", "MessageBody")
    await topic.publish("red", MessageAttributes=RED)
    await topic.publish('{"color":"red"}')
    assert await take_bodies(queue) == ['{"color":"red"}']


# --- whatever is subscribed and published -------------------------------------------------------


class _Filter(NamedTuple):
    """A policy, and what it lets pass by the words of the reference."""

    policy: Mapping[str, Any]
    scope: str
    passes: Callable[[str | None, int | None], bool]  # of color and n


_FILTERS: list[_Filter | None] = [
    None,
    *(
        _Filter(policy, scope, passes)
        for scope in ("MessageAttributes", "MessageBody")
        for policy, passes in (
            ({"color": ["red"]}, lambda color, n: color == "red"),
            ({"color": ["red", "blue"]}, lambda color, n: color in ("red", "blue")),
            ({"color": [{"anything-but": "red"}]}, lambda color, n: color not in (None, "red")),
            ({"color": [{"exists": False}]}, lambda color, n: color is None),
            ({"n": [{"numeric": [">", 1]}]}, lambda color, n: n is not None and n > 1),
            ({"color": ["red"], "n": [1, 2]}, lambda color, n: color == "red" and n in (1, 2)),
            ({"$or": [{"color": ["red"]}, {"n": [1]}]}, lambda color, n: color == "red" or n == 1),
        )
    ),
]
_QUEUES = ("a", "b", "c", "a.fifo", "b.fifo")
_TOPICS = ("x", "y", "z.fifo")


class _Message(NamedTuple):
    """A message: what its attributes say, and what its text says."""

    told: tuple[str | None, int | None]
    text: tuple[str | None, int | None]

    def members(self, serial: str) -> Answer:
        """As Publish takes it."""
        color, n = self.told
        attributes = {} if color is None else {"color": string(color)}
        if n is not None:
            attributes["n"] = number(str(n))
        text = {"serial": serial, "color": self.text[0], "n": self.text[1]}
        given = {name: value for name, value in text.items() if value is not None}
        members: Answer = {"Message": json.dumps(given)}
        return members | ({"MessageAttributes": attributes} if attributes else {})

    def passes(self, chosen: _Filter | None) -> bool:
        """Whether a filter lets it pass."""
        if chosen is None:
            return True
        return chosen.passes(*(self.told if chosen.scope == "MessageAttributes" else self.text))


class _Subscribe(NamedTuple):
    topic: str
    queue: str
    chosen: _Filter | None


class _Unsubscribe(NamedTuple):
    topic: str
    queue: str


class _Publish(NamedTuple):
    topic: str
    messages: tuple[_Message, ...]
    repeat: bool  # FIFO topics take it as a duplicate


_facts = st.tuples(
    st.sampled_from([None, "red", "blue", "green"]), st.sampled_from([None, 1, 2, 3])
)
_topics = st.sampled_from(_TOPICS)
_queues = st.sampled_from(_QUEUES)
_steps = st.one_of(
    st.builds(_Subscribe, _topics, _queues, st.sampled_from(_FILTERS)),
    st.builds(_Unsubscribe, _topics, _queues),
    st.builds(
        _Publish,
        _topics,
        st.lists(st.builds(_Message, _facts, _facts), min_size=1, max_size=3).map(tuple),
        st.booleans(),
    ),
)


class _World:
    """A server, and what its queues have to hold."""

    def __init__(self, server: Server) -> None:
        self._sns = SnsClient(server.http)
        self._sqs = server.client("json")
        self._topics: dict[str, Topic] = {}
        self._queues: dict[str, Queue] = {}
        self._subscribed: dict[tuple[str, str], tuple[Subscription, _Filter | None]] = {}
        self._expected: dict[str, list[str]] = {name: [] for name in _QUEUES}
        self._published = 0

    async def check(self, steps: list[Any]) -> None:
        """Take the steps, and compare all queues."""
        for name in _TOPICS:
            self._topics[name] = await new_topic(self._sns, name)
        for name in _QUEUES:
            self._queues[name] = await self._sqs.queue(name)
        for step in steps:
            await self._take(step)
        for name, queue in self._queues.items():
            serials = [json.loads(body)["serial"] for body in await take_bodies(queue)]
            if not name.endswith(".fifo"):
                serials.sort(key=self._expected[name].index)
            assert serials == self._expected[name]

    async def _take(self, step: Any) -> None:
        match step:
            case _Subscribe(topic, queue, chosen):
                await self._subscribe(topic, queue, chosen)
            case _Unsubscribe(topic, queue):
                subscription, _ = self._subscribed.pop((topic, queue), (None, None))
                if subscription is not None:
                    await self._sns.call("Unsubscribe", SubscriptionArn=subscription.arn)
            case _Publish(topic, messages, repeat):
                await self._publish(topic, messages, repeat)

    async def _subscribe(self, topic: str, queue: str, chosen: _Filter | None) -> None:
        if queue.endswith(".fifo") and not topic.endswith(".fifo"):
            return
        subscription, _ = self._subscribed.get((topic, queue), (None, None))
        attributes = {"FilterPolicyScope": "MessageAttributes", "FilterPolicy": ""}
        if chosen is not None:
            attributes = {
                "FilterPolicyScope": chosen.scope,
                "FilterPolicy": json.dumps(chosen.policy),
            }
        if subscription is None:
            subscription = await self._topics[topic].subscribe(
                self._queues[queue], RawMessageDelivery="true", **attributes
            )
        else:
            for name, value in attributes.items():
                await subscription.set(name, value)
        self._subscribed[topic, queue] = subscription, chosen

    async def _publish(self, topic: str, messages: tuple[_Message, ...], repeat: bool) -> None:
        entries = []
        for message in messages:
            self._published += 1
            serial = str(self._published)
            ids = {}
            if topic.endswith(".fifo"):
                ids = {"MessageGroupId": "g", "MessageDeduplicationId": serial}
            entries.append({**message.members(serial), **ids})
            for (subscribed, queue), (_, chosen) in self._subscribed.items():
                if subscribed == topic and message.passes(chosen):
                    self._expected[queue].append(serial)
        for _ in range(1 + (repeat and topic.endswith(".fifo"))):
            if len(entries) == 1:
                await self._topics[topic].call("Publish", **entries[0])
            else:
                await self._topics[topic].publish_batch(*entries)


async def _check(url: str, steps: list[Any]) -> None:
    async with running(open_storage(url, strict=False), FakeClock()) as server:
        await _World(server).check(steps)


@given(st.lists(_steps, max_size=25))
def test_each_subscriber_gets_one_copy_of_what_passes_and_nothing_else(steps: list[Any]) -> None:
    asyncio.run(_check("memory", steps))


@settings(max_examples=15)
@given(st.lists(_steps, max_size=25))
def test_that_holds_on_disk_too(steps: list[Any]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(_check(f"sqlite:{Path(folder) / 'headrace.db'}", steps))
