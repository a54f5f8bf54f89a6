"""SNS on the wire (SNS reference, section 1): requests read, answers and refusals written.

The broker behind it records its calls and answers what a test has it answer.
"""

import random
from base64 import b64encode
from collections.abc import AsyncIterator
from typing import NamedTuple, cast
from urllib.parse import parse_qsl

import httpx
import pytest
import xmltodict

from api.app import create_app
from api.context import Site
from api.errors import MalformedInput, wire_error
from api.sns import SNS
from api.wire.query import parse_parameters
from broker import Broker, RawAttribute, StoreBroken, StoreUnwritable, topic_errors
from broker.errors import BrokerError
from tests.support.client import Client
from tests.support.recorder import Recorder
from tests.support.server import ACCOUNT, ENDPOINT, REGION, CountedIds
from tests.support.sns import SnsClient, model, sns_refusal, statuses

NAMESPACE = "http://sns.amazonaws.com/doc/2010-03-31/"
TOPIC = "arn:aws:sns:us-east-1:000000000000:news"
SUBSCRIPTION = f"{TOPIC}:00000000-0000-4000-8000-000000000001"
UUID = "00000000-0000-4000-8000-00000000abcd"
#: an answer up to its request id, and what is after that
METADATA = "  <ResponseMetadata>\n    <RequestId>{id}</RequestId>\n  </ResponseMetadata>\n"


class Published(NamedTuple):
    """As the broker answers."""

    message_id: str = UUID
    sequence_number: str | None = None


class Listing(NamedTuple):
    """As the broker answers."""

    subscription_arn: str
    owner: str
    protocol: str
    endpoint: str
    topic_arn: str


@pytest.fixture
def broker() -> Recorder:
    """What is behind the wire."""
    return Recorder()


@pytest.fixture
async def http(broker: Recorder) -> AsyncIterator[httpx.AsyncClient]:
    """Connections to the server."""
    app = create_app(cast("Broker", broker), Site(REGION, ACCOUNT, None), CountedIds())
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url=ENDPOINT) as http:
        yield http


@pytest.fixture
def sns(http: httpx.AsyncClient) -> SnsClient:
    """A client of the server, without credentials."""
    return SnsClient(http)


def request_id(response: httpx.Response) -> str:
    sent: str = response.headers["x-amzn-requestid"]
    return sent


# --- answers ------------------------------------------------------------------------------------


async def test_a_publish_is_answered_in_294_bytes(sns: SnsClient, broker: Recorder) -> None:
    broker.answer = Published()
    response = await sns.request("Publish", TopicArn=TOPIC, Message="hello")
    assert response.text == (
        f'<PublishResponse xmlns="{NAMESPACE}">\n'
        "  <PublishResult>\n"
        f"    <MessageId>{UUID}</MessageId>\n"
        "  </PublishResult>\n"
        "  <ResponseMetadata>\n"
        f"    <RequestId>{request_id(response)}</RequestId>\n"
        "  </ResponseMetadata>\n"
        "</PublishResponse>\n"
    )
    assert response.headers["content-length"] == "294"


async def test_a_fifo_publish_is_answered_in_352_bytes(sns: SnsClient, broker: Recorder) -> None:
    broker.answer = Published(sequence_number="10000000000000000001")
    response = await sns.request("Publish", TopicArn=TOPIC, Message="hello")
    assert "    <SequenceNumber>10000000000000000001</SequenceNumber>\n" in response.text
    assert response.headers["content-length"] == "352"


async def test_an_answer_has_the_headers_of_aws(sns: SnsClient, broker: Recorder) -> None:
    broker.answer = TOPIC
    response = await sns.request("CreateTopic", Name="news")
    assert {*response.headers} == {"x-amzn-requestid", "content-type", "content-length"}
    assert response.headers["content-type"] == "text/xml"


async def test_operations_without_output_have_no_result_element(sns: SnsClient) -> None:
    response = await sns.request("DeleteTopic", TopicArn=TOPIC)
    assert response.text == (
        f'<DeleteTopicResponse xmlns="{NAMESPACE}">\n'
        f"{METADATA.format(id=request_id(response))}</DeleteTopicResponse>\n"
    )


