"""MessageStructure=json: a message for each protocol (SNS reference, 4.3)."""

import json

import pytest

from tests.support.client import Client
from tests.support.server import MEMORY_ONLY, Server
from tests.support.sns import SnsClient, sns_refusal
from tests.support.topics import Topic, new_topic, take_bodies, take_envelope

UNPARSABLE = (
    "InvalidParameter",
    "Invalid parameter: Message Structure - JSON message body failed to parse",
)
NO_DEFAULT = (
    "InvalidParameter",
    "Invalid parameter: Message Structure - No default entry in JSON message body",
)


@pytest.fixture
def sqs(server: Server) -> Client:
    """A client of its queues."""
    return server.client("json")


@pytest.fixture
async def topic(sns: SnsClient) -> Topic:
    """A standard topic with default attributes."""
    return await new_topic(sns)


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ('{"default":"for all","sqs":"for queues"}', "for queues"),
        ('{"default":"for all","http":"for servers"}', "for all"),
        ('{"default":"for all","SQS":"wrong case"}', "for all"),
        ('{"default":"for all","unknown":"for nobody"}', "for all"),
        ('{"default":"","sqs":"for queues"}', "for queues"),
        ('{"default":"first","default":"second"}', "second"),
        ('{"default":"for all","sqs":"first","sqs":"second"}', "second"),
        ('{"default":"ü \\u20ac","sqs":null}', "ü €"),
        ('{"default":"{\\"a\\":1}"}', '{"a":1}'),
        (' \n{"default" : "for all"}\n ', "for all"),
    ],
)
async def test_a_queue_gets_its_entry_or_the_default(
    topic: Topic, sqs: Client, message: str, expected: str
) -> None:
    cooked = await topic.queue(sqs, "cooked")
    raw = await topic.queue(sqs, "raw", RawMessageDelivery="true")
    await topic.publish(message, MessageStructure="json")
    assert (await take_envelope(cooked))["Message"] == expected
    assert await take_bodies(raw) == [expected]


@MEMORY_ONLY
@pytest.mark.parametrize("value", ["1", "1.5", "true", "null", "[]", '{"a":"b"}', '["x"]'])
async def test_an_entry_that_is_no_string_is_passed_over(
    topic: Topic, sqs: Client, value: str
) -> None:
    queue = await topic.queue(sqs, RawMessageDelivery="true")
    await topic.publish(f'{{"default":"for all","sqs":{value}}}', MessageStructure="json")
    assert await take_bodies(queue) == ["for all"]


@MEMORY_ONLY
@pytest.mark.parametrize("text", ["", "x"])
async def test_an_entry_may_be_empty(topic: Topic, sqs: Client, text: str) -> None:
    queue = await topic.queue(sqs)
    await topic.publish(json.dumps({"default": "for all", "sqs": text}), MessageStructure="json")
    assert (await take_envelope(queue))["Message"] == text


@MEMORY_ONLY
@pytest.mark.parametrize(
    "message", ["hello", "{", '{"default":"x"} rest', '{"default":"x"}{}', "{'default':'x'}", " "]
)
async def test_what_is_no_json_is_refused(topic: Topic, message: str) -> None:
    call = topic.publish(message, MessageStructure="json")
    assert await sns_refusal(call) == UNPARSABLE


@MEMORY_ONLY
@pytest.mark.parametrize(
    "message",
    [
        "{}",
        '{"sqs":"for queues"}',
        '{"Default":"x"}',
        '{"default":null}',
        '{"default":1}',
        '{"default":{"a":"b"}}',
        '{"default":["x"]}',
    ],
)
async def test_there_must_be_a_default(topic: Topic, sqs: Client, message: str) -> None:
    queue = await topic.queue(sqs)
    call = topic.publish(message, MessageStructure="json")
    assert await sns_refusal(call) == NO_DEFAULT
    assert await take_bodies(queue) == []


@MEMORY_ONLY
async def test_each_protocol_has_its_own_entry(server: Server, topic: Topic, sqs: Client) -> None:
    queue = await topic.queue(sqs, RawMessageDelivery="true")
    await topic.subscribe_arn("+4915112345678", protocol="sms")
    message = json.dumps({"default": "for all", "sqs": "for queues", "sms": "for phones"})
    await topic.publish(message, MessageStructure="json")
    assert await take_bodies(queue) == ["for queues"]
    response = await server.http.get("/_headrace/outbox", params={"protocol": "sms"})
    [delivery] = response.json()["deliveries"]
    assert delivery["phone"]["message"] == "for phones"
