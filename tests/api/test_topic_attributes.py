"""The attributes of topics (SNS reference, 3.1)."""

import asyncio
import json
from typing import Any

import pytest

from broker import limits
from tests.api.sns_calls import (
    MAIL,
    OTHER_ACCOUNT,
    invalid,
    set_topic,
    subscribe,
    subscriptions_of,
    topic_attributes,
)
from tests.support.server import ACCOUNT, MEMORY_ONLY
from tests.support.sns import SnsClient, sns_refusal

ALWAYS = {
    "TopicArn",
    "Owner",
    "DisplayName",
    "Policy",
    "SubscriptionsConfirmed",
    "SubscriptionsPending",
    "SubscriptionsDeleted",
    "EffectiveDeliveryPolicy",
}
OF_FIFO_TOPICS = {"FifoTopic", "ContentBasedDeduplication"}
DEFAULT_POLICY = (
    '{"Version":"2008-10-17","Id":"__default_policy_ID","Statement":[{"Sid":'
    '"__default_statement_ID","Effect":"Allow","Principal":{"AWS":"*"},"Action":['
    '"SNS:GetTopicAttributes","SNS:SetTopicAttributes","SNS:AddPermission","SNS:RemovePermission",'
    '"SNS:DeleteTopic","SNS:Subscribe","SNS:ListSubscriptionsByTopic","SNS:Publish"],"Resource":'
    '"%s","Condition":{"StringEquals":{"AWS:SourceOwner":"%s"}}}]}'
)
DEFAULT_RETRIES = {
    "minDelayTarget": 20,
    "maxDelayTarget": 20,
    "numRetries": 3,
    "numMaxDelayRetries": 0,
    "numNoDelayRetries": 0,
    "numMinDelayRetries": 0,
    "backoffFunction": "linear",
}
DEFAULT_DELIVERY = {
    "http": {
        "defaultHealthyRetryPolicy": DEFAULT_RETRIES,
        "disableSubscriptionOverrides": False,
        "defaultRequestPolicy": {"headerContentType": "text/plain; charset=UTF-8"},
    }
}
ROLE = "arn:aws:iam::000000000000:role/feedback"
ARCHIVE = '{"MessageRetentionPeriod":"30"}'
FEEDBACK = ("HTTP", "SQS", "Lambda", "Firehose", "Application")
#: of standard and FIFO topics, with a value each takes
SETTABLE = [
    ("DisplayName", "Ünited news"),
    ("DisplayName", "d" * 100),
    ("SignatureVersion", "1"),
    ("SignatureVersion", "2"),
    ("KmsMasterKeyId", "alias/aws/sns"),
    ("MaximumMessageSize", "1024"),
    ("MaximumMessageSize", "1048576"),
    *((f"{protocol}SuccessFeedbackRoleArn", ROLE) for protocol in FEEDBACK),
    *((f"{protocol}FailureFeedbackRoleArn", ROLE) for protocol in FEEDBACK),
    *((f"{protocol}SuccessFeedbackSampleRate", "0") for protocol in FEEDBACK),
    ("HTTPSuccessFeedbackSampleRate", "100"),
]
SETTABLE_OF_STANDARD = [("TracingConfig", "PassThrough"), ("TracingConfig", "Active")]
SETTABLE_OF_FIFO = [
    ("ContentBasedDeduplication", "true"),
    ("FifoThroughputScope", "Topic"),
    ("FifoThroughputScope", "MessageGroup"),
    ("ArchivePolicy", ARCHIVE),
]


@pytest.fixture
async def topic(sns: SnsClient) -> str:
    """The ARN of a standard topic with default attributes."""
    return await sns.topic()


@pytest.fixture
async def fifo_topic(sns: SnsClient) -> str:
    """The ARN of a FIFO topic with default attributes."""
    return await sns.topic("news.fifo")


# --- what is told -------------------------------------------------------------------------------


async def test_a_standard_topic_tells_eight_attributes(sns: SnsClient, topic: str) -> None:
    attributes = await topic_attributes(sns, topic)
    assert attributes.keys() == ALWAYS
    assert attributes["TopicArn"] == topic
    assert attributes["Owner"] == ACCOUNT
    assert attributes["DisplayName"] == ""
    for state in ("Confirmed", "Pending", "Deleted"):
        assert attributes[f"Subscriptions{state}"] == "0"


