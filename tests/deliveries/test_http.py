"""Posting to endpoints that answer, and to those that do anything else."""

import asyncio
import errno
import gzip
import hashlib
import re
from base64 import b64encode
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from broker.deliveries import http
from broker.deliveries.attempts import MAX_RESPONSE_LENGTH, Attempt, Result
from broker.deliveries.http import MAX_BODY_BYTES, HttpTransport, NoAnswer, is_http_endpoint
from broker.deliveries.tls import Trust
from tests.support.receivers import (
    HOST,
    Answering,
    HttpRequest,
    answering,
    answering_raw,
    closed_port,
    hanging,
    http_receiver,
    raw_receiver,
    repeating,
    self_signed,
)
from tests.support.until import soon, until

#: for endpoints that would not end an attempt by themselves
SHORT_S = 0.2

HEADERS = [
    ("x-amz-sns-message-type", "Notification"),
    ("Content-Type", "text/plain; charset=UTF-8"),
    ("User-Agent", "Amazon Simple Notification Service Agent"),
    ("Accept-Encoding", "gzip,deflate"),
]


@pytest.fixture
async def transport() -> AsyncIterator[HttpTransport]:
    transport = HttpTransport()
    yield transport
    await transport.close()


async def attempt_at(
    transport: HttpTransport, answer: Answering, *, timeout_s: float = 5
) -> Attempt:
    """One attempt at an endpoint that answers in that way."""
    async with http_receiver(answer) as receiver:
        attempt = await soon(transport.post(receiver.url(), HEADERS, b"hi", timeout_s=timeout_s))
        assert len(receiver.requests) == 1
        return attempt


# --- the request ---------------------------------------------------------------------------------


async def test_the_headers_are_those_given_and_what_http_needs(transport: HttpTransport) -> None:
    async with http_receiver() as receiver:
        await transport.post(receiver.url(), HEADERS, b"{}")
    [request] = receiver.requests
    framing = [
        ("Host", f"{HOST}:{receiver.port}"),
        ("Content-Length", "2"),
        ("Connection", "Keep-Alive"),
    ]
    assert sorted(request.headers) == sorted(framing + HEADERS)
    assert [each for each in request.headers if each in HEADERS] == HEADERS


async def test_the_body_path_and_query_arrive_as_they_are(transport: HttpTransport) -> None:
    body = '{\n  "Message" : "grüße"\n}'.encode()
    async with http_receiver() as receiver:
        attempt = await transport.post(receiver.url("/a%2Fb/c?x=%20y&z=1#f"), HEADERS, body)
    [request] = receiver.requests
    assert (request.method, request.target) == ("POST", "/a%2Fb/c?x=%20y&z=1")
    assert request.body == body
    assert attempt.result is Result.DELIVERED


async def test_an_empty_body_is_sent_with_its_length(transport: HttpTransport) -> None:
    async with http_receiver() as receiver:
        await transport.post(receiver.url(), [], b"")
    assert receiver.requests[0].header("Content-Length") == "0"


async def test_cookies_are_not_kept(transport: HttpTransport) -> None:
    async with http_receiver(answering(headers=(("Set-Cookie", "a=b; Path=/"),))) as receiver:
        await transport.post(receiver.url(), HEADERS, b"")
        await transport.post(receiver.url(), HEADERS, b"")
    assert receiver.requests[1].header("Cookie") is None


