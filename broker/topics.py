"""The verbs on topics: create, find, list, configure; tags, permissions, data protection."""

import dataclasses
import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from broker import limits
from broker.arns import read_topic_arn, topic_arn
from broker.callers import Caller
from broker.clock import Clock
from broker.envelopes import timestamp_text
from broker.pages import page_after, page_of
from broker.seals import Seal
from broker.topic_attributes import (
    has_other_attributes,
    read_changed_attribute,
    read_new_attributes,
    render_attributes,
)
from broker.topic_errors import (
    AuthorizationError,
    InvalidParameter,
    InvalidState,
    NotFound,
    TopicLimitExceeded,
    TopicResourceNotFound,
    TopicTagLimitExceeded,
)
from broker.topic_policies import (
    add_statement,
    default_policy,
    permits,
    remove_statement,
)
from storage.contract import Storage
from storage.topic_records import TopicKey, TopicRecord

_NAME = re.compile(r"[A-Za-z0-9_-]{1,256}", re.ASCII)
_FIFO_NAME = re.compile(r"[A-Za-z0-9_-]{1,251}\.fifo", re.ASCII)
_DIRECTIONS = ("Inbound", "Outbound")
_FOREVER_MS = 1 << 62
_DAY_MS = 86_400_000
_TRIM_LIMIT = 1_000