async def test_a_fifo_topic_tells_two_more(sns: SnsClient, fifo_topic: str) -> None:
    attributes = await topic_attributes(sns, fifo_topic)
    assert attributes.keys() == ALWAYS | OF_FIFO_TOPICS
    assert attributes["FifoTopic"] == "true"
    assert attributes["ContentBasedDeduplication"] == "false"
    assert json.loads(attributes["EffectiveDeliveryPolicy"]) == DEFAULT_DELIVERY


async def test_that_a_topic_is_not_fifo_is_not_told(sns: SnsClient) -> None:
    arn = await sns.topic(FifoTopic="false")
    assert (await topic_attributes(sns, arn)).keys() == ALWAYS


@MEMORY_ONLY
@pytest.mark.parametrize("region", ["us-east-1", "cn-north-1", "us-gov-west-1"])
async def test_the_default_policy_is_that_of_aws(sns: SnsClient, region: str) -> None:
    theirs = sns.but(region=region, account=OTHER_ACCOUNT)
    arn = await theirs.topic()
    policy = (await topic_attributes(theirs, arn))["Policy"]
    assert policy == DEFAULT_POLICY % (arn, OTHER_ACCOUNT)


async def test_subscriptions_are_counted_by_state(sns: SnsClient, topic: str) -> None:
    await subscribe(sns, topic)
    await subscribe(sns, topic, "email", MAIL)
    for number in ("+4915112345678", "+4915112345679"):
        arn = await subscribe(sns, topic, "sms", number)
        await sns.call("Unsubscribe", SubscriptionArn=arn)
    attributes = await topic_attributes(sns, topic)
    assert attributes["SubscriptionsConfirmed"] == "1"
    assert attributes["SubscriptionsPending"] == "1"
    assert attributes["SubscriptionsDeleted"] == "2"


# --- setting ------------------------------------------------------------------------------------


@MEMORY_ONLY
@pytest.mark.parametrize(("name", "value"), [*SETTABLE, *SETTABLE_OF_STANDARD])
async def test_a_standard_topics_attribute_is_told_once_it_is_set(
    sns: SnsClient, topic: str, name: str, value: str
) -> None:
    before = await topic_attributes(sns, topic)
    assert await set_topic(sns, topic, name, value) == {}
    assert await topic_attributes(sns, topic) == {**before, name: value}
    created = await sns.topic("other", **{name: value})
    assert (await topic_attributes(sns, created))[name] == value


@MEMORY_ONLY
@pytest.mark.parametrize(("name", "value"), [*SETTABLE, *SETTABLE_OF_FIFO])
async def test_a_fifo_topics_attribute_is_told_once_it_is_set(
    sns: SnsClient, fifo_topic: str, name: str, value: str
) -> None:
    await set_topic(sns, fifo_topic, name, value)
    assert (await topic_attributes(sns, fifo_topic))[name] == value
    created = await sns.topic("other.fifo", **{name: value})
    assert (await topic_attributes(sns, created))[name] == value


async def test_attributes_are_set_one_by_one(sns: SnsClient, topic: str) -> None:
    await set_topic(sns, topic, "DisplayName", "News")
    await set_topic(sns, topic, "SignatureVersion", "2")
    await set_topic(sns, topic, "DisplayName", "")
    attributes = await topic_attributes(sns, topic)
    assert (attributes["DisplayName"], attributes["SignatureVersion"]) == ("", "2")


async def test_changes_at_once_are_all_made(sns: SnsClient, topic: str) -> None:
    names = [f"{protocol}SuccessFeedbackRoleArn" for protocol in FEEDBACK]
    await asyncio.gather(
        *(set_topic(sns, topic, name, ROLE) for name in names),
        *(
            sns.call("TagResource", ResourceArn=topic, Tags=[{"Key": name, "Value": ""}])
            for name in names
        ),
        *(
            sns.call(
                "AddPermission",
                TopicArn=topic,
                Label=name,
                AWSAccountId=[OTHER_ACCOUNT],
                ActionName=["Publish"],
            )
            for name in names
        ),
    )
    attributes = await topic_attributes(sns, topic)
    tags = (await sns.call("ListTagsForResource", ResourceArn=topic))["Tags"]
    assert attributes.keys() == ALWAYS | set(names)
    assert {tag["Key"] for tag in tags} == set(names)
    labels = [each["Sid"] for each in json.loads(attributes["Policy"])["Statement"]]
    assert sorted(labels) == sorted(["__default_statement_ID", *names])


