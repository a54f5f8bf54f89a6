"""Message attributes: rules, digests, filters (SQS reference, 4.2, 4.4, 4.5, 4.8)."""

from base64 import b64encode
from typing import Any

import pytest

from tests.support.client import Client, Queue, refusal
from tests.support.clock import START_MS, FakeClock
from tests.support.server import ACCOUNT, MEMORY_ONLY

ALLOWED = (
    "the set of allowed characters is #x9 | #xA | #xD | [#x20-#xD7FF] | [#xE000-#xFFFD]"
    " | [#x10000-#x10FFFF]"
)
TRACE = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1"


def text(value: str, data_type: str = "String") -> dict[str, Any]:
    return {"DataType": data_type, "StringValue": value}


def binary(value: bytes, data_type: str = "Binary") -> dict[str, Any]:
    return {"DataType": data_type, "BinaryValue": value}


def number(value: str) -> dict[str, Any]:
    return text(value, "Number")


async def refusal_of(queue: Queue, name: str, value: dict[str, Any]) -> str:
    code, message = await refusal(queue.send(MessageAttributes={name: value}))
    assert code == "InvalidParameterValue"
    return message


GREETING = {"General": text("Kenobi"), "Hello": text("There"), "Help.Me": text("Me")}

# --- digests ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("attributes", "digest"),
    [
        ({"k": text("x")}, "a45daa70926828a2f0a1db3418e6feb4"),
        ({"Foo": text("Bar")}, "ae7155c6026991b6d54b11589678bf9c"),
        ({"MyAttribute": text("foobar")}, "adb59cd4678ea5a855436b949cd07ab6"),
        ({"timestamp": number("1493147359900")}, "235c5c510d26fb653d073faed50ae77c"),
        (
            {
                "attr1": binary(
                    b"traceparent\x1e00-774062d6c37081a5a0b9b5b88e30627c-2d2482211f6489da-01"
                )
            },
            "8cbe4db156db8a94db8b801b7addb984",
        ),
        (GREETING, "4c360f3fdafd970e05fae2f149d997f5"),
    ],
)
async def test_digests_are_those_recorded_from_aws(
    queue: Queue, attributes: dict[str, Any], digest: str
) -> None:
    sent = await queue.send(MessageAttributes=attributes)
    assert sent["MD5OfMessageAttributes"] == digest
    message = await queue.receive_one(MessageAttributeNames=["All"])
    assert message["MD5OfMessageAttributes"] == digest


async def test_system_attributes_have_a_digest_of_their_own(queue: Queue) -> None:
    sent = await queue.send(
        MessageAttributes={"k": text("x")}, MessageSystemAttributes={"AWSTraceHeader": text(TRACE)}
    )
    assert sent["MD5OfMessageAttributes"] == "a45daa70926828a2f0a1db3418e6feb4"
    assert sent["MD5OfMessageSystemAttributes"] == "5ae4d5d7636402d80f4eb6d213245a88"


@MEMORY_ONLY
@pytest.mark.parametrize(
    ("names", "digest"),
    [
        (["General", "Hello"], "fca026605781cb4126a1e9044df24232"),
        (["Hello"], "a311262e065454b75da111d535b8dacd"),
        (["Hel.*"], "83fee93c1bcd8b9a5a923ffacdc636c7"),
    ],
)
async def test_the_digest_is_over_what_is_returned(
    queue: Queue, names: list[str], digest: str
) -> None:
    await queue.send(MessageAttributes=GREETING)
    message = await queue.receive_one(MessageAttributeNames=names)
    assert message["MD5OfMessageAttributes"] == digest


# --- filters ------------------------------------------------------------------------------------


