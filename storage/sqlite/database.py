"""Opening the database file: whose it is, which schema it has, and that nobody else has it."""

import contextlib
import fcntl
import os
import re
from collections.abc import Iterator
from pathlib import Path

import apsw

from storage.errors import StoreUnusable

#: "HdRc": marks the file as Headrace's (PRAGMA application_id)
APPLICATION_ID = 0x48645263

_MIGRATIONS = Path(__file__).with_name("migrations")
_HEADER_BYTES = 100  # of a SQLite file; https://sqlite.org/fileformat.html
_CACHE_KIB = 98_304
_CHECKPOINT_PAGES = 4_000


class FileLock:
    """An advisory lock held as long as the process lives, in a file beside the database.

    Not on the database itself: closing any descriptor of it would drop SQLite's own locks.
    """

    def __init__(self, path: Path) -> None:
        """Take the lock, or raise ``StoreUnusable`` naming the process that has it."""
        # beside the file itself, so that a link to it has no lock of its own
        real_path = Path(os.path.realpath(path))
        lock_path = real_path.with_name(real_path.name + ".lock")
        try:
            self._descriptor = os.open(lock_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StoreUnusable(f"cannot write {lock_path}: {error.strerror}") from None
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            holder = os.pread(self._descriptor, 32, 0).decode("ascii", "replace").strip() or "?"
            os.close(self._descriptor)
            raise StoreUnusable(
                f"{path} is in use by another Headrace (process {holder})"
            ) from None
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        """Let go of the lock; the file stays, for removing it would race with a newcomer."""
        os.close(self._descriptor)


def migrations() -> list[tuple[int, Path]]:
    """The numbered schema steps, ascending from 1 without a gap."""
    return sorted(
        (int(match[1]), path)
        for path in _MIGRATIONS.iterdir()
        if (match := re.fullmatch(r"(\d{4})_\w+\.sql", path.name))
    )


def open_database(path: Path, *, strict: bool) -> apsw.Connection:
    """Open, or create, the database file with the newest schema.

    Raises ``StoreUnusable`` and leaves the file as it was if it is not Headrace's, has a newer
    schema, is damaged, or cannot be written.
    """
    with one_line_errors(path):
        if path.exists() or path.is_symlink():  # a link to nowhere must not be replaced
            _refuse_foreign_file(path)
        else:
            _create(path)
        connection = apsw.Connection(str(path))
        try:
            _configure(connection, strict=strict)
            _migrate(connection, path)
        except BaseException:
            connection.close()
            raise
    return connection


@contextlib.contextmanager
def one_line_errors(path: Path) -> Iterator[None]:
    """Have what SQLite and the system say of a file said in one line, as ``StoreUnusable``."""
    try:
        yield
    except apsw.Error as error:
        raise StoreUnusable(f"cannot open {path}: {error}") from None
    except OSError as error:
        raise StoreUnusable(f"cannot open {path}: {error.strerror}") from None


def _refuse_foreign_file(path: Path) -> None:
    """Look at the file's header by plain reading: it must not be touched if it is not ours."""
    if not path.is_file():
        raise StoreUnusable(f"{path} is not a file")
    with path.open("rb") as file:
        header = file.read(_HEADER_BYTES)
    application_id = int.from_bytes(header[68:72], "big")
    if header[:16] != b"SQLite format 3\x00" or application_id != APPLICATION_ID:
        raise StoreUnusable(f"{path} is not a Headrace database; it was left as it is")
    schema = int.from_bytes(header[60:64], "big")
    _refuse_newer_schema(path, schema)
    _refuse_truncated_file(path, header)
    if not os.access(path, os.W_OK):
        raise StoreUnusable(f"{path} is not writable")


def _refuse_newer_schema(path: Path, schema: int) -> None:
    newest = migrations()[-1][0]
    if schema > newest:
        raise StoreUnusable(
            f"{path} was written by a newer Headrace (schema {schema}, this one knows {newest});"
            " it was left as it is"
        )


def _refuse_truncated_file(path: Path, header: bytes) -> None:
    """Without a log beside it the file must be as long as its header says."""
    log = Path(os.path.realpath(path) + "-wal")
    if log.exists() and log.stat().st_size:
        return
    page_bytes = int.from_bytes(header[16:18], "big")
    page_bytes = 65_536 if page_bytes == 1 else page_bytes
    pages = int.from_bytes(header[28:32], "big")
    size = path.stat().st_size
    if header[24:28] == header[92:96] and size < pages * page_bytes:
        raise StoreUnusable(
            f"{path} is damaged: it has {size} of {pages * page_bytes} bytes; it was left as it is"
        )


def _create(path: Path) -> None:
    """Make an empty Headrace database appear under its name whole, or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    unfinished = path.with_name(path.name + ".new")
    unfinished.unlink(missing_ok=True)
    os.close(os.open(unfinished, os.O_CREAT | os.O_WRONLY, 0o600))
    connection = apsw.Connection(str(unfinished))
    connection.pragma("application_id", APPLICATION_ID)
    connection.close()
    unfinished.rename(path)
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _configure(connection: apsw.Connection, *, strict: bool) -> None:
    connection.set_busy_timeout(1_000)
    # Keep statements as they were planned.  Otherwise SQLite looks at the values bound to them to
    # see whether a partial index serves, and plans most of ours anew at each execution: a claim's
    # SELECT took 11 µs instead of 1.5.
    connection.config(apsw.SQLITE_DBCONFIG_ENABLE_QPSG, 1)
    connection.pragma("journal_mode", "wal")
    # FULL: each commit is flushed before it returns.  NORMAL: flushed at checkpoints only.
    connection.pragma("synchronous", "FULL" if strict else "NORMAL")
    connection.pragma("cache_size", -_CACHE_KIB)
    connection.pragma("temp_store", "MEMORY")
    connection.pragma("wal_autocheckpoint", _CHECKPOINT_PAGES)
    connection.pragma("journal_size_limit", 64 * 1024 * 1024)


def _migrate(connection: apsw.Connection, database: Path) -> None:
    """Bring the schema to the newest version, each step in a transaction with its number."""
    version = int(connection.pragma("user_version"))
    try:
        _refuse_newer_schema(database, version)  # the log beside the file may know of one
    except StoreUnusable:
        connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        raise
    pending = [(number, path) for number, path in migrations() if number > version]
    for number, path in pending:
        with connection:
            connection.execute(path.read_text("utf-8"))
            connection.pragma("user_version", number)
    if pending:
        # so that the file's header tells the version to who reads nothing else
        connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
