"""Report: what was found out of workers and queues, judged, and as text or JSON. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ..metrics.gauges import status_of
from ..settings import Settings
from ..snapshot import TaskInFlight
from ..survey import QueueDepth, WorkerAnswer
from ..text import aligned

__all__ = ["Report", "as_json", "as_text"]

OK, WARNING, CRITICAL, UNKNOWN = 0, 1, 2, 3  # the exit codes of Nagios plugins
_NAMES = ("ok", "warning", "critical", "unknown")
_WORST_FIRST = (CRITICAL, WARNING, UNKNOWN, OK)
_NARROWEST = 12  # characters of a name, however little room there is


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The cluster now. None is not known; ``unknown`` has a sentence for each such thing.

    ``running`` are the tasks that run; ``at`` is the wall clock, seconds since the epoch.
    """

    at: float
    workers: tuple[WorkerAnswer, ...] | None = None
    running: tuple[TaskInFlight, ...] = ()
    queues: tuple[QueueDepth, ...] | None = None
    unknown: tuple[str, ...] = ()

    def problems(self, settings: Settings, *, min_workers: int) -> tuple[tuple[int, str], ...]:
        """Level and sentence of all that is wrong, the worst first."""
        # Workers and queues are on one broker: what else is unknown is so for the same reason.
        found = [(UNKNOWN, sentence) for sentence in self.unknown[:1]]
        if self.workers is not None and len(self.workers) < min_workers:
            told = f"{_answering(self.workers)}, fewer than {min_workers}"
            found.append((CRITICAL, told if self.workers else "no worker answers"))
        for queue in self.queues or ():
            level = status_of(queue, settings)
            if level:
                found.append((level, f"queue {_printable(queue.name)}: {_waiting(queue)}"))
        return tuple(sorted(found, key=lambda one: _WORST_FIRST.index(one[0])))

    def level(self, settings: Settings, *, min_workers: int) -> int:
        """0 ok, 1 warning, 2 critical, 3 unknown: the worst of the problems."""
        return next((level for level, _ in self.problems(settings, min_workers=min_workers)), OK)

    def oldest(self) -> TaskInFlight | None:
        """The task that has been running longest; None if none runs, or no start is known."""
        begun = [one for one in self.running if one.running_since is not None]
        return min(begun, key=lambda one: one.running_since or 0.0, default=None)


def as_json(report: Report, settings: Settings, *, min_workers: int) -> dict[str, Any]:
    """The whole report; keys are never left out, and what is not known is null."""
    oldest, workers = report.oldest(), report.workers
    return {
        "status": _NAMES[report.level(settings, min_workers=min_workers)],
        "problems": [text for _, text in report.problems(settings, min_workers=min_workers)],
        "at": report.at,
        "tasks": {
            "active": _sum(one.active for one in workers or ()),
            "reserved": _sum(one.reserved for one in workers or ()),
            "scheduled": _sum(one.scheduled for one in workers or ()),
            "oldest_running_seconds": oldest and _age(oldest, report),
            "oldest_running_name": oldest and oldest.name,
            "oldest_running_id": oldest and oldest.uuid,
            "oldest_running_worker": oldest and oldest.worker,
        },
        "workers": None
        if workers is None
        else [{**asdict(one), "processed": _processed(one)} for one in workers],
        "queues": None
        if report.queues is None
        else [{**asdict(one), "status": _status(one, settings)} for one in report.queues],
    }


def as_text(report: Report, settings: Settings, *, min_workers: int, width: int = 80) -> str:
    """A line that says it all, as checks show it; then the tables, for people."""
    level = report.level(settings, min_workers=min_workers)
    problems = report.problems(settings, min_workers=min_workers)
    line = "; ".join(text for _, text in problems) or _summary(report)
    parts = [f"{_NAMES[level].upper()}: {line}"]
    if report.workers:
        rows = [_worker_row(one) for one in report.workers]
        parts.append(_table(("worker", *_WORKER), rows, width=width))
    if report.queues:
        rows = [_queue_row(one, settings) for one in report.queues]
        parts.append(_table(("queue", *_QUEUE), rows, width=width))
    oldest = report.oldest()
    if oldest is not None:
        told = f"{_printable(oldest.name or '?')} {oldest.uuid[:36]}"
        age = _span(_age(oldest, report))
        where = _printable(oldest.worker or "?")
        parts.append(f"longest running: {age}, {_printable(told)}\n                 on {where}")
    return "\n\n".join(parts)


