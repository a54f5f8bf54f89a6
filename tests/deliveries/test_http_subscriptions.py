"""From Subscribe and Publish to endpoints by http and https (SNS reference, 5.1, 5.3, 5.9, 6)."""

import asyncio
import json
from base64 import b64decode
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.x509 import load_pem_x509_certificate

from broker import DeliveryFilter, DeliverySettings, DeliveryStatus
from storage import open_storage
from tests.deliveries.scene import Scene
from tests.support.clock import FakeClock
from tests.support.receivers import (
    HttpReceiver,
    HttpRequest,
    answering,
    hanging,
    http_receiver,
    self_signed,
)
from tests.support.server import ENDPOINT, running
from tests.support.sns import SnsClient
from tests.support.until import until, until_called

PENDING = DeliveryFilter(statuses=(DeliveryStatus.PENDING,))
NOW = "2026-01-01T00:00:00.000Z"
PLAIN = "text/plain; charset=UTF-8"
AGENT = "Amazon Simple Notification Service Agent"

SIGNED_OF_A_NOTIFICATION = ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type")
SIGNED_OF_A_CONFIRMATION = (
    "Message",
    "MessageId",
    "SubscribeURL",
    "Timestamp",
    "Token",
    "TopicArn",
    "Type",
)


async def check_signature(scene: Scene, envelope: dict[str, Any], version: str) -> None:
    """Verify a signature as receivers do: by the certificate that the envelope names."""
    assert envelope["SignatureVersion"] == version
    names = (
        SIGNED_OF_A_NOTIFICATION if envelope["Type"] == "Notification" else SIGNED_OF_A_CONFIRMATION
    )
    text = "".join(f"{name}\n{envelope[name]}\n" for name in names if name in envelope)
    certificate = load_pem_x509_certificate(
        (await scene.visit(envelope["SigningCertURL"])).encode()
    )
    key = certificate.public_key()
    assert isinstance(key, RSAPublicKey)
    algorithm = hashes.SHA1() if version == "1" else hashes.SHA256()  # noqa: S303
    key.verify(b64decode(envelope["Signature"]), text.encode(), PKCS1v15(), algorithm)


def headers_of(request: HttpRequest) -> dict[str, str]:
    """The headers of a request that are not the connection's, each checked to come once."""
    headers = {name.lower(): value for name, value in request.headers}
    assert len(headers) == len(request.headers)
    for name in ("host", "connection", "content-length"):
        assert headers.pop(name)
    return headers


async def the_request(receiver: HttpReceiver) -> HttpRequest:
    """The only request that came, once it has."""
    await until(lambda: bool(receiver.requests))
    [request] = receiver.requests
    return request


# --- confirming ---------------------------------------------------------------------------------


async def test_a_subscriber_is_asked_to_confirm(scene: Scene) -> None:
    async with http_receiver() as receiver:
        arn = await scene.subscribe("http", receiver.url("/hook?key=1"))
        request = await the_request(receiver)
    assert (request.method, request.target) == ("POST", "/hook?key=1")
    envelope = json.loads(request.body)
    assert list(envelope) == [
        "Type",
        "MessageId",
        "Token",
        "TopicArn",
        "Message",
        "SubscribeURL",
        "Timestamp",
        "SignatureVersion",
        "Signature",
        "SigningCertURL",
    ]
    assert headers_of(request) == {
        "x-amz-sns-message-type": "SubscriptionConfirmation",
        "x-amz-sns-message-id": envelope["MessageId"],
        "x-amz-sns-topic-arn": scene.topic,
        "content-type": PLAIN,
        "user-agent": AGENT,
        "accept-encoding": "gzip,deflate",
    }
    assert request.body.startswith(b'{\n  "Type" : "SubscriptionConfirmation",\n  "MessageId" : ')
    assert envelope["TopicArn"] == scene.topic
    assert len(bytes.fromhex(envelope["Token"])) == 144
    assert envelope["Timestamp"] == NOW
    assert envelope["Message"] == (
        f"You have chosen to subscribe to the topic {scene.topic}.\n"
        "To confirm the subscription, visit the SubscribeURL included in this message."
    )
    assert envelope["SubscribeURL"] == (
        f"{ENDPOINT}/?Action=ConfirmSubscription&TopicArn={scene.topic}&Token={envelope['Token']}"
    )
    await check_signature(scene, envelope, "1")
    assert scene.topic in arn


