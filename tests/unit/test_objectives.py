"""Error budgets: what goes well and all there is, by service level, and what is left."""

from __future__ import annotations

import logging
import math
from dataclasses import replace
from pathlib import Path

import pytest

from event_monitor.objectives import ErrorBudgets
from event_monitor.settings import Settings
from event_monitor.snapshot import ObjectiveStatus, TaskCounts, Window

DAY = 86_400.0
EMPTY = Window(opened_at=0.0, closed_at=60.0)
SUCCEED = Settings.load(environ={}, flags={"slo": "pay: 90 % succeed"}).objectives
START = Settings.load(environ={}, flags={"slo": "queue mail: 99 % start in 30 s"}).objectives


def window(counts: TaskCounts, *, task: str = "pay", queue: str = "q", day: float = 0.0) -> Window:
    return replace(EMPTY, closed_at=60.0 + day * DAY, by_task_and_queue=((task, queue, counts),))


def only(budgets: ErrorBudgets, of: Window) -> ObjectiveStatus:
    (status,) = budgets.after(of)
    return status


def test_tasks_that_succeed_are_good_and_those_that_fail_are_not() -> None:
    """What is retried or revoked has no part in it."""
    counts = TaskCounts(succeeded=98, failed=2, retried=50, revoked=7, started=150)
    assert only(ErrorBudgets(SUCCEED), window(counts)) == ObjectiveStatus(
        "pay succeed", good=98, total=100, budget_left=80.0
    )


def test_starts_in_time_are_good_and_late_or_expired_ones_are_not() -> None:
    """What expired never started."""
    counts = TaskCounts(on_time=((30.0, 97), (math.inf, 99)), revoked=1, expired=1)
    status = only(ErrorBudgets(START), window(counts, queue="mail"))
    assert (status.name, status.good, status.total) == ("queue mail start", 97, 100)
    assert status.budget_left == pytest.approx(-200.0)


def test_other_tasks_and_queues_do_not_count() -> None:
    """And without any the budget is whole."""
    status = only(ErrorBudgets(START), window(TaskCounts(failed=5), queue="celery"))
    assert status == ObjectiveStatus("queue mail start", good=0, total=0, budget_left=100.0)


def test_the_budget_is_that_of_thirty_days() -> None:
    """A bad day is forgotten after a month; a window counts once."""
    budgets = ErrorBudgets(SUCCEED)
    budgets.after(window(TaskCounts(succeeded=80, failed=20)))
    later = only(budgets, window(TaskCounts(succeeded=300), day=29))
    assert (later.good, later.total, later.budget_left) == (300, 300, 50.0)
    assert only(budgets, window(TaskCounts(), day=30)).budget_left == 100.0


def test_a_restart_goes_on_where_it_was(tmp_path: Path) -> None:
    """The days are kept in `state_dir`."""
    ErrorBudgets(SUCCEED, state_dir=str(tmp_path)).after(window(TaskCounts(succeeded=90, failed=5)))
    after = ErrorBudgets(SUCCEED, state_dir=str(tmp_path))
    assert only(after, window(TaskCounts(succeeded=5))).budget_left == 50.0


@pytest.mark.parametrize(
    "damaged",
    [
        b"",
        b"[]",
        b'{"days": []}',
        b'{"days": {"pay succeed": 5}}',
        b'{"days": {"pay succeed": [[1]]}}',
        b'{"days": {"pay succeed": [[0, 9, 5]]}}',
        b'{"days": {"pay succeed": [[0, 1, 1e999]]}}',
    ],
)
def test_damage_ends_nothing(tmp_path: Path, damaged: bytes) -> None:
    """The budget begins anew."""
    (tmp_path / "objectives").write_bytes(damaged)
    (tmp_path / "objectives").chmod(0o600)
    budgets = ErrorBudgets(SUCCEED, state_dir=str(tmp_path))
    assert only(budgets, window(TaskCounts(succeeded=10))).budget_left == 100.0


def test_a_directory_that_cannot_be_written_to_is_told_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """And the budget goes on."""
    (tmp_path / "file").write_text("")
    budgets = ErrorBudgets(SUCCEED, state_dir=str(tmp_path / "file"))
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            status = only(budgets, window(TaskCounts(succeeded=30, failed=1)))
    assert status.total == 31
    assert len(caplog.records) == 1


def test_without_objectives_nothing_is_kept(tmp_path: Path) -> None:
    """Nor is a file made."""
    assert ErrorBudgets((), state_dir=str(tmp_path)).after(EMPTY) == ()
    assert list(tmp_path.iterdir()) == []
