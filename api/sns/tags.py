"""TagResource, UntagResource, ListTagsForResource."""

from collections.abc import Sequence
from typing import Annotated

from api.context import Context
from api.operation import NestedList, Wire


class Tag(Wire):
    key: str
    value: str


def pairs(tags: Sequence[Tag]) -> list[tuple[str, str]]:
    """Tags as the broker takes them: a key may be there twice, which it refuses."""
    return [(tag.key, tag.value) for tag in tags]


class TagResourceRequest(Wire):
    resource_arn: str
    tags: Annotated[list[Tag], NestedList()]


class TagResourceResult(Wire):
    pass


async def tag_resource(request: TagResourceRequest, ctx: Context) -> TagResourceResult:
    """Add tags, and change those that are there."""
    await ctx.broker.topics.tag(ctx.sns_caller, request.resource_arn, pairs(request.tags))
    return TagResourceResult()


class UntagResourceRequest(Wire):
    resource_arn: str
    tag_keys: Annotated[list[str], NestedList()]


class UntagResourceResult(Wire):
    pass


async def untag_resource(request: UntagResourceRequest, ctx: Context) -> UntagResourceResult:
    """Remove tags; keys that are not set do not matter."""
    await ctx.broker.topics.untag(ctx.sns_caller, request.resource_arn, request.tag_keys)
    return UntagResourceResult()


class ListTagsForResourceRequest(Wire):
    resource_arn: str


class ListTagsForResourceResult(Wire):
    tags: Annotated[list[Tag] | None, NestedList()] = None


async def list_tags_for_resource(
    request: ListTagsForResourceRequest, ctx: Context
) -> ListTagsForResourceResult:
    """The topic's tags."""
    tags = await ctx.broker.topics.tags(ctx.sns_caller, request.resource_arn)
    return ListTagsForResourceResult(
        tags=[Tag(key=key, value=value) for key, value in tags.items()]
    )
