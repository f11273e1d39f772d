"""Roster: who is online, offline, lost and forgotten, by when their events arrive."""

from __future__ import annotations

import pytest

from event_monitor.snapshot import WorkerState
from event_monitor.state.roster import Roster
from event_monitor.state.verdicts import Departure, Limits

from ...support.making import W1, W2, beat, offline, online

LIMITS = Limits(grace=60, grace_beats=5, forget=3_600)


@pytest.fixture
def roster() -> Roster:
    return Roster(LIMITS, max_workers=100)


def states(roster: Roster, now: float) -> dict[str, str]:
    return {one.hostname: one.state.value for one in roster.collect(now=now)}


def sweep(
    roster: Roster, *, now: float, listening_since: float | None = 0, busy: tuple[str, ...] = ()
) -> tuple[Departure, ...]:
    roster.verdicts.listening_since = listening_since
    return roster.sweep(now=now, busy=busy)


def test_a_worker_silent_past_the_grace_is_lost_exactly_once(roster: Roster) -> None:
    """One death, one report."""
    roster.heartbeat(online(), now=0)
    assert sweep(roster, now=60) == ()
    assert sweep(roster, now=61) == (Departure(W1, 61.0),)
    assert sweep(roster, now=62) == ()
    assert states(roster, 62) == {W1: "lost"}


def test_the_grace_follows_a_slow_heartbeat(roster: Roster) -> None:
    """A worker that beats every 30 s is given five of its own beats."""
    roster.heartbeat(beat(freq=30.0), now=0)
    assert sweep(roster, now=149) == ()
    assert len(sweep(roster, now=151)) == 1


def test_the_answer_to_a_heartbeat_broadcast_does_not_change_the_grace(roster: Roster) -> None:
    """It carries a freq of 5 that is not the worker's own, and none of the rest."""
    roster.heartbeat(beat(freq=30.0, processed=4), now=0)
    roster.heartbeat(beat(processed=None, freq=5.0), now=1)
    assert len(sweep(roster, now=100)) == 0
    assert roster.collect(now=100)[0].processed == 4


def test_a_task_event_is_proof_of_life(roster: Roster) -> None:
    """A solo worker sends no heartbeat while a task runs; its task events speak for it."""
    roster.heartbeat(online(), now=0)
    roster.task_event(W1, now=50)
    assert sweep(roster, now=100) == ()


def test_a_worker_that_comes_back_is_online_again_and_can_be_lost_again(roster: Roster) -> None:
    """A death is told once, a second death too."""
    roster.heartbeat(online(), now=0)
    assert len(sweep(roster, now=100)) == 1
    roster.heartbeat(beat(), now=200)
    assert states(roster, 200) == {W1: "online"}
    assert len(sweep(roster, now=300)) == 1


def test_a_goodbye_is_offline_and_never_lost(roster: Roster) -> None:
    """What is returned later is only that it has not come back, for the sake of its tasks."""
    roster.heartbeat(online(), now=0)
    roster.goodbye(offline(), now=5)
    assert states(roster, 5) == {W1: "offline"}
    # After the grace what it had not begun is given up, and after an hour what it was running
    assert sweep(roster, now=66) == (Departure(W1, 61.0, said_goodbye=True, runs=()),)
    assert sweep(roster, now=3_605) == ()
    assert sweep(roster, now=3_606) == (Departure(W1, 3_601.0, said_goodbye=True),)


def test_the_goodbye_of_a_process_already_replaced_is_out_of_date(roster: Roster) -> None:
    """After a broker outage an old worker-offline may come late."""
    roster.heartbeat(online(pid=7), now=0)
    roster.heartbeat(online(pid=8), now=1)
    roster.goodbye(offline(pid=7), now=2)
    assert states(roster, 2) == {W1: "online"}


def test_a_new_pid_under_the_same_name_means_that_the_old_process_died(roster: Roster) -> None:
    """A restart faster than the grace is still a death, if nobody said goodbye."""
    roster.heartbeat(online(pid=7), now=0)
    roster.heartbeat(online(pid=8), now=2)
    assert sweep(roster, now=4) == ()  # it may live still: two may have one name
    (departure,) = sweep(roster, now=5)
    assert (departure.silent_seconds, departure.is_replaced) == (5.0, True)
    assert not departure.said_goodbye
    assert states(roster, 5) == {W1: "online"}
    assert sweep(roster, now=6) == ()


