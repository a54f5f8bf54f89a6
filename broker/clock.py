"""Time, as an argument: what the broker knows of it comes through a ``Clock``."""

import asyncio
import time
from collections.abc import Callable
from typing import Protocol


class Timer(Protocol):
    """A call that is still to come."""

    def cancel(self) -> None:
        """Have it not happen; without effect if it has happened."""


class Clock(Protocol):
    """The moment, and waiting for one.  Injected together: half a fake clock still sleeps."""

    def now_ms(self) -> int:
        """The moment, in epoch milliseconds."""

    def call_at(self, deadline_ms: int, callback: Callable[[], None]) -> Timer:
        """Call once ``now_ms() >= deadline_ms``, never from within this call."""


class SystemClock:
    """The machine's clock and the running event loop's timers."""

    def now_ms(self) -> int:
        """See ``Clock``."""
        return time.time_ns() // 1_000_000

    def call_at(self, deadline_ms: int, callback: Callable[[], None]) -> Timer:
        """See ``Clock``."""
        return _SystemTimer(self, deadline_ms, callback)


class _SystemTimer:
    """Looks at the clock when it fires: the wall clock may have been set back meanwhile."""

    __slots__ = ("_callback", "_clock", "_deadline_ms", "_handle")

    def __init__(self, clock: SystemClock, deadline_ms: int, callback: Callable[[], None]) -> None:
        self._clock = clock
        self._deadline_ms = deadline_ms
        self._callback = callback
        self._arm()

    def _arm(self) -> None:
        delay_ms = max(0, self._deadline_ms - self._clock.now_ms())
        self._handle = asyncio.get_running_loop().call_later(delay_ms / 1000, self._fire)

    def _fire(self) -> None:
        if self._clock.now_ms() < self._deadline_ms:
            self._arm()
        else:
            self._callback()

    def cancel(self) -> None:
        """See ``Timer``."""
        self._handle.cancel()


class Sleeper:
    """A wait that ends at its deadline, or earlier when somebody wakes it."""

    def __init__(self) -> None:
        self._woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def wake(self) -> None:
        """End the wait, now or before it has begun."""
        if not self._woken.done():
            self._woken.set_result(None)

    async def sleep_until(self, clock: Clock, deadline_ms: int) -> None:
        """Return once the clock shows ``deadline_ms`` or later, or after ``wake``."""
        if clock.now_ms() >= deadline_ms:
            return
        timer = clock.call_at(deadline_ms, self.wake)
        try:
            await self._woken
        finally:
            timer.cancel()
