"""What is Headrace's own: health, the outbox, explanations; and lists that LocalStack has too."""

from starlette.routing import BaseRoute

from api.admin import (
    checkpoints,
    clock,
    explain,
    faults,
    health,
    localstack,
    localstack_sqs,
    localstack_status,
    metrics,
    openapi,
    outbox,
    queues,
    sms,
    timeline,
    wait,
)
from api.context import Site

#: how the paths of all this begin
PATHS = ("/_headrace", "/health", "/metrics", "/_aws/", "/_localstack/")


def routes(site: Site, *, admin: bool = True) -> list[BaseRoute]:
    """Where everything is; without ``admin`` what tells whether the server serves.

    The application's ``state.broker`` is the broker.
    """
    found: list[BaseRoute] = [*health.ROUTES, *localstack_status.routes()]
    if admin:
        found += [
            *clock.routes(site),
            *faults.ROUTES,
            *outbox.ROUTES,
            *explain.ROUTES,
            *sms.routes(site),
            *queues.routes(site),
            *checkpoints.ROUTES,
            *wait.routes(site),
            *timeline.ROUTES,
            *metrics.routes(),
            *localstack.routes(site),
            *localstack_sqs.routes(site),
        ]
        found += openapi.routes(found)
    return found
