"""Documents, as statements on one connection; inside a transaction that ``GroupCommit`` opened."""

from collections.abc import Callable, Sequence
from itertools import takewhile
from typing import Any

import apsw

from storage.topic_records import DocumentChange, DocumentKey

GET = """
SELECT value FROM documents WHERE kind = ? AND account = ? AND region = ? AND name = ?
"""
LIST = """
SELECT name, value FROM documents
WHERE kind = ? AND account = ? AND region = ? AND name > ? ORDER BY name LIMIT ?
"""
LIST_FROM = """
SELECT name, value FROM documents
WHERE kind = ? AND account = ? AND region = ? AND name >= ? ORDER BY name LIMIT ?
"""
PUT = "INSERT OR REPLACE INTO documents (kind, account, region, name, value) VALUES (?, ?, ?, ?, ?)"
DELETE = "DELETE FROM documents WHERE kind = ? AND account = ? AND region = ? AND name = ?"


class Documents:
    """All documents of one database file."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._execute: Callable[..., Any] = connection.cursor().execute

    def get(self, key: DocumentKey) -> str | None:
        """See the contract."""
        found = self._execute(GET, key).fetchall()
        return found[0][0] if found else None

    def find(
        self, kind: str, account: str, region: str, prefix: str, after: str, limit: int
    ) -> list[tuple[str, str]]:
        """See ``list_documents`` in the contract."""
        if after >= prefix:
            found = self._execute(LIST, (kind, account, region, after, limit)).fetchall()
        else:
            found = self._execute(LIST_FROM, (kind, account, region, prefix, limit)).fetchall()
        # names that start with the prefix follow each other
        return list(takewhile(lambda row: row[0].startswith(prefix), found))

    def change(self, changes: Sequence[DocumentChange]) -> bool:
        """See the contract."""
        if any(self.get(key) != expected for key, expected, _ in changes):
            return False
        for key, _, value in changes:
            if value is None:
                self._execute(DELETE, key)
            else:
                self._execute(PUT, (*key, value))
        return True
