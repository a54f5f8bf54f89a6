"""The store in plain Python: the reference implementation of the contract, and the fastest.

How a queue is kept.  A ``_Content`` is the set of messages a queue holds; a purge gives the queue
a new one.  Every message is in ``messages`` under its sequence and is either visible or hidden,
as a flag that ``settle`` brings up to date at the start of every method.  Beside that there are
three kinds of order, all of them lazily cleaned (an entry whose message is gone, or has changed,
is dropped when somebody comes across it, or when such entries are the majority):

- ``due``: hidden messages by the moment at which they become visible or expire;
- ``by_age``: all messages by the moment at which they were enqueued, for expiry;
- lanes, the order of handing out.  ``_StandardContent`` and ``_FifoContent`` differ only here.

Lanes take turns.  A turn is a number from the counter that also gives the sequences, so a lane
that becomes ready later has a higher turn, and no two lanes have the same.
"""

from bisect import bisect_left, bisect_right, insort
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from heapq import heapify, heappop, heappush
from itertools import count, islice
from typing import Generic, NamedTuple, TypeVar

from storage.contract import EVERYBODY, ChangeListener
from storage.errors import UnknownQueue
from storage.records import (
    Added,
    Claim,
    Claimed,
    Counts,
    DeadLetter,
    Movable,
    Move,
    MoveTask,
    MoveTaskStatus,
    NewMessage,
    Outcome,
    QueueKey,
    QueueRecord,
    QueueSettings,
    Receipt,
)

#: How many messages one call shows, expires, or moves to a dead-letter queue at most.
UPKEEP_MAX = 1000

#: Move tasks remembered for each source, those that are unfinished apart.
MOVE_TASKS_KEPT = 10

#: For how long the deletion of a queue is remembered.
DELETION_REMEMBERED_MS = 60_000

_NEVER = 2**63
_NO_TURN = -1

#: Dead entries an order may hold whatever its size: small ones are not worth cleaning.
_SLACK = 64

_UNFINISHED = (MoveTaskStatus.RUNNING, MoveTaskStatus.CANCELLING)

_Entry = TypeVar("_Entry", int, tuple[int, int])


class _Ascending(Generic[_Entry]):
    """Entries in ascending order; as cheap as a deque as long as they arrive nearly in order."""

    __slots__ = ("in_order", "late")

    def __init__(self) -> None:
        self.in_order: deque[_Entry] = deque()
        #: a heap of those that arrived after a higher one
        self.late: list[_Entry] = []

    def __len__(self) -> int:
        return len(self.in_order) + len(self.late)

    def put(self, entry: _Entry) -> None:
        in_order = self.in_order
        if not in_order or entry >= in_order[-1]:
            in_order.append(entry)
        else:
            heappush(self.late, entry)

    def first(self) -> _Entry | None:
        if self.late and (not self.in_order or self.late[0] < self.in_order[0]):
            return self.late[0]
        return self.in_order[0] if self.in_order else None

    def pop(self) -> _Entry:
        if self.late and (not self.in_order or self.late[0] < self.in_order[0]):
            return heappop(self.late)
        return self.in_order.popleft()

    def refill(self, entries: Iterable[_Entry]) -> None:
        self.in_order = deque(sorted(entries))
        self.late = []


class _Message:
    """A message: what was sent, and the state that changes."""

    __slots__ = (
        "claimed_at_ms",
        "dead_letter_source_arn",
        "enqueued_at_ms",
        "first_received_at_ms",
        "hidden",
        "hidden_until_ms",
        "new",
        "receive_count",
        "sequence",
    )

    def __init__(
        self, sequence: int, new: NewMessage, enqueued_at_ms: int, hidden_until_ms: int
    ) -> None:
        self.sequence = sequence
        self.new = new
        self.enqueued_at_ms = enqueued_at_ms
        #: as of the last ``settle``; ``hidden_until_ms`` means nothing while it is False
        self.hidden = hidden_until_ms > enqueued_at_ms
        self.hidden_until_ms = hidden_until_ms
        self.receive_count = 0
        self.first_received_at_ms = 0
        self.claimed_at_ms = 0
        self.dead_letter_source_arn: str | None = None

    def claim(self) -> Claim:
        """The present hand-out of this message."""
        new = self.new
        return Claim(
            self.sequence,
            new.message_id,
            new.body,
            new.attributes,
            new.sender_id,
            new.sent_at_ms,
            self.receive_count,
            self.first_received_at_ms,
            self.claimed_at_ms,
            new.group_id,
            new.deduplication_id,
            new.trace_header,
            self.dead_letter_source_arn,
        )


class _Attempt:
    """A claim that may be repeated: its messages as (sequence, receive count, hidden until)."""

    __slots__ = ("handed_out", "until_ms")

    def __init__(self, until_ms: int, handed_out: list[tuple[int, int, int]]) -> None:
        self.until_ms = until_ms
        self.handed_out = handed_out


class _Accepted(NamedTuple):
    """A deduplication id in use: until when, and the message it stands for."""

    until_ms: int
    message_id: str
    sequence: int


class _Burial(NamedTuple):
    """Where messages go that were received often enough."""

    content: "_Content"
    max_receive_count: int
    source_arn: str


