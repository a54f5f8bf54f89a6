"""``GET /_headrace/messages/{messageId}``: the life of a message."""

from starlette.requests import Request
from starlette.responses import JSONResponse

from api.admin.describing import NOT_FOUND, DescribedRoute, Doc
from broker import Broker


async def message_life(request: Request) -> JSONResponse:
    """What happened to a message of a queue, or of a topic and its copies."""
    broker: Broker = request.app.state.broker
    told = await broker.lives.of(request.path_params["message_id"])
    if told is not None:
        return JSONResponse(told)
    reason = "nothing is known of this message: there is none, or it was too long ago"
    if not broker.observer.timeline.events.maxlen:
        reason = "the timeline is switched off: see the setting timeline_events"
    return JSONResponse({"error": reason}, 404)


ROUTES = [
    DescribedRoute(
        "/_headrace/messages/{message_id}",
        message_life,
        methods=["GET"],
        doc=Doc(statuses=NOT_FOUND),
    )
]
