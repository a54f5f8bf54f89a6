"""One topic, three queues: filter policies decide who gets what.

    make run                                (in another terminal)
    .venv/bin/python examples/sns_fan_out.py

Five orders are published.  The archive takes all of them; the fraud check wants what its filter
policy says of the messages' attributes; the shipping to islands looks into the messages themselves.
The endpoint is http://127.0.0.1:4566 unless AWS_ENDPOINT_URL or --endpoint says otherwise; any
credentials will do.
"""

import argparse
import json
import os
from typing import Any

import boto3

#: queues with the attributes of their subscriptions
SUBSCRIBERS: dict[str, dict[str, Any]] = {
    "orders-archive": {},
    # all keys must match, and of each key one of the rules
    "orders-fraud": {
        "FilterPolicy": {
            "amount": [{"numeric": [">=", 1000]}],
            "payment": [{"anything-but": "invoice"}],
        }
    },
    "orders-islands": {
        "FilterPolicyScope": "MessageBody",
        "FilterPolicy": {"address": {"country": ["IS", "MT", {"prefix": "FO"}]}},
    },
}

ORDERS = [
    {"order": 1, "amount": 20, "payment": "card", "address": {"country": "DE"}},
    {"order": 2, "amount": 5000, "payment": "card", "address": {"country": "IS"}},
    {"order": 3, "amount": 7000, "payment": "invoice", "address": {"country": "DE"}},
    {"order": 4, "amount": 1000, "payment": "gift card", "address": {"country": "FR"}},
    {"order": 5, "amount": 3.5, "payment": "card", "address": {"country": "FO"}},
]


def subscribe(sns: Any, sqs: Any, topic_arn: str, name: str, attributes: dict[str, Any]) -> str:
    """Make a queue and subscribe it; its URL.

    On AWS the queue would also need a policy that lets the topic send to it.
    """
    url: str = sqs.create_queue(QueueName=name)["QueueUrl"]
    queue = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
    sns.subscribe(
        TopicArn=topic_arn,
        Protocol="sqs",
        Endpoint=queue["Attributes"]["QueueArn"],
        Attributes={
            # the message as it was published, not in an envelope
            "RawMessageDelivery": "true",
            **{
                key: value if isinstance(value, str) else json.dumps(value)
                for key, value in attributes.items()
            },
        },
    )
    return url


def publish(sns: Any, topic_arn: str) -> None:
    """Publish all orders in one call."""
    answer = sns.publish_batch(
        TopicArn=topic_arn,
        PublishBatchRequestEntries=[
            {
                "Id": str(order["order"]),
                "Message": json.dumps(order),
                "MessageAttributes": {
                    "amount": {"DataType": "Number", "StringValue": str(order["amount"])},
                    "payment": {"DataType": "String", "StringValue": order["payment"]},
                },
            }
            for order in ORDERS
        ],
    )
    print(f"published {len(answer['Successful'])} orders")


def empty(sqs: Any, url: str) -> list[int]:
    """Take all orders out of a queue; their numbers."""
    numbers = []
    while messages := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
        for message in messages:
            numbers.append(json.loads(message["Body"])["order"])
            sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    return sorted(numbers)


def main() -> None:
    """Run it all once."""
    parser = argparse.ArgumentParser(description="One topic, three queues, filter policies.")
    parser.add_argument(
        "--endpoint", default=os.environ.get("AWS_ENDPOINT_URL", "http://127.0.0.1:4566")
    )
    options = {
        "endpoint_url": parser.parse_args().endpoint,
        "region_name": "us-east-1",
        "aws_access_key_id": "test",
        "aws_secret_access_key": "test",
    }
    sns, sqs = boto3.client("sns", **options), boto3.client("sqs", **options)
    topic_arn = sns.create_topic(Name="orders")["TopicArn"]
    urls = {
        name: subscribe(sns, sqs, topic_arn, name, attributes)
        for name, attributes in SUBSCRIBERS.items()
    }
    publish(sns, topic_arn)
    # a publish is answered when its copies are in the queues: there is nothing to wait for
    for name, url in urls.items():
        print(f"{name} got {', '.join(map(str, empty(sqs, url)))}")


if __name__ == "__main__":
    main()
