"""QueueUrls: those the server gives out, and all it understands (SQS reference, 1.8, 1.9)."""

import pytest

from storage.contract import Storage
from tests.support.client import Client, Protocol, Queue, refusal
from tests.support.clock import FakeClock
from tests.support.server import MEMORY_ONLY, running

pytestmark = MEMORY_ONLY


@pytest.mark.parametrize(
    "url",
    [
        "http://localhost:4566/000000000000/jobs",
        "http://localhost:4566/000000000000/jobs/",
        "http://sqs:9324/000000000000/jobs",
        "https://example.com/000000000000/jobs",
        "http://[::1]:4566/000000000000/jobs",
        "http://sqs:9324/queue/jobs",
        "http://localhost.localstack.cloud:4566/queue/us-east-1/000000000000/jobs",
        "http://sqs.us-east-1.localhost.localstack.cloud:4566/000000000000/jobs",
        "http://us-east-1.queue.localhost.localstack.cloud:4566/000000000000/jobs",
        "https://sqs.us-east-1.amazonaws.com/000000000000/jobs",
        "https://queue.amazonaws.com/000000000000/jobs",
        "https://us-east-1.queue.amazonaws.com/000000000000/jobs",
        "/000000000000/jobs",
        "/queue/jobs",
        "jobs",
    ],
)
async def test_every_shape_that_clients_hold_is_understood(
    sqs: Client, queue: Queue, url: str
) -> None:
    same = Queue(sqs, url)
    await same.send()
    assert await queue.bodies() == ["hello"]


@pytest.mark.parametrize(
    "url",
    [
        "http://whatever-incorrect-queue-address",
        "http://localhost:4566/000000000000/none",
        "http://localhost:4566/111111111111/jobs",
        "http://localhost:4566/000000000000/Jobs",
        "http://localhost:4566/jobs",
        "http://localhost:4566/00000000000/jobs",
        "http://localhost:4566/queue/eu-west-1/000000000000/jobs",
        "https://sqs.eu-west-1.amazonaws.com/000000000000/jobs",
        "http://localhost:4566/",
        "ftp://localhost/000000000000/jobs",
        "none",
        "jöbs",
        "",
        " ",
        "arn:aws:sqs:us-east-1:000000000000:jobs",
    ],
)
async def test_other_urls_name_no_queue(sqs: Client, queue: Queue, url: str) -> None:
    assert await refusal(Queue(sqs, url).send()) == sqs.no_queue


@pytest.mark.parametrize(
    "url",
    [
        "https://sqs.eu-west-1.amazonaws.com/000000000000/jobs",
        "https://eu-west-1.queue.amazonaws.com/000000000000/jobs",
        "http://sqs.eu-west-1.localhost.localstack.cloud:4566/000000000000/jobs",
        "http://localhost:4566/queue/eu-west-1/000000000000/jobs",
    ],
)
async def test_a_region_in_the_url_wins_over_that_of_the_call(
    sqs: Client, queue: Queue, url: str
) -> None:
    there = await sqs.but(region="eu-west-1").queue("jobs")
    await Queue(sqs, url).send()
    assert await queue.bodies() == []
    assert await there.bodies() == ["hello"]


async def test_a_url_without_region_is_of_the_callers_region(sqs: Client, queue: Queue) -> None:
    there = await sqs.but(region="eu-west-1").queue("jobs")
    await Queue(sqs.but(region="eu-west-1"), queue.url).send()
    assert await there.bodies() == ["hello"]


@pytest.mark.parametrize("host", ["sqs.local:9324", "[::1]:4566", "example.com"])
async def test_urls_begin_with_what_the_client_called(sqs: Client, host: str) -> None:
    caller = sqs.but(headers={"Host": host})
    url = f"http://{host}/000000000000/jobs"
    assert await caller.call("CreateQueue", QueueName="jobs") == {"QueueUrl": url}
    assert await caller.call("GetQueueUrl", QueueName="jobs") == {"QueueUrl": url}
    assert await caller.call("ListQueues") == {"QueueUrls": [url]}


@pytest.mark.parametrize("host", ["<script>", "a b", "a/b", "a@b", "a?b"])
async def test_a_host_that_is_none_is_not_repeated(sqs: Client, host: str) -> None:
    queue = await sqs.but(headers={"Host": host}).queue("jobs")
    assert queue.url == "http://localhost/000000000000/jobs"


async def test_urls_may_begin_with_a_public_address(
    store: Storage, clock: FakeClock, protocol: Protocol
) -> None:
    async with running(store, clock, public_url="https://sqs.example.com") as server:
        queue = await server.client(protocol).queue("jobs")
        assert queue.url == "https://sqs.example.com/000000000000/jobs"
        await queue.send()
