"""AWS JSON 1.0 on the wire (SQS reference, 1.1 to 1.4)."""

import json
from typing import Any
from uuid import UUID

import httpx
import pytest

from tests.support.client import Client, Protocol, Queue
from tests.support.server import MEMORY_ONLY, Server

pytestmark = MEMORY_ONLY

JSON = "application/x-amz-json-1.0"
FRAMEWORK = "com.amazon.coral.service#"


@pytest.fixture
def protocol() -> Protocol:
    """The protocol that this module is about."""
    return "json"


def assert_refused(response: httpx.Response, json_type: str, header: str, message: str) -> None:
    assert response.status_code == 400
    assert response.headers["content-type"] == JSON
    assert response.headers["x-amzn-query-error"] == header
    assert response.json() == {"__type": json_type, "message": message}


async def post(server: Server, operation: str, body: str | bytes) -> httpx.Response:
    headers = {"x-amz-target": f"AmazonSQS.{operation}", "content-type": JSON}
    return await server.http.post("/", headers=headers, content=body)


# --- answers ------------------------------------------------------------------------------------


async def test_an_answer_is_json_with_a_request_id(sqs: Client) -> None:
    response = await sqs.request("CreateQueue", QueueName="jobs")
    assert response.status_code == 200
    assert response.headers["content-type"] == JSON
    assert response.headers["content-length"] == str(len(response.content))
    request_id = response.headers["x-amzn-requestid"]
    assert str(UUID(request_id)) == request_id
    assert "x-amzn-query-error" not in response.headers


async def test_every_request_has_its_own_id(sqs: Client) -> None:
    ids = {(await sqs.request("ListQueues")).headers["x-amzn-requestid"] for _ in range(10)}
    assert len(ids) == 10


async def test_operations_without_output_answer_nothing(queue: Queue) -> None:
    await queue.send()
    handle = (await queue.receive_one())["ReceiptHandle"]
    for operation, members in (
        ("ChangeMessageVisibility", {"ReceiptHandle": handle, "VisibilityTimeout": 1}),
        ("DeleteMessage", {"ReceiptHandle": handle}),
        ("SetQueueAttributes", {"Attributes": {"DelaySeconds": "0"}}),
        ("TagQueue", {"Tags": {"a": "b"}}),
        ("UntagQueue", {"TagKeys": ["a"]}),
        ("AddPermission", {"Label": "a", "AWSAccountIds": ["111111111111"], "Actions": ["*"]}),
        ("RemovePermission", {"Label": "a"}),
        ("PurgeQueue", {}),
        ("DeleteQueue", {}),
    ):
        response = await queue.sqs.request(operation, QueueUrl=queue.url, **members)
        assert (response.status_code, response.content) == (200, b""), operation
        assert response.headers["content-length"] == "0"


@pytest.mark.parametrize(
    ("operation", "members"),
    [
        ("ReceiveMessage", {}),
        ("ListQueueTags", {}),
        ("GetQueueAttributes", {}),
        ("GetQueueAttributes", {"AttributeNames": ["Policy"]}),
        ("ListQueues", {"QueueNamePrefix": "none"}),
    ],
)
async def test_empty_collections_are_absent(
    queue: Queue, operation: str, members: dict[str, Any]
) -> None:
    response = await queue.sqs.request(operation, QueueUrl=queue.url, **members)
    assert response.content == b"{}"


async def test_attributes_are_strings_and_counters_of_tasks_are_numbers(
    sqs: Client, queue: Queue
) -> None:
    assert all(isinstance(value, str) for value in (await queue.attributes()).values())
    await queue.send()
    message = await queue.receive_one(MessageSystemAttributeNames=["All"])
    assert all(isinstance(value, str) for value in message["Attributes"].values())
    policy = {"deadLetterTargetArn": await queue.arn(), "maxReceiveCount": 1}
    await sqs.queue("source", RedrivePolicy=json.dumps(policy))
    await sqs.call("StartMessageMoveTask", SourceArn=await queue.arn())
    answer = await sqs.call("ListMessageMoveTasks", SourceArn=await queue.arn())
    [task] = answer["Results"]
    for name in (
        "ApproximateNumberOfMessagesMoved",
        "ApproximateNumberOfMessagesToMove",
        "StartedTimestamp",
    ):
        assert isinstance(task[name], int)


# --- requests -----------------------------------------------------------------------------------


async def test_the_content_type_does_not_matter(server: Server) -> None:
    headers = {"x-amz-target": "AmazonSQS.ListQueues", "content-type": "text/plain"}
    response = await server.http.post("/", headers=headers, content=b"{}")
    assert (response.status_code, response.content) == (200, b"{}")


async def test_an_empty_body_is_an_empty_request(server: Server) -> None:
    assert (await post(server, "ListQueues", b"")).content == b"{}"


async def test_requests_may_go_to_the_path_of_a_queue(sqs: Client, queue: Queue) -> None:
    there = Queue(sqs.but(path="/000000000000/jobs"), queue.url)
    await there.send()
    assert await there.bodies() == ["hello"]


async def test_query_mode_does_not_matter(sqs: Client, queue: Queue) -> None:
    asking = sqs.but(headers={"x-amzn-query-mode": "true"})
    response = await asking.request("SendMessage", QueueUrl=queue.url, MessageBody="")
    assert response.headers["x-amzn-query-error"] == "MissingParameter;Sender"


