"""Queue attributes: one table of names, values and rules (SQS reference, section 3).

Clients write attributes as strings; the broker works with ``QueueSettings``.  Both ways, and the
refusals in between, follow from ``ATTRIBUTES``.
"""

import dataclasses
import json
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from broker import limits
from broker.arns import parse_arn, parse_queue_arn, queue_arn
from broker.errors import InvalidAttributeName, InvalidAttributeValue, InvalidParameterValue
from broker.policies import check_policy
from storage.records import (
    Counts,
    QueueRecord,
    QueueSettings,
    RedriveAllowPolicy,
    RedrivePolicy,
)

Parse = Callable[[str, str], Any]  # (attribute name, value) -> typed value, or raises


class Attribute(NamedTuple):
    """One attribute that clients can set: the field it is kept in, and both directions.

    ``render`` answers None where GetQueueAttributes leaves the attribute out.
    """

    field: str
    parse: Parse
    render: Callable[[QueueSettings], str | None]
    fifo_only: bool = False


# --- values -------------------------------------------------------------------------------------


def _integer(low: int, high: int, *, unit: int = 1) -> Parse:
    def parse(name: str, value: str) -> int:
        # strict decimal: no sign, blank, fraction or other script's digits
        if not (value.isascii() and value.isdigit() and len(value) <= 10):
            raise InvalidAttributeValue(name)
        if not low <= int(value) <= high:
            raise InvalidAttributeValue(name)
        return int(value) * unit

    return parse


def _boolean(name: str, value: str) -> bool:
    if value.lower() not in ("true", "false"):
        raise InvalidAttributeValue(name)
    return value.lower() == "true"


def _one_of(*values: str) -> Parse:
    def parse(name: str, value: str) -> str:
        if value not in values:
            raise InvalidAttributeValue(name)
        return value

    return parse


def _optional_text(_name: str, value: str) -> str | None:
    return value or None


def _policy(name: str, value: str) -> str | None:
    if not value:
        return None
    if not check_policy(
        value,
        bytes_max=limits.POLICY_BYTES_MAX,
        statements_max=limits.POLICY_STATEMENTS_MAX,
    ):
        raise InvalidAttributeValue(name)
    return value


def _json_object(text: str) -> dict[str, Any] | None:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def parse_redrive_policy(name: str, value: str) -> RedrivePolicy | None:
    """The dead-letter rule in a RedrivePolicy (3.4); empty: none.

    Whether its queue exists is for the broker to find out.
    """
    if not value:
        return None

    def refuse(reason: str) -> InvalidParameterValue:
        return InvalidParameterValue.of(name, value, reason)

    policy = _json_object(value)
    if policy is None:
        raise InvalidAttributeValue(name, "Redrive policy is not a valid JSON map.")
    for mandatory in ("maxReceiveCount", "deadLetterTargetArn"):
        if mandatory not in policy:
            raise refuse(f"Redrive policy does not contain mandatory attribute: {mandatory}.")
    if len(policy) > 2:
        raise refuse(
            "Only following attributes are supported: [deadLetterTargetArn, maxReceiveCount]."
        )
    count = policy["maxReceiveCount"]
    digits = str(count) if isinstance(count, int | str) and not isinstance(count, bool) else ""
    if not (
        digits.isascii()
        and digits.isdigit()
        and len(digits) <= 10
        and 1 <= int(digits) <= limits.MAX_RECEIVE_COUNT_MAX
    ):
        raise refuse(
            f"Invalid value for maxReceiveCount: {count}, valid values are from 1 to"
            f" {limits.MAX_RECEIVE_COUNT_MAX} both inclusive."
        )
    arn = policy["deadLetterTargetArn"]
    parsed = parse_arn(arn) if isinstance(arn, str) else None
    if parsed is None:
        raise refuse("Dead-letter target ARN should be fully qualified ARN.")
    if parsed[0] != "sqs":
        raise refuse("Only SQS queues are valid resources for deadLetterTargetArn.")
    return RedrivePolicy(arn, int(digits))


_ALLOW_UNSUPPORTED = (
    "Amazon SQS can't create the redrive allow policy, as it’s in an unsupported format."  # noqa: RUF001
)