def test_in_a_container_the_falling_processed_count_tells_of_the_restart(roster: Roster) -> None:
    """There the pid is always the same."""
    roster.heartbeat(beat(pid=1, processed=10), now=0)
    roster.heartbeat(online(pid=1, processed=0), now=9)
    assert [departure.is_replaced for departure in sweep(roster, now=9)] == [True]


def test_a_reconnect_of_the_same_process_is_no_departure(roster: Roster) -> None:
    """A worker that lost its broker says goodbye and hello with the same pid and count."""
    roster.heartbeat(beat(processed=10), now=0)
    roster.goodbye(offline(), now=1)
    assert roster.heartbeat(online(processed=10), now=2) == ()
    assert states(roster, 2) == {W1: "online"}


def test_a_restart_after_the_loss_was_told_is_not_told_again(roster: Roster) -> None:
    """The death was reported already."""
    roster.heartbeat(online(pid=7), now=0)
    assert len(sweep(roster, now=100)) == 1
    roster.heartbeat(online(pid=8), now=101)
    assert sweep(roster, now=150) == ()
    assert states(roster, 150) == {W1: "online"}


def test_two_workers_on_one_host_are_two_workers(roster: Roster) -> None:
    """Identity is the full nodename."""
    roster.heartbeat(online("a@host", pid=7), now=0)
    roster.heartbeat(online("b@host", pid=8), now=50)
    assert sweep(roster, now=70) == (Departure("a@host", 70.0),)


def test_a_worker_without_heartbeats_cannot_be_lost(roster: Roster) -> None:
    """--without-heartbeat: silence means nothing; it is forgotten in the end."""
    roster.task_event(W1, now=0)
    assert sweep(roster, now=3_599) == ()
    assert states(roster, 3_599) == {W1: "online"}
    sweep(roster, now=3_601)
    assert len(roster) == 0


def test_the_lost_and_the_offline_are_forgotten_after_a_time(roster: Roster) -> None:
    """Hostnames churn on ECS; yesterday's are nobody's business."""
    roster.heartbeat(online(W1), now=0)
    roster.heartbeat(online(W2), now=0)
    roster.goodbye(offline(W2), now=0)
    sweep(roster, now=61)
    sweep(roster, now=3_601)
    sweep(roster, now=61 + 3_601)
    assert len(roster) == 0


def test_nobody_is_judged_while_the_broker_is_away(roster: Roster) -> None:
    """And after it returns everybody has the whole grace again."""
    roster.heartbeat(online(), now=0)
    assert sweep(roster, now=1_000, listening_since=None) == ()
    assert sweep(roster, now=1_060, listening_since=1_000) == ()
    assert len(sweep(roster, now=1_061, listening_since=1_000)) == 1


def test_a_worker_that_works_but_sends_no_task_event_is_pointed_out(roster: Roster) -> None:
    """Started without -E: its processed count grows, and nothing else is heard."""
    roster.heartbeat(beat(processed=5), now=0)
    for now in (2, 4, 6):
        assert roster.collect(now=now)[0].sends_task_events
        roster.heartbeat(beat(processed=6), now=now)
    assert not roster.collect(now=6)[0].sends_task_events

    # When it is told to send events after all
    roster.task_event(W1, now=7)
    assert roster.collect(now=7)[0].sends_task_events


def test_a_flood_of_names_pushes_out_the_gone_but_never_a_live_worker() -> None:
    """Memory is bounded, and what found no place is counted."""
    roster = Roster(LIMITS, max_workers=3)
    for name in ("a", "b"):
        roster.heartbeat(online(name), now=0)
    for n in range(10):
        roster.task_event(f"fake{n}", now=n)
    assert {"a", "b"} <= set(states(roster, 10))
    roster.heartbeat(online("c"), now=11)
    roster.heartbeat(online("d"), now=12)
    assert states(roster, 12) == {"a": "online", "b": "online", "c": "online"}
    assert roster.take_refused() == 1


def test_a_status_tells_what_the_last_heartbeat_told(roster: Roster) -> None:
    """The gauges of a worker are its own words."""
    roster.heartbeat(beat(processed=3, active=2, loadavg=(1.5, 1.0, 0.5), pid=9), now=0)
    (status,) = roster.collect(now=4)
    assert (status.state, status.pid, status.active, status.processed) == (
        WorkerState.ONLINE,
        9,
        2,
        3,
    )
    assert (status.load_average, status.silent_seconds) == (1.5, 4.0)
