"""Exchange: one call over a network with a deadline of the whole; over HTTP, bounded answers too.

Libraries of HTTP have a time-out for each read only: an answer of one byte every two seconds never
ends, and one that goes on fills the memory. They also look up names without any limit of time.
"""

from __future__ import annotations

import http.client
import io
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from contextvars import ContextVar
from functools import cache
from subprocess import Popen
from typing import Any, TypeVar

__all__ = [
    "MAX_ANSWER_BYTES",
    "AnswerTooLongError",
    "BoundedConnection",
    "Exchange",
    "LateError",
    "NoThreadError",
]

#: Headers and body. RabbitMQ's API sends less than 1 MB for a page, AWS a few kB for what we ask.
MAX_ANSWER_BYTES = 16_000_000

_SLICE_SECONDS = 0.5  # of a deadline; how much of it a stop of the whole process may take away
_MOST_HANGING = 100  # threads that were left behind; each looks up a name, which nothing ends

T = TypeVar("T")

_hanging: list[threading.Thread] = []  # were left behind; two at a time may miss one of them
_current: ContextVar[Exchange | None] = ContextVar("exchange", default=None)  # of this thread


class LateError(OSError):
    """The call did not end within its deadline."""


class NoThreadError(OSError):
    """The call was not begun, as there is no thread for it."""


class AnswerTooLongError(OSError):
    """The answer was longer than ``MAX_ANSWER_BYTES``."""


class Exchange:
    """Runs one call in a thread of its own, and gives it up after ``seconds``. Use it once.

    What was given up sends nothing any more: its sockets are shut down and its processes killed,
    so that its thread ends too, unless it hangs elsewhere. That holds for connections of a class
    made with ``BoundedConnection``, for what was handed to ``hold``, and, with ``holds_all``, for
    every connection that the call makes, whichever library makes it.

    ``begun`` says whether any of a request has left; None if no such connection took part. Where
    others are asked for credentials first, ``await_request`` before that, and
    ``announce_request`` after it, tell the request from what is sent to them.
    """

    def __init__(self, seconds: float, *, holds_all: bool = False) -> None:
        self.begun: bool | None = None
        self.holds_all = holds_all
        if holds_all:
            _watch_connecting()
        self._awaits_request = False
        self._seconds = seconds
        self._lock = threading.Lock()
        self._given_up = False
        self._endings: list[Callable[[], None]] = []
        self._sockets: list[socket.socket] = []

    @staticmethod
    def current() -> Exchange | None:
        """Return the exchange that the calling thread belongs to."""
        return _current.get()

    def run(self, call: Callable[[], T]) -> T:
        """Return what the call returns, or raise what it raises; ``LateError`` if it takes long.

        Raises ``NoThreadError`` where the system has no more threads now, or so many of ours hang.
        """
        _hanging[:] = [thread for thread in _hanging if thread.is_alive()]
        if len(_hanging) >= _MOST_HANGING:
            self.begun = False
            raise NoThreadError(f"{_MOST_HANGING} calls hang; the next begins when one has ended")
        future: Future[T] = Future()
        thread = threading.Thread(
            target=self._serve, args=(call, future), name="exchange", daemon=True
        )
        try:
            thread.start()
        except RuntimeError as error:
            self.begun = False
            raise NoThreadError(str(error)) from error
        try:
            self._wait_for(thread)
            if not future.done():
                _hanging.append(thread)
                raise LateError(f"no end within {self._seconds:g} s")
        finally:  # also when a signal interrupts the waiting
            self._end(give_up=not future.done())
        return future.result()

    def _wait_for(self, thread: threading.Thread) -> None:
        """Wait until the thread has ended, or has run for so long.

        The clock goes on while the process is stopped (SIGSTOP, ``docker pause``), and an answer
        that came meanwhile is not late. A slice ends at once then, and the next one waits for it.
        """
        seconds = self._seconds
        while thread.is_alive() and seconds > 0:
            thread.join(min(_SLICE_SECONDS, seconds))
            seconds -= _SLICE_SECONDS

    def await_request(self) -> None:
        """Note that what is sent from now on is not the request yet."""
        self._awaits_request, self.begun = True, False

    def announce_request(self, *, is_watched: bool) -> None:
        """Note that what is sent from now on is the request; ``is_watched``: over our connections.

        It may fail before there is a connection, as for a proxy whose URL is none.
        """
        self._awaits_request, self.begun = False, False if is_watched else None

    def note_sending(self) -> None:
        """Note that something is being sent."""
        self.begun = not self._awaits_request

    def hold(self, ending: Callable[[], None]) -> None:
        """Call ``ending`` if this is given up. Raises ``LateError`` if it was already."""
        with self._lock:
            self._endings.append(ending)
        self.check()

    def check(self) -> None:
        """Raise ``LateError`` if this was given up."""
        if self._given_up:
            raise LateError("the call was given up meanwhile")

    def hold_socket(self, connected: socket.socket) -> None:
        """Shut the connection down if this is given up."""
        # A descriptor of our own, since TLS takes the socket's away from it.
        mine = socket.socket(fileno=os.dup(connected.fileno()))
        with self._lock:
            self._sockets.append(mine)

        def shut_down() -> None:
            mine.shutdown(socket.SHUT_RDWR)

        self.hold(shut_down)

    def hold_process(self, process: Popen[Any]) -> None:
        """Kill the process, which leads a process group, with its children if this is given up."""

        def kill() -> None:
            if process.returncode is None:  # else the number may be another's by now
                os.killpg(process.pid, signal.SIGKILL)

        self.hold(kill)

    def _serve(self, call: Callable[[], T], future: Future[T]) -> None:
        _current.set(self)
        try:
            future.set_result(call())
        except BaseException as error:  # noqa: BLE001  ``run`` raises it
            future.set_exception(error)
        finally:
            if self._given_up:  # what it opened since then
                self._end(give_up=True)

    def _end(self, *, give_up: bool) -> None:
        with self._lock:
            self._given_up = self._given_up or give_up
            endings, self._endings = self._endings, []
            sockets, self._sockets = self._sockets, []
        for ending in endings if give_up else ():
            with suppress(OSError):  # it may have ended by itself
                ending()
        for mine in sockets:
            mine.close()


