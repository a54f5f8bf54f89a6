"""How long a broker with many messages takes to start over, and to go back to a checkpoint."""

import json
import time
from collections.abc import Generator, Sequence
from statistics import median
from typing import Any

from tests.bench.client import (
    TEXT,
    BenchError,
    create_queue,
    drive,
    fetch,
    message_batches,
    raw_request,
)
from tests.bench.plan import Plan
from tests.bench.report import Figure, progress
from tests.bench.servers import MEMORY, SQLITE, Server, headrace, running

MESSAGES = 100_000
_CHANGED = 300
_ROLLBACKS = 5
_AT_MOST_MS = {MEMORY: 50.0, SQLITE: 200.0}
_QUEUE = "reset"
_CHECKPOINT = "/_headrace/checkpoints/full"

Took = tuple[float, float]  # ms: until the answer, and of the CreateQueue that comes next


def reset(store: str, plan: Plan) -> Generator[Figure, None, None]:
    """Both over HTTP; there is no checkpoint yet when the messages are removed for good."""
    with running(headrace(store, plan.directory), plan.directory) as server:
        took = []
        for number in range(plan.rounds):
            progress(f"reset, {store}: {number + 1} of {plan.rounds}")
            _fill(server)
            took.append(_timed(server, "/_headrace/reset"))
        yield _figure("reset of", store, took)

        progress(f"rollback, {store}")
        url = _fill(server)
        start = time.perf_counter()
        fetch(server.port, "PUT", _CHECKPOINT)
        saved_ms = round((time.perf_counter() - start) * 1000)
        took = []
        for _ in range(_ROLLBACKS):
            _change(server, url)
            took.append(_timed(server, f"{_CHECKPOINT}/restore"))
            _check(_counts(server), visible=MESSAGES, messages=MESSAGES)
        yield _figure("rollback to", store, took, saved_ms=saved_ms)


def _figure(name: str, store: str, took: Sequence[Took], **detail: float) -> Figure:
    return Figure(
        f"{name} {MESSAGES:,} messages",
        store,
        median(ms for ms, _ in took),
        "ms",
        at_most=_AT_MOST_MS[store],
        detail={
            "each": [round(ms, 1) for ms, _ in took],
            "next_call_ms": [round(ms, 1) for _, ms in took],
            **detail,
        },
    )


def _fill(server: Server) -> str:
    """Create the queue and fill it; returns its URL."""
    url = create_queue(server.port, _QUEUE, VisibilityTimeout="43200")
    drive(server.port, message_batches(url, MESSAGES))
    _check(_counts(server), visible=MESSAGES)
    return url


def _change(server: Server, url: str) -> None:
    """Receive some messages, and send as many."""
    receive = raw_request("ReceiveMessage", QueueUrl=url, MaxNumberOfMessages=10)
    send = raw_request("SendMessage", QueueUrl=url, MessageBody=TEXT)
    drive(server.port, [receive] * (_CHANGED // 10) + [send] * _CHANGED)
    _check(_counts(server), inFlight=_CHANGED, messages=MESSAGES + _CHANGED)


def _timed(server: Server, path: str) -> Took:
    """Post, and check that it was about all messages."""
    server.settle()
    start = time.perf_counter()
    answer = fetch(server.port, "POST", path)
    answered = time.perf_counter()
    create_queue(server.port, "next")  # waits for what the answer did not wait for
    done = time.perf_counter()
    _check(json.loads(answer), messages=MESSAGES)
    return (answered - start) * 1000, (done - answered) * 1000


def _counts(server: Server) -> Any:
    return json.loads(fetch(server.port, "GET", f"/_headrace/queues/{_QUEUE}"))["counts"]


def _check(told: Any, **expected: int) -> None:
    """Raise unless so many are told of: what did not happen cost nothing."""
    for name, count in expected.items():
        if told[name] != count:
            raise BenchError(f"{name}: {told[name]:,}, not {count:,}")
