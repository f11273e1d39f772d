"""Sent ages: how old the oldest message of a queue is, by task-sent, where the broker agrees.

Redis and RabbitMQ do not tell. The events do only if they tell all: a reader without events, a
priority, a producer without task-sent, a lost event, each makes the number of tasks sent and not
received differ from the number of messages that wait.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Protocol

from ..snapshot import UnreceivedTasks
from ..survey import QueueDepth

__all__ = ["SentAges", "SentTasks"]

_GONE_SECONDS = 60.0  # what was sent so long before its queue was seen empty was received
_MOST_DIFFERENCES = 1  # in a row: an event may be on its way while the broker is asked
_NONE = UnreceivedTasks(0)


class SentTasks(Protocol):
    """``State``, as far as it is used here. Its methods may be called from any thread."""

    def unreceived(self) -> Mapping[str, UnreceivedTasks]:
        """Return the tasks sent and not received, by queue."""
        ...

    def forget_unreceived(self, queue: str, *, before: float) -> None:
        """Take the tasks sent to this queue before that wall-clock time for received."""
        ...


class SentAges:
    """Compares, at each answer of the broker, what it holds with what the events say it should.

    An age is known only while both numbers are the same. If they differ twice in a row the queue
    is not believed, even if they agree by chance, until the broker has shown it empty. Not
    thread-safe.
    """

    def __init__(self, tasks: SentTasks) -> None:
        self._tasks = tasks
        self._differences: dict[str, int] = {}  # queue → in a row; without an entry none

    def complete(
        self,
        depths: tuple[QueueDepth, ...],
        *,
        before: Mapping[str, UnreceivedTasks],
        now: float,
    ) -> tuple[QueueDepth, ...]:
        """Return the depths, with the age of the oldest message where it is known now.

        ``before`` are the unreceived tasks just before the broker was asked; ``now`` is the wall
        clock when it had answered.
        """
        after = self._tasks.unreceived()
        names = {depth.name for depth in depths}
        self._differences = {name: n for name, n in self._differences.items() if name in names}
        return tuple(
            self._completed(
                depth, before.get(depth.name, _NONE), after.get(depth.name, _NONE), now=now
            )
            for depth in depths
        )

    def _completed(
        self, depth: QueueDepth, before: UnreceivedTasks, after: UnreceivedTasks, *, now: float
    ) -> QueueDepth:
        name = depth.name
        if depth.ready is None:
            return depth
        if depth.ready == 0:
            self._differences.pop(name, None)
            if after.since is not None and after.since < now - _GONE_SECONDS:
                self._tasks.forget_unreceived(name, before=now - _GONE_SECONDS)
            return depth
        differences = self._differences.get(name, 0)
        if before == after and after.count == depth.ready:
            if differences > _MOST_DIFFERENCES:
                return depth
            self._differences.pop(name, None)
            if depth.oldest_seconds is None and after.since is not None:
                return replace(depth, oldest_seconds=max(0.0, now - after.since))
            return depth
        self._differences[name] = differences + 1
        return depth
