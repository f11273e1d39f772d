"""Dashboard picture: the grid of a dashboard as boxes to check, and as an SVG to look at."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from itertools import combinations
from typing import Any

COLUMNS = 24
COLUMN_PIXELS = 56  # of a screen 1,400 pixels wide, without the console's own frame
TITLE_PIXELS = 7.5  # of a letter, on average
ROW_PIXELS = 48


@dataclass(frozen=True)
class Box:
    """One widget or panel: its place in the grid, and what is written in it."""

    kind: str
    x: int
    y: int
    width: int
    height: int
    title: str
    labels: tuple[str, ...] = ()
    thresholds: tuple[str, ...] = ()

    @property
    def cells(self) -> set[tuple[int, int]]:
        """Return the cells it covers, as (column, row)."""
        columns = range(self.x, self.x + self.width)
        return {(x, y) for x in columns for y in range(self.y, self.y + self.height)}

    @property
    def letters(self) -> int:
        """Return how many letters fit into one line of it."""
        return int((self.width * COLUMN_PIXELS - 40) / TITLE_PIXELS)


def boxes_of_cloudwatch(body: Any) -> list[Box]:
    """Return the widgets of a CloudWatch dashboard's body."""
    boxes = []
    for widget in body["widgets"]:
        properties = widget["properties"]
        boxes.append(
            Box(
                kind=properties.get("view", widget["type"]),
                x=widget["x"],
                y=widget["y"],
                width=widget["width"],
                height=widget["height"],
                title=properties.get("title") or properties["markdown"],
                labels=tuple(
                    row[-1]["label"]
                    for row in properties.get("metrics", ())
                    if row[-1].get("visible", True)
                ),
                thresholds=tuple(
                    line["label"]
                    for line in properties.get("annotations", {}).get("horizontal", ())
                ),
            )
        )
    return boxes


def boxes_of_grafana(dashboard: Any) -> list[Box]:
    """Return the panels of a Grafana dashboard."""
    kinds = {"stat": "singleValue", "timeseries": "timeSeries", "table": "table", "row": "text"}
    return [
        Box(
            kind=kinds[panel["type"]],
            x=panel["gridPos"]["x"],
            y=panel["gridPos"]["y"],
            width=panel["gridPos"]["w"],
            height=panel["gridPos"]["h"],
            title=panel["title"],
            labels=tuple(
                target["label"] for target in panel.get("targets", ()) if not target.get("hide")
            ),
            thresholds=tuple(filter(None, panel.get("description", "").split("\n"))),
        )
        for panel in dashboard["panels"]
    ]


def problems(boxes: list[Box]) -> Iterator[str]:
    """Yield what is wrong with the grid: overlaps, holes, what leaves it, and long titles."""
    for box, other in combinations(boxes, 2):
        if box.cells & other.cells:
            yield f"{box.title!r} overlaps {other.title!r}"
    covered = set().union(*(box.cells for box in boxes))
    rows = range(max(row for _, row in covered) + 1)
    for x, y in sorted({(x, y) for x in range(COLUMNS) for y in rows} ^ covered):
        yield f"column {x} of row {y} is {'outside' if (x, y) in covered else 'empty'}"
    for box in boxes:
        if len(box.title) > box.letters:
            yield f"the title {box.title!r} is too long"
        if box.kind == "singleValue":
            room = box.letters // len(box.labels)
            yield from (
                f"the label {label!r} is too long" for label in box.labels if len(label) > room
            )


def drawn(boxes: list[Box]) -> str:
    """Return the dashboard as SVG, with made-up lines and numbers."""
    height = max(box.y + box.height for box in boxes) * ROW_PIXELS
    shapes = "\n".join(shape for box in boxes for shape in _shapes(box))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{COLUMNS * COLUMN_PIXELS}" '
        f'height="{height}" font-family="Helvetica, DejaVu Sans, sans-serif" font-size="13">\n'
        f'<rect width="100%" height="100%" fill="#f2f3f3"/>\n{shapes}\n</svg>\n'
    )


def _shapes(box: Box) -> Iterator[str]:
    left, top = box.x * COLUMN_PIXELS, box.y * ROW_PIXELS
    width, height = box.width * COLUMN_PIXELS, box.height * ROW_PIXELS
    if box.kind == "text":
        heading = box.title.removeprefix("## ")
        yield _text(left + 10, top + height - 14, heading, size=20 if heading[-1] != "." else 13)
        return
    yield _frame(left + 3, top + 3, width - 6, height - 6, color="white")
    yield _text(left + 12, top + 24, box.title, size=14)
    if box.kind == "singleValue":
        share = width / len(box.labels)
        for number, label in enumerate(box.labels):
            yield _text(left + 12 + number * share, top + 80, str(number * 7), size=30)
            yield _text(left + 12 + number * share, top + 105, label)
    elif box.kind == "alarm":
        share = (width - 18) / 6
        for number in range(6 * (box.height - 1)):
            x, y = left + 12 + number % 6 * share, top + 36 + number // 6 * ROW_PIXELS
            yield _frame(x, y, share - 8, 38, color="#e3f2e1")
    elif box.kind == "table":
        for number in range((height - 60) // 20):
            y = top + 52 + number * 20
            yield _text(left + 12, y, f"shop.task_{number}", size=11)
            yield _text(left + width - 60, y, str(900 // (number + 1)), size=11)
    else:
        yield from _graph(box, left, top, width, height)


def _graph(box: Box, left: int, top: int, width: int, height: int) -> Iterator[str]:
    colors = ("#1f77b4", "#ff7f0e", "#2ca02c", "#9467bd", "#8c564b")
    floor, room = top + height - 45, height - 100
    for number, color in enumerate(colors[: len(box.labels)]):
        points = " ".join(
            f"{left + 40 + step * (width - 60) / 20:.0f},"
            f"{floor - room * ((step * (number + 3) * 7) % 10 + number) / 16:.0f}"
            for step in range(21)
        )
        yield f'<polyline points="{points}" fill="none" stroke="{color}"/>'
    for number, label in enumerate(box.thresholds):
        y = floor if label.endswith(" 0") else top + 48 + number * 18
        line = f"M{left + 40} {y}H{left + width - 20}"
        yield f'<path d="{line}" stroke="#d62728" stroke-dasharray="4"/>'
        yield _text(left + 44, y - 4, label, size=11, color="#d62728")
    legend = "  ".join(f"— {label}" for label in box.labels)
    yield _text(left + 12, top + height - 16, legend, size=11)


def _frame(x: float, y: float, width: float, height: float, *, color: str) -> str:
    place = f'x="{x:.0f}" y="{y:.0f}" width="{width:.0f}" height="{height:.0f}"'
    return f'<rect {place} fill="{color}" stroke="#d5dbdb"/>'


def _text(x: float, y: float, text: str, *, size: int = 13, color: str = "#16191f") -> str:
    return f'<text x="{x:.0f}" y="{y:.0f}" font-size="{size}" fill="{color}">{escape(text)}</text>'
