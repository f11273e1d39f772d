"""Store: the history in one SQLite database, as its only writer has it.

It lets every error through: what to do about a full or damaged disk is decided in ``recorder.py``.
"""

from __future__ import annotations

import json
import sqlite3
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress

from ..settings import Settings
from ..snapshot import OTHER, Snapshot
from .batch import Batch, Failures, GroupKey, Row
from .details import Redactor
from .incidents import conditions, is_known, moments
from .points import write_points
from .schema import MOST, prepare, storable
from .values import HOUR, MINUTE, STATES

__all__ = ["Store", "kept_seconds"]

_BUSY_SECONDS = 0.5  # somebody may be pruning
_MAX_GROUPS = 10_000  # of failures; beyond it they are counted together
_MOST_DELETED = 1_000  # rows in one transaction
_MINUTES_SECONDS = 86_400.0  # how long minutes are kept
_HOURS_SECONDS = 35 * 86_400.0  # the same of hours
_MAX_INCIDENTS = 10_000
_HARD_LIMIT = 1.25  # of the size that was set: beyond it SQLite itself says that it is full
_OTHERS: GroupKey = (OTHER, OTHER, "")

_COLUMNS = (
    *("at", "id", "name", "state", "worker", "queue", "sent", "received", "started", "ended"),
    *("runtime", "retries", "exception", "place", "weight", "root", "parent"),
    *("message", "details"),
)
_INSERT_RUN = f"INSERT INTO run ({', '.join(_COLUMNS)}) VALUES ({', '.join('?' * len(_COLUMNS))})"  # noqa: S608
_ADD_KEPT = (
    "INSERT INTO kept (at, state, ended, kept) VALUES (?, ?, ?, ?) ON CONFLICT (at, state) "
    "DO UPDATE SET ended = ended + excluded.ended, kept = kept + excluded.kept"
)
_ADD_TO_MINUTE = (
    "INSERT INTO failure_count (at, failure, count) VALUES (?, ?, ?) ON CONFLICT (at, failure) "
    "DO UPDATE SET count = count + excluded.count"
)


