"""Queues and their messages, looked at and put right over ``/_headrace/queues``."""

import json
from base64 import b64encode
from typing import Any

import pytest

from storage.records import Counts, QueueRecord
from tests.support.admin import AdminClient, Document
from tests.support.client import Client, Queue, redrive_policy
from tests.support.clock import FakeClock
from tests.support.server import ENDPOINT, MEMORY_ONLY, Server
from tests.support.until import soon

OTHER = "111111111111"


@pytest.fixture
def sqs(server: Server) -> Client:
    return server.client("json")


@pytest.fixture
def admin(server: Server) -> AdminClient:
    return AdminClient(server.http)


async def peeked(admin: AdminClient, name: str = "jobs", **query: Any) -> list[Document]:
    """The messages of a queue that fit, on one page."""
    page = await admin.get(f"queues/{name}/messages", **query)
    assert page["next"] is None
    messages: list[Document] = page["messages"]
    return messages


async def id_of(admin: AdminClient, body: str, name: str = "jobs") -> str:
    """The id of the message of that body."""
    [found] = [each for each in await peeked(admin, name) if each["body"] == body]
    message_id: str = found["messageId"]
    return message_id


# --- queues -------------------------------------------------------------------------------------


async def test_a_queue_is_shown_with_what_it_holds(
    admin: AdminClient, queue: Queue, clock: FakeClock
) -> None:
    await queue.send_each("a", "b", "c")
    await queue.send("d", DelaySeconds=60)
    await queue.receive(1)
    await clock.advance(5_000)
    [shown] = (await admin.get("queues"))["queues"]
    assert shown == {
        "name": "jobs",
        "account": "000000000000",
        "region": "us-east-1",
        "arn": "arn:aws:sqs:us-east-1:000000000000:jobs",
        "url": f"{ENDPOINT}/000000000000/jobs",
        "fifo": False,
        "counts": {"messages": 4, "visible": 2, "inFlight": 1, "delayed": 1},
        "oldestMessageAt": "2026-01-01T00:00:00.000Z",
        "oldestMessageAgeMs": 5_000,
        "deadLetterQueue": None,
    }


async def test_an_empty_queue_has_no_oldest_message(admin: AdminClient, queue: Queue) -> None:
    await queue.send()
    await queue.delete(await queue.receive_one())
    [shown] = (await admin.get("queues"))["queues"]
    assert (shown["oldestMessageAt"], shown["oldestMessageAgeMs"]) == (None, None)
    assert shown["counts"] == {"messages": 0, "visible": 0, "inFlight": 0, "delayed": 0}


async def test_an_expired_message_is_not_the_oldest(
    admin: AdminClient, queue: Queue, clock: FakeClock
) -> None:
    await queue.send()
    await clock.advance(345_600_000)
    [shown] = (await admin.get("queues"))["queues"]
    assert (shown["oldestMessageAt"], shown["counts"]["messages"]) == (None, 0)


