"""Endings: how the last tasks ended, by which a repetition is recognised and a name found again.

Bounded, and written a thousand times for each time it is read: so endings are noted in a row, the
uuid as its hash (64 bits), and only who looks for one makes an index.
"""

from __future__ import annotations

from array import array
from typing import NamedTuple

__all__ = ["Ending", "Endings"]

_PAGE = 10_000  # endings of one task arrive within seconds of each other


class Ending(NamedTuple):
    """What is remembered of a task that ended."""

    name: str | None
    how: str | None  # None: it was given up, by its worker or by us, and may end yet


class _Page:
    """Endings in the order of their arrival."""

    __slots__ = ("_index", "_indexed", "hashes", "hows", "names")

    def __init__(self) -> None:
        self.hashes = array("q")
        self.names: list[str | None] = []
        self.hows: list[str | None] = []
        self._index: dict[int, int] = {}  # hash → its place, of the first `_indexed`
        self._indexed = 0

    def find(self, number: int) -> Ending | None:
        """The last ending of that hash."""
        new, end = self._indexed, len(self.hashes)
        if new < end:
            self._index.update(zip(self.hashes[new:], range(new, end), strict=True))
            self._indexed = end
        place = self._index.get(number)
        return None if place is None else Ending(self.names[place], self.hows[place])


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
        return self._young.find(number) or self._old.find(number)
