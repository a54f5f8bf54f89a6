"""The three batch operations (SQS reference, 2.8, 2.11, 2.13, 4.10)."""

from typing import Any

import pytest

from tests.support.client import Client, Queue, refusal
from tests.support.clock import FakeClock
from tests.support.server import MEMORY_ONLY

OPERATIONS = ["SendMessageBatch", "DeleteMessageBatch", "ChangeMessageVisibilityBatch"]
ALLOWED = (
    "the set of allowed characters is #x9 | #xA | #xD | [#x20-#xD7FF] | [#xE000-#xFFFD]"
    " | [#x10000-#x10FFFF]"
)
BAD_ID = (
    "AWS.SimpleQueueService.InvalidBatchEntryId",
    "A batch entry id can only contain alphanumeric characters, hyphens and underscores. It can be"
    " at most 80 letters long.",
)


def entry(operation: str, entry_id: str | None, **members: Any) -> dict[str, Any]:
    """An entry that could be accepted, or whose failure is at least its own."""
    contents: dict[str, dict[str, Any]] = {
        "SendMessageBatch": {"MessageBody": "hello"},
        "DeleteMessageBatch": {"ReceiptHandle": "any"},
        "ChangeMessageVisibilityBatch": {"ReceiptHandle": "any", "VisibilityTimeout": 0},
    }
    content = contents[operation]
    return {"Id": entry_id, **content, **members}


def send(entry_id: str, body: str | None = None, **members: Any) -> dict[str, Any]:
    return {"Id": entry_id, "MessageBody": entry_id if body is None else body, **members}


def failure(entry_id: str, code: str, message: str) -> dict[str, Any]:
    return {"Id": entry_id, "SenderFault": True, "Code": code, "Message": message}


async def batch(queue: Queue, operation: str, *entries: dict[str, Any]) -> dict[str, Any]:
    return await queue.call(operation, Entries=list(entries))


async def failed(queue: Queue, operation: str, *entries: dict[str, Any]) -> list[dict[str, Any]]:
    answer = await batch(queue, operation, *entries)
    failures: list[dict[str, Any]] = answer["Failed"]
    return failures


# --- batches that are refused as a whole --------------------------------------------------------


@pytest.mark.parametrize("operation", OPERATIONS)
async def test_a_batch_has_at_least_one_entry(queue: Queue, operation: str) -> None:
    assert await refusal(batch(queue, operation)) == (
        "AWS.SimpleQueueService.EmptyBatchRequest",
        f"There should be at least one {operation}RequestEntry in the request.",
    )


@pytest.mark.parametrize("operation", OPERATIONS)
async def test_a_json_batch_without_entries_misses_them(
    sqs: Client, queue: Queue, operation: str
) -> None:
    """In Query an empty list cannot be told from none."""
    spoken = Queue(sqs.but(protocol="json"), queue.url)
    assert await refusal(spoken.call(operation)) == (
        "MissingParameter",
        "The request must contain the parameter Entries.",
    )


@pytest.mark.parametrize("operation", OPERATIONS)
async def test_a_batch_has_at_most_ten_entries(queue: Queue, operation: str) -> None:
    entries = [entry(operation, str(n)) for n in range(11)]
    assert await refusal(batch(queue, operation, *entries)) == (
        "AWS.SimpleQueueService.TooManyEntriesInBatchRequest",
        "Maximum number of entries per request are 10. You have sent 11.",
    )


@pytest.mark.parametrize("operation", OPERATIONS)
async def test_every_entry_has_an_id(queue: Queue, operation: str) -> None:
    entries = [entry(operation, "a"), entry(operation, None)]
    assert await refusal(batch(queue, operation, *entries)) == (
        "MissingParameter",
        f"The request must contain the parameter {operation}RequestEntry.2.Id.",
    )


@MEMORY_ONLY
@pytest.mark.parametrize("entry_id", ["", "a b", "a.b", "ü", "x" * 81, "a\n", "a/b"])
@pytest.mark.parametrize("operation", OPERATIONS)
async def test_ids_are_letters_digits_hyphens_and_underscores(
    queue: Queue, operation: str, entry_id: str
) -> None:
    assert await refusal(batch(queue, operation, entry(operation, entry_id))) == BAD_ID


async def test_ids_may_have_80_characters(queue: Queue) -> None:
    answer = await batch(queue, "SendMessageBatch", send("A-z_" + "0" * 76))
    assert answer.keys() == {"Successful"}


@pytest.mark.parametrize("operation", OPERATIONS)
async def test_the_first_id_found_to_repeat_is_named(queue: Queue, operation: str) -> None:
    entries = [entry(operation, each) for each in "1221"]
    assert await refusal(batch(queue, operation, *entries)) == (
        "AWS.SimpleQueueService.BatchEntryIdsNotDistinct",
        "Id 2 repeated.",
    )


