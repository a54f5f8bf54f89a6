"""Traps for servers, byte by byte, each with the answer it must get.

A corpus to be added to: whatever breaks the server once belongs here.
"""

import base64
import json
import random
import string
import tracemalloc
from collections.abc import AsyncIterator
from hashlib import md5
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from pydantic import ValidationError

from api.dispatch import REQUEST_BYTES_MAX
from api.names import queue_key
from api.sqs import SQS
from storage import open_storage
from tests.support.errors import LOOKS
from tests.support.server import ACCOUNT, REGION
from tests.wire.calls import QUERY_HEADERS, Answer, Server, json_headers, queue_url, serving
from tests.wire.generated import input_shape

OTHER_ACCOUNT = "111111111111"
URL = queue_url("jobs")
PROTOCOLS = ["json", "query"]

#: everything that a response may be headed by
RESPONSE_HEADERS = {
    b"x-amzn-requestid",
    b"content-type",
    b"content-length",
    b"x-amzn-query-error",
    b"connection",
}


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    """A server with one queue, ``jobs``, over the store in memory."""
    async with serving() as server:
        await create(server, "jobs")
        yield server
        await check_serves(server)


@pytest.fixture(params=["memory", "sqlite"])
async def any_server(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Server]:
    """As ``server``, over each store."""
    url = "memory" if request.param == "memory" else f"sqlite:{tmp_path / 'headrace.db'}"
    async with serving(open_storage(url, strict=False)) as server:
        await create(server, "jobs")
        yield server
        await check_serves(server)


async def create(server: Server, name: str, **attributes: str) -> None:
    """Create a queue, and see that it is there."""
    created = await server.json("CreateQueue", {"QueueName": name, "Attributes": attributes})
    assert created.status == 200


async def check_serves(server: Server) -> None:
    """A message can still be sent and received."""
    url = queue_url("canary")
    await create(server, "canary")
    sent = await server.json("SendMessage", {"QueueUrl": url, "MessageBody": "alive"})
    assert sent.status == 200
    received = (await server.json("ReceiveMessage", {"QueueUrl": url})).json()
    assert [message["Body"] for message in received["Messages"]] == ["alive"]


async def call(
    server: Server, protocol: str, operation: str, members: dict[str, Any], **more: Any
) -> Answer:
    """Call in one of the protocols; whatever is answered has the protocol's form."""
    if protocol == "json":
        answer = await server.json(operation, members, **more)
    else:
        answer = await server.query(operation, members, **more)
    check_form(answer)
    return answer


def check_form(answer: Answer) -> None:
    """Headers are ours alone, documents are well-formed, errors are as the reference has them."""
    names = [name for name, _ in answer.header_list]
    assert set(names) <= RESPONSE_HEADERS
    assert len(names) == len(set(names))
    for _, value in answer.header_list:
        assert value.decode("ascii").isprintable()
    is_xml = answer.headers["content-type"] == "text/xml"
    if is_xml:
        answer.xml()
    else:
        answer.json()
    if answer.status != 200 and not is_xml:
        code, fault = answer.headers["x-amzn-query-error"].split(";")
        if code in LOOKS:
            assert LOOKS[code] == (answer.json()["__type"], answer.status, fault)


def message(answer: Answer) -> str:
    """The text of an error."""
    if answer.headers["content-type"] == "text/xml":
        return answer.xml().findtext("Error/Message") or ""
    return str(answer.json()["message"])


