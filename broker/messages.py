"""The verbs on messages: send, receive, delete, change visibility."""

import hashlib
import re
from collections.abc import Sequence

from broker import limits
from broker.arns import parse_queue_arn, queue_arn
from broker.clock import Clock
from broker.errors import (
    BatchRequestTooLong,
    BrokerError,
    InvalidMessageContents,
    InvalidParameterValue,
    MessageTooLong,
    MissingParameter,
    OverLimit,
    QueueDoesNotExist,
    ReceiptHandleExpired,
    ReceiptHandleIsInvalid,
)
from broker.faults import Faults
from broker.ids import Ids
from broker.message_attributes import (
    attributes_bytes,
    check_attributes,
    illegal_character,
    invalid_character_text,
)
from broker.observer import Observer
from broker.receipts import open_handle, receipt_handle
from broker.seals import Seal
from broker.values import Draft, Received, Sent
from broker.waiting import Hangup, Lobby, WaitingRoom, Wake
from storage.contract import Storage
from storage.records import (
    Claimed,
    DeadLetter,
    NewMessage,
    Outcome,
    QueueKey,
    QueueRecord,
    Receipt,
    RedrivePolicy,
)

_GROUP_OR_DEDUPLICATION_ID = re.compile(r"[!-~]{1,128}")  # alphanumeric and punctuation
_NOT_FOR_THIS_QUEUE_TYPE = "The request include parameter that is not valid for this queue type"
_VISIBILITY_MAX_MS = limits.VISIBILITY_TIMEOUT_S_MAX * 1000


