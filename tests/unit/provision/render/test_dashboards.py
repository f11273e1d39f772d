"""Dashboards: CloudWatch's and Grafana's, from the same panels."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from event_monitor.catalog import CATALOG
from event_monitor.errors import SettingsError
from event_monitor.provision.options import ProvisionOptions, QueueLimits, TaskLimits
from event_monitor.provision.render.cloudwatch_dashboard import cloudwatch_dashboard
from event_monitor.provision.render.grafana import UNITS
from event_monitor.provision.stack import Stack, build_stack
from event_monitor.settings import Settings

from ....support.dashboard_picture import (
    Box,
    boxes_of_cloudwatch,
    boxes_of_grafana,
    drawn,
    problems,
)
from ..examples import EVERYTHING, OPTIONS, SETTINGS, read_back

MANY_TASKS = replace(
    OPTIONS, tasks=tuple(TaskLimits(f"task-{number}", p95=1.0) for number in range(200))
)


def built(settings: Settings, options: ProvisionOptions = OPTIONS) -> Stack:
    """Return both dashboards."""
    return build_stack(("dashboard", "grafana"), settings, options)


def cloudwatch_body(settings: Settings, options: ProvisionOptions = OPTIONS) -> Any:
    """Return the body of CloudWatch's dashboard as it is read from JSON."""
    return read_back(built(settings, options).dashboard)


def grafana_model(settings: Settings, options: ProvisionOptions = OPTIONS) -> Any:
    """Return Grafana's dashboard as it is read from JSON."""
    return read_back(built(settings, options).grafana)


def widget_called(body: Any, title: str) -> Any:
    """Return the properties of the widget with that title."""
    (found,) = (
        widget["properties"]
        for widget in body["widgets"]
        if widget["properties"].get("title") == title
    )
    return found


def panel_called(dashboard: Any, title: str) -> Any:
    """Return the panel with that title."""
    (found,) = (panel for panel in dashboard["panels"] if panel["title"] == title)
    return found


# -- the layout ------------------------------------------------------------------------------------


@pytest.mark.parametrize("settings", [Settings(), *SETTINGS[2:]])
def test_the_grid_is_full_and_every_title_fits(settings: Settings, tmp_path: Path) -> None:
    """Neither overlaps nor holes, whatever is not published. The SVG is there to be looked at."""
    stack = built(settings, ProvisionOptions())
    pictures = {
        "cloudwatch.svg": boxes_of_cloudwatch(read_back(stack.dashboard)),
        "grafana.svg": boxes_of_grafana(read_back(stack.grafana)),
    }
    for name, boxes in pictures.items():
        if boxes:  # Grafana's has no panel without any metric
            (tmp_path / name).write_text(drawn(boxes), encoding="utf-8")
            assert list(problems(boxes)) == []


def test_what_is_wrong_with_a_grid_is_found() -> None:
    """So that the test above can fail."""
    wrong = [
        Box(kind="table", x=0, y=0, width=12, height=1, title="left"),
        Box(kind="table", x=11, y=0, width=12, height=1, title="right"),
        Box(kind="table", x=23, y=0, width=2, height=1, title="a title that is long"),
    ]
    assert list(problems(wrong)) == [
        "'left' overlaps 'right'",
        "column 24 of row 0 is outside",
        "the title 'a title that is long' is too long",
    ]
    assert list(problems([wrong[0]]))[:1] == ["column 12 of row 0 is empty"]


def test_a_person_on_call_reads_from_top_to_bottom() -> None:
    """What is the state, does work flow, how long does it take, where does it wait, and why."""
    settings = Settings(dimensions=(("Environment", "prod"),))
    kinds = [
        (box.kind, box.title)
        for box in boxes_of_cloudwatch(cloudwatch_body(settings, ProvisionOptions()))
        if box.kind in ("singleValue", "alarm", "text")
    ]
    assert kinds == [
        ("singleValue", "Now"),
        ("alarm", "Alarms"),
        ("text", "## Traffic"),
        ("text", "## Times"),
        ("text", "## By task"),
        ("text", "## Queues"),
        ("text", "## Workers"),
        ("text", "## The monitor"),
        ("text", kinds[-1][1]),
    ]
    rows = [
        box.title
        for box in boxes_of_grafana(grafana_model(settings, ProvisionOptions()))
        if box.kind in ("singleValue", "text")
    ]
    assert rows == ["Now", *(title.removeprefix("## ") for _, title in kinds[2:-1])]


def test_the_alarms_come_before_the_graphs_where_there_are_no_numbers() -> None:
    """All of them, the composite before the others."""
    unpublished = tuple(
        spec.name for spec in CATALOG if spec.group in ("queues", "workers", "tasks now")
    )
    first, *_ = cloudwatch_body(
        Settings(without=(*unpublished, "BrokerConnected")), ProvisionOptions()
    )["widgets"]

    assert (first["type"], first["y"]) == ("alarm", 0)
    assert first["properties"]["alarms"][0].endswith(":alarm:celery-unhealthy")


