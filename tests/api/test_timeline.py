"""The life of a message, told from what happened to it."""

import asyncio
from typing import Any

import pytest

from storage.contract import Storage
from storage.records import Move, QueueKey
from tests.support.client import Client, Queue, redrive_policy
from tests.support.clock import FakeClock
from tests.support.server import MEMORY_ONLY, Server, running
from tests.support.sns import SnsClient

JOBS = "arn:aws:sqs:us-east-1:000000000000:jobs"
JOBS_KEY = QueueKey("000000000000", "us-east-1", "jobs")
UNKNOWN = "00000000-0000-4000-8000-ffffffffffff"


@pytest.fixture
def protocol() -> str:
    """The protocol of the SQS client."""
    return "json"


async def life(server: Server, message_id: str) -> dict[str, Any]:
    """What the server tells of a message."""
    response = await server.http.get(f"/_headrace/messages/{message_id}")
    assert response.status_code == 200, response.text
    told: dict[str, Any] = response.json()
    assert told["messageId"] == message_id
    return told


async def events(server: Server, message_id: str) -> list[str]:
    """What happened to a message, by name."""
    return [each["event"] for each in (await life(server, message_id))["events"]]


async def test_a_life_from_the_send_to_the_deletion_is_told_with_its_moments(
    server: Server, queue: Queue, clock: FakeClock
) -> None:
    sent = await queue.send("hello", DelaySeconds=1)
    await clock.advance(2_000)
    message = await queue.receive_one(VisibilityTimeout=10)
    await clock.advance(1_000)
    await queue.hide(message, 5)
    await clock.advance(1_000)
    await queue.delete(message)
    assert (await life(server, sent["MessageId"]))["events"] == [
        {
            "at": "2026-01-01T00:00:00.000Z",
            "event": "enqueued",
            "queue": JOBS,
            "visibleAt": "2026-01-01T00:00:01.000Z",
        },
        {
            "at": "2026-01-01T00:00:02.000Z",
            "event": "received",
            "queue": JOBS,
            "receiveCount": 1,
            "hiddenUntil": "2026-01-01T00:00:12.000Z",
        },
        {
            "at": "2026-01-01T00:00:03.000Z",
            "event": "visibilityChanged",
            "queue": JOBS,
            "hiddenUntil": "2026-01-01T00:00:08.000Z",
        },
        {"at": "2026-01-01T00:00:04.000Z", "event": "deleted", "queue": JOBS},
    ]


async def test_a_message_that_became_visible_again_was_returned_at_that_moment(
    server: Server, queue: Queue, clock: FakeClock
) -> None:
    sent = await queue.send("hello")
    await queue.receive_one(VisibilityTimeout=10)
    await clock.advance(9_999)
    assert await events(server, sent["MessageId"]) == ["enqueued", "received"]
    await clock.advance(1)
    returned = (await life(server, sent["MessageId"]))["events"][2]
    assert returned == {"at": "2026-01-01T00:00:10.000Z", "event": "returned", "queue": JOBS}
    await clock.advance(5_000)
    await queue.receive_one()
    assert await events(server, sent["MessageId"]) == [
        "enqueued",
        "received",
        "returned",
        "received",
    ]


async def test_a_message_expires_at_the_end_of_its_retention(
    server: Server, sqs: Client, clock: FakeClock
) -> None:
    queue = await sqs.queue("jobs", MessageRetentionPeriod="60")
    sent = await queue.send("hello")
    await clock.advance(59_999)
    assert await events(server, sent["MessageId"]) == ["enqueued"]
    await clock.advance(100_000)
    expired = (await life(server, sent["MessageId"]))["events"][1]
    assert expired == {"at": "2026-01-01T00:01:00.000Z", "event": "expired", "queue": JOBS}


async def test_what_a_purge_finds_expired_was_not_purged(
    server: Server, sqs: Client, clock: FakeClock
) -> None:
    queue = await sqs.queue("jobs", MessageRetentionPeriod="60")
    sent = await queue.send("hello")
    await queue.receive_one(VisibilityTimeout=10)
    await clock.advance(60_000)
    await queue.call("PurgeQueue")
    told = (await life(server, sent["MessageId"]))["events"]
    assert [(each["event"], each["at"][14:19]) for each in told] == [
        ("enqueued", "00:00"),
        ("received", "00:00"),
        ("returned", "00:10"),
        ("expired", "01:00"),
    ]


