"""AddPermission and RemovePermission: the policy they write (SQS reference, 7.2 and 7.3)."""

import json
from typing import Any

import pytest

from tests.support.client import Queue, refusal
from tests.support.server import MEMORY_ONLY

ONE, TWO = "111111111111", "222222222222"
ARN = "arn:aws:sqs:us-east-1:000000000000:jobs"


async def permit(
    queue: Queue, label: str = "a", accounts: list[str] | None = None, *actions: str
) -> None:
    await queue.call(
        "AddPermission",
        Label=label,
        AWSAccountIds=[ONE] if accounts is None else accounts,
        Actions=list(actions or ("ReceiveMessage",)),
    )


async def policy(queue: Queue) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((await queue.attributes("Policy"))["Policy"])
    return document


async def test_the_first_permission_makes_a_policy(queue: Queue) -> None:
    await permit(queue)
    assert await policy(queue) == {
        "Version": "2008-10-17",
        "Id": f"{ARN}/SQSDefaultPolicy",
        "Statement": [
            {
                "Sid": "a",
                "Effect": "Allow",
                "Principal": {"AWS": f"arn:aws:iam::{ONE}:root"},
                "Action": "SQS:ReceiveMessage",
                "Resource": ARN,
            }
        ],
    }


async def test_several_accounts_and_actions_make_lists(queue: Queue) -> None:
    await permit(queue, "a", [ONE, TWO], "SendMessage", "*")
    [statement] = (await policy(queue))["Statement"]
    assert statement["Principal"] == {
        "AWS": [f"arn:aws:iam::{ONE}:root", f"arn:aws:iam::{TWO}:root"]
    }
    assert statement["Action"] == ["SQS:SendMessage", "SQS:*"]


async def test_further_permissions_are_appended(queue: Queue) -> None:
    await permit(queue, "a")
    await permit(queue, "b", [TWO])
    assert [each["Sid"] for each in (await policy(queue))["Statement"]] == ["a", "b"]


@pytest.mark.parametrize("as_list", [True, False])
async def test_a_permission_is_appended_to_a_policy_set_as_attribute(
    queue: Queue, as_list: bool
) -> None:
    statement = {"Sid": "own", "Effect": "Deny", "Principal": "*", "Action": "*"}
    own = {
        "Version": "2012-10-17",
        "Id": "own",
        "Statement": [statement] if as_list else statement,
    }
    await queue.set(Policy=json.dumps(own))
    await permit(queue)
    document = await policy(queue)
    assert (document["Version"], document["Id"]) == ("2012-10-17", "own")
    assert document["Statement"][0] == statement
    assert document["Statement"][1]["Sid"] == "a"


async def test_a_label_is_used_once(queue: Queue) -> None:
    await permit(queue)
    assert await refusal(permit(queue, "a", [TWO])) == (
        "InvalidParameterValue",
        "Value a for parameter Label is invalid. Reason: Already exists.",
    )


async def test_the_policy_goes_with_its_last_statement(queue: Queue) -> None:
    await permit(queue, "a")
    await permit(queue, "b")
    assert await queue.call("RemovePermission", Label="a") == {}
    assert [each["Sid"] for each in (await policy(queue))["Statement"]] == ["b"]
    await queue.call("RemovePermission", Label="b")
    assert await queue.attributes("Policy") == {}


async def test_an_unknown_label_cannot_be_removed(queue: Queue) -> None:
    assert await refusal(queue.call("RemovePermission", Label="x")) == (
        "InvalidParameterValue",
        "Value x for parameter Label is invalid. Reason: can't find label.",
    )
    await permit(queue)
    assert await refusal(queue.call("RemovePermission", Label="x")) == (
        "InvalidParameterValue",
        "Value x for parameter Label is invalid. Reason: can't find label on existing policy.",
    )


@pytest.mark.parametrize(
    "action",
    [
        "*",
        "SendMessage",
        "ReceiveMessage",
        "DeleteMessage",
        "ChangeMessageVisibility",
        "GetQueueAttributes",
        "GetQueueUrl",
        "ListDeadLetterSourceQueues",
        "PurgeQueue",
    ],
)
@MEMORY_ONLY
async def test_actions_that_can_be_permitted(queue: Queue, action: str) -> None:
    await permit(queue, "a", [ONE], action)
    assert (await policy(queue))["Statement"][0]["Action"] == f"SQS:{action}"


