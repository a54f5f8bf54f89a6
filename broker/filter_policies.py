"""Filter policies: what subscribers write, its rules and limits (SNS reference, 7).

``broker/filter_matching.py`` applies what is parsed here.  The refusals come in the order in which
AWS reads: the JSON, the grammar from the first character to the last, the limits.
"""

import json
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from ipaddress import IPv4Address, IPv6Address
from typing import Any, NoReturn

from broker.filter_matching import (
    MESSAGE_ATTRIBUTES,
    Clause,
    Condition,
    FilterPolicy,
    Literal,
    Scalar,
    Test,
    anything_but,
    anything_unlike,
    cidr,
    equals_ignore_case,
    ip_literal,
    number,
    numeric,
    prefix,
    read_json,
    suffix,
    wildcard,
)

# Limits (7.3)
KEYS_MAX = 5
COMPLEXITY_MAX = 150
POLICY_BYTES_MAX = 262_144

_OR = "$or"
_LOCATED_CHARACTERS_MAX = 500  # what Jackson quotes of a source
_COMPARISONS: Mapping[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


class FilterPolicyError(Exception):
    """A filter policy that is refused.

    ``detail`` ends AWS's text.  Before it the name of the attribute, ``FilterPolicy: ``, is
    written if the refusal is ``of_the_policy``, not of its use in a scope (7.1).
    """

    def __init__(self, detail: str, *, of_the_policy: bool = True) -> None:
        self.detail = detail
        self.of_the_policy = of_the_policy
        super().__init__(detail)


class _Number(str):
    """A JSON number as it was written."""

    __slots__ = ()


class _Misplaced(Exception):
    """A refusal that tells where in the policy it applies: at ``key``."""

    def __init__(self, detail: str, key: str) -> None:
        self.detail = detail
        self.key = key


def parse_filter_policy(text: str, scope: str) -> FilterPolicy | None:
    """The policy that a text is, for a scope: ``MessageAttributes`` or ``MessageBody``.

    None if it filters nothing: an empty text or object.  Raises ``FilterPolicyError`` with the
    text of section 7.4.
    """
    if not text:
        return None
    # no text has fewer bytes than characters
    if (
        len(text) > POLICY_BYTES_MAX
        or len(text.encode("utf-8", "surrogatepass")) > POLICY_BYTES_MAX
    ):
        raise FilterPolicyError("Filter policy can not be larger than 256 KB")
    document = _read(text)
    if document == {}:
        return None
    try:
        if not isinstance(document, dict):
            raise _Misplaced("Filter is not an object", "")
        parser = _Parser()
        clause = parser.clause(document, above="", depth=1)
    except _Misplaced as misplaced:
        raise FilterPolicyError(misplaced.detail + _location(text, misplaced.key)) from None
    if parser.is_nested and scope == MESSAGE_ATTRIBUTES:
        raise FilterPolicyError(
            "Filter policy scope MessageAttributes does not support nested filter policy",
            of_the_policy=False,
        )
    # Of a nested policy the leaves are counted, as the newest documents say.
    if len(parser.paths) > KEYS_MAX:
        raise FilterPolicyError(f"Filter policy can not have more than {KEYS_MAX} keys")
    if complexity(clause) > COMPLEXITY_MAX:
        raise _too_complex()
    return FilterPolicy(scope, clause)


def complexity(clause: Clause) -> int:
    """The combinations of a policy's rules, as AWS counts them: depth multiplies (7.3)."""
    product = 1
    for condition in clause.conditions:
        product *= len(condition.written) * condition.depth
    for group in clause.alternatives:
        product *= sum(complexity(each) for each in group)
    return product


def _too_complex() -> FilterPolicyError:
    return FilterPolicyError("Filter policy is too complex")


# --- JSON, and what AWS's reader says of it -----------------------------------------------------


def _read(text: str) -> Any:
    try:
        return read_json(text, number_type=_Number)
    except json.JSONDecodeError as error:
        detail = _jackson_text(error)
        at = _source(text, error.lineno, error.colno + 1)
    except ValueError:
        detail = "Non-standard token: only finite numbers are JSON"
        at = _source(text, 1, 1)
    except RecursionError:
        detail = "Document nesting depth exceeds the maximum allowed"
        at = _source(text, 1, 1)
    raise FilterPolicyError(f"failed to parse JSON. {detail}{at}")


def _jackson_text(error: json.JSONDecodeError) -> str:
    text, at = error.doc, error.pos
    if not text.strip():
        return "No content to map due to end-of-input"
    if at >= len(text) or error.msg.startswith("Unterminated"):
        return "Unexpected end-of-input"
    if error.msg.startswith("Expecting value") and (word := re.compile(r"\w+").match(text, at)):
        return (
            f"Unrecognized token '{word[0][:256]}': was expecting"
            " (JSON String, Number, Array, Object or token 'null', 'true' or 'false')"
        )
    unexpected = f"Unexpected character ('{text[at]}' (code {ord(text[at])}))"
    if error.msg.startswith("Expecting property name"):
        return f"{unexpected}: was expecting double-quote to start field name"
    return unexpected


def _location(text: str, key: str) -> str:
    """Where a key stands; its first place, if there are several."""
    quoted = f'"{key}"'
    end = max(text.find(quoted), 0) + len(quoted)
    line_start = text.rfind("\n", 0, end) + 1
    return _source(text, text.count("\n", 0, end) + 1, end - line_start + 1)


def _source(text: str, line: int, column: int) -> str:
    quoted = f'"{text}"'
    if len(text) > _LOCATED_CHARACTERS_MAX:
        left_out = len(text) - _LOCATED_CHARACTERS_MAX
        quoted = f'"{text[:_LOCATED_CHARACTERS_MAX]}"[truncated {left_out} chars]'
    return f"\n at [Source: (String){quoted}; line: {line}, column: {column}]"


# --- the grammar (7.2), with the texts of 7.4 ---------------------------------------------------


class _Parser:
    """Reads one policy, and notes the paths of its keys."""

    def __init__(self) -> None:
        self.paths: set[str] = set()
        self.is_nested = False
        self._level = 0

    def clause(self, document: Mapping[str, Any], *, above: str, depth: int) -> Clause:
        """What an object asks for; ``above`` is the path to it, ended by a dot unless empty."""
        conditions: dict[str, Condition] = {}
        alternatives: list[Sequence[Clause]] = []
        self._object(document, above, depth, conditions, alternatives)
        return Clause(tuple(conditions.values()), tuple(alternatives))

    def _object(
        self,
        document: Mapping[str, Any],
        above: str,
        depth: int,
        conditions: dict[str, Condition],
        alternatives: list[Sequence[Clause]],
    ) -> None:
        # each level of objects, or of alternatives, multiplies or adds one at least
        self._level += 1
        if self._level > COMPLEXITY_MAX:
            raise _too_complex()
        if not document:
            raise _Misplaced("Empty objects are not allowed", above.rpartition(".")[0])
        for key, value in document.items():
            path = above + key
            if key == _OR and _are_alternatives(value):
                group = [self.clause(each, above=above, depth=depth) for each in value]
                alternatives.append(group)
            elif isinstance(value, dict):
                self.is_nested = True
                self._object(value, f"{path}.", depth + 1, conditions, alternatives)
            elif isinstance(value, list):
                # two ways to write one path: the later one counts, as with equal keys
                conditions[path] = _Rules(key).condition(path, value, depth)
                self.paths.add(path)
            else:
                raise _Misplaced(f'"{key}" must be an object or an array', key)
        self._level -= 1


def _are_alternatives(value: Any) -> bool:
    return (
        isinstance(value, list)
        and len(value) >= 2
        # objects that have an operator as a key are rules
        and all(isinstance(each, dict) and _RESERVED.isdisjoint(each) for each in value)
    )


class _Rules:
    """Collects the rules of one key."""

    def __init__(self, key: str) -> None:
        self._key = key
        self._exact: set[Scalar] = set()
        self._tests: list[Test] = []
        self._refusals: list[Test] = []
        self._exists: set[bool] = set()

    def condition(self, path: str, rules: Sequence[Any], depth: int) -> Condition:
        """What the rules of a path ask for."""
        if not rules:
            self._refuse("Empty arrays are not allowed")
        for rule in rules:
            self._add(rule)
        return Condition(
            path,
            [_as_written(rule) for rule in rules],
            depth,
            frozenset(self._exact),
            tuple(self._tests),
            tuple(self._refusals),
            accepts_present=True in self._exists,
            accepts_absent=False in self._exists,
        )

    def _refuse(self, detail: str) -> NoReturn:
        raise _Misplaced(detail, self._key)

    def _add(self, rule: Any) -> None:
        if isinstance(rule, list):
            self._refuse("Match value must be String, number, true, false, or null")
        if not isinstance(rule, dict):
            self._exact.add(_scalar(rule))
            return
        if not rule:
            self._refuse("Match expression name not found")
        name, operand = next(iter(rule.items()))
        if name not in _OPERATORS:
            self._refuse(f"Unrecognized match type {name}")
        _OPERATORS[name](self, operand)
        self._only_one(rule)

    def _only_one(self, expression: Mapping[str, Any]) -> None:
        if len(expression) > 1:
            self._refuse("Only one key allowed in match expression")

    def _text(self, operand: Any, name: str) -> str:
        if not isinstance(operand, str) or isinstance(operand, _Number):
            self._refuse(f"{name} match pattern must be a string")
        return operand

    def _prefix(self, operand: Any) -> None:
        self._tests.append(prefix(self._text(operand, "prefix")))

    def _suffix(self, operand: Any) -> None:
        self._tests.append(suffix(self._text(operand, "suffix")))

    def _equals_ignore_case(self, operand: Any) -> None:
        self._tests.append(equals_ignore_case(self._text(operand, "equals-ignore-case")))

    def _wildcard(self, operand: Any) -> None:
        self._tests.append(wildcard(self._wildcard_parts(operand)))

    def _is_there(self, operand: Any) -> None:
        if not isinstance(operand, bool):
            self._refuse("exists match pattern must be either true or false.")
        self._exists.add(operand)

    # anything-but

    def _anything_but(self, operand: Any) -> None:
        if isinstance(operand, dict):
            self._refusals.append(self._anything_unlike(operand))
            return
        values = operand if isinstance(operand, list) else [operand]
        if not values:
            self._refuse("Empty arrays are not allowed")
        if not all(isinstance(each, str) for each in values):
            self._refuse(
                "Inside anything but list, start|null|boolean is not supported."
                if isinstance(operand, list)
                else "Value of anything-but must be an array or single string/number value."
            )
        if len({isinstance(each, _Number) for each in values}) > 1:
            self._refuse(
                "Inside anything but list, either all values are number or string,"
                " mixed type is not supported"
            )
        self._refusals.append(anything_but(frozenset(map(_scalar, values))))

    def _anything_unlike(self, expression: Mapping[str, Any]) -> Test:
        if not expression:
            self._refuse("Anything-But expression name not found")
        name, operand = next(iter(expression.items()))
        patterns = operand if isinstance(operand, list) and operand else [operand]
        if name == "prefix":
            test = anything_unlike(prefix(*(self._text(each, name) for each in patterns)))
        elif name == "wildcard":
            test = anything_unlike(*(wildcard(self._wildcard_parts(each)) for each in patterns))
        else:
            self._refuse(f"Unsupported anything-but pattern: {name}")
        self._only_one(expression)
        return test

    # wildcard

    def _wildcard_parts(self, operand: Any) -> list[str]:
        """What stands between the asterisks of a pattern; ``\\*`` and ``\\\\`` are no more than
        the second character.

        The texts are those of the open-source rule engine whose texts AWS uses elsewhere.
        """
        pattern = self._text(operand, "wildcard")
        if "\\" not in pattern:
            if (at := pattern.find("**")) >= 0:
                self._bad_pattern(f"Consecutive wildcard characters at pos {at + 1}")
            return pattern.split("*")
        parts: list[list[str]] = [[]]
        characters = iter(enumerate(pattern))
        after_wildcard = False
        for at, character in characters:
            if character == "*":
                if after_wildcard:
                    self._bad_pattern(f"Consecutive wildcard characters at pos {at}")
                parts.append([])
            elif character == "\\":
                _, escaped = next(characters, (0, ""))
                if escaped not in ("*", "\\"):
                    self._bad_pattern(f"Invalid escape character at pos {at}")
                parts[-1].append(escaped)
            else:
                parts[-1].append(character)
            after_wildcard = character == "*"
        return ["".join(part) for part in parts]

    def _bad_pattern(self, detail: str) -> NoReturn:
        raise FilterPolicyError(detail)

    # numeric

    def _numeric(self, operand: Any) -> None:
        if not isinstance(operand, list):
            self._refuse("Value of numeric must be an array.")
        # Past the end stands what AWS's reader finds there, too.
        name, *terms = [*operand, _END]
        if name is _END or not _is_text(name):
            self._refuse(f"Invalid member in numeric match: {_token(name)}")
        if name == "=":
            self._exact.add(self._number(terms[0], "equals"))
            self._nothing_more(terms[1:], "Too many elements in numeric expression")
            return
        if name not in _COMPARISONS:
            self._refuse(f"Unrecognized numeric range operator: {name}")
        bound = self._bound(terms[0], name)
        if name in ("<", "<="):
            self._nothing_more(terms[1:], "Too many elements in numeric expression")
        elif terms[1] is not _END:
            self._range(name, bound, terms[1:])
            return
        self._tests.append(numeric([(_COMPARISONS[name], bound)]))

    def _range(self, name: str, bottom: Decimal, terms: Sequence[Any]) -> None:
        top_name = terms[0]
        if not _is_text(top_name):
            self._refuse(f"Bad value in numeric range: {_token(top_name)}")
        if top_name not in ("<", "<="):
            self._refuse(f"Bad numeric range operator: {top_name}")
        top = self._bound(terms[1], top_name)
        self._nothing_more(terms[2:], "Too many terms in numeric range expression")
        if bottom >= top:
            self._refuse("Bottom must be less than top")
        self._tests.append(numeric([(_COMPARISONS[name], bottom), (_COMPARISONS[top_name], top)]))

    def _number(self, term: Any, name: str) -> Scalar:
        if not isinstance(term, _Number):
            self._refuse(f"Value of {name} must be numeric")
        return number(term)

    def _bound(self, term: Any, name: str) -> Decimal:
        bound = self._number(term, name)
        if not isinstance(bound, Decimal):
            self._refuse(f"Value of {name} must be numeric")
        return bound

    def _nothing_more(self, terms: Sequence[Any], detail: str) -> None:
        if terms[0] is not _END:
            self._refuse(detail)

    # cidr

    def _cidr(self, operand: Any) -> None:
        # AWS names the wrong operator here.
        self._tests.append(cidr(*_block(self._text(operand, "prefix"))))


_OPERATORS: Mapping[str, Callable[[_Rules, Any], None]] = {
    "anything-but": _Rules._anything_but,
    "cidr": _Rules._cidr,
    "equals-ignore-case": _Rules._equals_ignore_case,
    "exists": _Rules._is_there,
    "numeric": _Rules._numeric,
    "prefix": _Rules._prefix,
    "suffix": _Rules._suffix,
    "wildcard": _Rules._wildcard,
}
_RESERVED = {*_OPERATORS, "exact"}  # of the rule engine's operators SNS lacks one


def _block(block: str) -> tuple[IPv4Address | IPv6Address, int]:
    """An address and a number of bits that fit together, else ``FilterPolicyError``.

    These refusals tell no place (7.4).
    """
    address_text, _, bits = block.partition("/")
    if block.count("/") != 1 or not address_text or not bits:
        raise FilterPolicyError("Malformed CIDR, one '/' required")
    if not re.fullmatch(r"[+-]?\d{1,9}", bits, re.A):
        raise FilterPolicyError("Malformed CIDR, mask bits must be an integer")
    if int(bits) < 0:
        raise FilterPolicyError("Malformed CIDR, mask bits must not be negative")
    address = ip_literal(address_text)
    if address is None:
        raise FilterPolicyError(f"Nonstandard IP address: {address_text}")
    if int(bits) > address.max_prefixlen:
        raise FilterPolicyError(
            f"IPv{address.version} mask bits must be <= {address.max_prefixlen}"
        )
    return address, int(bits)


class _End:
    """The end of an array, where AWS's reader expects a member."""


_END = _End()


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and not isinstance(value, _Number)


def _token(value: Any) -> str:
    """What AWS's reader has before it where a value begins."""
    if value is _END:
        return "]"
    if isinstance(value, str):
        return str(value)
    if isinstance(value, dict):
        return "{"
    return "[" if isinstance(value, list) else json.dumps(value)


def _scalar(value: Any) -> Scalar:
    if isinstance(value, _Number):
        return number(value)
    return value if isinstance(value, str) else Literal(value)


def _as_written(rule: Any) -> Any:
    """A rule, with numbers for their texts."""
    if isinstance(rule, _Number):
        return number(rule)
    if isinstance(rule, dict):
        return {name: _as_written(operand) for name, operand in rule.items()}
    return [_as_written(each) for each in rule] if isinstance(rule, list) else rule
