"""Waiting: the tasks that were sent to a queue and not received yet, by what producers report.

Only where producers send task-sent. Not thread-safe.
"""

from __future__ import annotations

from collections.abc import Iterator
from heapq import heapify, heappop, heappush

__all__ = ["WaitingTasks"]

_MAX_QUEUES = 1_000
_SLACK = 1_000  # entries of the heap that may be out of date before it is made anew


class _Queue:
    """One queue: when each waiting task was sent, and a heap by which the oldest is found.

    The heap's entries are (since, sent_at, uuid). One whose task does not wait any more is dropped
    when it comes to the top; all of them are when they outnumber the waiting tasks.
    """

    __slots__ = ("heap", "received_up_to", "sent_at")

    def __init__(self) -> None:
        self.sent_at: dict[str, float] = {}
        self.heap: list[tuple[float, float, str]] = []
        self.received_up_to = 0.0  # the latest `sent_at` of a task that was received

    def add(self, uuid: str, sent_at: float, since: float) -> None:
        self.sent_at[uuid] = sent_at
        if len(self.heap) > 2 * len(self.sent_at) + _SLACK:
            self.heap = [entry for entry in self.heap if self._waits(entry)]
            heapify(self.heap)
        heappush(self.heap, (since, sent_at, uuid))

    def oldest(self) -> float | None:
        while self.heap and not self._waits(self.heap[0]):
            heappop(self.heap)
        return self.heap[0][0] if self.heap else None

    def _waits(self, entry: tuple[float, float, str]) -> bool:
        _, sent_at, uuid = entry
        return sent_at > self.received_up_to and self.sent_at.get(uuid) == sent_at


class WaitingTasks:
    """Per queue, since when the oldest task waits: since it was sent, or since its eta if later.

    Queues are first in, first out: what was sent before a task that has been received does not
    wait any more, even if the event of its receipt was lost. Times are wall clock, in seconds.
    """

    def __init__(self) -> None:
        self._queues: dict[str, _Queue] = {}

    def add(self, queue: str, uuid: str, *, sent_at: float, eta: float | None) -> None:
        """Note that a task was sent to this queue and waits there."""
        if queue not in self._queues:
            if len(self._queues) >= _MAX_QUEUES:
                self._queues.clear()
            self._queues[queue] = _Queue()
        self._queues[queue].add(uuid, sent_at, sent_at if eta is None else max(sent_at, eta))

    def remove(self, queue: str, uuid: str) -> None:
        """Note that the task does not wait there any more."""
        found = self._queues.get(queue)
        if found is not None:
            found.sent_at.pop(uuid, None)

    def received(self, queue: str, uuid: str, *, sent_at: float) -> None:
        """Note that a worker has received the task, which was sent to this queue then."""
        found = self._queues.get(queue)
        if found is not None:
            found.sent_at.pop(uuid, None)
            found.received_up_to = max(found.received_up_to, sent_at)

    def oldest(self) -> Iterator[tuple[str, float]]:
        """Yield queue, and since when the oldest task waits in it, for queues where one does."""
        for name, queue in self._queues.items():
            since = queue.oldest()
            if since is not None:
                yield name, since
