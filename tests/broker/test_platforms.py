"""What publishing asks of platform applications and endpoints, and what comes of races."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

import pytest

from broker.callers import Caller
from broker.envelopes import ProtocolMessages
from broker.platforms import (
    PlatformEndpoint,
    Platforms,
    check_platform_entry,
    platform_of,
    platform_payload,
)
from broker.seals import Seal
from broker.topic_errors import InvalidParameter, NotFound
from storage.contract import Storage
from storage.memory import MemoryStorage
from storage.topic_records import DocumentChange
from tests.support.clock import FakeClock
from tests.support.server import CountedIds

CALLER = Caller("000000000000", "us-east-1", "arn:aws:iam::000000000000:root", signed=True)
CREDENTIALS = {"PlatformPrincipal": "principal", "PlatformCredential": "credential"}
TOPIC = "arn:aws:sns:us-east-1:000000000000:events"


@pytest.fixture
async def store() -> AsyncIterator[Storage]:
    """An empty store."""
    store = MemoryStorage()
    await store.open()
    yield store
    await store.close()


@pytest.fixture
def platforms(store: Storage) -> Platforms:
    """The verbs over it."""
    return Platforms(store, FakeClock(), CountedIds(), Seal(b"secret"))


async def an_endpoint(platforms: Platforms, device: str = "token", **attributes: str) -> str:
    """A new endpoint of an application ``app`` of ADM, which is made if need be."""
    application = await platforms.create_application(CALLER, "app", "ADM", CREDENTIALS | attributes)
    return await platforms.create_endpoint(CALLER, application, device, None, {})


def told(platforms: Platforms) -> list[tuple[str, dict[str, object]]]:
    """The list to which events go from now on: the topic's ARN, and the message read."""
    events: list[tuple[str, dict[str, object]]] = []

    async def publish(topic_arn: str, message: str) -> None:
        events.append((topic_arn, json.loads(message)))

    platforms.publish_event = publish
    return events


# --- for publishing -----------------------------------------------------------------------------


async def test_publishing_finds_an_endpoint_by_its_arn_alone(platforms: Platforms) -> None:
    arn = await an_endpoint(platforms)
    application = "arn:aws:sns:us-east-1:000000000000:app/ADM/app"
    assert await platforms.endpoint(arn) == PlatformEndpoint(
        arn, application, "ADM", "token", enabled=True, custom_user_data=None
    )
    assert await platforms.application_enabled(application)
    assert platform_of(arn) == "ADM"


@pytest.mark.parametrize(
    "arn",
    [
        "",
        "nonsense",
        "arn:aws:sns:us-east-1:000000000000:endpoint/ADM/app",
        "arn:aws:sns:us-east-1:000000000000:endpoint/ADM/app/none",
        "arn:aws:sns:us-east-1:000000000000:endpoint/ADM/other/none",
        "arn:aws:sqs:us-east-1:000000000000:endpoint/ADM/app/none",
        "arn:aws:sns:us-east-1:000000000000:topic",
    ],
)
async def test_what_is_no_endpoint_is_not_found_and_can_be_disabled_in_vain(
    platforms: Platforms, arn: str
) -> None:
    await an_endpoint(platforms)
    assert await platforms.endpoint(arn) is None
    assert not await platforms.application_enabled(arn)
    await platforms.disable(arn)
    await platforms.tell_delivery_failure(arn, "id", failure_type="", failure_message="")


async def test_an_endpoint_of_another_region_is_another(platforms: Platforms) -> None:
    arn = await an_endpoint(platforms)
    assert await platforms.endpoint(arn.replace("us-east-1", "eu-west-1")) is None


async def test_a_disabled_endpoint_keeps_what_else_it_has(platforms: Platforms) -> None:
    application = await platforms.create_application(CALLER, "app", "ADM", CREDENTIALS)
    arn = await platforms.create_endpoint(CALLER, application, "token", "user 7", {})
    await platforms.disable(arn)
    await platforms.disable(arn)
    assert await platforms.endpoint_attributes(CALLER, arn) == {
        "Enabled": "false",
        "Token": "token",
        "CustomUserData": "user 7",
    }


async def test_a_disabled_application_says_so(platforms: Platforms) -> None:
    application = await platforms.create_application(CALLER, "app", "ADM", CREDENTIALS)
    await platforms.set_application_attributes(CALLER, application, {"Enabled": "False"})
    assert not await platforms.application_enabled(application)


