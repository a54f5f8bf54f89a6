"""Images and containers without an engine: buildah builds, namespaces of the kernel contain.

Needs Linux, root, and the programs in ``TOOLS``.
"""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from tests.packaging.enter import Setup
from tests.support.process import ROOT, until

#: programs that are needed, and the Debian packages that have them
TOOLS = {
    "buildah": "buildah",
    "debootstrap": "debootstrap",
    "ip": "iproute2",
    "mount": "mount",
    "nsenter": "util-linux",
    "setpriv": "util-linux",
    "unshare": "util-linux",
}
#: what the local base is made of; its Python is that of the Dockerfile's own
BASE_SUITE = "trixie"
BASE_PACKAGES = "python3,python3-venv,ca-certificates"

#: what official images set
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")


def missing() -> str | None:
    """What this machine lacks for containers, in one line, or None; installs tools if it can."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "building and running the image needs Linux and root"
    absent = sorted({package for tool, package in TOOLS.items() if shutil.which(tool) is None})
    if absent and shutil.which("apt-get") is not None:
        environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
        for arguments in (["update"], ["install", "-y", "--no-install-recommends", *absent]):
            subprocess.run(
                ["apt-get", "-qq", *arguments], env=environment, capture_output=True, check=False
            )
    absent = sorted(tool for tool in TOOLS if shutil.which(tool) is None)
    return f"programs are missing: {', '.join(absent)}" if absent else None


def run(*command: str, **options: Any) -> str:
    """Run a program; its output.  Fails with what it said if it does not end well."""
    ended = subprocess.run(command, capture_output=True, text=True, check=False, **options)
    output: str = ended.stdout
    assert ended.returncode == 0, f"{command[0]}: {(output + ended.stderr)[-4000:]}"
    return output


class Images:
    """Images that are built and kept in a directory."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def _buildah(self, *arguments: str) -> str:
        store = ("--root", str(self._directory / "images"), "--storage-driver", "vfs")
        runtime = ("--runroot", str(self._directory / "run"))
        return run(
            "buildah",
            *store,
            *runtime,
            *arguments,
            env=os.environ | {"BUILDAH_ISOLATION": "chroot"},
        )

    def base(self) -> str:
        """An image with Python and little else, made when there is none yet; its name.

        As in the official images of Python, nothing of the standard library is compiled.
        """
        name = f"localhost/headrace-base-{BASE_SUITE}"
        if name in self._buildah("images", "--format", "{{.Name}}").split():
            return name
        with tempfile.TemporaryDirectory(dir=self._directory) as folder:
            root = Path(folder) / "root"
            include = f"--include={BASE_PACKAGES}"
            run("debootstrap", "--variant=minbase", include, BASE_SUITE, str(root))
            for path in ("var/cache/apt", "var/lib/apt/lists", "var/log"):
                shutil.rmtree(root / path)
                (root / path).mkdir()
            for path in ("usr/lib", "usr/share"):
                for compiled in (root / path).rglob("*.pyc"):
                    compiled.unlink()
            container = self._buildah("from", "scratch").strip()
            self._buildah("add", "--quiet", container, str(root), "/")
            self._buildah("config", "--env", f"PATH={_PATH}", container)
            self._buildah("commit", "--quiet", "--rm", container, name)
        return name

    def build(self, name: str, base: str) -> None:
        """Build the project's Dockerfile; pip is told what it is told on this machine."""
        with tempfile.TemporaryDirectory(dir=self._directory) as folder:
            configuration = Path(folder) / "pip.conf"
            configuration.write_text(_pip_configuration(), "utf-8")
            self._buildah(
                "build",
                *("--format", "docker"),
                *("--build-arg", f"BASE_IMAGE={base}"),
                *("--volume", f"{configuration}:/etc/pip.conf:ro"),
                *("--volume", f"{_CERTIFICATES}:{_CERTIFICATES}:ro"),
                *("--tag", name),
                str(ROOT),
            )
        self._buildah("rmi", "--prune", "--force")  # what had the name before

    def config(self, name: str) -> Any:
        """What the image says of how it is run, as Docker names it."""
        inspected = json.loads(self._buildah("inspect", "--type", "image", name))
        return inspected["Docker"]["config"]

    @contextlib.contextmanager
    def unpacked(self, name: str) -> Iterator[Path]:
        """The files of an image, a copy that may be changed."""
        container = self._buildah("from", "--pull=never", name).strip()
        try:
            yield Path(self._buildah("mount", container).strip())
        finally:
            self._buildah("rm", container)


def _pip_configuration() -> str:
    """The index that pip uses here, and the authorities that it trusts."""
    lines = ["[global]", f"cert = {_CERTIFICATES}"]
    pip = (sys.executable, "-m", "pip", "config", "get", "global.index-url")
    asked = subprocess.run(pip, capture_output=True, text=True, check=False)
    if asked.returncode == 0:
        lines.append(f"index-url = {asked.stdout.strip()}")
    return "\n".join(lines) + "\n"


