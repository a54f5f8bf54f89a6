"""Queues: creating, finding, changing and deleting them."""

from dataclasses import replace

import pytest

from storage.contract import EVERYBODY, Storage
from storage.errors import UnknownQueue
from storage.records import QueueKey, QueueSettings, RedriveAllowPolicy, RedrivePolicy
from tests.storage.builders import EPOCH_MS, AQueue, a_message, a_queue

KEY = QueueKey("000000000000", "us-east-1", "a-queue")


async def test_a_new_queue_has_what_it_was_created_with(storage: Storage) -> None:
    settings = QueueSettings(
        delay_ms=5_000,
        policy="{}",
        redrive_policy=RedrivePolicy("arn:dead", 3),
        redrive_allow_policy=RedriveAllowPolicy("byQueue", ("arn:a", "arn:b")),
    )
    record, created = await storage.create_queue(KEY, settings, {"team": "a"}, now_ms=EPOCH_MS)

    assert created
    assert (record.key, record.settings, dict(record.tags)) == (KEY, settings, {"team": "a"})
    assert record.created_at_ms == record.modified_at_ms == EPOCH_MS
    assert record.purged_at_ms is None
    assert await storage.get_queue(KEY) == record


async def test_creating_an_existing_queue_returns_it_unchanged(storage: Storage) -> None:
    first, _ = await storage.create_queue(KEY, QueueSettings(), {"a": "1"}, now_ms=EPOCH_MS)
    second, created = await storage.create_queue(
        KEY, QueueSettings(delay_ms=1), {"b": "2"}, now_ms=EPOCH_MS + 1
    )
    assert (second, created) == (first, False)


async def test_accounts_and_regions_are_separate_worlds(storage: Storage) -> None:
    here = await a_queue(storage)
    elsewhere = await a_queue(storage, region="eu-west-1")
    another = await a_queue(storage, account="111111111111")

    assert len({here.queue_id, elsewhere.queue_id, another.queue_id}) == 3
    await here.send("hello", at=0)
    assert await elsewhere.received(at=0) == await another.received(at=0) == []


async def test_an_unknown_queue_is_none(storage: Storage) -> None:
    assert await storage.get_queue(KEY) is None


async def test_queues_are_listed_by_name_within_prefix_and_page(storage: Storage) -> None:
    for name in ("b2", "a", "b1", "c", "b3"):
        await a_queue(storage, name)
    await a_queue(storage, "b0", region="eu-west-1")

    async def names(**page: str) -> list[str]:
        records = await storage.list_queues("000000000000", "us-east-1", limit=2, **page)
        return [record.key.name for record in records]

    assert await names() == ["a", "b1"]
    assert await names(after="b1") == ["b2", "b3"]
    assert await names(prefix="b") == ["b1", "b2"]
    assert await names(prefix="b", after="b2") == ["b3"]
    assert await names(prefix="b", after="a") == ["b1", "b2"]
    assert await names(prefix="b", after="x") == await names(prefix="x") == []


async def test_replacing_stores_settings_and_tags(storage: Storage, queue: AQueue) -> None:
    old = await queue.record()
    new = replace(
        old,
        settings=replace(old.settings, visibility_timeout_ms=1),
        tags={"k": "v"},
        modified_at_ms=EPOCH_MS + 5,
    )
    assert await storage.replace_queue(old, new)
    assert await queue.record() == new


async def test_a_replacement_that_lost_a_race_changes_nothing(
    storage: Storage, queue: AQueue
) -> None:
    old = await queue.record()
    assert await storage.replace_queue(old, replace(old, tags={"first": "1"}))
    assert not await storage.replace_queue(old, replace(old, tags={"second": "2"}))
    assert dict((await queue.record()).tags) == {"first": "1"}


async def test_a_queue_that_is_gone_cannot_be_replaced(storage: Storage, queue: AQueue) -> None:
    old = await queue.record()
    await queue.drop(at=0)
    assert not await storage.replace_queue(old, replace(old, tags={"a": "1"}))


async def test_a_deleted_queue_is_gone_for_every_method(storage: Storage, queue: AQueue) -> None:
    await queue.send("hello", at=0)
    [claim] = await queue.receive(at=0)
    await queue.drop(at=1)

    assert await storage.get_queue(queue.key) is None
    assert await storage.list_queues("000000000000", "us-east-1", limit=10) == []
    for call in (
        queue.add(a_message("more"), at=1),
        queue.claim(at=1),
        queue.delete(claim, at=1),
        queue.hide(claim, at=1, for_ms=1),
        queue.counts(at=1),
        queue.purge(at=1),
        queue.drop(at=1),
        storage.peek_movable(queue.queue_id, limit=1, now_ms=EPOCH_MS + 1),
    ):
        with pytest.raises(UnknownQueue):
            await call


async def test_a_queue_created_again_is_another_one(storage: Storage, queue: AQueue) -> None:
    await queue.send("hello", at=0)
    await queue.drop(at=1)
    again = await a_queue(storage, at=2)

    assert again.queue_id != queue.queue_id
    assert await again.counts(at=2) == (0, 0, 0)
    assert await again.received(at=2) == []


async def test_the_moment_of_a_deletion_is_remembered(storage: Storage, queue: AQueue) -> None:
    assert await storage.queue_deleted_at_ms(queue.key) is None
    await queue.drop(at=7)
    assert await storage.queue_deleted_at_ms(queue.key) == EPOCH_MS + 7
    again = await a_queue(storage, at=70_000)
    await again.drop(at=70_001)
    assert await storage.queue_deleted_at_ms(queue.key) == EPOCH_MS + 70_001


async def test_whether_deduplication_is_per_group_is_fixed_at_creation(storage: Storage) -> None:
    queue = await a_queue(storage, "a.fifo", fifo=True, deduplication_scope="messageGroup")
    assert await queue.change(at=1, deduplication_scope="queue")
    assert (await queue.record()).deduplicates_per_group


async def test_a_deletion_is_told(queue: AQueue, changes: list[tuple[int, int]]) -> None:
    await queue.drop(at=0)
    assert changes == [(queue.queue_id, EVERYBODY)]


async def test_the_first_secret_of_a_name_is_kept(storage: Storage) -> None:
    assert await storage.keep_secret("receipts", b"first") == b"first"
    assert await storage.keep_secret("receipts", b"second") == b"first"
    assert await storage.keep_secret("pages", b"other") == b"other"


async def test_closing_twice_is_fine(storage: Storage) -> None:
    await storage.close()
    await storage.close()
