"""PutDataProtectionPolicy, GetDataProtectionPolicy."""

from api.context import Context
from api.operation import Wire


class PutDataProtectionPolicyRequest(Wire):
    resource_arn: str
    data_protection_policy: str


async def put_data_protection_policy(request: PutDataProtectionPolicyRequest, ctx: Context) -> None:
    """Set the topic's data protection policy."""
    await ctx.broker.topics.put_data_protection_policy(
        ctx.sns_caller, request.resource_arn, request.data_protection_policy
    )


class GetDataProtectionPolicyRequest(Wire):
    resource_arn: str


class GetDataProtectionPolicyResult(Wire):
    data_protection_policy: str | None = None


async def get_data_protection_policy(
    request: GetDataProtectionPolicyRequest, ctx: Context
) -> GetDataProtectionPolicyResult:
    """The topic's data protection policy, as it was written."""
    policy = await ctx.broker.topics.data_protection_policy(ctx.sns_caller, request.resource_arn)
    return GetDataProtectionPolicyResult(data_protection_policy=policy)
