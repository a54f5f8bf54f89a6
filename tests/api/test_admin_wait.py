"""Waiting for a queue without a loop: ``GET /_headrace/wait``."""

import asyncio
from typing import Any

import pytest

from tests.support.admin import AdminClient, Document
from tests.support.client import Client, Queue, redrive_policy
from tests.support.clock import FakeClock
from tests.support.server import ENDPOINT, MEMORY_ONLY, Server
from tests.support.sns import SnsClient
from tests.support.until import soon, until

DAYS_4_MS = 345_600_000


@pytest.fixture
def sqs(server: Server) -> Client:
    return server.client("json")


@pytest.fixture
def admin(server: Server) -> AdminClient:
    return AdminClient(server.http)


@pytest.fixture
def waits(server: Server, admin: AdminClient) -> "Waits":
    return Waits(server, admin)


class Waits:
    """Starts to wait."""

    def __init__(self, server: Server, admin: AdminClient) -> None:
        self._watchers = server.broker.waiting._watchers
        self._admin = admin

    async def start(self, **query: Any) -> asyncio.Task[Document]:
        """A wait that is under way, and not met yet."""
        before = len(self._watchers)
        # longer than a test does: what ends it must be what the test does
        task = asyncio.create_task(self._admin.get("wait", timeout=60, **query))
        await until(lambda: len(self._watchers) > before or task.done())
        for _ in range(50):
            await asyncio.sleep(0)
        assert not task.done(), task.result()
        return task

    @property
    def under_way(self) -> int:
        """How many."""
        return len(self._watchers)


def counts(visible: int, in_flight: int = 0, delayed: int = 0) -> Document:
    """Counts as they are answered."""
    return {
        "messages": visible + in_flight + delayed,
        "visible": visible,
        "inFlight": in_flight,
        "delayed": delayed,
    }


# --- what is waited for -------------------------------------------------------------------------


async def test_a_condition_that_holds_is_answered_at_once(admin: AdminClient, queue: Queue) -> None:
    await queue.send_each("a", "b")
    for condition in ({"messages": 2}, {"messages": 1}, {"visible": 2}):
        assert await soon(admin.get("wait", queue="jobs", **condition)) == {
            "met": True,
            "queue": "arn:aws:sqs:us-east-1:000000000000:jobs",
            "counts": counts(2),
        }


async def test_a_condition_that_does_not_hold_in_time_is_answered_with_what_there_is(
    admin: AdminClient, queue: Queue
) -> None:
    await queue.send()
    for timeout in (0, 0.01):
        answer = await soon(admin.get("wait", queue="jobs", messages=2, timeout=timeout))
        assert (answer["met"], answer["counts"]) == (False, counts(1))


async def test_sent_messages_end_a_wait(waits: Waits, queue: Queue) -> None:
    waiting = await waits.start(queue="jobs", messages=3)
    await queue.send_each("a", "b")
    assert not waiting.done()
    await queue.send("c")
    assert (await soon(waiting))["counts"] == counts(3)


async def test_a_published_message_ends_a_wait(waits: Waits, queue: Queue, sns: SnsClient) -> None:
    topic = await sns.topic("news")
    await sns.call("Subscribe", TopicArn=topic, Protocol="sqs", Endpoint=await queue.arn())
    waiting = await waits.start(queue="jobs", messages=1)
    await sns.call("Publish", TopicArn=topic, Message="hello")
    assert (await soon(waiting))["met"]


async def test_a_delayed_message_counts_but_is_not_visible(waits: Waits, queue: Queue) -> None:
    visible = await waits.start(queue="jobs", visible=1)
    some, delayed = (
        await waits.start(queue="jobs", messages=1),
        await waits.start(queue="jobs", delayed=1),
    )
    await queue.send(DelaySeconds=60)
    assert (await soon(some))["counts"] == (await soon(delayed))["counts"] == counts(0, 0, 1)
    assert not visible.done()


@pytest.mark.parametrize("before", [True, False])
async def test_the_end_of_a_delay_ends_a_wait(
    waits: Waits, queue: Queue, clock: FakeClock, before: bool
) -> None:
    if before:
        await queue.send_each("a", "b", DelaySeconds=60)
    waiting = await waits.start(queue="jobs", visible=2)
    if not before:
        await queue.send_each("a", "b", DelaySeconds=60)
    await clock.advance(59_999)
    assert not waiting.done()
    await clock.advance(1)
    assert (await soon(waiting))["counts"] == counts(2)


async def test_a_wait_ends_when_as_many_are_visible_as_it_is_for(
    waits: Waits, queue: Queue, clock: FakeClock
) -> None:
    for seconds in (5, 20, 10, 15):
        await queue.send(DelaySeconds=seconds)
    waiting = await waits.start(queue="jobs", visible=3)
    await clock.advance(14_999)
    assert not waiting.done()
    await clock.advance(1)
    assert (await soon(waiting))["counts"] == counts(3, 0, 1)


