"""Loads a file of declared resources, whatever its format."""

import dataclasses
import difflib
import re
import types
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from api.config.elasticmq import read_elasticmq
from api.config.foreign import Foreign
from api.config.goaws import is_goaws, read_goaws
from api.config.hocon_reader import read_hocon
from api.config.models import Account, File, Region, aws_name
from api.config.nodes import ConfigError, Loc, Node, Problem
from api.config.yaml_reader import read_yaml

_REASONS = {
    "missing": "is missing",
    "model_type": "must be a mapping",
    "dict_type": "must be a mapping",
    "list_type": "must be a list",
}


@dataclasses.dataclass(frozen=True, slots=True)
class Block:
    """The queues and topics of one account in one region; None: the server's own."""

    account: str | None
    region: str | None
    content: Region
    node: Node  # what ``content`` was read from


@dataclasses.dataclass(frozen=True, slots=True)
class Declaration:
    """What a file declares."""

    file: str  # as errors name it
    blocks: list[Block]
    #: settings that the file of another broker speaks of, as their options would be given
    server_settings: Mapping[str, str] = dataclasses.field(default_factory=dict)
    #: what the file says and Headrace does not do; one line each
    warnings: list[str] = dataclasses.field(default_factory=list)

    def counts(self) -> tuple[int, int, int]:
        """How many queues, topics and subscriptions."""
        topics = [t for block in self.blocks for t in (block.content.topics or {}).values()]
        return (
            sum(len(block.content.queues or {}) for block in self.blocks),
            len(topics),
            sum(len(topic.subscriptions) for topic in topics),
        )


def load(path: Path) -> Declaration:
    """What a file declares; raises ``ConfigError`` with a line for each thing wrong.

    Reads Headrace's own format (YAML, JSON), ``elasticmq.conf`` (by its name: ``.conf``) and
    ``goaws.yaml`` (by its content).
    """
    file = str(path)
    text = _read(path, file)
    if path.suffix in (".conf", ".hocon"):
        root, passed_over = read_hocon(text, file)
        foreign = read_elasticmq(root, file)
        foreign.warnings.extend(passed_over)
        return _declaration(file, foreign)
    root = read_yaml(text, file)
    if is_goaws(root):
        return _declaration(file, read_goaws(root, file))
    return _declaration(file, Foreign(root))


def _read(path: Path, file: str) -> str:
    try:
        return path.read_text("utf-8-sig")
    except IsADirectoryError:
        reason = "is a directory: containers make one where a file that is mounted does not exist"
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
    except UnicodeDecodeError:
        reason = "is not UTF-8 text"
    raise ConfigError(file, [Problem(0, "", reason)])


def _declaration(file: str, read: Foreign) -> Declaration:
    node = read.node
    try:
        content = File.model_validate(node.plain())
    except ValidationError as error:
        problems = [_problem(node, each) for each in error.errors(include_url=False)]
        raise ConfigError(file, problems) from None
    blocks = _blocks(content, content.account, node)
    for account, inner in content.accounts.items():
        blocks += _blocks(inner, account, node.at(("accounts", account)), content.region)
    warnings = [problem.text(file) for problem in sorted(set(read.warnings))]
    if not blocks:
        warnings.append(Problem(0, "", "declares no queues and no topics").text(file))
    return Declaration(file, blocks, read.settings, warnings)


def _blocks(
    content: Account, account: str | None, node: Node, region: str | None = None
) -> list[Block]:
    """``region``: what holds if ``content`` names none."""
    blocks = []
    if content.queues is not None or content.topics is not None:
        blocks.append(Block(account, content.region or region, content, node))
    for name, inner in content.regions.items():
        blocks.append(Block(account, name, inner, node.at(("regions", name))))
    return blocks


# --- what is wrong ------------------------------------------------------------------------------


def _problem(root: Node, error: ErrorDetails) -> Problem:
    """What a person can do something with."""
    loc: Loc = tuple(step for step in error["loc"] if step != "[key]")
    kind = error["type"]
    if kind == "extra_forbidden":
        node = _found(root, loc)
        return node.problem(_unknown_key(str(loc[-1]), _keys_at(loc[:-1])))
    if kind == "missing":
        node = _found(root, loc[:-1])
        return node.problem(f"{loc[-1]} {_REASONS[kind]}")
    said = error["msg"].removeprefix("Value error, ")
    return _found(root, loc).problem(_REASONS.get(kind, said))


def _found(root: Node, loc: Loc) -> Node:
    """The node of a place, whose keys may be spelt as AWS does in the file."""
    node = root
    for step in loc:
        following = node.at((step,))
        if following is node and isinstance(step, str):
            following = node.at((aws_name(step),))
        if following is node:
            break
        node = following
    return node


def _unknown_key(key: str, known: list[str]) -> str:
    lowered = {each.lower(): each for each in known}
    if (same := lowered.get(key.lower())) is not None and key == aws_name(same):
        return f"is there twice: as {same}, too"
    nearest = difflib.get_close_matches(key.lower(), lowered, n=1, cutoff=0.55)
    if nearest:
        return f"unknown key; did you mean {lowered[nearest[0]]}?"
    return f"unknown key; known are {', '.join(known)}"


def _keys_at(loc: Loc) -> list[str]:
    """The keys that are known at a place of a file."""
    kind: Any = File
    for step in loc:
        kind = _kind_within(kind, step)
    return [key for key in kind.key_names() if re.match("[a-z]", key)]  # without $schema


def _kind_within(kind: Any, step: str | int) -> Any:
    """The type of what stands at ``step`` in a value of that type."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        [field] = [each for each in kind.model_fields.values() if each.alias == step]
        within = field.annotation
    else:
        within = get_args(kind)[-1]
    while True:
        if get_origin(within) is Annotated:
            within = get_args(within)[0]
        elif get_origin(within) in (Union, types.UnionType):
            [within] = [each for each in get_args(within) if each is not type(None)]
        else:
            return within
