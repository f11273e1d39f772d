"""Metrics: one snapshot in, the metrics to publish out. Pure; decides names, splits and cost."""

from __future__ import annotations

from dataclasses import fields
from itertools import islice

from ..catalog import CATALOG, MetricSpec
from ..distribution import Distribution
from ..settings import Settings
from ..settings.globs import matches
from ..snapshot import OTHER, Snapshot, TaskCounts, WorkerState, total
from ..survey import Survey
from .gauges import queue_totals, queue_values, worker_totals, worker_values
from .metric import Metric

__all__ = ["label_for", "metrics_from"]


def metrics_from(snapshot: Snapshot, settings: Settings) -> tuple[Metric, ...]:
    """Turn a snapshot into metrics: totals first, then the splits, within the series budget.

    Counts and gauges are explicit, zeros included; a distribution without values is left out,
    since CloudWatch has no way to write one. Nothing is published for what is not known.
    """
    survey = snapshot.survey
    published = [one for one in CATALOG if one.name not in settings.without]
    window = snapshot.window
    timestamp = min(window.opened_at, window.closed_at)  # a clock stepped back must not be future

    def metric(spec: MetricSpec, value: float | Distribution, *split: tuple[str, str]) -> Metric:
        return Metric(spec.name, spec.unit, timestamp, value, (*settings.dimensions, *split))

    by_worker, folded_workers = _by_worker(snapshot, survey, settings)
    by_queue, folded_queues = _by_queue(survey, settings)
    taken = len(published) + len(by_worker) * len(settings.by_worker)
    taken += len(by_queue) * len(settings.by_queue)
    taken += len(window.exceptions) + len(window.custom_events)
    by_name, folded_names = _by_task(snapshot, settings, budget=settings.series_budget - taken)
    folded = folded_names + folded_workers + folded_queues
    totals = _totals(snapshot, folded) | {"probe_failures": survey.failures}
    totals |= queue_totals(snapshot, settings) | worker_totals(survey)
    series: list[Metric] = []
    for spec in published:
        value = totals.get(spec.source)
        if value is not None and _worth_sending(value):
            series.append(metric(spec, value))
    for split, labelled, wanted in (
        ("TaskName", by_name, settings.by_task),
        ("QueueName", by_queue, settings.by_queue),
        ("WorkerName", by_worker, settings.by_worker),
        ("ExceptionType", _by_exception(window.exceptions, settings), ("TasksFailed",)),
        ("EventType", _by_event_type(window.custom_events), ("CustomEvents",)),
    ):
        specs = [one for one in published if split in one.splits and one.name in wanted]
        for label, values in labelled.items():
            for spec in specs:
                value = values.get(spec.source)
                if value is not None and _worth_sending(value):
                    series.append(metric(spec, value, (split, label)))
    return tuple(series)


def label_for(name: str, settings: Settings) -> str | None:
    """The TaskName a task is published under: itself, its group, or None for totals only."""
    for group, globs in settings.groups:
        if matches(name, globs):
            return group
    if settings.include_tasks and not matches(name, settings.include_tasks):
        return None
    return None if matches(name, settings.exclude_tasks) else name


Values = dict[str, float | Distribution]

# Gauges of which nothing is known before the broker was heard.
_OF_WORKERS = ("online", "offline", "active", "running", "oldest_running", "tasks_in_flight")


def _totals(snapshot: Snapshot, folded: int) -> Values:
    window, report, online = snapshot.window, snapshot.publisher, snapshot.online
    loads = [one.load_average for one in online if one.load_average is not None]
    actives = [one.active for one in online if one.active is not None]
    totals: Values = _values(total(counts for _, counts in window.tasks))
    totals |= {
        "custom_events": sum(count for _, count in window.custom_events),
        "running": sum(one.count for one in snapshot.running),
        "oldest_running": max((one.oldest_seconds for one in snapshot.running), default=0.0),
        "tasks_in_flight": snapshot.tasks_in_flight,
        "orphaned": sum(len(loss.orphans) for loss in snapshot.losses),
        "online": len(online),
        "offline": sum(one.state is WorkerState.OFFLINE for one in snapshot.workers),
        "lost": sum(not loss.said_goodbye for loss in snapshot.losses),
        "heartbeat": 1,
        "connected": int(snapshot.link.is_connected),
        "events_received": window.events_received,
        "events_invalid": window.events_invalid,
        "events_lost": sum(count for _, count in window.events_lost),
        "disconnections": window.disconnections,
        "event_delay": window.event_delay,
        "tasks_forgotten": window.tasks_forgotten,
        "series_folded": window.names_folded + folded,
        "publish_failures": report.failures,
        "publish_ambiguous": report.ambiguous,
        "datums_dropped": report.dropped,
    }
    if actives or not online:  # None means unknown, not zero
        totals["active"] = sum(actives)
    if not snapshot.link.has_listened:
        for unknown in _OF_WORKERS:
            totals.pop(unknown, None)
    if loads:
        totals["load_average"] = max(loads)
    if report.flush_seconds is not None:
        totals["flush_duration"] = report.flush_seconds
    return totals


