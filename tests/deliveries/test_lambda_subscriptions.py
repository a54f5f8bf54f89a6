"""From Publish to functions (SNS reference, 5.6)."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from broker import DeliverySettings
from storage import open_storage
from tests.deliveries.scene import Scene, at_ms
from tests.support.clock import START_MS, FakeClock
from tests.support.receivers import HttpReceiver, answering, http_receiver
from tests.support.server import ENDPOINT, running
from tests.support.sns import SnsClient
from tests.support.until import until

FUNCTION = "arn:aws:lambda:eu-west-1:000000000000:function:work"
ACCEPTED = answering(202, headers=(("x-amzn-RequestId", "id-1"),))


@pytest.fixture
async def functions() -> AsyncIterator[HttpReceiver]:
    """The Lambda API."""
    async with http_receiver(ACCEPTED) as receiver:
        yield receiver


@pytest.fixture
async def scene(clock: FakeClock, functions: HttpReceiver) -> AsyncIterator[Scene]:
    """A server that invokes functions, and a topic."""
    settings = DeliverySettings(lambda_url=functions.url("").rstrip("/"))
    async with running(open_storage("memory", strict=False), clock, deliveries=settings) as server:
        yield Scene(server, await SnsClient(server.http).topic("news"))


async def the_record(functions: HttpReceiver) -> Any:
    """The only record of the only event that came."""
    await until(lambda: bool(functions.requests))
    [request] = functions.requests
    event = json.loads(request.body)
    assert list(event) == ["Records"]
    [record] = event["Records"]
    return record


async def test_a_function_is_invoked_asynchronously_by_its_arn(
    scene: Scene, functions: HttpReceiver
) -> None:
    await scene.subscribe("lambda", FUNCTION)
    await scene.publish()
    [shown] = await scene.until_finished(1)
    [request] = functions.requests
    assert unquote(request.target) == f"/2015-03-31/functions/{FUNCTION}/invocations"
    assert request.header("X-Amz-Invocation-Type") == "Event"
    assert "/eu-west-1/lambda/aws4_request" in (request.header("Authorization") or "")
    assert (shown["status"], shown["statusCode"]) == ("delivered", 202)
    assert shown["response"] == '{"lambdaRequestId":"id-1"}'


async def test_the_event_has_aws_names_and_all_members(
    scene: Scene, functions: HttpReceiver
) -> None:
    arn = await scene.subscribe("lambda", FUNCTION)
    message_id = await scene.publish("Grüße")
    record = await the_record(functions)
    sns = record.pop("Sns")
    assert record == {
        "EventSource": "aws:sns",
        "EventVersion": "1.0",
        "EventSubscriptionArn": arn,
    }
    assert list(sns) == [
        "Type",
        "MessageId",
        "TopicArn",
        "Subject",
        "Message",
        "Timestamp",
        "SignatureVersion",
        "Signature",
        "SigningCertUrl",
        "UnsubscribeUrl",
        "MessageAttributes",
    ]
    assert (sns["Type"], sns["MessageId"]) == ("Notification", message_id)
    assert (sns["TopicArn"], sns["Message"]) == (scene.topic, "Grüße")
    assert (sns["Subject"], sns["MessageAttributes"]) == (None, {})
    assert sns["UnsubscribeUrl"] == f"{ENDPOINT}/?Action=Unsubscribe&SubscriptionArn={arn}"


async def test_the_event_is_never_raw_and_always_of_version_1(
    scene: Scene, functions: HttpReceiver
) -> None:
    await scene.set_topic("SignatureVersion", "2")
    await scene.subscribe("lambda", FUNCTION, RawMessageDelivery="true")
    await scene.publish(
        Subject="a subject",
        MessageAttributes={
            "seven": {"DataType": "Number", "StringValue": "7"},
            "bytes": {"DataType": "Binary", "BinaryValue": b"\x00\xff"},
        },
    )
    sns = (await the_record(functions))["Sns"]
    assert sns["SignatureVersion"] == "1"
    assert sns["Subject"] == "a subject"
    assert sns["MessageAttributes"] == {
        "seven": {"Type": "String", "Value": "7"},
        "bytes": {"Type": "Binary", "Value": "AP8="},
    }


async def test_a_function_gets_its_own_entry_of_a_structured_message(
    scene: Scene, functions: HttpReceiver
) -> None:
    await scene.subscribe("lambda", FUNCTION)
    await scene.publish('{"default": "all", "lambda": "mine"}', MessageStructure="json")
    assert (await the_record(functions))["Sns"]["Message"] == "mine"


async def test_what_a_function_refuses_is_dead_as_an_ordinary_envelope(
    scene: Scene, functions: HttpReceiver
) -> None:
    queue, redrive = await scene.dead_letter_queue()
    arn = await scene.subscribe("lambda", FUNCTION, RedrivePolicy=redrive)
    functions.answer = answering(404, b'{"Type":"User","Message":"Function not found"}')
    attribute = {"DataType": "Number", "StringValue": "7"}
    await scene.publish(MessageAttributes={"seven": attribute})
    [shown] = await scene.until_attempted(1)
    assert shown["status"] == "dead-lettered"
    [dead] = await queue.receive(MessageAttributeNames=["All"])
    envelope = json.loads(dead["Body"])
    assert envelope["UnsubscribeURL"].endswith(arn)
    assert "SigningCertURL" in envelope
    assert envelope["MessageAttributes"] == {"seven": {"Type": "Number", "Value": "7"}}
    assert "MessageAttributes" not in dead


async def test_a_function_that_cannot_be_invoked_now_is_by_the_fixed_schedule(
    scene: Scene, functions: HttpReceiver, clock: FakeClock
) -> None:
    moments: list[int] = []
    functions.answer = answering(500)
    await scene.subscribe("lambda", FUNCTION)
    await scene.publish()
    for attempts in range(4, 21):  # three times at once
        [shown] = await scene.until_attempted(attempts)
        moments.append(at_ms(shown["dueAt"]) - clock.now_ms())
        await clock.advance(moments[-1])
    assert clock.now_ms() - START_MS == sum(moments)
    assert moments[:3] == [1_000] * 3
    assert sorted(moments) == moments
    assert moments[11:] == [20_000] * 6


async def test_an_emulator_of_one_function_is_invoked_by_its_name(
    clock: FakeClock, functions: HttpReceiver
) -> None:
    settings = DeliverySettings(
        lambda_url=functions.url("").rstrip("/"), lambda_function="function"
    )
    async with running(open_storage("memory", strict=False), clock, deliveries=settings) as server:
        scene = Scene(server, await SnsClient(server.http).topic())
        await scene.subscribe("lambda", FUNCTION)
        await scene.publish()
        await scene.until_finished(1)
    [request] = functions.requests
    assert request.target == "/2015-03-31/functions/function/invocations"


async def test_a_function_of_another_account_is_asked_to_confirm(
    scene: Scene, functions: HttpReceiver
) -> None:
    theirs = FUNCTION.replace("000000000000", "111111111111")
    arn = await scene.subscribe("lambda", theirs)
    record = await the_record(functions)
    assert record["EventSubscriptionArn"] == arn
    assert record["Sns"]["Type"] == "SubscriptionConfirmation"
    await scene.until_finished(1)
    functions.requests.clear()
    await scene.visit(record["Sns"]["SubscribeUrl"])
    await scene.publish("confirmed")
    assert (await the_record(functions))["Sns"]["Message"] == "confirmed"


async def test_functions_wait_in_the_outbox_until_a_restart_says_where_they_are(
    tmp_path: Path, clock: FakeClock, functions: HttpReceiver
) -> None:
    url = f"sqlite:{tmp_path / 'headrace.db'}"
    async with running(open_storage(url, strict=False), clock) as server:
        scene = Scene(server, await SnsClient(server.http).topic())
        await scene.subscribe("lambda", FUNCTION)
        for message in ("one", "two"):
            await scene.publish(message)
        assert [each["status"] for each in await scene.outbox()] == ["waiting", "waiting"]
    settings = DeliverySettings(lambda_url=functions.url("").rstrip("/"))
    async with running(open_storage(url, strict=False), clock, deliveries=settings) as server:
        await Scene(server, scene.topic).until_finished(2)
    events = [json.loads(each.body)["Records"][0]["Sns"] for each in functions.requests]
    assert sorted(each["Message"] for each in events) == ["one", "two"]