class Network:
    """A network of this machine and containers, each with an address of its own."""

    _numbers = count()

    def __init__(self) -> None:
        # not the name of an earlier one, of which the kernel may still be disposing
        self._name = f"hr{os.getpid()}-{next(self._numbers)}"
        self._prefix = f"198.18.{os.getpid() % 256}"  # RFC 2544: never anybody's
        self._namespaces: list[str] = []

    def __enter__(self) -> "Network":
        run("ip", "link", "add", self._name, "type", "bridge")
        run("ip", "address", "add", f"{self._prefix}.1/24", "dev", self._name)
        run("ip", "link", "set", self._name, "up")
        return self

    def __exit__(self, *_: object) -> None:
        for namespace in self._namespaces:
            run("ip", "netns", "delete", namespace)
        run("ip", "link", "delete", self._name)

    def join(self) -> tuple[str, str]:
        """A place on the network: the name of its namespace, and its address."""
        number = len(self._namespaces) + 2
        namespace = outer = f"{self._name}-{number}"
        address = f"{self._prefix}.{number}"
        within = ("ip", "-n", namespace)
        run("ip", "netns", "add", namespace)
        self._namespaces.append(namespace)
        run("ip", "link", "add", outer, "type", "veth", "peer", "eth0", "netns", namespace)
        run("ip", "link", "set", outer, "master", self._name, "up")
        run(*within, "address", "add", f"{address}/24", "dev", "eth0")
        run(*within, "link", "set", "eth0", "up")
        run(*within, "link", "set", "lo", "up")
        return namespace, address


@dataclass(frozen=True)
class Place:
    """Where and how containers run: what an engine is told on its command line."""

    root: Path
    config: Any
    namespace: str
    read_only: bool = True
    scratch: Sequence[str] = ()
    mounts: Sequence[tuple[Path, str, bool]] = ()


class Container:
    """A program of an image, in namespaces of its own; it is process 1 there.

    As a context manager it leaves no process behind.
    """

    def __init__(
        self,
        place: Place,
        log: Path,
        *,
        entrypoint: Sequence[str] | None = None,
        command: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """``entrypoint``, ``command`` and ``environment`` go before what the image says."""
        config = place.config
        if entrypoint is None:
            entrypoint = config["Entrypoint"]
            command = command or config["Cmd"]
        user, group = map(int, config["User"].split(":"))
        declared = dict(each.split("=", 1) for each in config["Env"])
        self._setup = Setup(
            root=str(place.root),
            read_only=place.read_only,
            scratch=list(place.scratch),
            mounts=[(str(source), target, ro) for source, target, ro in place.mounts],
            user=user,
            group=group,
            environment={**declared, **(environment or {})},
            command=[*entrypoint, *command],
        )
        self._namespace = place.namespace
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it; returns at once."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *("ip", "netns", "exec", self._namespace, "setpriv", "--no-new-privs"),
                    *("unshare", "--mount", "--pid", "--ipc", "--uts", "--fork", "--kill-child"),
                    *(sys.executable, "-m", "tests.packaging.enter", self._setup.as_argument()),
                ],
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def __enter__(self) -> "Container":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.running.poll() is None:
            self.kill()

    @property
    def running(self) -> subprocess.Popen[bytes]:
        """The process that waits for it."""
        assert self._process is not None, "it was not started"
        return self._process

    @property
    def pid(self) -> int:
        """The number that its first process has outside."""
        own = self.running.pid
        [child] = Path(f"/proc/{own}/task/{own}/children").read_text().split()
        return int(child)

    @property
    def said(self) -> str:
        """All output so far."""
        return self._log.read_text("utf-8", "replace")

    def await_output(self, text: str, timeout_s: float = 30) -> None:
        """Return once it has said this; fails if it ends or stays silent."""
        until(lambda: text in self.said or self.running.poll() is not None, timeout_s=timeout_s)
        assert text in self.said, f"it ended: {self.said}"

    def stop(self, number: signal.Signals = signal.SIGTERM) -> tuple[int, float]:
        """Signal its first process; exit status, and how many seconds it took."""
        began = time.monotonic()
        os.kill(self.pid, number)
        status = self.running.wait(30)
        return status, time.monotonic() - began

    def kill(self) -> None:
        """``kill -9``, and wait for the end."""
        os.kill(self.pid, signal.SIGKILL)
        self.running.wait(30)

    def execute(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run another program in it, as ``docker exec`` does."""
        nsenter = shutil.which("nsenter")
        assert nsenter is not None
        setup = self._setup
        return subprocess.run(
            [
                *(nsenter, f"--target={self.pid}", "--mount", "--pid", "--net", "--root", "--wd"),
                *(f"--setuid={setup.user}", f"--setgid={setup.group}", *command),
            ],
            env=setup.environment,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
