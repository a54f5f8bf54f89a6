"""Whether the server has come to the point where it is of use, and whether it still is."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal

from broker import StorageError

_PROBE_INTERVAL_S = 1.0

Status = Literal["ok", "starting", "unwritable"]


@dataclass
class ScriptRun:
    """A script of the start, and what became of it; states are LocalStack's."""

    name: str
    state: Literal["UNKNOWN", "RUNNING", "SUCCESSFUL", "ERROR"] = "UNKNOWN"


class Readiness:
    """Known to the start, which says when it is done, and to those who answer about health."""

    def __init__(self, probe: Callable[[], Awaitable[None]], *, started: bool = False) -> None:
        """``probe`` writes something to the store, or raises ``StorageError``."""
        self.started = started
        self.scripts: list[ScriptRun] = []
        self._probe = probe
        self._lock = asyncio.Lock()
        self._probed_at_s: float | None = None
        self._problem: str | None = None

    async def status(self) -> tuple[Status, str | None]:
        """How the server is, and what is wrong with its store.

        The store is written to, at most once a second: there is no other way to know.
        """
        if not self.started:
            return "starting", None
        async with self._lock:
            now_s = asyncio.get_running_loop().time()
            if self._probed_at_s is None or now_s >= self._probed_at_s + _PROBE_INTERVAL_S:
                await self._ask_store()
                self._probed_at_s = now_s
        return ("ok" if self._problem is None else "unwritable"), self._problem

    async def _ask_store(self) -> None:
        try:
            await self._probe()
        except StorageError as error:
            self._problem = str(error)
        else:
            self._problem = None
