"""Outcomes: what retries came to, what ran twice, and how long it took in all."""

from __future__ import annotations

import random
from collections.abc import Iterable
from itertools import permutations

import pytest

from event_monitor.distribution import Distribution
from event_monitor.events import TaskEvent
from event_monitor.settings import Settings
from event_monitor.snapshot import TaskCounts, total
from event_monitor.state import State
from event_monitor.testing import FakeClock

from ...support.making import W1, W2, task
from .test_state import shoot


def new_state(**settings: object) -> State:
    return State(Settings(time_total=True, **settings), clock=FakeClock())  # type: ignore[arg-type]


@pytest.fixture
def state() -> State:
    return new_state()


def counted(state: State, events: Iterable[TaskEvent]) -> TaskCounts:
    """Return what is counted of these events, each in a window of its own."""
    windows = []
    for event in events:
        state.observe([event])
        windows.append(shoot(state).window)
    return total(counts for window in windows for _, counts in window.tasks)


def delivery(at: float, *, retries: int = 0, on: str = W1) -> list[TaskEvent]:
    """Return the events of a run that begins a second after its receipt."""
    return [
        task("received", at=at, retries=retries, on=on),
        task("started", at=at + 1, on=on),
    ]


def after_retries(how: str) -> list[TaskEvent]:
    """Return the events of a task that is retried twice, and then ends in this way."""
    return [
        *delivery(1_000.0),
        task("retried", at=1_002.0),
        *delivery(1_010.0, retries=1),
        task("retried", at=1_012.0),
        *delivery(1_020.0, retries=2),
        task(how, at=1_025.0),
    ]


def outcome(counts: TaskCounts) -> tuple[int, ...]:
    return (counts.recovered, counts.exhausted, counts.redelivered, counts.duplicated)


# -- retries ---------------------------------------------------------------------------------------


def test_a_task_that_succeeds_after_retries_has_recovered(state: State) -> None:
    """Two retries, and 25 seconds in all."""
    counts = counted(state, after_retries("succeeded"))

    assert outcome(counts) == (1, 0, 0, 0)
    assert (counts.succeeded, counts.retried) == (1, 2)
    assert counts.retries == Distribution((2.0,), (1,))
    assert counts.total_time == Distribution((25.0,), (1,))


def test_a_task_that_fails_after_retries_has_exhausted_them(state: State) -> None:
    """The last run took four seconds."""
    counts = counted(state, after_retries("failed"))

    assert outcome(counts) == (0, 1, 0, 0)
    assert counts.retries == Distribution((2.0,), (1,))
    assert counts.failed_runtime == Distribution((4.0,), (1,))


def test_what_was_never_retried_has_neither_recovered_nor_exhausted_anything(state: State) -> None:
    counts = counted(state, [*delivery(1_000.0), task("failed", at=1_003.0)])

    assert outcome(counts) == (0, 0, 0, 0)
    assert counts.retries == Distribution()
    assert counts.failed_runtime == Distribution((2.0,), (1,))


def test_retries_from_before_we_listened_are_told_by_the_delivery(state: State) -> None:
    """How long it took in all is not."""
    last = [*delivery(1_000.0, retries=3), task("succeeded", at=1_005.0)]
    counts = counted(state, last)

    assert outcome(counts) == (1, 0, 0, 0)
    assert counts.retries == Distribution((3.0,), (1,))
    assert counts.total_time == Distribution()


@pytest.mark.parametrize("how", ["succeeded", "failed"])
def test_a_next_delivery_that_overtakes_the_retry_changes_nothing(how: str) -> None:
    """It comes from another worker, or from the same in another order."""
    events = after_retries(how)
    for first, second in ((2, 3), (5, 6)):
        events[first], events[second] = events[second], events[first]
    counts = counted(new_state(), events)

    assert outcome(counts)[:3] == (how == "succeeded", how == "failed", 0)
    assert counts.retries == Distribution((2.0,), (1,))


# -- run twice -------------------------------------------------------------------------------------


def test_a_task_that_begins_again_without_a_retry_was_redelivered(state: State) -> None:
    """Its worker was killed."""
    counts = counted(
        state, [*delivery(1_000.0), *delivery(1_100.0, on=W2), task("succeeded", at=1_105.0, on=W2)]
    )
    assert outcome(counts) == (0, 0, 1, 0)
    assert counts.succeeded == 1
    assert counts.total_time == Distribution((105.0,), (1,))


