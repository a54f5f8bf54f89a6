"""The storage contract.  These docstrings are its specification; every store keeps all of it.

Rules that hold for every method:

- Everything nondeterministic is an argument: time, ids, limits.  A store never waits for time to
  pass, reads a clock or draws a random number.
- Atomic and, once it has returned, as durable as the store promises.  A method that raises has
  changed nothing.
- Expected outcomes are return values.  ``UnknownQueue`` is raised when a queue is gone;
  ``StoreUnwritable`` and ``StoreBroken`` when the store cannot do what it is for.
- A claim that finds nothing, and any read, causes no flush to disk.
- The cost of a method does not grow with the number of messages, groups or queues (a purge and a
  deletion included; ``sweep`` collects in small steps what they leave).  Exceptions: a change of
  retention or FIFO delay touches each message it concerns.
- Every method on messages first brings its queue to ``now_ms``: what fell due in between becomes
  visible, in order of (due moment, sequence), and what expired is removed, as if somebody had
  watched all the time.

Terms.  A message is *hidden* while it is delayed (never received) or in flight (received), and
*visible* otherwise.  It *expires* when its queue's retention period has passed since it was
enqueued: from then on it does not exist, whatever its state.  *Sequences* are positive integers
below 2**63 that rise strictly over the life of the store, restarts and lost tails included.

FIFO queues.  The messages of a group are handed out in order of sequence, walking from the oldest
and stopping at the first hidden one.  Groups take turns: a group is ready while its oldest message
is visible; ready groups are served in order of the moment at which they became ready; a group
that was served and is still ready (visibility timeout 0) goes to the back.  A claim empties one
group as far as it may before it turns to the next.  (Orders A to F of the SQS reference, 5.3.)

Standard queues hand out the oldest visible message first.  Messages with a group id form one lane
per group, those without one a lane of their own; lanes with visible messages take turns, one
message a turn, the lane that was served going to the back (fair queues: a noisy group does not
delay a quiet one).  A lane with newly visible messages joins at the back; the lane without a group
id, as long as it has visible messages, is served in its turn like the others and starts in front.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from storage.admin_contract import AdminStorage
from storage.records import (
    Added,
    Claimed,
    Counts,
    DeadLetter,
    Movable,
    Move,
    MoveTask,
    MoveTaskStatus,
    NewMessage,
    Outcome,
    QueueKey,
    QueueRecord,
    QueueSettings,
    Receipt,
)
from storage.topic_contract import TopicStorage

#: Called after a call that made something receivable, or changed when something will be:
#: (queue id, how many messages may have become receivable; at least 1, or ``EVERYBODY``).
ChangeListener = Callable[[int, int], None]

#: Called after a commit: (seconds of the whole transaction, seconds of its COMMIT alone).
CommitListener = Callable[[float, float], None]

#: Told where all who wait should look again: the queue was purged, deleted or retimed.
EVERYBODY = 1 << 31


class Storage(TopicStorage, AdminStorage, Protocol):
    """What the broker asks of a store: about queues and messages here, all else in its bases."""

    #: True if what was stored is there after the process has been killed and started again.
    durable: bool

    #: One line for the start-up banner, such as ``sqlite:data/headrace.db (strict)``.
    description: str

    async def open(self) -> None:
        """Make ready for use.  Raises ``StoreUnusable`` with one line of text if that fails."""

    async def close(self) -> None:
        """Finish what was accepted and let go of every resource.  Calling it twice is fine."""

    def on_change(self, listener: ChangeListener) -> None:
        """Have ``listener`` called, once the change is durable, whenever waiting may be over."""

    def on_commit(self, listener: CommitListener) -> None:
        """Have ``listener`` called after each commit that was flushed, if this store makes any."""

    async def keep_secret(self, name: str, candidate: bytes) -> bytes:
        """The secret of that name; ``candidate`` becomes it if there is none yet."""

    # --- queues ---------------------------------------------------------------------------------

    async def create_queue(
        self, key: QueueKey, settings: QueueSettings, tags: Mapping[str, str], *, now_ms: int
    ) -> tuple[QueueRecord, bool]:
        """The queue of that key, and whether this call created it.

        An existing queue is returned as it is.  Whether deduplication is per group is fixed here,
        from ``settings.deduplication_scope``.
        """

    async def get_queue(self, key: QueueKey) -> QueueRecord | None:
        """The queue of that key as of now."""

    async def list_queues(
        self, account: str, region: str, *, prefix: str = "", after: str = "", limit: int
    ) -> list[QueueRecord]:
        """Up to ``limit`` queues whose name starts with ``prefix`` and sorts after ``after``."""

    async def replace_queue(self, old: QueueRecord, new: QueueRecord) -> bool:
        """Store ``new`` if the queue still equals ``old``; False, and no change, if it does not.

        Only ``settings``, ``tags`` and ``modified_at_ms`` may differ.  A new retention period
        holds for the messages that are there; in a FIFO queue so does a new delay, for those
        never received: each is hidden until the moment it was sent plus the delay.
        """

    async def delete_queue(self, queue_id: int, *, now_ms: int) -> None:
        """Remove the queue with all that belongs to it; its move tasks stay listed."""

    async def queue_deleted_at_ms(self, key: QueueKey) -> int | None:
        """When the last queue of that key was deleted; may be forgotten after 60 seconds."""

    async def purge_queue(self, queue_id: int, *, now_ms: int) -> None:
        """Remove all messages, hidden ones too, and the deduplication history.

        The record gets a new ``content_id`` and ``purged_at_ms = now_ms``.
        """

    # --- messages -------------------------------------------------------------------------------

    async def add_messages(
        self,
        messages: Sequence[tuple[int, NewMessage]],
        *,
        now_ms: int,
        deduplication_window_ms: int,
    ) -> list[Added]:
        """Add each message to the queue of that id, in order: all of them, or none if it raises.

        In a FIFO queue a message whose ``deduplication_id`` was accepted there (in its group, if
        the queue deduplicates per group) less than ``deduplication_window_ms`` ago is not added:
        the answer names the one accepted then.  The window runs from the first acceptance and
        outlives the message.
        """

    async def claim_messages(
        self,
        queue_id: int,
        *,
        limit: int,
        now_ms: int,
        hidden_until_ms: int,
        in_flight_max: int,
        dead_letter: DeadLetter | None = None,
        attempt_id: str | None = None,
        attempt_window_ms: int = 0,
    ) -> Claimed:
        """Hand out up to ``limit`` visible messages and hide them, in one atomic step.

        Each one handed out stays hidden until ``hidden_until_ms`` and has its receive count
        raised by one.  The moment of its first receive is set once and kept.  One call never
        returns a message twice, even if ``hidden_until_ms <= now_ms``.

        ``dead_letter``: a message that was received ``max_receive_count`` times or more is not
        handed out but moves to that queue in the same step, visible there at once, with its
        receive counts, first receive and send time, and ``dead_letter_source_arn`` set.  In a
        standard queue it keeps its sequence and goes on ageing; in a FIFO queue it gets a new
        sequence, its retention starts anew, and its deduplication id becomes its message id.
        A rule that names the queue itself, or a queue that is gone, is ignored.

        One call moves, promotes and expires a bounded number.  ``again`` says that it stopped at
        that bound with nothing to hand out: call again.

        ``in_flight_max``: with that many messages in flight nothing is handed out
        (``over_limit``), and never more than fit below it.

        ``attempt_id`` (FIFO only): a call that repeats the id of one that handed out messages
        less than ``attempt_window_ms`` ago gets the same messages again, under the same receipts
        (count and claim time unchanged), hidden until the new ``hidden_until_ms``.  If one of
        them was deleted, has become visible, or had its visibility changed, the answer is
        ``attempt_void`` and nothing changes.
        """

    async def delete_messages(self, receipts: Sequence[Receipt], *, now_ms: int) -> list[Outcome]:
        """Delete the message each receipt names; all receipts are of one queue.

        Standard: DONE whichever hand-out the receipt is of, GONE if there is no such message.
        FIFO: STALE unless it is the latest hand-out and still in flight.
        """

    async def change_visibility(
        self, changes: Sequence[tuple[Receipt, int]], *, now_ms: int
    ) -> list[Outcome]:
        """Hide the message each receipt names until that moment; at or before ``now_ms``: show it.

        Standard: acts on the current hand-out, whichever the receipt is of; VISIBLE if there is
        none.  FIFO: STALE as in ``delete_messages``.  All receipts are of one queue.
        """

    async def count_messages(self, queue_id: int, *, now_ms: int) -> Counts:
        """Exact counts at that moment; messages of a locked FIFO group are visible."""

    # --- message move tasks ---------------------------------------------------------------------

    async def create_move_task(self, task: MoveTask) -> bool:
        """Store a new task; False if one for that source is RUNNING or CANCELLING."""

    async def list_move_tasks(self, source_queue_id: int, *, limit: int) -> list[MoveTask]:
        """The tasks of a source, the latest first; at least the ten latest are kept."""

    async def get_move_task(self, task_id: str) -> MoveTask | None:
        """The task of that id."""

    async def unfinished_move_tasks(self) -> list[MoveTask]:
        """All tasks that are RUNNING or CANCELLING, the oldest first."""

    async def set_move_task_status(
        self, task_id: str, status: MoveTaskStatus, *, failure_reason: str | None = None
    ) -> MoveTask | None:
        """Change the status of an unfinished task and return it; None if it is finished."""

    async def peek_movable(self, queue_id: int, *, limit: int, now_ms: int) -> list[Movable]:
        """Up to ``limit`` receivable messages in an order in which they may be moved.

        In a FIFO queue: for each ready group its messages up to the first hidden one.
        """

    async def move_messages(self, task_id: str, moves: Sequence[Move], *, now_ms: int) -> int:
        """Move messages out of the task's source queue and count them in the task.

        Each becomes a new message of its destination: new id, sequence, send time and retention,
        no receives, visible at once; body, attributes, group and deduplication id are kept, and
        no deduplication takes place.  A message that is no longer visible, and all moves of a
        task that is not RUNNING, are passed over.  Returns how many were moved.  Raises
        ``UnknownQueue`` if a destination is gone.
        """

    # --- upkeep ---------------------------------------------------------------------------------

    async def sweep(self, *, now_ms: int, limit: int) -> int | None:
        """Remove up to about ``limit`` things (per queue) that nobody can see any more.

        Those are expired messages, what purges and deletions left, deduplication ids and receive
        attempts whose window has passed, subscriptions past their ``expires_at_ms``, and finished
        deliveries beyond the ``FINISHED_DELIVERIES_KEPT`` latest.  Apart from the last two it never
        changes what another method answers.  Returns when there will be more to remove, ``now_ms``
        if there is more now, None if nothing is known to fall due.
        """
