"""Tally: the open window, in which events are counted until the shutter swaps it for a new one.

Mutable and not thread-safe: the state's lock protects the open window, and once it is swapped out
it belongs to the snapshot alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from ..distribution import Recorder
from ..snapshot import OTHER, AckToken, TaskCounts, Window, total

__all__ = ["OpenWindow", "Tally"]

_MAX_WORKERS = 5_000  # told apart in one window; the roster's own bound is a setting


class Tally:
    """The counters of one task name (or worker) in one window."""

    __slots__ = (
        "cancelled",
        "expired",
        "failed",
        "name",
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

    def __init__(self, name: str) -> None:
        self.name = name
        self.sent = self.received = self.started = 0
        self.succeeded = self.failed = self.retried = 0
        self.revoked = self.expired = self.terminated = 0
        self.rejected = self.cancelled = 0
        self.runtime = Recorder()
        self.queue_time = Recorder()
        self.prefetch_time = Recorder()

    def compact(self) -> None:
        """Count the times that were recorded, of which there may be many."""
        self.runtime.compact()
        self.queue_time.compact()
        self.prefetch_time.compact()

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
        "ack_tokens",
        "custom_events",
        "disconnections",
        "event_delay",
        "events_invalid",
        "events_lost",
        "events_received",
        "exceptions",
        "folded_names",
        "invalid_kinds",
        "new_names",
        "opened_at",
        "tallies",
        "tasks_forgotten",
        "workers_refused",
    )

    def __init__(self, opened_at: float) -> None:
        self.opened_at = opened_at  # wall clock, seconds since the epoch
        # worker → task name → tally; all under None unless workers are to be told apart
        self.tallies: dict[str | None, dict[str, Tally]] = {None: {}}
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
        self.workers_refused = 0
        self.folded_names: set[str] = set()
        self.new_names: dict[str, None] = {}  # not known when the window opened; in order

    def tallies_of(self, hostname: str | None) -> dict[str, Tally]:
        """The tallies by task name of one worker, or of none."""
        tallies = self.tallies.get(hostname)
        if tallies is None:
            if len(self.tallies) > _MAX_WORKERS:
                hostname = OTHER
            tallies = self.tallies.setdefault(hostname, {})
        return tallies

    def names(self) -> Iterator[str]:
        """Every name counted, in the order first seen; some more than once."""
        yield from self.new_names
        for tallies in self.tallies.values():
            yield from tallies

    def compact(self) -> None:
        """Count the times that were recorded, of which there may be many."""
        self.event_delay.compact()
        for tallies in self.tallies.values():
            for tally in tallies.values():
                tally.compact()

    def freeze(self, closed_at: float, known_names: Iterable[str]) -> Window:
        """The closed window; every known name has an entry, zeros included."""
        parts: dict[str, list[TaskCounts]] = {name: [] for name in known_names}
        by_worker: list[tuple[str, TaskCounts]] = []
        for hostname, tallies in self.tallies.items():
            counts = {name: tally.freeze() for name, tally in tallies.items()}
            for name, one in counts.items():
                parts.setdefault(name, []).append(one)
            if hostname is not None:
                by_worker.append((hostname, total(counts.values())))
        return Window(
            opened_at=self.opened_at,
            closed_at=closed_at,
            tasks=tuple((name, total(counts)) for name, counts in parts.items()),
            by_worker=tuple(by_worker),
            exceptions=_pairs(self.exceptions),
            custom_events=_pairs(self.custom_events),
            event_delay=self.event_delay.freeze(),
            events_received=self.events_received,
            events_invalid=self.events_invalid,
            tasks_forgotten=self.tasks_forgotten,
            names_folded=len(self.folded_names) + self.workers_refused,
            disconnections=self.disconnections,
            events_lost=_pairs(self.events_lost),
        )


def _pairs(counts: Mapping[str, int]) -> tuple[tuple[str, int], ...]:
    return tuple(sorted(counts.items()))
