"""SMS and mobile push: in the outbox, and at a webhook (SNS reference, 5.5, 5.8, 9.1, 9.2)."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from broker import DeliverySettings
from storage import open_storage
from tests.deliveries.scene import Scene
from tests.support.clock import FakeClock
from tests.support.receivers import HttpReceiver, answering, http_receiver
from tests.support.server import ACCOUNT, REGION, running
from tests.support.sns import SnsClient, sns_refusal

NUMBER = "+4915112345678"
RED = {"colour": {"DataType": "String", "StringValue": "red"}}


@pytest.fixture
async def webhook() -> AsyncIterator[HttpReceiver]:
    async with http_receiver() as receiver:
        yield receiver


@pytest.fixture
async def posting(clock: FakeClock, webhook: HttpReceiver) -> AsyncIterator[Scene]:
    """A server that posts what is for phones to the webhook, and a topic."""
    settings = DeliverySettings(phone_webhook_url=webhook.url("/phones?key=1"))
    async with running(open_storage("memory", strict=False), clock, deliveries=settings) as server:
        yield Scene(server, await SnsClient(server.http).topic("news"))


async def create_endpoint(scene: Scene, platform: str = "GCM", **attributes: str) -> str:
    """The ARN of an endpoint of a new application with these attributes."""
    credentials = {"PlatformCredential": "secret"}
    if platform != "GCM":
        credentials["PlatformPrincipal"] = "principal"
    application = await scene.sns.call(
        "CreatePlatformApplication",
        Name="app",
        Platform=platform,
        Attributes=credentials | attributes,
    )
    endpoint = await scene.sns.call(
        "CreatePlatformEndpoint",
        PlatformApplicationArn=application["PlatformApplicationArn"],
        Token="token",
        CustomUserData="mine",
    )
    arn: str = endpoint["EndpointArn"]
    return arn


async def text_to(scene: Scene, number: str = NUMBER, **members: Any) -> str:
    """Publish to a phone number; the id."""
    answer = await scene.sns.call("Publish", PhoneNumber=number, **{"Message": "hi"} | members)
    message_id: str = answer["MessageId"]
    return message_id


# --- SMS ----------------------------------------------------------------------------------------


async def test_an_sms_is_in_the_outbox_with_everything(scene: Scene) -> None:
    attributes = {
        "AWS.SNS.SMS.SenderID": {"DataType": "String", "StringValue": "Brand"},
        "AWS.SNS.SMS.MaxPrice": {"DataType": "Number", "StringValue": "0.5"},
        "AWS.SNS.SMS.SMSType": {"DataType": "String", "StringValue": "Transactional"},
        "AWS.MM.SMS.OriginationNumber": {"DataType": "String", "StringValue": "+12345678"},
        "AWS.MM.SMS.EntityId": {"DataType": "String", "StringValue": "entity"},
        "AWS.MM.SMS.TemplateId": {"DataType": "String", "StringValue": "template"},
    }
    message_id = await text_to(scene, Message="hi", MessageAttributes=attributes)
    [shown] = await scene.outbox()
    assert (shown["status"], shown["response"]) == ("delivered", "kept in the outbox")
    assert shown["phone"] == {
        "protocol": "sms",
        "messageId": message_id,
        "topicArn": None,
        "subscriptionArn": None,
        "timestamp": "2026-01-01T00:00:00.000Z",
        "subject": None,
        "messageAttributes": {
            name: {"Type": each["DataType"], "Value": each["StringValue"]}
            for name, each in attributes.items()
        },
        "phoneNumber": NUMBER,
        "message": "hi",
        "smsType": "Transactional",
        "senderId": "Brand",
        "maxPrice": "0.5",
        "originationNumber": "+12345678",
        "entityId": "entity",
        "templateId": "template",
    }


async def test_settings_are_the_defaults_of_an_sms(scene: Scene) -> None:
    settings = {"DefaultSenderID": "Brand", "DefaultSMSType": "Transactional"}
    await scene.sns.call("SetSMSAttributes", attributes=settings)
    await text_to(scene)
    [shown] = await scene.outbox()
    assert (shown["phone"]["senderId"], shown["phone"]["smsType"]) == ("Brand", "Transactional")


async def test_a_topic_sends_sms_too(scene: Scene) -> None:
    arn = await scene.subscribe("sms", NUMBER)
    await scene.publish('{"default": "all", "sms": "short"}', MessageStructure="json")
    [shown] = await scene.outbox()
    assert shown["phone"]["message"] == "short"
    assert (shown["phone"]["topicArn"], shown["phone"]["subscriptionArn"]) == (scene.topic, arn)


async def test_who_opted_out_is_skipped(scene: Scene) -> None:
    await scene.subscribe("sms", NUMBER)
    await scene.server.broker.sms.opt_out(ACCOUNT, REGION, NUMBER)
    await text_to(scene)
    await scene.publish()
    for shown in await scene.outbox():
        assert (shown["status"], shown["response"]) == ("failed", "Phone number is opted out")
    assert len(await scene.outbox()) == 2


# --- push ---------------------------------------------------------------------------------------

OWN = json.dumps({"default": "all", "GCM": '{"data":{"a":1}}', "APNS": '{"aps":{"badge":1}}'})


@pytest.mark.parametrize(
    ("platform", "members", "payload"),
    [
        ("GCM", {"Message": "hi"}, '{"data": {"default": "hi"}}'),
        ("APNS", {"Message": "hi"}, '{"aps": {"alert": "hi"}}'),
        ("APNS_SANDBOX", {"Message": "hi"}, '{"aps": {"alert": "hi"}}'),
        ("ADM", {"Message": "hi"}, '{"data": {"default": "hi"}}'),
        ("GCM", {"Message": OWN, "MessageStructure": "json"}, '{"data":{"a":1}}'),
        ("APNS", {"Message": OWN, "MessageStructure": "json"}, '{"aps":{"badge":1}}'),
        ("ADM", {"Message": OWN, "MessageStructure": "json"}, '{"data": {"default": "all"}}'),
    ],
)
async def test_a_push_is_in_the_outbox_with_the_payload_of_its_platform(
    scene: Scene, platform: str, members: dict[str, str], payload: str
) -> None:
    arn = await create_endpoint(scene, platform)
    await scene.sns.call("Publish", TargetArn=arn, **members)
    [shown] = await scene.outbox()
    assert (shown["status"], shown["endpoint"]) == ("delivered", arn)
    phone = shown["phone"]
    assert (phone["platform"], phone["payload"]) == (platform, payload)
    assert (phone["endpointArn"], phone["token"]) == (arn, "token")
    assert phone["applicationArn"] == f"arn:aws:sns:{REGION}:{ACCOUNT}:app/{platform}/app"
    assert phone["customUserData"] == "mine"


async def test_a_topic_pushes_but_not_to_endpoints_that_are_disabled(scene: Scene) -> None:
    arn = await create_endpoint(scene)
    await scene.subscribe("application", arn)
    await scene.publish("first", MessageAttributes=RED)
    await scene.sns.call("SetEndpointAttributes", EndpointArn=arn, Attributes={"Enabled": "false"})
    await scene.publish("second")
    first, second = await scene.outbox()
    assert first["status"] == "delivered"
    assert first["phone"]["messageAttributes"] == {"colour": {"Type": "String", "Value": "red"}}
    assert (second["status"], second["response"]) == ("failed", "Endpoint is disabled")


async def test_a_push_to_an_endpoint_that_is_gone_has_failed(scene: Scene) -> None:
    arn = await create_endpoint(scene)
    await scene.subscribe("application", arn)
    await scene.sns.call("DeleteEndpoint", EndpointArn=arn)
    await scene.publish()
    [shown] = await scene.outbox()
    assert shown["status"] == "failed"
    assert shown["phone"]["endpointArn"] == arn


async def test_events_of_an_application_are_published(scene: Scene) -> None:
    queue = await scene.sqs.queue("events")
    await scene.subscribe("sqs", await queue.arn(), RawMessageDelivery="true")
    names = ("EventEndpointCreated", "EventEndpointUpdated", "EventEndpointDeleted")
    arn = await create_endpoint(scene, **dict.fromkeys(names, scene.topic))
    await scene.sns.call("SetEndpointAttributes", EndpointArn=arn, Attributes={"Token": "new"})
    await scene.sns.call("DeleteEndpoint", EndpointArn=arn)
    events = [json.loads(body) for body in await queue.bodies()]
    assert {(each["EventType"], each["EndpointArn"]) for each in events} == {
        ("EndpointCreated", arn),
        ("EndpointUpdated", arn),
        ("EndpointDeleted", arn),
    }


# --- webhooks -----------------------------------------------------------------------------------


async def test_a_webhook_gets_what_the_outbox_shows(posting: Scene, webhook: HttpReceiver) -> None:
    arn = await create_endpoint(posting)
    await text_to(posting)
    await posting.sns.call("Publish", TargetArn=arn, Message="hi")
    shown = await posting.until_finished(2, status="delivered")
    posted = [json.loads(each.body) for each in webhook.requests]
    assert sorted(posted, key=str) == sorted((each["phone"] for each in shown), key=str)
    for request in webhook.requests:
        assert (request.method, request.target) == ("POST", "/phones?key=1")
        assert request.header("Content-Type") == "application/json"


async def test_a_webhook_gets_nothing_for_who_opted_out(
    posting: Scene, webhook: HttpReceiver
) -> None:
    await posting.server.broker.sms.opt_out(ACCOUNT, REGION, NUMBER)
    await text_to(posting)
    await posting.until_finished(1, status="failed")
    assert webhook.requests == []


async def test_a_webhook_that_fails_is_tried_again_after_ten_seconds(
    posting: Scene, webhook: HttpReceiver, clock: FakeClock
) -> None:
    webhook.answer = answering(500)
    await text_to(posting)
    await posting.until_attempted(1)
    await clock.advance(9_999)
    assert len(webhook.requests) == 1
    webhook.answer = answering(200)
    await clock.advance(1)
    [shown] = await posting.until_attempted(2)
    assert shown["status"] == "delivered"


@pytest.mark.parametrize("status", [404, 410])
async def test_a_push_that_is_refused_is_told_and_a_token_that_is_gone_disables_its_endpoint(
    posting: Scene, webhook: HttpReceiver, status: int
) -> None:
    queue = await posting.sqs.queue("events")
    await posting.subscribe("sqs", await queue.arn(), RawMessageDelivery="true")
    arn = await create_endpoint(posting, EventDeliveryFailure=posting.topic)
    webhook.answer = answering(status, b"no such device")
    published = await posting.sns.call("Publish", TargetArn=arn, Message="hi")
    await posting.until_finished(1, status="failed")
    [event] = [json.loads(body) for body in await queue.bodies(WaitTimeSeconds=5)]
    assert (event["EventType"], event["EndpointArn"]) == ("DeliveryFailure", arn)
    assert event["MessageId"] == published["MessageId"]
    assert event["FailureMessage"] == "no such device"
    again = posting.sns.call("Publish", TargetArn=arn, Message="hi")
    if status == 410:
        assert (await sns_refusal(again))[0] == "EndpointDisabled"
    else:
        assert (await again)["MessageId"]
        await posting.until_finished(2, status="failed")


async def test_a_failure_is_told_of_direct_publications_only(
    posting: Scene, webhook: HttpReceiver
) -> None:
    queue = await posting.sqs.queue("events")
    events = await posting.sns.topic("events")
    await posting.sns.call(
        "Subscribe",
        TopicArn=events,
        Protocol="sqs",
        Endpoint=await queue.arn(),
        Attributes={"RawMessageDelivery": "true"},
    )
    arn = await create_endpoint(posting, EventDeliveryFailure=events)
    await posting.subscribe("application", arn)
    webhook.answer = answering(404)
    await posting.publish()
    await posting.until_finished(1, status="failed")
    direct = await posting.sns.call("Publish", TargetArn=arn, Message="hi")
    await posting.until_finished(2, status="failed")
    told = [json.loads(body) for body in await queue.bodies(WaitTimeSeconds=5)]
    assert [each["MessageId"] for each in told] == [direct["MessageId"]]


async def test_what_a_webhook_never_took_stays_in_the_outbox_without_it(
    tmp_path: Any, clock: FakeClock, webhook: HttpReceiver
) -> None:
    url = f"sqlite:{tmp_path / 'headrace.db'}"
    webhook.answer = answering(500)
    settings = DeliverySettings(phone_webhook_url=webhook.url())
    async with running(open_storage(url, strict=False), clock, deliveries=settings) as server:
        scene = Scene(server, await SnsClient(server.http).topic())
        await text_to(scene)
        await scene.until_attempted(1)
    async with running(open_storage(url, strict=False), clock) as server:
        scene = Scene(server, scene.topic)
        await clock.advance(10_000)
        shown = await scene.delivery(status="delivered")
    assert shown["response"] == "kept in the outbox"
