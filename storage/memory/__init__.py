"""The store without durability: everything is in this process, and ends with it."""

from storage.memory.store import MemoryStorage

__all__ = ["MemoryStorage"]