@pytest.mark.parametrize("operation", OPERATIONS)
async def test_refusals_have_an_order(sqs: Client, queue: Queue, operation: str) -> None:
    """The queue, the number of entries, missing ids, bad ids, repeated ids."""
    nowhere = Queue(sqs, f"{queue.url}-not")
    assert await refusal(batch(nowhere, operation)) == sqs.no_queue
    bad = [entry(operation, "?"), entry(operation, "?")]
    eleven = [*bad, *(entry(operation, None) for _ in range(9))]
    refused = await refusal(batch(queue, operation, *eleven))
    assert refused[0] == "AWS.SimpleQueueService.TooManyEntriesInBatchRequest"
    assert await refusal(batch(queue, operation, *bad)) == BAD_ID


# --- SendMessageBatch ---------------------------------------------------------------------------


async def test_sent_entries_are_answered_one_by_one(queue: Queue) -> None:
    attribute = {"DataType": "String", "StringValue": "x"}
    answer = await batch(
        queue,
        "SendMessageBatch",
        send("a", "test"),
        send("b", "message", MessageAttributes={"k": attribute}),
    )
    assert answer.keys() == {"Successful"}
    first, second = answer["Successful"]
    assert first.keys() == {"Id", "MessageId", "MD5OfMessageBody"}
    assert (first["Id"], first["MD5OfMessageBody"]) == ("a", "098f6bcd4621d373cade4e832627b4f6")
    assert second["MD5OfMessageAttributes"] == "a45daa70926828a2f0a1db3418e6feb4"
    received = {m["Body"]: m["MessageId"] for m in await queue.receive()}
    assert received == {"test": first["MessageId"], "message": second["MessageId"]}


async def test_failed_entries_leave_the_others_alone(queue: Queue) -> None:
    answer = await batch(queue, "SendMessageBatch", send("a"), send("b", "\x07"), send("c"))
    assert [each["Id"] for each in answer["Successful"]] == ["a", "c"]
    assert answer["Failed"] == [
        failure(
            "b",
            "InvalidMessageContents",
            f"Invalid binary character '#x7' was found in the message body, {ALLOWED}.",
        )
    ]
    assert await queue.bodies() == ["a", "c"]


async def test_a_batch_of_failures_is_still_answered(queue: Queue) -> None:
    answer = await batch(queue, "SendMessageBatch", send("a", ""), send("b", ""))
    assert answer.keys() == {"Failed"}
    assert await queue.counts() == (0, 0, 0)


@pytest.mark.parametrize("body", ["", None])
async def test_an_empty_body_fails_its_entry(queue: Queue, body: str | None) -> None:
    entries = [send("a"), {"Id": "b", "MessageBody": body}]
    assert await failed(queue, "SendMessageBatch", *entries) == [
        failure(
            "b",
            "MissingParameter",
            "The request must contain the parameter SendMessageBatchRequestEntry.2.MessageBody.",
        )
    ]


async def test_a_message_too_long_fails_its_entry_in_other_words(queue: Queue) -> None:
    await queue.set(MaximumMessageSize="1024")
    answer = await batch(queue, "SendMessageBatch", send("a", "x" * 1_024), send("b", "x" * 1_025))
    assert [each["Id"] for each in answer["Successful"]] == ["a"]
    assert answer["Failed"] == [
        failure(
            "b",
            "InvalidParameterValue",
            "One or more parameters cannot be validated. Reason: Message must be shorter than 1024"
            " bytes.",
        )
    ]


async def test_other_failures_of_standard_entries(queue: Queue) -> None:
    bad_attribute = {"a": {"DataType": "String", "StringValue": "\x07"}}
    assert await failed(
        queue,
        "SendMessageBatch",
        send("a", DelaySeconds=901),
        send("b", MessageGroupId="a b"),
        send("c", MessageDeduplicationId="x"),
        send("d", MessageAttributes=bad_attribute),
    ) == [
        failure(
            "a",
            "InvalidParameterValue",
            "Value 901 for parameter DelaySeconds is invalid. Reason: DelaySeconds must be >= 0"
            " and <= 900.",
        ),
        failure(
            "b",
            "InvalidParameterValue",
            "MessageGroupId can only include alphanumeric and punctuation characters. 1 to 128 in"
            " length",
        ),
        failure(
            "c",
            "InvalidParameterValue",
            "The request include parameter that is not valid for this queue type",
        ),
        failure(
            "d",
            "InvalidParameterValue",
            "Invalid binary character '#x7' was found in the message (user) attribute 'a' value,"
            f" {ALLOWED}",
        ),
    ]


async def test_entries_have_delays_of_their_own(queue: Queue, clock: FakeClock) -> None:
    await batch(queue, "SendMessageBatch", send("now"), send("later", DelaySeconds=5))
    assert await queue.bodies() == ["now"]
    await clock.advance(5_000)
    assert await queue.bodies() == ["later"]


