"""Only: which tasks, queues and workers belong to the service that a monitor is limited to."""

from __future__ import annotations

from collections.abc import Collection
from typing import TypeAlias

from .globs import matches

__all__ = ["Only", "Whence"]

_UNKNOWN = "unknown"  # as ``snapshot.UNKNOWN``, which may not be imported here
_MOST_REMEMBERED = 10_000  # names; whoever may write to the broker can make them up

#: What is known of where a task came from: its queue, those of which it is one, or nothing.
Whence: TypeAlias = "str | tuple[str, ...] | None"


class _Names:
    """Names that match some globs, each decided once; all do if there are no globs."""

    def __init__(self, globs: tuple[str, ...]) -> None:
        self._globs = globs
        self._decided: dict[str, bool] = {}

    def __contains__(self, name: str) -> bool:
        if not self._globs:
            return True
        is_in = self._decided.get(name)
        if is_in is None:
            if len(self._decided) >= _MOST_REMEMBERED:
                self._decided.clear()
            is_in = self._decided[name] = matches(name, self._globs)
        return is_in


class Only:
    """The globs of one service; where there are none, all belong to it. Any thread may ask.

    What is not known is called ``unknown``, and belongs where a glob matches that.
    """

    def __init__(
        self,
        *,
        tasks: tuple[str, ...] = (),
        queues: tuple[str, ...] = (),
        workers: tuple[str, ...] = (),
    ) -> None:
        self.limits_queues = bool(queues)
        self.limits_workers = bool(workers)
        self._is_limited = bool(tasks or queues or workers)
        self._tasks, self._queues, self._workers = _Names(tasks), _Names(queues), _Names(workers)

    def __bool__(self) -> bool:
        return self._is_limited

    def has_task(self, name: str | None) -> bool:
        """Return whether tasks of this name belong, by their name."""
        return (name or _UNKNOWN) in self._tasks

    def has_queue(self, name: str | None) -> bool:
        """Return whether the queue belongs."""
        return (name or _UNKNOWN) in self._queues

    def has_node(self, hostname: str) -> bool:
        """Return whether the worker of this nodename belongs, by its name alone."""
        return hostname in self._workers

    def has_worker(self, hostname: str, reads: Collection[str] | None) -> bool:
        """Return whether a worker belongs that ``reads`` these queues; None: it never said.

        Of one that never said it is not known, and it is left out: one worker too few raises an
        alarm, and one too many would hide that one is missing.
        """
        return hostname in self._workers and (
            not self.limits_queues or any(queue in self._queues for queue in reads or ())
        )

    def has_whence(self, whence: Whence) -> bool:
        """Return whether a task from there belongs, by its queue."""
        if not self.limits_queues:
            return True
        if isinstance(whence, tuple):
            found = {queue in self._queues for queue in whence}
            if len(found) == 1:  # whichever it came from
                return found.pop()
            whence = None
        return self.has_queue(whence)
