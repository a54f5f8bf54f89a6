"""Delivery status logs in AWS's shape, where a topic asks for them (SNS reference, 5.12)."""

import hashlib
import json
import logging
import zlib
from collections.abc import Mapping
from typing import Any

from broker.envelopes import timestamp_text
from broker.ids import Ids
from storage.topic_records import DeliveryKind, DeliveryStatus, NewDelivery, Publication

logger = logging.getLogger("headrace.delivery_status")

_FAMILIES = {
    "http": "HTTP",
    "https": "HTTP",
    "sqs": "SQS",
    "lambda": "Lambda",
    "firehose": "Firehose",
    "application": "Application",
}


def wants_success(attributes: Mapping[str, str], protocol: str, message_id: str) -> bool:
    """Whether a topic wants the success of a delivery logged; a sample of all, by message."""
    family = _FAMILIES.get(protocol)
    if family is None or f"{family}SuccessFeedbackRoleArn" not in attributes:
        return False
    rate = int(attributes.get(f"{family}SuccessFeedbackSampleRate", "100"))
    return zlib.crc32(message_id.encode()) % 100 < rate


class DeliveryStatusLog:
    """Writes finished deliveries to the log named ``headrace.delivery_status``."""

    def __init__(self, ids: Ids) -> None:
        self._ids = ids

    def write(
        self, attributes: Mapping[str, str], publication: Publication, details: NewDelivery
    ) -> None:
        """Log a finished delivery, if the topic of these attributes asks for it.

        Confirmations are no notifications, and not asked for.
        """
        if details.kind is not DeliveryKind.NOTIFICATION:
            return
        success = details.status is DeliveryStatus.DELIVERED
        if success:
            wanted = wants_success(attributes, details.protocol, publication.message_id)
        else:
            family = _FAMILIES.get(details.protocol)
            wanted = f"{family}FailureFeedbackRoleArn" in attributes
        if wanted:
            event = json.dumps(self._event(publication, details, success=success))
            logger.info("%s %s", log_group(publication, success=success), event)

    def _event(
        self, publication: Publication, details: NewDelivery, *, success: bool
    ) -> dict[str, Any]:
        delivery: dict[str, Any] = {
            "deliveryId": self._ids.uuid(),
            "destination": details.endpoint,
            "providerResponse": details.response or "",
            "dwellTimeMs": details.dwell_ms or 0,
            "statusCode": details.status_code or 0,
        }
        if details.attempts > 1:
            delivery["attempts"] = details.attempts
        published_at = timestamp_text(publication.published_at_ms)
        return {
            "notification": {
                # what a body's digest is for in AWS's logs: to compare, not to protect
                "messageMD5Sum": hashlib.md5(
                    publication.message.encode("utf-8", "surrogatepass"), usedforsecurity=False
                ).hexdigest(),
                "messageId": publication.message_id,
                "topicArn": publication.topic_arn,
                "timestamp": published_at.replace("T", " ").removesuffix("Z"),
            },
            "delivery": delivery,
            "status": "SUCCESS" if success else "FAILURE",
        }


def log_group(publication: Publication, *, success: bool) -> str:
    """``sns/<region>/<account>/<topic>``, with ``/Failure`` for those."""
    _, _, _, region, account, name = (publication.topic_arn or ":::::direct").split(":", 5)
    return f"sns/{region}/{account}/{name}{'' if success else '/Failure'}"
