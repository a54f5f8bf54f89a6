"""The attributes of subscriptions: what may be set, and how they are told (SNS reference, 3.2)."""

import json
import re
from calendar import timegm
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from broker.arns import parse_queue_arn, subscription_arn, topic_arn
from broker.delivery_policies import (
    DeliveryPolicyError,
    effective_subscription_policy,
    stored_subscription_policy,
)
from broker.filter_policies import FilterPolicyError, parse_filter_policy
from broker.topic_attributes import AttributeRefused, same_value
from storage.topic_records import (
    Replay,
    ReplayStatus,
    SubscriptionRecord,
    SubscriptionState,
    TopicRecord,
)

DEFAULT_SCOPE = "MessageAttributes"
_DEFAULTS = {"FilterPolicyScope": DEFAULT_SCOPE, "RawMessageDelivery": "false"}
_HTTP = ("http", "https")
_NAMES = frozenset(
    {
        "DeliveryPolicy",
        "FilterPolicy",
        "FilterPolicyScope",
        "RawMessageDelivery",
        "RedrivePolicy",
        "ReplayPolicy",
        "SubscriptionRoleArn",
    }
)
_INSTANT = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?(?:Z|\+00:?00)", re.ASCII
)


class Subscriber(NamedTuple):
    """What the rules of attributes depend on: who gets messages of which topic."""

    topic_fifo: bool
    protocol: str
    endpoint: str

    @property
    def fifo(self) -> bool:
        """Whether order is kept all the way: a FIFO topic and a FIFO queue."""
        return self.topic_fifo and self.endpoint.endswith(".fifo")


class UnknownAttribute(Exception):
    """There is no attribute of that name."""


def read_attributes(attributes: Mapping[str, str], subscriber: Subscriber) -> dict[str, str]:
    """The attributes of a subscription to be made, as they are kept.

    Raises ``UnknownAttribute`` or ``AttributeRefused``.
    """
    kept: dict[str, str] = {}
    # the scope says how the policy is to be read, wherever it stands
    for name in sorted(attributes, key=lambda name: name != "FilterPolicyScope"):
        read = read_attribute(name, attributes[name], kept, subscriber)
        if read is not None:
            kept[name] = read
    return kept


def read_attribute(
    name: str, value: str, others: Mapping[str, str], subscriber: Subscriber
) -> str | None:
    """One attribute as it is kept (None: unset), beside the others of the subscription.

    Raises ``UnknownAttribute`` or ``AttributeRefused``.
    """
    if name not in _NAMES:
        raise UnknownAttribute(name)
    if name == "RawMessageDelivery":
        if value.lower() not in ("true", "false"):
            raise AttributeRefused(f"{name}: Invalid value [{value}]. Must be true or false.")
        return value.lower()
    if name == "FilterPolicyScope":
        if value not in (DEFAULT_SCOPE, "MessageBody"):
            raise AttributeRefused(
                f"{name}: Invalid value [{value}]."
                " Please use either MessageBody or MessageAttributes"
            )
        _filter_policy(others.get("FilterPolicy", ""), value)  # has to be one in this scope too
        return value
    if name == "FilterPolicy":
        return _filter_policy(value, others.get("FilterPolicyScope", DEFAULT_SCOPE))
    if not value:
        return None
    if name == "RedrivePolicy":
        return _redrive_policy(value, subscriber)
    if name == "ReplayPolicy":
        return _replay_policy(value, subscriber)
    if name == "DeliveryPolicy":
        try:
            return stored_subscription_policy(value)
        except DeliveryPolicyError as error:
            raise AttributeRefused(error.detail) from None
    return value


def _filter_policy(text: str, scope: str) -> str | None:
    try:
        policy = parse_filter_policy(text, scope)
    except FilterPolicyError as error:
        where = "FilterPolicy: " if error.of_the_policy else ""
        raise AttributeRefused(f"{where}{error.detail}") from None
    return None if policy is None else text


