"""A client of the SQS API that speaks both protocols and answers in one shape, that of JSON.

Written from the SQS reference (1.2 to 1.7), not from the server's code: where the two disagree, one
of them is wrong.
"""

import dataclasses
import json
from base64 import b64encode
from collections.abc import Awaitable, Mapping
from typing import Any, Literal
from urllib.parse import urlencode

import httpx
import xmltodict

from tests.support.errors import LOOKS

Protocol = Literal["json", "query"]
Answer = dict[str, Any]

# --- how Query spells members (1.5) -------------------------------------------------------------

_LISTS = {
    "TagKeys": "TagKey",
    "AttributeNames": "AttributeName",
    "MessageSystemAttributeNames": "AttributeName",
    "MessageAttributeNames": "MessageAttributeName",
    "StringListValues": "StringListValue",
    "BinaryListValues": "BinaryListValue",
    "AWSAccountIds": "AWSAccountId",
    "Actions": "ActionName",
}
_MAPS = {
    "Attributes": ("Attribute", "Name", "Value"),
    "tags": ("Tag", "Key", "Value"),
    "Tags": ("Tag", "Key", "Value"),
    "MessageAttributes": ("MessageAttribute", "Name", "Value"),
    "MessageSystemAttributes": ("MessageSystemAttribute", "Name", "Value"),
}

# --- how its XML spells results (1.6) -----------------------------------------------------------

_RESULT_LISTS = {
    "ListQueues": {"QueueUrl": "QueueUrls"},
    "ListDeadLetterSourceQueues": {"QueueUrl": "queueUrls"},
    "SendMessageBatch": {
        "SendMessageBatchResultEntry": "Successful",
        "BatchResultErrorEntry": "Failed",
    },
    "DeleteMessageBatch": {
        "DeleteMessageBatchResultEntry": "Successful",
        "BatchResultErrorEntry": "Failed",
    },
    "ChangeMessageVisibilityBatch": {
        "ChangeMessageVisibilityBatchResultEntry": "Successful",
        "BatchResultErrorEntry": "Failed",
    },
    "ReceiveMessage": {"Message": "Messages"},
    "ListMessageMoveTasks": {"ListMessageMoveTasksResultEntry": "Results"},
}
_RESULT_MAPS = {
    "Attribute": ("Attributes", "Name", "Value"),
    "Tag": ("Tags", "Key", "Value"),
    "MessageAttribute": ("MessageAttributes", "Name", "Value"),
}
_NUMBERS = {
    "ApproximateNumberOfMessagesMoved",
    "ApproximateNumberOfMessagesToMove",
    "MaxNumberOfMessagesPerSecond",
    "StartedTimestamp",
}


class ApiError(Exception):
    """A refusal, told alike for both protocols; ``json_type`` is None in Query, which has none."""

    def __init__(
        self, code: str, json_type: str | None, status: int, message: str, fault: str
    ) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.json_type = json_type
        self.status = status
        self.message = message
        self.fault = fault


async def refusal(call: Awaitable[object]) -> tuple[str, str]:
    """Code and text of the refusal that a call must meet; the rest must be as the code has it."""
    try:
        answer = await call
    except ApiError as error:
        look = LOOKS[error.code]
        assert (error.status, error.fault) == (look.status, look.fault)
        assert error.json_type in (look.json_type, None)
        return error.code, error.message
    raise AssertionError(f"not refused, but answered by {answer}")


