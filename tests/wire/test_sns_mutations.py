"""Requests of SNS clients and of browsers, damaged at random; and what is hostile on purpose.

The damage is the same in every run.  To search further, raise ``SEEDS``.
"""

import json
import random
from collections.abc import Iterator
from urllib.parse import urlencode

import pytest

from tests.support.errors import LOOKS
from tests.support.sns import model
from tests.wire.calls import QUERY_HEADERS, SNS_SIGNED, Answer, Server, check_serves, sns_body
from tests.wire.generated import Members
from tests.wire.generated_sns import Known, codes, prepare, problems, topic_arn
from tests.wire.test_mutations import Request, damaged_request
from tests.wire.test_sns_fuzz import check_own, check_publishes, sns_serving, timely

SEEDS = range(6)
_REQUESTS_PER_SEED = 400
_OWN_PATHS = ("/_headrace/", "/_aws/", "/health", "/confirmation", "/unsub", "/SimpleNotification")


def sensible(known: Known) -> dict[str, Members]:
    """A call of each operation that a prepared server does not refuse."""
    news, fifo = topic_arn("news"), topic_arn("ordered.fifo")
    [application], [endpoint] = known.application_arns, known.endpoint_arns
    subscription = known.subscription_arns[0]
    attribute = {"DataType": "String", "StringValue": "text"}
    entry = {"Id": "a", "Message": "hello", "MessageAttributes": {"a": attribute}}
    phone, other = "+15550001111", "+15550002222"
    return {
        "AddPermission": {
            "TopicArn": news,
            "Label": "one",
            "AWSAccountId": ["111111111111"],
            "ActionName": ["Publish"],
        },
        "CheckIfPhoneNumberIsOptedOut": {"phoneNumber": phone},
        "ConfirmSubscription": {"TopicArn": news, "Token": known.tokens[0]},
        "CreatePlatformApplication": {
            "Name": "other",
            "Platform": "GCM",
            "Attributes": {"PlatformCredential": "secret"},
        },
        "CreatePlatformEndpoint": {"PlatformApplicationArn": application, "Token": "other"},
        "CreateSMSSandboxPhoneNumber": {"PhoneNumber": other, "LanguageCode": "en-US"},
        "CreateTopic": {
            "Name": "new",
            "Attributes": {"DisplayName": "New", "DeliveryPolicy": '{"http":{}}'},
            "Tags": [{"Key": "a", "Value": "b"}],
        },
        "DeleteEndpoint": {"EndpointArn": endpoint},
        "DeletePlatformApplication": {"PlatformApplicationArn": application},
        "DeleteSMSSandboxPhoneNumber": {"PhoneNumber": phone},
        "DeleteTopic": {"TopicArn": news},
        "GetDataProtectionPolicy": {"ResourceArn": news},
        "GetEndpointAttributes": {"EndpointArn": endpoint},
        "GetPlatformApplicationAttributes": {"PlatformApplicationArn": application},
        "GetSMSAttributes": {"attributes": ["DefaultSMSType"]},
        "GetSMSSandboxAccountStatus": {},
        "GetSubscriptionAttributes": {"SubscriptionArn": subscription},
        "GetTopicAttributes": {"TopicArn": news},
        "ListEndpointsByPlatformApplication": {"PlatformApplicationArn": application},
        "ListOriginationNumbers": {"MaxResults": "5"},
        "ListPhoneNumbersOptedOut": {},
        "ListPlatformApplications": {},
        "ListSMSSandboxPhoneNumbers": {"MaxResults": "5"},
        "ListSubscriptions": {},
        "ListSubscriptionsByTopic": {"TopicArn": news},
        "ListTagsForResource": {"ResourceArn": news},
        "ListTopics": {},
        "OptInPhoneNumber": {"phoneNumber": phone},
        "Publish": {
            "TopicArn": news,
            "Subject": "subject",
            "Message": '{"default":"d","sqs":"s"}',
            "MessageStructure": "json",
            "MessageAttributes": {"a": attribute},
        },
        "PublishBatch": {
            "TopicArn": fifo,
            "PublishBatchRequestEntries": [
                {**entry, "MessageGroupId": "g"},
                {**entry, "Id": "b", "MessageGroupId": "g", "MessageDeduplicationId": "e"},
            ],
        },
        "PutDataProtectionPolicy": {"ResourceArn": news, "DataProtectionPolicy": ""},
        "RemovePermission": {"TopicArn": news, "Label": "one"},
        "SetEndpointAttributes": {"EndpointArn": endpoint, "Attributes": {"Enabled": "false"}},
        "SetPlatformApplicationAttributes": {
            "PlatformApplicationArn": application,
            "Attributes": {"PlatformCredential": "new"},
        },
        "SetSMSAttributes": {"attributes": {"DefaultSMSType": "Promotional"}},
        "SetSubscriptionAttributes": {
            "SubscriptionArn": subscription,
            "AttributeName": "FilterPolicy",
            "AttributeValue": '{"a":[{"numeric":[">",0,"<=",100]}],"$or":[{"b":["c"]},{"d":[1]}]}',
        },
        "SetTopicAttributes": {
            "TopicArn": news,
            "AttributeName": "DeliveryPolicy",
            "AttributeValue": '{"http":{"defaultHealthyRetryPolicy":{"numRetries":5}}}',
        },
        "Subscribe": {
            "TopicArn": news,
            "Protocol": "http",
            "Endpoint": "http://127.0.0.1:9/other",
            "Attributes": {"RawMessageDelivery": "true", "FilterPolicy": '{"a":["b"]}'},
            "ReturnSubscriptionArn": True,
        },
        "TagResource": {"ResourceArn": news, "Tags": [{"Key": "a", "Value": "b"}]},
        "UntagResource": {"ResourceArn": news, "TagKeys": ["team"]},
        "Unsubscribe": {"SubscriptionArn": subscription},
        "VerifySMSSandboxPhoneNumber": {"PhoneNumber": phone, "OneTimePassword": "00000"},
    }


