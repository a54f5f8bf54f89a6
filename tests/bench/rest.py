"""What Headrace costs when there is nothing to do: starting, and memory when idle."""

import time
from collections.abc import Generator
from statistics import median

from tests.bench.plan import Plan
from tests.bench.report import Figure, progress
from tests.bench.servers import SQLITE, headrace

_STARTS = 5


def starts(plan: Plan) -> Generator[Figure, None, None]:
    """From the start of the process to the first ListQueues answered; then its memory."""
    seconds, mib = [], []
    for number in range(_STARTS):
        progress(f"start {number + 1} of {_STARTS}")
        server = headrace(SQLITE, plan.directory)
        try:
            start = time.perf_counter()
            server.spawn(plan.directory)
            server.until_ready()
            seconds.append(time.perf_counter() - start)
            time.sleep(0.5)  # what is built lazily after the first answer counts as well
            mib.append(server.rss_mib())
        finally:
            server.stop()
    each = [round(value, 3) for value in seconds]
    yield Figure(
        "process start to the first answer", SQLITE, median(seconds), "s", at_most=0.7,
        detail={"each": each},
    )  # fmt: skip
    yield Figure("RSS idle", SQLITE, median(mib), "MiB", at_most=80)
