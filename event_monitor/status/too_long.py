"""Too long: which of the tasks that run have been running far too long. Needs SQLite."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..errors import UnavailableError
from ..history import FILE_NAME, LongRun, Points, Reader, too_long_runs
from ..settings import Settings
from ..snapshot import RunningTask, TaskInFlight

__all__ = ["find_too_long", "too_long_among"]


def find_too_long(
    running: Sequence[TaskInFlight], settings: Settings, *, now: float
) -> tuple[LongRun, ...]:
    """Return them, the longest first: by the history in our ``state_dir``, if there is one.

    ``now`` is wall-clock seconds. Raises nothing for a history that cannot be read: what is usual
    is unknown then, and ``long_run_seconds`` counts.
    """
    tasks = [
        RunningTask(task.uuid, task.name, task.worker, task.running_since)
        for task in running
        if task.running_since is not None
    ]
    if tasks and settings.state_dir:
        try:
            with Reader.open(Path(settings.state_dir, FILE_NAME)) as reader:
                return too_long_among(tasks, settings, at=now, reader=reader)
        except UnavailableError:
            pass
    return too_long_among(tasks, settings, at=now, reader=None)


def too_long_among(
    tasks: Sequence[RunningTask], settings: Settings, *, at: float, reader: Points | None
) -> tuple[LongRun, ...]:
    """Return them, the longest first.

    Without a reader, or if it knows nothing of a name, ``long_run_seconds`` counts; 0 is never.
    """
    limit = settings.long_run_seconds
    if not limit:
        return ()
    return tuple(too_long_runs(tasks, at=at, reader=reader, unknown_seconds=limit))
