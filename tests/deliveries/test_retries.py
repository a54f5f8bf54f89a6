"""When a delivery is tried again, and what becomes of it in the end (SNS reference, 5.10, 5.11)."""

import asyncio
import json
from functools import partialmethod
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from broker.deliveries.http import HttpTransport
from broker.envelopes import Signature
from broker.signatures import Signatures
from storage import open_storage
from tests.deliveries.scene import Scene, at_ms
from tests.support.clock import START_MS, FakeClock
from tests.support.receivers import (
    Answering,
    HttpReceiver,
    HttpRequest,
    answering,
    answering_raw,
    closed_port,
    hanging,
    http_receiver,
    repeating,
)
from tests.support.server import running
from tests.support.sns import SnsClient
from tests.support.until import until, until_called


def healthy(**policy: Any) -> str:
    """The DeliveryPolicy of a subscription with that retry policy."""
    return json.dumps({"healthyRetryPolicy": policy})


async def failing(scene: Scene, receiver: HttpReceiver, **attributes: str) -> str:
    """Publish to a receiver that fails from now on; the id."""
    await scene.subscribe_http(receiver, **attributes)
    receiver.answer = answering(503, b"not now")
    return await scene.publish("hello")


async def delays_s(
    scene: Scene, clock: FakeClock, receiver: HttpReceiver, **attributes: str
) -> list[float]:
    """How far apart the attempts at a message are, by the clock, until it is given up."""
    moments: list[int] = []

    async def fail(request: HttpRequest, writer: asyncio.StreamWriter) -> None:
        moments.append(clock.now_ms())
        await answering(500)(request, writer)

    await scene.subscribe_http(receiver, **attributes)
    receiver.answer = fail
    message_id = await scene.publish()

    def is_put_off(found: list[dict[str, Any]]) -> bool:
        return found[0]["dueAt"] is None or at_ms(found[0]["dueAt"]) > clock.now_ms()

    while True:
        [shown] = await until_called(lambda: scene.outbox(messageId=message_id), is_put_off)
        assert shown["attempts"] == len(moments)
        if shown["dueAt"] is None:
            assert shown["status"] == "failed"
            return [(after - before) / 1000 for before, after in pairwise(moments)]
        await clock.advance(at_ms(shown["dueAt"]) - clock.now_ms() - 1)
        assert len(moments) == shown["attempts"]
        await clock.advance(1)


@pytest.mark.parametrize(
    ("policy", "delays"),
    [
        (None, [20, 20, 20]),
        ({"minDelayTarget": 1, "maxDelayTarget": 9, "numRetries": 0}, []),
        ({"minDelayTarget": 1, "maxDelayTarget": 9, "numRetries": 5}, [1, 3, 5, 7, 9]),
        (
            {
                "minDelayTarget": 1,
                "maxDelayTarget": 11,
                "numRetries": 5,
                "backoffFunction": "arithmetic",
            },
            [1, 2, 4, 7, 11],
        ),
        (
            {
                "minDelayTarget": 1,
                "maxDelayTarget": 16,
                "numRetries": 5,
                "backoffFunction": "geometric",
            },
            [1, 2, 4, 8, 16],
        ),
        (
            {
                "minDelayTarget": 1,
                "maxDelayTarget": 16,
                "numRetries": 5,
                "backoffFunction": "exponential",
            },
            [1, 2, 4, 8, 16],
        ),
        (
            {
                "minDelayTarget": 2,
                "maxDelayTarget": 10,
                "numRetries": 9,
                "numNoDelayRetries": 2,
                "numMinDelayRetries": 2,
                "numMaxDelayRetries": 2,
            },
            [0, 0, 2, 2, 2, 6, 10, 10, 10],
        ),
    ],
)
async def test_retries_follow_the_policy_to_the_millisecond(
    scene: Scene, clock: FakeClock, policy: dict[str, Any] | None, delays: list[float]
) -> None:
    attributes = {} if policy is None else {"DeliveryPolicy": healthy(**policy)}
    async with http_receiver() as receiver:
        assert await delays_s(scene, clock, receiver, **attributes) == delays


