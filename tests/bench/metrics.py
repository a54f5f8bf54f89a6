"""What a scrape of the metrics of a thousand queues takes, and what it takes from others."""

import time
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import count
from statistics import median

from tests.bench.client import TEXT, BenchError, call, create_queue, drive, fetch, raw_request
from tests.bench.load import Sample, in_turns, loss, repeated, run
from tests.bench.plan import Plan
from tests.bench.report import Figure, progress
from tests.bench.servers import Server, headrace, running

QUEUES = 1_000
_SCRAPES = 20
#: A turn is so long, with one scrape in its middle or with none.
_PERIOD_S = 5


def metrics(store: str, plan: Plan) -> Generator[Figure, None, None]:
    """A scrape at rest; then SendMessage with and without scrapes, in turn."""
    with running(headrace(store, plan.directory), plan.directory) as server:
        progress(f"metrics, {store}: {QUEUES:,} queues")
        names = [f"scraped-{number}" for number in range(QUEUES - 1)]  # one more is sent to
        drive(server.port, (raw_request("CreateQueue", QueueName=name) for name in names))
        drive(server.port, (_message(name) for name in names))
        yield _at_rest(server, store)

        rounds = 2 * plan.rounds - 1
        progress(f"metrics, {store}: {rounds} rounds of {2 * _PERIOD_S} s")
        sends = _Sends(server)
        sends.turn(1)
        scraped, unscraped = in_turns(rounds, sends.scraped, partial(sends.turn, _PERIOD_S))
        lost, detail = loss(scraped, unscraped)
        detail["scrape_ms"] = round(median(sends.scrapes_ms), 1)
        yield Figure(
            f"SendMessage lost to a scrape of {QUEUES:,} queues each {_PERIOD_S} s",
            store,
            lost,
            "%",
            at_most=2,
            detail=detail,
        )


def _message(queue: str) -> bytes:
    """A queue's name is as good as its URL."""
    return raw_request("SendMessage", QueueUrl=queue, MessageBody=TEXT)


def _at_rest(server: Server, store: str) -> Figure:
    server.settle()
    before_s = server.cpu_s()
    each = [_scrape_ms(server) for _ in range(_SCRAPES)]
    return Figure(
        f"scrape of {QUEUES:,} queues",
        store,
        median(each),
        "ms",
        at_most=50,
        detail={
            "max_ms": round(max(each), 1),
            "server_cpu_ms": round((server.cpu_s() - before_s) / _SCRAPES * 1000, 1),
        },
    )


def _scrape_ms(server: Server) -> float:
    """How long a scrape takes, which must tell of all queues that were made before."""
    start = time.perf_counter()
    text = fetch(server.port, "GET", "/metrics")
    took_ms = (time.perf_counter() - start) * 1000
    told = text.count(b"\nheadrace_queue_sent_total{")
    if told < QUEUES - 1:
        raise BenchError(f"the metrics tell of {told:,} queues, not {QUEUES - 1:,}")
    return took_ms


class _Sends:
    """Turns of SendMessage, each to a queue of its own, so that none finds what others left."""

    def __init__(self, server: Server) -> None:
        self.scrapes_ms: list[float] = []
        self._server = server
        self._numbers = count()

    def turn(self, seconds: int) -> Sample:
        """Nothing but sends."""
        port = self._server.port
        url = create_queue(port, f"sent-{next(self._numbers)}")
        sample = run(repeated("SendMessage", QueueUrl=url, MessageBody=TEXT), self._server, seconds)
        call(port, "DeleteQueue", QueueUrl=url)
        self._server.settle()
        return sample

    def scraped(self) -> Sample:
        """The same, and a scrape."""
        with ThreadPoolExecutor(1) as beside:
            scrape = beside.submit(self._scrape_halfway)
            sample = self.turn(_PERIOD_S)
            self.scrapes_ms.append(scrape.result())
        return sample

    def _scrape_halfway(self) -> float:
        time.sleep(_PERIOD_S / 2)
        return _scrape_ms(self._server)
