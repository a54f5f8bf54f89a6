"""Who waits for what: parked receives, woken by changes, by due times, or by their deadline.

Nothing here polls.  Only wakes are counted out: a change that makes n messages receivable wakes
n receives at most, in the order in which they came; each then claims for itself and parks again
if another was quicker.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import Enum
from typing import Protocol

from broker.clock import Clock, Timer


class Wake(Enum):
    """Why a parked receive goes on."""

    CHANGE = "change"  # messages became receivable, or may have
    DUE = "due"  # the queue's next due time has come
    DEADLINE = "deadline"
    CLOSED = "closed"  # the broker is stopping
    HANGUP = "hangup"  # the client is gone: claim nothing for it


class Hangup(Protocol):
    """Tells when the client of a parked receive goes away."""

    def watch(self, gone: Callable[[], None]) -> None:
        """Call ``gone`` if that happens from now on."""


class Lobby:
    """The receives of one queue that are willing to wait.

    ``changes`` counts what happened to the queue while anybody is inside: who finds nothing and
    sees that it has moved since before the claim must claim again rather than park.
    """

    __slots__ = ("changes", "due_ms", "due_timer", "inside", "over_limit", "parked")

    def __init__(self) -> None:
        self.changes = 0
        self.inside = 0
        self.parked: dict[asyncio.Future[Wake], None] = {}  # in order of arrival
        self.due_ms: int | None = None
        self.due_timer: Timer | None = None
        #: somebody waits for messages in flight to become fewer
        self.over_limit = False

    def wake(self, number: int, why: Wake) -> None:
        """Wake up to that many, the longest waiting first."""
        while number > 0 and self.parked:
            waiter = next(iter(self.parked))
            del self.parked[waiter]
            if not waiter.done():
                waiter.set_result(why)
                number -= 1


class WaitingRoom:
    """All lobbies; one exists only while somebody is inside."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lobbies: dict[int, Lobby] = {}
        self._watchers: set[Callable[[], None]] = set()
        self.closed = False
        #: how many receives that might wait have ended
        self.ended = 0

    @property
    def parked(self) -> int:
        """How many receives are parked."""
        return sum(len(lobby.parked) for lobby in self._lobbies.values())

    @property
    def under_way(self) -> int:
        """How many receives that may wait are looking for messages just now."""
        return sum(lobby.inside - len(lobby.parked) for lobby in self._lobbies.values())

    @contextmanager
    def watched(self, changed: Callable[[], None]) -> Iterator[None]:
        """Have ``changed`` called after whatever may change what a queue holds, but time itself.

        Of any queue: a message that leaves one without being deleted arrives in another.
        """
        self._watchers.add(changed)
        try:
            yield
        finally:
            self._watchers.remove(changed)

    def _tell_watchers(self) -> None:
        for changed in self._watchers:
            changed()

    def enter(self, queue_id: int) -> Lobby:
        """Come in before the first claim, so that no change goes unseen."""
        lobby = self._lobbies.get(queue_id)
        if lobby is None:
            lobby = self._lobbies[queue_id] = Lobby()
        lobby.inside += 1
        return lobby

    def leave(self, queue_id: int, lobby: Lobby) -> None:
        """Go out again; to be called once for each ``enter``."""
        self.ended += 1
        lobby.inside -= 1
        if lobby.inside == 0:
            if lobby.due_timer is not None:
                lobby.due_timer.cancel()
            del self._lobbies[queue_id]

    def changed(self, queue_id: int, messages: int) -> None:
        """That many messages of a queue may have become receivable."""
        if self._watchers:
            self._tell_watchers()
        lobby = self._lobbies.get(queue_id)
        if lobby is not None:
            lobby.changes += 1
            lobby.wake(messages, Wake.CHANGE)

    def handed_out(self, queue_id: int, hidden_until_ms: int, now_ms: int) -> None:
        """Messages of a queue were handed out; they come back at that moment if not deleted."""
        if self._watchers:
            self._tell_watchers()
        lobby = self._lobbies.get(queue_id)
        if lobby is None or not lobby.parked:
            return
        if hidden_until_ms <= now_ms:
            lobby.wake(1, Wake.CHANGE)
        else:
            self._expect(lobby, hidden_until_ms)

    def deleted(self, queue_id: int) -> None:
        """Messages in flight have become fewer: who waits for that may go on, one after another."""
        if self._watchers:
            self._tell_watchers()
        lobby = self._lobbies.get(queue_id)
        if lobby is not None and lobby.over_limit:
            lobby.over_limit = False
            lobby.wake(1, Wake.DUE)

    def close(self) -> None:
        """Wake everybody, and let nobody park from now on."""
        self.closed = True
        self._tell_watchers()
        for lobby in self._lobbies.values():
            lobby.wake(len(lobby.parked), Wake.CLOSED)

    async def park(
        self,
        lobby: Lobby,
        *,
        changes_seen: int,
        due_ms: int | None,
        deadline_ms: int,
        hangup: Hangup | None,
    ) -> Wake:
        """Wait until it is worth claiming again, or the wait is over.

        ``changes_seen``: the lobby's ``changes`` before the claim that found nothing;
        ``due_ms``: when, by that claim, something becomes receivable by itself.
        """
        if self.closed:
            return Wake.CLOSED
        if lobby.changes != changes_seen:
            return Wake.CHANGE
        if due_ms is not None:
            self._expect(lobby, due_ms)
        waiter: asyncio.Future[Wake] = asyncio.get_running_loop().create_future()
        lobby.parked[waiter] = None
        gone = False

        def end(why: Wake) -> None:
            lobby.parked.pop(waiter, None)
            if not waiter.done():
                waiter.set_result(why)

        def hung_up() -> None:
            nonlocal gone
            gone = True
            end(Wake.HANGUP)

        deadline = self._clock.call_at(deadline_ms, lambda: end(Wake.DEADLINE))
        if hangup is not None:
            hangup.watch(hung_up)
        cancelled = True
        try:
            await waiter
            cancelled = False
        finally:
            deadline.cancel()
            lobby.parked.pop(waiter, None)
            woken = not waiter.cancelled() and waiter.result() in (Wake.CHANGE, Wake.DUE)
            if woken and (cancelled or gone):
                lobby.wake(1, waiter.result())  # this one will not claim: the next one must
        return Wake.HANGUP if gone else waiter.result()

    def _expect(self, lobby: Lobby, due_ms: int) -> None:
        """See that one receive is woken at the earliest due time known."""
        if lobby.due_ms is not None:
            if lobby.due_ms <= due_ms:
                return
            assert lobby.due_timer is not None
            lobby.due_timer.cancel()

        def due() -> None:
            lobby.due_ms = lobby.due_timer = None
            lobby.wake(1, Wake.DUE)

        lobby.due_ms = due_ms
        lobby.due_timer = self._clock.call_at(due_ms, due)