async def test_a_batch_has_one_mebibyte_whatever_the_queue_allows(queue: Queue) -> None:
    await queue.set(MaximumMessageSize="1024")
    bodies = [send(str(n), "x" * 1_024) for n in range(10)]
    assert (await batch(queue, "SendMessageBatch", *bodies)).keys() == {"Successful"}


async def test_a_batch_may_have_exactly_one_mebibyte(queue: Queue) -> None:
    half = 524_288
    attribute = {"n": {"DataType": "Binary", "BinaryValue": bytes(93)}}  # 100 bytes
    fits = [
        send("a", "x" * half),
        send("b", "x" * (half - 100), MessageAttributes=attribute),
    ]
    assert (await batch(queue, "SendMessageBatch", *fits)).keys() == {"Successful"}
    await queue.call("PurgeQueue")
    too_long = [fits[0], send("b", "x" * (half - 99), MessageAttributes=attribute)]
    assert await refusal(batch(queue, "SendMessageBatch", *too_long)) == (
        "AWS.SimpleQueueService.BatchRequestTooLong",
        "Batch requests cannot be longer than 1048576 bytes. You have sent 1048577 bytes.",
    )
    assert await queue.counts() == (0, 0, 0)


# --- SendMessageBatch to FIFO queues ------------------------------------------------------------


async def test_fifo_entries_are_sent_in_their_order(fifo: Queue) -> None:
    entries = [send(body, MessageGroupId="g", MessageDeduplicationId=body) for body in "jihgfedcba"]
    answer = await batch(fifo, "SendMessageBatch", *entries)
    numbers = [each["SequenceNumber"] for each in answer["Successful"]]
    assert numbers == sorted(numbers)
    assert await fifo.bodies() == [*"jihgfedcba"]


async def test_a_missing_group_id_refuses_a_fifo_batch(fifo: Queue) -> None:
    entries = [send("a", MessageGroupId="g", MessageDeduplicationId="a"), send("b")]
    assert await refusal(batch(fifo, "SendMessageBatch", *entries)) == (
        "InvalidParameterValue",
        "The request must contain the parameter MessageGroupId.",
    )
    assert await fifo.counts() == (0, 0, 0)


async def test_a_missing_deduplication_id_refuses_a_fifo_batch(fifo: Queue) -> None:
    good = send("a", MessageGroupId="g", MessageDeduplicationId="a")
    refused = await refusal(batch(fifo, "SendMessageBatch", good, send("b", MessageGroupId="g")))
    assert refused == (
        "InvalidParameterValue",
        "The queue should either have ContentBasedDeduplication enabled or"
        " MessageDeduplicationId provided explicitly",
    )
    assert await fifo.counts() == (0, 0, 0)


@pytest.mark.parametrize(
    "members",
    [
        {"DelaySeconds": 1},
        {"MessageGroupId": "a b"},
        {"MessageDeduplicationId": ""},
        {"MessageAttributes": {"": {"DataType": "String", "StringValue": "x"}}},
    ],
)
async def test_other_problems_refuse_a_fifo_batch_too(fifo: Queue, members: dict[str, Any]) -> None:
    good = {"MessageGroupId": "g", "MessageDeduplicationId": "x"}
    entries = [send("a", **good), send("b", **{**good, **members})]
    refused = await refusal(batch(fifo, "SendMessageBatch", *entries))
    assert refused[0] == "InvalidParameterValue"
    assert await fifo.counts() == (0, 0, 0)


async def test_duplicates_within_a_fifo_batch_are_sent_once(fifo: Queue) -> None:
    members = {"MessageGroupId": "g", "MessageDeduplicationId": "x"}
    answer = await batch(fifo, "SendMessageBatch", send("a", **members), send("b", **members))
    first, second = answer["Successful"]
    assert first["MessageId"] == second["MessageId"]
    assert await fifo.bodies() == ["a"]


# --- DeleteMessageBatch -------------------------------------------------------------------------


async def test_deleted_entries_are_answered_one_by_one(queue: Queue) -> None:
    await queue.send_each("a", "b")
    entries = [
        {"Id": message["Body"], "ReceiptHandle": message["ReceiptHandle"]}
        for message in await queue.receive()
    ]
    answer = await batch(queue, "DeleteMessageBatch", *entries)
    assert answer == {"Successful": [{"Id": "a"}, {"Id": "b"}]}
    assert await queue.counts() == (0, 0, 0)
    assert await batch(queue, "DeleteMessageBatch", *entries) == answer  # deleted already: fine


async def test_one_handle_may_stand_in_two_entries(queue: Queue) -> None:
    await queue.send()
    handle = (await queue.receive_one())["ReceiptHandle"]
    entries = [{"Id": each, "ReceiptHandle": handle} for each in "ab"]
    answer = await batch(queue, "DeleteMessageBatch", *entries)
    assert answer == {"Successful": [{"Id": "a"}, {"Id": "b"}]}


