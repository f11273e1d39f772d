"""Reader: the history as values, for pages, programs and the command line. Never changes it."""

from __future__ import annotations

import json
import os
import pwd
import sqlite3
import sys
import threading
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import fields
from math import inf
from pathlib import Path
from string import ascii_lowercase, ascii_uppercase
from typing import TypeVar, cast

from ..errors import UnavailableError
from ..text import one_line
from .schema import EarlierVersionError, LaterVersionError, require_ours
from .values import (
    HOUR,
    MINUTE,
    STATES,
    FailureGroup,
    Incident,
    Kept,
    Page,
    QueuePoint,
    Run,
    RunFilter,
    Span,
    TaskPoint,
)

__all__ = ["FILE_NAME", "Reader", "explained", "require_file"]

FILE_NAME = "history.sqlite3"

_BUSY_SECONDS = 1.0
_MOST_LOOKED_AT = 20_000  # runs that one page looks at, whatever it searches for: some 100 ms
_MOST_OF_A_TASK = 1_000  # runs
_MOST_ROWS = 10_000  # of anything that is not paged

_RUN = ", ".join(field.name for field in fields(Run))

# What lower() of SQLite does: it knows no letters but those of ASCII.
_LOWER = str.maketrans(ascii_uppercase, ascii_lowercase)

_LAST_CHARACTER = chr(sys.maxunicode)

Value = TypeVar("Value")
Point = TypeVar("Point", TaskPoint, QueuePoint)
Cells = tuple[object, ...]


