"""Faults as clients meet them, over every store and in both protocols."""

import asyncio
from typing import Any

import pytest

from api.injections import ConnectionDropped
from tests.api.sns_calls import subscribe
from tests.support.client import ApiError, Client, Queue, redrive_policy
from tests.support.clock import FakeClock
from tests.support.server import MEMORY_ONLY, Server
from tests.support.sns import SnsClient, sns_refusal
from tests.support.until import until

PATH = "/_headrace/faults"


async def add(
    server: Server, kind: str, /, match: dict[str, Any] | None = None, **members: Any
) -> Any:
    """A rule of that kind; those members that are the rule's own are told apart."""
    own = {
        name: members.pop(name)
        for name in ("id", "seed", "probability", "every", "times")
        if name in members
    }
    response = await server.http.post(
        PATH, json={"match": match or {}, "fault": {"kind": kind, **members}, **own}
    )
    assert response.status_code == 201, response.text
    return response.json()


async def fired(server: Server) -> list[int]:
    """How often each rule struck."""
    listed = await server.http.get(PATH)
    return [each["fired"] for each in listed.json()["faults"]]


async def error_of(call: Any) -> ApiError:
    """The refusal a call meets."""
    with pytest.raises(ApiError) as told:
        await call
    return told.value


# --- the admin API ------------------------------------------------------------------------------


@MEMORY_ONLY
async def test_rules_are_added_listed_and_removed(server: Server) -> None:
    first = await add(server, "throttling", {"queue": "jobs"}, seed=1, times=3)
    assert first["id"] == "fault-1"
    second = await add(server, "latency", ms=5)
    assert len(second["seed"]) == 36
    listed = (await server.http.get(PATH)).json()["faults"]
    assert listed == [first, second]
    assert (await server.http.delete(f"{PATH}/fault-1")).status_code == 204
    assert (await server.http.get(PATH)).json() == {"faults": [second]}
    assert (await server.http.delete(PATH)).json() == {"removed": 1}
    assert (await server.http.get(PATH)).json() == {"faults": []}


@MEMORY_ONLY
async def test_removing_a_rule_that_is_not_there_is_not_found(server: Server) -> None:
    response = await server.http.delete(f"{PATH}/fault-9")
    assert (response.status_code, response.json()) == (404, {"error": "there is no fault fault-9"})


@MEMORY_ONLY
@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"{", "the body is not valid JSON"),
        (b'{"fault": {"kind": "flood"}}', "fault.kind is one of "),
        (
            b'{"fault": {"kind": "shuffle"}, "match": {"queue": "jobs.fifo"}}',
            "match.queue: shuffle of ReceiveMessage would break the order of jobs.fifo",
        ),
        (
            b'{"fault": {"kind": "latency", "ms": 1}, "match": {"actions": ["Sned"]}}',
            "match.actions: there is no operation Sned",
        ),
        (
            b'{"fault": {"kind": "latency", "ms": 1},'
            b' "match": {"queue": "jobs", "actions": ["Publish"]}}',
            "match.actions: there is no operation Publish",
        ),
        (
            b'{"fault": {"kind": "latency", "ms": 1},'
            b' "match": {"topic": "news", "actions": ["SendMessage"]}}',
            "match.actions: there is no operation SendMessage",
        ),
        (b'{"fault": {"kind": "latency", "ms": 300001}}', "fault.ms is a"),
        (b'{"fault": {"kind": "latency", "fromMs": -1, "toMs": 1}}', "fault.fromMs is a"),
        (
            b'{"fault": {"kind": "latency", "ms": 1}, "match": {"account": "1"}}',
            "match.account is 12 digits",
        ),
        (b'{"\\ud800": 1}', "there is no \\ud800"),
    ],
)
async def test_a_rule_that_cannot_be_is_refused_and_not_kept(
    server: Server, body: bytes, text: str
) -> None:
    response = await server.http.post(PATH, content=body)
    assert response.status_code == 400
    assert text in response.json()["error"]
    assert (await server.http.get(PATH)).json() == {"faults": []}


