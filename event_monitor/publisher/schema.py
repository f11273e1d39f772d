"""Schema: the tables of the spool's SQLite file, and how it is recognised.

A file outlives the version that wrote it. Whoever changes the tables raises ``_VERSION``, and reads
the version before as well.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing, suppress
from pathlib import Path

__all__ = ["metrics_in", "prepare", "require_whole"]

_APPLICATION_ID = 0x45764D6F  # "EvMo" in the file's header: marks the file as ours
_APPLICATION_ID_BYTES = slice(68, 72)  # of the file, by SQLite's file format
_VERSION = 1

# AUTOINCREMENT: a number is never used again, so a late acknowledgement hits no other batch.
_SCHEMA = f"""
    BEGIN;
    PRAGMA application_id = {_APPLICATION_ID};
    PRAGMA user_version = {_VERSION};
    CREATE TABLE batch (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        appended_at REAL NOT NULL,
        metrics INTEGER NOT NULL,
        data BLOB NOT NULL,
        handed_out INTEGER NOT NULL DEFAULT 0
    );
    CREATE TABLE checkpoint (id INTEGER PRIMARY KEY CHECK (id = 1), data BLOB NOT NULL);
    COMMIT;
"""


def prepare(database: sqlite3.Connection) -> None:
    """Check that the file is ours and whole; make the tables in an empty one.

    Raises ``sqlite3.DatabaseError`` if it is not.
    """
    run = database.execute
    tables = run("SELECT count(*) FROM sqlite_master").fetchone()[0]
    found = (
        run("PRAGMA application_id").fetchone()[0],
        run("PRAGMA user_version").fetchone()[0],
    )
    if tables and found != (_APPLICATION_ID, _VERSION):
        raise sqlite3.DatabaseError(f"not a spool of this version: {found}")
    require_whole(database)
    run("PRAGMA journal_mode = WAL")
    run("PRAGMA synchronous = FULL")  # one fsync per batch; an acknowledgement must last
    if not tables:
        database.executescript(_SCHEMA)


def require_whole(database: sqlite3.Connection) -> None:
    """Raise ``sqlite3.DatabaseError`` if a part of the database is damaged."""
    damage = database.execute("PRAGMA quick_check(1)").fetchone()[0]
    if damage != "ok":
        raise sqlite3.DatabaseError(damage)


def metrics_in(path: Path) -> int:
    """Return how many metrics are in a damaged file, as far as it can be read. Changes nothing.

    A spool, which an empty file was too, counts as 1 at least: what cannot be read is not nothing.
    Anything else held none of our metrics. Raises ``OSError``.
    """
    with path.open("rb") as file:
        head = file.read(_APPLICATION_ID_BYTES.stop)
    if not head:  # SQLite would delete the log beside it
        return 1
    if head[_APPLICATION_ID_BYTES] != _APPLICATION_ID.to_bytes(4, "big"):
        return 0
    metrics = 0
    with (
        suppress(sqlite3.Error),
        closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as database,
    ):
        for (of_a_batch,) in database.execute("SELECT metrics FROM batch"):
            metrics += of_a_batch
    return max(1, metrics)
