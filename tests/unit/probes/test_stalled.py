"""Stalled workers: they send heartbeats, do nothing, and have work waiting; no others are."""

from __future__ import annotations

from typing import Any

import pytest

from event_monitor.probes.stalled import Idle, Look, StalledWorkers, idle_after
from event_monitor.snapshot import WorkerState, WorkerStatus
from event_monitor.survey import QueueDepth, Survey, WorkerAnswer

W1, W2 = "celery@one", "celery@two"
LIMIT = 300.0


def worker(hostname: str = W1, **fields: Any) -> WorkerStatus:
    """An idle worker that has just sent a heartbeat."""
    fields = {"pid": 7, "active": 0, "processed": 40, "silent_seconds": 0.0, **fields}
    return WorkerStatus(hostname, fields.pop("state", WorkerState.ONLINE), **fields)


def survey(
    *hostnames: str,
    reads: tuple[str, ...] | None = ("celery",),
    interval: float | None = 0.0,
    held: tuple[int, int] = (0, 0),
    **ready: int | None,
) -> Survey:
    """What the workers said of themselves, and what is ready in each queue.

    ``held`` is how many tasks are reserved and scheduled, of four at the most.
    """
    reserved, scheduled = held
    answers = tuple(
        WorkerAnswer(
            hostname,
            reserved=reserved,
            scheduled=scheduled,
            queues=reads,
            prefetch_count=4,
            start_interval_seconds=interval,
        )
        for hostname in hostnames
    )
    return Survey(
        queues=tuple(QueueDepth(name, ready=count) for name, count in ready.items()),
        workers=answers,
    )


WAITING = survey(W1, celery=5)


def after(
    stalled: StalledWorkers, seconds: float, status: WorkerStatus, found: Survey = WAITING
) -> tuple[str, ...] | None:
    """The verdict at that time."""
    return stalled.judge((status,), found, now=1_000.0 + seconds)


def test_a_worker_that_beats_and_does_nothing_while_work_waits_is_stalled() -> None:
    """Only when that has lasted longer than the setting."""
    stalled = StalledWorkers(LIMIT)

    verdicts = [after(stalled, seconds, worker()) for seconds in (0, 60, 300, 301)]

    assert verdicts == [(), (), (), (W1,)]


def test_it_recovers_with_its_first_task() -> None:
    """The clock begins anew."""
    stalled = StalledWorkers(LIMIT)
    after(stalled, 0, worker())
    assert after(stalled, 400, worker()) == (W1,)

    assert after(stalled, 460, worker(processed=41)) == ()
    assert after(stalled, 760, worker(processed=41)) == ()
    assert after(stalled, 761, worker(processed=41)) == (W1,)


def test_a_busy_worker_is_never_stalled() -> None:
    """However long its task runs."""
    stalled = StalledWorkers(LIMIT)

    assert {after(stalled, look * 600.0, worker(active=1)) for look in range(9)} == {()}


def test_a_worker_without_work_is_never_stalled() -> None:
    """Its queue is empty, others are not."""
    stalled = StalledWorkers(LIMIT)
    found = survey(W1, celery=0, elsewhere=99)

    assert {after(stalled, look * 600.0, worker(), found) for look in range(9)} == {()}


def test_work_that_was_done_in_between_begins_the_clock_anew() -> None:
    """All of it has to last without a break."""
    stalled = StalledWorkers(LIMIT)
    after(stalled, 0, worker())
    after(stalled, 200, worker(), survey(W1, celery=0))

    assert after(stalled, 400, worker()) == ()
    assert after(stalled, 701, worker()) == (W1,)


def test_a_worker_that_consumes_nothing_is_not_stalled() -> None:
    """Somebody cancelled its consumers on purpose."""
    stalled = StalledWorkers(LIMIT)
    found = survey(W1, reads=(), celery=9)

    assert {after(stalled, look * 600.0, worker(), found) for look in range(3)} == {()}


