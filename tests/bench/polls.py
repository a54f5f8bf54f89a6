"""A thousand parked long polls: how soon a send wakes one, and what they cost at rest."""

import asyncio
import json
import random
import time
from collections.abc import Generator
from statistics import median, quantiles

from tests.bench.client import (
    TEXT,
    BenchError,
    Connection,
    create_queue,
    raw_request,
    run_on_uvloop,
)
from tests.bench.plan import Plan
from tests.bench.report import Figure, progress
from tests.bench.servers import SQLITE, Server, headrace, running

POLLS = 1_000
QUEUES = 100
_SENDERS = 8
_SENDS_PER_S = 100
_WAIT_S = 20


class Watch:
    """When each message was sent, and how long after that its poll was answered."""

    def __init__(self) -> None:
        self.sent_at: dict[str, float] = {}
        self.latencies_ms: list[float] = []

    async def poll(self, port: int, url: str) -> None:
        """Park, note what arrives, park again."""
        connection = await Connection.open(port)
        raw = raw_request("ReceiveMessage", QueueUrl=url, WaitTimeSeconds=_WAIT_S)
        while True:
            answer = await connection.request(raw)
            now = time.perf_counter()
            for message in json.loads(answer).get("Messages") or []:
                sent_at = self.sent_at.pop(message["Body"])
                self.latencies_ms.append((now - sent_at) * 1000)

    async def send(self, port: int, urls: list[str], until: float) -> None:
        """Send to a random queue at random moments."""
        connection = await Connection.open(port)
        while (now := time.perf_counter()) < until:
            await asyncio.sleep(min(random.expovariate(_SENDS_PER_S / _SENDERS), until - now))
            body = f"{len(self.latencies_ms)}-{random.getrandbits(64)}".ljust(256, TEXT[0])
            raw = raw_request("SendMessage", QueueUrl=random.choice(urls), MessageBody=body)
            self.sent_at[body] = time.perf_counter()
            await connection.request(raw)


async def _measure(server: Server, urls: list[str], plan: Plan) -> tuple[list[float], float]:
    """Latencies in ms, and the share of a core that the server used while all were parked."""
    watch = Watch()
    async with asyncio.TaskGroup() as tasks:
        parked = [
            tasks.create_task(watch.poll(server.port, urls[number % QUEUES]))
            for number in range(POLLS)
        ]
        await asyncio.sleep(2)
        before_s, start = server.cpu_s(), time.perf_counter()
        await asyncio.sleep(plan.idle_seconds)
        idle_cpu = (server.cpu_s() - before_s) / (time.perf_counter() - start)
        until = time.perf_counter() + plan.polls_seconds
        sends = [tasks.create_task(watch.send(server.port, urls, until)) for _ in range(_SENDERS)]
        await asyncio.wait(sends)
        await asyncio.sleep(1)  # for the last ones to arrive
        for task in parked:
            task.cancel()
    if watch.sent_at:
        raise BenchError(f"{len(watch.sent_at)} messages did not wake any poll within a second")
    return watch.latencies_ms, idle_cpu


def polls(plan: Plan) -> Generator[Figure, None, None]:
    """Wake-up latency and idle CPU, on strict SQLite."""
    name = f"{POLLS:,} parked long polls"
    progress(name)
    # What is received stays in flight: nobody deletes it here.
    with running(headrace(SQLITE, plan.directory), plan.directory) as server:
        urls = [
            create_queue(server.port, f"polled-{number}", VisibilityTimeout="43200")
            for number in range(QUEUES)
        ]
        latencies_ms, idle_cpu = run_on_uvloop(_measure(server, urls, plan))
    p99_ms = quantiles(latencies_ms, n=100)[98]
    yield Figure(
        f"{name}, wake-up of a send p99", SQLITE, p99_ms, "ms", at_most=20,
        detail={
            "p50_ms": round(median(latencies_ms), 3),
            "max_ms": round(max(latencies_ms), 3),
            "sends": len(latencies_ms),
        },
    )  # fmt: skip
    yield Figure(
        f"{name}, CPU at rest", SQLITE, idle_cpu * 100, "%", at_most=1,
        detail={"seconds": plan.idle_seconds},
    )  # fmt: skip
