"""Going back to a state that was saved: ``/_headrace/checkpoints``."""

import asyncio
import json

import pytest

from broker import timestamp_text
from tests.support.admin import AdminClient
from tests.support.client import ApiError, Client, Queue, redrive_policy
from tests.support.clock import START_MS, FakeClock
from tests.support.server import MEMORY_ONLY, Server
from tests.support.sns import SnsClient
from tests.support.topics import Subscription, new_topic
from tests.support.until import soon, until, until_called

OTHER = "111111111111"


@pytest.fixture
def sqs(server: Server) -> Client:
    return server.client("json")


@pytest.fixture
def admin(server: Server) -> AdminClient:
    return AdminClient(server.http)


async def test_a_checkpoint_says_what_is_in_it(
    admin: AdminClient, queue: Queue, sns: SnsClient
) -> None:
    await queue.send_each("a", "b")
    await sns.topic("news")
    saved = await admin.put("checkpoints/full")
    assert saved == {
        "name": "full",
        "account": None,
        "region": None,
        "savedAt": "2026-01-01T00:00:00.000Z",
        "queues": 1,
        "topics": 1,
        "messages": 2,
    }
    part = await admin.put("checkpoints/empty", account=OTHER, region="eu-west-1")
    assert (part["account"], part["region"], part["queues"]) == (OTHER, "eu-west-1", 0)
    assert await admin.get("checkpoints") == {"checkpoints": [part, saved]}


async def test_messages_are_as_they_were(
    admin: AdminClient, queue: Queue, clock: FakeClock
) -> None:
    await queue.send_each("a", "b")
    await queue.receive(1)
    before = await admin.get("queues/jobs/messages")
    await admin.put("checkpoints/c")
    await queue.send("c")
    await queue.delete(await queue.receive_one())
    for _ in range(2):
        restored = await admin.post("checkpoints/c/restore")
        assert (restored["name"], restored["messages"]) == ("c", 2)
        assert await admin.get("queues/jobs/messages") == before
        assert await queue.bodies() == ["b"]
    await clock.advance(30_000)
    assert sorted(await queue.bodies()) == ["a", "b"]


async def test_queues_and_topics_are_as_they_were(
    admin: AdminClient, sqs: Client, sns: SnsClient
) -> None:
    kept = await sqs.queue("kept")
    topic = await sns.topic("news")
    await sns.call("Subscribe", TopicArn=topic, Protocol="sqs", Endpoint=await kept.arn())
    await admin.put("checkpoints/c")
    await kept.call("DeleteQueue")
    await sns.call("DeleteTopic", TopicArn=topic)
    await sqs.queue("made-since")
    await admin.post("checkpoints/c/restore")
    assert [each["name"] for each in (await admin.get("queues"))["queues"]] == ["kept"]
    await sns.call("Publish", TopicArn=topic, Message="hello")
    assert len(await kept.bodies()) == 1


async def test_an_account_goes_back_alone(admin: AdminClient, sqs: Client) -> None:
    one, two = await sqs.queue("one"), await sqs.but(account=OTHER).queue("two")
    await admin.put("checkpoints/c", account=OTHER)
    await one.send("stays")
    await two.send("goes")
    await admin.post("checkpoints/c/restore")
    assert (await one.bodies(), await two.bodies()) == (["stays"], [])


async def test_a_checkpoint_replaces_another_of_its_name(admin: AdminClient, queue: Queue) -> None:
    await admin.put("checkpoints/c")
    await queue.send()
    await admin.put("checkpoints/c")
    assert len((await admin.get("checkpoints"))["checkpoints"]) == 1
    await queue.call("PurgeQueue")
    await admin.post("checkpoints/c/restore")
    assert await queue.bodies() == ["hello"]


async def test_a_checkpoint_can_be_forgotten(admin: AdminClient) -> None:
    await admin.put("checkpoints/c")
    assert await admin.delete("checkpoints/c") == {"deleted": "c"}
    assert await admin.get("checkpoints") == {"checkpoints": []}
    assert await admin.refusal("DELETE", "checkpoints/c") == (404, "there is no checkpoint c")
    assert await admin.refusal("POST", "checkpoints/c/restore") == (404, "there is no checkpoint c")


# --- who waits, and what runs -------------------------------------------------------------------


async def test_a_poll_gets_what_comes_back(
    admin: AdminClient, server: Server, queue: Queue
) -> None:
    await queue.send()
    await admin.put("checkpoints/c")
    await queue.delete(await queue.receive_one())
    poll = await server.park(queue.bodies(WaitTimeSeconds=20))
    await admin.post("checkpoints/c/restore")
    assert await soon(poll) == ["hello"]


async def test_a_poll_at_a_queue_that_was_there_waits_on(
    admin: AdminClient, server: Server, queue: Queue, clock: FakeClock
) -> None:
    await admin.put("checkpoints/c")
    poll = await server.park(queue.bodies(WaitTimeSeconds=20))
    await admin.post("checkpoints/c/restore")
    await clock.advance(19_999)
    assert not poll.done()
    await queue.send()
    assert await soon(poll) == ["hello"]


async def test_a_poll_at_a_queue_made_since_ends(
    admin: AdminClient, server: Server, sqs: Client
) -> None:
    await admin.put("checkpoints/c")
    queue = await sqs.queue("made-since")
    poll = await server.park(queue.receive(WaitTimeSeconds=20))
    await admin.post("checkpoints/c/restore")
    with pytest.raises(ApiError, match="does not exist"):
        await soon(poll)


