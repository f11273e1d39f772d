"""Failing tasks: the names of which nothing but failures comes. A fold over the windows.

A rate says little of a task that seldom runs, and in the rate of all tasks nobody sees it. That its
runs fail one after the other says it of any task, however often it runs.
"""

from __future__ import annotations

from collections.abc import Iterable

from ..settings.globs import matches
from ..snapshot import OTHER, UNKNOWN, FailingTask, Window

__all__ = ["FailingTasks"]

_FEWEST = 2  # one failure may be chance
_FORGET_SECONDS = 3_600.0  # since the last one: it may have been mended, and not run yet
_NO_NAMES = frozenset({OTHER, UNKNOWN})  # tasks of several names are counted there


class FailingTasks:
    """Remembers, by task name, the failures since its last success. Not thread-safe.

    ``may_fail`` are globs of the names that are left out.
    """

    def __init__(self, may_fail: Iterable[str] = ()) -> None:
        self._may_fail = tuple(may_fail)
        self._failures: dict[str, tuple[int, float]] = {}  # how many, and when the last was counted

    def after(self, window: Window) -> tuple[FailingTask, ...]:
        """Return those that fail after this window; call it once for each, in their order.

        A name that succeeded and failed in one window has succeeded.
        """
        at = window.closed_at
        for name, counts in window.tasks:
            if counts.succeeded:
                self._failures.pop(name, None)
            elif counts.failed and name not in _NO_NAMES and not matches(name, self._may_fail):
                before, _ = self._failures.get(name, (0, at))
                self._failures[name] = before + counts.failed, at
        self._failures = {
            name: (failures, last)
            for name, (failures, last) in self._failures.items()
            if abs(at - last) < _FORGET_SECONDS  # a clock may have been stepped back
        }
        return tuple(
            FailingTask(name, failures)
            for name, (failures, _) in self._failures.items()
            if failures >= _FEWEST
        )
