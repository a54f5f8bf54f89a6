"""The default store: one SQLite file in WAL mode."""

from storage.sqlite.store import SQLiteStorage

__all__ = ["SQLiteStorage"]
