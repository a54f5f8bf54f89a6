"""The clock, turned from outside: all that falls due has happened when the answer comes."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from api.app import create_app
from api.context import Site
from broker import AdjustableClock, Broker, timekeeping
from storage.contract import Storage
from tests.deliveries.scene import Scene
from tests.support.client import Client, Queue, redrive_policy
from tests.support.clock import START_MS, FakeClock
from tests.support.receivers import (
    HttpRequest,
    answering,
    closed_port,
    hanging,
    http_receiver,
)
from tests.support.server import ACCOUNT, ENDPOINT, MEMORY_ONLY, REGION, CountedIds, Server
from tests.support.sns import SnsClient
from tests.support.until import soon

Answer = dict[str, Any]


@pytest.fixture
async def server(store: Storage) -> AsyncIterator[Server]:
    """A server whose clock is frozen; ``server.clock`` is the machine's."""
    machine = FakeClock()
    ids = CountedIds()
    broker = await Broker.open(store, AdjustableClock(machine, frozen=True), ids)
    app = create_app(broker, Site(REGION, ACCOUNT, None), ids)
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url=ENDPOINT, timeout=None) as http:  # noqa: S113
        try:
            yield Server(broker, machine, app, http)
        finally:
            await broker.close()


@pytest.fixture
def sqs(server: Server) -> Client:
    return server.client("json")


@pytest.fixture
async def scene(server: Server) -> Scene:
    sns = SnsClient(server.http, account=ACCOUNT, region=REGION)
    return Scene(server, (await sns.call("CreateTopic", Name="news"))["TopicArn"])


@dataclass
class Archive:
    """A FIFO topic that archives."""

    sns: SnsClient
    topic: str

    async def publish(self, message: str) -> None:
        await self.sns.call("Publish", TopicArn=self.topic, Message=message, MessageGroupId="a")

    async def publish_ten(self, message: str) -> None:
        entries = [
            {"Id": str(number), "Message": f"{message} {number}", "MessageGroupId": "a"}
            for number in range(10)
        ]
        await self.sns.call("PublishBatch", TopicArn=self.topic, PublishBatchRequestEntries=entries)

    async def replay(self, queue: Queue, start: str, end: str | None = None) -> str:
        """Subscribe a queue and replay to it; the subscription."""
        policy = {"PointType": "Timestamp", "StartingPoint": start}
        if end is not None:
            policy["EndingPoint"] = end
        subscribed = await self.sns.call(
            "Subscribe",
            TopicArn=self.topic,
            Protocol="sqs",
            Endpoint=await queue.arn(),
            Attributes={"ReplayPolicy": json.dumps(policy)},
            ReturnSubscriptionArn=True,
        )
        arn: str = subscribed["SubscriptionArn"]
        return arn

    async def replay_status(self, subscription: str) -> str:
        answer = await self.sns.call("GetSubscriptionAttributes", SubscriptionArn=subscription)
        status: str = answer["Attributes"]["ReplayStatus"]
        return status

    async def begins_at(self) -> str:
        answer = await self.sns.call("GetTopicAttributes", TopicArn=self.topic)
        moment: str = answer["Attributes"]["BeginningArchiveTime"]
        return moment


async def turn(server: Server, verb: str, **body: object) -> Answer:
    """Do something to the clock; the answer."""
    response = await soon(server.http.post(f"/_headrace/clock/{verb}", json=body))
    assert response.status_code == 200, response.text
    answer: Answer = response.json()
    return answer


async def advance(server: Server, seconds: float) -> Answer:
    return await turn(server, "advance", seconds=seconds)


async def shown(server: Server) -> Answer:
    answer: Answer = (await server.http.get("/_headrace/clock")).json()
    return answer


def told(answer: Answer, name: str = "jobs") -> dict[str, int]:
    """What an answer says of a queue, without what is nothing and without the counts."""
    [queue] = [each for each in answer["queues"] if each["queue"].endswith(f":{name}")]
    return {key: value for key, value in queue.items() if isinstance(value, int) and value}


# --- reading and setting ------------------------------------------------------------------------


