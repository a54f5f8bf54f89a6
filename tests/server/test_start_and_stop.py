"""How the program starts, refuses to start, tells what it does, and stops."""

import functools
import hashlib
import json
import os
import re
import signal
import socket
import sqlite3
import stat
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import apsw
import pytest

from api.__main__ import main
from api.settings import (
    Settings,
    SettingsError,
    environment_name,
    option_name,
    read_settings,
)
from tests.support.process import (
    MODULE,
    SCRIPT,
    Server,
    connected,
    read_answer,
    request_bytes,
    run_command,
    until,
)

StartServer = Callable[..., Server]

#: "one clear line and a non-zero exit" comes within that time
REFUSAL_S = 3.0
STOP_S = 5.0


def refusal(*options: str, **how: object) -> str:
    """The one line that a failing start says, having checked that it is one, and quick."""
    begun = time.monotonic()
    ended = run_command(*options, **how)  # type: ignore[arg-type]
    took_s = time.monotonic() - begun
    assert ended.returncode > 0, ended
    assert ended.stdout == ""
    assert ended.stderr.startswith("headrace: "), ended.stderr
    assert ended.stderr.endswith("\n")
    assert ended.stderr.count("\n") == 1, ended.stderr
    assert took_s < REFUSAL_S
    return ended.stderr


class _Seen(NamedTuple):
    """All that tells whether a file was touched."""

    content: str
    modified_ns: int
    mode: int
    inode: int


def look_at(path: Path) -> _Seen:
    status = path.lstat()
    content = path.read_bytes() if stat.S_ISREG(status.st_mode) else b""
    return _Seen(
        hashlib.sha256(content).hexdigest(), status.st_mtime_ns, status.st_mode, status.st_ino
    )


# --- the banner ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("store", "durability", "told"),
    [
        ("memory", "strict", "none: everything is gone when Headrace ends"),
        ("memory", "relaxed", "none: everything is gone when Headrace ends"),
        ("sqlite", "strict", "strict: an answer means it is on disk"),
        ("sqlite", "relaxed", "relaxed: survives a crash; a power cut may take the latest"),
    ],
)
def test_the_banner_tells_endpoint_store_durability_and_how_to_stop(
    start_server: StartServer, database: Path, store: str, durability: str, told: str
) -> None:
    location = "memory" if store == "memory" else f"sqlite:{database}"

    server = start_server("--store", location, "--durability", durability)

    title, *lines = server.banner.splitlines()
    facts = dict(line.split(maxsplit=1) for line in lines)
    assert title.startswith("Headrace ")
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+", facts["endpoint"])
    assert facts["store"].startswith(location)
    assert facts["durability"] == told
    assert "Ctrl-C" in facts["stop"]


def test_the_server_answers_at_the_endpoint_once_the_banner_is_out(
    start_server: StartServer,
) -> None:
    server = start_server("--store", "memory")
    assert server.call("ListQueues") == {}


def test_without_options_the_database_is_made_in_the_working_directory(
    start_server: StartServer, tmp_path: Path
) -> None:
    """The port apart: the tests cannot rely on 4566 being free."""
    start_server(cwd=tmp_path, command=SCRIPT)

    made = tmp_path / "data" / "headrace.db"
    assert made.read_bytes().startswith(b"SQLite format 3\x00")
    assert stat.S_IMODE(made.stat().st_mode) == 0o600
    assert stat.S_IMODE(made.parent.stat().st_mode) == 0o700


# --- options and environment --------------------------------------------------------------------

