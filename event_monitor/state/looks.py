"""Looks: what the open window has counted, and what runs, copied a little at a time.

So no event has to wait: the state's lock is held for some cells, or workers, at once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from heapq import nsmallest
from typing import TypeVar

from ..snapshot import Live
from .aggregator import Aggregator
from .in_flight import InFlightTask, first_start, oldest_of
from .window import OpenWindow, TaskCounters, totals_by_name, totals_by_pair, totals_by_worker

__all__ = ["Looks"]

_MAX_LOOKED_AT = 500  # workers whose oldest task is looked up while the lock is held
_MAX_COPIED = 20  # cells copied while the lock is held
_MAX_LIVE_TASKS = 200  # running tasks that a look shows

_Taken = TypeVar("_Taken")


class Looks:
    """Looks into what the ``mutex`` protects, which the caller does not hold.

    ``by_host``: whether what is counted is also told apart by worker.
    """

    def __init__(
        self, aggregator: Aggregator, mutex: AbstractContextManager[object], *, by_host: bool
    ) -> None:
        self._aggregator = aggregator
        self._mutex = mutex
        self._by_host = by_host

    def counted(self, *, with_times: bool) -> Live:
        """Return what is counted in the open window; without times, that of each name only."""
        if not with_times:
            opened_at, counted = self._of_open_cells(
                lambda counters: (counters.cell.name, counters.counts())
            )
            return Live(taken_at=opened_at, opened_at=opened_at, tasks=totals_by_name(counted))
        opened_at, cells = self._of_open_cells(TaskCounters.copy)
        window = OpenWindow(opened_at)
        window.cells = cells
        return Live(
            taken_at=opened_at,
            opened_at=opened_at,
            tasks=totals_by_name((cell.cell.name, cell.counts()) for cell in cells),
            by_task_and_queue=totals_by_pair(window),
            by_task_queue_and_worker=totals_by_worker(window) if self._by_host else (),
            exceptions=window.exceptions(by_worker=self._by_host),
        )

    def oldest_running(
        self, groups: Sequence[Mapping[str, InFlightTask]], now: float
    ) -> list[tuple[InFlightTask, float]]:
        """Return the tasks that run longest and since when, oldest first. ``groups``: by worker.

        The oldest are among those of the workers with the oldest first task.
        """
        firsts: list[tuple[float, int]] = []
        for start in range(0, len(groups), _MAX_LOOKED_AT):
            with self._mutex:
                for place, running in enumerate(groups[start : start + _MAX_LOOKED_AT], start):
                    since = first_start(running)
                    if since is not None:
                        firsts.append((since, place))
        oldest = nsmallest(_MAX_LIVE_TASKS, firsts)
        with self._mutex:
            tasks = oldest_of([groups[place] for _, place in oldest], _MAX_LIVE_TASKS)
            return [(task, task.running_since or now) for task in tasks]

    def _of_open_cells(self, take: Callable[[TaskCounters], _Taken]) -> tuple[float, list[_Taken]]:
        """Return when the open window began, and what is taken of each of its cells.

        A window that is closed meanwhile is not shown: it belongs to its snapshot by then.
        """
        while True:
            with self._mutex:
                window = self._aggregator.window
                cells = tuple(window.cells)
            taken: list[_Taken] = []
            for start in range(0, len(cells), _MAX_COPIED):
                with self._mutex:
                    if self._aggregator.window is not window:
                        break
                    taken += map(take, cells[start : start + _MAX_COPIED])
            else:
                return window.opened_at, taken
