"""Claiming: who gets what, and for how long."""

from storage.contract import Storage
from storage.records import Claimed
from tests.storage.builders import EPOCH_MS, RETENTION_MS, AQueue, bodies


async def test_the_oldest_messages_go_first(queue: AQueue) -> None:
    await queue.send("a", "b", "c", at=0)
    assert await queue.received(2, at=0) == ["a", "b"]
    assert await queue.received(2, at=0) == ["c"]


async def test_an_undeleted_message_returns_at_its_deadline(queue: AQueue) -> None:
    """Exactly at the deadline, not a millisecond before."""
    await queue.send("hello", at=0)
    [first] = await queue.receive(at=1)
    assert await queue.received(at=30_000) == []
    [second] = await queue.receive(at=30_001)

    assert second.sequence == first.sequence
    assert (first.receive_count, second.receive_count) == (1, 2)
    assert first.first_received_at_ms == second.first_received_at_ms == EPOCH_MS + 1
    assert (first.claimed_at_ms, second.claimed_at_ms) == (EPOCH_MS + 1, EPOCH_MS + 30_001)


async def test_a_returned_message_goes_before_younger_ones(queue: AQueue) -> None:
    await queue.send("a", "b", "c", at=0)
    await queue.receive(1, at=0)
    assert await queue.received(at=30_000) == ["a", "b", "c"]


async def test_one_call_never_returns_a_message_twice(queue: AQueue) -> None:
    await queue.send("a", "b", at=0)
    assert await queue.received(10, at=0, timeout_ms=0) == ["a", "b"]
    assert await queue.received(10, at=0, timeout_ms=-5) == ["a", "b"]


async def test_without_a_timeout_a_message_stays_visible(queue: AQueue) -> None:
    await queue.send("a", at=0)
    counts = [(await queue.receive(at=0, timeout_ms=0))[0].receive_count for _ in range(3)]
    assert counts == [1, 2, 3]
    assert await queue.counts(at=0) == (1, 0, 0)


async def test_an_empty_queue_has_nothing_due(queue: AQueue) -> None:
    claimed = await queue.claim(at=0)
    assert claimed == Claimed([])


async def test_an_empty_claim_knows_a_moment_to_come_back(queue: AQueue) -> None:
    """Never too late, and always later than now: else a waiting receive misses it or spins."""
    await queue.send("a", "b", at=0)
    await queue.receive(1, at=0, timeout_ms=20_000)
    await queue.receive(1, at=0, timeout_ms=10_000)
    for at in (0, 9_999):
        due = (await queue.claim(at=at)).next_due_at_ms
        assert due == EPOCH_MS + 10_000


async def test_the_moment_to_come_back_is_later_than_now_behind_a_locked_group(
    fifo_queue: AQueue,
) -> None:
    await fifo_queue.send("g1-m1", "g1-m2", at=0)
    await fifo_queue.receive(1, at=0)
    claimed = await fifo_queue.claim(at=5)
    assert (claimed.messages, claimed.next_due_at_ms) == ([], EPOCH_MS + 30_000)


async def test_expiry_is_a_moment_to_come_back(fifo_queue: AQueue) -> None:
    """A locked group unlocks when the message that locks it expires."""
    await fifo_queue.send("g1-m1", at=0)
    await fifo_queue.receive(1, at=0, timeout_ms=2 * RETENTION_MS)
    claimed = await fifo_queue.claim(at=5)
    assert claimed.next_due_at_ms == EPOCH_MS + RETENTION_MS


async def test_at_the_limit_nothing_is_handed_out(queue: AQueue) -> None:
    await queue.send("a", "b", "c", at=0)
    await queue.receive(2, at=0)
    refused = await queue.claim(at=0, in_flight_max=2)
    assert (refused.messages, refused.over_limit) == ([], True)
    assert bodies((await queue.claim(at=0, in_flight_max=3)).messages) == ["c"]


async def test_never_more_are_in_flight_than_the_limit(queue: AQueue) -> None:
    await queue.send("a", "b", "c", at=0)
    claimed = await queue.claim(10, at=0, in_flight_max=2)
    assert bodies(claimed.messages) == ["a", "b"]
    assert not claimed.over_limit


async def test_what_timed_out_is_in_flight_no_longer(queue: AQueue) -> None:
    await queue.send("a", at=0)
    await queue.receive(at=0)
    assert bodies((await queue.claim(at=30_000, in_flight_max=1)).messages) == ["a"]


async def test_a_claim_tells_nothing(queue: AQueue, changes: list[tuple[int, int]]) -> None:
    await queue.send("a", at=0)
    changes.clear()
    await queue.receive(at=0)
    await queue.receive(at=30_000)
    assert changes == []


async def test_thousands_that_fall_due_at_once_are_all_handed_out(
    storage: Storage, queue: AQueue
) -> None:
    """One call settles a bounded number; asked again, it goes on."""
    texts = [f"{number:04}" for number in range(2_500)]
    await queue.send(*texts, at=0, delay_ms=1_000)
    received: list[str] = []
    while (claimed := await queue.claim(500, at=1_000)) and (claimed.messages or claimed.again):
        received += bodies(claimed.messages)
    assert sorted(received) == texts
