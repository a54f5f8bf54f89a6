"""Subscribing and unsubscribing (SNS reference, 2.2 and 6)."""

import asyncio
import re
from typing import Any

import pytest

from broker import limits
from tests.api.sns_calls import (
    MAIL,
    NO_SUBSCRIPTION,
    NO_TOPIC,
    OTHER_ACCOUNT,
    OTHER_REGION,
    QUEUE,
    TOPIC,
    UUID,
    invalid,
    newest_token,
    reader,
    sent_confirmations,
    set_subscription,
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

FIFO_QUEUE = f"{QUEUE}.fifo"
FUNCTION = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:f"
STREAM = f"arn:aws:firehose:{REGION}:{ACCOUNT}:deliverystream/d"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/firehose"
NUMBER = "+4915112345678"
#: nobody listens there
WEB = "http://127.0.0.1:9/sns"
NO_ENDPOINT = f"arn:aws:sns:{REGION}:{ACCOUNT}:endpoint/GCM/app/{UUID}"
PENDING = "pending confirmation"
OTHER_ATTRIBUTES = invalid(
    "Attributes Reason: Subscription already exists with different attributes"
)
DAY_MS = 86_400_000


@pytest.fixture
async def topic(sns: SnsClient) -> str:
    """The ARN of a standard topic."""
    return await sns.topic()


@pytest.fixture
async def fifo_topic(sns: SnsClient) -> str:
    """The ARN of a FIFO topic."""
    return await sns.topic("news.fifo")


async def answered(sns: SnsClient, topic: str, protocol: str, endpoint: str, **members: Any) -> Any:
    """What Subscribe answers."""
    answer = await sns.call(
        "Subscribe", TopicArn=topic, Protocol=protocol, Endpoint=endpoint, **members
    )
    return answer["SubscriptionArn"]


async def unsubscribe(sns: SnsClient, arn: str) -> Any:
    return await sns.call("Unsubscribe", SubscriptionArn=arn)


async def application_endpoint(sns: SnsClient) -> str:
    """The ARN of a new platform endpoint."""
    application = await sns.call(
        "CreatePlatformApplication",
        Name="app",
        Platform="GCM",
        Attributes={"PlatformCredential": "credential"},
    )
    created = await sns.call(
        "CreatePlatformEndpoint",
        PlatformApplicationArn=application["PlatformApplicationArn"],
        Token="token",
    )
    arn: str = created["EndpointArn"]
    return arn


# --- what is answered ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("protocol", "endpoint", "attributes"),
    [
        ("sqs", QUEUE, {}),
        ("lambda", FUNCTION, {}),
        ("firehose", STREAM, {"SubscriptionRoleArn": ROLE}),
        ("sms", NUMBER, {}),
    ],
)
async def test_endpoints_of_the_same_account_are_confirmed_at_once(
    sns: SnsClient, topic: str, protocol: str, endpoint: str, attributes: dict[str, str]
) -> None:
    arn = await answered(sns, topic, protocol, endpoint, Attributes=attributes)
    uuid4 = "[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"
    assert re.fullmatch(f"{re.escape(topic)}:{uuid4}", arn)
    told = await subscription_attributes(sns, arn)
    assert (told["PendingConfirmation"], told["ConfirmationWasAuthenticated"]) == ("false", "true")
    assert (told["Protocol"], told["Endpoint"]) == (protocol, endpoint)
    assert await sent_confirmations(sns, arn) == []


async def test_a_platform_endpoint_is_confirmed_at_once_and_its_deletion_leaves_the_subscription(
    sns: SnsClient, topic: str
) -> None:
    endpoint = await application_endpoint(sns)
    arn = await answered(sns, topic, "application", endpoint)
    assert (await subscription_attributes(sns, arn))["PendingConfirmation"] == "false"
    await sns.call("DeleteEndpoint", EndpointArn=endpoint)
    assert [each["SubscriptionArn"] for each in await subscriptions_of(sns, topic)] == [arn]


