"""Amazon resource names of queues, topics and subscriptions, both ways."""

import re

from broker.topic_errors import InvalidParameter
from storage.records import QueueKey
from storage.topic_records import SubscriptionRecord, TopicKey

_PARTITIONS = {"cn-": "aws-cn", "us-gov-": "aws-us-gov"}
_ARN = re.compile(r"arn:(aws|aws-cn|aws-us-gov):([a-z0-9-]+):([a-z0-9-]*):(\d{12}|):([!-~]+)", re.A)


def queue_arn(key: QueueKey) -> str:
    """``arn:<partition>:sqs:<region>:<account>:<name>``."""
    return f"arn:{partition(key.region)}:sqs:{key.region}:{key.account}:{key.name}"


def partition(region: str) -> str:
    """The AWS partition a region belongs to."""
    for prefix, name in _PARTITIONS.items():
        if region.startswith(prefix):
            return name
    return "aws"


def parse_arn(arn: str) -> tuple[str, QueueKey] | None:
    """The service and the place of a resource name; None if it has not the form of an ARN."""
    match = _ARN.fullmatch(arn)
    if match is None:
        return None
    _, service, region, account, name = match.groups()
    return service, QueueKey(account, region, name)


def parse_queue_arn(arn: str) -> QueueKey | None:
    """The queue an ARN names; None if it is not the ARN of a queue."""
    parsed = parse_arn(arn)
    if parsed is None or parsed[0] != "sqs":
        return None
    return parsed[1]


# --- topics and subscriptions (SNS reference, 1.7) -----------------------------------------------


def topic_arn(key: TopicKey) -> str:
    """``arn:<partition>:sns:<region>:<account>:<name>``."""
    return f"arn:{partition(key.region)}:sns:{key.region}:{key.account}:{key.name}"


def subscription_arn(record: SubscriptionRecord) -> str:
    """The topic's ARN and the subscription's UUID."""
    return f"{topic_arn(record.topic)}:{record.subscription_id}"


def arn_parts(arn: str | None, parameter: str) -> list[str]:
    """The parts of an ARN in a request about topics.

    Raises ``InvalidParameter`` if there is none, or too little for one.
    """
    if arn is None:
        raise InvalidParameter.missing(parameter)
    parts = arn.split(":")
    if len(parts) < 6:
        raise InvalidParameter.of(
            f"{parameter} Reason: An ARN must have at least 6 elements, not {len(parts)}"
        )
    return parts


def read_topic_arn(arn: str | None, region: str, *, parameter: str = "TopicArn") -> TopicKey:
    """The topic that an ARN in a request to that region names.

    Raises ``InvalidParameter``, also for a topic of another region [AWS].
    """
    parts = arn_parts(arn, parameter)
    if len(parts) != 6 or parts[:3] != ["arn", partition(region), "sns"] or parts[3] != region:
        raise InvalidParameter.of(parameter)
    return TopicKey(parts[4], region, parts[5])


def read_subscription_arn(arn: str | None) -> str:
    """The id of the subscription that an ARN in a request names; raises ``InvalidParameter``."""
    parts = arn_parts(arn, "SubscriptionArn")
    if len(parts) < 7 or parts[2] != "sns":
        raise InvalidParameter.of("SubscriptionId")
    return parts[6]
