"""Publish: where to, what is refused and in which order, sizes (SNS reference, 4.1, 4.2, 4.5)."""

import re
from typing import Any

import pytest

from tests.support.client import Client
from tests.support.server import ACCOUNT, MEMORY_ONLY, REGION, Server
from tests.support.sns import SnsClient, sns_refusal
from tests.support.topics import Topic, new_topic, take_bodies, take_envelope

UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
LIMIT = 262_144
TOO_LONG = ("InvalidParameter", "Invalid parameter: Message too long")
BAD_SUBJECT = ("InvalidParameter", "Invalid parameter: Subject")
NO_TOPIC = ("NotFound", "Topic does not exist")
NO_GROUP = (
    "InvalidParameter",
    "Invalid parameter: The MessageGroupId parameter is required for FIFO topics",
)
NO_DEDUPLICATION_ID = (
    "InvalidParameter",
    "Invalid parameter: The topic should either have ContentBasedDeduplication enabled or"
    " MessageDeduplicationId provided explicitly",
)
BAD_ATTRIBUTES = {"a": {"DataType": "Strange", "StringValue": "x"}}
#: 34 bytes each: of the name, the type and the value
STRING_ATTRIBUTE = {"name": {"DataType": "String.ü", "StringValue": "x" * 19 + "ü"}}
BINARY_ATTRIBUTE = {"bytes": {"DataType": "Binary", "BinaryValue": b"\xff" * 23}}


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


# --- where to -----------------------------------------------------------------------------------


async def test_a_message_has_one_id_in_the_answer_and_the_envelope(
    topic: Topic, sqs: Client
) -> None:
    queue = await topic.queue(sqs)
    published = await topic.publish("hello")
    assert UUID.fullmatch(published["MessageId"])
    assert published.keys() == {"MessageId"}
    envelope = await take_envelope(queue)
    assert (envelope["MessageId"], envelope["Message"]) == (published["MessageId"], "hello")


async def test_each_subscriber_gets_the_message(topic: Topic, sqs: Client) -> None:
    queues = [
        await topic.queue(sqs, f"jobs-{number}", RawMessageDelivery="true") for number in "ab"
    ]
    await topic.publish("hello")
    assert [await take_bodies(queue) for queue in queues] == [["hello"], ["hello"]]


async def test_what_is_published_to_nobody_is_lost(topic: Topic, sqs: Client) -> None:
    await topic.publish("early")
    queue = await topic.queue(sqs, RawMessageDelivery="true")
    assert await take_bodies(queue) == []
    await topic.publish("late")
    assert await take_bodies(queue) == ["late"]


@MEMORY_ONLY
@pytest.mark.parametrize("name", ["news", "news.fifo"])
async def test_a_target_may_be_a_topic(sns: SnsClient, sqs: Client, name: str) -> None:
    topic = await new_topic(sns, name)
    queue = await topic.queue(sqs)
    fifo = name.endswith(".fifo")
    ids = {"MessageGroupId": "g", "MessageDeduplicationId": "d"} if fifo else {}
    published = await sns.call("Publish", TargetArn=topic.arn, Message="hello", **ids)
    assert ("SequenceNumber" in published) == fifo
    assert (await take_envelope(queue))["TopicArn"] == topic.arn


@MEMORY_ONLY
async def test_there_must_be_a_destination(sns: SnsClient) -> None:
    assert await sns_refusal(sns.call("Publish", Message="hello")) == (
        "InvalidParameter",
        "Invalid parameter: TopicArn or TargetArn Reason: no value for required parameter",
    )


@MEMORY_ONLY
async def test_there_may_be_one_destination_only(topic: Topic, sqs: Client) -> None:
    queue = await topic.queue(sqs)
    code, _ = await sns_refusal(topic.publish(PhoneNumber="+4915112345678"))
    assert code == "InvalidParameter"
    assert await take_bodies(queue) == []


@MEMORY_ONLY
@pytest.mark.parametrize(("arn", "parts"), [("", 1), ("news", 1), ("arn:aws:sns:us-east-1", 4)])
async def test_a_topic_arn_has_six_parts(sns: SnsClient, arn: str, parts: int) -> None:
    assert await sns_refusal(sns.call("Publish", TopicArn=arn, Message="hello")) == (
        "InvalidParameter",
        f"Invalid parameter: TopicArn Reason: An ARN must have at least 6 elements, not {parts}",
    )


@MEMORY_ONLY
async def test_a_topic_of_another_region_cannot_be_published_to(
    topic: Topic, sns: SnsClient
) -> None:
    elsewhere = Topic(sns.but(region="eu-west-1"), topic.arn)
    assert await sns_refusal(elsewhere.publish()) == (
        "InvalidParameter",
        "Invalid parameter: TopicArn",
    )


async def test_a_topic_that_is_missing_cannot_be_published_to(topic: Topic) -> None:
    other = Topic(topic.sns, f"arn:aws:sns:{REGION}:{ACCOUNT}:other")
    assert await sns_refusal(other.publish()) == NO_TOPIC
    await topic.call("DeleteTopic")
    assert await sns_refusal(topic.publish()) == NO_TOPIC