async def test_a_deleted_endpoint_leaves_nothing_behind(
    store: Storage, platforms: Platforms
) -> None:
    await platforms.delete_endpoint(CALLER, await an_endpoint(platforms))
    for kind in ("platform-endpoint", "platform-token"):
        assert not await store.list_documents(kind, CALLER.account, CALLER.region, limit=1)


async def test_endpoints_are_gone_with_their_application_and_do_not_come_back(
    store: Storage, platforms: Platforms
) -> None:
    arns = [await an_endpoint(platforms, f"token {n}") for n in range(250)]
    application = "arn:aws:sns:us-east-1:000000000000:app/ADM/app"
    await platforms.delete_application(CALLER, application)
    left = [
        await store.list_documents(kind, CALLER.account, CALLER.region, limit=1)
        for kind in ("platform-application", "platform-endpoint", "platform-token")
    ]
    assert left == [[], [], []]
    again = await an_endpoint(platforms, "token 0")
    assert again not in arns
    assert await platforms.endpoint(arns[0]) is None
    assert [each.arn for each in (await platforms.endpoints(CALLER, application, None))[0]] == [
        again
    ]


# --- others at the same time --------------------------------------------------------------------


Arrange = Callable[[Callable[[], Awaitable[object]]], None]


@pytest.fixture
def before_next_change(store: Storage, monkeypatch: pytest.MonkeyPatch) -> Arrange:
    """Have something happen between what a verb has read and what it then changes."""
    change = store.change_documents

    def arrange(meanwhile: Callable[[], Awaitable[object]]) -> None:
        async def overtaken(changes: Sequence[DocumentChange]) -> bool:
            monkeypatch.setattr(store, "change_documents", change)
            await meanwhile()
            return await change(changes)

        monkeypatch.setattr(store, "change_documents", overtaken)

    return arrange


async def test_two_that_create_an_endpoint_for_one_token_get_the_same(
    platforms: Platforms, before_next_change: Arrange
) -> None:
    application = await platforms.create_application(CALLER, "app", "ADM", CREDENTIALS)
    found: list[str] = []

    async def create() -> None:
        found.append(await platforms.create_endpoint(CALLER, application, "token", None, {}))

    before_next_change(create)
    assert [await platforms.create_endpoint(CALLER, application, "token", None, {})] == found
    assert len((await platforms.endpoints(CALLER, application, None))[0]) == 1


async def test_no_endpoint_is_created_for_an_application_that_goes_meanwhile(
    store: Storage, platforms: Platforms, before_next_change: Arrange
) -> None:
    application = await platforms.create_application(CALLER, "app", "ADM", CREDENTIALS)
    before_next_change(lambda: platforms.delete_application(CALLER, application))
    with pytest.raises(NotFound, match="PlatformApplication does not exist"):
        await platforms.create_endpoint(CALLER, application, "token", None, {})
    for kind in ("platform-endpoint", "platform-token"):
        assert not await store.list_documents(kind, CALLER.account, CALLER.region, limit=1)


async def test_two_changes_of_an_application_both_last(
    platforms: Platforms, before_next_change: Arrange
) -> None:
    application = await platforms.create_application(CALLER, "app", "ADM", CREDENTIALS)
    before_next_change(
        lambda: platforms.set_application_attributes(CALLER, application, {"Enabled": "false"})
    )
    await platforms.set_application_attributes(
        CALLER, application, {"SuccessFeedbackSampleRate": "50"}
    )
    assert await platforms.application_attributes(CALLER, application) == {
        "Enabled": "false",
        "SuccessFeedbackSampleRate": "50",
    }


# --- events -------------------------------------------------------------------------------------


async def test_an_application_is_told_of_what_happens_to_its_endpoints(
    platforms: Platforms,
) -> None:
    events = told(platforms)
    arn = await an_endpoint(
        platforms,
        EventEndpointCreated=f"{TOPIC}-created",
        EventEndpointUpdated=f"{TOPIC}-updated",
        EventEndpointDeleted=f"{TOPIC}-deleted",
    )
    await platforms.set_endpoint_attributes(CALLER, arn, {"Token": "other"})
    await platforms.set_endpoint_attributes(CALLER, arn, {"Token": "other"})  # as it is
    await platforms.delete_endpoint(CALLER, arn)
    await platforms.delete_endpoint(CALLER, arn)
    common = {
        "EndpointArn": arn,
        "Resource": "arn:aws:sns:us-east-1:000000000000:app/ADM/app",
        "Service": "SNS",
    }
    created, changed = ({"Enabled": "true", "Token": token} for token in ("token", "other"))
    assert events == [
        (f"{TOPIC}-created", {"EventType": "EndpointCreated", "Attributes": created, **common}),
        (f"{TOPIC}-updated", {"EventType": "EndpointUpdated", "Attributes": changed, **common}),
        (f"{TOPIC}-deleted", {"EventType": "EndpointDeleted", "Attributes": changed, **common}),
    ]


