"""The broker's own signatures: one key and certificate, made once and kept in the store."""

import asyncio
import hashlib
from collections import OrderedDict

from broker.clock import Clock
from broker.envelopes import Links, Signature
from broker.signing import Signer, create_key_material
from storage.contract import Storage

_KEY_NAME = "sns-signing-key"
_REMEMBERED = 256


class Signatures:
    """Signs what goes to endpoints, in a thread: a signature takes 0.3 ms, without Python's lock.

    The key is made, or read, when it is first needed.
    """

    def __init__(self, store: Storage, clock: Clock, *, certificate_base_url: str | None) -> None:
        """``certificate_base_url``: where verifiers fetch the certificate; None: as other links."""
        self._store = store
        self._clock = clock
        self._certificate_base_url = certificate_base_url
        self._signer: Signer | None = None
        self._making = asyncio.Lock()
        #: by digest: one publication goes to many endpoints, and to some of them repeatedly
        self._made: OrderedDict[bytes, asyncio.Future[str]] = OrderedDict()

    def links(self, base_url: str) -> Links:
        """The links of what is sent to endpoints."""
        return Links(base_url, certificate_base_url=self._certificate_base_url)

    async def sign(self, text: str, version: str, links: Links) -> Signature:
        """The signature of a text; ``version`` is 1 (SHA-1) or 2 (SHA-256)."""
        signer = self._signer or await self._load()
        key = hashlib.blake2b(f"{version}{text}".encode("utf-8", "surrogatepass")).digest()
        made = self._made.get(key)
        if made is None:
            loop = asyncio.get_running_loop()
            made = self._made[key] = loop.run_in_executor(None, signer.sign, text, version)
            if len(self._made) > _REMEMBERED:
                self._made.popitem(last=False)
        url = links.signing_certificate_url(signer.certificate_name)
        return Signature(version, await asyncio.shield(made), url)

    async def certificate(self, name: str) -> bytes | None:
        """The certificate that has that file name, PEM; None if there is none."""
        signer = self._signer or await self._load()
        return signer.certificate_pem if name == signer.certificate_name else None

    async def _load(self) -> Signer:
        async with self._making:
            if self._signer is None:
                material = await self._store.get_secret(_KEY_NAME)
                if material is None:
                    made = await asyncio.to_thread(create_key_material, self._clock.now_ms())
                    material = await self._store.keep_secret(_KEY_NAME, made)
                self._signer = await asyncio.to_thread(Signer, material)
            return self._signer
