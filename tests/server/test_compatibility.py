"""What people bring along from other brokers: variables, files, queue URLs, status endpoints."""

import asyncio
import http.client
import json
import logging
import re
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from api import readiness as readiness_module
from api.app import create_app
from api.compatibility import (
    CONFIG_FILES,
    INIT_FOLDERS,
    carry_over,
    init_folders,
    known_variables,
)
from api.context import Site
from api.names import parse_queue_url, queue_key, queue_url
from api.readiness import Readiness, ScriptRun
from api.settings import Settings, SettingsError, option_name, read_settings
from broker import Broker, QueueKey, StoreBroken, StoreUnwritable, open_storage
from tests.storage.faulty_disk import faulty_disk
from tests.support.clock import FakeClock
from tests.support.process import ROOT, Server, run_command
from tests.support.server import ACCOUNT, ENDPOINT, REGION, CountedIds

StartServer = Callable[..., Server]


def settings_for(root: Path, variables: Mapping[str, str], **options: str) -> Settings:
    carried = carry_over(options, variables, root)
    return read_settings(options, variables, carried.settings)


def lines(
    root: Path, variables: Mapping[str, str], level: int = logging.WARNING, **options: str
) -> list[str]:
    """What is said of that level."""
    return [each.text for each in carry_over(options, variables, root).notes if each.level == level]


# --- variables ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("variables", "field", "value"),
    [
        ({"SQS_ENDPOINT_STRATEGY": "path"}, "queue_urls", "path"),
        ({"SQS_ENDPOINT_STRATEGY": "dynamic"}, "queue_urls", "dynamic"),
        ({"LOCALSTACK_HOST": "localstack"}, "public_url", "http://localstack:4566"),
        ({"LOCALSTACK_HOST": "ls:4510"}, "public_url", "http://ls:4510"),
        ({"LOCALSTACK_HOST": "ls", "GATEWAY_LISTEN": ":81"}, "public_url", "http://ls:81"),
        ({"LOCALSTACK_HOST": "ls", "HEADRACE_PORT": "82"}, "public_url", "http://ls:82"),
        ({"HOSTNAME_EXTERNAL": "sqs"}, "public_url", "http://sqs:4566"),
        ({"MINISTACK_HOST": "mini"}, "public_url", "http://mini:4566"),
        ({"FLOCI_HOSTNAME": "floci"}, "public_url", "http://floci:4566"),
        ({"FLOCI_BASE_URL": "https://floci.example/"}, "public_url", "https://floci.example"),
        ({"GATEWAY_LISTEN": "0.0.0.0"}, "host", "0.0.0.0"),  # noqa: S104 a text
        ({"GATEWAY_LISTEN": "127.0.0.2:4570"}, "host", "127.0.0.2"),
        ({"GATEWAY_LISTEN": "127.0.0.2:4570"}, "port", 4570),
        ({"GATEWAY_LISTEN": "[::1]:4570"}, "host", "::1"),
        ({"GATEWAY_LISTEN": ":4566,:4571,:443"}, "also_port", (4571,)),
        ({"EDGE_BIND_HOST": "127.0.0.3"}, "host", "127.0.0.3"),
        ({"EDGE_PORT": "4567"}, "port", 4567),
        ({"GATEWAY_PORT": "4568"}, "port", 4568),
        ({"FAUXQS_PORT": "4569"}, "port", 4569),
        ({"DEFAULT_REGION": "eu-west-1"}, "region", "eu-west-1"),
        ({"MINISTACK_REGION": "eu-west-1"}, "region", "eu-west-1"),
        ({"FLOCI_DEFAULT_REGION": "eu-west-1"}, "region", "eu-west-1"),
        ({"FAKECLOUD_REGION": "eu-west-1"}, "region", "eu-west-1"),
        ({"FAUXQS_DEFAULT_REGION": "eu-west-1"}, "region", "eu-west-1"),
        ({"FLOCI_DEFAULT_ACCOUNT_ID": "123456789012"}, "account", "123456789012"),
        ({"FAKECLOUD_ACCOUNT_ID": "123456789012"}, "account", "123456789012"),
        ({"DEBUG": "1"}, "log_level", "debug"),
        ({"DEBUG": "0"}, "log_level", "info"),
        ({"DEBUG": "express:*"}, "log_level", "info"),
        ({"LS_LOG": "trace"}, "log_level", "debug"),
        ({"LS_LOG": "WARN"}, "log_level", "warning"),
        ({"SQS_DELAY_RECENTLY_DELETED": "1"}, "recreate_delay", True),
        ({"SQS_DELAY_RECENTLY_DELETED": "0"}, "recreate_delay", False),
        (
            {"SNS_CERT_URL_HOST": "sns.us-east-1.amazonaws.com"},
            "signing_cert_url",
            "https://sns.us-east-1.amazonaws.com",
        ),
        ({"SNS_SES_SENDER_ADDRESS": "news@example.com"}, "mail_from", "news@example.com"),
        ({"PERSISTENCE": "0"}, "store", "memory"),
        ({"PERSIST_STATE": "0"}, "store", "memory"),
        ({"FLOCI_STORAGE_MODE": "memory"}, "store", "memory"),
    ],
)
def test_a_variable_of_another_broker_is_taken_as_our_setting(
    tmp_path: Path, variables: dict[str, str], field: str, value: object
) -> None:
    assert getattr(settings_for(tmp_path, variables), field) == value


