"""SMS settings, opt-outs, the sandbox and origination numbers (SNS reference, 2.5 and 9.1)."""

from datetime import UTC, datetime
from typing import Any

import pytest

from broker.sms import OriginationNumber
from tests.support.clock import START_MS, FakeClock
from tests.support.server import ACCOUNT, MEMORY_ONLY, REGION, Server
from tests.support.sns import SnsClient, sns_refusal

pytestmark = MEMORY_ONLY

NUMBER = "+4915112345678"
DAY_MS = 86_400_000
BADLY_FORMATTED = (
    "InvalidParameter",
    "Invalid parameter: PhoneNumber Reason: input incorrectly formatted",
)
UNTOUCHED = {"MonthlySpendLimit": "1"}


@pytest.fixture
def sns(server: Server) -> SnsClient:
    """A client of the server."""
    return SnsClient(server.http)


# --- settings -----------------------------------------------------------------------------------


async def set_attributes(sns: SnsClient, **attributes: str) -> Any:
    return await sns.call("SetSMSAttributes", attributes=attributes)


async def attributes(sns: SnsClient, *names: str) -> Any:
    return (await sns.call("GetSMSAttributes", attributes=list(names)))["attributes"]


async def test_an_untouched_region_has_a_spend_limit_only(sns: SnsClient) -> None:
    assert await sns.call("GetSMSAttributes") == {"attributes": UNTOUCHED}
    assert await attributes(sns) == UNTOUCHED  # an empty list is none


async def test_settings_hold_for_one_account_in_one_region(sns: SnsClient) -> None:
    assert await set_attributes(sns, DefaultSenderID="Brand") == {}
    assert await attributes(sns) == {**UNTOUCHED, "DefaultSenderID": "Brand"}
    assert await attributes(sns.but(region="eu-west-1")) == UNTOUCHED
    assert await attributes(sns.but(account="111111111111")) == UNTOUCHED


async def test_settings_are_overwritten_one_by_one(sns: SnsClient) -> None:
    await set_attributes(sns, DefaultSenderID="Brand", DefaultSMSType="Promotional")
    await set_attributes(sns, DefaultSMSType="Transactional", MonthlySpendLimit="20")
    assert await attributes(sns) == {
        "MonthlySpendLimit": "20",
        "DefaultSenderID": "Brand",
        "DefaultSMSType": "Transactional",
    }


async def test_only_the_settings_asked_for_are_told(sns: SnsClient) -> None:
    await set_attributes(sns, DefaultSenderID="Brand", DefaultSMSType="Promotional")
    asked = await attributes(sns, "DefaultSenderID", "UsageReportS3Bucket", "Unknown")
    assert asked == {"DefaultSenderID": "Brand"}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MonthlySpendLimit", "0"),
        ("DeliveryStatusIAMRole", "arn:aws:iam::000000000000:role/service/sms"),
        ("DeliveryStatusSuccessSamplingRate", "100"),
        ("DefaultSenderID", "Brand123456"),
        ("DefaultSMSType", "Promotional"),
        ("UsageReportS3Bucket", "usage.reports-1"),
    ],
)
async def test_each_setting_takes_its_values(sns: SnsClient, name: str, value: str) -> None:
    await set_attributes(sns, **{name: value})
    assert (await attributes(sns))[name] == value


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MonthlySpendLimit", "-1"),
        ("MonthlySpendLimit", "much"),
        ("DeliveryStatusIAMRole", "sms"),
        ("DeliveryStatusSuccessSamplingRate", "101"),
        ("DefaultSenderID", "123"),
        ("DefaultSenderID", "abcdefghijkl"),
        ("DefaultSenderID", "my brand"),
        ("DefaultSMSType", "SOME"),
        ("DefaultSMSType", "transactional"),
        ("DefaultSMSType", ""),
        ("UsageReportS3Bucket", "a b"),
    ],
)
async def test_a_wrong_value_changes_nothing(sns: SnsClient, name: str, value: str) -> None:
    call = set_attributes(sns, **{"DefaultSenderID": "Brand", name: value})
    assert await sns_refusal(call) == ("InvalidParameter", f"{name} is invalid")
    assert await attributes(sns) == UNTOUCHED


