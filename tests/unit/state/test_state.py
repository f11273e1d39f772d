"""State: what events add up to, in whatever order they come."""

from __future__ import annotations

import msgspec
import pytest
from celery.events.state import State as CeleryState
from msgspec import Raw

from event_monitor.distribution import Distribution
from event_monitor.errors import InvalidEvent
from event_monitor.events import CustomEvent
from event_monitor.settings import Settings
from event_monitor.snapshot import (
    AckToken,
    BrokerLink,
    ExceptionCounts,
    OrphanedTask,
    Snapshot,
    TaskCounts,
    TaskInFlight,
    WorkerLoss,
)
from event_monitor.state import Exposure, State
from event_monitor.testing import FakeClock

from ...support.making import W1, W2, beat, offline, online, task


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def state(clock: FakeClock) -> State:
    return State(Settings(), clock=clock)


def shoot(state: State) -> Snapshot:
    exposure: Exposure = state.freeze_while(state.expose)
    return exposure.develop()


def counts(state: State) -> dict[str, TaskCounts]:
    return dict(shoot(state).window.tasks)


def only(window: dict[str, TaskCounts], name: str = "proj.add") -> TaskCounts:
    assert list(window) == [name]
    return window[name]


def test_a_task_that_succeeds_is_counted_under_its_name_with_its_times(state: State) -> None:
    """Succeeded events carry no name: it is found in the task in flight."""
    # Given a task from its sending to its end
    state.observe(
        [
            task("sent", at=1_000.0),
            task("received", at=1_000.5),
            task("started", at=1_002.0),
            task("succeeded", at=1_005.0, runtime=3.0),
        ]
    )

    # When a shot is taken
    counted = only(counts(state))

    # Then each step was counted once, and the times are those of the senders
    assert counted == TaskCounts(
        sent=1,
        received=1,
        started=1,
        succeeded=1,
        runtime=Distribution((3.0,), (1,)),
        queue_time=Distribution((2.0,), (1,)),
        prefetch_time=Distribution((1.5,), (1,)),
    )


def test_every_event_is_in_exactly_one_window(state: State) -> None:
    """A shot swaps the window: the next has only what came after, zeros for the names known."""
    # Given one shot taken halfway
    state.observe([task("received"), task("started")])
    first = counts(state)
    state.observe([task("succeeded")])

    # Then the second window has the end only
    assert (only(first).started, only(first).succeeded) == (1, 0)
    assert only(counts(state)) == TaskCounts(succeeded=1)
    assert only(counts(state)) == TaskCounts()


def test_a_finished_task_leaves_memory_at_once(state: State) -> None:
    """Only tasks in flight are kept."""
    state.observe([task("received"), task("started"), task("succeeded")])
    assert shoot(state).tasks_in_flight == 0


def test_the_end_of_a_task_never_seen_before_counts_as_unknown(state: State) -> None:
    """The totals stay exact even where a name cannot be had."""
    state.observe([task("succeeded", "stranger")])
    assert only(counts(state), "unknown").succeeded == 1


def test_a_hard_time_limit_that_reports_the_failure_twice_counts_once(state: State) -> None:
    """Celery 5.7 sends task-failed twice for a hard time limit."""
    state.observe([task("received"), task("started"), task("failed"), task("failed")])
    assert only(counts(state)).failed == 1


def test_a_second_failure_after_a_redelivery_counts_again(state: State) -> None:
    """Received or started between two endings makes them two."""
    state.observe([task("received"), task("started"), task("failed")])
    state.observe([task("received"), task("started"), task("failed")])
    assert only(counts(state)).failed == 2


def test_reject_within_a_task_counts_as_rejected_only(state: State) -> None:
    """Celery says started, failed, rejected, wherever the shot falls between them."""
    failed = task("failed", exception=Raw(b'"reject requeue=False: as planned"'))
    state.observe([task("received"), task("started"), failed])
    first = only(counts(state))
    state.observe([task("rejected")])
    second = only(counts(state))
    assert (first.failed, first.rejected) == (0, 1)
    assert (second.failed, second.rejected) == (0, 0)


