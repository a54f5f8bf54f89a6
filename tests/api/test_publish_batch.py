"""PublishBatch: all entries or none, what is refused and in which order (SNS reference, 4.6)."""

from typing import Any

import pytest

from tests.support.client import Answer, Client
from tests.support.server import ACCOUNT, MEMORY_ONLY, REGION, Server
from tests.support.sns import SnsClient, sns_refusal
from tests.support.topics import Topic, new_topic, take, take_bodies, take_messages

LIMIT = 262_144
TOO_MANY = (
    "TooManyEntriesInBatchRequest",
    "The batch request contains more entries than permissible.",
)
NOT_DISTINCT = (
    "BatchEntryIdsNotDistinct",
    "Two or more batch entries in the request have the same Id.",
)
TOO_LONG = (
    "BatchRequestTooLong",
    "The length of all the messages put together is more than the limit.",
)
NO_DEFAULT = (
    "InvalidParameter",
    "Invalid parameter: Message Structure - No default entry in JSON message body",
)
NO_GROUP = (
    "InvalidParameter",
    "Invalid parameter: The MessageGroupId parameter is required for FIFO topics",
)
NO_DEDUPLICATION_ID = (
    "InvalidParameter",
    "Invalid parameter: The topic should either have ContentBasedDeduplication enabled or"
    " MessageDeduplicationId provided explicitly",
)


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


def in_group(message: str, **members: Any) -> Answer:
    """An entry for a FIFO topic."""
    entry = {"Message": message, "MessageGroupId": "g", "MessageDeduplicationId": message}
    return entry | members


# --- what is accepted ---------------------------------------------------------------------------


async def test_each_entry_is_published(topic: Topic, sqs: Client) -> None:
    queue = await topic.queue(sqs, RawMessageDelivery="true")
    entries = [{"Id": f"id-{number}", "Message": f"message {number}"} for number in range(10)]
    answer = await topic.publish_batch(*entries)
    assert answer["Failed"] == []
    assert [each["Id"] for each in answer["Successful"]] == [each["Id"] for each in entries]
    assert len({each["MessageId"] for each in answer["Successful"]}) == 10
    assert all(each.keys() == {"Id", "MessageId"} for each in answer["Successful"])
    assert sorted(await take_bodies(queue)) == [each["Message"] for each in entries]


@MEMORY_ONLY
async def test_both_lists_are_in_every_answer(topic: Topic, sns: SnsClient) -> None:
    entries = [{"Id": "a", "Message": "hello"}]
    response = await sns.request(
        "PublishBatch", TopicArn=topic.arn, PublishBatchRequestEntries=entries
    )
    assert "    <Failed/>\n" in response.text
    assert "    <Successful>\n      <member>\n        <Id>a</Id>\n" in response.text


async def test_entries_of_a_fifo_topic_are_published_in_order(
    fifo_topic: Topic, sqs: Client
) -> None:
    queue = await fifo_topic.queue(sqs, "jobs.fifo", RawMessageDelivery="true")
    messages = list("jihgfedcba")
    answer = await fifo_topic.publish_batch(*(in_group(each) for each in messages))
    numbers = [each["SequenceNumber"] for each in answer["Successful"]]
    assert numbers == sorted(set(numbers))
    assert {len(number) for number in numbers} == {20}
    assert await take_bodies(queue) == messages


async def test_entries_are_deduplicated_within_a_batch(fifo_topic: Topic, sqs: Client) -> None:
    queue = await fifo_topic.queue(sqs, "jobs.fifo", RawMessageDelivery="true")
    answer = await fifo_topic.publish_batch(
        in_group("first", MessageDeduplicationId="x"),
        in_group("other"),
        in_group("again", MessageDeduplicationId="x"),
    )
    first, _, again = answer["Successful"]
    assert again == {**first, "Id": "2"}
    assert await take_bodies(queue) == ["first", "other"]


