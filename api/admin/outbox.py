"""The outbox: mail, SMS, push, pending and failed deliveries, confirmation tokens.

``GET`` lists deliveries, ``DELETE`` forgets them; both take filters in the query string.
"""

from typing import Any

from starlette.requests import Request

from api.admin.describing import DescribedRoute, Doc, Parameter
from api.admin.requests import BadRequest, Json, answer
from broker import Broker, Delivery, DeliveryFilter, DeliveryStatus, delivery_document

_LIMIT = 100
_LIMIT_MAX = 1_000
_PHONE = ("sms", "application")
_FILTERS = (
    "account",
    "region",
    "protocol",
    "status",
    "endpoint",
    "topicArn",
    "subscriptionArn",
    "messageId",
)
_PAGING = ("limit", "after", "order")


@answer
async def list_deliveries(request: Request) -> Json:
    """Deliveries in order, with ``next`` for the page after these if there is one."""
    broker: Broker = request.app.state.broker
    query = request.query_params
    chosen = _chosen(request, (*_FILTERS, *_PAGING))
    limit = _integer(query.get("limit", str(_LIMIT)), "limit", 1, _LIMIT_MAX)
    order = query.get("order", "oldest")
    if order not in ("oldest", "newest"):
        raise BadRequest("order is oldest or newest")
    found = await broker.outbox.deliveries(
        chosen,
        after_id=_integer(query.get("after", "0"), "after", 0, 2**63 - 1),
        newest_first=order == "newest",
        limit=limit + 1,
    )
    document: dict[str, Any] = {
        "deliveries": [await _document(broker, each) for each in found[:limit]]
    }
    if len(found) > limit:
        document["next"] = found[limit - 1].delivery_id
    return Json(document)


async def _document(broker: Broker, delivery: Delivery) -> dict[str, Any]:
    document = delivery_document(delivery)
    if delivery.details.protocol in _PHONE:
        document["phone"] = await broker.phones.document(delivery.publication, delivery.details)
    return document


@answer
async def clear(request: Request) -> Json:
    """Forget deliveries, those that are still to be made too."""
    broker: Broker = request.app.state.broker
    cleared = await broker.outbox.clear(_chosen(request, _FILTERS))
    return Json({"cleared": cleared})


def _chosen(request: Request, known: tuple[str, ...]) -> DeliveryFilter:
    query = request.query_params
    for name in query:
        if name not in known:
            raise BadRequest(f"there is no parameter {name}: use {', '.join(known)}")
    try:
        statuses = tuple(DeliveryStatus(each) for each in query.getlist("status"))
    except ValueError:
        raise BadRequest(
            f"status is one of {', '.join(each.value for each in DeliveryStatus)}"
        ) from None
    subscription_arn = query.get("subscriptionArn")
    return DeliveryFilter(
        account=query.get("account"),
        region=query.get("region"),
        protocols=tuple(query.getlist("protocol")) or None,
        statuses=statuses or None,
        endpoint=query.get("endpoint"),
        topic_arn=query.get("topicArn"),
        subscription_id=None if subscription_arn is None else subscription_arn.rpartition(":")[2],
        message_id=query.get("messageId"),
    )


def _integer(text: str, name: str, low: int, high: int) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 20 and low <= int(text) <= high):
        raise BadRequest(f"{name} is a number from {low} to {high}")
    return int(text)


_CHOSEN = tuple(
    Parameter(name, "Only deliveries with this.", {"type": "string"}) for name in _FILTERS
)
_PAGE = (
    Parameter(
        "limit",
        "How many at most.",
        {"type": "integer", "minimum": 1, "maximum": _LIMIT_MAX, "default": _LIMIT},
    ),
    Parameter("after", "What the page before gave as next.", {"type": "integer", "minimum": 0}),
    Parameter("order", "Which come first.", {"type": "string", "enum": ["oldest", "newest"]}),
)

ROUTES = [
    DescribedRoute(
        "/_headrace/outbox", list_deliveries, methods=["GET"], doc=Doc(query=(*_CHOSEN, *_PAGE))
    ),
    DescribedRoute("/_headrace/outbox", clear, methods=["DELETE"], doc=Doc(query=_CHOSEN)),
]
