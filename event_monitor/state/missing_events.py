"""Missing events: task-started that a worker counted and that never came.

They are lost when nothing explains them: not asked for, still on their way, silent on purpose, or
of which of several processes nobody knows. Pure and not thread-safe.
"""

from __future__ import annotations

from collections.abc import Iterable

from ..events import WorkerEvent
from .process import Process, with_events
from .worker import Worker

__all__ = ["SETTLE_SECONDS", "MissingEvents"]

SETTLE_SECONDS = 5.0  # after a goodbye: task events sent before it may still be on their way
_IDLE_BEATS = 3  # heartbeats without work, after which no task event is to be waited for
_PATIENCE = 2  # surveys that may tell of silent tasks, before events count as lost
_LATE_SECONDS = 10.0  # an answer may come so much later than the survey is due, on a busy machine


class MissingEvents:
    """What is lost of the events of all workers, since it was last taken.

    ``survey_seconds``: how often the workers are asked; None if they are not.
    """

    def __init__(self, *, survey_seconds: float | None) -> None:
        self._survey_seconds = survey_seconds
        self.are_asked = False  # whether the workers have been asked yet, whoever answered
        self._lost: dict[str, int] = {}

    def heartbeat(self, worker: Worker, process: Process, event: WorkerEvent, now: float) -> None:
        """Find out what is lost, and whether the worker sends task events at all.

        What is missing counts as lost when a later task event shows that events are sent, or when
        there is no work that would bring one. Where it is not known whose task events come, nothing
        is missing.
        """
        processed = with_events(event.processed or 0, event.facts)
        if process.processed_at_first is None:
            process.processed_at_first = processed
        progress = process.counted is not None and processed > process.counted
        process.counted = processed
        process.idle_beats = 0 if progress else process.idle_beats + 1
        if worker.is_ambiguous:
            return
        if progress or (not process.sends and processed > process.processed_at_first):
            process.beats_without_task_events += 1
        process.missing += process.loss_meter.heartbeat(event.timestamp, processed)
        if not process.sends_task_events:
            process.missing, process.sends = 0, False
        elif process.missing and process.idle_beats >= _IDLE_BEATS:
            self.lose(worker, process, now)

    def settle(self, worker: Worker, process: Process, now: float) -> None:
        """Count what is missing of a process that is gone."""
        if not worker.is_ambiguous:
            process.missing += process.loss_meter.settle()
        self.lose(worker, process, now)

    def lose(self, worker: Worker, process: Process, now: float) -> None:
        """Count what is missing as lost, if the worker sends task events at all.

        Where workers are asked, their own totals may first tell that silent tasks explain it.
        """
        missing, process.missing = process.missing, 0
        if not missing or not process.sends:
            return
        if self._survey_seconds is None or not self.are_asked:
            self._lost[worker.hostname] = self._lost.get(worker.hostname, 0) + missing
        else:
            worker.silent_tasks.miss(missing, now=now)

    def take(self, workers: Iterable[Worker], *, now: float) -> dict[str, int]:
        """Return how many task-started events never came, by worker, since the last call."""
        lost, self._lost = self._lost, {}
        patience = _PATIENCE * (self._survey_seconds or 0.0) + _LATE_SECONDS
        for worker in workers:
            silent_tasks = worker.silent_tasks
            if silent_tasks.is_empty:  # nearly always
                continue
            count = silent_tasks.take_lost(now=now, patience_seconds=patience)
            if count:
                lost[worker.hostname] = lost.get(worker.hostname, 0) + count
        return lost
