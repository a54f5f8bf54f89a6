"""A claim says which messages it moved to the dead-letter queue."""

import pytest

from storage.contract import Storage
from tests.storage.builders import AQueue, a_queue, bodies

both_kinds = pytest.mark.parametrize("fifo", [False, True], ids=["standard", "fifo"])


async def queues(storage: Storage, *, fifo: bool) -> tuple[AQueue, AQueue]:
    """A queue and its dead-letter queue."""
    return await a_queue(storage, "source", fifo=fifo), await a_queue(storage, "dead", fifo=fifo)


@both_kinds
async def test_a_claim_that_moves_nothing_says_so(storage: Storage, fifo: bool) -> None:
    queue, dead = await queues(storage, fifo=fifo)
    rule = dead.as_dead_letter_queue(max_receive_count=2)
    assert (await queue.claim(at=0, dead_letter=rule)).dead_lettered == ()
    await queue.send("g-1", at=0)
    for at in (0, 1):
        claimed = await queue.claim(at=at, timeout_ms=0, dead_letter=rule)
        assert (bodies(claimed.messages), claimed.dead_lettered) == (["g-1"], ())


@both_kinds
async def test_a_claim_that_only_moves_names_what_it_moved(storage: Storage, fifo: bool) -> None:
    queue, dead = await queues(storage, fifo=fifo)
    await queue.send("g-1", "h-1", "g-2", at=0)
    given = await queue.receive(at=0, timeout_ms=0)
    claimed = await queue.claim(at=1, dead_letter=dead.as_dead_letter_queue())
    assert claimed.messages == []
    assert sorted(claimed.dead_lettered) == sorted(claim.message_id for claim in given)
    arrived = [claim.message_id for claim in await dead.receive(at=2)]
    assert sorted(arrived) == sorted(claimed.dead_lettered)
    assert (await queue.claim(at=3)).dead_lettered == ()


@both_kinds
async def test_a_claim_that_hands_out_too_names_what_it_moved(storage: Storage, fifo: bool) -> None:
    queue, dead = await queues(storage, fifo=fifo)
    await queue.send("g-1", "g-2", at=0)
    await queue.receive(at=0, timeout_ms=0)
    await queue.send("g-3", at=1)
    claimed = await queue.claim(at=2, dead_letter=dead.as_dead_letter_queue())
    assert bodies(claimed.messages) == ["g-3"]
    assert claimed.dead_lettered == ("id of g-1", "id of g-2")


async def test_a_claim_names_all_it_moved_before_it_stopped(storage: Storage) -> None:
    """It moves a bounded number, and says that there is more."""
    queue, dead = await queues(storage, fifo=False)
    await queue.send(*(f"{number}" for number in range(1_100)), at=0)
    for _ in range(1_100):
        await queue.receive(1, at=0, timeout_ms=1_000)
    moved: list[str] = []
    again = True
    while again:
        claimed = await queue.claim(at=1_000, dead_letter=dead.as_dead_letter_queue())
        assert claimed.messages == []
        moved += claimed.dead_lettered
        again = claimed.again
    assert moved == [f"id of {number}" for number in range(1_100)]


async def test_a_repeated_attempt_moves_nothing(storage: Storage) -> None:
    queue, dead = await queues(storage, fifo=True)
    await queue.send("g-1", "h-1", at=0)
    await queue.receive(1, at=0, timeout_ms=0)
    rule = dead.as_dead_letter_queue()
    first = await queue.claim(at=1, dead_letter=rule, attempt_id="x")
    assert (bodies(first.messages), first.dead_lettered) == (["h-1"], ("id of g-1",))
    again = await queue.claim(at=2, dead_letter=rule, attempt_id="x")
    assert (again.messages, again.dead_lettered) == (first.messages, ())