@pytest.mark.parametrize(
    ("protocol", "endpoint"),
    [
        ("http", WEB),
        ("https", WEB.replace("http", "https", 1)),
        ("email", MAIL),
        ("email-json", MAIL),
    ],
)
async def test_endpoints_of_nobody_we_know_have_to_confirm(
    sns: SnsClient, topic: str, protocol: str, endpoint: str
) -> None:
    assert await answered(sns, topic, protocol, endpoint) == PENDING
    assert await answered(sns, topic, protocol, endpoint, ReturnSubscriptionArn=False) == PENDING
    arn = await answered(sns, topic, protocol, endpoint, ReturnSubscriptionArn=True)
    assert arn.startswith(f"{topic}:")
    told = await subscription_attributes(sns, arn)
    assert (told["PendingConfirmation"], told["ConfirmationWasAuthenticated"]) == ("true", "false")
    sent = await sent_confirmations(sns, arn)
    assert [each["kind"] for each in sent] == ["SubscriptionConfirmation"] * 3
    assert {each["endpoint"] for each in sent} == {endpoint}


async def test_protocols_and_endpoints_are_subscribed_one_by_one(
    sns: SnsClient, topic: str
) -> None:
    other_topic = await sns.topic("other")
    arns = {
        await subscribe(sns, topic, "email", MAIL),
        await subscribe(sns, topic, "email-json", MAIL),
        await subscribe(sns, topic, "email", f"x{MAIL}"),
        await subscribe(sns, other_topic, "email", MAIL),
    }
    assert len(arns) == 4
    assert len(await subscriptions_of(sns, topic)) == 3


# --- what is refused ----------------------------------------------------------------------------


@MEMORY_ONLY
@pytest.mark.parametrize(
    ("protocol", "endpoint", "refused"),
    [
        *(
            (
                protocol,
                QUEUE,
                invalid(f"Amazon SNS does not support this protocol string: {protocol}"),
            )
            for protocol in ("x", "SQS", "", "ftp")
        ),
        *(
            ("sqs", endpoint, invalid("SQS endpoint ARN"))
            for endpoint in (
                "jobs",
                f"http://localhost:4566/{ACCOUNT}/jobs",
                FUNCTION,
                "arn:aws:sqs",
            )
        ),
        (
            "sqs",
            FIFO_QUEUE,
            invalid(
                "Invalid parameter: Endpoint Reason: FIFO SQS Queues can not be subscribed to"
                " standard SNS topics"
            ),
        ),
        *(
            ("sms", number, ("InvalidParameter", f"Invalid SMS endpoint: {number}"))
            for number in (
                "NAA+15551234567",
                "+1-800-CALL",
                "+15--551234567",
                "+15551234567.",
                "/+15551234567",
                "/15551234567",
                "+1555 1234567",
                "reader@example.org",
            )
        ),
        ("http", "https://example.org/", invalid("Endpoint must match the specified protocol")),
        ("https", "http://example.org/", invalid("Endpoint must match the specified protocol")),
        ("http", "example.org", invalid("Endpoint must match the specified protocol")),
        (
            "application",
            NO_ENDPOINT,
            invalid(f"Endpoint Reason: Endpoint does not exist for endpoint arn{NO_ENDPOINT}"),
        ),
    ],
)
async def test_what_cannot_be_subscribed_is_refused(
    sns: SnsClient, topic: str, protocol: str, endpoint: str, refused: tuple[str, str]
) -> None:
    assert await sns_refusal(subscribe(sns, topic, protocol, endpoint)) == refused
    assert await subscriptions_of(sns, topic) == []


