"""Exemplars: a task beside a number in OpenMetrics: the last that failed so, or that took so long.

They are of tasks of which values are made anyway: of those that failed, and of the sample that a
history takes of those that succeeded.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from typing import NamedTuple, TypeVar

from ..snapshot import UNKNOWN, EndedTask
from .cells import BOUNDS, Cell, HostnameLabel, label_of

__all__ = ["Exemplar", "Exemplars"]

_MOST = 10_000

Key = TypeVar("Key", str, int)  # an exception, or the place of a bucket
_Of = tuple[str, str, str]  # name, queue, hostname


class Exemplar(NamedTuple):
    """A task: what it adds to the number, and when it ended by its worker's clock."""

    task_id: str
    value: float
    at: float


class Exemplars:
    """The last task of each exception, and of each bucket of runtimes; bounded.

    ``on_tasks`` belongs to the receiving thread; the others may be called in any: they copy a
    dictionary, which nothing interrupts.
    """

    def __init__(self, *, default_queue: str, hostname_label: HostnameLabel = "generic") -> None:
        self._default_queue = default_queue
        self._hostname_label = hostname_label
        self._failed: dict[_Of, dict[str, Exemplar]] = {}
        self._ran: dict[_Of, dict[int, Exemplar]] = {}
        self._count = 0

    def on_tasks(self, tasks: Sequence[EndedTask]) -> None:
        """Note tasks that ended, as a ``TaskConsumer``."""
        for task in tasks:
            if task.how == "failed":
                self._note(self._failed, task, task.exception or "", 1.0)
            elif task.how == "succeeded" and task.runtime is not None:
                self._note(self._ran, task, bisect_left(BOUNDS, task.runtime), task.runtime)

    def failed(self, cell: Cell) -> Mapping[str, Exemplar]:
        """Return the last task of this cell that failed, by exception."""
        return self._failed.get((cell.name, cell.queue, cell.hostname), {}).copy()

    def ran(self, cell: Cell) -> Mapping[int, Exemplar]:
        """Return the last task of this cell that succeeded, by the bucket of its runtime."""
        return self._ran.get((cell.name, cell.queue, cell.hostname), {}).copy()

    def _note(
        self, noted: dict[_Of, dict[Key, Exemplar]], task: EndedTask, key: Key, value: float
    ) -> None:
        of = (
            task.name or UNKNOWN,
            task.queue or self._default_queue,
            label_of(task.worker, self._hostname_label),
        )
        found = noted.get(of, {})
        if key not in found:
            if self._count >= _MOST:
                return
            self._count += 1
            found = noted.setdefault(of, {})
        found[key] = Exemplar(task.id, value, task.ended)
