"""Prune: let go of a part of the history now, beside its monitor or without one."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection
from contextlib import closing
from pathlib import Path

from .file import explained, require_file
from .schema import require_ours
from .values import STATES

__all__ = ["prune"]

_CHUNK = 1_000  # rows in one transaction, so that the monitor can write in between
_BUSY_SECONDS = 10.0
_PAGES = 500  # given back to the disk at once


def prune(path: Path, *, before: float, states: Collection[str] = ()) -> int:
    """Delete what is older than ``before``, in wall-clock seconds; return how many runs.

    With ``states`` only runs that ended like this, and groups of failures if those are meant;
    without them incidents that are over, minutes and hours, too. Raises ``UnavailableError``.
    """
    require_file(path)
    with explained(path), closing(_connected(path)) as database:
        deleted = sum(_delete_runs(database, state, before) for state in states or STATES)
        run = database.execute
        if not states or "failed" in states:
            run("DELETE FROM failure WHERE last_at < ?", (before,))
            run("DELETE FROM failure_count WHERE at < ?", (before,))
        if not states:
            run("DELETE FROM incident WHERE ended < ?", (before,))
            for table in ("task_point", "queue_point"):
                run(f"DELETE FROM {table} WHERE at + span <= ?", (before,))  # noqa: S608
            run("DELETE FROM kept WHERE at + 3600 <= ?", (before,))
        while run("PRAGMA freelist_count").fetchone()[0]:
            before_it = run("PRAGMA page_count").fetchone()[0]
            run(f"PRAGMA incremental_vacuum({_PAGES})").fetchall()
            if run("PRAGMA page_count").fetchone()[0] == before_it:
                break
        return deleted


def _connected(path: Path) -> sqlite3.Connection:
    database = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode=rw", uri=True, isolation_level=None, timeout=_BUSY_SECONDS
    )
    try:
        require_ours(database)
    except BaseException:
        database.close()
        raise
    return database


def _delete_runs(database: sqlite3.Connection, state: str, before: float) -> int:
    deleted = 0
    while True:
        rows = database.execute(
            "DELETE FROM run WHERE number IN (SELECT number FROM run WHERE state = ? AND at < ? "
            "ORDER BY number LIMIT ?)",
            (state, before, _CHUNK),
        ).rowcount
        deleted += rows
        if rows < _CHUNK:
            return deleted
