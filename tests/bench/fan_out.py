"""What a copy of a publish costs, by the number of subscribed queues."""

import shutil
import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import median

from tests.bench.client import TEXT, call, create_queue, drive
from tests.bench.load import repeated, run
from tests.bench.plan import Plan
from tests.bench.report import Figure, progress
from tests.bench.servers import SQLITE, Server, headrace, running
from tests.bench.topics import (
    check_arrived,
    create_queues,
    create_topic,
    publish_request,
    subscribe_queues,
)

#: Of one crowd in one round: keeps the database of a round well below a gigabyte.
_COPIES_MAX = 150_000


@dataclass(frozen=True)
class Crowd:
    """A number of subscribers, and how they get their copies."""

    subscribers: int
    raw: bool = False
    at_most: float | None = None

    @property
    def name(self) -> str:
        raw = ", raw" if self.raw else ""
        queues = "queue" if self.subscribers == 1 else "queues"
        return f"publish 256 B to {self.subscribers:,} {queues}{raw}, cost of a copy"


CROWDS = (Crowd(1), Crowd(10), Crowd(100, at_most=0.25), Crowd(1_000), Crowd(100, raw=True))
_GROWING = [crowd for crowd in CROWDS if not crowd.raw]


@dataclass(frozen=True)
class _Sample:
    """How a crowd was published to in one round."""

    publishes_per_s: float
    send_per_s: float  # SendMessage, in the same round
    load_cpu: float  # share of its core that the load used
    server_cpu: float  # share of its core that the server used
    subscribers: int

    @property
    def copy_cost(self) -> float:
        """The time of a copy over that of a SendMessage."""
        return self.send_per_s / (self.publishes_per_s * self.subscribers)

    @property
    def server_us_a_copy(self) -> float:
        """Microseconds of CPU: what does not depend on the disk."""
        return self.server_cpu * 1e6 / (self.publishes_per_s * self.subscribers)


def fan_out(plan: Plan) -> Generator[Figure, None, None]:
    """Publishes to every crowd, and sends, in turn; each round with a new store."""
    samples: dict[Crowd, list[_Sample]] = {crowd: [] for crowd in CROWDS}
    sizes_mib = []
    for number in range(plan.rounds):
        progress(f"fan-out: round {number + 1} of {plan.rounds}")
        directory = plan.directory / str(number)
        directory.mkdir()
        with running(headrace(SQLITE, directory), directory) as server:
            for crowd, sample in _round(server, plan):
                samples[crowd].append(sample)
            sizes_mib.append(_size_mib(directory))
        shutil.rmtree(directory)
    for crowd, own in samples.items():
        costs = [sample.copy_cost for sample in own]
        per_s = median(sample.publishes_per_s for sample in own)
        yield Figure(
            crowd.name, SQLITE, median(costs), "x SendMessage", at_most=crowd.at_most,
            detail={
                "publishes_per_s": round(per_s, 1),
                "copies_per_s": round(per_s * crowd.subscribers),
                "send_per_s": round(median(sample.send_per_s for sample in own)),
                "ratios": [round(cost, 3) for cost in costs],
                "server_us_a_copy": round(median(sample.server_us_a_copy for sample in own), 1),
                "load_cpu": round(max(sample.load_cpu for sample in own), 2),
                "server_cpu": round(median(sample.server_cpu for sample in own), 2),
                "load_limited": max(sample.load_cpu for sample in own) > 0.95,
                "database_mib": round(max(sizes_mib)),
            },
        )  # fmt: skip
    steps = [
        median(
            more.copy_cost / fewer.copy_cost
            for fewer, more in zip(samples[small], samples[large], strict=True)
        )
        for small, large in pairwise(_GROWING)
    ]
    yield Figure(
        "cost of a copy against that at a tenth of the fan-out, at worst", SQLITE, max(steps), "x",
        at_most=1, detail={"ratios": [round(step, 3) for step in steps]},
    )  # fmt: skip


def _round(server: Server, plan: Plan) -> Iterator[tuple[Crowd, _Sample]]:
    """One sample of each crowd; they share their queues, so the first gets everything."""
    port = server.port
    queues = create_queues(port, max(crowd.subscribers for crowd in CROWDS))
    topics = {}
    for crowd in CROWDS:
        topic = create_topic(port, f"to-{crowd.subscribers}{'-raw' if crowd.raw else ''}")
        attributes = {"RawMessageDelivery": "true"} if crowd.raw else {}
        subscribe_queues(port, topic, [(arn, attributes) for arn in queues[: crowd.subscribers]])
        drive(port, [publish_request(topic)])  # what is made once is made now
        topics[crowd] = topic
    url = create_queue(port, "sent-to")
    call(port, "SendMessage", QueueUrl=url, MessageBody=TEXT)
    send = run(repeated("SendMessage", QueueUrl=url, MessageBody=TEXT), server, plan.cycle_seconds)
    arrived = len(CROWDS)
    for crowd, topic in topics.items():
        publishes = _Publishes(topic, plan.cycle_seconds, _COPIES_MAX // crowd.subscribers)
        load_before_s, server_before_s = time.process_time(), server.cpu_s()
        start = time.perf_counter()
        drive(port, publishes)
        seconds = time.perf_counter() - start
        load_s, server_s = time.process_time() - load_before_s, server.cpu_s() - server_before_s
        server.settle()
        arrived += publishes.count
        check_arrived(port, queues[0], arrived)
        yield (
            crowd,
            _Sample(
                publishes_per_s=publishes.count / seconds,
                send_per_s=send.per_s,
                load_cpu=load_s / seconds,
                server_cpu=server_s / seconds,
                subscribers=crowd.subscribers,
            ),
        )


class _Publishes:
    """The same publish again and again, for so many seconds or so many times.

    wrk stops the clock with publishes under way, which are many of those to 1,000 queues; here
    it is stopped when the last one is answered.
    """

    def __init__(self, topic: str, seconds: float, at_most: int) -> None:
        self.count = 0
        self._request = publish_request(topic)
        self._seconds = seconds
        self._at_most = at_most

    def __iter__(self) -> Iterator[bytes]:
        until = time.perf_counter() + self._seconds
        while self.count < self._at_most and time.perf_counter() < until:
            self.count += 1
            yield self._request


def _size_mib(directory: Path) -> float:
    return sum(path.stat().st_size for path in directory.iterdir()) / 2**20
