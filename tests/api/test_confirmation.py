"""Confirming subscriptions, the links that do it, and undoing an unsubscription.

SNS reference, 1.6, 1.7, 2.2 and 6.
"""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
import xmltodict

from storage import open_storage
from tests.api.sns_calls import (
    MAIL,
    NO_SUBSCRIPTION,
    OTHER_ACCOUNT,
    OTHER_REGION,
    QUEUE,
    TOPIC,
    confirm,
    invalid,
    newest_token,
    reader,
    sent_confirmations,
    subscribe,
    subscription_attributes,
    subscriptions_of,
)
from tests.support.client import Client, Queue
from tests.support.clock import FakeClock
from tests.support.receivers import HttpReceiver, HttpRequest, http_receiver
from tests.support.server import ACCOUNT, ENDPOINT, MEMORY_ONLY, REGION, Server, running
from tests.support.sns import SnsClient, sns_refusal
from tests.support.until import until

BAD_TOKEN = invalid("Token")
BAD_TOPIC = invalid("Topic")
TWO_DAYS_MS = 172_800_000
NOT_HEXADECIMAL = ("InvalidParameter", "Invalid token")


@pytest.fixture
def owner(sns: SnsClient) -> SnsClient:
    """A client that signs, as the owner of the topic."""
    return sns.but(account=ACCOUNT)


@pytest.fixture
async def topic(owner: SnsClient) -> str:
    """The ARN of a topic."""
    return await owner.topic()


@pytest.fixture
async def pending(owner: SnsClient, topic: str) -> str:
    """The ARN of a subscription that is to be confirmed."""
    return await subscribe(owner, topic, "email", MAIL)


async def state(owner: SnsClient, arn: str) -> tuple[str, str]:
    """Whether a subscription is pending, and whether its confirmation was authenticated."""
    attributes = await subscription_attributes(owner, arn)
    return attributes["PendingConfirmation"], attributes["ConfirmationWasAuthenticated"]


PENDING = ("true", "false")
CONFIRMED = ("false", "true")
CONFIRMED_BY_LINK = ("false", "false")


async def unsubscribe(sns: SnsClient, arn: str) -> Any:
    return await sns.call("Unsubscribe", SubscriptionArn=arn)


# --- tokens -------------------------------------------------------------------------------------


async def test_a_signed_confirmation_is_authenticated(
    owner: SnsClient, topic: str, pending: str
) -> None:
    token = await newest_token(owner, pending)
    assert len(token) == 288
    bytes.fromhex(token)
    assert await state(owner, pending) == PENDING
    assert await confirm(owner, topic, token) == pending
    assert await state(owner, pending) == CONFIRMED


async def test_a_confirmation_without_a_signature_is_not(
    sns: SnsClient, owner: SnsClient, topic: str, pending: str
) -> None:
    assert await confirm(sns, topic, await newest_token(owner, pending)) == pending
    assert await state(owner, pending) == CONFIRMED_BY_LINK


async def test_a_token_can_be_used_again_and_changes_nothing(
    sns: SnsClient, owner: SnsClient, topic: str, pending: str
) -> None:
    token = await newest_token(owner, pending)
    for client in (sns, sns, owner):
        assert await confirm(client, topic, token) == pending
    assert await state(owner, pending) == CONFIRMED_BY_LINK
    await unsubscribe(sns, pending)
    assert await sns_refusal(subscription_attributes(owner, pending)) == NO_SUBSCRIPTION


async def test_confirmations_at_once_are_all_answered(
    sns: SnsClient, owner: SnsClient, topic: str, pending: str
) -> None:
    token = await newest_token(owner, pending)
    arns = await asyncio.gather(*(confirm(sns, topic, token) for _ in range(5)))
    assert set(arns) == {pending}


@pytest.mark.parametrize(
    "topic_arn",
    [
        f"{TOPIC}-of-nobody",
        f"arn:aws:sns:{REGION}:{OTHER_ACCOUNT}:news",
        f"arn:aws:sns:{REGION}:{ACCOUNT}:",
    ],
)
async def test_a_token_confirms_its_own_subscription_whatever_topic_is_named(
    owner: SnsClient, pending: str, topic_arn: str
) -> None:
    assert await confirm(owner, topic_arn, await newest_token(owner, pending)) == pending
    assert await state(owner, pending) == CONFIRMED


