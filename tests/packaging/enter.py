"""The inside of a container, before its program: run as the first process of new namespaces.

Takes a ``Setup`` as JSON in its argument, mounts what that says, and becomes the program, as its
user and without a way to more rights.
"""

import json
import os
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

_DEVICES = ("null", "zero", "full", "random", "urandom")


@dataclass(frozen=True)
class Setup:
    """What a program is to find around it."""

    root: str
    read_only: bool
    #: places where a file system in memory is mounted
    scratch: list[str]
    #: (path outside, path inside, whether it is read-only)
    mounts: list[tuple[str, str, bool]]
    user: int
    group: int
    environment: dict[str, str]
    command: list[str]

    def as_argument(self) -> str:
        """The argument for ``python -m tests.packaging.enter``."""
        return json.dumps(asdict(self))


def _mount(*arguments: str) -> None:
    subprocess.run(["mount", *arguments], check=True)


def enter(setup: Setup) -> None:
    """Become the program; returns only by an exception."""
    root = Path(setup.root)

    def inside(path: str) -> str:
        return str(root / path.lstrip("/"))

    _mount("--bind", setup.root, setup.root)
    _mount("-t", "proc", "proc", inside("proc"))
    _mount("-t", "tmpfs", "-o", "mode=755", "tmpfs", inside("dev"))
    for device in _DEVICES:
        Path(inside(f"dev/{device}")).touch()
        _mount("--bind", f"/dev/{device}", inside(f"dev/{device}"))
    for path in setup.scratch:
        _mount("-t", "tmpfs", "-o", "mode=1777", "tmpfs", inside(path))
    for source, target, read_only in setup.mounts:
        _mount("--bind", source, inside(target))
        if read_only:
            _mount("-o", "remount,bind,ro", inside(target))
    if setup.read_only:
        _mount("-o", "remount,bind,ro", setup.root)
    os.chroot(root)
    os.chdir("/")
    os.setgroups([])
    os.setgid(setup.group)
    os.setuid(setup.user)
    os.umask(0o022)
    os.execvpe(setup.command[0], setup.command, setup.environment)  # noqa: S606 as it is meant


if __name__ == "__main__":
    enter(Setup(**json.loads(sys.argv[1])))
