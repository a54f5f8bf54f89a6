"""FIFO topics: order, sequence numbers, deduplication (SNS reference, 4.7, 5.2, 8.1, 8.2)."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from storage import open_storage
from tests.support.client import Answer, Client
from tests.support.clock import FakeClock
from tests.support.server import ACCOUNT, MEMORY_ONLY, REGION, Server, running
from tests.support.sns import SnsClient, sns_refusal
from tests.support.topics import Topic, new_topic, take, take_bodies, take_messages, take_one

FIVE_MINUTES_MS = 300_000
#: SHA-256 of `Test`, as AWS gave it
TEST_ID = "532eaabd9574880dbf76b9b8cc00832c20a6ec113d682299550d7a6e0f345e25"


@pytest.fixture
def sqs(server: Server) -> Client:
    """A client of its queues."""
    return server.client("json")


@pytest.fixture
async def topic(sns: SnsClient) -> Topic:
    """A FIFO topic with default attributes."""
    return await new_topic(sns, "news.fifo")


@pytest.fixture
async def content_based(sns: SnsClient) -> Topic:
    """A FIFO topic in which equal messages are duplicates."""
    return await new_topic(sns, "content.fifo", ContentBasedDeduplication="true")


def system_attributes(message: Answer, *names: str) -> list[str | None]:
    return [message["Attributes"].get(name) for name in names]


# --- order --------------------------------------------------------------------------------------


async def test_all_queues_see_the_order_of_publishing(topic: Topic, sqs: Client) -> None:
    queues = [
        await topic.queue(sqs, f"jobs-{number}.fifo", RawMessageDelivery="true")
        for number in range(5)
    ]
    numbers = [str(number) for number in range(10)]
    for number in numbers:
        await topic.publish_to("g", number)
    for queue in queues:
        assert await take_bodies(queue) == numbers


async def test_each_group_is_in_order(topic: Topic, sqs: Client) -> None:
    queue = await topic.queue(sqs, "jobs.fifo", RawMessageDelivery="true")
    for number in range(4):
        await topic.publish_to("a", f"a{number}")
        await topic.publish_to("b", f"b{number}")
    taken = await take_bodies(queue)
    assert [body for body in taken if body[0] == "a"] == ["a0", "a1", "a2", "a3"]
    assert [body for body in taken if body[0] == "b"] == ["b0", "b1", "b2", "b3"]


async def test_messages_published_at_once_are_delivered_in_the_order_of_their_numbers(
    topic: Topic, sqs: Client
) -> None:
    queue = await topic.queue(sqs, "jobs.fifo")
    await asyncio.gather(*(topic.publish_to("g", str(number)) for number in range(30)))
    envelopes = [json.loads(body) for body in await take_bodies(queue)]
    numbers = [envelope["SequenceNumber"] for envelope in envelopes]
    assert len(numbers) == 30
    assert numbers == sorted(set(numbers))


async def test_order_is_kept_while_others_come_and_go(topic: Topic, sqs: Client) -> None:
    queue = await topic.queue(sqs, "jobs.fifo", RawMessageDelivery="true")
    other = await sqs.queue("other.fifo")
    numbers = [str(number) for number in range(30)]

    async def publish() -> None:
        for number in numbers:
            await topic.publish_to("g", number)

    async def come_and_go() -> None:
        for _ in range(10):
            subscription = await topic.subscribe(other)
            await topic.sns.call("Unsubscribe", SubscriptionArn=subscription.arn)

    await asyncio.gather(publish(), come_and_go())
    assert await take_bodies(queue) == numbers


async def test_sequence_numbers_rise(topic: Topic, sqs: Client) -> None:
    queue = await topic.queue(sqs, "jobs.fifo")
    answers = [await topic.publish_to(group, f"{group}{n}") for group in "ab" for n in range(3)]
    numbers = [answer["SequenceNumber"] for answer in answers]
    assert numbers == sorted(set(numbers))
    messages = await take(queue)
    told = {json.loads(each["Body"])["SequenceNumber"] for each in messages}
    assert told == set(numbers)
    # the queue counts by itself
    assert not told & {each["Attributes"]["SequenceNumber"] for each in messages}


async def test_order_and_deduplication_survive_a_restart(tmp_path: Path, clock: FakeClock) -> None:
    url = f"sqlite:{tmp_path / 'kept.db'}"

    @asynccontextmanager
    async def served() -> AsyncIterator[tuple[Server, Topic]]:
        async with running(open_storage(url, strict=False), clock) as server:
            sns = SnsClient(server.http)
            yield server, Topic(sns, f"arn:aws:sns:{REGION}:{ACCOUNT}:news.fifo")

    async with served() as (server, topic):
        await new_topic(topic.sns, "news.fifo")
        await topic.queue(server.client("json"), "jobs.fifo", RawMessageDelivery="true")
        first = await topic.publish_to("g", "first")
    await clock.advance(FIVE_MINUTES_MS - 1)
    async with served() as (server, topic):
        assert await topic.publish_to("g", "first") == first
        second = await topic.publish_to("g", "second")
        assert second["SequenceNumber"] > first["SequenceNumber"]
        queue = await server.client("json").queue("jobs.fifo")
        assert await take_bodies(queue) == ["first", "second"]
        await clock.advance(1)
        again = await topic.publish_to("g", "first")
        assert again["SequenceNumber"] > second["SequenceNumber"]


# --- what queues get ----------------------------------------------------------------------------


@pytest.mark.parametrize("raw", ["true", "false"])
async def test_a_fifo_queue_gets_group_and_deduplication_id(
    topic: Topic, sqs: Client, raw: str
) -> None:
    queue = await topic.queue(sqs, "jobs.fifo", RawMessageDelivery=raw)
    published = await topic.publish_to("the-group", "hello", MessageDeduplicationId="the-id")
    message = await take_one(queue)
    group, deduplication_id, sequence = system_attributes(
        message, "MessageGroupId", "MessageDeduplicationId", "SequenceNumber"
    )
    assert (group, deduplication_id) == ("the-group", "the-id")
    assert sequence not in (None, published["SequenceNumber"])
    assert message["MessageId"] != published["MessageId"]


async def test_a_standard_queue_gets_neither(topic: Topic, sqs: Client) -> None:
    queue = await topic.queue(sqs, "jobs")
    await topic.publish_to("g", "hello")
    names = ("MessageGroupId", "MessageDeduplicationId", "SequenceNumber")
    message = await take_one(queue)
    assert system_attributes(message, *names) == [None, None, None]
    assert json.loads(message["Body"])["Message"] == "hello"


async def test_a_raw_message_is_not_wrapped(topic: Topic, sqs: Client) -> None:
    queue = await topic.queue(sqs, "jobs.fifo", RawMessageDelivery="true")
    attributes = {"a": {"DataType": "Number", "StringValue": "1"}}
    await topic.publish_to("g", "hello", MessageAttributes=attributes)
    message = await take_one(queue)
    assert (message["Body"], message["MessageAttributes"]) == ("hello", attributes)


# --- deduplication ------------------------------------------------------------------------------


@pytest.mark.parametrize("raw", ["true", "false"])
async def test_the_id_of_a_message_without_one_is_the_hash_of_its_text(
    content_based: Topic, sqs: Client, raw: str
) -> None:
    queue = await content_based.queue(sqs, "jobs.fifo", RawMessageDelivery=raw)
    attributes = {"a": {"DataType": "String", "StringValue": "x"}}
    await content_based.publish(
        "Test", MessageGroupId="g", Subject="a subject", MessageAttributes=attributes
    )
    [deduplication_id] = system_attributes(await take_one(queue), "MessageDeduplicationId")
    assert deduplication_id == TEST_ID


@pytest.mark.parametrize(
    "other",
    [
        {"Subject": "another"},
        {"MessageAttributes": {"a": {"DataType": "String", "StringValue": "x"}}},
        {"MessageGroupId": "another"},
        {"MessageDeduplicationId": TEST_ID},
        {"Message": "another", "MessageDeduplicationId": TEST_ID},
    ],
)
async def test_nothing_but_the_text_makes_the_hash(
    content_based: Topic, sqs: Client, other: dict[str, Any]
) -> None:
    queue = await content_based.queue(sqs, "jobs.fifo", RawMessageDelivery="true")
    original = {"Message": "Test", "MessageGroupId": "g"}
    first = await content_based.call("Publish", **original)
    assert await content_based.call("Publish", **(original | other)) == first
    assert await take_bodies(queue) == ["Test"]


async def test_an_explicit_id_overrides_the_hash(content_based: Topic, sqs: Client) -> None:
    queue = await content_based.queue(sqs, "jobs.fifo", RawMessageDelivery="true")
    await content_based.publish("Test", MessageGroupId="g")
    await content_based.publish("Test", MessageGroupId="g", MessageDeduplicationId="x")
    assert await take_bodies(queue) == ["Test", "Test"]


@MEMORY_ONLY
async def test_the_hash_of_a_structured_message_is_that_of_the_whole(
    content_based: Topic, sqs: Client
) -> None:
    queue = await content_based.queue(sqs, "jobs.fifo", RawMessageDelivery="true")
    message = '{"default":"ü"}'
    await content_based.publish(message, MessageGroupId="g", MessageStructure="json")
    [deduplication_id] = system_attributes(await take_one(queue), "MessageDeduplicationId")
    assert deduplication_id == hashlib.sha256(message.encode()).hexdigest()


async def test_a_duplicate_is_answered_as_the_original_and_not_delivered(
    topic: Topic, sqs: Client
) -> None:
    queues = [await topic.queue(sqs, name, RawMessageDelivery="true") for name in ("f.fifo", "s")]
    first = await topic.publish_to("g", "first", MessageDeduplicationId="x")
    assert await topic.publish_to("g", "second", MessageDeduplicationId="x") == first
    assert [await take_bodies(queue) for queue in queues] == [["first"], ["first"]]


@pytest.mark.parametrize("name", ["jobs", "jobs.fifo"])
async def test_an_id_is_free_again_after_five_minutes(
    topic: Topic, sqs: Client, clock: FakeClock, name: str
) -> None:
    queue = await topic.queue(sqs, name, RawMessageDelivery="true")
    first = await topic.publish_to("g", "hello")
    await clock.advance(FIVE_MINUTES_MS // 2)
    assert await topic.publish_to("g", "hello") == first
    await clock.advance(FIVE_MINUTES_MS // 2 - 1)
    assert await topic.publish_to("g", "hello") == first
    await clock.advance(1)  # the duplicates have not made it longer
    again = await topic.publish_to("g", "hello")
    assert again["MessageId"] != first["MessageId"]
    assert again["SequenceNumber"] > first["SequenceNumber"]
    assert await take_bodies(queue) == ["hello", "hello"]


async def test_a_topic_deduplicates_over_all_groups(topic: Topic, sqs: Client) -> None:
    queue = await topic.queue(sqs, "jobs", RawMessageDelivery="true")
    first = await topic.publish_to("a", "first", MessageDeduplicationId="x")
    assert await topic.publish_to("b", "second", MessageDeduplicationId="x") == first
    assert await take_bodies(queue) == ["first"]


async def test_a_topic_with_scope_message_group_deduplicates_within_each(
    sns: SnsClient, sqs: Client
) -> None:
    topic = await new_topic(sns, "groups.fifo", FifoThroughputScope="MessageGroup")
    queue = await topic.queue(sqs, "jobs", RawMessageDelivery="true")
    first = await topic.publish_to("a", "a1", MessageDeduplicationId="x")
    await topic.publish_to("b", "b1", MessageDeduplicationId="x")
    assert await topic.publish_to("a", "a2", MessageDeduplicationId="x") == first
    assert sorted(await take_bodies(queue)) == ["a1", "b1"]


async def test_the_scope_can_be_changed(topic: Topic, sqs: Client) -> None:
    queue = await topic.queue(sqs, "jobs", RawMessageDelivery="true")
    await topic.set("FifoThroughputScope", "MessageGroup")
    await topic.publish_to("a", "a1", MessageDeduplicationId="x")
    await topic.publish_to("b", "b1", MessageDeduplicationId="x")
    await topic.set("FifoThroughputScope", "Topic")
    await topic.publish_to("a", "a2", MessageDeduplicationId="y")
    await topic.publish_to("b", "b2", MessageDeduplicationId="y")
    assert sorted(await take_bodies(queue)) == ["a1", "a2", "b1"]


async def test_topics_do_not_share_ids(sns: SnsClient, sqs: Client) -> None:
    queue = await sqs.queue()
    for name in ("a.fifo", "b.fifo"):
        topic = await new_topic(sns, name)
        await topic.subscribe(queue, RawMessageDelivery="true")
        await topic.publish_to("g", name, MessageDeduplicationId="x")
    assert sorted(await take_bodies(queue)) == ["a.fifo", "b.fifo"]


async def test_an_id_is_taken_even_if_nobody_got_the_message(topic: Topic, sqs: Client) -> None:
    queue = await sqs.queue()
    await topic.subscribe(queue, RawMessageDelivery="true", FilterPolicy='{"wanted":["yes"]}')
    first = await topic.publish_to("g", "filtered out", MessageDeduplicationId="x")
    attributes = {"wanted": {"DataType": "String", "StringValue": "yes"}}
    again = await topic.publish_to(
        "g", "wanted", MessageDeduplicationId="x", MessageAttributes=attributes
    )
    assert again == first
    assert await take_bodies(queue) == []


async def test_a_refused_message_takes_no_id(topic: Topic, sqs: Client) -> None:
    queue = await topic.queue(sqs, "jobs.fifo", RawMessageDelivery="true")
    await sns_refusal(topic.publish_to("g", "x" * 262_145, MessageDeduplicationId="x"))
    await topic.publish_to("g", "hello", MessageDeduplicationId="x")
    assert await take_bodies(queue) == ["hello"]


async def test_a_queue_without_content_based_deduplication_needs_none(
    content_based: Topic, sqs: Client
) -> None:
    queue = await sqs.queue("jobs.fifo", ContentBasedDeduplication="false")
    await content_based.subscribe(queue)
    await content_based.publish("hello", MessageGroupId="g")
    await content_based.publish("hello", MessageGroupId="g")
    assert await take_messages(queue) == ["hello"]


async def test_content_based_deduplication_can_be_switched(topic: Topic) -> None:
    await topic.set("ContentBasedDeduplication", "true")
    first = await topic.publish("hello", MessageGroupId="g")
    assert await topic.publish("hello", MessageGroupId="g") == first
    await topic.set("ContentBasedDeduplication", "false")
    code, _ = await sns_refusal(topic.publish("hello", MessageGroupId="g"))
    assert code == "InvalidParameter"


async def test_a_new_topic_of_the_same_name_has_no_memory(topic: Topic, sqs: Client) -> None:
    first = await topic.publish_to("g", "hello")
    await topic.call("DeleteTopic")
    await new_topic(topic.sns, "news.fifo")
    queue = await topic.queue(sqs, "jobs.fifo", RawMessageDelivery="true")
    second = await topic.publish_to("g", "hello")
    assert second["MessageId"] != first["MessageId"]
    assert await take_bodies(queue) == ["hello"]


# --- who may subscribe --------------------------------------------------------------------------


@MEMORY_ONLY
@pytest.mark.parametrize(
    ("protocol", "endpoint"),
    [
        ("lambda", f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:f"),
        ("http", "http://127.0.0.1/"),
        ("https", "https://127.0.0.1/"),
        ("email", "a@example.com"),
        ("email-json", "a@example.com"),
        ("sms", "+4915112345678"),
        ("firehose", f"arn:aws:firehose:{REGION}:{ACCOUNT}:deliverystream/s"),
    ],
)
async def test_only_queues_can_subscribe(topic: Topic, protocol: str, endpoint: str) -> None:
    assert await sns_refusal(topic.subscribe_arn(endpoint, protocol)) == (
        "InvalidParameter",
        f"Invalid parameter: Invalid protocol type: {protocol}",
    )


@MEMORY_ONLY
async def test_100_queues_can_subscribe(topic: Topic) -> None:
    arn = f"arn:aws:sqs:{REGION}:{ACCOUNT}:jobs"
    for number in range(100):
        await topic.subscribe_arn(f"{arn}-{number}")
    code, _ = await sns_refusal(topic.subscribe_arn(f"{arn}-100"))
    assert code == "SubscriptionLimitExceeded"
    await topic.subscribe_arn(f"{arn}-99")  # is there already


@MEMORY_ONLY
async def test_tracing_is_for_standard_topics(sns: SnsClient) -> None:
    code, _ = await sns_refusal(new_topic(sns, "traced.fifo", TracingConfig="Active"))
    assert code == "InvalidParameter"
