"""Render: a report and its verdict as text for people, or as JSON for programs. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict

from ..liveness import SignOfLife
from ..quantities import UNKNOWN, duration
from ..snapshot import TaskInFlight
from ..survey import QueueDepth, WorkerAnswer
from ..text import aligned, printable
from .phrases import cut, monitor_facts, number, workers_answer
from .report import FailureKind, Level, Recent, Report, Verdict

__all__ = ["as_json", "as_text"]

_NARROWEST = 12  # characters of a name, however little room there is
_WORKER = ("worker", "active", "reserved", "scheduled", "processed", "memory")
_QUEUE = ("queue", "ready", "unacked", "consumers", "oldest", "in/s", "out/s", "status")
#: What a worker answers only for the verdict on stalls and backlogs.
_NOT_SHOWN = (
    "unacked_ids",
    *("prefetch_count", "scheduled_by_key", "start_interval_seconds"),
    *("uptime_seconds", "is_solo"),
)
_LONGEST_UUID = 36


def as_json(report: Report, verdict: Verdict) -> dict[str, object]:
    """Return the whole report; keys are never left out, and what is unknown is null."""
    workers = report.workers or ()
    task, age = report.oldest() or (None, None)
    return {
        "status": _name(verdict.level),
        "problems": list(verdict.problems),
        "at": report.at,
        "tasks": {
            "active": _sum(worker.active for worker in workers),
            "reserved": _sum(worker.reserved for worker in workers),
            "scheduled": _sum(worker.scheduled for worker in workers),
            "oldest_running_seconds": age,
            "oldest_running_name": task and task.name,
            "oldest_running_id": task and task.uuid,
            "oldest_running_worker": task and task.worker,
            "too_long": None
            if report.workers is None
            else [
                {**asdict(run.task), "seconds": run.seconds, "p99": run.longest}
                for run in report.too_long
            ],
        },
        "workers": None
        if report.workers is None
        else [_worker_document(worker) for worker in workers],
        "queues": None
        if report.queues is None
        else [
            {
                **_shown(queue),
                "unread": queue.is_unread,
                "status": None if level is None else _name(level),
            }
            for queue, level in zip(report.queues, verdict.queues, strict=True)
        ],
        "recent": None
        if report.recent is None
        else {**asdict(report.recent), "success_rate": report.recent.success_rate},
        "monitor": None if report.monitor is None else _monitor_document(report.monitor),
    }


def as_text(report: Report, verdict: Verdict, *, width: int = 80, perfdata: str = "") -> str:
    """Return one line that says it all, as checks show it; then the tables, for people.

    ``perfdata`` goes behind the line, where Nagios looks for numbers: after the only `|` of it.
    """
    line = ("; ".join(verdict.problems) or _summary(report)).replace("|", "/")
    parts = [f"{verdict.level.name}: {line}{f' | {perfdata}' if perfdata else ''}"]
    if report.workers:
        parts.append(
            _table(_WORKER, [_worker_row(worker) for worker in report.workers], width=width)
        )
    if report.queues:
        rows = [
            _queue_row(queue, level)
            for queue, level in zip(report.queues, verdict.queues, strict=True)
        ]
        parts.append(_table(_QUEUE, rows, width=width))
    if report.recent is not None:
        parts.append(_recent(report.recent, width=width))
    oldest = report.oldest()
    if oldest is not None:
        parts.append(_longest_running(*oldest))
    if report.monitor is not None:
        parts.append(f"monitor: {monitor_facts(report.monitor)}")
    return "\n\n".join(parts)


def _name(level: Level) -> str:
    return level.name.lower()


def _summary(report: Report) -> str:
    active = _sum(worker.active for worker in report.workers or ())
    room = _sum(worker.pool_processes for worker in report.workers or ())
    ready = _sum(queue.ready for queue in report.queues or ())
    facts = []
    if report.workers is not None:
        facts.append(workers_answer(report.workers))
    if active is not None:
        facts.append(f"{number(active)} of {number(room)} processes busy")
    if ready is not None:
        facts.append(f"{number(ready)} messages waiting")
    return ", ".join(facts) or "nothing was asked for"


def _longest_running(task: TaskInFlight, age: float) -> str:
    name, worker = printable(task.name or UNKNOWN), printable(task.worker or UNKNOWN)
    uuid = printable(task.uuid[:_LONGEST_UUID])
    title = "longest running: "
    return f"{title}{duration(age)}, {name} {uuid}\n{' ' * len(title)}on {worker}"


def _recent(recent: Recent, *, width: int) -> str:
    """Return how many succeeded and failed lately, and the kinds of failures."""
    rate = recent.success_rate
    share = "" if rate is None else f" ({rate:.2f} % succeeded)"
    line = (
        f"last {recent.seconds / 60:.0f} minutes: {number(recent.succeeded)} succeeded, "
        f"{number(recent.failed)} failed{share}"
    )
    if recent.failed_since_then:
        line = f"{line}; in the minute that goes on {number(recent.failed_since_then)} failed"
    if not recent.kinds:
        return line
    header = ("failed", "task", "what, and the last of them")
    return f"{line}\n{aligned(header, map(_kind_row, recent.kinds), width=width, sides='r')}"


def _kind_row(kind: FailureKind) -> tuple[str, ...]:
    where = f" at {kind.place}" if kind.place else ""
    what = f"{kind.exception}{where}: {kind.last_id[:_LONGEST_UUID]}"
    times = number(kind.count) if kind.count else f"{number(kind.since_then)} new"
    return times, printable(kind.name), printable(what)


# -- tables ---------------------------------------------------------------------------------------


def _worker_document(worker: WorkerAnswer) -> dict[str, object]:
    return {**_shown(worker), "processed": _processed(worker)}


def _shown(answer: QueueDepth | WorkerAnswer) -> dict[str, object]:
    return {name: value for name, value in asdict(answer).items() if name not in _NOT_SHOWN}


def _monitor_document(sign: SignOfLife) -> dict[str, object]:
    return {
        "shot_seconds": sign.age_seconds,
        "interval_seconds": sign.interval_seconds,
        "sending_seconds": sign.sending_seconds,
        "accepted_seconds": sign.accepted_seconds,
        "standby": sign.stands_by,
        "second": sign.second or None,
    }


def _worker_row(worker: WorkerAnswer) -> tuple[str, ...]:
    memory = worker.memory_bytes
    return (
        worker.hostname,
        f"{number(worker.active)}/{number(worker.pool_processes)}",
        number(worker.reserved),
        number(worker.scheduled),
        number(_processed(worker)),
        UNKNOWN if memory is None else f"{memory / 1e6:,.0f} MB",
    )


def _queue_row(queue: QueueDepth, level: Level | None) -> tuple[str, ...]:
    about = "~" if queue.sampled and queue.unacked is not None else ""
    return (
        queue.name,
        number(queue.ready),
        about + number(queue.unacked),
        number(queue.consumers),
        duration(queue.oldest_seconds),
        number(queue.arrivals_per_second),
        number(queue.deliveries_per_second),
        _flags(queue, level),
    )


def _flags(queue: QueueDepth, level: Level | None) -> str:
    """Return the queue's level, and that nobody reads it."""
    flags = ["" if level is None else _name(level), "unread" if queue.is_unread else ""]
    return ", ".join(filter(None, flags))


def _table(titles: Sequence[str], rows: Sequence[Sequence[str]], *, width: int) -> str:
    """Return a table without the columns in which nothing is known; names are cut to fit."""
    known = [
        index
        for index in range(len(titles))
        if index == 0 or any(row[index] not in (UNKNOWN, "") for row in rows)
    ]
    titles = [titles[index] for index in known]
    rows = [[row[index] for index in known] for row in rows]
    numbers = list(zip(titles, *rows, strict=True))[1:]
    taken = sum(2 + max(map(len, column)) for column in numbers)
    room = max(_NARROWEST, width - taken)
    shown = [[cut(printable(name), room), *cells] for name, *cells in rows]
    return aligned(titles, shown, width=width, sides="l" + "r" * len(numbers))


def _processed(worker: WorkerAnswer) -> int | None:
    """Return the tasks begun since it started; None if it did not say.

    That it has begun none is only known if the rest of that answer, such as its pool, came too.
    """
    if not worker.processed and worker.pool_processes is None:
        return None
    return sum(count for _, count in worker.processed)


def _sum(values: Iterable[int | None]) -> int | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None