@MEMORY_ONLY
async def test_resetting_the_counters_replays_what_happened(
    server: Server, sqs: Client, queue: Queue
) -> None:
    await add(server, "throttling", {"queue": "jobs"}, probability=0.5, seed="replay")

    async def history() -> list[int]:
        calls = [await sqs.request("GetQueueAttributes", QueueUrl=queue.url) for _ in range(30)]
        return [each.status_code for each in calls]

    first = await history()
    assert set(first) == {200, 403}
    assert await history() != first
    reset = await server.http.post(f"{PATH}/reset-counters")
    assert [(each["seen"], each["fired"]) for each in reset.json()["faults"]] == [(0, 0)]
    assert await history() == first


# --- errors -------------------------------------------------------------------------------------


@MEMORY_ONLY
@pytest.mark.parametrize(
    ("code", "json_type", "status"),
    [
        ("RequestThrottled", "com.amazonaws.sqs#RequestThrottled", 403),
        ("ThrottlingException", "com.amazon.coral.service#ThrottlingException", 400),
        ("OverLimit", "com.amazonaws.sqs#OverLimit", 403),
    ],
)
async def test_queues_are_throttled(
    server: Server, queue: Queue, code: str, json_type: str, status: int
) -> None:
    await add(server, "throttling", {"queue": "jobs"}, code=code, times=1)
    told = await error_of(queue.send())
    assert (told.code, told.status, told.fault) == (code, status, "Sender")
    assert told.json_type in (json_type, None)
    await queue.send()
    assert await queue.counts() == (1, 0, 0)


@MEMORY_ONLY
async def test_topics_are_throttled_with_429(server: Server, sns: SnsClient) -> None:
    arn = await sns.topic()
    await add(server, "throttling", {"topic": "news"}, times=1)
    assert await sns_refusal(sns.call("Publish", TopicArn=arn, Message="x")) == (
        "Throttled",
        "Rate exceeded",
    )
    await sns.call("Publish", TopicArn=arn, Message="x")


@MEMORY_ONLY
@pytest.mark.parametrize(
    ("code", "query_code", "shape", "status"),
    [
        ("AccessDenied", "KMS.AccessDeniedException", "KmsAccessDenied", 400),
        ("Disabled", "KMS.DisabledException", "KmsDisabled", 400),
        ("InvalidKeyUsage", "KMS.InvalidKeyUsageException", "KmsInvalidKeyUsage", 400),
        ("InvalidState", "KMS.InvalidStateException", "KmsInvalidState", 400),
        ("NotFound", "KMS.NotFoundException", "KmsNotFound", 400),
        ("OptInRequired", "KMS.OptInRequired", "KmsOptInRequired", 403),
        ("Throttling", "KMS.ThrottlingException", "KmsThrottled", 400),
    ],
)
async def test_keys_of_queues_fail(
    server: Server, queue: Queue, code: str, query_code: str, shape: str, status: int
) -> None:
    await add(server, "kms", {"queue": "jobs"}, code=code)
    told = await error_of(queue.send())
    assert (told.code, told.status) == (query_code, status)
    assert told.json_type in (f"com.amazonaws.sqs#{shape}", None)


@MEMORY_ONLY
@pytest.mark.parametrize(
    "code",
    ["AccessDenied", "Disabled", "InvalidState", "NotFound", "OptInRequired", "Throttling"],
)
async def test_keys_of_topics_fail(server: Server, sns: SnsClient, code: str) -> None:
    arn = await sns.topic()
    await add(server, "kms", {"topic": "news"}, code=code)
    told, _ = await sns_refusal(sns.call("Publish", TopicArn=arn, Message="x"))
    assert told == f"KMS{code}"


@MEMORY_ONLY
@pytest.mark.parametrize(
    ("status", "code"), [(500, "InternalFailure"), (503, "ServiceUnavailable")]
)
async def test_a_server_error_is_told_as_the_service_tells_it(
    server: Server, queue: Queue, status: int, code: str, caplog: pytest.LogCaptureFixture
) -> None:
    await add(server, "httpError", {"queue": "jobs"}, status=status)
    told = await error_of(queue.send())
    assert (told.code, told.status, told.fault) == (code, status, "Receiver")
    assert caplog.records == []