def test_a_dashboard_without_anything_published_is_still_one() -> None:
    """It says who made it."""
    nothing = Settings(without=tuple(metric.name for metric in CATALOG))
    body = read_back(cloudwatch_dashboard(nothing, ProvisionOptions(), alarms=(), composite=None))
    assert [widget["type"] for widget in body["widgets"]] == ["text"]
    assert [
        variable["name"]
        for variable in grafana_model(nothing, ProvisionOptions())["templating"]["list"]
    ] == ["datasource", "region"]


# -- periods and requests --------------------------------------------------------------------------


@pytest.mark.parametrize("settings", [Settings(), Settings(interval=10, high_resolution=True)])
def test_periods_adapt_to_the_time_range(settings: Settings) -> None:
    """Data by the minute is gone after 15 days, data by the second after 3 hours."""
    body, grafana = cloudwatch_body(settings), grafana_model(settings)

    assert body["periodOverride"] == "auto"
    assert not [widget for widget in body["widgets"] if "period" in widget["properties"]]
    targets = [target for panel in grafana["panels"] for target in panel.get("targets", ())]
    assert {target["period"] for target in targets} == {""}


def test_grafana_does_not_ask_every_minute() -> None:
    """An open dashboard is billed by the series at each refresh."""
    assert grafana_model(Settings())["refresh"] == "5m"


# -- thresholds ------------------------------------------------------------------------------------


def test_the_thresholds_of_the_alarms_are_lines_in_both() -> None:
    """In the graph of the same metric and statistic, with the alarm's name."""
    options = ProvisionOptions(prefix="shop", max_age=90)
    age = "Age of the oldest message of all"

    body, grafana = cloudwatch_body(Settings(), options), grafana_model(Settings(), options)

    assert widget_called(body, age)["annotations"]["horizontal"] == [
        {"value": 90.0, "label": "shop-oldest-message > 90", "color": "#d62728"}
    ]
    assert "annotations" not in widget_called(body, "Runtime")
    assert panel_called(grafana, age)["fieldConfig"]["defaults"] == {
        "unit": "s",
        "min": 0,
        "thresholds": {
            "mode": "absolute",
            "steps": [{"color": "transparent", "value": None}, {"color": "red", "value": 90.0}],
        },
        "custom": {"thresholdsStyle": {"mode": "dashed"}},
    }
    assert panel_called(grafana, age)["description"] == "Alarm shop-oldest-message > 90"
    steps = panel_called(grafana, "Runtime")["fieldConfig"]["defaults"]["thresholds"]["steps"]
    assert steps == [{"color": "transparent", "value": None}]  # Grafana's own default is red at 80


def test_a_number_is_red_where_its_alarm_would_be_on() -> None:
    """Below the threshold of one alarm, above that of another; plain where there is none."""
    now = panel_called(grafana_model(Settings(), ProvisionOptions(workers_at_least=2)), "Now")
    colours = {
        target["label"]: override["properties"][1]["value"]["steps"]
        for target, override in zip(now["targets"], now["fieldConfig"]["overrides"], strict=True)
        if override["matcher"] == {"id": "byFrameRefID", "options": target["refId"]}
    }
    assert colours["workers online"] == [
        {"color": "red", "value": None},
        {"color": "green", "value": 2.0},
    ]
    assert colours["oldest message"] == [
        {"color": "green", "value": None},
        {"color": "red", "value": 600.0},
    ]
    assert colours["tasks running"] == [{"color": "text", "value": None}]


# -- units -----------------------------------------------------------------------------------------


def test_every_panel_and_every_number_of_grafana_has_its_unit() -> None:
    """Numbers of several units stand together; each has its own."""
    panels = [panel for panel in grafana_model(EVERYTHING)["panels"] if panel["type"] != "row"]

    assert all(panel["fieldConfig"]["defaults"]["unit"] in UNITS.values() for panel in panels)
    now = panels[0]
    assert [
        (target["label"], override["properties"][0])
        for target, override in zip(now["targets"], now["fieldConfig"]["overrides"], strict=True)
    ] == [
        ("broker connected", {"id": "unit", "value": "short"}),
        ("workers online", {"id": "unit", "value": "short"}),
        ("workers busy", {"id": "unit", "value": "percent"}),
        ("tasks running", {"id": "unit", "value": "short"}),
        ("longest run", {"id": "unit", "value": "s"}),
        ("messages waiting", {"id": "unit", "value": "short"}),
        ("oldest message", {"id": "unit", "value": "s"}),
        ("time to empty", {"id": "unit", "value": "s"}),
    ]


def test_cloudwatch_says_the_unit_where_several_stand_together_and_that_sums_grow() -> None:
    """It shows numbers without one; and a sum is over a period that adapts."""
    body = cloudwatch_body(Settings())

    labels = [row[-1]["label"] for row in widget_called(body, "Now")["metrics"]]
    assert labels[2:5] == ["workers busy, %", "tasks running", "longest run, s"]
    assert widget_called(body, "Tasks")["yAxis"]["left"]["label"] == "per period"
    assert widget_called(body, "Runtime")["yAxis"]["left"]["label"] == "Seconds"


# -- limits of CloudWatch --------------------------------------------------------------------------