class _Lane:
    """One group of a queue, as long as it has something to hand out (standard) or holds (FIFO)."""

    __slots__ = ("group_id", "size", "turn")

    def __init__(self, group_id: str | None) -> None:
        self.group_id = group_id
        self.size = 0
        #: ``_NO_TURN`` while the lane has nothing to hand out
        self.turn = _NO_TURN


class _Content:
    """The messages of one queue; what is common to both kinds of queues."""

    fifo: bool

    def __init__(self, content_id: int, retention_ms: int, next_number: Callable[[], int]) -> None:
        self.content_id = content_id
        self.retention_ms = retention_ms
        self.next_number = next_number
        self.messages: dict[int, _Message] = {}
        self.in_flight = 0
        self.delayed = 0
        self.due: _Ascending[tuple[int, int]] = _Ascending()
        self.by_age: _Ascending[tuple[int, int]] = _Ascending()
        # Lower bounds, so that a settle with nothing to do is two comparisons.
        self.next_due_ms = _NEVER
        self.oldest_ms = _NEVER
        #: when ``sweep`` looks at this content next
        self.sweep_at_ms = _NEVER
        self.accepted: dict[tuple[str | None, str], _Accepted] = {}
        self.accepted_order: deque[tuple[int, tuple[str | None, str]]] = deque()
        self.attempts: dict[str, _Attempt] = {}
        self.attempts_order: deque[tuple[int, str]] = deque()

    # What the kinds of queues answer differently.

    def joined(self, message: _Message) -> None:
        """A message was added."""
        raise NotImplementedError

    def left(self, message: _Message) -> None:
        """A message was removed."""
        raise NotImplementedError

    def shown(self, message: _Message) -> None:
        """A hidden message has become visible."""
        raise NotImplementedError

    def hand_out(
        self, limit: int, now_ms: int, hidden_until_ms: int, burial: _Burial | None
    ) -> tuple[list[Claim], int]:
        """Claim up to ``limit`` messages; also how many were moved to the dead-letter queue."""
        raise NotImplementedError

    def movable(self, limit: int) -> list[_Message]:
        """Up to ``limit`` messages that could be received now."""
        raise NotImplementedError

    # Adding, removing, hiding, showing.

    def add(self, message: _Message) -> None:
        self.messages[message.sequence] = message
        enqueued_at_ms = message.enqueued_at_ms
        self.by_age.put((enqueued_at_ms, message.sequence))
        if enqueued_at_ms < self.oldest_ms:
            self.oldest_ms = enqueued_at_ms
        if message.hidden:
            self._hidden(message)
        self.joined(message)

    def remove(self, message: _Message) -> None:
        self._forget(message)
        self.left(message)

    def _forget(self, message: _Message) -> None:
        """Remove a message from everything but its lane."""
        messages = self.messages
        del messages[message.sequence]
        if message.hidden:
            if message.receive_count:
                self.in_flight -= 1
            else:
                self.delayed -= 1
        # Messages mostly leave in the order in which they came, so this is enough as a rule ...
        entries = self.by_age.in_order
        while entries and entries[0][1] not in messages:
            entries.popleft()
        entries = self.due.in_order
        while entries and entries[0][1] not in messages:
            entries.popleft()
        # ... and this is for when they do not.
        if len(self.by_age) > 2 * len(messages) + _SLACK:
            self.by_age.refill((m.enqueued_at_ms, m.sequence) for m in messages.values())
        if len(self.due) > 2 * (self.in_flight + self.delayed) + _SLACK:
            self.refill_due()

    def hide(self, message: _Message, until_ms: int) -> None:
        """Hide a visible message; its lane is the caller's business."""
        message.hidden = True
        message.hidden_until_ms = until_ms
        self._hidden(message)

    def _hidden(self, message: _Message) -> None:
        if message.receive_count:
            self.in_flight += 1
        else:
            self.delayed += 1
        self._fall_due(message)

    def rehide(self, message: _Message, until_ms: int) -> None:
        """Keep a hidden message hidden until another moment."""
        message.hidden_until_ms = until_ms
        self._fall_due(message)
        if len(self.due) > 2 * (self.in_flight + self.delayed) + _SLACK:
            self.refill_due()

    def _fall_due(self, message: _Message) -> None:
        due_at_ms = self.due_at(message)
        self.due.put((due_at_ms, message.sequence))
        if due_at_ms < self.next_due_ms:
            self.next_due_ms = due_at_ms

    def show(self, message: _Message) -> None:
        if message.receive_count:
            self.in_flight -= 1
        else:
            self.delayed -= 1
        message.hidden = False
        self.shown(message)

    def due_at(self, message: _Message) -> int:
        expires_at_ms = message.enqueued_at_ms + self.retention_ms
        until_ms = message.hidden_until_ms
        return until_ms if until_ms < expires_at_ms else expires_at_ms

    def refill_due(self) -> None:
        """Make ``due`` anew, without dead entries and by the present retention."""
        found = {seq for _, seq in (*self.due.in_order, *self.due.late)}
        hidden = [m for m in map(self.messages.get, found) if m is not None and m.hidden]
        self.due.refill((self.due_at(m), m.sequence) for m in hidden)
        first = self.due.first()
        self.next_due_ms = _NEVER if first is None else first[0]

    # Time.

    def expired(self, message: _Message, now_ms: int) -> bool:
        return message.enqueued_at_ms + self.retention_ms <= now_ms

    def settle(self, now_ms: int, *, limit: int = UPKEEP_MAX) -> int:
        """Show what has become visible and remove what has expired, in the order it fell due.

        First the hidden messages, in order of (due, sequence); then the visible ones that have
        expired.  Returns how many there were; with ``limit`` of them there may be more.
        """
        if self.settled(now_ms):
            return 0
        done = 0
        while (message := self._first_due()) is not None:
            self.next_due_ms = self.due_at(message)
            if self.next_due_ms > now_ms:
                break
            if done == limit:
                return done
            self.due.pop()
            if self.expired(message, now_ms):
                self.remove(message)
            else:
                self.show(message)
            done += 1
        else:
            self.next_due_ms = _NEVER
        while (first := self.by_age.first()) is not None:
            self.oldest_ms, sequence = first
            message = self.messages.get(sequence)
            if message is not None:
                if not self.expired(message, now_ms) or done == limit:
                    return done
                self.remove(message)
                done += 1
            else:
                self.by_age.pop()
        self.oldest_ms = _NEVER
        return done

    def settled(self, now_ms: int) -> bool:
        return now_ms < self.next_due_ms and now_ms < self.oldest_ms + self.retention_ms

    def earliest_due_ms(self) -> int | None:
        """The first moment at which a hidden message becomes visible or expires."""
        message = self._first_due()
        return None if message is None else self.due_at(message)

    def _first_due(self) -> _Message | None:
        """The hidden message that falls due first; drops the dead entries before it."""
        while (first := self.due.first()) is not None:
            message = self.messages.get(first[1])
            if message is not None and message.hidden and self.due_at(message) == first[0]:
                return message
            self.due.pop()
        return None

    # Handing out.

    def _hand_over(self, message: _Message, now_ms: int, hidden_until_ms: int) -> Claim:
        if not message.receive_count:
            message.first_received_at_ms = now_ms
        message.receive_count += 1
        message.claimed_at_ms = now_ms
        if hidden_until_ms > now_ms:
            self.hide(message, hidden_until_ms)
        return message.claim()

    def _bury(self, message: _Message, burial: _Burial, now_ms: int) -> None:
        """Move an exhausted message, already out of its lane, to the dead-letter queue."""
        self._forget(message)
        message.dead_letter_source_arn = burial.source_arn
        if self.fifo:
            # A new id too, so that deduplication there can never swallow it.
            message.sequence = self.next_number()
            message.enqueued_at_ms = now_ms
            message.new = message.new._replace(deduplication_id=message.new.message_id)
        burial.content.settle(now_ms)
        burial.content.add(message)

    # What is remembered for a while.

    def prune(self, now_ms: int, *, limit: int) -> int:
        """Forget up to ``limit`` deduplication ids and attempts whose window has passed."""
        removed = 0
        accepted_order, attempts_order = self.accepted_order, self.attempts_order
        while removed < limit and accepted_order and accepted_order[0][0] <= now_ms:
            until_ms, key = accepted_order.popleft()
            accepted = self.accepted.get(key)
            if accepted is not None and accepted.until_ms == until_ms:
                del self.accepted[key]
            removed += 1
        while removed < limit and attempts_order and attempts_order[0][0] <= now_ms:
            until_ms, attempt_id = attempts_order.popleft()
            attempt = self.attempts.get(attempt_id)
            if attempt is not None and attempt.until_ms == until_ms:
                del self.attempts[attempt_id]
            removed += 1
        return removed

    def next_sweep_ms(self) -> int:
        """A lower bound of when there will be something to remove."""
        return min(
            self.oldest_ms + self.retention_ms if self.messages else _NEVER,
            self.accepted_order[0][0] if self.accepted_order else _NEVER,
            self.attempts_order[0][0] if self.attempts_order else _NEVER,
        )

    def dismantle(self, *, limit: int) -> int:
        """Let go of up to ``limit`` things of a content that is in use no longer."""
        removed = 0
        while removed < limit and self.messages:
            self.messages.popitem()
            if self.by_age.in_order:
                self.by_age.in_order.pop()
            removed += 1
        while removed < limit and self.accepted:
            self.accepted.popitem()
            removed += 1
        while removed < limit and self.attempts:
            self.attempts.popitem()
            removed += 1
        return removed


