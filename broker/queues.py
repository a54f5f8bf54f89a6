"""The verbs on queues: create, find, list, configure, purge, delete; tags and permissions."""

import dataclasses
import json
import re
from collections.abc import Callable, Mapping, Sequence

from broker import limits
from broker.arns import parse_queue_arn, queue_arn
from broker.clock import Clock
from broker.errors import (
    InvalidAttributeValue,
    InvalidParameterValue,
    MissingParameter,
    OverLimit,
    PurgeQueueInProgress,
    QueueDeletedRecently,
    QueueDoesNotExist,
    QueueNameExists,
)
from broker.observer import Observer
from broker.policies import (
    OWNER_ACTIONS,
    SHAREABLE_ACTIONS,
    add_statement,
    remove_statement,
)
from broker.queue_attributes import (
    COUNTED,
    apply_changes,
    check_attribute_names,
    first_difference,
    parse_attributes,
    render_attributes,
)
from broker.seals import Seal
from storage.contract import Storage
from storage.errors import UnknownQueue
from storage.records import Counts, QueueKey, QueueRecord, QueueSettings

_NAME = re.compile(r"[A-Za-z0-9_-]+(\.fifo)?")
_LABEL = re.compile(r"[A-Za-z0-9_-]{1,80}")
_ACCOUNT = re.compile(r"\d{12}", re.ASCII)
_TAG_KEY = re.compile(r"[\w\s.:/=+\-@]*")
_BAD_NAME = "Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length"
_BAD_FIFO_NAME = (
    "The name of a FIFO queue can only include alphanumeric characters, hyphens, or underscores,"
    " must end with .fifo suffix and be 1 to 80 in length."
)


