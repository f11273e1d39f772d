"""Guard: calls code of users beside ours, which goes on whatever theirs raises."""

from __future__ import annotations

import logging
from collections.abc import Callable

from ..clock import Clock
from ..text import one_line

__all__ = ["Guard"]

log = logging.getLogger(__name__)

_REPEAT_SECONDS = 300.0


class Guard:
    """Logs what a function of a user's raises, with its traceback.

    The same exception again is one line every five minutes, which says how often it came. Not
    thread-safe: each thread has its own.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._told: dict[tuple[str, type[Exception]], tuple[float, int]] = {}  # when; times since

    def call(self, function: Callable[..., object], *arguments: object) -> None:
        """Call it; an exit or an interrupt is not held back."""
        try:
            function(*arguments)
        except Exception as error:  # noqa: BLE001  whatever it is: it is told
            self._tell(_name_of(function), error)

    def _tell(self, name: str, error: Exception) -> None:
        kind, now = (name, type(error)), self._clock.monotonic()
        told_at, times = self._told.get(kind, (None, 0))
        if told_at is not None and now - told_at < _REPEAT_SECONDS:
            self._told[kind] = told_at, times + 1
            return
        self._told[kind] = now, 0
        log.error(
            "%s failed (%s: %s)%s; the monitor goes on, and it is called again",
            *(name, type(error).__name__, one_line(error)),
            f", and {times} times since it was last told" if times else "",
            exc_info=None if times else error,
        )


def _name_of(function: Callable[..., object]) -> str:
    name = getattr(function, "__qualname__", None)
    return f"{function.__module__}.{name}" if name else repr(function)
