"""AddPermission, RemovePermission and topic policies (SNS reference, 2.1, 3.1 and 9.4)."""

import json
from typing import Any

import pytest

from tests.api.sns_calls import (
    NO_TOPIC,
    OTHER_ACCOUNT,
    TOPIC,
    invalid,
    set_topic,
    topic_attributes,
)
from tests.support.server import ACCOUNT, MEMORY_ONLY
from tests.support.sns import SnsClient, sns_refusal

SHAREABLE = (
    "AddPermission",
    "DeleteTopic",
    "GetTopicAttributes",
    "ListSubscriptionsByTopic",
    "Publish",
    "Receive",
    "RemovePermission",
    "SetTopicAttributes",
    "Subscribe",
)
OUT_OF_SCOPE = invalid("Policy statement action out of service scope!")
TAKEN = invalid("Statement already exists")


def statement(**members: Any) -> dict[str, Any]:
    """A statement of a policy."""
    return {
        "Sid": "mine",
        "Effect": "Allow",
        "Principal": {"AWS": "*"},
        "Action": "SNS:Publish",
        "Resource": TOPIC,
        **members,
    }


def policy(*statements: Any) -> str:
    """A policy, laid out as nobody else does."""
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)}, indent=1)


@pytest.fixture
async def topic(sns: SnsClient) -> str:
    """The ARN of a topic with the default policy."""
    return await sns.topic()


async def add(
    sns: SnsClient,
    topic: str,
    label: str = "friends",
    accounts: tuple[str, ...] = (OTHER_ACCOUNT,),
    actions: tuple[str, ...] = ("Publish",),
) -> Any:
    return await sns.call(
        "AddPermission",
        TopicArn=topic,
        Label=label,
        AWSAccountId=list(accounts),
        ActionName=list(actions),
    )


async def remove(sns: SnsClient, topic: str, label: str = "friends") -> Any:
    return await sns.call("RemovePermission", TopicArn=topic, Label=label)


async def policy_of(sns: SnsClient, topic: str) -> str:
    return (await topic_attributes(sns, topic))["Policy"]


async def statements(sns: SnsClient, topic: str) -> Any:
    return json.loads(await policy_of(sns, topic))["Statement"]


async def test_a_permission_is_a_statement_after_the_default(sns: SnsClient, topic: str) -> None:
    before = json.loads(await policy_of(sns, topic))
    assert await add(sns, topic) == {}
    after = json.loads(await policy_of(sns, topic))
    assert after == {
        **before,
        "Statement": [
            *before["Statement"],
            {
                "Sid": "friends",
                "Effect": "Allow",
                "Principal": {"AWS": f"arn:aws:iam::{OTHER_ACCOUNT}:root"},
                "Action": "SNS:Publish",
                "Resource": topic,
            },
        ],
    }


async def test_several_principals_and_actions_are_lists(sns: SnsClient, topic: str) -> None:
    await add(sns, topic, accounts=(ACCOUNT, OTHER_ACCOUNT), actions=("Publish", "Subscribe"))
    *_, added = await statements(sns, topic)
    assert added["Principal"] == {
        "AWS": [f"arn:aws:iam::{account}:root" for account in (ACCOUNT, OTHER_ACCOUNT)]
    }
    assert added["Action"] == ["SNS:Publish", "SNS:Subscribe"]


@MEMORY_ONLY
async def test_principals_are_of_the_partition_of_the_topic(sns: SnsClient) -> None:
    china = sns.but(region="cn-north-1")
    topic = await china.topic()
    await add(china, topic)
    *_, added = await statements(china, topic)
    assert added["Principal"] == {"AWS": f"arn:aws-cn:iam::{OTHER_ACCOUNT}:root"}
    assert added["Resource"] == topic


@MEMORY_ONLY
@pytest.mark.parametrize("action", SHAREABLE)
async def test_nine_actions_can_be_permitted(sns: SnsClient, topic: str, action: str) -> None:
    await add(sns, topic, actions=(action,))
    assert (await statements(sns, topic))[-1]["Action"] == f"SNS:{action}"


