"""Newcomers: a monitor that is told by another which workers there are."""

from __future__ import annotations

import pytest

from .scene import Scene


@pytest.mark.parametrize("is_busy", [False, True])
def test_a_worker_without_heartbeats_is_told_to_no_newcomer(is_busy: bool) -> None:
    """Its silence proves nothing, and that is not known of it there."""
    old, new = Scene(probe_workers=False), Scene(probe_workers=False)
    worker, same = old.worker(), new.worker()
    worker.begin("a")
    worker.end("a")
    old.clock.advance(600)
    new.state.note_past(old.state.past())
    if is_busy:
        same.begin("b")
    for _ in range(30):
        new.clock.advance(10)
        new.shoot()

    assert new.deaths == 0


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
