"""Topics: their names and ARNs, creating them again, deleting them (SNS reference, 1.7 and 2.1)."""

import asyncio
from typing import Any

import pytest

from broker import limits
from tests.api.sns_calls import (
    NO_TOPIC,
    OTHER_ACCOUNT,
    OTHER_REGION,
    QUEUE,
    TOPIC,
    invalid,
    set_topic,
    subscribe,
    subscription_attributes,
    subscriptions_of,
    too_short,
    topic_attributes,
    until_removed,
)
from tests.support.clock import FakeClock
from tests.support.server import ACCOUNT, MEMORY_ONLY, REGION
from tests.support.sns import SnsClient, sns_refusal

BAD_NAME = invalid("Topic Name")
OTHER_ATTRIBUTES = invalid("Attributes Reason: Topic already exists with different attributes")
OTHER_TAGS = invalid("Tags Reason: Topic already exists with different tags")
ARCHIVE = '{"MessageRetentionPeriod":"30"}'
#: the operations on one topic, with what they need beside its ARN
OF_A_TOPIC: list[tuple[str, dict[str, Any]]] = [
    ("AddPermission", {"Label": "a", "AWSAccountId": [ACCOUNT], "ActionName": ["Publish"]}),
    ("DeleteTopic", {}),
    ("GetTopicAttributes", {}),
    ("ListSubscriptionsByTopic", {}),
    ("RemovePermission", {"Label": "a"}),
    ("SetTopicAttributes", {"AttributeName": "DisplayName", "AttributeValue": "x"}),
    ("Subscribe", {"Protocol": "sqs", "Endpoint": QUEUE}),
]
of_a_topic = pytest.mark.parametrize(
    ("operation", "members"), OF_A_TOPIC, ids=[each for each, _ in OF_A_TOPIC]
)


async def create(
    sns: SnsClient,
    attributes: dict[str, str] | None = None,
    tags: dict[str, str] | None = None,
    name: str = "news",
) -> str:
    members = {} if tags is None else {"Tags": [{"Key": k, "Value": v} for k, v in tags.items()]}
    answer = await sns.call("CreateTopic", Name=name, Attributes=attributes or {}, **members)
    arn: str = answer["TopicArn"]
    return arn


async def tags_of(sns: SnsClient, arn: str) -> dict[str, str]:
    listed = await sns.call("ListTagsForResource", ResourceArn=arn)
    return {tag["Key"]: tag["Value"] for tag in listed["Tags"]}


async def topics(sns: SnsClient) -> list[str]:
    return [each["TopicArn"] for each in (await sns.call("ListTopics"))["Topics"]]


# --- names --------------------------------------------------------------------------------------


async def test_an_arn_tells_partition_region_account_and_name(sns: SnsClient) -> None:
    assert await create(sns) == TOPIC
    for region, partition in (
        ("eu-west-1", "aws"),
        ("cn-north-1", "aws-cn"),
        ("us-gov-west-1", "aws-us-gov"),
    ):
        created = await create(sns.but(account=OTHER_ACCOUNT, region=region))
        assert created == f"arn:{partition}:sns:{region}:{OTHER_ACCOUNT}:news"


@MEMORY_ONLY
@pytest.mark.parametrize(
    ("name", "attributes"),
    [
        ("a", {}),
        ("Az09_-", {}),
        ("a" * 256, {}),
        ("a" * 251 + ".fifo", {"FifoTopic": "true"}),
    ],
)
async def test_a_name_has_up_to_256_letters_digits_underscores_and_hyphens(
    sns: SnsClient, name: str, attributes: dict[str, str]
) -> None:
    assert await create(sns, attributes, name=name) == f"arn:aws:sns:{REGION}:{ACCOUNT}:{name}"


@MEMORY_ONLY
@pytest.mark.parametrize("attributes", [{}, {"FifoTopic": "true"}, {"FifoTopic": "false"}])
@pytest.mark.parametrize(
    "name",
    ["", "a" * 257, *(f"a{each}b" for each in ":;!@|^% .\n"), "é", "a\n", "a" * 252 + ".FIFO"],
)
async def test_a_bad_name_is_refused(sns: SnsClient, name: str, attributes: dict[str, str]) -> None:
    suffix = ".fifo" if attributes == {"FifoTopic": "true"} and name else ""
    assert await sns_refusal(create(sns, attributes, name=name + suffix)) == BAD_NAME
    assert await topics(sns) == []


