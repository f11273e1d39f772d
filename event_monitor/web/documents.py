"""Documents: what ``/api/v1`` answers. Pure: a view in, a mapping for JSON out.

Keys are never left out; null is what is unknown. ``openapi.json`` describes each.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields
from typing import Any, TypeVar

from ..metrics.levels import Level, level_of
from ..settings import Settings
from ..snapshot import RunningTask, TaskCounts, WorkerState, WorkerStatus
from ..survey import QueueDepth, WorkerAnswer
from .judge import Judged
from .views import View

__all__ = [
    "Document",
    "encoded",
    "flat",
    "live_document",
    "queues_document",
    "running_document",
    "running_item",
    "schedules_document",
    "status_document",
    "workers_document",
]

_LARGEST_NUMBER = 2**53  # JavaScript knows no whole number beyond
_COUNTS = ("sent", "received", "started", "succeeded", "failed", "retried", "revoked", "rejected")
_OF_QUEUE = (
    *("name", "ready", "unacked", "consumers", "oldest_seconds", "arrivals_per_second"),
    *("deliveries_per_second", "memory_bytes", "sampled", "missing"),
)
_NO_ANSWER = WorkerAnswer(hostname="")

Document = dict[str, object]
Item = TypeVar("Item")


def encoded(document: Mapping[str, object]) -> bytes:
    """Return JSON that every reader takes: no NaN, and numbers beyond 2^53 as text."""
    return json.dumps(_plain(document), allow_nan=False, separators=(",", ":")).encode()


def flat(value: Any) -> Document:
    """Return a dataclass's fields as they are; `asdict` copies each, which takes twice as long."""
    return {field.name: getattr(value, field.name) for field in fields(value)}


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, int) and abs(value) > _LARGEST_NUMBER:
        return str(value)
    return value


def status_document(view: View, judged: Judged) -> Document:
    """Return the verdict and the numbers of the whole cluster."""
    verdict, snapshot = judged.verdict, view.snapshot
    return {
        "status": _name(verdict.level),
        "problems": verdict.problems,
        "since": judged.since,
        "at": view.at,
        "broker": view.live.link.value,
        "shot": None
        if snapshot is None
        else {
            "opened_at": snapshot.window.opened_at,
            "closed_at": snapshot.window.closed_at,
            "age_seconds": max(0.0, view.at - snapshot.window.closed_at),
            "tasks": _counts(counts for _, counts in snapshot.window.tasks),
            "events_received": snapshot.window.events_received,
            "events_invalid": snapshot.window.events_invalid,
            "events_lost": sum(count for _, count in snapshot.window.events_lost),
        },
        "live": live_document(view),
        "workers": None
        if snapshot is None
        else {
            **{state.value: _how_many(snapshot.workers, state) for state in WorkerState},
            "stalled": None if snapshot.survey.stalled is None else len(snapshot.survey.stalled),
        },
        "monitor": {
            "healthy": view.problem is None,
            "problem": view.problem,
            "role": view.role.value,
            "standbys": None if snapshot is None else snapshot.standbys,
            "second": view.second or None,
            "unsent": None if snapshot is None else snapshot.publisher.unsent,
            "unsent_seconds": None if snapshot is None else snapshot.publisher.unsent_seconds,
        },
    }


def live_document(view: View) -> Document:
    """Return what was counted since the last shot, and how much runs."""
    live = view.live
    return {
        "at": live.taken_at,
        "opened_at": live.opened_at,
        "broker": live.link.value,
        "tasks": _counts(counts for _, counts in live.tasks),
        "running": live.running_count,
        "in_flight": live.tasks_in_flight,
        "oldest_running_seconds": max(0.0, live.taken_at - live.running[0].since)
        if live.running
        else None,
        "shot_at": None if view.snapshot is None else view.snapshot.window.closed_at,
    }