@MEMORY_ONLY
async def test_a_store_may_still_have_an_expired_message_as_the_oldest(
    admin: AdminClient, server: Server, queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def survey(ids: list[int], *, now_ms: int) -> dict[int, tuple[Counts, int]]:
        return {queue_id: (Counts(0, 0, 0), now_ms - 1) for queue_id in ids}

    monkeypatch.setattr(server.broker.inspection._store, "survey_queues", survey)
    [shown] = (await admin.get("queues"))["queues"]
    assert (shown["oldestMessageAt"], shown["oldestMessageAgeMs"]) == (None, None)


async def test_all_queues_are_listed_and_narrowed_by_account_and_region(
    admin: AdminClient, sqs: Client
) -> None:
    for account, region, name in [
        (OTHER, "us-east-1", "c"),
        ("000000000000", "us-east-1", "b"),
        ("000000000000", "us-east-1", "a"),
        (OTHER, "eu-west-1", "d"),
    ]:
        await sqs.but(account=account, region=region).queue(name)

    async def names(**query: str) -> list[str]:
        return [each["name"] for each in (await admin.get("queues", **query))["queues"]]

    assert await names() == ["a", "b", "d", "c"]
    assert await names(account=OTHER) == ["d", "c"]
    assert await names(region="us-east-1") == ["a", "b", "c"]
    assert await names(account=OTHER, region="us-east-1") == ["c"]
    assert await names(account="222222222222") == []


async def test_a_queue_that_goes_while_queues_are_listed_is_left_out(
    admin: AdminClient, server: Server, sqs: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = await sqs.queue("a")
    await sqs.queue("b")
    store = server.broker.inspection._store
    records = await store.all_queues()
    await gone.call("DeleteQueue")

    async def all_queues() -> list[QueueRecord]:
        return records

    monkeypatch.setattr(store, "all_queues", all_queues)
    assert [each["name"] for each in (await admin.get("queues"))["queues"]] == ["b"]


async def test_one_queue_is_shown_with_attributes_and_tags(admin: AdminClient, sqs: Client) -> None:
    await sqs.queue("dlq")
    dead = "arn:aws:sqs:us-east-1:000000000000:dlq"
    queue = await sqs.queue("jobs", RedrivePolicy=redrive_policy(dead, 3))
    await queue.call("TagQueue", Tags={"team": "shop"})
    shown = await admin.get("queues/jobs")
    assert shown["deadLetterQueue"] == dead
    assert shown["attributes"]["VisibilityTimeout"] == "30"
    assert shown["tags"] == {"team": "shop"}
    assert await admin.get("queues/000000000000/us-east-1/jobs") == shown


async def test_a_queue_of_another_account_and_region_has_a_path_of_its_own(
    admin: AdminClient, sqs: Client
) -> None:
    queue = await sqs.but(account=OTHER, region="eu-west-1").queue("jobs")
    await queue.send("there")
    path = f"queues/{OTHER}/eu-west-1/jobs"
    assert (await admin.get(path))["arn"] == f"arn:aws:sqs:eu-west-1:{OTHER}:jobs"
    [message] = (await admin.get(f"{path}/messages"))["messages"]
    assert (await admin.get(f"{path}/messages/{message['messageId']}"))["body"] == "there"
    assert (await admin.refusal("GET", "queues/jobs"))[0] == 404


# --- peeking ------------------------------------------------------------------------------------


async def test_a_message_is_shown_with_all_that_is_known(
    admin: AdminClient, sqs: Client, clock: FakeClock
) -> None:
    fifo = await sqs.queue("jobs.fifo")
    sent = await fifo.send(
        "hello",
        MessageGroupId="g",
        MessageDeduplicationId="d",
        MessageAttributes={
            "kind": {"DataType": "String", "StringValue": "order"},
            "raw": {"DataType": "Binary", "BinaryValue": b"\x00\xff"},
        },
        MessageSystemAttributes={
            "AWSTraceHeader": {"DataType": "String", "StringValue": "Root=1-5759e988-bd862e3fe1be"}
        },
    )
    await clock.advance(1_000)
    await fifo.receive(1)
    assert await peeked(admin, "jobs.fifo") == [
        {
            "messageId": sent["MessageId"],
            "state": "inFlight",
            "hiddenUntil": "2026-01-01T00:00:31.000Z",
            "receiveCount": 1,
            "body": "hello",
            "attributes": {
                "kind": {"dataType": "String", "stringValue": "order", "binaryValue": None},
                "raw": {
                    "dataType": "Binary",
                    "stringValue": None,
                    "binaryValue": b64encode(b"\x00\xff").decode(),
                },
            },
            "groupId": "g",
            "deduplicationId": "d",
            "sequenceNumber": sent["SequenceNumber"],
            "senderId": "000000000000",
            "sentAt": "2026-01-01T00:00:00.000Z",
            "firstReceivedAt": "2026-01-01T00:00:01.000Z",
            "lastReceivedAt": "2026-01-01T00:00:01.000Z",
            "traceHeader": "Root=1-5759e988-bd862e3fe1be",
            "deadLetterSource": None,
        }
    ]


async def test_a_message_that_was_never_received_says_so(admin: AdminClient, queue: Queue) -> None:
    await queue.send()
    [shown] = await peeked(admin)
    assert (shown["state"], shown["hiddenUntil"], shown["receiveCount"]) == ("visible", None, 0)
    assert (shown["firstReceivedAt"], shown["lastReceivedAt"]) == (None, None)
    assert (shown["sequenceNumber"], shown["attributes"]) == (None, {})


async def test_a_dead_letter_tells_where_it_came_from(admin: AdminClient, sqs: Client) -> None:
    dead = await sqs.queue("dlq")
    queue = await sqs.queue("jobs", RedrivePolicy=redrive_policy(await dead.arn(), 1))
    await queue.send()
    await queue.receive_one(VisibilityTimeout=0)
    assert await queue.receive() == []
    [shown] = await peeked(admin, "dlq")
    assert shown["deadLetterSource"] == await queue.arn()
    assert shown["receiveCount"] == 1


async def test_looking_changes_nothing(admin: AdminClient, queue: Queue) -> None:
    await queue.send_each("a", "b")
    for _ in range(3):
        assert [each["body"] for each in await peeked(admin)] == ["a", "b"]
    assert await queue.counts() == (2, 0, 0)
    [first] = await queue.receive(1, AttributeNames=["All"])
    assert first["Attributes"]["ApproximateReceiveCount"] == "1"


async def test_messages_are_chosen_by_state_group_and_id(
    admin: AdminClient, queue: Queue, clock: FakeClock
) -> None:
    await queue.send("in flight")
    await queue.receive(1)
    await queue.send("delayed", DelaySeconds=60)
    await queue.send("visible")
    await queue.send("of a group", MessageGroupId="g")

    async def bodies(**query: Any) -> list[str]:
        return [each["body"] for each in await peeked(admin, **query)]

    assert await bodies(state="inFlight") == ["in flight"]
    assert await bodies(state="delayed") == ["delayed"]
    assert await bodies(state=["visible", "delayed"]) == ["delayed", "visible", "of a group"]
    assert await bodies(group="g") == ["of a group"]
    assert await bodies(messageId=await id_of(admin, "delayed")) == ["delayed"]
    assert await bodies(messageId="unknown") == []
    await clock.advance(60_000)
    assert len(await bodies(state="visible")) == 4


@pytest.mark.parametrize(("count", "limit"), [(45, 7), (45, 20), (40, 20), (45, 44), (45, 45)])
async def test_pages_have_every_message_once(
    admin: AdminClient, queue: Queue, count: int, limit: int
) -> None:
    bodies = [str(number) for number in range(count)]
    await queue.send_each(*bodies)
    found: list[str] = []
    query: dict[str, Any] = {"limit": limit}
    while True:
        page = await admin.get("queues/jobs/messages", **query)
        assert len(page["messages"]) <= limit
        assert page["messages"]
        found += [each["body"] for each in page["messages"]]
        if page["next"] is None:
            break
        query["after"] = page["next"]
    assert found == bodies


@MEMORY_ONLY
async def test_a_page_with_long_messages_ends_early(admin: AdminClient, queue: Queue) -> None:
    for _ in range(60):
        await queue.send("x" * 250_000)
    page = await admin.get("queues/jobs/messages")
    assert len(page["messages"]) == 20
    rest = await admin.get("queues/jobs/messages", after=page["next"], limit=1_000)
    assert (len(rest["messages"]), rest["next"] is None) == (20, False)


# --- putting right ------------------------------------------------------------------------------


@pytest.mark.parametrize("state", ["inFlight", "delayed"])
async def test_a_hidden_message_is_made_visible(
    admin: AdminClient, queue: Queue, state: str
) -> None:
    await queue.send(DelaySeconds=60 if state == "delayed" else 0)
    await queue.receive(1)
    [hidden] = await peeked(admin, state=state)
    shown = await admin.post(f"queues/jobs/messages/{hidden['messageId']}/show")
    assert (shown["state"], shown["hiddenUntil"]) == ("visible", None)
    assert shown["receiveCount"] == hidden["receiveCount"]
    assert await queue.bodies() == ["hello"]


async def test_a_message_that_is_made_visible_wakes_a_poll(
    admin: AdminClient, server: Server, queue: Queue
) -> None:
    await queue.send()
    await queue.receive(1)
    poll = await server.park(queue.bodies(WaitTimeSeconds=20))
    await admin.post(f"queues/jobs/messages/{await id_of(admin, 'hello')}/show")
    assert await soon(poll) == ["hello"]


async def test_showing_a_visible_message_does_nothing(admin: AdminClient, queue: Queue) -> None:
    await queue.send()
    shown = await admin.post(f"queues/jobs/messages/{await id_of(admin, 'hello')}/show")
    assert shown["state"] == "visible"


@pytest.mark.parametrize("state", ["visible", "inFlight", "delayed"])
async def test_a_message_is_deleted_in_whatever_state(
    admin: AdminClient, queue: Queue, state: str
) -> None:
    await queue.send("it", DelaySeconds=60 if state == "delayed" else 0)
    if state == "inFlight":
        await queue.receive(1)
    await queue.send("another")
    message_id = await id_of(admin, "it")
    path = f"queues/jobs/messages/{message_id}"
    assert (await admin.get(path))["state"] == state
    assert await admin.delete(path) == {"deleted": message_id}
    assert [each["body"] for each in await peeked(admin)] == ["another"]
    assert await admin.refusal("DELETE", path) == (
        404,
        f"there is no message {message_id} in queue jobs",
    )


@pytest.mark.parametrize("name", ["other", "arn:aws:sqs:eu-west-1:111111111111:other"])
async def test_a_message_is_moved_to_another_queue(
    admin: AdminClient, sqs: Client, queue: Queue, name: str
) -> None:
    far = name.startswith("arn:")
    who = sqs.but(account=OTHER, region="eu-west-1") if far else sqs
    other = await who.queue("other")
    await queue.send("it", MessageAttributes={"n": {"DataType": "Number", "StringValue": "1"}})
    await queue.receive(1)
    old_id = await id_of(admin, "it")
    moved = await admin.post(f"queues/jobs/messages/{old_id}/move", json={"queue": name})
    assert moved["queue"] == await other.arn()
    assert moved["messageId"] != old_id
    assert await peeked(admin) == []
    [received] = await other.receive(MessageAttributeNames=["All"])
    assert (received["Body"], received["MessageId"]) == ("it", moved["messageId"])
    assert received["MessageAttributes"]["n"]["StringValue"] == "1"


async def test_a_message_only_moves_to_a_fifo_queue_if_it_has_a_group(
    admin: AdminClient, queue: Queue, fifo: Queue
) -> None:
    await queue.send("without")
    await queue.send("with", MessageGroupId="g")
    body = {"queue": "jobs.fifo"}
    path = f"queues/jobs/messages/{await id_of(admin, 'without')}/move"
    assert await admin.refusal("POST", path, json=body) == (
        400,
        "the message has no group, and queue jobs.fifo is a FIFO queue",
    )
    await admin.post(f"queues/jobs/messages/{await id_of(admin, 'with')}/move", json=body)
    assert await fifo.bodies() == ["with"]
    assert await queue.bodies() == ["without"]


async def test_deleting_the_message_that_locks_a_group_frees_it(
    admin: AdminClient, server: Server, fifo: Queue
) -> None:
    await fifo.send_to("g", "first")
    await fifo.send_to("g", "second")
    await fifo.receive(1)
    poll = await server.park(fifo.bodies(WaitTimeSeconds=20))
    await admin.delete(f"queues/jobs.fifo/messages/{await id_of(admin, 'first', 'jobs.fifo')}")
    assert await soon(poll) == ["second"]


# --- refusals -----------------------------------------------------------------------------------


@MEMORY_ONLY
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "queues/none"),
        ("GET", "queues/000000000000/us-east-1/none"),
        ("GET", "queues/none/messages"),
        ("GET", "queues/none/messages/x"),
        ("POST", "queues/none/messages/x/show"),
        ("DELETE", "queues/none/messages/x"),
        ("POST", "queues/none/messages/x/move"),
    ],
)
async def test_a_queue_that_does_not_exist_is_404(
    admin: AdminClient, queue: Queue, method: str, path: str
) -> None:
    body = {"json": {"queue": "jobs"}} if path.endswith("move") else {}
    assert await admin.refusal(method, path, **body) == (
        404,
        "there is no queue none in account 000000000000, region us-east-1",
    )


