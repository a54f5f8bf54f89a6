"""AddPermission, RemovePermission."""

from typing import Annotated

from pydantic import Field

from api.context import Context
from api.operation import QueryList, Wire


class AddPermissionRequest(Wire):
    queue_url: str
    label: str
    aws_account_ids: Annotated[list[str], QueryList("AWSAccountId")] = Field(alias="AWSAccountIds")
    actions: Annotated[list[str], QueryList("ActionName")]


async def add_permission(request: AddPermissionRequest, ctx: Context) -> None:
    """Add a statement to the queue's policy that lets other accounts call some actions."""
    await ctx.broker.queues.add_permission(
        ctx.own_queue_key(request.queue_url),
        request.label,
        request.aws_account_ids,
        request.actions,
    )


class RemovePermissionRequest(Wire):
    queue_url: str
    label: str


async def remove_permission(request: RemovePermissionRequest, ctx: Context) -> None:
    """Remove the statement of that label from the queue's policy."""
    await ctx.broker.queues.remove_permission(ctx.own_queue_key(request.queue_url), request.label)
