"""Outstanding: when a round of questions to the workers is over. Pure."""

from __future__ import annotations

from collections.abc import Collection

__all__ = ["Outstanding"]

_MOST_WORKERS = 5_000  # whose replies are taken in one round; a bound against made-up names


class Outstanding:
    """Which replies of a round have not come yet, of the workers known so far.

    Not thread-safe. ``destination`` are the workers that were asked, if not all were; ``expected``
    those of whom more is known than that.
    """

    def __init__(
        self,
        commands: Collection[str],
        *,
        destination: Collection[str],
        expected: Collection[str],
    ) -> None:
        self._commands = commands
        self._only_some_are_asked = bool(destination)
        self._workers = {*destination, *expected}
        self._someone_is_awaited = bool(self._workers)
        self._outstanding = {(worker, command) for worker in self._workers for command in commands}
        self.unreadable = 0  # replies that came and were not read

    @property
    def are_outstanding(self) -> bool:
        """Return whether a known worker has still to reply to a command."""
        return bool(self._outstanding)

    @property
    def are_complete(self) -> bool:
        """Return whether the workers that were awaited, and all others known, have replied."""
        unread = self.unreadable if self._only_some_are_asked else 0
        return self._someone_is_awaited and len(self._outstanding) <= unread

    def accept(self, hostname: str, command: str) -> bool:
        """Take note of a reply; return False if it is from one worker too many."""
        if hostname not in self._workers:
            if len(self._workers) >= _MOST_WORKERS:
                return False
            self._workers.add(hostname)
            self._outstanding.update((hostname, command) for command in self._commands)
        self._outstanding.discard((hostname, command))
        return True
