"""Attributes of published messages: names, types, values (SNS reference, 4.4)."""

import json
from base64 import b64encode
from typing import Any

import pytest

from tests.support.client import Answer, Client
from tests.support.server import MEMORY_ONLY, Server
from tests.support.sns import SnsClient, sns_refusal
from tests.support.topics import Topic, new_topic, take, take_envelope, take_one

STRING = {"DataType": "String", "StringValue": "x"}


@pytest.fixture
def sqs(server: Server) -> Client:
    """A client of its queues."""
    return server.client("json")


@pytest.fixture
async def topic(sns: SnsClient) -> Topic:
    """A standard topic with default attributes."""
    return await new_topic(sns)


async def publish(topic: Topic, **attributes: Answer) -> Answer:
    return await topic.publish(MessageAttributes=attributes)


def empty(family: str) -> str:
    return (
        "The message attribute 'attr1' must contain non-empty message attribute value for message"
        f" attribute type '{family}'."
    )


def wrong_field(family: str, field: str) -> str:
    return f"The message attribute 'attr1' with type '{family}' must use field '{field}'."


WRONG_TYPE = (
    "The message attribute 'attr1' has an invalid message attribute type, the set of supported type"
    " prefixes is Binary, Number, and String."
)


@MEMORY_ONLY
@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"DataType": "String"}, empty("String")),
        ({"DataType": "String", "StringValue": ""}, empty("String")),
        ({"DataType": "String.Array", "StringValue": ""}, empty("String")),
        ({"DataType": "Number"}, empty("Number")),
        ({"DataType": "Number", "StringValue": ""}, empty("Number")),
        ({"DataType": "Binary", "BinaryValue": b""}, empty("Binary")),
        ({"DataType": "Binary"}, empty("Binary")),
        ({"DataType": "String", "BinaryValue": b"x"}, wrong_field("String", "String")),
        ({"DataType": "Number", "BinaryValue": b"1"}, wrong_field("Number", "String")),
        ({"DataType": "Binary", "StringValue": "x"}, wrong_field("Binary", "Binary")),
        ({"DataType": "", "StringValue": "x"}, WRONG_TYPE),
        ({"DataType": "String.", "StringValue": "x"}, WRONG_TYPE),
        ({"DataType": "Stringprefixed", "StringValue": "x"}, WRONG_TYPE),
        ({"DataType": "string", "StringValue": "x"}, WRONG_TYPE),
        ({"DataType": "InvalidType", "StringValue": "x"}, WRONG_TYPE),
        (
            {"DataType": "Number", "StringValue": "ten"},
            "Could not cast message attribute 'attr1' value to number.",
        ),
    ],
)
async def test_a_value_is_of_its_type(topic: Topic, value: Answer, text: str) -> None:
    assert await sns_refusal(publish(topic, attr1=value)) == ("ParameterValueInvalid", text)


@MEMORY_ONLY
@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("x" * 257, "Length of message attribute name must be less than 256 bytes."),
        (
            "attr^1 ",
            "Invalid non-alphanumeric character '#x5E' was found in the message attribute name."
            " Can only include alphanumeric characters, hyphens, underscores, or dots.",
        ),
        (
            "attrü",
            "Invalid non-alphanumeric character '#xFC' was found in the message attribute name."
            " Can only include alphanumeric characters, hyphens, underscores, or dots.",
        ),
        (".attr", "Invalid message attribute name starting with character '.' was found."),
        ("attr.", "Invalid message attribute name ending with character '.' was found."),
        ("at..tr", "Message attribute name can not have successive '.' character."),
    ],
)
async def test_a_name_is_letters_digits_hyphens_underscores_and_single_dots(
    topic: Topic, name: str, text: str
) -> None:
    assert await sns_refusal(publish(topic, **{name: STRING})) == ("ParameterValueInvalid", text)