BAD_VALUES = {
    "host": ["", "no.such.host.invalid", "a..b", "x" * 70, "192.0.2.1"],
    "port": ["x", "-1", "65536", "45.66", ""],
    "also_port": ["x", "70000", "9324;4100"],
    "store": ["redis:there", "sqlite", "sqlite:", "", "memory:x"],
    "durability": ["some"],
    "region": ["Not a region"],
    "account": ["12", "00000000000x"],
    "public_url": ["example.com", "http://", "http://example.com/path", "ftp://example.com"],
    "queue_urls": ["somehow"],
    "signing_cert_url": ["example.com", "https://example.com/path"],
    "smtp": ["example.com", "smtp://", "smtp://host:0", "smtp://host?tls=1"],
    "mail_from": ["nobody", "a b@example.com"],
    "lambda_endpoint": ["example.com", "http://"],
    "lambda_function": ["a function"],
    "firehose_endpoint": ["example.com"],
    "firehose_folder": [""],
    "phone_webhook": ["example.com", "http://localhost:99999/"],
    "ca_file": ["", "/no/such/file.pem"],
    "tls_verify": ["perhaps"],
    "clock": ["fast"],
    "recreate_delay": ["perhaps"],
    "config": [""],
    "reconcile": ["delete"],
    "init_folder": [""],
    "init_failure": ["ignore"],
    "compat": ["perhaps"],
    "timeline_events": ["x", "-1"],
    "admin": ["perhaps"],
    "access_log": ["perhaps"],
    "log_level": ["loud"],
    "log_format": ["xml"],
}


#: they may hold a password
UNSHOWN = ("smtp", "lambda_endpoint", "firehose_endpoint", "phone_webhook")


def test_there_is_a_bad_value_for_every_setting() -> None:
    """Keeps the table complete: a new setting needs its bad values here."""
    assert set(BAD_VALUES) == set(Settings.model_fields)


@pytest.mark.parametrize(
    ("field", "value"), [(field, value) for field in BAD_VALUES for value in BAD_VALUES[field]]
)
def test_a_bad_value_is_refused_in_one_line_that_shows_it(field: str, value: str) -> None:
    options = {"--store": "memory", "--port": "0"} | {option_name(field): value}

    line = refusal("serve", *(part for pair in options.items() for part in pair))

    assert option_name(field) in line or field == "host"
    assert value in line or field in UNSHOWN
    assert "pattern" not in line


@pytest.mark.parametrize(
    ("field", "value", "wanted"),
    [
        ("store", "redis:there", "memory|sqlite:PATH"),
        ("region", "No Region", "a region such as us-east-1"),
        ("account", "12", "12 digits"),
        ("public_url", "http://", "http(s)://host[:port]"),
        ("signing_cert_url", "example.com", "http(s)://host[:port]"),
        ("lambda_endpoint", "example.com", "http(s)://host[:port]"),
        ("lambda_function", "a function", "up to 64 letters, digits, - and _"),
        ("firehose_endpoint", "http://a/b/", "http(s)://host[:port]"),
        ("phone_webhook", "example.com", "http(s)://host[:port]/path"),
    ],
)
def test_a_refusal_says_what_to_use(field: str, value: str, wanted: str) -> None:
    with pytest.raises(SettingsError) as caught:
        read_settings({field: value}, {})
    assert str(caught.value).endswith(f": use {wanted}")


@pytest.mark.parametrize(
    "field", ["public_url", "signing_cert_url", "lambda_endpoint", "firehose_endpoint"]
)
def test_a_slash_at_the_end_of_a_url_does_not_matter(field: str) -> None:
    read = read_settings({field: "https://host:1/"}, {})
    assert read == read_settings({field: "https://host:1"}, {})


