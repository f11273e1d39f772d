"""Overtaken: the tasks that ended before the task-sent of their last run came. Not thread-safe.

Whoever publishes a task tells of it afterwards, and a worker may be quicker. Told late, the task
would be taken for one that waits, and never be seen to come.
"""

from __future__ import annotations

__all__ = ["Overtaken"]

_MOST = 50_000  # of producers that send no task-sent, while others of the same task do


class Overtaken:
    """The last tasks of this kind; a uuid is kept as its hash (64 bits)."""

    def __init__(self) -> None:
        self._hashes: dict[int, None] = {}  # a set that keeps the order

    def add(self, uuid: str) -> None:
        """Note that a task ended whose task-sent is still to come."""
        self._hashes[hash(uuid)] = None
        if len(self._hashes) > _MOST:
            del self._hashes[next(iter(self._hashes))]

    def take(self, uuid: str) -> bool:
        """Return whether this task-sent, which has come now, is that of a run that has ended."""
        return bool(self._hashes) and self._hashes.pop(hash(uuid), self) is None
