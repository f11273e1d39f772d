"""Gauges of workers: their answers, and what is concluded when nobody answers."""

from __future__ import annotations

import pytest

from event_monitor.metrics.gauges import worker_totals, worker_values
from event_monitor.snapshot import BrokerLink, Snapshot, Window, WorkerState, WorkerStatus
from event_monitor.survey import Survey, WorkerAnswer

BUSY = WorkerAnswer(
    "w1@h", active=3, reserved=4, scheduled=1, revoked=2, pool_processes=4, memory_bytes=500
)
TERSE = WorkerAnswer("w2@h", pool_processes=2, memory_bytes=900)


def snapshot(*states: WorkerState, link: BrokerLink = BrokerLink.LISTENING) -> Snapshot:
    workers = tuple(WorkerStatus(f"w{n}@h", state, 0.0) for n, state in enumerate(states))
    return Snapshot(Window(0.0, 60.0), workers=workers, link=link)


def test_worker_totals_add_up_what_was_answered() -> None:
    survey = Survey(workers=(BUSY, TERSE), stalled=("w3@h",))

    assert worker_totals(survey) == {
        "stalled": 1,
        "reserved": 4,
        "scheduled": 1,
        "revoked_held": 2,
        "pool_processes": 6,
        "utilization": 75.0,  # of the worker that said what it runs
        "worker_memory": 900,
    }


def test_worker_totals_of_nobody_are_zeros() -> None:
    assert worker_totals(Survey(workers=())) == {
        "reserved": 0,
        "scheduled": 0,
        "revoked_held": 0,
        "pool_processes": 0,
    }


@pytest.mark.parametrize(
    "seen",
    [snapshot(WorkerState.ONLINE), snapshot(link=BrokerLink.CONNECTING)],
    ids=["online", "connecting"],
)
def test_silence_of_all_is_not_taken_for_no_workers(seen: Snapshot) -> None:
    survey = seen.with_survey(Survey(workers=())).survey

    assert survey == Survey(workers=None)
    assert worker_totals(survey) == {}


def test_answers_are_believed() -> None:
    for survey, seen in (
        (Survey(workers=(BUSY,)), snapshot()),
        (Survey(workers=()), snapshot(WorkerState.LOST)),
    ):
        assert seen.with_survey(survey).survey == survey


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