async def test_the_end_of_a_visibility_timeout_ends_a_wait(
    waits: Waits, queue: Queue, clock: FakeClock
) -> None:
    await queue.send()
    message = await queue.receive_one(VisibilityTimeout=5)
    waiting = await waits.start(queue="jobs", visible=1)
    await queue.hide(message, 10)
    await clock.advance(9_999)
    assert not waiting.done()
    await clock.advance(1)
    assert (await soon(waiting))["met"]


async def test_a_received_message_is_in_flight(waits: Waits, queue: Queue) -> None:
    await queue.send()
    waiting = await waits.start(queue="jobs", inFlight=1)
    await queue.receive_one()
    assert (await soon(waiting))["counts"] == counts(0, 1)


async def test_deletions_end_a_wait_for_an_empty_queue(waits: Waits, queue: Queue) -> None:
    await queue.send_each("a", "b", "c")
    first, *others = await queue.receive(3)
    waiting = await waits.start(queue="jobs", empty=True)
    await queue.delete(first)
    assert not waiting.done()
    entries = [
        {"Id": str(n), "ReceiptHandle": each["ReceiptHandle"]} for n, each in enumerate(others)
    ]
    await queue.call("DeleteMessageBatch", Entries=entries)
    assert (await soon(waiting))["counts"] == counts(0)


async def test_a_purge_empties_a_queue(waits: Waits, queue: Queue) -> None:
    await queue.send()
    waiting = await waits.start(queue="jobs", empty=True)
    await queue.call("PurgeQueue")
    assert (await soon(waiting))["met"]


async def test_expiry_empties_a_queue(waits: Waits, queue: Queue, clock: FakeClock) -> None:
    await queue.send()
    waiting = await waits.start(queue="jobs", empty=True)
    await clock.advance(DAYS_4_MS - 1)
    assert not waiting.done()
    await clock.advance(1)
    await clock.advance(1)  # what is the oldest may be one that has just expired
    assert (await soon(waiting))["met"]


async def test_a_move_of_dead_letters_empties_their_queue(waits: Waits, sqs: Client) -> None:
    dead, other = await sqs.queue("dlq"), await sqs.queue("other")
    await sqs.queue("jobs", RedrivePolicy=redrive_policy(await dead.arn(), 1))
    await dead.send_each("a", "b")
    waiting = await waits.start(queue="dlq", empty=True)
    await sqs.call(
        "StartMessageMoveTask", SourceArn=await dead.arn(), DestinationArn=await other.arn()
    )
    assert (await soon(waiting))["met"]


async def test_the_last_message_that_is_dead_lettered_empties_its_queue(
    waits: Waits, sqs: Client
) -> None:
    dead = await sqs.queue("dlq")
    queue = await sqs.queue("jobs", RedrivePolicy=redrive_policy(await dead.arn(), 1))
    await queue.send()
    await queue.receive_one(VisibilityTimeout=0)
    empty = await waits.start(queue="jobs", empty=True)
    dead_lettered = await waits.start(dlqOf="jobs", messages=1)
    assert await queue.receive() == []
    assert (await soon(empty))["met"]
    answer = await soon(dead_lettered)
    assert (answer["met"], answer["queue"]) == (True, await dead.arn())


async def test_a_message_removed_by_hand_ends_a_wait(
    admin: AdminClient, waits: Waits, queue: Queue
) -> None:
    await queue.send()
    [message] = (await admin.get("queues/jobs/messages"))["messages"]
    waiting = await waits.start(queue="jobs", empty=True)
    await admin.delete(f"queues/jobs/messages/{message['messageId']}")
    assert (await soon(waiting))["met"]


async def test_all_conditions_must_hold(waits: Waits, queue: Queue) -> None:
    waiting = await waits.start(queue="jobs", visible=1, inFlight=1)
    await queue.send()
    await queue.receive_one()
    assert not waiting.done()
    await queue.send()
    assert (await soon(waiting))["counts"] == counts(1, 1)


async def test_the_deletion_of_a_queue_is_waited_for(
    admin: AdminClient, waits: Waits, queue: Queue
) -> None:
    answer = await soon(admin.get("wait", queue="jobs", deleted=True, timeout=0))
    assert (answer["met"], answer["counts"]) == (False, None)
    waiting = await waits.start(queue="jobs", deleted=True)
    await queue.send()
    assert not waiting.done()
    await queue.call("DeleteQueue")
    assert (await soon(waiting))["met"]
    assert (await soon(admin.get("wait", queue="jobs", deleted=True)))["met"]


