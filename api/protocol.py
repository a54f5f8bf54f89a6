"""uvicorn's HTTP protocol with a short way out for answers that are complete.

The ASGI way checks each header with regular expressions and writes head and body apart; on the
wire path that was a quarter of the time of a request.  The short way is offered in the scope, as
an extension: under another server there is none, and ``send`` is used.
"""

import asyncio
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import (
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)

#: Where the scope holds what ``respond`` needs.  Who handles the request takes it out, for it
#: refers to what refers to the scope, and would wait for the garbage collector.
EXTENSION = "headrace.cycle"

Headers = list[tuple[bytes, bytes]]

#: uvicorn's own headers (the date), which it makes anew every second, and the lines they give
_default_lines: tuple[Headers, bytes] = ([], b"")


class HttpProtocol(HttpToolsProtocol):
    """One connection.

    It has one timer for being idle, which looks at the time when it fires; uvicorn makes and
    cancels one for every request.
    """

    _idle_since: float | None = None
    _idle_timer: asyncio.TimerHandle | None = None

    def _unset_keepalive_if_required(self) -> None:
        self._idle_since = None

    def on_response_complete(self) -> None:
        """As uvicorn's, but for the timer."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            cycle, app = self.pipeline.pop()
            self._start_asgi_task(cycle, app)
            return
        self._idle_since = self.loop.time()
        if self._idle_timer is None:
            self._expect_idle(self.timeout_keep_alive)

    def _expect_idle(self, delay_s: float) -> None:
        self._idle_timer = self.loop.call_later(delay_s, self._close_if_idle)

    def _close_if_idle(self) -> None:
        now = self.loop.time()
        since = now if self._idle_since is None else self._idle_since
        if now - since >= self.timeout_keep_alive:
            self._idle_timer = None
            self.transport.close()
        else:
            self._expect_idle(since + self.timeout_keep_alive - now)

    def connection_lost(self, exc: Exception | None) -> None:
        """As uvicorn's; and nothing is left behind."""
        super().connection_lost(exc)
        if self._idle_timer is not None:
            self._idle_timer.cancel()
            self._idle_timer = None

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        scope = cast("dict[str, Any]", cycle.scope)
        scope[EXTENSION] = cycle
        super()._start_asgi_task(cycle, app)


def respond(cycle: RequestResponseCycle, status: int, header_lines: bytes, body: bytes) -> bool:
    """Send a whole answer in one write; False, and nothing done, where ``send`` has to do it.

    ``header_lines``: well-formed, each with its line end, a content length among them.
    """
    if cycle.flow.write_paused or cycle.response_started or cycle.scope["method"] == "HEAD":
        return False
    if cycle.disconnected:
        return True
    cycle.response_started = True
    cycle.transport.write(
        b"%b%b%b%b\r\n%b"
        % (
            STATUS_LINE[status],
            _lines(cycle.default_headers),
            header_lines,
            b"" if cycle.keep_alive else b"connection: close\r\n",
            body,
        )
    )
    cycle.response_complete = True
    cycle.message_event.set()
    if not cycle.keep_alive:
        cycle.transport.close()
    cycle.on_response()
    return True


def _lines(headers: Headers) -> bytes:
    global _default_lines  # noqa: PLW0603 - a cache of one
    known, lines = _default_lines
    if known is not headers:
        lines = b"".join(b"%b: %b\r\n" % pair for pair in headers)
        _default_lines = (headers, lines)
    return lines