class Store:
    """Writes batches, and lets go of what is old or too much. Made by ``open``.

    Not thread-safe. Any method may raise ``sqlite3.Error``; then it has changed nothing.
    """

    def __init__(self, database: sqlite3.Connection, settings: Settings, *, max_bytes: int) -> None:
        self.database = database
        self._settings = settings
        self._max_bytes = max_bytes
        self._redactor = Redactor(settings.history_redact)
        self._groups: dict[GroupKey, int] = {}  # → number
        self._open: dict[tuple[str, str], int] = {}  # incidents that go on: kind, subject → number
        self._carried: set[tuple[str, str]] = set()  # of these, from a former process
        self._load()

    @classmethod
    def open(cls, path: str, settings: Settings, *, max_bytes: int) -> Store:
        """Open the database, or make it; ``:memory:`` makes one that is not on disk.

        Raises ``sqlite3.OperationalError`` when the disk fails, and another
        ``sqlite3.DatabaseError`` for a file that is damaged or not ours.
        """
        database = sqlite3.connect(
            path, isolation_level=None, check_same_thread=False, timeout=_BUSY_SECONDS
        )
        try:
            prepare(database, max_bytes=int(max_bytes * _HARD_LIMIT))
            return cls(database, settings, max_bytes=max_bytes)
        except BaseException:
            database.close()
            raise

    def close(self) -> None:
        """Close the database."""
        self.database.close()

    # -- in ------------------------------------------------------------------------------------

    def write(self, batch: Batch, *, now: float) -> None:
        """Write a batch in one transaction; ``now`` is the wall clock."""
        groups, is_open, carried = dict(self._groups), dict(self._open), set(self._carried)
        try:
            with self._transaction():
                self.database.executemany(_INSERT_RUN, map(self._run, batch.rows))
                for key, failures in batch.failures.items():
                    self._count(key, failures)
                self._count_kept(batch, int(now // HOUR) * HOUR)
                for snapshot in batch.snapshots:
                    write_points(self.database, snapshot)
                    self._note_incidents(snapshot)
        except BaseException:
            self._groups, self._open, self._carried = groups, is_open, carried
            raise

    def _run(self, row: Row) -> tuple[object, ...]:
        task = row.task
        texts = self._redactor.texts(task.details) if task.details else {}
        message = texts.pop("message", None)
        return (
            *(row.at, storable(task.id), storable(task.name), row.state, storable(task.worker)),
            *(storable(task.queue), task.sent, task.received, task.started, task.ended),
            *(
                _runtime(row),
                min(task.retries, MOST),
                storable(task.exception),
                storable(task.place),
            ),
            *(task.weight, storable(task.root), storable(task.parent), message, _packed(texts)),
        )

    def _count(self, key: GroupKey, failures: Failures) -> None:
        key = tuple(storable(part) or "" for part in key)  # type: ignore[assignment]
        last, run = failures.last, self.database.execute
        message = self._redactor.texts(d for d in last.details if d[0] == "message").get("message")
        if key not in self._groups and len(self._groups) >= _MAX_GROUPS:
            key = _OTHERS
        number = self._groups.get(key)
        count = failures.by_minute.total()
        if number is None:
            number = run(
                "INSERT INTO failure (name, exception, place, count, first_at, last_at, last_id, "
                "message) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (*key, count, failures.first_at, failures.last_at, storable(last.id), message),
            ).lastrowid
            self._groups[key] = number or 0
        else:
            run(
                "UPDATE failure SET count = count + ?, last_at = ?, last_id = ?, message = ? "
                "WHERE number = ?",
                (count, failures.last_at, storable(last.id), message, number),
            )
        self.database.executemany(
            _ADD_TO_MINUTE, ((at, number, count) for at, count in failures.by_minute.items())
        )

    def _count_kept(self, batch: Batch, hour: int) -> None:
        kept = dict.fromkeys(STATES, 0)
        for row in batch.rows:
            kept[row.state] += 1
        self.database.executemany(
            _ADD_KEPT,
            (
                (hour, state, batch.ended[state], kept[state])
                for state in STATES
                if batch.ended[state] or kept[state]
            ),
        )

    def _note_incidents(self, snapshot: Snapshot) -> None:
        """Begin the incidents of this snapshot, go on with those that last, and end the others."""
        run, at = self.database.execute, snapshot.window.closed_at
        found = conditions(snapshot, self._settings)
        for key, condition in found.items():
            number, named = self._open.get(key), json.dumps([storable(n) for n in condition.named])
            if number is None:
                inserted = run(
                    "INSERT INTO incident (kind, subject, began, seen, ended, tasks, named) "
                    "VALUES (?, ?, ?, ?, NULL, ?, ?)",
                    (key[0], storable(key[1]), at, at, min(condition.tasks, MOST), named),
                )
                self._open[key] = inserted.lastrowid or 0
            else:
                run(
                    "UPDATE incident SET seen = ?, tasks = max(tasks, ?) WHERE number = ?",
                    (at, min(condition.tasks, MOST), number),
                )
            self._carried.discard(key)
        for key in self._open.keys() - found.keys():
            if is_known(key[0], snapshot):
                number, is_carried = self._open.pop(key), key in self._carried
                # Of one that a former process saw, nobody knows when it was over.
                ended = "seen" if is_carried else "?"
                values = (number,) if is_carried else (at, number)
                run(f"UPDATE incident SET ended = {ended} WHERE number = ?", values)  # noqa: S608
                self._carried.discard(key)
        for moment in moments(snapshot):
            named = json.dumps([storable(name) for name in moment.named])
            run(
                "INSERT INTO incident (kind, subject, began, seen, ended, tasks, named) "
                "VALUES (?, ?, ?, ?, ?, ?, ?)",
                (moment.kind, storable(moment.subject), at, at, at, min(moment.tasks, MOST), named),
            )

    # -- out -----------------------------------------------------------------------------------

    def is_over_its_size(self) -> bool:
        """Return whether there is more in it than was set."""
        return self._bytes() > self._max_bytes

    def let_go(self, *, now: float, thoroughly: bool = False) -> None:
        """Delete what is too old, and the oldest that succeeded while there is too much.

        A thousand runs at most, so that nothing waits for it long. ``thoroughly``: of all that is
        counted, too.
        """
        is_full = self.is_over_its_size()
        begins = {state: now - kept_seconds(self._settings, state) for state in STATES}
        old = [state for state in STATES if self._has_older(state, begins[state])]
        if not (is_full or old or thoroughly):
            return
        with self._transaction():
            for state in old:
                self._delete_older(state, begins[state])
            if is_full:
                self._make_room(now)
            if thoroughly:
                self._let_go_of_counts(now)
        if thoroughly:
            self._read_groups()

    def _has_older(self, state: str, before: float) -> bool:
        oldest = self.database.execute(
            "SELECT at FROM run WHERE state = ? ORDER BY number LIMIT 1", (state,)
        ).fetchone()
        return oldest is not None and oldest[0] < before

    def _delete_older(self, state: str, before: float) -> None:
        self.database.execute(
            "DELETE FROM run WHERE number IN (SELECT number FROM run WHERE state = ? "
            "ORDER BY number LIMIT ?) AND at < ?",
            (state, _MOST_DELETED, before),
        )

    def _make_room(self, now: float) -> None:
        """Delete the oldest that succeeded; if there are none, the oldest of all; then minutes."""
        for where in ("WHERE state = 'succeeded'", ""):
            deleted = self.database.execute(
                f"DELETE FROM run WHERE number IN (SELECT number FROM run {where} "  # noqa: S608
                "ORDER BY number LIMIT ?)",
                (_MOST_DELETED,),
            )
            if deleted.rowcount:
                return
        for table in ("task_point", "queue_point"):
            for span in (MINUTE, HOUR):
                oldest = self.database.execute(
                    f"SELECT min(at) FROM {table} WHERE span = ?",  # noqa: S608
                    (span,),
                ).fetchone()[0]
                if oldest is not None and oldest < now - 2 * span:
                    self.database.execute(
                        f"DELETE FROM {table} WHERE span = ? AND at = ?",  # noqa: S608
                        (span, oldest),
                    )

    def _let_go_of_counts(self, now: float) -> None:
        run, settings = self.database.execute, self._settings
        for table in ("task_point", "queue_point"):
            for span, seconds in ((MINUTE, _MINUTES_SECONDS), (HOUR, _HOURS_SECONDS)):
                run(f"DELETE FROM {table} WHERE span = ? AND at < ?", (span, now - seconds))  # noqa: S608
        run("DELETE FROM kept WHERE at < ?", (now - _HOURS_SECONDS,))
        run("DELETE FROM failure WHERE last_at < ?", (now - settings.history_failed,))
        run("DELETE FROM failure_count WHERE at < ?", (now - settings.history_failed,))
        run("DELETE FROM incident WHERE ended < ?", (now - settings.history_other,))
        run(
            "DELETE FROM incident WHERE ended IS NOT NULL AND number <= "
            "(SELECT max(number) FROM incident) - ?",
            (_MAX_INCIDENTS,),
        )

    # -- shared ----------------------------------------------------------------------------------

    def _load(self) -> None:
        """Read what a former process, or somebody who pruned, has left."""
        run = self.database.execute
        for number, kind, subject in run(
            "SELECT number, kind, subject FROM incident WHERE ended IS NULL"
        ):
            self._open[kind, subject] = number
        self._carried = set(self._open)
        self._read_groups()

    def _read_groups(self) -> None:
        rows = self.database.execute("SELECT name, exception, place, number FROM failure")
        self._groups = {(name, exception, place): n for name, exception, place, n in rows}

    def _bytes(self) -> int:
        pages, free, size = (
            self.database.execute(f"PRAGMA {what}").fetchone()[0]
            for what in ("page_count", "freelist_count", "page_size")
        )
        return int((pages - free) * size)

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self.database.execute("BEGIN IMMEDIATE")
        try:
            yield
            self.database.execute("COMMIT")
        except BaseException:
            with suppress(sqlite3.Error):
                self.database.execute("ROLLBACK")
            raise


def kept_seconds(settings: Settings, state: str) -> float:
    """Return for how long runs that ended like this are kept."""
    if state == "succeeded":
        return settings.history_succeeded
    is_failure = state in ("failed", "rejected", "orphaned")
    return settings.history_failed if is_failure else settings.history_other


def _runtime(row: Row) -> float | None:
    """Return how long the run took: as the worker says, or by its events."""
    task = row.task
    if task.runtime is not None or task.started is None or row.state == "orphaned":
        return task.runtime
    return max(0.0, task.ended - task.started)


def _packed(texts: Mapping[str, str]) -> bytes | None:
    return zlib.compress(json.dumps(texts).encode()) if texts else None
