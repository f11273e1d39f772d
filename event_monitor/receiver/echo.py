"""Echo: finds out that a subscription is dead, by an event of our own that does not come back.

RabbitMQ goes on answering a subscription whose exchange somebody deleted and declared again; the
queue is there, but nothing is bound to it any more.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import Future

from ..broker.own_events import BlockedError
from ..clock import SYSTEM_CLOCK, Clock
from ..text import one_line

__all__ = ["Echo"]

log = logging.getLogger(__name__)

_MOST_QUIET_SECONDS = 600.0  # where events of our own never come back, as from a wrong write URL


class Echo:
    """Watches the subscriptions of one receiver, one after the other. Not thread-safe.

    ``send`` sends an event of our own in a thread, as ``broker.own_events.send_own_event`` does.
    Where nothing has come for ``quiet_seconds``, an event is sent. If the broker took it, and
    nothing comes for that long again, the subscription is dead. What cannot be sent proves nothing:
    a user may be allowed to read only. Each event in a row that cannot be sent doubles the time, as
    does each subscription in a row that is found dead.

    ``is_blocked``: the broker takes messages from nobody, so that no worker can be received either.
    """

    def __init__(
        self,
        send: Callable[[], Future[None]],
        *,
        quiet_seconds: float,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._send = send
        self._shortest_seconds = self._quiet_seconds = quiet_seconds
        self._monotonic = clock.monotonic
        self._quiet_since: float | None = None  # None: not watched yet
        self._sending: Future[None] | None = None
        self._sent_at: float | None = None
        self._was_told = False
        self.is_blocked = False

    def begin(self, *, awaits_first: bool) -> None:
        """Watch a new subscription; with ``awaits_first``, from the first message on.

        A stand-by receives nothing from its queue while another monitor reads it.
        """
        self._quiet_since = None if awaits_first else self._monotonic()
        self.is_blocked = False
        self._sending = self._sent_at = None

    def note_message(self) -> None:
        """Note that something came."""
        self._quiet_since = self._monotonic()
        self._sending = self._sent_at = None
        self._quiet_seconds = self._shortest_seconds
        self.is_blocked = False

    def examine_silence(self) -> None:
        """Note that a read found nothing; raise ``ConnectionError`` if the subscription is dead."""
        if self._quiet_since is None:
            return
        now = self._monotonic()
        if self._sending is None:
            if now - self._quiet_since >= self._quiet_seconds:
                self._sending = self._send()
        elif self._sent_at is None:
            if self._sending.done():
                self._note_sent(self._sending, now)
        elif now - self._sent_at >= self._quiet_seconds:
            self._quiet_seconds = min(2 * self._quiet_seconds, _MOST_QUIET_SECONDS)
            raise ConnectionError(
                f"nothing received for {now - self._quiet_since:.0f} s, "
                "not even an event of our own"
            )

    def _note_sent(self, sending: Future[None], now: float) -> None:
        error = sending.exception()
        self.is_blocked = isinstance(error, BlockedError)
        if error is None:
            self._sent_at = now
            return
        self._quiet_since, self._sending = now, None
        if self.is_blocked:
            return  # it may end any time: look again soon
        self._quiet_seconds = min(2 * self._quiet_seconds, _MOST_QUIET_SECONDS)
        if not self._was_told:
            self._was_told = True
            log.info(
                "no event of our own can be sent (%s): a subscription that is dead is not noticed",
                one_line(error),
            )
