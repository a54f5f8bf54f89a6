"""Delivery status logs (SNS reference, 5.12)."""

import json
import logging
import re
from typing import Any

import pytest

from broker import DeliverySettings
from storage import open_storage
from tests.deliveries.scene import Scene
from tests.support.clock import FakeClock
from tests.support.receivers import HttpReceiver, answering, http_receiver
from tests.support.server import running
from tests.support.sns import SnsClient

ROLE = "arn:aws:iam::000000000000:role/log"
GROUP = "sns/us-east-1/000000000000/news"
#: of "Should be received"
MD5 = "c1c7ff780647014d463e6801bf83c59d"


@pytest.fixture(autouse=True)
def logged(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """What is logged."""
    caplog.set_level(logging.INFO, "headrace.delivery_status")
    return caplog


def events(caplog: pytest.LogCaptureFixture) -> list[tuple[str, dict[str, Any]]]:
    """Log group and event of each line."""
    lines = [
        record.getMessage()
        for record in caplog.records
        if record.name == "headrace.delivery_status"
    ]
    return [
        (group, json.loads(event)) for group, _, event in (each.partition(" ") for each in lines)
    ]


async def deliver(
    scene: Scene, receiver: HttpReceiver, message: str = "hello", status: int = 200
) -> str:
    """Publish to a receiver that answers with that status, and wait for the end; the id."""
    await scene.subscribe_http(receiver)
    receiver.answer = answering(status, b"an answer")
    message_id = await scene.publish(message)
    await scene.until_finished(1, messageId=message_id)
    return message_id


async def test_a_success_is_logged_as_aws_logs_it(
    clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    answer = answering(202, headers=(("x-amzn-RequestId", "id-1"),))
    store = open_storage("memory", strict=False)
    async with http_receiver(answer) as functions:
        settings = DeliverySettings(lambda_url=functions.url("").rstrip("/"))
        async with running(store, clock, deliveries=settings) as server:
            scene = Scene(server, await SnsClient(server.http).topic("news"))
            await scene.set_topic("LambdaSuccessFeedbackRoleArn", ROLE)
            await scene.set_topic("LambdaSuccessFeedbackSampleRate", "100")
            function = "arn:aws:lambda:us-east-1:000000000000:function:work"
            await scene.subscribe("lambda", function)
            message_id = await scene.publish("Should be received")
            await scene.until_finished(1)
    [(group, event)] = events(caplog)
    assert group == GROUP
    delivery = event["delivery"]
    assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", delivery.pop("deliveryId"))
    assert isinstance(delivery.pop("dwellTimeMs"), int)
    assert event == {
        "notification": {
            "messageMD5Sum": MD5,
            "messageId": message_id,
            "topicArn": scene.topic,
            "timestamp": "2026-01-01 00:00:00.000",
        },
        "delivery": {
            "destination": function,
            "providerResponse": '{"lambdaRequestId":"id-1"}',
            "statusCode": 202,
        },
        "status": "SUCCESS",
    }


async def test_a_failure_is_logged_in_a_group_of_its_own(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    await scene.set_topic("HTTPFailureFeedbackRoleArn", ROLE)
    async with http_receiver() as receiver:
        await deliver(scene, receiver, status=404)
        [(group, event)] = events(caplog)
        assert group == f"{GROUP}/Failure"
        assert event["status"] == "FAILURE"
        assert event["delivery"]["destination"] == receiver.url()
        assert event["delivery"]["statusCode"] == 404
        assert event["delivery"]["providerResponse"] == "an answer"
        assert "attempts" not in event["delivery"]


async def test_several_attempts_are_counted_and_logged_once(
    scene: Scene, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    await scene.set_topic("HTTPFailureFeedbackRoleArn", ROLE)
    async with http_receiver() as receiver:
        await scene.subscribe_http(receiver)
        receiver.answer = answering(500)
        await scene.publish()
        for attempts in range(1, 5):
            await scene.until_attempted(attempts)
            await clock.advance(20_000)
    [(_, event)] = events(caplog)
    assert event["delivery"]["attempts"] == 4


async def test_a_dead_letter_is_a_failure(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    await scene.set_topic("HTTPFailureFeedbackRoleArn", ROLE)
    _, redrive = await scene.dead_letter_queue()
    async with http_receiver() as receiver:
        await scene.subscribe_http(receiver, RedrivePolicy=redrive)
        receiver.answer = answering(403)
        await scene.publish()
        await scene.until_attempted(1)
    [(group, event)] = events(caplog)
    assert (group, event["status"]) == (f"{GROUP}/Failure", "FAILURE")


async def test_a_copy_for_a_queue_is_logged(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    await scene.set_topic("SQSSuccessFeedbackRoleArn", ROLE)
    queue = await scene.sqs.queue("jobs")
    await scene.subscribe("sqs", await queue.arn())
    await scene.publish()
    message = await queue.receive_one()
    [(group, event)] = events(caplog)
    assert (group, event["status"]) == (GROUP, "SUCCESS")
    assert event["delivery"]["statusCode"] == 200
    response = json.loads(event["delivery"]["providerResponse"])
    assert response["sqsMessageId"] == message["MessageId"]


@pytest.mark.parametrize(
    ("attributes", "status"),
    [
        ({}, 200),
        ({}, 404),
        ({"HTTPFailureFeedbackRoleArn": ROLE}, 200),
        ({"HTTPSuccessFeedbackRoleArn": ROLE}, 404),
        ({"SQSSuccessFeedbackRoleArn": ROLE}, 200),
        ({"HTTPSuccessFeedbackSampleRate": "100"}, 200),
        ({"HTTPSuccessFeedbackRoleArn": ROLE, "HTTPSuccessFeedbackSampleRate": "0"}, 200),
    ],
)
async def test_only_what_a_topic_asks_for_is_logged(
    scene: Scene, caplog: pytest.LogCaptureFixture, attributes: dict[str, str], status: int
) -> None:
    for name, value in attributes.items():
        await scene.set_topic(name, value)
    async with http_receiver() as receiver:
        await deliver(scene, receiver, status=status)
    assert events(caplog) == []


async def test_the_rate_is_the_share_of_the_successes_that_is_logged(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    await scene.set_topic("SQSSuccessFeedbackRoleArn", ROLE)
    await scene.set_topic("SQSSuccessFeedbackSampleRate", "30")
    queue = await scene.sqs.queue("jobs")
    await scene.subscribe("sqs", await queue.arn())
    for _ in range(300):
        await scene.publish()
    assert 50 < len(events(caplog)) < 130


async def test_the_rate_does_not_bear_on_failures(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    await scene.set_topic("HTTPFailureFeedbackRoleArn", ROLE)
    await scene.set_topic("HTTPSuccessFeedbackSampleRate", "0")
    async with http_receiver() as receiver:
        await deliver(scene, receiver, status=404)
    assert len(events(caplog)) == 1
