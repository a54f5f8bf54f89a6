"""A real server in a process of its own: started, called, stopped, killed, started again."""

import http.client
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import urlsplit

T = TypeVar("T")

ROOT = Path(__file__).resolve().parents[2]
#: both ways to start the program
MODULE = (sys.executable, "-m", "api")
SCRIPT = (str(Path(sys.executable).with_name("headrace")),)

_LAST_LINE_OF_BANNER = b"  stop "
_AUTHORIZATION = (
    "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/sqs/aws4_request,"
    " SignedHeaders=host;x-amz-date, Signature=" + "0" * 64
)


class NotStarted(Exception):
    """The server ended, or said nothing, before it was ready."""


class Refused(Exception):
    """An answer other than 200."""

    def __init__(self, status: int, code: str, text: str) -> None:
        super().__init__(f"{status} {code}: {text}")
        self.status = status
        self.code = code


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """This process's environment without any setting of the server, and the ones given."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("HEADRACE_")}
    return {**inherited, "PYTHONUNBUFFERED": "1", **(extra or {})}


def run_command(
    *arguments: str,
    command: Sequence[str] = MODULE,
    extra_environment: Mapping[str, str] | None = None,
    cwd: Path = ROOT,
    timeout_s: float = 20,
) -> subprocess.CompletedProcess[str]:
    """Run the program to its end, which must come in time."""
    return subprocess.run(
        [*command, *arguments],
        cwd=cwd,
        env=environment(extra_environment),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )


def until(condition: Callable[[], T], *, timeout_s: float = 10, pause_s: float = 0.005) -> T:
    """Ask again and again until the answer is truthy, and return it; fails at the timeout."""
    deadline = time.monotonic() + timeout_s
    while not (answer := condition()):
        assert time.monotonic() < deadline, f"still {answer!r} after {timeout_s} s"
        time.sleep(pause_s)
    return answer


class Server:
    """A server process on a free port; each start takes another one.

    As a context manager it starts the server and leaves no process behind.  Queue URLs of an
    earlier start go on working: the server looks at their path only.
    """

    def __init__(
        self,
        directory: Path,
        *options: str,
        command: Sequence[str] = MODULE,
        extra_environment: Mapping[str, str] | None = None,
        cwd: Path = ROOT,
    ) -> None:
        """``directory`` takes what the server writes to standard error, start after start."""
        port = () if "--port" in options else ("--port", "0")
        self._command = [*command, "serve", *port, *options]
        self._environment = environment(extra_environment)
        self._cwd = cwd
        self._log = directory / "server.stderr"
        self._process: subprocess.Popen[bytes] | None = None
        self.banner = ""
        self.endpoint = ""

    # --- start and stop -------------------------------------------------------------------------

    def spawn(self) -> None:
        """Start the process and return at once."""
        assert self._process is None, "it runs already"
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                cwd=self._cwd,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
            )

    def await_ready(self, timeout_s: float = 20) -> None:
        """Read the banner, which is printed once the server answers; else ``NotStarted``."""
        process = self._running()
        assert process.stdout is not None
        deadline = time.monotonic() + timeout_s
        banner = b""
        while _LAST_LINE_OF_BANNER not in banner or not banner.endswith(b"\n"):
            left_s = deadline - time.monotonic()
            readable, _, _ = select.select([process.stdout], [], [], max(0, left_s))
            piece = os.read(process.stdout.fileno(), 65_536) if readable else b""
            if not piece:
                self.kill()
                raise NotStarted(f"the banner was {banner!r}; it said: {self.stderr[-2000:]}")
            banner += piece
        self.banner = banner.decode()
        self.endpoint = self.banner.partition("endpoint")[2].split()[0]

    def start(self) -> None:
        """Start the process and wait until it answers."""
        self.spawn()
        self.await_ready()

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal and return at once."""
        self._running().send_signal(number)

    def wait(self, timeout_s: float = 10) -> int:
        """Wait for the process to end by itself; its exit status (negative: the signal)."""
        process = self._running()
        try:
            status = process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.kill()
            raise
        self._forget()
        return status

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Ask the process to end; its exit status."""
        self.send_signal(number)
        return self.wait()

    def kill(self) -> None:
        """``kill -9``, whatever it is doing; nothing happens if there is no process."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._forget()

    def kill_and_restart(self) -> None:
        """``kill -9`` and start again on the same data."""
        self.kill()
        self.start()

    def _forget(self) -> None:
        process = self._running()
        assert process.stdout is not None
        process.stdout.close()
        self._process = None

    def _running(self) -> subprocess.Popen[bytes]:
        assert self._process is not None, "there is no process"
        return self._process

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.kill()

    # --- looking at it --------------------------------------------------------------------------

    @property
    def pid(self) -> int:
        """The process's id."""
        return self._running().pid

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self._process is not None and self._process.poll() is None

    @property
    def stderr(self) -> str:
        """Everything written to standard error so far, in all starts."""
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    @property
    def host(self) -> str:
        """The host part of the endpoint, without brackets."""
        return urlsplit(self.endpoint).hostname or ""

    @property
    def port(self) -> int:
        """The port of the endpoint."""
        return urlsplit(self.endpoint).port or 0

    # --- talking to it --------------------------------------------------------------------------

    def connect(self) -> socket.socket:
        """A plain connection."""
        return socket.create_connection((self.host, self.port), timeout=30)

    def call(
        self, operation: str, /, headers: Mapping[str, str] | None = None, **members: Any
    ) -> Any:
        """One SQS call on a connection of its own; ``Refused`` for any answer but a 200."""
        connection = http.client.HTTPConnection(self.host, self.port, timeout=30)
        try:
            connection.request(
                "POST",
                "/",
                json.dumps(members),
                {**call_headers(operation), **(headers or {})},
            )
            response = connection.getresponse()
            answer = response.read()
        finally:
            connection.close()
        if response.status != 200:
            told = json.loads(answer)
            raise Refused(response.status, told.get("__type", "?"), told.get("message", "?"))
        return json.loads(answer or b"{}")

    def create_queue(self, name: str, **attributes: str) -> str:
        """Create a queue, FIFO if its name says so; its URL."""
        if name.endswith(".fifo"):
            attributes["FifoQueue"] = "true"
        url: str = self.call("CreateQueue", QueueName=name, Attributes=attributes)["QueueUrl"]
        return url

    def receive(self, url: str, **members: Any) -> list[dict[str, Any]]:
        """The messages that a receive brings, ten at most, with all their attributes."""
        asked: dict[str, Any] = {
            "QueueUrl": url,
            "MaxNumberOfMessages": 10,
            "MessageSystemAttributeNames": ["All"],
            "MessageAttributeNames": ["All"],
        }
        found: list[dict[str, Any]] = self.call("ReceiveMessage", **asked | members).get(
            "Messages", []
        )
        return found

    def attributes(self, url: str) -> dict[str, str]:
        """All attributes of a queue."""
        answer = self.call("GetQueueAttributes", QueueUrl=url, AttributeNames=["All"])
        return dict(answer["Attributes"])

    def catch_up(self) -> None:
        """Return when what other connections sent before has been read and begun.

        Each answer takes turns of the server's event loop, which looks at all sockets in each.
        """
        for _ in range(5):
            self.call("ListQueues")


