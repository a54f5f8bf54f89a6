"""RedrivePolicy, RedriveAllowPolicy, ListDeadLetterSourceQueues (SQS reference, 3.4, 3.5, 2.20)."""

import json
from typing import Any

import pytest

from tests.support.client import Client, Queue, redrive_policy, refusal
from tests.support.server import MEMORY_ONLY

NOT_A_MAP = (
    "InvalidAttributeValue",
    "Invalid value for the parameter RedrivePolicy."
    " Reason: Redrive policy is not a valid JSON map.",
)
ARN = "arn:aws:sqs:us-east-1:000000000000:dead"
UNSUPPORTED = (
    "InvalidAttributeValue",
    "Invalid value for the parameter RedriveAllowPolicy. Reason: Amazon SQS can't create the"
    " redrive allow policy, as it\u2019s in an unsupported format.",
)


def refused_policy(policy: str, reason: str) -> tuple[str, str]:
    return (
        "InvalidParameterValue",
        f"Value {policy} for parameter RedrivePolicy is invalid. Reason: {reason}",
    )


@pytest.fixture
async def dead(sqs: Client) -> Queue:
    """A standard queue that may be named as a dead-letter queue."""
    return await sqs.queue("dead")


# --- RedrivePolicy ------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 1_000, "42"])
async def test_a_count_is_returned_as_a_number(queue: Queue, dead: Queue, count: int | str) -> None:
    await queue.set(RedrivePolicy=redrive_policy(await dead.arn(), count))
    policy = json.loads((await queue.attributes())["RedrivePolicy"])
    assert policy == {"deadLetterTargetArn": ARN, "maxReceiveCount": int(count)}


@MEMORY_ONLY
@pytest.mark.parametrize("policy", ["no json", "[]", '"text"', "3", "null", "{"])
async def test_a_policy_is_a_json_object(queue: Queue, policy: str) -> None:
    assert await refusal(queue.set(RedrivePolicy=policy)) == NOT_A_MAP


@MEMORY_ONLY
@pytest.mark.parametrize(
    ("policy", "missing"),
    [
        ("{}", "maxReceiveCount"),
        (f'{{"deadLetterTargetArn":"{ARN}"}}', "maxReceiveCount"),
        ('{"maxReceiveCount":1}', "deadLetterTargetArn"),
    ],
)
async def test_both_members_are_mandatory(
    queue: Queue, dead: Queue, policy: str, missing: str
) -> None:
    reason = f"Redrive policy does not contain mandatory attribute: {missing}."
    assert await refusal(queue.set(RedrivePolicy=policy)) == refused_policy(policy, reason)


@MEMORY_ONLY
@pytest.mark.parametrize("count", [0, 1_001, -1, "0", "x", "", "1.5"])
async def test_a_count_is_from_1_to_1000(queue: Queue, dead: Queue, count: int | str) -> None:
    policy = redrive_policy(ARN, count)
    assert await refusal(queue.set(RedrivePolicy=policy)) == refused_policy(
        policy,
        f"Invalid value for maxReceiveCount: {count}, valid values are from 1 to 1000 both"
        " inclusive.",
    )


@MEMORY_ONLY
@pytest.mark.parametrize("count", [1.5, True, None, [1]])
async def test_a_count_is_an_integer(queue: Queue, dead: Queue, count: Any) -> None:
    refused = await refusal(queue.set(RedrivePolicy=redrive_policy(ARN, count)))
    assert refused[0] == "InvalidParameterValue"


async def test_other_members_are_refused(queue: Queue, dead: Queue) -> None:
    policy = f'{{"deadLetterTargetArn":"{ARN}","maxReceiveCount":1,"more":1}}'
    assert await refusal(queue.set(RedrivePolicy=policy)) == refused_policy(
        policy, "Only following attributes are supported: [deadLetterTargetArn, maxReceiveCount]."
    )


