"""Signatures, verified the way a verifier's library does it."""

import json
import re
from base64 import b64decode
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from broker.envelopes import (
    Confirmation,
    Links,
    Notification,
    Signature,
    confirmation_text,
    notification_string_to_sign,
)
from broker.signing import Signer, SigningKeyError, create_key_material
from storage.topic_records import DeliveryKind, Publication

NOW_MS = 1_795_000_000_000
TOPIC = "arn:aws:sns:us-east-1:000000000000:orders"
LINKS = Links("https://sns.us-east-1.amazonaws.com")
PUBLICATION = Publication("an id", TOPIC, "Grüße\n\x01 😀", NOW_MS)

SIGNED_OF_NOTIFICATIONS = ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type")
SIGNED_OF_CONFIRMATIONS = (
    "Message",
    "MessageId",
    "SubscribeURL",
    "Timestamp",
    "Token",
    "TopicArn",
    "Type",
)


@pytest.fixture(scope="module")
def key_material() -> bytes:
    return create_key_material(NOW_MS)


@pytest.fixture(scope="module")
def signer(key_material: bytes) -> Signer:
    return Signer(key_material)


def sign(signer: Signer, text: str, version: str) -> Signature:
    url = LINKS.signing_certificate_url(signer.certificate_name)
    return Signature(version, signer.sign(text, version), url)


def verify(envelope: dict[str, str], certificate_pem: bytes) -> None:
    """Raise ``InvalidSignature`` unless the certificate's key signed that envelope."""
    is_notification = envelope["Type"] == "Notification"
    names = SIGNED_OF_NOTIFICATIONS if is_notification else SIGNED_OF_CONFIRMATIONS
    signed = "".join(f"{name}\n{envelope[name]}\n" for name in names if name in envelope)
    key = x509.load_pem_x509_certificate(certificate_pem).public_key()
    assert isinstance(key, rsa.RSAPublicKey)
    version_1 = envelope["SignatureVersion"] == "1"
    key.verify(
        b64decode(envelope["Signature"], validate=True),
        signed.encode(),
        padding.PKCS1v15(),
        hashes.SHA1() if version_1 else hashes.SHA256(),  # noqa: S303
    )


@pytest.mark.parametrize("version", ["1", "2"])
@pytest.mark.parametrize("subject", [None, "a subject"])
def test_a_notification_can_be_verified(signer: Signer, version: str, subject: str | None) -> None:
    publication = PUBLICATION._replace(subject=subject)
    signature = sign(signer, notification_string_to_sign(publication, publication.message), version)
    notification = Notification(publication, publication.message, links=LINKS, signature=signature)
    envelope = json.loads(notification.envelope(f"{TOPIC}:1"))
    verify(envelope, signer.certificate_pem)
    for name in SIGNED_OF_NOTIFICATIONS:
        if name in envelope and name != "Type":
            with pytest.raises(InvalidSignature):
                verify({**envelope, name: envelope[name] + " "}, signer.certificate_pem)
    other = {"1": "2", "2": "1"}[version]
    with pytest.raises(InvalidSignature):
        verify({**envelope, "SignatureVersion": other}, signer.certificate_pem)


@pytest.mark.parametrize("version", ["1", "2"])
@pytest.mark.parametrize(
    "kind", [DeliveryKind.SUBSCRIPTION_CONFIRMATION, DeliveryKind.UNSUBSCRIBE_CONFIRMATION]
)
def test_a_confirmation_can_be_verified(signer: Signer, version: str, kind: DeliveryKind) -> None:
    publication = PUBLICATION._replace(message=confirmation_text(TOPIC))
    confirmation = Confirmation(kind, publication, "ab12", LINKS)
    signature = sign(signer, confirmation.string_to_sign(), version)
    envelope = json.loads(confirmation.envelope(signature))
    verify(envelope, signer.certificate_pem)
    with pytest.raises(InvalidSignature):
        verify({**envelope, "Token": "ab13"}, signer.certificate_pem)


