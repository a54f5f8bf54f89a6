"""TagQueue, UntagQueue, ListQueueTags."""

from typing import Annotated

from api.context import Context
from api.operation import QueryList, QueryMap, Required, Wire

TagMap = Annotated[dict[str, str] | None, QueryMap("Tag", "Key", "Value")]


class TagQueueRequest(Wire):
    queue_url: str
    tags: Annotated[TagMap, Required] = None


async def tag_queue(request: TagQueueRequest, ctx: Context) -> None:
    """Add tags, and change those that are there."""
    await ctx.broker.queues.tag(ctx.own_queue_key(request.queue_url), request.tags or {})


class UntagQueueRequest(Wire):
    queue_url: str
    tag_keys: Annotated[list[str], QueryList("TagKey")]


async def untag_queue(request: UntagQueueRequest, ctx: Context) -> None:
    """Remove tags; keys that are not set do not matter."""
    await ctx.broker.queues.untag(ctx.own_queue_key(request.queue_url), request.tag_keys)


class ListQueueTagsRequest(Wire):
    queue_url: str


class ListQueueTagsResult(Wire):
    tags: TagMap = None


async def list_queue_tags(request: ListQueueTagsRequest, ctx: Context) -> ListQueueTagsResult:
    """The queue's tags."""
    record = await ctx.broker.queues.get(ctx.own_queue_key(request.queue_url))
    return ListQueueTagsResult(tags=dict(record.tags) or None)
