"""Message move tasks: dead-letter queues emptied at a pace (SQS reference, 2.21-2.23 and 6.3)."""

import asyncio
import json
import logging
from base64 import b64decode, b64encode
from binascii import Error as Base64Error

from broker import limits
from broker.arns import parse_queue_arn
from broker.clock import Clock, Sleeper
from broker.errors import InvalidParameterValue, MissingParameter, ResourceNotFound
from broker.ids import Ids
from broker.observer import Observer
from storage.contract import Storage
from storage.errors import StorageError, UnknownQueue
from storage.records import Movable, Move, MoveTask, MoveTaskStatus, QueueKey, QueueRecord

logger = logging.getLogger(__name__)

_MESSAGES_PER_STEP = 100
_NO_QUEUE = "AWS.SimpleQueueService.NonExistentQueue"
_NO_SOURCE = "CouldNotDetermineMessageSource"


def task_handle(task: MoveTask) -> str:
    """What names a task on the wire; clients decode it."""
    named = {"taskId": task.task_id, "sourceArn": task.source_arn}
    return b64encode(json.dumps(named, separators=(",", ":")).encode()).decode("ascii")


class _TaskFailed(Exception):
    """The task cannot go on; the text is its FailureReason."""


class MoveTasks:
    """Verbs on move tasks, and the runners that do the moving."""

    def __init__(self, store: Storage, clock: Clock, ids: Ids, observer: Observer) -> None:
        self._store = store
        self._clock = clock
        self._ids = ids
        self._observer = observer
        self._runners: set[asyncio.Task[None]] = set()
        self._sleepers: dict[str, Sleeper] = {}

    @property
    def under_way(self) -> int:
        """How many tasks are moving messages, not counting those that keep to their pace."""
        return len(self._runners) - len(self._sleepers)

    async def resume(self) -> None:
        """Go on with the tasks that were unfinished when the store was closed or the process died.

        Their pace starts anew: what was missed meanwhile is not caught up in a burst.
        """
        for task in await self._store.unfinished_move_tasks():
            self._spawn(task)

    async def stop(self) -> None:
        """End the runners; their tasks stay as they are, to be resumed."""
        for runner in self._runners:
            runner.cancel()
        await asyncio.gather(*self._runners, return_exceptions=True)

    # --- verbs ----------------------------------------------------------------------------------

    async def start(
        self,
        caller: QueueKey,
        *,
        source_arn: str,
        destination_arn: str | None,
        messages_per_second: int | None,
    ) -> MoveTask:
        """Begin to move the messages of a dead-letter queue.

        ``caller``: account and region of the call (its name does not matter).  Without a
        destination each message goes back to the queue it came from.
        """
        source = await self._queue_of("SourceArn", source_arn, caller)
        if not await self._is_dead_letter_queue(source, source_arn):
            raise InvalidParameterValue("Source queue must be configured as a Dead Letter Queue.")
        if destination_arn is not None:
            _check_arn("DestinationArn", destination_arn)
            if destination_arn == source_arn:
                raise InvalidParameterValue(
                    "Source queue arn and destination queue arn cannot be the same."
                )
            destination = await self._queue_of("DestinationArn", destination_arn, caller)
            if destination.settings.fifo != source.settings.fifo:
                raise InvalidParameterValue(
                    "The source queue and destination queue must be of the same queue type."
                )
        if messages_per_second is not None and not 1 <= messages_per_second <= limits.MOVE_RATE_MAX:
            raise InvalidParameterValue(
                "Value for parameter MaxNumberOfMessagesPerSecond is invalid. Reason: You must"
                f" enter a number that's between 1 and {limits.MOVE_RATE_MAX}."
            )
        now_ms = self._clock.now_ms()
        counts = await self._store.count_messages(source.queue_id, now_ms=now_ms)
        task = MoveTask(
            task_id=self._ids.uuid(),
            source_arn=source_arn,
            source_queue_id=source.queue_id,
            destination_arn=destination_arn,
            messages_per_second=messages_per_second,
            started_at_ms=now_ms,
            to_move=counts.visible,
        )
        if not await self._store.create_move_task(task):
            raise InvalidParameterValue(
                "There is already a task running. Only one active task is allowed for a source"
                " queue arn at a given time."
            )
        self._spawn(task)
        return task

    async def latest(
        self, caller: QueueKey, *, source_arn: str, max_results: int | None
    ) -> list[MoveTask]:
        """The latest tasks of a source, one by default."""
        source = await self._queue_of("SourceArn", source_arn, caller)
        limit = 1 if max_results is None else max_results
        if not 1 <= limit <= limits.MOVE_TASKS_LISTED_MAX:
            raise InvalidParameterValue(
                "Value for parameter MaxResults is invalid. Reason: You must enter a number that's"
                f" between 1 and {limits.MOVE_TASKS_LISTED_MAX}."
            )
        return await self._store.list_move_tasks(source.queue_id, limit=limit)

    async def cancel(self, caller: QueueKey, *, handle: str) -> MoveTask:
        """Stop a running task; it is CANCELLED shortly after."""
        if not handle:
            raise InvalidParameterValue("The TaskHandle parameter is required.")
        task_id, source_arn = _open_handle(handle)
        source = await self._queue_of("SourceArn", source_arn, caller)
        task = await self._store.get_move_task(task_id)
        if task is None or task.source_queue_id != source.queue_id:
            raise ResourceNotFound("Task does not exist.")
        if task.status is not MoveTaskStatus.RUNNING:
            raise InvalidParameterValue("Only active tasks can be cancelled.")
        cancelled = await self._store.set_move_task_status(task_id, MoveTaskStatus.CANCELLING)
        if cancelled is None:  # it came to its end in between
            raise InvalidParameterValue("Only active tasks can be cancelled.")
        sleeper = self._sleepers.get(task_id)
        if sleeper is not None:
            sleeper.wake()
        return cancelled

    async def _queue_of(self, parameter: str, arn: str, caller: QueueKey) -> QueueRecord:
        """The queue that an ARN parameter names, in the caller's account and region."""
        if not arn:
            raise MissingParameter(parameter)
        key = _check_arn(parameter, arn)
        record = None
        if (key.account, key.region) == (caller.account, caller.region):
            record = await self._store.get_queue(key)
        if record is None:
            raise ResourceNotFound(
                f"The resource that you specified for the {parameter} parameter doesn't exist."
            )
        return record

    async def _is_dead_letter_queue(self, source: QueueRecord, arn: str) -> bool:
        queues = await self._store.list_queues(source.key.account, source.key.region, limit=2**31)
        return any(
            queue.settings.redrive_policy is not None
            and queue.settings.redrive_policy.dead_letter_target_arn == arn
            for queue in queues
        )

    # --- moving ---------------------------------------------------------------------------------

    def _spawn(self, task: MoveTask) -> None:
        runner = asyncio.create_task(self._run(task), name=f"move task {task.task_id}")
        self._runners.add(runner)
        runner.add_done_callback(self._runners.discard)

    async def _run(self, task: MoveTask) -> None:
        try:
            status = await self._move_all(task)
            await self._store.set_move_task_status(task.task_id, status)
        except _TaskFailed as failure:
            await self._store.set_move_task_status(
                task.task_id, MoveTaskStatus.FAILED, failure_reason=str(failure)
            )
        except StorageError as error:
            # It stays unfinished in the store, and goes on at the next start.
            logger.error("move task %s stopped: %s", task.task_id, error)

    async def _move_all(self, task: MoveTask) -> MoveTaskStatus:
        """Move until nothing receivable is left, or the task is cancelled.

        The n-th message of this run moves no earlier than (n - 1) / rate seconds after its start.
        """
        start_ms = self._clock.now_ms()
        moved = 0
        while True:
            current = await self._store.get_move_task(task.task_id)
            if current is None or current.status is MoveTaskStatus.CANCELLING:
                return MoveTaskStatus.CANCELLED
            now_ms = self._clock.now_ms()
            limit = _MESSAGES_PER_STEP
            if task.messages_per_second is not None:
                due = (now_ms - start_ms) * task.messages_per_second // 1000 + 1 - moved
                limit = max(1, min(limit, due))
            try:
                found = await self._store.peek_movable(
                    task.source_queue_id, limit=limit, now_ms=now_ms
                )
                if not found:
                    return MoveTaskStatus.COMPLETED
                if task.messages_per_second is not None and due < 1:
                    next_ms = start_ms + -(-moved * 1000 // task.messages_per_second)
                    await self._sleep(task.task_id, next_ms)
                    continue
                moves = [await self._route(task, movable) for movable in found]
                number = await self._store.move_messages(task.task_id, moves, now_ms=now_ms)
                self._observer.moved(task.source_queue_id, moves, number, now_ms)
                moved += number
            except UnknownQueue:
                raise _TaskFailed(_NO_QUEUE) from None

    async def _route(self, task: MoveTask, movable: Movable) -> Move:
        """Where a message goes."""
        arn = task.destination_arn or movable.dead_letter_source_arn
        if arn is None:
            raise _TaskFailed(_NO_SOURCE)
        key = parse_queue_arn(arn)
        record = await self._store.get_queue(key) if key is not None else None
        if record is None:
            raise _TaskFailed(_NO_QUEUE)
        return Move(movable.sequence, record.queue_id, self._ids.uuid())

    async def _sleep(self, task_id: str, deadline_ms: int) -> None:
        """Wait for the next message's turn, or until the task is cancelled."""
        sleeper = self._sleepers[task_id] = Sleeper()
        try:
            await sleeper.sleep_until(self._clock, deadline_ms)
        finally:
            del self._sleepers[task_id]


def _check_arn(parameter: str, arn: str) -> QueueKey:
    key = parse_queue_arn(arn)
    if key is None:
        raise InvalidParameterValue(
            f"You must use this format to specify the {parameter}:"
            " arn:<partition>:<service>:<region>:<account-id>:<resource-id>"
        )
    return key


def _open_handle(handle: str) -> tuple[str, str]:
    """Task id and source ARN of a handle; raises ``InvalidParameterValue``."""
    try:
        named = json.loads(b64decode(handle, validate=True))
        task_id, source_arn = named["taskId"], named["sourceArn"]
        f"{task_id}{source_arn}".encode()  # a lone surrogate cannot be looked up
    except (Base64Error, ValueError, KeyError, TypeError, RecursionError):
        task_id = source_arn = None
    if not isinstance(task_id, str) or not isinstance(source_arn, str):
        raise InvalidParameterValue("Value for parameter TaskHandle is invalid.")
    if parse_queue_arn(source_arn) is None:
        raise InvalidParameterValue("Value for parameter TaskHandle is invalid.")
    return task_id, source_arn