@MEMORY_ONLY
@pytest.mark.parametrize(
    ("name", "attributes"),
    [
        ("news.fifo", {}),
        ("news.fifo", {"FifoTopic": "false"}),
        ("news.fifo", {"ContentBasedDeduplication": "true"}),
        ("news", {"FifoTopic": "true"}),
        ("a" * 252 + ".fifo", {"FifoTopic": "true"}),
        (".fifo", {"FifoTopic": "true"}),
    ],
)
async def test_fifo_topics_and_no_others_end_in_fifo(
    sns: SnsClient, name: str, attributes: dict[str, str]
) -> None:
    assert await sns_refusal(create(sns, attributes, name=name)) == BAD_NAME
    assert await topics(sns) == []


async def test_the_name_is_checked_before_whether_there_is_such_a_topic(sns: SnsClient) -> None:
    await create(sns)
    assert await sns_refusal(create(sns, {"FifoTopic": "true"})) == BAD_NAME
    await sns.topic("news.fifo")
    assert await sns_refusal(create(sns, name="news.fifo")) == BAD_NAME


# --- creating again -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "attributes",
    [
        {},
        {"DisplayName": "News"},
        {"DisplayName": "News", "SignatureVersion": "2"},
        {"FifoTopic": "false"},
    ],
)
async def test_a_topic_is_returned_if_its_attributes_are_as_asked_for(
    sns: SnsClient, attributes: dict[str, str]
) -> None:
    arn = await create(sns, {"DisplayName": "News", "SignatureVersion": "2"})
    before = await topic_attributes(sns, arn)
    assert await create(sns, attributes) == arn
    assert await topic_attributes(sns, arn) == before


@pytest.mark.parametrize(
    "attributes",
    [
        {"DisplayName": "Other"},
        {"DisplayName": ""},
        {"SignatureVersion": "2"},
        {"SignatureVersion": "1"},
        {"TracingConfig": "PassThrough"},
        {"DisplayName": "News", "SignatureVersion": "2"},
        {"DisplayName": "News", "KmsMasterKeyId": ""},
        {"DeliveryPolicy": ""},
    ],
)
async def test_a_topic_with_other_attributes_is_refused_and_stays_as_it_is(
    sns: SnsClient, attributes: dict[str, str]
) -> None:
    arn = await create(
        sns,
        {
            "DisplayName": "News",
            "KmsMasterKeyId": "alias/key",
            "DeliveryPolicy": '{"http":{"defaultThrottlePolicy":{"maxReceivesPerSecond":5}}}',
        },
    )
    before = await topic_attributes(sns, arn)
    assert await sns_refusal(create(sns, attributes)) == OTHER_ATTRIBUTES
    assert await topic_attributes(sns, arn) == before


async def test_a_fifo_topic_is_returned_if_it_is_as_asked_for(sns: SnsClient) -> None:
    fifo = {"FifoTopic": "true", "ContentBasedDeduplication": "true"}
    arn = await create(sns, fifo, name="news.fifo")
    assert await create(sns, fifo, name="news.fifo") == arn
    assert await create(sns, {"FifoTopic": "true"}, name="news.fifo") == arn
    for name, value in (("ContentBasedDeduplication", "false"), ("FifoThroughputScope", "Topic")):
        call = create(sns, {"FifoTopic": "true", name: value}, name="news.fifo")
        assert await sns_refusal(call) == OTHER_ATTRIBUTES


async def test_creating_a_topic_again_leaves_what_was_set_since(sns: SnsClient) -> None:
    arn = await create(sns, {"DisplayName": "News"})
    await set_topic(sns, arn, "DisplayName", "Old news")
    assert await create(sns) == arn
    assert (await topic_attributes(sns, arn))["DisplayName"] == "Old news"
    assert await create(sns, {"DisplayName": "Old news"}) == arn
    assert await sns_refusal(create(sns, {"DisplayName": "News"})) == OTHER_ATTRIBUTES


