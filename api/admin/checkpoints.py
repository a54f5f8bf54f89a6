"""Checkpoints: the state of everything, an account or a region, to go back to."""

import re

from starlette.requests import Request
from starlette.routing import BaseRoute

from api.admin.describing import (
    NOT_FOUND,
    SCOPE,
    Doc,
    Told,
    Values,
    broker_of,
    described,
    scope_of,
)
from api.admin.requests import BadRequest
from broker import Checkpoint as Saved
from broker import timestamp_text

_CHECKPOINTS = "/_headrace/checkpoints"
_CHECKPOINT = f"{_CHECKPOINTS}/{{name}}"
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,80}", re.ASCII)


class Checkpoint(Told):
    """A checkpoint, and how much is in it; without account or region it has all of them."""

    name: str
    account: str | None
    region: str | None
    saved_at: str
    queues: int
    topics: int
    messages: int

    @classmethod
    def of(cls, saved: Saved) -> "Checkpoint":
        """As the store remembers it."""
        return cls(
            name=saved.name,
            account=saved.scope.account,
            region=saved.scope.region,
            saved_at=timestamp_text(saved.saved_at_ms),
            queues=saved.queues,
            topics=saved.topics,
            messages=saved.messages,
        )


class CheckpointList(Told):
    """Checkpoints by name."""

    checkpoints: list[Checkpoint]


class Forgotten(Told):
    """The checkpoint that is no more."""

    deleted: str


async def save(request: Request, values: Values) -> Checkpoint:
    """Remember queues, messages, topics and all else by a name; replaces what had it."""
    inspection = broker_of(request).inspection
    return Checkpoint.of(await inspection.save_checkpoint(_name(request), scope_of(values)))


async def list_all(request: Request, _values: Values) -> CheckpointList:
    """All checkpoints."""
    saved = await broker_of(request).inspection.checkpoints()
    return CheckpointList(checkpoints=[Checkpoint.of(each) for each in saved])


async def restore(request: Request, _values: Values) -> Checkpoint:
    """Put everything that the checkpoint is of back to what it was."""
    return Checkpoint.of(await broker_of(request).inspection.restore_checkpoint(_name(request)))


async def delete(request: Request, _values: Values) -> Forgotten:
    """Forget a checkpoint."""
    await broker_of(request).inspection.delete_checkpoint(_name(request))
    return Forgotten(deleted=_name(request))


def _name(request: Request) -> str:
    name: str = request.path_params["name"]
    if not _NAME.fullmatch(name):
        raise BadRequest("a checkpoint's name has 1 to 80 characters of A-Z, a-z, 0-9, _ . -")
    return name


ROUTES: list[BaseRoute] = [
    described("GET", _CHECKPOINTS, list_all, Doc(answer=CheckpointList)),
    described("PUT", _CHECKPOINT, save, Doc(query=SCOPE, answer=Checkpoint)),
    described("DELETE", _CHECKPOINT, delete, Doc(answer=Forgotten, statuses=NOT_FOUND)),
    described(
        "POST", f"{_CHECKPOINT}/restore", restore, Doc(answer=Checkpoint, statuses=NOT_FOUND)
    ),
]
