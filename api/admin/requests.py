"""How requests to Headrace's own paths are answered when they cannot be served."""

import json
from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from api.errors import wire_error
from broker import StorageError
from broker.errors import BrokerError

_BODY_BYTES_MAX = 4 * 1024 * 1024

Endpoint = Callable[[Request], Awaitable[Response]]


class BadRequest(Exception):
    """A request that cannot be understood; the text says why."""


class Json(JSONResponse):
    """JSON in ASCII: what clients sent may hold halves of characters, which UTF-8 has none for."""

    def render(self, content: Any) -> bytes:
        """See ``JSONResponse``."""
        return json.dumps(content, separators=(",", ":")).encode("ascii")


def answer(endpoint: Endpoint) -> Endpoint:
    """Have refusals of an endpoint told as JSON, with their status."""

    @wraps(endpoint)
    async def wrapped(request: Request) -> Response:
        try:
            return await endpoint(request)
        except BadRequest as error:
            return Json({"error": str(error)}, 400)
        except (BrokerError, StorageError) as error:
            told = wire_error(error)
            return Json({"error": told.message, "code": told.code}, told.status)

    return wrapped


async def read_body(request: Request) -> bytes:
    """A request's body; raises ``BadRequest`` if it is too long."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > _BODY_BYTES_MAX:
            raise BadRequest("the body is too long")
    return body


def _refuse_constant(name: str) -> object:
    raise BadRequest(f"the body is not valid JSON: {name} is no number")


def tellable(text: str) -> str:
    """A text that repeats what came in, which may be half a character."""
    return text.encode("utf-8", "backslashreplace").decode()


async def json_object(request: Request) -> dict[str, Any]:
    """The JSON object in a request's body; raises ``BadRequest`` if there is none."""
    body = await read_body(request)
    if not body.strip():
        raise BadRequest("the body is empty")
    try:
        value = json.loads(body, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        raise BadRequest("the body is not valid JSON") from None
    if not isinstance(value, dict):
        raise BadRequest("the body is not a JSON object")
    return value
