"""Calls made up from AWS's published shapes: mostly sensible, some of them spoilt."""

import base64
import json
import re
from collections.abc import Callable
from copy import deepcopy
from functools import cache
from typing import Any, NamedTuple

from botocore.session import Session
from hypothesis import strategies as st

from tests.support.server import ACCOUNT, REGION
from tests.wire.calls import Server, queue_url

Members = dict[str, Any]

QUEUES: dict[str, dict[str, str]] = {
    "standard": {},
    "dead": {},
    "source": {
        "RedrivePolicy": json.dumps(
            {
                "deadLetterTargetArn": f"arn:aws:sqs:{REGION}:{ACCOUNT}:dead",
                "maxReceiveCount": 1,
            }
        )
    },
    "ordered.fifo": {"FifoQueue": "true", "ContentBasedDeduplication": "true"},
    "strict.fifo": {"FifoQueue": "true"},
}


class Known(NamedTuple):
    """What a client can know of the world that ``prepare`` makes: the same in every server."""

    handles: tuple[str, ...]
    task_handles: tuple[str, ...]
    next_tokens: tuple[str, ...]


async def prepare(server: Server) -> Known:
    """Fill a server with queues and messages, some of them in flight, and a move task."""
    members: Members
    for name, attributes in QUEUES.items():
        members = {"QueueName": name, "Attributes": attributes}
        assert (await server.json("CreateQueue", members)).status == 200
    for name in QUEUES:
        for number in range(3):
            members = {"QueueUrl": queue_url(name), "MessageBody": f"{name} {number}"}
            if name.endswith(".fifo"):
                members |= {"MessageGroupId": f"g{number}", "MessageDeduplicationId": f"d{number}"}
            assert (await server.json("SendMessage", members)).status == 200
    handles = []
    for name in ("standard", "ordered.fifo"):
        members = {"QueueUrl": queue_url(name), "MaxNumberOfMessages": 2}
        received = (await server.json("ReceiveMessage", members)).json()
        handles += [message["ReceiptHandle"] for message in received["Messages"]]
    task = await server.json(
        "StartMessageMoveTask",
        {
            "SourceArn": queue_arn("dead"),
            "MaxNumberOfMessagesPerSecond": 1,
            "DestinationArn": queue_arn("standard"),
        },
    )
    page = await server.json("ListQueues", {"MaxResults": 1})
    return Known(tuple(handles), (task.json()["TaskHandle"],), (page.json()["NextToken"],))


def queue_arn(name: str) -> str:
    return f"arn:aws:sqs:{REGION}:{ACCOUNT}:{name}"


# --- sensible values, by the name of the member -------------------------------------------------

TEXT = st.text(max_size=12) | st.text(alphabet="ab <&>\"'\r\n\t", max_size=12)
_NAMES = st.sampled_from([*QUEUES, "new", "new.fifo", "absent"])
_POLICY = json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Sid": "one"}]})

_ATTRIBUTES: dict[str, st.SearchStrategy[str]] = {
    "VisibilityTimeout": st.sampled_from(["0", "30", "43200", "43201"]),
    "DelaySeconds": st.sampled_from(["0", "1", "900", "-1"]),
    "ReceiveMessageWaitTimeSeconds": st.sampled_from(["0", "2", "20", "21"]),
    "MessageRetentionPeriod": st.sampled_from(["60", "1209600", "59"]),
    "MaximumMessageSize": st.sampled_from(["1024", "1048576", "1"]),
    "RedrivePolicy": st.sampled_from([QUEUES["source"]["RedrivePolicy"], "", "{}", "["]),
    "RedriveAllowPolicy": st.sampled_from(['{"redrivePermission":"denyAll"}', "", "{}"]),
    "Policy": st.sampled_from([_POLICY, "", "{}", "nonsense"]),
    "KmsMasterKeyId": TEXT,
    "SqsManagedSseEnabled": st.sampled_from(["true", "false", "maybe"]),
    "FifoQueue": st.just("true"),
    "ContentBasedDeduplication": st.sampled_from(["true", "false"]),
    "DeduplicationScope": st.sampled_from(["queue", "messageGroup"]),
    "FifoThroughputLimit": st.sampled_from(["perQueue", "perMessageGroupId"]),
}
_ATTRIBUTE_MAP = st.dictionaries(
    st.sampled_from(sorted(_ATTRIBUTES)), st.none(), max_size=3
).flatmap(lambda names: st.fixed_dictionaries({name: _ATTRIBUTES[name] for name in names}))
_ATTRIBUTE_NAME = st.sampled_from(
    [
        "All",
        "SenderId",
        "SentTimestamp",
        "ApproximateReceiveCount",
        "SequenceNumber",
        "QueueArn",
        "VisibilityTimeout",
        "Policy",
        "MessageGroupId",
        "",
    ]
)
BLOB = st.binary(max_size=8).map(lambda content: base64.b64encode(content).decode())


