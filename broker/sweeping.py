"""The sweeper: has the store remove, in small steps, what nobody can see any more."""

import asyncio
from collections.abc import Awaitable, Callable

from broker.clock import AdjustableClock, Clock, Sleeper
from storage.contract import Storage
from storage.errors import StoreBroken, StoreUnwritable

_LIMIT = 1_000
#: Sweeping frees space, nothing depends on when it happens: not more often than this …
_PAUSE_MS = 1_000
#: … and not less often, for what a store cannot foresee (a purge, a deleted queue).
_INTERVAL_MS = 60_000


class Sweeper:
    """Sweeps beside everything else.

    A clock that is turned does not stop at its minutes: it sweeps at the machine's pace, and
    once after each turn (``wake``).
    """

    def __init__(
        self, store: Storage, clock: Clock, trim_archives: Callable[[], Awaitable[None]]
    ) -> None:
        self._store = store
        self._clock = clock
        self._pace: Clock = clock.machine if isinstance(clock, AdjustableClock) else clock
        self._trim_archives = trim_archives
        self._task: asyncio.Task[None] | None = None
        self._sleeper: Sleeper | None = None  # while there is nothing to do

    @property
    def under_way(self) -> int:
        """1 while it sweeps, else 0."""
        return int(self._task is not None and not self._task.done() and self._sleeper is None)

    def start(self) -> None:
        """Begin."""
        self._task = asyncio.create_task(self._run(), name="sweeper")

    async def stop(self) -> None:
        """Break off."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def wake(self) -> None:
        """Sweep now."""
        if self._sleeper is not None:
            self._sleeper.wake()
            self._sleeper = None

    async def _run(self) -> None:
        archives_due_ms = 0
        while True:
            now_ms = self._clock.now_ms()
            try:
                next_ms = await self._store.sweep(now_ms=now_ms, limit=_LIMIT)
                if now_ms >= archives_due_ms:
                    await self._trim_archives()
                    archives_due_ms = now_ms + _INTERVAL_MS
            except StoreUnwritable:
                next_ms = None
            except StoreBroken:
                return  # the store has said so itself
            if next_ms is not None and next_ms <= now_ms:
                await asyncio.sleep(0)  # more to do at once, after whoever is waiting
                continue
            rest_ms = _INTERVAL_MS if next_ms is None else min(next_ms - now_ms, _INTERVAL_MS)
            self._sleeper = sleeper = Sleeper()
            await sleeper.sleep_until(self._pace, self._pace.now_ms() + max(rest_ms, _PAUSE_MS))
            self._sleeper = None
