"""Visibility timeouts and ChangeMessageVisibility (SQS reference, 2.9, 2.12, 4.9)."""

import asyncio

import pytest

from tests.support.client import Client, Queue, refusal
from tests.support.clock import FakeClock
from tests.support.server import MEMORY_ONLY


async def test_a_received_message_is_hidden_for_the_timeout_of_its_queue(
    queue: Queue, clock: FakeClock
) -> None:
    await queue.send()
    await queue.receive_one()
    await clock.advance(29_999)
    assert await queue.bodies() == []
    await clock.advance(1)
    assert await queue.bodies() == ["hello"]


async def test_a_receive_may_ask_for_another_timeout(queue: Queue, clock: FakeClock) -> None:
    await queue.send()
    await queue.receive_one(VisibilityTimeout=100)
    await clock.advance(99_999)
    assert await queue.bodies() == []
    await clock.advance(1)
    assert await queue.bodies() == ["hello"]


async def test_a_timeout_asked_for_is_not_remembered(queue: Queue, clock: FakeClock) -> None:
    await queue.send()
    await queue.receive_one(VisibilityTimeout=1)
    await clock.advance(1_000)
    await queue.receive_one()
    await clock.advance(29_999)
    assert await queue.bodies() == []
    await clock.advance(1)
    assert await queue.bodies() == ["hello"]


async def test_with_timeout_0_a_message_stays_visible_and_is_counted(queue: Queue) -> None:
    await queue.send()
    first = await queue.receive_one(VisibilityTimeout=0)
    second = await queue.receive_one(MessageSystemAttributeNames=["ApproximateReceiveCount"])
    assert second["Attributes"] == {"ApproximateReceiveCount": "2"}
    assert second["ReceiptHandle"] != first["ReceiptHandle"]


async def test_one_receive_never_returns_a_message_twice(queue: Queue) -> None:
    await queue.send_each("a", "b")
    assert sorted(await queue.bodies(VisibilityTimeout=0)) == ["a", "b"]


@MEMORY_ONLY
@pytest.mark.parametrize("seconds", [-1, 43_201])
async def test_a_receive_hides_for_12_hours_at_most(queue: Queue, seconds: int) -> None:
    await queue.receive(VisibilityTimeout=43_200)
    assert await refusal(queue.receive(VisibilityTimeout=seconds)) == (
        "InvalidParameterValue",
        f"Value {seconds} for parameter VisibilityTimeout is invalid. Reason: Must be >= 0 and <="
        " 43200, if provided.",
    )


@MEMORY_ONLY
@pytest.mark.parametrize("number", [0, -1, 11])
async def test_a_receive_returns_ten_messages_at_most(queue: Queue, number: int) -> None:
    assert await refusal(queue.receive(number)) == (
        "InvalidParameterValue",
        f"Value {number} for parameter MaxNumberOfMessages is invalid. Reason: Must be between 1"
        " and 10, if provided.",
    )


async def test_a_receive_returns_as_many_as_there_are_up_to_its_maximum(queue: Queue) -> None:
    await queue.send_each(*"abcdefghijkl")
    assert await queue.bodies(10) == [*"abcdefghij"]
    assert await queue.bodies(10) == ["k", "l"]
    assert await queue.bodies(10) == []


async def test_a_receive_returns_one_message_by_default(queue: Queue) -> None:
    await queue.send_each("a", "b")
    answer = await queue.call("ReceiveMessage")
    assert [message["Body"] for message in answer["Messages"]] == ["a"]


async def test_older_messages_come_back_before_newer_ones(queue: Queue, clock: FakeClock) -> None:
    await queue.send_each("a", "b")
    await queue.receive(VisibilityTimeout=10)
    await clock.advance(10_000)
    await queue.send("c")
    assert await queue.bodies() == ["a", "b", "c"]


async def test_concurrent_receives_share_the_messages(queue: Queue) -> None:
    sent = [str(n) for n in range(20)]
    await queue.send_each(*sent)
    received = await asyncio.gather(*(queue.bodies(2) for _ in range(15)))
    assert sorted(body for bodies in received for body in bodies) == sorted(sent)


# --- ChangeMessageVisibility --------------------------------------------------------------------


async def test_a_new_timeout_counts_from_now(queue: Queue, clock: FakeClock) -> None:
    await queue.send()
    message = await queue.receive_one()
    await clock.advance(20_000)
    assert await queue.hide(message, 25) == {}
    await clock.advance(24_999)
    assert await queue.bodies() == []
    await clock.advance(1)
    assert await queue.bodies() == ["hello"]