@MEMORY_ONLY
async def test_a_frozen_clock_is_read_again_and_again_and_shows_the_same(server: Server) -> None:
    await server.clock.advance(250)
    assert await shown(server) == {
        "now": "2026-01-01T00:00:00.000Z",
        "nowMs": START_MS,
        "frozen": True,
        "offsetMs": -250,
    }


@MEMORY_ONLY
async def test_a_clock_that_is_resumed_runs_from_there_until_it_is_frozen(server: Server) -> None:
    assert not (await turn(server, "resume"))["frozen"]
    await server.clock.advance(500)
    frozen = await turn(server, "freeze")
    await server.clock.advance(500)
    assert (frozen["nowMs"], frozen["frozen"]) == (START_MS + 500, True)
    assert (await shown(server))["nowMs"] == START_MS + 500


@MEMORY_ONLY
@pytest.mark.parametrize(
    ("body", "passed_ms"),
    [
        ({"milliseconds": 1_500}, 1_500),
        ({"milliseconds": 0}, 0),
        ({"seconds": 2}, 2_000),
        ({"seconds": 0.25}, 250),
        ({"duration": "15m"}, 900_000),
        ({"duration": "1d2h3m4s5ms"}, 93_784_005),
    ],
)
async def test_time_is_advanced_by_what_is_said(
    server: Server, body: Answer, passed_ms: int
) -> None:
    assert (await turn(server, "advance", **body))["nowMs"] == START_MS + passed_ms


@MEMORY_ONLY
@pytest.mark.parametrize(
    ("now", "shown_ms"),
    [
        (START_MS + 1, START_MS + 1),
        (0, 0),
        ("2026-01-01T00:00:01Z", START_MS + 1_000),
        ("2026-01-01T00:00:00.002", START_MS + 2),
        ("2026-01-01T01:00:00+01:00", START_MS),
        ("2025-12-31", START_MS - 86_400_000),
        ("machine", START_MS + 77),
    ],
)
async def test_the_clock_is_set_to_what_is_said(server: Server, now: object, shown_ms: int) -> None:
    await server.clock.advance(77)
    assert (await turn(server, "set", now=now))["nowMs"] == shown_ms


@MEMORY_ONLY
async def test_a_running_clock_that_is_set_to_the_machine_goes_with_it_again(
    server: Server,
) -> None:
    await turn(server, "resume")
    await advance(server, 100)
    assert (await shown(server))["offsetMs"] == 100_000
    await turn(server, "set", now="machine")
    await server.clock.advance(5)
    after = await shown(server)
    assert (after["nowMs"], after["offsetMs"], after["frozen"]) == (START_MS + 5, 0, False)


@MEMORY_ONLY
@pytest.mark.parametrize(
    ("verb", "body"),
    [
        ("advance", {}),
        ("advance", {"hours": 1}),
        ("advance", {"seconds": 1, "milliseconds": 1}),
        ("advance", {"seconds": -1}),
        ("advance", {"milliseconds": "1"}),
        ("advance", {"milliseconds": True}),
        ("advance", {"milliseconds": 10**30}),
        ("advance", {"seconds": 10**12}),
        ("advance", {"duration": 15}),
        ("advance", {"duration": ""}),
        ("advance", {"duration": "15"}),
        ("advance", {"duration": "-15m"}),
        ("advance", {"duration": "15m later"}),
        ("advance", {"duration": "999999999999999d"}),
        ("set", {}),
        ("set", {"then": 1}),
        ("set", {"now": "soon"}),
        ("set", {"now": True}),
        ("set", {"now": 1.5}),
        ("set", {"now": -1}),
        ("set", {"now": 10**18}),
        ("set", {"now": "9999-12-31T23:59:59Z"}),
        ("set", {"now": "0001-01-01T00:00:00+14:00"}),
    ],
)
async def test_what_cannot_be_understood_changes_nothing(
    server: Server, verb: str, body: Answer
) -> None:
    response = await server.http.post(f"/_headrace/clock/{verb}", json=body)
    assert response.status_code == 400
    assert set(response.json()) == {"error"}
    assert (await shown(server))["nowMs"] == START_MS


