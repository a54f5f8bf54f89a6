"""Declared queues and topics at the start of a server."""

from collections.abc import Callable
from pathlib import Path

from tests.support.process import Server, run_command

StartServer = Callable[..., Server]


def test_what_is_declared_is_there_once_the_server_answers_and_each_change_is_told(
    start_server: StartServer, tmp_path: Path
) -> None:
    config = tmp_path / "queues.yaml"
    config.write_text("queues: {orders: {visibilityTimeout: 7}, payments.fifo: }\n")
    server = start_server("--store", "memory", "--config", str(config))
    url = server.call("GetQueueUrl", QueueName="orders")["QueueUrl"]
    assert server.attributes(url)["VisibilityTimeout"] == "7"
    told = [line for line in server.stderr.splitlines() if " info api.server: " in line]
    assert len([line for line in told if "orders" in line or "payments.fifo" in line]) == 2


def test_with_reconcile_update_differences_are_changed_and_messages_stay(
    start_server: StartServer, tmp_path: Path, database: Path
) -> None:
    config = tmp_path / "queues.yaml"
    config.write_text("queues: {orders: {visibilityTimeout: 7}}\n")
    options = ("--store", f"sqlite:{database}", "--config", str(config), "--reconcile", "update")
    server = start_server(*options)
    url = server.call("GetQueueUrl", QueueName="orders")["QueueUrl"]
    server.call("SendMessage", QueueUrl=url, MessageBody="kept")
    server.stop()
    config.write_text("queues: {orders: {visibilityTimeout: 8}}\n")
    server.start()
    assert server.attributes(url)["VisibilityTimeout"] == "8"
    assert [each["Body"] for each in server.receive(url)] == ["kept"]


def test_by_default_differences_are_told_and_stay(
    start_server: StartServer, tmp_path: Path, database: Path
) -> None:
    config = tmp_path / "queues.yaml"
    config.write_text("queues: {orders: {visibilityTimeout: 7}}\n")
    server = start_server("--store", f"sqlite:{database}", "--config", str(config))
    url = server.call("GetQueueUrl", QueueName="orders")["QueueUrl"]
    server.stop()
    config.write_text("queues: {orders: {visibilityTimeout: 8}}\n")
    server.start()
    assert server.attributes(url)["VisibilityTimeout"] == "7"
    assert "VisibilityTimeout" in server.stderr.splitlines()[-1]


def test_a_wrong_configuration_stops_the_start_with_file_and_line_and_makes_nothing(
    tmp_path: Path, database: Path
) -> None:
    config = tmp_path / "queues.yaml"
    config.write_text("queues:\n  orders: {visibilityTimeout: 7}\n  jobs: {visibilityTimeot: 8}\n")
    ended = run_command(
        "serve", "--port", "0", "--store", f"sqlite:{database}", "--config", str(config)
    )
    assert ended.returncode == 2
    assert ended.stdout == ""
    [line] = ended.stderr.splitlines()
    assert line.startswith(f"headrace: {config}:3: queues.jobs.visibilityTimeot: ")
    assert list(database.parent.iterdir()) == []


def test_a_value_that_the_broker_refuses_stops_the_start_and_changes_nothing(
    start_server: StartServer, tmp_path: Path, database: Path
) -> None:
    config = tmp_path / "queues.yaml"
    config.write_text("queues:\n  orders:\n  jobs: {visibilityTimeout: 99999999}\n")
    options = ("--store", f"sqlite:{database}")
    ended = run_command("serve", "--port", "0", *options, "--config", str(config))
    assert ended.returncode == 1
    assert f"headrace: {config}:3: queues.jobs" in ended.stderr
    assert start_server(*options).call("ListQueues") == {}


def test_an_elasticmq_conf_is_read_and_its_port_listened_on_beside_ours(
    start_server: StartServer, tmp_path: Path
) -> None:
    config = tmp_path / "elasticmq.conf"
    config.write_text(
        "rest-sqs { bind-port = 0 }\naws { region = eu-west-3, accountId = 111111111111 }\n"
        "queues { orders { defaultVisibilityTimeout = 7 seconds } }\n"
    )
    server = start_server("--store", "memory", "--config", str(config))
    assert "  also  " in server.banner
    url = server.call("GetQueueUrl", QueueName="orders", headers=_in_region("eu-west-3"))
    assert url["QueueUrl"] == f"{server.endpoint}/111111111111/orders"


def _in_region(region: str) -> dict[str, str]:
    scope = f"test/20260101/{region}/sqs/aws4_request"
    return {"Authorization": f"AWS4-HMAC-SHA256 Credential={scope}, Signature=0"}


def test_check_config_tells_what_a_file_declares_or_what_is_wrong(tmp_path: Path) -> None:
    good, bad = tmp_path / "good.yaml", tmp_path / "bad.yaml"
    good.write_text("queues: {orders: }\n")
    bad.write_text("queus: {orders: }\n")
    ended = run_command("check-config", str(good))
    assert (ended.returncode, ended.stderr) == (0, "")
    assert f"{good}: ok, 1 queue" in ended.stdout
    ended = run_command("check-config", str(bad))
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.startswith(f"{bad}:1: ")
