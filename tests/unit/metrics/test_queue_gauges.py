"""Gauges of queues: what is known is published, what is not is left out, never invented."""

from __future__ import annotations

from dataclasses import replace

import pytest

from event_monitor.metrics.gauges import queue_totals, queue_values, values_by_queue, worker_totals
from event_monitor.metrics.source_values import SourceValues
from event_monitor.settings import Settings
from event_monitor.snapshot import Snapshot, TaskCounts, Window
from event_monitor.survey import AbsentWorker, QueueDepth, Survey, WorkerAnswer

PLAIN = Settings()
LIMITED = Settings(
    queue_length_limits=(("bulk.*", (1_000, 10_000)), ("*", (10, 100))),
    queue_age_limits=(("*", (60, 600)),),
)
MINUTE = Window(0.0, 60.0, tasks=(("add", TaskCounts(received=120)),))


def totals_of(survey: Survey, settings: Settings) -> SourceValues:
    return queue_totals(Snapshot(MINUTE, survey=survey), settings)


# -- one queue ------------------------------------------------------------------------------------


def test_queue_of_which_nothing_is_known_has_no_gauges() -> None:
    assert queue_values(QueueDepth("q"), Survey(), LIMITED) == {}


def test_queue_of_which_all_is_known_has_all_gauges() -> None:
    queue = QueueDepth(
        "q",
        ready=30,
        unacked=10,
        consumers=2,
        oldest_seconds=61.0,
        arrivals_per_second=1.0,
        deliveries_per_second=4.0,
    )
    workers = (
        WorkerAnswer("w1@h", scheduled=0, pool_processes=4, queues=("q", "p")),
        WorkerAnswer("w2@h", scheduled=0, pool_processes=4, queues=("q",)),
        WorkerAnswer("w3@h", pool_processes=9, queues=("p",)),
    )

    assert queue_values(queue, Survey(workers=workers), LIMITED) == {
        "queue_length": 30,
        "queue_unacked": 10,
        "queue_consumers": 2,
        "oldest_message": 61.0,
        "queue_status": 1,
        "backlog_per_worker": 5.0,
        "arrival_rate": 1.0,
        "drain_rate": 4.0,
        "time_to_empty": 10.0,
        "pool_processes": 8,
    }


def test_empty_queue_has_an_age_of_zero_and_is_empty_now() -> None:
    values = queue_values(QueueDepth("q", ready=0), Survey(), PLAIN)

    assert values == {"queue_length": 0, "oldest_message": 0.0, "time_to_empty": 0.0}


def test_waiting_queue_whose_messages_carry_no_time_has_no_age() -> None:
    assert "oldest_message" not in queue_values(QueueDepth("q", ready=1), Survey(), PLAIN)


def test_queue_that_does_not_shrink_is_never_empty() -> None:
    queue = QueueDepth("q", ready=5, arrivals_per_second=2.0, deliveries_per_second=2.0)

    assert "time_to_empty" not in queue_values(queue, Survey(), PLAIN)


def test_backlog_without_a_worker_counts_as_if_there_were_one() -> None:
    values = queue_values(QueueDepth("q", ready=7), Survey(workers=()), PLAIN)

    assert values["backlog_per_worker"] == 7.0


def test_backlog_is_unknown_while_the_workers_are() -> None:
    assert "backlog_per_worker" not in queue_values(QueueDepth("q", ready=7), Survey(), PLAIN)


def test_backlog_per_worker_is_unknown_if_the_size_of_a_pool_is() -> None:
    """Taken for no processes, it would make the fleet grow eightfold."""
    workers = (
        WorkerAnswer("w1@h", pool_processes=8, queues=("q",)),
        WorkerAnswer("w2@h", queues=("q",)),
    )
    survey = Survey(queues=(QueueDepth("q", ready=108),), workers=workers)

    assert "backlog_per_worker" not in totals_of(survey, PLAIN)
    assert totals_of(replace(survey, workers=workers[:1]), PLAIN)[
        "backlog_per_worker"
    ] == pytest.approx(13.5)


# -- tasks that wait for their eta ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("reads", "scheduled", "by_key", "backlog"),
    [
        (("q",), 40, (), 1.5),  # all are from the one queue that it reads
        (("q", "p"), 0, (), 11.5),
        (("q", "p"), 40, (("q", 40),), 1.5),
        (("q", "p"), 40, (("q", 10), ("p", 30)), 9.0),
        (("q", "p"), 40, (("p", 40),), 11.5),
        (("q", "p"), 40, (("q", 39), ("video.#", 1)), None),  # nobody knows where that one is from
        (("q", "p"), 40, (), None),
        (("q", "p"), None, (), None),
    ],
)
def test_what_workers_hold_until_its_eta_is_no_backlog(
    reads: tuple[str, ...],
    scheduled: int | None,
    by_key: tuple[tuple[str, int], ...],
    backlog: float | None,
) -> None:
    """By the queue that each was sent to; unknown where that cannot be told."""
    answer = WorkerAnswer(
        "w@h", scheduled=scheduled, pool_processes=4, queues=reads, scheduled_by_key=by_key
    )
    queue = QueueDepth("q", ready=4, unacked=42)

    values = queue_values(queue, Survey(workers=(answer,)), PLAIN)

    assert values.get("backlog_per_worker") == backlog


