"""A Celery application on kombu's SQS transport.

    make run                                (in another terminal)
    .venv/bin/python examples/celery_tasks.py

It starts a worker, sends 100 tasks and waits until all of them have been carried out.  To run a
worker by hand: ``.venv/bin/celery --workdir examples --app celery_tasks worker --pool solo``.  The
endpoint is http://127.0.0.1:4566 unless AWS_ENDPOINT_URL_SQS or --endpoint says otherwise; any
credentials will do.

What Celery needs to know to talk to Headrace is all in ``configure``.
"""

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
from celery import Celery

TASKS = 100
TIMEOUT_S = 60
RESULTS = "celery-results"


def endpoint() -> str:
    """Where Headrace is."""
    return os.environ.get("AWS_ENDPOINT_URL_SQS", "http://127.0.0.1:4566")


def configure(celery: Celery) -> None:
    """Have an application use Headrace as its broker."""
    address = urlsplit(endpoint())
    celery.conf.update(
        broker_url=f"sqs://test:test@{address.hostname}:{address.port}//",
        task_default_queue="celery",
        broker_connection_retry_on_startup=True,
        broker_transport_options={
            "is_secure": address.scheme == "https",
            "region": "us-east-1",
            # Queues are looked up by their names, and made when they are missing.  Where that is
            # not wanted, name them here: {"predefined_queues": {"celery": {"url": …}}}.
            "wait_time_seconds": 5,  # how long a receive waits; 20 at most
            "visibility_timeout": 60,  # a task whose worker died starts again after that
        },
        worker_enable_remote_control=False,  # SQS has no broadcast
        worker_send_task_events=False,
        worker_prefetch_multiplier=10,
        # Delete a message when its task is done, not when it begins.
        task_acks_late=True,
        task_ignore_result=True,
    )


app = Celery("celery_tasks")
configure(app)


def results_client() -> Any:
    """The tasks tell their results through a queue of their own: SQS is no result backend."""
    return boto3.client(
        "sqs",
        endpoint_url=endpoint(),
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )


@app.task
def square(number: int) -> None:
    """Send the square of a number to the queue of results."""
    sqs = results_client()
    url = sqs.get_queue_url(QueueName=RESULTS)["QueueUrl"]
    sqs.send_message(QueueUrl=url, MessageBody=f"{number} {number * number}")


def collect(sqs: Any, url: str, worker: "subprocess.Popen[bytes]") -> dict[int, int]:
    """The results, once there is one of every task."""
    found: dict[int, int] = {}
    deadline = time.monotonic() + TIMEOUT_S
    while len(found) < TASKS:
        if worker.poll() is not None:
            raise SystemExit(f"the worker ended with status {worker.returncode}")
        if time.monotonic() > deadline:
            raise SystemExit(f"after {TIMEOUT_S} s there are {len(found)} results")
        answer = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=1)
        for message in answer.get("Messages", []):
            number, result = message["Body"].split()
            found[int(number)] = int(result)
            sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    return found


def main() -> None:
    """Start a worker, send the tasks, wait for them, stop the worker."""
    parser = argparse.ArgumentParser(description="A Celery application on Headrace.")
    parser.add_argument("--endpoint", default=endpoint())
    # also tells the worker, which inherits it
    os.environ["AWS_ENDPOINT_URL_SQS"] = parser.parse_args().endpoint
    configure(app)
    sqs = results_client()
    url = sqs.create_queue(QueueName=RESULTS)["QueueUrl"]
    options = ["--pool", "solo", "--loglevel", "warning", "--without-gossip", "--without-mingle"]
    worker = subprocess.Popen(  # noqa: S603 - the command is ours
        [sys.executable, "-m", "celery", "--app", "celery_tasks", "worker", *options],
        cwd=Path(__file__).parent,
        stdout=sys.stderr,  # its greeting is long
    )
    try:
        for number in range(TASKS):
            square.delay(number)
        print(f"sent {TASKS} tasks")
        results = collect(sqs, url, worker)
        wrong = {number for number, result in results.items() if result != number * number}
        print(f"{len(results) - len(wrong)} of {TASKS} tasks done")
    finally:
        worker.terminate()
        worker.wait()


if __name__ == "__main__":
    main()
