"""A clock that stands still until a test turns it."""

import asyncio
import heapq
from collections.abc import Callable
from itertools import count

#: 2026-01-01T00:00:00Z
START_MS = 1_767_225_600_000


class _Timer:
    def __init__(self, callback: Callable[[], None]) -> None:
        self.callback: Callable[[], None] | None = callback

    def cancel(self) -> None:
        self.callback = None


class FakeClock:
    """Implements ``broker.Clock``; time passes in ``advance`` only."""

    def __init__(self, now_ms: int = START_MS) -> None:
        self._now_ms = now_ms
        self._timers: list[tuple[int, int, _Timer]] = []
        self._order = count()

    def now_ms(self) -> int:
        return self._now_ms

    def call_at(self, deadline_ms: int, callback: Callable[[], None]) -> _Timer:
        timer = _Timer(callback)
        heapq.heappush(self._timers, (deadline_ms, next(self._order), timer))
        return timer

    async def advance(self, milliseconds: int, *, settle: int = 20) -> None:
        """Let that much time pass, stopping at every timer on the way.

        Whoever can run does so first, at the old time; then, after each timer, at its time:
        ``settle`` turns of the event loop each.
        """
        target_ms = self._now_ms + milliseconds
        await self._settle(settle)
        while self._timers and self._timers[0][0] <= target_ms:
            deadline_ms, _, timer = heapq.heappop(self._timers)
            if timer.callback is None:
                continue
            self._now_ms = max(self._now_ms, deadline_ms)
            timer.callback()
            await self._settle(settle)
        self._now_ms = target_ms
        await self._settle(settle)

    async def _settle(self, turns: int) -> None:
        for _ in range(turns):
            await asyncio.sleep(0)
