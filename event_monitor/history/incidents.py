"""Incidents: what is wrong, found in each snapshot; what was and is no more is over. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal, get_args

from ..metrics.levels import Level, level_of
from ..settings import Settings
from ..snapshot import BrokerLink, Snapshot, WorkerLoss, WorkerState

__all__ = ["KINDS", "Condition", "IncidentKind", "conditions", "is_known", "moments"]

IncidentKind = Literal[
    "worker-lost",  # it went silent
    "worker-stalled",  # it beats, and does nothing while work waits in its queues
    "tasks-orphaned",  # a worker is gone, and its tasks never ended
    "broker-away",  # the connection was lost
    "publishing-fails",  # metrics cannot be sent
    "events-lost",  # task events of a worker never came
    "queue-warning",  # its length or age is beyond the first of its limits
    "queue-critical",  # beyond the second
    "queue-unread",  # nobody reads it, and messages wait
    "tasks-failing",  # of this name nothing but failures comes
    "schedule-overdue",  # a periodic task stays away
    "second-monitor",  # it publishes the same, so that everything counts twice
]
KINDS: tuple[str, ...] = get_args(IncidentKind)

_MAX_NAMED = 5  # tasks of one incident
_LONGEST_SECOND = 300  # characters: others say what they are called
_MAX_OF_A_KIND = 500  # in one snapshot: when a data centre goes, the first of its workers will do


@dataclass(frozen=True, slots=True)
class Condition:
    """One thing that is wrong: of what kind, and the worker, queue or task name; empty if none."""

    kind: IncidentKind
    subject: str = ""
    tasks: int = 0
    named: tuple[str, ...] = ()


def conditions(snapshot: Snapshot, settings: Settings) -> dict[tuple[str, str], Condition]:
    """Return what is wrong at this moment, by kind and subject.

    A condition lasts until a snapshot is without it. While nothing is heard of workers and tasks,
    nothing is known to be over: see ``is_known``.
    """
    return _bounded(_lasting(snapshot, settings))


def moments(snapshot: Snapshot) -> tuple[Condition, ...]:
    """Return what happened since the snapshot before, and does not last."""
    return tuple(_bounded(_momentary(snapshot)).values())


def is_known(kind: str, snapshot: Snapshot) -> bool:
    """Return whether this snapshot tells that there is no such condition."""
    if kind.startswith("queue-"):
        return snapshot.survey.queues is not None
    if kind == "publishing-fails":
        return not snapshot.publisher.unsent
    if kind == "broker-away":
        return True
    if kind == "worker-stalled":
        return snapshot.survey.stalled is not None
    return snapshot.link is BrokerLink.LISTENING


def _bounded(found: Iterable[Condition]) -> dict[tuple[str, str], Condition]:
    counts: dict[str, int] = {}
    kept: dict[tuple[str, str], Condition] = {}
    for condition in found:
        counts[condition.kind] = counts.get(condition.kind, 0) + 1
        if counts[condition.kind] <= _MAX_OF_A_KIND:
            kept[condition.kind, condition.subject] = condition
    return kept


def _lasting(snapshot: Snapshot, settings: Settings) -> Iterator[Condition]:
    if snapshot.link is BrokerLink.AWAY:
        yield Condition("broker-away")
    if snapshot.publisher.failures:
        yield Condition("publishing-fails")
    for worker in snapshot.workers:
        if worker.state is WorkerState.LOST:
            yield Condition("worker-lost", worker.hostname)
    for hostname in snapshot.survey.stalled or ():
        yield Condition("worker-stalled", hostname)
    for queue in snapshot.survey.queues or ():
        level = level_of(queue, settings)
        if level in (Level.WARNING, Level.CRITICAL):
            kind: IncidentKind = "queue-critical" if level is Level.CRITICAL else "queue-warning"
            yield Condition(kind, queue.name, tasks=queue.ready or 0)
        if queue.is_unread and queue.ready:
            yield Condition("queue-unread", queue.name, tasks=queue.ready)
    for failing in snapshot.failing:
        yield Condition("tasks-failing", failing.name, tasks=failing.failures)
    for task in snapshot.judged:
        if task.overdue_seconds:
            yield Condition("schedule-overdue", task.name)
    if snapshot.second:
        yield Condition("second-monitor", snapshot.second[:_LONGEST_SECOND])


def _momentary(snapshot: Snapshot) -> Iterator[Condition]:
    if snapshot.window.disconnections and snapshot.link is not BrokerLink.AWAY:
        yield Condition("broker-away")
    for worker, events in snapshot.window.events_lost:
        if events:
            yield Condition("events-lost", worker, tasks=events)
    for loss in snapshot.losses:
        if loss.orphans:
            yield Condition("tasks-orphaned", loss.hostname, len(loss.orphans), _named(loss))


def _named(loss: WorkerLoss) -> tuple[str, ...]:
    return tuple(f"{task.name}[{task.uuid}]" for task in loss.orphans[:_MAX_NAMED])
