"""Open window: what is known of the window that is open, and what becomes of it when it ends."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..events import Dead
from ..snapshot import Role

__all__ = ["Label", "OpenWindow"]


@dataclass(frozen=True, slots=True)
class Label:
    """What becomes of a window that was closed.

    ``window`` is its id, by which others know it; empty if nobody else holds it. If it is not
    ``is_kept``, it is for others to publish, or a part of what they have. ``dead`` are those that
    died in it, by the leader's judgement; None if there is none but our own.
    ``puts_off_deaths``: a later window tells.
    """

    window: str = ""
    is_kept: bool = True
    dead: tuple[Dead, ...] | None = field(default=None, compare=False)  # how it is made
    puts_off_deaths: bool = field(default=False, compare=False)


@dataclass(slots=True)
class OpenWindow:
    """A window that has begun."""

    opened_by: str = ""  # the cut at which it began, if it began at one
    led: str = ""  # the last cut of a leader then
    is_shared: bool = False  # others have it as well
    is_inherited: bool = False  # another led when it began
    is_offline: bool = True  # we were away when it began
    is_cut_off: bool = False  # we have been away since
    was_away: bool = False  # for some of it, and another led
    is_another: bool = False  # the leader's began elsewhere
    is_sent: bool = False  # or begun to be, some of it, by a leader whose clock ended its window
    is_part: bool = False  # another led, and may have sent some of it untold

    @classmethod
    def begin(
        cls, cut: str, *, led: str, role: Role, is_connected: bool, are_others_there: bool
    ) -> OpenWindow:
        """Return one that begins now, at that cut, or by the clock if it is empty."""
        stands_by = role is Role.STANDBY
        return cls(
            opened_by=cut,
            led=led,
            is_shared=stands_by or (role is not Role.ALONE and are_others_there),
            is_inherited=stands_by,
            is_offline=not is_connected,
            was_away=stands_by and not is_connected,
        )
