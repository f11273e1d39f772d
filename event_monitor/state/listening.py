"""Listening: the link to the broker, and since when the silence of workers is evidence.

Pure: every method is told the time, by our monotonic clock.
"""

from __future__ import annotations

from ..snapshot import BrokerLink

__all__ = ["Listening"]

_SHORTEST_ABSENCE_SECONDS = 5.0  # the receiver runs twice a second
_ABSENCE_FRACTION = 4  # of the workers' grace: shorter pauses of ours make nobody seem dead


class Listening:
    """Whether the workers' events would reach us, and since when without a break.

    They would not while there is no link, while the broker blocks whoever publishes, and while the
    receiver does not run: a process that was stopped, frozen or swapped out finds everybody silent.

    The state's lock protects it, but for ``note_read``, which any thread may call without.
    """

    def __init__(self, *, grace_seconds: float, now: float) -> None:
        self.link = BrokerLink.LISTENING
        self._is_blocked = False
        self._began_at = now
        self._read_at: float | None = None  # when the receiver last ran, if it tells
        self._absence_seconds = max(_SHORTEST_ABSENCE_SECONDS, grace_seconds / _ABSENCE_FRACTION)

    def change_link(self, link: BrokerLink, now: float) -> None:
        """Note that the link has changed; LISTENING again counts silence from now on."""
        self.link, self._began_at = link, now

    def note_blocked(self, is_blocked: bool, now: float) -> None:
        """Note that the broker takes messages from nobody, or does again."""
        self._is_blocked, self._began_at = is_blocked, now

    def note_read(self, now: float) -> None:
        """Note that the receiver runs; if it did not for a while, silence counts from now on."""
        if self._was_absent(now):
            self._began_at = now  # before the next line: another thread may look between them
        self._read_at = now

    def note_events(self, now: float) -> None:
        """Note that events have come; a receiver that tells of its reads may have been stopped."""
        if self._read_at is not None:
            self.note_read(now)

    def since(self, now: float) -> float | None:
        """Return since when silence is evidence; None while it is none."""
        if self.link is not BrokerLink.LISTENING or self._is_blocked or self._was_absent(now):
            return None
        return self._began_at

    def _was_absent(self, now: float) -> bool:
        return self._read_at is not None and now - self._read_at > self._absence_seconds
