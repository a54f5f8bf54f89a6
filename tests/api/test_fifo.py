"""FIFO queues: order, groups, delay, attempts; fair queues (SQS reference, section 5)."""

import pytest

from tests.support.client import Client, Queue, refusal
from tests.support.clock import FakeClock
from tests.support.server import MEMORY_ONLY

NOT_FOR_THIS_TYPE = "The request include parameter that is not valid for this queue type."


async def send_all(queue: Queue, *messages: str) -> None:
    """Messages named as in the reference: ``g1-m2`` is of the group ``g1``."""
    for each in messages:
        await queue.send_to(each.partition("-")[0], each)


# --- recorded orders (5.3) ----------------------------------------------------------------------


async def test_recorded_order_a(fifo: Queue) -> None:
    await send_all(fifo, "g1-m1", "g2-m1", "g1-m2", "g1-m3")
    assert await fifo.bodies() == ["g1-m1", "g1-m2", "g1-m3", "g2-m1"]


async def test_recorded_order_b(fifo: Queue, clock: FakeClock) -> None:
    await send_all(fifo, "g1-m1", "g1-m2", "g1-m3", "g1-m4", "g2-m1", "g3-m1")
    assert await fifo.bodies(2) == ["g1-m1", "g1-m2"]
    assert await fifo.bodies(1) == ["g2-m1"]
    await clock.advance(30_000)
    assert await fifo.bodies() == ["g3-m1", "g1-m1", "g1-m2", "g1-m3", "g1-m4", "g2-m1"]


async def test_recorded_order_c(fifo: Queue) -> None:
    await send_all(fifo, "g1-m1", "g2-m1", "g2-m2", "g3-m1", "g1-m2")
    assert await fifo.bodies(3, VisibilityTimeout=0) == ["g1-m1", "g1-m2", "g2-m1"]
    order = ["g3-m1", "g1-m1", "g1-m2", "g2-m1", "g2-m2"]
    assert await fifo.bodies(10, VisibilityTimeout=0) == order


async def test_recorded_order_d(fifo: Queue) -> None:
    await send_all(fifo, "g1-m1", "g1-m2", "g2-m1")
    first, _ = await fifo.receive(2, VisibilityTimeout=30)
    await fifo.hide(first, 0)
    assert await fifo.bodies(3, WaitTimeSeconds=2) == ["g2-m1", "g1-m1"]


async def test_recorded_order_d_by_time(fifo: Queue, clock: FakeClock) -> None:
    await send_all(fifo, "g1-m1", "g1-m2", "g2-m1")
    first, _ = await fifo.receive(2, VisibilityTimeout=30)
    await fifo.hide(first, 1)
    await clock.advance(1_100)
    assert await fifo.bodies(3) == ["g2-m1", "g1-m1"]


E_AND_F = ("g1-m1", "g2-m1", "g1-m2", "g2-m2", "g1-m2", "g1-m3", "g1-m4", "g3-m1")


async def test_recorded_order_e(fifo: Queue) -> None:
    """AWS: g2, g1, g3; any order of groups is legitimate that keeps the order within them."""
    await send_all(fifo, *E_AND_F)
    both = await fifo.receive(2)
    assert [message["Body"] for message in both] == ["g1-m1", "g1-m2"]
    for message in both:
        await fifo.delete(message)
    bodies = await fifo.bodies()
    assert sorted(bodies) == sorted(["g2-m1", "g2-m2", "g1-m3", "g1-m4", "g3-m1"])
    assert bodies[:2] == ["g2-m1", "g2-m2"]
    assert bodies.index("g1-m4") == bodies.index("g1-m3") + 1


async def test_recorded_order_f(fifo: Queue) -> None:
    await send_all(fifo, *E_AND_F)
    first, _ = await fifo.receive(2)
    await fifo.delete(first)
    assert await fifo.bodies() == ["g2-m1", "g2-m2", "g3-m1"]


# --- groups -------------------------------------------------------------------------------------


async def test_a_group_with_a_message_in_flight_is_locked(fifo: Queue) -> None:
    await send_all(fifo, "g1-m1", "g1-m2", "g2-m1")
    assert await fifo.bodies(1) == ["g1-m1"]
    await send_all(fifo, "g1-m3")
    assert await fifo.bodies() == ["g2-m1"]


