"""The attributes of topics: what may be set, and how they are told (SNS reference, 3.1)."""

import json
import re
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from broker import limits
from broker.arns import topic_arn
from broker.delivery_policies import (
    DeliveryPolicyError,
    effective_topic_policy,
    stored_topic_policy,
)
from broker.topic_errors import InvalidParameter
from broker.topic_policies import default_policy, policy_problem
from storage.topic_records import SubscriptionRecord, SubscriptionState, TopicRecord


class AttributeRefused(Exception):
    """An attribute's value that cannot be accepted; the text is the end of AWS's."""

    def of_a_creation(self) -> InvalidParameter:
        """As CreateTopic and Subscribe tell it."""
        return InvalidParameter.of(f"Attributes Reason: {self}")

    def of_a_change(self) -> InvalidParameter:
        """As SetTopicAttributes and SetSubscriptionAttributes tell it."""
        return InvalidParameter.of(str(self))


class _Attribute(NamedTuple):
    """``read`` gives the form in which a value is kept (None: unset), or refuses it."""

    read: Callable[[str, str], str | None]
    standard: bool = True
    fifo: bool = True
    changeable: bool = True


def _refuse(name: str, value: str, wanted: str) -> AttributeRefused:
    return AttributeRefused(f"{name}: Invalid value [{value}]. {wanted}")


def _boolean(name: str, value: str) -> str:
    if value.lower() not in ("true", "false"):
        raise _refuse(name, value, "Must be true or false.")
    return value.lower()


def _one_of(*choices: str) -> Callable[[str, str], str]:
    def read(name: str, value: str) -> str:
        if value not in choices:
            raise _refuse(name, value, f"Must be one of [{', '.join(choices)}].")
        return value

    return read


def _integer(lowest: int, highest: int) -> Callable[[str, str], str | None]:
    def read(name: str, value: str) -> str | None:
        if not value:
            return None
        if not re.fullmatch(r"\d{1,9}", value, re.ASCII) or not lowest <= int(value) <= highest:
            raise _refuse(name, value, f"Must be an integer between {lowest} and {highest}.")
        return str(int(value))

    return read


def _optional_text(_name: str, value: str) -> str | None:
    return value or None


def _display_name(name: str, value: str) -> str:
    if len(value) > limits.DISPLAY_NAME_CHARACTERS_MAX or not _is_one_line(value):
        raise AttributeRefused(name)
    return value


def _is_one_line(text: str) -> bool:
    return not any(ord(character) < 32 or ord(character) == 127 for character in text)


def _policy(_name: str, value: str) -> str | None:
    if not value:
        return None
    problem = policy_problem(value)
    if problem is not None:
        raise AttributeRefused(problem)
    return value


def _delivery_policy(_name: str, value: str) -> str | None:
    if not value:
        return None
    try:
        return stored_topic_policy(value)
    except DeliveryPolicyError as error:
        raise AttributeRefused(error.detail) from None


def _archive_policy(name: str, value: str) -> str | None:
    try:
        policy = json.loads(value)
    except (ValueError, RecursionError):
        raise AttributeRefused(f"{name}: failed to parse JSON.") from None
    if policy == {}:
        return None
    if not isinstance(policy, dict) or policy.keys() != {"MessageRetentionPeriod"}:
        raise AttributeRefused(f"{name}: MessageRetentionPeriod must be specified")
    days = policy["MessageRetentionPeriod"]
    if (
        isinstance(days, bool)
        or not isinstance(days, str | int)
        or not re.fullmatch(r"\d{1,3}", str(days), re.ASCII)
        or not 1 <= int(days) <= limits.ARCHIVE_DAYS_MAX
    ):
        raise AttributeRefused(
            f"{name}: MessageRetentionPeriod must be an integer between 1 and"
            f" {limits.ARCHIVE_DAYS_MAX}"
        )
    return value


