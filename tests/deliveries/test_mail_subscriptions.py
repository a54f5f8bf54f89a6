"""From Subscribe and Publish to mailboxes (SNS reference, 5.4)."""

import json
import re
from collections.abc import AsyncIterator
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default as default_policy
from itertools import pairwise
from pathlib import Path

import pytest
from aiosmtpd.smtp import SMTP, Envelope, Session

from broker import DeliverySettings
from storage import open_storage
from tests.deliveries.scene import Scene, at_ms
from tests.support.clock import START_MS, FakeClock
from tests.support.receivers import HOST, MailReceiver, mail_receiver
from tests.support.server import ENDPOINT, running
from tests.support.sns import SnsClient
from tests.support.until import until

READER = "reader@example.com"


@pytest.fixture
async def mailbox() -> AsyncIterator[MailReceiver]:
    async with mail_receiver() as receiver:
        yield receiver


def settings_of(mailbox: MailReceiver) -> DeliverySettings:
    """Settings with that mail server."""
    return DeliverySettings(smtp_url=f"smtp://{HOST}:{mailbox.port}")


@pytest.fixture
async def scene(clock: FakeClock, mailbox: MailReceiver) -> AsyncIterator[Scene]:
    """A server that delivers mail, and a topic."""
    store = open_storage("memory", strict=False)
    async with running(store, clock, deliveries=settings_of(mailbox)) as server:
        yield Scene(server, await SnsClient(server.http).topic("news"))


def read(envelope: Envelope) -> EmailMessage:
    """A mail as it came."""
    assert isinstance(envelope.content, bytes)
    mail = message_from_bytes(envelope.content, policy=default_policy)
    assert isinstance(mail, EmailMessage)
    return mail


def text_of(mail: EmailMessage) -> str:
    """The text of a mail, its lines ending as here."""
    content: str = mail.get_content()
    return content.replace("\r\n", "\n")


def link_in(mail: EmailMessage) -> str:
    """The only link to the server in a mail."""
    [link] = re.findall(rf"{re.escape(ENDPOINT)}/\S+", text_of(mail))
    return str(link)


async def next_mail(mailbox: MailReceiver) -> EmailMessage:
    """The mail that comes, or has come, next."""
    await until(lambda: bool(mailbox.mails))
    return read(mailbox.mails.pop(0))


async def subscribed(scene: Scene, mailbox: MailReceiver, **attributes: str) -> str:
    """The ARN of a subscription that has been confirmed by the link in its mail."""
    arn = await scene.subscribe("email", READER, **attributes)
    await scene.visit(link_in(await next_mail(mailbox)))
    return arn


async def test_a_reader_is_asked_by_mail_and_the_link_confirms(
    scene: Scene, mailbox: MailReceiver
) -> None:
    arn = await scene.subscribe("email", READER)
    mail = await next_mail(mailbox)
    assert mail["To"] == READER
    assert mail["From"] == "AWS Notifications <no-reply@sns.amazonaws.com>"
    assert mail["Subject"] == "AWS Notification - Subscription Confirmation"
    assert scene.topic in text_of(mail)
    assert link_in(mail).startswith(f"{ENDPOINT}/confirmation.html?TopicArn={scene.topic}&Token=")
    assert link_in(mail).endswith(f"&Endpoint={READER}")
    page = await scene.visit(link_in(mail))
    assert arn in page
    await scene.publish()
    assert text_of(await next_mail(mailbox)).startswith("hello\n")


async def test_nothing_is_mailed_before_the_confirmation(
    scene: Scene, mailbox: MailReceiver
) -> None:
    await scene.subscribe("email", READER)
    await scene.publish("too early")
    await scene.until_finished(1)
    assert len(mailbox.mails) == 1


