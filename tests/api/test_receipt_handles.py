"""Which receipt handles DeleteMessage and ChangeMessageVisibility accept (SQS reference, 4.3).

One test for each row of that table; standard and FIFO queues differ as it says.
"""

import string

import pytest

from tests.support.client import Answer, Client, Queue, refusal
from tests.support.clock import FakeClock
from tests.support.server import MEMORY_ONLY

HOURS_12_MS = 43_200_000


def expired(message: Answer) -> tuple[str, str]:
    return (
        "InvalidParameterValue",
        f"Value {message['ReceiptHandle']} for parameter ReceiptHandle is invalid. Reason: The"
        " receipt handle has expired.",
    )


def gone(message: Answer) -> tuple[str, str]:
    return (
        "InvalidParameterValue",
        f"Value {message['ReceiptHandle']} for parameter ReceiptHandle is invalid. Reason: Message"
        " does not exist or is not available for visibility timeout change.",
    )


@pytest.fixture
async def sent(queue: Queue) -> Queue:
    """A standard queue with one message."""
    await queue.send()
    return queue


@pytest.fixture
async def fifo_sent(fifo: Queue) -> Queue:
    """A FIFO queue with one message."""
    await fifo.send_to("g", "hello")
    return fifo


@pytest.fixture(params=["sent", "fifo_sent"])
def either(request: pytest.FixtureRequest, sent: Queue, fifo_sent: Queue) -> Queue:
    """A queue of each kind with one message."""
    return {"sent": sent, "fifo_sent": fifo_sent}[request.param]


async def is_empty(queue: Queue) -> bool:
    return await queue.counts() == (0, 0, 0)


# --- handles themselves -------------------------------------------------------------------------


async def test_every_receive_gives_another_handle(sent: Queue) -> None:
    handles = {(await sent.receive_one(VisibilityTimeout=0))["ReceiptHandle"] for _ in range(5)}
    assert len(handles) == 5


async def test_handles_look_like_those_of_aws(sent: Queue) -> None:
    handle = (await sent.receive_one())["ReceiptHandle"]
    assert handle.startswith("AQEB")
    assert len(handle) <= 1_024
    assert set(handle) <= set(string.ascii_letters + string.digits + "+/=-_")


# --- in flight ----------------------------------------------------------------------------------


async def test_a_message_in_flight_can_be_deleted(either: Queue, clock: FakeClock) -> None:
    assert await either.delete(await either.receive_one()) == {}
    await clock.advance(30_000)
    assert await is_empty(either)


async def test_a_message_in_flight_can_be_shown(either: Queue) -> None:
    assert await either.hide(await either.receive_one(), 0) == {}
    assert await either.bodies() == ["hello"]


async def test_an_extended_message_can_be_deleted_after_its_first_timeout(
    either: Queue, clock: FakeClock
) -> None:
    message = await either.receive_one()
    await either.hide(message, 100)
    await clock.advance(50_000)
    await either.delete(message)
    assert await is_empty(either)


async def test_an_extended_message_can_be_extended_after_its_first_timeout(
    either: Queue, clock: FakeClock
) -> None:
    message = await either.receive_one()
    await either.hide(message, 100)
    await clock.advance(50_000)
    await either.hide(message, 100)
    await clock.advance(99_999)
    assert await either.bodies() == []


# --- timeout over -------------------------------------------------------------------------------


async def test_standard_deletes_after_the_timeout(sent: Queue, clock: FakeClock) -> None:
    message = await sent.receive_one()
    await clock.advance(30_000)
    assert await sent.delete(message) == {}
    assert await is_empty(sent)


async def test_fifo_does_not_delete_after_the_timeout(fifo_sent: Queue, clock: FakeClock) -> None:
    message = await fifo_sent.receive_one()
    await clock.advance(29_999)
    await fifo_sent.hide(message, 1)
    await clock.advance(1_000)
    assert await refusal(fifo_sent.delete(message)) == expired(message)
    assert await fifo_sent.bodies() == ["hello"]


