"""Spooled: what a spool holds, read from outside while its monitor runs or is dead."""

from __future__ import annotations

import sqlite3
import zlib
from contextlib import closing
from pathlib import Path

import msgspec

from event_monitor.metrics import Metric


def successes_spooled(state_dir: Path) -> float:
    """Return the total of TasksSucceeded over all unsent windows."""
    try:
        batches = _blobs(state_dir, "SELECT data FROM batch")
    except sqlite3.OperationalError:  # the monitor has only just made the file
        return 0
    return sum(
        metric.value
        for batch in batches
        for metric in msgspec.msgpack.decode(zlib.decompress(batch), type=tuple[Metric, ...])
        if metric.name == "TasksSucceeded"
        and not metric.dimensions
        and isinstance(metric.value, int | float)
    )


def batches_spooled(state_dir: Path) -> int:
    """Return how many windows are kept."""
    try:
        return len(_blobs(state_dir, "SELECT data FROM batch"))
    except sqlite3.OperationalError:  # the monitor has only just made the file
        return 0


def is_sending(state_dir: Path) -> bool:
    """Return whether a batch is with the sink at this moment, or may be."""
    try:
        return bool(_blobs(state_dir, "SELECT data FROM batch WHERE handed_out"))
    except sqlite3.OperationalError:
        return True


def _blobs(state_dir: Path, query: str) -> list[bytes]:
    path = state_dir / "spool.sqlite3"
    if not path.exists():
        return []
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
        return [data for (data,) in database.execute(query)]