@dataclasses.dataclass(frozen=True)
class Client:
    """Calls a server as somebody: ``but`` makes another who calls differently."""

    http: httpx.AsyncClient
    protocol: Protocol
    account: str | None = None
    region: str | None = None
    headers: Mapping[str, str] = dataclasses.field(default_factory=dict)
    path: str = "/"
    method: Literal["GET", "POST"] = "POST"

    def but(self, **changes: Any) -> "Client":
        """The same client in other circumstances."""
        return dataclasses.replace(self, **changes)

    async def call(self, operation: str, **members: Any) -> Answer:
        """The answer of one call; raises ``ApiError``.

        Members are named as in JSON; bytes are encoded, None is null there and left out in Query.
        """
        response = await self.request(operation, **members)
        if self.protocol == "json":
            return _read_json(response)
        return _read_xml(operation, response)

    async def request(self, operation: str, **members: Any) -> httpx.Response:
        """One call as it goes over the wire, and the response as it comes."""
        headers = dict(self.headers)
        if self.account is not None or self.region is not None:
            scope = f"{self.account or 'AKIDEXAMPLE'}/20260101/{self.region or 'us-east-1'}/sqs"
            headers.setdefault(
                "authorization",
                f"AWS4-HMAC-SHA256 Credential={scope}/aws4_request, SignedHeaders=host,"
                " Signature=0",
            )
        if self.protocol == "json":
            assert self.method == "POST", "the JSON protocol has no GET"
            headers = {
                "content-type": "application/x-amz-json-1.0",
                "x-amz-target": f"AmazonSQS.{operation}",
                **headers,
            }
            content = json.dumps(members, default=_base64).encode()
            return await self.http.post(self.path, headers=headers, content=content)
        parameters = {"Action": operation, "Version": "2012-11-05"}
        for name, value in members.items():
            parameters |= flatten(operation, name, value)
        if self.method == "GET":
            return await self.http.get(f"{self.path}?{urlencode(parameters)}", headers=headers)
        headers = {
            "content-type": "application/x-www-form-urlencoded; charset=utf-8",
            **headers,
        }
        content = urlencode(parameters).encode()
        return await self.http.post(self.path, headers=headers, content=content)

    async def queue(self, name: str = "jobs", **attributes: str) -> "Queue":
        """A new queue; one whose name says that it is FIFO is that."""
        if name.endswith(".fifo"):
            attributes["FifoQueue"] = "true"
        members = {"Attributes": attributes} if attributes else {}
        created = await self.call("CreateQueue", QueueName=name, **members)
        return Queue(self, created["QueueUrl"])

    @property
    def no_queue(self) -> tuple[str, str]:
        """The refusal of a queue that does not exist, which the protocols tell differently."""
        suffix = "" if self.protocol == "json" else " for this wsdl version"
        return (
            "AWS.SimpleQueueService.NonExistentQueue",
            f"The specified queue does not exist{suffix}.",
        )


@dataclasses.dataclass(frozen=True)
class Queue:
    """A queue, as its user has it: a URL, and somebody to call as."""

    sqs: Client
    url: str

    async def call(self, operation: str, **members: Any) -> Answer:
        """One call that concerns this queue."""
        return await self.sqs.call(operation, QueueUrl=self.url, **members)

    async def send(self, body: str = "hello", **members: Any) -> Answer:
        """One message."""
        return await self.call("SendMessage", MessageBody=body, **members)

    async def send_each(self, *bodies: str, **members: Any) -> None:
        """Several messages, one after the other."""
        for body in bodies:
            await self.send(body, **members)

    async def send_to(self, group: str, body: str, **members: Any) -> Answer:
        """One message of a group, which is no duplicate of those with other bodies."""
        members.setdefault("MessageDeduplicationId", body)
        return await self.send(body, MessageGroupId=group, **members)

    async def receive(self, at_most: int = 10, **members: Any) -> list[Answer]:
        """The messages that one call receives."""
        answer = await self.call("ReceiveMessage", MaxNumberOfMessages=at_most, **members)
        messages: list[Answer] = answer.get("Messages", [])
        return messages

    async def receive_one(self, **members: Any) -> Answer:
        """The message that one call receives."""
        [message] = await self.receive(1, **members)
        return message

    async def bodies(self, at_most: int = 10, **members: Any) -> list[str]:
        """The bodies that one call receives."""
        return [message["Body"] for message in await self.receive(at_most, **members)]

    async def delete(self, message: Answer) -> Answer:
        """Delete what was received."""
        return await self.call("DeleteMessage", ReceiptHandle=message["ReceiptHandle"])

    async def hide(self, message: Answer, seconds: int) -> Answer:
        """Change the visibility of what was received."""
        return await self.call(
            "ChangeMessageVisibility",
            ReceiptHandle=message["ReceiptHandle"],
            VisibilityTimeout=seconds,
        )

    async def attributes(self, *names: str) -> dict[str, str]:
        """Some of the queue's attributes, or all."""
        answer = await self.call("GetQueueAttributes", AttributeNames=list(names or ("All",)))
        attributes: dict[str, str] = answer.get("Attributes", {})
        return attributes

    async def set(self, **attributes: str) -> Answer:
        """Change some of the queue's attributes."""
        return await self.call("SetQueueAttributes", Attributes=attributes)

    async def arn(self) -> str:
        """The queue's ARN."""
        return (await self.attributes("QueueArn"))["QueueArn"]

    async def counts(self) -> tuple[int, int, int]:
        """How many messages are visible, in flight and delayed."""
        attributes = await self.attributes()
        visible, in_flight, delayed = (
            int(attributes[f"ApproximateNumberOfMessages{state}"])
            for state in ("", "NotVisible", "Delayed")
        )
        return visible, in_flight, delayed