@pytest.mark.parametrize("other", [W1, W2])
def test_a_task_that_ends_on_both_was_duplicated(state: State, other: str) -> None:
    """A visibility timeout passed while it ran; it succeeded once, as far as it is counted."""
    counts = counted(
        state,
        [
            *delivery(1_000.0),
            *delivery(1_100.0, on=other),
            task("succeeded", at=1_200.0),
            task("succeeded", at=1_300.0, on=other),
        ],
    )
    assert outcome(counts) == (0, 0, 1, 1)
    assert counts.succeeded == 1


def test_a_hard_time_limit_of_a_redelivered_task_is_one_end(state: State) -> None:
    """The worker reports it twice."""
    limit = task("failed", at=1_105.0, on=W2)
    counts = counted(state, [*delivery(1_000.0), *delivery(1_100.0, on=W2), limit, limit])

    assert outcome(counts) == (0, 0, 1, 0)
    assert counts.failed == 1


def test_what_a_stopping_worker_hands_back_has_not_begun(state: State) -> None:
    """It was received twice, and begins once."""
    counts = counted(
        state, [task("received", retries=0), *delivery(1_100.0, on=W2), task("succeeded", on=W2)]
    )
    assert outcome(counts) == (0, 0, 0, 0)


def test_what_a_task_puts_back_itself_is_not_redelivered(state: State) -> None:
    """`Reject(requeue=True)` is a way to wait."""
    counts = counted(
        state,
        [
            *delivery(1_000.0),
            task("rejected", at=1_002.0, requeue=True),
            *delivery(1_010.0),
            task("succeeded", at=1_012.0),
        ],
    )
    assert outcome(counts) == (0, 0, 0, 0)
    assert counts.rejected == 1


def test_an_id_used_again_after_its_end_is_not_redelivered(state: State) -> None:
    counts = counted(
        state,
        [
            *delivery(1_000.0),
            task("succeeded", at=1_005.0),
            *delivery(1_100.0),
            task("succeeded", at=1_105.0),
        ],
    )
    assert outcome(counts) == (0, 0, 0, 0)
    assert (counts.succeeded, counts.total_time) == (2, Distribution((5.0,), (2,)))


# -- any order -------------------------------------------------------------------------------------


def test_no_order_gives_a_negative_or_a_double() -> None:
    """Of a short task all orders; of one with retries, a redelivery and repetitions, many."""
    short = [*delivery(1_000.0), task("retried", at=1_002.0), task("succeeded", at=1_003.0)]
    for events in permutations(short):
        counts = counted(new_state(), events)
        assert counts.recovered <= counts.succeeded == 1

    rng = random.Random(7)
    long = [*after_retries("failed"), *delivery(1_040.0, retries=2, on=W2), task("failed", on=W2)]
    for _ in range(300):
        events = tuple(rng.sample([*long, *rng.sample(long, 4)], k=len(long) + 4))
        counts = counted(new_state(), events)
        assert 0 <= counts.exhausted <= counts.failed
        assert min(outcome(counts)) >= 0
        assert counts.redelivered <= counts.started
        assert all(value >= 0 for value in counts.total_time.values)
        assert all(value >= 0 for value in counts.failed_runtime.values)


# -- how long it took -----------------------------------------------------------------------------


def test_the_total_time_begins_with_the_task_sent_where_there_is_one(state: State) -> None:
    """Waiting in the queue and for an eta is part of it."""
    counts = counted(
        state, [task("sent", at=900.0), *delivery(1_000.0), task("succeeded", at=1_010.0)]
    )
    assert counts.total_time == Distribution((110.0,), (1,))


def test_a_checkpoint_keeps_what_retries_and_total_times_need() -> None:
    """A monitor that is restarted goes on with both."""
    first = new_state(durable_queue="q", state_dir="/state")
    first.observe(after_retries("failed")[:-1])
    second = new_state()
    second.learn(shoot(first).in_flight)

    counts = counted(second, after_retries("failed")[-1:])
    assert outcome(counts) == (0, 1, 0, 0)
    assert counts.total_time == Distribution((25.0,), (1,))


def test_the_total_time_is_not_kept_unless_it_is_asked_for() -> None:
    counts = counted(State(clock=FakeClock()), [*delivery(1_000.0), task("succeeded")])
    assert (counts.succeeded, counts.total_time) == (1, Distribution())


def test_each_end_after_the_first_is_a_duplicate(state: State) -> None:
    """A task that outlasts the visibility timeout may begin on three workers."""
    on = (W1, W2, "celery@three")
    deliveries = [
        event for n, host in enumerate(on) for event in delivery(1_000.0 + n * 10, on=host)
    ]
    ends = [task("succeeded", at=1_100.0 + n, on=host) for n, host in enumerate(on)]
    counts = counted(state, [*deliveries, *ends])

    assert outcome(counts) == (0, 0, 2, 2)
    assert counts.succeeded == 1
