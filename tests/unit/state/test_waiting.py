"""Waiting: what was sent and not received, by queue, without a guess about order or loss."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest

from event_monitor.settings import Settings
from event_monitor.snapshot import BrokerLink, UnreceivedTasks
from event_monitor.state import State
from event_monitor.state.waiting import WaitingTasks
from event_monitor.testing import FakeClock

from ...support.making import beat, task


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def state(clock: FakeClock) -> State:
    return State(Settings(), clock=clock)


def test_tasks_wait_from_their_sending_or_their_later_eta_until_received(
    state: State, clock: FakeClock
) -> None:
    """One that names no queue is in none."""
    now = clock.wall()
    later = datetime.fromtimestamp(now - 5, timezone.utc)
    state.observe(
        [
            task("sent", "u1", at=now - 30, queue="mail"),
            task("sent", "u2", at=now - 20, queue="mail"),
            task("sent", "u3", at=now - 50, queue="slow", eta=later.isoformat()),
            task("sent", "u4", at=now - 60),
        ]
    )
    assert state.unreceived() == {
        "mail": UnreceivedTasks(2, now - 30),
        "slow": UnreceivedTasks(1, later.timestamp()),
    }

    state.observe([task("received", "u1", at=now)])
    assert state.unreceived()["mail"] == UnreceivedTasks(1, now - 20)


def test_an_old_task_waits_on_though_a_newer_one_was_received(
    state: State, clock: FakeClock
) -> None:
    """Queues have priorities, which task-sent does not tell."""
    now = clock.wall()
    state.observe(
        [
            task("sent", "low", at=now - 61, queue="q"),
            task("sent", "high", at=now - 1, queue="q"),
            task("received", "high", at=now),
            task("sent", "high2", at=now, queue="q"),
        ]
    )
    assert state.unreceived() == {"q": UnreceivedTasks(2, now - 61)}


def test_tasks_whose_readers_send_no_events_are_all_unreceived(
    state: State, clock: FakeClock
) -> None:
    """Their number shows it: the broker holds fewer."""
    sent_at = clock.wall()
    for number in range(100):
        state.observe([task("sent", f"u{number}", at=clock.wall(), queue="q"), beat()])
        clock.advance(1)

    assert state.unreceived() == {"q": UnreceivedTasks(100, sent_at)}


@pytest.mark.parametrize("ending", ["started", "succeeded", "revoked"])
def test_a_task_whose_receipt_was_lost_waits_no_more_when_it_is_seen_again(
    ending: str, state: State, clock: FakeClock
) -> None:
    state.observe([task("sent", at=clock.wall(), queue="q"), task(ending, at=clock.wall())])

    assert state.unreceived() == {"q": UnreceivedTasks(0)}


def test_what_was_sent_before_we_listened_again_is_forgotten(
    state: State, clock: FakeClock
) -> None:
    """It may have been received meanwhile. The queue is remembered."""
    state.observe([task("sent", "u1", at=clock.wall(), queue="q")])
    state.change_link(BrokerLink.AWAY)
    assert state.unreceived() == {}

    state.change_link(BrokerLink.LISTENING)
    assert state.unreceived() == {"q": UnreceivedTasks(0)}

    state.observe([task("sent", "u2", at=clock.wall(), queue="q")])
    assert state.unreceived() == {"q": UnreceivedTasks(1, clock.wall())}


def test_tasks_that_cannot_be_there_any_more_are_forgotten_by_their_age(
    state: State, clock: FakeClock
) -> None:
    now = clock.wall()
    sent = [task("sent", f"u{age}", at=now - age, queue="q") for age in (90, 61, 60, 1)]
    state.observe(sent)

    state.forget_unreceived("q", before=now - 60)
    state.forget_unreceived("unheard of", before=now)

    assert state.unreceived() == {"q": UnreceivedTasks(2, now - 60)}


def test_made_up_queues_are_bounded_and_push_out_none_in_which_tasks_wait() -> None:
    waiting = WaitingTasks()
    waiting.add("real", "u", sent_at=1.0, eta=None)
    for number in range(999):
        waiting.add(f"empty-{number}", "u", sent_at=2.0, eta=None)
        waiting.remove(f"empty-{number}", "u")

    for number in range(2_000):
        waiting.add(f"made-up-{number}", "u", sent_at=3.0, eta=None)

    assert len(waiting.summary()) == 1_000
    assert waiting.summary()["real"] == UnreceivedTasks(1, 1.0)


def test_the_oldest_is_found_among_many_that_came_and_went() -> None:
    waiting = WaitingTasks()
    waiting.add("q", "first", sent_at=0.5, eta=None)
    for number in range(5_000):
        waiting.add("q", f"u{number}", sent_at=1.0 + number, eta=None)
        waiting.remove("q", f"u{number}")
    assert waiting.summary() == {"q": UnreceivedTasks(1, 0.5)}

    waiting.remove("q", "first")
    assert waiting.summary() == {"q": UnreceivedTasks(0)}
