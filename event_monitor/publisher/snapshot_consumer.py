"""Snapshot consumer: a snapshot becomes metrics in the spool; then its messages are settled."""

from __future__ import annotations

from collections.abc import Callable

from ..metrics import metrics_from
from ..settings import Settings
from ..snapshot import AckToken, BrokerLink, Snapshot
from .publisher import Publisher

__all__ = ["SnapshotPublisher"]


class SnapshotPublisher:
    """Publishes each snapshot, as a ``SnapshotConsumer``; waits for no network. One shot at a time.

    ``checkpoint`` makes what has to be written with the counts before their messages may be
    acknowledged, and ``acknowledge`` does that; both only where messages need it. Without
    ``checkpoint`` nothing is on disk: they are acknowledged when the sink has all that was
    published, which the publisher's thread tells by ``note_accepted``.
    """

    def __init__(
        self,
        publisher: Publisher,
        settings: Settings,
        *,
        checkpoint: Callable[[Snapshot], bytes] | None = None,
        acknowledge: Callable[[AckToken], bool] | None = None,
    ) -> None:
        self._publisher = publisher
        self._settings = settings
        self._checkpoint = checkpoint
        self._acknowledge = acknowledge
        self._unacknowledged: AckToken | None = None  # counted, but not safe on disk yet
        self._acknowledged: AckToken | None = None
        self._published: AckToken | None = None  # the same, where there is no disk
        self._is_safe = True  # what was published last, and all before it

    @property
    def comes_again(self) -> bool:
        """Whether messages come again to a successor that cannot know that they were counted."""
        return self._unacknowledged is not None and not self._is_safe

    def __call__(self, snapshot: Snapshot) -> None:
        """Turn the snapshot into metrics and keep them until they are sent.

        A standby has nothing to publish: who leads does, its own heartbeat as well.
        """
        if not snapshot.is_kept or snapshot.link is BrokerLink.STANDBY:
            return
        metrics = metrics_from(snapshot, self._settings)
        if snapshot.ack_tokens:
            self._unacknowledged = snapshot.ack_tokens[-1]
        if self._checkpoint is None or self._unacknowledged is None:
            self._publisher.publish(metrics, shared_as=snapshot.shared_as)
            self._published = self._unacknowledged  # not before: it may be asked for at any time
            return
        self._is_safe = self._publisher.publish(metrics, checkpoint=self._checkpoint(snapshot))
        # What is not safe the broker keeps for us; the next token acknowledges it too.
        if self._is_safe and self._acknowledge and self._acknowledge(self._unacknowledged):
            self._unacknowledged = None

    def note_accepted(self) -> None:
        """Acknowledge what was published, if all of it has arrived. Any thread may call it."""
        token = self._published  # before the next line: what comes after it is not asked about
        if token is None or self._acknowledge is None or not self._publisher.has_sent_all:
            return
        if token is not self._acknowledged and self._acknowledge(token):
            self._acknowledged = token
