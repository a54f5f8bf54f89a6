"""Where deliveries go: options and variables of a real server, and what it refuses."""

import json
import socket
import time
import urllib.parse
import urllib.request
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, ClassVar

import pytest

from api.settings import environment_name, option_name
from tests.support.process import Server, run_command, until

StartServer = Callable[..., Server]

#: "one clear line and a non-zero exit" comes within that time
REFUSAL_S = 3.0
PASSWORD = "hunter2"

BAD_VALUES = [
    ("smtp", "mail.example.com"),
    ("smtp", "http://mail.example.com"),
    ("smtp", "smtp://"),
    ("smtp", "smtp://mail.example.com:0"),
    ("smtp", "smtp://mail.example.com/path"),
    ("smtp", "smtp://mail.example.com?starttls=perhaps"),
    ("smtp", "smtps://mail.example.com?starttls=true"),
    ("smtp", ""),
    ("mail_from", "nobody"),
    ("mail_from", ""),
    ("lambda_endpoint", "localhost:3001"),
    ("lambda_endpoint", "http://localhost:3001/path"),
    ("lambda_function", "a function"),
    ("firehose_endpoint", "ftp://localhost"),
    ("firehose_folder", ""),
    ("phone_webhook", "localhost"),
    ("phone_webhook", "http://:80/"),
    ("phone_webhook", "http://localhost:99999/"),
    ("ca_file", "/no/such/file.pem"),
    ("tls_verify", "perhaps"),
    ("signing_cert_url", "sns.us-east-1.amazonaws.com"),
]


def refusal(*options: str, **how: Any) -> str:
    """The one line that a failing start says, having checked that it is one, and quick."""
    begun = time.monotonic()
    ended = run_command("serve", "--store", "memory", "--port", "0", *options, **how)
    assert time.monotonic() - begun < REFUSAL_S
    assert ended.returncode > 0
    assert ended.stdout == ""
    assert ended.stderr.startswith("headrace: ")
    assert ended.stderr.count("\n") == 1
    assert ended.stderr.endswith("\n")
    return ended.stderr


@pytest.mark.parametrize(("field", "value"), BAD_VALUES)
def test_a_bad_value_stops_the_start_with_one_line(field: str, value: str) -> None:
    assert option_name(field) in refusal(option_name(field), value)


@pytest.mark.parametrize(("field", "value"), [BAD_VALUES[0], BAD_VALUES[8], BAD_VALUES[-3]])
def test_a_bad_variable_is_told_by_its_name(field: str, value: str) -> None:
    line = refusal(extra_environment={environment_name(field): value})
    assert environment_name(field) in line


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("smtp", f"smtp://me:{PASSWORD}@mail.example.com:99999"),
        ("smtp", f"smtp://me:{PASSWORD}@mail.example.com/path"),
        ("smtp", f"mail://me:{PASSWORD}@mail.example.com"),
        ("phone_webhook", f"http://me:{PASSWORD}@localhost:99999/"),
        ("phone_webhook", f"ftp://me:{PASSWORD}@localhost/"),
        ("lambda_endpoint", f"http://me:{PASSWORD}@localhost/path"),
        ("firehose_endpoint", f"http://me:{PASSWORD}@localhost/path"),
    ],
)
def test_a_password_in_a_url_is_not_printed(field: str, value: str) -> None:
    for line in (
        refusal(option_name(field), value),
        refusal(extra_environment={environment_name(field): value}),
    ):
        assert PASSWORD not in line


def test_a_file_that_holds_no_certificates_stops_the_start(tmp_path: Path) -> None:
    path = tmp_path / "authorities.pem"
    path.write_text("not a certificate")
    assert str(path) in refusal("--ca-file", str(path))


class _Webhook(BaseHTTPRequestHandler):
    """Notes what is posted."""

    bodies: ClassVar[list[bytes]]

    def do_POST(self) -> None:
        """Take what is posted."""
        self.bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def call(server: Server, **parameters: str) -> bytes:
    """One call of SNS; the answer."""
    body = urllib.parse.urlencode(parameters | {"Version": "2010-03-31"}).encode()
    with urllib.request.urlopen(server.endpoint, body, timeout=10) as response:  # noqa: S310
        answer: bytes = response.read()
        return answer


@pytest.mark.parametrize("by", ["option", "variable"])
def test_a_webhook_is_used_however_it_is_set(start_server: StartServer, by: str) -> None:
    class Handler(_Webhook):
        bodies: ClassVar[list[bytes]] = []

    with HTTPServer(("127.0.0.1", 0), Handler) as webhook:
        thread = Thread(target=webhook.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        url = f"http://127.0.0.1:{webhook.server_port}/"
        try:
            server = (
                start_server("--store", "memory", "--phone-webhook", url)
                if by == "option"
                else start_server(
                    "--store", "memory", extra_environment={"HEADRACE_PHONE_WEBHOOK": url}
                )
            )
            call(server, Action="Publish", PhoneNumber="+4915112345678", Message="hi")
            [posted] = until(lambda: Handler.bodies)
        finally:
            webhook.shutdown()
            thread.join()
    assert json.loads(posted)["phoneNumber"] == "+4915112345678"


def test_a_mail_server_that_is_not_there_does_not_stop_the_start(
    start_server: StartServer,
) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"smtp://me:{PASSWORD}@127.0.0.1:{unused.getsockname()[1]}"
        server = start_server("--store", "memory", "--smtp", url)
        created = call(server, Action="CreateTopic", Name="news").decode()
        topic = created.partition("<TopicArn>")[2].partition("<")[0]
        call(
            server,
            Action="Subscribe",
            TopicArn=topic,
            Protocol="email",
            Endpoint="reader@example.com",
        )

        def attempted() -> Any:
            with urllib.request.urlopen(f"{server.endpoint}/_headrace/outbox") as response:  # noqa: S310
                [delivery] = json.load(response)["deliveries"]
            return delivery if delivery["attempts"] else None

        delivery = until(attempted)
    assert delivery["status"] == "pending"
    assert PASSWORD not in json.dumps(delivery)
    assert PASSWORD not in server.stderr
    assert PASSWORD not in server.banner
