"""Short words for the tests of the storage contract."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from storage.contract import Storage
from storage.records import (
    Claim,
    Claimed,
    Counts,
    DeadLetter,
    MessageAttribute,
    MoveTask,
    NewMessage,
    Outcome,
    QueueKey,
    QueueRecord,
    QueueSettings,
    Receipt,
)

#: Every ``at`` in these tests counts from here, in milliseconds.
EPOCH_MS = 1_700_000_000_000

WINDOW_MS = 300_000
RETENTION_MS = QueueSettings().message_retention_period_ms


def a_message(
    body: str,
    *,
    at: int = 0,
    delay_ms: int = 0,
    group_id: str | None = None,
    deduplication_id: str | None = None,
    attributes: Mapping[str, MessageAttribute] | None = None,
    trace_header: str | None = None,
) -> NewMessage:
    """A message sent at that moment; its id is made from its body."""
    return NewMessage(
        message_id=f"id of {body}",
        body=body,
        sent_at_ms=EPOCH_MS + at,
        visible_at_ms=EPOCH_MS + at + delay_ms,
        sender_id="a sender",
        attributes=attributes,
        group_id=group_id,
        deduplication_id=deduplication_id,
        trace_header=trace_header,
    )


def a_task(task_id: str, source: "AQueue", **fields: object) -> MoveTask:
    """A running move task out of ``source``."""
    task = MoveTask(
        task_id=task_id,
        source_arn="arn:source",
        source_queue_id=source.queue_id,
        destination_arn=None,
        messages_per_second=None,
        started_at_ms=EPOCH_MS,
        to_move=0,
    )
    return replace(task, **fields)  # type: ignore[arg-type]


def bodies(messages: Sequence[Claim]) -> list[str]:
    """What was received, in order."""
    return [message.body for message in messages]


class AQueue:
    """A queue of a store, and what one does with it."""

    def __init__(self, storage: Storage, record: QueueRecord) -> None:
        self.storage = storage
        self.key = record.key
        self.queue_id = record.queue_id

    async def record(self) -> QueueRecord:
        record = await self.storage.get_queue(self.key)
        assert record is not None
        return record

    async def change(self, *, at: int, **settings: object) -> bool:
        """Replace some settings."""
        old = await self.record()
        new = replace(
            old,
            settings=replace(old.settings, **settings),  # type: ignore[arg-type]
            modified_at_ms=EPOCH_MS + at,
        )
        return await self.storage.replace_queue(old, new)

    async def add(self, *messages: NewMessage, at: int) -> list[tuple[str, bool]]:
        """Add messages; which message each one became, and whether it is a duplicate."""
        added = await self.storage.add_messages(
            [(self.queue_id, message) for message in messages],
            now_ms=EPOCH_MS + at,
            deduplication_window_ms=WINDOW_MS,
        )
        return [(answer.message_id, answer.duplicate) for answer in added]

    async def send(
        self, *texts: str, at: int, group_id: str | None = None, delay_ms: int = 0
    ) -> None:
        """Send messages of these bodies; ``g1-m1`` goes to the group ``g1`` by itself."""
        for text in texts:
            group, dash, _ = text.partition("-")
            chosen = group if dash and group_id is None else group_id
            await self.add(a_message(text, at=at, delay_ms=delay_ms, group_id=chosen), at=at)

    async def claim(
        self,
        limit: int = 10,
        *,
        at: int,
        timeout_ms: int = 30_000,
        in_flight_max: int = 120_000,
        dead_letter: DeadLetter | None = None,
        attempt_id: str | None = None,
        attempt_window_ms: int = WINDOW_MS,
    ) -> Claimed:
        return await self.storage.claim_messages(
            self.queue_id,
            limit=limit,
            now_ms=EPOCH_MS + at,
            hidden_until_ms=EPOCH_MS + at + timeout_ms,
            in_flight_max=in_flight_max,
            dead_letter=dead_letter,
            attempt_id=attempt_id,
            attempt_window_ms=attempt_window_ms,
        )

    async def receive(
        self,
        limit: int = 10,
        *,
        at: int,
        timeout_ms: int = 30_000,
        dead_letter: DeadLetter | None = None,
    ) -> list[Claim]:
        claimed = await self.claim(limit, at=at, timeout_ms=timeout_ms, dead_letter=dead_letter)
        return claimed.messages

    async def received(self, limit: int = 10, *, at: int, timeout_ms: int = 30_000) -> list[str]:
        """The bodies of what is received."""
        return bodies(await self.receive(limit, at=at, timeout_ms=timeout_ms))

    def receipt(self, claim: Claim) -> Receipt:
        return Receipt(self.queue_id, claim.sequence, claim.receive_count, claim.claimed_at_ms)

    async def delete(self, *claims: Claim, at: int) -> list[Outcome]:
        return await self.storage.delete_messages(
            [self.receipt(claim) for claim in claims], now_ms=EPOCH_MS + at
        )

    async def hide(self, *claims: Claim, at: int, for_ms: int) -> list[Outcome]:
        """Change the visibility timeout."""
        until_ms = EPOCH_MS + at + for_ms
        return await self.storage.change_visibility(
            [(self.receipt(claim), until_ms) for claim in claims], now_ms=EPOCH_MS + at
        )

    async def counts(self, *, at: int) -> Counts:
        return await self.storage.count_messages(self.queue_id, now_ms=EPOCH_MS + at)

    async def purge(self, *, at: int) -> None:
        await self.storage.purge_queue(self.queue_id, now_ms=EPOCH_MS + at)

    async def drop(self, *, at: int) -> None:
        """Delete the queue itself."""
        await self.storage.delete_queue(self.queue_id, now_ms=EPOCH_MS + at)

    def as_dead_letter_queue(self, *, max_receive_count: int = 1) -> DeadLetter:
        """The rule that sends messages here."""
        return DeadLetter(self.queue_id, max_receive_count, "arn:source")


async def a_queue(
    storage: Storage,
    name: str = "a-queue",
    *,
    at: int = 0,
    account: str = "000000000000",
    region: str = "us-east-1",
    **settings: object,
) -> AQueue:
    """A queue of that name; ``settings`` are those of ``QueueSettings``."""
    record, _ = await storage.create_queue(
        QueueKey(account, region, name),
        QueueSettings(**settings),  # type: ignore[arg-type]
        {},
        now_ms=EPOCH_MS + at,
    )
    return AQueue(storage, record)