async def test_a_new_timeout_may_be_shorter(queue: Queue, clock: FakeClock) -> None:
    await queue.send()
    await queue.hide(await queue.receive_one(), 5)
    await clock.advance(5_000)
    assert await queue.bodies() == ["hello"]


async def test_timeout_0_makes_a_message_visible_at_once(queue: Queue) -> None:
    await queue.send()
    await queue.hide(await queue.receive_one(), 0)
    assert await queue.counts() == (1, 0, 0)
    assert await queue.bodies() == ["hello"]


async def test_a_changed_timeout_is_not_remembered(queue: Queue, clock: FakeClock) -> None:
    await queue.send()
    await queue.hide(await queue.receive_one(), 1)
    await clock.advance(1_000)
    await queue.receive_one()
    await clock.advance(29_999)
    assert await queue.bodies() == []


async def test_a_change_does_not_count_as_a_receive(queue: Queue) -> None:
    await queue.send()
    await queue.hide(await queue.receive_one(), 0)
    message = await queue.receive_one(MessageSystemAttributeNames=["ApproximateReceiveCount"])
    assert message["Attributes"] == {"ApproximateReceiveCount": "2"}


@MEMORY_ONLY
@pytest.mark.parametrize("seconds", [-1, 43_201])
async def test_a_new_timeout_is_12_hours_at_most(queue: Queue, seconds: int) -> None:
    await queue.send()
    message = await queue.receive_one()
    assert await refusal(queue.hide(message, seconds)) == (
        "InvalidParameterValue",
        f"Value {seconds} for parameter VisibilityTimeout is invalid. Reason: Must be between 0 and"
        " 43200.",
    )


async def test_a_message_is_hidden_for_less_than_12_hours_since_its_receive(
    queue: Queue, clock: FakeClock
) -> None:
    def beyond(seconds: int) -> tuple[str, str]:
        return (
            "InvalidParameterValue",
            f"Value {seconds} for parameter VisibilityTimeout is invalid. Reason: Total"
            " VisibilityTimeout for the message is beyond the limit [43200 seconds].",
        )

    await queue.send()
    message = await queue.receive_one()
    assert await refusal(queue.hide(message, 43_200)) == beyond(43_200)
    await queue.hide(message, 43_199)
    await clock.advance(1_000)
    assert await refusal(queue.hide(message, 43_199)) == beyond(43_199)
    await queue.hide(message, 43_198)


async def test_a_new_timeout_is_required(queue: Queue) -> None:
    await queue.send()
    message = await queue.receive_one()
    refused = await refusal(
        queue.call("ChangeMessageVisibility", ReceiptHandle=message["ReceiptHandle"])
    )
    assert refused == (
        "MissingParameter",
        "The request must contain the parameter VisibilityTimeout.",
    )


# --- retention ----------------------------------------------------------------------------------


@pytest.fixture
async def short_lived(sqs: Client) -> Queue:
    """A queue that keeps messages for a minute."""
    return await sqs.queue("short", MessageRetentionPeriod="60")


async def test_messages_expire_when_their_time_is_over(
    short_lived: Queue, clock: FakeClock
) -> None:
    await short_lived.send()
    await clock.advance(59_999)
    assert await short_lived.bodies(VisibilityTimeout=0) == ["hello"]
    await clock.advance(1)
    assert await short_lived.bodies() == []
    assert await short_lived.counts() == (0, 0, 0)


async def test_messages_expire_in_every_state(short_lived: Queue, clock: FakeClock) -> None:
    await short_lived.send("in flight")
    await short_lived.receive_one(VisibilityTimeout=600)
    await short_lived.send("delayed", DelaySeconds=100)
    await short_lived.send("visible")
    assert await short_lived.counts() == (1, 1, 1)
    await clock.advance(60_000)
    assert await short_lived.counts() == (0, 0, 0)
    await clock.advance(600_000)
    assert await short_lived.bodies() == []


async def test_retention_counts_from_the_send_not_from_receives(
    short_lived: Queue, clock: FakeClock
) -> None:
    await short_lived.send()
    await clock.advance(40_000)
    await short_lived.receive_one(VisibilityTimeout=30)
    await clock.advance(30_000)
    assert await short_lived.bodies() == []


async def test_messages_are_kept_for_four_days_by_default(queue: Queue, clock: FakeClock) -> None:
    await queue.send()
    await clock.advance(345_599_999, settle=1)
    assert await queue.bodies(VisibilityTimeout=0) == ["hello"]
    await clock.advance(1)
    assert await queue.bodies() == []
