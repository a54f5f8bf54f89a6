"""Waiting until a queue is as a test wants it, so that the test needs no loop."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from starlette.requests import Request
from starlette.routing import BaseRoute

from api.admin.describing import (
    NOT_FOUND,
    PLACE,
    Doc,
    Parameter,
    Schema,
    Told,
    Values,
    broker_of,
    described,
)
from api.admin.queues import QueueCounts, queue_named
from api.admin.requests import BadRequest
from api.context import Site
from broker import Condition, queue_arn

_T = TypeVar("_T")

_NUMBER: Schema = {"type": "integer", "minimum": 1, "maximum": 10**9}
_FLAG: Schema = {"type": "boolean", "default": False}
_WAIT_S = 10
_WAIT_S_MAX = 60


class Waited(Told):
    """Whether it came about in time, and what the queue holds; no counts: it is gone."""

    met: bool
    queue: str
    counts: QueueCounts | None


_DOC = Doc(
    query=(
        Parameter("queue", "Name, ARN or URL of a queue.", {"type": "string"}),
        Parameter("dlqOf", "In its stead: the dead-letter queue of this one.", {"type": "string"}),
        *PLACE,
        Parameter("messages", "At least so many messages, in whatever state.", _NUMBER),
        Parameter("visible", "At least so many visible ones.", _NUMBER),
        Parameter("inFlight", "At least so many in flight.", _NUMBER),
        Parameter("delayed", "At least so many delayed.", _NUMBER),
        Parameter("empty", "No message, in whatever state.", _FLAG),
        Parameter("deleted", "There is no such queue; not beside other conditions.", _FLAG),
        Parameter(
            "timeout",
            "For how many seconds, of real time, whatever Headrace's clock shows.",
            {"type": "number", "minimum": 0, "maximum": _WAIT_S_MAX, "default": _WAIT_S},
        ),
    ),
    answer=Waited,
    statuses=NOT_FOUND,
)


def routes(site: Site) -> list[BaseRoute]:
    """Where it is; ``site`` has the account and the region of a queue that is only named."""

    async def wait(request: Request, values: Values) -> Waited:
        """Answer once all conditions hold of a queue, or when the time is over."""
        inspection = broker_of(request).inspection
        if (values["queue"] is None) == (values["dlqOf"] is None):
            raise BadRequest("give either queue or dlqOf")
        condition = _condition(values)
        key = queue_named(
            values["queue"] or values["dlqOf"],
            values["account"] or site.account,
            values["region"] or site.region,
        )
        if values["queue"] is None:
            key = await inspection.dead_letter_queue(key)
        timeout_s: float = values["timeout"]
        if condition is None:
            gone = await _unless_gone(request, inspection.wait_until_gone(key, timeout_s=timeout_s))
            return Waited(met=bool(gone), queue=queue_arn(key), counts=None)
        ended = await _unless_gone(request, inspection.wait(key, condition, timeout_s=timeout_s))
        if ended is None:
            return Waited(met=False, queue=queue_arn(key), counts=None)
        met, counts = ended
        return Waited(met=met, queue=queue_arn(key), counts=QueueCounts.of(counts))

    return [described("GET", "/_headrace/wait", wait, _DOC)]


def _condition(values: Values) -> Condition | None:
    """What is waited for; None: the end of the queue.  Raises ``BadRequest``."""
    condition = Condition(
        messages=values["messages"],
        visible=values["visible"],
        in_flight=values["inFlight"],
        delayed=values["delayed"],
        empty=values["empty"],
    )
    given = condition != Condition()
    if given == values["deleted"]:
        raise BadRequest("give messages, visible, inFlight, delayed or empty, or else deleted")
    return condition if given else None


async def _unless_gone(request: Request, waiting: Coroutine[Any, Any, _T]) -> _T | None:
    """What comes of waiting; None if the client, who will not read the answer, has hung up."""
    waiter = asyncio.create_task(waiting)
    watcher = asyncio.create_task(_hangup(request))
    try:
        await asyncio.wait((waiter, watcher), return_when=asyncio.FIRST_COMPLETED)
        return await waiter if waiter.done() else None
    finally:
        waiter.cancel()
        watcher.cancel()


async def _hangup(request: Request) -> None:
    """Return when the client hangs up."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
