"""Receives that wait: what wakes them, what ends them (SQS reference, 2.9 and 4.9)."""

import asyncio
from typing import Any
from urllib.parse import urlencode

import pytest

from broker import QueueKey
from tests.support.client import Client, Queue, redrive_policy, refusal
from tests.support.clock import FakeClock
from tests.support.server import ACCOUNT, MEMORY_ONLY, REGION, Server
from tests.support.until import soon, until


async def test_a_poll_ends_with_the_first_message(server: Server, queue: Queue) -> None:
    poll = await server.park(queue.bodies(10, WaitTimeSeconds=20))
    await queue.send()
    assert await soon(poll) == ["hello"]


async def test_a_poll_does_not_wait_when_there_is_a_message(queue: Queue) -> None:
    await queue.send()
    assert await soon(queue.bodies(10, WaitTimeSeconds=20)) == ["hello"]


async def test_a_poll_ends_empty_at_its_deadline(
    server: Server, queue: Queue, clock: FakeClock
) -> None:
    poll = await server.park(queue.call("ReceiveMessage", WaitTimeSeconds=20))
    await clock.advance(19_999)
    assert not poll.done()
    await clock.advance(1)
    assert await soon(poll) == {}


async def test_without_a_wait_an_empty_queue_is_answered_at_once(queue: Queue) -> None:
    assert await soon(queue.call("ReceiveMessage")) == {}
    assert await soon(queue.call("ReceiveMessage", WaitTimeSeconds=0)) == {}


async def test_the_queue_says_how_long_to_wait_by_default(
    server: Server, sqs: Client, clock: FakeClock
) -> None:
    queue = await sqs.queue("patient", ReceiveMessageWaitTimeSeconds="5")
    poll = await server.park(queue.bodies())
    await clock.advance(4_999)
    assert not poll.done()
    await clock.advance(1)
    assert await soon(poll) == []


async def test_an_explicit_0_overrides_the_default_of_the_queue(sqs: Client) -> None:
    queue = await sqs.queue("patient", ReceiveMessageWaitTimeSeconds="5")
    assert await soon(queue.bodies(WaitTimeSeconds=0)) == []


@MEMORY_ONLY
@pytest.mark.parametrize("seconds", [-1, 21])
async def test_a_wait_is_20_seconds_at_most(queue: Queue, seconds: int) -> None:
    assert await refusal(queue.receive(WaitTimeSeconds=seconds)) == (
        "InvalidParameterValue",
        f"Value {seconds} for parameter WaitTimeSeconds is invalid. Reason: Must be >= 0 and <= 20,"
        " if provided.",
    )


# --- what wakes a poll --------------------------------------------------------------------------


async def test_a_batch_wakes_a_poll(server: Server, queue: Queue) -> None:
    poll = await server.park(queue.bodies(WaitTimeSeconds=20))
    entries = [{"Id": body, "MessageBody": body} for body in "abc"]
    await queue.call("SendMessageBatch", Entries=entries)
    assert await soon(poll) == ["a", "b", "c"]


async def test_the_end_of_a_delay_wakes_a_poll(
    server: Server, queue: Queue, clock: FakeClock
) -> None:
    await queue.send(DelaySeconds=5)
    poll = await server.park(queue.bodies(WaitTimeSeconds=20))
    await clock.advance(4_999)
    assert not poll.done()
    await clock.advance(1)
    assert await soon(poll) == ["hello"]


async def test_a_delay_that_begins_while_a_poll_waits_wakes_it_too(
    server: Server, queue: Queue, clock: FakeClock
) -> None:
    poll = await server.park(queue.bodies(WaitTimeSeconds=20))
    await queue.send(DelaySeconds=5)
    await until(lambda: server.broker.waiting.parked == 1)
    assert not poll.done()
    await clock.advance(5_000)
    assert await soon(poll) == ["hello"]


async def test_the_end_of_a_visibility_timeout_wakes_a_poll(
    server: Server, queue: Queue, clock: FakeClock
) -> None:
    await queue.send()
    await queue.receive_one(VisibilityTimeout=5)
    poll = await server.park(queue.bodies(WaitTimeSeconds=20))
    await clock.advance(4_999)
    assert not poll.done()
    await clock.advance(1)
    assert await soon(poll) == ["hello"]


async def test_making_a_message_visible_wakes_a_poll(server: Server, queue: Queue) -> None:
    await queue.send()
    message = await queue.receive_one()
    poll = await server.park(queue.bodies(WaitTimeSeconds=20))
    await queue.hide(message, 0)
    assert await soon(poll) == ["hello"]


