"""Waiting: the tasks that were sent to a queue and not received yet, by what producers report.

Only where producers send task-sent. Not thread-safe.
"""

from __future__ import annotations

from heapq import heapify, heappop, heappush
from itertools import takewhile

from ..snapshot import UnreceivedTasks

__all__ = ["WaitingTasks"]

_MAX_QUEUES = 1_000  # whoever may write to the broker can make names up
_SLACK = 1_000  # entries of the heap that may be out of date before it is made anew


class _Queue:
    """One queue: when each waiting task was sent, and a heap by which the oldest is found.

    The heap's entries are (since, sent_at, uuid). One whose task does not wait any more is dropped
    when it comes to the top; all of them are when they outnumber the waiting tasks.
    """

    __slots__ = ("heap", "sent_at")

    def __init__(self) -> None:
        self.sent_at: dict[str, float] = {}
        self.heap: list[tuple[float, float, str]] = []

    def add(self, uuid: str, sent_at: float, since: float) -> None:
        self.sent_at[uuid] = sent_at
        self._tidy()
        heappush(self.heap, (since, sent_at, uuid))

    def oldest(self) -> float | None:
        self._tidy()
        while self.heap and not self._waits(self.heap[0]):
            heappop(self.heap)
        return self.heap[0][0] if self.heap else None

    def _tidy(self) -> None:
        if len(self.heap) > 2 * len(self.sent_at) + _SLACK:
            self.heap = [entry for entry in self.heap if self._waits(entry)]
            heapify(self.heap)

    def forget(self, before: float) -> None:
        # From the first that arrived to one that is newer: the lock is held, so no walk over all.
        old = list(takewhile(lambda uuid: self.sent_at[uuid] < before, self.sent_at))
        for uuid in old:
            del self.sent_at[uuid]

    def _waits(self, entry: tuple[float, float, str]) -> bool:
        _, sent_at, uuid = entry
        return self.sent_at.get(uuid) == sent_at


class WaitingTasks:
    """Per queue, how many tasks wait, and since when the oldest does: since sent, or its later eta.

    Nothing is concluded from the order in which tasks are received: queues have priorities. Times
    are the producers' wall clocks, in seconds.
    """

    def __init__(self) -> None:
        self._queues: dict[str, _Queue] = {}

    def add(self, queue: str, uuid: str, *, sent_at: float, eta: float | None) -> None:
        """Note that a task was sent to this queue and waits there."""
        found = self._queues.get(queue) or self._open(queue)
        if found is not None:
            found.add(uuid, sent_at, sent_at if eta is None else max(sent_at, eta))

    def remove(self, queue: str, uuid: str) -> None:
        """Note that the task does not wait there any more."""
        found = self._queues.get(queue)
        if found is not None:
            found.sent_at.pop(uuid, None)

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
            name: UnreceivedTasks(len(queue.sent_at), queue.oldest())
            for name, queue in self._queues.items()
        }

    def _open(self, queue: str) -> _Queue | None:
        """Return a place for the queue; None if there is none, since tasks wait in all others."""
        if len(self._queues) >= _MAX_QUEUES:
            self._queues = {name: kept for name, kept in self._queues.items() if kept.sent_at}
            if len(self._queues) >= _MAX_QUEUES:
                return None
        opened = self._queues[queue] = _Queue()
        return opened
