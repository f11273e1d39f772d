"""Rows: queues and workers as lists show them, the worst first. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from ..metrics.levels import Level, level_of
from ..quantities import duration
from ..settings import Settings
from ..snapshot import Snapshot, Window, WorkerState, WorkerStatus
from ..survey import QueueDepth, WorkerAnswer

__all__ = [
    "QueueRow",
    "Tone",
    "WorkerRow",
    "queue_rows",
    "worker_rows",
]

Tone = Literal["", "bad", "warn", "ok", "dim"]

_TONES: dict[Level | None, Tone] = {Level.CRITICAL: "bad", Level.WARNING: "warn"}
_NO_ANSWER = WorkerAnswer(hostname="")
_WORST = {"bad": 0, "warn": 1, "": 2, "ok": 2, "dim": 3}


@dataclass(frozen=True, slots=True)
class QueueRow:
    """A queue, how bad it is, and when it will be empty if all goes on as it does."""

    queue: QueueDepth
    tone: Tone
    note: str = ""
    outlook: str = "?"
    grows: bool = False


def queue_rows(snapshot: Snapshot | None, settings: Settings) -> list[QueueRow]:
    """Return the queues, the worst first: by their limits, then by age, then by length."""
    if snapshot is None:
        return []
    rates = _rates(snapshot.window)
    rows = [
        _queue_row(_with_rates(queue, rates.get(queue.name)), settings)
        for queue in snapshot.survey.queues or ()
    ]
    return sorted(
        rows,
        key=lambda row: (
            _WORST[row.tone],
            -(row.queue.oldest_seconds or 0.0),
            -(row.queue.ready or 0),
            row.queue.name,
        ),
    )


def _rates(window: Window) -> dict[str, tuple[float, float]]:
    """Return how many tasks went into and out of each queue a second, as events tell.

    Of a cluster that sends no task-sent nothing is known.
    """
    seconds = max(1.0, window.closed_at - window.opened_at)
    counts: dict[str, list[int]] = {}
    for _, queue, of in window.by_task_and_queue:
        sums = counts.setdefault(queue, [0, 0])
        sums[0] += of.sent
        sums[1] += of.received
    if not any(sent for sent, _ in counts.values()):
        return {}
    return {queue: (sent / seconds, out / seconds) for queue, (sent, out) in counts.items()}


def _with_rates(queue: QueueDepth, rates: tuple[float, float] | None) -> QueueDepth:
    """Return the queue with rates where the broker tells none, as Redis does not."""
    if rates is None or queue.arrivals_per_second is not None:
        return queue
    return replace(queue, arrivals_per_second=rates[0], deliveries_per_second=rates[1])


def _queue_row(queue: QueueDepth, settings: Settings) -> QueueRow:
    tone = _TONES.get(level_of(queue, settings), "")
    note = ""
    if queue.missing:
        note = "is not there"
    elif queue.is_unread:
        note, tone = "nobody reads it", tone or ("warn" if queue.ready else "")
    outlook, grows = _outlook(queue)
    return QueueRow(queue, tone, note, outlook, grows)


def _outlook(queue: QueueDepth) -> tuple[str, bool]:
    """Return when the queue will be empty, and whether it grows."""
    if queue.ready is None:
        return "?", False
    if queue.ready == 0:
        return "–", False
    if queue.is_unread:
        return "never", False
    arrivals, deliveries = queue.arrivals_per_second, queue.deliveries_per_second
    if arrivals is None or deliveries is None:
        return "?", False
    if arrivals > deliveries:
        return "grows", True
    if arrivals == deliveries:
        return "never", False
    return duration(queue.ready / (deliveries - arrivals)), False


@dataclass(frozen=True, slots=True)
class WorkerRow:
    """A worker, what is the matter with it, and what it answered last."""

    worker: WorkerStatus
    state: str
    tone: Tone
    note: str = ""
    answer: WorkerAnswer = _NO_ANSWER
    unfinished: int = 0  # tasks that it left when it was lost

    @property
    def is_online(self) -> bool:
        """Return whether it is there, well or not."""
        return self.worker.state is WorkerState.ONLINE

    @property
    def active(self) -> int | None:
        """Return how many tasks it runs."""
        return self.worker.active if self.worker.active is not None else self.answer.active


def worker_rows(
    snapshot: Snapshot | None, *, orphans: Mapping[str, int] | None = None
) -> list[WorkerRow]:
    """Return the workers, the worst first. ``orphans``: how many tasks each that is gone left."""
    if snapshot is None:
        return []
    answers = {answer.hostname: answer for answer in snapshot.survey.workers or ()}
    stalled = frozenset(snapshot.survey.stalled or ())
    rows = []
    for worker in snapshot.workers:
        name = worker.hostname
        left = (orphans or {}).get(name, 0)
        state, tone, note = _judged(worker, is_stalled=name in stalled, orphans=left)
        answer = answers.get(name, _NO_ANSWER)
        rows.append(WorkerRow(worker, state, tone, note, answer, unfinished=left))
    return sorted(rows, key=lambda row: (_WORST[row.tone], row.worker.hostname))


def _judged(worker: WorkerStatus, *, is_stalled: bool, orphans: int) -> tuple[str, Tone, str]:
    if worker.state is WorkerState.LOST:
        return "lost", "bad", _tasks(orphans, "unfinished") if orphans else ""
    if worker.state is WorkerState.OFFLINE:
        if worker.draining:
            return "draining", "warn", _tasks(worker.draining, "left")
        return "offline", "dim", ""
    if is_stalled:
        return "stalled", "bad", "does nothing, and work waits"
    if worker.is_shared:
        return "online", "warn", f"{worker.processes} processes have this name"
    if not worker.sends_task_events:
        return "online", "warn", "sends no task events: start it with -E"
    return "online", "ok", ""


def _tasks(number: int, what: str) -> str:
    return f"{number:,} {'task' if number == 1 else 'tasks'} {what}"
