"""``make wheel``: the same bytes from the same sources, and nothing in it that is not needed."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.support.process import ROOT, environment

PACKAGES = ("api", "broker", "storage")
#: what a package is made of; anything else there has no business in a wheel
SUFFIXES = {".py", ".sql"}
METADATA = {"METADATA", "RECORD", "WHEEL", "entry_points.txt", "top_level.txt"}


def make_wheel(folder: Path, *, umask: int = 0o022, time_zone: str = "UTC") -> Path:
    """Build the wheel into a folder, with the environment that runs the tests."""
    interpreter = Path(sys.executable)
    virtual_environment = interpreter.parent.parent
    subprocess.run(
        [
            *("make", "--no-print-directory", "wheel", f"DIST={folder}"),
            # whatever this environment was made from, it is the one to use
            *(f"VENV={virtual_environment}", f"--assume-old={virtual_environment}/.run"),
        ],
        cwd=ROOT,
        env=environment({"TZ": time_zone}),
        umask=umask,
        capture_output=True,
        check=True,
    )
    [wheel] = folder.iterdir()
    return wheel


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_wheel(tmp_path_factory.mktemp("wheel"))


def test_it_is_the_same_whoever_builds_it_where_and_when(wheel: Path, tmp_path: Path) -> None:
    again = make_wheel(tmp_path / "again", umask=0o077, time_zone="Asia/Tokyo")
    assert again.name == wheel.name
    assert again.read_bytes() == wheel.read_bytes()


def test_it_contains_the_packages_and_what_installers_need(wheel: Path) -> None:
    sources = {
        str(path.relative_to(ROOT))
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.suffix in SUFFIXES
    }
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    metadata = wheel.name.replace("-py3-none-any.whl", ".dist-info")
    assert names == sources | {f"{metadata}/{name}" for name in METADATA}


def test_the_packages_hold_nothing_that_the_wheel_would_miss() -> None:
    held = {
        path.suffix
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert held <= SUFFIXES


def test_everyone_may_read_what_it_installs(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        assert {entry.external_attr >> 16 & 0o444 for entry in archive.infolist()} == {0o444}


def test_building_it_leaves_nothing_in_the_checkout(tmp_path: Path) -> None:
    output = [ROOT / name for name in ("build", "dist", "headrace.egg-info")]
    before = [path.exists() for path in output]
    make_wheel(tmp_path / "wheel")
    assert [path.exists() for path in output] == before
