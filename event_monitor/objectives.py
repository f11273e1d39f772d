"""Objectives: how well service levels are kept, and what is left of their error budgets.

A fold over the windows; the days of a month are kept in ``state_dir`` from run to run.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from .liveness import KeptNote
from .settings.objectives import Objective
from .snapshot import ObjectiveStatus, TaskCounts, Window

__all__ = ["ErrorBudgets"]

_DAY_SECONDS = 86_400
_DAYS = 30  # the budget is that of so many, today included

#: Day, since the epoch → what went well, and all.
_Days = dict[int, tuple[int, int]]


class ErrorBudgets:
    """Remembers, by objective, what went well and all there was on each day. Not thread-safe."""

    def __init__(self, objectives: Sequence[Objective], *, state_dir: str = "") -> None:
        self._objectives = tuple(objectives)
        self._note = KeptNote(
            state_dir, "objectives", key="days", what="what is left of the error budgets"
        )
        self._days: dict[str, _Days] | None = None  # by name; None: not read yet

    def after(self, window: Window) -> tuple[ObjectiveStatus, ...]:
        """Return how well each is kept; call it once for each window, in their order."""
        if not self._objectives:
            return ()
        if self._days is None:
            self._days = _decoded(self._note.load())
        today = int(window.closed_at // _DAY_SECONDS)
        found, kept = [], {}
        for objective in self._objectives:
            good, total = counted(objective, window)
            days = dict(self._days.get(objective.name, {}))
            before = days.get(today, (0, 0))
            days[today] = before[0] + good, before[1] + total
            kept[objective.name] = {
                day: of_day for day, of_day in days.items() if abs(today - day) < _DAYS
            }
            left = _budget_left(objective, kept[objective.name])
            found.append(ObjectiveStatus(objective.name, good, total, left))
        self._days = kept
        self._note.save(
            {name: [[day, *counts] for day, counts in days.items()] for name, days in kept.items()}
        )
        return tuple(found)


def counted(objective: Objective, window: Window) -> tuple[int, int]:
    """Return what went well in this window, and all there was."""
    good = total = 0
    for task, queue, counts in window.by_task_and_queue:
        if objective.covers(task, queue):
            went_well, all_of_them = _counted(objective, counts)
            good, total = good + went_well, total + all_of_them
    return good, total


def _counted(objective: Objective, counts: TaskCounts) -> tuple[int, int]:
    if objective.start_seconds is None:
        return counts.succeeded, counts.succeeded + counts.failed
    starts = dict(counts.on_time)
    never = counts.expired  # these did not start at all
    return starts.get(objective.start_seconds, 0), starts.get(math.inf, 0) + never


def _budget_left(objective: Objective, days: _Days) -> float:
    """Return percent of the failures that the level allows; below 0 if there were more."""
    good, total = (sum(numbers) for numbers in zip(*days.values(), strict=True))
    allowed = total * (100 - objective.percent) / 100
    return 100.0 - 100 * (total - good) / allowed if total else 100.0


def _decoded(kept: Mapping[str, object]) -> dict[str, _Days]:
    """Return what was kept; what is damaged is left out."""
    found: dict[str, _Days] = {}
    for name, days in kept.items():
        try:
            found[name] = {
                int(day): (int(good), int(total))
                for day, good, total in days  # type: ignore[attr-defined]
                if 0 <= good <= total < math.inf
            }
        except (TypeError, ValueError, OverflowError):
            continue
    return found
