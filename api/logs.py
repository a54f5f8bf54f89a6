"""Log lines, as text or as JSON.  Never bodies, secrets or signatures."""

import asyncio
import json
import logging
import sys
import time

logging.Formatter.converter = time.gmtime  # the times in the lines are UTC


class _Text(logging.Formatter):
    """``2026-11-20T15:00:00Z warning storage.sqlite: …``; line breaks in a message are escaped."""

    def format(self, record: logging.LogRecord) -> str:
        message = record.getMessage().encode("unicode_escape").decode("ascii")
        line = (
            f"{self.formatTime(record, '%Y-%m-%dT%H:%M:%SZ')} {record.levelname.lower()}"
            f" {record.name}: {message}"
        )
        if record.exc_info:
            line = f"{line}\n{self.formatException(record.exc_info)}"
        return line


class _Json(logging.Formatter):
    """One object a line: time, level, logger, message, and the traceback if there is one.

    A record with ``fields`` has those in place of a message.
    """

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": self.formatTime(record, "%Y-%m-%dT%H:%M:%SZ"),
            "level": record.levelname.lower(),
            "logger": record.name,
            **getattr(record, "fields", {"message": record.getMessage()}),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line)


def _is_not_a_cancellation(record: logging.LogRecord) -> bool:
    """At the end of the server the requests that cannot be finished are cancelled: no error."""
    return not (record.exc_info and isinstance(record.exc_info[1], asyncio.CancelledError))


def configure_logging(level: str, log_format: str) -> None:
    """Send everything of that level and above to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Json() if log_format == "json" else _Text())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for chatty in ("httpcore", "httpx", "aiosmtplib"):  # a dozen lines each delivery
        logging.getLogger(chatty).setLevel(max(logging.WARNING, logging.root.level))
    # its start and stop lines say less than ours
    uvicorn = logging.getLogger("uvicorn.error")
    uvicorn.setLevel(max(logging.WARNING, logging.root.level))
    uvicorn.addFilter(_is_not_a_cancellation)
