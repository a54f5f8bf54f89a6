"""E-mails: what is in them, and that nothing gets out of its place."""

import re
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import SMTP
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from broker.envelopes import Links, Notification, Signature, well_formed
from broker.mails import (
    Posting,
    check_email_endpoint,
    confirmation_mail,
    envelope_mail,
    notification_mail,
    unsubscribe_mail,
)
from storage.topic_records import Publication

TOPIC = "arn:aws:sns:us-east-1:000000000000:orders"
SUBSCRIPTION = f"{TOPIC}:0f8fad5b-d9cb-469f-a165-70867728950e"
LINKS = Links("http://127.0.0.1:4566")
POSTING = Posting("a.b+c@example.com", "0f8fad5b-d9cb-469f-a165-70867728950e", 1_700_000_000_007)
HEADERS = {
    "From",
    "To",
    "Subject",
    "Date",
    "Message-ID",
    "Content-Type",
    "Content-Transfer-Encoding",
    "MIME-Version",
}


def received(mail: EmailMessage) -> Any:
    """The mail as its receiver reads it, after a way on which only seven bits are safe."""
    sent = mail.as_bytes()
    assert sent.isascii()
    assert b"\0" not in sent
    lines = sent.split(b"\r\n")
    assert all(b"\n" not in line and b"\r" not in line for line in lines)
    assert max(len(line) for line in lines) <= 998
    return message_from_bytes(sent, policy=SMTP)


def body(mail: EmailMessage) -> str:
    content: str = received(mail).get_content()
    return content.replace("\r\n", "\n")


def notification(
    message: str = "the message",
    *,
    subject: str | None = None,
    display_name: str = "",
    unsubscribe_page: str | None = None,
    posting: Posting = POSTING,
) -> EmailMessage:
    return notification_mail(
        posting,
        message=message,
        subject=subject,
        display_name=display_name,
        unsubscribe_page=unsubscribe_page,
    )


# --- contents -----------------------------------------------------------------------------------


def test_a_confirmation_mail_leads_to_the_confirmation_page() -> None:
    mail = confirmation_mail(POSTING, topic_arn=TOPIC, token="ab12" * 72, links=LINKS)
    assert received(mail)["Subject"] == "AWS Notification - Subscription Confirmation"
    assert (
        f"http://127.0.0.1:4566/confirmation.html?TopicArn={TOPIC}&Token={'ab12' * 72}"
        "&Endpoint=a.b%2Bc@example.com\n"
    ) in body(mail)


def test_an_unsubscribe_mail_leads_back_to_the_subscription() -> None:
    mail = unsubscribe_mail(
        POSTING, topic_arn=TOPIC, subscription_arn=SUBSCRIPTION, token="ab", links=LINKS
    )
    assert received(mail)["Subject"] == "AWS Notification - Unsubscribe Confirmation"
    text = body(mail)
    assert SUBSCRIPTION in text
    assert LINKS.confirmation_page(TOPIC, "ab", "a.b+c@example.com") in text


def test_a_notification_is_its_message_and_how_to_unsubscribe() -> None:
    page = LINKS.unsubscribe_page(SUBSCRIPTION, POSTING.recipient)
    assert body(notification("first\nsecond", unsubscribe_page=page)) == (
        "first\nsecond\n\n--\nIf you wish to stop receiving notifications from this topic, please"
        f" click or visit the link below to unsubscribe:\n{page}\n"
    )


def test_without_an_unsubscribe_page_a_notification_is_its_message_alone() -> None:
    assert body(notification("the message")) == "the message\n"


def test_the_headers_of_a_notification() -> None:
    mail = received(notification())
    assert dict(mail.items()) == {
        "From": "AWS Notifications <no-reply@sns.amazonaws.com>",
        "To": "a.b+c@example.com",
        "Subject": "AWS Notification Message",
        "Date": "Tue, 14 Nov 2023 22:13:20 +0000",
        "Message-ID": "<0f8fad5b-d9cb-469f-a165-70867728950e@sns.amazonaws.com>",
        "Content-Type": 'text/plain; charset="utf-8"',
        "Content-Transfer-Encoding": "7bit",
        "MIME-Version": "1.0",
    }


def test_a_notification_has_the_topics_display_name_and_its_own_subject() -> None:
    mail = received(notification(subject="Größe 大", display_name='Shop "Nord", Bestellungen'))
    assert mail["Subject"] == "Größe 大"
    (sender,) = mail["From"].addresses
    assert sender.display_name == 'Shop "Nord", Bestellungen'
    assert sender.addr_spec == "no-reply@sns.amazonaws.com"