async def test_standard_takes_a_change_after_the_timeout_and_ignores_it(
    sent: Queue, clock: FakeClock
) -> None:
    message = await sent.receive_one()
    await clock.advance(30_000)
    assert await sent.hide(message, 100) == {}
    assert await sent.bodies() == ["hello"]


async def test_fifo_refuses_a_change_after_the_timeout(fifo_sent: Queue, clock: FakeClock) -> None:
    message = await fifo_sent.receive_one()
    await clock.advance(30_000)
    assert await refusal(fifo_sent.hide(message, 100)) == expired(message)
    assert await fifo_sent.bodies() == ["hello"]


# --- received with timeout 0 --------------------------------------------------------------------


async def test_standard_deletes_what_was_never_hidden(sent: Queue) -> None:
    assert await sent.delete(await sent.receive_one(VisibilityTimeout=0)) == {}
    assert await is_empty(sent)


async def test_fifo_does_not_delete_what_was_never_hidden(fifo_sent: Queue) -> None:
    message = await fifo_sent.receive_one(VisibilityTimeout=0)
    assert await refusal(fifo_sent.delete(message)) == expired(message)
    assert await fifo_sent.counts() == (1, 0, 0)


async def test_standard_takes_a_change_of_what_was_never_hidden(sent: Queue) -> None:
    message = await sent.receive_one(VisibilityTimeout=0)
    assert await sent.hide(message, 100) == {}
    assert await sent.bodies() == ["hello"]


async def test_fifo_refuses_a_change_of_what_was_never_hidden(fifo_sent: Queue) -> None:
    message = await fifo_sent.receive_one(VisibilityTimeout=0)
    assert await refusal(fifo_sent.hide(message, 100)) == expired(message)


# --- received again -----------------------------------------------------------------------------


async def received_twice(queue: Queue, clock: FakeClock) -> tuple[Answer, Answer]:
    first = await queue.receive_one(VisibilityTimeout=10)
    await clock.advance(10_000)
    return first, await queue.receive_one()


async def test_standard_deletes_by_an_old_handle(sent: Queue, clock: FakeClock) -> None:
    old, _ = await received_twice(sent, clock)
    assert await sent.delete(old) == {}
    assert await is_empty(sent)


async def test_fifo_does_not_delete_by_an_old_handle(fifo_sent: Queue, clock: FakeClock) -> None:
    old, current = await received_twice(fifo_sent, clock)
    assert await refusal(fifo_sent.delete(old)) == expired(old)
    await fifo_sent.delete(current)
    assert await is_empty(fifo_sent)


async def test_standard_changes_the_current_receive_by_an_old_handle(
    sent: Queue, clock: FakeClock
) -> None:
    old, _ = await received_twice(sent, clock)
    assert await sent.hide(old, 100) == {}
    await clock.advance(99_999)
    assert await sent.bodies() == []
    await clock.advance(1)
    assert await sent.bodies() == ["hello"]


async def test_standard_shows_a_message_by_the_handle_of_a_receive_with_timeout_0(
    sent: Queue,
) -> None:
    first = await sent.receive_one(VisibilityTimeout=0)
    await sent.receive_one(VisibilityTimeout=3)
    assert await sent.hide(first, 0) == {}
    assert await sent.bodies() == ["hello"]


async def test_fifo_refuses_a_change_by_an_old_handle(fifo_sent: Queue, clock: FakeClock) -> None:
    old, _ = await received_twice(fifo_sent, clock)
    assert await refusal(fifo_sent.hide(old, 0)) == expired(old)
    assert await fifo_sent.bodies() == []


# --- no longer there ----------------------------------------------------------------------------


async def test_a_deleted_message_can_be_deleted_again(either: Queue) -> None:
    message = await either.receive_one()
    for _ in range(3):
        assert await either.delete(message) == {}


