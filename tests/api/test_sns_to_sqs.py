"""Topics to queues: envelopes, raw messages, signatures, delivery logs (SNS reference, 5)."""

import asyncio
import json
import logging
import re
from base64 import b64decode
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from broker import DeliverySettings
from storage import open_storage
from storage.contract import Storage
from tests.support.client import Client, Queue
from tests.support.clock import START_MS, FakeClock
from tests.support.server import ACCOUNT, ENDPOINT, MEMORY_ONLY, REGION, Server, running
from tests.support.sns import SnsClient
from tests.support.topics import (
    Topic,
    new_topic,
    outbox,
    take,
    take_bodies,
    take_envelope,
    take_messages,
    take_one,
)
from tests.support.until import soon

OTHER_ACCOUNT = "111111111111"
TRACE = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/logs"


@pytest.fixture
def sqs(server: Server) -> Client:
    """A client of its queues."""
    return server.client("json")


@pytest.fixture
async def topic(sns: SnsClient) -> Topic:
    """A standard topic with default attributes."""
    return await new_topic(sns)


@pytest.fixture
async def fifo_topic(sns: SnsClient) -> Topic:
    """A FIFO topic with default attributes."""
    return await new_topic(sns, "news.fifo")


# --- envelopes ----------------------------------------------------------------------------------


async def test_an_envelope_is_laid_out_as_by_aws(topic: Topic, sqs: Client) -> None:
    queue = await sqs.queue()
    subscription = await topic.subscribe(queue)
    published = await topic.publish(
        '{"a": "ü"}\n',
        Subject='the "subject"',
        MessageAttributes={"n": {"DataType": "Number.int", "StringValue": "12"}},
    )
    body = (await take_one(queue))["Body"]
    signature, certificate = (json.loads(body)[name] for name in ("Signature", "SigningCertURL"))
    assert body == (
        "{\n"
        '  "Type" : "Notification",\n'
        f'  "MessageId" : "{published["MessageId"]}",\n'
        f'  "TopicArn" : "{topic.arn}",\n'
        '  "Subject" : "the \\"subject\\"",\n'
        '  "Message" : "{\\"a\\": \\"ü\\"}\\n",\n'
        '  "Timestamp" : "2026-01-01T00:00:00.000Z",\n'
        '  "SignatureVersion" : "1",\n'
        f'  "Signature" : "{signature}",\n'
        f'  "SigningCertURL" : "{certificate}",\n'
        f'  "UnsubscribeURL" : "{ENDPOINT}/?Action=Unsubscribe&SubscriptionArn={subscription.arn}"'
        ",\n"
        '  "MessageAttributes" : {\n'
        '    "n" : {"Type":"Number.int","Value":"12"}\n'
        "  }\n"
        "}"
    )


async def test_what_was_not_published_is_not_in_the_envelope(topic: Topic, sqs: Client) -> None:
    queue = await topic.queue(sqs)
    await topic.publish("hello")
    assert list(await take_envelope(queue)) == [
        "Type",
        "MessageId",
        "TopicArn",
        "Message",
        "Timestamp",
        "SignatureVersion",
        "Signature",
        "SigningCertURL",
        "UnsubscribeURL",
    ]


async def test_an_envelope_of_a_fifo_topic_has_a_number_and_no_signature(
    fifo_topic: Topic, sqs: Client
) -> None:
    queue = await sqs.queue("jobs.fifo")
    subscription = await fifo_topic.subscribe(queue)
    published = await fifo_topic.publish_to(
        "g",
        "hello",
        Subject="a subject",
        MessageAttributes={"a": {"DataType": "String", "StringValue": "x"}},
    )
    assert (await take_one(queue))["Body"] == (
        "{\n"
        '  "Type" : "Notification",\n'
        f'  "MessageId" : "{published["MessageId"]}",\n'
        f'  "SequenceNumber" : "{published["SequenceNumber"]}",\n'
        f'  "TopicArn" : "{fifo_topic.arn}",\n'
        '  "Subject" : "a subject",\n'
        '  "Message" : "hello",\n'
        '  "Timestamp" : "2026-01-01T00:00:00.000Z",\n'
        f'  "UnsubscribeURL" : "{ENDPOINT}/?Action=Unsubscribe&SubscriptionArn={subscription.arn}"'
        ",\n"
        '  "MessageAttributes" : {\n'
        '    "a" : {"Type":"String","Value":"x"}\n'
        "  }\n"
        "}"
    )


