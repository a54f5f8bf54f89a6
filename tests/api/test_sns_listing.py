"""Lists of topics and subscriptions, page by page (SNS reference, 1.5, 2.1 and 2.2)."""

from base64 import b64decode
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

import pytest

from tests.api.sns_calls import (
    MAIL,
    NO_TOPIC,
    OTHER_ACCOUNT,
    OTHER_REGION,
    QUEUE,
    TOPIC,
    confirm,
    newest_token,
    reader,
    subscribe,
    subscriptions_of,
)
from tests.support.server import ACCOUNT, MEMORY_ONLY, REGION
from tests.support.sns import SnsClient, sns_refusal

PAGE = 100


class Listed(NamedTuple):
    """A list operation: how it is called, and how to make what it lists."""

    operation: str
    members: dict[str, str]
    result: str
    arn: str
    make: Callable[[SnsClient, int], Awaitable[str]]

    async def page(self, sns: SnsClient, token: str | None = None) -> tuple[list[str], str | None]:
        """The ARNs on a page, and the token of the next."""
        members = self.members if token is None else {**self.members, "NextToken": token}
        answer = await sns.call(self.operation, **members)
        return [each[self.arn] for each in answer[self.result]], answer.get("NextToken")

    async def make_many(self, sns: SnsClient, count: int) -> list[str]:
        """The ARNs of so many new ones."""
        await sns.topic()
        # the topic itself is one of the topics
        return [await self.make(sns, n) for n in range(count - (self.result == "Topics"))] + (
            [TOPIC] if self.result == "Topics" else []
        )


async def make_topic(sns: SnsClient, number: int) -> str:
    return await sns.topic(f"t{number}")


async def make_subscription(sns: SnsClient, number: int) -> str:
    return await subscribe(sns, TOPIC, "sqs", f"{QUEUE}{number}")


LISTS = [
    Listed("ListTopics", {}, "Topics", "TopicArn", make_topic),
    Listed("ListSubscriptions", {}, "Subscriptions", "SubscriptionArn", make_subscription),
    Listed(
        "ListSubscriptionsByTopic",
        {"TopicArn": TOPIC},
        "Subscriptions",
        "SubscriptionArn",
        make_subscription,
    ),
]
each_list = pytest.mark.parametrize("listed", LISTS, ids=[each.operation for each in LISTS])


# --- pages --------------------------------------------------------------------------------------


@each_list
async def test_pages_of_100_follow_each_other(sns: SnsClient, listed: Listed) -> None:
    made = await listed.make_many(sns, 2 * PAGE + 1)
    found: list[str] = []
    token = None
    for size in (PAGE, PAGE, 1):
        arns, token = await listed.page(sns, token)
        assert len(arns) == size
        assert token is None or b64decode(token, validate=True)
        found += arns
    assert token is None
    assert sorted(found) == sorted(made)


@each_list
async def test_a_page_that_ends_the_list_has_no_token(sns: SnsClient, listed: Listed) -> None:
    made = await listed.make_many(sns, PAGE)
    arns, token = await listed.page(sns)
    assert (sorted(arns), token) == (sorted(made), None)


@each_list
async def test_what_is_removed_meanwhile_hides_nothing_else(sns: SnsClient, listed: Listed) -> None:
    made = await listed.make_many(sns, PAGE + 2)
    first, token = await listed.page(sns)
    left = sorted(set(made) - set(first))
    operation, parameter = (
        ("DeleteTopic", "TopicArn")
        if listed.result == "Topics"
        else ("Unsubscribe", "SubscriptionArn")
    )
    for arn in (first[-1], left[0]):
        await sns.call(operation, **{parameter: arn})
    assert await listed.page(sns, token) == (left[1:], None)


async def token_of(sns: SnsClient, listed: Listed) -> str:
    """The token of a second page."""
    await listed.make_many(sns, PAGE + 1)
    _, token = await listed.page(sns)
    assert token is not None
    return token


async def is_refused(call: Awaitable[Any]) -> bool:
    return (await sns_refusal(call))[0] == "InvalidParameter"


@MEMORY_ONLY
@each_list
async def test_a_token_cannot_be_forged(sns: SnsClient, listed: Listed) -> None:
    token = await token_of(sns, listed)
    changed = token[:8] + ("A" if token[8] != "A" else "B") + token[9:]
    for forged in (changed, token[:-4], token + "AAAA", "token", "MTAw", "é", f" {token}"):
        assert await is_refused(listed.page(sns, forged)), forged
    assert (await listed.page(sns, token))[1] is None


@MEMORY_ONLY
@each_list
async def test_a_token_is_of_one_account_and_region(sns: SnsClient, listed: Listed) -> None:
    token = await token_of(sns, listed)
    others: list[dict[str, str]] = [{"region": OTHER_REGION}]
    if listed.operation != "ListSubscriptionsByTopic":  # which another account may ask for
        others.append({"account": OTHER_ACCOUNT})
    for other in others:
        assert await is_refused(listed.page(sns.but(**other), token))


