"""Starting over: ``POST /_headrace/reset``."""

import asyncio

import pytest

from storage.contract import Storage
from tests.support.admin import AdminClient
from tests.support.client import ApiError, Client, Queue, redrive_policy
from tests.support.clock import FakeClock
from tests.support.server import MEMORY_ONLY, Server
from tests.support.sns import SnsClient
from tests.support.until import soon, until, until_called

OTHER = "111111111111"


@pytest.fixture
def sqs(server: Server) -> Client:
    return server.client("json")


@pytest.fixture
def admin(server: Server) -> AdminClient:
    return AdminClient(server.http)


async def names(admin: AdminClient) -> list[str]:
    """The queues that there are."""
    return [each["name"] for each in (await admin.get("queues"))["queues"]]


async def test_everything_goes_and_is_counted(
    admin: AdminClient, sqs: Client, sns: SnsClient
) -> None:
    queue = await sqs.queue("a")
    await queue.send_each("1", "2")
    await queue.receive(1)
    await (await sqs.but(account=OTHER).queue("b")).send(DelaySeconds=60)
    topic = await sns.topic("news")
    await sns.call("Subscribe", TopicArn=topic, Protocol="sqs", Endpoint=await queue.arn())
    assert await admin.post("reset") == {"queues": 2, "topics": 1, "messages": 3}
    assert await names(admin) == []
    assert (await sns.call("ListTopics"))["Topics"] == []
    assert await admin.post("reset") == {"queues": 0, "topics": 0, "messages": 0}


@pytest.mark.parametrize(
    ("query", "left"),
    [
        ({}, []),
        ({"account": OTHER}, ["a", "b"]),
        ({"region": "eu-west-1"}, ["a", "c"]),
        ({"account": OTHER, "region": "us-east-1"}, ["a", "b", "d"]),
        ({"account": "222222222222"}, ["a", "b", "d", "c"]),
    ],
)
async def test_what_is_in_another_account_or_region_stays(
    admin: AdminClient, sqs: Client, query: dict[str, str], left: list[str]
) -> None:
    for name, account, region in [
        ("a", "000000000000", "us-east-1"),
        ("b", "000000000000", "eu-west-1"),
        ("c", OTHER, "us-east-1"),
        ("d", OTHER, "eu-west-1"),
    ]:
        await sqs.but(account=account, region=region).queue(name)
    left = sorted(left, key=["b", "a", "d", "c"].index)
    assert (await admin.post("reset", **query))["queues"] == 4 - len(left)
    assert await names(admin) == left


async def test_a_poll_at_a_queue_that_goes_ends_as_after_its_deletion(
    admin: AdminClient, server: Server, queue: Queue
) -> None:
    poll = await server.park(queue.receive(WaitTimeSeconds=20))
    await admin.post("reset")
    with pytest.raises(ApiError, match="does not exist"):
        await soon(poll)


async def test_a_poll_at_a_queue_that_stays_goes_on(
    admin: AdminClient, server: Server, queue: Queue
) -> None:
    poll = await server.park(queue.bodies(WaitTimeSeconds=20))
    await admin.post("reset", account=OTHER)
    await queue.send()
    assert await soon(poll) == ["hello"]


async def test_a_queue_can_be_made_anew_at_once(admin: AdminClient, sqs: Client) -> None:
    fifo = await sqs.queue("jobs.fifo")
    await fifo.send_to("g", "a")
    await admin.post("reset")
    fifo = await sqs.queue("jobs.fifo")
    await fifo.send_to("g", "a")  # no duplicate: nothing is remembered
    assert await fifo.bodies() == ["a"]


async def test_a_move_task_ends_with_its_queues(
    admin: AdminClient, server: Server, sqs: Client, clock: FakeClock
) -> None:
    dead = await sqs.queue("dlq")
    await sqs.queue("jobs", RedrivePolicy=redrive_policy(await dead.arn(), 1))
    await dead.send_each("a", "b", "c")
    other = await sqs.queue("other")
    await sqs.call(
        "StartMessageMoveTask",
        SourceArn=await dead.arn(),
        DestinationArn=await other.arn(),
        MaxNumberOfMessagesPerSecond=1,
    )
    await until_called(other.counts, lambda counts: counts == (1, 0, 0))
    await admin.post("reset")
    dead, other = await sqs.queue("dlq"), await sqs.queue("other")
    await dead.send_each("d", "e")
    await clock.advance(60_000)
    assert (await dead.counts(), await other.counts()) == ((2, 0, 0), (0, 0, 0))
    await until(lambda: not [t for t in asyncio.all_tasks() if t.get_name().startswith("move ")])


async def test_checkpoints_stay(admin: AdminClient, queue: Queue) -> None:
    await queue.send()
    await admin.put("checkpoints/before")
    await admin.post("reset")
    await admin.post("checkpoints/before/restore")
    assert await queue.bodies() == ["hello"]


async def test_what_went_is_swept_without_waiting_for_the_time(
    admin: AdminClient, store: Storage, queue: Queue, clock: FakeClock
) -> None:
    await queue.send_each(*(str(number) for number in range(30)))
    await admin.post("reset")
    await until_called(
        lambda: store.sweep(now_ms=clock.now_ms(), limit=0), lambda next_ms: next_ms is None
    )


@MEMORY_ONLY
@pytest.mark.parametrize("query", ["acount=111111111111", "account=1", "region=EU", "account="])
async def test_a_scope_that_cannot_be_understood_removes_nothing(
    admin: AdminClient, queue: Queue, query: str
) -> None:
    assert (await admin.refusal("POST", f"reset?{query}"))[0] == 400
    assert await names(admin) == ["jobs"]


@MEMORY_ONLY
async def test_only_post_resets(admin: AdminClient, server: Server, queue: Queue) -> None:
    assert (await admin.refusal("GET", "reset"))[0] == 405
    assert await names(admin) == ["jobs"]


@pytest.mark.parametrize("body", [b'{"account": "1"}', b"account=1", b"null"])
async def test_a_body_is_refused_and_nothing_goes(
    server: Server, admin: AdminClient, queue: Queue, body: bytes
) -> None:
    assert await admin.refusal("POST", "reset", content=body) == (
        400,
        "no body is taken here: use the parameters account, region in the query string",
    )
    assert await names(admin) == ["jobs"]


async def test_an_empty_object_is_as_no_body(admin: AdminClient, queue: Queue) -> None:
    assert (await admin.call("POST", "reset", json={}))["queues"] == 1