@MEMORY_ONLY
@pytest.mark.parametrize(
    ("protocol", "endpoint"),
    [
        ("lambda", "f"),
        ("lambda", QUEUE),
        ("firehose", "arn:aws:firehose"),
        ("email", "example.org"),
        ("email-json", "reader@"),
        ("http", "http://"),
        ("firehose", STREAM),  # lacks its role
        ("sqs", ""),
    ],
)
async def test_an_endpoint_that_is_none_is_an_invalid_parameter(
    sns: SnsClient, topic: str, protocol: str, endpoint: str
) -> None:
    code, _ = await sns_refusal(subscribe(sns, topic, protocol, endpoint))
    assert code == "InvalidParameter"
    assert await subscriptions_of(sns, topic) == []


@MEMORY_ONLY
@pytest.mark.parametrize("number", ["+15551234567", "15551234567", "+12/34-567.890", "+1-555-123"])
async def test_a_number_may_have_single_separators_and_is_kept_as_given(
    sns: SnsClient, topic: str, number: str
) -> None:
    arn = await subscribe(sns, topic, "sms", number)
    assert (await subscription_attributes(sns, arn))["Endpoint"] == number


@MEMORY_ONLY
async def test_checks_go_from_the_topic_to_the_attributes(sns: SnsClient, topic: str) -> None:
    junk = {"RawMessageDelivery": "junk"}
    far = topic.replace(REGION, OTHER_REGION)
    for arn, protocol, endpoint, refused in (
        ("junk", "junk", "junk", too_short("TopicArn", 1)),
        (far, "junk", "junk", invalid("TopicArn")),
        (f"{topic}2", "sqs", "junk", NO_TOPIC),
        (f"{topic}2", "junk", "junk", NO_TOPIC),
        (topic, "junk", "", invalid("Amazon SNS does not support this protocol string: junk")),
        (topic, "sqs", "junk", invalid("SQS endpoint ARN")),
        (
            topic,
            "sqs",
            QUEUE,
            invalid(
                "Attributes Reason: RawMessageDelivery: Invalid value [junk]."
                " Must be true or false."
            ),
        ),
    ):
        assert await sns_refusal(subscribe(sns, arn, protocol, endpoint, **junk)) == refused


async def test_a_queue_that_does_not_exist_is_confirmed_at_once(sns: SnsClient, topic: str) -> None:
    arn = await answered(sns, topic, "sqs", f"{QUEUE}-of-nobody")
    assert (await subscription_attributes(sns, arn))["PendingConfirmation"] == "false"


# --- FIFO topics --------------------------------------------------------------------------------


@pytest.mark.parametrize("queue", [QUEUE, FIFO_QUEUE])
async def test_queues_of_both_kinds_get_what_fifo_topics_send(
    sns: SnsClient, fifo_topic: str, queue: str
) -> None:
    arn = await answered(sns, fifo_topic, "sqs", queue)
    assert (await subscription_attributes(sns, arn))["Endpoint"] == queue


@MEMORY_ONLY
@pytest.mark.parametrize(
    ("protocol", "endpoint"),
    [
        ("http", WEB),
        ("https", "https://example.org"),
        ("email", MAIL),
        ("email-json", MAIL),
        ("sms", NUMBER),
        ("lambda", FUNCTION),
        ("application", NO_ENDPOINT),
        ("firehose", STREAM),
    ],
)
async def test_nothing_but_queues_gets_what_fifo_topics_send(
    sns: SnsClient, fifo_topic: str, protocol: str, endpoint: str
) -> None:
    refused = await sns_refusal(subscribe(sns, fifo_topic, protocol, endpoint))
    assert refused == invalid(f"Invalid protocol type: {protocol}")
    assert await subscriptions_of(sns, fifo_topic) == []


async def test_a_fifo_topic_has_up_to_100_subscriptions(sns: SnsClient, fifo_topic: str) -> None:
    arns = [await subscribe(sns, fifo_topic, "sqs", f"{QUEUE}{n}") for n in range(100)]
    code, _ = await sns_refusal(subscribe(sns, fifo_topic))
    assert code == "SubscriptionLimitExceeded"
    assert await subscribe(sns, fifo_topic, "sqs", f"{QUEUE}0") == arns[0]
    await unsubscribe(sns, arns[0])
    assert await subscribe(sns, fifo_topic)


