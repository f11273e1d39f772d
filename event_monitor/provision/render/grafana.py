"""Grafana: the same panels as a Grafana dashboard over its CloudWatch data source. Pure.

Dimensions match exactly, so a total is never mixed with its splits. The form is the JSON model of
Grafana 10 and later. Plain values: the libraries for it are larger than what they would save here.
"""

from __future__ import annotations

from collections.abc import Iterator
from string import ascii_uppercase

from ...settings import Settings
from ..layout import dashboard_sections
from ..options import ProvisionOptions
from ..panels import GRID_COLUMNS, MARK, Line, Panel, PanelKind, panel_rows
from ..series import encoded_dimensions, is_published, period_seconds_of
from .search import dimension_label, largest_series

__all__ = ["UNITS", "grafana_dashboard"]

_SCHEMA_VERSION = 39  # of Grafana 10.4; newer ones migrate it themselves
_MAX_UID_CHARACTERS = 40
_DATA_SOURCE = {"type": "cloudwatch", "uid": "${datasource}"}
#: The catalog's unit → Grafana's.
UNITS = {
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
_EDIT_EXPRESSION, _EDIT_METRIC = 1, 0  # editor modes of a query


def grafana_dashboard(settings: Settings, options: ProvisionOptions) -> dict[str, object]:
    """Return the dashboard as Grafana imports it."""
    panels = [{**panel, "id": number} for number, panel in enumerate(_panels(settings), start=1)]
    return {
        "title": f"Celery ({options.prefix})",
        "uid": f"event-monitor-{options.prefix}"[:_MAX_UID_CHARACTERS],
        "description": MARK,
        "tags": ["celery", "event-monitor"],
        "schemaVersion": _SCHEMA_VERSION,
        "editable": True,
        "refresh": "1m",
        "time": {"from": "now-3h", "to": "now"},
        "templating": {"list": list(_variables(settings))},
        "panels": panels,
    }


def _panels(settings: Settings) -> Iterator[dict[str, object]]:
    y = 0
    for section in dashboard_sections(settings):
        place = {"h": 1, "w": GRID_COLUMNS, "x": 0, "y": y}
        yield {"type": "row", "title": section.title, "gridPos": place, "collapsed": False}
        y += 1
        for row in panel_rows(section.panels):
            x = 0
            for panel in row:
                place = {"h": panel.height, "w": panel.width, "x": x, "y": y}
                yield {**_panel(panel, settings), "gridPos": place}
                x += panel.width
            y += row[0].height


def _panel(panel: Panel, settings: Settings) -> dict[str, object]:
    table = {"transformations": list(_transformations(panel))} if panel.kind == "table" else {}
    return {
        "type": _PANEL_TYPES[panel.kind],
        "title": panel.full_title,
        "datasource": _DATA_SOURCE,
        "fieldConfig": {"defaults": {"unit": UNITS[panel.unit], "min": 0}, "overrides": []},
        "targets": list(_targets(panel, settings)),
        **table,
    }


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
            target["expression"] = largest_series(line, settings, split=panel.split)
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
    dimensions = dict(encoded_dimensions(settings.dimensions))
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
        "period": str(period_seconds_of(settings)),
    }


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
    for dimension, name in _VARIABLES.items():
        published = [
            metric
            for metric in _METRICS_OF_EVERY[dimension]
            if is_published(metric, settings, split=dimension)
        ]
        if published:
            yield {
                "type": "query",
                "name": name,
                "label": name.capitalize(),
                "datasource": _DATA_SOURCE,
                "refresh": 2,  # when the time range changes
                "sort": 1,
                "query": {
                    "queryType": "dimensionValues",
                    "namespace": settings.namespace,
                    "region": "$region",
                    "metricName": published[0],
                    "dimensionKey": dimension,
                    "dimensionFilters": dict(encoded_dimensions(settings.dimensions)),
                    "refId": "variable",
                },
            }
