"""How the server is, as LocalStack tells it: health, scripts of the start, what runs here."""

import platform
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from api.readiness import Readiness
from api.version import version

_SERVICES = ("sqs", "sns", "sts")
_STAGES = ("BOOT", "START", "READY", "SHUTDOWN")
_STATES = {"ok": "running", "starting": "starting", "unwritable": "error"}
#: what LocalStack's own tools look for
_EDITION = "community"


def routes() -> list[BaseRoute]:
    """Where they are; each set of routes counts its own time."""
    begun = datetime.now(UTC)
    session_id = str(uuid4())
    is_docker = Path("/.dockerenv").exists()

    async def health(request: Request) -> Response:
        """The state of each service; the status is that of Headrace's own health."""
        status, _ = await _readiness(request).status()
        return JSONResponse(
            {
                "services": dict.fromkeys(_SERVICES, _STATES[status]),
                "edition": _EDITION,
                "version": version(),
            },
            200 if status == "ok" else 503,
        )

    async def info(_request: Request) -> Response:
        """What runs here, and since when."""
        now = datetime.now(UTC)
        return JSONResponse(
            {
                "version": version(),
                "edition": _EDITION,
                "is_license_activated": False,
                "session_id": session_id,
                "machine_id": session_id[:8],
                "system": platform.system().lower(),
                "is_docker": is_docker,
                "server_time_utc": now.replace(tzinfo=None).isoformat(timespec="seconds"),
                "uptime": int((now - begun).total_seconds()),
            }
        )

    return [
        Route("/_localstack/health", health, methods=["GET"]),
        Route("/_localstack/info", info, methods=["GET"]),
        Route("/_localstack/init", init, methods=["GET"]),
        Route("/_localstack/init/{stage}", init_stage, methods=["GET"]),
    ]


async def init(request: Request) -> Response:
    """Which stages of the start are over, and what became of the scripts."""
    readiness = _readiness(request)
    return JSONResponse(
        {
            "completed": {stage: _is_completed(readiness, stage) for stage in _STAGES},
            "scripts": _scripts(readiness, "READY"),
        }
    )


async def init_stage(request: Request) -> Response:
    """The same of one stage; all scripts are of ``ready``."""
    readiness = _readiness(request)
    stage = request.path_params["stage"].upper()
    if stage not in _STAGES:
        return JSONResponse({"error": f"no such stage {stage}"}, 404)
    return JSONResponse(
        {"completed": _is_completed(readiness, stage), "scripts": _scripts(readiness, stage)}
    )


def _readiness(request: Request) -> Readiness:
    readiness: Readiness = request.app.state.readiness
    return readiness


def _is_completed(readiness: Readiness, stage: str) -> bool:
    return readiness.started if stage == "READY" else stage != "SHUTDOWN"


def _scripts(readiness: Readiness, stage: str) -> list[dict[str, str]]:
    if stage != "READY":
        return []
    return [{"stage": stage, "name": run.name, "state": run.state} for run in readiness.scripts]
