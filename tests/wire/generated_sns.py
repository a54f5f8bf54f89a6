"""Calls of SNS made up from AWS's published shapes: mostly sensible, some of them spoilt."""

import base64
import json
import re
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any, NamedTuple

from botocore.parsers import create_parser
from hypothesis import strategies as st

from tests.support.server import ACCOUNT, REGION
from tests.support.sns import model
from tests.wire.calls import Answer, Server
from tests.wire.generated import TEXT, Members, spoilt

TOPICS: dict[str, dict[str, str]] = {
    "news": {"SQSSuccessFeedbackRoleArn": "arn:aws:iam::1:role/r"},
    "large": {"MaximumMessageSize": "1048576"},
    "ordered.fifo": {"FifoTopic": "true", "ContentBasedDeduplication": "true"},
    "archive.fifo": {"FifoTopic": "true", "ArchivePolicy": '{"MessageRetentionPeriod":"7"}'},
}
QUEUES = ("inbox", "dead", "inbox.fifo")

_PHONE = "+15550001111"
#: nobody listens there
_URL = "http://127.0.0.1:9/hook"


def topic_arn(name: str) -> str:
    """The ARN of a topic of ours."""
    return f"arn:aws:sns:{REGION}:{ACCOUNT}:{name}"


def _queue_arn(name: str) -> str:
    return f"arn:aws:sqs:{REGION}:{ACCOUNT}:{name}"


_DEAD = json.dumps({"deadLetterTargetArn": _queue_arn("dead")})
_SUBSCRIPTIONS: tuple[tuple[str, str, str, dict[str, str]], ...] = (
    ("news", "sqs", _queue_arn("inbox"), {"RawMessageDelivery": "true"}),
    ("news", "sqs", _queue_arn("absent"), {"RedrivePolicy": _DEAD}),
    ("news", "http", _URL, {}),
    ("news", "email", "reader@example.com", {}),
    ("news", "sms", _PHONE, {"FilterPolicy": '{"kind":[{"exists":true}]}'}),
    (
        "news",
        "firehose",
        f"arn:aws:firehose:{REGION}:{ACCOUNT}:deliverystream/s",
        {"SubscriptionRoleArn": "arn:aws:iam::1:role/r"},
    ),
    (
        "large",
        "sqs",
        _queue_arn("inbox"),
        {"FilterPolicyScope": "MessageBody", "FilterPolicy": '{"a":{"b":["c",{"prefix":"d"}]}}'},
    ),
    ("ordered.fifo", "sqs", _queue_arn("inbox.fifo"), {"RawMessageDelivery": "true"}),
    ("ordered.fifo", "sqs", _queue_arn("inbox"), {}),
)


class Known(NamedTuple):
    """What a client can know of the world that ``prepare`` makes: the same in every server."""

    subscription_arns: tuple[str, ...]
    application_arns: tuple[str, ...]
    endpoint_arns: tuple[str, ...]
    tokens: tuple[str, ...]
    message_ids: tuple[str, ...]
    next_tokens: tuple[str, ...]


def read(operation: str, answer: Answer) -> Any:
    """What the answer to a call that must succeed says, as botocore reads it."""
    assert answer.status == 200, answer.body
    told = {"status_code": 200, "headers": answer.headers, "body": answer.body}
    return create_parser("query").parse(told, model().operation_model(operation).output_shape)


