"""The messages of a queue as LocalStack shows them to developers: like ReceiveMessage, by a peek.

``/_aws/sqs/messages?QueueUrl=…`` and ``/_aws/sqs/messages/<region>/<account>/<queue name>``, with
``ShowInvisible=true`` and ``ShowDelayed=true``; also the endpoint URL of an SDK's ReceiveMessage.
"""

import json
from typing import Any
from uuid import uuid4

import xmltodict
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from api.admin.describing import broker_of
from api.admin.requests import answer, read_body
from api.context import Site
from api.errors import MalformedInput, wire_error
from api.names import queue_key
from api.sqs import SQS
from api.sqs.messages import Message, ReceiveMessageResult, received_message
from api.wire import json as wire_json
from api.wire import query, xml
from broker import MessageState, MessageView, PeekFilter, QueueKey, Received, StorageError
from broker.errors import BrokerError, QueueDoesNotExist, ResourceNotFound

_OPERATION = SQS.operations["ReceiveMessage"]
_MESSAGES_MAX = 10_000
_PIECE = 20
_HANDLE = "SQS/BACKDOOR/ACCESS"  # LocalStack's: there is nothing to delete it by
_TRUE = ("true", "1")


def routes(site: Site) -> list[BaseRoute]:
    """Where they are; ``site`` has the account and the region of a QueueUrl without."""

    @answer
    async def messages(request: Request) -> Response:
        """The messages of a queue, without side effects."""
        parameters: dict[str, Any] = {}
        try:
            parameters = await _parameters(request)
            place = request.path_params
            if place:
                key: QueueKey | None = QueueKey(place["account"], place["region"], place["name"])
            else:
                url = parameters.get("QueueUrl")
                key = queue_key(url, site.account, site.region) if isinstance(url, str) else None
            if key is None:
                raise QueueDoesNotExist
            result = ReceiveMessageResult(messages=await _peek(request, key, parameters) or None)
        except (BrokerError, StorageError) as error:
            return _refusal(request, error)
        if "x-amz-target" in request.headers:
            content = wire_json.encode_result(_OPERATION, result)
            return Response(content, media_type=wire_json.CONTENT_TYPE.decode())
        document = xml.result_document(SQS, _OPERATION.name, result, str(uuid4()))
        return _of_xml(request, document)

    paths = ("/_aws/sqs/messages", "/_aws/sqs/messages/{region}/{account}/{name}")
    return [Route(path, messages, methods=["GET", "POST"]) for path in paths]


async def _parameters(request: Request) -> dict[str, Any]:
    """The parameters of a request: query string, form, or the JSON of an SDK."""
    body = await read_body(request)
    if "x-amz-target" not in request.headers:
        return dict(query.parse_parameters(request.scope["query_string"], body))
    try:
        given = json.loads(body)
    except (ValueError, RecursionError):
        given = None
    if not isinstance(given, dict):
        raise MalformedInput("The request body is not a JSON object.")
    return given


async def _peek(request: Request, key: QueueKey, parameters: dict[str, Any]) -> list[Message]:
    def flag(name: str) -> bool:
        return str(parameters.get(name, "")).lower() in _TRUE

    states = [MessageState.VISIBLE]
    states += [MessageState.IN_FLIGHT] if flag("ShowInvisible") else []
    states += [MessageState.DELAYED] if flag("ShowDelayed") else []
    messages: list[Message] = []
    after = 0
    while len(messages) < _MESSAGES_MAX:
        try:
            found = await broker_of(request).inspection.peek(
                key, PeekFilter(tuple(states)), after=after, limit=_PIECE
            )
        except ResourceNotFound:
            raise QueueDoesNotExist from None
        messages += [
            _shown(each, visibility=flag("ShowInvisible"), delay=flag("ShowDelayed"))
            for each in found
        ]
        if len(found) < _PIECE:
            break
        after = found[-1].peeked.message.sequence
    return messages


def _shown(view: MessageView, *, visibility: bool, delay: bool) -> Message:
    peeked = view.peeked
    received = Received(peeked.message, _HANDLE, view.sequence_number)
    message = received_message(received, {"All"}, ["All"])
    attributes = message.attributes or {}
    if not peeked.message.receive_count:
        del attributes["ApproximateFirstReceiveTimestamp"]
    if visibility:
        attributes["IsVisible"] = str(peeked.state is not MessageState.IN_FLIGHT).lower()
    if delay:
        attributes["IsDelayed"] = str(peeked.state is MessageState.DELAYED).lower()
    return message


def _refusal(request: Request, error: Exception) -> Response:
    if "x-amz-target" in request.headers:
        told = wire_error(error)
        return Response(
            wire_json.encode_error(told), told.status, media_type=wire_json.CONTENT_TYPE.decode()
        )
    told = wire_error(error, query=True)
    return _of_xml(request, xml.error_document(SQS, told, str(uuid4())), told.status)


def _of_xml(request: Request, document: bytes, status: int = 200) -> Response:
    """An XML document or, on request, what LocalStack makes of it in JSON."""
    if "application/json" not in request.headers.get("accept", ""):
        return Response(document, status, media_type="text/xml")
    content = xmltodict.parse(document)
    for root in content.values():
        root.pop("@xmlns", None)
    return Response(json.dumps(content), status, media_type="application/json")
