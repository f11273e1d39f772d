"""Billed: alarms and dashboard as AWS counts them."""

from __future__ import annotations

from dataclasses import replace

from event_monitor.metrics.prices import Provisioned
from event_monitor.provision.billed import billed
from event_monitor.provision.model import Alarm, CompositeAlarm, Series
from event_monitor.provision.options import ProvisionOptions
from event_monitor.provision.stack import Stack, build_stack
from event_monitor.settings import Settings

FAILED, SUCCEEDED = (
    Series(id=f"m{number}", namespace="Celery", metric=metric, statistic="Sum")
    for number, metric in enumerate(("TasksFailed", "TasksSucceeded"))
)
ONE = Alarm(
    name="one",
    description="",
    series=(FAILED,),
    comparison=">",
    threshold=0.0,
    datapoints=1,
    periods=1,
    period_seconds=60,
    missing="notBreaching",
)
TWO = replace(ONE, name="two", series=(FAILED, SUCCEEDED), expression="m0/(m0+m1)")


def test_an_alarm_counts_once_for_each_metric_of_its_expression() -> None:
    """Those of less than a minute are counted apart: they cost three times as much."""
    stack = Stack(
        prefix="celery",
        alarms=(ONE, TWO, replace(TWO, period_seconds=30)),
        composite=CompositeAlarm(name="all", description="", children=("one",)),
    )

    assert billed(stack) == Provisioned(alarm_metrics=3, fast_alarm_metrics=2, composites=1)


def test_a_dashboard_counts_the_metrics_that_it_shows() -> None:
    """Each that is listed, none for an expression, and the 20 highest that a search finds."""
    listed: list[object] = ["Celery", "TasksFailed", {"id": "m0"}]
    calculated: list[object] = [{"expression": "100*m0/m1", "id": "e0"}]
    searched: list[object] = [{"expression": "SLICE(SORT(SEARCH(...)), 0, 20)", "id": "e0"}]
    widgets = [
        {"properties": {"metrics": [calculated, listed, listed]}},
        {"properties": {"metrics": [searched]}},
        {"properties": {"markdown": "## Tasks"}},
    ]

    assert billed(Stack(prefix="celery", dashboard={"widgets": widgets})).dashboards == (22,)


def test_the_dashboard_is_too_large_to_be_free() -> None:
    """Free ones have at most 50 metrics."""
    found = billed(build_stack(("dashboard",), Settings(), ProvisionOptions()))

    assert found.dashboards[0] > 50
    assert found.dashboards_billed == 1