@MEMORY_ONLY
@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"", "the body is empty"),
        (b"[]", "the body is not a JSON object"),
        (b"{", "the body is not valid JSON"),
        (b'{"seconds": NaN}', "the body is not valid JSON: NaN is no number"),
        (b'{"seconds": 1e999}', "the clock goes no further than 9900-01-01"),
        (b'{"seconds": "1"}', "seconds is a number"),
        (b'{"duration": "1 hour"}', "duration is such as 15m or 1h30m"),
        (b'{"hours": 1}', "there is no member hours: use milliseconds, seconds, duration"),
    ],
)
async def test_a_refusal_says_what_is_wrong_with_the_body(
    server: Server, content: bytes, text: str
) -> None:
    response = await server.http.post("/_headrace/clock/advance", content=content)
    assert (response.status_code, response.json()) == (400, {"error": text})


@MEMORY_ONLY
@pytest.mark.parametrize(
    ("verb", "query", "body", "text"),
    [
        ("freeze", "", {"x": 1}, "no body is taken here"),
        ("resume", "", {"x": 1}, "no body is taken here"),
        ("freeze", "?x=1", None, "there is no parameter x: there are none here"),
        ("advance", "?to=1", {"seconds": 1}, "there is no parameter to: use account, region"),
        ("set", "?account=1", {"now": 0}, "account is 12 digits"),
        ("set", "", {"now": 0, "x": 1}, "there is no member x: use now"),
    ],
)
async def test_what_there_is_not_is_refused(
    server: Server, verb: str, query: str, body: Answer | None, text: str
) -> None:
    before = await shown(server)
    response = await server.http.post(f"/_headrace/clock/{verb}{query}", json=body)
    assert (response.status_code, response.json()) == (400, {"error": text})
    assert await shown(server) == before


# --- queues -------------------------------------------------------------------------------------


async def test_messages_in_flight_become_visible(server: Server, sqs: Client) -> None:
    queue = await sqs.queue("jobs", VisibilityTimeout="300")
    await queue.send_each("a", "b")
    await queue.receive()
    assert (await advance(server, 299))["queues"] == []
    answer = await advance(server, 1)
    assert answer["queues"] == [
        {
            "queue": await queue.arn(),
            "becameVisible": 2,
            "expired": 0,
            "deadLettered": 0,
            "moved": 0,
            "before": {"visible": 0, "inFlight": 2, "delayed": 0},
            "after": {"visible": 2, "inFlight": 0, "delayed": 0},
        }
    ]
    assert await queue.bodies() == ["a", "b"]


async def test_delayed_messages_become_visible(server: Server, sqs: Client) -> None:
    queue = await sqs.queue()
    await queue.send("a", DelaySeconds=900)
    assert told(await turn(server, "advance", duration="15m")) == {"becameVisible": 1}


async def test_messages_expire(server: Server, sqs: Client) -> None:
    queue = await sqs.queue("jobs", MessageRetentionPeriod="60")
    await queue.send_each("a", "b", "c")
    await queue.receive(1)
    assert told(await advance(server, 60)) == {"becameVisible": 1, "expired": 3}
    assert await queue.bodies() == []


async def test_the_deduplication_window_closes(server: Server, sqs: Client) -> None:
    queue = await sqs.queue("jobs.fifo")
    for seconds, messages in ((0, 1), (299, 1), (1, 2)):
        await advance(server, seconds)
        await queue.send_to("group", "same")
        assert (await queue.counts())[0] == messages


async def test_years_pass_at_once(server: Server, sqs: Client) -> None:
    queue = await sqs.queue()
    await queue.send("a")
    assert told(await turn(server, "set", now="2096-01-01T00:00:00Z")) == {"expired": 1}


async def test_told_are_the_queues_of_the_account_and_region_that_are_asked_for(
    server: Server, sqs: Client
) -> None:
    other = sqs.but(account="111111111111", region="eu-west-1")
    for client in (sqs, other):
        await (await client.queue()).send("a", DelaySeconds=10)
    answer = await server.http.post(
        "/_headrace/clock/advance?account=111111111111&region=eu-west-1", json={"seconds": 10}
    )
    [queue] = answer.json()["queues"]
    assert queue["queue"] == "arn:aws:sqs:eu-west-1:111111111111:jobs"


# --- long polls ---------------------------------------------------------------------------------


