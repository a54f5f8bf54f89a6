"""The courier: makes one attempt to deliver and has the store remember what came of it."""

import json
import logging

from broker.clock import Clock
from broker.deliveries.attempts import Attempt, Result, Stopwatch
from broker.deliveries.aws import FirehoseTransport, LambdaTransport, Signer
from broker.deliveries.files import FirehoseFiles
from broker.deliveries.http import HttpTransport
from broker.deliveries.pump import Attempted
from broker.deliveries.settings import MISSING, PHONE, DeliverySettings
from broker.deliveries.smtp import SmtpTransport
from broker.deliveries.tls import Trust
from broker.delivery_policies import (
    EXTERNAL_ENDPOINT_RETRIES,
    FIXED_RETRY_POLICIES,
    HttpDelivery,
    RetryPolicy,
    http_delivery,
    retry_delay_ms,
)
from broker.delivery_status import DeliveryStatusLog
from broker.envelopes import Confirmation, Signature, http_headers
from broker.limits import DEDUPLICATION_WINDOW_MS
from broker.mails import (
    CONFIRMATION_SUBJECTS,
    Posting,
    confirmation_mail,
    envelope_mail,
    notification_mail,
    unsubscribe_mail,
)
from broker.observer import Observer
from broker.phones import Phones
from broker.queue_copies import QueueCopies, is_raw
from broker.renderings import Rendering
from broker.signatures import Signatures
from storage.contract import Storage
from storage.errors import StorageError, UnknownQueue
from storage.topic_records import (
    Delivery,
    DeliveryKind,
    DeliveryStatus,
    NewDelivery,
    SubscriptionRecord,
    SubscriptionState,
    TopicRecord,
)

logger = logging.getLogger(__name__)

#: what Firehose answers when it is throttled, which has a slower schedule (5.10)
_THROTTLED = (400, 429)
#: more than the pump attempts at once
_CONNECTIONS_MAX = 512
#: an endpoint that took longer to fail is treated as one that hangs
_SLOW_MS = 2_000


class _Parcel:
    """One delivery with all that its content depends on."""

    def __init__(
        self,
        delivery: Delivery,
        subscription: SubscriptionRecord | None,
        topic: TopicRecord | None,
        signatures: Signatures,
    ) -> None:
        self.delivery_id = delivery.delivery_id
        self.publication = delivery.publication
        self.details = delivery.details
        self.subscription = subscription
        self.topic_attributes = {} if topic is None else topic.attributes
        self._signatures = signatures
        self._version = self.topic_attributes.get("SignatureVersion", "1")
        self._rendering: Rendering | None = None

    @property
    def arn(self) -> str:
        """The subscription's."""
        return f"{self.publication.topic_arn}:{self.details.subscription_id}"

    @property
    def raw(self) -> bool:
        return self.subscription is not None and is_raw(self.subscription)

    @property
    def http(self) -> HttpDelivery:
        """How its http or https endpoint is delivered to."""
        own = None if self.subscription is None else self.subscription.attributes
        return http_delivery(
            self.topic_attributes.get("DeliveryPolicy"),
            None if own is None else own.get("DeliveryPolicy"),
        )

    @property
    def rendering(self) -> Rendering:
        if self._rendering is None:
            self._rendering = Rendering(
                self.publication, self._signatures, signature_version=self._version
            )
        return self._rendering

    @property
    def message(self) -> str:
        """What of the publication is for its protocol."""
        return self.rendering.messages.text(self.details.protocol)

    async def envelope(self) -> str:
        """What is sent as JSON, whether a notification or a confirmation."""
        if self.details.kind is DeliveryKind.NOTIFICATION:
            return (await self.rendering.notification(self.message)).envelope(self.arn)
        return self.confirmation.envelope(await self._confirmation_signature())

    async def lambda_event(self) -> str:
        if self.details.kind is DeliveryKind.NOTIFICATION:
            return (await self.rendering.notification(self.message)).lambda_event(self.arn)
        return self.confirmation.lambda_event(self.arn, await self._confirmation_signature())

    @property
    def confirmation(self) -> Confirmation:
        assert self.details.token is not None
        links = self.rendering.links
        return Confirmation(self.details.kind, self.publication, self.details.token, links)

    async def _confirmation_signature(self) -> Signature:
        confirmation = self.confirmation
        return await self._signatures.sign(
            confirmation.string_to_sign(), self._version, confirmation.links
        )


