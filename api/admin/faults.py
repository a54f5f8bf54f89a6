"""Faults: rules that make calls fail as they fail at AWS (docs/faults.md)."""

import re
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from api.admin.describing import ACCOUNT, NOT_FOUND, DescribedRoute, Doc
from api.admin.requests import BadRequest, json_object, tellable
from api.sns import SNS
from api.sqs import SQS
from broker import Broker
from broker.errors import InvalidParameterValue

_OF_QUEUES = SQS.operations.keys()
_OF_TOPICS = SNS.operations.keys()


async def add_fault(request: Request) -> JSONResponse:
    """Add the rule in the body; it answers with its id and its seed."""
    broker: Broker = request.app.state.broker
    document = await json_object(request)
    _check_account(document)
    _check_actions(document)
    try:
        rule = broker.messages.faults.add(document)
    except InvalidParameterValue as error:
        raise BadRequest(tellable(_as_given(document, str(error)))) from None
    return JSONResponse(rule, 201)


def _as_given(document: dict[str, Any], text: str) -> str:
    """A refusal of ``ms`` names it, though the broker reads it as both ends of a range."""
    fault = document.get("fault")
    if isinstance(fault, dict) and "ms" in fault:
        return text.replace("fault.fromMs is a", "fault.ms is a")
    return text


def _check_account(document: dict[str, Any]) -> None:
    """Refuse an account that cannot be: the rule would never strike."""
    match = document.get("match")
    account = match.get("account") if isinstance(match, dict) else None
    if isinstance(account, str) and not re.fullmatch(ACCOUNT["pattern"], account):
        raise BadRequest(f"match.account is {ACCOUNT['description']}")


def _check_actions(document: dict[str, Any]) -> None:
    """Refuse operations that there are not, or not of what the rule names."""
    match = document.get("match")
    if not isinstance(match, dict) or not isinstance(match.get("actions"), list):
        return
    known = _OF_QUEUES | _OF_TOPICS
    if match.get("queue") is not None:
        known = set(_OF_QUEUES)
    elif match.get("topic") is not None:
        known = set(_OF_TOPICS)
    for each in match["actions"]:
        if isinstance(each, str) and each not in known:
            raise BadRequest(tellable(f"match.actions: there is no operation {each} for this"))


async def list_faults(request: Request) -> JSONResponse:
    """All rules, with how often each looked at something and struck."""
    broker: Broker = request.app.state.broker
    return JSONResponse({"faults": broker.messages.faults.documents()})


async def clear_faults(request: Request) -> JSONResponse:
    """Take all rules away."""
    broker: Broker = request.app.state.broker
    return JSONResponse({"removed": broker.messages.faults.clear()})


async def remove_fault(request: Request) -> Response:
    """Take one rule away."""
    broker: Broker = request.app.state.broker
    rule_id = request.path_params["rule_id"]
    if not broker.messages.faults.remove(rule_id):
        return JSONResponse({"error": f"there is no fault {rule_id}"}, 404)
    return Response(status_code=204)


async def reset_counters(request: Request) -> JSONResponse:
    """Have what happened happen again."""
    broker: Broker = request.app.state.broker
    broker.messages.faults.reset_counters()
    return JSONResponse({"faults": broker.messages.faults.documents()})


_FAULTS = "/_headrace/faults"
_ADDED = Doc(
    body={
        "type": "object",
        "description": "A rule, as docs/faults.md has it.",
        "required": ["fault"],
        "properties": {
            "id": {"type": "string"},
            "seed": {"type": ["string", "integer"]},
            "match": {"type": "object"},
            "fault": {"type": "object"},
            "probability": {"type": "number", "minimum": 0, "maximum": 1},
            "every": {"type": "integer", "minimum": 1},
            "times": {"type": "integer", "minimum": 1},
        },
    },
    success=201,
)

ROUTES = [
    DescribedRoute(_FAULTS, list_faults, methods=["GET"], doc=Doc()),
    DescribedRoute(_FAULTS, add_fault, methods=["POST"], doc=_ADDED),
    DescribedRoute(_FAULTS, clear_faults, methods=["DELETE"], doc=Doc()),
    DescribedRoute(f"{_FAULTS}/reset-counters", reset_counters, methods=["POST"], doc=Doc()),
    DescribedRoute(
        f"{_FAULTS}/{{rule_id}}",
        remove_fault,
        methods=["DELETE"],
        doc=Doc(success=204, statuses=NOT_FOUND),
    ),
]
