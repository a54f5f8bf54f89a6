"""Message move tasks (SQS reference, 2.21 to 2.23, 6.3)."""

import json
from base64 import b64decode, b64encode
from typing import Any
from uuid import UUID

import pytest

from tests.support.client import Answer, Client, Queue, redrive_policy, refusal
from tests.support.clock import START_MS, FakeClock
from tests.support.server import MEMORY_ONLY
from tests.support.until import until_called

UNKNOWN = "arn:aws:sqs:us-east-1:000000000000:none"


def no_resource(parameter: str) -> tuple[str, str]:
    return (
        "ResourceNotFoundException",
        f"The resource that you specified for the {parameter} parameter doesn't exist.",
    )


@pytest.fixture
async def dead(sqs: Client) -> Queue:
    """A dead-letter queue."""
    return await sqs.queue("dead")


@pytest.fixture
async def source(sqs: Client, dead: Queue) -> Queue:
    """The queue whose dead letters are in ``dead``."""
    return await sqs.queue("source", RedrivePolicy=redrive_policy(await dead.arn()))


async def kill(queue: Queue, *bodies: str) -> None:
    """Send messages, and have them moved to the dead-letter queue."""
    await queue.send_each(*bodies)
    for _ in range(2):
        await queue.receive(VisibilityTimeout=0)


async def start(queue: Queue, **members: Any) -> str:
    answer = await queue.sqs.call("StartMessageMoveTask", SourceArn=await queue.arn(), **members)
    handle: str = answer["TaskHandle"]
    return handle


async def tasks(queue: Queue, **members: Any) -> list[Answer]:
    answer = await queue.sqs.call("ListMessageMoveTasks", SourceArn=await queue.arn(), **members)
    found: list[Answer] = answer.get("Results", [])
    return found


async def latest(queue: Queue) -> Answer:
    return (await tasks(queue))[0]


async def ended(queue: Queue) -> Answer:
    """The latest task, once it has come to its end."""
    unfinished = ("RUNNING", "CANCELLING")
    return await until_called(lambda: latest(queue), lambda task: task["Status"] not in unfinished)


async def moved(queue: Queue, number: int) -> Answer:
    """The latest task, once it has moved that many."""
    return await until_called(
        lambda: latest(queue),
        lambda task: task["ApproximateNumberOfMessagesMoved"] >= number,
    )


def a_handle(task_id: str, source_arn: str) -> str:
    return b64encode(json.dumps({"taskId": task_id, "sourceArn": source_arn}).encode()).decode()


# --- moving -------------------------------------------------------------------------------------


async def test_messages_go_back_to_where_they_came_from(
    sqs: Client, source: Queue, dead: Queue
) -> None:
    other = await sqs.queue("other", RedrivePolicy=redrive_policy(await dead.arn()))
    await kill(source, "a", "b")
    await kill(other, "c")
    await start(dead)
    task = await ended(dead)
    assert task["Status"] == "COMPLETED"
    assert sorted(await source.bodies()) == ["a", "b"]
    assert await other.bodies() == ["c"]
    assert await dead.counts() == (0, 0, 0)


async def test_messages_go_to_the_destination_given(
    sqs: Client, source: Queue, dead: Queue
) -> None:
    other = await sqs.queue("other")
    await kill(source, "a")
    await dead.send("sent here")
    await start(dead, DestinationArn=await other.arn())
    await ended(dead)
    assert sorted(await other.bodies()) == ["a", "sent here"]
    assert await source.counts() == (0, 0, 0)


async def test_a_finished_task_is_listed_so(source: Queue, dead: Queue) -> None:
    await kill(source, "a", "b")
    await start(dead)
    assert await ended(dead) == {
        "Status": "COMPLETED",
        "SourceArn": await dead.arn(),
        "ApproximateNumberOfMessagesMoved": 2,
        "ApproximateNumberOfMessagesToMove": 2,
        "StartedTimestamp": START_MS,
    }


