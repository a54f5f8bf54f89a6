"""A mixed load over HTTP, every call of it noted in a history.

Producers and consumers are tasks with a keep-alive connection each.  When the server goes away they
note what they do not know, wait until it is back, and go on: a FIFO producer repeats what had no
answer, under the same deduplication id; a consumer repeats its deletes with the receipt handles it
has.
"""

import asyncio
import hashlib
import json
import random
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

from tests.reliability.history import (
    CorruptBody,
    History,
    Kind,
    Outcome,
    Received,
    Sent,
    make_body,
    read_body,
)
from tests.support.process import call_headers

STANDARD = "jobs"
FIFO = "jobs.fifo"

#: of receives whose messages are to be deleted, and of those that let them time out
VISIBILITY_S = 5
SHORT_VISIBILITY_S = 1
#: a consumer does not delete by a handle that is about to end
HANDLE_KEPT_S = 3
#: producers wait when so many messages have not been deleted
BACKLOG_MAX = 2_000
GROUPS_PER_PRODUCER = 5


class _Protocol(asyncio.Protocol):
    """A connection that carries one call at a time."""

    def __init__(self) -> None:
        self._received = bytearray()
        self._answer: asyncio.Future[tuple[int, bytes]] | None = None
        self._lost = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    async def exchange(self, request: bytes) -> tuple[int, bytes]:
        """Status and body of the answer; ``ConnectionError`` if there is none."""
        if self._lost:
            raise ConnectionError
        self._answer = asyncio.get_running_loop().create_future()
        self.transport.write(request)
        return await self._answer

    def data_received(self, data: bytes) -> None:
        self._received += data
        head_end = self._received.find(b"\r\n\r\n")
        if head_end < 0:
            return
        head = bytes(self._received[:head_end]).lower()
        length = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0])
        end = head_end + 4 + length
        if len(self._received) < end or self._answer is None or self._answer.done():
            return
        body = bytes(self._received[head_end + 4 : end])
        self._received.clear()
        self._answer.set_result((int(head[9:12]), body))

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost = True
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(ConnectionError())


class Client:
    """Calls on one connection after the other, each opened when it is needed."""

    def __init__(self, port: Callable[[], int]) -> None:
        """``port``: where the server is, asked anew for each connection."""
        self._port = port
        self._connection: _Protocol | None = None

    async def call(self, operation: str, members: dict[str, Any]) -> tuple[int, Any]:
        """Status and answer of an SQS call; ``ConnectionError`` if there is no answer."""
        body = json.dumps(members).encode()
        status, answer = await self.send("POST", "/", call_headers(operation), body)
        return status, json.loads(answer or b"{}")

    async def send(
        self, method: str, target: str, headers: Mapping[str, str], body: bytes = b""
    ) -> tuple[int, bytes]:
        """Status and body of any answer; ``ConnectionError`` if there is none."""
        headers = {"Host": "localhost", **headers, "Content-Length": str(len(body))}
        head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        request = f"{method} {target} HTTP/1.1\r\n{head}\r\n".encode() + body
        try:
            if self._connection is None:
                loop = asyncio.get_running_loop()
                _, self._connection = await loop.create_connection(
                    _Protocol, "127.0.0.1", self._port()
                )
            return await self._connection.exchange(request)
        except OSError as error:
            self.close()
            raise ConnectionError from error

    def close(self) -> None:
        """Hang up, if there is a connection."""
        if self._connection is not None:
            self._connection.transport.close()
            self._connection = None


@dataclass(frozen=True)
class _Held:
    """A message that a consumer has and what it takes to act on it."""

    payload: str
    handle: str


