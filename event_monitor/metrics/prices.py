"""Prices: what CloudWatch bills for series, requests, alarms and dashboards. Pure."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = [
    "DATA_PER_REQUEST",
    "DOLLARS_PER_REQUEST",
    "FREE_DASHBOARDS",
    "FREE_DASHBOARD_METRICS",
    "GRAFANA_REFRESH_MINUTES",
    "PRICE_SOURCE",
    "SECONDS_PER_MONTH",
    "Provisioned",
    "series_dollars",
]

PRICE_SOURCE = (
    "us-east-1 list prices as of 2026-05 (aws.amazon.com/cloudwatch/pricing): re-check them"
)
#: Custom metrics, dollars per metric and month: (how many at this price, price). Billed by the
#: hour, so a series that lives for a day costs a thirtieth.
METRIC_TIERS = (
    (10_000, 0.30),
    (240_000, 0.10),
    (750_000, 0.05),
    (float("inf"), 0.02),
)
DOLLARS_PER_REQUEST = 0.01 / 1_000  # PutMetricData
DATA_PER_REQUEST = 1_000  # PutMetricData's limit
SECONDS_PER_MONTH = 30 * 86_400  # the month of AWS's own examples: 43,200 minutes
DOLLARS_PER_ALARM_METRIC = 0.10
DOLLARS_PER_FAST_ALARM_METRIC = 0.30  # of an alarm with a period of less than a minute
DOLLARS_PER_COMPOSITE = 0.50
DOLLARS_PER_DASHBOARD = 3.00
DOLLARS_PER_SERIES_READ = 0.01 / 1_000  # GetMetricData, which is how Grafana asks
GRAFANA_REFRESH_MINUTES = 5  # each refresh asks for every series of the dashboard
FREE_DASHBOARDS = 3  # in an account; only those of at most so many metrics:
FREE_DASHBOARD_METRICS = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Provisioned:
    """Alarms, counted by the metrics of their expressions, and the metrics of each dashboard.

    ``other_dashboards``: what the account has besides, which take the free places.
    """

    alarm_metrics: int = 0
    fast_alarm_metrics: int = 0
    composites: int = 0
    dashboards: tuple[int, ...] = ()
    other_dashboards: int = 0

    @property
    def dashboards_billed(self) -> int:
        """Return how many of the dashboards are not free."""
        small = sum(metrics <= FREE_DASHBOARD_METRICS for metrics in self.dashboards)
        free = min(small, max(0, FREE_DASHBOARDS - self.other_dashboards))
        return len(self.dashboards) - free

    @property
    def open_grafana_dollars(self) -> float:
        """Return what it costs to have the same dashboard open in Grafana all month."""
        refreshes = SECONDS_PER_MONTH / (60 * GRAFANA_REFRESH_MINUTES)
        return sum(self.dashboards) * refreshes * DOLLARS_PER_SERIES_READ

    @property
    def rows(self) -> tuple[tuple[str, int, float], ...]:
        """Return name, number and dollars of each kind that there is."""
        rows = (
            ("alarms, by metric", self.alarm_metrics, DOLLARS_PER_ALARM_METRIC),
            ("alarms under 60 s", self.fast_alarm_metrics, DOLLARS_PER_FAST_ALARM_METRIC),
            ("composite alarms", self.composites, DOLLARS_PER_COMPOSITE),
            ("dashboards", self.dashboards_billed, DOLLARS_PER_DASHBOARD),
        )
        return tuple((name, number, number * price) for name, number, price in rows if number)


def series_dollars(series: int) -> float:
    """Return what so many series cost a month."""
    dollars, left = 0.0, float(series)
    for room, price in METRIC_TIERS:
        here = min(left, room)
        dollars += here * price
        left -= here
    return dollars
