"""The baseline: an ASGI app that does nothing, under the same uvicorn settings as Headrace.

Every throughput figure is a ratio to this app, so that what remains is the cost of the broker
and neither the machine's nor uvicorn's.
"""

import asyncio
import sys
from typing import TYPE_CHECKING

import uvicorn
import uvloop

from api.server import UVICORN_SETTINGS

if TYPE_CHECKING:
    from uvicorn._types import ASGIReceiveCallable, ASGISendCallable, HTTPScope

_ANSWER = b'{"ok":true}'
_HEADERS = [
    (b"content-type", b"application/x-amz-json-1.0"),
    (b"content-length", str(len(_ANSWER)).encode()),
]


async def app(scope: "HTTPScope", receive: "ASGIReceiveCallable", send: "ASGISendCallable") -> None:
    """Read the whole request body, as any server must, and answer 200 with a fixed body."""
    while True:
        event = await receive()
        if event["type"] != "http.request" or not event["more_body"]:
            break
    await send(
        {"type": "http.response.start", "status": 200, "headers": _HEADERS, "trailers": False}
    )
    await send({"type": "http.response.body", "body": _ANSWER, "more_body": False})


if __name__ == "__main__":
    # uvicorn's own protocol: what Headrace's spares counts for Headrace
    settings = UVICORN_SETTINGS | {"http": "httptools"}
    config = uvicorn.Config(app, host="127.0.0.1", port=int(sys.argv[1]), **settings)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(uvicorn.Server(config).serve())
