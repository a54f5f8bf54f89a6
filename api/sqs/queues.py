"""CreateQueue, GetQueueUrl, ListQueues, DeleteQueue, PurgeQueue and the queue attributes."""

from typing import Annotated

from pydantic import Field

from api.context import Context
from api.operation import AttributeMap, Integer, QueryList, QueryMap, Required, Wire
from broker import QueueKey
from broker.errors import InvalidParameterValue

Attributes = Annotated[AttributeMap | None, QueryMap("Attribute", "Name", "Value")]
AttributesOut = Annotated[dict[str, str] | None, QueryMap("Attribute", "Name", "Value")]
Tags = Annotated[dict[str, str] | None, QueryMap("Tag", "Key", "Value")]
QueueUrls = Annotated[list[str] | None, QueryList("QueueUrl")]

_NAME_MISSING = "Value for parameter QueueName is invalid. Reason: Must specify a queue name."


class CreateQueueRequest(Wire):
    queue_name: Annotated[str | None, Required] = None
    attributes: Attributes = None
    tags: Tags = Field(None, alias="tags")


class CreateQueueResult(Wire):
    queue_url: str


async def create_queue(request: CreateQueueRequest, ctx: Context) -> CreateQueueResult:
    """Create a queue, or return the one that is there and as asked for."""
    if request.queue_name is None:
        raise InvalidParameterValue(_NAME_MISSING)
    record = await ctx.broker.queues.create(
        QueueKey(ctx.account, ctx.region, request.queue_name),
        request.attributes or {},
        request.tags or {},
    )
    return CreateQueueResult(queue_url=ctx.queue_url(record.key))


class GetQueueUrlRequest(Wire):
    queue_name: Annotated[str | None, Required] = None
    queue_owner_aws_account_id: str | None = Field(None, alias="QueueOwnerAWSAccountId")


class GetQueueUrlResult(Wire):
    queue_url: str


async def get_queue_url(request: GetQueueUrlRequest, ctx: Context) -> GetQueueUrlResult:
    """The URL of a queue by its name."""
    if not request.queue_name:
        raise InvalidParameterValue(_NAME_MISSING)
    account = request.queue_owner_aws_account_id or ctx.account
    record = await ctx.broker.queues.get(QueueKey(account, ctx.region, request.queue_name))
    return GetQueueUrlResult(queue_url=ctx.queue_url(record.key))


class ListQueuesRequest(Wire):
    queue_name_prefix: str | None = None
    next_token: str | None = None
    max_results: Integer | None = None


class ListQueuesResult(Wire):
    queue_urls: QueueUrls = None
    next_token: str | None = None


async def list_queues(request: ListQueuesRequest, ctx: Context) -> ListQueuesResult:
    """Queue URLs by name, paged if ``MaxResults`` says so."""
    records, token = await ctx.broker.queues.page(
        ctx.account,
        ctx.region,
        prefix=request.queue_name_prefix or "",
        max_results=request.max_results,
        next_token=request.next_token,
    )
    return ListQueuesResult(
        queue_urls=[ctx.queue_url(record.key) for record in records] or None, next_token=token
    )


class DeleteQueueRequest(Wire):
    queue_url: str


async def delete_queue(request: DeleteQueueRequest, ctx: Context) -> None:
    """Delete a queue with all that it holds, at once."""
    await ctx.broker.queues.delete(ctx.own_queue_key(request.queue_url))


class PurgeQueueRequest(Wire):
    queue_url: str


async def purge_queue(request: PurgeQueueRequest, ctx: Context) -> None:
    """Delete all messages of a queue, at once; not twice within 60 seconds."""
    await ctx.broker.queues.purge(ctx.queue_key(request.queue_url))


class GetQueueAttributesRequest(Wire):
    queue_url: str
    attribute_names: Annotated[list[str] | None, QueryList("AttributeName")] = None


class GetQueueAttributesResult(Wire):
    attributes: AttributesOut = None


async def get_queue_attributes(
    request: GetQueueAttributesRequest, ctx: Context
) -> GetQueueAttributesResult:
    """The attributes asked for, as far as the queue has them."""
    attributes = await ctx.broker.queues.attributes(
        ctx.queue_key(request.queue_url), request.attribute_names or []
    )
    return GetQueueAttributesResult(attributes=attributes or None)


class SetQueueAttributesRequest(Wire):
    queue_url: str
    attributes: Annotated[AttributeMap | None, Required, QueryMap("Attribute", "Name", "Value")] = (
        None
    )


async def set_queue_attributes(request: SetQueueAttributesRequest, ctx: Context) -> None:
    """Change attributes: all that are given, or none."""
    await ctx.broker.queues.set_attributes(
        ctx.own_queue_key(request.queue_url), request.attributes or {}
    )
