"""ListQueues and its pages (SQS reference, 2.3 and 7.4)."""

import pytest

from tests.support.client import Client, Queue, refusal
from tests.support.server import MEMORY_ONLY

BAD_TOKEN = "Invalid NextToken value."


@pytest.fixture
async def ten(sqs: Client) -> list[str]:
    """The URLs of ten queues in order of name, created in another."""
    queues = {n: await sqs.queue(f"q{n}") for n in (3, 1, 4, 0, 5, 9, 2, 6, 8, 7)}
    return [queues[n].url for n in range(10)]


async def test_without_queues_there_is_no_list(sqs: Client) -> None:
    assert await sqs.call("ListQueues") == {}


async def test_queues_are_listed_by_name(sqs: Client, ten: list[str]) -> None:
    assert await sqs.call("ListQueues") == {"QueueUrls": ten}


async def test_a_prefix_is_case_sensitive(sqs: Client) -> None:
    await sqs.queue("Jobs")
    jobs = await sqs.queue("jobs")
    await sqs.queue("my-jobs")
    assert await sqs.call("ListQueues", QueueNamePrefix="jo") == {"QueueUrls": [jobs.url]}
    assert await sqs.call("ListQueues", QueueNamePrefix="JO") == {}


@pytest.mark.parametrize("prefix", ["q%", "q_", "%", "_", "q*"])
async def test_a_prefix_has_no_wildcards(sqs: Client, ten: list[str], prefix: str) -> None:
    assert await sqs.call("ListQueues", QueueNamePrefix=prefix) == {}


async def test_an_empty_prefix_is_none(sqs: Client, ten: list[str]) -> None:
    assert await sqs.call("ListQueues", QueueNamePrefix="") == {"QueueUrls": ten}


async def test_pages_follow_each_other(sqs: Client, ten: list[str]) -> None:
    first = await sqs.call("ListQueues", MaxResults=4)
    second = await sqs.call("ListQueues", MaxResults=4, NextToken=first["NextToken"])
    third = await sqs.call("ListQueues", MaxResults=4, NextToken=second["NextToken"])
    assert first["QueueUrls"] + second["QueueUrls"] + third["QueueUrls"] == ten
    assert "NextToken" not in third


async def test_a_page_that_ends_with_the_last_queue_has_no_token(
    sqs: Client, ten: list[str]
) -> None:
    assert await sqs.call("ListQueues", MaxResults=10) == {"QueueUrls": ten}


async def test_pages_may_differ_in_size(sqs: Client, ten: list[str]) -> None:
    first = await sqs.call("ListQueues", MaxResults=2)
    rest = await sqs.call("ListQueues", MaxResults=10, NextToken=first["NextToken"])
    assert rest == {"QueueUrls": ten[2:]}


async def test_a_page_begins_after_the_last_even_if_that_is_gone(
    sqs: Client, ten: list[str]
) -> None:
    first = await sqs.call("ListQueues", MaxResults=2)
    await Queue(sqs, ten[1]).call("DeleteQueue")
    rest = await sqs.call("ListQueues", MaxResults=1, NextToken=first["NextToken"])
    assert rest["QueueUrls"] == [ten[2]]


async def test_without_a_page_size_there_are_1000_queues_and_no_token(sqs: Client) -> None:
    for n in range(1_001):
        await sqs.queue(f"q{n:04}")
    answer = await sqs.call("ListQueues")
    assert answer.keys() == {"QueueUrls"}
    assert len(answer["QueueUrls"]) == 1_000


@MEMORY_ONLY
@pytest.mark.parametrize("number", [0, -1, 1_001])
async def test_a_page_has_1_to_1000_queues(sqs: Client, number: int) -> None:
    assert await refusal(sqs.call("ListQueues", MaxResults=number)) == (
        "InvalidParameterValue",
        "Value for parameter MaxResults is invalid. Reason: MaxResults must be an integer between"
        " 1 and 1000.",
    )


async def test_a_token_needs_a_page_size(sqs: Client, ten: list[str]) -> None:
    token = (await sqs.call("ListQueues", MaxResults=1))["NextToken"]
    assert await refusal(sqs.call("ListQueues", NextToken=token)) == (
        "InvalidParameterValue",
        "MaxResults is a mandatory parameter when you provide a value for NextToken.",
    )


async def test_a_token_holds_for_its_prefix_only(sqs: Client, ten: list[str]) -> None:
    token = (await sqs.call("ListQueues", MaxResults=1, QueueNamePrefix="q"))["NextToken"]
    assert await refusal(sqs.call("ListQueues", MaxResults=1, NextToken=token)) == (
        "InvalidParameterValue",
        f"{BAD_TOKEN} If you are passing in NextToken, you must not change the other request"
        " parameters.",
    )


async def test_a_token_of_another_list_is_refused(sqs: Client, ten: list[str]) -> None:
    token = (await sqs.call("ListQueues", MaxResults=1))["NextToken"]
    refused = await refusal(
        Queue(sqs, ten[0]).call("ListDeadLetterSourceQueues", MaxResults=1, NextToken=token)
    )
    assert refused[0] == "InvalidParameterValue"


@MEMORY_ONLY
@pytest.mark.parametrize("token", ["junk", "", "é", "AAAA" * 20])
async def test_a_made_up_token_is_refused(sqs: Client, token: str) -> None:
    refused = await refusal(sqs.call("ListQueues", MaxResults=1, NextToken=token))
    assert refused == ("InvalidParameterValue", BAD_TOKEN)


async def test_a_receipt_handle_is_no_token(sqs: Client, queue: Queue) -> None:
    await queue.send()
    handle = (await queue.receive_one())["ReceiptHandle"]
    refused = await refusal(sqs.call("ListQueues", MaxResults=1, NextToken=handle))
    assert refused == ("InvalidParameterValue", BAD_TOKEN)