@pytest.mark.parametrize("field", BAD_VALUES)
def test_a_bad_value_in_the_environment_is_refused_under_the_variables_name(field: str) -> None:
    value = BAD_VALUES[field][0]

    line = refusal("serve", extra_environment={environment_name(field): value})

    assert environment_name(field) in line
    assert value in line or field in UNSHOWN


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        ([], "COMMAND"),
        (["fly"], "fly"),
        (["serve", "--colour", "blue"], "--colour"),
        (["serve", "somewhere"], "somewhere"),
        (["serve", "--port"], "--port"),
        (["serve", "--por", "0"], "--por"),
        (["serve", "--two\nlines"], "--two"),
    ],
)
def test_a_wrong_command_line_is_refused_in_one_line(arguments: list[str], shown: str) -> None:
    assert shown in refusal(*arguments)


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("HEADRACE_PROT", "HEADRACE_PORT"),
        ("HEADRACE_PUBLICURL", "HEADRACE_PUBLIC_URL"),
        ("HEADRACE_DURABLITY", "HEADRACE_DURABILITY"),
    ],
)
def test_an_unknown_variable_is_refused_with_the_nearest_name(name: str, nearest: str) -> None:
    line = refusal("serve", extra_environment={name: "1"})
    assert name in line
    assert f"did you mean {nearest}?" in line


def test_an_unknown_variable_like_no_setting_is_refused_without_a_guess() -> None:
    line = refusal("serve", extra_environment={"HEADRACE_QQQQQQQQ": "1"})
    assert "HEADRACE_QQQQQQQQ" in line
    assert "did you mean" not in line


def test_variables_without_the_prefix_do_not_matter(start_server: StartServer) -> None:
    start_server("--store", "memory", extra_environment={"PORT": "x", "HEAD_RACE": "y"})


def test_settings_come_from_the_environment(start_server: StartServer, database: Path) -> None:
    server = start_server(
        extra_environment={
            "HEADRACE_STORE": f"sqlite:{database}",
            "HEADRACE_DURABILITY": "relaxed",
            "HEADRACE_ACCOUNT": "123456789012",
            "HEADRACE_PUBLIC_URL": "https://sqs.example.com",
        }
    )
    assert database.exists()
    assert "relaxed" in server.banner
    assert server.create_queue("jobs") == "https://sqs.example.com/123456789012/jobs"


def test_an_option_wins_over_the_environment(start_server: StartServer, database: Path) -> None:
    """Even over a variable whose value could not be used."""
    server = start_server(
        "--store",
        "memory",
        "--public-url",
        "http://option.example",
        "--log-level",
        "info",
        extra_environment={
            "HEADRACE_STORE": f"sqlite:{database}",
            "HEADRACE_PUBLIC_URL": "http://variable.example",
            "HEADRACE_LOG_LEVEL": "loud",
        },
    )
    assert server.create_queue("jobs") == "http://option.example/000000000000/jobs"
    assert not database.exists()


# --- help and version ---------------------------------------------------------------------------


@pytest.mark.parametrize("command", [MODULE, SCRIPT], ids=["module", "script"])
def test_the_help_of_serve_tells_every_option_with_its_variable(command: Sequence[str]) -> None:
    ended = run_command("serve", "--help", command=command)
    assert ended.returncode == 0
    assert ended.stderr == ""
    for field in Settings.model_fields:
        assert f"  {option_name(field)} " in ended.stdout
        assert environment_name(field) in ended.stdout


def test_the_help_tells_the_commands() -> None:
    ended = run_command("--help")
    assert ended.returncode == 0
    assert "serve" in ended.stdout
    assert ended.stderr == ""


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["serve", "--help"], ["--version"], [], ["serve", "--port", "x"], ["serve", "x"]],
    ids=" ".join,
)
def test_the_script_and_the_module_say_the_same(arguments: list[str]) -> None:
    script = run_command(*arguments, command=SCRIPT)
    module = run_command(*arguments, command=MODULE)
    assert (script.returncode, script.stdout, script.stderr) == (
        module.returncode,
        module.stdout,
        module.stderr,
    )


def test_the_version_is_that_of_the_banner(start_server: StartServer) -> None:
    ended = run_command("--version")
    assert ended.returncode == 0
    assert re.fullmatch(r"headrace \d+\.\d+\.\d+\S*\n", ended.stdout)
    server = start_server("--store", "memory", command=SCRIPT)
    assert server.banner.lower().startswith(ended.stdout.strip() + " is serving")