async def test_an_empty_output_is_an_empty_result_element(sns: SnsClient) -> None:
    response = await sns.request("UntagResource", ResourceArn=TOPIC, TagKeys=["a"])
    assert response.text == (
        f'<UntagResourceResponse xmlns="{NAMESPACE}">\n  <UntagResourceResult/>\n'
        f"{METADATA.format(id=request_id(response))}</UntagResourceResponse>\n"
    )


async def test_lists_are_written_as_members(sns: SnsClient, broker: Recorder) -> None:
    broker.answer = ([TOPIC, f"{TOPIC}2"], "bmV4dA==")
    response = await sns.request("ListTopics")
    assert (
        "  <ListTopicsResult>\n"
        "    <Topics>\n"
        "      <member>\n"
        f"        <TopicArn>{TOPIC}</TopicArn>\n"
        "      </member>\n"
        "      <member>\n"
        f"        <TopicArn>{TOPIC}2</TopicArn>\n"
        "      </member>\n"
        "    </Topics>\n"
        "    <NextToken>bmV4dA==</NextToken>\n"
        "  </ListTopicsResult>\n"
    ) in response.text


async def test_maps_are_written_as_entries(sns: SnsClient, broker: Recorder) -> None:
    broker.answer = {"DisplayName": "", "Policy": '{"a":"<\r\n>"}'}
    response = await sns.request("GetTopicAttributes", TopicArn=TOPIC)
    assert (
        "    <Attributes>\n"
        "      <entry>\n"
        "        <key>DisplayName</key>\n"
        "        <value/>\n"
        "      </entry>\n"
        "      <entry>\n"
        "        <key>Policy</key>\n"
        "        <value>{&quot;a&quot;:&quot;&lt;&#xD;\n&gt;&quot;}</value>\n"
        "      </entry>\n"
        "    </Attributes>\n"
    ) in response.text


async def test_an_empty_list_is_an_empty_element(sns: SnsClient, broker: Recorder) -> None:
    broker.answer = ([], None)
    response = await sns.request("ListSubscriptions")
    assert "  <ListSubscriptionsResult>\n    <Subscriptions/>\n  </L" in response.text


async def test_clients_read_an_empty_list_as_one(sns: SnsClient, broker: Recorder) -> None:
    broker.answer = ([], None)
    assert await sns.call("ListSubscriptionsByTopic", TopicArn=TOPIC) == {"Subscriptions": []}
    broker.answer = {}
    assert await sns.call("ListTagsForResource", ResourceArn=TOPIC) == {"Tags": []}


async def test_a_batch_always_tells_what_failed(sns: SnsClient, broker: Recorder) -> None:
    broker.answer = [Published(), Published(sequence_number="1")]
    entries = [{"Id": "a", "Message": "1"}, {"Id": "b", "Message": "2"}]
    answer = await sns.call("PublishBatch", TopicArn=TOPIC, PublishBatchRequestEntries=entries)
    assert answer == {
        "Failed": [],
        "Successful": [
            {"Id": "a", "MessageId": UUID},
            {"Id": "b", "MessageId": UUID, "SequenceNumber": "1"},
        ],
    }


async def test_subscriptions_are_listed_with_all_that_aws_tells(
    sns: SnsClient, broker: Recorder
) -> None:
    listing = Listing("PendingConfirmation", ACCOUNT, "http", "http://localhost/", TOPIC)
    broker.answer = ([listing], "dG9rZW4=")
    assert await sns.call("ListSubscriptions") == {
        "Subscriptions": [
            {
                "SubscriptionArn": "PendingConfirmation",
                "Owner": ACCOUNT,
                "Protocol": "http",
                "Endpoint": "http://localhost/",
                "TopicArn": TOPIC,
            }
        ],
        "NextToken": "dG9rZW4=",
    }


