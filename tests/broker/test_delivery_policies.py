"""Delivery policies: what is accepted, what is read back, and when retries are due."""

import json
from typing import Any

import pytest

from broker.delivery_policies import (
    EXTERNAL_ENDPOINT_RETRIES,
    FIXED_RETRY_POLICIES,
    MANAGED_ENDPOINT_RETRIES,
    DeliveryPolicyError,
    RetryPolicy,
    effective_subscription_policy,
    effective_topic_policy,
    http_delivery,
    retry_delay_ms,
    stored_subscription_policy,
    stored_topic_policy,
)

DEFAULT_HEALTHY = (
    '{"minDelayTarget":20,"maxDelayTarget":20,"numRetries":3,"numMaxDelayRetries":0,'
    '"numNoDelayRetries":0,"numMinDelayRetries":0,"backoffFunction":"linear"}'
)
DEFAULT_EFFECTIVE = (
    f'{{"http":{{"defaultHealthyRetryPolicy":{DEFAULT_HEALTHY},'
    '"disableSubscriptionOverrides":false,'
    '"defaultRequestPolicy":{"headerContentType":"text/plain; charset=UTF-8"}}}'
)
THREE = {"minDelayTarget": 1, "maxDelayTarget": 10, "numRetries": 5}


def topic(**http: Any) -> str | None:
    return stored_topic_policy(json.dumps({"http": http}))


def subscription(**members: Any) -> str | None:
    return stored_subscription_policy(json.dumps(members))


def problem_of_topic(text: str) -> str:
    with pytest.raises(DeliveryPolicyError) as refusal:
        stored_topic_policy(text)
    assert str(refusal.value) == refusal.value.detail
    return refusal.value.detail.removeprefix("DeliveryPolicy: ")


def problem_of_retries(**changes: Any) -> str:
    """What is wrong with a subscription's retry policy; without the name of the policy."""
    with pytest.raises(DeliveryPolicyError) as refusal:
        subscription(healthyRetryPolicy={**THREE, **changes})
    return refusal.value.detail.removeprefix("DeliveryPolicy: healthyRetryPolicy")


def delays_ms(policy: RetryPolicy, limit: int) -> list[int]:
    delays = []
    for done in range(limit):
        delay = retry_delay_ms(policy, done)
        if delay is None:
            break
        delays.append(delay)
    return delays


# --- schedules ----------------------------------------------------------------------------------


@pytest.mark.parametrize("protocol", ["sqs", "lambda", "firehose"])
def test_queues_functions_and_streams_are_retried_for_23_days(protocol: str) -> None:
    policy = FIXED_RETRY_POLICIES[protocol]
    assert policy == MANAGED_ENDPOINT_RETRIES
    delays = delays_ms(policy, 200_000)
    assert len(delays) == 100_015
    assert delays[:5] == [0, 0, 0, 1_000, 1_000]
    assert (delays[5], delays[14]) == (1_000, 20_000)
    assert delays[5:15] == sorted(set(delays[5:15]))
    assert set(delays[15:]) == {20_000}
    assert sum(delays) // 86_400_000 == 23


@pytest.mark.parametrize("protocol", ["email", "email-json", "sms", "application"])
def test_mails_phones_and_pushes_are_retried_for_six_hours(protocol: str) -> None:
    policy = FIXED_RETRY_POLICIES[protocol]
    assert policy == EXTERNAL_ENDPOINT_RETRIES
    delays = delays_ms(policy, 1_000)
    assert len(delays) == 50
    assert delays[:3] == [10_000, 10_000, 10_000]
    assert set(delays[11:]) == {600_000}
    assert sum(delays) > 6 * 3_600_000


def test_by_default_http_is_retried_three_times_after_20_s() -> None:
    policy = http_delivery(None, None).retry_policy
    assert [retry_delay_ms(policy, done) for done in range(5)] == [
        20_000,
        20_000,
        20_000,
        None,
        None,
    ]


@pytest.mark.parametrize(
    ("function", "expected_ms"),
    [
        ("linear", [1_000, 4_000, 7_000, 10_000, 13_000, 16_000]),
        # steps of 1, 2, 3, 4 and 5 s
        ("arithmetic", [1_000, 2_000, 4_000, 7_000, 11_000, 16_000]),
        # the fifth root of 16, each time
        ("geometric", [1_000, 1_741, 3_031, 5_278, 9_190, 16_000]),
        # steps of 1, 2, 4, 8 and 16 parts of 31
        ("exponential", [1_000, 1_483, 2_451, 4_387, 8_258, 16_000]),
    ],
)
def test_each_backoff_function_has_its_shape(function: str, expected_ms: list[int]) -> None:
    assert delays_ms(RetryPolicy(0, 0, 6, 0, 1_000, 16_000, function), 100) == expected_ms