async def test_an_unknown_setting_changes_nothing(sns: SnsClient) -> None:
    call = set_attributes(sns, DefaultSenderID="Brand", Wrong="x")
    assert await sns_refusal(call) == ("InvalidParameter", "Wrong is not a valid attribute")
    assert await attributes(sns) == UNTOUCHED


async def test_no_settings_are_null(sns: SnsClient) -> None:
    assert await sns_refusal(set_attributes(sns)) == (
        "ValidationError",
        "1 validation error detected: Value null at 'attributes' failed to satisfy constraint:"
        " Member must not be null",
    )


# --- opt-outs -----------------------------------------------------------------------------------


async def is_opted_out(sns: SnsClient, number: str = NUMBER) -> Any:
    return (await sns.call("CheckIfPhoneNumberIsOptedOut", phoneNumber=number))["isOptedOut"]


async def opted_out(sns: SnsClient) -> Any:
    return (await sns.call("ListPhoneNumbersOptedOut"))["phoneNumbers"]


async def opt_in(sns: SnsClient, number: str = NUMBER) -> Any:
    return await sns.call("OptInPhoneNumber", phoneNumber=number)


async def test_nobody_is_opted_out_at_first(sns: SnsClient) -> None:
    assert await is_opted_out(sns) is False
    assert await sns.call("ListPhoneNumbersOptedOut") == {"phoneNumbers": []}
    assert await opt_in(sns) == {}


async def test_a_number_that_opts_out_is_listed(sns: SnsClient, server: Server) -> None:
    for _ in range(2):
        await server.broker.sms.opt_out(ACCOUNT, REGION, NUMBER)
    assert await is_opted_out(sns) is True
    assert await is_opted_out(sns, NUMBER.removeprefix("+")) is True
    assert await opted_out(sns) == [NUMBER]
    assert await opted_out(sns.but(region="eu-west-1")) == []


async def test_a_number_can_be_opted_in_once_in_30_days(
    sns: SnsClient, server: Server, clock: FakeClock
) -> None:
    await server.broker.sms.opt_out(ACCOUNT, REGION, NUMBER)
    assert await opt_in(sns) == {}
    assert await is_opted_out(sns) is False
    assert await opt_in(sns) == {}  # it is in: that does not count
    await server.broker.sms.opt_out(ACCOUNT, REGION, NUMBER)
    await clock.advance(30 * DAY_MS - 1)
    assert (await sns_refusal(opt_in(sns)))[0] == "InvalidParameter"
    assert await is_opted_out(sns) is True
    await clock.advance(1)
    assert await opt_in(sns) == {}
    assert await opted_out(sns) == []


@pytest.mark.parametrize("number", ["", "+1a234", "0151 123", "+", "+1-555-1234567"])
async def test_what_is_no_number_is_refused(sns: SnsClient, number: str) -> None:
    assert await sns_refusal(is_opted_out(sns, number)) == BADLY_FORMATTED
    assert await sns_refusal(opt_in(sns, number)) == BADLY_FORMATTED


async def test_opted_out_numbers_come_in_pages_of_100(sns: SnsClient, server: Server) -> None:
    numbers = [f"+4915100000{n:03}" for n in range(101)]
    for number in numbers:
        await server.broker.sms.opt_out(ACCOUNT, REGION, number)
    first = await sns.call("ListPhoneNumbersOptedOut")
    second = await sns.call("ListPhoneNumbersOptedOut", nextToken=first["nextToken"])
    assert first["phoneNumbers"] == numbers[:100]
    assert second == {"phoneNumbers": numbers[100:]}
    call = sns.call("ListPhoneNumbersOptedOut", nextToken="nonsense")
    assert await sns_refusal(call) == ("InvalidParameter", "Invalid parameter: NextToken")


