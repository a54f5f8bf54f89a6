"""The attributes of subscriptions (SNS reference, 3.2 and 7.4)."""

import asyncio
import json
from typing import Any

import pytest

from tests.api.sns_calls import (
    MAIL,
    NO_SUBSCRIPTION,
    QUEUE,
    TOPIC,
    UUID,
    invalid,
    set_subscription,
    set_topic,
    subscribe,
    subscription_attributes,
    subscriptions_of,
    too_short,
    topic_attributes,
)
from tests.support.server import ACCOUNT, MEMORY_ONLY, REGION
from tests.support.sns import SnsClient, sns_refusal

ALWAYS = {
    "SubscriptionArn",
    "TopicArn",
    "Owner",
    "Protocol",
    "Endpoint",
    "SubscriptionPrincipal",
    "PendingConfirmation",
    "ConfirmationWasAuthenticated",
    "RawMessageDelivery",
}
#: nobody listens there
WEB = "http://127.0.0.1:9/sns"
FIFO_QUEUE = f"{QUEUE}.fifo"
NESTED = '{"object": {"key": ["value"]}}'
NESTED_REFUSED = "Filter policy scope MessageAttributes does not support nested filter policy"


@pytest.fixture
async def topic(sns: SnsClient) -> str:
    """The ARN of a standard topic."""
    return await sns.topic()


@pytest.fixture
async def subscription(sns: SnsClient, topic: str) -> str:
    """The ARN of a queue's subscription with default attributes."""
    return await subscribe(sns, topic)


@pytest.fixture
async def web(sns: SnsClient, topic: str) -> str:
    """The ARN of a subscription by HTTP with default attributes."""
    return await subscribe(sns, topic, "http", WEB)


async def told(sns: SnsClient, arn: str, name: str) -> str | None:
    """One attribute; None if it is not told."""
    return (await subscription_attributes(sns, arn)).get(name)


# --- what is told -------------------------------------------------------------------------------


async def test_a_queues_subscription_tells_nine_attributes(
    sns: SnsClient, topic: str, subscription: str
) -> None:
    assert await subscription_attributes(sns, subscription) == {
        "SubscriptionArn": subscription,
        "TopicArn": topic,
        "Owner": ACCOUNT,
        "Protocol": "sqs",
        "Endpoint": QUEUE,
        "SubscriptionPrincipal": f"arn:aws:iam::{ACCOUNT}:root",
        "PendingConfirmation": "false",
        "ConfirmationWasAuthenticated": "true",
        "RawMessageDelivery": "false",
    }