@pytest.mark.parametrize("function", ["linear", "arithmetic", "geometric", "exponential"])
@pytest.mark.parametrize("retries", [2, 3, 50, 100])
def test_every_backoff_rises_from_the_minimum_to_the_maximum(function: str, retries: int) -> None:
    delays = delays_ms(RetryPolicy(0, 0, retries, 0, 7_000, 3_599_000, function), 1_000)
    assert (delays[0], delays[-1], len(delays)) == (7_000, 3_599_000, retries)
    assert delays == sorted(delays)


@pytest.mark.parametrize("function", ["linear", "arithmetic", "geometric", "exponential"])
def test_a_single_backoff_retry_comes_after_the_minimum(function: str) -> None:
    assert delays_ms(RetryPolicy(0, 0, 1, 0, 5_000, 9_000, function), 10) == [5_000]


def test_the_four_phases_follow_each_other() -> None:
    stored = subscription(
        healthyRetryPolicy={
            "minDelayTarget": 2,
            "maxDelayTarget": 8,
            "numRetries": 10,
            "numNoDelayRetries": 1,
            "numMinDelayRetries": 2,
            "numMaxDelayRetries": 3,
            "backoffFunction": "linear",
        }
    )
    policy = http_delivery(None, stored).retry_policy
    assert delays_ms(policy, 100) == [
        0,
        *[2_000, 2_000],
        *[2_000, 4_000, 6_000, 8_000],
        *[8_000, 8_000, 8_000],
    ]


def test_no_retries_are_no_retries() -> None:
    stored = subscription(healthyRetryPolicy={**THREE, "numRetries": 0})
    assert retry_delay_ms(http_delivery(None, stored).retry_policy, 0) is None


# --- topics -------------------------------------------------------------------------------------


def test_the_default_effective_policy_is_that_of_aws() -> None:
    assert effective_topic_policy(None) == DEFAULT_EFFECTIVE


def test_what_was_not_given_is_not_stored_but_in_effect() -> None:
    stored = topic(defaultHealthyRetryPolicy={**THREE, "backoffFunction": None})
    assert stored == (
        '{"http":{"defaultHealthyRetryPolicy":'
        '{"minDelayTarget":1,"maxDelayTarget":10,"numRetries":5},'
        '"disableSubscriptionOverrides":false}}'
    )
    assert effective_topic_policy(stored) == DEFAULT_EFFECTIVE.replace(
        '"minDelayTarget":20,"maxDelayTarget":20,"numRetries":3',
        '"minDelayTarget":1,"maxDelayTarget":10,"numRetries":5',
    )


@pytest.mark.parametrize(
    "text",
    ['{"http":{"defaultHealthyRetryPolicy":null}}', '{"http":{}}', '{"http":null}', "{}"],
)
def test_a_policy_of_nothing_stores_its_one_default(text: str) -> None:
    stored = stored_topic_policy(text)
    assert stored == '{"http":{"disableSubscriptionOverrides":false}}'
    assert effective_topic_policy(stored) == DEFAULT_EFFECTIVE


def test_an_empty_text_is_no_policy() -> None:
    assert stored_topic_policy("") is None
    assert stored_subscription_policy("") is None


def test_all_of_a_topics_members_are_kept() -> None:
    stored = topic(
        defaultRequestPolicy={"headerContentType": "application/json"},
        defaultThrottlePolicy={"maxReceivesPerSecond": 5},
        disableSubscriptionOverrides=True,
        defaultHealthyRetryPolicy={"numRetries": 7},
    )
    assert stored == (
        '{"http":{"defaultHealthyRetryPolicy":{"numRetries":7},'
        '"disableSubscriptionOverrides":true,"defaultThrottlePolicy":{"maxReceivesPerSecond":5},'
        '"defaultRequestPolicy":{"headerContentType":"application/json"}}}'
    )
    assert stored_topic_policy(stored) == stored
    effective = json.loads(effective_topic_policy(stored))["http"]
    assert list(effective) == [
        "defaultHealthyRetryPolicy",
        "disableSubscriptionOverrides",
        "defaultThrottlePolicy",
        "defaultRequestPolicy",
    ]
    assert effective["disableSubscriptionOverrides"] is True
    assert effective["defaultThrottlePolicy"] == {"maxReceivesPerSecond": 5}
    assert effective["defaultHealthyRetryPolicy"]["numRetries"] == 7


# --- subscriptions ------------------------------------------------------------------------------


