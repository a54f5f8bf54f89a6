"""Requests of the Query protocol: flat parameters into the nested values that models validate.

Which parameters belong to which member follows from the request model (``api/operation.py``).
"""

import types
import typing
from functools import cache
from typing import Any
from urllib.parse import unquote

from pydantic.fields import FieldInfo

from api.errors import MalformedInput
from api.operation import NestedList, NestedMap, QueryList, Required, Spelling, Wire
from broker.errors import MissingParameter

#: the largest call, a batch of ten with ten attributes each, has some 400 parameters
_PARAMETERS_MAX = 10_000
_DEPTH_MAX = 12


def parse_parameters(*encoded: bytes) -> dict[str, str]:
    """The parameters of URL query string and form body; of a repeated one the last counts.

    Raises ``MalformedInput`` for what is not UTF-8 or too much.
    """
    parameters: dict[str, str] = {}
    for each in encoded:
        if not each:
            continue
        try:
            pairs = each.decode().split("&")
            if len(pairs) > _PARAMETERS_MAX:
                raise ValueError("too many")
            for pair in pairs:
                name, _, value = pair.partition("=")
                if pair:
                    parameters[_unquote(name)] = _unquote(value)
        except ValueError:  # UnicodeDecodeError is one of them
            raise MalformedInput("The request's parameters could not be read.") from None
    return parameters


def _unquote(text: str) -> str:
    """As ``parse_qsl`` does it for each part; most have nothing to undo, and SNS has no JSON."""
    if "+" in text:
        text = text.replace("+", " ")
    return unquote(text, errors="strict") if "%" in text else text


class _Node:
    """Parameters by the parts of their names: ``A.1.B`` is below ``A`` and ``1``."""

    __slots__ = ("children", "value")

    def __init__(self) -> None:
        self.value: str | None = None
        self.children: dict[str, _Node] = {}

    def items(self) -> list["_Node"]:
        """The numbered children in order; an unnumbered value counts as the first."""
        found = self.numbered()
        return [self, *found] if self.value is not None else found

    def numbered(self) -> list["_Node"]:
        """The numbered children in order."""
        numbered = [
            (int(name), child)
            for name, child in self.children.items()
            if name.isascii() and name.isdigit() and len(name) < 10
        ]
        if any(number > _PARAMETERS_MAX for number, _ in numbered):
            raise MalformedInput("A list index is out of range.")
        numbered.sort(key=lambda pair: pair[0])
        return [child for _, child in numbered]


def read_request(model: type[Wire], parameters: dict[str, str]) -> dict[str, Any]:
    """The members that parameters give to a request model, by their names on the wire."""
    root = _Node()
    for name, value in parameters.items():
        node = root
        parts = name.split(".")
        if len(parts) > _DEPTH_MAX:
            raise MalformedInput("A parameter name is nested too deeply.")
        for part in parts:
            below = node.children.get(part)
            if below is None:
                below = node.children[part] = _Node()
            node = below
        node.value = value
    return _read_model(model, root)


def _read_model(model: type[Wire], node: _Node) -> dict[str, Any]:
    values = {}
    for alias, field in fields(model):
        found = _read_field(field, alias, node)
        if found is not None:
            values[alias] = found
    return values


def _read_field(field: "_Field", alias: str, node: _Node) -> Any:
    spelling = field.spelling
    if spelling is None:
        child = node.children.get(alias)
        return None if child is None else _read_value(field.item, child)
    if isinstance(spelling, (NestedList, NestedMap)):
        child = node.children.get(alias)
        return None if child is None else _read_nested(field.item, spelling, child)
    # AWS takes the member's name as well as the element's (Tags.1.Key as sent by Java SDK v2)
    child = node.children.get(spelling[0]) or node.children.get(alias)
    if child is None:
        # an empty list leaves no trace in parameters
        return [] if field.required and isinstance(spelling, QueryList) else None
    if isinstance(spelling, QueryList):
        return [_read_value(field.item, each) for each in child.items()]
    entries = {}
    for each in child.items():
        key = each.children.get(spelling.key)
        if key is not None and key.value is not None:
            value = each.children.get(spelling.value)
            if value is None:
                if not _is_model(field.item):
                    raise MissingParameter(f"{spelling.entry}.{spelling.value}")
                value = _Node()  # a structure without members, which says itself what it misses
            entries[key.value] = _read_value(field.item, value)
    return entries


def _read_nested(item: Any, spelling: NestedList | NestedMap, node: _Node) -> Any:
    """The list or map below the node of its name.

    botocore writes an empty list as ``Name=``, and an empty map not at all (SNS reference, 1.1).
    """
    if isinstance(spelling, NestedList):
        members = node.children.get(spelling.element)
        return [_read_value(item, each) for each in members.numbered()] if members else []
    below = node.children.get(spelling.entry)
    entries = {}
    for each in below.numbered() if below else []:
        key = each.children.get(spelling.key)
        if key is not None and key.value is not None:
            value = each.children.get(spelling.value)
            # what is null is said by the model, which knows the way to it
            entries[key.value] = None if value is None else _read_value(item, value)
    return entries or None


@cache
def _is_model(item: Any) -> bool:
    return isinstance(item, type) and issubclass(item, Wire)


def _read_value(item: Any, node: _Node) -> Any:
    if _is_model(item):
        return _read_model(item, node)
    return node.value


class _Field(typing.NamedTuple):
    spelling: Spelling | None
    item: Any  # the type of the value, of a list's element, or of a map's value
    required: bool


@cache
def fields(model: type[Wire]) -> list[tuple[str, _Field]]:
    """The members of a model: their names on the wire, and what ``describe`` says of them."""
    return [(field.alias or name, describe(field)) for name, field in model.model_fields.items()]


def describe(field: FieldInfo) -> _Field:
    """How a field is spelt, and the type of what is in it."""
    annotation, metadata = _bare_type(field.annotation)
    spelling = next((m for m in (*field.metadata, *metadata) if isinstance(m, Spelling)), None)
    if typing.get_origin(annotation) in (list, dict):
        annotation, _ = _bare_type(typing.get_args(annotation)[-1])
    required = field.is_required() or Required in field.metadata
    return _Field(spelling, annotation, required)


def _bare_type(annotation: Any) -> tuple[Any, list[Any]]:
    """A type without its Annotated and its None, and what was annotated."""
    metadata: list[Any] = []
    while True:
        origin = typing.get_origin(annotation)
        if origin is typing.Annotated:
            annotation, *more = typing.get_args(annotation)
            metadata += more
        elif origin in (typing.Union, types.UnionType):
            given = [each for each in typing.get_args(annotation) if each is not type(None)]
            annotation = given[0]
        else:
            return annotation, metadata