async def test_json_is_given_to_those_who_ask_for_it(sns: SnsClient, broker: Recorder) -> None:
    broker.answer = {"DisplayName": "News"}
    asking = sns.but(headers={"accept": "application/json"})
    response = await asking.request("GetTopicAttributes", TopicArn=TOPIC)
    assert response.json() == {
        "GetTopicAttributesResponse": {
            "GetTopicAttributesResult": {"Attributes": {"DisplayName": "News"}},
            "ResponseMetadata": {"RequestId": request_id(response)},
        }
    }


# --- requests -----------------------------------------------------------------------------------


async def test_maps_and_lists_of_structures_are_read(sns: SnsClient, broker: Recorder) -> None:
    broker.answer = TOPIC
    await sns.call(
        "CreateTopic",
        Name="news",
        Attributes={"DisplayName": "News & more", "Policy": ""},
        Tags=[{"Key": "b", "Value": "1"}, {"Key": "a", "Value": ""}, {"Key": "b", "Value": "2"}],
        DataProtectionPolicy="{}",
    )
    assert broker.last.given == (
        "news",
        {"DisplayName": "News & more", "Policy": ""},
        [("b", "1"), ("a", ""), ("b", "2")],
        "{}",
    )


async def test_what_is_not_given_is_empty(sns: SnsClient, broker: Recorder) -> None:
    broker.answer = TOPIC
    await sns.call("CreateTopic", Name="news", Tags=[], Attributes={})
    assert broker.last.given == ("news", {}, [], None)


async def test_members_are_read_in_the_order_of_their_numbers(
    sns: SnsClient, broker: Recorder
) -> None:
    keys = {f"TagKeys.member.{number}": f"k{number}" for number in (10, 2, 1)}
    response = await sns.send({"Action": "UntagResource", "ResourceArn": TOPIC} | keys)
    assert response.status_code == 200
    assert broker.last.given == (TOPIC, ["k1", "k2", "k10"])


async def test_an_empty_list_differs_from_none(sns: SnsClient, broker: Recorder) -> None:
    await sns.call("UntagResource", ResourceArn=TOPIC, TagKeys=[])
    assert broker.last.given == (TOPIC, [])


async def test_permissions_name_accounts_and_actions(sns: SnsClient, broker: Recorder) -> None:
    await sns.call(
        "AddPermission",
        TopicArn=TOPIC,
        Label="one",
        AWSAccountId=["111111111111", "222222222222"],
        ActionName=["Publish"],
    )
    assert broker.last.given == (TOPIC, "one", ["111111111111", "222222222222"], ["Publish"])


async def test_a_publication_is_read_whole(sns: SnsClient, broker: Recorder) -> None:
    broker.answer = Published()
    await sns.but(headers={"x-amzn-trace-id": "Root=1"}).call(
        "Publish",
        TargetArn=TOPIC,
        Message="hello\r\n\u00e9",
        Subject="greeting",
        MessageStructure="json",
        MessageAttributes={
            "a.b": {"DataType": "String", "StringValue": ""},
            "c": {"DataType": "Binary", "BinaryValue": b"\0\xff"},
        },
        MessageDeduplicationId="d",
        MessageGroupId="g",
    )
    [draft] = broker.last.given
    assert draft == (
        "hello\r\n\u00e9",
        "greeting",
        "json",
        {
            "a.b": RawAttribute("String", ""),
            "c": RawAttribute("Binary", None, b"\0\xff"),
        },
        "g",
        "d",
        "Root=1",
    )
    assert broker.last.named == {
        "topic_arn": None,
        "target_arn": TOPIC,
        "phone_number": None,
        "base_url": ENDPOINT,
    }


async def test_batch_entries_carry_attributes(sns: SnsClient, broker: Recorder) -> None:
    broker.answer = [Published()]
    attributes = {"a": {"DataType": "Number", "StringValue": "1"}}
    entries = [{"Id": "x", "Message": "m", "MessageAttributes": attributes}]
    await sns.call("PublishBatch", TopicArn=TOPIC, PublishBatchRequestEntries=entries)
    arn, [(entry_id, draft)] = broker.last.given
    assert (arn, entry_id, draft.message) == (TOPIC, "x", "m")
    assert draft.attributes == {"a": RawAttribute("Number", "1")}


