"""What clients saw, and whether a queue may behave like that.

A ``History`` is the log of a run: one record when a call is made, one when its answer is there.
A call without a second record, or whose answer is ``Outcome.UNKNOWN``, may have been carried out
or not.  ``check`` looks at a whole history and names every breach of what Headrace promises.

Messages are known by their payload id, which a test makes up and puts into the body with a
checksum (``make_body``, ``read_body``).  Times are those of the client's monotonic clock.
"""

import json
import time
import zlib
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple, TextIO

_MS = 1_000_000  # in nanoseconds


class Kind(StrEnum):
    """What a call is for."""

    SEND = "send"
    RECEIVE = "receive"
    DELETE = "delete"
    CHANGE_VISIBILITY = "change visibility"
    PURGE = "purge"


class Outcome(StrEnum):
    """What the client knows of a call's effect."""

    OK = "ok"
    REFUSED = "refused"  # an error that promises that nothing was done
    UNKNOWN = "unknown"  # no answer


# --- bodies -------------------------------------------------------------------------------------


class CorruptBody(Exception):
    """A body that nobody sent."""


def make_body(payload: str, padding: str = "") -> str:
    """A body for a payload id (which has no colon)."""
    content = f"{payload}:{padding}"
    return f"{zlib.crc32(content.encode()):08x}:{content}"


def read_body(body: str) -> str:
    """The payload id of a body; raises ``CorruptBody``."""
    checksum, _, content = body.partition(":")
    if checksum != f"{zlib.crc32(content.encode()):08x}":
        raise CorruptBody(body)
    return content.partition(":")[0]


# --- the log ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Sent:
    """What the answer to a send says of one message."""

    payload: str
    message_id: str
    sequence: str | None = None


@dataclass(frozen=True, slots=True)
class Received:
    """One message of a receive's answer."""

    payload: str  # "" if the body is not what was sent
    message_id: str
    group: str | None = None
    sequence: str | None = None
    receive_count: int = 0


@dataclass(frozen=True, slots=True)
class Call:
    """One call, from both ends."""

    kind: Kind
    queue: str
    began_ns: int
    #: send, delete, change visibility: the messages meant, in order
    payloads: tuple[str, ...] = ()
    group: str | None = None  # of all messages of a send
    visibility_ms: int = 0  # receive, change visibility
    worker: str = ""
    epoch: int = 0  # how often the server had been started
    outcome: Outcome = Outcome.UNKNOWN
    ended_ns: int | None = None  # None: no answer ever came
    #: delete, change visibility: the messages of which success was told
    done: tuple[str, ...] = ()
    sent: tuple[Sent, ...] = ()  # send: the messages of which success was told
    received: tuple[Received, ...] = ()


class History:
    """The calls of a run, in memory and, as lines of JSON, in a file."""

    def __init__(self, path: Path | None = None, clock: Callable[[], int] = time.monotonic_ns):
        self._calls: list[Call] = []
        self._clock = clock
        self._file: TextIO | None = path.open("a") if path is not None else None
        self.epoch = 0

    def __len__(self) -> int:
        return len(self._calls)

    def __iter__(self) -> Iterator[Call]:
        return iter(self._calls)

    def begin(
        self,
        kind: Kind,
        queue: str,
        *,
        payloads: Iterable[str] = (),
        group: str | None = None,
        visibility_ms: int = 0,
        worker: str = "",
    ) -> int:
        """Note that a call is about to be made; its number."""
        call = Call(
            kind,
            queue,
            self._clock(),
            tuple(payloads),
            group,
            visibility_ms,
            worker,
            self.epoch,
        )
        number = len(self._calls)
        self._calls.append(call)
        self._write(number, call)
        return number

    def end(
        self,
        number: int,
        outcome: Outcome,
        *,
        done: Iterable[str] = (),
        sent: Iterable[Sent] = (),
        received: Iterable[Received] = (),
    ) -> None:
        """Note what came of a call."""
        call = replace(
            self._calls[number],
            outcome=outcome,
            ended_ns=self._clock(),
            done=tuple(done),
            sent=tuple(sent),
            received=tuple(received),
        )
        self._calls[number] = call
        self._write(number, call)

    def _write(self, number: int, call: Call) -> None:
        if self._file is not None:
            told = {name: value for name, value in asdict(call).items() if value}
            self._file.write(json.dumps({"call": number, **told}) + "\n")

    def close(self) -> None:
        """Write out what is in the file's buffer."""
        if self._file is not None:
            self._file.close()
            self._file = None


