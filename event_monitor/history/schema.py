"""Schema: the tables of the history's SQLite file, and how it is recognised.

A file outlives the version that wrote it. Whoever changes the tables raises ``VERSION``.
"""

from __future__ import annotations

import sqlite3

__all__ = [
    "MOST",
    "VERSION",
    "EarlierVersionError",
    "LaterVersionError",
    "prepare",
    "require_ours",
    "storable",
]

_APPLICATION_ID = 0x45764869  # "EvHi" in the file's header: marks the file as ours
VERSION = 2
MOST = 2**62  # a number beyond it is hostile, and SQLite takes none of more than 64 bits

# Most runs descend from none, and cost nothing in the first two.
_SINCE_2 = """
    CREATE INDEX run_root ON run (root) WHERE root IS NOT NULL;
    CREATE INDEX run_parent ON run (parent) WHERE parent IS NOT NULL;
    CREATE INDEX failure_last_at ON failure (last_at);
"""

# AUTOINCREMENT: a number is never used again, so a page that was turned stays turned.
# `at` is our clock, whatever the senders' show: by it rows get old.
_SCHEMA = f"""
    BEGIN;
    PRAGMA application_id = {_APPLICATION_ID};
    PRAGMA user_version = {VERSION};
    CREATE TABLE run (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        at REAL NOT NULL,
        id TEXT NOT NULL,
        name TEXT,
        state TEXT NOT NULL,
        worker TEXT,
        queue TEXT,
        sent REAL,
        received REAL,
        started REAL,
        ended REAL,
        runtime REAL,
        retries INTEGER NOT NULL,
        exception TEXT,
        place TEXT,
        weight REAL NOT NULL,
        message TEXT,
        details BLOB,
        root TEXT,
        parent TEXT
    );
    CREATE INDEX run_id ON run (id);
    CREATE INDEX run_state ON run (state);
    CREATE INDEX run_name ON run (name);
    CREATE INDEX run_worker ON run (worker);
    CREATE INDEX run_at ON run (at);
    CREATE TABLE failure (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        name TEXT NOT NULL,
        exception TEXT NOT NULL,
        place TEXT NOT NULL,
        count INTEGER NOT NULL,
        first_at REAL NOT NULL,
        last_at REAL NOT NULL,
        last_id TEXT NOT NULL,
        message TEXT,
        UNIQUE (name, exception, place)
    );
    CREATE TABLE failure_count (
        at INTEGER NOT NULL,
        failure INTEGER NOT NULL,
        count INTEGER NOT NULL,
        PRIMARY KEY (at, failure)
    ) WITHOUT ROWID;
    CREATE TABLE kept (
        at INTEGER NOT NULL,
        state TEXT NOT NULL,
        ended INTEGER NOT NULL,
        kept INTEGER NOT NULL,
        PRIMARY KEY (at, state)
    ) WITHOUT ROWID;
    CREATE TABLE task_point (
        span INTEGER NOT NULL,
        at INTEGER NOT NULL,
        name TEXT NOT NULL,
        queue TEXT NOT NULL,
        sent INTEGER NOT NULL,
        received INTEGER NOT NULL,
        started INTEGER NOT NULL,
        succeeded INTEGER NOT NULL,
        failed INTEGER NOT NULL,
        retried INTEGER NOT NULL,
        revoked INTEGER NOT NULL,
        rejected INTEGER NOT NULL,
        orphaned INTEGER NOT NULL,
        runtime_sum REAL NOT NULL,
        runtime_p50 REAL,
        runtime_p95 REAL,
        runtime_p99 REAL,
        runtime_max REAL,
        wait_p50 REAL,
        wait_p95 REAL,
        wait_max REAL,
        PRIMARY KEY (span, name, queue, at)
    ) WITHOUT ROWID;
    CREATE INDEX task_point_at ON task_point (span, at);
    CREATE TABLE open_point (
        span INTEGER NOT NULL,
        at INTEGER NOT NULL,
        name TEXT NOT NULL,
        queue TEXT NOT NULL,
        times BLOB NOT NULL,
        PRIMARY KEY (span, at, name, queue)
    ) WITHOUT ROWID;
    CREATE TABLE queue_point (
        span INTEGER NOT NULL,
        at INTEGER NOT NULL,
        name TEXT NOT NULL,
        ready INTEGER,
        unacked INTEGER,
        consumers INTEGER,
        oldest REAL,
        arrivals REAL,
        deliveries REAL,
        ready_max INTEGER,
        oldest_max REAL,
        PRIMARY KEY (span, name, at)
    ) WITHOUT ROWID;
    CREATE INDEX queue_point_at ON queue_point (span, at);
    CREATE TABLE incident (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        kind TEXT NOT NULL,
        subject TEXT NOT NULL,
        began REAL NOT NULL,
        seen REAL NOT NULL,
        ended REAL,
        tasks INTEGER NOT NULL,
        named TEXT NOT NULL
    );
{_SINCE_2}
    COMMIT;
"""