async def prepare(server: Server) -> Known:
    """Fill a server with topics, subscriptions of every kind, and messages."""

    async def call(operation: str, **members: Any) -> Any:
        return read(operation, await server.sns(operation, members))

    for name in QUEUES:
        attributes = {"FifoQueue": "true"} if name.endswith(".fifo") else {}
        members = {"QueueName": name, "Attributes": attributes}
        assert (await server.json("CreateQueue", members)).status == 200
    for name, attributes in TOPICS.items():
        tags = [{"Key": "team", "Value": "a"}]
        await call("CreateTopic", Name=name, Attributes=attributes, Tags=tags)
    application = await call(
        "CreatePlatformApplication",
        Name="app",
        Platform="GCM",
        Attributes={"PlatformCredential": "secret", "EventEndpointUpdated": topic_arn("news")},
    )
    application_arn = application["PlatformApplicationArn"]
    endpoint = await call(
        "CreatePlatformEndpoint", PlatformApplicationArn=application_arn, Token="device"
    )
    endpoint_arn = endpoint["EndpointArn"]
    arns = []
    for topic, protocol, address, attributes in (
        *_SUBSCRIPTIONS,
        ("news", "application", endpoint_arn, {}),
    ):
        made = await call(
            "Subscribe",
            TopicArn=topic_arn(topic),
            Protocol=protocol,
            Endpoint=address,
            Attributes=attributes,
            ReturnSubscriptionArn=True,
        )
        arns.append(made["SubscriptionArn"])
    pending = next(
        arn for arn, made in zip(arns, _SUBSCRIPTIONS, strict=False) if made[1] == "http"
    )
    shown = await server.send(method="GET", path=f"/_aws/sns/subscription-tokens/{pending}")
    await call("SetSMSAttributes", attributes={"DefaultSMSType": "Transactional"})
    await call("CreateSMSSandboxPhoneNumber", PhoneNumber=_PHONE)
    message_ids = []
    for name in TOPICS:
        members = {"TopicArn": topic_arn(name), "Message": '{"a":{"b":"c"}}'}
        if name.endswith(".fifo"):
            members |= {"MessageGroupId": "g", "MessageDeduplicationId": "d"}
        message_ids.append((await call("Publish", **members))["MessageId"])
    token = shown.json()["subscription_token"]
    return Known(
        tuple(arns), (application_arn,), (endpoint_arn,), (token, "ab"), tuple(message_ids), ()
    )


async def next_token(server: Server) -> str:
    """The token of a second page of topics; every server of these tests takes it."""
    for number in range(101):
        await server.sns("CreateTopic", {"Name": f"t{number}"})
    token: str = read("ListTopics", await server.sns("ListTopics", {}))["NextToken"]
    return token


# --- sensible values, by the name of the member -------------------------------------------------