def workers_document(view: View, *, after: str, limit: int) -> Document:
    """Return a page of the workers by name, each with its last answer."""
    snapshot = view.snapshot
    if snapshot is None:
        return _page((), _of_worker, view, after=after, limit=limit)
    answers = {answer.hostname: answer for answer in snapshot.survey.workers or ()}
    stalled = snapshot.survey.stalled

    def document(worker: WorkerStatus) -> Document:
        is_stalled = None if stalled is None else worker.hostname in stalled
        answer = answers.get(worker.hostname, _NO_ANSWER)
        return {**_of_worker(worker), "stalled": is_stalled, **_of_answer(answer)}

    return _page(snapshot.workers, document, view, after=after, limit=limit)


def queues_document(view: View, settings: Settings, *, after: str, limit: int) -> Document:
    """Return a page of the queues by name, as the broker reported them."""
    survey = None if view.snapshot is None else view.snapshot.survey

    def document(queue: QueueDepth) -> Document:
        level = level_of(queue, settings)
        return {
            **{name: getattr(queue, name) for name in _OF_QUEUE},
            "unread": queue.is_unread,
            "status": None if level is None else _name(level),
        }

    page = _page(
        () if survey is None else survey.queues or (), document, view, after=after, limit=limit
    )
    return {**page, "age_seconds": None if survey is None else survey.queues_age_seconds}


def running_document(view: View) -> Document:
    """Return the tasks that have been running longest, oldest first."""
    live = view.live
    return {
        "at": live.taken_at,
        "count": live.running_count,
        "items": [running_item(task, at=live.taken_at) for task in live.running],
    }


def running_item(task: RunningTask, *, at: float) -> Document:
    """Return a task that runs, and for how long."""
    return {**flat(task), "age_seconds": max(0.0, at - task.since)}


def schedules_document(view: View) -> Document:
    """Return the tasks that a schedule expects, by name; those never seen are not judged."""
    scheduled = () if view.snapshot is None else view.snapshot.scheduled
    return {
        "at": view.at,
        "items": [
            {
                **flat(task),
                "overdue_seconds": None if task.seen_at is None else task.overdue_seconds,
            }
            for task in sorted(scheduled, key=lambda task: task.name)
        ],
    }


def _page(
    things: Sequence[Item],
    document: Callable[[Item], Document],
    view: View,
    *,
    after: str,
    limit: int,
) -> Document:
    """Return the things whose name comes after ``after``, and the name to go on with."""
    named = sorted((_name_of(thing), thing) for thing in things if _name_of(thing) > after)
    shown = named[:limit]
    return {
        "at": view.at,
        "count": len(things),
        "items": [document(thing) for _, thing in shown],
        "next": shown[-1][0] if len(named) > limit else None,
    }


def _name_of(thing: object) -> str:
    name: str = thing.hostname if isinstance(thing, WorkerStatus) else getattr(thing, "name", "")
    return name


def _of_worker(worker: WorkerStatus) -> Document:
    document = {**flat(worker), "state": worker.state.value}
    del document["answer"], document["answer_age_seconds"]  # the survey's, which has others, too
    return document


def _of_answer(answer: WorkerAnswer) -> Document:
    return {
        "reserved": answer.reserved,
        "scheduled": answer.scheduled,
        "revoked": answer.revoked,
        "pool_processes": answer.pool_processes,
        "memory_bytes": answer.memory_bytes,
        "queues": answer.queues,
        "prefetch_count": answer.prefetch_count,
        "is_solo": answer.is_solo,
        "uptime_seconds": answer.uptime_seconds,
    }


def _counts(parts: Iterable[TaskCounts]) -> Document:
    counts = tuple(parts)
    return {name: sum(getattr(part, name) for part in counts) for name in _COUNTS}


def _how_many(workers: Iterable[WorkerStatus], state: WorkerState) -> int:
    return sum(worker.state is state for worker in workers)


def _name(level: Level) -> str:
    return level.name.lower()
