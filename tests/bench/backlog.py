"""What a million waiting messages cost: per cycle, in memory, and at a restart."""

import signal
import time
from collections.abc import Callable, Generator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from statistics import median
from typing import Any

from tests.bench.client import BenchError, call, create_queue, drive, message_batches
from tests.bench.load import Load, Sample, cycle, outcome, rate, ratios, run
from tests.bench.plan import Plan
from tests.bench.report import Figure, progress
from tests.bench.servers import SQLITE, Server, headrace, running

FEW = 1_000
_NAME = "cycle, {:,} waiting against {:,}: {}"
_IN_FLIGHT_S = 43_200
#: What a round leaves in flight at its end blocks its groups; they are to be free in the next one.
_BRIEFLY_S = "2"


def _groups(count: int) -> list[str]:
    return [f"g{number}" for number in range(count)]


def _standard(port: int, count: int) -> Load:
    url = create_queue(port, "standard")
    drive(port, message_batches(url, count))
    return cycle(url)


def _many_groups(port: int, count: int) -> Load:
    """Ten messages in each group."""
    url = create_queue(port, "groups.fifo", VisibilityTimeout=_BRIEFLY_S)
    drive(port, message_batches(url, count, _groups(count // 10)))
    return cycle(url, groups=count // 10)


def _locked_group(port: int, count: int) -> Load:
    """All in one group, locked by a receive; the cycles go round 100 groups behind it."""
    url = create_queue(port, "locked.fifo", VisibilityTimeout=_BRIEFLY_S)
    drive(port, message_batches(url, count, ["locked"]))
    taken = call(port, "ReceiveMessage", QueueUrl=url, VisibilityTimeout=_IN_FLIGHT_S)
    if not taken.get("Messages"):
        raise BenchError("the group that should be locked has nothing to receive")
    drive(port, message_batches(url, FEW, _groups(100)))
    return cycle(url, groups=100)


@dataclass(frozen=True)
class Case:
    """A queue that is filled with few or many messages, and then cycled on."""

    name: str
    fill: Callable[[int, int], Load]


CASES = (
    Case("standard", _standard),
    Case("FIFO, 10 messages per group", _many_groups),
    Case("FIFO, all but 1,000 in a locked group", _locked_group),
)


def backlog(store: str, wanted: set[str], plan: Plan) -> Generator[Figure, None, None]:
    """The figures that need a long queue, so that it is filled once.

    Two servers of the same kind, one with few messages and one with many, take turns.
    """
    with ExitStack() as stack:
        servers: dict[int, Server] = {}
        for count in (FEW, plan.backlog):
            directory = plan.directory / str(count)
            directory.mkdir()
            servers[count] = stack.enter_context(running(headrace(store, directory), directory))
        large = servers[plan.backlog]
        for case in CASES if "backlog" in wanted else CASES[:1]:
            progress(f"backlog, {store}: {case.name}: loading {plan.backlog:,} messages")
            figure = partial(Figure, _NAME.format(plan.backlog, FEW, case.name), store)
            try:
                loads: dict[int, Load] = {}
                for count, server in servers.items():
                    start = time.perf_counter()
                    loads[count] = case.fill(server.port, count)
                    loaded_per_s = round(count / (time.perf_counter() - start))
                if case is CASES[0] and "rss" in wanted:
                    yield _rss(large, plan)
                if case is CASES[0] and "restart" in wanted:
                    yield _restart(large, plan)
                if "backlog" in wanted:
                    detail = {"loaded_per_s": loaded_per_s} | _cycles(servers, loads, plan)
                    yield figure(detail.pop("value"), "x", at_most=1.2, detail=detail)
            except BenchError as error:
                yield figure(None, "x", at_most=1.2, detail={"error": str(error)})


def _cycles(servers: dict[int, Server], loads: dict[int, Load], plan: Plan) -> dict[str, Any]:
    """How much longer a cycle takes with many messages than with few, and details."""
    samples: dict[int, list[Sample]] = {count: [] for count in servers}
    for _ in range(plan.rounds):
        for count, server in servers.items():
            samples[count].append(run(loads[count], server, plan.cycle_seconds))
    few, lots = samples[FEW], samples[plan.backlog]
    each = ratios(few, lots)
    return {
        "value": median(each),
        "ratios": [round(ratio, 3) for ratio in each],
        "cycles_per_s": {"few": round(rate(few) / 3), "many": round(rate(lots) / 3)},
        "few": outcome(few),
        "many": outcome(lots),
    }


def _rss(server: Server, plan: Plan) -> Figure:
    return Figure(
        f"RSS with {plan.backlog:,} messages of 256 B",
        SQLITE,
        server.rss_mib(),
        "MiB",
        at_most=250,
        detail={"peak_mib": round(server.rss_mib(peak=True), 1)},
    )


def _restart(server: Server, plan: Plan) -> Figure:
    """From the start of the process, after a kill -9, to a receive that returned a message."""
    name = f"restart with {plan.backlog:,} messages after kill -9, to the first one received"
    figure = partial(Figure, name, SQLITE, unit="s", at_most=1.5)
    try:
        url = create_queue(server.port, "standard")
        server.stop(signal.SIGKILL)
        start = time.perf_counter()
        server.spawn(plan.directory)
        server.until_answered(
            lambda: call(server.port, "ReceiveMessage", QueueUrl=url).get("Messages")
        )
        return figure(value=time.perf_counter() - start)
    except BenchError as error:
        return figure(value=None, detail={"error": str(error)})
