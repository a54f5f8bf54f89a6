"""Faults that somebody asks for, to test the code that has to live with them.

A *rule* says where a fault strikes, how often, and what it is.  What it does to the n-th thing it
looks at is a keyed hash of its seed, its id and n: the same rules and the same calls give the same
faults.  Rules are kept in memory.

No fault loses a message that was accepted, and none breaks the order or the deduplication of FIFO
queues and topics: a rule that would is refused for them, and passes them over if it names none.
"""

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

from broker.arns import parse_arn
from broker.clock import Clock, Sleeper
from broker.errors import BrokerError, InvalidParameterValue, ServiceUnavailable
from broker.ids import Ids
from storage.records import QueueKey

RULES_MAX = 1_000
_DELAY_MS_MAX = 300_000
_SEED_CHARACTERS_MAX = 64
_COUNT_MAX = 1_000_000_000
_DRAWS = 1 << 64
_ID = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_FIFO = ".fifo"
_NOT_OF_SNS = "InvalidKeyUsage"
_T = TypeVar("_T")


class FaultRefused(InvalidParameterValue):
    """A rule that cannot be; the text says where in it and why."""


class InternalError(BrokerError):
    """What an entry of a batch is answered that a fault lets fail so."""


class Target(NamedTuple):
    """What a call is about: ``name`` is a queue's (``sqs``) or a topic's (``sns``), if any."""

    service: str
    account: str
    region: str
    name: str | None


class Blow(NamedTuple):
    """An answer that a call gets instead of its own.

    ``kind`` is ``throttling`` or ``kms`` with a code, ``httpError`` with a status, or
    ``droppedConnection``.
    """

    kind: str
    code: str = ""


class CallFaults(NamedTuple):
    """What happens to one call."""

    pause_before_ms: int = 0
    instead: Blow | None = None  # the operation is not done
    afterwards: Blow | None = None  # it is done, but its answer is lost
    pause_after_ms: int = 0


# --- the grammar of rules -----------------------------------------------------------------------


class _Option(NamedTuple):
    """A member of ``fault``.  ``default`` None: drawn for each call, or not needed."""

    values: tuple[object, ...] | range  # a range: integers from … to
    default: object = None
    required: bool = False


_WHEN = _Option(("before", "after"), "before")
_FROM_MS = _Option(range(_DELAY_MS_MAX + 1), required=True)
_SPAN = {"fromMs": _FROM_MS, "toMs": _FROM_MS}


class _Kind(NamedTuple):
    options: Mapping[str, _Option] = {}
    #: what it can strike; None: any operation
    actions: frozenset[str] | None = None
    #: those that it strikes if the rule names none
    usual_actions: frozenset[str] | None = None
    #: what it may not strike in FIFO queues and topics
    not_fifo: frozenset[str] = frozenset()
    of_queues: bool = False


_SEND = frozenset({"SendMessage"})
_RECEIVE = frozenset({"ReceiveMessage"})
_DELETES = frozenset({"DeleteMessage", "DeleteMessageBatch"})

_KINDS: Mapping[str, _Kind] = {
    "throttling": _Kind(
        {
            "code": _Option(
                ("RequestThrottled", "ThrottlingException", "OverLimit"), "RequestThrottled"
            )
        }
    ),
    "kms": _Kind(
        {
            "code": _Option(
                (
                    "AccessDenied",
                    "Disabled",
                    _NOT_OF_SNS,
                    "InvalidState",
                    "NotFound",
                    "OptInRequired",
                    "Throttling",
                ),
                "Disabled",
            )
        }
    ),
    "httpError": _Kind({"status": _Option((500, 502, 503, 504), 500)}),
    "droppedConnection": _Kind(),
    "latency": _Kind({**_SPAN, "when": _WHEN}),
    "lostReply": _Kind(
        {
            "done": _Option((True, False)),
            "answer": _Option(("droppedConnection", "httpError"), "droppedConnection"),
        },
        usual_actions=_DELETES,
    ),
    "partialBatchFailure": _Kind(
        {"code": _Option(("InternalError", "ServiceUnavailable"), "InternalError")},
        actions=frozenset({"SendMessageBatch", "DeleteMessageBatch", "PublishBatch"}),
        # a message that is sent again would come after those that were behind it
        not_fifo=frozenset({"SendMessageBatch", "PublishBatch"}),
    ),
    "duplicateDelivery": _Kind(
        {"afterMs": _Option(range(_DELAY_MS_MAX + 1), 0)},
        actions=_RECEIVE,
        not_fifo=_RECEIVE,
        of_queues=True,
    ),
    # also messages of batches, and copies of what topics publish
    "reordering": _Kind(_SPAN, actions=_SEND, not_fifo=_SEND, of_queues=True),
    "shuffle": _Kind(actions=_RECEIVE, not_fifo=_RECEIVE, of_queues=True),
    "shortReceive": _Kind({"messages": _Option(range(10))}, actions=_RECEIVE, of_queues=True),
}
_CALL_KINDS = frozenset(
    {"throttling", "kms", "httpError", "droppedConnection", "latency", "lostReply"}
)


