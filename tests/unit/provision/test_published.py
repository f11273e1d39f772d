"""What alarms and dashboards name is published, with exactly these dimensions."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from event_monitor.catalog import CATALOG
from event_monitor.distribution import Distribution
from event_monitor.metrics import metrics_from
from event_monitor.provision.layout import dashboard_sections
from event_monitor.provision.options import ProvisionOptions
from event_monitor.provision.render.grafana import UNITS, grafana_dashboard
from event_monitor.provision.render.terraform import terraform_files
from event_monitor.provision.stack import PIECES, build_stack
from event_monitor.settings import Settings
from event_monitor.snapshot import (
    MissingTasks,
    PublisherReport,
    RunningTasks,
    ScheduledTask,
    Snapshot,
    TaskCounts,
    Window,
    WorkerState,
    WorkerStatus,
)
from event_monitor.survey import QueueDepth, Survey, WorkerAnswer

from .examples import EVERYTHING, SETTINGS, STEPS, read_back


def published(settings: Settings) -> set[tuple[str, tuple[str, ...]]]:
    """Return (metric, names of dimensions) of a cluster in which everything happens."""
    times = Distribution((1.0,), (1,))
    counts = TaskCounts(
        runtime=times,
        queue_time=times,
        prefetch_time=times,
        failed_runtime=times,
        total_time=times,
        retries=times,
    )
    snapshot = Snapshot(
        window=Window(0.0, 60.0, tasks=(("a", counts),), event_delay=times, events_dropped=0),
        workers=(WorkerStatus("celery@a", WorkerState.ONLINE, 0.0, active=1, load_average=1.0),),
        running=(RunningTasks("a", 1, 1.0),),
        scheduled=(ScheduledTask("a", seen_at=0.0, due_at=60.0),),
        publisher=PublisherReport(flush_seconds=0.1),
    )
    survey = Survey(
        queues=(QueueDepth("q", 1, 1, 1, 1.0, 1.0, 2.0),) if settings.probe_queues else None,
        workers=(WorkerAnswer("celery@a", 1, 1, 1, 1, 4, 1, queues=("q",)),)
        if settings.probe_workers
        else None,
        stalled=() if settings.probe_queues and settings.probe_workers else None,
        event_queue_length=0,
    )
    missing = MissingTasks() if settings.probe_queues and settings.probe_workers else None
    metrics = metrics_from(replace(snapshot, survey=survey, missing=missing), settings)
    return {(metric.name, tuple(name for name, _ in metric.dimensions)) for metric in metrics}


def named(settings: Settings) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield the same of everything that alarms and dashboards name."""
    options = ProvisionOptions(workers_from=0)
    stack = build_stack(("alarms", "dashboard"), settings, options)
    for alarm in stack.alarms:
        for series in alarm.series:
            yield series.metric, tuple(name for name, _ in series.dimensions)
    yield from named_by_cloudwatch(read_back(stack.dashboard))
    yield from named_by_grafana(
        read_back(grafana_dashboard(settings, options, alarms=stack.alarms))
    )


def named_by_cloudwatch(body: Any) -> Iterator[tuple[str, tuple[str, ...]]]:
    for widget in body["widgets"]:
        for row in widget["properties"].get("metrics", ()):
            if isinstance(row[0], str):
                _, metric, *dimensions, _ = row
                yield metric, tuple(dimensions[::2])
            elif "SEARCH" in row[0]["expression"]:
                yield searched(row[0]["expression"])
    for variable in body["variables"]:
        yield searched(variable["search"])


def named_by_grafana(dashboard: Any) -> Iterator[tuple[str, tuple[str, ...]]]:
    for panel in dashboard["panels"]:
        for target in panel.get("targets", ()):
            if "metricName" in target:
                yield target["metricName"], tuple(target["dimensions"])
    for variable in dashboard["templating"]["list"]:
        if variable["name"] in ("task", "queue"):  # static ones are chosen one after the other
            query = variable["query"]
            yield query["metricName"], (*query["dimensionFilters"], query["dimensionKey"])


def searched(expression: str) -> tuple[str, tuple[str, ...]]:
    found = re.search(r'\{([^}]*)\} MetricName="(\w+)"', expression)
    assert found, expression
    _, *dimensions = (part.strip('"') for part in found[1].split(","))
    return found[2], tuple(dimensions)


@pytest.mark.parametrize("settings", SETTINGS)
def test_everything_named_is_published_with_exactly_these_dimensions(settings: Settings) -> None:
    """Alarms, widgets, searches and variables, joined with what ``metrics_from`` gives."""
    assert set(named(settings)) <= published(settings)


def test_every_unit_is_one_of_the_catalog() -> None:
    """Grafana has its own words for them."""
    units = {metric.unit for metric in CATALOG}
    assert set(UNITS) == units
    shown = {panel.unit for section in dashboard_sections(EVERYTHING) for panel in section.panels}
    assert shown <= units


def test_every_metric_in_terraform_is_in_the_catalog() -> None:
    """The text itself, whatever was meant."""
    text = "\n".join(terraform_files(build_stack(PIECES, EVERYTHING, STEPS)).values())
    found = set(re.findall(r'metric_name\s+= "(\w+)"', text))
    of_sqs = {"ApproximateAgeOfOldestMessage"}  # it publishes that itself
    assert found - of_sqs <= {metric.name for metric in CATALOG}
