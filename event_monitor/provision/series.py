"""Series: which ones these settings publish, and how an alarm or a graph names them. Pure."""

from __future__ import annotations

from math import ceil

from ..catalog import SPLIT_SETTINGS, spec
from ..errors import SettingsError
from ..metrics import Metric, is_of_all_workers, is_split, label_for
from ..settings import Settings
from ..sinks.cloudwatch import encode
from .model import Dimensions, Series

__all__ = [
    "encoded_dimensions",
    "has_queue_limits",
    "is_published",
    "period_seconds_of",
    "published_series",
    "queue_split",
    "task_split",
    "unpublished_reason",
]


def unpublished_reason(metric: str, settings: Settings, *, split: str = "") -> str | None:
    """Return why the settings do not publish the metric; None if they do.

    ``split`` is the dimension the metric is wanted by, "" for its total.
    """
    if metric in settings.without:
        return f"`without` has {metric}"
    if settings.only_workers and is_of_all_workers(spec(metric)):
        return f"{metric} is not known of a part of the workers, which `only_workers` takes"
    for need in spec(metric).needs:
        if not getattr(settings, need):
            return f"{metric} needs `{need}`"
    one_of = spec(metric).needs_one_of
    if not _has_one_of(one_of, settings):
        return f"{metric} needs " + " or ".join(f"`{need}`" for need in one_of)
    if split and not is_split(spec(metric), split, settings):
        return f"`{SPLIT_SETTINGS[split]}` has no {metric}"
    return None


def is_published(metric: str, settings: Settings, *, split: str = "") -> bool:
    """Return whether the settings publish the metric, by that dimension if one is given."""
    return unpublished_reason(metric, settings, split=split) is None


def has_queue_limits(settings: Settings) -> bool:
    """Return whether queues have limits, without which QueueStatus is not known."""
    return _has_one_of(spec("QueueStatus").needs_one_of, settings)


def _has_one_of(needs: tuple[str, ...], settings: Settings) -> bool:
    return not needs or any(getattr(settings, need) for need in needs)


def published_series(
    metric: str,
    settings: Settings,
    *,
    id: str = "m",  # noqa: A002  CloudWatch's own word for it
    statistic: str = "",
    split: tuple[str, str] | None = None,
) -> Series:
    """Return the series as CloudWatch stores it: static dimensions first, values encoded.

    ``statistic`` is the catalog's unless given; ``split`` is a dimension and its value. Raises
    ``SettingsError`` if the settings do not publish the series.
    """
    reason = unpublished_reason(metric, settings, split=split[0] if split else "")
    if reason:
        raise SettingsError(f"{metric} is not published: {reason}.")
    dimensions = (*settings.dimensions, *((split,) if split else ()))
    return Series(
        id=id,
        namespace=settings.namespace,
        metric=metric,
        statistic=statistic or spec(metric).statistic,
        dimensions=encoded_dimensions(dimensions),
    )


def encoded_dimensions(dimensions: Dimensions) -> Dimensions:
    """Return the dimensions with their values as the CloudWatch sink writes them."""
    (datum,) = encode([Metric("", "None", 0.0, 0.0, dimensions)])
    return tuple((pair["Name"], pair["Value"]) for pair in datum.get("Dimensions", ()))


def task_split(name: str, settings: Settings) -> tuple[str, str]:
    """Return the split by one task or group; ``SettingsError`` if it has no series of its own."""
    if name in dict(settings.groups):
        return "TaskName", name
    label = label_for(name, settings)
    if label is None:
        raise SettingsError(f"--task {name}: `include_tasks` or `exclude_tasks` leaves it out.")
    if label != name:
        raise SettingsError(f"--task {name}: it is published as the group {label!r}; name that.")
    return "TaskName", name


def queue_split(name: str) -> tuple[str, str]:
    """Return the split by one queue."""
    return "QueueName", name


def period_seconds_of(settings: Settings) -> int:
    """Return the shortest period of alarms in which every series has a datum, in seconds.

    Never less than a minute, whatever the resolution of the data: an alarm with a shorter period
    costs three times as much.
    """
    return 60 * ceil(settings.interval / 60)