def redrive_policy(arn: str, max_receives: int | str = 1) -> str:
    """A RedrivePolicy."""
    return json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": max_receives})


def flatten(operation: str, name: str, value: Any, prefix: str = "") -> dict[str, str]:
    """One member as the parameters that Query makes of it."""
    if value is None:
        return {}
    if isinstance(value, list):
        element = f"{operation}RequestEntry" if name == "Entries" else _LISTS[name]
        return _numbered(operation, prefix + element, value)
    if isinstance(value, dict) and name in _MAPS:
        entry, key_name, value_name = _MAPS[name]
        entries = [{key_name: key, value_name: each} for key, each in value.items()]
        return _numbered(operation, prefix + entry, entries)
    if isinstance(value, dict):
        flat: dict[str, str] = {}
        for member, each in value.items():
            flat |= flatten(operation, member, each, f"{prefix}{name}.")
        return flat
    if isinstance(value, bytes):
        value = _base64(value)
    elif isinstance(value, bool):
        value = "true" if value else "false"
    return {prefix + name: str(value)}


def _numbered(operation: str, name: str, values: list[Any]) -> dict[str, str]:
    flat: dict[str, str] = {}
    for number, value in enumerate(values, 1):
        flat |= flatten(operation, str(number), value, f"{name}.")
    return flat


def _base64(value: object) -> str:
    assert isinstance(value, bytes)
    return b64encode(value).decode("ascii")


def _read_json(response: httpx.Response) -> Answer:
    if response.status_code == 200:
        answer: Answer = response.json() if response.content else {}
        return answer
    told = response.json()
    code, fault = response.headers["x-amzn-query-error"].split(";")
    raise ApiError(code, told["__type"], response.status_code, told["message"], fault)


def _read_xml(operation: str, response: httpx.Response) -> Answer:
    document = xmltodict.parse(response.content, strip_whitespace=False)
    if response.status_code != 200:
        error = document["ErrorResponse"]["Error"]
        raise ApiError(
            error["Code"], None, response.status_code, error["Message"] or "", error["Type"]
        )
    result = document[f"{operation}Response"].get(f"{operation}Result") or {}
    answer = _structure(operation, result)
    if operation == "ListDeadLetterSourceQueues":  # the only list that is there when it is empty
        answer.setdefault("queueUrls", [])
    return answer


def _structure(operation: str, elements: Mapping[str, Any]) -> Answer:
    lists = _RESULT_LISTS.get(operation, {})
    members: Answer = {}
    for name, value in elements.items():
        values = value if isinstance(value, list) else [value]
        if name in lists:
            members[lists[name]] = [_value(operation, name, each) for each in values]
        elif name in _RESULT_MAPS:
            member, key_name, value_name = _RESULT_MAPS[name]
            members[member] = {
                each[key_name] or "": _value(operation, value_name, each[value_name])
                for each in values
            }
        else:
            [only] = values
            members[name] = _value(operation, name, only)
    return members


def _value(operation: str, name: str, value: Any) -> Any:
    if isinstance(value, dict):
        return _structure(operation, value)
    if name in _NUMBERS:
        return int(value)
    if name == "SenderFault":
        return {"true": True, "false": False}[value]
    return value or ""
