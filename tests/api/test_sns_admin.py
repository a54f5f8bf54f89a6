"""What stands in for phones: the SMS sandbox, its passwords, origination numbers."""

import pytest

from tests.support.server import MEMORY_ONLY, Server
from tests.support.sns import SnsClient

pytestmark = MEMORY_ONLY
SANDBOX = "/_headrace/sns/sms-sandbox"
NUMBERS = "/_headrace/sns/origination-numbers"


@pytest.fixture
def sns(server: Server) -> SnsClient:
    return SnsClient(server.http)


async def test_an_account_is_put_into_the_sandbox_and_taken_out(
    server: Server, sns: SnsClient
) -> None:
    for in_sandbox in (True, False):
        answer = await server.http.put(SANDBOX, json={"inSandbox": in_sandbox})
        assert answer.json()["inSandbox"] is in_sandbox
        status = await sns.call("GetSMSSandboxAccountStatus")
        assert status == {"IsInSandbox": in_sandbox}


async def test_the_password_of_a_pending_number_can_be_read_and_verifies_it(
    server: Server, sns: SnsClient
) -> None:
    await sns.call("CreateSMSSandboxPhoneNumber", PhoneNumber="+15550100")
    passwords = (await server.http.get(SANDBOX)).json()["oneTimePasswords"]
    await sns.call(
        "VerifySMSSandboxPhoneNumber",
        PhoneNumber="+15550100",
        OneTimePassword=passwords["+15550100"],
    )
    assert (await server.http.get(SANDBOX)).json()["oneTimePasswords"] == {}


async def test_in_the_sandbox_only_verified_numbers_get_messages(
    server: Server, sns: SnsClient
) -> None:
    await server.http.put(SANDBOX, json={"inSandbox": True})
    await sns.call("Publish", PhoneNumber="+15550100", Message="hello")
    [delivery] = (await server.http.get("/_headrace/outbox")).json()["deliveries"]
    assert delivery["status"] == "failed"
    assert "sandbox" in delivery["response"]


async def test_an_origination_number_that_was_added_is_listed(
    server: Server, sns: SnsClient
) -> None:
    answer = await server.http.post(NUMBERS, json={"phoneNumber": "+15550100"})
    assert answer.status_code == 201
    listed = await sns.call("ListOriginationNumbers")
    assert [each["PhoneNumber"] for each in listed["PhoneNumbers"]] == ["+15550100"]


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PUT", SANDBOX, b""),
        ("PUT", SANDBOX, b"[]"),
        ("PUT", SANDBOX, b'{"inSandbox": "yes"}'),
        ("POST", NUMBERS, b"{}"),
        ("POST", NUMBERS, b'{"phoneNumber": "+1", "routeType": "Fast"}'),
        ("POST", NUMBERS, b'{"phoneNumber": "+1", "numberCapabilities": ["FAX"]}'),
        ("POST", NUMBERS, b'{"phoneNumber": "+1", "numberCapabilities": [{}]}'),
        ("POST", NUMBERS, b'{"phoneNumber": "+1", "iso2CountryCode": "USA"}'),
    ],
)
async def test_what_cannot_be_understood_is_refused(
    server: Server, method: str, path: str, body: bytes
) -> None:
    answer = await server.http.request(method, path, content=body)
    assert answer.status_code == 400
    assert answer.json()["error"]
