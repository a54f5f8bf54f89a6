"""Requests per second as a ratio to the empty app: send, cycle and batch."""

from collections.abc import Callable, Generator
from contextlib import ExitStack
from dataclasses import dataclass
from statistics import median

from tests.bench.client import TEXT, BenchError, call, create_queue
from tests.bench.load import (
    Load,
    Sample,
    cycle,
    load_limited,
    outcome,
    rate,
    ratios,
    received_handle,
    repeated,
    run,
)
from tests.bench.plan import Plan
from tests.bench.report import Figure, progress
from tests.bench.servers import MEMORY, SQLITE, STORES, Server, empty, headrace, rivals, running


@dataclass(frozen=True)
class Race:
    """One kind of load, run against the empty app and every broker in turn."""

    name: str
    unit: str
    at_least: dict[str, float]  # store -> aim
    #: Fills the queue as needed; returns the load for the broker and that for the empty app.
    prepare: Callable[[int, str], tuple[Load, Load]]
    messages_per_request: int = 1


def _send(port: int, url: str) -> tuple[Load, Load]:
    load = repeated("SendMessage", QueueUrl=url, MessageBody=TEXT)
    call(port, "SendMessage", QueueUrl=url, MessageBody=TEXT)
    return load, load


def _cycle(port: int, url: str) -> tuple[Load, Load]:
    for _ in range(100):  # so that no receive of the cycle comes too early
        _batch(port, url)
    return cycle(url), cycle(url, spare=received_handle(port, url))


def _batch(port: int, url: str) -> tuple[Load, Load]:
    entries = [{"Id": f"m{number}", "MessageBody": TEXT} for number in range(10)]
    call(port, "SendMessageBatch", QueueUrl=url, Entries=entries)
    load = repeated("SendMessageBatch", QueueUrl=url, Entries=entries)
    # The empty app's requests/s are those of the single send, the larger of two numbers.
    return load, _send(port, url)[0]


RACES = {
    "send": Race(
        "SendMessage 256 B, 32 connections", "x empty app", {MEMORY: 0.50, SQLITE: 0.42}, _send
    ),
    "cycle": Race(
        "send, receive, delete, 32 connections",
        "x empty app",
        {MEMORY: 0.45, SQLITE: 0.38},
        _cycle,
    ),
    "batch": Race(
        "SendMessageBatch 10 x 256 B, messages/s",
        "x empty app's requests/s",
        {MEMORY: 2.5, SQLITE: 2.5},
        _batch,
        messages_per_request=10,
    ),
}

#: Below this share of its core the empty app was held up by something else on the machine.
_EMPTY_CPU_MIN = 0.9


def race(contest: Race, plan: Plan) -> Generator[Figure, None, None]:
    """Run one race, interleaved: empty app, every broker, empty app, every broker, …"""

    def figure(server: Server, value: float | None, **detail: object) -> Figure:
        aim = contest.at_least.get(server.name)
        return Figure(contest.name, server.name, value, contest.unit, at_least=aim, detail=detail)

    brokers = [headrace(store, plan.directory) for store in STORES]
    if plan.rivals_python:
        brokers += rivals(plan.rivals_python)
    loads: list[tuple[Server, Load]] = []
    with ExitStack() as stack:
        baseline = stack.enter_context(running(empty(), plan.directory))
        for server in brokers:
            progress(f"{contest.name}: {server.name}")
            try:
                stack.enter_context(running(server, plan.directory))
                url = create_queue(server.port, "bench")
                load, same_for_empty = contest.prepare(server.port, url)
                run(load, server, 1)
            except BenchError as error:
                yield figure(server, None, error=str(error))
            else:
                loads = loads or [(baseline, same_for_empty)]
                loads.append((server, load))
        samples: dict[str, list[Sample]] = {server.name: [] for server, _ in loads}
        for number in range(plan.rounds):
            progress(f"{contest.name}: round {number + 1} of {plan.rounds}")
            for server, load in loads.copy():
                try:
                    samples[server.name].append(run(load, server, plan.seconds))
                except BenchError as error:
                    if server is baseline:
                        raise
                    loads.remove((server, load))
                    yield figure(server, None, error=str(error))

    empties = samples.pop(baseline.name, [])
    for server, _ in loads[1:]:
        own = samples[server.name]
        each = [ratio * contest.messages_per_request for ratio in ratios(own, empties)]
        yield figure(
            server,
            median(each),
            per_s=round(rate(own) * contest.messages_per_request),
            empty_per_s=round(rate(empties)),
            ratios=[round(ratio, 3) for ratio in each],
            **outcome(own),
            load_limited=load_limited(own + empties),
            disturbed=min(sample.server_cpu for sample in empties) < _EMPTY_CPU_MIN,
        )