async def test_a_batch_is_deduplicated_against_earlier_messages(
    fifo_topic: Topic, sqs: Client
) -> None:
    queue = await fifo_topic.queue(sqs, "jobs.fifo", RawMessageDelivery="true")
    original = await fifo_topic.publish_to("g", "first")
    answer = await fifo_topic.publish_batch(in_group("first"), in_group("second"))
    assert answer["Successful"][0] == {"Id": "0", **original}
    assert await take_bodies(queue) == ["first", "second"]


# --- what is refused ----------------------------------------------------------------------------


@MEMORY_ONLY
async def test_a_batch_has_ten_entries_at_most(topic: Topic) -> None:
    assert await sns_refusal(topic.publish_batch(*[{}] * 11)) == TOO_MANY


@MEMORY_ONLY
async def test_a_batch_has_an_entry_at_least(topic: Topic) -> None:
    assert await sns_refusal(topic.publish_batch()) == (
        "EmptyBatchRequest",
        "The batch request doesn't contain any entries.",
    )


@MEMORY_ONLY
async def test_ids_must_differ(topic: Topic) -> None:
    call = topic.publish_batch({"Id": "a"}, {"Id": "b"}, {"Id": "a"})
    assert await sns_refusal(call) == NOT_DISTINCT


@MEMORY_ONLY
@pytest.mark.parametrize("entry_id", ["a.b", "a b", "ü", "a:", "a\n"])
async def test_an_id_has_letters_digits_hyphens_and_underscores(
    topic: Topic, entry_id: str
) -> None:
    assert await sns_refusal(topic.publish_batch({"Id": entry_id})) == (
        "InvalidBatchEntryId",
        "The Id of a batch entry in the batch request contains an impermissible character:"
        f" {entry_id}",
    )


@MEMORY_ONLY
async def test_an_id_has_80_characters_at_most(topic: Topic) -> None:
    await topic.publish_batch({"Id": "aZ0_-" * 16})
    assert await sns_refusal(topic.publish_batch({"Id": "x" * 81})) == (
        "InvalidBatchEntryId",
        f"The Id of a batch entry in the batch request is too long: {'x' * 81}",
    )


@MEMORY_ONLY
async def test_the_topic_must_exist(sns: SnsClient) -> None:
    missing = Topic(sns, f"arn:aws:sns:{REGION}:{ACCOUNT}:missing")
    assert await sns_refusal(missing.publish_batch({})) == ("NotFound", "Topic does not exist")


@MEMORY_ONLY
async def test_the_topic_must_be_of_this_region(topic: Topic, sns: SnsClient) -> None:
    elsewhere = Topic(sns.but(region="eu-west-1"), topic.arn)
    assert await sns_refusal(elsewhere.publish_batch({})) == (
        "InvalidParameter",
        "Invalid parameter: TopicArn",
    )


@MEMORY_ONLY
@pytest.mark.parametrize("arn", ["", "news"])
async def test_the_topic_arn_has_six_parts(sns: SnsClient, arn: str) -> None:
    assert await sns_refusal(Topic(sns, arn).publish_batch({})) == (
        "InvalidParameter",
        "Invalid parameter: TopicArn Reason: An ARN must have at least 6 elements, not 1",
    )


