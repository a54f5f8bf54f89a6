"""``kill -9`` while messages are published: each reaches all whom it is for, or nobody."""

import asyncio
import json
import os
import random
import sys
import time
from pathlib import Path
from typing import NamedTuple

from tests.reliability.history import Outcome
from tests.reliability.test_kill import assert_sound, restart
from tests.reliability.topic_history import Breaches, check
from tests.reliability.topic_load import NEWS, SUBSCRIBERS, Endpoint, TopicLoad
from tests.support.process import Server
from tests.support.receivers import http_receiver

KILLS = 6
#: the server is killed so many publishes after it came back, and a moment later
PUBLISHES_MIN, PUBLISHES_MAX = 20, 150
MOMENT_S = 0.02


class _Run(NamedTuple):
    """What came of a run."""

    breaches: Breaches
    load: TopicLoad
    endpoint: Endpoint

    @property
    def unanswered(self) -> int:
        """The publishes of which nobody knows what became of them."""
        return sum(each.outcome is Outcome.UNKNOWN for each in self.load.publishes)


async def _until_publishes(load: TopicLoad, number: int) -> None:
    async with asyncio.timeout(30):
        while len(load.publishes) < number:
            await asyncio.sleep(0.001)


async def _kill_under_load(tmp_path: Path, store: str, kills: int) -> _Run:
    seed = int(os.environ.get("KILL_SEED") or random.randrange(2**32))
    sys.stdout.write(f"KILL_SEED={seed}\n")
    chance = random.Random(seed)
    database = tmp_path / "headrace.db"
    location = "memory" if store == "memory" else f"sqlite:{database}"
    server = Server(tmp_path, "--store", location, "--durability", "strict")
    endpoint = Endpoint(seed)
    load = TopicLoad(lambda: server.port, endpoint, seed=seed)
    begun = time.monotonic()
    async with http_receiver(endpoint.answer) as receiver:
        try:
            server.start()
            await load.create(receiver)
            load.up.set()
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(load.run())
                for _ in range(kills):
                    publishes = chance.randint(PUBLISHES_MIN, PUBLISHES_MAX)
                    await _until_publishes(load, len(load.publishes) + publishes)
                    await load.look_at_attempts()
                    await asyncio.sleep(chance.uniform(0, MOMENT_S))
                    load.up.clear()
                    server.kill()
                    load.reconnect()
                    if store != "memory":
                        assert_sound(database, tmp_path / "copy")
                    await restart(server, chance)
                    if store == "memory":
                        load.attempts.clear()  # the numbers of deliveries begin anew
                        await load.create(receiver)
                    else:
                        await load.look_at_attempts()
                    load.up.set()
                load.finish()
            copies = await load.drain()
            assert server.stop() == 0
        finally:
            load.close()
            server.kill()
    assert "Traceback" not in server.stderr
    breaches = check(load.publishes, copies, SUBSCRIBERS, attempts=load.attempts)
    run = _Run(breaches, load, endpoint)
    figures = {
        "test": "kill under publishes",
        "seed": seed,
        "kills": kills,
        "publishes": len(load.publishes),
        "unanswered": run.unanswered,
        "copies": sum(map(len, copies.values())),
        "refused_by_endpoint": endpoint.refused,
        **{name: len(value) for name, value in vars(breaches).items()},
        "wall_s": round(time.monotonic() - begun, 1),
    }
    sys.stdout.write(json.dumps(figures) + "\n")
    return run


async def test_every_acknowledged_publish_survives_6_kills_in_full(tmp_path: Path) -> None:
    """Each is in every queue that it matches, once, in its group's order, and at the endpoint.

    What had no answer is everywhere or nowhere; what was published again was not stored again;
    retries go on where they were.  The seed is printed; ``KILL_SEED`` sets it,
    and ``KILLS`` how often.
    """
    kills = int(os.environ.get("KILLS") or KILLS)
    run = await _kill_under_load(tmp_path, "sqlite", kills)

    assert run.breaches.found() == {}
    assert not run.load.refusals
    assert len(run.load.publishes) > PUBLISHES_MIN * kills, "there was hardly any load"
    assert run.unanswered >= kills // 2, "hardly a kill caught a publish under way"
    assert run.endpoint.refused, "the endpoint refused nothing"
    assert any(number for look in run.load.attempts for number in look.values()), "no retries"


async def test_what_a_store_without_a_disk_loses_is_seen(tmp_path: Path) -> None:
    """The same load and check, where the outcome must be bad: so the test above can fail."""
    run = await _kill_under_load(tmp_path, "memory", 2)

    assert {each.partition("/")[0] for each in run.breaches.lost} >= {"all", "all.fifo", "reds"}
    assert any(publish.topic == NEWS for publish in run.load.publishes)
