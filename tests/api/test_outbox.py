"""The outbox, as its operator sees it."""

from typing import Any

import pytest

from tests.support.clock import FakeClock
from tests.support.server import Server
from tests.support.sns import SnsClient

OUTBOX = "/_headrace/outbox"
NUMBERS = [f"+4915100000{number:02}" for number in range(5)]


async def listed(server: Server, **filters: Any) -> list[dict[str, Any]]:
    """The deliveries that fit, on one page."""
    response = await server.http.get(OUTBOX, params=filters)
    assert response.status_code == 200, response.text
    document = response.json()
    assert "next" not in document
    deliveries: list[dict[str, Any]] = document["deliveries"]
    return deliveries


async def texts(sns: SnsClient) -> None:
    """An SMS to each of the numbers."""
    for number in NUMBERS:
        await sns.call("Publish", PhoneNumber=number, Message=f"to {number}")


@pytest.fixture
async def topic(sns: SnsClient) -> str:
    """A topic."""
    return await sns.topic("news")


async def subscribe(sns: SnsClient, topic: str, protocol: str, endpoint: str) -> str:
    """The ARN of a subscription."""
    answer = await sns.call(
        "Subscribe",
        TopicArn=topic,
        Protocol=protocol,
        Endpoint=endpoint,
        ReturnSubscriptionArn=True,
    )
    arn: str = answer["SubscriptionArn"]
    return arn


async def test_an_empty_outbox_has_no_deliveries(server: Server) -> None:
    assert await listed(server) == []


async def test_a_delivery_is_shown_with_all_that_is_known(server: Server, sns: SnsClient) -> None:
    sent = await sns.call("Publish", PhoneNumber=NUMBERS[0], Message="hello")
    [shown] = await listed(server)
    assert isinstance(shown.pop("id"), int)
    assert shown.pop("phone")["message"] == "hello"
    assert shown == {
        "kind": "Notification",
        "status": "delivered",
        "protocol": "sms",
        "endpoint": NUMBERS[0],
        "account": "000000000000",
        "region": "us-east-1",
        "topicArn": None,
        "subscriptionArn": None,
        "messageId": sent["MessageId"],
        "subject": None,
        "message": "hello",
        "createdAt": "2026-01-01T00:00:00.000Z",
        "dueAt": None,
        "attempts": 0,
        "lastAttemptAt": None,
        "finishedAt": "2026-01-01T00:00:00.000Z",
        "statusCode": None,
        "response": "kept in the outbox",
        "dwellTimeMs": None,
    }


async def test_a_confirmation_is_shown_with_a_token_that_confirms(
    server: Server, sns: SnsClient, topic: str
) -> None:
    arn = await subscribe(sns, topic, "email", "reader@example.com")
    [shown] = await listed(server)
    assert (shown["kind"], shown["status"]) == ("SubscriptionConfirmation", "waiting")
    assert shown["subscriptionArn"] == arn
    answer = await sns.call("ConfirmSubscription", TopicArn=topic, Token=shown["token"])
    assert answer["SubscriptionArn"] == arn


async def test_deliveries_are_chosen_by_filters(server: Server, sns: SnsClient, topic: str) -> None:
    mail = await subscribe(sns, topic, "email", "reader@example.com")
    await subscribe(sns, topic, "sms", NUMBERS[0])
    published = await sns.call("Publish", TopicArn=topic, Message="hello")
    elsewhere = sns.but(account="111111111111", region="eu-west-1")
    await elsewhere.call("Publish", PhoneNumber=NUMBERS[1], Message="hello")
    email, text, other = await listed(server)
    table: list[tuple[dict[str, Any], list[dict[str, Any]]]] = [
        ({"account": "000000000000"}, [email, text]),
        ({"account": "111111111111"}, [other]),
        ({"region": "eu-west-1"}, [other]),
        ({"protocol": "sms"}, [text, other]),
        ({"protocol": ["sms", "email"]}, [email, text, other]),
        ({"status": "waiting"}, [email]),
        ({"status": ["waiting", "delivered"]}, [email, text, other]),
        ({"status": "failed"}, []),
        ({"endpoint": NUMBERS[1]}, [other]),
        ({"topicArn": topic}, [email, text]),
        ({"subscriptionArn": mail}, [email]),
        ({"messageId": published["MessageId"]}, [text]),
        ({"protocol": "sms", "region": "us-east-1"}, [text]),
        ({"protocol": "pigeon"}, []),
    ]
    for filters, expected in table:
        assert await listed(server, **filters) == expected, filters