def test_two_hundred_tasks_do_not_make_the_dashboard_longer() -> None:
    """Tables are searches for the twenty highest."""
    few, more = cloudwatch_body(EVERYTHING), cloudwatch_body(EVERYTHING, MANY_TASKS)

    assert len(more["widgets"]) == len(few["widgets"])
    table = widget_called(more, "Failures by task (the 20 highest)")
    assert table["metrics"][0][0]["expression"] == (
        'SLICE(SORT(SEARCH(\'{"Celery","Environment","Cost center",TaskName} '
        'MetricName="TasksFailed" "Environment"="prod" "Cost center"="${x} %{y}"\', \'Sum\'), '
        "SUM, DESC), 0, 20)"
    )


def test_of_more_alarms_than_a_widget_takes_the_most_urgent_are_shown() -> None:
    """The composite, the cluster's, the queues', then tasks'; title and note say so."""
    stack = built(Settings(), replace(MANY_TASKS, queues=(QueueLimits("mail", 100, 60),)))
    widgets = read_back(stack.dashboard)["widgets"]
    (alarms,) = (widget["properties"] for widget in widgets if widget["type"] == "alarm")
    names = [arn.rpartition(":")[2] for arn in alarms["alarms"]]
    total = 1 + len(build_stack(("alarms",), Settings(), stack_options()).alarms)

    assert len(names) == 100
    assert names[:2] == ["celery-unhealthy", "celery-monitor-dead"]
    assert names.index("celery-oldest-message-mail") < names.index("celery-runtime-p95-task-0")
    assert alarms["title"] == f"Alarms: the 100 most urgent of {total}"
    assert stack.notes == (
        f"The dashboard shows the 100 most urgent of the {total} alarms: CloudWatch's alarm widget "
        "takes no more.",
    )


def stack_options() -> ProvisionOptions:
    return replace(MANY_TASKS, queues=(QueueLimits("mail", 100, 60),))


def test_more_names_than_a_search_finds_are_said() -> None:
    """In the heading and in a note; by default there is no room for so many series."""
    many = Settings(by_task=("TasksFailed",), by_queue=("QueueLength",), series_budget=2_400)
    stack = built(many, ProvisionOptions())
    headings = [
        box.title for box in boxes_of_cloudwatch(read_back(stack.dashboard)) if box.kind == "text"
    ]

    assert "## By task: the highest of the 500 that CloudWatch finds" in headings
    assert "## Queues: the highest of the 500 that CloudWatch finds" in headings
    assert panel_called(
        read_back(stack.grafana), "By task: the highest of the 500 that CloudWatch finds"
    )
    assert stack.notes == (
        "These settings may publish up to 2,000 task names: CloudWatch's search finds 500, so the "
        "dashboard's highest task names are the highest of those.",
        "These settings may publish up to 600 queues: CloudWatch's search finds 500, so the "
        "dashboard's highest queues are the highest of those.",
    )
    assert built(Settings()).notes == ()


def test_a_search_that_cannot_be_written_is_refused() -> None:
    """CloudWatch documents no way to write a quote in one."""
    with pytest.raises(SettingsError, match='a dashboard cannot search for "it\'s"'):
        cloudwatch_body(Settings(dimensions=(("Owner", "it's"),)))


# -- variables -------------------------------------------------------------------------------------


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


def test_each_static_dimension_is_a_variable_of_grafana() -> None:
    """Its value is that of the settings until another is chosen; no query has it written in."""
    settings = Settings(
        dimensions=(("Environment", "prod"), ("Cost center", "${x} %{y}"), ("Task", "a"))
    )
    dashboard = grafana_model(settings, ProvisionOptions())
    variables = {variable["name"]: variable for variable in dashboard["templating"]["list"]}

    assert list(variables) == [
        *("datasource", "region", "environment", "cost_center", "dimension_task"),
        *("task", "queue"),
    ]
    assert variables["environment"]["current"] == {"text": "prod", "value": "prod"}
    assert variables["cost_center"]["current"] == {"text": "${x} %{y}", "value": "${x} %{y}"}
    assert variables["cost_center"]["label"] == "Cost center"
    assert variables["cost_center"]["query"]["dimensionFilters"] == {
        "Environment": "${environment}"
    }
    chosen = {
        "Environment": "${environment}",
        "Cost center": "${cost_center}",
        "Task": "${dimension_task}",
    }
    assert variables["task"]["query"]["dimensionFilters"] == chosen
    assert panel_called(dashboard, "Runtime")["targets"][0]["dimensions"] == chosen
    expression = panel_called(dashboard, "Runtime p95 by task (the 20 highest)")["targets"][0][
        "expression"
    ]
    assert '"Environment"="${environment}" "Cost center"="${cost_center}"' in expression


def test_grafana_matches_dimensions_exactly() -> None:
    """Or a total would be added to its splits."""
    panels = grafana_model(EVERYTHING)["panels"]
    targets = [target for panel in panels for target in panel.get("targets", ())]

    assert targets
    assert all(target["matchExact"] is True for target in targets)
    assert len({panel["id"] for panel in panels}) == len(panels)