# --- sandbox ------------------------------------------------------------------------------------


async def create(sns: SnsClient, number: str = NUMBER, **members: str) -> Any:
    return await sns.call("CreateSMSSandboxPhoneNumber", PhoneNumber=number, **members)


async def verify(sns: SnsClient, one_time: str, number: str = NUMBER) -> Any:
    return await sns.call(
        "VerifySMSSandboxPhoneNumber", PhoneNumber=number, OneTimePassword=one_time
    )


async def delete(sns: SnsClient, number: str = NUMBER) -> Any:
    return await sns.call("DeleteSMSSandboxPhoneNumber", PhoneNumber=number)


async def listed(sns: SnsClient, **members: Any) -> Any:
    return await sns.call("ListSMSSandboxPhoneNumbers", **members)


async def password_of(server: Server, number: str = NUMBER) -> str:
    return (await server.broker.sms.sandbox_passwords(ACCOUNT, REGION))[number]


def number_is(status: str) -> dict[str, list[dict[str, str]]]:
    return {"PhoneNumbers": [{"PhoneNumber": NUMBER, "Status": status}]}


async def test_an_account_is_in_the_sandbox_if_it_was_put_there(
    sns: SnsClient, server: Server
) -> None:
    for in_sandbox in (False, True, False):
        await server.broker.sms.set_in_sandbox(ACCOUNT, REGION, in_sandbox=in_sandbox)
        status = await sns.call("GetSMSSandboxAccountStatus")
        assert status == {"IsInSandbox": in_sandbox}
    assert await listed(sns) == {"PhoneNumbers": []}


async def test_a_number_is_pending_until_it_is_verified(sns: SnsClient, server: Server) -> None:
    assert await create(sns) == {}
    assert await listed(sns) == number_is("Pending")
    assert await verify(sns, await password_of(server)) == {}
    assert await listed(sns) == number_is("Verified")
    assert await server.broker.sms.sandbox_passwords(ACCOUNT, REGION) == {}


async def test_a_wrong_password_verifies_nothing(sns: SnsClient, server: Server) -> None:
    await create(sns)
    right = await password_of(server)
    wrong = f"{(int(right) + 1) % 10**6:06}"
    assert (await sns_refusal(verify(sns, wrong)))[0] == "VerificationException"
    assert await listed(sns) == number_is("Pending")
    assert await verify(sns, right) == {}


@pytest.mark.parametrize("one_time", ["", "1234", "123456789", "abcdef"])
async def test_a_password_has_5_to_8_digits(sns: SnsClient, one_time: str) -> None:
    await create(sns)
    assert (await sns_refusal(verify(sns, one_time)))[0] == "InvalidParameter"


async def test_a_pending_number_created_again_gets_a_new_password(
    sns: SnsClient, server: Server
) -> None:
    await create(sns)
    first = await password_of(server)
    await create(sns)
    assert await password_of(server) != first
    assert (await sns_refusal(verify(sns, first)))[0] == "VerificationException"


async def test_a_verified_number_created_again_stays_verified(
    sns: SnsClient, server: Server
) -> None:
    await create(sns)
    await verify(sns, await password_of(server))
    await create(sns)
    assert await listed(sns) == number_is("Verified")


async def test_a_deleted_number_is_gone(sns: SnsClient) -> None:
    await create(sns)
    assert await delete(sns) == {}
    assert await listed(sns) == {"PhoneNumbers": []}
    for call in (delete(sns), verify(sns, "123456")):
        assert (await sns_refusal(call))[0] == "ResourceNotFound"


