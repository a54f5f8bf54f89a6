"""Access policies of topics (SNS reference, 2.1, 3.1 and 9.4).

They are kept and returned.  Enforced is only that other accounts do not configure or delete a topic
unless its policy lets them; they may publish and subscribe.
"""

import json
import re
from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Any

from broker import limits
from broker.arns import partition, topic_arn
from broker.policies import check_policy, scalar_or_list, statements_of
from broker.topic_errors import InvalidParameter
from storage.topic_records import TopicKey

_DEFAULT_ACTIONS = (
    "GetTopicAttributes",
    "SetTopicAttributes",
    "AddPermission",
    "RemovePermission",
    "DeleteTopic",
    "Subscribe",
    "ListSubscriptionsByTopic",
    "Publish",
)
#: what can be permitted to others
_ACTIONS = (*_DEFAULT_ACTIONS, "Receive")
#: any account may be there
_ACCOUNT = re.compile(r"\d{12}", re.ASCII)
_OUT_OF_SCOPE = "Policy statement action out of service scope!"


def default_policy(key: TopicKey) -> str:
    """The policy of a topic that was given none."""
    return _text(
        {
            "Version": "2008-10-17",
            "Id": "__default_policy_ID",
            "Statement": [
                {
                    "Sid": "__default_statement_ID",
                    "Effect": "Allow",
                    "Principal": {"AWS": "*"},
                    "Action": [f"SNS:{action}" for action in _DEFAULT_ACTIONS],
                    "Resource": topic_arn(key),
                    "Condition": {"StringEquals": {"AWS:SourceOwner": key.account}},
                }
            ],
        }
    )


def _text(document: dict[str, Any]) -> str:
    return json.dumps(document, separators=(",", ":"))


def policy_problem(text: str) -> str | None:
    """Why a text is no policy of a topic, in AWS's words; None: it is one."""
    if not check_policy(
        text,
        bytes_max=limits.TOPIC_POLICY_BYTES_MAX,
        statements_max=limits.TOPIC_POLICY_STATEMENTS_MAX,
    ):
        return "Policy Error: null"
    for statement in statements_of(json.loads(text)):
        actions = statement.get("Action", statement.get("NotAction"))
        if isinstance(actions, str):
            actions = [actions]
        if not isinstance(actions, list) or not actions:
            return "Policy Error: null"
        if not all(isinstance(action, str) and _in_scope(action) for action in actions):
            return _OUT_OF_SCOPE
    return None


def _in_scope(action: str) -> bool:
    service, _, pattern = action.lower().partition(":")
    return (
        service == "sns"
        and pattern.strip("*") != ""
        and any(fnmatchcase(known.lower(), pattern) for known in _ACTIONS)
    )


def permits(policy: str, account: str, action: str) -> bool:
    """Whether a policy lets another account do something, without any condition."""
    return any(
        statement.get("Effect") == "Allow"
        and "Condition" not in statement
        and _names(statement.get("Principal"), account)
        and any(
            fnmatchcase(f"sns:{action}".lower(), each.lower())
            for each in _texts(statement.get("Action"))
        )
        for statement in statements_of(json.loads(policy))
    )


def _names(principal: Any, account: str) -> bool:
    """Whether a principal is, or comprises, an account."""
    named = principal.get("AWS") if isinstance(principal, dict) else principal
    return any(
        each in ("*", account) or (each.startswith("arn:") and each.split(":")[4:5] == [account])
        for each in _texts(named)
    )


def _texts(value: Any) -> list[str]:
    values = value if isinstance(value, list) else [value]
    return [each for each in values if isinstance(each, str)]


def add_statement(
    policy: str, key: TopicKey, *, label: str, accounts: Sequence[str], actions: Sequence[str]
) -> str:
    """The policy with a statement that lets ``accounts`` call ``actions`` on the topic.

    Raises ``InvalidParameter`` if the label is taken, an action cannot be permitted, or there is
    no such account.
    """
    if not accounts:
        raise InvalidParameter.missing("AWSAccountId")
    if not actions:
        raise InvalidParameter.missing("ActionName")
    document = json.loads(policy)
    statements = statements_of(document)
    if any(statement.get("Sid") == label for statement in statements):
        raise InvalidParameter.of("Statement already exists")
    if any(action not in _ACTIONS for action in actions):
        raise InvalidParameter.of(_OUT_OF_SCOPE)
    if not all(_ACCOUNT.fullmatch(account) for account in accounts):
        raise InvalidParameter.of("Policy Error: PrincipalNotFound")
    place = partition(key.region)
    statements.append(
        {
            "Sid": label,
            "Effect": "Allow",
            "Principal": {
                "AWS": scalar_or_list([f"arn:{place}:iam::{each}:root" for each in accounts])
            },
            "Action": scalar_or_list([f"SNS:{action}" for action in actions]),
            "Resource": topic_arn(key),
        }
    )
    document["Statement"] = statements
    return _text(document)


def remove_statement(policy: str, *, label: str) -> str:
    """The policy without the statements of that label; there may be none."""
    document = json.loads(policy)
    document["Statement"] = [
        statement for statement in statements_of(document) if statement.get("Sid") != label
    ]
    return _text(document)
