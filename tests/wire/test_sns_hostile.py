"""What somebody may send to SNS who means harm."""

import json
from collections.abc import Callable, Iterator
from copy import deepcopy
from typing import Any

import pytest

from api.dispatch import REQUEST_BYTES_MAX
from tests.support.sns import model
from tests.wire.calls import QUERY_HEADERS, SNS_SIGNED, Answer, Server
from tests.wire.generated import Members
from tests.wire.generated_sns import prepare, read, topic_arn
from tests.wire.test_sns_fuzz import check_answer, check_publishes, sns_serving, timely
from tests.wire.test_sns_mutations import sensible

DEPTHS = (50, 400, 900, 1_000, 20_000)
MARKUP = "<&>\"']]><!--\t\n"
_TEXTS = (
    "",
    "\0",
    "a\0b",
    "\ufffe",
    "\r\nX-Injected: 1",
    MARKUP,
    "x" * 20_000,
    ":" * 20_000,
    "\u0663",
    "%00",
    "9" * 5_000,
    "../../etc/passwd",
    "'; DROP TABLE topics; --",
)


def _texts(shape: Any, value: Any) -> Iterator[tuple[Any, Any]]:
    """The places of texts in a call: what holds them, and under which key."""
    if shape.type_name == "structure":
        for name, member in shape.members.items():
            if member.type_name in ("string", "integer", "boolean", "blob"):
                yield value, name
            elif name in value:
                yield from _texts(member, value[name])
    elif shape.type_name in ("list", "map"):
        member = shape.member if shape.type_name == "list" else shape.value
        for key in range(len(value)) if shape.type_name == "list" else list(value):
            if member.type_name == "string":
                yield value, key
            else:
                yield from _texts(member, value[key])


def _spoilt(operation: str, members: Members, text: str) -> Iterator[Members]:
    """The call with each of its texts in turn replaced, and each key of a map."""
    shape = model().operation_model(operation).input_shape
    if shape is None:
        return
    for number in range(len(list(_texts(shape, members)))):
        changed = deepcopy(members)
        holder, key = list(_texts(shape, changed))[number]
        holder[key] = text
        yield changed
    for name, member in shape.members.items():
        if member.type_name == "map" and members.get(name):
            renamed = dict.fromkeys([text], next(iter(members[name].values())))
            yield {**members, name: renamed}


async def _call(server: Server, operation: str, **members: Any) -> Answer:
    answer = await timely(server.sns(operation, members))
    check_answer(operation, answer)
    return answer


def _refusal(answer: Answer) -> tuple[str | None, str | None]:
    root = answer.xml()
    return root.findtext("Error/Code"), root.findtext("Error/Message")


@pytest.mark.parametrize("operation", model().operation_names)
async def test_every_text_of_a_call_may_be_anything(operation: str) -> None:
    async with sns_serving() as server:
        known = await prepare(server)
        for text in _TEXTS:
            for members in _spoilt(operation, sensible(known)[operation], text):
                await _call(server, operation, **members)
        await check_publishes(server)


@pytest.mark.parametrize("operation", model().operation_names)
async def test_what_is_no_utf_8_is_refused_in_every_text(operation: str) -> None:
    async with sns_serving() as server:
        known = await prepare(server)
        for members in _spoilt(operation, sensible(known)[operation], "\ud800"):
            answer = await _call(server, operation, **members)
            assert _refusal(answer)[0] == "MalformedInput"


