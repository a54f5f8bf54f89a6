"""A clock that is frozen, set and turned, over another one that a test turns."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from broker.clock import AdjustableClock, SystemClock, Timer
from tests.support.clock import START_MS, FakeClock
from tests.support.until import until


class _Machine(FakeClock):
    """A clock that counts the timers it is asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = 0

    def call_at(self, deadline_ms: int, callback: Callable[[], None]) -> Any:
        self.asked += 1
        return super().call_at(deadline_ms, callback)


@pytest.fixture
def machine() -> _Machine:
    return _Machine()


@pytest.fixture
def clock(machine: _Machine) -> AdjustableClock:
    return AdjustableClock(machine)


async def nothing() -> None:
    """Nobody has anything to do."""


def note(fired: list[int], clock: AdjustableClock, after_ms: int) -> Timer:
    """A timer that notes when it fires, counted from the start."""
    return clock.call_at(START_MS + after_ms, lambda: fired.append(clock.now_ms() - START_MS))


# --- running ------------------------------------------------------------------------------------


async def test_it_shows_what_the_machine_shows(machine: _Machine, clock: AdjustableClock) -> None:
    await machine.advance(5)
    assert (clock.now_ms(), clock.offset_ms, clock.frozen) == (START_MS + 5, 0, False)


async def test_timers_fire_at_their_moments(machine: _Machine, clock: AdjustableClock) -> None:
    fired: list[int] = []
    for after_ms in (30, 10, 20, 10):
        note(fired, clock, after_ms)
    await machine.advance(9)
    assert fired == []
    await machine.advance(100)
    assert fired == [10, 10, 20, 30]


async def test_a_timer_for_a_moment_that_has_passed_fires_soon_but_not_at_once() -> None:
    clock = AdjustableClock(SystemClock())
    fired: list[int] = []
    clock.call_at(0, lambda: fired.append(1))
    assert fired == []
    await until(lambda: fired == [1])


async def test_a_timer_set_from_within_another_fires_too(
    machine: _Machine, clock: AdjustableClock
) -> None:
    fired: list[int] = []

    def set_two() -> None:
        note(fired, clock, 5)
        note(fired, clock, 15)

    clock.call_at(START_MS + 10, set_two)
    await machine.advance(20)
    assert fired == [10, 15]


async def test_a_timer_that_fails_does_not_keep_the_others_from_firing(
    machine: _Machine, clock: AdjustableClock
) -> None:
    fired: list[int] = []

    def fail() -> None:
        raise ZeroDivisionError

    clock.call_at(START_MS + 10, fail)
    note(fired, clock, 10)
    with pytest.raises(ZeroDivisionError):
        await machine.advance(20)
    await machine.advance(1)
    assert fired == [10]


async def test_cancelled_timers_do_not_fire(machine: _Machine, clock: AdjustableClock) -> None:
    fired: list[int] = []
    timers = [note(fired, clock, after_ms) for after_ms in (10, 20, 30)]
    timers[0].cancel()
    timers[2].cancel()
    await machine.advance(100)
    timers[1].cancel()
    assert fired == [20]


async def test_many_timers_need_one_of_the_machine(
    machine: _Machine, clock: AdjustableClock
) -> None:
    fired: list[int] = []
    for after_ms in range(10, 1_000):
        note(fired, clock, after_ms)
    assert machine.asked == 1


async def test_cancelled_timers_are_not_kept(clock: AdjustableClock) -> None:
    fired: list[int] = []
    kept = note(fired, clock, 1)
    for _ in range(10_000):
        note(fired, clock, 20_000).cancel()
    assert clock.timers < 200
    kept.cancel()
    await clock.turn_to(START_MS + 100_000, nothing)
    assert (fired, clock.timers) == ([], 0)


# --- frozen -------------------------------------------------------------------------------------


async def test_a_frozen_clock_stands_still_and_so_do_its_timers(
    machine: _Machine, clock: AdjustableClock
) -> None:
    fired: list[int] = []
    note(fired, clock, 10)
    clock.freeze()
    note(fired, clock, 20)
    await machine.advance(100)
    assert (clock.now_ms(), clock.offset_ms, clock.frozen) == (START_MS, -100, True)
    assert fired == []


