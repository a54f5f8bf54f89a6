"""Whether this server serves."""

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import BaseRoute, Route

from api.admin.describing import DescribedRoute, Doc
from api.readiness import Readiness
from broker import Broker


async def health(request: Request) -> JSONResponse:
    """Whether this server serves, and from what: 200, or 503 while it starts or cannot store."""
    broker: Broker = request.app.state.broker
    readiness: Readiness = request.app.state.readiness
    status, problem = await readiness.status()
    document = {"status": status, "store": broker.store_description}
    if problem is not None:
        document["problem"] = problem
    return JSONResponse(document, 200 if status == "ok" else 503)


ROUTES: list[BaseRoute] = [
    DescribedRoute(
        "/_headrace/health",
        health,
        methods=["GET"],
        doc=Doc(statuses={503: "It does not, or not yet."}),
    ),
    # whatever a load balancer puts into its query
    Route("/health", health, methods=["GET"]),
]