@dataclass(frozen=True, slots=True)
class _Match:
    account: str | None
    region: str | None
    queue: str | None
    topic: str | None
    actions: frozenset[str] | None


class _Rule:
    def __init__(
        self,
        rule_id: str,
        seed: str,
        match: _Match,
        kind: str,
        options: Mapping[str, Any],
        chance: Mapping[str, Any],
    ) -> None:
        self.rule_id = rule_id
        self.seed = seed
        self.match = match
        self.kind = kind
        self.options = options
        self.chance = chance
        self.seen = 0
        self.fired = 0
        self._key = hashlib.blake2b(seed.encode()).digest()

    def strikes(self) -> bool:
        """Whether the fault happens to the thing that the rule looks at now."""
        self.seen += 1
        chance = self.chance
        times = chance.get("times")
        if times is not None and self.fired >= times:
            return False
        every = chance.get("every")
        probability = chance.get("probability")
        struck: bool = True
        if every is not None:
            struck = self.seen % every == 0
        elif probability is not None:
            struck = self.draw("strikes") < probability * _DRAWS
        self.fired += struck
        return struck

    def draw(self, what: str) -> int:
        """A number below 2**64 that belongs to what the rule looked at last."""
        content = f"{self.rule_id}:{self.seen}:{what}".encode()
        return int.from_bytes(hashlib.blake2b(content, key=self._key, digest_size=8).digest())

    def span_ms(self) -> int:
        low: int = self.options["fromMs"]
        high: int = self.options["toMs"]
        return low + self.draw("ms") % (high - low + 1)

    def concerns(self, action: str, target: Target) -> bool:
        match = self.match
        kind = _KINDS[self.kind]
        if match.account not in (None, target.account) or match.region not in (None, target.region):
            return False
        if match.queue is not None and (target.service, target.name) != ("sqs", match.queue):
            return False
        if match.topic is not None and (target.service, target.name) != ("sns", match.topic):
            return False
        actions = match.actions or kind.usual_actions or kind.actions
        if actions is not None and action not in actions:
            return False
        if action in kind.not_fifo and (target.name or "").endswith(_FIFO):
            return False
        return target.service == "sqs" or self.options.get("code") != _NOT_OF_SNS

    def document(self) -> dict[str, Any]:
        match = self.match
        shown = {
            "account": match.account,
            "region": match.region,
            "queue": match.queue,
            "topic": match.topic,
            "actions": None if match.actions is None else sorted(match.actions),
        }
        options = {name: value for name, value in self.options.items() if value is not None}
        return {
            "id": self.rule_id,
            "seed": self.seed,
            "match": {name: value for name, value in shown.items() if value is not None},
            "fault": {"kind": self.kind, **options},
            **self.chance,
            "seen": self.seen,
            "fired": self.fired,
        }