async def test_deleting_the_last_message_in_flight_unlocks_its_group(fifo: Queue) -> None:
    await send_all(fifo, "g1-m1", "g1-m2", "g1-m3")
    first, second = await fifo.receive(2)
    await fifo.delete(second)
    assert await fifo.bodies() == []
    await fifo.delete(first)
    assert await fifo.bodies() == ["g1-m3"]


async def test_redelivery_keeps_the_order(fifo: Queue, clock: FakeClock) -> None:
    await send_all(fifo, "g1-m1", "g1-m2")
    await fifo.bodies(1)
    await send_all(fifo, "g1-m3")
    await clock.advance(30_000)
    assert await fifo.bodies() == ["g1-m1", "g1-m2", "g1-m3"]


@pytest.mark.parametrize(
    ("extended", "redelivered"), [(0, []), (1, ["g1-m1"]), (2, ["g1-m1", "g1-m2"])]
)
async def test_a_group_is_gated_by_its_first_hidden_message(
    fifo: Queue, clock: FakeClock, extended: int, redelivered: list[str]
) -> None:
    await send_all(fifo, "g1-m1", "g1-m2", "g1-m3", "g1-m4")
    messages = await fifo.receive(3)
    await fifo.hide(messages[extended], 100)
    await clock.advance(30_000)
    assert await fifo.bodies() == redelivered


async def test_a_message_made_visible_comes_back_alone(fifo: Queue) -> None:
    await send_all(fifo, "g1-m1", "g1-m2")
    first, _ = await fifo.receive(2)
    await send_all(fifo, "g1-m3")
    await fifo.hide(first, 0)
    assert await fifo.bodies() == ["g1-m1"]


async def test_timeout_0_locks_nothing(fifo: Queue) -> None:
    await send_all(fifo, "g1-m1", "g1-m2", "g2-m1")
    assert await fifo.bodies(1, VisibilityTimeout=0) == ["g1-m1"]
    assert await fifo.bodies(1, VisibilityTimeout=0) == ["g2-m1"]  # g1 went to the back
    assert await fifo.bodies(1, VisibilityTimeout=0) == ["g1-m1"]


async def test_a_drained_group_works_again(fifo: Queue) -> None:
    await send_all(fifo, "g1-m1")
    await fifo.delete(await fifo.receive_one())
    await send_all(fifo, "g1-m2")
    assert await fifo.bodies() == ["g1-m2"]


async def test_purging_unlocks_a_group(fifo: Queue) -> None:
    await send_all(fifo, "g1-m1")
    await fifo.receive_one()
    await fifo.call("PurgeQueue")
    await send_all(fifo, "g1-m2")
    assert await fifo.bodies() == ["g1-m2"]


async def test_the_expiry_of_a_message_in_flight_unlocks_its_group(
    fifo: Queue, clock: FakeClock
) -> None:
    await fifo.set(MessageRetentionPeriod="60")
    await send_all(fifo, "g1-m1")
    await fifo.receive_one(VisibilityTimeout=600)
    await clock.advance(30_000)
    await send_all(fifo, "g1-m2")
    assert await fifo.bodies() == []
    await clock.advance(30_000)
    assert await fifo.bodies() == ["g1-m2"]


# --- sending ------------------------------------------------------------------------------------


async def test_a_group_id_is_required(fifo: Queue) -> None:
    assert await refusal(fifo.send(MessageDeduplicationId="a")) == (
        "MissingParameter",
        "The request must contain the parameter MessageGroupId.",
    )


async def test_a_deduplication_id_is_required_unless_content_stands_for_it(fifo: Queue) -> None:
    assert await refusal(fifo.send(MessageGroupId="g")) == (
        "InvalidParameterValue",
        "The queue should either have ContentBasedDeduplication enabled or MessageDeduplicationId"
        " provided explicitly",
    )


async def test_sequence_numbers_rise(fifo: Queue) -> None:
    numbers = [(await fifo.send_to("g", str(n)))["SequenceNumber"] for n in range(20)]
    assert all(len(number) == 20 and number.isdigit() for number in numbers)
    assert numbers == sorted(set(numbers))