async def test_markup_comes_back_as_it_was_given() -> None:
    arn = topic_arn("news")
    text = MARKUP.replace("\n", "").replace("\t", "")
    async with sns_serving() as server:
        known = await prepare(server)
        endpoint, url = known.endpoint_arns[0], f"http://127.0.0.1:9/?{text.replace(' ', '')}"
        await _call(
            server,
            "SetTopicAttributes",
            TopicArn=arn,
            AttributeName="DisplayName",
            AttributeValue=text,
        )
        await _call(server, "TagResource", ResourceArn=arn, Tags=[{"Key": "k", "Value": text}])
        await _call(
            server,
            "SetEndpointAttributes",
            EndpointArn=endpoint,
            Attributes={"CustomUserData": MARKUP},
        )
        await _call(server, "Subscribe", TopicArn=arn, Protocol="http", Endpoint=url)

        topic = read("GetTopicAttributes", await _call(server, "GetTopicAttributes", TopicArn=arn))
        tags = read(
            "ListTagsForResource", await _call(server, "ListTagsForResource", ResourceArn=arn)
        )
        device = read(
            "GetEndpointAttributes",
            await _call(server, "GetEndpointAttributes", EndpointArn=endpoint),
        )
        listed = read("ListSubscriptions", await _call(server, "ListSubscriptions"))
        refused = await _call(
            server, "CreateTopic", Name="other", Attributes={f"a{MARKUP}": "value"}
        )

    assert topic["Attributes"]["DisplayName"] == text
    assert {"Key": "k", "Value": text} in tags["Tags"]
    assert device["Attributes"]["CustomUserData"] == MARKUP
    assert url in [each["Endpoint"] for each in listed["Subscriptions"]]
    assert f"a{MARKUP}" in (_refusal(refused)[1] or "")


# --- JSON within parameters ---------------------------------------------------------------------

_NUMBERS = (
    "9" * 5_000,
    "-" + "9" * 400,
    "1e999",
    "1e-999",
    "1e999999999",
    "-1e-999999999",
    "0.1e" + "9" * 400,
    "1" + "0" * 4_000 + "e-4000",
    "NaN",
    "-Infinity",
)
_DOCUMENTS: dict[str, Callable[[int], str]] = {
    "deep object": lambda depth: '{"a":' * depth + "1" + "}" * depth,
    "deep list": lambda depth: "[" * depth + "]" * depth,
    "deep list in an object": lambda depth: '{"a":' + "[" * depth + "]" * depth + "}",
    "deep alternatives": lambda depth: '{"$or":[' * depth + "1" + "]}" * depth,
    "unfinished": lambda depth: '{"a":[' * depth,
}


def _documents() -> Iterator[str]:
    for document in _DOCUMENTS.values():
        yield from (document(depth) for depth in DEPTHS)
    for number in _NUMBERS:
        yield from (number, f'{{"a":[{number}]}}', f'{{"a":[{{"numeric":["=",{number}]}}]}}')
        yield f'{{"healthyRetryPolicy":{{"numRetries":{number}}}}}'
        yield f'{{"http":{{"defaultThrottlePolicy":{{"maxReceivesPerSecond":{number}}}}}}}'
        yield f'{{"MessageRetentionPeriod":{number}}}'
        yield f'{{"deadLetterTargetArn":{number}}}'
        yield f'{{"PointType":"Timestamp","StartingPoint":{number}}}'
    yield '{"a":["\\ud800"],"\\ud801":["\\u0000"]}'
    yield '{"default":"\\ud800\\u0000","sqs":"\\udfff"}'
    yield json.dumps({"a": [{"wildcard": "*a" * 200}]})
    yield json.dumps({f"k{number}": ["v"] * 10 for number in range(1_000)})
    yield json.dumps({"a": ["v" * 260_000]})


@pytest.mark.parametrize(
    ("topic", "name"),
    [
        ("news", "Policy"),
        ("news", "DeliveryPolicy"),
        ("archive.fifo", "ArchivePolicy"),
    ],
)
async def test_any_document_may_be_an_attribute_of_a_topic(topic: str, name: str) -> None:
    arn = topic_arn(topic)
    async with sns_serving() as server:
        await prepare(server)
        for document in _documents():
            await _call(
                server,
                "SetTopicAttributes",
                TopicArn=arn,
                AttributeName=name,
                AttributeValue=document,
            )
            await _call(server, "CreateTopic", Name=topic, Attributes={name: document})
            shown = await _call(server, "GetTopicAttributes", TopicArn=arn)
            assert shown.status == 200
        members = {"MessageGroupId": "g", "MessageDeduplicationId": "x"}
        published = await _call(
            server, "Publish", TopicArn=arn, Message="m", **members if "fifo" in topic else {}
        )
        assert published.status == 200


