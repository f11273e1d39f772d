"""Dashboard: panels as the body of a CloudWatch dashboard, alarms first. Pure.

The form is that of "Dashboard body structure and syntax" in CloudWatch's API reference.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ...settings import Settings
from ..layout import sections_of
from ..model import Alarm, CompositeAlarm, Located, Series
from ..options import Choices
from ..panels import TOP, Line, Panel, largest, search_terms
from ..series import is_published, period_of, queue_split, series_of

__all__ = ["MARK", "dashboard_name", "dashboard_of"]

#: Tells a dashboard of ours from others; dashboards cannot be found by their tags.
MARK = "Made by `event-monitor provision`; changes by hand are lost when it is run again."

_COLUMNS = 24
_MOST_ALARMS = 100  # in one alarm widget
_REGION = Located("{{region}}")
_FIRST = "__FIRST__"  # of what a variable's search finds
_VARIABLES = (
    # dimension, id, label, metrics that are there for every value
    ("TaskName", "task", "Task", ("TasksSucceeded", "TasksFailed", "TaskRuntime")),
    ("QueueName", "queue", "Queue", ("QueueLength", "OldestMessageAge", "BacklogPerWorker")),
)


def dashboard_name(choices: Choices) -> str:
    """The dashboard's name: the prefix."""
    return choices.prefix


def dashboard_of(
    settings: Settings,
    choices: Choices,
    alarms: tuple[Alarm, ...],
    composite: CompositeAlarm | None,
) -> dict[str, Any]:
    """The body, as what JSON is made of; account and region are ``Located``."""
    names = [*([composite.name] if composite else []), *(one.name for one in alarms)]
    rows: list[list[dict[str, Any]]] = []
    if names:
        rows.append([_alarm_status(names[:_MOST_ALARMS])])
    for section in sections_of(settings):
        if section.panels[0].kind != "numbers":
            rows.append([_text(f"## {section.title}", height=1)])
        rows.extend(_rows(section.panels, settings, choices))
    rows.append([_text(MARK, height=1)])
    return {
        "start": "-PT3H",
        "periodOverride": "inherit",
        "variables": list(_variables(settings)),
        "widgets": list(_placed(rows)),
    }


def _alarm_status(names: list[str]) -> dict[str, Any]:
    arn = "arn:{{partition}}:cloudwatch:{{region}}:{{account}}:alarm:"
    return {
        "type": "alarm",
        "width": _COLUMNS,
        "height": 2 + len(names) // 6,  # six alarms fit beside each other
        "properties": {"title": "Alarms", "alarms": [Located(arn + name) for name in names]},
    }


def _text(markdown: str, *, height: int) -> dict[str, Any]:
    properties = {"markdown": markdown, "background": "transparent"}
    return {"type": "text", "width": _COLUMNS, "height": height, "properties": properties}


def _rows(
    panels: tuple[Panel, ...], settings: Settings, choices: Choices
) -> Iterator[list[dict[str, Any]]]:
    """Panels beside each other as long as the grid is wide enough and they are equally high."""
    row: list[dict[str, Any]] = []
    for panel in panels:
        room = _COLUMNS - sum(one["width"] for one in row)
        if row and (panel.width > room or panel.height != row[0]["height"]):
            yield row
            row = []
        row.append(_widget(panel, settings, choices))
    if row:
        yield row


def _placed(rows: list[list[dict[str, Any]]]) -> Iterator[dict[str, Any]]:
    y = 0
    for row in rows:
        x = 0
        for widget in row:
            yield {"type": widget["type"], "x": x, "y": y} | widget
            x += widget["width"]
        y += max(widget["height"] for widget in row)


def _widget(panel: Panel, settings: Settings, choices: Choices) -> dict[str, Any]:
    properties: dict[str, Any] = {
        "title": panel.title,
        "region": _REGION,
        "period": period_of(settings),
        "metrics": list(_metrics(panel, settings, choices)),
    }
    if panel.kind == "numbers":
        properties |= {"view": "singleValue", "sparkline": True}
    elif panel.kind == "table":
        column = "SUM" if panel.lines[0].statistic == "Sum" else "MAX"
        properties["title"] += f" (the {TOP} highest)"
        properties["view"] = "table"
        properties["table"] = {
            "layout": "vertical",
            "showTimeSeriesData": False,
            "stickySummary": True,
            "summaryColumns": [column],
        }
    else:
        left: dict[str, Any] = {"min": 0, "showUnits": False}
        if panel.unit not in ("Count", "None"):
            left["label"] = panel.unit
        properties |= {"view": "timeSeries", "yAxis": {"left": left}}
    return {
        "type": "metric",
        "width": panel.width,
        "height": panel.height,
        "properties": properties,
    }


def _metrics(panel: Panel, settings: Settings, choices: Choices) -> Iterator[list[Any]]:
    if panel.split and not panel.chosen:
        label = f"${{PROP('Dim.{panel.split}')}}"
        for number, line in enumerate(panel.lines):
            expression = largest(panel, line, settings)
            yield [{"expression": expression, "id": f"e{number}", "label": label}]
        return
    if panel.expression:
        yield [{"expression": panel.expression, "id": "e0", "label": panel.title}]
    split = (panel.split, _chosen(panel.split, settings, choices)) if panel.split else None
    for number, line in enumerate(panel.lines):
        series = series_of(
            line.metric, settings, id=f"m{number}", statistic=line.statistic, split=split
        )
        yield _metric(series, line, hidden=bool(panel.expression))


def _metric(series: Series, line: Line, *, hidden: bool) -> list[Any]:
    options: dict[str, Any] = {"id": series.id, "label": line.label, "stat": series.statistic}
    if hidden:
        options["visible"] = False
    flat = (part for pair in series.dimensions for part in pair)
    return [series.namespace, series.metric, *flat, options]


def _chosen(split: str, settings: Settings, choices: Choices) -> str:
    """What is shown before a person chooses, should the search find nothing."""
    if split == "TaskName":
        return choices.tasks[0].name if choices.tasks else "other"
    names = (*(one.name for one in choices.queues), *settings.queues)
    return queue_split(names[0] if names else "celery")[1]


def _variables(settings: Settings) -> Iterator[dict[str, Any]]:
    for dimension, key, label, metrics in _VARIABLES:
        found = [one for one in metrics if is_published(one, settings, dimension)]
        if not found:
            continue
        yield {
            "type": "property",
            "property": dimension,
            "inputType": "select",
            "id": key,
            "label": label,
            "defaultValue": _FIRST,
            "visible": True,
            "search": search_terms(found[0], dimension, settings),
            "populateFrom": dimension,
        }