@pytest.mark.parametrize(
    ("variable", "folder"),
    [
        ("PERSISTENCE", "var/lib/localstack"),
        ("PERSIST_STATE", "tmp/ministack-state"),
        ("FLOCI_STORAGE_MODE", "app/data"),
    ],
)
def test_messages_are_kept_in_the_folder_that_was_mounted_for_them(
    tmp_path: Path, variable: str, folder: str
) -> None:
    usual = Settings().store
    assert settings_for(tmp_path, {variable: "1"}).store == usual
    (tmp_path / folder).mkdir(parents=True)
    there = f"sqlite:{tmp_path / folder}/headrace.db"
    assert settings_for(tmp_path, {variable: "1"}).store == there
    assert settings_for(tmp_path, {}).store == usual


def test_a_folder_for_messages_that_nothing_is_kept_in_is_told(tmp_path: Path) -> None:
    (tmp_path / "var/lib/localstack").mkdir(parents=True)
    variables = {"PERSISTENCE": "1", "HEADRACE_STORE": "sqlite:/data/headrace.db"}
    [line] = lines(tmp_path, variables)
    assert f"nothing is kept in {tmp_path}/var/lib/localstack" in line
    assert "/data/headrace.db" in line


def test_our_own_settings_win_and_that_is_told(tmp_path: Path) -> None:
    variables = {"EDGE_PORT": "1", "DEFAULT_REGION": "eu-west-1", "HEADRACE_PORT": "2"}
    settings = settings_for(tmp_path, variables, region="eu-north-1")
    assert (settings.port, settings.region) == (2, "eu-north-1")
    assert lines(tmp_path, variables, logging.INFO, region="eu-north-1") == [
        "EDGE_PORT has no effect: HEADRACE_PORT is set",
        "DEFAULT_REGION has no effect: --region is set",
    ]


def test_of_two_for_one_setting_the_first_known_wins_and_that_is_told(tmp_path: Path) -> None:
    variables = {"HOSTNAME_EXTERNAL": "old", "LOCALSTACK_HOST": "new"}
    assert settings_for(tmp_path, variables).public_url == "http://new:4566"
    assert "HOSTNAME_EXTERNAL has no effect: LOCALSTACK_HOST is set" in lines(
        tmp_path, variables, logging.INFO
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SQS_ENDPOINT_STRATEGY", "sideways"),
        ("EDGE_PORT", "x"),
        ("DEFAULT_REGION", "No Region"),
        ("LS_LOG", "loud"),
        ("LOCALSTACK_HOST", "a/b"),
        ("LOCALSTACK_HOST", "http://x"),
        ("SNS_CERT_URL_HOST", "http://x"),
        ("GATEWAY_LISTEN", ":99999"),
    ],
)
def test_a_value_that_says_nothing_to_us_is_told_and_does_not_stop_the_start(
    tmp_path: Path, name: str, value: str
) -> None:
    assert settings_for(tmp_path, {name: value}) == Settings()
    [line] = lines(tmp_path, {name: value})
    assert line.startswith(f"{name} has no effect: {value!r}")


