"""Data protection policies of topics (SNS reference, 9.5)."""

import json
from typing import Any

import pytest

from tests.api.sns_calls import OTHER_ACCOUNT, TOPIC, topic_attributes
from tests.support.server import MEMORY_ONLY
from tests.support.sns import SnsClient, read_answer, sns_refusal

IDENTIFIER = "arn:aws:dataprotection::aws:data-identifier/EmailAddress"


def statement(**members: Any) -> dict[str, Any]:
    """A statement of a policy."""
    return {
        "Sid": "mails",
        "DataDirection": "Inbound",
        "Principal": ["*"],
        "DataIdentifier": [IDENTIFIER],
        "Operation": {"Deny": {}},
        **members,
    }


def policy(*statements: Any, **members: Any) -> str:
    """A policy, laid out as nobody else does."""
    document = {
        "Name": "protection",
        "Description": "",
        "Version": "2021-06-01",
        "Statement": list(statements),
        **members,
    }
    return json.dumps(document, indent=3)


@pytest.fixture
async def topic(sns: SnsClient) -> str:
    """The ARN of a topic that was given no policy."""
    return await sns.topic()


async def put(sns: SnsClient, topic: str, text: str) -> Any:
    return await sns.call("PutDataProtectionPolicy", ResourceArn=topic, DataProtectionPolicy=text)


async def got(sns: SnsClient, topic: str) -> Any:
    answer = await sns.call("GetDataProtectionPolicy", ResourceArn=topic)
    return answer.get("DataProtectionPolicy")


async def test_a_policy_is_returned_word_for_word(sns: SnsClient, topic: str) -> None:
    for text in (policy(statement()), policy(statement(Operation={"Audit": {}}))):
        await put(sns, topic, text)
        assert await got(sns, topic) == text


async def test_a_put_has_no_result(sns: SnsClient, topic: str) -> None:
    response = await sns.request(
        "PutDataProtectionPolicy", ResourceArn=topic, DataProtectionPolicy=policy(statement())
    )
    assert read_answer("PutDataProtectionPolicy", response) == {}
    assert "PutDataProtectionPolicyResult" not in response.text


async def test_a_topic_is_created_with_a_policy(sns: SnsClient) -> None:
    text = policy(statement())
    created = await sns.call("CreateTopic", Name="news", DataProtectionPolicy=text)
    assert await got(sns, created["TopicArn"]) == text


async def test_a_policy_is_no_attribute(sns: SnsClient, topic: str) -> None:
    before = await topic_attributes(sns, topic)
    await put(sns, topic, policy(statement()))
    assert await topic_attributes(sns, topic) == before


@MEMORY_ONLY
@pytest.mark.parametrize("direction", ["Inbound", "Outbound"])
@pytest.mark.parametrize(
    "operation",
    [
        {"Deny": {}},
        {"Audit": {"SampleRate": "99", "NoFindingsDestination": {}}},
        {"Deidentify": {"MaskConfig": {"MaskWithCharacter": "#"}}},
        {"Deidentify": {"RedactConfig": {}}},
    ],
)
async def test_every_documented_operation_is_accepted(
    sns: SnsClient, topic: str, direction: str, operation: dict[str, Any]
) -> None:
    text = policy(statement(DataDirection=direction, Operation=operation))
    await put(sns, topic, text)
    assert await got(sns, topic) == text


@MEMORY_ONLY
@pytest.mark.parametrize(
    "text",
    [
        "policy",
        "[]",
        policy(),
        policy("text"),
        policy(statement(), Version="2012-10-17"),
        policy(statement(DataDirection="Sideways")),
        policy(statement(DataIdentifier=IDENTIFIER)),
        policy(statement(Operation={})),
        policy(statement(Operation={"Deny": {}, "Audit": {}})),
        policy(statement(Operation={"Allow": {}})),
    ],
)
async def test_what_is_no_policy_is_refused(sns: SnsClient, topic: str, text: str) -> None:
    before = policy(statement())
    await put(sns, topic, before)
    code, _ = await sns_refusal(put(sns, topic, text))
    assert code == "InvalidParameter"
    assert await got(sns, topic) == before
    code, _ = await sns_refusal(sns.call("CreateTopic", Name="other", DataProtectionPolicy=text))
    assert code == "InvalidParameter"
    assert len((await sns.call("ListTopics"))["Topics"]) == 1


async def test_a_policy_has_up_to_30720_characters(sns: SnsClient, topic: str) -> None:
    bare = policy(statement(), Description="")
    longest = policy(statement(), Description="d" * (30_720 - len(bare)))
    assert len(longest) == 30_720
    await put(sns, topic, longest)
    code, _ = await sns_refusal(put(sns, topic, longest + " "))
    assert code == "InvalidParameter"
    assert await got(sns, topic) == longest


@MEMORY_ONLY
async def test_policies_are_for_standard_topics(sns: SnsClient) -> None:
    fifo = await sns.topic("news.fifo")
    code, _ = await sns_refusal(put(sns, fifo, policy(statement())))
    assert code == "InvalidParameter"
    assert not await got(sns, fifo)


@MEMORY_ONLY
async def test_a_policy_of_another_topic_is_out_of_reach(sns: SnsClient, topic: str) -> None:
    await put(sns, topic, policy(statement()))
    other = sns.but(account=OTHER_ACCOUNT)
    for call in (put(other, topic, policy()), got(other, topic)):
        code, _ = await sns_refusal(call)
        assert code == "AuthorizationError"
    for call in (put(sns, f"{TOPIC}2", policy(statement())), got(sns, f"{TOPIC}2")):
        code, _ = await sns_refusal(call)
        assert code in ("NotFound", "ResourceNotFound")