@pytest.mark.parametrize(
    ("written", "read"), [(True, True), (False, False), ("TRUE", True), (None, False)]
)
async def test_booleans_are_words(
    sns: SnsClient, broker: Recorder, written: bool | str | None, read: bool
) -> None:
    broker.answer = SUBSCRIPTION
    parameters = {"Action": "Subscribe", "TopicArn": TOPIC, "Protocol": "sqs", "Endpoint": "e"}
    if written is not None:
        parameters["ReturnSubscriptionArn"] = (
            str(written).lower() if written is True else (str(written))
        )
    assert (await sns.send(parameters)).status_code == 200
    assert broker.last.given == (TOPIC, "sqs", "e", {})
    assert broker.last.named == {"return_arn": read, "base_url": ENDPOINT}


async def test_parameters_may_stand_in_the_url_of_a_post(
    sns: SnsClient, http: httpx.AsyncClient, broker: Recorder
) -> None:
    broker.answer = TOPIC
    response = await http.post("/?Action=CreateTopic&Name=news&Version=2010-03-31")
    assert response.status_code == 200
    assert broker.last.given[0] == "news"


async def test_links_need_no_version_and_no_credentials(
    http: httpx.AsyncClient, broker: Recorder
) -> None:
    broker.answer = SUBSCRIPTION
    confirmed = await http.get(f"/?Action=ConfirmSubscription&TopicArn={TOPIC}&Token=abc")
    assert f"<SubscriptionArn>{SUBSCRIPTION}</SubscriptionArn>" in confirmed.text
    removed = await http.get(f"/?Action=Unsubscribe&SubscriptionArn={SUBSCRIPTION}")
    assert removed.text.startswith(f'<UnsubscribeResponse xmlns="{NAMESPACE}">\n  <ResponseM')
    confirming, removing = broker.calls
    assert (confirming.given, confirming.named) == (
        (TOPIC, "abc"),
        {"authenticate_on_unsubscribe": False},
    )
    assert removing.given == (SUBSCRIPTION,)
    assert not confirming.caller.signed
    assert not removing.caller.signed


async def test_a_link_means_the_region_of_its_arn(
    http: httpx.AsyncClient, broker: Recorder
) -> None:
    arn = SUBSCRIPTION.replace("us-east-1", "cn-north-1")
    await http.get(f"/?Action=Unsubscribe&SubscriptionArn={arn}")
    assert broker.last.caller == (
        ACCOUNT,
        "cn-north-1",
        f"arn:aws-cn:iam::{ACCOUNT}:root",
        False,
    )


async def test_a_signed_call_means_the_region_of_its_signature(
    sns: SnsClient, broker: Recorder
) -> None:
    signed = sns.but(account="111111111111", region="eu-west-1")
    await signed.call("Unsubscribe", SubscriptionArn=SUBSCRIPTION)
    assert broker.last.caller == (
        "111111111111",
        "eu-west-1",
        "arn:aws:iam::111111111111:root",
        True,
    )


async def test_credentials_in_the_url_are_a_signature_too(
    http: httpx.AsyncClient, broker: Recorder
) -> None:
    scope = "111111111111/20260101/eu-west-1/sns/aws4_request"
    await http.get(f"/?Action=Unsubscribe&SubscriptionArn={SUBSCRIPTION}&X-Amz-Credential={scope}")
    assert broker.last.caller[:2] == ("111111111111", "eu-west-1")
    assert broker.last.caller.signed


@pytest.mark.parametrize(("word", "means"), [("true", True), ("false", False), ("", False)])
async def test_a_confirmation_may_ask_for_authentication(
    sns: SnsClient, broker: Recorder, word: str, means: bool
) -> None:
    broker.answer = SUBSCRIPTION
    await sns.call(
        "ConfirmSubscription", TopicArn=TOPIC, Token="abc", AuthenticateOnUnsubscribe=word
    )
    assert broker.last.named == {"authenticate_on_unsubscribe": means}


async def test_links_are_made_for_the_host_that_was_called(
    sns: SnsClient, broker: Recorder
) -> None:
    broker.answer = Published()
    there = sns.but(headers={"host": "broker.test:4566"})
    await there.call("Publish", TopicArn=TOPIC, Message="m")
    assert broker.last.named["base_url"] == "http://broker.test:4566"