async def test_a_running_task_is_listed_so(sqs: Client, source: Queue, dead: Queue) -> None:
    destination = await (await sqs.queue("other")).arn()
    await kill(source, "a", "b")
    handle = await start(dead, DestinationArn=destination, MaxNumberOfMessagesPerSecond=1)
    assert await moved(dead, 1) == {
        "TaskHandle": handle,
        "Status": "RUNNING",
        "SourceArn": await dead.arn(),
        "DestinationArn": destination,
        "MaxNumberOfMessagesPerSecond": 1,
        "ApproximateNumberOfMessagesMoved": 1,
        "ApproximateNumberOfMessagesToMove": 2,
        "StartedTimestamp": START_MS,
    }


async def test_a_moved_message_is_a_new_one(source: Queue, dead: Queue, clock: FakeClock) -> None:
    attributes = {"k": {"DataType": "String", "StringValue": "x"}}
    sent = await source.send(MessageAttributes=attributes)
    for _ in range(2):
        await source.receive(VisibilityTimeout=0)
    await clock.advance(10_000)
    await start(dead)
    await ended(dead)
    message = await source.receive_one(
        MessageSystemAttributeNames=["All"], MessageAttributeNames=["All"]
    )
    assert message["Body"] == "hello"
    assert message["MessageAttributes"] == attributes
    assert message["MessageId"] != sent["MessageId"]
    assert message["Attributes"]["SentTimestamp"] == str(START_MS + 10_000)
    assert message["Attributes"]["ApproximateReceiveCount"] == "1"
    assert "DeadLetterQueueSourceArn" not in message["Attributes"]


async def test_messages_in_flight_are_not_moved(source: Queue, dead: Queue) -> None:
    await kill(source, "a", "b")
    [in_flight] = await dead.receive(1)
    await start(dead)
    assert (await ended(dead))["ApproximateNumberOfMessagesMoved"] == 1
    assert await dead.counts() == (0, 1, 0)
    await dead.delete(in_flight)


async def test_fifo_messages_keep_their_order(sqs: Client) -> None:
    dead = await sqs.queue("dead.fifo")
    source = await sqs.queue("source.fifo", RedrivePolicy=redrive_policy(await dead.arn()))
    for body in ("a", "b", "c"):
        await source.send_to("g", body)
    for _ in range(2):
        await source.receive(VisibilityTimeout=0)
    assert await dead.counts() == (3, 0, 0)
    await start(dead)
    await ended(dead)
    assert await source.bodies() == ["a", "b", "c"]


# --- pace ---------------------------------------------------------------------------------------


async def test_a_task_keeps_its_pace(source: Queue, dead: Queue, clock: FakeClock) -> None:
    await kill(source, "a", "b", "c", "d")
    await start(dead, MaxNumberOfMessagesPerSecond=1)
    for number in range(1, 4):
        task = await moved(dead, number)
        assert task["ApproximateNumberOfMessagesMoved"] == number
        assert task["Status"] == "RUNNING"
        await clock.advance(999)
        assert (await latest(dead))["ApproximateNumberOfMessagesMoved"] == number
        await clock.advance(1)
    task = await ended(dead)
    assert task["Status"] == "COMPLETED"
    assert task["ApproximateNumberOfMessagesMoved"] == 4


async def test_a_fast_pace_moves_several_a_second(
    source: Queue, dead: Queue, clock: FakeClock
) -> None:
    for _ in range(3):
        await kill(source, *(str(n) for n in range(10)))
    await start(dead, MaxNumberOfMessagesPerSecond=10)
    await moved(dead, 1)
    await clock.advance(1_000)
    assert (await moved(dead, 11))["ApproximateNumberOfMessagesMoved"] == 11


async def test_without_a_pace_everything_moves_at_once(source: Queue, dead: Queue) -> None:
    for _ in range(15):
        await kill(source, *(str(n) for n in range(10)))
    await start(dead)
    assert (await ended(dead))["ApproximateNumberOfMessagesMoved"] == 150


# --- cancelling ---------------------------------------------------------------------------------


async def test_a_task_can_be_cancelled(source: Queue, dead: Queue) -> None:
    await kill(source, "a", "b", "c")
    handle = await start(dead, MaxNumberOfMessagesPerSecond=1)
    await moved(dead, 1)
    answer = await dead.sqs.call("CancelMessageMoveTask", TaskHandle=handle)
    assert answer == {"ApproximateNumberOfMessagesMoved": 1}
    task = await ended(dead)
    assert task["Status"] == "CANCELLED"
    assert "TaskHandle" not in task
    assert await dead.counts() == (2, 0, 0)