async def test_a_policy_of_the_topic_holds_for_its_subscriptions(
    scene: Scene, clock: FakeClock
) -> None:
    policy = {"minDelayTarget": 5, "maxDelayTarget": 5, "numRetries": 2}
    await scene.set_topic(
        "DeliveryPolicy", json.dumps({"http": {"defaultHealthyRetryPolicy": policy}})
    )
    async with http_receiver() as receiver:
        assert await delays_s(scene, clock, receiver) == [5, 5]


@pytest.mark.parametrize(("disabled", "delays"), [(True, [5]), (False, [7, 7])])
async def test_the_topic_may_disable_policies_of_subscriptions(
    scene: Scene, clock: FakeClock, disabled: bool, delays: list[float]
) -> None:
    policy = {"minDelayTarget": 5, "maxDelayTarget": 5, "numRetries": 1}
    http = {"defaultHealthyRetryPolicy": policy, "disableSubscriptionOverrides": disabled}
    await scene.set_topic("DeliveryPolicy", json.dumps({"http": http}))
    own = healthy(minDelayTarget=7, maxDelayTarget=7, numRetries=2)
    async with http_receiver() as receiver:
        assert await delays_s(scene, clock, receiver, DeliveryPolicy=own) == delays


async def test_confirmations_are_tried_again_too(scene: Scene, clock: FakeClock) -> None:
    async with http_receiver(answering(500)) as receiver:
        await scene.subscribe("http", receiver.url())
        await scene.until_attempted(1)
        receiver.answer = answering(200)
        await clock.advance(20_000)
        await scene.delivery(status="delivered", attempts=2)
        first, second = receiver.requests
    assert first.body == second.body


async def test_every_attempt_sends_the_same(scene: Scene, clock: FakeClock) -> None:
    async with http_receiver() as receiver:
        message_id = await failing(scene, receiver)
        await scene.until_attempted(1)
        await clock.advance(20_000)
        await scene.until_attempted(2)
        first, second = receiver.requests
    assert first == second
    assert json.loads(first.body)["MessageId"] == message_id
    assert first.header("x-amz-sns-message-id") == message_id


@pytest.mark.parametrize("status", [500, 502, 503, 504, 599, 429])
async def test_errors_of_the_server_and_throttling_are_tried_again(
    scene: Scene, status: int
) -> None:
    async with http_receiver() as receiver:
        await scene.subscribe_http(receiver)
        receiver.answer = answering(status, b"why")
        await scene.publish()
        [shown] = await scene.until_attempted(1)
    assert (shown["status"], shown["statusCode"], shown["response"]) == ("pending", status, "why")


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 428, 430, 499, 301, 302, 307, 308])
async def test_other_statuses_are_refusals_that_go_to_the_dead_letter_queue_at_once(
    scene: Scene, status: int
) -> None:
    queue, redrive = await scene.dead_letter_queue()
    async with http_receiver() as elsewhere, http_receiver() as receiver:
        await scene.subscribe_http(receiver, RedrivePolicy=redrive)
        receiver.answer = answering(status, headers=(("Location", elsewhere.url()),))
        await scene.publish("hello")
        [shown] = await scene.until_attempted(1)
        assert (shown["status"], shown["statusCode"]) == ("dead-lettered", status)
        [body] = await queue.bodies()
        assert body.encode() == receiver.requests[0].body
        assert elsewhere.requests == []


GARBAGE = b"\x00\xff garbage\r\n\r\n"