@MEMORY_ONLY
@pytest.mark.parametrize("status", [502, 504])
async def test_a_gateways_error_is_a_page(
    server: Server, sqs: Client, queue: Queue, status: int
) -> None:
    await add(server, "httpError", {"queue": "jobs"}, status=status)
    response = await sqs.request("SendMessage", QueueUrl=queue.url, MessageBody="x")
    assert (response.status_code, response.headers["content-type"]) == (status, "text/html")
    assert response.text.startswith(f"<html><body><h1>{status} ")


@MEMORY_ONLY
async def test_other_queues_regions_and_operations_are_left_alone(
    server: Server, sqs: Client, queue: Queue
) -> None:
    other = await sqs.queue("other")
    elsewhere = await sqs.but(region="eu-west-1").queue("jobs")
    match = {"queue": "jobs", "region": "us-east-1", "actions": ["SendMessage"]}
    await add(server, "throttling", match)
    await other.send()
    await elsewhere.send()
    await queue.receive()
    assert (await error_of(queue.send())).code == "RequestThrottled"
    assert await fired(server) == [1]


@MEMORY_ONLY
async def test_a_rule_knows_a_queue_by_its_name_too(server: Server, sqs: Client) -> None:
    await add(server, "throttling", {"queue": "jobs"})
    for operation in ("CreateQueue", "GetQueueUrl"):
        assert (await error_of(sqs.call(operation, QueueName="jobs"))).code == "RequestThrottled"


@MEMORY_ONLY
async def test_a_rule_of_a_topic_strikes_whatever_is_about_it(
    server: Server, sns: SnsClient
) -> None:
    arn = await sns.topic()
    subscription = await subscribe(sns, arn)
    await add(server, "throttling", {"topic": "news"})
    calls: list[tuple[str, dict[str, str]]] = [
        ("CreateTopic", {"Name": "news"}),
        ("Publish", {"TopicArn": arn, "Message": "x"}),
        ("Publish", {"TargetArn": arn, "Message": "x"}),
        ("GetSubscriptionAttributes", {"SubscriptionArn": subscription}),
        ("ListTagsForResource", {"ResourceArn": arn}),
    ]
    for operation, members in calls:
        code, _ = await sns_refusal(sns.call(operation, **members))
        assert code == "Throttled", operation
    await sns.call("ListTopics")
    await sns.topic("other")


# --- time and connections -----------------------------------------------------------------------


@MEMORY_ONLY
async def test_a_late_call_is_done_after_its_latency(
    server: Server, clock: FakeClock, queue: Queue
) -> None:
    await add(server, "latency", {"queue": "jobs", "actions": ["SendMessage"]}, ms=2_000)
    sending = asyncio.create_task(queue.send())
    await clock.advance(1_999)
    assert not sending.done()
    assert await queue.counts() == (0, 0, 0)
    await clock.advance(1)
    await sending
    assert await queue.counts() == (1, 0, 0)


@MEMORY_ONLY
async def test_a_late_answer_comes_after_what_was_done(
    server: Server, clock: FakeClock, queue: Queue
) -> None:
    match = {"queue": "jobs", "actions": ["SendMessage"]}
    await add(server, "latency", match, ms=2_000, when="after")
    sending = asyncio.create_task(queue.send())
    await clock.advance(1_999)
    assert await queue.counts() == (1, 0, 0)
    assert not sending.done()
    await clock.advance(1)
    await sending


@MEMORY_ONLY
async def test_a_dropped_connection_has_done_nothing(server: Server, queue: Queue) -> None:
    await add(server, "droppedConnection", {"queue": "jobs"}, times=1)
    with pytest.raises(ConnectionDropped):
        await queue.send()
    assert await queue.counts() == (0, 0, 0)


