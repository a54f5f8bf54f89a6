"""Mobile push: platform applications and endpoints."""

from typing import Annotated

from api.context import Context
from api.operation import NestedList, NestedMap, Required, Wire

Attributes = Annotated[dict[str, str] | None, NestedMap()]
#: the broker says when its absence is refused: after the ARN, or the name
RequiredAttributes = Annotated[dict[str, str] | None, Required, NestedMap()]


class CreatePlatformApplicationRequest(Wire):
    name: str
    platform: str
    attributes: RequiredAttributes = None


class CreatePlatformApplicationResult(Wire):
    platform_application_arn: str | None = None


async def create_platform_application(
    request: CreatePlatformApplicationRequest, ctx: Context
) -> CreatePlatformApplicationResult:
    """Create an application, or return the one that is there and as asked for."""
    arn = await ctx.broker.platforms.create_application(
        ctx.sns_caller, request.name, request.platform, request.attributes or {}
    )
    return CreatePlatformApplicationResult(platform_application_arn=arn)


class DeletePlatformApplicationRequest(Wire):
    platform_application_arn: str


async def delete_platform_application(
    request: DeletePlatformApplicationRequest, ctx: Context
) -> None:
    """Delete an application with its endpoints; one that does not exist does not matter."""
    await ctx.broker.platforms.delete_application(ctx.sns_caller, request.platform_application_arn)


class GetPlatformApplicationAttributesRequest(Wire):
    platform_application_arn: str


class GetPlatformApplicationAttributesResult(Wire):
    attributes: Attributes = None


async def get_platform_application_attributes(
    request: GetPlatformApplicationAttributesRequest, ctx: Context
) -> GetPlatformApplicationAttributesResult:
    """The attributes of an application, without its credentials."""
    attributes = await ctx.broker.platforms.application_attributes(
        ctx.sns_caller, request.platform_application_arn
    )
    return GetPlatformApplicationAttributesResult(attributes=attributes)


class SetPlatformApplicationAttributesRequest(Wire):
    platform_application_arn: str
    attributes: RequiredAttributes = None


async def set_platform_application_attributes(
    request: SetPlatformApplicationAttributesRequest, ctx: Context
) -> None:
    """Change attributes: all that are given, or none."""
    await ctx.broker.platforms.set_application_attributes(
        ctx.sns_caller, request.platform_application_arn, request.attributes or {}
    )


class ListPlatformApplicationsRequest(Wire):
    next_token: str | None = None


class PlatformApplication(Wire):
    platform_application_arn: str | None = None
    attributes: Attributes = None


class ListPlatformApplicationsResult(Wire):
    platform_applications: Annotated[list[PlatformApplication] | None, NestedList()] = None
    next_token: str | None = None


async def list_platform_applications(
    request: ListPlatformApplicationsRequest, ctx: Context
) -> ListPlatformApplicationsResult:
    """A page of the caller's applications in its region."""
    applications, next_token = await ctx.broker.platforms.applications(
        ctx.sns_caller, request.next_token
    )
    return ListPlatformApplicationsResult(
        platform_applications=[
            PlatformApplication(platform_application_arn=each.arn, attributes=each.attributes)
            for each in applications
        ],
        next_token=next_token,
    )


class CreatePlatformEndpointRequest(Wire):
    platform_application_arn: str
    token: str
    custom_user_data: str | None = None
    attributes: Attributes = None


class CreatePlatformEndpointResult(Wire):
    endpoint_arn: str | None = None


async def create_platform_endpoint(
    request: CreatePlatformEndpointRequest, ctx: Context
) -> CreatePlatformEndpointResult:
    """Create an endpoint, or return the one of that token if it is as asked for."""
    arn = await ctx.broker.platforms.create_endpoint(
        ctx.sns_caller,
        request.platform_application_arn,
        request.token,
        request.custom_user_data,
        request.attributes or {},
    )
    return CreatePlatformEndpointResult(endpoint_arn=arn)


class DeleteEndpointRequest(Wire):
    endpoint_arn: str


async def delete_endpoint(request: DeleteEndpointRequest, ctx: Context) -> None:
    """Delete an endpoint; one that does not exist does not matter."""
    await ctx.broker.platforms.delete_endpoint(ctx.sns_caller, request.endpoint_arn)


class GetEndpointAttributesRequest(Wire):
    endpoint_arn: str


class GetEndpointAttributesResult(Wire):
    attributes: Attributes = None


async def get_endpoint_attributes(
    request: GetEndpointAttributesRequest, ctx: Context
) -> GetEndpointAttributesResult:
    """The attributes of an endpoint."""
    attributes = await ctx.broker.platforms.endpoint_attributes(
        ctx.sns_caller, request.endpoint_arn
    )
    return GetEndpointAttributesResult(attributes=attributes)


class SetEndpointAttributesRequest(Wire):
    endpoint_arn: str
    attributes: RequiredAttributes = None


async def set_endpoint_attributes(request: SetEndpointAttributesRequest, ctx: Context) -> None:
    """Change attributes: all that are given, or none."""
    await ctx.broker.platforms.set_endpoint_attributes(
        ctx.sns_caller, request.endpoint_arn, request.attributes or {}
    )


class ListEndpointsByPlatformApplicationRequest(Wire):
    platform_application_arn: str
    next_token: str | None = None


class Endpoint(Wire):
    endpoint_arn: str | None = None
    attributes: Attributes = None


class ListEndpointsByPlatformApplicationResult(Wire):
    endpoints: Annotated[list[Endpoint] | None, NestedList()] = None
    next_token: str | None = None


async def list_endpoints_by_platform_application(
    request: ListEndpointsByPlatformApplicationRequest, ctx: Context
) -> ListEndpointsByPlatformApplicationResult:
    """A page of an application's endpoints."""
    endpoints, next_token = await ctx.broker.platforms.endpoints(
        ctx.sns_caller, request.platform_application_arn, request.next_token
    )
    return ListEndpointsByPlatformApplicationResult(
        endpoints=[
            Endpoint(endpoint_arn=each.arn, attributes=each.attributes) for each in endpoints
        ],
        next_token=next_token,
    )
