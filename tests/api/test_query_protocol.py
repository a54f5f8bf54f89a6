"""The Query protocol on the wire (SQS reference, 1.5 to 1.8)."""

from typing import Any
from urllib.parse import quote
from uuid import UUID

import httpx
import pytest
import xmltodict

from tests.support.client import Client, Protocol, Queue, refusal
from tests.support.server import ENDPOINT, MEMORY_ONLY, Server

pytestmark = MEMORY_ONLY

NAMESPACE = "http://queue.amazonaws.com/doc/2012-11-05/"
PATH = "/000000000000/jobs"
FORM = "application/x-www-form-urlencoded"


@pytest.fixture
def protocol() -> Protocol:
    """The protocol that this module is about."""
    return "query"


async def post(server: Server, body: str, path: str = "/") -> httpx.Response:
    return await server.http.post(path, headers={"content-type": FORM}, content=body)


def request_id(response: httpx.Response) -> str:
    sent: str = response.headers["x-amzn-requestid"]
    assert str(UUID(sent)) == sent
    return sent


# --- answers ------------------------------------------------------------------------------------


async def test_an_answer_is_xml(sqs: Client) -> None:
    response = await sqs.request("CreateQueue", QueueName="jobs")
    assert response.status_code == 200
    assert response.headers["content-type"] == "text/xml"
    assert response.text == (
        f'<?xml version="1.0"?><CreateQueueResponse xmlns="{NAMESPACE}"><CreateQueueResult>'
        f"<QueueUrl>{ENDPOINT}/000000000000/jobs</QueueUrl></CreateQueueResult><ResponseMetadata>"
        f"<RequestId>{request_id(response)}</RequestId></ResponseMetadata></CreateQueueResponse>"
    )


async def test_operations_without_output_answer_metadata_only(queue: Queue) -> None:
    response = await queue.sqs.request("DeleteQueue", QueueUrl=queue.url)
    assert response.text == (
        f'<?xml version="1.0"?><DeleteQueueResponse xmlns="{NAMESPACE}"><ResponseMetadata>'
        f"<RequestId>{request_id(response)}</RequestId></ResponseMetadata></DeleteQueueResponse>"
    )


async def test_an_empty_receive_closes_its_result_at_once(queue: Queue) -> None:
    response = await queue.sqs.request("ReceiveMessage", QueueUrl=queue.url)
    assert "<ReceiveMessageResult/>" in response.text


async def test_attributes_are_flat(queue: Queue) -> None:
    response = await queue.sqs.request(
        "GetQueueAttributes", QueueUrl=queue.url, AttributeNames=["DelaySeconds", "QueueArn"]
    )
    assert (
        "<GetQueueAttributesResult><Attribute><Name>DelaySeconds</Name><Value>0</Value>"
        "</Attribute><Attribute><Name>QueueArn</Name>"
    ) in response.text


async def test_a_message_is_rendered_as_aws_does(queue: Queue) -> None:
    await queue.send(MessageAttributes={"k": {"DataType": "String", "StringValue": "x"}})
    response = await queue.sqs.request(
        "ReceiveMessage",
        QueueUrl=queue.url,
        AttributeNames=["ApproximateReceiveCount"],
        MessageAttributeNames=["All"],
    )
    document = xmltodict.parse(response.content)["ReceiveMessageResponse"]
    message = document["ReceiveMessageResult"]["Message"]
    assert [*message] == [
        "MessageId",
        "ReceiptHandle",
        "MD5OfBody",
        "Body",
        "Attribute",
        "MD5OfMessageAttributes",
        "MessageAttribute",
    ]
    assert message["Attribute"] == {"Name": "ApproximateReceiveCount", "Value": "1"}
    attribute = message["MessageAttribute"]
    assert attribute == {"Name": "k", "Value": {"StringValue": "x", "DataType": "String"}}


