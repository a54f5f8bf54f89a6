"""Endpoints for deliveries, on ports of 127.0.0.1: they note what comes and answer as told."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any, NamedTuple
from warnings import catch_warnings, simplefilter

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.support.until import until

HOST = "127.0.0.1"


@dataclass
class Receiver:
    """A port that serves connections, and how many there are and were."""

    port: int = field(default=0, init=False)
    opened: int = field(default=0, init=False)
    tasks: set[asyncio.Task[Any]] = field(default_factory=set, init=False)

    @property
    def open(self) -> int:
        """The connections that the other side has not closed."""
        return len(self.tasks)

    async def until_closed(self) -> None:
        """Return once the other side has closed all connections."""
        await until(lambda: not self.tasks)


Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def serving(
    receiver: Receiver, serve: Serve, *, tls: ssl.SSLContext | None = None
) -> AsyncIterator[None]:
    """Serve each connection with ``serve``, then wait until the other side closes it."""

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        receiver.opened += 1
        receiver.tasks.add(task)
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError):
                await serve(reader, writer)
                while await reader.read(65_536):
                    pass
        except asyncio.CancelledError:
            return  # the end of the test; an uncaught cancellation would be logged
        finally:
            receiver.tasks.discard(task)
            writer.transport.abort()

    server = await asyncio.start_server(connected, HOST, 0, ssl=tls)
    receiver.port = server.sockets[0].getsockname()[1]
    try:
        yield
    finally:
        server.close()
        tasks = list(receiver.tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await server.wait_closed()


@asynccontextmanager
async def raw_receiver(
    serve: Serve, *, tls: ssl.SSLContext | None = None
) -> AsyncIterator[Receiver]:
    """A port that speaks whatever ``serve`` does."""
    receiver = Receiver()
    async with serving(receiver, serve, tls=tls):
        yield receiver


def closed_port() -> int:
    """A port on which nobody listens."""
    with socket.socket() as unused:
        unused.bind((HOST, 0))
        return int(unused.getsockname()[1])


# --- HTTP ---------------------------------------------------------------------------------------


class HttpRequest(NamedTuple):
    """A request as it came."""

    method: str
    target: str
    headers: list[tuple[str, str]]  # in order, names as they were written
    body: bytes

    def header(self, name: str) -> str | None:
        """The value of a header that comes once or not at all."""
        values = [value for each, value in self.headers if each.lower() == name.lower()]
        assert len(values) <= 1
        return values[0] if values else None


#: writes an answer to a request; raises ``Close`` if no other request is to be read
Answering = Callable[[HttpRequest, asyncio.StreamWriter], Awaitable[None]]


class Close(Exception):
    """Have the connection closed from this side."""


@dataclass
class HttpReceiver(Receiver):
    """An HTTP endpoint: the requests that came, and how it answers from now on."""

    answer: Answering
    requests: list[HttpRequest] = field(default_factory=list)
    scheme: str = "http"

    def url(self, target: str = "/", *, login: str = "") -> str:
        """Where it is; ``login`` is ``user:password@``."""
        return f"{self.scheme}://{login}{HOST}:{self.port}{target}"


@asynccontextmanager
async def http_receiver(
    answer: Answering | None = None, *, tls: ssl.SSLContext | None = None
) -> AsyncIterator[HttpReceiver]:
    """An HTTP endpoint that answers every request that way (200, if nothing is said)."""
    receiver = HttpReceiver(answer or answering(), scheme="https" if tls else "http")

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(Close):
            while request := await _read_request(reader):
                receiver.requests.append(request)
                await receiver.answer(request, writer)
                await writer.drain()
            return
        await writer.drain()
        writer.close()

    async with serving(receiver, serve, tls=tls):
        yield receiver


async def _read_request(reader: asyncio.StreamReader) -> HttpRequest | None:
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    except asyncio.IncompleteReadError:
        return None
    first, *lines = head.removesuffix("\r\n\r\n").split("\r\n")
    method, target, version = first.split(" ")
    assert version == "HTTP/1.1"
    headers = [(name, value) for name, _, value in (line.partition(": ") for line in lines)]
    request = HttpRequest(method, target, headers, b"")
    return request._replace(
        body=await reader.readexactly(int(request.header("Content-Length") or 0))
    )


def answering(
    status: int = 200, body: bytes = b"", headers: tuple[tuple[str, str], ...] = ()
) -> Answering:
    """A plain answer."""

    async def answer(_: HttpRequest, writer: asyncio.StreamWriter) -> None:
        lines = [f"HTTP/1.1 {status} Some Reason", f"Content-Length: {len(body)}"]
        lines += [f"{name}: {value}" for name, value in headers]
        writer.write("\r\n".join([*lines, "", ""]).encode() + body)

    return answer


def answering_raw(sent: bytes) -> Answering:
    """These bytes, then the end of the connection."""

    async def answer(_: HttpRequest, writer: asyncio.StreamWriter) -> None:
        writer.write(sent)
        raise Close

    return answer


def repeating(first: bytes, then: bytes, *, pause_s: float = 0) -> Answering:
    """Some bytes, then others without end, for as long as somebody takes them."""

    async def answer(_: HttpRequest, writer: asyncio.StreamWriter) -> None:
        writer.write(first)
        while True:
            writer.write(then)
            await writer.drain()
            await asyncio.sleep(pause_s)

    return answer


async def hanging(_: HttpRequest, __: asyncio.StreamWriter) -> None:
    """No answer at all."""


# --- mail ---------------------------------------------------------------------------------------


@dataclass
class MailReceiver:
    """A mail server: the mails it took, and the replies it gives in place of accepting."""

    port: int = 0
    mails: list[Envelope] = field(default_factory=list)
    sender_reply: str | None = None
    recipient_reply: str | None = None
    data_reply: str | None = None
    logins: list[tuple[str, str]] = field(default_factory=list)

    # The names of the hooks and the order of their parameters are aiosmtpd's.

    async def handle_MAIL(  # noqa: N802
        self, _: SMTP, __: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """Take or refuse a sender."""
        if self.sender_reply is None:
            envelope.mail_from = address
            envelope.mail_options.extend(options)
        return self.sender_reply or "250 OK"

    async def handle_RCPT(  # noqa: N802
        self, _: SMTP, __: Session, envelope: Envelope, address: str, ___: list[str]
    ) -> str:
        """Take or refuse a recipient."""
        if self.recipient_reply is None:
            envelope.rcpt_tos.append(address)
        return self.recipient_reply or "250 OK"

    async def handle_DATA(self, _: SMTP, __: Session, envelope: Envelope) -> str:  # noqa: N802
        """Take or refuse a mail."""
        if self.data_reply is None:
            self.mails.append(envelope)
        return self.data_reply or "250 Queued as 42"

    def authenticate(
        self, _: SMTP, __: Session, ___: Envelope, ____: str, login: LoginPassword
    ) -> AuthResult:
        """Let in whoever has the password ``right``."""
        self.logins.append((login.login.decode(), login.password.decode()))
        return AuthResult(success=login.password == b"right", handled=False)


@asynccontextmanager
async def mail_receiver(
    *,
    tls: ssl.SSLContext | None = None,
    starttls: ssl.SSLContext | None = None,
    authentication: bool = False,
) -> AsyncIterator[MailReceiver]:
    """A mail server; with ``authentication`` it takes nothing from strangers."""
    receiver = MailReceiver()
    sessions: list[SMTP] = []

    def session() -> SMTP:
        with catch_warnings():  # that passwords without TLS are unsafe: not on this machine
            simplefilter("ignore", UserWarning)
            smtp = _session()
        sessions.append(smtp)
        return smtp

    def _session() -> SMTP:
        return SMTP(
            receiver,
            hostname="mail.test",
            tls_context=starttls,
            enable_SMTPUTF8=True,
            loop=asyncio.get_running_loop(),
            authenticator=receiver.authenticate if authentication else None,
            auth_required=authentication,
            auth_require_tls=False,
        )

    server = await asyncio.get_running_loop().create_server(session, HOST, 0, ssl=tls)
    receiver.port = server.sockets[0].getsockname()[1]
    try:
        yield receiver
    finally:
        server.close()
        await until(lambda: all(each.transport is None for each in sessions))
        await server.wait_closed()


# --- TLS ----------------------------------------------------------------------------------------


class Certificate(NamedTuple):
    """A certificate for 127.0.0.1 that only those trust who are told to."""

    path: Path

    def context(self) -> ssl.SSLContext:
        """What a server with this certificate serves with."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.path)
        return context


def self_signed(folder: Path) -> Certificate:
    """Make a certificate, in a file of that folder with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "receiver.test")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(IPv4Address(HOST))]), False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), True)
        .sign(key, hashes.SHA256())
    )
    path = folder / "receiver.pem"
    path.write_bytes(
        certificate.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return Certificate(path)
