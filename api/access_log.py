"""One line for each request of the services, where it is wanted.

It says who called what and how it ended; never bodies, receipt handles, tokens, phone numbers or
credentials: what stands in a line is taken from the few parameters named here, and only if it has
the form of what it should be.
"""

import logging
import re
from collections.abc import Mapping
from time import monotonic
from typing import Any
from urllib.parse import quote

from pydantic_core import from_json

from api.names import parse_queue_url
from api.wire import query
from broker.errors import BrokerError

logger = logging.getLogger("headrace.access")

_ACTION = re.compile(r"[A-Za-z0-9]{1,64}")
_NAME_CHARACTERS_MAX = 256
#: besides letters, digits and ``_.-~``, what stands in a line of text as it is
_SAFE = ":/@+,"
_ARN_PARTS = 6
#: the parameters that name a queue or a topic, by what they hold
_QUEUE_NAMES = ("QueueName",)
_QUEUE_ARNS = ("SourceArn",)
_TOPIC_ARNS = ("TopicArn", "TargetArn", "SubscriptionArn", "ResourceArn")


def now_s() -> float:
    """A moment to measure a duration from."""
    return monotonic()


def write(
    request_id: str,
    account: str,
    region: str,
    *,
    target: bytes | None,
    scope: Mapping[str, Any],
    body: bytes,
    status: int,
    error: str | None,
    arrived_s: float,
) -> None:
    """Log a request that has been answered.

    ``target``: what names the operation in the JSON protocol, None in Query; ``error``: the code of
    the refusal; ``arrived_s``: ``now_s()`` when it came.
    """
    if not logger.isEnabledFor(logging.INFO):
        return
    if target is not None:
        action = target.decode("latin-1").rpartition(".")[2]
        parameters = _json_members(body)
    else:
        parameters = _query_parameters(scope, body)
        action = str(parameters.get("Action", ""))
        if parse_queue_url(scope["path"]) is not None:
            parameters.setdefault("QueueUrl", scope["path"])
    fields: dict[str, Any] = {"requestId": request_id, "account": account, "region": region}
    if _ACTION.fullmatch(action):
        fields["action"] = action
    fields |= _resource(action, parameters)
    fields["status"] = status
    if error is not None:
        fields["error"] = error
    fields["durationMs"] = round((monotonic() - arrived_s) * 1000, 2)
    line = " ".join([f"{name}={quote(str(value), _SAFE)}" for name, value in fields.items()])
    # not by logger.info, which looks for the line of code that calls it
    record = logging.LogRecord(logger.name, logging.INFO, "", 0, line, None, None)
    record.__dict__["fields"] = fields
    logger.handle(record)


def _json_members(body: bytes) -> dict[str, Any]:
    try:
        members = from_json(body or b"{}")
    except ValueError:
        return {}
    return members if isinstance(members, dict) else {}


def _query_parameters(scope: Mapping[str, Any], body: bytes) -> dict[str, Any]:
    try:
        return {**query.parse_parameters(scope["query_string"], body)}
    except BrokerError:
        return {}


def _resource(action: str, parameters: Mapping[str, Any]) -> dict[str, str]:
    """The queue or topic that a request is about."""
    given = {name: value for name, value in parameters.items() if isinstance(value, str)}
    if "QueueUrl" in given:
        reference = parse_queue_url(given["QueueUrl"])
        return {} if reference is None else _named("queue", reference.name)
    for name in _QUEUE_NAMES:
        if name in given:
            return _named("queue", given[name])
    if action == "CreateTopic" and "Name" in given:
        return _named("topic", given["Name"])
    for name in (*_QUEUE_ARNS, *_TOPIC_ARNS):
        parts = given.get(name, "").split(":")
        if len(parts) >= _ARN_PARTS:
            return _named("queue" if name in _QUEUE_ARNS else "topic", parts[_ARN_PARTS - 1])
    return {}


def _named(kind: str, name: str) -> dict[str, str]:
    return {kind: name[:_NAME_CHARACTERS_MAX]}