def test_confirmations_always_have_the_fixed_name_and_the_given_address() -> None:
    posting = POSTING._replace(sender_address="sns@broker.test")
    mail = received(confirmation_mail(posting, topic_arn=TOPIC, token="ab", links=LINKS))
    assert mail["From"] == "AWS Notifications <sns@broker.test>"
    assert mail["Message-ID"] == "<0f8fad5b-d9cb-469f-a165-70867728950e@broker.test>"


def test_a_mail_of_email_json_is_the_envelope() -> None:
    publication = Publication("an id", TOPIC, "Grüße\n\x00 😀" * 1_000, 0)
    envelope = Notification(
        publication, publication.message, links=LINKS, signature=Signature("1", "x" * 400, "url")
    ).envelope(SUBSCRIPTION)
    mail = envelope_mail(POSTING, envelope=envelope, subject=None, display_name="")
    assert body(mail) == envelope + "\n"
    assert received(mail)["Subject"] == "AWS Notification Message"


# --- any text -----------------------------------------------------------------------------------

ANY_TEXT = st.text(st.characters(codec=None)) | st.text('ab ,"<>@()\\=?é\n\r\t;:', max_size=120)
ENCODED_LINE_BREAK = "=?utf-8?q?a=0d=0aBcc:_x@example.com?="


@given(message=ANY_TEXT, subject=ANY_TEXT, display_name=ANY_TEXT)
@example("x", "a\r\nBcc: x@example.com\r\n\r\nbody", "a\r\nBcc: x@example.com")
@example("x", ENCODED_LINE_BREAK, ENCODED_LINE_BREAK)
@example("x", "s", "a <x@example.com>, b")
@example("a\0b\x7f", "s", "n")
@example(".\r\n.\r\nFrom x\r\n" + "long " * 1_000, "s" * 100, "n" * 100)
def test_no_text_gets_out_of_its_place(message: str, subject: str, display_name: str) -> None:
    mail = received(notification(message, subject=subject, display_name=display_name))
    assert set(mail.keys()) == HEADERS
    assert len(mail.keys()) == len(HEADERS)
    assert [each.addr_spec for each in mail["From"].addresses] == ["no-reply@sns.amazonaws.com"]
    assert [each.addr_spec for each in mail["To"].addresses] == ["a.b+c@example.com"]
    assert mail.get_content_type() == "text/plain"
    content = mail.get_content().replace("\r\n", "\n").rstrip("\n")
    assert content == re.sub("\r\n|\r", "\n", well_formed(message)).rstrip("\n")


@given(subject=st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1))
def test_every_printable_subject_arrives_unchanged(subject: str) -> None:
    """Except that ``=?``, with which encoded text begins, comes apart."""
    assert received(notification(subject=subject))["Subject"] == subject.replace("=?", "= ?")


# --- addresses ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "a@example.com",
        "first.last+tag@sub.example.co.uk",
        "o'brien!#$%&*/?=^_`{|}~-@example.com",
        "root@localhost",
        "x@1.example",
        "a" * 64 + "@example.com",
        "a@" + "b" * 63 + ".com",
    ],
)
def test_addresses_that_mail_can_be_sent_to_are_accepted(text: str) -> None:
    assert check_email_endpoint(text)
    (recipient,) = received(notification(posting=POSTING._replace(recipient=text)))["To"].addresses
    assert recipient.addr_spec == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a",
        "@example.com",
        "a@",
        "a@b@example.com",
        "a b@example.com",
        "a@exam ple.com",
        "a@example.com\n",
        "a@example.com\r\nBcc: b@example.com",
        "a@example.com,b@example.com",
        "a@example.com, b@example.com",
        "A <a@example.com>",
        '"a b"@example.com',
        "a@[127.0.0.1]",
        "(comment)a@example.com",
        ".a@example.com",
        "a.@example.com",
        "a..b@example.com",
        "a@.example.com",
        "a@example..com",
        "a@example.com.",
        "a@-example.com",
        "a@example-.com",
        "ä@example.com",
        "a@exämple.com",
        "=?utf-8?q?a=2Cb?=@example.com",
        "mailto:a@example.com",
        "a" * 65 + "@example.com",
        "a@" + "b" * 64 + ".com",
        "a@" + "b." * 130 + "com",
        "a\0@example.com",
    ],
)
def test_everything_else_is_no_address(text: str) -> None:
    assert not check_email_endpoint(text)
