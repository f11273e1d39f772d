"""Metrics: one snapshot in, the metrics to publish out. Pure."""

from __future__ import annotations

from .from_snapshot import is_of_all_workers, metrics_from
from .labels import label_for
from .metric import Metric
from .splits import is_split

__all__ = ["Metric", "is_of_all_workers", "is_split", "label_for", "metrics_from"]
