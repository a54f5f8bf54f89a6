"""The outbox: deliveries that wait for their attempt, and what became of them."""

from collections.abc import Iterable

from broker.arns import parse_queue_arn
from broker.clock import Clock
from broker.courier import without_transport
from broker.deliveries.pump import Pump
from broker.deliveries.settings import DeliverySettings
from broker.envelopes import Confirmation
from broker.errors import BrokerError
from broker.queue_copies import QueueCopies
from broker.signatures import Signatures
from storage.contract import Storage
from storage.topic_records import (
    Delivery,
    DeliveryFilter,
    DeliveryKind,
    DeliveryStatus,
    Lane,
    NewDelivery,
    Publication,
    Publishing,
    SubscriptionRecord,
)


class Outbox:
    """Puts deliveries into the store, wakes who makes them, and shows them."""

    def __init__(
        self,
        store: Storage,
        clock: Clock,
        copies: QueueCopies,
        signatures: Signatures,
        pump: Pump,
        settings: DeliverySettings,
    ) -> None:
        self._store = store
        self._clock = clock
        self._copies = copies
        self._signatures = signatures
        self._pump = pump
        self._reachable = settings.reachable

    async def resume(self) -> None:
        """Have what waited for something that is configured now attempted."""
        await self._store.resume_deliveries(sorted(self._reachable), now_ms=self._clock.now_ms())

    # --- putting in -----------------------------------------------------------------------------

    def new(
        self,
        *,
        account: str,
        region: str,
        protocol: str,
        endpoint: str,
        subscription_id: str | None,
        now_ms: int,
        kind: DeliveryKind = DeliveryKind.NOTIFICATION,
        token: str | None = None,
    ) -> NewDelivery:
        """A delivery that is to be made now, if it can be (see ``without_transport``)."""
        delivery = NewDelivery(
            account,
            region,
            protocol,
            endpoint,
            subscription_id,
            DeliveryStatus.PENDING,
            now_ms,
            now_ms,
            kind,
            token,
        )
        if protocol in self._reachable:
            return delivery
        return without_transport(delivery, now_ms=now_ms)

    def accepted(self, deliveries: Iterable[NewDelivery]) -> None:
        """Have deliveries made that the store holds by now."""
        for delivery in deliveries:
            if delivery.due_at_ms is not None:
                self._pump.wake(Lane(delivery.protocol, delivery.endpoint))

    async def send_confirmation(
        self,
        publication: Publication,
        subscription: SubscriptionRecord,
        kind: DeliveryKind,
        token: str,
    ) -> None:
        """Send an endpoint the token that confirms a subscription."""
        now_ms = self._clock.now_ms()
        publishing = Publishing(publication, [], [])
        if subscription.protocol == "sqs":
            queue = parse_queue_arn(subscription.endpoint)
            assert queue is not None  # checked when it was subscribed
            links = self._signatures.links(publication.base_url)
            confirmation = Confirmation(kind, publication, token, links)
            topic = await self._store.get_topic(subscription.topic)
            version = "1" if topic is None else topic.attributes.get("SignatureVersion", "1")
            signature = await self._signatures.sign(confirmation.string_to_sign(), version, links)
            try:
                copy = await self._copies.copy(
                    publication,
                    confirmation.envelope(signature),
                    raw=False,
                    queue=queue,
                    queue_id=None,
                    now_ms=now_ms,
                )
            except BrokerError:
                return  # as an endpoint that does not answer
            publishing.copies.append(copy)
        else:
            publishing.deliveries.append(
                self.new(
                    account=subscription.owner,
                    region=subscription.topic.region,
                    protocol=subscription.protocol,
                    endpoint=subscription.endpoint,
                    subscription_id=subscription.subscription_id,
                    now_ms=now_ms,
                    kind=kind,
                    token=token,
                )
            )
        await self._store.publish(None, [publishing], now_ms=now_ms, deduplication_window_ms=0)
        self.accepted(publishing.deliveries)

    # --- looking --------------------------------------------------------------------------------

    async def deliveries(
        self, chosen: DeliveryFilter, *, after_id: int = 0, newest_first: bool = False, limit: int
    ) -> list[Delivery]:
        """Deliveries that fit ``chosen``; see the store's ``list_deliveries``."""
        return await self._store.list_deliveries(
            chosen, after_id=after_id, newest_first=newest_first, limit=limit
        )

    async def clear(self, chosen: DeliveryFilter) -> int:
        """Forget deliveries that fit ``chosen``, unfinished ones too; how many there were."""
        return await self._store.clear_deliveries(chosen)