@MEMORY_ONLY
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "queues/jobs/messages/x"),
        ("POST", "queues/jobs/messages/x/show"),
        ("DELETE", "queues/jobs/messages/x"),
        ("POST", "queues/jobs/messages/x/move"),
    ],
)
async def test_a_message_that_does_not_exist_is_404(
    admin: AdminClient, sqs: Client, queue: Queue, method: str, path: str
) -> None:
    await sqs.queue("other")
    body = {"json": {"queue": "other"}} if path.endswith("move") else {}
    assert await admin.refusal(method, path, **body) == (
        404,
        "there is no message x in queue jobs",
    )


@MEMORY_ONLY
@pytest.mark.parametrize(
    ("document", "status", "text"),
    [
        ({"queue": "none"}, 404, "there is no queue none in account"),
        ({"queue": "jobs"}, 400, "the message is in queue jobs already"),
        ({"queue": ""}, 400, "the queue is neither a name nor an ARN nor a URL"),
        ({"queue": "\ud800"}, 400, "the queue is neither"),
        ({"queue": 1}, 400, "queue is missing, or no text"),
        ({}, 400, "queue is missing, or no text"),
        ([], 400, "the body is not a JSON object"),
        ({"queue": "other", "region": "eu-west-1"}, 400, "there is no member region: use queue"),
        ({"\ud800": 1}, 400, "there is no member \\ud800: use queue"),
    ],
)
async def test_a_message_does_not_move_to_nowhere(
    admin: AdminClient, queue: Queue, document: object, status: int, text: str
) -> None:
    await queue.send()
    path = f"queues/jobs/messages/{await id_of(admin, 'hello')}/move"
    refused = await admin.refusal("POST", path, content=json.dumps(document))
    assert refused[0] == status
    assert refused[1].startswith(text)
    assert await queue.counts() == (1, 0, 0)