_FROM_1 = f"""
    BEGIN IMMEDIATE;
    ALTER TABLE run ADD COLUMN root TEXT;
    ALTER TABLE run ADD COLUMN parent TEXT;
    ALTER TABLE task_point ADD COLUMN runtime_p99 REAL;
{_SINCE_2}
    PRAGMA user_version = {VERSION};
    COMMIT;
"""


class LaterVersionError(sqlite3.DatabaseError):
    """The file was written by a version of this program that came later."""


def storable(text: str | None) -> str | None:
    """Return text that SQLite can keep and search: without lone surrogates and NULs."""
    if text is None or (text.isascii() and "\0" not in text):
        return text
    return text.encode("utf-8", "replace").decode().replace("\0", "�")


class EarlierVersionError(sqlite3.DatabaseError):
    """The file was written by an earlier version; ``prepare`` brings it up to this one."""


def require_ours(database: sqlite3.Connection) -> bool:
    """Return whether the tables are there, as this version has them; False for an empty file.

    Raises ``sqlite3.DatabaseError`` for a file that is damaged or not ours.
    """
    version = _version(database)
    if version is not None and version < VERSION:
        raise EarlierVersionError(f"it is of version {version}, and this program reads {VERSION}")
    return version is not None


def _version(database: sqlite3.Connection) -> int | None:
    """Return which version the tables are of; None for an empty file."""
    run = database.execute
    if not run("SELECT count(*) FROM sqlite_master").fetchone()[0]:
        return None
    if run("PRAGMA application_id").fetchone()[0] != _APPLICATION_ID:
        raise sqlite3.DatabaseError("it is no history of this program")
    version: int = run("PRAGMA user_version").fetchone()[0]
    if version > VERSION:
        raise LaterVersionError(f"it is of version {version}, and this program reads {VERSION}")
    if version < 1:
        raise sqlite3.DatabaseError(f"it is of version {version}, which never was")
    return version


def prepare(database: sqlite3.Connection, *, max_bytes: int) -> None:
    """Check that the file is ours and whole; make the tables in an empty one.

    One of an earlier version is brought up to this one. It never grows beyond ``max_bytes``, nor
    its log for long. Raises as ``require_ours`` does, but for an earlier version.
    """
    run = database.execute
    version = _version(database)
    has_tables = version is not None
    if has_tables:
        damage = run("PRAGMA quick_check(1)").fetchone()[0]
        if damage != "ok":
            raise sqlite3.DatabaseError(damage)
    if not has_tables:
        run("PRAGMA auto_vacuum = INCREMENTAL")  # `prune` gives space back to the disk
    run("PRAGMA journal_mode = WAL")
    run("PRAGMA synchronous = NORMAL")  # a crash of the machine may cost the last seconds
    run("PRAGMA journal_size_limit = 8000000")
    page_size = run("PRAGMA page_size").fetchone()[0]
    run(f"PRAGMA max_page_count = {max(64, max_bytes // page_size)}")
    if not has_tables:
        database.executescript(_SCHEMA)
    elif version == 1:
        database.executescript(_FROM_1)
