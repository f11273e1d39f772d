"""Gate: what other monitors hold as well is sent by one of them, and only while it leads."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import pytest

from event_monitor.clock import SYSTEM_CLOCK, Clock
from event_monitor.metrics import Metric
from event_monitor.publisher import Publisher
from event_monitor.publisher.spool import Spool
from event_monitor.sinks import Outcome
from event_monitor.testing import FakeClock, MemorySink

from ...contracts.sink import count
from ...support.waiting import wait_until
from .conftest import DEADLINE, OpenSpool

FIRST, SECOND, OWN = (count(value=1),), (count(value=2),), (count(value=3),)


class Gate:
    """A gate in the test's hands; ``told`` is what the others hear of it."""

    def __init__(
        self, *, leads: bool = True, heirs: bool = True, clock: Clock = SYSTEM_CLOCK
    ) -> None:
        self.is_leading, self.heirs = leads, heirs
        self._clock = clock
        self.ours: set[str] = set()
        self.gave_way_at: list[float] = []
        self.doubted: set[str] = set()
        self.told: list[tuple[str, str]] = []

    def leads(self) -> bool:
        return self.is_leading

    def stands_by(self) -> bool:
        return not self.is_leading

    def give_way(self) -> bool:
        self.gave_way_at.append(self._clock.monotonic())
        return True

    def has_heirs(self, window: str) -> bool:
        return self.heirs and window not in self.ours

    def is_ours(self, window: str) -> bool:
        return window in self.ours

    def admit(self, window: str) -> Literal["send", "wait", "doubt"]:
        if window in self.doubted:
            self.doubted.remove(window)
            return "doubt"
        return "send"

    def begin(self, window: str) -> bool:
        self.told.append(("sending", window))
        return True

    def end(self, window: str, *, accepted: bool) -> None:
        self.told.append(("accepted" if accepted else "unsent", window))


class RequestSink(MemorySink):
    """Makes a request of each metric, and asks before each."""

    def __init__(self) -> None:
        super().__init__()
        self.may_send: Callable[[], bool] = lambda: True
        self.reached = threading.Event()
        self.go_on = threading.Event()

    def send(self, metrics: tuple[Metric, ...]) -> Outcome:
        for place, metric in enumerate(metrics):
            if not self.may_send():
                return Outcome(unsent=metrics[place:])
            super().send((metric,))
            self.reached.set()
            self.go_on.wait(DEADLINE)
        return Outcome()


class FailingSink(MemorySink):
    """Accepts nothing, and takes its time."""

    def __init__(self, clock: FakeClock, *, seconds: float) -> None:
        super().__init__()
        self._clock, self._seconds = clock, seconds
        self.began_at = clock.monotonic()
        self.failures = 0
        self.on_failure: Callable[[], object] = lambda: None

    def send(self, metrics: tuple[Metric, ...]) -> Outcome:
        self._clock.advance(self._seconds)
        self.failures += 1
        self.on_failure()
        return Outcome(unsent=metrics, failures=1, error="told to fail")


@pytest.fixture
def spool(open_spool: OpenSpool) -> Spool:
    return open_spool("")


@pytest.fixture
def sink() -> MemorySink:
    return MemorySink()


def started(
    sink: MemorySink,
    spool: Spool,
    gate: Gate,
    *,
    drops: bool = False,
    clock: Clock = SYSTEM_CLOCK,
) -> Publisher:
    publisher = Publisher(
        sink, spool, gate=gate, drop_doubtful=drops, backoff=lambda _: 0.01, clock=clock
    )
    publisher.start()
    return publisher


def test_a_leader_tells_what_it_sends_before_and_afterwards(sink: MemorySink, spool: Spool) -> None:
    """What nobody else holds is nobody's business."""
    gate = Gate()
    publisher = started(sink, spool, gate)
    publisher.publish(FIRST, shared_as="a")
    wait_until(lambda: len(gate.told) == 2, DEADLINE, "it is sent")
    publisher.publish(OWN)

    assert publisher.close(DEADLINE) == 0
    assert gate.told == [("sending", "a"), ("accepted", "a")]
    assert sink.metrics == (*FIRST, *OWN)


def test_what_only_a_standby_holds_it_sends_itself(sink: MemorySink, spool: Spool) -> None:
    """And tells whoever may have held it once."""
    gate = Gate(leads=False)
    gate.ours = {"a"}
    publisher = started(sink, spool, gate)
    publisher.publish(FIRST, shared_as="a")
    publisher.publish(SECOND, shared_as="b")
    wait_until(lambda: len(sink.metrics) == 1, DEADLINE, "it is sent")
    publisher.close(DEADLINE)

    assert sink.metrics == FIRST
    assert gate.told == [("accepted", "a")]
    assert publisher.inherited == 1


def test_a_leader_from_whom_nothing_is_accepted_lets_another_try(
    spool: Spool, clock: FakeClock
) -> None:
    """As one that alone cannot reach CloudWatch; where all fail they do not take turns."""
    sink = FailingSink(clock, seconds=7)
    gate = Gate(clock=clock)
    publisher = started(sink, spool, gate, clock=clock)
    publisher.publish(FIRST, shared_as="a")
    wait_until(lambda: len(gate.gave_way_at) > 1, DEADLINE, "it gives way, and once more")
    publisher.close(DEADLINE)

    first, second, *_ = gate.gave_way_at
    assert 20 <= first - sink.began_at < 40
    assert 300 <= second - first < 320


