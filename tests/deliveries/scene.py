"""What tests of whole deliveries share: subscribing to receivers, looking at the outbox."""

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tests.support.client import Client, Queue
from tests.support.receivers import HttpReceiver, HttpRequest
from tests.support.server import Server
from tests.support.sns import SnsClient
from tests.support.until import until, until_called

#: who owns what, in calls that are signed
ACCOUNT = "000000000000"


def at_ms(text: str) -> int:
    """The moment that a timestamp says."""
    return round(datetime.fromisoformat(text).timestamp() * 1000)


@dataclass
class Scene:
    """A server, somebody who calls it, and a topic."""

    server: Server
    topic: str

    @property
    def sns(self) -> SnsClient:
        """A client with credentials of the topic's owner."""
        return SnsClient(self.server.http, account=ACCOUNT, region="us-east-1")

    @property
    def sqs(self) -> Client:
        """A client of the queues."""
        return self.server.client("json")

    # --- topics and subscriptions ---------------------------------------------------------------

    async def subscribe(self, protocol: str, endpoint: str, **attributes: str) -> str:
        """Subscribe an endpoint; the ARN, also if it still has to confirm."""
        answer = await self.sns.call(
            "Subscribe",
            TopicArn=self.topic,
            Protocol=protocol,
            Endpoint=endpoint,
            Attributes=attributes,
            ReturnSubscriptionArn=True,
        )
        arn: str = answer["SubscriptionArn"]
        return arn

    async def subscribe_http(
        self, receiver: HttpReceiver, target: str = "/", **attributes: str
    ) -> str:
        """Subscribe a receiver and confirm; it forgets that request."""
        arn = await self.subscribe(receiver.scheme, receiver.url(target), **attributes)
        await until(lambda: bool(self._confirmations(receiver)))
        [request] = self._confirmations(receiver)
        await self.visit(json.loads(request.body)["SubscribeURL"])
        receiver.requests.remove(request)
        await self.delivery(subscriptionArn=arn, status="delivered")
        return arn

    @staticmethod
    def _confirmations(receiver: HttpReceiver) -> list[HttpRequest]:
        kind = "x-amz-sns-message-type"
        return [
            each for each in receiver.requests if each.header(kind) == "SubscriptionConfirmation"
        ]

    async def visit(self, url: str) -> str:
        """Follow a link to the server; the text of the answer."""
        response = await self.server.http.get(url)
        assert response.status_code == 200, response.text
        return response.text

    async def publish(self, message: str = "hello", **members: Any) -> str:
        """Publish to the topic; the id."""
        answer = await self.sns.call("Publish", TopicArn=self.topic, Message=message, **members)
        message_id: str = answer["MessageId"]
        return message_id

    async def set_topic(self, name: str, value: str) -> None:
        """Set an attribute of the topic."""
        await self.sns.call(
            "SetTopicAttributes", TopicArn=self.topic, AttributeName=name, AttributeValue=value
        )

    async def set(self, arn: str, name: str, value: str) -> None:
        """Set an attribute of a subscription."""
        await self.sns.call(
            "SetSubscriptionAttributes",
            SubscriptionArn=arn,
            AttributeName=name,
            AttributeValue=value,
        )

    async def dead_letter_queue(self, name: str = "dead") -> tuple[Queue, str]:
        """A queue, and the RedrivePolicy that names it."""
        queue = await self.sqs.queue(name)
        return queue, json.dumps({"deadLetterTargetArn": await queue.arn()})

    # --- the outbox -----------------------------------------------------------------------------

    async def outbox(self, **filters: str) -> list[dict[str, Any]]:
        """The deliveries that fit."""
        response = await self.server.http.get("/_headrace/outbox", params=filters)
        assert response.status_code == 200, response.text
        deliveries: list[dict[str, Any]] = response.json()["deliveries"]
        return deliveries

    async def delivery(self, *, attempts: int | None = None, **filters: str) -> dict[str, Any]:
        """The only delivery that fits, once it has been attempted that often."""

        def found(deliveries: list[dict[str, Any]]) -> bool:
            return bool(deliveries) and attempts in (None, deliveries[0]["attempts"])

        [delivery] = await until_called(self._reading(filters), found)
        return delivery

    async def until_attempted(self, attempts: int) -> list[dict[str, Any]]:
        """The latest delivery, once it has been attempted that often."""
        return await until_called(
            self._reading({"order": "newest", "limit": "1"}),
            lambda found: bool(found) and found[0]["attempts"] == attempts,
        )

    async def until_finished(self, number: int, **filters: str) -> list[dict[str, Any]]:
        """The deliveries that fit, once all of them, that many, are finished."""
        return await until_called(
            self._reading(filters),
            lambda found: (
                len(found) == number
                and all(each["status"] not in ("pending", "waiting") for each in found)
            ),
        )

    def _reading(self, filters: dict[str, str]) -> Callable[[], Awaitable[list[dict[str, Any]]]]:
        return lambda: self.outbox(**filters)
