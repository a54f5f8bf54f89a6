"""A producer and a worker with a dead-letter queue, on boto3.

    make run                                (in another terminal)
    .venv/bin/python examples/boto3_worker.py

The producer sends jobs, one of which can never be done.  The worker does the others and deletes
them; the bad one comes back until it has been received three times, and is then found in the
dead-letter queue.  The endpoint is http://127.0.0.1:4566 unless AWS_ENDPOINT_URL_SQS or --endpoint
says otherwise; any credentials will do.
"""

import argparse
import json
import os
from typing import Any

import boto3

MAX_RECEIVES = 3


def make_queues(sqs: Any) -> tuple[str, str]:
    """The queue of jobs, and the one for those that keep failing."""
    dead_url = sqs.create_queue(QueueName="jobs-dead")["QueueUrl"]
    dead_arn = sqs.get_queue_attributes(QueueUrl=dead_url, AttributeNames=["QueueArn"])[
        "Attributes"
    ]["QueueArn"]
    jobs_url = sqs.create_queue(
        QueueName="jobs",
        Attributes={
            "VisibilityTimeout": "30",
            "RedrivePolicy": json.dumps(
                {"deadLetterTargetArn": dead_arn, "maxReceiveCount": MAX_RECEIVES}
            ),
        },
    )["QueueUrl"]
    return jobs_url, dead_url


def produce(sqs: Any, jobs_url: str) -> None:
    """Send ten jobs in one call."""
    entries = [
        {"Id": str(number), "MessageBody": json.dumps({"divide": 100, "by": number})}
        for number in range(10)
    ]
    answer = sqs.send_message_batch(QueueUrl=jobs_url, Entries=entries)
    print(f"sent {len(answer['Successful'])} jobs")


def work(sqs: Any, jobs_url: str) -> None:
    """Do jobs until none has come for a second."""
    while True:
        messages = sqs.receive_message(
            QueueUrl=jobs_url,
            MaxNumberOfMessages=10,
            WaitTimeSeconds=1,
            MessageSystemAttributeNames=["ApproximateReceiveCount"],
        ).get("Messages", [])
        if not messages:
            return
        for message in messages:
            job = json.loads(message["Body"])
            handle = message["ReceiptHandle"]
            try:
                result = job["divide"] / job["by"]
            except ZeroDivisionError as error:
                count = message["Attributes"]["ApproximateReceiveCount"]
                print(f"failed {message['Body']} the {count}. time: {error}")
                # Without this it would come back too, when its visibility timeout ends.
                sqs.change_message_visibility(
                    QueueUrl=jobs_url, ReceiptHandle=handle, VisibilityTimeout=0
                )
            else:
                print(f"done {message['Body']}: {result:g}")
                sqs.delete_message(QueueUrl=jobs_url, ReceiptHandle=handle)


def bury(sqs: Any, dead_url: str) -> None:
    """Show what ended in the dead-letter queue, and delete it."""
    while messages := sqs.receive_message(QueueUrl=dead_url).get("Messages"):
        for message in messages:
            print(f"dead {message['Body']}")
            sqs.delete_message(QueueUrl=dead_url, ReceiptHandle=message["ReceiptHandle"])


def main() -> None:
    """Run it all once."""
    parser = argparse.ArgumentParser(description="A producer and a worker on boto3.")
    parser.add_argument(
        "--endpoint", default=os.environ.get("AWS_ENDPOINT_URL_SQS", "http://127.0.0.1:4566")
    )
    sqs = boto3.client(
        "sqs",
        endpoint_url=parser.parse_args().endpoint,
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )
    jobs_url, dead_url = make_queues(sqs)
    produce(sqs, jobs_url)
    work(sqs, jobs_url)
    bury(sqs, dead_url)


if __name__ == "__main__":
    main()
