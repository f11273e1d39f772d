"""Metrics: one snapshot in, the metrics to publish out. Pure."""

from __future__ import annotations

from .from_snapshot import Metric, label_for, metrics_from

__all__ = ["Metric", "label_for", "metrics_from"]
