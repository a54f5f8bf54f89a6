"""ListDeadLetterSourceQueues and the message move tasks."""

from typing import Annotated

from pydantic import Field

from api.context import Context
from api.operation import Integer, QueryList, Wire
from broker import MoveTask, MoveTaskStatus, task_handle


class ListDeadLetterSourceQueuesRequest(Wire):
    queue_url: str
    next_token: str | None = None
    max_results: Integer | None = None


class ListDeadLetterSourceQueuesResult(Wire):
    # required, so that it is there even when empty
    queue_urls: Annotated[list[str], QueryList("QueueUrl")] = Field(alias="queueUrls")
    next_token: str | None = None


async def list_dead_letter_source_queues(
    request: ListDeadLetterSourceQueuesRequest, ctx: Context
) -> ListDeadLetterSourceQueuesResult:
    """The queues whose messages end up in this one."""
    records, token = await ctx.broker.queues.sources(
        ctx.queue_key(request.queue_url),
        max_results=request.max_results,
        next_token=request.next_token,
    )
    return ListDeadLetterSourceQueuesResult(
        queue_urls=[ctx.queue_url(record.key) for record in records], next_token=token
    )


class StartMessageMoveTaskRequest(Wire):
    source_arn: str
    destination_arn: str | None = None
    max_number_of_messages_per_second: Integer | None = None


class StartMessageMoveTaskResult(Wire):
    task_handle: str | None = None


async def start_message_move_task(
    request: StartMessageMoveTaskRequest, ctx: Context
) -> StartMessageMoveTaskResult:
    """Begin to move the messages of a dead-letter queue to where they came from, or elsewhere."""
    task = await ctx.broker.move_tasks.start(
        ctx.caller,
        source_arn=request.source_arn,
        destination_arn=request.destination_arn,
        messages_per_second=request.max_number_of_messages_per_second,
    )
    return StartMessageMoveTaskResult(task_handle=task_handle(task))


class ListMessageMoveTasksRequest(Wire):
    source_arn: str
    max_results: Integer | None = None


class ListMessageMoveTasksResultEntry(Wire):
    task_handle: str | None = None
    status: str | None = None
    source_arn: str | None = None
    destination_arn: str | None = None
    max_number_of_messages_per_second: int | None = None
    approximate_number_of_messages_moved: int | None = None
    approximate_number_of_messages_to_move: int | None = None
    failure_reason: str | None = None
    started_timestamp: int | None = None


class ListMessageMoveTasksResult(Wire):
    results: Annotated[
        list[ListMessageMoveTasksResultEntry] | None, QueryList("ListMessageMoveTasksResultEntry")
    ] = None


async def list_message_move_tasks(
    request: ListMessageMoveTasksRequest, ctx: Context
) -> ListMessageMoveTasksResult:
    """The latest move tasks of a dead-letter queue."""
    tasks = await ctx.broker.move_tasks.latest(
        ctx.caller, source_arn=request.source_arn, max_results=request.max_results
    )
    return ListMessageMoveTasksResult(results=[_entry(task) for task in tasks] or None)


def _entry(task: MoveTask) -> ListMessageMoveTasksResultEntry:
    return ListMessageMoveTasksResultEntry(
        # hidden once the task cannot be cancelled any more [AWS]
        task_handle=task_handle(task) if task.status is MoveTaskStatus.RUNNING else None,
        status=task.status.value,
        source_arn=task.source_arn,
        destination_arn=task.destination_arn,
        max_number_of_messages_per_second=task.messages_per_second,
        approximate_number_of_messages_moved=task.moved,
        approximate_number_of_messages_to_move=task.to_move,
        failure_reason=task.failure_reason,
        started_timestamp=task.started_at_ms,
    )


class CancelMessageMoveTaskRequest(Wire):
    task_handle: str


class CancelMessageMoveTaskResult(Wire):
    approximate_number_of_messages_moved: int | None = None


async def cancel_message_move_task(
    request: CancelMessageMoveTaskRequest, ctx: Context
) -> CancelMessageMoveTaskResult:
    """Stop a move task; what it has moved stays moved."""
    task = await ctx.broker.move_tasks.cancel(ctx.caller, handle=request.task_handle)
    return CancelMessageMoveTaskResult(approximate_number_of_messages_moved=task.moved)
