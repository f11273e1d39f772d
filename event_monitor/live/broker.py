"""Broker: looks by asking broker and workers, as ``status`` does, where no monitor runs."""

from __future__ import annotations

from collections.abc import Callable

from ..errors import UnavailableError
from ..history import Run
from ..settings import Settings
from ..snapshot import RunningTask, WorkerState, WorkerStatus
from ..status.report import Report, judge
from ..survey import WorkerAnswer
from .look import Look, RunningRow, queue_rows, worker_rows

__all__ = ["Broker"]

_NOTE = (
    "no monitor runs here: failures, the last hour, how long tasks run as a rule and workers "
    "that died or drain are unknown"
)


class Broker:
    """The cluster as ``ask`` finds it; see ``Source``. ``where`` is the broker, fit to be shown."""

    def __init__(self, where: str, ask: Callable[[], Report], settings: Settings) -> None:
        self.where = where
        self._ask = ask
        self._settings = settings

    def look(self) -> Look:
        """Ask once; see ``Source``."""
        report = self._ask()
        if report.unknown and report.queues is None and not report.workers:
            raise UnavailableError(f"{report.unknown[0]}.")
        verdict = judge(report, self._settings, min_workers=1)
        workers = report.workers
        too_long = {run.task.id for run in report.too_long}
        running = [
            RunningRow(
                RunningTask(task.uuid, task.name, task.worker, task.running_since or report.at),
                None if task.running_since is None else max(0.0, report.at - task.running_since),
                too_long=task.uuid in too_long,
            )
            for task in report.running
        ]
        running.sort(key=lambda row: -(row.seconds or 0.0))
        return Look(
            at=report.at,
            level=verdict.level.name.lower(),
            problems=verdict.problems,
            age_seconds=0.0,
            running=None if workers is None else tuple(running),
            running_count=None if workers is None else len(running),
            queues=None if report.queues is None else queue_rows(report.queues, self._settings),
            workers=None if workers is None else worker_rows(map(_heard, workers), workers),
            notes=(_NOTE, *report.unknown),
        )

    def runs(self, task_id: str) -> tuple[Run, ...]:
        """Know nothing of what ended; see ``Source``."""
        del task_id
        raise UnavailableError("how tasks ended is known where a monitor with a history runs.")


def _heard(worker: WorkerAnswer) -> WorkerStatus:
    """Return the status of a worker that has just answered."""
    return WorkerStatus(worker.hostname, WorkerState.ONLINE, 0.0, active=worker.active)
