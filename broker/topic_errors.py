"""Why the broker refuses a call about topics.

BrokerError
└── TopicError
    ├── InvalidParameter
    ├── InvalidMessageAttribute
    ├── NullMember
    ├── TopicResourceNotFound
    ├── NotFound
    ├── AuthorizationError
    ├── InvalidState
    ├── EndpointDisabled
    ├── PlatformApplicationDisabled
    ├── SubscriptionLimitExceeded
    ├── TopicLimitExceeded
    ├── TopicTagLimitExceeded
    ├── OptedOut
    ├── VerificationFailed
    └── PublishBatchError
        ├── EmptyPublishBatch
        ├── TooManyPublishBatchEntries
        ├── PublishBatchIdsNotDistinct
        ├── InvalidPublishBatchId
        └── PublishBatchTooLong

The text of an error is AWS's (SNS reference); the codes and statuses of the wire stand in
``api/errors.py``.  A refused call has changed nothing.
"""

from broker.errors import BrokerError


class TopicError(BrokerError):
    """Base of every refusal about topics."""


class InvalidParameter(TopicError):
    """A parameter that cannot be accepted."""

    @classmethod
    def of(cls, detail: str) -> "InvalidParameter":
        """The usual form of the text, of which ``detail`` is the end."""
        return cls(f"Invalid parameter: {detail}")

    @classmethod
    def missing(cls, parameter: str) -> "InvalidParameter":
        """A required parameter that is not there."""
        return cls.of(f"{parameter} Reason: no value for required parameter")


class InvalidMessageAttribute(TopicError):
    """A message attribute that cannot be accepted (AWS: ParameterValueInvalid)."""


class NullMember(TopicError):
    """A required map, list or nested member is not there (AWS: ValidationError; 1.4)."""

    def __init__(self, *paths: str) -> None:
        self.paths = paths
        problems = "; ".join(
            f"Value null at '{path}' failed to satisfy constraint: Member must not be null"
            for path in paths
        )
        errors = "error" if len(paths) == 1 else "errors"
        super().__init__(f"{len(paths)} validation {errors} detected: {problems}")


class TopicResourceNotFound(TopicError):
    """What a tag operation names does not exist (AWS: ResourceNotFound)."""


class NotFound(TopicError):
    """A topic, subscription, platform application or endpoint does not exist."""


class AuthorizationError(TopicError):
    """An operation on what belongs to another account."""


class InvalidState(TopicError):
    """The resource is not in a state in which this can be done."""


class EndpointDisabled(TopicError):
    """A platform endpoint that takes no messages."""

    def __init__(self) -> None:
        super().__init__("Endpoint is disabled")


class PlatformApplicationDisabled(TopicError):
    """A platform application that takes no messages."""

    def __init__(self) -> None:
        super().__init__("Platform application is disabled")


class SubscriptionLimitExceeded(TopicError):
    """More subscriptions than a topic may have."""


class TopicLimitExceeded(TopicError):
    """More topics than an account may have."""


class TopicTagLimitExceeded(TopicError):
    """More tags than a topic may have."""

    def __init__(self) -> None:
        super().__init__("Could not complete request: tag quota of per resource exceeded")


class OptedOut(TopicError):
    """A phone number whose owner wants no messages."""


class VerificationFailed(TopicError):
    """A one-time password that is not the one that was sent (AWS: VerificationException)."""


class PublishBatchError(TopicError):
    """A batch that is refused as a whole."""


class EmptyPublishBatch(PublishBatchError):
    """No entries."""

    def __init__(self) -> None:
        super().__init__("The batch request doesn't contain any entries.")


class TooManyPublishBatchEntries(PublishBatchError):
    """More than ten entries."""

    def __init__(self) -> None:
        super().__init__("The batch request contains more entries than permissible.")


class PublishBatchIdsNotDistinct(PublishBatchError):
    """Two entries of one id."""

    def __init__(self) -> None:
        super().__init__("Two or more batch entries in the request have the same Id.")


class InvalidPublishBatchId(PublishBatchError):
    """An id with other characters than letters, digits, hyphen and underscore, or too long."""


class PublishBatchTooLong(PublishBatchError):
    """All messages together exceed the limit."""

    def __init__(self) -> None:
        super().__init__("The length of all the messages put together is more than the limit.")