def parse_redrive_allow_policy(name: str, value: str) -> RedriveAllowPolicy | None:
    """Who may use the queue as dead-letter queue (3.5); empty: everybody."""
    if not value:
        return None

    def refuse(reason: str) -> InvalidParameterValue:
        return InvalidParameterValue.of(name, value, reason)

    policy = _json_object(value)
    if policy is None or not policy.keys() <= {"redrivePermission", "sourceQueueArns"}:
        raise InvalidAttributeValue(name, _ALLOW_UNSUPPORTED)
    permission = policy.get("redrivePermission")
    arns = policy.get("sourceQueueArns")
    if permission not in ("allowAll", "denyAll", "byQueue"):
        raise InvalidAttributeValue(name, _ALLOW_UNSUPPORTED)
    if arns is not None and not (
        isinstance(arns, list) and all(isinstance(arn, str) for arn in arns)
    ):
        raise InvalidAttributeValue(name, _ALLOW_UNSUPPORTED)
    if permission == "byQueue" and not arns:
        raise refuse(
            "Amazon SQS can't create the redrive allow policy. When you specify the byQueue"
            " permission type, you must also specify one or more sourceQueueArns values."
        )
    if permission != "byQueue" and arns is not None:
        raise refuse(
            "Amazon SQS can't create the redrive allow policy. To specify one or more source"
            " queue ARNs, you must set redrivePermission to byQueue."
        )
    if arns and len(arns) > limits.REDRIVE_ALLOW_SOURCES_MAX:
        raise refuse(
            "Amazon SQS can't create the redrive allow policy. The maximum number of source"
            f" queue ARNs you can specify is {limits.REDRIVE_ALLOW_SOURCES_MAX}."
        )
    if any(parse_queue_arn(arn) is None for arn in arns or ()):
        raise InvalidAttributeValue(name, _ALLOW_UNSUPPORTED)
    return RedriveAllowPolicy(permission, tuple(arns or ()))


def _render_boolean(value: bool) -> str:
    return "true" if value else "false"


def _render_redrive_policy(settings: QueueSettings) -> str | None:
    policy = settings.redrive_policy
    if policy is None:
        return None
    return json.dumps(
        {
            "deadLetterTargetArn": policy.dead_letter_target_arn,
            "maxReceiveCount": policy.max_receive_count,
        },
        separators=(",", ":"),
    )


def _render_redrive_allow_policy(settings: QueueSettings) -> str | None:
    policy = settings.redrive_allow_policy
    if policy is None:
        return None
    rendered: dict[str, Any] = {"redrivePermission": policy.permission}
    if policy.source_queue_arns:
        rendered["sourceQueueArns"] = list(policy.source_queue_arns)
    return json.dumps(rendered, separators=(",", ":"))


def _render_kms_reuse(settings: QueueSettings) -> str | None:
    period = settings.kms_data_key_reuse_period_s
    return str(period) if settings.kms_master_key_id or period != 300 else None


# --- the table ----------------------------------------------------------------------------------

