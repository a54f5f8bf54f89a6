"""Scripts that are run at the start, when the server answers and before it is healthy."""

import asyncio
import contextlib
import logging
import os
import re
import shutil
import signal
import sys
import tempfile
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from api.readiness import ScriptRun

logger = logging.getLogger(__name__)

_CALLS_AWS = re.compile(rb"^[^#\n]*\baws(local)?\b", re.MULTILINE)
_SHIM = '#!/bin/sh\nexec aws --endpoint-url "$AWS_ENDPOINT_URL" "$@"\n'
_LINE_BYTES_MAX = 10_000
_LINES_KEPT = 100  # for telling a failure where they were not logged
_STRAGGLER_S = 1.0


class InitError(Exception):
    """Scripts cannot be found or run, or one has failed; the text is one line."""


def find_scripts(folders: Sequence[Path]) -> list[Path]:
    """The scripts of each folder in lexical order, those of a subfolder after the folder's own.

    What is hidden is passed over: in a mounted ConfigMap it is the same files once more.  Raises
    ``InitError`` if a folder cannot be read.
    """
    scripts: list[Path] = []
    for folder in folders:
        for where, subfolders, names in os.walk(folder, onerror=_unreadable):
            subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
            for path in (Path(where, name) for name in sorted(names) if not name.startswith(".")):
                if path.suffix in (".sh", ".py"):
                    scripts.append(path)
                else:
                    logger.warning("%s is not run: scripts end in .sh or .py", path)
    return scripts


def _unreadable(error: OSError) -> None:
    raise InitError(f"init folder {error.filename}: {(error.strerror or str(error)).lower()}")


async def run_scripts(
    scripts: Sequence[Path],
    runs: list[ScriptRun],
    environment: Mapping[str, str],
    *,
    stop_at_failure: bool,
) -> None:
    """Run scripts one after the other, with their output in the log, and tell of them in ``runs``.

    Raises ``InitError`` when one fails, if that is to stop the start.  When it is cancelled it
    leaves no script behind.
    """
    runs.extend(ScriptRun(path.name) for path in scripts)
    with _awslocal(scripts, environment) as told:
        for path, run in zip(scripts, runs, strict=True):
            run.state = "RUNNING"
            logger.info("%s: runs", path)
            problem = await _run(path, told)
            if problem is None:
                run.state = "SUCCESSFUL"
                continue
            run.state = "ERROR"
            if stop_at_failure:
                raise InitError(f"init script {path} {problem}")
            logger.error("init script %s %s", path, problem)


@contextlib.contextmanager
def _awslocal(scripts: Sequence[Path], environment: Mapping[str, str]) -> Iterator[dict[str, str]]:
    """``environment`` with an ``awslocal`` on the path, if there is an ``aws`` that it can call."""
    search = environment.get("PATH", os.defpath)
    if shutil.which("aws", path=search) is None:
        for path in scripts:
            if path.suffix == ".sh" and _CALLS_AWS.search(_content(path)):
                logger.warning(
                    "%s: there is no aws command here for aws and awslocal; install the AWS CLI, or"
                    " write it in Python, where boto3 is there",
                    path,
                )
        yield dict(environment)
    elif not scripts or shutil.which("awslocal", path=search) is not None:
        yield dict(environment)
    else:
        with tempfile.TemporaryDirectory(prefix="headrace-") as folder:
            shim = Path(folder, "awslocal")
            shim.write_text(_SHIM)
            shim.chmod(0o755)
            yield {**environment, "PATH": f"{folder}{os.pathsep}{search}"}


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:  # which is told when it is to be run
        return b""


def _command(path: Path) -> list[str]:
    if path.suffix == ".py":
        return [sys.executable, str(path)]
    with path.open("rb") as script:
        says_by_what = script.read(2) == b"#!"
    if says_by_what and os.access(path, os.X_OK):
        return [str(path)]
    return [shutil.which("bash") or "sh", str(path)]


async def _run(path: Path, environment: Mapping[str, str]) -> str | None:
    """Run one script; None, or how it failed."""
    reading, writing = os.pipe()
    try:
        process = await asyncio.create_subprocess_exec(
            *_command(path),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=writing,
            stderr=asyncio.subprocess.STDOUT,
            env=environment,
            start_new_session=True,
        )
    except OSError as error:
        os.close(reading)
        return f"cannot be run: {error.strerror}"
    finally:
        os.close(writing)
    output: deque[str] = deque(maxlen=_LINES_KEPT)
    reader = asyncio.create_task(_log_output(path.name, reading, output))
    try:
        status = await process.wait()
        # a process that it leaves behind may hold its output open for ever
        await asyncio.wait({reader}, timeout=_STRAGGLER_S)
    finally:
        reader.cancel()
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    if status == 0:
        return None
    if not logger.isEnabledFor(logging.INFO):
        for line in output:
            logger.error("%s: %s", path.name, line)
    how = f"with status {status}" if status > 0 else f"by {signal.Signals(-status).name}"
    return f"failed {how}; its output is above" if output else f"failed {how} and said nothing"


async def _log_output(name: str, reading: int, output: deque[str]) -> None:
    """Log what comes out of a pipe, line by line, and remember it."""
    stream = asyncio.StreamReader()
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(stream), os.fdopen(reading, "rb", 0)
    )
    rest = b""
    try:
        while piece := await stream.read(_LINE_BYTES_MAX):
            *lines, rest = (rest + piece).split(b"\n")
            if len(rest) > _LINE_BYTES_MAX:
                lines, rest = [*lines, rest], b""
            for line in lines:
                _log_line(name, line, output)
        if rest:
            _log_line(name, rest, output)
    finally:
        transport.close()


def _log_line(name: str, line: bytes, output: deque[str]) -> None:
    text = line.decode("utf-8", "replace").rstrip()
    output.append(text)
    logger.info("%s: %s", name, text)
