"""GetQueueAttributes, SetQueueAttributes: names, ranges, defaults (SQS reference, 2.5, 2.6, 3)."""

import json
from typing import Any

import pytest

from tests.support.client import Client, Queue, redrive_policy, refusal
from tests.support.clock import START_MS, FakeClock
from tests.support.server import MEMORY_ONLY

START_S = str(START_MS // 1000)
READ_ONLY = (
    "QueueArn",
    "CreatedTimestamp",
    "LastModifiedTimestamp",
    "ApproximateNumberOfMessages",
    "ApproximateNumberOfMessagesNotVisible",
    "ApproximateNumberOfMessagesDelayed",
)
#: name, lowest, highest
RANGES = [
    ("VisibilityTimeout", 0, 43_200),
    ("MaximumMessageSize", 1_024, 1_048_576),
    ("MessageRetentionPeriod", 60, 1_209_600),
    ("DelaySeconds", 0, 900),
    ("ReceiveMessageWaitTimeSeconds", 0, 20),
    ("KmsDataKeyReusePeriodSeconds", 60, 86_400),
]
A_POLICY = {"Version": "2012-10-17", "Statement": [{"Sid": "a", "Effect": "Allow"}]}


def invalid(name: str) -> tuple[str, str]:
    return "InvalidAttributeValue", f"Invalid value for the parameter {name}."


def unknown(name: str) -> tuple[str, str]:
    return "InvalidAttributeName", f"Unknown Attribute {name}."


# --- what there is ------------------------------------------------------------------------------


async def test_a_standard_queue_has_these_defaults(queue: Queue) -> None:
    assert await queue.attributes("All") == {
        "ApproximateNumberOfMessages": "0",
        "ApproximateNumberOfMessagesDelayed": "0",
        "ApproximateNumberOfMessagesNotVisible": "0",
        "CreatedTimestamp": START_S,
        "DelaySeconds": "0",
        "LastModifiedTimestamp": START_S,
        "MaximumMessageSize": "1048576",
        "MessageRetentionPeriod": "345600",
        "QueueArn": "arn:aws:sqs:us-east-1:000000000000:jobs",
        "ReceiveMessageWaitTimeSeconds": "0",
        "SqsManagedSseEnabled": "true",
        "VisibilityTimeout": "30",
    }


async def test_a_fifo_queue_has_four_attributes_more(fifo: Queue, sqs: Client) -> None:
    standard = await (await sqs.queue("standard")).attributes("All")
    attributes = await fifo.attributes("All")
    assert {name: attributes[name] for name in attributes.keys() - standard.keys()} == {
        "ContentBasedDeduplication": "false",
        "DeduplicationScope": "queue",
        "FifoQueue": "true",
        "FifoThroughputLimit": "perQueue",
    }


async def test_attributes_are_answered_by_name(queue: Queue) -> None:
    attributes = await queue.attributes("DelaySeconds", "QueueArn")
    assert attributes.keys() == {"DelaySeconds", "QueueArn"}


@pytest.mark.parametrize("members", [{}, {"AttributeNames": []}])
async def test_nothing_asked_for_is_answered_by_nothing(
    queue: Queue, members: dict[str, Any]
) -> None:
    assert await queue.call("GetQueueAttributes", **members) == {}


@MEMORY_ONLY
@pytest.mark.parametrize(
    "name",
    ["Policy", "RedrivePolicy", "RedriveAllowPolicy", "KmsMasterKeyId", "FifoQueue"],
)
async def test_what_is_not_set_is_left_out(queue: Queue, name: str) -> None:
    assert await queue.call("GetQueueAttributes", AttributeNames=[name]) == {}


async def test_the_first_unknown_name_is_refused(queue: Queue) -> None:
    refused = await refusal(queue.attributes("DelaySeconds", "Foo", "Bar"))
    assert refused == unknown("Foo")


async def test_an_empty_name_is_unknown(queue: Queue) -> None:
    assert await refusal(queue.attributes("")) == unknown("")


async def test_all_does_not_excuse_an_unknown_name(queue: Queue) -> None:
    assert await refusal(queue.attributes("All", "Foo")) == unknown("Foo")


# --- numbers ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "low", "high"), RANGES)
async def test_both_ends_of_a_range_can_be_set(
    queue: Queue, name: str, low: int, high: int
) -> None:
    for value in (str(low), str(high)):
        assert await queue.set(**{name: value}) == {}
        assert await queue.attributes(name) == {name: value}


@MEMORY_ONLY
@pytest.mark.parametrize(("name", "low", "high"), RANGES)
async def test_what_is_beyond_a_range_is_refused(
    sqs: Client, queue: Queue, name: str, low: int, high: int
) -> None:
    for value in (str(low - 1), str(high + 1)):
        assert await refusal(queue.set(**{name: value})) == invalid(name)
        assert await refusal(sqs.queue("other", **{name: value})) == invalid(name)


@MEMORY_ONLY
@pytest.mark.parametrize("name", [name for name, _, _ in RANGES])
async def test_numbers_are_plain_digits(queue: Queue, name: str) -> None:
    for value in ("", " 100", "100 ", "100.0", "-100", "+100", "abc", "1e2", "٣٠٠"):
        assert await refusal(queue.set(**{name: value})) == invalid(name), value


async def test_json_numbers_are_taken_as_values(queue: Queue) -> None:
    await queue.call("SetQueueAttributes", Attributes={"DelaySeconds": 400})
    assert await queue.attributes("DelaySeconds") == {"DelaySeconds": "400"}


async def test_null_leaves_the_default(sqs: Client) -> None:
    answer = await sqs.but(protocol="json").call(
        "CreateQueue", QueueName="jobs", Attributes={"DelaySeconds": None, "VisibilityTimeout": "5"}
    )
    attributes = await Queue(sqs, answer["QueueUrl"]).attributes()
    assert (attributes["DelaySeconds"], attributes["VisibilityTimeout"]) == ("0", "5")


# --- setting ------------------------------------------------------------------------------------


@MEMORY_ONLY
@pytest.mark.parametrize("name", [*READ_ONLY, "All", "Foobar", "visibilityTimeout", ""])
async def test_only_writable_attributes_can_be_set(sqs: Client, queue: Queue, name: str) -> None:
    assert await refusal(queue.set(**{name: "1"})) == unknown(name)
    assert await refusal(sqs.queue("other", **{name: "1"})) == unknown(name)


async def test_one_bad_attribute_leaves_all_unchanged(queue: Queue) -> None:
    before = await queue.attributes()
    refused = await refusal(queue.set(VisibilityTimeout="1", DelaySeconds="901"))
    assert refused == invalid("DelaySeconds")
    assert await queue.attributes() == before


@pytest.mark.parametrize("members", [{}, {"Attributes": {}}])
async def test_attributes_are_required(queue: Queue, members: dict[str, Any]) -> None:
    refused = await refusal(queue.call("SetQueueAttributes", **members))
    assert refused == (
        "MissingParameter",
        "The request must contain the parameter Attribute.Name.",
    )


async def test_setting_moves_the_modification_time_only(queue: Queue, clock: FakeClock) -> None:
    await clock.advance(7_000)
    await queue.set(DelaySeconds="1")
    attributes = await queue.attributes("CreatedTimestamp", "LastModifiedTimestamp")
    assert attributes == {
        "CreatedTimestamp": START_S,
        "LastModifiedTimestamp": str(START_MS // 1000 + 7),
    }


# --- encryption (3.6) ---------------------------------------------------------------------------

ONE_KIND = (
    "InvalidAttributeName",
    "You can use one type of server-side encryption (SSE) at one time. You can either enable KMS"
    " SSE or SQS SSE.",
)


async def sse(queue: Queue) -> dict[str, str]:
    return await queue.attributes(
        "SqsManagedSseEnabled", "KmsMasterKeyId", "KmsDataKeyReusePeriodSeconds"
    )


async def test_a_kms_key_replaces_managed_encryption(queue: Queue) -> None:
    await queue.set(KmsMasterKeyId="alias/no-such-key")
    assert await sse(queue) == {
        "KmsMasterKeyId": "alias/no-such-key",
        "KmsDataKeyReusePeriodSeconds": "300",
        "SqsManagedSseEnabled": "false",
    }


async def test_clearing_the_kms_key_does_not_bring_managed_encryption_back(queue: Queue) -> None:
    await queue.set(KmsMasterKeyId="key", KmsDataKeyReusePeriodSeconds="600")
    await queue.set(KmsMasterKeyId="", KmsDataKeyReusePeriodSeconds="300")
    assert await sse(queue) == {"SqsManagedSseEnabled": "false"}


async def test_both_kinds_of_encryption_at_once_are_refused(sqs: Client, queue: Queue) -> None:
    both = {"KmsMasterKeyId": "key", "SqsManagedSseEnabled": "true"}
    assert await refusal(queue.set(**both)) == ONE_KIND
    assert await refusal(sqs.queue("other", **both)) == ONE_KIND
    assert await sse(queue) == {"SqsManagedSseEnabled": "true"}


async def test_a_kms_key_may_come_with_managed_encryption_off(sqs: Client) -> None:
    queue = await sqs.queue("other", KmsMasterKeyId="key", SqsManagedSseEnabled="false")
    assert (await sse(queue))["SqsManagedSseEnabled"] == "false"


@pytest.mark.parametrize(("value", "shown"), [("False", "false"), ("TRUE", "true")])
async def test_booleans_are_taken_in_any_case(queue: Queue, value: str, shown: str) -> None:
    await queue.set(SqsManagedSseEnabled=value)
    assert await queue.attributes("SqsManagedSseEnabled") == {"SqsManagedSseEnabled": shown}


@MEMORY_ONLY
@pytest.mark.parametrize("value", ["", "yes", "1", " true"])
async def test_other_words_are_no_booleans(queue: Queue, value: str) -> None:
    refused = await refusal(queue.set(SqsManagedSseEnabled=value))
    assert refused == invalid("SqsManagedSseEnabled")


# --- FIFO attributes (3.3) ----------------------------------------------------------------------


@pytest.mark.parametrize("value", ["true", "false"])
async def test_a_standard_queue_knows_no_fifo_attributes(
    sqs: Client, queue: Queue, value: str
) -> None:
    assert await refusal(queue.set(FifoQueue=value)) == unknown("FifoQueue")
    assert await refusal(queue.set(ContentBasedDeduplication=value)) == unknown(
        "ContentBasedDeduplication"
    )
    refused = await refusal(sqs.queue("other", ContentBasedDeduplication=value))
    assert refused == unknown("ContentBasedDeduplication")


@pytest.mark.parametrize(
    ("name", "value"), [("DeduplicationScope", "queue"), ("FifoThroughputLimit", "perQueue")]
)
async def test_high_throughput_is_for_fifo_queues(sqs: Client, name: str, value: str) -> None:
    assert await refusal(sqs.queue("other", **{name: value})) == (
        "InvalidAttributeName",
        f"You can specify the {name} only when FifoQueue is set to true.",
    )


async def test_a_fifo_queue_stays_one(fifo: Queue) -> None:
    assert await fifo.set(FifoQueue="true") == {}
    assert await refusal(fifo.set(FifoQueue="false")) == (
        "InvalidAttributeValue",
        "Invalid value for the parameter FifoQueue. Reason: Modifying queue type is not supported.",
    )


async def test_content_based_deduplication_can_be_toggled(fifo: Queue) -> None:
    await fifo.set(ContentBasedDeduplication="True")
    assert await fifo.attributes("ContentBasedDeduplication") == {
        "ContentBasedDeduplication": "true"
    }
    await fifo.send("a", MessageGroupId="g")
    await fifo.set(ContentBasedDeduplication="false")
    assert (await refusal(fifo.send("b", MessageGroupId="g")))[0] == "InvalidParameterValue"


@MEMORY_ONLY
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ContentBasedDeduplication", "maybe"),
        ("DeduplicationScope", "group"),
        ("FifoThroughputLimit", "unlimited"),
    ],
)
async def test_fifo_attributes_have_few_values(fifo: Queue, name: str, value: str) -> None:
    assert await refusal(fifo.set(**{name: value})) == invalid(name)


