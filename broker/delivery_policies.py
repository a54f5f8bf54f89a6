"""Delivery policies: how often, how fast and as what endpoints get it (SNS reference, 5.10).

Topics and their http and https subscriptions may have one, which clients write as JSON (3.1,
3.2); all other protocols follow fixed ones.
"""

import json
import math
import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from itertools import count
from typing import Any, NamedTuple

from broker.envelopes import DEFAULT_CONTENT_TYPE, well_formed

_TOTAL_DELAY_S_MAX = 3_600
_DELAY_S_MAX = 3_600
_RETRIES_MAX = 100

_BACKOFF_FUNCTIONS = ("linear", "arithmetic", "geometric", "exponential")
_CONTENT_TYPES = (
    "application/atom+xml",
    "application/javascript",
    "application/json",
    "application/octet-stream",
    "application/soap+xml",
    "application/svg+xml",
    "application/x-www-form-urlencoded",
    "application/xhtml+xml",
    "application/xml",
    "text/css",
    "text/csv",
    "text/html",
    "text/plain",
    "text/xml",
)
_CHARSET = re.compile(r"; ?charset=[A-Za-z0-9._-]{1,40}", re.I)


class DeliveryPolicyError(Exception):
    """A policy that cannot be accepted; ``detail`` is AWS's text after ``Invalid parameter: ``."""

    def __init__(self, problem: str) -> None:
        self.detail = f"DeliveryPolicy: {well_formed(problem)}"
        super().__init__(self.detail)


# --- retries ------------------------------------------------------------------------------------


class RetryPolicy(NamedTuple):
    """When an attempt that failed is repeated: four phases, in the order of these counts."""

    no_delay_retries: int
    min_delay_retries: int
    backoff_retries: int
    max_delay_retries: int
    min_delay_ms: int
    max_delay_ms: int
    backoff_function: str  # linear | arithmetic | geometric | exponential


#: queues, functions and streams: 23 days
MANAGED_ENDPOINT_RETRIES = RetryPolicy(3, 2, 10, 100_000, 1_000, 20_000, "exponential")
#: what somebody else runs, and a stream that is throttled: more than 6 hours
EXTERNAL_ENDPOINT_RETRIES = RetryPolicy(0, 2, 10, 38, 10_000, 600_000, "exponential")

#: the policies of protocols that have no choice; http and https have one (``http_delivery``)
FIXED_RETRY_POLICIES: Mapping[str, RetryPolicy] = {
    "sqs": MANAGED_ENDPOINT_RETRIES,
    "lambda": MANAGED_ENDPOINT_RETRIES,
    "firehose": MANAGED_ENDPOINT_RETRIES,
    "email": EXTERNAL_ENDPOINT_RETRIES,
    "email-json": EXTERNAL_ENDPOINT_RETRIES,
    "sms": EXTERNAL_ENDPOINT_RETRIES,
    "application": EXTERNAL_ENDPOINT_RETRIES,
}


def retry_delay_ms(policy: RetryPolicy, retries_done: int) -> int | None:
    """How long after an attempt the next retry is due; None: there is none left.

    The delays are exact: AWS adds jitter, which would only make a local schedule unpredictable.
    """
    retry = retries_done
    if retry < policy.no_delay_retries:
        return 0
    retry -= policy.no_delay_retries
    if retry < policy.min_delay_retries:
        return policy.min_delay_ms
    retry -= policy.min_delay_retries
    if retry < policy.backoff_retries:
        return _backoff_delay_ms(policy, retry)
    retry -= policy.backoff_retries
    if retry < policy.max_delay_retries:
        return policy.max_delay_ms
    return None


def _backoff_delay_ms(policy: RetryPolicy, retry: int) -> int:
    """The delay before a retry of the backoff phase, counted from 0.

    The first is the minimum, the last the maximum (a single one: the minimum).  In between, from
    one to the next, the delay grows

    - linear: by the same amount,
    - arithmetic: by amounts that grow evenly: 1, 2, 3 … parts,
    - geometric: by the same factor,
    - exponential: by amounts that double: 1, 2, 4 … parts.

    AWS names the functions and draws their curves, but gives no formula.  Broken milliseconds are
    dropped, of the geometric ones rounded.
    """
    last = policy.backoff_retries - 1
    if retry == 0:
        return policy.min_delay_ms
    span = policy.max_delay_ms - policy.min_delay_ms
    match policy.backoff_function:
        case "linear":
            return policy.min_delay_ms + span * retry // last
        case "arithmetic":
            return policy.min_delay_ms + span * retry * (retry + 1) // (last * (last + 1))
        case "exponential":
            return policy.min_delay_ms + span * ((1 << retry) - 1) // ((1 << last) - 1)
        case _:
            factor = policy.max_delay_ms / policy.min_delay_ms
            return round(policy.min_delay_ms * math.pow(factor, retry / last))


# --- what clients may write ---------------------------------------------------------------------

_Check = Callable[[str, Any], None]  # (path, value), or raises

_TYPE_NAMES = {
    bool: "a boolean",
    int: "an integer",
    float: "a double",
    str: "a string",
    list: "an array",
    dict: "an object",
}


