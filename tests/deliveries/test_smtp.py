"""Handing mail to servers that take it, refuse it, or do anything else."""

import asyncio
import errno
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path

import psutil
import pytest

from broker.deliveries.attempts import MAX_RESPONSE_LENGTH, Attempt, Result
from broker.deliveries.smtp import MailServer, SmtpTransport
from broker.deliveries.tls import Trust
from tests.support.receivers import (
    HOST,
    MailReceiver,
    Serve,
    closed_port,
    mail_receiver,
    raw_receiver,
    self_signed,
)
from tests.support.until import soon, until

#: for servers that would not end an attempt by themselves
SHORT_S = 0.2

RECIPIENT = "someone@example.test"


def a_mail(text: str = "Grüße\n.\nend\n") -> EmailMessage:
    message = EmailMessage()
    message["From"] = '"AWS Notifications" <no-reply@sns.amazonaws.com>'
    message["To"] = RECIPIENT
    message["Subject"] = "Prüfung"
    message.set_content(text)
    return message


async def send_to(
    server: MailReceiver, recipient: str = RECIPIENT, message: EmailMessage | None = None
) -> Attempt:
    """One attempt to send a mail through that server."""
    transport = SmtpTransport(f"smtp://{HOST}:{server.port}")
    return await soon(transport.send(message or a_mail(), recipient))


