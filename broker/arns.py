"""Amazon resource names of queues, both ways."""

import re

from storage.records import QueueKey

_PARTITIONS = {"cn-": "aws-cn", "us-gov-": "aws-us-gov"}
_ARN = re.compile(r"arn:(aws|aws-cn|aws-us-gov):([a-z0-9-]+):([a-z0-9-]*):(\d{12}|):(.+)")


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