async def test_subscriptions_at_once_do_not_exceed_that(
    sns: SnsClient, fifo_topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "FEW_SUBSCRIPTIONS_MAX", 3)
    calls = (subscribe(sns, fifo_topic, "sqs", f"{QUEUE}{n}") for n in range(8))
    answers = await asyncio.gather(*calls, return_exceptions=True)
    assert sum(isinstance(each, str) for each in answers) == 3
    assert len(await subscriptions_of(sns, fifo_topic)) == 3


async def test_a_standard_topic_has_more(
    sns: SnsClient, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "FEW_SUBSCRIPTIONS_MAX", 2)
    for n in range(3):
        await subscribe(sns, topic, "sqs", f"{QUEUE}{n}")


# --- subscribing again --------------------------------------------------------------------------

POLICY = '{"kind": ["a", 1]}'


@pytest.mark.parametrize(
    "attributes",
    [
        {},
        {"RawMessageDelivery": "true"},
        {"RawMessageDelivery": "True"},
        {"FilterPolicy": POLICY},
        {"FilterPolicyScope": "MessageAttributes"},
        {"RawMessageDelivery": "TRUE", "FilterPolicy": POLICY},
    ],
)
async def test_a_subscription_is_returned_if_its_attributes_are_as_asked_for(
    sns: SnsClient, topic: str, attributes: dict[str, str]
) -> None:
    arn = await subscribe(sns, topic, RawMessageDelivery="true", FilterPolicy=POLICY)
    before = await subscription_attributes(sns, arn)
    assert await answered(sns, topic, "sqs", QUEUE, Attributes=attributes) == arn
    assert await subscription_attributes(sns, arn) == before
    assert len(await subscriptions_of(sns, topic)) == 1


@pytest.mark.parametrize(
    "attributes",
    [
        {"RawMessageDelivery": "false"},
        {"FilterPolicy": '{"kind": ["b"]}'},
        {"FilterPolicy": '{"kind": ["a", true]}'},
        {"FilterPolicy": ""},
        {"FilterPolicyScope": "MessageBody"},
        {"RawMessageDelivery": "true", "FilterPolicyScope": "MessageBody"},
        {"RedrivePolicy": f'{{"deadLetterTargetArn":"{QUEUE}"}}'},
    ],
)
async def test_a_subscription_with_other_attributes_is_refused_and_stays_as_it_is(
    sns: SnsClient, topic: str, attributes: dict[str, str]
) -> None:
    arn = await subscribe(sns, topic, RawMessageDelivery="true", FilterPolicy=POLICY)
    before = await subscription_attributes(sns, arn)
    assert await sns_refusal(subscribe(sns, topic, **attributes)) == OTHER_ATTRIBUTES
    assert await subscription_attributes(sns, arn) == before


@pytest.mark.parametrize(
    "attributes",
    [
        {"RawMessageDelivery": "FALSE"},
        {"FilterPolicyScope": "MessageAttributes"},
        {"FilterPolicy": ""},
    ],
)
async def test_defaults_may_be_asked_for(
    sns: SnsClient, topic: str, attributes: dict[str, str]
) -> None:
    arn = await subscribe(sns, topic)
    assert await subscribe(sns, topic, **attributes) == arn


async def test_attributes_count_as_they_are_now(sns: SnsClient, topic: str) -> None:
    arn = await subscribe(sns, topic)
    await set_subscription(sns, arn, "RawMessageDelivery", "true")
    assert await subscribe(sns, topic, RawMessageDelivery="true") == arn
    assert await sns_refusal(subscribe(sns, topic, RawMessageDelivery="false")) == OTHER_ATTRIBUTES


async def test_subscriptions_at_once_make_one(sns: SnsClient, topic: str) -> None:
    arns = await asyncio.gather(*(subscribe(sns, topic) for _ in range(5)))
    [only] = await subscriptions_of(sns, topic)
    assert set(arns) == {only["SubscriptionArn"]}


