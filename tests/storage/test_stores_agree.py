"""Random calls, the same to every store: all of them give the answers of the reference.

Ids and sequences differ from store to store, so what one store gave is only ever handed back to
that store, and sequences are compared through a one-to-one mapping that grows with the answers.
"""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from storage.contract import Storage
from storage.memory import MemoryStorage
from storage.records import (
    Claim,
    Claimed,
    DeadLetter,
    Move,
    MoveTask,
    MoveTaskStatus,
    Outcome,
    QueueKey,
    QueueRecord,
    QueueSettings,
    Receipt,
)
from tests.storage.builders import EPOCH_MS, a_message
from tests.storage.conftest import STORES

OTHERS = sorted(set(STORES) - {"memory"})

WINDOW_MS = 20_000
#: Claims that are remembered, to be deleted or changed later.
CLAIMS_KEPT = 12

queues = st.sampled_from(("source", "source", "dead"))
durations = st.sampled_from((0, 0, 1_000, 1_000, 5_000, 30_000, 90_000))
seldom = st.sampled_from((False, False, False, False, True))


_Answer = TypeVar("_Answer")


class StoresAgree(RuleBasedStateMachine):
    """The reference and another store, treated alike."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.folder = TemporaryDirectory()
        self.stores: list[Storage] = [
            MemoryStorage(),
            *(STORES[name](Path(self.folder.name)) for name in OTHERS),
        ]
        self.now_ms = EPOCH_MS
        self.sent = 0
        self.records: dict[str, list[QueueRecord]] = {}
        self.claims: list[tuple[str, list[int], list[Claim]]] = []
        #: for each other store, its sequence of a sequence of the reference, and back
        self.theirs: list[dict[int, int]] = [{} for _ in OTHERS]
        self.ours: list[dict[int, int]] = [{} for _ in OTHERS]
        #: until when a message is hidden for certain, by queue and message id
        self.hidden_until_ms: dict[tuple[str, str], int] = {}
        self.last_first_delivery: dict[tuple[str, str | None], int] = {}
        for store in self.stores:
            self.runner.run(store.open())
        self.fifo = False

    @initialize(fifo=st.booleans())
    def start(self, fifo: bool) -> None:
        """A queue and its dead-letter queue, of one kind: the fewer, the more happens in each."""
        self.fifo = fifo
        self.create_missing()

    def teardown(self) -> None:
        try:
            if sys.exc_info()[0] is None:  # otherwise a step has failed, and that is the news
                for name in list(self.records):
                    self.drain(name)
        finally:
            for store in self.stores:
                self.runner.run(store.close())
            self.runner.close()
            self.folder.cleanup()

    # Asking every store.

    def ask(self, call: Callable[[int, Storage], Awaitable[_Answer]]) -> list[_Answer]:
        """What each store answers; ``call`` gets its number and the store."""

        async def answer(number: int) -> _Answer:
            return await call(number, self.stores[number])

        return [self.runner.run(answer(number)) for number in range(len(self.stores))]

    def agree(self, call: Callable[[int, Storage], Awaitable[_Answer]]) -> _Answer:
        """The answer of every store, which must be the same."""
        answers = self.ask(call)
        assert all(answer == answers[0] for answer in answers), answers
        return answers[0]

    def pair(self, sequences: Sequence[int]) -> None:
        """Each store's sequence of one message: the same message as ever."""
        reference, *others = sequences
        for sequence, theirs, ours in zip(others, self.theirs, self.ours, strict=True):
            assert theirs.setdefault(reference, sequence) == sequence
            assert ours.setdefault(sequence, reference) == reference

    def queue_id(self, name: str, number: int) -> int:
        return self.records[name][number].queue_id

    # Queues.

    def create_missing(self) -> None:
        settings = QueueSettings(fifo=self.fifo, message_retention_period_ms=60_000)
        for name in ("source", "dead"):
            key = QueueKey("000000000000", "us-east-1", name)
            answers = self.create(key, settings)
            assert {created for _, created in answers} == {name not in self.records}
            self.records[name] = [record for record, _ in answers]

    def create(self, key: QueueKey, settings: QueueSettings) -> list[tuple[QueueRecord, bool]]:
        return self.ask(lambda _, store: store.create_queue(key, settings, {}, now_ms=self.now_ms))

    @rule(
        name=queues,
        retention_ms=st.sampled_from((None, 30_000, 60_000, 120_000)),
        delay_ms=st.sampled_from((0, 1_000, 10_000)),
    )
    def replace_queue(self, name: str, retention_ms: int | None, delay_ms: int) -> None:
        if name not in self.records:
            return
        new = []
        for old in self.records[name]:
            changed = replace(old.settings, delay_ms=delay_ms)
            if retention_ms is not None:
                changed = replace(changed, message_retention_period_ms=retention_ms)
            new.append(replace(old, settings=changed, modified_at_ms=self.now_ms))
        assert self.agree(
            lambda number, store: store.replace_queue(self.records[name][number], new[number])
        )
        self.records[name] = new

    @rule(name=queues, sure=seldom)
    def purge(self, name: str, sure: bool) -> None:
        if not sure or name not in self.records:
            return
        self.ask(
            lambda number, store: store.purge_queue(self.queue_id(name, number), now_ms=self.now_ms)
        )
        found = self.ask(lambda number, store: store.get_queue(self.records[name][number].key))
        self.records[name] = [record for record in found if record is not None]
        self.forget(name)

    @rule(name=queues, sure=seldom)
    def delete_queue(self, name: str, sure: bool) -> None:
        if not sure or name not in self.records:
            return
        self.ask(
            lambda number, store: store.delete_queue(
                self.queue_id(name, number), now_ms=self.now_ms
            )
        )
        del self.records[name]
        self.forget(name)
        self.claims = [claim for claim in self.claims if claim[0] != name]

    def forget(self, name: str) -> None:
        """The messages of that queue are gone."""
        self.hidden_until_ms = {
            key: until for key, until in self.hidden_until_ms.items() if key[0] != name
        }

    # Messages.

    @rule(
        name=queues,
        groups=st.lists(st.sampled_from((None, "a", "b", "c")), min_size=1, max_size=4),
        deduplication_id=st.sampled_from((None, None, None, "x", "y")),
        delay_ms=st.sampled_from((0, 0, 0, 1_000, 10_000)),
    )
    def add(
        self,
        name: str,
        groups: list[str | None],
        deduplication_id: str | None,
        delay_ms: int,
    ) -> None:
        if name not in self.records:
            return
        messages = []
        for group_id in groups:
            self.sent += 1
            message = a_message(
                f"m{self.sent}",
                at=self.now_ms - EPOCH_MS,
                delay_ms=delay_ms,
                group_id=(group_id or "a") if self.fifo else group_id,
                deduplication_id=deduplication_id,
            )
            messages.append(message)
        answers = self.ask(
            lambda number, store: store.add_messages(
                [(self.queue_id(name, number), message) for message in messages],
                now_ms=self.now_ms,
                deduplication_window_ms=WINDOW_MS,
            )
        )
        for added in zip(*answers, strict=True):
            assert len({(each.message_id, each.duplicate) for each in added}) == 1
            self.pair([each.sequence for each in added])

    @rule(
        name=queues,
        limit=st.integers(1, 5),
        timeout_ms=durations,
        in_flight_max=st.sampled_from((3, 100, 100, 100)),
        max_receive_count=st.sampled_from((None, 1, 1, 2)),
        attempt_id=st.sampled_from((None, None, "x", "y")),
    )
    def claim(
        self,
        name: str,
        limit: int,
        timeout_ms: int,
        in_flight_max: int,
        max_receive_count: int | None,
        attempt_id: str | None,
    ) -> None:
        if name not in self.records:
            return

        def burial(number: int) -> DeadLetter | None:
            if max_receive_count is None or name == "dead" or "dead" not in self.records:
                return None
            return DeadLetter(self.queue_id("dead", number), max_receive_count, "arn")

        answers = self.ask(
            lambda number, store: store.claim_messages(
                self.queue_id(name, number),
                limit=limit,
                now_ms=self.now_ms,
                hidden_until_ms=self.now_ms + timeout_ms,
                in_flight_max=in_flight_max,
                dead_letter=burial(number),
                attempt_id=attempt_id,
                attempt_window_ms=WINDOW_MS,
            )
        )
        self.compare_claims(answers)
        for claims in zip(*(answer.messages for answer in answers), strict=True):
            claim = claims[0]
            key = (name, claim.message_id)
            if attempt_id is None:
                assert self.hidden_until_ms.get(key, 0) <= self.now_ms, "handed out twice"
            self.hidden_until_ms[key] = self.now_ms + timeout_ms
            if self.fifo and claim.receive_count == 1 and attempt_id is None:
                group = (name, claim.group_id)
                assert self.last_first_delivery.get(group, 0) < claim.sequence, "out of order"
                self.last_first_delivery[group] = claim.sequence
            queue_ids = [record.queue_id for record in self.records[name]]
            self.claims.append((name, queue_ids, list(claims)))
        del self.claims[:-CLAIMS_KEPT]

    @rule(
        name=queues,
        groups=st.lists(st.sampled_from((None, "a", "b")), min_size=1, max_size=4),
        limits=st.lists(st.integers(1, 3), min_size=1, max_size=3),
        timeout_ms=durations,
        max_receive_count=st.sampled_from((None, 1, 2)),
    )
    def add_and_claim(
        self,
        name: str,
        groups: list[str | None],
        limits: list[int],
        timeout_ms: int,
        max_receive_count: int | None,
    ) -> None:
        """The usual traffic, so that every run has some."""
        self.add(name, groups, None, 0)
        for limit in limits:
            self.claim(name, limit, timeout_ms, 100, max_receive_count, None)

    def compare_claims(self, answers: list[Claimed]) -> None:
        reference, *others = answers
        for other in others:
            assert other[2:] == reference[2:]
            expected = [claim._replace(sequence=0) for claim in reference.messages]
            assert [claim._replace(sequence=0) for claim in other.messages] == expected
            if not expected and not reference.attempt_void:
                self.compare_due(reference.next_due_at_ms, other.next_due_at_ms)
        for claims in zip(*(answer.messages for answer in answers), strict=True):
            self.pair([claim.sequence for claim in claims])

    def compare_due(self, exact_ms: int | None, bound_ms: int | None) -> None:
        """The reference is exact; other stores may be early, but never late, never now."""
        assert exact_ms is None or exact_ms > self.now_ms
        assert bound_ms is None or bound_ms > self.now_ms
        if exact_ms is not None:
            assert bound_ms is not None
            assert bound_ms <= exact_ms

    def receipts(self, chosen: int, number: int) -> Receipt:
        _, queue_ids, claims = self.claims[chosen % len(self.claims)]
        claim = claims[number]
        return Receipt(queue_ids[number], claim.sequence, claim.receive_count, claim.claimed_at_ms)

    @precondition(lambda self: self.claims)
    @rule(chosen=st.integers(0, CLAIMS_KEPT))
    def delete(self, chosen: int) -> None:
        name, _, claims = self.claims[chosen % len(self.claims)]
        [outcome] = self.agree(
            lambda number, store: store.delete_messages(
                [self.receipts(chosen, number)], now_ms=self.now_ms
            )
        )
        if outcome is not Outcome.STALE:
            self.hidden_until_ms.pop((name, claims[0].message_id), None)

    @precondition(lambda self: self.claims)
    @rule(chosen=st.integers(0, CLAIMS_KEPT), timeout_ms=durations)
    def change_visibility(self, chosen: int, timeout_ms: int) -> None:
        name, _, claims = self.claims[chosen % len(self.claims)]
        until_ms = self.now_ms + timeout_ms
        [outcome] = self.agree(
            lambda number, store: store.change_visibility(
                [(self.receipts(chosen, number), until_ms)], now_ms=self.now_ms
            )
        )
        if outcome is Outcome.DONE:
            self.hidden_until_ms[name, claims[0].message_id] = until_ms

    @rule(name=queues)
    def count(self, name: str) -> None:
        """Counts add up: what is visible in a standard queue is just what could be moved."""
        if name not in self.records:
            return
        counts = self.agree(
            lambda number, store: store.count_messages(
                self.queue_id(name, number), now_ms=self.now_ms
            )
        )
        movable = len(self.movable(name, 10_000)[0])
        assert min(counts) >= 0
        assert movable <= counts.visible
        if not self.fifo:
            assert movable == counts.visible

    @rule(name=queues, limit=st.integers(1, 5))
    def peek(self, name: str, limit: int) -> None:
        self.movable(name, limit)

    def movable(self, name: str, limit: int) -> list[list[int]]:
        """The sequences each store would move."""
        if name not in self.records:
            return [[] for _ in self.stores]
        answers = self.ask(
            lambda number, store: store.peek_movable(
                self.queue_id(name, number), limit=limit, now_ms=self.now_ms
            )
        )
        for found in zip(*answers, strict=True):
            assert len({each.dead_letter_source_arn for each in found}) == 1
            self.pair([each.sequence for each in found])
        return [[each.sequence for each in answer] for answer in answers]

    @rule(
        limit=st.integers(1, 5),
        wait_ms=st.sampled_from((0, 0, 1_000)),
    )
    def move(self, limit: int, wait_ms: int) -> None:
        """Move dead letters back, perhaps some time after looking for them."""
        if len(self.records) < 2:
            return
        sequences = self.movable("dead", limit)
        self.now_ms += wait_ms
        self.sent += 1
        task_id = f"task {self.sent}"

        async def move(number: int, store: Storage) -> tuple[bool, int, int | None]:
            source_id = self.queue_id("dead", number)
            task = MoveTask(task_id, "arn", source_id, None, None, self.now_ms, limit)
            created = await store.create_move_task(task)
            moves = [
                Move(sequence, self.queue_id("source", number), f"{task_id}.{position}")
                for position, sequence in enumerate(sequences[number])
            ]
            moved = await store.move_messages(task_id, moves, now_ms=self.now_ms)
            done = await store.set_move_task_status(task_id, MoveTaskStatus.COMPLETED)
            return created, moved, None if done is None else done.moved

        created, moved, counted = self.agree(move)
        assert created
        assert moved == counted

    # Time.

    @rule(by_ms=st.sampled_from((1, 500, 500, 1_000, 1_000, 5_000, 30_000)))
    def advance(self, by_ms: int) -> None:
        """Time passes, and a queue that was deleted may be created again."""
        self.now_ms += by_ms
        self.create_missing()

    @rule()
    def sweep(self) -> None:
        for next_ms in self.ask(lambda _, store: store.sweep(now_ms=self.now_ms, limit=10_000)):
            assert next_ms is None or next_ms >= self.now_ms

    def drain(self, name: str) -> None:
        """Receive all there is, to see that it is the same and in the same order."""
        for _ in range(100):
            answers = self.ask(
                lambda number, store: store.claim_messages(
                    self.queue_id(name, number),
                    limit=10,
                    now_ms=self.now_ms,
                    hidden_until_ms=self.now_ms + 1_000_000,
                    in_flight_max=10_000,
                )
            )
            self.compare_claims(answers)
            if not answers[0].messages:
                break
        self.count(name)


StoresAgree.TestCase.settings = settings(
    max_examples=200,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)


@pytest.mark.skipif(not OTHERS, reason="there is no store to compare with the reference")
class TestStoresAgree(StoresAgree.TestCase):  # type: ignore[misc,valid-type]
    """Runs the state machine."""