def scripted(*replies: bytes) -> Serve:
    """A server that gives these replies, one when connected and one to each line."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for reply in replies:
            writer.write(reply)
            await reader.readline()

    return serve


async def attempt_at(serve: Serve, *, timeout_s: float = 5, scheme: str = "smtp") -> Attempt:
    """One attempt at a port that speaks like that; its connection is closed afterwards."""
    async with raw_receiver(serve) as receiver:
        transport = SmtpTransport(f"{scheme}://{HOST}:{receiver.port}")
        attempt = await soon(transport.send(a_mail(), RECIPIENT, timeout_s=timeout_s))
        await receiver.until_closed()
        assert receiver.opened == 1
    return attempt


# --- mail that is taken --------------------------------------------------------------------------


async def test_a_mail_arrives_as_it_was_written() -> None:
    async with mail_receiver() as server:
        attempt = await send_to(server)
    assert attempt[:3] == (Result.DELIVERED, 250, "250 Queued as 42")
    [mail] = server.mails
    assert mail.mail_from == "no-reply@sns.amazonaws.com"
    assert mail.rcpt_tos == [RECIPIENT]
    assert isinstance(mail.content, bytes)
    message = message_from_bytes(mail.content, policy=policy.default)
    assert message["Subject"] == "Prüfung"
    assert message.get_content().splitlines() == ["Grüße", ".", "end"]


async def test_the_recipient_is_who_is_named_not_who_the_mail_names() -> None:
    async with mail_receiver() as server:
        await send_to(server, "other@example.test")
    assert server.mails[0].rcpt_tos == ["other@example.test"]


async def test_an_address_beyond_ascii_is_sent_to_a_server_that_knows_them() -> None:
    async with mail_receiver() as server:
        attempt = await send_to(server, "grüße@example.test")
    assert attempt.result is Result.DELIVERED
    assert server.mails[0].rcpt_tos == ["grüße@example.test"]


async def test_many_mails_at_once_arrive_each_once() -> None:
    async with mail_receiver() as server:
        recipients = [f"someone{number}@example.test" for number in range(30)]
        attempts = await asyncio.gather(*(send_to(server, each) for each in recipients))
    assert {each.result for each in attempts} == {Result.DELIVERED}
    assert sorted(each.rcpt_tos[0] for each in server.mails) == sorted(recipients)


@pytest.mark.parametrize("goodbye", [b"500 what?\r\n", b"", b"garbage\r\n"])
async def test_a_mail_that_was_taken_is_delivered_however_the_session_ends(
    goodbye: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("broker.deliveries.smtp._QUIT_TIMEOUT_S", 0.5)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for reply in (b"220 hi\r\n", b"250 hi\r\n", b"250 OK\r\n", b"250 OK\r\n", b"354 go\r\n"):
            writer.write(reply)
            await reader.readline()
        await reader.readuntil(b"\r\n.\r\n")
        writer.write(b"250 taken\r\n")
        assert await reader.readline() == b"QUIT\r\n"
        writer.write(goodbye)

    attempt = await attempt_at(serve)
    assert attempt[:3] == (Result.DELIVERED, 250, "250 taken")
    assert attempt.dwell_ms < 500


# --- refusals ------------------------------------------------------------------------------------


@pytest.mark.parametrize("stage", ["sender_reply", "recipient_reply", "data_reply"])
@pytest.mark.parametrize(
    ("reply", "result"),
    [
        ("550 5.1.1 No such user", Result.REFUSED),
        ("554 Spam", Result.REFUSED),
        ("450 4.2.1 Mailbox busy", Result.RETRY),
        ("452 Disk full", Result.RETRY),
        ("421 Shutting down", Result.RETRY),
        ("530 Authentication required", Result.RETRY),
    ],
)
async def test_a_refusal_is_for_good_if_its_code_says_so(
    stage: str, reply: str, result: Result
) -> None:
    async with mail_receiver() as server:
        setattr(server, stage, reply)
        attempt = await send_to(server)
    assert attempt[:3] == (result, int(reply[:3]), reply)
    assert server.mails == []


@pytest.mark.parametrize(
    "recipient",
    [
        "a@b\r\nRSET",
        "a@b> SIZE=1",
        "a b@c",
        "",
        " ",
        "a@b, c@d",
        "a\udc80@b",
        "a@b\x00",
    ],
)
async def test_what_is_no_address_is_refused(recipient: str) -> None:
    async with mail_receiver() as server:
        attempt = await send_to(server, recipient)
    assert attempt.result is Result.REFUSED
    assert attempt.response.isprintable()
    assert server.mails == []


async def test_a_mail_without_a_sender_is_refused() -> None:
    message = a_mail()
    del message["From"]
    async with mail_receiver() as server:
        attempt = await send_to(server, message=message)
    assert attempt[:2] == (Result.REFUSED, None)


async def test_an_address_beyond_ascii_is_refused_if_the_server_does_not_know_them() -> None:
    async with raw_receiver(scripted(b"220 hi\r\n", b"250 hi\r\n")) as receiver:
        transport = SmtpTransport(f"smtp://{HOST}:{receiver.port}")
        attempt = await soon(transport.send(a_mail(), "grüße@example.test"))
    assert attempt[:2] == (Result.REFUSED, None)


# --- servers that do not work --------------------------------------------------------------------


async def test_nobody_at_the_port_is_tried_again() -> None:
    transport = SmtpTransport(f"smtp://{HOST}:{closed_port()}")
    attempt = await transport.send(a_mail(), RECIPIENT)
    assert attempt[:2] == (Result.RETRY, None)
    assert f"[Errno {errno.ECONNREFUSED}]" in attempt.response


@pytest.mark.parametrize(
    "replies",
    [
        [b""],
        [b"220 hi"],
        [b"220-hi\r\n"],
        [b"220 hi\r\n", b""],
        [b"220 hi\r\n", b"250 hi\r\n", b""],
        [b"220 hi\r\n", b"250 hi\r\n", b"250 OK\r\n", b""],
        [b"220 hi\r\n", b"250 hi\r\n", b"250 OK\r\n", b"250 OK\r\n", b""],
        [b"220 hi\r\n", b"250 hi\r\n", b"250 OK\r\n", b"250 OK\r\n", b"354 go\r\n", b""],
    ],
)
async def test_a_server_that_hangs_is_left_when_the_time_is_over(replies: list[bytes]) -> None:
    attempt = await attempt_at(scripted(*replies), timeout_s=SHORT_S)
    assert attempt[:3] == (Result.RETRY, None, "no answer within 0.2 s")
    assert SHORT_S * 1000 - 1 <= attempt.dwell_ms < 5000


async def test_a_server_that_does_not_read_keeps_no_connection_open() -> None:
    """Although much of the mail is still to be written when the time is over."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for reply in (b"220 hi\r\n", b"250 hi\r\n", b"250 OK\r\n", b"250 OK\r\n"):
            writer.write(reply)
            await reader.readline()
        writer.write(b"354 go\r\n")
        await asyncio.Event().wait()

    async with raw_receiver(serve) as receiver:
        transport = SmtpTransport(f"smtp://{HOST}:{receiver.port}")
        message = a_mail(("x" * 900 + "\n") * 20_000)
        attempt = await soon(transport.send(message, RECIPIENT, timeout_s=1))
        assert attempt[:2] == (Result.RETRY, None)
        await until(lambda: not _is_connected(receiver.port))


