"""Short forms of calls about topics and subscriptions, and of the refusals they meet."""

from typing import Any

from tests.support.clock import FakeClock
from tests.support.server import ACCOUNT, REGION
from tests.support.sns import SnsClient
from tests.support.until import until_called

OTHER_ACCOUNT = "111111111111"
OTHER_REGION = "eu-west-1"
#: the ARN that ``sns.topic()`` gives to its topic
TOPIC = f"arn:aws:sns:{REGION}:{ACCOUNT}:news"
#: an endpoint that is confirmed at once, whether there is such a queue or not
QUEUE = f"arn:aws:sqs:{REGION}:{ACCOUNT}:jobs"
#: an endpoint that has to confirm, and to which nothing is sent without a mail server
MAIL = "reader@example.org"
UUID = "00000000-0000-4000-8000-0000000000ff"
NO_TOPIC = ("NotFound", "Topic does not exist")
NO_SUBSCRIPTION = ("NotFound", "Subscription does not exist")


def invalid(detail: str) -> tuple[str, str]:
    """The refusal of a parameter."""
    return "InvalidParameter", f"Invalid parameter: {detail}"


def too_short(parameter: str, parts: int) -> tuple[str, str]:
    """The refusal of what is too little for an ARN."""
    return invalid(f"{parameter} Reason: An ARN must have at least 6 elements, not {parts}")


async def topic_attributes(sns: SnsClient, arn: str) -> dict[str, str]:
    """All attributes of a topic."""
    answer = await sns.call("GetTopicAttributes", TopicArn=arn)
    attributes: dict[str, str] = answer["Attributes"]
    return attributes


async def set_topic(sns: SnsClient, arn: str, name: str, value: str) -> Any:
    """Change one attribute of a topic."""
    return await sns.call(
        "SetTopicAttributes", TopicArn=arn, AttributeName=name, AttributeValue=value
    )


async def subscribe(
    sns: SnsClient,
    topic: str,
    protocol: str = "sqs",
    endpoint: str = QUEUE,
    **attributes: str,
) -> str:
    """The ARN of a subscription, which may still have to be confirmed."""
    answer = await sns.call(
        "Subscribe",
        TopicArn=topic,
        Protocol=protocol,
        Endpoint=endpoint,
        Attributes=attributes,
        ReturnSubscriptionArn=True,
    )
    arn: str = answer["SubscriptionArn"]
    return arn


async def subscription_attributes(sns: SnsClient, arn: str) -> dict[str, str]:
    """All attributes of a subscription."""
    answer = await sns.call("GetSubscriptionAttributes", SubscriptionArn=arn)
    attributes: dict[str, str] = answer["Attributes"]
    return attributes


async def set_subscription(sns: SnsClient, arn: str, name: str, value: str) -> Any:
    """Change one attribute of a subscription."""
    return await sns.call(
        "SetSubscriptionAttributes", SubscriptionArn=arn, AttributeName=name, AttributeValue=value
    )


async def subscriptions_of(sns: SnsClient, topic: str) -> list[Any]:
    """The first page of a topic's subscriptions."""
    listed = await sns.call("ListSubscriptionsByTopic", TopicArn=topic)
    subscriptions: list[Any] = listed["Subscriptions"]
    return subscriptions


async def sent_confirmations(sns: SnsClient, arn: str) -> list[Any]:
    """What was sent to a subscription's endpoint other than notifications, oldest first."""
    found = await sns.http.get("/_headrace/outbox", params={"subscriptionArn": arn})
    return [each for each in found.json()["deliveries"] if "token" in each]


async def newest_token(sns: SnsClient, arn: str) -> str:
    """The token that was sent to a subscription's endpoint last."""
    token: str = (await sent_confirmations(sns, arn))[-1]["token"]
    return token


async def confirm(sns: SnsClient, topic: str, token: str, **members: str) -> str:
    """The ARN of the subscription that a token confirms."""
    answer = await sns.call("ConfirmSubscription", TopicArn=topic, Token=token, **members)
    arn: str = answer["SubscriptionArn"]
    return arn


async def reader(sns: SnsClient, topic: str, **attributes: str) -> str:
    """The ARN of a subscription by e-mail that was confirmed by its link."""
    arn = await subscribe(sns, topic, "email", MAIL, **attributes)
    await confirm(sns.but(account=None, region=None), topic, await newest_token(sns, arn))
    return arn


async def until_removed(sns: SnsClient, arn: str, clock: FakeClock) -> None:
    """Let minutes pass until a subscription whose time has come is not found any more."""

    async def status() -> int:
        await clock.advance(60_000)
        response = await sns.request("GetSubscriptionAttributes", SubscriptionArn=arn)
        return response.status_code

    assert await until_called(status, lambda status: status != 200) == 404