@MEMORY_ONLY
@pytest.mark.parametrize(
    ("arn", "reason"),
    [
        ("junk", "Dead-letter target ARN should be fully qualified ARN."),
        ("", "Dead-letter target ARN should be fully qualified ARN."),
        (
            "arn:aws:sns:us-east-1:000000000000:dead",
            "Only SQS queues are valid resources for deadLetterTargetArn.",
        ),
        (
            "arn:aws:sqs:eu-west-1:000000000000:dead",
            "Dead-letter target must be in same region as the source.",
        ),
        (
            "arn:aws:sqs:us-east-1:111111111111:dead",
            "Dead-letter target owner should be same as the source.",
        ),
        ("arn:aws:sqs:us-east-1:000000000000:none", "Dead letter target does not exist."),
    ],
)
async def test_the_target_is_an_existing_queue_nearby(
    sqs: Client, queue: Queue, dead: Queue, arn: str, reason: str
) -> None:
    policy = redrive_policy(arn)
    refused = refused_policy(policy, reason)
    assert await refusal(queue.set(RedrivePolicy=policy)) == refused
    assert await refusal(sqs.queue("other", RedrivePolicy=policy)) == refused
    assert "RedrivePolicy" not in await queue.attributes()


async def test_the_target_is_of_the_same_type(queue: Queue, fifo: Queue) -> None:
    reason = "Dead-letter queue must be same type of queue as the source."
    for source, target in ((queue, fifo), (fifo, queue)):
        policy = redrive_policy(await target.arn())
        refused = await refusal(source.set(RedrivePolicy=policy))
        assert refused == refused_policy(policy, reason)


async def test_a_queue_may_name_itself(queue: Queue) -> None:
    await queue.set(RedrivePolicy=redrive_policy(await queue.arn(), 3))


async def test_dead_letter_queues_may_chain(sqs: Client, queue: Queue, dead: Queue) -> None:
    last = await sqs.queue("last")
    await dead.set(RedrivePolicy=redrive_policy(await last.arn()))
    await queue.set(RedrivePolicy=redrive_policy(await dead.arn()))


async def test_a_policy_outlives_its_target(queue: Queue, dead: Queue) -> None:
    await queue.set(RedrivePolicy=redrive_policy(ARN))
    await dead.call("DeleteQueue")
    assert ARN in (await queue.attributes())["RedrivePolicy"]
    await queue.set(DelaySeconds="1")


# --- RedriveAllowPolicy -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "policy",
    [
        {"redrivePermission": "allowAll"},
        {"redrivePermission": "denyAll"},
        {"redrivePermission": "byQueue", "sourceQueueArns": [ARN]},
        {"redrivePermission": "byQueue", "sourceQueueArns": [f"{ARN}{n}" for n in range(10)]},
    ],
)
async def test_an_allow_policy_is_kept(queue: Queue, policy: dict[str, Any]) -> None:
    await queue.set(RedriveAllowPolicy=json.dumps(policy))
    assert json.loads((await queue.attributes())["RedriveAllowPolicy"]) == policy


@MEMORY_ONLY
@pytest.mark.parametrize(
    "policy",
    [
        "no json",
        "[]",
        "{}",
        '{"redrivePermission":"none"}',
        '{"redrivePermission":["allowAll"]}',
        '{"redrivePermission":{}}',
        '{"redrivePermission":"allowAll","more":1}',
        '{"redrivePermission":"byQueue","sourceQueueArns":"arn"}',
        '{"redrivePermission":"byQueue","sourceQueueArns":[1]}',
    ],
)
async def test_another_format_is_refused(queue: Queue, policy: str) -> None:
    assert await refusal(queue.set(RedriveAllowPolicy=policy)) == UNSUPPORTED


