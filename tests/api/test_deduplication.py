"""Deduplication in FIFO queues (SQS reference, 5.1)."""

import hashlib

import pytest

from tests.support.client import Client, Queue
from tests.support.clock import FakeClock

FIVE_MINUTES_MS = 300_000


async def accepted(queue: Queue) -> int:
    """How many messages the queue has taken and not lost."""
    return sum(await queue.counts())


async def by_content(queue: Queue, body: str, group: str = "g") -> None:
    await queue.send(body, MessageGroupId=group)


@pytest.fixture
async def content_based(sqs: Client) -> Queue:
    """A queue in which equal bodies are duplicates."""
    return await sqs.queue("content.fifo", ContentBasedDeduplication="true")


@pytest.fixture
async def per_group(sqs: Client) -> Queue:
    """A queue in which each group has its own deduplication ids."""
    return await sqs.queue(
        "groups.fifo", DeduplicationScope="messageGroup", ContentBasedDeduplication="true"
    )


async def test_a_duplicate_is_answered_as_the_original(fifo: Queue) -> None:
    first = await fifo.send_to("g", "a", MessageDeduplicationId="x")
    second = await fifo.send_to("g", "test", MessageDeduplicationId="x")
    assert second["MessageId"] == first["MessageId"]
    assert second["SequenceNumber"] == first["SequenceNumber"]
    assert second["MD5OfMessageBody"] == "098f6bcd4621d373cade4e832627b4f6"
    assert await fifo.bodies() == ["a"]


async def test_an_id_is_free_again_after_five_minutes(fifo: Queue, clock: FakeClock) -> None:
    await fifo.send_to("g", "a")
    await clock.advance(FIVE_MINUTES_MS - 1)
    await fifo.send_to("g", "a")
    assert await accepted(fifo) == 1
    await clock.advance(1)
    await fifo.send_to("g", "a")
    assert await accepted(fifo) == 2


async def test_a_duplicate_does_not_extend_the_window(fifo: Queue, clock: FakeClock) -> None:
    await fifo.send_to("g", "a")
    await clock.advance(FIVE_MINUTES_MS // 2)
    await fifo.send_to("g", "a")
    await clock.advance(FIVE_MINUTES_MS // 2)
    await fifo.send_to("g", "a")
    assert await accepted(fifo) == 2


async def test_an_id_outlives_its_message(fifo: Queue) -> None:
    await fifo.send_to("g", "a")
    await fifo.delete(await fifo.receive_one())
    await fifo.send_to("g", "a")
    assert await accepted(fifo) == 0


async def test_an_id_outlives_the_retention_of_its_message(fifo: Queue, clock: FakeClock) -> None:
    await fifo.set(MessageRetentionPeriod="60")
    await fifo.send_to("g", "a")
    await clock.advance(61_000)
    await fifo.send_to("g", "a")
    assert await accepted(fifo) == 0


async def test_purging_forgets_ids(fifo: Queue) -> None:
    await fifo.send_to("g", "a")
    await fifo.call("PurgeQueue")
    await fifo.send_to("g", "a")
    assert await fifo.bodies() == ["a"]


async def test_an_id_holds_across_groups(fifo: Queue) -> None:
    await fifo.send_to("g", "a", MessageDeduplicationId="x")
    await fifo.send_to("h", "b", MessageDeduplicationId="x")
    assert await fifo.bodies() == ["a"]


async def test_ids_are_case_sensitive(fifo: Queue) -> None:
    await fifo.send_to("g", "a", MessageDeduplicationId="x")
    await fifo.send_to("g", "b", MessageDeduplicationId="X")
    assert await fifo.bodies() == ["a", "b"]


async def test_queues_do_not_share_ids(sqs: Client, fifo: Queue) -> None:
    other = await sqs.queue("other.fifo")
    for queue in (fifo, other):
        await queue.send_to("g", "a")
        assert await accepted(queue) == 1


# --- by content ---------------------------------------------------------------------------------


async def test_equal_bodies_are_duplicates(content_based: Queue) -> None:
    await by_content(content_based, "a")
    await by_content(content_based, "a")
    await by_content(content_based, "a", group="h")
    await by_content(content_based, "b")
    assert await content_based.bodies() == ["a", "b"]


async def test_attributes_are_no_content(content_based: Queue) -> None:
    await by_content(content_based, "a")
    attribute = {"k": {"DataType": "String", "StringValue": "x"}}
    await content_based.send("a", MessageGroupId="g", MessageAttributes=attribute)
    assert await accepted(content_based) == 1


async def test_an_explicit_id_wins_over_content(content_based: Queue) -> None:
    await by_content(content_based, "a")
    await content_based.send("a", MessageGroupId="g", MessageDeduplicationId="x")
    await content_based.send("b", MessageGroupId="g", MessageDeduplicationId="x")
    assert await content_based.bodies() == ["a", "a"]


async def test_the_id_of_content_is_its_sha256(content_based: Queue) -> None:
    digest = hashlib.sha256("grüße".encode()).hexdigest()
    await by_content(content_based, "grüße")
    await content_based.send("other", MessageGroupId="g", MessageDeduplicationId=digest)
    message = await content_based.receive_one(
        MessageSystemAttributeNames=["MessageDeduplicationId"]
    )
    assert message["Attributes"] == {"MessageDeduplicationId": digest}
    assert await accepted(content_based) == 1


# --- per group ----------------------------------------------------------------------------------


async def test_each_group_has_its_own_ids(per_group: Queue) -> None:
    for group in ("g", "h", "g"):
        await per_group.send_to(group, f"of {group}", MessageDeduplicationId="x")
    assert await per_group.bodies() == ["of g", "of h"]


async def test_each_group_has_its_own_contents(per_group: Queue) -> None:
    for group in ("g", "h", "g"):
        await by_content(per_group, "a", group)
    assert await per_group.bodies() == ["a", "a"]


async def test_the_scope_is_fixed_at_creation_to_the_queue(fifo: Queue) -> None:
    await fifo.send_to("g", "a", MessageDeduplicationId="old")
    await fifo.set(DeduplicationScope="messageGroup")
    assert await fifo.attributes("DeduplicationScope") == {"DeduplicationScope": "messageGroup"}
    for deduplication_id in ("old", "new", "new"):
        group = "h" if deduplication_id == "old" else f"g-{await accepted(fifo)}"
        await fifo.send_to(group, deduplication_id, MessageDeduplicationId=deduplication_id)
    assert await accepted(fifo) == 2


async def test_the_scope_is_fixed_at_creation_to_groups(per_group: Queue) -> None:
    await per_group.set(DeduplicationScope="queue")
    await per_group.send_to("g", "a", MessageDeduplicationId="x")
    await per_group.send_to("h", "b", MessageDeduplicationId="x")
    assert await per_group.bodies() == ["a", "b"]