@MEMORY_ONLY
@pytest.mark.parametrize(
    "action",
    [
        "AddPermission",
        "RemovePermission",
        "CreateQueue",
        "DeleteQueue",
        "ListQueues",
        "SetQueueAttributes",
        "TagQueue",
        "UntagQueue",
        "ListQueueTags",
        "StartMessageMoveTask",
        "ListMessageMoveTasks",
        "CancelMessageMoveTask",
    ],
)
async def test_actions_of_the_owner_alone(queue: Queue, action: str) -> None:
    assert await refusal(permit(queue, "a", [ONE], "SendMessage", action)) == (
        "InvalidParameterValue",
        f"Value SQS:{action} for parameter ActionName is invalid. Reason: Only the queue owner is"
        " allowed to invoke this action.",
    )


@MEMORY_ONLY
@pytest.mark.parametrize("action", ["Foobar", "SendMessageBatch", "sendmessage", ""])
async def test_unknown_actions(queue: Queue, action: str) -> None:
    assert await refusal(permit(queue, "a", [ONE], action)) == (
        "InvalidParameterValue",
        f"Value SQS:{action} for parameter ActionName is invalid. Reason: Please refer to the"
        " appropriate WSDL for a list of valid actions.",
    )


async def test_seven_actions_at_most(queue: Queue) -> None:
    actions = ["*", "SendMessage", "ReceiveMessage", "DeleteMessage", "GetQueueUrl"]
    actions += ["PurgeQueue", "GetQueueAttributes"]
    await permit(queue, "a", [ONE], *actions)
    refused = await refusal(permit(queue, "b", [ONE], *actions, "ChangeMessageVisibility"))
    assert refused == ("OverLimit", "8 Actions were found, maximum allowed is 7.")


async def test_twenty_statements_at_most(queue: Queue) -> None:
    for n in range(20):
        await permit(queue, f"label-{n}")
    assert await refusal(permit(queue, "more")) == (
        "OverLimit",
        "21 Statements were found, maximum allowed is 20.",
    )
    assert len((await policy(queue))["Statement"]) == 20


@MEMORY_ONLY
@pytest.mark.parametrize("label", ["a b", "ü", "x" * 81, "a.b"])
async def test_labels_are_letters_digits_hyphens_and_underscores(queue: Queue, label: str) -> None:
    assert (await refusal(permit(queue, label)))[0] == "InvalidParameterValue"


@MEMORY_ONLY
@pytest.mark.parametrize("operation", ["AddPermission", "RemovePermission"])
@pytest.mark.parametrize("label", [None, ""])
async def test_a_label_is_required(queue: Queue, operation: str, label: str | None) -> None:
    others = {"AWSAccountIds": [ONE], "Actions": ["*"]} if operation == "AddPermission" else {}
    assert await refusal(queue.call(operation, Label=label, **others)) == (
        "MissingParameter",
        "The request must contain the parameter Label.",
    )


@MEMORY_ONLY
async def test_actions_and_accounts_are_required(queue: Queue) -> None:
    """Query has another name for actions, and cannot tell no accounts from an empty list."""
    in_json = queue.sqs.protocol == "json"
    refused = await refusal(queue.call("AddPermission", Label="a", AWSAccountIds=[ONE]))
    name = "Actions" if in_json else "ActionName"
    assert refused == ("MissingParameter", f"The request must contain the parameter {name}.")
    refused = await refusal(queue.call("AddPermission", Label="a", Actions=["*"]))
    if in_json:
        name = "AWSAccountIds"
        assert refused == ("MissingParameter", f"The request must contain the parameter {name}.")
    else:
        assert refused[0] == "InvalidParameterValue"


@MEMORY_ONLY
@pytest.mark.parametrize("accounts", [[], ["1"], ["me"], [ONE, ""]])
async def test_accounts_have_twelve_digits(queue: Queue, accounts: list[str]) -> None:
    assert await refusal(permit(queue, "a", accounts)) == (
        "InvalidParameterValue",
        f"Value [{', '.join(accounts)}] for parameter PrincipalId is invalid. Reason: Unable to"
        " verify.",
    )