def test_parameters_are_decoded_as_forms_are() -> None:
    chance = random.Random(1)  # the same in every run
    pieces = [
        b"a",
        b"=",
        b"&",
        b"+",
        b"%",
        b"%20",
        b"%ff",
        b"%C3%A9",
        b"\xff",
        b";",
        b"%26",
        b"%3D",
    ]
    for _ in range(2_000):
        encoded = b"".join(chance.choices(pieces, k=chance.randint(0, 10)))
        try:
            form = dict(parse_qsl(encoded.decode("ascii"), keep_blank_values=True, errors="strict"))
        except UnicodeDecodeError:
            with pytest.raises(MalformedInput):
                parse_parameters(encoded)
        else:
            assert parse_parameters(encoded) == form


# --- which service ------------------------------------------------------------------------------


async def service_of(http: httpx.AsyncClient, **parameters: str) -> str:
    """The service that answers a call that nobody could understand."""
    sns = SnsClient(http)
    text = (await sns.send(parameters)).text
    return "sns" if NAMESPACE in text else "sqs" if "queue.amazonaws.com" in text else "other"


async def test_the_version_decides_between_services(http: httpx.AsyncClient) -> None:
    permission = {"Action": "AddPermission", "TopicArn": TOPIC, "QueueUrl": f"/{ACCOUNT}/q"}
    assert await service_of(http, **permission, Version="2010-03-31") == "sns"
    assert await service_of(http, **permission, Version="2012-11-05") == "sqs"


async def test_then_the_signature_does(http: httpx.AsyncClient) -> None:
    for service, expected in (("sns", True), ("sqs", False)):
        scope = f"AKIDEXAMPLE/20260101/us-east-1/{service}/aws4_request"
        response = await http.post(
            "/",
            headers={
                "authorization": f"AWS4-HMAC-SHA256 Credential={scope}, Signature=0",
                "content-type": "application/x-www-form-urlencoded",
            },
            content="Action=RemovePermission&Label=one",
        )
        assert (NAMESPACE in response.text) is expected


async def test_then_what_is_named_does(http: httpx.AsyncClient) -> None:
    assert await service_of(http, Action="RemovePermission", TopicArn=TOPIC) == "sns"
    assert await service_of(http, Action="RemovePermission", QueueUrl=f"/{ACCOUNT}/q") == "sqs"


async def test_an_action_of_one_service_needs_no_version(http: httpx.AsyncClient) -> None:
    assert await service_of(http, Action="ListTagsForResource") == "sns"
    assert await service_of(http, Action="ListQueueTags") == "sqs"


async def test_sns_does_not_speak_json(http: httpx.AsyncClient) -> None:
    response = await http.post("/", headers={"x-amz-target": "AmazonSNS.ListTopics"}, content="{}")
    assert response.status_code == 400
    assert "UnknownOperation" in response.json()["__type"]


# --- refusals -----------------------------------------------------------------------------------


async def test_a_refusal_is_laid_out_in_lines(sns: SnsClient, broker: Recorder) -> None:
    broker.answer = topic_errors.InvalidParameter.of("TopicArn <&>")
    response = await sns.request("DeleteTopic", TopicArn=TOPIC)
    assert response.status_code == 400
    assert response.text == (
        f'<ErrorResponse xmlns="{NAMESPACE}">\n'
        "  <Error>\n"
        "    <Type>Sender</Type>\n"
        "    <Code>InvalidParameter</Code>\n"
        "    <Message>Invalid parameter: TopicArn &lt;&amp;&gt;</Message>\n"
        "  </Error>\n"
        f"  <RequestId>{request_id(response)}</RequestId>\n"
        "</ErrorResponse>\n"
    )
    assert {*response.headers} == {"x-amzn-requestid", "content-type", "content-length"}


async def test_a_refusal_in_json_has_no_error_header_either(sns: SnsClient) -> None:
    response = await sns.but(headers={"accept": "application/json"}).request("Unsubscribe")
    assert response.json()["Error"]["Code"] == "InvalidParameter"
    assert "x-amzn-query-error" not in response.headers


