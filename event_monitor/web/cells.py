"""Cells: counters that only grow, a set per task name, queue and host, summed up from the windows.

A window holds what came since the one before; Prometheus wants what came since the start. Windows
that are closed are added up; the open one, as a ``Live`` shows it, is added when somebody looks.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Literal

from ..distribution import Distribution
from ..snapshot import OTHER, UNKNOWN, Live, TaskCounts, Window

__all__ = [
    "BOUNDS",
    "COUNTERS",
    "Cell",
    "Cells",
    "HostnameLabel",
    "Room",
    "Shown",
    "ShownTimes",
    "label_of",
]

#: Upper bounds in seconds: celery-exporter's, and longer ones.
BOUNDS = (
    *(0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0),
    *(30.0, 60.0, 120.0, 300.0, 600.0, 1_800.0, 3_600.0),
)
#: The order of a cell's counts. Failures are counted by exception.
COUNTERS = ("sent", "received", "started", "succeeded", "retried", "revoked", "rejected")
_LINES_OF_COUNTS = len(COUNTERS) + 1  # and the failures without an exception
_LINES_OF_TIMES = 2 * (len(BOUNDS) + 3)  # +Inf, count and sum
_MOST_FOLDED = 10_000
_GENERIC = "generic"  # celery-exporter's word for a hostname that nobody needs

#: What stands for a worker: the same for all, its host, or its nodename.
HostnameLabel = Literal["generic", "host", "node"]


@dataclass(frozen=True, slots=True)
class Room:
    """How many lines there may be of counts, and of times; what is beyond counts as `other`."""

    counts: int = 9_600
    times: int = 6_000


@dataclass(frozen=True, slots=True)
class ShownTimes:
    """A histogram as it is shown: how many values each bound is not exceeded by, all of them last.

    It is never less than before, though values that were recorded exactly may be counted by a
    midpoint later, beyond the next bound.
    """

    counts: tuple[int, ...] = (0,) * (len(BOUNDS) + 1)
    sum: float = 0.0


@dataclass(frozen=True, slots=True)
class Shown:
    """What of a cell is shown; no number is ever less than before. ``failed`` is by exception."""

    counts: tuple[int, ...] = (0,) * len(COUNTERS)
    failed: tuple[tuple[str, int], ...] = (("", 0),)
    runtime: ShownTimes = ShownTimes()
    queue_time: ShownTimes = ShownTimes()


class _Times:
    """Values of closed windows, counted by ``BOUNDS``; the last bucket is everything longer."""

    __slots__ = ("buckets", "sum")

    def __init__(self) -> None:
        self.buckets = [0] * (len(BOUNDS) + 1)
        self.sum = 0.0

    def add(self, distribution: Distribution) -> None:
        _count(self.buckets, distribution)
        self.sum += distribution.sum if distribution else 0.0

    def shown(self, opened: Sequence[Distribution], before: ShownTimes) -> ShownTimes:
        """Return all of them, those of the open window included."""
        buckets, total = self.buckets, self.sum
        if opened:
            buckets = list(buckets)
            for distribution in opened:
                _count(buckets, distribution)
                total += distribution.sum
        return ShownTimes(
            tuple(map(max, accumulate(buckets), before.counts)), max(total, before.sum)
        )


def _count(buckets: list[int], distribution: Distribution) -> None:
    for value, count in zip(distribution.values, distribution.counts, strict=True):
        buckets[bisect_left(BOUNDS, value)] += count


def label_of(worker: str | None, kind: HostnameLabel) -> str:
    """Return the hostname under which a worker is shown; what a producer sends has none."""
    if worker is None or kind == "generic":
        return _GENERIC
    return worker.partition("@")[2] or worker if kind == "host" else worker


class Cell:
    """What was counted under one task name, queue and hostname.

    ``born`` is how many series there were before it, and ``exceptions`` has the same for each
    exception. ``timed_in`` is the cell that has its times: itself, or that of `other`.
    """

    __slots__ = (
        "born",
        "counts",
        "exceptions",
        "failed",
        "hostname",
        "lines",
        "name",
        "queue",
        "queue_time",
        "runtime",
        "shown",
        "timed_in",
    )

    def __init__(
        self, name: str, queue: str, hostname: str, *, born: int, timed_in: Cell | None
    ) -> None:
        self.name = name
        self.queue = queue
        self.hostname = hostname
        self.born = born
        self.exceptions: dict[str, int] = {"": born}
        self.lines = _LINES_OF_COUNTS
        self.timed_in = timed_in or self
        self.shown = Shown()
        # of the windows that are closed
        self.counts = [0] * len(COUNTERS)
        self.failed: dict[str, int] = {"": 0}
        self.runtime = _Times()
        self.queue_time = _Times()

    @property
    def has_times(self) -> bool:
        """Return whether its histograms are its own."""
        return self.timed_in is self


@dataclass(frozen=True, slots=True)
class _Counted:
    """What one window has of one name, queue and worker; ``exceptions`` are all its failures."""

    name: str
    queue: str  # or `unknown`
    worker: str | None
    counts: TaskCounts
    exceptions: tuple[tuple[str, int], ...]


class Cells:
    """All cells. For one thread at a time.

    Tasks whose queue nothing tells count under ``default_queue``, as those of celery-exporter do.
    A cell that has a place keeps it, since a series that is gone and comes back would lose counts;
    but for that of a host without a worker any more, as pods come and go.
    ``born`` is how many series there are; ``folded`` are names and queues, and exceptions, that had
    no room, as far as they are told apart.
    """

    def __init__(
        self,
        *,
        default_queue: str,
        room: Room | None = None,
        hostname_label: HostnameLabel = "generic",
    ) -> None:
        self.born = 1  # what has no name or queue was there before
        self.folded: set[tuple[str, str]] = set()
        self._default_queue = default_queue
        self._room = room or Room()
        self._hostname_label = hostname_label
        self._cells: dict[tuple[str, str, str], Cell] = {}  # name, queue, hostname
        self._lines_of_counts = self._lines_of_times = 0
        self._counted_on: set[str] = set()  # hostnames, in the last window that was closed
        self._last: tuple[float, float] | None = None  # when the last window opened and closed

    def add(self, window: Window) -> None:
        """Add a window that is closed."""
        self._counted_on = set()
        for counted in _counted(window):
            cell = self._find(counted)
            self._counted_on.add(cell.hostname)
            counts = counted.counts
            for place, name in enumerate(COUNTERS):
                cell.counts[place] += getattr(counts, name)
            self._add_failures(cell, cell.failed, counted)
            cell.timed_in.runtime.add(counts.runtime)
            cell.timed_in.queue_time.add(counts.queue_time)
        self._last = window.opened_at, window.closed_at

    def look(self, live: Live) -> tuple[tuple[Cell, Shown], ...]:
        """Return the totals of now.

        ``live`` may show a window that was closed and added since; then it is not added twice.
        """
        is_open = self._last is None or live.opened_at != self._last[0]
        opened: dict[Cell, list[_Counted]] = {}
        times: dict[Cell, list[TaskCounts]] = {}
        for counted in _counted(live) if is_open else ():
            cell = self._find(counted)
            opened.setdefault(cell, []).append(counted)
            times.setdefault(cell.timed_in, []).append(counted.counts)
        for cell in self._cells.values():
            cell.shown = self._shown(cell, opened.get(cell, ()), times.get(cell, ()))
        return tuple((cell, cell.shown) for cell in self._cells.values())

    def _shown(self, cell: Cell, opened: Sequence[_Counted], times: Sequence[TaskCounts]) -> Shown:
        before = cell.shown
        counts, failed = list(cell.counts), dict(cell.failed)
        for counted in opened:
            # Without the rejections: one turns into a failure as long as its window is open.
            for place, name in enumerate(COUNTERS[:-1]):
                counts[place] += getattr(counted.counts, name)
            self._add_failures(cell, failed, counted)
        for exception, count in before.failed:
            failed[exception] = max(count, failed.get(exception, 0))
        return Shown(
            counts=tuple(map(max, counts, before.counts)),
            failed=tuple(failed.items()),
            runtime=cell.runtime.shown([c.runtime for c in times if c.runtime], before.runtime),
            queue_time=cell.queue_time.shown(
                [c.queue_time for c in times if c.queue_time], before.queue_time
            ),
        )

    def _add_failures(self, cell: Cell, failed: dict[str, int], counted: _Counted) -> None:
        for exception, count in counted.exceptions:
            if exception not in cell.exceptions:
                if self._lines_of_counts < self._room.counts:
                    self._lines_of_counts += 1
                    cell.lines += 1
                    cell.exceptions[exception] = self._next()
                else:
                    self._fold(cell.name, exception)
                    exception = OTHER
                    cell.exceptions.setdefault(OTHER, self.born)
            failed[exception] = failed.get(exception, 0) + count

    # -- places ------------------------------------------------------------------------------

    def forget_hosts(self, workers: Iterable[str]) -> None:
        """Drop the cells of hosts that have none of these workers, nor any count in a window."""
        if self._hostname_label == "generic":
            return
        hosts = {label_of(worker, self._hostname_label) for worker in workers}
        hosts |= self._counted_on | {_GENERIC}
        for key, cell in tuple(self._cells.items()):
            if cell.hostname not in hosts:
                del self._cells[key]
                self._lines_of_counts -= cell.lines
                self._lines_of_times -= _LINES_OF_TIMES if cell.has_times else 0

    def _find(self, counted: _Counted) -> Cell:
        queue = self._default_queue if counted.queue == UNKNOWN else counted.queue
        key = counted.name, queue, label_of(counted.worker, self._hostname_label)
        return self._cells.get(key) or self._make(*key)

    def _make(self, name: str, queue: str, hostname: str) -> Cell:
        key = name, queue, hostname
        if name == OTHER or self._lines_of_counts + _LINES_OF_COUNTS <= self._room.counts:
            has_room = self._lines_of_times + _LINES_OF_TIMES <= self._room.times
            timed_in = None if name == OTHER or has_room else self._other()
            cell = self._cells[key] = Cell(*key, born=self._next(), timed_in=timed_in)
            self._lines_of_counts += cell.lines
            self._lines_of_times += _LINES_OF_TIMES if cell.has_times else 0
            return cell
        self._fold(name, queue)
        return self._other()

    def _other(self) -> Cell:
        key = OTHER, OTHER, _GENERIC
        return self._cells.get(key) or self._make(*key)

    def _fold(self, name: str, what: str) -> None:
        if len(self.folded) < _MOST_FOLDED:
            self.folded.add((name, what))

    def _next(self) -> int:
        self.born += 1
        return self.born - 1


def _counted(window: Window | Live) -> Iterator[_Counted]:
    """Yield what was counted, by name and queue, and by worker where that is wanted.

    Failures of which no class is known have none.
    """
    raised: dict[tuple[str, str, str | None], list[tuple[str, int]]] = {}
    for of in window.exceptions:
        if of.failed:
            raised.setdefault((of.task, of.queue, of.worker), []).append((of.exception, of.failed))
    for name, queue, worker, counts in window.by_task_queue_and_worker or (
        (name, queue, None, counts) for name, queue, counts in window.by_task_and_queue
    ):
        exceptions = raised.get((name, queue, worker), [])
        others = counts.failed - sum(count for _, count in exceptions)
        yield _Counted(name, queue, worker, counts, (*exceptions, ("", max(0, others))))
