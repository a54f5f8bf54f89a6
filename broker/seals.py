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
        return urlsafe_b64encode(self.seal_bytes(content)).decode("ascii")

    def open(self, text: str) -> bytes | None:
        """The content of a text that this seal made; None for anything else."""
        try:
            sealed = b64decode(text, altchars=b"-_", validate=True)
        except ValueError:  # other characters, non-ASCII ones included
            return None
        if urlsafe_b64encode(sealed).decode("ascii") != text:  # another spelling of the same bytes
            return None
        return self.open_bytes(sealed)

    def seal_bytes(self, content: bytes) -> bytes:
        """A content with its tag, for a text of another form."""
        return content + self._tag(content)

    def open_bytes(self, sealed: bytes) -> bytes | None:
        """The content that ``seal_bytes`` sealed; None for anything else."""
        content, tag = sealed[:-_TAG_BYTES], sealed[-_TAG_BYTES:]
        if not hmac.compare_digest(tag, self._tag(content)):
            return None
        return content

    def _tag(self, content: bytes) -> bytes:
        return hashlib.blake2b(content, key=self._key, digest_size=_TAG_BYTES).digest()
