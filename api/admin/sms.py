"""What stands in for phones: the SMS sandbox and its one-time passwords, origination numbers.

Nobody has a phone on which a password could arrive, and nobody sells numbers here.
"""

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import BaseRoute

from api.admin.describing import PLACE, DescribedRoute, Doc
from api.admin.requests import BadRequest
from api.context import Site
from broker import Broker, OriginationNumber

_ROUTE_TYPES = ("Transactional", "Promotional", "Premium")
_CAPABILITIES = ("SMS", "MMS", "VOICE")


def routes(site: Site) -> list[BaseRoute]:
    """Where they are; ``site`` has the account and the region of requests that name none."""

    def place(request: Request) -> tuple[str, str]:
        query = request.query_params
        return query.get("account", site.account), query.get("region", site.region)

    async def sandbox_document(request: Request) -> JSONResponse:
        broker: Broker = request.app.state.broker
        account, region = place(request)
        return JSONResponse(
            {
                "account": account,
                "region": region,
                "inSandbox": await broker.sms.in_sandbox(account, region),
                "oneTimePasswords": await broker.sms.sandbox_passwords(account, region),
            }
        )

    async def sandbox(request: Request) -> JSONResponse:
        """Whether an account is in the sandbox, and the passwords that verify its numbers."""
        return await sandbox_document(request)

    async def set_sandbox(request: Request) -> JSONResponse:
        """Put an account into the sandbox, or take it out."""
        broker: Broker = request.app.state.broker
        in_sandbox = (await _SANDBOX.read_body(request)).get("inSandbox")
        if not isinstance(in_sandbox, bool):
            raise BadRequest("inSandbox is true or false")
        await broker.sms.set_in_sandbox(*place(request), in_sandbox=in_sandbox)
        return await sandbox_document(request)

    async def add_origination_number(request: Request) -> JSONResponse:
        """Give an account a number that its messages may come from."""
        broker: Broker = request.app.state.broker
        given = await _NUMBER.read_body(request)
        number = _origination_number(given)
        await broker.sms.put_origination_number(*place(request), number)
        return JSONResponse({"phoneNumber": number.phone_number}, 201)

    box, numbers = "/_headrace/sns/sms-sandbox", "/_headrace/sns/origination-numbers"
    return [
        DescribedRoute(box, sandbox, methods=["GET"], doc=Doc(query=PLACE)),
        DescribedRoute(box, set_sandbox, methods=["PUT"], doc=_SANDBOX),
        DescribedRoute(numbers, add_origination_number, methods=["POST"], doc=_NUMBER),
    ]


_SANDBOX = Doc(
    query=PLACE,
    body={
        "type": "object",
        "required": ["inSandbox"],
        "properties": {"inSandbox": {"type": "boolean"}},
    },
)
_NUMBER = Doc(
    query=PLACE,
    body={
        "type": "object",
        "required": ["phoneNumber"],
        "properties": {
            "phoneNumber": {"type": "string", "minLength": 1, "maxLength": 20},
            "routeType": {"type": "string", "enum": _ROUTE_TYPES},
            "numberCapabilities": {
                "type": "array",
                "items": {"type": "string", "enum": _CAPABILITIES},
            },
            "iso2CountryCode": {"type": "string", "minLength": 2, "maxLength": 2},
        },
    },
    success=201,
)


def _origination_number(given: dict[str, Any]) -> OriginationNumber:
    phone_number = given.get("phoneNumber")
    if not isinstance(phone_number, str) or not 1 <= len(phone_number) <= 20:
        raise BadRequest("phoneNumber is a text of 1 to 20 characters")
    route_type = given.get("routeType", _ROUTE_TYPES[0])
    if route_type not in _ROUTE_TYPES:
        raise BadRequest(f"routeType is one of {', '.join(_ROUTE_TYPES)}")
    capabilities = given.get("numberCapabilities", ["SMS"])
    if not isinstance(capabilities, list) or any(
        each not in _CAPABILITIES for each in capabilities
    ):
        raise BadRequest(f"numberCapabilities is a list of {', '.join(_CAPABILITIES)}")
    country = given.get("iso2CountryCode", "US")
    if not isinstance(country, str) or not (len(country) == 2 and country.isalpha()):
        raise BadRequest("iso2CountryCode has two letters")
    return OriginationNumber(
        phone_number=phone_number,
        status="ACTIVE",
        iso2_country_code=country,
        route_type=route_type,
        number_capabilities=tuple(capabilities),
    )