async def test_subscribing_what_is_pending_asks_again_with_a_new_token(
    sns: SnsClient, topic: str, clock: FakeClock
) -> None:
    arn = await subscribe(sns, topic, "email", MAIL)
    await clock.advance(1_000)
    assert await answered(sns, topic, "email", MAIL) == PENDING
    first, second = (each["token"] for each in await sent_confirmations(sns, arn))
    assert first != second
    assert len(await subscriptions_of(sns, topic)) == 1


async def test_subscribing_what_was_confirmed_asks_nobody(sns: SnsClient, topic: str) -> None:
    arn = await reader(sns, topic)
    assert await answered(sns, topic, "email", MAIL) == arn
    assert len(await sent_confirmations(sns, arn)) == 1


async def test_what_nobody_confirms_is_gone_after_three_days(
    sns: SnsClient, topic: str, clock: FakeClock
) -> None:
    arn = await subscribe(sns, topic, "email", MAIL)
    kept = await reader(sns, topic := await sns.topic("other"))
    await clock.advance(2 * DAY_MS, settle=1)
    assert (await subscription_attributes(sns, arn))["PendingConfirmation"] == "true"
    await clock.advance(DAY_MS, settle=1)
    await until_removed(sns, arn, clock)
    assert await subscriptions_of(sns, TOPIC) == []
    assert (await topic_attributes(sns, TOPIC))["SubscriptionsPending"] == "0"
    assert await subscribe(sns, TOPIC, "email", MAIL) != arn
    assert (await subscription_attributes(sns, kept))["TopicArn"] == topic


# --- unsubscribing ------------------------------------------------------------------------------


async def test_an_unsubscribed_subscription_is_gone(sns: SnsClient, topic: str) -> None:
    arn = await subscribe(sns, topic)
    assert await unsubscribe(sns, arn) == {}
    assert await subscriptions_of(sns, topic) == []
    set_call = set_subscription(sns, arn, "RawMessageDelivery", "true")
    assert await sns_refusal(set_call) == NO_SUBSCRIPTION
    assert await sns_refusal(subscription_attributes(sns, arn)) == NO_SUBSCRIPTION


async def test_unsubscribing_what_is_not_there_is_fine(sns: SnsClient, topic: str) -> None:
    arn = await subscribe(sns, topic)
    for known in (arn, arn, f"{topic}:{UUID}", f"{topic}2:{UUID}"):
        assert await unsubscribe(sns, known) == {}
    deleted = await subscribe(sns, topic)
    await sns.call("DeleteTopic", TopicArn=topic)
    assert await unsubscribe(sns, deleted) == {}


async def test_an_arn_of_another_topic_unsubscribes_nothing(sns: SnsClient, topic: str) -> None:
    arn = await subscribe(sns, topic)
    await unsubscribe(sns, arn.replace(":news:", ":other:"))
    assert [each["SubscriptionArn"] for each in await subscriptions_of(sns, topic)] == [arn]


@MEMORY_ONLY
@pytest.mark.parametrize(
    ("arn", "refused"),
    [
        ("randomstring", too_short("SubscriptionArn", 1)),
        ("", too_short("SubscriptionArn", 1)),
        ("PendingConfirmation", too_short("SubscriptionArn", 1)),
        (PENDING, too_short("SubscriptionArn", 1)),
        ("arn:aws:sns:us-east-1:news", too_short("SubscriptionArn", 5)),
        (TOPIC, invalid("SubscriptionId")),
    ],
)
async def test_what_is_no_subscription_arn_is_refused(
    sns: SnsClient, arn: str, refused: tuple[str, str]
) -> None:
    assert await sns_refusal(unsubscribe(sns, arn)) == refused