@MEMORY_ONLY
async def test_all_entries_together_have_262144_bytes_at_most(topic: Topic) -> None:
    attribute = {"MessageAttributes": {"n": {"DataType": "Number.ü", "StringValue": "99.12"}}}
    half = "x" * (LIMIT // 2)
    rest = "x" * (LIMIT // 2 - len("n") - len("Number.ü".encode()) - len("99.12"))
    entries: list[Answer] = [{"Message": half}, {"Message": rest, **attribute}]
    assert len((await topic.publish_batch(*entries))["Successful"]) == 2
    entries[1]["Message"] = rest + "x"
    assert await sns_refusal(topic.publish_batch(*entries)) == TOO_LONG


@MEMORY_ONLY
async def test_a_topic_may_have_another_limit_for_batches_too(topic: Topic) -> None:
    await topic.set("MaximumMessageSize", "1048576")
    half = "x" * (1_048_576 // 2)
    assert len((await topic.publish_batch(*[{"Message": half}] * 2))["Successful"]) == 2
    call = topic.publish_batch({"Message": half}, {"Message": half + "x"})
    assert await sns_refusal(call) == TOO_LONG


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [
        ({"Message": ""}, ("InvalidParameter", "Invalid parameter: Empty message")),
        ({"Subject": ""}, ("InvalidParameter", "Invalid parameter: Subject")),
        ({"MessageStructure": "json", "Message": "{}"}, NO_DEFAULT),
        (
            {"MessageStructure": "json", "Message": "{"},
            (
                "InvalidParameter",
                "Invalid parameter: Message Structure - JSON message body failed to parse",
            ),
        ),
        (
            {"MessageAttributes": {"a": {"DataType": "String", "StringValue": ""}}},
            (
                "ParameterValueInvalid",
                "The message attribute 'a' must contain non-empty message attribute value for"
                " message attribute type 'String'.",
            ),
        ),
        (
            {"MessageAttributes": {"attr1": {"StringValue": "x"}}},
            (
                "ValidationError",
                "1 validation error detected: Value null at"
                " 'publishBatchRequestEntries.2.member.messageAttributes.attr1.member.dataType'"
                " failed to satisfy constraint: Member must not be null",
            ),
        ),
    ],
)
async def test_one_wrong_entry_refuses_all(
    topic: Topic, sqs: Client, wrong: Answer, expected: tuple[str, str]
) -> None:
    queue = await topic.queue(sqs)
    assert await sns_refusal(topic.publish_batch({}, wrong, {})) == expected
    assert await take(queue) == []


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [
        ({"MessageGroupId": None}, NO_GROUP),
        ({"MessageDeduplicationId": None}, NO_DEDUPLICATION_ID),
    ],
)
async def test_one_wrong_entry_refuses_all_of_a_fifo_topic(
    fifo_topic: Topic, sqs: Client, wrong: Answer, expected: tuple[str, str]
) -> None:
    queue = await fifo_topic.queue(sqs, "jobs.fifo")
    members = {name: value for name, value in in_group("b", **wrong).items() if value is not None}
    assert await sns_refusal(fifo_topic.publish_batch(in_group("a"), members)) == expected
    assert await take(queue) == []
    await fifo_topic.publish_batch(in_group("a"))  # and its id is not taken
    assert await take_messages(queue) == ["a"]


@MEMORY_ONLY
async def test_entries_of_a_standard_topic_have_no_deduplication_ids(topic: Topic) -> None:
    code, text = await sns_refusal(topic.publish_batch({"MessageDeduplicationId": "d"}))
    assert code == "InvalidParameter"
    assert text.startswith("Invalid parameter: MessageDeduplicationId Reason: The request includes")


@MEMORY_ONLY
async def test_the_first_mistake_is_told(fifo_topic: Topic) -> None:
    """The order is that of AWS's recordings: count, ids, structure, group, deduplication."""
    no_default: Answer = {"Id": "a", "Message": "{}", "MessageStructure": "json"}
    assert await sns_refusal(fifo_topic.publish_batch(*[no_default] * 11)) == TOO_MANY
    assert await sns_refusal(fifo_topic.publish_batch(*[no_default] * 2)) == NOT_DISTINCT
    assert await sns_refusal(fifo_topic.publish_batch(no_default)) == NO_DEFAULT
    no_ids: Answer = {"Id": "a", "Message": '{"default":"x"}', "MessageStructure": "json"}
    assert await sns_refusal(fifo_topic.publish_batch(no_ids)) == NO_GROUP
    no_id = no_ids | {"MessageGroupId": "g"}
    assert await sns_refusal(fifo_topic.publish_batch(no_id)) == NO_DEDUPLICATION_ID


@MEMORY_ONLY
async def test_a_mistake_of_a_later_entry_counts_by_its_kind(fifo_topic: Topic) -> None:
    no_group: Answer = {"Message": "x"}
    no_default = in_group("{}", MessageStructure="json")
    assert await sns_refusal(fifo_topic.publish_batch(no_group, no_default)) == NO_DEFAULT
