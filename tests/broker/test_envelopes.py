"""Envelopes, records, headers and links: exactly what AWS sends."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.envelopes import (
    Confirmation,
    Links,
    Notification,
    ProtocolMessages,
    Signature,
    confirmation_text,
    http_headers,
    notification_string_to_sign,
    timestamp_text,
    unsubscribe_text,
    well_formed,
)
from broker.topic_errors import InvalidParameter
from storage.records import MessageAttribute
from storage.topic_records import DeliveryKind, Publication

TOPIC = "arn:aws:sns:us-east-1:000000000000:orders"
SUBSCRIPTION = f"{TOPIC}:0f8fad5b-d9cb-469f-a165-70867728950e"
BASE = "http://127.0.0.1:4566"
LINKS = Links(BASE)
SIGNATURE = Signature("2", "c2lnbmF0dXJl", f"{BASE}/SimpleNotificationService-00.pem")
PUBLICATION = Publication(
    message_id="7c9e6679-7425-40de-944b-e07fc1f90ae7",
    topic_arn=TOPIC,
    message='{"order": 1}',
    published_at_ms=1_700_000_000_007,
)
ATTRIBUTES = {
    "colour": MessageAttribute("String", 'a "red" ü'),
    "price": MessageAttribute("Number.int", "301.50"),
    "tags": MessageAttribute("String.Array", '["a",1]'),
    "blob": MessageAttribute("Binary.png", b"\x00\xff"),
}


def notification(publication: Publication, signature: Signature | None = SIGNATURE) -> Notification:
    message = ProtocolMessages.of(publication).text("sqs")
    return Notification(publication, message, links=LINKS, signature=signature)


def confirmation(kind: DeliveryKind = DeliveryKind.SUBSCRIPTION_CONFIRMATION) -> Confirmation:
    publication = PUBLICATION._replace(message=confirmation_text(TOPIC))
    return Confirmation(kind, publication, token="ab12", links=LINKS)


# --- envelopes ----------------------------------------------------------------------------------


def test_the_envelope_of_a_standard_topic() -> None:
    publication = PUBLICATION._replace(subject="Größe", attributes=ATTRIBUTES)
    assert notification(publication).envelope(SUBSCRIPTION) == (
        "{\n"
        '  "Type" : "Notification",\n'
        '  "MessageId" : "7c9e6679-7425-40de-944b-e07fc1f90ae7",\n'
        f'  "TopicArn" : "{TOPIC}",\n'
        '  "Subject" : "Größe",\n'
        '  "Message" : "{\\"order\\": 1}",\n'
        '  "Timestamp" : "2023-11-14T22:13:20.007Z",\n'
        '  "SignatureVersion" : "2",\n'
        '  "Signature" : "c2lnbmF0dXJl",\n'
        f'  "SigningCertURL" : "{BASE}/SimpleNotificationService-00.pem",\n'
        f'  "UnsubscribeURL" : "{BASE}/?Action=Unsubscribe&SubscriptionArn={SUBSCRIPTION}",\n'
        '  "MessageAttributes" : {\n'
        '    "colour" : {"Type":"String","Value":"a \\"red\\" ü"},\n'
        '    "price" : {"Type":"Number.int","Value":"301.50"},\n'
        '    "tags" : {"Type":"String.Array","Value":"[\\"a\\",1]"},\n'
        '    "blob" : {"Type":"Binary.png","Value":"AP8="}\n'
        "  }\n"
        "}"
    )


@pytest.mark.parametrize("attributes", [None, {}])
def test_an_absent_subject_and_absent_attributes_are_left_out(
    attributes: dict[str, MessageAttribute] | None,
) -> None:
    publication = PUBLICATION._replace(attributes=attributes)
    assert list(json.loads(notification(publication).envelope(SUBSCRIPTION))) == [
        "Type",
        "MessageId",
        "TopicArn",
        "Message",
        "Timestamp",
        "SignatureVersion",
        "Signature",
        "SigningCertURL",
        "UnsubscribeURL",
    ]


def test_the_envelope_of_a_fifo_topic_has_a_sequence_number_and_no_signature() -> None:
    publication = PUBLICATION._replace(
        sequence=1_234, group_id="g", deduplication_id="d", subject="s", attributes=ATTRIBUTES
    )
    envelope = json.loads(notification(publication, None).envelope(SUBSCRIPTION))
    assert list(envelope) == [
        "Type",
        "MessageId",
        "SequenceNumber",
        "TopicArn",
        "Subject",
        "Message",
        "Timestamp",
        "UnsubscribeURL",
        "MessageAttributes",
    ]
    assert envelope["SequenceNumber"] == "00000000000000001234"


def test_subscriptions_differ_in_the_unsubscribe_link_only() -> None:
    rendered = notification(PUBLICATION)
    other = f"{TOPIC}:11111111-2222-4333-8444-555555555555"
    first, second = rendered.envelope(SUBSCRIPTION), rendered.envelope(other)
    assert first != second
    assert first.replace(SUBSCRIPTION, other) == second


def test_a_direct_publication_has_no_envelope() -> None:
    with pytest.raises(AssertionError, match="direct"):
        notification(PUBLICATION._replace(topic_arn=None)).envelope(SUBSCRIPTION)


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (DeliveryKind.SUBSCRIPTION_CONFIRMATION, "SubscriptionConfirmation"),
        (DeliveryKind.UNSUBSCRIBE_CONFIRMATION, "UnsubscribeConfirmation"),
    ],
)
def test_the_envelope_of_a_confirmation(kind: DeliveryKind, name: str) -> None:
    assert confirmation(kind).envelope(SIGNATURE) == (
        "{\n"
        f'  "Type" : "{name}",\n'
        '  "MessageId" : "7c9e6679-7425-40de-944b-e07fc1f90ae7",\n'
        '  "Token" : "ab12",\n'
        f'  "TopicArn" : "{TOPIC}",\n'
        f'  "Message" : "You have chosen to subscribe to the topic {TOPIC}.\\nTo confirm the'
        ' subscription, visit the SubscribeURL included in this message.",\n'
        f'  "SubscribeURL" : "{BASE}/?Action=ConfirmSubscription&TopicArn={TOPIC}&Token=ab12",\n'
        '  "Timestamp" : "2023-11-14T22:13:20.007Z",\n'
        '  "SignatureVersion" : "2",\n'
        '  "Signature" : "c2lnbmF0dXJl",\n'
        f'  "SigningCertURL" : "{BASE}/SimpleNotificationService-00.pem"\n'
        "}"
    )


def test_the_text_of_an_unsubscribe_confirmation() -> None:
    assert unsubscribe_text(SUBSCRIPTION) == (
        f"You have chosen to deactivate subscription {SUBSCRIPTION}.\nTo cancel this operation and"
        " restore the subscription, visit the SubscribeURL included in this message."
    )


# --- functions and streams ----------------------------------------------------------------------


def test_the_event_of_a_function() -> None:
    event = notification(PUBLICATION).lambda_event(SUBSCRIPTION)
    assert event == (
        '{"Records":[{"EventSource":"aws:sns","EventVersion":"1.0",'
        f'"EventSubscriptionArn":"{SUBSCRIPTION}","Sns":{{'
        '"Type":"Notification","MessageId":"7c9e6679-7425-40de-944b-e07fc1f90ae7",'
        f'"TopicArn":"{TOPIC}","Subject":null,"Message":"{{\\"order\\": 1}}",'
        '"Timestamp":"2023-11-14T22:13:20.007Z","SignatureVersion":"1","Signature":"c2lnbmF0dXJl",'
        f'"SigningCertUrl":"{BASE}/SimpleNotificationService-00.pem",'
        f'"UnsubscribeUrl":"{BASE}/?Action=Unsubscribe&SubscriptionArn={SUBSCRIPTION}",'
        '"MessageAttributes":{}}}]}'
    )


def test_functions_see_numbers_and_arrays_as_strings() -> None:
    publication = PUBLICATION._replace(subject="s", attributes=ATTRIBUTES)
    sns = json.loads(notification(publication).lambda_event(SUBSCRIPTION))["Records"][0]["Sns"]
    assert sns["Subject"] == "s"
    assert sns["MessageAttributes"] == {
        "colour": {"Type": "String", "Value": 'a "red" ü'},
        "price": {"Type": "String", "Value": "301.50"},
        "tags": {"Type": "String", "Value": '["a",1]'},
        "blob": {"Type": "Binary.png", "Value": "AP8="},
    }


def test_the_confirmation_event_of_a_function() -> None:
    record = json.loads(confirmation().lambda_event(SUBSCRIPTION, SIGNATURE))["Records"][0]
    assert record["EventSubscriptionArn"] == SUBSCRIPTION
    assert record["Sns"]["Type"] == "SubscriptionConfirmation"
    assert record["Sns"]["SubscribeUrl"] == confirmation().subscribe_url
    assert record["Sns"]["SignatureVersion"] == "1"
    assert "SigningCertUrl" in record["Sns"]


def test_the_record_of_a_stream_is_one_line_without_a_signature() -> None:
    publication = PUBLICATION._replace(
        message="two\nlines", attributes={"n": MessageAttribute("Number", "1")}
    )
    assert notification(publication).firehose_record(SUBSCRIPTION) == (
        '{"Type":"Notification","MessageId":"7c9e6679-7425-40de-944b-e07fc1f90ae7",'
        f'"TopicArn":"{TOPIC}","Message":"two\\nlines","Timestamp":"2023-11-14T22:13:20.007Z",'
        f'"UnsubscribeURL":"{BASE}/?Action=Unsubscribe&SubscriptionArn={SUBSCRIPTION}",'
        '"MessageAttributes":{"n":{"Type":"Number","Value":"1"}}}\n'
    )


# --- characters ---------------------------------------------------------------------------------

ANY_TEXT = st.text(st.characters(codec=None))


@given(message=ANY_TEXT, subject=ANY_TEXT, value=ANY_TEXT)
def test_any_text_arrives_as_valid_json_in_utf_8(message: str, subject: str, value: str) -> None:
    """Lone surrogates cannot; they arrive as U+FFFD, and are signed so."""
    publication = PUBLICATION._replace(
        message=message, subject=subject, attributes={"a": MessageAttribute("String", value)}
    )
    rendered = notification(publication)
    for text in (
        rendered.envelope(SUBSCRIPTION),
        rendered.firehose_record(SUBSCRIPTION),
        rendered.lambda_event(SUBSCRIPTION),
    ):
        read: Any = json.loads(text.encode())
        read = read["Records"][0]["Sns"] if "Records" in read else read
        assert read["Message"] == well_formed(message)
        assert read["Subject"] == well_formed(subject)
        assert read["MessageAttributes"]["a"]["Value"] == well_formed(value)
    signed = notification_string_to_sign(publication, message)
    assert signed.encode().decode().startswith(f"Message\n{well_formed(message)}\nMessageId\n")


def test_only_lone_surrogates_are_replaced() -> None:
    assert well_formed("a\ud83d\U0001f600\x00\ude00é") == "a\ufffd\U0001f600\x00\ufffdé"


def test_control_characters_are_escaped_and_all_else_is_written_as_it_is() -> None:
    text = notification(PUBLICATION._replace(message="\x00\x1f\té€😀")).envelope(SUBSCRIPTION)
    assert '"Message" : "\\u0000\\u001f\\té€😀",' in text


# --- what is signed -----------------------------------------------------------------------------


def test_what_is_signed_of_a_notification() -> None:
    assert notification_string_to_sign(PUBLICATION._replace(subject="s"), "the message") == (
        "Message\nthe message\nMessageId\n7c9e6679-7425-40de-944b-e07fc1f90ae7\nSubject\ns\n"
        f"Timestamp\n2023-11-14T22:13:20.007Z\nTopicArn\n{TOPIC}\nType\nNotification\n"
    )


def test_an_absent_subject_is_not_signed() -> None:
    assert "Subject" not in notification_string_to_sign(PUBLICATION, "the message")


def test_what_is_signed_of_a_confirmation() -> None:
    assert confirmation(DeliveryKind.UNSUBSCRIBE_CONFIRMATION).string_to_sign() == (
        f"Message\n{confirmation_text(TOPIC)}\n"
        "MessageId\n7c9e6679-7425-40de-944b-e07fc1f90ae7\n"
        f"SubscribeURL\n{BASE}/?Action=ConfirmSubscription&TopicArn={TOPIC}&Token=ab12\n"
        f"Timestamp\n2023-11-14T22:13:20.007Z\nToken\nab12\nTopicArn\n{TOPIC}\n"
        "Type\nUnsubscribeConfirmation\n"
    )


# --- a message for each protocol ----------------------------------------------------------------


def test_each_protocol_gets_its_entry_or_the_default() -> None:
    text = json.dumps({"default": "d", "sqs": "for queues", "APNS": "{}", "email": "", "x": [1]})
    messages = ProtocolMessages.of(PUBLICATION._replace(message=text, structured=True))
    assert messages.text("sqs") == "for queues"
    assert messages.text("APNS") == "{}"
    assert messages.text("email") == ""
    assert messages.text("http") == "d"


def test_an_unstructured_message_is_the_same_for_all() -> None:
    messages = ProtocolMessages('{"sqs": "x"}', structured=False)
    messages.check_default()
    assert messages.text("sqs") == messages.text("http") == '{"sqs": "x"}'


@pytest.mark.parametrize("value", ["1", "null", '{"a": 1}', '["x"]', "true", "9" * 5_000])
def test_an_entry_that_is_no_string_is_as_good_as_none(value: str) -> None:
    messages = ProtocolMessages(f'{{"sqs": {value}, "default": "d"}}', structured=True)
    assert messages.text("sqs") == "d"


def test_of_equal_keys_the_last_counts() -> None:
    messages = ProtocolMessages('{"default": "d", "sqs": "1", "sqs": "2"}', structured=True)
    assert messages.text("sqs") == "2"


@pytest.mark.parametrize("text", ['{"sqs": "s"}', '{"sqs": "s", "default": 1}'])
def test_a_missing_default_is_refused_where_it_is_needed(text: str) -> None:
    messages = ProtocolMessages(text, structured=True)
    assert messages.text("sqs") == "s"
    for needs_it in (messages.check_default, lambda: messages.text("http")):
        with pytest.raises(InvalidParameter) as refusal:
            needs_it()
        assert str(refusal.value) == (
            "Invalid parameter: Message Structure - No default entry in JSON message body"
        )


@pytest.mark.parametrize("text", ["[]", '"default"', "1", "null"])
def test_json_that_is_no_object_has_no_default(text: str) -> None:
    with pytest.raises(InvalidParameter, match="No default entry"):
        ProtocolMessages(text, structured=True).check_default()


@pytest.mark.parametrize(
    "text",
    ["", "msg", '{"default": "d"} x', "{'default': 'd'}", '{"default": NaN}', "[" * 100_000],
)
def test_what_is_not_json_is_refused(text: str) -> None:
    with pytest.raises(InvalidParameter) as refusal:
        ProtocolMessages(text, structured=True)
    assert str(refusal.value) == (
        "Invalid parameter: Message Structure - JSON message body failed to parse"
    )


def test_an_escaped_lone_surrogate_becomes_a_replacement_character() -> None:
    messages = ProtocolMessages('{"default": "\\ud800!"}', structured=True)
    assert messages.text("sqs") == "\ufffd!"


# --- times, links, headers ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("at_ms", "text"),
    [
        (0, "1970-01-01T00:00:00.000Z"),
        (951_826_554_999, "2000-02-29T12:15:54.999Z"),
        (1_700_000_000_070, "2023-11-14T22:13:20.070Z"),
        (4_102_444_799_999, "2099-12-31T23:59:59.999Z"),
    ],
)
def test_timestamps_have_three_digits_of_milliseconds(at_ms: int, text: str) -> None:
    assert timestamp_text(at_ms) == text


def test_links_do_not_encode_arns_and_ignore_a_slash_at_the_end_of_the_base() -> None:
    links = Links("https://broker.test/sns/", certificate_base_url="https://sns.eu.amazonaws.com/")
    assert links.subscribe_url(TOPIC, "ab") == (
        f"https://broker.test/sns/?Action=ConfirmSubscription&TopicArn={TOPIC}&Token=ab"
    )
    assert links.unsubscribe_url(SUBSCRIPTION) == (
        f"https://broker.test/sns/?Action=Unsubscribe&SubscriptionArn={SUBSCRIPTION}"
    )
    assert links.signing_certificate_url("a.pem") == "https://sns.eu.amazonaws.com/a.pem"
    assert LINKS.signing_certificate_url("a.pem") == f"{BASE}/a.pem"


def test_pages_carry_the_address_encoded() -> None:
    assert LINKS.confirmation_page(TOPIC, "ab", "a+b&c@example.com") == (
        f"{BASE}/confirmation.html?TopicArn={TOPIC}&Token=ab&Endpoint=a%2Bb%26c@example.com"
    )
    assert LINKS.unsubscribe_page(SUBSCRIPTION, "a@example.com") == (
        f"{BASE}/unsubscribe.html?SubscriptionArn={SUBSCRIPTION}&Endpoint=a@example.com"
    )


def test_the_headers_of_a_notification() -> None:
    headers = http_headers(
        DeliveryKind.NOTIFICATION,
        PUBLICATION,
        subscription_arn=SUBSCRIPTION,
        content_type="text/csv",
        raw=True,
    )
    assert headers == [
        ("x-amz-sns-message-type", "Notification"),
        ("x-amz-sns-message-id", PUBLICATION.message_id),
        ("x-amz-sns-topic-arn", TOPIC),
        ("x-amz-sns-subscription-arn", SUBSCRIPTION),
        ("x-amz-sns-rawdelivery", "true"),
        ("Content-Type", "text/csv"),
        ("User-Agent", "Amazon Simple Notification Service Agent"),
        ("Accept-Encoding", "gzip,deflate"),
    ]


def test_only_raw_notifications_say_so() -> None:
    headers = dict(
        http_headers(DeliveryKind.NOTIFICATION, PUBLICATION, subscription_arn=SUBSCRIPTION)
    )
    assert "x-amz-sns-rawdelivery" not in headers
    assert headers["Content-Type"] == "text/plain; charset=UTF-8"


@pytest.mark.parametrize(
    ("kind", "names_the_subscription"),
    [
        (DeliveryKind.SUBSCRIPTION_CONFIRMATION, False),
        (DeliveryKind.UNSUBSCRIBE_CONFIRMATION, True),
    ],
)
def test_confirmations_are_never_raw_and_always_plain_text(
    kind: DeliveryKind, names_the_subscription: bool
) -> None:
    headers = dict(
        http_headers(
            kind,
            PUBLICATION,
            subscription_arn=SUBSCRIPTION,
            content_type="application/json",
            raw=True,
        )
    )
    assert headers["x-amz-sns-message-type"] == kind.value
    assert headers["Content-Type"] == "text/plain; charset=UTF-8"
    assert "x-amz-sns-rawdelivery" not in headers
    assert ("x-amz-sns-subscription-arn" in headers) is names_the_subscription


def test_a_confirmation_is_a_value() -> None:
    assert confirmation() == confirmation()
    assert replace(confirmation(), token="cd").subscribe_url.endswith("&Token=cd")
