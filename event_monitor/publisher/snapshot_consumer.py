"""Snapshot consumer: a snapshot becomes metrics in the spool; then its messages are settled."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import NamedTuple

from ..metrics import metrics_from
from ..settings import Settings
from ..snapshot import AckToken, BrokerLink, Snapshot
from .publisher import Publisher

__all__ = ["SnapshotPublisher"]

log = logging.getLogger(__name__)


class SnapshotPublisher:
    """Publishes each snapshot, as a ``SnapshotConsumer``; waits for no network. One shot at a time.

    ``checkpoint`` makes what has to be written with the counts before their messages may be
    acknowledged, and ``acknowledge`` does that; both only where messages need it. What is not on
    disk, without ``checkpoint`` or as the disk fails, is acknowledged when the sink has all of it,
    which the publisher's thread tells by ``note_accepted``. ``is_ours`` tells whether a window is
    to be published though another monitor reads the queue at its end; ``discard`` gets those that
    are not.
    """

    def __init__(
        self,
        publisher: Publisher,
        settings: Settings,
        *,
        checkpoint: Callable[[Snapshot], bytes] | None = None,
        acknowledge: Callable[[AckToken], bool] | None = None,
        is_ours: Callable[[Snapshot], bool] | None = None,
        discard: Callable[[Snapshot], None] | None = None,
    ) -> None:
        self._publisher = publisher
        self._settings = settings
        self._checkpoint = checkpoint
        self._acknowledge = acknowledge
        self._is_ours = is_ours
        self._discard = discard
        self._lock = threading.Lock()  # so that two threads acknowledge one after the other
        self._counted: _Numbered | None = None  # the latest token that came
        self._published: _Numbered | None = None  # its counts are in the spool
        self._acknowledged = 0  # the number of that token; they are acknowledged in order
        self._needs_checkpoint = False
        self._is_safe = True  # what was published last, and all before it

    @property
    def comes_again(self) -> bool:
        """Whether messages come again to a successor that cannot know that they were counted."""
        with self._lock:
            counted = self._counted
            is_open = counted is not None and counted.number > self._acknowledged
            return is_open and not self._is_safe

    def __call__(self, snapshot: Snapshot) -> None:
        """Turn the snapshot into metrics and keep them until they are sent.

        A standby has nothing to publish: who leads does, its own heartbeat as well.
        """
        if self._is_others(snapshot):
            return
        metrics = metrics_from(snapshot, self._settings)
        if snapshot.ack_tokens:
            number = 1 if self._counted is None else self._counted.number + 1
            self._counted = _Numbered(number, snapshot.ack_tokens[-1])
            self._needs_checkpoint = True
        if self._checkpoint is None or not self._needs_checkpoint:
            self._publisher.publish(metrics, shared_as=snapshot.shared_as)
            self._published = self._counted  # not before: it may be asked for at any time
            self.note_accepted()  # which may have come before the line above
            return
        is_safe = self._publisher.publish(metrics, checkpoint=self._checkpoint(snapshot))
        self._is_safe, self._published = is_safe, self._counted
        if not is_safe:
            self.note_accepted()
        # What is not safe the broker keeps for us.
        if is_safe and self._counted is not None and self._acknowledge_up_to(self._counted):
            self._needs_checkpoint = False

    def _is_others(self, snapshot: Snapshot) -> bool:
        """Return whether another monitor publishes what is counted here."""
        if snapshot.is_kept and snapshot.link is not BrokerLink.STANDBY:
            return False
        if not snapshot.ack_tokens:
            return True
        if snapshot.is_kept and self._is_ours is not None and self._is_ours(snapshot):
            return False
        if self._discard is not None:
            self._discard(snapshot)
        log.warning(
            "the queue of events is another monitor's now: %d events that were counted here, and "
            "not published, are left to it",
            snapshot.window.events_received,
        )
        return True

    def note_accepted(self) -> None:
        """Acknowledge what was published, if all of it has arrived. Any thread may call it.

        Of what is on disk nobody has to wait for that.
        """
        published = self._published  # before the next line: what comes after is not asked about
        if published is not None and self._publisher.is_all_safe:
            self._acknowledge_up_to(published)

    def _acknowledge_up_to(self, counted: _Numbered) -> bool:
        """Acknowledge the messages up to this token, once; return whether they are."""
        with self._lock:
            if counted.number <= self._acknowledged:
                return True
            if self._acknowledge is None or not self._acknowledge(counted.token):
                return False  # the next token acknowledges them, too
            self._acknowledged = counted.number
            return True


class _Numbered(NamedTuple):
    """A token, and the how many-th it is."""

    number: int
    token: AckToken