async def test_a_deleted_message_cannot_be_changed(either: Queue) -> None:
    message = await either.receive_one()
    await either.delete(message)
    assert await refusal(either.hide(message, 0)) == gone(message)


async def test_an_expired_message_can_be_deleted(either: Queue, clock: FakeClock) -> None:
    await either.set(MessageRetentionPeriod="60")
    message = await either.receive_one(VisibilityTimeout=600)
    await clock.advance(60_000)
    assert await either.delete(message) == {}


async def test_an_expired_message_cannot_be_changed(either: Queue, clock: FakeClock) -> None:
    await either.set(MessageRetentionPeriod="60")
    message = await either.receive_one(VisibilityTimeout=600)
    await clock.advance(60_000)
    assert await refusal(either.hide(message, 0)) == gone(message)


async def test_a_purged_message_is_as_a_deleted_one(either: Queue) -> None:
    message = await either.receive_one()
    await either.call("PurgeQueue")
    assert await either.delete(message) == {}
    assert await refusal(either.hide(message, 0)) == gone(message)


# --- 12 hours later -----------------------------------------------------------------------------


async def test_a_handle_expires_after_12_hours(either: Queue, clock: FakeClock) -> None:
    message = await either.receive_one(VisibilityTimeout=43_200)
    await clock.advance(HOURS_12_MS + 1, settle=1)
    assert await refusal(either.delete(message)) == expired(message)
    assert await refusal(either.hide(message, 0)) == expired(message)
    assert await either.bodies() == ["hello"]


async def test_standard_deletes_up_to_12_hours_later(sent: Queue, clock: FakeClock) -> None:
    message = await sent.receive_one()
    await clock.advance(HOURS_12_MS, settle=1)
    assert await sent.delete(message) == {}
    assert await is_empty(sent)


# --- not of this queue --------------------------------------------------------------------------


async def test_a_handle_of_another_queue_is_refused(sqs: Client, either: Queue) -> None:
    other = await sqs.queue("other")
    await other.send()
    message = await other.receive_one()
    handle = message["ReceiptHandle"]
    refused = (
        "ReceiptHandleIsInvalid",
        f'The receipt handle "{handle}" is not valid for this queue.',
    )
    assert await refusal(either.delete(message)) == refused
    assert await refusal(either.hide(message, 0)) == refused
    assert await other.counts() == (0, 1, 0)


@MEMORY_ONLY
@pytest.mark.parametrize(
    "handle", ["garbage", "AQEB", "AQEBAQEB" * 10, "é", 'a"<b>&', "=", "x" * 2_000, "\U0001f600"]
)
async def test_what_is_no_handle_is_refused(either: Queue, handle: str) -> None:
    message = {"ReceiptHandle": handle}
    refused = (
        "ReceiptHandleIsInvalid",
        f'The input receipt handle "{handle}" is not a valid receipt handle.',
    )
    assert await refusal(either.delete(message)) == refused
    assert await refusal(either.hide(message, 0)) == refused


@MEMORY_ONLY
async def test_a_handle_with_any_character_changed_is_refused(sent: Queue) -> None:
    handle = (await sent.receive_one())["ReceiptHandle"]
    for at in range(len(handle.rstrip("="))):
        other = "A" if handle[at] != "A" else "B"
        changed = {"ReceiptHandle": handle[:at] + other + handle[at + 1 :]}
        assert (await refusal(sent.delete(changed)))[0] == "ReceiptHandleIsInvalid"
    assert await sent.counts() == (0, 1, 0)


@pytest.mark.parametrize("members", [{}, {"ReceiptHandle": ""}, {"ReceiptHandle": " "}])
async def test_a_handle_is_required(queue: Queue, members: dict[str, str]) -> None:
    missing = ("MissingParameter", "The request must contain the parameter ReceiptHandle.")
    assert await refusal(queue.call("DeleteMessage", **members)) == missing
    changed = queue.call("ChangeMessageVisibility", VisibilityTimeout=0, **members)
    assert await refusal(changed) == missing