_FEEDBACK_PROTOCOLS = ("HTTP", "SQS", "Lambda", "Firehose", "Application")
_ATTRIBUTES: Mapping[str, _Attribute] = {
    "DisplayName": _Attribute(_display_name),
    "Policy": _Attribute(_policy),
    "DeliveryPolicy": _Attribute(_delivery_policy),
    "SignatureVersion": _Attribute(_one_of("1", "2")),
    "TracingConfig": _Attribute(_one_of("PassThrough", "Active"), fifo=False),
    "KmsMasterKeyId": _Attribute(_optional_text),
    "MaximumMessageSize": _Attribute(
        _integer(limits.PUBLISH_BYTES_LOWEST_MAX, limits.PUBLISH_BYTES_HIGHEST_MAX)
    ),
    "FifoTopic": _Attribute(_boolean, changeable=False),
    "ContentBasedDeduplication": _Attribute(_boolean, standard=False),
    "FifoThroughputScope": _Attribute(_one_of("Topic", "MessageGroup"), standard=False),
    "ArchivePolicy": _Attribute(_archive_policy, standard=False),
    **{
        f"{protocol}{what}": _Attribute(read)
        for protocol in _FEEDBACK_PROTOCOLS
        for what, read in (
            ("SuccessFeedbackRoleArn", _optional_text),
            ("FailureFeedbackRoleArn", _optional_text),
            ("SuccessFeedbackSampleRate", _integer(0, 100)),
        )
    },
}


def read_new_attributes(attributes: Mapping[str, str], *, fifo: bool) -> dict[str, str]:
    """The attributes of a topic to be created, as they are kept.

    Raises ``InvalidParameter`` for a name or value that is not accepted.
    """
    kept = {}
    for name, value in attributes.items():
        attribute = _ATTRIBUTES.get(name)
        if attribute is None:
            raise InvalidParameter.of(f"Attributes Reason: Unknown attribute {name}")
        try:
            read = _read(name, attribute, value, fifo=fifo)
        except AttributeRefused as refused:
            raise refused.of_a_creation() from None
        if read is not None:
            kept[name] = read
    if fifo:
        kept.setdefault("ContentBasedDeduplication", "false")
    else:
        kept.pop("FifoTopic", None)  # `false` is accepted and forgotten [AWS]
    return kept


def read_changed_attribute(name: str, value: str, *, fifo: bool) -> str | None:
    """An attribute of an existing topic, as it is kept; None: it is unset.

    Raises ``InvalidParameter`` for a name or value that is not accepted.
    """
    attribute = _ATTRIBUTES.get(name)
    if attribute is None or not attribute.changeable:
        raise InvalidParameter.of("AttributeName")
    try:
        return _read(name, attribute, value, fifo=fifo)
    except AttributeRefused as refused:
        raise refused.of_a_change() from None


def _read(name: str, attribute: _Attribute, value: str, *, fifo: bool) -> str | None:
    if not (attribute.fifo if fifo else attribute.standard):
        kind = "FIFO" if fifo else "standard"
        raise AttributeRefused(f"{name}: not supported for {kind} topics")
    return attribute.read(name, value)


def render_attributes(
    topic: TopicRecord,
    subscriptions: list[SubscriptionRecord],
    *,
    archive_begins_at: str | None,
) -> dict[str, str]:
    """What GetTopicAttributes answers."""
    pending = sum(each.state is SubscriptionState.PENDING for each in subscriptions)
    rendered = {
        "TopicArn": topic_arn(topic.key),
        "Owner": topic.key.account,
        "DisplayName": "",
        "Policy": default_policy(topic.key),
        "SubscriptionsConfirmed": str(len(subscriptions) - pending),
        "SubscriptionsPending": str(pending),
        "SubscriptionsDeleted": str(topic.subscriptions_deleted),
        "EffectiveDeliveryPolicy": effective_topic_policy(topic.attributes.get("DeliveryPolicy")),
        **topic.attributes,
    }
    if archive_begins_at is not None:
        rendered["BeginningArchiveTime"] = archive_begins_at
    return rendered


def has_other_attributes(
    topic: TopicRecord, attributes: Mapping[str, str], *, asked: Iterable[str]
) -> bool:
    """Whether an attribute asked for by CreateTopic is not as the topic has it (2.1).

    ``attributes``: as ``read_new_attributes`` gives them.  One that was never set on the topic
    differs from every value, unless it is always told.
    """
    always = {"DisplayName": "", "Policy": default_policy(topic.key)}
    return any(
        not same_value(
            attributes.get(name, always.get(name)), topic.attributes.get(name, always.get(name))
        )
        for name in asked
        if name != "FifoTopic"  # which the name says
    )


def same_value(one: str | None, other: str | None) -> bool:
    """Whether two values of an attribute mean the same; None: not set.

    A JSON object may be written in several ways.
    """
    if one is None or other is None or one == other:
        return one == other
    try:
        return _canonical(one) == _canonical(other)
    except (ValueError, RecursionError):
        return False


def _canonical(text: str) -> str:
    document = json.loads(text)
    if not isinstance(document, dict):
        raise ValueError("no object")
    return json.dumps(document, sort_keys=True)
