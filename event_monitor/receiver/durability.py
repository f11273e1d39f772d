"""Durability: what a queue that outlives us asks of the service.

Counts are written down before their messages are acknowledged, with what must be known to go on.
"""

from __future__ import annotations

from ..settings import Settings
from ..snapshot import AckToken, Snapshot
from .checkpoint import Checkpoint
from .durable import DurableQueue
from .ledger import Ledger

__all__ = ["Durability"]


class Durability:
    """Goes on from a checkpoint, and makes the next ones.

    ``terms`` are for the subscription. ``seen`` belongs to the receiving thread, ``checkpoint``
    to the camera's.
    """

    def __init__(self, settings: Settings, checkpoint: Checkpoint) -> None:
        # The process before us may have been allowed more messages than we are.
        limit = max(settings.durable_prefetch, Ledger.count(checkpoint.digests))
        self.terms = DurableQueue(
            name=settings.durable_queue,
            prefetch=settings.durable_prefetch,
            max_length=settings.durable_max_messages,
            expires_seconds=settings.durable_expire_seconds,
            ledger=Ledger(limit, checkpoint.digests),
        )
        # What is on disk must match the windows on disk, so it has a ledger of its own: the other
        # is already ahead, with what was counted since the last shot.
        self._counted = Ledger(limit, checkpoint.digests)
        self._unsettled = 0

    def seen(self, token: AckToken) -> bool:
        """Messages were counted; returns whether they should not wait for the next boundary.

        Half of what may be unacknowledged is: at the other half the broker would fall silent.
        """
        self._unsettled += len(token.digests)
        if self._unsettled < self.terms.prefetch // 2:
            return False
        self._unsettled = 0
        return True

    def checkpoint(self, snapshot: Snapshot) -> bytes:
        """What is to be written with the counts of this snapshot. Once for each snapshot."""
        for token in snapshot.ack_tokens:
            for digest in token.digests:
                self._counted.add(digest)
        return Checkpoint(self._counted.to_bytes(), snapshot.in_flight).encode()
