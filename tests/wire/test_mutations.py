"""Requests of clients, damaged at random: bytes changed, inserted, removed, doubled.

The damage is the same in every run.  To search further, raise ``SEEDS``.
"""

import json
import random
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

from tests.support.errors import LOOKS
from tests.wire.calls import (
    QUERY_HEADERS,
    Answer,
    check_serves,
    json_headers,
    query_body,
    queue_url,
    serving,
)
from tests.wire.generated import Known, prepare, queue_arn

SEEDS = range(8)
_REQUESTS_PER_SEED = 400
_DAMAGES_MAX = 4
_WEB_PATHS = ("/health", "/_headrace/")

#: bytes that mean something to somebody
_TOKENS = [
    b"\0", b"\r\n", b"\xff", b"%", b"%00", b"&", b"=", b".", b"..", b"/", b"//", b"\\", b'"', b"'",
    b"{", b"}", b"[", b"]", b":", b",", b"null", b"true", b"-", b"1" * 30, b"999999999", b"1e999",
    b"\\ud800", b"\xf0\x9f\x98\x80", b"AmazonSQS.", b"Action=", b"Version=2011-06-15", b"?", b"#",
    b"Credential=", b"Entries", b"A" * 3_000, b"+", b";", b"<", b"]]>",
]  # fmt: skip


class Request(NamedTuple):
    """A request, to be damaged."""

    method: str
    path: bytes
    query_string: bytes
    headers: list[tuple[bytes, bytes]]
    body: bytes


def recorded(known: Known) -> Iterator[Request]:
    """A request of each operation in each protocol, by POST and, in Query, by GET as well."""
    url = queue_url("standard")
    handle = known.handles[0]
    attribute = {"DataType": "String", "StringValue": "text"}
    entry = {"Id": "a", "MessageBody": "hello", "MessageAttributes": {"a": attribute}}
    calls: dict[str, dict[str, Any]] = {
        "CreateQueue": {
            "QueueName": "new",
            "Attributes": {"DelaySeconds": "1"},
            "tags": {"a": "b"},
        },
        "GetQueueUrl": {"QueueName": "standard"},
        "ListQueues": {"MaxResults": 1, "NextToken": known.next_tokens[0]},
        "PurgeQueue": {"QueueUrl": queue_url("source")},
        "DeleteQueue": {"QueueUrl": queue_url("strict.fifo")},
        "GetQueueAttributes": {"QueueUrl": url, "AttributeNames": ["All"]},
        "SetQueueAttributes": {"QueueUrl": url, "Attributes": {"VisibilityTimeout": "10"}},
        "SendMessage": {"QueueUrl": url, **{k: v for k, v in entry.items() if k != "Id"}},
        "SendMessageBatch": {"QueueUrl": url, "Entries": [entry, {**entry, "Id": "b"}]},
        "ReceiveMessage": {"QueueUrl": url, "WaitTimeSeconds": 2, "AttributeNames": ["All"]},
        "DeleteMessage": {"QueueUrl": url, "ReceiptHandle": handle},
        "DeleteMessageBatch": {
            "QueueUrl": url,
            "Entries": [{"Id": "a", "ReceiptHandle": handle}],
        },
        "ChangeMessageVisibility": {
            "QueueUrl": url,
            "ReceiptHandle": handle,
            "VisibilityTimeout": 5,
        },
        "ChangeMessageVisibilityBatch": {
            "QueueUrl": url,
            "Entries": [{"Id": "a", "ReceiptHandle": handle, "VisibilityTimeout": 5}],
        },
        "ListDeadLetterSourceQueues": {"QueueUrl": queue_url("dead"), "MaxResults": 5},
        "StartMessageMoveTask": {"SourceArn": queue_arn("dead")},
        "ListMessageMoveTasks": {"SourceArn": queue_arn("dead"), "MaxResults": 5},
        "CancelMessageMoveTask": {"TaskHandle": known.task_handles[0]},
        "TagQueue": {"QueueUrl": url, "Tags": {"a": "b", "c": "d"}},
        "UntagQueue": {"QueueUrl": url, "TagKeys": ["a"]},
        "ListQueueTags": {"QueueUrl": url},
        "AddPermission": {
            "QueueUrl": url,
            "Label": "one",
            "AWSAccountIds": ["111111111111"],
            "Actions": ["SendMessage"],
        },
        "RemovePermission": {"QueueUrl": url, "Label": "one"},
        "GetCallerIdentity": {},
    }
    for operation, members in calls.items():
        body = query_body(operation, members)
        if operation == "GetCallerIdentity":
            body = b"Action=GetCallerIdentity&Version=2011-06-15"
        yield Request("POST", b"/", b"", _headers(QUERY_HEADERS, body), body)
        yield Request("GET", b"/000000000000/standard", body, _headers(QUERY_HEADERS, b""), b"")
        if operation != "GetCallerIdentity":
            body = json.dumps(members).encode()
            yield Request("POST", b"/", b"", _headers(json_headers(operation), body), body)