def _read_rule(document: Mapping[str, object], rule_id: str, seed: str) -> _Rule:
    known = ("id", "seed", "match", "fault", "probability", "every", "times")
    _check_members(document, known, "")
    fault = _object(document, "fault")
    name = fault.get("kind")
    if not isinstance(name, str) or name not in _KINDS:
        raise FaultRefused(f"fault.kind is one of {', '.join(_KINDS)}")
    kind = _KINDS[name]
    match = _read_match(_object(document, "match") if "match" in document else {}, name, kind)
    options = _read_options(fault, kind.options)
    if match.topic is not None and options.get("code") == _NOT_OF_SNS:
        raise FaultRefused(f"fault.code: SNS has no {_NOT_OF_SNS}")
    return _Rule(rule_id, seed, match, name, options, _read_chance(document))


def _read_match(given: Mapping[str, object], name: str, kind: _Kind) -> _Match:
    _check_members(given, ("account", "region", "queue", "topic", "actions"), "match.")
    texts: dict[str, str | None] = {}
    for member in ("account", "region", "queue", "topic"):
        value = given.get(member)
        if value is not None and not (isinstance(value, str) and value and value.isprintable()):
            raise FaultRefused(f"match.{member} is a name")
        texts[member] = value
    actions = given.get("actions")
    if actions is not None and not (
        isinstance(actions, list) and actions and all(isinstance(each, str) for each in actions)
    ):
        raise FaultRefused("match.actions is a list of operations, such as SendMessage")
    match = _Match(**texts, actions=None if actions is None else frozenset(actions))
    if match.queue is not None and match.topic is not None:
        raise FaultRefused("match has a queue or a topic, not both")
    if match.topic is not None and kind.of_queues:
        raise FaultRefused(f"match.topic: {name} is a fault of queues")
    if match.topic is not None and kind.usual_actions is not None and match.actions is None:
        raise FaultRefused(f"match.actions: {name} of a topic needs operations, such as Publish")
    _check_actions(match, name, kind)
    return match


def _check_actions(match: _Match, name: str, kind: _Kind) -> None:
    if match.actions is not None and kind.actions is not None and match.actions - kind.actions:
        raise FaultRefused(f"match.actions: {name} is a fault of {_listed(kind.actions)}")
    named = match.queue or match.topic
    if named is None or not named.endswith(_FIFO):
        return
    struck = (match.actions or kind.actions or frozenset()) & kind.not_fifo
    struck -= {"PublishBatch"} if match.queue is not None else {"SendMessageBatch"}
    if struck:
        raise FaultRefused(
            f"match.{'queue' if match.queue else 'topic'}: {name} of {_listed(struck)} would break"
            f" the order of {named}, which is FIFO"
        )


def _read_options(
    fault: Mapping[str, object], options: Mapping[str, _Option]
) -> Mapping[str, object]:
    given = {member: value for member, value in fault.items() if member != "kind"}
    names = tuple(options)
    if "fromMs" in options and "ms" in given:
        if "fromMs" in given or "toMs" in given:
            raise FaultRefused("fault has ms, or fromMs and toMs, not both")
        given["fromMs"] = given["toMs"] = given.pop("ms")
    _check_members(given, names, "fault.")
    read: dict[str, object] = {}
    for member, option in options.items():
        value = given.get(member)
        if value is None:
            if option.required:
                raise FaultRefused("fault needs ms, or fromMs and toMs")
            read[member] = option.default
        elif isinstance(option.values, range):
            read[member] = _integer(value, f"fault.{member}", option.values)
        elif any(value == each and type(value) is type(each) for each in option.values):
            read[member] = value
        else:
            listed = ", ".join(
                str(each).lower() if each in (True, False) else str(each) for each in option.values
            )
            raise FaultRefused(f"fault.{member} is one of {listed}")
    low, high = read.get("fromMs"), read.get("toMs")
    if isinstance(low, int) and isinstance(high, int) and low > high:
        raise FaultRefused("fault.fromMs is above fault.toMs")
    return read


def _read_chance(document: Mapping[str, object]) -> Mapping[str, Any]:
    chance: dict[str, Any] = {}
    probability = document.get("probability")
    if probability is not None:
        if (
            not isinstance(probability, int | float)
            or isinstance(probability, bool)
            or not 0 <= probability <= 1
        ):
            raise FaultRefused("probability is a number from 0 to 1")
        chance["probability"] = probability
    for member in ("every", "times"):
        value = document.get(member)
        if value is not None:
            chance[member] = _integer(value, member, range(1, _COUNT_MAX + 1))
    if "probability" in chance and "every" in chance:
        raise FaultRefused("a rule has probability or every, not both")
    return chance


