"""Outgoing: how often a worker speaks of itself over SQS, and what it says of that."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import pytest
from celery import Celery

from event_monitor.over_sqs.configuration import EventQueue, remember_event_queue
from event_monitor.over_sqs.outgoing import Outgoing
from event_monitor.over_sqs.sender import Sender, sender_of
from event_monitor.testing import FakeClock


class Kept(Sender):
    """A sender that keeps what it is given."""

    def __init__(self, queue: EventQueue) -> None:
        super().__init__(queue, {})
        self.events: list[dict[str, object]] = []

    def put_heartbeat(self, event: dict[str, object]) -> None:
        self.events.append(event)

    def note_beat(self) -> None:
        """Write no note."""


@pytest.fixture
def app() -> Iterator[Celery]:
    app = Celery("shop", broker="memory://", set_as_current=False)
    yield app
    app.close()


@pytest.mark.parametrize("late", [0.0, 0.3, 0.6, 0.9])  # a worker of the solo pool is busy
@pytest.mark.parametrize(
    ("beat_seconds", "celerys", "between"),
    [
        (20, 2.0, 20.0),
        (5, 2.0, 4.0),
        (7, 2.0, 6.0),
        (3, 2.0, 2.0),
        (1, 2.0, 2.0),
        (20, 3.0, 18.0),
        (20, 30.0, 30.0),
        (0.5, 0.1, 0.5),
    ],
)
def test_a_worker_never_beats_faster_than_it_says(
    app: Celery, beat_seconds: float, celerys: float, between: float, late: float
) -> None:
    """Who does is taken for two workers of one name; Celery's own timer sets the steps."""
    # Given
    remember_event_queue(app, EventQueue(beat_seconds=beat_seconds))
    kept = Kept(EventQueue(beat_seconds=beat_seconds))
    app._event_monitor_sender = kept
    assert sender_of(app) is kept
    clock = FakeClock()
    outgoing = Outgoing(app, clock=clock)

    # When
    times: list[float] = []
    for _ in range(100):
        before = len(kept.events)
        outgoing.hand_over({"type": "worker-heartbeat", "freq": celerys, "processed": 0})
        if len(kept.events) > before:
            times.append(clock.monotonic())
        clock.advance(celerys * (1 + late))

    # Then
    steps = {round(after - before, 3) for before, after in pairwise(times)}
    if late:
        assert min(steps) >= 0.95 * between
    else:
        assert steps == {between}
    assert {round(float(str(event["freq"])), 3) for event in kept.events} == {between}