@MEMORY_ONLY
@pytest.mark.parametrize(
    ("names", "found"),
    [
        (["All"], {"General", "Hello", "Help.Me"}),
        ([".*"], {"General", "Hello", "Help.Me"}),
        (["*"], {"General", "Hello", "Help.Me"}),
        (["Hel.*"], {"Hello", "Help.Me"}),
        (["Help.*"], {"Help.Me"}),
        (["Hello"], {"Hello"}),
        (["Help.Me", "Foo", "General"], {"Help.Me", "General"}),
        (["Hel.*", "General"], {"Hello", "Help.Me", "General"}),
    ],
)
async def test_attributes_are_chosen_by_name_and_prefix(
    queue: Queue, names: list[str], found: set[str]
) -> None:
    await queue.send(MessageAttributes=GREETING)
    message = await queue.receive_one(MessageAttributeNames=names)
    assert message["MessageAttributes"] == {name: GREETING[name] for name in found}


@MEMORY_ONLY
@pytest.mark.parametrize(
    "names", [None, [], ["Help"], ["hello"], ["Foo"], ["AWS."], ["..foo"], ["Hel*"], [""]]
)
async def test_what_is_not_asked_for_leaves_no_trace(queue: Queue, names: list[str] | None) -> None:
    await queue.send(MessageAttributes=GREETING)
    message = await queue.receive_one(MessageAttributeNames=names)
    assert message.keys() == {"MessageId", "ReceiptHandle", "MD5OfBody", "Body"}


# --- values -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data_type", ["String", "String.Color", "String." + "x" * 249, "String.", "String.ü"]
)
async def test_strings_come_back_with_their_type(queue: Queue, data_type: str) -> None:
    value = text('a\r\n\t "<&>" ü😀', data_type)
    await queue.send(MessageAttributes={"a": value})
    message = await queue.receive_one(MessageAttributeNames=["All"])
    assert message["MessageAttributes"] == {"a": value}


async def test_binary_values_come_back_as_base64(queue: Queue) -> None:
    value = bytes(range(256))
    await queue.send(MessageAttributes={"a": binary(value, "Binary.png")})
    message = await queue.receive_one(MessageAttributeNames=["All"])
    encoded = b64encode(value).decode()
    assert message["MessageAttributes"]["a"] == {
        "DataType": "Binary.png",
        "BinaryValue": encoded,
    }


@MEMORY_ONLY
@pytest.mark.parametrize(
    "value",
    [
        "0",
        "-5",
        "+5",
        "3.1400",
        "007",
        "1e10",
        "1E-10",
        ".5",
        "5.",
        "9" * 38,
        "1e126",
        "1e-128",
        "0.0",
    ],
)
async def test_numbers_come_back_as_they_were_written(queue: Queue, value: str) -> None:
    attribute = text(value, "Number.java.lang.Long")
    await queue.send(MessageAttributes={"a": attribute})
    message = await queue.receive_one(MessageAttributeNames=["All"])
    assert message["MessageAttributes"] == {"a": attribute}


@MEMORY_ONLY
@pytest.mark.parametrize(
    "value",
    [
        *("a", "1a", "0x10", "1_000", " 1", "1 ", "NaN", "Infinity", "--1", ".", "1e", "٣"),
        *("1e127", "1e-129", "1" * 39),
    ],
)
async def test_what_is_no_number_is_refused(queue: Queue, value: str) -> None:
    message = await refusal_of(queue, "a", number(value))
    assert message == "Can't cast the value of message (user) attribute 'a' to a number."