async def test_a_long_poll_ends_at_its_deadline(server: Server, sqs: Client) -> None:
    queue = await sqs.queue()
    poll = await server.park(queue.bodies(WaitTimeSeconds=20))
    assert (await advance(server, 19.999))["longPolls"] == {"ended": 0, "parked": 1}
    assert (await advance(server, 0.001))["longPolls"] == {"ended": 1, "parked": 0}
    assert await soon(poll) == []


async def test_a_long_poll_gets_what_falls_due(server: Server, sqs: Client) -> None:
    queue = await sqs.queue()
    await queue.send("a", DelaySeconds=5)
    poll = await server.park(queue.bodies(WaitTimeSeconds=20))
    answer = await advance(server, 10)
    assert told(answer) == {"becameVisible": 1}
    assert answer["longPolls"] == {"ended": 1, "parked": 0}
    assert await soon(poll) == ["a"]


async def test_everything_happens_in_order_at_its_moment(server: Server, sqs: Client) -> None:
    """One poll is over before anything is there, one before the first message comes back."""
    queue = await sqs.queue("jobs", VisibilityTimeout="4")
    for body, delay_s in (("second", 6), ("first", 5)):
        await queue.send(body, DelaySeconds=delay_s)
    polls = [
        await server.park(queue.receive(1, WaitTimeSeconds=wait_s, AttributeNames=["All"]))
        for wait_s in (4, 20, 20, 20, 8)
    ]
    answer = await advance(server, 9)
    received = [await soon(poll) for poll in polls]
    assert (received[0], received[4]) == ([], [])
    assert sorted(
        (each["Body"], int(each["Attributes"]["ApproximateFirstReceiveTimestamp"]) - START_MS)
        for messages in received
        for each in messages
    ) == [("first", 5_000), ("first", 5_000), ("second", 6_000)]
    assert told(answer) == {"becameVisible": 3}


async def test_a_message_that_was_received_too_often_is_moved_by_the_poll_that_waits_for_it(
    server: Server, sqs: Client
) -> None:
    dead = await sqs.queue("dead")
    policy = redrive_policy(await dead.arn(), 1)
    queue = await sqs.queue("jobs", VisibilityTimeout="30", RedrivePolicy=policy)
    await queue.send("bad")
    await queue.receive()
    await advance(server, 29)
    polls = [await server.park(each.bodies(WaitTimeSeconds=20)) for each in (queue, dead)]
    answer = await advance(server, 1)
    assert told(answer) == {"becameVisible": 1, "deadLettered": 1}
    assert await soon(polls[1]) == ["bad"]
    await advance(server, 19)
    assert await soon(polls[0]) == []


async def test_what_a_client_receives_and_deletes_meanwhile_has_not_expired(
    server: Server, sqs: Client
) -> None:
    queue = await sqs.queue()
    other = await sqs.queue("other")
    for each in (queue, other):
        await each.send("a", DelaySeconds=5)
    await other.send("b", DelaySeconds=10)

    async def work() -> None:
        await queue.delete((await queue.receive(WaitTimeSeconds=20))[0])

    async with asyncio.TaskGroup() as tasks:
        worker = tasks.create_task(work())
        while server.broker.waiting.parked == 0:
            await asyncio.sleep(0)
        poll = tasks.create_task(other.receive(WaitTimeSeconds=8))
        later = tasks.create_task(other.receive(WaitTimeSeconds=20))
        while server.broker.waiting.parked < 3:
            await asyncio.sleep(0)
        answer = await advance(server, 15)
    assert told(answer) == {"becameVisible": 1}
    assert told(answer, "other") == {"becameVisible": 2}
    assert [worker.done(), poll.done(), later.done()] == [True] * 3


# --- backward -----------------------------------------------------------------------------------


async def test_backward_nothing_is_taken_back_and_what_waits_waits_for_longer(
    server: Server, sqs: Client
) -> None:
    queue = await sqs.queue("jobs", VisibilityTimeout="30")
    await queue.send_each("a", "b")
    await queue.receive(1)
    poll = await server.park((await sqs.queue("empty")).bodies(WaitTimeSeconds=20))
    answer = await turn(server, "set", now=START_MS - 100_000)
    assert (answer["queues"], answer["longPolls"]) == ([], {"ended": 0, "parked": 1})
    assert await queue.bodies() == ["b"]
    assert (await advance(server, 119))["longPolls"] == {"ended": 0, "parked": 1}
    assert (await advance(server, 1))["longPolls"] == {"ended": 1, "parked": 0}
    assert await soon(poll) == []
    await advance(server, 10)
    assert sorted(await queue.bodies()) == ["a", "b"]