async def test_batch_results_are_flat(queue: Queue) -> None:
    entries = [{"Id": "a", "MessageBody": "a"}, {"Id": "b", "MessageBody": ""}]
    response = await queue.sqs.request("SendMessageBatch", QueueUrl=queue.url, Entries=entries)
    assert "<SendMessageBatchResult><SendMessageBatchResultEntry><Id>a</Id>" in response.text
    assert "<BatchResultErrorEntry><Id>b</Id><SenderFault>true</SenderFault>" in response.text


async def test_quotes_and_carriage_returns_are_escaped(queue: Queue) -> None:
    await queue.send('"&quot;<>\r\n')
    response = await queue.sqs.request("ReceiveMessage", QueueUrl=queue.url)
    assert "<Body>&quot;&amp;quot;&lt;&gt;&#xD;\n</Body>" in response.text


# --- refusals -----------------------------------------------------------------------------------


async def test_a_refusal_is_one_line_of_xml(sqs: Client) -> None:
    response = await sqs.request("GetQueueUrl", QueueName="none")
    assert response.status_code == 400
    assert response.headers["content-type"] == "text/xml"
    assert response.text == (
        f'<?xml version="1.0"?><ErrorResponse xmlns="{NAMESPACE}"><Error><Type>Sender</Type>'
        "<Code>AWS.SimpleQueueService.NonExistentQueue</Code>"
        "<Message>The specified queue does not exist for this wsdl version.</Message><Detail/>"
        f"</Error><RequestId>{request_id(response)}</RequestId></ErrorResponse>"
    )


async def test_what_a_refusal_repeats_is_escaped(queue: Queue) -> None:
    code, message = await refusal(queue.delete({"ReceiptHandle": '<a>&"\r'}))
    assert code == "ReceiptHandleIsInvalid"
    assert message == 'The input receipt handle "<a>&"\r" is not a valid receipt handle.'


async def test_a_refusal_can_always_be_parsed(queue: Queue) -> None:
    response = await queue.sqs.request(
        "DeleteMessage", QueueUrl=queue.url, ReceiptHandle="\x00\x07\uffff"
    )
    assert xmltodict.parse(response.content)["ErrorResponse"]["Error"]["Type"] == "Sender"


@pytest.mark.parametrize("number", ["abc", "", "1.5", " 1"])
async def test_numbers_must_be_digits(queue: Queue, number: str) -> None:
    refused = await refusal(queue.call("ReceiveMessage", MaxNumberOfMessages=number))
    assert refused == ("MalformedInput", "STRING_VALUE can not be converted to an Integer")


async def test_an_attribute_without_a_value_misses_it(server: Server, queue: Queue) -> None:
    body = f"Action=SetQueueAttributes&QueueUrl={quote(queue.url)}&Attribute.1.Name=DelaySeconds"
    response = await post(server, body)
    assert response.status_code == 400
    assert "<Code>MissingParameter</Code>" in response.text
    assert "The request must contain the parameter Attribute.Value." in response.text


# --- requests -----------------------------------------------------------------------------------


async def test_calls_may_be_gets(sqs: Client) -> None:
    getting = sqs.but(method="GET")
    queue = await getting.queue("jobs", DelaySeconds="0")
    await queue.send("a b+c&d=é")
    assert await queue.bodies() == ["a b+c&d=é"]


async def test_parameters_come_from_the_url_and_the_body(server: Server, queue: Queue) -> None:
    response = await post(
        server, "MessageBody=hello", path=f"/?Action=SendMessage&QueueUrl={quote(queue.url)}"
    )
    assert response.status_code == 200
    assert await queue.bodies() == ["hello"]


async def test_the_version_is_optional(server: Server) -> None:
    assert (await post(server, "Action=ListQueues")).status_code == 200


async def test_an_unnumbered_name_counts_as_the_first(server: Server, queue: Queue) -> None:
    body = f"Action=GetQueueAttributes&QueueUrl={quote(queue.url)}&AttributeName=All"
    assert "VisibilityTimeout" in (await post(server, body)).text