async def test_a_finished_task_cannot_be_cancelled(source: Queue, dead: Queue) -> None:
    await kill(source, "a")
    handle = await start(dead)
    await ended(dead)
    assert await refusal(dead.sqs.call("CancelMessageMoveTask", TaskHandle=handle)) == (
        "InvalidParameterValue",
        "Only active tasks can be cancelled.",
    )


async def test_another_task_may_follow(source: Queue, dead: Queue) -> None:
    await kill(source, "a")
    await start(dead)
    await ended(dead)
    await kill(source)
    await start(dead)
    await ended(dead)
    assert len(await tasks(dead, MaxResults=10)) == 2


async def test_a_handle_is_readable(source: Queue, dead: Queue) -> None:
    text = b64decode(await start(dead)).decode()
    content = json.loads(text)
    assert text == json.dumps(content, separators=(",", ":"))
    assert content.keys() == {"taskId", "sourceArn"}
    assert content["sourceArn"] == await dead.arn()
    assert str(UUID(content["taskId"])) == content["taskId"]


@MEMORY_ONLY
@pytest.mark.parametrize(
    "handle",
    [
        "garbage",
        "é",
        b64encode(b"no json").decode(),
        b64encode(b"{}").decode(),
        b64encode(b"[]").decode(),
        b64encode(b'{"taskId":1,"sourceArn":2}').decode(),
        b64encode(b'{"taskId":"a"}').decode(),
        b64encode(b"\xff\xfe").decode(),
    ],
)
async def test_an_undecodable_handle_is_refused(sqs: Client, handle: str) -> None:
    assert await refusal(sqs.call("CancelMessageMoveTask", TaskHandle=handle)) == (
        "InvalidParameterValue",
        "Value for parameter TaskHandle is invalid.",
    )


async def test_a_handle_of_an_unknown_queue_is_refused(sqs: Client) -> None:
    handle = a_handle("a", UNKNOWN)
    refused = await refusal(sqs.call("CancelMessageMoveTask", TaskHandle=handle))
    assert refused == no_resource("SourceArn")


async def test_a_handle_of_no_task_is_refused(dead: Queue) -> None:
    handle = a_handle("a", await dead.arn())
    refused = await refusal(dead.sqs.call("CancelMessageMoveTask", TaskHandle=handle))
    assert refused == ("ResourceNotFoundException", "Task does not exist.")


async def test_a_handle_is_required(sqs: Client) -> None:
    assert await refusal(sqs.call("CancelMessageMoveTask")) == (
        "MissingParameter",
        "The request must contain the parameter TaskHandle.",
    )
    assert await refusal(sqs.call("CancelMessageMoveTask", TaskHandle="")) == (
        "InvalidParameterValue",
        "The TaskHandle parameter is required.",
    )


# --- failing ------------------------------------------------------------------------------------


async def test_a_task_fails_when_its_destination_goes(
    sqs: Client, source: Queue, dead: Queue, clock: FakeClock
) -> None:
    other = await sqs.queue("other")
    await kill(source, "a", "b", "c")
    await start(dead, DestinationArn=await other.arn(), MaxNumberOfMessagesPerSecond=1)
    await moved(dead, 1)
    await other.call("DeleteQueue")
    await clock.advance(1_000)
    task = await ended(dead)
    assert task["Status"] == "FAILED"
    assert task["FailureReason"] == "AWS.SimpleQueueService.NonExistentQueue"
    assert "TaskHandle" not in task
    assert len(await dead.bodies()) == 2


async def test_a_task_fails_when_a_source_is_gone(source: Queue, sqs: Client, dead: Queue) -> None:
    await sqs.queue("other", RedrivePolicy=redrive_policy(await dead.arn()))
    await kill(source, "a")
    await source.call("DeleteQueue")
    await start(dead)
    task = await ended(dead)
    assert task["FailureReason"] == "AWS.SimpleQueueService.NonExistentQueue"
    assert await dead.bodies() == ["a"]


async def test_a_task_fails_on_messages_that_came_from_nowhere(source: Queue, dead: Queue) -> None:
    await dead.send("sent here")
    await start(dead)
    task = await ended(dead)
    assert task["Status"] == "FAILED"
    assert task["FailureReason"] == "CouldNotDetermineMessageSource"
    assert await dead.bodies() == ["sent here"]


