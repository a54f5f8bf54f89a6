"""Short words for the tests of what tools ask of a store."""

from collections.abc import Sequence

from storage.admin_records import Checkpoint, MessageState, Peeked, PeekFilter, Scope, Transfer
from storage.contract import Storage
from storage.records import Claim
from tests.storage.builders import EPOCH_MS, AQueue, a_message, a_queue

OTHER_ACCOUNT = "111111111111"
EVERYTHING = Scope()


async def peek(
    queue: AQueue, *, at: int, after: int = 0, limit: int = 100, **chosen: object
) -> list[Peeked]:
    """The messages of a queue that fit; ``chosen`` is that of ``PeekFilter``."""
    return await queue.storage.peek_messages(
        queue.queue_id,
        PeekFilter(**chosen),  # type: ignore[arg-type]
        after_sequence=after,
        limit=limit,
        now_ms=EPOCH_MS + at,
    )


async def peeked(
    queue: AQueue, *, at: int, after: int = 0, limit: int = 100, **chosen: object
) -> list[str]:
    """The bodies of the messages that fit."""
    found = await peek(queue, at=at, after=after, limit=limit, **chosen)
    return [each.message.body for each in found]


async def states(queue: AQueue, *, at: int) -> dict[str, MessageState]:
    """What each message of a queue is doing, by body."""
    return {each.message.body: each.state for each in await peek(queue, at=at)}


async def sequences(queue: AQueue, *texts: str, at: int) -> list[int]:
    """The sequences of the messages of these bodies."""
    found = {each.message.body: each.message.sequence for each in await peek(queue, at=at)}
    return [found[text] for text in texts]


async def oldest(queue: AQueue, *, at: int) -> int | None:
    """When the oldest message was enqueued, counted like ``at``."""
    found = await queue.storage.oldest_message_sent_at_ms(queue.queue_id, now_ms=EPOCH_MS + at)
    return None if found is None else found - EPOCH_MS


async def show(queue: AQueue, *texts: str, at: int) -> list[str]:
    """Make the messages of these bodies visible."""
    found = await sequences(queue, *texts, at=at)
    return await queue.storage.show_messages(queue.queue_id, found, now_ms=EPOCH_MS + at)


async def remove(queue: AQueue, *texts: str, at: int) -> list[str]:
    """Delete the messages of these bodies."""
    found = await sequences(queue, *texts, at=at)
    return await queue.storage.remove_messages(queue.queue_id, found, now_ms=EPOCH_MS + at)


async def transfer(queue: AQueue, *texts: str, to: AQueue, at: int) -> int:
    """Move the messages of these bodies; ``a`` gets the id ``new a``."""
    found = await sequences(queue, *texts, at=at)
    return await queue.storage.transfer_messages(
        queue.queue_id,
        [
            Transfer(sequence, to.queue_id, f"new {text}")
            for sequence, text in zip(found, texts, strict=True)
        ],
        now_ms=EPOCH_MS + at,
    )


async def reset(storage: Storage, scope: Scope = EVERYTHING, *, at: int) -> None:
    await storage.reset(scope, now_ms=EPOCH_MS + at)


async def save(
    storage: Storage, scope: Scope = EVERYTHING, *, name: str = "a checkpoint", at: int
) -> Checkpoint:
    return await storage.save_checkpoint(name, scope, now_ms=EPOCH_MS + at)


async def restore(storage: Storage, *, name: str = "a checkpoint", at: int) -> Checkpoint:
    """Restore a checkpoint that there is."""
    checkpoint = await storage.restore_checkpoint(name, now_ms=EPOCH_MS + at)
    assert checkpoint is not None
    return checkpoint


def names(fifo: bool) -> str:
    """A queue's name, according to its kind."""
    return "a-queue.fifo" if fifo else "a-queue"


async def twins(storage: Storage, *, fifo: bool) -> tuple[AQueue, AQueue]:
    """Two queues in different accounts, to which the same will happen but for one thing."""
    return (
        await a_queue(storage, names(fifo), fifo=fifo),
        await a_queue(storage, names(fifo), fifo=fifo, account=OTHER_ACCOUNT),
    )


async def live_through(queue: AQueue, *, fifo: bool) -> None:
    """Have messages in every state, and lanes in the middle of their turns; it takes a second."""
    plain = [] if fifo else [a_message("p1"), a_message("p2")]
    await queue.add(*plain, at=0)
    await queue.send("a-1", "b-1", "a-2", "c-1", "b-2", "d-1", "d-2", at=0)
    await queue.send("a-3", "e-1", at=10, delay_ms=5_000)
    await queue.receive(2, at=20, timeout_ms=40_000)
    await queue.receive(2, at=30, timeout_ms=0)
    returned = await queue.receive(1, at=40, timeout_ms=500)
    for claim in await queue.receive(1, at=50):
        await queue.delete(claim, at=60)
    assert returned
    await queue.send("b-3", "f-1", at=700)


async def drained(queue: AQueue, *, at: int) -> list[Claim]:
    """Receive and delete one message after the other until there is none, without sequences."""
    claims = []
    while received := await queue.receive(1, at=at):
        await queue.delete(*received, at=at)
        claims += received
    return without_sequences(claims)


def without_sequences(claims: Sequence[Claim]) -> list[Claim]:
    """Claims as they can be compared between queues."""
    return [claim._replace(sequence=0) for claim in claims]
