"""Too long: which of the tasks that run have been running far too long. Needs SQLite."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..errors import UnavailableError
from ..history import FILE_NAME, LongRun, Reader, too_long_runs
from ..settings import Settings
from ..snapshot import RunningTask, TaskInFlight

__all__ = ["find_too_long"]


def find_too_long(
    running: Sequence[TaskInFlight], settings: Settings, *, now: float
) -> tuple[LongRun, ...]:
    """Return them, the longest first: by the history in our ``state_dir``, if there is one.

    ``now`` is wall-clock seconds. Raises nothing for a history that cannot be read: what is usual
    is unknown then, and ``long_run_seconds`` counts.
    """
    limit = settings.long_run_seconds
    tasks = [
        RunningTask(task.uuid, task.name, task.worker, task.running_since)
        for task in running
        if task.running_since is not None
    ]
    if not tasks or not limit:
        return ()
    if settings.state_dir:
        try:
            with Reader.open(Path(settings.state_dir, FILE_NAME)) as reader:
                return tuple(too_long_runs(tasks, at=now, reader=reader, unknown_seconds=limit))
        except UnavailableError:
            pass
    return tuple(too_long_runs(tasks, at=now, reader=None, unknown_seconds=limit))
