"""In place of a broker: says how it was called, and answers what a test wants."""

from typing import Any, NamedTuple

from broker import Caller


class Call(NamedTuple):
    """A verb of the broker with what it was given after the caller."""

    verb: str
    caller: Any
    given: tuple[Any, ...]
    named: dict[str, Any]


class _Messages:
    """The area of queues' messages, as far as publishing asks it: nothing is to go wrong."""

    class faults:  # noqa: N801 (an attribute)
        active = False


class Recorder:
    """In place of a broker: every verb is there, and answers alike."""

    messages = _Messages

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.answer: Any = None

    def __getattr__(self, name: str) -> Any:
        return _Verbs(self)

    def record(self, call: Call) -> Any:
        """Answer a call, or raise what is to be raised."""
        self.calls.append(call)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    @property
    def last(self) -> Call:
        """The only call."""
        [call] = self.calls
        return call


class _Verbs:
    """An area of the broker."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder

    def __getattr__(self, name: str) -> Any:
        async def verb(*given: Any, **named: Any) -> Any:
            caller = None
            if given and isinstance(given[0], Caller):
                caller, *rest = given
                given = tuple(rest)
            return self._recorder.record(Call(name, caller, given, named))

        return verb