@pytest.mark.parametrize(
    "name",
    [
        "EAGER_SERVICE_LOADING",
        "ENFORCE_IAM",
        "LAMBDA_DOCKER_NETWORK",
        "LOCALSTACK_AUTH_TOKEN",
        "SNAPSHOT_SAVE_STRATEGY",
        "SQS_DELAY_PURGE_RETRY",
        "USE_SSL",
        "LOCALSTACK_SOMETHING_NEW",
        "MINISTACK_SOMETHING_NEW",
        "FLOCI_SERVICES_SQS_MAX_MESSAGE_SIZE",
    ],
)
def test_a_variable_without_effect_is_told_once_by_name_only(tmp_path: Path, name: str) -> None:
    [line] = lines(tmp_path, {name: "ls-s3cret"})
    assert line.startswith(f"{name} has no effect: ")
    assert "s3cret" not in line


@pytest.mark.parametrize(
    "variables",
    [
        {"ENFORCE_IAM": "0"},
        {"USE_SSL": "false"},
        {"PATH": "/bin", "SQS_QUEUE_URL": "x", "AWS_REGION": "eu-west-1", "SMTP_HOST": "mail"},
        {"LOCALSTACK_SERVICE_HOST": "10.0.0.1", "LOCALSTACK_PORT_4566_TCP_ADDR": "10.0.0.1"},
        {"LOCALSTACK_PORT": "tcp://10.0.0.1:4566", "LOCALSTACK_SERVICE_PORT_EDGE": "4566"},
    ],
)
def test_what_is_off_or_meant_for_others_is_passed_over_in_silence(
    tmp_path: Path, variables: dict[str, str]
) -> None:
    assert carry_over({}, variables, tmp_path) == ({}, [])


@pytest.mark.parametrize("services", ["s3", "s3,lambda", "sqs,s3", "sqs s3"])
def test_services_that_are_not_here_are_named(tmp_path: Path, services: str) -> None:
    [line] = lines(tmp_path, {"SERVICES": services})
    assert "s3" in line
    assert "sqs, sns and sts" in line


@pytest.mark.parametrize("services", ["sqs,sns", "sqs", "SQS, sns,sts", "sqs:4576", ""])
def test_services_that_are_here_are_not_worth_a_word(tmp_path: Path, services: str) -> None:
    assert lines(tmp_path, {"SERVICES": services}) == []


def test_a_public_host_without_a_port_is_nothing_if_the_port_is_any(tmp_path: Path) -> None:
    assert settings_for(tmp_path, {"LOCALSTACK_HOST": "ls"}, port="0").public_url is None
    assert settings_for(tmp_path, {"LOCALSTACK_HOST": "ls:1"}, port="0").public_url == "http://ls:1"


@pytest.mark.parametrize("variables", [{"HEADRACE_COMPAT": "off"}, {}])
def test_with_compat_off_nothing_is_looked_at(tmp_path: Path, variables: dict[str, str]) -> None:
    (tmp_path / "opt").mkdir()
    (tmp_path / "opt/elasticmq.conf").touch()
    variables = {**variables, "EDGE_PORT": "1", "ENFORCE_IAM": "1"}
    options = {} if "HEADRACE_COMPAT" in variables else {"compat": "off"}
    assert carry_over(options, variables, tmp_path) == ({}, [])


