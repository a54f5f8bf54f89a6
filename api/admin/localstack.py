"""Lists that users of LocalStack read, under the same paths and in the same shape.

``/_aws/sns/sms-messages``, ``/_aws/sns/platform-endpoint-messages`` and
``/_aws/sns/subscription-tokens/<subscription ARN>``.  In the same manner, but Headrace's own:
``/_aws/sns/phone-opt-outs``.
"""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from api.admin.requests import BadRequest, Json, answer, json_object
from api.context import Site
from broker import Broker, Caller, Delivery, DeliveryFilter, DeliveryStatus, message_for
from broker.topic_errors import TopicError

_MESSAGES_MAX = 10_000
#: a webhook may still have to take it; what may not be sent has failed
_SENT = (DeliveryStatus.DELIVERED, DeliveryStatus.PENDING)


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
            where = chosen(request, protocol, endpoint)._replace(statuses=_SENT)
            messages: dict[str, list[dict[str, Any]]] = {} if endpoint is None else {endpoint: []}
            for each in await broker.outbox.deliveries(where, limit=_MESSAGES_MAX):
                shown = _message(each, member)
                messages.setdefault(each.details.endpoint, []).append(shown)
            return Json({name: messages, "region": where.region})

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

    def caller(request: Request) -> Caller:
        query = request.query_params
        account, region = query.get("accountId", site.account), query.get("region", site.region)
        return Caller(account, region, "", signed=True)

    @answer
    async def list_opt_outs(request: Request) -> Response:
        who = caller(request)
        numbers = await _opted_out(request, who)
        return Json({"phone_opt_outs": numbers, "region": who.region})

    @answer
    async def opt_out(request: Request) -> Response:
        broker: Broker = request.app.state.broker
        number = (await json_object(request)).get("phoneNumber")
        if not isinstance(number, str):
            raise BadRequest("phoneNumber is missing, or no text")
        who = caller(request)
        await broker.sms.opt_out(who.account, who.region, number)
        return Response(status_code=204)

    @answer
    async def take_back_opt_outs(request: Request) -> Response:
        broker: Broker = request.app.state.broker
        who = caller(request)
        number = request.query_params.get("phoneNumber")
        for each in await _opted_out(request, who) if number is None else [number]:
            await broker.sms.take_back_opt_out(who.account, who.region, each)
        return Response(status_code=204)

    return [
        Route("/_aws/sns/phone-opt-outs", list_opt_outs, methods=["GET"]),
        Route("/_aws/sns/phone-opt-outs", opt_out, methods=["POST"]),
        Route("/_aws/sns/phone-opt-outs", take_back_opt_outs, methods=["DELETE"]),
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


async def _opted_out(request: Request, caller: Caller) -> list[str]:
    broker: Broker = request.app.state.broker
    numbers: list[str] = []
    token: str | None = None
    while True:
        page, token = await broker.sms.opted_out_numbers(caller, token)
        numbers += page
        if token is None:
            return numbers


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


@answer
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
    return Json({"subscription_token": token, "subscription_arn": arn})


def _problem(text: str, arn: str, status: int) -> Json:
    return Json({"error": text, "subscription_arn": arn}, status)
