"""Subscribe, ConfirmSubscription, Unsubscribe, the attributes and lists of subscriptions."""

from collections.abc import Iterable
from typing import Annotated

from api.context import Context, link_caller
from api.operation import Boolean, NestedList, NestedMap, Wire
from broker import Caller, SubscriptionListing

Attributes = Annotated[dict[str, str], NestedMap()]


def _caller(ctx: Context, arn: str) -> Caller:
    return ctx.sns_caller if ctx.signed else link_caller(ctx.account, ctx.region, arn)


class SubscribeRequest(Wire):
    topic_arn: str
    protocol: str
    endpoint: str | None = None
    attributes: Attributes | None = None
    return_subscription_arn: Boolean | None = None


class SubscribeResult(Wire):
    subscription_arn: str


async def subscribe(request: SubscribeRequest, ctx: Context) -> SubscribeResult:
    """Subscribe an endpoint; some have to confirm it before they get anything."""
    arn = await ctx.broker.subscriptions.subscribe(
        ctx.sns_caller,
        request.topic_arn,
        request.protocol,
        request.endpoint,
        request.attributes or {},
        return_arn=bool(request.return_subscription_arn),
        base_url=ctx.base_url,
    )
    return SubscribeResult(subscription_arn=arn)


class ConfirmSubscriptionRequest(Wire):
    topic_arn: str
    token: str
    authenticate_on_unsubscribe: str | None = None  # a string in AWS's model too


class ConfirmSubscriptionResult(Wire):
    subscription_arn: str


async def confirm_subscription(
    request: ConfirmSubscriptionRequest, ctx: Context
) -> ConfirmSubscriptionResult:
    """Confirm a subscription by the token that was sent to its endpoint."""
    arn = await ctx.broker.subscriptions.confirm(
        _caller(ctx, request.topic_arn),
        request.topic_arn,
        request.token,
        authenticate_on_unsubscribe=(request.authenticate_on_unsubscribe or "").lower() == "true",
    )
    return ConfirmSubscriptionResult(subscription_arn=arn)


class UnsubscribeRequest(Wire):
    subscription_arn: str


async def unsubscribe(request: UnsubscribeRequest, ctx: Context) -> None:
    """Remove a subscription; one that does not exist does not matter."""
    await ctx.broker.subscriptions.unsubscribe(
        _caller(ctx, request.subscription_arn), request.subscription_arn, base_url=ctx.base_url
    )


class GetSubscriptionAttributesRequest(Wire):
    subscription_arn: str


class GetSubscriptionAttributesResult(Wire):
    attributes: Attributes | None = None


async def get_subscription_attributes(
    request: GetSubscriptionAttributesRequest, ctx: Context
) -> GetSubscriptionAttributesResult:
    """All attributes of a subscription."""
    attributes = await ctx.broker.subscriptions.attributes(ctx.sns_caller, request.subscription_arn)
    return GetSubscriptionAttributesResult(attributes=attributes)


class SetSubscriptionAttributesRequest(Wire):
    subscription_arn: str
    attribute_name: str
    attribute_value: str | None = None


async def set_subscription_attributes(
    request: SetSubscriptionAttributesRequest, ctx: Context
) -> None:
    """Change one attribute."""
    await ctx.broker.subscriptions.set_attribute(
        ctx.sns_caller, request.subscription_arn, request.attribute_name, request.attribute_value
    )


# --- lists --------------------------------------------------------------------------------------


class Subscription(Wire):
    topic_arn: str | None = None
    protocol: str | None = None
    subscription_arn: str | None = None
    owner: str | None = None
    endpoint: str | None = None


Subscriptions = Annotated[list[Subscription] | None, NestedList()]


def _listed(listings: Iterable[SubscriptionListing]) -> list[Subscription]:
    return [
        Subscription(
            topic_arn=each.topic_arn,
            protocol=each.protocol,
            subscription_arn=each.subscription_arn,
            owner=each.owner,
            endpoint=each.endpoint,
        )
        for each in listings
    ]


class ListSubscriptionsRequest(Wire):
    next_token: str | None = None


class ListSubscriptionsResult(Wire):
    subscriptions: Subscriptions = None
    next_token: str | None = None


async def list_subscriptions(
    request: ListSubscriptionsRequest, ctx: Context
) -> ListSubscriptionsResult:
    """A page of the caller's subscriptions in its region."""
    listings, next_token = await ctx.broker.subscriptions.page(ctx.sns_caller, request.next_token)
    return ListSubscriptionsResult(subscriptions=_listed(listings), next_token=next_token)


class ListSubscriptionsByTopicRequest(Wire):
    topic_arn: str
    next_token: str | None = None


class ListSubscriptionsByTopicResult(Wire):
    subscriptions: Subscriptions = None
    next_token: str | None = None


async def list_subscriptions_by_topic(
    request: ListSubscriptionsByTopicRequest, ctx: Context
) -> ListSubscriptionsByTopicResult:
    """A page of a topic's subscriptions."""
    listings, next_token = await ctx.broker.subscriptions.page_of_topic(
        ctx.sns_caller, request.topic_arn, request.next_token
    )
    return ListSubscriptionsByTopicResult(subscriptions=_listed(listings), next_token=next_token)