@pytest.mark.parametrize("order", ["oldest", "newest"])
async def test_pages_follow_one_another(server: Server, sns: SnsClient, order: str) -> None:
    await texts(sns)
    pages = []
    after: dict[str, Any] = {}
    while True:
        asked: dict[str, Any] = {"limit": 2, "order": order, **after}
        response = await server.http.get(OUTBOX, params=asked)
        document = response.json()
        pages.append([each["endpoint"] for each in document["deliveries"]])
        if "next" not in document:
            break
        after = {"after": document["next"]}
    expected = NUMBERS if order == "oldest" else NUMBERS[::-1]
    assert pages == [expected[:2], expected[2:4], expected[4:]]


async def test_a_page_that_is_just_full_is_the_last(server: Server, sns: SnsClient) -> None:
    await texts(sns)
    assert len(await listed(server, limit=5)) == 5


async def test_clearing_forgets_what_fits(server: Server, sns: SnsClient) -> None:
    await texts(sns)
    response = await server.http.delete(OUTBOX, params={"endpoint": NUMBERS[0]})
    assert response.json() == {"cleared": 1}
    assert [each["endpoint"] for each in await listed(server)] == NUMBERS[1:]
    assert (await server.http.delete(OUTBOX)).json() == {"cleared": 4}
    assert await listed(server) == []


async def test_what_is_cleared_is_not_attempted_any_more(
    server: Server, sns: SnsClient, topic: str, clock: FakeClock
) -> None:
    await subscribe(sns, topic, "email", "reader@example.com")
    await server.http.delete(OUTBOX)
    await clock.advance(60_000)
    assert await listed(server) == []


@pytest.mark.parametrize(
    ("query", "problem"),
    [
        ("limit=0", "limit is a number from 1 to 1000"),
        ("limit=1001", "limit is a number from 1 to 1000"),
        ("limit=ten", "limit is a number from 1 to 1000"),
        ("limit=%D9%A1", "limit is a number from 1 to 1000"),
        ("limit=", "limit is a number from 1 to 1000"),
        ("after=-1", f"after is a number from 0 to {2**63 - 1}"),
        ("after=99999999999999999999", f"after is a number from 0 to {2**63 - 1}"),
        ("order=random", "order is oldest or newest"),
        (
            "status=lost",
            "status is one of pending, waiting, delivered, dead-lettered, failed",
        ),
        (
            "colour=red",
            "there is no parameter colour: use account, region, protocol, status, endpoint,"
            " topicArn, subscriptionArn, messageId, limit, after, order",
        ),
    ],
)
async def test_a_bad_parameter_is_told(server: Server, query: str, problem: str) -> None:
    response = await server.http.get(f"{OUTBOX}?{query}")
    assert (response.status_code, response.json()) == (400, {"error": problem})


@pytest.mark.parametrize("query", ["limit=5", "order=newest", "colour=red", "status=lost"])
async def test_clearing_takes_filters_only(server: Server, sns: SnsClient, query: str) -> None:
    await texts(sns)
    assert (await server.http.delete(f"{OUTBOX}?{query}")).status_code == 400
    assert len(await listed(server)) == 5


@pytest.mark.parametrize(
    "query",
    ["endpoint=%00%ff%ed%a0%80", "after=9223372036854775807", "subscriptionArn=", "account="],
)
async def test_odd_filters_find_nothing(server: Server, sns: SnsClient, query: str) -> None:
    await texts(sns)
    response = await server.http.get(f"{OUTBOX}?{query}")
    assert (response.status_code, response.json()) == (200, {"deliveries": []})
