"""Report: the worst problem decides."""

from __future__ import annotations

import pytest

from event_monitor.liveness import SignOfLife
from event_monitor.status.report import Level, Problem, Report, Verdict, judge
from event_monitor.survey import QueueDepth

from .cluster import RUNNING, SETTINGS, W1, judged, queue, report


@pytest.mark.parametrize(
    ("found", "level"),
    [
        (report(), Level.OK),
        (report(queues=(queue(100),)), Level.WARNING),
        (report(queues=(queue(1_000),)), Level.CRITICAL),
        (report(queues=(QueueDepth("free", ready=10**6),)), Level.OK),  # without limits
        (report(workers=()), Level.CRITICAL),
        (report(workers=None, queues=None, unknown=("the broker is away",)), Level.UNKNOWN),
        (report(queues=(queue(1_000),), workers=None, unknown=("no",)), Level.CRITICAL),
        (report(queues=(queue(100),), workers=None, unknown=("no",)), Level.WARNING),
    ],
)
def test_the_worst_problem_is_the_level(found: Report, level: Level) -> None:
    """Critical before warning before unknown."""
    assert judged(found).level is level


def test_the_levels_are_the_exit_codes_of_nagios() -> None:
    """A plugin's protocol."""
    assert [int(level) for level in Level] == [0, 1, 2, 3]
    assert [level.name for level in Level] == ["OK", "WARNING", "CRITICAL", "UNKNOWN"]


def test_every_problem_has_a_sentence_and_every_queue_a_level() -> None:
    """The worst first; a queue without limits has none."""
    found = report(
        workers=(),
        queues=(QueueDepth("free", ready=7), queue(1_500, oldest_seconds=7_260.0), queue(None)),
        unknown=("the workers cannot be asked", "for the same reason"),
    )

    assert judged(found) == Verdict(
        found=(
            Problem(Level.CRITICAL, "no worker answers"),
            Problem(
                Level.CRITICAL,
                "queue celery: 1,500 waiting, the oldest for 2h 01m",
                "queue",
                "celery",
            ),
            Problem(Level.UNKNOWN, "the workers cannot be asked"),
        ),
        queues=(None, Level.CRITICAL, None),
    )
    assert judged(found).level is Level.CRITICAL


def test_workers_that_cannot_be_read_are_unknown_not_missing() -> None:
    """Nobody is called dead; queues are judged all the same."""
    found = report(workers=None, unreadable="sqs has no remote control of workers")

    assert judged(found).level is Level.UNKNOWN
    assert judged(found).problems == (
        "nothing is known of the workers: sqs has no remote control of workers; "
        "--no-probe-workers leaves them out",
    )
    assert judged(found).queues == (Level.OK,)


def test_how_many_workers_there_have_to_be() -> None:
    """A number of the user's."""
    few = judge(report(), SETTINGS, min_workers=2)

    assert few.level is Level.CRITICAL
    assert few.problems == ("1 worker answers, fewer than 2",)
    assert judge(report(workers=()), SETTINGS, min_workers=0).level is Level.OK


def test_the_oldest_task_is_the_one_that_runs_longest() -> None:
    """Of those whose start is known."""
    assert report(running=RUNNING).oldest() == (RUNNING[1], 725.0)
    assert report(running=RUNNING[2:]).oldest() is None
    assert report(workers=(W1,)).oldest() is None


def test_a_second_monitor_that_publishes_the_same_is_a_problem() -> None:
    """As the monitor beside us has noticed; its name was made up elsewhere."""
    sign = SignOfLife(1.0, 60.0, second="process 7 on \x1bhere")
    assert judged(report(monitor=sign)).found == (
        Problem(
            Level.WARNING,
            "a second monitor publishes the same, so that everything counts twice: "
            "process 7 on \\x1bhere",
        ),
    )
