"""Gauges of queues: what is known is published, what is not is left out, never invented."""

from __future__ import annotations

from dataclasses import replace

import pytest

from event_monitor.metrics.gauges import queue_totals, queue_values
from event_monitor.metrics.source_values import SourceValues
from event_monitor.settings import Settings
from event_monitor.snapshot import Snapshot, TaskCounts, Window
from event_monitor.survey import QueueDepth, Survey, WorkerAnswer

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
        WorkerAnswer("w1@h", pool_processes=4, queues=("q", "p")),
        WorkerAnswer("w2@h", pool_processes=4, queues=("q",)),
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


# -- consumers, where the broker does not know ----------------------------------------------------


@pytest.mark.parametrize(
    ("workers", "consumers"),
    [
        (None, None),
        ((), 0),
        ((("q",), ("q", "p"), ("p",)), 2),
        ((("p",),), 0),
        ((("q",), None), None),
    ],
)
def test_consumers_the_broker_does_not_know_are_counted_by_what_workers_read(
    workers: tuple[tuple[str, ...] | None, ...] | None, consumers: int | None
) -> None:
    survey = Survey()
    if workers is not None:
        answers = (WorkerAnswer(f"w{n}@h", queues=queues) for n, queues in enumerate(workers))
        survey = Survey(workers=tuple(answers))

    assert queue_values(QueueDepth("q"), survey, PLAIN).get("queue_consumers") == consumers


def test_the_brokers_number_of_consumers_wins() -> None:
    survey = Survey(workers=(WorkerAnswer("w@h", queues=("q",)),))

    assert queue_values(QueueDepth("q", consumers=0), survey, PLAIN)["queue_consumers"] == 0


# -- all queues -----------------------------------------------------------------------------------


def test_totals_of_no_survey_are_nothing() -> None:
    assert totals_of(Survey(), LIMITED) == {}


def test_totals_add_lengths_and_take_the_highest_age_and_status() -> None:
    survey = Survey(
        queues=(
            QueueDepth("a", ready=5, unacked=1, consumers=1, oldest_seconds=700.0),
            QueueDepth("b", ready=50, unacked=2, consumers=2, oldest_seconds=3.0),
            QueueDepth("unknown"),
        ),
        workers=(WorkerAnswer("w@h", pool_processes=2, queues=("a", "b")),),
    )

    assert totals_of(survey, LIMITED) == {
        "queue_length": 55,
        "queue_unacked": 3,
        "queue_consumers": 3,
        "oldest_message": 700.0,
        "queue_status": 2,
        "backlog_per_worker": 29.0,
        "drain_rate": 2.0,  # by the 120 tasks that workers received in the minute
    }


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