ATTRIBUTES: Mapping[str, Attribute] = {
    "VisibilityTimeout": Attribute(
        "visibility_timeout_ms",
        _integer(0, limits.VISIBILITY_TIMEOUT_S_MAX, unit=1000),
        lambda s: str(s.visibility_timeout_ms // 1000),
    ),
    "MaximumMessageSize": Attribute(
        "maximum_message_size_bytes",
        _integer(1_024, limits.MESSAGE_BYTES_MAX),
        lambda s: str(s.maximum_message_size_bytes),
    ),
    "MessageRetentionPeriod": Attribute(
        "message_retention_period_ms",
        _integer(60, 1_209_600, unit=1000),
        lambda s: str(s.message_retention_period_ms // 1000),
    ),
    "DelaySeconds": Attribute(
        "delay_ms", _integer(0, limits.DELAY_S_MAX, unit=1000), lambda s: str(s.delay_ms // 1000)
    ),
    "ReceiveMessageWaitTimeSeconds": Attribute(
        "receive_message_wait_time_ms",
        _integer(0, limits.RECEIVE_WAIT_S_MAX, unit=1000),
        lambda s: str(s.receive_message_wait_time_ms // 1000),
    ),
    "Policy": Attribute("policy", _policy, lambda s: s.policy),
    "RedrivePolicy": Attribute("redrive_policy", parse_redrive_policy, _render_redrive_policy),
    "RedriveAllowPolicy": Attribute(
        "redrive_allow_policy", parse_redrive_allow_policy, _render_redrive_allow_policy
    ),
    "SqsManagedSseEnabled": Attribute(
        "sqs_managed_sse_enabled",
        _boolean,
        lambda s: _render_boolean(s.sqs_managed_sse_enabled),
    ),
    "KmsMasterKeyId": Attribute("kms_master_key_id", _optional_text, lambda s: s.kms_master_key_id),
    "KmsDataKeyReusePeriodSeconds": Attribute(
        "kms_data_key_reuse_period_s", _integer(60, 86_400), _render_kms_reuse
    ),
    "FifoQueue": Attribute("fifo", _boolean, lambda s: _render_boolean(s.fifo), fifo_only=True),
    "ContentBasedDeduplication": Attribute(
        "content_based_deduplication",
        _boolean,
        lambda s: _render_boolean(s.content_based_deduplication),
        fifo_only=True,
    ),
    "DeduplicationScope": Attribute(
        "deduplication_scope",
        _one_of("queue", "messageGroup"),
        lambda s: s.deduplication_scope,
        fifo_only=True,
    ),
    "FifoThroughputLimit": Attribute(
        "fifo_throughput_limit",
        _one_of("perQueue", "perMessageGroupId"),
        lambda s: s.fifo_throughput_limit,
        fifo_only=True,
    ),
}

#: read-only attributes: from the record and the counts
_READ_ONLY: Mapping[str, Callable[[QueueRecord, Counts], str]] = {
    "QueueArn": lambda record, _: queue_arn(record.key),
    "CreatedTimestamp": lambda record, _: str(record.created_at_ms // 1000),
    "LastModifiedTimestamp": lambda record, _: str(record.modified_at_ms // 1000),
    "ApproximateNumberOfMessages": lambda _, counts: str(counts.visible),
    "ApproximateNumberOfMessagesNotVisible": lambda _, counts: str(counts.in_flight),
    "ApproximateNumberOfMessagesDelayed": lambda _, counts: str(counts.delayed),
}
#: every name that GetQueueAttributes knows, ``All`` apart
QUEUE_ATTRIBUTE_NAMES = frozenset({*ATTRIBUTES, *_READ_ONLY})
COUNTED = frozenset(name for name in _READ_ONLY if name.startswith("Approximate"))


# --- reading and writing ------------------------------------------------------------------------


def parse_attributes(attributes: Mapping[str, str], *, fifo: bool) -> dict[str, Any]:
    """What a client asks to set, by settings field; the whole map is checked before it is used.

    ``fifo``: whether the queue is, or is to be, a FIFO queue.  Raises ``InvalidAttributeName`` or
    ``InvalidAttributeValue`` (or ``InvalidParameterValue``, for the policies).
    """
    changes: dict[str, Any] = {}
    for name, value in attributes.items():
        attribute = ATTRIBUTES.get(name)
        if attribute is None:
            raise InvalidAttributeName(f"Unknown Attribute {name}.")
        if attribute.fifo_only and not fifo:
            if name in ("DeduplicationScope", "FifoThroughputLimit"):
                raise InvalidAttributeName(
                    f"You can specify the {name} only when FifoQueue is set to true."
                )
            raise InvalidAttributeName(f"Unknown Attribute {name}.")
        changes[attribute.field] = attribute.parse(name, value)
    return changes


def apply_changes(settings: QueueSettings, changes: Mapping[str, Any]) -> QueueSettings:
    """The settings after the changes, with the rules that concern several of them (3.3, 3.6)."""
    changes = dict(changes)
    if changes.get("kms_master_key_id"):
        if changes.get("sqs_managed_sse_enabled"):
            raise InvalidAttributeName(
                "You can use one type of server-side encryption (SSE) at one time. You can either"
                " enable KMS SSE or SQS SSE."
            )
        changes["sqs_managed_sse_enabled"] = False
    elif changes.get("sqs_managed_sse_enabled"):
        changes["kms_master_key_id"] = None
    changed = dataclasses.replace(settings, **changes)
    if (
        changed.fifo_throughput_limit == "perMessageGroupId"
        and changed.deduplication_scope != "messageGroup"
    ):
        raise InvalidParameterValue(
            "The perMessageGroupId value is allowed only when the value for DeduplicationScope is"
            " messageGroup"
        )
    return changed


def first_difference(settings: QueueSettings, changes: Mapping[str, Any]) -> str | None:
    """The name of the first attribute that is not as asked for; None if all are."""
    fields = {attribute.field: name for name, attribute in ATTRIBUTES.items()}
    for field, value in changes.items():
        current = getattr(settings, field)
        if current != value and not (field == "policy" and _same_json(current, value)):
            return fields[field]
    return None


def _same_json(first: str | None, second: str | None) -> bool:
    return bool(first and second) and _json_object(first or "") == _json_object(second or "")


def render_attributes(record: QueueRecord, counts: Counts, names: list[str]) -> dict[str, str]:
    """The attributes of that names that the queue has; ``All`` stands for every one."""
    if "All" in names:
        names = [*ATTRIBUTES, *_READ_ONLY]
    rendered = {}
    for name in names:
        value: str | None
        if name in _READ_ONLY:
            value = _READ_ONLY[name](record, counts)
        elif ATTRIBUTES[name].fifo_only and not record.settings.fifo:
            value = None
        else:
            value = ATTRIBUTES[name].render(record.settings)
        if value is not None:
            rendered[name] = value
    return rendered


def check_attribute_names(names: list[str]) -> None:
    """Raise ``InvalidAttributeName`` for the first name that no queue attribute has."""
    for name in names:
        if name != "All" and name not in QUEUE_ATTRIBUTE_NAMES:
            raise InvalidAttributeName(f"Unknown Attribute {name}.")
