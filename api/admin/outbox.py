"""The outbox: mail, SMS, push, pending and failed deliveries, confirmation tokens.

``GET`` lists deliveries, ``DELETE`` forgets them; both take filters in the query string.
"""

from typing import Any

from starlette.requests import Request

from api.admin.describing import DescribedRoute, Doc, Parameter, Schema, Values
from api.admin.requests import Json
from broker import Broker, Delivery, DeliveryFilter, DeliveryStatus, delivery_document

_LIMIT = 100
_LIMIT_MAX = 1_000
_PHONE = ("sms", "application")


async def list_deliveries(request: Request) -> Json:
    """Deliveries in order, with ``next`` for the page after these if there is one."""
    broker: Broker = request.app.state.broker
    values = _LISTED.read(request)
    limit = values["limit"]
    found = await broker.outbox.deliveries(
        _chosen(values),
        after_id=values["after"],
        newest_first=values["order"] == "newest",
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


async def clear(request: Request) -> Json:
    """Forget deliveries, those that are still to be made too."""
    broker: Broker = request.app.state.broker
    cleared = await broker.outbox.clear(_chosen(_CLEARED.read(request)))
    return Json({"cleared": cleared})


def _chosen(values: Values) -> DeliveryFilter:
    subscription_arn = values["subscriptionArn"]
    return DeliveryFilter(
        account=values["account"],
        region=values["region"],
        protocols=tuple(values["protocol"]) or None,
        statuses=tuple(DeliveryStatus(each) for each in values["status"]) or None,
        endpoint=values["endpoint"],
        topic_arn=values["topicArn"],
        subscription_id=None if subscription_arn is None else subscription_arn.rpartition(":")[2],
        message_id=values["messageId"],
    )


def _filter(name: str) -> Parameter:
    return Parameter(name, "Only deliveries with this.", {"type": "string"})


def _repeated(name: str, items: Schema) -> Parameter:
    text = "Only deliveries with this; may be repeated."
    return Parameter(name, text, {"type": "array", "items": items})


_FILTERS = (
    _filter("account"),
    _filter("region"),
    _repeated("protocol", {"type": "string"}),
    _repeated("status", {"type": "string", "enum": [each.value for each in DeliveryStatus]}),
    _filter("endpoint"),
    _filter("topicArn"),
    _filter("subscriptionArn"),
    _filter("messageId"),
)
_PAGE = (
    Parameter(
        "limit",
        "How many at most.",
        {"type": "integer", "minimum": 1, "maximum": _LIMIT_MAX, "default": _LIMIT},
    ),
    Parameter(
        "after",
        "What the page before gave as next.",
        {"type": "integer", "minimum": 0, "maximum": 2**63 - 1, "default": 0},
    ),
    Parameter(
        "order",
        "Which come first.",
        {"type": "string", "enum": ["oldest", "newest"], "default": "oldest"},
    ),
)
_LISTED = Doc(query=(*_FILTERS, *_PAGE))
_CLEARED = Doc(query=_FILTERS)

ROUTES = [
    DescribedRoute("/_headrace/outbox", list_deliveries, methods=["GET"], doc=_LISTED),
    DescribedRoute("/_headrace/outbox", clear, methods=["DELETE"], doc=_CLEARED),
]
