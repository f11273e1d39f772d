"""Schema: the tables of the spool's SQLite file, and how it is recognised.

A file outlives the version that wrote it. Whoever changes the tables raises ``_VERSION``, and reads
the version before as well.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing, suppress
from pathlib import Path

__all__ = [
    "COUNT",
    "batches_in",
    "identity_of",
    "metrics_in",
    "newest_number",
    "prepare",
    "require_whole",
]

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
# Not among the columns that are checked: files of the same version have none, or it is damaged.
_IDENTITY = "CREATE TABLE IF NOT EXISTS identity (value BLOB NOT NULL)"
_IDENTITY_BYTES = 16

_COLUMNS = {
    "batch": {b"id", b"appended_at", b"metrics", b"data", b"handed_out"},
    "checkpoint": {b"id", b"data"},
}
_MOST_METRICS = 1_000_000_000  # of a batch; ours have some thousand
_IS_COUNT = f"typeof(metrics) = 'integer' AND metrics BETWEEN 1 AND {_MOST_METRICS}"
#: How many metrics a row of ``batch`` has; 1 where it says what cannot be: SQLite takes any value.
COUNT = f"CASE WHEN {_IS_COUNT} THEN metrics ELSE 1 END"


def prepare(database: sqlite3.Connection) -> bool:
    """Check that the file is ours and whole; make the tables in an empty one.

    Return whether it made them. Raises ``sqlite3.DatabaseError`` if it is not ours or not whole,
    and ``UnicodeDecodeError`` where the reason quotes a damaged name.
    """
    run = database.execute
    tables = run("SELECT count(*) FROM sqlite_master").fetchone()[0]
    found = (
        run("PRAGMA application_id").fetchone()[0],
        run("PRAGMA user_version").fetchone()[0],
    )
    if tables and found[0] == _APPLICATION_ID and found[1] > _VERSION:
        raise sqlite3.DatabaseError(
            f"a later version of event-monitor wrote it, in format {found[1]}; this one knows "
            f"{_VERSION}"
        )
    if tables and found != (_APPLICATION_ID, _VERSION):
        raise sqlite3.DatabaseError(f"not a spool of this version: {found}")
    require_whole(database)
    for table, columns in _COLUMNS.items() if tables else ():
        if {row[1] for row in run(f"PRAGMA table_info({table})")} != columns:
            raise sqlite3.DatabaseError(f"the table {table} has other columns")
    run("PRAGMA journal_mode = WAL")
    run("PRAGMA synchronous = FULL")  # one fsync per batch; an acknowledgement must last
    if not tables:
        database.executescript(_SCHEMA)
    return not tables


def identity_of(database: sqlite3.Connection) -> bytes | None:
    """Return what tells this database, and copies of it, from all others; make it if need be.

    None where the disk refuses that.
    """
    find = "SELECT value FROM identity WHERE typeof(value) = 'blob' AND length(value) = ?"
    try:
        database.execute(_IDENTITY)
        found = database.execute(find, (_IDENTITY_BYTES,)).fetchone()
        if found is None:
            found = (os.urandom(_IDENTITY_BYTES),)
            database.execute("INSERT INTO identity VALUES (?)", found)
    except sqlite3.OperationalError:
        return None
    return bytes(found[0])


def newest_number(database: sqlite3.Connection) -> int:
    """Return the number of the batch that was appended last, which may be gone; 0 without one."""
    newest = "SELECT max(id) FROM batch"
    used = "SELECT seq FROM sqlite_sequence WHERE name = 'batch' AND typeof(seq) = 'integer'"
    found = [0]
    for query in (newest, used):
        with suppress(sqlite3.OperationalError):  # a damaged name of a column
            found += [row[0] or 0 for row in database.execute(query)]
    return max(found)


def require_whole(database: sqlite3.Connection) -> None:
    """Raise ``sqlite3.DatabaseError`` if a part of the database is damaged."""
    # Else of a text that is damaged Python makes an error that looks like one of the disk.
    database.text_factory = bytes
    damage = database.execute("PRAGMA quick_check(1)").fetchone()[0]
    if damage != b"ok":
        raise sqlite3.DatabaseError(damage.decode("utf-8", "replace"))


def metrics_in(path: Path) -> int:
    """Return how many metrics are in a damaged file, as far as it can be read. Changes nothing.

    A spool, which an empty file was too, counts as 1 at least, and so does each of its batches:
    what cannot be read is not nothing. Raises ``OSError``.
    """
    with path.open("rb") as file:
        head = file.read(_APPLICATION_ID_BYTES.stop)
    if not head:  # SQLite would delete the log beside it
        return 1
    is_ours = head[_APPLICATION_ID_BYTES] == _APPLICATION_ID.to_bytes(4, "big")
    return max(sum(batches_in(path).values()), is_ours)


def batches_in(path: Path) -> dict[int, int]:
    """Return how many metrics each batch has, as far as the file can be read. Changes nothing."""
    found: dict[int, int] = {}
    with (
        suppress(sqlite3.Error, UnicodeDecodeError),
        closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as database,
    ):
        for batch, metrics in database.execute(f"SELECT rowid, {COUNT} FROM batch"):  # noqa: S608
            found[batch] = metrics  # noqa: PERF403  what was read before the damage is kept
    return found
