"""What endpoints of topics are sent: envelopes, records, headers, links (SNS reference, 5).

Everything here is text made from a ``Publication``; nothing is signed or sent.
"""

import json
import re
from base64 import b64encode
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from email.utils import formatdate, parsedate_to_datetime
from functools import cached_property, lru_cache
from typing import NamedTuple
from urllib.parse import quote

from broker.topic_errors import InvalidParameter
from storage.records import MessageAttribute
from storage.topic_records import DeliveryKind, Publication

DEFAULT_CONTENT_TYPE = "text/plain; charset=UTF-8"

_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


# --- texts --------------------------------------------------------------------------------------


def well_formed(text: str) -> str:
    """The text with U+FFFD for each lone surrogate, which no encoding can carry."""
    return text if text.isascii() else _LONE_SURROGATE.sub("\ufffd", text)


def timestamp_text(at_ms: int) -> str:
    """``YYYY-MM-DDTHH:MM:SS.mmmZ`` (1.7)."""
    return f"{_second_text(at_ms // 1000)}.{at_ms % 1000:03}Z"


@lru_cache(maxsize=64)  # many publications fall into one second
def _second_text(at_s: int) -> str:
    return parsedate_to_datetime(formatdate(at_s, usegmt=True)).strftime("%Y-%m-%dT%H:%M:%S")


def confirmation_text(topic_arn: str) -> str:
    """The ``Message`` of a SubscriptionConfirmation (5.3)."""
    return (
        f"You have chosen to subscribe to the topic {topic_arn}.\n"
        "To confirm the subscription, visit the SubscribeURL included in this message."
    )


def unsubscribe_text(subscription_arn: str) -> str:
    """The ``Message`` of an UnsubscribeConfirmation (5.3)."""
    return (
        f"You have chosen to deactivate subscription {subscription_arn}.\n"
        "To cancel this operation and restore the subscription, visit the SubscribeURL included"
        " in this message."
    )


class ProtocolMessages:
    """The messages of one publication, by protocol; the JSON text is parsed once (4.3)."""

    def __init__(self, message: str, *, structured: bool) -> None:
        """``structured``: MessageStructure=json.  Raises ``InvalidParameter`` if it cannot be read.

        A ``default`` entry is only missed when it is needed; ``check_default`` asks for it.
        """
        self._message = well_formed(message)
        self._entries: Mapping[str, str] | None = None
        if structured:
            self._entries = _entries(message)

    @classmethod
    def of(cls, publication: Publication) -> "ProtocolMessages":
        """Those of a publication."""
        return cls(publication.message, structured=publication.structured)

    def check_default(self) -> None:
        """Raise ``InvalidParameter`` if there is nothing for protocols without their own entry."""
        self.text("default")

    def entry(self, protocol: str) -> str | None:
        """What a structured message has of its own for a protocol or push platform."""
        return None if self._entries is None else self._entries.get(protocol)

    def text(self, protocol: str) -> str:
        """What is for a protocol (``sqs``) or push platform (``APNS``): its entry, or the default.

        Raises ``InvalidParameter`` if there is neither.
        """
        if self._entries is None:
            return self._message
        text = self._entries.get(protocol, self._entries.get("default"))
        if text is None:
            raise InvalidParameter.of("Message Structure - No default entry in JSON message body")
        return text


