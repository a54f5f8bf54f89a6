"""Figures for Prometheus."""

import asyncio
import re

import pytest

from broker.statistics import NAMED_MAX, Histogram
from storage.contract import Storage
from tests.support.client import Client, Queue, redrive_policy
from tests.support.clock import FakeClock
from tests.support.server import MEMORY_ONLY, Server, running
from tests.support.sns import SnsClient
from tests.support.until import until

_LINE = re.compile(r'([a-z_]+)(?:\{((?:[a-z]+="(?:[^"\\\n]|\\.)*",?)*)\})? (\S+)')


@pytest.fixture
def protocol() -> str:
    """The protocol of the SQS client."""
    return "json"


async def scrape(server: Server) -> dict[str, float]:
    """All samples, by name and labels; the format is checked on the way."""
    response = await server.http.get("/metrics")
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    samples: dict[str, float] = {}
    kinds: dict[str, str] = {}
    assert response.text.endswith("\n")
    for line in response.text.splitlines():
        if line.startswith("# "):
            _, what, name, rest = line.split(" ", 3)
            if what == "TYPE":
                assert name not in kinds, "a family stands in one piece"
                kinds[name] = rest
            continue
        match = _LINE.fullmatch(line)
        assert match is not None, line
        assert re.sub("_(bucket|sum|count)$", "", match[1]) in kinds or match[1] in kinds
        key = line.rpartition(" ")[0]
        assert key not in samples, "a series stands once"
        samples[key] = float(match[3])
    return samples


def of_queue(samples: dict[str, float], name: str = "jobs") -> dict[str, float]:
    """The figures of one queue, by what they are of."""
    account = "" if name == "_other" else "000000000000"
    region = "" if name == "_other" else "us-east-1"
    labels = f'account="{account}",region="{region}",queue="{name}"'
    return {
        key.replace("{" + labels, "{").removesuffix("{}").removeprefix("headrace_queue_"): value
        for key, value in samples.items()
        if labels in key
    }


async def test_a_queue_is_told_with_all_its_figures(
    server: Server, sqs: Client, clock: FakeClock
) -> None:
    dead = await sqs.queue("dead")
    queue = await sqs.queue("jobs", RedrivePolicy=redrive_policy(await dead.arn()))
    await queue.receive()
    await queue.send("dead-lettered")
    await queue.receive(VisibilityTimeout=0)
    await queue.receive()
    await queue.send_each("a", "b", "c", "d")
    await queue.send("delayed", DelaySeconds=60)
    await clock.advance(1_500)
    await queue.delete(await queue.receive_one())
    await queue.receive_one()
    assert of_queue(await scrape(server)) == {
        'messages{,state="visible"}': 2,
        'messages{,state="in_flight"}': 1,
        'messages{,state="delayed"}': 1,
        "oldest_message_age_seconds": 1.5,
        "sent_total": 6,
        "received_total": 3,
        "deleted_total": 1,
        "dead_lettered_total": 1,
        "empty_receives_total": 2,
    }


async def test_after_a_restart_queues_are_told_although_nobody_has_called_them(
    store: Storage, clock: FakeClock
) -> None:
    async with running(store, clock) as server:
        await (await server.client("json").queue("jobs")).send()
    async with running(store, clock) as server:
        figures = of_queue(await scrape(server))
        assert figures['messages{,state="visible"}'] == 1
        assert figures["sent_total"] == 0


async def test_a_receive_that_waits_in_vain_is_an_empty_one(
    server: Server, queue: Queue, clock: FakeClock
) -> None:
    parked = await server.park(queue.receive(WaitTimeSeconds=1))
    assert (await scrape(server))["headrace_parked_receives"] == 1
    await clock.advance(1_000)
    assert await parked == []
    samples = await scrape(server)
    assert samples["headrace_parked_receives"] == 0
    assert of_queue(samples)["empty_receives_total"] == 1


async def test_a_duplicate_is_not_counted_as_sent(server: Server, fifo: Queue) -> None:
    for _ in range(2):
        await fifo.send("a", MessageGroupId="g", MessageDeduplicationId="d")
    assert of_queue(await scrape(server), "jobs.fifo")["sent_total"] == 1


async def test_a_queue_that_is_deleted_is_gone_and_another_of_its_name_begins_anew(
    server: Server, sqs: Client, queue: Queue
) -> None:
    await queue.send()
    await queue.call("DeleteQueue")
    assert of_queue(await scrape(server)) == {}
    await sqs.queue("jobs")
    assert of_queue(await scrape(server))["sent_total"] == 0


