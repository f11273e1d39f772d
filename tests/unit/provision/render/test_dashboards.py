"""Dashboards: CloudWatch's and Grafana's, from the same panels."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from event_monitor.catalog import CATALOG
from event_monitor.errors import SettingsError
from event_monitor.provision.options import ProvisionOptions, TaskLimits
from event_monitor.provision.render.cloudwatch_dashboard import cloudwatch_dashboard
from event_monitor.provision.render.grafana import grafana_dashboard
from event_monitor.provision.stack import build_stack
from event_monitor.settings import Settings

from ..examples import EVERYTHING, OPTIONS, SETTINGS, read_back


def cloudwatch_body(settings: Settings, options: ProvisionOptions = OPTIONS) -> Any:
    """Return the body of CloudWatch's dashboard as it is read from JSON."""
    body = build_stack(("dashboard",), settings, options).dashboard
    assert body is not None
    return read_back(body)


def grafana_panels(settings: Settings, options: ProvisionOptions = OPTIONS) -> Any:
    """Return the panels of Grafana's dashboard as they are read from JSON."""
    return read_back(grafana_dashboard(settings, options))["panels"]


@pytest.mark.parametrize("settings", [Settings(), *SETTINGS[2:]])
def test_widgets_neither_overlap_nor_leave_the_grid(settings: Settings) -> None:
    """24 columns, in CloudWatch and in Grafana."""
    widgets = cloudwatch_body(settings, ProvisionOptions())["widgets"]
    places = [tuple(widget[key] for key in ("x", "y", "width", "height")) for widget in widgets]
    panels = grafana_panels(settings, ProvisionOptions())
    grid = [tuple(panel["gridPos"][key] for key in "xywh") for panel in panels]
    for rectangles in (places, grid):
        cells = [
            (column, row)
            for x, y, width, height in rectangles
            for column in range(x, x + width)
            for row in range(y, y + height)
        ]
        assert len(cells) == len(set(cells))
        assert all(column < 24 for column, _ in cells)


def test_the_state_of_the_alarms_comes_first() -> None:
    """All of them, the composite before the others."""
    first = cloudwatch_body(EVERYTHING)["widgets"][0]

    assert (first["type"], first["y"]) == ("alarm", 0)
    assert first["properties"]["alarms"][0].endswith(":alarm:celery-unhealthy")


def test_two_hundred_tasks_do_not_make_the_dashboard_longer() -> None:
    """Tables are searches for the twenty highest."""
    many = replace(OPTIONS, tasks=tuple(TaskLimits(f"task-{n}", p95=1.0) for n in range(200)))
    few, more = cloudwatch_body(EVERYTHING), cloudwatch_body(EVERYTHING, many)

    assert len(more["widgets"]) == len(few["widgets"])
    assert len(more["widgets"][0]["properties"]["alarms"]) == 100  # all that one widget takes
    (table,) = (
        widget
        for widget in more["widgets"]
        if "Failures by" in widget["properties"].get("title", "")
    )
    assert table["properties"]["metrics"][0][0]["expression"] == (
        'SLICE(SORT(SEARCH(\'{"Celery","Environment","Cost center",TaskName} '
        'MetricName="TasksFailed" "Environment"="prod" "Cost center"="${x} %{y}"\', \'Sum\'), '
        "SUM, DESC), 0, 20)"
    )


def test_a_task_and_a_queue_can_be_chosen() -> None:
    """By the variables of the dashboard, which find them by themselves."""
    variables = cloudwatch_body(Settings(), ProvisionOptions())["variables"]

    assert [
        tuple(variable[key] for key in ("property", "search", "defaultValue"))
        for variable in variables
    ] == [
        ("TaskName", '{"Celery",TaskName} MetricName="TasksSucceeded"', "__FIRST__"),
        ("QueueName", '{"Celery",QueueName} MetricName="QueueLength"', "__FIRST__"),
    ]


def test_a_search_that_cannot_be_written_is_refused() -> None:
    """CloudWatch documents no way to write a quote in one."""
    with pytest.raises(SettingsError, match='a dashboard cannot search for "it\'s"'):
        cloudwatch_body(Settings(dimensions=(("Owner", "it's"),)))


def test_grafana_matches_dimensions_exactly() -> None:
    """Or a total would be added to its splits."""
    panels = grafana_panels(EVERYTHING)
    targets = [target for panel in panels for target in panel.get("targets", ())]

    assert targets
    assert all(target["matchExact"] is True for target in targets)
    assert len({panel["id"] for panel in panels}) == len(panels)


def test_a_dashboard_without_anything_published_is_still_one() -> None:
    """It says who made it."""
    nothing = Settings(without=tuple(metric.name for metric in CATALOG))
    body = read_back(cloudwatch_dashboard(nothing, ProvisionOptions(), alarms=(), composite=None))
    assert [widget["type"] for widget in body["widgets"]] == ["text"]
