"""Gauges of workers: their answers, and nothing that is known in part only."""

from __future__ import annotations

from event_monitor.metrics.gauges import worker_totals, worker_values
from event_monitor.survey import AbsentWorker, Survey, WorkerAnswer

BUSY = WorkerAnswer(
    "w1@h", active=3, reserved=4, scheduled=1, revoked=2, pool_processes=4, memory_bytes=500
)
IDLE = WorkerAnswer(
    "w2@h", active=0, reserved=0, scheduled=0, revoked=0, pool_processes=2, memory_bytes=900
)
TERSE = WorkerAnswer("w2@h", pool_processes=2, memory_bytes=900)


def test_worker_totals_add_up_what_was_answered() -> None:
    survey = Survey(workers=(BUSY, IDLE), stalled=("w3@h",))

    assert worker_totals(survey) == {
        "stalled": 1,
        "reserved": 4,
        "scheduled": 1,
        "revoked_held": 2,
        "pool_processes": 6,
        "utilization": 50.0,
        "worker_memory": 900,
    }


def test_totals_of_what_one_worker_did_not_answer_are_unknown() -> None:
    """Zero would be invented."""
    assert worker_totals(Survey(workers=(BUSY, TERSE))) == {
        "pool_processes": 6,
        "worker_memory": 900,
    }


def test_all_totals_are_unknown_while_a_worker_is_absent() -> None:
    """A solo worker does not answer while it runs a task; the fleet has not shrunk."""
    survey = Survey(workers=(BUSY, IDLE), absent=(AbsentWorker("w3@h", ("q",)),), stalled=())

    assert worker_totals(survey) == {"stalled": 0}
    assert worker_values(survey)["w1@h"]["pool_processes"] == 4


def test_worker_totals_of_nobody_are_zeros() -> None:
    assert worker_totals(Survey(workers=())) == {
        "reserved": 0,
        "scheduled": 0,
        "revoked_held": 0,
        "pool_processes": 0,
    }


def test_worker_values_are_of_each_that_answered_or_is_stalled() -> None:
    survey = Survey(workers=(BUSY, TERSE), stalled=("w3@h",))

    assert worker_values(survey) == {
        "w1@h": {
            "reserved": 4,
            "scheduled": 1,
            "revoked_held": 2,
            "pool_processes": 4,
            "utilization": 75.0,
            "worker_memory": 500,
            "stalled": 0,
        },
        "w2@h": {"pool_processes": 2, "worker_memory": 900, "stalled": 0},
        "w3@h": {"stalled": 1},
    }


def test_worker_values_without_a_survey_are_none() -> None:
    assert worker_values(Survey()) == {}
