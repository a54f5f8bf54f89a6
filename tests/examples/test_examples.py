"""The examples do what they say, against a real server."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.process import ROOT, Server, environment

EXAMPLES = ROOT / "examples"
TIMEOUT_S = 90


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with Server(tmp_path, "--store", f"sqlite:{tmp_path / 'headrace.db'}") as started:
        yield started


def run_example(*command: str, endpoint: str = "http://127.0.0.1:9") -> list[str]:
    """The lines that an example prints; its end must be a good one."""
    virtual_environment = str(Path(sys.executable).parent)
    ended = subprocess.run(
        command,
        cwd=EXAMPLES,
        env=environment(
            {
                "AWS_ENDPOINT_URL_SQS": endpoint,
                "PATH": f"{virtual_environment}{os.pathsep}{os.environ['PATH']}",
            }
        ),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout.splitlines()


def waiting(server: Server, name: str) -> int:
    """How many messages a queue holds, wherever they are."""
    attributes = server.attributes(name)
    return sum(
        int(value) for key, value in attributes.items() if key.startswith("ApproximateNumber")
    )


def test_the_boto3_worker_does_nine_jobs_and_the_bad_one_ends_in_the_dead_letter_queue(
    server: Server,
) -> None:
    lines = run_example(sys.executable, "boto3_worker.py", endpoint=server.endpoint)

    bad = '{"divide": 100, "by": 0}'
    assert lines[0] == "sent 10 jobs"
    assert sum(line.startswith("done ") for line in lines) == 9
    assert [line for line in lines if bad in line] == [
        f"failed {bad} the 1. time: division by zero",
        f"failed {bad} the 2. time: division by zero",
        f"failed {bad} the 3. time: division by zero",
        f"dead {bad}",
    ]
    assert waiting(server, "jobs") == 0
    assert waiting(server, "jobs-dead") == 0


def test_celery_processes_a_hundred_tasks(server: Server) -> None:
    lines = run_example(sys.executable, "celery_tasks.py", "--endpoint", server.endpoint)

    assert lines == ["sent 100 tasks", "100 of 100 tasks done"]
    assert waiting(server, "celery") == 0
    assert waiting(server, "celery-results") == 0


def test_the_tour_with_the_aws_cli_sees_what_it_should(server: Server) -> None:
    lines = run_example("./cli.sh", endpoint=server.endpoint)

    assert lines == [
        f"created {server.endpoint}/000000000000/cli-jobs",
        "received: hello from the shell",
        "attributes: 0 0",
        "in order: first second",
        "in the dead-letter queue: 1",
        "moved back: 1",
        "deleted",
    ]
    assert server.call("ListQueues") == {}
