"""What came of one attempt to deliver a message."""

import asyncio
from collections.abc import Iterable
from enum import Enum
from typing import NamedTuple

#: how much is kept of what the other side said
MAX_RESPONSE_LENGTH = 1024


class Result(Enum):
    """How an attempt ended."""

    DELIVERED = "delivered"
    RETRY = "retry"  # another attempt may succeed
    REFUSED = "refused"  # no other attempt will


class Attempt(NamedTuple):
    """One attempt to deliver a message."""

    result: Result
    status_code: int | None  # None: there was no answer with a code
    response: str  # what the other side said, or why there was no answer: one line, no secrets
    dwell_ms: int  # how long it took


class Stopwatch:
    """Measures an attempt from now on, by the monotonic time of the running event loop."""

    def __init__(self) -> None:
        self._time = asyncio.get_running_loop().time
        self._started_s = self._time()

    def attempt(self, result: Result, status_code: int | None, response: str) -> Attempt:
        """The attempt that ends now; ``response`` is made one bounded line."""
        dwell_ms = round((self._time() - self._started_s) * 1000)
        return Attempt(result, status_code, one_line(response), dwell_ms)


def classify(status_code: int) -> Result:
    """What an HTTP status means for a delivery (SNS reference, 5.10).

    Redirects are not followed, so they are refusals like everything that is not listed there.
    """
    if 200 <= status_code < 300:
        return Result.DELIVERED
    if status_code == 429 or 500 <= status_code < 600:
        return Result.RETRY
    return Result.REFUSED


def one_line(text: str) -> str:
    """A bounded line of printable characters, made of any text."""
    # white space and control characters are many bytes to look at and nothing to see
    start = text[: 4 * MAX_RESPONSE_LENGTH]
    printable = "".join(each if each.isprintable() else " " for each in start)
    return " ".join(printable.split())[:MAX_RESPONSE_LENGTH]


def without_secrets(text: str, secrets: Iterable[str]) -> str:
    """The text with ``***`` in place of each of the secrets, should the other side echo them."""
    for secret in sorted({*secrets} - {""}, key=len, reverse=True):
        text = text.replace(secret, "***")
    return text


def reason(error: BaseException) -> str:
    """The text of the error that others were made from: the one that says what happened."""
    while True:
        if isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        elif error.__cause__ is not None:
            error = error.__cause__
        elif error.args and isinstance(error.args[0], BaseException):
            error = error.args[0]
        else:
            return str(error) or type(error).__name__
