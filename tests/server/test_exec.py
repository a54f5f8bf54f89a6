"""``headrace exec``: a command with a broker of its own, of which nothing is left."""

import asyncio
import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import psutil
import pytest

from api import exec as exec_module
from api.exec import while_process_lives
from api.settings import read_settings
from tests.support.process import MODULE, ROOT, environment, until

_SHOW_ENVIRONMENT = "import json, os; print(json.dumps(dict(os.environ)))"
_SEND_AND_RECEIVE = """
import boto3
sqs, sns, sts = boto3.client("sqs"), boto3.client("sns"), boto3.client("sts")
url = sqs.create_queue(QueueName="jobs")["QueueUrl"]
sqs.send_message(QueueUrl=url, MessageBody="hello")
print(sqs.receive_message(QueueUrl=url)["Messages"][0]["Body"])
print(sns.create_topic(Name="news")["TopicArn"])
print(sts.get_caller_identity()["Account"])
"""
#: says that it is ready and where the broker is, and then what signal came
_TRAP = """
import os, signal, sys
def told(number, frame):
    print(signal.Signals(number).name, flush=True)
    sys.exit(42)
for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    signal.signal(each, told)
print(os.environ["HEADRACE_URL"], flush=True)
signal.pause()
"""


def run(
    *command: str,
    options: Sequence[str] = (),
    extra: Mapping[str, str] | None = None,
    stdin: str = "",
    cwd: Path = ROOT,
) -> subprocess.CompletedProcess[str]:
    """Run a command beside a broker, to its end."""
    return subprocess.run(
        [*MODULE, "exec", *options, "--", *command],
        cwd=cwd,
        env={"PYTHONPATH": str(ROOT), **environment(extra)},
        input=stdin,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def python(program: str) -> tuple[str, ...]:
    return (sys.executable, "-c", program)


class Waiting:
    """A command beside a broker that waits for a signal."""

    def __init__(self, *, pass_fds: Sequence[int] = ()) -> None:
        self._mark = f"http://{uuid4()}.invalid/"  # an option by which the processes are found
        self.process = subprocess.Popen(
            [*MODULE, "exec", "--phone-webhook", self._mark, "--", *python(_TRAP)],
            cwd=ROOT,
            env=environment(),
            stdout=subprocess.PIPE,
            text=True,
            pass_fds=pass_fds,
        )
        assert self.process.stdout is not None
        self.url = self.process.stdout.readline().strip()

    def __enter__(self) -> "Waiting":
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate()

    def brokers(self) -> list[psutil.Process]:
        """The broker's process, while there is one; the command has another command line."""
        found = psutil.process_iter(["cmdline"])
        return [each for each in found if self._mark in (each.info["cmdline"] or ())]

    def answers(self) -> bool:
        where = urlsplit(self.url)
        try:
            socket.create_connection((where.hostname, where.port), timeout=5).close()
        except OSError:
            return False
        return True


# --- what the command finds ---------------------------------------------------------------------


def test_any_sdk_calls_the_broker_without_being_told() -> None:
    ended = run(*python(_SEND_AND_RECEIVE))
    assert ended.stdout.splitlines() == [
        "hello",
        "arn:aws:sns:us-east-1:000000000000:news",
        "000000000000",
    ]
    assert (ended.returncode, ended.stderr) == (0, "")


def test_endpoints_region_and_dummy_credentials_are_set_whatever_was_set_before() -> None:
    ended = run(
        *python(_SHOW_ENVIRONMENT),
        options=["--region", "eu-west-1"],
        extra={
            "AWS_ACCESS_KEY_ID": "AKIAREALREALREAL",
            "AWS_SECRET_ACCESS_KEY": "real",
            "AWS_SESSION_TOKEN": "real",
            "AWS_PROFILE": "production",
            "AWS_REGION": "ap-south-1",
            "AWS_ENDPOINT_URL_SQS": "https://real.example",
            "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true",
            "NO_PROXY": "intern.example",
            "UNTOUCHED": "yes",
        },
    )
    seen = json.loads(ended.stdout)
    url = seen["HEADRACE_URL"]
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+", url)
    for name in ("", "_SQS", "_SNS", "_STS"):
        assert seen[f"AWS_ENDPOINT_URL{name}"] == url
    assert seen["AWS_REGION"] == seen["AWS_DEFAULT_REGION"] == "eu-west-1"
    assert seen["AWS_ACCESS_KEY_ID"] == seen["AWS_SECRET_ACCESS_KEY"] == "test"
    assert seen["NO_PROXY"] == "intern.example,127.0.0.1"
    assert seen["UNTOUCHED"] == "yes"
    assert not {"AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS"} & set(
        seen
    )


def test_standard_input_output_and_error_are_the_commands() -> None:
    ended = run("sh", "-c", "cat; echo problem >&2", stdin="in and out")
    assert (ended.stdout, ended.stderr) == ("in and out", "problem\n")


def test_declared_queues_are_there_before_the_command_starts(tmp_path: Path) -> None:
    config = tmp_path / "queues.yaml"
    config.write_text("queues: {orders: {visibilityTimeout: 7}}\n")
    program = (
        "import boto3; sqs = boto3.client('sqs'); url = sqs.get_queue_url(QueueName='orders');"
        "print(sqs.get_queue_attributes(QueueUrl=url['QueueUrl'], AttributeNames=['All'])"
        "['Attributes']['VisibilityTimeout'])"
    )
    ended = run(*python(program), options=["--config", str(config)])
    assert (ended.stdout, ended.stderr) == ("7\n", "")


def test_ports_and_hosts_in_anothers_configuration_are_not_those_of_a_private_broker(
    tmp_path: Path,
) -> None:
    config = tmp_path / "elasticmq.conf"
    config.write_text(
        "node-address { host = shop.example, port = 9324 }\nrest-sqs { bind-port = 1 }\n"
        "aws { region = eu-west-3 }\nqueues { orders { } }\n"
    )
    program = "import boto3; print(boto3.client('sqs').list_queues()['QueueUrls'][0])"
    ended = run(*python(program), options=["--config", str(config)])
    assert ended.returncode == 0, ended.stderr
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/000000000000/orders\n", ended.stdout)


def test_variables_of_a_server_do_not_reach_it(tmp_path: Path) -> None:
    ended = run(
        "true",
        extra={"HEADRACE_STORE": f"sqlite:{tmp_path}/x/headrace.db", "HEADRACE_NONE": "x"},
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert list(tmp_path.iterdir()) == []


def test_a_server_in_the_command_does_not_stumble_over_the_url() -> None:
    assert read_settings({}, {"HEADRACE_URL": "http://127.0.0.1:1"}) == read_settings({}, {})


def test_one_within_another_has_a_broker_of_its_own() -> None:
    inner = [*MODULE, "exec", "--", "sh", "-c", 'echo "$OUTER $HEADRACE_URL"']
    ended = run("sh", "-c", 'OUTER="$HEADRACE_URL" exec "$@"', "sh", *inner)
    outer_url, inner_url = ended.stdout.split()
    assert outer_url != inner_url


# --- how it ends --------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [0, 1, 3, 255])
def test_the_exit_status_is_the_commands(status: int) -> None:
    assert run("sh", "-c", f"exit {status}").returncode == status


def test_a_command_that_a_signal_kills_is_seen_to_be_killed() -> None:
    assert run("sh", "-c", "kill -9 $$").returncode == -signal.SIGKILL


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signals_reach_the_command_once_and_not_the_broker(number: signal.Signals) -> None:
    with Waiting() as waiting:
        assert waiting.answers()
        waiting.process.send_signal(number)
        output, _ = waiting.process.communicate(timeout=20)
        assert output.splitlines() == [number.name]
        assert waiting.process.returncode == 42


def test_a_broken_pipe_ends_the_command_as_ever() -> None:
    """Python ignores SIGPIPE, and a program inherits what is ignored."""
    ended = run("sh", "-c", "yes | head -n 1")
    assert (ended.stdout, ended.stderr) == ("y\n", "")


def test_ctrl_c_in_the_terminal_does_not_reach_the_broker() -> None:
    """It goes to a session's foreground processes."""
    with Waiting() as waiting:
        [broker] = waiting.brokers()
        assert os.getsid(broker.pid) != os.getsid(waiting.process.pid)
        assert os.getpgid(broker.pid) != os.getpgid(waiting.process.pid)


def test_the_broker_is_no_child_that_the_command_could_wait_for() -> None:
    program = """
import os
try:
    os.waitpid(-1, os.WNOHANG)
except ChildProcessError:
    print("none")
"""
    assert run(*python(program)).stdout == "none\n"


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_when_it_is_killed_neither_the_command_nor_the_broker_stays(
    number: signal.Signals,
) -> None:
    with Waiting() as waiting:
        assert len(waiting.brokers()) == 1
        waiting.process.send_signal(number)
        waiting.process.wait(timeout=20)
        until(lambda: not waiting.brokers())
        assert not waiting.answers()


def test_nothing_is_left_in_the_file_system(tmp_path: Path) -> None:
    work, temporary = tmp_path / "work", tmp_path / "temporary"
    work.mkdir()
    temporary.mkdir()
    ended = run(*python(_SEND_AND_RECEIVE), cwd=work, extra={"TMPDIR": str(temporary)})
    assert ended.returncode == 0, ended.stderr
    assert list(work.iterdir()) == list(temporary.iterdir()) == []


def test_the_broker_holds_nothing_open_that_its_caller_opened() -> None:
    """A lock, or a pipe at whose other end somebody waits."""
    reading, writing = os.pipe()
    try:
        with Waiting(pass_fds=[writing]) as waiting:
            [broker] = waiting.brokers()
            mine = Path(f"/proc/self/fd/{writing}").readlink()
            assert mine in _open_files(waiting.process.pid)
            assert mine not in _open_files(broker.pid)
    finally:
        os.close(reading)
        os.close(writing)


def _open_files(process_id: int) -> list[Path]:
    return [each.readlink() for each in Path(f"/proc/{process_id}/fd").iterdir()]


async def test_where_the_system_tells_nothing_of_a_process_its_end_is_noticed_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refused(_: int) -> int:
        raise OSError

    monkeypatch.setattr("os.pidfd_open", refused)
    monkeypatch.setattr(exec_module, "_POLL_INTERVAL_S", 0.001)
    process = await asyncio.create_subprocess_exec("cat", stdin=asyncio.subprocess.PIPE)
    cancelled = asyncio.Event()

    async def serve() -> int:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()
        return 1

    serving = asyncio.create_task(while_process_lives(process.pid, serve()))
    for _ in range(20):
        await asyncio.sleep(0)
    assert not cancelled.is_set()
    process.kill()
    await process.wait()
    assert await serving == 0
    assert cancelled.is_set()


# --- what goes wrong ----------------------------------------------------------------------------


def refusal(ended: subprocess.CompletedProcess[str]) -> str:
    assert ended.stdout == ""
    assert ended.stderr.startswith("headrace: ")
    assert ended.stderr.count("\n") == 1, ended.stderr
    return ended.stderr


def test_a_command_that_does_not_exist_is_127_and_one_line() -> None:
    ended = run("no-such-command", "--help")
    assert "no-such-command" in refusal(ended)
    assert ended.returncode == 127


def test_a_command_that_cannot_be_executed_is_126_and_one_line(tmp_path: Path) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("to do\n")
    for path in (text, tmp_path):
        ended = run(str(path))
        assert str(path) in refusal(ended)
        assert ended.returncode == 126


def test_a_broker_that_cannot_start_is_125_and_the_command_is_not_run(tmp_path: Path) -> None:
    ended = run("touch", str(tmp_path / "made"), options=["--store", "sqlite:/proc/h.db"])
    assert "/proc/h.db" in refusal(ended)
    assert ended.returncode == 125
    assert list(tmp_path.iterdir()) == []


_AFTER_DASHES = "what to run goes after --: headrace exec -- pytest -q (see headrace exec --help)\n"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], _AFTER_DASHES),
        (["--"], _AFTER_DASHES),
        (["pytest", "-q"], _AFTER_DASHES),
        (["--store", "memory", "npm", "test"], _AFTER_DASHES),
        (["--colour", "blue"], "arguments: --colour blue (see headrace exec --help)\n"),
        (["--colour", "blue", "--", "true"], "--colour blue (see headrace exec --help)\n"),
        (["--store"], "(see headrace exec --help)\n"),
        (["--store", "redis", "--", "true"], "--store 'redis': use memory|sqlite:PATH\n"),
        (["--config", "/no/such.yaml", "--", "true"], "/no/such.yaml: no such file or directory\n"),
    ],
)
def test_a_wrong_command_line_is_125_and_one_line(arguments: list[str], told: str) -> None:
    ended = subprocess.run(
        [*MODULE, "exec", *arguments],
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert refusal(ended).endswith(told)
    assert ended.returncode == 125
