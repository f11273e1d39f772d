"""Cells: where tasks are counted: one cell per task name and queue; with `by_worker`, per worker.

A task keeps a reference to its cell, so that its next events find their counters without a look-up.
Not thread-safe; the state's lock protects all of it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Container, Mapping
from sys import intern
from typing import TypeAlias

from ..settings import Whence
from ..settings.objectives import Objective
from ..snapshot import OTHER, UNKNOWN
from .recently_ended import shared
from .window import OpenWindow, TaskCounters

__all__ = ["Cell", "Cells", "Route"]

_MAX_WORKERS = 5_000  # told apart in one window; the roster's own bound is a setting
_MAX_QUEUES = 1_000  # told apart; whoever may write to the broker can make names up
_MAX_PAIRS = 20_000  # of task name and queue; a producer may send any task to any queue

#: Returns the queue to which the app sends tasks of a name; None if that is not known.
Route: TypeAlias = Callable[[str], "str | None"]

_NO_CELLS: Mapping[str, Cell] = {}
_NO_PLACES: Mapping[Whence, Mapping[str, Cell]] = {}


class Cell:
    """The counters of one name and queue; ``counters`` is None until one counts in the window."""

    __slots__ = ("counters", "limits", "name", "queue", "succeeded", "worker")

    def __init__(
        self, name: str, queue: str, worker: str | None, limits: tuple[float, ...] = ()
    ) -> None:
        self.limits = limits  # of queue times, see ``CountedIn``
        self.name = name
        self.queue = queue
        self.worker = worker
        self.succeeded = shared((name, "task-succeeded"))  # what is remembered of each that did
        self.counters: TaskCounters | None = None


class Cells:
    """All cells, and the known task names: at most ``max_names``, the rest is counted as ``other``.

    A name is known from its first event until nothing was counted under it for ``idle_seconds``,
    and so is a queue. The queue of a task is the one that it was sent to, else the only one that
    its worker reads, else the one that ``route`` returns, if its worker reads that; else
    ``unknown``.
    """

    def __init__(
        self,
        *,
        max_names: int,
        idle_seconds: float,
        by_worker: bool,
        route: Route | None = None,
        objectives: tuple[Objective, ...] = (),
    ) -> None:
        self._objectives = objectives
        self._max_names = max_names
        self._idle_seconds = idle_seconds
        self._by_worker = by_worker
        self._route = route or (lambda _name: None)
        self._reads: dict[str, Whence] = {}  # nodename → the queues it reads
        self._readers: dict[str, list[str]] = {}  # the same the other way round
        self.names: dict[str, float] = {}  # known name → our clock when last counted
        self._queues: dict[str, float] = {}  # the same of queues
        self._closed_at = 0.0  # our clock at the last shot
        self._pairs: dict[str, set[str]] = {}  # queue → the names of all its cells
        # Worker, None if all are counted together → what is known of the queue → name → cell.
        self._places: dict[str | None, dict[Whence, dict[str, Cell]]] = {None: {}}
        self._open: list[Cell] = []  # those with counters in the open window

    def note_readers(self, reads: Mapping[str, tuple[str, ...]], *, known: Container[str]) -> None:
        """Note which queues these workers read, by nodename, and forget those not ``known``."""
        for hostname, queues in reads.items():
            self._reads[hostname] = queues[0] if len(queues) == 1 else queues
        self._reads = {name: queues for name, queues in self._reads.items() if name in known}
        self._readers = {}
        for hostname, queues_read in self._reads.items():
            for queue in (queues_read,) if isinstance(queues_read, str) else queues_read or ():
                self._readers.setdefault(queue, []).append(hostname)
        # With `worker_direct` no two workers read the same, and they come and go.
        readable = set(self._reads.values())
        for places in self._places.values():
            for queues in [one for one in places if isinstance(one, tuple) and one not in readable]:
                del places[queues]

    def note_reader(self, hostname: str, queues: tuple[str, ...], *, known: Container[str]) -> bool:
        """Note which queues this worker reads; return whether that is new."""
        if self._reads.get(hostname) == (queues[0] if len(queues) == 1 else queues):
            return False
        self.note_readers({hostname: queues}, known=known)
        return True

    def of_sender(self, hostname: str | None) -> dict[str, Cell]:
        """Return the cells by name in which this worker's events are counted.

        Without ``by_worker`` all that read the same queues share them. A name that is not in there
        is not known.
        """
        return self._at(hostname, self._reads.get(hostname or ""))

    def find(
        self, name: str | None, hostname: str | None, window: OpenWindow, queue: str | None = None
    ) -> Cell:
        """Return the cell of a name, and of the queue if it is known where the task was sent to.

        Beyond the bounds it is that of ``other``.
        """
        name = name or UNKNOWN
        if queue is None:
            cell = self.of_sender(hostname).get(name)
        else:  # no place is made for a queue yet: it may be one beyond the bounds
            label = self._label(hostname) if self._by_worker else None
            cell = self._places.get(label, _NO_PLACES).get(queue, _NO_CELLS).get(name)
        return cell or self._make(name, hostname, window, queue)

    def whence(self, name: str, hostname: str | None) -> Whence:
        """Return what is known of the queue from which the worker gets such tasks."""
        known = self._reads.get(hostname or "")
        if isinstance(known, str):
            return known
        queue = self._routed(name, known)
        return known if queue == UNKNOWN else queue

    def has_answered(self, hostname: str) -> bool:
        """Return whether this worker has said which queues it reads."""
        return hostname in self._reads

    def readers_of(self, queue: str) -> Collection[str]:
        """Return the nodenames of the workers that read this queue, as far as they said so."""
        return self._readers.get(queue, ())

    def is_at(self, cell: Cell, queue: str | None) -> bool:
        """Return whether this stays the cell of a task that goes to another worker."""
        return cell.queue == queue and not self._by_worker

    def open(self, cell: Cell, window: OpenWindow) -> TaskCounters:
        """Begin to count in this cell, which has no counters in the open window yet.

        A cell whose name was forgotten meanwhile is taken in again.
        """
        if cell.name != OTHER and not self.knows(cell.name, window):
            self._admit(cell.name, window)
        cell.counters = counters = TaskCounters(cell)
        window.cells.append(counters)
        window.names[cell.name] = None
        window.queues.add(cell.queue)
        window.workers.add(cell.worker)
        self._open.append(cell)
        return counters

    def knows(self, name: str, window: OpenWindow) -> bool:
        """Return whether tasks of this name are counted under it, not as ``other``."""
        return name in self.names or name in window.new_names

    def close(self, window: OpenWindow, *, now: float) -> None:
        """Take the counters out of the cells: the window is about to be swapped."""
        self._closed_at = now
        for cell in self._open:
            cell.counters = None
        self._open = []
        self.names.update(dict.fromkeys((*window.new_names, *window.names), now))
        self._queues.update(dict.fromkeys(window.queues, now))
        for worker in self._places.keys() - window.workers:  # their cells are made anew
            del self._places[worker]
        if self._forget_idle(self.names, now) | self._forget_idle(self._queues, now):
            self._drop_forgotten()

    def _forget_idle(self, counted_at: dict[str, float], now: float) -> bool:
        idle = [label for label, at in counted_at.items() if now - at > self._idle_seconds]
        for label in idle:
            del counted_at[label]
        return bool(idle)

    def _drop_forgotten(self) -> None:
        """Drop the cells whose name or queue is not known any more."""
        self._pairs.clear()
        for places in self._places.values():
            for known, cells in tuple(places.items()):
                kept = places[known] = {
                    name: cell
                    for name, cell in cells.items()
                    if cell.name in self.names and cell.queue in self._queues
                }
                for cell in kept.values():
                    self._pairs.setdefault(cell.queue, set()).add(cell.name)
                if not kept:
                    del places[known]

    def _at(self, hostname: str | None, known: Whence) -> dict[str, Cell]:
        label = self._label(hostname) if self._by_worker else None
        places = self._places.get(label)
        if places is None:
            places = self._places[label] = {}
        cells = places.get(known)
        if cells is None:
            cells = places[known] = {}
        return cells

    def _make(self, name: str, hostname: str | None, window: OpenWindow, queue: str | None) -> Cell:
        """Make the cell of a name that is not at its place, or find that of ``other``."""
        if not self.knows(name, window) and not self._admit(name, window):
            name = window.fold(name)
        known = self._reads.get(hostname or "") if queue is None else queue
        found = known if isinstance(known, str) else self._routed(name, known)
        label = self._fold_queue(name, found, window)
        if label != found:
            known = label
        cells = self._at(hostname, known)
        cell = cells.get(name)
        if cell is None:
            name = intern(name)  # thousands of tasks share a few names
            worker = self._label(hostname) if self._by_worker else None
            cell = cells[name] = Cell(name, intern(label), worker, self._limits(name, label))
            self._pairs.setdefault(cell.queue, set()).add(name)
        return cell

    def _limits(self, name: str, queue: str) -> tuple[float, ...]:
        """Return in how many seconds such tasks shall start, and infinity, by which all count."""
        seconds = {
            objective.start_seconds
            for objective in self._objectives
            if objective.start_seconds is not None and objective.covers(name, queue)
        }
        return (*sorted(seconds), math.inf) if seconds else ()

    def _routed(self, name: str, queues: tuple[str, ...] | None) -> str:
        """Return the queue that the app sends such tasks to, if it can be the one."""
        queue = self._route(name)
        return UNKNOWN if queue is None or (queues and queue not in queues) else queue

    def _fold_queue(self, name: str, queue: str, window: OpenWindow) -> str:
        """Return the queue, or ``other`` beyond the bounds."""
        pairs = sum(map(len, self._pairs.values()))
        has_room = len(self._queues) < _MAX_QUEUES and pairs < _MAX_PAIRS
        if name in self._pairs.get(queue, ()) or queue == UNKNOWN or has_room:
            self._queues.setdefault(queue, self._closed_at)
            return queue
        return window.fold(queue)

    def _admit(self, name: str, window: OpenWindow) -> bool:
        """Return whether there is room for one more name; note it if so."""
        if len(self.names) + len(window.new_names) < self._max_names:
            window.new_names[name] = None
            return True
        return False

    def _label(self, hostname: str | None) -> str | None:
        """Return the worker a cell is of: ``other`` for those beyond the bound."""
        if hostname is None or hostname in self._places:
            return hostname
        return hostname if len(self._places) <= _MAX_WORKERS else OTHER