async def test_throughput_per_group_needs_deduplication_per_group(fifo: Queue) -> None:
    assert await refusal(fifo.set(FifoThroughputLimit="perMessageGroupId")) == (
        "InvalidParameterValue",
        "The perMessageGroupId value is allowed only when the value for DeduplicationScope is"
        " messageGroup",
    )
    high = {"DeduplicationScope": "messageGroup", "FifoThroughputLimit": "perMessageGroupId"}
    await fifo.set(**high)
    assert await fifo.attributes(*high) == high


async def test_deduplication_per_group_does_not_need_throughput_per_group(sqs: Client) -> None:
    mixed = {"DeduplicationScope": "messageGroup", "FifoThroughputLimit": "perQueue"}
    assert await (await sqs.queue("a.fifo", **mixed)).attributes(*mixed) == mixed


# --- policy (3.7) -------------------------------------------------------------------------------


async def test_a_policy_is_kept_as_json(queue: Queue) -> None:
    await queue.set(Policy=json.dumps(A_POLICY))
    assert json.loads((await queue.attributes())["Policy"]) == A_POLICY


async def test_a_policy_may_speak_of_anything(queue: Queue) -> None:
    policy = {**A_POLICY, "Statement": {"Effect": "Deny", "Resource": "nonsense", "Action": "*"}}
    await queue.set(Policy=json.dumps(policy))