@MEMORY_ONLY
@pytest.mark.parametrize(
    "actions", [("CreateTopic",), ("Publish", "Fly"), ("SNS:Publish",), ("TagResource",)]
)
async def test_no_other_action_can_be_permitted(
    sns: SnsClient, topic: str, actions: tuple[str, ...]
) -> None:
    before = await policy_of(sns, topic)
    assert await sns_refusal(add(sns, topic, actions=actions)) == OUT_OF_SCOPE
    assert await policy_of(sns, topic) == before


async def test_a_label_is_used_once(sns: SnsClient, topic: str) -> None:
    await add(sns, topic)
    before = await policy_of(sns, topic)
    assert await sns_refusal(add(sns, topic, actions=("Subscribe",))) == TAKEN
    assert await sns_refusal(add(sns, topic, actions=("Fly",))) == TAKEN  # looked at first
    assert await sns_refusal(add(sns, topic, "__default_statement_ID")) == TAKEN
    assert await policy_of(sns, topic) == before
    await add(sns, topic, "others")


@MEMORY_ONLY
@pytest.mark.parametrize("account", ["nobody", "12345678901", "1234567890123", "*"])
async def test_a_principal_that_is_no_account_is_not_found(
    sns: SnsClient, topic: str, account: str
) -> None:
    before = await policy_of(sns, topic)
    call = add(sns, topic, accounts=(OTHER_ACCOUNT, account))
    assert await sns_refusal(call) == invalid("Policy Error: PrincipalNotFound")
    assert await policy_of(sns, topic) == before


@MEMORY_ONLY
async def test_a_permission_has_principals_and_actions(sns: SnsClient, topic: str) -> None:
    before = await policy_of(sns, topic)
    for call in (add(sns, topic, accounts=()), add(sns, topic, actions=())):
        code, _ = await sns_refusal(call)
        assert code == "InvalidParameter"
    assert await policy_of(sns, topic) == before


async def test_a_removed_permission_leaves_the_others(sns: SnsClient, topic: str) -> None:
    await add(sns, topic, "friends")
    await add(sns, topic, "others")
    assert await remove(sns, topic, "friends") == {}
    labels = [each["Sid"] for each in await statements(sns, topic)]
    assert labels == ["__default_statement_ID", "others"]
    await add(sns, topic, "friends")


async def test_all_statements_of_a_label_are_removed(sns: SnsClient, topic: str) -> None:
    text = policy(statement(), statement(Sid="other"), statement(Action="SNS:Subscribe"))
    await set_topic(sns, topic, "Policy", text)
    await remove(sns, topic, "mine")
    assert await statements(sns, topic) == [statement(Sid="other")]


@MEMORY_ONLY
async def test_permissions_of_a_topic_that_is_not_there_are_not_found(sns: SnsClient) -> None:
    assert await sns_refusal(add(sns, TOPIC)) == NO_TOPIC
    assert await sns_refusal(remove(sns, TOPIC)) == NO_TOPIC


# --- the attribute ------------------------------------------------------------------------------


async def test_a_policy_is_returned_as_it_was_given(sns: SnsClient, topic: str) -> None:
    text = policy(statement())
    await set_topic(sns, topic, "Policy", text)
    assert await policy_of(sns, topic) == text
    created = await sns.topic("other", Policy=text)
    assert await policy_of(sns, created) == text


async def test_a_permission_is_added_to_a_policy_of_ones_own(sns: SnsClient, topic: str) -> None:
    single = json.dumps({"Version": "2012-10-17", "Id": "own", "Statement": statement()})
    await set_topic(sns, topic, "Policy", single)
    await add(sns, topic)
    changed = json.loads(await policy_of(sns, topic))
    assert (changed["Version"], changed["Id"]) == ("2012-10-17", "own")
    assert [each["Sid"] for each in changed["Statement"]] == ["mine", "friends"]


async def test_an_empty_policy_restores_the_default(sns: SnsClient, topic: str) -> None:
    default = await policy_of(sns, topic)
    await set_topic(sns, topic, "Policy", policy(statement()))
    await set_topic(sns, topic, "Policy", "")
    assert await policy_of(sns, topic) == default


@MEMORY_ONLY
@pytest.mark.parametrize(
    "action",
    ["SNS:Publish", "sns:publish", "sns:Publ*", ["SNS:Publish", "sns:Subscribe"], "SNS:Receive"],
)
async def test_actions_of_a_policy_are_those_of_topics_in_any_case(
    sns: SnsClient, topic: str, action: Any
) -> None:
    text = policy(statement(Action=action))
    await set_topic(sns, topic, "Policy", text)
    assert await policy_of(sns, topic) == text