@MEMORY_ONLY
@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({}, "The message (user) attribute 'a' must contain a non-empty message attribute value."),
        (
            {"StringValue": "x"},
            "The message (user) attribute 'a' must contain a non-empty message attribute type.",
        ),
        (
            text("x", ""),
            "The message (user) attribute 'a' must contain a non-empty message attribute type.",
        ),
        *(
            (
                text("x", data_type),
                "The type of message (user) attribute 'a' is invalid. You must use only the"
                " following supported type prefixes: Binary, Number, String.",
            )
            for data_type in ("Invalid", "string", "Strings", "STRING", "Number1", ".String", "Str")
        ),
        (
            text("1", "Number." + "x" * 256),
            "Message (user) attribute type must be shorter than 256 bytes.",
        ),
        *(
            (
                {"DataType": data_type, field: ""},
                f"Message (user) attribute 'a' must contain a non-empty value of type"
                f" '{data_type}'.",
            )
            for data_type, field in (
                ("String", "StringValue"),
                ("Number", "StringValue"),
                ("Binary", "BinaryValue"),
                ("String.Color", "StringValue"),
            )
        ),
        (
            {"DataType": "String"},
            "Message (user) attribute 'a' must contain a non-empty value of type 'String'.",
        ),
        (
            {"DataType": "String", "StringValue": "x", "BinaryValue": b"x"},
            "Message (user) attribute 'a' must have a single value.",
        ),
        (
            binary(b"x", "String"),
            "Message (user) attribute 'a' with type 'String' must use field 'String'.",
        ),
        (
            binary(b"1", "Number"),
            "Message (user) attribute 'a' with type 'Number' must use field 'String'.",
        ),
        (
            text("x", "Binary"),
            "Message (user) attribute 'a' with type 'Binary' must use field 'Binary'.",
        ),
        (
            text("a\x07"),
            "Invalid binary character '#x7' was found in the message (user) attribute 'a' value,"
            f" {ALLOWED}",
        ),
    ],
)
async def test_values_that_break_a_rule_are_refused(
    queue: Queue, value: dict[str, Any], text: str
) -> None:
    assert (await refusal_of(queue, "a", value)).removesuffix(".") == text.removesuffix(".")


@MEMORY_ONLY
@pytest.mark.parametrize(
    "value",
    [
        {"DataType": "String", "StringListValues": ["x"]},
        {"DataType": "Binary", "BinaryListValues": [b"x"]},
    ],
)
async def test_list_values_are_not_supported(queue: Queue, value: dict[str, Any]) -> None:
    assert await refusal(queue.send(MessageAttributes={"a": value})) == (
        "AWS.SimpleQueueService.UnsupportedOperation",
        "Message attribute list values in SendMessage operation are not supported.",
    )


# --- names --------------------------------------------------------------------------------------


@MEMORY_ONLY
@pytest.mark.parametrize(
    "name", ["a", "A-z_0.9", "attr.1øßä", "x" * 256, "awsome", "aws", "amazonia", "1", "-", "_"]
)
async def test_names_that_are_accepted(queue: Queue, name: str) -> None:
    await queue.send(MessageAttributes={name: text("x")})
    message = await queue.receive_one(MessageAttributeNames=[name])
    assert message["MessageAttributes"] == {name: text("x")}


RESERVED = (
    "You can't use message attribute names beginning with 'AWS.' or 'Amazon'. These strings are"
    " reserved for internal use."
)


@MEMORY_ONLY
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("", "The request must contain non-empty message (user) attribute names."),
        ("x" * 257, "Message (user) attribute name must be shorter than 256 bytes."),
        ("AWS.x", RESERVED),
        ("aWs.x", RESERVED),
        ("AMAZON.x", RESERVED),
        ("amazon.x", RESERVED),
        (".a", "Message (user) attribute name must not begin with character '.'."),
        ("a.", "Message (user) attribute name must not end with character '.'."),
        ("a..b", "Message (user) attribute name must not have successive '.' characters."),
    ],
)
async def test_names_that_are_refused(queue: Queue, name: str, message: str) -> None:
    assert await refusal_of(queue, name, text("x")) == message


@MEMORY_ONLY
@pytest.mark.parametrize("character", '!"§(?/ \n\x00😀,')
async def test_names_have_letters_digits_hyphens_underscores_and_dots(
    queue: Queue, character: str
) -> None:
    await refusal_of(queue, f"a{character}b", text("x"))


