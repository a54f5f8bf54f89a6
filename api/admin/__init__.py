"""What is Headrace's own: health, the outbox, explanations; and lists that LocalStack has too."""

from starlette.routing import BaseRoute

from api.admin import (
    clock,
    explain,
    faults,
    health,
    localstack,
    localstack_status,
    metrics,
    outbox,
    sms,
    timeline,
)
from api.context import Site

#: how the paths of all this begin
PATHS = ("/_headrace/", "/health", "/metrics", "/_aws/", "/_localstack/")


def routes(site: Site) -> list[BaseRoute]:
    """Where everything is.  The application's ``state.broker`` is the broker."""
    return [
        *health.ROUTES,
        *clock.routes(site),
        *faults.ROUTES,
        *outbox.ROUTES,
        *explain.ROUTES,
        *sms.routes(site),
        *timeline.ROUTES,
        *metrics.routes(),
        *localstack.routes(site),
        *localstack_status.routes(),
    ]