async def test_proxies_of_the_environment_are_not_asked(
    transport: HttpTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://{HOST}:{closed_port()}")
    monkeypatch.setenv("ALL_PROXY", f"http://{HOST}:{closed_port()}")
    assert (await attempt_at(transport, answering())).result is Result.DELIVERED


async def test_a_connection_serves_the_next_request_too(transport: HttpTransport) -> None:
    async with http_receiver() as receiver:
        for _ in range(3):
            await transport.post(receiver.url(), HEADERS, b"")
        assert (len(receiver.requests), receiver.opened) == (3, 1)
        await transport.close()
        await receiver.until_closed()


async def test_a_connection_that_the_endpoint_closed_is_not_used_again(
    transport: HttpTransport,
) -> None:
    answer = answering_raw(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    async with http_receiver(answer) as receiver:
        for _ in range(3):
            assert (await transport.post(receiver.url(), HEADERS, b"")).result is Result.DELIVERED
            await receiver.until_closed()


async def test_a_header_that_cannot_be_sent_is_refused(transport: HttpTransport) -> None:
    attempt = await transport.post("http://127.0.0.1/", [("x-amz-sns-topic-arn", "é")], b"")
    assert attempt.result is Result.REFUSED


async def test_a_header_cannot_bring_another(transport: HttpTransport) -> None:
    async with http_receiver() as receiver:
        headers = [("Content-Type", "text/plain\r\nx-amz-sns-rawdelivery: true")]
        attempt = await transport.post(receiver.url(), headers, b"")
        assert attempt.result is not Result.DELIVERED
        assert receiver.requests == []


# --- what the answer means -----------------------------------------------------------------------


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
async def test_success_is_delivered(transport: HttpTransport, status: int) -> None:
    attempt = await attempt_at(transport, answering(status))
    assert attempt[:3] == (Result.DELIVERED, status, "Some Reason")


@pytest.mark.parametrize("status", [429, 500, 502, 503, 599])
async def test_server_errors_and_throttling_are_tried_again(
    transport: HttpTransport, status: int
) -> None:
    attempt = await attempt_at(transport, answering(status, b"come back later"))
    assert attempt[:3] == (Result.RETRY, status, "come back later")


@pytest.mark.parametrize("status", [400, 401, 403, 404, 408, 428, 430, 499, 304, 600, 999])
async def test_all_other_statuses_are_refusals(transport: HttpTransport, status: int) -> None:
    attempt = await attempt_at(transport, answering(status))
    assert attempt[:2] == (Result.REFUSED, status)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed(transport: HttpTransport, status: int) -> None:
    async with http_receiver() as elsewhere:
        answer = answering(status, headers=(("Location", elsewhere.url("/next")),))
        attempt = await attempt_at(transport, answer)
    assert attempt[:2] == (Result.REFUSED, status)
    assert elsewhere.requests == []


async def test_interim_answers_are_passed_over(transport: HttpTransport) -> None:
    sent = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
    attempt = await attempt_at(transport, answering_raw(sent))
    assert attempt[:3] == (Result.DELIVERED, 200, "OK")


async def test_an_answer_without_a_length_ends_with_the_connection(
    transport: HttpTransport,
) -> None:
    attempt = await attempt_at(transport, answering_raw(b"HTTP/1.0 200 OK\r\n\r\nfine"))
    assert attempt[:3] == (Result.DELIVERED, 200, "fine")


async def test_an_attempt_says_how_long_it_took(transport: HttpTransport) -> None:
    attempt = await attempt_at(transport, hanging, timeout_s=SHORT_S)
    assert SHORT_S * 1000 - 1 <= attempt.dwell_ms < 5000


# --- endpoints that do not answer ----------------------------------------------------------------


async def test_an_endpoint_that_hangs_is_left_when_the_time_is_over(
    transport: HttpTransport,
) -> None:
    async with http_receiver(hanging) as receiver:
        attempt = await transport.post(receiver.url(), HEADERS, b"", timeout_s=SHORT_S)
    assert attempt[:3] == (Result.RETRY, None, "no complete answer within 0.2 s")


async def test_an_endpoint_that_does_not_read_is_left_when_the_time_is_over(
    transport: HttpTransport,
) -> None:
    async def never_read(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        await asyncio.Event().wait()

    async with raw_receiver(never_read) as receiver:
        url = f"http://{HOST}:{receiver.port}/"
        attempt = await soon(transport.post(url, HEADERS, bytes(20_000_000), timeout_s=SHORT_S))
    assert attempt.result is Result.RETRY


@pytest.mark.parametrize(
    ("first", "then"),
    [
        (b"", b"H"),
        (b"HTTP/1.1 200 OK\r\n", b"a"),
        (b"HTTP/1.1 200 OK\r\n", b"a: b\r\n"),
        (b"HTTP/1.1 200 OK\r\n\r\n", b"."),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\n.\r\n"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 10000\r\n\r\n", b"."),
    ],
    ids=["status line", "header", "headers", "body", "chunks", "body with a length"],
)
async def test_an_answer_that_drips_is_left_when_the_time_is_over(
    transport: HttpTransport, first: bytes, then: bytes
) -> None:
    async with http_receiver(repeating(first, then, pause_s=0.01)) as receiver:
        attempt = await soon(transport.post(receiver.url(), HEADERS, b"", timeout_s=SHORT_S))
        await receiver.until_closed()
    assert attempt[:2] == (Result.RETRY, None)


async def test_interim_answers_without_end_are_left_when_the_time_is_over(
    transport: HttpTransport,
) -> None:
    flood = repeating(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 1000)
    async with http_receiver(flood) as receiver:
        attempt = await soon(transport.post(receiver.url(), HEADERS, b"", timeout_s=SHORT_S))
        await receiver.until_closed()
    assert attempt[:2] == (Result.RETRY, None)


@pytest.mark.parametrize(
    ("first", "then"),
    [
        (b"HTTP/1.1 200 OK\r\n", b"X-Header: something\r\n" * 100),
        (b"HTTP/1.1 200 OK\r\nX-Header: ", b"a" * 10_000),
        (b"", b"a" * 10_000),
    ],
    ids=["headers", "one header", "no line break"],
)
async def test_heads_without_end_are_cut_off(
    transport: HttpTransport, first: bytes, then: bytes
) -> None:
    async with http_receiver(repeating(first, then)) as receiver:
        attempt = await soon(transport.post(receiver.url(), HEADERS, b""))
        await receiver.until_closed()
    assert attempt[:2] == (Result.RETRY, None)


@pytest.mark.parametrize(
    "garbage",
    [
        b"",
        b"\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"220 mail.test ESMTP\r\n",
        bytes(range(256)),
        b"\x15\x03\x01\x00\x02\x02\x16",
        b"HTTP/1.1 abc OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n..",
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
        b"HTTP/1.1 000 OK\r\n\r\n",
        b"HTTP/1.1 101 Switching\r\nUpgrade: chat\r\nConnection: Upgrade\r\n\r\nhello",
    ],
)
async def test_what_is_not_http_is_tried_again(transport: HttpTransport, garbage: bytes) -> None:
    attempt = await attempt_at(transport, answering_raw(garbage))
    assert attempt[:2] == (Result.RETRY, None)
    assert re.fullmatch(r"no answer: [^\n]+", attempt.response)


async def test_nobody_at_the_port_is_tried_again(transport: HttpTransport) -> None:
    attempt = await transport.post(f"http://{HOST}:{closed_port()}/", HEADERS, b"")
    assert attempt[:2] == (Result.RETRY, None)
    assert f"[Errno {errno.ECONNREFUSED}]" in attempt.response


async def test_a_host_that_does_not_exist_is_tried_again(transport: HttpTransport) -> None:
    attempt = await transport.post("http://nobody.invalid/", HEADERS, b"")
    assert attempt[:2] == (Result.RETRY, None)


@pytest.mark.parametrize(
    "url", ["", "nonsense", "ftp://host/", "http://", "http://h:pass/word@host/", "http://a b/"]
)
async def test_what_is_no_url_is_refused_and_not_shown(transport: HttpTransport, url: str) -> None:
    attempt = await transport.post(url, HEADERS, b"")
    assert attempt[:3] == (Result.REFUSED, None, "not a URL that a request can be sent to")


# --- bounds --------------------------------------------------------------------------------------


async def test_a_body_without_end_is_read_up_to_its_bound(transport: HttpTransport) -> None:
    async with http_receiver(repeating(b"HTTP/1.1 200 OK\r\n\r\n", b"a" * 10_000)) as receiver:
        answer = await soon(transport.exchange(receiver.url(), HEADERS, b""))
        await receiver.until_closed()
    assert answer.status_code == 200
    assert answer.body == b"a" * MAX_BODY_BYTES


async def test_the_connection_of_an_answer_that_is_too_long_is_closed(
    transport: HttpTransport,
) -> None:
    async with http_receiver(answering(body=bytes(10_000_000))) as receiver:
        attempt = await soon(transport.post(receiver.url(), HEADERS, b""))
        await receiver.until_closed()
    assert attempt.result is Result.DELIVERED


async def test_a_compressed_answer_is_not_inflated(transport: HttpTransport) -> None:
    bomb = gzip.compress(bytes(10_000_000))
    answer = answering(500, bomb, (("Content-Encoding", "gzip"),))
    async with http_receiver(answer) as receiver:
        given = await transport.exchange(receiver.url(), HEADERS, b"")
    assert given.body == bomb
    assert given.text == "Some Reason"


async def test_a_response_is_one_bounded_line(transport: HttpTransport) -> None:
    body = b"a\r\nb\x00\x1b[31m\xff\t" + "\u2028\u202e".encode() + b"c" * 5000
    attempt = await attempt_at(transport, answering(400, body))
    assert attempt.response.startswith("a b [31m\ufffd ccc")
    assert attempt.response.isprintable()
    assert len(attempt.response) == MAX_RESPONSE_LENGTH


# --- passwords -----------------------------------------------------------------------------------


def _echoing(status: int) -> Answering:
    """An answer that repeats what it was asked."""

    async def answer(request: HttpRequest, writer: asyncio.StreamWriter) -> None:
        body = f"{request.headers} s3cr%40t s3cr@t".encode()
        await answering(status, body)(request, writer)

    return answer


async def test_a_password_in_the_url_is_sent_as_basic_authentication(
    transport: HttpTransport,
) -> None:
    async with http_receiver() as receiver:
        await transport.post(receiver.url(login="us%C3%A9r:s3cr%40t@"), HEADERS, b"")
    [request] = receiver.requests
    token = b64encode("usér:s3cr@t".encode()).decode()
    assert request.header("Authorization") == f"Basic {token}"
    assert request.header("Host") == f"{HOST}:{receiver.port}"
    assert request.target == "/"


async def test_a_password_that_is_echoed_is_not_shown(transport: HttpTransport) -> None:
    async with http_receiver(_echoing(500)) as receiver:
        attempt = await transport.post(receiver.url(login="user:s3cr%40t@"), HEADERS, b"")
    assert "Authorization" in attempt.response
    assert "s3cr" not in attempt.response
    assert b64encode(b"user:s3cr@t").decode() not in attempt.response


async def test_a_password_is_not_shown_when_there_is_no_answer(transport: HttpTransport) -> None:
    url = f"http://user:s3cret@{HOST}:{closed_port()}/"
    assert "s3cret" not in (await transport.post(url, HEADERS, b"")).response


def _challenging(challenge: str, *, then: int = 200) -> Answering:
    """401 with that challenge until the request answers a digest challenge."""

    async def answer(request: HttpRequest, writer: asyncio.StreamWriter) -> None:
        if (request.header("Authorization") or "").startswith("Digest "):
            await answering(then)(request, writer)
        else:
            headers = (("WWW-Authenticate", 'Basic realm="r"'), ("WWW-Authenticate", challenge))
            await answering(401, b"who are you?", headers)(request, writer)

    return answer


def _digest(fields: dict[str, str], request: HttpRequest, password: str) -> str:
    """What RFC 7616 says the response is."""

    def sha256(*parts: str) -> str:
        return hashlib.sha256(":".join(parts).encode()).hexdigest()

    secret = sha256(fields["username"], fields["realm"], password)
    return sha256(
        *(secret, fields["nonce"], fields["nc"], fields["cnonce"], fields["qop"]),
        sha256(request.method, request.target),
    )


async def test_a_digest_challenge_is_answered_in_the_same_attempt(
    transport: HttpTransport,
) -> None:
    challenge = 'Digest realm="r", nonce="n1", qop="auth", algorithm=SHA-256, opaque="o"'
    async with http_receiver(_challenging(challenge)) as receiver:
        attempt = await transport.post(receiver.url("/a?b", login="user:pw@"), HEADERS, b"body")
    assert attempt[:2] == (Result.DELIVERED, 200)
    first, second = receiver.requests
    assert (first.header("Authorization") or "").startswith("Basic ")
    assert (second.body, second.target) == (b"body", "/a?b")
    fields = dict(re.findall(r'(\w+)="?([^",]*)"?', second.header("Authorization") or ""))
    assert (fields["username"], fields["nonce"], fields["uri"]) == ("user", "n1", "/a?b")
    assert fields["response"] == _digest(fields, second, "pw")


async def test_a_refused_digest_is_not_repeated(transport: HttpTransport) -> None:
    answer = _challenging('Digest realm="r", nonce="n"', then=401)
    async with http_receiver(answer) as receiver:
        attempt = await transport.post(receiver.url(login="user:pw@"), HEADERS, b"")
    assert attempt[:2] == (Result.REFUSED, 401)
    assert len(receiver.requests) == 2


@pytest.mark.parametrize(
    "challenge",
    [
        "Digest",
        "Digest ",
        "Digest nonsense",
        'Digest realm="r"',
        'Digest realm="r", nonce="n", algorithm=NONE',
        'Digest realm="r", nonce="n", qop="auth-int"',
        'Digest realm="r", nonce="n", qop="other"',
        'Digest realm=, nonce="n"',
    ],
)
async def test_a_challenge_that_cannot_be_answered_is_a_refusal(
    transport: HttpTransport, challenge: str
) -> None:
    async with http_receiver(_challenging(challenge)) as receiver:
        attempt = await transport.post(receiver.url(login="user:pw@"), HEADERS, b"")
    assert attempt[:3] == (Result.REFUSED, 401, "who are you?")
    assert len(receiver.requests) == 1


async def test_without_a_password_a_challenge_is_a_refusal(transport: HttpTransport) -> None:
    attempt = await attempt_at(transport, _challenging('Digest realm="r", nonce="n"'))
    assert attempt[:2] == (Result.REFUSED, 401)


# --- TLS -----------------------------------------------------------------------------------------


async def test_a_certificate_that_nobody_vouches_for_is_tried_again(
    transport: HttpTransport, tmp_path: Path
) -> None:
    async with http_receiver(tls=self_signed(tmp_path).context()) as receiver:
        attempt = await transport.post(receiver.url(), HEADERS, b"")
    assert attempt[:2] == (Result.RETRY, None)
    assert "certificate verify failed" in attempt.response
    assert receiver.requests == []


async def test_authorities_of_the_environment_are_not_trusted(
    transport: HttpTransport, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate = self_signed(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate.path))
    async with http_receiver(tls=certificate.context()) as receiver:
        attempt = await transport.post(receiver.url(), HEADERS, b"")
    assert attempt.result is Result.RETRY


@pytest.mark.parametrize("with_file", [True, False])
async def test_trust_can_be_given_or_not_be_asked_for(tmp_path: Path, with_file: bool) -> None:
    certificate = self_signed(tmp_path)
    trust = Trust(ca_file=certificate.path) if with_file else Trust(verify=False)
    transport = HttpTransport(trust)
    async with http_receiver(tls=certificate.context()) as receiver:
        attempt = await transport.post(receiver.url(), HEADERS, b"")
        await transport.close()
    assert attempt.result is Result.DELIVERED


async def test_a_certificate_of_another_host_is_tried_again(tmp_path: Path) -> None:
    certificate = self_signed(tmp_path)
    transport = HttpTransport(Trust(ca_file=certificate.path))
    async with http_receiver(tls=certificate.context()) as receiver:
        url = f"https://localhost:{receiver.port}/"
        attempt = await transport.post(url, HEADERS, b"")
        await transport.close()
    assert attempt.result is Result.RETRY
    assert receiver.requests == []


async def test_an_endpoint_that_does_not_speak_tls_is_tried_again(
    transport: HttpTransport,
) -> None:
    async def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.test ESMTP\r\n")

    async with raw_receiver(greet) as receiver:
        attempt = await soon(transport.post(f"https://{HOST}:{receiver.port}/", HEADERS, b""))
    assert attempt[:2] == (Result.RETRY, None)


async def silent(_: asyncio.StreamReader, __: asyncio.StreamWriter) -> None:
    """Say nothing."""


async def test_a_handshake_that_hangs_is_left_when_the_time_is_over(
    transport: HttpTransport,
) -> None:
    async with raw_receiver(silent) as receiver:
        url = f"https://{HOST}:{receiver.port}/"
        attempt = await soon(transport.post(url, HEADERS, b"", timeout_s=SHORT_S))
        await receiver.until_closed()
    assert attempt[:2] == (Result.RETRY, None)


async def test_a_handshake_can_be_cancelled(transport: HttpTransport) -> None:
    async with raw_receiver(silent) as receiver:
        url = f"https://{HOST}:{receiver.port}/"
        task = asyncio.create_task(transport.post(url, HEADERS, b""))
        await until(lambda: receiver.opened == 1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await receiver.until_closed()


def test_a_file_of_authorities_that_is_none_is_told(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("nonsense")
    for name in ("ca.pem", "missing.pem"):
        with pytest.raises(OSError):
            Trust(ca_file=tmp_path / name).context()


# --- many at once --------------------------------------------------------------------------------


async def test_a_hanging_endpoint_does_not_hold_up_another(transport: HttpTransport) -> None:
    async with http_receiver(hanging) as stuck, http_receiver() as fine:
        waiting = [
            asyncio.create_task(transport.post(stuck.url(), HEADERS, b"")) for _ in range(20)
        ]
        await until(lambda: len(stuck.requests) == 20)
        for _ in range(20):
            attempt = await soon(transport.post(fine.url(), HEADERS, b""))
            assert attempt.result is Result.DELIVERED
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        await stuck.until_closed()


async def test_many_attempts_at_once_each_get_their_own_answer(transport: HttpTransport) -> None:
    async def echo(request: HttpRequest, writer: asyncio.StreamWriter) -> None:
        await answering(200, request.body)(request, writer)

    async with http_receiver(echo) as receiver:
        bodies = [str(number) for number in range(100)]
        attempts = await asyncio.gather(
            *(transport.post(receiver.url(), HEADERS, each.encode()) for each in bodies)
        )
    assert [each.response for each in attempts] == bodies


async def test_no_more_connections_are_opened_than_allowed() -> None:
    transport = HttpTransport(max_connections=2)
    async with http_receiver() as receiver:
        posts = (transport.post(receiver.url(), HEADERS, b"") for _ in range(20))
        attempts = await asyncio.gather(*posts)
        await transport.close()
    assert {each.result for each in attempts} == {Result.DELIVERED}
    assert receiver.opened <= 2


async def test_a_connection_serves_many_attempts_to_its_endpoint(transport: HttpTransport) -> None:
    async with http_receiver() as first, http_receiver() as second:
        for _ in range(10):
            for receiver in (first, second):
                await transport.post(receiver.url(), HEADERS, b"")
    assert (first.opened, second.opened) == (1, 1)


async def test_connections_are_kept_to_so_many_endpoints_only(
    transport: HttpTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http, "_ORIGINS_KEPT", 1)
    async with http_receiver() as first, http_receiver() as second:
        await transport.post(first.url(), HEADERS, b"")
        await transport.post(second.url(), HEADERS, b"")
        await first.until_closed()
        attempt = await transport.post(first.url(), HEADERS, b"")
    assert attempt.result is Result.DELIVERED


@pytest.mark.parametrize(
    "answer", [hanging, repeating(b"HTTP/1.1 200 OK\r\n\r\n", b".", pause_s=0.01)]
)
async def test_an_attempt_can_be_cancelled(transport: HttpTransport, answer: Answering) -> None:
    async with http_receiver(answer) as receiver:
        task = asyncio.create_task(transport.post(receiver.url(), HEADERS, b""))
        await until(lambda: receiver.requests != [])
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await receiver.until_closed()
        receiver.answer = answering()
        assert (await transport.post(receiver.url(), HEADERS, b"")).result is Result.DELIVERED


async def test_after_many_failures_the_transport_still_delivers() -> None:
    """No failure keeps one of the connections that there may be."""
    transport = HttpTransport(max_connections=1)
    async with http_receiver() as receiver, raw_receiver(silent) as mute:
        url = f"https://{HOST}:{mute.port}/"
        await transport.post(url, HEADERS, b"", timeout_s=SHORT_S)
        for answer in (hanging, answering_raw(b"?"), repeating(b"HTTP/1.1 200 OK\r\n\r\n", b".")):
            receiver.answer = answer
            await transport.post(receiver.url(), HEADERS, b"", timeout_s=SHORT_S)
            await transport.post(f"http://{HOST}:{closed_port()}/", HEADERS, b"")
        receiver.answer = answering()
        attempt = await transport.post(receiver.url(), HEADERS, b"")
        await transport.close()
    assert attempt.result is Result.DELIVERED


async def test_no_answer_tells_whether_to_try_again(transport: HttpTransport) -> None:
    with pytest.raises(NoAnswer) as refused:
        await transport.exchange("nonsense", [], b"")
    assert refused.value.result is Result.REFUSED


# --- URLs ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "http://localhost",
        "http://localhost:8080/",
        "https://example.com/hook?a=b&c=%20d",
        "http://user:p%40ss@example.com./",
        "http://127.0.0.1:65535/",
        "http://[::1]:8080/",
        "https://grüße.example/pfad/ü",
        "http://under_score.internal",
        "HTTP://EXAMPLE.COM",
        f"http://{'.'.join(['a' * 63] * 3)}/",
        "http://h/" + "a" * 2039,
    ],
)
def test_these_are_endpoints(url: str) -> None:
    assert is_http_endpoint(url)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "example.com",
        "ftp://example.com/",
        "http:example.com",
        "http://",
        "http:///path",
        "http://user@/",
        "http://:80/",
        "http://exa mple.com/",
        "http://example.com/a b",
        "http://example.com/\r\nHost: x",
        "http://example.com/\n",
        "http://example.com/\x00",
        "http://example.com/\x7f",
        "http://example.com/\u2028",
        "http://example.com/\udc80",
        "http://example.com\\@evil.test/",
        "http://example.com:0/",
        "http://example.com:65536/",
        "http://example.com:-1/",
        "http://example.com:port/",
        "http://a..b/",
        "http://.a/",
        "http://%65xample.com/",
        f"http://{'a' * 64}.com/",
        f"http://{'.'.join(['a' * 63] * 5)}/",
        "http://[::zz]/",
        "http://[::1/",
        "http://999.1.1.1/",
        "http://h/" + "a" * 2040,
    ],
)
def test_these_are_none(url: str) -> None:
    assert not is_http_endpoint(url)