# --- what is refused ----------------------------------------------------------------------------


async def test_one_task_at_a_time(source: Queue, dead: Queue) -> None:
    await kill(source, "a", "b")
    await start(dead, MaxNumberOfMessagesPerSecond=1)
    await moved(dead, 1)
    assert await refusal(start(dead)) == (
        "InvalidParameterValue",
        "There is already a task running. Only one active task is allowed for a source queue arn"
        " at a given time.",
    )


@MEMORY_ONLY
@pytest.mark.parametrize("operation", ["StartMessageMoveTask", "ListMessageMoveTasks"])
async def test_a_source_is_required(sqs: Client, operation: str) -> None:
    missing = ("MissingParameter", "The request must contain the parameter SourceArn.")
    assert await refusal(sqs.call(operation)) == missing


@MEMORY_ONLY
@pytest.mark.parametrize("operation", ["StartMessageMoveTask", "ListMessageMoveTasks"])
async def test_a_source_is_an_existing_queue(sqs: Client, operation: str) -> None:
    assert await refusal(sqs.call(operation, SourceArn="junk")) == (
        "InvalidParameterValue",
        "You must use this format to specify the SourceArn:"
        " arn:<partition>:<service>:<region>:<account-id>:<resource-id>",
    )
    assert await refusal(sqs.call(operation, SourceArn=UNKNOWN)) == no_resource("SourceArn")


async def test_a_source_is_a_dead_letter_queue(queue: Queue) -> None:
    assert await refusal(start(queue)) == (
        "InvalidParameterValue",
        "Source queue must be configured as a Dead Letter Queue.",
    )


async def test_a_destination_is_another_queue_of_the_same_type(
    sqs: Client, source: Queue, dead: Queue
) -> None:
    assert await refusal(start(dead, DestinationArn="junk")) == (
        "InvalidParameterValue",
        "You must use this format to specify the DestinationArn:"
        " arn:<partition>:<service>:<region>:<account-id>:<resource-id>",
    )
    assert await refusal(start(dead, DestinationArn=await dead.arn())) == (
        "InvalidParameterValue",
        "Source queue arn and destination queue arn cannot be the same.",
    )
    refused = await refusal(start(dead, DestinationArn=UNKNOWN))
    assert refused == no_resource("DestinationArn")
    other = await sqs.queue("other.fifo")
    assert await refusal(start(dead, DestinationArn=await other.arn())) == (
        "InvalidParameterValue",
        "The source queue and destination queue must be of the same queue type.",
    )


@MEMORY_ONLY
@pytest.mark.parametrize("rate", [0, -1, 501])
async def test_a_pace_is_from_1_to_500(source: Queue, dead: Queue, rate: int) -> None:
    assert await refusal(start(dead, MaxNumberOfMessagesPerSecond=rate)) == (
        "InvalidParameterValue",
        "Value for parameter MaxNumberOfMessagesPerSecond is invalid. Reason: You must enter a"
        " number that's between 1 and 500.",
    )


# --- listing ------------------------------------------------------------------------------------


async def test_without_tasks_there_is_no_list(dead: Queue) -> None:
    answer = await dead.sqs.call("ListMessageMoveTasks", SourceArn=await dead.arn())
    assert answer == {}


async def test_the_latest_task_is_listed_first(
    source: Queue, dead: Queue, clock: FakeClock
) -> None:
    for _ in range(12):
        await start(dead)
        await ended(dead)
        await clock.advance(1_000)
    started = [task["StartedTimestamp"] for task in await tasks(dead, MaxResults=10)]
    assert started == [START_MS + 1_000 * n for n in range(11, 1, -1)]
    assert len(await tasks(dead)) == 1


@MEMORY_ONLY
@pytest.mark.parametrize("number", [0, 11])
async def test_from_1_to_10_tasks_are_listed(dead: Queue, number: int) -> None:
    assert await refusal(tasks(dead, MaxResults=number)) == (
        "InvalidParameterValue",
        "Value for parameter MaxResults is invalid. Reason: You must enter a number that's between"
        " 1 and 10.",
    )
