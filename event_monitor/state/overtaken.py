"""Overtaken: the tasks that ended before the task-sent of their last run came. Not thread-safe.

Whoever publishes a task tells of it afterwards, and a worker may be quicker. Told late, the task
would be taken for one that waits, and never be seen to come.
"""

from __future__ import annotations

__all__ = ["Overtaken"]

_MOST = 50_000  # of producers that send no task-sent, while others of the same task do


class Overtaken(dict[int, None]):
    """The last tasks of this kind; a uuid is kept as its hash (64 bits). Mostly it is empty."""

    def add(self, uuid: str) -> None:
        """Note that a task ended whose task-sent is still to come."""
        self[hash(uuid)] = None
        if len(self) > _MOST:
            del self[next(iter(self))]

    def take(self, uuid: str) -> bool:
        """Return whether this task-sent, which has come now, is that of a run that has ended."""
        return self.pop(hash(uuid), self) is None
