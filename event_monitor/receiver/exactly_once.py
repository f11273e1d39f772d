"""Exactly once: what a queue that outlives us demands of the pipeline.

Counts are written down before their messages are acknowledged, with what must be known to go on.
"""

from __future__ import annotations

from ..settings import Settings
from ..snapshot import AckToken, Snapshot
from .checkpoint import Checkpoint
from .durable import DurableQueue
from .ledger import Ledger

__all__ = ["ExactlyOnce"]


class ExactlyOnce:
    """Goes on from a checkpoint, and makes the next ones. ``restore`` it before use.

    ``queue`` is for the subscription. ``should_hurry`` belongs to the receiving thread,
    ``checkpoint`` to the camera's.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._unsettled = 0  # messages counted since the last hurried shot
        self.restore(Checkpoint())

    def restore(self, checkpoint: Checkpoint) -> None:
        """Take over what the process before us had counted. Call it before anything is received."""
        settings = self._settings
        # The process before us may have been allowed more messages than we are.
        limit = max(settings.durable_prefetch, Ledger.count(checkpoint.digests))
        self.queue = DurableQueue(
            name=settings.durable_queue,
            prefetch=settings.durable_prefetch,
            max_length=settings.durable_max_messages,
            expires_seconds=settings.durable_expire_seconds,
            ledger=Ledger(limit, checkpoint.digests),
        )
        # What is on disk must match the windows on disk, so it has a ledger of its own: the other
        # is already ahead, with what was counted since the last shot.
        self._counted = Ledger(limit, checkpoint.digests)

    def should_hurry(self, token: AckToken) -> bool:
        """Return whether messages just counted must not wait for the next boundary.

        So it is when half of what may be unacknowledged is: at the other half the broker would
        stop sending.
        """
        self._unsettled += len(token.digests)
        if self._unsettled < self.queue.prefetch // 2:
            return False
        self._unsettled = 0
        return True

    def checkpoint(self, snapshot: Snapshot) -> bytes:
        """Return what is to be written with the counts of this snapshot. Once for each snapshot."""
        for token in snapshot.ack_tokens:
            for digest in token.digests:
                self._counted.add(digest)
        return Checkpoint(self._counted.to_bytes(), snapshot.in_flight).encode()