@MEMORY_ONLY
@pytest.mark.parametrize(
    "policy",
    [
        "no json",
        "[]",
        "{}",
        json.dumps({**A_POLICY, "Version": "2020-01-01"}),
        json.dumps({**A_POLICY, "Statement": []}),
        json.dumps({**A_POLICY, "Other": 1}),
        json.dumps({**A_POLICY, "Statement": [{"Effect": "Perhaps"}]}),
        json.dumps({**A_POLICY, "Statement": [{"Effect": "Allow", "Other": 1}]}),
        json.dumps({**A_POLICY, "Id": "x" * 8_192}),
    ],
)
async def test_what_is_no_policy_is_refused(queue: Queue, policy: str) -> None:
    assert await refusal(queue.set(Policy=policy)) == invalid("Policy")


@pytest.mark.parametrize(
    "name", ["Policy", "RedrivePolicy", "RedriveAllowPolicy", "KmsMasterKeyId"]
)
async def test_an_empty_value_removes(sqs: Client, queue: Queue, name: str) -> None:
    arn = await (await sqs.queue("dead")).arn()
    value = {
        "Policy": json.dumps(A_POLICY),
        "RedrivePolicy": redrive_policy(arn),
        "RedriveAllowPolicy": '{"redrivePermission":"denyAll"}',
        "KmsMasterKeyId": "key",
    }[name]
    assert await queue.set(**{name: ""}) == {}  # also when nothing is set
    await queue.set(**{name: value})
    assert name in await queue.attributes()
    await queue.set(**{name: ""})
    assert name not in await queue.attributes()


