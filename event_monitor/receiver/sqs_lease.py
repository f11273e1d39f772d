"""SQS lease: which of several monitors reads the event queue, by one message in a FIFO queue.

Who has received that message is the leader; to the others SQS does not show it. The leader keeps it
out of sight, again and again. Who cannot do so in time stops by its own clock before SQS hands the
message to another.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from typing import Protocol

from celery import uuid

from ..clock import SYSTEM_CLOCK, Clock
from .sqs_requests import RawMessage, SqsError

__all__ = ["LEASE_SECONDS", "SqsLease", "lease_name"]

log = logging.getLogger(__name__)

LEASE_SECONDS = 60  # a leader that is dead keeps the others waiting for so long
RENEW_SECONDS = 20.0
_DEAD_SECONDS = LEASE_SECONDS + 2 * RENEW_SECONDS  # by then a lease of the dead was free
_FENCE_SECONDS = LEASE_SECONDS * 2 / 3  # without a renewal; the rest is for clocks that differ
_REPLACE_SECONDS = 6 * 3_600.0  # SQS hands out a message for 12 hours at most
_GROUP = "leader"  # of a group SQS hands out no second message while one is with a reader
#: What SQS says of a handle that was out of our hands for too long.
_TOO_OLD = ("InvalidParameterValue", "ReceiptHandleIsInvalid", "MessageNotInflight")


def lease_name(event_queue: str) -> str:
    """Return the name, or the URL, of the lease's queue."""
    return f"{event_queue}-lease.fifo"


class _LeaseQueue(Protocol):
    """The part of ``SqsQueue`` that a lease needs."""

    def receive(
        self, most: int, *, wait_seconds: int, visibility_seconds: int
    ) -> list[RawMessage]: ...
    def renew(self, handle: str, seconds: int) -> None: ...
    def send(self, body: str, *, group: str, unique: str) -> None: ...
    def delete(self, handles: Sequence[str]) -> None: ...
    def counts(self) -> tuple[int, int]: ...


class SqsLease:
    """Held or not. It outlives the connections to its queue.

    ``is_alone``: there is no such queue, so that nobody else can be told from us. ``was_others``:
    before we got it, another monitor had it, and not the process before us, which has died.
    ``has_another``: it was refused after ours had run out, or what we had read was given up.

    Any thread may call any method.
    """

    def __init__(self, *, clock: Clock = SYSTEM_CLOCK) -> None:
        self.clock = clock
        self._handle: str | None = None
        self._held_since = self._renewed_at = float("-inf")
        self._refused_since: float | None = None  # without a break
        self.has_another = False
        self.was_others = False
        self._was_told = False
        self._lock = threading.Lock()  # the thread of a broken session may be at it still
        self.is_alone = False

    @property
    def is_held(self) -> bool:
        """Whether we may read: SQS shows the message to nobody else yet, whatever happens."""
        return self.is_alone or (
            self._handle is not None and self.clock.monotonic() - self._renewed_at < _FENCE_SECONDS
        )

    @property
    def may_be_anothers(self) -> bool:
        """Whether another monitor may have it by now; none is told from us where we are alone."""
        lapsed = self.clock.monotonic() - self._renewed_at > LEASE_SECONDS
        return not self.is_alone and (self._handle is None or lapsed)

    def take_was_others(self) -> bool:
        """Return ``was_others``, once: what is lost and renewed nobody else has had."""
        was_others, self.was_others = self.was_others, False
        return was_others

    def turn(self, queue: _LeaseQueue) -> None:
        """Renew it, or try to get it; to be called each ``RENEW_SECONDS``.

        Raises ``SqsError`` if SQS is away. Where there is no such queue, or it may not be used, we
        read as if we were the only one.
        """
        try:
            with self._lock:
                if self._handle is not None:
                    self._renew(queue, self._handle)
                if self._handle is None:
                    self._acquire(queue)
        except SqsError as error:
            self._refused_since = None
            self.note_error(error)

    def note_error(self, error: SqsError) -> None:
        """Find out whether there is a lease at all; else raise the error."""
        if not (error.is_absent or error.is_forbidden):
            raise error
        self.is_alone, self._handle = True, None
        if not self._was_told:
            self._was_told = True
            reason = "is not there" if error.is_absent else f"may not be used ({error})"
            log.warning(
                "the lease queue %s, so a second monitor would take a part of the events; "
                "`event-monitor provision` makes it, or run one monitor only",
                reason,
            )

    def release(self, queue: _LeaseQueue) -> None:
        """Let another monitor have it now."""
        handle, self._handle = self._handle, None
        if handle is not None:
            queue.renew(handle, 0)

    def _renew(self, queue: _LeaseQueue, handle: str) -> None:
        now = self.clock.monotonic()
        if now - self._held_since >= _REPLACE_SECONDS:
            queue.send(uuid(), group=_GROUP, unique=uuid())
            self._handle = None  # others may be quicker
            queue.delete([handle])
            self._receive(queue)
            return
        try:
            queue.renew(handle, LEASE_SECONDS)
        except SqsError as error:
            if not error.code.endswith(_TOO_OLD):
                raise  # SQS is away; we hold it as long as our clock says
            self._handle = None
        else:
            self._renewed_at = now

    def _acquire(self, queue: _LeaseQueue) -> None:
        self._receive(queue)
        if self._handle is None and not any(queue.counts()):
            # Two monitors may both find that: one message too many is in the same group, harmless.
            queue.send(uuid(), group=_GROUP, unique=uuid())
            self._receive(queue)

    def _receive(self, queue: _LeaseQueue) -> None:
        now = self.clock.monotonic()  # before the request: SQS counts from later
        messages = queue.receive(1, wait_seconds=0, visibility_seconds=LEASE_SECONDS)
        if not messages:
            self._refused_since = now if self._refused_since is None else self._refused_since
            had_it = self._renewed_at != float("-inf")
            self.has_another |= had_it and now - self._renewed_at > LEASE_SECONDS
            return
        self._handle = messages[0]["ReceiptHandle"]
        self._held_since = self._renewed_at = now
        refused_since, self._refused_since = self._refused_since, None
        is_long_ago = refused_since is not None and now - refused_since > _DEAD_SECONDS
        self.was_others, self.has_another = is_long_ago or self.has_another, False
