"""Refusals on the wire: one table from the broker's errors to AWS's codes.

SQS reference, 1.4; SNS reference, 1.3.
"""

from typing import NamedTuple

from broker import StoreBroken, StoreUnwritable, UnknownQueue, errors, topic_errors

_SQS = "com.amazonaws.sqs#"
_SNS = "com.amazonaws.sns#"
_FRAMEWORK = "com.amazon.coral.service#"


class WireError(NamedTuple):
    """How an error is told: JSON ``__type``, Query code, HTTP status, text."""

    json_type: str
    code: str
    status: int
    message: str

    @property
    def fault(self) -> str:
        """Whose fault it is, in AWS's words."""
        return "Receiver" if self.status >= 500 else "Sender"


class MalformedInput(errors.BrokerError):
    """The request could not be read as what its operation expects."""


class UnknownOperation(errors.BrokerError):
    """There is no such operation, or not at this path."""


class RequestTooLarge(errors.BrokerError):
    """The request's body exceeds what is read."""


_Row = tuple[str, str, int]


def _topic(code: str, status: int = 400) -> _Row:
    """A row of SNS, which has no JSON protocol; its models call the code so as well."""
    return (f"{_SNS}{code}", code, status)


_TABLE: dict[type[Exception], _Row] = {
    errors.QueueDoesNotExist: (
        f"{_SQS}QueueDoesNotExist",
        "AWS.SimpleQueueService.NonExistentQueue",
        400,
    ),
    errors.QueueNameExists: (f"{_SQS}QueueNameExists", "QueueAlreadyExists", 400),
    errors.QueueDeletedRecently: (
        f"{_SQS}QueueDeletedRecently",
        "AWS.SimpleQueueService.QueueDeletedRecently",
        400,
    ),
    errors.InvalidAttributeName: (f"{_SQS}InvalidAttributeName", "InvalidAttributeName", 400),
    errors.InvalidAttributeValue: (f"{_SQS}InvalidAttributeValue", "InvalidAttributeValue", 400),
    errors.InvalidParameterValue: (
        f"{_FRAMEWORK}InvalidParameterValueException",
        "InvalidParameterValue",
        400,
    ),
    errors.MissingParameter: (
        f"{_FRAMEWORK}MissingRequiredParameterException",
        "MissingParameter",
        400,
    ),
    errors.InvalidMessageContents: (
        f"{_SQS}InvalidMessageContents",
        "InvalidMessageContents",
        400,
    ),
    errors.ReceiptHandleIsInvalid: (
        f"{_SQS}ReceiptHandleIsInvalid",
        "ReceiptHandleIsInvalid",
        404,
    ),
    errors.EmptyBatchRequest: (
        f"{_SQS}EmptyBatchRequest",
        "AWS.SimpleQueueService.EmptyBatchRequest",
        400,
    ),
    errors.TooManyEntriesInBatchRequest: (
        f"{_SQS}TooManyEntriesInBatchRequest",
        "AWS.SimpleQueueService.TooManyEntriesInBatchRequest",
        400,
    ),
    errors.BatchEntryIdsNotDistinct: (
        f"{_SQS}BatchEntryIdsNotDistinct",
        "AWS.SimpleQueueService.BatchEntryIdsNotDistinct",
        400,
    ),
    errors.InvalidBatchEntryId: (
        f"{_SQS}InvalidBatchEntryId",
        "AWS.SimpleQueueService.InvalidBatchEntryId",
        400,
    ),
    errors.BatchRequestTooLong: (
        f"{_SQS}BatchRequestTooLong",
        "AWS.SimpleQueueService.BatchRequestTooLong",
        400,
    ),
    errors.PurgeQueueInProgress: (
        f"{_SQS}PurgeQueueInProgress",
        "AWS.SimpleQueueService.PurgeQueueInProgress",
        403,
    ),
    errors.OverLimit: (f"{_SQS}OverLimit", "OverLimit", 403),
    errors.UnsupportedOperation: (
        f"{_SQS}UnsupportedOperation",
        "AWS.SimpleQueueService.UnsupportedOperation",
        400,
    ),
    errors.ResourceNotFound: (
        f"{_SQS}ResourceNotFoundException",
        "ResourceNotFoundException",
        404,
    ),
    errors.AccessDenied: (f"{_FRAMEWORK}AccessDeniedException", "AccessDenied", 403),
    topic_errors.InvalidParameter: _topic("InvalidParameter"),
    topic_errors.InvalidMessageAttribute: _topic("ParameterValueInvalid"),
    topic_errors.NullMember: _topic("ValidationError"),
    topic_errors.TopicResourceNotFound: _topic("ResourceNotFound", 404),
    topic_errors.NotFound: _topic("NotFound", 404),
    topic_errors.AuthorizationError: _topic("AuthorizationError", 403),
    topic_errors.InvalidState: _topic("InvalidState"),
    topic_errors.EndpointDisabled: _topic("EndpointDisabled"),
    topic_errors.PlatformApplicationDisabled: _topic("PlatformApplicationDisabled"),
    topic_errors.SubscriptionLimitExceeded: _topic("SubscriptionLimitExceeded", 403),
    topic_errors.TopicLimitExceeded: _topic("TopicLimitExceeded", 403),
    topic_errors.TopicTagLimitExceeded: _topic("TagLimitExceeded"),
    topic_errors.OptedOut: _topic("OptedOut"),
    topic_errors.VerificationFailed: _topic("VerificationException"),
    topic_errors.EmptyPublishBatch: _topic("EmptyBatchRequest"),
    topic_errors.TooManyPublishBatchEntries: _topic("TooManyEntriesInBatchRequest"),
    topic_errors.PublishBatchIdsNotDistinct: _topic("BatchEntryIdsNotDistinct"),
    topic_errors.InvalidPublishBatchId: _topic("InvalidBatchEntryId"),
    topic_errors.PublishBatchTooLong: _topic("BatchRequestTooLong"),
    MalformedInput: (f"{_FRAMEWORK}SerializationException", "MalformedInput", 400),
    UnknownOperation: (f"{_FRAMEWORK}UnknownOperationException", "InvalidAction", 400),
    RequestTooLarge: (f"{_FRAMEWORK}RequestEntityTooLargeException", "RequestEntityTooLarge", 413),
    errors.ServiceUnavailable: (
        f"{_FRAMEWORK}ServiceUnavailableException",
        "ServiceUnavailable",
        503,
    ),
    Exception: (f"{_FRAMEWORK}InternalFailure", "InternalFailure", 500),
}


def wire_error(error: Exception, *, query: bool = False) -> WireError:
    """How ``error`` is told; what is in no row is an internal failure, of which nothing is said."""
    error = _of_the_broker(error)
    row = next(_TABLE[kind] for kind in type(error).__mro__ if kind in _TABLE)
    message = str(error) if isinstance(error, errors.BrokerError) else "Internal failure."
    if query and isinstance(error, errors.QueueDoesNotExist):
        message = "The specified queue does not exist for this wsdl version."  # [AWS]
    return WireError(*row, message)


def _of_the_broker(error: Exception) -> Exception:
    """What a store raised, as the refusal it means to a client."""
    if isinstance(error, UnknownQueue):
        return errors.QueueDoesNotExist()
    if isinstance(error, StoreUnwritable | StoreBroken):
        return errors.ServiceUnavailable(
            "The request has failed due to a temporary failure of the server."
        )
    return error
