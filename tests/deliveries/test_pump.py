"""The pump alone: which delivery is attempted when, beside which others."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.deliveries.pump import Attempted, Pump
from storage import open_storage
from storage.contract import Storage
from storage.errors import StoreBroken, StoreUnwritable
from storage.topic_records import (
    Delivery,
    DeliveryFilter,
    DeliveryStatus,
    Lane,
    NewDelivery,
    Publication,
    Publishing,
)
from tests.support.clock import START_MS, FakeClock
from tests.support.until import soon, until

_T = TypeVar("_T")

SLOTS = 256
SLOTS_OF_THE_SUSPECT = 64
WORKERS_MAX = 8
PAUSE_MS = 5_000


@dataclass
class Post:
    """A pump over a store, and what it attempts; every attempt is answered if not said otherwise.

    ``answer`` decides what comes of an attempt: it settles the delivery, or not.
    """

    store: Storage
    clock: FakeClock
    attempts: list[tuple[int, str]] = field(default_factory=list)  # (moment, endpoint)
    under_way: Counter[str] = field(default_factory=Counter)
    most_at_once: Counter[str] = field(default_factory=Counter)
    added: int = 0

    def __post_init__(self) -> None:
        self.pump = Pump(self.store, self.clock, self.attempt)
        self.answer: Callable[[Delivery], Awaitable[Attempted]] = self.deliver

    async def attempt(self, delivery: Delivery) -> Attempted:
        """Note the attempt and have it answered."""
        endpoint = delivery.details.endpoint
        self.attempts.append((self.clock.now_ms() - START_MS, endpoint))
        for key in (endpoint, "all"):
            self.under_way[key] += 1
            self.most_at_once[key] = max(self.most_at_once[key], self.under_way[key])
        try:
            return await self.answer(delivery)
        finally:
            self.under_way[endpoint] -= 1
            self.under_way["all"] -= 1

    async def deliver(self, delivery: Delivery) -> Attempted:
        """An attempt that succeeds."""
        await self.settle(delivery)
        return Attempted(answered=True)

    async def settle(self, delivery: Delivery, *, again_at: int | None = None) -> None:
        """Have the store remember that it is delivered, or to be attempted at that moment."""
        now_ms = self.clock.now_ms()
        details = delivery.details._replace(attempts=delivery.details.attempts + 1)
        if again_at is None:
            details = details._replace(
                status=DeliveryStatus.DELIVERED, due_at_ms=None, finished_at_ms=now_ms
            )
        else:
            details = details._replace(due_at_ms=START_MS + again_at)
        await self.store.settle_delivery(delivery.delivery_id, details, now_ms=now_ms)

    async def add(self, *endpoints: str, due: int | None = None, wake: bool = True) -> None:
        """Accept a delivery to each of these endpoints."""
        for endpoint in endpoints:
            self.added += 1
            now_ms = self.clock.now_ms()
            due_ms = now_ms if due is None else START_MS + due
            delivery = NewDelivery(
                "000000000000",
                "us-east-1",
                "http",
                endpoint,
                None,
                DeliveryStatus.PENDING,
                due_ms,
                now_ms,
            )
            publication = Publication(str(self.added), None, "message", now_ms)
            publishing = Publishing(publication, [], [delivery])
            await self.store.publish(None, [publishing], now_ms=now_ms, deduplication_window_ms=0)
            if wake:
                self.pump.wake(Lane("http", endpoint))

    async def unfinished(self) -> int:
        """How many deliveries there are still to be made."""
        pending = DeliveryFilter(statuses=(DeliveryStatus.PENDING,))
        return len(await self.store.list_deliveries(pending, limit=10_000))

    async def idle(self) -> None:
        """Return once the pump does nothing."""
        await until(lambda: not self.pump.busy)

    def of(self, *endpoints: str) -> list[tuple[int, str]]:
        """The attempts at these endpoints."""
        return [each for each in self.attempts if each[1] in endpoints]

    async def stop_answering(self, _: Delivery) -> Attempted:
        """An attempt that hangs."""
        await asyncio.Event().wait()
        raise AssertionError


@pytest.fixture
async def post() -> AsyncIterator[Post]:
    store = open_storage("memory", strict=False)
    await store.open()
    post = Post(store, FakeClock())
    yield post
    await post.pump.stop()
    await store.close()


# --- when ---------------------------------------------------------------------------------------


async def test_what_is_due_is_attempted_and_the_rest_at_its_moment(post: Post) -> None:
    await post.add("a", "b", due=0)
    await post.add("a", due=700)
    await post.add("b", due=300)
    await post.idle()
    await post.clock.advance(1_000)
    await post.idle()
    assert sorted(post.attempts) == [(0, "a"), (0, "b"), (300, "b"), (700, "a")]


async def test_what_is_to_be_tried_again_is_tried_at_the_moment_it_is_due(post: Post) -> None:
    async def fail_twice(delivery: Delivery) -> Attempted:
        again_at = {0: 20_000, 1: 20_001}.get(delivery.details.attempts)
        await post.settle(delivery, again_at=again_at)
        return Attempted(answered=False)

    post.answer = fail_twice
    await post.add("a")
    await post.idle()
    await post.clock.advance(60_000)
    await post.idle()
    assert post.attempts == [(0, "a"), (20_000, "a"), (20_001, "a")]


async def test_a_start_takes_up_what_is_due_and_what_will_be(post: Post) -> None:
    await post.add("a", "b", due=0, wake=False)
    await post.add("c", due=250, wake=False)
    await post.pump.start()
    await post.idle()
    assert sorted(post.attempts) == [(0, "a"), (0, "b")]
    await post.clock.advance(250)
    await post.idle()
    assert post.attempts[2:] == [(250, "c")]


async def test_deliveries_to_an_endpoint_are_attempted_in_the_order_they_are_due(
    post: Post,
) -> None:
    seen: list[str] = []

    async def note(delivery: Delivery) -> Attempted:
        seen.append(delivery.publication.message_id)
        await post.settle(delivery)
        return Attempted(answered=True, spacing_ms=1)  # one after the other

    post.answer = note
    for due in (30, 10, 20):
        await post.add("a", due=due, wake=False)
    await post.clock.advance(100)
    await post.pump.start()
    for _ in range(3):
        await post.clock.advance(1)
    await post.idle()
    assert seen == ["2", "3", "1"]


# --- how fast -----------------------------------------------------------------------------------


async def test_attempts_are_as_far_apart_as_an_endpoint_wants(post: Post) -> None:
    async def throttled(delivery: Delivery) -> Attempted:
        await post.settle(delivery)
        return Attempted(answered=True, spacing_ms=500)

    post.answer = throttled
    await post.add("a", "a", "a")
    await post.clock.advance(2_000)
    await post.idle()
    assert post.attempts == [(0, "a"), (500, "a"), (1_000, "a")]


async def test_the_distance_holds_between_messages_that_come_one_by_one(post: Post) -> None:
    async def throttled(delivery: Delivery) -> Attempted:
        await post.settle(delivery)
        return Attempted(answered=True, spacing_ms=500)

    post.answer = throttled
    await post.add("a")
    await until(lambda: len(post.attempts) == 1)
    await post.clock.advance(100)
    await post.add("a")
    await post.clock.advance(1_000)
    await post.idle()
    assert post.attempts == [(0, "a"), (500, "a")]


async def test_a_lane_that_answers_gets_more_workers_but_not_too_many(post: Post) -> None:
    gate = asyncio.Event()

    async def slow(delivery: Delivery) -> Attempted:
        await asyncio.sleep(0)
        if len(post.attempts) > 20:
            await gate.wait()
        await post.settle(delivery)
        return Attempted(answered=True)

    post.answer = slow
    await post.add(*["a"] * 100)
    await until(lambda: post.under_way["a"] == WORKERS_MAX)
    gate.set()
    await post.idle()
    assert post.most_at_once["a"] == WORKERS_MAX
    assert await post.unfinished() == 0
    assert len(post.attempts) == 100


async def test_a_lane_that_does_not_answer_keeps_one_worker(post: Post) -> None:
    async def fail(delivery: Delivery) -> Attempted:
        await asyncio.sleep(0)
        await post.settle(delivery, again_at=1_000_000)
        return Attempted(answered=False)

    post.answer = fail
    await post.add(*["a"] * 30)
    await post.idle()
    assert len(post.attempts) == 30
    assert post.most_at_once["a"] == 1


# --- fairness -----------------------------------------------------------------------------------


async def test_an_endpoint_that_hangs_delays_no_other(post: Post) -> None:
    async def answer(delivery: Delivery) -> Attempted:
        if delivery.details.endpoint == "dead":
            return await post.stop_answering(delivery)
        return await post.deliver(delivery)

    post.answer = answer
    await post.add(*["dead"] * 50)
    await post.add(*(f"alive {number}" for number in range(100)))
    await until(lambda: len(post.attempts) - len(post.of("dead")) == 100)
    assert len(post.of("dead")) == 1


async def test_a_long_backlog_of_one_endpoint_does_not_delay_another(post: Post) -> None:
    async def answer(delivery: Delivery) -> Attempted:
        await asyncio.sleep(0)
        return await post.deliver(delivery)

    post.answer = answer
    await post.add(*["busy"] * 2_000)
    await until(lambda: len(post.attempts) > 100)
    await post.add("quick")
    await until(lambda: bool(post.of("quick")))
    assert len(post.of("busy")) < 1_900
    await post.idle()


async def test_no_more_is_attempted_at_once_than_there_are_slots(post: Post) -> None:
    post.answer = post.stop_answering
    await post.add(*(f"endpoint {number}" for number in range(SLOTS + 100)))
    await until(lambda: post.under_way["all"] == SLOTS)
    await post.clock.advance(0)
    assert post.most_at_once["all"] == SLOTS


async def test_endpoints_that_did_not_answer_share_few_slots(post: Post) -> None:
    dead = [f"dead {number}" for number in range(2 * SLOTS_OF_THE_SUSPECT)]

    async def answer(delivery: Delivery) -> Attempted:
        if delivery.details.endpoint not in dead:
            return await post.deliver(delivery)
        if delivery.details.attempts:
            return await post.stop_answering(delivery)
        await post.settle(delivery, again_at=1_000)
        return Attempted(answered=False)

    post.answer = answer
    await post.add(*dead)
    await post.idle()
    await post.clock.advance(1_000)
    await until(lambda: post.under_way["all"] == SLOTS_OF_THE_SUSPECT)
    await post.add(*(f"alive {number}" for number in range(500)))
    await until(lambda: len(post.attempts) == 500 + len(dead) + SLOTS_OF_THE_SUSPECT)
    assert post.under_way["all"] == SLOTS_OF_THE_SUSPECT


async def test_an_endpoint_that_answers_again_is_suspect_no_longer(post: Post) -> None:
    async def answer(delivery: Delivery) -> Attempted:
        await asyncio.sleep(0)
        if len(post.attempts) == 1:
            await post.settle(delivery, again_at=1_000)
            return Attempted(answered=False)
        return await post.deliver(delivery)

    post.answer = answer
    await post.add(*["a"] * 100)
    await post.clock.advance(1_000)
    await post.idle()
    assert await post.unfinished() == 0
    assert post.most_at_once["a"] == WORKERS_MAX


# --- memory -------------------------------------------------------------------------------------


async def test_lanes_with_nothing_to_do_are_forgotten(post: Post) -> None:
    await post.add(*(f"endpoint {number}" for number in range(1_000)))
    await post.idle()
    assert post.pump.lanes == 0


async def test_a_lane_is_held_as_long_as_something_is_to_come(post: Post) -> None:
    await post.add("a", due=100)
    await post.idle()
    assert post.pump.lanes == 1
    await post.clock.advance(100)
    await post.idle()
    assert post.pump.lanes == 0


async def test_a_lane_whose_deliveries_were_cleared_is_forgotten_when_they_were_due(
    post: Post,
) -> None:
    await post.add("a", due=100)
    await post.idle()
    await post.store.clear_deliveries(DeliveryFilter())
    await post.clock.advance(100)
    await post.idle()
    assert (post.attempts, post.pump.lanes) == ([], 0)


# --- what goes wrong ----------------------------------------------------------------------------


async def test_a_full_disk_is_waited_for_by_each_lane(post: Post) -> None:
    full = True

    async def answer(delivery: Delivery) -> Attempted:
        if full:
            raise StoreUnwritable
        return await post.deliver(delivery)

    post.answer = answer
    await post.add("a", "b")
    await post.idle()
    await post.clock.advance(PAUSE_MS - 1)
    assert sorted(post.attempts) == [(0, "a"), (0, "b")]
    full = False
    await post.clock.advance(1)
    await post.idle()
    assert sorted(post.attempts[2:]) == [(PAUSE_MS, "a"), (PAUSE_MS, "b")]
    assert (await post.unfinished(), post.pump.lanes) == (0, 0)


async def test_a_pause_ends_although_something_else_is_due_much_later(post: Post) -> None:
    async def unwritable(_: Delivery) -> Attempted:
        raise StoreUnwritable

    await post.add("a", due=60_000)
    await post.idle()
    post.answer = unwritable
    await post.add("a")
    await post.idle()
    post.answer = post.deliver
    await post.clock.advance(PAUSE_MS)
    await post.idle()
    assert post.attempts == [(0, "a"), (PAUSE_MS, "a")]
    await post.clock.advance(60_000)
    await post.idle()
    assert post.of("a")[2:] == [(60_000, "a")]


async def test_what_is_due_earlier_is_not_put_off_by_a_pause(post: Post) -> None:
    await post.add("a", due=1_000)
    await post.idle()

    async def unwritable(_: Delivery) -> Attempted:
        raise StoreUnwritable

    post.answer = unwritable
    await post.add("a")
    await post.idle()
    post.answer = post.deliver
    await post.clock.advance(1_000)
    await post.idle()
    assert post.attempts == [(0, "a"), (1_000, "a"), (1_000, "a")]


async def test_an_error_is_logged_and_the_lane_goes_on_after_a_pause(
    post: Post, caplog: pytest.LogCaptureFixture
) -> None:
    async def answer(delivery: Delivery) -> Attempted:
        if len(post.attempts) == 1:
            raise ZeroDivisionError
        return await post.deliver(delivery)

    post.answer = answer
    await post.add("a")
    await post.idle()
    assert "a delivery by http could not be settled" in caplog.text
    await post.clock.advance(PAUSE_MS)
    await post.idle()
    assert post.attempts == [(0, "a"), (PAUSE_MS, "a")]


async def test_nothing_is_attempted_once_the_store_is_broken(post: Post) -> None:
    async def answer(_: Delivery) -> Attempted:
        raise StoreBroken

    post.answer = answer
    await post.add("a")
    await post.idle()
    await post.add("a", "b")
    await post.clock.advance(60_000)
    assert post.attempts == [(0, "a")]


async def test_stopping_breaks_off_attempts_which_are_made_again_after_the_next_start(
    post: Post,
) -> None:
    post.answer = post.stop_answering
    await post.add("a", "a", "b")
    await post.add("c", due=100)
    await until(lambda: post.under_way["all"] == 2)
    await soon(post.pump.stop())
    assert post.under_way["all"] == 0
    post.pump.wake(Lane("http", "a"))
    await post.clock.advance(1_000)
    assert len(post.attempts) == 2  # nothing more

    again = Post(post.store, post.clock)
    await again.pump.start()
    await again.idle()
    assert sorted(again.attempts) == [(1_000, each) for each in ("a", "a", "b", "c")]


# --- wake-ups -----------------------------------------------------------------------------------


class SlowStore:
    """A store whose answers take some turns of the event loop; they come in order."""

    def __init__(self, store: Storage, turns: Callable[[], int]) -> None:
        self._store = store
        self._turns = turns
        self._order = asyncio.Lock()

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._store, name)

        async def slowly(*args: Any, **named: Any) -> Any:
            async with self._order:
                answer = await method(*args, **named)
                for _ in range(self._turns()):
                    await asyncio.sleep(0)
                return answer

        return slowly


#: one thing that happens: a delivery to an endpoint with what comes of the attempts at it and the
#: distance to the next, time that passes (ms), or turns of the event loop (negative)
Step = tuple[str, list[str | int], int] | int

DELAYS = st.sampled_from([0, 1_000, 2_000])  # until the next attempt
TROUBLES = st.sampled_from(["hangs a little", "unwritable", "an error"])


def _schedules(
    fates: st.SearchStrategy[str | int], spacings: st.SearchStrategy[int]
) -> st.SearchStrategy[list[Step]]:
    delivery = st.tuples(st.sampled_from("ab"), st.lists(fates, max_size=2), spacings)
    turns = st.integers(-12, -1)
    return st.lists(st.one_of(delivery, delivery, turns, turns, st.integers(0, 4_000)), max_size=30)


TURNS = st.lists(st.integers(0, 4), min_size=1)


@pytest.mark.parametrize("fates", [[], [1_000], [0, 1_000]])
@pytest.mark.parametrize("turns", range(5))
async def test_a_delivery_is_not_missed_at_whatever_moment_it_comes(
    turns: int, fates: list[str | int]
) -> None:
    """A second delivery comes after any number of turns of the event loop after the first."""
    for later in range(30):
        steps: list[Step] = [("a", fates, 0), *[-1] * later, ("a", [], 0)]
        await _play(steps, [turns], on_time=True)


@settings(max_examples=200)
@given(_schedules(DELAYS, st.just(0)), TURNS)
def test_no_wake_up_is_lost_whatever_happens_at_the_same_time(
    steps: list[Step], turns: list[int]
) -> None:
    asyncio.run(soon(_play(steps, turns, on_time=True)))


@settings(max_examples=200)
@given(_schedules(st.one_of(DELAYS, TROUBLES), st.sampled_from([0, 400])), TURNS)
def test_everything_is_delivered_in_the_end_whatever_goes_wrong(
    steps: list[Step], turns: list[int]
) -> None:
    asyncio.run(soon(_play(steps, turns, on_time=False)))


async def _play(steps: list[Step], turns: list[int], *, on_time: bool) -> None:
    store = open_storage("memory", strict=False)
    await store.open()
    drawn = 0

    def turns_now() -> int:
        nonlocal drawn
        drawn += 1
        return turns[drawn % len(turns)]

    slow: Any = SlowStore(store, turns_now)
    post = Post(slow, FakeClock())
    fates: dict[str, list[str | int]] = {}
    spacings: dict[str, int] = {}
    under_way: set[str] = set()

    async def answer(delivery: Delivery) -> Attempted:
        number = delivery.publication.message_id
        assert number not in under_way, "attempted twice at once"
        assert delivery.details.due_at_ms is not None
        assert delivery.details.due_at_ms <= post.clock.now_ms(), "attempted before it is due"
        under_way.add(number)
        try:
            left = fates[number]
            fate = left.pop(0) if left else None
            match fate:
                case "hangs a little":
                    for _ in range(10):
                        await asyncio.sleep(0)
                    await post.settle(delivery, again_at=post.clock.now_ms() - START_MS + 20)
                case "unwritable":
                    raise StoreUnwritable
                case "an error":
                    raise ZeroDivisionError
                case int(delay_ms):
                    again_at = post.clock.now_ms() - START_MS + delay_ms
                    await post.settle(delivery, again_at=again_at)
                case _:
                    await post.settle(delivery)
            return Attempted(fate is None, spacings[number])
        finally:
            under_way.discard(number)

    post.answer = answer
    adding: list[asyncio.Task[None]] = []
    for step in steps:
        match step:
            case (endpoint, fate, spacing_ms):
                number = str(len(adding) + 1)
                fates[number], spacings[number] = list(fate), spacing_ms
                adding.append(asyncio.create_task(post.add(endpoint)))
            case int(time_ms) if time_ms >= 0:
                if on_time:
                    await asyncio.gather(*adding)
                    await _check_that_nothing_is_late(post)
                await post.clock.advance(time_ms, settle=2)
            case int(turns_passed):
                for _ in range(-turns_passed):
                    await asyncio.sleep(0)
    await asyncio.gather(*adding)
    if on_time:
        await _check_that_nothing_is_late(post)
    waited = 0
    while await post.unfinished():
        await post.clock.advance(1_000)
        waited += 1
        assert waited < 200, "a delivery was forgotten"
    await post.clock.advance(30_000)
    assert not post.pump.busy
    assert post.pump.lanes == 0
    await post.pump.stop()
    await store.close()


async def _check_that_nothing_is_late(post: Post) -> None:
    await post.idle()
    for each in await post.store.list_deliveries(DeliveryFilter(), limit=100):
        due_ms = each.details.due_at_ms
        assert due_ms is None or due_ms > post.clock.now_ms(), "a wake-up was lost"