def _is_connected(port: int) -> bool:
    """Whether this process has a connection to that port."""
    connections = psutil.Process().net_connections("tcp")
    return any(each.raddr and each.raddr.port == port for each in connections)


@pytest.mark.parametrize(
    "greeting",
    [
        b"garbage\r\n",
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"\r\n",
        b"-20 hi\r\n",
        b"999 hi\r\n",
        b"\x15\x03\x01\x00\x02\x02\n",
        b"x" * 100_000,
        b"220-x\r\n" * 20_000,
    ],
)
async def test_what_is_not_smtp_is_tried_again(greeting: bytes) -> None:
    attempt = await attempt_at(scripted(greeting))
    assert attempt[:2] == (Result.RETRY, None)
    assert attempt.response.isprintable()
    assert 0 < len(attempt.response) <= MAX_RESPONSE_LENGTH


@pytest.mark.parametrize("greeting", [b"554 go away\r\n", b"421 not now\r\n"])
async def test_a_session_that_is_refused_is_tried_again(greeting: bytes) -> None:
    attempt = await attempt_at(scripted(greeting))
    assert attempt[:3] == (Result.RETRY, int(greeting[:3]), greeting.decode().strip())


async def test_a_connection_that_breaks_is_tried_again() -> None:
    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 hi\r\n")
        writer.close()

    attempt = await attempt_at(serve)
    assert attempt[:2] == (Result.RETRY, None)