@pytest.mark.parametrize(
    ("name", "scope"),
    [
        ("FilterPolicy", "MessageAttributes"),
        ("FilterPolicy", "MessageBody"),
        ("DeliveryPolicy", "MessageBody"),
        ("RedrivePolicy", "MessageBody"),
    ],
)
async def test_any_document_may_be_an_attribute_of_a_subscription(name: str, scope: str) -> None:
    """Whatever is accepted can be shown, subscribed again, published to, and explained."""
    topic = topic_arn("news")
    async with sns_serving() as server:
        await prepare(server)
        for number, document in enumerate(_documents()):
            queue = topic.replace(":sns:", ":sqs:").replace("news", f"q{number}")
            attributes = {name: document, "FilterPolicyScope": scope}
            for _ in range(2):
                made = await _call(
                    server,
                    "Subscribe",
                    TopicArn=topic,
                    Protocol="sqs",
                    Endpoint=queue,
                    Attributes=attributes,
                )
            if made.status != 200:
                continue
            arn = read("Subscribe", made)["SubscriptionArn"]
            for operation in ("GetSubscriptionAttributes", "Unsubscribe"):
                answer = await _call(server, "Publish", TopicArn=topic, Message='{"a":1}')
                assert answer.status == 200
                await _explained(server, topic, '{"a":1}')
                assert (await _call(server, operation, SubscriptionArn=arn)).status == 200
            changed = await _call(
                server,
                "SetSubscriptionAttributes",
                SubscriptionArn=arn,
                AttributeName=name,
                AttributeValue=document,
            )
            assert changed.status == 404


async def test_any_document_may_be_a_replay_policy() -> None:
    arn = topic_arn("archive.fifo")
    queue = arn.replace(":sns:", ":sqs:").replace("archive", "inbox")
    async with sns_serving() as server:
        await prepare(server)
        for document in _documents():
            await _call(
                server,
                "Subscribe",
                TopicArn=arn,
                Protocol="sqs",
                Endpoint=queue,
                Attributes={"ReplayPolicy": document},
            )
        await check_publishes(server)


@pytest.mark.parametrize("structure", [None, "json"])
async def test_any_document_may_be_a_message(structure: str | None) -> None:
    """There is a subscription with a filter on bodies, one on attributes, and one without."""
    topic = topic_arn("large")
    attributes = {"FilterPolicyScope": "MessageBody", "FilterPolicy": '{"a":[{"numeric":[">",0]}]}'}
    async with sns_serving() as server:
        await prepare(server)
        for name in ("inbox", "dead"):
            await _call(
                server,
                "Subscribe",
                TopicArn=topic,
                Protocol="sqs",
                Endpoint=topic.replace(":sns:", ":sqs:").replace("large", name),
                Attributes=attributes if name == "dead" else {},
            )
        for document in _documents():
            published = await _call(
                server, "Publish", TopicArn=topic, Message=document, MessageStructure=structure
            )
            assert published.status == 200 or structure is not None
            await _explained(server, topic, document)


async def test_any_number_may_be_compared() -> None:
    """A rule for numbers of any size and precision, and messages with such numbers."""
    topic = topic_arn("news")
    async with sns_serving() as server:
        await prepare(server)
        for scope in ("MessageAttributes", "MessageBody"):
            for place, number in enumerate(("1e150", "-1e-150", "0.1")):
                rule = f'{{"a":[{{"numeric":[">=",{number}]}},{{"anything-but":{number}}}]}}'
                made = await _call(
                    server,
                    "Subscribe",
                    TopicArn=topic,
                    Protocol="sqs",
                    Endpoint=topic.replace(":sns:", ":sqs:").replace("news", f"{scope}{place}"),
                    Attributes={"FilterPolicy": rule, "FilterPolicyScope": scope},
                )
                assert made.status == 200 or "e" in number
        for number in _NUMBERS:
            attribute = {"DataType": "Number", "StringValue": number}
            several = {"DataType": "String.Array", "StringValue": f"[{number},{number}]"}
            for value in (attribute, several):
                await _call(
                    server,
                    "Publish",
                    TopicArn=topic,
                    Message=f'{{"a":{number}}}',
                    MessageAttributes={"a": value},
                )
            await _explained(server, topic, f'{{"a":{number}}}')


