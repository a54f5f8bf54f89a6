"""The HTTP server around the application: sockets, signals, start and stop."""

import asyncio
import contextlib
import gc
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import uvicorn

from api.app import create_app
from api.context import Site
from api.protocol import HttpProtocol
from api.settings import Settings
from broker import (
    Broker,
    DeliverySettings,
    RandomIds,
    StoreBroken,
    StoreUnusable,
    SystemClock,
    open_storage,
)

#: how uvicorn is run; the benchmark's empty application runs the same way
UVICORN_SETTINGS: dict[str, Any] = {
    "loop": "none",  # the loop runs already
    "http": HttpProtocol,
    "ws": "none",
    "lifespan": "off",
    "log_config": None,
    "access_log": False,
    "server_header": False,
    "proxy_headers": False,
    "timeout_keep_alive": 75,
    "timeout_graceful_shutdown": 3,
    "backlog": 2048,
}


class ServerError(Exception):
    """The server cannot start; the text is one line that says why."""


class _Server(uvicorn.Server):
    """uvicorn, with signals that end parked receives first and leave the exit status alone."""

    def __init__(
        self, config: uvicorn.Config, *, started: Callable[[], None], stopping: Callable[[], None]
    ) -> None:
        super().__init__(config)
        self._tell_started = started
        self._tell_stopping = stopping

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        for each in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(each, self.stop)
        try:
            yield
        finally:
            for each in (signal.SIGINT, signal.SIGTERM):
                loop.remove_signal_handler(each)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._tell_started()

    def stop(self) -> None:
        """Finish what is in flight and end; called again: end without finishing."""
        self.force_exit = self.should_exit
        self.should_exit = True
        self._tell_stopping()


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; raises ``ServerError`` if the address cannot be had.

    It listens at once: two sockets that are only bound could share a port, and the second to
    listen would fail too late for a clear refusal.  Who connects early is answered after the start.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        bound = socket.socket(family, kind, protocol)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
        bound.listen(UVICORN_SETTINGS["backlog"])
    except OSError as error:
        raise ServerError(f"cannot listen on {host}:{port}: {error.strerror}") from None
    except UnicodeError:  # what getaddrinfo says of a label that is empty or too long
        raise ServerError(f"cannot listen on {host}:{port}: this is no host name") from None
    return bound


def _endpoint(settings: Settings, bound: socket.socket) -> str:
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    return f"http://{host}:{bound.getsockname()[1]}"


def _tune_garbage_collection() -> None:
    """Spend less on looking for reference cycles, which requests do not make.

    With Python's thresholds a SendMessage to the memory store took 23 µs in process instead of 17:
    messages that stay make every collection look at them again.
    """
    gc.freeze()  # what start-up made stays
    gc.set_threshold(10_000, 2, 5_000)


def _delivery_settings(settings: Settings) -> DeliverySettings:
    folder, ca_file = settings.firehose_folder, settings.ca_file
    return DeliverySettings(
        smtp_url=settings.smtp,
        mail_sender=settings.mail_from,
        lambda_url=settings.lambda_endpoint,
        lambda_function=settings.lambda_function,
        firehose_url=settings.firehose_endpoint,
        firehose_folder=None if folder is None else Path(folder),
        phone_webhook_url=settings.phone_webhook,
        certificate_base_url=settings.signing_cert_url,
        ca_file=None if ca_file is None else Path(ca_file),
        verify_tls=settings.tls_verify,
    )


async def serve(settings: Settings, *, banner: Callable[[str, str], None]) -> int:
    """Serve until a signal ends it; the exit status.

    ``banner`` is called with endpoint and store once the server answers.  Raises ``ServerError``
    if it cannot start.
    """
    bound = listen(settings.host, settings.port)
    with contextlib.closing(bound):
        ids = RandomIds()
        try:
            store = open_storage(settings.store, strict=settings.durability == "strict")
            broker = await Broker.open(
                store,
                SystemClock(),
                ids,
                block_deleted_names=settings.recreate_delay,
                deliveries=_delivery_settings(settings),
            )
        except (StoreUnusable, StoreBroken) as error:
            raise ServerError(str(error)) from None
        status = 0

        def broken() -> None:
            nonlocal status
            status = 1
            server.stop()

        app = create_app(
            broker,
            Site(settings.region, settings.account, settings.public_url),
            ids,
            on_broken=broken,
        )
        server = _Server(
            uvicorn.Config(app, **UVICORN_SETTINGS),
            started=lambda: banner(_endpoint(settings, bound), store.description),
            stopping=broker.stop_waiting,
        )
        _tune_garbage_collection()
        try:
            await server.serve(sockets=[bound])
        finally:
            await broker.close()
        return status
