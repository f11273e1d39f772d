"""Endings: rejections, tasks that vanish, names that are learnt late, tasks without events."""

from __future__ import annotations

from datetime import datetime, timezone

import msgspec
import pytest
from celery.exceptions import Reject

from event_monitor.distribution import NO_VALUES, Distribution
from event_monitor.settings import Settings
from event_monitor.snapshot import EndedTask, TaskCounts, TaskInFlight, VanishedTask
from event_monitor.state import State
from event_monitor.survey import WorkerAnswer
from event_monitor.testing import FakeClock

from ...support.making import W1, beat, task
from .scene import Scene
from .test_state import counts, only, shoot

REJECT = msgspec.Raw(msgspec.json.encode(repr(Reject("no", requeue=False))))


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def state(clock: FakeClock) -> State:
    return State(Settings(by_exception=True), clock=clock)


# -- rejected ------------------------------------------------------------------------------------


@pytest.mark.parametrize("shots_between", [0, 1])
def test_a_task_that_raises_reject_is_rejected_and_has_not_failed(
    state: State, shots_between: int
) -> None:
    """Celery 5.7 reports started, failed, rejected; wherever the shot falls it counts once."""
    state.observe([task("received"), task("started"), task("failed", exception=REJECT)])
    windows = [only(counts(state)) for _ in range(shots_between)]
    state.observe([task("rejected", requeue=False)])
    snapshot = shoot(state)
    windows.append(only(dict(snapshot.window.tasks)))
    assert sum(window.rejected for window in windows) == 1
    assert sum(window.failed for window in windows) == 0
    assert (snapshot.window.exceptions, snapshot.tasks_in_flight) == ((), 0)


def test_a_reject_of_a_message_acknowledged_before_is_a_rejection_too(state: State) -> None:
    """With early acknowledgement no task-rejected follows."""
    state.observe([task("received"), task("started"), task("failed", exception=REJECT)])
    assert only(counts(state)) == TaskCounts(
        received=1, started=1, rejected=1, queue_time=ZERO, prefetch_time=ZERO
    )


ZERO = Distribution((0.0,), (1,))


def test_a_failure_that_rejects_its_message_is_a_failure(state: State) -> None:
    """With `acks_on_failure_or_timeout` off: rejected, then failed, and it is counted once."""
    state.observe([task("received"), task("started"), task("rejected", requeue=False)])
    state.observe([task("failed", exception=msgspec.Raw(b'"ValueError()"'))])
    window = shoot(state).window
    counted = only(dict(window.tasks))
    (raised,) = window.exceptions
    assert (counted.rejected, counted.failed) == (0, 1)
    assert (raised.exception, raised.failed, raised.retried) == ("ValueError", 1, 0)


def test_what_was_counted_in_a_closed_window_is_not_counted_again(state: State) -> None:
    """Its rejection is published; counters never go back."""
    state.observe([task("received"), task("started"), task("rejected", requeue=False)])
    assert only(counts(state)).rejected == 1
    state.observe([task("failed")])
    assert only(counts(state)) == TaskCounts()


def test_a_rejection_that_requeues_interrupts_the_task(state: State) -> None:
    """It will be received again."""
    state.observe([task("received"), task("started"), task("rejected", requeue=True)])
    state.observe([task("received"), task("started"), task("succeeded")])
    counted = only(counts(state))
    assert (counted.rejected, counted.succeeded) == (1, 1)


def test_consumers_of_tasks_get_a_rejected_one_once(clock: FakeClock) -> None:
    """As rejected."""
    ended: list[EndedTask] = []
    state = State(clock=clock, task_consumers=(ended.extend,))
    state.observe([task("received"), task("started"), task("failed", exception=REJECT)])
    state.observe([task("rejected", requeue=False)])
    assert [one.how for one in ended] == ["rejected"]


# -- times ---------------------------------------------------------------------------------------


def test_a_worker_that_knows_when_its_task_was_sent_gives_its_whole_wait(state: State) -> None:
    """By a header of the message; without it the wait begins with the receipt."""
    state.observe([task("received", at=1_000.0), task("started", at=1_002.0, sent_at=990.0)])
    state.observe([task("received", "u2", at=1_000.0), task("started", "u2", at=1_002.0)])
    counted = only(counts(state))
    assert counted.queue_time == Distribution((2.0, 12.0), (1, 1))
    assert counted.prefetch_time == Distribution((2.0,), (2,))
    assert (counted.started, counted.sent) == (2, 0)


def test_a_task_with_an_eta_waits_from_its_eta_on(state: State) -> None:
    """Also where the worker says when it was sent."""
    eta = datetime.fromtimestamp(1_030.0, timezone.utc).isoformat()
    state.observe([task("received", at=1_000.0, eta=eta)])
    state.observe([task("started", at=1_035.0, sent_at=990.0)])
    assert only(counts(state)).queue_time == Distribution((5.0,), (1,))