@pytest.mark.parametrize("suffix", ["", ".fifo"])
async def test_the_way_to_the_dead_letter_queue_and_out_of_it_is_told(
    server: Server, sqs: Client, clock: FakeClock, suffix: str
) -> None:
    dead = await sqs.queue(f"dead{suffix}")
    policy = redrive_policy(await dead.arn())
    queue = await sqs.queue(f"jobs{suffix}", RedrivePolicy=policy)
    ids = {"MessageGroupId": "g", "MessageDeduplicationId": "d"} if suffix else {}
    sent = await queue.send("hello", **ids)
    await queue.receive_one(VisibilityTimeout=10)
    await clock.advance(20_000)
    assert await queue.receive() == []
    moved = (await life(server, sent["MessageId"]))["events"][3]
    assert moved == {
        "at": "2026-01-01T00:00:20.000Z",
        "event": "deadLettered",
        "from": f"{JOBS}{suffix}",
        "to": await dead.arn(),
    }
    await dead.delete(await dead.receive_one())
    told = await life(server, sent["MessageId"])
    assert [(each["event"], each.get("queue")) for each in told["events"]] == [
        ("enqueued", f"{JOBS}{suffix}"),
        ("received", f"{JOBS}{suffix}"),
        ("returned", f"{JOBS}{suffix}"),
        ("deadLettered", None),
        ("received", await dead.arn()),
        ("deleted", await dead.arn()),
    ]


async def test_a_move_task_ends_one_life_and_begins_another(
    server: Server, sqs: Client, clock: FakeClock
) -> None:
    dead = await sqs.queue("dead")
    policy = redrive_policy(await dead.arn())
    queue = await sqs.queue("jobs", RedrivePolicy=policy)
    sent = await queue.send("hello")
    await queue.receive_one(VisibilityTimeout=0)
    assert await queue.receive() == []
    await sqs.call("StartMessageMoveTask", SourceArn=await dead.arn())
    await clock.advance(1_000)
    async with asyncio.timeout(10):  # the task works on while its store writes
        while not (received := await queue.receive()):
            await asyncio.sleep(0)
    [message] = received
    old = (await life(server, sent["MessageId"]))["events"][-1]
    assert old == {
        "at": "2026-01-01T00:00:00.000Z",
        "event": "moved",
        "from": await dead.arn(),
        "to": JOBS,
        "newMessageId": message["MessageId"],
    }
    assert await events(server, message["MessageId"]) == ["moved", "received"]


@pytest.mark.parametrize(
    ("operation", "event"), [("PurgeQueue", "purged"), ("DeleteQueue", "queueDeleted")]
)
async def test_what_happens_to_a_queue_happens_to_the_messages_in_it(
    server: Server, queue: Queue, operation: str, event: str
) -> None:
    gone = await queue.send("deleted before")
    await queue.delete(await queue.receive_one())
    sent = await queue.send("hello")
    await queue.call(operation)
    last = (await life(server, sent["MessageId"]))["events"][-1]
    assert (last["event"], last["queue"]) == (event, JOBS)
    assert await events(server, gone["MessageId"]) == ["enqueued", "received", "deleted"]


async def test_a_duplicate_is_an_event_in_the_life_of_the_first(
    server: Server, fifo: Queue
) -> None:
    ids = {"MessageGroupId": "g", "MessageDeduplicationId": "d"}
    sent = await fifo.send("hello", **ids)
    await fifo.send("hello", **ids)
    assert await events(server, sent["MessageId"]) == ["enqueued", "sentAgain"]


async def test_a_batch_is_told_message_by_message(server: Server, queue: Queue) -> None:
    answer = await queue.call(
        "SendMessageBatch",
        Entries=[{"Id": "a", "MessageBody": "a"}, {"Id": "b", "MessageBody": "b"}],
    )
    messages = await queue.receive()
    first, second = [each["MessageId"] for each in answer["Successful"]]
    [handle] = [each["ReceiptHandle"] for each in messages if each["MessageId"] == first]
    await queue.call("DeleteMessageBatch", Entries=[{"Id": "a", "ReceiptHandle": handle}])
    assert await events(server, first) == ["enqueued", "received", "deleted"]
    assert await events(server, second) == ["enqueued", "received"]


