"""Accounts and regions: separate worlds within one server (SQS reference, 1.1, 1.9, 2)."""

from typing import Any

import pytest

from tests.support.client import Client, Queue, redrive_policy, refusal
from tests.support.server import ENDPOINT, MEMORY_ONLY

ELSEWHERE: list[dict[str, Any]] = [{"account": "111111111111"}, {"region": "eu-west-1"}]
here_or_there = pytest.mark.parametrize("place", ELSEWHERE, ids=["account", "region"])


@here_or_there
async def test_a_name_can_be_used_in_every_world(sqs: Client, place: dict[str, str]) -> None:
    here = await sqs.queue("jobs", DelaySeconds="0")
    there = await sqs.but(**place).queue("jobs", VisibilityTimeout="5")
    assert here.url != there.url
    assert await here.arn() != await there.arn()
    await there.send("there")
    assert await here.bodies() == []
    assert await there.bodies() == ["there"]


@here_or_there
async def test_lists_are_of_one_world(sqs: Client, place: dict[str, str]) -> None:
    here = await sqs.queue("jobs")
    other = sqs.but(**place)
    assert await other.call("ListQueues") == {}
    there = await other.queue("jobs")
    assert await sqs.call("ListQueues") == {"QueueUrls": [here.url]}
    assert await other.call("ListQueues") == {"QueueUrls": [there.url]}


@here_or_there
async def test_names_are_looked_up_in_the_world_of_the_caller(
    sqs: Client, place: dict[str, str]
) -> None:
    await sqs.queue("jobs")
    other = sqs.but(**place)
    assert await refusal(other.call("GetQueueUrl", QueueName="jobs")) == sqs.no_queue
    assert await refusal(Queue(other, "jobs").send()) == sqs.no_queue


@here_or_there
async def test_deleting_a_queue_leaves_that_of_another_world_alone(
    sqs: Client, place: dict[str, str]
) -> None:
    here = await sqs.queue("jobs")
    there = await sqs.but(**place).queue("jobs")
    await there.call("DeleteQueue")
    await here.send()
    assert await refusal(there.send()) == sqs.no_queue


async def test_the_arn_tells_account_region_and_partition(sqs: Client) -> None:
    for region, partition in (
        ("eu-west-1", "aws"),
        ("cn-north-1", "aws-cn"),
        ("us-gov-west-1", "aws-us-gov"),
    ):
        queue = await sqs.but(region=region, account="111111111111").queue("jobs")
        assert await queue.arn() == f"arn:{partition}:sqs:{region}:111111111111:jobs"


async def test_an_access_key_that_is_no_account_is_of_the_default_account(sqs: Client) -> None:
    for key in ("AKIAIOSFODNN7EXAMPLE", "test", "12345678901", "1234567890123"):
        queue = await sqs.but(account=key).queue("jobs")
        assert queue.url == f"{ENDPOINT}/000000000000/jobs"


async def test_the_url_of_another_region_says_so(sqs: Client) -> None:
    queue = await sqs.but(region="eu-west-1").queue("jobs")
    assert queue.url == f"{ENDPOINT}/queue/eu-west-1/000000000000/jobs"
    await Queue(sqs, queue.url).send()
    assert await queue.bodies() == ["hello"]


async def test_messages_are_sent_across_accounts(sqs: Client) -> None:
    theirs = await sqs.but(account="111111111111").queue("jobs")
    ours = Queue(sqs.but(account="222222222222"), theirs.url)
    await ours.send()
    message = await theirs.receive_one(MessageSystemAttributeNames=["SenderId"])
    assert message["Attributes"] == {"SenderId": "222222222222"}
    await ours.delete(message)


@MEMORY_ONLY
@pytest.mark.parametrize(
    ("operation", "members"),
    [
        ("AddPermission", {"Label": "a", "AWSAccountIds": ["111111111111"], "Actions": ["*"]}),
        ("DeleteQueue", {}),
        ("ListQueueTags", {}),
        ("RemovePermission", {"Label": "a"}),
        ("SetQueueAttributes", {"Attributes": {"DelaySeconds": "1"}}),
        ("TagQueue", {"Tags": {"a": "b"}}),
        ("UntagQueue", {"TagKeys": ["a"]}),
    ],
)
async def test_some_operations_are_for_the_owner_alone(
    sqs: Client, operation: str, members: dict[str, Any]
) -> None:
    theirs = await sqs.but(account="111111111111").queue("jobs")
    refused = await refusal(Queue(sqs, theirs.url).call(operation, **members))
    assert refused[0] == "AccessDenied"


@here_or_there
async def test_move_tasks_stay_within_a_world(sqs: Client, place: dict[str, str]) -> None:
    dead = await sqs.queue("dead")
    arn = await dead.arn()
    await sqs.queue("source", RedrivePolicy=redrive_policy(arn))
    other = sqs.but(**place)
    for operation in ("StartMessageMoveTask", "ListMessageMoveTasks"):
        refused = await refusal(other.call(operation, SourceArn=arn))
        assert refused[0] == "ResourceNotFoundException"
