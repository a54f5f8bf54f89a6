"""How much to measure: what the command line decided."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Plan:
    """The sizes of one run.  More rounds and seconds make steadier figures."""

    rounds: int
    seconds: int  # of load per round, throughput figures
    cycle_seconds: int  # of load per round, figures about backlogs and topics
    backlog: int  # messages that count as many
    polls_seconds: float  # of sends to parked polls
    idle_seconds: float  # of watching parked polls at rest
    publishes: int  # to a hundred HTTP endpoints
    directory: Path  # for databases and logs; on a real disk
    rivals_python: str | None  # None: no rivals
