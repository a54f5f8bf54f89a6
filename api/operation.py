"""How operations are declared: a request model, a result model, a handler.

The models say everything about an operation's wire shape; both codecs and the tests that compare
with AWS's published model read it from there.  Fields are snake case, their names on the wire
follow (``queue_url`` -> ``QueueUrl``).  How the Query protocol spells lists and maps is said in the
field's annotation: ``QueryList`` and ``QueryMap`` are flattened, as in SQS; ``NestedList`` and
``NestedMap`` are not, as in SNS.
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
    ValidationError,
)
from pydantic.alias_generators import to_pascal
from pydantic_core import core_schema

from api.context import Context
from broker.errors import BrokerError


class Wire(BaseModel):
    """Base of request and result models."""

    model_config = ConfigDict(
        alias_generator=to_pascal,
        validate_by_name=True,
        validate_by_alias=True,
        extra="ignore",
        defer_build=True,  # at the first call: a start needs none of the two hundred
    )


#: More items than any operation takes, so that a limit of an operation is told before this one.
ITEMS_MAX = 10_000


def _bounded(schema: Any, *, fail_fast: bool = True) -> Any:
    """The schema with a bound on its list or map, at whose first wrong item validation stops.

    Otherwise pydantic lists every mistake of a request: a million of them take ten seconds.  Only
    in Query, where parameters are few, may all be wanted: SNS tells several at once.
    """
    inner = schema
    while inner["type"] not in ("list", "dict"):
        inner = inner["schema"]
    inner.update(fail_fast=fail_fast, max_length=ITEMS_MAX)
    return schema


class QueryList(NamedTuple):
    """A flattened list: ``<element>.1``, ``<element>.2``, …; XML repeats the element."""

    element: str

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> Any:
        return _bounded(handler(source))


class QueryMap(NamedTuple):
    """A flattened map: ``<entry>.1.<key>`` with ``<entry>.1.<value>``, and so on."""

    entry: str
    key: str
    value: str

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> Any:
        return _bounded(handler(source))


class NestedList(NamedTuple):
    """A list that is not flattened: ``<Name>.member.1``, …; XML has the items within ``<Name>``."""

    element: str = "member"

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> Any:
        return _bounded(handler(source), fail_fast=False)


class NestedMap(NamedTuple):
    """A map that is not flattened: ``<Name>.entry.1.<key>`` with ``<Name>.entry.1.<value>``."""

    key: str = "key"
    value: str = "value"
    entry: str = "entry"

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> Any:
        return _bounded(handler(source), fail_fast=False)


#: how the Query protocol spells a list or a map
Spelling = QueryList | QueryMap | NestedList | NestedMap


class Required:
    """Marks a field that AWS requires, but whose absence the handler answers for itself."""


def _parse_integer(text: str) -> int:
    if not re.fullmatch(r"[+-]?\d{1,20}", text, re.ASCII):
        raise ValueError("not an integer")
    return int(text)


def _decode_blob(value: object) -> object:
    return b64decode(value, validate=True) if isinstance(value, str) else value


def _parse_boolean(value: object) -> object:
    if isinstance(value, str):
        if value.lower() not in ("true", "false"):
            raise ValueError("neither true nor false")
        return value.lower() == "true"
    return value


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
#: ``true`` or ``false``, in any case.
Boolean = Annotated[bool, BeforeValidator(_parse_boolean)]
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

    @property
    def resource_parameter(self) -> str | None:
        """The parameter that says what the operation is about: its first."""
        fields = self.request.model_fields.items()
        return next((field.alias or name for name, field in fields), None)


def operation(
    handler: Handler, *, name: str | None = None, on_queue_path: bool = True
) -> Operation:
    """Declare a handler, whose name and annotations say the rest.

    ``name``: the operation's, where it is not the handler's in Pascal case (``GetSMSAttributes``).
    """
    signature = inspect.signature(handler)
    request = next(iter(signature.parameters.values())).annotation
    result = signature.return_annotation
    return Operation(
        name or to_pascal(handler.__name__), request, result, handler, on_queue_path=on_queue_path
    )


class Dialect(NamedTuple):
    """How a service tells what is not in its models.  The defaults are what SQS does in Query."""

    #: answers in lines, indented by two spaces, and errors without ``<Detail/>``
    indented: bool = False
    #: the header ``x-amzn-query-error`` beside an error
    error_header: bool = True
    internal_error: str = "InternalFailure"
    #: what is said of an action that there is not
    unknown_action: str = "The action {action} is not valid for this endpoint."
    #: why a request does not fit its model; None: as in SQS
    shape_refusal: Callable[[type[Wire], ValidationError], BrokerError] | None = None


_DEFAULT_DIALECT = Dialect()


@dataclass(frozen=True, slots=True)
class Service:
    """A service: what its operations are and how its documents are labelled."""

    name: str  # as in the credential scope
    version: str
    xml_namespace: str
    operations: Mapping[str, Operation]
    target_prefix: str | None = None  # of X-Amz-Target; None: Query only
    dialect: Dialect = _DEFAULT_DIALECT


def service(
    name: str,
    operations: list[Operation],
    *,
    version: str,
    xml_namespace: str,
    target_prefix: str | None = None,
    dialect: Dialect = _DEFAULT_DIALECT,
) -> Service:
    """A service of these operations."""
    by_name = {each.name: each for each in operations}
    return Service(name, version, xml_namespace, by_name, target_prefix, dialect)
