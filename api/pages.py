"""What people's browsers and verifiers of signatures ask for: links in mails, the certificate.

SNS reference, 1.6.  A link does what it says when it is followed, as AWS's do.
"""

import re
from collections.abc import Callable
from html import escape
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route

from api.context import Site, base_url, link_caller
from api.errors import wire_error
from broker import Broker, StorageError, StoreBroken
from broker.errors import BrokerError
from broker.topic_errors import InvalidParameter

_CERTIFICATE_PREFIX = "/SimpleNotificationService-"
_CONFIRMATION = "/confirmation.html"
_UNSUBSCRIBE = "/unsubscribe.html"

#: how the paths of pages begin
PATHS = (_CERTIFICATE_PREFIX, _CONFIRMATION, _UNSUBSCRIBE)

_DIGEST = re.compile(r"[0-9a-f]{32}")
#: nothing is loaded or run, whatever gets into a page; the token in a link goes nowhere else
_HEADERS = {
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'; base-uri 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
}


class Pages:
    """The pages over one broker.  ``on_broken``: the store has failed for good."""

    def __init__(self, broker: Broker, site: Site, *, on_broken: Callable[[], None]) -> None:
        self._broker = broker
        self._site = site
        self._on_broken = on_broken

    def routes(self) -> list[Route]:
        """Where they are."""
        return [
            Route(f"{_CERTIFICATE_PREFIX}{{digest}}.pem", self.certificate, methods=["GET"]),
            Route(_CONFIRMATION, self.confirmation, methods=["GET"]),
            Route(_UNSUBSCRIBE, self.unsubscribe, methods=["GET"]),
        ]

    async def certificate(self, request: Request) -> Response:
        """The certificate by which signatures are verified, in PEM."""
        digest = request.path_params["digest"]
        name = f"{_CERTIFICATE_PREFIX[1:]}{digest}.pem"
        known = _DIGEST.fullmatch(digest) is not None
        found = await self._broker.signatures.certificate(name) if known else None
        if found is None:
            return PlainTextResponse("Not found\n", 404, headers=_HEADERS)
        return Response(found, media_type="application/x-pem-file")

    async def confirmation(self, request: Request) -> Response:
        """Confirm the subscription that the link is about."""
        if request.method == "HEAD":
            return HTMLResponse(headers=_HEADERS)  # a look at the link follows it no further
        try:
            topic_arn, token = _given(request, "TopicArn"), _given(request, "Token")
            arn = await self._broker.subscriptions.confirm(
                link_caller(self._site.account, self._site.region, topic_arn),
                topic_arn,
                token,
                authenticate_on_unsubscribe=False,
            )
        except (BrokerError, StorageError) as error:
            return self._refusal(error)
        query = {"SubscriptionArn": arn, "Endpoint": request.query_params.get("Endpoint", "")}
        return _page(
            "Subscription confirmed!",
            f"<p>You have successfully subscribed. Your subscription\u2019s id is:</p>"
            f"<p><code>{escape(arn)}</code></p>"
            f"<p>If it was not your intention to subscribe,"
            f' <a href="{escape(f"{_UNSUBSCRIBE}?{urlencode(query)}")}">unsubscribe</a>.</p>',
        )

    async def unsubscribe(self, request: Request) -> Response:
        """Remove the subscription that the link is about."""
        if request.method == "HEAD":
            return HTMLResponse(headers=_HEADERS)
        try:
            arn = _given(request, "SubscriptionArn")
            await self._broker.subscriptions.unsubscribe(
                link_caller(self._site.account, self._site.region, arn),
                arn,
                base_url=self._base_url(request),
            )
        except (BrokerError, StorageError) as error:
            return self._refusal(error)
        return _page("Subscription removed!", f"<p>It was:</p><p><code>{escape(arn)}</code></p>")

    def _base_url(self, request: Request) -> str:
        host = request.headers.get("host", "").encode("latin-1")
        return base_url(self._site, request.scope["scheme"], host)

    def _refusal(self, error: Exception) -> Response:
        if isinstance(error, StoreBroken):
            self._on_broken()
        told = wire_error(error)
        status = 400 if told.status < 500 else told.status
        return PlainTextResponse(f"{told.message}\n", status, headers=_HEADERS)


def _given(request: Request, name: str) -> str:
    value = request.query_params.get(name)
    if value is None:
        raise InvalidParameter.missing(name)
    return value


def _page(title: str, content: str) -> HTMLResponse:
    return HTMLResponse(
        f'<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f"</head><body><h1>{escape(title)}</h1>{content}</body></html>\n",
        headers=_HEADERS,
    )
