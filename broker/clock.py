"""Time, as an argument: what the broker knows of it comes through a ``Clock``."""

import asyncio
import heapq
import time
from collections.abc import Awaitable, Callable
from itertools import count
from typing import Protocol

#: cancelled timers are cleared away once there are more than this, and more than others
_CANCELLED_KEPT = 100


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


class AdjustableClock:
    """A clock that can be turned: it runs at an offset to another one, or it is frozen.

    However many timers it has, it needs one of the other clock, for the earliest, and none while
    it is frozen.  Turning it lets the timers that fall due fire one after the other, at their
    moments; between two of them it waits until what the first has set off is done.
    """

    #: See ``Clock``.  The other clock's own while they agree: then this one costs nothing.
    now_ms: Callable[[], int]

    def __init__(self, machine: Clock, *, frozen: bool = False) -> None:
        """It shows what ``machine`` shows; if it is frozen it goes on showing that."""
        self.machine = machine
        self._machine_now_ms = machine.now_ms
        self._offset_ms = 0
        self._frozen_ms: int | None = None
        self._timers: list[tuple[int, int, _AdjustableTimer]] = []
        self._order = count()
        self._cancelled = 0  # of those in the heap
        self._alarm: Timer | None = None
        self._alarm_ms = 0  # by the other clock
        self.now_ms = machine.now_ms
        if frozen:
            self.freeze()

    @property
    def frozen(self) -> bool:
        """Whether it stands still."""
        return self._frozen_ms is not None

    @property
    def offset_ms(self) -> int:
        """How far it is ahead of the other clock."""
        return self.now_ms() - self._machine_now_ms()

    @property
    def timers(self) -> int:
        """How many timers it keeps, some of the cancelled among them."""
        return len(self._timers)

    def call_at(self, deadline_ms: int, callback: Callable[[], None]) -> Timer:
        """See ``Clock``."""
        timer = _AdjustableTimer(self, deadline_ms, callback)
        heapq.heappush(self._timers, (deadline_ms, next(self._order), timer))
        if self._timers[0][2] is timer:
            self._set_alarm()
        return timer

    # --- turning --------------------------------------------------------------------------------

    def freeze(self) -> None:
        """Stand still from now on."""
        self._stop_at(self.now_ms())

    def resume(self) -> None:
        """Run, from the moment shown."""
        if self.frozen:
            self._run_from(self.now_ms())

    def follow(self) -> None:
        """If it runs, show what the other clock shows; not for turning it back or forth."""
        if not self.frozen:
            self._run_from(self._machine_now_ms())

    async def turn_to(self, target_ms: int, settled: Callable[[], Awaitable[None]]) -> None:
        """Show that moment; to be called by one at a time.

        ``settled`` returns when all that time has set off so far is done.  Whoever can do
        something at the old time does so first.  A running clock stands still meanwhile.
        Backward nothing fires, and what waits waits for longer.
        """
        was_frozen = self.frozen
        now_ms = self.now_ms()
        try:
            self._stop_at(now_ms)
            await settled()
            while (timer := self._pop_due(target_ms)) is not None:
                now_ms = max(now_ms, timer.deadline_ms)
                self._stop_at(now_ms)
                timer.fire()
                await settled()
            now_ms = target_ms
            self._stop_at(now_ms)
        finally:
            if not was_frozen:
                self._run_from(now_ms)

    def _stop_at(self, now_ms: int) -> None:
        self._frozen_ms = now_ms
        self.now_ms = self._stopped_ms

    def _run_from(self, now_ms: int) -> None:
        self._frozen_ms = None
        self._offset_ms = now_ms - self._machine_now_ms()
        self.now_ms = self._shifted_ms if self._offset_ms else self._machine_now_ms
        self._set_alarm()

    def _stopped_ms(self) -> int:
        assert self._frozen_ms is not None
        return self._frozen_ms

    def _shifted_ms(self) -> int:
        return self._machine_now_ms() + self._offset_ms

    # --- timers ---------------------------------------------------------------------------------

    def _pop_due(self, now_ms: int) -> "_AdjustableTimer | None":
        """Take out the earliest timer, if it is due at that moment."""
        self._drop_cancelled()
        if not self._timers or self._timers[0][0] > now_ms:
            return None
        return heapq.heappop(self._timers)[2]

    def _drop_cancelled(self) -> None:
        while self._timers and self._timers[0][2].callback is None:
            heapq.heappop(self._timers)
            self._cancelled -= 1

    def _set_alarm(self) -> None:
        """See that ``_ring`` is called when the earliest timer is due; earlier does not matter."""
        self._drop_cancelled()
        if not self._timers:
            return
        deadline_ms = self._timers[0][0]
        if self._frozen_ms is None:
            at_ms = deadline_ms - self._offset_ms
        elif deadline_ms <= self._frozen_ms:
            at_ms = 0
        else:
            return
        if self._alarm is not None:
            if self._alarm_ms <= at_ms:
                return
            self._alarm.cancel()
        self._alarm_ms = at_ms
        if self._frozen_ms is None:
            self._alarm = self.machine.call_at(at_ms, self._ring)
        else:
            self._alarm = asyncio.get_running_loop().call_soon(self._ring)

    def _ring(self) -> None:
        """Fire what is due by now; what comes to it meanwhile has its own alarm."""
        self._alarm = None
        now_ms = self.now_ms()
        try:
            for _ in range(len(self._timers)):
                timer = self._pop_due(now_ms)
                if timer is None:
                    break
                timer.fire()
        finally:
            self._set_alarm()

    def note_cancelled(self) -> None:
        """One more timer in the heap is not to fire."""
        self._cancelled += 1
        if self._cancelled > _CANCELLED_KEPT and 2 * self._cancelled > len(self._timers):
            self._timers = [each for each in self._timers if each[2].callback is not None]
            heapq.heapify(self._timers)
            self._cancelled = 0


class _AdjustableTimer:
    __slots__ = ("_clock", "callback", "deadline_ms")

    def __init__(
        self, clock: AdjustableClock, deadline_ms: int, callback: Callable[[], None]
    ) -> None:
        self._clock = clock
        self.deadline_ms = deadline_ms
        self.callback: Callable[[], None] | None = callback  # None: cancelled, or called

    def fire(self) -> None:
        """Call; to be done once it is out of the heap."""
        callback, self.callback = self.callback, None
        assert callback is not None  # the cancelled were dropped
        callback()

    def cancel(self) -> None:
        """See ``Timer``."""
        if self.callback is not None:
            self.callback = None
            self._clock.note_cancelled()


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
