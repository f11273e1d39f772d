"""CloudWatch dashboard: the panels as a dashboard's body, alarms first. Pure.

The form is that of "Dashboard body structure and syntax" in CloudWatch's API reference.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypedDict

from ...settings import Settings
from ..layout import dashboard_sections
from ..model import Alarm, CompositeAlarm, PlaceholderText, Series
from ..options import ProvisionOptions
from ..panels import GRID_COLUMNS, MARK, Line, Panel, panel_rows
from ..series import is_published, period_seconds_of, published_series, queue_split
from .search import dimension_label, largest_series, search_terms

__all__ = ["cloudwatch_dashboard"]


class _Widget(TypedDict):
    type: str
    width: int
    height: int
    properties: dict[str, object]


class _Variable(TypedDict):
    dimension: str
    id: str
    label: str
    metrics: tuple[str, ...]  # each has a series for every value of the dimension


_VARIABLES: tuple[_Variable, ...] = (
    {
        "dimension": "TaskName",
        "id": "task",
        "label": "Task",
        "metrics": ("TasksSucceeded", "TasksFailed", "TaskRuntime"),
    },
    {
        "dimension": "QueueName",
        "id": "queue",
        "label": "Queue",
        "metrics": ("QueueLength", "OldestMessageAge", "BacklogPerWorker"),
    },
)
_MAX_ALARMS = 100  # in one alarm widget
_ALARMS_PER_ROW = 6  # that fit beside each other
_ALARM_ARN = "arn:{{partition}}:cloudwatch:{{region}}:{{account}}:alarm:"
_REGION = PlaceholderText("{{region}}")
_FIRST = "__FIRST__"  # of what a variable's search finds


def cloudwatch_dashboard(
    settings: Settings,
    options: ProvisionOptions,
    *,
    alarms: tuple[Alarm, ...],
    composite: CompositeAlarm | None,
) -> dict[str, object]:
    """Return the body, ready for JSON; account and region are ``PlaceholderText``.

    Raises ``SettingsError`` for names that cannot be searched for.
    """
    names = [*([composite.name] if composite else []), *(alarm.name for alarm in alarms)]
    rows: list[list[_Widget]] = []
    if names:
        rows.append([_alarm_status(names[:_MAX_ALARMS])])
    for section in dashboard_sections(settings):
        if section.panels[0].kind != "numbers":
            rows.append([_text(f"## {section.title}")])
        rows += [
            [_widget(panel, settings, options) for panel in row]
            for row in panel_rows(section.panels)
        ]
    rows.append([_text(MARK)])
    return {
        "start": "-PT3H",
        "periodOverride": "inherit",
        "variables": list(_variables(settings)),
        "widgets": list(_placed(rows)),
    }


def _alarm_status(names: list[str]) -> _Widget:
    arns = [PlaceholderText(_ALARM_ARN + name) for name in names]
    return {
        "type": "alarm",
        "width": GRID_COLUMNS,
        "height": 2 + len(names) // _ALARMS_PER_ROW,
        "properties": {"title": "Alarms", "alarms": arns},
    }


def _text(markdown: str) -> _Widget:
    properties: dict[str, object] = {"markdown": markdown, "background": "transparent"}
    return {"type": "text", "width": GRID_COLUMNS, "height": 1, "properties": properties}


def _placed(rows: list[list[_Widget]]) -> Iterator[dict[str, object]]:
    y = 0
    for row in rows:
        x = 0
        for widget in row:
            yield {"type": widget["type"], "x": x, "y": y, **widget}
            x += widget["width"]
        y += max(widget["height"] for widget in row)


def _widget(panel: Panel, settings: Settings, options: ProvisionOptions) -> _Widget:
    return {
        "type": "metric",
        "width": panel.width,
        "height": panel.height,
        "properties": {
            "title": panel.full_title,
            "region": _REGION,
            "period": period_seconds_of(settings),
            "metrics": list(_metrics(panel, settings, options)),
            **_view(panel),
        },
    }


def _view(panel: Panel) -> dict[str, object]:
    if panel.kind == "numbers":
        return {"view": "singleValue", "sparkline": True}
    if panel.kind == "table":
        table = {
            "layout": "vertical",
            "showTimeSeriesData": False,
            "stickySummary": True,
            "summaryColumns": ["SUM" if panel.is_sum else "MAX"],
        }
        return {"view": "table", "table": table}
    left: dict[str, object] = {"min": 0, "showUnits": False}
    if panel.unit not in ("Count", "None"):
        left["label"] = panel.unit
    return {"view": "timeSeries", "yAxis": {"left": left}}


def _metrics(panel: Panel, settings: Settings, options: ProvisionOptions) -> Iterator[list[object]]:
    if panel.is_ranking:
        label = dimension_label(panel.split)
        for number, line in enumerate(panel.lines):
            expression = largest_series(line, settings, split=panel.split)
            yield [{"expression": expression, "id": f"e{number}", "label": label}]
        return
    if panel.expression:
        yield [{"expression": panel.expression, "id": "e0", "label": panel.title}]
    split = (panel.split, _initial_value(panel.split, settings, options)) if panel.split else None
    for number, line in enumerate(panel.lines):
        series = published_series(
            line.metric, settings, id=f"m{number}", statistic=line.statistic, split=split
        )
        yield _metric(series, line, hidden=bool(panel.expression))


def _metric(series: Series, line: Line, *, hidden: bool) -> list[object]:
    """Return the series as CloudWatch lists it: namespace, name, dimensions, how to show it."""
    shown: dict[str, object] = {"id": series.id, "label": line.label, "stat": series.statistic}
    if hidden:
        shown["visible"] = False
    dimensions = (part for pair in series.dimensions for part in pair)
    return [series.namespace, series.metric, *dimensions, shown]


def _initial_value(split: str, settings: Settings, options: ProvisionOptions) -> str:
    """Return the value shown before a person chooses one, should the search find nothing."""
    if split == "TaskName":
        return options.tasks[0].name if options.tasks else "other"
    names = (*(queue.name for queue in options.queues), *settings.queues, "celery")
    return queue_split(names[0])[1]


def _variables(settings: Settings) -> Iterator[dict[str, object]]:
    for variable in _VARIABLES:
        dimension = variable["dimension"]
        published = [
            metric
            for metric in variable["metrics"]
            if is_published(metric, settings, split=dimension)
        ]
        if published:
            yield {
                "type": "property",
                "property": dimension,
                "inputType": "select",
                "id": variable["id"],
                "label": variable["label"],
                "defaultValue": _FIRST,
                "visible": True,
                "search": search_terms(published[0], settings, split=dimension),
                "populateFrom": dimension,
            }
