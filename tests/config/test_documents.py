"""docs/configuration.md says what is so."""

import re
from pathlib import Path

from api.config import check
from api.config.models import Account, File, Queue, Region, Subscription, Topic
from tests.config.conftest import Write

DOCUMENT = (Path(__file__).parents[2] / "docs" / "configuration.md").read_text("utf-8")


async def test_the_example_can_be_used(write: Write) -> None:
    [example] = re.findall(r"```yaml\n(.*?)```", DOCUMENT, re.DOTALL)
    path = write(example)
    assert await check(path) == (0, [f"{path}: ok, 4 queues, 1 topic, 2 subscriptions"])


def test_each_key_that_is_no_attribute_is_named_where_it_may_stand() -> None:
    rows = dict(re.findall(r"^\| (.+?) \| (.+) \|$", DOCUMENT, re.MULTILINE))
    models: dict[str, type[Region | Queue | Topic | Subscription]] = {
        "the file": File,
        "under `accounts`, by account": Account,
        "under `regions`, by region": Region,
        "a queue": Queue,
        "a topic": Topic,
        "a subscription": Subscription,
    }
    for row, model in models.items():
        fields = {model.model_fields[name].alias for name in model.no_attributes}
        assert set(re.findall(r"`(\w+)`", rows[row])) == fields - {"$schema"}


async def test_the_mistakes_shown_are_told_so(write: Write) -> None:
    shown = re.findall(r"^    headrace\.yaml:\d+: (.*)$", DOCUMENT, re.MULTILINE)
    texts = (
        "queues: {orders: {visiblityTimeout: 1}}",
        "queues: {jobs: {visibilityTimeout: 13h}}",
    )
    told = [line for text in texts for line in (await check(write(text)))[1]]
    assert [line.split(":1: ", 1)[1] for line in told] == shown
