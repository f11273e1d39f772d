"""Signals: what the process does on SIGTERM, SIGINT, SIGHUP and SIGUSR1."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Callable
from queue import SimpleQueue
from types import FrameType
from typing import Any

from ..children import end_at_once
from ..errors import EXIT_OK, EXIT_UNSENT

__all__ = ["Signals"]

log = logging.getLogger(__name__)


class Signals:
    """The signals, from ``install`` to ``restore``. In another thread than the main one: nothing.

    The first SIGTERM, SIGINT or SIGHUP calls ``stop``, which returns False if there is nothing to
    stop yet; then ``SystemExit`` is raised. A second SIGTERM or SIGINT ends the process at once.
    A second SIGHUP does not: a terminal that closes sends it twice, once from its shell. Where
    SIGHUP is ignored at ``install``, as under nohup, it stays ignored.

    SIGUSR1 calls ``dump`` in a thread of its own, which may take its time and wait for locks.
    """

    def __init__(self, *, stop: Callable[[], bool], dump: Callable[[], None]) -> None:
        self.stopped_by: signal.Signals | None = None
        self._stop = stop
        self._dump = dump
        self._before: dict[int, Any] = {}
        # Unlike an event or a lock, it may be used in a handler whatever it has interrupted.
        self._dumps_wanted: SimpleQueue[bool] = SimpleQueue()

    def install(self) -> None:
        """Take the signals over."""
        if threading.current_thread() is not threading.main_thread():
            return
        handlers: dict[int, Callable[[int, FrameType | None], None]] = {
            signal.SIGTERM: self._on_stop,
            signal.SIGINT: self._on_stop,
            signal.SIGUSR1: self._on_dump,
        }
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
            handlers[signal.SIGHUP] = self._on_stop
        threading.Thread(target=self._dump_when_wanted, name="state-dump", daemon=True).start()
        self._before = {number: signal.signal(number, handlers[number]) for number in handlers}

    def restore(self) -> None:
        """Give the signals back."""
        for number, handler in self._before.items():
            signal.signal(number, handler)
        if self._before:
            self._dumps_wanted.put(False)
        self._before = {}

    def _on_stop(self, number: int, frame: FrameType | None) -> None:
        # Nothing is logged here: a handler must not wait for a lock of the log.
        del frame
        if self.stopped_by is not None:
            if number == signal.SIGHUP:
                return
            end_at_once(EXIT_UNSENT)
        self.stopped_by = signal.Signals(number)
        if not self._stop():  # Celery's own receiver has no other way to be told
            raise SystemExit(EXIT_OK)

    def _on_dump(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        self._dumps_wanted.put(True)

    def _dump_when_wanted(self) -> None:
        while self._dumps_wanted.get():
            try:
                self._dump()
            except Exception:
                log.exception("the state could not be dumped")