def test_what_a_producer_sends_of_its_task_counts_before_the_worker_s_word(state: State) -> None:
    """A header keeps the time of the first sending through all retries."""
    state.observe([task("sent", at=1_000.0), task("received", at=1_001.0)])
    state.observe([task("started", at=1_004.0, sent_at=900.0)])
    assert only(counts(state)).queue_time == Distribution((4.0,), (1,))


def test_the_wait_for_an_eta_is_no_prefetch_time(state: State) -> None:
    """The worker holds it for an hour because it was told to."""
    eta = datetime.fromtimestamp(4_600.0, timezone.utc).isoformat()
    state.observe([task("received", at=1_000.0, eta=eta), task("started", at=4_601.0)])
    counted = only(counts(state))
    assert (counted.prefetch_time, counted.queue_time) == (NO_VALUES, Distribution((1.0,), (1,)))


# -- vanished ------------------------------------------------------------------------------------


def test_tasks_that_end_without_an_event_vanish_under_their_name() -> None:
    """`Ignore`, or a hard time limit in a gevent pool: the worker says that it runs nothing."""
    scene = Scene(by_worker=("TasksVanished",))
    worker = scene.worker().hello()
    worker.begin("u1", name="ignored")
    worker.begin("u2")
    scene.run(10, worker)
    worker.end_silently()
    worker.end("u2")
    scene.run(20, worker)
    snapshot = scene.shoot()
    assert {
        name: counts.vanished
        for shot in scene.shots
        for name, counts in shot.window.tasks
        if counts.vanished
    } == {"ignored": 1}
    assert [one for shot in scene.shots for one in shot.window.vanished] == [
        VanishedTask("u1", "ignored", W1)
    ]
    assert [
        dict(shot.window.by_worker)[W1].vanished for shot in scene.shots if shot.window.vanished
    ] == [1]
    assert (snapshot.tasks_in_flight, snapshot.running, scene.deaths) == (0, (), 0)


def test_only_ten_of_those_that_vanish_are_named() -> None:
    """All of them are counted."""
    scene = Scene()
    worker = scene.worker().hello()
    worker.begin(*(f"u{number}" for number in range(30)))
    scene.run(5, worker)
    worker.end_silently(30)
    scene.run(20, worker)
    scene.shoot()
    assert scene.vanished == 30
    assert max(len(shot.window.vanished) for shot in scene.shots) == 10


def test_one_that_vanished_and_ends_after_all_counts_under_its_name() -> None:
    """Its event was late."""
    scene = Scene()
    worker = scene.worker().hello()
    worker.begin("u1")
    worker.end_silently()
    scene.run(20, worker)
    worker.active = 1
    worker.end("u1")
    scene.shoot()
    assert sum(counts.succeeded for s in scene.shots for name, counts in s.window.tasks) == 1
    assert {name for s in scene.shots for name, _ in s.window.tasks} == {"job"}


# -- names of tasks that began before us ---------------------------------------------------------


def test_what_happens_to_tasks_before_they_are_learnt_counts_under_their_names(
    state: State,
) -> None:
    """The workers name them a second after we begin to listen; some have ended by then."""
    state.await_names(5.0)
    state.observe([task("succeeded", "a", runtime=2.0), task("started", "b")])
    state.observe([task("failed", "b"), task("started", "c")])
    assert counts(state) == {}
    state.learn([TaskInFlight(uuid, f"proj.{uuid}", W1, running_since=1.0) for uuid in "abc"])
    snapshot = shoot(state)
    counted = dict(snapshot.window.tasks)
    assert set(counted) == {"proj.a", "proj.b", "proj.c"}
    assert (counted["proj.a"].succeeded, counted["proj.a"].runtime) == (
        1,
        Distribution((2.0,), (1,)),
    )
    assert (counted["proj.b"].started, counted["proj.b"].failed) == (1, 1)
    assert [running.name for running in snapshot.running] == ["proj.c"]
    assert snapshot.tasks_in_flight == 1


def test_a_task_that_ends_before_the_workers_are_asked_again_has_the_name_of_before(
    state: State,
) -> None:
    """They are asked before we listen, too; what ended by then is not in flight for that."""
    state.await_names(5.0)
    state.observe([task("succeeded", "a")])
    state.learn_names([TaskInFlight(uuid, f"proj.{uuid}", W1) for uuid in "abc"])
    state.observe([task("succeeded", "b")])
    state.learn([TaskInFlight("c", "proj.c", W1, running_since=1.0)])
    snapshot = shoot(state)
    counted = dict(snapshot.window.tasks)
    assert {name for name, counts in counted.items() if counts.succeeded} == {"proj.a", "proj.b"}
    assert [running.name for running in snapshot.running] == ["proj.c"]
    assert snapshot.tasks_in_flight == 1


