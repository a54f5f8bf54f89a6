"""The Dockerfile, as far as reading shows something; ``make image-test`` builds and runs it."""

import json
import re
import shlex
from fnmatch import fnmatch

from tests.packaging.compose import read_compose
from tests.support.process import ROOT


def read_stages() -> list[list[tuple[str, str]]]:
    """(instruction, the rest of its line), stage by stage; first what comes before any stage."""
    text = (ROOT / "Dockerfile").read_text("utf-8").replace("\\\n", " ")
    stages: list[list[tuple[str, str]]] = [[]]
    for line in text.splitlines():
        if not line or line.startswith("#"):
            continue
        instruction, rest = line.split(None, 1)
        if instruction == "FROM":
            stages.append([])
        stages[-1].append((instruction, rest))
    return stages


STAGES = read_stages()


def of(stage: int, instruction: str) -> list[str]:
    """What follows this instruction, each time."""
    return [rest for each, rest in STAGES[stage] if each == instruction]


def test_all_stages_are_built_on_the_argument() -> None:
    assert of(0, "ARG") == ["BASE_IMAGE=python:3.13-slim"]
    assert of(1, "FROM") == ["${BASE_IMAGE} AS build"]
    assert of(2, "FROM") == ["${BASE_IMAGE}"]
    assert len(STAGES) == 3


def test_what_is_installed_is_locked_by_hashes_and_never_compiled_here() -> None:
    installs = re.findall(r"install [^&]*", " ".join(of(1, "RUN")))
    assert len(installs) == 3
    for install in installs:
        words = shlex.split(install)
        if "dist/*.whl" in words:
            assert {"--no-deps", "--no-index"} <= set(words)
        else:
            assert {"--require-hashes", "--only-binary"} <= set(words)


def test_nothing_is_run_in_the_image_itself_so_it_needs_no_shell() -> None:
    assert of(2, "RUN") == []
    [entrypoint], [command], [check] = of(2, "ENTRYPOINT"), of(2, "CMD"), of(2, "HEALTHCHECK")
    for program in (entrypoint, command, check.split("CMD", 1)[1]):
        assert isinstance(json.loads(program), list)


def test_the_health_check_is_that_of_compose() -> None:
    [check] = of(2, "HEALTHCHECK")
    options, command = check.split("CMD", 1)
    told = dict(option.removeprefix("--").split("=") for option in options.split())
    in_compose = read_compose()["headrace"].raw["healthcheck"]
    assert ["CMD", *json.loads(command)] == in_compose["test"]
    assert {key.replace("-", "_"): value for key, value in told.items()} == {
        key: str(value) for key, value in in_compose.items() if key != "test"
    }


def test_the_build_is_shown_what_it_copies_and_nothing_else() -> None:
    patterns = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
    assert patterns[0] == "*"
    shown = {pattern[1:] for pattern in patterns if pattern.startswith("!")}
    copied = {source for rest in of(1, "COPY") for source in rest.split()[:-1]}
    assert shown == copied
    for path in shown:
        assert (ROOT / path).exists()
    assert any(fnmatch("api/__pycache__", pattern) for pattern in patterns[1:])
