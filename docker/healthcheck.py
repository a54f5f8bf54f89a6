"""Whether the server in this container serves: exit status 0, or 1 and one line that says why not.

The image's HEALTHCHECK.  It asks ``/_headrace/health`` where ``HEADRACE_HOST`` and
``HEADRACE_PORT`` say that the server listens.  It runs every few seconds, so it imports no more
than a socket: an HTTP client would triple its time.
"""

import os
import socket
import sys

TIMEOUT_S = 2.5

_LOOPBACK = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 what is listened on
_REQUEST = b"GET /_headrace/health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


def ask(host: str, port: int) -> str | None:
    """None if the server serves, else what is wrong."""
    try:
        with socket.create_connection((host, port), TIMEOUT_S) as connection:
            connection.sendall(_REQUEST)
            answer = b""
            while piece := connection.recv(65_536):
                answer += piece
    except OSError as error:
        return error.strerror or str(error)
    head, _, body = answer.partition(b"\r\n\r\n")
    if head.split(b" ", 2)[1:2] == [b"200"]:
        return None
    if not answer:
        return "no answer"
    said = head.partition(b"\r\n")[0] + b" " + body
    return " ".join(said.decode("utf-8", "replace").split())


def main() -> int:
    """The exit status."""
    host = os.environ.get("HEADRACE_HOST", "")
    host = _LOOPBACK.get(host, host)
    port = os.environ.get("HEADRACE_PORT", "4566")
    problem = ask(host, int(port)) if port.isdecimal() else "HEADRACE_PORT is not a number"
    sys.stdout.write(f"{host}:{port} {problem or 'serves'}\n")
    return 0 if problem is None else 1


if __name__ == "__main__":
    sys.exit(main())
