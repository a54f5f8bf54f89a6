"""The MD5 digests by which clients check what they sent and got (SQS reference, 4.4)."""

import hashlib
from collections.abc import Mapping

from broker import MessageAttribute

_STRING, _BINARY = b"\x01", b"\x02"


def body_digest(body: str) -> str:
    """Lower-case hex MD5 of the body in UTF-8."""
    return hashlib.md5(body.encode(), usedforsecurity=False).hexdigest()


def attributes_digest(attributes: Mapping[str, MessageAttribute]) -> str:
    """MD5 over the attributes by name: length and bytes of name, type and value, and its kind."""
    digest = hashlib.md5(usedforsecurity=False)
    for name in sorted(attributes):
        data_type, value = attributes[name]
        for part in (name.encode(), data_type.encode()):
            digest.update(len(part).to_bytes(4, "big") + part)
        digest.update(_STRING if isinstance(value, str) else _BINARY)
        content = value.encode() if isinstance(value, str) else value
        digest.update(len(content).to_bytes(4, "big") + content)
    return digest.hexdigest()
