"""What ``headrace exec`` adds to a command, beside a Python that imports boto3."""

import shlex
import subprocess
import sys
import time
from collections.abc import Generator, Sequence
from statistics import median

from tests.bench.client import BenchError
from tests.bench.plan import Plan
from tests.bench.report import Figure, progress
from tests.bench.servers import MEMORY

_RUNS = 9
_EXEC = (sys.executable, "-m", "api", "exec", "--", "true")
_IMPORT = (sys.executable, "-c", "import boto3")


def exec_overhead(_plan: Plan) -> Generator[Figure, None, None]:
    """``headrace exec -- true``, in turn with the other, so that both have the same machine."""
    ours, theirs = [], []
    for number in range(_RUNS):
        progress(f"exec {number + 1} of {_RUNS}")
        ours.append(_seconds(_EXEC))
        theirs.append(_seconds(_IMPORT))
    detail = {
        "exec": [round(each, 3) for each in ours],
        "boto3": [round(each, 3) for each in theirs],
    }
    yield Figure("exec -- true", MEMORY, median(ours), "s", at_most=1.0, detail=detail)
    ratio = median(ours) / median(theirs)
    yield Figure("exec -- true, against import boto3", MEMORY, ratio, "x", at_most=2.0)


def _seconds(command: Sequence[str]) -> float:
    """How long a command takes, which must succeed; returns when what it leaves has ended."""
    start = time.perf_counter()
    with subprocess.Popen(command, stderr=subprocess.PIPE) as process:
        process.wait()
        took_s = time.perf_counter() - start
        said = process.communicate()[1]  # the broker has standard error open until it ends
    if process.returncode:
        last = (said.decode(errors="replace").strip().splitlines() or ["nothing"])[-1]
        raise BenchError(f"{shlex.join(command)} exited {process.returncode}: {last[:200]}")
    return took_s
