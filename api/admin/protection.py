"""What keeps the admin API to those for whom it is, and how it refuses."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import urlsplit

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match

from api.admin.requests import Json

_Scope = MutableMapping[str, Any]
_Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
_Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
_Application = Callable[[_Scope, _Receive, _Send], Awaitable[None]]

_HARMLESS = ("GET", "HEAD", "OPTIONS")


class SameOrigin:
    """Refuses what a page of another site has a browser send: it must not reset anybody's broker.

    Browsers say by ``Origin`` whose page it is, unless they only read; other clients send none.
    """

    def __init__(self, application: _Application) -> None:
        self._application = application

    async def __call__(self, scope: _Scope, receive: _Receive, send: _Send) -> None:
        """Serve a request, or answer 403."""
        if scope["type"] == "http" and scope["method"] not in _HARMLESS:
            request = Request(scope)
            origin = request.headers.get("origin")
            if origin is not None and not _is_of(origin, request.headers.get("host", "")):
                refusal = Json({"error": "requests from pages of other sites are refused"}, 403)
                await refusal(scope, receive, send)
                return
        await self._application(scope, receive, send)


def _is_of(origin: str, host: str) -> bool:
    """Whether an ``Origin`` names a host; ``null``, that of nobody, names none."""
    try:
        return bool(host) and urlsplit(origin).netloc.lower() == host.lower()
    except ValueError:
        return False


async def tell(request: Request, error: Exception) -> Response:
    """A path or method that there is not, in JSON."""
    assert isinstance(error, HTTPException)
    told = {404: "there is nothing at this path", 405: "this path does not take that method"}
    headers = dict(error.headers or {})
    if error.status_code == 405:  # the router names the methods of one route of several
        routes = request.app.routes
        at_path = [each for each in routes if each.matches(request.scope)[0] is not Match.NONE]
        headers["Allow"] = ", ".join(sorted({name for each in at_path for name in each.methods}))
    text = told.get(error.status_code, error.detail)
    return Json({"error": text}, error.status_code, headers=headers)
