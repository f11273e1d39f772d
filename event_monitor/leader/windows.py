"""Windows: where each ends for all monitors that would publish the same, and who sends it.

Whoever publishes to several subscribers of one broker is received by all of them in one order. So
the leader sends an event of our own where a window is to end, and every monitor ends it there; a
standby then holds the same windows as the leader. Who died in it the event says, too: silence is
judged by each one's own clock. The leader says when it begins to send one, and when that was
accepted; what was not, the next leader sends.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol
from uuid import uuid4

from ..clock import SYSTEM_CLOCK, Clock
from ..events import Dead, OwnEvent
from ..snapshot import Role
from ..text import one_line
from .leader import Leader
from .peers import Peer, Peers

__all__ = ["Label", "Windows"]

log = logging.getLogger(__name__)

_LATE_SECONDS = 5.0  # how long a new leader waits to hear whether the last window was accepted
_RETURN_SECONDS = 2.0  # within which an event of our own comes back
_LEAVE_SECONDS = 3.0  # how long a graceful shutdown waits for that
_RETRY_SECONDS = 5.0
_PAST_SECONDS = 5.0  # in which who died before is told so often at most:
_PAST_TIMES = 5  # anybody may say that it has come
_WITHOUT_CUT_SECONDS = 30.0  # after so long, or two intervals, a standby waits for a cut no more
_MOST_REMEMBERED = 10_000  # cuts, windows
_MOST_UNSETTLED = 1_000  # windows of which one event tells
_MOST_DEAD = 1_000  # of which one event tells; of more, each monitor judges for itself

BoundaryAction = Literal["clock", "marker", "wait"]


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


class Send(Protocol):
    """Sends an event of our own with these fields; raises ``OSError`` if it cannot."""

    def __call__(self, **fields: object) -> None: ...


class FindDead(Protocol):
    """Returns who died since the last window; ``with_past``: and before."""

    def __call__(self, *, with_past: bool) -> tuple[Dead, ...]: ...


class Windows:
    """Ends the windows of several monitors at the same places. Thread-safe.

    ``monitors`` are those concerned, ``me`` the id of this one, ``who`` what people call it.
    ``settle`` forgets a window that somebody else sent; ``find_dead`` returns who died since the
    last window, and leaves it to us from then on to say so. ``past_deaths`` returns who died in
    earlier ones, and ``note_past_deaths`` gets those that others know of. ``is_old_here``
    returns whether one runs that asks for no lock.

    ``on_connection``, ``on_own`` and ``may_leave`` belong to the receiving thread and wait for
    nothing; ``turn`` is called wherever a window is swapped, and takes no other lock.
    ``at_boundary`` belongs to the camera's thread, ``admit``, ``begin`` and ``end`` to the
    publisher's, ``on_role`` and ``speak`` to the leader's: they may wait for the broker.
    """

    def __init__(
        self,
        leader: Leader,
        *,
        monitors: str,
        me: str,
        who: str,
        send: Send,
        settle: Callable[[str], None],
        find_dead: FindDead = lambda *, with_past: (),  # noqa: ARG005
        past_deaths: Callable[[], tuple[Dead, ...]] = tuple,
        note_past_deaths: Callable[[Sequence[Dead]], None] = lambda _dead: None,
        interval_seconds: Callable[[], float],
        is_old_here: Callable[[], bool] = lambda: False,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._leader = leader
        self._monitors, self._me, self._who = monitors, me, who
        self._send = send
        self._settle = settle
        self._find_dead = find_dead
        self._past_deaths = past_deaths
        self._note_past_deaths = note_past_deaths
        self._interval_seconds = interval_seconds
        self._is_old_here = is_old_here
        self._clock = clock
        self._lock = threading.Lock()
        self._peers = Peers(interval_seconds=interval_seconds, clock=clock)
        # The connection.
        self._is_connected = self._has_connected = False
        self._away_since: float | None = None  # until we have given way to who can hear
        self._era = 0  # how often we connected
        self._join = ""  # the id of the event by which we say that we are there
        self._has_joined = False  # it came back, once
        self._before = ""  # the id of the window before that
        self._needs_join = self._needs_here = False
        self._needs_past = False  # another has joined, who may not know who died
        self._past_told_at: deque[float] = deque(maxlen=_PAST_TIMES)
        self._retry_at = 0.0
        self._is_told = False  # that no event of our own can be sent, or comes back
        # The open window.
        self._is_shared = False
        self._is_offline = True
        self._opened_by = ""  # the cut at which it began, if it began at one
        self._is_another = False  # the leader's began elsewhere
        self._is_part = False  # we were away for some of it, and another led
        # The closed ones.
        self._position = 0
        self._cut_at = clock.monotonic()  # when a window last ended in the stream
        self._last_cut = ""
        self._cuts: dict[str, int] = {}  # id → position
        self._held: dict[str, tuple[int, int]] = {}  # id of an unsettled window → position, era
        self._tells_past = True  # who is there may not know who died before
        self._dead: dict[str, tuple[Dead, ...] | None] = {}  # cut → who died before it
        self._doubtful: dict[str, None] = {}  # another has begun to send these
        self._broken_off: dict[str, None] = {}  # the end of these is missing: we were cut off
        self._marker = ""  # that has to come back
        self._last_marker = ""  # of this process
        self._leave_by: float | None = None
        self._is_over = False  # what comes now is for others
        # The leadership.
        self._leader_left = False  # gracefully
        self._free_at = self._late_until = 0.0

    # -- the receiving thread ------------------------------------------------------------------

    def on_connection(self, connected: bool) -> bool:
        """Note that the broker is there, or not; return whether the window has to end here.

        What came while we were not connected is missing: a standby has it, perhaps. If the lease
        is ours all the while, only we are away, and it leads at once.
        """
        with self._lock:
            if not connected:
                if self._is_connected:
                    self._away_since = self._clock.monotonic()
                    self._is_part = self._is_part or self._leader.role is Role.STANDBY
                    self._leader.hurry()
                self._is_connected = False
                return False
            self._is_connected, self._away_since = True, None
            is_back, self._has_connected = self._has_connected, True
            self._era += 1
            self._needs_join, self._retry_at = True, 0.0
            role = self._leader.role
            if is_back and role is Role.LEADER and self._peers.are_there():
                self._leader.give_way()
            self._leader.hurry()
            # Another may have led meanwhile, of whom we have not heard.
            return is_back and role is Role.LEADER and not self._leader.leads()

    def on_own(self, event: OwnEvent) -> bool:
        """Take note of an event of our own or another monitor's; return whether a window ends here.

        ``turn`` is to be called with the event's ``window`` then.
        """
        if event.monitors != self._monitors or not event.sender:
            return False
        if event.what == "here" and event.dead and self._is_told_of_past(event):
            self._note_past_deaths(event.dead[:_MOST_DEAD])  # takes the state's lock
        with self._lock:
            if event.what == "cut" and event.window:
                # Anybody who may send events can send these.
                self._dead[event.window] = event.dead and event.dead[:_MOST_DEAD]
                _bound(self._dead)
            if event.sender == self._me:
                return self._on_mine(event)
            if event.what == "ask":
                self._answer()
                return False
            self._note_peer(event)
            if event.what == "sending":
                self._doubtful[event.window] = None
                _bound(self._doubtful)
            elif event.what == "unsent":
                self._doubtful.pop(event.window, None)
            elif event.what == "accepted":
                self._forget(event.window)
            elif event.what == "join":
                self._needs_here = self._tells_past = self._needs_past = True
                self._leader.hurry()
                return event.role != "alone" and self._is_cut()
            elif event.what == "cut":
                self._leader_left = False
                if self._leader.role is Role.STANDBY:
                    self._is_another = not event.opened or event.opened != self._opened_by
                    self._catch_up(event)
                return self._is_cut()
        return False

    def may_leave(self) -> bool:
        """Return whether the last window has ended in the stream, or need not; ask again if not."""
        now = self._clock.monotonic()
        with self._lock:
            if self._leave_by is None:
                self._leave_by = now + _LEAVE_SECONDS
                if self._leader.leads() and self._peers.are_there() and self._is_connected:
                    self._last_marker = self._new_id()
                    self._in_background(self._mark, self._last_marker)
            return not self._last_marker or self._is_over or now >= self._leave_by

    # -- wherever a window is swapped ----------------------------------------------------------

    def turn(self, cut: str = "") -> Label:
        """Note that a window ends and another begins; return what becomes of the first.

        ``cut`` is the id of the event of our own that ends it; empty if the clock did.
        """
        with self._lock:
            role = self._leader.role
            self._position += 1
            is_kept, window = not self._is_over, ""
            is_first_join = bool(cut) and cut == self._join and not self._has_joined
            if is_first_join and role is Role.STANDBY:
                window = self._before = cut  # the leader has that, if there is one
            elif role is Role.STANDBY and (not (cut and self._has_joined) or self._is_another):
                is_kept = False  # the leader has published some of it
            elif self._is_shared and self._is_offline and not self._is_connected:
                pass  # nothing has come: nobody counts it twice, and somebody has to say so
            elif self._is_shared:
                window = cut or self._new_id()
                if not cut and not self._is_connected:
                    self._broken_off[window] = None
                    _bound(self._broken_off)
                if self._is_part:
                    self._doubtful[window] = None
                    _bound(self._doubtful)
            if cut:
                self._cut_at, self._last_cut = self._clock.monotonic(), cut
                self._cuts[cut] = self._position
                _bound(self._cuts)
                self._has_joined = self._has_joined or cut == self._join
                self._is_over = self._is_over or cut == self._last_marker
                if cut == self._marker:
                    self._marker = ""
            window = window if is_kept else ""
            if window:
                self._held[window] = self._position, self._era
                _bound(self._held)
            self._is_shared = role is not Role.ALONE and (
                role is Role.STANDBY or self._peers.are_there()
            )
            self._is_offline = not self._is_connected
            self._opened_by, self._is_another = cut, False
            self._is_part = role is Role.STANDBY and not self._is_connected
            is_told = cut in self._dead
            self._tells_past = self._tells_past or not cut  # others could not know
            return Label(
                window,
                is_kept,
                dead=self._dead.pop(cut, None),
                puts_off_deaths=not is_told and (bool(cut) or role is Role.STANDBY),
            )

    # -- the camera's thread -------------------------------------------------------------------

    def at_boundary(self) -> BoundaryAction:
        """Return what ends the window, now that its time is over.

        The clock, a marker that was sent and will come back, or somebody else, who is waited for.
        """
        self._leader.publishes()  # who was stopped has to ask first
        if self._leader.is_idle:  # it has no thread that would
            self.speak()
        role = self._leader.role
        if self._is_over or role is Role.STANDBY:
            longest = max(2 * self._interval_seconds(), _WITHOUT_CUT_SECONDS)
            self._needs_here = True
            self._leader.hurry()
            is_late = self._clock.monotonic() - self._cut_at >= longest
            return "clock" if is_late and not self._is_over else "wait"
        with self._lock:
            if role is Role.ALONE or not self._is_connected or not self._peers.are_there():
                self._needs_here = self._needs_here or bool(self._peers)
                return "clock"
            marker = self._marker = self._new_id()
        return "marker" if self._mark(marker) else "clock"

    def awaits_marker(self) -> bool:
        """Return whether the marker that was sent last has not come back."""
        return bool(self._marker)

    def give_up_marker(self) -> None:
        """Note that it does not come back in time; the clock ends the window."""
        self._marker = ""
        self._tell(f"did not come back in {_RETURN_SECONDS:g} s")

    # -- the publisher's thread ----------------------------------------------------------------

    def leads(self) -> bool:
        """Return whether we may send what others hold as well."""
        return self._leader.leads() and self._clock.monotonic() >= self._free_at

    def admit(self, window: str) -> Literal["send", "wait", "doubt"]:
        """Return whether to send this window now; ``doubt``, once, if another may have sent it.

        What came before we were cut off others have as well, and more: it waits until we are back,
        and know who leads then.
        """
        with self._lock:
            if window in self._broken_off and not self._is_connected and self._peers.are_there():
                return "wait"
            if window not in self._doubtful:
                return "send"
            if self._clock.monotonic() < self._late_until:
                return "wait"
            self._doubtful.pop(window)
            return "doubt"

    def begin(self, window: str) -> bool:
        """Tell the others that we send this window; return False if it must not be sent now.

        A broker that lets us receive and not send, as RabbitMQ does whose memory is short, keeps
        nothing from being published.
        """
        return (self._announce("sending", window) or self._is_connected) and self.leads()

    def end(self, window: str, *, accepted: bool) -> None:
        """Tell them that it was accepted, all of it, or that nothing of it was."""
        if accepted:
            with self._lock:
                self._held.pop(window, None)
                self._broken_off.pop(window, None)
        self._announce("accepted" if accepted else "unsent", window)

    def stands_by(self) -> bool:
        """Return whether another leads."""
        return self._leader.role is Role.STANDBY

    def has_heirs(self) -> bool:
        """Return whether another monitor holds what we have not sent."""
        with self._lock:
            return self.stands_by() or self._peers.are_there()

    # -- the leader's thread -------------------------------------------------------------------

    def on_role(self, before: Role, role: Role) -> None:
        """Note what we are now."""
        now = self._clock.monotonic()
        with self._lock:
            if role is Role.STANDBY and not self._is_connected:
                self._is_part = True
            if role is Role.LEADER and before is Role.STANDBY:
                grace = 0.0 if self._leader_left else self._leader.grace_seconds
                self._free_at = now + grace
                self._late_until = now if self._leader_left else now + max(grace, _LATE_SECONDS)
                self._needs_here = True  # who led may not know yet that it does no more

    def speak(self) -> None:
        """Say that we are there, if it is time to; or let another lead, if only we are away."""
        with self._lock:
            what, tells_past = self._what_to_say()
        if not what:
            return
        dead = self._past_deaths() if tells_past else ()
        try:
            self._say(what, window=self._join if what == "join" else "", dead=dead or None)
        except OSError as error:
            with self._lock:
                self._needs_join = self._needs_join or what == "join"
                self._needs_past = self._needs_past or tells_past
                self._retry_at = self._clock.monotonic() + _RETRY_SECONDS
            if self._leader.role is not Role.ALONE:  # else it is told already
                self._tell(f"cannot be sent: {one_line(error)}")

    def close(self) -> None:
        """Say that we leave."""
        if self._has_joined:
            self._announce("left", "")

    def peers(self) -> tuple[Peer, ...]:
        """Return the other monitors that are there. Any thread may ask."""
        with self._lock:
            return self._peers.present()

    def doubles(self) -> tuple[str, ...]:
        """Return the monitors that publish what another publishes as well. Any thread may ask."""
        with self._lock:
            return self._peers.doubles(self._leader.role)

    def _is_told_of_past(self, event: OwnEvent) -> bool:
        """Return whether the sender's deaths are ours as well."""
        are_apart = "alone" in (event.role, self._leader.role.value)
        return event.sender != self._me and not are_apart

    # -- under the lock ------------------------------------------------------------------------

    def _what_to_say(self) -> tuple[str, bool]:
        """Return what it is time to say, if anything, and whether it tells who died before.

        Who has just joined would count those again, if it led now.
        """
        now, role = self._clock.monotonic(), self._leader.role
        if not self._is_connected:
            self._give_way_to_who_hears()
            return "", False
        waits_for_role = self._needs_join and role is Role.UNDECIDED
        if now < self._retry_at or waits_for_role:
            return "", False
        if self._needs_join:
            self._needs_join = self._needs_here = False
            self._join = self._new_id()
            return "join", False
        told_at = self._past_told_at
        may_tell = len(told_at) < _PAST_TIMES or now - told_at[0] >= _PAST_SECONDS
        tells_past = self._needs_past and may_tell and role is not Role.ALONE
        if tells_past:
            self._needs_past = False
            told_at.append(now)
        says, self._needs_here = tells_past or self._needs_here, False
        return "here" if says else "", tells_past

    def _give_way_to_who_hears(self) -> None:
        """Let another lead, once in each absence: it may be no better off."""
        since = self._away_since
        if since is not None and self._leader.leads_since(since) and self._peers.are_there():
            self._away_since = None
            self._leader.give_way()

    def _on_mine(self, event: OwnEvent) -> bool:
        if event.what == "cut":
            return event.window in (self._marker, self._last_marker)
        if event.what != "join" or event.window != self._join:
            return False
        role = self._leader.role
        if role is Role.STANDBY or (role is not Role.ALONE and self._peers.are_there()):
            return True
        self._has_joined = True
        self._cuts[event.window] = self._position  # the others end a window there
        self._last_cut = event.window
        return False

    def _note_peer(self, event: OwnEvent) -> None:
        if event.what == "left":
            peer = self._peers.leave(event.sender)
            self._leader_left = self._leader_left or (peer is not None and peer.role == "leader")
            return
        if event.role == "leader" and self._leader.role is Role.LEADER:
            self._leader.hurry()  # one of us leads no more: a failover may have lost the lock
        if event.role == "leader" and self._before:
            before, self._before = self._before, ""
            self._forget(before)
        self._peers.note(event, ours=self._leader.role)

    def _answer(self) -> None:
        """Say that we are there, to who is no monitor and asks."""
        self._needs_here = True
        if self._leader.is_idle:  # it has no thread that would
            self._in_background(lambda _marker: self.speak(), "")
        else:
            self._leader.hurry()

    def _is_cut(self) -> bool:
        return self._has_joined and self._leader.role is not Role.ALONE

    def _catch_up(self, event: OwnEvent) -> None:
        """Forget what was accepted while we did not hear of it.

        What was closed up to ``through`` is accepted, unless it is ``unsettled``. If we did not see
        that end, we were not connected then.
        """
        through = self._cuts.get(event.through)
        unsettled = frozenset(event.unsettled)
        for window, (position, era) in tuple(self._held.items()):
            is_older = era < self._era if through is None else position <= through
            if is_older and window not in unsettled and event.through:
                self._forget(window)

    def _forget(self, window: str) -> None:
        self._doubtful.pop(window, None)
        self._broken_off.pop(window, None)
        self._held.pop(window, None)
        self._settle(window)

    def _new_id(self) -> str:
        return uuid4().hex[:16]

    # -- what is sent --------------------------------------------------------------------------

    def _mark(self, marker: str) -> bool:
        """Send a marker; return whether the broker has it."""
        with self._lock:
            with_past, self._tells_past = self._tells_past, False
        # It takes the state's lock, that is never taken within ours.
        dead = self._find_dead(with_past=with_past)
        with self._lock:
            fields: dict[str, object] = {
                "dead": dead if len(dead) <= _MOST_DEAD else None,
                "through": self._last_cut,
                "opened": self._opened_by,
                "unsettled": tuple(self._held)[-_MOST_UNSETTLED:],
            }
        try:
            self._say("cut", window=marker, **fields)
        except OSError as error:
            self._marker = ""
            self._tells_past = True
            self._tell(f"cannot be sent: {one_line(error)}")
            return False
        return True

    def _announce(self, what: str, window: str) -> bool:
        """Tell the others, if there are any; return False if they cannot be told."""
        with self._lock:
            if not self._peers.are_there():
                return True
        try:
            self._say(what, window=window)
        except OSError as error:
            log.debug("the other monitors could not be told: %s", error)
            return False
        return True

    def _say(self, what: str, **fields: object) -> None:
        self._send(
            monitors=self._monitors,
            sender=self._me,
            who=self._who,
            role=self._leader.role.value,
            what=what,
            old=self._is_old_here(),
            **fields,
        )

    def _tell(self, problem: str) -> None:
        """Say once that the others cannot be told; of interest only where there are any."""
        with self._lock:
            if self._is_told or not (self.stands_by() or self._peers.are_there()):
                return
            self._is_told = True
        log.warning(
            "an event of our own %s: a second monitor cannot tell where a window ends, and what it "
            "counted since is lost, or counts twice, when it takes over",
            problem,
        )

    def _in_background(self, act: Callable[[str], object], marker: str) -> None:
        threading.Thread(target=act, args=(marker,), name="own-event", daemon=True).start()


def _bound(remembered: dict[str, Any]) -> None:
    """Forget the first where there are too many: anybody who may send events can send these."""
    if len(remembered) > _MOST_REMEMBERED:
        remembered.pop(next(iter(remembered)))