def test_a_subscriptions_policy_reads_back_with_five_members() -> None:
    assert subscription(requestPolicy={"headerContentType": "text/csv"}) == (
        '{"healthyRetryPolicy":null,"sicklyRetryPolicy":null,"throttlePolicy":null,'
        '"requestPolicy":{"headerContentType":"text/csv"},"guaranteed":false}'
    )
    stored = subscription(
        healthyRetryPolicy=THREE,
        sicklyRetryPolicy=None,
        throttlePolicy={"maxReceivesPerSecond": 2},
        guaranteed=False,
    )
    healthy = DEFAULT_HEALTHY.replace(
        '"minDelayTarget":20,"maxDelayTarget":20,"numRetries":3',
        '"minDelayTarget":1,"maxDelayTarget":10,"numRetries":5',
    )
    assert stored == (
        f'{{"healthyRetryPolicy":{healthy},"sicklyRetryPolicy":null,'
        '"throttlePolicy":{"maxReceivesPerSecond":2},"requestPolicy":null,"guaranteed":false}'
    )
    assert stored_subscription_policy(stored) == stored


def test_without_any_policy_a_subscription_has_the_defaults() -> None:
    assert effective_subscription_policy(None, None) == (
        f'{{"healthyRetryPolicy":{DEFAULT_HEALTHY},"sicklyRetryPolicy":null,'
        '"throttlePolicy":null,"requestPolicy":{"headerContentType":"text/plain; charset=UTF-8"},'
        '"guaranteed":false}'
    )


TOPIC_POLICY: dict[str, Any] = {
    "defaultHealthyRetryPolicy": {"numRetries": 9},
    "defaultThrottlePolicy": {"maxReceivesPerSecond": 9},
    "defaultRequestPolicy": {"headerContentType": "application/json"},
}


def test_a_subscription_without_a_policy_follows_its_topic() -> None:
    delivery = http_delivery(topic(**TOPIC_POLICY), None)
    assert delivery.content_type == "application/json"
    assert delivery.max_receives_per_second == 9
    assert len(delays_ms(delivery.retry_policy, 100)) == 9


def test_each_member_of_a_subscriptions_policy_goes_before_its_topics() -> None:
    topic_stored = topic(**TOPIC_POLICY)
    content_type = subscription(requestPolicy={"headerContentType": "text/csv"})
    assert http_delivery(topic_stored, content_type).content_type == "text/csv"
    assert http_delivery(topic_stored, content_type).max_receives_per_second == 9
    throttled = subscription(throttlePolicy={"maxReceivesPerSecond": 1})
    assert http_delivery(topic_stored, throttled).max_receives_per_second == 1
    assert http_delivery(topic_stored, throttled).content_type == "application/json"
    retried = subscription(healthyRetryPolicy=THREE)
    assert len(delays_ms(http_delivery(topic_stored, retried).retry_policy, 100)) == 5


def test_a_topic_can_disable_what_subscriptions_say() -> None:
    own = subscription(
        healthyRetryPolicy=THREE,
        throttlePolicy={"maxReceivesPerSecond": 1},
        requestPolicy={"headerContentType": "text/csv"},
    )
    topic_stored = topic(disableSubscriptionOverrides=True, **TOPIC_POLICY)
    assert http_delivery(topic_stored, own) == http_delivery(topic_stored, None)
    assert effective_subscription_policy(topic_stored, own) == effective_subscription_policy(
        topic_stored, None
    )
    assert http_delivery(topic(**TOPIC_POLICY), own) != http_delivery(topic_stored, own)


