"""Group commit: calls that arrive while a commit is being flushed form the next transaction.

Statements run on the event-loop thread, where they are cheap; handing each of them to a thread
would cost more in GIL hand-overs than the statement takes (measured, see ARCHITECTURE.md).  Only
the COMMIT, with its fsync, runs in a thread of its own, while the next calls gather.  Nobody but
that thread touches the connection meanwhile.
"""

import asyncio
import logging
import queue
import threading
from collections.abc import Callable
from typing import Any

import apsw

from storage.errors import StorageError, StoreBroken, StoreUnwritable

logger = logging.getLogger(__name__)

Call = Callable[[], Any]

#: for how many turns of the event loop a transaction waits for company
_GATHERING_TURNS = 16


class GroupCommit:
    """Runs calls against one connection in shared transactions, each answered after its commit.

    A call runs statements and returns a value, or raises a ``StorageError`` before it has changed
    anything.  ``reload`` is called after a rollback, to make what the caller caches true again;
    ``committed`` after each successful commit, before the calls are answered.
    """

    def __init__(
        self,
        connection: apsw.Connection,
        *,
        reload: Callable[[], None],
        committed: Callable[[], None],
    ) -> None:
        self._connection = connection
        self._reload = reload
        self._committed = committed
        self._waiting: list[tuple[Call, asyncio.Future[Any]]] = []
        self._scheduled = False  # a flush is scheduled, or a commit is under way
        self._broken: StoreBroken | None = None
        #: told how long each flushed commit took, the whole transaction and the COMMIT, in seconds
        self.timed: Callable[[float, float], None] = lambda _whole_s, _commit_s: None
        self._began_s = self._commit_s = 0.0  # of the transaction under way
        self._loop = asyncio.get_running_loop()
        self._commits: queue.SimpleQueue[Callable[[apsw.Error | None], None] | None] = (
            queue.SimpleQueue()
        )
        self._thread = threading.Thread(target=self._commit_forever, name="commit", daemon=True)
        self._thread.start()

    def submit(self, call: Call) -> "asyncio.Future[Any]":
        """Have ``call`` run in the next transaction; the future ends after its commit.

        Raises ``StoreBroken`` if the store has failed earlier.
        """
        if self._broken is not None:
            raise self._broken
        future: asyncio.Future[Any] = self._loop.create_future()
        self._waiting.append((call, future))
        if not self._scheduled:
            self._scheduled = True
            self._gather(0, _GATHERING_TURNS)
        return future

    async def close(self) -> None:
        """Wait until everything submitted is committed, and end the thread."""
        while self._scheduled and self._broken is None:
            await asyncio.wait([self.submit(lambda: None)])
        self._commits.put(None)
        await asyncio.to_thread(self._thread.join)

    def _gather(self, gathered: int, turns: int) -> None:
        """Flush once a turn of the event loop has brought no more calls; a few turns at most.

        A commit costs the processor a dozen times what a call does, so those whose requests are
        being read at this moment should share it.
        """
        if turns and len(self._waiting) > gathered:
            self._loop.call_soon(self._gather, len(self._waiting), turns - 1)
        else:
            self._flush()

    def _flush(self) -> None:
        batch, self._waiting = self._waiting, []
        self._began_s = self._loop.time()
        before = self._connection.total_changes()
        try:
            answers = self._run(batch)
            if self._connection.total_changes() == before:
                self._connection.execute("COMMIT")  # nothing written: no flush, no wait
                self._settle(answers)
                return
        except apsw.Error as error:
            self._fail(batch, error)
            return
        self._commits.put(lambda error: self._after_commit(batch, answers, error))

    def _run(self, batch: list[tuple[Call, asyncio.Future[Any]]]) -> list[tuple[Any, Any]]:
        """Run the calls in a transaction left open; the answers by future.

        A call that raises anything but a ``StorageError`` may have written already: then all is
        rolled back and the others run again without it.
        """
        failed: dict[int, Exception] = {}
        while True:
            answers: list[tuple[Any, Any]] = []
            self._connection.execute("BEGIN IMMEDIATE")
            for index, (call, future) in enumerate(batch):
                if index in failed:
                    answers.append((future, failed[index]))
                    continue
                try:
                    answers.append((future, call()))
                except StorageError as error:
                    answers.append((future, error))
                except apsw.Error:
                    raise
                except Exception as error:  # a bug: the others must not suffer from it
                    failed[index] = error
                    self._roll_back()
                    break
            else:
                return answers

    def _commit_forever(self) -> None:
        """The commit thread: one COMMIT per token, its outcome handed back to the event loop."""
        while (done := self._commits.get()) is not None:
            began_s = self._loop.time()
            try:
                self._connection.execute("COMMIT")
                self._commit_s = self._loop.time() - began_s
            except apsw.Error as error:
                self._loop.call_soon_threadsafe(done, error)
            else:
                self._loop.call_soon_threadsafe(done, None)

    def _after_commit(
        self,
        batch: list[tuple[Call, asyncio.Future[Any]]],
        answers: list[tuple[Any, Any]],
        error: apsw.Error | None,
    ) -> None:
        if error is None:
            self.timed(self._loop.time() - self._began_s, self._commit_s)
            self._settle(answers)
        else:
            self._fail(batch, error)

    def _settle(self, answers: list[tuple[Any, Any]]) -> None:
        self._committed()
        for future, answer in answers:
            if future.done():  # the caller was cancelled; what it did stands
                continue
            if isinstance(answer, Exception):
                future.set_exception(answer)
            else:
                future.set_result(answer)
        self._next()

    def _next(self) -> None:
        if self._waiting:
            self._loop.call_soon(self._gather, 0, _GATHERING_TURNS)
        else:
            self._scheduled = False

    def _fail(self, batch: list[tuple[Call, asyncio.Future[Any]]], error: apsw.Error) -> None:
        """Nothing of the batch is stored.  What may pass is told; anything else ends the store.

        After a failed fsync the kernel may have dropped the pages it could not write, so a later
        success would prove nothing: no further call is accepted (RELIABILITY, fsyncgate).
        """
        answer: StorageError
        if isinstance(error, apsw.FullError | apsw.BusyError):
            answer = StoreUnwritable(str(error))
            try:
                self._roll_back()
            except apsw.Error as rollback_error:
                answer = self._break(rollback_error)
        else:
            answer = self._break(error)
        if isinstance(answer, StoreBroken):
            batch = batch + self._waiting
            self._waiting = []
        for _, future in batch:
            if not future.done():
                future.set_exception(answer)
        self._next()

    def _break(self, error: apsw.Error) -> StoreBroken:
        logger.critical("the store failed and accepts nothing from now on: %s", error)
        self._broken = StoreBroken(f"the store failed: {error}")
        return self._broken

    def _roll_back(self) -> None:
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")
        self._reload()
