"""Panels: what a graph, a row of numbers or a table shows, and where it stands. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from ..catalog import spec

__all__ = ["GRID_COLUMNS", "MARK", "TOP", "Line", "Panel", "PanelKind", "Section", "panel_rows"]

GRID_COLUMNS = 24  # of a dashboard, in CloudWatch and in Grafana
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One graph, row of numbers, or table; its size is in grid columns and rows.

    A panel with a ``split`` has one line or row per value of that dimension, the ``TOP`` largest,
    so that 200 tasks stay readable; if it is also ``chosen``, only the value a person chooses in
    the dashboard. An ``expression`` is over m0, m1, … of the lines and shown in their place.
    """

    title: str
    lines: tuple[Line, ...]
    kind: PanelKind = "graph"
    width: int = 8
    height: int = 6
    split: str = ""
    chosen: bool = False
    expression: str = ""

    @property
    def unit(self) -> str:
        """Return the unit of what is shown; "None" if the lines have several."""
        if self.expression:
            return "Percent"
        units = {spec(line.metric).unit for line in self.lines}
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


def panel_rows(panels: tuple[Panel, ...]) -> Iterator[tuple[Panel, ...]]:
    """Group panels into rows: equally high, and together no wider than the grid."""
    row: list[Panel] = []
    for panel in panels:
        used = sum(placed.width for placed in row)
        if row and (used + panel.width > GRID_COLUMNS or panel.height != row[0].height):
            yield tuple(row)
            row = []
        row.append(panel)
    if row:
        yield tuple(row)
