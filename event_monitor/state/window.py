"""Window: what is counted from one shot to the next; the shutter swaps it for a new one.

Mutable and not thread-safe: the state's lock protects the open window, and once it is swapped out
it belongs to the snapshot alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from ..distribution import Distribution, Recorder
from ..snapshot import OTHER, AckToken, TaskCounts, VanishedTask, Window, total

__all__ = ["MAX_TYPES", "OpenWindow", "TaskCounters", "totals_by_name"]

_MAX_FOLDED = 10_000  # distinct values folded in one window that are counted
MAX_TYPES = 50  # distinct exception classes, and custom event types, told apart in one window


class TaskCounters:
    """What happened to the tasks of one cell in one window."""

    __slots__ = (
        "cancelled",
        "duplicated",
        "exhausted",
        "expired",
        "failed",
        "failed_runtime",
        "held",
        "prefetch_time",
        "queue_time",
        "received",
        "recovered",
        "redelivered",
        "rejected",
        "retried",
        "retries",
        "revoked",
        "runtime",
        "sent",
        "started",
        "succeeded",
        "terminated",
        "total_time",
        "vanished",
    )

    def __init__(self) -> None:
        self.sent = self.received = self.started = 0
        self.succeeded = self.failed = self.retried = 0
        self.revoked = self.expired = self.terminated = 0
        self.rejected = self.cancelled = self.vanished = 0
        self.recovered = self.exhausted = self.redelivered = self.duplicated = 0
        self.runtime = Recorder()
        self.queue_time = Recorder()
        self.prefetch_time = Recorder()
        self.held = Recorder()  # what counts as both of these
        self.failed_runtime = Recorder()
        self.total_time = Recorder()
        self.retries = Recorder()

    def compact(self) -> None:
        """Count the times that were recorded, of which there may be many."""
        self.runtime.compact()
        self.queue_time.compact()
        self.prefetch_time.compact()
        self.held.compact()
        self.failed_runtime.compact()
        self.total_time.compact()
        self.retries.compact()

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

    def freeze(self) -> TaskCounts:
        """Return all of it as a value."""
        held = self.held.freeze()
        return replace(
            self.counts(),
            runtime=self.runtime.freeze(),
            queue_time=_with(held, self.queue_time.freeze()),
            prefetch_time=_with(held, self.prefetch_time.freeze()),
            failed_runtime=self.failed_runtime.freeze(),
            total_time=self.total_time.freeze(),
            retries=self.retries.freeze(),
        )


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
        "exceptions",
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
        self.cells: list[tuple[str, str | None, TaskCounters]] = []  # name, worker, counters
        self.exceptions: dict[str, int] = {}
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
        for name, _, _ in self.cells:
            yield name

    def compact(self) -> None:
        """Count the times that were recorded, of which there may be many."""
        self.event_delay.compact()
        for _, _, counters in self.cells:
            counters.compact()

    def freeze(self, closed_at: float, known_names: Iterable[str]) -> Window:
        """Return the closed window; every known name has an entry, zeros included."""
        by_name: dict[str, list[TaskCounts]] = {name: [] for name in known_names}
        by_worker: dict[str, list[TaskCounts]] = {}
        for name, worker, counters in self.cells:
            counts = counters.freeze()
            by_name.setdefault(name, []).append(counts)
            if worker is not None:
                by_worker.setdefault(worker, []).append(counts)
        return Window(
            opened_at=self.opened_at,
            closed_at=closed_at,
            tasks=tuple((name, total(parts)) for name, parts in by_name.items()),
            by_worker=tuple((worker, total(parts)) for worker, parts in by_worker.items()),
            exceptions=_pairs(self.exceptions),
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