@pytest.mark.parametrize(
    "variables",
    [
        {
            "HEADRACE_PORT": "tcp://10.0.0.1:4566",
            "HEADRACE_SERVICE_HOST": "10.0.0.1",
            "HEADRACE_SERVICE_PORT": "4566",
            "HEADRACE_SERVICE_PORT_SQS": "4566",
            "HEADRACE_PORT_4566_TCP": "tcp://10.0.0.1:4566",
            "HEADRACE_PORT_4566_TCP_ADDR": "10.0.0.1",
        }
    ],
)
def test_what_kubernetes_says_of_a_service_called_headrace_is_no_setting(
    variables: dict[str, str],
) -> None:
    assert read_settings({}, variables) == Settings()


def test_that_is_not_taken_for_a_setting_that_wins_either(tmp_path: Path) -> None:
    variables = {"HEADRACE_PORT": "tcp://10.0.0.1:4566", "EDGE_PORT": "4567"}
    assert settings_for(tmp_path, variables).port == 4567


def test_a_port_that_only_looks_like_kubernetes_word_is_refused() -> None:
    with pytest.raises(SettingsError, match="HEADRACE_PORT 'tcp:/x'"):
        read_settings({}, {"HEADRACE_PORT": "tcp:/x"})


def test_a_server_heeds_variables_and_says_so(start_server: StartServer) -> None:
    server = start_server(
        "--store",
        "memory",
        extra_environment={"SQS_ENDPOINT_STRATEGY": "path", "ENFORCE_IAM": "1"},
    )
    assert server.create_queue("jobs") == (f"{server.endpoint}/queue/us-east-1/000000000000/jobs")
    assert server.stderr.count("SQS_ENDPOINT_STRATEGY is taken as --queue-urls path") == 1
    assert server.stderr.count("ENFORCE_IAM has no effect") == 1


@pytest.mark.parametrize("name", sorted(known_variables()))
def test_the_document_for_those_who_come_over_names_each_variable(name: str) -> None:
    assert f"`{name}" in (ROOT / "docs/migrate.md").read_text("utf-8")


def test_the_document_for_those_who_come_over_names_no_option_that_does_not_exist() -> None:
    document = (ROOT / "docs/migrate.md").read_text("utf-8")
    known = {option_name(field) for field in Settings.model_fields}
    assert set(re.findall(r"--[a-z][a-z-]+", document)) - known == set()


@pytest.mark.parametrize("place", [*CONFIG_FILES, *INIT_FOLDERS])
def test_the_document_for_those_who_come_over_names_each_place(place: str) -> None:
    assert f"`/{place}`" in (ROOT / "docs/migrate.md").read_text("utf-8")


# --- files at known places ----------------------------------------------------------------------


def put(root: Path, path: str, text: str = "x") -> Path:
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file


@pytest.mark.parametrize("path", ["opt/elasticmq.conf", "conf/goaws.yaml"])
def test_a_configuration_at_its_usual_place_is_read(tmp_path: Path, path: str) -> None:
    file = put(tmp_path, path)
    assert settings_for(tmp_path, {}).config == str(file)
    assert lines(tmp_path, {}, logging.INFO) == [f"{file} is read, as if by --config"]


def test_a_configuration_that_nobody_reads_is_told(tmp_path: Path) -> None:
    first, second = put(tmp_path, "opt/elasticmq.conf"), put(tmp_path, "conf/goaws.yaml")
    assert lines(tmp_path, {}) == [f"{second} is not read: the configuration is {first}"]
    assert lines(tmp_path, {}, config="mine.yaml") == [
        f"{first} is not read: the configuration is mine.yaml",
        f"{second} is not read: the configuration is mine.yaml",
    ]
    assert lines(tmp_path, {}, config=str(second)) == [
        f"{first} is not read: the configuration is {second}"
    ]


def test_a_configuration_a_bit_beside_its_place_is_told(tmp_path: Path) -> None:
    file = put(tmp_path, "etc/elasticmq.conf")
    assert lines(tmp_path, {}) == [f"{file} is not read: name it by --config {file}"]
    assert settings_for(tmp_path, {}).config is None
    assert lines(tmp_path, {}, config=str(file)) == []


