"""Scripts of the start: run in order once the server answers, before it is healthy."""

import http.client
import json
import os
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.support.process import Server, run_command, until

StartServer = Callable[..., Server]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where scripts are put."""
    made = tmp_path / "ready.d"
    made.mkdir()
    return made


def script(folder: Path, name: str, text: str, mode: int = 0o755) -> Path:
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    path.chmod(mode)
    return path


def options(folder: Path, *more: str) -> list[str]:
    return ["--store", "memory", "--init-folder", str(folder), *more]


def get(port: int, path: str) -> tuple[int, Any]:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, json.loads(response.read())


def said(server: Server, name: str) -> list[str]:
    """What a script has written, as the log has it."""
    mark = f"api.init_scripts: {name}: "
    return [line.partition(mark)[2] for line in server.stderr.splitlines() if mark in line]


# --- what is run, and how -----------------------------------------------------------------------


def test_scripts_are_run_in_lexical_order_those_of_subfolders_last(
    start_server: StartServer, folder: Path
) -> None:
    order = folder.parent / "order"
    for name in ("20-b.sh", "10-a.sh", "30-c.py", "05-sub/a.sh"):
        text = f"open({str(order)!r}, 'a').write('{name} ')" if name.endswith("py") else ""
        script(folder, name, text or f"#!/bin/sh\nprintf '{name} ' >> {order}\n")
    start_server(*options(folder))
    assert order.read_text().split() == ["10-a.sh", "20-b.sh", "30-c.py", "05-sub/a.sh"]


def test_a_python_script_has_boto3_and_calls_this_server(
    start_server: StartServer, folder: Path
) -> None:
    script(folder, "queues.py", "import boto3\nboto3.client('sqs').create_queue(QueueName='jobs')")
    server = start_server(*options(folder))
    assert server.call("ListQueues") == {"QueueUrls": [f"{server.endpoint}/000000000000/jobs"]}


def test_a_script_finds_endpoint_region_and_credentials(
    start_server: StartServer, folder: Path
) -> None:
    script(folder, "env.sh", "echo $AWS_ENDPOINT_URL $AWS_REGION $AWS_ACCESS_KEY_ID $MINE\n")
    server = start_server(
        *options(folder, "--region", "eu-west-1", "--host", "0.0.0.0"),  # noqa: S104
        extra_environment={"MINE": "kept", "AWS_ACCESS_KEY_ID": "real"},
    )
    [line] = said(server, "env.sh")
    assert line == f"http://127.0.0.1:{server.port} eu-west-1 test kept"


@pytest.mark.parametrize("mode", [0o755, 0o644], ids=["executable", "not executable"])
@pytest.mark.parametrize("first", ["#!/bin/sh\n", ""], ids=["with #!", "without #!"])
def test_a_shell_script_runs_executable_or_not(
    start_server: StartServer, folder: Path, first: str, mode: int
) -> None:
    script(folder, "a.sh", f"{first}echo done\n", mode)
    server = start_server(*options(folder))
    assert said(server, "a.sh")[-1] == "done"


def test_an_executable_script_is_run_by_what_it_says(
    start_server: StartServer, folder: Path
) -> None:
    script(folder, "a.sh", "#!/usr/bin/env python3\nprint('snake')\n")
    server = start_server(*options(folder))
    assert said(server, "a.sh")[-1] == "snake"


def test_output_is_logged_line_by_line_and_made_harmless(
    start_server: StartServer, folder: Path
) -> None:
    script(folder, "a.sh", "echo one\necho two >&2\nprintf 'three\\033[31m'\n")
    server = start_server(*options(folder))
    assert said(server, "a.sh")[-3:] == ["one", "two", "three\\x1b[31m"]


def test_a_process_that_a_script_leaves_running_does_not_hold_the_start_up(
    start_server: StartServer, folder: Path
) -> None:
    left = folder.parent / "left"
    script(folder, "a.sh", f"#!/bin/sh\nsleep 600 &\necho $! > {left}\n")
    start_server(*options(folder))
    os.kill(int(left.read_text()), signal.SIGKILL)


def test_the_hidden_copies_in_a_mounted_configmap_are_not_run_again(
    start_server: StartServer, folder: Path
) -> None:
    script(folder, "..2026_11_20/a.sh", "echo once\n")
    (folder / "..data").symlink_to("..2026_11_20")
    (folder / "a.sh").symlink_to("..data/a.sh")
    server = start_server(*options(folder))
    assert said(server, "a.sh") == ["once"]


def test_other_files_are_not_run_and_that_is_told(start_server: StartServer, folder: Path) -> None:
    script(folder, "main.tf", "resource {}")
    server = start_server(*options(folder))
    assert f"{folder}/main.tf is not run: scripts end in .sh or .py" in server.stderr


def test_a_folder_that_is_not_there_is_refused_in_one_line(folder: Path) -> None:
    ended = run_command("serve", "--port", "0", *options(folder / "none"))
    assert ended.returncode == 1
    assert ended.stderr == f"headrace: init folder {folder}/none: no such file or directory\n"


# --- aws and awslocal ---------------------------------------------------------------------------


def _path_with(tmp_path: Path, *, aws: bool) -> str:
    """A search path with a shell and little else."""
    programs = tmp_path / "programs"
    programs.mkdir()
    for name in ("sh", "bash", "rm", "mkdir"):
        (programs / name).symlink_to(Path("/bin") / name)
    if aws:
        script(programs, "aws", '#!/bin/sh\necho "aws $*"\n')
    return str(programs)


def test_awslocal_is_aws_with_this_endpoint(
    start_server: StartServer, folder: Path, tmp_path: Path
) -> None:
    script(folder, "a.sh", "#!/bin/sh\nawslocal sqs list-queues 'a b'\n")
    path = _path_with(tmp_path, aws=True)
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    server = start_server(
        *options(folder), extra_environment={"PATH": path, "TMPDIR": str(temporary)}
    )
    assert said(server, "a.sh")[-1] == f"aws --endpoint-url {server.endpoint} sqs list-queues a b"
    assert list(temporary.iterdir()) == []


def test_a_script_for_a_missing_aws_is_told_in_one_line(
    start_server: StartServer, folder: Path, tmp_path: Path
) -> None:
    script(folder, "a.sh", "#!/bin/sh\n# aws is not called here\n")
    script(folder, "b.sh", "#!/bin/sh\nawslocal sqs list-queues || exit 0\n")
    server = start_server(
        *options(folder), extra_environment={"PATH": _path_with(tmp_path, aws=False)}
    )
    told = [line for line in server.stderr.splitlines() if "there is no aws command" in line]
    assert len(told) == 1
    assert f"{folder}/b.sh" in told[0]


# --- failures -----------------------------------------------------------------------------------


@pytest.mark.parametrize("level", ["info", "error"])
def test_a_script_that_fails_ends_the_start_and_is_told_with_its_output(
    folder: Path, level: str
) -> None:
    script(folder, "a.sh", "#!/bin/sh\necho what went wrong\nexit 3\n")
    script(folder, "b.sh", "#!/bin/sh\necho never\n")
    ended = run_command("serve", "--port", "0", *options(folder, "--log-level", level))
    assert ended.returncode == 1
    assert ended.stdout == ""
    *log, last = ended.stderr.splitlines()
    assert last == (
        f"headrace: init script {folder}/a.sh failed with status 3; its output is above"
    )
    assert log[-1].endswith("a.sh: what went wrong")
    assert "never" not in ended.stderr


def test_a_script_that_fails_may_be_passed_over(start_server: StartServer, folder: Path) -> None:
    script(folder, "a.sh", "#!/bin/sh\nkill -9 $$\n")
    script(folder, "b.sh", "#!/bin/sh\necho still\n")
    server = start_server(*options(folder, "--init-failure", "continue"))
    assert f"init script {folder}/a.sh failed by SIGKILL and said nothing" in server.stderr
    assert said(server, "b.sh")[-1] == "still"
    assert get(server.port, "/_headrace/health")[0] == 200
    _, document = get(server.port, "/_localstack/init/ready")
    assert [each["state"] for each in document["scripts"]] == ["ERROR", "SUCCESSFUL"]


def test_a_script_whose_interpreter_is_missing_fails(folder: Path) -> None:
    script(folder, "a.sh", "#!/no/such/shell\n")
    ended = run_command("serve", "--port", "0", *options(folder))
    assert ended.returncode == 1
    assert f"init script {folder}/a.sh cannot be run: " in ended.stderr.splitlines()[-1]


def test_a_script_that_cannot_be_read_fails_in_one_line(folder: Path, tmp_path: Path) -> None:
    (folder / "a.sh").symlink_to("nowhere.sh")
    ended = run_command(
        "serve",
        "--port",
        "0",
        *options(folder),
        extra_environment={"PATH": _path_with(tmp_path, aws=False)},
    )
    assert ended.returncode == 1
    assert ended.stderr.splitlines()[-1] == (
        f"headrace: init script {folder}/a.sh cannot be run: No such file or directory"
    )


# --- while they run -----------------------------------------------------------------------------


@pytest.fixture
def waiting(folder: Path, tmp_path: Path) -> Iterator[tuple[Server, int, Path]]:
    """A server whose script waits until somebody opens a pipe; its port, and the pipe."""
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    process_id = tmp_path / "pid"
    script(
        folder,
        "a.sh",
        f"#!/bin/sh\necho $$ > {process_id}.new\nmv {process_id}.new"
        f" {process_id}\nread x < {gate}\n",
    )
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        port: int = free.getsockname()[1]
    server = Server(tmp_path, *options(folder, "--port", str(port)))
    server.spawn()
    try:
        until(process_id.exists)
        yield server, port, gate
    finally:
        server.kill()


def test_the_server_answers_but_is_not_healthy_until_the_scripts_are_through(
    waiting: tuple[Server, int, Path],
) -> None:
    server, port, gate = waiting
    assert get(port, "/_headrace/health") == (503, {"status": "starting", "store": "memory"})
    assert get(port, "/_localstack/health")[0] == 503
    _, init = get(port, "/_localstack/init")
    assert init["completed"]["READY"] is False
    assert init["scripts"] == [{"stage": "READY", "name": "a.sh", "state": "RUNNING"}]

    gate.write_text("go on\n")
    server.await_ready()

    assert get(port, "/_headrace/health")[0] == 200
    _, init = get(port, "/_localstack/init")
    assert init["completed"]["READY"] is True
    assert init["scripts"][0]["state"] == "SUCCESSFUL"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_meanwhile_ends_server_and_script(
    waiting: tuple[Server, int, Path], number: signal.Signals
) -> None:
    server, _, gate = waiting
    running = int((gate.parent / "pid").read_text())
    assert server.stop(number) == 0
    until(lambda: not psutil.pid_exists(running))
