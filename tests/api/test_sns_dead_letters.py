"""What cannot be delivered to queues, and where it goes (SNS reference, 5.2, 5.11)."""

import json
from typing import Any

import pytest

from tests.support.client import Client, Queue
from tests.support.server import ACCOUNT, MEMORY_ONLY, REGION, Server
from tests.support.sns import SnsClient
from tests.support.topics import (
    Topic,
    dead_letters_to,
    new_topic,
    outbox,
    take,
    take_bodies,
    take_envelope,
    take_messages,
    take_one,
)

ATTRIBUTES: dict[str, Any] = {
    "s": {"DataType": "String", "StringValue": "x"},
    "b": {"DataType": "Binary", "BinaryValue": b"\x00\xff"},
}


@pytest.fixture
def sqs(server: Server) -> Client:
    """A client of its queues."""
    return server.client("json")


@pytest.fixture
async def topic(sns: SnsClient) -> Topic:
    """A standard topic with default attributes."""
    return await new_topic(sns)


@pytest.fixture
async def fifo_topic(sns: SnsClient) -> Topic:
    """A FIFO topic with default attributes."""
    return await new_topic(sns, "news.fifo")


@pytest.fixture
async def dead(sqs: Client) -> Queue:
    """A standard queue for dead letters."""
    return await sqs.queue("dead")


@pytest.fixture
async def fifo_dead(sqs: Client) -> Queue:
    """A FIFO queue for dead letters."""
    return await sqs.queue("dead.fifo")


async def missing(topic: Topic, dead: Queue, name: str = "gone", **attributes: str) -> str:
    """The ARN of a subscription of a queue that is not there."""
    subscription = await topic.subscribe_arn(
        f"arn:aws:sqs:{REGION}:{ACCOUNT}:{name}",
        RedrivePolicy=dead_letters_to(await dead.arn()),
        **attributes,
    )
    return subscription.arn


# --- queues that are gone -----------------------------------------------------------------------


async def test_a_missing_queue_can_be_subscribed_and_its_messages_fail(
    server: Server, topic: Topic, sqs: Client
) -> None:
    queue = await topic.queue(sqs, RawMessageDelivery="true")
    arn = f"arn:aws:sqs:{REGION}:{ACCOUNT}:missing"
    subscription = await topic.subscribe_arn(arn)
    published = await topic.publish("hello")
    assert await take_bodies(queue) == ["hello"]
    [delivery] = await outbox(server.http)
    expected = {
        "status": "failed",
        "protocol": "sqs",
        "endpoint": arn,
        "topicArn": topic.arn,
        "subscriptionArn": subscription.arn,
        "messageId": published["MessageId"],
        "message": "hello",
        "attempts": 1,
        "statusCode": 404,
    }
    assert expected.items() <= delivery.items()


async def test_a_queue_that_was_missing_gets_messages_once_it_is_there(
    topic: Topic, sqs: Client
) -> None:
    await topic.subscribe_arn(f"arn:aws:sqs:{REGION}:{ACCOUNT}:jobs", RawMessageDelivery="true")
    await topic.publish("lost")
    queue = await sqs.queue("jobs")
    await topic.publish("hello")
    assert await take_bodies(queue) == ["hello"]


async def test_a_subscription_outlives_its_queue(server: Server, topic: Topic, sqs: Client) -> None:
    queue = await sqs.queue()
    subscription = await topic.subscribe(queue)
    await queue.call("DeleteQueue")
    await topic.publish("hello")
    assert [each["status"] for each in await outbox(server.http)] == ["failed"]
    assert (await subscription.attributes())["PendingConfirmation"] == "false"


async def test_a_queue_made_anew_gets_nothing_until_it_is_subscribed_again(
    topic: Topic, sqs: Client, dead: Queue
) -> None:
    queue = await sqs.queue()
    policy = dead_letters_to(await dead.arn())
    subscription = await topic.subscribe(queue, RawMessageDelivery="true", RedrivePolicy=policy)
    await queue.call("DeleteQueue")
    queue = await sqs.queue()
    await topic.publish("to nobody")
    assert await take(queue) == []
    assert await take_bodies(dead) == ["to nobody"]
    again = await topic.subscribe(queue)
    assert again == subscription
    await topic.publish("to somebody")
    assert await take_bodies(queue) == ["to somebody"]
    assert await take(dead) == []


# --- what a dead letter is ----------------------------------------------------------------------


async def test_a_dead_letter_is_the_envelope_and_nothing_else(
    server: Server, topic: Topic, dead: Queue
) -> None:
    arn = await missing(topic, dead)
    published = await topic.publish("hello", Subject="a subject", MessageAttributes=ATTRIBUTES)
    message = await take_one(dead)
    assert "MessageAttributes" not in message
    assert message["Attributes"].keys() == {
        "SenderId",
        "SentTimestamp",
        "ApproximateReceiveCount",
        "ApproximateFirstReceiveTimestamp",
    }
    envelope = json.loads(message["Body"])
    assert list(envelope) == [
        "Type",
        "MessageId",
        "TopicArn",
        "Subject",
        "Message",
        "Timestamp",
        "SignatureVersion",
        "Signature",
        "SigningCertURL",
        "UnsubscribeURL",
        "MessageAttributes",
    ]
    assert envelope["MessageId"] == published["MessageId"]
    assert envelope["UnsubscribeURL"].endswith(arn)
    [delivery] = await outbox(server.http)
    assert (delivery["status"], delivery["subscriptionArn"]) == ("dead-lettered", arn)