def test_places_that_cannot_be_looked_at_are_passed_over(tmp_path: Path) -> None:
    """Links that lead in circles, and files where folders should be."""
    (tmp_path / "opt").symlink_to("opt")
    (tmp_path / "conf").touch()
    (tmp_path / "etc").touch()
    (tmp_path / "docker-entrypoint-initaws.d").symlink_to("docker-entrypoint-initaws.d")
    assert carry_over({}, {}, tmp_path) == ({}, [])
    assert init_folders(Settings(), tmp_path) == []


def test_the_usual_folders_of_scripts_are_run_and_told(tmp_path: Path) -> None:
    put(tmp_path, "etc/localstack/init/ready.d/a.sh")
    put(tmp_path, "docker-entrypoint-initaws.d/b.sh")
    folders = init_folders(Settings(), tmp_path)
    assert folders == [
        tmp_path / "etc/localstack/init/ready.d",
        tmp_path / "docker-entrypoint-initaws.d",
    ]
    assert lines(tmp_path, {}, logging.INFO) == [f"{each}: its scripts are run" for each in folders]
    assert lines(tmp_path, {}) == []


def test_a_folder_that_is_named_is_the_only_one(tmp_path: Path) -> None:
    put(tmp_path, "etc/localstack/init/ready.d/a.sh")
    settings = settings_for(tmp_path, {}, init_folder="mine")
    assert init_folders(settings, tmp_path) == [Path("mine")]
    [line] = lines(tmp_path, {}, init_folder="mine")
    assert line.endswith("its scripts are not run: --init-folder is mine")


def test_with_compat_off_only_a_folder_that_is_named_is_run(tmp_path: Path) -> None:
    put(tmp_path, "etc/localstack/init/ready.d/a.sh")
    assert init_folders(Settings(compat="off"), tmp_path) == []
    assert init_folders(Settings(compat="off", init_folder="mine"), tmp_path) == [Path("mine")]


@pytest.mark.parametrize(
    "path",
    [
        "etc/localstack/init/boot.d/a.sh",
        "etc/localstack/init/shutdown.d/a.py",
        "etc/floci/init/stop.d/a.sh",
        "etc/localstack/init/a.sh",
        "etc/localstack/a.py",
    ],
)
def test_scripts_that_are_not_run_are_told(tmp_path: Path, path: str) -> None:
    put(tmp_path, path)
    [line] = lines(tmp_path, {})
    assert "not run" in line
    assert str((tmp_path / path).parent) in line


# --- queue URLs ---------------------------------------------------------------------------------

_HERE = QueueKey(ACCOUNT, REGION, "jobs")
_THERE = QueueKey(ACCOUNT, "eu-west-1", "jobs")
_LOOPBACK = "localhost.localstack.cloud:4566"


@pytest.mark.parametrize(
    ("shape", "called", "here", "there"),
    [
        ("auto", "ls:4566", "ls:4566", "ls:4566/queue/eu-west-1"),
        ("off", "ls:4566", "ls:4566", "ls:4566"),
        ("path", "ls:4566", "ls:4566/queue/us-east-1", "ls:4566/queue/eu-west-1"),
        ("standard", "ls:4566", "sqs.us-east-1.ls:4566", "sqs.eu-west-1.ls:4566"),
        ("standard", "sqs.us-east-1.ls", "sqs.us-east-1.ls", "sqs.eu-west-1.ls"),
        ("standard", "localhost:4566", f"sqs.us-east-1.{_LOOPBACK}", f"sqs.eu-west-1.{_LOOPBACK}"),
        ("standard", "172.17.0.2:81", "172.17.0.2:81", "172.17.0.2:81/queue/eu-west-1"),
        ("domain", "ls:4566", "queue.ls:4566", "eu-west-1.queue.ls:4566"),
        ("domain", "127.0.0.1:4566", f"queue.{_LOOPBACK}", f"eu-west-1.queue.{_LOOPBACK}"),
        ("domain", "[fe80::1]:81", "[fe80::1]:81", "[fe80::1]:81/queue/eu-west-1"),
        ("dynamic", "ls:4566", "ls:4566", "ls:4566/queue/eu-west-1"),
        ("dynamic", "sqs.us-east-1.ls", "sqs.us-east-1.ls", "sqs.eu-west-1.ls"),
        ("dynamic", "eu-west-1.queue.ls", "queue.ls", "eu-west-1.queue.ls"),
    ],
)
def test_queue_urls_have_the_shape_that_is_set_and_are_understood(
    shape: str, called: str, here: str, there: str
) -> None:
    for key, expected in ((_HERE, here), (_THERE, there)):
        url = queue_url(f"http://{called}", key, default_region=REGION, shape=shape)
        assert url == f"http://{expected}/{ACCOUNT}/jobs"
        assert queue_key(url, ACCOUNT, key.region) == key
        if shape != "off" and key is _THERE:
            reference = parse_queue_url(url)
            assert reference is not None
            assert reference.region == "eu-west-1"