@MEMORY_ONLY
async def test_there_are_ten_attributes_at_most(queue: Queue) -> None:
    await queue.send(MessageAttributes={f"a{n}": text("x") for n in range(10)})
    refused = await refusal(queue.send(MessageAttributes={f"a{n}": text("x") for n in range(11)}))
    assert refused == (
        "InvalidParameterValue",
        "Number of message attributes [11] exceeds the allowed maximum [10].",
    )


async def test_names_are_case_sensitive(queue: Queue) -> None:
    both = {"a": text("x"), "A": text("y")}
    await queue.send(MessageAttributes=both)
    message = await queue.receive_one(MessageAttributeNames=["All"])
    assert message["MessageAttributes"] == both


async def test_attributes_survive_every_receive(queue: Queue) -> None:
    await queue.send(MessageAttributes=GREETING)
    for _ in range(2):
        message = await queue.receive_one(MessageAttributeNames=["All"], VisibilityTimeout=0)
        assert message["MessageAttributes"] == GREETING


# --- system attributes --------------------------------------------------------------------------


async def test_a_standard_message_has_these_system_attributes(
    queue: Queue, clock: FakeClock
) -> None:
    await queue.send()
    await clock.advance(5_000)
    message = await queue.receive_one(MessageSystemAttributeNames=["All"], VisibilityTimeout=0)
    assert message["Attributes"] == {
        "SenderId": ACCOUNT,
        "SentTimestamp": str(START_MS),
        "ApproximateReceiveCount": "1",
        "ApproximateFirstReceiveTimestamp": str(START_MS + 5_000),
    }
    await clock.advance(5_000)
    message = await queue.receive_one(MessageSystemAttributeNames=["All"])
    assert message["Attributes"]["ApproximateReceiveCount"] == "2"
    assert message["Attributes"]["ApproximateFirstReceiveTimestamp"] == str(START_MS + 5_000)


async def test_a_fifo_message_has_three_more(fifo: Queue) -> None:
    sent = await fifo.send(MessageGroupId="g", MessageDeduplicationId="d")
    message = await fifo.receive_one(MessageSystemAttributeNames=["All"])
    attributes = message["Attributes"]
    assert attributes.keys() == {
        "SenderId",
        "SentTimestamp",
        "ApproximateReceiveCount",
        "ApproximateFirstReceiveTimestamp",
        "MessageGroupId",
        "MessageDeduplicationId",
        "SequenceNumber",
    }
    assert attributes["MessageGroupId"] == "g"
    assert attributes["MessageDeduplicationId"] == "d"
    assert attributes["SequenceNumber"] == sent["SequenceNumber"]


@pytest.mark.parametrize("member", ["AttributeNames", "MessageSystemAttributeNames"])
async def test_system_attributes_are_chosen_by_name(queue: Queue, member: str) -> None:
    await queue.send()
    message = await queue.receive_one(**{member: ["SenderId", "SequenceNumber"]})
    assert message["Attributes"] == {"SenderId": ACCOUNT}


@pytest.mark.parametrize("names", [None, [], ["SequenceNumber"]])
async def test_without_system_attributes_there_is_no_member(
    queue: Queue, names: list[str] | None
) -> None:
    await queue.send(MessageAttributes=GREETING)
    message = await queue.receive_one(MessageSystemAttributeNames=names)
    assert "Attributes" not in message


async def test_all_is_of_one_kind(queue: Queue) -> None:
    await queue.send(MessageAttributes=GREETING)
    message = await queue.receive_one(MessageAttributeNames=["All"], VisibilityTimeout=0)
    assert "Attributes" not in message
    message = await queue.receive_one(MessageSystemAttributeNames=["All"])
    assert "MessageAttributes" not in message


async def test_both_lists_together_in_json(server: Any, queue: Queue) -> None:
    """In Query they collide: see the tests of that protocol."""
    await queue.send()
    json_queue = Queue(server.client("json"), queue.url)
    message = await json_queue.receive_one(
        MessageSystemAttributeNames=["All"], AttributeNames=["SenderId"]
    )
    assert len(message["Attributes"]) == 4


