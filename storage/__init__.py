"""Where queues and messages are kept: the contract, and a store for every taste."""

from pathlib import Path

from storage.contract import Storage
from storage.errors import StoreUnusable


def open_storage(url: str, *, strict: bool) -> Storage:
    """The store that ``url`` names: ``memory`` or ``sqlite:PATH``; it is not opened yet.

    ``strict``: answer after the fsync (True) or after the write (False); memory has neither.
    Raises ``StoreUnusable`` if there is no such kind of store.  Stores are imported when asked
    for, so that starting one does not pay for the others.
    """
    kind, _, path = url.partition(":")
    if kind == "memory" and not path:
        from storage.memory import MemoryStorage

        return MemoryStorage()
    if kind == "sqlite" and path:
        from storage.sqlite import SQLiteStorage

        return SQLiteStorage(Path(path), strict=strict)
    raise StoreUnusable(f"unknown store {url!r}: use memory or sqlite:PATH")


__all__ = ["Storage", "open_storage"]
