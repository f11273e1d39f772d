"""Catalog: every metric once. README, `event-monitor metrics` and `metrics.py` read it."""

from __future__ import annotations

from .spec import CATALOG, DIMENSIONS, Group, MetricSpec, Unit, spec

__all__ = ["CATALOG", "DIMENSIONS", "Group", "MetricSpec", "Unit", "spec"]
