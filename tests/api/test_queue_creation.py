"""CreateQueue, GetQueueUrl and DeleteQueue (SQS reference, 2.1, 2.2, 2.4)."""

import asyncio

import pytest

from storage.contract import Storage
from tests.support.client import Client, Protocol, Queue, refusal
from tests.support.clock import FakeClock
from tests.support.server import ENDPOINT, MEMORY_ONLY, running

EXISTS = "A queue already exists with the same name and a different value for"
BAD_NAME = "Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length"
BAD_FIFO_NAME = (
    "The name of a FIFO queue can only include alphanumeric characters, hyphens, or underscores,"
    " must end with .fifo suffix and be 1 to 80 in length."
)
NO_NAME = "Value for parameter QueueName is invalid. Reason: Must specify a queue name."


async def test_a_queue_is_usable_at_once_under_its_url(sqs: Client) -> None:
    answer = await sqs.call("CreateQueue", QueueName="jobs")
    assert answer == {"QueueUrl": f"{ENDPOINT}/000000000000/jobs"}
    await Queue(sqs, answer["QueueUrl"]).send()


async def test_get_queue_url_answers_the_url_of_creation(sqs: Client) -> None:
    queue = await sqs.queue("jobs")
    assert await sqs.call("GetQueueUrl", QueueName="jobs") == {"QueueUrl": queue.url}


async def test_get_queue_url_finds_the_queue_of_the_account_named(sqs: Client) -> None:
    theirs = await sqs.but(account="111111111111").queue("jobs")
    answer = await sqs.call("GetQueueUrl", QueueName="jobs", QueueOwnerAWSAccountId="111111111111")
    assert answer == {"QueueUrl": theirs.url}


async def test_get_queue_url_of_no_queue_is_refused(sqs: Client) -> None:
    assert await refusal(sqs.call("GetQueueUrl", QueueName="jobs")) == sqs.no_queue


@MEMORY_ONLY
@pytest.mark.parametrize("members", [{}, {"QueueName": ""}])
async def test_get_queue_url_needs_a_name(sqs: Client, members: dict[str, str]) -> None:
    refused = await refusal(sqs.call("GetQueueUrl", **members))
    assert refused == ("InvalidParameterValue", NO_NAME)


# --- names --------------------------------------------------------------------------------------


@MEMORY_ONLY
@pytest.mark.parametrize("name", ["a", "A-z_0", "x" * 80, "x" * 75 + ".fifo"])
async def test_names_up_to_80_characters_are_accepted(sqs: Client, name: str) -> None:
    assert (await sqs.queue(name)).url.endswith(f"/{name}")


@MEMORY_ONLY
@pytest.mark.parametrize(
    "name", ["x" * 81, "a/b", "a.b", "a b", "jöbs", "a$", "jobs.fifo", "jobs.FIFO", ".", "jobs\n"]
)
async def test_other_names_are_refused(sqs: Client, name: str) -> None:
    refused = await refusal(sqs.call("CreateQueue", QueueName=name))
    assert refused == ("InvalidParameterValue", BAD_NAME)


@MEMORY_ONLY
@pytest.mark.parametrize("name", ["jobs", "x" * 76 + ".fifo", "a.b.fifo", ".fifo", "jobs.fifo\n"])
async def test_fifo_queues_must_be_named_so(sqs: Client, name: str) -> None:
    refused = await refusal(
        sqs.call("CreateQueue", QueueName=name, Attributes={"FifoQueue": "true"})
    )
    assert refused == ("InvalidParameterValue", BAD_FIFO_NAME)


async def test_a_queue_must_have_a_name(sqs: Client) -> None:
    assert await refusal(sqs.call("CreateQueue")) == ("InvalidParameterValue", NO_NAME)


async def test_a_name_cannot_be_empty(sqs: Client) -> None:
    refused = await refusal(sqs.call("CreateQueue", QueueName=""))
    assert refused == ("InvalidParameterValue", "Queue name cannot be empty")


async def test_names_are_case_sensitive(sqs: Client) -> None:
    await sqs.queue("jobs")
    assert await refusal(sqs.call("GetQueueUrl", QueueName="Jobs")) == sqs.no_queue


# --- creating again -----------------------------------------------------------------------------


async def test_creating_again_without_attributes_always_succeeds(sqs: Client) -> None:
    queue = await sqs.queue("jobs", VisibilityTimeout="5", DelaySeconds="7")
    assert (await sqs.queue("jobs")).url == queue.url


