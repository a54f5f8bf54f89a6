"""From a checkout to a working ``headrace``, with each of the usual installers."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.packaging.test_wheel import PACKAGES
from tests.support.process import ROOT, Server, environment, run_command

#: installers that are programs of their own
TOOLS = ("pipx", "uv")


def run(*command: str | Path, extra_environment: dict[str, str] | None = None) -> None:
    """Run a program, which must end well."""
    ended = subprocess.run(
        command,
        env=environment(extra_environment),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr


def make_environment(folder: Path) -> Path:
    """An empty virtual environment; where its programs are."""
    run(sys.executable, "-m", "venv", folder)
    return folder / "bin"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """What is installed from: installers leave build output there."""
    folder = tmp_path / "checkout"
    for package in PACKAGES:
        shutil.copytree(
            ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__")
        )
    shutil.copy(ROOT / "pyproject.toml", folder)
    return folder


@pytest.fixture(scope="module")
def tools(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where ``TOOLS`` are, in an environment of their own."""
    programs = make_environment(tmp_path_factory.mktemp("tools"))
    run(programs / "pip", "install", "--quiet", *TOOLS)
    return programs


def with_pip(checkout: Path, folder: Path, _: Path) -> Path:
    programs = make_environment(folder)
    run(programs / "pip", "install", "--quiet", checkout)
    return programs / "headrace"


def with_pipx(checkout: Path, folder: Path, tools: Path) -> Path:
    places = {"PIPX_HOME": str(folder / "home"), "PIPX_BIN_DIR": str(folder / "bin")}
    run(
        *(tools / "pipx", "install", "--python", sys.executable, checkout),
        extra_environment=places,
    )
    return folder / "bin/headrace"


def with_uv(checkout: Path, folder: Path, tools: Path) -> Path:
    places = {
        "UV_CACHE_DIR": str(folder / "cache"),
        "UV_TOOL_DIR": str(folder / "home"),
        "UV_TOOL_BIN_DIR": str(folder / "bin"),
        "UV_PYTHON_DOWNLOADS": "never",
    }
    run(
        *(tools / "uv", "tool", "install", "--python", sys.executable, checkout),
        extra_environment=places,
    )
    return folder / "bin/headrace"


@pytest.mark.timeout(300)
@pytest.mark.parametrize("install", [with_pip, with_pipx, with_uv])
def test_an_installation_serves(
    install: Callable[[Path, Path, Path], Path], checkout: Path, tools: Path, tmp_path: Path
) -> None:
    """Anywhere, with nothing of the checkout in reach."""
    program = str(install(checkout, tmp_path / "installed", tools))
    shutil.rmtree(checkout)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    version = run_command("--version", command=[program], cwd=elsewhere)
    assert version.stdout.startswith("headrace ")
    assert "not installed" not in version.stdout

    with Server(elsewhere, "--store", "sqlite:headrace.db", command=[program], cwd=elsewhere) as it:
        url = it.create_queue("jobs")
        it.call("SendMessage", QueueUrl=url, MessageBody="hello")
        it.kill_and_restart()
        assert [each["Body"] for each in it.receive(url)] == ["hello"]
