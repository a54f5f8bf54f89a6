"""One request of the wire protocols, end to end: a plain ASGI callable.

Frameworks cost more here than the broker does (see ARCHITECTURE.md), so nothing stands between the
server and this; and nothing is done per request that can be done once.
"""

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any, NamedTuple

from pydantic import ValidationError
from pydantic_core import from_json

from api import access_log
from api.admin import PATHS as ADMIN_PATHS
from api.context import Context, Site
from api.errors import RequestTooLarge, UnknownOperation, WireError, wire_error
from api.injections import DROPPED, GATEWAY_PAGES, InjectedError, call, drop
from api.names import parse_queue_url
from api.operation import Operation, Service
from api.pages import PATHS as PAGE_PATHS
from api.protocol import EXTENSION, respond
from api.wire import json, query, xml
from broker import Broker, Ids, StoreBroken
from broker.errors import AccessDenied, BrokerError, MissingParameter

logger = logging.getLogger(__name__)

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]
Headers = dict[bytes, bytes]

_HEADER_LINES = b"x-amzn-requestid: %b\r\ncontent-type: %b\r\ncontent-length: %d\r\n"

#: what Starlette serves: no queue path can begin so
_OWN_PATHS = (*ADMIN_PATHS, *PAGE_PATHS)

#: 1 MiB of body and attributes, percent-encoded or as JSON escapes, and room for the rest
REQUEST_BYTES_MAX = 4 * 1024 * 1024
_TOO_LARGE = f"Requests cannot be longer than {REQUEST_BYTES_MAX} bytes."
_IDENTITIES_MAX = 10_000
_CREDENTIAL_BYTES_MAX = 256  # longer ones are served, but not remembered
_CREDENTIAL = re.compile(rb"Credential=([^,\s]+)")
_ACCOUNT = re.compile(r"\d{12}", re.ASCII)
#: as long as confirmation tokens have room for
_REGION = re.compile(r"[a-z][a-z0-9-]{0,31}")
_XML_TYPE = b"text/xml"
_DELIVERY = b"x-amz-sns-message-type"


class _Answer(NamedTuple):
    status: int
    content_type: bytes
    body: bytes
    error: WireError | None = None
    error_header: bool = True


class _Identity(NamedTuple):
    """Who calls, as the credential scope says it."""

    account: str
    region: str
    service: str | None


class _JsonOperation(NamedTuple):
    """An operation with what the JSON protocol needs of it, looked up once."""

    service: str
    operation: Operation
    validate_json: Callable[[bytes], Any]


class ClientGone(Exception):
    """The client hung up before its request was complete: there is nobody to answer."""


