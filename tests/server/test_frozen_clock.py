"""A server started with a frozen clock, turned over HTTP, used with boto3."""

import json
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

from tests.support.process import Server

Sqs = Any  # boto3 makes its clients at run time


@pytest.fixture(params=["memory", "sqlite"])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Server]:
    store = "memory" if request.param == "memory" else f"sqlite:{tmp_path / 'headrace.db'}"
    with Server(tmp_path, "--store", store, "--clock", "frozen") as started:
        yield started
        assert started.stderr == ""


@pytest.fixture
def sqs(server: Server) -> Iterator[Sqs]:
    client = boto3.client(
        "sqs",
        "us-east-1",
        endpoint_url=server.endpoint,
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=Config(retries={"total_max_attempts": 1}),
    )
    with closing(client):
        yield client


def clock(server: Server, verb: str = "", **body: object) -> Any:
    """Read the clock, or do something to it."""
    url = f"{server.endpoint}/_headrace/clock{'/' if verb else ''}{verb}"
    content = json.dumps(body).encode() if verb else None
    with urllib.request.urlopen(url, content, timeout=30) as response:  # noqa: S310
        return json.load(response)


def test_time_stands_still_until_it_is_advanced(server: Server, sqs: Sqs) -> None:
    url = sqs.create_queue(QueueName="jobs")["QueueUrl"]
    sqs.send_message(QueueUrl=url, MessageBody="later", DelaySeconds=900)
    first, second = clock(server), clock(server)
    assert first["frozen"] and first["nowMs"] == second["nowMs"]
    assert "Messages" not in sqs.receive_message(QueueUrl=url)

    answer = clock(server, "advance", duration="15m")

    assert answer["nowMs"] - first["nowMs"] == 900_000
    assert answer["queues"][0]["becameVisible"] == 1
    [message] = sqs.receive_message(QueueUrl=url, AttributeNames=["All"])["Messages"]
    assert message["Attributes"]["SentTimestamp"] == str(first["nowMs"])


def test_a_long_poll_of_another_connection_ends_when_the_clock_is_turned(
    server: Server, sqs: Sqs
) -> None:
    url = sqs.create_queue(QueueName="jobs")["QueueUrl"]
    sqs.send_message(QueueUrl=url, MessageBody="later", DelaySeconds=10)
    got: list[str] = []

    def poll() -> None:
        received = sqs.receive_message(QueueUrl=url, WaitTimeSeconds=20)
        got.extend(each["Body"] for each in received["Messages"])

    poller = threading.Thread(target=poll)
    poller.start()
    while clock(server, "advance", seconds=0)["longPolls"]["parked"] == 0:
        assert poller.is_alive()
    assert clock(server, "advance", seconds=10)["longPolls"] == {"ended": 1, "parked": 0}
    poller.join(timeout=10)
    assert got == ["later"]


def test_a_clock_that_is_resumed_runs(server: Server) -> None:
    resumed = clock(server, "resume")
    while clock(server)["nowMs"] == resumed["nowMs"]:
        pass
    assert clock(server, "set", now="2030-01-01T00:00:00Z")["now"].startswith("2030-01-01T00:00")
