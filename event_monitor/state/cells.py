"""Cells: where tasks are counted, one cell per task name; with `by_worker`, per name and worker.

A task keeps a reference to its cell, so that its next events find their counters without a look-up.
Not thread-safe; the state's lock protects all of it.
"""

from __future__ import annotations

from sys import intern

from ..snapshot import OTHER, UNKNOWN
from .window import OpenWindow, TaskCounters

__all__ = ["Cell", "Cells"]

_MAX_WORKERS = 5_000  # told apart in one window; the roster's own bound is a setting


class Cell:
    """The counters of one task name; ``counters`` is None until one counts in the open window."""

    __slots__ = ("counters", "name", "worker")

    def __init__(self, name: str, worker: str | None) -> None:
        self.name = name
        self.worker = worker
        self.counters: TaskCounters | None = None


class Cells:
    """All cells, and the known task names: at most ``max_names``, the rest is counted as ``other``.

    A name is known from its first event until nothing was counted under it for ``idle_seconds``.
    """

    def __init__(self, *, max_names: int, idle_seconds: float, by_worker: bool) -> None:
        self._max_names = max_names
        self._idle_seconds = idle_seconds
        self._by_worker = by_worker
        self.names: dict[str, float] = {}  # known name → our clock when last counted
        self._by_sender: dict[str | None, dict[str, Cell]] = {None: {}}
        self._open: list[Cell] = []  # those with counters in the open window

    def of_sender(self, hostname: str | None) -> dict[str, Cell]:
        """Return the cells by name in which this worker's events are counted.

        Without ``by_worker`` all workers share them. A name that is not in there is not known.
        """
        return self._by_sender.setdefault(self._label(hostname), {})

    def find(self, name: str | None, hostname: str | None, window: OpenWindow) -> Cell:
        """Return the cell of a name; beyond the bound of names, that of ``other``."""
        name = name or UNKNOWN
        cells = self.of_sender(hostname)
        cell = cells.get(name)
        if cell is None:
            if not self.knows(name, window) and not self._admit(name, window):
                name = window.fold(name)
            cell = cells.get(name)
        if cell is None:
            name = intern(name)  # thousands of tasks share a few names
            cell = cells[name] = Cell(name, self._label(hostname))
        return cell

    def open(self, cell: Cell, window: OpenWindow) -> TaskCounters:
        """Begin to count in this cell, which has no counters in the open window yet.

        A cell whose name was forgotten meanwhile is taken in again.
        """
        if cell.name != OTHER and not self.knows(cell.name, window):
            self._admit(cell.name, window)
        cell.counters = counters = TaskCounters()
        window.cells.append((cell.name, cell.worker, counters))
        self._open.append(cell)
        return counters

    def knows(self, name: str, window: OpenWindow) -> bool:
        """Return whether tasks of this name are counted under it, not as ``other``."""
        return name in self.names or name in window.new_names

    def close(self, window: OpenWindow, *, now: float) -> None:
        """Take the counters out of the cells: the window is about to be swapped."""
        for cell in self._open:
            cell.counters = None
        self._open = []
        self.names.update(dict.fromkeys(window.names(), now))
        idle = [
            name for name, counted_at in self.names.items() if now - counted_at > self._idle_seconds
        ]
        for name in idle:
            del self.names[name]
            for cells in self._by_sender.values():
                cells.pop(name, None)
        if self._by_worker:  # a worker's cells are made anew when it counts again
            self._by_sender = {None: {}}

    def _admit(self, name: str, window: OpenWindow) -> bool:
        """Return whether there is room for one more name; note it if so."""
        if len(self.names) + len(window.new_names) < self._max_names:
            window.new_names[name] = None
            return True
        return False

    def _label(self, hostname: str | None) -> str | None:
        """Return the worker a cell is of: None for all, ``other`` for those beyond the bound."""
        if not self._by_worker or hostname is None or hostname in self._by_sender:
            return hostname if self._by_worker else None
        return hostname if len(self._by_sender) <= _MAX_WORKERS else OTHER