class _FairLane(_Lane):
    """The visible messages of one group of a standard queue; ``size`` counts them."""

    __slots__ = ("visible",)

    def __init__(self, group_id: str | None) -> None:
        super().__init__(group_id)
        self.visible: _Ascending[int] = _Ascending()

    def take(self, messages: Mapping[int, _Message]) -> _Message:
        """Take out the oldest message; there must be one."""
        self.size -= 1
        while True:
            message = messages.get(self.visible.pop())
            if message is not None:
                return message


class _StandardContent(_Content):
    """Fair queues.  A group lane exists while it has visible messages, and always has a turn.

    A claim takes the oldest message of the lane with the lowest turn, then the lane goes to the
    back; a message that moves to the dead-letter queue instead does not use up the turn.  One that
    stays visible (``hidden_until_ms <= now_ms``) is kept out of its lane until the end of the
    call, so that no call returns it twice; then it is put back, and a lane that has become ready
    by that joins at the back, in order of hand-out.
    """

    fifo = False

    def __init__(self, content_id: int, retention_ms: int, next_number: Callable[[], int]) -> None:
        super().__init__(content_id, retention_ms, next_number)
        self.ungrouped = _FairLane(None)
        self.ungrouped.turn = 0
        self.lanes: dict[str | None, _FairLane] = {}
        self.ready: list[tuple[int, _FairLane]] = []

    def joined(self, message: _Message) -> None:
        if not message.hidden:
            self.shown(message)

    def shown(self, message: _Message) -> None:
        group_id = message.new.group_id
        if group_id is None:
            lane = self.ungrouped
        else:
            found = self.lanes.get(group_id)
            if found is None:
                found = self.lanes[group_id] = _FairLane(group_id)
                self._to_the_back(found)
            lane = found
        lane.visible.put(message.sequence)
        lane.size += 1

    def left(self, message: _Message) -> None:
        if message.hidden:
            return
        group_id = message.new.group_id
        lane = self.ungrouped if group_id is None else self.lanes[group_id]
        lane.size -= 1
        if group_id is not None and not lane.size:
            self._drop(lane)
        elif len(lane.visible) > 2 * lane.size + _SLACK:
            entries = [*lane.visible.in_order, *lane.visible.late]
            lane.visible.refill(s for s in entries if s in self.messages)

    def hand_out(
        self, limit: int, now_ms: int, hidden_until_ms: int, burial: _Burial | None
    ) -> tuple[list[Claim], int]:
        claims: list[Claim] = []
        stay_visible: list[_Message] = []
        moved = 0
        while len(claims) < limit and moved < UPKEEP_MAX:
            lane = self._next_lane()
            if lane is None:
                break
            message = lane.take(self.messages)
            if burial is not None and message.receive_count >= burial.max_receive_count:
                self._bury(message, burial, now_ms)
                moved += 1
                if lane is not self.ungrouped and not lane.size:
                    self._drop(lane)
                continue
            self._served(lane)
            claims.append(self._hand_over(message, now_ms, hidden_until_ms))
            if not message.hidden:
                stay_visible.append(message)
        for message in stay_visible:
            self.shown(message)
        return claims, moved

    def _next_lane(self) -> _FairLane | None:
        """The lane whose turn it is."""
        lane = self._next_group_lane()
        ungrouped = self.ungrouped
        if ungrouped.size and (lane is None or ungrouped.turn < lane.turn):
            return ungrouped
        return lane

    def _served(self, lane: _FairLane) -> None:
        """A lane gave a message: it goes to the back, or away if that was its last."""
        if lane is self.ungrouped:
            if self.lanes:
                self.ungrouped.turn = self.next_number()
        elif lane.size:
            heappop(self.ready)
            self._to_the_back(lane)
        else:
            self._drop(lane)

    def _next_group_lane(self) -> _FairLane | None:
        ready = self.ready
        while ready:
            turn, lane = ready[0]
            if lane.turn == turn:
                return lane
            heappop(ready)
        return None

    def _to_the_back(self, lane: _FairLane) -> None:
        lane.turn = self.next_number()
        heappush(self.ready, (lane.turn, lane))

    def _drop(self, lane: _FairLane) -> None:
        lane.turn = _NO_TURN
        del self.lanes[lane.group_id]
        if len(self.ready) > 2 * len(self.lanes) + _SLACK:
            self.ready = [(turn, lane) for turn, lane in self.ready if lane.turn == turn]
            heapify(self.ready)

    def movable(self, limit: int) -> list[_Message]:
        found = self._oldest(self.ungrouped, limit)
        looked_at: list[tuple[int, _FairLane]] = []
        while len(found) < limit and (lane := self._next_group_lane()) is not None:
            looked_at.append(heappop(self.ready))
            found += self._oldest(lane, limit - len(found))
        for entry in looked_at:
            heappush(self.ready, entry)
        return found

    def _oldest(self, lane: _FairLane, limit: int) -> list[_Message]:
        oldest = [lane.take(self.messages) for _ in range(min(limit, lane.size))]
        # All that is left is younger, so they go back in front as they are.
        lane.visible.in_order.extendleft(m.sequence for m in reversed(oldest))
        lane.size += len(oldest)
        return oldest


