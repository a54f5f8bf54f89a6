"""The waiting room: nobody is forgotten, nobody is woken for nothing."""

import asyncio
from collections.abc import Callable

import pytest

from broker.waiting import Lobby, WaitingRoom, Wake
from tests.support.clock import START_MS, FakeClock

QUEUE = 7
LATER_MS = START_MS + 20_000


class AClient:
    """A client that can hang up."""

    def __init__(self) -> None:
        self.hang_up: Callable[[], None] = lambda: None

    def watch(self, gone: Callable[[], None]) -> None:
        self.hang_up = gone


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def room(clock: FakeClock) -> WaitingRoom:
    return WaitingRoom(clock)


async def park(
    room: WaitingRoom,
    lobby: Lobby,
    *,
    due_ms: int | None = None,
    deadline_ms: int = LATER_MS,
    client: AClient | None = None,
) -> "asyncio.Task[Wake]":
    task = asyncio.create_task(
        room.park(
            lobby,
            changes_seen=lobby.changes,
            due_ms=due_ms,
            deadline_ms=deadline_ms,
            hangup=client,
        )
    )
    await asyncio.sleep(0)
    return task


async def settled() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_a_change_between_claim_and_parking_is_not_missed(room: WaitingRoom) -> None:
    lobby = room.enter(QUEUE)
    seen = lobby.changes
    room.changed(QUEUE, 1)
    why = await room.park(lobby, changes_seen=seen, due_ms=None, deadline_ms=LATER_MS, hangup=None)
    assert why is Wake.CHANGE


async def test_as_many_are_woken_as_messages_arrived_the_longest_waiting_first(
    room: WaitingRoom,
) -> None:
    lobby = room.enter(QUEUE)
    waiters = [await park(room, lobby) for _ in range(3)]
    room.changed(QUEUE, 2)
    await settled()
    assert [waiter.done() for waiter in waiters] == [True, True, False]
    room.close()
    assert await waiters[2] is Wake.CLOSED


async def test_the_earliest_due_time_wakes_one(room: WaitingRoom, clock: FakeClock) -> None:
    lobby = room.enter(QUEUE)
    first = await park(room, lobby, due_ms=START_MS + 5_000)
    second = await park(room, lobby, due_ms=START_MS + 2_000)
    await clock.advance(2_000)
    assert (first.done(), second.done()) == (True, False)
    assert await first is Wake.DUE
    room.close()
    await second


async def test_the_deadline_ends_the_wait_at_its_moment(
    room: WaitingRoom, clock: FakeClock
) -> None:
    lobby = room.enter(QUEUE)
    waiter = await park(room, lobby, deadline_ms=START_MS + 1_000)
    await clock.advance(999)
    assert not waiter.done()
    await clock.advance(1)
    assert await waiter is Wake.DEADLINE


async def test_who_hangs_up_is_not_woken_instead_of_another(room: WaitingRoom) -> None:
    lobby = room.enter(QUEUE)
    client = AClient()
    gone = await park(room, lobby, client=client)
    stays = await park(room, lobby)
    client.hang_up()
    room.changed(QUEUE, 1)
    assert await gone is Wake.HANGUP
    assert await stays is Wake.CHANGE


async def test_who_hangs_up_right_after_being_woken_passes_the_wake_on(room: WaitingRoom) -> None:
    lobby = room.enter(QUEUE)
    client = AClient()
    gone = await park(room, lobby, client=client)
    stays = await park(room, lobby)
    room.changed(QUEUE, 1)
    client.hang_up()
    assert await gone is Wake.HANGUP
    assert await stays is Wake.CHANGE


async def test_who_is_cancelled_right_after_being_woken_passes_the_wake_on(
    room: WaitingRoom,
) -> None:
    lobby = room.enter(QUEUE)
    cancelled = await park(room, lobby)
    stays = await park(room, lobby)
    room.changed(QUEUE, 1)
    cancelled.cancel()
    assert await stays is Wake.CHANGE


async def test_a_cancelled_wait_leaves_nothing_behind(room: WaitingRoom, clock: FakeClock) -> None:
    lobby = room.enter(QUEUE)
    waiter = await park(room, lobby)
    waiter.cancel()
    await settled()
    assert room.parked == 0


async def test_closing_wakes_all_and_lets_nobody_park(room: WaitingRoom) -> None:
    lobby = room.enter(QUEUE)
    waiters = [await park(room, lobby) for _ in range(3)]
    room.close()
    assert await asyncio.gather(*waiters) == [Wake.CLOSED] * 3
    assert await (await park(room, lobby)) is Wake.CLOSED


async def test_a_lobby_is_gone_when_the_last_has_left(room: WaitingRoom) -> None:
    lobby = room.enter(QUEUE)
    assert room.enter(QUEUE) is lobby
    room.leave(QUEUE, lobby)
    room.leave(QUEUE, lobby)
    assert room.enter(QUEUE) is not lobby