class Messages:
    """Verbs on the messages of any queue."""

    def __init__(
        self,
        store: Storage,
        clock: Clock,
        ids: Ids,
        seal: Seal,
        waiting: WaitingRoom,
        observer: Observer,
    ) -> None:
        self._store = store
        self._clock = clock
        self._ids = ids
        self._seal = seal
        self._waiting = waiting
        self.faults = Faults(clock, ids)
        self._observer = observer

    async def _queue(self, key: QueueKey) -> QueueRecord:
        record = await self._store.get_queue(key)
        if record is None:
            raise QueueDoesNotExist
        return record

    # --- sending --------------------------------------------------------------------------------

    async def send(self, key: QueueKey, draft: Draft, *, sender_id: str) -> Sent:
        """Accept one message; by the time this returns, the store holds it.

        Raises ``InvalidParameterValue``, ``MissingParameter``, ``InvalidMessageContents`` or
        ``QueueDoesNotExist``.
        """
        record = await self._store.get_queue(key)  # not by _queue: a coroutine less, here
        if record is None:
            raise QueueDoesNotExist
        now_ms = self._clock.now_ms()
        message = self.message_of(record, draft, now_ms=now_ms, sender_id=sender_id)
        [added] = await self._store.add_messages(
            [(record.queue_id, message)],
            now_ms=now_ms,
            deduplication_window_ms=limits.DEDUPLICATION_WINDOW_MS,
        )
        self._observer.sent(record.queue_id, message, added, now_ms)
        return Sent(
            added.message_id, sequence_number(added.sequence) if record.settings.fifo else None
        )

    async def send_batch(
        self, key: QueueKey, drafts: Sequence[Draft], *, sender_id: str
    ) -> list[Sent | BrokerError]:
        """Accept several messages, in order and in one step.

        In a standard queue each stands for itself: a refused one is answered by its error.  In a
        FIFO queue one refused message refuses all (SQS reference, 2.8).
        """
        record = await self._queue(key)
        now_ms = self._clock.now_ms()
        sizes = [_draft_bytes(draft) for draft in drafts]
        total_bytes = sum(sizes)
        if total_bytes > limits.BATCH_BYTES_MAX:
            raise BatchRequestTooLong(
                f"Batch requests cannot be longer than {limits.BATCH_BYTES_MAX} bytes."
                f" You have sent {total_bytes} bytes."
            )
        answers: list[Sent | BrokerError] = []
        accepted: list[tuple[int, NewMessage]] = []
        failures: Sequence[BrokerError | None] = [None] * len(drafts)
        if self.faults.active:
            failures = self.faults.of_entries("SendMessageBatch", key, len(drafts))
        for draft, size_bytes, failure in zip(drafts, sizes, failures, strict=True):
            if failure is not None:
                answers.append(failure)
                continue
            try:
                message = self._check(record, draft, size_bytes, now_ms, sender_id)
            except BrokerError as error:
                if record.settings.fifo:
                    raise
                answers.append(error)
            else:
                accepted.append((record.queue_id, message))
                answers.append(Sent(message.message_id, None))
        added = await self._store.add_messages(
            accepted,
            now_ms=now_ms,
            deduplication_window_ms=limits.DEDUPLICATION_WINDOW_MS,
        )
        for (queue_id, message), each in zip(accepted, added, strict=True):
            self._observer.sent(queue_id, message, each, now_ms)
        if record.settings.fifo:  # all were accepted, some perhaps as duplicates of others
            return [Sent(each.message_id, sequence_number(each.sequence)) for each in added]
        return answers

    def message_of(
        self, record: QueueRecord, draft: Draft, *, now_ms: int, sender_id: str
    ) -> NewMessage:
        """The message a draft makes in that queue; raises the first reason why it makes none."""
        return self._check(record, draft, _draft_bytes(draft), now_ms, sender_id)

    def _check(
        self, record: QueueRecord, draft: Draft, size_bytes: int, now_ms: int, sender_id: str
    ) -> NewMessage:
        """The message a draft makes in that queue, or the first reason why it makes none."""
        settings = record.settings
        body = draft.body
        if not body:
            raise MissingParameter("MessageBody")
        deduplication_id = draft.deduplication_id
        if draft.group_id is not None:
            _check_id("MessageGroupId", draft.group_id)
        if settings.fifo:
            if draft.group_id is None:
                raise MissingParameter("MessageGroupId")
            if deduplication_id is not None:
                _check_id("MessageDeduplicationId", deduplication_id)
            elif settings.content_based_deduplication:
                deduplication_id = hashlib.sha256(body.encode("utf-8", "surrogatepass")).hexdigest()
            else:
                raise InvalidParameterValue(
                    "The queue should either have ContentBasedDeduplication enabled or"
                    " MessageDeduplicationId provided explicitly"
                )
        elif deduplication_id is not None:
            raise InvalidParameterValue.of(
                "MessageDeduplicationId", deduplication_id, f"{_NOT_FOR_THIS_QUEUE_TYPE}."
            )
        delay_ms = settings.delay_ms
        if draft.delay_s is not None:
            if not 0 <= draft.delay_s <= limits.DELAY_S_MAX:
                raise InvalidParameterValue.of(
                    "DelaySeconds", draft.delay_s, "DelaySeconds must be >= 0 and <= 900."
                )
            if not settings.fifo:
                delay_ms = draft.delay_s * 1000
            elif draft.delay_s:  # 0 is legal there, and does not cancel the queue's delay [AWS]
                raise InvalidParameterValue.of(
                    "DelaySeconds", draft.delay_s, f"{_NOT_FOR_THIS_QUEUE_TYPE}."
                )
        if self.faults.active:
            held_back_ms = self.faults.held_back_ms(record.key)
            # no message may expire before it can be received
            room_ms = (settings.message_retention_period_ms - delay_ms) // 2
            delay_ms += min(held_back_ms, max(0, room_ms))
        attributes = check_attributes(draft.attributes) if draft.attributes else None
        if size_bytes > settings.maximum_message_size_bytes:
            raise MessageTooLong(settings.maximum_message_size_bytes)
        character = illegal_character(body)
        if character is not None:
            raise InvalidMessageContents(invalid_character_text(character, "body") + ".")
        return NewMessage(
            self._ids.uuid(),
            body,
            now_ms,
            now_ms + delay_ms,
            sender_id,
            attributes,
            draft.group_id,
            deduplication_id,
            _trace_header(draft),
        )

    # --- receiving ------------------------------------------------------------------------------

    async def receive(
        self,
        key: QueueKey,
        *,
        max_messages: int = 1,
        visibility_timeout_s: int | None = None,
        wait_s: int | None = None,
        attempt_id: str | None = None,
        hangup: Hangup | None = None,
    ) -> list[Received]:
        """Hand out up to ``max_messages``; with a wait, as soon as there is at least one.

        None stands for the queue's own default.  ``hangup`` ends the wait when the client is
        gone, without taking a message for it.  Raises ``InvalidParameterValue``, ``OverLimit``
        (standard queue, no wait) or ``QueueDoesNotExist``, also if the queue goes while waiting.
        """
        record = await self._queue(key)
        settings = record.settings
        _check_receive(
            max_messages, visibility_timeout_s, wait_s, attempt_id if settings.fifo else None
        )
        if self.faults.active:
            max_messages = self.faults.receive_limit(key, max_messages)
            if not max_messages:
                self._observer.empty_receive(record.queue_id)
                return []
        wait_ms = settings.receive_message_wait_time_ms if wait_s is None else wait_s * 1000
        if not wait_ms:
            claimed = await self._claim(
                record, max_messages, visibility_timeout_s, attempt_id, self._clock.now_ms()
            )
            if claimed.over_limit and not settings.fifo:
                raise OverLimit(
                    f"The maximum number of in flight messages is reached ({limits.IN_FLIGHT_MAX})."
                )
            if not claimed.messages:
                self._observer.empty_receive(record.queue_id)
            return self._received(record, claimed)
        lobby = self._waiting.enter(record.queue_id)
        try:
            received = await self._receive_waiting(
                key,
                record,
                lobby,
                self._clock.now_ms() + wait_ms,
                max_messages,
                visibility_timeout_s,
                attempt_id,
                hangup,
            )
            if not received:
                self._observer.empty_receive(record.queue_id)
            return received
        finally:
            self._waiting.leave(record.queue_id, lobby)

    async def _receive_waiting(
        self,
        key: QueueKey,
        record: QueueRecord,
        lobby: Lobby,
        deadline_ms: int,
        max_messages: int,
        visibility_timeout_s: int | None,
        attempt_id: str | None,
        hangup: Hangup | None,
    ) -> list[Received]:
        why: Wake | None = None
        while True:
            changes_seen = lobby.changes
            now_ms = self._clock.now_ms()
            claimed = await self._claim(
                record, max_messages, visibility_timeout_s, attempt_id, now_ms
            )
            if claimed.messages:
                if why is Wake.DUE:
                    lobby.wake(1, Wake.DUE)  # more may have fallen due at that moment
                return self._received(record, claimed)
            if now_ms >= deadline_ms:
                return []
            lobby.over_limit = lobby.over_limit or claimed.over_limit
            why = await self._waiting.park(
                lobby,
                changes_seen=changes_seen,
                due_ms=claimed.next_due_at_ms,
                deadline_ms=deadline_ms,
                hangup=hangup,
            )
            if why in (Wake.HANGUP, Wake.CLOSED):
                return []
            current = await self._queue(key)  # it may have been changed, purged or deleted
            if current.queue_id != record.queue_id:  # deleted, and another created
                raise QueueDoesNotExist
            record = current

    async def _claim(
        self,
        record: QueueRecord,
        max_messages: int,
        visibility_timeout_s: int | None,
        attempt_id: str | None,
        now_ms: int,
    ) -> Claimed:
        hidden_ms = (
            record.settings.visibility_timeout_ms
            if visibility_timeout_s is None
            else visibility_timeout_s * 1000
        )
        policy = record.settings.redrive_policy
        dead_letter = None if policy is None else await self._dead_letter(record, policy)
        while True:
            claimed = await self._store.claim_messages(
                record.queue_id,
                limit=max_messages,
                now_ms=now_ms,
                hidden_until_ms=now_ms + hidden_ms,
                in_flight_max=limits.IN_FLIGHT_MAX,
                dead_letter=dead_letter,
                attempt_id=attempt_id,
                attempt_window_ms=limits.ATTEMPT_WINDOW_MS,
            )
            self._observer.claimed(
                record.queue_id,
                claimed,
                dead_letter,
                fifo=record.settings.fifo,
                hidden_until_ms=now_ms + hidden_ms,
                now_ms=now_ms,
            )
            if not claimed.again:
                break
        if claimed.attempt_void:
            raise InvalidParameterValue.of(
                "ReceiveRequestAttemptId",
                attempt_id,
                "The receiveRequestAttemptId is not valid anymore since the receive call is not"
                " retryable.",
            )
        if claimed.messages:
            self._waiting.handed_out(record.queue_id, now_ms + hidden_ms, now_ms)
            if self.faults.active and not record.settings.fifo:
                return await self._misdelivered(record, claimed, now_ms, now_ms + hidden_ms)
        return claimed

    async def _misdelivered(
        self, record: QueueRecord, claimed: Claimed, now_ms: int, hidden_until_ms: int
    ) -> Claimed:
        """What was claimed, as faults have it: some visible again too soon, in another order."""
        policy = record.settings.redrive_policy
        changes: list[tuple[Receipt, int]] = []
        again_after_ms = self.faults.reappearances(record.key, len(claimed.messages))
        for claim, after_ms in zip(claimed.messages, again_after_ms, strict=True):
            if after_ms is None or now_ms + after_ms >= hidden_until_ms:
                continue
            if policy is not None and claim.receive_count >= policy.max_receive_count:
                continue  # it would become a dead letter while it is being worked on
            receipt = Receipt(
                record.queue_id, claim.sequence, claim.receive_count, claim.claimed_at_ms
            )
            changes.append((receipt, now_ms + after_ms))
        if changes:
            outcomes = await self._store.change_visibility(changes, now_ms=now_ms)
            self._observer.visibility_changed(changes, outcomes, now_ms)
        return claimed._replace(messages=self.faults.shuffled(record.key, claimed.messages))

    async def _dead_letter(self, record: QueueRecord, policy: RedrivePolicy) -> DeadLetter | None:
        """The queue's redrive rule; none while its dead-letter queue does not exist (6.1)."""
        target_key = parse_queue_arn(policy.dead_letter_target_arn)
        target = await self._store.get_queue(target_key) if target_key else None
        if target is None:
            return None
        return DeadLetter(target.queue_id, policy.max_receive_count, queue_arn(record.key))

    def _received(self, record: QueueRecord, claimed: Claimed) -> list[Received]:
        fifo = record.settings.fifo
        return [
            Received(
                claim,
                receipt_handle(
                    self._seal,
                    Receipt(
                        record.queue_id, claim.sequence, claim.receive_count, claim.claimed_at_ms
                    ),
                ),
                sequence_number(claim.sequence) if fifo else None,
            )
            for claim in claimed.messages
        ]

    # --- after receiving ------------------------------------------------------------------------

    async def delete(self, key: QueueKey, handle: str) -> None:
        """Delete the message that a receipt handle names; again and again, without complaint.

        Raises ``ReceiptHandleIsInvalid`` or, where the hand-out has ended, in FIFO queues,
        ``ReceiptHandleExpired``.
        """
        record = await self._queue(key)
        now_ms = self._clock.now_ms()
        receipt = self._open(record, handle, now_ms)
        if isinstance(receipt, BrokerError):
            raise receipt
        [outcome] = await self._store.delete_messages([receipt], now_ms=now_ms)
        if outcome is Outcome.STALE:
            raise ReceiptHandleExpired(handle)
        self._observer.deleted(receipt, outcome, now_ms)
        self._waiting.deleted(record.queue_id)

    async def delete_batch(self, key: QueueKey, handles: Sequence[str]) -> list[BrokerError | None]:
        """Delete several; for each why not, or None."""
        record = await self._queue(key)
        now_ms = self._clock.now_ms()
        opened = [self._open(record, handle, now_ms) for handle in handles]
        if self.faults.active:
            failures = self.faults.of_entries("DeleteMessageBatch", key, len(handles))
            opened = [failure or each for failure, each in zip(failures, opened, strict=True)]
        receipts = [receipt for receipt in opened if isinstance(receipt, Receipt)]
        outcomes = iter(
            await self._store.delete_messages(receipts, now_ms=now_ms) if receipts else []
        )
        self._waiting.deleted(record.queue_id)
        errors: list[BrokerError | None] = []
        for receipt, handle in zip(opened, handles, strict=True):
            if isinstance(receipt, BrokerError):
                errors.append(receipt)
            else:
                outcome = next(outcomes)
                self._observer.deleted(receipt, outcome, now_ms)
                stale = outcome is Outcome.STALE
                errors.append(ReceiptHandleExpired(handle) if stale else None)
        return errors

    async def change_visibility(self, key: QueueKey, handle: str, timeout_s: int) -> None:
        """Have the message visible again that many seconds from now; 0: at once.

        Raises ``InvalidParameterValue`` (range, message gone, 12 hours exceeded),
        ``ReceiptHandleIsInvalid`` or ``ReceiptHandleExpired``.
        """
        [error] = await self.change_visibility_batch(key, [(handle, timeout_s)])
        if error is not None:
            raise error

    async def change_visibility_batch(
        self, key: QueueKey, changes: Sequence[tuple[str, int]]
    ) -> list[BrokerError | None]:
        """Change several; for each why not, or None."""
        record = await self._queue(key)
        now_ms = self._clock.now_ms()
        opened = [self._open_for_change(record, *change, now_ms) for change in changes]
        accepted = [
            (receipt, now_ms + timeout_s * 1000)
            for receipt, (_, timeout_s) in zip(opened, changes, strict=True)
            if isinstance(receipt, Receipt)
        ]
        made = await self._store.change_visibility(accepted, now_ms=now_ms) if accepted else []
        self._observer.visibility_changed(accepted, made, now_ms)
        outcomes = iter(made)
        errors: list[BrokerError | None] = []
        for receipt, (handle, _) in zip(opened, changes, strict=True):
            if isinstance(receipt, BrokerError):
                errors.append(receipt)
                continue
            outcome = next(outcomes)
            if outcome is Outcome.STALE:
                errors.append(ReceiptHandleExpired(handle))
            elif outcome is Outcome.GONE:
                errors.append(
                    InvalidParameterValue.of(
                        "ReceiptHandle",
                        handle,
                        "Message does not exist or is not available for visibility timeout change.",
                    )
                )
            else:
                errors.append(None)
        return errors

    def _open(self, record: QueueRecord, handle: str, now_ms: int) -> Receipt | BrokerError:
        """The receipt in a handle, or why it is none for this queue (4.3)."""
        if not handle.strip():
            return MissingParameter("ReceiptHandle")
        receipt = open_handle(self._seal, handle)
        if receipt is None:
            return ReceiptHandleIsInvalid.garbage(handle)
        if receipt.queue_id != record.queue_id:
            return ReceiptHandleIsInvalid.other_queue(handle)
        if receipt.claimed_at_ms + _VISIBILITY_MAX_MS < now_ms:
            return ReceiptHandleExpired(handle)
        return receipt

    def _open_for_change(
        self, record: QueueRecord, handle: str, timeout_s: int, now_ms: int
    ) -> Receipt | BrokerError:
        if not 0 <= timeout_s <= limits.VISIBILITY_TIMEOUT_S_MAX:
            return InvalidParameterValue.of(
                "VisibilityTimeout",
                timeout_s,
                f"Must be between 0 and {limits.VISIBILITY_TIMEOUT_S_MAX}.",
            )
        receipt = self._open(record, handle, now_ms)
        if (
            isinstance(receipt, Receipt)
            # Not ">": AWS refuses 43200 on a message just received, for some time has passed. [pub]
            and now_ms + timeout_s * 1000 - receipt.claimed_at_ms >= _VISIBILITY_MAX_MS
        ):
            return InvalidParameterValue.of(
                "VisibilityTimeout",
                timeout_s,
                "Total VisibilityTimeout for the message is beyond the limit"
                f" [{limits.VISIBILITY_TIMEOUT_S_MAX} seconds].",
            )
        return receipt


