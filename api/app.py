"""The ASGI application: the AWS services in front, everything else behind."""

from collections.abc import Callable

from starlette.applications import Starlette

from api import admin
from api.context import Site
from api.dispatch import Dispatch
from api.pages import Pages
from api.readiness import Readiness
from api.sns import SNS
from api.sqs import SQS
from api.sts import STS
from broker import Broker, Ids

SERVICES = (SQS, SNS, STS)


def create_app(
    broker: Broker,
    site: Site,
    ids: Ids,
    *,
    on_broken: Callable[[], None] = lambda: None,
    readiness: Readiness | None = None,
    log_requests: bool = False,
) -> Dispatch:
    """The application over an open broker.

    ``on_broken``: the store has failed for good; ``log_requests``: write access logs.
    """
    web = Starlette(
        routes=[
            *admin.routes(site),
            *Pages(broker, site, on_broken=on_broken).routes(),
        ]
    )
    web.state.broker = broker
    # without a start to wait for it is over
    web.state.readiness = readiness or Readiness(broker.check_writable, started=True)
    return Dispatch(
        broker,
        site,
        SERVICES,
        ids,
        on_broken=on_broken,
        elsewhere=web,
        log_requests=log_requests,
    )
