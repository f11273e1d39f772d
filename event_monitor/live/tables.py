"""Tables: which columns each section of the screen has, and what stands in them. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from ..history import FailureGroup
from ..quantities import duration, size, took
from ..web.overview import Change
from ..web.rows import QueueRow, Tone, WorkerRow
from ..web.words import count, place, short
from .look import Look, RunningRow
from .words import bar, clock, fitted, safe, spark

__all__ = ["TABLES", "Column", "Table"]

Row = TypeVar("Row")

_GAP = 1  # columns between two cells
_BUSY_BAR = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Column(Generic[Row]):
    """A column. ``room`` is its columns on the terminal, at least if it ``grows`` with the rest.

    ``by`` is what to sort by; without one it is the cell. ``drop`` says when it goes where there
    is no room for all: the highest first, 0 never.
    """

    title: str
    cell: Callable[[Row, Look], str]
    room: int
    side: str = "r"
    by: Callable[[Row, Look], float] | None = None
    grows: bool = False
    drop: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Table(Generic[Row]):
    """A section of the screen.

    ``rows`` are those of a look, None if unknown; ``key`` is by what a row is known again, ``tone``
    how bad it is, ``names`` where a filter looks, and ``total`` how many there are if not all are
    rows.
    """

    name: str
    columns: tuple[Column[Row], ...]
    rows: Callable[[Look], Sequence[Row] | None]
    key: Callable[[Row], str]
    tone: Callable[[Row, Look], Tone]
    names: Callable[[Row], tuple[str | None, ...]]
    total: Callable[[Look], int | None] = lambda _: None

    def arranged(
        self, look: Look, *, wanted: str = "", by: int | None = None, backwards: bool = False
    ) -> list[Row]:
        """Return the rows that have ``wanted`` in a name, by that column; None: as they come."""
        rows = [
            row
            for row in self.rows(look) or ()
            if any(wanted.casefold() in name.casefold() for name in self.names(row) if name)
            or not wanted
        ]
        if by is not None:
            column = self.columns[by]
            if column.by is None:
                rows.sort(key=lambda row: column.cell(row, look).casefold())
            else:
                number = column.by
                rows.sort(key=lambda row: -number(row, look))
        return rows[::-1] if backwards else rows

    def shown(self, width: int) -> list[tuple[Column[Row], int]]:
        """Return the columns for which there is room, with how much each has."""
        columns = list(self.columns)
        while len(columns) > 1 and _needed(columns) > width:
            last = max(columns, key=lambda column: column.drop)
            if not last.drop:
                break
            columns.remove(last)
        spare = width - _needed(columns)
        growing = [column for column in columns if column.grows]
        rooms = []
        for column in columns:
            room = column.room
            if column.grows:
                more = spare // len(growing)
                growing.pop()
                spare -= more
                room = max(1, room + more)
            rooms.append((column, room))
        return rooms

    def line(self, row: Row, look: Look, columns: Sequence[tuple[Column[Row], int]]) -> str:
        """Return a row as one line."""
        return (" " * _GAP).join(
            fitted(column.cell(row, look), room, side=column.side, middle=column.grows)
            for column, room in columns
        )


def _needed(columns: Sequence[Column[Any]]) -> int:
    return sum(column.room for column in columns) + _GAP * (len(columns) - 1)


def _ago(at: float, look: Look) -> str:
    return duration(max(0.0, look.at - at))


def _number(value: float | None) -> float:
    return -1.0 if value is None else float(value)


# -- what failed, and what changed ----------------------------------------------------------------


def _is_new(group: FailureGroup, look: Look) -> bool:
    return look.at - group.first_at < 3_600.0


FAILURES: Table[FailureGroup] = Table(
    name="FAILURES",
    rows=lambda look: look.failures,
    key=lambda group: str(group.number),
    tone=lambda group, look: "warn" if _is_new(group, look) else "",
    names=lambda group: (group.name, group.exception, group.place, group.message),
    columns=(
        Column(title="task", cell=lambda group, _: safe(group.name), room=14, side="l", grows=True),
        Column(
            title="",
            cell=lambda group, look: "new" if _is_new(group, look) else "",
            room=3,
            by=lambda group, _: group.first_at,
            drop=1,
        ),
        Column(
            title="exception",
            cell=lambda group, _: safe(group.exception),
            room=16,
            side="l",
            grows=True,
        ),
        Column(
            title="where",
            cell=lambda group, _: safe(place(group.place)) if group.place else "",
            room=18,
            side="l",
            grows=True,
            drop=2,
        ),
        Column(
            title="times",
            cell=lambda group, _: count(group.recent),
            room=7,
            by=lambda group, _: group.recent,
        ),
        Column(
            title="last",
            cell=lambda group, look: _ago(group.last_at, look),
            room=7,
            by=lambda group, _: group.last_at,
        ),
    ),
)

CHANGES: Table[Change] = Table(
    name="CHANGES",
    rows=lambda look: look.changes,
    key=lambda change: f"{change.at} {change.sentence}",
    tone=lambda change, _: change.tone,
    names=lambda change: (str(change.sentence),),
    columns=(
        Column(
            title="at",
            cell=lambda change, _: clock(change.at),
            room=5,
            by=lambda change, _: change.at,
        ),
        Column(
            title="",
            cell=lambda change, _: safe(str(change.sentence)),
            room=20,
            side="l",
            grows=True,
        ),
    ),
)

# -- what runs and waits --------------------------------------------------------------------------

RUNNING: Table[RunningRow] = Table(
    name="RUNNING",
    rows=lambda look: look.running,
    key=lambda row: row.task.id,
    tone=lambda row, _: "warn" if row.too_long else "",
    names=lambda row: (row.task.name, row.task.id, row.task.worker),
    total=lambda look: look.running_count,
    columns=(
        Column(
            title="task", cell=lambda row, _: safe(row.task.name), room=14, side="l", grows=True
        ),
        Column(title="id", cell=lambda row, _: safe(short(row.task.id)), room=9, side="l", drop=1),
        Column(
            title="on",
            cell=lambda row, _: safe(row.task.worker),
            room=12,
            side="l",
            grows=True,
            drop=3,
        ),
        Column(
            title="for",
            cell=lambda row, _: duration(row.seconds),
            room=8,
            by=lambda row, _: _number(row.seconds),
        ),
        Column(
            title="p95",
            cell=lambda row, _: "" if row.usual is None else took(row.usual),
            room=7,
            by=lambda row, _: _number(row.usual),
            drop=2,
        ),
        Column(
            title="",
            cell=lambda row, _: "too long" if row.too_long else "",
            room=8,
            side="l",
            by=lambda row, _: row.too_long,
            drop=4,
        ),
    ),
)


def _trend(row: QueueRow, look: Look) -> str:
    chart = look.trends.get(row.queue.name)
    return "" if chart is None else spark(chart.ready, _TREND)


_TREND = 12

QUEUES: Table[QueueRow] = Table(
    name="QUEUES",
    rows=lambda look: look.queues,
    key=lambda row: row.queue.name,
    tone=lambda row, _: row.tone,
    names=lambda row: (row.queue.name,),
    columns=(
        Column(
            title="queue", cell=lambda row, _: safe(row.queue.name), room=12, side="l", grows=True
        ),
        Column(
            title="waiting",
            cell=lambda row, _: count(row.queue.ready),
            room=8,
            by=lambda row, _: _number(row.queue.ready),
        ),
        Column(
            title="oldest",
            cell=lambda row, _: "–" if row.queue.ready == 0 else duration(row.queue.oldest_seconds),
            room=7,
            by=lambda row, _: _number(row.queue.oldest_seconds),
        ),
        Column(
            title="unacked",
            cell=lambda row, _: count(row.queue.unacked),
            room=7,
            by=lambda row, _: _number(row.queue.unacked),
            drop=2,
        ),
        Column(
            title="readers",
            cell=lambda row, _: count(row.queue.consumers),
            room=7,
            by=lambda row, _: _number(row.queue.consumers),
        ),
        Column(
            title="in/s",
            cell=lambda row, _: count(row.queue.arrivals_per_second),
            room=6,
            by=lambda row, _: _number(row.queue.arrivals_per_second),
            drop=4,
        ),
        Column(
            title="out/s",
            cell=lambda row, _: count(row.queue.deliveries_per_second),
            room=6,
            by=lambda row, _: _number(row.queue.deliveries_per_second),
            drop=3,
        ),
        Column(title="empty in", cell=lambda row, _: row.outlook, room=8, drop=1),
        Column(title="last hour", cell=_trend, room=_TREND, side="l", drop=5),
        Column(title="", cell=lambda row, _: row.note, room=15, side="l", drop=6),
    ),
)

# -- who works ------------------------------------------------------------------------------------


def _busy(row: WorkerRow, _look: Look) -> str:
    if row.state == "lost":  # what it ran is nobody's work now
        return f"– {count(row.unfinished)} unfinished" if row.unfinished else "–"
    whole = row.answer.pool_processes
    text = f"{count(row.active)}/{count(whole)}"
    return f"{bar(row.active, whole, _BUSY_BAR)} {text}"


WORKERS: Table[WorkerRow] = Table(
    name="WORKERS",
    rows=lambda look: look.workers,
    key=lambda row: row.worker.hostname,
    tone=lambda row, _: row.tone,
    names=lambda row: (row.worker.hostname, row.state),
    columns=(
        Column(
            title="worker",
            cell=lambda row, _: safe(row.worker.hostname),
            room=16,
            side="l",
            grows=True,
        ),
        Column(title="state", cell=lambda row, _: row.state, room=8, side="l"),
        Column(title="busy", cell=_busy, room=14, side="l", by=lambda row, _: _number(row.active)),
        Column(
            title="reserved",
            cell=lambda row, _: count(row.answer.reserved),
            room=8,
            by=lambda row, _: _number(row.answer.reserved),
            drop=3,
        ),
        Column(
            title="memory",
            cell=lambda row, _: size(row.answer.memory_bytes),
            room=7,
            by=lambda row, _: _number(row.answer.memory_bytes),
            drop=2,
        ),
        Column(
            title="heard",
            cell=lambda row, _: duration(row.worker.silent_seconds),
            room=7,
            by=lambda row, _: row.worker.silent_seconds,
            drop=1,
        ),
        Column(title="", cell=lambda row, _: row.note, room=24, side="l", drop=4),
    ),
)

#: The sections in the order of the screen.
TABLES: tuple[Table[Any], ...] = (FAILURES, CHANGES, QUEUES, WORKERS, RUNNING)
