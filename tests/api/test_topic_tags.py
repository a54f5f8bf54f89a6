"""Tags of topics (SNS reference, 9.3)."""

from typing import Any

import pytest

from tests.api.sns_calls import OTHER_ACCOUNT, TOPIC, invalid
from tests.support.server import MEMORY_ONLY
from tests.support.sns import SnsClient, sns_refusal

DUPLICATE = invalid("Duplicated keys are not allowed.")
OPERATIONS: list[tuple[str, dict[str, Any]]] = [
    ("TagResource", {"Tags": [{"Key": "a", "Value": "1"}]}),
    ("UntagResource", {"TagKeys": ["a"]}),
    ("ListTagsForResource", {}),
]
each_operation = pytest.mark.parametrize(("operation", "members"), OPERATIONS)


@pytest.fixture
async def topic(sns: SnsClient) -> str:
    """The ARN of a topic without tags."""
    return await sns.topic()


def pairs(tags: dict[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def numbered(count: int, value: str = "") -> dict[str, str]:
    return {f"key{n}": value for n in range(count)}


async def tag(sns: SnsClient, topic: str, **tags: str) -> Any:
    return await sns.call("TagResource", ResourceArn=topic, Tags=pairs(tags))


async def untag(sns: SnsClient, topic: str, *keys: str) -> Any:
    return await sns.call("UntagResource", ResourceArn=topic, TagKeys=list(keys))


async def tags_of(sns: SnsClient, topic: str) -> dict[str, str]:
    listed = (await sns.call("ListTagsForResource", ResourceArn=topic))["Tags"]
    tags = {each["Key"]: each["Value"] for each in listed}
    assert len(tags) == len(listed)
    return tags


async def test_a_topic_has_no_tags_at_first(sns: SnsClient, topic: str) -> None:
    assert await sns.call("ListTagsForResource", ResourceArn=topic) == {"Tags": []}


async def test_a_topic_is_created_with_tags(sns: SnsClient) -> None:
    created = await sns.call("CreateTopic", Name="tagged", Tags=pairs({"a": "1", "b": ""}))
    assert await tags_of(sns, created["TopicArn"]) == {"a": "1", "b": ""}


async def test_tags_are_added_and_changed(sns: SnsClient, topic: str) -> None:
    assert await tag(sns, topic, a="1", b="2") == {}
    await tag(sns, topic, b="3", c="4")
    assert await tags_of(sns, topic) == {"a": "1", "b": "3", "c": "4"}


async def test_tags_are_removed_and_unknown_keys_ignored(sns: SnsClient, topic: str) -> None:
    await tag(sns, topic, a="1", b="2")
    assert await untag(sns, topic, "a", "unknown") == {}
    assert await tags_of(sns, topic) == {"b": "2"}


async def test_tags_of_a_deleted_topic_are_gone(sns: SnsClient, topic: str) -> None:
    await tag(sns, topic, a="1")
    await sns.call("DeleteTopic", TopicArn=topic)
    await sns.topic()
    assert await tags_of(sns, topic) == {}


async def test_a_key_is_given_once(sns: SnsClient, topic: str) -> None:
    twice = pairs({"a": "1"}) + pairs({"a": "1"})
    assert await sns_refusal(sns.call("TagResource", ResourceArn=topic, Tags=twice)) == DUPLICATE
    assert await tags_of(sns, topic) == {}
    assert await sns_refusal(sns.call("CreateTopic", Name="other", Tags=twice)) == DUPLICATE
    assert len((await sns.call("ListTopics"))["Topics"]) == 1


async def test_a_topic_has_up_to_50_tags(sns: SnsClient, topic: str) -> None:
    await tag(sns, topic, **numbered(50))
    code, _ = await sns_refusal(tag(sns, topic, key0="new", more=""))
    assert code == "TagLimitExceeded"
    assert await tags_of(sns, topic) == numbered(50)
    await tag(sns, topic, **numbered(50, "changed"))
    assert await tags_of(sns, topic) == numbered(50, "changed")
    code, _ = await sns_refusal(sns.call("CreateTopic", Name="other", Tags=pairs(numbered(51))))
    assert code == "TagLimitExceeded"
    assert len((await sns.call("ListTopics"))["Topics"]) == 1


async def test_the_longest_key_and_value_are_kept(sns: SnsClient, topic: str) -> None:
    tags = {"ü" * 128: "ß" * 256}
    await tag(sns, topic, **tags)
    assert await tags_of(sns, topic) == tags


@MEMORY_ONLY
@pytest.mark.parametrize(("key", "value"), [("", "x"), ("k" * 129, "x"), ("k", "v" * 257)])
async def test_a_key_or_value_out_of_bounds_is_refused(
    sns: SnsClient, topic: str, key: str, value: str
) -> None:
    code, _ = await sns_refusal(tag(sns, topic, **{"fine": "x", key: value}))
    assert code == "InvalidParameter"
    assert await tags_of(sns, topic) == {}


@MEMORY_ONLY
@pytest.mark.parametrize(
    ("operation", "path"), [("TagResource", "tags"), ("UntagResource", "tagKeys")]
)
async def test_tags_that_are_missing_are_null(
    sns: SnsClient, topic: str, operation: str, path: str
) -> None:
    assert await sns_refusal(sns.call(operation, ResourceArn=topic)) == (
        "ValidationError",
        f"1 validation error detected: Value null at '{path}' failed to satisfy constraint:"
        " Member must not be null",
    )


@MEMORY_ONLY
async def test_every_null_is_told(sns: SnsClient, topic: str) -> None:
    call = sns.call("TagResource", ResourceArn=topic, Tags=[{"Key": "a"}, {"Value": "b"}])
    assert await sns_refusal(call) == (
        "ValidationError",
        "2 validation errors detected: Value null at 'tags.1.member.value' failed to satisfy"
        " constraint: Member must not be null; Value null at 'tags.2.member.key' failed to satisfy"
        " constraint: Member must not be null",
    )


@MEMORY_ONLY
@each_operation
async def test_a_topic_that_is_not_there_has_a_code_of_its_own(
    sns: SnsClient, operation: str, members: dict[str, Any]
) -> None:
    code, _ = await sns_refusal(sns.call(operation, ResourceArn=TOPIC, **members))
    assert code == "ResourceNotFound"


@MEMORY_ONLY
@each_operation
async def test_tags_are_for_the_topics_own_account(
    sns: SnsClient, topic: str, operation: str, members: dict[str, Any]
) -> None:
    await tag(sns, topic, a="0")
    other = sns.but(account=OTHER_ACCOUNT)
    code, _ = await sns_refusal(other.call(operation, ResourceArn=topic, **members))
    assert code == "AuthorizationError"
    assert await tags_of(sns, topic) == {"a": "0"}