async def test_an_attempt_can_be_cancelled() -> None:
    async with raw_receiver(scripted(b"220 hi\r\n", b"")) as receiver:
        transport = SmtpTransport(f"smtp://{HOST}:{receiver.port}")
        task = asyncio.create_task(transport.send(a_mail(), RECIPIENT))
        await until(lambda: receiver.opened == 1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await receiver.until_closed()


# --- passwords and TLS ---------------------------------------------------------------------------


async def test_a_user_and_password_are_presented() -> None:
    async with mail_receiver(authentication=True) as server:
        transport = SmtpTransport(f"smtp://us%40er:right@{HOST}:{server.port}")
        attempt = await transport.send(a_mail(), RECIPIENT)
    assert attempt.result is Result.DELIVERED
    assert server.logins == [("us@er", "right")]


async def test_a_wrong_password_is_tried_again_and_not_shown() -> None:
    async with mail_receiver(authentication=True) as server:
        transport = SmtpTransport(f"smtp://user:wr0ng@{HOST}:{server.port}")
        attempt = await transport.send(a_mail(), RECIPIENT)
    assert attempt[:2] == (Result.RETRY, 535)
    assert "wr0ng" not in attempt.response
    assert server.mails == []


async def test_a_password_that_is_echoed_is_not_shown() -> None:
    async with raw_receiver(scripted(b"554 not for s3cret\r\n")) as receiver:
        transport = SmtpTransport(f"smtp://user:s3cret@{HOST}:{receiver.port}")
        attempt = await transport.send(a_mail(), RECIPIENT)
    assert attempt.response == "554 not for ***"


@pytest.mark.parametrize("scheme", ["smtps", "starttls"])
async def test_mail_is_encrypted_if_the_url_says_so(tmp_path: Path, scheme: str) -> None:
    certificate = self_signed(tmp_path)
    context = certificate.context()
    at_once = scheme == "smtps"
    receiver = mail_receiver(tls=context) if at_once else mail_receiver(starttls=context)
    async with receiver as server:
        address = f"{HOST}:{server.port}"
        url = f"smtps://{address}" if at_once else f"smtp://{address}?starttls=true"
        attempt = await SmtpTransport(url).send(a_mail(), RECIPIENT)
        assert attempt[:2] == (Result.RETRY, None)
        assert "certificate verify failed" in attempt.response
        assert server.mails == []

        trusting = SmtpTransport(url, Trust(ca_file=certificate.path))
        assert (await trusting.send(a_mail(), RECIPIENT)).result is Result.DELIVERED


@pytest.mark.parametrize("url", ["smtps://mail.invalid", "smtp://mail.invalid?starttls=true"])
async def test_a_missing_file_of_authorities_is_tried_again(tmp_path: Path, url: str) -> None:
    transport = SmtpTransport(url, Trust(ca_file=tmp_path / "missing.pem"))
    attempt = await transport.send(a_mail(), RECIPIENT)
    assert attempt[:2] == (Result.RETRY, None)
    assert "No such file" in attempt.response


async def test_mail_is_not_sent_in_the_clear_if_starttls_is_asked_for() -> None:
    async with mail_receiver() as server:
        transport = SmtpTransport(f"smtp://{HOST}:{server.port}?starttls=true")
        attempt = await transport.send(a_mail(), RECIPIENT)
    assert attempt[:2] == (Result.RETRY, None)
    assert server.mails == []


async def test_a_handshake_that_hangs_is_left_when_the_time_is_over() -> None:
    async def silent(_: asyncio.StreamReader, __: asyncio.StreamWriter) -> None:
        """Say nothing."""

    attempt = await attempt_at(silent, timeout_s=SHORT_S, scheme="smtps")
    assert attempt[:2] == (Result.RETRY, None)


# --- URLs ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "server"),
    [
        ("smtp://mail", MailServer("mail", 25, None, "", False, False)),
        ("smtp://mail:2525/", MailServer("mail", 2525, None, "", False, False)),
        ("smtp://mail?starttls=true", MailServer("mail", 587, None, "", False, True)),
        ("smtp://mail?starttls=false", MailServer("mail", 25, None, "", False, False)),
        ("smtps://u:p%40%3A@mail", MailServer("mail", 465, "u", "p@:", True, False)),
        ("smtp://u@[::1]:26", MailServer("::1", 26, "u", "", False, False)),
    ],
)
def test_a_mail_server_is_read_from_its_url(url: str, server: MailServer) -> None:
    assert MailServer.parse(url) == server


@pytest.mark.parametrize(
    "url",
    [
        "",
        "mail",
        "mail:25",
        "http://mail",
        "smtp://",
        "smtp://:25",
        "smtp://mail:0",
        "smtp://mail:99999",
        "smtp://mail:port",
        "smtp://u:s3cret/@mail",
        "smtp://u:s3cret@mail/path",
        "smtp://u:s3cret@mail#x",
        "smtp://u:s3cret@mail?tls=1",
        "smtp://u:s3cret@mail?starttls=yes",
        "smtps://u:s3cret@mail?starttls=true",
        "smtp://:s3cret@mail",
        "smtp://u:s3cret@[mail",
        "smtp://ma il",
        "smtp://mail\r\n",
    ],
)
def test_a_url_of_no_mail_server_is_told_in_one_line_without_the_password(url: str) -> None:
    with pytest.raises(ValueError) as error:
        SmtpTransport(url)
    assert str(error.value).isprintable()
    assert "s3cret" not in str(error.value)