async def test_names_of_members_stand_for_those_of_elements(server: Server, queue: Queue) -> None:
    body = f"Action=TagQueue&QueueUrl={quote(queue.url)}&Tags.1.Key=a&Tags.1.Value=b"
    assert (await post(server, body)).status_code == 200
    assert await queue.call("ListQueueTags") == {"Tags": {"a": "b"}}


async def test_list_items_are_in_the_order_of_their_numbers(server: Server, queue: Queue) -> None:
    parts = [
        f"SendMessageBatchRequestEntry.{n}.{name}={n}"
        for n in (10, 9, 1, 3)
        for name in ("Id", "MessageBody")
    ]
    body = f"Action=SendMessageBatch&QueueUrl={quote(queue.url)}&{'&'.join(parts)}"
    assert (await post(server, body)).status_code == 200
    assert await queue.bodies() == ["1", "3", "9", "10"]


async def test_both_lists_of_attribute_names_share_a_parameter(queue: Queue) -> None:
    """So only the list that was written last is asked for, as with AWS."""
    await queue.send()
    message = await queue.receive_one(
        MessageSystemAttributeNames=["All"], AttributeNames=["SenderId"]
    )
    assert message["Attributes"].keys() == {"SenderId"}


async def test_a_long_body_is_read_to_its_end(queue: Queue) -> None:
    body = "ü" * 524_288  # three times as long when percent-encoded
    await queue.send(body)
    assert await queue.bodies() == [body]


async def test_a_presigned_call_says_in_its_url_who_calls(server: Server, sqs: Client) -> None:
    there = await sqs.but(account="111111111111", region="eu-west-1").queue("jobs")
    credential = quote("111111111111/20260101/eu-west-1/sqs/aws4_request", safe="")
    response = await server.http.get(
        "/?Action=GetQueueUrl&QueueName=jobs&X-Amz-Algorithm=AWS4-HMAC-SHA256"
        f"&X-Amz-Credential={credential}&X-Amz-Signature=0"
    )
    assert there.url in response.text


# --- requests to the URL of a queue (1.8) -------------------------------------------------------


@pytest.fixture(params=["GET", "POST"])
def there(request: pytest.FixtureRequest, sqs: Client, queue: Queue) -> Client:
    """A client that calls the queue's own URL."""
    return sqs.but(path=PATH, method=request.param)


async def test_the_path_says_which_queue_is_meant(there: Client) -> None:
    await there.call("SendMessage", MessageBody="hello")
    answer = await there.call("ReceiveMessage", AttributeNames=["All"])
    assert answer["Messages"][0]["Body"] == "hello"


async def test_an_explicit_queue_url_overrides_the_path(there: Client, sqs: Client) -> None:
    other = await sqs.queue("other")
    await there.call("SendMessage", QueueUrl=other.url, MessageBody="hello")
    assert await other.bodies() == ["hello"]


async def test_get_queue_url_works_there_for_any_name(there: Client, sqs: Client) -> None:
    other = await sqs.queue("other")
    assert await there.call("GetQueueUrl", QueueName="other") == {"QueueUrl": other.url}


async def test_a_queue_can_be_deleted_there(there: Client) -> None:
    await there.call("DeleteQueue")
    assert await refusal(there.call("ReceiveMessage")) == there.no_queue


@pytest.mark.parametrize("action", ["CreateQueue", "ListQueues", "FooBar"])
async def test_some_actions_are_not_valid_there(there: Client, action: str) -> None:
    assert await refusal(there.call(action)) == (
        "InvalidAction",
        f"The action {action} is not valid for this endpoint.",
    )


async def test_missing_parameters_are_told_there_too(there: Client) -> None:
    assert await refusal(there.call("SendMessage")) == (
        "MissingParameter",
        "The request must contain the parameter MessageBody.",
    )


