"""SQS errands: what is asked of the event queue beside receiving, in a thread of its own.

Messages are deleted and given back, the lease is renewed, and the messages that wait are counted:
nobody who receives waits for any of it.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Iterable

from ..clock import Clock
from .sqs_lease import RENEW_SECONDS, SqsLease
from .sqs_requests import BATCH, SqsError, SqsQueue

__all__ = ["Errands"]

log = logging.getLogger(__name__)

_COUNT_SECONDS = 60.0
_AGAIN_SECONDS = 4.0  # after a renewal that failed: several fit before the lease is lost
_LOOK_SECONDS = 1.0
_REPEAT_SECONDS = 300.0


class Errands:
    """``start`` it, hand it errands, ``finish`` it. Thread-safe.

    ``lease_queue`` is None where there is no lease. A request that fails is not repeated: its
    messages come again.
    """

    def __init__(
        self, queue: SqsQueue, *, lease: SqsLease, lease_queue: SqsQueue | None, clock: Clock
    ) -> None:
        self.queue_length: int | None = None
        self._queue = queue
        self._lease = lease
        self._lease_queue = lease_queue
        self._clock = clock
        self._deleted: deque[str] = deque()
        self._returned: deque[str] = deque()
        self._wake = threading.Event()
        self._is_finishing = False
        self._is_left = False
        self._counted_at = self._told_at = float("-inf")
        self._lease_due_at = clock.monotonic() + RENEW_SECONDS
        self._thread = threading.Thread(target=self._run, name="sqs-errands", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def delete(self, handles: Iterable[str]) -> None:
        """Delete these messages soon."""
        self._deleted.extend(handles)
        self._wake.set()

    def give_back(self, handles: Iterable[str]) -> None:
        """Let SQS hand out these messages again, soon."""
        self._returned.extend(handles)
        self._wake.set()

    def finish(self, seconds: float, *, leave: bool) -> None:
        """End when all is done, after so long at the latest; ``leave``: release the lease, too."""
        self._is_left, self._is_finishing = leave and self._lease_queue is not None, True
        self._wake.set()
        if self._thread.ident is not None:
            self._thread.join(seconds)

    def wait(self, seconds: float) -> None:
        """Wait until nothing is left to delete, for so long at the most."""
        deadline = self._clock.monotonic() + seconds
        while self._deleted and self._thread.is_alive() and self._clock.monotonic() < deadline:
            self._thread.join(0.01)

    def _run(self) -> None:
        while not (self._is_finishing and not (self._deleted or self._returned or self._is_left)):
            self._wake.clear()
            try:
                self._run_one()
            except SqsError as error:
                self._tell(error)
                if self._is_finishing:
                    return
            except Exception:
                log.exception("an errand to SQS failed")
            if not (self._deleted or self._returned or self._is_finishing):
                self._wake.wait(_LOOK_SECONDS)

    def _run_one(self) -> None:
        now = self._clock.monotonic()
        if self._is_finishing:
            if self._is_left and self._lease_queue is not None and not self._deleted:
                self._is_left = False
                self._lease.release(self._lease_queue)  # who reads on gets what is given back
        elif self._lease_queue is not None and now >= self._lease_due_at:
            self._lease_due_at = now + _AGAIN_SECONDS
            self._lease.turn(self._lease_queue)
            self._lease_due_at = now + RENEW_SECONDS
        if self._deleted:
            self._queue.delete(_taken(self._deleted))
        elif self._returned:
            self._queue.change_visibility(_taken(self._returned), 0)
        elif now - self._counted_at >= _COUNT_SECONDS and not self._is_finishing:
            self._counted_at = now
            self.queue_length = None
            self.queue_length = self._queue.counts()[0]

    def _tell(self, error: SqsError) -> None:
        """Log it now and then: what has to do with receiving tells of an outage."""
        now = self._clock.monotonic()
        if now - self._told_at >= _REPEAT_SECONDS:
            self._told_at = now
            log.warning("the event queue is read, but: %s", error)


def _taken(handles: deque[str]) -> list[str]:
    return [handles.popleft() for _ in range(min(BATCH, len(handles)))]
