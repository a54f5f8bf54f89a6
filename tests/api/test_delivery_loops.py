"""A topic that delivers to the server it is on."""

import pytest

from tests.support.server import MEMORY_ONLY, Server

pytestmark = MEMORY_ONLY


@pytest.mark.parametrize("kind", ["Notification", "SubscriptionConfirmation"])
async def test_a_delivery_is_not_taken_for_a_request(server: Server, kind: str) -> None:
    answer = await server.http.post(
        "/?Action=ListTopics&Version=2010-03-31",
        content='{\n  "Type" : "Notification"\n}',
        headers={"x-amz-sns-message-type": kind},
    )
    assert answer.status_code == 403  # which is not repeated
    assert "<Code>AccessDenied</Code>" in answer.text
