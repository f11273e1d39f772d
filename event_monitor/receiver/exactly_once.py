"""Exactly once: what a queue that outlives us demands of the pipeline.

Counts are written down before their messages are acknowledged, with what must be known to go on.
"""

from __future__ import annotations

from ..over_sqs.configuration import EventQueue
from ..settings import Settings
from ..snapshot import AckToken, Snapshot
from .checkpoint import Checkpoint
from .durable import DurableQueue
from .ledger import Ledger
from .sender_order import MAX_SENDERS, Position
from .sqs import SqsSource

__all__ = ["ExactlyOnce"]


class ExactlyOnce:
    """Goes on from a checkpoint, and makes the next ones. ``restore`` it before use.

    ``queue`` is for the subscription, or ``sqs`` where events are in an ``event_queue`` of SQS.
    ``should_hurry`` belongs to the receiving thread, ``checkpoint``, ``is_ours`` and ``discard`` to
    that of the camera.
    """

    def __init__(self, settings: Settings, event_queue: EventQueue | None = None) -> None:
        self._settings = settings
        self._event_queue = event_queue
        self._unsettled = 0  # messages counted since the last hurried shot
        self.restore(Checkpoint())

    def restore(self, checkpoint: Checkpoint) -> None:
        """Take over what the process before us had counted. Call it before anything is received."""
        settings = self._settings
        # The process before us may have been allowed more messages than we are.
        limit = max(settings.durable_prefetch, Ledger.count(checkpoint.digests))
        self.queue: DurableQueue | None = None
        self.sqs: SqsSource | None = None
        # What is on disk must match the windows on disk, so it has its own ledger and positions:
        # the subscription is already ahead, with what was counted since the last shot.
        self._counted = Ledger(limit, checkpoint.digests)
        self._positions = dict(checkpoint.senders)
        if self._event_queue is not None:
            self.sqs = SqsSource.after(self._event_queue, checkpoint.senders)
            return
        self.queue = DurableQueue(
            name=settings.durable_queue,
            prefetch=settings.durable_prefetch,
            max_length=settings.durable_max_messages,
            expires_seconds=settings.durable_expire_seconds,
            ledger=Ledger(limit, checkpoint.digests),
        )

    def should_hurry(self, token: AckToken) -> bool:
        """Return whether messages just counted must not wait for the next boundary.

        So it is when half of what may be unacknowledged is: at the other half the broker would
        stop sending.
        """
        self._unsettled += len(token.digests)
        if self._unsettled < self._settings.durable_prefetch // 2:
            return False
        self._unsettled = 0
        return True

    def is_ours(self, snapshot: Snapshot) -> bool:
        """Return whether nobody else gets its messages, though another monitor may read now."""
        return self.sqs is not None and self.sqs.are_ours(snapshot.ack_tokens)

    def discard(self, snapshot: Snapshot) -> None:
        """Note that what is counted here is not published: it counts if it comes to us again.

        That may be, though the queue is another monitor's: it may be the connection before ours.
        """
        if self.sqs is not None:
            self.sqs.give_up(snapshot.ack_tokens)
        if self.queue is not None:
            for token in snapshot.ack_tokens:
                # Others came again, and were counted in a window before.
                new = (digest for digest in token.digests if digest not in self._counted)
                self.queue.ledger.forget(new)

    def checkpoint(self, snapshot: Snapshot) -> bytes:
        """Return what is to be written with the counts of this snapshot. Once for each snapshot."""
        for token in snapshot.ack_tokens:
            for digest in token.digests:
                self._counted.add(digest)
            for sender, next_seq, dropped in token.positions:
                self._positions.pop(sender, None)
                self._positions[sender] = Position(next_seq, dropped)
        too_many = max(0, len(self._positions) - MAX_SENDERS)
        for sender in tuple(self._positions)[:too_many]:  # who sent last is last
            del self._positions[sender]
        return Checkpoint(self._counted.to_bytes(), snapshot.in_flight, self._positions).encode()
