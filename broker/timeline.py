"""What the verbs did lately, as small tuples: the latest so many of all queues and topics."""

from collections import OrderedDict, deque
from typing import Any, Final

from storage.records import QueueKey, QueueRecord

EVENTS_MAX: Final = 100_000
_NAMES_OF_DELETED_QUEUES_MAX = 10_000

# What happened.  An event is (moment, kind, queue id, message id, sequence, two details): a message
# of a queue is told by its id or by its sequence, whichever the verb knew.  Numbers and texts only:
# tuples of such cost the garbage collector nothing.
Event = tuple[int, str, int, str | None, int, Any, Any]
PUBLISHED: Final = "published"  # the topic's ARN, -
ENQUEUED: Final = "enqueued"  # visible from, the id of the publication if it came from a topic
SENT_AGAIN: Final = "sentAgain"  # -, -: a duplicate, which was not stored
RECEIVED: Final = "received"  # receive count, hidden until
VISIBILITY_CHANGED: Final = "visibilityChanged"  # hidden until, -
DEAD_LETTERED: Final = "deadLettered"  # the dead-letter queue's id, "fifo" or ""
DELETED: Final = "deleted"  # -, -
MOVED: Final = "moved"  # the destination's id, the new message id
MAYBE_MOVED: Final = "maybeMoved"  # the same, if the message was not received at that moment
PURGED: Final = "purged"  # of no message, but a whole queue
QUEUE_DELETED: Final = "queueDeleted"  # the same
ROLLED_BACK: Final = "rolledBack"  # of all queues in a scope: the checkpoint's name, the scope
DELIVERY: Final = "delivery"  # where to, (protocol, outcome, status code)


class Timeline:
    """The latest events, ``limit`` of them at most; with 0 none are kept."""

    def __init__(self, limit: int) -> None:
        self.events: deque[Event] = deque(maxlen=limit)
        #: queues that are deleted, by id: events may still name them
        self.deleted_queues: OrderedDict[int, QueueKey] = OrderedDict()

    def queue_deleted(self, record: QueueRecord) -> None:
        """Remember what a queue was called."""
        self.deleted_queues[record.queue_id] = record.key
        if len(self.deleted_queues) > _NAMES_OF_DELETED_QUEUES_MAX:
            self.deleted_queues.popitem(last=False)
