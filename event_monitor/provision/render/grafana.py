"""Grafana: the same panels as a Grafana dashboard over its CloudWatch data source. Pure.

Dimensions match exactly, so a total is never mixed with its splits. The form is the JSON model of
Grafana 10 and later. Plain values: the libraries for it are larger than what they would save here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from string import ascii_uppercase

from ...catalog import Unit
from ...metrics.prices import GRAFANA_REFRESH_MINUTES
from ...settings import Settings
from ..layout import dashboard_sections
from ..model import Alarm, Dimensions
from ..options import ProvisionOptions
from ..panels import GRID_COLUMNS, MARK, Line, Panel, PanelKind, placed_rows
from ..series import encoded_dimensions, is_published
from .search import dimension_label, largest_series, section_title
from .thresholds import Threshold, thresholds_of, thresholds_of_line

__all__ = ["UNITS", "grafana_dashboard"]

_SCHEMA_VERSION = 39  # of Grafana 10.4; newer ones migrate it themselves
_MAX_UID_CHARACTERS = 40
_DATA_SOURCE = {"type": "cloudwatch", "uid": "${datasource}"}
#: Grafana chooses a period that suits the time range and what CloudWatch still keeps.
_AUTOMATIC_PERIOD = ""
#: The catalog's unit → Grafana's.
UNITS: dict[Unit, str] = {
    "Count": "short",
    "Count/Second": "ops",
    "Seconds": "s",
    "Percent": "percent",
    "Bytes": "bytes",
    "None": "none",
}
_PANEL_TYPES: dict[PanelKind, str] = {"graph": "timeseries", "numbers": "stat", "table": "table"}
#: Dimension → the variable that chooses its value.
_VARIABLES = {"TaskName": "task", "QueueName": "queue"}
#: Dimension → metrics that have a series for every value of it.
_METRICS_OF_EVERY = {"TaskName": ("TasksSucceeded", "TaskRuntime"), "QueueName": ("QueueLength",)}
_JUST_ABOVE_ZERO = 0.001
_EDIT_EXPRESSION, _EDIT_METRIC = 1, 0  # editor modes of a query


def grafana_dashboard(
    settings: Settings, options: ProvisionOptions, *, alarms: tuple[Alarm, ...]
) -> dict[str, object]:
    """Return the dashboard as Grafana imports it, with the thresholds of the alarms.

    Each static dimension is a variable whose first value is the settings' own, so that one
    dashboard shows every environment.
    """
    panels = [
        {**panel, "id": number} for number, panel in enumerate(_panels(settings, alarms), start=1)
    ]
    return {
        "title": f"Celery ({options.prefix})",
        "uid": f"event-monitor-{options.prefix}"[:_MAX_UID_CHARACTERS],
        "description": MARK,
        "tags": ["celery", "event-monitor"],
        "schemaVersion": _SCHEMA_VERSION,
        "editable": True,
        "refresh": f"{GRAFANA_REFRESH_MINUTES}m",  # it is billed by the series
        "time": {"from": "now-3h", "to": "now"},
        "templating": {"list": list(_variables(settings))},
        "panels": panels,
    }


def _panels(settings: Settings, alarms: tuple[Alarm, ...]) -> Iterator[dict[str, object]]:
    y = 0
    for section in dashboard_sections(settings):
        if section.panels[0].kind != "numbers":  # what stands on top needs no heading
            place = {"h": 1, "w": GRID_COLUMNS, "x": 0, "y": y}
            title = section_title(section, settings)
            yield {"type": "row", "title": title, "gridPos": place, "collapsed": False}
            y += 1
        for row in placed_rows(section.panels):
            height = row[0].panel.height
            for placed in row:
                place = {"h": height, "w": placed.width, "x": placed.x, "y": y}
                yield {**_panel(placed.panel, settings, alarms), "gridPos": place}
            y += height


def _panel(panel: Panel, settings: Settings, alarms: tuple[Alarm, ...]) -> dict[str, object]:
    thresholds = thresholds_of(panel, settings, alarms) if panel.kind == "graph" else ()
    defaults: dict[str, object] = {
        "unit": UNITS[panel.unit],
        "min": 0,
        "thresholds": _lines_at(thresholds),
    }
    if thresholds:
        defaults["custom"] = {"thresholdsStyle": {"mode": "dashed"}}
    overrides: list[dict[str, object]] = []
    if panel.kind == "numbers":
        overrides = [
            _override(number, line, thresholds_of_line(line, settings, alarms))
            for number, line in enumerate(panel.lines)
        ]
    table = {"transformations": list(_transformations(panel))} if panel.kind == "table" else {}
    return {
        "type": _PANEL_TYPES[panel.kind],
        "title": panel.full_title,
        "description": "\n".join(f"Alarm {threshold.label}" for threshold in thresholds),
        "datasource": _DATA_SOURCE,
        "fieldConfig": {"defaults": defaults, "overrides": overrides},
        "targets": list(_targets(panel, settings)),
        **table,
    }


def _override(number: int, line: Line, thresholds: tuple[Threshold, ...]) -> dict[str, object]:
    """Return the unit of one number, and the colours that say whether its alarm would be on."""
    return {
        "matcher": {"id": "byFrameRefID", "options": ascii_uppercase[number]},
        "properties": [
            {"id": "unit", "value": UNITS[line.unit]},
            {"id": "thresholds", "value": _colours(thresholds)},
        ],
    }


def _lines_at(thresholds: tuple[Threshold, ...]) -> dict[str, object]:
    """Return a red line for each; Grafana's own default is one at 80, whatever is shown."""
    values = sorted({threshold.value for threshold in thresholds})
    steps = [{"color": "red", "value": value} for value in values]
    return {"mode": "absolute", "steps": [{"color": "transparent", "value": None}, *steps]}