def _entries(message: str) -> dict[str, str]:
    try:
        # no number is wanted; as a float none is too long to be read
        document = json.loads(message, parse_int=float, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        raise InvalidParameter.of("Message Structure - JSON message body failed to parse") from None
    if not isinstance(document, dict):
        return {}
    return {name: well_formed(text) for name, text in document.items() if isinstance(text, str)}


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


# --- links --------------------------------------------------------------------------------------


class Links:
    """The links in envelopes and mails, below the URL at which clients reach the broker (1.6).

    AWS does not percent-encode ARNs in them, and has the parameters in this order.
    """

    def __init__(self, base_url: str, *, certificate_base_url: str | None = None) -> None:
        """``certificate_base_url``: where verifiers shall fetch the certificate, if elsewhere."""
        self._base = base_url.rstrip("/")
        self._certificate_base = (certificate_base_url or base_url).rstrip("/")

    def subscribe_url(self, topic_arn: str, token: str) -> str:
        """Confirms a subscription."""
        return f"{self._base}/?Action=ConfirmSubscription&TopicArn={topic_arn}&Token={token}"

    def unsubscribe_url(self, subscription_arn: str) -> str:
        """Ends a subscription; the ARN comes last."""
        return f"{self._base}/?Action=Unsubscribe&SubscriptionArn={subscription_arn}"

    def signing_certificate_url(self, certificate_name: str) -> str:
        """The certificate with which signatures are verified."""
        return f"{self._certificate_base}/{certificate_name}"

    def confirmation_page(self, topic_arn: str, token: str, endpoint: str) -> str:
        """The page that confirms a subscription of an e-mail address."""
        return (
            f"{self._base}/confirmation.html?TopicArn={topic_arn}&Token={token}"
            f"&Endpoint={quote(endpoint, safe='@')}"
        )

    def unsubscribe_page(self, subscription_arn: str, endpoint: str) -> str:
        """The page that ends a subscription of an e-mail address."""
        return (
            f"{self._base}/unsubscribe.html?SubscriptionArn={subscription_arn}"
            f"&Endpoint={quote(endpoint, safe='@')}"
        )


# --- JSON ---------------------------------------------------------------------------------------


class _Style(NamedTuple):
    """How an object is laid out."""

    opening: str
    separator: str
    colon: str
    closing: str


_COMPACT = _Style("{", ",", ":", "}")
_PRETTY = _Style("{\n  ", ",\n  ", " : ", "\n}")
_PRETTY_INNER = _Style("{\n    ", ",\n    ", " : ", "\n  }")

_Members = Iterable[tuple[str, str]]  # (name, value as JSON)

_encode = json.JSONEncoder(ensure_ascii=False).encode


def _quote(text: str) -> str:
    return _encode(well_formed(text))


def _members(members: _Members, style: _Style) -> str:
    return style.separator.join(f'"{name}"{style.colon}{value}' for name, value in members)


def _object(members: _Members, style: _Style) -> str:
    return style.opening + _members(members, style) + style.closing


def _attribute_type(attribute: MessageAttribute) -> str:
    return attribute.data_type


def _lambda_attribute_type(attribute: MessageAttribute) -> str:
    """Functions see numbers and arrays as strings (5.6)."""
    family = attribute.data_type.partition(".")[0]
    is_string = family == "Number" or attribute.data_type == "String.Array"
    return "String" if is_string else attribute.data_type


def _attributes(
    attributes: Mapping[str, MessageAttribute], style: _Style, *, for_lambda: bool = False
) -> str:
    """``{name: {"Type": …, "Value": …}}``; a binary value in base64."""
    if not attributes:
        return "{}"
    type_of = _lambda_attribute_type if for_lambda else _attribute_type
    members = []
    for name, attribute in attributes.items():
        value = attribute.value
        text = value if isinstance(value, str) else b64encode(value).decode("ascii")
        fields = [("Type", _quote(type_of(attribute))), ("Value", _quote(text))]
        # AWS writes each attribute on one line, in the pretty envelope too
        members.append(f"{_quote(name)}{style.colon}{_object(fields, _COMPACT)}")
    return style.opening + style.separator.join(members) + style.closing


# --- signatures ---------------------------------------------------------------------------------


class Signature(NamedTuple):
    """What an envelope says of its signature."""

    version: str  # "1" | "2"
    value: str  # base64
    certificate_url: str


def _string_to_sign(fields: Iterable[tuple[str, str | None]]) -> str:
    """``name\\nvalue\\n`` for each that is there (5.9)."""
    return "".join(f"{name}\n{well_formed(value)}\n" for name, value in fields if value is not None)


def notification_string_to_sign(publication: Publication, message: str) -> str:
    """What is signed of a notification with that message (5.9); in UTF-8."""
    return _string_to_sign(
        (
            ("Message", message),
            ("MessageId", publication.message_id),
            ("Subject", publication.subject),
            ("Timestamp", timestamp_text(publication.published_at_ms)),
            ("TopicArn", publication.topic_arn),
            ("Type", DeliveryKind.NOTIFICATION.value),
        )
    )


def _signature_members(signature: Signature, certificate_member: str) -> list[tuple[str, str]]:
    return [
        ("SignatureVersion", _quote(signature.version)),
        ("Signature", _quote(signature.value)),
        (certificate_member, _quote(signature.certificate_url)),
    ]


# --- notifications ------------------------------------------------------------------------------

#: an event for a function, around its subscription's ARN and up to the notification (5.6)
_LAMBDA_BEFORE_ARN = (
    '{"Records":[{"EventSource":"aws:sns","EventVersion":"1.0","EventSubscriptionArn":"'
)
_LAMBDA_AFTER_ARN = '","Sns":'


class Notification:
    """One message of a publication, for any number of subscriptions of its topic (5.1, 5.6, 5.7).

    What all have in common is rendered once, when the first is asked for; a subscription's text
    is then only put together.  Its ARN must be one of ours: nothing in it needs an escape.
    """

    def __init__(
        self, publication: Publication, message: str, *, links: Links, signature: Signature | None
    ) -> None:
        """``message``: for the protocol.  ``signature``: FIFO topics have none."""
        self._publication = publication
        self._message = message
        self._links = links
        self._signature = signature

    def envelope(self, subscription_arn: str) -> str:
        """What sqs, http, https and email-json get unless raw, and dead-letter queues likewise."""
        before, after = self._envelope
        return before + subscription_arn + after

    def firehose_record(self, subscription_arn: str) -> str:
        """The envelope on one line, without its signature, and a newline (5.7)."""
        before, after = self._firehose_record
        return before + subscription_arn + after

    def lambda_event(self, subscription_arn: str) -> str:
        """The event with its one record (5.6)."""
        before, between, after = self._lambda_event
        return before + subscription_arn + between + subscription_arn + after

    @cached_property
    def _envelope(self) -> tuple[str, str]:
        members = self._common_members()
        if self._signature is not None:
            members += _signature_members(self._signature, "SigningCertURL")
        return self._around_the_arn(members, _PRETTY, _PRETTY_INNER)

    @cached_property
    def _firehose_record(self) -> tuple[str, str]:
        before, after = self._around_the_arn(self._common_members(), _COMPACT, _COMPACT)
        return before, after + "\n"

    @cached_property
    def _lambda_event(self) -> tuple[str, str, str]:
        publication = self._publication
        assert self._signature is not None, "functions cannot subscribe to FIFO topics"
        subject = publication.subject
        # the version is 1 whatever the signature is [AWS]
        signature = self._signature._replace(version="1")
        members = [
            ("Type", _quote(DeliveryKind.NOTIFICATION.value)),
            ("MessageId", _quote(publication.message_id)),
            ("TopicArn", _quote(_topic_arn(publication))),
            ("Subject", "null" if subject is None else _quote(subject)),
            ("Message", _quote(self._message)),
            ("Timestamp", _quote(timestamp_text(publication.published_at_ms))),
            *_signature_members(signature, "SigningCertUrl"),
            ("UnsubscribeUrl", self._unsubscribe_start),
        ]
        attributes = _attributes(publication.attributes or {}, _COMPACT, for_lambda=True)
        return (
            _LAMBDA_BEFORE_ARN,
            f"{_LAMBDA_AFTER_ARN}{{{_members(members, _COMPACT)}",
            f'","MessageAttributes":{attributes}}}}}]}}',
        )

    def _common_members(self) -> list[tuple[str, str]]:
        publication = self._publication
        members = [
            ("Type", _quote(DeliveryKind.NOTIFICATION.value)),
            ("MessageId", _quote(publication.message_id)),
        ]
        if publication.sequence is not None:
            members.append(("SequenceNumber", f'"{publication.sequence:020}"'))
        members.append(("TopicArn", _quote(_topic_arn(publication))))
        if publication.subject is not None:
            members.append(("Subject", _quote(publication.subject)))
        members.append(("Message", _quote(self._message)))
        members.append(("Timestamp", _quote(timestamp_text(publication.published_at_ms))))
        return members

    def _around_the_arn(
        self, members: list[tuple[str, str]], style: _Style, inner: _Style
    ) -> tuple[str, str]:
        """An object of these, UnsubscribeURL and MessageAttributes: up to the ARN, and after it."""
        members = [*members, ("UnsubscribeURL", self._unsubscribe_start)]
        after = '"'
        if self._publication.attributes:
            attributes = _attributes(self._publication.attributes, inner)
            after += f'{style.separator}"MessageAttributes"{style.colon}{attributes}'
        return style.opening + _members(members, style), after + style.closing

    @property
    def _unsubscribe_start(self) -> str:
        """The JSON of an unsubscribe link, up to where its ARN belongs."""
        return _quote(self._links.unsubscribe_url(""))[:-1]


def _topic_arn(publication: Publication) -> str:
    assert publication.topic_arn is not None, "a direct publication has no envelope"
    return publication.topic_arn


# --- confirmations ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Confirmation:
    """A SubscriptionConfirmation or UnsubscribeConfirmation (5.1); it is never raw."""

    kind: DeliveryKind
    publication: Publication
    token: str
    links: Links

    @property
    def subscribe_url(self) -> str:
        """The link that confirms, or restores, the subscription."""
        return self.links.subscribe_url(_topic_arn(self.publication), self.token)

    def string_to_sign(self) -> str:
        """What is signed of it (5.9); in UTF-8."""
        return _string_to_sign(
            (
                ("Message", self.publication.message),
                ("MessageId", self.publication.message_id),
                ("SubscribeURL", self.subscribe_url),
                ("Timestamp", timestamp_text(self.publication.published_at_ms)),
                ("Token", self.token),
                ("TopicArn", self.publication.topic_arn),
                ("Type", self.kind.value),
            )
        )

    def envelope(self, signature: Signature) -> str:
        """What is sent by sqs, http, https and email-json."""
        members = [
            *self._members("SubscribeURL"),
            *_signature_members(signature, "SigningCertURL"),
        ]
        return _object(members, _PRETTY)

    def lambda_event(self, subscription_arn: str, signature: Signature) -> str:
        """What is sent to a function of another account; named as in its notifications."""
        members = [
            *self._members("SubscribeUrl"),
            *_signature_members(signature._replace(version="1"), "SigningCertUrl"),
        ]
        record = _LAMBDA_BEFORE_ARN + subscription_arn + _LAMBDA_AFTER_ARN
        return f"{record}{_object(members, _COMPACT)}}}]}}"

    def _members(self, url_member: str) -> list[tuple[str, str]]:
        return [
            ("Type", _quote(self.kind.value)),
            ("MessageId", _quote(self.publication.message_id)),
            ("Token", _quote(self.token)),
            ("TopicArn", _quote(_topic_arn(self.publication))),
            ("Message", _quote(self.publication.message)),
            (url_member, _quote(self.subscribe_url)),
            ("Timestamp", _quote(timestamp_text(self.publication.published_at_ms))),
        ]


# --- HTTP ---------------------------------------------------------------------------------------


def http_headers(
    kind: DeliveryKind,
    publication: Publication,
    *,
    subscription_arn: str,
    content_type: str = DEFAULT_CONTENT_TYPE,
    raw: bool = False,
) -> list[tuple[str, str]]:
    """The headers of a delivery by http or https, without those of the connection (5.3).

    ``content_type`` and ``raw`` are the subscription's; they only bear on notifications.
    """
    is_notification = kind is DeliveryKind.NOTIFICATION
    headers = [
        ("x-amz-sns-message-type", kind.value),
        ("x-amz-sns-message-id", publication.message_id),
        ("x-amz-sns-topic-arn", _topic_arn(publication)),
    ]
    if kind is not DeliveryKind.SUBSCRIPTION_CONFIRMATION:
        headers.append(("x-amz-sns-subscription-arn", subscription_arn))
    if is_notification and raw:
        headers.append(("x-amz-sns-rawdelivery", "true"))
    headers.append(("Content-Type", content_type if is_notification else DEFAULT_CONTENT_TYPE))
    headers.append(("User-Agent", "Amazon Simple Notification Service Agent"))
    headers.append(("Accept-Encoding", "gzip,deflate"))
    return headers