async def test_visiting_the_link_confirms(scene: Scene) -> None:
    async with http_receiver() as receiver:
        arn = await scene.subscribe("http", receiver.url())
        envelope = json.loads((await the_request(receiver)).body)
        answer = await scene.visit(envelope["SubscribeURL"])
        assert f"<SubscriptionArn>{arn}</SubscriptionArn>" in answer
        attributes = (await scene.sns.call("GetSubscriptionAttributes", SubscriptionArn=arn))[
            "Attributes"
        ]
    assert attributes["PendingConfirmation"] == "false"
    assert attributes["ConfirmationWasAuthenticated"] == "false"


async def test_nothing_is_delivered_before_the_confirmation(scene: Scene) -> None:
    async with http_receiver() as receiver:
        await scene.subscribe("http", receiver.url())
        envelope = json.loads((await the_request(receiver)).body)
        await scene.publish("too early")
        await scene.visit(envelope["SubscribeURL"])
        await scene.publish("in time")
        await scene.until_finished(2)
        assert [json.loads(each.body)["Message"] for each in receiver.requests[1:]] == ["in time"]


async def test_an_answer_of_200_alone_confirms_nothing(scene: Scene) -> None:
    async with http_receiver() as receiver:
        arn = await scene.subscribe("http", receiver.url())
        await scene.delivery(status="delivered")
        attributes = (await scene.sns.call("GetSubscriptionAttributes", SubscriptionArn=arn))[
            "Attributes"
        ]
    assert attributes["PendingConfirmation"] == "true"


async def test_subscribing_again_asks_again_with_another_token(
    scene: Scene, clock: FakeClock
) -> None:
    async with http_receiver() as receiver:
        await scene.subscribe("http", receiver.url())
        await scene.until_finished(1)
        await clock.advance(1)
        await scene.subscribe("http", receiver.url())
        await scene.until_finished(2)
        first, second = (json.loads(each.body) for each in receiver.requests)
        assert first["Token"] != second["Token"]
        await scene.visit(second["SubscribeURL"])


@pytest.mark.parametrize("version", ["1", "2"])
async def test_everything_is_signed_by_the_version_of_the_topic(scene: Scene, version: str) -> None:
    await scene.set_topic("SignatureVersion", version)
    async with http_receiver() as receiver:
        await scene.subscribe("http", receiver.url())
        confirmation = json.loads((await the_request(receiver)).body)
        await check_signature(scene, confirmation, version)
        await scene.visit(confirmation["SubscribeURL"])
        for subject in ({}, {"Subject": "a subject"}):
            await scene.publish('Grüße, "Welt"\n\u2028', **subject)
        await scene.until_finished(3)
        for request in receiver.requests[1:]:
            await check_signature(scene, json.loads(request.body), version)


async def test_the_certificate_can_lie_where_verifiers_want_it(clock: FakeClock) -> None:
    settings = DeliverySettings(certificate_base_url="https://sns.us-east-1.amazonaws.com")
    store = open_storage("memory", strict=False)
    async with http_receiver() as receiver, running(store, clock, deliveries=settings) as server:
        scene = Scene(server, await SnsClient(server.http).topic())
        await scene.subscribe("http", receiver.url())
        envelope = json.loads((await the_request(receiver)).body)
    assert envelope["SigningCertURL"].startswith(
        "https://sns.us-east-1.amazonaws.com/SimpleNotificationService-"
    )
    assert envelope["SubscribeURL"].startswith(f"{ENDPOINT}/?")


