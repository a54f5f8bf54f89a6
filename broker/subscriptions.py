"""The verbs on subscriptions: subscribe, confirm, unsubscribe, configure, list."""

import asyncio
import dataclasses
from collections.abc import Callable, Mapping
from typing import NamedTuple

from broker import limits
from broker.arns import (
    arn_parts,
    parse_arn,
    parse_queue_arn,
    read_subscription_arn,
    read_topic_arn,
    subscription_arn,
    topic_arn,
)
from broker.callers import Caller
from broker.clock import Clock
from broker.confirmation_tokens import (
    ConfirmationToken,
    confirmation_token,
    is_hexadecimal,
    open_token,
)
from broker.deliveries.http import is_http_endpoint
from broker.envelopes import confirmation_text, unsubscribe_text
from broker.ids import Ids
from broker.mails import check_email_endpoint
from broker.outbox import Outbox
from broker.pages import page_after, page_of
from broker.platforms import Platforms
from broker.seals import Seal
from broker.sms import check_sms_endpoint
from broker.subscription_attributes import (
    Subscriber,
    UnknownAttribute,
    has_other_attributes,
    read_attribute,
    read_attributes,
    render_attributes,
    replay_of,
)
from broker.topic_attributes import AttributeRefused
from broker.topic_errors import (
    AuthorizationError,
    InvalidParameter,
    NotFound,
    SubscriptionLimitExceeded,
)
from broker.topics import LARGE_MESSAGE_PROTOCOLS, Topics
from storage.contract import Storage
from storage.errors import UnknownTopic
from storage.topic_records import (
    DeliveryKind,
    Publication,
    SubscriptionRecord,
    SubscriptionState,
    TopicRecord,
)

_PROTOCOLS = frozenset(
    {
        "http",
        "https",
        "email",
        "email-json",
        "sms",
        "sqs",
        "application",
        "lambda",
        "firehose",
    }
)
#: their endpoints have to say yes, whoever subscribes them …
_ASKED = frozenset({"http", "https", "email", "email-json"})
#: … and these if somebody else than their owner does
_ASKED_OF_OTHERS = frozenset({"sqs", "lambda"})
_PENDING = "pending confirmation"
_LISTED_PENDING = "PendingConfirmation"


class SubscriptionListing(NamedTuple):
    """A subscription as it is listed."""

    subscription_arn: str
    owner: str
    protocol: str
    endpoint: str
    topic_arn: str


