"""Who may not use the admin API, and how it refuses what it has not."""

from collections.abc import AsyncIterator

import pytest

from storage.contract import Storage
from tests.support.client import Client
from tests.support.clock import FakeClock
from tests.support.server import ENDPOINT, MEMORY_ONLY, Server, running

pytestmark = MEMORY_ONLY


@pytest.fixture
async def without_admin(store: Storage, clock: FakeClock) -> AsyncIterator[Server]:
    """A server run with --no-admin."""
    async with running(store, clock, with_admin=False) as server:
        yield server


# --- pages of other sites -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "http://localhost",
        "http://localhost:3000",
        "http://localhost:4566.evil.example",
        "null",
        "",
        "http://[",
    ],
)
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/_headrace/reset"),
        ("PUT", "/_headrace/checkpoints/c"),
        ("DELETE", "/_headrace/outbox"),
        ("DELETE", "/_aws/sns/sms-messages"),
    ],
)
async def test_a_page_of_another_site_changes_nothing(
    server: Server, method: str, path: str, origin: str
) -> None:
    response = await server.http.request(method, path, headers={"origin": origin})
    assert response.status_code == 403
    assert response.json() == {"error": "requests from pages of other sites are refused"}


@pytest.mark.parametrize("origin", [None, ENDPOINT, "HTTP://LOCALHOST:4566"])
async def test_programs_and_pages_of_ours_may(server: Server, origin: str | None) -> None:
    headers = {} if origin is None else {"origin": origin}
    response = await server.http.post("/_headrace/reset", headers=headers)
    assert response.status_code == 200


async def test_looking_is_for_everybody(server: Server) -> None:
    headers = {"origin": "https://evil.example"}
    response = await server.http.get("/_headrace/queues", headers=headers)
    assert response.status_code == 200
    assert "access-control-allow-origin" not in response.headers  # so no page reads it


# --- --no-admin ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/_headrace/"),
        ("GET", "/_headrace/openapi.json"),
        ("GET", "/_headrace/queues"),
        ("POST", "/_headrace/reset"),
        ("GET", "/_headrace/outbox"),
        ("GET", "/_headrace/wait"),
        ("GET", "/_aws/sqs/messages"),
        ("GET", "/_aws/sns/sms-messages"),
    ],
)
async def test_without_the_admin_api_nothing_is_there(
    without_admin: Server, method: str, path: str
) -> None:
    response = await without_admin.http.request(method, path)
    assert response.status_code == 404
    assert response.json() == {"error": "there is nothing at this path"}


@pytest.mark.parametrize("path", ["/_headrace/health", "/health"])
async def test_health_is_there_without_the_admin_api(without_admin: Server, path: str) -> None:
    assert (await without_admin.http.get(path)).json()["status"] == "ok"


async def test_queues_are_served_without_the_admin_api(without_admin: Server) -> None:
    sqs: Client = without_admin.client("json")
    queue = await sqs.queue("jobs")
    await queue.send()
    assert await queue.bodies() == ["hello"]


# --- what there is not --------------------------------------------------------------------------


async def test_an_unknown_path_is_404_in_json(server: Server) -> None:
    response = await server.http.get("/_headrace/unknown")
    assert (response.status_code, response.json()) == (
        404,
        {"error": "there is nothing at this path"},
    )


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("POST", "/_headrace/outbox", "DELETE, GET, HEAD"),
        ("GET", "/_headrace/reset", "POST"),
        ("POST", "/_headrace/queues/jobs/messages/x", "DELETE, GET, HEAD"),
    ],
)
async def test_an_unknown_method_is_405_in_json_and_says_which_there_are(
    server: Server, method: str, path: str, allowed: str
) -> None:
    response = await server.http.request(method, path)
    assert (response.status_code, response.json()) == (
        405,
        {"error": "this path does not take that method"},
    )
    assert response.headers["allow"] == allowed