@pytest.mark.parametrize(("done", "left"), [(True, 0), (False, 1)])
async def test_a_delete_whose_reply_is_lost_has_happened_or_not(
    server: Server, queue: Queue, done: bool, left: int
) -> None:
    await queue.send()
    message = await queue.receive_one()
    await add(server, "lostReply", {"queue": "jobs"}, done=done, answer="httpError", times=1)
    assert (await error_of(queue.delete(message))).status == 500
    assert sum(await queue.counts()) == left
    await queue.delete(message)
    assert await queue.counts() == (0, 0, 0)


async def test_a_fifo_message_that_is_sent_again_after_a_lost_reply_is_one(
    server: Server, fifo: Queue
) -> None:
    match = {"queue": "jobs.fifo", "actions": ["SendMessage"]}
    await add(server, "lostReply", match, done=True, answer="httpError", times=1)
    assert (await error_of(fifo.send_to("a", "1"))).status == 500
    await fifo.send_to("a", "1")
    assert await fifo.bodies() == ["1"]


# --- batches ------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", ["InternalError", "ServiceUnavailable"])
async def test_some_entries_of_a_send_fail_and_the_others_are_sent(
    server: Server, queue: Queue, code: str
) -> None:
    await add(server, "partialBatchFailure", {"queue": "jobs"}, every=2, code=code)
    entries = [{"Id": f"e{number}", "MessageBody": f"m{number}"} for number in range(4)]
    answer = await queue.call("SendMessageBatch", Entries=entries)
    assert [each["Id"] for each in answer["Successful"]] == ["e0", "e2"]
    told = [(each["Id"], each["Code"], each["SenderFault"]) for each in answer["Failed"]]
    assert [each[:2] for each in told] == [("e1", code), ("e3", code)]
    assert {str(each[2]).lower() for each in told} == {"false"}
    assert await queue.bodies() == ["m0", "m2"]


async def test_some_entries_of_a_delete_fail_and_their_messages_stay(
    server: Server, queue: Queue
) -> None:
    await queue.send_each("a", "b", "c")
    messages = await queue.receive()
    await add(server, "partialBatchFailure", {"queue": "jobs"}, every=3)
    entries = [
        {"Id": str(number), "ReceiptHandle": each["ReceiptHandle"]}
        for number, each in enumerate(messages)
    ]
    answer = await queue.call("DeleteMessageBatch", Entries=entries)
    assert [each["Id"] for each in answer["Successful"]] == ["0", "1"]
    assert [each["Id"] for each in answer["Failed"]] == ["2"]
    assert await queue.counts() == (0, 1, 0)


async def test_a_batch_for_a_fifo_queue_is_taken_whole(server: Server, fifo: Queue) -> None:
    await add(server, "partialBatchFailure")
    entries = [
        {"Id": each, "MessageBody": each, "MessageGroupId": "g", "MessageDeduplicationId": each}
        for each in "abc"
    ]
    answer = await fifo.call("SendMessageBatch", Entries=entries)
    assert len(answer["Successful"]) == 3
    assert await fifo.bodies() == ["a", "b", "c"]


@MEMORY_ONLY
@pytest.mark.parametrize(("every", "failed"), [(2, ["1", "3"]), (1, ["0", "1", "2", "3"])])
async def test_some_entries_of_a_publish_fail(
    server: Server, sns: SnsClient, queue: Queue, every: int, failed: list[str]
) -> None:
    arn = await sns.topic()
    await subscribe(sns, arn, endpoint=await queue.arn(), RawMessageDelivery="true")
    await add(server, "partialBatchFailure", {"topic": "news"}, every=every)
    entries = [{"Id": str(number), "Message": f"m{number}"} for number in range(4)]
    answer = await sns.call("PublishBatch", TopicArn=arn, PublishBatchRequestEntries=entries)
    assert [each["Id"] for each in answer["Failed"]] == failed
    assert {(each["Code"], each["SenderFault"]) for each in answer["Failed"]} == {
        ("InternalError", False)
    }
    published = [each["Id"] for each in answer["Successful"]]
    assert sorted(published + failed) == ["0", "1", "2", "3"]
    assert await queue.bodies() == [f"m{each}" for each in published]