def _values(counts: TaskCounts) -> Values:
    return {one.name: getattr(counts, one.name) for one in fields(counts)}


def _by_task(
    snapshot: Snapshot, settings: Settings, *, budget: int
) -> tuple[dict[str, Values], int]:
    """Values per published TaskName, and how many names the budget folded into ``other``.

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
    labelled = {label: _values(total(counts)) for label, counts in kept.items()}
    for values in labelled.values():
        values |= {"running": 0, "oldest_running": 0.0}
    for running in snapshot.running:
        label = label_for(running.name, settings)
        if label is None:
            continue
        values = labelled.setdefault(label if label in labelled else OTHER, {})
        values["running"] = _number(values.get("running")) + running.count
        values["oldest_running"] = max(
            _number(values.get("oldest_running")), running.oldest_seconds
        )
    return labelled, folded


def _by_queue(survey: Survey, settings: Settings) -> tuple[dict[str, Values], int]:
    """Values per QueueName, and how many queues found no place: at most a quarter of the budget."""
    if not settings.by_queue:
        return {}, 0
    queues = survey.queues or ()
    most = settings.series_budget // 4 // len(settings.by_queue)
    kept = {one.name: queue_values(one, survey, settings) for one in queues[:most]}
    return kept, max(0, len(queues) - most)


def _by_worker(
    snapshot: Snapshot, survey: Survey, settings: Settings
) -> tuple[dict[str, Values], int]:
    """Values per WorkerName, and how many workers found no place: at most half the budget.

    Gauges of several workers cannot be added up, so the tail is left to the totals.
    """
    if not settings.by_worker:
        return {}, 0
    labelled: dict[str, Values] = {}
    for worker in snapshot.workers:
        values = labelled.setdefault(worker.hostname, {})
        values |= {
            "online": int(worker.state is WorkerState.ONLINE),
            "offline": int(worker.state is WorkerState.OFFLINE),
            "lost": 0,
            "orphaned": 0,
            "events_lost": 0,
        }
        if worker.state is WorkerState.ONLINE and worker.active is not None:
            values["active"] = worker.active
        if worker.state is WorkerState.ONLINE and worker.load_average is not None:
            values["load_average"] = worker.load_average
    for hostname, values in worker_values(survey).items():
        if hostname in labelled:
            labelled[hostname] |= values
    for loss in snapshot.losses:
        values = labelled.setdefault(loss.hostname, {})
        values["lost"] = _number(values.get("lost")) + int(not loss.said_goodbye)
        values["orphaned"] = _number(values.get("orphaned")) + len(loss.orphans)
    for hostname, events_lost in snapshot.window.events_lost:
        labelled.setdefault(hostname, {})["events_lost"] = events_lost
    for hostname, counts in snapshot.window.by_worker:
        labelled.setdefault(hostname, {}).update(_values(counts))
    most = settings.series_budget // 2 // len(settings.by_worker)
    return dict(islice(labelled.items(), most)), max(0, len(labelled) - most)


def _by_exception(exceptions: tuple[tuple[str, int], ...], settings: Settings) -> dict[str, Values]:
    return {name: {"failed": n} for name, n in exceptions} if settings.by_exception else {}


def _by_event_type(custom_events: tuple[tuple[str, int], ...]) -> dict[str, Values]:
    return {name: {"custom_events": count} for name, count in custom_events}


def _worth_sending(value: float | Distribution) -> bool:
    return not isinstance(value, Distribution) or bool(value)


def _number(value: float | Distribution | None) -> float:
    return 0 if value is None or isinstance(value, Distribution) else value
