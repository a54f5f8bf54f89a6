"""Turning the clock: each step waits until what it set off is done, and the end tells what was."""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from broker.arns import queue_arn
from broker.clock import AdjustableClock
from broker.deliveries.http import TIMEOUT_S
from broker.deliveries.pump import Pump
from broker.move_tasks import MoveTasks
from broker.replays import Replays
from broker.statistics import Statistics
from broker.sweeping import Sweeper
from broker.waiting import WaitingRoom
from storage.contract import Storage
from storage.errors import UnknownQueue
from storage.records import Counts, MoveTask, QueueRecord
from storage.topic_records import Lane

#: In one turn of the clock at most so much real time is spent on what does not come to rest: an
#: attempt at an HTTP endpoint that hangs is over by then, and its repetition is seen to begin.
_PATIENCE_S = TIMEOUT_S + 1
#: what any step may take before it counts as waiting, and may take when patience has run out
_GRACE_S = 0.25
#: turns of the event loop in which nobody may be at work: who has been woken needs one to begin
_QUIET_TURNS = 2
#: after so many turns it is something outside that is waited for
_EAGER_TURNS = 100
_PAUSE_S = 0.001
_ALL_QUEUES = 2**31


class QueueTurn(NamedTuple):
    """What a turn of the clock did to one queue."""

    arn: str
    before: Counts
    after: Counts
    became_visible: int
    expired: int
    dead_lettered: int  # moved from this queue to its dead-letter queue
    moved: int  # from this queue, by a message move task


class _State(NamedTuple):
    """A queue at a moment, with its counters so far; 0: it has none of its own."""

    counts: Counts
    sent: int = 0
    received: int = 0
    deleted: int = 0
    dead_lettered: int = 0


@dataclass(frozen=True)
class Turn:
    """What a turn of the clock did."""

    queues: list[QueueTurn]  # those in which something has happened
    long_polls_ended: int
    long_polls_parked: int
    deliveries_made: int
    deliveries_retried: int  # that is, failed, and to be repeated
    deliveries_failed: int  # for good
    #: endpoints that had not answered when this was told
    under_way: list[Lane]