_FILTER_POLICY = st.sampled_from(
    [
        "{}",
        "",
        '{"kind":["a",null,1.5,true]}',
        '{"kind":[{"anything-but":{"prefix":"x"}},{"numeric":[">",0,"<=",1e308]}]}',
        '{"$or":[{"a":["b"]},{"c":[{"cidr":"10.0.0.0/8"}]}]}',
        '{"a":{"b":{"c":[{"wildcard":"*x*y*"}]}}}',
        '{"a":[{"numeric":["=",1e400]}]}',
        '{"a":[NaN]}',
        '{"a":["\\ud800"]}',
        '{"\\ud800":["b"]}',
        '{"a":[]}',
        "[",
        '{"a":' * 400 + "1" + "}" * 400,
        '{"a":' * 100_000,
        "[" * 100_000,
        json.dumps({f"k{number}": ["v"] for number in range(6)}),
    ]
)
_DELIVERY_POLICY = st.sampled_from(
    [
        '{"healthyRetryPolicy":{"numRetries":5,"minDelayTarget":1,"maxDelayTarget":60}}',
        '{"http":{"defaultHealthyRetryPolicy":{"numRetries":0},"disableSubscriptionOverrides":true}}',
        '{"throttlePolicy":{"maxReceivesPerSecond":1}}',
        '{"requestPolicy":{"headerContentType":"application/json"}}',
        '{"requestPolicy":{"headerContentType":"text/plain\\r\\nX-Injected: 1"}}',
        '{"healthyRetryPolicy":{"numRetries":1e400}}',
        '{"healthyRetryPolicy":{"numRetries":' + "9" * 5_000 + "}}",
        "",
        "{}",
        "nonsense",
    ]
)
_REPLAY_POLICY = st.sampled_from(
    [
        '{"PointType":"Timestamp","StartingPoint":"2025-01-01T00:00:00.000Z"}',
        '{"PointType":"Timestamp","StartingPoint":"2025-01-01T00:00:00Z",'
        '"EndingPoint":"2027-01-01T00:00:00Z"}',
        '{"PointType":"Timestamp","StartingPoint":"9999-12-31T23:59:60.999999999Z"}',
        "{}",
        "",
        "[]",
    ]
)
_POLICY = st.sampled_from(
    [
        json.dumps(
            {
                "Version": "2012-10-17",
                "Statement": [
                    {
                        "Sid": "one",
                        "Effect": "Allow",
                        "Principal": {"AWS": "*"},
                        "Action": "SNS:Publish",
                        "Resource": topic_arn("news"),
                    }
                ],
            }
        ),
        "",
        "{}",
        "nonsense",
    ]
)
_BOOLEAN = st.sampled_from(["true", "false", "TrUe", "maybe"])
_ATTRIBUTES: dict[str, st.SearchStrategy[str]] = {
    "DisplayName": TEXT,
    "Policy": _POLICY,
    "DeliveryPolicy": _DELIVERY_POLICY,
    "SignatureVersion": st.sampled_from(["1", "2", "3"]),
    "TracingConfig": st.sampled_from(["Active", "PassThrough", ""]),
    "KmsMasterKeyId": TEXT,
    "MaximumMessageSize": st.sampled_from(["1024", "1048576", "1", "9" * 30]),
    "FifoTopic": _BOOLEAN,
    "ContentBasedDeduplication": _BOOLEAN,
    "FifoThroughputScope": st.sampled_from(["Topic", "MessageGroup"]),
    "ArchivePolicy": st.sampled_from(['{"MessageRetentionPeriod":"30"}', "{}", "", "7"]),
    "SQSSuccessFeedbackRoleArn": st.just("arn:aws:iam::1:role/r") | TEXT,
    "SQSSuccessFeedbackSampleRate": st.sampled_from(["0", "100", "101"]),
    "RawMessageDelivery": _BOOLEAN,
    "FilterPolicy": _FILTER_POLICY,
    "FilterPolicyScope": st.sampled_from(["MessageBody", "MessageAttributes", "x"]),
    "RedrivePolicy": st.sampled_from([_DEAD, "", "{}", "[", '{"deadLetterTargetArn":7}']),
    "ReplayPolicy": _REPLAY_POLICY,
    "SubscriptionRoleArn": st.just("arn:aws:iam::1:role/r") | TEXT,
    "PlatformCredential": TEXT,
    "EventDeliveryFailure": st.just(topic_arn("news")) | TEXT,
    "Enabled": _BOOLEAN,
    "Token": st.sampled_from(["device", "other"]) | TEXT,
    "CustomUserData": TEXT,
    "SuccessFeedbackSampleRate": st.sampled_from(["50", "101"]),
    "MonthlySpendLimit": st.sampled_from(["1", "-1", "1e9"]),
    "DefaultSenderID": st.sampled_from(["Sender", "1", ""]),
    "DefaultSMSType": st.sampled_from(["Promotional", "Transactional", "x"]),
}
_TOPIC_ATTRIBUTES = tuple(_ATTRIBUTES)[:13]
_SUBSCRIPTION_ATTRIBUTES = ("DeliveryPolicy", *tuple(_ATTRIBUTES)[13:19])
_NAMES_OF: Mapping[str, tuple[str, ...]] = {
    "CreateTopic": _TOPIC_ATTRIBUTES,
    "SetTopicAttributes": _TOPIC_ATTRIBUTES,
    "Subscribe": _SUBSCRIPTION_ATTRIBUTES,
    "SetSubscriptionAttributes": _SUBSCRIPTION_ATTRIBUTES,
    "CreatePlatformApplication": (
        "PlatformCredential",
        "EventDeliveryFailure",
        "SuccessFeedbackSampleRate",
        "Enabled",
    ),
    "SetPlatformApplicationAttributes": ("PlatformCredential", "EventDeliveryFailure", "Enabled"),
    "CreatePlatformEndpoint": ("Enabled", "Token", "CustomUserData"),
    "SetEndpointAttributes": ("Enabled", "Token", "CustomUserData"),
    "SetSMSAttributes": ("MonthlySpendLimit", "DefaultSenderID", "DefaultSMSType"),
}
_DATA_PROTECTION = st.sampled_from(['{"Name":"p","Version":"2021-06-01"}', "", "x" * 30_721])
_TOPIC_NAMES = st.sampled_from([*TOPICS, "new", "new.fifo", "absent"])
_MESSAGES = st.sampled_from(
    [
        '{"a":{"b":"c"}}',
        '{"default":"d","sqs":"s","http":7,"GCM":"{\\"data\\":{}}"}',
        '{"default":' * 3,
        '{"default":' * 100_000,
        "[" * 100_000,
        '{"a":' * 400 + "1" + "}" * 400,
        '{"a":1e999,"b":NaN,"c":"\\ud800"}',
        '{"default":"\\ud800\\u0000"}',
        "9" * 5_000,
        "x" * 300_000,
        "\0\ufffe\x85 <&>\"']]>",
    ]
)