class Topics:
    """Verbs on topics as a whole."""

    def __init__(self, store: Storage, clock: Clock, seal: Seal) -> None:
        self._store = store
        self._clock = clock
        self._seal = seal

    async def get(self, caller: Caller, arn: str | None) -> TopicRecord:
        """The topic an ARN names; raises ``InvalidParameter`` or ``NotFound``."""
        record = await self._store.get_topic(read_topic_arn(arn, caller.region))
        if record is None:
            raise NotFound("Topic does not exist")
        return record

    async def _own(self, caller: Caller, arn: str | None, action: str) -> TopicRecord:
        """The topic an ARN names, for what only its owner does and whom its policy lets."""
        record = await self.get(caller, arn)
        policy = record.attributes.get("Policy", default_policy(record.key))
        if record.key.account != caller.account and not permits(policy, caller.account, action):
            raise AuthorizationError(
                f"User: {caller.principal} is not authorized to perform: SNS:{action} on"
                f" resource: {arn}"
            )
        return record

    async def again(self, topic: TopicRecord) -> TopicRecord:
        """The same topic as it is now; raises ``NotFound`` if it is gone."""
        record = await self._store.get_topic(topic.key)
        if record is None:
            raise NotFound("Topic does not exist")
        return record

    async def create(
        self,
        caller: Caller,
        name: str,
        attributes: Mapping[str, str],
        tags: Sequence[tuple[str, str]],
        data_protection_policy: str | None,
    ) -> str:
        """The ARN of the topic of that name, created if need be (SNS reference, 2.1).

        An existing topic is returned if each attribute and tag given is as it is there.
        """
        fifo = attributes.get("FifoTopic", "").lower() == "true"
        if not (_FIFO_NAME if fifo else _NAME).fullmatch(name):
            raise InvalidParameter.of("Topic Name")
        kept = read_new_attributes(attributes, fifo=fifo)
        new_tags = _checked_tags(tags)
        if len(new_tags) > limits.TAGS_MAX:
            raise TopicTagLimitExceeded
        if data_protection_policy is not None:
            _check_data_protection_policy(data_protection_policy, fifo=fifo)
        key = TopicKey(caller.account, caller.region, name)
        record = await self._store.get_topic(key)
        if record is None:
            await self._check_quota(key, fifo=fifo)
            record, created = await self._store.create_topic(
                key, kept, new_tags, data_protection_policy, now_ms=self._clock.now_ms()
            )
            if created:
                return topic_arn(key)
        if has_other_attributes(record, kept, asked=attributes):
            raise InvalidParameter.of(
                "Attributes Reason: Topic already exists with different attributes"
            )
        if any(record.tags.get(each) != value for each, value in new_tags.items()):
            raise InvalidParameter.of("Tags Reason: Topic already exists with different tags")
        return topic_arn(key)

    async def _check_quota(self, key: TopicKey, *, fifo: bool) -> None:
        most = limits.FIFO_TOPICS_MAX if fifo else limits.TOPICS_MAX
        count = await self._store.count_topics(key.account, key.region, fifo=fifo)
        if count >= most:
            raise TopicLimitExceeded("Topic limit exceeded")

    async def delete(self, caller: Caller, arn: str | None) -> None:
        """Remove a topic; one that is not there does not matter."""
        if await self._store.get_topic(read_topic_arn(arn, caller.region)) is None:
            return
        record = await self._own(caller, arn, "DeleteTopic")
        if "ArchivePolicy" in record.attributes:
            raise InvalidState("Invalid state: Cannot delete a topic with an ArchivePolicy")
        now_ms = self._clock.now_ms()
        await self._store.delete_topic(
            record.topic_id, now_ms=now_ms, expires_at_ms=now_ms + limits.SUBSCRIPTION_KEPT_MS
        )

    async def page(self, caller: Caller, next_token: str | None) -> tuple[list[str], str | None]:
        """ARNs of the caller's topics, and the token of the next page if there is one."""
        scope = ["topics", caller.account, caller.region]
        after = page_after(self._seal, next_token, scope)
        records = await self._store.list_topics(
            caller.account, caller.region, after=after, limit=limits.TOPIC_PAGE + 1
        )
        names, token = page_of(
            self._seal, [each.key.name for each in records], limits.TOPIC_PAGE, scope
        )
        keys = [TopicKey(caller.account, caller.region, name) for name in names]
        return [topic_arn(key) for key in keys], token

    # --- attributes -----------------------------------------------------------------------------

    async def attributes(self, caller: Caller, arn: str | None) -> dict[str, str]:
        """All attributes of a topic, as AWS tells them (3.1)."""
        record = await self.get(caller, arn)
        begins_at_ms = None
        if "ArchivePolicy" in record.attributes:
            begins_at_ms = await self._store.archive_begins_at_ms(record.topic_id)
            if begins_at_ms is None:
                begins_at_ms = self._clock.now_ms()
        return render_attributes(
            record,
            await self._store.topic_subscriptions(record.topic_id),
            archive_begins_at=None if begins_at_ms is None else timestamp_text(begins_at_ms),
        )

    async def set_attribute(
        self, caller: Caller, arn: str | None, name: str | None, value: str | None
    ) -> None:
        """Set an attribute, or unset it by an empty value where that is possible."""
        record = await self._own(caller, arn, "SetTopicAttributes")
        if name is None:
            raise InvalidParameter.missing("AttributeName")
        kept = read_changed_attribute(name, value or "", fifo=record.fifo)
        if name == "MaximumMessageSize" and int(kept or 0) > limits.PUBLISH_BYTES_MAX:
            await self._check_large_messages(record)

        def change(current: TopicRecord) -> TopicRecord:
            attributes = {each: kept_ for each, kept_ in current.attributes.items() if each != name}
            if kept is not None:
                attributes[name] = kept
            return dataclasses.replace(current, attributes=attributes)

        changed = await self._update(caller, arn, change)
        if name == "ArchivePolicy" and kept is None:
            await self._trim_archive(changed, _FOREVER_MS)

    async def trim_archives(self) -> None:
        """Forget what topics have archived for as long as they want it (8.3)."""
        for topic in await self._store.archiving_topics():
            days = int(json.loads(topic.attributes["ArchivePolicy"])["MessageRetentionPeriod"])
            await self._trim_archive(topic, self._clock.now_ms() - days * _DAY_MS)

    async def _trim_archive(self, topic: TopicRecord, before_ms: int) -> None:
        while await self._store.trim_archive(
            topic.topic_id, before_ms=before_ms, limit=_TRIM_LIMIT
        ):
            pass

    async def _check_large_messages(self, record: TopicRecord) -> None:
        """Messages above 256 KiB only go to few subscriptions of some protocols (3.1)."""
        subscriptions = await self._store.topic_subscriptions(record.topic_id)
        if len(subscriptions) > limits.FEW_SUBSCRIPTIONS_MAX or any(
            each.protocol not in LARGE_MESSAGE_PROTOCOLS for each in subscriptions
        ):
            raise InvalidParameter.of(
                "MaximumMessageSize: a topic with messages above"
                f" {limits.PUBLISH_BYTES_MAX} bytes supports at most"
                f" {limits.FEW_SUBSCRIPTIONS_MAX} subscriptions, of the protocols"
                " sqs, lambda and firehose"
            )

    async def _update(
        self, caller: Caller, arn: str | None, change: Callable[[TopicRecord], TopicRecord]
    ) -> TopicRecord:
        """Replace a topic's record by what ``change`` makes of it, even if others do the same."""
        while True:
            current = await self.get(caller, arn)
            changed = await self._store.replace_topic(current, change(current))
            if changed is not None:
                return changed

    # --- permissions ----------------------------------------------------------------------------

    async def add_permission(
        self,
        caller: Caller,
        arn: str | None,
        label: str,
        accounts: Sequence[str],
        actions: Sequence[str],
    ) -> None:
        """Add a statement to the topic's policy."""
        await self._own(caller, arn, "AddPermission")
        await self._update_policy(
            caller,
            arn,
            lambda record, policy: add_statement(
                policy, record.key, label=label, accounts=accounts, actions=actions
            ),
        )

    async def remove_permission(self, caller: Caller, arn: str | None, label: str) -> None:
        """Remove the statements of that label; there may be none."""
        await self._own(caller, arn, "RemovePermission")
        await self._update_policy(
            caller, arn, lambda _record, policy: remove_statement(policy, label=label)
        )

    async def _update_policy(
        self, caller: Caller, arn: str | None, change: Callable[[TopicRecord, str], str]
    ) -> None:
        def update(current: TopicRecord) -> TopicRecord:
            policy = current.attributes.get("Policy", default_policy(current.key))
            return dataclasses.replace(
                current, attributes={**current.attributes, "Policy": change(current, policy)}
            )

        await self._update(caller, arn, update)

    # --- tags and data protection ---------------------------------------------------------------

    async def _protected(self, caller: Caller, arn: str | None) -> TopicRecord:
        """The same for a data protection policy, which calls a missing topic by its name."""
        try:
            return await self._resource(caller, arn)
        except TopicResourceNotFound:
            raise NotFound("Topic does not exist") from None

    async def _resource(self, caller: Caller, arn: str | None) -> TopicRecord:
        """The caller's own topic that a ResourceArn names."""
        key = read_topic_arn(arn, caller.region, parameter="ResourceArn")
        if key.account != caller.account:
            raise AuthorizationError(
                f"User: {caller.principal} is not authorized to perform this operation on"
                f" resource: {arn}"
            )
        record = await self._store.get_topic(key)
        if record is None:
            raise TopicResourceNotFound("Resource does not exist")
        return record

    async def tag(self, caller: Caller, arn: str | None, tags: Sequence[tuple[str, str]]) -> None:
        """Add tags, and change those that are there."""
        await self._resource(caller, arn)
        new_tags = _checked_tags(tags)

        def add(current: TopicRecord) -> TopicRecord:
            merged = {**current.tags, **new_tags}
            if len(merged) > limits.TAGS_MAX:
                raise TopicTagLimitExceeded
            return dataclasses.replace(current, tags=merged)

        await self._update(caller, arn, add)

    async def untag(self, caller: Caller, arn: str | None, keys: Sequence[str]) -> None:
        """Remove tags; keys that are not set do not matter."""
        await self._resource(caller, arn)
        await self._update(
            caller,
            arn,
            lambda current: dataclasses.replace(
                current,
                tags={key: value for key, value in current.tags.items() if key not in keys},
            ),
        )

    async def tags(self, caller: Caller, arn: str | None) -> dict[str, str]:
        """The tags of a topic."""
        return dict((await self._resource(caller, arn)).tags)

    async def put_data_protection_policy(
        self, caller: Caller, arn: str | None, policy: str
    ) -> None:
        """Keep a data protection policy, word for word; an empty text removes it (9.5)."""
        record = await self._protected(caller, arn)
        if policy:
            _check_data_protection_policy(policy, fifo=record.fifo)
        await self._update(
            caller,
            arn,
            lambda current: dataclasses.replace(current, data_protection_policy=policy or None),
        )

    async def data_protection_policy(self, caller: Caller, arn: str | None) -> str:
        """The data protection policy as it was put; an empty text if there is none."""
        return (await self._protected(caller, arn)).data_protection_policy or ""