class _Hangup:
    """Watches, once somebody asks for it, whether the client goes away."""

    # Made for every request, used by few: what most do not set stands here.
    _gone: Callable[[], None] | None = None
    _happened = False
    _watcher: asyncio.Task[None] | None = None

    def __init__(self, receive: Receive) -> None:
        self._receive = receive

    def watch(self, gone: Callable[[], None]) -> None:
        """See ``Hangup``; a later call replaces the earlier one."""
        self._gone = gone
        if self._happened:
            gone()
        elif self._watcher is None:
            self._watcher = asyncio.create_task(self._watch())

    async def _watch(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._happened = True
        if self._gone is not None:
            self._gone()

    def close(self) -> None:
        """Stop watching."""
        if self._watcher is not None:
            self._watcher.cancel()


class Dispatch:
    """The ASGI callable that serves the AWS services."""

    def __init__(
        self,
        broker: Broker,
        site: Site,
        services: Sequence[Service],
        ids: Ids,
        *,
        on_broken: Callable[[], None],
        elsewhere: Application,
        log_requests: bool = False,
    ) -> None:
        """``services``: the first is the one that answers for what no service has.

        ``on_broken`` is called when the store has failed for good; ``elsewhere`` answers what is
        not AWS's.  ``log_requests``: write a line for each request (see ``api.access_log``).
        """
        self._broker = broker
        self._elsewhere = elsewhere
        self._faults = broker.messages.faults
        self._site = site
        self._services = services
        self._on_broken = on_broken
        self._log_requests = log_requests
        self._declared = {
            f"{service.target_prefix}.{operation.name}".encode(): (service.name, operation)
            for service in services
            if service.target_prefix
            for operation in service.operations.values()
        }
        #: those that have been called
        self._by_target: dict[bytes, _JsonOperation] = {}
        self._identities: dict[bytes, _Identity] = {}
        # Request ids are unique, not secret: a random stem and a counter, in the form of a UUID.
        self._request_id_stem = ids.uuid()[:24]
        self._requests = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request."""
        cycle = scope.pop(EXTENSION, None)
        if scope["type"] != "http" or scope["path"].startswith(_OWN_PATHS):
            await self._elsewhere(scope, receive, send)
            return
        self._requests += 1
        request_id = f"{self._request_id_stem}{self._requests & 0xFFFFFFFFFFFF:012x}"
        headers: Headers = dict(scope["headers"])
        target = headers.get(b"x-amz-target")
        hangup = _Hangup(receive)
        arrived_s = access_log.now_s() if self._log_requests else 0.0
        body = b""
        try:
            _check_announced(headers.get(b"content-length", b"0"))
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body = message.get("body", b"")
            if message.get("more_body"):
                body = await _read_rest(body, receive)
            if target is not None:
                answer = await self._answer_json(scope, headers, target, body, hangup)
            else:
                answer = await self._answer_query(scope, headers, body, hangup, request_id)
        except ClientGone:
            return
        except RequestTooLarge as error:
            told = wire_error(error)
            answer = (
                _json_error(told)
                if target is not None
                else _xml_error(self._signed_service(headers), told, request_id)
            )
        finally:
            hangup.close()
        if self._log_requests:
            identity = self._identity(headers.get(b"authorization", b""))
            access_log.write(
                request_id,
                identity.account,
                identity.region,
                target=target,
                scope=scope,
                body=body,
                status=answer.status,
                error=answer.error.code if answer.error else None,
                arrived_s=arrived_s,
            )
        if answer.error is not None:
            if answer.status == DROPPED:
                drop(cycle)
                return
            page = GATEWAY_PAGES.get(answer.status)
            if page is not None:
                answer = _Answer(answer.status, b"text/html", page)
        lines = _HEADER_LINES % (request_id.encode(), answer.content_type, len(answer.body))
        if answer.error is not None:
            if answer.error_header:
                told = answer.error
                lines += f"x-amzn-query-error: {told.code};{told.fault}\r\n".encode()
            if answer.status == 413:  # the rest of the body is not read
                lines += b"connection: close\r\n"
                cycle = None
        if logger.isEnabledFor(logging.DEBUG):
            logger.debug(
                "%s %s %s -> %s",
                request_id,
                scope["method"],
                (target or b"query").decode("latin-1"),
                answer.error.code if answer.error else answer.status,
            )
        # Let those who are ready compute first: answers that go out back to back cost the kernel
        # half of what they cost one by one, for each of those wakes the other side anew.
        await asyncio.sleep(0)
        if cycle is not None and respond(cycle, answer.status, lines, answer.body):
            return
        pairs = [tuple(line.split(b": ", 1)) for line in lines.splitlines()]
        await send({"type": "http.response.start", "status": answer.status, "headers": pairs})
        await send({"type": "http.response.body", "body": answer.body})

    def _json_operation(self, target: bytes) -> _JsonOperation:
        """The operation that is called for the first time; raises ``UnknownOperation``."""
        declared = self._declared.get(target)
        if declared is None:
            name = target.decode("latin-1").rpartition(".")[2]
            raise UnknownOperation(f"The action {name} is not valid for this endpoint.")
        service, operation = declared
        operation.request.model_rebuild()  # its building was deferred
        validate_json = operation.request.__pydantic_validator__.validate_json
        found = self._by_target[target] = _JsonOperation(service, operation, validate_json)
        return found

    # --- AWS JSON 1.0 ---------------------------------------------------------------------------

    async def _answer_json(
        self, scope: Scope, headers: Headers, target: bytes, body: bytes, hangup: _Hangup
    ) -> _Answer:
        try:
            found = self._by_target.get(target) or self._json_operation(target)
            service, operation, validate_json = found
            ctx = self._context(headers, scope, headers.get(b"authorization", b""), hangup)
            try:
                request = validate_json(body or b"{}")
            except ValidationError as error:
                raise await _refusal(error, body, ctx) from None
            if self._faults.active:
                result = await call(service, operation, request, ctx)
            else:
                result = await operation.handler(request, ctx)
        except Exception as error:
            return _json_error(self._told(error))
        return _Answer(200, json.CONTENT_TYPE, json.encode_result(operation, result))

    # --- Query ----------------------------------------------------------------------------------

    async def _answer_query(
        self, scope: Scope, headers: Headers, body: bytes, hangup: _Hangup, request_id: str
    ) -> _Answer:
        service = self._signed_service(headers)
        wants_json = b"application/json" in headers.get(b"accept", b"")
        try:
            parameters = query.parse_parameters(scope["query_string"], body)
            credential = parameters.get("X-Amz-Credential")
            if credential is not None:
                headers[b"authorization"] = f"Credential={credential}".encode()
            authorization = headers.get(b"authorization", b"")
            ctx = self._context(headers, scope, authorization, hangup)
            action = parameters.get("Action")
            if action is None:
                return _Answer(404, _XML_TYPE, b"<UnknownOperationException/>\n")
            if _DELIVERY in headers:  # a subscription to ourselves would never come to rest
                raise AccessDenied("A delivery of a topic is not taken for a request.")
            service = self._service_of(action, parameters, self._identity(authorization))
            operation = service.operations.get(action)
            queue_path = scope["path"] if parse_queue_url(scope["path"]) is not None else None
            if operation is None or (queue_path is not None and not operation.on_queue_path):
                raise UnknownOperation(service.dialect.unknown_action.format(action=action))
            if queue_path is not None:
                parameters.setdefault("QueueUrl", queue_path)
            values = query.read_request(operation.request, parameters)
            try:
                request = operation.request.__pydantic_validator__.validate_python(values)
            except ValidationError as error:
                shape_refusal = service.dialect.shape_refusal
                if shape_refusal is not None:
                    raise shape_refusal(operation.request, error) from None
                raise await _refusal(error, values, ctx) from None
            if self._faults.active:
                result = await call(service.name, operation, request, ctx)
            else:
                result = await operation.handler(request, ctx)
        except Exception as error:
            told = self._told(error, query=True)
            if told.status == 500:
                told = told._replace(code=service.dialect.internal_error)
            if wants_json:
                document = json.query_error(told, request_id)
                error_header = service.dialect.error_header
                return _Answer(told.status, b"application/json", document, told, error_header)
            return _xml_error(service, told, request_id)
        if wants_json:
            document = json.query_result(operation, result, request_id)
            return _Answer(200, b"application/json", document)
        return _Answer(
            200, _XML_TYPE, xml.result_document(service, operation.name, result, request_id)
        )

    def _signed_service(self, headers: Headers) -> Service:
        """Who answers a request that cannot be read: whom it was signed for, if anybody."""
        name = self._identity(headers.get(b"authorization", b"")).service
        return next((each for each in self._services if each.name == name), self._services[0])

    def _service_of(self, action: str, parameters: dict[str, str], identity: _Identity) -> Service:
        """Which service is meant: by version, by credential scope, or by who has the action.

        Two may have it (AddPermission): then it is the one whose resource is named.
        """
        for service in self._services:
            if service.version == parameters.get("Version"):
                return service
        having = [service for service in self._services if action in service.operations]
        for service in having or self._services:
            if service.name == identity.service:
                return service
        for service in having:
            if service.operations[action].resource_parameter in parameters:
                return service
        return having[0] if having else self._services[0]

    # --- both -----------------------------------------------------------------------------------

    def _context(
        self, headers: Headers, scope: Scope, authorization: bytes, hangup: _Hangup
    ) -> Context:
        account, region, _ = self._identity(authorization)
        return Context(self._broker, self._site, account, region, scope["scheme"], headers, hangup)

    def _identity(self, authorization: bytes) -> _Identity:
        """Account, region and service of a credential scope; this site's own where it has none."""
        start = authorization.find(b"Credential=")
        end = authorization.find(b",", start)
        credential = authorization[start : end if end >= 0 else None] if start >= 0 else b""
        known = self._identities.get(credential)
        if known is None:
            known = self._read_identity(credential)
            if len(credential) <= _CREDENTIAL_BYTES_MAX:
                if len(self._identities) >= _IDENTITIES_MAX:
                    self._identities.clear()
                self._identities[credential] = known
        return known

    def _read_identity(self, credential: bytes) -> _Identity:
        match = _CREDENTIAL.match(credential)
        parts = match[1].decode("latin-1").split("/") if match else []
        account = region = service = None
        if len(parts) >= 5:  # key / date / region / service / aws4_request
            key, region, service = parts[-5], parts[-3], parts[-2]
            account = key if _ACCOUNT.fullmatch(key) else None
            region = region if _REGION.fullmatch(region) else None
        return _Identity(account or self._site.account, region or self._site.region, service)

    def _told(self, error: Exception, *, query: bool = False) -> WireError:
        """An error as it goes on the wire; what nobody foresaw is logged, and said to nobody."""
        if isinstance(error, InjectedError):
            return error.told
        told = wire_error(error, query=query)
        if told.status == 500:
            logger.error("a request failed", exc_info=error)
        elif isinstance(error, StoreBroken):
            self._on_broken()
        return told


def _json_error(told: WireError) -> _Answer:
    return _Answer(told.status, json.CONTENT_TYPE, json.encode_error(told), told)


def _xml_error(service: Service, told: WireError, request_id: str) -> _Answer:
    document = xml.error_document(service, told, request_id)
    return _Answer(told.status, _XML_TYPE, document, told, service.dialect.error_header)


def _check_announced(content_length: bytes) -> None:
    """Refuse a body before it is read if it says that it is too long, or nothing sensible."""
    if (
        not content_length.isdigit()
        or len(content_length) > 18
        or int(content_length) > REQUEST_BYTES_MAX
    ):
        raise RequestTooLarge(_TOO_LARGE)


async def _read_rest(body: bytes, receive: Receive) -> bytes:
    """A body that does not come in one piece, refused as soon as it is too long."""
    parts = [body]
    size = len(body)
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > REQUEST_BYTES_MAX:
            raise RequestTooLarge(_TOO_LARGE)
        more = bool(message.get("more_body"))
    return b"".join(parts)


async def _refusal(
    error: ValidationError, request: bytes | dict[str, Any], ctx: Context
) -> BrokerError:
    """Why a request was not understood.

    That something is missing is only said of a queue that exists: AWS looks for the queue first.
    """
    refusal = json.refusal(error)
    if isinstance(refusal, MissingParameter):
        values = from_json(request or b"{}") if isinstance(request, bytes) else request
        url = values.get("QueueUrl")
        if isinstance(url, str):
            try:
                await ctx.broker.queues.get(ctx.queue_key(url))
            except BrokerError as unknown_queue:
                return unknown_queue
    return refusal
