"""Known queues: the names that workers and producers lately used, bounded."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from ..survey import only_reader

__all__ = ["KnownQueues"]

_MOST_QUEUES = 10_000  # whoever may write to the broker can make names up


class KnownQueues:
    """Remembers a queue for some time after it was last named. Not thread-safe.

    A queue that nobody reads any more is the one to watch: work may wait in it. Only the queue of
    a single worker goes with its worker, or every pod that ever was would leave one.
    """

    def __init__(self, *, forget_seconds: float) -> None:
        self._forget_seconds = forget_seconds
        self._named_at: dict[str, float] = {}  # on our monotonic clock

    def note(self, names: Iterable[str], *, now: float) -> None:
        """Note that somebody uses these queues."""
        for name in names:
            if name in self._named_at or len(self._named_at) < _MOST_QUEUES:
                self._named_at[name] = now

    def keep(self, names: Iterable[str], *, now: float) -> None:
        """Note that messages wait in these queues; those that nobody has named stay unknown."""
        self._named_at.update({name: now for name in names if name in self._named_at})

    def names(self, *, workers: Collection[str], now: float) -> tuple[str, ...]:
        """Return the queues, the longest known first; ``workers`` are the nodenames of the living.

        Forgets what was not named for too long.
        """
        self._named_at = {
            name: at
            for name, at in self._named_at.items()
            if now - at <= self._forget_seconds and _is_there(name, workers)
        }
        return tuple(self._named_at)


def _is_there(name: str, workers: Collection[str]) -> bool:
    reader = only_reader(name)
    return reader is None or reader in workers
