"""Ids used again: each run has its own queue time, however soon the next one follows."""

from __future__ import annotations

import pytest

from event_monitor.distribution import Distribution
from event_monitor.events import TaskEvent
from event_monitor.snapshot import TaskCounts
from event_monitor.state import State
from event_monitor.testing import FakeClock

from ...support.making import W2, task
from .test_state import shoot


@pytest.fixture
def state() -> State:
    return State(clock=FakeClock())


def counted(state: State) -> TaskCounts:
    ((_, counts),) = shoot(state).window.tasks
    return counts


def run(begin: float) -> list[TaskEvent]:
    """Return the events of a run on a worker that begins then."""
    return [
        task("received", at=begin - 0.1),
        task("started", at=begin),
        task("succeeded", at=begin + 1, runtime=1.0),
    ]


def test_an_id_used_again_after_its_end_waits_from_its_own_sending(state: State) -> None:
    """Its task-sent is not the late one of the run before, which had come."""
    for begin in (1_000.0, 1_100.0, 1_200.0):
        state.observe([task("sent", at=begin - 30), *run(begin)])
    assert counted(state).queue_time == Distribution((30.0,), (3,))
    assert shoot(state).tasks_in_flight == 0


def test_a_late_task_sent_is_that_of_the_run_that_has_ended(state: State) -> None:
    """Short tasks overtake their producer; the sending after that is another run's."""
    state.observe([*run(1_000.0), task("sent", at=999.0)])
    assert shoot(state).tasks_in_flight == 0
    state.observe([task("sent", at=1_050.0)])
    assert shoot(state).tasks_in_flight == 1
    state.observe(run(1_090.0))
    assert counted(state).queue_time == Distribution((40.0,), (1,))


def test_an_id_sent_again_while_it_runs_waits_from_then_on(state: State) -> None:
    """The next message lies in the queue until the first run is over."""
    first, second = run(1_000.0), run(1_100.0)
    state.observe([task("sent", at=990.0, queue="q"), *first[:2]])
    state.observe([task("sent", at=1_000.5, queue="q"), first[2]])
    snapshot = shoot(state)
    assert (snapshot.tasks_in_flight, state.unreceived()["q"].count) == (1, 1)
    state.observe(second)
    assert counted(state).queue_time == Distribution((99.5,), (1,))
    assert shoot(state).tasks_in_flight == 0


def test_an_id_received_again_while_it_runs_keeps_both_times(state: State) -> None:
    """It is prefetched, and waits in the worker."""
    first, second = run(1_000.0), run(1_003.0)
    state.observe([task("sent", at=990.0), *first[:2], task("sent", at=1_000.5)])
    state.observe([second[0], first[2], *second[1:]])
    counts = counted(state)
    assert (counts.received, counts.started, counts.succeeded) == (2, 2, 2)
    assert counts.queue_time == Distribution((2.5, 10.0), (1, 1))
    assert shoot(state).tasks_in_flight == 0


def test_an_id_sent_three_times_before_it_runs_gives_each_run_its_own_wait(state: State) -> None:
    """First in, first out."""
    state.observe([task("sent", at=at) for at in (900.0, 910.0, 920.0)])
    for begin in (1_000.0, 1_002.0, 1_004.0):
        state.observe(run(begin))
    assert counted(state).queue_time == Distribution((84.0, 92.0, 100.0), (1, 1, 1))
    assert shoot(state).tasks_in_flight == 0


def test_a_hard_time_limit_told_twice_does_not_end_the_next_run_of_the_id(state: State) -> None:
    """Celery 5.7 sends task-failed twice."""
    state.observe([task("sent", at=990.0), task("received"), task("started")])
    state.observe([task("sent", at=1_000.5), task("failed"), task("failed")])
    assert (counted(state).failed, shoot(state).tasks_in_flight) == (1, 1)
    state.observe(run(1_100.0))
    assert counted(state).queue_time == Distribution((99.5,), (1,))


def test_a_retry_is_the_same_task_and_no_second_one(state: State) -> None:
    """Its message is sent while the first run still runs, and received before the retry is told."""
    state.observe([task("sent", at=990.0), *run(1_000.0)[:2], task("sent", at=1_000.5)])
    state.observe([task("received", at=1_000.6, on=W2), task("retried", at=1_000.7)])
    state.observe([task("started", at=1_002.5, on=W2), task("succeeded", at=1_003.0, on=W2)])
    counts = counted(state)
    assert (counts.retried, counts.succeeded) == (1, 1)
    assert counts.queue_time == Distribution((2.0, 10.0), (1, 1))
    assert shoot(state).tasks_in_flight == 0


def test_a_rejected_task_whose_id_is_used_again_waits_from_its_own_sending(state: State) -> None:
    """What its first run had is remembered over both of its endings."""
    state.observe([task("sent", at=990.0), *run(1_000.0)[:2], task("failed"), task("rejected")])
    state.observe([task("sent", at=1_070.0), *run(1_100.0)])
    assert counted(state).queue_time == Distribution((10.0, 30.0), (1, 1))
