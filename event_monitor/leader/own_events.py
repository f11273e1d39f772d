"""Own events: what a monitor says to the others, through the exchange of the events."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Protocol

from ..snapshot import Role
from ..text import one_line
from .leader import Leader
from .peers import Peers

__all__ = ["OwnEvents", "Send"]

log = logging.getLogger(__name__)


class Send(Protocol):
    """Sends an event of our own with these fields; raises ``OSError`` if it cannot."""

    def __call__(self, **fields: object) -> None:
        """Return when the broker has it, as far as that can be known."""
        ...


class OwnEvents:
    """Says who we are with each event. Thread-safe; ``say`` and ``announce`` wait for the broker.

    ``monitors`` are those concerned, ``me`` the id of this one, ``who`` what people call it.
    ``is_old_here`` returns whether one runs that asks for no lock. ``lock`` is that of the peers,
    and never held when an event is sent.
    """

    def __init__(
        self,
        send: Send,
        *,
        monitors: str,
        me: str,
        who: str,
        leader: Leader,
        peers: Peers,
        lock: AbstractContextManager[object],
        interval_seconds: Callable[[], float],
        is_old_here: Callable[[], bool],
    ) -> None:
        self.led = ""  # the last cut of a leader, whoever it was
        self._send = send
        self._monitors, self._me, self._who = monitors, me, who
        self._leader = leader
        self._peers = peers
        self._lock = lock
        self._interval_seconds = interval_seconds
        self._is_old_here = is_old_here
        self._is_told = False  # that none can be sent, or comes back

    def say(self, what: str, **fields: object) -> None:
        """Send one; raise ``OSError`` if that fails."""
        self._send(
            monitors=self._monitors,
            sender=self._me,
            who=self._who,
            role=self._leader.role.value,
            what=what,
            old=self._is_old_here(),
            interval=self._interval_seconds(),
            led=self.led,
            **fields,
        )

    def announce(self, what: str, window: str = "", **fields: object) -> bool:
        """Tell the others, if there are any; return False if they cannot be told."""
        with self._lock:
            if not self._peers.may_return():
                return True
        try:
            self.say(what, window=window, **fields)
        except OSError as error:
            log.debug("the other monitors could not be told: %s", error)
            return False
        return True

    def tell_unsent(self, error: OSError) -> None:
        """Log, once, that none can be sent."""
        self._tell(f"cannot be sent: {one_line(error)}")

    def tell_unreturned(self, seconds: float) -> None:
        """Log, once, that one did not come back in that time."""
        self._tell(f"did not come back in {seconds:g} s")

    def _tell(self, problem: str) -> None:
        """Say it once; of interest only where there are others."""
        with self._lock:
            stands_by = self._leader.role is Role.STANDBY
            if self._is_told or not (stands_by or self._peers.are_there()):
                return
            self._is_told = True
        log.warning(
            "an event of our own %s: a second monitor cannot tell where a window ends, and what it "
            "counted since is lost, or counts twice, when it takes over",
            problem,
        )