class _FifoLane(_Lane):
    """All messages of one group of a FIFO queue, in order; ``size`` counts them."""

    __slots__ = ("sequences",)

    def __init__(self, group_id: str | None) -> None:
        super().__init__(group_id)
        #: the first is always there, others may be gone
        self.sequences: deque[int] = deque()


class _FifoContent(_Content):
    """Groups in order.  A lane has a turn if and only if its oldest message is visible."""

    fifo = True

    def __init__(self, content_id: int, retention_ms: int, next_number: Callable[[], int]) -> None:
        super().__init__(content_id, retention_ms, next_number)
        self.lanes: dict[str | None, _FifoLane] = {}
        self.ready: list[tuple[int, _FifoLane]] = []

    def joined(self, message: _Message) -> None:
        group_id = message.new.group_id
        lane = self.lanes.get(group_id)
        if lane is None:
            lane = self.lanes[group_id] = _FifoLane(group_id)
            if not message.hidden:
                lane.turn = message.sequence
                heappush(self.ready, (message.sequence, lane))
        lane.sequences.append(message.sequence)
        lane.size += 1

    def shown(self, message: _Message) -> None:
        self.examine(message.new.group_id)

    def left(self, message: _Message) -> None:
        lane = self.lanes[message.new.group_id]
        lane.size -= 1
        self.examine(lane.group_id)

    def examine(self, group_id: str | None) -> bool:
        """Bring a lane's turn in line with its oldest message; True if it has become ready."""
        lane = self.lanes[group_id]
        messages, sequences = self.messages, lane.sequences
        if not lane.size:
            lane.turn = _NO_TURN
            del self.lanes[group_id]
        else:
            while sequences[0] not in messages:
                sequences.popleft()
            if len(sequences) > 2 * lane.size + _SLACK:
                lane.sequences = deque(s for s in sequences if s in messages)
            if messages[sequences[0]].hidden:
                lane.turn = _NO_TURN
            elif lane.turn == _NO_TURN:
                lane.turn = self.next_number()
                heappush(self.ready, (lane.turn, lane))
                return True
        if len(self.ready) > 2 * len(self.lanes) + _SLACK:
            self.ready = [(turn, lane) for turn, lane in self.ready if lane.turn == turn]
            heapify(self.ready)
        return False

    def hand_out(
        self, limit: int, now_ms: int, hidden_until_ms: int, burial: _Burial | None
    ) -> tuple[list[Claim], int]:
        claims: list[Claim] = []
        moved = 0
        ready, messages = self.ready, self.messages
        # A lane that is served and stays ready gets a higher turn, and is not served again.
        started = self.next_number()
        while ready and len(claims) < limit and moved < UPKEEP_MAX:
            turn, lane = ready[0]
            if lane.turn == turn and turn > started:
                break
            heappop(ready)
            if lane.turn != turn:
                continue
            for sequence in lane.sequences:
                message = messages.get(sequence)
                if message is None:
                    continue
                if message.hidden or len(claims) == limit or moved == UPKEEP_MAX:
                    break
                if burial is not None and message.receive_count >= burial.max_receive_count:
                    self._bury(message, burial, now_ms)
                    lane.size -= 1
                    moved += 1
                else:
                    claims.append(self._hand_over(message, now_ms, hidden_until_ms))
            lane.turn = _NO_TURN
            self.examine(lane.group_id)
            ready = self.ready
        return claims, moved

    def movable(self, limit: int) -> list[_Message]:
        found: list[_Message] = []
        looked_at: list[tuple[int, _FifoLane]] = []
        while self.ready and len(found) < limit:
            turn, lane = heappop(self.ready)
            if lane.turn != turn:
                continue
            looked_at.append((turn, lane))
            for sequence in lane.sequences:
                message = self.messages.get(sequence)
                if message is None:
                    continue
                if message.hidden or len(found) == limit:
                    break
                found.append(message)
        for entry in looked_at:
            heappush(self.ready, entry)
        return found

    def delay(self, delay_ms: int, now_ms: int) -> None:
        """Give a new delay to the messages that were never received."""
        for message in self.messages.values():
            if message.receive_count:
                continue
            until_ms = message.new.sent_at_ms + delay_ms
            if until_ms <= now_ms:
                if message.hidden:
                    self.show(message)
            elif message.hidden:
                self.rehide(message, until_ms)
            else:
                self.hide(message, until_ms)
                self.examine(message.new.group_id)


