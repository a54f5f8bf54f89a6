"""The image: built from the Dockerfile, run as compose.yaml says, killed, run again.

``make image-test`` runs it, and nothing else does: it takes root and minutes.  docs/install.md says
what it does not show.
"""

import gzip
import json
import os
import shutil
import signal
import socket
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

from tests.packaging.compose import read_compose
from tests.packaging.containers import Container, Images, Network, Place, missing, run
from tests.support.process import ROOT, read_answer, request_bytes

IMAGE = "localhost/headrace-image-test"
PORT = 4566
#: the last line of the banner, which is printed once the server answers
READY = "  stop "
#: for other processors: what pip is to look for packages for
PLATFORMS = ("manylinux_2_28", "manylinux_2_17", "manylinux2014")

_CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
#: removed from the image under test: what needs one of these fails
_SHELLS = ("sh", "dash", "bash", "env")

pytestmark = pytest.mark.timeout(1200)


@dataclass(frozen=True)
class Built:
    """The image and its base: files, and what the image says of itself."""

    root: Path
    base: Path
    config: Any


class Site:
    """The server of compose.yaml in a container of its own, and what may stand beside it."""

    def __init__(self, built: Built, network: Network, directory: Path, volume: Path) -> None:
        namespace, self.address = network.join()
        self.url = f"http://{self.address}:{PORT}"
        self._built = built
        self._network = network
        self._directory = directory
        self.volume = volume
        self._hosts = directory / "hosts"
        self._hosts.write_text(f"127.0.0.1 localhost\n{self.address} headrace\n", "utf-8")
        self._place = self._place_of("headrace", namespace)

    def server(self, *command: str, read_only: bool | None = None) -> Container:
        """The server, not started; as compose.yaml says unless told otherwise."""
        place = self._place
        if read_only is not None:
            place = replace(place, read_only=read_only)
        return Container(place, self._log(), command=command)

    def beside(self, service: str, *entrypoint: str) -> Container:
        """Another service of compose.yaml, with an address of its own, not started."""
        told = read_compose()[service]
        namespace, _ = self._network.join()
        return Container(
            self._place_of(service, namespace),
            self._log(),
            entrypoint=entrypoint or told.raw["entrypoint"],
            environment={k: v for k, v in told.environment.items() if v is not None},
        )

    def client(self, service: str = "sqs") -> Any:
        """A client of boto3 on this machine."""
        return boto3.client(
            service,
            "us-east-1",
            endpoint_url=self.url,
            aws_access_key_id="test",
            aws_secret_access_key="test",
            config=Config(retries={"total_max_attempts": 1}),
        )

    def _place_of(self, service: str, namespace: str) -> Place:
        told = read_compose()[service]
        mounts = [
            (
                ROOT / each.source if each.source.startswith(".") else self.volume,
                each.target,
                each.read_only,
            )
            for each in told.mounts
        ]
        return Place(
            self._built.root,
            self._built.config,
            namespace,
            read_only=told.read_only,
            scratch=told.tmpfs,
            mounts=[*mounts, (self._hosts, "/etc/hosts", True)],
        )

    def _log(self) -> Path:
        return self._directory / f"{len(list(self._directory.iterdir()))}.log"


@pytest.fixture(scope="session")
def images() -> Images:
    """Where images are kept; the base stays from run to run."""
    lack = missing()
    if lack is not None:
        pytest.exit(f"image-test: {lack}", returncode=2)
    directory = _CACHE / "headrace" / "image-test"
    directory.mkdir(parents=True, exist_ok=True)
    return Images(directory)


@pytest.fixture(scope="session")
def built(images: Images) -> Iterator[Built]:
    """The image, without its shells, and with the places where others mount something."""
    base = images.base()
    images.build(IMAGE, base)
    with images.unpacked(base) as base_root, images.unpacked(IMAGE) as root:
        for shell in _SHELLS:
            (root / "usr/bin" / shell).unlink(missing_ok=True)
        (root / "app").mkdir()
        yield Built(root, base_root, images.config(IMAGE))


@pytest.fixture
def site(built: Built, tmp_path: Path) -> Iterator[Site]:
    """A network and a new volume, which gets its owner from the image as engines do it."""
    owner = (built.root / "data").stat()
    with tempfile.TemporaryDirectory() as volume, Network() as network:
        os.chown(volume, owner.st_uid, owner.st_gid)
        Path(volume).chmod(owner.st_mode)
        yield Site(built, network, tmp_path, Path(volume))


def started(stack: ExitStack, container: Container) -> Container:
    """Start a server that is gone when the stack is left, and wait until it answers."""
    stack.enter_context(container)
    container.await_output(READY)
    return container


def files(root: Path) -> dict[str, tuple[int, int, int, int]]:
    """Owner, mode, size and time of all that there is, by path; of folders without size."""
    found = {}
    for path in root.rglob("*"):
        told = path.lstat()
        size = 0 if path.is_dir() else told.st_size
        found[str(path.relative_to(root))] = (told.st_uid, told.st_mode, size, told.st_mtime_ns)
    return found