def test_the_backlog_of_all_queues_needs_not_know_which_a_scheduled_task_is_of() -> None:
    answer = WorkerAnswer("w@h", scheduled=40, pool_processes=4, queues=("q", "p"))
    queues = (QueueDepth("q", ready=2, unacked=30), QueueDepth("p", ready=2, unacked=14))

    totals = totals_of(Survey(queues=queues, workers=(answer,)), PLAIN)

    assert totals["backlog_per_worker"] == 2.0


def test_a_backlog_is_never_negative() -> None:
    """Broker and workers are asked one after the other."""
    answer = WorkerAnswer("w@h", scheduled=40, pool_processes=1, queues=("q",))

    values = queue_values(QueueDepth("q", 0, 39), Survey(workers=(answer,)), PLAIN)

    assert values["backlog_per_worker"] == 0


# -- partial answers ------------------------------------------------------------------------------


def test_a_worker_that_did_not_answer_leaves_unknown_what_it_may_touch() -> None:
    """The backlog per process would be too large, and not by a little."""
    survey = Survey(
        queues=(QueueDepth("q", 8, 0, 1), QueueDepth("p", 6, 0, 1)),
        workers=(WorkerAnswer("w@h", scheduled=0, pool_processes=2, queues=("q", "p")),),
        absent=(AbsentWorker("busy@h", ("q",)),),
    )
    by_queue = values_by_queue(survey, PLAIN)

    assert by_queue["q"].get("backlog_per_worker") is None
    assert by_queue["p"]["backlog_per_worker"] == 3.0
    assert "backlog_per_worker" not in totals_of(survey, PLAIN)
    assert totals_of(survey, PLAIN)["queue_length"] == 14


def test_a_worker_whose_queues_are_unknown_may_read_all() -> None:
    for survey in (
        Survey(workers=(), absent=(AbsentWorker("busy@h"),)),
        Survey(workers=(WorkerAnswer("terse@h", pool_processes=1),)),
    ):
        assert "backlog_per_worker" not in queue_values(QueueDepth("q", 7), survey, PLAIN)


@pytest.mark.parametrize(
    ("unknown", "lost"),
    [
        (
            QueueDepth("b"),
            {"queue_length", "queue_unacked", "queue_consumers", "oldest_message"}
            | {"queue_status", "queues_unread", "arrival_rate", "drain_rate", "time_to_empty"},
        ),
        (QueueDepth("b", 1, 1, 1, None, 1.0, 2.0), {"oldest_message"}),
        (QueueDepth("b", 1, 1, None, 1.0, 1.0, 2.0), {"queue_consumers", "queues_unread"}),
        (QueueDepth("b", 1, None, 1, 1.0, 1.0, 2.0), {"queue_unacked"}),
        (QueueDepth("b", 0, 1, 1, None, 1.0, 2.0), set()),  # nothing waits, so nothing is old
        (QueueDepth("b", missing=True), set()),
    ],
)
def test_totals_are_unknown_while_one_queue_is(unknown: QueueDepth, lost: set[str]) -> None:
    """A part would be taken for the whole."""
    known = QueueDepth("a", 5, 1, 1, 20.0, 1.0, 2.0)
    whole = totals_of(Survey(queues=(known,)), LIMITED)

    assert set(whole) - set(totals_of(Survey(queues=(known, unknown)), LIMITED)) == lost


def test_a_status_that_cannot_be_worse_is_known() -> None:
    """Whatever the other queue is in."""
    queues = (QueueDepth("a", ready=500), QueueDepth("b"))

    assert totals_of(Survey(queues=queues), LIMITED) == {"queue_status": 2, "drain_rate": 2.0}


# -- how busy its workers are ---------------------------------------------------------------------