@pytest.mark.parametrize("name", ["Policy", "RedrivePolicy", "RedriveAllowPolicy"])
async def test_an_empty_policy_at_creation_is_none(sqs: Client, name: str) -> None:
    assert name not in await (await sqs.queue("other", **{name: ""})).attributes()


# --- counts -------------------------------------------------------------------------------------


async def test_messages_are_counted_by_state(queue: Queue, clock: FakeClock) -> None:
    for _ in range(6):
        await queue.send()
    await queue.send(DelaySeconds=40)
    await queue.receive_one()
    assert await queue.counts() == (5, 1, 1)
    await clock.advance(29_999)
    assert await queue.counts() == (5, 1, 1)
    await clock.advance(1)
    assert await queue.counts() == (6, 0, 1)
    await clock.advance(10_000)
    assert await queue.counts() == (7, 0, 0)


async def test_messages_of_a_locked_group_count_as_visible(fifo: Queue) -> None:
    for group in ("a", "b", "c"):
        await fifo.send_to(group, f"{group}1")
        await fifo.send_to(group, f"{group}2")
    await fifo.receive_one()
    await fifo.receive_one()
    assert await fifo.counts() == (4, 2, 0)


# --- effect on messages that are there (3.8) ----------------------------------------------------


async def test_a_new_delay_leaves_messages_of_a_standard_queue_alone(
    queue: Queue, clock: FakeClock
) -> None:
    await queue.set(DelaySeconds="10")
    await queue.send("first")
    await queue.set(DelaySeconds="0")
    assert await queue.bodies() == []
    await queue.set(DelaySeconds="900")
    await clock.advance(10_000)
    assert await queue.bodies() == ["first"]


async def test_a_new_delay_holds_for_messages_of_a_fifo_queue(
    fifo: Queue, clock: FakeClock
) -> None:
    await fifo.set(DelaySeconds="100")
    await fifo.send_to("g", "first")
    await fifo.set(DelaySeconds="10")
    await clock.advance(9_999)
    assert await fifo.bodies() == []
    await clock.advance(1)
    assert await fifo.bodies() == ["first"]


async def test_a_new_visibility_timeout_is_for_later_receives(
    queue: Queue, clock: FakeClock
) -> None:
    await queue.send()
    await queue.receive_one()
    await queue.set(VisibilityTimeout="1")
    await clock.advance(29_999)
    assert await queue.bodies() == []
    await clock.advance(1)
    assert await queue.bodies() == ["hello"]
    await clock.advance(1_000)
    assert await queue.bodies() == ["hello"]


async def test_a_shorter_retention_expires_messages_that_are_there(
    queue: Queue, clock: FakeClock
) -> None:
    await queue.send()
    await clock.advance(60_000)
    await queue.set(MessageRetentionPeriod="60")
    assert await queue.bodies() == []
    assert await queue.counts() == (0, 0, 0)


async def test_a_smaller_maximum_size_is_for_later_sends(queue: Queue) -> None:
    await queue.send("x" * 2_000)
    await queue.set(MaximumMessageSize="1024")
    assert await queue.bodies() == ["x" * 2_000]
    assert (await refusal(queue.send("x" * 2_000)))[0] == "InvalidParameterValue"
