"""Signatures of envelopes, and the key and certificate behind them (SNS reference, 5.9).

``cryptography`` is imported when it is needed: start-up shall not wait for it.
"""

import hashlib
from base64 import b64encode
from email.utils import formatdate, parsedate_to_datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
    from cryptography.x509 import Certificate, CertificateBuilder

_COMMON_NAME = "sns.amazonaws.com"  # which some verifiers insist on
_KEY_BITS = 2048
_DAY_S = 86_400
_VALID_DAYS = 7_305  # 20 years


class SigningKeyError(Exception):
    """Stored key material that cannot be used; the text is one line."""


def create_key_material(now_ms: int) -> bytes:
    """A new RSA key and its self-signed certificate, PEM; takes some 100 ms.

    The certificate is valid from a day before ``now_ms``, as clocks differ, to 20 years after.
    """
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(public_exponent=65_537, key_size=_KEY_BITS)
    certificate = _certificate_builder(key, now_ms // 1000).sign(key, hashes.SHA256())
    key_pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return key_pem + certificate.public_bytes(serialization.Encoding.PEM)


def _certificate_builder(key: "RSAPrivateKey", now_s: int) -> "CertificateBuilder":
    """A certificate such as AWS's: one of a TLS server of that name."""
    from cryptography import x509
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, _COMMON_NAME)])
    key_identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    usage = x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
    # out of seconds, without a module that could also read the clock
    not_before, not_after = (
        parsedate_to_datetime(formatdate(now_s + days * _DAY_S, usegmt=True))
        for days in (-1, _VALID_DAYS)
    )
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(not_before)
        .not_valid_after(not_after)
        # no authority: whoever trusts it trusts this key alone
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(_COMMON_NAME)]), critical=False)
        .add_extension(key_identifier, critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(key_identifier),
            critical=False,
        )
    )


class Signer:
    """Signs texts with one key; threads may share it."""

    def __init__(self, key_material: bytes) -> None:
        """``key_material``: what ``create_key_material`` made.

        Raises ``SigningKeyError`` for anything but an RSA key and its certificate.
        """
        from cryptography.hazmat.primitives import hashes, serialization
        from cryptography.hazmat.primitives.asymmetric import padding

        self._key, certificate = _read(key_material)
        self._padding = padding.PKCS1v15()
        # SHA-1 is what version 1 means; who cares chooses version 2
        self._hashes = {"1": hashes.SHA1(), "2": hashes.SHA256()}  # noqa: S303
        #: for verifiers
        self.certificate_pem = certificate.public_bytes(serialization.Encoding.PEM)
        digest = hashlib.sha256(certificate.public_bytes(serialization.Encoding.DER)).hexdigest()
        #: under which they fetch it; another certificate has another name
        self.certificate_name = f"SimpleNotificationService-{digest[:32]}.pem"

    def sign(self, text: str, version: str) -> str:
        """The signature of a text in UTF-8, base64; ``version`` is that of the topic, 1 or 2.

        Takes 0.3 ms, and lets other threads run meanwhile.
        """
        signature = self._key.sign(text.encode(), self._padding, self._hashes[version])
        return b64encode(signature).decode("ascii")


def _read(key_material: bytes) -> "tuple[RSAPrivateKey, Certificate]":
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric import rsa
    from cryptography.hazmat.primitives.serialization import load_pem_private_key
    from cryptography.x509 import load_pem_x509_certificate

    try:
        key = load_pem_private_key(key_material, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):  # TypeError: it is encrypted
        raise SigningKeyError("The signing key cannot be read.") from None
    if not isinstance(key, rsa.RSAPrivateKey):
        raise SigningKeyError("The signing key is not an RSA key.")
    try:
        certificate = load_pem_x509_certificate(key_material)
        certified = certificate.public_key()
    except (ValueError, UnsupportedAlgorithm):
        raise SigningKeyError("The certificate of the signing key cannot be read.") from None
    if certified != key.public_key():
        raise SigningKeyError("The certificate is not that of the signing key.")
    return key, certificate