def test_a_queue_is_as_busy_as_the_workers_that_read_it() -> None:
    """Those of other queues count neither for it nor against it."""
    busy = WorkerAnswer("w1@h", active=4, pool_processes=4, queues=("q", "p"))
    idle = WorkerAnswer("w2@h", active=0, pool_processes=4, queues=("q",))
    other = WorkerAnswer("w3@h", active=8, pool_processes=8, queues=("r",))
    survey = Survey(workers=(busy, idle, other))

    def utilization(name: str, survey: Survey = survey) -> object:
        return queue_values(QueueDepth(name), survey, PLAIN).get("utilization")

    assert [utilization(name) for name in ("q", "p", "r", "nobody's")] == [50, 100, 100, None]
    absent = replace(survey, absent=(AbsentWorker("w4@h", ("q",)),))
    assert (utilization("q", absent), utilization("r", absent)) == (None, 100)
    assert "utilization" not in totals_of(replace(survey, queues=(QueueDepth("q"),)), PLAIN)


def test_a_worker_that_reads_several_queues_counts_for_each() -> None:
    """By queue their processes add up to more than there are."""
    both = WorkerAnswer("w1@h", pool_processes=4, queues=("q", "p"))
    one = WorkerAnswer("w2@h", pool_processes=2, queues=("q",))
    survey = Survey(workers=(both, one))

    def processes(name: str, survey: Survey = survey) -> object:
        return queue_values(QueueDepth(name), survey, PLAIN).get("pool_processes")

    assert [processes(name) for name in ("q", "p", "nobody's")] == [6, 4, 0]
    assert worker_totals(survey)["pool_processes"] == 6
    terse = WorkerAnswer("w3@h", queues=("q",))
    unknown = replace(survey, workers=(both, one, terse))
    assert (processes("q", unknown), processes("p", unknown)) == (None, 4)
    absent = replace(survey, absent=(AbsentWorker("w4@h", ("q",)),))
    assert (processes("q", absent), processes("p", absent)) == (None, 4)


# -- queues of single workers ---------------------------------------------------------------------


def test_the_queues_of_single_workers_are_one_series() -> None:
    """Pods come and go, and each has a name of its own."""
    survey = Survey(
        queues=(
            QueueDepth("celery", ready=7, oldest_seconds=3.0),
            QueueDepth("celery@pod-1.dq2", ready=1, oldest_seconds=4.0),
            QueueDepth("celery@pod-2.dq2", ready=2, oldest_seconds=9.0),
        )
    )

    assert values_by_queue(survey, PLAIN) == {
        "celery": {"queue_length": 7, "oldest_message": 3.0},
        "worker_direct": {"queue_length": 3, "oldest_message": 9.0},
    }
    assert totals_of(survey, PLAIN)["queue_length"] == 10


# -- all queues -----------------------------------------------------------------------------------


def test_totals_of_no_survey_are_nothing() -> None:
    assert totals_of(Survey(), LIMITED) == {}


def test_totals_add_lengths_and_take_the_highest_age_and_status() -> None:
    survey = Survey(
        queues=(
            QueueDepth("a", ready=5, unacked=1, consumers=1, oldest_seconds=700.0),
            QueueDepth("b", ready=50, unacked=2, consumers=2, oldest_seconds=3.0),
            QueueDepth("not there", missing=True),
        ),
        workers=(WorkerAnswer("w@h", scheduled=0, pool_processes=2, queues=("a", "b")),),
    )

    assert totals_of(survey, LIMITED) == {
        "queue_length": 55,
        "queue_unacked": 3,
        "queue_consumers": 3,
        "oldest_message": 700.0,
        "queue_status": 2,
        "queues_unread": 0,
        "backlog_per_worker": 29.0,
        "drain_rate": 2.0,  # by the 120 tasks that workers received in the minute
    }


def test_messages_that_nobody_reads_are_told_from_queues_that_nobody_needs() -> None:
    """An empty queue without readers is no trouble, and neither is one that is not there."""
    queues = (
        QueueDepth("in vain", ready=1, consumers=0),
        QueueDepth("read", ready=9, consumers=1),
        QueueDepth("of old", ready=0, consumers=0),
        QueueDepth("empty", ready=0),
        QueueDepth("not there", missing=True),
    )
    assert totals_of(Survey(queues=queues), PLAIN)["queues_unread"] == 1


def test_totals_compute_the_rates_where_the_broker_reports_none() -> None:
    survey = Survey(queues=(QueueDepth("q", ready=30),), ready_growth_per_second=-0.5)

    values = totals_of(survey, PLAIN)

    assert (values["arrival_rate"], values["drain_rate"]) == (1.5, 2.0)
    assert values["time_to_empty"] == 60.0


def test_totals_use_the_rates_the_broker_reports() -> None:
    queues = (
        QueueDepth("a", ready=8, arrivals_per_second=1.0, deliveries_per_second=2.0),
        QueueDepth("b", ready=2, arrivals_per_second=3.0, deliveries_per_second=4.0),
    )

    values = totals_of(Survey(queues=queues), PLAIN)

    assert (values["arrival_rate"], values["drain_rate"]) == (4.0, 6.0)
    assert values["time_to_empty"] == 5.0