@MEMORY_ONLY
async def test_a_publish_that_is_refused_as_a_whole_is_so_with_failing_entries_too(
    server: Server, sns: SnsClient
) -> None:
    arn = await sns.topic()
    await add(server, "partialBatchFailure", {"topic": "news"})
    entries = [{"Id": "same", "Message": "x"}] * 2
    code, _ = await sns_refusal(
        sns.call("PublishBatch", TopicArn=arn, PublishBatchRequestEntries=entries)
    )
    assert code == "BatchEntryIdsNotDistinct"


# --- receiving ----------------------------------------------------------------------------------


async def test_a_message_is_received_twice_and_either_handle_deletes_it(
    server: Server, queue: Queue
) -> None:
    await queue.send("a")
    await add(server, "duplicateDelivery", {"queue": "jobs"}, times=1)
    first = await queue.receive_one()
    second = await queue.receive_one(AttributeNames=["ApproximateReceiveCount"])
    assert second["MessageId"] == first["MessageId"]
    assert second["ReceiptHandle"] != first["ReceiptHandle"]
    assert second["Attributes"] == {"ApproximateReceiveCount": "2"}
    assert await queue.receive() == []
    await queue.delete(first)
    assert await queue.counts() == (0, 0, 0)


async def test_a_duplicate_comes_later_if_it_is_to(
    server: Server, clock: FakeClock, queue: Queue
) -> None:
    await queue.send("a")
    await add(server, "duplicateDelivery", {"queue": "jobs"}, afterMs=5_000, times=1)
    await queue.receive_one()
    await clock.advance(4_999)
    assert await queue.bodies() == []
    await clock.advance(1)
    assert await queue.bodies() == ["a"]


async def test_a_duplicate_wakes_a_receive_that_waits(
    server: Server, clock: FakeClock, queue: Queue
) -> None:
    await queue.send("a")
    await add(server, "duplicateDelivery", {"queue": "jobs"}, afterMs=5_000, times=1)
    await queue.receive_one()
    waiting = await server.park(queue.bodies(WaitTimeSeconds=20))
    await clock.advance(5_000)
    await until(waiting.done)
    assert await waiting == ["a"]


async def test_the_last_receive_before_the_dead_letter_queue_is_not_duplicated(
    server: Server, sqs: Client
) -> None:
    dead = await sqs.queue("dead")
    queue = await sqs.queue("jobs", RedrivePolicy=redrive_policy(await dead.arn(), 2))
    await queue.send("a")
    await add(server, "duplicateDelivery", {"queue": "jobs"})
    await queue.receive_one()
    last = await queue.receive_one()
    assert await queue.receive() == []
    assert await dead.counts() == (0, 0, 0)
    await queue.delete(last)
    assert await queue.counts() == (0, 0, 0)


async def test_a_rule_for_all_queues_keeps_the_order_of_fifo(server: Server, fifo: Queue) -> None:
    await add(server, "duplicateDelivery")
    await add(server, "shuffle")
    await add(server, "reordering", ms=1_000)
    bodies = [str(number) for number in range(9)]
    for body in bodies:
        await fifo.send_to("g", body)
    assert await fifo.bodies() == bodies
    assert await fifo.bodies() == []
    assert await fired(server) == [0, 0, 0]


async def test_a_receive_gets_fewer_messages_than_there_are(server: Server, queue: Queue) -> None:
    await queue.send_each("a", "b", "c")
    await add(server, "shortReceive", {"queue": "jobs"}, messages=2, times=1)
    assert await queue.bodies() == ["a", "b"]
    assert await queue.bodies() == ["c"]


async def test_a_receive_gets_nothing_though_there_is_something(
    server: Server, queue: Queue
) -> None:
    await queue.send("a")
    await add(server, "shortReceive", {"queue": "jobs"}, messages=0, times=2)
    assert await queue.receive() == []
    assert await queue.receive(WaitTimeSeconds=20) == []
    message = await queue.receive_one(AttributeNames=["ApproximateReceiveCount"])
    assert message["Attributes"] == {"ApproximateReceiveCount": "1"}