def test_what_only_a_standby_holds_and_may_have_been_sent_is_counted(
    sink: MemorySink, spool: Spool
) -> None:
    """The leader, which came later, does not know of it."""
    gate = Gate(leads=False)
    gate.ours, gate.doubted = {"a"}, {"a"}
    publisher = started(sink, spool, gate)
    publisher.publish(FIRST, shared_as="a")
    wait_until(lambda: len(sink.metrics) == 1, DEADLINE, "it is sent")
    publisher.close(DEADLINE)

    assert publisher.report().ambiguous == 1


def test_what_failed_for_another_leader_is_no_failure_of_ours(
    spool: Spool, clock: FakeClock
) -> None:
    """Who leads again after an hour tries for as long as any other."""
    sink = FailingSink(clock, seconds=7)
    gate = Gate(clock=clock)
    sink.on_failure = lambda: setattr(gate, "is_leading", sink.failures != 2)
    publisher = started(sink, spool, gate, clock=clock)
    publisher.publish(FIRST, shared_as="a")
    wait_until(lambda: not gate.is_leading, DEADLINE, "it leads no more")
    clock.advance(3_600)
    led_at = clock.monotonic()
    gate.is_leading = True
    wait_until(lambda: bool(gate.gave_way_at), DEADLINE, "it gives way")
    publisher.close(DEADLINE)

    assert gate.gave_way_at[0] - led_at >= 20


@pytest.mark.parametrize("has_disk", [False, True])
def test_at_the_end_others_are_told_of_what_is_on_disk_when_all_of_it_is(
    open_spool: OpenSpool, clock: FakeClock, tmp_path: Path, has_disk: bool
) -> None:
    """What dies with us they may have, if they come back, and send."""
    sink = FailingSink(clock, seconds=1)
    gate = Gate(heirs=False)
    publisher = started(sink, open_spool(str(tmp_path) if has_disk else ""), gate, clock=clock)
    for window in "abc":
        publisher.publish(FIRST, shared_as=window)
    wait_until(lambda: sink.failures > 0, DEADLINE, "it fails")
    assert publisher.close(0.1) == 3

    accepted = [window for what, window in gate.told if what == "accepted"]
    assert accepted == (["a", "b", "c"] if has_disk else [])


def test_a_leader_from_whom_nothing_is_accepted_leaves_all_to_others_at_the_end(
    spool: Spool, clock: FakeClock
) -> None:
    """It does not try until its time is over: they wait to lead."""
    sink = FailingSink(clock, seconds=1)
    gate = Gate()
    publisher = started(sink, spool, gate, clock=clock)
    publisher.publish(FIRST, shared_as="a")
    wait_until(lambda: sink.failures >= 3, DEADLINE, "it fails")
    publisher.close(DEADLINE)

    assert sink.failures <= 4
    assert publisher.inherited == 1


def test_a_standby_keeps_what_is_shared_and_sends_it_when_it_leads(
    sink: MemorySink, spool: Spool
) -> None:
    """In its order, without what was accepted meanwhile."""
    gate = Gate(leads=False)
    publisher = started(sink, spool, gate)
    publisher.publish(FIRST, shared_as="a")
    publisher.publish(SECOND, shared_as="b")
    publisher.publish(OWN)
    wait_until(lambda: sink.metrics == OWN, DEADLINE, "its own is sent")
    assert publisher.report().unsent == 0
    publisher.settle("a")

    gate.is_leading = True
    publisher.wake()
    wait_until(lambda: sink.metrics == (*OWN, *SECOND), DEADLINE, "the rest is sent")
    assert publisher.close(DEADLINE) == 0


@pytest.mark.parametrize("drops", [False, True], ids=["retry", "drop"])
def test_what_was_under_way_when_the_leader_died_is_counted(
    sink: MemorySink, spool: Spool, *, drops: bool
) -> None:
    """And sent again, or not, as the setting says."""
    gate = Gate(leads=False)
    gate.doubted = {"a"}
    publisher = started(sink, spool, gate, drops=drops)
    publisher.publish(FIRST, shared_as="a")
    publisher.publish(SECOND, shared_as="b")
    gate.is_leading = True
    publisher.close(DEADLINE)

    assert sink.metrics == (SECOND if drops else (*FIRST, *SECOND))
    report = publisher.report()
    assert (report.ambiguous, report.dropped) == (1, int(drops))


def test_a_send_ends_where_the_leadership_does(spool: Spool) -> None:
    """The rest waits, and nobody says that all was accepted; it is no failure."""
    sink, gate = RequestSink(), Gate()
    publisher = started(sink, spool, gate)
    publisher.publish((*FIRST, *SECOND), shared_as="a")
    assert sink.reached.wait(DEADLINE)
    gate.is_leading = False
    sink.go_on.set()
    publisher.close(DEADLINE)

    assert sink.metrics == FIRST
    assert gate.told == [("sending", "a")]
    assert publisher.report().failures == 0


def test_a_refusal_leaves_no_doubt(sink: MemorySink, spool: Spool) -> None:
    """Nothing has arrived, and whoever comes next may send it."""
    sink.fail(1)
    gate = Gate()
    publisher = started(sink, spool, gate)
    publisher.publish(FIRST, shared_as="a")
    publisher.close(DEADLINE)

    assert gate.told == [("sending", "a"), ("unsent", "a"), ("sending", "a"), ("accepted", "a")]


def test_what_nobody_else_holds_any_more_outlives_the_process(
    sink: MemorySink, open_spool: OpenSpool
) -> None:
    """On disk, where there is one."""
    gate = Gate(heirs=False)
    sink.fail(1_000)
    publisher = started(sink, open_spool(), gate)
    publisher.publish(FIRST, shared_as="a")

    assert publisher.close(0.2) == 1
    batch = open_spool().oldest()
    assert batch is not None
    assert batch.metrics == FIRST
