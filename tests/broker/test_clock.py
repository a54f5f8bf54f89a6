"""The system clock's timers, over an event loop whose timers fire too early."""

import asyncio

from broker.clock import Sleeper, SystemClock
from tests.support.clock import START_MS, FakeClock


class _Behind(SystemClock):
    """A system clock that has been set back."""

    def __init__(self) -> None:
        self.ms = START_MS

    def now_ms(self) -> int:
        return self.ms


async def test_a_timer_looks_at_the_clock_again_when_it_fires() -> None:
    clock = _Behind()
    fired: list[int] = []
    clock.call_at(START_MS + 1, lambda: fired.append(clock.ms))
    clock.ms = START_MS - 3
    while not fired:
        await asyncio.sleep(0.001)
        clock.ms += 1
    assert fired[0] >= START_MS + 1


async def test_a_cancelled_timer_does_not_fire() -> None:
    clock = _Behind()
    fired: list[int] = []
    clock.call_at(START_MS, lambda: fired.append(1)).cancel()
    await asyncio.sleep(0.002)
    assert fired == []


async def test_a_sleeper_sleeps_until_its_moment() -> None:
    clock = FakeClock()
    sleeping = asyncio.create_task(Sleeper().sleep_until(clock, START_MS + 10))
    await clock.advance(9)
    assert not sleeping.done()
    await clock.advance(1)
    assert sleeping.done()


async def test_a_sleeper_can_be_woken() -> None:
    clock = FakeClock()
    sleeper = Sleeper()
    sleeping = asyncio.create_task(sleeper.sleep_until(clock, START_MS + 10))
    await clock.advance(1)
    sleeper.wake()
    await sleeping
