"""Panels: what a graph, a row of numbers or a table shows, whoever draws it. Pure.

What is split by task or queue is searched for, the largest first and never more than ``TOP``, so
that 200 tasks stay readable.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ..catalog import spec
from ..errors import SettingsError
from ..settings import Settings
from .series import series_of

__all__ = ["TOP", "Line", "Panel", "Section", "largest", "search_terms"]

TOP = 20  # rows of a table, or lines of a graph by queue; more is unreadable


@dataclass(frozen=True, slots=True)
class Line:
    """One metric in a panel."""

    metric: str
    statistic: str
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One graph, row of numbers, or table. ``width`` of 24, ``height`` in grid rows.

    ``split`` without ``chosen`` is one line or row per value, the largest of them; with it, the
    value a person chooses in the dashboard. An ``expression`` is over m0, m1, … of the lines and
    shown in their place.
    """

    title: str
    lines: tuple[Line, ...]
    kind: Literal["graph", "numbers", "table"] = "graph"
    width: int = 8
    height: int = 6
    split: str = ""
    chosen: bool = False
    expression: str = ""

    @property
    def unit(self) -> str:
        """The unit of what is shown."""
        units = {spec(line.metric).unit for line in self.lines}
        return "Percent" if self.expression else units.pop() if len(units) == 1 else "None"


@dataclass(frozen=True, slots=True)
class Section:
    """Panels under one heading."""

    title: str
    panels: tuple[Panel, ...]


def largest(panel: Panel, line: Line, settings: Settings) -> str:
    """CloudWatch's expression for the largest series of one metric, split by the panel's split."""
    terms = search_terms(line.metric, panel.split, settings)
    order = "SUM" if line.statistic == "Sum" else "MAX"
    return f"SLICE(SORT(SEARCH('{terms}', '{line.statistic}'), {order}, DESC), 0, {TOP})"


def search_terms(metric: str, split: str, settings: Settings) -> str:
    """What finds every series of the metric that has exactly the static dimensions and the split.

    ``SettingsError`` for a namespace or static dimension that cannot be written in a search.
    """
    *static, _ = series_of(metric, settings, split=(split, "")).dimensions
    for text in (settings.namespace, *(part for pair in static for part in pair)):
        if any(character in text for character in "\"'\\"):
            raise SettingsError(
                f"a dashboard cannot search for {text!r}; choose a namespace and dimensions "
                "without quotes and backslashes."
            )
    schema = ",".join(f'"{one}"' for one in (settings.namespace, *(name for name, _ in static)))
    equals = "".join(f' "{name}"="{value}"' for name, value in static)
    return f'{{{schema},{split}}} MetricName="{metric}"{equals}'