# --- files that it must not touch ---------------------------------------------------------------


@functools.cache
def _headrace_content() -> bytes:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "headrace.db"
        with Server(path.parent, "--store", f"sqlite:{path}") as server:
            url = server.create_queue("jobs")
            for _ in range(30):
                server.call("SendMessage", QueueUrl=url, MessageBody="x" * 4_000)
            server.stop()
        return path.read_bytes()


def _headrace_file(path: Path) -> None:
    path.write_bytes(_headrace_content())


def _text_file(path: Path) -> None:
    path.write_text("Dear diary,\n" * 1_000)


def _foreign_database(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE diary (day TEXT, entry TEXT)")
        connection.execute("INSERT INTO diary VALUES ('today', 'nothing')")


def _empty_file(path: Path) -> None:
    path.touch()


def _directory(path: Path) -> None:
    path.mkdir()


def _named_pipe(path: Path) -> None:
    os.mkfifo(path)


def _link_to_itself(path: Path) -> None:
    path.symlink_to(path.name)


def _link_to_nowhere(path: Path) -> None:
    path.symlink_to("nowhere.db")


def _newer_schema(path: Path) -> None:
    _headrace_file(path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 9000")


def _only_the_first_page(path: Path) -> None:
    _headrace_file(path)
    path.write_bytes(path.read_bytes()[:4096])


def _half_of_it(path: Path) -> None:
    _headrace_file(path)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2 // 4096 * 4096])


def _without_its_last_page(path: Path) -> None:
    _headrace_file(path)
    path.write_bytes(path.read_bytes()[:-4096])


def _half_of_the_header(path: Path) -> None:
    _headrace_file(path)
    path.write_bytes(path.read_bytes()[:50])


def _garbage_for_a_header(path: Path) -> None:
    _headrace_file(path)
    path.write_bytes(b"\xa5" * 100 + path.read_bytes()[100:])


def _garbage_behind_the_header(path: Path) -> None:
    _headrace_file(path)
    content = path.read_bytes()
    path.write_bytes(content[:100] + b"\xa5" * (len(content) - 100))


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (_text_file, "not a Headrace database"),
        (_foreign_database, "not a Headrace database"),
        (_empty_file, "not a Headrace database"),
        (_directory, "not a file"),
        (_named_pipe, "not a file"),
        (_link_to_itself, "not a file"),
        (_link_to_nowhere, "not a file"),
        (_newer_schema, "newer Headrace (schema 9000"),
        (_only_the_first_page, "damaged"),
        (_half_of_it, "damaged"),
        (_without_its_last_page, "damaged"),
        (_half_of_the_header, "not a Headrace database"),
        (_garbage_for_a_header, "not a Headrace database"),
        (_garbage_behind_the_header, "headrace.db"),
    ],
    ids=lambda value: value.__name__.strip("_") if callable(value) else "",
)
def test_a_file_it_cannot_use_is_refused_and_left_as_it_is(
    database: Path, make: Callable[[Path], None], told: str
) -> None:
    make(database)
    before = look_at(database)
    beside = {path.name for path in database.parent.iterdir()}

    line = refusal("serve", "--port", "0", "--store", f"sqlite:{database}")

    assert told in line
    assert look_at(database) == before
    left = {path.name for path in database.parent.iterdir() if path.suffix != ".lock"}
    assert left == beside


def test_a_newer_schema_that_is_still_in_the_log_is_refused(database: Path) -> None:
    """As a newer version leaves it that is killed right after its migration."""
    _headrace_file(database)
    newer = apsw.Connection(str(database))
    newer.pragma("wal_autocheckpoint", 0)
    newer.pragma("user_version", 9000)
    copy = database.parent / "killed" / database.name
    copy.parent.mkdir()
    for suffix in ("", "-wal"):
        copy.with_name(copy.name + suffix).write_bytes(
            database.with_name(database.name + suffix).read_bytes()
        )
    newer.close()

    log = copy.with_name(copy.name + "-wal")
    before = look_at(copy), look_at(log)

    line = refusal("serve", "--port", "0", "--store", f"sqlite:{copy}")

    assert "newer Headrace (schema 9000" in line
    assert (look_at(copy), look_at(log)) == before


