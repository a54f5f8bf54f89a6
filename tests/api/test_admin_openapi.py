"""The document of the admin API says what is so."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.routing import Route

from api import admin as own_paths
from api.admin.describing import DescribedRoute
from api.admin.openapi import PREFIX, endpoints
from api.context import Site
from storage import open_storage
from storage.contract import Storage
from tests.support.admin import AdminClient, Document
from tests.support.client import Client, redrive_policy
from tests.support.server import ACCOUNT, REGION, Server

ROUTES = own_paths.routes(Site(REGION, ACCOUNT, None))
ENDPOINTS = [(method, path) for method, path, _ in endpoints(ROUTES)]


@pytest.fixture
def store() -> Storage:
    """No store has a part in this."""
    return open_storage("memory", strict=False)


@pytest.fixture
def admin(server: Server) -> AdminClient:
    return AdminClient(server.http)


@pytest.fixture
async def document(admin: AdminClient) -> Document:
    """The document."""
    return await admin.get("openapi.json")


def operations(document: Document) -> Iterator[tuple[str, str, Document]]:
    """All that it describes."""
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield method.upper(), path, operation


async def test_it_has_each_endpoint_and_no_other(document: Document) -> None:
    described = [(method, path) for method, path, _ in operations(document)]
    assert sorted(described) == sorted(ENDPOINTS)
    assert len(ENDPOINTS) > 20


async def test_an_answer_without_content_is_described_so(document: Document) -> None:
    operation = document["paths"][f"{PREFIX}faults/{{rule_id}}"]["delete"]
    assert operation["responses"]["204"] == {"description": "Done."}


def test_every_endpoint_is_described() -> None:
    """Beside the summary, which is its docstring's."""
    ours = [each for each in ROUTES if isinstance(each, Route) and each.path.startswith(PREFIX)]
    assert [each.path for each in ours if not isinstance(each, DescribedRoute)] == []


async def test_every_operation_has_a_summary_and_an_id_of_its_own(document: Document) -> None:
    found = [operation for _, _, operation in operations(document)]
    assert all(operation["summary"].endswith(".") for operation in found)
    assert len({operation["operationId"] for operation in found}) == len(found)


async def test_every_placeholder_of_a_path_is_a_parameter(document: Document) -> None:
    for _, path, operation in operations(document):
        named = [each["name"] for each in operation["parameters"] if each["in"] == "path"]
        assert named == [part[1:-1] for part in path.split("/") if part.startswith("{")]


async def test_every_reference_leads_somewhere(document: Document) -> None:
    found = list(references(document))
    assert "#/components/schemas/QueueList" in found
    for each in found:
        assert each.removeprefix("#/components/schemas/") in document["components"]["schemas"]


def references(value: Any) -> Iterator[str]:
    """All ``$ref`` within."""
    if isinstance(value, dict):
        if "$ref" in value:
            yield value["$ref"]
        for each in value.values():
            yield from references(each)
    elif isinstance(value, list):
        for each in value:
            yield from references(each)


# --- answers are as described -------------------------------------------------------------------


def check(value: Any, schema: Document, document: Document) -> None:
    """Fail if a value does not fit a schema of the kinds that occur."""
    if "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    if "anyOf" in schema:
        fitting = [each for each in schema["anyOf"] if fits(value, each, document)]
        assert fitting, (value, schema)
        return
    kinds = {
        "object": dict,
        "array": list,
        "string": str,
        "integer": int,
        "boolean": bool,
        "null": type(None),
    }
    fitting_kind = type(value) is kinds[schema["type"]]
    assert fitting_kind, (value, schema)
    if schema["type"] == "array":
        for each in value:
            check(each, schema["items"], document)
    if schema["type"] == "object":
        properties = schema.get("properties", {})
        assert set(schema.get("required", ())) <= value.keys(), (value, schema)
        for name, each in value.items():
            described = properties.get(name) or schema.get("additionalProperties")
            assert described, (name, schema)
            check(each, described, document)