async def test_a_fifo_queue_is_found_again_without_attributes(sqs: Client) -> None:
    queue = await sqs.queue("jobs.fifo")
    assert await sqs.call("CreateQueue", QueueName="jobs.fifo") == {"QueueUrl": queue.url}


async def test_a_fifo_queue_is_found_again_by_its_attributes(sqs: Client) -> None:
    queue = await sqs.queue("jobs.fifo", ContentBasedDeduplication="true")
    again = await sqs.queue("jobs.fifo", ContentBasedDeduplication="true")
    assert again.url == queue.url
    refused = await refusal(sqs.queue("jobs.fifo", ContentBasedDeduplication="false"))
    assert refused == ("QueueAlreadyExists", f"{EXISTS} attribute ContentBasedDeduplication")


async def test_creating_one_queue_many_times_at_once_makes_one(sqs: Client) -> None:
    queues = await asyncio.gather(*(sqs.queue("jobs", DelaySeconds="1") for _ in range(10)))
    assert len({queue.url for queue in queues}) == 1
    for queue in queues:
        await queue.send(DelaySeconds=0)
    assert len(await queues[0].bodies()) == 10


async def test_only_attributes_given_are_compared(sqs: Client) -> None:
    queue = await sqs.queue("jobs", VisibilityTimeout="5", DelaySeconds="7")
    assert (await sqs.queue("jobs", DelaySeconds="7")).url == queue.url


async def test_an_attribute_given_for_the_first_time_is_compared_with_its_default(
    sqs: Client,
) -> None:
    queue = await sqs.queue("jobs")
    assert (await sqs.queue("jobs", VisibilityTimeout="30")).url == queue.url
    refused = await refusal(sqs.queue("jobs", VisibilityTimeout="31"))
    assert refused == ("QueueAlreadyExists", f"{EXISTS} attribute VisibilityTimeout")


async def test_attributes_are_compared_with_what_they_are_now(sqs: Client) -> None:
    queue = await sqs.queue("jobs", DelaySeconds="1")
    await queue.set(DelaySeconds="2")
    assert (await sqs.queue("jobs", DelaySeconds="2")).url == queue.url
    refused = await refusal(sqs.queue("jobs", DelaySeconds="1"))
    assert refused == ("QueueAlreadyExists", f"{EXISTS} attribute DelaySeconds")


async def test_the_first_attribute_that_differs_is_named(sqs: Client) -> None:
    await sqs.queue("jobs")
    refused = await refusal(
        sqs.queue("jobs", VisibilityTimeout="30", DelaySeconds="1", MaximumMessageSize="1024")
    )
    assert refused == ("QueueAlreadyExists", f"{EXISTS} attribute DelaySeconds")


async def test_values_are_compared_by_meaning(sqs: Client) -> None:
    policy = '{"Version":"2012-10-17","Statement":{"Effect":"Allow","Sid":"a"}}'
    queue = await sqs.queue("jobs", SqsManagedSseEnabled="True", DelaySeconds="7", Policy=policy)
    again = await sqs.queue(
        "jobs",
        SqsManagedSseEnabled="true",
        DelaySeconds="007",
        Policy='{"Statement": {"Sid": "a", "Effect": "Allow"}, "Version": "2012-10-17"}',
    )
    assert again.url == queue.url


async def test_a_redrive_policy_is_compared_by_meaning(sqs: Client) -> None:
    arn = await (await sqs.queue("dead")).arn()
    queue = await sqs.queue(
        "jobs", RedrivePolicy=f'{{"maxReceiveCount":"3","deadLetterTargetArn":"{arn}"}}'
    )
    again = await sqs.queue(
        "jobs", RedrivePolicy=f'{{ "deadLetterTargetArn":"{arn}", "maxReceiveCount":3 }}'
    )
    assert again.url == queue.url


async def test_creating_again_changes_nothing(sqs: Client, clock: FakeClock) -> None:
    queue = await sqs.queue("jobs", DelaySeconds="7")
    before = await queue.attributes()
    await clock.advance(5_000)
    await sqs.queue("jobs", DelaySeconds="7")
    await refusal(sqs.queue("jobs", DelaySeconds="8"))
    assert await queue.attributes() == before


async def test_an_invalid_attribute_is_refused_before_it_is_compared(sqs: Client) -> None:
    await sqs.queue("jobs")
    refused = await refusal(sqs.queue("jobs", DelaySeconds="901"))
    assert refused == ("InvalidAttributeValue", "Invalid value for the parameter DelaySeconds.")


