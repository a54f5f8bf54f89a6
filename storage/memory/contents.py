"""What a queue of the memory store holds: messages, the orders they are in, and their lanes.

A ``Content`` is the set of messages a queue holds; a purge gives the queue a new one.  Every
message is in ``messages`` under its sequence and is either visible or hidden, as a flag that
``settle`` brings up to date at the start of every method.  Beside that there are three kinds of
order, all of them lazily cleaned (an entry whose message is gone, or has changed, is dropped when
somebody comes across it, or when such entries are the majority):

- ``due``: hidden messages by the moment at which they become visible or expire;
- ``by_age``: all messages by the moment at which they were enqueued, for expiry;
- lanes, the order of handing out.  ``StandardContent`` and ``FifoContent`` differ only here.

Copies, for checkpoints, are made by the hundred thousand, so ``copy`` goes without ``__init__``.

Lanes take turns.  A turn is a number from the counter that also gives the sequences, so a lane
that becomes ready later has a higher turn, and no two lanes have the same.
"""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Mapping
from heapq import heapify, heappop, heappush
from itertools import islice
from typing import Generic, NamedTuple, Self, TypeVar

from storage.records import Claim, NewMessage

#: How many messages one call shows, expires, or moves to a dead-letter queue at most.
UPKEEP_MAX = 1000

NEVER = 2**63
NO_TURN = -1

#: How many messages and lanes are copied in one step.
COPY_STEP = 250

#: Dead entries an order may hold whatever its size: small ones are not worth cleaning.
SLACK = 64

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

    def copy(self) -> "_Ascending[_Entry]":
        copy: _Ascending[_Entry] = _Ascending.__new__(_Ascending)
        copy.in_order, copy.late = self.in_order.copy(), self.late.copy()
        return copy


class Message:
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

    def copy(self) -> "Message":
        copy = Message.__new__(Message)
        copy.sequence = self.sequence
        copy.new = self.new
        copy.enqueued_at_ms = self.enqueued_at_ms
        copy.hidden = self.hidden
        copy.hidden_until_ms = self.hidden_until_ms
        copy.receive_count = self.receive_count
        copy.first_received_at_ms = self.first_received_at_ms
        copy.claimed_at_ms = self.claimed_at_ms
        copy.dead_letter_source_arn = self.dead_letter_source_arn
        return copy

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


class Attempt:
    """A claim that may be repeated: its messages as (sequence, receive count, hidden until)."""

    __slots__ = ("handed_out", "until_ms")

    def __init__(self, until_ms: int, handed_out: list[tuple[int, int, int]]) -> None:
        self.until_ms = until_ms
        self.handed_out = handed_out

    def copy(self) -> "Attempt":
        return Attempt(self.until_ms, self.handed_out)


class Accepted(NamedTuple):
    """A deduplication id in use: until when, and the message it stands for."""

    until_ms: int
    message_id: str
    sequence: int


class Burial(NamedTuple):
    """Where messages go that were received often enough."""

    content: "Content"
    max_receive_count: int
    source_arn: str


class _Lane:
    """One group of a queue, as long as it has something to hand out (standard) or holds (FIFO)."""

    __slots__ = ("group_id", "size", "turn")

    def __init__(self, group_id: str | None) -> None:
        self.group_id = group_id
        self.size = 0
        #: ``NO_TURN`` while the lane has nothing to hand out
        self.turn = NO_TURN


