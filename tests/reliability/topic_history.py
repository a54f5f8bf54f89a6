"""What publishers, queues and an endpoint saw of topics, and whether topics may behave like that.

A message is known by its payload id (see ``history``), a topic's subscriber by its name: that of
a queue, or ``ENDPOINT``.  Nobody receives while messages are published, so a queue holds in the
end whatever came to it.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

from tests.reliability.history import Outcome, Sent

ENDPOINT = "endpoint"


class Subscriber(NamedTuple):
    """Who gets which messages of a topic."""

    topic: str
    color: str | None = None  # None: of every color
    ordered: bool = False


@dataclass(slots=True)
class Publish:
    """One call: a message, or a batch."""

    topic: str
    payloads: tuple[str, ...]
    color: str
    group: str | None = None
    outcome: Outcome = Outcome.UNKNOWN
    sent: tuple[Sent, ...] = ()


class Copy(NamedTuple):
    """A message as a subscriber has it; the ids are those of an envelope."""

    payload: str  # "" if it is not what was published
    group: str | None = None
    message_id: str | None = None
    sequence: str | None = None


@dataclass
class Breaches:
    """What is not as promised, as ``subscriber/payload`` or ``topic/payload``."""

    lost: set[str] = field(default_factory=set)
    """Published, by an answer, and not there for one whom it is for."""
    partial: set[str] = field(default_factory=set)
    """Published, without an answer, to some of those whom it is for, or a part of a batch."""
    doubled: set[str] = field(default_factory=set)
    """There more than once."""
    phantom: set[str] = field(default_factory=set)
    """There though nobody published it, or it was refused, or the filter has another color."""
    corrupt: set[str] = field(default_factory=set)
    """There with another body, message id, sequence number or group than the publisher's."""
    misordered: set[str] = field(default_factory=set)
    """Behind a later message of its group, or numbered so."""
    renumbered: set[str] = field(default_factory=set)
    """A message id of two messages; or of a message that is published again, another."""
    forgotten: set[str] = field(default_factory=set)
    """A delivery of which fewer attempts were known later than before."""

    def found(self) -> dict[str, set[str]]:
        """Those that there are, by kind."""
        return {name: value for name, value in vars(self).items() if value}


def check(
    publishes: Iterable[Publish],
    copies: Mapping[str, Sequence[Copy]],
    subscribers: Mapping[str, Subscriber],
    *,
    attempts: Iterable[Mapping[str, int]] = (),
) -> Breaches:
    """What there is to complain of.

    ``publishes``: in the order in which they began, of each group at least.  ``copies``: by
    subscriber, in the order in which a queue has them; what the endpoint took may come more than
    once.  ``attempts``: looks at how often unfinished deliveries were attempted, one after the
    other, by delivery.
    """
    return _Check(list(publishes), copies, subscribers, attempts).breaches


class _Check:
    def __init__(
        self,
        publishes: Collection[Publish],
        copies: Mapping[str, Sequence[Copy]],
        subscribers: Mapping[str, Subscriber],
        attempts: Iterable[Mapping[str, int]],
    ) -> None:
        self.breaches = Breaches()
        self._publishes = publishes
        self._copies = copies
        self._subscribers = subscribers
        self._counts = {
            name: Counter(copy.payload for copy in copies.get(name, ())) for name in subscribers
        }
        self._sent: dict[tuple[str, str], list[Sent]] = defaultdict(list)
        self._possible: dict[tuple[str, str], Publish] = {}
        for publish in publishes:
            for sent in publish.sent:
                self._sent[publish.topic, sent.payload].append(sent)
            if publish.outcome is not Outcome.REFUSED:
                for payload in publish.payloads:
                    self._possible.setdefault((publish.topic, payload), publish)
        for publish in publishes:
            self._check_everywhere(publish)
        for name, subscriber in subscribers.items():
            self._check_copies(name, subscriber)
        self._check_numbers()
        self._check_attempts(attempts)

    def _for(self, publish: Publish) -> list[str]:
        """Whom a publish is for."""
        return [
            name
            for name, subscriber in self._subscribers.items()
            if subscriber.topic == publish.topic and subscriber.color in (None, publish.color)
        ]

    def _check_everywhere(self, publish: Publish) -> None:
        there = {
            (name, payload): bool(self._counts[name][payload])
            for name in self._for(publish)
            for payload in publish.payloads
        }
        absent = {
            f"{name}/{payload}" for (name, payload), is_there in there.items() if not is_there
        }
        if publish.outcome is Outcome.OK:
            self.breaches.lost |= absent
        elif publish.outcome is Outcome.UNKNOWN and any(there.values()):
            self.breaches.partial |= absent

    def _check_copies(self, name: str, subscriber: Subscriber) -> None:
        last: dict[str | None, int] = {}
        places = {payload: place for place, (_, payload) in enumerate(self._possible)}
        for copy in self._copies.get(name, ()):
            where = f"{name}/{copy.payload}"
            if not copy.payload:
                self.breaches.corrupt.add(where)
                continue
            publish = self._possible.get((subscriber.topic, copy.payload))
            if publish is None or subscriber.color not in (None, publish.color):
                self.breaches.phantom.add(where)
                continue
            if name != ENDPOINT and self._counts[name][copy.payload] > 1:
                self.breaches.doubled.add(where)
            for sent in self._sent[subscriber.topic, copy.payload]:
                if copy.message_id not in (None, sent.message_id):
                    self.breaches.corrupt.add(where)
                if copy.sequence not in (None, sent.sequence):
                    self.breaches.corrupt.add(where)
            if subscriber.ordered:
                if copy.group != publish.group:
                    self.breaches.corrupt.add(where)
                place = places[copy.payload]
                if place < last.get(publish.group, -1):
                    self.breaches.misordered.add(where)
                last[publish.group] = place

    def _check_numbers(self) -> None:
        payloads: dict[str, set[str]] = defaultdict(set)
        numbers: dict[tuple[str, str], list[tuple[int, str]]] = defaultdict(list)
        for (topic, payload), publish in self._possible.items():
            answers = self._sent[topic, payload]
            for sent in answers:
                payloads[sent.message_id].add(f"{topic}/{payload}")
            if len({(sent.message_id, sent.sequence) for sent in answers}) > 1:
                self.breaches.renumbered.add(f"{topic}/{payload}")
            if publish.group is not None and answers:
                number = int(answers[0].sequence or 0)
                numbers[topic, publish.group].append((number, f"{topic}/{payload}"))
        for same in payloads.values():
            if len(same) > 1:
                self.breaches.renumbered |= same
        for group in numbers.values():
            self.breaches.misordered |= {
                where for (before, _), (number, where) in pairwise(group) if number <= before
            }

    def _check_attempts(self, looks: Iterable[Mapping[str, int]]) -> None:
        known: dict[str, int] = {}
        for look in looks:
            for delivery, attempts in look.items():
                if attempts < known.get(delivery, 0):
                    self.breaches.forgotten.add(f"{ENDPOINT}/{delivery}")
                known[delivery] = attempts
