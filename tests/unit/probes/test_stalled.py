"""Stalls: who beats, does nothing, and has work waiting, is stalled; nobody else is."""

from __future__ import annotations

from typing import Any

from event_monitor.probes.stalled import Stalls
from event_monitor.snapshot import WorkerState, WorkerStatus
from event_monitor.survey import QueueDepth, Survey, WorkerAnswer

W1, W2 = "celery@one", "celery@two"
LIMIT = 300.0


def worker(hostname: str = W1, **fields: Any) -> WorkerStatus:
    """An idle worker that has just sent a heartbeat."""
    fields = {"pid": 7, "active": 0, "processed": 40, "silent_seconds": 0.0, **fields}
    return WorkerStatus(hostname, fields.pop("state", WorkerState.ONLINE), **fields)


def survey(*hostnames: str, reads: tuple[str, ...] = ("celery",), **ready: int | None) -> Survey:
    """What the workers said of their queues, and what is ready in each queue."""
    answers = tuple(WorkerAnswer(one, queues=reads) for one in hostnames)
    return Survey(
        queues=tuple(QueueDepth(name, ready=count) for name, count in ready.items()),
        workers=answers,
    )


WAITING = survey(W1, celery=5)


def after(
    stalls: Stalls, seconds: float, status: WorkerStatus, found: Survey = WAITING
) -> tuple[str, ...] | None:
    """The verdict at that time."""
    return stalls.update((status,), found, now=1_000.0 + seconds)


def test_a_worker_that_beats_and_does_nothing_while_work_waits_is_stalled() -> None:
    """Only when that has lasted longer than the setting."""
    stalls = Stalls(LIMIT)

    verdicts = [after(stalls, seconds, worker()) for seconds in (0, 60, 300, 301)]

    assert verdicts == [(), (), (), (W1,)]


def test_it_recovers_with_its_first_task() -> None:
    """The clock begins anew."""
    stalls = Stalls(LIMIT)
    after(stalls, 0, worker())
    assert after(stalls, 400, worker()) == (W1,)

    assert after(stalls, 460, worker(processed=41)) == ()
    assert after(stalls, 760, worker(processed=41)) == ()
    assert after(stalls, 761, worker(processed=41)) == (W1,)


def test_a_busy_worker_is_never_stalled() -> None:
    """However long its task runs."""
    stalls = Stalls(LIMIT)

    assert {after(stalls, n * 600.0, worker(active=1)) for n in range(9)} == {()}


def test_a_worker_without_work_is_never_stalled() -> None:
    """Its queue is empty, others are not."""
    stalls = Stalls(LIMIT)
    found = survey(W1, celery=0, elsewhere=99)

    assert {after(stalls, n * 600.0, worker(), found) for n in range(9)} == {()}


def test_work_that_was_done_in_between_begins_the_clock_anew() -> None:
    """All of it has to last without a break."""
    stalls = Stalls(LIMIT)
    after(stalls, 0, worker())
    after(stalls, 200, worker(), survey(W1, celery=0))

    assert after(stalls, 400, worker()) == ()
    assert after(stalls, 701, worker()) == (W1,)


def test_a_worker_that_consumes_nothing_is_not_stalled() -> None:
    """Somebody cancelled its consumers on purpose."""
    stalls = Stalls(LIMIT)
    found = survey(W1, reads=(), celery=9)

    assert {after(stalls, n * 600.0, worker(), found) for n in range(3)} == {()}


def test_a_worker_that_no_longer_answers_is_judged_by_the_queues_it_told_last() -> None:
    """It beats, but has fallen out of its queues and its mailbox."""
    # Given
    stalls = Stalls(LIMIT)
    after(stalls, 0, worker(), survey(W1, celery=0, elsewhere=0))

    # When it does not answer any more
    silent = survey(celery=5, elsewhere=0)

    # Then
    assert after(stalls, 60, worker(), silent) == ()
    assert after(stalls, 361, worker(), silent) == (W1,)


def test_a_worker_that_never_answered_is_judged_only_if_work_waits_everywhere() -> None:
    """Else it may have none."""
    somewhere, everywhere = Stalls(LIMIT), Stalls(LIMIT)

    for seconds in (0, 400):
        first = after(somewhere, seconds, worker(), survey(celery=5, elsewhere=0))
        second = after(everywhere, seconds, worker(), survey(celery=5, elsewhere=1))

    assert first == ()
    assert second == (W1,)


def test_without_depths_nothing_is_known() -> None:
    """None, not an empty list."""
    stalls = Stalls(LIMIT)

    assert after(stalls, 0, worker(), Survey()) is None
    assert after(stalls, 0, worker(), survey(W1, celery=None)) is None
    assert after(stalls, 0, worker(), survey(W1)) is None


def test_a_gap_in_what_is_known_does_not_acquit() -> None:
    """The worker's own count proves that it did nothing meanwhile."""
    stalls = Stalls(LIMIT)
    after(stalls, 0, worker())
    after(stalls, 150, worker(), Survey())

    assert after(stalls, 301, worker()) == (W1,)


def test_silence_is_no_evidence() -> None:
    """A solo worker that runs a task beats no more: nobody knows what it does."""
    stalls = Stalls(LIMIT)
    after(stalls, 0, worker())

    assert after(stalls, 900, worker(silent_seconds=800.0)) == ()


def test_a_restarted_worker_begins_anew() -> None:
    """Even if it has begun as few tasks as the one before it."""
    stalls = Stalls(LIMIT)
    after(stalls, 0, worker(processed=0))

    assert after(stalls, 400, worker(pid=8, processed=0)) == ()


def test_a_worker_that_never_told_its_count_is_not_judged() -> None:
    """Neither is one that is not online."""
    for status in (
        worker(processed=None),
        worker(active=None),
        worker(state=WorkerState.LOST),
        worker(state=WorkerState.OFFLINE),
    ):
        stalls = Stalls(LIMIT)
        after(stalls, 0, status)
        assert after(stalls, 900, status) == ()


def test_workers_that_left_the_roster_are_forgotten() -> None:
    """Memory is bounded by the roster."""
    stalls = Stalls(LIMIT)
    for n in range(100):
        stalls.update((worker(f"w{n}@host"), worker(W2)), WAITING, now=float(n))

    assert set(stalls._watches) == {"w99@host", W2}