def test_the_size_over_the_base_is_small(
    built: Built, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before, after = files(built.base), files(built.root)
    added = {path for path in after if path not in before}
    archive = tmp_path / "layer.tar.gz"
    with gzip.open(archive, "wb") as packed, tarfile.open(fileobj=packed, mode="w|") as layer:
        for path in sorted(added):
            layer.add(built.root / path, path, recursive=False)
    unpacked = sum(after[path][2] for path in added) / 2**20
    to_pull = archive.stat().st_size / 2**20
    base = sum(size for _, _, size, _ in before.values()) / 2**20
    with capsys.disabled():
        sys.stdout.write(
            f"\nover a base of {base:.0f} MiB: {unpacked:.1f} MiB, packed {to_pull:.1f} MiB\n"
        )
    assert unpacked < 90
    assert to_pull < 35


def test_nothing_is_left_of_how_it_was_built(built: Built) -> None:
    before, after = files(built.base), files(built.root)
    # folders of which this test has changed something are not the image's doing
    changed = {path for path in after if before.get(path) != after[path]} - {"usr/bin", "app"}
    assert {path for path in changed if not path.startswith("opt/headrace/")} == {
        "data",
        "opt",
        "opt/headrace",
    }
    installed = (built.root / "opt/headrace/lib").glob("python3*/site-packages/*")
    packages = {path.name for path in installed}
    assert packages >= {"api", "broker", "storage"}
    assert packages.isdisjoint({"pip", "setuptools", "wheel", "tests", "examples", "docker"})
    assert {path.name for path in (built.root / "opt/headrace/pycache").iterdir()} == {"opt", "usr"}


def test_the_image_says_how_it_is_run(built: Built) -> None:
    config = built.config
    assert config["User"] == "10001:10001"
    assert config["ExposedPorts"].keys() == {"4566/tcp", "9324/tcp", "4100/tcp"}
    assert config["Volumes"].keys() == {"/data"}
    assert config["Healthcheck"]["Test"] == read_compose()["headrace"].raw["healthcheck"]["test"]
    for program in (config["Entrypoint"], config["Cmd"]):
        assert program[0] not in {"/bin/sh", "sh"}
    assert config["Labels"]["org.opencontainers.image.title"] == "Headrace"


def test_a_client_outside_is_served(site: Site) -> None:
    with ExitStack() as stack:
        started(stack, site.server())
        sqs, sns = site.client(), site.client("sns")
        url = sqs.create_queue(QueueName="jobs.fifo", Attributes={"FifoQueue": "true"})["QueueUrl"]
        assert url == f"{site.url}/000000000000/jobs.fifo"
        queue = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]
        topic = sns.create_topic(Name="events.fifo", Attributes={"FifoTopic": "true"})["TopicArn"]
        sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=queue["QueueArn"])

        sns.publish(TopicArn=topic, Message="hello", MessageGroupId="g", MessageDeduplicationId="1")

        [message] = sqs.receive_message(QueueUrl=url, WaitTimeSeconds=5)["Messages"]
        assert json.loads(message["Body"])["Message"] == "hello"


def test_what_was_acknowledged_outlives_a_kill_and_a_new_container(site: Site) -> None:
    with ExitStack() as stack:
        first = started(stack, site.server())
        url = site.client().create_queue(QueueName="jobs")["QueueUrl"]
        site.client().send_message(QueueUrl=url, MessageBody="hello")
        first.kill()

        started(stack, site.server())
        [message] = site.client().receive_message(QueueUrl=url)["Messages"]
        assert message["Body"] == "hello"


def test_it_runs_as_the_first_process_as_its_user_and_can_gain_no_rights(site: Site) -> None:
    with ExitStack() as stack:
        server = started(stack, site.server())
        status = Path(f"/proc/{server.pid}/status").read_text("utf-8")
        facts = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
        assert facts["NSpid"].split()[-1] == "1"
        assert set(facts["Uid"].split()) == set(facts["Gid"].split()) == {"10001"}
        assert int(facts["CapEff"], 16) == 0
        assert facts["NoNewPrivs"] == "1"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_answers_who_waits_and_ends_it_within_five_seconds(
    site: Site, number: signal.Signals
) -> None:
    with ExitStack() as stack:
        server = started(stack, site.server())
        url = site.client().create_queue(QueueName="jobs")["QueueUrl"]
        waiting = stack.enter_context(socket.create_connection((site.address, PORT), 30))
        waiting.sendall(request_bytes("ReceiveMessage", QueueUrl=url, WaitTimeSeconds=20))
        for _ in range(5):  # after these it has been read, and waits
            site.client().list_queues()

        status, took_s = server.stop(number)

        assert read_answer(waiting)[::2] == (200, {})
        assert status == 0, server.said
        assert took_s < 5


