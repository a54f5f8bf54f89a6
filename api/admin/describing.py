"""How endpoints are described: from this they read their parameters, and OpenAPI is made."""

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import wraps
from typing import Any

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from api.admin.requests import BadRequest, Endpoint, Json, answer, json_object, read_body, tellable
from broker import Broker, Scope

Schema = Mapping[str, Any]
#: parameters by name
Values = dict[str, Any]

_WITHOUT_BODY = ("GET", "HEAD")
#: some clients send an object in any case
_EMPTY_BODIES = (b"", b"{}")
_TRUTH = {"true": True, "false": False}
_NUMBERS: Mapping[str, tuple[re.Pattern[str], type[int | float]]] = {
    "integer": (re.compile(r"\d{1,19}", re.ASCII), int),
    "number": (re.compile(r"\d{1,9}(\.\d{1,9})?", re.ASCII), float),
}


class Told(BaseModel):
    """Base of what is answered; members go over the wire in camel case."""

    model_config = ConfigDict(
        alias_generator=to_camel, validate_by_name=True, extra="forbid", defer_build=True
    )

    def response(self) -> Response:
        """The answer that says it."""
        return Json(self.model_dump(by_alias=True))


@dataclass(frozen=True)
class Parameter:
    """A parameter of the query string; its schema says which values it takes.

    With a ``pattern`` it has a ``description``, for refusals.
    """

    name: str
    text: str
    schema: Schema
    required: bool = False

    def read(self, given: str) -> Any:
        """The value that a request gives; raises ``BadRequest``."""
        kind = self.schema["type"]
        if kind == "array":
            return self._read(given, self.schema["items"])
        return self._read(given, self.schema)

    def _read(self, given: str, schema: Schema) -> Any:
        kind = schema["type"]
        if kind in ("integer", "number"):
            low, high = schema["minimum"], schema["maximum"]
            pattern, number = _NUMBERS[kind]
            if not pattern.fullmatch(given) or not low <= number(given) <= high:
                raise BadRequest(f"{self.name} is a number from {low} to {high}")
            return number(given)
        if kind == "boolean":
            if given not in _TRUTH:
                raise BadRequest(f"{self.name} is true or false")
            return _TRUTH[given]
        if given not in schema.get("enum", (given,)):
            values = schema["enum"]
            told = " or ".join(values) if len(values) == 2 else f"one of {', '.join(values)}"
            raise BadRequest(f"{self.name} is {told}")
        if not re.fullmatch(schema.get("pattern", ".*"), given, re.ASCII | re.DOTALL):
            raise BadRequest(f"{self.name} is {schema['description']}")
        return given


@dataclass(frozen=True)
class Doc:
    """What an endpoint takes and answers; what it does is said by its docstring."""

    query: tuple[Parameter, ...] = ()
    body: Schema | None = None
    answer: type[BaseModel] | None = None
    #: the status of an answer
    success: int = 200
    #: statuses beside that and 400, and what they mean
    statuses: Mapping[int, str] = field(default_factory=dict)

    def read(self, request: Request) -> Values:
        """The parameters of a request by name, defaults for those that are not given.

        Raises ``BadRequest``, also for one that does not exist: a typo must not widen a reset.
        """
        known = {parameter.name: parameter for parameter in self.query}
        values: Values = {
            name: [] if parameter.schema["type"] == "array" else parameter.schema.get("default")
            for name, parameter in known.items()
        }
        for name, given in request.query_params.multi_items():
            if name not in known:
                use = f"use {', '.join(known)}" if known else "there are none here"
                raise BadRequest(f"there is no parameter {name}: {use}")
            value = known[name].read(given)
            if isinstance(values[name], list):
                values[name].append(value)
            elif len(request.query_params.getlist(name)) > 1:
                raise BadRequest(f"{name} is given more than once")
            else:
                values[name] = value
        for name, parameter in known.items():
            if parameter.required and values[name] is None:
                raise BadRequest(f"{name} is missing")
        return values

    async def read_body(self, request: Request) -> dict[str, Any]:
        """The JSON object in a request's body; raises ``BadRequest``, also for unknown members."""
        given = await json_object(request)
        known = {} if self.body is None else self.body["properties"]
        for name in given:
            if name not in known:
                raise BadRequest(f"there is no member {tellable(name)}: use {', '.join(known)}")
        return given

    async def refuse_body(self, request: Request) -> None:
        """Raise ``BadRequest`` if there is one: what it asks for must not be passed over."""
        if await read_body(request) not in _EMPTY_BODIES:
            names = ", ".join(parameter.name for parameter in self.query)
            use = f": use the parameters {names} in the query string" if names else ""
            raise BadRequest(f"no body is taken here{use}")


class DescribedRoute(Route):
    """A route that takes what its description says, from which OpenAPI is made."""

    def __init__(self, path: str, endpoint: Endpoint, *, methods: list[str], doc: Doc) -> None:
        @answer
        @wraps(endpoint)
        async def checked(request: Request) -> Response:
            doc.read(request)
            if doc.body is None and request.method not in _WITHOUT_BODY:
                await doc.refuse_body(request)
            return await endpoint(request)

        super().__init__(path, checked, methods=methods)
        self.doc = doc


def described(
    method: str, path: str, endpoint: Callable[[Request, Values], Awaitable[Told]], doc: Doc
) -> DescribedRoute:
    """The route of an endpoint that is handed its parameters, read as ``doc`` says."""

    @wraps(endpoint)
    async def serve(request: Request) -> Response:
        return (await endpoint(request, doc.read(request))).response()

    return DescribedRoute(path, serve, methods=[method], doc=doc)


ACCOUNT: Schema = {"type": "string", "pattern": "^[0-9]{12}$", "description": "12 digits"}
_REGION: Schema = {
    "type": "string",
    "pattern": "^[a-z][a-z0-9-]{0,31}$",
    "description": "a name such as us-east-1",
}

#: which part of everything is meant
SCOPE = (
    Parameter("account", "Only this account.", ACCOUNT),
    Parameter("region", "Only this region.", _REGION),
)
#: where what is meant is
PLACE = (
    Parameter("account", "Its account, if not the default one.", ACCOUNT),
    Parameter("region", "Its region, if not the default one.", _REGION),
)

NOT_FOUND = {404: "There is no such thing."}


def broker_of(request: Request) -> Broker:
    """The broker that a request is about."""
    broker: Broker = request.app.state.broker
    return broker


def scope_of(values: Values) -> Scope:
    """What the parameters of ``SCOPE`` say."""
    return Scope(values["account"], values["region"])
