"""Publishers over HTTP, the queues and the endpoint that get what they publish.

When the server goes away, publishers note what they do not know, wait until it is back, and go on;
those of a FIFO topic repeat what had no answer, and now and then what had one.
"""

import asyncio
import json
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any
from urllib.parse import urlencode
from xml.etree import ElementTree

from tests.reliability.history import CorruptBody, Outcome, Sent, make_body, read_body
from tests.reliability.load import Client
from tests.reliability.topic_history import ENDPOINT, Copy, Publish, Subscriber
from tests.support.receivers import Close, HttpReceiver, HttpRequest, answering
from tests.support.until import until

NEWS, ORDERED = "news", "ordered.fifo"
COLORS = ("red", "blue")
SUBSCRIBERS = {
    "all": Subscriber(NEWS),
    "reds": Subscriber(NEWS, "red"),
    ENDPOINT: Subscriber(NEWS),
    "all.fifo": Subscriber(ORDERED, ordered=True),
    "reds.fifo": Subscriber(ORDERED, "red", ordered=True),
    "late": Subscriber(ORDERED),
}
#: these get the message alone, the others the envelope
RAW = ("all", "all.fifo", "late")

PUBLISHERS = 3
GROUPS_PER_PUBLISHER = 3
#: publishers wait while the endpoint is so far behind
BEHIND_MAX = 150

_HANG_S = 2.0
_RETRY_POLICY = {
    "numRetries": 100,
    "numNoDelayRetries": 1,
    "minDelayTarget": 1,
    "maxDelayTarget": 1,
}
_HEADERS = {
    "Content-Type": "application/x-www-form-urlencoded; charset=utf-8",
    "Authorization": "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/sns/aws4_request,"
    f" SignedHeaders=host, Signature={'0' * 64}",
}
_ACCOUNT = "arn:aws:{}:us-east-1:000000000000:{}"


class Endpoint:
    """What the HTTP receiver does: it takes most, refuses some, and hangs now and then."""

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(f"{seed} endpoint")
        self.tokens: list[str] = []
        self.taken: list[Copy] = []
        self.refused = 0

    async def answer(self, request: HttpRequest, writer: asyncio.StreamWriter) -> None:
        """An ``Answering``."""
        document = json.loads(request.body)
        if document["Type"] == "SubscriptionConfirmation":
            self.tokens.append(document["Token"])
        else:
            luck = self._chance.random()
            if luck < 0.15:
                self.refused += 1
                await answering(500)(request, writer)
                return
            if luck < 0.16:
                self.refused += 1
                await asyncio.sleep(_HANG_S)
                raise Close
            self.taken.append(_from_envelope(document))
        await answering(200)(request, writer)