class Reader:
    """Reads the history of a file, or of a monitor that has it in memory. A context manager.

    Any thread may call any method, one at a time. All raise ``UnavailableError`` where the file
    cannot be read any more. Times are wall-clock seconds since the epoch.
    """

    def __init__(
        self,
        database: sqlite3.Connection,
        *,
        lock: AbstractContextManager[object] | None = None,
        path: Path | None = None,
    ) -> None:
        self._database = database
        self._lock = lock or threading.Lock()
        self._path = path

    @classmethod
    def open(cls, path: Path) -> Reader:
        """Open the history in this file, whether its monitor runs or not.

        Raises ``UnavailableError`` with a sentence for a person.
        """
        require_file(path)
        with explained(path):
            return cls(_opened(path), path=path)

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file. What is in memory goes on being written."""
        if self._path is not None:
            self._database.close()

    # -- runs ------------------------------------------------------------------------------------

    def runs(
        self, wanted: RunFilter | None = None, *, before: int | None = None, limit: int = 50
    ) -> Page:
        """Return the newest runs that are wanted; ``before`` is the ``next`` of another page."""
        wanted = wanted or RunFilter()
        rest, more = _searched(wanted)
        # Whatever is searched for, only so many are looked at: the page says where to go on.
        # Those of a state lie apart, and of several states each has as many looked up.
        most = _MOST_LOOKED_AT // (1 + len(wanted.states)) if more else limit + 1
        looked_at, values = _looked_at(wanted, before, most)
        # No second ORDER BY, which would have all of them sorted before the first is returned.
        rows = self._rows(
            f"SELECT {_RUN} FROM ({looked_at}) WHERE {rest} LIMIT ?",  # noqa: S608
            (*values, *more, limit + 1),
            _run,
        )
        if len(rows) > limit:
            return Page(rows[:limit], rows[limit - 1].number)
        if not more:
            return Page(rows)
        ((first, count),) = self._rows(
            f"SELECT min(number), count(*) FROM ({looked_at})",  # noqa: S608
            values,
            lambda row: cast("tuple[int, int]", row),
        )
        return Page(rows, first if count == most else None)

    def task(self, task_id: str) -> tuple[Run, ...]:
        """Return the runs of one task that are kept, the first one first."""
        return self._rows(
            f"SELECT {_RUN} FROM run WHERE id = ? ORDER BY number LIMIT ?",  # noqa: S608
            (task_id, _MOST_OF_A_TASK),
            _run,
        )

    def ids(self, beginning: str, *, limit: int = 10) -> tuple[str, ...]:
        """Return the ids of tasks that begin so, in their order."""
        return self._rows(
            "SELECT DISTINCT id FROM run WHERE id >= ? AND id < ? ORDER BY id LIMIT ?",
            (beginning, beginning + _LAST_CHARACTER, limit),
            lambda row: str(row[0]),
        )

    def family(self, root: str, *, limit: int = 200) -> tuple[Run, ...]:
        """Return the runs of a task and of all that descend from it, oldest first.

        ``root`` is that of one of them, or the id of one that descends from none.
        """
        each = "SELECT number FROM (SELECT number FROM run WHERE {} = ? ORDER BY number LIMIT ?)"
        numbers = " UNION ALL ".join(map(each.format, ("id", "root")))
        return self._rows(
            f"SELECT {_RUN} FROM run WHERE number IN ({numbers}) ORDER BY number LIMIT ?",  # noqa: S608
            (root, limit, root, limit, limit),
            _run,
        )

    def children(self, task_id: str, *, limit: int = 200) -> tuple[Run, ...]:
        """Return the runs of the tasks that this one called, or that follow it; oldest first."""
        return self._rows(
            f"SELECT {_RUN} FROM run WHERE parent = ? ORDER BY number LIMIT ?",  # noqa: S608
            (task_id, limit),
            _run,
        )

    def kept(self, *, since: float = 0.0) -> tuple[Kept, ...]:
        """Return how many runs ended in each state since that hour, and how many became rows."""
        kept = self._rows(
            "SELECT state, sum(ended), sum(kept) FROM kept WHERE at > ? GROUP BY state",
            (since - HOUR,),
            _maker(Kept),
        )
        return tuple(sorted(kept, key=lambda one: STATES.index(one.state)))

    # -- failures --------------------------------------------------------------------------------

    def failures(
        self,
        *,
        since: float | None = None,
        until: float = inf,
        name: str | None = None,
        limit: int = 100,
    ) -> tuple[FailureGroup, ...]:
        """Return the groups of failures, the one that failed last first.

        With ``since`` those that failed since that minute, and how often; with ``until`` how often
        before that.
        """
        minute = 0.0 if since is None else since // MINUTE * MINUTE
        chosen = (
            "SELECT * FROM failure WHERE last_at >= :minute AND (:name IS NULL OR name = :name) "
            "ORDER BY last_at DESC, number DESC LIMIT :limit"
        )
        counted = (  # in one pass over the minutes, however many groups there are
            "SELECT failure, sum(count) AS recent FROM failure_count "
            "WHERE at >= :minute AND at < :until AND failure IN (SELECT number FROM chosen) "
            "GROUP BY failure"
        )
        recent = "chosen.count" if since is None else "coalesce(recent, 0)"
        joined = "" if since is None else "LEFT JOIN counted ON failure = number"
        return self._rows(
            f"WITH chosen AS ({chosen}), counted AS ({counted}) "  # noqa: S608
            f"SELECT number, name, exception, place, chosen.count, {recent}, first_at, last_at, "
            f"last_id, message FROM chosen {joined} ORDER BY last_at DESC, number DESC",
            {"minute": minute, "until": until, "name": name, "limit": limit},
            _maker(FailureGroup),
        )

    # -- series ----------------------------------------------------------------------------------

    def task_points(
        self,
        span: Span,
        *,
        name: str | None = "",
        queue: str | None = "",
        since: float,
        until: float,
    ) -> tuple[TaskPoint, ...]:
        """Return the minutes or hours of all tasks, of one name, or from one queue; oldest first.

        ``name=None`` is each name by itself, ``queue=None`` each queue. A minute without a point is
        one without an event.
        """
        wanted = {"name": name, "queue": queue}
        if name is None:
            wanted = {"queue": ""}
        elif queue is None:
            wanted = {"name": ""}
        points = self._points(
            "task_point", _TASK_COLUMNS, _make_task_point, span, wanted, since, until
        )
        is_each = name is None or queue is None
        return tuple(point for point in points if not is_each or point.name or point.queue)

    def ended(self, *, since: float, until: float) -> tuple[tuple[str, int, int], ...]:
        """Return each name, and how many tasks of it succeeded and failed in these minutes."""
        return self._rows(
            "SELECT name, sum(succeeded), sum(failed) FROM task_point "
            "WHERE span = ? AND at >= ? AND at < ? AND name != '' AND queue = '' "
            "GROUP BY name ORDER BY name LIMIT ?",
            (MINUTE, since // MINUTE * MINUTE, until, _MOST_ROWS),
            lambda row: cast("tuple[str, int, int]", row),
        )

    def queue_points(
        self, span: Span, *, name: str | None = None, since: float, until: float
    ) -> tuple[QueuePoint, ...]:
        """Return the minutes or hours of one queue, or of each, oldest first."""
        wanted = {} if name is None else {"name": name}
        return self._points(
            "queue_point", _QUEUE_COLUMNS, _make_queue_point, span, wanted, since, until
        )

    def incidents(
        self, *, since: float = 0.0, only_open: bool = False, limit: int = 100
    ) -> tuple[Incident, ...]:
        """Return what was wrong at any time since then, what began last first."""
        is_wanted = "ended IS NULL" if only_open else "(ended IS NULL OR ended >= ?)"
        return self._rows(
            "SELECT number, kind, subject, began, seen, ended, tasks, named "  # noqa: S608
            f"FROM incident WHERE {is_wanted} ORDER BY began DESC, number DESC LIMIT ?",
            (*(() if only_open else (since,)), limit),
            _incident,
        )

    # -- rows ------------------------------------------------------------------------------------

    def _points(
        self,
        table: str,
        columns: str,
        make: Callable[[Cells], Point],
        span: Span,
        wanted: Mapping[str, str | None],
        since: float,
        until: float,
    ) -> tuple[Point, ...]:
        are_wanted = "".join(f" AND {column} = ?" for column in wanted)
        return self._rows(
            f"SELECT {columns} FROM {table} "  # noqa: S608
            f"WHERE span = ?{are_wanted} AND at >= ? AND at < ? ORDER BY at, name LIMIT ?",
            (span, *wanted.values(), since // span * span, until, _MOST_ROWS),
            make,
        )

    def _rows(
        self,
        query: str,
        values: Sequence[object] | Mapping[str, object],
        make: Callable[[Cells], Value],
    ) -> tuple[Value, ...]:
        with self._lock, explained(self._path):
            rows = self._database.execute(query, values).fetchall()
            return tuple(map(make, rows))


def _looked_at(wanted: RunFilter, before: int | None, most: int) -> tuple[str, list[object]]:
    """Return the query for the newest runs by all that there is an index for, and its values.

    Of several states each is looked for by itself, in the order of its index.
    """
    found, values = _indexed(wanted, before)
    newest = "ORDER BY number DESC LIMIT ?"
    if len(wanted.states) <= 1:
        state = "".join(" AND state = ?" for _ in wanted.states)
        query = f"SELECT * FROM run WHERE {found}{state} {newest}"  # noqa: S608
        return query, [*values, *wanted.states, most]
    one = f"SELECT number FROM (SELECT number FROM run WHERE {found} AND state = ? {newest})"  # noqa: S608
    numbers = " UNION ALL ".join(one for _ in wanted.states)
    query = f"SELECT * FROM run WHERE number IN ({numbers}) {newest}"  # noqa: S608
    each = (value for state in wanted.states for value in (*values, state, most))
    return query, [*each, most]


def _indexed(wanted: RunFilter, before: int | None) -> tuple[str, list[object]]:
    """Return the conditions for which there is an index, but for states, and their values."""
    found: list[str] = ["1"]
    values: list[object] = []
    if before is not None:
        found.append("number < ?")
        values.append(before)
    for column in ("name", "worker"):
        value = getattr(wanted, column)
        if value is not None:
            found.append(f"{column} = ?")
            values.append(value)
    # The numbers ascend with the time: what is found by its time need not be sorted then.
    if wanted.since is not None:
        found.append("number >= (SELECT number FROM run WHERE at >= ? ORDER BY at LIMIT 1)")
        values.append(wanted.since)
    if wanted.until is not None:
        found.append("number <= (SELECT number FROM run WHERE at < ? ORDER BY at DESC LIMIT 1)")
        values.append(wanted.until)
    return " AND ".join(found), values


def _searched(wanted: RunFilter) -> tuple[str, list[object]]:
    """Return the conditions that each run is looked at for, and their values."""
    rest: list[str] = ["1"]
    values: list[object] = []
    for column in ("queue", "exception", "place"):
        value = getattr(wanted, column)
        if value is not None:
            rest.append(f"{column} = ?")
            values.append(value)
    if wanted.text:
        columns = ("id", "name", "exception", "place", "message")
        rest.append(f"({' OR '.join(f'instr(lower({name}), ?)' for name in columns)})")
        values += [wanted.text.translate(_LOWER)] * len(columns)
    return " AND ".join(rest), values


def _run(row: Cells) -> Run:
    packed = row[-1]
    details = json.loads(zlib.decompress(packed)) if isinstance(packed, bytes) else {}
    return _make_run((*row[:-1], tuple(details.items())))


def _incident(row: Cells) -> Incident:
    return _make_incident((*row[:-1], tuple(json.loads(str(row[-1])))))


def _maker(make: type[Value]) -> Callable[[Cells], Value]:
    """Return what makes a value of a row with its fields in their order."""
    names = [field.name for field in fields(make)]  # type: ignore[arg-type]  # it is a dataclass
    return lambda row: make(**dict(zip(names, row, strict=True)))


def _columns(make: type[TaskPoint | QueuePoint]) -> str:
    return ", ".join(field.name for field in fields(make))


# Made once: a page reads hundreds of rows.
_make_run, _make_incident = _maker(Run), _maker(Incident)
_make_task_point, _make_queue_point = _maker(TaskPoint), _maker(QueuePoint)
_TASK_COLUMNS, _QUEUE_COLUMNS = _columns(TaskPoint), _columns(QueuePoint)


# -- the file -------------------------------------------------------------------------------------


def require_file(path: Path) -> None:
    """Raise ``UnavailableError`` if there is no such file, or this user may not read it."""
    try:
        if path.is_fifo():  # to open it would wait for whoever writes to it
            raise UnavailableError(f"the history {str(path)!r} is no file.")
        with path.open("rb"):
            pass
    except FileNotFoundError:
        raise UnavailableError(
            f"there is no history in {str(path.parent.absolute())!r}; run the monitor with the "
            "settings history and state_dir, and give the same state_dir here."
        ) from None
    except OSError as error:
        raise UnavailableError(_why_unreadable(path, error)) from error


def _opened(path: Path) -> sqlite3.Connection:
    """Open the file to read.

    Somebody who may only read cannot make the shared memory that a log needs. It is there while the
    monitor runs; after that nothing changes the file, and it is read as it is.
    """
    try:
        return _connected(path, "mode=ro")
    except sqlite3.OperationalError:
        return _connected(path, "mode=ro&immutable=1")


def _connected(path: Path, how: str) -> sqlite3.Connection:
    database = sqlite3.connect(
        f"{path.absolute().as_uri()}?{how}",
        uri=True,
        check_same_thread=False,
        isolation_level=None,
        timeout=_BUSY_SECONDS,
    )
    try:
        if not require_ours(database):
            raise sqlite3.DatabaseError("it is empty")
    except BaseException:
        database.close()
        raise
    return database


@contextmanager
def explained(path: Path | None) -> Iterator[None]:
    """Turn an error of SQLite into a sentence for a person."""
    where = "the history" if path is None else f"the history {str(path)!r}"
    try:
        yield
    except EarlierVersionError as error:
        raise UnavailableError(
            f"{where} was written by an earlier version of this program ({one_line(error)}); "
            "its monitor brings it up to date when it starts."
        ) from error
    except LaterVersionError as error:
        raise UnavailableError(
            f"{where} was written by a later version of this program ({one_line(error)}); "
            "use that version."
        ) from error
    except sqlite3.OperationalError as error:
        raise UnavailableError(f"{where} cannot be read: {one_line(error)}.") from error
    except (sqlite3.Error, zlib.error, ValueError, TypeError) as error:
        raise UnavailableError(
            f"{where} is damaged ({one_line(error)}); the monitor moves it aside when it starts "
            "next, and begins a new one."
        ) from error


def _why_unreadable(path: Path, error: OSError) -> str:
    """Return who may read what we may not."""
    sentence = f"the history {str(path)!r} cannot be read: {error.strerror}"
    for place in (path, path.parent):
        try:
            uid = place.stat().st_uid
        except OSError:
            continue
        if isinstance(error, PermissionError) and uid != os.geteuid():
            return f"{sentence}; it belongs to {_user(uid)}: run this as that user or as root."
    return f"{sentence}."


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"
