"""Alarms: the catalog, the settings and a person's choices become alarms. Pure.

One definition per alarm. Every one is M of N, says what no data means to it, and why.
"""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatchcase

from ..settings import Settings
from .alarm_definitions import Rule, of_cluster, of_queue, of_task
from .model import Alarm, CompositeAlarm, name_of
from .options import Choices, QueueEntry
from .series import is_published, period_of, queue_split, series_of, task_split, why_not

__all__ = ["alarms_of", "composite_of", "left_out"]

_UNHEALTHY = "unhealthy"


def alarms_of(settings: Settings, choices: Choices) -> tuple[Alarm, ...]:
    """Every alarm these settings allow and these choices want: the cluster's first.

    ``SettingsError`` for a task or queue that is asked for by name and has no such series.
    """
    cluster = (
        _alarm(rule, settings, choices)
        for rule in of_cluster(settings, choices)
        if _why_not(rule, settings) is None
    )
    return (
        *cluster,
        *_of_queues(settings, choices),
        *_of_tasks(settings, choices),
    )


def left_out(settings: Settings, choices: Choices) -> tuple[str, ...]:
    """One sentence for each alarm of the cluster that there is not, and for what is not decided."""
    notes = [
        f"No alarm {name_of(choices.prefix, rule.kind)}: {why}."
        for rule in of_cluster(settings, choices)
        if (why := _why_not(rule, settings)) is not None
    ]
    globs = {glob for glob, _ in (*settings.queue_length_limits, *settings.queue_age_limits)}
    unknown = sorted(
        glob
        for glob in globs
        if not any(fnmatchcase(one.name, glob) for one in _queues(settings, choices))
    )
    if unknown:
        notes.append(
            f"No queue is known by name that matches {', '.join(unknown)}: name queues with "
            "--queue to give each its own alarm; queue-critical watches all of them."
        )
    if choices.workers_at_least and not choices.workers_from:
        notes.append(
            f"{name_of(choices.prefix, 'too-few-workers')} goes off while the service is scaled to "
            "zero: --workers-at-least 0 leaves it out."
        )
    if not choices.topics:
        notes.append("The alarms tell nobody: add --topic ARN.")
    return tuple(notes)


def composite_of(alarms: tuple[Alarm, ...], choices: Choices) -> CompositeAlarm | None:
    """Celery is unhealthy: any alarm of the cluster. Those of one queue or task are not in it."""
    children = tuple(one.name for one in alarms if one.of_cluster)
    if not children:
        return None
    return CompositeAlarm(
        name=name_of(choices.prefix, _UNHEALTHY),
        description="Celery is unhealthy: at least one alarm of the whole cluster is on.",
        children=children,
        actions=choices.pages,
    )


def _why_not(rule: Rule, settings: Settings) -> str | None:
    if rule.threshold is None:
        return "its threshold is 0"
    return next((why for one in rule.metrics if (why := why_not(one, settings))), None)


def _alarm(
    rule: Rule,
    settings: Settings,
    choices: Choices,
    split: tuple[str, str] | None = None,
) -> Alarm:
    series = tuple(
        series_of(
            metric,
            settings,
            id=f"m{number}",
            statistic=rule.statistic,
            split=split,
        )
        for number, metric in enumerate(rule.metrics)
    )
    missing, why = rule.missing
    shown = series[0].dimensions[-1][1] if split else ""
    return Alarm(
        name=name_of(choices.prefix, rule.kind, shown),
        description=f"{rule.what} {why}",
        series=series,
        expression=rule.expression,
        comparison=rule.comparison,
        threshold=float(rule.threshold or 0),
        datapoints=rule.of[0],
        periods=rule.of[1],
        period_seconds=period_of(settings),
        missing=missing,
        actions=choices.topics,
        of_cluster=split is None,
    )


def _of_queues(settings: Settings, choices: Choices) -> Iterator[Alarm]:
    for queue in _queues(settings, choices):
        asked = queue.name in {one.name for one in choices.queues}
        for rule in of_queue(queue):
            # What only the limits suggest is left out if its series is; what was asked for is not.
            if asked or is_published(rule.metrics[0], settings, "QueueName"):
                yield _alarm(rule, settings, choices, queue_split(queue.name))


def _queues(settings: Settings, choices: Choices) -> Iterator[QueueEntry]:
    """Every queue known by name, with its own limits, or else the criticals of the settings."""
    entries = {one.name: one for one in choices.queues}
    globs = [glob for glob, _ in (*settings.queue_length_limits, *settings.queue_age_limits)]
    named = (*entries, *(one for one in (*settings.queues, *globs) if not _is_glob(one)))
    for name in dict.fromkeys(named):
        entry = entries.get(name, QueueEntry(name))
        length = _first(entry.max_length, _critical(name, settings.queue_length_limits))
        age = _first(entry.max_age, _critical(name, settings.queue_age_limits))
        if length is None and age is None:
            age = choices.max_age or None
        yield QueueEntry(name, length, age)


def _critical(name: str, limits: tuple[tuple[str, tuple[float, float]], ...]) -> float | None:
    return next((levels[1] for glob, levels in limits if fnmatchcase(name, glob)), None)


def _first(one: float | None, other: float | None) -> float | None:
    return other if one is None else one


def _is_glob(text: str) -> bool:
    return any(character in text for character in "*?[")


def _of_tasks(settings: Settings, choices: Choices) -> Iterator[Alarm]:
    for task in choices.tasks:
        for rule in of_task(task, choices):
            yield _alarm(rule, settings, choices, task_split(task.name, settings))