async def test_an_endpoint_that_was_there_is_not_announced(platforms: Platforms) -> None:
    await an_endpoint(platforms, EventEndpointCreated=TOPIC)
    events = told(platforms)
    await an_endpoint(platforms, EventEndpointCreated=TOPIC)
    assert events == []


async def test_an_application_without_a_topic_for_an_event_is_not_told(
    platforms: Platforms,
) -> None:
    events = told(platforms)
    arn = await an_endpoint(platforms, EventEndpointDeleted=TOPIC)
    await platforms.tell_delivery_failure(arn, "id", failure_type="", failure_message="")
    assert events == []


async def test_a_failed_delivery_is_told_with_its_reason_and_time(platforms: Platforms) -> None:
    arn = await an_endpoint(platforms, EventDeliveryFailure=TOPIC)
    events = told(platforms)
    await platforms.tell_delivery_failure(
        arn, "id of the message", failure_type="InvalidPlatformToken", failure_message="gone"
    )
    [(topic_arn, event)] = events
    assert topic_arn == TOPIC
    assert event["EventType"] == "DeliveryFailure"
    assert event["EndpointArn"] == arn
    assert event["MessageId"] == "id of the message"
    assert event["FailureType"] == "InvalidPlatformToken"
    assert event["FailureMessage"] == "gone"
    assert event["Time"] == "2026-01-01T00:00:00.000Z"


async def test_an_event_that_cannot_be_published_fails_nothing(platforms: Platforms) -> None:
    async def refuse(topic_arn: str, message: str) -> None:
        raise NotFound("Topic does not exist")

    platforms.publish_event = refuse
    arn = await an_endpoint(platforms, EventEndpointCreated=TOPIC)
    assert await platforms.endpoint(arn) is not None


# --- payloads -----------------------------------------------------------------------------------


def structured(entries: dict[str, object]) -> ProtocolMessages:
    """A message with an entry for each protocol."""
    return ProtocolMessages(json.dumps(entries), structured=True)


@pytest.mark.parametrize(
    ("platform", "payload"),
    [
        ("APNS", '{"aps": {"alert": "hällo"}}'),
        ("APNS_SANDBOX", '{"aps": {"alert": "hällo"}}'),
        ("APNS_VOIP", '{"aps": {"alert": "hällo"}}'),
        ("MACOS", '{"aps": {"alert": "hällo"}}'),
        ("GCM", '{"data": {"default": "hällo"}}'),
        ("ADM", '{"data": {"default": "hällo"}}'),
        ("WNS", "hällo"),
    ],
)
def test_a_text_is_wrapped_in_what_the_platform_takes(platform: str, payload: str) -> None:
    assert platform_payload(platform, ProtocolMessages("hällo", structured=False)) == payload
    assert platform_payload(platform, structured({"default": "hällo"})) == payload


def test_a_platforms_own_entry_goes_out_as_it_is() -> None:
    messages = structured({"default": "hello", "APNS": '{"aps":{"badge":1}}', "APNS_SANDBOX": ""})
    assert platform_payload("APNS", messages) == '{"aps":{"badge":1}}'
    assert platform_payload("APNS_SANDBOX", messages) == ""


def test_an_entry_that_is_no_string_does_not_count() -> None:
    messages = structured({"default": "hello", "GCM": {"data": {}}})
    assert platform_payload("GCM", messages) == '{"data": {"default": "hello"}}'


@pytest.mark.parametrize("entries", [{"default": "x"}, {"GCM": "x"}, {"GCM": "x", "default": 1}])
def test_a_message_with_an_entry_for_the_platform_or_for_all_is_fine(
    entries: dict[str, object],
) -> None:
    check_platform_entry("GCM", structured(entries))


@pytest.mark.parametrize("entries", [{}, {"APNS": "x"}, {"GCM": 1, "default": None}])
def test_a_message_with_nothing_for_the_platform_is_refused(entries: dict[str, object]) -> None:
    with pytest.raises(InvalidParameter) as refused:
        check_platform_entry("GCM", structured(entries))
    assert str(refused.value) == (
        "Invalid parameter: JSON must contain an entry for 'default' or 'GCM'."
    )