async def test_a_short_receive_keeps_the_order_of_fifo(server: Server, fifo: Queue) -> None:
    for body in "abc":
        await fifo.send_to("g", body)
    await add(server, "shortReceive", {"queue": "jobs.fifo"}, messages=1, times=1)
    [message] = await fifo.receive()
    assert message["Body"] == "a"
    assert await fifo.receive() == []
    await fifo.delete(message)
    assert await fifo.bodies() == ["b", "c"]


async def test_an_answer_is_shuffled_and_has_all_messages(server: Server, queue: Queue) -> None:
    bodies = [str(number) for number in range(10)]
    await queue.send_each(*bodies)
    await add(server, "shuffle", {"queue": "jobs"}, seed=1)
    told = await queue.bodies()
    assert told != bodies
    assert sorted(told) == bodies


async def test_a_message_that_is_held_back_is_overtaken(
    server: Server, clock: FakeClock, queue: Queue
) -> None:
    await add(server, "reordering", {"queue": "jobs"}, ms=1_000, times=1)
    await queue.send_each("first", "second")
    assert await queue.bodies() == ["second"]
    await clock.advance(1_000)
    assert await queue.bodies() == ["first"]


@MEMORY_ONLY
async def test_copies_of_a_topics_messages_are_held_back_too(
    server: Server, sns: SnsClient, clock: FakeClock, queue: Queue
) -> None:
    arn = await sns.topic()
    await subscribe(sns, arn, endpoint=await queue.arn(), RawMessageDelivery="true")
    await add(server, "reordering", {"queue": "jobs"}, ms=1_000, times=1)
    for message in ("first", "second"):
        await sns.call("Publish", TopicArn=arn, Message=message)
    assert await queue.bodies() == ["second"]
    await clock.advance(1_000)
    assert await queue.bodies() == ["first"]


async def test_no_message_expires_because_it_was_held_back(
    server: Server, clock: FakeClock, sqs: Client
) -> None:
    queue = await sqs.queue("jobs", MessageRetentionPeriod="60")
    await add(server, "reordering", {"queue": "jobs"}, ms=300_000)
    await queue.send("a")
    await clock.advance(59_000)
    assert await queue.bodies() == ["a"]


async def test_under_all_faults_at_once_every_message_is_processed(
    server: Server, clock: FakeClock, queue: Queue
) -> None:
    """A client that tries again and ignores what it knows loses nothing and invents nothing."""
    kinds: list[tuple[str, dict[str, Any]]] = [
        ("throttling", {}),
        ("httpError", {"status": 503}),
        ("lostReply", {"answer": "httpError"}),
        ("duplicateDelivery", {}),
        ("shortReceive", {}),
        ("shuffle", {}),
        ("reordering", {"fromMs": 0, "toMs": 5_000}),
    ]
    for number, (kind, options) in enumerate(kinds):
        await add(server, kind, {"queue": "jobs"}, seed=number, probability=0.3, **options)
    sent = {f"m{number}" for number in range(40)}
    for body in sent:
        await _again(lambda body=body: queue.send(body))
    processed: set[str] = set()
    for _ in range(400):
        for message in (await _again(queue.receive)) or []:
            processed.add(message["Body"])
            await _again(lambda message=message: queue.delete(message))
        await clock.advance(1_000)
        if processed == sent:
            break
    assert processed == sent
    assert all(number > 0 for number in await fired(server))


async def _again(call: Any) -> Any:
    """The answer of a call that is made until it has one."""
    while True:
        try:
            return await call()
        except ApiError:
            continue


@MEMORY_ONLY
async def test_other_services_have_no_faults(server: Server) -> None:
    await add(server, "throttling")
    response = await server.http.post(
        "/",
        content=b"Action=GetCallerIdentity&Version=2011-06-15",
        headers={"content-type": "application/x-www-form-urlencoded"},
    )
    assert response.status_code == 200