def sequence_number(sequence: int) -> str:
    """Twenty digits, as AWS writes them."""
    return str(10**19 + sequence)


def _draft_bytes(draft: Draft) -> int:
    body = draft.body or ""
    size = len(body) if body.isascii() else len(body.encode("utf-8", "surrogatepass"))
    return size + attributes_bytes(draft.attributes) if draft.attributes else size


def _check_id(parameter: str, value: str) -> None:
    if not _GROUP_OR_DEDUPLICATION_ID.fullmatch(value):
        raise InvalidParameterValue.of(
            parameter,
            value,
            f"{parameter} can only include alphanumeric and punctuation characters."
            " 1 to 128 in length.",
        )


def _trace_header(draft: Draft) -> str | None:
    if not draft.system_attributes:
        return draft.trace_header
    for name in draft.system_attributes:
        if name != "AWSTraceHeader":
            raise InvalidParameterValue(f"Message system attribute name '{name}' is invalid.")
    [header] = check_attributes(draft.system_attributes, kind="system").values()
    if header.data_type != "String":
        raise InvalidParameterValue(
            "The type of message system attribute 'AWSTraceHeader' is invalid."
            " You must use only the following supported type prefixes: String."
        )
    return str(header.value)


def _check_receive(
    max_messages: int,
    visibility_timeout_s: int | None,
    wait_s: int | None,
    attempt_id: str | None,
) -> None:
    if not 1 <= max_messages <= limits.RECEIVE_MESSAGES_MAX:
        raise InvalidParameterValue.of(
            "MaxNumberOfMessages", max_messages, "Must be between 1 and 10, if provided."
        )
    if wait_s is not None and not 0 <= wait_s <= limits.RECEIVE_WAIT_S_MAX:
        raise InvalidParameterValue.of(
            "WaitTimeSeconds", wait_s, "Must be >= 0 and <= 20, if provided."
        )
    if (
        visibility_timeout_s is not None
        and not 0 <= visibility_timeout_s <= limits.VISIBILITY_TIMEOUT_S_MAX
    ):
        raise InvalidParameterValue.of(
            "VisibilityTimeout", visibility_timeout_s, "Must be >= 0 and <= 43200, if provided."
        )
    if attempt_id is not None:
        _check_id("ReceiveRequestAttemptId", attempt_id)