# --- ports --------------------------------------------------------------------------------------


@contextmanager
def free_ports(number: int) -> Iterator[list[str]]:
    """Ports that nobody listens on, and that the system gives to nobody who asks for any."""
    taken = [socket.socket() for _ in range(number)]
    try:
        for each in taken:
            each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            each.bind(("127.0.0.1", 0))
        yield [str(each.getsockname()[1]) for each in taken]
    finally:
        for each in taken:
            each.close()


def test_it_serves_on_further_ports_and_tells_them(start_server: StartServer) -> None:
    with free_ports(2) as ports:
        server = start_server("--store", "memory", "--also-port", ",".join(ports))
        also = [line.split()[1] for line in server.banner.splitlines() if "also " in line]
        assert also == [f"http://127.0.0.1:{port}" for port in ports]
        server.create_queue("jobs")
        for endpoint in also:
            answer = httpx.get(f"{endpoint}/?Action=ListQueues", timeout=10)
            assert f"{endpoint}/000000000000/jobs" in answer.text


def test_a_further_port_that_is_the_first_one_is_listened_on_once(
    start_server: StartServer,
) -> None:
    with free_ports(1) as [port]:
        server = start_server("--store", "memory", "--port", port, "--also-port", port)
        assert server.call("ListQueues") == {}
        assert "also" not in server.banner


def test_a_further_port_that_is_taken_is_refused() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
        ended = run_command("serve", "--port", "0", "--store", "memory", "--also-port", str(port))
    assert ended.returncode == 1
    assert ended.stderr.startswith(f"headrace: cannot listen on 127.0.0.1:{port}")


@pytest.mark.parametrize("value", ["x", "1,,2", "70000", "-1", ""])
def test_further_ports_that_are_none_are_refused(value: str) -> None:
    with pytest.raises(SettingsError, match=r"--also-port .*: use PORT,PORT"):
        read_settings({"also_port": value}, {})


# --- how the server is --------------------------------------------------------------------------


async def answers(readiness: Readiness, *paths: str) -> list[tuple[int, Any]]:
    """What is answered at those paths."""
    broker = await Broker.open(open_storage("memory", strict=True), FakeClock(), CountedIds())
    app = create_app(broker, Site(REGION, ACCOUNT, None), CountedIds(), readiness=readiness)
    transport = httpx.ASGITransport(app=app)
    try:
        async with httpx.AsyncClient(transport=transport, base_url=ENDPOINT) as client:
            got = [await client.get(path) for path in paths]
    finally:
        await broker.close()
    return [(each.status_code, each.json()) for each in got]


async def takes_everything() -> None:
    pass


async def takes_nothing() -> None:
    raise StoreUnwritable("the disk is full")


async def test_health_is_ok_once_the_start_is_over() -> None:
    readiness = Readiness(takes_everything)
    paths = ("/_headrace/health", "/health")
    starting = {"status": "starting", "store": "memory"}
    assert await answers(readiness, *paths) == [(503, starting)] * 2
    readiness.started = True
    assert await answers(readiness, *paths) == [(200, {"status": "ok", "store": "memory"})] * 2


