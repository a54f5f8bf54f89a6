"""Why the broker refuses a call.

BrokerError
├── QueueDoesNotExist
├── QueueNameExists
├── QueueDeletedRecently
├── InvalidAttributeName
├── InvalidAttributeValue
├── InvalidParameterValue
│   ├── MessageTooLong
│   └── ReceiptHandleExpired
├── MissingParameter
├── InvalidMessageContents
├── ReceiptHandleIsInvalid
├── BatchError
│   ├── EmptyBatchRequest
│   ├── TooManyEntriesInBatchRequest
│   ├── BatchEntryIdsNotDistinct
│   ├── InvalidBatchEntryId
│   └── BatchRequestTooLong
├── PurgeQueueInProgress
├── OverLimit
├── UnsupportedOperation
├── ResourceNotFound
├── AccessDenied
└── ServiceUnavailable

The text of an error is AWS's (SQS reference, sections 1 to 7); the codes and statuses of the wire
stand in ``api/errors.py``.  A refused call has changed nothing.
"""


class BrokerError(Exception):
    """Base of every refusal."""


class QueueDoesNotExist(BrokerError):
    """There is no queue of that account, region and name."""

    def __init__(self) -> None:
        super().__init__("The specified queue does not exist.")


class QueueNameExists(BrokerError):
    """CreateQueue: the queue is there with another value of ``attribute``."""

    def __init__(self, attribute: str) -> None:
        what = "tags" if attribute == "tags" else f"attribute {attribute}"
        super().__init__(
            f"A queue already exists with the same name and a different value for {what}"
        )


class QueueDeletedRecently(BrokerError):
    """CreateQueue within 60 s of DeleteQueue, where that rule is switched on."""

    def __init__(self) -> None:
        super().__init__(
            "You must wait 60 seconds after deleting a queue before you can create another with"
            " the same name."
        )


class InvalidAttributeName(BrokerError):
    """A queue attribute that does not exist, or not for this queue."""


class InvalidAttributeValue(BrokerError):
    """A queue attribute's value is out of its range."""

    def __init__(self, attribute: str, reason: str = "") -> None:
        text = f"Invalid value for the parameter {attribute}."
        super().__init__(f"{text} Reason: {reason}" if reason else text)


class InvalidParameterValue(BrokerError):
    """A parameter that cannot be accepted."""

    parameter: str | None = None
    reason: str | None = None

    @classmethod
    def of(cls, parameter: str, value: object, reason: str) -> "InvalidParameterValue":
        """The usual form of the text."""
        error = cls(f"Value {value} for parameter {parameter} is invalid. Reason: {reason}")
        error.parameter = parameter
        error.reason = reason
        return error


class MessageTooLong(InvalidParameterValue):
    """Body and attributes together exceed the queue's MaximumMessageSize."""

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        super().__init__(
            "One or more parameters are invalid."
            f" Reason: Message must be shorter than {limit_bytes} bytes."
        )


class ReceiptHandleExpired(InvalidParameterValue):
    """The hand-out that the handle names has ended."""

    def __init__(self, handle: str) -> None:
        super().__init__(
            f"Value {handle} for parameter ReceiptHandle is invalid."
            " Reason: The receipt handle has expired."
        )


class MissingParameter(BrokerError):
    """A required parameter is absent or empty."""

    def __init__(self, parameter: str) -> None:
        self.parameter = parameter
        super().__init__(f"The request must contain the parameter {parameter}.")


class InvalidMessageContents(BrokerError):
    """A body with a character outside the allowed set."""


class ReceiptHandleIsInvalid(BrokerError):
    """Not a receipt handle, or one of another queue."""

    @classmethod
    def garbage(cls, handle: str) -> "ReceiptHandleIsInvalid":
        """Not a handle that this broker gave out."""
        return cls(f'The input receipt handle "{handle}" is not a valid receipt handle.')

    @classmethod
    def other_queue(cls, handle: str) -> "ReceiptHandleIsInvalid":
        """A handle given out by another queue."""
        return cls(f'The receipt handle "{handle}" is not valid for this queue.')


class BatchError(BrokerError):
    """A batch that is refused as a whole."""


class EmptyBatchRequest(BatchError):
    """No entries."""


class TooManyEntriesInBatchRequest(BatchError):
    """More than ten entries."""


class BatchEntryIdsNotDistinct(BatchError):
    """Two entries of one id."""


class InvalidBatchEntryId(BatchError):
    """An id with other characters than letters, digits, hyphen and underscore, or too long."""


class BatchRequestTooLong(BatchError):
    """All messages together exceed the limit."""


class PurgeQueueInProgress(BrokerError):
    """A second purge within 60 s."""

    def __init__(self, queue_name: str) -> None:
        super().__init__(
            f"Only one PurgeQueue operation on {queue_name} is allowed every 60 seconds."
        )


class OverLimit(BrokerError):
    """A quota is exhausted: messages in flight, statements, actions."""


class UnsupportedOperation(BrokerError):
    """Something that AWS has reserved and not built."""


class ResourceNotFound(BrokerError):
    """A move task or one of its queues does not exist."""


class AccessDenied(BrokerError):
    """An operation that only the account of the queue may call."""


class ServiceUnavailable(BrokerError):
    """The store has no room: nothing was changed, the call may be tried again."""