@pytest.mark.parametrize(
    "answer",
    [
        answering_raw(b""),
        answering_raw(GARBAGE),
        answering_raw(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort"),
        hanging,
        repeating(b"HTTP/1.1 200 OK\r\n\r\n", b"", pause_s=0.01),
    ],
    ids=["hangs up", "garbage", "cut off", "hangs", "never ends"],
)
async def test_endpoints_that_do_anything_else_are_tried_again(
    scene: Scene, answer: Answering, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with http_receiver() as receiver:
        await scene.subscribe_http(receiver)
        monkeypatch.setattr(HttpTransport, "post", partialmethod(HttpTransport.post, timeout_s=0.2))
        receiver.answer = answer
        await scene.publish()
        [shown] = await scene.until_attempted(1)
    assert (shown["status"], shown["statusCode"]) == ("pending", None)
    assert shown["response"].startswith("no ")


async def test_what_cannot_be_composed_does_not_hold_up_what_comes_after_it(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    sign = Signatures.sign

    async def fail_once(signatures: Signatures, text: str, *rest: Any) -> Signature:
        if "unlucky" in text:
            raise ZeroDivisionError
        return await sign(signatures, text, *rest)

    monkeypatch.setattr(Signatures, "sign", fail_once)
    async with http_receiver() as receiver:
        await scene.subscribe_http(receiver)
        unlucky = await scene.publish("unlucky")
        lucky = await scene.publish("lucky")
        [shown] = await scene.until_finished(1, messageId=lucky)
        assert shown["status"] == "delivered"
        [shown] = await scene.outbox(messageId=unlucky)
    assert (shown["status"], shown["attempts"]) == ("pending", 1)
    assert shown["response"] == "an internal error: see the log"
    assert at_ms(shown["dueAt"]) == START_MS + 20_000
    assert "ZeroDivisionError" in caplog.text


async def test_nobody_at_the_port_is_tried_again(scene: Scene) -> None:
    await scene.subscribe("http", f"http://127.0.0.1:{closed_port()}/")
    [shown] = await scene.until_attempted(1)
    assert (shown["status"], shown["statusCode"]) == ("pending", None)
    assert at_ms(shown["dueAt"]) == START_MS + 20_000


async def test_what_is_exhausted_goes_to_the_dead_letter_queue(
    scene: Scene, clock: FakeClock
) -> None:
    queue, redrive = await scene.dead_letter_queue()
    async with http_receiver() as receiver:
        await failing(scene, receiver, RedrivePolicy=redrive)
        for attempts in range(1, 4):
            await scene.until_attempted(attempts)
            assert await queue.bodies() == []
            await clock.advance(20_000)
        [shown] = await scene.until_attempted(4)
        assert shown["status"] == "dead-lettered"
        [dead] = await queue.receive(
            MessageAttributeNames=["All"], MessageSystemAttributeNames=["All"]
        )
        assert dead["Body"].encode() == receiver.requests[0].body
    assert "MessageAttributes" not in dead


async def test_a_raw_message_is_dead_with_its_attributes(scene: Scene) -> None:
    queue, redrive = await scene.dead_letter_queue()
    async with http_receiver() as receiver:
        await scene.subscribe_http(receiver, RedrivePolicy=redrive, RawMessageDelivery="true")
        receiver.answer = answering(404)
        attribute = {"DataType": "Number", "StringValue": "7"}
        await scene.publish("hello", MessageAttributes={"seven": attribute})
        await scene.until_attempted(1)
    [dead] = await queue.receive(MessageAttributeNames=["All"])
    assert dead["Body"] == "hello"
    assert dead["MessageAttributes"] == {"seven": attribute}


async def test_without_a_dead_letter_queue_it_has_failed_and_is_shown(scene: Scene) -> None:
    async with http_receiver() as receiver:
        await scene.subscribe_http(receiver)
        receiver.answer = answering(404, b"no such page")
        message_id = await scene.publish("hello")
        [shown] = await scene.until_attempted(1)
    assert shown["status"] == "failed"
    assert (shown["messageId"], shown["message"]) == (message_id, "hello")
    assert (shown["statusCode"], shown["response"]) == (404, "no such page")


async def test_without_its_dead_letter_queue_it_has_failed(scene: Scene) -> None:
    redrive = json.dumps({"deadLetterTargetArn": "arn:aws:sqs:us-east-1:000000000000:none"})
    async with http_receiver() as receiver:
        await scene.subscribe_http(receiver, RedrivePolicy=redrive)
        receiver.answer = answering(404)
        await scene.publish()
        [shown] = await scene.until_attempted(1)
    assert shown["status"] == "failed"


async def test_a_redrive_policy_set_meanwhile_holds_for_what_fails_then(
    scene: Scene, clock: FakeClock
) -> None:
    queue, redrive = await scene.dead_letter_queue()
    async with http_receiver() as receiver:
        arn = await scene.subscribe_http(receiver)
        receiver.answer = answering(500)
        await scene.publish()
        await scene.until_attempted(1)
        await scene.set(arn, "RedrivePolicy", redrive)
        receiver.answer = answering(404)
        await clock.advance(20_000)
        await scene.until_attempted(2)
    assert len(await queue.bodies()) == 1


async def test_failures_never_disable_a_subscription(scene: Scene) -> None:
    async with http_receiver() as receiver:
        await scene.subscribe_http(receiver)
        receiver.answer = answering(404)
        for _ in range(5):
            await scene.publish("lost")
        await scene.until_finished(5, status="failed")
        receiver.answer = answering(200)
        message_id = await scene.publish("found")
        [shown] = await scene.until_finished(1, messageId=message_id)
    assert shown["status"] == "delivered"


async def test_attempts_are_as_far_apart_as_the_throttle_policy_says(
    scene: Scene, clock: FakeClock
) -> None:
    policy = json.dumps({"throttlePolicy": {"maxReceivesPerSecond": 4}})
    async with http_receiver() as receiver:
        await scene.subscribe_http(receiver, DeliveryPolicy=policy)
        # the confirmation was an attempt too
        for _ in range(3):
            await scene.publish()
        for number in range(3):
            assert len(receiver.requests) == number
            await clock.advance(249)
            assert len(receiver.requests) == number
            await clock.advance(1)
            await until(lambda n=number: len(receiver.requests) == n + 1)  # type: ignore[misc]
            await scene.until_finished(number + 2, status="delivered")


async def test_deliveries_go_on_after_a_restart_where_they_were(
    tmp_path: Path, clock: FakeClock
) -> None:
    url = f"sqlite:{tmp_path / 'headrace.db'}"
    async with http_receiver() as receiver:
        async with running(open_storage(url, strict=False), clock) as server:
            scene = Scene(server, await SnsClient(server.http).topic())
            await failing(scene, receiver)
            await scene.until_attempted(1)
            await clock.advance(20_000)
            [before] = await scene.until_attempted(2)
        await clock.advance(5_000)
        async with running(open_storage(url, strict=False), clock) as server:
            scene = Scene(server, scene.topic)
            [after] = await scene.outbox(messageId=before["messageId"])
            assert after == before
            await clock.advance(14_999)
            assert len(receiver.requests) == 2
            await clock.advance(1)
            [shown] = await scene.until_attempted(3)
            assert at_ms(shown["lastAttemptAt"]) == START_MS + 40_000
            await clock.advance(20_000)
            [shown] = await scene.until_attempted(4)
            assert shown["status"] == "failed"
        assert len({each.body for each in receiver.requests}) == 1


async def test_what_fell_due_while_the_server_was_down_is_made_up_for(
    tmp_path: Path, clock: FakeClock
) -> None:
    url = f"sqlite:{tmp_path / 'headrace.db'}"
    async with http_receiver() as receiver:
        async with running(open_storage(url, strict=False), clock) as server:
            scene = Scene(server, await SnsClient(server.http).topic())
            await failing(scene, receiver)
            await scene.until_attempted(1)
        receiver.answer = answering(200)
        await clock.advance(3_600_000)
        async with running(open_storage(url, strict=False), clock) as server:
            [shown] = await Scene(server, scene.topic).until_attempted(2)
            assert shown["status"] == "delivered"


async def test_an_attempt_that_a_stop_breaks_off_is_made_again(
    tmp_path: Path, clock: FakeClock
) -> None:
    url = f"sqlite:{tmp_path / 'headrace.db'}"
    async with http_receiver() as receiver:
        async with running(open_storage(url, strict=False), clock) as server:
            scene = Scene(server, await SnsClient(server.http).topic())
            await scene.subscribe_http(receiver)
            receiver.answer = hanging
            await scene.publish()
            await until(lambda: len(receiver.requests) == 1)
        receiver.answer = answering(200)
        async with running(open_storage(url, strict=False), clock) as server:
            [shown] = await Scene(server, scene.topic).until_attempted(1)
            assert shown["status"] == "delivered"
        first, second = receiver.requests
    assert first == second