def test_a_retried_task_is_two_runs_of_one_task(state: State) -> None:
    """Retry twice, then succeed: three received and started, two retried, one succeeded."""
    for _ in range(2):
        state.observe([task("received"), task("started"), task("retried")])
    state.observe([task("received"), task("started"), task("succeeded", runtime=1.0)])

    counted = only(counts(state))
    assert (counted.received, counted.started, counted.retried, counted.succeeded) == (3, 3, 2, 1)
    assert shoot(state).tasks_in_flight == 0


def test_the_next_run_received_before_the_retry_is_told_leaves_nothing_running(
    state: State,
) -> None:
    """The child publishes the retry before its parent tells of it."""
    state.observe([task("received"), task("started"), task("received"), task("retried")])
    snapshot = shoot(state)
    assert (snapshot.running, snapshot.tasks_in_flight) == ((), 1)


def test_a_retry_told_late_does_not_stop_the_run_that_began_elsewhere(state: State) -> None:
    """Order holds within one worker only."""
    state.observe([task("received"), task("started"), task("received", on=W2)])
    state.observe([task("started", on=W2), task("retried", on=W1)])
    assert [one.count for one in shoot(state).running] == [1]


def test_sent_that_comes_after_the_end_opens_nothing(state: State) -> None:
    """A short task's news can overtake the producer's."""
    state.observe([task("received"), task("started"), task("succeeded"), task("sent")])
    snapshot = shoot(state)
    assert snapshot.tasks_in_flight == 0
    assert only(dict(snapshot.window.tasks)).sent == 1


def test_queue_time_waits_for_a_sent_event_that_comes_after_started(state: State) -> None:
    """Once a name is known to announce its tasks, the queue time is reckoned from the sending."""
    # Given a name whose producers send task-sent
    state.observe([task("sent", "u0")])

    # When the sent event of another task comes after its start
    state.observe([task("received", at=1_004.0), task("started", at=1_005.0)])
    state.observe([task("sent", at=1_000.0)])

    # Then it waited since it was sent
    assert only(counts(state)).queue_time == Distribution((5.0,), (1,))


def test_queue_time_falls_back_to_the_receipt_when_the_sent_event_never_comes(
    state: State,
) -> None:
    """What is awaited in vain is settled when the run ends."""
    state.observe([task("sent", "u0")])
    state.observe([task("received", at=1_004.0), task("started", at=1_005.0), task("succeeded")])
    assert only(counts(state)).queue_time == Distribution((1.0,), (1,))


def test_queue_time_begins_at_the_eta_of_a_delayed_task(state: State) -> None:
    """A task that asked for a later start did not wait before it."""
    eta = "1970-01-01T00:20:00+00:00"  # 1,200 s
    state.observe([task("sent", at=1_000.0, eta=eta), task("received", at=1_001.0, eta=eta)])
    state.observe([task("started", at=1_203.0)])
    assert only(counts(state)).queue_time == Distribution((3.0,), (1,))


def test_clocks_that_disagree_make_no_negative_time(state: State) -> None:
    """A producer's clock an hour ahead gives zero, not minus an hour."""
    state.observe([task("sent", at=4_600.0), task("received"), task("started", at=1_001.0)])
    assert only(counts(state)).queue_time == Distribution((0.0,), (1,))


def test_the_second_run_of_a_retried_task_waits_from_its_own_receipt(state: State) -> None:
    """The first run's times do not leak into the second's."""
    state.observe([task("received", at=1_000.0), task("started", at=1_001.0)])
    state.observe([task("retried", at=1_010.0), task("received", at=1_020.0)])
    state.observe([task("started", at=1_024.0)])
    assert only(counts(state)).queue_time == Distribution((1.0, 4.0), (1, 1))


def test_expired_and_terminated_are_told_apart_among_the_revoked(state: State) -> None:
    """A full queue and an operator's hand are different news."""
    state.observe([task("sent", "a"), task("sent", "b"), task("sent", "c")])
    state.observe(
        [
            task("revoked", "a", expired=True, terminated=False),
            task("revoked", "b", expired=False, terminated=True),
            task("revoked", "c", expired=False, terminated=False),
        ]
    )
    counted = only(counts(state))
    assert (counted.revoked, counted.expired, counted.terminated) == (3, 1, 1)