class Timekeeper:
    """The verbs on a clock that can be turned."""

    def __init__(
        self,
        store: Storage,
        clock: AdjustableClock,
        statistics: Statistics,
        *,
        waiting: WaitingRoom,
        pump: Pump,
        move_tasks: MoveTasks,
        replays: Replays,
        sweeper: Sweeper,
    ) -> None:
        self.clock = clock
        self._store = store
        self._statistics = statistics
        self._waiting = waiting
        self._pump = pump
        self._move_tasks = move_tasks
        self._replays = replays
        self._sweeper = sweeper
        self._turning = asyncio.Lock()

    async def freeze(self) -> None:
        """Have the clock stand still."""
        async with self._turning:
            self.clock.freeze()

    async def resume(self) -> None:
        """Have the clock run, from the moment it shows."""
        async with self._turning:
            self.clock.resume()

    async def advance(self, milliseconds: int, *, account: str, region: str) -> Turn:
        """Let that much time pass; see ``set``."""
        async with self._turning:
            return await self._turn_to(self.clock.now_ms() + milliseconds, account, region)

    async def set(self, now_ms: int, *, account: str, region: str) -> Turn:
        """Have the clock show a moment, and all happen that falls due until then, in order.

        Backward nothing happens: what was handed out, moved or removed stays so, and what waits
        waits for longer.  Told are the queues of one account and region.
        """
        async with self._turning:
            return await self._turn_to(now_ms, account, region)

    async def set_to_machine(self, *, account: str, region: str) -> Turn:
        """As ``set``, to what the machine's clock shows; a running clock goes with it again."""
        async with self._turning:
            turn = await self._turn_to(self.clock.machine.now_ms(), account, region)
            self.clock.follow()
            return turn

    async def _turn_to(self, target_ms: int, account: str, region: str) -> Turn:
        rest = _Rest(self._under_way)
        await rest.settled()
        queues = await self._store.list_queues(account, region, limit=_ALL_QUEUES)
        tasks = await self._store.unfinished_move_tasks()
        before = await asyncio.gather(*map(self._state, queues))
        ended, attempts = self._waiting.ended, self._attempts()
        await self.clock.turn_to(target_ms, rest.settled)
        self._sweeper.wake()
        await rest.settled()
        moved = await self._moved(tasks)
        after = await asyncio.gather(*map(self._state, queues))
        turns = [
            _queue_turn(queue, old, new, moved[queue.queue_id])
            for queue, old, new in zip(queues, before, after, strict=True)
            if old is not None and new is not None and old != new
        ]
        made, retried, failed = (
            new - old for old, new in zip(attempts, self._attempts(), strict=True)
        )
        return Turn(
            turns,
            self._waiting.ended - ended,
            self._waiting.parked,
            made,
            retried,
            failed,
            self._pump.attempting,
        )

    def _under_way(self) -> int:
        return (
            self._waiting.under_way
            + self._pump.under_way
            + self._move_tasks.under_way
            + self._replays.under_way
            + self._sweeper.under_way
        )

    # --- counting -------------------------------------------------------------------------------

    async def _state(self, queue: QueueRecord) -> _State | None:
        try:
            counts = await self._store.count_messages(queue.queue_id, now_ms=self.clock.now_ms())
        except UnknownQueue:  # a client has deleted it
            return None
        counters = self._statistics.queues.get(queue.queue_id)
        if counters is None or counters is self._statistics.queues.others:
            return _State(counts)
        return _State(
            counts, counters.sent, counters.received, counters.deleted, counters.dead_lettered
        )

    def _attempts(self) -> tuple[int, int, int]:
        """How many attempts at other endpoints than queues succeeded, were retried, and failed."""
        topics = [*self._statistics.topics.values(), self._statistics.topics.others]
        return (
            sum(_beside_queues(topic.delivered) for topic in topics),
            sum(_beside_queues(topic.retried) for topic in topics),
            sum(_beside_queues(topic.failed) for topic in topics),
        )

    async def _moved(self, tasks: Sequence[MoveTask]) -> Counter[int]:
        """How many messages those tasks have moved since, by the id of their source."""
        moved = Counter[int]()
        for task in tasks:
            current = await self._store.get_move_task(task.task_id)
            if current is not None:
                moved[task.source_queue_id] += current.moved - task.moved
        return moved


class _Rest:
    """Waits, in one turn of the clock, for everybody to come to rest."""

    def __init__(self, under_way: Callable[[], int]) -> None:
        self._under_way = under_way
        self._patience_s = _PATIENCE_S
        self._given_up = 0  # who was still at work when patience ran out: not waited for again

    async def settled(self) -> None:
        """Return when nobody is at work, or nothing is to be gained from further waiting."""
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        quiet = turns = 0
        while quiet < _QUIET_TURNS:
            await asyncio.sleep(0 if turns < _EAGER_TURNS else _PAUSE_S)
            turns += 1
            under_way = self._under_way()
            quiet = quiet + 1 if under_way <= self._given_up else 0
            self._given_up = min(self._given_up, under_way)
            if loop.time() - began_s > max(self._patience_s, _GRACE_S):
                self._given_up = under_way
        waited_s = loop.time() - began_s
        if waited_s > _GRACE_S:
            self._patience_s -= waited_s


def _beside_queues(by_protocol: Mapping[str, int]) -> int:
    return sum(number for protocol, number in by_protocol.items() if protocol != "sqs")


def _queue_turn(queue: QueueRecord, old: _State, new: _State, moved: int) -> QueueTurn:
    """What happened to a queue, as far as counting tells; what is missing has expired."""
    received = new.received - old.received
    deleted = new.deleted - old.deleted
    dead_lettered = new.dead_lettered - old.dead_lettered
    gone = sum(old.counts) + new.sent - old.sent - sum(new.counts)
    hidden_before = old.counts.in_flight + old.counts.delayed
    hidden_after = new.counts.in_flight + new.counts.delayed
    return QueueTurn(
        queue_arn(queue.key),
        old.counts,
        new.counts,
        became_visible=max(0, hidden_before + received - deleted - hidden_after),
        expired=max(0, gone - deleted - dead_lettered - moved),
        dead_lettered=dead_lettered,
        moved=moved,
    )
