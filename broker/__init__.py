"""The core: the rules of queues and messages; asyncio, but no HTTP and no SQL.

What callers need stands here, and in ``broker.errors``; the other modules are the broker's own.
"""

from broker.arns import partition, queue_arn
from broker.broker import Broker
from broker.clock import Clock, SystemClock, Timer
from broker.ids import Ids, RandomIds
from broker.message_attributes import RawAttribute
from broker.move_tasks import task_handle
from broker.queue_attributes import QUEUE_ATTRIBUTE_NAMES
from broker.values import Draft, Received, Sent
from broker.waiting import Hangup
from storage import Storage, open_storage
from storage.errors import StorageError, StoreBroken, StoreUnusable, StoreUnwritable, UnknownQueue
from storage.records import MessageAttribute, MoveTask, MoveTaskStatus, QueueKey, QueueRecord

__all__ = [
    "QUEUE_ATTRIBUTE_NAMES",
    "Broker",
    "Clock",
    "Draft",
    "Hangup",
    "Ids",
    "MessageAttribute",
    "MoveTask",
    "MoveTaskStatus",
    "QueueKey",
    "QueueRecord",
    "RandomIds",
    "RawAttribute",
    "Received",
    "Sent",
    "Storage",
    "StorageError",
    "StoreBroken",
    "StoreUnusable",
    "StoreUnwritable",
    "SystemClock",
    "Timer",
    "UnknownQueue",
    "open_storage",
    "partition",
    "queue_arn",
    "task_handle",
]
