"""The examples about topics do what they say, against a real server."""

import asyncio
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes
from email.policy import default
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.support.process import ROOT, Server, environment
from tests.support.receivers import HOST, MailReceiver, closed_port, mail_receiver

EXAMPLES = ROOT / "examples"
TIMEOUT_S = 90
ADDRESS = "reader@example.com"


@contextmanager
def serving(directory: Path, *options: str) -> Iterator[Server]:
    with Server(directory, "--store", f"sqlite:{directory / 'headrace.db'}", *options) as started:
        yield started


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with serving(tmp_path) as started:
        yield started
        assert started.stderr == ""


def run_program(server: Server, name: str) -> list[str]:
    """The lines that an example prints; its end must be a good one, and silent."""
    ended = subprocess.run(
        [sys.executable, name],
        cwd=EXAMPLES,
        env=environment(
            {
                "AWS_ENDPOINT_URL": server.endpoint,
                "PYTHONUTF8": "1",
                "PYTHONWARNINGS": "error",
            }
        ),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        timeout=TIMEOUT_S,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert ended.stderr == ""
    return ended.stdout.splitlines()


def test_each_queue_of_the_fan_out_gets_what_its_filter_policy_says(server: Server) -> None:
    lines = run_program(server, "sns_fan_out.py")

    assert lines == [
        "published 5 orders",
        "orders-archive got 1, 2, 3, 4, 5",
        "orders-fraud got 2, 4",
        "orders-islands got 2, 5",
    ]


def test_the_webhook_confirms_prints_what_is_signed_and_refuses_what_is_not(
    server: Server,
) -> None:
    lines = run_program(server, "sns_webhook.py")

    assert lines == [
        "confirmed the subscription",
        "got 'Greeting': hello",
        "got 'žluťoučký kůň' without a subject",
        "refused a message: the signature is not that of the message",
        "answered the forgery with 403",
    ]


def test_without_a_mail_server_the_example_finds_the_token_in_the_outbox(server: Server) -> None:
    lines = run_program(server, "sns_email.py")

    assert lines == [
        "subscribed: pending confirmation",
        f"SubscriptionConfirmation to {ADDRESS}: waiting (no mail server is configured)",
        "confirmed: PendingConfirmation is false",
        f"Notification to {ADDRESS}: waiting (no mail server is configured)",
    ]


async def test_with_a_mail_server_the_mail_is_delivered_and_its_link_has_the_token(
    tmp_path: Path,
) -> None:
    async with mail_receiver() as receiver:
        with serving(tmp_path, "--smtp", f"smtp://{HOST}:{receiver.port}") as server:
            lines = await asyncio.to_thread(run_program, server, "sns_email.py")

    assert lines == [
        "subscribed: pending confirmation",
        f"SubscriptionConfirmation to {ADDRESS}: delivered (250 Queued as 42)",
        "confirmed: PendingConfirmation is false",
        f"Notification to {ADDRESS}: delivered (250 Queued as 42)",
    ]
    (_, confirmation), (sender, notification) = mails(receiver)
    [link] = re.findall(r"http://\S+/confirmation\.html\S+", confirmation)
    query = parse_qs(urlsplit(link).query)
    assert query["Endpoint"] == [ADDRESS]
    assert re.fullmatch(r"[0-9a-f]{288}", query["Token"][0])
    assert sender == "The Letters <no-reply@sns.amazonaws.com>"
    assert notification.startswith("Dear reader, …")


def mails(receiver: MailReceiver) -> list[tuple[str, str]]:
    """From whom the mails are, and their text."""
    found = []
    for envelope in receiver.mails:
        assert isinstance(envelope.content, bytes)
        mail = message_from_bytes(envelope.content, policy=default)
        found.append((mail["From"], mail.get_content()))
    return found


def test_the_saga_compensates_what_was_done_in_reverse_and_does_nothing_twice(
    server: Server,
) -> None:
    """Though every service dies once between doing something and telling it."""
    lines = run_program(server, "saga.py")

    assert lines == [
        "a good order",
        "  customer: placed",
        "  payment: charged",
        "  stock: reserved",
        "  shipping: shipped",
        "no money",
        "  customer: placed",
        "  payment: not charged",
        "  orders: cancelled",
        "nothing in stock",
        "  customer: placed",
        "  payment: charged",
        "  stock: not reserved",
        "  payment: refunded",
        "  orders: cancelled",
        "no way there",
        "  customer: placed",
        "  payment: charged",
        "  stock: reserved",
        "  shipping: not shipped",
        "  stock: released",
        "  payment: refunded",
        "  orders: cancelled",
        "payment did 6 things and died 1 time(s)",
        "stock did 4 things and died 1 time(s)",
        "shipping did 2 things and died 1 time(s)",
        "orders did 3 things and died 1 time(s)",
    ]
    assert server.call("ListQueues") == {}


@pytest.mark.parametrize("name", ["sns_fan_out.py", "sns_webhook.py", "sns_email.py", "saga.py"])
def test_an_example_can_be_run_again(server: Server, name: str) -> None:
    assert run_program(server, name) == run_program(server, name)


@pytest.mark.parametrize("name", ["sns_fan_out.py", "sns_webhook.py", "sns_email.py", "saga.py"])
def test_an_example_takes_the_endpoint_as_an_option(name: str) -> None:
    """Nobody listens there: the address is in what it says at its end."""
    endpoint = f"http://{HOST}:{closed_port()}"
    ended = subprocess.run(
        [sys.executable, name, "--endpoint", endpoint],
        cwd=EXAMPLES,
        env=environment({"AWS_MAX_ATTEMPTS": "1"}),
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert ended.returncode != 0
    assert endpoint in ended.stderr.splitlines()[-1]