def test_running_tasks_are_counted_with_the_age_of_the_oldest(
    state: State, clock: FakeClock
) -> None:
    """Ages are on our clock: a worker's may be an hour off."""
    state.observe([task("received", "old"), task("started", "old", at=99_999.0)])
    clock.advance(30)
    state.observe([task("received", "new"), task("started", "new")])
    clock.advance(10)
    (running,) = shoot(state).running
    assert (running.name, running.count, running.oldest_seconds) == ("proj.add", 2, 40.0)


def test_tasks_learnt_from_workers_lend_their_names(state: State, clock: FakeClock) -> None:
    """A monitor that starts late knows what runs already."""
    # Given a task learnt as running for 100 s, and one waiting
    since = clock.wall() - 100
    state.learn(
        [
            TaskInFlight("a", "proj.long", W1, running_since=since),
            TaskInFlight("b", "proj.next", W1),
        ]
    )

    # Then it shows as running
    (running,) = shoot(state).running
    assert (running.name, running.oldest_seconds) == ("proj.long", 100.0)

    # When both end, their names are known
    state.observe([task("succeeded", "a"), task("revoked", "b")])
    assert set(counts(state)) == {"proj.long", "proj.next"}


def test_a_task_that_ended_while_the_workers_were_asked_is_not_learnt(state: State) -> None:
    """An answer may be older than the event that overtook it."""
    state.observe([task("succeeded", "a")])
    state.learn([TaskInFlight("a", "proj.long", W1, running_since=0.0)])
    assert shoot(state).tasks_in_flight == 0


def test_tasks_in_flight_are_bounded_and_the_evicted_counted(clock: FakeClock) -> None:
    """Beyond the bound the oldest that do not run are forgotten; a running one stays."""
    state = State(Settings(max_tasks_in_flight=100), clock=clock)
    state.observe([task("received", "runner"), task("started", "runner")])
    state.observe([task("sent", f"u{n}") for n in range(150)])
    snapshot = shoot(state)
    assert snapshot.tasks_in_flight == 100
    assert snapshot.window.tasks_forgotten == 51
    assert [one.count for one in snapshot.running] == [1]


def test_running_tasks_are_bounded_too(clock: FakeClock) -> None:
    """Even if one task that does not run could go first."""
    state = State(Settings(max_tasks_in_flight=100), clock=clock)
    for batch in range(50):
        started = [task("started", f"u{batch}-{number}") for number in range(60)]
        state.observe([*started, task("sent", f"s{batch}")])
    assert shoot(state).tasks_in_flight <= 100


def test_an_evicted_task_that_runs_again_counts_again(clock: FakeClock) -> None:
    """Its earlier ending is no reason to take the next one for a repetition."""
    state = State(Settings(max_tasks_in_flight=100), clock=clock)
    state.observe([task("received", "a"), task("succeeded", "a"), task("received", "a")])
    state.observe([task("received", f"u{number}") for number in range(200)])
    state.observe([task("succeeded", "a"), task("succeeded", "a")])
    assert sum(one.succeeded for _, one in shoot(state).window.tasks) == 2


def test_task_names_are_bounded_and_the_rest_is_counted_as_other(clock: FakeClock) -> None:
    """A flood of names grows neither the memory nor the bill, and no count is lost."""
    state = State(Settings(max_task_names=10), clock=clock)
    state.observe([task("sent", f"u{n}", name=f"proj.t{n}") for n in range(25)])
    window = shoot(state).window
    assert len(window.tasks) == 11
    assert dict(window.tasks)["other"].sent == 15
    assert window.names_folded == 15


def test_a_name_without_events_is_forgotten_after_a_time(clock: FakeClock) -> None:
    """Zeros are published for known names, but not for ever."""
    state = State(Settings(idle_series_seconds=100), clock=clock)
    state.observe([task("sent")])
    shoot(state)
    clock.advance(99)
    assert only(counts(state)) == TaskCounts()
    clock.advance(2)
    assert counts(state) == {}


