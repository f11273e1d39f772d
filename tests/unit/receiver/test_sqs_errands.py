"""SQS errands: deletes, what is given back, the lease: in this order at the end."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import pytest

from event_monitor.receiver.sqs_errands import Errands
from event_monitor.receiver.sqs_lease import RENEW_SECONDS, SqsLease
from event_monitor.receiver.sqs_requests import RawMessage, SqsError, SqsQueue
from event_monitor.testing import FakeClock

from ...support.waiting import wait_until


class Recorder(SqsQueue):
    """A queue that notes what it is asked, and does so only when it is let."""

    def __init__(self) -> None:
        super().__init__("recorder")
        self.asked: list[tuple[str, int]] = []
        self.is_let = threading.Event()
        self.is_let.set()
        self.trouble: SqsError | None = None

    def receive(
        self, most: int = 10, *, wait_seconds: int, visibility_seconds: int
    ) -> list[RawMessage]:
        """Hand out the lease."""
        self._note("receive", most + wait_seconds + visibility_seconds)
        return [{"Body": "", "ReceiptHandle": "lease"}]

    def delete(self, handles: Sequence[str]) -> None:
        """Delete these."""
        self._note("delete", len(handles))

    def change_visibility(self, handles: Sequence[str], seconds: int) -> None:
        """Show these again."""
        assert seconds == 0
        self._note("give back", len(handles))

    def renew(self, handle: str, seconds: int) -> None:
        """Renew the lease, or release it."""
        assert handle == "lease"
        self._note("renew", seconds)

    def counts(self) -> tuple[int, int]:
        """Return how many wait."""
        self._note("count", 0)
        return 7, 0

    def _note(self, what: str, number: int) -> None:
        assert self.is_let.wait(30)
        self.asked.append((what, number))
        if self.trouble is not None:
            raise self.trouble


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def queue() -> Recorder:
    return Recorder()


@pytest.fixture
def lease(clock: FakeClock, queue: Recorder) -> SqsLease:
    lease = SqsLease(clock=clock)
    lease.turn(queue)
    return lease


def errands(queue: Recorder, lease: SqsLease, clock: FakeClock) -> Errands:
    made = Errands(queue, lease=lease, lease_queue=queue, clock=clock)
    made.start()
    wait_until(lambda: made.queue_length == 7, 30, "the messages that wait are counted")
    queue.asked.clear()
    return made


def test_at_the_end_all_is_deleted_before_another_monitor_may_read(
    clock: FakeClock, queue: Recorder, lease: SqsLease
) -> None:
    """It would count again what is not deleted; what is given back it gets."""
    made = errands(queue, lease, clock)
    queue.is_let.clear()
    made.give_back(["1", "2"])
    made.delete(str(number) for number in range(25))
    queue.is_let.set()
    made.finish(30, leave=True)
    others = [asked for asked in queue.asked if asked[0] != "give back"]
    assert others == [("delete", 10), ("delete", 10), ("delete", 5), ("renew", 0)]
    assert ("give back", 2) in queue.asked
    assert not lease.is_held


def test_the_lease_is_renewed_in_time(clock: FakeClock, queue: Recorder, lease: SqsLease) -> None:
    """However much there is to delete."""
    made = errands(queue, lease, clock)
    clock.advance(RENEW_SECONDS)
    made.delete(["1"])
    wait_until(lambda: len(queue.asked) >= 2, 30, "both are done")
    assert queue.asked[:2] == [("renew", 60), ("delete", 1)]
    made.finish(30, leave=False)
    assert lease.is_held


def test_an_errand_that_fails_is_told_once_and_stops_nothing(
    clock: FakeClock, queue: Recorder, lease: SqsLease, caplog: pytest.LogCaptureFixture
) -> None:
    """Its messages come again."""
    made = errands(queue, lease, clock)
    queue.trouble = SqsError("AccessDenied")
    made.delete(str(number) for number in range(20))
    wait_until(lambda: len(queue.asked) == 2, 30, "both are tried")
    queue.trouble = None
    made.delete(["20"])
    wait_until(lambda: queue.asked[2:] == [("delete", 1)], 30, "the next is done")
    made.finish(30, leave=False)
    assert [record.getMessage() for record in caplog.records] == [
        "the event queue is read, but: AccessDenied"
    ]
