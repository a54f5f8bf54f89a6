"""Deliveries to files, in place of a Firehose endpoint."""

import asyncio
import re
from pathlib import Path
from threading import Lock

from broker.deliveries.attempts import Attempt, Result, Stopwatch
from broker.deliveries.aws import stream_name

#: of a delivery stream, as AWS has it
_NAME = re.compile(r"[a-zA-Z0-9_.-]{1,64}")


class FirehoseFiles:
    """Appends records to ``<folder>/<delivery stream>.ndjson``, one line for each.

    Nobody else should write to the files: what was written of a record when the disk became full
    is cut off again.
    """

    def __init__(self, folder: Path) -> None:
        """The folder is made when the first record comes."""
        self._folder = folder
        self._lock = Lock()

    async def put_record(self, stream: str, record: bytes) -> Attempt:
        """Make one attempt to append a record for a stream, named by its ARN or its name."""
        watch = Stopwatch()
        name = stream_name(stream)
        if not _NAME.fullmatch(name):
            return watch.attempt(Result.REFUSED, None, "not the name of a delivery stream")
        line = record if record.endswith(b"\n") else record + b"\n"
        path = self._folder / f"{name}.ndjson"
        try:
            await asyncio.to_thread(self._append, path, line)
        except OSError as error:
            text = f"{path.name} cannot be written: {error.strerror or error}"
            return watch.attempt(Result.RETRY, None, text)
        return watch.attempt(Result.DELIVERED, None, f"appended to {path.name}")

    def _append(self, path: Path, line: bytes) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        # one at a time: what is cut off must be the end
        with self._lock, path.open("ab", buffering=0) as file:
            end = file.tell()
            written = file.write(line)
            if written != len(line):
                file.truncate(end)
                raise OSError(f"only {written} of {len(line)} bytes fitted")
