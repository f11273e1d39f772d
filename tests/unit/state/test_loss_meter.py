"""Loss meter: exactly what was swallowed, and nothing when all came."""

from __future__ import annotations

import random

from event_monitor.state.loss_meter import LossMeter


def test_what_the_process_did_before_the_first_heartbeat_is_not_our_loss() -> None:
    """A monitor that starts late begins there."""
    meter = LossMeter()
    assert meter.heartbeat(10.0, 500) == 0
    assert meter.heartbeat(12.0, 500) == 0
    assert meter.heartbeat(14.0, 500) == 0


def test_events_that_come_after_the_heartbeat_that_counts_them_are_not_lost() -> None:
    """Task events are buffered behind heartbeats."""
    meter = LossMeter()
    meter.heartbeat(10.0, 0)
    assert meter.heartbeat(12.0, 2) == 0
    meter.started(11.0)
    meter.started(11.5)
    assert meter.heartbeat(14.0, 2) == 0


def test_what_is_missing_at_two_heartbeats_in_a_row_is_lost_and_told_once() -> None:
    """Exactly."""
    meter = LossMeter()
    meter.heartbeat(10.0, 0)
    meter.started(11.0)
    assert meter.heartbeat(12.0, 121) == 0
    assert meter.heartbeat(14.0, 121) == 0
    assert meter.heartbeat(16.0, 121) == 120
    assert meter.heartbeat(18.0, 121) == 0


def test_a_start_stamped_just_after_the_heartbeat_that_counts_it_is_not_lost() -> None:
    """In a pool of threads the heartbeat may come between the two."""
    meter = LossMeter()
    meter.heartbeat(10.0, 0)
    assert meter.heartbeat(12.0, 1) == 0
    meter.started(12.001)
    assert [meter.heartbeat(at, 1) for at in (14.0, 16.0, 18.0)] == [0, 0, 0]
    assert meter.settle() == 0


def test_a_clock_stepped_back_begins_a_new_reckoning() -> None:
    """The worker goes on counting; what it says of the time is of no use for what came before."""
    meter = LossMeter()
    meter.heartbeat(10_000.0, 5)
    meter.heartbeat(10_002.0, 5)
    assert meter.heartbeat(6_404.0, 6) == 0
    meter.started(6_405.0)
    assert [meter.heartbeat(at, 9) for at in (6_406.0, 6_408.0, 6_410.0)] == [0, 0, 2]


def test_heartbeats_delivered_again_begin_nothing() -> None:
    """They say less than is known."""
    meter = LossMeter()
    meter.heartbeat(10.0, 0)
    meter.heartbeat(40.0, 5)
    for n in range(5):
        meter.started(20.0 + n)
    assert meter.heartbeat(12.0, 1) == 0
    assert [meter.heartbeat(at, 5) for at in (42.0, 44.0, 46.0)] == [0, 0, 0]


def test_new_tasks_do_not_hide_older_losses() -> None:
    """By timestamps, so that a busy worker is reckoned as exactly as an idle one."""
    meter = LossMeter()
    meter.heartbeat(10.0, 0)
    meter.heartbeat(12.0, 7)
    for n in range(100):
        meter.started(12.1 + n / 100)
    assert meter.heartbeat(14.0, 107) == 0
    assert meter.heartbeat(16.0, 107) == 7
    assert meter.heartbeat(18.0, 107) == 0


def test_a_stale_heartbeat_changes_nothing() -> None:
    """Order may break over a reconnect."""
    meter = LossMeter()
    meter.heartbeat(10.0, 0)
    meter.heartbeat(12.0, 5)
    assert meter.heartbeat(11.0, 3) == 0
    assert meter.settle() == 5


def test_any_losses_among_any_load_are_found_exactly() -> None:
    """A thousand random histories: what is told is what was swallowed."""
    rng = random.Random(5)
    for _ in range(1_000):
        meter, now, processed, swallowed, told = LossMeter(), 0.0, rng.randrange(9), 0, 0
        buffered: list[float] = []
        told += meter.heartbeat(now, processed)
        for _ in range(rng.randrange(1, 30)):
            now += 1.0
            if rng.random() < 0.3:
                told += meter.heartbeat(now, processed)
                for at in buffered:  # the buffer is flushed at the latest by the next heartbeat
                    meter.started(at)
                buffered.clear()
            elif rng.random() < 0.2:
                processed += 1
                swallowed += 1
            else:
                processed += 1
                buffered.append(now)
        for at in buffered:
            meter.started(at)
        told += meter.heartbeat(now + 1, processed)
        told += meter.heartbeat(now + 2, processed)
        told += meter.heartbeat(now + 3, processed)
        assert told == swallowed
