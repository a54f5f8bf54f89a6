"""Identifiers: drawn here, passed in everywhere else."""

import os
from typing import Protocol

_POOL_IDS = 512


class Ids(Protocol):
    """A source of ids nobody can guess."""

    def uuid(self) -> str:
        """A random UUID (version 4), 36 characters."""

    def secret(self) -> bytes:
        """32 random bytes."""


class RandomIds:
    """Ids from the operating system's randomness, fetched in bulk: a call for each costs more."""

    def __init__(self) -> None:
        self._pool = ""
        self._at = 0

    def uuid(self) -> str:
        """See ``Ids``."""
        at = self._at
        if at >= len(self._pool):
            self._pool = os.urandom(16 * _POOL_IDS).hex()
            at = 0
        self._at = at + 32
        drawn = self._pool[at : at + 32]
        variant = "89ab"[int(drawn[16], 16) & 3]
        return f"{drawn[:8]}-{drawn[8:12]}-4{drawn[13:16]}-{variant}{drawn[17:20]}-{drawn[20:]}"

    def secret(self) -> bytes:
        """See ``Ids``."""
        return os.urandom(32)
