"""The archive of a FIFO topic, and its replay to a queue (SNS reference, 8.3)."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from broker.envelopes import timestamp_text
from storage import open_storage
from storage.contract import Storage
from tests.support.client import Answer, Client, Queue
from tests.support.clock import START_MS, FakeClock
from tests.support.server import MEMORY_ONLY, Server, running
from tests.support.sns import SnsClient, sns_refusal
from tests.support.topics import (
    Subscription,
    Topic,
    dead_letters_to,
    new_topic,
    take,
    take_bodies,
    take_messages,
    take_one,
)
from tests.support.until import until_called

ONE_DAY = json.dumps({"MessageRetentionPeriod": "1"})
A_MONTH = json.dumps({"MessageRetentionPeriod": "30"})
MINUTE_MS = 60_000
DAY_MS = 86_400_000
WANTED = {"wanted": {"DataType": "String", "StringValue": "yes"}}


@pytest.fixture
def sqs(server: Server) -> Client:
    """A client of its queues."""
    return server.client("json")


@pytest.fixture
async def topic(sns: SnsClient) -> Topic:
    """A FIFO topic that keeps its messages for a month."""
    return await new_topic(sns, "news.fifo", ArchivePolicy=A_MONTH)


@pytest.fixture
async def queue(sqs: Client) -> Queue:
    """A FIFO queue."""
    return await sqs.queue("jobs.fifo")


def replay_policy(start_ms: int = 0, end_ms: int | None = None) -> str:
    """A ReplayPolicy; times count from the start of the test."""
    policy = {"PointType": "Timestamp", "StartingPoint": timestamp_text(START_MS + start_ms)}
    if end_ms is not None:
        policy["EndingPoint"] = timestamp_text(START_MS + end_ms)
    return json.dumps(policy)


async def replayed(subscription: Subscription) -> None:
    """Wait until a replay is completed."""
    await until_called(
        subscription.attributes, lambda attributes: attributes["ReplayStatus"] == "Completed"
    )


async def replay_to(
    topic: Topic, queue: Queue, policy: str | None = None, **attributes: str
) -> Subscription:
    """A new subscription to which all that there is has been replayed."""
    attributes.setdefault("RawMessageDelivery", "true")
    subscription = await topic.subscribe(
        queue, ReplayPolicy=policy or replay_policy(), **attributes
    )
    await replayed(subscription)
    return subscription


async def publish_numbers(topic: Topic, numbers: range, group: str = "g") -> None:
    """Messages that are numbers, ten at a time."""
    for first in range(numbers.start, numbers.stop, 10):
        entries = [
            {
                "Message": str(number),
                "MessageGroupId": group,
                "MessageDeduplicationId": f"{group}{number}",
            }
            for number in range(first, min(first + 10, numbers.stop))
        ]
        await topic.publish_batch(*entries)


def texts(numbers: range) -> list[str]:
    return [str(number) for number in numbers]


# --- archives -----------------------------------------------------------------------------------


async def test_a_topic_tells_its_archive(topic: Topic, clock: FakeClock) -> None:
    await clock.advance(1_000)
    await topic.publish_to("g", "first")
    await clock.advance(1_000)
    attributes = (await topic.call("GetTopicAttributes"))["Attributes"]
    assert attributes["ArchivePolicy"] == A_MONTH
    assert attributes["BeginningArchiveTime"] == timestamp_text(START_MS + 1_000)


@MEMORY_ONLY
async def test_a_topic_without_archive_tells_none(sns: SnsClient) -> None:
    topic = await new_topic(sns, "plain.fifo")
    attributes = (await topic.call("GetTopicAttributes"))["Attributes"]
    assert not {"ArchivePolicy", "BeginningArchiveTime"} & attributes.keys()


@MEMORY_ONLY
async def test_a_standard_topic_has_no_archive(sns: SnsClient) -> None:
    code, _ = await sns_refusal(new_topic(sns, ArchivePolicy=A_MONTH))
    assert code == "InvalidParameter"
    topic = await new_topic(sns)
    code, _ = await sns_refusal(topic.set("ArchivePolicy", A_MONTH))
    assert code == "InvalidParameter"


@MEMORY_ONLY
@pytest.mark.parametrize("days", ["1", "365"])
async def test_an_archive_keeps_messages_for_1_to_365_days(topic: Topic, days: str) -> None:
    policy = json.dumps({"MessageRetentionPeriod": days})
    await topic.set("ArchivePolicy", policy)
    assert (await topic.call("GetTopicAttributes"))["Attributes"]["ArchivePolicy"] == policy


@MEMORY_ONLY
@pytest.mark.parametrize(
    "policy",
    [
        "",
        "1",
        "{",
        '{"MessageRetentionPeriod":"0"}',
        '{"MessageRetentionPeriod":"366"}',
        '{"MessageRetentionPeriod":"x"}',
        '{"Other":"1"}',
    ],
)
async def test_anything_else_is_no_archive_policy(topic: Topic, policy: str) -> None:
    code, _ = await sns_refusal(topic.set("ArchivePolicy", policy))
    assert code == "InvalidParameter"
    assert (await topic.call("GetTopicAttributes"))["Attributes"]["ArchivePolicy"] == A_MONTH


async def test_a_topic_with_an_archive_cannot_be_deleted(topic: Topic, queue: Queue) -> None:
    assert await sns_refusal(topic.call("DeleteTopic")) == (
        "InvalidState",
        "Invalid state: Cannot delete a topic with an ArchivePolicy",
    )
    await topic.publish_to("g", "forgotten")
    await topic.set("ArchivePolicy", "{}")
    assert "ArchivePolicy" not in (await topic.call("GetTopicAttributes"))["Attributes"]
    await topic.set("ArchivePolicy", A_MONTH)
    await replay_to(topic, queue)
    assert await take(queue) == []
    await topic.set("ArchivePolicy", "{}")
    await topic.call("DeleteTopic")
    code, _ = await sns_refusal(topic.call("GetTopicAttributes"))
    assert code == "NotFound"


async def test_what_was_published_before_the_policy_is_not_archived(
    sns: SnsClient, queue: Queue
) -> None:
    topic = await new_topic(sns, "news.fifo")
    await topic.publish_to("g", "before")
    await topic.set("ArchivePolicy", A_MONTH)
    await topic.publish_to("g", "with")
    await replay_to(topic, queue)
    assert await take_bodies(queue) == ["with"]


async def test_a_duplicate_is_archived_once(topic: Topic, queue: Queue) -> None:
    for _ in range(2):
        await topic.publish_to("g", "hello")
    await replay_to(topic, queue)
    assert await take_bodies(queue) == ["hello"]


async def test_messages_leave_the_archive_after_their_retention(
    sns: SnsClient, queue: Queue, clock: FakeClock
) -> None:
    topic = await new_topic(sns, "news.fifo", ArchivePolicy=ONE_DAY)
    await topic.publish_to("g", "old")
    await clock.advance(MINUTE_MS * 2)
    await topic.publish_to("g", "young")
    await clock.advance(DAY_MS - MINUTE_MS * 2)
    subscription = await replay_to(topic, queue)
    assert await take_bodies(queue) == ["old", "young"]
    await clock.advance(MINUTE_MS + 1)

    async def begins() -> str:
        answer = await topic.call("GetTopicAttributes")
        return str(answer["Attributes"]["BeginningArchiveTime"])

    await until_called(begins, lambda time: time == timestamp_text(START_MS + MINUTE_MS * 2))
    await subscription.set("ReplayPolicy", replay_policy(1))
    await replayed(subscription)
    await subscription.set("ReplayPolicy", replay_policy())
    await replayed(subscription)
    assert await take_bodies(queue) == ["young", "young"]


# --- replays ------------------------------------------------------------------------------------


async def test_a_replay_brings_what_was_published_in_order(topic: Topic, queue: Queue) -> None:
    await publish_numbers(topic, range(250))
    await replay_to(topic, queue)
    assert await take_bodies(queue) == texts(range(250))


async def test_a_replay_goes_over_into_what_is_published(topic: Topic, queue: Queue) -> None:
    await topic.publish_to("g", "archived")
    await replay_to(topic, queue)
    await topic.publish_to("g", "live")
    assert await take_bodies(queue) == ["archived", "live"]


async def test_a_replayed_message_is_the_same_as_before(
    topic: Topic, sqs: Client, queue: Queue, clock: FakeClock
) -> None:
    live = await sqs.queue("live.fifo")
    subscription = await topic.subscribe(live)
    await topic.publish_to("g", "hello", Subject="a subject", MessageAttributes=WANTED)
    await clock.advance(5_000)
    replay = await replay_to(topic, queue, RawMessageDelivery="false")
    original, copy = [json.loads((await take_one(each))["Body"]) for each in (live, queue)]
    for envelope, of in ((original, subscription), (copy, replay)):
        assert envelope.pop("UnsubscribeURL").endswith(of.arn)
    assert copy["MessageAttributes"].pop("Replayed")
    assert copy == original


async def test_a_raw_replayed_message_is_marked_too(topic: Topic, queue: Queue) -> None:
    await topic.publish_to("g", "archived", MessageAttributes=WANTED)
    await replay_to(topic, queue)
    await topic.publish_to("g", "live", MessageAttributes=WANTED)
    archived, live = await take(queue)
    assert (archived["Body"], live["Body"]) == ("archived", "live")
    assert archived["MessageAttributes"].keys() == {"wanted", "Replayed"}
    assert live["MessageAttributes"] == WANTED
    assert archived["Attributes"]["MessageGroupId"] == "g"


async def test_a_raw_message_with_ten_attributes_is_replayed(topic: Topic, queue: Queue) -> None:
    attributes = {f"a{number}": WANTED["wanted"] for number in range(10)}
    await topic.publish_to("g", "hello", MessageAttributes=attributes)
    await replay_to(topic, queue)
    assert (await take_one(queue))["MessageAttributes"] == attributes


async def test_a_replay_reaches_a_standard_queue(topic: Topic, sqs: Client) -> None:
    queue = await sqs.queue("standard")
    await publish_numbers(topic, range(15))
    await replay_to(topic, queue)
    assert sorted(await take_bodies(queue), key=int) == texts(range(15))


async def test_a_replay_has_a_start_and_an_end(
    topic: Topic, queue: Queue, clock: FakeClock
) -> None:
    for number in range(6):
        await topic.publish_to("g", str(number))
        await clock.advance(1_000)
    subscription = await replay_to(topic, queue, replay_policy(2_000, 4_000))
    assert await take_bodies(queue) == ["2", "3", "4"]
    await topic.publish_to("g", "live")
    assert await take(queue) == []
    assert (await subscription.attributes())["ReplayStatus"] == "Completed"


async def test_a_start_after_all_that_is_archived_replays_nothing(
    topic: Topic, queue: Queue, clock: FakeClock
) -> None:
    await topic.publish_to("g", "archived")
    await clock.advance(1_000)
    await replay_to(topic, queue, replay_policy(1))
    await topic.publish_to("g", "live")
    assert await take_bodies(queue) == ["live"]


async def test_an_end_that_is_to_come_is_waited_for(
    topic: Topic, queue: Queue, clock: FakeClock
) -> None:
    await topic.publish_to("g", "archived")
    subscription = await topic.subscribe(
        queue, RawMessageDelivery="true", ReplayPolicy=replay_policy(0, 20_000)
    )
    await clock.advance(20_000)
    await topic.publish_to("g", "at-the-end")
    await clock.advance(1)
    await topic.publish_to("g", "after")
    await clock.advance(5_000)
    await replayed(subscription)
    await topic.publish_to("g", "live")
    assert await take_bodies(queue) == ["archived", "at-the-end"]


async def test_what_is_published_during_a_replay_arrives_once_and_in_order(
    topic: Topic, queue: Queue
) -> None:
    await publish_numbers(topic, range(300))
    publishing = asyncio.create_task(publish_numbers(topic, range(300, 500)))
    await replay_to(topic, queue)
    await publishing
    assert await take_bodies(queue) == texts(range(500))


async def test_what_is_published_at_the_very_end_of_a_replay_arrives_once(
    store: Storage, topic: Topic, queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    await topic.publish_to("g", "archived")
    read = store.read_archive

    async def read_archive(*arguments: Any, **keywords: Any) -> Any:
        found = await read(*arguments, **keywords)
        if not found:  # the replay is about to end
            monkeypatch.undo()
            await topic.publish_to("g", "late")
        return found

    monkeypatch.setattr(store, "read_archive", read_archive)
    await replay_to(topic, queue)
    await topic.publish_to("g", "live")
    assert await take_bodies(queue) == ["archived", "late", "live"]


async def test_each_group_stays_in_order_during_a_replay(topic: Topic, queue: Queue) -> None:
    await asyncio.gather(*(publish_numbers(topic, range(100), group) for group in "abc"))
    publishing = asyncio.gather(
        *(publish_numbers(topic, range(100, 150), group) for group in "abc")
    )
    await replay_to(topic, queue)
    await publishing
    messages = await take(queue)
    for group in "abc":
        assert [
            message["Body"]
            for message in messages
            if message["Attributes"]["MessageGroupId"] == group
        ] == texts(range(150))


async def test_a_subscription_that_exists_gets_all_again(topic: Topic, queue: Queue) -> None:
    subscription = await topic.subscribe(queue, RawMessageDelivery="true")
    await publish_numbers(topic, range(10))
    for _ in range(2):
        await subscription.set("ReplayPolicy", replay_policy())
        await replayed(subscription)
    assert await take_bodies(queue) == texts(range(10)) * 3


async def test_other_subscriptions_do_not_notice(topic: Topic, sqs: Client, queue: Queue) -> None:
    other = await topic.queue(sqs, "other.fifo", RawMessageDelivery="true")
    await publish_numbers(topic, range(10))
    await replay_to(topic, queue)
    assert await take_bodies(other) == texts(range(10))


async def test_a_filter_policy_holds_for_replays(topic: Topic, queue: Queue) -> None:
    await topic.publish_to("g", "unwanted")
    await topic.publish_to("g", "wanted", MessageAttributes=WANTED)
    await replay_to(topic, queue, FilterPolicy='{"wanted":["yes"]}')
    await topic.publish_to("g", "unwanted-again")
    await topic.publish_to("g", "wanted-again", MessageAttributes=WANTED)
    assert await take_bodies(queue) == ["wanted", "wanted-again"]


async def test_the_message_is_filtered_in_replays_too(topic: Topic, queue: Queue) -> None:
    await topic.publish_to("g", '{"a":1}')
    await topic.publish_to("g", '{"a":2}')
    await replay_to(topic, queue, FilterPolicy='{"a":[2]}', FilterPolicyScope="MessageBody")
    assert await take_bodies(queue) == ['{"a":2}']


async def test_the_mark_of_replayed_messages_can_be_filtered(topic: Topic, queue: Queue) -> None:
    await topic.publish_to("g", "archived")
    await replay_to(topic, queue, FilterPolicy='{"Replayed":[{"exists":false}]}')
    await topic.publish_to("g", "live")
    assert await take_bodies(queue) == ["live"]


async def test_what_cannot_be_replayed_is_a_dead_letter(
    topic: Topic, sqs: Client, queue: Queue
) -> None:
    dead = await sqs.queue("dead.fifo")
    policy = dead_letters_to(await dead.arn())
    await topic.publish_to("g", "hello")
    subscription = await topic.subscribe(queue, RawMessageDelivery="true", RedrivePolicy=policy)
    await queue.call("DeleteQueue")
    await subscription.set("ReplayPolicy", replay_policy())
    await replayed(subscription)
    assert await take_bodies(dead) == ["hello"]


# --- the life of a replay -----------------------------------------------------------------------


async def test_a_subscription_without_replay_has_no_status(topic: Topic, queue: Queue) -> None:
    attributes = await (await topic.subscribe(queue)).attributes()
    assert not {"ReplayPolicy", "ReplayStatus"} & attributes.keys()


async def test_a_replay_is_pending_in_progress_and_completed(
    store: Storage, topic: Topic, queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    await publish_numbers(topic, range(250))
    policy = replay_policy()
    statuses: list[str] = []
    read = store.read_archive

    async def read_archive(*arguments: Any, **keywords: Any) -> Any:
        [each] = await store.replaying_subscriptions()
        assert each.replay is not None
        statuses.append(each.replay.status.value)
        return await read(*arguments, **keywords)

    monkeypatch.setattr(store, "read_archive", read_archive)
    subscription = await replay_to(topic, queue, policy)
    assert statuses == ["Pending", *["In progress"] * 3]
    assert (await subscription.attributes())["ReplayPolicy"] == policy


async def test_an_empty_policy_ends_a_replay(topic: Topic, queue: Queue, clock: FakeClock) -> None:
    subscription = await topic.subscribe(
        queue, RawMessageDelivery="true", ReplayPolicy=replay_policy(0, DAY_MS)
    )
    await subscription.set("ReplayPolicy", "{}")
    assert not {"ReplayPolicy", "ReplayStatus"} & (await subscription.attributes()).keys()
    await topic.publish_to("g", "live")
    await clock.advance(10_000)
    assert await take_bodies(queue) == ["live"]


async def test_a_new_policy_takes_the_place_of_a_running_replay(
    topic: Topic, queue: Queue, clock: FakeClock
) -> None:
    await topic.publish_to("g", "first")
    await clock.advance(1_000)
    await topic.publish_to("g", "second")
    subscription = await topic.subscribe(
        queue, RawMessageDelivery="true", ReplayPolicy=replay_policy(1_000, DAY_MS)
    )
    assert await until_called(lambda: take_bodies(queue), bool) == ["second"]
    await subscription.set("ReplayPolicy", replay_policy())
    await replayed(subscription)
    assert await take_bodies(queue) == ["first", "second"]


async def test_a_policy_that_is_set_while_the_archive_is_read_is_not_missed(
    store: Storage, topic: Topic, queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    subscription = await topic.subscribe(queue, RawMessageDelivery="true")
    read = store.read_archive

    async def read_archive(*arguments: Any, **keywords: Any) -> Any:
        monkeypatch.undo()
        found = await read(*arguments, **keywords)
        await subscription.set("ReplayPolicy", replay_policy())
        return found

    monkeypatch.setattr(store, "read_archive", read_archive)
    await subscription.set("ReplayPolicy", replay_policy(0, DAY_MS))
    await replayed(subscription)
    await topic.publish_to("g", "live")
    assert await take_bodies(queue) == ["live"]


async def test_unsubscribing_ends_a_replay(topic: Topic, queue: Queue, clock: FakeClock) -> None:
    subscription = await topic.subscribe(queue, ReplayPolicy=replay_policy(0, DAY_MS))
    await topic.sns.call("Unsubscribe", SubscriptionArn=subscription.arn)
    await topic.publish_to("g", "hello")
    await clock.advance(10_000)
    assert await take(queue) == []


async def test_a_replay_goes_on_after_a_restart(tmp_path: Path, clock: FakeClock) -> None:
    url = f"sqlite:{tmp_path / 'kept.db'}"
    async with running(open_storage(url, strict=False), clock) as server:
        topic = await new_topic(SnsClient(server.http), "news.fifo", ArchivePolicy=A_MONTH)
        queue = await server.client("json").queue("jobs.fifo")
        await publish_numbers(topic, range(1_000))
        subscription = await topic.subscribe(
            queue, RawMessageDelivery="true", ReplayPolicy=replay_policy()
        )
        await until_called(queue.counts, lambda counts: counts[0] >= 100)
        status = (await subscription.attributes())["ReplayStatus"]
        assert status == "In progress"
    async with running(open_storage(url, strict=False), clock) as server:
        topic = Topic(SnsClient(server.http), topic.arn)
        await publish_numbers(topic, range(1_000, 1_010))
        await replayed(Subscription(topic.sns, subscription.arn))
        await topic.publish_to("g", "live")
        queue = await server.client("json").queue("jobs.fifo")
        assert await take_bodies(queue) == [*texts(range(1_010)), "live"]


async def test_an_archive_survives_a_restart(tmp_path: Path, clock: FakeClock) -> None:
    url = f"sqlite:{tmp_path / 'kept.db'}"
    async with running(open_storage(url, strict=False), clock) as server:
        topic = await new_topic(SnsClient(server.http), "news.fifo", ArchivePolicy=A_MONTH)
        published = await topic.publish_to("g", "hello", Subject="kept", MessageAttributes=WANTED)
    async with running(open_storage(url, strict=False), clock) as server:
        topic = Topic(SnsClient(server.http), topic.arn)
        queue = await server.client("json").queue("jobs.fifo")
        await replay_to(topic, queue, RawMessageDelivery="false")
        envelope = json.loads((await take_one(queue))["Body"])
        assert (envelope["MessageId"], envelope["SequenceNumber"]) == tuple(published.values())
        assert (envelope["Subject"], envelope["Message"]) == ("kept", "hello")
        assert envelope["MessageAttributes"]["wanted"] == {"Type": "String", "Value": "yes"}


# --- policies that are none ---------------------------------------------------------------------


@MEMORY_ONLY
@pytest.mark.parametrize(
    "policy",
    [
        {},
        {"StartingPoint": None},
        {"StartingPoint": "yesterday"},
        {"StartingPoint": "2026-13-01T00:00:00Z"},
        {"PointType": None},
        {"PointType": "Sequence"},
        {"EndingPoint": "tomorrow"},
        {"EndingPoint": "2025-12-31T23:59:59.999Z"},
        {"Other": "x"},
    ],
)
async def test_a_replay_policy_has_a_start_and_perhaps_an_end(
    topic: Topic, queue: Queue, policy: Answer
) -> None:
    good: Answer = {"PointType": "Timestamp", "StartingPoint": "2026-01-01T00:00:00.000Z"}
    text = json.dumps({name: value for name, value in (good | policy).items() if value is not None})
    call = topic.subscribe(queue, ReplayPolicy=text)
    if not policy:
        assert (await (await call).attributes())["ReplayPolicy"] == text
        return
    code, _ = await sns_refusal(call)
    assert code == "InvalidParameter"


@MEMORY_ONLY
async def test_a_standard_topic_replays_nothing(sns: SnsClient, sqs: Client) -> None:
    topic = await new_topic(sns)
    queue = await sqs.queue()
    code, _ = await sns_refusal(topic.subscribe(queue, ReplayPolicy=replay_policy()))
    assert code == "InvalidParameter"
    await topic.subscribe(queue)
    await topic.publish("hello")
    assert await take_messages(queue) == ["hello"]
