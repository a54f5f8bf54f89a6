"""TagQueue, UntagQueue, ListQueueTags (SQS reference, 7.1)."""

import pytest

from tests.support.client import Client, Queue, refusal
from tests.support.server import MEMORY_ONLY

LENGTH = (
    "InvalidParameterValue",
    "Tag keys must be between 1 and 128 characters in length.",
)
CHARACTERS = (
    "InvalidParameterValue",
    "Tag keys may only contain unicode letters, digits, whitespace, or one of these symbols: _ . :"
    " / = + - @",
)


async def tags(queue: Queue) -> dict[str, str]:
    found: dict[str, str] = (await queue.call("ListQueueTags")).get("Tags", {})
    return found


async def test_a_new_queue_has_no_tags(queue: Queue) -> None:
    assert await queue.call("ListQueueTags") == {}


async def test_tags_can_be_given_at_creation(sqs: Client) -> None:
    answer = await sqs.call("CreateQueue", QueueName="jobs", tags={"team": "a", "empty": ""})
    assert await tags(Queue(sqs, answer["QueueUrl"])) == {"team": "a", "empty": ""}


async def test_tags_are_added_and_overwritten(queue: Queue) -> None:
    assert await queue.call("TagQueue", Tags={"a": "1", "b": "2"}) == {}
    await queue.call("TagQueue", Tags={"b": "", "B": "3"})
    assert await tags(queue) == {"a": "1", "b": "", "B": "3"}


async def test_untagging_removes_what_is_there(queue: Queue) -> None:
    await queue.call("TagQueue", Tags={"a": "1", "b": "2"})
    assert await queue.call("UntagQueue", TagKeys=["a", "none"]) == {}
    assert await tags(queue) == {"b": "2"}
    await queue.call("UntagQueue", TagKeys=["b"])
    assert await queue.call("ListQueueTags") == {}


async def test_a_queue_has_50_tags_at_most(queue: Queue) -> None:
    fifty = {f"k{n}": "v" for n in range(50)}
    await queue.call("TagQueue", Tags=fifty)
    assert await refusal(queue.call("TagQueue", Tags={"k0": "new", "more": "v"})) == (
        "InvalidParameterValue",
        "Too many tags added for queue jobs.",
    )
    assert await tags(queue) == fifty
    await queue.call("TagQueue", Tags={"k0": "new"})


async def test_50_tags_at_creation_too(sqs: Client) -> None:
    many = {f"k{n}": "v" for n in range(51)}
    assert await refusal(sqs.call("CreateQueue", QueueName="jobs", tags=many)) == (
        "InvalidParameterValue",
        "Too many tags added for queue jobs.",
    )
    assert await sqs.call("ListQueues") == {}


@pytest.mark.parametrize("key", ["x" * 128, "a b", "_.:/=+-@", "grüße", "世界", "0"])
async def test_keys_that_are_accepted(queue: Queue, key: str) -> None:
    await queue.call("TagQueue", Tags={key: key})
    assert await tags(queue) == {key: key}
    await queue.call("UntagQueue", TagKeys=[key])
    assert await tags(queue) == {}


@MEMORY_ONLY
@pytest.mark.parametrize(
    ("key", "refused"),
    [("", LENGTH), ("x" * 129, LENGTH), ("a$", CHARACTERS), ("a*", CHARACTERS), ("a,", CHARACTERS)],
)
async def test_keys_that_are_refused(queue: Queue, key: str, refused: tuple[str, str]) -> None:
    assert await refusal(queue.call("TagQueue", Tags={"good": "v", key: "v"})) == refused
    assert await refusal(queue.call("UntagQueue", TagKeys=[key])) == refused
    assert await tags(queue) == {}


async def test_a_value_has_256_characters_at_most(queue: Queue) -> None:
    await queue.call("TagQueue", Tags={"a": "x" * 256})
    refused = await refusal(queue.call("TagQueue", Tags={"a": "x" * 257}))
    assert refused[0] == "InvalidParameterValue"


@pytest.mark.parametrize("key", ["aws:a", "AWS:a"])
async def test_keys_of_aws_are_reserved(queue: Queue, key: str) -> None:
    refused = await refusal(queue.call("TagQueue", Tags={key: "v"}))
    assert refused[0] == "InvalidParameterValue"


async def test_tags_are_required(queue: Queue) -> None:
    missing = ("MissingParameter", "The request must contain the parameter Tags.")
    assert await refusal(queue.call("TagQueue")) == missing
    assert await refusal(queue.call("TagQueue", Tags={})) == missing


async def test_untagging_nothing_is_refused(queue: Queue) -> None:
    assert await refusal(queue.call("UntagQueue", TagKeys=[])) == LENGTH


async def test_tags_do_not_touch_the_modification_time(queue: Queue) -> None:
    before = await queue.attributes()
    await queue.call("TagQueue", Tags={"a": "1"})
    assert await queue.attributes() == before
