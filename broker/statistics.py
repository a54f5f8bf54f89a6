"""Counts of what the broker did since it was started: cheap to keep, few enough to be shown."""

from bisect import bisect_left
from collections.abc import Sequence
from typing import NamedTuple

from broker.clock import Clock
from storage.contract import Storage
from storage.records import Counts, QueueKey

#: so many queues, and so many topics, have counters of their own; the others share theirs
NAMED_MAX = 1_000
#: queues that are looked at in one step of a survey, between which others get their turn
_SURVEYED_AT_ONCE = 100
_COMMIT_BOUNDS_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)
_LAG_BOUNDS_S = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 1.0)


class QueueCounters:
    """What happened in one queue, in messages; ``empty_receives`` in calls."""

    __slots__ = ("dead_lettered", "deleted", "empty_receives", "received", "sent")

    def __init__(self) -> None:
        self.sent = 0
        self.received = 0
        self.deleted = 0
        self.dead_lettered = 0
        self.empty_receives = 0


class TopicCounters:
    """What was published to one topic, and, by protocol, what became of its deliveries."""

    __slots__ = ("delivered", "failed", "published", "retried")

    def __init__(self) -> None:
        self.published = 0
        self.delivered: dict[str, int] = {}
        self.failed: dict[str, int] = {}
        self.retried: dict[str, int] = {}


def add(counts: dict[str, int], name: str, number: int = 1) -> None:
    """Raise one of several counts."""
    counts[name] = counts.get(name, 0) + number


class _PerQueue(dict[int, QueueCounters]):
    """Counters by queue id; the later ones of many queues are one and the same."""

    def __init__(self) -> None:
        super().__init__()
        self.others = QueueCounters()
        self._own = 0

    def __missing__(self, queue_id: int) -> QueueCounters:
        counters = self.others
        if self._own < NAMED_MAX:
            self._own += 1
            counters = QueueCounters()
        self[queue_id] = counters
        return counters

    def forget(self, queue_id: int) -> None:
        """The queue is gone, and another one may have its place."""
        if self.pop(queue_id, self.others) is not self.others:
            self._own -= 1


class _PerTopic(dict[str, TopicCounters]):
    """Counters by topic ARN; topics beyond the first ones share theirs, and are not kept."""

    def __init__(self) -> None:
        super().__init__()
        self.others = TopicCounters()

    def __missing__(self, arn: str) -> TopicCounters:
        if len(self) >= NAMED_MAX:
            return self.others
        counters = self[arn] = TopicCounters()
        return counters


class Histogram:
    """How often something took how long, in seconds."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        """``bounds``: the upper, inclusive ends of the buckets but the last, in order."""
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def add(self, seconds: float) -> None:
        """Count one."""
        self.counts[bisect_left(self.bounds, seconds)] += 1
        self.total += seconds


class Statistics:
    """All counters.  They begin at nought when the process does."""

    def __init__(self) -> None:
        self.queues = _PerQueue()
        self.topics = _PerTopic()
        self.commits = Histogram(_COMMIT_BOUNDS_S)
        self.fsyncs = Histogram(_COMMIT_BOUNDS_S)
        #: by how much the event loop was late, as who watches it tells
        self.loop_lag = Histogram(_LAG_BOUNDS_S)

    def committed(self, whole_s: float, fsync_s: float) -> None:
        """The store has committed: how long the transaction took, and of it the COMMIT itself."""
        self.commits.add(whole_s)
        self.fsyncs.add(fsync_s)


class QueueFigures(NamedTuple):
    """One queue, or (key None) all that have no counters of their own, at a moment."""

    key: QueueKey | None
    counters: QueueCounters
    counts: Counts
    oldest_age_ms: int  # 0: it is empty


class Survey:
    """Looks at all queues of a store."""

    def __init__(self, store: Storage, clock: Clock, statistics: Statistics) -> None:
        self._store = store
        self._clock = clock
        self._statistics = statistics

    async def queues(self) -> list[QueueFigures]:
        """Every queue with counters of its own, and the sum of the others if there are any."""
        known = self._statistics.queues
        records = {record.queue_id: record for record in await self._store.all_queues()}
        for queue_id in known.keys() - records.keys():
            known.forget(queue_id)
        ids = list(records)
        figures: list[QueueFigures] = []
        others = QueueFigures(None, known.others, Counts(0, 0, 0), 0)
        some_share = False
        for start in range(0, len(ids), _SURVEYED_AT_ONCE):
            now_ms = self._clock.now_ms()
            found = await self._store.survey_queues(
                ids[start : start + _SURVEYED_AT_ONCE], now_ms=now_ms
            )
            for queue_id, (counts, sent_at_ms) in found.items():
                age_ms = 0 if sent_at_ms is None else max(0, now_ms - sent_at_ms)
                counters = known[queue_id]
                if counters is not known.others:
                    key = records[queue_id].key
                    figures.append(QueueFigures(key, counters, counts, age_ms))
                    continue
                some_share = True
                others = others._replace(
                    counts=Counts(*map(sum, zip(others.counts, counts, strict=True))),
                    oldest_age_ms=max(age_ms, others.oldest_age_ms),
                )
        return [*figures, others] if some_share else figures
