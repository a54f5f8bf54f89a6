"""The HTTP server around the application: sockets, signals, start and stop."""

import asyncio
import contextlib
import gc
import logging
import signal
import socket
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import uvicorn

from api.app import create_app
from api.client_environment import client_environment
from api.compatibility import init_folders
from api.context import Site
from api.init_scripts import InitError, find_scripts, run_scripts
from api.protocol import HttpProtocol
from api.readiness import Readiness
from api.settings import Settings
from broker import (
    AdjustableClock,
    Broker,
    DeliverySettings,
    RandomIds,
    StorageError,
    StoreBroken,
    StoreUnusable,
    SystemClock,
    open_storage,
)

if TYPE_CHECKING:
    from api.config import Declaration

logger = logging.getLogger(__name__)

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
    """The server cannot start; each line of the text says one reason."""


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
        """As uvicorn's; then it answers, and says so."""
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


#: by what an address that stands for all of a machine's can be called from that machine
_LOOPBACK = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 what is listened on


def _endpoint(host: str, bound: socket.socket) -> str:
    bracketed = f"[{host}]" if ":" in host else host
    return f"http://{bracketed}:{bound.getsockname()[1]}"


def _listen_on_all(settings: Settings, sockets: contextlib.ExitStack) -> list[socket.socket]:
    also = [port for port in settings.also_port or () if port == 0 or port != settings.port]
    return [
        sockets.enter_context(contextlib.closing(listen(settings.host, port)))
        for port in (settings.port, *also)
    ]


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


async def serve(
    settings: Settings,
    environment: Mapping[str, str],
    *,
    declaration: "Declaration | None" = None,
    started: Callable[[Sequence[str], str], None],
) -> int:
    """Serve until a signal ends it; the exit status.

    ``environment`` is what the scripts of the start get to see, changed so that they call this
    server.  What ``declaration`` declares is there before the first request is answered.
    ``started`` is called with endpoints and store once that is done, the scripts have run, and the
    server answers.  Raises ``ServerError`` if it cannot start.
    """
    try:
        scripts = find_scripts(init_folders(settings))
    except InitError as error:
        raise ServerError(str(error)) from None
    with contextlib.ExitStack() as sockets:
        bound = _listen_on_all(settings, sockets)
        ids = RandomIds()
        try:
            store = open_storage(settings.store, strict=settings.durability == "strict")
            broker = await Broker.open(
                store,
                AdjustableClock(SystemClock(), frozen=settings.clock == "frozen"),
                ids,
                block_deleted_names=settings.recreate_delay,
                deliveries=_delivery_settings(settings),
                timeline_events=settings.timeline_events,
            )
        except (StoreUnusable, StoreBroken) as error:
            raise ServerError(str(error)) from None
        status = 0

        def broken() -> None:
            nonlocal status
            status = 1
            server.stop()

        async def probe() -> None:
            try:
                await broker.check_writable()
            except StoreBroken:
                broken()
                raise

        readiness = Readiness(probe)
        app = create_app(
            broker,
            Site(settings.region, settings.account, settings.public_url, settings.queue_urls),
            ids,
            readiness=readiness,
            on_broken=broken,
            log_requests=settings.access_log,
            with_admin=settings.admin,
        )
        host = _LOOPBACK.get(settings.host, settings.host)
        url = _endpoint(host, bound[0])

        async def finish_start() -> None:
            await run_scripts(
                scripts,
                readiness.scripts,
                client_environment(environment, url=url, host=host, region=settings.region),
                stop_at_failure=settings.init_failure == "stop",
            )
            readiness.started = True
            started([_endpoint(settings.host, each) for each in bound], store.description)

        rest = _RestOfStart(finish_start)

        def stopping() -> None:
            broker.stop_waiting()
            rest.cancel()

        server = _Server(
            uvicorn.Config(app, **UVICORN_SETTINGS),
            started=lambda: rest.begin(failed=server.stop),
            stopping=stopping,
        )
        try:
            if declaration is not None:
                await _reconcile(broker, declaration, settings, url)
            _tune_garbage_collection()
            await server.serve(sockets=bound)
        finally:
            failure = await rest.end()
            await broker.close()
        if failure is not None:
            raise ServerError(failure)
        return status


class _RestOfStart:
    """What is left to do when the server answers, as a task."""

    def __init__(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self._work = work
        self._task: asyncio.Task[None] | None = None

    def begin(self, *, failed: Callable[[], None]) -> None:
        """Start it; should it fail, ``failed`` is called."""

        def done(task: asyncio.Task[None]) -> None:
            if not task.cancelled() and task.exception() is not None:
                failed()

        self._task = asyncio.create_task(self._work(), name="rest of the start")
        self._task.add_done_callback(done)

    def cancel(self) -> None:
        """Have it not go on."""
        if self._task is not None:
            self._task.cancel()

    async def end(self) -> str | None:
        """Cancel it and wait for its end; why it has failed, if it has."""
        self.cancel()
        if self._task is None:
            return None
        await asyncio.wait({self._task})
        try:
            self._task.result()
        except asyncio.CancelledError:
            return None
        except InitError as error:
            return str(error)
        return None


async def _reconcile(
    broker: Broker, declaration: "Declaration", settings: Settings, url: str
) -> None:
    """Make what is declared, and tell of it."""
    from api.config import ConfigError, apply, plan

    for line in declaration.warnings:
        logger.warning("%s", line)
    try:
        changes = await plan(
            broker, declaration, settings.reconcile, settings.account, settings.region
        )
        for line in changes.lines():
            logger.info("%s", line)
        await apply(broker, changes, base_url=settings.public_url or url)
    except ConfigError as error:
        raise ServerError(str(error)) from None
    except StorageError as error:
        raise ServerError(f"{declaration.file}: {error}") from None