def test_nothing_but_data_and_tmp_can_be_written_nor_is_when_it_could(
    site: Site, built: Built
) -> None:
    """Read-only as in compose.yaml; and without that, the files stay as they are."""
    attempt = "import pathlib, sys; pathlib.Path(sys.argv[1], 'x').write_text('x')"
    with ExitStack() as stack:
        server = started(stack, site.server())
        for place in ("/data", "/tmp"):  # noqa: S108 of the container
            assert server.execute("python", "-c", attempt, place).returncode == 0
        for place in ("/", "/opt/headrace", "/var/tmp"):  # noqa: S108 the same
            refused = server.execute("python", "-c", attempt, place)
            assert "Read-only file system" in refused.stderr
        server.stop()

        before = files(built.root)
        started(stack, site.server(read_only=False))
        url = site.client().create_queue(QueueName="jobs")["QueueUrl"]
        site.client().send_message(QueueUrl=url, MessageBody="hello")
        assert files(built.root) == before


def test_the_health_check_passes_while_it_serves(site: Site) -> None:
    with ExitStack() as stack:
        server = started(stack, site.server())
        command = read_compose()["headrace"].raw["healthcheck"]["test"]
        assert command[0] == "CMD"  # without a shell
        healthy = server.execute(*command[1:])
        assert (healthy.returncode, healthy.stderr) == (0, "")

        os.kill(server.pid, signal.SIGSTOP)
        hanging = server.execute(*command[1:])
        assert hanging.returncode == 1
        assert len(hanging.stdout.splitlines()) == 1
        assert hanging.stderr == ""


def test_the_start_compiles_nothing(site: Site) -> None:
    """What is compiled is found, although the image's Python has come without."""
    verbose = ("python", "-v", "-c", "import api.server, uvicorn.server, socket")
    with ExitStack() as stack:
        said = started(stack, site.server()).execute(*verbose).stderr
    found = [line for line in said.splitlines() if line.startswith("# code object from ")]
    assert len(found) > 100
    assert [line for line in found if not line.rstrip("'").endswith(".pyc")] == []


def test_the_example_waits_for_health_and_talks_to_the_server_by_its_name(site: Site) -> None:
    assert read_compose()["app"].raw["depends_on"]["headrace"] == {"condition": "service_healthy"}
    with ExitStack() as stack:
        started(stack, site.server())
        app = stack.enter_context(site.beside("app"))
        assert app.running.wait(60) == 0, app.said
        assert app.said.startswith("sent 10 jobs\n")
        assert "dead " in app.said


_SIBLING = """
import boto3, sys
from urllib.parse import urlsplit
def client(url):
    return boto3.client("sqs", "us-east-1", endpoint_url=url,
        aws_access_key_id="x", aws_secret_access_key="x")
url = client("http://headrace:4566").get_queue_url(QueueName="jobs")["QueueUrl"]
print(url)
own = "http://" + urlsplit(url).netloc
client(own).send_message(QueueUrl=url, MessageBody="by the sibling's")
client(own).send_message(QueueUrl=sys.argv[1], MessageBody="by the host's")
"""


def test_a_queue_url_works_from_the_host_and_from_a_sibling_at_once(site: Site) -> None:
    """Each gets one that begins with what it called, and each can use the other's."""
    with ExitStack() as stack:
        started(stack, site.server())
        url = site.client().create_queue(QueueName="jobs")["QueueUrl"]
        assert url.startswith(f"{site.url}/")
        sibling = stack.enter_context(site.beside("app", "python", "-c", _SIBLING, url))
        assert sibling.running.wait(60) == 0, sibling.said
        assert sibling.said.splitlines() == ["http://headrace:4566/000000000000/jobs"]
        received = site.client().receive_message(QueueUrl=url, MaxNumberOfMessages=10)
        assert {each["Body"] for each in received["Messages"]} == {
            "by the sibling's",
            "by the host's",
        }


def test_a_volume_that_it_cannot_write_stops_the_start_in_one_line(site: Site) -> None:
    os.chown(site.volume, 0, 0)
    with site.server() as server:
        assert server.running.wait(30) == 1
        assert len(server.said.splitlines()) == 1
        assert "/data/headrace.db" in server.said


@pytest.mark.parametrize("processor", ["x86_64", "aarch64"])
def test_every_package_has_a_wheel_for_the_processor(processor: str, tmp_path: Path) -> None:
    """So the image can be built for it, as nothing else depends on the processor."""
    run(
        *(sys.executable, "-m", "pip", "install", "--quiet", "--dry-run", "--ignore-installed"),
        *("--no-deps", "--only-binary", ":all:", "--require-hashes", "--python-version", "3.13"),
        *(f"--platform={each}_{processor}" for each in PLATFORMS),
        *("--target", str(tmp_path), "--requirement", str(ROOT / "requirements.lock")),
    )
    shutil.rmtree(tmp_path)