def _texts(known: Known) -> dict[str, st.SearchStrategy[str]]:
    return {
        "QueueUrl": (
            _NAMES.map(queue_url)
            | _NAMES
            | st.sampled_from(
                [
                    f"http://elsewhere/{ACCOUNT}/standard",
                    f"/{ACCOUNT}/dead",
                    "/queue/standard",
                    "http://nowhere",
                    queue_url("standard") + "/",
                ]
            )
        ),
        "QueueName": _NAMES | TEXT,
        "QueueNamePrefix": st.sampled_from(["", "s", "standard", "%", "*"]) | TEXT,
        "QueueOwnerAWSAccountId": st.sampled_from([ACCOUNT, "111111111111", ""]),
        "ReceiptHandle": st.sampled_from([*known.handles, known.handles[0][:-1], " "]) | TEXT,
        "TaskHandle": st.sampled_from([*known.task_handles, "e30="]) | TEXT,
        "NextToken": st.sampled_from([*known.next_tokens, known.handles[0]]) | TEXT,
        "SourceArn": (_NAMES | st.just("dead")).map(queue_arn) | TEXT,
        "DestinationArn": _NAMES.map(queue_arn) | TEXT,
        "MessageBody": st.text(min_size=1, max_size=20) | TEXT,
        "Id": st.sampled_from(["a", "b", "c-1", "d_2", "E", "f"]) | TEXT,
        "MessageGroupId": st.sampled_from(["g0", "g1", "!~", "a b", ""]) | TEXT,
        "MessageDeduplicationId": st.sampled_from(["d0", "d9"]) | TEXT,
        "ReceiveRequestAttemptId": st.sampled_from(["attempt-1", "attempt-2", "a b"]),
        "Label": st.sampled_from(["one", "two", "a b"]) | TEXT,
        "AWSAccountIds": st.sampled_from([ACCOUNT, "1"]),
        "Actions": st.sampled_from(["SendMessage", "*", "DeleteQueue"]) | TEXT,
        "AttributeNames": _ATTRIBUTE_NAME | TEXT,
        "MessageSystemAttributeNames": _ATTRIBUTE_NAME,
        "MessageAttributeNames": st.sampled_from(["All", "a", "a.*", ".*", "b"]) | TEXT,
        "DataType": st.sampled_from(["String", "Number", "Binary", "String.x", "Int"]) | TEXT,
        "StringValue": st.sampled_from(["1", "-1e3", "text"]) | TEXT,
    }


_INTEGERS = {
    "DelaySeconds": st.sampled_from([0, 1, 900, 901, -1]),
    "MaxNumberOfMessages": st.integers(-1, 12),
    "VisibilityTimeout": st.sampled_from([0, 1, 30, 43_200, 43_201, -1]),
    "WaitTimeSeconds": st.sampled_from([0, 0, 1, 20, 21, -1]),
    "MaxResults": st.sampled_from([1, 2, 10, 11, 1_000, 1_001, 0]),
    "MaxNumberOfMessagesPerSecond": st.sampled_from([1, 500, 501, 0]),
}
_KEYS = {
    "MessageSystemAttributes": st.just("AWSTraceHeader") | TEXT,
    "MessageAttributes": st.sampled_from(["a", "a.b", "b", "AWS.x"]) | TEXT,
}
_TAG = st.sampled_from(["team", "cost", "aws:x"]) | TEXT


