"""The broker's clock: read, frozen, set and advanced, from any client in any language.

What falls due when it is turned happens in order, and has happened when the answer comes.
"""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import BaseRoute

from api.admin.describing import PLACE, DescribedRoute, Doc
from api.admin.requests import BadRequest
from api.context import Site
from broker import Broker, Counts, QueueTurn, Timekeeper, Turn

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
#: certificates that are made then are valid for 20 years, and years have four digits
_LATEST = datetime(9900, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_LATEST_MS = (_LATEST - _EPOCH) // _MILLISECOND
_MACHINE = "machine"
_UNITS_MS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_DURATION_PART = re.compile(r"([0-9]{1,15})(ms|s|m|h|d)")
_DURATION = re.compile(f"(?:{_DURATION_PART.pattern})+")
_MOMENTS = (
    "now is a moment such as 2026-01-01T00:00:00Z, or epoch milliseconds,"
    f" from 1970 to {_LATEST.year}; or {_MACHINE}"
)
_AMOUNTS = "say one of milliseconds, seconds, and duration (such as 15m or 1h30m)"
_DURATIONS = "duration is such as 15m or 1h30m"
_NO_WAY_BACK = "time can only be advanced: use set to go back"
_TOO_FAR = f"the clock goes no further than {_LATEST:%Y-%m-%d}"


def routes(site: Site) -> list[BaseRoute]:
    """Where it is; ``site`` has the account and region of requests that name none."""

    def place(request: Request) -> dict[str, str]:
        query = request.query_params
        return {
            "account": query.get("account", site.account),
            "region": query.get("region", site.region),
        }

    async def read(request: Request) -> JSONResponse:
        """What the clock shows."""
        return JSONResponse(_shown(_timekeeper(request)))

    async def freeze(request: Request) -> JSONResponse:
        """Have it stand still."""
        timekeeper = _timekeeper(request)
        await timekeeper.freeze()
        return JSONResponse(_shown(timekeeper))

    async def resume(request: Request) -> JSONResponse:
        """Have it run, from the moment it shows."""
        timekeeper = _timekeeper(request)
        await timekeeper.resume()
        return JSONResponse(_shown(timekeeper))

    async def set_(request: Request) -> JSONResponse:
        """Have it show a moment; what came of that."""
        now = _only(await _SET.read_body(request), _MOMENTS)[1]
        timekeeper = _timekeeper(request)
        if now == _MACHINE:
            turn = await timekeeper.set_to_machine(**place(request))
        else:
            turn = await timekeeper.set(_moment_ms(now), **place(request))
        return JSONResponse({**_shown(timekeeper), **_told(turn)})

    async def advance(request: Request) -> JSONResponse:
        """Let time pass; what came of that."""
        unit, amount = _only(await _ADVANCE.read_body(request), _AMOUNTS)
        timekeeper = _timekeeper(request)
        milliseconds = _amount_ms(unit, amount)
        if milliseconds > _LATEST_MS - timekeeper.clock.now_ms():
            raise BadRequest(_TOO_FAR)
        turn = await timekeeper.advance(milliseconds, **place(request))
        return JSONResponse({**_shown(timekeeper), **_told(turn)})

    return [
        DescribedRoute("/_headrace/clock", read, methods=["GET"], doc=Doc()),
        DescribedRoute("/_headrace/clock/freeze", freeze, methods=["POST"], doc=Doc()),
        DescribedRoute("/_headrace/clock/resume", resume, methods=["POST"], doc=Doc()),
        DescribedRoute("/_headrace/clock/set", set_, methods=["POST"], doc=_SET),
        DescribedRoute("/_headrace/clock/advance", advance, methods=["POST"], doc=_ADVANCE),
    ]


_SET = Doc(
    query=PLACE,
    body={
        "type": "object",
        "description": _MOMENTS,
        "required": ["now"],
        "properties": {"now": {"type": ["string", "integer"]}},
    },
)
_ADVANCE = Doc(
    query=PLACE,
    body={
        "type": "object",
        "description": _AMOUNTS,
        "minProperties": 1,
        "maxProperties": 1,
        "properties": {
            "milliseconds": {"type": "number", "minimum": 0},
            "seconds": {"type": "number", "minimum": 0},
            "duration": {"type": "string"},
        },
    },
)


def _timekeeper(request: Request) -> Timekeeper:
    broker: Broker = request.app.state.broker
    if broker.timekeeper is None:
        raise BadRequest("this server's clock cannot be turned")
    return broker.timekeeper


# --- what is asked ------------------------------------------------------------------------------


def _only(given: dict[str, Any], usage: str) -> tuple[str, object]:
    """The only member that is given."""
    if len(given) != 1:
        raise BadRequest(usage)
    return next(iter(given.items()))


def _moment_ms(now: object) -> int:
    if isinstance(now, int) and not isinstance(now, bool):
        moment_ms = now
    elif isinstance(now, str):
        try:
            moment = datetime.fromisoformat(now)
        except ValueError:
            raise BadRequest(_MOMENTS) from None
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        moment_ms = (moment - _EPOCH) // _MILLISECOND
    else:
        raise BadRequest(_MOMENTS)
    if not 0 <= moment_ms <= _LATEST_MS:
        raise BadRequest(_MOMENTS)
    return moment_ms


def _amount_ms(unit: str, amount: object) -> int:
    if unit == "duration":
        if not isinstance(amount, str) or not _DURATION.fullmatch(amount):
            raise BadRequest(_DURATIONS)
        parts = _DURATION_PART.findall(amount)
        return sum(int(number) * _UNITS_MS[part_unit] for number, part_unit in parts)
    if isinstance(amount, bool) or not isinstance(amount, int | float):
        raise BadRequest(f"{unit} is a number")
    if amount < 0:
        raise BadRequest(_NO_WAY_BACK)
    milliseconds = amount * 1_000 if unit == "seconds" else amount
    if not milliseconds <= _LATEST_MS:
        raise BadRequest(_TOO_FAR)
    return round(milliseconds)


# --- what is answered ---------------------------------------------------------------------------


def _shown(timekeeper: Timekeeper) -> dict[str, Any]:
    clock = timekeeper.clock
    now_ms = clock.now_ms()
    now = _EPOCH + now_ms * _MILLISECOND
    return {
        "now": now.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "nowMs": now_ms,
        "frozen": clock.frozen,
        "offsetMs": clock.offset_ms,
    }


def _told(turn: Turn) -> dict[str, Any]:
    return {
        "queues": [_queue(each) for each in turn.queues],
        "longPolls": {"ended": turn.long_polls_ended, "parked": turn.long_polls_parked},
        "deliveries": {
            "delivered": turn.deliveries_made,
            "retried": turn.deliveries_retried,
            "failed": turn.deliveries_failed,
        },
        "underWay": [
            {"protocol": lane.protocol, "endpoint": lane.endpoint} for lane in turn.under_way
        ],
    }


def _queue(turn: QueueTurn) -> dict[str, Any]:
    return {
        "queue": turn.arn,
        "becameVisible": turn.became_visible,
        "expired": turn.expired,
        "deadLettered": turn.dead_lettered,
        "moved": turn.moved,
        "before": _counts(turn.before),
        "after": _counts(turn.after),
    }


def _counts(counts: Counts) -> dict[str, int]:
    return {
        "visible": counts.visible,
        "inFlight": counts.in_flight,
        "delayed": counts.delayed,
    }
