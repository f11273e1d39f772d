"""First heartbeats: whether each worker that is there has had the time to be heard over SQS.

Who begins to read, or takes over, knows no worker and no running task, and cannot ask: until then
what nobody has reported is unknown, not zero. Pure: every method is told the time.
"""

from __future__ import annotations

from ..over_sqs.configuration import EventQueue

__all__ = ["FirstHeartbeats"]

_BEATS = 2  # the first may have been sent, and read by another monitor, just before
_DELIVERY_SECONDS = 6.0  # gathered, and overtaken for as long as nobody calls it late


class FirstHeartbeats:
    """Awaited since we read. ``begin`` and ``lose`` belong to one thread, ``have_come`` to another.

    What was known stays so while SQS is away, and ends when another monitor reads instead of us.
    """

    def __init__(self, queue: EventQueue) -> None:
        self._seconds = _BEATS * queue.beat_seconds + queue.flush_seconds + _DELIVERY_SECONDS
        self._began_at: float | None = None
        self._turn = 0  # ours to read
        self._known_turn = -1

    def begin(self, now: float) -> None:
        """Note that we read from now on, perhaps again."""
        self._began_at = now

    def lose(self) -> None:
        """Note that another monitor reads."""
        self._began_at = None
        self._turn += 1

    def have_come(self, now: float, *, is_evidence: bool, were_asked: bool = False) -> bool:
        """Return whether all have come by now; workers that ``were_asked`` are known without.

        ``is_evidence``: silence is evidence now; it is none while messages wait for others.
        """
        turn, began_at = self._turn, self._began_at
        has_waited = began_at is not None and now - began_at >= self._seconds
        if were_asked or (is_evidence and has_waited):
            self._known_turn = turn
        return self._known_turn == turn