async def test_a_topic_is_told_with_what_came_of_its_messages(
    server: Server, sns: SnsClient, queue: Queue, clock: FakeClock
) -> None:
    topic = await sns.topic("news")
    for protocol, endpoint in (
        ("sqs", await queue.arn()),
        ("sqs", "arn:aws:sqs:us-east-1:000000000000:nowhere"),
        ("sms", "+4915112345678"),
    ):
        await sns.call("Subscribe", TopicArn=topic, Protocol=protocol, Endpoint=endpoint)
    await sns.call("Publish", TopicArn=topic, Message="hello")
    samples = await scrape(server)
    labels = 'account="000000000000",region="us-east-1",topic="news"'
    assert {key: value for key, value in samples.items() if labels in key} == {
        f"headrace_topic_published_total{{{labels}}}": 1,
        f'headrace_topic_delivered_total{{{labels},protocol="sqs"}}': 1,
        f'headrace_topic_delivered_total{{{labels},protocol="sms"}}': 1,
        f'headrace_topic_failed_total{{{labels},protocol="sqs"}}': 1,
    }
    assert of_queue(samples)["sent_total"] == 1


async def test_commits_and_their_flushes_are_measured(
    server: Server, queue: Queue, store: Storage
) -> None:
    await queue.send()
    samples = await scrape(server)
    commits = samples["headrace_store_commit_seconds_count"]
    assert commits == samples["headrace_store_fsync_seconds_count"]
    assert (commits > 0) is store.durable
    whole, flush = (samples[f"headrace_store_{each}_seconds_sum"] for each in ("commit", "fsync"))
    assert 0 < flush <= whole if store.durable else flush == whole == 0


@MEMORY_ONLY
async def test_the_process_is_told(server: Server) -> None:
    samples = await scrape(server)
    assert samples["process_cpu_seconds_total"] > 0
    assert samples["process_resident_memory_bytes"] > 1_000_000
    assert samples["process_open_fds"] > 2


@MEMORY_ONLY
async def test_queues_and_topics_beyond_the_first_thousand_are_summed(
    server: Server, sqs: Client, sns: SnsClient
) -> None:
    for number in range(NAMED_MAX + 2):
        queue = await sqs.queue(f"queue-{number}")
        topic = await sns.topic(f"topic-{number}")
        await queue.send()
        await sns.call("Publish", TopicArn=topic, Message="hello")
    samples = await scrape(server)
    assert of_queue(samples, "queue-999")["sent_total"] == 1
    assert of_queue(samples, "queue-1000") == {}
    others = of_queue(samples, "_other")
    assert others["sent_total"] == others['messages{,state="visible"}'] == 2
    published = [key for key in samples if key.startswith("headrace_topic_published_total")]
    assert len(published) == NAMED_MAX + 1
    labels = 'account="",region="",topic="_other"'
    assert samples[f"headrace_topic_published_total{{{labels}}}"] == 2
    await queue.call("DeleteQueue")
    assert of_queue(await scrape(server), "_other")["sent_total"] == 2


def test_a_histogram_counts_by_inclusive_upper_bounds() -> None:
    histogram = Histogram((0.1, 0.2))
    for seconds in (0.05, 0.1, 0.15, 0.3):
        histogram.add(seconds)
    assert histogram.counts == [2, 1, 1]
    assert histogram.total == pytest.approx(0.6)


@MEMORY_ONLY
async def test_the_buckets_of_a_histogram_add_up(server: Server) -> None:
    server.broker.observer.statistics.committed(0.003, 0.0004)
    server.broker.observer.statistics.committed(7.0, 0.0004)
    samples = await scrape(server)
    name = "headrace_store_commit_seconds"
    assert samples[f'{name}_bucket{{le="0.0025"}}'] == 0
    assert samples[f'{name}_bucket{{le="0.005"}}'] == 1
    assert samples[f'{name}_bucket{{le="1.0"}}'] == 1
    assert samples[f'{name}_bucket{{le="+Inf"}}'] == samples[f"{name}_count"] == 2
    assert samples[f"{name}_sum"] == pytest.approx(7.003)


@MEMORY_ONLY
async def test_how_late_the_event_loop_is_is_measured_while_somebody_reads_it(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.admin.metrics._LAG_PERIOD_S", 0)
    monkeypatch.setattr("api.admin.metrics._WATCHED_S", -1)
    name = "headrace_event_loop_lag_seconds_count"
    lag = server.broker.observer.statistics.loop_lag
    assert (await scrape(server))[name] == 0
    await until(lambda: sum(lag.counts) == 1)
    for _ in range(20):  # if it went on, it would be measured in each turn
        await asyncio.sleep(0)
    assert (await scrape(server))[name] == 1
    await until(lambda: sum(lag.counts) == 2)
