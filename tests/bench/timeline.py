"""What it costs a cycle that the lives of messages are recorded."""

from collections.abc import Generator
from contextlib import ExitStack
from functools import partial

from api.settings import Settings
from tests.bench.client import create_queue, drive, message_batches
from tests.bench.load import Sample, cycle, in_turns, loss, run
from tests.bench.plan import Plan
from tests.bench.report import Figure, progress
from tests.bench.servers import MEMORY, headrace, running

_EVENTS: int = Settings.model_fields["timeline_events"].default


def timeline(plan: Plan) -> Generator[Figure, None, None]:
    """As it is by default, against none; two new processes in each round, as no two are alike."""
    recording: list[Sample] = []
    without: list[Sample] = []
    for number in range(plan.rounds):
        progress(f"timeline: round {number + 1} of {plan.rounds}")
        ones, others = _pair(plan)
        recording += ones
        without += others
    lost, detail = loss(recording, without)
    yield Figure(
        "send, receive, delete lost to the timeline", MEMORY, lost, "%", at_most=5, detail=detail
    )


def _pair(plan: Plan) -> tuple[list[Sample], list[Sample]]:
    """Samples of a server that records and of one that does not."""
    with ExitStack() as stack:
        turns = []
        for options in ((), ("--timeline-events", "0")):
            server = headrace(MEMORY, plan.directory, *options)
            stack.enter_context(running(server, plan.directory))
            url = create_queue(server.port, "lives")
            # As many as are kept: from then on each event displaces one.
            drive(server.port, message_batches(url, _EVENTS))
            turns.append(partial(run, cycle(url), server, plan.cycle_seconds))
            turns[-1]()
        recording, without = turns
        return in_turns(2, recording, without)