async def test_tags_given_must_be_those_of_the_queue(sqs: Client) -> None:
    created = await sqs.call("CreateQueue", QueueName="jobs", tags={"team": "a"})
    again = await sqs.call("CreateQueue", QueueName="jobs", tags={"team": "a"})
    assert again == created
    refused = await refusal(sqs.call("CreateQueue", QueueName="jobs", tags={"team": "b"}))
    assert refused == ("QueueAlreadyExists", f"{EXISTS} tags")


async def test_a_standard_queue_is_no_fifo_queue(sqs: Client) -> None:
    await sqs.queue("jobs")
    refused = await refusal(sqs.queue("jobs", FifoQueue="false"))
    assert refused == ("InvalidAttributeName", "Unknown Attribute FifoQueue.")


# --- deletion -----------------------------------------------------------------------------------


async def test_a_deleted_queue_is_gone_at_once(queue: Queue) -> None:
    await queue.send()
    assert await queue.call("DeleteQueue") == {}
    for operation, members in (
        ("SendMessage", {"MessageBody": "hello"}),
        ("ReceiveMessage", {}),
        ("DeleteMessage", {"ReceiptHandle": "any"}),
        ("ChangeMessageVisibility", {"ReceiptHandle": "any", "VisibilityTimeout": 0}),
        ("GetQueueAttributes", {"AttributeNames": ["All"]}),
        ("SetQueueAttributes", {"Attributes": {"DelaySeconds": "0"}}),
        ("PurgeQueue", {}),
        ("DeleteQueue", {}),
        ("TagQueue", {"Tags": {"a": "b"}}),
        ("UntagQueue", {"TagKeys": ["a"]}),
        ("ListQueueTags", {}),
        ("AddPermission", {"Label": "a", "AWSAccountIds": ["111111111111"], "Actions": ["*"]}),
        ("RemovePermission", {"Label": "a"}),
        ("ListDeadLetterSourceQueues", {}),
        ("SendMessageBatch", {"Entries": [{"Id": "?"}]}),
        ("DeleteMessageBatch", {"Entries": [{"Id": "?"}]}),
        ("ChangeMessageVisibilityBatch", {"Entries": [{"Id": "?"}]}),
    ):
        assert await refusal(queue.call(operation, **members)) == queue.sqs.no_queue, operation


async def test_a_queue_created_again_starts_empty(sqs: Client) -> None:
    queue = await sqs.queue("jobs", VisibilityTimeout="5")
    await queue.call("TagQueue", Tags={"team": "a"})
    await queue.send()
    await queue.call("DeleteQueue")
    again = await sqs.queue("jobs")
    assert await again.bodies() == []
    assert await again.call("ListQueueTags") == {}
    assert await again.attributes("VisibilityTimeout") == {"VisibilityTimeout": "30"}


async def test_deduplication_does_not_outlive_the_queue(sqs: Client) -> None:
    queue = await sqs.queue("jobs.fifo")
    await queue.send_to("g", "a")
    await queue.call("DeleteQueue")
    again = await sqs.queue("jobs.fifo")
    await again.send_to("g", "a")
    assert await again.bodies() == ["a"]


async def test_a_handle_of_the_deleted_queue_is_none_of_its_successor(sqs: Client) -> None:
    queue = await sqs.queue("jobs")
    await queue.send()
    message = await queue.receive_one()
    await queue.call("DeleteQueue")
    again = await sqs.queue("jobs")
    handle = message["ReceiptHandle"]
    assert await refusal(again.delete(message)) == (
        "ReceiptHandleIsInvalid",
        f'The receipt handle "{handle}" is not valid for this queue.',
    )


async def test_a_name_may_be_blocked_for_a_minute_after_deletion(
    store: Storage, clock: FakeClock, protocol: Protocol
) -> None:
    async with running(store, clock, block_deleted_names=True) as server:
        sqs = server.client(protocol)
        await (await sqs.queue("jobs")).call("DeleteQueue")
        await clock.advance(59_999)
        assert await refusal(sqs.queue("jobs")) == (
            "AWS.SimpleQueueService.QueueDeletedRecently",
            "You must wait 60 seconds after deleting a queue before you can create another with"
            " the same name.",
        )
        await sqs.queue("other")
        await sqs.but(region="eu-west-1").queue("jobs")
        await clock.advance(1)
        await sqs.queue("jobs")
