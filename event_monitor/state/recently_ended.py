"""Recently ended: how the last tasks ended, to recognise a repetition and to find a name again.

Bounded, and written a thousand times for each time it is read. So what ended is appended to arrays,
the uuid as its hash (64 bits), and an index is made only when somebody looks for a task.
"""

from __future__ import annotations

from array import array
from typing import NamedTuple

__all__ = ["Ended", "RecentlyEnded"]

_PAGE = 10_000  # the endings of one task arrive within seconds of each other
_FORGOTTEN = ""


class Ended(NamedTuple):
    """What is remembered of a task that ended."""

    name: str | None
    how: str | None  # the event's type; None: it was given up, and may end yet
    was_sent: bool  # its task-sent has come: another one is that of a next task with this id


class _Page:
    """Tasks in the order in which they ended."""

    __slots__ = ("add", "hashes", "hows", "index", "indexed", "names", "sent")

    def __init__(self) -> None:
        self.hashes = array("q")
        self.names: list[str | None] = []
        self.hows: list[str | None] = []
        self.index: dict[int, int] = {}  # hash → the place of its last ending
        self.indexed = 0  # how many are in the index
        self.sent: set[int] = set()  # places of those whose task-sent has come
        add_hash, add_name, add_how = self.hashes.append, self.names.append, self.hows.append

        def add(uuid: str, name: str | None, how: str | None) -> None:
            add_hash(hash(uuid))
            add_name(name)
            add_how(how)

        self.add = add


class RecentlyEnded:
    """The last ten to twenty thousand tasks that ended, on two pages. Not thread-safe.

    ``add(uuid, name, how)`` remembers that a task has ended, as ``note`` does. It changes with the
    page, which ``turn`` does.
    """

    def __init__(self) -> None:
        self._young, self._old = _Page(), _Page()
        self.add = self._young.add

    def note(self, uuid: str, name: str | None, how: str | None, *, was_sent: bool = False) -> None:
        """Remember that this task has ended."""
        if was_sent:
            self._young.sent.add(len(self._young.names))
        self.add(uuid, name, how)
        self.turn()

    def turn(self) -> None:
        """Begin a new page if this one is full. To be called now and then."""
        if len(self._young.names) >= _PAGE:
            self._young, self._old = _Page(), self._young
            self.add = self._young.add

    def find(self, uuid: str) -> Ended | None:
        """Return how the task ended the last time it did; None if that is not known."""
        number = hash(uuid)
        for page in (self._young, self._old):
            index, hashes = page.index, page.hashes
            for place in range(page.indexed, len(hashes)):
                index[hashes[place]] = place
            page.indexed = len(hashes)
            found = index.get(number)
            if found is not None:
                if page.hows[found] == _FORGOTTEN:
                    return None
                return Ended(page.names[found], page.hows[found], found in page.sent)
        return None

    def forget(self, uuid: str) -> None:
        """Forget the task, as if it had never ended."""
        if self.find(uuid) is not None:
            self.note(uuid, None, _FORGOTTEN)