class Courier:
    """Delivers by every protocol but sqs, whose copies a publish makes itself."""

    def __init__(
        self,
        store: Storage,
        clock: Clock,
        signatures: Signatures,
        copies: QueueCopies,
        phones: Phones,
        status_log: DeliveryStatusLog,
        settings: DeliverySettings,
        observer: Observer,
    ) -> None:
        self._store = store
        self._clock = clock
        self._signatures = signatures
        self._copies = copies
        self._phones = phones
        self._status_log = status_log
        self._settings = settings
        self._observer = observer
        trust = Trust(verify=settings.verify_tls, ca_file=settings.ca_file)
        self._http = HttpTransport(trust, max_connections=_CONNECTIONS_MAX)
        self._smtp = None if settings.smtp_url is None else SmtpTransport(settings.smtp_url, trust)
        signer = Signer("headrace", "headrace", "us-east-1")  # ARNs name their own regions
        self._lambda = (
            None
            if settings.lambda_url is None
            else LambdaTransport(
                self._http, settings.lambda_url, signer, function_name=settings.lambda_function
            )
        )
        self._firehose: FirehoseTransport | FirehoseFiles | None = None
        if settings.firehose_url is not None:
            self._firehose = FirehoseTransport(self._http, settings.firehose_url, signer)
        elif settings.firehose_folder is not None:
            self._firehose = FirehoseFiles(settings.firehose_folder)

    async def close(self) -> None:
        """Close all connections."""
        await self._http.close()

    async def attempt(self, delivery: Delivery) -> Attempted:
        """Make one attempt, and settle the delivery by it."""
        details = delivery.details
        subscription = topic = None
        if details.subscription_id is not None:
            subscription = await self._store.get_subscription(details.subscription_id)
            if subscription is not None:
                topic = await self._store.get_topic(subscription.topic)
                if topic is not None and topic.topic_id != subscription.topic_id:
                    topic = None  # another one of that name
        parcel = _Parcel(delivery, subscription, topic, self._signatures)
        made = self._not_wanted(parcel)
        if made is None and details.protocol not in self._settings.reachable:
            await self._keep(delivery)
            return Attempted(answered=True)
        if made is None:
            made = await self._try(parcel)
        await self._settle(parcel, made)
        rate = None
        if details.protocol in ("http", "https") and subscription is not None:
            rate = parcel.http.max_receives_per_second
        answered = made.result is Result.DELIVERED or (
            made.status_code is not None and made.dwell_ms < _SLOW_MS
        )
        return Attempted(answered, 0 if rate is None else -(-1000 // rate))

    @staticmethod
    def _not_wanted(parcel: _Parcel) -> Attempt | None:
        """The outcome without an attempt, for a subscription that has ended meanwhile."""
        details = parcel.details
        if details.subscription_id is None or details.kind is not DeliveryKind.NOTIFICATION:
            return None
        subscription = parcel.subscription
        if subscription is not None and subscription.state is SubscriptionState.CONFIRMED:
            return None
        return Stopwatch().attempt(Result.REFUSED, None, "the subscription has ended")

    async def _keep(self, delivery: Delivery) -> None:
        """Leave in the outbox what could be sent when it was accepted, before a restart."""
        settled = without_transport(delivery.details, now_ms=self._clock.now_ms())
        await self._store.settle_delivery(
            delivery.delivery_id, settled, now_ms=self._clock.now_ms()
        )

    # --- sending --------------------------------------------------------------------------------

    async def _try(self, parcel: _Parcel) -> Attempt:
        """Send; what cannot even be composed must not keep its lane from what comes after it."""
        watch = Stopwatch()
        try:
            return await self._send(parcel)
        except StorageError:
            raise
        except Exception:
            logger.exception("a delivery by %s could not be attempted", parcel.details.protocol)
            return watch.attempt(Result.RETRY, None, "an internal error: see the log")

    async def _send(self, parcel: _Parcel) -> Attempt:
        details = parcel.details
        match details.protocol:
            case "http" | "https":
                return await self._post(parcel)
            case "email" | "email-json" if self._smtp is not None:
                return await self._mail(parcel, self._smtp)
            case "lambda" if self._lambda is not None:
                event = await parcel.lambda_event()
                return await self._lambda.invoke(details.endpoint, event.encode())
            case "firehose" if self._firehose is not None:
                return await self._firehose.put_record(
                    details.endpoint, (await self._firehose_record(parcel)).encode()
                )
            case "sms" | "application" if self._settings.phone_webhook_url is not None:
                return await self._call_webhook(parcel, self._settings.phone_webhook_url)
            case _:
                raise AssertionError(f"{details.protocol} is not reachable")

    async def _post(self, parcel: _Parcel) -> Attempt:
        details = parcel.details
        raw = parcel.raw and details.kind is DeliveryKind.NOTIFICATION
        body = parcel.message if raw else await parcel.envelope()
        headers = http_headers(
            details.kind,
            parcel.publication,
            subscription_arn=parcel.arn,
            content_type=parcel.http.content_type,
            raw=raw,
        )
        return await self._http.post(details.endpoint, headers, body.encode())

    async def _firehose_record(self, parcel: _Parcel) -> str:
        if parcel.raw:
            return parcel.message
        notification = await parcel.rendering.notification(parcel.message)
        return notification.firehose_record(parcel.arn)

    async def _mail(self, parcel: _Parcel, smtp: SmtpTransport) -> Attempt:
        details, publication = parcel.details, parcel.publication
        posting = Posting(
            details.endpoint,
            f"{publication.message_id}.{parcel.delivery_id}",
            publication.published_at_ms,
            self._settings.mail_sender,
        )
        links = parcel.rendering.links
        topic_arn = publication.topic_arn or ""
        display_name = parcel.topic_attributes.get("DisplayName", "")
        if details.protocol == "email-json":
            envelope = await parcel.envelope()
            confirmed = CONFIRMATION_SUBJECTS.get(details.kind)
            mail = envelope_mail(
                posting,
                envelope=envelope,
                subject=confirmed or publication.subject,
                display_name="" if confirmed else display_name,
            )
        elif details.kind is DeliveryKind.SUBSCRIPTION_CONFIRMATION:
            mail = confirmation_mail(
                posting, topic_arn=topic_arn, token=details.token or "", links=links
            )
        elif details.kind is DeliveryKind.UNSUBSCRIBE_CONFIRMATION:
            mail = unsubscribe_mail(
                posting,
                topic_arn=topic_arn,
                subscription_arn=parcel.arn,
                token=details.token or "",
                links=links,
            )
        else:
            subscription = parcel.subscription
            locked = subscription is not None and subscription.authenticate_on_unsubscribe
            page = None if locked else links.unsubscribe_page(parcel.arn, details.endpoint)
            mail = notification_mail(
                posting,
                message=parcel.message,
                subject=publication.subject,
                display_name=display_name,
                unsubscribe_page=page,
            )
        return await smtp.send(mail, details.endpoint)

    async def _call_webhook(self, parcel: _Parcel, url: str) -> Attempt:
        details = parcel.details
        problem = await self._phones.problem(details)
        if problem is not None:
            return Stopwatch().attempt(Result.REFUSED, None, problem)
        document = await self._phones.document(parcel.publication, details)
        headers = [("Content-Type", "application/json"), ("User-Agent", "Headrace")]
        return await self._http.post(url, headers, json.dumps(document).encode())

    # --- afterwards -----------------------------------------------------------------------------

    async def _settle(self, parcel: _Parcel, made: Attempt) -> None:
        now_ms = self._clock.now_ms()
        details = parcel.details._replace(
            attempts=parcel.details.attempts + 1,
            last_attempt_at_ms=now_ms,
            status_code=made.status_code,
            response=made.response,
            dwell_ms=made.dwell_ms,
        )
        if made.result is Result.DELIVERED:
            settled = _finished(details, DeliveryStatus.DELIVERED, now_ms)
            await self._store.settle_delivery(parcel.delivery_id, settled, now_ms=now_ms)
        else:
            delay_ms = None
            if made.result is Result.RETRY:
                policy = self._retry_policy(parcel, made)
                delay_ms = retry_delay_ms(policy, details.attempts - 1)
            if delay_ms is not None:
                settled = details._replace(due_at_ms=now_ms + delay_ms)
                await self._store.settle_delivery(parcel.delivery_id, settled, now_ms=now_ms)
                self._observer.attempted(parcel.publication, settled, now_ms)
                return
            settled = await self._give_up(parcel, details, now_ms)
            logger.warning(
                "delivery %d by %s, subscription %s: %s after %d attempts: %s",
                parcel.delivery_id,
                details.protocol,
                details.subscription_id,
                settled.status.value,
                details.attempts,
                details.response,
            )
            if details.protocol == "application":
                await self._phones.given_up(parcel.publication, settled)
        self._observer.attempted(parcel.publication, settled, now_ms)
        self._status_log.write(parcel.topic_attributes, parcel.publication, settled)

    @staticmethod
    def _retry_policy(parcel: _Parcel, made: Attempt) -> RetryPolicy:
        protocol = parcel.details.protocol
        if protocol == "firehose" and made.status_code in _THROTTLED:
            return EXTERNAL_ENDPOINT_RETRIES
        return FIXED_RETRY_POLICIES.get(protocol) or parcel.http.retry_policy

    async def _give_up(self, parcel: _Parcel, details: NewDelivery, now_ms: int) -> NewDelivery:
        """Put what cannot be delivered into the dead-letter queue, if it can go there.

        A confirmation never does [AWS].
        """
        subscription = parcel.subscription
        if (
            subscription is not None
            and subscription.state is SubscriptionState.CONFIRMED
            and details.kind is DeliveryKind.NOTIFICATION
            and "RedrivePolicy" in subscription.attributes
        ):
            body = parcel.message if parcel.raw else await parcel.envelope()
            copy = await self._copies.dead_letter(
                parcel.publication, body, subscription, now_ms=now_ms
            )
            if copy is not None:
                settled = _finished(details, DeliveryStatus.DEAD_LETTERED, now_ms)
                try:
                    await self._store.settle_delivery(
                        parcel.delivery_id,
                        settled,
                        dead_letter=copy,
                        now_ms=now_ms,
                        deduplication_window_ms=DEDUPLICATION_WINDOW_MS,
                    )
                except UnknownQueue:  # deleted at this moment
                    pass
                else:
                    self._observer.copied(parcel.publication, [copy], now_ms)
                    return settled
        settled = _finished(details, DeliveryStatus.FAILED, now_ms)
        await self._store.settle_delivery(parcel.delivery_id, settled, now_ms=now_ms)
        return settled


def without_transport(delivery: NewDelivery, *, now_ms: int) -> NewDelivery:
    """What becomes of a delivery by a protocol for which nothing is configured.

    What only a phone would get is delivered by being in the outbox.
    """
    if delivery.protocol in PHONE:
        kept = delivery._replace(response="kept in the outbox")
        return _finished(kept, DeliveryStatus.DELIVERED, now_ms)
    return delivery._replace(
        status=DeliveryStatus.WAITING,
        due_at_ms=None,
        response=MISSING.get(delivery.protocol, "nothing is delivered"),
    )


def _finished(details: NewDelivery, status: DeliveryStatus, now_ms: int) -> NewDelivery:
    return details._replace(status=status, due_at_ms=None, finished_at_ms=now_ms)