def fits(value: Any, schema: Document, document: Document) -> bool:
    """Whether a value fits."""
    try:
        check(value, schema, document)
    except AssertionError:
        return False
    return True


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "", None),
        ("GET", "queues", None),
        ("GET", "queues/{name}", None),
        ("GET", "queues/{account}/{region}/{name}", None),
        ("GET", "queues/{name}/messages", None),
        ("GET", "queues/{account}/{region}/{name}/messages", None),
        ("GET", "queues/{name}/messages/{message_id}", None),
        ("POST", "queues/{name}/messages/{message_id}/show", None),
        ("POST", "queues/{name}/messages/{message_id}/move", {"queue": "other"}),
        ("DELETE", "queues/{name}/messages/{message_id}", None),
        ("PUT", "checkpoints/{name}", None),
        ("GET", "checkpoints", None),
        ("POST", "checkpoints/{name}/restore", None),
        ("DELETE", "checkpoints/{name}", None),
        ("GET", "wait", None),
        ("POST", "reset", None),
    ],
)
async def test_answers_are_as_described(
    server: Server, document: Document, method: str, path: str, body: object
) -> None:
    sqs: Client = server.client("json")
    other = await sqs.queue("other")
    queue = await sqs.queue("jobs", RedrivePolicy=redrive_policy(await other.arn(), 1))
    await queue.call("TagQueue", Tags={"team": "shop"})
    binary = {"DataType": "Binary", "BinaryValue": b"\x00"}
    sent = await queue.send(DelaySeconds=60, MessageGroupId="g", MessageAttributes={"n": binary})
    admin = AdminClient(server.http)
    await admin.put("checkpoints/jobs")
    query: dict[str, Any] = {"queue": "jobs", "messages": 1} if path == "wait" else {}
    values = {
        "name": "jobs",
        "account": ACCOUNT,
        "region": REGION,
        "message_id": sent["MessageId"],
    }
    answer = await admin.call(method, path.format_map(values), json=body, **query)
    operation = document["paths"][f"{PREFIX}{path}"][method.lower()]
    [(media_type, described)] = operation["responses"]["200"]["content"].items()
    assert media_type == "application/json"
    assert "$ref" in described["schema"]
    check(answer, described["schema"], document)


async def test_an_answer_that_is_not_as_described_is_found(document: Document) -> None:
    schema = {"$ref": "#/components/schemas/Reset"}
    good = {"queues": 1, "topics": 1, "messages": 1}
    assert fits(good, schema, document)
    for bad in (good | {"topics": "1"}, {"queues": 1}, good | {"more": 1}, [good]):
        assert not fits(bad, schema, document)


async def test_a_refusal_is_as_described(admin: AdminClient, document: Document) -> None:
    told = await admin.call("GET", "queues/none", status=404)
    operation = document["paths"][f"{PREFIX}queues/{{name}}"]["get"]
    check(told, operation["responses"]["404"]["content"]["application/json"]["schema"], document)


# --- the overview -------------------------------------------------------------------------------


async def test_the_overview_lists_each_endpoint(admin: AdminClient) -> None:
    overview = await admin.get("")
    assert (overview["name"], overview["store"]) == ("headrace", "memory")
    listed = [(each["method"], each["path"]) for each in overview["endpoints"]]
    assert listed == sorted(ENDPOINTS, key=lambda each: (each[1], each[0]))
    assert all(each["summary"] for each in overview["endpoints"])
    assert overview["openapi"] == "/_headrace/openapi.json"


async def test_the_overview_needs_no_slash_at_the_end(server: Server, admin: AdminClient) -> None:
    response = await server.http.get("/_headrace")
    assert (response.status_code, response.json()) == (200, await admin.get(""))


# --- requests are as described ------------------------------------------------------------------


@pytest.mark.parametrize(("method", "path"), ENDPOINTS)
async def test_no_endpoint_passes_over_a_parameter_that_there_is_not(
    server: Server, method: str, path: str
) -> None:
    response = await server.http.request(method, f"{path}?nonsense=1")
    assert response.status_code == 400
    assert response.json()["error"].startswith("there is no parameter nonsense: ")


@pytest.mark.parametrize(
    ("method", "path"), [each for each in ENDPOINTS if each[0] not in ("GET", "HEAD")]
)
async def test_no_endpoint_passes_over_a_member_that_there_is_not(
    server: Server, method: str, path: str
) -> None:
    response = await server.http.request(method, path, json={"nonsense": 1})
    assert response.status_code == 400
    assert response.json()["error"].startswith(("there is no ", "no body is taken here"))


@pytest.mark.parametrize("path", ["queues/", "clock/", "health/", "nothing/", "checkpoints/a/"])
async def test_there_is_nothing_at_a_path_with_a_slash_too_many(
    admin: AdminClient, path: str
) -> None:
    assert await admin.refusal("GET", path) == (404, "there is nothing at this path")


# --- docs/admin-api.md --------------------------------------------------------------------------


def test_the_manual_names_each_endpoint_and_no_other() -> None:
    """Of queues the short form, which stands for the long one."""
    manual = (Path(__file__).parents[2] / "docs/admin-api.md").read_text("utf-8")
    named = re.findall(r"^\| `([A-Z]+) (/_headrace/\S*)` \|", manual, re.MULTILINE)
    assert sorted(named) == sorted(each for each in ENDPOINTS if "/{account}/" not in each[1])