def _garbage_in_page(path: Path, page: int) -> None:
    content = bytearray(_headrace_content())
    content[(page - 1) * 4096 : page * 4096] = b"\xa5" * 4096
    path.write_bytes(content)


@pytest.mark.parametrize("page", [3, 4])
def test_damage_that_shows_while_the_queues_are_loaded_is_refused(
    database: Path, page: int
) -> None:
    """Garbage where the count of openings and the queues are."""
    _garbage_in_page(database, page)
    line = refusal("serve", "--port", "0", "--store", f"sqlite:{database}")
    assert "malformed" in line


def test_damage_that_shows_once_the_store_is_open_ends_the_start_in_one_line(
    database: Path,
) -> None:
    """Garbage where the secrets are; the store itself may have logged a line before."""
    _garbage_in_page(database, 2)

    ended = run_command("serve", "--port", "0", "--store", f"sqlite:{database}")

    assert ended.returncode == 1
    assert ended.stdout == ""
    *logged, line = ended.stderr.splitlines()
    assert line == "headrace: the store failed: database disk image is malformed"
    assert all(" critical storage" in each for each in logged)


@pytest.mark.parametrize("parent", ["a-file", "a-file/below", "/proc", "/proc/self/x", "/sys"])
def test_an_unwritable_directory_is_refused_in_one_line(tmp_path: Path, parent: str) -> None:
    """Places where not even root may write."""
    (tmp_path / "a-file").write_text("here\n")

    line = refusal("serve", "--port", "0", "--store", f"sqlite:{tmp_path / parent / 'h.db'}")

    assert parent in line
    assert (tmp_path / "a-file").read_text() == "here\n"


def test_a_second_process_on_the_same_file_is_refused_and_the_first_goes_on(
    start_server: StartServer, database: Path
) -> None:
    first = start_server("--store", f"sqlite:{database}")
    url = first.create_queue("jobs")

    line = refusal("serve", "--port", "0", "--store", f"sqlite:{database}")

    assert str(database) in line
    assert f"process {first.pid}" in line
    first.call("SendMessage", QueueUrl=url, MessageBody="still here")
    assert [message["Body"] for message in first.receive(url)] == ["still here"]


def test_a_second_process_through_a_link_is_refused_too(
    start_server: StartServer, database: Path, tmp_path: Path
) -> None:
    first = start_server("--store", f"sqlite:{database}")
    link = tmp_path / "link.db"
    link.symlink_to(database)
    line = refusal("serve", "--port", "0", "--store", f"sqlite:{link}")
    assert f"process {first.pid}" in line


def test_the_file_of_a_killed_process_is_free(start_server: StartServer, database: Path) -> None:
    server = start_server("--store", f"sqlite:{database}")
    server.kill_and_restart()
    assert server.call("ListQueues") == {}


# --- ports and hosts ----------------------------------------------------------------------------


def test_a_taken_port_is_refused_and_no_database_is_made(database: Path) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = str(taken.getsockname()[1])
        line = refusal("serve", "--port", port, "--store", f"sqlite:{database}")
    assert f"127.0.0.1:{port}" in line
    assert list(database.parent.iterdir()) == []


def test_the_port_of_another_headrace_is_refused_and_the_other_goes_on(
    start_server: StartServer,
) -> None:
    first = start_server("--store", "memory")
    line = refusal("serve", "--port", str(first.port), "--store", "memory")
    assert str(first.port) in line
    assert first.call("ListQueues") == {}


def _has_ipv6() -> bool:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


