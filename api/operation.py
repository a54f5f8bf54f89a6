"""How operations are declared: a request model, a result model, a handler.

The models say everything about an operation's wire shape; both codecs and the tests that compare
with AWS's published model read it from there.  Fields are snake case, their names on the wire
follow (``queue_url`` -> ``QueueUrl``); what the Query protocol spells differently is said in the
field's annotation by ``QueryList`` or ``QueryMap``.
"""

import inspect
import re
from base64 import b64decode
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, NamedTuple

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    GetCoreSchemaHandler,
    GetPydanticSchema,
)
from pydantic.alias_generators import to_pascal
from pydantic_core import core_schema

from api.context import Context


class Wire(BaseModel):
    """Base of request and result models."""

    model_config = ConfigDict(
        alias_generator=to_pascal, validate_by_name=True, validate_by_alias=True, extra="ignore"
    )


#: More items than any operation takes, so that a limit of an operation is told before this one.
ITEMS_MAX = 10_000


def _bounded(schema: Any) -> Any:
    """The schema with a bound on its list or map, at whose first wrong item validation stops.

    Otherwise pydantic lists every mistake of a request: a million of them take ten seconds.
    """
    inner = schema
    while inner["type"] not in ("list", "dict"):
        inner = inner["schema"]
    inner.update(fail_fast=True, max_length=ITEMS_MAX)
    return schema


class QueryList(NamedTuple):
    """A list in the Query protocol: ``<element>.1``, ``<element>.2``, …; XML repeats the element.

    Lists are flattened throughout SQS.
    """

    element: str

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> Any:
        return _bounded(handler(source))


class QueryMap(NamedTuple):
    """A map in the Query protocol: ``<entry>.1.<key>`` with ``<entry>.1.<value>``, and so on."""

    entry: str
    key: str
    value: str

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> Any:
        return _bounded(handler(source))


class Required:
    """Marks a field that AWS requires, but whose absence the handler answers for itself."""


def _parse_integer(text: str) -> int:
    if not re.fullmatch(r"[+-]?\d{1,20}", text, re.ASCII):
        raise ValueError("not an integer")
    return int(text)


def _decode_blob(value: object) -> object:
    return b64decode(value, validate=True) if isinstance(value, str) else value


def _drop_nulls(values: dict[str, Any]) -> dict[str, str]:
    return {name: str(value) for name, value in values.items() if value is not None}


_INTEGER = core_schema.union_schema(
    [
        core_schema.int_schema(strict=True, gt=-(10**20), lt=10**20),
        core_schema.no_info_after_validator_function(
            _parse_integer, core_schema.str_schema(strict=True)
        ),
    ],
    mode="left_to_right",
)
_ATTRIBUTES = core_schema.no_info_after_validator_function(
    _drop_nulls,
    core_schema.dict_schema(
        core_schema.str_schema(),
        core_schema.nullable_schema(
            core_schema.union_schema(
                [core_schema.str_schema(strict=True), core_schema.int_schema(strict=True)]
            )
        ),
    ),
)

#: A JSON number, or its digits in a string, as AWS's parsers take both; true is no number.
Integer = Annotated[int, GetPydanticSchema(lambda _source, _handler: _INTEGER)]
#: Base64 on the wire.
Blob = Annotated[bytes, BeforeValidator(_decode_blob)]
#: Attribute values are strings; numbers are taken for them, null for "not given".
AttributeMap = Annotated[dict[str, str], GetPydanticSchema(lambda _source, _handler: _ATTRIBUTES)]

Handler = Callable[[Any, Context], Awaitable[Wire | None]]


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of a service."""

    name: str
    request: type[Wire]
    result: type[Wire] | None
    handler: Handler
    on_queue_path: bool = True  # may be sent to a queue's URL


def operation(handler: Handler, *, on_queue_path: bool = True) -> Operation:
    """Declare a handler, whose name and annotations say the rest."""
    signature = inspect.signature(handler)
    request = next(iter(signature.parameters.values())).annotation
    result = signature.return_annotation
    return Operation(
        to_pascal(handler.__name__), request, result, handler, on_queue_path=on_queue_path
    )


@dataclass(frozen=True, slots=True)
class Service:
    """A service: what its operations are and how its documents are labelled."""

    name: str  # as in the credential scope
    version: str
    xml_namespace: str
    operations: Mapping[str, Operation]
    target_prefix: str | None = None  # of X-Amz-Target; None: Query only


def service(
    name: str,
    operations: list[Operation],
    *,
    version: str,
    xml_namespace: str,
    target_prefix: str | None = None,
) -> Service:
    """A service of these operations."""
    by_name = {each.name: each for each in operations}
    return Service(name, version, xml_namespace, by_name, target_prefix)