async def test_a_raw_dead_letter_is_the_message_with_its_attributes(
    topic: Topic, dead: Queue
) -> None:
    await missing(topic, dead, RawMessageDelivery="true")
    await topic.publish("hello", Subject="a subject", MessageAttributes=ATTRIBUTES)
    message = await take_one(dead)
    assert message["Body"] == "hello"
    assert message["MessageAttributes"] == {
        **ATTRIBUTES,
        "b": {"DataType": "Binary", "BinaryValue": "AP8="},
    }


async def test_a_dead_letter_is_what_the_protocol_would_have_got(topic: Topic, dead: Queue) -> None:
    await missing(topic, dead)
    await topic.publish('{"default":"for all","sqs":"for queues"}', MessageStructure="json")
    assert (await take_envelope(dead))["Message"] == "for queues"


async def test_a_dead_letter_keeps_the_group_of_a_standard_topic(topic: Topic, dead: Queue) -> None:
    await missing(topic, dead)
    await topic.publish("hello", MessageGroupId="g")
    assert (await take_one(dead))["Attributes"]["MessageGroupId"] == "g"


async def test_a_raw_message_with_more_than_ten_attributes_is_a_dead_letter(
    server: Server, topic: Topic, sqs: Client, dead: Queue
) -> None:
    queue = await sqs.queue()
    policy = dead_letters_to(await dead.arn())
    await topic.subscribe(queue, RawMessageDelivery="true", RedrivePolicy=policy)
    attributes = {f"a{number}": {"DataType": "String", "StringValue": "x"} for number in range(11)}
    await topic.publish("hello", MessageAttributes=attributes)
    assert await take(queue) == []
    assert await take_bodies(dead) == ["hello"]
    assert [each["status"] for each in await outbox(server.http)] == ["dead-lettered"]


# --- FIFO topics --------------------------------------------------------------------------------


@pytest.mark.parametrize("raw", ["true", "false"])
async def test_dead_letters_of_a_fifo_topic_keep_ids_and_order(
    fifo_topic: Topic, fifo_dead: Queue, raw: str
) -> None:
    await missing(fifo_topic, fifo_dead, "gone.fifo", RawMessageDelivery=raw)
    published = [
        await fifo_topic.publish_to("g", str(number), MessageDeduplicationId=f"id-{number}")
        for number in range(5)
    ]
    messages = await take(fifo_dead)
    told = [message["Attributes"] for message in messages]
    assert [each["MessageGroupId"] for each in told] == ["g"] * 5
    assert [each["MessageDeduplicationId"] for each in told] == [f"id-{n}" for n in range(5)]
    assert not {each["SequenceNumber"] for each in told} & {
        each["SequenceNumber"] for each in published
    }
    bodies = [message["Body"] for message in messages]
    if raw == "true":
        assert bodies == ["0", "1", "2", "3", "4"]
    else:
        envelopes = [json.loads(body) for body in bodies]
        assert [each["SequenceNumber"] for each in envelopes] == [
            each["SequenceNumber"] for each in published
        ]
        assert all("Signature" not in each for each in envelopes)


async def test_dead_letters_of_a_standard_queue_to_a_fifo_topic_have_no_ids(
    fifo_topic: Topic, dead: Queue
) -> None:
    await missing(fifo_topic, dead, "gone")
    await fifo_topic.publish_to("g", "hello")
    message = await take_one(dead)
    assert json.loads(message["Body"])["Message"] == "hello"
    assert not {"MessageGroupId", "MessageDeduplicationId"} & message["Attributes"].keys()


async def test_a_duplicate_is_no_dead_letter_again(fifo_topic: Topic, fifo_dead: Queue) -> None:
    await missing(fifo_topic, fifo_dead, "gone.fifo")
    for _ in range(2):
        await fifo_topic.publish_to("g", "hello")
    assert await take_messages(fifo_dead) == ["hello"]


# --- when there is none -------------------------------------------------------------------------


async def test_what_nobody_wants_is_no_dead_letter(
    server: Server, topic: Topic, dead: Queue
) -> None:
    await missing(topic, dead, FilterPolicy='{"wanted":["yes"]}')
    await topic.publish("hello")
    assert await take(dead) == []
    assert await outbox(server.http) == []


async def test_a_redrive_policy_holds_for_what_fails_after_it_is_set(
    topic: Topic, dead: Queue
) -> None:
    subscription = await topic.subscribe_arn(f"arn:aws:sqs:{REGION}:{ACCOUNT}:gone")
    await topic.publish("before")
    await subscription.set("RedrivePolicy", dead_letters_to(await dead.arn()))
    await topic.publish("with")
    await subscription.set("RedrivePolicy", "")
    await topic.publish("after")
    assert await take_messages(dead) == ["with"]


async def test_a_missing_dead_letter_queue_leaves_a_failed_delivery(
    server: Server, topic: Topic, sqs: Client, dead: Queue
) -> None:
    queue = await topic.queue(sqs, RawMessageDelivery="true")
    arn = await missing(topic, dead)
    await dead.call("DeleteQueue")
    published = await topic.publish("hello")
    assert await take_bodies(queue) == ["hello"]
    [delivery] = await outbox(server.http, status="failed")
    assert (delivery["subscriptionArn"], delivery["messageId"]) == (arn, published["MessageId"])


@MEMORY_ONLY
async def test_each_subscription_has_its_own_dead_letters(topic: Topic, sqs: Client) -> None:
    queues = [await sqs.queue(f"dead-{name}") for name in "ab"]
    for queue in queues:
        await missing(topic, queue, f"gone-{queue.url[-1]}", RawMessageDelivery="true")
    await topic.publish("hello")
    assert [await take_bodies(queue) for queue in queues] == [["hello"], ["hello"]]