def test_the_url_of_the_certificate_is_one_that_verifiers_fetch(signer: Signer) -> None:
    url = sign(signer, "", "1").certificate_url
    assert re.fullmatch(
        r"https://sns\.[a-zA-Z0-9-]{3,}\.amazonaws\.com(\.cn)?"
        r"/SimpleNotificationService-[0-9a-f]{32}\.pem",
        url,
    )


def test_the_certificate_names_sns_and_holds_from_yesterday_for_twenty_years(
    signer: Signer,
) -> None:
    certificate = x509.load_pem_x509_certificate(signer.certificate_pem)
    for name in (certificate.subject, certificate.issuer):
        (common_name,) = name.get_attributes_for_oid(NameOID.COMMON_NAME)
        assert common_name.value == "sns.amazonaws.com"
    now = datetime.fromtimestamp(NOW_MS / 1000, UTC)
    assert certificate.not_valid_before_utc == now - timedelta(days=1)
    assert certificate.not_valid_after_utc == now.replace(year=now.year + 20)


def test_the_certificate_is_of_a_server_that_signs_and_of_no_authority(signer: Signer) -> None:
    certificate = x509.load_pem_x509_certificate(signer.certificate_pem)
    certificate.verify_directly_issued_by(certificate)
    extensions = certificate.extensions
    assert extensions.get_extension_for_class(x509.BasicConstraints).value.ca is False
    usage = extensions.get_extension_for_class(x509.KeyUsage).value
    assert (usage.digital_signature, usage.key_cert_sign) == (True, False)
    purposes = extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(purposes) == [ExtendedKeyUsageOID.SERVER_AUTH]
    names = extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["sns.amazonaws.com"]


def test_the_key_has_2048_bits(signer: Signer) -> None:
    key = x509.load_pem_x509_certificate(signer.certificate_pem).public_key()
    assert isinstance(key, rsa.RSAPublicKey)
    assert key.key_size == 2048


def test_stored_key_material_makes_the_same_signer_again(key_material: bytes) -> None:
    first, second = Signer(key_material), Signer(key_material)
    assert first.certificate_name == second.certificate_name
    assert first.certificate_pem == second.certificate_pem
    assert first.sign("text", "2") == second.sign("text", "2")
    assert b"PRIVATE" not in first.certificate_pem


def test_another_key_has_another_certificate_and_name(signer: Signer) -> None:
    other = Signer(create_key_material(NOW_MS))
    assert other.certificate_name != signer.certificate_name
    assert other.sign("text", "1") != signer.sign("text", "1")


def test_threads_may_share_a_signer(signer: Signer) -> None:
    texts = [f"text {n % 10}" for n in range(100)]
    with ThreadPoolExecutor(4) as threads:
        signed = list(threads.map(lambda text: signer.sign(text, "2"), texts))
    assert signed == [signer.sign(text, "2") for text in texts]


def pem_of(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey, password: bytes = b"") -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(password)
        if password
        else serialization.NoEncryption(),
    )


def test_key_material_that_cannot_be_used_is_refused_in_one_line(
    signer: Signer, key_material: bytes
) -> None:
    key_pem = key_material.removesuffix(signer.certificate_pem)
    another = rsa.generate_private_key(public_exponent=65_537, key_size=2048)
    problems = {
        b"": "The signing key cannot be read.",
        b"garbage \xff": "The signing key cannot be read.",
        key_material[:500]: "The signing key cannot be read.",
        signer.certificate_pem: "The signing key cannot be read.",
        pem_of(another, b"password"): "The signing key cannot be read.",
        pem_of(ec.generate_private_key(ec.SECP256R1())): "The signing key is not an RSA key.",
        key_pem: "The certificate of the signing key cannot be read.",
        key_material[:-200]: "The certificate of the signing key cannot be read.",
        pem_of(another) + signer.certificate_pem: "The certificate is not that of the signing key.",
    }
    for material, problem in problems.items():
        with pytest.raises(SigningKeyError) as refusal:
            Signer(material)
        assert str(refusal.value) == problem
