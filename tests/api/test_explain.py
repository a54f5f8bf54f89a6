"""Why did my message not arrive?"""

import json
from typing import Any

import pytest

from tests.support.client import Client
from tests.support.clock import FakeClock
from tests.support.server import Server
from tests.support.sns import SnsClient

EXPLAIN = "/_headrace/sns/explain"
TOPIC = "arn:aws:sns:us-east-1:000000000000:news"
POLICY = {"colour": ["red"]}
BLUE = {"colour": {"DataType": "String", "StringValue": "blue"}}


@pytest.fixture
async def topic(sns: SnsClient) -> str:
    """A topic."""
    return await sns.topic("news")


@pytest.fixture
def protocol() -> str:
    """The protocol of the SQS client."""
    return "json"


async def subscribe(
    sns: SnsClient, topic: str, protocol: str, endpoint: str, **attributes: str
) -> str:
    """The ARN of a subscription."""
    answer = await sns.call(
        "Subscribe",
        TopicArn=topic,
        Protocol=protocol,
        Endpoint=endpoint,
        Attributes=attributes,
        ReturnSubscriptionArn=True,
    )
    arn: str = answer["SubscriptionArn"]
    return arn


async def explained(server: Server, topic: str, message_id: str) -> list[dict[str, Any]]:
    """What became of a message, for each subscription."""
    response = await server.http.get(EXPLAIN, params={"topicArn": topic, "messageId": message_id})
    assert response.status_code == 200, response.text
    document = response.json()
    assert (document["topicArn"], document["messageId"]) == (topic, message_id)
    subscriptions: list[dict[str, Any]] = document["subscriptions"]
    return subscriptions


async def publish(sns: SnsClient, topic: str, **members: Any) -> str:
    """The id of a message."""
    answer = await sns.call("Publish", TopicArn=topic, **{"Message": "hello"} | members)
    message_id: str = answer["MessageId"]
    return message_id


async def test_a_copy_in_a_queue_is_named(
    server: Server, sns: SnsClient, sqs: Client, topic: str
) -> None:
    queue = await sqs.queue("jobs")
    arn = await subscribe(sns, topic, "sqs", await queue.arn())
    [told] = await explained(server, topic, await publish(sns, topic))
    message = await queue.receive_one()
    assert told == {
        "subscriptionArn": arn,
        "protocol": "sqs",
        "endpoint": await queue.arn(),
        "outcome": "matched",
        "reason": "It has no filter policy.",
        "deliveries": [{"status": "delivered", "queueMessageId": message["MessageId"]}],
    }


async def test_what_is_filtered_out_is_told_with_the_key_that_failed(
    server: Server, sns: SnsClient, topic: str
) -> None:
    policy = json.dumps(POLICY)
    await subscribe(sns, topic, "sms", "+4915112345678", FilterPolicy=policy)
    [told] = await explained(server, topic, await publish(sns, topic, MessageAttributes=BLUE))
    assert told["outcome"] == "filtered"
    assert told["deliveries"] == []
    assert told["filterPolicyScope"] == "MessageAttributes"
    assert json.loads(told["filterPolicy"]) == POLICY
    assert told["failures"] == [
        {"key": "colour", "rules": ["red"], "found": ["blue"], "reason": "No rule fits."}
    ]
    [told] = await explained(server, topic, await publish(sns, topic))
    assert told["failures"][0]["found"] == "absent"
    assert told["failures"][0]["reason"] == "The key is absent."


async def test_an_endpoint_that_has_not_confirmed_is_pending(
    server: Server, sns: SnsClient, topic: str
) -> None:
    await subscribe(sns, topic, "email", "reader@example.com")
    [told] = await explained(server, topic, await publish(sns, topic))
    assert (told["outcome"], told["deliveries"]) == ("pending", [])


async def test_a_subscription_that_came_later_is_too_late(
    server: Server, sns: SnsClient, topic: str, clock: FakeClock
) -> None:
    message_id = await publish(sns, topic)
    await clock.advance(1)
    await subscribe(sns, topic, "sms", "+4915112345678")
    [told] = await explained(server, topic, message_id)
    assert (told["outcome"], told["deliveries"]) == ("too late", [])


async def test_a_delivery_is_told_with_its_state(
    server: Server, sns: SnsClient, topic: str
) -> None:
    await subscribe(sns, topic, "lambda", "arn:aws:lambda:us-east-1:000000000000:function:work")
    missing = "arn:aws:sqs:us-east-1:000000000000:missing"
    await subscribe(sns, topic, "sqs", missing)
    told = {
        each["protocol"]: each for each in await explained(server, topic, await publish(sns, topic))
    }
    [waiting] = told["lambda"]["deliveries"]
    assert waiting["status"] == "waiting"
    [failed] = told["sqs"]["deliveries"]
    assert (failed["status"], failed["statusCode"]) == ("failed", 404)


async def test_a_subscription_that_has_ended_since_is_told_with_its_deliveries(
    server: Server, sns: SnsClient, topic: str
) -> None:
    arn = await subscribe(sns, topic, "sms", "+4915112345678")
    message_id = await publish(sns, topic)
    await sns.call("Unsubscribe", SubscriptionArn=arn)
    [told] = await explained(server, topic, message_id)
    assert (told["subscriptionArn"], told["outcome"]) == (arn, "ended")
    assert [each["status"] for each in told["deliveries"]] == ["delivered"]


async def test_a_message_that_nobody_knows_is_not_found(server: Server, topic: str) -> None:
    response = await server.http.get(EXPLAIN, params={"topicArn": topic, "messageId": "unknown"})
    assert response.status_code == 404
    assert response.json()["code"] == "NotFound"