@MEMORY_ONLY
async def test_an_endpoint_that_is_missing_cannot_be_published_to(sns: SnsClient) -> None:
    arn = f"arn:aws:sns:{REGION}:{ACCOUNT}:endpoint/GCM/app/7f2a6b1e-0000-4000-8000-000000000000"
    assert await sns_refusal(sns.call("Publish", TargetArn=arn, Message="hello")) == (
        "InvalidParameter",
        "Invalid parameter: TargetArn Reason: No endpoint found for the target arn specified",
    )


@MEMORY_ONLY
async def test_a_phone_number_must_be_one(sns: SnsClient) -> None:
    assert await sns_refusal(sns.call("Publish", PhoneNumber="+1a234", Message="hello")) == (
        "InvalidParameter",
        "Invalid parameter: PhoneNumber Reason: +1a234 is not valid to publish to",
    )


# --- what is answered ---------------------------------------------------------------------------


@MEMORY_ONLY
async def test_the_answer_is_laid_out_as_by_aws(topic: Topic, sns: SnsClient) -> None:
    response = await sns.request("Publish", TopicArn=topic.arn, Message="hello")
    assert response.status_code == 200
    assert response.headers["content-type"] == "text/xml"
    assert len(response.content) == 294
    assert re.fullmatch(
        '<PublishResponse xmlns="http://sns.amazonaws.com/doc/2010-03-31/">\n'
        "  <PublishResult>\n"
        f"    <MessageId>{UUID.pattern}</MessageId>\n"
        "  </PublishResult>\n"
        "  <ResponseMetadata>\n"
        f"    <RequestId>{UUID.pattern}</RequestId>\n"
        "  </ResponseMetadata>\n"
        "</PublishResponse>\n",
        response.text,
    )


@MEMORY_ONLY
async def test_a_fifo_topic_answers_with_a_sequence_number_of_20_digits(
    fifo_topic: Topic, sns: SnsClient
) -> None:
    response = await sns.request(
        "Publish",
        TopicArn=fifo_topic.arn,
        Message="hello",
        MessageGroupId="g",
        MessageDeduplicationId="d",
    )
    assert len(response.content) == 352
    assert re.search("\n    <SequenceNumber>[0-9]{20}</SequenceNumber>\n", response.text)


# --- message and subject ------------------------------------------------------------------------


@MEMORY_ONLY
async def test_a_message_may_not_be_empty(topic: Topic) -> None:
    assert await sns_refusal(topic.publish("")) == (
        "InvalidParameter",
        "Invalid parameter: Empty message",
    )


@MEMORY_ONLY
@pytest.mark.parametrize("subject", ["", "x" * 101, "two\nlines", "a tab\t", "\x00", "\x7f"])
async def test_a_subject_is_one_line_of_100_characters_at_most(topic: Topic, subject: str) -> None:
    assert await sns_refusal(topic.publish(Subject=subject)) == BAD_SUBJECT


@MEMORY_ONLY
@pytest.mark.parametrize("subject", ["x", "x" * 100, "ü" * 100])
async def test_a_subject_of_up_to_100_characters_is_delivered(
    topic: Topic, sqs: Client, subject: str
) -> None:
    queue = await topic.queue(sqs)
    await topic.publish(Subject=subject)
    assert (await take_envelope(queue))["Subject"] == subject


@MEMORY_ONLY
@pytest.mark.parametrize("structure", ["string", "xml", ""])
async def test_a_message_structure_other_than_json_is_ignored(
    topic: Topic, sqs: Client, structure: str
) -> None:
    queue = await topic.queue(sqs)
    await topic.publish('{"default":"x"}', MessageStructure=structure)
    assert (await take_envelope(queue))["Message"] == '{"default":"x"}'


# --- groups and deduplication -------------------------------------------------------------------


@MEMORY_ONLY
async def test_a_fifo_topic_asks_for_a_group(fifo_topic: Topic) -> None:
    assert await sns_refusal(fifo_topic.publish(MessageDeduplicationId="d")) == NO_GROUP


@MEMORY_ONLY
async def test_a_fifo_topic_asks_for_a_deduplication_id(fifo_topic: Topic) -> None:
    assert await sns_refusal(fifo_topic.publish(MessageGroupId="g")) == NO_DEDUPLICATION_ID


@MEMORY_ONLY
async def test_a_standard_topic_has_no_deduplication_ids(topic: Topic) -> None:
    assert await sns_refusal(topic.publish(MessageDeduplicationId="d")) == (
        "InvalidParameter",
        "Invalid parameter: MessageDeduplicationId Reason: The request includes"
        " MessageDeduplicationId parameter that is not valid for this topic type",
    )