def _texts(operation: str, known: Known) -> dict[str, st.SearchStrategy[str]]:
    topic_arns = _TOPIC_NAMES.map(topic_arn) | st.sampled_from(
        [
            f"arn:aws:sns:eu-west-1:{ACCOUNT}:news",
            "arn:aws:sns",
            topic_arn("news") + ":x",
            topic_arn("x" * 10_000),
            ":" * 10_000,
        ]
    )
    numbers = st.sampled_from([_PHONE, "+15550002222", "+1555/000-1111", "12"]) | TEXT
    return {
        "Name": _TOPIC_NAMES | TEXT,
        "TopicArn": topic_arns,
        "ResourceArn": topic_arns,
        "TargetArn": topic_arns | st.sampled_from(known.endpoint_arns) | TEXT,
        "PhoneNumber": numbers,
        "phoneNumber": numbers,
        "SubscriptionArn": (
            st.sampled_from([*known.subscription_arns, topic_arn("news")])
            | st.just(topic_arn("news") + ":00000000-0000-4000-8000-ffffffffffff")
            | TEXT
        ),
        "PlatformApplicationArn": st.sampled_from([*known.application_arns, "arn:a:b:c:d:e"]),
        "EndpointArn": st.sampled_from([*known.endpoint_arns, "arn:a:b:c:d:e"]) | TEXT,
        "Platform": st.sampled_from(["GCM", "APNS", "ADM", "NONE"]),
        "Token": st.sampled_from([*known.tokens, "device", "f" * 288]) | TEXT,
        "Protocol": st.sampled_from(
            ["sqs", "http", "https", "email", "email-json", "sms", "lambda", "application", "x"]
        ),
        "Endpoint": st.sampled_from(
            [
                _URL,
                "http://user:p\u00e4ss@127.0.0.1:9/\r\nX-Injected: 1",
                "https://127.0.0.1:9/?q=\u00e4",
                "http://[::1",
                "http://127.0.0.1:99999999999/",
                "http://" + "a" * 300 + "/",
                "a@example.com",
                "a@example.com\r\nBcc: b@example.com",
                _PHONE,
                _queue_arn("inbox"),
                _queue_arn("inbox.fifo"),
                _queue_arn("absent"),
                f"arn:aws:sqs:{REGION}:111111111111:theirs",
                f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:f",
                *known.endpoint_arns,
            ]
        )
        | TEXT,
        "AttributeName": st.sampled_from(_NAMES_OF.get(operation, ("x",))) | TEXT,
        "Message": st.text(min_size=1, max_size=20) | _MESSAGES,
        "Subject": st.sampled_from(["a subject", "a\r\nb: c", "\u00e9\U0001f600", "x" * 101, ""]),
        "MessageStructure": st.sampled_from(["json", "json", "xml", ""]),
        "MessageGroupId": st.sampled_from(["g", "!~", "a b", ""]),
        "MessageDeduplicationId": st.sampled_from(["d", "e", "a b"]) | TEXT,
        "Id": st.sampled_from(["a", "b", "c-1", "d_2", "E", "f"]) | TEXT,
        "DataType": st.sampled_from(["String", "Number", "Binary", "String.Array"]) | TEXT,
        "StringValue": (
            st.sampled_from(["1", "-1e3", "1e999", "9" * 5_000, '["a",1,null]', "[" * 20_000])
            | TEXT
        ),
        "DataProtectionPolicy": _DATA_PROTECTION,
        "Label": st.sampled_from(["one", "two", "a b"]) | TEXT,
        "AWSAccountId": st.sampled_from([ACCOUNT, "111111111111", "*", "1"]),
        "ActionName": st.sampled_from(["Publish", "Subscribe", "*", "sns:Publish"]) | TEXT,
        "NextToken": st.sampled_from([*known.next_tokens, "bmV4dA=="]) | TEXT,
        "nextToken": st.sampled_from([*known.next_tokens, "bmV4dA=="]) | TEXT,
        "AuthenticateOnUnsubscribe": _BOOLEAN,
        "ReturnSubscriptionArn": _BOOLEAN,
        "LanguageCode": st.sampled_from(["en-US", "xx"]),
        "OneTimePassword": st.sampled_from(["12345", "123456", "x"]),
        "MaxResults": st.sampled_from(["1", "30", "100", "101", "-1", "9" * 25]),
        "attributes": st.sampled_from(["DefaultSMSType", "MonthlySpendLimit"]) | TEXT,
    }