@MEMORY_ONLY
@pytest.mark.parametrize("name", ["AWS.x", "aws.x", "Amazon.x", "AMAZON.x"])
async def test_names_of_services_are_reserved(topic: Topic, name: str) -> None:
    code, _ = await sns_refusal(publish(topic, **{name: STRING}))
    assert code == "ParameterValueInvalid"


@MEMORY_ONLY
@pytest.mark.parametrize(
    "name",
    ["AWS.SNS.SMS.SenderID", "AWS.MM.SMS.OriginationNumber", "AWS.SNS.MOBILE.APNS.TTL", "AWSome"],
)
async def test_names_that_services_document_may_be_used(topic: Topic, name: str) -> None:
    assert "MessageId" in await publish(topic, **{name: STRING})


@MEMORY_ONLY
@pytest.mark.parametrize(
    ("members", "path"),
    [
        ({"StringValue": "x"}, "messageAttributes.attr1.member.dataType"),
        ({"BinaryValue": b"x"}, "messageAttributes.attr1.member.dataType"),
    ],
)
async def test_an_attribute_without_type_is_refused_by_the_framework(
    topic: Topic, members: Answer, path: str
) -> None:
    assert await sns_refusal(publish(topic, attr1=members)) == (
        "ValidationError",
        f"1 validation error detected: Value null at '{path}' failed to satisfy constraint:"
        " Member must not be null",
    )


@MEMORY_ONLY
async def test_a_refused_attribute_publishes_nothing(topic: Topic, sqs: Client) -> None:
    queue = await topic.queue(sqs)
    await sns_refusal(publish(topic, good=STRING, bad={"DataType": "Strange", "StringValue": "x"}))
    assert await take(queue) == []


@pytest.mark.parametrize(
    "value",
    [
        {"DataType": "String", "StringValue": "x ü €"},
        {"DataType": "String.prefixed", "StringValue": "x"},
        {"DataType": "String.  prefixed.", "StringValue": "x"},
        {"DataType": "String.Array", "StringValue": '["a", 1, true, null]'},
        {"DataType": "Number", "StringValue": "99.12"},
        {"DataType": "Number.int", "StringValue": "-1000000000"},
    ],
)
async def test_a_string_or_number_is_delivered_as_it_was_published(
    topic: Topic, sqs: Client, value: dict[str, str]
) -> None:
    cooked = await topic.queue(sqs, "cooked")
    raw = await topic.queue(sqs, "raw", RawMessageDelivery="true")
    await publish(topic, attr1=value)
    assert (await take_envelope(cooked))["MessageAttributes"] == {
        "attr1": {"Type": value["DataType"], "Value": value["StringValue"]}
    }
    assert (await take_one(raw))["MessageAttributes"] == {"attr1": value}


@pytest.mark.parametrize("data_type", ["Binary", "Binary.png"])
async def test_bytes_are_base64_in_envelopes_and_bytes_in_raw_messages(
    topic: Topic, sqs: Client, data_type: str
) -> None:
    cooked = await topic.queue(sqs, "cooked")
    raw = await topic.queue(sqs, "raw", RawMessageDelivery="true")
    content = b"\x00\xff\xfe binary"
    encoded = b64encode(content).decode()
    await publish(topic, attr1={"DataType": data_type, "BinaryValue": content})
    assert (await take_envelope(cooked))["MessageAttributes"] == {
        "attr1": {"Type": data_type, "Value": encoded}
    }
    # the JSON protocol of queues has bytes in base64
    assert (await take_one(raw))["MessageAttributes"] == {
        "attr1": {"DataType": data_type, "BinaryValue": encoded}
    }


@MEMORY_ONLY
async def test_a_message_may_have_more_than_ten_attributes(topic: Topic, sqs: Client) -> None:
    queue = await topic.queue(sqs)
    attributes: dict[str, Any] = {f"attr{number}": STRING for number in range(40)}
    await publish(topic, **attributes)
    envelope = json.loads((await take_one(queue))["Body"])
    assert envelope["MessageAttributes"].keys() == attributes.keys()
