"""Lists under LocalStack's paths, in its shapes."""

import json
from typing import Any

import httpx
import pytest

from tests.support.clock import FakeClock
from tests.support.server import Server
from tests.support.sns import SnsClient

SMS = "/_aws/sns/sms-messages"
PUSH = "/_aws/sns/platform-endpoint-messages"
TOKENS = "/_aws/sns/subscription-tokens"
OPT_OUTS = "/_aws/sns/phone-opt-outs"

NUMBER = "+4915112345678"
OTHER_NUMBER = "+4915187654321"
RED = {"colour": {"DataType": "String", "StringValue": "red"}}


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


async def create_endpoint(sns: SnsClient, platform: str = "GCM") -> str:
    """The ARN of an endpoint."""
    application = await sns.call(
        "CreatePlatformApplication",
        Name="app",
        Platform=platform,
        Attributes={"PlatformCredential": "secret"},
    )
    endpoint = await sns.call(
        "CreatePlatformEndpoint",
        PlatformApplicationArn=application["PlatformApplicationArn"],
        Token="token",
    )
    arn: str = endpoint["EndpointArn"]
    return arn


async def got(server: Server, path: str, **query: str) -> Any:
    """What a path answers."""
    response = await server.http.get(path, params=query)
    assert response.status_code == 200, response.text
    return response.json()


def is_done(response: httpx.Response) -> bool:
    """Whether the answer is that all is well, and nothing to say."""
    return (response.status_code, response.content) == (204, b"")


# --- messages to phones ---------------------------------------------------------------------------


async def test_without_messages_the_lists_are_empty(server: Server) -> None:
    assert await got(server, SMS) == {"sms_messages": {}, "region": "us-east-1"}
    assert await got(server, PUSH) == {"platform_endpoint_messages": {}, "region": "us-east-1"}
    asked = await got(server, SMS, phoneNumber=NUMBER)
    assert asked == {"sms_messages": {NUMBER: []}, "region": "us-east-1"}


async def test_sms_are_listed_by_number(server: Server, sns: SnsClient, topic: str) -> None:
    direct = await sns.call("Publish", PhoneNumber=NUMBER, Message="direct", MessageAttributes=RED)
    arn = await subscribe(sns, topic, "sms", OTHER_NUMBER)
    message = json.dumps({"default": "all", "sms": "short"})
    published = await sns.call(
        "Publish", TopicArn=topic, Message=message, MessageStructure="json", Subject="news"
    )
    assert await got(server, SMS) == {
        "sms_messages": {
            NUMBER: [
                {
                    "PhoneNumber": NUMBER,
                    "TopicArn": None,
                    "SubscriptionArn": None,
                    "MessageId": direct["MessageId"],
                    "Message": "direct",
                    "MessageAttributes": RED,
                    "MessageStructure": None,
                    "Subject": None,
                }
            ],
            OTHER_NUMBER: [
                {
                    "PhoneNumber": OTHER_NUMBER,
                    "TopicArn": topic,
                    "SubscriptionArn": arn,
                    "MessageId": published["MessageId"],
                    "Message": "short",
                    "MessageAttributes": None,
                    "MessageStructure": "json",
                    "Subject": "news",
                }
            ],
        },
        "region": "us-east-1",
    }


async def test_pushes_are_listed_by_endpoint_with_the_entry_of_the_platform(
    server: Server, sns: SnsClient
) -> None:
    arn = await create_endpoint(sns)
    message = json.dumps({"default": "all", "GCM": '{"data":{}}'})
    published = await sns.call("Publish", TargetArn=arn, Message=message, MessageStructure="json")
    assert await got(server, PUSH) == {
        "platform_endpoint_messages": {
            arn: [
                {
                    "TargetArn": arn,
                    "TopicArn": None,
                    "MessageId": published["MessageId"],
                    "Message": '{"data":{}}',
                    "MessageAttributes": None,
                    "MessageStructure": "json",
                    "Subject": None,
                }
            ]
        },
        "region": "us-east-1",
    }


async def test_one_number_or_endpoint_can_be_asked_for(server: Server, sns: SnsClient) -> None:
    for number in (NUMBER, OTHER_NUMBER):
        await sns.call("Publish", PhoneNumber=number, Message="hi")
    arn = await create_endpoint(sns)
    await sns.call("Publish", TargetArn=arn, Message="hi")
    assert list((await got(server, SMS, phoneNumber=NUMBER))["sms_messages"]) == [NUMBER]
    assert list((await got(server, PUSH, endpointArn=arn))["platform_endpoint_messages"]) == [arn]
    none = (await got(server, PUSH, endpointArn="other"))["platform_endpoint_messages"]
    assert none == {"other": []}


async def test_accounts_and_regions_are_worlds_of_their_own(server: Server, sns: SnsClient) -> None:
    there = sns.but(account="111111111111", region="eu-west-1")
    await there.call("Publish", PhoneNumber=NUMBER, Message="hi")
    assert (await got(server, SMS))["sms_messages"] == {}
    asked = await got(server, SMS, accountId="111111111111", region="eu-west-1")
    assert list(asked["sms_messages"]) == [NUMBER]
    assert asked["region"] == "eu-west-1"