async def test_a_notification_is_the_message_and_how_to_unsubscribe(
    scene: Scene, mailbox: MailReceiver
) -> None:
    await scene.set_topic("DisplayName", "The News")
    arn = await subscribed(scene, mailbox)
    await scene.publish("Grüße,\nWelt", Subject="A subject")
    mail = await next_mail(mailbox)
    assert mail["From"] == "The News <no-reply@sns.amazonaws.com>"
    assert mail["Subject"] == "A subject"
    message, _, paragraph = text_of(mail).partition("\n\n--\n")
    assert message == "Grüße,\nWelt"
    assert "unsubscribe" in paragraph
    link = f"{ENDPOINT}/unsubscribe.html?SubscriptionArn={arn}&Endpoint={READER}"
    assert link_in(mail) == link


async def test_the_unsubscribe_link_ends_it_and_a_last_mail_can_undo_that(
    scene: Scene, mailbox: MailReceiver
) -> None:
    await subscribed(scene, mailbox)
    await scene.publish()
    await scene.visit(link_in(await next_mail(mailbox)))
    goodbye = await next_mail(mailbox)
    assert goodbye["Subject"] == "AWS Notification - Unsubscribe Confirmation"
    await scene.publish("lost")
    await scene.visit(link_in(goodbye))
    await scene.publish("found")
    assert text_of(await next_mail(mailbox)).startswith("found\n")
    assert mailbox.mails == []


async def test_without_a_subject_and_a_name_there_are_the_usual_ones(
    scene: Scene, mailbox: MailReceiver
) -> None:
    await subscribed(scene, mailbox)
    await scene.publish()
    mail = await next_mail(mailbox)
    assert mail["Subject"] == "AWS Notification Message"
    assert mail["From"] == "AWS Notifications <no-reply@sns.amazonaws.com>"


async def test_mail_gets_its_own_entry_of_a_structured_message(
    scene: Scene, mailbox: MailReceiver
) -> None:
    await subscribed(scene, mailbox)
    entries = {"default": "all", "email": "mail", "email-json": "json"}
    await scene.publish(json.dumps(entries), MessageStructure="json")
    assert text_of(await next_mail(mailbox)).startswith("mail\n")


async def test_who_must_sign_to_unsubscribe_gets_no_link(
    scene: Scene, mailbox: MailReceiver
) -> None:
    await scene.subscribe("email", READER)
    token = link_in(await next_mail(mailbox)).partition("Token=")[2].partition("&")[0]
    await scene.sns.call(
        "ConfirmSubscription",
        TopicArn=scene.topic,
        Token=token,
        AuthenticateOnUnsubscribe="true",
    )
    await scene.publish()
    assert text_of(await next_mail(mailbox)).strip() == "hello"


async def test_email_json_gets_envelopes(scene: Scene, mailbox: MailReceiver) -> None:
    arn = await scene.subscribe("email-json", READER, RawMessageDelivery="true")
    mail = await next_mail(mailbox)
    assert mail["Subject"] == "AWS Notification - Subscription Confirmation"
    confirmation = json.loads(text_of(mail))
    assert confirmation["Type"] == "SubscriptionConfirmation"
    await scene.visit(confirmation["SubscribeURL"])
    message_id = await scene.publish("Grüße", Subject="A subject")
    mail = await next_mail(mailbox)
    assert mail["Subject"] == "A subject"
    envelope = json.loads(text_of(mail))
    assert (envelope["Type"], envelope["MessageId"]) == ("Notification", message_id)
    assert (envelope["Message"], envelope["Subject"]) == ("Grüße", "A subject")
    assert envelope["UnsubscribeURL"].endswith(arn)
    assert envelope["Signature"]


@pytest.mark.parametrize("reply", ["sender_reply", "recipient_reply", "data_reply"])
async def test_what_a_mail_server_refuses_for_good_goes_to_the_dead_letter_queue(
    scene: Scene, mailbox: MailReceiver, reply: str
) -> None:
    queue, redrive = await scene.dead_letter_queue()
    await subscribed(scene, mailbox, RedrivePolicy=redrive)
    setattr(mailbox, reply, "550 No such user")
    await scene.publish()
    [shown] = await scene.until_attempted(1)
    assert (shown["status"], shown["statusCode"]) == ("dead-lettered", 550)
    assert shown["response"] == "550 No such user"
    [body] = await queue.bodies()
    assert json.loads(body)["Message"] == "hello"


