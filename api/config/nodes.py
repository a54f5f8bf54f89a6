"""What stands in a file, with the line of each part; and what is wrong with it."""

import dataclasses
from collections.abc import Sequence
from typing import Any, NamedTuple

Loc = tuple[str | int, ...]


class Problem(NamedTuple):
    """Something in a file that cannot be used."""

    line: int  # 0: the file as a whole
    path: str  # such as ``queues.orders.visibilityTimeout``; empty: none
    reason: str

    def text(self, file: str) -> str:
        """One line: where, and why."""
        where = f"{file}:{self.line}" if self.line else file
        text = f"{where}: {self.path}: {self.reason}" if self.path else f"{where}: {self.reason}"
        return " ".join(text.split())


class ConfigError(Exception):
    """A file that cannot be used; ``lines`` say where and why, each on its own."""

    def __init__(self, file: str, problems: Sequence[Problem]) -> None:
        self.lines = [problem.text(file) for problem in sorted(set(problems))]
        super().__init__("\n".join(self.lines))


@dataclasses.dataclass(frozen=True, slots=True)
class Node:
    """A value of a file: a text, number, boolean, None, a list of nodes, or a dict of them."""

    value: Any
    line: int
    path: str = ""

    def plain(self) -> Any:
        """The value without its places."""
        if isinstance(self.value, dict):
            return {key: each.plain() for key, each in self.value.items()}
        if isinstance(self.value, list):
            return [each.plain() for each in self.value]
        return self.value

    def with_value(self, value: Any) -> "Node":
        """Another value that stands for this one."""
        return dataclasses.replace(self, value=value)

    def at(self, loc: Loc) -> "Node":
        """The part that ``loc`` leads to, or the nearest that there is on the way."""
        node = self
        for step in loc:
            inner = node._member(step)
            if inner is None:
                break
            node = inner
        return node

    def _member(self, step: str | int) -> "Node | None":
        if isinstance(self.value, dict):
            return self.value.get(step)
        if isinstance(self.value, list) and isinstance(step, int) and step < len(self.value):
            inner: Node = self.value[step]
            return inner
        return None

    def problem(self, reason: str) -> Problem:
        """Something that is wrong here."""
        return Problem(self.line, self.path, reason)


def key_path(path: str, key: str) -> str:
    """The path of a member of a mapping."""
    return f"{path}.{key}" if path else key


def item_path(path: str, index: int) -> str:
    """The path of an item of a list."""
    return f"{path}[{index}]"
