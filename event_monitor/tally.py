"""Tally: the open window, in which events are counted until the shutter swaps it for a new one.

Mutable and not thread-safe: the state's lock protects the open window, and once it is swapped out
it belongs to the snapshot alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from .distribution import Recorder
from .snapshot import Receipt, TaskCounts, Window

__all__ = ["OpenWindow", "Tally"]

_NOTHING = TaskCounts()


class Tally:
    """The counters of one task name (or worker) in one window."""

    __slots__ = (
        "cancelled",
        "expired",
        "failed",
        "prefetch_time",
        "queue_time",
        "received",
        "rejected",
        "retried",
        "revoked",
        "runtime",
        "sent",
        "started",
        "succeeded",
        "terminated",
    )

    def __init__(self) -> None:
        self.sent = self.received = self.started = 0
        self.succeeded = self.failed = self.retried = 0
        self.revoked = self.expired = self.terminated = 0
        self.rejected = self.cancelled = 0
        self.runtime = Recorder()
        self.queue_time = Recorder()
        self.prefetch_time = Recorder()

    def freeze(self) -> TaskCounts:
        """The same as a value."""
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
            runtime=self.runtime.freeze(),
            queue_time=self.queue_time.freeze(),
            prefetch_time=self.prefetch_time.freeze(),
        )


class OpenWindow:
    """Everything counted since the last shot."""

    __slots__ = (
        "by_worker",
        "custom_events",
        "disconnections",
        "event_delay",
        "events_invalid",
        "events_lost",
        "events_received",
        "exceptions",
        "folded_names",
        "invalid_kinds",
        "newcomers",
        "opened_at",
        "receipts",
        "tasks",
        "tasks_forgotten",
    )

    def __init__(self, opened_at: float) -> None:
        self.opened_at = opened_at  # wall clock, seconds since the epoch
        self.tasks: dict[str, Tally] = {}
        self.by_worker: dict[str, Tally] = {}
        self.exceptions: dict[str, int] = {}
        self.custom_events: dict[str, int] = {}
        self.receipts: list[Receipt] = []  # for the messages counted here
        self.event_delay = Recorder()
        self.events_received = 0
        self.events_invalid = 0
        self.invalid_kinds: set[str] = set()
        self.events_lost: dict[str, int] = {}  # by worker
        self.disconnections = 0
        self.tasks_forgotten = 0
        self.folded_names: set[str] = set()
        self.newcomers = 0  # names in `tasks` that were not known when the window opened

    def freeze(self, closed_at: float, known_names: Iterable[str]) -> Window:
        """The closed window; every known name has an entry, zeros included."""
        tasks = dict.fromkeys(known_names, _NOTHING)
        tasks.update((name, tally.freeze()) for name, tally in self.tasks.items())
        return Window(
            opened_at=self.opened_at,
            closed_at=closed_at,
            tasks=tuple(tasks.items()),
            by_worker=tuple((name, tally.freeze()) for name, tally in self.by_worker.items()),
            exceptions=_pairs(self.exceptions),
            custom_events=_pairs(self.custom_events),
            event_delay=self.event_delay.freeze(),
            events_received=self.events_received,
            events_invalid=self.events_invalid,
            tasks_forgotten=self.tasks_forgotten,
            names_folded=len(self.folded_names),
            disconnections=self.disconnections,
            events_lost=_pairs(self.events_lost),
        )


def _pairs(counts: Mapping[str, int]) -> tuple[tuple[str, int], ...]:
    return tuple(sorted(counts.items()))
