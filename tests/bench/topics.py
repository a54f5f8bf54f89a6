"""What the figures about topics have in common: topics, subscribed queues, publishes."""

from collections.abc import Iterable, Mapping

from tests.bench.client import (
    SNS_HEADERS,
    TEXT,
    BenchError,
    call,
    drive,
    raw_request,
    raw_sns_request,
    sns_form,
)
from tests.bench.load import Load

_OWNER = "us-east-1:000000000000"

Attribute = tuple[str, str, str]  # name, type, value


def topic_arn(name: str) -> str:
    """The ARN of a topic, whether there is one or not."""
    return f"arn:aws:sns:{_OWNER}:{name}"


def create_topic(port: int, name: str) -> str:
    """Create a topic and return its ARN."""
    drive(port, [raw_sns_request("CreateTopic", {"Name": name})], connections=1)
    return topic_arn(name)


def create_queues(port: int, count: int) -> list[str]:
    """Create queues, and return their ARNs."""
    names = [f"subscribed-{number}" for number in range(count)]
    drive(port, (raw_request("CreateQueue", QueueName=name) for name in names))
    return [f"arn:aws:sqs:{_OWNER}:{name}" for name in names]


def waiting_in(port: int, queue_arn: str) -> int:
    """How many messages wait in a queue."""
    name = queue_arn.rpartition(":")[2]
    url = call(port, "GetQueueUrl", QueueName=name)["QueueUrl"]
    counted = "ApproximateNumberOfMessages"
    answer = call(port, "GetQueueAttributes", QueueUrl=url, AttributeNames=[counted])
    return int(answer["Attributes"][counted])


def subscription(
    topic: str, protocol: str, endpoint: str, attributes: Mapping[str, str] | None = None
) -> bytes:
    """The request that subscribes an endpoint."""
    parameters = {"TopicArn": topic, "Protocol": protocol, "Endpoint": endpoint}
    for number, (name, value) in enumerate((attributes or {}).items(), 1):
        parameters[f"Attributes.entry.{number}.key"] = name
        parameters[f"Attributes.entry.{number}.value"] = value
    return raw_sns_request("Subscribe", parameters)


def subscribe_queues(
    port: int, topic: str, subscribed: Iterable[tuple[str, Mapping[str, str]]]
) -> None:
    """Subscribe queues, each with attributes."""
    drive(port, (subscription(topic, "sqs", arn, attributes) for arn, attributes in subscribed))


def publish_request(topic: str, attribute: Attribute | None = None) -> bytes:
    """The request that publishes 256 bytes, with an attribute if one is given."""
    return raw_sns_request("Publish", _publish_parameters(topic, attribute))


def publishes(topic: str, attribute: Attribute) -> Load:
    """The same publish of 256 bytes and an attribute, again and again."""
    form = sns_form("Publish", _publish_parameters(topic, attribute))
    return Load("fixed.lua", (form,), SNS_HEADERS)


def check_arrived(port: int, queue_arn: str, expected: int) -> None:
    """Raise unless so many messages wait in a queue: what did not arrive cost nothing."""
    waiting = waiting_in(port, queue_arn)
    if waiting != expected:
        raise BenchError(f"{waiting:,} copies of {expected:,} are in {queue_arn}")


def _publish_parameters(topic: str, attribute: Attribute | None) -> dict[str, str]:
    parameters = {"TopicArn": topic, "Message": TEXT}
    if attribute is not None:
        name, kind, value = attribute
        entry = "MessageAttributes.entry.1"
        parameters[f"{entry}.Name"] = name
        parameters[f"{entry}.Value.DataType"] = kind
        parameters[f"{entry}.Value.StringValue"] = value
    return parameters
