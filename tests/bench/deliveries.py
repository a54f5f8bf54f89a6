"""Deliveries to a hundred HTTP endpoints, one of which never answers."""

import asyncio
import json
import shutil
import time
from collections.abc import Generator
from contextlib import ExitStack
from statistics import median
from typing import cast

from tests.bench.client import BenchError, raw_sns_request, run_on_uvloop, send_all
from tests.bench.plan import Plan
from tests.bench.report import Figure, progress
from tests.bench.servers import SQLITE, Server, headrace, running
from tests.bench.topics import publish_request, subscription, topic_arn

ANSWERING = 99
_PATIENCE_S = 120
_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


class Arrivals:
    """Counts what is still to come to all endpoints together."""

    def __init__(self, expected: int) -> None:
        self._expected = expected
        self.complete = asyncio.Event()

    def one(self) -> None:
        self._expected -= 1
        if not self._expected:
            self.complete.set()


class Endpoint:
    """An HTTP endpoint on a port of its own: notes what comes, and answers as long as it lives."""

    def __init__(self, notifications: Arrivals) -> None:
        self.alive = True
        self.token: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._notifications = notifications
        self._seen: set[bytes] = set()

    async def listen(self) -> asyncio.Server:
        """Begin to listen; returns what is to be closed."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Reception(self), "127.0.0.1", 0)
        return self._server

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/"

    def receive(self, head: bytes, body: bytes) -> None:
        """Take one request; a notification that was there before does not count again."""
        if _header(head, b"x-amz-sns-message-type") == b"subscriptionconfirmation":
            if not self.token.done():
                self.token.set_result(json.loads(body)["Token"])
            return
        message_id = _header(head, b"x-amz-sns-message-id")
        if self.alive and message_id not in self._seen:
            self._seen.add(message_id)
            self._notifications.one()


class _Reception(asyncio.Protocol):
    """A connection to an endpoint."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports have the methods, not the base class.
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, found, rest = self._received.partition(b"\r\n\r\n")
        if not found:
            return
        head = head.lower()
        length = int(_header(head, b"content-length"))
        if len(rest) < length:
            return
        self._received = rest[length:]
        self._endpoint.receive(head, rest[:length])
        if self._endpoint.alive:
            self._transport.write(_ANSWER)


def _header(head: bytes, name: bytes) -> bytes:
    """The value of a header of a head in lower case."""
    return head.partition(b"\r\n" + name + b":")[2].partition(b"\r\n")[0].strip()


def deliveries(plan: Plan) -> Generator[Figure, None, None]:
    """The same publishes with and without a dead endpoint among the subscribers, in turn."""
    count = plan.publishes * ANSWERING
    seconds: dict[bool, list[float]] = {False: [], True: []}
    cpu_s = []
    for number in range(plan.rounds):
        for dead in seconds:
            progress(
                f"deliveries: round {number + 1} of {plan.rounds},"
                f" with{'' if dead else 'out'} a dead endpoint"
            )
            directory = plan.directory / f"{number}-{dead}"
            directory.mkdir()
            with running(headrace(SQLITE, directory), directory) as server:
                took_s, server_s = run_on_uvloop(_measure(server, plan.publishes, dead=dead))
                seconds[dead].append(took_s)
                if not dead:
                    cpu_s.append(server_s)
            shutil.rmtree(directory)
    without, beside = seconds[False], seconds[True]
    each = [b / w for b, w in zip(beside, without, strict=True)]
    yield Figure(
        f"{count:,} deliveries to {ANSWERING} HTTP endpoints, beside a dead one", SQLITE,
        median(each), "x without it", at_most=1.1,
        detail={
            "ratios": [round(ratio, 3) for ratio in each],
            "seconds": [round(value, 2) for value in beside],
            "seconds_without": [round(value, 2) for value in without],
        },
    )  # fmt: skip
    yield Figure(
        f"deliveries to {ANSWERING} HTTP endpoints", SQLITE, count / median(without), "/s",
        detail={
            "beside_a_dead_one_per_s": round(count / median(beside)),
            "server_cpu": round(sum(cpu_s) / sum(without), 2),
            "server_us_each": round(median(cpu_s) / count * 1e6),
        },
    )  # fmt: skip


async def _measure(server: Server, publishes: int, *, dead: bool) -> tuple[float, float]:
    """Seconds, and the server's of CPU, until all endpoints that answer have everything.

    From the first publish on, not from the last: deliveries begin at once.
    """
    port = server.port
    arrivals = Arrivals(publishes * ANSWERING)
    endpoints = [Endpoint(arrivals) for _ in range(ANSWERING + dead)]
    topic = topic_arn("news")
    with ExitStack() as stack:
        for endpoint in endpoints:
            stack.callback((await endpoint.listen()).close)
        await send_all(port, [raw_sns_request("CreateTopic", {"Name": "news"})])
        await send_all(port, [subscription(topic, "http", each.url) for each in endpoints])
        try:
            async with asyncio.timeout(_PATIENCE_S):
                tokens = [await endpoint.token for endpoint in endpoints]
                await send_all(port, [_confirmation(topic, token) for token in tokens])
                if dead:
                    endpoints[-1].alive = False
                before_s, start = server.cpu_s(), time.perf_counter()
                await send_all(port, [publish_request(topic)] * publishes)
                await arrivals.complete.wait()
                return time.perf_counter() - start, server.cpu_s() - before_s
        except TimeoutError:
            raise BenchError(f"not everything arrived within {_PATIENCE_S} s") from None


def _confirmation(topic: str, token: str) -> bytes:
    return raw_sns_request("ConfirmSubscription", {"TopicArn": topic, "Token": token})
