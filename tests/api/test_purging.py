"""PurgeQueue (SQS reference, 2.14)."""

from tests.support.client import Client, Queue, refusal
from tests.support.clock import FakeClock


async def test_purging_removes_messages_in_every_state(queue: Queue, clock: FakeClock) -> None:
    await queue.send("in flight")
    await queue.receive_one()
    await queue.send("delayed", DelaySeconds=10)
    await queue.send("visible")
    assert await queue.call("PurgeQueue") == {}
    assert await queue.counts() == (0, 0, 0)
    await clock.advance(60_000)
    assert await queue.bodies() == []


async def test_a_purged_queue_works_on(queue: Queue) -> None:
    await queue.send("before")
    await queue.call("PurgeQueue")
    await queue.send("after")
    assert await queue.bodies() == ["after"]


async def test_a_queue_is_purged_once_a_minute(queue: Queue, clock: FakeClock) -> None:
    await queue.call("PurgeQueue")
    await clock.advance(59_999)
    await queue.send()
    assert await refusal(queue.call("PurgeQueue")) == (
        "AWS.SimpleQueueService.PurgeQueueInProgress",
        "Only one PurgeQueue operation on jobs is allowed every 60 seconds.",
    )
    assert await queue.counts() == (1, 0, 0)
    await clock.advance(1)
    await queue.call("PurgeQueue")
    assert await queue.counts() == (0, 0, 0)


async def test_each_queue_has_its_own_minute(sqs: Client, queue: Queue) -> None:
    other = await sqs.queue("other")
    await queue.call("PurgeQueue")
    await other.call("PurgeQueue")


async def test_a_queue_created_again_may_be_purged_at_once(sqs: Client, queue: Queue) -> None:
    await queue.call("PurgeQueue")
    await queue.call("DeleteQueue")
    await (await sqs.queue("jobs")).call("PurgeQueue")


async def test_purging_changes_neither_attributes_nor_tags(queue: Queue, clock: FakeClock) -> None:
    await queue.call("TagQueue", Tags={"a": "b"})
    before = await queue.attributes()
    await clock.advance(5_000)
    await queue.call("PurgeQueue")
    assert await queue.attributes() == before
    assert await queue.call("ListQueueTags") == {"Tags": {"a": "b"}}


async def test_purging_one_queue_leaves_others_alone(sqs: Client, queue: Queue) -> None:
    other = await sqs.queue("other")
    await other.send()
    await queue.call("PurgeQueue")
    assert await other.bodies() == ["hello"]
