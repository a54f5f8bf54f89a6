"""CreateTopic, DeleteTopic, GetTopicAttributes, SetTopicAttributes, ListTopics."""

from typing import Annotated

from api.context import Context
from api.operation import NestedList, NestedMap, Wire
from api.sns.tags import Tag, pairs

Attributes = Annotated[dict[str, str], NestedMap()]


class CreateTopicRequest(Wire):
    name: str
    attributes: Attributes | None = None
    tags: Annotated[list[Tag] | None, NestedList()] = None
    data_protection_policy: str | None = None


class CreateTopicResult(Wire):
    topic_arn: str


async def create_topic(request: CreateTopicRequest, ctx: Context) -> CreateTopicResult:
    """Create a topic, or return the one that is there and as asked for."""
    arn = await ctx.broker.topics.create(
        ctx.sns_caller,
        request.name,
        request.attributes or {},
        pairs(request.tags or []),
        request.data_protection_policy,
    )
    return CreateTopicResult(topic_arn=arn)


class DeleteTopicRequest(Wire):
    topic_arn: str


async def delete_topic(request: DeleteTopicRequest, ctx: Context) -> None:
    """Delete a topic with its subscriptions; one that does not exist does not matter."""
    await ctx.broker.topics.delete(ctx.sns_caller, request.topic_arn)


class GetTopicAttributesRequest(Wire):
    topic_arn: str


class GetTopicAttributesResult(Wire):
    attributes: Attributes | None = None


async def get_topic_attributes(
    request: GetTopicAttributesRequest, ctx: Context
) -> GetTopicAttributesResult:
    """All attributes of a topic."""
    attributes = await ctx.broker.topics.attributes(ctx.sns_caller, request.topic_arn)
    return GetTopicAttributesResult(attributes=attributes)


class SetTopicAttributesRequest(Wire):
    topic_arn: str
    attribute_name: str
    attribute_value: str | None = None


async def set_topic_attributes(request: SetTopicAttributesRequest, ctx: Context) -> None:
    """Change one attribute."""
    await ctx.broker.topics.set_attribute(
        ctx.sns_caller, request.topic_arn, request.attribute_name, request.attribute_value
    )


class ListTopicsRequest(Wire):
    next_token: str | None = None


class Topic(Wire):
    topic_arn: str | None = None


class ListTopicsResult(Wire):
    topics: Annotated[list[Topic] | None, NestedList()] = None
    next_token: str | None = None


async def list_topics(request: ListTopicsRequest, ctx: Context) -> ListTopicsResult:
    """A page of the caller's topics in its region."""
    arns, next_token = await ctx.broker.topics.page(ctx.sns_caller, request.next_token)
    return ListTopicsResult(topics=[Topic(topic_arn=arn) for arn in arns], next_token=next_token)
