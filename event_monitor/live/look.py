"""Look: everything that the screen shows, as it was at one moment. Frozen values, and pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from ..history import FailureGroup, Run
from ..settings import Settings
from ..snapshot import RunningTask, Snapshot, Window, WorkerStatus
from ..survey import QueueDepth, Survey, WorkerAnswer
from ..web import rows
from ..web.overview import Change, Chart, QueueChart
from ..web.rows import QueueRow, WorkerRow

__all__ = ["Look", "RunningRow", "Source", "queue_rows", "worker_rows"]


@dataclass(frozen=True, slots=True)
class RunningRow:
    """A task that runs, for ``seconds`` so far; None is unknown.

    ``usual``: 95 % of the tasks of its name ran no longer, in seconds; None is unknown.
    ``too_long``: far longer than its like.
    """

    task: RunningTask
    seconds: float | None
    usual: float | None = None
    too_long: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """The cluster at ``at``, wall-clock seconds since the epoch. None is unknown.

    ``level`` is ok, warning, critical or unknown, ``problems`` a sentence for each, the worst
    first, and ``since`` when the level changed last. ``age_seconds`` is how old the numbers of
    queues and workers are. ``per_minute`` has what succeeded and failed in a minute lately.
    ``trends`` has the last hour of some queues. ``notes`` say what is not known, and why.
    """

    at: float
    level: str
    problems: tuple[str, ...] = ()
    since: float | None = None
    age_seconds: float | None = None
    per_minute: tuple[float, float] | None = None
    chart: Chart | None = None
    failures: tuple[FailureGroup, ...] | None = None
    changes: tuple[Change, ...] | None = None
    running: tuple[RunningRow, ...] | None = None
    running_count: int | None = None
    queues: tuple[QueueRow, ...] | None = None
    workers: tuple[WorkerRow, ...] | None = None
    trends: Mapping[str, QueueChart] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


class Source(Protocol):
    """Where a look comes from. Used by several threads, one call of each method at a time."""

    @property
    def where(self) -> str:
        """Return whom it asks, fit to be shown."""
        ...

    def look(self) -> Look:
        """Look once, within seconds. Raises ``UnavailableError`` with a sentence."""
        ...

    def runs(self, task_id: str) -> tuple[Run, ...]:
        """Return the runs of a task that ended, the first one first, with their details.

        Raises ``UnavailableError`` with a sentence where nothing of that is known.
        """
        ...


def queue_rows(queues: Iterable[QueueDepth], settings: Settings) -> tuple[QueueRow, ...]:
    """Return the rows of the page for these queues, the worst first."""
    snapshot = Snapshot(window=Window(0.0, 0.0), survey=Survey(queues=tuple(queues)))
    return tuple(rows.queue_rows(snapshot, settings))


def worker_rows(
    workers: Iterable[WorkerStatus],
    answers: Iterable[WorkerAnswer],
    *,
    stalled: Iterable[str] = (),
    orphans: Mapping[str, int] | None = None,
) -> tuple[WorkerRow, ...]:
    """Return the rows of the page for these workers, the worst first, without those that left.

    ``orphans``: how many tasks each that is gone left.
    """
    snapshot = Snapshot(
        window=Window(0.0, 0.0),
        workers=tuple(workers),
        survey=Survey(workers=tuple(answers), stalled=tuple(stalled)),
    )
    found = rows.worker_rows(snapshot, orphans=orphans)
    return tuple(row for row in found if row.state != "offline")
