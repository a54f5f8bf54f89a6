"""Pages for people who follow a link, and the certificate (SNS reference, 1.6)."""

from collections.abc import AsyncIterator
from typing import cast

import httpx
import pytest

from api.app import create_app
from api.context import Site
from broker import Broker, StoreBroken, StoreUnwritable, topic_errors
from tests.support.recorder import Recorder
from tests.support.server import ACCOUNT, ENDPOINT, REGION, CountedIds

TOPIC = "arn:aws:sns:eu-west-1:000000000000:news"
SUBSCRIPTION = f"{TOPIC}:00000000-0000-4000-8000-000000000001"
CONFIRMATION = f"/confirmation.html?TopicArn={TOPIC}&Token=abc&Endpoint=a%26b@example.org"
UNSUBSCRIBE = f"/unsubscribe.html?SubscriptionArn={SUBSCRIPTION}&Endpoint=a@example.org"
CERTIFICATE = f"/SimpleNotificationService-{'0a' * 16}.pem"


@pytest.fixture
def broker() -> Recorder:
    """What is behind the pages."""
    return Recorder()


@pytest.fixture
def broken() -> list[bool]:
    """Holds something once the store was said to have failed for good."""
    return []


@pytest.fixture
async def http(broker: Recorder, broken: list[bool]) -> AsyncIterator[httpx.AsyncClient]:
    """Connections to the server."""
    app = create_app(
        cast("Broker", broker),
        Site(REGION, ACCOUNT, None),
        CountedIds(),
        on_broken=lambda: broken.append(True),
    )
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url=ENDPOINT) as http:
        yield http


async def test_following_a_confirmation_link_confirms(
    http: httpx.AsyncClient, broker: Recorder
) -> None:
    broker.answer = SUBSCRIPTION
    page = await http.get(CONFIRMATION)
    assert page.status_code == 200
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert f"<code>{SUBSCRIPTION}</code>" in page.text
    call = broker.last
    assert (call.verb, call.given) == ("confirm", (TOPIC, "abc"))
    assert call.named == {"authenticate_on_unsubscribe": False}
    assert call.caller == (ACCOUNT, "eu-west-1", f"arn:aws:iam::{ACCOUNT}:root", False)


async def test_a_confirmation_shows_how_to_unsubscribe(
    http: httpx.AsyncClient, broker: Recorder
) -> None:
    broker.answer = SUBSCRIPTION
    page = (await http.get(CONFIRMATION)).text
    link = page.partition('href="')[2].partition('"')[0].replace("&amp;", "&")
    broker.calls.clear()
    assert "Subscription removed" in (await http.get(link)).text
    assert (broker.last.verb, broker.last.given) == ("unsubscribe", (SUBSCRIPTION,))
    assert "Endpoint=a%26b%40example.org" in link


async def test_following_an_unsubscribe_link_unsubscribes(
    http: httpx.AsyncClient, broker: Recorder
) -> None:
    page = await http.get(UNSUBSCRIBE)
    assert page.status_code == 200
    assert SUBSCRIPTION in page.text
    assert (broker.last.verb, broker.last.given) == ("unsubscribe", (SUBSCRIPTION,))
    assert broker.last.named == {"base_url": ENDPOINT}
    assert not broker.last.caller.signed


@pytest.mark.parametrize("path", [CONFIRMATION, UNSUBSCRIBE])
async def test_a_look_at_a_link_does_not_follow_it(
    http: httpx.AsyncClient, broker: Recorder, path: str
) -> None:
    assert (await http.head(path)).status_code == 200
    assert (await http.post(path)).status_code == 405
    assert broker.calls == []


@pytest.mark.parametrize("path", [CONFIRMATION, UNSUBSCRIBE])
async def test_a_refusal_is_told_as_text(
    http: httpx.AsyncClient, broker: Recorder, path: str
) -> None:
    broker.answer = topic_errors.NotFound("<Topic> does not exist")
    page = await http.get(path)
    assert page.status_code == 400
    assert page.headers["content-type"] == "text/plain; charset=utf-8"
    assert page.text == "<Topic> does not exist\n"


@pytest.mark.parametrize(
    ("path", "missing"),
    [
        ("/confirmation.html", "TopicArn"),
        (f"/confirmation.html?TopicArn={TOPIC}", "Token"),
        ("/unsubscribe.html", "SubscriptionArn"),
    ],
)
async def test_what_a_link_lacks_is_named(
    http: httpx.AsyncClient, broker: Recorder, path: str, missing: str
) -> None:
    page = await http.get(path)
    assert page.status_code == 400
    assert f"Invalid parameter: {missing} Reason: no value" in page.text
    assert broker.calls == []


@pytest.mark.parametrize(
    ("error", "expected"), [(StoreUnwritable("full"), []), (StoreBroken("gone"), [True])]
)
async def test_a_store_that_cannot_write_is_an_unavailable_page(
    http: httpx.AsyncClient,
    broker: Recorder,
    broken: list[bool],
    error: Exception,
    expected: list[bool],
) -> None:
    broker.answer = error
    page = await http.get(UNSUBSCRIBE)
    assert page.status_code == 503
    assert broken == expected


async def test_nothing_a_link_says_becomes_markup(
    http: httpx.AsyncClient, broker: Recorder
) -> None:
    evil = '"><script>alert(1)</script>'
    broker.answer = evil
    for path, name in (("/confirmation.html", "Endpoint"), ("/unsubscribe.html", "Endpoint")):
        parameters = {"TopicArn": evil, "Token": evil, "SubscriptionArn": evil, name: evil}
        page = await http.get(path, params=parameters)
        assert page.status_code == 200
        assert "<script" not in page.text
        assert '"><' not in page.text.replace('<html lang="en"><', "").replace('"utf-8"><', "")


async def test_pages_load_and_run_nothing(http: httpx.AsyncClient) -> None:
    for path in (UNSUBSCRIBE, "/unsubscribe.html"):
        headers = (await http.get(path)).headers
        assert headers["content-security-policy"].startswith("default-src 'none'")
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"


async def test_links_are_made_for_the_host_that_was_called(
    http: httpx.AsyncClient, broker: Recorder
) -> None:
    await http.get(UNSUBSCRIBE, headers={"host": "broker.test:1234"})
    assert broker.last.named == {"base_url": "http://broker.test:1234"}


# --- the certificate ----------------------------------------------------------------------------


async def test_the_certificate_is_served(http: httpx.AsyncClient, broker: Recorder) -> None:
    broker.answer = b"-----BEGIN CERTIFICATE-----\n"
    response = await http.get(CERTIFICATE)
    assert response.content == broker.answer
    assert response.headers["content-type"] == "application/x-pem-file"
    assert broker.last.given == (CERTIFICATE[1:],)


async def test_another_certificate_is_not_found(http: httpx.AsyncClient) -> None:
    assert (await http.get(CERTIFICATE)).status_code == 404


@pytest.mark.parametrize("digest", ["", "0a" * 15, "0A" * 16, "0a" * 16 + "0", "..%2F" + "0" * 30])
async def test_a_name_of_another_form_is_not_looked_up(
    http: httpx.AsyncClient, broker: Recorder, digest: str
) -> None:
    response = await http.get(f"/SimpleNotificationService-{digest}.pem")
    assert response.status_code == 404
    assert broker.calls == []
