"""Learner: asks the workers for the tasks they hold, each time this monitor begins to listen.

The events that named those tasks were sent before; the workers still know the names.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence

from ..snapshot import TaskInFlight
from ..text import one_line

__all__ = ["Learner"]

log = logging.getLogger(__name__)

_MOST_THREADS = 3  # at a time: one may hang for minutes on a connection that died silently


class Learner:
    """Asks in daemon threads, at most three at a time; nothing waits for them at the end.

    ``start`` may be called from any thread. ``ask`` returns the tasks that the workers hold; it
    and ``learn``, which takes them, are called in a learner's thread, and may be called in several
    at once. Unless it ``is_logged``, what comes of it is not.
    """

    def __init__(
        self,
        learn: Callable[[Sequence[TaskInFlight]], None],
        *,
        ask: Callable[[], Sequence[TaskInFlight]],
        is_logged: bool = True,
    ) -> None:
        self._learn = learn
        self._ask = ask
        self._is_logged = is_logged
        self._free = threading.BoundedSemaphore(_MOST_THREADS)

    def start(self) -> None:
        """Ask in a new thread, and return at once. Do nothing while three are under way."""
        if not self._free.acquire(blocking=False):
            return
        try:
            threading.Thread(target=self._run, name="learner", daemon=True).start()
        except RuntimeError as error:  # the system has no more threads now
            self._free.release()
            self._tell(error)

    def _run(self) -> None:
        try:
            self._ask_and_learn()
        finally:
            self._free.release()

    def _ask_and_learn(self) -> None:
        try:
            tasks = self._ask()
        except Exception as error:  # noqa: BLE001  only names are missing then: log it and go on
            self._tell(error)
            return
        self._learn(tasks)
        if self._is_logged:
            log.info("learnt %d tasks in flight from the workers", len(tasks))

    def _tell(self, error: Exception) -> None:
        if self._is_logged:
            log.warning("could not ask the workers for the tasks they hold: %s", one_line(error))
