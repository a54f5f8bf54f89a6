"""Reads the HOCON that occurs in ``elasticmq.conf``, with the line of each value.

Objects, lists, dotted, quoted and repeated keys, ``=`` ``:`` ``{`` ``+=``, comments, texts with one
three, or no quotes, ``include classpath(...)`` (which stands for defaults, and is left out).
``${?NAME}`` counts as not set and is warned of; other substitutions and includes are refused.
"""

import json
import re
from typing import Any

from api.config.nodes import ConfigError, Node, Problem, item_path, key_path

_DEPTH_MAX = 100
_BLANK = re.compile(r"(?:[^\S\n]|(?:#|//)[^\n]*)+")
_GAP = re.compile(r"(?:[\s,]|(?:#|//)[^\n]*)+")
_LINES = re.compile(r"(?:\s|(?:#|//)[^\n]*)+")
_UNQUOTED_KEY = re.compile(r"[^\s\"{}\[\]:=,+#`^?!@*&\\$.]+")
_UNQUOTED = re.compile(r"(?:(?!//)[^\n\"{}\[\],#$])+")
_QUOTED = re.compile(r'"(?:[^"\\\n]|\\.)*"')
_TRIPLE = re.compile(r'"""(.*?)"""(?!")', re.DOTALL)
_INCLUDE = re.compile(r"include[^\S\n]+([^\n]*)")
_DEFAULTS = re.compile(r"(?:required\()?classpath\(")
_SUBSTITUTION = re.compile(r"\$\{(\??)([^}\n]*)\}")
_INTEGER = re.compile(r"-?(?:0|[1-9][0-9]{0,18})")
_FLOAT = re.compile(r"-?[0-9]+\.[0-9]+")


def read_hocon(text: str, file: str) -> tuple[Node, list[Problem]]:
    """The object in ``text``, and what of it is passed over; raises ``ConfigError``.

    ``file`` is named in errors.
    """
    reader = _Reader(text.removeprefix("\ufeff"))
    try:
        return reader.document(), reader.warnings
    except _Refused as refused:
        raise ConfigError(file, [Problem(reader.line, "", str(refused))]) from None


class _Refused(Exception):
    """What stands at the reader's place cannot be read."""


