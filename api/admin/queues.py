"""Queues and what is in them, looked at and put right by hand; starting over.

No look has side effects: no receive is counted, and no message hidden.
"""

from base64 import b64encode
from typing import Any

from starlette.requests import Request
from starlette.routing import BaseRoute

from api.admin.describing import (
    NOT_FOUND,
    SCOPE,
    Doc,
    Parameter,
    Told,
    Values,
    broker_of,
    described,
    scope_of,
)
from api.admin.requests import BadRequest
from api.context import Site, base_url
from api.names import queue_key, queue_url
from broker import (
    Counts,
    MessageAttribute,
    MessageState,
    MessageView,
    PeekFilter,
    QueueKey,
    QueueView,
    parse_queue_arn,
    queue_arn,
    timestamp_text,
)

_QUEUES = "/_headrace/queues"
_LIMIT = 100
_LIMIT_MAX = 1_000
#: messages are read in pieces, and a page ends with the piece that makes it this long
_PIECE = 20
_PAGE_CHARACTERS_MAX = 4_000_000

# --- answers ------------------------------------------------------------------------------------


class QueueCounts(Told):
    """How many messages a queue holds."""

    messages: int
    visible: int
    in_flight: int
    delayed: int

    @classmethod
    def of(cls, counts: Counts) -> "QueueCounts":
        """As the store counts them."""
        return cls(
            messages=counts.total,
            visible=counts.visible,
            in_flight=counts.in_flight,
            delayed=counts.delayed,
        )


class Queue(Told):
    """A queue in short."""

    name: str
    account: str
    region: str
    arn: str
    url: str
    fifo: bool
    counts: QueueCounts
    oldest_message_at: str | None
    oldest_message_age_ms: int | None
    dead_letter_queue: str | None


class QueueInFull(Queue):
    """A queue with its attributes, as AWS names them, and tags."""

    attributes: dict[str, str]
    tags: dict[str, str]


class QueueList(Told):
    """Queues by account, region and name."""

    queues: list[Queue]


class Attribute(Told):
    """A message attribute; a binary value is in base64."""

    data_type: str
    string_value: str | None
    binary_value: str | None


class Message(Told):
    """A message as it is now."""

    message_id: str
    state: str
    hidden_until: str | None
    receive_count: int
    body: str
    attributes: dict[str, Attribute]
    group_id: str | None
    deduplication_id: str | None
    sequence_number: str | None
    sender_id: str
    sent_at: str
    first_received_at: str | None
    last_received_at: str | None
    trace_header: str | None
    dead_letter_source: str | None


class MessagePage(Told):
    """Messages, the oldest first; ``next`` is ``after`` of the page after this one."""

    messages: list[Message]
    next: str | None


class Deleted(Told):
    """What is no more."""

    deleted: str


class Moved(Told):
    """Where a message is now, and under which id."""

    queue: str
    message_id: str


class Reset(Told):
    """How much was removed."""

    queues: int
    topics: int
    messages: int


# --- descriptions -------------------------------------------------------------------------------

_PEEK = Doc(
    query=(
        Parameter(
            "state",
            "Only messages in this state; may be repeated.",
            {
                "type": "array",
                "items": {"type": "string", "enum": [each.value for each in MessageState]},
            },
        ),
        Parameter("group", "Only messages of this group.", {"type": "string"}),
        Parameter("messageId", "Only the message of this id.", {"type": "string"}),
        Parameter(
            "limit",
            "How many messages at most; a page with long ones has fewer.",
            {"type": "integer", "minimum": 1, "maximum": _LIMIT_MAX, "default": _LIMIT},
        ),
        Parameter(
            "after",
            "What the page before gave as next.",
            {"type": "integer", "minimum": 0, "maximum": 2**63 - 1, "default": 0},
        ),
    ),
    answer=MessagePage,
    statuses=NOT_FOUND,
)
_MOVE = Doc(
    body={
        "type": "object",
        "required": ["queue"],
        "properties": {"queue": {"type": "string", "description": "Name, ARN or URL of a queue."}},
    },
    answer=Moved,
    statuses=NOT_FOUND,
)


def _found(answer: type[Told]) -> Doc:
    return Doc(answer=answer, statuses=NOT_FOUND)


# --- endpoints ----------------------------------------------------------------------------------