async def test_sequence_numbers_rise_across_purges(fifo: Queue) -> None:
    first = await fifo.send_to("g", "a")
    await fifo.call("PurgeQueue")
    second = await fifo.send_to("g", "a")
    assert first["SequenceNumber"] < second["SequenceNumber"]


async def test_a_sequence_number_stays_with_its_message(fifo: Queue) -> None:
    sent = await fifo.send_to("g", "a")
    for _ in range(2):
        message = await fifo.receive_one(
            VisibilityTimeout=0, MessageSystemAttributeNames=["SequenceNumber"]
        )
        assert message["Attributes"] == {"SequenceNumber": sent["SequenceNumber"]}


# --- delay (5.4) --------------------------------------------------------------------------------


@MEMORY_ONLY
@pytest.mark.parametrize("seconds", [1, 900])
async def test_messages_have_no_delay_of_their_own(fifo: Queue, seconds: int) -> None:
    assert await refusal(fifo.send_to("g", "a", DelaySeconds=seconds)) == (
        "InvalidParameterValue",
        f"Value {seconds} for parameter DelaySeconds is invalid. Reason: {NOT_FOR_THIS_TYPE}",
    )


async def test_delay_0_does_not_cancel_the_delay_of_the_queue(
    fifo: Queue, clock: FakeClock
) -> None:
    await fifo.set(DelaySeconds="10")
    await fifo.send_to("g", "a", DelaySeconds=0)
    assert await fifo.bodies() == []
    await clock.advance(10_000)
    assert await fifo.bodies() == ["a"]


async def test_delayed_messages_become_receivable_in_order(fifo: Queue, clock: FakeClock) -> None:
    await fifo.set(DelaySeconds="10")
    await send_all(fifo, "g1-m1", "g1-m2", "g1-m3")
    await clock.advance(9_999)
    assert await fifo.bodies() == []
    await clock.advance(1)
    assert await fifo.bodies() == ["g1-m1", "g1-m2", "g1-m3"]


async def test_delayed_messages_are_counted_as_such(fifo: Queue, clock: FakeClock) -> None:
    await fifo.set(DelaySeconds="10")
    await send_all(fifo, "g1-m1")
    await clock.advance(10_000)
    await send_all(fifo, "g1-m2", "g2-m1")
    await clock.advance(9_999)
    assert await fifo.counts() == (1, 0, 2)
    await clock.advance(1)
    assert await fifo.counts() == (3, 0, 0)


async def test_messages_do_not_overtake_a_delayed_one_of_their_group(
    fifo: Queue, clock: FakeClock
) -> None:
    await fifo.set(DelaySeconds="10")
    await send_all(fifo, "g1-m1")
    await clock.advance(5_000)
    await send_all(fifo, "g1-m2")
    await clock.advance(5_000)
    assert await fifo.bodies(VisibilityTimeout=0) == ["g1-m1"]
    await clock.advance(5_000)
    assert await fifo.bodies() == ["g1-m1", "g1-m2"]


# --- ReceiveRequestAttemptId (5.5) --------------------------------------------------------------


def void(attempt: str) -> tuple[str, str]:
    return (
        "InvalidParameterValue",
        f"Value {attempt} for parameter ReceiveRequestAttemptId is invalid. Reason: The"
        " receiveRequestAttemptId is not valid anymore since the receive call is not retryable.",
    )


async def test_a_retried_receive_returns_the_same(fifo: Queue, clock: FakeClock) -> None:
    await send_all(fifo, "g1-m1", "g1-m2", "g2-m1")
    everything = {"MessageSystemAttributeNames": ["All"], "ReceiveRequestAttemptId": "try"}
    first = await fifo.receive(2, **everything)
    await clock.advance(10_000)
    again = await fifo.receive(2, **everything)
    assert again == first
    assert again[0]["Attributes"]["ApproximateReceiveCount"] == "1"


async def test_a_retried_receive_restarts_the_timeout(fifo: Queue, clock: FakeClock) -> None:
    await send_all(fifo, "g1-m1")
    await fifo.receive(ReceiveRequestAttemptId="try")
    await clock.advance(20_000)
    [message] = await fifo.receive(ReceiveRequestAttemptId="try")
    await clock.advance(29_999)
    assert await fifo.bodies() == []
    await fifo.delete(message)