async def test_names_of_queue_attributes_are_tolerated(queue: Queue) -> None:
    await queue.send()
    message = await queue.receive_one(AttributeNames=["VisibilityTimeout", "SenderId"])
    assert message["Attributes"] == {"SenderId": ACCOUNT}


@MEMORY_ONLY
@pytest.mark.parametrize("name", ["Foobar", ".*", "senderId", ""])
async def test_unknown_system_attributes_are_refused(queue: Queue, name: str) -> None:
    refused = await refusal(queue.receive(AttributeNames=["SenderId", name]))
    assert refused == ("InvalidAttributeName", f"Unknown Attribute {name}.")


# --- trace headers ------------------------------------------------------------------------------


async def trace_of(queue: Queue) -> str | None:
    message = await queue.receive_one(MessageSystemAttributeNames=["All"])
    trace: str | None = message["Attributes"].get("AWSTraceHeader")
    return trace


async def test_a_trace_header_can_be_sent(queue: Queue) -> None:
    await queue.send(MessageSystemAttributes={"AWSTraceHeader": text(TRACE)})
    assert await trace_of(queue) == TRACE


async def test_the_trace_header_of_the_request_is_kept(sqs: Client, queue: Queue) -> None:
    traced = Queue(sqs.but(headers={"X-Amzn-Trace-Id": TRACE}), queue.url)
    sent = await traced.send()
    assert "MD5OfMessageSystemAttributes" not in sent
    assert await trace_of(queue) == TRACE


async def test_the_trace_header_of_the_request_is_kept_for_batches(
    sqs: Client, queue: Queue
) -> None:
    traced = Queue(sqs.but(headers={"X-Amzn-Trace-Id": TRACE}), queue.url)
    await traced.call("SendMessageBatch", Entries=[{"Id": "a", "MessageBody": "hello"}])
    assert await trace_of(queue) == TRACE


async def test_a_trace_header_sent_explicitly_wins(sqs: Client, queue: Queue) -> None:
    traced = Queue(sqs.but(headers={"X-Amzn-Trace-Id": "Root=other"}), queue.url)
    await traced.send(MessageSystemAttributes={"AWSTraceHeader": text(TRACE)})
    assert await trace_of(queue) == TRACE


@MEMORY_ONLY
async def test_there_are_no_other_system_attributes(queue: Queue) -> None:
    refused = await refusal(queue.send(MessageSystemAttributes={"Foo": text("x")}))
    assert refused == (
        "InvalidParameterValue",
        "Message system attribute name 'Foo' is invalid.",
    )


@MEMORY_ONLY
@pytest.mark.parametrize(
    ("value", "message"),
    [
        (
            text(""),
            "Message system attribute 'AWSTraceHeader' must contain a non-empty value of type"
            " 'String'.",
        ),
        (
            text("x", "Text"),
            "The type of message system attribute 'AWSTraceHeader' is invalid. You must use only"
            " the following supported type prefixes: Binary, Number, String.",
        ),
        (
            {"StringValue": "x"},
            "The message system attribute 'AWSTraceHeader' must contain a non-empty message"
            " attribute type.",
        ),
    ],
)
async def test_system_attributes_follow_the_same_rules(
    queue: Queue, value: dict[str, Any], message: str
) -> None:
    refused = await refusal(queue.send(MessageSystemAttributes={"AWSTraceHeader": value}))
    assert refused == ("InvalidParameterValue", message)


@MEMORY_ONLY
@pytest.mark.parametrize("value", [number("1"), binary(b"x")])
async def test_a_trace_header_is_a_string(queue: Queue, value: dict[str, Any]) -> None:
    refused = await refusal(queue.send(MessageSystemAttributes={"AWSTraceHeader": value}))
    assert refused[0] == "InvalidParameterValue"
