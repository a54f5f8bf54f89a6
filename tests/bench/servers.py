"""The servers under measurement: how each is started, pinned, watched in /proc and stopped."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from tests.bench.client import BenchError, call

T = TypeVar("T")
MEMORY = "memory"
SQLITE = "strict SQLite"
#: The stores of Headrace, which come first in every table.
STORES = (MEMORY, SQLITE)

ROOT = Path(__file__).resolve().parents[2]
CORES = sorted(os.sched_getaffinity(0))
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


def use_core(index: int) -> None:
    """Bind this process, and whatever it starts from now on, to one core if there are two."""
    if len(CORES) > 1:
        os.sched_setaffinity(0, {CORES[index]})


@dataclass
class Server:
    """A server process on core 0.  `{port}` in its command stands for the port it gets."""

    name: str
    command: list[str]
    environment: dict[str, str] = field(default_factory=dict)
    port: int = 0
    _process: subprocess.Popen[bytes] | None = None
    _log: Path | None = None

    def spawn(self, directory: Path) -> None:
        """Start the process and return at once; it logs into the directory.

        Started a second time it takes the port of the first, so queue URLs stay valid.
        """
        if not self.port:
            with socket.socket() as free:
                free.bind(("127.0.0.1", 0))
                self.port = free.getsockname()[1]
        self._log = directory / f"{self.name.replace(' ', '-')}.log"
        environment = {k: v.format(port=self.port) for k, v in self.environment.items()}
        use_core(0)
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [part.format(port=self.port) for part in self.command],
                cwd=ROOT,
                env=os.environ | environment,
                stdout=log,
                stderr=log,
                # A Ctrl-C is ours to handle: the servers are stopped when the figure unwinds.
                start_new_session=True,
            )
        use_core(1)

    def until_answered(self, question: Callable[[], T], timeout_s: float = 30) -> T:
        """Ask every 5 ms until there is an answer that means something, and return it."""
        deadline = time.monotonic() + timeout_s
        while True:
            try:
                answer = question()
                failure = BenchError(f"{self.name} gave no answer")
            except BenchError as error:
                answer, failure = None, error
            if answer:
                return answer
            self._check_alive()
            if time.monotonic() > deadline:
                raise failure
            time.sleep(0.005)

    def until_ready(self) -> None:
        """Return as soon as ListQueues is answered with success."""
        self.until_answered(lambda: call(self.port, "ListQueues") is not None)

    def _check_alive(self) -> None:
        assert self._process
        assert self._log
        if self._process.poll() is not None:
            said = self._log.read_text(errors="replace").strip().splitlines() or ["nothing"]
            raise BenchError(f"{self.name} exited {self._process.returncode}: {said[-1][:200]}")

    def settle(self, timeout_s: float = 10) -> None:
        """Return once the process is idle, so that it takes no time from the next in line.

        There may be checkpoints to write, or requests whose client has gone away.
        """
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            before_s = self.cpu_s()
            time.sleep(0.1)
            if self.cpu_s() - before_s <= 1 / _TICKS_PER_S:
                return

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        """End the process: kindly, and after 10 s by force."""
        if not self._process:
            return
        self._process.send_signal(how)
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def rss_mib(self, peak: bool = False) -> float:
        """Resident memory in MiB, now or at its highest."""
        assert self._process
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        kib = status.partition("VmHWM:" if peak else "VmRSS:")[2].split()[0]
        return int(kib) / 1024

    def cpu_s(self) -> float:
        """CPU seconds used so far, user and system, in all threads."""
        assert self._process
        stat = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(stat[11]) + int(stat[12])) / _TICKS_PER_S


def empty() -> Server:
    """The baseline."""
    return Server("empty", [sys.executable, "-m", "tests.bench.empty", "{port}"])


def headrace(store: str, directory: Path, *options: str) -> Server:
    """Headrace on one of its stores; a database file goes into the directory."""
    location = "memory" if store == MEMORY else f"sqlite:{directory / 'headrace.db'}"
    command = [sys.executable, "-m", "api", "serve", "--host", "127.0.0.1", "--port", "{port}"]
    command += ["--store", location, "--durability", "strict"]
    return Server(store, [*command, *options])


def rivals(python: str) -> list[Server]:
    """Emulators in Python, from an interpreter that has them installed."""
    moto = [python, "-m", "moto.server", "-H", "127.0.0.1", "-p", "{port}"]
    # Its MQTT listener has a fixed port, which may be taken, and nothing to do with SQS.
    ministack = {"GATEWAY_PORT": "{port}", "BIND_HOST": "127.0.0.1", "IOT_MTLS_ENABLED": "0"}
    return [
        Server("moto", moto),
        Server("ministack", [python, "-m", "ministack"], ministack),
    ]


@contextlib.contextmanager
def work_directory(parent: Path) -> Iterator[Path]:
    """A fresh directory below `parent`, removed at the end; so is `parent` if we made it."""
    ours = not parent.exists()
    parent.mkdir(parents=True, exist_ok=True)
    try:
        with tempfile.TemporaryDirectory(dir=parent, prefix="run-") as path:
            yield Path(path).resolve()
    finally:
        if ours:
            with contextlib.suppress(OSError):
                parent.rmdir()


@contextlib.contextmanager
def running(server: Server, directory: Path) -> Iterator[Server]:
    """A server that is ready for requests, and gone at the end."""
    try:
        server.spawn(directory)
        server.until_ready()
        yield server
    finally:
        server.stop()