@pytest.mark.skipif(not _has_ipv6(), reason="this machine has no IPv6")
def test_it_serves_on_ipv6(start_server: StartServer) -> None:
    server = start_server("--store", "memory", "--host", "::1")
    assert server.endpoint == f"http://[::1]:{server.port}"
    url = server.create_queue("jobs")
    assert url == f"http://[::1]:{server.port}/000000000000/jobs"
    server.call("SendMessage", QueueUrl=url, MessageBody="six")
    assert [message["Body"] for message in server.receive(url)] == ["six"]


# --- queue URLs ---------------------------------------------------------------------------------


def test_queue_urls_begin_with_what_the_client_called(start_server: StartServer) -> None:
    server = start_server("--store", "memory")
    answer = server.call("CreateQueue", headers={"Host": "queues.example:81"}, QueueName="jobs")
    assert answer["QueueUrl"] == "http://queues.example:81/000000000000/jobs"
    answer = server.call("GetQueueUrl", QueueName="jobs")
    assert answer["QueueUrl"] == f"{server.endpoint}/000000000000/jobs"


def test_queue_urls_begin_with_the_public_url_if_there_is_one(start_server: StartServer) -> None:
    server = start_server("--store", "memory", "--public-url", "https://sqs.example.com")
    answer = server.call("CreateQueue", headers={"Host": "queues.example:81"}, QueueName="jobs")
    assert answer["QueueUrl"] == "https://sqs.example.com/000000000000/jobs"


# --- stopping -----------------------------------------------------------------------------------

BOTH_SIGNALS = pytest.mark.parametrize(
    "number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"]
)


@BOTH_SIGNALS
def test_a_signal_ends_it_with_status_0_and_without_a_word(
    start_server: StartServer, number: signal.Signals
) -> None:
    server = start_server("--store", "memory")
    begun = time.monotonic()
    assert server.stop(number) == 0
    assert time.monotonic() - begun < STOP_S
    assert server.stderr == ""


@BOTH_SIGNALS
def test_parked_receives_are_answered_at_once_and_empty(
    start_server: StartServer, number: signal.Signals
) -> None:
    server = start_server("--store", "memory")
    url = server.create_queue("jobs")
    with connected(server, 8) as clients:
        for client in clients:
            client.sendall(request_bytes("ReceiveMessage", QueueUrl=url, WaitTimeSeconds=20))
        server.catch_up()

        begun = time.monotonic()
        server.send_signal(number)
        answers = [read_answer(client) for client in clients]
        took_s = time.monotonic() - begun

        assert [(status, body) for status, _, body in answers] == [(200, {})] * len(clients)
        assert took_s < 1
        assert server.wait() == 0
        assert time.monotonic() - begun < STOP_S