async def test_bad_handles_fail_their_entries(sqs: Client, queue: Queue) -> None:
    other = await sqs.queue("other")
    for each in (queue, other):
        await each.send()
    good = (await queue.receive_one())["ReceiptHandle"]
    foreign = (await other.receive_one())["ReceiptHandle"]
    answer = await batch(
        queue,
        "DeleteMessageBatch",
        {"Id": "garbage", "ReceiptHandle": "garbage"},
        {"Id": "good", "ReceiptHandle": good},
        {"Id": "foreign", "ReceiptHandle": foreign},
        {"Id": "blank", "ReceiptHandle": ""},
        {"Id": "absent"},
    )
    missing = "The request must contain the parameter DeleteMessageBatchRequestEntry"
    assert answer == {
        "Successful": [{"Id": "good"}],
        "Failed": [
            failure(
                "garbage",
                "ReceiptHandleIsInvalid",
                'The input receipt handle "garbage" is not a valid receipt handle.',
            ),
            failure(
                "foreign",
                "ReceiptHandleIsInvalid",
                f'The receipt handle "{foreign}" is not valid for this queue.',
            ),
            failure("blank", "MissingParameter", f"{missing}.4.ReceiptHandle."),
            failure("absent", "MissingParameter", f"{missing}.5.ReceiptHandle."),
        ],
    }


async def test_an_expired_fifo_handle_is_invalid_in_a_batch(fifo: Queue, clock: FakeClock) -> None:
    await fifo.send_to("g", "a")
    handle = (await fifo.receive_one())["ReceiptHandle"]
    await clock.advance(30_000)
    assert await failed(fifo, "DeleteMessageBatch", {"Id": "a", "ReceiptHandle": handle}) == [
        failure("a", "ReceiptHandleIsInvalid", "The receipt handle has expired")
    ]


# --- ChangeMessageVisibilityBatch ---------------------------------------------------------------


async def test_changed_entries_are_answered_one_by_one(queue: Queue, clock: FakeClock) -> None:
    await queue.send_each("a", "b")
    first, second = await queue.receive()
    answer = await batch(
        queue,
        "ChangeMessageVisibilityBatch",
        {"Id": "a", "ReceiptHandle": first["ReceiptHandle"], "VisibilityTimeout": 0},
        {"Id": "b", "ReceiptHandle": second["ReceiptHandle"], "VisibilityTimeout": 100},
    )
    assert answer == {"Successful": [{"Id": "a"}, {"Id": "b"}]}
    assert await queue.bodies() == ["a"]
    await clock.advance(99_999)
    assert await queue.bodies() == ["a"]


async def test_bad_changes_fail_their_entries(queue: Queue) -> None:
    await queue.send()
    handle = (await queue.receive_one())["ReceiptHandle"]
    answer = await batch(
        queue,
        "ChangeMessageVisibilityBatch",
        {"Id": "a", "ReceiptHandle": handle},
        {"Id": "b", "ReceiptHandle": handle, "VisibilityTimeout": 43_201},
        {"Id": "c", "ReceiptHandle": "garbage", "VisibilityTimeout": 0},
        {"Id": "d", "ReceiptHandle": handle, "VisibilityTimeout": 0},
        {"Id": "e", "VisibilityTimeout": 0},
    )
    missing = "The request must contain the parameter ChangeMessageVisibilityBatchRequestEntry"
    assert answer == {
        "Successful": [{"Id": "d"}],
        "Failed": [
            failure("a", "MissingParameter", f"{missing}.1.VisibilityTimeout."),
            failure(
                "b",
                "InvalidParameterValue",
                "Value 43201 for parameter VisibilityTimeout is invalid. Reason:"
                " VisibilityTimeout must be an integer between 0 and 43200.",
            ),
            failure(
                "c",
                "ReceiptHandleIsInvalid",
                'The input receipt handle "garbage" is not a valid receipt handle.',
            ),
            failure("e", "MissingParameter", f"{missing}.5.ReceiptHandle."),
        ],
    }
    assert await queue.bodies() == ["hello"]


async def test_deleted_messages_fail_their_entries(queue: Queue) -> None:
    await queue.send()
    message = await queue.receive_one()
    await queue.delete(message)
    handle = message["ReceiptHandle"]
    entries = {"Id": "a", "ReceiptHandle": handle, "VisibilityTimeout": 0}
    assert await failed(queue, "ChangeMessageVisibilityBatch", entries) == [
        failure(
            "a",
            "InvalidParameterValue",
            f"Value {handle} for parameter ReceiptHandle is invalid. Reason: Message does not"
            " exist or is not available for visibility timeout change.",
        )
    ]
