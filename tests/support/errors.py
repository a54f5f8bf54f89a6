"""How each refusal looks on the wire: the table of the SQS reference (1.4), written out anew."""

from typing import NamedTuple


class Look(NamedTuple):
    """Of one code: the ``__type`` of JSON, the HTTP status, and whose fault it is."""

    json_type: str
    status: int
    fault: str = "Sender"


_SQS = "com.amazonaws.sqs#"
_FRAMEWORK = "com.amazon.coral.service#"

#: by the code of Query, which the header of JSON answers has too
LOOKS = {
    "AWS.SimpleQueueService.NonExistentQueue": Look(f"{_SQS}QueueDoesNotExist", 400),
    "QueueAlreadyExists": Look(f"{_SQS}QueueNameExists", 400),
    "AWS.SimpleQueueService.QueueDeletedRecently": Look(f"{_SQS}QueueDeletedRecently", 400),
    "InvalidAttributeName": Look(f"{_SQS}InvalidAttributeName", 400),
    "InvalidAttributeValue": Look(f"{_SQS}InvalidAttributeValue", 400),
    "InvalidParameterValue": Look(f"{_FRAMEWORK}InvalidParameterValueException", 400),
    "MissingParameter": Look(f"{_FRAMEWORK}MissingRequiredParameterException", 400),
    "ReceiptHandleIsInvalid": Look(f"{_SQS}ReceiptHandleIsInvalid", 404),
    "InvalidMessageContents": Look(f"{_SQS}InvalidMessageContents", 400),
    "AWS.SimpleQueueService.EmptyBatchRequest": Look(f"{_SQS}EmptyBatchRequest", 400),
    "AWS.SimpleQueueService.TooManyEntriesInBatchRequest": Look(
        f"{_SQS}TooManyEntriesInBatchRequest", 400
    ),
    "AWS.SimpleQueueService.BatchEntryIdsNotDistinct": Look(f"{_SQS}BatchEntryIdsNotDistinct", 400),
    "AWS.SimpleQueueService.InvalidBatchEntryId": Look(f"{_SQS}InvalidBatchEntryId", 400),
    "AWS.SimpleQueueService.BatchRequestTooLong": Look(f"{_SQS}BatchRequestTooLong", 400),
    "AWS.SimpleQueueService.PurgeQueueInProgress": Look(f"{_SQS}PurgeQueueInProgress", 403),
    "OverLimit": Look(f"{_SQS}OverLimit", 403),
    "AWS.SimpleQueueService.UnsupportedOperation": Look(f"{_SQS}UnsupportedOperation", 400),
    "ResourceNotFoundException": Look(f"{_SQS}ResourceNotFoundException", 404),
    "AccessDenied": Look(f"{_FRAMEWORK}AccessDeniedException", 403),
    "MalformedInput": Look(f"{_FRAMEWORK}SerializationException", 400),
    "InvalidAction": Look(f"{_FRAMEWORK}UnknownOperationException", 400),
    "InternalFailure": Look(f"{_FRAMEWORK}InternalFailure", 500, "Receiver"),
}