@MEMORY_ONLY
@pytest.mark.parametrize("parameter", ["MessageGroupId", "MessageDeduplicationId"])
@pytest.mark.parametrize("value", ["x" * 129, "a b", "ü", "a\n"])
async def test_an_id_is_up_to_128_letters_digits_and_punctuation(
    fifo_topic: Topic, parameter: str, value: str
) -> None:
    ids = {"MessageGroupId": "g", "MessageDeduplicationId": "d", parameter: value}
    code, text = await sns_refusal(fifo_topic.publish(**ids))
    assert code == "InvalidParameter"
    assert text.startswith(f"Invalid parameter: {parameter}")


@MEMORY_ONLY
@pytest.mark.parametrize("value", ["x" * 128, "aZ09" + r"""!"#$%&'()*+,-./:;<=>?@[\]^_`{|}~"""])
async def test_an_id_of_128_characters_or_with_any_punctuation_is_accepted(
    fifo_topic: Topic, value: str
) -> None:
    await fifo_topic.publish(MessageGroupId=value, MessageDeduplicationId=value)


# --- the order of checks ------------------------------------------------------------------------


@MEMORY_ONLY
async def test_the_first_mistake_is_told(fifo_topic: Topic) -> None:
    mistakes: dict[str, Any] = {
        "Subject": "",
        "Message": "",
        "MessageAttributes": BAD_ATTRIBUTES,
    }
    call = fifo_topic.call
    assert await sns_refusal(call("Publish", **mistakes)) == BAD_SUBJECT
    del mistakes["Subject"]
    _, text = await sns_refusal(call("Publish", **mistakes))
    assert text == "Invalid parameter: Empty message"
    mistakes["Message"] = "x" * (LIMIT + 1)
    code, _ = await sns_refusal(call("Publish", **mistakes))
    assert code == "ParameterValueInvalid"
    del mistakes["MessageAttributes"]
    assert await sns_refusal(call("Publish", **mistakes)) == TOO_LONG
    mistakes["Message"] = "x"
    assert await sns_refusal(call("Publish", **mistakes)) == NO_GROUP
    mistakes["MessageGroupId"] = "g"
    assert await sns_refusal(call("Publish", **mistakes)) == NO_DEDUPLICATION_ID
    mistakes["MessageDeduplicationId"] = "d"
    assert "MessageId" in await call("Publish", **mistakes)


@MEMORY_ONLY
async def test_the_form_of_an_arn_is_checked_before_its_region_and_that_before_the_topic(
    sns: SnsClient,
) -> None:
    call = sns.but(region="eu-west-1").call
    missing = f"arn:aws:sns:{REGION}:{ACCOUNT}:missing"
    _, text = await sns_refusal(call("Publish", TopicArn="arn:aws:sns:us-east-1", Message="x"))
    assert text.endswith("An ARN must have at least 6 elements, not 4")
    _, text = await sns_refusal(call("Publish", TopicArn=missing, Message="x"))
    assert text == "Invalid parameter: TopicArn"


# --- sizes --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("unit", "attributes"),
    [
        ("x", {}),
        ("ü", {}),
        ("€", {}),
        ("x", {"MessageAttributes": STRING_ATTRIBUTE}),
        ("x", {"MessageAttributes": BINARY_ATTRIBUTE}),
    ],
)
@MEMORY_ONLY
async def test_messages_and_attributes_have_262144_bytes_at_most(
    topic: Topic, unit: str, attributes: dict[str, Any]
) -> None:
    taken = 34 if attributes else 0
    unit_bytes = len(unit.encode())
    count, rest = divmod(LIMIT - taken, unit_bytes)
    message = unit * count + "x" * rest
    await topic.publish(message, **attributes)
    assert await sns_refusal(topic.publish(message + "x", **attributes)) == TOO_LONG


@MEMORY_ONLY
async def test_the_whole_text_of_a_structured_message_counts(topic: Topic) -> None:
    start, end = '{"default":"x","sqs":"', '"}'
    message = start + "x" * (LIMIT - len(start) - len(end)) + end
    await topic.publish(message, MessageStructure="json")
    call = topic.publish(message + " ", MessageStructure="json")
    assert await sns_refusal(call) == TOO_LONG


@pytest.mark.parametrize("limit", [1_024, 1_048_576])
async def test_a_topic_may_have_another_limit(topic: Topic, sqs: Client, limit: int) -> None:
    queue = await topic.queue(sqs, RawMessageDelivery="true")
    await topic.set("MaximumMessageSize", str(limit))
    await topic.publish("x" * limit)
    assert await sns_refusal(topic.publish("x" * (limit + 1))) == TOO_LONG
    assert await take_bodies(queue) == ["x" * limit]


@MEMORY_ONLY
async def test_the_largest_message_may_be_three_times_as_long_on_the_wire(
    topic: Topic, sqs: Client
) -> None:
    queue = await topic.queue(sqs, RawMessageDelivery="true")
    await topic.set("MaximumMessageSize", "1048576")
    message = "€" * (1_048_576 // 3) + "x"
    await topic.publish(message)
    assert await take_bodies(queue) == [message]