def test_a_worker_that_no_longer_answers_is_judged_by_the_queues_it_named_last() -> None:
    """It beats, but has fallen out of its queues and its mailbox."""
    # Given
    stalled = StalledWorkers(LIMIT)
    after(stalled, 0, worker(), survey(W1, celery=0, elsewhere=0))

    # When it does not answer any more
    silent = survey(celery=5, elsewhere=0)

    # Then
    assert after(stalled, 60, worker(), silent) == ()
    assert after(stalled, 361, worker(), silent) == (W1,)


def test_what_a_worker_held_when_it_last_answered_does_not_acquit_it_for_ever() -> None:
    """A busy worker is full; that it fell out of its queues shows when it is idle."""
    stalled = StalledWorkers(LIMIT)
    after(stalled, 0, worker(active=1), survey(W1, celery=5, held=(4, 0)))
    silent = survey(celery=5)

    assert after(stalled, 60, worker(), silent) == ()
    assert after(stalled, 361, worker(), silent) == (W1,)


@pytest.mark.parametrize(
    "found",
    [
        survey(celery=5, elsewhere=1),
        survey(W1, reads=None, celery=5, elsewhere=1),
        survey(W1, interval=None, celery=5),
    ],
    ids=["no answer", "no queues", "no rate limits"],
)
def test_a_worker_that_never_said_enough_of_itself_is_not_judged(found: Survey) -> None:
    """Its remote control may be off, and its own queue empty, or its tasks limited."""
    stalled = StalledWorkers(LIMIT)

    assert {after(stalled, look * 600.0, worker(), found) for look in range(3)} == {()}


def test_a_worker_with_a_rate_limit_is_stalled_only_when_it_could_have_begun_a_task() -> None:
    """Between two starts it runs nothing, and inspect shows nothing of what it holds back."""
    stalled = StalledWorkers(LIMIT)
    limited = survey(W1, celery=5, interval=3_600.0)  # one an hour

    verdicts = [after(stalled, seconds, worker(), limited) for seconds in (0, 3_600, 3_900, 3_901)]

    assert verdicts == [(), (), (), (W1,)]


def test_a_rate_limit_is_remembered_while_the_worker_does_not_answer() -> None:
    stalled = StalledWorkers(LIMIT)
    after(stalled, 0, worker(), survey(W1, celery=5, interval=3_600.0))

    assert after(stalled, 2_000, worker(), survey(celery=5)) == ()


@pytest.mark.parametrize(
    ("held", "verdict"),
    [
        ((0, 4), ()),
        ((0, 9), ()),
        ((0, 3), (W1,)),
        ((0, 0), (W1,)),
        ((4, 0), (W1,)),
        ((1, 3), (W1,)),
    ],
)
def test_a_worker_that_is_full_of_tasks_with_an_eta_is_not_stalled(
    held: tuple[int, int], verdict: tuple[str, ...]
) -> None:
    """It takes no more; those that it has reserved it could begin, if its pool were well."""
    stalled = StalledWorkers(LIMIT)
    found = survey(W1, celery=5, held=held)
    after(stalled, 0, worker(), found)

    assert after(stalled, 400, worker(), found) == verdict


def test_a_pool_that_begins_nothing_of_what_the_worker_holds_is_stalled() -> None:
    """Also if nothing more waits in the queue."""
    stalled = StalledWorkers(LIMIT)
    found = survey(W1, celery=0, held=(2, 0))
    after(stalled, 0, worker(), found)

    assert after(stalled, 300, worker(), found) == ()
    assert after(stalled, 301, worker(), found) == (W1,)


def test_a_worker_whose_consumer_was_cancelled_is_not_stalled() -> None:
    """It answers with the queues that are left."""
    stalled = StalledWorkers(LIMIT)
    after(stalled, 0, worker())
    paused = survey(W1, reads=("elsewhere",), celery=5, elsewhere=0)

    assert {after(stalled, look * 600.0, worker(), paused) for look in range(1, 4)} == {()}


def test_without_depths_nothing_is_known() -> None:
    """None, not an empty list."""
    stalled = StalledWorkers(LIMIT)

    assert after(stalled, 0, worker(), Survey()) is None
    assert after(stalled, 0, worker(), survey(W1, celery=None)) is None
    assert after(stalled, 0, worker(), survey(W1)) is None


