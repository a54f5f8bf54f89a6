"""``kill -9`` at random moments of a mixed load: whatever was acknowledged stands."""

import asyncio
import json
import os
import random
import shutil
import sys
import time
from pathlib import Path
from typing import NamedTuple

import apsw

from tests.reliability.history import History, Verdict, check
from tests.reliability.load import FIFO, Load
from tests.support.process import Server

KILLS = 20
#: the server is killed so many calls after it came back, and a moment later
CALLS_MIN, CALLS_MAX = 50, 800
MOMENT_S = 0.02
#: so often the start after a kill is killed too, within that time
KILLED_STARTS = 0.2
START_S = 0.6

#: what a consumer may be told: another had the message in the meantime, or it is gone
EXPECTED_REFUSALS = {"InvalidParameterValue", "InvalidParameterValueException"}


class _Run(NamedTuple):
    verdict: Verdict
    refusals: set[str]


async def _until_calls(history: History, number: int) -> None:
    async with asyncio.timeout(30):
        while len(history) < number:
            await asyncio.sleep(0.001)


def assert_sound(database: Path, copy: Path) -> None:
    """SQLite finds no fault with what the kill left; looked at in a copy."""
    shutil.rmtree(copy, ignore_errors=True)
    copy.mkdir()
    for suffix in ("", "-wal"):
        part = database.with_name(database.name + suffix)
        if part.exists():
            shutil.copy(part, copy)
    connection = apsw.Connection(str(copy / database.name))
    try:
        assert connection.pragma("integrity_check") == "ok"
    finally:
        connection.close()


async def restart(server: Server, chance: random.Random) -> float:
    """Start again, perhaps not at the first attempt; the milliseconds it took to be ready."""
    while chance.random() < KILLED_STARTS:
        server.spawn()
        await asyncio.sleep(chance.uniform(0, START_S))
        server.kill()
    begun = time.monotonic()
    await asyncio.to_thread(server.start)
    return (time.monotonic() - begun) * 1000


async def _kill_under_load(tmp_path: Path, store: str, kills: int) -> _Run:
    seed = int(os.environ.get("KILL_SEED") or random.randrange(2**32))
    sys.stdout.write(f"KILL_SEED={seed}\n")
    chance = random.Random(seed)
    database = tmp_path / "headrace.db"
    location = "memory" if store == "memory" else f"sqlite:{database}"
    server = Server(tmp_path, "--store", location, "--durability", "strict")
    history = History(tmp_path / "history.jsonl")
    load = Load(history, lambda: server.port, seed=seed)
    recovery_ms: list[float] = []
    begun = time.monotonic()
    try:
        server.start()
        await load.create_queues()
        load.up.set()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(load.run())
            for _ in range(kills):
                calls = chance.randint(CALLS_MIN, CALLS_MAX)
                await _until_calls(history, len(history) + calls)
                await asyncio.sleep(chance.uniform(0, MOMENT_S))
                load.up.clear()
                server.kill()
                history.epoch += 1
                if store != "memory":
                    assert_sound(database, tmp_path / "copy")
                recovery_ms.append(await restart(server, chance))
                if store == "memory":
                    await load.create_queues()
                load.up.set()
            load.finish()
        await load.drain()
        assert server.stop() == 0
    finally:
        load.close()
        server.kill()
        history.close()
    assert "Traceback" not in server.stderr
    verdict = check(history, fifo=[FIFO])
    recovery_ms.sort()
    figures = {
        "test": "kill",
        "seed": seed,
        "level": "strict" if store == "sqlite" else store,
        "kills": kills,
        **verdict.figures(),
        "recovery_ms_p50": round(recovery_ms[len(recovery_ms) // 2]),
        "recovery_ms_max": round(recovery_ms[-1]),
        "wall_s": round(time.monotonic() - begun, 1),
    }
    sys.stdout.write(json.dumps(figures) + "\n")
    return _Run(verdict, set(load.refusals))


async def test_nothing_acknowledged_is_undone_by_20_kills(tmp_path: Path) -> None:
    """Every accepted message is deleted or still there; nothing deleted comes back.

    Bodies are what was sent, no message is handed out twice at a time, none is stored twice, and
    each FIFO group is first delivered in the order in which it was sent.  The seed is printed;
    ``KILL_SEED`` sets it.
    """
    run = await _kill_under_load(tmp_path, "sqlite", KILLS)

    assert run.verdict.breaches() == {}
    assert run.refusals <= EXPECTED_REFUSALS
    assert run.verdict.acknowledged > 10 * KILLS, "there was hardly any load"
    assert run.verdict.unknown_calls >= KILLS, "no kill caught a call under way"


async def test_what_a_store_without_a_disk_loses_is_seen(tmp_path: Path) -> None:
    """The same load and check, where the outcome must be bad: so the test above can fail."""
    run = await _kill_under_load(tmp_path, "memory", 2)

    assert run.verdict.lost
