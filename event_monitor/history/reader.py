"""Reader: the history as values, for pages, programs and the command line. Never changes it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from math import inf
from typing import TypeVar, cast

from .opened import OpenedHistory
from .rows import (
    QUEUE_COLUMNS,
    RUN_COLUMNS,
    TASK_COLUMNS,
    Cells,
    incident_of,
    maker,
    queue_point_of,
    run_of,
    task_point_of,
)
from .run_search import newest_query, search_terms
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

__all__ = ["Reader"]

_MOST_LOOKED_AT = 20_000  # runs that one page looks at, whatever it searches for: some 100 ms
_MOST_OF_A_TASK = 1_000  # runs
_MOST_ROWS = 10_000  # of anything that is not paged
_LAST_CHARACTER = chr(sys.maxunicode)

Point = TypeVar("Point", TaskPoint, QueuePoint)


class Reader(OpenedHistory):
    """Reads the history of a file, or of a monitor that has it in memory. A context manager.

    Any thread may call any method, one at a time. All raise ``UnavailableError`` where the file
    cannot be read any more. Times are wall-clock seconds since the epoch.
    """

    # -- runs ------------------------------------------------------------------------------------

    def runs(
        self, wanted: RunFilter | None = None, *, before: int | None = None, limit: int = 50
    ) -> Page:
        """Return the newest runs that are wanted; ``before`` is the ``next`` of another page."""
        wanted = wanted or RunFilter()
        rest, more = search_terms(wanted)
        # Whatever is searched for, only so many are looked at: the page says where to go on.
        # Those of a state lie apart, and of several states each has as many looked up.
        most = _MOST_LOOKED_AT // (1 + len(wanted.states)) if more else limit + 1
        looked_at, values = newest_query(wanted, before, most)
        # No second ORDER BY, which would have all of them sorted before the first is returned.
        rows = self._rows(
            f"SELECT {RUN_COLUMNS} FROM ({looked_at}) WHERE {rest} LIMIT ?",  # noqa: S608
            (*values, *more, limit + 1),
            run_of,
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
            f"SELECT {RUN_COLUMNS} FROM run WHERE id = ? ORDER BY number LIMIT ?",  # noqa: S608
            (task_id, _MOST_OF_A_TASK),
            run_of,
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
            f"SELECT {RUN_COLUMNS} FROM run WHERE number IN ({numbers}) ORDER BY number LIMIT ?",  # noqa: S608
            (root, limit, root, limit, limit),
            run_of,
        )

    def children(self, task_id: str, *, limit: int = 200) -> tuple[Run, ...]:
        """Return the runs of the tasks that this one called, or that follow it; oldest first."""
        return self._rows(
            f"SELECT {RUN_COLUMNS} FROM run WHERE parent = ? ORDER BY number LIMIT ?",  # noqa: S608
            (task_id, limit),
            run_of,
        )

    def kept(self, *, since: float = 0.0) -> tuple[Kept, ...]:
        """Return how many runs ended in each state since that hour, and how many became rows."""
        kept = self._rows(
            "SELECT state, sum(ended), sum(kept) FROM kept WHERE at > ? GROUP BY state",
            (since - HOUR,),
            maker(Kept),
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
            maker(FailureGroup),
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
        points = self._points("task_point", TASK_COLUMNS, task_point_of, span, wanted, since, until)
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
            "queue_point", QUEUE_COLUMNS, queue_point_of, span, wanted, since, until
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
            incident_of,
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