async def test_the_topic_named_has_to_be_of_the_tokens_region(
    owner: SnsClient, topic: str, pending: str
) -> None:
    token = await newest_token(owner, pending)
    there = owner.but(region=OTHER_REGION)
    theirs = await there.topic()
    for client in (owner, there):
        assert await sns_refusal(confirm(client, theirs, token)) == BAD_TOPIC
    assert await state(owner, pending) == PENDING
    arn = await subscribe(there, theirs, "email", MAIL)
    their_token = await newest_token(there, arn)
    assert await sns_refusal(confirm(owner, topic, their_token)) == BAD_TOPIC
    assert await confirm(there, theirs, their_token) == arn


@MEMORY_ONLY
@pytest.mark.parametrize("topic_arn", ["", "news", "arn:aws:sns:us-east-1:news"])
async def test_what_is_no_topic_arn_is_refused(
    owner: SnsClient, pending: str, topic_arn: str
) -> None:
    token = await newest_token(owner, pending)
    assert await sns_refusal(confirm(owner, topic_arn, token)) == BAD_TOPIC
    assert await sns_refusal(confirm(owner, topic_arn, "randomtoken")) == BAD_TOPIC
    assert await state(owner, pending) == PENDING


@MEMORY_ONLY
@pytest.mark.parametrize("token", ["randomtoken", "pending confirmation", "é", "xyz0"])
async def test_what_is_not_hexadecimal_is_an_invalid_token(
    owner: SnsClient, topic: str, token: str
) -> None:
    assert await sns_refusal(confirm(owner, topic, token)) == NOT_HEXADECIMAL


@MEMORY_ONLY
@pytest.mark.parametrize("token", ["abc123", "0" * 288, "2336412fb37fb687" * 18, "00"])
async def test_an_unknown_token_is_an_invalid_parameter(
    owner: SnsClient, topic: str, pending: str, token: str
) -> None:
    assert await sns_refusal(confirm(owner, topic, token)) == BAD_TOKEN
    assert await state(owner, pending) == PENDING


@MEMORY_ONLY
async def test_a_token_cannot_be_forged(owner: SnsClient, topic: str, pending: str) -> None:
    token = await newest_token(owner, pending)
    for position in (0, 8, 60, 100, 200, 287):
        digit = "0" if token[position] != "0" else "1"
        forged = token[:position] + digit + token[position + 1 :]
        assert await sns_refusal(confirm(owner, topic, forged)) == BAD_TOKEN
    for other in (token[:-2], token + "00", token[2:]):
        assert await sns_refusal(confirm(owner, topic, other)) == BAD_TOKEN
    assert await state(owner, pending) == PENDING


async def test_a_token_lives_for_two_days(
    owner: SnsClient, topic: str, pending: str, clock: FakeClock
) -> None:
    late = await subscribe(owner, topic, "email", f"late-{MAIL}")
    tokens = [await newest_token(owner, arn) for arn in (pending, late)]
    await clock.advance(TWO_DAYS_MS - 1, settle=1)
    assert await confirm(owner, topic, tokens[0]) == pending
    await clock.advance(1)
    assert await sns_refusal(confirm(owner, topic, tokens[1])) == BAD_TOKEN
    assert await state(owner, late) == PENDING


async def test_subscribing_again_makes_a_token_that_lives_longer(
    owner: SnsClient, topic: str, pending: str, clock: FakeClock
) -> None:
    old = await newest_token(owner, pending)
    await clock.advance(TWO_DAYS_MS - 1, settle=1)
    await subscribe(owner, topic, "email", MAIL)
    new = await newest_token(owner, pending)
    await clock.advance(TWO_DAYS_MS - 1, settle=1)
    assert await sns_refusal(confirm(owner, topic, old)) == BAD_TOKEN
    assert await confirm(owner, topic, new) == pending


async def test_every_token_that_was_sent_confirms(
    owner: SnsClient, topic: str, pending: str, clock: FakeClock
) -> None:
    old = await newest_token(owner, pending)
    await clock.advance(1_000)
    await subscribe(owner, topic, "email", MAIL)
    assert await confirm(owner, topic, old) == pending


async def test_a_subscription_of_a_deleted_topic_cannot_be_confirmed(
    owner: SnsClient, topic: str, pending: str
) -> None:
    token = await newest_token(owner, pending)
    await owner.call("DeleteTopic", TopicArn=topic)
    assert await sns_refusal(confirm(owner, topic, token)) == BAD_TOKEN
    await owner.topic()
    assert await sns_refusal(confirm(owner, topic, token)) == BAD_TOKEN
    assert await subscriptions_of(owner, topic) == []