# --- the verdict --------------------------------------------------------------------------------


@dataclass
class Verdict:
    """What a history shows: breaches by kind, and figures.

    Breaches name messages as ``queue/payload``.
    """

    lost: set[str] = field(default_factory=set)
    """Accepted, never seen deleted, expired or purged, and not there at the end."""
    phantom: set[str] = field(default_factory=set)
    """Received without having been sent, or although the send was refused."""
    resurrected: set[str] = field(default_factory=set)
    """Received by a call made after a delete had been acknowledged."""
    corrupt: set[str] = field(default_factory=set)
    """Received with another body, message id, sequence number or group than it was sent with."""
    early: set[str] = field(default_factory=set)
    """Handed out again before the time for which the hand-out before had hidden it."""
    doubled: set[str] = field(default_factory=set)
    """Stored twice: the same message under two message ids."""
    misordered: set[str] = field(default_factory=set)
    """First received after a later message of its group, or numbered against the order sent."""
    renumbered: set[str] = field(default_factory=set)
    """A message id or sequence number given to two messages."""
    miscounted: set[str] = field(default_factory=set)
    """Received with a receive count that was not above that of an earlier receive."""

    calls: int = 0
    unknown_calls: int = 0
    acknowledged: int = 0
    deleted: int = 0
    recovered: int = 0
    """Sends without an answer whose message was received all the same: allowed."""
    redelivered: int = 0
    """Messages received more than once: allowed."""

    def breaches(self) -> dict[str, set[str]]:
        """All that is not as promised, by kind."""
        found = {name: value for name, value in vars(self).items() if isinstance(value, set)}
        return {name: value for name, value in found.items() if value}

    def figures(self) -> dict[str, int]:
        """How many of everything."""
        return {
            name: len(value) if isinstance(value, set) else value
            for name, value in vars(self).items()
        }


class _Receipt(NamedTuple):
    """One message handed out once."""

    began_ns: int
    ended_ns: int
    place: int  # within the answer
    hidden_ms: int
    message: Received


class _Message(NamedTuple):
    queue: str
    payload: str

    def __str__(self) -> str:
        return f"{self.queue}/{self.payload}"


def check(
    history: Iterable[Call],
    *,
    left: Collection[tuple[str, str]] = (),
    expired: Collection[tuple[str, str]] = (),
    fifo: Collection[str] = (),
    dead_letters: Mapping[str, str] | None = None,
) -> Verdict:
    """What a history shows.

    ``left``: queue and payload of what was found in the queues at the end, by other means than
    the receives of the history.  ``expired``: of what may have gone by its retention.  ``fifo``:
    the queues whose order counts.  ``dead_letters``: from a dead-letter queue to its source;
    messages of both count as the source's.
    """
    return _Check(history, left, expired, fifo, dead_letters or {}).verdict


