"""The one operation of STS that clients of queues call: Terraform and the CLI ask who they are."""

from api.context import Context
from api.operation import Wire, operation, service
from broker import partition


class GetCallerIdentityRequest(Wire):
    pass


class GetCallerIdentityResult(Wire):
    user_id: str
    account: str
    arn: str


async def get_caller_identity(
    _request: GetCallerIdentityRequest, ctx: Context
) -> GetCallerIdentityResult:
    """The account of the caller, as its root user, whose id is the account's."""
    return GetCallerIdentityResult(
        user_id=ctx.account,
        account=ctx.account,
        arn=f"arn:{partition(ctx.region)}:iam::{ctx.account}:root",
    )


STS = service(
    "sts",
    [operation(get_caller_identity)],
    version="2011-06-15",
    xml_namespace="https://sts.amazonaws.com/doc/2011-06-15/",
)
