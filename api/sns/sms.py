"""SMS: settings, opt-outs, the sandbox, origination numbers."""

from datetime import UTC, datetime
from typing import Annotated

from pydantic import Field

from api.context import Context
from api.operation import Integer, NestedList, NestedMap, Required, Wire

# --- settings -----------------------------------------------------------------------------------


class SetSMSAttributesRequest(Wire):
    attributes: Annotated[dict[str, str] | None, Required, NestedMap()] = Field(
        None, alias="attributes"
    )


class SetSMSAttributesResult(Wire):
    pass


async def set_sms_attributes(
    request: SetSMSAttributesRequest, ctx: Context
) -> SetSMSAttributesResult:
    """Change settings: all that are given, or none."""
    await ctx.broker.sms.set_attributes(ctx.sns_caller, request.attributes or {})
    return SetSMSAttributesResult()


class GetSMSAttributesRequest(Wire):
    attributes: Annotated[list[str] | None, NestedList()] = Field(None, alias="attributes")


class GetSMSAttributesResult(Wire):
    attributes: Annotated[dict[str, str] | None, NestedMap()] = Field(None, alias="attributes")


async def get_sms_attributes(
    request: GetSMSAttributesRequest, ctx: Context
) -> GetSMSAttributesResult:
    """The settings, or those asked for."""
    attributes = await ctx.broker.sms.attributes(ctx.sns_caller, request.attributes or [])
    return GetSMSAttributesResult(attributes=attributes)


# --- opt-outs -----------------------------------------------------------------------------------


class CheckIfPhoneNumberIsOptedOutRequest(Wire):
    phone_number: str = Field(alias="phoneNumber")


class CheckIfPhoneNumberIsOptedOutResult(Wire):
    is_opted_out: bool | None = Field(None, alias="isOptedOut")


async def check_if_phone_number_is_opted_out(
    request: CheckIfPhoneNumberIsOptedOutRequest, ctx: Context
) -> CheckIfPhoneNumberIsOptedOutResult:
    """Whether a number takes no messages."""
    opted_out = await ctx.broker.sms.is_opted_out(ctx.sns_caller, request.phone_number)
    return CheckIfPhoneNumberIsOptedOutResult(is_opted_out=opted_out)


class ListPhoneNumbersOptedOutRequest(Wire):
    next_token: str | None = Field(None, alias="nextToken")


class ListPhoneNumbersOptedOutResult(Wire):
    phone_numbers: Annotated[list[str] | None, NestedList()] = Field(None, alias="phoneNumbers")
    next_token: str | None = Field(None, alias="nextToken")


async def list_phone_numbers_opted_out(
    request: ListPhoneNumbersOptedOutRequest, ctx: Context
) -> ListPhoneNumbersOptedOutResult:
    """A page of the numbers that take no messages."""
    numbers, next_token = await ctx.broker.sms.opted_out_numbers(ctx.sns_caller, request.next_token)
    return ListPhoneNumbersOptedOutResult(phone_numbers=numbers, next_token=next_token)


class OptInPhoneNumberRequest(Wire):
    phone_number: str = Field(alias="phoneNumber")


class OptInPhoneNumberResult(Wire):
    pass


async def opt_in_phone_number(
    request: OptInPhoneNumberRequest, ctx: Context
) -> OptInPhoneNumberResult:
    """Have a number take messages again."""
    await ctx.broker.sms.opt_in(ctx.sns_caller, request.phone_number)
    return OptInPhoneNumberResult()


# --- sandbox ------------------------------------------------------------------------------------


class GetSMSSandboxAccountStatusRequest(Wire):
    pass


class GetSMSSandboxAccountStatusResult(Wire):
    is_in_sandbox: bool


async def get_sms_sandbox_account_status(
    request: GetSMSSandboxAccountStatusRequest,
    ctx: Context,
) -> GetSMSSandboxAccountStatusResult:
    """Whether messages only go to verified numbers."""
    in_sandbox = await ctx.broker.sms.in_sandbox(ctx.account, ctx.region)
    return GetSMSSandboxAccountStatusResult(is_in_sandbox=in_sandbox)


class ListSMSSandboxPhoneNumbersRequest(Wire):
    next_token: str | None = None
    max_results: Integer | None = None


