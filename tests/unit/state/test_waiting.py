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


def expected(state: State, queue: str = "q") -> list[str]:
    """Return the tasks that have to come out of a queue yet."""
    return [task.uuid for task in state.expected(without=())[queue].tasks]


def test_what_is_forgotten_is_expected_all_the_same(state: State, clock: FakeClock) -> None:
    """Only an event of it, or somebody who knows, ends that."""
    now = clock.wall()
    sent = [task("sent", uuid, at=now - 90, queue="q") for uuid in ("u0", "u1", "u2", "u3")]
    state.observe(sent)
    state.forget_unreceived("q", before=now - 60)
    assert state.unreceived() == {"q": UnreceivedTasks(0)}
    assert expected(state) == ["u1", "u2", "u3"], "of the first of a name nothing is certain"

    state.observe([task("received", "u1", at=now)])
    state.forget_expected("q", ["u2"])
    assert expected(state) == ["u3"]
    assert state.expected(without={"q"}) == {}


@pytest.mark.parametrize(
    "overtaking",
    [
        ("received",),
        ("received", "started"),
        ("received", "started", "succeeded"),
        ("received", "started", "retried"),
    ],
)
@pytest.mark.parametrize("sent_at", [999.0, 1_010.0], ids=["before", "after"])
def test_a_task_whose_events_overtook_its_task_sent_is_not_expected(
    overtaking: tuple[str, ...], sent_at: float, state: State
) -> None:
    """Producers tell of a task after they have published it, by a clock of their own.

    It came out of its queue, all the same.
    """
    state.observe([task("sent", "first", queue="q")])
    state.observe([task(what, at=1_000.0 + at) for at, what in enumerate(overtaking)])
    for _ in range(2):  # it may come twice
        state.observe([task("sent", at=sent_at, queue="q")])
        assert expected(state) == []
        assert state.expected(without=())["q"].taken == 1


def test_a_task_sent_that_comes_very_late_is_still_known_for_that(state: State) -> None:
    """So many tasks have ended since that their ends are forgotten."""
    state.observe([task("sent", "first", queue="q")])
    state.observe([task(what, "slow") for what in ("received", "started", "succeeded")])
    for number in range(30_000):
        state.observe([task("failed", f"u{number}")])
    state.observe([task("sent", "slow", at=1_010.0, queue="q")])
    assert expected(state) == []
    assert state.unreceived() == {"q": UnreceivedTasks(1, 1_000.0)}


def test_a_task_sent_that_comes_twice_is_one(state: State) -> None:
    """While it waits, while it runs, and after it has ended."""
    sent = [task("sent", uuid, queue="q") for uuid in ("first", "u1")]
    run = [task(what, at=1_001.0) for what in ("received", "started", "succeeded")]
    state.observe([*sent, sent[1]])
    assert expected(state) == ["u1"]
    for event in run:
        state.observe([event, sent[1]])
        assert expected(state) == []


def test_a_retry_is_expected_until_it_is_received(state: State) -> None:
    """It is published before the run that asks for it is over."""
    state.observe([task("sent", "first", queue="q"), task("sent", queue="q")])
    state.observe([task("received"), task("started")])
    state.observe([task("sent", at=1_002.0, queue="q", retries=1), task("retried", at=1_003.0)])
    assert expected(state) == ["u1"]
    state.observe([task("received", at=1_004.0, retries=1)])
    assert expected(state) == []


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