@MEMORY_ONLY
async def test_the_timestamp_has_three_digits_of_milliseconds(
    topic: Topic, sqs: Client, clock: FakeClock
) -> None:
    queue = await topic.queue(sqs)
    await clock.advance(61_007)
    await topic.publish("hello")
    assert (await take_envelope(queue))["Timestamp"] == "2026-01-01T00:01:01.007Z"


@MEMORY_ONLY
async def test_each_subscription_has_its_own_unsubscribe_link(topic: Topic, sqs: Client) -> None:
    queues = [await sqs.queue(name) for name in "ab"]
    subscriptions = [await topic.subscribe(queue) for queue in queues]
    await topic.publish("hello")
    links = [(await take_envelope(queue))["UnsubscribeURL"] for queue in queues]
    assert [link.partition("&SubscriptionArn=")[2] for link in links] == [
        subscription.arn for subscription in subscriptions
    ]


@MEMORY_ONLY
async def test_links_begin_as_the_site_says(store: Storage, clock: FakeClock) -> None:
    verified = DeliverySettings(certificate_base_url="https://sns.us-east-1.amazonaws.com")
    public_url = "https://broker.example"
    async with running(store, clock, public_url=public_url, deliveries=verified) as server:
        topic = await new_topic(SnsClient(server.http))
        queue = await topic.queue(server.client("json"))
        await topic.publish("hello")
        envelope = await take_envelope(queue)
    assert envelope["UnsubscribeURL"].startswith("https://broker.example/?Action=Unsubscribe&")
    assert re.fullmatch(
        "https://sns.us-east-1.amazonaws.com/SimpleNotificationService-[0-9a-f]{32}[.]pem",
        envelope["SigningCertURL"],
    )


# --- what queues get ----------------------------------------------------------------------------


async def test_a_message_of_a_topic_looks_like_any_other(topic: Topic, sqs: Client) -> None:
    queue = await topic.queue(sqs)
    attributes = {"a": {"DataType": "String", "StringValue": "x"}}
    published = await topic.publish("hello", MessageAttributes=attributes)
    message = await take_one(queue)
    assert message["MessageId"] != published["MessageId"]
    assert "MessageAttributes" not in message
    assert "MD5OfMessageAttributes" not in message
    told = message["Attributes"]
    assert told.keys() == {
        "SenderId",
        "SentTimestamp",
        "ApproximateReceiveCount",
        "ApproximateFirstReceiveTimestamp",
    }
    assert told["SentTimestamp"] == str(START_MS)
    assert told["SenderId"] != ACCOUNT


async def test_a_raw_message_is_the_message_with_its_attributes(topic: Topic, sqs: Client) -> None:
    queue = await topic.queue(sqs, RawMessageDelivery="true")
    attributes: dict[str, Any] = {
        "s": {"DataType": "String.x", "StringValue": "ü"},
        "n": {"DataType": "Number", "StringValue": "99.12"},
        "b": {"DataType": "Binary", "BinaryValue": b"\x00\xff"},
    }
    await topic.publish("hello", Subject="dropped", MessageAttributes=attributes)
    message = await take_one(queue)
    assert message["Body"] == "hello"
    assert message["MessageAttributes"] == {
        **attributes,
        "b": {"DataType": "Binary", "BinaryValue": "AP8="},
    }
    sent = await queue.send("hello", MessageAttributes=attributes)
    assert message["MD5OfMessageAttributes"] == sent["MD5OfMessageAttributes"]


