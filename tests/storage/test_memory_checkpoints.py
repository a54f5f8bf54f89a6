"""What checkpoints cost the memory store, and when."""

from collections.abc import Callable

import pytest

from storage.admin_records import Scope
from storage.memory import MemoryStorage
from storage.memory.contents import Message
from storage.records import NewMessage, QueueKey, QueueSettings
from storage.topic_records import DeliveryFilter
from tests.storage.builders import EPOCH_MS, WINDOW_MS, a_message
from tests.storage.topic_builders import ACCOUNT, REGION, a_delivery, a_publishing, finished

MESSAGES = 1_000
EVERYTHING = Scope()


class Copies:
    """Counts the copies of messages that are made."""

    def __init__(self) -> None:
        self.number = 0

    def since(self) -> int:
        """How many there were since it was asked last."""
        number, self.number = self.number, 0
        return number


@pytest.fixture
def copies(monkeypatch: pytest.MonkeyPatch) -> Copies:
    counted = Copies()
    copy: Callable[[Message], Message] = Message.copy

    def count(message: Message) -> Message:
        counted.number += 1
        return copy(message)

    monkeypatch.setattr(Message, "copy", count)
    return counted


@pytest.fixture
async def store() -> MemoryStorage:
    """A store with many messages and a checkpoint."""
    store = MemoryStorage()
    key = QueueKey(ACCOUNT, REGION, "a-queue")
    queue, _ = await store.create_queue(key, QueueSettings(), {}, now_ms=EPOCH_MS)
    messages: list[tuple[int, NewMessage]] = [
        (queue.queue_id, a_message(str(number))) for number in range(MESSAGES)
    ]
    await store.add_messages(messages, now_ms=EPOCH_MS, deduplication_window_ms=WINDOW_MS)
    await store.save_checkpoint("x", EVERYTHING, now_ms=EPOCH_MS)
    return store


async def sweep(store: MemoryStorage) -> bool:
    """Sweep once; whether there is more to do."""
    return await store.sweep(now_ms=EPOCH_MS, limit=100) == EPOCH_MS


async def test_a_restore_copies_nothing(store: MemoryStorage, copies: Copies) -> None:
    await store.restore_checkpoint("x", now_ms=EPOCH_MS)
    assert copies.since() == 0


async def test_sweeping_makes_ready_for_the_next_restore_in_small_steps(
    store: MemoryStorage, copies: Copies
) -> None:
    for _ in range(3):
        await store.restore_checkpoint("x", now_ms=EPOCH_MS)
        assert copies.since() == 0
        made = 0
        while await sweep(store):
            step = copies.since()
            assert step < MESSAGES / 2
            made += step
        assert made + copies.since() == MESSAGES


async def test_a_restore_that_comes_too_early_copies_what_is_missing(
    store: MemoryStorage, copies: Copies
) -> None:
    await store.reset(EVERYTHING, now_ms=EPOCH_MS)
    while await sweep(store):
        pass
    await store.restore_checkpoint("x", now_ms=EPOCH_MS)
    assert await sweep(store)
    made = copies.since()
    assert made > 0
    await store.restore_checkpoint("x", now_ms=EPOCH_MS)
    assert made + copies.since() == MESSAGES


async def test_for_a_checkpoint_that_is_gone_nothing_is_made_ready(
    store: MemoryStorage, copies: Copies
) -> None:
    await store.restore_checkpoint("x", now_ms=EPOCH_MS)
    await sweep(store)
    copies.since()
    await store.delete_checkpoint("x")
    while await sweep(store):
        pass
    assert copies.since() == 0


async def test_what_a_checkpoint_held_is_let_go_of_in_small_steps(store: MemoryStorage) -> None:
    assert not await sweep(store)
    await store.delete_checkpoint("x")
    sweeps = 1
    while await sweep(store):
        sweeps += 1
    assert sweeps >= 2 * MESSAGES / 100


async def test_of_restored_deliveries_the_first_that_finished_go_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("storage.memory.topics.FINISHED_DELIVERIES_KEPT", 2)
    store = MemoryStorage()
    for message, account, at in (("a", ACCOUNT, 5), ("b", "other", 6), ("c", ACCOUNT, 7)):
        done = finished(a_delivery(account=account), at=at)
        await store.publish(
            None, [a_publishing(message, done)], now_ms=EPOCH_MS, deduplication_window_ms=0
        )
    await store.save_checkpoint("x", Scope(ACCOUNT), now_ms=EPOCH_MS)
    await store.restore_checkpoint("x", now_ms=EPOCH_MS)
    while await sweep(store):
        pass
    left = await store.list_deliveries(DeliveryFilter(), limit=9)
    assert [delivery.publication.message for delivery in left] == ["b", "c"]