async def test_a_shorter_timeout_wakes_a_poll_earlier(
    server: Server, queue: Queue, clock: FakeClock
) -> None:
    await queue.send()
    message = await queue.receive_one()
    poll = await server.park(queue.bodies(WaitTimeSeconds=20))
    await queue.hide(message, 5)
    await until(lambda: server.broker.waiting.parked == 1)
    await clock.advance(5_000)
    assert await soon(poll) == ["hello"]


async def test_deleting_the_last_message_in_flight_of_a_group_wakes_a_poll(
    server: Server, fifo: Queue
) -> None:
    for body in ("a", "b", "c"):
        await fifo.send_to("g", body)
    first, second = await fifo.receive(2)
    poll = await server.park(fifo.bodies(WaitTimeSeconds=20))
    await fifo.delete(first)
    assert not poll.done()
    await fifo.delete(second)
    assert await soon(poll) == ["c"]


async def test_the_end_of_a_timeout_wakes_a_poll_of_a_locked_group(
    server: Server, fifo: Queue, clock: FakeClock
) -> None:
    await fifo.send_to("g", "a")
    await fifo.send_to("g", "b")
    await fifo.receive_one(VisibilityTimeout=5)
    poll = await server.park(fifo.bodies(WaitTimeSeconds=20))
    await clock.advance(5_000)
    assert await soon(poll) == ["a", "b"]


async def test_sending_to_a_locked_group_does_not_end_a_poll(
    server: Server, fifo: Queue, clock: FakeClock
) -> None:
    await fifo.send_to("g", "a")
    await fifo.receive_one()
    poll = await server.park(fifo.bodies(WaitTimeSeconds=20))
    await fifo.send_to("g", "b")
    await clock.advance(19_999)
    assert not poll.done()
    await clock.advance(1)
    assert await soon(poll) == []


async def test_a_message_arriving_in_a_dead_letter_queue_wakes_its_poll(
    server: Server, sqs: Client, queue: Queue
) -> None:
    dead = await sqs.queue("dead")
    await queue.set(RedrivePolicy=redrive_policy(await dead.arn()))
    await queue.send()
    await queue.receive_one(VisibilityTimeout=0)
    poll = await server.park(dead.bodies(WaitTimeSeconds=20))
    assert await queue.bodies() == []
    assert await soon(poll) == ["hello"]


async def test_a_poll_that_finds_exhausted_messages_only_goes_on_waiting(
    server: Server, sqs: Client, queue: Queue
) -> None:
    dead = await sqs.queue("dead")
    await queue.set(RedrivePolicy=redrive_policy(await dead.arn()))
    await queue.send("exhausted")
    await queue.receive_one(VisibilityTimeout=0)
    poll = await server.park(queue.bodies(WaitTimeSeconds=20))
    assert await dead.bodies() == ["exhausted"]
    await queue.send("fresh")
    assert await soon(poll) == ["fresh"]


async def test_making_messages_visible_in_a_batch_wakes_polls(server: Server, queue: Queue) -> None:
    await queue.send_each("a", "b")
    entries = [
        {"Id": each["Body"], "ReceiptHandle": each["ReceiptHandle"], "VisibilityTimeout": 0}
        for each in await queue.receive()
    ]
    polls = [await server.park(queue.bodies(1, WaitTimeSeconds=20)) for _ in range(2)]
    await queue.call("ChangeMessageVisibilityBatch", Entries=entries)
    assert sorted([await soon(poll) for poll in polls]) == [["a"], ["b"]]


async def test_deleting_in_a_batch_unlocks_a_group_for_a_poll(server: Server, fifo: Queue) -> None:
    for body in ("a", "b", "c"):
        await fifo.send_to("g", body)
    entries = [
        {"Id": each["Body"], "ReceiptHandle": each["ReceiptHandle"]}
        for each in await fifo.receive(2)
    ]
    poll = await server.park(fifo.bodies(WaitTimeSeconds=20))
    await fifo.call("DeleteMessageBatch", Entries=entries)
    assert await soon(poll) == ["c"]


async def test_the_expiry_of_a_message_in_flight_unlocks_its_group_for_a_poll(
    server: Server, fifo: Queue, clock: FakeClock
) -> None:
    await fifo.set(MessageRetentionPeriod="60")
    await fifo.send_to("g", "a")
    await fifo.receive_one(VisibilityTimeout=600)
    await clock.advance(50_000)
    await fifo.send_to("g", "b")
    poll = await server.park(fifo.bodies(WaitTimeSeconds=20))
    await clock.advance(10_000)
    assert await soon(poll) == ["b"]