def test_a_task_that_ends_without_an_event_does_not_run_for_ever(
    state: State, clock: FakeClock
) -> None:
    """Ignore sends none; the worker's heartbeats say that nothing runs."""
    state.observe([task("received"), task("started"), beat(active=0)])
    assert len(shoot(state).running) == 1  # the heartbeat may have overtaken the start
    clock.advance(6)
    state.observe([beat(active=0, at=1_006.0)])
    assert shoot(state).running == ()

    # When its end comes after all, it still has its name
    state.observe([task("succeeded")])
    assert only(counts(state)).succeeded == 1


def test_the_queue_time_of_a_retried_task_of_an_announced_name_is_that_of_each_run(
    state: State,
) -> None:
    """The receipt of the next run may come before the news of the retry."""
    state.observe([task("sent", "u0")])
    state.observe([task("received", at=1_000.0), task("started", at=1_005.0)])
    state.observe([task("received", at=1_010.0), task("retried", at=1_011.0)])
    state.observe([task("started", at=1_012.0), task("succeeded", at=1_013.0)])
    assert only(counts(state)).queue_time == Distribution((2.0, 5.0), (1, 1))


def test_custom_events_are_counted_by_type(state: State) -> None:
    """An application's own events are its own metrics."""
    state.observe([CustomEvent(type=kind) for kind in ("order-paid", "order-lost", "order-paid")])
    assert shoot(state).window.custom_events == (("order-lost", 1), ("order-paid", 2))


def test_exceptions_are_counted_by_class_only_when_asked(clock: FakeClock) -> None:
    """The text of an exception is not even decoded otherwise."""
    failure = task("failed", exception=msgspec.Raw(b"\"ValueError('secret')\""))
    quiet, asked = State(Settings(), clock=clock), State(Settings(by_exception=True), clock=clock)
    quiet.observe([failure])
    asked.observe([failure])
    assert shoot(quiet).window.exceptions == ()
    assert shoot(asked).window.exceptions == (
        ExceptionCounts("unknown", "unknown", "ValueError", failed=1),
    )


def test_a_worker_lost_with_a_running_task_leaves_one_orphan_once(
    state: State, clock: FakeClock
) -> None:
    """kill -9: one loss, its running task orphaned, reported in one snapshot only."""
    # Given a worker with one task done, one running and one waiting
    state.observe([online(), task("received", "done"), task("started", "done")])
    state.observe([task("succeeded", "done"), task("received", "waiting")])
    state.observe([task("received", "running"), task("started", "running"), beat(processed=2)])

    # When it is silent past the grace
    clock.advance(61)
    snapshot = shoot(state)

    # Then it is lost with its running task, and nothing runs or is in flight any more
    assert snapshot.losses == (WorkerLoss(W1, 61.0, (OrphanedTask("running", "proj.add"),)),)
    assert (snapshot.running, snapshot.tasks_in_flight) == ((), 0)
    assert shoot(state).losses == ()


def test_an_orphan_delivered_again_keeps_its_name_and_counts(
    state: State, clock: FakeClock
) -> None:
    """With acks_late the broker hands the task to another worker."""
    state.observe([online(), task("received"), task("started")])
    clock.advance(61)
    shoot(state)
    state.observe([task("started", on=W2), task("succeeded", on=W2)])
    assert only(counts(state)).succeeded == 1


def test_a_task_rescued_before_the_loss_is_noticed_is_no_orphan(
    state: State, clock: FakeClock
) -> None:
    """RabbitMQ redelivers at once; by the time of the verdict the task runs elsewhere."""
    state.observe([online(), task("received"), task("started")])
    state.observe([task("received", on=W2), task("started", on=W2)])
    clock.advance(61)
    snapshot = shoot(state)
    assert snapshot.losses == (WorkerLoss(W1, 61.0),)
    assert [one.count for one in snapshot.running] == [1]


def test_a_restart_under_the_same_name_orphans_what_the_old_process_ran(
    state: State, clock: FakeClock
) -> None:
    """kill -9 and a quick restart: the new pid tells on the old one's death."""
    state.observe([online(pid=7), task("received", pid=7), task("started", pid=7)])
    clock.advance(5)
    state.observe([online(pid=8)])
    assert shoot(state).losses == (WorkerLoss(W1, 5.0, (OrphanedTask("u1", "proj.add"),)),)