def test_a_gap_in_what_is_known_does_not_acquit() -> None:
    """The worker's own count proves that it did nothing meanwhile."""
    stalled = StalledWorkers(LIMIT)
    after(stalled, 0, worker())
    after(stalled, 150, worker(), Survey())

    assert after(stalled, 301, worker()) == (W1,)


def test_silence_is_no_evidence() -> None:
    """A solo worker that runs a task beats no more: nobody knows what it does."""
    stalled = StalledWorkers(LIMIT)
    after(stalled, 0, worker())

    assert after(stalled, 900, worker(silent_seconds=800.0)) == ()


def test_a_restarted_worker_begins_anew() -> None:
    """Even if it has begun as few tasks as the one before it."""
    stalled = StalledWorkers(LIMIT)
    after(stalled, 0, worker(processed=0))

    assert after(stalled, 400, worker(pid=8, processed=0)) == ()


def test_a_worker_that_never_reported_its_count_is_not_judged() -> None:
    """Neither is one that is not online."""
    for status in (
        worker(processed=None),
        worker(active=None),
        worker(state=WorkerState.LOST),
        worker(state=WorkerState.OFFLINE),
    ):
        stalled = StalledWorkers(LIMIT)
        after(stalled, 0, status)
        assert after(stalled, 900, status) == ()


def test_a_worker_that_left_the_roster_is_forgotten() -> None:
    """Memory is bounded by the roster: one that comes back is seen for the first time."""
    # Given
    stalled = StalledWorkers(LIMIT)
    after(stalled, 0, worker())

    # When
    after(stalled, 100, worker(W2), survey(W2, celery=5))

    # Then
    assert after(stalled, 400, worker()) == ()
    assert after(stalled, 701, worker()) == (W1,)


# -- one look after the other ----------------------------------------------------------------------

BEFORE = Idle(7, since=500.0)


def look(
    *,
    active: int | None = 0,
    processed: int | None = 7,
    work_waits: bool | None = True,
    uptime_seconds: float | None = 9_999.0,
) -> Look:
    """At a worker that has been idle for long while work waits, unless said otherwise."""
    return Look(
        active=active,
        processed=processed,
        work_waits=work_waits,
        seen_at=1_000.0,
        uptime_seconds=uptime_seconds,
    )


@pytest.mark.parametrize(
    ("before", "found", "verdict", "idle_seconds"),
    [
        (None, look(), Idle(7, 1_000.0), 0.0),  # first seen
        (BEFORE, look(), BEFORE, 500.0),  # still
        (BEFORE, look(uptime_seconds=None), BEFORE, 500.0),
        (Idle(6, 500.0), look(), Idle(7, 1_000.0), 0.0),  # it worked in between
        (Idle(6, 500.0), look(work_waits=None), None, 0.0),
        (Idle(7, 2_000.0), look(), Idle(7, 1_000.0), 0.0),  # the clock was stepped back
        (BEFORE, look(uptime_seconds=20.0), Idle(7, 980.0), 20.0),  # a new process of that name
        (BEFORE, look(work_waits=False), None, 0.0),
        (BEFORE, look(active=1), None, 0.0),
        (BEFORE, look(active=1, processed=None, work_waits=None), None, 0.0),
        # What is unknown neither acquits nor adds to the evidence.
        (BEFORE, look(work_waits=None), BEFORE, 0.0),
        (BEFORE, look(active=None), BEFORE, 0.0),
        (BEFORE, look(processed=None), BEFORE, 0.0),
        (None, look(work_waits=None), None, 0.0),
    ],
)
def test_since_when_a_worker_is_idle_while_work_waits(
    before: Idle | None, found: Look, verdict: Idle | None, idle_seconds: float
) -> None:
    """One look compared with the one before."""
    idle = idle_after(before, found)

    assert idle == verdict
    assert found.idle_seconds(idle) == idle_seconds
