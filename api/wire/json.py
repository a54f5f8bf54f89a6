"""The JSON renderings: AWS JSON 1.0, and the old JSON that Query answers with on request."""

import json
from typing import Any

from pydantic import ValidationError

from api.errors import MalformedInput, WireError
from api.operation import Operation, QueryMap, Wire
from api.wire.query import describe
from broker.errors import BrokerError, MissingParameter

CONTENT_TYPE = b"application/x-amz-json-1.0"


def encode_result(operation: Operation, result: Wire | None) -> bytes:
    """The body that answers an operation; empty for those without a result."""
    if result is None:
        return b"" if operation.result is None else b"{}"
    return result.__pydantic_serializer__.to_json(result, by_alias=True, exclude_none=True)


def encode_error(error: WireError) -> bytes:
    """The body that tells an error."""
    return json.dumps({"__type": error.json_type, "message": error.message}).encode()


# --- Query with "Accept: application/json" ------------------------------------------------------


def query_result(operation: Operation, result: Wire | None, request_id: str) -> bytes:
    """The old JSON rendering of Query answers (SQS reference, 1.8)."""
    answer: dict[str, Any] = {"ResponseMetadata": {"RequestId": request_id}}
    if result is not None:
        members = {}
        for name, field in type(result).model_fields.items():
            value = getattr(result, name)
            if isinstance(value, list):
                value = [_old_shape(each) for each in value]
            elif isinstance(describe(field).spelling, QueryMap) and value is not None:
                value = _old_map(describe(field).spelling, value)
            members[_OLD_NAMES.get((operation.name, name), field.alias or name)] = value
        if operation.name == "ListQueues":
            members["NextExclusiveStartQueueName"] = None
        answer[f"{operation.name}Result"] = members
    return json.dumps({f"{operation.name}Response": answer}).encode()


_OLD_NAMES = {("ReceiveMessage", "messages"): "messages", ("ListQueues", "queue_urls"): "queueUrls"}


def _old_shape(value: Any) -> Any:
    if not isinstance(value, Wire):
        return value
    shaped = {}
    for name, field in type(value).model_fields.items():
        member = getattr(value, name)
        spelling = describe(field).spelling
        if member is None:
            continue
        shaped[field.alias or name] = (
            _old_map(spelling, member) if isinstance(spelling, QueryMap) else _old_shape(member)
        )
    return shaped


def _old_map(spelling: Any, values: dict[str, Any]) -> list[dict[str, Any]]:
    return [{spelling.key: key, spelling.value: _old_shape(value)} for key, value in values.items()]


def query_error(error: WireError, request_id: str) -> bytes:
    """The old JSON rendering of a Query error."""
    told = {
        "Code": error.code,
        "Message": error.message,
        "Type": error.fault,
        "Detail": None,
    }
    return json.dumps({"Error": told, "RequestId": request_id}).encode()


# --- refusals of a request's shape --------------------------------------------------------------


def refusal(error: ValidationError) -> BrokerError:
    """Why a request does not fit its model, in AWS's words (SQS reference, 1.4)."""
    problems = error.errors(include_url=False, include_context=False)
    for problem in problems:
        if problem["type"] == "json_invalid":
            return MalformedInput("The request body is not valid JSON.")
        if not problem["loc"]:
            return MalformedInput("The request body is not a JSON object.")
        absent = problem["type"] == "missing" or problem["input"] is None
        if not absent:
            return MalformedInput(_mismatch(problem["type"], problem["input"]))
    return MissingParameter(str(problems[0]["loc"][0]))


def _mismatch(kind: str, value: object) -> str:
    """A value of the wrong type, named as AWS names values."""
    if kind == "too_long":
        return "A list or map has too many items."
    if isinstance(value, dict):
        return "Start of structure or map found where not expected."
    if isinstance(value, list):
        if kind.startswith("dict"):
            return "Unrecognized collection type class java.lang.String"
        return "Start of list found where not expected"
    if isinstance(value, bool):
        name = "TRUE_VALUE" if value else "FALSE_VALUE"
    elif isinstance(value, int | float):
        name = "NUMBER_VALUE"
    else:
        name = "STRING_VALUE"
    wanted = "a String" if kind.startswith("string") and name != "STRING_VALUE" else "an Integer"
    if kind.startswith(("model", "dict")):
        wanted = "a structure"
    elif kind.startswith("list"):
        wanted = "a list"
    elif kind == "value_error" and name == "STRING_VALUE":
        return "A value could not be decoded."
    return f"{name} can not be converted to {wanted}"
