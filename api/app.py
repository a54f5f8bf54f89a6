"""The ASGI application: the AWS services in front, everything else behind."""

from collections.abc import Callable

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from api.context import Site
from api.dispatch import Dispatch, Receive, Scope, Send
from api.sqs import SQS
from api.sts import STS
from broker import Broker, Ids

SERVICES = (SQS, STS)

#: what is not AWS's: no queue path can begin so
_OWN_PATHS = ("/_headrace/", "/health")


def create_app(
    broker: Broker, site: Site, ids: Ids, *, on_broken: Callable[[], None] = lambda: None
) -> Callable[[Scope, Receive, Send], object]:
    """The application over an open broker; ``on_broken``: the store has failed for good."""
    dispatch = Dispatch(broker, site, SERVICES, ids, on_broken=on_broken)
    web = Starlette(
        routes=[Route(path, _health, methods=["GET"]) for path in ("/_headrace/health", "/health")]
    )
    web.state.broker = broker

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not scope["path"].startswith(_OWN_PATHS):
            await dispatch(scope, receive, send)
        else:
            await web(scope, receive, send)

    return app


async def _health(request: Request) -> JSONResponse:
    """Whether this server serves, and from what."""
    broker: Broker = request.app.state.broker
    return JSONResponse({"status": "ok", "store": broker.store_description})
