"""The core: the rules of queues and topics; asyncio, but no HTTP server and no SQL.

What callers need stands here, in ``broker.errors`` and in ``broker.topic_errors``; the other
modules are the broker's own.
"""

from broker.arns import parse_queue_arn, partition, queue_arn
from broker.broker import Broker
from broker.callers import Caller
from broker.clock import AdjustableClock, Clock, SystemClock, Timer
from broker.deliveries.http import is_http_endpoint
from broker.deliveries.settings import DeliverySettings
from broker.deliveries.smtp import MailServer
from broker.envelopes import timestamp_text
from broker.explanations import delivery_document, message_for
from broker.ids import Ids, RandomIds
from broker.inspection import Condition, MessageView, QueueView
from broker.mails import check_email_endpoint
from broker.message_attributes import RawAttribute
from broker.move_tasks import task_handle
from broker.publishing import PublishedMessage
from broker.queue_attributes import QUEUE_ATTRIBUTE_NAMES
from broker.sms import OriginationNumber
from broker.subscriptions import SubscriptionListing
from broker.timekeeping import QueueTurn, Timekeeper, Turn
from broker.topic_messages import TopicDraft
from broker.values import Draft, Received, Sent
from broker.waiting import Hangup
from storage import Storage, open_storage
from storage.admin_records import Checkpoint, MessageState, PeekFilter, Scope
from storage.errors import StorageError, StoreBroken, StoreUnusable, StoreUnwritable, UnknownQueue
from storage.records import (
    Counts,
    MessageAttribute,
    MoveTask,
    MoveTaskStatus,
    QueueKey,
    QueueRecord,
)
from storage.topic_records import Delivery, DeliveryFilter, DeliveryStatus

__all__ = [
    "QUEUE_ATTRIBUTE_NAMES",
    "AdjustableClock",
    "Broker",
    "Caller",
    "Checkpoint",
    "Clock",
    "Condition",
    "Counts",
    "Delivery",
    "DeliveryFilter",
    "DeliverySettings",
    "DeliveryStatus",
    "Draft",
    "Hangup",
    "Ids",
    "MailServer",
    "MessageAttribute",
    "MessageState",
    "MessageView",
    "MoveTask",
    "MoveTaskStatus",
    "OriginationNumber",
    "PeekFilter",
    "PublishedMessage",
    "QueueKey",
    "QueueRecord",
    "QueueTurn",
    "QueueView",
    "RandomIds",
    "RawAttribute",
    "Received",
    "Scope",
    "Sent",
    "Storage",
    "StorageError",
    "StoreBroken",
    "StoreUnusable",
    "StoreUnwritable",
    "SubscriptionListing",
    "SystemClock",
    "Timekeeper",
    "Timer",
    "TopicDraft",
    "Turn",
    "UnknownQueue",
    "check_email_endpoint",
    "delivery_document",
    "is_http_endpoint",
    "message_for",
    "open_storage",
    "parse_queue_arn",
    "partition",
    "queue_arn",
    "task_handle",
    "timestamp_text",
]
