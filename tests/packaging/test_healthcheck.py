"""The image's health check, run as the image runs it."""

import http.server
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.process import ROOT, Server, environment


def check(**settings: str) -> tuple[int, str]:
    """Its exit status and what it says, which is one line."""
    ended = subprocess.run(
        [sys.executable, ROOT / "docker/healthcheck.py"],
        env=environment({f"HEADRACE_{name.upper()}": value for name, value in settings.items()}),
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert ended.stderr == ""
    [line] = ended.stdout.splitlines()
    return ended.returncode, line


@contextmanager
def answering(status: int, body: bytes) -> Iterator[str]:
    """A server that answers everything so; its port."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Nobody reads it."""

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield str(server.server_port)
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize("host", ["0.0.0.0", "127.0.0.1", "::", "::1", "localhost"])  # noqa: S104
def test_it_finds_the_server_wherever_it_listens(host: str, tmp_path: Path) -> None:
    """Where ``::`` is listened on, so is 127.0.0.1, or not: it asks ::1."""
    with Server(tmp_path, "--host", host, "--store", "memory") as server:
        status, line = check(host=host, port=str(server.port))
    assert status == 0, line
    assert line.endswith(f":{server.port} serves")


def test_an_unhealthy_server_is_told_with_its_reason() -> None:
    with answering(503, b'{"status": "starting",\n "reason": "queues"}') as port:
        status, line = check(host="0.0.0.0", port=port)  # noqa: S104
    assert status == 1
    assert line.startswith(f"127.0.0.1:{port} HTTP/1.0 503 ")
    assert line.endswith('{"status": "starting", "reason": "queues"}')


def test_a_server_that_is_not_there_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    assert check(port=str(port)) == (1, f"127.0.0.1:{port} Connection refused")


def test_a_server_that_does_not_answer_is_told_in_time() -> None:
    """Before the engine gives up, which would say nothing."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        assert check(port=str(port)) == (1, f"127.0.0.1:{port} timed out")


def test_a_server_that_hangs_up_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]

        def hang_up() -> None:
            connection, _ = listening.accept()
            connection.recv(65_536)
            connection.close()

        thread = threading.Thread(target=hang_up)
        thread.start()
        assert check(port=str(port)) == (1, f"127.0.0.1:{port} no answer")
        thread.join()


def test_a_port_that_is_no_number_is_told() -> None:
    assert check(port="https") == (1, "127.0.0.1:https HEADRACE_PORT is not a number")