async def test_without_a_dead_letter_queue_it_has_failed(
    scene: Scene, mailbox: MailReceiver
) -> None:
    mailbox.recipient_reply = "550 No such user"
    await scene.subscribe("email", READER)
    [shown] = await scene.until_attempted(1)
    assert (shown["status"], shown["kind"]) == ("failed", "SubscriptionConfirmation")


async def test_what_a_mail_server_puts_off_is_tried_again_for_six_hours(
    scene: Scene, mailbox: MailReceiver, clock: FakeClock
) -> None:
    await subscribed(scene, mailbox)
    mailbox.recipient_reply = "451 Try later"
    await scene.publish()
    moments = []
    for attempts in range(1, 52):
        [shown] = await scene.until_attempted(attempts)
        moments.append(at_ms(shown["lastAttemptAt"]) - START_MS)
        if shown["dueAt"] is None:
            break
        await clock.advance(at_ms(shown["dueAt"]) - clock.now_ms())
    assert (shown["status"], shown["statusCode"]) == ("failed", 451)
    delays = [after - before for before, after in pairwise(moments)]
    assert len(delays) == 50
    assert delays[:3] == [10_000] * 3
    assert sorted(delays) == delays
    assert delays[11:] == [600_000] * 39


async def test_a_mail_that_is_sent_again_is_the_same_mail(
    scene: Scene, mailbox: MailReceiver, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    await subscribed(scene, mailbox)
    taken: list[Envelope] = []

    async def lose(_: SMTP, __: Session, envelope: Envelope) -> str:
        taken.append(envelope)
        return "451 Lost it"

    monkeypatch.setattr(mailbox, "handle_DATA", lose)
    await scene.publish()
    await scene.until_attempted(1)
    await clock.advance(10_000)
    await scene.until_attempted(2)
    first, second = taken
    assert first.content == second.content
    assert read(first)["Message-ID"]


async def test_mail_waits_in_the_outbox_until_a_restart_brings_a_mail_server(
    tmp_path: Path, clock: FakeClock, mailbox: MailReceiver
) -> None:
    url = f"sqlite:{tmp_path / 'headrace.db'}"
    async with running(open_storage(url, strict=False), clock) as server:
        scene = Scene(server, await SnsClient(server.http).topic())
        await scene.subscribe("email", READER)
        [shown] = await scene.outbox()
        assert (shown["status"], shown["dueAt"], shown["attempts"]) == ("waiting", None, 0)
        assert shown["response"] == "no mail server is configured"
        await clock.advance(3_600_000)
        assert await scene.outbox() == [shown]
    settings = settings_of(mailbox)
    async with running(open_storage(url, strict=False), clock, deliveries=settings) as server:
        scene = Scene(server, scene.topic)
        await scene.visit(link_in(await next_mail(mailbox)))
        [shown] = await scene.until_attempted(1)
        assert shown["status"] == "delivered"


async def test_mail_under_way_waits_if_a_restart_takes_the_mail_server_away(
    tmp_path: Path, clock: FakeClock, mailbox: MailReceiver
) -> None:
    url = f"sqlite:{tmp_path / 'headrace.db'}"
    settings = settings_of(mailbox)
    mailbox.recipient_reply = "451 Try later"
    async with running(open_storage(url, strict=False), clock, deliveries=settings) as server:
        scene = Scene(server, await SnsClient(server.http).topic())
        await scene.subscribe("email", READER)
        await scene.until_attempted(1)
    async with running(open_storage(url, strict=False), clock) as server:
        scene = Scene(server, scene.topic)
        await clock.advance(10_000)
        shown = await scene.delivery(status="waiting")
        assert shown["attempts"] == 1
    mailbox.recipient_reply = None
    async with running(open_storage(url, strict=False), clock, deliveries=settings) as server:
        [shown] = await Scene(server, scene.topic).until_attempted(2)
        assert shown["status"] == "delivered"