@pytest.mark.parametrize(
    ("protocol", "endpoint", "more"),
    [
        ("lambda", f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:f", set()),
        ("sms", "+4915112345678", set()),
        ("email", MAIL, set()),
        ("http", WEB, {"EffectiveDeliveryPolicy"}),
        ("https", WEB.replace("http", "https", 1), {"EffectiveDeliveryPolicy"}),
    ],
)
async def test_only_http_tells_an_effective_delivery_policy(
    sns: SnsClient, topic: str, protocol: str, endpoint: str, more: set[str]
) -> None:
    arn = await subscribe(sns, topic, protocol, endpoint)
    assert (await subscription_attributes(sns, arn)).keys() == ALWAYS | more


@MEMORY_ONLY
@pytest.mark.parametrize(
    ("arn", "refused"),
    [
        (f"{TOPIC}:{UUID}", NO_SUBSCRIPTION),
        (f"{TOPIC}2:{UUID}", NO_SUBSCRIPTION),
        ("PendingConfirmation", too_short("SubscriptionArn", 1)),
        ("arn:aws:sns:us-east-1", too_short("SubscriptionArn", 4)),
    ],
)
async def test_what_is_not_subscribed_has_no_attributes(
    sns: SnsClient, topic: str, arn: str, refused: tuple[str, str]
) -> None:
    assert await sns_refusal(subscription_attributes(sns, arn)) == refused
    assert await sns_refusal(set_subscription(sns, arn, "Wrong", "x")) == refused


async def test_attributes_can_be_set_before_it_is_confirmed(sns: SnsClient, topic: str) -> None:
    arn = await subscribe(sns, topic, "email", MAIL)
    await set_subscription(sns, arn, "FilterPolicy", '{"key": ["value"]}')
    attributes = await subscription_attributes(sns, arn)
    assert attributes["PendingConfirmation"] == "true"
    assert attributes["FilterPolicy"] == '{"key": ["value"]}'


@MEMORY_ONLY
@pytest.mark.parametrize(
    "name", ["Wrong", "Owner", "rawMessageDelivery", "PendingConfirmation", ""]
)
async def test_unknown_and_read_only_attributes_are_refused(
    sns: SnsClient, topic: str, subscription: str, name: str
) -> None:
    before = await subscription_attributes(sns, subscription)
    call = set_subscription(sns, subscription, name, "true")
    assert await sns_refusal(call) == invalid("AttributeName")
    assert await subscription_attributes(sns, subscription) == before
    code, _ = await sns_refusal(subscribe(sns, topic, "email", MAIL, **{name: "true"}))
    assert code == "InvalidParameter"
    assert len(await subscriptions_of(sns, topic)) == 1


async def test_changes_at_once_are_all_made(sns: SnsClient, subscription: str) -> None:
    changes = {
        "RawMessageDelivery": "true",
        "FilterPolicy": '{"key": ["value"]}',
        "FilterPolicyScope": "MessageBody",
        "RedrivePolicy": redrive(deadLetterTargetArn=QUEUE),
    }
    await asyncio.gather(
        *(set_subscription(sns, subscription, name, value) for name, value in changes.items())
    )
    assert changes.items() <= (await subscription_attributes(sns, subscription)).items()


# --- raw delivery -------------------------------------------------------------------------------


@pytest.mark.parametrize("value", ["true", "True", "TrUe", "TRUE"])
async def test_raw_delivery_is_told_in_lower_case(
    sns: SnsClient, topic: str, subscription: str, value: str
) -> None:
    await set_subscription(sns, subscription, "RawMessageDelivery", value)
    assert await told(sns, subscription, "RawMessageDelivery") == "true"
    await set_subscription(sns, subscription, "RawMessageDelivery", "fAlse")
    assert await told(sns, subscription, "RawMessageDelivery") == "false"
    fresh = await subscribe(sns, topic, "sms", "+4915112345678", RawMessageDelivery=value)
    assert await told(sns, fresh, "RawMessageDelivery") == "true"


async def refused_alike(
    sns: SnsClient, topic: str, subscription: str, name: str, value: str
) -> str:
    """The end of the text with which both Subscribe and SetSubscriptionAttributes refuse a value.

    It is checked that they do, and that nothing changes.
    """
    before = await subscription_attributes(sns, subscription)
    code, text = await sns_refusal(set_subscription(sns, subscription, name, value))
    detail = text.removeprefix("Invalid parameter: ")
    assert (code, text) == invalid(detail)
    assert await subscription_attributes(sns, subscription) == before
    count = len(await subscriptions_of(sns, topic))
    other = f"{before['Endpoint']}-2.fifo" if topic.endswith(".fifo") else f"{QUEUE}-2"
    created = await sns_refusal(subscribe(sns, topic, "sqs", other, **{name: value}))
    assert created == invalid(f"Attributes Reason: {detail}")
    assert len(await subscriptions_of(sns, topic)) == count
    return detail


@MEMORY_ONLY
@pytest.mark.parametrize("value", ["test-ValUe", "", "1", "yes", " true"])
async def test_raw_delivery_is_true_or_false(
    sns: SnsClient, topic: str, subscription: str, value: str
) -> None:
    detail = await refused_alike(sns, topic, subscription, "RawMessageDelivery", value)
    assert detail == f"RawMessageDelivery: Invalid value [{value}]. Must be true or false."


# --- filter policies ----------------------------------------------------------------------------


async def test_a_filter_policy_is_told_as_given_with_its_scope(
    sns: SnsClient, topic: str, subscription: str
) -> None:
    text = '{ "key" : ["value", {"prefix": "v"}],\n "other": [1.50] }'
    await set_subscription(sns, subscription, "FilterPolicy", text)
    attributes = await subscription_attributes(sns, subscription)
    assert attributes.keys() == ALWAYS | {"FilterPolicy", "FilterPolicyScope"}
    assert attributes["FilterPolicy"] == text
    assert attributes["FilterPolicyScope"] == "MessageAttributes"
    fresh = await subscribe(
        sns, topic, "email", MAIL, FilterPolicy=NESTED, FilterPolicyScope="MessageBody"
    )
    assert await told(sns, fresh, "FilterPolicy") == NESTED
    assert await told(sns, fresh, "FilterPolicyScope") == "MessageBody"


@pytest.mark.parametrize("nothing", ["", "{}"])
async def test_an_empty_filter_policy_removes_it(
    sns: SnsClient, subscription: str, nothing: str
) -> None:
    await set_subscription(sns, subscription, "FilterPolicy", '{"key": ["value"]}')
    await set_subscription(sns, subscription, "FilterPolicy", nothing)
    assert (await subscription_attributes(sns, subscription)).keys() == ALWAYS


async def test_a_scope_is_remembered_but_not_told_without_a_policy(
    sns: SnsClient, subscription: str
) -> None:
    await set_subscription(sns, subscription, "FilterPolicyScope", "MessageBody")
    assert (await subscription_attributes(sns, subscription)).keys() == ALWAYS
    await set_subscription(sns, subscription, "FilterPolicy", NESTED)
    assert await told(sns, subscription, "FilterPolicyScope") == "MessageBody"


async def test_an_empty_policy_with_a_scope_is_accepted(sns: SnsClient, topic: str) -> None:
    arn = await subscribe(sns, topic, FilterPolicy="", FilterPolicyScope="MessageBody")
    assert (await subscription_attributes(sns, arn)).keys() == ALWAYS


@MEMORY_ONLY
@pytest.mark.parametrize("value", ["RandomValue", "", "messagebody"])
async def test_a_scope_is_one_of_two(
    sns: SnsClient, topic: str, subscription: str, value: str
) -> None:
    detail = await refused_alike(sns, topic, subscription, "FilterPolicyScope", value)
    assert detail == (
        f"FilterPolicyScope: Invalid value [{value}]."
        " Please use either MessageBody or MessageAttributes"
    )


async def test_policies_about_attributes_are_not_nested(
    sns: SnsClient, topic: str, subscription: str
) -> None:
    detail = await refused_alike(sns, topic, subscription, "FilterPolicy", NESTED)
    assert detail == NESTED_REFUSED
    await set_subscription(sns, subscription, "FilterPolicyScope", "MessageBody")
    await set_subscription(sns, subscription, "FilterPolicy", NESTED)
    assert await told(sns, subscription, "FilterPolicy") == NESTED


async def test_a_scope_that_a_policy_does_not_fit_is_refused(
    sns: SnsClient, topic: str, subscription: str
) -> None:
    await set_subscription(sns, subscription, "FilterPolicyScope", "MessageBody")
    await set_subscription(sns, subscription, "FilterPolicy", NESTED)
    call = set_subscription(sns, subscription, "FilterPolicyScope", "MessageAttributes")
    assert await sns_refusal(call) == invalid(NESTED_REFUSED)
    assert await told(sns, subscription, "FilterPolicyScope") == "MessageBody"
    assert await sns.call("Publish", TopicArn=topic, Message="{}")


@MEMORY_ONLY
@pytest.mark.parametrize(
    ("policy", "problem"),
    [
        ("{invalid", "failed to parse JSON. "),
        ('{"key": "value"}', '"key" must be an object or an array'),
        ('{"key": []}', "Empty arrays are not allowed"),
        ('{"key": [["v"]]}', "Match value must be String, number, true, false, or null"),
        ('{"key": [{"wrong-operator": true}]}', "Unrecognized match type wrong-operator"),
        ('{"key": [{"suffix": 100}]}', "suffix match pattern must be a string"),
        ('{"key": [{"cidr": "bad-filter"}]}', "Malformed CIDR, one '/' required"),
        ('{"key": [{"numeric": ["=", "000"]}]}', "Value of equals must be numeric"),
        (
            '{"a": [1], "b": [1], "c": [1], "d": [1], "e": [1], "f": [1]}',
            "Filter policy can not have more than 5 keys",
        ),
        (json.dumps({"key": [str(n) for n in range(151)]}), "Filter policy is too complex"),
    ],
)
async def test_a_bad_filter_policy_is_refused(
    sns: SnsClient, topic: str, subscription: str, policy: str, problem: str
) -> None:
    await set_subscription(sns, subscription, "FilterPolicy", '{"key": ["value"]}')
    detail = await refused_alike(sns, topic, subscription, "FilterPolicy", policy)
    said = detail.partition("\n")[0]
    assert said.startswith(f"FilterPolicy: {problem}")
    assert said == f"FilterPolicy: {problem}" or problem.endswith(". ")


# --- dead letters -------------------------------------------------------------------------------


def redrive(**members: str) -> str:
    return json.dumps(members)


async def test_a_redrive_policy_is_told_as_given_until_it_is_removed(
    sns: SnsClient, topic: str, subscription: str
) -> None:
    text = redrive(deadLetterTargetArn=QUEUE)
    await set_subscription(sns, subscription, "RedrivePolicy", text)
    assert await told(sns, subscription, "RedrivePolicy") == text
    await set_subscription(sns, subscription, "RedrivePolicy", "")
    assert (await subscription_attributes(sns, subscription)).keys() == ALWAYS
    fresh = await subscribe(sns, topic, "email", MAIL, RedrivePolicy=text)
    assert await told(sns, fresh, "RedrivePolicy") == text


@MEMORY_ONLY
@pytest.mark.parametrize(
    ("policy", "problem"),
    [
        (redrive(deadLetterTargetArn="invalid"), "deadLetterTargetArn is an invalid arn"),
        (redrive(deadLetterTargetArn=TOPIC), "deadLetterTargetArn is an invalid arn"),
        (
            redrive(deadLetterTargetArn=QUEUE, maxReceiveCount="5"),
            "invalid JSON. Attribute maxReceiveCount is unknown.",
        ),
        (redrive(other="x"), "invalid JSON. Attribute other is unknown."),
    ],
)
async def test_a_bad_redrive_policy_is_refused(
    sns: SnsClient, topic: str, subscription: str, policy: str, problem: str
) -> None:
    detail = await refused_alike(sns, topic, subscription, "RedrivePolicy", policy)
    assert detail == f"RedrivePolicy: {problem}"


@MEMORY_ONLY
@pytest.mark.parametrize("policy", ["{invalid", "invalid", '{"deadLetterTargetArn":'])
async def test_a_redrive_policy_is_json(
    sns: SnsClient, topic: str, subscription: str, policy: str
) -> None:
    detail = await refused_alike(sns, topic, subscription, "RedrivePolicy", policy)
    assert detail.startswith("RedrivePolicy: failed to parse JSON.")


async def test_a_fifo_subscription_has_a_fifo_queue_for_its_dead_letters(sns: SnsClient) -> None:
    topic = await sns.topic("news.fifo")
    arn = await subscribe(sns, topic, "sqs", FIFO_QUEUE)
    standard = redrive(deadLetterTargetArn=QUEUE)
    assert await refused_alike(sns, topic, arn, "RedrivePolicy", standard) == (
        "RedrivePolicy: must use a FIFO queue as DLQ for a FIFO Subscription to a FIFO Topic."
    )
    fifo = redrive(deadLetterTargetArn=f"{QUEUE}-dead.fifo")
    await set_subscription(sns, arn, "RedrivePolicy", fifo)
    assert await told(sns, arn, "RedrivePolicy") == fifo


async def test_a_standard_queue_of_a_fifo_topic_may_have_a_standard_one(sns: SnsClient) -> None:
    arn = await subscribe(sns, await sns.topic("news.fifo"), "sqs", QUEUE)
    policy = redrive(deadLetterTargetArn=f"{QUEUE}-dead")
    await set_subscription(sns, arn, "RedrivePolicy", policy)
    assert await told(sns, arn, "RedrivePolicy") == policy


# --- delivery policies --------------------------------------------------------------------------

RETRIES = {"minDelayTarget": 1, "maxDelayTarget": 2, "numRetries": 4}
DEFAULTS = {
    "minDelayTarget": 20,
    "maxDelayTarget": 20,
    "numRetries": 3,
    "numMaxDelayRetries": 0,
    "numNoDelayRetries": 0,
    "numMinDelayRetries": 0,
    "backoffFunction": "linear",
}
CSV = {"headerContentType": "text/csv"}
JSON = {"headerContentType": "application/json"}
TEXT = {"headerContentType": "text/plain; charset=UTF-8"}


def members(**given: Any) -> dict[str, Any]:
    """A subscription's policy as it is told."""
    return {
        "healthyRetryPolicy": None,
        "sicklyRetryPolicy": None,
        "throttlePolicy": None,
        "requestPolicy": None,
        "guaranteed": False,
        **given,
    }


async def policies(sns: SnsClient, arn: str) -> tuple[Any, Any]:
    """A subscription's own delivery policy and the effective one."""
    attributes = await subscription_attributes(sns, arn)
    own = attributes.get("DeliveryPolicy")
    return own and json.loads(own), json.loads(attributes["EffectiveDeliveryPolicy"])


async def test_the_defaults_are_effective_without_a_policy(sns: SnsClient, web: str) -> None:
    assert await policies(sns, web) == (
        None,
        members(healthyRetryPolicy=DEFAULTS, requestPolicy=TEXT),
    )


async def test_a_delivery_policy_is_told_with_all_its_members(sns: SnsClient, web: str) -> None:
    await set_subscription(sns, web, "DeliveryPolicy", json.dumps({"requestPolicy": CSV}))
    assert await policies(sns, web) == (
        members(requestPolicy=CSV),
        members(healthyRetryPolicy=DEFAULTS, requestPolicy=CSV),
    )
    given = {"healthyRetryPolicy": RETRIES, "throttlePolicy": {"maxReceivesPerSecond": 7}}
    await set_subscription(sns, web, "DeliveryPolicy", json.dumps(given))
    own, effective = await policies(sns, web)
    assert own.keys() == members().keys()
    assert RETRIES.items() <= own["healthyRetryPolicy"].items()
    assert own["throttlePolicy"] == {"maxReceivesPerSecond": 7}
    assert own["requestPolicy"] is None
    assert effective == members(
        healthyRetryPolicy={**DEFAULTS, **RETRIES},
        throttlePolicy={"maxReceivesPerSecond": 7},
        requestPolicy=TEXT,
    )


async def test_the_topics_policy_is_effective_where_the_subscription_has_none(
    sns: SnsClient, topic: str, web: str
) -> None:
    of_topic = {"defaultHealthyRetryPolicy": {"numRetries": 9}, "defaultRequestPolicy": JSON}
    await set_topic(sns, topic, "DeliveryPolicy", json.dumps({"http": of_topic}))
    retries = {**DEFAULTS, "numRetries": 9}
    _, effective = await policies(sns, web)
    assert effective == members(healthyRetryPolicy=retries, requestPolicy=JSON)
    await set_subscription(sns, web, "DeliveryPolicy", json.dumps({"requestPolicy": CSV}))
    _, effective = await policies(sns, web)
    assert effective == members(healthyRetryPolicy=retries, requestPolicy=CSV)


async def test_a_topic_may_disable_the_policies_of_its_subscriptions(
    sns: SnsClient, topic: str, web: str
) -> None:
    await set_subscription(sns, web, "DeliveryPolicy", json.dumps({"requestPolicy": CSV}))
    of_topic = {"disableSubscriptionOverrides": True, "defaultRequestPolicy": JSON}
    await set_topic(sns, topic, "DeliveryPolicy", json.dumps({"http": of_topic}))
    own, effective = await policies(sns, web)
    assert own == members(requestPolicy=CSV)
    assert effective["requestPolicy"] == JSON


async def test_a_policy_of_a_deleted_topics_successor_is_not_effective(
    sns: SnsClient, topic: str, web: str
) -> None:
    before = await policies(sns, web)
    await sns.call("DeleteTopic", TopicArn=topic)
    await sns.topic(DeliveryPolicy=json.dumps({"http": {"defaultRequestPolicy": JSON}}))
    assert "application/json" in (await topic_attributes(sns, topic))["EffectiveDeliveryPolicy"]
    assert await policies(sns, web) == before


async def test_an_empty_delivery_policy_removes_it(sns: SnsClient, web: str) -> None:
    before = await policies(sns, web)
    await set_subscription(sns, web, "DeliveryPolicy", json.dumps({"requestPolicy": CSV}))
    await set_subscription(sns, web, "DeliveryPolicy", "")
    assert await policies(sns, web) == before


@MEMORY_ONLY
@pytest.mark.parametrize(
    ("policy", "problem"),
    [
        (
            {"healthyRetryPolicy": {**RETRIES, "minDelayTarget": 0}},
            "healthyRetryPolicy.minDelayTarget must be greater than or equal to 1",
        ),
        (
            {"healthyRetryPolicy": {"maxDelayTarget": 2, "numRetries": 4}},
            "healthyRetryPolicy.minDelayTarget must be specified",
        ),
        (
            {"healthyRetryPolicy": {**RETRIES, "numRetries": "4"}},
            "healthyRetryPolicy.numRetries type mismatch, expecting integer, received a string",
        ),
    ],
)
async def test_a_bad_delivery_policy_is_refused(
    sns: SnsClient, topic: str, web: str, policy: Any, problem: str
) -> None:
    text = json.dumps(policy)
    detail = await refused_alike(sns, topic, web, "DeliveryPolicy", text)
    assert detail == f"DeliveryPolicy: {problem}"


# --- others -------------------------------------------------------------------------------------


async def test_a_streams_role_is_told_and_changed(sns: SnsClient, topic: str) -> None:
    role = f"arn:aws:iam::{ACCOUNT}:role/firehose"
    stream = f"arn:aws:firehose:{REGION}:{ACCOUNT}:deliverystream/d"
    arn = await subscribe(sns, topic, "firehose", stream, SubscriptionRoleArn=role)
    assert await told(sns, arn, "SubscriptionRoleArn") == role
    await set_subscription(sns, arn, "SubscriptionRoleArn", f"{role}2")
    assert await told(sns, arn, "SubscriptionRoleArn") == f"{role}2"


@MEMORY_ONLY
async def test_only_fifo_topics_are_replayed(sns: SnsClient, topic: str, subscription: str) -> None:
    policy = '{"PointType":"Timestamp","StartingPoint":"2026-01-01T00:00:00.000Z"}'
    await refused_alike(sns, topic, subscription, "ReplayPolicy", policy)