async def test_the_throughput_scope_is_set_both_ways(sns: SnsClient, fifo_topic: str) -> None:
    for scope in ("MessageGroup", "Topic", "MessageGroup"):
        await set_topic(sns, fifo_topic, "FifoThroughputScope", scope)
        assert (await topic_attributes(sns, fifo_topic))["FifoThroughputScope"] == scope


async def test_an_empty_key_disables_encryption(sns: SnsClient, topic: str) -> None:
    await set_topic(sns, topic, "KmsMasterKeyId", "alias/key")
    await set_topic(sns, topic, "KmsMasterKeyId", "")
    assert "KmsMasterKeyId" not in await topic_attributes(sns, topic)


@MEMORY_ONLY
@pytest.mark.parametrize(
    "name",
    [
        "FifoTopic",
        "Owner",
        "TopicArn",
        "SubscriptionsConfirmed",
        "SubscriptionsPending",
        "SubscriptionsDeleted",
        "EffectiveDeliveryPolicy",
        "BeginningArchiveTime",
        "DataProtectionPolicy",
        "displayName",
        "Wrong",
        "",
    ],
)
async def test_unknown_and_read_only_attributes_cannot_be_set(sns: SnsClient, name: str) -> None:
    for topic in (await sns.topic(), await sns.topic("news.fifo")):
        before = await topic_attributes(sns, topic)
        call = set_topic(sns, topic, name, "true")
        assert await sns_refusal(call) == invalid("AttributeName")
        assert await topic_attributes(sns, topic) == before


@MEMORY_ONLY
@pytest.mark.parametrize("name", ["Wrong", "Owner", "displayName", "EffectiveDeliveryPolicy"])
async def test_a_topic_with_an_unknown_attribute_is_not_created(sns: SnsClient, name: str) -> None:
    call = sns.topic("news", **{"DisplayName": "News", name: "x"})
    assert await sns_refusal(call) == invalid(f"Attributes Reason: Unknown attribute {name}")
    assert (await sns.call("ListTopics"))["Topics"] == []


@MEMORY_ONLY
@pytest.mark.parametrize(
    ("topic_name", "name", "value"),
    [
        ("news", "DisplayName", "d" * 101),
        ("news", "SignatureVersion", "3"),
        ("news", "TracingConfig", "Sometimes"),
        ("news", "MaximumMessageSize", "1023"),
        ("news", "MaximumMessageSize", "1048577"),
        ("news", "MaximumMessageSize", "much"),
        ("news", "SQSSuccessFeedbackSampleRate", "101"),
        ("news", "SQSSuccessFeedbackSampleRate", "-1"),
        ("news", "ContentBasedDeduplication", "true"),
        ("news", "FifoThroughputScope", "Topic"),
        ("news", "ArchivePolicy", ARCHIVE),
        ("news.fifo", "ContentBasedDeduplication", "maybe"),
        ("news.fifo", "FifoThroughputScope", "Queue"),
        ("news.fifo", "TracingConfig", "Active"),
        ("news.fifo", "ArchivePolicy", ""),
        ("news.fifo", "ArchivePolicy", "30"),
        ("news.fifo", "ArchivePolicy", "days"),
        ("news.fifo", "ArchivePolicy", '{"MessageRetentionPeriod":"0"}'),
        ("news.fifo", "ArchivePolicy", '{"MessageRetentionPeriod":"366"}'),
    ],
)
async def test_a_wrong_value_is_refused_and_nothing_set(
    sns: SnsClient, topic_name: str, name: str, value: str
) -> None:
    topic = await sns.topic(topic_name)
    before = await topic_attributes(sns, topic)
    code, text = await sns_refusal(set_topic(sns, topic, name, value))
    assert code == "InvalidParameter"
    assert await topic_attributes(sns, topic) == before
    created = await sns_refusal(sns.topic(f"other-{topic_name}", **{name: value}))
    detail = text.removeprefix("Invalid parameter: ")
    assert detail != text
    assert created == invalid(f"Attributes Reason: {detail}")
    assert len((await sns.call("ListTopics"))["Topics"]) == 1