_WORKER = ("active", "reserved", "scheduled", "processed", "memory")
_QUEUE = ("ready", "unacked", "consumers", "oldest", "in/s", "out/s", "status")


def _worker_row(worker: WorkerAnswer) -> tuple[str, ...]:
    return (
        worker.hostname,
        f"{_number(worker.active)}/{_number(worker.pool_processes)}",
        _number(worker.reserved),
        _number(worker.scheduled),
        _number(_processed(worker)),
        "?" if worker.memory_bytes is None else f"{worker.memory_bytes / 1e6:,.0f} MB",
    )


def _queue_row(queue: QueueDepth, settings: Settings) -> tuple[str, ...]:
    return (
        queue.name,
        _number(queue.ready),
        ("~" if queue.sampled and queue.unacked is not None else "") + _number(queue.unacked),
        _number(queue.consumers),
        _span(queue.oldest_seconds),
        _number(queue.arrivals_per_second),
        _number(queue.deliveries_per_second),
        _status(queue, settings) or "",
    )


def _table(header: Sequence[str], rows: list[tuple[str, ...]], *, width: int) -> str:
    """A table without the columns in which nothing is known; names are cut to what is left."""
    columns = [
        column
        for column in range(len(header))
        if not column or any(row[column] not in ("?", "") for row in rows)
    ]
    shown = [[row[column] for column in columns] for row in rows]
    titles = [header[column] for column in columns]
    taken = sum(
        2 + max(len(titles[place]), *(len(row[place]) for row in shown))
        for place in range(1, len(columns))
    )
    for row in shown:
        row[0] = _cut(_printable(row[0]), max(_NARROWEST, width - taken))
    return aligned(titles, shown, width=width, right="l" + "r" * (len(columns) - 1))


def _summary(report: Report) -> str:
    workers = report.workers or ()
    active = _sum(one.active for one in workers)
    room = _sum(one.pool_processes for one in workers)
    ready = _sum(one.ready for one in report.queues or ())
    told = []
    if report.workers is not None:
        told.append(_answering(workers))
    if active is not None:
        told.append(f"{_number(active)} of {_number(room)} processes busy")
    if ready is not None:
        told.append(f"{_number(ready)} messages waiting")
    return ", ".join(told) or "nothing was asked for"


def _waiting(queue: QueueDepth) -> str:
    oldest = (
        "" if queue.oldest_seconds is None else f", the oldest for {_span(queue.oldest_seconds)}"
    )
    return f"{_number(queue.ready)} waiting{oldest}"


def _status(queue: QueueDepth, settings: Settings) -> str | None:
    level = status_of(queue, settings)
    return None if level is None else _NAMES[level]


def _age(task: TaskInFlight, report: Report) -> float:
    return max(0.0, report.at - (task.running_since or 0.0))


def _answering(workers: Sequence[WorkerAnswer]) -> str:
    return "1 worker answers" if len(workers) == 1 else f"{len(workers):,} workers answer"


def _processed(worker: WorkerAnswer) -> int | None:
    """Tasks begun since it started. Without any, only an answer to the same question proves it."""
    if not worker.processed and worker.pool_processes is None:
        return None
    return sum(count for _, count in worker.processed)


def _number(value: float | None) -> str:
    if value is None:
        return "?"
    return f"{value:,}" if isinstance(value, int) else f"{value:,.1f}"


def _span(seconds: float | None) -> str:
    if seconds is None:
        return "?"
    whole = int(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3_600:
        return f"{whole // 60}m {whole % 60:02}s"
    return f"{whole // 3_600:,}h {whole % 3_600 // 60:02}m"


def _printable(name: str) -> str:
    """A name from the broker, without what would steer a terminal."""
    return "".join(one if one.isprintable() else "?" for one in name)


def _cut(name: str, room: int) -> str:
    """Its beginning and its end, where hosts and queues differ."""
    if len(name) <= room:
        return name
    head = (room - 1) // 2
    return f"{name[:head]}…{name[head + 1 - room :]}"


def _sum(values: Iterable[int | None]) -> int | None:
    known = [one for one in values if one is not None]
    return sum(known) if known else None