@pytest.mark.parametrize("number", ["", "+1234567", "1234567890", "+1" + "2" * 19, "+12345678a"])
async def test_a_wrong_sandbox_number_is_refused(sns: SnsClient, number: str) -> None:
    for call in (create(sns, number), verify(sns, "123456", number), delete(sns, number)):
        assert await sns_refusal(call) == BADLY_FORMATTED


async def test_a_language_is_one_of_those_there_are(sns: SnsClient) -> None:
    await create(sns, LanguageCode="ja-JP")
    call = create(sns, LanguageCode="xx-XX")
    assert (await sns_refusal(call))[0] == "InvalidParameter"


async def test_a_number_that_opted_out_gets_no_password(sns: SnsClient, server: Server) -> None:
    await server.broker.sms.opt_out(ACCOUNT, REGION, NUMBER)
    assert (await sns_refusal(create(sns)))[0] == "OptedOut"
    assert await listed(sns) == {"PhoneNumbers": []}


async def test_sandbox_numbers_come_in_pages_of_up_to_100(sns: SnsClient) -> None:
    numbers = [f"+49151000{n:03}" for n in range(102)]
    for number in numbers:
        await create(sns, number)
    found = []
    token = None
    for max_results, size in ((None, 100), (1, 1), (100, 1)):
        page = await listed(
            sns,
            **({} if max_results is None else {"MaxResults": max_results}),
            **({} if token is None else {"NextToken": token}),
        )
        assert len(page["PhoneNumbers"]) == size
        found += [each["PhoneNumber"] for each in page["PhoneNumbers"]]
        token = page.get("NextToken")
    assert found == numbers
    assert token is None


# --- origination numbers ------------------------------------------------------------------------


def origination_number(n: int) -> OriginationNumber:
    return OriginationNumber(
        phone_number=f"+1800555{n:04}",
        created_at_ms=START_MS,
        status="ACTIVE",
        iso2_country_code="US",
        route_type="Transactional",
        number_capabilities=("SMS", "VOICE"),
    )


async def test_there_are_no_origination_numbers_at_first(sns: SnsClient) -> None:
    assert await sns.call("ListOriginationNumbers") == {"PhoneNumbers": []}


async def test_an_origination_number_is_listed_with_what_is_known_of_it(
    sns: SnsClient, server: Server
) -> None:
    await server.broker.sms.put_origination_number(ACCOUNT, REGION, origination_number(1))
    assert await sns.call("ListOriginationNumbers") == {
        "PhoneNumbers": [
            {
                "CreatedAt": datetime(2026, 1, 1, tzinfo=UTC),
                "PhoneNumber": "+18005550001",
                "Status": "ACTIVE",
                "Iso2CountryCode": "US",
                "RouteType": "Transactional",
                "NumberCapabilities": ["SMS", "VOICE"],
            }
        ]
    }
    elsewhere = sns.but(region="eu-west-1")
    assert await elsewhere.call("ListOriginationNumbers") == {"PhoneNumbers": []}


async def test_origination_numbers_come_in_pages_of_30(sns: SnsClient, server: Server) -> None:
    for n in range(31):
        await server.broker.sms.put_origination_number(ACCOUNT, REGION, origination_number(n))
    first = await sns.call("ListOriginationNumbers")
    second = await sns.call("ListOriginationNumbers", NextToken=first["NextToken"])
    assert [len(page["PhoneNumbers"]) for page in (first, second)] == [30, 1]
    assert "NextToken" not in second


@pytest.mark.parametrize(
    ("operation", "most"), [("ListSMSSandboxPhoneNumbers", 100), ("ListOriginationNumbers", 30)]
)
async def test_a_page_has_at_least_one_number_and_not_too_many(
    sns: SnsClient, operation: str, most: int
) -> None:
    assert await sns.call(operation, MaxResults=most) == {"PhoneNumbers": []}
    for max_results in (0, most + 1):
        call = sns.call(operation, MaxResults=max_results)
        assert (await sns_refusal(call))[0] == "InvalidParameter"
