"""What is Headrace's own: health, the outbox, explanations; and lists that LocalStack has too."""

from starlette.routing import BaseRoute

from api.admin import explain, health, localstack, outbox, sms
from api.context import Site

#: how the paths of all this begin
PATHS = ("/_headrace/", "/health", "/_aws/")


def routes(site: Site) -> list[BaseRoute]:
    """Where everything is.  The application's ``state.broker`` is the broker."""
    return [
        *health.ROUTES,
        *outbox.ROUTES,
        *explain.ROUTES,
        *sms.routes(site),
        *localstack.routes(site),
    ]