@MEMORY_ONLY
@pytest.mark.parametrize(
    ("policy", "reason"),
    [
        (
            {"redrivePermission": "byQueue"},
            "When you specify the byQueue permission type, you must also specify one or more"
            " sourceQueueArns values.",
        ),
        (
            {"redrivePermission": "byQueue", "sourceQueueArns": []},
            "When you specify the byQueue permission type, you must also specify one or more"
            " sourceQueueArns values.",
        ),
        (
            {"redrivePermission": "denyAll", "sourceQueueArns": [ARN]},
            "To specify one or more source queue ARNs, you must set redrivePermission to byQueue.",
        ),
        (
            {"redrivePermission": "byQueue", "sourceQueueArns": [f"{ARN}{n}" for n in range(11)]},
            "The maximum number of source queue ARNs you can specify is 10.",
        ),
    ],
)
async def test_source_arns_go_with_by_queue(
    queue: Queue, policy: dict[str, Any], reason: str
) -> None:
    value = json.dumps(policy)
    assert await refusal(queue.set(RedriveAllowPolicy=value)) == (
        "InvalidParameterValue",
        f"Value {value} for parameter RedriveAllowPolicy is invalid. Reason: Amazon SQS can't"
        f" create the redrive allow policy. {reason}",
    )


async def test_deny_all_refuses_every_source(queue: Queue, dead: Queue) -> None:
    await dead.set(RedriveAllowPolicy='{"redrivePermission":"denyAll"}')
    refused = await refusal(queue.set(RedrivePolicy=redrive_policy(ARN)))
    assert refused[0] == "InvalidParameterValue"
    await dead.set(RedriveAllowPolicy='{"redrivePermission":"allowAll"}')
    await queue.set(RedrivePolicy=redrive_policy(ARN))


async def test_by_queue_allows_the_sources_it_names(sqs: Client, queue: Queue, dead: Queue) -> None:
    policy = {"redrivePermission": "byQueue", "sourceQueueArns": [await queue.arn()]}
    await dead.set(RedriveAllowPolicy=json.dumps(policy))
    await queue.set(RedrivePolicy=redrive_policy(ARN))
    refused = await refusal(sqs.queue("other", RedrivePolicy=redrive_policy(ARN)))
    assert refused[0] == "InvalidParameterValue"


async def test_an_allow_policy_does_not_touch_policies_that_are_there(
    queue: Queue, dead: Queue
) -> None:
    await queue.set(RedrivePolicy=redrive_policy(ARN))
    await dead.set(RedriveAllowPolicy='{"redrivePermission":"denyAll"}')
    assert "RedrivePolicy" in await queue.attributes()
    await queue.set(DelaySeconds="0")


# --- ListDeadLetterSourceQueues -----------------------------------------------------------------


async def test_sources_are_the_queues_that_name_this_one(
    sqs: Client, queue: Queue, dead: Queue
) -> None:
    policy = redrive_policy(ARN)
    other = await sqs.queue("a", RedrivePolicy=policy)
    await sqs.queue("b")
    await queue.set(RedrivePolicy=policy)
    answer = await dead.call("ListDeadLetterSourceQueues")
    assert answer == {"queueUrls": [other.url, queue.url]}
    await queue.set(RedrivePolicy="")
    assert await dead.call("ListDeadLetterSourceQueues") == {"queueUrls": [other.url]}


async def test_without_sources_the_list_is_empty_but_there(queue: Queue) -> None:
    assert await queue.call("ListDeadLetterSourceQueues") == {"queueUrls": []}


async def test_sources_come_in_pages(sqs: Client, dead: Queue) -> None:
    urls = [(await sqs.queue(f"q{n}", RedrivePolicy=redrive_policy(ARN))).url for n in range(3)]
    first = await dead.call("ListDeadLetterSourceQueues", MaxResults=2)
    assert first["queueUrls"] == urls[:2]
    rest = await dead.call("ListDeadLetterSourceQueues", MaxResults=2, NextToken=first["NextToken"])
    assert rest == {"queueUrls": urls[2:]}


@MEMORY_ONLY
@pytest.mark.parametrize("number", [0, 1_001])
async def test_pages_of_sources_have_1_to_1000(queue: Queue, number: int) -> None:
    assert await refusal(queue.call("ListDeadLetterSourceQueues", MaxResults=number)) == (
        "InvalidParameterValue",
        "Value for parameter MaxResults is invalid. Reason: MaxResults must be an integer between"
        " 1 and 1000.",
    )