async def test_a_token_holds_over_a_restart(tmp_path: Path) -> None:
    url, clock = f"sqlite:{tmp_path / 'headrace.db'}", FakeClock()
    async with running(open_storage(url, strict=False), clock) as server:
        sns = SnsClient(server.http, account=ACCOUNT)
        topic = await sns.topic()
        arn = await subscribe(sns, topic, "email", MAIL)
        token = await newest_token(sns, arn)
    async with running(open_storage(url, strict=False), clock) as server:
        sns = SnsClient(server.http, account=ACCOUNT)
        assert await confirm(sns, topic, token) == arn
        assert await state(sns, arn) == CONFIRMED


async def test_nothing_but_the_question_is_sent_before_the_answer(
    owner: SnsClient, topic: str, pending: str
) -> None:
    await owner.call("Publish", TopicArn=topic, Message="too early")
    await confirm(owner, topic, await newest_token(owner, pending))
    await owner.call("Publish", TopicArn=topic, Message="in time")
    found = await owner.http.get("/_headrace/outbox", params={"subscriptionArn": pending})
    sent = [(each["kind"], each["message"]) for each in found.json()["deliveries"]]
    [(first, _), *others] = sent
    assert first == "SubscriptionConfirmation"
    assert others == [("Notification", "in time")]


# --- links --------------------------------------------------------------------------------------


def envelope(request: HttpRequest) -> dict[str, str]:
    """What was delivered."""
    fields: dict[str, str] = json.loads(request.body)
    return fields


async def until_sent(receiver: HttpReceiver, count: int) -> dict[str, str]:
    """The newest of so many deliveries."""
    await until(lambda: len(receiver.requests) >= count)
    [*_, newest] = receiver.requests
    assert len(receiver.requests) == count
    return envelope(newest)


async def followed(server: Server, url: str, operation: str) -> Any:
    """What following a link answers."""
    response = await server.http.get(url)
    assert response.status_code == 200
    assert response.headers["content-type"] == "text/xml"
    return xmltodict.parse(response.text)[f"{operation}Response"]


@MEMORY_ONLY
async def test_links_confirm_unsubscribe_and_restore(server: Server, owner: SnsClient) -> None:
    topic = await owner.topic()
    async with http_receiver() as receiver:
        arn = await subscribe(
            owner, topic, "http", receiver.url("/sns"), FilterPolicy='{"key":["value"]}'
        )
        question = await until_sent(receiver, 1)
        assert question["Type"] == "SubscriptionConfirmation"
        assert question["SubscribeURL"] == (
            f"{ENDPOINT}/?Action=ConfirmSubscription&TopicArn={topic}&Token={question['Token']}"
        )
        answer = await followed(server, question["SubscribeURL"], "ConfirmSubscription")
        assert answer["ConfirmSubscriptionResult"] == {"SubscriptionArn": arn}
        assert await state(owner, arn) == CONFIRMED_BY_LINK
        attributes = await subscription_attributes(owner, arn)

        await owner.call(
            "Publish",
            TopicArn=topic,
            Message="news",
            MessageAttributes={"key": {"DataType": "String", "StringValue": "value"}},
        )
        notification = await until_sent(receiver, 2)
        link = f"{ENDPOINT}/?Action=Unsubscribe&SubscriptionArn={arn}"
        assert notification["UnsubscribeURL"] == link
        for _ in range(2):
            assert "UnsubscribeResult" not in await followed(server, link, "Unsubscribe")
        assert await subscriptions_of(owner, topic) == []

        offer = await until_sent(receiver, 3)
        assert offer["Type"] == "UnsubscribeConfirmation"
        answer = await followed(server, offer["SubscribeURL"], "ConfirmSubscription")
        assert answer["ConfirmSubscriptionResult"] == {"SubscriptionArn": arn}
        assert await subscription_attributes(owner, arn) == attributes


async def test_links_work_for_topics_of_every_region(sns: SnsClient, owner: SnsClient) -> None:
    there = owner.but(region=OTHER_REGION)
    topic = await there.topic()
    arn = await subscribe(there, topic, "email", MAIL)
    link = sns.but(method="GET")
    assert await confirm(link, topic, await newest_token(there, arn)) == arn
    assert await unsubscribe(link, arn) == {}
    assert await subscriptions_of(there, topic) == []


async def test_parameters_are_read_from_the_url_of_a_post(
    owner: SnsClient, topic: str, pending: str
) -> None:
    token = await newest_token(owner, pending)
    response = await owner.http.post(f"/?Action=ConfirmSubscription&TopicArn={topic}&Token={token}")
    assert response.status_code == 200
    assert await state(owner, pending) == CONFIRMED_BY_LINK