@pytest.mark.parametrize(
    ("operation", "missing"),
    [
        ("Unsubscribe", "SubscriptionArn"),
        ("CreateTopic", "Name"),
        ("Publish", "Message"),
        ("RemovePermission", "TopicArn"),
        ("GetDataProtectionPolicy", "ResourceArn"),
    ],
)
async def test_a_missing_parameter_is_named(sns: SnsClient, operation: str, missing: str) -> None:
    assert await sns_refusal(sns.call(operation)) == (
        "InvalidParameter",
        f"Invalid parameter: {missing} Reason: no value for required parameter",
    )


def null(*paths: str) -> tuple[str, str]:
    """The refusal of what is not there."""
    texts = [
        f"Value null at '{path}' failed to satisfy constraint: Member must not be null"
        for path in paths
    ]
    errors = "error" if len(paths) == 1 else "errors"
    return (
        "ValidationError",
        f"{len(paths)} validation {errors} detected: {'; '.join(texts)}",
    )


async def test_a_missing_list_is_null(sns: SnsClient) -> None:
    assert await sns_refusal(sns.call("UntagResource", ResourceArn=TOPIC)) == null("tagKeys")
    assert await sns_refusal(sns.call("PublishBatch", TopicArn=TOPIC)) == null(
        "publishBatchRequestEntries"
    )


async def test_what_is_null_is_told_before_a_missing_parameter(sns: SnsClient) -> None:
    assert await sns_refusal(sns.call("AddPermission")) == null("aWSAccountId", "actionName")


async def test_a_nested_null_is_told_with_the_way_to_it(sns: SnsClient) -> None:
    attributes = {"attr1": {"StringValue": "x"}, "attr2": {"StringValue": "x"}}
    publish = sns.call("Publish", TopicArn=TOPIC, Message="m", MessageAttributes=attributes)
    assert await sns_refusal(publish) == null(
        "messageAttributes.attr1.member.dataType", "messageAttributes.attr2.member.dataType"
    )


async def test_a_null_in_a_batch_is_told_with_the_number_of_its_entry(sns: SnsClient) -> None:
    attributes = {"attr1": {"StringValue": "x"}}
    entries = [{"Id": "a", "Message": "m"}, {"Id": "b", "MessageAttributes": attributes}]
    batch = sns.call("PublishBatch", TopicArn=TOPIC, PublishBatchRequestEntries=entries)
    path = "publishBatchRequestEntries.2.member"
    assert await sns_refusal(batch) == null(
        f"{path}.message", f"{path}.messageAttributes.attr1.member.dataType"
    )


async def test_an_attribute_without_a_value_is_null(sns: SnsClient) -> None:
    parameters = {"Action": "CreateTopic", "Name": "news", "Attributes.entry.1.key": "DisplayName"}
    response = await sns.send(parameters)
    told = xmltodict.parse(response.content)["ErrorResponse"]["Error"]
    assert (told["Code"], told["Message"]) == null("attributes.DisplayName.member")


async def test_thousands_of_mistakes_are_not_all_told(sns: SnsClient) -> None:
    tags = {f"Tags.member.{number}.Key": "k" for number in range(1, 5_000)}
    response = await sns.send({"Action": "TagResource", "ResourceArn": TOPIC} | tags)
    assert response.status_code == 400
    assert "<Code>ValidationError</Code>" in response.text
    assert len(response.content) < 10_000


@pytest.mark.parametrize(
    ("operation", "parameters", "named"),
    [
        ("Subscribe", {"Protocol": "sqs", "ReturnSubscriptionArn": "perhaps"}, "ReturnSub"),
        (
            "Publish",
            {
                "Message": "m",
                "MessageAttributes.entry.1.Name": "a",
                "MessageAttributes.entry.1.Value.DataType": "Binary",
                "MessageAttributes.entry.1.Value.BinaryValue": "!",
            },
            "BinaryValue",
        ),
    ],
)
async def test_a_value_of_the_wrong_kind_is_refused(
    sns: SnsClient, operation: str, parameters: dict[str, str], named: str
) -> None:
    response = await sns.send({"Action": operation, "TopicArn": TOPIC} | parameters)
    assert response.status_code == 400
    assert "<Code>InvalidParameter</Code>" in response.text
    assert f"<Message>Invalid parameter: {named}" in response.text