LARGE_MESSAGE_PROTOCOLS = ("sqs", "lambda", "firehose")


def _checked_tags(tags: Sequence[tuple[str, str]]) -> dict[str, str]:
    """Tags by key; raises ``InvalidParameter`` for what is outside the rules (9.3)."""
    checked = dict(tags)
    if len(checked) != len(tags):
        raise InvalidParameter.of("Duplicated keys are not allowed.")
    for key, value in tags:
        if not 1 <= len(key) <= limits.TAG_KEY_CHARACTERS_MAX:
            raise InvalidParameter.of(
                f"Tags Reason: a tag key has 1 to {limits.TAG_KEY_CHARACTERS_MAX} characters"
            )
        if len(value) > limits.TAG_VALUE_CHARACTERS_MAX:
            raise InvalidParameter.of(
                f"Tags Reason: a tag value has at most {limits.TAG_VALUE_CHARACTERS_MAX} characters"
            )
        if key.lower().startswith("aws:"):
            raise InvalidParameter.of("Tags Reason: aws: prefixed tag key names are not allowed")
    return checked


def _check_data_protection_policy(text: str, *, fifo: bool) -> None:
    """Refuse what has not the form of a data protection policy (9.5)."""
    if fifo:
        raise InvalidParameter.of("DataProtectionPolicy Reason: not supported for FIFO topics")
    if len(text) > limits.DATA_PROTECTION_POLICY_CHARACTERS_MAX:
        raise InvalidParameter.of("DataProtectionPolicy Reason: the policy is too long")
    try:
        policy = json.loads(text)
    except (ValueError, RecursionError):
        raise InvalidParameter.of("DataProtectionPolicy Reason: failed to parse JSON") from None
    problem = _data_protection_problem(policy)
    if problem is not None:
        raise InvalidParameter.of(f"DataProtectionPolicy Reason: {problem}")


def _data_protection_problem(policy: Any) -> str | None:
    if not isinstance(policy, dict) or not isinstance(policy.get("Name"), str):
        return "Name must be specified"
    if policy.get("Version") != "2021-06-01":
        return "Version must be 2021-06-01"
    statements = policy.get("Statement")
    if not isinstance(statements, list) or not statements:
        return "Statement must be a list with at least one statement"
    for statement in statements:
        if not isinstance(statement, dict):
            return "each Statement must be an object"
        if statement.get("DataDirection") not in _DIRECTIONS:
            return f"DataDirection must be one of {', '.join(_DIRECTIONS)}"
        if not isinstance(statement.get("DataIdentifier"), list):
            return "DataIdentifier must be a list"
        operation = statement.get("Operation")
        if not isinstance(operation, dict) or len(operation) != 1:
            return "Operation must have exactly one of Deny, Audit, Deidentify"
        if not operation.keys() <= {"Deny", "Audit", "Deidentify"}:
            return "Operation must be one of Deny, Audit, Deidentify"
    return None