class _Reader:
    def __init__(self, text: str) -> None:
        self.warnings: list[Problem] = []
        self._text = text
        self._at = 0
        self._counted = (0, 1)  # up to where lines were counted, and the line there

    @property
    def line(self) -> int:
        """The line of the reader's place."""
        at, line = self._counted
        line += self._text.count("\n", at, self._at)
        self._counted = (self._at, line)
        return line

    def _skip(self, what: re.Pattern[str]) -> bool:
        return self._take(what) is not None

    def _take(self, what: re.Pattern[str]) -> re.Match[str] | None:
        match = what.match(self._text, self._at)
        if match is not None:
            self._at = match.end()
        return match

    def _next(self, *texts: str) -> bool:
        """Step over one of these, if it stands here."""
        for text in texts:
            if self._text.startswith(text, self._at):
                self._at += len(text)
                return True
        return False

    def _shown(self) -> str:
        return repr(self._text[self._at]) if self._at < len(self._text) else "the end of the file"

    # --- structure ------------------------------------------------------------------------------

    def document(self) -> Node:
        self._skip(_GAP)
        line = self.line
        braces = self._next("{")
        members = self._members("", 0, closing=braces)
        self._skip(_GAP)
        if self._at < len(self._text):
            raise _Refused(f"unexpected {self._shown()}")
        return Node(members, line)

    def _members(self, path: str, depth: int, *, closing: bool) -> dict[str, Node]:
        """The members of an object, up to its brace or the end of the file."""
        members: dict[str, Node] = {}
        while True:
            self._skip(_GAP)
            if closing and self._next("}"):
                return members
            if self._at == len(self._text):
                if closing:
                    raise _Refused(f"the {{ of {path or 'the file'} is not closed")
                return members
            if not self._included():
                self._member(members, path, depth)
                self._end_of_value()

    def _included(self) -> bool:
        match = _INCLUDE.match(self._text, self._at)
        if match is None:
            return False
        if not _DEFAULTS.match(match[1]):
            raise _Refused(f"other files are not included: {match[1]}")
        self._at = match.end()
        return True

    def _end_of_value(self) -> None:
        self._skip(_BLANK)
        if self._at < len(self._text) and self._text[self._at] not in "\n,}]":
            raise _Refused(f"unexpected {self._shown()} after a value")

    def _member(self, members: dict[str, Node], path: str, depth: int) -> None:
        line = self.line
        keys = self._keys()
        for key in keys[:-1]:
            path = key_path(path, key)
            inner = members.get(key)
            if inner is None or not isinstance(inner.value, dict):
                inner = members[key] = Node({}, line, path)
            members = inner.value
        key = keys[-1]
        path = key_path(path, key)
        self._skip(_LINES)
        appends = self._next("+=")
        if not appends and not self._next("=", ":") and not self._text.startswith("{", self._at):
            raise _Refused(f"{path}: expected = or {{, not {self._shown()}")
        self._skip(_LINES)
        value = self._value(path, line, depth + 1)
        if value is None:
            return
        before = members.get(key)
        if appends:
            items = before.value if before is not None and isinstance(before.value, list) else []
            members[key] = Node([*items, value], line, path)
        elif (
            before is not None and isinstance(before.value, dict) and isinstance(value.value, dict)
        ):
            _merge(before.value, value.value)
        else:
            members[key] = value

    def _keys(self) -> list[str]:
        keys = []
        while True:
            if quoted := self._quoted():
                keys.append(quoted[0])
            elif match := self._take(_UNQUOTED_KEY):
                keys.append(match[0])
            else:
                raise _Refused(f"expected a key, not {self._shown()}")
            self._skip(_BLANK)
            if not self._next("."):
                return keys

    # --- values ---------------------------------------------------------------------------------

    def _value(self, path: str, line: int, depth: int) -> Node | None:
        """The value that stands here; None if it counts as not set."""
        if depth > _DEPTH_MAX:
            raise _Refused("nested too deeply")
        if self._next("{"):
            members = self._members(path, depth, closing=True)
            while self._next_object():
                _merge(members, self._members(path, depth, closing=True))
            return Node(members, line, path)
        if self._next("["):
            return Node(self._items(path, depth), line, path)
        return self._scalar(path, line)

    def _next_object(self) -> bool:
        """Whether another object follows on the same line: it is added to the one before."""
        self._skip(_BLANK)
        return self._next("{")

    def _items(self, path: str, depth: int) -> list[Node]:
        items: list[Node] = []
        while True:
            self._skip(_GAP)
            if self._next("]"):
                return items
            if self._at == len(self._text):
                raise _Refused(f"the [ of {path} is not closed")
            value = self._value(item_path(path, len(items)), self.line, depth + 1)
            if value is not None:
                items.append(value)
            self._end_of_value()

    def _scalar(self, path: str, line: int) -> Node | None:
        """Texts that follow each other on a line are one."""
        parts: list[str] = []
        quoted = unset = False
        while True:
            if text := self._quoted():
                parts.append(text[0])
                quoted = True
            elif match := self._take(_UNQUOTED):
                parts.append(match[0])
            elif match := self._take(_SUBSTITUTION):
                if not match[1]:
                    raise _Refused(f"{path}: substitutions such as {match[0]} are not read")
                self.warnings.append(
                    Problem(line, path, f"{match[0]} is not read: it counts as not set")
                )
                unset = True
            else:
                break
        text_ = "".join(parts)
        if not quoted:
            text_ = text_.strip()
            if not text_ and not unset:
                raise _Refused(f"{path}: expected a value, not {self._shown()}")
        elif len(parts) > 1:
            text_ = text_.strip()  # a quoted text keeps its blanks only if it stands alone
        if unset and not text_:
            return None
        return Node(text_ if quoted else _typed(text_), line, path)

    def _quoted(self) -> tuple[str] | None:
        """The quoted text that stands here, which may be empty."""
        if match := self._take(_TRIPLE):
            return (match[1],)
        line = self._at
        if match := self._take(_QUOTED):
            try:
                return (json.loads(match[0], strict=False),)
            except ValueError:
                self._at = line
                raise _Refused(f"{match[0]} has an escape that is none") from None
        if self._text.startswith('"', self._at):
            raise _Refused("a quote is not closed")
        return None


def _typed(text: str) -> Any:
    """An unquoted text as what it says."""
    if text in ("true", "false"):
        return text == "true"
    if text == "null":
        return None
    if _INTEGER.fullmatch(text):
        return int(text)
    return float(text) if _FLOAT.fullmatch(text) else text


def _merge(members: dict[str, Node], added: dict[str, Node]) -> None:
    """Add members; of those that are objects on both sides, their members."""
    for key, node in added.items():
        before = members.get(key)
        if before is not None and isinstance(before.value, dict) and isinstance(node.value, dict):
            _merge(before.value, node.value)
        else:
            members[key] = node
