"""Silent tasks: those that send no events on purpose (``Task.send_events = False``).

A worker's ``processed`` counts them, so its loss meter misses their events. The totals by task name
that the worker reports when asked tell them apart: their names grow, and no event ever names them.
Pure and not thread-safe.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

__all__ = ["SilentTasks"]


class SilentTasks:
    """What one worker ran without events, against the events that its loss meter misses.

    ``miss`` takes what is missing and ``note_totals`` the worker's answers; ``take_lost`` returns
    what silent tasks do not explain, once an answer came that is newer than what is missing.
    """

    __slots__ = ("_lost", "_missing", "_silent", "_totals")

    def __init__(self) -> None:
        self._totals: Mapping[str, int] | None = None  # task name → begun, as last reported
        self._silent = 0  # begun without an event, and not set against missing ones yet
        self._missing: list[tuple[float, int]] = []  # when noted, by our monotonic clock; how many
        self._lost = 0

    @property
    def is_empty(self) -> bool:
        """Return whether nothing is missing."""
        return not self._missing and not self._lost

    def miss(self, count: int, *, now: float) -> None:
        """Note that so many task-started events are missing."""
        self._missing.append((now, count))

    def note_totals(
        self,
        totals: Mapping[str, int],
        *,
        at: float,
        is_new: bool,
        sends_events: Callable[[str], bool],
    ) -> None:
        """Note how many tasks of each name the worker had begun at that time.

        ``is_new``: the process that reports them had begun nothing when its first event came.
        ``sends_events`` returns whether an event of tasks of that name ever came.
        """
        before = self._totals
        if before is not None and any(
            totals.get(name, 0) < count for name, count in before.items()
        ):
            before = {}  # another process reports now
        self._totals = totals
        grown = sum(
            count - (before or {}).get(name, 0)
            for name, count in totals.items()
            if count > (before or {}).get(name, 0) and not sends_events(name)
        )
        self._silent += grown
        self._settle(up_to=at)
        if before is None and not is_new:
            self._silent = 0  # what it had begun before we came can excuse nothing later

    def take_lost(self, *, now: float, patience_seconds: float) -> int:
        """Return how many events are lost for certain, once.

        Those that no answer has explained are, after ``patience_seconds``.
        """
        self._settle(up_to=now - patience_seconds)
        lost, self._lost = self._lost, 0
        return lost

    def _settle(self, *, up_to: float) -> None:
        """Set the silent tasks against what was missing at that time; the rest is lost."""
        missing = sum(count for since, count in self._missing if since < up_to)
        if missing:
            self._missing = [(since, count) for since, count in self._missing if since >= up_to]
            explained = min(missing, self._silent)
            self._silent -= explained
            self._lost += missing - explained
