"""Waiting: the tasks that were sent to a queue and not received yet, by what producers report.

Only where producers send task-sent. Not thread-safe.
"""

from __future__ import annotations

from collections.abc import Container
from heapq import heapify, heappop, heappush
from itertools import takewhile
from math import inf
from typing import NamedTuple

from ..snapshot import ExpectedTask, ExpectedTasks, UnreceivedTasks

__all__ = ["WaitingTasks"]

_MAX_QUEUES = 1_000  # whoever may write to the broker can make names up
_SLACK = 1_000  # entries of the heap that may be out of date before it is made anew

#: Since when it waits, when it was sent, its uuid, and when we heard of that, on our clock.
_Entry = tuple[float, float, str, float]


class _Queue:
    """One queue: the tasks that wait there, and a heap by which the oldest is found.

    An entry of the heap whose task does not wait any more is dropped when it comes to the top; all
    of them are when they outnumber the waiting tasks. ``suspects`` are those that should wait there
    still, and do not count as waiting.
    """

    __slots__ = ("heap", "suspects", "taken", "waiting")

    def __init__(self) -> None:
        self.waiting: dict[str, _Entry] = {}
        self.suspects: dict[str, _Entry] = {}
        self.heap: list[_Entry] = []
        self.taken = 0  # tasks that came out of it, of names of which all are told

    def add(self, entry: _Entry) -> None:
        self.waiting[entry[2]] = entry
        if self.suspects:
            self.suspects.pop(entry[2], None)
        self._tidy()
        heappush(self.heap, entry)

    def oldest(self) -> float | None:
        self._tidy()
        while self.heap and not self._waits(self.heap[0]):
            heappop(self.heap)
        return self.heap[0][0] if self.heap else None

    def _tidy(self) -> None:
        if len(self.heap) > 2 * len(self.waiting) + _SLACK:
            self.heap = [entry for entry in self.heap if self._waits(entry)]
            heapify(self.heap)

    def forget(self, before: float) -> None:
        # From the first that arrived to one that is newer: the lock is held, so no walk over all.
        old = list(takewhile(lambda entry: entry[1] < before, self.waiting.values()))
        for entry in old:
            del self.waiting[entry[2]]
            if entry[3] < inf:
                self.suspects[entry[2]] = entry

    def drop(self, uuid: str) -> bool:
        return any(place.pop(uuid, None) for place in (self.waiting, self.suspects))

    def _waits(self, entry: _Entry) -> bool:
        return self.waiting.get(entry[2]) is entry


class _Copy(NamedTuple):
    """What a queue held at some moment."""

    taken: int
    entries: list[_Entry]

    def freeze(self) -> ExpectedTasks:
        """Return those that are expected, as values."""
        return ExpectedTasks(
            self.taken,
            tuple(
                ExpectedTask(uuid, heard_at, heard_at + (since - sent_at))
                for since, sent_at, uuid, heard_at in self.entries
                if heard_at < inf
            ),
        )


class WaitingTasks:
    """Per queue, how many tasks wait, and since when the oldest does: since sent, or its later eta.

    Nothing is concluded from the order in which tasks are received: queues have priorities. Times
    are the producers' wall clocks, in seconds, but for ``heard_at``, which is our monotonic clock.

    A task added with ``heard_at`` is expected: it has to come out of the queue. So it is remembered
    though it is forgotten, until it is removed or dropped.
    """

    def __init__(self) -> None:
        self._queues: dict[str, _Queue] = {}

    def add(
        self, queue: str, uuid: str, *, sent_at: float, eta: float | None, heard_at: float = inf
    ) -> None:
        """Note that a task was sent to this queue and waits there."""
        found = self._queues.get(queue) or self._open(queue)
        if found is not None:
            found.add((sent_at if eta is None else max(sent_at, eta), sent_at, uuid, heard_at))

    def add_again(self, queue: str, uuid: str, *, sent_at: float, heard_at: float) -> None:
        """Note that a task should be in this queue again, though not in which way it comes there.

        It does not count as waiting: Redis puts it there when a time has passed.
        """
        found = self._queues.get(queue) or self._open(queue)
        if found is not None and uuid not in found.waiting:
            found.suspects[uuid] = (sent_at, sent_at, uuid, heard_at)

    def remove(self, queue: str, uuid: str) -> None:
        """Note that the task came out of the queue."""
        found = self._queues.get(queue)
        if found is None:
            return
        entry = found.waiting.pop(uuid, None)
        if entry is None and found.suspects:
            entry = found.suspects.pop(uuid, None)
        if entry is not None and entry[3] < inf:
            found.taken += 1

    def note_taken(self, queue: str | None) -> None:
        """Note that a task came out of this queue before we heard that it was sent there."""
        if queue is not None:
            found = self._queues.get(queue) or self._open(queue)
            if found is not None:
                found.taken += 1

    def drop(self, queue: str, uuid: str) -> bool:
        """Forget the task, whatever became of it; return whether it was there."""
        found = self._queues.get(queue)
        return found is not None and found.drop(uuid)

    def clear(self) -> None:
        """Forget every task: what happened to them while nobody listened is unknown."""
        self._queues = {queue: _Queue() for queue in self._queues}

    def forget(self, queue: str, *, before: float) -> None:
        """Forget the tasks sent to this queue before that time: they are not there any more."""
        found = self._queues.get(queue)
        if found is not None:
            found.forget(before)

    def summary(self) -> dict[str, UnreceivedTasks]:
        """Return what waits by queue, for all queues that tasks were sent to lately."""
        return {
            name: UnreceivedTasks(len(queue.waiting), queue.oldest())
            for name, queue in self._queues.items()
        }

    def copy_expected(self, *, without: Container[str]) -> dict[str, _Copy]:
        """Return, by queue, what has to come out of it yet; for queues that lately had any.

        The entries are copied, and no more: the lock is held.
        """
        return {
            name: _Copy(queue.taken, [*queue.suspects.values(), *queue.waiting.values()])
            for name, queue in self._queues.items()
            if name not in without
        }

    def _open(self, queue: str) -> _Queue | None:
        """Return a place for the queue; None if there is none, since tasks wait in all others."""
        if len(self._queues) >= _MAX_QUEUES:
            self._queues = {
                name: kept for name, kept in self._queues.items() if kept.waiting or kept.suspects
            }
            if len(self._queues) >= _MAX_QUEUES:
                return None
        opened = self._queues[queue] = _Queue()
        return opened
