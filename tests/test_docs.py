"""The documents say what is so."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from api.__main__ import _parser
from api.settings import Settings, environment_name, option_name
from api.sns import SNS
from api.sqs import SQS
from tests.support.process import Server

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text("utf-8")
ARCHITECTURE = (ROOT / "ARCHITECTURE.md").read_text("utf-8")


@pytest.mark.parametrize("field", Settings.model_fields)
def test_the_readme_names_each_setting_with_its_variable_and_default(field: str) -> None:
    [row] = [
        line
        for line in README.splitlines()
        if line.startswith("| `--") and environment_name(field) in line
    ]
    assert option_name(field) in row
    default = Settings.model_fields[field].default
    if default is not None:
        assert str(default).lower() in row.lower()


def test_the_readme_names_no_option_that_does_not_exist() -> None:
    known = {option_name(field) for field in Settings.model_fields} | {"--help"}
    assert set(re.findall(r"--[a-z][a-z-]+", README)) - known == set()


def test_the_readme_counts_the_operations() -> None:
    assert f"All {len(SQS.operations)} operations of SQS" in README
    assert f"all {len(SNS.operations)} of SNS" in README


def test_the_program_of_the_readme_runs(tmp_path: Path) -> None:
    [program] = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    server = Server(tmp_path, "--store", "memory")
    try:
        server.start()
        program = program.replace("http://127.0.0.1:4566", f"http://127.0.0.1:{server.port}")
        done = subprocess.run(
            [sys.executable, "-c", program],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            env={k: v for k, v in os.environ.items() if not k.startswith("AWS_")},
        )
        assert (done.stdout, done.returncode) == ("hello\n", 0), done.stderr
    finally:
        server.kill()


_PATHS = re.findall(r"`((?:api|broker|storage|tests|examples)/[\w./]*)`", ARCHITECTURE)


@pytest.mark.parametrize("path", sorted(set(_PATHS)))
def test_what_the_architecture_names_is_there(path: str) -> None:
    assert (ROOT / path).exists()


def test_make_help_lists_the_targets_that_are_documented() -> None:
    listed = subprocess.run(
        ["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    documents = README + (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    for target in re.findall(r"(?:^    |`)make ([a-z-]+)", documents, re.MULTILINE):
        assert re.search(rf"^{target} ", listed, re.MULTILINE), target


def test_the_parser_takes_every_setting() -> None:
    arguments = [part for f in Settings.model_fields for part in (option_name(f), "x")]
    assert set(vars(_parser().parse_args(["serve", *arguments]))) == {
        "command",
        *Settings.model_fields,
    }
