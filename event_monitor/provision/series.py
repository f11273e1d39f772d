"""Published: which series these settings publish, and how an alarm or a graph names them. Pure."""

from __future__ import annotations

from math import ceil

from ..catalog import spec
from ..errors import SettingsError
from ..metrics import Metric, label_for
from ..settings import Settings
from ..sinks.cloudwatch import encode
from .model import Dimensions, Series

__all__ = [
    "is_published",
    "period_of",
    "queue_split",
    "series_of",
    "task_split",
    "why_not",
]

_BY = {"TaskName": "by_task", "QueueName": "by_queue", "WorkerName": "by_worker"}


def why_not(metric: str, settings: Settings, split: str = "") -> str | None:
    """Why these settings do not publish the metric (split so); None if they do."""
    if metric in settings.without:
        return f"`without` has {metric}"
    for need in spec(metric).needs:
        if not getattr(settings, need):
            return f"{metric} needs `{need}`"
    limits = settings.queue_length_limits or settings.queue_age_limits
    if metric == "QueueStatus" and not limits:
        return "QueueStatus needs `queue_length_limits` or `queue_age_limits`"
    if split and metric not in getattr(settings, _BY[split]):
        return f"`{_BY[split]}` has no {metric}"
    return None


def is_published(metric: str, settings: Settings, split: str = "") -> bool:
    """Whether these settings publish the metric, split so."""
    return why_not(metric, settings, split) is None


def series_of(
    metric: str,
    settings: Settings,
    *,
    id: str = "m",  # noqa: A002  CloudWatch's own word for it
    statistic: str = "",
    split: tuple[str, str] | None = None,
) -> Series:
    """The series as CloudWatch stores it: static dimensions first, values escaped as sent.

    ``SettingsError`` if these settings do not publish it.
    """
    reason = why_not(metric, settings, split[0] if split else "")
    if reason:
        raise SettingsError(f"{metric} is not published: {reason}.")
    dimensions = (*settings.dimensions, *((split,) if split else ()))
    return Series(
        id,
        settings.namespace,
        metric,
        statistic or spec(metric).statistic,
        as_sent(dimensions),
    )


def as_sent(dimensions: Dimensions) -> Dimensions:
    """Dimensions with their values as the sink writes them."""
    (datum,) = encode([Metric("", "None", 0.0, 0.0, dimensions)])
    return tuple((one["Name"], one["Value"]) for one in datum.get("Dimensions", ()))


def task_split(name: str, settings: Settings) -> tuple[str, str]:
    """The split of one task, or of a group; ``SettingsError`` if it has no series of its own."""
    if name in dict(settings.groups):
        return "TaskName", name
    label = label_for(name, settings)
    if label is None:
        raise SettingsError(f"--task {name}: `include_tasks` or `exclude_tasks` leaves it out.")
    if label != name:
        raise SettingsError(f"--task {name}: it is published as the group {label!r}; name that.")
    return "TaskName", name


def queue_split(name: str) -> tuple[str, str]:
    """The split of one queue."""
    return "QueueName", name


def period_of(settings: Settings) -> int:
    """The shortest period in seconds in which every series has a datum."""
    interval = settings.interval
    if settings.high_resolution and interval <= 30:
        return 10 if interval <= 10 else 30
    return 60 * ceil(interval / 60)