@MEMORY_ONLY
async def test_unsubscribing_nothing_is_refused(sns: SnsClient) -> None:
    assert await sns_refusal(sns.call("Unsubscribe")) == invalid(
        "SubscriptionArn Reason: no value for required parameter"
    )


async def test_subscribing_after_unsubscribing_makes_another(sns: SnsClient, topic: str) -> None:
    old = await subscribe(sns, topic, RawMessageDelivery="true")
    await unsubscribe(sns, old)
    new = await subscribe(sns, topic)
    assert new != old
    assert (await subscription_attributes(sns, new))["RawMessageDelivery"] == "false"


# --- accounts and regions -----------------------------------------------------------------------


def of_account(endpoint: str, account: str) -> str:
    return endpoint.replace(ACCOUNT, account)


@pytest.mark.parametrize(("protocol", "endpoint"), [("sqs", QUEUE), ("lambda", FUNCTION)])
async def test_the_endpoints_owner_need_not_confirm(
    sns: SnsClient, topic: str, protocol: str, endpoint: str
) -> None:
    theirs = sns.but(account=OTHER_ACCOUNT)
    arn = await answered(theirs, topic, protocol, of_account(endpoint, OTHER_ACCOUNT))
    assert arn.startswith(f"{topic}:")
    told = await subscription_attributes(theirs, arn)
    assert told["Owner"] == OTHER_ACCOUNT
    assert told["SubscriptionPrincipal"] == f"arn:aws:iam::{OTHER_ACCOUNT}:root"
    assert (told["PendingConfirmation"], told["ConfirmationWasAuthenticated"]) == ("false", "true")


@pytest.mark.parametrize(("protocol", "endpoint"), [("sqs", QUEUE), ("lambda", FUNCTION)])
async def test_the_topics_owner_has_to_have_it_confirmed(
    sns: SnsClient, topic: str, protocol: str, endpoint: str
) -> None:
    theirs = of_account(endpoint, OTHER_ACCOUNT)
    assert await answered(sns, topic, protocol, theirs) == PENDING
    arn = await answered(sns, topic, protocol, theirs, ReturnSubscriptionArn=True)
    told = await subscription_attributes(sns, arn)
    assert (told["Owner"], told["PendingConfirmation"]) == (ACCOUNT, "true")
    if protocol == "lambda":
        assert len(await newest_token(sns, arn)) == 288


async def test_endpoints_may_be_in_another_region(sns: SnsClient, topic: str) -> None:
    queue = QUEUE.replace(REGION, OTHER_REGION)
    arn = await answered(sns, topic, "sqs", queue)
    assert arn.startswith(f"{topic}:")
    assert (await subscription_attributes(sns, arn))["Endpoint"] == queue


async def test_a_topic_is_subscribed_to_in_its_own_region(sns: SnsClient) -> None:
    there = sns.but(region=OTHER_REGION)
    topic = await there.topic()
    assert await sns_refusal(subscribe(sns, topic)) == invalid("TopicArn")
    arn = await subscribe(there, topic)
    assert f":{OTHER_REGION}:{ACCOUNT}:" in arn
    assert (await subscription_attributes(there, arn))["TopicArn"] == topic


async def test_a_subscription_concerns_its_owner_and_the_topics(sns: SnsClient, topic: str) -> None:
    theirs = sns.but(account=OTHER_ACCOUNT)
    arn = await subscribe(theirs, topic, "sqs", of_account(QUEUE, OTHER_ACCOUNT))
    for client in (sns, theirs):
        assert (await subscription_attributes(client, arn))["Owner"] == OTHER_ACCOUNT
        await set_subscription(client, arn, "RawMessageDelivery", "true")
    stranger = sns.but(account="222222222222")
    for call in (
        subscription_attributes(stranger, arn),
        set_subscription(stranger, arn, "RawMessageDelivery", "false"),
    ):
        code, _ = await sns_refusal(call)
        assert code == "AuthorizationError"
    assert (await subscription_attributes(theirs, arn))["RawMessageDelivery"] == "true"
