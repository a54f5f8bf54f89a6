"""A disk that counts flushes and can be told to fail, below SQLite and above the real one."""

from collections.abc import Iterator
from contextlib import contextmanager

import apsw


class FaultyDisk(apsw.VFS):
    """While in use, every database opened goes through it."""

    def __init__(self) -> None:
        self.name = f"faulty-{id(self)}"
        self.below = apsw.vfs_names()[0]
        self.flushes = 0
        self.failing = False
        super().__init__(self.name, self.below, makedefault=True)

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> "_File":  # noqa: N802
        return _File(self, name, flags)


class _File(apsw.VFSFile):
    def __init__(
        self, disk: FaultyDisk, name: str | apsw.URIFilename | None, flags: list[int]
    ) -> None:
        self._disk = disk
        super().__init__(disk.below, name, flags)

    def xSync(self, flags: int) -> None:  # noqa: N802
        self._disk.flushes += 1
        if self._disk.failing:
            raise apsw.IOError("flush refused")
        super().xSync(flags)


@contextmanager
def faulty_disk() -> Iterator[FaultyDisk]:
    """A faulty disk, in use until the end of the block."""
    default = apsw.vfs_names()[0]
    disk = FaultyDisk()
    try:
        yield disk
    finally:
        disk.unregister()
        assert apsw.vfs_names()[0] == default