def _integer(value: object, member: str, allowed: range) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value not in allowed:
        raise FaultRefused(f"{member} is an integer from {allowed[0]} to {allowed[-1]}")
    return value


def _object(document: Mapping[str, object], member: str) -> Mapping[str, object]:
    value = document.get(member)
    if not isinstance(value, dict):
        raise FaultRefused(f"{member} is an object")
    return value


def _check_members(given: Mapping[str, object], known: Sequence[str], prefix: str) -> None:
    for member in given:
        if member not in known:
            told = f": use {', '.join(known)}" if known else ""
            raise FaultRefused(f"there is no {prefix}{member}{told}")


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))


# --- what happens -------------------------------------------------------------------------------


class Faults:
    """The rules, and what they do.

    Callers look at ``active`` first: without rules nothing else is called.
    """

    def __init__(self, clock: Clock, ids: Ids) -> None:
        self._clock = clock
        self._ids = ids
        self._rules: dict[str, _Rule] = {}
        self._pauses: set[Sleeper] = set()
        self._stopped = False
        #: whether there is any rule
        self.active = False

    # --- rules ----------------------------------------------------------------------------------

    def add(self, document: Mapping[str, object]) -> dict[str, Any]:
        """Add the rule that a JSON object describes (see docs/faults.md); the rule as it is listed.

        An absent id is chosen, an absent seed drawn.  Raises ``FaultRefused``.
        """
        if len(self._rules) >= RULES_MAX:
            raise FaultRefused(f"there are {RULES_MAX} rules already")
        rule_id = document.get("id")
        if rule_id is None:
            number = 1
            while f"fault-{number}" in self._rules:
                number += 1
            rule_id = f"fault-{number}"
        if not isinstance(rule_id, str) or not _ID.fullmatch(rule_id):
            raise FaultRefused("id has 1 to 64 letters, digits, points, hyphens and underscores")
        if rule_id in self._rules:
            raise FaultRefused(f"there is a rule {rule_id} already")
        seed = document.get("seed")
        if isinstance(seed, int) and not isinstance(seed, bool):
            seed = str(seed)
        if seed is not None and not (
            isinstance(seed, str) and 0 < len(seed) <= _SEED_CHARACTERS_MAX and seed.isprintable()
        ):
            raise FaultRefused(
                f"seed is an integer, or a text of 1 to {_SEED_CHARACTERS_MAX} characters"
            )
        rule = _read_rule(document, rule_id, self._ids.uuid() if seed is None else seed)
        self._rules[rule_id] = rule
        self.active = True
        return rule.document()

    def documents(self) -> list[dict[str, Any]]:
        """All rules in the order of their coming, with how often each looked and struck."""
        return [rule.document() for rule in self._rules.values()]

    def remove(self, rule_id: str) -> bool:
        """Take a rule away; False if there is none of that id."""
        removed = self._rules.pop(rule_id, None) is not None
        self.active = bool(self._rules)
        return removed

    def clear(self) -> int:
        """Take all rules away; how many there were."""
        number = len(self._rules)
        self._rules.clear()
        self.active = False
        return number

    def reset_counters(self) -> None:
        """Have every rule begin anew: what happened happens again."""
        for rule in self._rules.values():
            rule.seen = rule.fired = 0

    def _concerned(self, action: str, target: Target, kinds: Iterable[str]) -> list[_Rule]:
        return [
            rule
            for rule in self._rules.values()
            if rule.kind in kinds and rule.concerns(action, target)
        ]

    # --- calls ----------------------------------------------------------------------------------

    def of_call(
        self, action: str, *, service: str, account: str, region: str, name: str | None
    ) -> CallFaults:
        """What happens to a call; the first rule that replaces its answer is the last asked.

        ``name``: of the queue (``service`` is ``sqs``) or the topic (``sns``) that it is about.
        """
        target = Target(service, account, region, name)
        before_ms = after_ms = 0
        for rule in self._concerned(action, target, _CALL_KINDS):
            if not rule.strikes():
                continue
            options = rule.options
            if rule.kind == "latency":
                if options["when"] == "before":
                    before_ms += rule.span_ms()
                else:
                    after_ms += rule.span_ms()
            elif rule.kind == "lostReply":
                blow = Blow(options["answer"], "500" if options["answer"] == "httpError" else "")
                done = bool(rule.draw("done") & 1) if options["done"] is None else options["done"]
                if done:
                    return CallFaults(before_ms, None, blow, after_ms)
                return CallFaults(before_ms, blow, None, after_ms)
            else:
                code = str(options.get("code") or options.get("status") or "")
                return CallFaults(before_ms, Blow(rule.kind, code), None, after_ms)
        return CallFaults(before_ms, pause_after_ms=after_ms)

    async def pause(self, milliseconds: int) -> None:
        """Let that much time pass on the broker's clock; less, if the broker stops."""
        if self._stopped:
            return
        sleeper = Sleeper()
        self._pauses.add(sleeper)
        try:
            await sleeper.sleep_until(self._clock, self._clock.now_ms() + milliseconds)
        finally:
            self._pauses.discard(sleeper)

    def stop(self) -> None:
        """End all pauses; there are none from now on."""
        self._stopped = True
        for sleeper in self._pauses:
            sleeper.wake()

    def of_publications(self, topic_arn: str, number: int) -> list[BrokerError | None]:
        """For each entry of a PublishBatch why it fails; None: it does not."""
        parsed = parse_arn(topic_arn)
        if parsed is None:
            return [None] * number
        service, place = parsed
        return self._of_entries("PublishBatch", Target(service, *place), number)

    def of_entries(self, action: str, key: QueueKey, number: int) -> list[BrokerError | None]:
        """The same of a batch for a queue."""
        return self._of_entries(action, _queue(key), number)

    def _of_entries(self, action: str, target: Target, number: int) -> list[BrokerError | None]:
        rules = self._concerned(action, target, ("partialBatchFailure",))
        return [
            next((_entry_error(rule) for rule in rules if rule.strikes()), None)
            for _ in range(number)
        ]

    # --- messages -------------------------------------------------------------------------------

    def receive_limit(self, key: QueueKey, limit: int) -> int:
        """How many messages a receive gets at most that asked for ``limit``; 0: none at all."""
        for rule in self._concerned("ReceiveMessage", _queue(key), ("shortReceive",)):
            if rule.strikes():
                number = rule.options["messages"]
                # fewer than were asked for, whatever that is
                limit = rule.draw("messages") % limit if number is None else min(limit, number)
                if not limit:
                    break
        return limit

    def reappearances(self, key: QueueKey, number: int) -> list[int | None]:
        """For each received message after how many milliseconds it can be received again."""
        rules = self._concerned("ReceiveMessage", _queue(key), ("duplicateDelivery",))
        return [
            next((rule.options["afterMs"] for rule in rules if rule.strikes()), None)
            for _ in range(number)
        ]

    def shuffled(self, key: QueueKey, messages: Sequence[_T]) -> list[_T]:
        """The messages of an answer in the order in which they are told."""
        told = list(messages)
        for rule in self._concerned("ReceiveMessage", _queue(key), ("shuffle",)):
            if rule.strikes():
                places = sorted(range(len(told)), key=_place(rule))
                told = [told[place] for place in places]
        return told

    def held_back_ms(self, key: QueueKey) -> int:
        """How long a message on its way into a queue is held back, so that others overtake it."""
        rules = self._concerned("SendMessage", _queue(key), ("reordering",))
        return sum(rule.span_ms() for rule in rules if rule.strikes())


def _queue(key: QueueKey) -> Target:
    return Target("sqs", *key)


def _place(rule: _Rule) -> Callable[[int], int]:
    return lambda index: rule.draw(f"place {index}")


def _entry_error(rule: _Rule) -> BrokerError:
    if rule.options["code"] == "ServiceUnavailable":
        return ServiceUnavailable("The service is temporarily unavailable. Please try again.")
    return InternalError("An internal error occurred. Please try again.")
