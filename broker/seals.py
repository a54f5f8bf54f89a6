"""Texts that clients carry for us and can neither read into, guess nor forge."""

import hashlib
import hmac
from base64 import b64decode, urlsafe_b64encode

_TAG_BYTES = 16


class Seal:
    """Seals bytes into a text and opens such texts, under a secret that outlives restarts."""

    def __init__(self, secret: bytes) -> None:
        self._key = secret

    def seal(self, content: bytes) -> str:
        """The text of a content; equal contents have equal texts."""
        return urlsafe_b64encode(content + self._tag(content)).decode("ascii")

    def open(self, text: str) -> bytes | None:
        """The content of a text that this seal made; None for anything else."""
        try:
            sealed = b64decode(text, altchars=b"-_", validate=True)
        except ValueError:  # other characters, non-ASCII ones included
            return None
        if urlsafe_b64encode(sealed).decode("ascii") != text:  # another spelling of the same bytes
            return None
        content, tag = sealed[:-_TAG_BYTES], sealed[-_TAG_BYTES:]
        if not hmac.compare_digest(tag, self._tag(content)):
            return None
        return content

    def _tag(self, content: bytes) -> bytes:
        return hashlib.blake2b(content, key=self._key, digest_size=_TAG_BYTES).digest()
