"""Servers for the tests of this folder, none of which outlives its test."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.support.process import Server

StartServer = Callable[..., Server]


@pytest.fixture
def start_server(tmp_path: Path) -> Iterator[StartServer]:
    """Start a server with these options; it is gone after the test, whatever happens."""
    with ExitStack() as servers:

        def start(*options: str, **how: Any) -> Server:
            directory = tmp_path / f"server-{len(list(tmp_path.glob('server-*')))}"
            directory.mkdir()
            return servers.enter_context(Server(directory, *options, **how))

        yield start


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """Where a database may be made; its directory has nothing else in it."""
    directory = tmp_path / "data"
    directory.mkdir()
    return directory / "headrace.db"
