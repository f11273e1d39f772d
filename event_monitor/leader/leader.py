"""Leader: a thread that holds a lease, or waits for it; and whether we may publish meanwhile."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from ..clock import SYSTEM_CLOCK, Clock
from ..snapshot import Role
from ..text import one_line
from .lease import Lease, LeaseRefusedError

__all__ = ["Leader"]

log = logging.getLogger(__name__)

_POLL_SECONDS = 0.5  # between two looks of a standby: so soon it leads after a graceful shutdown
_YIELD_SECONDS = 2.0  # after which who gave the lease away may have it again
_LOOK_SECONDS = 0.05
_PATIENCE_SECONDS = 5.0  # at the end, for an answer under way


class Leader:
    """Says of this monitor whether it leads. ``start`` it, and ``close`` it.

    Without a ``lease`` it always does, and has no thread. Any thread may call any method but
    ``look``. ``on_change`` is called in the leader's thread with the role before and the next one,
    which is not taken yet; it must not wait. ``on_look`` is called there after each question.
    ``is_connected`` returns whether the broker can be reached otherwise.

    Where the lease is refused, or does not answer though the broker does, this monitor publishes as
    if it were alone, with one WARNING, and goes on asking: two that publish are better than none.
    """

    def __init__(
        self,
        lease: Lease | None,
        *,
        on_change: Callable[[Role, Role], None] = lambda _before, _role: None,
        on_look: Callable[[], object] = lambda: None,
        is_connected: Callable[[], bool] = lambda: True,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self.role = Role.ALONE if lease is None else Role.UNDECIDED
        self._lease = lease
        self._on_change = on_change
        self._on_look = on_look
        self._is_connected = is_connected
        self._clock = clock
        self._answered_at: float | None = None  # when the last question was asked that was answered
        self._asked_at: float | None = None  # when the last one was, answered or not
        self._was_refused = False
        self._wake = threading.Event()
        self._closing = False
        self._yield_until: float | None = None
        self._has_yielded = False  # and nobody has answered since who leads
        self._thread = threading.Thread(target=self._run, name="leader", daemon=True)

    @property
    def holder(self) -> str:
        """Return who leads while we stand by, for people; empty if that is not known."""
        return "" if self._lease is None else self._lease.holder()

    @property
    def name(self) -> str:
        """Return what the lease is called on the broker."""
        return "" if self._lease is None else self._lease.name

    @property
    def is_idle(self) -> bool:
        """Return whether there is nothing to ask."""
        return self._lease is None

    @property
    def grace_seconds(self) -> float:
        """Return how long the leader before us may go on, believing that it leads."""
        return 0.0 if self._lease is None else self._lease.grace_seconds

    def leads(self) -> bool:
        """Return whether nobody else can lead at this moment.

        Who was stopped for a while does not know before it has asked again.
        """
        if self.role is Role.ALONE:
            return True
        # Who gives way may be one still, for a moment.
        return self.role is Role.LEADER and self._yield_until is None and self._is_fresh()

    def leads_since(self, moment: float) -> bool:
        """Return whether the lease was still ours when we asked after this moment (monotonic)."""
        return self.leads() and self._answered_at is not None and self._answered_at > moment

    def led_at(self, moment: float) -> bool:
        """Return whether the lease was ours by an answer to a question asked then, or later."""
        if self.role is Role.ALONE:
            return True
        return self.leads() and self._answered_at is not None and self._answered_at >= moment

    def has_lapsed(self) -> bool:
        """Return whether we led, and another may have led since we last asked."""
        return self.role is Role.LEADER and self._answered_at is not None and not self._is_fresh()

    def publishes(self) -> bool:
        """Return whether to publish what was just counted; waits a moment where that is not known.

        While the broker does not answer, whoever led goes on.
        """
        deadline = self._clock.monotonic() + _PATIENCE_SECONDS
        while self._is_in_doubt() and self._clock.monotonic() < deadline:
            self._wake.set()
            self._clock.sleep(_LOOK_SECONDS)
        return self.role.publishes

    def start(self) -> None:
        """Begin to ask for the lease."""
        if self._lease is not None and not self._closing:
            self._thread.start()

    def hurry(self) -> None:
        """Ask now: something has changed."""
        self._wake.set()

    def give_way(self) -> None:
        """Let a standby lead, which knows better; lead again only if none does."""
        self._yield_until = self._clock.monotonic() + _YIELD_SECONDS
        self._wake.set()

    def close(self) -> None:
        """Give the lease up, so that a standby leads at once."""
        self._closing = True
        self._wake.set()
        if self._thread.ident is not None:
            self._thread.join(_PATIENCE_SECONDS)

    # -- the leader's thread -------------------------------------------------------------------

    def _run(self) -> None:
        try:
            while not self._closing:
                self._wake.clear()
                self._wake.wait(self.look())
        except Exception:
            log.exception("the leader's thread died; this monitor goes on as if it were alone")
            self._become(Role.ALONE)
        if self._lease is not None:
            self._lease.release()

    def look(self) -> float:
        """Ask for the lease, once; return in how many seconds to ask again."""
        if self._lease is None:
            return _POLL_SECONDS
        self._ask(self._lease)
        self._on_look()
        is_answered = self._answered_at == self._asked_at or self._yield_until is not None
        waits_for_lease = self.role is Role.STANDBY and is_answered
        return _POLL_SECONDS if waits_for_lease else self._lease.renew_seconds

    def _ask(self, lease: Lease) -> None:
        asked_at = self._clock.monotonic()
        if self._yield_until is not None:
            if self.role is Role.LEADER:
                lease.release()
                self._has_yielded, self._answered_at = True, None
                self._become(Role.STANDBY)
            if asked_at < self._yield_until:
                return
            self._yield_until = None
        try:
            is_ours = self.role is Role.LEADER and lease.renew()
            is_ours = is_ours or lease.acquire()
        except LeaseRefusedError as error:
            if self._is_connected():  # else nothing is allowed here, as the log says already
                self._go_on_alone(f"is refused: {one_line(error)}")
        except OSError as error:
            # As long as the broker is away nobody else can lead either, and nothing is counted.
            if self.role is Role.UNDECIDED and self._is_connected():
                self._go_on_alone(f"cannot be had: {one_line(error)}")
            elif self._has_yielded:
                self._become(Role.LEADER)
        else:
            self._answered_at, self._has_yielded = asked_at, False
            self._become(Role.LEADER if is_ours else Role.STANDBY)
        self._asked_at = asked_at

    def _go_on_alone(self, reason: str) -> None:
        if not self._was_refused:
            self._was_refused = True
            log.warning(
                "the lock %s %s; a second monitor would count everything again",
                self.name,
                reason,
            )
        self._become(Role.ALONE)

    def _become(self, role: Role) -> None:
        before = self.role
        if role is before:
            return
        self._on_change(before, role)  # before anybody acts on it
        self.role = role
        if role is Role.STANDBY:
            log.info(
                "standby: another monitor leads%s; this one counts, publishes nothing, and takes "
                "over when that one has gone",
                f", {self.holder}" if self.holder else "",
                extra={"notice": "standby"},
            )
        elif before is Role.STANDBY:
            log.info("takes over: this monitor leads now", extra={"notice": "takeover"})

    def _is_in_doubt(self) -> bool:
        """Return whether nothing is known, though it was asked for: we may have been stopped."""
        if self._lease is None or self.role in (Role.ALONE, Role.STANDBY) or self._closing:
            return False
        safe = self._lease.safe_seconds
        return self._asked_at is None or self._clock.monotonic() - self._asked_at >= safe

    def _is_fresh(self) -> bool:
        if self._lease is None or self._answered_at is None:
            return False
        return self._clock.monotonic() - self._answered_at < self._lease.safe_seconds