class Queues:
    """Verbs on queues as a whole."""

    def __init__(
        self,
        store: Storage,
        clock: Clock,
        seal: Seal,
        observer: Observer,
        *,
        block_deleted_names: bool = False,
    ) -> None:
        """``block_deleted_names``: refuse to create a queue within 60 s of its deletion."""
        self._store = store
        self._clock = clock
        self._seal = seal
        self._observer = observer
        self._block_deleted_names = block_deleted_names

    async def get(self, key: QueueKey) -> QueueRecord:
        """The queue of that key; raises ``QueueDoesNotExist``."""
        record = await self._store.get_queue(key)
        if record is None:
            raise QueueDoesNotExist
        return record

    async def create(
        self, key: QueueKey, attributes: Mapping[str, str], tags: Mapping[str, str]
    ) -> QueueRecord:
        """The queue of that key, created if need be (SQS reference, 2.1).

        An existing queue is returned if each attribute and tag given is as it is there; if not,
        ``QueueNameExists`` is raised.
        """
        existing = await self._store.get_queue(key)
        if existing is not None and not attributes and not tags:
            return existing
        fifo = attributes.get("FifoQueue", "").lower() == "true"
        if existing is None or attributes:
            _check_name(key.name, fifo=fifo)
        changes = parse_attributes(attributes, fifo=fifo)
        settings = apply_changes(QueueSettings(fifo=fifo), changes)
        _check_tags(tags, key.name)
        now_ms = self._clock.now_ms()
        if existing is None:
            await self._check_dead_letter_target(key, settings, attributes.get("RedrivePolicy"))
            if self._block_deleted_names:
                deleted_at_ms = await self._store.queue_deleted_at_ms(key)
                if (
                    deleted_at_ms is not None
                    and now_ms < deleted_at_ms + limits.DELETED_NAME_BLOCKED_MS
                ):
                    raise QueueDeletedRecently
            existing, created = await self._store.create_queue(key, settings, tags, now_ms=now_ms)
            if created:
                return existing
        difference = first_difference(existing.settings, changes)
        if difference is None and tags and dict(tags) != dict(existing.tags):
            difference = "tags"
        if difference is not None:
            raise QueueNameExists(difference)
        return existing

    async def delete(self, key: QueueKey) -> None:
        """Remove the queue and all that it holds."""
        record = await self.get(key)
        now_ms = self._clock.now_ms()
        try:
            await self._store.delete_queue(record.queue_id, now_ms=now_ms)
        except UnknownQueue:
            raise QueueDoesNotExist from None
        self._observer.queue_deleted(record, now_ms)

    async def purge(self, key: QueueKey) -> None:
        """Remove all messages and the deduplication history; once in 60 seconds."""
        record = await self.get(key)
        now_ms = self._clock.now_ms()
        purged_at_ms = record.purged_at_ms
        if purged_at_ms is not None and now_ms < purged_at_ms + limits.PURGE_INTERVAL_MS:
            raise PurgeQueueInProgress(key.name)
        await self._store.purge_queue(record.queue_id, now_ms=now_ms)
        self._observer.purged(record.queue_id, now_ms)

    # --- listing --------------------------------------------------------------------------------

    async def page(
        self,
        account: str,
        region: str,
        *,
        prefix: str = "",
        max_results: int | None = None,
        next_token: str | None = None,
    ) -> tuple[list[QueueRecord], str | None]:
        """Queues by name, and the token of the next page if one was asked for and there is one."""
        after = self._after(next_token, max_results, ["queues", account, region, prefix])
        page = max_results or limits.LIST_QUEUES_MAX
        records = await self._store.list_queues(
            account, region, prefix=prefix, after=after, limit=page + 1
        )
        return self._page(records, max_results, ["queues", account, region, prefix])

    async def sources(
        self, key: QueueKey, *, max_results: int | None = None, next_token: str | None = None
    ) -> tuple[list[QueueRecord], str | None]:
        """The queues that have this one as dead-letter queue, paged as in ``page``."""
        await self.get(key)
        scope = ["sources", *key]
        after = self._after(next_token, max_results, scope)
        arn = queue_arn(key)
        everything = await self._store.list_queues(
            key.account, key.region, after=after, limit=2**31
        )
        sources = [
            record
            for record in everything
            if record.settings.redrive_policy is not None
            and record.settings.redrive_policy.dead_letter_target_arn == arn
        ]
        return self._page(sources, max_results, scope)

    def _after(self, token: str | None, max_results: int | None, scope: list[str]) -> str:
        """The name after which a page begins; raises ``InvalidParameterValue``."""
        if max_results is not None and not 1 <= max_results <= limits.LIST_QUEUES_MAX:
            raise InvalidParameterValue(
                "Value for parameter MaxResults is invalid. Reason: MaxResults must be an integer"
                f" between 1 and {limits.LIST_QUEUES_MAX}."
            )
        if token is None:
            return ""
        if max_results is None:
            raise InvalidParameterValue(
                "MaxResults is a mandatory parameter when you provide a value for NextToken."
            )
        content = self._seal.open(token)
        if content is None or not content.startswith(b"["):
            raise InvalidParameterValue("Invalid NextToken value.")
        *token_scope, after = json.loads(content)
        if token_scope != scope:
            raise InvalidParameterValue(
                "Invalid NextToken value. If you are passing in NextToken, you must not change the"
                " other request parameters."
            )
        return str(after)

    def _page(
        self, records: list[QueueRecord], max_results: int | None, scope: list[str]
    ) -> tuple[list[QueueRecord], str | None]:
        page = records[: max_results or limits.LIST_QUEUES_MAX]
        if max_results is None or len(records) <= len(page):
            return page, None
        token = self._seal.seal(json.dumps([*scope, page[-1].key.name]).encode())
        return page, token

    # --- attributes -----------------------------------------------------------------------------

    async def attributes(self, key: QueueKey, names: list[str]) -> dict[str, str]:
        """The attributes of that names that the queue has; ``All`` for every one."""
        record = await self.get(key)
        check_attribute_names(names)
        counts = Counts(0, 0, 0)
        if "All" in names or not COUNTED.isdisjoint(names):
            counts = await self._store.count_messages(record.queue_id, now_ms=self._clock.now_ms())
        return render_attributes(record, counts, names)

    async def set_attributes(self, key: QueueKey, attributes: Mapping[str, str]) -> None:
        """Change attributes: all that are given, or none if one of them is refused."""
        record = await self.get(key)
        if not attributes:
            raise MissingParameter("Attribute.Name")
        fifo = record.settings.fifo
        changes = parse_attributes(attributes, fifo=fifo)
        if changes.pop("fifo", fifo) != fifo:
            raise InvalidAttributeValue("FifoQueue", "Modifying queue type is not supported.")

        if changes.get("redrive_policy") is not None:
            settings = apply_changes(record.settings, changes)
            await self._check_dead_letter_target(key, settings, attributes["RedrivePolicy"])
        await self._update(
            key,
            lambda current: dataclasses.replace(
                current, settings=apply_changes(current.settings, changes)
            ),
        )

    async def _update(
        self, key: QueueKey, change: Callable[[QueueRecord], QueueRecord], *, modifies: bool = True
    ) -> None:
        """Replace a queue's record by what ``change`` makes of it, even if others do the same."""
        while True:
            current = await self.get(key)
            changed = change(current)
            if modifies:
                changed = dataclasses.replace(changed, modified_at_ms=self._clock.now_ms())
            if await self._store.replace_queue(current, changed):
                return

    async def _check_dead_letter_target(
        self, key: QueueKey, settings: QueueSettings, text: str | None
    ) -> None:
        """Refuse a redrive policy whose queue is absent, unfit or does not allow it (3.4, 3.5)."""
        policy = settings.redrive_policy
        if policy is None:
            return

        def refuse(reason: str) -> InvalidParameterValue:
            return InvalidParameterValue.of("RedrivePolicy", text, reason)

        target_key = parse_queue_arn(policy.dead_letter_target_arn)
        assert target_key is not None  # checked when it was parsed
        if target_key.region != key.region:
            raise refuse("Dead-letter target must be in same region as the source.")
        if target_key.account != key.account:
            raise refuse("Dead-letter target owner should be same as the source.")
        target = await self._store.get_queue(target_key)
        if target is None:
            raise refuse("Dead letter target does not exist.")
        if target.settings.fifo != settings.fifo:
            raise refuse("Dead-letter queue must be same type of queue as the source.")
        allowed = target.settings.redrive_allow_policy
        if allowed is not None and (
            allowed.permission == "denyAll"
            or (allowed.permission == "byQueue" and queue_arn(key) not in allowed.source_queue_arns)
        ):
            raise refuse("Dead-letter queue does not allow this queue as a source queue.")

    # --- tags and permissions -------------------------------------------------------------------

    async def tag(self, key: QueueKey, tags: Mapping[str, str]) -> None:
        """Add tags, and change those that are there."""
        await self.get(key)
        if not tags:
            raise MissingParameter("Tags")

        def add(current: QueueRecord) -> QueueRecord:
            merged = {**current.tags, **tags}
            _check_tags(tags, key.name)
            if len(merged) > limits.TAGS_MAX:
                raise InvalidParameterValue(f"Too many tags added for queue {key.name}.")
            return dataclasses.replace(current, tags=merged)

        await self._update(key, add, modifies=False)

    async def untag(self, key: QueueKey, tag_keys: Sequence[str]) -> None:
        """Remove tags; keys that are not set do not matter."""
        await self.get(key)
        if not tag_keys:
            raise InvalidParameterValue(_TAG_KEY_LENGTH)
        _check_tags(dict.fromkeys(tag_keys, ""), key.name, reserved=False)
        await self._update(
            key,
            lambda current: dataclasses.replace(
                current,
                tags={name: value for name, value in current.tags.items() if name not in tag_keys},
            ),
            modifies=False,
        )

    async def add_permission(
        self, key: QueueKey, label: str, accounts: Sequence[str], actions: Sequence[str]
    ) -> None:
        """Add a statement to the queue's policy (SQS reference, 7.2)."""
        await self.get(key)
        if not label:
            raise MissingParameter("Label")
        _check_label(label)
        if not actions:
            raise MissingParameter("ActionName")
        if not accounts or not all(_ACCOUNT.fullmatch(account) for account in accounts):
            shown = f"[{', '.join(accounts)}]"
            raise InvalidParameterValue.of("PrincipalId", shown, "Unable to verify.")
        if len(actions) > limits.PERMISSION_ACTIONS_MAX:
            raise OverLimit(
                f"{len(actions)} Actions were found, maximum allowed is"
                f" {limits.PERMISSION_ACTIONS_MAX}."
            )
        for action in actions:
            if action in OWNER_ACTIONS:
                raise InvalidParameterValue.of(
                    "ActionName",
                    f"SQS:{action}",
                    "Only the queue owner is allowed to invoke this action.",
                )
            if action not in SHAREABLE_ACTIONS:
                raise InvalidParameterValue.of(
                    "ActionName",
                    f"SQS:{action}",
                    "Please refer to the appropriate WSDL for a list of valid actions.",
                )
        await self._update_policy(
            key,
            lambda policy: add_statement(
                policy, arn=queue_arn(key), label=label, accounts=accounts, actions=actions
            ),
        )

    async def remove_permission(self, key: QueueKey, label: str) -> None:
        """Remove the statement of that label from the queue's policy (7.3)."""
        await self.get(key)
        if not label:
            raise MissingParameter("Label")
        await self._update_policy(key, lambda policy: remove_statement(policy, label=label))

    async def _update_policy(
        self, key: QueueKey, change: Callable[[str | None], str | None]
    ) -> None:
        await self._update(
            key,
            lambda current: dataclasses.replace(
                current,
                settings=dataclasses.replace(
                    current.settings, policy=change(current.settings.policy)
                ),
            ),
        )