def _type_check(path: str, value: Any, expected: type, name: str) -> None:
    if type(value) is not expected:  # a boolean is no integer
        raise DeliveryPolicyError(
            f"{path} type mismatch, expecting {name}, received {_TYPE_NAMES[type(value)]}"
        )


def _integer(low: int, high: int | None = None) -> _Check:
    def check(path: str, value: Any) -> None:
        _type_check(path, value, int, "integer")
        if value < low:
            raise DeliveryPolicyError(f"{path} must be greater than or equal to {low}")
        if high is not None and value > high:
            raise DeliveryPolicyError(f"{path} must be less than or equal to {high}")

    return check


def _boolean(path: str, value: Any) -> None:
    _type_check(path, value, bool, "boolean")


def _backoff_function(path: str, value: Any) -> None:
    _type_check(path, value, str, "string")
    if value not in _BACKOFF_FUNCTIONS:
        raise DeliveryPolicyError(f"{path} must be one of {', '.join(_BACKOFF_FUNCTIONS)}")


def _content_type(path: str, value: Any) -> None:
    _type_check(path, value, str, "string")
    media_type, separator, parameter = value.partition(";")
    if media_type.lower() not in _CONTENT_TYPES or (
        separator and not _CHARSET.fullmatch(separator + parameter)
    ):
        raise DeliveryPolicyError(f"{path} is not a supported content type")


def _object(members: Mapping[str, _Check], *, required: tuple[str, ...] = ()) -> _Check:
    def check(path: str, value: Any) -> None:
        _type_check(path, value, dict, "object")
        within = f"{path}." if path else ""
        for name in value:
            if name not in members:
                raise DeliveryPolicyError(f"invalid JSON. Attribute {within}{name} is unknown.")
        for name, check_member in members.items():
            if name in value:
                check_member(f"{within}{name}", value[name])
            elif name in required:
                raise DeliveryPolicyError(f"{within}{name} must be specified")

    return check


#: each member of a retry policy: what it is if not given, and what it may be
_RETRY_MEMBERS: Mapping[str, tuple[Any, _Check]] = {
    "minDelayTarget": (20, _integer(1, _DELAY_S_MAX)),
    "maxDelayTarget": (20, _integer(1, _DELAY_S_MAX)),
    "numRetries": (3, _integer(0, _RETRIES_MAX)),
    "numMaxDelayRetries": (0, _integer(0)),
    "numNoDelayRetries": (0, _integer(0)),
    "numMinDelayRetries": (0, _integer(0)),
    "backoffFunction": ("linear", _backoff_function),
}
_RETRY_DEFAULTS = {name: default for name, (default, _) in _RETRY_MEMBERS.items()}


def _retries(*, required: tuple[str, ...] = ()) -> _Check:
    check_members = _object(
        {name: check for name, (_, check) in _RETRY_MEMBERS.items()}, required=required
    )

    def check(path: str, value: Any) -> None:
        check_members(path, value)
        fields = _RETRY_DEFAULTS | value
        if fields["maxDelayTarget"] < fields["minDelayTarget"]:
            raise DeliveryPolicyError(
                f"{path}.maxDelayTarget must be greater than or equal to minDelayTarget"
            )
        policy = _retry_policy(fields)
        if policy.backoff_retries < 0:
            raise DeliveryPolicyError(
                f"{path}.numRetries must be greater than or equal to the sum of"
                " numNoDelayRetries, numMinDelayRetries and numMaxDelayRetries"
            )
        if _total_delay_ms(policy) > _TOTAL_DELAY_S_MAX * 1000:
            raise DeliveryPolicyError(
                f"{path} total delay of retries must be less than or equal to"
                f" {_TOTAL_DELAY_S_MAX} seconds"
            )

    return check


def _retry_policy(fields: Mapping[str, Any]) -> RetryPolicy:
    """The schedule that a complete retry policy, in seconds, means."""
    no_delay, min_delay, max_delay = (
        fields[f"num{phase}DelayRetries"] for phase in ("No", "Min", "Max")
    )
    return RetryPolicy(
        no_delay_retries=no_delay,
        min_delay_retries=min_delay,
        backoff_retries=fields["numRetries"] - no_delay - min_delay - max_delay,
        max_delay_retries=max_delay,
        min_delay_ms=fields["minDelayTarget"] * 1000,
        max_delay_ms=fields["maxDelayTarget"] * 1000,
        backoff_function=fields["backoffFunction"],
    )


def _total_delay_ms(policy: RetryPolicy) -> int:
    delays = (retry_delay_ms(policy, done) for done in count())
    return sum(iter(lambda: next(delays), None))


