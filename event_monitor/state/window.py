"""Window: what is counted from one shot to the next; the shutter swaps it for a new one.

Mutable and not thread-safe: the state's lock protects the open window, and once it is swapped out
it belongs to the snapshot alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from operator import attrgetter
from typing import Any, Literal, Protocol, TypeAlias, TypeVar, get_args

from ..distribution import Distribution, LimitedRecorder, Recorder
from ..snapshot import (
    OTHER,
    AckToken,
    ExceptionCounts,
    TaskCounts,
    VanishedTask,
    Window,
    total,
)

__all__ = [
    "MAX_TYPES",
    "OpenWindow",
    "TaskCounters",
    "totals_by_name",
    "totals_by_pair",
    "totals_by_worker",
]

_MAX_FOLDED = 10_000  # distinct values folded in one window that are counted
MAX_TYPES = 50  # distinct exception classes, and custom event types, told apart in one window


#: What happens to few tasks, as ``TaskCounts`` names it.
Rare: TypeAlias = Literal[
    "cancelled",
    "duplicated",
    "exhausted",
    "expired",
    "recovered",
    "redelivered",
    "rejected",
    "revoked",
    "terminated",
    "vanished",
]

#: Times that are recorded; those that a task was ``held`` count as queue and as prefetch time.
Times: TypeAlias = Literal[
    "failed_runtime", "held", "prefetch_time", "queue_time", "retries", "runtime", "total_time"
]
_TIMES: tuple[Times, ...] = get_args(Times)

_Key = TypeVar("_Key", str, tuple[str, str])


class CountedIn(Protocol):
    """What is counted in a cell, and where: all that counters have to know of theirs."""

    @property
    def name(self) -> str:
        """Return the task name."""
        ...

    @property
    def queue(self) -> str:
        """Return the queue."""
        ...

    @property
    def worker(self) -> str | None:
        """Return the nodename; None if all workers are counted together."""
        ...

    @property
    def limits(self) -> tuple[float, ...]:
        """Return the seconds of which is counted how many queue times are no longer."""
        ...


class TaskCounters:
    """What happened to the tasks of one cell in one window.

    There may be thousands of cells, so recorders are made when there is something to record, and
    what is seldom counted has no place of its own.
    """

    __slots__ = (
        "cell",
        "exceptions",
        "failed",
        "failed_runtime",
        "held",
        "prefetch_time",
        "queue_time",
        "rare",
        "received",
        "retried",
        "retries",
        "runtime",
        "sent",
        "started",
        "succeeded",
        "total_time",
    )

    def __init__(self, cell: CountedIn) -> None:
        self.cell = cell
        self.sent = self.received = self.started = 0
        self.succeeded = self.failed = self.retried = 0
        self.rare: dict[Rare, int] | None = None
        # Class → of those that failed, and that are retried, so many; None: nobody asked.
        self.exceptions: dict[str, list[int]] | None = None
        self.runtime = Recorder()
        self.held: Recorder | None = None  # what counts as queue time and as prefetch time
        self.queue_time: Recorder | None = None
        self.prefetch_time: Recorder | None = None
        self.failed_runtime: Recorder | None = None
        self.total_time: Recorder | None = None
        self.retries: Recorder | None = None

    def copy(self) -> TaskCounters:
        """Return the same counts, and the times that are looked at while these go on."""
        copy = TaskCounters(self.cell)
        for name in _COUNTS:
            setattr(copy, name, getattr(self, name))
        copy.rare = None if self.rare is None else self.rare.copy()
        if self.exceptions is not None:
            copy.exceptions = {class_: list(counts) for class_, counts in self.exceptions.items()}
        copy.runtime = self.runtime.copy()
        copy.held = None if self.held is None else self.held.copy()
        copy.queue_time = None if self.queue_time is None else self.queue_time.copy()
        return copy

    def count(self, what: Rare, tasks: int = 1) -> None:
        """Count tasks to which this happened, which it seldom does."""
        if self.rare is None:
            self.rare = {}
        self.rare[what] = self.rare.get(what, 0) + tasks

    def of(self, times: Times) -> Recorder:
        """Return the recorder of these times, in seconds, or numbers of retries, ≥ 0."""
        recorder: Recorder | None = getattr(self, times)
        if recorder is None:
            limits = self.cell.limits if times in ("held", "queue_time") else ()
            recorder = LimitedRecorder(limits) if limits else Recorder()
            setattr(self, times, recorder)
        return recorder

    def raised(self, class_: str) -> list[int]:
        """Return how many tasks that raised this have failed, and are retried, to be counted on."""
        if self.exceptions is None:
            self.exceptions = {}
        return self.exceptions.setdefault(class_, [0, 0])

    def compact(self) -> None:
        """Count the times that were recorded, of which there may be many."""
        for times in _TIMES:
            recorder: Recorder | None = getattr(self, times)
            if recorder is not None:
                recorder.compact()

    def counts(self) -> TaskCounts:
        """Return the counters as a value, without the times, but for how many were on time."""
        return _counts((self,))

    def on_time(self) -> tuple[tuple[float, int], ...]:
        """Return how many queue times are no longer than each limit."""
        limits = self.cell.limits
        within = [0] * len(limits)
        for recorder in (self.held, self.queue_time):
            if isinstance(recorder, LimitedRecorder):
                within = [a + b for a, b in zip(within, recorder.within(), strict=True)]
        return tuple(zip(limits, within, strict=True))


_COUNTS = tuple(sorted(set(TaskCounters.__slots__) - {*_TIMES, "cell", "exceptions", "rare"}))
_values_of = attrgetter(*_COUNTS)


def merged(parts: Sequence[TaskCounters]) -> TaskCounts:
    """Add up counters, with their times; these cells are counted in no more."""
    return _counts(
        parts,
        runtime=_times(parts, "runtime"),
        queue_time=_times(parts, "held", "queue_time"),
        prefetch_time=_times(parts, "held", "prefetch_time"),
        failed_runtime=_times(parts, "failed_runtime"),
        total_time=_times(parts, "total_time"),
        retries=_times(parts, "retries"),
    )


def _counts(parts: Sequence[TaskCounters], **times: Any) -> TaskCounts:
    """Add up counters to a value with these times: of thousands of cells, once a window."""
    sums = map(sum, zip(*map(_values_of, parts), strict=True))
    fields: dict[str, Any] = dict(zip(_COUNTS, sums, strict=True)) if parts else {}
    on_time: dict[float, int] = {}
    for part in parts:
        for what, count in (part.rare or {}).items():
            fields[what] = fields.get(what, 0) + count
        if part.cell.limits:
            for limit, count in part.on_time():
                on_time[limit] = on_time.get(limit, 0) + count
    return TaskCounts(**fields, **times, on_time=tuple(on_time.items()))


def _times(parts: Sequence[TaskCounters], *names: Times) -> Distribution:
    recorders = [getattr(part, name) for name in names for part in parts]
    return Recorder.merged([one for one in recorders if one is not None])


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
        "names",
        "new_names",
        "opened_at",
        "queues",
        "tasks_forgotten",
        "vanished",
        "workers",
        "workers_refused",
    )

    def __init__(self, opened_at: float) -> None:
        self.opened_at = opened_at  # wall clock, seconds since the epoch
        self.cells: list[TaskCounters] = []  # several may be of one name, queue and worker
        self.names: dict[str, None] = {}  # of these cells, in order
        self.queues: set[str] = set()
        self.workers: set[str | None] = {None}
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
        # Hashes of task names, custom event types, exception classes.
        self.folded: set[int] = set()
        self.new_names: dict[str, None] = {}  # not known when the window opened; in order

    def fold(self, value: str) -> str:
        """Note a name or type for which there is no room; return that under which it counts."""
        if len(self.folded) < _MAX_FOLDED:
            self.folded.add(hash(value))
        return OTHER

    def names_from_workers(self) -> set[str]:
        """Return the names of tasks that a worker has received or started."""
        return {
            counters.cell.name for counters in self.cells if counters.received or counters.started
        }

    def compact(self) -> None:
        """Count the times that were recorded, of which there may be many."""
        self.event_delay.compact()
        for counters in self.cells:
            counters.compact()

    def exceptions(self, *, by_worker: bool = False) -> tuple[ExceptionCounts, ...]:
        """Return how often each class was raised, by name and queue, and perhaps by worker."""
        raised: dict[tuple[str, str, str, str], list[int]] = {}
        for counters in self.cells:
            cell = counters.cell
            for class_, (failed, retried) in (counters.exceptions or {}).items():
                of = cell.name, cell.queue, class_, (by_worker and cell.worker) or ""
                before = raised.setdefault(of, [0, 0])
                before[:] = before[0] + failed, before[1] + retried
        return tuple(
            ExceptionCounts(name, queue, class_, failed, retried, worker or None)
            for (name, queue, class_, worker), (failed, retried) in sorted(raised.items())
        )

    def freeze(
        self,
        closed_at: float,
        known_names: Iterable[str],
        *,
        by_pair: bool = False,
        times_by_pair: bool = False,
        by_host: bool = False,
    ) -> Window:
        """Return the closed window, once; every known name has an entry, zeros included.

        ``by_pair``: whether each name and queue has its counts, ``times_by_pair``: its times, too;
        ``by_host``: whether these are also told apart by worker.
        """
        exceptions = self.exceptions(by_worker=by_host)
        of_hosts = totals_by_worker(self) if by_host else ()
        # Thousands of cells are as large as what is made of them, so each goes when it is merged.
        cells, self.cells = self.cells, []
        by_name: dict[str, list[TaskCounters]] = {name: [] for name in known_names}
        by_queue: dict[str, list[TaskCounters]] = {}
        by_worker: dict[str, list[TaskCounters]] = {}
        pairs: dict[tuple[str, str], list[TaskCounters]] = {}
        for counters in cells:
            cell = counters.cell
            by_name.setdefault(cell.name, []).append(counters)
            by_queue.setdefault(cell.queue, []).append(counters)
            if cell.worker is not None:
                by_worker.setdefault(cell.worker, []).append(counters)
            if by_pair or times_by_pair:
                pairs.setdefault((cell.name, cell.queue), []).append(counters)
        cells.clear()
        queues = tuple((queue, merged(parts)) for queue, parts in _emptying(by_queue))
        workers = tuple((worker, merged(parts)) for worker, parts in _emptying(by_worker))
        of_pairs = tuple(
            (name, queue, merged(parts) if times_by_pair else _counts(parts))
            for (name, queue), parts in _emptying(pairs)
        )
        return Window(
            opened_at=self.opened_at,
            closed_at=closed_at,
            tasks=tuple((name, merged(parts)) for name, parts in _emptying(by_name)),
            by_worker=workers,
            by_queue=queues,
            by_task_and_queue=of_pairs,
            by_task_queue_and_worker=of_hosts,
            exceptions=exceptions,
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


def totals_by_pair(window: OpenWindow) -> tuple[tuple[str, str, TaskCounts], ...]:
    """Add up the counts and times of each name and queue, in the order first seen."""
    by_pair: dict[tuple[str, str], list[TaskCounters]] = {}
    for counters in window.cells:
        by_pair.setdefault((counters.cell.name, counters.cell.queue), []).append(counters)
    return tuple((*pair, merged(parts)) for pair, parts in by_pair.items())


def totals_by_worker(
    window: OpenWindow,
) -> tuple[tuple[str, str, str | None, TaskCounts], ...]:
    """Do the same of each name, queue and worker."""
    by_worker: dict[tuple[str, str, str | None], list[TaskCounters]] = {}
    for counters in window.cells:
        cell = counters.cell
        by_worker.setdefault((cell.name, cell.queue, cell.worker), []).append(counters)
    return tuple((*of, merged(parts)) for of, parts in by_worker.items())


def _emptying(groups: dict[_Key, list[TaskCounters]]) -> Iterator[tuple[_Key, list[TaskCounters]]]:
    """Yield the items, and hold each no longer than it takes to get the next one."""
    for key in tuple(groups):
        yield key, groups.pop(key)


def _pairs(counts: Mapping[str, int]) -> tuple[tuple[str, int], ...]:
    return tuple(sorted(counts.items()))
