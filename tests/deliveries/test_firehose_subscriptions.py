"""From Publish to delivery streams (SNS reference, 5.7)."""

import json
from base64 import b64decode
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from broker import DeliverySettings
from storage import open_storage
from tests.deliveries.scene import Scene, at_ms
from tests.support.clock import FakeClock
from tests.support.receivers import HttpReceiver, answering, http_receiver
from tests.support.server import ENDPOINT, running
from tests.support.sns import SnsClient

STREAM = "arn:aws:firehose:us-east-1:000000000000:deliverystream/clicks"
ROLE = "arn:aws:iam::000000000000:role/put"


@pytest.fixture
async def streams() -> AsyncIterator[HttpReceiver]:
    """The Firehose API."""
    async with http_receiver(answering(200, b'{"RecordId":"record-1"}')) as receiver:
        yield receiver


@pytest.fixture
async def scene(clock: FakeClock, streams: HttpReceiver) -> AsyncIterator[Scene]:
    """A server that puts records into streams, and a topic."""
    settings = DeliverySettings(firehose_url=streams.url("").rstrip("/"))
    async with running(open_storage("memory", strict=False), clock, deliveries=settings) as server:
        yield Scene(server, await SnsClient(server.http).topic("news"))


def records(streams: HttpReceiver) -> list[bytes]:
    """The records that came."""
    return [b64decode(json.loads(each.body)["Record"]["Data"]) for each in streams.requests]


async def test_a_record_is_the_envelope_on_one_line_without_its_signature(
    scene: Scene, streams: HttpReceiver
) -> None:
    arn = await scene.subscribe("firehose", STREAM, SubscriptionRoleArn=ROLE)
    message_id = await scene.publish(
        "Grüße",
        Subject="a subject",
        MessageAttributes={"colour": {"DataType": "String", "StringValue": "red"}},
    )
    [shown] = await scene.until_finished(1)
    assert (shown["status"], shown["statusCode"]) == ("delivered", 200)
    [request] = streams.requests
    assert json.loads(request.body)["DeliveryStreamName"] == "clicks"
    [record] = records(streams)
    assert record.endswith(b"\n")
    assert record.count(b"\n") == 1
    assert json.loads(record) == {
        "Type": "Notification",
        "MessageId": message_id,
        "TopicArn": scene.topic,
        "Subject": "a subject",
        "Message": "Grüße",
        "Timestamp": "2026-01-01T00:00:00.000Z",
        "UnsubscribeURL": f"{ENDPOINT}/?Action=Unsubscribe&SubscriptionArn={arn}",
        "MessageAttributes": {"colour": {"Type": "String", "Value": "red"}},
    }


async def test_a_raw_record_is_the_message(scene: Scene, streams: HttpReceiver) -> None:
    await scene.subscribe("firehose", STREAM, SubscriptionRoleArn=ROLE, RawMessageDelivery="true")
    await scene.publish("Grüße")
    await scene.until_finished(1)
    assert records(streams) == ["Grüße".encode()]


@pytest.mark.parametrize(
    ("status", "error", "delay_ms"),
    [
        (500, "InternalFailure", 1_000),
        (503, "ServiceUnavailableException", 1_000),
        (400, "ThrottlingException", 10_000),
        (429, "ThrottlingException", 10_000),
    ],
)
async def test_streams_that_are_throttled_are_tried_again_more_slowly(
    scene: Scene, streams: HttpReceiver, status: int, error: str, delay_ms: int, clock: FakeClock
) -> None:
    streams.answer = answering(status, json.dumps({"__type": error}).encode())
    await scene.subscribe("firehose", STREAM, SubscriptionRoleArn=ROLE)
    await scene.publish()
    [shown] = await scene.until_attempted(4 if delay_ms == 1_000 else 1)  # three times at once
    assert at_ms(shown["dueAt"]) - clock.now_ms() == delay_ms


async def test_a_stream_that_is_not_there_is_a_refusal(scene: Scene, streams: HttpReceiver) -> None:
    queue, redrive = await scene.dead_letter_queue()
    streams.answer = answering(400, b'{"__type":"ResourceNotFoundException"}')
    await scene.subscribe("firehose", STREAM, SubscriptionRoleArn=ROLE, RedrivePolicy=redrive)
    await scene.publish()
    [shown] = await scene.until_attempted(1)
    assert shown["status"] == "dead-lettered"
    [body] = await queue.bodies()
    assert "SigningCertURL" in json.loads(body)


async def test_records_can_be_appended_to_files(tmp_path: Path, clock: FakeClock) -> None:
    settings = DeliverySettings(firehose_folder=tmp_path / "streams")
    async with running(open_storage("memory", strict=False), clock, deliveries=settings) as server:
        scene = Scene(server, await SnsClient(server.http).topic())
        await scene.subscribe("firehose", STREAM, SubscriptionRoleArn=ROLE)
        for message in ("one", "two"):
            await scene.publish(message)
        await scene.until_finished(2, status="delivered")
    lines = (tmp_path / "streams" / "clicks.ndjson").read_text().splitlines()
    assert sorted(json.loads(line)["Message"] for line in lines) == ["one", "two"]


async def test_records_wait_in_the_outbox_until_a_restart_says_where_to_put_them(
    tmp_path: Path, clock: FakeClock
) -> None:
    url = f"sqlite:{tmp_path / 'headrace.db'}"
    async with running(open_storage(url, strict=False), clock) as server:
        scene = Scene(server, await SnsClient(server.http).topic())
        await scene.subscribe("firehose", STREAM, SubscriptionRoleArn=ROLE)
        await scene.publish("waiting")
        [shown] = await scene.outbox()
        assert shown["status"] == "waiting"
    settings = DeliverySettings(firehose_folder=tmp_path)
    async with running(open_storage(url, strict=False), clock, deliveries=settings) as server:
        await Scene(server, scene.topic).until_finished(1, status="delivered")
    assert json.loads((tmp_path / "clicks.ndjson").read_text())["Message"] == "waiting"