async def test_a_queue_of_another_account_is_asked_in_the_version_of_the_topic(
    scene: Scene,
) -> None:
    await scene.set_topic("SignatureVersion", "2")
    queue = await scene.sqs.but(account="111111111111").queue("theirs")
    await scene.subscribe("sqs", await queue.arn())
    [body] = await queue.bodies()
    await check_signature(scene, json.loads(body), "2")


# --- notifications ------------------------------------------------------------------------------


async def test_a_notification_says_what_it_is(scene: Scene) -> None:
    async with http_receiver() as receiver:
        arn = await scene.subscribe_http(receiver)
        message_id = await scene.publish(
            "Grüße",
            Subject="a subject",
            MessageAttributes={"colour": {"DataType": "String", "StringValue": "red"}},
        )
        request = await the_request(receiver)
    assert headers_of(request) == {
        "x-amz-sns-message-type": "Notification",
        "x-amz-sns-message-id": message_id,
        "x-amz-sns-topic-arn": scene.topic,
        "x-amz-sns-subscription-arn": arn,
        "content-type": PLAIN,
        "user-agent": AGENT,
        "accept-encoding": "gzip,deflate",
    }
    envelope = json.loads(request.body)
    assert list(envelope) == [
        "Type",
        "MessageId",
        "TopicArn",
        "Subject",
        "Message",
        "Timestamp",
        "SignatureVersion",
        "Signature",
        "SigningCertURL",
        "UnsubscribeURL",
        "MessageAttributes",
    ]
    assert (envelope["Type"], envelope["MessageId"]) == ("Notification", message_id)
    assert (envelope["Message"], envelope["Subject"]) == ("Grüße", "a subject")
    assert (envelope["TopicArn"], envelope["Timestamp"]) == (scene.topic, NOW)
    assert envelope["UnsubscribeURL"] == f"{ENDPOINT}/?Action=Unsubscribe&SubscriptionArn={arn}"
    assert envelope["MessageAttributes"] == {"colour": {"Type": "String", "Value": "red"}}


async def test_what_is_not_there_is_left_out(scene: Scene) -> None:
    async with http_receiver() as receiver:
        await scene.subscribe_http(receiver)
        await scene.publish()
        envelope = json.loads((await the_request(receiver)).body)
    assert "Subject" not in envelope
    assert "MessageAttributes" not in envelope


async def test_a_protocol_gets_its_own_entry_of_a_structured_message(scene: Scene) -> None:
    async with http_receiver() as receiver:
        await scene.subscribe_http(receiver)
        for entries in ({"default": "all", "http": "web", "https": "safe"}, {"default": "all"}):
            await scene.publish(json.dumps(entries), MessageStructure="json")
        await scene.until_finished(3)
        assert sorted(json.loads(each.body)["Message"] for each in receiver.requests) == [
            "all",
            "web",
        ]


async def test_a_raw_notification_is_the_message_alone(scene: Scene) -> None:
    async with http_receiver() as receiver:
        await scene.subscribe_http(receiver, RawMessageDelivery="true")
        await scene.publish(
            "Grüße",
            Subject="a subject",
            MessageAttributes={"colour": {"DataType": "String", "StringValue": "red"}},
        )
        request = await the_request(receiver)
    assert request.body == "Grüße".encode()
    headers = headers_of(request)
    assert headers["x-amz-sns-rawdelivery"] == "true"
    assert headers["content-type"] == PLAIN
    assert not [name for name in headers if "colour" in name or "subject" in name]


async def test_confirmations_are_never_raw(scene: Scene) -> None:
    async with http_receiver() as receiver:
        await scene.subscribe("http", receiver.url(), RawMessageDelivery="true")
        request = await the_request(receiver)
    assert json.loads(request.body)["Type"] == "SubscriptionConfirmation"
    assert "x-amz-sns-rawdelivery" not in headers_of(request)


