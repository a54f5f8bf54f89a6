"""What the SQLite store keeps in memory about the messages a queue holds."""

from base64 import b64decode, b64encode
from collections.abc import Mapping
from json import dumps, loads

from storage.records import MessageAttribute

#: later than every moment: nothing is known to fall due
NEVER = 1 << 62


class Content:
    """The messages of a queue: counts, and when to look at them again.

    All of it can be made anew from the database; it is, after a rollback.
    """

    __slots__ = (
        "content_id",
        "delayed",
        "fifo",
        "in_flight",
        "next_due_ms",
        "next_expiry_ms",
        "open_turn",
        "per_group",
        "queue_id",
        "ready_lanes",
        "retention_ms",
        "visible",
    )

    def __init__(
        self, content_id: int, queue_id: int, *, fifo: bool, per_group: bool, retention_ms: int
    ) -> None:
        self.content_id = content_id
        self.queue_id = queue_id
        self.fifo = fifo
        self.per_group = per_group
        self.retention_ms = retention_ms
        self.visible = 0
        self.in_flight = 0
        self.delayed = 0
        #: no hidden message falls due, no visible one expires before these; 0: not known
        self.next_due_ms = 0
        self.next_expiry_ms = 0
        #: how many group lanes have a turn
        self.ready_lanes = 0
        #: the turn of the lane without a group id
        self.open_turn = 0

    def is_settled(self, now_ms: int) -> bool:
        """Whether nothing has fallen due or expired by that moment."""
        return now_ms < self.next_due_ms and now_ms < self.next_expiry_ms

    def count(self, *, hidden: bool, received: bool, change: int) -> None:
        """Count messages of that state in (1) or out (-1)."""
        if not hidden:
            self.visible += change
        elif received:
            self.in_flight += change
        else:
            self.delayed += change


def encode_attributes(attributes: Mapping[str, MessageAttribute] | None) -> str | None:
    """Message attributes as the text that is stored."""
    if not attributes:
        return None
    return dumps(
        {
            name: [data_type, value]
            if isinstance(value, str)
            else [data_type, b64encode(value).decode("ascii"), 1]
            for name, (data_type, value) in attributes.items()
        },
        separators=(",", ":"),
    )


def decode_attributes(text: str | None) -> dict[str, MessageAttribute] | None:
    """What ``encode_attributes`` was given."""
    if text is None:
        return None
    return {
        name: MessageAttribute(stored[0], b64decode(stored[1]) if len(stored) > 2 else stored[1])
        for name, stored in loads(text).items()
    }
