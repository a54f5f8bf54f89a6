"""The ASGI application: the AWS services in front, everything else behind."""

from collections.abc import Callable

from starlette.applications import Starlette
from starlette.exceptions import HTTPException

from api import admin
from api.admin.protection import SameOrigin, tell
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
    with_admin: bool = True,
) -> Dispatch:
    """The application over an open broker.

    ``on_broken``: the store has failed for good; ``log_requests``: write access logs;
    ``with_admin``: serve the admin API, not only health.
    """
    web = Starlette(
        routes=[
            *admin.routes(site, admin=with_admin),
            *Pages(broker, site, on_broken=on_broken).routes(),
        ],
        exception_handlers={HTTPException: tell},
    )
    # a path with a slash too many is no other spelling: 404 in JSON, not an empty 307
    web.router.redirect_slashes = False
    web.state.broker = broker
    # without a start to wait for it is over
    web.state.readiness = readiness or Readiness(broker.check_writable, started=True)
    return Dispatch(
        broker,
        site,
        SERVICES,
        ids,
        on_broken=on_broken,
        elsewhere=SameOrigin(web),
        log_requests=log_requests,
    )