async def test_a_page_confirms(owner: SnsClient, topic: str, pending: str) -> None:
    token = await newest_token(owner, pending)
    page = await owner.http.get(
        f"/confirmation.html?TopicArn={topic}&Token={token}&Endpoint={MAIL}"
    )
    assert page.status_code == 200
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert pending in page.text
    assert await state(owner, pending) == CONFIRMED_BY_LINK


async def test_a_page_unsubscribes_and_offers_to_undo_it(owner: SnsClient, topic: str) -> None:
    arn = await reader(owner, topic)
    page = await owner.http.get(f"/unsubscribe.html?SubscriptionArn={arn}&Endpoint={MAIL}")
    assert page.status_code == 200
    assert await subscriptions_of(owner, topic) == []
    [_, offer] = await sent_confirmations(owner, arn)
    assert (offer["kind"], offer["endpoint"]) == ("UnsubscribeConfirmation", MAIL)
    page = await owner.http.get(
        f"/confirmation.html?TopicArn={topic}&Token={offer['token']}&Endpoint={MAIL}"
    )
    assert page.status_code == 200
    assert await state(owner, arn) == CONFIRMED_BY_LINK


@MEMORY_ONLY
async def test_a_page_that_cannot_do_it_says_why(
    owner: SnsClient, topic: str, pending: str
) -> None:
    page = await owner.http.get(f"/confirmation.html?TopicArn={topic}&Token=abc123&Endpoint=x")
    assert (page.status_code, page.text) == (400, f"{BAD_TOKEN[1]}\n")
    assert await state(owner, pending) == PENDING


# --- undoing ------------------------------------------------------------------------------------


async def offers(owner: SnsClient, arn: str) -> list[str]:
    """The tokens that were sent to undo an unsubscription."""
    return [
        each["token"]
        for each in await sent_confirmations(owner, arn)
        if each["kind"] == "UnsubscribeConfirmation"
    ]


async def test_only_who_does_not_own_it_makes_an_offer_to_undo(
    sns: SnsClient, owner: SnsClient, topic: str
) -> None:
    subscriber = owner.but(account=OTHER_ACCOUNT)
    for client, expected in (
        (owner, 0),
        (subscriber, 0),
        (owner.but(account="222222222222"), 1),
        (sns, 1),
    ):
        arn = await subscribe(subscriber, topic, "email", MAIL)
        await confirm(sns, topic, await newest_token(owner, arn))
        await unsubscribe(client, arn)
        assert len(await offers(owner, arn)) == expected
        assert await subscriptions_of(owner, topic) == []


async def test_a_queue_is_offered_nothing(
    sns: SnsClient, server: Server, owner: SnsClient, topic: str
) -> None:
    queue = await Client(server.http, "json").queue()
    arn = await subscribe(owner, topic, "sqs", await queue.arn())
    await unsubscribe(sns, arn)
    assert await subscriptions_of(owner, topic) == []
    assert await queue.bodies() == []
    assert await sent_confirmations(owner, arn) == []


async def test_undoing_restores_the_subscription_as_it_was(
    sns: SnsClient, owner: SnsClient, topic: str, clock: FakeClock
) -> None:
    arn = await reader(owner, topic, FilterPolicy='{"key": ["value"]}')
    before = await subscription_attributes(owner, arn)
    await unsubscribe(sns, arn)
    [token] = await offers(owner, arn)
    await clock.advance(TWO_DAYS_MS - 1, settle=1)
    assert await confirm(sns, topic, token) == arn
    assert await subscription_attributes(owner, arn) == before
    assert [each["SubscriptionArn"] for each in await subscriptions_of(owner, topic)] == [arn]


async def test_an_offer_to_undo_ends_after_two_days(
    sns: SnsClient, owner: SnsClient, topic: str, clock: FakeClock
) -> None:
    arn = await reader(owner, topic)
    await unsubscribe(sns, arn)
    [token] = await offers(owner, arn)
    await clock.advance(TWO_DAYS_MS, settle=1)
    assert await sns_refusal(confirm(sns, topic, token)) == BAD_TOKEN
    assert await subscriptions_of(owner, topic) == []


async def test_what_was_subscribed_anew_cannot_be_undone(
    sns: SnsClient, owner: SnsClient, topic: str
) -> None:
    old = await reader(owner, topic)
    await unsubscribe(sns, old)
    [token] = await offers(owner, old)
    new = await reader(owner, topic)
    assert new != old
    assert await sns_refusal(confirm(sns, topic, token)) == BAD_TOKEN
    assert [each["SubscriptionArn"] for each in await subscriptions_of(owner, topic)] == [new]


