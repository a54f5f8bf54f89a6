"""compose.yaml: what its users count on."""

from typing import Any

import pytest

from api.settings import Settings, environment_name
from tests.packaging.compose import Service, read_compose
from tests.support.process import ROOT

SERVICES = read_compose()


@pytest.fixture
def headrace() -> Service:
    return SERVICES["headrace"]


def test_only_the_server_is_there_by_default() -> None:
    assert {name: each.raw.get("profiles") for name, each in SERVICES.items()} == {
        "headrace": None,
        "app": ["example"],
        "mail": ["mail"],
    }


def test_the_server_keeps_its_data_in_a_volume(headrace: Service) -> None:
    [mount] = headrace.mounts
    assert mount.target == "/data"
    assert not mount.read_only
    assert not mount.source.startswith((".", "/"))


def test_the_server_can_be_called_from_this_machine_only(headrace: Service) -> None:
    assert headrace.raw["ports"] == ["127.0.0.1:4566:4566"]


@pytest.mark.parametrize("name", ["headrace", "app"])
def test_containers_of_the_image_can_write_to_data_and_tmp_only(name: str) -> None:
    service = SERVICES[name]
    assert service.read_only
    assert service.tmpfs == ["/tmp"]  # noqa: S108 of the container
    assert {mount.target for mount in service.mounts if not mount.read_only} <= {"/data"}
    assert service.raw["cap_drop"] == ["ALL"]
    assert service.raw["security_opt"] == ["no-new-privileges:true"]


def test_queue_urls_follow_the_caller(headrace: Service) -> None:
    """With a public URL they would be right for the host or for siblings, not for both."""
    assert environment_name("public_url") not in headrace.environment


def test_every_setting_exists_and_none_is_fixed(headrace: Service) -> None:
    known = {environment_name(field) for field in Settings.model_fields}
    assert headrace.environment.keys() <= known
    assert set(headrace.environment.values()) <= {None}


def test_the_application_waits_for_health_and_calls_the_server_by_its_name() -> None:
    app = SERVICES["app"]
    assert app.raw["depends_on"] == {"headrace": {"condition": "service_healthy"}}
    for service in ("SQS", "SNS"):
        assert app.environment[f"AWS_ENDPOINT_URL_{service}"] == "http://headrace:4566"
    [mount] = app.mounts
    program = app.raw["entrypoint"][1]
    assert program.startswith(f"{mount.target}/")
    assert (ROOT / mount.source / program.removeprefix(f"{mount.target}/")).is_file()


def test_the_health_check_needs_no_shell(headrace: Service) -> None:
    check: dict[str, Any] = headrace.raw["healthcheck"]
    assert check["test"][0] == "CMD"


def test_mail_is_caught_where_the_text_says() -> None:
    text = (ROOT / "compose.yaml").read_text("utf-8")
    assert environment_name("smtp") in SERVICES["headrace"].environment
    assert f"# {environment_name('smtp')}=smtp://mail:1025 docker compose --profile mail up" in text
    assert SERVICES["mail"].raw["ports"] == ["127.0.0.1:8025:8025"]
    assert "http://localhost:8025" in text
