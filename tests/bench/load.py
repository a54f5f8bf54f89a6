"""Load by wrk: one thread, many connections, and what came of it."""

import json
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from tests.bench.client import HEADERS, TEXT, BenchError, call, target
from tests.bench.servers import Server

_FILLED_MIN = 0.9
#: Above this share of its core wrk, and not the server, decides how many requests there are.
_LOAD_CPU_LIMIT = 0.95
#: Runs of the same that differ by more than this share say nothing about a few percent.
_SPREAD_MAX = 0.1
_SCRIPTS = Path(__file__).parent


def ensure_wrk() -> None:
    """Install wrk where we may; say how where we may not."""
    if shutil.which("wrk"):
        return
    if os.geteuid() != 0 or not Path("/etc/debian_version").exists():
        raise BenchError("wrk is missing; install it, on Debian with: apt-get install wrk")
    print("installing wrk with apt-get", file=sys.stderr)
    for step in (["update"], ["install", "-y", "--no-install-recommends", "wrk"]):
        done = subprocess.run(["apt-get", "-q", *step], capture_output=True, text=True, check=False)
        if done.returncode:
            raise BenchError(f"apt-get {step[0]} failed: {done.stderr.strip()[-200:]}")


@dataclass(frozen=True)
class Load:
    """What wrk is to send: a script, its arguments and the headers."""

    script: str
    arguments: tuple[str, ...]
    headers: dict[str, str]


@dataclass(frozen=True)
class Sample:
    """One run of wrk against one server."""

    per_s: float  # requests
    p50_ms: float
    p99_ms: float
    timeouts: int  # answers that took longer than 2 s
    filled: float  # share of the receives that returned a message; 1.0 if there were none
    load_cpu: float  # share of its core that wrk used; near 1 the load is the limit
    server_cpu: float  # share of one core that the server used


def outcome(samples: Sequence[Sample]) -> dict[str, float]:
    """What is worth knowing about some runs against one server, beside the rate."""
    return {
        "p50_ms": round(median(sample.p50_ms for sample in samples), 3),
        "p99_ms": round(median(sample.p99_ms for sample in samples), 3),
        "timeouts": sum(sample.timeouts for sample in samples),
        "receives_filled": round(min(sample.filled for sample in samples), 4),
        "server_cpu": round(median(sample.server_cpu for sample in samples), 2),
        "load_cpu": round(max(sample.load_cpu for sample in samples), 2),
    }


def rate(samples: Sequence[Sample]) -> float:
    """Requests per second: the median of the runs."""
    return median(sample.per_s for sample in samples)


def ratios(above: Sequence[Sample], below: Sequence[Sample]) -> list[float]:
    """Rate against rate, round by round, so that a machine that drifts does not count."""
    return [a.per_s / b.per_s for a, b in zip(above, below, strict=True)]


def load_limited(samples: Sequence[Sample]) -> bool:
    """Whether wrk may have been what was measured."""
    return max(sample.load_cpu for sample in samples) > _LOAD_CPU_LIMIT


def in_turns(
    rounds: int, one: Callable[[], Sample], other: Callable[[], Sample]
) -> tuple[list[Sample], list[Sample]]:
    """Samples of both, taken to and fro: neither always comes first in a round."""
    ones: list[Sample] = []
    others: list[Sample] = []
    turns = [(ones, one), (others, other)]
    for _ in range(rounds):
        for samples, take in turns:
            samples.append(take())
        turns.reverse()
    return ones, others


def loss(samples: Sequence[Sample], against: Sequence[Sample]) -> tuple[float, dict[str, Any]]:
    """By how many percent the rate is below another, round by round, and details.

    Among them the same per second of the server's CPU: all that counts of a server that waits
    for the disk, or for others on the machine.
    """
    each = [(1 - ratio) * 100 for ratio in ratios(samples, against)]
    costs = [
        (1 - a.per_s / a.server_cpu * b.server_cpu / b.per_s) * 100
        for a, b in zip(samples, against, strict=True)
    ]
    alike = [sample.per_s for sample in against]
    spread = max(alike) - min(alike)
    return median(each), {
        "each": [round(percent, 2) for percent in each],
        "by_cpu": round(median(costs), 2),
        "by_cpu_each": [round(percent, 2) for percent in costs],
        "per_s": round(rate(samples)),
        "against_per_s": round(rate(against)),
        **outcome(samples),
        "load_limited": load_limited([*samples, *against]),
        "disturbed": len(alike) == 1 or spread > _SPREAD_MAX * median(alike),
    }


def repeated(operation: str, **members: object) -> Load:
    """The same call again and again."""
    return Load("fixed.lua", (json.dumps(members),), HEADERS | target(operation))


def cycle(url: str, *, groups: int = 0, spare: str = "") -> Load:
    """Send, receive and delete in turn; see cycle.lua for the arguments."""
    return Load("cycle.lua", (url, TEXT, str(groups), spare), HEADERS)


def received_handle(port: int, url: str) -> str:
    """The receipt handle of one message, taken and at once given back."""
    messages = call(port, "ReceiveMessage", QueueUrl=url).get("Messages")
    if not messages:
        raise BenchError("a receive from a filled queue returned nothing")
    handle: str = messages[0]["ReceiptHandle"]
    call(port, "ChangeMessageVisibility", QueueUrl=url, ReceiptHandle=handle, VisibilityTimeout=0)
    return handle


def _cpu_of_children_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def run(load: Load, server: Server, seconds: int, connections: int = 32) -> Sample:
    """Run wrk for so many seconds; raises if anything but success came back."""
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", str(_SCRIPTS / load.script)]
    for name, value in load.headers.items():
        command += ["-H", f"{name}: {value}"]
    command += [f"http://127.0.0.1:{server.port}/", "--", *load.arguments]
    load_before_s, server_before_s = _cpu_of_children_s(), server.cpu_s()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    load_s, server_s = _cpu_of_children_s() - load_before_s, server.cpu_s() - server_before_s
    server.settle()
    lines = dict(line.partition(" ")[::2] for line in done.stdout.splitlines())
    if "BENCH" not in lines:
        raise BenchError(f"wrk failed: {(done.stderr or done.stdout).strip()[-200:]}")
    counts = json.loads(lines["BENCH"])
    if counts["refused"] or counts["broken"] or not counts["requests"]:
        raise BenchError(
            f"of {counts['requests']} requests {counts['refused']} were refused and "
            f"{counts['broken']} broken; first: {lines.get('FAILURE', 'unknown')}"
        )
    duration_s = counts["duration_us"] / 1e6
    filled = 1.0
    if "receives" in counts:  # of which some were still unanswered when the time was over
        answered = counts["receives"] * counts["requests"] / counts["issued"]
        filled = min(1.0, counts["filled"] / answered)
    if filled < _FILLED_MIN and server.name != "empty":
        raise BenchError(f"only {filled:.0%} of the receives returned a message")
    return Sample(
        per_s=counts["requests"] / duration_s,
        p50_ms=counts["p50_us"] / 1000,
        p99_ms=counts["p99_us"] / 1000,
        timeouts=counts["timeouts"],
        filled=filled,
        load_cpu=load_s / duration_s,
        server_cpu=server_s / duration_s,
    )
