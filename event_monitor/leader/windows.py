"""Windows: where each ends for all monitors that would publish the same, and who sends it.

Whoever publishes to several subscribers of one broker is received by all of them in one order. So
the leader sends an event of our own where a window is to end, and every monitor ends it there; a
standby then holds the same windows as the leader. Who died in it the event says, too: silence is
judged by each one's own clock. The leader says when it begins to send one, and when that was
accepted; what was not, the next leader sends.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Literal, Protocol
from uuid import uuid4

from ..clock import SYSTEM_CLOCK, Clock
from ..events import Dead, OwnEvent, Past
from ..snapshot import Role
from .acceptances import Acceptances
from .announcements import Announcements
from .closed_windows import ClosedWindows
from .leader import Leader
from .open_window import Label, OpenWindow
from .own_events import OwnEvents, Send
from .peers import Peer, Peers
from .takeover import Takeover

__all__ = ["FindDead", "Windows"]

_RETURN_SECONDS = 2.0  # within which an event of our own comes back
_LEAVE_SECONDS = 3.0  # how long a graceful shutdown waits for that
_TAKEOVER_SECONDS = 20.0  # after the death of a leader, and some more
_WITHOUT_CUT_SECONDS = 30.0  # after so long, or two intervals, a standby waits for a cut no more
_MOST_LATE = 10  # markers that did not come back in time, and end a window when they do
_MOST_CUTS = 10_000  # of which it is remembered who died before
_MOST_DEAD = 1_000  # of which one event tells; of more, each monitor judges for itself

BoundaryAction = Literal["clock", "marker", "wait"]


class FindDead(Protocol):
    """Finds who died."""

    def __call__(self, *, with_past: bool) -> tuple[Dead, ...]:
        """Return who died since the last window; ``with_past``: and before."""
        ...


class Windows:
    """Ends the windows of several monitors at the same places. Thread-safe.

    ``monitors`` are those concerned, ``me`` the id of this one, ``who`` what people call it.
    ``settle`` forgets a window that somebody else sent; ``find_dead`` returns who died since the
    last window, and leaves it to us from then on to say so. ``past`` returns what a newcomer has to
    know, and ``note_past`` gets what others know. ``is_old_here`` returns whether one runs that
    asks for no lock.

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
        past: Callable[[], Past] = Past,
        note_past: Callable[[Past], None] = lambda _past: None,
        interval_seconds: Callable[[], float],
        is_old_here: Callable[[], bool] = lambda: False,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._leader = leader
        self._monitors, self._me = monitors, me
        self._find_dead = find_dead
        self._past = past
        self._note_past = note_past
        self._clock = clock
        self._lock = threading.Lock()
        self._peers = Peers(interval_seconds=interval_seconds, clock=clock)
        self._own_events = OwnEvents(
            send,
            monitors=monitors,
            me=me,
            who=who,
            leader=leader,
            peers=self._peers,
            lock=self._lock,
            interval_seconds=interval_seconds,
            is_old_here=is_old_here,
        )
        self._acceptances = Acceptances(self._own_events, clock)
        # The connection.
        self._is_connected = self._has_connected = False
        self._away_since: float | None = None  # until we have given way to who can hear
        self._era = 0  # how often we connected
        self._announcements = Announcements(clock)
        self._has_joined = False  # the event by which we say that we have come came back, once
        self._before = ""  # the id of the window before that
        self._open = OpenWindow()
        self._closed = ClosedWindows(settle=settle)
        self._cut_at = clock.monotonic()  # when a window last ended in the stream
        self._tells_past = True  # who is there may not know who died before
        self._dead: dict[str, tuple[Dead, ...] | None] = {}  # cut → who died before it
        self._marker = ""  # that has to come back
        self._late_markers: deque[str] = deque(maxlen=_MOST_LATE)  # which may do so still
        self._last_marker = ""  # of this process
        self._leave_by: float | None = None
        self._asked_at = -1.0  # who is there, as we leave
        self._is_over = False  # what comes now is for others
        self._untold = "", 0.0  # the window of which we could not tell that we send it, since when
        self._takeover = Takeover(clock)

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
                    self._open.was_away |= self._leader.role is Role.STANDBY
                    self._open.is_cut_off = True
                    self._leader.hurry()
                self._is_connected = False
                return False
            self._is_connected, self._away_since = True, None
            self._acceptances.hurry()
            is_back, self._has_connected = self._has_connected, True
            self._era += 1
            self._announcements.need_join()
            role = self._leader.role
            if is_back and self._leader.has_lapsed():
                self._open.was_away = True
                self._takeover.return_late()
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
        if event.what == "here" and (event.dead or event.alive) and self._is_told_of_past(event):
            past = Past((event.dead or ())[:_MOST_DEAD], event.alive[:_MOST_DEAD])
            self._note_past(past)  # takes the state's lock
        with self._lock:
            if event.what == "cut" and event.window:
                self._own_events.led = event.window
                # Anybody who may send events can send these.
                self._dead[event.window] = event.dead and event.dead[:_MOST_DEAD]
                if len(self._dead) > _MOST_CUTS:
                    self._dead.pop(next(iter(self._dead)))
            if event.sender == self._me:
                return self._on_mine(event)
            if event.what == "ask":
                self._answer()
                return False
            self._note_peer(event)
            if event.what in ("sending", "unsent", "accepted"):
                self._note_sending(event)
            elif event.what == "join":
                if sent := self._closed.sent_part(event.through):
                    self._acceptances.note(sent, {"opened": event.through})
                self._tells_past = True
                self._announcements.need_here(with_past=True)
                self._leader.hurry()
                return event.role != "alone" and self._is_cut()
            elif event.what == "here" and event.through:  # a leader, to who has come back
                self._catch_up(event)
            elif event.what == "cut":
                self._takeover.leader_left = False
                self._catch_up(event)
                if not self._is_cut():
                    return False
                if event.opened and event.opened == self._open.opened_by:
                    # It is as its sender's, but for what that has sent of it since.
                    self._open.is_part, self._open.was_away = self._open.is_sent, False
                elif self._leader.role is Role.LEADER and not self._takeover.may_hear_more():
                    self._open.is_part = True
                else:
                    self._open.is_another = True
                return True
        return False

    def may_leave(self) -> bool:
        """Return whether the last window has ended in the stream, or need not; ask again if not."""
        now = self._clock.monotonic()
        with self._lock:
            if self._leave_by is None:
                self._leave_by = now + _LEAVE_SECONDS
                if self._leader.leads() and self._peers.may_return() and self._is_connected:
                    self._last_marker, self._asked_at = self._new_id(), now
                    self._in_background(self._mark_last, self._last_marker)
            if not self._last_marker or now >= self._leave_by:
                return True
            there = self._peers.leased()
            return self._is_over and all(peer.heard_at >= self._asked_at for peer in there)

    # -- wherever a window is swapped ----------------------------------------------------------

    def turn(self, cut: str = "") -> Label:
        """Note that a window ends and another begins; return what becomes of the first.

        ``cut`` is the id of the event of our own that ends it; empty if the clock did.
        """
        with self._lock:
            role = self._leader.role
            self._closed.close()
            is_kept, window = self._fate(cut, role)
            if cut:
                self._cut_at = self._clock.monotonic()
                if cut in self._late_markers:
                    self._late_markers.remove(cut)
                self._closed.note_cut(cut)
                if cut == self._announcements.join:
                    self._closed.come()
                self._has_joined = self._has_joined or cut == self._announcements.join
                self._is_over = self._is_over or cut == self._last_marker
                if cut == self._marker:
                    self._marker = ""
            if window:
                self._closed.hold(
                    window,
                    era=self._era,
                    is_broken_off=not cut and not self._is_connected,
                    opened_by=self._open.opened_by,
                    led=self._open.led,
                    ended_by_leader=bool(cut) and cut == self._own_events.led,
                    is_cut_off=self._open.is_cut_off,
                )
                if self._open.is_part or self._open.was_away:
                    last = "" if self._open.is_part else self._own_events.led
                    self._closed.doubt_for_good(window, unless_last=last)
            self._open = OpenWindow.begin(
                cut,
                led=self._own_events.led,
                role=role,
                is_connected=self._is_connected,
                # Who has been away for long knows of nobody, nor whether it leads still.
                are_others_there=self._peers.are_there()
                or (self._is_connected and self._leader.has_lapsed()),
            )
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
            self._leader.hurry()
            with self._lock:
                self._announcements.need_here()
                longest = max(2 * self._peers.interval_seconds(), _WITHOUT_CUT_SECONDS)
                is_late = self._is_unknown() or self._clock.monotonic() - self._cut_at >= longest
            return "clock" if is_late and not self._is_over else "wait"
        with self._lock:
            if role is Role.ALONE or not self._is_connected or not self._peers.may_return():
                if self._peers:
                    self._announcements.need_here()
                return "clock"
            marker = self._marker = self._new_id()
        return "marker" if self._mark(marker) else "clock"

    def awaits_marker(self) -> bool:
        """Return whether the marker that was sent last has not come back."""
        return bool(self._marker)

    def give_up_marker(self) -> None:
        """Note that it does not come back in time; the clock ends the window."""
        with self._lock:
            if self._marker:
                self._late_markers.append(self._marker)
            self._marker = ""
        self._own_events.tell_unreturned(_RETURN_SECONDS)

    # -- the publisher's thread ----------------------------------------------------------------

    def leads(self) -> bool:
        """Return whether we may send what others hold as well."""
        return self._leader.leads() and self._takeover.is_over()

    def admit(self, window: str) -> Literal["send", "wait", "doubt"]:
        """Return whether to send this window now; ``doubt``, once, if another may have sent it.

        What came before we were cut off others have as well, and more: it waits until we are back,
        and know who leads then.
        """
        with self._lock:
            is_broken_off = self._closed.is_broken_off(window)
            if is_broken_off and not self._is_connected and self._peers.are_there():
                return "wait"
            if not self._closed.is_in_doubt(window):
                return "send"
            if self._takeover.may_hear_more():
                return "wait"
            self._closed.end_doubt(window)
            return "doubt"

    def begin(self, window: str) -> bool:
        """Tell the others that we send this window; return False if it must not be sent now.

        A broker that lets us receive and not send, as RabbitMQ does whose memory is short, keeps
        nothing from being published.
        """
        tried_at = self._clock.monotonic()
        with self._lock:
            beginning = self._closed.beginning(window)
        if not self._own_events.announce("sending", window, **beginning):
            return self._is_connected and self._leads_still(window, tried_at)
        self._untold = "", 0.0
        if self.leads():
            return True
        self._own_events.announce("unsent", window, **beginning)  # we have given way meanwhile
        return False

    def _leads_still(self, window: str, tried_at: float) -> bool:
        """Return whether the lease has been ours since we could not tell the others of a window.

        A network that swallows everything leaves us connected for a while, and leading.
        """
        if self._untold[0] != window:
            self._untold = window, tried_at
            self._leader.hurry()
        if not (self.leads() and self._leader.led_at(self._untold[1])):
            return False
        self._untold = "", 0.0
        return True

    def end(self, window: str, *, accepted: bool) -> None:
        """Tell them that it was accepted, all of it, or that nothing of it was."""
        with self._lock:
            beginning = self._closed.beginning(window)
            if accepted:
                self._closed.accept(window)
        if accepted:
            self._acceptances.tell(window, beginning)
        else:
            self._own_events.announce("unsent", window, **beginning)

    def give_way(self) -> bool:
        """Let another lead, as nothing that we send is accepted; return False if there is none."""
        with self._lock:
            if self._leader.role is not Role.LEADER or not self._peers.are_there():
                return False
            self._leader.give_way()
            return True

    def stands_by(self) -> bool:
        """Return whether another leads."""
        return self._leader.role is Role.STANDBY

    def has_heirs(self, window: str) -> bool:
        """Return whether another monitor that is there holds this window as well.

        As we leave, only who has answered is there for certain.
        """
        with self._lock:
            there = self._peers.leased()
            if self.stands_by() and not any(peer.role == "leader" for peer in there):
                return True  # of whom we have not heard yet
            answered = [peer for peer in there if peer.heard_at >= self._asked_at]
            return any(self._holds(peer, window) for peer in answered)

    def is_ours(self, window: str) -> bool:
        """Return whether it is for us to send this window, whoever leads, as nobody else holds it.

        Of several that hold what the leader has not, as it came later, one sends it.
        """
        stands_by = self.stands_by()
        if not (stands_by or self.leads()):
            return False
        with self._lock:
            if self._closed.is_broken_off(window) and not (stands_by and self._is_connected):
                return False
            if not stands_by:
                return not any(self._holds(p, window) for p in self._peers.that_may_return())
            there = self._peers.leased()
            is_part = self._closed.is_part(window)
            others = [
                peer
                for peer in there
                if peer.role == "leader"
                or peer.sender < self._me
                or (is_part and self._closed.is_held_whole(window, peer.absences))
            ]
            is_led = any(peer.role == "leader" for peer in there)
            return is_led and not any(self._holds(peer, window) for peer in others)

    # -- the leader's thread -------------------------------------------------------------------

    def on_role(self, before: Role, role: Role) -> None:
        """Note what we are now."""
        now = self._clock.monotonic()
        with self._lock:
            if role is Role.STANDBY and not self._is_connected:
                self._open.was_away = True
            if role is Role.LEADER and before is Role.STANDBY:
                # Whoever led may have ended the window by its clock, if it has ended no other.
                late = self._peers.interval_seconds() + _TAKEOVER_SECONDS
                self._open.is_part |= self._is_unknown() or now - self._cut_at >= late
                self._takeover.begin(grace_seconds=self._leader.grace_seconds)
                self._announcements.need_here()  # who led may not know yet that it does no more

    def speak(self) -> None:
        """Say that we are there, if it is time to; or let another lead, if only we are away."""
        with self._lock:
            if not self._is_connected:
                self._give_way_to_who_hears()
                return
            what, tells_past = self._announcements.take(self._leader.role)
            join, last_cut = self._announcements.join, self._closed.last_cut
            takeover = self._takeover.id
            is_known = tells_past and self._leader.role is Role.LEADER
            known = self._settled() if is_known else {}
        self._acceptances.tell_rest()
        if what is None:
            return
        past = self._past() if tells_past else Past()
        try:
            if what == "join":
                self._own_events.say(what, window=join, through=last_cut)
            else:
                self._own_events.say(
                    what, window=takeover, dead=past.dead or None, alive=past.alive, **known
                )
        except OSError as error:
            with self._lock:
                self._announcements.put_back(what, with_past=tells_past)
            if self._leader.role is not Role.ALONE:  # else it is told already
                self._own_events.tell_unsent(error)

    def close(self) -> None:
        """Say that we leave."""
        if self._has_joined:
            self._own_events.announce("left")

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

    def _holds(self, peer: Peer, window: str) -> bool:
        return self._closed.is_held(window, peer.absences)

    def _give_way_to_who_hears(self) -> None:
        """Let another lead, once in each absence: it may be no better off."""
        since = self._away_since
        if since is not None and self._leader.leads_since(since) and self._peers.are_there():
            self._away_since = None
            self._leader.give_way()

    def _on_mine(self, event: OwnEvent) -> bool:
        if event.what == "cut":
            is_late = event.window in self._late_markers and self._leader.role is not Role.ALONE
            return is_late or event.window in (self._marker, self._last_marker)
        if event.what == "here":
            self._takeover.hear(event.window)
        if event.what != "join" or event.window != self._announcements.join:
            return False
        role = self._leader.role
        if role is Role.STANDBY or (role is not Role.ALONE and self._peers.may_return()):
            return True
        self._has_joined = True
        self._closed.come()
        self._closed.note_cut(event.window)  # the others end a window there
        return False

    def _note_peer(self, event: OwnEvent) -> None:
        if event.what == "left":
            peer = self._peers.leave(event.sender)
            self._takeover.leader_left |= peer is not None and peer.role == "leader"
            return
        if event.role == "leader" and self._leader.role is Role.LEADER:
            self._leader.hurry()  # one of us leads no more: a failover may have lost the lock
        self._closed.trust_parts(event.led)
        self._peers.note(event, ours=self._leader.role)
        if self._before and event.role in ("leader", "standby"):
            absences = self._peers.absences(event.sender)
            if event.what != "join" and self._closed.is_held(self._before, absences):
                before, self._before = self._before, ""
                self._closed.forget(before)

    def _catch_up(self, event: OwnEvent) -> None:
        """Forget what its sender says that was accepted."""
        self._closed.catch_up(event, era=self._era, absences=self._peers.absences(event.sender))

    def _note_sending(self, event: OwnEvent) -> None:
        """Note what becomes of a window that another monitor sends."""
        if event.what != "unsent" and event.opened and event.opened == self._open.opened_by:
            self._open.is_sent = True
        joins = {join for _, join in self._peers.absences(event.sender)}
        if event.window in joins and self._closed.is_whole(event.window):
            # Who came there lacks some of it, and the rest counts twice if we send ours.
            if event.what != "unsent":
                self._closed.doubt_for_good(event.window, unless_last="")
            return
        for window in self._closed.same_as(event.window, opened=event.opened, led=event.through):
            if event.what == "sending":
                self._closed.doubt(window)
            elif event.what == "unsent":
                self._closed.trust(window)
            else:
                self._closed.accept(window)
                self._closed.forget(window)

    def _answer(self) -> None:
        """Say that we are there, to who asks: no monitor, or one that is about to leave."""
        self._announcements.need_here()
        if self._leader.is_idle:  # it has no thread that would
            self._in_background(lambda _marker: self.speak(), "")
        else:
            self._leader.hurry()

    def _is_unknown(self) -> bool:
        """Return whether nobody can know of us: then a leader ends no window for our sake."""
        return self._announcements.is_refused and not self._has_joined

    def _is_cut(self) -> bool:
        return self._has_joined and self._leader.role is not Role.ALONE

    def _fate(self, cut: str, role: Role) -> tuple[bool, str]:
        """Return whether the window that ends is kept, and by which id others know it, if any."""
        is_first_join = cut == self._announcements.join and not self._has_joined
        # Cut off as the others may be, who keep what they have of it as well.
        breaks_off = self._open.is_cut_off and not self._is_connected
        is_without_cut = role is Role.STANDBY and not ((cut or breaks_off) and self._has_joined)
        if self._is_over:
            return False, ""
        if role is Role.STANDBY and cut and is_first_join:
            self._before = cut  # the leader has that, if there is one
            return True, cut
        if is_without_cut or self._open.is_another:
            return False, ""  # the leader has published some of it
        if self._open.is_offline and not self._is_connected:
            return True, ""  # nothing has come: nobody counts it twice, and somebody has to say so
        return True, (cut or self._new_id()) if self._open.is_shared else ""

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
                # What is not shared we send, or the next process of ours.
                "opened": self._open.opened_by if self._open.is_shared else "",
                **self._settled(),
            }
        try:
            self._own_events.say("cut", window=marker, **fields)
        except OSError as error:
            with self._lock:
                self._marker = ""
                self._late_markers.append(marker)  # only the answer may be missing
                self._tells_past = True
                # Nor could the leader before us, perhaps, whose clock ended windows then.
                self._open.is_part |= self._open.is_inherited
            self._own_events.tell_unsent(error)
            return False
        return True

    def _settled(self) -> dict[str, object]:
        """Return what others have to know to tell what we have sent."""
        return {
            "through": self._closed.last_cut,
            "unsettled": self._closed.unsettled(),
            "parts": self._closed.parts(),
        }

    def _mark_last(self, marker: str) -> None:
        """Send the last marker, and ask who holds what we may not be able to send."""
        self._mark(marker)
        self._own_events.announce("ask")

    def _in_background(self, act: Callable[[str], object], marker: str) -> None:
        threading.Thread(target=act, args=(marker,), name="own-event", daemon=True).start()
