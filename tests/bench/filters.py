"""What a publish costs when a thousand filter policies are asked and one of them matches."""

import json
from collections.abc import Callable, Generator
from dataclasses import dataclass
from functools import partial
from statistics import median

from tests.bench.client import BenchError, drive
from tests.bench.load import Load, Sample, outcome, rate, ratios, run
from tests.bench.plan import Plan
from tests.bench.report import Figure, progress
from tests.bench.servers import SQLITE, headrace, running
from tests.bench.topics import (
    Attribute,
    check_arrived,
    create_queues,
    create_topic,
    publish_request,
    publishes,
    subscribe_queues,
    waiting_in,
)

POLICIES = 1_000
_MATCHING = POLICIES // 2
#: Without a signature, which takes longer than all the rest, the matching can be seen.
_RAW = {"RawMessageDelivery": "true"}


@dataclass(frozen=True)
class Variant:
    """A kind of policies, of which one matches the attribute."""

    name: str
    attribute: Attribute
    policy: Callable[[int], object]  # by the subscription's number
    raw: bool = False

    @property
    def figure(self) -> str:
        raw = "raw " if self.raw else ""
        return f"{raw}publish, {POLICIES:,} filter policies and one match: {self.name}"

    @property
    def topic(self) -> str:
        return self.name.replace(" ", "-") + ("-raw" if self.raw else "")

    @property
    def delivery(self) -> dict[str, str]:
        """How a subscription is to be delivered to."""
        return _RAW if self.raw else {}


def _exact(number: int) -> object:
    return {"customer": [f"c-{number}"]}


def _ranges(number: int) -> object:
    return {"price": [{"numeric": [">=", 10 * number, "<", 10 * number + 10]}]}


_CUSTOMER = ("customer", "String", f"c-{_MATCHING}")
_PRICE = ("price", "Number", f"{10 * _MATCHING + 5}")
VARIANTS = (
    Variant("exact values", _CUSTOMER, _exact),
    Variant("numeric ranges", _PRICE, _ranges),
    Variant("exact values", _CUSTOMER, _exact, raw=True),
    Variant("numeric ranges", _PRICE, _ranges, raw=True),
)


def filters(plan: Plan) -> Generator[Figure, None, None]:
    """Publishes to a topic with policies, and to one with a subscriber that takes everything."""
    with running(headrace(SQLITE, plan.directory), plan.directory) as server:
        queues = create_queues(server.port, POLICIES)
        for variant in VARIANTS:
            progress(variant.figure)
            figure = partial(Figure, variant.figure, SQLITE, unit="x unfiltered", at_most=3)
            samples: dict[str, list[Sample]] = {"unfiltered": [], "filtered": []}
            try:
                loads = _prepare(server.port, queues, variant)
                for _ in range(plan.rounds):
                    for name, load in loads.items():
                        samples[name].append(run(load, server, plan.cycle_seconds))
            except BenchError as error:
                yield figure(value=None, detail={"error": str(error)})
                continue
            filtered, unfiltered = samples["filtered"], samples["unfiltered"]
            each = ratios(unfiltered, filtered)
            yield figure(
                value=median(each),
                detail={
                    "per_s": round(rate(filtered)),
                    "unfiltered_per_s": round(rate(unfiltered)),
                    "ratios": [round(ratio, 3) for ratio in each],
                    **outcome(filtered),
                },
            )


def _prepare(port: int, queues: list[str], variant: Variant) -> dict[str, Load]:
    """Two topics, of which the filtered one brings a message to nobody but who wants it."""
    own = variant.delivery
    plain = create_topic(port, f"plain-{variant.topic}")
    subscribe_queues(port, plain, [(queues[0], own)])
    filtered = create_topic(port, variant.topic)
    policies = [json.dumps(variant.policy(number)) for number in range(POLICIES)]
    subscribe_queues(
        port,
        filtered,
        [(arn, own | {"FilterPolicy": text}) for arn, text in zip(queues, policies, strict=True)],
    )
    wanting, other = queues[_MATCHING], queues[_MATCHING + 1]
    expected = waiting_in(port, wanting) + 1
    drive(port, [publish_request(filtered, variant.attribute)])
    check_arrived(port, wanting, expected)
    check_arrived(port, other, 0)
    return {
        "unfiltered": publishes(plain, variant.attribute),
        "filtered": publishes(filtered, variant.attribute),
    }
