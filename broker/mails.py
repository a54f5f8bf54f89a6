"""The e-mails of topics (SNS reference, 5.4).

Whatever stands in a subject, a display name or a message stays inside its header or body.
"""

import re
from email.utils import formatdate
from typing import TYPE_CHECKING, NamedTuple

from broker.envelopes import Links, well_formed
from storage.topic_records import DeliveryKind

if TYPE_CHECKING:
    from email.message import EmailMessage

DEFAULT_SENDER_ADDRESS = "no-reply@sns.amazonaws.com"
_SENDER_NAME = "AWS Notifications"
_DEFAULT_SUBJECT = "AWS Notification Message"
#: of confirmations, which have the fixed sender name too
CONFIRMATION_SUBJECTS = {
    DeliveryKind.SUBSCRIPTION_CONFIRMATION: "AWS Notification - Subscription Confirmation",
    DeliveryKind.UNSUBSCRIBE_CONFIRMATION: "AWS Notification - Unsubscribe Confirmation",
}

_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_LOCAL_PART = re.compile(rf"{_ATOM}(\.{_ATOM})*")
_LABEL = "[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_DOMAIN = re.compile(rf"{_LABEL}(\.{_LABEL})*")
_LOCAL_PART_CHARACTERS_MAX = 64
_ADDRESS_CHARACTERS_MAX = 254

_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
#: controls that seven-bit text cannot carry as they are
_UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


def check_email_endpoint(text: str) -> bool:
    """Whether a text is an address that mail can be sent to: ``local-part@host``, plain ASCII.

    Quoted local parts, comments and addresses in brackets are not (RFC 5321 has them, nobody
    else); hosts without a dot are, as local mail servers have such names.
    """
    local_part, _, domain = text.rpartition("@")
    return (
        len(text) <= _ADDRESS_CHARACTERS_MAX
        and len(local_part) <= _LOCAL_PART_CHARACTERS_MAX
        and "=?" not in local_part  # reads as encoded
        and _LOCAL_PART.fullmatch(local_part) is not None
        and _DOMAIN.fullmatch(domain) is not None
    )


class Posting(NamedTuple):
    """What every e-mail needs to be sent.

    ``mail_id`` stays that of the mail when it is sent again, so that receivers see duplicates.
    """

    recipient: str  # as ``check_email_endpoint`` accepts it
    mail_id: str  # a UUID or the like
    at_ms: int
    sender_address: str = DEFAULT_SENDER_ADDRESS


def confirmation_mail(
    posting: Posting, *, topic_arn: str, token: str, links: Links
) -> "EmailMessage":
    """Asks the recipient to confirm the subscription."""
    page = links.confirmation_page(topic_arn, token, posting.recipient)
    return _mail(
        posting,
        _SENDER_NAME,
        CONFIRMATION_SUBJECTS[DeliveryKind.SUBSCRIPTION_CONFIRMATION],
        f"You have chosen to subscribe to the topic:\n{topic_arn}\n\n"
        "To confirm this subscription, click or visit the link below (If this was in error no"
        f" action is necessary):\n{page}\n",
    )


def unsubscribe_mail(
    posting: Posting, *, topic_arn: str, subscription_arn: str, token: str, links: Links
) -> "EmailMessage":
    """Tells the recipient that the subscription ended, and how to restore it."""
    page = links.confirmation_page(topic_arn, token, posting.recipient)
    return _mail(
        posting,
        _SENDER_NAME,
        CONFIRMATION_SUBJECTS[DeliveryKind.UNSUBSCRIBE_CONFIRMATION],
        f"Your subscription to the topic below has been deactivated:\n{topic_arn}\n"
        f"({subscription_arn})\n\n"
        "If this was in error, click or visit the link below to restore the subscription:\n"
        f"{page}\n",
    )


def notification_mail(
    posting: Posting,
    *,
    message: str,
    subject: str | None,
    display_name: str,
    unsubscribe_page: str | None,
) -> "EmailMessage":
    """A notification as plain text (protocol email).

    ``unsubscribe_page``: None where only an authenticated caller may unsubscribe.
    """
    text = message
    if unsubscribe_page is not None:
        text += (
            "\n\n--\nIf you wish to stop receiving notifications from this topic, please click or"
            f" visit the link below to unsubscribe:\n{unsubscribe_page}\n"
        )
    return _mail(posting, display_name or _SENDER_NAME, subject or _DEFAULT_SUBJECT, text)


def envelope_mail(
    posting: Posting, *, envelope: str, subject: str | None, display_name: str
) -> "EmailMessage":
    """An envelope, of a notification or a confirmation, as it is (protocol email-json)."""
    return _mail(posting, display_name or _SENDER_NAME, subject or _DEFAULT_SUBJECT, envelope)


def _mail(posting: Posting, sender_name: str, subject: str, text: str) -> "EmailMessage":
    # imported when the first mail is written: start-up shall not wait for it
    from email.headerregistry import Address
    from email.message import EmailMessage
    from email.policy import SMTP

    # in seven bits no server on the way has to change it
    mail = EmailMessage(SMTP.clone(cte_type="7bit"))
    sender = Address(_header_text(sender_name), addr_spec=posting.sender_address)
    mail["From"] = sender
    mail["To"] = Address(addr_spec=posting.recipient)
    mail["Subject"] = _header_text(subject)
    mail["Date"] = formatdate(posting.at_ms // 1000, usegmt=True)
    mail["Message-ID"] = f"<{posting.mail_id}@{sender.domain}>"
    text = well_formed(text)
    # left to itself, the library would send them as they are
    encoding = "quoted-printable" if _UNPRINTABLE.search(text) else None
    mail.set_content(text, cte=encoding)
    return mail


def _header_text(text: str) -> str:
    """The text on one line, and nothing in it that reads as encoded: it could hold a new line."""
    return _CONTROLS.sub(" ", well_formed(text)).replace("=?", "= ?").strip()
