"""``GET /metrics``: figures in the text format of Prometheus.

Written here, as its client library takes 0.16 s to be imported: as long as the whole server.
"""

import asyncio
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from api.admin.requests import answer
from broker import Broker

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

#: what all queues, or topics, beyond the first thousand are called together
OTHERS = "_other"

_LAG_PERIOD_S = 0.25
#: for so long after a scrape the next one is expected
_WATCHED_S = 300

Sample = tuple[str, float]  # labels, value


class _LagWatch:
    """Measures by how much the event loop is late, while somebody reads it."""

    def __init__(self) -> None:
        self._until_s = 0.0
        self._watching = False

    def keep(self, tell: Callable[[float], None]) -> None:
        """Tell how late it is, again and again, for the next minutes."""
        loop = asyncio.get_running_loop()
        self._until_s = loop.time() + _WATCHED_S
        if not self._watching:
            self._watching = True
            self._expect(loop, tell)

    def _expect(self, loop: asyncio.AbstractEventLoop, tell: Callable[[float], None]) -> None:
        due_s = loop.time() + _LAG_PERIOD_S

        def look() -> None:
            tell(max(0.0, loop.time() - due_s))
            self._watching = loop.time() < self._until_s
            if self._watching:
                self._expect(loop, tell)

        loop.call_at(due_s, look)


def routes() -> list[BaseRoute]:
    """Where the figures are."""
    watch = _LagWatch()

    @answer
    async def metrics(request: Request) -> Response:
        broker: Broker = request.app.state.broker
        watch.keep(broker.observer.statistics.loop_lag.add)
        return Response("".join(await _families(broker)), media_type=CONTENT_TYPE)

    return [Route("/metrics", metrics, methods=["GET"])]


async def _families(broker: Broker) -> list[str]:
    """All figures, family by family."""
    statistics = broker.observer.statistics
    texts = list(await _of_queues(broker))
    texts += _of_topics(broker)
    for name, meaning, histogram in (
        (
            "store_commit_seconds",
            "Transactions of the store, with their flush.",
            statistics.commits,
        ),
        ("store_fsync_seconds", "Of it the flush to the disk.", statistics.fsyncs),
        ("event_loop_lag_seconds", "How late timers were.", statistics.loop_lag),
    ):
        texts.append(_histogram(name, meaning, histogram.bounds, histogram.counts, histogram.total))
    parked = [("", broker.waiting.parked)]
    texts.append(_family("headrace_parked_receives", "gauge", "Long polls that wait.", parked))
    texts += _of_the_process()
    return texts


async def _of_queues(broker: Broker) -> Iterator[str]:
    figures = await broker.survey.queues()
    labels = [
        _labels("queue", OTHERS)
        if each.key is None
        else _labels("queue", each.key.name, each.key.account, each.key.region)
        for each in figures
    ]
    rows = list(zip(labels, figures, strict=True))
    counted = [(label, each.counts) for label, each in rows]
    counters = [(label, each.counters) for label, each in rows]

    def families() -> Iterator[str]:
        states = (
            [(f'{label},state="visible"', counts.visible) for label, counts in counted],
            [(f'{label},state="in_flight"', counts.in_flight) for label, counts in counted],
            [(f'{label},state="delayed"', counts.delayed) for label, counts in counted],
        )
        yield _family(
            "headrace_queue_messages",
            "gauge",
            "Messages in a queue.",
            [sample for samples in states for sample in samples],
        )
        yield _family(
            "headrace_queue_oldest_message_age_seconds",
            "gauge",
            "Age of the oldest message in a queue; 0 if there is none.",
            [(label, each.oldest_age_ms / 1000) for label, each in rows],
        )
        for name, meaning, samples in (
            ("sent", "Messages accepted.", [(label, each.sent) for label, each in counters]),
            ("received", "Messages handed out.", [(lb, each.received) for lb, each in counters]),
            ("deleted", "Messages deleted.", [(label, each.deleted) for label, each in counters]),
            (
                "dead_lettered",
                "Messages moved from this queue to its dead-letter queue.",
                [(label, each.dead_lettered) for label, each in counters],
            ),
            (
                "empty_receives",
                "Receives answered without a message.",
                [(label, each.empty_receives) for label, each in counters],
            ),
        ):
            yield _family(f"headrace_queue_{name}_total", "counter", meaning, samples)

    return families()


def _of_topics(broker: Broker) -> Iterator[str]:
    topics = broker.observer.statistics.topics
    rows = []
    for arn, counters in topics.items():
        _, _, _, region, account, name = arn.split(":", 5)
        rows.append((_labels("topic", name, account, region), counters))
    if topics.others.published:
        rows.append((_labels("topic", OTHERS), topics.others))
    yield _family(
        "headrace_topic_published_total",
        "counter",
        "Messages published to a topic.",
        [(label, each.published) for label, each in rows],
    )
    for name, meaning, by_protocol in (
        ("delivered", "Deliveries made.", [(label, each.delivered) for label, each in rows]),
        ("failed", "Deliveries given up.", [(label, each.failed) for label, each in rows]),
        ("retried", "Attempts that will be repeated.", [(lb, each.retried) for lb, each in rows]),
    ):
        yield _family(
            f"headrace_topic_{name}_total",
            "counter",
            meaning,
            [
                (f'{label},protocol="{protocol}"', number)
                for label, numbers in by_protocol
                for protocol, number in numbers.items()
            ],
        )


def _of_the_process() -> Iterator[str]:
    """What Prometheus's own clients tell of a process, as far as the system does."""
    cpu = [("", time.process_time())]
    yield _family("process_cpu_seconds_total", "counter", "Processor time.", cpu)
    try:
        pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
        descriptors = sum(1 for _ in Path("/proc/self/fd").iterdir())
    except OSError:  # no Linux
        return
    memory = [("", pages * os.sysconf("SC_PAGE_SIZE"))]
    yield _family("process_resident_memory_bytes", "gauge", "Memory in use.", memory)
    yield _family("process_open_fds", "gauge", "Open file descriptors.", [("", descriptors)])


# --- the format ---------------------------------------------------------------------------------


def _labels(kind: str, name: str, account: str = "", region: str = "") -> str:
    return f'account="{account}",region="{_escaped(region)}",{kind}="{_escaped(name)}"'


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


def _family(name: str, kind: str, meaning: str, samples: Iterable[Sample]) -> str:
    lines = [f"# HELP {name} {meaning}", f"# TYPE {name} {kind}"]
    lines += [
        f"{name}{{{labels}}} {value}" if labels else f"{name} {value}" for labels, value in samples
    ]
    return "\n".join(lines) + "\n"


def _histogram(
    name: str, meaning: str, bounds: Sequence[float], counts: Sequence[int], total: float
) -> str:
    name = f"headrace_{name}"
    lines = [f"# HELP {name} {meaning}", f"# TYPE {name} histogram"]
    below = 0
    for bound, count in zip([*bounds, "+Inf"], counts, strict=True):
        below += count
        lines.append(f'{name}_bucket{{le="{bound}"}} {below}')
    lines += [f"{name}_sum {total}", f"{name}_count {below}"]
    return "\n".join(lines) + "\n"
