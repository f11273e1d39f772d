"""History documents: what ``/api/v1`` answers of what is over. Pure, but for what it reads."""

from __future__ import annotations

from ..history import MINUTE, Reader, Run, RunFilter, Span
from .documents import Document, flat, running_item
from .views import View

__all__ = [
    "failures_document",
    "first_moment",
    "incidents_document",
    "series_document",
    "task_document",
    "tasks_document",
]


def tasks_document(
    reader: Reader, wanted: RunFilter, *, before: int | None, limit: int, at: float
) -> Document:
    """Return a page of the runs that are wanted, newest first, and how much was kept."""
    page = reader.runs(wanted, before=before, limit=limit)
    return {
        "at": at,
        "items": [_of_run(run) for run in page.runs],
        "next": page.next,
        "kept": [flat(kept) for kept in reader.kept(since=wanted.since or 0.0)],
    }


def task_document(reader: Reader, view: View, task_id: str) -> Document | None:
    """Return all that is known of one task; None if that is nothing."""
    runs = reader.task(task_id)
    running = next((task for task in view.live.running if task.id == task_id), None)
    if not runs and running is None:
        return None
    return {
        "at": view.at,
        "id": task_id,
        "running": None if running is None else running_item(running, at=view.live.taken_at),
        "runs": [_of_run(run) for run in runs],
        "children": [_of_run(run) for run in reader.children(task_id)],
    }


def failures_document(
    reader: Reader, *, since: float | None, name: str | None, limit: int, at: float
) -> Document:
    """Return the failures by task, exception and place, the one that failed last first."""
    groups = reader.failures(since=since, name=name, limit=limit)
    return {"at": at, "items": [flat(group) for group in groups]}


def incidents_document(
    reader: Reader, *, since: float, only_open: bool, limit: int, at: float
) -> Document:
    """Return what was wrong, what began last first."""
    incidents = reader.incidents(since=since, only_open=only_open, limit=limit)
    return {"at": at, "items": [flat(incident) for incident in incidents]}


def series_document(
    reader: Reader,
    span: Span,
    *,
    name: str | None,
    queue: str | None,
    since: float,
    until: float,
    at: float,
) -> Document:
    """Return minutes or hours of all tasks, of one name, or of one queue and what came from it."""
    tasks = reader.task_points(span, name=name or "", queue=queue or "", since=since, until=until)
    queues = reader.queue_points(span, name=queue, since=since, until=until) if queue else ()
    return {
        "at": at,
        "span_seconds": span,
        "tasks": [flat(point) for point in tasks],
        "queue": [flat(point) for point in queues],
    }


def first_moment(span: Span, *, now: float) -> float:
    """Return since when a series is shown where nothing is said: an hour, or a day."""
    return now - (3_600.0 if span == MINUTE else 86_400.0)


def _of_run(run: Run) -> Document:
    return {**flat(run), "details": dict(run.details)}
