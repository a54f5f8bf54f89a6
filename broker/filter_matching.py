"""Which messages pass a subscription's filter policy, and why others do not (SNS reference, 7.5).

``MessageFacts`` is what filters see of a message, read once and shared by all policies.
``FilterIndex`` finds the policies of a topic that a message passes without trying each of them.

Numbers are compared exactly, as decimals; the values of a message are strings, decimals and
``Literal``, which never equal one another.
"""

import json
import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from enum import Enum
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any, Generic, NamedTuple, NoReturn, TypeVar

from storage.records import MessageAttribute

#: the scopes, as the attribute FilterPolicyScope has them
MESSAGE_ATTRIBUTES = "MessageAttributes"
MESSAGE_BODY = "MessageBody"

_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.A)
_NUMBER_CHARACTERS_MAX = 400
_ADDRESS_CHARACTERS_MAX = 45
_PROBED_PATH_CHARACTERS_MAX = 256
_FOUND_VALUES_MAX = 20
_FOUND_CHARACTERS_MAX = 256

Item = TypeVar("Item")


class Literal(Enum):
    """The JSON values that are neither strings nor numbers."""

    TRUE = True
    FALSE = False
    NULL = None


class VastNumber(NamedTuple):
    """A number too long, or too far from one, to be computed with; equal if spelt alike."""

    text: str


Scalar = str | Decimal | VastNumber | Literal
Test = Callable[[Scalar], bool]


def number(text: str) -> Decimal | VastNumber:
    """The value of a JSON number."""
    if len(text) <= _NUMBER_CHARACTERS_MAX:
        try:
            return Decimal(text)
        except InvalidOperation:  # an exponent of twenty digits
            pass
    return VastNumber(text)


def _scalar(value: Any) -> Scalar:
    return value if isinstance(value, str | Decimal | VastNumber) else Literal(value)


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def read_json(text: str, *, number_type: Callable[[str], Any] = number) -> Any:
    """A JSON value, its numbers made by ``number_type``; the last of equal keys counts.

    Raises ``ValueError`` for anything else, and ``RecursionError`` for what is nested too deep.
    """
    return json.loads(
        text, parse_int=number_type, parse_float=number_type, parse_constant=_no_constant
    )


# --- what filters see of a message --------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Found:
    """What a message has under a key: the values that rules are tried on."""

    scalars: tuple[Scalar, ...]
    is_string_array: bool = False
    #: why there are no values although the key is present
    unreadable: str = ""


class _AttributeValues(dict[str, Found | None]):
    """The message attributes by name, each read when it is first asked for."""

    def __init__(self, attributes: Mapping[str, MessageAttribute]) -> None:
        super().__init__()
        self._attributes = attributes

    @property
    def heads(self) -> Set[str]:
        return self._attributes.keys()

    def __missing__(self, name: str) -> Found | None:
        attribute = self._attributes.get(name)
        self[name] = found = None if attribute is None else _read_attribute(attribute)
        return found


def _read_attribute(attribute: MessageAttribute) -> Found:
    data_type, value = attribute
    if isinstance(value, bytes):
        return Found((), unreadable="Binary attributes match by exists only.")
    if data_type == "String.Array":
        return _read_string_array(value)
    if data_type.partition(".")[0] == "Number":
        if not _NUMBER.fullmatch(value):
            return Found((), unreadable="The value is not a number.")
        return Found((number(value),))
    return Found((value,))


def _read_string_array(text: str) -> Found:
    try:
        elements = read_json(text)
    except (ValueError, RecursionError):
        elements = None
    if not isinstance(elements, list):
        return Found((), True, "The value of a String.Array is not a JSON array.")
    # VastNumber is a tuple, not a list: what is left out here is nested
    return Found(
        tuple(_scalar(each) for each in elements if not isinstance(each, list | dict)), True
    )


