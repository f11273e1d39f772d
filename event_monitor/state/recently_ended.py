"""Endings: how the last tasks ended, by which a repetition is recognised and a name found again.

Bounded, and written a thousand times for each time it is read: so endings are noted in a row, the
uuid as its hash (64 bits), and only who looks for one makes an index.
"""

from __future__ import annotations

from array import array
from typing import NamedTuple

__all__ = ["Ending", "Endings"]

_PAGE = 10_000  # endings of one task arrive within seconds of each other
_FORGOTTEN = ""


class Ending(NamedTuple):
    """What is remembered of a task that ended."""

    name: str | None
    how: str | None  # None: it was given up, and may end yet


class _Page:
    """Endings in the order of their arrival."""

    __slots__ = ("hashes", "hows", "index", "indexed", "names")

    def __init__(self) -> None:
        self.hashes = array("q")
        self.names: list[str | None] = []
        self.hows: list[str | None] = []
        self.index: dict[int, int] = {}  # hash → the place of its last ending
        self.indexed = 0  # how many of the endings are in the index


class Endings:
    """The last ten to twenty thousand of them, on two pages. Not thread-safe."""

    def __init__(self) -> None:
        self._young, self._old = _Page(), _Page()

    def note(self, uuid: str, name: str | None, how: str | None) -> None:
        """This task has ended."""
        page = self._young
        page.hashes.append(hash(uuid))
        page.names.append(name)
        page.hows.append(how)
        if len(page.names) >= _PAGE:
            self._young, self._old = _Page(), page

    def find(self, uuid: str) -> Ending | None:
        """How the task ended, the last time it did."""
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
                return Ending(page.names[found], page.hows[found])
        return None

    def forget(self, uuid: str) -> None:
        """Whatever it was, as if the task had never ended."""
        if self.find(uuid) is not None:
            self.note(uuid, None, _FORGOTTEN)
