"""Generated calls of every operation of SNS, and of Headrace's own paths about it.

Whatever is called: never an internal failure, a well-formed answer that botocore can read, a code
that the operation may have, nothing changed by what was refused, and a server that goes on.
"""

import asyncio
import json
import logging
import re
import time
from collections.abc import AsyncIterator, Awaitable, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import cache
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote, urlencode

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from api.sns import SNS
from broker.deliveries.http import HttpTransport
from broker.signing import create_key_material
from storage import open_storage
from storage.contract import Storage
from storage.memory import MemoryStorage
from tests.support.clock import START_MS
from tests.support.sns import model, statuses
from tests.wire.calls import Answer, Server, check_serves, serving
from tests.wire.generated import TEXT, Members
from tests.wire.generated_sns import (
    TOPICS,
    Known,
    codes,
    comparable,
    next_token,
    prepare,
    problems,
    read,
    snapshot,
    sns_calls,
    topic_arn,
)

_T = TypeVar("_T")

_REQUEST_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_XMLNS = "http://sns.amazonaws.com/doc/2010-03-31/"
#: of this process's own work for one request
_CPU_S_MAX = 1.0

#: each example makes a world; the operations together are as many as elsewhere
_FEW = settings(max_examples=settings().max_examples // 5)


@cache
def _key_material() -> bytes:
    return create_key_material(START_MS)


async def _nobody_there(*_: object) -> None:
    raise ConnectionRefusedError


@contextmanager
def without_complaint() -> Iterator[None]:
    """Nothing within may log an error, from wherever."""
    records: list[logging.LogRecord] = []

    class Noting(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            records.append(record)

    handler = Noting(logging.ERROR)
    logging.getLogger().addHandler(handler)
    try:
        yield
    finally:
        logging.getLogger().removeHandler(handler)
    assert [record.getMessage() for record in records] == []


@asynccontextmanager
async def sns_serving(store: Storage | None = None) -> AsyncIterator[Server]:
    """A server that has its key already, calls nobody, and must not log an error."""
    store = store or MemoryStorage()
    with without_complaint(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(HttpTransport, "_send", _nobody_there)
        async with serving(store) as server:
            await store.keep_secret("sns-signing-key", _key_material())
            yield server


@cache
def known() -> Known:
    """What clients know of a prepared server: the same each time, as ids and clock are."""

    async def find_out() -> Known:
        async with sns_serving() as server:
            token = await next_token(server)
        async with sns_serving() as server:
            return (await prepare(server))._replace(next_tokens=(token,))

    return asyncio.run(find_out())


@cache
def untouched() -> list[Any]:
    """What clients see of a prepared server."""

    async def look() -> list[Any]:
        async with sns_serving() as server:
            return await snapshot(server, await prepare(server))

    return asyncio.run(look())


@pytest.fixture(scope="module", autouse=True)
def _known_beforehand() -> None:
    """Both are asked for while an event loop runs, where they cannot be found out."""
    known()
    untouched()


def check_answer(operation: str, answer: Answer) -> None:
    """An answer has the form of one (SNS reference, 1.2 and 1.3), and botocore can read it."""
    assert _REQUEST_ID.fullmatch(answer.headers["x-amzn-requestid"])
    assert answer.headers["content-type"] == "text/xml"
    assert answer.headers["content-length"] == str(len(answer.body))
    assert "x-amzn-query-error" not in answer.headers
    root = answer.xml()
    name = f"{operation}Response" if answer.status == 200 else "ErrorResponse"
    assert answer.body.startswith(f'<{name} xmlns="{_XMLNS}">\n'.encode())
    if answer.status == 200:
        shape = model().operation_model(operation).output_shape
        expected = ["ResponseMetadata"] if shape is None else [f"{operation}Result"]
        assert [child.tag for child in root] == list(dict.fromkeys([*expected, "ResponseMetadata"]))
        if shape is not None:
            assert list(problems(shape, root[0])) == []
        read(operation, answer)
        return
    assert [child.tag for child in root] == ["Error", "RequestId"]
    assert [child.tag for child in root[0]] == ["Type", "Code", "Message"]
    code = root.findtext("Error/Code")
    assert code in codes(operation)
    assert statuses()[code] == answer.status < 500
    assert root.findtext("Error/Type") == "Sender"
    assert root.findtext("Error/Message")
    assert root.findtext("RequestId") == answer.headers["x-amzn-requestid"]


async def timely(call: Awaitable[_T]) -> _T:
    """What a call gives; its work must not take long, on however busy a machine."""
    begun_s = time.thread_time()
    answer = await call
    assert time.thread_time() - begun_s < _CPU_S_MAX
    return answer


@pytest.mark.parametrize("operation", sorted(SNS.operations))
@_FEW
@given(data=st.data())
async def test_any_call_is_answered_and_changes_nothing_if_refused(
    operation: str, data: st.DataObject
) -> None:
    """Valid or not, it is answered in the protocol's form, and the server goes on serving."""
    members = data.draw(sns_calls(operation, known), label=operation)
    async with sns_serving() as server:
        world = await prepare(server)
        answer = await timely(server.sns(operation, members))
        check_answer(operation, answer)
        if answer.status != 200:
            assert await snapshot(server, world) == untouched()
        await check_serves(server)
        await check_publishes(server)


async def check_publishes(server: Server) -> None:
    """A message still gets from a topic to a queue."""
    arn = read("CreateTopic", await server.sns("CreateTopic", {"Name": "canary-topic"}))["TopicArn"]
    await server.json("CreateQueue", {"QueueName": "canary"})
    queue = arn.replace(":sns:", ":sqs:").replace("canary-topic", "canary")
    subscribed = {"TopicArn": arn, "Protocol": "sqs", "Endpoint": queue}
    read("Subscribe", await server.sns("Subscribe", subscribed))
    read("Publish", await server.sns("Publish", {"TopicArn": arn, "Message": "alive"}))
    received = await server.json("ReceiveMessage", {"QueueUrl": "canary"})
    [message] = received.json()["Messages"]
    assert json.loads(message["Body"])["Message"] == "alive"


_ANY_CALL = st.sampled_from(sorted(SNS.operations)).flatmap(
    lambda operation: st.tuples(st.just(operation), sns_calls(operation, known))
)


@_FEW
@given(sequence=st.lists(_ANY_CALL, min_size=2, max_size=12))
async def test_any_sequence_of_calls_is_answered_alike_by_both_stores(
    tmp_path_factory: pytest.TempPathFactory, sequence: list[tuple[str, Members]]
) -> None:
    """Each call finds what those before it have left, the same in memory and in SQLite."""
    path: Path = tmp_path_factory.mktemp("fuzz") / "headrace.db"
    on_disk = open_storage(f"sqlite:{path}", strict=False)
    async with sns_serving() as in_memory, sns_serving(on_disk) as durable:
        world = await prepare(in_memory)
        assert await prepare(durable) == world
        for operation, members in sequence:
            answers = [await server.sns(operation, members) for server in (in_memory, durable)]
            check_answer(operation, answers[0])
            assert comparable(answers[1]) == comparable(answers[0])
        assert await snapshot(durable, world) == await snapshot(in_memory, world)
        for server in (in_memory, durable):
            await check_serves(server)
            await check_publishes(server)


@_FEW
@given(
    sequence=st.lists(
        st.tuples(_ANY_CALL, st.sampled_from([0, 0, 1_000, 60_000, 1_800_000])),
        min_size=2,
        max_size=6,
    )
)
async def test_any_sequence_of_calls_is_answered_while_time_passes(
    sequence: list[tuple[tuple[str, Members], int]],
) -> None:
    """Deliveries are tried again and given up, replays run, and nothing of it goes wrong."""
    async with sns_serving() as server:
        await prepare(server)
        for (operation, members), then_ms in sequence:
            check_answer(operation, await timely(server.sns(operation, members)))
            await server.clock.advance(then_ms, settle=5)
        await check_serves(server)
        await check_publishes(server)


# --- Headrace's own paths -----------------------------------------------------------------------


def _parameters(names: tuple[str, ...]) -> st.SearchStrategy[bytes]:
    """A query string, of those names for the most part."""

    def value() -> st.SearchStrategy[str]:
        return st.sampled_from(
            [
                *known().subscription_arns,
                *known().message_ids,
                *known().tokens,
                *(topic_arn(name) for name in TOPICS),
                "sms",
                "http",
                "pending",
                "failed",
                "0",
                "1",
                "-1",
                "9" * 30,
                "newest",
                "us-east-1",
                "000000000000",
                "\0",
                "<script>",
                "\r\nX-Injected: 1",
                "\ud800",
                "\u0663",
                "x" * 10_000,
                ":" * 10_000,
            ]
        )

    pair = st.tuples(st.sampled_from(names) | TEXT, st.deferred(value) | TEXT | st.text(max_size=8))
    return st.lists(pair, max_size=4).map(
        lambda pairs: urlencode(pairs, errors="surrogatepass").encode()
    ) | st.binary(max_size=30)


_OUTBOX = "/_headrace/outbox"
_EXPLAIN = "/_headrace/sns/explain"
_FILTERS = ("account", "region", "protocol", "status", "endpoint", "topicArn", "subscriptionArn")
_PATHS: dict[str, tuple[str, ...]] = {
    _OUTBOX: (*_FILTERS, "messageId", "limit", "after", "order"),
    _EXPLAIN: ("topicArn", "messageId"),
    "/_aws/sns/sms-messages": ("accountId", "region", "phoneNumber"),
    "/_aws/sns/platform-endpoint-messages": ("accountId", "region", "endpointArn"),
    "/_aws/sns/subscription-tokens/": ("x",),
    "/confirmation.html": ("TopicArn", "Token", "Endpoint"),
    "/unsubscribe.html": ("SubscriptionArn", "Endpoint"),
    "/SimpleNotificationService-": ("x",),
    "/health": ("x",),
}
_PAGES = ("/confirmation.html", "/unsubscribe.html", "/SimpleNotificationService-")


def check_own(path: str, method: str, answer: Answer) -> None:
    """An answer of one of our own paths: no failure, nothing smuggled into it."""
    assert answer.status in {200, 204, 400, 404, 405}
    assert "x-injected" not in answer.headers
    for _, value in answer.header_list:
        assert value.decode("ascii").isprintable()
    text = answer.body.decode()
    if path.startswith(_PAGES):
        assert "<script" not in text or answer.headers["content-type"].startswith("text/plain")
    elif answer.headers.get("content-type") == "application/json" and method != "HEAD":
        json.loads(text)


@pytest.mark.parametrize("path", _PATHS)
@_FEW
@given(data=st.data())
async def test_anything_asked_of_our_own_paths_is_answered(path: str, data: st.DataObject) -> None:
    method = data.draw(st.sampled_from(["GET", "GET", "GET", "DELETE", "HEAD", "POST"]))
    query_string = data.draw(_parameters(_PATHS[path]))
    rest = ""
    if path.endswith(("/", "-")):
        rest = data.draw(st.sampled_from([*known().subscription_arns, "x.pem", ""]) | TEXT)
    async with sns_serving() as server:
        await prepare(server)
        answer = await timely(
            server.send(
                method=method, path=path + rest.replace("\ud800", ""), query_string=query_string
            )
        )
        check_own(path, method, answer)
        await check_publishes(server)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT | st.just("\ud800"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
_DRAFTS = st.fixed_dictionaries(
    {"TopicArn": st.sampled_from([topic_arn(name) for name in TOPICS]), "Message": TEXT | _JSON},
    optional={
        "MessageStructure": st.just("json") | _JSON,
        "MessageAttributes": st.dictionaries(
            st.just("kind") | TEXT,
            st.fixed_dictionaries({"DataType": st.just("String"), "StringValue": TEXT | _JSON})
            | _JSON,
            max_size=2,
        ),
        "Subject": _JSON,
    },
)


@_FEW
@given(document=_DRAFTS | _JSON)
@example(document={"TopicArn": topic_arn("news"), "Message": "\ud800"})
async def test_any_draft_can_be_asked_about(document: Any) -> None:
    async with sns_serving() as server:
        await prepare(server)
        body = json.dumps(document).encode()
        answer = await timely(server.send(body, method="POST", path=_EXPLAIN))
        check_own(_EXPLAIN, "POST", answer)


@_FEW
@given(data=st.data())
async def test_any_link_is_answered(data: st.DataObject) -> None:
    """By GET, without credentials and without a version, as clients follow links."""
    operation = data.draw(st.sampled_from(["ConfirmSubscription", "Unsubscribe"]))
    members = data.draw(sns_calls(operation, known))
    async with sns_serving() as server:
        await prepare(server)
        parameters = [("Action", operation), *((k, str(v)) for k, v in members.items())]
        query_string = urlencode(parameters, safe=":", quote_via=quote, errors="surrogatepass")
        answer = await timely(server.send(method="GET", query_string=query_string.encode()))
        check_answer(operation, answer)
        await check_publishes(server)
