"""uvicorn's HTTP protocol with a short way out for answers that are complete.

The ASGI way checks each header with regular expressions and writes head and body apart; on the
wire path that was a quarter of the time of a request.  The short way is offered in the scope, as
an extension: under another server there is none, and ``send`` is used.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from uvicorn.protocols.http.httptools_impl import (
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)

#: the name of the extension in ``scope["extensions"]``
EXTENSION = "headrace.respond"

#: (status, headers, body) -> whether it has been sent; headers and body must be well-formed
Respond = Callable[[int, Sequence[tuple[bytes, bytes]], bytes], bool]


class HttpProtocol(HttpToolsProtocol):
    """One connection."""

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        extensions: dict[str, Any] = {EXTENSION: partial(_respond, cycle)}
        cycle.scope["extensions"] = extensions
        super()._start_asgi_task(cycle, app)


def _respond(
    cycle: RequestResponseCycle, status: int, headers: Sequence[tuple[bytes, bytes]], body: bytes
) -> bool:
    """Send a whole answer in one write; False, and nothing done, where ``send`` has to do it."""
    if cycle.flow.write_paused or cycle.response_started or cycle.scope["method"] == "HEAD":
        return False
    if cycle.disconnected:
        return True
    parts = [STATUS_LINE[status]]
    for name, value in (*cycle.default_headers, *headers):
        parts += (name, b": ", value, b"\r\n")
    if not cycle.keep_alive:
        parts.append(b"connection: close\r\n")
    parts += (b"\r\n", body)
    cycle.response_started = True
    cycle.transport.write(b"".join(parts))
    cycle.response_complete = True
    cycle.message_event.set()
    if not cycle.keep_alive:
        cycle.transport.close()
    cycle.on_response()
    return True
