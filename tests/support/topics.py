"""Topics and the queues that subscribe to them, as their users have them."""

import dataclasses
import json
from typing import Any

import httpx

from tests.support.client import Answer, Client, Queue
from tests.support.sns import SnsClient


@dataclasses.dataclass(frozen=True)
class Topic:
    """A topic: an ARN, and somebody to call as."""

    sns: SnsClient
    arn: str

    async def call(self, operation: str, **members: Any) -> Answer:
        """One call that concerns this topic."""
        return await self.sns.call(operation, TopicArn=self.arn, **members)

    async def publish(self, message: str = "hello", **members: Any) -> Answer:
        """One message."""
        return await self.call("Publish", Message=message, **members)

    async def publish_each(self, *messages: str, **members: Any) -> None:
        """Several messages, one after the other."""
        for message in messages:
            await self.publish(message, **members)

    async def publish_to(self, group: str, message: str, **members: Any) -> Answer:
        """One message of a group, which is no duplicate of those with other texts."""
        members.setdefault("MessageDeduplicationId", message)
        return await self.publish(message, MessageGroupId=group, **members)

    async def publish_batch(self, *entries: Answer) -> Answer:
        """One batch; entries without an id are numbered, those without a message say hello."""
        filled = [
            {"Id": str(number), "Message": "hello", **entry} for number, entry in enumerate(entries)
        ]
        return await self.call("PublishBatch", PublishBatchRequestEntries=filled)

    async def set(self, name: str, value: str) -> None:
        """Change one of the topic's attributes."""
        await self.call("SetTopicAttributes", AttributeName=name, AttributeValue=value)

    async def subscribe(self, queue: Queue, **attributes: str) -> "Subscription":
        """A subscription of a queue."""
        return await self.subscribe_arn(await queue.arn(), **attributes)

    async def subscribe_arn(
        self, endpoint: str, protocol: str = "sqs", **attributes: str
    ) -> "Subscription":
        """A subscription of anything, which may have to be confirmed."""
        subscribed = await self.call(
            "Subscribe",
            Protocol=protocol,
            Endpoint=endpoint,
            Attributes=attributes,
            ReturnSubscriptionArn=True,
        )
        return Subscription(self.sns, subscribed["SubscriptionArn"])

    async def queue(self, sqs: Client, name: str = "jobs", **attributes: str) -> Queue:
        """A new queue that is subscribed."""
        queue = await sqs.queue(name)
        await self.subscribe(queue, **attributes)
        return queue


@dataclasses.dataclass(frozen=True)
class Subscription:
    """A subscription: an ARN, and somebody to call as."""

    sns: SnsClient
    arn: str

    async def attributes(self) -> dict[str, str]:
        """All attributes."""
        answer = await self.sns.call("GetSubscriptionAttributes", SubscriptionArn=self.arn)
        attributes: dict[str, str] = answer["Attributes"]
        return attributes

    async def set(self, name: str, value: str) -> None:
        """Change one attribute."""
        await self.sns.call(
            "SetSubscriptionAttributes",
            SubscriptionArn=self.arn,
            AttributeName=name,
            AttributeValue=value,
        )


async def new_topic(sns: SnsClient, name: str = "news", **attributes: str) -> Topic:
    """A new topic; one whose name says that it is FIFO is that."""
    return Topic(sns, await sns.topic(name, **attributes))


async def take(queue: Queue) -> list[Answer]:
    """All that can be received from a queue, with all attributes; it is deleted there."""
    taken: list[Answer] = []
    while True:
        received = await queue.receive(
            MessageSystemAttributeNames=["All"], MessageAttributeNames=["All"]
        )
        if not received:
            return taken
        for message in received:
            await queue.delete(message)
        taken += received


async def take_one(queue: Queue) -> Answer:
    """The only message that can be received."""
    [message] = await take(queue)
    return message


async def take_bodies(queue: Queue) -> list[str]:
    """The bodies of all that can be received."""
    return [message["Body"] for message in await take(queue)]


async def take_messages(queue: Queue) -> list[str]:
    """What the envelopes of all that can be received carry."""
    return [json.loads(body)["Message"] for body in await take_bodies(queue)]


async def take_envelope(queue: Queue) -> dict[str, Any]:
    """The envelope in the only message that can be received."""
    envelope: dict[str, Any] = json.loads((await take_one(queue))["Body"])
    return envelope


def dead_letters_to(arn: str) -> str:
    """The RedrivePolicy of a subscription."""
    return json.dumps({"deadLetterTargetArn": arn})


async def outbox(http: httpx.AsyncClient, **filters: str) -> list[dict[str, Any]]:
    """Deliveries as the outbox shows them."""
    response = await http.get("/_headrace/outbox", params=filters)
    assert response.status_code == 200
    deliveries: list[dict[str, Any]] = response.json()["deliveries"]
    return deliveries