async def test_health_is_not_ok_while_the_store_takes_nothing() -> None:
    readiness = Readiness(takes_nothing, started=True)
    [headrace, localstack] = await answers(readiness, "/_headrace/health", "/_localstack/health")
    assert headrace == (
        503,
        {"status": "unwritable", "store": "memory", "problem": "the disk is full"},
    )
    assert localstack[0] == 503
    assert set(localstack[1]["services"].values()) == {"error"}


async def test_the_store_is_asked_once_a_second_at_most_and_then_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[None] = []
    full = True

    async def probe() -> None:
        asked.append(None)
        if full:
            raise StoreUnwritable("the disk is full")

    readiness = Readiness(probe, started=True)
    answers = await asyncio.gather(*(readiness.status() for _ in range(5)))
    assert answers == [("unwritable", "the disk is full")] * 5
    assert len(asked) == 1
    full = False
    assert await readiness.status() == ("unwritable", "the disk is full")
    monkeypatch.setattr(readiness_module, "_PROBE_INTERVAL_S", 0)
    assert await readiness.status() == ("ok", None)
    assert len(asked) == 2


async def test_the_probe_of_the_store_is_a_flush_to_the_disk(tmp_path: Path) -> None:
    with faulty_disk() as disk:
        store = open_storage(f"sqlite:{tmp_path / 'h.db'}", strict=True)
        broker = await Broker.open(store, FakeClock(), CountedIds())
        try:
            for _ in range(2):  # at the same moment, too
                flushes = disk.flushes
                await broker.check_writable()
                assert disk.flushes > flushes
            disk.failing = True
            with pytest.raises(StoreBroken):
                await broker.check_writable()
        finally:
            disk.failing = False
            await broker.close()


async def test_localstacks_health_is_in_its_shape() -> None:
    readiness = Readiness(takes_everything)
    [(status, document)] = await answers(readiness, "/_localstack/health")
    assert status == 503
    assert set(document["services"].values()) == {"starting"}
    readiness.started = True
    [(status, document)] = await answers(readiness, "/_localstack/health")
    assert status == 200
    assert document["services"] == {"sqs": "running", "sns": "running", "sts": "running"}
    assert set(document) == {"services", "edition", "version"}


async def test_localstacks_init_tells_stages_and_scripts() -> None:
    readiness = Readiness(takes_everything)
    readiness.scripts = [ScriptRun("a.sh", "SUCCESSFUL"), ScriptRun("b.py", "RUNNING")]
    scripts = [
        {"stage": "READY", "name": "a.sh", "state": "SUCCESSFUL"},
        {"stage": "READY", "name": "b.py", "state": "RUNNING"},
    ]
    stages = {"BOOT": True, "START": True, "READY": False, "SHUTDOWN": False}
    assert await answers(
        readiness, "/_localstack/init", "/_localstack/init/ready", "/_localstack/init/boot"
    ) == [
        (200, {"completed": stages, "scripts": scripts}),
        (200, {"completed": False, "scripts": scripts}),
        (200, {"completed": True, "scripts": []}),
    ]
    readiness.started = True
    [(_, ready), (status, _)] = await answers(
        readiness, "/_localstack/init/READY", "/_localstack/init/sometime"
    )
    assert ready["completed"] is True
    assert status == 404


async def test_localstacks_info_is_in_its_shape() -> None:
    [(status, document)] = await answers(Readiness(takes_everything), "/_localstack/info")
    assert status == 200
    assert set(document) == {
        "version",
        "edition",
        "is_license_activated",
        "session_id",
        "machine_id",
        "system",
        "is_docker",
        "server_time_utc",
        "uptime",
    }


def test_a_server_that_has_started_is_healthy(start_server: StartServer) -> None:
    server = start_server("--store", "memory")
    connection = http.client.HTTPConnection(server.host, server.port, timeout=10)
    with closing(connection):
        for path in ("/_headrace/health", "/health", "/_localstack/health"):
            connection.request("GET", path)
            response = connection.getresponse()
            assert (response.status, bool(json.loads(response.read()))) == (200, True)
