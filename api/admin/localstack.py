"""Lists that users of LocalStack read, under the same paths and in the same shape.

``/_aws/sns/sms-messages``, ``/_aws/sns/platform-endpoint-messages`` and
``/_aws/sns/subscription-tokens/<subscription ARN>``.
"""

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from api.admin.requests import answer
from api.context import Site
from broker import Broker, Delivery, DeliveryFilter, message_for
from broker.topic_errors import TopicError

_MESSAGES_MAX = 10_000


def routes(site: Site) -> list[BaseRoute]:
    """Where they are; ``site`` has the account and the region of requests that name none."""

    def chosen(request: Request, protocol: str, endpoint: str | None) -> DeliveryFilter:
        query = request.query_params
        return DeliveryFilter(
            account=query.get("accountId", site.account),
            region=query.get("region", site.region),
            protocols=(protocol,),
            endpoint=endpoint,
        )

    def list_route(path: str, name: str, protocol: str, parameter: str, member: str) -> list[Route]:
        @answer
        async def list_messages(request: Request) -> Response:
            broker: Broker = request.app.state.broker
            endpoint = request.query_params.get(parameter)
            where = chosen(request, protocol, endpoint)
            messages: dict[str, list[dict[str, Any]]] = {} if endpoint is None else {endpoint: []}
            for each in await broker.outbox.deliveries(where, limit=_MESSAGES_MAX):
                shown = _message(each, member)
                messages.setdefault(each.details.endpoint, []).append(shown)
            return JSONResponse({name: messages, "region": where.region})

        @answer
        async def clear_messages(request: Request) -> Response:
            broker: Broker = request.app.state.broker
            await broker.outbox.clear(
                chosen(request, protocol, request.query_params.get(parameter))
            )
            return Response(status_code=204)

        return [
            Route(path, list_messages, methods=["GET"]),
            Route(path, clear_messages, methods=["DELETE"]),
        ]

    return [
        *list_route("/_aws/sns/sms-messages", "sms_messages", "sms", "phoneNumber", "PhoneNumber"),
        *list_route(
            "/_aws/sns/platform-endpoint-messages",
            "platform_endpoint_messages",
            "application",
            "endpointArn",
            "TargetArn",
        ),
        Route("/_aws/sns/subscription-tokens/{arn}", subscription_token, methods=["GET"]),
    ]


def _message(delivery: Delivery, endpoint_member: str) -> dict[str, Any]:
    publication, details = delivery.publication, delivery.details
    attributes = {
        name: {"DataType": attribute.data_type, "StringValue": attribute.value}
        for name, attribute in (publication.attributes or {}).items()
        if isinstance(attribute.value, str)
    }
    shown: dict[str, Any] = {
        endpoint_member: details.endpoint,
        "TopicArn": publication.topic_arn,
        "MessageId": publication.message_id,
        "Message": message_for(publication, details.protocol, details.endpoint),
        "MessageAttributes": attributes or None,
        "MessageStructure": "json" if publication.structured else None,
        "Subject": publication.subject,
    }
    if details.protocol == "sms":
        shown["SubscriptionArn"] = (
            None
            if details.subscription_id is None
            else f"{publication.topic_arn}:{details.subscription_id}"
        )
    return shown


async def subscription_token(request: Request) -> Response:
    """The token that confirms a subscription."""
    broker: Broker = request.app.state.broker
    arn = request.path_params["arn"]
    if len(arn.split(":")) != 7:
        return _problem("The provided SubscriptionARN is invalid", arn, 400)
    try:
        token = await broker.subscriptions.token_of(arn)
    except TopicError:
        return _problem("The provided SubscriptionARN is not found", arn, 404)
    return JSONResponse({"subscription_token": token, "subscription_arn": arn})


def _problem(text: str, arn: str, status: int) -> JSONResponse:
    return JSONResponse({"error": text, "subscription_arn": arn}, status)