def runners(name: str) -> int:
    """How many tasks of that name run."""
    return len([task for task in asyncio.all_tasks() if task.get_name().startswith(name)])


async def test_a_move_task_goes_on_from_where_it_was(
    admin: AdminClient, sqs: Client, clock: FakeClock
) -> None:
    dead, other = await sqs.queue("dlq"), await sqs.queue("other")
    await sqs.queue("jobs", RedrivePolicy=redrive_policy(await dead.arn(), 1))
    await dead.send_each("a", "b", "c")
    await sqs.call(
        "StartMessageMoveTask",
        SourceArn=await dead.arn(),
        DestinationArn=await other.arn(),
        MaxNumberOfMessagesPerSecond=1,
    )
    await until_called(other.counts, lambda counts: counts == (1, 0, 0))
    await admin.put("checkpoints/c")
    for _ in range(2):
        await admin.post("checkpoints/c/restore")
        assert runners("move task") == 1
        await until_called(other.counts, lambda counts: counts == (2, 0, 0))
        await clock.advance(1_000)
        await until_called(other.counts, lambda counts: counts == (3, 0, 0))
        await clock.advance(1_000)
        await until(lambda: runners("move task") == 0)
        listed = await sqs.call("ListMessageMoveTasks", SourceArn=await dead.arn())
        assert listed["Results"][0]["Status"] == "COMPLETED"
        assert listed["Results"][0]["ApproximateNumberOfMessagesMoved"] == 3


async def a_replay_under_way(sqs: Client, sns: SnsClient) -> Subscription:
    """One that waits for its end, a minute from the start, as something may be published yet."""
    queue = await sqs.queue("jobs.fifo")
    topic = await new_topic(
        sns, "news.fifo", ArchivePolicy=json.dumps({"MessageRetentionPeriod": "30"})
    )
    await topic.publish_to("g", "first")
    policy = {
        "PointType": "Timestamp",
        "StartingPoint": timestamp_text(START_MS),
        "EndingPoint": timestamp_text(START_MS + 60_000),
    }
    subscription = await topic.subscribe(queue, ReplayPolicy=json.dumps(policy))
    await until_called(queue.counts, lambda counts: counts == (1, 0, 0))
    return subscription


async def test_a_replay_goes_on_from_where_it_was(
    admin: AdminClient, sqs: Client, sns: SnsClient, clock: FakeClock
) -> None:
    subscription = await a_replay_under_way(sqs, sns)

    async def status() -> str:
        answer: str = (await subscription.attributes())["ReplayStatus"]
        return answer

    await until_called(status, lambda answer: answer == "In progress")
    await admin.put("checkpoints/c")
    for _ in range(2):
        await admin.post("checkpoints/c/restore")
        assert runners("replay") == 1
        await clock.advance(60_001)
        await until_called(status, lambda answer: answer == "Completed")
        await until(lambda: runners("replay") == 0)


async def test_a_replay_ends_with_its_topic(
    admin: AdminClient, sqs: Client, sns: SnsClient
) -> None:
    await a_replay_under_way(sqs, sns)
    assert runners("replay") == 1
    await admin.post("reset")
    assert runners("replay") == 0


async def test_a_delivery_that_was_pending_is_made_again(
    admin: AdminClient, server: Server, sns: SnsClient, clock: FakeClock
) -> None:
    """To an endpoint where nobody listens: it is tried, and tried again later."""
    topic = await sns.topic("news")
    await sns.call("Subscribe", TopicArn=topic, Protocol="http", Endpoint="http://127.0.0.1:1/")

    async def attempts() -> int:
        [delivery] = (await admin.get("outbox"))["deliveries"]
        number: int = delivery["attempts"]
        return number

    await until_called(attempts, lambda number: number == 1)
    await admin.put("checkpoints/c")
    await admin.delete("outbox")
    await clock.advance(3_600_000)
    await until(lambda: server.broker._pump.lanes == 0)
    await admin.post("checkpoints/c/restore")
    await until_called(attempts, lambda number: number > 1)


# --- refusals -----------------------------------------------------------------------------------


@MEMORY_ONLY
@pytest.mark.parametrize("name", ["a" * 81, "a b", "ä", "%00", "a%0A"])
async def test_a_name_outside_the_rules_is_refused(admin: AdminClient, name: str) -> None:
    for method, path in [("PUT", name), ("DELETE", name), ("POST", f"{name}/restore")]:
        assert await admin.refusal(method, f"checkpoints/{path}") == (
            400,
            "a checkpoint's name has 1 to 80 characters of A-Z, a-z, 0-9, _ . -",
        )


@MEMORY_ONLY
@pytest.mark.parametrize("name", ["a" * 80, "Az09_.-", "..."])
async def test_a_name_within_the_rules_is_taken(admin: AdminClient, name: str) -> None:
    assert (await admin.put(f"checkpoints/{name}"))["name"] == name


@MEMORY_ONLY
async def test_a_scope_is_only_given_when_saving(admin: AdminClient) -> None:
    await admin.put("checkpoints/c")
    status, text = await admin.refusal("POST", f"checkpoints/c/restore?account={OTHER}")
    assert (status, text) == (400, "there is no parameter account: there are none here")