async def test_a_message_of_another_topic_is_not_found(
    server: Server, sns: SnsClient, topic: str
) -> None:
    message_id = await publish(sns, await sns.topic("other"))
    response = await server.http.get(EXPLAIN, params={"topicArn": topic, "messageId": message_id})
    assert response.status_code == 404


# --- what would become of a message ---------------------------------------------------------------


async def test_a_draft_is_explained_and_not_published(
    server: Server, sns: SnsClient, sqs: Client, topic: str
) -> None:
    queue = await sqs.queue("jobs")
    policy = json.dumps(POLICY)
    arn = await subscribe(sns, topic, "sqs", await queue.arn(), FilterPolicy=policy)
    for colour, outcome in (("red", "matched"), ("blue", "filtered")):
        attribute = {"DataType": "String", "StringValue": colour}
        draft = {"TopicArn": topic, "Message": "x", "MessageAttributes": {"colour": attribute}}
        response = await server.http.post(EXPLAIN, json=draft)
        [told] = response.json()["subscriptions"]
        assert (told["subscriptionArn"], told["outcome"]) == (arn, outcome)
    assert await queue.bodies() == []


async def test_a_structured_draft_is_filtered_by_the_entry_of_the_protocol(
    server: Server, sns: SnsClient, topic: str
) -> None:
    await subscribe(
        sns,
        topic,
        "sms",
        "+4915112345678",
        FilterPolicy=json.dumps(POLICY),
        FilterPolicyScope="MessageBody",
    )
    message = json.dumps({"default": "{}", "sms": '{"colour": "red"}'})
    draft = {"TopicArn": topic, "Message": message, "MessageStructure": "json"}
    response = await server.http.post(EXPLAIN, json=draft)
    [told] = response.json()["subscriptions"]
    assert told["outcome"] == "matched"


# --- bad requests ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "status", "problem"),
    [
        ("", 400, "topicArn is missing"),
        (f"topicArn={TOPIC}", 400, "messageId is missing"),
        ("topicArn=news&messageId=x", 400, "Invalid parameter: TopicArn"),
        ("topicArn=%00%ff&messageId=x", 400, "Invalid parameter: TopicArn"),
        ("topicArn=a:b:c:d:e:f&messageId=x", 400, "Invalid parameter: TopicArn"),
        (f"topicArn={TOPIC}&messageId=x", 404, "Topic does not exist"),
    ],
)
async def test_a_bad_question_is_told(
    server: Server, query: str, status: int, problem: str
) -> None:
    response = await server.http.get(f"{EXPLAIN}?{query}")
    assert (response.status_code, response.json()["error"]) == (status, problem)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"{",
        b"\xff\xfe\x00",
        b"[" * 100_000,
        b"{}",
        b'{"TopicArn": 5, "Message": "x"}',
        b'{"TopicArn": "news", "Message": "x"}',
        b'{"TopicArn": "TOPIC"}',
        b'{"TopicArn": "TOPIC", "Message": ""}',
        b'{"TopicArn": "TOPIC", "Message": 1' + b"0" * 5_000 + b"}",
        b'{"TopicArn": "TOPIC", "Message": "x", "MessageAttributes": {"\\ud800": {}}}',
        b'{"TopicArn": "TOPIC", "Message": "x", "MessageAttributes": {"\\ud800": 5}}',
        b'{"TopicArn": "TOPIC", "Message": "x", "MessageAttributes": {"a": {"DataType": "\\udfff"'
        b"}}}",
        b'{"TopicArn": "arn:aws:sns:us-east-1:000000000000:\\ud800", "Message": "x"}',
        b'{"TopicArn": "TOPIC", "Message": "[]", "MessageStructure": "json"}',
        b'{"TopicArn": "TOPIC", "Message": "x", "MessageAttributes": {"a": {"DataType": "Binary",'
        b' "BinaryValue": "!"}}}',
    ],
)
async def test_a_bad_draft_is_told(server: Server, topic: str, body: bytes) -> None:
    response = await server.http.post(EXPLAIN, content=body.replace(b"TOPIC", topic.encode()))
    assert response.status_code in (400, 404), response.text
    assert response.json()["error"]


async def test_a_draft_that_is_too_long_is_told(server: Server, topic: str) -> None:
    response = await server.http.post(EXPLAIN, content=b" " * (5 * 1024 * 1024))
    assert (response.status_code, response.json()) == (400, {"error": "the body is too long"})


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        ({"TopicArn": TOPIC}, "Message is missing"),
        ({"TopicArn": TOPIC, "Message": 1}, "Message is not a text"),
        (
            {"TopicArn": TOPIC, "Message": "", "MessageAttributes": {"a": 1}},
            "MessageAttributes.a is not a JSON object",
        ),
        (
            {"TopicArn": TOPIC, "Message": "", "MessageAttributes": []},
            "MessageAttributes is not a JSON object",
        ),
        (
            {"TopicArn": TOPIC, "Message": "", "MessageAttributes": {"a": {}}},
            "MessageAttributes.a.DataType is missing",
        ),
        (
            {"TopicArn": TOPIC, "Message": "", "Mesage": ""},
            "there is no member Mesage: use TopicArn, Message, MessageStructure, Subject,"
            " MessageGroupId, MessageDeduplicationId, MessageAttributes",
        ),
    ],
)
async def test_a_draft_that_is_none_is_told_in_plain_words(
    server: Server, document: dict[str, object], problem: str
) -> None:
    response = await server.http.post("/_headrace/sns/explain", content=json.dumps(document))
    assert (response.status_code, response.json()) == (400, {"error": problem})