async def test_what_was_not_sent_is_not_listed(server: Server, sns: SnsClient) -> None:
    await server.http.post(OPT_OUTS, json={"phoneNumber": NUMBER})
    await sns.call("Publish", PhoneNumber=NUMBER, Message="hi")
    assert (await got(server, SMS))["sms_messages"] == {}


async def test_messages_are_discarded_all_or_for_one_number(server: Server, sns: SnsClient) -> None:
    for number in (NUMBER, OTHER_NUMBER):
        await sns.call("Publish", PhoneNumber=number, Message="hi")
    arn = await create_endpoint(sns)
    await sns.call("Publish", TargetArn=arn, Message="hi")
    assert is_done(await server.http.delete(SMS, params={"phoneNumber": NUMBER}))
    assert list((await got(server, SMS))["sms_messages"]) == [OTHER_NUMBER]
    assert is_done(await server.http.delete(SMS))
    assert (await got(server, SMS))["sms_messages"] == {}
    assert list((await got(server, PUSH))["platform_endpoint_messages"]) == [arn]
    assert is_done(await server.http.delete(PUSH))
    assert (await got(server, PUSH))["platform_endpoint_messages"] == {}


# --- tokens ---------------------------------------------------------------------------------------


async def test_the_token_of_a_subscription_confirms_it(
    server: Server, sns: SnsClient, topic: str
) -> None:
    arn = await subscribe(sns, topic, "email", "reader@example.com")
    told = await got(server, f"{TOKENS}/{arn}")
    assert told["subscription_arn"] == arn
    confirmed = await sns.call(
        "ConfirmSubscription", TopicArn=topic, Token=told["subscription_token"]
    )
    assert confirmed["SubscriptionArn"] == arn


async def test_there_is_no_token_for_what_is_no_subscription(server: Server, topic: str) -> None:
    response = await server.http.get(f"{TOKENS}/{topic}")
    assert response.status_code == 400
    assert response.json() == {
        "error": "The provided SubscriptionARN is invalid",
        "subscription_arn": topic,
    }
    unknown = f"{topic}:00000000-0000-4000-8000-0000000000ff"
    response = await server.http.get(f"{TOKENS}/{unknown}")
    assert response.status_code == 404
    assert response.json() == {
        "error": "The provided SubscriptionARN is not found",
        "subscription_arn": unknown,
    }


@pytest.mark.parametrize("arn", ["x", "%00%ff", ":::::::", "a:b:c:d:e:f:%ed%a0%80"])
async def test_odd_arns_have_no_token(server: Server, arn: str) -> None:
    response = await server.http.get(f"{TOKENS}/{arn}")
    assert response.status_code in (400, 404)
    assert response.json()["error"]


# --- opt-outs -------------------------------------------------------------------------------------


async def test_numbers_opt_out_and_in_again(server: Server, sns: SnsClient) -> None:
    assert await got(server, OPT_OUTS) == {"phone_opt_outs": [], "region": "us-east-1"}
    for number in (NUMBER, OTHER_NUMBER, NUMBER):
        assert is_done(await server.http.post(OPT_OUTS, json={"phoneNumber": number}))
    assert (await got(server, OPT_OUTS))["phone_opt_outs"] == [NUMBER, OTHER_NUMBER]
    answer = await sns.call("CheckIfPhoneNumberIsOptedOut", phoneNumber=NUMBER)
    assert answer["isOptedOut"]
    assert is_done(await server.http.delete(OPT_OUTS, params={"phoneNumber": NUMBER}))
    assert (await got(server, OPT_OUTS))["phone_opt_outs"] == [OTHER_NUMBER]
    assert is_done(await server.http.delete(OPT_OUTS))
    assert (await got(server, OPT_OUTS))["phone_opt_outs"] == []


async def test_numbers_opt_in_as_often_as_they_like(server: Server, clock: FakeClock) -> None:
    for _ in range(3):
        await server.http.post(OPT_OUTS, json={"phoneNumber": NUMBER})
        assert is_done(await server.http.delete(OPT_OUTS, params={"phoneNumber": NUMBER}))
        assert (await got(server, OPT_OUTS))["phone_opt_outs"] == []


async def test_opting_out_holds_for_one_account_in_one_region(server: Server) -> None:
    there = {"accountId": "111111111111", "region": "eu-west-1"}
    await server.http.post(OPT_OUTS, params=there, json={"phoneNumber": NUMBER})
    assert (await got(server, OPT_OUTS))["phone_opt_outs"] == []
    assert await got(server, OPT_OUTS, **there) == {
        "phone_opt_outs": [NUMBER],
        "region": "eu-west-1",
    }


async def test_all_numbers_are_listed_however_many_there_are(server: Server) -> None:
    numbers = [f"+4915100000{number:03}" for number in range(150)]
    for number in numbers:
        await server.http.post(OPT_OUTS, json={"phoneNumber": number})
    assert (await got(server, OPT_OUTS))["phone_opt_outs"] == numbers


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{", b"{}", b'{"phoneNumber": 5}', b'{"phoneNumber": "\\ud800"}']
)
async def test_a_bad_number_is_told(server: Server, body: bytes) -> None:
    response = await server.http.post(OPT_OUTS, content=body)
    assert response.status_code == 400
    assert response.json()["error"]
    response = await server.http.delete(OPT_OUTS, params={"phoneNumber": "nobody"})
    assert response.status_code == 400
    assert response.json()["error"]
