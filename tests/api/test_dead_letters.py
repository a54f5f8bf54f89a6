"""Dead-letter queues: when messages move there, and as what (SQS reference, 5.6, 6.1, 6.2)."""

from typing import NamedTuple

import pytest

from tests.support.client import Client, Queue, redrive_policy
from tests.support.clock import START_MS, FakeClock

ATTRIBUTES = {
    "s": {"DataType": "String", "StringValue": "x"},
    "b": {"DataType": "Binary.png", "BinaryValue": b"\x00\xff"},
}


class Pair(NamedTuple):
    """A queue and its dead-letter queue."""

    source: Queue
    dead: Queue


async def pair(sqs: Client, suffix: str = "", *, max_receives: int = 1) -> Pair:
    dead = await sqs.queue(f"dead{suffix}")
    policy = redrive_policy(await dead.arn(), max_receives)
    return Pair(await sqs.queue(f"source{suffix}", RedrivePolicy=policy), dead)


@pytest.fixture
async def standard(sqs: Client) -> Pair:
    """Standard queues; a message is received once."""
    return await pair(sqs)


@pytest.fixture
async def fifos(sqs: Client) -> Pair:
    """FIFO queues; a message is received once."""
    return await pair(sqs, ".fifo")


async def exhaust(queue: Queue, times: int = 1) -> None:
    """Receive a message that often, and once more."""
    for _ in range(times):
        assert len(await queue.bodies(1, VisibilityTimeout=0)) == 1
    assert await queue.bodies(1, VisibilityTimeout=0) == []


# --- when ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["", ".fifo"])
@pytest.mark.parametrize("times", [1, 2, 5])
async def test_the_receive_after_the_last_allowed_one_moves_the_message(
    sqs: Client, suffix: str, times: int
) -> None:
    source, dead = await pair(sqs, suffix, max_receives=times)
    await (source.send_to("g", "hello") if suffix else source.send())
    for _ in range(times):
        assert await dead.counts() == (0, 0, 0)
        assert await source.bodies(VisibilityTimeout=0) == ["hello"]
    assert await source.bodies() == []
    assert await source.counts() == (0, 0, 0)
    assert await dead.bodies() == ["hello"]


async def test_an_exhausted_message_stays_until_somebody_receives(
    standard: Pair, clock: FakeClock
) -> None:
    await standard.source.send()
    await standard.source.receive_one()
    await clock.advance(60_000)
    assert await standard.source.counts() == (1, 0, 0)
    assert await standard.dead.counts() == (0, 0, 0)


async def test_the_receive_that_moves_returns_other_messages(standard: Pair) -> None:
    await standard.source.send("old")
    await standard.source.receive_one(VisibilityTimeout=0)
    await standard.source.send("new")
    assert await standard.source.bodies(1) == ["new"]
    assert await standard.dead.bodies() == ["old"]


async def test_deleting_in_time_prevents_the_move(standard: Pair) -> None:
    await standard.source.send()
    await standard.source.delete(await standard.source.receive_one(VisibilityTimeout=0))
    assert await standard.source.bodies() == []
    assert await standard.dead.counts() == (0, 0, 0)


async def test_changing_visibility_is_no_receive(sqs: Client) -> None:
    source, dead = await pair(sqs, max_receives=2)
    await source.send()
    message = await source.receive_one()
    for seconds in (10, 20, 0):
        await source.hide(message, seconds)
    assert await source.bodies() == ["hello"]
    assert await dead.counts() == (0, 0, 0)


async def test_a_policy_holds_for_receives_that_were_before_it(sqs: Client, queue: Queue) -> None:
    dead = await sqs.queue("dead")
    await queue.send()
    for _ in range(3):
        await queue.receive_one(VisibilityTimeout=0)
    await queue.set(RedrivePolicy=redrive_policy(await dead.arn(), 3))
    assert await queue.bodies() == []
    assert await dead.bodies() == ["hello"]


async def test_without_its_policy_a_queue_keeps_its_messages(standard: Pair) -> None:
    await standard.source.send()
    await standard.source.receive_one(VisibilityTimeout=0)
    await standard.source.set(RedrivePolicy="")
    assert await standard.source.bodies() == ["hello"]


@pytest.mark.parametrize("suffix", ["", ".fifo"])
async def test_without_its_dead_letter_queue_a_queue_keeps_its_messages(
    sqs: Client, suffix: str
) -> None:
    source, dead = await pair(sqs, suffix)
    await (source.send_to("g", "hello") if suffix else source.send())
    await dead.call("DeleteQueue")
    for _ in range(4):
        assert await source.bodies(VisibilityTimeout=0) == ["hello"]


async def test_a_dead_letter_queue_created_again_is_used_again(standard: Pair) -> None:
    await standard.source.send()
    await standard.dead.call("DeleteQueue")
    for _ in range(2):
        await standard.source.receive_one(VisibilityTimeout=0)
    again = await standard.dead.sqs.queue("dead")
    assert await standard.source.bodies() == []
    assert await again.bodies() == ["hello"]


async def test_a_queue_that_is_its_own_dead_letter_queue_loses_nothing(queue: Queue) -> None:
    await queue.set(RedrivePolicy=redrive_policy(await queue.arn()))
    await queue.send()
    for _ in range(3):
        assert await queue.bodies(VisibilityTimeout=0) == ["hello"]


