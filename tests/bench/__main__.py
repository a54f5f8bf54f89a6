"""Command line of the benchmark: what to measure, for how long, and the report.

JSON lines, one per figure, and Markdown tables go to standard output; progress to standard
error.  Exit code 0 if everything could be measured, whether or not the aims were met.
"""

import argparse
import resource
import shutil
import signal
import sys
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

from tests.bench.backlog import FEW, backlog
from tests.bench.client import BenchError
from tests.bench.deliveries import deliveries
from tests.bench.exec import exec_overhead
from tests.bench.fan_out import fan_out
from tests.bench.filters import filters
from tests.bench.load import ensure_wrk
from tests.bench.metrics import metrics
from tests.bench.plan import Plan
from tests.bench.polls import polls
from tests.bench.report import Figure, machine, progress, side_by_side, summary
from tests.bench.reset import reset
from tests.bench.rest import starts
from tests.bench.servers import MEMORY, SQLITE, STORES, use_core, work_directory
from tests.bench.throughput import RACES, race
from tests.bench.timeline import timeline

Stage = Callable[[Plan], Generator[Figure, None, None]]
BACKLOG = ("backlog", "rss", "restart")
#: What is about one store, with that.
SINGLE: dict[str, tuple[str, Stage]] = {
    "start": (SQLITE, starts),
    "exec": (MEMORY, exec_overhead),
    "polls": (SQLITE, polls),
    "fanout": (SQLITE, fan_out),
    "filters": (SQLITE, filters),
    "deliveries": (SQLITE, deliveries),
    "timeline": (MEMORY, timeline),
}
#: What is about each store.
EACH: dict[str, Callable[[str, Plan], Generator[Figure, None, None]]] = {
    "reset": reset,
    "metrics": metrics,
}
NAMES = [*RACES, *BACKLOG, *SINGLE, *EACH]
#: Names that stand for several.
GROUPS = {"tools": ("exec", "reset", "metrics", "timeline")}


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench",
        description="Measure Headrace against an empty ASGI app in the same run.",
    )
    parser.add_argument("--rounds", type=int, help="turns of each server (3; quick: 1)")
    parser.add_argument("--seconds", type=int, help="seconds of load per turn (3; quick: 1)")
    parser.add_argument("--backlog", type=int, help="waiting messages (1000000; quick: 50000)")
    several = "; ".join(f"{name}: {', '.join(each)}" for name, each in GROUPS.items())
    parser.add_argument("--only", nargs="+", choices=[*NAMES, *GROUPS], metavar="NAME",
                        default=NAMES,
                        help=f"only these figures: {', '.join(NAMES)}; {several}")  # fmt: skip
    parser.add_argument("--quick", action="store_true", help="a rough look in a few minutes")
    parser.add_argument("--rivals", action="store_true", help="also moto server and ministack")
    parser.add_argument("--rivals-python", default=".venv-rivals/bin/python", metavar="PATH",
                        help="an interpreter that has them (%(default)s)")  # fmt: skip
    parser.add_argument("--dir", type=Path, default=Path(".bench"), metavar="PATH",
                        help="for databases and logs, on a real disk (%(default)s)")  # fmt: skip
    arguments = parser.parse_args()
    if arguments.backlog is not None and arguments.backlog < 10 * FEW:
        parser.error(f"--backlog must be at least {10 * FEW}")
    return arguments


def _plan(arguments: argparse.Namespace, directory: Path) -> Plan:
    quick: bool = arguments.quick
    return Plan(
        rounds=arguments.rounds or (1 if quick else 3),
        seconds=arguments.seconds or (1 if quick else 3),
        cycle_seconds=arguments.seconds or (1 if quick else 2),
        backlog=arguments.backlog or (50_000 if quick else 1_000_000),
        polls_seconds=3 if quick else 8,
        idle_seconds=2 if quick else 5,
        publishes=20 if quick else 100,
        directory=directory,
        rivals_python=arguments.rivals_python if arguments.rivals else None,
    )


def _stages(only: set[str]) -> Iterator[tuple[str, str, Stage]]:
    """Name, store it is about, and what yields the figures."""
    for name, contest in RACES.items():
        if name in only:
            yield name, "", partial(race, contest)
    for name, (store, stage) in SINGLE.items():
        if name in only:
            yield name, store, stage
    for name, of_store in EACH.items():
        if name in only:
            for store in STORES:
                yield name, store, partial(of_store, store)
    for store in STORES:
        wanted = only & ({*BACKLOG} if store == SQLITE else {"backlog"})
        if wanted:
            yield "backlog", store, partial(backlog, store, wanted)


def _measure(arguments: argparse.Namespace, directory: Path) -> Iterator[Figure]:
    """Every figure as soon as it is there; a stage that breaks off leaves a failed one."""
    only = {name for given in arguments.only for name in GROUPS.get(given, (given,))}
    for name, store, stage in _stages(only):
        own = directory / f"{name} {store}".strip().replace(" ", "-")
        own.mkdir()
        with closing(stage(_plan(arguments, own))) as figures:
            try:
                yield from figures
            except BenchError as error:
                yield Figure(name, store or MEMORY, None, "", detail={"error": str(error)})
        shutil.rmtree(own)  # a stage leaves gigabytes; the next one should not need them


def main() -> int:
    arguments = _arguments()
    for ending in (signal.SIGINT, signal.SIGTERM):  # both unwind, so that nothing is left behind
        signal.signal(ending, signal.default_int_handler)
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))  # a thousand polls, both ends
    figures: list[Figure] = []
    start = time.monotonic()
    try:
        ensure_wrk()
        if arguments.rivals and not shutil.which(arguments.rivals_python):
            raise BenchError(f"{arguments.rivals_python}: no such interpreter (--rivals-python)")
        use_core(1)
        with work_directory(arguments.dir) as directory:
            about = machine(directory)
            progress(about)
            for figure in _measure(arguments, directory):
                print(figure.as_json(), flush=True)
                figures.append(figure)
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    print(f"\n{about}\ntook {time.monotonic() - start:.0f} s\n\n{summary(figures)}")
    if arguments.rivals:
        print(f"\n{side_by_side(figures)}")
    for doubt in ("load_limited", "disturbed"):
        names = [f"{f.name}, {f.subject}" for f in figures if f.detail.get(doubt)]
        if names:
            print(f"{doubt.replace('_', ' ')}, measure again: {'; '.join(names)}")
    failed = [figure for figure in figures if figure.value is None]
    for figure in failed:
        print(f"failed: {figure.name}, {figure.subject}: {figure.detail.get('error')}")
    return 1 if any(figure.subject in STORES for figure in failed) else 0


if __name__ == "__main__":
    sys.exit(main())
