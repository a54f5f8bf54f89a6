"""``headrace exec``: a command with a broker of its own.

The command takes the place of this process, so that terminal, signals, job control and exit status
are its own without anybody passing them on.  The broker is a process beside it, in a session of
its own where no Ctrl-C reaches it; it is nobody's child, for some programs wait for all of theirs.
It ends when the command's process does, however that happens.
"""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Callable, Coroutine, Mapping
from typing import Any
from urllib.parse import urlsplit

from api.client_environment import client_environment

#: exit statuses as those of env(1), timeout(1) and the shells
BROKER_FAILED = 125
NOT_EXECUTABLE = 126
NOT_FOUND = 127

_POLL_INTERVAL_S = 0.25
_STANDARD_ERROR = 2


def run_beside_broker(
    command: list[str],
    environment: Mapping[str, str],
    *,
    region: str,
    broker: Callable[[int, Callable[[str], None]], int],
) -> int:
    """Become ``command``, beside a broker that answers; an exit status if that fails.

    ``broker`` is called in a process of its own, with the process id of the command and a function
    to be called with the broker's URL once it answers.  It says itself what goes wrong.
    """
    reading, writing = os.pipe()
    command_id = os.getpid()
    starter = os.fork()
    if starter == 0:
        _become(writing, lambda started: broker(command_id, started))
    os.close(writing)
    os.waitpid(starter, 0)
    with os.fdopen(reading) as answer:
        url = answer.read()
    if not url:
        return BROKER_FAILED
    told = client_environment(
        environment, url=url, host=urlsplit(url).hostname or "", region=region
    )
    for number in (signal.SIGPIPE, signal.SIGXFSZ):  # Python ignores them, and exec hands that on
        signal.signal(number, signal.SIG_DFL)
    try:
        os.execvpe(command[0], command, told)  # noqa: S606 what the user asked for
    except OSError as error:
        sys.stderr.write(f"headrace: cannot run {command[0]!r}: {error.strerror}\n")
        return NOT_FOUND if isinstance(error, FileNotFoundError) else NOT_EXECUTABLE


def _become(writing: int, serve: Callable[[Callable[[str], None]], int]) -> None:
    """Become a process that has nothing from its parent but the way to standard error."""
    status = BROKER_FAILED
    try:
        os.setsid()
        if os.fork():
            os._exit(0)
        nothing = os.open(os.devnull, os.O_RDWR)
        for descriptor in range(_STANDARD_ERROR):
            os.dup2(nothing, descriptor)
        # a lock or a pipe of the caller's must not stay held by a process that it does not know of
        os.closerange(_STANDARD_ERROR + 1, writing)
        os.closerange(writing + 1, os.sysconf("SC_OPEN_MAX"))

        def started(url: str) -> None:
            with contextlib.suppress(BrokenPipeError):  # who waits for it is gone, and so are we
                os.write(writing, url.encode())
            os.close(writing)

        status = serve(started)
        sys.stderr.flush()
    finally:
        os._exit(status)


async def while_process_lives(process_id: int, serving: Coroutine[Any, Any, int]) -> int:
    """Serve as long as a process lives, and cancel it then; the exit status."""
    server = asyncio.create_task(serving)
    end = asyncio.create_task(_end_of(process_id))
    await asyncio.wait({server, end}, return_when=asyncio.FIRST_COMPLETED)
    end.cancel()
    if server.done():
        return server.result()
    server.cancel()
    await asyncio.wait({server})
    return 0


async def _end_of(process_id: int) -> None:
    """Return once there is no such process."""
    try:
        process = os.pidfd_open(process_id)
    except ProcessLookupError:
        return
    except (AttributeError, OSError):  # another system than Linux, or a sandbox
        while _is_alive(process_id):  # noqa: ASYNC110 nobody tells
            await asyncio.sleep(_POLL_INTERVAL_S)
        return
    loop = asyncio.get_running_loop()
    ended = loop.create_future()
    loop.add_reader(process, ended.set_result, None)
    try:
        await ended
    finally:
        loop.remove_reader(process)
        os.close(process)


def _is_alive(process_id: int) -> bool:
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # it is somebody else's by now
        return True
    return True