async def test_a_token_from_before_the_unsubscription_undoes_nothing(
    sns: SnsClient, owner: SnsClient, topic: str, pending: str, clock: FakeClock
) -> None:
    token = await newest_token(owner, pending)
    await confirm(sns, topic, token)
    await clock.advance(1_000)
    await unsubscribe(owner, pending)
    assert await sns_refusal(confirm(sns, topic, token)) == BAD_TOKEN
    assert await subscriptions_of(owner, topic) == []


# --- AuthenticateOnUnsubscribe ------------------------------------------------------------------


@pytest.fixture
async def locked(owner: SnsClient, topic: str) -> str:
    """The ARN of another account's subscription that only its owners may end."""
    subscriber = owner.but(account=OTHER_ACCOUNT)
    arn = await subscribe(subscriber, topic, "email", MAIL)
    token = await newest_token(owner, arn)
    await confirm(subscriber, topic, token, AuthenticateOnUnsubscribe="true")
    return arn


async def test_a_locked_subscription_is_not_ended_by_others(
    sns: SnsClient, owner: SnsClient, topic: str, locked: str
) -> None:
    for client in (sns, sns.but(method="GET"), owner.but(account="222222222222")):
        code, _ = await sns_refusal(unsubscribe(client, locked))
        assert code == "AuthorizationError"
    page = await owner.http.get(f"/unsubscribe.html?SubscriptionArn={locked}&Endpoint={MAIL}")
    assert page.status_code == 400
    assert [each["SubscriptionArn"] for each in await subscriptions_of(owner, topic)] == [locked]
    assert await offers(owner, locked) == []


@pytest.mark.parametrize("account", [ACCOUNT, OTHER_ACCOUNT])
async def test_a_locked_subscription_is_ended_by_its_owner_and_the_topics(
    owner: SnsClient, topic: str, locked: str, account: str
) -> None:
    await unsubscribe(owner.but(account=account), locked)
    assert await subscriptions_of(owner, topic) == []


async def test_a_subscription_is_not_locked_unless_that_is_asked_for(
    sns: SnsClient, owner: SnsClient, topic: str, pending: str
) -> None:
    token = await newest_token(owner, pending)
    await confirm(owner, topic, token, AuthenticateOnUnsubscribe="false")
    await unsubscribe(sns, pending)
    assert await subscriptions_of(owner, topic) == []


# --- queues of other accounts -------------------------------------------------------------------


async def test_a_queue_of_another_account_is_asked_in_an_envelope(
    server: Server, owner: SnsClient, topic: str
) -> None:
    theirs = await Client(server.http, "json", account=OTHER_ACCOUNT).queue()
    arn = await subscribe(owner, topic, "sqs", await theirs.arn(), RawMessageDelivery="true")
    await owner.call("Publish", TopicArn=topic, Message="too early")
    question = json.loads((await theirs.receive_one())["Body"])
    assert question.keys() == {
        "Type",
        "MessageId",
        "Token",
        "TopicArn",
        "Message",
        "SubscribeURL",
        "Timestamp",
        "SignatureVersion",
        "Signature",
        "SigningCertURL",
    }
    assert question["Type"] == "SubscriptionConfirmation"
    assert question["TopicArn"] == topic
    assert question["Message"].startswith(f"You have chosen to subscribe to the topic {topic}.\n")
    assert await theirs.bodies() == []
    subscriber = owner.but(account=OTHER_ACCOUNT)
    assert await confirm(subscriber, topic, question["Token"]) == arn
    assert await state(owner, arn) == CONFIRMED
    await owner.call("Publish", TopicArn=topic, Message="in time")
    assert await theirs.bodies() == ["in time"]


async def test_a_queue_that_is_asked_again_gets_another_envelope(
    server: Server, owner: SnsClient, topic: str, clock: FakeClock
) -> None:
    theirs: Queue = await Client(server.http, "json", account=OTHER_ACCOUNT).queue()
    for _ in range(2):
        await subscribe(owner, topic, "sqs", await theirs.arn())
        await clock.advance(1_000)
    tokens = {json.loads(body)["Token"] for body in await theirs.bodies()}
    assert len(tokens) == 2


async def test_a_queue_that_cannot_be_asked_stays_pending(owner: SnsClient, topic: str) -> None:
    nobodys = QUEUE.replace(ACCOUNT, OTHER_ACCOUNT)
    arn = await subscribe(owner, topic, "sqs", nobodys)
    assert await state(owner, arn) == PENDING