def _headers(headers: Any, body: bytes) -> list[tuple[bytes, bytes]]:
    scope = "AKIDEXAMPLE/20260101/us-east-1/sqs/aws4_request"
    return [
        *((name.encode(), value.encode()) for name, value in headers),
        (b"content-length", b"%d" % len(body)),
        (b"accept", b"*/*"),
        (b"x-amzn-trace-id", b"Root=1-63441c4a-abcdef012345678912345678"),
        (b"authorization", b"AWS4-HMAC-SHA256 Credential=%s, Signature=0" % scope.encode()),
    ]


def damaged(text: bytes, chance: random.Random) -> bytes:
    """A text with some of it changed."""
    content = bytearray(text)
    for _ in range(chance.randint(1, _DAMAGES_MAX)):
        at = chance.randint(0, len(content))
        end = min(len(content), at + chance.choice([1, 1, 2, 8, 40]))
        how = chance.randrange(6)
        if how == 0 and at < len(content):
            content[at] ^= 1 << chance.randrange(8)
        elif how == 1:
            content[at:at] = chance.choice(_TOKENS)
        elif how == 2:
            content[at:end] = chance.choice(_TOKENS)
        elif how == 3:
            del content[at:end]
        elif how == 4:
            content[at:at] = content[at:end] * chance.choice([1, 2, 20])
        else:
            content[at:at] = chance.randbytes(chance.randint(1, 8))
    return bytes(content)


def damaged_request(request: Request, chance: random.Random) -> Request:
    """A request with one part of it damaged, and sometimes a second."""
    for _ in range(chance.choice([1, 1, 2])):
        part = chance.choice(["body", "body", "body", "header", "path", "query_string", "method"])
        if part == "method":
            method = chance.choice(["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "NONSENSE"])
            request = request._replace(method=method)
        elif part == "header":
            headers = list(request.headers)
            at = chance.randrange(len(headers))
            name, value = headers[at]
            headers[at] = (name, damaged(value, chance))
            request = request._replace(headers=headers)
        elif part == "path":
            request = request._replace(path=damaged(request.path, chance))
        elif part == "query_string":
            request = request._replace(query_string=damaged(request.query_string, chance))
        else:
            request = request._replace(body=damaged(request.body, chance))
    return request


def check(answer: Answer) -> None:
    """An answer of a service: not an internal failure, well-formed, with a request id."""
    assert answer.status in {200, 400, 403, 404, 413}
    assert answer.headers["x-amzn-requestid"]
    for _, value in answer.header_list:
        assert value.decode("ascii").isprintable()
    if answer.headers["content-type"] != "text/xml":
        answer.json()
    elif answer.body != b"<UnknownOperationException/>\n":
        root = answer.xml()
        if answer.status != 200:
            code = root.findtext("Error/Code")
            assert code == "RequestEntityTooLarge" or LOOKS[code or ""].status == answer.status


@pytest.mark.parametrize("seed", SEEDS)
async def test_a_damaged_request_is_answered_and_harms_nobody(seed: int) -> None:
    """Never an internal failure, nor an exception out of the application."""
    chance = random.Random(seed)
    async with serving() as server:
        requests = list(recorded(await prepare(server)))
        for _ in range(_REQUESTS_PER_SEED):
            request = damaged_request(chance.choice(requests), chance)
            path = request.path.decode("utf-8", "replace")
            answer = await server.send(
                request.body,
                method=request.method,
                path=path,
                query_string=request.query_string,
                headers=request.headers,
            )
            if not path.startswith(_WEB_PATHS):
                check(answer)
        await check_serves(server)


async def test_the_recorded_requests_are_fine_before_they_are_damaged() -> None:
    """Each on a server of its own: one deletes what another needs."""
    async with serving() as server:
        known = await prepare(server)
    refused = []
    for request in recorded(known):
        async with serving() as server:
            await prepare(server)
            answer = await server.send(
                request.body,
                method=request.method,
                path=request.path.decode(),
                query_string=request.query_string,
                headers=request.headers,
            )
            if answer.status != 200:
                refused.append((request.query_string or request.body, message(answer)))
    told = {text for _, text in refused}
    assert told == {
        # at a queue's path
        "The action CreateQueue is not valid for this endpoint.",
        "The action ListQueues is not valid for this endpoint.",
        # the prepared one
        "There is already a task running. Only one active task is allowed for a source queue arn"
        " at a given time.",
        # none was added
        "Value one for parameter Label is invalid. Reason: can't find label.",
    }


def message(answer: Answer) -> str:
    """The text of an error."""
    if answer.headers["content-type"] == "text/xml":
        return answer.xml().findtext("Error/Message") or ""
    return str(answer.json()["message"])