@MEMORY_ONLY
@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("queues?acount=1", "there is no parameter acount: use account, region"),
        ("queues?account=1", "account is 12 digits"),
        ("queues?region=EU", "region is a name such as us-east-1"),
        ("queues?account=000000000000&account=1", "account is given more than once"),
        ("queues/jobs/messages?limit=1&limit=1", "limit is given more than once"),
        ("queues/jobs?x=1", "there is no parameter x: there are none here"),
        ("queues/jobs/messages?limit=0", "limit is a number from 1 to 1000"),
        ("queues/jobs/messages?limit=1001", "limit is a number from 1 to 1000"),
        ("queues/jobs/messages?limit=ten", "limit is a number from 1 to 1000"),
        ("queues/jobs/messages?limit=%D9%A1", "limit is a number from 1 to 1000"),
        ("queues/jobs/messages?after=-1", "after is a number from 0 to 9223372036854775807"),
        (
            "queues/jobs/messages?after=9223372036854775808",
            "after is a number from 0 to 9223372036854775807",
        ),
        ("queues/jobs/messages?limit=1.5", "limit is a number from 1 to 1000"),
        ("queues/jobs/messages?state=gone", "state is one of visible, delayed, inFlight"),
    ],
)
async def test_a_parameter_that_cannot_be_understood_is_refused(
    admin: AdminClient, queue: Queue, path: str, text: str
) -> None:
    assert await admin.refusal("GET", path) == (400, text)
