"""Faults as calls meet them: what replaces an answer, in the codes of AWS.

SQS reference, 1.4; SNS reference, 1.3.
"""

from typing import Any

from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from api.context import Context
from api.errors import WireError, wire_error
from api.names import queue_key
from api.operation import Operation, Wire
from broker.errors import BrokerError

#: a status that no answer has: the connection ends without one
DROPPED = 0
#: what a load balancer says when nobody answers behind it; not in the form of any protocol
GATEWAY_PAGES = {
    502: b"<html><body><h1>502 Bad Gateway</h1></body></html>\n",
    504: b"<html><body><h1>504 Gateway Time-out</h1></body></html>\n",
}
_ARN_MEMBERS = ("topic_arn", "target_arn", "subscription_arn", "resource_arn", "source_arn")
_ARN_PARTS = 6

_SQS = "com.amazonaws.sqs#"
_FRAMEWORK = "com.amazon.coral.service#"

#: by service, kind of fault and its code
_BLOWS: dict[tuple[str, str, str], WireError] = {
    ("sqs", "throttling", "RequestThrottled"): WireError(
        f"{_SQS}RequestThrottled",
        "RequestThrottled",
        403,
        "The request was denied due to request throttling.",
    ),
    ("sqs", "throttling", "ThrottlingException"): WireError(
        f"{_FRAMEWORK}ThrottlingException", "ThrottlingException", 400, "Rate exceeded"
    ),
    ("sqs", "throttling", "OverLimit"): WireError(
        f"{_SQS}OverLimit",
        "OverLimit",
        403,
        "The maximum number of in flight messages is reached.",
    ),
    # SNS has one code for it
    **{
        ("sns", "throttling", code): WireError("", "Throttled", 429, "Rate exceeded")
        for code in ("RequestThrottled", "ThrottlingException", "OverLimit")
    },
    **{
        ("sqs", "kms", code): WireError(f"{_SQS}{shape}", query_code, status, text)
        for code, shape, query_code, status, text in (
            (
                "AccessDenied",
                "KmsAccessDenied",
                "KMS.AccessDeniedException",
                400,
                "The caller doesn't have the required KMS access.",
            ),
            ("Disabled", "KmsDisabled", "KMS.DisabledException", 400, "The key is disabled."),
            (
                "InvalidKeyUsage",
                "KmsInvalidKeyUsage",
                "KMS.InvalidKeyUsageException",
                400,
                "The key's usage does not allow this operation.",
            ),
            (
                "InvalidState",
                "KmsInvalidState",
                "KMS.InvalidStateException",
                400,
                "The state of the key does not allow this operation.",
            ),
            ("NotFound", "KmsNotFound", "KMS.NotFoundException", 400, "The key does not exist."),
            (
                "OptInRequired",
                "KmsOptInRequired",
                "KMS.OptInRequired",
                403,
                "The key needs a subscription to the service.",
            ),
            ("Throttling", "KmsThrottled", "KMS.ThrottlingException", 400, "Rate exceeded"),
        )
    },
    **{
        ("sns", "kms", code): WireError("", f"KMS{code}", status, text)
        for code, status, text in (
            ("AccessDenied", 400, "The caller doesn't have the required KMS access."),
            ("Disabled", 400, "The key is disabled."),
            ("InvalidState", 400, "The state of the key does not allow this operation."),
            ("NotFound", 400, "The key does not exist."),
            ("OptInRequired", 403, "The key needs a subscription to the service."),
            ("Throttling", 400, "Rate exceeded"),
        )
    },
}
_HTTP_ERRORS = {
    500: WireError(f"{_FRAMEWORK}InternalFailure", "InternalFailure", 500, "Internal failure."),
    503: WireError(
        f"{_FRAMEWORK}ServiceUnavailableException",
        "ServiceUnavailable",
        503,
        "Service Unavailable",
    ),
}


class InjectedError(BrokerError):
    """An answer that a fault gives; ``told.status`` may be ``DROPPED``."""

    def __init__(self, told: WireError) -> None:
        super().__init__(told.message)
        self.told = told


class ConnectionDropped(Exception):
    """A fault ends a connection that another server holds, to which this is how to say so."""


async def call(service: str, operation: Operation, request: Any, ctx: Context) -> Wire | None:
    """Call an operation's handler with the faults that strike the call.

    Raises what the handler raises, and ``InjectedError``.
    """
    faults = ctx.broker.messages.faults
    if service not in ("sqs", "sns"):
        return await operation.handler(request, ctx)
    service, account, region, name = _target(service, operation.name, request, ctx)
    struck = faults.of_call(
        operation.name, service=service, account=account, region=region, name=name
    )
    if struck.pause_before_ms:
        await faults.pause(struck.pause_before_ms)
    if struck.instead is not None:
        raise InjectedError(_told(service, *struck.instead))
    result = await operation.handler(request, ctx)
    if struck.pause_after_ms:
        await faults.pause(struck.pause_after_ms)
    if struck.afterwards is not None:
        raise InjectedError(_told(service, *struck.afterwards))
    return result


def drop(cycle: RequestResponseCycle | None) -> None:
    """End a connection without an answer to its request; earlier answers still go out."""
    if cycle is None:
        raise ConnectionDropped("a fault ended the connection")
    cycle.disconnected = True
    cycle.transport.close()


def entry_failure(error: BrokerError) -> WireError:
    """How the failure of a batch's entry is told, whose code for a failure of ours is its own."""
    told = wire_error(error)
    return told._replace(code="InternalError", message=str(error)) if told.status == 500 else told


def _target(
    service: str, action: str, request: Any, ctx: Context
) -> tuple[str, str, str, str | None]:
    """Service, account, region and name of what a request is about; the caller's, if nothing."""
    url = getattr(request, "queue_url", None)
    key = None if url is None else queue_key(url, ctx.account, ctx.region)
    if key is not None:
        return service, *key
    for member in _ARN_MEMBERS:
        parts = (getattr(request, member, None) or "").split(":")
        if len(parts) >= _ARN_PARTS:
            return parts[2], parts[4], parts[3], parts[5]
    name = getattr(request, "queue_name", None)
    if action == "CreateTopic":
        name = request.name
    account = getattr(request, "queue_owner_aws_account_id", None) or ctx.account
    return service, account, ctx.region, name


def _told(service: str, kind: str, code: str) -> WireError:
    if kind == "droppedConnection":
        return WireError("", "", DROPPED, "")
    if kind == "httpError":
        status = int(code)
        return _HTTP_ERRORS.get(status) or WireError("", "", status, "")
    return _BLOWS[service, kind, code]