class Content:
    """The messages of one queue; what is common to both kinds of queues."""

    fifo: bool

    def __init__(self, content_id: int, retention_ms: int, next_number: Callable[[], int]) -> None:
        self.content_id = content_id
        self.retention_ms = retention_ms
        self.next_number = next_number
        self.messages: dict[int, Message] = {}
        self.in_flight = 0
        self.delayed = 0
        self.due: _Ascending[tuple[int, int]] = _Ascending()
        self.by_age: _Ascending[tuple[int, int]] = _Ascending()
        # Lower bounds, so that a settle with nothing to do is two comparisons.
        self.next_due_ms = NEVER
        self.oldest_ms = NEVER
        #: when ``sweep`` looks at this content next
        self.sweep_at_ms = NEVER
        self.accepted: dict[tuple[str | None, str], Accepted] = {}
        self.accepted_order: deque[tuple[int, tuple[str | None, str]]] = deque()
        self.attempts: dict[str, Attempt] = {}
        self.attempts_order: deque[tuple[int, str]] = deque()

    # What the kinds of queues answer differently.

    def joined(self, message: Message) -> None:
        """A message was added."""
        raise NotImplementedError

    def left(self, message: Message) -> None:
        """A message was removed."""
        raise NotImplementedError

    def shown(self, message: Message) -> None:
        """A hidden message has become visible."""
        raise NotImplementedError

    def hand_out(
        self, limit: int, now_ms: int, hidden_until_ms: int, burial: Burial | None
    ) -> tuple[list[Claim], list[str]]:
        """Claim up to ``limit`` messages; also the ids of those moved to the dead-letter queue."""
        raise NotImplementedError

    def movable(self, limit: int) -> list[Message]:
        """Up to ``limit`` messages that could be received now."""
        raise NotImplementedError

    def _copy_lanes(self, copy: Self) -> Generator[None, None, None]:
        """Give the lanes to a copy that has everything else."""
        raise NotImplementedError

    # Copying.

    def copying(self) -> Generator[None, None, Self]:
        """Make an equal, independent content, ``COPY_STEP`` messages or lanes a step.

        Until that is done, nobody may change this one.
        """
        copy = type(self)(self.content_id, self.retention_ms, self.next_number)
        rest = iter(self.messages.values())
        while part := {message.sequence: message.copy() for message in islice(rest, COPY_STEP)}:
            copy.messages |= part
            yield
        copy.in_flight, copy.delayed = self.in_flight, self.delayed
        copy.due, copy.by_age = self.due.copy(), self.by_age.copy()
        copy.next_due_ms, copy.oldest_ms = self.next_due_ms, self.oldest_ms
        copy.accepted, copy.accepted_order = self.accepted.copy(), self.accepted_order.copy()
        copy.attempts = {each: attempt.copy() for each, attempt in self.attempts.items()}
        copy.attempts_order = self.attempts_order.copy()
        yield from self._copy_lanes(copy)
        return copy

    # Adding, removing, hiding, showing.

    def add(self, message: Message) -> None:
        self.messages[message.sequence] = message
        enqueued_at_ms = message.enqueued_at_ms
        self.by_age.put((enqueued_at_ms, message.sequence))
        if enqueued_at_ms < self.oldest_ms:
            self.oldest_ms = enqueued_at_ms
        if message.hidden:
            self._hidden(message)
        self.joined(message)

    def remove(self, message: Message) -> None:
        self._forget(message)
        self.left(message)

    def _forget(self, message: Message) -> None:
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
        if len(self.by_age) > 2 * len(messages) + SLACK:
            self.by_age.refill((m.enqueued_at_ms, m.sequence) for m in messages.values())
        if len(self.due) > 2 * (self.in_flight + self.delayed) + SLACK:
            self.refill_due()

    def hide(self, message: Message, until_ms: int) -> None:
        """Hide a visible message; its lane is the caller's business."""
        message.hidden = True
        message.hidden_until_ms = until_ms
        self._hidden(message)

    def _hidden(self, message: Message) -> None:
        if message.receive_count:
            self.in_flight += 1
        else:
            self.delayed += 1
        self._fall_due(message)

    def rehide(self, message: Message, until_ms: int) -> None:
        """Keep a hidden message hidden until another moment."""
        message.hidden_until_ms = until_ms
        self._fall_due(message)
        if len(self.due) > 2 * (self.in_flight + self.delayed) + SLACK:
            self.refill_due()

    def _fall_due(self, message: Message) -> None:
        due_at_ms = self.due_at(message)
        self.due.put((due_at_ms, message.sequence))
        if due_at_ms < self.next_due_ms:
            self.next_due_ms = due_at_ms

    def show(self, message: Message) -> None:
        if message.receive_count:
            self.in_flight -= 1
        else:
            self.delayed -= 1
        message.hidden = False
        self.shown(message)

    def due_at(self, message: Message) -> int:
        expires_at_ms = message.enqueued_at_ms + self.retention_ms
        until_ms = message.hidden_until_ms
        return until_ms if until_ms < expires_at_ms else expires_at_ms

    def refill_due(self) -> None:
        """Make ``due`` anew, without dead entries and by the present retention."""
        found = {seq for _, seq in (*self.due.in_order, *self.due.late)}
        hidden = [m for m in map(self.messages.get, found) if m is not None and m.hidden]
        self.due.refill((self.due_at(m), m.sequence) for m in hidden)
        first = self.due.first()
        self.next_due_ms = NEVER if first is None else first[0]

    # Time.

    def expired(self, message: Message, now_ms: int) -> bool:
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
            self.next_due_ms = NEVER
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
        self.oldest_ms = NEVER
        return done

    def settled(self, now_ms: int) -> bool:
        return now_ms < self.next_due_ms and now_ms < self.oldest_ms + self.retention_ms

    def earliest_due_ms(self) -> int | None:
        """The first moment at which a hidden message becomes visible or expires."""
        message = self._first_due()
        return None if message is None else self.due_at(message)

    def oldest_enqueued_at_ms(self) -> int | None:
        """When the oldest message was enqueued; drops the dead entries before it."""
        while (first := self.by_age.first()) is not None:
            if first[1] in self.messages:
                return first[0]
            self.by_age.pop()
        return None

    def _first_due(self) -> Message | None:
        """The hidden message that falls due first; drops the dead entries before it."""
        while (first := self.due.first()) is not None:
            message = self.messages.get(first[1])
            if message is not None and message.hidden and self.due_at(message) == first[0]:
                return message
            self.due.pop()
        return None

    # Handing out.

    def _hand_over(self, message: Message, now_ms: int, hidden_until_ms: int) -> Claim:
        if not message.receive_count:
            message.first_received_at_ms = now_ms
        message.receive_count += 1
        message.claimed_at_ms = now_ms
        if hidden_until_ms > now_ms:
            self.hide(message, hidden_until_ms)
        return message.claim()

    def _bury(self, message: Message, burial: Burial, now_ms: int) -> None:
        """Move an exhausted message, already out of its lane, to the dead-letter queue."""
        burial.content.settle(now_ms)  # before its number is drawn: it joins behind what was due
        self._forget(message)
        message.dead_letter_source_arn = burial.source_arn
        if self.fifo:
            # A new id too, so that deduplication there can never swallow it.
            message.sequence = self.next_number()
            message.enqueued_at_ms = now_ms
            message.new = message.new._replace(deduplication_id=message.new.message_id)
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
            self.oldest_ms + self.retention_ms if self.messages else NEVER,
            self.accepted_order[0][0] if self.accepted_order else NEVER,
            self.attempts_order[0][0] if self.attempts_order else NEVER,
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

    def take(self, messages: Mapping[int, Message]) -> Message:
        """Take out the oldest message; there must be one."""
        self.size -= 1
        while True:
            message = messages.get(self.visible.pop())
            if message is not None:
                return message

    def copy(self) -> "_FairLane":
        copy = _FairLane.__new__(_FairLane)
        copy.group_id, copy.size, copy.turn = self.group_id, self.size, self.turn
        copy.visible = self.visible.copy()
        return copy