async def test_a_shorter_delay_of_a_fifo_queue_wakes_a_poll(server: Server, fifo: Queue) -> None:
    await fifo.set(DelaySeconds="100")
    await fifo.send_to("g", "a")
    poll = await server.park(fifo.bodies(WaitTimeSeconds=20))
    await fifo.set(DelaySeconds="0")
    assert await soon(poll) == ["a"]


async def test_a_message_moved_back_by_a_task_wakes_a_poll(
    server: Server, sqs: Client, queue: Queue
) -> None:
    dead = await sqs.queue("dead")
    await queue.set(RedrivePolicy=redrive_policy(await dead.arn()))
    await queue.send()
    for _ in range(2):
        await queue.receive(VisibilityTimeout=0)
    poll = await server.park(queue.bodies(WaitTimeSeconds=20))
    await sqs.call("StartMessageMoveTask", SourceArn=await dead.arn())
    assert await soon(poll) == ["hello"]


# --- several polls ------------------------------------------------------------------------------


async def test_each_message_goes_to_one_poll(server: Server, queue: Queue) -> None:
    polls = [await server.park(queue.bodies(1, WaitTimeSeconds=20)) for _ in range(3)]
    for body in ("a", "b", "c"):
        await queue.send(body)
    received = [await soon(poll) for poll in polls]
    assert sorted(received) == [["a"], ["b"], ["c"]]


async def test_the_poll_that_waits_longest_is_served_first(server: Server, queue: Queue) -> None:
    first = await server.park(queue.bodies(WaitTimeSeconds=20))
    second = await server.park(queue.bodies(WaitTimeSeconds=20))
    await queue.send("a")
    assert await soon(first) == ["a"]
    assert not second.done()
    await queue.send("b")
    assert await soon(second) == ["b"]


async def test_a_batch_is_shared_among_polls(server: Server, queue: Queue) -> None:
    polls = [await server.park(queue.bodies(1, WaitTimeSeconds=20)) for _ in range(3)]
    entries = [{"Id": body, "MessageBody": body} for body in "abc"]
    await queue.call("SendMessageBatch", Entries=entries)
    assert sorted([await soon(poll) for poll in polls]) == [["a"], ["b"], ["c"]]


@MEMORY_ONLY
async def test_what_one_poll_receives_comes_to_the_next_after_its_timeout(
    server: Server, queue: Queue, clock: FakeClock
) -> None:
    first = await server.park(queue.bodies(WaitTimeSeconds=20, VisibilityTimeout=5))
    second = await server.park(queue.bodies(WaitTimeSeconds=20))
    await queue.send()
    assert await soon(first) == ["hello"]
    await clock.advance(4_999)
    assert not second.done()
    await clock.advance(1)
    assert await soon(second, timeout_s=1) == ["hello"]


@MEMORY_ONLY
async def test_what_one_poll_receives_with_timeout_0_comes_to_the_next_at_once(
    server: Server, queue: Queue
) -> None:
    polls = [
        await server.park(queue.bodies(WaitTimeSeconds=20, VisibilityTimeout=0)) for _ in range(2)
    ]
    await queue.send()
    for poll in polls:
        assert await soon(poll, timeout_s=1) == ["hello"]


async def test_a_receive_while_others_wait_brings_its_message_back_to_them(
    server: Server, queue: Queue, clock: FakeClock
) -> None:
    await queue.send(DelaySeconds=5)
    poll = await server.park(queue.bodies(WaitTimeSeconds=20))
    await queue.set(VisibilityTimeout="3")
    await clock.advance(1_000)
    await queue.send("other")
    assert await soon(poll) == ["other"]
    again = await server.park(queue.bodies(WaitTimeSeconds=20))
    await clock.advance(3_000)
    assert await soon(again) == ["other"]


async def test_messages_due_at_one_moment_serve_several_polls(
    server: Server, queue: Queue, clock: FakeClock
) -> None:
    await queue.send_each("a", "b", "c", DelaySeconds=5)
    polls = [await server.park(queue.bodies(1, WaitTimeSeconds=20)) for _ in range(3)]
    await clock.advance(5_000)
    assert sorted([await soon(poll) for poll in polls]) == [["a"], ["b"], ["c"]]


