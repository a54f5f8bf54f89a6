"""docs/install.md and docs/ci.md name what there is, and their programs can be read."""

import ast
import re
from pathlib import Path

import pytest
import yaml

from api.client_environment import client_environment
from api.settings import Settings, environment_name
from tests.packaging.compose import read_compose
from tests.support.process import ROOT

DOCUMENTS = [ROOT / "docs/install.md", ROOT / "docs/ci.md"]
TEXT = "\n".join(path.read_text("utf-8") for path in DOCUMENTS)
DOCKERFILE = (ROOT / "Dockerfile").read_text("utf-8")


def programs(language: str) -> list[str]:
    """The blocks of code in a language."""
    found = re.findall(rf"^```{language}\n(.*?)^```", TEXT, re.DOTALL | re.MULTILINE)
    assert found
    return found


def test_every_variable_is_a_setting() -> None:
    named = set(re.findall(r"\bHEADRACE_[A-Z_]+\b", TEXT))
    assert "HEADRACE_STORE" in named
    told = client_environment({}, url="http://127.0.0.1:4566", host="127.0.0.1", region="us-east-1")
    assert named <= {environment_name(field) for field in Settings.model_fields} | told.keys()


def test_every_make_target_is_there() -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    named = set(re.findall(r"`make ([a-z-]+)`", TEXT))
    assert {"wheel", "image-test"} <= named
    for target in named:
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_link_leads_somewhere(document: Path) -> None:
    links = re.findall(r"\]\(([^)]+)\)", document.read_text("utf-8"))
    assert links
    for link in links:
        assert (document.parent / link).is_file(), link


def test_every_profile_is_one_of_compose() -> None:
    known = {
        each for service in read_compose().values() for each in service.raw.get("profiles", [])
    }
    assert set(re.findall(r"--profile ([a-z]+)", TEXT)) == known


def test_the_base_the_user_and_the_ports_are_those_of_the_dockerfile() -> None:
    [base] = re.findall(r"ARG BASE_IMAGE=(\S+)", DOCKERFILE)
    [user] = re.findall(r"USER (\d+):\1", DOCKERFILE)
    [ports] = re.findall(r"EXPOSE (.+)", DOCKERFILE)
    for fact in (f"`{base}`", f"runAsUser: {user}", *ports.split()):
        assert fact in TEXT


def test_settings_in_yaml_can_be_read() -> None:
    for text in programs("yaml"):
        assert isinstance(yaml.safe_load(text), dict)


def test_programs_in_python_can_be_read() -> None:
    for text in programs("python"):
        ast.parse(text)
