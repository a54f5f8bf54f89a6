"""A message that always fails, and ends in the dead-letter queue a quarter of an hour later.

The test of a scenario that takes 15 minutes, in milliseconds: the broker's clock is frozen, and
advanced when the scenario says that time passes.

    headrace serve --store memory --clock frozen
    AWS_ENDPOINT_URL_SQS=http://127.0.0.1:4566 python frozen_clock.py
"""

import json
import os
import time
import urllib.request
from typing import Any

import boto3

ENDPOINT = os.environ.get("AWS_ENDPOINT_URL_SQS", "http://127.0.0.1:4566")


def clock(verb: str, **body: object) -> Any:
    """Do something to the broker's clock; what came of it."""
    url = f"{ENDPOINT}/_headrace/clock/{verb}"
    with urllib.request.urlopen(url, json.dumps(body).encode()) as response:  # noqa: S310
        return json.load(response)


def main() -> None:
    """Fail three times, five minutes apart."""
    sqs = boto3.client(
        "sqs",
        "us-east-1",
        endpoint_url=ENDPOINT,
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )
    began = time.monotonic()
    clock("freeze")
    dead = sqs.create_queue(QueueName="orders-dead")["QueueUrl"]
    dead_arn = sqs.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])
    orders = sqs.create_queue(
        QueueName="orders",
        Attributes={
            "VisibilityTimeout": "300",
            "RedrivePolicy": json.dumps(
                {
                    "deadLetterTargetArn": dead_arn["Attributes"]["QueueArn"],
                    "maxReceiveCount": 3,
                }
            ),
        },
    )["QueueUrl"]
    sqs.send_message(QueueUrl=orders, MessageBody="an order nobody can fulfil")

    for attempt in (1, 2, 3):
        [message] = sqs.receive_message(QueueUrl=orders)["Messages"]
        print(f"attempt {attempt}: {message['Body']}")
        early = clock("advance", duration="4m59s")
        assert early["queues"] == [], "it came back too early"
        due = clock("advance", duration="1s")
        print(f"five minutes later: {due['queues'][0]['becameVisible']} message is back")

    assert "Messages" not in sqs.receive_message(QueueUrl=orders)
    [message] = sqs.receive_message(QueueUrl=dead)["Messages"]
    print(f"in the dead-letter queue: {message['Body']}")
    assert time.monotonic() - began < 60, "nobody waits a quarter of an hour"


if __name__ == "__main__":
    main()