async def _explained(server: Server, topic: str, message: str) -> None:
    body = json.dumps({"TopicArn": topic, "Message": message}).encode()
    answer = await timely(server.send(body, path="/_headrace/sns/explain"))
    assert answer.status == 200
    assert answer.json()["subscriptions"]


async def test_half_a_character_pair_in_json_becomes_a_replacement_character() -> None:
    """UTF-8 has no place for it, but JSON can say it, within a message too."""
    text = '{"default":"\\ud800!","GCM":"{\\"a\\":\\"\\\\udfff\\"}"}'
    assert json.loads(json.loads(text)["GCM"]) == {"a": "\udfff"}
    async with sns_serving() as server:
        known = await prepare(server)
        for target in ({"PhoneNumber": "+15550001111"}, {"TargetArn": known.endpoint_arns[0]}):
            members = {"Message": text, "MessageStructure": "json", **target}
            assert (await _call(server, "Publish", **members)).status == 200
        shown = await server.send(method="GET", path="/_aws/sns/sms-messages")
        for path in ("/_aws/sns/platform-endpoint-messages", "/_headrace/outbox"):
            assert (await server.send(method="GET", path=path)).status == 200
    [*_, last] = shown.json()["sms_messages"]["+15550001111"]
    assert last["Message"] == "\ufffd!"


# --- sizes --------------------------------------------------------------------------------------


async def test_a_message_of_a_mebibyte_is_delivered_whole_and_one_byte_more_is_refused() -> None:
    arn = topic_arn("large")
    async with sns_serving() as server:
        await prepare(server)
        await server.json("CreateQueue", {"QueueName": "whole"})
        await _call(
            server,
            "Subscribe",
            TopicArn=arn,
            Protocol="sqs",
            Endpoint=arn.replace(":sns:", ":sqs:").replace("large", "whole"),
            Attributes={"RawMessageDelivery": "true"},
        )
        message = "\u00e9" * 2**19
        assert (await _call(server, "Publish", TopicArn=arn, Message=message)).status == 200
        longer = await _call(server, "Publish", TopicArn=arn, Message=message + "x")
        received = await server.json("ReceiveMessage", {"QueueUrl": "whole"})
    assert [each["Body"] for each in received.json()["Messages"]] == [message]
    assert _refusal(longer) == ("InvalidParameter", "Invalid parameter: Message too long")


async def test_a_request_above_what_is_read_is_refused_as_sns_does() -> None:
    async with sns_serving() as server:
        answer = await timely(
            server.send(
                [b"Action=Publish&Message=", b"x" * REQUEST_BYTES_MAX],
                headers=[*QUERY_HEADERS, *SNS_SIGNED],
            )
        )
    assert answer.status == 413
    assert answer.xml().findtext("Error/Code") == "RequestEntityTooLarge"
    assert answer.body.startswith(b'<ErrorResponse xmlns="http://sns.amazonaws.com/')


@pytest.mark.parametrize("number", [9_000, 10_001, 100_000])
@pytest.mark.parametrize(
    "pattern",
    [
        "MessageAttributes.entry.{}.Name=a{}",
        "MessageAttributes.entry.{}.Value.DataType=String",
        "Message.{}=x",
        "{}=x",
        "Tags.member.{}.Key=a",
        "Tags.member.{}.Key.a.b.c.d.e.f.g.h.i.j.k=a",
    ],
)
@pytest.mark.parametrize("operation", ["Publish", "CreateTopic"])
async def test_thousands_of_parameters_are_answered(
    operation: str, pattern: str, number: int
) -> None:
    several = "&".join(pattern.replace("{}", str(each)) for each in range(1, number))
    body = f"Action={operation}&Message=m&Name=new&TopicArn={topic_arn('news')}&{several}".encode()
    async with sns_serving() as server:
        await prepare(server)
        answer = await timely(server.send(body, headers=[*QUERY_HEADERS, *SNS_SIGNED]))
        check_answer(operation, answer)
        if number > 10_000:
            assert _refusal(answer)[0] == "MalformedInput"


