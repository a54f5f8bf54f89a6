"""The broker: its verbs by area, and what runs beside them."""

import asyncio

from broker.clock import Clock, Sleeper
from broker.ids import Ids
from broker.messages import Messages
from broker.move_tasks import MoveTasks
from broker.queues import Queues
from broker.seals import Seal
from broker.waiting import WaitingRoom
from storage.contract import Storage
from storage.errors import StoreBroken, StoreUnwritable

_SWEEP_LIMIT = 1_000
#: Sweeping frees space, nothing depends on when it happens: not more often than this …
_SWEEP_PAUSE_MS = 1_000
#: … and not less often, for what a store cannot foresee (a purge, a deleted queue).
_SWEEP_INTERVAL_MS = 60_000


class Broker:
    """Queues and messages over one store.  Made by ``open``; ``close`` ends it."""

    def __init__(
        self, store: Storage, clock: Clock, ids: Ids, secret: bytes, *, block_deleted_names: bool
    ) -> None:
        self._store = store
        self._clock = clock
        seal = Seal(secret)
        self.waiting = WaitingRoom(clock)
        store.on_change(self.waiting.changed)
        self.queues = Queues(store, clock, seal, block_deleted_names=block_deleted_names)
        self.messages = Messages(store, clock, ids, seal, self.waiting)
        self.move_tasks = MoveTasks(store, clock, ids)
        self._sweeper: asyncio.Task[None] | None = None
        self.store_description = store.description

    @classmethod
    async def open(
        cls, store: Storage, clock: Clock, ids: Ids, *, block_deleted_names: bool = False
    ) -> "Broker":
        """Open the store and begin to serve from it; raises ``StoreUnusable``."""
        await store.open()
        secret = await store.keep_secret("seal", ids.secret())
        broker = cls(store, clock, ids, secret, block_deleted_names=block_deleted_names)
        await broker.move_tasks.resume()
        broker._sweeper = asyncio.create_task(broker._sweep(), name="sweeper")
        return broker

    def stop_waiting(self) -> None:
        """Answer all parked receives with what there is: nothing.  None parks from now on."""
        self.waiting.close()

    async def close(self) -> None:
        """End what runs, and close the store."""
        self.stop_waiting()
        if self._sweeper is not None:
            self._sweeper.cancel()
            await asyncio.gather(self._sweeper, return_exceptions=True)
        await self.move_tasks.stop()
        await self._store.close()

    async def _sweep(self) -> None:
        """Have the store remove, in small steps, what nobody can see any more."""
        while True:
            now_ms = self._clock.now_ms()
            try:
                next_ms = await self._store.sweep(now_ms=now_ms, limit=_SWEEP_LIMIT)
            except StoreUnwritable:
                next_ms = None
            except StoreBroken:
                return  # the store has said so itself
            if next_ms is not None and next_ms <= now_ms:
                await asyncio.sleep(0)  # more to do at once, after whoever is waiting
                continue
            latest_ms = now_ms + _SWEEP_INTERVAL_MS
            next_ms = latest_ms if next_ms is None else min(next_ms, latest_ms)
            await Sleeper().sleep_until(self._clock, max(next_ms, now_ms + _SWEEP_PAUSE_MS))