def test_what_nobody_names_counts_as_unknown_in_the_end(state: State, clock: FakeClock) -> None:
    """No answer comes: they wait five seconds and no longer."""
    state.await_names(5.0)
    state.observe([task("succeeded", "a")])
    clock.advance(5.1)
    assert only(counts(state), "unknown").succeeded == 1


def test_nothing_waits_beyond_the_last_shot(state: State) -> None:
    """The monitor stops a second after it began."""
    state.await_names(5.0)
    state.observe([task("succeeded", "a"), task("retried", "b")])
    state.stop_awaiting_names()
    counted = only(counts(state), "unknown")
    assert (counted.succeeded, counted.retried) == (1, 1)


def test_tasks_whose_beginning_was_seen_wait_for_nothing(state: State) -> None:
    """Neither do endings told twice."""
    state.await_names(5.0)
    state.observe([task("received"), task("started"), task("failed"), task("failed")])
    assert only(counts(state)).failed == 1


def test_a_start_that_waits_for_its_name_is_not_missing(state: State) -> None:
    """The loss meter counts it when it comes."""
    state.observe([beat(processed=5, at=1.0)])
    state.await_names(5.0)
    state.observe([task("started", "a", at=2.0)])
    state.observe([beat(processed=6, at=at) for at in (3.0, 5.0, 7.0, 9.0)])
    state.learn([])
    state.observe([beat(processed=6, at=at) for at in (11.0, 13.0)])
    assert shoot(state).window.events_lost == ()


# -- tasks that send no events on purpose --------------------------------------------------------


def answer(**processed: int) -> WorkerAnswer:
    return WorkerAnswer(W1, active=0, pool_processes=4, processed=tuple(processed.items()))


def test_tasks_that_send_no_events_are_not_lost_ones() -> None:
    """`Task.send_events = False`: the worker's totals grow under names of which no event comes."""
    # Given a worker that has run both kinds before we came
    scene = Scene(interval=10.0)
    worker = scene.worker()
    worker.processed = 150
    scene.run(1, worker)
    scene.answer(answer(loud=100, silent=50))

    # When it runs more of both
    for number in range(1, 6):
        worker.begin(f"u{number}", name="loud")
        worker.end(f"u{number}")
        worker.begin_unheard()
        worker.end_silently()
        scene.run(12, worker)
        scene.answer(answer(loud=100 + number, silent=50 + number))

    # Then none of their events is lost
    scene.run(60, worker)
    scene.shoot()
    assert scene.lost_events == 0


def test_events_that_are_lost_of_tasks_that_send_them_are_counted_all_the_same() -> None:
    """A little later, when the next answer does not explain them."""
    scene = Scene(interval=10.0)
    worker = scene.worker().hello()
    worker.begin("u1", name="loud")
    worker.end("u1")
    scene.run(10, worker)
    scene.answer(answer(loud=1))
    for _ in range(3):
        worker.begin_unheard()
        worker.end_silently()
    worker.begin("u2", name="loud")
    worker.end("u2")
    worker.begin_unheard()
    worker.end_silently()
    scene.run(20, worker)
    scene.answer(answer(loud=5, silent=1))
    scene.run(20, worker)
    scene.shoot()
    assert scene.lost_events == 3


def test_tasks_that_send_no_events_are_not_lost_ones_before_the_first_answer_either() -> None:
    """A worker that comes between two surveys begins them at once."""
    # Given
    scene = Scene(interval=60.0)
    scene.answer()  # nobody, so far
    worker = scene.worker().hello()
    worker.begin("u1", name="loud")
    worker.end("u1")

    # When many heartbeats pass before it is asked for the first time
    for _ in range(5):
        worker.begin_unheard()
        worker.end_silently()
    scene.run(50, worker)
    scene.answer(answer(loud=1, silent=4))
    scene.run(100, worker)
    scene.shoot()

    # Then one of them is lost: four sent none
    assert scene.lost_events == 1


def test_what_no_answer_explains_in_time_is_lost() -> None:
    """The worker answers no more."""
    scene = Scene(interval=10.0)
    worker = scene.worker().hello()
    scene.run(10, worker)
    scene.answer(answer(loud=0))
    worker.begin_unheard()
    worker.end_silently()
    worker.begin("u1", name="loud")
    worker.end("u1")
    scene.run(20, worker)
    assert scene.lost_events == 0
    scene.run(30, worker)
    scene.shoot()
    assert scene.lost_events == 1


def test_without_answers_what_is_missing_is_lost_at_once() -> None:
    """Nothing can explain it."""
    scene = Scene(probe_workers=False)
    worker = scene.worker().hello()
    worker.begin("u1")
    worker.end("u1")
    worker.begin_unheard()
    worker.end_silently()
    scene.run(20, worker)
    scene.shoot()
    assert scene.lost_events == 1
