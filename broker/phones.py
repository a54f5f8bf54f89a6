"""What phones would get: SMS and mobile push, as the outbox and webhooks show it."""

from base64 import b64encode
from typing import Any

from broker.envelopes import ProtocolMessages, timestamp_text
from broker.platforms import Platforms, platform_of, platform_payload
from broker.sms import Sms
from storage.topic_records import NewDelivery, Publication

_NOT_REGISTERED = 410


class Phones:
    """Composes messages to phone numbers and to platform endpoints."""

    def __init__(self, sms: Sms, platforms: Platforms) -> None:
        self._sms = sms
        self._platforms = platforms

    async def problem(self, details: NewDelivery) -> str | None:
        """Why nothing may be sent to a phone; None: it may."""
        if details.protocol == "sms":
            to = details.account, details.region, details.endpoint
            if await self._sms.opted_out(*to):
                return "Phone number is opted out"
            if not await self._sms.may_receive(*to):
                return "Phone number is not verified, and the account is in the SMS sandbox"
            return None
        endpoint = await self._platforms.endpoint(details.endpoint)
        if endpoint is None:
            return "No endpoint found for the target arn specified"
        if not endpoint.enabled:
            return "Endpoint is disabled"
        if not await self._platforms.application_enabled(endpoint.application_arn):
            return "Platform application is disabled"
        return None

    async def given_up(self, publication: Publication, details: NewDelivery) -> None:
        """Draw the consequences of a push that could not be delivered (SNS reference, 9.2).

        410 is how push services say that a token is no longer registered: its endpoint is
        disabled.  Failures are announced of direct publications only.
        """
        if details.status_code == _NOT_REGISTERED:
            await self._platforms.disable(details.endpoint)
        if details.subscription_id is None:
            await self._platforms.tell_delivery_failure(
                details.endpoint,
                publication.message_id,
                failure_type=(
                    "InvalidPlatformToken"
                    if details.status_code == _NOT_REGISTERED
                    else "DeliveryFailed"
                ),
                failure_message=details.response or "",
            )

    async def document(self, publication: Publication, details: NewDelivery) -> dict[str, Any]:
        """A message with everything that a test may want to look at, for JSON."""
        document: dict[str, Any] = {
            "protocol": details.protocol,
            "messageId": publication.message_id,
            "topicArn": publication.topic_arn,
            "subscriptionArn": (
                f"{publication.topic_arn}:{details.subscription_id}"
                if details.subscription_id is not None
                else None
            ),
            "timestamp": timestamp_text(publication.published_at_ms),
            "subject": publication.subject,
            "messageAttributes": _attributes(publication),
        }
        if details.protocol == "sms":
            options = await self._sms.options(
                details.account, details.region, publication.attributes or {}
            )
            document["phoneNumber"] = details.endpoint
            document["message"] = ProtocolMessages.of(publication).text("sms")
            document["smsType"] = options.sms_type
            document["senderId"] = options.sender_id
            document["maxPrice"] = options.max_price
            document["originationNumber"] = options.origination_number
            document["entityId"] = options.entity_id
            document["templateId"] = options.template_id
            return document
        endpoint = await self._platforms.endpoint(details.endpoint)
        platform = platform_of(details.endpoint)
        document["endpointArn"] = details.endpoint
        document["platform"] = platform
        document["payload"] = platform_payload(platform, ProtocolMessages.of(publication))
        if endpoint is not None:
            document["applicationArn"] = endpoint.application_arn
            document["token"] = endpoint.token
            document["customUserData"] = endpoint.custom_user_data
        return document


def _attributes(publication: Publication) -> dict[str, dict[str, str]]:
    return {
        name: {
            "Type": attribute.data_type,
            "Value": attribute.value
            if isinstance(attribute.value, str)
            else b64encode(attribute.value).decode("ascii"),
        }
        for name, attribute in (publication.attributes or {}).items()
    }