async def test_unknown_attributes_are_told_there_too(there: Client) -> None:
    refused = await refusal(there.call("GetQueueAttributes", AttributeNames=["Foobar"]))
    assert refused == ("InvalidAttributeName", "Unknown Attribute Foobar.")


@pytest.mark.parametrize("accept", ["*/*", "application/json"])
async def test_without_an_action_nothing_is_found(
    server: Server, queue: Queue, accept: str
) -> None:
    for response in (
        await server.http.get(PATH, headers={"accept": accept}),
        await server.http.post(PATH, headers={"accept": accept}),
    ):
        assert response.status_code == 404
        assert "<UnknownOperationException" in response.text


async def test_json_without_a_target_is_no_call(server: Server) -> None:
    headers = {"content-type": "application/x-amz-json-1.0"}
    response = await server.http.post("/", headers=headers, content=b"{}")
    assert response.status_code == 404
    assert "<UnknownOperationException" in response.text


async def test_an_unknown_action_is_not_valid_anywhere(sqs: Client) -> None:
    assert await refusal(sqs.call("FooBar")) == (
        "InvalidAction",
        "The action FooBar is not valid for this endpoint.",
    )


# --- the old JSON -------------------------------------------------------------------------------


async def as_json(client: Client, operation: str, **members: Any) -> dict[str, Any]:
    asking = client.but(headers={"accept": "application/json"})
    response = await asking.request(operation, **members)
    assert response.headers["content-type"] == "application/json"
    answer: dict[str, Any] = response.json()
    return answer


async def test_answers_are_json_if_the_client_accepts_that(sqs: Client, queue: Queue) -> None:
    answer = await as_json(sqs, "GetQueueUrl", QueueName="jobs")
    assert answer.keys() == {"GetQueueUrlResponse"}
    response = answer["GetQueueUrlResponse"]
    assert response["GetQueueUrlResult"] == {"QueueUrl": queue.url}
    assert UUID(response["ResponseMetadata"]["RequestId"])


async def test_messages_are_spelt_small_in_that_json(sqs: Client, queue: Queue) -> None:
    await queue.send()
    answer = await as_json(sqs, "ReceiveMessage", QueueUrl=queue.url, AttributeNames=["SenderId"])
    [message] = answer["ReceiveMessageResponse"]["ReceiveMessageResult"]["messages"]
    assert message["Body"] == "hello"
    assert message["Attributes"] == [{"Name": "SenderId", "Value": "000000000000"}]


async def test_attributes_are_a_list_in_that_json(sqs: Client, queue: Queue) -> None:
    answer = await as_json(
        sqs, "GetQueueAttributes", QueueUrl=queue.url, AttributeNames=["DelaySeconds"]
    )
    result = answer["GetQueueAttributesResponse"]["GetQueueAttributesResult"]
    assert result["Attributes"] == [{"Name": "DelaySeconds", "Value": "0"}]


async def test_lists_of_queues_have_all_members_in_that_json(sqs: Client) -> None:
    answer = await as_json(sqs, "ListQueues")
    assert answer["ListQueuesResponse"]["ListQueuesResult"] == {
        "queueUrls": None,
        "NextToken": None,
        "NextExclusiveStartQueueName": None,
    }


async def test_refusals_are_json_then_too(sqs: Client) -> None:
    answer = await as_json(sqs, "GetQueueUrl", QueueName="none")
    assert answer["Error"]["Code"] == "AWS.SimpleQueueService.NonExistentQueue"
    assert answer["Error"]["Type"] == "Sender"
    assert "wsdl" in answer["Error"]["Message"]


async def test_operations_without_output_have_metadata_in_that_json(
    sqs: Client, queue: Queue
) -> None:
    answer = await as_json(sqs, "PurgeQueue", QueueUrl=queue.url)
    assert answer["PurgeQueueResponse"].keys() == {"ResponseMetadata"}