async def test_a_publication_is_told_with_each_subscription_and_the_lives_of_its_copies(
    server: Server, sns: SnsClient, queue: Queue
) -> None:
    topic = await sns.topic("news")
    matched = await sns.call(
        "Subscribe",
        TopicArn=topic,
        Protocol="sqs",
        Endpoint=await queue.arn(),
        ReturnSubscriptionArn=True,
    )
    await sns.call(
        "Subscribe",
        TopicArn=topic,
        Protocol="sms",
        Endpoint="+4915112345678",
        Attributes={"FilterPolicy": '{"colour": ["red"]}'},
    )
    published = await sns.call("Publish", TopicArn=topic, Message="hello")
    message = await queue.receive_one()
    await queue.delete(message)
    told = await life(server, published["MessageId"])
    first, *verdicts = told["events"]
    assert first == {"at": "2026-01-01T00:00:00.000Z", "event": "published", "topicArn": topic}
    by_protocol = {each["protocol"]: each for each in verdicts}
    assert {each["event"] for each in verdicts} == {"subscription"}
    assert by_protocol["sqs"]["outcome"] == "matched"
    assert by_protocol["sqs"]["subscriptionArn"] == matched["SubscriptionArn"]
    assert by_protocol["sqs"]["queueMessageId"] == message["MessageId"]
    assert by_protocol["sms"]["outcome"] == "filtered"
    assert by_protocol["sms"]["failures"][0]["key"] == "colour"
    [copy] = told["copies"]
    assert copy["messageId"] == message["MessageId"]
    assert [each["event"] for each in copy["events"]] == ["enqueued", "received", "deleted"]
    assert copy["events"][0]["publication"] == published["MessageId"]
    assert (await life(server, message["MessageId"]))["events"] == copy["events"]


async def test_a_delivery_is_told_with_what_came_of_it(server: Server, sns: SnsClient) -> None:
    topic = await sns.topic("news")
    subscribed = await sns.call(
        "Subscribe", TopicArn=topic, Protocol="sms", Endpoint="+4915112345678"
    )
    published = await sns.call("Publish", TopicArn=topic, Message="hello")
    delivery = (await life(server, published["MessageId"]))["events"][-1]
    assert (delivery["event"], delivery["outcome"]) == ("delivery", "delivered")
    assert (delivery["protocol"], delivery["to"]) == ("sms", subscribed["SubscriptionArn"])


async def test_a_message_that_nothing_is_known_of_is_not_found(server: Server) -> None:
    response = await server.http.get(f"/_headrace/messages/{UNKNOWN}")
    assert response.status_code == 404
    assert response.json() == {
        "error": "nothing is known of this message: there is none, or it was too long ago"
    }


@MEMORY_ONLY
async def test_only_so_many_events_are_kept_and_the_oldest_go(
    store: Storage, clock: FakeClock
) -> None:
    async with running(store, clock, timeline_events=2) as server:
        queue = await server.client("json").queue("jobs")
        ids = [(await queue.send(body))["MessageId"] for body in "abc"]
        response = await server.http.get(f"/_headrace/messages/{ids[0]}")
        assert response.status_code == 404
        assert await events(server, ids[1]) == await events(server, ids[2]) == ["enqueued"]


@MEMORY_ONLY
async def test_it_can_be_switched_off(store: Storage, clock: FakeClock) -> None:
    async with running(store, clock, timeline_events=0) as server:
        queue = await server.client("json").queue("jobs")
        sent = await queue.send("hello")
        await queue.delete(await queue.receive_one())
        response = await server.http.get(f"/_headrace/messages/{sent['MessageId']}")
        assert response.status_code == 404
        assert "timeline_events" in response.json()["error"]


async def test_what_somebody_does_to_messages_who_has_not_received_them_is_told(
    server: Server, queue: Queue, clock: FakeClock
) -> None:
    sent = await queue.send("hello", DelaySeconds=60)
    queue_id = (await server.broker.queues.get(JOBS_KEY)).queue_id
    server.broker.observer.shown(queue_id, [sent["MessageId"]], clock.now_ms())
    assert await events(server, sent["MessageId"]) == ["enqueued", "visibilityChanged", "returned"]
    server.broker.observer.removed(queue_id, [sent["MessageId"]], clock.now_ms())
    assert (await events(server, sent["MessageId"]))[-1] == "deleted"


