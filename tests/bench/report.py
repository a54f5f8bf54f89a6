"""What was measured, and how it is printed: JSON lines, tables, the machine."""

import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.bench.servers import CORES, ROOT, STORES


@dataclass(frozen=True)
class Figure:
    """One line of the result.  `value` is None when it could not be measured."""

    name: str
    subject: str  # the store, or the rival
    value: float | None
    unit: str
    at_least: float | None = None
    at_most: float | None = None
    detail: dict[str, Any] = field(default_factory=dict)

    @property
    def aim(self) -> str:
        if self.at_least is not None:
            return f">= {self.at_least:g}"
        return "" if self.at_most is None else f"<= {self.at_most:g}"

    @property
    def met(self) -> bool | None:
        """Whether the aim is reached; None if there is none."""
        if self.value is None:
            return False
        if self.at_least is not None:
            return self.value >= self.at_least
        return None if self.at_most is None else self.value <= self.at_most

    def as_json(self) -> str:
        line = {
            "figure": f"{self.name}, {self.subject}",
            "value": None if self.value is None else round(self.value, 3),
            "unit": self.unit,
            "aim": self.aim,
            "met": self.met,
            "detail": self.detail,
        }
        return json.dumps(line)


def progress(text: str) -> None:
    """Tell whoever waits; standard output is for results."""
    print(text, file=sys.stderr, flush=True)


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table that also reads well as plain text."""
    lines = [list(header), *map(list, rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    lines.insert(1, ["-" * width for width in widths])
    padded = (
        [cell.ljust(width) for cell, width in zip(line, widths, strict=True)] for line in lines
    )
    return "\n".join("| " + " | ".join(line) + " |" for line in padded)


def _number(value: float | None, unit: str = "") -> str:
    if value is None:
        return "failed"
    digits = 3 if abs(value) < 0.1 else 2 if abs(value) < 10 else 1
    return f"{value:,.{digits}f} {unit}".strip()


def summary(figures: Sequence[Figure]) -> str:
    """All figures of Headrace."""
    met = {True: "yes", False: "no", None: ""}
    rows = [
        (f.name, f.subject, _number(f.value, f.unit), f.aim, met[f.met])
        for f in figures
        if f.subject in STORES
    ]
    return _table(("figure", "store", "measured", "aim", "met"), rows)


def side_by_side(figures: Sequence[Figure]) -> str:
    """The figures that were also taken of rivals, one column per server."""
    subjects = list(dict.fromkeys(figure.subject for figure in figures))
    taken = {(figure.name, figure.subject): figure for figure in figures}
    names = dict.fromkeys(figure.name for figure in figures if figure.subject not in STORES)

    def cell(figure: Figure | None) -> str:
        if figure is None:
            return ""
        per_s = figure.detail.get("per_s")
        return _number(figure.value) + (f" ({per_s:,.0f}/s)" if per_s else "")

    rows = [[name, *(cell(taken.get((name, subject))) for subject in subjects)] for name in names]
    return _table(("relative to the empty app", *subjects), rows)


def machine(directory: Path) -> str:
    """What this was measured on, in a few lines."""
    cpu = Path("/proc/cpuinfo").read_text().partition("model name")[2].partition("\n")[0]
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    ).stdout.strip()
    cpu = cpu.strip(" :\t") or platform.machine()
    cores = f"{len(CORES)} of {os.cpu_count()} cores"
    if len(CORES) == 1:
        pinning = "ONE core shared by server and load: the ratios are not comparable"
    else:
        pinning = f"server on core {CORES[0]}, load on core {CORES[1]}"
    return (
        f"{cpu}, {cores}; {pinning}\n"
        f"Linux {platform.release()}, Python {platform.python_version()}, "
        f"files on {_file_system(directory)}, commit {commit or 'none'}"
    )


def _file_system(directory: Path) -> str:
    """The type of the file system that holds the databases; on tmpfs an fsync costs nothing."""
    mounts = [line.split()[1:3] for line in Path("/proc/mounts").read_text().splitlines()]
    holding = [(m, kind) for m, kind in mounts if directory.is_relative_to(m)]
    kind = max(holding, key=lambda mount: len(mount[0]))[1]
    return f"{kind} (NOT durable: strict figures mean nothing)" if kind == "tmpfs" else kind