class _Check:
    def __init__(
        self,
        history: Iterable[Call],
        left: Collection[tuple[str, str]],
        expired: Collection[tuple[str, str]],
        fifo: Collection[str],
        dead_letters: Mapping[str, str],
    ) -> None:
        self._calls = list(history)
        self._source = dead_letters
        self._fifo = fifo
        self._left = {self._message(queue, payload) for queue, payload in left}
        self._expired = {self._message(queue, payload) for queue, payload in expired}
        self._sends: dict[_Message, list[Call]] = defaultdict(list)
        self._sent: dict[_Message, list[Sent]] = defaultdict(list)
        self._deletes: dict[_Message, list[Call]] = defaultdict(list)
        self._shown: dict[_Message, list[Call]] = defaultdict(list)  # change visibility
        self._receipts: dict[_Message, list[_Receipt]] = defaultdict(list)
        self._purges: dict[str, list[Call]] = defaultdict(list)
        self.verdict = Verdict(calls=len(self._calls))
        for call in self._calls:
            self._file(call)
        for receipts in self._receipts.values():
            receipts.sort()
        self._find_lost()
        self._find_phantoms()
        self._find_resurrected()
        self._find_corrupt()
        self._find_early()
        self._find_doubled()
        self._find_misordered()
        self._find_renumbered()
        self._find_miscounted()
        self._count()

    def _message(self, queue: str, payload: str) -> _Message:
        return _Message(self._source.get(queue, queue), payload)

    def _file(self, call: Call) -> None:
        messages = [self._message(call.queue, payload) for payload in call.payloads]
        if call.kind is Kind.SEND:
            for message in messages:
                self._sends[message].append(call)
            for each in call.sent:
                self._sent[self._message(call.queue, each.payload)].append(each)
        elif call.kind is Kind.DELETE:
            for message in messages:
                self._deletes[message].append(call)
        elif call.kind is Kind.CHANGE_VISIBILITY:
            for message in messages:
                self._shown[message].append(call)
        elif call.kind is Kind.PURGE:
            if call.outcome is not Outcome.REFUSED:
                self._purges[self._source.get(call.queue, call.queue)].append(call)
        else:
            for place, received in enumerate(call.received):
                if not received.payload:
                    self.verdict.corrupt.add(f"{call.queue}/{received.message_id}")
                    continue
                assert call.ended_ns is not None
                self._receipts[self._message(call.queue, received.payload)].append(
                    _Receipt(call.began_ns, call.ended_ns, place, call.visibility_ms, received)
                )

    # --- one method for each kind of breach -----------------------------------------------------

    def _find_lost(self) -> None:
        for message in self._sent:
            gone = (
                any(
                    call.outcome is Outcome.UNKNOWN or message.payload in call.done
                    for call in self._deletes.get(message, ())
                )
                or message in self._left
                or message in self._expired
                or self._may_be_purged(message)
            )
            if not gone:
                self.verdict.lost.add(str(message))

    def _may_be_purged(self, message: _Message) -> bool:
        """A purge that may have happened after the message was stored."""
        began_ns = min(call.began_ns for call in self._sends[message])
        return any(
            purge.outcome is Outcome.UNKNOWN or purge.ended_ns is None or began_ns < purge.ended_ns
            for purge in self._purges.get(message.queue, ())
        )

    def _find_phantoms(self) -> None:
        for message in {*self._receipts, *self._left}:
            possible = message in self._sent or any(
                call.outcome is Outcome.UNKNOWN for call in self._sends.get(message, ())
            )
            if not possible:
                self.verdict.phantom.add(str(message))

    def _find_resurrected(self) -> None:
        for message, deletes in self._deletes.items():
            deleted_ns = min(
                (
                    call.ended_ns
                    for call in deletes
                    if call.ended_ns and self._deleted(call, message)
                ),
                default=None,
            )
            if deleted_ns is None:
                continue
            if message in self._left or any(
                receipt.began_ns > deleted_ns for receipt in self._receipts.get(message, ())
            ):
                self.verdict.resurrected.add(str(message))

    @staticmethod
    def _deleted(call: Call, message: _Message) -> bool:
        return call.outcome is Outcome.OK and message.payload in call.done

    def _find_corrupt(self) -> None:
        for message, receipts in self._receipts.items():
            groups = {call.group for call in self._sends.get(message, ())}
            told = {(sent.message_id, sent.sequence) for sent in self._sent.get(message, ())}
            for receipt in receipts:
                received = receipt.message
                ids = (received.message_id, received.sequence)
                if (groups and received.group not in groups) or (told and ids not in told):
                    self.verdict.corrupt.add(str(message))

    def _find_early(self) -> None:
        for message, receipts in self._receipts.items():
            for first, second in pairwise(receipts):
                ended_ns = max(first.ended_ns, second.ended_ns)
                hidden_until_ns = first.began_ns + first.hidden_ms * _MS
                if ended_ns < hidden_until_ns and not any(
                    call.outcome is not Outcome.REFUSED and call.began_ns < ended_ns
                    for call in self._shown.get(message, ())
                    if call.outcome is Outcome.UNKNOWN or (call.ended_ns or 0) > first.began_ns
                ):
                    self.verdict.early.add(str(message))

    def _find_doubled(self) -> None:
        for message in {*self._sent, *self._receipts}:
            ids = {sent.message_id for sent in self._sent.get(message, ())}
            ids |= {receipt.message.message_id for receipt in self._receipts.get(message, ())}
            if len(ids) > 1:
                self.verdict.doubled.add(str(message))

    def _find_misordered(self) -> None:
        """Of each group: messages sent one after the other are numbered and received so.

        Supposes that a group has one sender, who goes on only when he knows what came of a call.
        """
        groups: dict[tuple[str, str | None], list[tuple[int, int, _Message]]] = defaultdict(list)
        for message, calls in self._sends.items():
            if message.queue in self._fifo:
                first = min(calls, key=lambda call: call.began_ns)
                groups[message.queue, first.group].append(
                    (first.began_ns, first.payloads.index(message.payload), message)
                )
        for sent in groups.values():
            in_order = [message for *_, message in sorted(sent)]
            numbered = [
                (number, message) for message in in_order if (number := self._sequence(message))
            ]
            received = [
                (min((r.ended_ns, r.began_ns, r.place) for r in receipts), message)
                for message in in_order
                if (receipts := self._receipts.get(message))
            ]
            for (one, _), (next_one, message) in pairwise(numbered):
                if next_one <= one:
                    self.verdict.misordered.add(str(message))
            for (at, _), (next_at, message) in pairwise(received):
                if next_at <= at:
                    self.verdict.misordered.add(str(message))

    def _sequence(self, message: _Message) -> int | None:
        for sent in self._sent.get(message, ()):
            if sent.sequence is not None:
                return int(sent.sequence)
        for receipt in self._receipts.get(message, ()):
            if receipt.message.sequence is not None:
                return int(receipt.message.sequence)
        return None

    def _find_renumbered(self) -> None:
        owner: dict[tuple[str, str], _Message] = {}
        for message in {*self._sent, *self._receipts}:
            given: list[Sent | Received] = [*self._sent.get(message, ())]
            given += [receipt.message for receipt in self._receipts.get(message, ())]
            for each in given:
                numbers = [("", each.message_id)]
                if each.sequence is not None:
                    numbers.append((message.queue, each.sequence))
                for number in numbers:
                    if owner.setdefault(number, message) != message:
                        self.verdict.renumbered |= {str(message), str(owner[number])}

    def _find_miscounted(self) -> None:
        """Counts rise from hand-out to hand-out, where it is certain which one was later."""
        for message, receipts in self._receipts.items():
            for first, second in pairwise(receipts):
                if (
                    first.ended_ns < second.began_ns
                    and second.message.receive_count <= first.message.receive_count
                ):
                    self.verdict.miscounted.add(str(message))

    def _count(self) -> None:
        verdict = self.verdict
        verdict.unknown_calls = sum(call.outcome is Outcome.UNKNOWN for call in self._calls)
        verdict.acknowledged = len(self._sent)
        verdict.deleted = sum(
            any(self._deleted(call, message) for call in calls)
            for message, calls in self._deletes.items()
        )
        verdict.recovered = sum(
            message in self._sends and message not in self._sent
            for message in {*self._receipts, *self._left}
        )
        verdict.redelivered = sum(len(receipts) > 1 for receipts in self._receipts.values())