class StandardContent(Content):
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

    def _copy_lanes(self, copy: Self) -> Generator[None, None, None]:
        copy.ungrouped = self.ungrouped.copy()
        rest = iter(self.lanes.items())
        while part := {group_id: lane.copy() for group_id, lane in islice(rest, COPY_STEP)}:
            copy.lanes |= part
            copy.ready += [(lane.turn, lane) for lane in part.values()]
            yield
        heapify(copy.ready)

    def joined(self, message: Message) -> None:
        if not message.hidden:
            self.shown(message)

    def shown(self, message: Message) -> None:
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

    def left(self, message: Message) -> None:
        if message.hidden:
            return
        group_id = message.new.group_id
        lane = self.ungrouped if group_id is None else self.lanes[group_id]
        lane.size -= 1
        if group_id is not None and not lane.size:
            self._drop(lane)
        elif len(lane.visible) > 2 * lane.size + SLACK:
            entries = [*lane.visible.in_order, *lane.visible.late]
            lane.visible.refill(s for s in entries if s in self.messages)

    def hand_out(
        self, limit: int, now_ms: int, hidden_until_ms: int, burial: Burial | None
    ) -> tuple[list[Claim], list[str]]:
        claims: list[Claim] = []
        stay_visible: list[Message] = []
        moved: list[str] = []
        while len(claims) < limit and len(moved) < UPKEEP_MAX:
            lane = self._next_lane()
            if lane is None:
                break
            message = lane.take(self.messages)
            if burial is not None and message.receive_count >= burial.max_receive_count:
                self._bury(message, burial, now_ms)
                moved.append(message.new.message_id)
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
        lane.turn = NO_TURN
        del self.lanes[lane.group_id]
        if len(self.ready) > 2 * len(self.lanes) + SLACK:
            self.ready = [(turn, lane) for turn, lane in self.ready if lane.turn == turn]
            heapify(self.ready)

    def movable(self, limit: int) -> list[Message]:
        found = self._oldest(self.ungrouped, limit)
        looked_at: list[tuple[int, _FairLane]] = []
        while len(found) < limit and (lane := self._next_group_lane()) is not None:
            looked_at.append(heappop(self.ready))
            found += self._oldest(lane, limit - len(found))
        for entry in looked_at:
            heappush(self.ready, entry)
        return found

    def _oldest(self, lane: _FairLane, limit: int) -> list[Message]:
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

    def copy(self) -> "_FifoLane":
        copy = _FifoLane.__new__(_FifoLane)
        copy.group_id, copy.size, copy.turn = self.group_id, self.size, self.turn
        copy.sequences = self.sequences.copy()
        return copy


