"""SQS polls: threads that receive from the event queue, and hand over what comes.

A request is paid for, however little it brings: so the first thread waits for messages to gather,
and the others help only while there is a backlog.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable, Sequence
from typing import Protocol

from ..clock import SYSTEM_CLOCK
from .sqs_requests import BATCH, RawMessage, SqsError
from .sqs_stream import VISIBILITY_SECONDS

__all__ = ["Polls", "Receives", "pause_seconds"]

log = logging.getLogger(__name__)

_WAIT_SECONDS = 20  # the longest that SQS allows: 130,000 requests a month while nothing comes
_THREADS = 4  # each 10 messages per 10 to 20 ms
_QUEUED = 16  # answers; of 10 messages of 60 kB each, 10 MB
_LOOK_SECONDS = 0.5  # how long a thread takes to notice that it is to stop
_GATHER_SECONDS = 0.9  # of 10 messages a second that brings 9: full, it would be asked again
_GATHER_MORE_SECONDS = 0.5


def pause_seconds(count: int, *, before: int) -> float:
    """Return how long to wait after an answer of so many messages; ``before``: of the last one.

    Two full ones in a row are a backlog, of which more is there at once.
    """
    if count < BATCH:
        return _GATHER_SECONDS
    return 0.0 if before >= BATCH else _GATHER_MORE_SECONDS


class Receives(Protocol):
    """The part of ``SqsQueue`` that receives."""

    def receive(
        self, most: int = BATCH, *, wait_seconds: int, visibility_seconds: int
    ) -> list[RawMessage]:
        """Return up to so many messages; raise ``SqsError``."""
        ...


class Polls:
    """``start`` it, ``take`` what comes, ``stop`` it. All but its own threads: one thread.

    ``may_read`` is asked before each request; ``on_late`` gets what came after the stop. A request
    that failed may have had messages, which come again later: ``may_have_missed`` says so until it
    is taken.
    """

    def __init__(
        self,
        source: Receives,
        *,
        may_read: Callable[[], bool],
        on_late: Callable[[Sequence[RawMessage]], None],
    ) -> None:
        self._source = source
        self._may_read = may_read
        self._on_late = on_late
        self._answers: queue.Queue[list[RawMessage]] = queue.Queue(_QUEUED)
        self._stopped = threading.Event()
        self._is_backlog = threading.Event()
        self._failure: SqsError | None = None
        self._threads: list[threading.Thread] = []
        self._most = BATCH
        self.may_have_missed = False

    @property
    def is_backlog(self) -> bool:
        """Whether more waits in the queue than is read at once."""
        return self._is_backlog.is_set()

    def start(self) -> None:
        """Begin to receive. Raises ``RuntimeError`` if the system has no more threads now."""
        for number in range(_THREADS):
            poll = self._help if number else self._poll
            thread = threading.Thread(target=poll, name=f"sqs-poll-{number}", daemon=True)
            thread.start()
            self._threads.append(thread)

    @property
    def has_ended(self) -> bool:
        """Whether no request is under way any more, for which SQS may have messages yet."""
        return not any(thread.is_alive() for thread in self._threads)

    def take(self, timeout_seconds: float) -> list[RawMessage]:
        """Return what has come; wait for the first no longer than that.

        Raises ``SqsError`` if a request has failed, when all that came before is taken.
        """
        messages: list[RawMessage] = []
        try:
            messages += self._answers.get(timeout=0 if self._failure else timeout_seconds)
            while len(messages) < BATCH * _THREADS:
                messages += self._answers.get_nowait()
        except queue.Empty:
            if not messages and self._failure is not None:
                raise self._failure from None
        return messages

    def note_missed(self) -> None:
        """Note that an answer did not come, which may have had messages. Any thread may do so."""
        self.may_have_missed = True

    def take_missed(self) -> bool:
        """Return ``may_have_missed``, which is False from now on, unless it is set meanwhile."""
        if not self.may_have_missed:
            return False
        self.may_have_missed = False
        return True

    def stop(self, seconds: float = 0.0) -> list[RawMessage]:
        """Stop; return what has come and was not taken.

        A request under way is waited for no longer than that: what SQS has for it by then nobody
        else would get for minutes.
        """
        self._stopped.set()
        self._is_backlog.set()  # wakes those that would help
        until = SYSTEM_CLOCK.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(0.0, until - SYSTEM_CLOCK.monotonic()))
        messages: list[RawMessage] = []
        while not self._answers.empty():
            messages += self._answers.get_nowait()
        return messages

    def _poll(self) -> None:
        before = 0
        while not self._stopped.is_set():
            count = self._receive(_WAIT_SECONDS)
            if count is None:
                continue
            pause = pause_seconds(count, before=before)
            before = count
            if pause:
                self._is_backlog.clear()
                self._stopped.wait(pause)
            else:
                self._is_backlog.set()

    def _help(self) -> None:
        """Receive while there is a backlog. Whether SQS is there, the first thread finds out."""
        while not self._stopped.is_set():
            if self._is_backlog.wait(_LOOK_SECONDS) and not self._receive(0):
                self._stopped.wait(_LOOK_SECONDS)

    def _receive(self, wait_seconds: int) -> int | None:
        """Receive once, and hand it over; None if that could not be."""
        if self._stopped.is_set() or self._failure is not None or not self._may_read():
            self._stopped.wait(_LOOK_SECONDS)
            return None
        try:
            messages = self._source.receive(
                self._most, wait_seconds=wait_seconds, visibility_seconds=VISIBILITY_SECONDS
            )
        except SqsError as error:
            if error.is_too_long and self._most > 1:
                self._most = 1  # ten of the largest that anybody may send are too much
            elif wait_seconds:
                self._failure = error
            self.may_have_missed = True
            return None
        except Exception as error:
            log.exception("receiving from SQS failed")
            self._failure = SqsError(repr(error))
            return None
        while messages:
            if self._stopped.is_set():
                self._on_late(messages)
                break
            try:
                self._answers.put(messages, timeout=_LOOK_SECONDS)
                break
            except queue.Full:
                continue
        return len(messages)
