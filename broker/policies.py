"""Access policies: the documents that AddPermission writes and SetQueueAttributes accepts.

They are kept and returned; enforcing them is not built yet.  (SQS reference, 3.7 and 7.2.)
"""

import json
from collections.abc import Sequence
from typing import Any

from broker import limits
from broker.errors import InvalidParameterValue, OverLimit

_VERSIONS = ("2012-10-17", "2008-10-17")
_DEPTH_MAX = 32
_POLICY_KEYS = {"Version", "Id", "Statement"}
_STATEMENT_KEYS = {
    "Sid",
    "Effect",
    "Principal",
    "NotPrincipal",
    "Action",
    "NotAction",
    "Resource",
    "NotResource",
    "Condition",
}

#: what can be permitted to others; all else is for the owner alone
SHAREABLE_ACTIONS = frozenset(
    {
        "*",
        "SendMessage",
        "ReceiveMessage",
        "DeleteMessage",
        "ChangeMessageVisibility",
        "GetQueueAttributes",
        "GetQueueUrl",
        "ListDeadLetterSourceQueues",
        "PurgeQueue",
    }
)
OWNER_ACTIONS = frozenset(
    {
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
        "CancelMessageMoveTask",
        "ListMessageMoveTasks",
    }
)


def check_policy(text: str, *, bytes_max: int, statements_max: int) -> bool:
    """Whether a text has the form of a policy; ARNs and actions in it are not looked at."""
    if len(text.encode("utf-8", "surrogatepass")) > bytes_max:
        return False
    try:
        policy = json.loads(text)
    except (ValueError, RecursionError):
        return False
    if not isinstance(policy, dict) or not policy.keys() <= _POLICY_KEYS:
        return False
    if not _is_shallow(policy):
        return False
    if policy.get("Version", _VERSIONS[1]) not in _VERSIONS:
        return False
    statements = policy.get("Statement")
    if isinstance(statements, dict):
        statements = [statements]
    return (
        isinstance(statements, list)
        and 1 <= len(statements) <= statements_max
        and all(
            isinstance(statement, dict)
            and statement.keys() <= _STATEMENT_KEYS
            and statement.get("Effect") in ("Allow", "Deny")
            for statement in statements
        )
    )


def _is_shallow(policy: dict[str, Any]) -> bool:
    """Whether a document is nested no deeper than can be read and written everywhere."""
    level: list[Any] = [policy]
    for _ in range(_DEPTH_MAX):
        level = [
            item
            for value in level
            if isinstance(value, dict | list)
            for item in (value.values() if isinstance(value, dict) else value)
        ]
        if not level:
            return True
    return False


def scalar_or_list(values: Sequence[str]) -> str | list[str]:
    """As AWS writes principals and actions: one alone, several as a list."""
    return values[0] if len(values) == 1 else list(values)


def statements_of(policy: dict[str, Any]) -> list[dict[str, Any]]:
    """The statements of a policy, which may be one alone."""
    statements = policy["Statement"]
    return [statements] if isinstance(statements, dict) else list(statements)


def add_statement(
    policy: str | None,
    *,
    arn: str,
    label: str,
    accounts: Sequence[str],
    actions: Sequence[str],
) -> str:
    """The policy with a statement that lets ``accounts`` call ``actions`` on the queue ``arn``.

    Raises ``InvalidParameterValue`` if the label is taken, ``OverLimit`` beyond 20 statements.
    """
    document: dict[str, Any] = (
        json.loads(policy)
        if policy
        else {"Version": "2008-10-17", "Id": f"{arn}/SQSDefaultPolicy", "Statement": []}
    )
    statements = statements_of(document)
    if any(statement.get("Sid") == label for statement in statements):
        raise InvalidParameterValue.of("Label", label, "Already exists.")
    statements.append(
        {
            "Sid": label,
            "Effect": "Allow",
            "Principal": {
                "AWS": scalar_or_list([f"arn:aws:iam::{account}:root" for account in accounts])
            },
            "Action": scalar_or_list([f"SQS:{action}" for action in actions]),
            "Resource": arn,
        }
    )
    if len(statements) > limits.POLICY_STATEMENTS_MAX:
        raise OverLimit(
            f"{len(statements)} Statements were found, maximum allowed is"
            f" {limits.POLICY_STATEMENTS_MAX}."
        )
    document["Statement"] = statements
    return json.dumps(document, separators=(",", ":"))


def remove_statement(policy: str | None, *, label: str) -> str | None:
    """The policy without the statement of that label; None when it was the last.

    Raises ``InvalidParameterValue`` if there is none.
    """
    if policy is None:
        raise InvalidParameterValue.of("Label", label, "can't find label.")
    document = json.loads(policy)
    statements = statements_of(document)
    kept = [statement for statement in statements if statement.get("Sid") != label]
    if len(kept) == len(statements):
        raise InvalidParameterValue.of("Label", label, "can't find label on existing policy.")
    if not kept:
        return None
    document["Statement"] = kept
    return json.dumps(document, separators=(",", ":"))