async def test_integers_may_be_digits_in_a_string(queue: Queue) -> None:
    await queue.send_each("a", "b")
    answer = await queue.call("ReceiveMessage", MaxNumberOfMessages="2", VisibilityTimeout="0")
    assert len(answer["Messages"]) == 2


async def test_null_means_not_given(queue: Queue) -> None:
    await queue.call("SendMessage", MessageBody="a", DelaySeconds=None, MessageAttributes=None)
    answer = await queue.call("ReceiveMessage", MaxNumberOfMessages=None, AttributeNames=None)
    assert len(answer["Messages"]) == 1


async def test_null_for_what_is_required_is_missing(queue: Queue) -> None:
    response = await queue.sqs.request("SendMessage", QueueUrl=queue.url, MessageBody=None)
    assert_refused(
        response,
        f"{FRAMEWORK}MissingRequiredParameterException",
        "MissingParameter;Sender",
        "The request must contain the parameter MessageBody.",
    )


async def test_unknown_members_are_ignored(queue: Queue) -> None:
    await queue.send("a", Foo={"Bar": [1]})
    assert await queue.bodies(Foo="bar") == ["a"]


async def test_escapes_in_json_are_understood(server: Server, queue: Queue) -> None:
    body = json.dumps({"QueueUrl": queue.url, "MessageBody": "\U0001f600 ü \r"}).encode("ascii")
    assert (await post(server, "SendMessage", body)).status_code == 200
    assert await queue.bodies() == ["\U0001f600 ü \r"]


# --- refusals -----------------------------------------------------------------------------------


async def test_a_refusal_has_a_type_and_the_code_of_query(sqs: Client) -> None:
    assert_refused(
        await sqs.request("GetQueueUrl", QueueName="none"),
        "com.amazonaws.sqs#QueueDoesNotExist",
        "AWS.SimpleQueueService.NonExistentQueue;Sender",
        "The specified queue does not exist.",
    )
    assert_refused(
        await sqs.request("ListQueues", MaxResults=0),
        f"{FRAMEWORK}InvalidParameterValueException",
        "InvalidParameterValue;Sender",
        "Value for parameter MaxResults is invalid. Reason: MaxResults must be an integer between"
        " 1 and 1000.",
    )


async def test_an_unknown_operation_is_refused(server: Server) -> None:
    response = await post(server, "FooBar", b"{}")
    assert_refused(
        response,
        f"{FRAMEWORK}UnknownOperationException",
        "InvalidAction;Sender",
        "The action FooBar is not valid for this endpoint.",
    )


@pytest.mark.parametrize("body", [b"no json", b"{", b'{"a":}', b"\xff\xfe"])
async def test_what_is_no_json_is_refused(server: Server, body: bytes) -> None:
    response = await post(server, "ListQueues", body)
    assert response.status_code == 400
    assert response.json()["__type"] == f"{FRAMEWORK}SerializationException"
    assert response.headers["x-amzn-query-error"] == "MalformedInput;Sender"


@pytest.mark.parametrize("body", [b"[]", b'"text"', b"1"])
async def test_a_request_is_an_object(server: Server, body: bytes) -> None:
    response = await post(server, "ListQueues", body)
    assert response.status_code == 400
    assert response.json()["__type"] == f"{FRAMEWORK}SerializationException"


@pytest.mark.parametrize(
    ("operation", "members", "message"),
    [
        ("SendMessage", {"MessageBody": 1}, "NUMBER_VALUE can not be converted to a String"),
        ("SendMessage", {"MessageBody": True}, "TRUE_VALUE can not be converted to a String"),
        ("SendMessage", {"MessageBody": []}, "Start of list found where not expected"),
        (
            "SendMessage",
            {"MessageBody": {}},
            "Start of structure or map found where not expected.",
        ),
        (
            "SendMessage",
            {"MessageBody": "a", "DelaySeconds": "soon"},
            "STRING_VALUE can not be converted to an Integer",
        ),
        (
            "ReceiveMessage",
            {"MaxNumberOfMessages": "1.5"},
            "STRING_VALUE can not be converted to an Integer",
        ),
        (
            "SetQueueAttributes",
            {"Attributes": []},
            "Unrecognized collection type class java.lang.String",
        ),
    ],
)
async def test_values_of_another_type_are_refused(
    queue: Queue, operation: str, members: dict[str, Any], message: str
) -> None:
    response = await queue.sqs.request(operation, QueueUrl=queue.url, **members)
    assert_refused(response, f"{FRAMEWORK}SerializationException", "MalformedInput;Sender", message)


@pytest.mark.parametrize("value", ["no base64!", "YQ", "YQ==="])
async def test_binary_values_must_be_base64(queue: Queue, value: str) -> None:
    attributes = {"a": {"DataType": "Binary", "BinaryValue": value}}
    response = await queue.sqs.request(
        "SendMessage", QueueUrl=queue.url, MessageBody="a", MessageAttributes=attributes
    )
    assert response.json()["__type"] == f"{FRAMEWORK}SerializationException"


async def test_a_lone_surrogate_is_no_character(server: Server, queue: Queue) -> None:
    body = f'{{"QueueUrl":"{queue.url}","MessageBody":"a\\ud800b"}}'
    response = await post(server, "SendMessage", body)
    assert response.status_code == 400
    code = response.headers["x-amzn-query-error"]
    assert code in ("InvalidMessageContents;Sender", "MalformedInput;Sender")
    assert await queue.counts() == (0, 0, 0)