@pytest.mark.parametrize("raw", ["true", "false"])
@pytest.mark.parametrize(
    ("of_topic", "of_subscription", "overrides", "expected"),
    [
        (None, None, True, PLAIN),
        ("application/json", None, True, "application/json"),
        (None, "text/csv", True, "text/csv"),
        ("application/json", "text/csv", True, "text/csv"),
        ("application/json", "text/csv", False, "application/json"),
        (None, "text/csv", False, PLAIN),
    ],
)
async def test_the_content_type_is_that_of_the_nearest_policy(
    scene: Scene,
    of_topic: str | None,
    of_subscription: str | None,
    overrides: bool,
    expected: str,
    raw: str,
) -> None:
    http: dict[str, Any] = {"disableSubscriptionOverrides": not overrides}
    if of_topic is not None:
        http["defaultRequestPolicy"] = {"headerContentType": of_topic}
    await scene.set_topic("DeliveryPolicy", json.dumps({"http": http}))
    attributes = {"RawMessageDelivery": raw}
    if of_subscription is not None:
        policy = {"requestPolicy": {"headerContentType": of_subscription}}
        attributes["DeliveryPolicy"] = json.dumps(policy)
    async with http_receiver() as receiver:
        await scene.subscribe("http", receiver.url(), **attributes)
        confirmation = await the_request(receiver)
        assert confirmation.header("Content-Type") == PLAIN
        await scene.visit(json.loads(confirmation.body)["SubscribeURL"])
        await scene.publish()
        await scene.until_finished(2)
        assert receiver.requests[1].header("Content-Type") == expected


async def test_https_is_delivered_to_whom_the_authority_vouches_for(
    clock: FakeClock, tmp_path: Path
) -> None:
    certificate = self_signed(tmp_path)
    settings = DeliverySettings(ca_file=certificate.path)
    store = open_storage("memory", strict=False)
    async with (
        http_receiver(tls=certificate.context()) as receiver,
        running(store, clock, deliveries=settings) as server,
    ):
        scene = Scene(server, await SnsClient(server.http).topic())
        await scene.subscribe_http(receiver)
        await scene.publish("in secret")
        assert json.loads((await the_request(receiver)).body)["Message"] == "in secret"


async def test_a_login_in_the_endpoint_is_used(scene: Scene) -> None:
    async with http_receiver() as receiver:
        await scene.subscribe("http", receiver.url(login="me:secret@"))
        request = await the_request(receiver)
    assert request.header("Authorization") == "Basic bWU6c2VjcmV0"


async def test_each_subscription_gets_what_its_filter_lets_through(scene: Scene) -> None:
    async with http_receiver() as red, http_receiver() as blue:
        for receiver, colour in ((red, "red"), (blue, "blue")):
            policy = json.dumps({"colour": [colour]})
            await scene.subscribe_http(receiver, FilterPolicy=policy)
        for colour in ("red", "green", "blue"):
            attribute = {"DataType": "String", "StringValue": colour}
            await scene.publish(colour, MessageAttributes={"colour": attribute})
        await scene.until_finished(4)
        for receiver, colour in ((red, "red"), (blue, "blue")):
            assert json.loads((await the_request(receiver)).body)["Message"] == colour


# --- unsubscribing ------------------------------------------------------------------------------


async def test_who_is_unsubscribed_by_a_link_is_told_how_to_undo_it(scene: Scene) -> None:
    async with http_receiver() as receiver:
        arn = await scene.subscribe_http(receiver)
        await scene.visit(f"{ENDPOINT}/?Action=Unsubscribe&SubscriptionArn={arn}")
        request = await the_request(receiver)
        envelope = json.loads(request.body)
        assert headers_of(request) == {
            "x-amz-sns-message-type": "UnsubscribeConfirmation",
            "x-amz-sns-message-id": envelope["MessageId"],
            "x-amz-sns-topic-arn": scene.topic,
            "x-amz-sns-subscription-arn": arn,
            "content-type": PLAIN,
            "user-agent": AGENT,
            "accept-encoding": "gzip,deflate",
        }
        assert envelope["Type"] == "UnsubscribeConfirmation"
        assert envelope["Message"] == (
            f"You have chosen to deactivate subscription {arn}.\n"
            "To cancel this operation and restore the subscription, visit the SubscribeURL"
            " included in this message."
        )
        await check_signature(scene, envelope, "1")
        await scene.publish("lost")
        await scene.visit(envelope["SubscribeURL"])
        await scene.publish("found")
        await scene.until_finished(3)
        assert json.loads(receiver.requests[-1].body)["Message"] == "found"
        assert len(receiver.requests) == 2