def _valid(operation: str, shape: Any, name: str, known: Known) -> st.SearchStrategy[Any]:
    kind = shape.type_name
    if kind == "structure":
        members = {each: _valid(operation, of, each, known) for each, of in shape.members.items()}
        required = {each: members[each] for each in shape.required_members}
        # a FIFO topic is of no use without its ids, a subscription without its endpoint
        usual = {"Endpoint": members["Endpoint"]} if "Endpoint" in members else {}
        optional = {
            each: members[each] for each in sorted(members.keys() - required.keys() - usual.keys())
        }
        if operation == "Publish" and not name:
            return st.one_of(
                *(
                    st.fixed_dictionaries(
                        {"Message": members["Message"], target: members[target]},
                        optional={
                            each: optional[each]
                            for each in optional
                            if each not in ("TopicArn", "TargetArn", "PhoneNumber")
                        },
                    )
                    for target in ("TopicArn", "TopicArn", "TargetArn", "PhoneNumber")
                )
            )
        return st.fixed_dictionaries(required | usual, optional=optional)
    if kind == "list":
        return st.lists(_valid(operation, shape.member, name, known), min_size=1, max_size=3)
    if kind == "map" and name.lower() == "attributes":
        return st.lists(st.sampled_from(_NAMES_OF[operation]), max_size=3, unique=True).flatmap(
            lambda names: st.fixed_dictionaries({each: _ATTRIBUTES[each] for each in names})
        )
    if kind == "map":
        keys = st.sampled_from(["kind", "a.b", "AWS.SNS.SMS.SMSType", "AWS.x"]) | TEXT
        return st.dictionaries(keys, _valid(operation, shape.value, name, known), max_size=2)
    if kind == "blob":
        return st.binary(max_size=8).map(lambda content: base64.b64encode(content).decode())
    if name == "AttributeValue":
        return st.sampled_from(_NAMES_OF[operation]).flatmap(_ATTRIBUTES.__getitem__) | TEXT
    return _texts(operation, known).get(name, TEXT)


