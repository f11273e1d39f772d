"""Grafana: the same panels as a Grafana dashboard over its CloudWatch data source. Pure.

Dimensions match exactly, so a total is never mixed with its splits. The form is the JSON model of
Grafana 10 and later. Plain values: the libraries for it are larger than what they would save here.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ...settings import Settings
from ..layout import sections_of
from ..options import Choices
from ..panels import TOP, Line, Panel, largest
from ..series import as_sent, is_published, period_of
from .cloudwatch_dashboard import MARK

__all__ = ["grafana_of"]

_SCHEMA_VERSION = 39  # of Grafana 10.4; newer ones migrate it themselves
_SOURCE = {"type": "cloudwatch", "uid": "${datasource}"}
#: Our unit → Grafana's.
UNITS = {
    "Count": "short",
    "Count/Second": "ops",
    "Seconds": "s",
    "Percent": "percent",
    "Bytes": "bytes",
    "None": "none",
}
_KINDS = {"graph": "timeseries", "numbers": "stat", "table": "table"}
_VARIABLES = {"TaskName": "task", "QueueName": "queue"}
_EVERY = {"TaskName": ("TasksSucceeded", "TaskRuntime"), "QueueName": ("QueueLength",)}
_MATH, _METRIC = 1, 0  # editor modes of a query: an expression, or one metric


def grafana_of(settings: Settings, choices: Choices) -> dict[str, Any]:
    """The dashboard as Grafana imports it."""
    panels: list[dict[str, Any]] = []
    y = 0
    for section in sections_of(settings):
        row = {"h": 1, "w": 24, "x": 0, "y": y}
        panels.append({"type": "row", "title": section.title, "gridPos": row, "collapsed": False})
        x, y, high = 0, y + 1, 0
        for panel in section.panels:
            if x + panel.width > 24 or (high and panel.height != high):
                x, y, high = 0, y + high, 0
            grid = {"h": panel.height, "w": panel.width, "x": x, "y": y}
            panels.append(_panel(panel, settings) | {"gridPos": grid})
            x, high = x + panel.width, panel.height
        y += high
    for number, one in enumerate(panels, start=1):
        one["id"] = number
    return {
        "title": f"Celery ({choices.prefix})",
        "uid": f"event-monitor-{choices.prefix}"[:40],  # Grafana's limit
        "description": MARK,
        "tags": ["celery", "event-monitor"],
        "schemaVersion": _SCHEMA_VERSION,
        "editable": True,
        "refresh": "1m",
        "time": {"from": "now-3h", "to": "now"},
        "templating": {"list": list(_variables(settings))},
        "panels": panels,
    }


def _panel(panel: Panel, settings: Settings) -> dict[str, Any]:
    table = panel.kind == "table"
    return {
        "type": _KINDS[panel.kind],
        "title": f"{panel.title} (the {TOP} highest)" if table else panel.title,
        "datasource": _SOURCE,
        "fieldConfig": {"defaults": {"unit": UNITS[panel.unit], "min": 0}, "overrides": []},
        "targets": list(_targets(panel, settings)),
        **({"transformations": list(_as_table(panel))} if table else {}),
    }


def _as_table(panel: Panel) -> Iterator[dict[str, Any]]:
    """One row per series, the highest first."""
    reducer, column = ("sum", "Total") if panel.lines[0].statistic == "Sum" else ("max", "Max")
    yield {"id": "reduce", "options": {"reducers": [reducer], "mode": "seriesToRows"}}
    yield {"id": "sortBy", "options": {"sort": [{"field": column, "desc": True}]}}


def _targets(panel: Panel, settings: Settings) -> Iterator[dict[str, Any]]:
    searched = bool(panel.split) and not panel.chosen
    for number, line in enumerate(panel.lines):
        target = _target(panel, line, settings) | {
            "refId": chr(ord("A") + number),
            "id": f"m{number}",
            "hide": bool(panel.expression),
        }
        if searched:
            expression = largest(panel, line, settings)
            label = f"${{PROP('Dim.{panel.split}')}}"
            target |= {"metricEditorMode": _MATH, "expression": expression, "label": label}
        yield target
    if panel.expression:
        yield {
            **_query(settings),
            "metricEditorMode": _MATH,
            "expression": panel.expression,
            "label": panel.title,
            "refId": "Z",
            "id": "e0",
        }


def _target(panel: Panel, line: Line, settings: Settings) -> dict[str, Any]:
    dimensions = dict(as_sent(settings.dimensions))
    if panel.split:
        dimensions[panel.split] = f"${_VARIABLES[panel.split]}" if panel.chosen else "*"
    return {
        **_query(settings),
        "metricEditorMode": _METRIC,
        "metricName": line.metric,
        "dimensions": dimensions,
        "statistic": line.statistic,
        "label": line.label,
    }


def _query(settings: Settings) -> dict[str, Any]:
    return {
        "datasource": _SOURCE,
        "queryMode": "Metrics",
        "metricQueryType": 0,  # a search, not Metrics Insights
        "namespace": settings.namespace,
        "region": "$region",
        "matchExact": True,
        "period": str(period_of(settings)),
    }


def _variables(settings: Settings) -> Iterator[dict[str, Any]]:
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
        found = [one for one in _EVERY[dimension] if is_published(one, settings, dimension)]
        if found:
            yield {
                "type": "query",
                "name": name,
                "label": name.capitalize(),
                "datasource": _SOURCE,
                "refresh": 2,  # when the time range changes
                "sort": 1,
                "query": {
                    "queryType": "dimensionValues",
                    "namespace": settings.namespace,
                    "region": "$region",
                    "metricName": found[0],
                    "dimensionKey": dimension,
                    "dimensionFilters": dict(as_sent(settings.dimensions)),
                    "refId": "variable",
                },
            }