_TAG_KEY_LENGTH = (
    f"Tag keys must be between 1 and {limits.TAG_KEY_CHARACTERS_MAX} characters in length."
)


def _check_name(name: str, *, fifo: bool) -> None:
    fits = len(name) <= limits.QUEUE_NAME_CHARACTERS_MAX and _NAME.fullmatch(name) is not None
    if fifo:
        if not fits or not name.endswith(".fifo"):
            raise InvalidParameterValue(_BAD_FIFO_NAME)
    elif not name:
        raise InvalidParameterValue("Queue name cannot be empty")
    elif not fits or name.endswith(".fifo"):
        raise InvalidParameterValue(_BAD_NAME)


def _check_label(label: str) -> None:
    if not _LABEL.fullmatch(label):
        raise InvalidParameterValue.of(
            "Label",
            label,
            "Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length",
        )


def _check_tags(tags: Mapping[str, str], queue_name: str, *, reserved: bool = True) -> None:
    """Raise ``InvalidParameterValue`` for a tag outside the rules (SQS reference, 7.1)."""
    if len(tags) > limits.TAGS_MAX:
        raise InvalidParameterValue(f"Too many tags added for queue {queue_name}.")
    for key, value in tags.items():
        if not 1 <= len(key) <= limits.TAG_KEY_CHARACTERS_MAX:
            raise InvalidParameterValue(_TAG_KEY_LENGTH)
        if len(value) > limits.TAG_VALUE_CHARACTERS_MAX:
            raise InvalidParameterValue(
                f"Tag values must be between 0 and {limits.TAG_VALUE_CHARACTERS_MAX} characters"
                " in length."
            )
        for what, text in (("keys", key), ("values", value)):
            if not _TAG_KEY.fullmatch(text):
                raise InvalidParameterValue(
                    f"Tag {what} may only contain unicode letters, digits, whitespace, or one of"
                    " these symbols: _ . : / = + - @"
                )
        if reserved and key.lower().startswith("aws:"):
            raise InvalidParameterValue("Tag keys must not begin with the reserved prefix aws:")