@cache
def sns_calls(operation: str, known: Callable[[], Known]) -> st.SearchStrategy[Members]:
    """Members of calls of an operation: four out of five as a client might send them."""
    shape = model().operation_model(operation).input_shape
    if shape is None:
        return st.just({})
    valid = st.deferred(lambda: _valid(operation, shape, "", known()))
    return st.integers(0, 4).flatmap(lambda number: valid if number else spoilt(valid))


# --- answers ------------------------------------------------------------------------------------

#: what AWS's framework says, and errors that the model of hardly any operation has
_COMMON_CODES = {"ValidationError", "MalformedInput", "InvalidAction", "RequestEntityTooLarge"}


@cache
def codes(operation: str) -> frozenset[str]:
    """The codes with which an operation may be refused."""
    shapes = model().operation_model(operation).error_shapes
    modelled = {shape.metadata.get("error", {}).get("code", shape.name) for shape in shapes}
    return frozenset(modelled | _COMMON_CODES)


def problems(shape: Any, element: Any) -> Iterator[str]:
    """Where an answer is not as the published shape has it."""
    where = element.tag
    if shape.type_name == "structure":
        tags = [child.tag for child in element]
        for name in {*tags} - {*shape.members}:
            yield f"{where} has an unknown {name}"
        for name in shape.required_members:
            if name not in tags:
                yield f"{where} has no {name}"
        for child in element:
            if tags.count(child.tag) > 1:
                yield f"{where} has {child.tag} twice"
            if child.tag in shape.members:
                yield from problems(shape.members[child.tag], child)
    elif shape.type_name == "list":
        for child in element:
            if child.tag != "member":
                yield f"{where} has a {child.tag}"
            yield from problems(shape.member, child)
    elif shape.type_name == "map":
        for child in element:
            if (child.tag, [each.tag for each in child]) != ("entry", ["key", "value"]):
                yield f"{where} has a {child.tag}"
    elif shape.type_name == "boolean" and element.text not in ("true", "false"):
        yield f"{where} is {element.text}"
    elif len(element):
        yield f"{where} is no text"


async def snapshot(server: Server, known: Known) -> list[Any]:
    """All that clients can see of the world about topics."""
    topics = [topic_arn(name) for name in (*TOPICS, "new", "new.fifo")]
    shown: list[Answer] = [
        *[await server.sns(name, {}) for name in ("ListTopics", "ListSubscriptions")],
        *[await server.sns("GetTopicAttributes", {"TopicArn": arn}) for arn in topics],
        *[await server.sns("ListTagsForResource", {"ResourceArn": arn}) for arn in topics],
        *[
            await server.sns("GetSubscriptionAttributes", {"SubscriptionArn": arn})
            for arn in known.subscription_arns
        ],
        await server.sns("ListPlatformApplications", {}),
        await server.sns(
            "ListEndpointsByPlatformApplication",
            {"PlatformApplicationArn": known.application_arns[0]},
        ),
        await server.sns("GetSMSAttributes", {}),
        await server.sns("ListSMSSandboxPhoneNumbers", {}),
        *[
            await server.json("GetQueueAttributes", {"QueueUrl": name, "AttributeNames": ["All"]})
            for name in QUEUES
        ],
    ]
    outbox = await server.send(method="GET", path="/_headrace/outbox")
    # attempts go on beside what a test does
    deliveries = [
        [each[name] for name in ("kind", "protocol", "endpoint", "messageId")]
        for each in outbox.json()["deliveries"]
    ]
    return [*[comparable(each) for each in shown], deliveries]


#: stores take their numbers where they like, as long as they rise
_SEQUENCE = re.compile(rb"(?<=<SequenceNumber>)\d{20}(?=</SequenceNumber>)")


def comparable(answer: Answer) -> tuple[int, bytes]:
    """Status and body of an answer, without what is different in each."""
    request_id = answer.headers.get("x-amzn-requestid", "?").encode()
    return answer.status, _SEQUENCE.sub(b"-", answer.body.replace(request_id, b"-"))
