"""SendMessage: what is accepted, refused, answered (SQS reference, 2.7, 4.6, 4.7)."""

import hashlib
from typing import Any
from uuid import UUID

import pytest

from tests.support.client import Client, Queue, refusal
from tests.support.clock import FakeClock
from tests.support.server import MEMORY_ONLY

ALLOWED = (
    "the set of allowed characters is #x9 | #xA | #xD | [#x20-#xD7FF] | [#xE000-#xFFFD]"
    " | [#x10000-#x10FFFF]"
)


def pattern(parameter: str, value: str) -> tuple[str, str]:
    return (
        "InvalidParameterValue",
        f"Value {value} for parameter {parameter} is invalid. Reason: {parameter} can only include"
        " alphanumeric and punctuation characters. 1 to 128 in length.",
    )


def too_long(limit: int) -> tuple[str, str]:
    return (
        "InvalidParameterValue",
        f"One or more parameters are invalid. Reason: Message must be shorter than {limit} bytes.",
    )


# --- answers ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "digest"),
    [
        ("message", "78e731027d8fd50ed642340b7c9a63b3"),
        ("test", "098f6bcd4621d373cade4e832627b4f6"),
    ],
)
async def test_a_send_is_answered_by_id_and_digest(queue: Queue, body: str, digest: str) -> None:
    answer = await queue.send(body)
    assert answer.keys() == {"MessageId", "MD5OfMessageBody"}
    assert answer["MD5OfMessageBody"] == digest
    assert str(UUID(answer["MessageId"])) == answer["MessageId"]


async def test_what_is_sent_is_received(queue: Queue) -> None:
    sent = await queue.send("hello")
    message = await queue.receive_one()
    assert message.keys() == {"MessageId", "ReceiptHandle", "MD5OfBody", "Body"}
    assert message["MessageId"] == sent["MessageId"]
    assert message["MD5OfBody"] == sent["MD5OfMessageBody"]
    assert message["Body"] == "hello"


# --- bodies -------------------------------------------------------------------------------------


@MEMORY_ONLY
@pytest.mark.parametrize("members", [{}, {"MessageBody": ""}])
async def test_a_body_is_required(queue: Queue, members: dict[str, Any]) -> None:
    refused = await refusal(queue.call("SendMessage", **members))
    assert refused == (
        "MissingParameter",
        "The request must contain the parameter MessageBody.",
    )


@pytest.mark.parametrize(
    "body",
    [
        '"&quot;&quot;\r',
        '{\r\n"machineID" : "d357006e26ff47439e1ef894225d4307"}',
        "\r",
        "\n",
        " ",
        "\t padded \n",
        "<a>&amp;</a>",
        "]]>",
        "a+b c%20d=e&f;g",
        "100 % \\ \x7f\x80\x9f",
        "\ud7ff\ue000\ufffd",
        "grüße, 世界 😀 \U0010ffff",
    ],
)
async def test_bodies_come_back_as_they_were_sent(queue: Queue, body: str) -> None:
    answer = await queue.send(body)
    message = await queue.receive_one()
    assert message["Body"] == body
    digest = hashlib.md5(body.encode(), usedforsecurity=False).hexdigest()
    assert answer["MD5OfMessageBody"] == message["MD5OfBody"] == digest


@MEMORY_ONLY
@pytest.mark.parametrize("code_point", [0x0, 0x7, 0x8, 0xB, 0xC, 0xE, 0x1F, 0xFFFE, 0xFFFF])
async def test_bodies_with_other_characters_are_refused(queue: Queue, code_point: int) -> None:
    assert await refusal(queue.send(f"a{chr(code_point)}b")) == (
        "InvalidMessageContents",
        f"Invalid binary character '#x{code_point:X}' was found in the message body, {ALLOWED}.",
    )
    assert await queue.counts() == (0, 0, 0)


# --- sizes --------------------------------------------------------------------------------------


async def test_a_message_may_be_exactly_as_long_as_the_queue_allows(queue: Queue) -> None:
    await queue.set(MaximumMessageSize="1024")
    await queue.send("x" * 1_024)
    assert await refusal(queue.send("x" * 1_025)) == too_long(1_024)


async def test_the_default_limit_is_one_mebibyte(queue: Queue) -> None:
    await queue.send("x" * 1_048_576)
    assert await refusal(queue.send("x" * 1_048_577)) == too_long(1_048_576)
    assert len((await queue.receive_one())["Body"]) == 1_048_576


async def test_sizes_are_bytes_not_characters(queue: Queue) -> None:
    await queue.set(MaximumMessageSize="1024")
    await queue.send("ü" * 512)
    assert await refusal(queue.send("ü" * 512 + "x")) == too_long(1_024)
    await queue.send("😀" * 256)
    assert await refusal(queue.send("😀" * 256 + "x")) == too_long(1_024)