class Subscriptions:
    """Verbs on subscriptions."""

    def __init__(
        self,
        store: Storage,
        clock: Clock,
        ids: Ids,
        seal: Seal,
        topics: Topics,
        platforms: Platforms,
        outbox: Outbox,
        *,
        replay_wanted: Callable[[str], None],
    ) -> None:
        """``replay_wanted`` is called with the id of a subscription that is to be replayed to."""
        self._store = store
        self._clock = clock
        self._ids = ids
        self._seal = seal
        self._topics = topics
        self._platforms = platforms
        self._outbox = outbox
        self._replay_wanted = replay_wanted
        #: held from counting to adding, where there may only be few
        self._adding_to_few = asyncio.Lock()

    # --- subscribing ----------------------------------------------------------------------------

    async def subscribe(
        self,
        caller: Caller,
        arn: str | None,
        protocol: str,
        endpoint: str | None,
        attributes: Mapping[str, str],
        *,
        return_arn: bool,
        base_url: str,
    ) -> str:
        """The subscription's ARN, or ``pending confirmation`` (SNS reference, 2.2).

        Subscribing again what is subscribed returns the same; what still has to be confirmed is
        asked anew.
        """
        topic = await self._topics.get(caller, arn)
        if protocol not in _PROTOCOLS:
            raise InvalidParameter.of(
                f"Amazon SNS does not support this protocol string: {protocol}"
            )
        if topic.fifo and protocol != "sqs":
            raise InvalidParameter.of(f"Invalid protocol type: {protocol}")
        if not endpoint:
            raise InvalidParameter.missing("Endpoint")
        await self._check_endpoint(topic, protocol, endpoint)
        subscriber = Subscriber(topic.fifo, protocol, endpoint)
        try:
            kept = read_attributes(attributes, subscriber)
        except UnknownAttribute as unknown:
            raise InvalidParameter.of(f"Attributes Reason: Unknown attribute {unknown}") from None
        except AttributeRefused as refused:
            raise refused.of_a_creation() from None
        if protocol == "firehose" and "SubscriptionRoleArn" not in kept:
            raise InvalidParameter.of("Attributes Reason: SubscriptionRoleArn: must be specified")
        record, created = await self._add(
            await self._new_record(caller, topic, protocol, endpoint, kept)
        )
        if not created:
            if has_other_attributes(record, kept, asked=attributes):
                raise InvalidParameter.of(
                    "Attributes Reason: Subscription already exists with different attributes"
                )
            record = await self._bind(record)
        if record.state is SubscriptionState.PENDING:
            record = await self._ask(record, base_url)
        elif created and record.replay is not None:
            self._replay_wanted(record.subscription_id)
        if record.state is SubscriptionState.PENDING and not return_arn:
            return _PENDING
        return subscription_arn(record)

    async def _check_endpoint(self, topic: TopicRecord, protocol: str, endpoint: str) -> None:
        """Refuse an endpoint that is none of that protocol."""
        match protocol:
            case "http" | "https":
                if not endpoint.startswith(f"{protocol}://"):
                    raise InvalidParameter.of("Endpoint must match the specified protocol")
                if not is_http_endpoint(endpoint):
                    raise InvalidParameter.of("Endpoint")
            case "sqs":
                queue = parse_queue_arn(endpoint)
                if queue is None:
                    raise InvalidParameter.of("SQS endpoint ARN")
                if queue.name.endswith(".fifo") and not topic.fifo:
                    raise InvalidParameter.of(
                        "Invalid parameter: Endpoint Reason: FIFO SQS Queues can not be"
                        " subscribed to standard SNS topics"
                    )
            case "email" | "email-json":
                if not check_email_endpoint(endpoint):
                    raise InvalidParameter.of("Email address")
            case "sms":
                if not check_sms_endpoint(endpoint):
                    raise InvalidParameter(f"Invalid SMS endpoint: {endpoint}")
            case "application":
                if await self._platforms.endpoint(endpoint) is None:
                    raise InvalidParameter.of(
                        f"Endpoint Reason: Endpoint does not exist for endpoint arn{endpoint}"
                    )
            case _:
                parsed = parse_arn(endpoint)
                if parsed is None or parsed[0] != protocol:
                    raise InvalidParameter.of("Endpoint")

    async def _new_record(
        self,
        caller: Caller,
        topic: TopicRecord,
        protocol: str,
        endpoint: str,
        attributes: Mapping[str, str],
    ) -> SubscriptionRecord:
        now_ms = self._clock.now_ms()
        parsed = parse_arn(endpoint) if protocol in _ASKED_OF_OTHERS else None
        pending = protocol in _ASKED or (parsed is not None and parsed[1].account != caller.account)
        return SubscriptionRecord(
            subscription_id=self._ids.uuid(),
            topic=topic.key,
            topic_id=topic.topic_id,
            owner=caller.account,
            principal=caller.principal,
            protocol=protocol,
            endpoint=endpoint,
            state=SubscriptionState.PENDING if pending else SubscriptionState.CONFIRMED,
            created_at_ms=now_ms,
            attributes=attributes,
            confirmation_was_authenticated=not pending,
            queue_id=await self._queue_id(protocol, endpoint),
            replay=replay_of(attributes),
            expires_at_ms=now_ms + limits.SUBSCRIPTION_KEPT_MS if pending else None,
        )

    async def _queue_id(self, protocol: str, endpoint: str) -> int | None:
        key = parse_queue_arn(endpoint) if protocol == "sqs" else None
        queue = None if key is None else await self._store.get_queue(key)
        return None if queue is None else queue.queue_id

    async def _add(self, new: SubscriptionRecord) -> tuple[SubscriptionRecord, bool]:
        """Store a subscription, or find the one that is there; refuse more than there may be."""
        topic = await self._store.get_topic(new.topic)
        if topic is None:
            raise NotFound("Topic does not exist")
        large = int(topic.attributes.get("MaximumMessageSize", 0)) > limits.PUBLISH_BYTES_MAX
        if large and new.protocol not in LARGE_MESSAGE_PROTOCOLS:
            raise InvalidParameter.of(
                f"Protocol: {new.protocol} is not supported by a topic with messages above"
                f" {limits.PUBLISH_BYTES_MAX} bytes"
            )
        if not large and not topic.fifo:
            return await self._store_new(new)
        async with self._adding_to_few:
            await self._check_quota(topic, new)
            return await self._store_new(new)

    async def _store_new(self, new: SubscriptionRecord) -> tuple[SubscriptionRecord, bool]:
        try:
            return await self._store.add_subscription(new)
        except UnknownTopic:
            raise NotFound("Topic does not exist") from None

    async def _check_quota(self, topic: TopicRecord, new: SubscriptionRecord) -> None:
        """Refuse one more subscription where a topic may only have few (2.2)."""
        existing = await self._store.topic_subscriptions(topic.topic_id)
        if len(existing) >= limits.FEW_SUBSCRIPTIONS_MAX and not any(
            (each.protocol, each.endpoint) == (new.protocol, new.endpoint) for each in existing
        ):
            raise SubscriptionLimitExceeded(
                f"Subscription limit exceeded: at most {limits.FEW_SUBSCRIPTIONS_MAX} to this topic"
            )

    async def _bind(self, record: SubscriptionRecord) -> SubscriptionRecord:
        """Have a subscription that is subscribed again mean the queue that is there now."""
        queue_id = await self._queue_id(record.protocol, record.endpoint)
        if queue_id is None or queue_id == record.queue_id:
            return record
        return await self._update(
            record.subscription_id,
            lambda current: dataclasses.replace(current, queue_id=queue_id),
        )

    async def _ask(self, record: SubscriptionRecord, base_url: str) -> SubscriptionRecord:
        """Send the endpoint a token with which it can confirm."""
        now_ms = self._clock.now_ms()
        record = await self._update(
            record.subscription_id,
            lambda current: dataclasses.replace(
                current,
                token_issued_at_ms=now_ms,
                expires_at_ms=now_ms + limits.SUBSCRIPTION_KEPT_MS,
            ),
        )
        await self._send(
            record,
            DeliveryKind.SUBSCRIPTION_CONFIRMATION,
            confirmation_text(topic_arn(record.topic)),
            base_url,
        )
        return record

    async def _send(
        self, record: SubscriptionRecord, kind: DeliveryKind, text: str, base_url: str
    ) -> None:
        publication = Publication(
            message_id=self._ids.uuid(),
            topic_arn=topic_arn(record.topic),
            message=text,
            published_at_ms=self._clock.now_ms(),
            base_url=base_url,
        )
        await self._outbox.send_confirmation(publication, record, kind, self.token(record))

    def token(self, record: SubscriptionRecord) -> str:
        """The newest token that confirms a subscription."""
        return confirmation_token(
            self._seal,
            ConfirmationToken(
                record.subscription_id, record.topic.region, record.token_issued_at_ms
            ),
        )

    async def token_of(self, arn: str) -> str:
        """The newest token of the subscription of that ARN; raises ``NotFound``."""
        record = await self._store.get_subscription(read_subscription_arn(arn))
        if record is None or subscription_arn(record) != arn:
            raise NotFound("Subscription does not exist")
        return self.token(record)

    async def _update(
        self, subscription_id: str, change: Callable[[SubscriptionRecord], SubscriptionRecord]
    ) -> SubscriptionRecord:
        """Replace a record by what ``change`` makes of it, even if others do the same."""
        while True:
            current = await self._store.get_subscription(subscription_id)
            if current is None or current.ended_at_ms is not None:
                raise NotFound("Subscription does not exist")
            changed = change(current)
            if changed == current or await self._store.replace_subscription(current, changed):
                return changed

    # --- confirming and unsubscribing -----------------------------------------------------------

    async def confirm(
        self,
        caller: Caller,
        arn: str | None,
        token: str | None,
        *,
        authenticate_on_unsubscribe: bool = False,
    ) -> str:
        """Confirm the subscription that a token names; its ARN.

        The topic's ARN only has to be of the token's region [AWS].  Repeating it is fine.
        """
        if arn is None:
            raise InvalidParameter.missing("TopicArn")
        parts = arn.split(":")
        if len(parts) < 6:
            raise InvalidParameter.of("Topic")
        if token is None:
            raise InvalidParameter.missing("Token")
        if not is_hexadecimal(token):
            raise InvalidParameter("Invalid token")
        opened = open_token(self._seal, token)
        if opened is None:
            raise InvalidParameter.of("Token")
        if parts[3] != opened.region:
            raise InvalidParameter.of("Topic")
        now_ms = self._clock.now_ms()
        while True:
            current = await self._store.get_subscription(opened.subscription_id)
            if current is None or now_ms >= opened.issued_at_ms + limits.CONFIRMATION_TOKEN_MS:
                raise InvalidParameter.of("Token")
            if current.state is SubscriptionState.CONFIRMED:
                return subscription_arn(current)
            if current.ended_at_ms is not None and opened.issued_at_ms < current.ended_at_ms:
                raise InvalidParameter.of("Token")  # it says no more than what was undone since
            confirmed = dataclasses.replace(
                current,
                state=SubscriptionState.CONFIRMED,
                confirmation_was_authenticated=caller.signed,
                authenticate_on_unsubscribe=caller.signed and authenticate_on_unsubscribe,
                ended_at_ms=None,
                expires_at_ms=None,
            )
            if await self._store.replace_subscription(current, confirmed):
                if confirmed.replay is not None:
                    self._replay_wanted(confirmed.subscription_id)
                return subscription_arn(confirmed)
            if await self._store.get_subscription(opened.subscription_id) == current:
                raise InvalidParameter.of("Token")  # its topic is gone, or it was made anew

    async def unsubscribe(self, caller: Caller, arn: str | None, *, base_url: str) -> None:
        """End a subscription; one that is not there does not matter.

        If somebody else than an owner does, the endpoint is told how to undo it.
        """
        subscription_id = read_subscription_arn(arn)
        while True:
            current = await self._store.get_subscription(subscription_id)
            if (
                current is None
                or subscription_arn(current) != arn
                or current.ended_at_ms is not None
            ):
                return
            by_owner = caller.signed and caller.account in (current.owner, current.topic.account)
            if current.authenticate_on_unsubscribe and not by_owner:
                raise AuthorizationError(
                    f"User: {caller.principal} is not authorized to perform: SNS:Unsubscribe on"
                    f" resource: {arn}"
                )
            now_ms = self._clock.now_ms()
            ended = dataclasses.replace(
                current,
                state=SubscriptionState.DELETED,
                ended_at_ms=now_ms,
                expires_at_ms=now_ms + limits.SUBSCRIPTION_KEPT_MS,
                token_issued_at_ms=now_ms,
            )
            if await self._store.replace_subscription(current, ended):
                break
        if not by_owner and current.protocol in _ASKED:
            await self._send(
                ended, DeliveryKind.UNSUBSCRIBE_CONFIRMATION, unsubscribe_text(arn or ""), base_url
            )

    # --- attributes -----------------------------------------------------------------------------

    async def get(self, caller: Caller, arn: str | None) -> SubscriptionRecord:
        """The caller's subscription that an ARN names; that of a deleted topic for a while yet."""
        parts = arn_parts(arn, "SubscriptionArn")
        record = await self._store.get_subscription(parts[6]) if len(parts) == 7 else None
        if (
            record is None
            or record.state is SubscriptionState.DELETED
            or subscription_arn(record) != arn
            or record.topic.region != caller.region
        ):
            raise NotFound("Subscription does not exist")
        if caller.account not in (record.owner, record.topic.account):
            raise AuthorizationError(
                f"User: {caller.principal} is not authorized to perform this operation on"
                f" resource: {arn}"
            )
        return record

    async def attributes(self, caller: Caller, arn: str | None) -> dict[str, str]:
        """All attributes of a subscription, as AWS tells them (3.2)."""
        record = await self.get(caller, arn)
        topic = await self._store.get_topic(record.topic)
        if topic is not None and topic.topic_id != record.topic_id:
            topic = None  # another one of that name
        return render_attributes(record, topic)

    async def set_attribute(
        self, caller: Caller, arn: str | None, name: str | None, value: str | None
    ) -> None:
        """Set an attribute, or unset it by an empty value where that is possible."""
        record = await self.get(caller, arn)
        if name is None:
            raise InvalidParameter.missing("AttributeName")
        topic = await self._store.get_topic(record.topic)
        subscriber = Subscriber(topic is not None and topic.fifo, record.protocol, record.endpoint)

        def change(current: SubscriptionRecord) -> SubscriptionRecord:
            others = {each: kept for each, kept in current.attributes.items() if each != name}
            read = read_attribute(name, value or "", others, subscriber)
            if read is not None:
                others[name] = read
            changed = dataclasses.replace(current, attributes=others)
            if name == "ReplayPolicy":
                changed = dataclasses.replace(changed, replay=replay_of(others))
            return changed

        try:
            changed = await self._update(record.subscription_id, change)
        except UnknownAttribute:
            raise InvalidParameter.of("AttributeName") from None
        except AttributeRefused as refused:
            raise refused.of_a_change() from None
        if name == "ReplayPolicy" and changed.replay is not None:
            self._replay_wanted(changed.subscription_id)

    # --- listing --------------------------------------------------------------------------------

    async def page(
        self, caller: Caller, next_token: str | None
    ) -> tuple[list[SubscriptionListing], str | None]:
        """The caller's subscriptions, and the token of the next page if there is one."""
        scope = ["subscriptions", caller.account, caller.region]
        after = page_after(self._seal, next_token, scope)
        records = await self._store.list_subscriptions(
            caller.account, caller.region, after=after, limit=limits.TOPIC_PAGE + 1
        )
        return self._listings(records, scope)

    async def page_of_topic(
        self, caller: Caller, arn: str | None, next_token: str | None
    ) -> tuple[list[SubscriptionListing], str | None]:
        """A topic's subscriptions, and the token of the next page if there is one."""
        topic = await self._topics.get(caller, arn)
        scope = ["subscriptions of", *read_topic_arn(arn, caller.region)]
        after = page_after(self._seal, next_token, scope)
        records = [
            record
            for record in await self._store.topic_subscriptions(topic.topic_id)
            if record.subscription_id > after
        ]
        return self._listings(records[: limits.TOPIC_PAGE + 1], scope)

    def _listings(
        self, records: list[SubscriptionRecord], scope: list[str]
    ) -> tuple[list[SubscriptionListing], str | None]:
        _, token = page_of(
            self._seal, [each.subscription_id for each in records], limits.TOPIC_PAGE, scope
        )
        return [
            SubscriptionListing(
                _LISTED_PENDING
                if record.state is SubscriptionState.PENDING
                else subscription_arn(record),
                record.owner,
                record.protocol,
                record.endpoint,
                topic_arn(record.topic),
            )
            for record in records[: limits.TOPIC_PAGE]
        ], token
