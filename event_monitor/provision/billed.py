"""Billed: what alarms and dashboards count for on AWS's bill. Pure."""

from __future__ import annotations

from typing import Any

from ..metrics.prices import Provisioned
from .panels import TOP
from .stack import Stack

__all__ = ["billed"]


def billed(stack: Stack) -> Provisioned:
    """Return the alarms and the dashboard of the stack as AWS counts them.

    An alarm counts once for each metric of its expression.
    """
    fast = sum(len(alarm.series) for alarm in stack.alarms if alarm.period_seconds < 60)
    return Provisioned(
        alarm_metrics=sum(len(alarm.series) for alarm in stack.alarms) - fast,
        fast_alarm_metrics=fast,
        composites=int(stack.composite is not None),
        dashboards=(_metrics_on(stack.dashboard),) if stack.dashboard else (),
    )


def _metrics_on(dashboard: Any) -> int:
    """Return how many metrics the dashboard refers to; a search counts as all that it shows."""
    rows = [
        row for widget in dashboard["widgets"] for row in widget["properties"].get("metrics", ())
    ]
    expressions = [row[0]["expression"] for row in rows if len(row) == 1]
    searches = sum("SEARCH" in expression for expression in expressions)
    return len(rows) - len(expressions) + TOP * searches
