"""The example of a turned clock does what it says, and in no time."""

import re
import sys
from pathlib import Path

import pytest

from tests.examples.test_examples import run_example
from tests.support.process import ROOT, Server


@pytest.mark.parametrize("clock", ["system", "frozen"])
def test_a_quarter_of_an_hour_of_failures_is_tested_at_once(tmp_path: Path, clock: str) -> None:
    with Server(tmp_path, "--store", "memory", "--clock", clock) as server:
        lines = run_example(sys.executable, "frozen_clock.py", endpoint=server.endpoint)
    assert lines == [
        "attempt 1: an order nobody can fulfil",
        "five minutes later: 1 message is back",
        "attempt 2: an order nobody can fulfil",
        "five minutes later: 1 message is back",
        "attempt 3: an order nobody can fulfil",
        "five minutes later: 1 message is back",
        "in the dead-letter queue: an order nobody can fulfil",
    ]


def test_the_program_of_the_recipe_runs(tmp_path: Path) -> None:
    recipes = (ROOT / "docs" / "testing.md").read_text("utf-8")
    [program] = re.findall(r"```python\n(.*?)```", recipes, re.DOTALL)
    with Server(tmp_path, "--store", "memory", "--clock", "frozen") as server:
        lines = run_example(sys.executable, "-c", program, endpoint=server.endpoint)
    assert lines == ["it came back after ten minutes"]
