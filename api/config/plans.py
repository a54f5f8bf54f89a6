"""What has to change so that a broker has what is declared: planned, rehearsed, carried out."""

import asyncio
import contextlib
import dataclasses
import itertools
import json
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Literal, NamedTuple

from api.config.declarations import Declaration, load
from api.config.nodes import ConfigError, Problem
from api.config.resources import (
    Change,
    Id,
    QueueId,
    Stage,
    State,
    Step,
    SubscriptionId,
    TopicId,
    World,
    alteration,
    creation,
    deletion,
    read_states,
)
from api.config.wanted import Request, Wanted, resolve
from api.settings import Settings
from broker import Broker, queue_arn
from broker.errors import BrokerError

#: create: what is missing.  update: also what is otherwise.  exact: and nothing else remains.
Mode = Literal["create", "update", "exact"]

#: what an attribute that is not told is worth, where an empty text does not unset it
_UNSET = {
    "ArchivePolicy": "{}",
    "FifoThroughputScope": "Topic",
    "FilterPolicyScope": "MessageAttributes",
    "KmsDataKeyReusePeriodSeconds": "300",
    "SignatureVersion": "1",
    "TracingConfig": "PassThrough",
}
#: attributes that names say, and that never change
_FIXED = ("FifoQueue", "FifoTopic")
_SHOWN_CHARACTERS = 60
_STEPS_AT_ONCE = 200


class _Planned(NamedTuple):
    line: str
    steps: list[Step]


@dataclasses.dataclass(frozen=True, slots=True)
class Plan:
    """Changes that have been rehearsed; ``apply`` makes them."""

    request: Request
    file: str
    changes: list[_Planned]
    #: what is otherwise than declared, and stays so
    kept: list[str]
    arns: Mapping[TopicId | SubscriptionId, str]

    def lines(self) -> list[str]:
        """One line for each change, and for each difference that is left."""
        return [*(change.line for change in self.changes), *self.kept]

    def steps(self) -> list[Step]:
        """What is to be done, in order."""
        return _in_order(step for change in self.changes for step in change.steps)


async def plan(
    broker: Broker,
    declaration: Declaration,
    mode: Mode,
    default_account: str,
    default_region: str,
) -> Plan:
    """What has to change; nothing does so yet.

    All of it has been tried on a copy in memory.  Raises ``ConfigError`` with a line for each
    thing that the broker refuses there.
    """
    request = resolve(declaration, World(default_account, default_region))
    stage = Stage(broker)
    current = await read_states(stage, request.worlds)
    desired = await _desired(declaration.file, request, current, mode)
    new_queue_arns = {
        queue_arn(each.key)
        for each in request.resources
        if isinstance(each, QueueId) and each not in current
    }
    changes: list[_Planned] = []
    kept: list[str] = []
    for resource, wanted in request.resources.items():
        if resource not in current:
            changes.append(_creation(resource, wanted.state))
            continue
        if current[resource].pending:
            continue  # what it is like is told, and can be changed, once it is confirmed
        if _is_bound_to(resource, new_queue_arns):  # it still means the queue that is gone
            line = f"bind {resource}: the queue is new"
            changes.append(_Planned(line, creation(resource, _BARE)))
        change = _difference(wanted.state, desired[resource], current[resource], mode)
        said = _said(change, current[resource])
        if said and mode == "create":
            kept.append(f"keep {resource} as it is, not as declared: {said}")
        elif said:
            changes.append(_Planned(f"change {resource}: {said}", alteration(resource, change)))
    if mode == "exact":
        _delete_others(request, current, changes, kept)
    changes.sort(key=lambda change: change.steps[0].phase)
    made = Plan(request, declaration.file, changes, kept, stage.arns)
    if current and changes:
        await _rehearse(made, current)
    return made


async def apply(broker: Broker, plan: Plan, *, base_url: str = "") -> None:
    """Carry a plan out.

    ``base_url``: what the links begin with that endpoints confirm by.  Raises ``ConfigError`` if
    the broker refuses something after all, and what its store raises.
    """
    stage = Stage(broker, base_url=base_url)
    stage.arns.update(plan.arns)
    for _, phase in itertools.groupby(plan.steps(), lambda step: step.phase):
        steps = list(phase)
        for first in range(0, len(steps), _STEPS_AT_ONCE):
            await _carry_out(stage, plan, steps[first : first + _STEPS_AT_ONCE])


async def _carry_out(stage: Stage, plan: Plan, steps: list[Step]) -> None:
    """Steps of one phase, at once: they share the flushes of a store on disk."""
    results = await asyncio.gather(*(step.run(stage) for step in steps), return_exceptions=True)
    problems = []
    for step, result in zip(steps, results, strict=True):
        if isinstance(result, BrokerError):
            problems.append(_refusal(plan.request, step.resource, result))
        elif result is not None:
            raise result
    if problems:
        raise ConfigError(plan.file, problems)


async def check(path: Path) -> tuple[int, list[str]]:
    """What is to be said of a file, and the exit status: 0, or 2 if it cannot be used."""
    usual = Settings()
    try:
        declaration = load(path)
        async with Stage.rehearsal() as stage:
            await plan(stage.broker, declaration, "create", usual.account, usual.region)
    except ConfigError as error:
        return 2, error.lines
    queues, topics, subscriptions = declaration.counts()
    counts = ", ".join(
        f"{count} {what}" if count == 1 else f"{count} {what}s"
        for count, what in (
            (queues, "queue"),
            (topics, "topic"),
            (subscriptions, "subscription"),
        )
    )
    return 0, [*declaration.warnings, f"{declaration.file}: ok, {counts}"]


