"""Log queue: log records on their way to handlers that may block. Who logs never waits.

A pipe or a terminal that nobody reads stops whoever writes to it. So a thread of its own writes,
and a bounded queue stands before it: what does not fit is dropped and counted.
"""

from __future__ import annotations

import copy
import logging
import threading
import traceback
from collections.abc import Sequence
from contextlib import suppress
from queue import SimpleQueue

from ..redaction import without_secrets
from ..text import printable

__all__ = ["LogQueue", "settled"]

_PACKAGE = __name__.partition(".")[0]
_MOST_RECORDS = 10_000  # a few MB; 5,000 workers lost in one shot make as many lines


def settled(record: logging.LogRecord) -> logging.LogRecord:
    """Return a copy that holds its message as text, without secrets, and nothing that may change.

    A message of ours is one line: names in it may not forge another, nor steer a terminal.
    """
    record = copy.copy(record)
    try:
        message = record.getMessage()
    except Exception:  # noqa: BLE001  a mistake in somebody's arguments must not lose the line
        message = str(record.msg)
    message = without_secrets(message)
    record.msg, record.args = printable(message) if _is_ours(record) else message, None
    if record.exc_info and record.exc_info[0] is not None:
        record.exc_text = "".join(traceback.format_exception(*record.exc_info)).rstrip("\n")
    record.exc_info = None
    if record.exc_text:
        record.exc_text = _safe_lines(record.exc_text)
    if record.stack_info:
        record.stack_info = _safe_lines(record.stack_info)
    return record


def _is_ours(record: logging.LogRecord) -> bool:
    return record.name.partition(".")[0] == _PACKAGE


def _safe_lines(text: str) -> str:
    return "\n".join(map(printable, without_secrets(text).split("\n")))


class LogQueue:
    """Puts itself before the handlers of every logger while it is open.

    ``open`` and ``close`` belong to one thread; any thread may log meanwhile, and never waits for
    more than another's line being put into the queue.
    """

    def __init__(self, *, most: int = _MOST_RECORDS) -> None:
        self._most = most
        self._records: SimpleQueue[tuple[Sequence[logging.Handler], logging.LogRecord] | None]
        self._records = SimpleQueue()
        self._lock = threading.Lock()
        self._dropped = 0  # under the lock, and not told yet
        self._thread = threading.Thread(target=self._write, name="log", daemon=True)
        self._taken: list[tuple[logging.Logger, list[logging.Handler]]] = []
        self._excepthook = threading.excepthook

    def __len__(self) -> int:
        """Return how many records wait."""
        return self._records.qsize()

    def open(self) -> None:
        """Take the place of all handlers; warnings and uncaught exceptions are logged as well."""
        for logger in _loggers_with_handlers():
            handlers = logger.handlers[:]
            self._taken.append((logger, handlers))
            logger.handlers[:] = [_Enqueue(self, handlers)]
        logging.captureWarnings(True)
        threading.excepthook = _log_uncaught
        self._thread.start()

    def put(self, handlers: Sequence[logging.Handler], record: logging.LogRecord) -> None:
        """Let the thread hand the record to these handlers; drop it if too many wait already."""
        if self._records.qsize() < self._most:
            self._records.put((handlers, settled(record)))
        else:
            with self._lock:
                self._dropped += 1

    def close(self, *, deadline_seconds: float) -> bool:
        """Give the handlers back to their loggers; return whether all was written in that time.

        Calling it again is harmless.
        """
        for logger, handlers in self._taken:
            logger.handlers[:] = handlers
        self._taken.clear()
        logging.captureWarnings(False)
        threading.excepthook = self._excepthook
        self._records.put(None)
        self._thread.join(deadline_seconds)
        return not self._thread.is_alive()

    # -- the writing thread ----------------------------------------------------------------------

    def _write(self) -> None:
        handlers: Sequence[logging.Handler] = ()
        while (item := self._records.get()) is not None:
            handlers, record = item
            _handle(handlers, record)
            if self._records.empty():
                self._tell_dropped(handlers)
        self._tell_dropped(handlers)

    def _tell_dropped(self, handlers: Sequence[logging.Handler]) -> None:
        with self._lock:
            dropped, self._dropped = self._dropped, 0
        if not dropped:
            return
        facts = {
            "name": __name__,
            "levelno": logging.WARNING,
            "levelname": "WARNING",
            "msg": f"{dropped} log lines were dropped: nobody read the log in time",
            "dropped": dropped,
        }
        _handle(handlers, logging.makeLogRecord(facts))


class _Enqueue(logging.Handler):
    """Stands in for the handlers of one logger."""

    def __init__(self, queue: LogQueue, handlers: Sequence[logging.Handler]) -> None:
        super().__init__()
        self._queue = queue
        self._handlers = handlers

    def emit(self, record: logging.LogRecord) -> None:
        """Leave it to the thread."""
        self._queue.put(self._handlers, record)


def _handle(handlers: Sequence[logging.Handler], record: logging.LogRecord) -> None:
    for handler in handlers:
        if record.levelno >= handler.level:
            with suppress(Exception):  # a handler that fails has no log to say it to
                handler.handle(record)


def _loggers_with_handlers() -> list[logging.Logger]:
    loggers = [logging.getLogger(), *logging.root.manager.loggerDict.values()]
    return [logger for logger in loggers if isinstance(logger, logging.Logger) and logger.handlers]


def _log_uncaught(raised: threading.ExceptHookArgs) -> None:
    if raised.exc_type is SystemExit or raised.exc_value is None:
        return
    name = raised.thread.name if raised.thread else "?"
    logging.getLogger(__name__).error(
        "the thread %s died",
        name,
        exc_info=(raised.exc_type, raised.exc_value, raised.exc_traceback),
    )
