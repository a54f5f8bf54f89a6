"""The part of the storage contract for tools and tests: looking, starting over, going back.

The rules of ``storage.contract`` hold here too, but for two: what is said here may cost time in
proportion to what is looked at, and ``save_checkpoint`` copies what there is.
"""

from collections.abc import Sequence
from typing import Protocol

from storage.admin_records import (
    Checkpoint,
    Peeked,
    PeekFilter,
    Scope,
    Transfer,
)
from storage.records import Counts, QueueRecord
from storage.topic_records import TopicRecord


class AdminStorage(Protocol):
    """What tools and tests ask of a store."""

    async def peek_messages(
        self,
        queue_id: int,
        chosen: PeekFilter,
        *,
        after_sequence: int = 0,
        limit: int,
        now_ms: int,
    ) -> list[Peeked]:
        """Up to ``limit`` messages of a queue that fit ``chosen``, in order of sequence.

        Only those with a sequence above ``after_sequence``.  Nothing that a client can see
        changes: no receive is counted, no message hidden or shown, no turn taken.
        """

    async def oldest_message_sent_at_ms(self, queue_id: int, *, now_ms: int) -> int | None:
        """When the oldest message of a queue, hidden or visible, was enqueued; in constant time.

        It may be that of a message that has just expired.
        """

    async def all_queues(self) -> list[QueueRecord]:
        """Every queue of every account and region, in no particular order."""

    async def all_topics(self) -> list[TopicRecord]:
        """Every topic of every account and region, in no particular order."""

    async def survey_queues(
        self, queue_ids: Sequence[int], *, now_ms: int
    ) -> dict[int, tuple[Counts, int | None]]:
        """Of those of these queues that exist: ``count_messages``, and the moment of the oldest.

        The latter as ``oldest_message_sent_at_ms`` has it.
        """

    async def show_messages(
        self, queue_id: int, sequences: Sequence[int], *, now_ms: int
    ) -> list[str]:
        """Make hidden messages visible, as if they had fallen due; the ids of those that were."""

    async def remove_messages(
        self, queue_id: int, sequences: Sequence[int], *, now_ms: int
    ) -> list[str]:
        """Delete messages in whatever state, as if they had been received; the ids of those."""

    async def transfer_messages(
        self, queue_id: int, transfers: Sequence[Transfer], *, now_ms: int
    ) -> int:
        """Move messages in whatever state to other queues, as ``move_messages`` does.

        Both queues are of the same kind, or a message to a FIFO queue has a group.  Returns how
        many were there to be moved.  Raises ``UnknownQueue`` if a destination is gone.
        """

    async def reset(self, scope: Scope, *, now_ms: int) -> None:
        """Remove all queues, topics, subscriptions, documents and deliveries of a scope.

        A subscription belongs to the scope of its topic.  With them go what belongs to them, and
        what is remembered of deleted queues.  Whoever waits at one of the queues is told, as by
        ``delete_queue``.  Checkpoints and secrets stay.
        """

    # --- checkpoints ----------------------------------------------------------------------------

    async def save_checkpoint(self, name: str, scope: Scope, *, now_ms: int) -> Checkpoint:
        """Remember all that ``reset`` of that scope would remove, under a name; replaces another.

        In full: messages with their state, receives, groups and turns, deduplication, receive
        attempts, move tasks, subscriptions, deliveries, archives.
        """

    async def list_checkpoints(self) -> list[Checkpoint]:
        """All checkpoints in order of name."""

    async def restore_checkpoint(self, name: str, *, now_ms: int) -> Checkpoint | None:
        """Put everything in the checkpoint's scope back to what it was; None: there is no such.

        Queues and topics get back their ids, topics a new revision; receipts from before the
        checkpoint are good again, later ones are not.  What was made since is removed.  Moments are
        not shifted: what has fallen due or expired meanwhile is so at once.  In memory the cost
        does not grow with the number of messages if the checkpoint was not restored a moment ago
        (``sweep`` makes it ready again); on disk it is a look at each message, and a write for each
        that differs.  Sequences go on: none is given out twice.  Whoever waits at one of the
        queues is told.  Can be repeated.
        """

    async def delete_checkpoint(self, name: str) -> bool:
        """Forget a checkpoint; whether there was one."""
