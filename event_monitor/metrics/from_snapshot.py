"""From snapshot: the metrics to publish of one snapshot, totals first, then the splits."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..catalog import CATALOG, MetricSpec
from ..distribution import Distribution
from ..settings import Settings
from ..snapshot import Snapshot
from .metric import Dimensions, Metric
from .source_values import SourceValues
from .splits import by_task_and_exception, is_split, splits_of
from .totals import totals_of

__all__ = ["is_of_all_workers", "metrics_from"]

# Not known of a part of the workers: which of them will get a task, would have got one that is
# gone, or reads a queue besides.
_OF_ALL_WORKERS = frozenset({"sent", "missing", "backlog_per_worker"})


def is_of_all_workers(metric: MetricSpec) -> bool:
    """Return whether the metric is not known where ``only_workers`` takes a part of them."""
    return metric.source in _OF_ALL_WORKERS


def metrics_from(snapshot: Snapshot, settings: Settings) -> tuple[Metric, ...]:
    """Turn a snapshot into metrics: totals first, then the splits, within the series budget.

    Counts and gauges are explicit, zeros included; a distribution without values is left out,
    since CloudWatch has no way to write one. Nothing is published for what is not known.
    """
    window = snapshot.window
    timestamp = min(window.opened_at, window.closed_at)  # a clock stepped back must not be future
    published = [
        metric
        for metric in CATALOG
        if metric.name not in settings.without
        and not (settings.only_workers and is_of_all_workers(metric))
    ]
    pairs = by_task_and_exception(snapshot, settings)
    splits = splits_of(snapshot, settings, taken=len(published) + 2 * len(pairs.values))
    folded = pairs.folded + sum(split.folded for split in splits.values())
    totals = totals_of(snapshot, settings, series_folded=folded)
    knowable = [
        metric for metric in published if snapshot.knows_workers or not metric.needs_listening
    ]
    series = list(_series(knowable, totals, timestamp, settings.dimensions))
    for dimension, split in splits.items():
        chosen = [metric for metric in published if is_split(metric, dimension, settings)]
        for label, values in split.values.items():
            dimensions = (*settings.dimensions, (dimension, label))
            series.extend(_series(chosen, values, timestamp, dimensions))
    chosen = [metric for metric in published if "ExceptionType" in metric.splits]
    for (task, exception), values in pairs.values.items():
        dimensions = (*settings.dimensions, ("TaskName", task), ("ExceptionType", exception))
        series.extend(_series(chosen, values, timestamp, dimensions))
    return tuple(series)


def _series(
    metrics: Sequence[MetricSpec], values: SourceValues, timestamp: float, dimensions: Dimensions
) -> Iterator[Metric]:
    """Yield a value of each metric that has one."""
    for metric in metrics:
        value = values.get(metric.source)
        if value is None or (isinstance(value, Distribution) and not value):
            continue
        yield Metric(metric.name, metric.unit, timestamp, value, dimensions)
