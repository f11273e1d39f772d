"""Panels: what a graph, a row of numbers or a table shows, and where it stands. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from math import ceil
from typing import Literal

from ..catalog import Unit, spec

__all__ = [
    "GRID_COLUMNS",
    "MARK",
    "TOP",
    "Line",
    "Panel",
    "PanelKind",
    "PlacedPanel",
    "Section",
    "placed_rows",
]

GRID_COLUMNS = 24  # of a dashboard, in CloudWatch and in Grafana
PANELS_PER_ROW = 3  # at most; a narrower graph is hard to read
TOP = 20  # rows of a table, or lines of a graph by queue; more is unreadable

#: Marks a dashboard as ours, since dashboards cannot be found by tags. Never change it: `--apply`
#: and `--delete` leave alone whatever does not have exactly this text.
MARK = "Made by `event-monitor provision`; changes by hand are lost when it is run again."

PanelKind = Literal["graph", "numbers", "table"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One metric in a panel."""

    metric: str
    statistic: str
    label: str

    @property
    def unit(self) -> Unit:
        """Return the metric's unit."""
        return spec(self.metric).unit


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One graph, row of numbers, or table; its height is in grid rows.

    A panel with a ``split`` has one line or row per value of that dimension, the ``TOP`` largest,
    so that 200 tasks stay readable; if it is also ``chosen``, only the value a person chooses in
    the dashboard. An ``expression`` is over m0, m1, … of the lines and shown in their place.
    """

    title: str
    lines: tuple[Line, ...]
    kind: PanelKind = "graph"
    height: int = 6
    split: str = ""
    chosen: bool = False
    expression: str = ""

    @property
    def unit(self) -> Unit:
        """Return the unit of what is shown; "None" if the lines have several."""
        if self.expression:
            return "Percent"
        units = {line.unit for line in self.lines}
        return units.pop() if len(units) == 1 else "None"

    @property
    def is_ranking(self) -> bool:
        """Return whether it shows the largest values of its split."""
        return bool(self.split) and not self.chosen

    @property
    def is_sum(self) -> bool:
        """Return whether values are summed over time; otherwise the largest counts."""
        return self.lines[0].statistic == "Sum"

    @property
    def full_title(self) -> str:
        """Return the title; that of a table says how many rows it has at most."""
        return f"{self.title} (the {TOP} highest)" if self.kind == "table" else self.title


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """Panels under one heading."""

    title: str
    panels: tuple[Panel, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacedPanel:
    """A panel, its first column, and how many columns it takes."""

    panel: Panel
    x: int
    width: int


def placed_rows(panels: tuple[Panel, ...]) -> Iterator[tuple[PlacedPanel, ...]]:
    """Divide the panels into rows that fill the grid; those of a row are equally high.

    Four panels make two rows of two, not one of three and one of one.
    """
    for _, group in groupby(panels, key=lambda panel: panel.height):
        equally_high = list(group)
        rows_left = ceil(len(equally_high) / PANELS_PER_ROW)
        while rows_left:
            count = ceil(len(equally_high) / rows_left)
            row, equally_high = equally_high[:count], equally_high[count:]
            width = GRID_COLUMNS // count  # 24, 12 or 8
            yield tuple(
                PlacedPanel(panel=panel, x=number * width, width=width)
                for number, panel in enumerate(row)
            )
            rows_left -= 1