# --- which queue --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "query",
    [
        {"queue": "there", "account": "111111111111", "region": "eu-west-1"},
        {"queue": "arn:aws:sqs:eu-west-1:111111111111:there"},
        {"queue": f"{ENDPOINT}/queue/eu-west-1/111111111111/there"},
    ],
)
async def test_a_queue_is_named_by_name_arn_or_url(
    admin: AdminClient, sqs: Client, query: dict[str, str]
) -> None:
    queue = await sqs.but(account="111111111111", region="eu-west-1").queue("there")
    await queue.send()
    answer = await admin.get("wait", **query, messages=1)
    assert (answer["met"], answer["queue"]) == (True, await queue.arn())


# --- how it ends --------------------------------------------------------------------------------


async def test_a_queue_that_goes_while_it_is_waited_for_is_404(
    server: Server, waits: Waits, queue: Queue
) -> None:
    call = asyncio.create_task(server.http.get("/_headrace/wait?queue=jobs&messages=1"))
    await until(lambda: waits.under_way == 1)
    await queue.call("DeleteQueue")
    assert (await soon(call)).status_code == 404


async def test_a_wait_ends_when_the_broker_stops(
    server: Server, waits: Waits, queue: Queue
) -> None:
    waiting = await waits.start(queue="jobs", messages=1)
    gone = await waits.start(queue="jobs", deleted=True)
    server.broker.stop_waiting()
    assert not (await soon(waiting))["met"]
    assert not (await soon(gone))["met"]


@pytest.mark.parametrize("condition", ["messages=1", "deleted=true"])
async def test_a_wait_ends_when_the_client_hangs_up(
    server: Server, waits: Waits, queue: Queue, condition: str
) -> None:
    hung_up = asyncio.Event()
    told: list[str] = []

    async def receive() -> dict[str, Any]:
        if told:
            await hung_up.wait()
            return {"type": "http.disconnect"}
        told.append("request")
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        told.append(message["type"])

    scope = {
        "type": "http",
        "method": "GET",
        "path": "/_headrace/wait",
        "raw_path": b"/_headrace/wait",
        "root_path": "",
        "scheme": "http",
        "query_string": f"queue=jobs&{condition}&timeout=60".encode(),
        "headers": [(b"host", b"localhost")],
    }
    call = asyncio.ensure_future(server.app(scope, receive, send))
    await until(lambda: waits.under_way == 1)
    hung_up.set()
    await soon(call)
    assert waits.under_way == 0


async def test_nobody_is_told_of_changes_when_nobody_waits(
    admin: AdminClient, waits: Waits, queue: Queue
) -> None:
    await admin.get("wait", queue="jobs", messages=1, timeout=0)
    await admin.get("wait", queue="jobs", deleted=True, timeout=0)
    await admin.refusal("GET", "wait?queue=none&messages=1")
    assert waits.under_way == 0


# --- refusals -----------------------------------------------------------------------------------


@MEMORY_ONLY
@pytest.mark.parametrize(
    ("query", "status", "text"),
    [
        ("messages=1", 400, "give either queue or dlqOf"),
        ("queue=jobs&dlqOf=jobs&messages=1", 400, "give either queue or dlqOf"),
        ("queue=jobs", 400, "give messages, visible, inFlight, delayed or empty, or else deleted"),
        ("queue=jobs&empty=false", 400, "give messages, visible, inFlight, delayed or empty,"),
        ("queue=jobs&empty=true&deleted=true", 400, "give messages, visible, inFlight, delayed"),
        ("queue=jobs&messages=0", 400, "messages is a number from 1 to 1000000000"),
        ("queue=jobs&messages=1&timeout=61", 400, "timeout is a number from 0 to 60"),
        ("queue=jobs&messages=1&timeout=nan", 400, "timeout is a number from 0 to 60"),
        ("queue=jobs&empty=yes", 400, "empty is true or false"),
        ("queue=jobs&message=1", 400, "there is no parameter message: use queue, dlqOf, account,"),
        ("queue=a%20b&messages=1", 400, "the queue is neither a name nor an ARN nor a URL"),
        ("queue=none&messages=1", 404, "there is no queue none in account 000000000000, region"),
        ("dlqOf=none&messages=1", 404, "there is no queue none in account 000000000000, region"),
        ("dlqOf=jobs&messages=1", 400, "queue jobs has no dead-letter queue"),
    ],
)
async def test_what_cannot_be_waited_for_is_refused(
    admin: AdminClient, queue: Queue, query: str, status: int, text: str
) -> None:
    refused = await soon(admin.refusal("GET", f"wait?{query}"))
    assert refused[0] == status
    assert refused[1].startswith(text)