def _recorded(known: Known) -> Iterator[Request]:
    """A request of each operation by POST and by GET; links, pages, and our own paths."""
    headers = [(_bytes(name), _bytes(value)) for name, value in (*QUERY_HEADERS, *SNS_SIGNED)]
    headers.append((b"accept", b"*/*"))
    for operation, members in sensible(known).items():
        body = sns_body(operation, members)
        sized = [*headers, (b"content-length", b"%d" % len(body))]
        yield Request("POST", b"/", b"", sized, body)
        yield Request("GET", b"/", body, headers, b"")
    arn, token = known.subscription_arns[0], known.tokens[0]
    host = [(b"host", b"localhost:9324")]
    for path, parameters in (
        ("/", {"Action": "ConfirmSubscription", "TopicArn": topic_arn("news"), "Token": token}),
        ("/", {"Action": "Unsubscribe", "SubscriptionArn": arn}),
        ("/confirmation.html", {"TopicArn": topic_arn("news"), "Token": token, "Endpoint": "a@b"}),
        ("/unsubscribe.html", {"SubscriptionArn": arn, "Endpoint": "a@b"}),
        ("/_headrace/outbox", {"protocol": "http", "status": "pending", "limit": "5"}),
        (
            "/_headrace/sns/explain",
            {"topicArn": topic_arn("news"), "messageId": known.message_ids[0]},
        ),
        ("/_aws/sns/sms-messages", {"phoneNumber": "+15550001111", "region": "us-east-1"}),
        ("/_aws/sns/platform-endpoint-messages", {"endpointArn": known.endpoint_arns[0]}),
        (f"/_aws/sns/subscription-tokens/{arn}", {}),
    ):
        yield Request("GET", path.encode(), urlencode(parameters, safe=":").encode(), host, b"")
    attributes = {"kind": {"DataType": "String", "StringValue": "x"}}
    draft = {"TopicArn": topic_arn("news"), "Message": "m", "MessageAttributes": attributes}
    yield Request("POST", b"/_headrace/sns/explain", b"", host, json.dumps(draft).encode())


def _bytes(value: str | bytes) -> bytes:
    return value if isinstance(value, bytes) else value.encode("latin-1")


async def _sent(server: Server, request: Request) -> Answer:
    return await timely(
        server.send(
            request.body,
            method=request.method,
            path=request.path.decode("utf-8", "replace"),
            query_string=request.query_string,
            headers=request.headers,
        )
    )


#: of the operations of SNS, and what SQS or the framework may say of what is none any more
_CODES = {code for each in model().operation_names for code in codes(each)} | LOOKS.keys()


def _check(answer: Answer) -> None:
    assert answer.status in {200, 400, 403, 404, 413}
    assert answer.headers["x-amzn-requestid"]
    for _, value in answer.header_list:
        assert value.decode("ascii").isprintable()
    if answer.headers["content-type"] != "text/xml":
        answer.json()
    elif answer.body != b"<UnknownOperationException/>\n":
        root = answer.xml()
        if answer.status != 200:
            assert root.findtext("Error/Code") in _CODES
            return
        operation = root.tag.removesuffix("Response")
        result = root.find(f"{operation}Result")
        if result is not None and operation in model().operation_names:
            shape = model().operation_model(operation).output_shape
            assert list(problems(shape, result)) == []


@pytest.mark.parametrize("seed", SEEDS)
async def test_a_damaged_request_is_answered_and_harms_nobody(seed: int) -> None:
    """Never an internal failure, nor an exception out of the application, nor one in its log."""
    chance = random.Random(seed)
    async with sns_serving() as server:
        requests = list(_recorded(await prepare(server)))
        for _ in range(_REQUESTS_PER_SEED):
            request = damaged_request(chance.choice(requests), chance)
            answer = await _sent(server, request)
            path = request.path.decode("utf-8", "replace")
            if path.startswith(_OWN_PATHS):
                check_own(path, request.method, answer)
            else:
                _check(answer)
        await check_serves(server)
        await check_publishes(server)


async def test_the_recorded_requests_are_fine_before_they_are_damaged() -> None:
    """Each on a server of its own: one deletes what another needs."""
    async with sns_serving() as server:
        known = await prepare(server)
    assert sensible(known).keys() == {*model().operation_names}
    refusals = []
    for request in _recorded(known):
        async with sns_serving() as server:
            await prepare(server)
            answer = await _sent(server, request)
            if answer.status != 200:
                refusals.append((request.query_string or request.body, answer.body))
    # by POST and by GET: nobody can guess the password
    assert [b"VerificationException" in body for _, body in refusals] == [True, True], refusals