async def test_an_attempt_that_got_nothing_may_get_something_later(fifo: Queue) -> None:
    assert await fifo.bodies(ReceiveRequestAttemptId="try") == []
    await send_all(fifo, "g1-m1")
    assert await fifo.bodies(ReceiveRequestAttemptId="try") == ["g1-m1"]


async def test_another_attempt_gets_other_messages(fifo: Queue) -> None:
    await send_all(fifo, "g1-m1", "g2-m1")
    assert await fifo.bodies(1, ReceiveRequestAttemptId="one") == ["g1-m1"]
    assert await fifo.bodies(1, ReceiveRequestAttemptId="two") == ["g2-m1"]


@pytest.mark.parametrize("what", ["delete", "hide", "show", "expire"])
async def test_an_attempt_is_void_when_its_messages_changed(
    fifo: Queue, clock: FakeClock, what: str
) -> None:
    await send_all(fifo, "g1-m1", "g1-m2")
    first, _ = await fifo.receive(2, ReceiveRequestAttemptId="try")
    if what == "delete":
        await fifo.delete(first)
    elif what == "hide":
        await fifo.hide(first, 100)
    elif what == "show":
        await fifo.hide(first, 0)
    else:
        await clock.advance(30_000)
    assert await refusal(fifo.receive(2, ReceiveRequestAttemptId="try")) == void("try")


async def test_an_attempt_is_forgotten_after_five_minutes(fifo: Queue, clock: FakeClock) -> None:
    await send_all(fifo, "g1-m1", "g2-m1")
    await fifo.receive(1, VisibilityTimeout=600, ReceiveRequestAttemptId="try")
    await clock.advance(299_999)
    assert await fifo.bodies(1, VisibilityTimeout=600, ReceiveRequestAttemptId="try") == ["g1-m1"]
    await clock.advance(1)
    assert await fifo.bodies(1, ReceiveRequestAttemptId="try") == ["g2-m1"]


async def test_a_standard_queue_ignores_attempts(queue: Queue) -> None:
    await queue.send_each("a", "b")
    for body in ("a", "b"):
        assert await queue.bodies(1, ReceiveRequestAttemptId="x" * 200) == [body]


@MEMORY_ONLY
@pytest.mark.parametrize("attempt", ["", "a b", "x" * 129])
async def test_attempt_ids_have_a_form(fifo: Queue, attempt: str) -> None:
    refused = await refusal(fifo.receive(ReceiveRequestAttemptId=attempt))
    assert refused[0] == "InvalidParameterValue"


# --- fair queues (5.7) --------------------------------------------------------------------------


async def test_a_standard_message_may_have_a_group(queue: Queue) -> None:
    sent = await queue.send(MessageGroupId="tenant")
    assert sent.keys() == {"MessageId", "MD5OfMessageBody"}
    message = await queue.receive_one(MessageSystemAttributeNames=["All"])
    assert message["Attributes"].keys() == {
        "SenderId",
        "SentTimestamp",
        "ApproximateReceiveCount",
        "ApproximateFirstReceiveTimestamp",
        "MessageGroupId",
    }
    assert message["Attributes"]["MessageGroupId"] == "tenant"


async def test_groups_of_a_standard_queue_are_not_locked(queue: Queue) -> None:
    await queue.send_each("a", "b", MessageGroupId="tenant")
    assert await queue.bodies(1) == ["a"]
    assert await queue.bodies(1) == ["b"]


async def test_a_noisy_group_does_not_delay_a_quiet_one(queue: Queue) -> None:
    await queue.send_each(*(f"noisy-{n}" for n in range(8)), MessageGroupId="noisy")
    await queue.send("quiet", MessageGroupId="quiet")
    assert "quiet" in await queue.bodies(2)


async def test_content_is_not_deduplicated_in_standard_queues(queue: Queue) -> None:
    await queue.send_each("a", "a", MessageGroupId="tenant")
    assert await queue.bodies() == ["a", "a"]


async def test_all_messages_of_all_groups_are_received(sqs: Client, queue: Queue) -> None:
    sent = [f"{n}" for n in range(20)]
    for n, body in enumerate(sent):
        await queue.send(body, **({"MessageGroupId": f"g{n % 4}"} if n % 5 else {}))
    received = [*await queue.bodies(), *await queue.bodies()]
    assert sorted(received) == sorted(sent)
