"""Splits: the values per task, queue, worker, exception and event type, within the budget."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import islice
from typing import Generic, TypeVar

from ..catalog import SPLIT_SETTINGS, Dimension, MetricSpec
from ..settings import Settings
from ..snapshot import OTHER, ExceptionCounts, Snapshot, TaskCounts, WorkerState, total
from .gauges import label_of_queue, values_by_queue, worker_values
from .labels import label_for
from .source_values import SourceValues, number_of, values_of_counts

__all__ = ["Split", "by_task_and_exception", "is_split", "splits_of"]

Label = TypeVar("Label", str, tuple[str, str])


@dataclass(frozen=True, slots=True)
class Split(Generic[Label]):
    """Values by label of one dimension, and the number of labels the budget had no place for."""

    values: dict[Label, SourceValues] = field(default_factory=dict)
    folded: int = 0


def is_split(metric: MetricSpec, dimension: str, settings: Settings) -> bool:
    """Return whether these settings publish the metric per value of the dimension."""
    if dimension in metric.always_by:
        return True
    if dimension not in metric.splits or dimension not in SPLIT_SETTINGS:
        return False
    chosen: tuple[str, ...] | bool = getattr(settings, SPLIT_SETTINGS[dimension])
    return chosen if isinstance(chosen, bool) else metric.name in chosen


def splits_of(snapshot: Snapshot, settings: Settings, *, taken: int) -> dict[Dimension, Split[str]]:
    """Return the values by dimension. Tasks get what the totals and the others leave of the budget.

    ``taken`` is the number of series that are published besides these.
    """
    window = snapshot.window
    by_queue = _by_queue(snapshot, settings)
    by_worker = _by_worker(snapshot, settings)
    by_schedule = _by_schedule(snapshot, settings)
    by_exception = _by_exception(snapshot, settings)
    by_slo = _by_slo(snapshot)
    taken += len(by_queue.values) * len(settings.by_queue)
    taken += len(by_worker.values) * len(settings.by_worker)
    taken += len(by_exception.values) * 2 + len(window.custom_events) + len(by_schedule.values)
    taken += 3 * len(by_slo.values)
    return {
        "TaskName": _by_task(snapshot, settings, budget=settings.series_budget - taken),
        "QueueName": by_queue,
        "WorkerName": by_worker,
        "ExceptionType": by_exception,
        "EventType": Split({name: {"custom_events": n} for name, n in window.custom_events}),
        "ScheduleName": by_schedule,
        "SloName": by_slo,
    }


def _by_task(snapshot: Snapshot, settings: Settings, *, budget: int) -> Split[str]:
    """Return the values per published TaskName; those beyond the budget are folded into ``other``.

    ``budget`` is in series. Names keep their place in the order they were first seen, so that a
    newcomer never pushes out a series that alarms already watch.
    """
    per_task = len(set(settings.by_task) - set(settings.without))
    most = max(0, budget // per_task - 1) if per_task else 0  # one place is `other`'s
    members: dict[str, list[TaskCounts]] = {}
    for name, counts in snapshot.window.tasks:
        label = label_for(name, settings)
        if label is not None:
            members.setdefault(label, []).append(counts)
    kept: dict[str, list[TaskCounts]] = {}
    folded = 0
    for label, counts_of in members.items():
        if label == OTHER or len(kept) - (OTHER in kept) < most:
            kept.setdefault(label, []).extend(counts_of)
        else:
            folded += 1
            kept.setdefault(OTHER, []).extend(counts_of)
    labelled: dict[str, SourceValues] = {}
    for label, counts_of in kept.items():
        values = labelled[label] = values_of_counts(total(counts_of))
        values["running"] = 0
        values["oldest_running"] = 0.0
    _add_running(labelled, snapshot, settings)
    _add_missing(labelled, snapshot, settings)
    return Split(labelled, folded)


def _add_running(labelled: dict[str, SourceValues], snapshot: Snapshot, settings: Settings) -> None:
    """Add the running tasks to the values of their label, or of ``other`` if it has none."""
    for running in snapshot.running:
        label = label_for(running.name, settings)
        if label is None:
            continue
        values = labelled.setdefault(label if label in labelled else OTHER, {})
        values["running"] = number_of(values, "running") + running.count
        values["oldest_running"] = max(number_of(values, "oldest_running"), running.oldest_seconds)


def _add_missing(labelled: dict[str, SourceValues], snapshot: Snapshot, settings: Settings) -> None:
    """Add the tasks that were found missing, unless that is unknown."""
    if snapshot.missing is None:
        return
    for values in labelled.values():
        values["missing"] = 0
    for name, count in snapshot.missing.counts:
        label = label_for(name, settings)
        if label is None:
            continue
        values = labelled.setdefault(label if label in labelled else OTHER, {})
        values["missing"] = number_of(values, "missing") + count


def _by_queue(snapshot: Snapshot, settings: Settings) -> Split[str]:
    """Return the values per QueueName, for at most a quarter of the budget."""
    if not settings.by_queue:
        return Split()
    labelled = values_by_queue(snapshot.survey, settings)
    members: dict[str, list[TaskCounts]] = {label: [] for label in labelled}
    for name, counts in snapshot.window.by_queue:
        members.setdefault(label_of_queue(name), []).append(counts)
    for label, counts_of in members.items():
        labelled.setdefault(label, {}).update(values_of_counts(total(counts_of)))
    most = settings.series_budget // 4 // len(settings.by_queue)
    return Split(dict(islice(labelled.items(), most)), max(0, len(labelled) - most))


def _by_exception(snapshot: Snapshot, settings: Settings) -> Split[str]:
    """Return the values per ExceptionType: of those that were raised."""
    if not settings.by_exception:
        return Split()
    labelled: dict[str, SourceValues] = {}
    for counts in snapshot.window.exceptions:
        _add_exception(labelled.setdefault(counts.exception, {}), counts)
    return Split(labelled)


def by_task_and_exception(snapshot: Snapshot, settings: Settings) -> Split[tuple[str, str]]:
    """Return the values per TaskName and ExceptionType, for at most a quarter of the budget."""
    labelled: dict[tuple[str, str], SourceValues] = {}
    if settings.by_task_and_exception:
        for counts in snapshot.window.exceptions:
            label = label_for(counts.task, settings)
            if label is not None:
                _add_exception(labelled.setdefault((label, counts.exception), {}), counts)
    most = settings.series_budget // 4 // 2
    return Split(dict(islice(labelled.items(), most)), max(0, len(labelled) - most))


def _add_exception(values: SourceValues, counts: ExceptionCounts) -> None:
    """Add to how many tasks have failed, and how many are retried, where there are any."""
    if counts.failed:
        values["failed"] = number_of(values, "failed") + counts.failed
    if counts.retried:
        values["retried"] = number_of(values, "retried") + counts.retried


def _by_slo(snapshot: Snapshot) -> Split[str]:
    """Return the values per SloName, all of them: the setting has few."""
    return Split(
        {
            slo.name: {
                "slo_good": slo.good,
                "slo_total": slo.total,
                "slo_budget": slo.budget_left,
            }
            for slo in snapshot.objectives
        }
    )


def _by_schedule(snapshot: Snapshot, settings: Settings) -> Split[str]:
    """Return the values per ScheduleName, for at most a quarter of the budget."""
    if not settings.by_schedule:
        return Split()
    judged, most = snapshot.judged, settings.series_budget // 4
    labelled: dict[str, SourceValues] = {
        task.name: {"schedule_overdue": task.overdue_seconds} for task in judged[:most]
    }
    return Split(labelled, max(0, len(judged) - most))


def _by_worker(snapshot: Snapshot, settings: Settings) -> Split[str]:
    """Return the values per WorkerName, for at most half the budget.

    Gauges of several workers cannot be added up, so the workers beyond it are in the totals only.
    """
    if not settings.by_worker:
        return Split()
    labelled = _from_heartbeats(snapshot)
    for hostname, values in worker_values(snapshot.survey).items():
        if hostname in labelled:
            labelled[hostname] |= values
    for loss in snapshot.losses:
        values = labelled.setdefault(loss.hostname, {})
        values["lost"] = number_of(values, "lost") + int(not loss.said_goodbye)
        values["orphaned"] = number_of(values, "orphaned") + len(loss.orphans)
    is_limited = bool(settings.only)  # to some of the workers; the total is of all
    for hostname, events_lost in snapshot.window.events_lost:
        if hostname in labelled or not is_limited:
            labelled.setdefault(hostname, {})["events_lost"] = events_lost
    for hostname, counts in snapshot.window.by_worker:
        labelled.setdefault(hostname, {}).update(values_of_counts(counts))
    most = settings.series_budget // 2 // len(settings.by_worker)
    return Split(dict(islice(labelled.items(), most)), max(0, len(labelled) - most))


def _from_heartbeats(snapshot: Snapshot) -> dict[str, SourceValues]:
    """Return what is known of each worker by its own events, with zeros for what can be added."""
    labelled: dict[str, SourceValues] = {}
    for worker in snapshot.workers:
        is_online = worker.state is WorkerState.ONLINE
        values: SourceValues = {
            "online": int(is_online),
            "offline": int(worker.state is WorkerState.OFFLINE),
            "lost": 0,
            "orphaned": 0,
            "events_lost": 0,
        }
        if is_online and worker.active is not None:
            values["active"] = worker.active
        if is_online and worker.load_average is not None:
            values["load_average"] = worker.load_average
        labelled.setdefault(worker.hostname, {}).update(values)
    return labelled