class _Queue:
    """A queue: its record and what it holds."""

    __slots__ = ("content", "record")

    def __init__(self, record: QueueRecord, content: _Content) -> None:
        self.record = record
        self.content = content


class MemoryStorage:
    """Keeps everything in this process, until it ends.  See ``storage.contract.Storage``."""

    durable = False
    description = "memory"

    def __init__(self) -> None:
        self._next_number = count(1).__next__
        self._listeners: list[ChangeListener] = []
        self._secrets: dict[str, bytes] = {}
        self._queues: dict[int, _Queue] = {}
        self._ids: dict[QueueKey, int] = {}
        self._names: dict[tuple[str, str], list[str]] = {}
        self._deleted_at_ms: dict[QueueKey, int] = {}
        self._deletions: deque[tuple[int, QueueKey]] = deque()
        self._tasks: dict[str, MoveTask] = {}
        self._tasks_by_source: dict[int, deque[str]] = {}
        self._unfinished: dict[str, None] = {}
        #: contents by the moment at which ``sweep`` will find something in them, and a number
        #: that is different for each; an entry counts if the content says the same moment
        self._upkeep: list[tuple[int, int, _Content]] = []
        #: what purges and deletions left
        self._discarded: deque[_Content] = deque()

    async def open(self) -> None:
        """There is nothing to open."""

    async def close(self) -> None:
        """There is nothing to let go of."""

    def on_change(self, listener: ChangeListener) -> None:
        self._listeners.append(listener)

    async def keep_secret(self, name: str, candidate: bytes) -> bytes:
        return self._secrets.setdefault(name, candidate)

    def _queue(self, queue_id: int) -> _Queue:
        queue = self._queues.get(queue_id)
        if queue is None:
            raise UnknownQueue(f"there is no queue {queue_id}")
        return queue

    def _changed(self, queue_id: int, receivable: int) -> None:
        for listener in self._listeners:
            listener(queue_id, receivable)

    # --- queues ---------------------------------------------------------------------------------

    async def create_queue(
        self, key: QueueKey, settings: QueueSettings, tags: Mapping[str, str], *, now_ms: int
    ) -> tuple[QueueRecord, bool]:
        existing = self._ids.get(key)
        if existing is not None:
            return self._queues[existing].record, False
        content = self._new_content(settings)
        record = QueueRecord(
            key=key,
            queue_id=self._next_number(),
            content_id=content.content_id,
            created_at_ms=now_ms,
            modified_at_ms=now_ms,
            settings=settings,
            tags=dict(tags),
            deduplicates_per_group=settings.deduplication_scope == "messageGroup",
        )
        self._queues[record.queue_id] = _Queue(record, content)
        self._ids[key] = record.queue_id
        insort(self._names.setdefault((key.account, key.region), []), key.name)
        return record, True

    def _new_content(self, settings: QueueSettings) -> _Content:
        kind = _FifoContent if settings.fifo else _StandardContent
        return kind(self._next_number(), settings.message_retention_period_ms, self._next_number)

    async def get_queue(self, key: QueueKey) -> QueueRecord | None:
        queue_id = self._ids.get(key)
        return None if queue_id is None else self._queues[queue_id].record

    async def list_queues(
        self, account: str, region: str, *, prefix: str = "", after: str = "", limit: int
    ) -> list[QueueRecord]:
        names = self._names.get((account, region), [])
        found: list[QueueRecord] = []
        start = bisect_right(names, after) if after >= prefix else bisect_left(names, prefix)
        for position in range(start, min(start + limit, len(names))):
            name = names[position]
            if not name.startswith(prefix):
                break
            found.append(self._queues[self._ids[QueueKey(account, region, name)]].record)
        return found

    async def replace_queue(self, old: QueueRecord, new: QueueRecord) -> bool:
        queue = self._queues.get(old.queue_id)
        if queue is None or queue.record != old:
            return False
        queue.record = new
        content, before, after = queue.content, old.settings, new.settings
        # What has expired by the old retention period does not come back by a longer one.
        content.settle(new.modified_at_ms, limit=_NEVER)
        retention_changed = before.message_retention_period_ms != after.message_retention_period_ms
        if retention_changed:
            content.retention_ms = after.message_retention_period_ms
            content.refill_due()
            self._plan_upkeep(content)
        if before.delay_ms != after.delay_ms and isinstance(content, _FifoContent):
            content.delay(after.delay_ms, new.modified_at_ms)
        if retention_changed or before.delay_ms != after.delay_ms:
            self._changed(new.queue_id, EVERYBODY)
        return True

    async def delete_queue(self, queue_id: int, *, now_ms: int) -> None:
        queue = self._queue(queue_id)
        key = queue.record.key
        del self._queues[queue_id], self._ids[key]
        names = self._names[key.account, key.region]
        del names[bisect_left(names, key.name)]
        if not names:
            del self._names[key.account, key.region]
        self._discard(queue.content)
        self._deleted_at_ms[key] = now_ms
        self._deletions.append((now_ms, key))
        self._forget_deletions(now_ms, limit=2)
        self._changed(queue_id, EVERYBODY)

    async def queue_deleted_at_ms(self, key: QueueKey) -> int | None:
        return self._deleted_at_ms.get(key)

    def _forget_deletions(self, now_ms: int, *, limit: int) -> int:
        forgotten = 0
        deletions = self._deletions
        while forgotten < limit and deletions:
            deleted_at_ms, key = deletions[0]
            if deleted_at_ms + DELETION_REMEMBERED_MS > now_ms:
                break
            deletions.popleft()
            if self._deleted_at_ms.get(key) == deleted_at_ms:
                del self._deleted_at_ms[key]
            forgotten += 1
        return forgotten

    async def purge_queue(self, queue_id: int, *, now_ms: int) -> None:
        queue = self._queue(queue_id)
        old, new = queue.content, self._new_content(queue.record.settings)
        queue.content = new
        queue.record = replace(queue.record, content_id=new.content_id, purged_at_ms=now_ms)
        self._discard(old)
        self._changed(queue_id, EVERYBODY)

    def _discard(self, content: _Content) -> None:
        content.sweep_at_ms = _NEVER
        if content.messages or content.accepted or content.attempts:
            self._discarded.append(content)

    # --- messages -------------------------------------------------------------------------------

    async def add_messages(
        self,
        messages: Sequence[tuple[int, NewMessage]],
        *,
        now_ms: int,
        deduplication_window_ms: int,
    ) -> list[Added]:
        queues = [self._queue(queue_id) for queue_id, _ in messages]
        results: list[Added] = []
        receivable: dict[int, int] = {}
        for queue, (queue_id, new) in zip(queues, messages, strict=True):
            content = queue.content
            if now_ms >= content.next_due_ms or now_ms >= content.oldest_ms + content.retention_ms:
                content.settle(now_ms)
            key: tuple[str | None, str] | None = None
            if content.fifo:
                if content.accepted_order and content.accepted_order[0][0] <= now_ms:
                    content.prune(now_ms, limit=2)
                if new.deduplication_id is not None:
                    per_group = queue.record.deduplicates_per_group
                    key = (new.group_id if per_group else None, new.deduplication_id)
                    accepted = content.accepted.get(key)
                    if accepted is not None and now_ms < accepted.until_ms:
                        results.append(Added(accepted.message_id, accepted.sequence, True))
                        continue
            message = _Message(self._next_number(), new, now_ms, new.visible_at_ms)
            content.add(message)
            if key is not None:
                until_ms = now_ms + deduplication_window_ms
                content.accepted[key] = _Accepted(until_ms, new.message_id, message.sequence)
                content.accepted_order.append((until_ms, key))
                if until_ms < content.sweep_at_ms:
                    self._plan_upkeep(content)
            if now_ms + content.retention_ms < content.sweep_at_ms:
                self._plan_upkeep(content)
            results.append(Added(new.message_id, message.sequence))
            receivable[queue_id] = receivable.get(queue_id, 0) + (not message.hidden)
        for queue_id, number in receivable.items():
            self._changed(queue_id, number or 1)
        return results

    async def claim_messages(
        self,
        queue_id: int,
        *,
        limit: int,
        now_ms: int,
        hidden_until_ms: int,
        in_flight_max: int,
        dead_letter: DeadLetter | None = None,
        attempt_id: str | None = None,
        attempt_window_ms: int = 0,
    ) -> Claimed:
        content = self._queue(queue_id).content
        if not content.settled(now_ms) and content.settle(now_ms) == UPKEEP_MAX:
            # Nothing may be handed out before all has been brought to this moment.
            return Claimed([], now_ms + 1, again=True)
        if not content.fifo:
            attempt_id = None
        if attempt_id is not None:
            attempt = content.attempts.get(attempt_id)
            if attempt is not None and now_ms < attempt.until_ms:
                return self._repeat(content, attempt, now_ms, hidden_until_ms)
        capacity = in_flight_max - content.in_flight
        if capacity <= 0:
            return Claimed([], content.earliest_due_ms(), over_limit=True)
        burial: _Burial | None = None
        if dead_letter is not None and dead_letter.queue_id != queue_id:
            target = self._queues.get(dead_letter.queue_id)
            if target is not None and target.content.fifo == content.fifo:
                burial = _Burial(
                    target.content, dead_letter.max_receive_count, dead_letter.source_arn
                )
        claims, moved = content.hand_out(min(limit, capacity), now_ms, hidden_until_ms, burial)
        if moved and burial is not None and dead_letter is not None:
            self._plan_upkeep(burial.content)
            self._changed(dead_letter.queue_id, moved)
        if not claims:
            return Claimed([], content.earliest_due_ms(), again=moved == UPKEEP_MAX)
        if attempt_id is not None:
            until_ms = now_ms + attempt_window_ms
            content.prune(now_ms, limit=2)
            content.attempts[attempt_id] = _Attempt(
                until_ms, [(c.sequence, c.receive_count, hidden_until_ms) for c in claims]
            )
            content.attempts_order.append((until_ms, attempt_id))
            self._plan_upkeep(content)
        return Claimed(claims)

    def _repeat(
        self, content: _Content, attempt: _Attempt, now_ms: int, hidden_until_ms: int
    ) -> Claimed:
        """Hand out the messages of an attempt again, if nothing has happened to them since."""
        messages: list[_Message] = []
        for sequence, receive_count, until_ms in attempt.handed_out:
            message = content.messages.get(sequence)
            if (
                message is None
                or not message.hidden
                or message.receive_count != receive_count
                or message.hidden_until_ms != until_ms
            ):
                return Claimed([], attempt_void=True)
            messages.append(message)
        for message in messages:
            if hidden_until_ms <= now_ms:
                content.show(message)
            else:
                content.rehide(message, hidden_until_ms)
        attempt.handed_out = [(m.sequence, m.receive_count, hidden_until_ms) for m in messages]
        return Claimed([message.claim() for message in messages])

    async def delete_messages(self, receipts: Sequence[Receipt], *, now_ms: int) -> list[Outcome]:
        if not receipts:
            return []
        queue_id = receipts[0].queue_id
        content = self._queue(queue_id).content
        content.settle(now_ms)
        outcomes: list[Outcome] = []
        unlocked = 0
        for receipt in receipts:
            message = content.messages.get(receipt.sequence)
            if message is None or content.expired(message, now_ms):
                outcomes.append(Outcome.GONE)
            elif isinstance(content, _FifoContent):
                if self._stale(message, receipt, now_ms):
                    outcomes.append(Outcome.STALE)
                    continue
                # A lane that was locked and still exists with a turn has been unlocked by this.
                content.remove(message)
                lane = content.lanes.get(message.new.group_id)
                unlocked += lane is not None and lane.turn != _NO_TURN
                outcomes.append(Outcome.DONE)
            else:
                content.remove(message)
                outcomes.append(Outcome.DONE)
        if unlocked:
            self._changed(queue_id, unlocked)
        return outcomes

    @staticmethod
    def _stale(message: _Message, receipt: Receipt, now_ms: int) -> bool:
        """FIFO: whether the receipt is of an earlier hand-out, or of one that has ended."""
        return (
            receipt.receive_count != message.receive_count
            or not message.hidden
            or message.hidden_until_ms <= now_ms
        )

    async def change_visibility(
        self, changes: Sequence[tuple[Receipt, int]], *, now_ms: int
    ) -> list[Outcome]:
        if not changes:
            return []
        queue_id = changes[0][0].queue_id
        content = self._queue(queue_id).content
        content.settle(now_ms)
        outcomes: list[Outcome] = []
        for receipt, until_ms in changes:
            message = content.messages.get(receipt.sequence)
            if message is None or content.expired(message, now_ms):
                outcomes.append(Outcome.GONE)
            elif content.fifo and self._stale(message, receipt, now_ms):
                outcomes.append(Outcome.STALE)
            elif not message.hidden or message.hidden_until_ms <= now_ms:
                outcomes.append(Outcome.VISIBLE)
            else:
                if until_ms <= now_ms:
                    content.show(message)
                else:
                    content.rehide(message, until_ms)
                outcomes.append(Outcome.DONE)
        done = outcomes.count(Outcome.DONE)
        if done:
            self._changed(queue_id, done)
        return outcomes

    async def count_messages(self, queue_id: int, *, now_ms: int) -> Counts:
        content = self._queue(queue_id).content
        content.settle(now_ms, limit=_NEVER)
        in_flight, delayed = content.in_flight, content.delayed
        return Counts(len(content.messages) - in_flight - delayed, in_flight, delayed)

    # --- message move tasks ---------------------------------------------------------------------

    async def create_move_task(self, task: MoveTask) -> bool:
        own = self._tasks_by_source.setdefault(task.source_queue_id, deque())
        if own and own[-1] in self._unfinished:
            return False
        self._tasks[task.task_id] = task
        if task.status in _UNFINISHED:
            self._unfinished[task.task_id] = None
        own.append(task.task_id)
        if len(own) > MOVE_TASKS_KEPT:
            del self._tasks[own.popleft()]
        return True

    async def list_move_tasks(self, source_queue_id: int, *, limit: int) -> list[MoveTask]:
        own = self._tasks_by_source.get(source_queue_id, ())
        return [self._tasks[task_id] for task_id in islice(reversed(own), limit)]

    async def get_move_task(self, task_id: str) -> MoveTask | None:
        return self._tasks.get(task_id)

    async def unfinished_move_tasks(self) -> list[MoveTask]:
        return [self._tasks[task_id] for task_id in self._unfinished]

    async def set_move_task_status(
        self, task_id: str, status: MoveTaskStatus, *, failure_reason: str | None = None
    ) -> MoveTask | None:
        if task_id not in self._unfinished:
            return None
        task = replace(self._tasks[task_id], status=status, failure_reason=failure_reason)
        self._tasks[task_id] = task
        if status not in _UNFINISHED:
            del self._unfinished[task_id]
        return task

    async def peek_movable(self, queue_id: int, *, limit: int, now_ms: int) -> list[Movable]:
        content = self._queue(queue_id).content
        content.settle(now_ms, limit=_NEVER)
        return [Movable(m.sequence, m.dead_letter_source_arn) for m in content.movable(limit)]

    async def move_messages(self, task_id: str, moves: Sequence[Move], *, now_ms: int) -> int:
        task = self._tasks.get(task_id)
        if task is None or task.status is not MoveTaskStatus.RUNNING:
            return 0
        source = self._queue(task.source_queue_id).content
        targets = [self._queue(move.destination_queue_id).content for move in moves]
        source.settle(now_ms, limit=_NEVER)
        arrived: dict[int, int] = {}
        for move, target in zip(moves, targets, strict=True):
            message = source.messages.get(move.sequence)
            if message is None or message.hidden:
                continue
            target.settle(now_ms)
            source.remove(message)
            new = message.new._replace(message_id=move.message_id, sent_at_ms=now_ms)
            target.add(_Message(self._next_number(), new, now_ms, now_ms))
            self._plan_upkeep(target)
            queue_id = move.destination_queue_id
            arrived[queue_id] = arrived.get(queue_id, 0) + 1
        moved = sum(arrived.values())
        self._tasks[task_id] = replace(task, moved=task.moved + moved)
        for queue_id, number in arrived.items():
            self._changed(queue_id, number)
        return moved

    # --- upkeep ---------------------------------------------------------------------------------

    async def sweep(self, *, now_ms: int, limit: int) -> int | None:
        self._forget_deletions(now_ms, limit=limit)
        upkeep = self._upkeep
        due: list[_Content] = []
        while upkeep and upkeep[0][0] <= now_ms:
            at_ms, _, content = heappop(upkeep)
            if content.sweep_at_ms == at_ms:
                content.sweep_at_ms = _NEVER
                due.append(content)
        for content in due:
            content.settle(now_ms, limit=limit)
            content.prune(now_ms, limit=limit)
            self._plan_upkeep(content)
        if self._discarded and self._discarded[0].dismantle(limit=limit) < limit:
            self._discarded.popleft()
        if self._discarded:
            return now_ms
        while upkeep and upkeep[0][2].sweep_at_ms != upkeep[0][0]:
            heappop(upkeep)
        return max(upkeep[0][0], now_ms) if upkeep else None

    def _plan_upkeep(self, content: _Content) -> None:
        """See to it that ``sweep`` looks at this content in time."""
        at_ms = content.next_sweep_ms()
        if at_ms >= content.sweep_at_ms:
            return
        content.sweep_at_ms = at_ms
        heappush(self._upkeep, (at_ms, self._next_number(), content))
        if len(self._upkeep) > 2 * len(self._queues) + _SLACK:
            self._upkeep = [entry for entry in self._upkeep if entry[2].sweep_at_ms == entry[0]]
            heapify(self._upkeep)