def test_a_clean_stop_is_no_loss(state: State, clock: FakeClock) -> None:
    """A worker that said goodbye and finished its work is only offline."""
    state.observe([online(), task("received"), task("started"), task("succeeded"), offline()])
    clock.advance(61)
    assert shoot(state).losses == ()


def test_tasks_left_unfinished_by_a_goodbye_are_orphans_when_their_time_to_drain_is_over(
    state: State, clock: FakeClock
) -> None:
    """A cold shutdown says goodbye too; its tasks are as dead. It is not counted as lost."""
    state.observe([online(), task("received"), task("started"), offline()])
    clock.advance(3_599)
    draining = shoot(state)
    assert (draining.losses, draining.draining, len(draining.running)) == ((), 1, 1)
    assert [worker.draining for worker in draining.workers] == [1]
    clock.advance(2)
    (loss,) = shoot(state).losses
    assert (loss.said_goodbye, len(loss.orphans)) == (True, 1)
    assert shoot(state).draining == 0


def test_no_worker_is_judged_while_the_broker_is_away(state: State, clock: FakeClock) -> None:
    """Nothing comes then; the grace begins anew when we listen again."""
    state.observe([online()])
    state.change_link(BrokerLink.AWAY)
    clock.advance(600)
    away = shoot(state)
    assert (away.losses, away.link) == ((), BrokerLink.AWAY)

    state.change_link(BrokerLink.LISTENING)
    clock.advance(59)
    assert shoot(state).losses == ()
    clock.advance(2)
    assert len(shoot(state).losses) == 1


def test_a_state_made_by_celery_is_taken_over(state: State) -> None:
    """Handlers bound to it before keep working, and what they are handed is counted here."""
    # Given a handler of Celery's own state, as in its guide
    celery_state = CeleryState()
    handler = celery_state.event
    state.adopt(celery_state)

    # When an event and something that is none are handed to it
    handler({"type": "task-sent", "uuid": "u", "hostname": "h", "timestamp": 1.0, "name": "t"})
    handler({"type": "task-sent"})

    # Then they are counted
    window = shoot(state).window
    assert (dict(window.tasks)["t"].sent, window.events_invalid) == (1, 1)


def test_per_worker_counts_are_kept_only_when_asked(clock: FakeClock) -> None:
    """Hostnames churn: nobody pays for them unasked."""
    plain = State(Settings(), clock=clock)
    asked = State(Settings(by_worker=("TasksSucceeded",)), clock=clock)
    for state in (plain, asked):
        state.observe([task("received"), task("started"), task("succeeded")])
    assert shoot(plain).window.by_worker == ()
    ((hostname, counted),) = shoot(asked).window.by_worker
    assert (hostname, counted.succeeded) == (W1, 1)


def test_what_is_no_event_is_counted(state: State) -> None:
    """Every loss has a number."""
    state.refuse(InvalidEvent("not JSON"))
    assert shoot(state).window.events_invalid == 1


def test_receipts_come_with_the_window_their_events_are_in(state: State) -> None:
    """What is counted and what may be acknowledged change hands together."""
    first, second = AckToken("s", 1, (b"a",)), AckToken("s", 2, (b"b",))
    state.observe([task("sent")], first)
    assert shoot(state).ack_tokens == (first,)
    state.observe([], second)
    assert shoot(state).ack_tokens == (second,)
    assert shoot(state).ack_tokens == ()


