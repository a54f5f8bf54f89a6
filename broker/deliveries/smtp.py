"""Deliveries by mail: one message to one recipient, and what came of it."""

import asyncio
from contextlib import suppress
from email.errors import MessageError
from email.message import EmailMessage
from email.utils import parseaddr
from typing import TYPE_CHECKING, NamedTuple, cast
from urllib.parse import parse_qsl, unquote, urlsplit

from broker.deliveries.attempts import Attempt, Result, Stopwatch, reason, without_secrets
from broker.deliveries.tls import Trust

if TYPE_CHECKING:
    import aiosmtplib

#: a mail is handed over within so many seconds, from connecting to the server's last word
TIMEOUT_S = 30.0
#: the mail has been accepted; this long the goodbye may take
_QUIT_TIMEOUT_S = 2.0
#: "Authentication required" (RFC 4954): our configuration is refused, not the mail
_AUTHENTICATION_REQUIRED = 530


class MailServer(NamedTuple):
    """A mail server and how to talk to it."""

    host: str
    port: int
    user: str | None
    password: str
    tls: bool  # from the first byte
    starttls: bool

    @classmethod
    def parse(cls, url: str) -> "MailServer":
        """Read ``smtp://[user:password@]host[:port][?starttls=true]``, or ``smtps://…``.

        Ports default to 25, with STARTTLS 587, with smtps 465.  User and password may be
        percent-encoded.  Raises ``ValueError`` with one line that says what is wrong, and shows
        nothing of the password.
        """
        if not url.isprintable() or " " in url:
            raise ValueError("the URL of a mail server has no spaces or control characters")
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            raise ValueError("the URL of a mail server has an invalid host or port") from None
        if parts.scheme not in ("smtp", "smtps"):
            raise ValueError("the URL of a mail server begins with smtp:// or smtps://")
        if not parts.hostname or port == 0:
            raise ValueError("the URL of a mail server has a host, and a port from 1 to 65535")
        if parts.path not in ("", "/") or parts.fragment:
            raise ValueError("the URL of a mail server has no path and no fragment")
        options = dict(parse_qsl(parts.query, keep_blank_values=True))
        starttls = options.pop("starttls", "false")
        if options or starttls not in ("true", "false"):
            raise ValueError("the only option of a mail server is starttls=true or starttls=false")
        tls = parts.scheme == "smtps"
        if tls and starttls == "true":
            raise ValueError("smtps:// is encrypted from the start: starttls=true is for smtp://")
        if parts.password is not None and not parts.username:
            raise ValueError("the URL of a mail server has a password, but no user")
        return cls(
            parts.hostname,
            port or (465 if tls else 587 if starttls == "true" else 25),
            unquote(parts.username) if parts.username else None,
            unquote(parts.password or ""),
            tls,
            starttls == "true",
        )


class SmtpTransport:
    """Hands mail to a mail server, over one connection for each."""

    def __init__(
        self, url: str, trust: Trust | None = None, *, local_hostname: str = "localhost"
    ) -> None:
        """Take the server from ``url`` (see ``MailServer.parse``, which may raise ``ValueError``).

        ``local_hostname`` is the name that this side gives in its greeting.
        """
        self._server = MailServer.parse(url)
        self._trust = trust if trust is not None else Trust()
        self._local_hostname = local_hostname

    async def send(
        self, message: EmailMessage, recipient: str, *, timeout_s: float = TIMEOUT_S
    ) -> Attempt:
        """Make one attempt; the sender is the message's From.

        What the server refuses for good (5xx) about the sender, the recipient or the message is
        refused.  All else may succeed another time: a session that does not come about, as with
        wrong credentials, too.
        """
        watch = Stopwatch()
        try:
            client = self._client()
        except OSError as error:  # of whom to trust
            return watch.attempt(Result.RETRY, None, f"no session: {reason(error)}")
        try:
            outcome = await self._try(client, message, recipient, timeout_s)
            text = without_secrets(outcome.text, (self._server.password,))
            attempt = watch.attempt(outcome.result, outcome.status_code, text)
            if attempt.result is Result.DELIVERED:
                await _say_goodbye(client)
        finally:
            # a server that does not read would keep a gentle close waiting
            if client.transport is not None:
                cast(asyncio.WriteTransport, client.transport).abort()
        return attempt

    def _client(self) -> "aiosmtplib.SMTP":
        import aiosmtplib

        server = self._server
        return aiosmtplib.SMTP(
            hostname=server.host,
            port=server.port,
            username=server.user,
            password=server.password if server.user is not None else None,
            use_tls=server.tls,
            start_tls=server.starttls,
            tls_context=self._trust.context() if server.tls or server.starttls else None,
            local_hostname=self._local_hostname,
            timeout=None,  # ours is for all of it
        )

    async def _try(
        self, client: "aiosmtplib.SMTP", message: EmailMessage, recipient: str, timeout_s: float
    ) -> "_Outcome":
        import aiosmtplib

        if not recipient or parseaddr(recipient)[1] != recipient:
            return _Outcome(Result.REFUSED, None, "not a mail address")
        try:
            async with asyncio.timeout(timeout_s):
                await client.connect()
                return await _hand_over(client, message, recipient)
        except TimeoutError:
            return _Outcome(Result.RETRY, None, f"no answer within {timeout_s:g} s")
        except aiosmtplib.SMTPResponseException as error:
            return _Outcome(Result.RETRY, *_reply(error))
        except (aiosmtplib.SMTPException, OSError, ValueError) as error:
            return _Outcome(Result.RETRY, None, f"no session: {reason(error)}")


class _Outcome(NamedTuple):
    """What came of an attempt, but for the time it took."""

    result: Result
    status_code: int | None
    text: str


async def _hand_over(client: "aiosmtplib.SMTP", message: EmailMessage, recipient: str) -> _Outcome:
    """Send the mail in a session that stands; raises what another attempt may overcome."""
    import aiosmtplib

    refusal: aiosmtplib.SMTPResponseException
    try:
        _, text = await client.send_message(message, recipients=[recipient])
    except aiosmtplib.SMTPRecipientsRefused as error:
        [refusal] = error.recipients
    except aiosmtplib.SMTPResponseException as error:
        refusal = error
    except (aiosmtplib.SMTPNotSupported, MessageError, ValueError) as error:
        # an address or a message that cannot be put into SMTP, or not for this server
        return _Outcome(Result.REFUSED, None, f"cannot be sent: {error}")
    else:
        return _Outcome(Result.DELIVERED, 250, f"250 {text}")
    for_good = 500 <= refusal.code < 600 and refusal.code != _AUTHENTICATION_REQUIRED
    return _Outcome(Result.REFUSED if for_good else Result.RETRY, *_reply(refusal))


def _reply(error: "aiosmtplib.SMTPResponseException") -> tuple[int | None, str]:
    """The code and the text of a reply; no code if what came is no SMTP."""
    if 200 <= error.code < 600:
        return error.code, f"{error.code} {error.message}"
    return None, f"no SMTP: {error.message}"


async def _say_goodbye(client: "aiosmtplib.SMTP") -> None:
    """End the session as the protocol asks; the mail is accepted, whatever comes of it."""
    import aiosmtplib

    with suppress(aiosmtplib.SMTPException, OSError):
        async with asyncio.timeout(_QUIT_TIMEOUT_S):
            await client.quit()
