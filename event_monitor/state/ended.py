"""Ended: a task that has just ended, as a value for the consumers of tasks. Pure."""

from __future__ import annotations

from typing import Literal

from ..events import TaskEvent, exception_type
from ..snapshot import OTHER, UNKNOWN, EndedTask
from .in_flight import Details, InFlightTask

__all__ = ["ended_task"]

_HOW: dict[str, Literal["succeeded", "failed", "revoked", "rejected"]] = {
    "task-succeeded": "succeeded",
    "task-failed": "failed",
    "task-revoked": "revoked",
    "task-rejected": "rejected",
}


def ended_task(task: InFlightTask, event: TaskEvent) -> EndedTask:
    """Return the task, which is not in flight any more, as ended by this event."""
    how = _HOW[event.type]
    details = task.details or Details()
    first_received = details.first_received_at
    return EndedTask(
        id=event.uuid,
        name=task.name,
        how=how,
        ended=event.timestamp,
        queue=details.queue or _known(task.cell.queue),
        worker=event.hostname,
        sent=details.first_sent_at,
        received=task.received_at if first_received is None else first_received,
        started=task.started_at,
        retries=details.retries,
        exception=exception_type(event) if how == "failed" else None,
    )


def _known(queue: str) -> str | None:
    return None if queue in (OTHER, UNKNOWN) else queue
