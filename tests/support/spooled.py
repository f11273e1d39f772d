"""Spooled: what a spool holds, read from outside while its monitor runs or is dead."""

from __future__ import annotations

import sqlite3
import zlib
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec

from event_monitor.metrics import Metric


def successes_spooled(state_dir: Path) -> float:
    """The sum of the total of TasksSucceeded over all unsent windows."""
    try:
        rows = _read(state_dir, "SELECT data FROM batch")
    except sqlite3.OperationalError:  # the monitor has only just made the file
        return 0
    metrics = [
        metric
        for (data,) in rows
        for metric in msgspec.msgpack.decode(zlib.decompress(data), type=tuple[Metric, ...])
    ]
    return sum(
        float(metric.value)  # type: ignore[arg-type]  # a count
        for metric in metrics
        if metric.name == "TasksSucceeded" and not metric.dimensions
    )


def is_sending(state_dir: Path) -> bool:
    """Whether a batch is with the sink at this moment, or may be."""
    try:
        return bool(_read(state_dir, "SELECT id FROM batch WHERE handed_out"))
    except sqlite3.OperationalError:
        return True


def _read(state_dir: Path, query: str) -> list[tuple[Any, ...]]:
    path = state_dir / "spool.sqlite3"
    if not path.exists():
        return []
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
        return database.execute(query).fetchall()
