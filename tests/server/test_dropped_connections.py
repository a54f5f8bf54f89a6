"""Connections that a fault ends: what is on the wire, in the log, and what an SDK makes of it."""

import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import boto3
import httpx
import pytest
from botocore.config import Config
from botocore.exceptions import ConnectionClosedError

from tests.server.conftest import StartServer
from tests.support.process import ROOT, Server, environment, read_answer, request_bytes


@pytest.fixture
def server(start_server: StartServer) -> Iterator[Server]:
    """A server whose log has nothing to say of what is done here."""
    server = start_server("--store", "memory")
    yield server
    if server.alive:
        server.stop()
    assert "Traceback" not in server.stderr
    assert "ASGI" not in server.stderr


def add(server: Server, kind: str, /, match: dict[str, Any], **members: Any) -> None:
    """A rule that strikes once."""
    rule = {"match": match, "fault": {"kind": kind, **members}, "times": 1}
    url = f"http://{server.host}:{server.port}/_headrace/faults"
    response = httpx.post(url, json=rule, trust_env=False)
    assert response.status_code == 201, response.text


def sqs_client(server: Server, attempts: int) -> Any:
    """A boto3 client that tries so often."""
    return boto3.client(
        "sqs",
        endpoint_url=f"http://{server.host}:{server.port}",
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=Config(retries={"total_max_attempts": attempts}),
    )


def counts(server: Server, url: str) -> tuple[str, str]:
    attributes = server.attributes(url)
    return (
        attributes["ApproximateNumberOfMessages"],
        attributes["ApproximateNumberOfMessagesNotVisible"],
    )


def test_a_dropped_connection_ends_without_a_byte_and_the_next_is_served(server: Server) -> None:
    url = server.create_queue("jobs")
    add(server, "droppedConnection", {"queue": "jobs", "actions": ["SendMessage"]})
    request = request_bytes("SendMessage", QueueUrl=url, MessageBody="x")
    with closing(server.connect()) as connection:
        connection.sendall(request)
        assert connection.recv(1) == b""
    assert counts(server, url) == ("0", "0")
    with closing(server.connect()) as connection:
        connection.sendall(request)
        assert read_answer(connection)[0] == 200


def test_what_came_before_on_a_connection_is_answered_and_what_came_after_is_not_done(
    server: Server,
) -> None:
    url = server.create_queue("jobs")
    add(server, "droppedConnection", {"queue": "jobs", "actions": ["ReceiveMessage"]})
    send = request_bytes("SendMessage", QueueUrl=url, MessageBody="x")
    receive = request_bytes("ReceiveMessage", QueueUrl=url)
    with closing(server.connect()) as connection:
        connection.sendall(send + receive + send)
        received = b"".join(iter(lambda: _piece(connection), b""))
    assert received.count(b"HTTP/1.1 200 OK") == 1
    assert received.endswith(b"}")
    assert counts(server, url) == ("1", "0")


def _piece(connection: socket.socket) -> bytes:
    try:
        return connection.recv(65_536)
    except ConnectionResetError:  # what was sent and not read any more
        return b""


@pytest.mark.parametrize(("done", "left"), [(True, ("0", "0")), (False, ("0", "1"))])
def test_a_delete_whose_reply_is_lost_shows_boto3_a_closed_connection(
    server: Server, done: bool, left: tuple[str, str]
) -> None:
    url = server.create_queue("jobs")
    server.call("SendMessage", QueueUrl=url, MessageBody="x")
    [message] = server.receive(url)
    add(server, "lostReply", {"queue": "jobs"}, done=done)
    with closing(sqs_client(server, attempts=1)) as sqs:
        with pytest.raises(ConnectionClosedError):
            sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        assert counts(server, url) == left
        sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    assert counts(server, url) == ("0", "0")


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("droppedConnection", {}),
        ("httpError", {"status": 500}),
        ("httpError", {"status": 502}),
        ("httpError", {"status": 503}),
        ("httpError", {"status": 504}),
        ("throttling", {"code": "RequestThrottled"}),
        ("throttling", {"code": "ThrottlingException"}),
    ],
)
def test_boto3_tries_again_and_succeeds(server: Server, kind: str, options: dict[str, Any]) -> None:
    url = server.create_queue("jobs")
    add(server, kind, {"queue": "jobs", "actions": ["SendMessage"]}, **options)
    with closing(sqs_client(server, attempts=2)) as sqs:
        answer = sqs.send_message(QueueUrl=url, MessageBody="x")
    assert answer["ResponseMetadata"]["RetryAttempts"] == 1
    assert counts(server, url) == ("1", "0")


def test_a_client_that_gives_up_during_a_latency_has_been_heard(server: Server) -> None:
    url = server.create_queue("jobs")
    add(server, "latency", {"queue": "jobs", "actions": ["SendMessage"]}, ms=300)
    with closing(server.connect()) as connection:
        connection.sendall(request_bytes("SendMessage", QueueUrl=url, MessageBody="x"))
        server.catch_up()
    assert len(server.receive(url, WaitTimeSeconds=10)) == 1


def test_a_latency_does_not_hold_up_the_end_of_the_server(server: Server) -> None:
    url = server.create_queue("jobs")
    add(server, "latency", {"queue": "jobs", "actions": ["SendMessage"]}, ms=300_000)
    with closing(server.connect()) as connection:
        connection.sendall(request_bytes("SendMessage", QueueUrl=url, MessageBody="x"))
        server.catch_up()
        assert server.stop() == 0


def test_the_program_of_the_document_runs(server: Server) -> None:
    document = (ROOT / "docs/faults.md").read_text("utf-8")
    [program] = re.findall(r"```python\n(.*?)```", document, re.DOTALL)
    program = program.replace("http://localhost:4566", f"http://{server.host}:{server.port}")
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=environment(
            {
                "AWS_ACCESS_KEY_ID": "test",
                "AWS_SECRET_ACCESS_KEY": "test",
                "AWS_DEFAULT_REGION": "us-east-1",
                "NO_PROXY": server.host,
            }
        ),
    )
    assert (done.stdout, done.stderr, done.returncode) == ("", "", 0)
