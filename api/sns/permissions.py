"""AddPermission, RemovePermission."""

from typing import Annotated

from pydantic import Field

from api.context import Context
from api.operation import NestedList, Wire


class AddPermissionRequest(Wire):
    topic_arn: str
    label: str
    aws_account_id: Annotated[list[str], NestedList()] = Field(alias="AWSAccountId")
    action_name: Annotated[list[str], NestedList()]


async def add_permission(request: AddPermissionRequest, ctx: Context) -> None:
    """Add a statement to the topic's policy that lets other accounts call some actions."""
    await ctx.broker.topics.add_permission(
        ctx.sns_caller,
        request.topic_arn,
        request.label,
        request.aws_account_id,
        request.action_name,
    )


class RemovePermissionRequest(Wire):
    topic_arn: str
    label: str


async def remove_permission(request: RemovePermissionRequest, ctx: Context) -> None:
    """Remove the statements of that label from the topic's policy."""
    await ctx.broker.topics.remove_permission(ctx.sns_caller, request.topic_arn, request.label)