async def test_ten_attributes_are_raw_and_eleven_are_not_delivered(
    server: Server, topic: Topic, sqs: Client
) -> None:
    raw = await topic.queue(sqs, "raw", RawMessageDelivery="true")
    cooked = await topic.queue(sqs, "cooked")
    attribute = {"DataType": "String", "StringValue": "x"}
    ten = {f"a{number}": attribute for number in range(10)}
    await topic.publish("ten", MessageAttributes=ten)
    published = await topic.publish("eleven", MessageAttributes={**ten, "a10": attribute})
    message = await take_one(raw)
    assert (message["Body"], message["MessageAttributes"].keys()) == ("ten", ten.keys())
    assert sorted(await take_messages(cooked)) == ["eleven", "ten"]
    [failed] = await outbox(server.http, status="failed")
    assert failed["messageId"] == published["MessageId"]
    assert failed["endpoint"] == await raw.arn()


async def test_raw_delivery_can_be_changed_at_any_time(topic: Topic, sqs: Client) -> None:
    queue = await sqs.queue()
    subscription = await topic.subscribe(queue, RawMessageDelivery="TrUe")
    await topic.publish("raw")
    assert await take_bodies(queue) == ["raw"]
    await subscription.set("RawMessageDelivery", "false")
    await topic.publish("cooked")
    assert await take_messages(queue) == ["cooked"]


async def test_a_group_of_a_standard_topic_is_passed_on(topic: Topic, sqs: Client) -> None:
    queue = await topic.queue(sqs)
    await topic.publish("grouped", MessageGroupId="g")
    await topic.publish("alone")
    told = {json.loads(each["Body"])["Message"]: each["Attributes"] for each in await take(queue)}
    assert told["grouped"]["MessageGroupId"] == "g"
    assert "MessageGroupId" not in told["alone"]


async def test_the_trace_header_is_passed_on(topic: Topic, sqs: Client) -> None:
    queue = await topic.queue(sqs)
    traced = Topic(topic.sns.but(headers={"X-Amzn-Trace-Id": TRACE}), topic.arn)
    await traced.publish()
    assert (await take_one(queue))["Attributes"]["AWSTraceHeader"] == TRACE
    await traced.publish_batch({})
    assert (await take_one(queue))["Attributes"]["AWSTraceHeader"] == TRACE
    await topic.publish()
    assert "AWSTraceHeader" not in (await take_one(queue))["Attributes"]


async def test_a_queue_may_be_in_another_region(topic: Topic, sqs: Client) -> None:
    near = await sqs.queue()
    far = await sqs.but(region="eu-west-1").queue()
    await topic.subscribe(far)
    await topic.publish("hello")
    assert (await far.arn()).split(":")[3] == "eu-west-1"
    assert await take_messages(far) == ["hello"]
    assert await take(near) == []


async def test_a_queue_of_another_account_subscribed_by_its_owner_gets_messages(
    topic: Topic, sqs: Client
) -> None:
    queue = await sqs.but(account=OTHER_ACCOUNT).queue()
    theirs = Topic(topic.sns.but(account=OTHER_ACCOUNT), topic.arn)
    await theirs.subscribe(queue)
    await topic.publish("hello")
    assert await take_messages(queue) == ["hello"]