async def test_what_is_due_on_a_frozen_clock_fires_all_the_same(machine: _Machine) -> None:
    clock = AdjustableClock(machine, frozen=True)
    fired: list[int] = []
    note(fired, clock, 0)
    assert fired == []
    await until(lambda: fired == [0])


async def test_a_clock_that_is_resumed_goes_on_from_the_moment_it_shows(
    machine: _Machine, clock: AdjustableClock
) -> None:
    fired: list[int] = []
    note(fired, clock, 10)
    clock.freeze()
    await machine.advance(100)
    clock.resume()
    await machine.advance(9)
    assert (clock.now_ms(), clock.offset_ms, fired) == (START_MS + 9, -100, [])
    await machine.advance(1)
    assert fired == [10]


async def test_following_the_machine_ends_an_offset(
    machine: _Machine, clock: AdjustableClock
) -> None:
    await clock.turn_to(START_MS + 100, nothing)
    clock.follow()
    assert (clock.now_ms(), clock.offset_ms) == (START_MS, 0)


# --- turned -------------------------------------------------------------------------------------


@pytest.mark.parametrize("frozen", [True, False])
async def test_timers_fire_in_order_at_their_moments_once_what_came_before_is_done(
    machine: _Machine, frozen: bool
) -> None:
    clock = AdjustableClock(machine, frozen=frozen)
    fired: list[int] = []
    seen: list[list[int]] = []

    async def settled() -> None:
        await asyncio.sleep(0)
        seen.append([clock.now_ms() - START_MS, *fired])

    for after_ms in (20, 10, 30, 20, 41):
        note(fired, clock, after_ms)
    await clock.turn_to(START_MS + 40, settled)
    assert seen == [
        [0],
        [10, 10],
        [20, 10, 20],
        [20, 10, 20, 20],
        [30, 10, 20, 20, 30],
    ]
    assert (clock.now_ms(), clock.frozen) == (START_MS + 40, frozen)


async def test_what_a_timer_sets_off_can_set_timers_for_the_same_turn(
    clock: AdjustableClock,
) -> None:
    fired: list[int] = []

    def again() -> None:
        note(fired, clock, clock.now_ms() - START_MS + 10)
        clock.call_at(clock.now_ms() + 10, again)

    again()
    await clock.turn_to(START_MS + 35, nothing)
    assert fired == [10, 20, 30]


async def test_a_running_clock_stands_still_while_it_is_turned(
    machine: _Machine, clock: AdjustableClock
) -> None:
    shown: list[int] = []

    async def settled() -> None:
        await machine.advance(1_000)
        shown.append(clock.now_ms() - START_MS)

    clock.call_at(START_MS + 10, lambda: None)
    await clock.turn_to(START_MS + 20, settled)
    assert shown == [0, 10]
    await machine.advance(5)
    assert clock.now_ms() == START_MS + 25


async def test_backward_nothing_fires_and_timers_wait_for_longer(
    machine: _Machine, clock: AdjustableClock
) -> None:
    fired: list[int] = []
    note(fired, clock, 10)
    await clock.turn_to(START_MS - 1_000, nothing)
    await machine.advance(1_009)
    assert fired == []
    await machine.advance(1)
    assert fired == [10]


async def test_forward_a_running_clock_calls_earlier(
    machine: _Machine, clock: AdjustableClock
) -> None:
    fired: list[int] = []
    note(fired, clock, 1_000)
    await clock.turn_to(START_MS + 990, nothing)
    await machine.advance(10)
    assert fired == [1_000]


async def test_a_turn_that_is_broken_off_leaves_a_running_clock_running(
    machine: _Machine, clock: AdjustableClock
) -> None:
    fired: list[int] = []
    note(fired, clock, 10)
    note(fired, clock, 20)
    steps = 0

    async def settled() -> None:
        nonlocal steps
        steps += 1
        if steps == 2:
            raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await clock.turn_to(START_MS + 1_000, settled)
    assert (fired, clock.frozen) == ([10], False)
    await machine.advance(10)
    assert fired == [10, 20]