# --- what has to change -------------------------------------------------------------------------

_BARE = State({})


def _creation(resource: Id, state: State) -> _Planned:
    return _Planned(f"create {resource}", creation(resource, state))


def _is_bound_to(resource: Id, queue_arns: Collection[str]) -> bool:
    return (
        isinstance(resource, SubscriptionId)
        and resource.protocol == "sqs"
        and resource.endpoint in queue_arns
    )


def _difference(declared: State, desired: State, current: State, mode: Mode) -> Change:
    """What of ``current`` is not as desired: only of what is declared, unless ``exact``."""
    names = list(declared.attributes)
    if mode == "exact":
        names = sorted({*desired.attributes, *current.attributes})
    attributes = {}
    for name in names:
        unset = _UNSET.get(name, "")
        value = desired.attributes.get(name, unset)
        if name not in _FIXED and not _same(value, current.attributes.get(name, unset)):
            attributes[name] = value
    policy = desired.data_protection_policy
    asked = bool(declared.data_protection_policy) or mode == "exact"
    return Change(
        attributes,
        {key: value for key, value in desired.tags.items() if current.tags.get(key) != value},
        [key for key in current.tags if mode == "exact" and key not in desired.tags],
        policy if asked and not _same(policy, current.data_protection_policy) else None,
    )


def _same(one: str, other: str) -> bool:
    """Whether two values of an attribute mean the same; JSON may be written in several ways."""
    return one == other or (_canonical(one) is not None and _canonical(one) == _canonical(other))


def _canonical(text: str) -> str | None:
    if not text.startswith("{"):
        return None
    try:
        return json.dumps(json.loads(text), sort_keys=True)
    except (ValueError, RecursionError):
        return None


def _said(change: Change, current: State) -> str:
    """The change in words; empty if there is none."""
    said = [
        f"{name} {_shown(current.attributes.get(name))} -> {_shown(value)}"
        for name, value in change.attributes.items()
    ]
    said += [
        f"tag {key} {_shown(current.tags.get(key))} -> {_shown(value)}"
        for key, value in change.tags.items()
    ]
    said += [f"tag {key} {_shown(current.tags[key])} -> none" for key in change.without_tags]
    if change.data_protection_policy is not None:
        said.append("DataProtectionPolicy")
    return ", ".join(said)


def _shown(value: str | None) -> str:
    if not value:
        return "none"
    line = " ".join(value.split())
    return line if len(line) <= _SHOWN_CHARACTERS else f"{line[: _SHOWN_CHARACTERS - 3]}..."


def _delete_others(
    request: Request, current: Mapping[Id, State], changes: list[_Planned], kept: list[str]
) -> None:
    """Add the deletion of what is not declared; subscriptions go with their topics."""
    for resource, state in current.items():
        if resource in request.resources:
            continue
        if isinstance(resource, SubscriptionId):
            if resource.topic not in request.resources:
                continue
            if state.pending:
                kept.append(
                    f"keep {resource}, not declared: unless it is confirmed, it ends itself"
                )
                continue
        changes.append(_Planned(f"delete {resource}", deletion(resource)))


# --- rehearsals ---------------------------------------------------------------------------------


def _in_order(steps: Iterable[Step]) -> list[Step]:
    return sorted(steps, key=lambda step: step.phase)


def _refusal(request: Request, resource: Id, error: BrokerError) -> Problem:
    wanted = request.resources.get(resource)
    return Problem(0, "", f"{resource}: {error}") if wanted is None else wanted.refused(error)


async def _desired(
    file: str, request: Request, current: Mapping[Id, State], mode: Mode
) -> dict[Id, State]:
    """How everything declared is once it is made; raises ``ConfigError`` if it cannot be."""
    async with Stage.rehearsal() as stage:
        if mode != "exact":  # dead-letter queues may be given as ARNs of queues that are there
            others = [each for each in current if each not in request.resources]
            await _copy(
                stage, {each: current[each] for each in others if isinstance(each, QueueId)}
            )
        steps = [
            step
            for resource, wanted in request.resources.items()
            for step in creation(resource, wanted.state)
        ]
        await _try(stage, file, request, steps)
        return await read_states(stage, request.worlds)


async def _rehearse(plan: Plan, current: Mapping[Id, State]) -> None:
    """Carry a plan out on a copy; raises ``ConfigError`` if something is refused."""
    async with Stage.rehearsal() as stage:
        await _copy(stage, current)
        not_copied = {
            each for each in current if not isinstance(each, QueueId) and each not in stage.arns
        }
        steps = [step for step in plan.steps() if step.resource not in not_copied]
        await _try(stage, plan.file, plan.request, steps)


async def _copy(stage: Stage, states: Mapping[Id, State]) -> None:
    """Make what is there, as far as it can be made again: what it names may be gone."""
    steps = [step for resource, state in states.items() for step in creation(resource, state)]
    for step in _in_order(steps):
        with contextlib.suppress(BrokerError, KeyError):  # the topic of a subscription, too
            await step.run(stage)


async def _try(stage: Stage, file: str, request: Request, steps: list[Step]) -> None:
    """Take all steps but those that build on one that was refused.

    Raises ``ConfigError`` with what was refused.
    """
    failed: set[Id] = set()
    problems = []
    for step in _in_order(steps):
        wanted: Wanted | None = request.resources.get(step.resource)
        if step.resource in failed or (wanted is not None and not failed.isdisjoint(wanted.needs)):
            failed.add(step.resource)
            continue
        try:
            await step.run(stage)
        except BrokerError as error:
            failed.add(step.resource)
            problems.append(_refusal(request, step.resource, error))
    if problems:
        raise ConfigError(file, problems)