def _valid(shape: Any, name: str, known: Known) -> st.SearchStrategy[Any]:
    kind = shape.type_name
    if kind == "structure":
        members = {each: _valid(of, each, known) for each, of in shape.members.items()}
        required = {each: members[each] for each in shape.required_members}
        optional = {each: members[each] for each in members.keys() - required.keys()}
        return st.fixed_dictionaries(
            required, optional={each: optional[each] for each in sorted(optional)}
        )
    if kind == "list":
        return st.lists(_valid(shape.member, name, known), min_size=1, max_size=3)
    if name == "Attributes":
        return _ATTRIBUTE_MAP
    if kind == "map":
        keys = _KEYS.get(name, _TAG)
        return st.dictionaries(keys, _valid(shape.value, name, known), max_size=2)
    if kind in ("integer", "long"):
        return _INTEGERS[name]
    if kind == "blob":
        return BLOB
    return _texts(known).get(name, TEXT)


# --- spoiling -----------------------------------------------------------------------------------

_NESTED = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXT,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(TEXT, inner, max_size=2),
    max_leaves=6,
)
_JUNK: st.SearchStrategy[Any] = _NESTED | st.sampled_from(
    [
        None,
        True,
        [],
        {},
        "",
        -1,
        2**31,
        2**63,
        -(2**64),
        10**30,
        0.5,
        1e300,
        "abc",
        "+5",
        " 5",
        "9" * 25,
        "x" * 2_000,
        "\ud800",
        "\0",
        "\ufffe",
        "😀" * 50,
        "٣",
        [[[[]]]],
        {"a": {"b": {}}},
        [None],
        {"": None},
        "==",
        "*",
        "../../etc/passwd",
        "'; DROP TABLE queues; --",
    ]
)
_UNKNOWN = st.sampled_from(["Junk", "queueUrl", "QueueURL", "Version"])

Place = tuple[Any, Any]  # a dict or a list, and the key or index in it


def _places(value: Any) -> list[Place]:
    found: list[Place] = []
    entries = value.items() if isinstance(value, dict) else enumerate(value)
    for key, each in entries:
        found.append((value, key))
        if isinstance(each, dict | list):
            found += _places(each)
    return found


@st.composite
def spoilt(draw: st.DrawFn, valid: st.SearchStrategy[Members]) -> Members:
    """Members with one or two places changed into what does not belong there."""
    members = json.loads(json.dumps(draw(valid)))  # a copy to be changed
    for _ in range(draw(st.integers(1, 2))):
        places = _places(members)
        how = draw(st.sampled_from(["replace", "replace", "remove", "add", "repeat"]))
        if how == "add" or not places:
            members[draw(_UNKNOWN)] = deepcopy(draw(_JUNK))
            continue
        container, key = places[draw(st.integers(0, len(places) - 1))]
        if how == "remove":
            del container[key]
        elif how == "repeat" and isinstance(container, list):
            container.extend([container[key]] * draw(st.integers(1, 10)))
        else:
            container[key] = deepcopy(draw(_JUNK))  # to be spoilt further
    return members  # type: ignore[no-any-return]


@cache
def input_shape(operation: str) -> Any:
    """The published input of an operation."""
    return Session().get_service_model("sqs").operation_model(operation).input_shape


@cache
def output_shape(operation: str) -> Any:
    """The published result of an operation; None for those without."""
    return Session().get_service_model("sqs").operation_model(operation).output_shape


@cache
def calls(operation: str, known: Callable[[], Known]) -> st.SearchStrategy[Members]:
    """Members of calls of an operation: four out of five as a client might send them."""
    valid = st.deferred(lambda: _valid(input_shape(operation), "", known()))
    return st.integers(0, 4).flatmap(lambda number: valid if number else spoilt(valid))


# --- what Query can say, and what its answers say -----------------------------------------------


#: Query reads no more than twenty digits (see ``test_bytes``)
_INTEGERS_END = 10**20
_SURROGATE = re.compile("[\ud800-\udfff]")