class FifoContent(Content):
    """Groups in order.  A lane has a turn if and only if its oldest message is visible."""

    fifo = True

    def __init__(self, content_id: int, retention_ms: int, next_number: Callable[[], int]) -> None:
        super().__init__(content_id, retention_ms, next_number)
        self.lanes: dict[str | None, _FifoLane] = {}
        self.ready: list[tuple[int, _FifoLane]] = []

    def _copy_lanes(self, copy: Self) -> Generator[None, None, None]:
        rest = iter(self.lanes.items())
        while part := {group_id: lane.copy() for group_id, lane in islice(rest, COPY_STEP)}:
            copy.lanes |= part
            copy.ready += [(lane.turn, lane) for lane in part.values() if lane.turn != NO_TURN]
            yield
        heapify(copy.ready)

    def joined(self, message: Message) -> None:
        group_id = message.new.group_id
        lane = self.lanes.get(group_id)
        if lane is None:
            lane = self.lanes[group_id] = _FifoLane(group_id)
            if not message.hidden:
                lane.turn = message.sequence
                heappush(self.ready, (message.sequence, lane))
        lane.sequences.append(message.sequence)
        lane.size += 1

    def shown(self, message: Message) -> None:
        self.examine(message.new.group_id)

    def left(self, message: Message) -> None:
        lane = self.lanes[message.new.group_id]
        lane.size -= 1
        self.examine(lane.group_id)

    def is_ready(self, group_id: str | None) -> bool:
        """Whether the group has something to hand out."""
        lane = self.lanes.get(group_id)
        return lane is not None and lane.turn != NO_TURN

    def examine(self, group_id: str | None) -> bool:
        """Bring a lane's turn in line with its oldest message; True if it has become ready."""
        lane = self.lanes[group_id]
        messages, sequences = self.messages, lane.sequences
        if not lane.size:
            lane.turn = NO_TURN
            del self.lanes[group_id]
        else:
            while sequences[0] not in messages:
                sequences.popleft()
            if len(sequences) > 2 * lane.size + SLACK:
                lane.sequences = deque(s for s in sequences if s in messages)
            if messages[sequences[0]].hidden:
                lane.turn = NO_TURN
            elif lane.turn == NO_TURN:
                lane.turn = self.next_number()
                heappush(self.ready, (lane.turn, lane))
                return True
        if len(self.ready) > 2 * len(self.lanes) + SLACK:
            self.ready = [(turn, lane) for turn, lane in self.ready if lane.turn == turn]
            heapify(self.ready)
        return False

    def hand_out(
        self, limit: int, now_ms: int, hidden_until_ms: int, burial: Burial | None
    ) -> tuple[list[Claim], list[str]]:
        claims: list[Claim] = []
        moved: list[str] = []
        ready, messages = self.ready, self.messages
        # A lane that is served and stays ready gets a higher turn, and is not served again.
        started = self.next_number()
        while ready and len(claims) < limit and len(moved) < UPKEEP_MAX:
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
                if message.hidden or len(claims) == limit or len(moved) == UPKEEP_MAX:
                    break
                if burial is not None and message.receive_count >= burial.max_receive_count:
                    self._bury(message, burial, now_ms)
                    lane.size -= 1
                    moved.append(message.new.message_id)
                else:
                    claims.append(self._hand_over(message, now_ms, hidden_until_ms))
            lane.turn = NO_TURN
            self.examine(lane.group_id)
            ready = self.ready
        return claims, moved

    def movable(self, limit: int) -> list[Message]:
        found: list[Message] = []
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
