"""The pump: has due deliveries attempted, each endpoint at its own pace.

Deliveries to one endpoint form a lane.  A lane has *workers*, few at first and more while it
answers; a lane that hangs keeps one, and all such lanes together only a share of the slots, so that
they delay nobody else.  Memory holds lanes and what is being attempted, never the backlog.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from broker.clock import Clock, Sleeper, Timer
from storage.contract import Storage
from storage.errors import StoreBroken, StoreUnwritable
from storage.topic_records import Delivery, Lane

logger = logging.getLogger(__name__)

#: attempts at once, to endpoints that answer or may do so …
_SLOTS = 256
#: … and to those that did not answer lately
_SLOTS_OF_THE_SUSPECT = 64
_WORKERS_AT_FIRST = 1
_WORKERS_MAX = 8
#: for how long a lane rests when its deliveries could not be read or settled
_PAUSE_MS = 5_000


class Attempted(NamedTuple):
    """How an attempt went, as far as it bears on the pace of its lane."""

    answered: bool  # False: no answer, or a very late one
    spacing_ms: int = 0  # between this attempt and the next


class _LaneState:
    """A lane with something to do, now or at a known moment."""

    __slots__ = (
        "in_flight",
        "looked_at_ms",
        "next_allowed_ms",
        "suspect",
        "timer",
        "timer_ms",
        "wanted",
        "workers",
        "workers_max",
    )

    def __init__(self) -> None:
        self.workers = 0
        self.workers_max = _WORKERS_AT_FIRST
        self.suspect = False
        self.in_flight: set[int] = set()
        self.timer: Timer | None = None
        self.timer_ms = 0  # when the timer fires, if there is one
        self.wanted = False  # something may have become due since the last look
        self.next_allowed_ms = 0
        self.looked_at_ms = 0


class Pump:
    """Runs attempts as they fall due."""

    def __init__(
        self, store: Storage, clock: Clock, attempt: Callable[[Delivery], Awaitable[Attempted]]
    ) -> None:
        """``attempt`` makes one attempt and has the store settle the delivery."""
        self._store = store
        self._clock = clock
        self._attempt = attempt
        self._lanes: dict[Lane, _LaneState] = {}
        self._slots = asyncio.Semaphore(_SLOTS)
        self._suspect_slots = asyncio.Semaphore(_SLOTS_OF_THE_SUSPECT)
        self._tasks: set[asyncio.Task[None]] = set()
        self._pausing = 0  # workers of lanes that may not be attempted yet
        self._stopped = False

    @property
    def busy(self) -> bool:
        """Whether an attempt is under way, or about to be."""
        return bool(self._tasks)

    @property
    def under_way(self) -> int:
        """How many workers do something, not counting those that keep the spacing of a lane."""
        return len(self._tasks) - self._pausing

    @property
    def attempting(self) -> list[Lane]:
        """The lanes in which an attempt is being made."""
        return [lane for lane, state in self._lanes.items() if state.in_flight]

    @property
    def lanes(self) -> int:
        """How many lanes it holds in memory."""
        return len(self._lanes)

    async def start(self) -> None:
        """Take up what the store holds from before."""
        now_ms = self._clock.now_ms()
        for lane, due_ms in await self._store.pending_lanes():
            if due_ms <= now_ms:
                self.wake(lane)
            else:
                self._wake_at(lane, due_ms)

    async def stop(self) -> None:
        """Break off what is being attempted: it will be attempted again after the next start."""
        self._stopped = True
        for state in self._lanes.values():
            if state.timer is not None:
                state.timer.cancel()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def wake(self, lane: Lane) -> None:
        """Look at a lane: something in it is due."""
        if self._stopped:
            return
        state = self._lanes.setdefault(lane, _LaneState())
        state.wanted = True
        self._staff(lane, state)

    def _wake_at(self, lane: Lane, due_ms: int) -> None:
        """Look at a lane at that moment, unless it will be looked at before."""
        state = self._lanes.setdefault(lane, _LaneState())
        if state.timer is not None:
            if state.timer_ms <= due_ms:
                return
            state.timer.cancel()

        def fire() -> None:
            state.timer = None
            self.wake(lane)

        state.timer = self._clock.call_at(due_ms, fire)
        state.timer_ms = due_ms

    def _staff(self, lane: Lane, state: _LaneState) -> None:
        """Start a worker, if there may be one more."""
        if not self._stopped and state.workers < (1 if state.suspect else state.workers_max):
            state.workers += 1
            task = asyncio.create_task(self._work(lane, state), name=f"deliver by {lane.protocol}")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _work(self, lane: Lane, state: _LaneState) -> None:
        """Attempt what is due in a lane, one after the other, until nothing is."""
        pause = False
        try:
            while await self._work_once(lane, state) or await self._look_ahead(lane, state):
                pass
        except StoreBroken:
            self._stopped = True  # the store has said so itself
        except StoreUnwritable:
            pause = True
        except Exception:
            logger.exception("a delivery by %s could not be settled", lane.protocol)
            pause = True
        finally:
            state.workers -= 1
        if pause:
            self._wake_at(lane, self._clock.now_ms() + _PAUSE_MS)

    async def _work_once(self, lane: Lane, state: _LaneState) -> bool:
        """Attempt one delivery; False if this worker is not needed any more."""
        if state.next_allowed_ms > self._clock.now_ms():
            self._pausing += 1
            try:
                await Sleeper().sleep_until(self._clock, state.next_allowed_ms)
            finally:
                self._pausing -= 1
        async with self._suspect_slots if state.suspect else self._slots:
            state.wanted = False
            state.looked_at_ms = self._clock.now_ms()
            due = await self._store.due_deliveries(
                lane, now_ms=state.looked_at_ms, limit=len(state.in_flight) + 1
            )
            delivery = next((d for d in due if d.delivery_id not in state.in_flight), None)
            if delivery is None:
                return False
            state.in_flight.add(delivery.delivery_id)
            if not state.next_allowed_ms:
                self._staff(lane, state)  # there may be more
            try:
                attempted = await self._attempt(delivery)
            finally:
                state.in_flight.discard(delivery.delivery_id)
            self._learn(state, attempted)
        return state.workers <= (1 if state.suspect else state.workers_max)

    def _learn(self, state: _LaneState, attempted: Attempted) -> None:
        state.suspect = not attempted.answered
        if attempted.spacing_ms:
            state.next_allowed_ms = self._clock.now_ms() + attempted.spacing_ms
            state.workers_max = 1
        elif attempted.answered:
            state.next_allowed_ms = 0
            state.workers_max = min(2 * state.workers_max, _WORKERS_MAX)
        else:
            state.workers_max = _WORKERS_AT_FIRST

    async def _look_ahead(self, lane: Lane, state: _LaneState) -> bool:
        """Whether a worker that has found nothing has to look again; if not, it leaves.

        The last one sees to it that the lane is looked at when something falls due, or forgotten.
        """
        if state.workers == 1:
            due_ms = await self._store.lane_due_ms(lane, after_ms=state.looked_at_ms)
            if state.wanted:
                return True
            if state.workers == 1:
                if due_ms is not None:
                    self._wake_at(lane, due_ms)
                elif state.timer is None:
                    del self._lanes[lane]
                return False
        state.wanted = True  # who stays has not seen what came of this one's attempts
        return False