class Inexpressible(Exception):
    """Query has no way to say this."""


def expressible(operation: str, members: Members) -> Members:
    """The members as Query can say them; raises ``Inexpressible``."""
    if operation == "ReceiveMessage" and (
        members.get("AttributeNames") and members.get("MessageSystemAttributeNames")
    ):
        raise Inexpressible("both lists have one name there")
    if _SURROGATE.search(json.dumps(members, ensure_ascii=False)):
        raise Inexpressible("not UTF-8")
    shape = input_shape(operation)
    for name in shape.required_members:
        if shape.members[name].type_name == "list" and members.get(name) is None:
            raise Inexpressible("an absent list looks like an empty one")
    said = _expressible(shape, members, "")
    assert isinstance(said, dict)
    return said


def _expressible(shape: Any, value: Any, name: str) -> Any:
    kind = shape.type_name
    if kind == "structure" and isinstance(value, dict):
        said = {
            each: _expressible(of, value[each], each)
            for each, of in shape.members.items()
            if value.get(each) is not None  # null: not given
        }
        if name and not _leaves(said):
            raise Inexpressible("nothing is left to be seen")
        return said
    if kind == "list" and isinstance(value, list):
        return [_expressible(shape.member, each, name) for each in value]
    if kind == "map" and isinstance(value, dict):
        if name == "Attributes":  # null: not given; numbers are as good as their digits
            value = {key: each for key, each in value.items() if each is not None}
            value = {key: str(each) if type(each) is int else each for key, each in value.items()}
        return {
            # an empty value is seen by its key
            _expressible(shape.key, key, ""): _expressible(shape.value, each, "")
            for key, each in value.items()
        }
    if kind in ("integer", "long") and type(value) is int and abs(value) < _INTEGERS_END:
        return value
    if kind in ("string", "blob", "integer", "long") and isinstance(value, str):
        return value
    raise Inexpressible("another type")


def _leaves(value: Any) -> bool:
    """Whether anything of a value is to be seen in parameters."""
    if isinstance(value, dict):
        return any(_leaves(each) for each in value.values())
    if isinstance(value, list):
        return any(_leaves(each) for each in value)
    return True


_RESULT_LISTS = {
    "QueueUrls": "QueueUrl",
    "queueUrls": "QueueUrl",
    "Messages": "Message",
    "Failed": "BatchResultErrorEntry",
    "Results": "ListMessageMoveTasksResultEntry",
}
_RESULT_MAPS = {
    "Attributes": ("Attribute", "Name", "Value"),
    "Tags": ("Tag", "Key", "Value"),
    "MessageAttributes": ("MessageAttribute", "Name", "Value"),
}


def read_result(operation: str, element: Any) -> Members:
    """A ``<…Result>`` of Query as the members that JSON has for it (SQS reference, 1.6)."""
    found = _read(output_shape(operation), element, operation)
    assert isinstance(found, dict)
    return found


def _read(shape: Any, element: Any, operation: str) -> Any:
    kind = shape.type_name
    if kind in ("integer", "long"):
        return int(element.text)
    if kind == "boolean":
        return {"true": True, "false": False}[element.text]
    if kind != "structure":
        return element.text or ""
    found: Members = {}
    seen: set[str] = set()
    for name, member in shape.members.items():
        if member.type_name == "list":
            tag = _RESULT_LISTS.get(name, f"{operation}ResultEntry")
            values: Any = [_read(member.member, each, operation) for each in element.findall(tag)]
        elif member.type_name == "map":
            tag, key, value = _RESULT_MAPS[name]
            values = {
                each.find(key).text or "": _read(member.value, each.find(value), operation)
                for each in element.findall(tag)
            }
        else:
            tag = name
            values = [_read(member, each, operation) for each in element.findall(tag)]
            assert len(values) <= 1, f"{name} more than once"
            if values:
                found[name] = values[0]
                seen.add(tag)
            continue
        seen.add(tag)
        if values:
            found[name] = values
    assert {child.tag for child in element} <= seen, "an element that the model does not know"
    return found
