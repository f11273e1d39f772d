"""Window: what is counted from one shot to the next; the shutter swaps it for a new one.

Mutable and not thread-safe: the state's lock protects the open window, and once it is swapped out
it belongs to the snapshot alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Literal, TypeAlias

from ..distribution import NO_VALUES, Distribution, Recorder
from ..snapshot import (
    OTHER,
    AckToken,
    ExceptionCounts,
    TaskCounts,
    VanishedTask,
    Window,
    total,
)

__all__ = ["MAX_TYPES", "OpenWindow", "TaskCounters", "totals_by_name"]

_MAX_FOLDED = 10_000  # distinct values folded in one window that are counted
MAX_TYPES = 50  # distinct exception classes, and custom event types, told apart in one window


#: Times of which most tasks have none; ``TaskCounters.record`` takes them.
SeldomTimes: TypeAlias = Literal[
    "failed_runtime", "prefetch_time", "queue_time", "retries", "total_time"
]


class TaskCounters:
    """What happened to the tasks of one cell in one window.

    There may be thousands of cells, so the recorders of most times are made when there is a time.
    """

    __slots__ = (
        "cancelled",
        "duplicated",
        "exceptions",
        "exhausted",
        "expired",
        "failed",
        "held",
        "limits",
        "received",
        "recovered",
        "redelivered",
        "rejected",
        "retried",
        "revoked",
        "runtime",
        "seldom",
        "sent",
        "started",
        "succeeded",
        "terminated",
        "vanished",
    )

    def __init__(self, limits: tuple[float, ...] = ()) -> None:
        self.sent = self.received = self.started = 0
        self.succeeded = self.failed = self.retried = 0
        self.revoked = self.expired = self.terminated = 0
        self.rejected = self.cancelled = self.vanished = 0
        self.recovered = self.exhausted = self.redelivered = self.duplicated = 0
        # Class → of those that failed, and that are retried, so many; None: nobody asked.
        self.exceptions: dict[str, list[int]] | None = None
        self.runtime = Recorder()
        self.limits = limits  # seconds: how many queue times are no longer is counted
        self.held = Recorder(limits)  # what counts as queue time and as prefetch time
        self.seldom: dict[SeldomTimes, Recorder] = {}

    def record(self, what: SeldomTimes, value: float) -> None:
        """Record a time in seconds, or a number of retries, ≥ 0."""
        recorder = self.seldom.get(what)
        if recorder is None:
            limits = self.limits if what == "queue_time" else ()
            recorder = self.seldom[what] = Recorder(limits)
        recorder.record(value)

    def compact(self) -> None:
        """Count the times that were recorded, of which there may be many."""
        self.runtime.compact()
        self.held.compact()
        for recorder in self.seldom.values():
            recorder.compact()

    def counts(self) -> TaskCounts:
        """Return the counters as a value, without the times."""
        return TaskCounts(
            sent=self.sent,
            received=self.received,
            started=self.started,
            succeeded=self.succeeded,
            failed=self.failed,
            retried=self.retried,
            revoked=self.revoked,
            expired=self.expired,
            terminated=self.terminated,
            rejected=self.rejected,
            cancelled=self.cancelled,
            vanished=self.vanished,
            recovered=self.recovered,
            exhausted=self.exhausted,
            redelivered=self.redelivered,
            duplicated=self.duplicated,
        )

    def raised(self, class_: str) -> list[int]:
        """Return how many tasks that raised this have failed, and are retried, to be counted on."""
        if self.exceptions is None:
            self.exceptions = {}
        return self.exceptions.setdefault(class_, [0, 0])

    def freeze(self) -> TaskCounts:
        """Return all of it as a value."""
        held = self.held.freeze()
        return replace(
            self.counts(),
            runtime=self.runtime.freeze(),
            queue_time=_with(held, self._times("queue_time")),
            prefetch_time=_with(held, self._times("prefetch_time")),
            failed_runtime=self._times("failed_runtime"),
            total_time=self._times("total_time"),
            retries=self._times("retries"),
            on_time=self._on_time(),
        )

    def _on_time(self) -> tuple[tuple[float, int], ...]:
        """Return how many queue times are no longer than each limit, once all are counted."""
        others = self.seldom.get("queue_time")
        return tuple(
            (limit, self.held.within[place] + (0 if others is None else others.within[place]))
            for place, limit in enumerate(self.limits)
        )

    def _times(self, what: SeldomTimes) -> Distribution:
        recorder = self.seldom.get(what)
        return NO_VALUES if recorder is None else recorder.freeze()


def _with(some: Distribution, others: Distribution) -> Distribution:
    return Distribution.merged((some, others)) if some and others else some or others


class OpenWindow:
    """Everything counted since the last shot."""

    __slots__ = (
        "ack_tokens",
        "cells",
        "custom_events",
        "disconnections",
        "event_delay",
        "events_invalid",
        "events_lost",
        "events_received",
        "exception_types",
        "folded",
        "invalid_kinds",
        "new_names",
        "opened_at",
        "tasks_forgotten",
        "vanished",
        "workers_refused",
    )

    def __init__(self, opened_at: float) -> None:
        self.opened_at = opened_at  # wall clock, seconds since the epoch
        # Name, queue, worker, counters; several may have the same three.
        self.cells: list[tuple[str, str, str | None, TaskCounters]] = []
        self.exception_types: set[str] = set()
        self.custom_events: dict[str, int] = {}
        self.ack_tokens: list[AckToken] = []  # for the messages counted here
        self.event_delay = Recorder()
        self.events_received = 0
        self.events_invalid = 0
        self.invalid_kinds: set[str] = set()
        self.events_lost: dict[str, int] = {}  # by worker
        self.disconnections = 0
        self.tasks_forgotten = 0
        self.vanished: list[VanishedTask] = []  # the first of those counted
        self.workers_refused = 0
        self.folded: set[str] = set()  # task names, custom event types, exception classes
        self.new_names: dict[str, None] = {}  # not known when the window opened; in order

    def fold(self, value: str) -> str:
        """Note a name or type for which there is no room; return that under which it counts."""
        if len(self.folded) < _MAX_FOLDED:
            self.folded.add(value)
        return OTHER

    def names(self) -> Iterator[str]:
        """Yield every name counted, in the order first seen; some more than once."""
        yield from self.new_names
        for name, *_ in self.cells:
            yield name

    def compact(self) -> None:
        """Count the times that were recorded, of which there may be many."""
        self.event_delay.compact()
        for *_, counters in self.cells:
            counters.compact()

    def freeze(self, closed_at: float, known_names: Iterable[str]) -> Window:
        """Return the closed window; every known name has an entry, zeros included."""
        by_name: dict[str, list[TaskCounts]] = {name: [] for name in known_names}
        by_worker: dict[str, list[TaskCounts]] = {}
        by_pair: dict[tuple[str, str], list[TaskCounts]] = {}
        exceptions: dict[tuple[str, str, str], list[int]] = {}
        for name, queue, worker, counters in self.cells:
            counts = counters.freeze()
            by_pair.setdefault((name, queue), []).append(counts)
            if worker is not None:
                by_worker.setdefault(worker, []).append(counts)
            for class_, (failed, retried) in (counters.exceptions or {}).items():
                before = exceptions.setdefault((name, queue, class_), [0, 0])
                before[:] = before[0] + failed, before[1] + retried
        pairs = {pair: total(parts) for pair, parts in by_pair.items()}
        by_queue: dict[str, list[TaskCounts]] = {}
        for (name, queue), counts in pairs.items():
            by_name.setdefault(name, []).append(counts)
            by_queue.setdefault(queue, []).append(counts)
        return Window(
            opened_at=self.opened_at,
            closed_at=closed_at,
            tasks=tuple((name, total(parts)) for name, parts in by_name.items()),
            by_worker=tuple((worker, total(parts)) for worker, parts in by_worker.items()),
            by_queue=tuple((queue, total(parts)) for queue, parts in by_queue.items()),
            by_task_and_queue=tuple((*pair, counts) for pair, counts in pairs.items()),
            exceptions=tuple(
                ExceptionCounts(*of, failed=failed, retried=retried)
                for of, (failed, retried) in sorted(exceptions.items())
            ),
            custom_events=_pairs(self.custom_events),
            event_delay=self.event_delay.freeze(),
            events_received=self.events_received,
            events_invalid=self.events_invalid,
            tasks_forgotten=self.tasks_forgotten,
            vanished=tuple(self.vanished),
            names_folded=len(self.folded) + self.workers_refused,
            disconnections=self.disconnections,
            events_lost=_pairs(self.events_lost),
        )


def totals_by_name(
    counted: Iterable[tuple[str, TaskCounts]],
) -> tuple[tuple[str, TaskCounts], ...]:
    """Add up the counts of each name, in the order first seen."""
    by_name: dict[str, list[TaskCounts]] = {}
    for name, counts in counted:
        by_name.setdefault(name, []).append(counts)
    return tuple((name, total(parts)) for name, parts in by_name.items())


def _pairs(counts: Mapping[str, int]) -> tuple[tuple[str, int], ...]:
    return tuple(sorted(counts.items()))
