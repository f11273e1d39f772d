"""Peers: the other monitors that would publish the same, as they were last heard of."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

from ..clock import Clock
from ..events import OwnEvent
from ..snapshot import Role
from ..text import printable
from .closed_windows import Absence

__all__ = ["Peer", "Peers"]

log = logging.getLogger(__name__)

_PRESENT_SECONDS = 30.0  # a monitor not heard of for so long, or three intervals, has gone
_RETURN_SECONDS = 3_600.0  # for which one that has gone without a word is told what others are
_LONGEST_INTERVAL_SECONDS = 3_600.0
_MOST_PEERS = 20
_MOST_ABSENCES = 20


@dataclass(frozen=True, slots=True)
class Peer:
    """Another monitor, as it was last heard of."""

    sender: str
    role: str
    who: str
    heard_at: float  # our monotonic clock
    interval: float  # its own, in seconds
    absences: tuple[Absence, ...]  # those of which we know


class Peers:
    """All that were heard of, up to a bound. Not thread-safe."""

    def __init__(self, *, interval_seconds: Callable[[], float], clock: Clock) -> None:
        self._interval_seconds = interval_seconds
        self._clock = clock
        self._peers: dict[str, Peer] = {}  # by the sender of their events
        self._warned: set[str] = set()

    def __bool__(self) -> bool:
        """Whether one was heard of, who may be gone."""
        return bool(self._peers)

    def note(self, event: OwnEvent, *, ours: Role) -> None:
        """Take note of who has sent this event; ``ours`` is our own role."""
        sender = event.sender
        if sender not in self._peers and len(self._peers) >= _MOST_PEERS:
            self._peers.pop(next(iter(self._peers)))
        who = printable(event.who[:200])
        interval = min(event.interval, _LONGEST_INTERVAL_SECONDS)
        now = self._clock.monotonic()
        absences = self.absences(sender)
        if event.what == "join":
            absences = (*absences, (event.through, event.window))[-_MOST_ABSENCES:]
        self._peers[sender] = Peer(sender, event.role, who, now, interval, absences)
        both = {event.role, ours.value}
        is_told = sender in self._warned or len(self._warned) >= _MOST_PEERS
        if "alone" in both and both <= {"alone", "leader"} and not is_told:
            self._warned.add(sender)
            log.warning(
                "another monitor publishes the same as this one, so that everything counts twice: "
                "%s; run one only, or let both have `leader = auto`",
                who,
                extra={"notice": "second-monitor"},
            )

    def absences(self, sender: str) -> tuple[Absence, ...]:
        """Return when this one was away, as far as we know."""
        peer = self._peers.get(sender)
        return () if peer is None else peer.absences

    def leave(self, sender: str) -> Peer | None:
        """Note that one says goodbye; return it, if it was known."""
        return self._peers.pop(sender, None)

    def present(self) -> tuple[Peer, ...]:
        """Return those that are there: each says so at least once an interval of its own."""
        now, ours = self._clock.monotonic(), self._interval_seconds()
        return tuple(
            peer
            for peer in self._peers.values()
            if now - peer.heard_at < max(_PRESENT_SECONDS, 3 * max(ours, peer.interval))
        )

    def are_there(self) -> bool:
        """Return whether any is there that asks who leads."""
        return bool(self.leased())

    def interval_seconds(self) -> float:
        """Return the longest interval of those that are there, our own included."""
        others = [peer.interval for peer in self.present()]
        return max((self._interval_seconds(), *others))

    def leased(self) -> tuple[Peer, ...]:
        """Return those that are there and ask who leads."""
        return tuple(peer for peer in self.present() if peer.role != "alone")

    def that_may_return(self) -> tuple[Peer, ...]:
        """Return these, and those that have gone without a word: they may be stopped only."""
        since, there = self._clock.monotonic() - _RETURN_SECONDS, self.leased()
        gone = (p for p in self._peers.values() if p.role != "alone" and p.heard_at > since)
        return (*there, *(peer for peer in gone if peer not in there))

    def may_return(self) -> bool:
        """Return whether there is any of these."""
        return bool(self.that_may_return())

    def doubles(self, ours: Role) -> tuple[str, ...]:
        """Return those that publish what another publishes as well; ``ours`` is our own role.

        Of two that do, at least one asks nobody whether it may.
        """
        publishing = [peer for peer in self.present() if peer.role in ("alone", "leader")]
        is_one_alone = ours is Role.ALONE or any(peer.role == "alone" for peer in publishing)
        several = len(publishing) + (ours in (Role.ALONE, Role.LEADER)) > 1
        return tuple(peer.who for peer in publishing) if is_one_alone and several else ()
