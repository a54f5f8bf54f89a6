"""Whom deliveries trust."""

from pathlib import Path
from ssl import SSLContext


class Trust:
    """Makes the TLS context of a client when it is first needed.

    The well-known authorities are trusted and, if given, those in ``ca_file`` (PEM).  With
    ``verify`` false, every certificate is accepted.  Variables of the environment have no say.
    """

    def __init__(self, *, verify: bool = True, ca_file: Path | None = None) -> None:
        self._verify = verify
        self._ca_file = ca_file
        self._context: SSLContext | None = None

    def context(self) -> SSLContext:
        """The context.  Raises ``OSError`` if the file cannot be read or holds no certificate."""
        if self._context is None:
            import httpx

            context = httpx.create_ssl_context(verify=self._verify, trust_env=False)
            if self._ca_file is not None:
                context.load_verify_locations(cafile=self._ca_file)
            self._context = context
        return self._context