async def test_messages_go_down_a_chain(sqs: Client, standard: Pair) -> None:
    last = await sqs.queue("last")
    await standard.dead.set(RedrivePolicy=redrive_policy(await last.arn(), 2))
    await standard.source.send()
    await exhaust(standard.source)
    await exhaust(standard.dead)  # the receive in the source counts here
    assert await last.bodies() == ["hello"]


async def test_many_messages_move_in_one_receive(standard: Pair, clock: FakeClock) -> None:
    for n in range(30):
        await standard.source.send(str(n))
    for _ in range(3):
        assert len(await standard.source.receive(VisibilityTimeout=60)) == 10
    await clock.advance(60_000)
    await standard.source.send("fresh")
    assert await standard.source.bodies() == ["fresh"]
    assert await standard.dead.counts() == (30, 0, 0)


# --- as what: standard --------------------------------------------------------------------------


async def test_a_moved_message_is_the_same_message(standard: Pair, clock: FakeClock) -> None:
    trace = {"AWSTraceHeader": {"DataType": "String", "StringValue": "Root=1"}}
    sent = await standard.source.send(
        MessageAttributes=ATTRIBUTES, MessageSystemAttributes=trace, MessageGroupId="tenant"
    )
    everything = {"MessageSystemAttributeNames": ["All"], "MessageAttributeNames": ["All"]}
    await clock.advance(1_000)
    before = await standard.source.receive_one(VisibilityTimeout=0, **everything)
    await clock.advance(1_000)
    assert await standard.source.bodies() == []
    await clock.advance(1_000)
    after = await standard.dead.receive_one(**everything)
    assert after["MessageId"] == sent["MessageId"]
    assert after["Attributes"] == {
        **before["Attributes"],
        "ApproximateReceiveCount": "2",
        "DeadLetterQueueSourceArn": await standard.source.arn(),
    }
    assert after["Attributes"]["SentTimestamp"] == str(START_MS)
    for name in ("Body", "MD5OfBody", "MessageAttributes", "MD5OfMessageAttributes"):
        assert after[name] == before[name]


async def test_the_source_can_be_asked_for_by_name(standard: Pair) -> None:
    await standard.source.send()
    await exhaust(standard.source)
    message = await standard.dead.receive_one(AttributeNames=["DeadLetterQueueSourceArn"])
    assert message["Attributes"] == {"DeadLetterQueueSourceArn": await standard.source.arn()}


async def test_a_handle_of_the_source_is_as_of_a_deleted_message(standard: Pair) -> None:
    await standard.source.send()
    message = await standard.source.receive_one(VisibilityTimeout=0)
    assert await standard.source.bodies() == []
    assert await standard.source.delete(message) == {}
    assert await standard.dead.bodies() == ["hello"]


async def test_a_moved_message_goes_on_ageing(standard: Pair, clock: FakeClock) -> None:
    await standard.dead.set(MessageRetentionPeriod="60")
    await standard.source.send()
    await clock.advance(40_000)
    await exhaust(standard.source)
    assert await standard.dead.counts() == (1, 0, 0)
    await clock.advance(20_000)
    assert await standard.dead.bodies() == []


async def test_the_delay_and_size_of_the_dead_letter_queue_do_not_matter(
    standard: Pair,
) -> None:
    await standard.dead.set(DelaySeconds="900", MaximumMessageSize="1024")
    await standard.source.send("x" * 2_000)
    await exhaust(standard.source)
    assert await standard.dead.bodies() == ["x" * 2_000]


# --- as what: FIFO ------------------------------------------------------------------------------


async def test_a_moved_fifo_message_keeps_its_group_and_takes_its_id_for_deduplication(
    fifos: Pair,
) -> None:
    sent = await fifos.source.send_to("g", "hello")
    await exhaust(fifos.source)
    message = await fifos.dead.receive_one(MessageSystemAttributeNames=["All"])
    assert message["MessageId"] == sent["MessageId"]
    assert message["Attributes"]["MessageGroupId"] == "g"
    assert message["Attributes"]["MessageDeduplicationId"] == sent["MessageId"]
    assert message["Attributes"]["DeadLetterQueueSourceArn"] == await fifos.source.arn()


async def test_deduplication_does_not_swallow_moved_messages(fifos: Pair) -> None:
    await fifos.dead.send_to("g", "other", MessageDeduplicationId="x")
    await fifos.source.send_to("g", "hello", MessageDeduplicationId="x")
    await exhaust(fifos.source)
    assert await fifos.dead.bodies() == ["other", "hello"]


async def test_a_move_unlocks_the_group(fifos: Pair) -> None:
    for body in ("a", "b"):
        await fifos.source.send_to("g", body)
    assert await fifos.source.bodies(1, VisibilityTimeout=0) == ["a"]
    assert await fifos.source.bodies(1) == ["b"]
    assert await fifos.dead.bodies() == ["a"]


async def test_moved_fifo_messages_keep_their_order(fifos: Pair) -> None:
    for body in ("a", "b", "c"):
        await fifos.source.send_to("g", body)
    await fifos.source.receive(VisibilityTimeout=0)
    assert await fifos.source.bodies() == []
    assert await fifos.dead.bodies() == ["a", "b", "c"]


async def test_the_retention_of_a_moved_fifo_message_starts_anew(
    fifos: Pair, clock: FakeClock
) -> None:
    await fifos.dead.set(MessageRetentionPeriod="60")
    await fifos.source.send_to("g", "hello")
    await clock.advance(40_000)
    await exhaust(fifos.source)
    await clock.advance(59_999)
    assert await fifos.dead.bodies(VisibilityTimeout=0) == ["hello"]
    await clock.advance(1)
    assert await fifos.dead.bodies() == []