@cache
def _watch_connecting() -> None:
    """Let Python say which sockets are connected; an audit hook is there for good."""
    sys.addaudithook(_note_connecting)


def _note_connecting(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "socket.connect":
        exchange = _current.get()
        if exchange is not None and exchange.holds_all:
            exchange.hold_socket(arguments[0])


class _Bounded(io.RawIOBase):
    """What comes from a socket, up to ``MAX_ANSWER_BYTES`` and the end of the exchange."""

    def __init__(self, source: io.RawIOBase) -> None:
        self._source = source
        self._exchange = Exchange.current()
        self._bytes_left = MAX_ANSWER_BYTES
        self.has_ended = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        if self._exchange is not None:
            self._exchange.check()
        count = self._source.readinto(buffer)
        self.has_ended = count == 0
        self._bytes_left -= count or 0
        if self._bytes_left < 0:
            raise AnswerTooLongError(f"the answer is longer than {MAX_ANSWER_BYTES:,} bytes")
        return count

    def close(self) -> None:
        self._source.close()
        super().close()


def _is_no_traceback(record: logging.LogRecord) -> bool:
    """Filter urllib3's log: for odd headers it has a traceback, at each answer.

    Whoever made the request judges the answer, and says what is wrong with it.
    """
    return not str(record.msg).startswith("Failed to parse headers")


class _BoundedResponse(http.client.HTTPResponse):
    """An answer whose every byte, from the status line on, is counted."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._bounded = _Bounded(self.fp.detach())
        self.fp: io.BufferedReader = io.BufferedReader(self._bounded)

    def begin(self) -> None:
        """Read the status and the headers; http.client takes those that are cut off for whole."""
        super().begin()
        if self._bounded.has_ended:
            raise http.client.IncompleteRead(b"")

    def read(self, amt: int | None = None) -> bytes:
        """Read from the body; http.client takes one that is cut off for whole.

        Of a refusal the status is enough.
        """
        data = super().read(amt)
        if self.length and self._bounded.has_ended and self.status < http.HTTPStatus.BAD_REQUEST:
            raise http.client.IncompleteRead(data, self.length)
        return data


class BoundedConnection(http.client.HTTPConnection):
    """Mixed into a connection of urllib3's: it obeys the exchange of the thread that uses it."""

    response_class = _BoundedResponse
    debuglevel = 0  # whatever the app has set for all: it prints headers, and so keys
    _connecting = False

    def connect(self) -> None:
        """Connect; also through a proxy, and with TLS."""
        logging.getLogger("urllib3.connection").addFilter(_is_no_traceback)  # once
        self._connecting = True
        try:
            super().connect()
        finally:
            self._connecting = False

    def _new_conn(self) -> socket.socket:  # of urllib3, before TLS and a proxy's CONNECT
        exchange = Exchange.current()
        if exchange is not None and exchange.begun is None:
            exchange.begun = False
        connected: socket.socket = super()._new_conn()  # type: ignore[misc]  # urllib3 has it
        try:
            if exchange is not None:
                exchange.hold_socket(connected)
        except OSError:
            connected.close()
            raise
        return connected

    def send(self, data: Any) -> None:
        """Send a part of a request, unless the exchange was given up."""
        exchange = Exchange.current()
        if exchange is not None and not self._connecting:
            if self.sock is None:
                self.connect()  # as http.client would
            exchange.hold_socket(self.sock)
            exchange.note_sending()
        super().send(data)