def _colours(thresholds: tuple[Threshold, ...]) -> dict[str, object]:
    """Return green and red on their sides of the most urgent alarm's threshold; plain without."""
    steps: list[dict[str, object]] = [{"color": "text", "value": None}]
    for threshold in thresholds[:1]:
        below, above = ("red", "green") if "<" in threshold.comparison else ("green", "red")
        # A step begins at its value, and 0 itself is no reason for an alarm on more than 0.
        value = threshold.value or _JUST_ABOVE_ZERO
        steps = [{"color": below, "value": None}, {"color": above, "value": value}]
    return {"mode": "absolute", "steps": steps}


def _transformations(panel: Panel) -> Iterator[dict[str, object]]:
    """Yield what makes a table of it: one row per series, the highest first."""
    reducer, column = ("sum", "Total") if panel.is_sum else ("max", "Max")
    yield {"id": "reduce", "options": {"reducers": [reducer], "mode": "seriesToRows"}}
    yield {"id": "sortBy", "options": {"sort": [{"field": column, "desc": True}]}}


def _targets(panel: Panel, settings: Settings) -> Iterator[dict[str, object]]:
    for number, line in enumerate(panel.lines):
        target = {
            **_target(panel, line, settings),
            "refId": ascii_uppercase[number],
            "id": f"m{number}",
            "hide": bool(panel.expression),
        }
        if panel.is_ranking:
            target["metricEditorMode"] = _EDIT_EXPRESSION
            target["expression"] = largest_series(
                line, settings, split=panel.split, static=_static_dimensions(settings)
            )
            target["label"] = dimension_label(panel.split)
        yield target
    if panel.expression:
        yield {
            **_query(settings),
            "metricEditorMode": _EDIT_EXPRESSION,
            "expression": panel.expression,
            "label": panel.title,
            "refId": "Z",
            "id": "e0",
        }


def _target(panel: Panel, line: Line, settings: Settings) -> dict[str, object]:
    dimensions = dict(_static_dimensions(settings))
    if panel.split:
        dimensions[panel.split] = f"${_VARIABLES[panel.split]}" if panel.chosen else "*"
    return {
        **_query(settings),
        "metricEditorMode": _EDIT_METRIC,
        "metricName": line.metric,
        "dimensions": dimensions,
        "statistic": line.statistic,
        "label": line.label,
    }


def _query(settings: Settings) -> dict[str, object]:
    return {
        "datasource": _DATA_SOURCE,
        "queryMode": "Metrics",
        "metricQueryType": 0,  # a search, not Metrics Insights
        "namespace": settings.namespace,
        "region": "$region",
        "matchExact": True,
        "period": _AUTOMATIC_PERIOD,
    }


def _static_dimensions(settings: Settings) -> Dimensions:
    """Return the static dimensions with their variables for values."""
    return tuple((name, f"${{{variable}}}") for name, variable in _static_variables(settings))


def _static_variables(settings: Settings) -> Iterator[tuple[str, str]]:
    """Yield each static dimension and its variable: ``Cost center`` is chosen by cost_center."""
    taken = {"datasource", "region", *_VARIABLES.values()}
    for name, _ in settings.dimensions:
        variable = re.sub(r"\W", "_", name.lower(), flags=re.ASCII)
        while variable in taken or variable.startswith("__"):  # these are Grafana's own
            variable = f"dimension_{variable}"
        taken.add(variable)
        yield name, variable


def _variables(settings: Settings) -> Iterator[dict[str, object]]:
    yield {
        "type": "datasource",
        "name": "datasource",
        "label": "Data source",
        "query": "cloudwatch",
    }
    region = settings.region or "default"
    yield {
        "type": "textbox",
        "name": "region",
        "label": "Region",
        "query": region,
        "current": {"text": region, "value": region},
    }
    shown = _shown_metric(settings)
    if shown is None:
        return  # nothing is published that could be chosen from
    filters: dict[str, str] = {}
    own = dict(encoded_dimensions(settings.dimensions))
    for name, variable in _static_variables(settings):
        yield {
            **_value_variable(shown, name, settings, filters=dict(filters)),
            "name": variable,
            "label": name,
            "current": {"text": own[name], "value": own[name]},
        }
        filters[name] = f"${{{variable}}}"  # the next offers what there is beside this one
    for dimension, variable in _VARIABLES.items():
        published = [
            metric
            for metric in _METRICS_OF_EVERY[dimension]
            if is_published(metric, settings, split=dimension)
        ]
        if published:
            yield {
                **_value_variable(published[0], dimension, settings, filters=filters),
                "name": variable,
                "label": variable.capitalize(),
            }


def _shown_metric(settings: Settings) -> str | None:
    """Return a metric that is published as a total; None if no panel has one."""
    return next(
        (
            line.metric
            for section in reversed(dashboard_sections(settings))  # the monitor's always have data
            for panel in section.panels
            if not panel.split
            for line in panel.lines
        ),
        None,
    )


def _value_variable(
    metric: str, dimension: str, settings: Settings, *, filters: dict[str, str]
) -> dict[str, object]:
    """Return a variable that offers every value that the metric has of the dimension."""
    return {
        "type": "query",
        "datasource": _DATA_SOURCE,
        "refresh": 2,  # when the time range changes
        "sort": 1,
        "query": {
            "queryType": "dimensionValues",
            "namespace": settings.namespace,
            "region": "$region",
            "metricName": metric,
            "dimensionKey": dimension,
            "dimensionFilters": filters,
            "refId": "variable",
        },
    }