def test_ctrl_c_during_the_start_ends_it_without_a_traceback(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Before the server has taken over the signals Python raises KeyboardInterrupt."""

    def interrupted(_: Settings) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("api.__main__._serve", interrupted)
    assert main(["serve", "--store", "memory"]) == 128 + signal.SIGINT


def test_idle_connections_do_not_keep_it_from_ending(start_server: StartServer) -> None:
    server = start_server("--store", "memory")
    with connected(server, 8) as clients:
        for client in clients[:4]:  # the others have not said anything yet
            client.sendall(request_bytes("ListQueues"))
            read_answer(client)
        begun = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - begun < 2


def _refuses_connections(server: Server) -> bool:
    try:
        server.connect().close()
    except OSError:
        return True
    return False


def _half_a_request(server: Server, client: socket.socket, url: str, text: str) -> bytes:
    """Send the first part of a SendMessage; the part that is missing."""
    request = request_bytes("SendMessage", QueueUrl=url, MessageBody=text)
    client.sendall(request[:-10])
    server.catch_up()
    return request[-10:]


def test_a_request_in_flight_is_finished(start_server: StartServer, database: Path) -> None:
    """One that was half sent when the signal came is read, stored and answered."""
    server = start_server("--store", f"sqlite:{database}")
    url = server.create_queue("jobs")
    with connected(server, 1) as [client]:
        rest = _half_a_request(server, client, url, "just in time")
        server.send_signal(signal.SIGTERM)
        until(lambda: _refuses_connections(server))

        client.sendall(rest)
        status, headers, _ = read_answer(client)

        assert status == 200
        assert headers["connection"] == "close"
    assert server.wait() == 0
    server.start()
    assert [message["Body"] for message in server.receive(url)] == ["just in time"]


def test_a_request_that_never_ends_delays_the_end_by_less_than_5_s(
    start_server: StartServer,
) -> None:
    server = start_server("--store", "memory")
    url = server.create_queue("jobs")
    with connected(server, 1) as [client]:
        _half_a_request(server, client, url, "never")
        begun = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - begun < STOP_S
    assert "Traceback" not in server.stderr


@BOTH_SIGNALS
def test_a_second_signal_ends_it_at_once(start_server: StartServer, number: signal.Signals) -> None:
    server = start_server("--store", "memory")
    url = server.create_queue("jobs")
    with connected(server, 1) as [client]:
        _half_a_request(server, client, url, "never")
        server.send_signal(number)
        until(lambda: _refuses_connections(server))
        assert server.alive

        begun = time.monotonic()
        server.send_signal(number)
        server.wait()
        assert time.monotonic() - begun < 1
    assert "Traceback" not in server.stderr


def test_a_stop_under_load_answers_what_it_has_stored_and_stores_what_it_answers(
    start_server: StartServer, database: Path
) -> None:
    """Eight clients send while the signal comes: none sees half an answer, nothing is lost."""
    server = start_server("--store", f"sqlite:{database}")
    url = server.create_queue("jobs")

    def send(worker: int) -> list[str]:
        answered: list[str] = []
        with connected(server, 1) as [client]:
            for number in range(100_000):
                text = f"{worker}-{number}"
                try:
                    client.sendall(request_bytes("SendMessage", QueueUrl=url, MessageBody=text))
                    if not client.recv(1, socket.MSG_PEEK):
                        break
                except ConnectionError:
                    break  # closed between two requests, or before this one was read
                status, headers, _ = read_answer(client)
                assert status == 200
                answered.append(text)
                if headers.get("connection") == "close":
                    break
        return answered

    with ThreadPoolExecutor(8) as threads:
        clients = [threads.submit(send, worker) for worker in range(8)]
        until(lambda: int(server.attributes(url)["ApproximateNumberOfMessages"]) > 200)
        begun = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - begun < STOP_S
    acknowledged = {text for client in clients for text in client.result()}
    server.start()

    stored = set()
    while found := server.receive(url, VisibilityTimeout=600):
        stored |= {message["Body"] for message in found}
    assert stored == acknowledged


def test_after_a_stop_the_database_is_a_single_file(
    start_server: StartServer, database: Path
) -> None:
    """So that copying it is enough; the lock beside it is empty of meaning then."""
    server = start_server("--store", f"sqlite:{database}")
    server.create_queue("jobs")
    server.stop()
    names = {path.name for path in database.parent.iterdir()}
    assert names <= {"headrace.db", "headrace.db.lock"}


@pytest.mark.parametrize("durability", ["strict", "relaxed"])
def test_a_restart_on_the_same_file_serves_the_same_data(
    start_server: StartServer, database: Path, durability: str
) -> None:
    server = start_server("--store", f"sqlite:{database}", "--durability", durability)
    url = server.create_queue("jobs", VisibilityTimeout="7")
    sent = server.call("SendMessage", QueueUrl=url, MessageBody="kept")
    server.stop()
    server.start()

    assert server.attributes(url)["VisibilityTimeout"] == "7"
    [message] = server.receive(url)
    assert (message["MessageId"], message["Body"]) == (sent["MessageId"], "kept")


def test_memory_forgets(start_server: StartServer) -> None:
    server = start_server("--store", "memory")
    server.create_queue("jobs")
    server.stop()
    server.start()
    assert server.call("ListQueues") == {}


# --- clients that go away -----------------------------------------------------------------------


@pytest.mark.parametrize("store", ["memory", "sqlite"])
def test_a_client_that_hangs_up_while_it_waits_takes_no_message(
    start_server: StartServer, database: Path, store: str
) -> None:
    server = start_server("--store", "memory" if store == "memory" else f"sqlite:{database}")
    url = server.create_queue("jobs")
    with connected(server, 3) as clients:
        for client in clients:
            client.sendall(request_bytes("ReceiveMessage", QueueUrl=url, WaitTimeSeconds=20))
        server.catch_up()
    server.catch_up()

    server.call("SendMessage", QueueUrl=url, MessageBody="for somebody who listens")

    [message] = server.receive(url, WaitTimeSeconds=0)
    assert message["Body"] == "for somebody who listens"
    assert message["Attributes"]["ApproximateReceiveCount"] == "1"


# --- logs ---------------------------------------------------------------------------------------


def _talk_about_secrets(server: Server) -> list[str]:
    """Calls of all kinds, good and bad; the secrets in them."""
    url = server.create_queue("jobs")
    server.call(
        "SendMessage",
        QueueUrl=url,
        MessageBody="secret-body",
        MessageAttributes={"a": {"DataType": "String", "StringValue": "secret-attribute"}},
    )
    [message] = server.receive(url, VisibilityTimeout=0)
    handle = message["ReceiptHandle"]
    server.call("DeleteMessage", QueueUrl=url, ReceiptHandle=handle)
    form = (
        "Action=SendMessage&MessageBody=secret-in-a-form&X-Amz-Signature=secret-parameter"
        f"&QueueUrl={url}"
    ).encode()
    requests = [
        request_bytes("DeleteMessage", QueueUrl=url, ReceiptHandle="secret-bad-handle"),
        request_bytes("SendMessage", QueueUrl=url, MessageBody={"secret-not-a": "string"}),
        request_bytes("SendMessage", QueueUrl="secret-queue", MessageBody="secret-lost"),
        b"GET /000000000000/jobs?Action=SendMessage&MessageBody=secret-in-a-query HTTP/1.1\r\n"
        b"Host: localhost\r\nAuthorization: secret-authorization\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n"
        b"Content-Type: application/x-www-form-urlencoded\r\n\r\n%b" % (len(form), form),
        b"secret-not-http at all\r\n\r\n",
    ]
    for request in requests:
        with connected(server, 1) as [client]:
            client.sendall(request)
            assert client.recv(65_536)
    return ["secret", handle, handle[:40], "AWS4-HMAC", "Credential=", "0" * 64]


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_not_even_at_level_debug_are_secrets_logged(
    start_server: StartServer, database: Path, log_format: str
) -> None:
    server = start_server(
        "--store", f"sqlite:{database}", "--log-level", "debug", "--log-format", log_format
    )
    secrets = _talk_about_secrets(server)
    server.stop()
    assert "SendMessage" in server.stderr
    for secret in secrets:
        assert secret not in server.stderr


def test_json_logs_are_one_object_a_line(start_server: StartServer) -> None:
    server = start_server("--store", "memory", "--log-level", "debug", "--log-format", "json")
    _talk_about_secrets(server)
    server.stop()
    lines = [json.loads(line) for line in server.stderr.splitlines()]
    assert len(lines) >= 10
    for line in lines:
        assert {"time", "level", "logger", "message"} <= set(line)
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", line["time"])


def test_at_level_info_calls_are_not_logged(start_server: StartServer) -> None:
    server = start_server("--store", "memory")
    server.create_queue("jobs")
    server.stop()
    assert server.stderr == ""
