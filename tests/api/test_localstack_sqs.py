"""``/_aws/sqs/messages``, as users of LocalStack know it."""

import json
from typing import Any

import pytest
import xmltodict

from tests.support.client import Client, Queue
from tests.support.server import Server

PATH = "/_aws/sqs/messages"
JSON = {"accept": "application/json"}


@pytest.fixture
def sqs(server: Server) -> Client:
    return server.client("json")


async def shown(server: Server, queue: Queue, **flags: str) -> list[dict[str, Any]]:
    """The messages that are answered, in XML."""
    response = await server.http.get(PATH, params={"QueueUrl": queue.url, **flags})
    assert response.status_code == 200, response.text
    assert response.headers["content-type"].startswith("text/xml")
    result = xmltodict.parse(response.content, force_list=("Message", "Attribute"))
    messages: list[dict[str, Any]] = (
        result["ReceiveMessageResponse"]["ReceiveMessageResult"] or {}
    ).get("Message", [])
    return messages


def attributes(message: dict[str, Any]) -> dict[str, str]:
    """The system attributes of a message in XML."""
    return {each["Name"]: each["Value"] for each in message["Attribute"]}


async def test_messages_are_shown_as_receive_message_would(server: Server, queue: Queue) -> None:
    kind = {"DataType": "String", "StringValue": "order"}
    sent = await queue.send(MessageAttributes={"kind": kind})
    [message] = await shown(server, queue)
    assert message["MessageId"] == sent["MessageId"]
    assert (message["Body"], message["MD5OfBody"]) == ("hello", sent["MD5OfMessageBody"])
    assert message["ReceiptHandle"] == "SQS/BACKDOOR/ACCESS"
    assert message["MessageAttribute"]["Value"]["StringValue"] == "order"
    assert attributes(message) == {
        "SenderId": "000000000000",
        "SentTimestamp": "1767225600000",
        "ApproximateReceiveCount": "0",
    }


async def test_nothing_changes_by_it(server: Server, queue: Queue) -> None:
    await queue.send()
    for _ in range(2):
        assert len(await shown(server, queue)) == 1
    assert await queue.counts() == (1, 0, 0)


async def test_hidden_messages_are_shown_on_request(server: Server, queue: Queue) -> None:
    await queue.send("in flight")
    await queue.receive(1)
    await queue.send("delayed", DelaySeconds=60)
    await queue.send("visible")

    async def bodies(**flags: str) -> list[str]:
        return [each["Body"] for each in await shown(server, queue, **flags)]

    assert await bodies() == ["visible"]
    assert await bodies(ShowInvisible="true") == ["in flight", "visible"]
    assert await bodies(ShowDelayed="1") == ["delayed", "visible"]
    flags = {"ShowInvisible": "true", "ShowDelayed": "true"}
    found = {each["Body"]: attributes(each) for each in await shown(server, queue, **flags)}
    assert [(body, each["IsVisible"], each["IsDelayed"]) for body, each in found.items()] == [
        ("in flight", "false", "false"),
        ("delayed", "true", "true"),
        ("visible", "true", "false"),
    ]


async def test_all_messages_are_shown(server: Server, queue: Queue) -> None:
    bodies = [str(number) for number in range(45)]
    await queue.send_each(*bodies)
    assert [each["Body"] for each in await shown(server, queue)] == bodies


async def test_json_is_answered_on_request(server: Server, queue: Queue) -> None:
    await queue.send()
    response = await server.http.get(PATH, params={"QueueUrl": queue.url}, headers=JSON)
    document = response.json()["ReceiveMessageResponse"]
    assert document["ReceiveMessageResult"]["Message"]["Body"] == "hello"
    assert document["ResponseMetadata"]["RequestId"]


async def test_an_empty_queue_has_no_messages(server: Server, queue: Queue) -> None:
    assert await shown(server, queue) == []


async def test_a_queue_is_named_by_its_place_too(server: Server, sqs: Client) -> None:
    queue = await sqs.but(account="111111111111", region="eu-west-1").queue("jobs")
    await queue.send("there")
    for method in ("GET", "POST"):
        response = await server.http.request(
            method, f"{PATH}/eu-west-1/111111111111/jobs", headers=JSON
        )
        result = response.json()["ReceiveMessageResponse"]["ReceiveMessageResult"]
        assert result["Message"]["Body"] == "there"
    assert [each["Body"] for each in await shown(server, queue)] == ["there"]


async def test_an_sdk_may_ask_for_them_by_receive_message(server: Server, queue: Queue) -> None:
    await queue.send()
    headers = {"x-amz-target": "AmazonSQS.ReceiveMessage"}
    body = json.dumps({"QueueUrl": queue.url})
    response = await server.http.post(PATH, content=body, headers=headers)
    assert response.headers["content-type"] == "application/x-amz-json-1.0"
    assert [each["Body"] for each in response.json()["Messages"]] == ["hello"]
    form = {"Action": "ReceiveMessage", "QueueUrl": queue.url}
    answer = await server.http.post(PATH, data=form)
    assert b"<Body>hello</Body>" in answer.content


@pytest.mark.parametrize("query", ["", "QueueUrl=", "QueueUrl=none", "QueueUrl=http://x/y"])
async def test_a_queue_that_does_not_exist_is_refused_as_aws_does(
    server: Server, query: str
) -> None:
    code = "AWS.SimpleQueueService.NonExistentQueue"
    response = await server.http.get(f"{PATH}?{query}")
    assert response.status_code == 400
    assert f"<Code>{code}</Code>" in response.text
    response = await server.http.get(f"{PATH}?{query}", headers=JSON)
    assert response.json()["ErrorResponse"]["Error"]["Code"] == code


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ("{}", "com.amazonaws.sqs#QueueDoesNotExist"),
        ('{"QueueUrl": 1}', "com.amazonaws.sqs#QueueDoesNotExist"),
        ("[]", "com.amazon.coral.service#SerializationException"),
        ("{", "com.amazon.coral.service#SerializationException"),
    ],
)
async def test_an_sdk_is_refused_in_its_protocol(server: Server, body: str, kind: str) -> None:
    headers = {"x-amz-target": "AmazonSQS.ReceiveMessage"}
    response = await server.http.post(PATH, content=body, headers=headers)
    assert (response.status_code, response.json()["__type"]) == (400, kind)


async def test_a_body_that_is_too_long_is_refused(server: Server) -> None:
    response = await server.http.post(PATH, content=b"x" * (4 * 1024 * 1024 + 1))
    assert (response.status_code, response.json()) == (400, {"error": "the body is too long"})