@pytest.mark.parametrize(("length", "kept"), [(32, True), (33, False), (200, False)])
async def test_a_region_too_long_for_a_token_is_not_taken(length: int, kept: bool) -> None:
    """Nobody could confirm a subscription there."""
    region = "a" * (length - 4) + "-b-1"
    credential = f"AKIDEXAMPLE/20260101/{region}/sns/aws4_request"
    headers = [("authorization", f"AWS4-HMAC-SHA256 Credential={credential}, Signature=0")]
    async with sns_serving() as server:
        created = await server.sns("CreateTopic", {"Name": "new"}, headers=headers)
        arn = read("CreateTopic", created)["TopicArn"]
        members = {"TopicArn": arn, "Protocol": "email", "Endpoint": "a@example.com"}
        members["ReturnSubscriptionArn"] = "true"
        made = await server.sns("Subscribe", members, headers=headers)
        subscription = read("Subscribe", made)["SubscriptionArn"]
        shown = await server.send(
            method="GET", path=f"/_aws/sns/subscription-tokens/{subscription}"
        )
        token = shown.json()["subscription_token"]
        confirmed = await server.sns(
            "ConfirmSubscription", {"TopicArn": arn, "Token": token}, headers=headers
        )
    assert (f":{region}:" in arn) is kept
    assert read("ConfirmSubscription", confirmed)["SubscriptionArn"] == subscription


# --- lines within lines -------------------------------------------------------------------------


@pytest.mark.parametrize("line_end", ["\r\n", "\n", "\r", "\u0085"])
async def test_a_line_end_gets_into_no_header(line_end: str) -> None:
    arn = topic_arn("news")
    text = f"a{line_end}X-Injected: 1"
    policy = json.dumps({"requestPolicy": {"headerContentType": f"text/plain{text}"}})
    charset = json.dumps({"requestPolicy": {"headerContentType": f"text/plain; charset={text}"}})
    calls: list[tuple[str, Members]] = [
        ("CreateTopic", {"Name": text}),
        ("Publish", {"TopicArn": arn, "Message": "m", "Subject": text}),
        *(
            ("Subscribe", {"TopicArn": arn, "Protocol": protocol, "Endpoint": endpoint})
            for protocol, endpoint in (
                ("http", f"http://127.0.0.1:9/{text}"),
                ("http", f"http://127.0.0.1:9{line_end}/"),
                ("http", f"http://user:{text}@127.0.0.1:9/"),
                ("email", f"a@example.com{text}"),
                ("email-json", f'"{text}"@example.com'),
                ("sms", f"+15550001111{line_end}"),
            )
        ),
        *(
            (
                "Subscribe",
                {
                    "TopicArn": arn,
                    "Protocol": "http",
                    "Endpoint": "http://127.0.0.1:9/",
                    "Attributes": {"DeliveryPolicy": each},
                },
            )
            for each in (policy, charset)
        ),
    ]
    async with sns_serving() as server:
        await prepare(server)
        accepted = [
            (operation, members)
            for operation, members in calls
            if (await _call(server, operation, **members)).status == 200
        ]
    assert accepted == []


async def test_a_page_shows_markup_as_text() -> None:
    async with sns_serving() as server:
        known = await prepare(server)
        query = f"TopicArn={topic_arn('news')}&Token={known.tokens[0]}&Endpoint=<script>\"'"
        confirmed = await server.send(
            method="GET", path="/confirmation.html", query_string=query.encode()
        )
        removed = await server.send(
            method="GET",
            path="/unsubscribe.html",
            query_string=b"SubscriptionArn=" + b"a:b:sns:us-east-1:d:e:<script>'\"",
        )
    assert confirmed.status == removed.status == 200
    for answer in (confirmed, removed):
        assert answer.headers["content-type"].startswith("text/html")
        assert b"<script" not in answer.body
        assert "default-src 'none'" in answer.headers["content-security-policy"]