async def test_who_is_unsubscribed_by_an_owner_is_told_nothing(scene: Scene) -> None:
    async with http_receiver() as receiver:
        arn = await scene.subscribe_http(receiver)
        await scene.sns.call("Unsubscribe", SubscriptionArn=arn)
        await scene.publish()
        assert len(await scene.outbox()) == 1  # the first confirmation
        assert receiver.requests == []


async def test_what_is_under_way_to_who_unsubscribes_is_dropped(
    scene: Scene, clock: FakeClock
) -> None:
    async with http_receiver() as receiver:
        arn = await scene.subscribe_http(receiver)
        receiver.answer = answering(500)
        message_id = await scene.publish()
        await scene.delivery(messageId=message_id, attempts=1)
        receiver.answer = answering(200)
        await scene.sns.call("Unsubscribe", SubscriptionArn=arn)
        await clock.advance(20_000)
        [dropped] = await scene.until_finished(1, messageId=message_id)
    assert (dropped["status"], dropped["response"]) == ("failed", "the subscription has ended")
    assert len(receiver.requests) == 1


async def test_a_confirmation_of_unsubscribing_that_cannot_be_delivered_is_dropped(
    scene: Scene,
) -> None:
    queue, policy = await scene.dead_letter_queue()
    async with http_receiver() as receiver:
        arn = await scene.subscribe_http(receiver, RedrivePolicy=policy)
        receiver.answer = answering(404)
        await scene.visit(f"{ENDPOINT}/?Action=Unsubscribe&SubscriptionArn={arn}")
        await scene.delivery(status="failed")
    assert await queue.bodies() == []


async def test_a_deleted_topic_still_delivers_what_it_took(scene: Scene, clock: FakeClock) -> None:
    async with http_receiver() as receiver:
        await scene.subscribe_http(receiver)
        receiver.answer = answering(500)
        message_id = await scene.publish("last words")
        await scene.delivery(messageId=message_id, attempts=1)
        await scene.sns.call("DeleteTopic", TopicArn=scene.topic)
        receiver.answer = answering(200)
        await clock.advance(20_000)
        [delivered] = await scene.until_finished(1, messageId=message_id)
    assert (delivered["status"], delivered["attempts"]) == ("delivered", 2)


# --- others -------------------------------------------------------------------------------------


async def test_an_endpoint_that_hangs_delays_none_of_a_hundred_others(clock: FakeClock) -> None:
    store = open_storage("memory", strict=False)
    async with (
        http_receiver() as alive,
        http_receiver() as dead,
        running(store, clock) as server,
    ):
        scene = Scene(server, await SnsClient(server.http).topic())
        await scene.subscribe_http(dead)
        for number in range(99):
            await scene.subscribe("http", alive.url(f"/{number}"))
        await scene.until_finished(100)
        for request in alive.requests:
            await scene.visit(json.loads(request.body)["SubscribeURL"])
        alive.requests.clear()
        dead.answer = hanging
        for _ in range(3):
            await scene.publish()
        await until_called(
            lambda: server.broker.outbox.deliveries(PENDING, limit=10),
            lambda pending: len(pending) == 3,
        )
        assert len(alive.requests) == 3 * 99
        assert len(dead.requests) == 1


async def test_many_messages_to_one_endpoint_all_arrive_once(scene: Scene) -> None:
    async with http_receiver() as receiver:
        await scene.subscribe_http(receiver)
        published = await asyncio.gather(*(scene.publish(str(n)) for n in range(200)))
        await until_called(
            lambda: scene.server.broker.outbox.deliveries(PENDING, limit=10),
            lambda pending: not pending,
        )
        ids = [each.header("x-amz-sns-message-id") for each in receiver.requests]
        assert sorted(each or "" for each in ids) == sorted(published)