@pytest.mark.parametrize("tags", [None, {}, {"a": "1"}, {"b": "2", "a": "1"}])
async def test_a_topic_is_returned_if_it_has_the_tags_asked_for(
    sns: SnsClient, tags: dict[str, str] | None
) -> None:
    arn = await create(sns, tags={"a": "1", "b": "2"})
    assert await create(sns, tags=tags) == arn
    assert await tags_of(sns, arn) == {"a": "1", "b": "2"}


@pytest.mark.parametrize("tags", [{"c": "3"}, {"a": "1", "c": "3"}, {"a": "2"}, {"A": "1"}])
async def test_a_topic_without_a_tag_asked_for_is_refused_and_stays_as_it_is(
    sns: SnsClient, tags: dict[str, str]
) -> None:
    arn = await create(sns, tags={"a": "1", "b": "2"})
    assert await sns_refusal(create(sns, tags=tags)) == OTHER_TAGS
    assert await tags_of(sns, arn) == {"a": "1", "b": "2"}


async def test_tags_count_as_they_are_now(sns: SnsClient) -> None:
    arn = await create(sns)
    await sns.call("TagResource", ResourceArn=arn, Tags=[{"Key": "a", "Value": "1"}])
    assert await create(sns, tags={"a": "1"}) == arn
    await sns.call("UntagResource", ResourceArn=arn, TagKeys=["a"])
    assert await sns_refusal(create(sns, tags={"a": "1"})) == OTHER_TAGS


async def test_creations_at_once_make_one_topic(sns: SnsClient) -> None:
    asked = [create(sns, {"DisplayName": str(n % 2)}) for n in range(6)]
    answers = await asyncio.gather(*asked, return_exceptions=True)
    made = [each for each in answers if not isinstance(each, BaseException)]
    assert made == [TOPIC] * 3
    assert await topics(sns) == [TOPIC]


# --- limits -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("limit", "suffix", "other"), [("TOPICS_MAX", "", ".fifo"), ("FIFO_TOPICS_MAX", ".fifo", "")]
)
async def test_an_account_has_so_many_topics_in_a_region(
    sns: SnsClient, monkeypatch: pytest.MonkeyPatch, limit: str, suffix: str, other: str
) -> None:
    monkeypatch.setattr(limits, limit, 2)
    first = await sns.topic(f"a{suffix}")
    await sns.topic(f"b{suffix}")
    code, _ = await sns_refusal(sns.topic(f"c{suffix}"))
    assert code == "TopicLimitExceeded"
    assert await sns.topic(f"a{suffix}") == first
    await sns.topic(f"c{other}")
    await sns.but(region=OTHER_REGION).topic(f"c{suffix}")
    await sns.but(account=OTHER_ACCOUNT).topic(f"c{suffix}")
    await sns.call("DeleteTopic", TopicArn=first)
    await sns.topic(f"c{suffix}")


def test_the_limits_are_those_of_aws() -> None:
    assert (limits.TOPICS_MAX, limits.FIFO_TOPICS_MAX) == (100_000, 1_000)


# --- deleting -----------------------------------------------------------------------------------


async def test_a_deleted_topic_is_gone(sns: SnsClient) -> None:
    arn = await create(sns)
    assert await sns.call("DeleteTopic", TopicArn=arn) == {}
    assert await sns_refusal(topic_attributes(sns, arn)) == NO_TOPIC
    assert await topics(sns) == []


async def test_deleting_what_is_not_there_is_fine(sns: SnsClient) -> None:
    assert await sns.call("DeleteTopic", TopicArn=TOPIC) == {}
    await create(sns)
    for _ in range(2):
        assert await sns.call("DeleteTopic", TopicArn=TOPIC) == {}


async def test_a_new_topic_of_that_name_has_nothing_of_the_old(sns: SnsClient) -> None:
    arn = await create(sns, {"DisplayName": "News"}, {"a": "1"})
    subscription = await subscribe(sns, arn)
    await sns.call("Unsubscribe", SubscriptionArn=await subscribe(sns, arn, "sms", "+4915112345"))
    await sns.call(
        "PutDataProtectionPolicy",
        ResourceArn=arn,
        DataProtectionPolicy='{"Name":"n","Version":"2021-06-01","Statement":[{"DataDirection":'
        '"Inbound","DataIdentifier":[],"Operation":{"Deny":{}}}]}',
    )
    await sns.call("DeleteTopic", TopicArn=arn)
    assert await create(sns, tags={"b": "2"}) == arn
    attributes = await topic_attributes(sns, arn)
    assert attributes["DisplayName"] == ""
    for state in ("Confirmed", "Pending", "Deleted"):
        assert attributes[f"Subscriptions{state}"] == "0"
    assert await tags_of(sns, arn) == {"b": "2"}
    assert await subscriptions_of(sns, arn) == []
    assert await subscribe(sns, arn) != subscription
    protection = await sns.call("GetDataProtectionPolicy", ResourceArn=arn)
    assert not protection.get("DataProtectionPolicy")