class TopicLoad:
    """The publishers of a run.

    ``up`` is set while the server answers.  ``finish`` ends the publishers after the call that
    each of them is at.
    """

    def __init__(self, port: Callable[[], int], endpoint: Endpoint, *, seed: int) -> None:
        self._port = port
        self._endpoint = endpoint
        self._seed = seed
        self._finished = False
        self._clients: list[Client] = []
        self._control = self._client()
        self.up = asyncio.Event()
        self.publishes: list[Publish] = []
        self.refusals: Counter[str] = Counter()
        self.attempts: list[dict[str, int]] = []

    def _client(self) -> Client:
        client = Client(self._port)
        self._clients.append(client)
        return client

    def close(self) -> None:
        """Hang up everywhere."""
        for client in self._clients:
            client.close()

    def reconnect(self) -> None:
        """Forget the connection to a server that was killed."""
        self._control.close()

    # --- before ---------------------------------------------------------------------------------

    async def create(self, receiver: HttpReceiver) -> None:
        """Make queues, topics and subscriptions; the server must be up."""
        for name in (NEWS, ORDERED):
            attributes = {"FifoTopic": "true"} if name == ORDERED else {}
            await self._sns("CreateTopic", {"Name": name, **_entries("Attributes", attributes)})
        for name, subscriber in SUBSCRIBERS.items():
            attributes = {"RawMessageDelivery": "true"} if name in RAW else {}
            if subscriber.color is not None:
                attributes["FilterPolicy"] = json.dumps({"color": [subscriber.color]})
            if name == ENDPOINT:
                attributes["DeliveryPolicy"] = json.dumps({"healthyRetryPolicy": _RETRY_POLICY})
                protocol, address = "http", receiver.url()
            else:
                fifo = {"FifoQueue": "true"} if name.endswith(".fifo") else {}
                members = {"QueueName": name, "Attributes": fifo}
                status, answer = await self._control.call("CreateQueue", members)
                assert status == 200, answer
                protocol, address = "sqs", _ACCOUNT.format("sqs", name)
            confirmations = len(self._endpoint.tokens)
            await self._sns(
                "Subscribe",
                {
                    "TopicArn": _ACCOUNT.format("sns", subscriber.topic),
                    "Protocol": protocol,
                    "Endpoint": address,
                    **_entries("Attributes", attributes),
                },
            )
            if name == ENDPOINT:
                await until(lambda before=confirmations: len(self._endpoint.tokens) > before)  # type: ignore[misc]
                topic = _ACCOUNT.format("sns", NEWS)
                token = self._endpoint.tokens[-1]
                await self._sns("ConfirmSubscription", {"TopicArn": topic, "Token": token})

    async def _sns(self, operation: str, members: dict[str, str]) -> ElementTree.Element:
        status, root = await self._call(self._control, operation, members)
        assert status == 200, ElementTree.tostring(root)
        return root

    @staticmethod
    async def _call(
        client: Client, operation: str, members: dict[str, str]
    ) -> tuple[int, ElementTree.Element]:
        body = urlencode({"Action": operation, "Version": "2010-03-31", **members}).encode()
        status, answer = await client.send("POST", "/", _HEADERS, body)
        root = ElementTree.fromstring(answer)  # noqa: S314 - our own document
        for element in root.iter():
            element.tag = element.tag.rpartition("}")[2]
        return status, root

    # --- publishing -----------------------------------------------------------------------------

    async def run(self) -> None:
        """Publish until ``finish`` is called."""
        async with asyncio.TaskGroup() as tasks:
            for number in range(PUBLISHERS):
                tasks.create_task(self._publish_all(f"s{number}", NEWS))
                tasks.create_task(self._publish_all(f"f{number}", ORDERED))

    def finish(self) -> None:
        """Let ``run`` come to its end; the server must be up or come up."""
        self._finished = True

    async def _publish_all(self, worker: str, topic: str) -> None:
        client, chance = self._client(), random.Random(f"{self._seed} {worker}")
        published = 0
        while not self._finished:
            await self.up.wait()
            if topic == NEWS and self._behind() > BEHIND_MAX:
                await asyncio.sleep(0.01)
                continue
            count = 10 if chance.random() < 0.2 else 1
            payloads = tuple(f"{worker}-{published + place}" for place in range(count))
            published += count
            group = f"{worker}-{chance.randrange(GROUPS_PER_PUBLISHER)}"
            call = Publish(topic, payloads, chance.choice(COLORS), None if topic == NEWS else group)
            padding = "x" * chance.choice((0, 200, 2_000))
            while True:
                await self._publish(client, call, padding)
                again = topic == ORDERED and (
                    call.outcome is Outcome.UNKNOWN or chance.random() < 0.1
                )
                if not again:
                    break
                await self.up.wait()
                call = Publish(call.topic, call.payloads, call.color, call.group)

    def _behind(self) -> int:
        accepted = sum(len(each.sent) for each in self.publishes if each.topic == NEWS)
        return accepted - len({copy.payload for copy in self._endpoint.taken})

    async def _publish(self, client: Client, call: Publish, padding: str) -> None:
        self.publishes.append(call)
        members = {"TopicArn": _ACCOUNT.format("sns", call.topic)}
        operation = "Publish" if len(call.payloads) == 1 else "PublishBatch"
        for number, payload in enumerate(call.payloads, 1):
            entry = {
                "Message": make_body(payload, padding),
                "MessageAttributes.entry.1.Name": "color",
                "MessageAttributes.entry.1.Value.DataType": "String",
                "MessageAttributes.entry.1.Value.StringValue": call.color,
            }
            if call.group is not None:
                entry |= {"MessageGroupId": call.group, "MessageDeduplicationId": payload}
            if operation == "PublishBatch":
                entry["Id"] = str(number)
                prefix = f"PublishBatchRequestEntries.member.{number}"
                entry = {f"{prefix}.{name}": value for name, value in entry.items()}
            members |= entry
        try:
            status, root = await self._call(client, operation, members)
        except ConnectionError:
            return
        if status != 200:
            self.refusals[root.findtext("Error/Code", "?")] += 1
            call.outcome = Outcome.REFUSED if status < 500 else Outcome.UNKNOWN
            return
        call.outcome = Outcome.OK
        answers = root.findall(".//member") if operation == "PublishBatch" else [root[0]]
        call.sent = tuple(
            Sent(payload, each.findtext("MessageId", ""), each.findtext("SequenceNumber"))
            for payload, each in zip(call.payloads, answers, strict=True)
        )

    # --- looking --------------------------------------------------------------------------------

    async def look_at_attempts(self) -> int:
        """Note how often each unfinished delivery was attempted; how many of them there are."""
        target = "/_headrace/outbox?protocol=http&status=pending&limit=1000"
        status, answer = await self._control.send("GET", target, {})
        assert status == 200, answer
        deliveries = json.loads(answer)["deliveries"]
        self.attempts.append({str(each["id"]): each["attempts"] for each in deliveries})
        return len(deliveries)

    async def drain(self) -> dict[str, list[Copy]]:
        """What everybody has, once nothing waits for the endpoint any more."""
        async with asyncio.timeout(60):
            while await self.look_at_attempts():
                await asyncio.sleep(0.1)
        copies: dict[str, list[Copy]] = {ENDPOINT: self._endpoint.taken}
        for name in SUBSCRIBERS:
            if name != ENDPOINT:
                copies[name] = [copy async for copy in self._received(name)]
        return copies

    async def _received(self, queue: str) -> AsyncIterator[Copy]:
        while True:
            status, answer = await self._control.call(
                "ReceiveMessage",
                {
                    "QueueUrl": queue,
                    "MaxNumberOfMessages": 10,
                    "VisibilityTimeout": 600,
                    "MessageSystemAttributeNames": ["All"],
                },
            )
            assert status == 200, answer
            messages = answer.get("Messages", [])
            if not messages:
                return
            for message in messages:
                yield _copy(queue, message)
            entries = [
                {"Id": str(place), "ReceiptHandle": message["ReceiptHandle"]}
                for place, message in enumerate(messages)
            ]
            status, answer = await self._control.call(
                "DeleteMessageBatch", {"QueueUrl": queue, "Entries": entries}
            )
            assert (status, answer.get("Failed")) == (200, None), answer


def _copy(queue: str, message: dict[str, Any]) -> Copy:
    group = message["Attributes"].get("MessageGroupId")
    if queue in RAW:
        return Copy(_payload(message["Body"]), group)
    return _from_envelope(json.loads(message["Body"]))._replace(group=group)


def _from_envelope(document: dict[str, Any]) -> Copy:
    return Copy(
        _payload(document["Message"]),
        message_id=document["MessageId"],
        sequence=document.get("SequenceNumber"),
    )


def _payload(body: str) -> str:
    try:
        return read_body(body)
    except CorruptBody:
        return ""


def _entries(name: str, attributes: dict[str, str]) -> dict[str, str]:
    def parts() -> Iterator[tuple[str, str]]:
        for number, (key, value) in enumerate(attributes.items(), 1):
            yield f"{name}.entry.{number}.key", key
            yield f"{name}.entry.{number}.value", value

    return dict(parts())