# --- refusals -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    ["{", "x", "[]", "1", '"http"', "null", '{"http":{},}', "[" * 100_000, '{"http":NaN}'],
)
def test_what_is_no_json_object_is_refused(text: str) -> None:
    assert problem_of_topic(text) == "failed to parse JSON."
    with pytest.raises(DeliveryPolicyError, match="failed to parse JSON"):
        stored_subscription_policy(text)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('{"https":{}}', "invalid JSON. Attribute https is unknown."),
        ('{"http":{"x":1}}', "invalid JSON. Attribute http.x is unknown."),
        (
            '{"http":{"defaultThrottlePolicy":{"x":1}}}',
            "invalid JSON. Attribute http.defaultThrottlePolicy.x is unknown.",
        ),
        ('{"\\ud800":1}', "invalid JSON. Attribute \ufffd is unknown."),
        ('{"http":[]}', "http type mismatch, expecting object, received an array"),
        (
            '{"http":{"disableSubscriptionOverrides":"true"}}',
            "http.disableSubscriptionOverrides type mismatch, expecting boolean, received a string",
        ),
        (
            '{"http":{"defaultHealthyRetryPolicy":{"minDelayTarget":"5"}}}',
            "http.defaultHealthyRetryPolicy.minDelayTarget type mismatch, expecting integer,"
            " received a string",
        ),
        (
            '{"http":{"defaultHealthyRetryPolicy":{"minDelayTarget":30}}}',
            "http.defaultHealthyRetryPolicy.maxDelayTarget must be greater than or equal to"
            " minDelayTarget",
        ),
        (
            '{"http":{"defaultThrottlePolicy":{"maxReceivesPerSecond":0}}}',
            "http.defaultThrottlePolicy.maxReceivesPerSecond must be greater than or equal to 1",
        ),
    ],
)
def test_the_problem_of_a_topics_policy_is_named(text: str, problem: str) -> None:
    assert problem_of_topic(text) == problem


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"minDelayTarget": None}, ".minDelayTarget must be specified"),
        ({"maxDelayTarget": None}, ".maxDelayTarget must be specified"),
        ({"numRetries": None}, ".numRetries must be specified"),
        ({"minDelayTarget": 0}, ".minDelayTarget must be greater than or equal to 1"),
        (
            {"maxDelayTarget": 3_601},
            ".maxDelayTarget must be less than or equal to 3600",
        ),
        (
            {"minDelayTarget": 11},
            ".maxDelayTarget must be greater than or equal to minDelayTarget",
        ),
        ({"numRetries": -1}, ".numRetries must be greater than or equal to 0"),
        ({"numRetries": 101}, ".numRetries must be less than or equal to 100"),
        ({"numMinDelayRetries": -1}, ".numMinDelayRetries must be greater than or equal to 0"),
        (
            {"numRetries": True},
            ".numRetries type mismatch, expecting integer, received a boolean",
        ),
        (
            {"numRetries": 2.0},
            ".numRetries type mismatch, expecting integer, received a double",
        ),
        (
            {"numNoDelayRetries": 2, "numMinDelayRetries": 2, "numMaxDelayRetries": 2},
            ".numRetries must be greater than or equal to the sum of numNoDelayRetries,"
            " numMinDelayRetries and numMaxDelayRetries",
        ),
        (
            {"backoffFunction": "cubic"},
            ".backoffFunction must be one of linear, arithmetic, geometric, exponential",
        ),
        (
            {"minDelayTarget": 721, "maxDelayTarget": 721},
            " total delay of retries must be less than or equal to 3600 seconds",
        ),
    ],
)
def test_the_problem_of_a_retry_policy_is_named(changes: dict[str, Any], problem: str) -> None:
    assert problem_of_retries(**changes) == problem


@pytest.mark.parametrize(
    "policy",
    [
        {"minDelayTarget": 720, "maxDelayTarget": 720, "numRetries": 5},  # 3600 s
        {"minDelayTarget": 1, "maxDelayTarget": 3_600, "numRetries": 1},
        {"minDelayTarget": 20, "maxDelayTarget": 20, "numRetries": 100},
        {
            "minDelayTarget": 1,
            "maxDelayTarget": 60,
            "numRetries": 50,
            "numNoDelayRetries": 3,
            "numMinDelayRetries": 2,
            "numMaxDelayRetries": 35,
            "backoffFunction": "exponential",
        },
    ],
)
def test_policies_at_the_limits_are_accepted(policy: dict[str, Any]) -> None:
    stored = subscription(healthyRetryPolicy=policy)
    assert stored is not None
    assert json.loads(stored)["healthyRetryPolicy"].items() >= policy.items()


@pytest.mark.parametrize(
    "content_type",
    [
        "application/json",
        "text/xml",
        "application/x-www-form-urlencoded",
        "text/plain; charset=UTF-8",
        "application/json;Charset=iso-8859-1",
        "TEXT/Plain",
    ],
)
def test_listed_content_types_are_accepted(content_type: str) -> None:
    stored = subscription(requestPolicy={"headerContentType": content_type})
    assert http_delivery(None, stored).content_type == content_type


@pytest.mark.parametrize(
    "content_type",
    [
        "",
        "json",
        "image/png",
        "application/json;",
        "application/json; q=1",
        "text/plain; charset=",
        "text/plain\r\nX-Other: 1",
        "text/plain; charset=a\r\nX-Other: 1",
        "text/plain; charset=a\n",
    ],
)
def test_other_content_types_are_refused(content_type: str) -> None:
    with pytest.raises(DeliveryPolicyError) as refusal:
        subscription(requestPolicy={"headerContentType": content_type})
    assert refusal.value.detail == (
        "DeliveryPolicy: requestPolicy.headerContentType is not a supported content type"
    )


def test_a_topics_form_is_none_for_a_subscription() -> None:
    with pytest.raises(DeliveryPolicyError) as refusal:
        stored_subscription_policy('{"http":{}}')
    assert refusal.value.detail == "DeliveryPolicy: invalid JSON. Attribute http is unknown."
