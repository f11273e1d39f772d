"""Rows: makes values of what SQLite returns, fields in their order."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable
from dataclasses import fields
from typing import TypeVar

from .values import Incident, QueuePoint, Run, TaskPoint

__all__ = [
    "QUEUE_COLUMNS",
    "RUN_COLUMNS",
    "TASK_COLUMNS",
    "Cells",
    "incident_of",
    "maker",
    "queue_point_of",
    "run_of",
    "task_point_of",
]

Value = TypeVar("Value")
Cells = tuple[object, ...]

RUN_COLUMNS = ", ".join(field.name for field in fields(Run))


def run_of(row: Cells) -> Run:
    """Return the run of a row of ``RUN_COLUMNS``."""
    packed = row[-1]
    details = json.loads(zlib.decompress(packed)) if isinstance(packed, bytes) else {}
    return _make_run((*row[:-1], tuple(details.items())))


def incident_of(row: Cells) -> Incident:
    """Return the incident of a row with its fields."""
    return _make_incident((*row[:-1], tuple(json.loads(str(row[-1])))))


def maker(make: type[Value]) -> Callable[[Cells], Value]:
    """Return what makes a value of a row with its fields in their order."""
    names = [field.name for field in fields(make)]  # type: ignore[arg-type]  # it is a dataclass
    return lambda row: make(**dict(zip(names, row, strict=True)))


def _columns(make: type[TaskPoint | QueuePoint]) -> str:
    return ", ".join(field.name for field in fields(make))


# Made once: a page reads hundreds of rows.
_make_run, _make_incident = maker(Run), maker(Incident)
task_point_of, queue_point_of = maker(TaskPoint), maker(QueuePoint)
TASK_COLUMNS, QUEUE_COLUMNS = _columns(TaskPoint), _columns(QueuePoint)
