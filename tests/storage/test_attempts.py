"""Receive attempts of FIFO queues: asking again for what an answer got lost with."""

from storage.contract import Storage
from storage.records import Outcome
from tests.storage.builders import EPOCH_MS, WINDOW_MS, AQueue, bodies


async def test_a_repeated_attempt_gets_the_same_under_the_same_receipts(
    fifo_queue: AQueue,
) -> None:
    await fifo_queue.send("g-1", "g-2", "h-1", at=0)
    first = await fifo_queue.claim(2, at=0, attempt_id="a")
    again = await fifo_queue.claim(2, at=10_000, attempt_id="a")
    assert bodies(first.messages) == ["g-1", "g-2"]
    assert again == first


async def test_a_repeated_attempt_starts_the_timeout_anew(fifo_queue: AQueue) -> None:
    await fifo_queue.send("g-1", at=0)
    await fifo_queue.claim(at=0, attempt_id="a")
    [claim] = (await fifo_queue.claim(at=10_000, attempt_id="a")).messages
    assert await fifo_queue.received(at=39_999) == []
    assert await fifo_queue.delete(claim, at=39_999) == [Outcome.DONE]


async def test_another_attempt_gets_something_else(fifo_queue: AQueue) -> None:
    await fifo_queue.send("g-1", "h-1", at=0)
    await fifo_queue.claim(1, at=0, attempt_id="a")
    assert bodies((await fifo_queue.claim(1, at=0, attempt_id="b")).messages) == ["h-1"]


async def test_an_attempt_that_got_nothing_is_not_remembered(fifo_queue: AQueue) -> None:
    await fifo_queue.claim(at=0, attempt_id="a")
    await fifo_queue.send("g-1", at=1)
    assert bodies((await fifo_queue.claim(at=1, attempt_id="a")).messages) == ["g-1"]


async def test_the_window_runs_from_the_first_call(fifo_queue: AQueue) -> None:
    await fifo_queue.send("g-1", "g-2", at=0)
    [first] = (await fifo_queue.claim(1, at=0, timeout_ms=WINDOW_MS, attempt_id="a")).messages
    repeated = await fifo_queue.claim(1, at=1, timeout_ms=WINDOW_MS, attempt_id="a")
    assert repeated.messages == [first]
    await fifo_queue.delete(first, at=2)
    later = await fifo_queue.claim(1, at=WINDOW_MS, attempt_id="a")
    assert bodies(later.messages) == ["g-2"]


async def test_an_attempt_is_void_once_a_message_changed(fifo_queue: AQueue) -> None:
    for number, change in enumerate(("delete", "hide", "show")):
        await fifo_queue.send(f"{change}-1", f"{change}-2", at=number)
        _, second = (await fifo_queue.claim(2, at=number, attempt_id=change)).messages
        if change == "delete":
            await fifo_queue.delete(second, at=number)
        else:
            for_ms = 0 if change == "show" else 60_000
            await fifo_queue.hide(second, at=number, for_ms=for_ms)
        before = await fifo_queue.counts(at=number)
        void = await fifo_queue.claim(at=number, attempt_id=change)
        assert (void.messages, void.attempt_void) == ([], True)
        assert await fifo_queue.counts(at=number) == before


async def test_an_attempt_is_void_once_a_message_timed_out(fifo_queue: AQueue) -> None:
    await fifo_queue.send("g-1", at=0)
    await fifo_queue.claim(at=0, attempt_id="a")
    assert (await fifo_queue.claim(at=30_000, attempt_id="a")).attempt_void
    assert await fifo_queue.received(at=30_000) == ["g-1"]
    assert (await fifo_queue.claim(at=30_001, attempt_id="a")).attempt_void


async def test_a_repeated_attempt_ignores_the_limit_in_flight(fifo_queue: AQueue) -> None:
    await fifo_queue.send("g-1", at=0)
    await fifo_queue.claim(at=0, attempt_id="a", in_flight_max=1)
    again = await fifo_queue.claim(at=1, attempt_id="a", in_flight_max=1)
    assert bodies(again.messages) == ["g-1"]


async def test_a_repeat_without_timeout_shows_the_messages(fifo_queue: AQueue) -> None:
    await fifo_queue.send("g-1", "g-2", at=0)
    await fifo_queue.claim(at=0, attempt_id="a")
    again = await fifo_queue.claim(at=1, timeout_ms=0, attempt_id="a")
    assert bodies(again.messages) == ["g-1", "g-2"]
    assert await fifo_queue.counts(at=1) == (2, 0, 0)
    assert (await fifo_queue.claim(at=1, attempt_id="a")).attempt_void


async def test_standard_queues_ignore_attempts(queue: AQueue) -> None:
    await queue.send("a", "b", at=0)
    assert bodies((await queue.claim(1, at=0, attempt_id="a")).messages) == ["a"]
    assert bodies((await queue.claim(1, at=0, attempt_id="a")).messages) == ["b"]


async def test_a_sweep_forgets_no_attempt_in_its_window(
    storage: Storage, fifo_queue: AQueue
) -> None:
    await fifo_queue.send("g-1", at=0)
    first = await fifo_queue.claim(at=0, timeout_ms=WINDOW_MS, attempt_id="a")
    await storage.sweep(now_ms=EPOCH_MS + WINDOW_MS - 1, limit=100)
    assert await fifo_queue.claim(at=WINDOW_MS - 1, attempt_id="a") == first