def test_tasks_in_flight_survive_a_restart_with_all_that_is_known(clock: FakeClock) -> None:
    """A checkpoint carries them, so that a task that spans the restart has name and times."""
    # Given a durable monitor that has seen a task sent and received, and another started
    settings = Settings(durable_queue="q", state_dir="d")
    before, after = State(settings, clock=clock), State(settings, clock=clock)
    before.observe([task("sent", at=1_000.0), task("received", at=1_001.0)])
    before.observe([task("received", "runner"), task("started", "runner")])
    clock.advance(40)

    # When another goes on from its snapshot
    after.learn(shoot(before).in_flight)
    after.observe([task("started", at=1_003.0), task("succeeded", "runner")])

    # Then nothing is unknown, and the times are whole
    snapshot = shoot(after)
    counted = dict(snapshot.window.tasks)["proj.add"]
    assert (counted.started, counted.succeeded, len(snapshot.window.tasks)) == (1, 1, 1)
    assert counted.queue_time == Distribution((0.0, 3.0), (1, 1))
    assert [one.oldest_seconds for one in snapshot.running] == [0.0]


def test_task_events_that_never_came_are_counted_by_worker(state: State) -> None:
    """The loss meter: the worker counts the tasks it began, and we those we were told of."""
    state.observe([beat(processed=5, at=1.0), task("received"), task("started", at=2.0)])
    state.observe([beat(processed=9, at=at) for at in (3.0, 5.0, 7.0)])
    assert shoot(state).window.events_lost == ()
    state.observe([beat(processed=9, at=9.0)])
    assert shoot(state).window.events_lost == ((W1, 3),)
    state.observe([beat(processed=9, at=11.0)])
    assert shoot(state).window.events_lost == ()


def test_a_worker_told_to_send_no_more_events_has_lost_none(state: State) -> None:
    """``control disable_events``: it goes on beating and working, and says nothing of its tasks."""
    state.observe([beat(processed=5, at=1.0), task("started", at=2.0)])
    state.observe([beat(processed=6 + n, at=3.0 + n) for n in range(10)])
    quiet = shoot(state)
    assert quiet.window.events_lost == ()
    assert [one.sends_task_events for one in quiet.workers] == [False]

    # When it is told to send them again, what is swallowed from then on counts
    state.observe([task("started", at=20.0), beat(processed=17, at=21.0)])
    state.observe([beat(processed=20, at=23.0), task("started", at=22.0)])
    state.observe([beat(processed=20, at=25.0 + n) for n in range(5)])
    assert shoot(state).window.events_lost == ((W1, 2),)


def test_events_turned_on_while_the_worker_is_busy_are_no_loss(state: State) -> None:
    """Started without -E: what it did before the first task event was never to come."""
    state.observe([beat(processed=10 * n, at=1.0 + n) for n in range(1, 6)])
    state.observe([task("started", "u2", at=6.5)])
    state.observe([beat(processed=51, at=7.0 + n) for n in range(6)])
    assert shoot(state).window.events_lost == ()


def test_a_lost_connection_is_counted_once_and_the_first_wait_is_none(state: State) -> None:
    """Starting before the broker is up is no disconnection."""
    state.await_broker()
    state.change_link(BrokerLink.CONNECTING)
    assert shoot(state).window.disconnections == 0
    state.change_link(BrokerLink.LISTENING)
    state.change_link(BrokerLink.AWAY)
    state.change_link(BrokerLink.AWAY)
    assert shoot(state).window.disconnections == 1


def test_a_reader_that_has_to_wait_its_turn_judges_nobody(state: State, clock: FakeClock) -> None:
    """It heard them once; now somebody else does."""
    state.observe([online()])
    state.change_link(BrokerLink.AWAY)
    state.change_link(BrokerLink.STANDBY)
    clock.advance(600)
    waiting = shoot(state)
    assert (waiting.losses, waiting.link) == ((), BrokerLink.STANDBY)

    # When its turn comes, the grace begins
    state.change_link(BrokerLink.LISTENING)
    clock.advance(59)
    assert shoot(state).losses == ()
    clock.advance(2)
    assert len(shoot(state).losses) == 1


def test_custom_types_are_bounded_over_all_windows(state: State) -> None:
    """An application that puts ids into them would make a billed series of each."""
    kinds: set[str] = set()
    for window in range(10):
        state.observe([CustomEvent(type=f"paid-{window}-{number}") for number in range(20)])
        last = shoot(state).window
        kinds.update(dict(last.custom_events))
    assert len(kinds) == 51
    assert "other" in kinds
    assert last.names_folded == 20
