"""What there is under ``/_headrace/``: for people an overview, for programs OpenAPI."""

import re
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from inspect import cleandoc
from typing import Any

from pydantic.json_schema import models_json_schema
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from api.admin.describing import DescribedRoute, Doc, Schema, Told, Values, described
from api.admin.requests import Json
from api.version import version
from broker import Broker

PREFIX = "/_headrace/"

_SCHEMAS = "#/components/schemas/"
_ERROR: Schema = {
    "type": "object",
    "required": ["error"],
    "properties": {"error": {"type": "string"}, "code": {"type": "string"}},
}
_PATH_PARAMETER = re.compile(r"{(\w+)}")


class Endpoint(Told):
    """A line of the overview."""

    method: str
    path: str
    summary: str


class Overview(Told):
    """What there is."""

    name: str
    version: str
    store: str
    openapi: str
    endpoints: list[Endpoint]


def routes(others: Sequence[BaseRoute]) -> list[BaseRoute]:
    """Where overview and OpenAPI document are; ``others``: what they tell of beside themselves."""

    async def overview(request: Request, _values: Values) -> Overview:
        """All endpoints."""
        broker: Broker = request.app.state.broker
        return Overview(
            name="headrace",
            version=version(),
            store=broker.store_description,
            openapi=f"{PREFIX}openapi.json",
            endpoints=[
                Endpoint(method=method, path=path, summary=_summary(route))
                for method, path, route in endpoints(everything)
            ],
        )

    async def openapi(_request: Request) -> Response:
        """This document."""
        return Json(document(everything))

    own: list[BaseRoute] = [
        described("GET", PREFIX, overview, Doc(answer=Overview)),
        described("GET", PREFIX.rstrip("/"), overview, Doc(answer=Overview)),
        DescribedRoute(f"{PREFIX}openapi.json", openapi, methods=["GET"], doc=Doc()),
    ]
    everything = [*own, *others]
    return own


def endpoints(routes: Sequence[BaseRoute]) -> list[tuple[str, str, Route]]:
    """Method and path of each endpoint under ``/_headrace/``, in order of path."""
    found = [
        (method, route.path, route)
        for route in routes
        if isinstance(route, Route) and route.path.startswith(PREFIX)
        for method in route.methods or ()
        if method != "HEAD"
    ]
    return sorted(found, key=lambda each: (each[1], each[0]))


def document(routes: Sequence[BaseRoute]) -> dict[str, Any]:
    """The OpenAPI document of those routes."""
    docs = [_doc(route) for _, _, route in endpoints(routes)]
    models = {doc.answer for doc in docs if doc.answer is not None}
    _, schemas = models_json_schema(
        [(model, "serialization") for model in sorted(models, key=lambda model: model.__name__)],
        ref_template=f"{_SCHEMAS}{{model}}",
    )
    paths: dict[str, dict[str, Any]] = {}
    for method, path, route in endpoints(routes):
        paths.setdefault(path, {})[method.lower()] = _operation(method, route)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Headrace", "version": version()},
        "paths": paths,
        "components": {"schemas": {**schemas.get("$defs", {}), "Error": _ERROR}},
    }


def _doc(route: Route) -> Doc:
    return route.doc if isinstance(route, DescribedRoute) else Doc()


def _operation(method: str, route: Route) -> dict[str, Any]:
    doc = _doc(route)
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in _PATH_PARAMETER.findall(route.path)
    ]
    parameters += [
        {
            "name": each.name,
            "in": "query",
            "description": each.text,
            "required": each.required,
            "schema": each.schema,
        }
        for each in doc.query
    ]
    answered: dict[str, Any] = {"type": "object"}
    if doc.answer is not None:
        answered = {"$ref": f"{_SCHEMAS}{doc.answer.__name__}"}
    content = {} if doc.success == HTTPStatus.NO_CONTENT else {"content": _json(answered)}
    words = [method.lower(), *re.findall(r"\w+", route.path.removeprefix(PREFIX))]
    operation: dict[str, Any] = {
        "operationId": "_".join(words),
        "summary": _summary(route),
        "parameters": parameters,
        "responses": {
            str(doc.success): {"description": "Done."} | content,
            **{
                str(status): {"description": text, "content": _json({"$ref": f"{_SCHEMAS}Error"})}
                for status, text in {400: "The request is wrong.", **doc.statuses}.items()
            },
        },
    }
    if doc.body is not None:
        operation["requestBody"] = {"required": True, "content": _json(doc.body)}
    return operation


def _json(schema: Mapping[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}


def _summary(route: Route) -> str:
    """The first sentence of an endpoint's docstring."""
    text = cleandoc(route.endpoint.__doc__ or "")
    return " ".join(text.partition("\n\n")[0].split())