class _BodyValues(dict[str, Found | None]):
    """The scalars of a JSON object by path, each path looked up when it is first asked for."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        super().__init__()
        self._document = document
        self._heads: frozenset[str] | None = None

    @property
    def heads(self) -> Set[str]:
        """The first segments of all paths."""
        if self._heads is None:
            self._heads = frozenset(key.partition(".")[0] for key in self._document)
        return self._heads

    def __missing__(self, path: str) -> Found | None:
        found = None
        if path.partition(".")[0] in self.heads:
            scalars = tuple(_scalars_at(self._document, path))
            found = Found(scalars) if scalars else None
        self[path] = found
        return found


def _scalars_at(document: Mapping[str, Any], path: str) -> Iterator[Scalar]:
    """The scalars under a path, however its segments are split among the keys on the way.

    Arrays are passed through; objects and empty arrays are no values.  Each part of the document
    is visited at most once: the keys that lead there, joined, are one path.
    """
    beyond = len(path) + 1
    heads: dict[int, list[tuple[str, int]]] = {}
    pending: list[tuple[Any, int]] = [(document, 0)]  # recursion could go too deep
    while pending:
        value, at = pending.pop()
        if isinstance(value, list):
            pending.extend((each, at) for each in reversed(value))
        elif not isinstance(value, dict):
            if at == beyond:
                yield _scalar(value)
        elif at < beyond:
            if len(path) > _PROBED_PATH_CHARACTERS_MAX:
                # Its heads, as many and as long as they can be, cost more than all keys here.
                for key, below in value.items():
                    end = at + len(key)
                    if path.startswith(key, at) and (end == len(path) or path[end] == "."):
                        pending.append((below, end + 1))
                continue
            if at not in heads:
                heads[at] = _heads(path, at)
            pending.extend((value[head], after) for head, after in heads[at] if head in value)


def _heads(path: str, at: int) -> list[tuple[str, int]]:
    """Each key that can lead on from a position of a path, and the position it leads to."""
    ends = [end for end in range(at, len(path)) if path[end] == "."]
    return [(path[at:end], end + 1) for end in (*ends, len(path))]


class MessageFacts:
    """What filters see of a message; read when needed, once, and shared by all policies."""

    __slots__ = ("_attribute_values", "_attributes", "_body", "_body_values")

    def __init__(self, attributes: Mapping[str, MessageAttribute] | None, body: str) -> None:
        self._attributes = attributes
        self._body: str | None = body  # None: has been read
        self._attribute_values: _AttributeValues | None = None
        self._body_values: _BodyValues | None = None

    @property
    def attribute_values(self) -> _AttributeValues:
        """What the message attributes hold, by name; None where there is no such attribute."""
        if self._attribute_values is None:
            self._attribute_values = _AttributeValues(self._attributes or {})
        return self._attribute_values

    @property
    def body_values(self) -> _BodyValues | None:
        """What the body holds, by path; None: it is no JSON object, and passes no policy (7.1)."""
        if self._body is not None:
            try:
                document = read_json(self._body)
            except (ValueError, RecursionError):
                document = None
            self._body = None
            self._body_values = _BodyValues(document) if isinstance(document, dict) else None
        return self._body_values

    def values(self, scope: str) -> _AttributeValues | _BodyValues | None:
        """What policies of a scope look at."""
        return self.body_values if scope == MESSAGE_BODY else self.attribute_values


_Values = _AttributeValues | _BodyValues


# --- rules --------------------------------------------------------------------------------------


def prefix(*prefixes: str) -> Test:
    """Strings that start with one of these."""
    return lambda scalar: type(scalar) is str and scalar.startswith(prefixes)


def suffix(text: str) -> Test:
    """Strings that end so."""
    return lambda scalar: type(scalar) is str and scalar.endswith(text)


def equals_ignore_case(text: str) -> Test:
    """Strings that differ from this one in case at most."""
    folded = text.casefold()
    return lambda scalar: type(scalar) is str and scalar.casefold() == folded


def wildcard(parts: Sequence[str]) -> Test:
    """Strings made of the parts, in this order, with any characters in between.

    Each part is taken where it is first found: if that leaves too little for the rest, so does
    every later place.  So a string is gone through once.
    """
    if len(parts) == 1:
        return lambda scalar: scalar == parts[0]
    first, *middle, last = parts

    def test(scalar: Scalar) -> bool:
        if not (type(scalar) is str and scalar.startswith(first) and scalar.endswith(last)):
            return False
        at, end = len(first), len(scalar) - len(last)
        for part in middle:
            at = scalar.find(part, at, end)
            if at < 0:
                return False
            at += len(part)
        return at <= end

    return test


def numeric(bounds: Sequence[tuple[Callable[[Any, Any], bool], Decimal]]) -> Test:
    """Numbers that compare so with one bound, or with two."""
    (compare, bound), *more = bounds
    if not more:
        return lambda scalar: type(scalar) is Decimal and compare(scalar, bound)
    [(compare_top, top)] = more
    return lambda scalar: (
        type(scalar) is Decimal and compare(scalar, bound) and compare_top(scalar, top)
    )


def cidr(address: IPv4Address | IPv6Address, bits: int) -> Test:
    """Strings that are an address of the same version, with the same first bits."""
    version, shift = address.version, address.max_prefixlen - bits
    block = int(address) >> shift

    def test(scalar: Scalar) -> bool:
        if type(scalar) is not str or len(scalar) > _ADDRESS_CHARACTERS_MAX:
            return False
        found = _version_and_number(scalar)
        return found is not None and found[0] == version and found[1] >> shift == block

    return test


@lru_cache  # many policies look at the same few addresses
def _version_and_number(text: str) -> tuple[int, int] | None:
    address = ip_literal(text)
    return None if address is None else (address.version, int(address))


def ip_literal(text: str) -> IPv4Address | IPv6Address | None:
    """The address that a text is; zones (``%eth0``) are not part of one."""
    try:
        return None if "%" in text else ip_address(text)
    except ValueError:
        return None


def anything_but(refused: frozenset[Scalar]) -> Test:
    """All values but these."""
    return lambda scalar: scalar not in refused


def anything_unlike(*tests: Test) -> Test:
    """All values that none of the tests accepts."""
    return lambda scalar: not any(test(scalar) for test in tests)


# --- policies -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class Condition:
    """The rules for one key, of which one has to fit."""

    path: str
    written: Sequence[Any]  # the rules as JSON
    depth: int = 1  # how deep the key is nested, as written
    exact: frozenset[Scalar] = frozenset()
    tests: Sequence[Test] = ()
    #: Tests that every element of a String.Array has to pass, where others need one (7.5).
    refusals: Sequence[Test] = ()
    accepts_present: bool = False
    accepts_absent: bool = False

    def holds(self, found: Found | None) -> bool:
        """Whether what a message has under the key fits."""
        if found is None:
            return self.accepts_absent
        if self.accepts_present:
            return True
        scalars, exact, tests = found.scalars, self.exact, self.tests
        for scalar in scalars:
            if scalar in exact:
                return True
            for test in tests:
                if test(scalar):
                    return True
        if scalars:
            quantifier = all if found.is_string_array else any
            for test in self.refusals:
                if quantifier(map(test, scalars)):
                    return True
        return False

    @property
    def is_exact(self) -> bool:
        """Whether only listed values fit."""
        return not (self.tests or self.refusals or self.accepts_present or self.accepts_absent)


@dataclass(frozen=True, slots=True, eq=False)
class Clause:
    """Conditions that all have to hold, and one clause of each group of alternatives (``$or``)."""

    conditions: Sequence[Condition]
    alternatives: Sequence[Sequence["Clause"]] = ()

    def holds(self, values: _Values) -> bool:
        """Whether a message with these values passes."""
        for condition in self.conditions:
            if not condition.holds(values[condition.path]):
                return False
        for group in self.alternatives:
            for clause in group:
                if clause.holds(values):
                    break
            else:
                return False
        return True

    def failures(self, values: _Values) -> tuple["Failure", ...]:
        """All that a message with these values fails at; empty: it passes."""
        failed: list[Failure] = [
            _failed_key(condition, values[condition.path])
            for condition in self.conditions
            if not condition.holds(values[condition.path])
        ]
        for group in self.alternatives:
            branches = tuple(clause.failures(values) for clause in group)
            if all(branches):
                reason = f"None of the {len(branches)} alternatives matches."
                failed.append(FailedOr(branches, reason))
        return tuple(failed)


@dataclass(frozen=True, slots=True, eq=False)
class FilterPolicy:
    """A filter policy, ready to be applied (``parse_filter_policy`` makes it)."""

    scope: str
    clause: Clause

    def matches(self, facts: MessageFacts) -> bool:
        """Whether the subscription gets the message."""
        values = facts.values(self.scope)
        return values is not None and self.clause.holds(values)

    def explain(self, facts: MessageFacts) -> "Explanation":
        """Whether the subscription gets the message and, if not, what the message fails at."""
        values = facts.values(self.scope)
        if values is None:
            return Explanation(False, "The message body is not a JSON object.")
        failures = self.clause.failures(values)
        if failures:
            return Explanation(False, "The message does not match the filter policy.", failures)
        return Explanation(True, "The message matches the filter policy.")


# --- explanations -------------------------------------------------------------------------------


class FailedKey(NamedTuple):
    """A key whose rules no value fits.

    ``rules`` and ``found`` can be written as JSON: numbers that are not exact as doubles are
    rounded, of many values and long strings the beginning is shown; None: the key is absent.
    """

    key: str
    rules: list[Any]
    found: list[Any] | None
    reason: str

    def document(self) -> dict[str, Any]:
        """What is to be shown, as JSON."""
        found = "absent" if self.found is None else self.found
        return {"key": self.key, "rules": self.rules, "found": found, "reason": self.reason}


class FailedOr(NamedTuple):
    """An ``$or`` of which no alternative matches, with what each of them fails at."""

    branches: tuple[tuple["Failure", ...], ...]
    reason: str

    def document(self) -> dict[str, Any]:
        """What is to be shown, as JSON."""
        branches = [[failure.document() for failure in branch] for branch in self.branches]
        return {"$or": branches, "reason": self.reason}


Failure = FailedKey | FailedOr


class Explanation(NamedTuple):
    """Whether a message passes a filter policy, and why not."""

    matches: bool
    reason: str
    failures: tuple[Failure, ...] = ()

    def document(self) -> dict[str, Any]:
        """What is to be shown, as JSON."""
        failures = [failure.document() for failure in self.failures]
        return {"matches": self.matches, "reason": self.reason, "failures": failures}


def _failed_key(condition: Condition, found: Found | None) -> FailedKey:
    return FailedKey(
        condition.path,
        [_shown(rule) for rule in condition.written],
        None if found is None else _shown_values(found.scalars),
        _reason(condition, found),
    )


def _reason(condition: Condition, found: Found | None) -> str:
    if found is None:
        return "The key is absent."
    if found.unreadable:
        return found.unreadable
    if not found.scalars:
        return "The array has no values."
    if condition.accepts_absent and not (condition.exact or condition.tests or condition.refusals):
        return "The key is present."
    if any(_of_the_other_type(scalar) in condition.exact for scalar in found.scalars):
        return "No rule fits: a number and a string of its digits are different values."
    return "No rule fits."


def _of_the_other_type(scalar: Scalar) -> Scalar | None:
    if isinstance(scalar, Decimal):
        return str(scalar)
    if isinstance(scalar, str) and _NUMBER.fullmatch(scalar):
        return number(scalar)
    return None


def _shown_values(scalars: Sequence[Scalar]) -> list[Any]:
    return [_shown(scalar) for scalar in scalars[:_FOUND_VALUES_MAX]]


def _shown(value: Any) -> Any:
    """A rule or a value as JSON."""
    if isinstance(value, Literal):
        return value.value
    if isinstance(value, Decimal):
        return _shown_number(value)
    if isinstance(value, VastNumber):
        return _shown(value.text)
    if isinstance(value, dict):
        return {key: _shown(below) for key, below in value.items()}
    if isinstance(value, list):
        return [_shown(below) for below in value]
    if isinstance(value, str) and len(value) > _FOUND_CHARACTERS_MAX:
        return value[:_FOUND_CHARACTERS_MAX] + "…"
    return value


def _shown_number(value: Decimal) -> int | float | str:
    nearest = float(value)
    if not math.isfinite(nearest):
        return str(value)
    return int(nearest) if nearest.is_integer() and abs(nearest) < 2**53 else nearest


# --- many policies ------------------------------------------------------------------------------

_Candidate = tuple[int, Clause]
_Key = tuple[str, Scalar]


class _ScopeIndex:
    """The policies of one scope, by a value that a message must have to pass them."""

    def __init__(self, scope: str, candidates: Sequence[_Candidate]) -> None:
        """``candidates``: the position and the content of each policy."""
        #: policies that no single value is needed for: each is tried
        self._others: list[_Candidate] = []
        self._by_head: dict[str, dict[str, dict[Scalar, list[_Candidate]]]] = {}
        uses = Counter(key for _, clause in candidates for key in _exact_keys(clause))
        for candidate in candidates:
            keys = _needed_keys(candidate[1], uses)
            if keys is None:
                self._others.append(candidate)
                continue
            for path, scalar in keys:
                head = path.partition(".")[0] if scope == MESSAGE_BODY else path
                paths = self._by_head.setdefault(head, {})
                paths.setdefault(path, {}).setdefault(scalar, []).append(candidate)

    def matching(self, values: _Values) -> list[int]:
        """The positions of the policies that a message passes; one may be named repeatedly."""
        found = [position for position, clause in self._others if clause.holds(values)]
        for head in self._by_head.keys() & values.heads:
            for path, by_scalar in self._by_head[head].items():
                present = values[path]
                if present is None:
                    continue
                for scalar in present.scalars:
                    for position, clause in by_scalar.get(scalar, ()):
                        if clause.holds(values):
                            found.append(position)
        return found

    def __bool__(self) -> bool:
        return bool(self._others or self._by_head)


def _exact_keys(clause: Clause) -> Iterator[_Key]:
    for condition in clause.conditions:
        if condition.is_exact:
            for scalar in condition.exact:
                yield condition.path, scalar
    for group in clause.alternatives:
        for each in group:
            yield from _exact_keys(each)


def _needed_keys(clause: Clause, uses: Mapping[_Key, int]) -> set[_Key] | None:
    """Keys and values of which a message must have one to pass, the least used ones.

    None: there are none, as for policies of prefixes only.
    """
    choices: list[set[_Key]] = [
        {(condition.path, scalar) for scalar in condition.exact}
        for condition in clause.conditions
        if condition.is_exact
    ]
    for group in clause.alternatives:
        of_branches = [_needed_keys(each, uses) for each in group]
        needed = [keys for keys in of_branches if keys is not None]
        if len(needed) == len(of_branches):
            choices.append(set().union(*needed))
    return min(choices, key=lambda keys: sum(uses[key] for key in keys), default=None)


class FilterIndex(Generic[Item]):
    """Filter policies of many items, such as the subscriptions of a topic.

    Policies with a key that only takes listed values are found by these values; each of the
    others is tried.
    """

    def __init__(self, entries: Iterable[tuple[Item, FilterPolicy | None]]) -> None:
        """``entries``: the items, each with its policy or None if it takes all messages."""
        self._items: list[Item] = []
        self._unfiltered: list[int] = []
        candidates: dict[str, list[_Candidate]] = {MESSAGE_ATTRIBUTES: [], MESSAGE_BODY: []}
        for position, (item, policy) in enumerate(entries):
            self._items.append(item)
            if policy is None:
                self._unfiltered.append(position)
            else:
                candidates[policy.scope].append((position, policy.clause))
        scopes = {scope: _ScopeIndex(scope, chosen) for scope, chosen in candidates.items()}
        #: the scopes that have policies: a body that no policy looks at is not read
        self._scopes = [(scope, index) for scope, index in scopes.items() if index]

    def matching(self, facts: MessageFacts) -> list[Item]:
        """The items that get the message, in the order in which they were given."""
        items = self._items
        if not self._scopes:
            return items.copy()
        found: set[int] = set()
        for scope, index in self._scopes:
            values = facts.values(scope)
            if values is not None:
                found.update(index.matching(values))
        return [items[position] for position in sorted([*found, *self._unfiltered])]