@MEMORY_ONLY
async def test_what_is_missing_is_told(sns: SnsClient, topic: str) -> None:
    call = sns.call("SetTopicAttributes", TopicArn=topic, AttributeValue="x")
    missing = invalid("AttributeName Reason: no value for required parameter")
    assert await sns_refusal(call) == missing


async def test_an_attribute_without_a_value_is_unset(sns: SnsClient, topic: str) -> None:
    before = await topic_attributes(sns, topic)
    await set_topic(sns, topic, "KmsMasterKeyId", "alias/key")
    await sns.call("SetTopicAttributes", TopicArn=topic, AttributeName="KmsMasterKeyId")
    assert await topic_attributes(sns, topic) == before


async def test_an_archive_begins_when_it_is_switched_on(sns: SnsClient, fifo_topic: str) -> None:
    await set_topic(sns, fifo_topic, "ArchivePolicy", ARCHIVE)
    attributes = await topic_attributes(sns, fifo_topic)
    assert attributes["ArchivePolicy"] == ARCHIVE
    assert attributes["BeginningArchiveTime"] == "2026-01-01T00:00:00.000Z"
    await set_topic(sns, fifo_topic, "ArchivePolicy", "{}")
    after = await topic_attributes(sns, fifo_topic)
    assert after.keys() == ALWAYS | OF_FIFO_TOPICS


# --- large messages -----------------------------------------------------------------------------

LARGE = str(limits.PUBLISH_BYTES_MAX + 1)


