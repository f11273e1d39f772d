"""Closed windows: which other monitors hold as well, until it is known that one was accepted."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
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
    opened_by: str
    led: str
    ended_by_leader: bool


class ClosedWindows:
    """Windows by their ids, and where they ended. Not thread-safe; bounded.

    ``settle`` forgets the counts of one that somebody else sent.
    """

    def __init__(self, *, settle: Callable[[str], None]) -> None:
        self.last_cut = ""
        self._settle = settle
        self._position = 0  # of the window that was closed last
        self._came_at = 0  # the same, as we came last
        self._cuts: dict[str, int] = {}  # id → position of the window that it ended
        self._held: dict[str, _Held] = {}
        self._doubtful: dict[str, None] = {}  # somebody has begun to send these, or may have
        # Of those, the ones that we have a part of; where we were away, the last cut before that.
        self._partial: dict[str, str] = {}
        self._cut_off: dict[str, str] = {}  # window in which we were → the cut at which it began
        # The cut at which a window began → that window, accepted, and not ended by a leader's cut.
        self._sent_parts: dict[str, str] = {}

    def close(self) -> None:
        """Note that one more window is closed."""
        self._position += 1

    def come(self) -> None:
        """Note that we have come: cuts that we do not know were before that."""
        self._came_at = self._position

    def note_cut(self, cut: str) -> None:
        """Note that the last one was closed by this event."""
        self.last_cut = cut
        _remember(self._cuts, cut, self._position)

    def hold(
        self,
        window: str,
        *,
        era: int,
        is_broken_off: bool,
        opened_by: str = "",
        led: str = "",
        ended_by_leader: bool = False,
        is_cut_off: bool = False,
    ) -> None:
        """Note that others may hold the last one, too.

        ``era`` counts our connections. The end of what ``is_broken_off`` is missing, as we were cut
        off; some of what ``is_cut_off`` is. ``opened_by`` is the cut at which it began, if it began
        at one, and ``led`` the last one of a leader then; ``ended_by_leader``: it ended at one.
        """
        held = _Held(self._position, era, is_broken_off, opened_by, led, ended_by_leader)
        _remember(self._held, window, held)
        if is_cut_off and opened_by:
            _remember(self._cut_off, window, opened_by)

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

    def parts(self) -> tuple[str, ...]:
        """Return the cuts after which we were cut off, in windows of which that is not known."""
        return tuple(self._cut_off.values())[-_MOST_UNSETTLED:]

    def accept(self, window: str) -> None:
        """Note that it was accepted, from us or from another."""
        held = self._held.get(window)
        if held is not None and held.opened_by and not held.ended_by_leader:
            _remember(self._sent_parts, held.opened_by, window)
        self._drop(window)

    def forget(self, window: str) -> None:
        """Note that it is another's."""
        self._drop(window)
        self._settle(window)

    def _drop(self, window: str) -> None:
        self._held.pop(window, None)
        self._cut_off.pop(window, None)
        self.end_doubt(window)

    def beginning(self, window: str) -> dict[str, str]:
        """Return what others have to know of a window to tell it from theirs: see ``same_as``."""
        held = self._held.get(window)
        return {} if held is None else {"opened": held.opened_by, "through": held.led}

    def same_as(self, window: str, *, opened: str, led: str) -> tuple[str, ...]:
        """Return which of ours are what another monitor calls by this id, or a part of it.

        ``opened`` is the cut at which it began there, ``led`` the last one of a leader then. If all
        were cut off after that, as when the broker restarts, each has what came before by an id of
        its own. If the other then ended one as it came back, it calls the next by the id of ours,
        and that is only what came after.
        """
        is_another = bool(led) and self._cut_off.get(window) == led and opened not in ("", led)
        parts = [own for own, cut in self._cut_off.items() if cut == opened and own != window]
        return (*(() if is_another else (window,)), *parts)

    def is_whole(self, window: str) -> bool:
        """Return whether we have all of it, as it began at a cut and we were there since."""
        held = self._held.get(window)
        return held is not None and bool(held.opened_by) and window not in self._cut_off

    def sent_part(self, last_cut: str) -> str:
        """Return one that began at this cut, and was accepted without a leader's cut at its end."""
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

    def is_held(self, window: str, absences: Iterable[Absence]) -> bool:
        """Return whether a monitor that was away like this has it, or the same part of it as we.

        All are cut off in one window when the broker restarts.
        """
        cut = self._cut_off.get(window, "")
        return not self._is_within(window, (each for each in absences if not cut or each[0] != cut))

    def is_part(self, window: str) -> bool:
        """Return whether we were cut off in it."""
        return window in self._cut_off

    def is_held_whole(self, window: str, absences: Collection[Absence]) -> bool:
        """Return whether a monitor that was away like this has all of it, where we have a part."""
        cut = self._cut_off.get(window, "")
        was_cut_off = any(last_cut == cut for last_cut, _ in absences)
        return not was_cut_off and not self._is_within(window, absences)

    def _is_within(self, window: str, absences: Iterable[Absence]) -> bool:
        """Return whether it was closed in one of these absences, as far as we were there."""
        held = self._held.get(window)
        if held is None:
            return False
        for last_cut, join in absences:
            first = self._cuts.get(last_cut, self._came_at) if last_cut else 0
            last = self._cuts.get(join)
            if last is not None and first < held.position <= last:
                return True
        return False

    def catch_up(self, cut: OwnEvent, *, era: int, absences: Iterable[Absence]) -> None:
        """Forget what was accepted while we did not hear of it.

        What was closed up to ``through`` is accepted, unless it is ``unsettled``, or the sender was
        away, or was cut off as we were and has not sent what it has. If we did not see that end, we
        were not connected then.
        """
        through = self._cuts.get(cut.through)
        unsettled, parts = frozenset(cut.unsettled), frozenset(cut.parts)
        for window, held in tuple(self._held.items()):
            is_older = held.era < era if through is None else held.position <= through
            is_settled = cut.through and is_older and window not in unsettled
            is_part = self._cut_off.get(window) in parts
            if is_settled and not is_part and self.is_held(window, absences):
                self.forget(window)


def _remember(remembered: dict[str, Any], key: str, value: object) -> None:
    """Forget the first where there are too many: anybody who may send events can send these."""
    remembered[key] = value
    if len(remembered) > _MOST_REMEMBERED:
        remembered.pop(next(iter(remembered)))