@MEMORY_ONLY
async def test_a_policy_may_have_conditions(sns: SnsClient, topic: str) -> None:
    text = policy(
        statement(
            Principal={"Service": "s3.amazonaws.com"},
            Condition={
                "ArnLike": {"aws:SourceArn": "arn:aws:s3:*:*:bucket"},
                "StringEquals": {"aws:SourceAccount": ACCOUNT, "sns:Protocol": "https"},
            },
        )
    )
    await set_topic(sns, topic, "Policy", text)
    assert await policy_of(sns, topic) == text


@MEMORY_ONLY
@pytest.mark.parametrize(
    "text",
    [
        "policy",
        "[]",
        '"text"',
        policy(),
        policy("text"),
        policy(statement(Effect="Maybe")),
        policy(statement(Wrong="x")),
        policy(statement(Action=[])),
        '{"Version":"2012-10-17"}',
    ],
)
async def test_what_is_no_policy_is_refused(sns: SnsClient, topic: str, text: str) -> None:
    before = await policy_of(sns, topic)
    assert await sns_refusal(set_topic(sns, topic, "Policy", text)) == invalid("Policy Error: null")
    assert await policy_of(sns, topic) == before
    assert await sns_refusal(sns.topic("other", Policy=text)) == invalid(
        "Attributes Reason: Policy Error: null"
    )


@MEMORY_ONLY
@pytest.mark.parametrize("action", ["sqs:SendMessage", "SNS:Fly", "Publish", ["SNS:Publish", "*"]])
async def test_actions_of_others_are_out_of_scope(sns: SnsClient, topic: str, action: Any) -> None:
    before = await policy_of(sns, topic)
    call = set_topic(sns, topic, "Policy", policy(statement(Action=action)))
    assert await sns_refusal(call) == OUT_OF_SCOPE
    assert await policy_of(sns, topic) == before


@MEMORY_ONLY
@pytest.mark.parametrize("action", ["sns:*", "SNS:*"])
async def test_all_actions_at_once_are_refused(sns: SnsClient, topic: str, action: str) -> None:
    before = await policy_of(sns, topic)
    call = set_topic(sns, topic, "Policy", policy(statement(Action=action)))
    # users were told both
    assert await sns_refusal(call) in (OUT_OF_SCOPE, invalid("Policy Error: null"))
    assert await policy_of(sns, topic) == before


# --- other accounts -----------------------------------------------------------------------------

_CONFIGURING = [
    ("DeleteTopic", {}),
    ("SetTopicAttributes", {"AttributeName": "DisplayName", "AttributeValue": "x"}),
    ("AddPermission", {"Label": "l", "AWSAccountId": [OTHER_ACCOUNT], "ActionName": ["Publish"]}),
    ("RemovePermission", {"Label": "l"}),
]


@pytest.mark.parametrize(("action", "parameters"), _CONFIGURING)
async def test_another_account_does_not_configure_a_topic(
    sns: SnsClient, action: str, parameters: dict[str, Any]
) -> None:
    arn = (await sns.call("CreateTopic", Name="t"))["TopicArn"]
    before = await sns.call("GetTopicAttributes", TopicArn=arn)
    refusal = await sns_refusal(
        sns.but(account=OTHER_ACCOUNT).call(action, TopicArn=arn, **parameters)
    )
    assert refusal == (
        "AuthorizationError",
        f"User: arn:aws:iam::{OTHER_ACCOUNT}:root is not authorized to perform: SNS:{action} on"
        f" resource: {arn}",
    )
    assert await sns.call("GetTopicAttributes", TopicArn=arn) == before


@pytest.mark.parametrize(("action", "parameters"), _CONFIGURING)
async def test_another_account_does_what_the_policy_lets_it_do(
    sns: SnsClient, action: str, parameters: dict[str, Any]
) -> None:
    arn = (await sns.call("CreateTopic", Name="t"))["TopicArn"]
    await sns.call(
        "AddPermission",
        TopicArn=arn,
        Label="let",
        AWSAccountId=[OTHER_ACCOUNT],
        ActionName=[action],
    )
    await sns.but(account=OTHER_ACCOUNT).call(action, TopicArn=arn, **parameters)
