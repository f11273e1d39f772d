"""Catalog: every metric once, with all that is to be known about it.

``reference.md``, ``event-monitor metrics``, the settings' defaults, ``metrics_from``, the beat
task and ``provision`` read it; none of them keeps a fact about a metric of its own.
"""

from __future__ import annotations

from .metric_spec import DIMENSIONS, SPLIT_SETTINGS, Dimension, Group, MetricSpec, Source, Unit
from .monitor import MONITOR_METRICS
from .queues import QUEUE_METRICS
from .tasks import TASK_METRICS
from .workers import WORKER_METRICS

__all__ = [
    "CATALOG",
    "DIMENSIONS",
    "SPLIT_SETTINGS",
    "Dimension",
    "Group",
    "MetricSpec",
    "Source",
    "Unit",
    "spec",
]

#: In the order in which they are published.
CATALOG: tuple[MetricSpec, ...] = (
    *TASK_METRICS,
    *WORKER_METRICS,
    *QUEUE_METRICS,
    *MONITOR_METRICS,
)

_BY_NAME = {metric.name: metric for metric in CATALOG}


def spec(name: str) -> MetricSpec:
    """Return the catalog's entry of that name; raise ``KeyError`` if there is none."""
    return _BY_NAME[name]