# --- redrive ------------------------------------------------------------------------------------


async def test_a_move_task_keeps_its_pace(server: Server, sqs: Client) -> None:
    dead = await sqs.queue("dead")
    queue = await sqs.queue("jobs", RedrivePolicy=redrive_policy(await dead.arn()))
    await dead.send_each(*"abcdefgh")
    await sqs.call(
        "StartMessageMoveTask",
        SourceArn=await dead.arn(),
        DestinationArn=await queue.arn(),
        MaxNumberOfMessagesPerSecond=1,
    )
    assert told(await advance(server, 3), "dead") == {"moved": 3}
    assert await queue.bodies() == ["a", "b", "c", "d"]
    assert told(await advance(server, 60), "dead") == {"moved": 4}
    assert await queue.bodies() == ["e", "f", "g", "h"]


async def test_a_move_task_without_a_pace_is_done_when_the_answer_comes(
    server: Server, sqs: Client
) -> None:
    dead = await sqs.queue("dead")
    queue = await sqs.queue("jobs", RedrivePolicy=redrive_policy(await dead.arn()))
    for _ in range(50):
        entries = [{"Id": str(number), "MessageBody": "a"} for number in range(10)]
        await dead.call("SendMessageBatch", Entries=entries)
    await sqs.call(
        "StartMessageMoveTask", SourceArn=await dead.arn(), DestinationArn=await queue.arn()
    )
    await advance(server, 0)
    assert await queue.counts() == (500, 0, 0)
    [task] = (await sqs.call("ListMessageMoveTasks", SourceArn=await dead.arn()))["Results"]
    assert task["Status"] == "COMPLETED"


# --- deliveries ---------------------------------------------------------------------------------


async def test_a_delivery_is_retried_when_its_time_comes(scene: Scene) -> None:
    server = scene.server
    async with http_receiver() as receiver:
        await scene.subscribe_http(receiver)
        receiver.answer = answering(503)
        await scene.publish()
        assert (await advance(server, 0))["deliveries"]["retried"] <= 1
        assert len(receiver.requests) == 1
        await advance(server, 19.999)
        assert len(receiver.requests) == 1
        answer = await advance(server, 0.001)
        assert len(receiver.requests) == 2
        assert answer["deliveries"] == {
            "delivered": 0,
            "retried": 1,
            "failed": 0,
        }
        receiver.answer = answering(200)
        answer = await advance(server, 3_600)
        assert len(receiver.requests) == 3
    assert (answer["deliveries"]["delivered"], answer["deliveries"]["retried"]) == (1, 0)
    assert answer["underWay"] == []


async def test_all_retries_happen_in_one_turn_and_the_last_ends_in_the_dead_letter_queue(
    scene: Scene,
) -> None:
    dead, policy = await scene.dead_letter_queue()
    async with http_receiver() as receiver:
        await scene.subscribe_http(receiver, RedrivePolicy=policy)
        receiver.answer = answering(503)
        await scene.publish("lost")
        answer = await turn(scene.server, "advance", duration="1h")
        assert len(receiver.requests) == 4
    assert answer["deliveries"]["failed"] == 1
    assert (await dead.counts())[0] == 1


async def test_where_nobody_listens_deliveries_fail_within_the_turn(scene: Scene) -> None:
    await scene.subscribe("http", f"http://127.0.0.1:{closed_port()}/")
    answer = await turn(scene.server, "advance", duration="1h")
    assert answer["underWay"] == []
    [delivery] = await scene.outbox()
    assert delivery["status"] == "failed"