def _json_object(name: str, text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        said = str(error) if isinstance(error, ValueError) else "nested too deeply"
        raise AttributeRefused(f"{name}: failed to parse JSON. {said}") from None
    if not isinstance(value, dict):
        raise AttributeRefused(f"{name}: failed to parse JSON. It must be an object")
    return value


def _redrive_policy(text: str, subscriber: Subscriber) -> str | None:
    policy = _json_object("RedrivePolicy", text)
    if not policy:
        return None
    for key in policy:
        if key != "deadLetterTargetArn":
            raise AttributeRefused(f"RedrivePolicy: invalid JSON. Attribute {key} is unknown.")
    arn = policy["deadLetterTargetArn"]
    target = parse_queue_arn(arn) if isinstance(arn, str) else None
    if target is None:
        raise AttributeRefused("RedrivePolicy: deadLetterTargetArn is an invalid arn")
    if subscriber.fifo and not target.name.endswith(".fifo"):
        raise AttributeRefused(
            "RedrivePolicy: must use a FIFO queue as DLQ for a FIFO Subscription to a FIFO Topic."
        )
    return text


def dead_letter_arn(attributes: Mapping[str, str]) -> str | None:
    """The queue that a subscription's redrive policy names, if it has one."""
    policy = attributes.get("RedrivePolicy")
    return None if policy is None else str(json.loads(policy)["deadLetterTargetArn"])


# --- replays (8.3) ------------------------------------------------------------------------------


def _replay_policy(text: str, subscriber: Subscriber) -> str | None:
    policy = _json_object("ReplayPolicy", text)
    if not policy:
        return None
    if not subscriber.topic_fifo:
        raise AttributeRefused("ReplayPolicy: only supported for subscriptions to FIFO topics")
    for key in policy:
        if key not in ("PointType", "StartingPoint", "EndingPoint"):
            raise AttributeRefused(f"ReplayPolicy: invalid JSON. Attribute {key} is unknown.")
    if policy.get("PointType") != "Timestamp":
        raise AttributeRefused("ReplayPolicy: PointType must be Timestamp")
    from_ms = _instant_ms(policy.get("StartingPoint"))
    if from_ms is None:
        raise AttributeRefused("ReplayPolicy: StartingPoint must be a timestamp")
    if "EndingPoint" in policy:
        until_ms = _instant_ms(policy["EndingPoint"])
        if until_ms is None:
            raise AttributeRefused("ReplayPolicy: EndingPoint must be a timestamp")
        if until_ms <= from_ms:
            raise AttributeRefused("ReplayPolicy: EndingPoint must be after StartingPoint")
    return text


def _instant_ms(text: object) -> int | None:
    """``2024-01-01T00:00:00.000Z`` in epoch milliseconds; None for anything else."""
    match = _INSTANT.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        return None
    year, month, day, hour, minute, second = (int(part) for part in match.groups()[:6])
    if not (year >= 1970 and 1 <= month <= 12 and 1 <= day <= 31):
        return None
    if hour > 23 or minute > 59 or second > 60:
        return None
    fraction = int(((match[7] or "") + "000")[:3])
    return timegm((year, month, day, hour, minute, second)) * 1000 + fraction


def replay_of(attributes: Mapping[str, str]) -> Replay | None:
    """The replay that a subscription's policy asks for, at its start."""
    text = attributes.get("ReplayPolicy")
    if text is None:
        return None
    policy = json.loads(text)
    from_ms = _instant_ms(policy["StartingPoint"])
    assert from_ms is not None  # checked when it was set
    return Replay(ReplayStatus.PENDING, from_ms, _instant_ms(policy.get("EndingPoint")))


# --- telling ------------------------------------------------------------------------------------


def render_attributes(record: SubscriptionRecord, topic: TopicRecord | None) -> dict[str, str]:
    """What GetSubscriptionAttributes answers; ``topic``: None if it was deleted."""
    rendered = {
        "SubscriptionArn": subscription_arn(record),
        "TopicArn": topic_arn(record.topic),
        "Owner": record.owner,
        "Protocol": record.protocol,
        "Endpoint": record.endpoint,
        "SubscriptionPrincipal": record.principal,
        "PendingConfirmation": "true" if record.state is SubscriptionState.PENDING else "false",
        "ConfirmationWasAuthenticated": (
            "true" if record.confirmation_was_authenticated else "false"
        ),
        "RawMessageDelivery": "false",
        **record.attributes,
    }
    if "FilterPolicy" in rendered:
        rendered.setdefault("FilterPolicyScope", DEFAULT_SCOPE)
    else:
        rendered.pop("FilterPolicyScope", None)
    if record.protocol in _HTTP:
        rendered["EffectiveDeliveryPolicy"] = effective_subscription_policy(
            None if topic is None else topic.attributes.get("DeliveryPolicy"),
            record.attributes.get("DeliveryPolicy"),
        )
    else:
        rendered.pop("DeliveryPolicy", None)
    if record.replay is not None:
        rendered["ReplayStatus"] = record.replay.status.value
    return rendered


def has_other_attributes(
    record: SubscriptionRecord, attributes: Mapping[str, str], *, asked: Iterable[str]
) -> bool:
    """Whether an attribute asked for by Subscribe is not as the subscription has it (2.2).

    ``attributes``: as ``read_attributes`` gives them.
    """
    return any(
        not same_value(
            attributes.get(name, _DEFAULTS.get(name)),
            record.attributes.get(name, _DEFAULTS.get(name)),
        )
        for name in asked
    )