class Load:
    """The clients of a run.

    ``up`` is set while the server answers.  ``finish`` ends the producers and consumers after the
    call each of them is at.
    """

    def __init__(self, history: History, port: Callable[[], int], *, seed: int) -> None:
        self._history = history
        self._port = port
        self._seed = seed
        self._finished = False
        self._clients: list[Client] = []
        self._in_stock = 0
        self.up = asyncio.Event()
        self.refusals: Counter[str] = Counter()

    async def create_queues(self) -> None:
        """Make the queues; the server must be up."""
        client = self._client()
        for name in (STANDARD, FIFO):
            attributes = {"FifoQueue": "true"} if name == FIFO else {}
            status, answer = await client.call(
                "CreateQueue", {"QueueName": name, "Attributes": attributes}
            )
            assert status == 200, answer

    async def run(self, *, producers: int = 3, consumers: int = 3) -> None:
        """Run that many producers and consumers for each queue until ``finish`` is called."""
        async with asyncio.TaskGroup() as tasks:
            for number in range(producers):
                tasks.create_task(self._produce(f"s{number}"))
                tasks.create_task(self._produce_in_order(f"f{number}"))
            for number in range(consumers):
                tasks.create_task(self._consume(f"cs{number}", STANDARD))
                tasks.create_task(self._consume(f"cf{number}", FIFO))

    def finish(self) -> None:
        """Let ``run`` come to its end; the server must be up or come up."""
        self._finished = True

    async def drain(self) -> None:
        """Receive and delete all that is left; returns when nothing is."""
        async with asyncio.TaskGroup() as tasks:
            for queue in (STANDARD, FIFO):
                for number in range(2):
                    tasks.create_task(self._drain(f"d{number}", queue))

    def close(self) -> None:
        """Hang up everywhere."""
        for client in self._clients:
            client.close()

    def _client(self) -> Client:
        client = Client(self._port)
        self._clients.append(client)
        return client

    # --- producers ------------------------------------------------------------------------------

    async def _produce(self, worker: str) -> None:
        """Single messages and batches to the standard queue; nothing is ever sent twice."""
        client, chance = self._client(), random.Random(f"{self._seed} {worker}")
        sent = 0
        while await self._may_produce():
            count = 10 if chance.random() < 0.4 else 1
            payloads = [f"{worker}-{sent + place}" for place in range(count)]
            sent += count
            await self._send(client, worker, STANDARD, payloads, _padding(chance))

    async def _produce_in_order(self, worker: str) -> None:
        """The same to the groups of this producer, each call repeated until it is answered."""
        client, chance = self._client(), random.Random(f"{self._seed} {worker}")
        sent = 0
        while await self._may_produce():
            count = 10 if chance.random() < 0.2 else 1
            payloads = [f"{worker}-{sent + place}" for place in range(count)]
            sent += count
            group = f"{worker}-{chance.randrange(GROUPS_PER_PRODUCER)}"
            padding = _padding(chance)
            while (
                await self._send(client, worker, FIFO, payloads, padding, group) is Outcome.UNKNOWN
            ):
                await self.up.wait()

    async def _may_produce(self) -> bool:
        await self.up.wait()
        while self._in_stock > BACKLOG_MAX and not self._finished:
            await asyncio.sleep(0.005)
        return not self._finished

    async def _send(
        self,
        client: Client,
        worker: str,
        queue: str,
        payloads: list[str],
        padding: str,
        group: str | None = None,
    ) -> Outcome:
        entries: list[dict[str, str]] = []
        for payload in payloads:
            entry = {"MessageBody": make_body(payload, padding)}
            if group is not None:
                entry |= {"MessageGroupId": group, "MessageDeduplicationId": payload}
            entries.append(entry)
        number = self._history.begin(
            Kind.SEND, queue, payloads=payloads, group=group, worker=worker
        )
        if len(entries) == 1:
            outcome, answer = await self._call(
                client, "SendMessage", {"QueueUrl": queue, **entries[0]}
            )
            accepted = [answer] if outcome is Outcome.OK else []
            names = payloads
        else:
            outcome, answer = await self._call(
                client,
                "SendMessageBatch",
                {
                    "QueueUrl": queue,
                    "Entries": [{"Id": str(place), **entry} for place, entry in enumerate(entries)],
                },
            )
            accepted = answer.get("Successful", []) if outcome is Outcome.OK else []
            names = [payloads[int(each["Id"])] for each in accepted]
        self._history.end(
            number,
            outcome,
            sent=[
                Sent(payload, each["MessageId"], each.get("SequenceNumber"))
                for payload, each in zip(names, accepted, strict=True)
            ]
            if accepted
            else (),
        )
        self._in_stock += len(accepted)
        return outcome

    # --- consumers ------------------------------------------------------------------------------

    async def _consume(self, worker: str, queue: str) -> None:
        """Of the messages, delete about 80 %, show 10 % again at once, let 10 % time out."""
        client, chance = self._client(), random.Random(f"{self._seed} {worker}")
        while not self._finished:
            await self.up.wait()
            neglect = chance.random() < 0.1
            held, received_s = await self._receive(
                client,
                worker,
                queue,
                count=chance.randint(1, 10),
                visibility_s=SHORT_VISIBILITY_S if neglect else VISIBILITY_S,
            )
            if neglect:
                continue
            shown = [each for each in held if chance.random() < 0.1]
            deleted = [each for each in held if each not in shown]
            for each in shown:
                await self._show(client, worker, queue, each)
            while deleted and time.monotonic() - received_s < HANDLE_KEPT_S:
                size = len(deleted) if chance.random() < 0.7 else 1
                if await self._delete(client, worker, queue, deleted[:size]) is Outcome.UNKNOWN:
                    await self.up.wait()
                else:
                    del deleted[:size]

    async def _drain(self, worker: str, queue: str) -> None:
        client = self._client()
        names = [
            "ApproximateNumberOfMessages",
            "ApproximateNumberOfMessagesNotVisible",
            "ApproximateNumberOfMessagesDelayed",
        ]
        while True:
            held, _ = await self._receive(
                client, worker, queue, count=10, visibility_s=VISIBILITY_S
            )
            if held:
                await self._delete(client, worker, queue, held)
                continue
            _, answer = await self._call(
                client, "GetQueueAttributes", {"QueueUrl": queue, "AttributeNames": names}
            )
            if not any(int(answer["Attributes"][name]) for name in names):
                return

    async def _receive(
        self, client: Client, worker: str, queue: str, *, count: int, visibility_s: int
    ) -> tuple[list[_Held], float]:
        """What a receive brought, and when the visibility of it began at the earliest."""
        received_s = time.monotonic()
        number = self._history.begin(
            Kind.RECEIVE, queue, visibility_ms=visibility_s * 1000, worker=worker
        )
        outcome, answer = await self._call(
            client,
            "ReceiveMessage",
            {
                "QueueUrl": queue,
                "MaxNumberOfMessages": count,
                "VisibilityTimeout": visibility_s,
                "WaitTimeSeconds": 1,
                "MessageSystemAttributeNames": ["All"],
            },
        )
        messages = answer.get("Messages", []) if outcome is Outcome.OK else []
        received = [_received(message) for message in messages]
        self._history.end(number, outcome, received=received)
        return [
            _Held(each.payload, message["ReceiptHandle"])
            for each, message in zip(received, messages, strict=True)
            if each.payload
        ], received_s

    async def _delete(self, client: Client, worker: str, queue: str, held: list[_Held]) -> Outcome:
        payloads = [each.payload for each in held]
        number = self._history.begin(Kind.DELETE, queue, payloads=payloads, worker=worker)
        if len(held) == 1:
            outcome, answer = await self._call(
                client, "DeleteMessage", {"QueueUrl": queue, "ReceiptHandle": held[0].handle}
            )
            done = payloads if outcome is Outcome.OK else []
        else:
            entries = [
                {"Id": str(place), "ReceiptHandle": each.handle} for place, each in enumerate(held)
            ]
            outcome, answer = await self._call(
                client, "DeleteMessageBatch", {"QueueUrl": queue, "Entries": entries}
            )
            successful = answer.get("Successful", []) if outcome is Outcome.OK else []
            done = [payloads[int(each["Id"])] for each in successful]
            if outcome is Outcome.OK:
                self.refusals.update(each["Code"] for each in answer.get("Failed", []))
        self._history.end(number, outcome, done=done)
        self._in_stock -= len(done)
        return outcome

    async def _show(self, client: Client, worker: str, queue: str, held: _Held) -> None:
        number = self._history.begin(
            Kind.CHANGE_VISIBILITY, queue, payloads=[held.payload], worker=worker
        )
        outcome, _ = await self._call(
            client,
            "ChangeMessageVisibility",
            {"QueueUrl": queue, "ReceiptHandle": held.handle, "VisibilityTimeout": 0},
        )
        self._history.end(number, outcome, done=[held.payload] if outcome is Outcome.OK else [])

    async def _call(
        self, client: Client, operation: str, members: dict[str, Any]
    ) -> tuple[Outcome, Any]:
        try:
            status, answer = await client.call(operation, members)
        except ConnectionError:
            return Outcome.UNKNOWN, {}
        if status == 200:
            return Outcome.OK, answer
        self.refusals[answer.get("__type", "?").rpartition("#")[2]] += 1
        return (Outcome.REFUSED if status < 500 else Outcome.UNKNOWN), answer


def _padding(chance: random.Random) -> str:
    return "x" * chance.choice((0, 20, 200, 2_000))


def _received(message: dict[str, Any]) -> Received:
    body = message["Body"]
    try:
        payload = read_body(body)
    except CorruptBody:
        payload = ""
    if message["MD5OfBody"] != hashlib.md5(body.encode(), usedforsecurity=False).hexdigest():
        payload = ""
    attributes = message["Attributes"]
    return Received(
        payload,
        message["MessageId"],
        attributes.get("MessageGroupId"),
        attributes.get("SequenceNumber"),
        int(attributes["ApproximateReceiveCount"]),
    )
