"""Points: what a snapshot adds to the minutes and hours of tasks and queues.

A row is added to the one that is there. The distributions of a minute or hour that is not over yet
are kept beside it, so that its percentiles are those of all its tasks.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterator

import msgspec

from ..distribution import Distribution
from ..snapshot import UNKNOWN, Snapshot, TaskCounts, total
from ..survey import QueueDepth
from .schema import MOST, storable
from .values import HOUR, MINUTE

__all__ = ["TASK_COUNTS", "write_points"]

TASK_COUNTS = (
    *("sent", "received", "started", "succeeded", "failed", "retried", "revoked", "rejected"),
    "orphaned",
)
_TIMES = (
    *("runtime_p50", "runtime_p95", "runtime_p99", "runtime_max"),
    *("wait_p50", "wait_p95", "wait_max"),
)
_ADDED = (*TASK_COUNTS, "runtime_sum")
_COLUMNS = ("span", "at", "name", "queue", *_ADDED, *_TIMES)
_ADD_TASKS = (
    f"INSERT INTO task_point ({', '.join(_COLUMNS)}) "  # noqa: S608  our own literals, as below
    f"VALUES ({', '.join('?' * len(_COLUMNS))}) ON CONFLICT (span, name, queue, at) DO UPDATE SET "
    + ", ".join(f"{name} = {name} + excluded.{name}" for name in _ADDED)
    + ", "
    + ", ".join(f"{name} = excluded.{name}" for name in _TIMES)
)
_LEVELS = ("ready", "unacked", "consumers", "oldest", "arrivals", "deliveries")
_WORST = ("ready", "oldest")
_QUEUE_COLUMNS = ("span", "at", "name", *_LEVELS, *(f"{name}_max" for name in _WORST))
# The scalar max() of SQLite is NULL if one of its arguments is.
_SET_QUEUE = (
    f"INSERT INTO queue_point ({', '.join(_QUEUE_COLUMNS)}) "  # noqa: S608
    f"VALUES ({', '.join('?' * len(_QUEUE_COLUMNS))}) ON CONFLICT (span, name, at) DO UPDATE SET "
    + ", ".join(f"{name} = excluded.{name}" for name in _LEVELS)
    + "".join(
        f", {name}_max = max(coalesce({name}_max, excluded.{name}), "
        f"coalesce(excluded.{name}, {name}_max))"
        for name in _WORST
    )
)

_Times = tuple[Distribution, Distribution]  # runtimes, and queue times
_pack = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.Decoder(_Times).decode


def write_points(database: sqlite3.Connection, snapshot: Snapshot) -> None:
    """Add a snapshot to the minute and the hour in which the middle of its window lies."""
    window = snapshot.window
    middle = (window.opened_at + window.closed_at) / 2
    orphaned = Counter(task.name for loss in snapshot.losses for task in loss.orphans)
    by_name = dict.fromkeys(orphaned, TaskCounts()) | dict(window.tasks)
    counted = [
        (storable(name) or UNKNOWN, "", counts, orphaned[name])
        for name, counts in by_name.items()
        if orphaned[name] or _has_any(counts)
    ]
    if counted:
        everything = total(counts for _, _, counts, _ in counted)
        counted.append(("", "", everything, orphaned.total()))
    counted += [
        ("", storable(queue) or UNKNOWN, counts, 0)
        for queue, counts in window.by_queue
        if _has_any(counts)
    ]
    for span in (MINUTE, HOUR):
        at = int(middle // span) * span
        database.execute("DELETE FROM open_point WHERE span = ? AND at < ?", (span, at))
        for name, queue, counts, orphans in counted:
            _add_tasks(database, (span, at, name, queue), counts, orphans)
        database.executemany(
            _SET_QUEUE,
            ((span, at, *_level(queue)) for queue in snapshot.survey.queues or ()),
        )


def _add_tasks(
    database: sqlite3.Connection, key: tuple[int, int, str, str], counts: TaskCounts, orphans: int
) -> None:
    runtime, wait = counts.runtime, counts.queue_time
    found = database.execute(
        "SELECT times FROM open_point WHERE span = ? AND at = ? AND name = ? AND queue = ?",
        key,
    ).fetchone()
    if found is not None:
        before = _unpack(found[0])
        runtime = Distribution.merged((before[0], runtime))
        wait = Distribution.merged((before[1], wait))
    if runtime or wait:
        database.execute(
            "INSERT OR REPLACE INTO open_point (span, at, name, queue, times) "
            "VALUES (?, ?, ?, ?, ?)",
            (*key, _pack((runtime, wait))),
        )
    numbers = (getattr(counts, name) for name in TASK_COUNTS[:-1])
    values = (*key, *numbers, orphans, counts.runtime.sum, *_percentiles(runtime, 50, 95, 99, 100))
    database.execute(_ADD_TASKS, (*values, *_percentiles(wait, 50, 95, 100)))


def _percentiles(times: Distribution, *percents: float) -> Iterator[float | None]:
    for percent in percents:
        yield times.percentile(percent) if times else None


def _has_any(counts: TaskCounts) -> bool:
    return any(getattr(counts, name) for name in TASK_COUNTS[:-1])


def _level(queue: QueueDepth) -> tuple[str | float | None, ...]:
    """Return name, levels, and the worst that there was: so far that is now."""
    ready, unacked, consumers = (
        number if number is None else min(number, MOST)
        for number in (queue.ready, queue.unacked, queue.consumers)
    )
    oldest = queue.oldest_seconds
    return (
        *(storable(queue.name), ready, unacked, consumers, oldest),
        *(queue.arrivals_per_second, queue.deliveries_per_second),
        *(ready, oldest),
    )
