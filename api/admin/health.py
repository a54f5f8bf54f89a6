"""Whether this server serves."""

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from broker import Broker


async def health(request: Request) -> JSONResponse:
    """Whether this server serves, and from what."""
    broker: Broker = request.app.state.broker
    return JSONResponse({"status": "ok", "store": broker.store_description})


ROUTES = [Route(path, health, methods=["GET"]) for path in ("/_headrace/health", "/health")]
