"""What the readers of other brokers' files have in common: they give a file of ours."""

import dataclasses
import difflib
from collections.abc import Iterable

from api.config.nodes import ConfigError, Node, Problem

#: hosts that say nothing about how clients reach the server
_ANYWHERE = ("", "*", "localhost", "127.0.0.1", "0.0.0.0", "::")  # noqa: S104


@dataclasses.dataclass(slots=True)
class Foreign:
    """A file in Headrace's format, read from one that may be in another."""

    node: Node
    settings: dict[str, str] = dataclasses.field(default_factory=dict)
    warnings: list[Problem] = dataclasses.field(default_factory=list)


class ForeignReader:
    """Goes through the file of another broker, collecting what is wrong with it."""

    def __init__(self, file: str) -> None:
        self._file = file
        self.problems: list[Problem] = []
        self.warnings: list[Problem] = []
        self.settings: dict[str, str] = {}

    def finish(self, node: Node) -> Foreign:
        """What was read; raises ``ConfigError``."""
        if self.problems:
            raise ConfigError(self._file, self.problems)
        return Foreign(node, self.settings, self.warnings)

    def members(self, node: Node | None, known: Iterable[str] | None = None) -> dict[str, Node]:
        """The members of a mapping, which may be left out; others than ``known`` are wrong."""
        if node is None or node.value is None:
            return {}
        if not isinstance(node.value, dict):
            self.problems.append(node.problem("must be a mapping"))
            return {}
        members: dict[str, Node] = node.value
        if known is None:
            return members
        names = list(known)
        for key, member in members.items():
            if key not in names:
                nearest = difflib.get_close_matches(key, names, n=1)
                hint = f"did you mean {nearest[0]}?" if nearest else f"known are {', '.join(names)}"
                self.problems.append(member.problem(f"unknown key; {hint}"))
        return {key: member for key, member in members.items() if key in names}

    def items(self, node: Node | None) -> list[Node]:
        """The items of a list, which may be left out."""
        if node is None or node.value is None:
            return []
        if not isinstance(node.value, list):
            self.problems.append(node.problem("must be a list"))
            return []
        items: list[Node] = node.value
        return items

    def unsupported(self, node: Node | None, reason: str) -> None:
        """Warn of what is there and has no effect, unless it is off."""
        if node is not None and node.value not in (None, False, "", 0):
            self.warnings.append(node.problem(reason))

    def suggest(self, setting: str, node: Node | None) -> None:
        """Take a value as that of one of the server's settings."""
        if node is None or node.value is None:
            return
        if isinstance(node.value, dict | list):
            self.problems.append(node.problem("must be a text or a number"))
        else:
            self.settings[setting] = str(node.value)

    def suggest_public_url(self, scheme: str, host: Node | None, port: Node | None) -> None:
        """Take a host that queue URLs are to have, if it is one."""
        if host is None or not isinstance(host.value, str) or host.value in _ANYWHERE:
            return
        at = "" if port is None or port.value is None else f":{port.value}"
        self.settings["public_url"] = f"{scheme}://{host.value}{at}"
