"""Alarms: definitions, settings and options become alarms. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from ..settings import Settings
from ..settings.globs import matches
from .alarm_definitions import CLUSTER_ALARMS, OBJECTIVE_ALARMS, QUEUE_ALARMS, TASK_ALARMS
from .definition import AlarmDefinition, Limits
from .event_queue import event_queue_alarm
from .model import Alarm, CompositeAlarm, resource_name
from .options import ProvisionOptions, QueueLimits
from .series import (
    is_published,
    published_series,
    queue_split,
    task_split,
    unpublished_reason,
)

__all__ = ["alarm_notes", "build_alarms", "build_composite"]


def build_alarms(settings: Settings, options: ProvisionOptions) -> tuple[Alarm, ...]:
    """Return every alarm that settings and options allow.

    The cluster's come first, then those of queues, of tasks and of service levels.

    Raises ``SettingsError`` for a task or queue that is named and has no such series.
    """
    return (
        *_cluster_alarms(settings, options),
        *((event_queue_alarm(options),) if options.event_queue else ()),
        *_queue_alarms(settings, options),
        *_task_alarms(settings, options),
        *_objective_alarms(settings, options),
    )


def build_composite(alarms: tuple[Alarm, ...], options: ProvisionOptions) -> CompositeAlarm | None:
    """Return the alarm that Celery is unhealthy; None if the cluster has no alarm.

    It is on while any alarm of the whole cluster is; alarms of one queue or task do not count. It
    never pages: while one alarm keeps it on, it does not go off for the next.
    """
    children = tuple(alarm.name for alarm in alarms if alarm.cluster_wide)
    if not children:
        return None
    return CompositeAlarm(
        name=resource_name(options.prefix, "unhealthy"),
        description="Celery is unhealthy: at least one alarm of the whole cluster is on.",
        children=children,
        actions=options.topics,
    )


def alarm_notes(settings: Settings, options: ProvisionOptions) -> tuple[str, ...]:
    """Return a sentence for each alarm that is left out, and for what a person must decide."""
    watched = {alarm.series[0].metric for alarm in _cluster_alarms(settings, options)}
    notes = [
        f"No alarm {resource_name(options.prefix, definition.key)}: {reason}."
        for definition in CLUSTER_ALARMS
        if definition.applies(settings, options)
        and definition.metrics[0] not in watched  # such as by the count, instead of the rate
        and (reason := _omission_reason(definition, settings, options)) is not None
    ]
    unlimited = [
        queue.name for queue in options.queues if queue.max_length is None and queue.max_age is None
    ]
    if unlimited:
        notes.append(
            f"No limit is given for {', '.join(unlimited)}: those of all queues count for each, "
            "the length as well as the age, which cannot be known on every broker."
        )
    known = [queue.name for queue in _known_queues(settings, options)]
    unmatched = [
        glob
        for glob in sorted(set(_limit_globs(settings)))
        if not any(matches(name, [glob]) for name in known)
    ]
    if unmatched:
        notes.append(
            f"No queue is known by name that matches {', '.join(unmatched)}: name queues with "
            "--queue to give each its own alarm; queue-critical watches all of them."
        )
    if options.workers_at_least and not options.workers_from:
        notes.append(
            f"{resource_name(options.prefix, 'too-few-workers')} goes off while the service is "
            "scaled to zero: --workers-at-least 0 leaves it out."
        )
    if not options.topics:
        notes.append("The alarms notify nobody: add --topic ARN.")
    return tuple(notes)


# -- of the cluster --------------------------------------------------------------------------------


def _cluster_alarms(settings: Settings, options: ProvisionOptions) -> Iterator[Alarm]:
    for definition in CLUSTER_ALARMS:
        if definition.applies(settings, options) and not _omission_reason(
            definition, settings, options
        ):
            yield from _build(definition, options, settings, options)


def _omission_reason(
    definition: AlarmDefinition[ProvisionOptions], settings: Settings, options: ProvisionOptions
) -> str | None:
    if definition.threshold_for(options, settings) is None:
        return "its threshold is 0"
    for metric in definition.metrics:
        reason = unpublished_reason(metric, settings)
        if reason:
            return reason
    return None


# -- of one queue ----------------------------------------------------------------------------------


def _queue_alarms(settings: Settings, options: ProvisionOptions) -> Iterator[Alarm]:
    asked_for = {queue.name for queue in options.queues}
    for queue in _known_queues(settings, options):
        for definition in QUEUE_ALARMS:
            # A queue known from the settings alone is skipped if its series is not published;
            # one that was asked for is an error then.
            (metric,) = definition.metrics
            if queue.name in asked_for or is_published(metric, settings, split="QueueName"):
                yield from _build(
                    definition, queue, settings, options, split=queue_split(queue.name)
                )


def _known_queues(settings: Settings, options: ProvisionOptions) -> Iterator[QueueLimits]:
    """Yield every queue known by name.

    Its own limits come first, then the critical limits of the settings, then those of all
    queues.
    """
    asked_for = {queue.name: queue for queue in options.queues}
    in_settings = (
        name
        for name in (*settings.queues, *_limit_globs(settings))
        if not _is_glob(name) and settings.only.has_queue(name)
    )
    for name in dict.fromkeys((*asked_for, *in_settings)):
        own = asked_for.get(name, QueueLimits(name))
        max_length, max_age = own.max_length, own.max_age
        if max_length is None:
            max_length = _critical_limit(name, settings.queue_length_limits)
        if max_age is None:
            max_age = _critical_limit(name, settings.queue_age_limits)
        if max_length is None and max_age is None:
            # The age of the oldest message is not known on every broker; how many there are is.
            max_length, max_age = options.max_length or None, options.max_age or None
        yield QueueLimits(name, max_length, max_age, own.workers)


def _limit_globs(settings: Settings) -> list[str]:
    return [glob for glob, _ in (*settings.queue_length_limits, *settings.queue_age_limits)]


def _critical_limit(name: str, limits: tuple[tuple[str, tuple[float, float]], ...]) -> float | None:
    """Return the second level of the first glob that matches; None if none does."""
    return next((critical for glob, (_, critical) in limits if matches(name, [glob])), None)


def _is_glob(text: str) -> bool:
    return text.startswith("!") or any(character in text for character in "*?[")


# -- of one task -----------------------------------------------------------------------------------


def _task_alarms(settings: Settings, options: ProvisionOptions) -> Iterator[Alarm]:
    for task in options.tasks:
        for definition in TASK_ALARMS:
            split = task_split(task.name, settings)
            yield from _build(definition, task, settings, options, split=split)


# -- of one service level --------------------------------------------------------------------------


def _objective_alarms(settings: Settings, options: ProvisionOptions) -> Iterator[Alarm]:
    for objective in settings.objectives:
        for definition in OBJECTIVE_ALARMS:
            if all(is_published(metric, settings) for metric in definition.metrics):
                split = ("SloName", objective.name)
                yield from _build(definition, objective, settings, options, split=split)


# -- any -------------------------------------------------------------------------------------------


def _build(
    definition: AlarmDefinition[Limits],
    limits: Limits,
    settings: Settings,
    options: ProvisionOptions,
    *,
    split: tuple[str, str] | None = None,
) -> Iterator[Alarm]:
    """Yield the alarm of the definition, unless the limits leave it out."""
    threshold = definition.threshold_for(limits, settings)
    if threshold is None:
        return
    series = tuple(
        published_series(
            metric,
            settings,
            id=f"m{number}",
            statistic=definition.statistic,
            split=split,
        )
        for number, metric in enumerate(definition.metrics)
    )
    # In the alarm's name the queue or task is written as in its dimension: encoded.
    watched = series[0].dimensions[-1][1] if split else ""
    waiting = definition.waiting_for(limits, settings)
    pages: tuple[str, ...] = options.pages if definition.pages else ()
    yield Alarm(
        name=resource_name(options.prefix, definition.key, watched),
        description=definition.description_for(limits, settings, options),
        series=series,
        expression=definition.expression_for(options),
        comparison=definition.comparison,
        threshold=float(threshold),
        datapoints=waiting.datapoints,
        periods=waiting.periods,
        period_seconds=waiting.period_seconds,
        missing=definition.no_data.treated_as,
        actions=tuple(dict.fromkeys((*options.topics, *pages))),
        pages=definition.pages,
        cluster_wide=split is None,
    )
