"""Closed windows: which other monitors hold as well, until it is known that one was accepted."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeAlias

from ..events import OwnEvent

__all__ = ["Absence", "ClosedWindows"]

_MOST_REMEMBERED = 10_000  # cuts, windows
_MOST_UNSETTLED = 1_000  # windows of which one event tells


#: The last cut that a monitor saw before it was away, none for a new one, and the event by which it
#: came back.
Absence: TypeAlias = tuple[str, str]


@dataclass(frozen=True, slots=True)
class _Held:
    position: int
    era: int
    is_broken_off: bool
    cut_off_after: str


class ClosedWindows:
    """Windows by their ids, and where they ended. Not thread-safe; bounded.

    ``settle`` forgets the counts of one that somebody else sent.
    """

    def __init__(self, *, settle: Callable[[str], None]) -> None:
        self.last_cut = ""
        self._settle = settle
        self._position = 0  # of the window that was closed last
        self._cuts: dict[str, int] = {}  # id → position of the window that it ended
        self._held: dict[str, _Held] = {}
        self._doubtful: dict[str, None] = {}  # somebody has begun to send these, or may have
        # Of those, the ones that we have a part of; where we were away, the last cut before that.
        self._partial: dict[str, str] = {}
        self._sent_parts: dict[str, str] = {}  # cut → window that we were cut off in after it

    def close(self) -> None:
        """Note that one more window is closed."""
        self._position += 1

    def note_cut(self, cut: str) -> None:
        """Note that the last one was closed by this event."""
        self.last_cut = cut
        _remember(self._cuts, cut, self._position)

    def hold(self, window: str, *, era: int, is_broken_off: bool, cut_off_after: str = "") -> None:
        """Note that others may hold the last one, too.

        ``era`` counts our connections. The end of what ``is_broken_off`` is missing, as we were cut
        off. ``cut_off_after`` is the cut at which one began in which we were.
        """
        _remember(self._held, window, _Held(self._position, era, is_broken_off, cut_off_after))

    def doubt_for_good(self, window: str, *, unless_last: str) -> None:
        """Note that some of it may have been sent, in another window.

        Unless this was the last cut of a leader even for one who heard of all; empty if it does not
        matter.
        """
        self.doubt(window)
        _remember(self._partial, window, unless_last)

    def unsettled(self) -> tuple[str, ...]:
        """Return those of which it is not known that they were accepted, the last ones."""
        return tuple(self._held)[-_MOST_UNSETTLED:]

    def accept(self, window: str) -> None:
        """Note that it was accepted from us."""
        held = self._held.pop(window, None)
        if held is not None and held.cut_off_after:
            _remember(self._sent_parts, held.cut_off_after, window)
        self.end_doubt(window)

    def forget(self, window: str) -> None:
        """Note that it is another's."""
        self.accept(window)
        self._settle(window)

    def cut_off_after(self, window: str) -> str:
        """Return the cut at which it began, if we were cut off in it; else an empty text."""
        held = self._held.get(window)
        return "" if held is None else held.cut_off_after

    def alike(self, window: str, cut_off_after: str) -> tuple[str, ...]:
        """Return this one of another monitor, and ours that broke off as it did."""
        if not cut_off_after:
            return (window,)
        ours = [own for own, held in self._held.items() if held.cut_off_after == cut_off_after]
        return (window, *ours)

    def sent_part(self, last_cut: str) -> str:
        """Return the window that was accepted of those that broke off after this cut, if any."""
        return self._sent_parts.get(last_cut, "")

    def doubt(self, window: str) -> None:
        """Note that it may have been sent."""
        _remember(self._doubtful, window, None)

    def trust(self, window: str) -> None:
        """Note that it was not sent; a part of it may have been all the same."""
        if window not in self._partial:
            self._doubtful.pop(window, None)

    def trust_parts(self, last_cut: str) -> None:
        """Note that for another monitor this was the last cut of a leader."""
        for window, cut in tuple(self._partial.items()):
            if cut and cut == last_cut:
                self.end_doubt(window)

    def end_doubt(self, window: str) -> None:
        """Note that it matters no more."""
        self._doubtful.pop(window, None)
        self._partial.pop(window, None)

    def is_in_doubt(self, window: str) -> bool:
        """Return whether it may have been sent."""
        return window in self._doubtful

    def is_broken_off(self, window: str) -> bool:
        """Return whether its end is missing."""
        held = self._held.get(window)
        return held is not None and held.is_broken_off

    def is_within(self, window: str, absences: Iterable[Absence]) -> bool:
        """Return whether it was closed in one of these absences, as far as we were there.

        Who was cut off in the same window, as all are when the broker restarts, has what we have of
        it, by an id of its own.
        """
        held = self._held.get(window)
        if held is None:
            return False
        for last_cut, join in absences:
            if last_cut and last_cut == held.cut_off_after:
                continue
            first = self._cuts.get(last_cut) if last_cut else 0
            last = self._cuts.get(join)
            if first is not None and last is not None and first < held.position <= last:
                return True
        return False

    def catch_up(self, cut: OwnEvent, *, era: int, absences: Iterable[Absence]) -> None:
        """Forget what was accepted while we did not hear of it.

        What was closed up to ``through`` is accepted, unless it is ``unsettled``, or the sender was
        away. If we did not see that end, we were not connected then.
        """
        through = self._cuts.get(cut.through)
        unsettled = frozenset(cut.unsettled)
        for window, held in tuple(self._held.items()):
            is_older = held.era < era if through is None else held.position <= through
            is_settled = cut.through and is_older and window not in unsettled
            if is_settled and not self.is_within(window, absences):
                self.forget(window)


def _remember(remembered: dict[str, Any], key: str, value: object) -> None:
    """Forget the first where there are too many: anybody who may send events can send these."""
    remembered[key] = value
    if len(remembered) > _MOST_REMEMBERED:
        remembered.pop(next(iter(remembered)))