def call_headers(operation: str) -> dict[str, str]:
    """What an SDK sends along with a call."""
    return {
        "Content-Type": "application/x-amz-json-1.0",
        "X-Amz-Target": f"AmazonSQS.{operation}",
        "X-Amz-Date": "20260101T000000Z",
        "Authorization": _AUTHORIZATION,
    }


def request_bytes(
    operation: str, /, headers: Mapping[str, str] | None = None, **members: Any
) -> bytes:
    """A call as bytes, for a plain connection."""
    body = json.dumps(members).encode()
    told = {
        "Host": "localhost",
        **call_headers(operation),
        "Content-Length": str(len(body)),
        **(headers or {}),
    }
    lines = "".join(f"{name}: {value}\r\n" for name, value in told.items())
    return f"POST / HTTP/1.1\r\n{lines}\r\n".encode() + body


def read_answer(connection: socket.socket) -> tuple[int, dict[str, str], Any]:
    """One answer on a plain connection: status, headers by lower-case name, decoded body."""
    response = http.client.HTTPResponse(connection)
    try:
        response.begin()
        body = response.read()
    finally:
        response.close()
    headers = {name.lower(): value for name, value in response.getheaders()}
    return response.status, headers, json.loads(body or b"{}")


@contextmanager
def connected(server: Server, number: int) -> Iterator[list[socket.socket]]:
    """That many plain connections, closed at the end."""
    connections: list[socket.socket] = []
    try:
        connections.extend(server.connect() for _ in range(number))
        yield connections
    finally:
        for connection in connections:
            connection.close()
