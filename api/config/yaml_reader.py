"""Reads YAML, and JSON as the YAML that it is, with the line of each value.

Plain scalars are YAML 1.2's: ``yes``, ``on``, dates and numbers with leading zeros are texts.
"""

import json
import re
from typing import Any

import yaml

from api.config.nodes import ConfigError, Node, Problem, item_path, key_path

#: libyaml's parser, where it is there, is ten times as fast
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
#: how much aliases may make of a small file
_VALUES_MAX = 1_000_000
_DEPTH_MAX = 100
_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]*)")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|(0|[1-9][0-9]*)(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_ESCAPE = re.compile(r"\\(?:u[dD][89abAB]..\\u[dD][c-fC-F]..|.)")
_CORE = "tag:yaml.org,2002:"
_PLAIN_TAGS = frozenset(_CORE + each for each in ("null", "bool", "int", "float", "timestamp"))
_MERGE = _CORE + "merge"


def read_yaml(text: str, file: str) -> Node:
    """The document in ``text``; raises ``ConfigError``.

    ``file`` is named in errors; a name in ``.json`` promises JSON.
    """
    if file.endswith(".json"):
        text = _checked_json(text, file)
    try:
        root = yaml.compose(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        reason = ", ".join(each for each in (error.context, error.problem) if each)
        raise ConfigError(
            file, [Problem(0 if mark is None else mark.line + 1, "", reason)]
        ) from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise ConfigError(file, [Problem(line, "", error.reason)]) from None
    except (yaml.YAMLError, RecursionError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise ConfigError(file, [Problem(0, "", reason)]) from None
    if root is None:
        return Node(None, 1)
    reader = _Reader()
    node = reader.read(root, root.start_mark.line + 1, "", 0)
    if reader.problems:
        raise ConfigError(file, reader.problems)
    return node


def _checked_json(text: str, file: str) -> str:
    """The same JSON in a form that YAML reads.

    Tabs may indent JSON, but not YAML; and JSON escapes some characters as two halves.
    """
    try:
        json.loads(text)
    except json.JSONDecodeError as error:
        raise ConfigError(file, [Problem(error.lineno, "", error.msg)]) from None
    except RecursionError:
        raise ConfigError(file, [Problem(0, "", "nested too deeply")]) from None
    return _ESCAPE.sub(lambda match: _whole(match[0]), text.replace("\t", " "))


def _whole(escape: str) -> str:
    return str(json.loads(f'"{escape}"')) if len(escape) == 12 else escape


class _Reader:
    """Makes nodes of YAML's, and remembers what it could not."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self._values = 0

    def read(self, node: Any, line: int, path: str, depth: int) -> Node:
        self._values += 1
        if depth > _DEPTH_MAX or self._values > _VALUES_MAX:
            if not self.problems or self.problems[-1].reason != _TOO_MUCH:
                self.problems.append(Problem(line, path, _TOO_MUCH))
            return Node(None, line, path)
        if isinstance(node, yaml.MappingNode):
            return Node(self._mapping(node, path, depth), line, path)
        if isinstance(node, yaml.SequenceNode):
            items = [
                self.read(each, each.start_mark.line + 1, item_path(path, index), depth + 1)
                for index, each in enumerate(node.value)
            ]
            return Node(items, line, path)
        return Node(self._scalar(node, line, path), line, path)

    def _mapping(self, node: Any, path: str, depth: int) -> dict[str, Node]:
        members: dict[str, Node] = {}
        merged: dict[str, Node] = {}
        for key, value in node.value:
            line = key.start_mark.line + 1
            if key.tag == _MERGE:
                self._merge(merged, value, line, path, depth)
                continue
            if not isinstance(key, yaml.ScalarNode):
                self.problems.append(Problem(line, path, "a key must be a text"))
                continue
            where = key_path(path, key.value)
            if key.value in members:
                self.problems.append(
                    Problem(line, where, f"is there twice, first in line {members[key.value].line}")
                )
                continue
            members[key.value] = self.read(value, line, where, depth + 1)
        return {**merged, **members}

    def _merge(self, merged: dict[str, Node], value: Any, line: int, path: str, depth: int) -> None:
        """What ``<<: *defaults`` adds; of a list of mappings the first has precedence."""
        for each in value.value if isinstance(value, yaml.SequenceNode) else [value]:
            if not isinstance(each, yaml.MappingNode):
                self.problems.append(Problem(line, path, "<< must be a mapping or a list of them"))
                continue
            for key, node in (self.read(each, line, path, depth + 1).value or {}).items():
                merged.setdefault(key, node)

    def _scalar(self, node: Any, line: int, path: str) -> Any:
        text = str(node.value)
        if node.tag == _CORE + "str":
            return text
        if node.tag not in _PLAIN_TAGS:
            self.problems.append(Problem(line, path, f"the tag {node.tag} has no meaning here"))
            return None
        if node.tag == _CORE + "null":
            return None
        if text in ("true", "True", "TRUE", "false", "False", "FALSE"):
            return text.lower() == "true"
        if _INTEGER.fullmatch(text) and len(text) <= 20:
            return int(text)
        return float(text) if _FLOAT.fullmatch(text) else text


_TOO_MUCH = "nested too deeply, or too much by repeating aliases"