_THROTTLE = _object({"maxReceivesPerSecond": _integer(1)})
_REQUEST = _object({"headerContentType": _content_type})
#: the members of a topic's ``http``, in the order in which they are kept
_TOPIC_MEMBERS: Mapping[str, _Check] = {
    "defaultHealthyRetryPolicy": _retries(),
    "disableSubscriptionOverrides": _boolean,
    "defaultThrottlePolicy": _THROTTLE,
    "defaultRequestPolicy": _REQUEST,
}
_TOPIC = _object({"http": _object(_TOPIC_MEMBERS)})
_SUBSCRIPTION = _object(
    {
        "healthyRetryPolicy": _retries(required=("minDelayTarget", "maxDelayTarget", "numRetries")),
        "sicklyRetryPolicy": _retries(),
        "throttlePolicy": _THROTTLE,
        "requestPolicy": _REQUEST,
        "guaranteed": _boolean,
    }
)


def _read(text: str, check: _Check) -> dict[str, Any]:
    """The object in a text, without members that are null."""
    try:
        document = _without_nulls(json.loads(text, parse_constant=_refuse_constant))
    except (ValueError, RecursionError):
        raise DeliveryPolicyError("failed to parse JSON.") from None
    if not isinstance(document, dict):
        raise DeliveryPolicyError("failed to parse JSON.")
    check("", document)
    return document


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_nulls(each) for name, each in value.items() if each is not None}
    return value


def _write(document: Mapping[str, Any]) -> str:
    return json.dumps(document, separators=(",", ":"))


# --- topics (3.1) -------------------------------------------------------------------------------


def stored_topic_policy(text: str) -> str | None:
    """What is kept of a topic's DeliveryPolicy as a client wrote it; empty: none.

    What was not given is left out, except ``disableSubscriptionOverrides``.  Raises
    ``DeliveryPolicyError``.
    """
    if not text:
        return None
    http = {"disableSubscriptionOverrides": False} | _read(text, _TOPIC).get("http", {})
    return _write({"http": {name: http[name] for name in _TOPIC_MEMBERS if name in http}})


def effective_topic_policy(stored: str | None) -> str:
    """A topic's EffectiveDeliveryPolicy: what was stored of its own over the defaults."""
    return _write({"http": _effective_http(stored)})


def _effective_http(stored: str | None) -> dict[str, Any]:
    own = json.loads(stored)["http"] if stored else {}
    effective = {
        "defaultHealthyRetryPolicy": _RETRY_DEFAULTS | own.get("defaultHealthyRetryPolicy", {}),
        "disableSubscriptionOverrides": own.get("disableSubscriptionOverrides", False),
    }
    if own.get("defaultThrottlePolicy"):
        effective["defaultThrottlePolicy"] = own["defaultThrottlePolicy"]
    effective["defaultRequestPolicy"] = {"headerContentType": DEFAULT_CONTENT_TYPE} | own.get(
        "defaultRequestPolicy", {}
    )
    return effective


# --- subscriptions by http and https (3.2) ------------------------------------------------------


def stored_subscription_policy(text: str) -> str | None:
    """What is kept of a subscription's DeliveryPolicy as a client wrote it; empty: none.

    Always the same five members; ``sicklyRetryPolicy`` and ``guaranteed`` are accepted but mean
    nothing.  Raises ``DeliveryPolicyError``.
    """
    if not text:
        return None
    given = _read(text, _SUBSCRIPTION)
    healthy = given.get("healthyRetryPolicy")
    return _write(
        _subscription_members(
            _RETRY_DEFAULTS | healthy if healthy is not None else None,
            given.get("throttlePolicy") or None,
            given.get("requestPolicy") or None,
        )
    )


def _subscription_members(healthy: Any, throttle: Any, request: Any) -> dict[str, Any]:
    return {
        "healthyRetryPolicy": healthy,
        "sicklyRetryPolicy": None,
        "throttlePolicy": throttle,
        "requestPolicy": request,
        "guaranteed": False,
    }


def effective_subscription_policy(topic_stored: str | None, stored: str | None) -> str:
    """A subscription's EffectiveDeliveryPolicy: its own over its topic's over the defaults.

    The topic's ``disableSubscriptionOverrides`` leaves out its own.
    """
    return _write(_effective_subscription(topic_stored, stored))


def _effective_subscription(topic_stored: str | None, stored: str | None) -> dict[str, Any]:
    http = _effective_http(topic_stored)
    own = json.loads(stored) if stored and not http["disableSubscriptionOverrides"] else {}
    return _subscription_members(
        own.get("healthyRetryPolicy") or http["defaultHealthyRetryPolicy"],
        own.get("throttlePolicy") or http.get("defaultThrottlePolicy"),
        own.get("requestPolicy") or http["defaultRequestPolicy"],
    )


class HttpDelivery(NamedTuple):
    """How an http or https endpoint is delivered to."""

    retry_policy: RetryPolicy
    max_receives_per_second: int | None  # None: no limit
    content_type: str  # of notifications, raw or not


@lru_cache(maxsize=1_024)  # asked for with every delivery
def http_delivery(topic_stored: str | None, stored: str | None) -> HttpDelivery:
    """What a subscription's effective policy means; both as they are kept."""
    effective = _effective_subscription(topic_stored, stored)
    return HttpDelivery(
        _retry_policy(effective["healthyRetryPolicy"]),
        (effective["throttlePolicy"] or {}).get("maxReceivesPerSecond"),
        effective["requestPolicy"]["headerContentType"],
    )
