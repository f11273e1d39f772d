"""Batch: what was gathered since the last write. It is replaced, never reset."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from ..snapshot import OTHER, UNKNOWN, EndedTask, Snapshot

__all__ = ["Batch", "Failures", "GroupKey", "Row", "group_of"]

_MAX_ROWS = 5_000
_MAX_GROUPS = 10_000
_MAX_SNAPSHOTS = 15  # minutes of a full disk, usually

GroupKey = tuple[str, str, str]  # name, exception, place
_OTHERS: GroupKey = (OTHER, OTHER, "")


@dataclass(frozen=True, slots=True)
class Row:
    """A run to be kept, when its end arrived by our clock, and how it ended."""

    at: float
    task: EndedTask
    state: str


@dataclass(slots=True)
class Failures:
    """Those of one group: how many by minute, and the last of them."""

    by_minute: Counter[int]
    first_at: float
    last_at: float
    last: EndedTask


@dataclass(slots=True)
class Batch:
    """Rows, and exact counts of all that ended. Not thread-safe, and bounded."""

    rows: list[Row] = field(default_factory=list)
    failures: dict[GroupKey, Failures] = field(default_factory=dict)
    ended: Counter[str] = field(default_factory=Counter)  # by state
    snapshots: list[Snapshot] = field(default_factory=list)
    snapshots_dropped: int = 0

    def __bool__(self) -> bool:
        return bool(self.rows or self.failures or self.snapshots or self.ended.total())

    def add_row(self, row: Row) -> None:
        """Keep this run, if there is room."""
        if len(self.rows) < _MAX_ROWS:
            self.rows.append(row)

    def count_failure(self, task: EndedTask, key: GroupKey, *, at: float) -> None:
        """Count a failure in its group."""
        found = self.failures.get(key)
        if found is None:
            if len(self.failures) >= _MAX_GROUPS:
                key = _OTHERS
            found = self.failures.setdefault(key, Failures(Counter(), at, at, task))
        found.by_minute[int(at // 60) * 60] += 1
        found.last_at, found.last = at, task

    def add_snapshot(self, snapshot: Snapshot) -> None:
        """Keep a snapshot until its series are written."""
        if len(self.snapshots) < _MAX_SNAPSHOTS:
            self.snapshots.append(snapshot)
        else:
            self.snapshots_dropped += 1

    def put_before(self, later: Batch) -> None:
        """Put this batch, which could not be written, before a later one."""
        self.rows.extend(later.rows)
        del self.rows[:-_MAX_ROWS]
        for key, failures in later.failures.items():
            known = self.failures.get(key)
            if known is None and len(self.failures) >= _MAX_GROUPS:
                known = self.failures.get(_OTHERS)
                key = _OTHERS
            if known is None:
                self.failures[key] = failures
            else:
                known.by_minute += failures.by_minute
                known.last_at, known.last = failures.last_at, failures.last
        self.ended += later.ended
        for snapshot in later.snapshots:
            self.add_snapshot(snapshot)


def group_of(task: EndedTask) -> GroupKey:
    """Return the group of a failed task."""
    return task.name or UNKNOWN, task.exception or UNKNOWN, task.place or ""