async def test_an_endpoint_that_hangs_does_not_hold_up_the_clock_and_is_told(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(timekeeping, "_PATIENCE_S", 0.2)
    monkeypatch.setattr(timekeeping, "_GRACE_S", 0.05)
    server = scene.server
    async with http_receiver() as receiver:
        await scene.subscribe_http(receiver)
        receiver.answer = hanging
        await scene.publish()
        polls = [
            await server.park((await scene.sqs.queue(name)).bodies(WaitTimeSeconds=20))
            for name in ("a", "b")
        ]
        answer = await advance(server, 30)
        assert answer["underWay"] == [{"protocol": "http", "endpoint": receiver.url()}]
        assert answer["longPolls"] == {"ended": 2, "parked": 0}
        assert [await soon(poll) for poll in polls] == [[], []]
        assert (await advance(server, 1))["nowMs"] == START_MS + 31_000
        await server.broker.close()  # breaks the attempt off


async def test_an_endpoint_that_takes_few_requests_gets_them_at_its_pace(scene: Scene) -> None:
    policy = json.dumps({"throttlePolicy": {"maxReceivesPerSecond": 1}})
    async with http_receiver() as receiver:
        await scene.subscribe_http(receiver, DeliveryPolicy=policy)
        await advance(scene.server, 10)
        for _ in range(5):
            await scene.publish()
        for seconds, requests in ((0, 1), (0.999, 1), (0.001, 2), (2, 4), (10, 5)):
            await advance(scene.server, seconds)
            assert len(receiver.requests) == requests


async def test_of_a_queue_that_goes_while_the_clock_is_turned_nothing_is_told(
    scene: Scene,
) -> None:
    queue = await scene.sqs.queue()
    await queue.send("a", DelaySeconds=10)

    async with http_receiver() as receiver:
        await scene.subscribe_http(receiver)
        receiver.answer = answering(503)
        await scene.publish()
        await advance(scene.server, 0)

        async def delete(request: HttpRequest, writer: asyncio.StreamWriter) -> None:
            await queue.call("DeleteQueue")
            await answering(200)(request, writer)

        receiver.answer = delete
        answer = await advance(scene.server, 60)
    assert answer["queues"] == []


@MEMORY_ONLY
async def test_turns_that_are_asked_for_at_once_are_made_one_after_the_other(
    server: Server, sqs: Client
) -> None:
    queue = await sqs.queue()
    await queue.send("a", DelaySeconds=10)
    answers = await asyncio.gather(*(advance(server, 10) for _ in range(3)))
    assert [each["nowMs"] - START_MS for each in answers] == [10_000, 20_000, 30_000]
    assert [len(each["queues"]) for each in answers] == [1, 0, 0]


# --- archives -----------------------------------------------------------------------------------


@pytest.fixture
async def archive(server: Server) -> Archive:
    """A topic that keeps its messages for a day."""
    sns = SnsClient(server.http, account=ACCOUNT, region=REGION)
    attributes = {
        "FifoTopic": "true",
        "ContentBasedDeduplication": "true",
        "ArchivePolicy": json.dumps({"MessageRetentionPeriod": 1}),
    }
    created = await sns.call("CreateTopic", Name="news.fifo", Attributes=attributes)
    return Archive(sns, created["TopicArn"])


async def test_a_replay_is_done_when_the_answer_comes(
    server: Server, sqs: Client, archive: Archive
) -> None:
    for batch in range(60):
        await archive.publish_ten(str(batch))
    queue = await sqs.queue("jobs.fifo")
    subscription = await archive.replay(queue, "2026-01-01T00:00:00.000Z")
    await advance(server, 0)
    assert await archive.replay_status(subscription) == "Completed"
    assert await queue.counts() == (600, 0, 0)


async def test_a_replay_with_an_end_in_the_future_ends_when_the_clock_is_turned_there(
    server: Server, sqs: Client, archive: Archive
) -> None:
    await archive.publish("old")
    subscription = await archive.replay(
        await sqs.queue("jobs.fifo"), "2026-01-01T00:00:00.000Z", "2026-01-01T01:00:00.000Z"
    )
    await turn(server, "advance", duration="1h")
    assert await archive.replay_status(subscription) == "In progress"
    await turn(server, "advance", duration="1ms")
    assert await archive.replay_status(subscription) == "Completed"


async def test_archives_forget_what_has_become_too_old(server: Server, archive: Archive) -> None:
    await archive.publish("old")
    await turn(server, "advance", duration="12h")
    await archive.publish("new")
    assert await archive.begins_at() == "2026-01-01T00:00:00.000Z"
    await turn(server, "advance", duration="13h")
    assert await archive.begins_at() == "2026-01-01T12:00:00.000Z"