async def test_large_messages_go_to_queues_functions_and_streams(
    sns: SnsClient, topic: str
) -> None:
    await set_topic(sns, topic, "MaximumMessageSize", LARGE)
    await subscribe(sns, topic)
    await subscribe(sns, topic, "lambda", f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:f")
    await subscribe(
        sns,
        topic,
        "firehose",
        f"arn:aws:firehose:us-east-1:{ACCOUNT}:deliverystream/d",
        SubscriptionRoleArn=ROLE,
    )
    for protocol, endpoint in (("email", MAIL), ("sms", "+4915112345678")):
        code, _ = await sns_refusal(subscribe(sns, topic, protocol, endpoint))
        assert code == "InvalidParameter"
    assert len(await subscriptions_of(sns, topic)) == 3
    await set_topic(sns, topic, "MaximumMessageSize", str(limits.PUBLISH_BYTES_MAX))
    await subscribe(sns, topic, "email", MAIL)


async def test_messages_grow_large_only_where_all_can_take_them(sns: SnsClient, topic: str) -> None:
    await subscribe(sns, topic)
    mail = await subscribe(sns, topic, "email", MAIL)
    code, _ = await sns_refusal(set_topic(sns, topic, "MaximumMessageSize", LARGE))
    assert code == "InvalidParameter"
    assert "MaximumMessageSize" not in await topic_attributes(sns, topic)
    await sns.call("Unsubscribe", SubscriptionArn=mail)
    await set_topic(sns, topic, "MaximumMessageSize", LARGE)


async def test_large_messages_go_to_100_subscriptions(sns: SnsClient, topic: str) -> None:
    queues = [f"arn:aws:sqs:us-east-1:{ACCOUNT}:q{n}" for n in range(101)]
    for queue in queues:
        last = await subscribe(sns, topic, "sqs", queue)
    code, _ = await sns_refusal(set_topic(sns, topic, "MaximumMessageSize", LARGE))
    assert code == "InvalidParameter"
    await sns.call("Unsubscribe", SubscriptionArn=last)
    await set_topic(sns, topic, "MaximumMessageSize", LARGE)
    code, _ = await sns_refusal(subscribe(sns, topic, "sqs", queues[100]))
    assert code == "SubscriptionLimitExceeded"
    assert await subscribe(sns, topic, "sqs", queues[0])


# --- delivery policies --------------------------------------------------------------------------


async def set_policy(sns: SnsClient, topic: str, policy: Any) -> None:
    await set_topic(sns, topic, "DeliveryPolicy", policy and json.dumps(policy))


async def policies(sns: SnsClient, topic: str) -> tuple[Any, Any]:
    """A topic's own policy and the effective one."""
    attributes = await topic_attributes(sns, topic)
    own = attributes.get("DeliveryPolicy")
    return own and json.loads(own), json.loads(attributes["EffectiveDeliveryPolicy"])


@pytest.mark.parametrize(
    ("given", "stored", "effective"),
    [
        (
            {"defaultHealthyRetryPolicy": {"minDelayTarget": 5, "maxDelayTarget": 6}},
            {
                "defaultHealthyRetryPolicy": {"minDelayTarget": 5, "maxDelayTarget": 6},
                "disableSubscriptionOverrides": False,
            },
            {
                "defaultHealthyRetryPolicy": {
                    **DEFAULT_RETRIES,
                    "minDelayTarget": 5,
                    "maxDelayTarget": 6,
                },
            },
        ),
        (
            {"defaultHealthyRetryPolicy": {"numRetries": 9, "backoffFunction": None}},
            {
                "defaultHealthyRetryPolicy": {"numRetries": 9},
                "disableSubscriptionOverrides": False,
            },
            {"defaultHealthyRetryPolicy": {**DEFAULT_RETRIES, "numRetries": 9}},
        ),
        (
            {"defaultHealthyRetryPolicy": None},
            {"disableSubscriptionOverrides": False},
            {},
        ),
        (
            {"disableSubscriptionOverrides": True},
            {"disableSubscriptionOverrides": True},
            {"disableSubscriptionOverrides": True},
        ),
        (
            {"defaultRequestPolicy": {"headerContentType": "application/json"}},
            {
                "disableSubscriptionOverrides": False,
                "defaultRequestPolicy": {"headerContentType": "application/json"},
            },
            {"defaultRequestPolicy": {"headerContentType": "application/json"}},
        ),
        (
            {"defaultThrottlePolicy": {"maxReceivesPerSecond": 5}},
            {
                "disableSubscriptionOverrides": False,
                "defaultThrottlePolicy": {"maxReceivesPerSecond": 5},
            },
            {"defaultThrottlePolicy": {"maxReceivesPerSecond": 5}},
        ),
    ],
)
async def test_a_delivery_policy_is_kept_as_given_and_effective_over_the_defaults(
    sns: SnsClient, topic: str, given: Any, stored: Any, effective: Any
) -> None:
    await set_policy(sns, topic, {"http": given})
    expected = ({"http": stored}, {"http": {**DEFAULT_DELIVERY["http"], **effective}})
    assert await policies(sns, topic) == expected
    created = await sns.topic("other", DeliveryPolicy=json.dumps({"http": given}))
    assert await policies(sns, created) == expected


async def test_a_delivery_policy_replaces_the_one_before(sns: SnsClient, topic: str) -> None:
    content_type = {"headerContentType": "application/json"}
    await set_policy(sns, topic, {"http": {"defaultRequestPolicy": content_type}})
    await set_policy(sns, topic, {"http": {"defaultHealthyRetryPolicy": {"numRetries": 1}}})
    own, effective = await policies(sns, topic)
    assert "defaultRequestPolicy" not in own["http"]
    assert effective["http"] == {
        **DEFAULT_DELIVERY["http"],
        "defaultHealthyRetryPolicy": {**DEFAULT_RETRIES, "numRetries": 1},
    }


async def test_an_empty_delivery_policy_removes_it(sns: SnsClient, topic: str) -> None:
    assert await policies(sns, topic) == (None, DEFAULT_DELIVERY)
    await set_policy(sns, topic, {"http": {"defaultHealthyRetryPolicy": {"numRetries": 1}}})
    await set_policy(sns, topic, "")
    assert await policies(sns, topic) == (None, DEFAULT_DELIVERY)


@MEMORY_ONLY
async def test_a_bad_delivery_policy_is_refused(sns: SnsClient, topic: str) -> None:
    bad = {"http": {"defaultHealthyRetryPolicy": {"minDelayTarget": "5"}}}
    detail = (
        "DeliveryPolicy: http.defaultHealthyRetryPolicy.minDelayTarget type mismatch, expecting"
        " integer, received a string"
    )
    assert await sns_refusal(set_policy(sns, topic, bad)) == invalid(detail)
    assert await policies(sns, topic) == (None, DEFAULT_DELIVERY)
    created = sns.topic("other", DeliveryPolicy=json.dumps(bad))
    assert await sns_refusal(created) == invalid(f"Attributes Reason: {detail}")