async def test_subscriptions_of_a_deleted_topic_stay_readable_for_three_days(
    sns: SnsClient, clock: FakeClock
) -> None:
    arn = await create(sns)
    subscription = await subscribe(sns, arn, RawMessageDelivery="true")
    before = await subscription_attributes(sns, subscription)
    await sns.call("DeleteTopic", TopicArn=arn)
    assert await subscription_attributes(sns, subscription) == before
    assert await sns_refusal(subscriptions_of(sns, arn)) == NO_TOPIC
    await clock.advance(259_200_000 - 60_000, settle=1)
    assert await subscription_attributes(sns, subscription) == before
    await until_removed(sns, subscription, clock)


async def test_a_topic_with_an_archive_cannot_be_deleted(sns: SnsClient) -> None:
    arn = await sns.topic("news.fifo", ArchivePolicy=ARCHIVE)
    assert await sns_refusal(sns.call("DeleteTopic", TopicArn=arn)) == (
        "InvalidState",
        "Invalid state: Cannot delete a topic with an ArchivePolicy",
    )
    assert (await topic_attributes(sns, arn))["ArchivePolicy"] == ARCHIVE
    await set_topic(sns, arn, "ArchivePolicy", "{}")
    await sns.call("DeleteTopic", TopicArn=arn)
    assert await topics(sns) == []


# --- ARNs in requests ---------------------------------------------------------------------------


@MEMORY_ONLY
@of_a_topic
@pytest.mark.parametrize(
    ("arn", "parts"), [("", 1), ("news", 1), ("arn:aws:sns", 3), (TOPIC.rpartition(":")[0], 5)]
)
async def test_what_is_too_short_for_an_arn_is_refused(
    sns: SnsClient, operation: str, members: dict[str, Any], arn: str, parts: int
) -> None:
    refused = await sns_refusal(sns.call(operation, TopicArn=arn, **members))
    assert refused == too_short("TopicArn", parts)


@MEMORY_ONLY
@of_a_topic
async def test_a_topic_of_another_region_is_refused_whether_it_is_there_or_not(
    sns: SnsClient, operation: str, members: dict[str, Any]
) -> None:
    there = sns.but(region=OTHER_REGION)
    for arn in (TOPIC.replace(REGION, OTHER_REGION), await there.topic("theirs")):
        call = sns.call(operation, TopicArn=arn, **members)
        assert await sns_refusal(call) == invalid("TopicArn")
    assert len(await topics(there)) == 1


@MEMORY_ONLY
@of_a_topic
async def test_a_topic_that_is_not_there_is_not_found(
    sns: SnsClient, operation: str, members: dict[str, Any]
) -> None:
    await create(sns, name="other")
    await create(sns.but(account=OTHER_ACCOUNT))
    call = sns.call(operation, TopicArn=TOPIC, **members)
    if operation == "DeleteTopic":
        assert await call == {}
    else:
        assert await sns_refusal(call) == NO_TOPIC


@MEMORY_ONLY
@of_a_topic
async def test_a_missing_arn_is_told(
    sns: SnsClient, operation: str, members: dict[str, Any]
) -> None:
    refused = await sns_refusal(sns.call(operation, **members))
    assert refused == invalid("TopicArn Reason: no value for required parameter")


async def test_topics_are_of_one_account_and_region(sns: SnsClient) -> None:
    for place in ({"account": OTHER_ACCOUNT}, {"region": OTHER_REGION}):
        other = sns.but(**place)
        arn = await create(sns, {"DisplayName": "here"})
        theirs = await create(other, {"DisplayName": "there"})
        assert arn != theirs
        await other.call("DeleteTopic", TopicArn=theirs)
        assert (await topic_attributes(sns, arn))["DisplayName"] == "here"
        assert await topics(other) == []