async def test_a_queue_of_another_account_must_be_confirmed_with_what_it_gets(
    topic: Topic, sqs: Client
) -> None:
    queue = await sqs.but(account=OTHER_ACCOUNT).queue()
    subscription = await topic.subscribe(queue, RawMessageDelivery="true")
    await topic.publish("early")
    request = await take_envelope(queue)
    assert list(request) == [
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
    assert request["Type"] == "SubscriptionConfirmation"
    assert await is_signed(topic.sns, request)
    await topic.call("ConfirmSubscription", Token=request["Token"])
    assert (await subscription.attributes())["PendingConfirmation"] == "false"
    await topic.publish("late")
    assert await take_bodies(queue) == ["late"]


async def test_a_queue_that_is_full_of_rules_refuses_by_them(
    server: Server, topic: Topic, sqs: Client
) -> None:
    small = await sqs.queue("small", MaximumMessageSize="1024")
    await topic.subscribe(small, RawMessageDelivery="true")
    await topic.publish("x" * 1024)
    await topic.publish("x" * 1025)
    assert await take_bodies(small) == ["x" * 1024]
    [failed] = await outbox(server.http, status="failed")
    assert (failed["protocol"], failed["statusCode"], failed["attempts"]) == ("sqs", 400, 1)


async def test_a_delayed_queue_delays_what_topics_bring(
    topic: Topic, sqs: Client, clock: FakeClock
) -> None:
    queue = await sqs.queue("late", DelaySeconds="5")
    await topic.subscribe(queue)
    await topic.publish("hello")
    assert await queue.counts() == (0, 0, 1)
    await clock.advance(5_000)
    assert await take_messages(queue) == ["hello"]


async def test_what_was_accepted_is_there_after_a_restart(tmp_path: Path, clock: FakeClock) -> None:
    url = f"sqlite:{tmp_path / 'kept.db'}"
    async with running(open_storage(url, strict=False), clock) as server:
        topic = await new_topic(SnsClient(server.http))
        await topic.queue(server.client("json"), RawMessageDelivery="true")
        await topic.publish("before")
    async with running(open_storage(url, strict=False), clock) as server:
        topic = Topic(SnsClient(server.http), topic.arn)
        await topic.publish("after")
        queue = await server.client("json").queue()
        assert sorted(await take_bodies(queue)) == ["after", "before"]


# --- signatures ---------------------------------------------------------------------------------


async def is_signed(sns: SnsClient, envelope: dict[str, str]) -> bool:
    """Whether the envelope's signature is that of the certificate which it names."""
    confirmation = ("SubscribeURL", "Token") if "Token" in envelope else ()
    names = ["Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type", *confirmation]
    signed = "".join(f"{name}\n{envelope[name]}\n" for name in sorted(names) if name in envelope)
    served = await sns.http.get(envelope["SigningCertURL"])
    assert served.status_code == 200
    key = x509.load_pem_x509_certificate(served.content).public_key()
    assert isinstance(key, rsa.RSAPublicKey)
    digest = {"1": hashes.SHA1, "2": hashes.SHA256}[envelope["SignatureVersion"]]
    try:
        key.verify(
            b64decode(envelope["Signature"], validate=True),
            signed.encode(),
            padding.PKCS1v15(),
            digest(),
        )
    except InvalidSignature:
        return False
    return True


@pytest.mark.parametrize("version", [None, "1", "2"])
async def test_signatures_are_those_of_the_served_certificate(
    topic: Topic, sqs: Client, version: str | None
) -> None:
    queue = await topic.queue(sqs)
    if version is not None:
        await topic.set("SignatureVersion", version)
    await topic.publish('{"ü":\n"€"}', Subject="a subject")
    envelope = await take_envelope(queue)
    assert envelope["SignatureVersion"] == (version or "1")
    assert await is_signed(topic.sns, envelope)
    await topic.publish("no subject")
    assert await is_signed(topic.sns, await take_envelope(queue))


@MEMORY_ONLY
@pytest.mark.parametrize("name", ["Message", "MessageId", "Subject", "Timestamp", "TopicArn"])
async def test_what_is_signed_cannot_be_changed(topic: Topic, sqs: Client, name: str) -> None:
    queue = await topic.queue(sqs)
    await topic.publish("hello", Subject="a subject")
    envelope = await take_envelope(queue)
    assert not await is_signed(topic.sns, {**envelope, name: envelope[name] + "x"})


@MEMORY_ONLY
async def test_attributes_and_links_are_not_signed(topic: Topic, sqs: Client) -> None:
    queue = await topic.queue(sqs)
    attributes = {"a": {"DataType": "String", "StringValue": "x"}}
    await topic.publish("hello", MessageAttributes=attributes)
    envelope = await take_envelope(queue)
    del envelope["MessageAttributes"], envelope["UnsubscribeURL"]
    assert await is_signed(topic.sns, envelope)


@MEMORY_ONLY
async def test_the_message_that_is_signed_is_the_one_for_the_protocol(
    topic: Topic, sqs: Client
) -> None:
    queue = await topic.queue(sqs)
    await topic.publish('{"default":"all","sqs":"queues"}', MessageStructure="json")
    envelope = await take_envelope(queue)
    assert envelope["Message"] == "queues"
    assert await is_signed(topic.sns, envelope)


@MEMORY_ONLY
async def test_the_certificate_has_aws_form_of_name(topic: Topic, sqs: Client) -> None:
    queue = await topic.queue(sqs)
    await topic.publish("hello")
    url = (await take_envelope(queue))["SigningCertURL"]
    assert re.fullmatch(re.escape(ENDPOINT) + "/SimpleNotificationService-[0-9a-f]{32}[.]pem", url)
    other = url.replace(url[-36:-4], "0" * 32)
    assert (await topic.sns.http.get(other)).status_code == 404


async def test_the_certificate_is_the_same_after_a_restart(
    tmp_path: Path, clock: FakeClock
) -> None:
    url = f"sqlite:{tmp_path / 'kept.db'}"
    async with running(open_storage(url, strict=False), clock) as server:
        topic = await new_topic(SnsClient(server.http))
        queue = await topic.queue(server.client("json"))
        await topic.publish("before")
        before = await take_envelope(queue)
    async with running(open_storage(url, strict=False), clock) as server:
        sns = SnsClient(server.http)
        assert await is_signed(sns, before)
        queue = await server.client("json").queue()
        await Topic(sns, topic.arn).publish("after")
        after = await take_envelope(queue)
        assert after["SigningCertURL"] == before["SigningCertURL"]
        assert await is_signed(sns, after)


# --- delivery logs ------------------------------------------------------------------------------


def logged(caplog: pytest.LogCaptureFixture) -> list[tuple[str, dict[str, Any]]]:
    """The log groups that were written to, with the events."""
    lines = [each.getMessage() for each in caplog.records if each.name.endswith("delivery_status")]
    return [(group, json.loads(event)) for group, _, event in (x.partition(" ") for x in lines)]


@MEMORY_ONLY
async def test_deliveries_are_logged_while_a_role_is_set(
    topic: Topic, sqs: Client, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="headrace.delivery_status")
    queue = await topic.queue(sqs)
    await topic.publish("not logged")
    assert logged(caplog) == []
    await topic.set("SQSSuccessFeedbackRoleArn", ROLE)
    await take(queue)
    published = await topic.publish("Should be received")
    message = await take_one(queue)
    [(group, event)] = logged(caplog)
    assert group == f"sns/{REGION}/{ACCOUNT}/news"
    assert event["notification"] == {
        "messageMD5Sum": "c1c7ff780647014d463e6801bf83c59d",
        "messageId": published["MessageId"],
        "topicArn": topic.arn,
        "timestamp": "2026-01-01 00:00:00.000",
    }
    delivery = event["delivery"]
    assert delivery.keys() == {
        "deliveryId",
        "destination",
        "providerResponse",
        "dwellTimeMs",
        "statusCode",
    }
    assert (delivery["destination"], delivery["statusCode"]) == (await queue.arn(), 200)
    assert json.loads(delivery["providerResponse"])["sqsMessageId"] == message["MessageId"]
    assert event["status"] == "SUCCESS"


@MEMORY_ONLY
async def test_failures_are_logged_in_a_group_of_their_own(
    topic: Topic, sqs: Client, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="headrace.delivery_status")
    await topic.set("SQSFailureFeedbackRoleArn", ROLE)
    await topic.set("SQSSuccessFeedbackSampleRate", "0")  # says nothing about failures
    await topic.queue(sqs)
    await topic.publish("delivered")
    assert logged(caplog) == []
    await topic.subscribe_arn(f"arn:aws:sqs:{REGION}:{ACCOUNT}:missing")
    await topic.publish("not delivered")
    [(group, event)] = logged(caplog)
    assert group == f"sns/{REGION}/{ACCOUNT}/news/Failure"
    assert event["status"] == "FAILURE"
    assert event["delivery"]["destination"].endswith(":missing")


@MEMORY_ONLY
async def test_a_duplicate_is_not_logged(
    fifo_topic: Topic, sqs: Client, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="headrace.delivery_status")
    await fifo_topic.set("SQSSuccessFeedbackRoleArn", ROLE)
    await fifo_topic.queue(sqs, "jobs.fifo")
    for _ in range(2):
        await fifo_topic.publish_to("g", "hello")
    assert len(logged(caplog)) == 1


@MEMORY_ONLY
@pytest.mark.parametrize(("rate", "most"), [("0", 0), ("50", 39), ("100", 40)])
async def test_successes_are_sampled(
    topic: Topic, sqs: Client, caplog: pytest.LogCaptureFixture, rate: str, most: int
) -> None:
    caplog.set_level(logging.INFO, logger="headrace.delivery_status")
    await topic.set("SQSSuccessFeedbackRoleArn", ROLE)
    await topic.set("SQSSuccessFeedbackSampleRate", rate)
    await topic.queue(sqs, RawMessageDelivery="true")
    for _ in range(4):
        await topic.publish_batch(*[{}] * 10)
    assert min(most, 1) <= len(logged(caplog)) <= most
    assert rate == "50" or len(logged(caplog)) == most


# --- at the same time ---------------------------------------------------------------------------


async def test_a_publish_wakes_a_poll(server: Server, topic: Topic, sqs: Client) -> None:
    queue = await topic.queue(sqs, RawMessageDelivery="true")
    poll = await server.park(queue.bodies(10, WaitTimeSeconds=20))
    await topic.publish("hello")
    assert await soon(poll) == ["hello"]


async def test_a_batch_wakes_a_poll_of_each_queue(
    server: Server, topic: Topic, sqs: Client
) -> None:
    queues = [await topic.queue(sqs, name, RawMessageDelivery="true") for name in "ab"]
    polls = [await server.park(queue.bodies(10, WaitTimeSeconds=20)) for queue in queues]
    await topic.publish_batch({"Message": "1"}, {"Message": "2"})
    assert [sorted(await soon(poll)) for poll in polls] == [["1", "2"]] * 2


async def test_who_subscribes_during_a_publish_neither_loses_nor_doubles_it_for_others(
    topic: Topic, sqs: Client
) -> None:
    """The topic changes all the time; whoever was subscribed throughout gets each message once."""
    always = await topic.queue(sqs, "always", RawMessageDelivery="true")
    others = [await sqs.queue(f"other-{number}") for number in range(10)]

    async def come_and_go(queue: Queue) -> None:
        for _ in range(3):
            subscription = await topic.subscribe(queue, RawMessageDelivery="true")
            await topic.sns.call("Unsubscribe", SubscriptionArn=subscription.arn)

    numbers = [str(number) for number in range(30)]
    await asyncio.gather(
        *(topic.publish(number) for number in numbers), *(come_and_go(queue) for queue in others)
    )
    assert sorted(await take_bodies(always), key=int) == numbers
    for queue in others:
        bodies = await take_bodies(queue)
        assert len(bodies) == len(set(bodies))


async def test_who_is_subscribed_before_a_publish_is_answered_by_a_newer_topic_gets_it(
    server: Server, store: Storage, topic: Topic, sqs: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A publish that was prepared for an older set of subscribers is prepared again."""
    first = await topic.queue(sqs, "first", RawMessageDelivery="true")
    second = await sqs.queue("second")
    stored = store.publish

    async def publish_late(*arguments: Any, **keywords: Any) -> Any:
        monkeypatch.undo()
        await topic.subscribe(second, RawMessageDelivery="true")
        return await stored(*arguments, **keywords)

    monkeypatch.setattr(store, "publish", publish_late)
    await topic.publish("hello")
    assert await take_bodies(first) == ["hello"]
    assert await take_bodies(second) == ["hello"]


async def test_a_queue_that_goes_during_a_publish_does_not_keep_others_from_it(
    server: Server, store: Storage, topic: Topic, sqs: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = await topic.queue(sqs, "kept", RawMessageDelivery="true")
    gone = await topic.queue(sqs, "gone", RawMessageDelivery="true")
    stored = store.publish

    async def publish_late(*arguments: Any, **keywords: Any) -> Any:
        monkeypatch.undo()
        await gone.call("DeleteQueue")
        return await stored(*arguments, **keywords)

    monkeypatch.setattr(store, "publish", publish_late)
    await topic.publish("hello")
    assert await take_bodies(kept) == ["hello"]
    [failed] = await outbox(server.http, status="failed")
    assert failed["endpoint"].endswith(":gone")
