"""Access logs: a line for each request, and nothing in it that must not be there."""

import io
import json
import logging
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from api.logs import configure_logging
from storage.contract import Storage
from tests.support.client import ApiError, Client
from tests.support.clock import FakeClock
from tests.support.server import MEMORY_ONLY, Server, running
from tests.support.sns import SnsClient

pytestmark = MEMORY_ONLY


@pytest.fixture(params=["text", "json"])
def log_format(request: pytest.FixtureRequest) -> str:
    """How log lines are written."""
    log_format: str = request.param
    return log_format


@pytest.fixture
def stream(log_format: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """Where log lines go, at level info."""
    stream = io.StringIO()
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    monkeypatch.setattr("sys.stderr", stream)
    root.handlers = []
    configure_logging("info", log_format)
    yield stream
    root.handlers = handlers
    root.setLevel(level)


@pytest.fixture
async def server(store: Storage, clock: FakeClock, stream: io.StringIO) -> AsyncIterator[Server]:
    """A server that writes access logs."""
    async with running(store, clock, log_requests=True) as server:
        yield server


def lines(stream: io.StringIO, log_format: str) -> list[dict[str, Any]]:
    """The access log so far, and its stream emptied; what differs in each run is taken out."""
    written = stream.getvalue().splitlines()
    stream.seek(0)
    stream.truncate()
    told: list[dict[str, Any]] = []
    for line in written:
        assert line.isascii()
        assert line.isprintable()
        if log_format == "json":
            fields = json.loads(line)
            assert fields.pop("time")
            assert (fields.pop("level"), fields.pop("logger")) == ("info", "headrace.access")
        else:
            head, _, rest = line.partition(" headrace.access: ")
            assert head.endswith(" info")
            pairs: dict[str, Any] = dict(pair.split("=", 1) for pair in rest.split(" "))
            fields = pairs
            fields["status"] = int(fields["status"])
        assert len(fields.pop("requestId")) == 36
        assert float(fields.pop("durationMs")) >= 0
        told.append(fields)
    return told


async def test_a_request_is_told_by_who_called_what_and_how_it_ended(
    server: Server, sqs: Client, stream: io.StringIO, log_format: str
) -> None:
    queue = await sqs.but(account="111122223333", region="eu-west-1").queue("jobs")
    await queue.send("a secret body")
    with pytest.raises(ApiError):
        await queue.call("DeleteMessage", ReceiptHandle="a secret handle")
    who = {"account": "111122223333", "region": "eu-west-1", "queue": "jobs"}
    assert lines(stream, log_format) == [
        {**who, "action": "CreateQueue", "status": 200},
        {**who, "action": "SendMessage", "status": 200},
        {
            **who,
            "action": "DeleteMessage",
            "status": 404,
            "error": "ReceiptHandleIsInvalid",
        },
    ]


async def test_a_request_about_a_topic_names_it(
    server: Server, sns: SnsClient, stream: io.StringIO, log_format: str
) -> None:
    topic = await sns.topic("news")
    await sns.call("Publish", TopicArn=topic, Message="a secret")
    arn = (await sns.call("Subscribe", TopicArn=topic, Protocol="sms", Endpoint="+491511234567"))[
        "SubscriptionArn"
    ]
    await sns.call("GetSubscriptionAttributes", SubscriptionArn=arn)
    await sns.call("Publish", PhoneNumber="+4915112345678", Message="a secret")
    told = lines(stream, log_format)
    assert [(each["action"], each.get("topic")) for each in told] == [
        ("CreateTopic", "news"),
        ("Publish", "news"),
        ("Subscribe", "news"),
        ("GetSubscriptionAttributes", "news"),
        ("Publish", None),
    ]


@pytest.mark.parametrize("body", [b"{", b"[]", b'{"QueueUrl": 1}', b""])
async def test_a_request_that_cannot_be_read_is_logged_all_the_same(
    server: Server, stream: io.StringIO, log_format: str, body: bytes
) -> None:
    headers = {"x-amz-target": "AmazonSQS.SendMessage"}
    response = await server.http.post("/", content=body, headers=headers)
    [told] = lines(stream, log_format)
    assert (told["action"], told["status"]) == ("SendMessage", response.status_code)
    assert response.status_code == 400
    assert "queue" not in told


async def test_line_breaks_and_escapes_in_user_data_stay_in_their_field(
    server: Server, stream: io.StringIO, log_format: str
) -> None:
    url = "http://localhost/000000000000/x\n\x1b[31m status=200 é"
    headers = {"x-amz-target": "AmazonSQS.SendMessage\tstatus=1"}
    await server.http.post("/", json={"QueueUrl": url, "MessageBody": "x"}, headers=headers)
    [told] = lines(stream, log_format)
    name = "x\n\x1b[31m status=200 é"
    encoded = "x%0A%1B%5B31m%20status%3D200%20%C3%A9"
    assert told["queue"] == (name if log_format == "json" else encoded)
    assert "action" not in told
    assert told["status"] == 400


async def test_health_checks_are_not_logged(
    server: Server, stream: io.StringIO, log_format: str
) -> None:
    await server.http.get("/health")
    assert lines(stream, log_format) == []


async def test_without_the_setting_nothing_is_logged(
    store: Storage, clock: FakeClock, stream: io.StringIO, log_format: str
) -> None:
    async with running(store, clock) as server:
        await server.client("json").queue("jobs")
    assert lines(stream, log_format) == []