def authorization(scope: str) -> list[tuple[str | bytes, str | bytes]]:
    """The header that carries a credential scope."""
    return [("authorization", f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=x, Signature=y")]


# --- JSON documents -----------------------------------------------------------------------------


def send_message(extra: bytes) -> bytes:
    """The document of a SendMessage with something more in it."""
    return b'{"QueueUrl":"%s","MessageBody":"hello"%s}' % (URL.encode(), extra)


VALID = send_message(b"")

NOT_JSON = {
    "100,000 arrays deep": b"[" * 100_000,
    "100,000 objects deep": b'{"a":' * 100_000,
    "closed, 100,000 deep": b"[" * 100_000 + b"]" * 100_000,
    "deep within an unknown member": send_message(b',"Junk":' + b"[" * 5_000 + b"]" * 5_000),
    "an integer of 5,000 digits": send_message(b',"DelaySeconds":' + b"1" * 5_000),
    "a number of 3 MB": send_message(b',"DelaySeconds":' + b"1" * 3_000_000),
    "a leading zero": send_message(b',"DelaySeconds":01'),
    "a plus sign": send_message(b',"DelaySeconds":+1'),
    "hexadecimal": send_message(b',"DelaySeconds":0x1'),
    "a lone high surrogate": send_message(b',"MessageGroupId":"\\ud800"'),
    "a lone low surrogate": send_message(b',"MessageGroupId":"\\udc00"'),
    "a lone surrogate in an unknown member": send_message(b',"Junk":"\\ud800"'),
    "a surrogate as bytes": send_message(b',"MessageGroupId":"\xed\xa0\x80"'),
    "an overlong NUL": send_message(b',"MessageGroupId":"\xc0\x80"'),
    "not UTF-8": send_message(b',"MessageGroupId":"\xff"'),
    "a raw newline in a string": send_message(b',"MessageGroupId":"a\nb"'),
    "a raw NUL in a string": send_message(b',"MessageGroupId":"a\0b"'),
    "a byte order mark": b"\xef\xbb\xbf" + VALID,
    "UTF-16": VALID.decode().encode("utf-16"),
    "UTF-16 without a mark": VALID.decode().encode("utf-16-le"),
    "UTF-32": VALID.decode().encode("utf-32"),
    "trailing garbage": VALID + b"x",
    "two documents": VALID + VALID,
    "a trailing comma": send_message(b","),
    "a trailing NUL": VALID + b"\0",
    "single quotes": VALID.replace(b'"', b"'"),
    "a comment": b"/* hello */" + VALID,
    "cut off": VALID[:-1],
    "blanks only": b"  ",
    "a form": b"Action=SendMessage",
}


@pytest.mark.parametrize("body", NOT_JSON.values(), ids=NOT_JSON)
async def test_what_is_no_json_document_is_refused_as_that(server: Server, body: bytes) -> None:
    answer = await server.json("SendMessage", body)
    assert (answer.status, answer.code) == (400, "MalformedInput")
    assert message(answer) == "The request body is not valid JSON."


@pytest.mark.parametrize("body", [b"[]", b'"text"', b"null", b"5", b"true", b"[{}]", b"NaN"])
@pytest.mark.parametrize("operation", ["SendMessage", "ListQueues"])
async def test_a_document_that_is_no_object_is_refused_as_that(
    server: Server, operation: str, body: bytes
) -> None:
    """Even where no member is required."""
    answer = await server.json(operation, body)
    assert (answer.status, answer.code) == (400, "MalformedInput")
    assert message(answer) == "The request body is not a JSON object."


async def test_an_empty_body_is_an_object_without_members(server: Server) -> None:
    assert (await server.json("ListQueues", b"")).json() == {"QueueUrls": [URL]}
    answer = await server.json("SendMessage", b"")
    assert (answer.code, message(answer)) == (
        "MissingParameter",
        "The request must contain the parameter QueueUrl.",
    )


@pytest.mark.parametrize("number", [b"NaN", b"Infinity", b"-Infinity", b"1e400", b"1.5", b"1e0"])
async def test_what_is_no_integer_is_not_taken_for_one(server: Server, number: bytes) -> None:
    answer = await server.json("SendMessage", send_message(b',"DelaySeconds":' + number))
    assert (answer.status, answer.code) == (400, "MalformedInput")
    assert message(answer) == "NUMBER_VALUE can not be converted to an Integer"


@pytest.mark.parametrize("digits", [11, 19, 20, 21, 309, 4_000])
@pytest.mark.parametrize("sign", [b"", b"-"])
async def test_an_integer_out_of_all_proportion_is_refused(
    server: Server, digits: int, sign: bytes
) -> None:
    """Up to the digits that Python reads; the store never sees it."""
    number = sign + b"9" * digits
    for operation, member in [
        ("SendMessage", b"DelaySeconds"),
        ("ReceiveMessage", b"VisibilityTimeout"),
        ("ReceiveMessage", b"WaitTimeSeconds"),
        ("ReceiveMessage", b"MaxNumberOfMessages"),
        ("ListQueues", b"MaxResults"),
        ("ListDeadLetterSourceQueues", b"MaxResults"),
    ]:
        answer = await server.json(operation, send_message(b',"%s":%s' % (member, number)))
        check_form(answer)
        assert answer.status == 400
        assert answer.code == "InvalidParameterValue" or digits > 20


async def test_an_integer_is_refused_alike_as_number_and_as_text(server: Server) -> None:
    for number in (10**19, 10**20, 10**30):
        members = {"QueueUrl": URL, "MessageBody": "hello", "DelaySeconds": number}
        answers = [
            await call(server, "json", "SendMessage", members),
            await call(server, "json", "SendMessage", {**members, "DelaySeconds": str(number)}),
            await call(server, "query", "SendMessage", members),
        ]
        assert len({answer.code for answer in answers}) == 1, number


async def test_of_a_repeated_member_the_last_counts_in_both_protocols(server: Server) -> None:
    """In JSON also when both are wrong in themselves, or the first is."""
    sent = await server.json("SendMessage", send_message(b',"MessageBody":"last"'))
    assert sent.json()["MD5OfMessageBody"] == digest("last")
    sent = await server.json("SendMessage", send_message(b',"DelaySeconds":"x","DelaySeconds":0'))
    assert sent.status == 200
    body = f"Action=SendMessage&QueueUrl={quote(URL)}&MessageBody=first&MessageBody=last"
    sent = await server.send(body.encode(), headers=QUERY_HEADERS)
    assert sent.xml().findtext(".//MD5OfMessageBody") == digest("last")


def digest(body: str) -> str:
    return md5(body.encode(), usedforsecurity=False).hexdigest()


#: member, value of the wrong type, text (SQS reference, 1.4)
WRONG_TYPES = [
    ("SendMessage", "MessageBody", {}, "Start of structure or map found where not expected."),
    ("SendMessage", "MessageBody", [], "Start of list found where not expected"),
    ("SendMessage", "MessageBody", 5, "NUMBER_VALUE can not be converted to a String"),
    ("SendMessage", "MessageBody", True, "TRUE_VALUE can not be converted to a String"),
    ("SendMessage", "MessageBody", False, "FALSE_VALUE can not be converted to a String"),
    ("SendMessage", "DelaySeconds", "x", "STRING_VALUE can not be converted to an Integer"),
    ("SendMessage", "DelaySeconds", "", "STRING_VALUE can not be converted to an Integer"),
    ("SendMessage", "DelaySeconds", "1" * 5_000, "STRING_VALUE can not be converted to an Integer"),
    ("SendMessage", "DelaySeconds", True, "TRUE_VALUE can not be converted to an Integer"),
    ("SendMessage", "DelaySeconds", 0.5, "NUMBER_VALUE can not be converted to an Integer"),
    ("SendMessage", "DelaySeconds", {}, "Start of structure or map found where not expected."),
    ("SendMessage", "DelaySeconds", [1], "Start of list found where not expected"),
    ("SendMessage", "MessageAttributes", [], "Unrecognized collection type class java.lang.String"),
    ("TagQueue", "Tags", [], "Unrecognized collection type class java.lang.String"),
    ("TagQueue", "Tags", {"a": 5}, "NUMBER_VALUE can not be converted to a String"),
]


@pytest.mark.parametrize(("operation", "member", "value", "text"), WRONG_TYPES)
async def test_a_value_of_the_wrong_type_is_refused_in_the_words_of_aws(
    server: Server, operation: str, member: str, value: object, text: str
) -> None:
    members = {"QueueUrl": URL, "MessageBody": "hello", member: value}
    answer = await call(server, "json", operation, members)
    assert (answer.status, answer.code, message(answer)) == (400, "MalformedInput", text)


#: every list and map of every operation
MANY = [
    (operation, name)
    for operation in sorted(SQS.operations)
    for name, shape in input_shape(operation).members.items()
    if shape.type_name in ("list", "map")
]


@pytest.mark.parametrize(("operation", "member"), MANY)
def test_of_many_mistakes_few_are_looked_for(operation: str, member: str) -> None:
    """Whoever sends them does not keep the server from serving others."""
    is_list = input_shape(operation).members[member].type_name == "list"
    mistakes = [[]] * 1_000 if is_list else {str(number): [] for number in range(1_000)}
    with pytest.raises(ValidationError) as caught:
        SQS.operations[operation].request.model_validate_json(json.dumps({member: mistakes}))
    assert caught.value.error_count() < 10


async def test_what_an_unknown_member_holds_does_not_matter(server: Server) -> None:
    """As long as it can be read: the parser knows NaN and Infinity, which JSON does not have."""
    for value in (b"NaN", b"-Infinity", b"1e400", b"[[[]]]", b"1" * 4_000, b'{"a":1,"a":2}'):
        assert (await server.json("SendMessage", send_message(b',"Junk":' + value))).status == 200


async def test_many_unknown_members_are_passed_over(server: Server) -> None:
    junk = b"".join(b',"k%d":0' % number for number in range(200_000))
    assert (await server.json("SendMessage", send_message(junk))).status == 200


@pytest.mark.parametrize(
    "target",
    [
        b"",
        b"AmazonSQS",
        b"AmazonSQS.",
        b".",
        b"AmazonSQS.Nonsense",
        b"AmazonSNS.Publish",
        b"\xff\xfe",
        b"AmazonSQS.SendMessage\r\nset-cookie: a=b",
        b"x" * 100_000,
    ],
)
async def test_an_unknown_target_is_no_operation(server: Server, target: bytes) -> None:
    answer = await server.send(VALID, headers=[("x-amz-target", target)])
    check_form(answer)
    assert (answer.status, answer.code) == (400, "InvalidAction")


# --- parameters ---------------------------------------------------------------------------------


def form(*parameters: str) -> bytes:
    """A Query request on our queue with parameters written as given."""
    return "&".join(["QueueUrl=" + quote(URL), *parameters]).encode("latin-1")


UNREADABLE = {
    "300,000 fields": form("Action=ListQueues", *["a=1"] * 300_000),
    "300,000 names": form("Action=ListQueues", *[f"a{number}=1" for number in range(300_000)]),
    "not UTF-8, escaped": form("Action=SendMessage", "MessageBody=%ff"),
    "a surrogate, escaped": form("Action=SendMessage", "MessageBody=%ed%a0%80"),
    "a name that is not UTF-8": form("Action=SendMessage", "%ff=1"),
    "not UTF-8": form("Action=SendMessage", "MessageBody=\xff"),
    "a surrogate": form("Action=SendMessage", "MessageBody=\xed\xa0\x80"),
    "a sparse list": form("Action=SendMessageBatch", "SendMessageBatchRequestEntry.999999999.Id=a"),
    "a sparse map": form("Action=TagQueue", "Tag.999999999.Key=a", "Tag.999999999.Value=b"),
    "a deep name": form("Action=SendMessage", "MessageBody=hello", ".".join("a" * 100_000) + "=1"),
}


@pytest.mark.parametrize("body", UNREADABLE.values(), ids=UNREADABLE)
async def test_parameters_that_cannot_be_read_are_refused(server: Server, body: bytes) -> None:
    """In the body and in the URL alike, and nothing is allocated by index."""
    answer = await server.send(body, headers=QUERY_HEADERS)
    check_form(answer)
    assert (answer.status, answer.code) == (400, "MalformedInput")
    answer = await server.send(method="GET", query_string=body)
    assert (answer.status, answer.code) == (400, "MalformedInput")


async def test_characters_need_no_escape(server: Server) -> None:
    """As ``curl -d`` sends them."""
    body = form("Action=SendMessage") + "&MessageBody=hällo".encode()
    answer = await server.send(body, headers=QUERY_HEADERS)
    assert answer.status == 200
    assert md5("hällo".encode(), usedforsecurity=False).hexdigest().encode() in answer.body


@pytest.mark.parametrize("index", ["0", "-1", "01", "1e3", "٣", "", "9999999999", "x", "1" * 5_000])
async def test_an_index_is_a_small_number_or_the_entry_is_not_there(
    server: Server, index: str
) -> None:
    """Leading zeros and a zero are let pass; there is no second reading of the others."""
    body = quote(f"Tag.{index}.Key", safe=".") + "=a&" + quote(f"Tag.{index}.Value", safe=".")
    answer = await server.send(form("Action=TagQueue", body + "=b"), headers=QUERY_HEADERS)
    check_form(answer)
    tags = (await server.json("ListQueueTags", {"QueueUrl": URL})).json()
    if index in ("0", "01"):
        assert (answer.status, tags) == (200, {"Tags": {"a": "b"}})
    else:
        assert (answer.status, answer.code, tags) == (400, "MissingParameter", {})


async def test_entries_are_taken_in_the_order_of_their_numbers(server: Server) -> None:
    """Not in that of the parameters, nor in that of the digits; there may be gaps."""
    entries = [
        f"DeleteMessageBatchRequestEntry.{number}.{member}"
        for number in (30, 9, 10, 2, 1)
        for member in (f"ReceiptHandle=h{number}", f"Id=n{number}")
    ]
    body = form("Action=DeleteMessageBatch", *entries)
    answer = await server.send(body, headers=QUERY_HEADERS)
    assert [each.text for each in answer.xml().iter("Id")] == ["n1", "n2", "n9", "n10", "n30"]


@pytest.mark.parametrize("written", ["%", "%zz", "%1", "100%", "%%41"])
async def test_an_escape_that_is_none_stands_for_itself(server: Server, written: str) -> None:
    body = form("Action=SendMessage", f"MessageBody={written}")
    sent = await server.send(body, headers=QUERY_HEADERS)
    assert sent.xml().findtext(".//MD5OfMessageBody") == digest(written.replace("%41", "A"))


async def test_an_unnumbered_value_is_the_first_of_its_list(server: Server) -> None:
    """``A=1&A.1=2``: both count."""
    body = form("Action=GetQueueAttributes", "AttributeName=QueueArn", "AttributeName.1=Policy")
    answer = await server.send(body, headers=QUERY_HEADERS)
    assert [each.text for each in answer.xml().iter("Name")] == ["QueueArn"]
    body = form("Action=GetQueueAttributes", "AttributeName=Nonsense", "AttributeName.1=All")
    answer = await server.send(body, headers=QUERY_HEADERS)
    assert (answer.code, message(answer)) == ("InvalidAttributeName", "Unknown Attribute Nonsense.")


@pytest.mark.parametrize(
    "parameters",
    [
        ["QueueUrl.1=x", "MessageBody.1=x"],
        ["Message%00Body=x", "%00=1", "=1", "&&&", "=", ".=1", "..=1", ".1.=1"],
        ["messagebody=x", "MessageBody%20=x"],
    ],
)
async def test_parameters_of_other_names_are_passed_over(
    server: Server, parameters: list[str]
) -> None:
    body = form("Action=SendMessage", "MessageBody=hello", *parameters)
    sent = await server.send(body, headers=QUERY_HEADERS)
    assert sent.xml().findtext(".//MD5OfMessageBody") == digest("hello")


async def test_a_structure_where_text_belongs_is_no_text(server: Server) -> None:
    answer = await server.send(form("Action=SendMessage", "MessageBody.1=x"), headers=QUERY_HEADERS)
    assert (answer.status, answer.code) == (400, "MissingParameter")


# --- names --------------------------------------------------------------------------------------

BAD_NAMES = [
    "../../etc/passwd", "..", "a/b", "a\\b", "a b", "a.b", "a\0b", "x" * 81, "x" * 100_000,
    "j\u043ebs", "\uff4aobs", "jobs\u200b", "jobs٣", "jobs\n", "\njobs", "jobs\r\nset-cookie: a=b",
    "jobs%00", "jobs;DROP TABLE queues", "'", '"', "$(id)", "<script>", "a:b", "*", "?", "#",
    ".fifo",
]  # fmt: skip


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_a_name_of_other_characters_creates_no_queue(server: Server, protocol: str) -> None:
    for name in BAD_NAMES:
        answer = await call(server, protocol, "CreateQueue", {"QueueName": name})
        assert (answer.status, answer.code) == (400, "InvalidParameterValue"), name
        members = {"QueueName": name, "Attributes": {"FifoQueue": "true"}}
        answer = await call(server, protocol, "CreateQueue", members)
        assert (answer.status, answer.code) == (400, "InvalidParameterValue"), name
    assert (await server.json("ListQueues", {})).json() == {"QueueUrls": [URL]}


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_a_bad_name_finds_no_queue(server: Server, protocol: str) -> None:
    for name in BAD_NAMES:
        for url in (name, queue_url(name), f"/{ACCOUNT}/{name}", f"http://{name}/{ACCOUNT}/absent"):
            members = {"QueueUrl": url, "MessageBody": "hello"}
            answer = await call(server, protocol, "SendMessage", members)
            assert answer.code == "AWS.SimpleQueueService.NonExistentQueue", url


async def test_no_name_of_a_queue_becomes_the_name_of_a_file(tmp_path: Path) -> None:
    def files() -> list[Path]:
        return sorted(tmp_path.rglob("*"))

    store = open_storage(f"sqlite:{tmp_path / 'data' / 'headrace.db'}", strict=False)
    async with serving(store) as server:
        before = files()
        for name in [*BAD_NAMES, "fine", "con", "nul"]:
            await server.json("CreateQueue", {"QueueName": name})
            await server.json("SendMessage", {"QueueUrl": name, "MessageBody": "hello"})
        assert files() == before


def test_a_url_too_long_for_any_queue_names_none() -> None:
    """And is not remembered: ten thousand of four megabytes would be."""
    caller = ("000000000000", "us-east-1")
    assert queue_key(queue_url("x" * 2_000), *caller) is None
    assert queue_key("x" * 4_000_000, *caller) is None
    assert queue_key(queue_url("x" * 80), *caller) is not None


# --- SQL ----------------------------------------------------------------------------------------

INJECTIONS = [
    "'; DROP TABLE queues; --", "' OR '1'='1", '" OR ""="', "1); DELETE FROM messages; --",
    "\\'; DROP TABLE messages; --", "%' --", "?1", ":name", "@name", "$name", "{0}", "%s", "%(x)s",
    "x' UNION SELECT value FROM secrets --", "'||(SELECT/**/1)||'", "`queues`", "[queues]",
]  # fmt: skip


async def test_sql_is_carried_as_text_wherever_text_is_carried(any_server: Server) -> None:
    server = any_server
    await create(server, "ordered.fifo", FifoQueue="true", ContentBasedDeduplication="true")
    for number, text in enumerate(INJECTIONS):
        group = "".join(text.split())
        sent = await server.json(
            "SendMessage",
            {
                "QueueUrl": queue_url("ordered.fifo"),
                "MessageBody": text,
                "MessageAttributes": {"a": {"DataType": "String", "StringValue": text}},
                "MessageGroupId": group,
                "MessageDeduplicationId": f"{number}{group}",
            },
        )
        assert sent.status == 200
        received = await server.json(
            "ReceiveMessage",
            {
                "QueueUrl": queue_url("ordered.fifo"),
                "MessageAttributeNames": ["All"],
                "AttributeNames": ["All"],
                "ReceiveRequestAttemptId": f"{number}{group}",
            },
        )
        [found] = received.json()["Messages"]
        assert found["Body"] == text
        assert found["MessageAttributes"]["a"]["StringValue"] == text
        assert found["Attributes"]["MessageGroupId"] == group
        assert found["Attributes"]["MessageDeduplicationId"] == f"{number}{group}"
        kept = {"QueueUrl": URL, "Attributes": {"KmsMasterKeyId": text}}
        assert (await server.json("SetQueueAttributes", kept)).status == 200
        read = {"QueueUrl": URL, "AttributeNames": ["KmsMasterKeyId"]}
        attributes = (await server.json("GetQueueAttributes", read)).json()["Attributes"]
        assert attributes == {"KmsMasterKeyId": text}


async def test_sql_finds_nothing_where_it_has_no_place(any_server: Server) -> None:
    """Names and tags are of fewer characters; prefixes are texts, not patterns."""
    for text in INJECTIONS:
        calls: dict[str, dict[str, Any]] = {
            "TagQueue": {"QueueUrl": URL, "Tags": {text: "a"}},
            "UntagQueue": {"QueueUrl": URL, "TagKeys": [text]},
            "SendMessage": {
                "QueueUrl": URL,
                "MessageBody": "hello",
                "MessageAttributes": {text: {"DataType": "String", "StringValue": "a"}},
            },
            "GetQueueUrl": {"QueueName": text},
            "GetQueueAttributes": {"QueueUrl": URL, "AttributeNames": [text]},
            "ListMessageMoveTasks": {"SourceArn": f"arn:aws:sqs:{REGION}:{ACCOUNT}:{text}"},
            "CancelMessageMoveTask": {"TaskHandle": task_handle(text)},
        }
        for operation, members in calls.items():
            answer = await any_server.json(operation, members)
            assert answer.status in (400, 404) or text in ("@name", ":name"), (operation, text)
        listed = await any_server.json("ListQueues", {"QueueNamePrefix": text})
        assert listed.json() == {}


async def test_a_prefix_is_no_pattern(any_server: Server) -> None:
    for name in ("a_b", "axb", "a-b"):
        await create(any_server, name)
    listed = await any_server.json("ListQueues", {"QueueNamePrefix": "a_"})
    assert listed.json() == {"QueueUrls": [queue_url("a_b")]}
    for prefix in ("%", "_", "*", "?", "[a]", "A_"):
        assert (await any_server.json("ListQueues", {"QueueNamePrefix": prefix})).json() == {}


# --- headers ------------------------------------------------------------------------------------

SPLITTING = "x\r\nset-cookie: a=b\r\n\r\n<script>"


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_a_line_break_in_a_value_splits_no_header(server: Server, protocol: str) -> None:
    """``call`` checks that there are no headers but ours, and none of more than one line."""
    attribute = {SPLITTING: {"DataType": "String", "StringValue": "a"}}
    calls: list[tuple[str, dict[str, Any]]] = [
        ("SendMessage", {"QueueUrl": URL, "MessageBody": "x", "MessageAttributes": attribute}),
        ("SendMessage", {"QueueUrl": URL, "MessageBody": "x", "MessageGroupId": SPLITTING}),
        ("SendMessage", {"QueueUrl": URL, "MessageBody": "x", "MessageDeduplicationId": SPLITTING}),
        ("CreateQueue", {"QueueName": SPLITTING}),
        ("CreateQueue", {"QueueName": "new", "Attributes": {SPLITTING: "x"}}),
        ("GetQueueUrl", {"QueueName": SPLITTING}),
        ("GetQueueAttributes", {"QueueUrl": URL, "AttributeNames": [SPLITTING]}),
        ("DeleteMessage", {"QueueUrl": URL, "ReceiptHandle": SPLITTING}),
        (
            "AddPermission",
            {"QueueUrl": URL, "Label": SPLITTING, "AWSAccountIds": [ACCOUNT], "Actions": ["*"]},
        ),
        ("StartMessageMoveTask", {"SourceArn": SPLITTING}),
        (SPLITTING, {}),
    ]
    for operation, members in calls:
        answer = await call(server, protocol, operation, members)
        assert answer.status in (400, 404), operation


EVIL_HOSTS = [
    b"evil.com/path", b"evil.com path", b" evil.com", b"evil.com\r\nset-cookie: a=b", b"evil.com\n",
    b"user@evil.com", b"evil.com?x", b"evil.com#x", b"evil.com:99999999", b"evil.com:80:80",
    b"evil.com:", b"[::1", b"::1]", b"[::1]evil", b"<script>", b'"', b"\xff\xfe", "ü.com".encode(),
    b"e" * 254, b"e" * 100_000, b"", b"evil.com\0", b"evil.com,other.com", b"%0d%0a", b"a\\b",
]  # fmt: skip


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_a_host_that_is_none_is_in_no_queue_url(server: Server, protocol: str) -> None:
    for host in EVIL_HOSTS:
        for operation in ("CreateQueue", "GetQueueUrl", "ListQueues"):
            answer = await call(
                server, protocol, operation, {"QueueName": "jobs"}, headers=[("host", host)]
            )
            assert answer.status == 200
            assert f"http://localhost/{ACCOUNT}/jobs".encode() in answer.body, host


async def test_a_public_url_is_told_whatever_host_is_named() -> None:
    async with serving(public_url="https://queues.example") as server:
        for host in [b"localhost:9324", b"evil.com", *EVIL_HOSTS]:
            answer = await server.json(
                "CreateQueue", {"QueueName": "jobs"}, headers=[("host", host)]
            )
            assert answer.json() == {"QueueUrl": f"https://queues.example/{ACCOUNT}/jobs"}


MALFORMED_AUTHORIZATIONS = [
    b"", b" ", b"AWS4-HMAC-SHA256", b"Bearer x", b"Basic " + b"QQ==" * 10, b"Credential=",
    b"AWS4-HMAC-SHA256 Credential=, SignedHeaders=, Signature=", b"Credential=AKID",
    b"Credential=a/b/c", b"Credential=////", b"Credential=/////", b"Credential=/" * 1_000,
    b"Credential=" + b"a" * 100_000, b"Credential=" + b"A/" * 50_000,
    b"Credential=\xff\xfe/\xff/\xff/\xff/\xff", b"Credential=a/x/REGION!/sqs/aws4_request",
    b"Credential=a/20260101/../sqs/aws4_request",
    b"Credential=a/20260101/" + b"e" * 100 + b"/sqs/aws4_request",
    b"Credential=\xd9\xa3" * 12, b"Credential=" + "٣".encode() * 12 + b"/d/\xff/s/t",
    b"Credential=12345678901/d//sqs/aws4_request", b"Credential=1234567890123/d/-/sqs/aws4_request",
    b"\0", b"Credential=\0/\0/\0/\0/\0", b"Credential=a/b\r\nx/c/d/e",
]  # fmt: skip


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_malformed_credentials_are_served_as_none(server: Server, protocol: str) -> None:
    """With the account and the region of the site."""
    for header in MALFORMED_AUTHORIZATIONS:
        headers: list[tuple[str | bytes, str | bytes]] = [("authorization", header)]
        answer = await call(server, protocol, "GetQueueUrl", {"QueueName": "jobs"}, headers=headers)
        assert answer.status == 200, header
        assert URL.encode() in answer.body


async def test_malformed_presigned_credentials_are_served_as_none(server: Server) -> None:
    for header in MALFORMED_AUTHORIZATIONS:
        credential = quote(header.removeprefix(b"Credential=").decode("latin-1"))
        query_string = f"Action=GetQueueUrl&QueueName=jobs&X-Amz-Credential={credential}".encode()
        answer = await server.send(method="GET", query_string=query_string, headers=QUERY_HEADERS)
        check_form(answer)
        assert answer.status == 200, header
        assert URL.encode() in answer.body


@pytest.mark.parametrize("date", ["", "tomorrow", "20260132", "9" * 1_000, "٣", "-1"])
async def test_the_date_of_a_scope_is_not_read(server: Server, date: str) -> None:
    scope = f"{OTHER_ACCOUNT}/{quote(date)}/eu-west-1/sqs/aws4_request"
    answer = await server.json("CreateQueue", {"QueueName": "far"}, headers=authorization(scope))
    assert answer.json()["QueueUrl"].endswith(f"/queue/eu-west-1/{OTHER_ACCOUNT}/far")


async def test_who_calls_does_not_depend_on_who_called_before(server: Server) -> None:
    """Neither of the two is a whole scope; only the first has as many parts as one."""
    for scope in ("a/20260101/eu-west-1/sqs/", "a/20260101/eu-west-1/sqs!"):
        answer = await server.send(
            method="GET",
            query_string=f"Action=ListQueues&X-Amz-Credential={quote(scope, safe='')}".encode(),
            headers=QUERY_HEADERS,
        )
        expected = [] if scope.endswith("/") else [URL]
        assert [each.text for each in answer.xml().iter("QueueUrl")] == expected


async def test_long_credentials_are_not_remembered(server: Server) -> None:
    padding = "A" * 1_000_000
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        for number in range(10):
            body = f"Action=ListQueues&X-Amz-Credential={number}{padding}".encode()
            assert (await server.send(body, headers=QUERY_HEADERS)).status == 200
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < 2_000_000


async def test_a_repeated_header_is_served(server: Server) -> None:
    twice = [*authorization("a/b/us-east-1/sqs/x"), *authorization("a/b/us-east-1/sqs/x")]
    headers = [*twice, ("content-type", "text/plain"), ("host", "localhost:9324")]
    answer = await server.json("GetQueueUrl", {"QueueName": "jobs"}, headers=headers)
    assert answer.json() == {"QueueUrl": URL}


# --- sizes --------------------------------------------------------------------------------------


@pytest.mark.parametrize("headers", [json_headers("SendMessage"), QUERY_HEADERS], ids=PROTOCOLS)
async def test_a_body_that_says_it_is_too_long_is_refused_unread(
    server: Server, headers: list[tuple[str | bytes, str | bytes]]
) -> None:
    for length in (REQUEST_BYTES_MAX + 1, 10**9, 10**30):
        answer, taken = await server.send_counting(
            b"x" * 100, headers=[*headers, ("content-length", str(length))]
        )
        check_form(answer)
        assert (answer.status, answer.code, taken) == (413, "RequestEntityTooLarge", 0)
        assert answer.headers["connection"] == "close"


@pytest.mark.parametrize("headers", [json_headers("SendMessage"), QUERY_HEADERS], ids=PROTOCOLS)
async def test_a_body_that_becomes_too_long_is_refused_while_it_is_read(
    server: Server, headers: list[tuple[str | bytes, str | bytes]]
) -> None:
    piece = b"x" * (1024 * 1024)
    answer, taken = await server.send_counting([piece] * 100, headers=headers)
    check_form(answer)
    assert (answer.status, answer.code) == (413, "RequestEntityTooLarge")
    assert taken <= REQUEST_BYTES_MAX // len(piece) + 1
    assert answer.headers["connection"] == "close"


async def test_a_number_of_ten_megabytes_is_refused(server: Server) -> None:
    number = send_message(b',"DelaySeconds":' + b"1" * 10_000_000)
    announced: list[tuple[str | bytes, str | bytes]] = [("content-length", str(len(number)))]
    assert (await server.json("SendMessage", number, headers=announced)).status == 413
    pieces = [number[at : at + 65_536] for at in range(0, len(number), 65_536)]
    answer = await server.send(pieces, headers=json_headers("SendMessage"))
    assert answer.status == 413


@pytest.mark.parametrize("length", [b"", b"x", b"-1", b"+5", b"1e3", b"0x10", b"\xd9\xa3", b"1 2"])
async def test_a_length_that_is_none_is_refused(server: Server, length: bytes) -> None:
    answer = await server.json("SendMessage", VALID, headers=[("content-length", length)])
    check_form(answer)
    assert answer.status in (400, 413)


async def test_the_largest_message_arrives_however_it_is_escaped(server: Server) -> None:
    """1 MiB, three bytes of percent escapes or six of JSON escapes for each of some."""
    body = "é" * (512 * 1024)
    for protocol in PROTOCOLS:
        sent = await call(server, protocol, "SendMessage", {"QueueUrl": URL, "MessageBody": body})
        assert sent.status == 200
        received = (await server.json("ReceiveMessage", {"QueueUrl": URL})).json()
        assert received["Messages"][0]["Body"] == body


# --- XML ----------------------------------------------------------------------------------------

TEXTS = [
    "]]>", "<![CDATA[x]]>", "&", "&amp;", "&#13;", "<a>", "</Body>", "\"'", "<!-- x -->", "<?x?>",
    "\r", "\n", "\r\n", "\t", " x ", "\n\nx\r\r", "\x7f", "\x85", "\u2028", "\ud7ff", "\ue000",
    "\ufffd", "\U00010000", "\U0010ffff", "😀", "e\u0301", "\u202e", "&lt;!ENTITY x SYSTEM 'y'&gt;",
]  # fmt: skip
FORBIDDEN = [*map(chr, {*range(0x20)} - {9, 10, 13}), "\ufffe", "\uffff"]


@pytest.mark.parametrize("sender", PROTOCOLS)
@pytest.mark.parametrize("receiver", PROTOCOLS)
async def test_every_text_arrives_as_it_was_sent(
    server: Server, sender: str, receiver: str
) -> None:
    """Body and attribute value, and the digest is of what arrives."""
    for text in [*TEXTS, "".join(TEXTS)]:
        attribute = {"DataType": "String", "StringValue": text}
        members = {"QueueUrl": URL, "MessageBody": text, "MessageAttributes": {"a": attribute}}
        assert (await call(server, sender, "SendMessage", members)).status == 200
        members = {"QueueUrl": URL, "MessageAttributeNames": ["a"]}
        received = await call(server, receiver, "ReceiveMessage", members)
        if receiver == "json":
            [found] = received.json()["Messages"]
            body, checksum = found["Body"], found["MD5OfBody"]
            value = found["MessageAttributes"]["a"]["StringValue"]
        else:
            root = received.xml()
            body, checksum = root.findtext(".//Body"), root.findtext(".//MD5OfBody")
            value = root.findtext(".//StringValue")
        assert (body, value, checksum) == (text, text, digest(text))


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_a_character_that_xml_cannot_carry_is_in_no_message(
    server: Server, protocol: str
) -> None:
    for character in FORBIDDEN:
        members: dict[str, Any] = {"QueueUrl": URL, "MessageBody": f"a{character}b"}
        answer = await call(server, protocol, "SendMessage", members)
        assert (answer.status, answer.code) == (400, "InvalidMessageContents")
        assert f"'#x{ord(character):X}'" in message(answer)
        attribute = {"DataType": "String", "StringValue": f"a{character}b"}
        members = {"QueueUrl": URL, "MessageBody": "x", "MessageAttributes": {"a": attribute}}
        answer = await call(server, protocol, "SendMessage", members)
        assert (answer.status, answer.code) == (400, "InvalidParameterValue")
    assert (await server.json("ReceiveMessage", {"QueueUrl": URL})).json() == {}


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_an_echoed_value_spoils_no_document(server: Server, protocol: str) -> None:
    """Errors and attributes echo what messages may not contain; XML tells it by U+FFFD."""
    for text in [*TEXTS, *FORBIDDEN]:
        shown = "\ufffd" if protocol == "query" and text in FORBIDDEN else text
        answer = await call(
            server, protocol, "GetQueueAttributes", {"QueueUrl": URL, "AttributeNames": [text]}
        )
        assert (answer.code, message(answer)) == (
            "InvalidAttributeName",
            f"Unknown Attribute {shown}.",
        )
        kept = {"QueueUrl": URL, "Attributes": {"KmsMasterKeyId": text}}
        assert (await call(server, protocol, "SetQueueAttributes", kept)).status == 200
        answer = await call(
            server,
            protocol,
            "GetQueueAttributes",
            {"QueueUrl": URL, "AttributeNames": ["KmsMasterKeyId"]},
        )
        if protocol == "json":
            assert answer.json()["Attributes"] == {"KmsMasterKeyId": text}
        else:
            assert answer.xml().findtext(".//Value") == shown
        batch = [{"Id": "a", "ReceiptHandle": text if text.strip() else "x"}]
        members = {"QueueUrl": URL, "Entries": batch}
        assert (await call(server, protocol, "DeleteMessageBatch", members)).status == 200


async def test_the_old_json_of_query_is_well_formed_as_well(server: Server) -> None:
    accept: list[tuple[str | bytes, str | bytes]] = [("accept", "application/json")]
    for text in [*TEXTS, *FORBIDDEN]:
        members = {"QueueUrl": URL, "AttributeNames": [text]}
        answer = await server.query("GetQueueAttributes", members, headers=accept)
        assert answer.json()["Error"]["Message"] == f"Unknown Attribute {text}."


# --- handles and tokens -------------------------------------------------------------------------


async def a_received_message(server: Server, name: str, **more: Any) -> dict[str, str]:
    """A message in flight."""
    members = {"QueueUrl": name, "MessageBody": "hello"}
    assert (await server.json("SendMessage", members, **more)).status == 200
    received = await server.json("ReceiveMessage", {"QueueUrl": name}, **more)
    [found] = received.json()["Messages"]
    assert isinstance(found, dict)
    return found


def damaged(text: str) -> list[str]:
    """A text with one bit flipped at each place, cut off at each place, and longer."""
    flipped = [
        text[:at] + chr(ord(text[at]) ^ 1 << bit) + text[at + 1 :]
        for at in range(len(text))
        for bit in range(7)
    ]
    cut = [text[:at] for at in range(1, len(text))]
    longer = [text + "A", "A" + text, text + "AAAA", text * 2, text + "\n", text + "\0"]
    others = [*flipped, *cut, *longer, text.lower(), text.swapcase(), text[::-1]]
    return [each for each in others if each not in respelt(text)]


def respelt(text: str) -> set[str]:
    """Other texts that a lenient reader takes for the same bytes."""
    content = base64.urlsafe_b64decode(text)
    body, padding = text.rstrip("="), text[len(text.rstrip("=")) :]
    alphabet = string.ascii_letters + string.digits + "-_"
    last = {body[:-1] + character + padding for character in alphabet}
    spelt = {each for each in last if base64.urlsafe_b64decode(each) == content}
    spelt |= {text + "=", text + "==", text.replace("-", "+").replace("_", "/")}
    return spelt - {text}


def public_parts(found: dict[str, str]) -> list[str]:
    """What those might try who know everything about a message but its handle."""
    arn = f"arn:aws:sqs:{REGION}:{ACCOUNT}:jobs"
    guesses = [
        found["MessageId"],
        f"{found['MessageId']}#1",
        f"{arn} {found['MessageId']} 1767225600000",
        json.dumps({"MessageId": found["MessageId"]}),
    ]
    return [*guesses, *(base64.b64encode(guess.encode()).decode() for guess in guesses)]


async def test_a_handle_that_is_not_ours_touches_no_message(any_server: Server) -> None:
    """Damaged, guessed, random, of another queue, of another account: not a valid handle."""
    server = any_server
    await create(server, "other")
    others = authorization(f"{OTHER_ACCOUNT}/20260101/{REGION}/sqs/aws4_request")
    await server.json("CreateQueue", {"QueueName": "jobs"}, headers=others)
    theirs = await a_received_message(server, "jobs", headers=others)
    elsewhere = await a_received_message(server, queue_url("other"))
    ours = await a_received_message(server, URL)
    handle = ours["ReceiptHandle"]
    chance = random.Random(1)
    strangers = [
        theirs["ReceiptHandle"],
        elsewhere["ReceiptHandle"],
        *damaged(handle),
        *public_parts(ours),
        *(base64.urlsafe_b64encode(chance.randbytes(48)).decode() for _ in range(50)),
        "x" * 100_000,
        "ü",
        "\ufffe",
        "\0",
    ]
    for stranger in strangers:
        members = {"QueueUrl": URL, "ReceiptHandle": stranger}
        answer = await server.json("DeleteMessage", members)
        assert (answer.status, answer.code) == (404, "ReceiptHandleIsInvalid"), stranger
        members["VisibilityTimeout"] = "0"
        answer = await server.json("ChangeMessageVisibility", members)
        assert (answer.status, answer.code) == (404, "ReceiptHandleIsInvalid"), stranger
    for protocol in PROTOCOLS:
        for stranger in (strangers[0], strangers[1], handle[:-1], "x"):
            members = {"QueueUrl": URL, "ReceiptHandle": stranger}
            answer = await call(server, protocol, "DeleteMessage", members)
            assert (answer.status, answer.code) == (404, "ReceiptHandleIsInvalid")
            batch = {"QueueUrl": URL, "Entries": [{"Id": "a", "ReceiptHandle": stranger}]}
            answer = await call(server, protocol, "DeleteMessageBatch", batch)
            assert b"ReceiptHandleIsInvalid" in answer.body
            assert answer.status == 200
    await check_in_flight(server, handle)


async def test_a_handle_or_token_has_one_spelling(server: Server) -> None:
    await create(server, "jobs2")
    found = await a_received_message(server, URL)
    for stranger in respelt(found["ReceiptHandle"]):
        members: dict[str, Any] = {"QueueUrl": URL, "ReceiptHandle": stranger}
        assert (await server.json("DeleteMessage", members)).status == 404, stranger
    token = (await server.json("ListQueues", {"MaxResults": 1})).json()["NextToken"]
    for stranger in respelt(token):
        members = {"MaxResults": 1, "NextToken": stranger}
        assert (await server.json("ListQueues", members)).status == 400, stranger


async def check_in_flight(server: Server, handle: str) -> None:
    """Our message is where it was, until its own handle deletes it."""
    counts = {"QueueUrl": URL, "AttributeNames": ["All"]}
    attributes = (await server.json("GetQueueAttributes", counts)).json()["Attributes"]
    assert attributes["ApproximateNumberOfMessagesNotVisible"] == "1"
    assert attributes["ApproximateNumberOfMessages"] == "0"
    deleted = await server.json("DeleteMessage", {"QueueUrl": URL, "ReceiptHandle": handle})
    assert deleted.status == 200
    attributes = (await server.json("GetQueueAttributes", counts)).json()["Attributes"]
    assert attributes["ApproximateNumberOfMessagesNotVisible"] == "0"


async def test_a_token_that_is_not_ours_lists_nothing(server: Server) -> None:
    """Damaged, or of another listing, queue or account."""
    others = authorization(f"{OTHER_ACCOUNT}/20260101/{REGION}/sqs/aws4_request")
    for name in ("jobs2", "jobs3"):
        await create(server, name)
        await server.json("CreateQueue", {"QueueName": name}, headers=others)
    token = (await server.json("ListQueues", {"MaxResults": 1})).json()["NextToken"]
    theirs = await server.json("ListQueues", {"MaxResults": 1}, headers=others)
    prefixed = await server.json("ListQueues", {"MaxResults": 1, "QueueNamePrefix": "jobs"})
    handle = (await a_received_message(server, URL))["ReceiptHandle"]
    forged = base64.urlsafe_b64encode(
        json.dumps(["queues", ACCOUNT, REGION, "", "jobs"]).encode() + bytes(16)
    ).decode()
    strangers = [
        theirs.json()["NextToken"],
        prefixed.json()["NextToken"],
        *damaged(token),
        handle,
        forged,
        "",
        "x" * 100_000,
        "\ufffe",
    ]
    for stranger in strangers:
        answer = await server.json("ListQueues", {"MaxResults": 1, "NextToken": stranger})
        assert (answer.status, answer.code) == (400, "InvalidParameterValue"), stranger
        answer = await server.json(
            "ListDeadLetterSourceQueues", {"QueueUrl": URL, "MaxResults": 1, "NextToken": stranger}
        )
        assert (answer.status, answer.code) == (400, "InvalidParameterValue"), stranger
    answer = await server.json("ListQueues", {"MaxResults": 1, "NextToken": token})
    assert answer.json()["QueueUrls"] == [queue_url("jobs2")]


def task_handle(
    task_id: object, source_arn: object = f"arn:aws:sqs:{REGION}:{ACCOUNT}:jobs"
) -> str:
    """A handle as it is written; anybody can write one."""
    named = json.dumps({"taskId": task_id, "sourceArn": source_arn})
    return base64.b64encode(named.encode()).decode()


_NO_TEXTS: list[object] = [None, 5, True, [], {}]
_NO_ARNS: list[object] = [
    *_NO_TEXTS, "", "x", "arn:aws:sns:us-east-1:000000000000:jobs", "arn:aws:sqs:::",
]  # fmt: skip
UNREADABLE_TASK_HANDLES = [
    "", "x", "====", "\0", "ü", "\ufffe", "x" * 100_000, "e30=", "W10=", "bnVsbA==", "NQ==",
    *(base64.b64encode(content).decode() for content in (
        b"[" * 100_000, b'{"taskId":' * 50_000, b'{"taskId":' + b"1" * 5_000 + b"}", b"\xff\xfe",
        b"NaN", b'"taskId"', VALID.decode().encode("utf-16"),
    )),
    *map(task_handle, _NO_TEXTS),
    *(task_handle("x", each) for each in _NO_ARNS),
]  # fmt: skip


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_a_task_handle_that_cannot_be_read_is_refused(server: Server, protocol: str) -> None:
    for handle in UNREADABLE_TASK_HANDLES:
        answer = await call(server, protocol, "CancelMessageMoveTask", {"TaskHandle": handle})
        assert (answer.status, answer.code) == (400, "InvalidParameterValue"), handle[:100]


async def test_a_task_handle_cancels_no_task_but_its_own(any_server: Server) -> None:
    """Not one of another account, and not by the name of another queue."""
    server = any_server
    others = authorization(f"{OTHER_ACCOUNT}/20260101/{REGION}/sqs/aws4_request")
    arns = {}
    members: dict[str, Any]
    for account, headers in ((ACCOUNT, []), (OTHER_ACCOUNT, others)):
        arns[account] = f"arn:aws:sqs:{REGION}:{account}:dead"
        policy = json.dumps({"deadLetterTargetArn": arns[account], "maxReceiveCount": 1})
        for members in (
            {"QueueName": "dead"},
            {"QueueName": "source", "Attributes": {"RedrivePolicy": policy}},
        ):
            created = await server.json("CreateQueue", members, headers=headers)
            assert created.status == 200
        for _ in range(3):
            members = {"QueueUrl": "dead", "MessageBody": "hello"}
            await server.json("SendMessage", members, headers=headers)
    members = {
        "SourceArn": arns[OTHER_ACCOUNT],
        "DestinationArn": f"arn:aws:sqs:{REGION}:{OTHER_ACCOUNT}:source",
        "MaxNumberOfMessagesPerSecond": 1,
    }
    started = await server.json("StartMessageMoveTask", members, headers=others)
    theirs = started.json()["TaskHandle"]
    task_id = json.loads(base64.b64decode(theirs))["taskId"]
    for handle in (
        theirs,
        task_handle(task_id),
        task_handle(task_id, arns[ACCOUNT]),
        task_handle(task_id, f"arn:aws:sqs:{REGION}:{ACCOUNT}:absent"),
        task_handle("00000000-0000-4000-8000-000000000000"),
        task_handle(""),
        task_handle("\0"),
        task_handle("'; DROP TABLE move_tasks; --"),
    ):
        answer = await server.json("CancelMessageMoveTask", {"TaskHandle": handle})
        assert (answer.status, answer.code) == (404, "ResourceNotFoundException")
    cancelled = await server.json("CancelMessageMoveTask", {"TaskHandle": theirs}, headers=others)
    assert cancelled.status == 200


# --- JSON within strings ------------------------------------------------------------------------


@pytest.mark.parametrize("any_server", ["memory", "sqlite"], indirect=True)
async def test_a_lone_surrogate_in_a_task_handle_finds_no_task(any_server: Server) -> None:
    arn = f"arn:aws:sqs:{REGION}:{ACCOUNT}:\ud800"
    for handle in (task_handle("x", arn), task_handle("\ud800")):
        answer = await any_server.json("CancelMessageMoveTask", {"TaskHandle": handle})
        assert answer.status in (400, 404)


async def test_a_lone_surrogate_in_a_policy_is_kept_or_refused(any_server: Server) -> None:
    arn = rf"arn:aws:sqs:{REGION}:{ACCOUNT}:\ud800"
    for attribute, value in [
        ("RedrivePolicy", f'{{"deadLetterTargetArn":"{arn}","maxReceiveCount":1}}'),
        ("RedrivePolicy", f'{{"deadLetterTargetArn":"{arn}","maxReceiveCount":"\\ud800"}}'),
        ("RedriveAllowPolicy", f'{{"redrivePermission":"byQueue","sourceQueueArns":["{arn}"]}}'),
        ("RedriveAllowPolicy", r'{"redrivePermission":"\ud800"}'),
        ("Policy", r'{"Statement":[{"Effect":"Allow","Sid":"\ud800"}]}'),
    ]:
        members = {"QueueUrl": URL, "Attributes": {attribute: value}}
        for protocol in PROTOCOLS:
            answer = await call(any_server, protocol, "SetQueueAttributes", members)
            assert answer.status in (200, 400), (attribute, value)
            members = {"QueueUrl": URL, "AttributeNames": ["All"]}
            assert (await call(any_server, protocol, "GetQueueAttributes", members)).status == 200
            members = {"QueueUrl": URL, "Attributes": {attribute: value}}
    members = {"QueueUrl": URL, "Label": "x", "AWSAccountIds": [ACCOUNT], "Actions": ["*"]}
    assert (await any_server.json("AddPermission", members)).status == 200


@pytest.mark.parametrize(
    "value",
    [
        "[" * 100_000,
        '{"a":' * 100_000,
        "NaN",
        '{"Statement":NaN}',
        '{"Id":1e400}',
        "null",
        "[]",
        "5",
        '{"Id":' + "1" * 5_000 + "}",
        "\ufeff{}",
        '{"Statement":[{"Effect":"Allow"}],"Version":NaN}',
    ],
    ids=range(11),
)
@pytest.mark.parametrize("attribute", ["Policy", "RedrivePolicy", "RedriveAllowPolicy"])
async def test_a_policy_that_cannot_be_read_is_refused(
    server: Server, attribute: str, value: str
) -> None:
    members = {"QueueUrl": URL, "Attributes": {attribute: value}}
    answer = await call(server, "json", "SetQueueAttributes", members)
    assert answer.status == 400
    assert answer.code in ("InvalidAttributeValue", "InvalidParameterValue")


async def test_a_deep_policy_is_refused_or_can_be_added_to(server: Server) -> None:
    for depth in range(900, 1_000, 2):
        condition = '{"a":' * depth + "1" + "}" * depth
        policy = f'{{"Statement":[{{"Effect":"Allow","Condition":{condition}}}]}}'
        members: dict[str, Any] = {"QueueUrl": URL, "Attributes": {"Policy": policy}}
        assert (await server.json("SetQueueAttributes", members)).status in (200, 400)
        members = {"QueueUrl": URL, "Label": "x", "AWSAccountIds": [ACCOUNT], "Actions": ["*"]}
        assert (await server.json("AddPermission", members)).status in (200, 400)
        members = {"QueueUrl": URL, "Label": "x"}
        assert (await server.json("RemovePermission", members)).status in (200, 400)
