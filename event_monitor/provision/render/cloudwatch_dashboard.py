"""CloudWatch dashboard: the panels as a dashboard's body, numbers and alarms first. Pure.

The form is that of "Dashboard body structure and syntax" in CloudWatch's API reference. No period
is given: CloudWatch keeps data by the minute for 15 days and by the second for 3 hours, so that a
fixed one would leave longer views empty.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil
from typing import TypedDict

from ...catalog import Unit
from ...settings import Settings
from ..layout import dashboard_sections
from ..model import Alarm, CompositeAlarm, PlaceholderText, Series
from ..options import ProvisionOptions
from ..panels import GRID_COLUMNS, MARK, Panel, PlacedPanel, placed_rows
from ..series import is_published, published_series, queue_split
from .search import dimension_label, largest_series, search_terms, section_title
from .thresholds import thresholds_of

__all__ = ["alarm_status_notes", "cloudwatch_dashboard"]


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
_MAX_ALARMS = 100  # in one alarm widget; CloudWatch's own limit
_ALARMS_PER_ROW = 6  # that fit beside each other
_ALARM_ARN = "arn:{{partition}}:cloudwatch:{{region}}:{{account}}:alarm:"
_THRESHOLD_COLOR = "#d62728"  # CloudWatch's own red
#: Unit → what is put after a label where values of several units stand together.
_UNIT_SUFFIXES: dict[Unit, str] = {"Seconds": ", s", "Percent": ", %"}
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
    status = list(_alarm_status(_by_urgency(alarms, composite)))
    rows: list[list[_Widget]] = []
    for section in dashboard_sections(settings):
        of_numbers = section.panels[0].kind == "numbers"
        if not of_numbers:
            rows += [*status, [_text(f"## {section_title(section, settings)}")]]
            status = []
        rows += [
            [_widget(placed, settings, options, alarms) for placed in row]
            for row in placed_rows(section.panels)
        ]
    rows += [*status, [_text(MARK)]]
    return {
        "start": "-PT3H",
        "periodOverride": "auto",
        "variables": list(_variables(settings)),
        "widgets": list(_placed(rows)),
    }


def alarm_status_notes(
    alarms: tuple[Alarm, ...], composite: CompositeAlarm | None
) -> Iterator[str]:
    """Yield a sentence if there are more alarms than the dashboard can show."""
    count = len(_by_urgency(alarms, composite))
    if count > _MAX_ALARMS:
        yield (
            f"The dashboard shows the {_MAX_ALARMS} most urgent of the {count} alarms: "
            "CloudWatch's alarm widget takes no more."
        )


def _by_urgency(alarms: tuple[Alarm, ...], composite: CompositeAlarm | None) -> list[str]:
    """Return the names: the composite, the cluster's in their order, then of queues and tasks."""
    ordered = sorted(alarms, key=lambda alarm: not alarm.cluster_wide)
    return [*([composite.name] if composite else []), *(alarm.name for alarm in ordered)]


def _alarm_status(names: list[str]) -> Iterator[list[_Widget]]:
    """Yield the row with the state of the alarms, if there are any."""
    shown = names[:_MAX_ALARMS]
    of_all = f": the {len(shown)} most urgent of {len(names)}" if len(shown) < len(names) else ""
    if shown:
        arns = [PlaceholderText(_ALARM_ARN + name) for name in shown]
        yield [
            {
                "type": "alarm",
                "width": GRID_COLUMNS,
                "height": 1 + ceil(len(shown) / _ALARMS_PER_ROW),
                "properties": {"title": f"Alarms{of_all}", "alarms": arns},
            }
        ]


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


def _widget(
    placed: PlacedPanel, settings: Settings, options: ProvisionOptions, alarms: tuple[Alarm, ...]
) -> _Widget:
    panel = placed.panel
    return {
        "type": "metric",
        "width": placed.width,
        "height": panel.height,
        "properties": {
            "title": panel.full_title,
            "region": _REGION,
            "metrics": list(_metrics(panel, settings, options)),
            **_view(panel),
            **_annotations(panel, settings, alarms),
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
    if panel.is_sum and not panel.expression:
        left["label"] = "per period"  # which grows with the time range
    elif panel.unit not in ("Count", "None"):
        left["label"] = panel.unit
    return {"view": "timeSeries", "yAxis": {"left": left}}


def _annotations(panel: Panel, settings: Settings, alarms: tuple[Alarm, ...]) -> dict[str, object]:
    """Return the alarms' thresholds as lines across a graph; nothing for numbers and tables."""
    if panel.kind != "graph":
        return {}
    lines = [
        {"value": threshold.value, "label": threshold.label, "color": _THRESHOLD_COLOR}
        for threshold in thresholds_of(panel, settings, alarms)
    ]
    return {"annotations": {"horizontal": lines}} if lines else {}


def _metrics(panel: Panel, settings: Settings, options: ProvisionOptions) -> Iterator[list[object]]:
    if panel.is_ranking:
        label = dimension_label(panel.split)
        for line in panel.lines:
            expression = largest_series(line, settings, split=panel.split)
            yield [{"expression": expression, "label": label}]
        return
    if panel.expression:
        yield [{"expression": panel.expression, "label": panel.title}]
    split = (panel.split, _initial_value(panel.split, settings, options)) if panel.split else None
    for number, line in enumerate(panel.lines):
        series = published_series(
            line.metric, settings, id=f"m{number}", statistic=line.statistic, split=split
        )
        of_one_unit = panel.unit == line.unit
        label = line.label if of_one_unit else line.label + _UNIT_SUFFIXES.get(line.unit, "")
        yield _metric(series, label, hidden=bool(panel.expression))


def _metric(series: Series, label: str, *, hidden: bool) -> list[object]:
    """Return the series as CloudWatch lists it: namespace, name, dimensions, how to show it."""
    shown: dict[str, object] = {"label": label, "stat": series.statistic}
    if hidden:  # it is there for an expression
        shown |= {"id": series.id, "visible": False}
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
