"""Generated calls of every operation, in both protocols, against two equal brokers.

Whatever is called: never an internal failure, a well-formed answer with a request id, the same
answer in JSON and in Query, and a server that goes on serving.
"""

import asyncio
import json
import re
from functools import cache
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.sqs import SQS
from tests.support.errors import LOOKS
from tests.wire.calls import Answer, Server, check_serves, serving
from tests.wire.generated import (
    Inexpressible,
    Known,
    Members,
    calls,
    expressible,
    output_shape,
    prepare,
    read_result,
)

STATUSES = {200, 400, 403, 404, 413, 503}
_REQUEST_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_NOT_IN_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_XMLNS = "http://queue.amazonaws.com/doc/2012-11-05/"
#: error texts that differ by protocol: AWS words the first differently; in the second JSON names
#: the kind of token it met, and Query has strings only
_WORDED_BY_PROTOCOL = {"AWS.SimpleQueueService.NonExistentQueue", "MalformedInput"}


@cache
def known() -> Known:
    """What clients know of a prepared server: the same each time, as ids and clock are."""

    async def find_out() -> Known:
        async with serving() as server:
            return await prepare(server)

    return asyncio.run(find_out())


@pytest.fixture(scope="module", autouse=True)
def _known_beforehand() -> None:
    """Strategies ask for it while an event loop runs, where it cannot be found out."""
    known()


def check_json(operation: str, answer: Answer) -> None:
    """An answer of AWS JSON 1.0 has the form of one (SQS reference, 1.2 and 1.3)."""
    assert answer.status in STATUSES
    assert _REQUEST_ID.fullmatch(answer.headers["x-amzn-requestid"])
    assert answer.headers["content-type"] == "application/x-amz-json-1.0"
    assert answer.headers["content-length"] == str(len(answer.body))
    if answer.status == 200:
        assert "x-amzn-query-error" not in answer.headers
        assert bool(answer.body) == (output_shape(operation) is not None)
        answer.json()
    else:
        code, fault = answer.headers["x-amzn-query-error"].split(";")
        error = answer.json()
        assert error.keys() == {"__type", "message"}
        assert LOOKS[code] == (error["__type"], answer.status, fault)
        assert error["message"]


def check_xml(operation: str, answer: Answer) -> None:
    """An answer of the Query protocol has the form of one (SQS reference, 1.6 and 1.7)."""
    assert answer.status in STATUSES
    assert _REQUEST_ID.fullmatch(answer.headers["x-amzn-requestid"])
    assert answer.headers["content-type"] == "text/xml"
    assert answer.headers["content-length"] == str(len(answer.body))
    root = answer.xml()
    name = f"{operation}Response" if answer.status == 200 else "ErrorResponse"
    assert answer.body.startswith(f'<?xml version="1.0"?><{name} xmlns="{_XMLNS}">'.encode())
    if answer.status == 200:
        expected = ["ResponseMetadata"]
        if output_shape(operation) is not None:
            expected.insert(0, f"{operation}Result")
        assert [child.tag for child in root] == expected
        request_id = root.findtext("ResponseMetadata/RequestId")
    else:
        assert [child.tag for child in root] == ["Error", "RequestId"]
        assert [child.tag for child in root[0]] == ["Type", "Code", "Message", "Detail"]
        assert root.findtext("Error/Type") == "Sender"
        request_id = root.findtext("RequestId")
    assert request_id == answer.headers["x-amzn-requestid"]


def check_same(operation: str, in_json: Answer, in_xml: Answer) -> None:
    """Both protocols answer the same: success or code, values, and error texts."""
    assert (in_json.status, in_json.code) == (in_xml.status, in_xml.code)
    root = in_xml.xml()
    if in_json.status != 200:
        assert in_json.code == root.findtext("Error/Code")
        if in_json.code not in _WORDED_BY_PROTOCOL:
            assert root.findtext("Error/Message") == _as_in_xml(in_json.json()["message"])
    elif output_shape(operation) is not None:
        result = root.find(f"{operation}Result")
        assert result is not None
        values = {name: value for name, value in in_json.json().items() if value != []}
        assert read_result(operation, result) == _as_in_xml(values)


def _as_in_xml(value: Any) -> Any:
    """A value as XML can carry it: some characters have no place there in any form."""
    if isinstance(value, str):
        return _NOT_IN_XML.sub("\ufffd", value)
    if isinstance(value, list):
        return [_as_in_xml(each) for each in value]
    if isinstance(value, dict):
        return {_as_in_xml(key): _as_in_xml(each) for key, each in value.items()}
    return value


async def check_call(by_json: Server, by_query: Server, operation: str, members: Members) -> None:
    """Call in JSON and, on the other server, in Query if it can be said there."""
    in_json = await by_json.json(operation, members)
    check_json(operation, in_json)
    try:
        said = expressible(operation, members)
    except Inexpressible:
        again = await by_query.json(operation, members)
        assert (again.status, again.body) == (in_json.status, in_json.body)
    else:
        in_xml = await by_query.query(operation, said)
        check_xml(operation, in_xml)
        check_same(operation, in_json, in_xml)
    assert by_json.clock.now_ms() == by_query.clock.now_ms()


@pytest.mark.parametrize("operation", sorted(SQS.operations))
@given(data=st.data())
async def test_any_call_is_answered_alike_in_both_protocols(
    operation: str, data: st.DataObject
) -> None:
    """Valid or not, it is answered in the protocol's form, and the server goes on serving."""
    members = data.draw(calls(operation, known), label=operation)
    async with serving() as by_json, serving() as by_query:
        await prepare(by_json)
        await prepare(by_query)
        await check_call(by_json, by_query, operation, members)
        await check_serves(by_json)
        await check_serves(by_query)


_ANY_CALL = st.sampled_from(sorted(SQS.operations)).flatmap(
    lambda operation: st.tuples(st.just(operation), calls(operation, known))
)


@given(sequence=st.lists(_ANY_CALL, min_size=2, max_size=12))
async def test_any_sequence_of_calls_is_answered_alike_in_both_protocols(
    sequence: list[tuple[str, Members]],
) -> None:
    """Each call finds what those before it have left."""
    async with serving() as by_json, serving() as by_query:
        await prepare(by_json)
        await prepare(by_query)
        for operation, members in sequence:
            await check_call(by_json, by_query, operation, members)
        await check_serves(by_json)
        await check_serves(by_query)


@given(
    body=st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    ).map(lambda value: json.dumps(value).encode())
)
async def test_any_json_document_is_answered(body: bytes) -> None:
    """NaN and Infinity included, which Python writes and JSON does not have."""
    async with serving() as server:
        for operation in ("ListQueues", "SendMessage", "SendMessageBatch"):
            check_json(operation, await server.json(operation, body))
        await check_serves(server)
