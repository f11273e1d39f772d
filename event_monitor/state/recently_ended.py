"""Recently ended: how the last tasks ended, to recognise a repetition and to find a name again.

Bounded, and written a thousand times for each time it is read. So what ended is appended to arrays,
the uuid as its hash (64 bits), and an index is made only when somebody looks for a task.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple, TypeAlias

__all__ = ["Ended", "RecentlyEnded", "shared"]

_PAGE = 10_000  # the endings of one task arrive within seconds of each other
_FORGOTTEN = ""
_MAX_SHARED = 4_096  # of names and endings; beyond it some are kept several times

#: The name of a task, and how it ended, as in ``Ended``.
Ending: TypeAlias = "tuple[str | None, str | None]"
_Appenders: TypeAlias = tuple[Callable[[int], None], Callable[[Ending], None]]


@lru_cache(maxsize=_MAX_SHARED)
def shared(ending: Ending) -> Ending:
    """Return the one of all equal endings that is kept: thousands of tasks share a few."""
    return ending


class Ended(NamedTuple):
    """What is remembered of a task that ended."""

    name: str | None
    how: str | None  # the event's type; None: it was given up, and may end yet
    was_sent: bool  # its task-sent has come: another one is that of a next task with this id


class _Page:
    """Tasks in the order in which they ended."""

    __slots__ = ("appenders", "endings", "hashes", "index", "indexed", "sent")

    def __init__(self) -> None:
        self.hashes = array("q")
        self.endings: list[Ending] = []
        self.index: dict[int, int] = {}  # hash → the place of its last ending
        self.indexed = 0  # how many are in the index
        self.sent = bytearray()  # by place: 1 if its task-sent has come; what is beyond is 0
        # Called with a hash and with an ending, always both.
        self.appenders: _Appenders = self.hashes.append, self.endings.append


class RecentlyEnded:
    """The last ten to twenty thousand tasks that ended, on two pages. Not thread-safe.

    Who is in a hurry may append the hash of a uuid and an ending with the ``appenders``, which does
    as ``note`` does. They change with the page, which ``turn`` and ``note`` may do.
    """

    def __init__(self) -> None:
        self._young, self._old = _Page(), _Page()
        self.appenders = self._young.appenders

    def note(self, uuid: str, name: str | None, how: str | None, *, was_sent: bool = False) -> None:
        """Remember that this task has ended."""
        page = self._young
        if was_sent:
            page.sent.extend(bytes(len(page.endings) - len(page.sent)))
            page.sent.append(1)
        page.hashes.append(hash(uuid))
        page.endings.append(shared((name, how)))
        self.turn()

    def turn(self) -> None:
        """Begin a new page if this one is full. To be called now and then."""
        if len(self._young.endings) >= _PAGE:
            self._young, self._old = _Page(), self._young
            self.appenders = self._young.appenders

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
                name, how = page.endings[found]
                return (
                    None
                    if how == _FORGOTTEN
                    else Ended(name, how, any(page.sent[found : found + 1]))
                )
        return None

    def forget(self, uuid: str) -> None:
        """Forget the task, as if it had never ended."""
        if self.find(uuid) is not None:
            self.note(uuid, None, _FORGOTTEN)
