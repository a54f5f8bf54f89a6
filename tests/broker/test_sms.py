"""What publishing and administration ask about SMS, and which numbers there are."""

from collections.abc import AsyncIterator

import pytest

from broker.callers import Caller
from broker.seals import Seal
from broker.sms import (
    Sms,
    SmsOptions,
    check_phone_number,
    check_sms_attributes,
    check_sms_endpoint,
    check_sms_message,
)
from broker.topic_errors import InvalidParameter
from storage.memory import MemoryStorage
from storage.records import MessageAttribute
from tests.support.clock import FakeClock
from tests.support.server import CountedIds

ACCOUNT, REGION = "000000000000", "us-east-1"
CALLER = Caller(ACCOUNT, REGION, "arn:aws:iam::000000000000:root", signed=True)
NUMBER = "+4915112345678"


@pytest.fixture
async def sms() -> AsyncIterator[Sms]:
    """The verbs over an empty store."""
    store = MemoryStorage()
    await store.open()
    yield Sms(store, FakeClock(), CountedIds(), Seal(b"secret"))
    await store.close()


# --- numbers ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "number", ["+12/34-567.890", "+15551234567", "15551234567", "1-2", "+49.151.12345678"]
)
def test_single_separators_may_stand_between_digits(number: str) -> None:
    assert check_sms_endpoint(number)


@pytest.mark.parametrize(
    "number",
    [
        "",
        "+",
        "NAA+15551234567",
        "+1555abc4567",
        "+15551234567.",
        "-15551234567",
        "+.15551234567",
        "+155--51234567",
        "+155./51234567",
        "+155 51234567",
        "++15551234567",
        "+0555123456",
        "+1234567890123456",
        "+١٥٥٥١٢٣٤٥٦٧",
        "+15551234567\n",
    ],
)
def test_nothing_else_is_a_number_to_subscribe(number: str) -> None:
    assert not check_sms_endpoint(number)


def test_a_number_can_be_published_to_with_and_without_its_plus() -> None:
    check_phone_number("+15551234567")
    check_phone_number("15551234567")


@pytest.mark.parametrize("number", ["", "+1a234", "+1-555-1234567", "+15551234567\n"])
def test_what_is_no_number_is_not_valid_to_publish_to(number: str) -> None:
    with pytest.raises(InvalidParameter) as refused:
        check_phone_number(number)
    assert str(refused.value) == (
        f"Invalid parameter: PhoneNumber Reason: {number} is not valid to publish to"
    )


# --- messages -----------------------------------------------------------------------------------


def test_a_message_may_have_1600_characters_of_any_size() -> None:
    check_sms_message("ä" * 1_600)
    with pytest.raises(InvalidParameter, match=r"^Invalid parameter: Message too long$"):
        check_sms_message("a" * 1_601)


GOOD = {
    "AWS.SNS.SMS.SenderID": ["a", "Brand1", "1234567890a"],
    "AWS.SNS.SMS.MaxPrice": ["1", "0.50"],
    "AWS.SNS.SMS.SMSType": ["Promotional", "Transactional"],
    "AWS.MM.SMS.OriginationNumber": ["12345", "+18005550100"],
    "AWS.MM.SMS.EntityId": ["1101456324675322134"],
    "AWS.MM.SMS.TemplateId": ["1107160473203200314"],
    "other": ["", "anything"],
}
BAD = {
    "AWS.SNS.SMS.SenderID": ["123", "Brand-1", "Brand of mine", "abcdefghijkl"],
    "AWS.SNS.SMS.MaxPrice": ["-1", "1e2", "free"],
    "AWS.SNS.SMS.SMSType": ["promotional", "Urgent"],
    "AWS.MM.SMS.OriginationNumber": ["1234", "123456789012345", "abcde"],
    "AWS.MM.SMS.EntityId": ["x" * 31, "a b"],
    "AWS.MM.SMS.TemplateId": ["x" * 31],
}


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name, values in GOOD.items() for value in values]
)
def test_an_attribute_within_its_rules_is_fine(name: str, value: str) -> None:
    check_sms_attributes({name: MessageAttribute("String", value)})


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name, values in BAD.items() for value in values]
)
def test_an_attribute_outside_its_rules_is_refused(name: str, value: str) -> None:
    with pytest.raises(InvalidParameter, match=f"^Invalid parameter: {name} is invalid$"):
        check_sms_attributes({name: MessageAttribute("String", value)})