async def test_polls_of_other_queues_are_left_alone(
    server: Server, sqs: Client, queue: Queue, clock: FakeClock
) -> None:
    other = await sqs.queue("other")
    poll = await server.park(other.bodies(WaitTimeSeconds=20))
    await queue.send()
    assert await queue.bodies() == ["hello"]
    assert not poll.done()
    await clock.advance(20_000)
    assert await soon(poll) == []


async def test_each_group_goes_to_one_poll(server: Server, fifo: Queue) -> None:
    polls = [await server.park(fifo.bodies(1, WaitTimeSeconds=20)) for _ in range(2)]
    await fifo.send_to("g", "g1")
    await fifo.send_to("g", "g2")
    await fifo.send_to("h", "h1")
    assert sorted([await soon(poll) for poll in polls]) == [["g1"], ["h1"]]


# --- the end ------------------------------------------------------------------------------------


async def test_a_poll_ends_when_its_queue_is_deleted(
    server: Server, queue: Queue, clock: FakeClock
) -> None:
    poll = await server.park(queue.receive(WaitTimeSeconds=20))
    await queue.call("DeleteQueue")
    assert await refusal(soon(poll)) == queue.sqs.no_queue


@MEMORY_ONLY
async def test_a_poll_does_not_go_on_waiting_in_a_queue_created_again(
    server: Server, sqs: Client, queue: Queue
) -> None:
    """Neither does it wait to its deadline, deaf to what is sent."""
    poll = await server.park(queue.receive(WaitTimeSeconds=20))
    key = QueueKey(ACCOUNT, REGION, "jobs")
    await server.broker.queues.delete(key)
    await server.broker.queues.create(key, {}, {})  # before the poll can run
    await until(lambda: poll.done() or server.broker.waiting.parked == 1)
    await queue.send()
    assert await refusal(soon(poll, timeout_s=1)) == sqs.no_queue


async def test_polls_end_empty_when_the_server_stops(server: Server, queue: Queue) -> None:
    polls = [await server.park(queue.receive(WaitTimeSeconds=20)) for _ in range(3)]
    server.broker.stop_waiting()
    assert [await soon(poll) for poll in polls] == [[], [], []]


async def test_no_poll_begins_to_wait_while_the_server_stops(server: Server, queue: Queue) -> None:
    server.broker.stop_waiting()
    assert await soon(queue.receive(WaitTimeSeconds=20)) == []


async def test_purging_does_not_end_a_poll(server: Server, queue: Queue) -> None:
    poll = await server.park(queue.bodies(WaitTimeSeconds=20))
    await queue.call("PurgeQueue")
    await queue.send()
    assert await soon(poll) == ["hello"]


async def test_a_client_that_hangs_up_takes_no_message(server: Server, queue: Queue) -> None:
    """The transport of the other tests cannot hang up: this one speaks ASGI itself."""
    parameters = urlencode(
        {"Action": "ReceiveMessage", "QueueUrl": queue.url, "WaitTimeSeconds": "20"}
    )
    scope = {
        "type": "http",
        "method": "GET",
        "scheme": "http",
        "path": "/",
        "query_string": parameters.encode(),
        "headers": [],
    }
    hung_up = asyncio.Event()
    messages: list[dict[str, Any]] = [{"type": "http.request", "body": b"", "more_body": False}]

    async def receive() -> dict[str, Any]:
        if messages:
            return messages.pop()
        await hung_up.wait()
        return {"type": "http.disconnect"}

    async def send(_message: dict[str, Any]) -> None:
        return None

    async def call() -> None:
        await server.app(scope, receive, send)

    poll = await server.park(call())
    hung_up.set()
    await soon(poll)
    assert server.broker.waiting.parked == 0
    await queue.send()
    assert await queue.bodies() == ["hello"]


async def test_a_call_that_is_cancelled_takes_no_message(server: Server, queue: Queue) -> None:
    poll = await server.park(queue.bodies(WaitTimeSeconds=20))
    poll.cancel()
    await asyncio.gather(poll, return_exceptions=True)
    await until(lambda: server.broker.waiting.parked == 0)
    await queue.send()
    assert await queue.bodies() == ["hello"]


async def test_a_changed_queue_is_seen_by_a_poll_that_waits(
    server: Server, queue: Queue, clock: FakeClock
) -> None:
    poll = await server.park(queue.bodies(WaitTimeSeconds=20))
    await queue.set(VisibilityTimeout="5")
    await queue.send()
    assert await soon(poll) == ["hello"]
    await clock.advance(5_000)
    assert await queue.bodies() == ["hello"]