class SandboxPhoneNumber(Wire):
    phone_number: str | None = None
    status: str | None = None


class ListSMSSandboxPhoneNumbersResult(Wire):
    phone_numbers: Annotated[list[SandboxPhoneNumber], NestedList()]
    next_token: str | None = None


async def list_sms_sandbox_phone_numbers(
    request: ListSMSSandboxPhoneNumbersRequest, ctx: Context
) -> ListSMSSandboxPhoneNumbersResult:
    """A page of the sandbox's numbers."""
    numbers, next_token = await ctx.broker.sms.sandbox_numbers(
        ctx.sns_caller, request.max_results, request.next_token
    )
    return ListSMSSandboxPhoneNumbersResult(
        phone_numbers=[
            SandboxPhoneNumber(phone_number=each.phone_number, status=each.status)
            for each in numbers
        ],
        next_token=next_token,
    )


class CreateSMSSandboxPhoneNumberRequest(Wire):
    phone_number: str
    language_code: str | None = None


class CreateSMSSandboxPhoneNumberResult(Wire):
    pass


async def create_sms_sandbox_phone_number(
    request: CreateSMSSandboxPhoneNumberRequest, ctx: Context
) -> CreateSMSSandboxPhoneNumberResult:
    """Add a number, to be verified by a one-time password."""
    await ctx.broker.sms.create_sandbox_number(
        ctx.sns_caller, request.phone_number, request.language_code
    )
    return CreateSMSSandboxPhoneNumberResult()


class VerifySMSSandboxPhoneNumberRequest(Wire):
    phone_number: str
    one_time_password: str


class VerifySMSSandboxPhoneNumberResult(Wire):
    pass


async def verify_sms_sandbox_phone_number(
    request: VerifySMSSandboxPhoneNumberRequest, ctx: Context
) -> VerifySMSSandboxPhoneNumberResult:
    """Verify a number by its one-time password."""
    await ctx.broker.sms.verify_sandbox_number(
        ctx.sns_caller, request.phone_number, request.one_time_password
    )
    return VerifySMSSandboxPhoneNumberResult()


class DeleteSMSSandboxPhoneNumberRequest(Wire):
    phone_number: str


class DeleteSMSSandboxPhoneNumberResult(Wire):
    pass


async def delete_sms_sandbox_phone_number(
    request: DeleteSMSSandboxPhoneNumberRequest, ctx: Context
) -> DeleteSMSSandboxPhoneNumberResult:
    """Remove a number from the sandbox."""
    await ctx.broker.sms.delete_sandbox_number(ctx.sns_caller, request.phone_number)
    return DeleteSMSSandboxPhoneNumberResult()


# --- origination numbers ------------------------------------------------------------------------


class ListOriginationNumbersRequest(Wire):
    next_token: str | None = None
    max_results: Integer | None = None


class OriginationPhoneNumber(Wire):
    created_at: str | None = None  # ISO 8601, as timestamps are in XML
    phone_number: str | None = None
    status: str | None = None
    iso2_country_code: str | None = Field(None, alias="Iso2CountryCode")
    route_type: str | None = None
    number_capabilities: Annotated[list[str] | None, NestedList()] = None


class ListOriginationNumbersResult(Wire):
    next_token: str | None = None
    phone_numbers: Annotated[list[OriginationPhoneNumber] | None, NestedList()] = None


async def list_origination_numbers(
    request: ListOriginationNumbersRequest, ctx: Context
) -> ListOriginationNumbersResult:
    """A page of the numbers that messages may come from."""
    numbers, next_token = await ctx.broker.sms.origination_numbers(
        ctx.sns_caller, request.max_results, request.next_token
    )
    return ListOriginationNumbersResult(
        phone_numbers=[
            OriginationPhoneNumber(
                created_at=_iso_8601(each.created_at_ms or 0),
                phone_number=each.phone_number,
                status=each.status,
                iso2_country_code=each.iso2_country_code,
                route_type=each.route_type,
                number_capabilities=list(each.number_capabilities),
            )
            for each in numbers
        ],
        next_token=next_token,
    )


def _iso_8601(at_ms: int) -> str:
    moment = datetime.fromtimestamp(at_ms / 1000, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