def test_a_binary_sender_id_is_refused() -> None:
    with pytest.raises(InvalidParameter):
        check_sms_attributes({"AWS.SNS.SMS.SenderID": MessageAttribute("Binary", b"Brand")})


async def test_a_message_without_attributes_is_sent_by_the_settings(sms: Sms) -> None:
    assert await sms.options(ACCOUNT, REGION, {}) == SmsOptions("Promotional")
    await sms.set_attributes(
        CALLER, {"DefaultSMSType": "Transactional", "DefaultSenderID": "Brand"}
    )
    assert await sms.options(ACCOUNT, REGION, {}) == SmsOptions("Transactional", "Brand")
    assert await sms.options(ACCOUNT, "eu-west-1", {}) == SmsOptions("Promotional")


async def test_the_attributes_of_a_message_win(sms: Sms) -> None:
    await sms.set_attributes(
        CALLER, {"DefaultSMSType": "Transactional", "DefaultSenderID": "Brand"}
    )
    attributes = {
        "AWS.SNS.SMS.SMSType": MessageAttribute("String", "Promotional"),
        "AWS.SNS.SMS.SenderID": MessageAttribute("String", "Other"),
        "AWS.SNS.SMS.MaxPrice": MessageAttribute("Number", "0.5"),
        "AWS.MM.SMS.OriginationNumber": MessageAttribute("String", "12345"),
        "AWS.MM.SMS.EntityId": MessageAttribute("String", "entity"),
        "AWS.MM.SMS.TemplateId": MessageAttribute("String", "template"),
    }
    assert await sms.options(ACCOUNT, REGION, attributes) == SmsOptions(
        "Promotional", "Other", "0.5", "12345", "entity", "template"
    )


# --- who receives -------------------------------------------------------------------------------


@pytest.mark.parametrize("written", ["4915112345678", "+49.151/12345-678"])
async def test_a_number_is_opted_out_however_it_is_written(sms: Sms, written: str) -> None:
    await sms.opt_out(ACCOUNT, REGION, NUMBER)
    assert await sms.opted_out(ACCOUNT, REGION, written)
    assert not await sms.opted_out(ACCOUNT, REGION, written + "9")


async def test_an_opt_out_holds_for_one_account_in_one_region(sms: Sms) -> None:
    await sms.opt_out(ACCOUNT, REGION, NUMBER)
    assert not await sms.opted_out(ACCOUNT, "eu-west-1", NUMBER)
    assert not await sms.opted_out("111111111111", REGION, NUMBER)


async def test_what_is_no_number_cannot_be_opted_out(sms: Sms) -> None:
    with pytest.raises(InvalidParameter):
        await sms.opt_out(ACCOUNT, REGION, "nobody")


async def test_outside_the_sandbox_everybody_may_receive(sms: Sms) -> None:
    assert await sms.may_receive(ACCOUNT, REGION, NUMBER)


async def test_in_the_sandbox_only_verified_numbers_may_receive(sms: Sms) -> None:
    await sms.set_in_sandbox(ACCOUNT, REGION, in_sandbox=True)
    assert not await sms.may_receive(ACCOUNT, REGION, NUMBER)
    await sms.create_sandbox_number(CALLER, NUMBER, None)
    assert not await sms.may_receive(ACCOUNT, REGION, NUMBER)
    password = (await sms.sandbox_passwords(ACCOUNT, REGION))[NUMBER]
    await sms.verify_sandbox_number(CALLER, NUMBER, password)
    assert await sms.may_receive(ACCOUNT, REGION, NUMBER)
    assert await sms.may_receive(ACCOUNT, REGION, "49-151-12345678")
    assert not await sms.may_receive(ACCOUNT, REGION, NUMBER + "9")
    await sms.set_in_sandbox(ACCOUNT, REGION, in_sandbox=False)
    assert await sms.may_receive(ACCOUNT, REGION, NUMBER + "9")


async def test_all_pending_numbers_have_a_password_of_their_own(sms: Sms) -> None:
    numbers = [f"+{10_000_000 + n}" for n in range(120)]
    for number in numbers:
        await sms.create_sandbox_number(CALLER, number, None)
    passwords = await sms.sandbox_passwords(ACCOUNT, REGION)
    assert sorted(passwords) == numbers
    assert len(set(passwords.values())) == 120
    assert all(len(each) == 6 and each.isdigit() for each in passwords.values())