async def test_binary_values_are_base64(sns: SnsClient, broker: Recorder) -> None:
    broker.answer = Published()
    parameters = {
        "Message": "m",
        "MessageAttributes.entry.1.Name": "a",
        "MessageAttributes.entry.1.Value.DataType": "Binary",
        "MessageAttributes.entry.1.Value.BinaryValue": b64encode(b"").decode(),
    }
    response = await sns.send({"Action": "Publish", "TopicArn": TOPIC} | parameters)
    assert response.status_code == 200
    [draft] = broker.last.given
    assert draft.attributes == {"a": RawAttribute("Binary", None, b"")}


async def test_an_unknown_action_is_refused(sns: SnsClient) -> None:
    response = await sns.send({"Action": "Shout{}", "Version": "2010-03-31"})
    assert response.status_code == 400
    assert "<Code>InvalidAction</Code>" in response.text
    assert "Could not find operation Shout{} for version 2010-03-31" in response.text


async def test_what_nobody_foresaw_is_an_internal_error(
    sns: SnsClient, broker: Recorder, caplog: pytest.LogCaptureFixture
) -> None:
    broker.answer = ValueError("secret")
    refused = await sns_refusal(sns.call("DeleteTopic", TopicArn=TOPIC))
    assert refused == ("InternalError", "Internal failure.")
    assert "a request failed" in caplog.text


@pytest.mark.parametrize("error", [StoreUnwritable("full"), StoreBroken("broken")])
async def test_a_store_that_cannot_write_is_an_unavailable_service(
    sns: SnsClient, broker: Recorder, error: Exception
) -> None:
    broker.answer = error
    code, _ = await sns_refusal(sns.call("DeleteTopic", TopicArn=TOPIC))
    assert code == "ServiceUnavailable"


def _leaves(kind: type[Exception]) -> list[type[Exception]]:
    below = kind.__subclasses__()
    return [leaf for each in below for leaf in _leaves(each)] if below else [kind]


@pytest.mark.parametrize("kind", _leaves(topic_errors.TopicError), ids=lambda kind: kind.__name__)
def test_each_refusal_has_a_published_code_with_its_status(kind: type[BrokerError]) -> None:
    told = wire_error(kind.__new__(kind))
    assert told.status == statuses()[told.code]
    assert told.status < 500


_NAMES = ["member", "entry", "1", "2", "10001", "key", "value", "Name", "Value", "", "é"]
_VALUES = ["", "true", "1", "x", TOPIC, "\0", "<>&", "-1", "9" * 30]


@pytest.mark.parametrize("seed", range(4))
async def test_no_parameters_make_an_internal_error(
    sns: SnsClient, broker: Recorder, seed: int
) -> None:
    broker.answer = topic_errors.InvalidParameter("refused")
    chance = random.Random(seed)  # the same in every run
    for name in sorted(SNS.operations):
        members = [*model().operation_model(name).input_shape.members]
        for _ in range(20):
            parameters = {"Action": name, "Version": "2010-03-31"}
            for _ in range(chance.randint(0, 12)):
                parts = [chance.choice(members or _NAMES), *chance.choices(_NAMES, k=4)]
                parameters[".".join(parts[: chance.randint(1, 5)])] = chance.choice(_VALUES)
            response = await sns.send(parameters)
            error = xmltodict.parse(response.content)["ErrorResponse"]["Error"]
            assert response.status_code == statuses()[error["Code"]] < 500, parameters


async def test_sqs_is_answered_in_its_own_layout(http: httpx.AsyncClient) -> None:
    response = await Client(http, "query").request("GetQueueUrl")
    assert response.text.startswith('<?xml version="1.0"?><ErrorResponse xmlns="http://queue.')
    assert "<Detail/></Error>" in response.text
    assert "x-amzn-query-error" in response.headers