async def test_a_move_that_may_not_have_happened_is_told_as_that(
    server: Server, queue: Queue, clock: FakeClock
) -> None:
    first, second = await queue.send("a"), await queue.send("b")
    messages = await queue.receive()
    queue_id = (await server.broker.queues.get(JOBS_KEY)).queue_id
    sequences = [
        event[4] for event in server.broker.observer.timeline.events if event[1] == "received"
    ]
    moves = [Move(sequence, queue_id, f"new-{sequence}") for sequence in sequences]
    server.broker.observer.moved(queue_id, moves, 1, clock.now_ms())
    for message in messages:
        await queue.delete(message)
    for sent in (first, second):
        assert await events(server, sent["MessageId"]) == [
            "enqueued",
            "received",
            "maybeMoved",
            "deleted",
        ]


async def test_what_the_admin_api_does_to_a_message_is_told(server: Server, queue: Queue) -> None:
    sent = await queue.send("hello", DelaySeconds=60)
    path = f"/_headrace/queues/jobs/messages/{sent['MessageId']}"
    assert (await server.http.post(f"{path}/show")).status_code == 200
    assert (await server.http.delete(path)).status_code in (200, 204)
    told = await events(server, sent["MessageId"])
    assert told == ["enqueued", "visibilityChanged", "returned", "deleted"]


async def test_a_reset_is_told(server: Server, queue: Queue) -> None:
    sent = await queue.send("hello")
    assert (await server.http.post("/_headrace/reset")).status_code == 200
    assert await events(server, sent["MessageId"]) == ["enqueued", "queueDeleted"]


CHECKPOINT = "/_headrace/checkpoints/seeded"


async def test_nothing_is_concluded_of_a_message_beyond_a_rollback(
    server: Server, sqs: Client, clock: FakeClock
) -> None:
    queue = await sqs.queue("jobs", MessageRetentionPeriod="60")
    kept = await queue.send("kept")
    saved = await server.http.put(CHECKPOINT, params={"account": JOBS_KEY.account})
    assert saved.status_code == 200
    removed = await queue.send("removed")
    await queue.receive(2, VisibilityTimeout=10)
    await clock.advance(1_000)
    assert (await server.http.post(f"{CHECKPOINT}/restore")).status_code == 200
    await clock.advance(100_000)
    for sent in (kept, removed):
        told = (await life(server, sent["MessageId"]))["events"]
        assert [each["event"] for each in told] == ["enqueued", "received", "rolledBack"]
        assert told[2] == {
            "at": "2026-01-01T00:00:01.000Z",
            "event": "rolledBack",
            "checkpoint": "seeded",
            "account": JOBS_KEY.account,
        }


async def test_a_message_that_is_back_lives_on(server: Server, queue: Queue) -> None:
    sent = await queue.send("hello")
    assert (await server.http.put(CHECKPOINT)).status_code == 200
    await queue.delete(await queue.receive_one())
    assert (await server.http.post(f"{CHECKPOINT}/restore")).status_code == 200
    await queue.delete(await queue.receive_one())
    assert await events(server, sent["MessageId"]) == [
        "enqueued",
        "received",
        "deleted",
        "rolledBack",
        "received",
        "deleted",
    ]


async def test_a_rollback_elsewhere_is_not_told(
    server: Server, queue: Queue, clock: FakeClock
) -> None:
    sent = await queue.send("hello")
    await queue.receive_one(VisibilityTimeout=10)
    assert (await server.http.put(CHECKPOINT, params={"account": "1" * 12})).status_code == 200
    assert (await server.http.post(f"{CHECKPOINT}/restore")).status_code == 200
    await clock.advance(10_000)
    assert await events(server, sent["MessageId"]) == ["enqueued", "received", "returned"]


async def test_a_queue_that_a_rollback_removed_is_still_named(server: Server, sqs: Client) -> None:
    assert (await server.http.put(CHECKPOINT)).status_code == 200
    queue = await sqs.queue("jobs")
    sent = await queue.send("hello")
    assert (await server.http.post(f"{CHECKPOINT}/restore")).status_code == 200
    first, second = (await life(server, sent["MessageId"]))["events"]
    assert (first["queue"], second["event"]) == (JOBS, "rolledBack")