@MEMORY_ONLY
async def test_a_token_is_of_one_list(sns: SnsClient) -> None:
    tokens = {listed.operation: await token_of(sns, listed) for listed in LISTS}
    platforms = Listed(
        "ListPlatformApplications", {}, "PlatformApplications", "PlatformApplicationArn", make_topic
    )
    for listed in (*LISTS, platforms):
        for operation, token in tokens.items():
            if operation != listed.operation:
                assert await is_refused(listed.page(sns, token)), (listed.operation, operation)


@MEMORY_ONLY
async def test_a_token_is_of_one_topic(sns: SnsClient) -> None:
    *_, by_topic = LISTS
    token = await token_of(sns, by_topic)
    other = by_topic._replace(members={"TopicArn": await sns.topic("other")})
    assert await is_refused(other.page(sns, token))


# --- what is on them ----------------------------------------------------------------------------


async def test_nothing_is_an_empty_list(sns: SnsClient) -> None:
    assert await sns.call("ListTopics") == {"Topics": []}
    assert await sns.call("ListSubscriptions") == {"Subscriptions": []}
    await sns.topic()
    assert await sns.call("ListSubscriptionsByTopic", TopicArn=TOPIC) == {"Subscriptions": []}


async def test_topics_of_other_accounts_and_regions_are_not_listed(sns: SnsClient) -> None:
    arns = {}
    places: list[dict[str, str]] = [{}, {"account": OTHER_ACCOUNT}, {"region": OTHER_REGION}]
    for n, place in enumerate(places):
        arns[n] = await sns.but(**place).topic()
    for n, place in enumerate(places):
        assert await sns.but(**place).call("ListTopics") == {"Topics": [{"TopicArn": arns[n]}]}


async def test_a_subscription_is_listed_without_its_attributes(sns: SnsClient) -> None:
    topic = await sns.topic()
    arn = await subscribe(sns, topic, RawMessageDelivery="true")
    listed = {
        "SubscriptionArn": arn,
        "Owner": ACCOUNT,
        "Protocol": "sqs",
        "Endpoint": QUEUE,
        "TopicArn": topic,
    }
    assert await subscriptions_of(sns, topic) == [listed]
    assert await sns.call("ListSubscriptions") == {"Subscriptions": [listed]}


async def test_a_pending_subscription_has_no_arn_yet(sns: SnsClient) -> None:
    topic = await sns.topic()
    arn = await subscribe(sns, topic, "email", MAIL)
    for operation, members in (
        ("ListSubscriptions", {}),
        ("ListSubscriptionsByTopic", {"TopicArn": topic}),
    ):
        [listed] = (await sns.call(operation, **members))["Subscriptions"]
        assert listed["SubscriptionArn"] == "PendingConfirmation"
        assert (listed["Protocol"], listed["Endpoint"]) == ("email", MAIL)
    await confirm(sns, topic, await newest_token(sns, arn))
    [listed] = await subscriptions_of(sns, topic)
    assert listed["SubscriptionArn"] == arn


async def test_a_removed_subscription_is_not_listed_by_its_arn(sns: SnsClient) -> None:
    topic = await sns.topic()
    arn = await reader(sns, topic)
    await sns.call("Unsubscribe", SubscriptionArn=arn)
    listed = await subscriptions_of(sns, topic)
    listed += (await sns.call("ListSubscriptions"))["Subscriptions"]
    assert {each["SubscriptionArn"] for each in listed} <= {"Deleted"}


async def test_subscriptions_are_listed_for_their_owner_and_for_the_topic(sns: SnsClient) -> None:
    other = sns.but(account=OTHER_ACCOUNT)
    topic = await sns.topic()
    mine = await subscribe(sns, topic)
    theirs = await subscribe(other, topic, "sqs", f"arn:aws:sqs:{REGION}:{OTHER_ACCOUNT}:jobs")
    by_topic = {
        each["SubscriptionArn"]: each["Owner"] for each in await subscriptions_of(sns, topic)
    }
    assert by_topic == {mine: ACCOUNT, theirs: OTHER_ACCOUNT}
    for client, arn in ((sns, mine), (other, theirs)):
        listed = (await client.call("ListSubscriptions"))["Subscriptions"]
        assert [each["SubscriptionArn"] for each in listed] == [arn]
    elsewhere = sns.but(region=OTHER_REGION)
    assert await elsewhere.call("ListSubscriptions") == {"Subscriptions": []}


async def test_subscriptions_of_a_topic_that_is_not_there_are_not_found(sns: SnsClient) -> None:
    assert await sns_refusal(subscriptions_of(sns, TOPIC)) == NO_TOPIC
