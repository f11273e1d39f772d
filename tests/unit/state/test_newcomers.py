"""Newcomers: a monitor that is told by another which workers there are."""

from __future__ import annotations

from .scene import Scene


def test_what_a_worker_did_before_a_newcomer_came_is_not_lost() -> None:
    """It has the worker's last count from the other monitor, and the events since from nobody."""
    # Given a worker that began tasks since its last heartbeat
    old, new = Scene(probe_workers=False), Scene(probe_workers=False)
    worker, same = old.worker(), new.worker()
    worker.hello()
    for _ in range(5):
        old.clock.advance(2)
        worker.beat()
    for number in range(20):
        worker.begin(f"a{number}")
        worker.end(f"a{number}")

    # When the other comes then, and hears the next heartbeats
    new.state.note_past(old.state.past())
    same.processed = worker.processed
    for number in range(6):
        new.clock.advance(0.5)
        same.begin(f"b{number}")
        same.end(f"b{number}")
        new.clock.advance(1.5)
        same.beat()
        new.shoot()

    # Then
    assert [shot.window.events_lost for shot in new.shots] == [()] * 6