def routes(site: Site) -> list[BaseRoute]:
    """Where they are; ``site`` has the account and the region of a queue that is only named."""

    def key_of(request: Request) -> QueueKey:
        place = request.path_params
        return QueueKey(
            place.get("account", site.account), place.get("region", site.region), place["name"]
        )

    async def reset(request: Request, values: Values) -> Reset:
        """Remove all queues and topics, and all that belongs to them."""
        removed = await broker_of(request).inspection.reset(scope_of(values))
        return Reset(**removed._asdict())

    async def list_queues(request: Request, values: Values) -> QueueList:
        """All queues, with how many messages each holds and how old the oldest is."""
        views = await broker_of(request).inspection.queues(scope_of(values))
        return QueueList(queues=[Queue(**_queue(each, site, request)) for each in views])

    async def show_queue(request: Request, _values: Values) -> QueueInFull:
        """A queue with its attributes and tags."""
        broker, key = broker_of(request), key_of(request)
        view = await broker.inspection.queue(key)
        return QueueInFull(
            **_queue(view, site, request),
            attributes=await broker.queues.attributes(key, ["All"]),
            tags=dict(view.record.tags),
        )

    async def list_messages(request: Request, values: Values) -> MessagePage:
        """The messages of a queue, the oldest first, without side effects."""
        states = tuple(MessageState(each) for each in values["state"])
        chosen = PeekFilter(states or None, values["group"], values["messageId"])
        after, missing, characters = values["after"], values["limit"], 0
        shown: list[Message] = []
        while missing and characters < _PAGE_CHARACTERS_MAX:
            piece = min(_PIECE, missing)
            # one more tells whether there is a page after this one
            found = await broker_of(request).inspection.peek(
                key_of(request), chosen, after=after, limit=piece + 1
            )
            shown += [_message(each) for each in found[:piece]]
            if len(found) <= piece:
                return MessagePage(messages=shown, next=None)
            missing -= piece
            characters += sum(len(each.peeked.message.body) for each in found)
            after = found[piece - 1].peeked.message.sequence
        return MessagePage(messages=shown, next=str(after))

    async def read_message(request: Request, _values: Values) -> Message:
        """A message, without side effects."""
        return _message(await broker_of(request).inspection.message(key_of(request), _id(request)))

    async def show_message(request: Request, _values: Values) -> Message:
        """Make a delayed message, or one in flight, visible now."""
        return _message(await broker_of(request).inspection.show(key_of(request), _id(request)))

    async def delete_message(request: Request, _values: Values) -> Deleted:
        """Delete a message, in whatever state it is."""
        await broker_of(request).inspection.remove(key_of(request), _id(request))
        return Deleted(deleted=_id(request))

    async def move_message(request: Request, _values: Values) -> Moved:
        """Move a message, in whatever state it is; it gets a new id and is visible at once."""
        key = key_of(request)
        named = (await _MOVE.read_body(request)).get("queue")
        if not isinstance(named, str):
            raise BadRequest("queue is missing, or no text")
        destination = queue_named(named, key.account, key.region)
        new_id = await broker_of(request).inspection.move(key, _id(request), destination)
        return Moved(queue=queue_arn(destination), message_id=new_id)

    def routes_at(path: str) -> list[BaseRoute]:
        messages = f"{path}/messages"
        message = f"{messages}/{{message_id}}"
        return [
            described("GET", messages, list_messages, _PEEK),
            described("GET", message, read_message, _found(Message)),
            described("DELETE", message, delete_message, _found(Deleted)),
            described("POST", f"{message}/show", show_message, _found(Message)),
            described("POST", f"{message}/move", move_message, _MOVE),
            described("GET", path, show_queue, _found(QueueInFull)),
        ]

    return [
        described("POST", "/_headrace/reset", reset, Doc(query=SCOPE, answer=Reset)),
        described("GET", _QUEUES, list_queues, Doc(query=SCOPE, answer=QueueList)),
        # in this order: a message of a queue that is only named looks like a queue elsewhere
        *routes_at(f"{_QUEUES}/{{name}}"),
        *routes_at(f"{_QUEUES}/{{account}}/{{region}}/{{name}}"),
    ]


def queue_named(text: str, account: str, region: str) -> QueueKey:
    """The queue that a name, an ARN or a URL means there; raises ``BadRequest``."""
    key = parse_queue_arn(text) or queue_key(text, account, region)
    if key is None:
        raise BadRequest("the queue is neither a name nor an ARN nor a URL")
    return key


def _id(request: Request) -> str:
    message_id: str = request.path_params["message_id"]
    return message_id


def _queue(view: QueueView, site: Site, request: Request) -> dict[str, Any]:
    key, settings = view.record.key, view.record.settings
    base = base_url(
        site, request.scope["scheme"], request.headers.get("host", "").encode("latin-1")
    )
    policy = settings.redrive_policy
    return {
        "name": key.name,
        "account": key.account,
        "region": key.region,
        "arn": queue_arn(key),
        "url": queue_url(base, key, default_region=site.region),
        "fifo": settings.fifo,
        "counts": QueueCounts.of(view.counts),
        "oldest_message_at": _instant(view.oldest_at_ms),
        "oldest_message_age_ms": view.oldest_age_ms,
        "dead_letter_queue": None if policy is None else policy.dead_letter_target_arn,
    }


def _message(view: MessageView) -> Message:
    peeked, message = view.peeked, view.peeked.message
    return Message(
        message_id=message.message_id,
        state=peeked.state.value,
        hidden_until=_instant(peeked.hidden_until_ms),
        receive_count=message.receive_count,
        body=message.body,
        attributes={
            name: _attribute(attribute) for name, attribute in (message.attributes or {}).items()
        },
        group_id=message.group_id,
        deduplication_id=message.deduplication_id,
        sequence_number=view.sequence_number,
        sender_id=message.sender_id,
        sent_at=timestamp_text(message.sent_at_ms),
        first_received_at=_instant(message.first_received_at_ms or None),
        last_received_at=_instant(message.claimed_at_ms or None),
        trace_header=message.trace_header,
        dead_letter_source=message.dead_letter_source_arn,
    )


def _attribute(attribute: MessageAttribute) -> Attribute:
    value = attribute.value
    if isinstance(value, str):
        return Attribute(data_type=attribute.data_type, string_value=value, binary_value=None)
    return Attribute(
        data_type=attribute.data_type,
        string_value=None,
        binary_value=b64encode(value).decode("ascii"),
    )


def _instant(at_ms: int | None) -> str | None:
    return None if at_ms is None else timestamp_text(at_ms)