async def test_attributes_count_by_name_type_and_value(queue: Queue) -> None:
    await queue.set(MaximumMessageSize="1024")
    attributes = {
        "ü": {"DataType": "String.é", "StringValue": "äö"},  # 2 + 9 + 4
        "n": {"DataType": "Number", "StringValue": "42"},  # 1 + 6 + 2
        "b": {"DataType": "Binary", "BinaryValue": bytes(100)},  # 1 + 6 + 100, not base64
    }
    body = "x" * (1_024 - 15 - 9 - 107)
    await queue.send(body, MessageAttributes=attributes)
    refused = await refusal(queue.send(body + "x", MessageAttributes=attributes))
    assert refused == too_long(1_024)


async def test_system_attributes_do_not_count(queue: Queue) -> None:
    await queue.set(MaximumMessageSize="1024")
    trace = {"AWSTraceHeader": {"DataType": "String", "StringValue": "Root=1-5759e988-bd"}}
    await queue.send("x" * 1_024, MessageSystemAttributes=trace)


# --- delays -------------------------------------------------------------------------------------


async def test_a_message_may_be_delayed(queue: Queue, clock: FakeClock) -> None:
    await queue.send(DelaySeconds=10)
    await clock.advance(9_999)
    assert await queue.bodies() == []
    assert await queue.counts() == (0, 0, 1)
    await clock.advance(1)
    assert await queue.bodies() == ["hello"]


async def test_a_queue_may_delay_its_messages(sqs: Client, clock: FakeClock) -> None:
    queue = await sqs.queue("slow", DelaySeconds="10")
    await queue.send()
    await clock.advance(9_999)
    assert await queue.bodies() == []
    await clock.advance(1)
    assert await queue.bodies() == ["hello"]


async def test_the_delay_of_a_message_wins_over_that_of_its_queue(
    sqs: Client, clock: FakeClock
) -> None:
    queue = await sqs.queue("slow", DelaySeconds="10")
    await queue.send("now", DelaySeconds=0)
    await queue.send("later", DelaySeconds=20)
    assert await queue.bodies() == ["now"]
    await clock.advance(10_000)
    assert await queue.bodies() == []
    await clock.advance(10_000)
    assert await queue.bodies() == ["later"]


@MEMORY_ONLY
@pytest.mark.parametrize("seconds", [-1, 901])
async def test_delays_are_up_to_15_minutes(queue: Queue, seconds: int) -> None:
    await queue.send(DelaySeconds=900)
    assert await refusal(queue.send(DelaySeconds=seconds)) == (
        "InvalidParameterValue",
        f"Value {seconds} for parameter DelaySeconds is invalid. Reason: DelaySeconds must be >= 0"
        " and <= 900.",
    )


# --- ids of groups and for deduplication --------------------------------------------------------

PUNCTUATION = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"


@pytest.mark.parametrize("value", ["a", PUNCTUATION, "x" * 128])
async def test_ids_are_letters_digits_and_punctuation(fifo: Queue, value: str) -> None:
    await fifo.send(MessageGroupId=value, MessageDeduplicationId=value)
    message = await fifo.receive_one(MessageSystemAttributeNames=["All"])
    attributes = message["Attributes"]
    assert attributes["MessageGroupId"] == attributes["MessageDeduplicationId"] == value


@MEMORY_ONLY
@pytest.mark.parametrize("value", ["", "a b", "x" * 129, "ü", "a\n"])
async def test_other_ids_are_refused(queue: Queue, fifo: Queue, value: str) -> None:
    grouped = {"MessageGroupId": value}
    assert await refusal(queue.send(**grouped)) == pattern("MessageGroupId", value)
    assert await refusal(fifo.send(MessageDeduplicationId="a", **grouped)) == pattern(
        "MessageGroupId", value
    )
    assert await refusal(fifo.send(MessageGroupId="a", MessageDeduplicationId=value)) == pattern(
        "MessageDeduplicationId", value
    )


async def test_a_standard_queue_takes_no_deduplication_id(queue: Queue) -> None:
    code, message = await refusal(queue.send(MessageDeduplicationId="a"))
    assert code == "InvalidParameterValue"
    assert "not valid for this queue type" in message


# --- what is looked at first --------------------------------------------------------------------


async def test_the_queue_comes_before_all_else(sqs: Client) -> None:
    nowhere = Queue(sqs, "http://localhost:4566/000000000000/none")
    assert await refusal(nowhere.send("")) == sqs.no_queue
    assert await refusal(nowhere.send("\x00", DelaySeconds=901)) == sqs.no_queue


async def test_an_empty_body_comes_before_bad_members(queue: Queue) -> None:
    refused = await refusal(queue.send("", DelaySeconds=901, MessageGroupId=""))
    assert refused[0] == "MissingParameter"


@MEMORY_ONLY
async def test_a_queue_url_is_required(sqs: Client) -> None:
    assert await refusal(sqs.call("ReceiveMessage")) == (
        "MissingParameter",
        "The request must contain the parameter QueueUrl.",
    )
