"""Long runs: which running tasks run longer than their like do, by what the history knows. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from ..snapshot import RunningTask
from .values import HOUR, Span, TaskPoint

__all__ = ["LongRun", "Points", "long_runs", "too_long_runs"]

_LEAST_SECONDS = 10.0  # what runs for less is nobody's trouble
_TIMES_USUAL = 10.0  # the median
_LOOK_BACK_SECONDS = 86_400.0
_MOST_NAMES = 200
# One task in a hundred runs longer than the 99th percentile, and of those that run at any moment
# more: that is worth a look, and no reason for a warning.
_TIMES_LONGEST = 3.0
_LEAST_TOO_LONG_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class LongRun:
    """A task that has been running for ``seconds``.

    ``usual``: 95 % of its name ran no longer; ``longest``: nor did 99 %, in any hour of the last
    day. None is unknown.
    """

    task: RunningTask
    seconds: float
    usual: float | None = None
    longest: float | None = None


class Points(Protocol):
    """What reads the history, or asks somebody who does."""

    def task_points(
        self, span: Span, *, name: str, since: float, until: float
    ) -> tuple[TaskPoint, ...]:
        """Return the minutes or hours in which tasks of that name ended; see ``Reader``."""
        ...


def long_runs(running: Sequence[RunningTask], *, at: float, reader: Points) -> list[LongRun]:
    """Return the tasks that run far longer than others of their name did in the last day.

    That is beyond the 99th percentile of each hour, or beyond ten times the median.
    """
    found = []
    running = [task for task in running if at - task.since >= _LEAST_SECONDS]
    known = _points_of(running, at=at, reader=reader)
    for task in running:
        seconds = at - task.since
        if task.name not in known:
            continue
        hours = known[task.name]
        run = _run(task, seconds, hours)
        median = _median(hours)
        if run.longest is None or median is None:
            continue
        if seconds > run.longest or seconds > _TIMES_USUAL * median:
            found.append(run)
    return found


def too_long_runs(
    running: Sequence[RunningTask], *, at: float, reader: Points | None, unknown_seconds: float
) -> list[LongRun]:
    """Return the tasks of which something is wrong, for all that is known; the longest first.

    They have run for a minute and three times as long as the 99th percentile of each hour of the
    last day; those of a name that is not in the history, for more than ``unknown_seconds``.
    """
    running = [task for task in running if at - task.since > _LEAST_TOO_LONG_SECONDS]
    known = {} if reader is None else _points_of(running, at=at, reader=reader)
    runs = (_run(task, at - task.since, known.get(task.name or "", ())) for task in running)
    found = [
        run
        for run in runs
        if run.seconds > (unknown_seconds if run.longest is None else _TIMES_LONGEST * run.longest)
    ]
    return sorted(found, key=lambda run: -run.seconds)


def _points_of(
    running: Sequence[RunningTask], *, at: float, reader: Points
) -> dict[str, tuple[TaskPoint, ...]]:
    """Return name → the hours of the last day in which it ended."""
    names = list(dict.fromkeys(task.name for task in running if task.name))[:_MOST_NAMES]
    return {
        name: reader.task_points(HOUR, name=name, since=at - _LOOK_BACK_SECONDS, until=at + 1)
        for name in names
    }


def _run(task: RunningTask, seconds: float, hours: Sequence[TaskPoint]) -> LongRun:
    return LongRun(
        task,
        seconds,
        usual=_highest(point.runtime_p95 for point in hours),
        longest=_highest(point.runtime_p99 for point in hours),
    )


def _highest(values: Iterable[float | None]) -> float | None:
    return max((value for value in values if value is not None), default=None)


def _median(hours: Sequence[TaskPoint]) -> float | None:
    """Return the median of the hours' medians, each as often as tasks succeeded in it."""
    medians = sorted(
        (point.runtime_p50, point.succeeded) for point in hours if point.runtime_p50 is not None
    )
    rest = sum(number for _, number in medians) / 2
    for median, number in medians:
        rest -= number
        if rest <= 0:
            return median
    return None
