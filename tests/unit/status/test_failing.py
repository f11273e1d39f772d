"""Failing: too many of a name, or of all, in the last whole minutes; by a history."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from event_monitor.history import FILE_NAME, Reader, Recorder
from event_monitor.settings import Settings
from event_monitor.snapshot import Snapshot, TaskCounts, Window
from event_monitor.status.failing import FailureShare, find_failing
from event_monitor.status.report import Level, Recent
from event_monitor.testing import FakeClock

from .cluster import judged, report

NOW = 1_800_000_030.0  # half a minute after a whole one


def shares(
    tmp_path: Path, *shots: tuple[float, dict[str, tuple[int, int]]], **settings: Any
) -> list[FailureShare]:
    """Return what is found after these shots: seconds ago, name → succeeded and failed."""
    tmp_path.mkdir(exist_ok=True)
    chosen = Settings(state_dir=str(tmp_path), history=True, **settings)
    recorder = Recorder(chosen, clock=FakeClock(wall=NOW))
    for ago, counts in shots:
        tasks = tuple(
            (name, TaskCounts(succeeded=succeeded, failed=failed))
            for name, (succeeded, failed) in counts.items()
        )
        recorder.on_snapshot(Snapshot(window=Window(NOW - ago - 60, NOW - ago, tasks=tasks)))
    recorder.flush()
    recorder.close()
    with Reader.open(tmp_path / FILE_NAME) as reader:
        return list(find_failing(reader, chosen, now=NOW))


def test_names_of_which_more_than_a_tenth_failed_are_found_the_worst_first(tmp_path: Path) -> None:
    """Over all of the last ten minutes; of fewer than 50 that ended nothing is said."""
    half = {"a": (22, 4), "b": (20, 8), "even": (90, 10), "few": (12, 12), "well": (500, 1)}
    assert shares(tmp_path, (400, half), (100, half)) == [
        FailureShare("b", 16, 56),
        FailureShare("a", 8, 52),
    ]


@pytest.mark.parametrize("ago", [0, 700])
def test_the_minute_that_goes_on_and_what_is_over_count_not(tmp_path: Path, ago: float) -> None:
    """Of the first the successes are not there yet."""
    assert shares(tmp_path, (ago, {"a": (0, 60), "b": (50, 50)})) == []


def test_what_may_fail_is_left_out(tmp_path: Path) -> None:
    """Also of all together."""
    counts = {"crawl.page": (50, 50), "shop.pay": (100, 1)}
    assert shares(tmp_path, (100, counts)) == [FailureShare("crawl.page", 50, 100)]
    assert shares(tmp_path / "other", (100, counts), may_fail=("crawl.*",)) == []


def test_many_names_that_each_seldom_run_count_together(tmp_path: Path) -> None:
    """And those that did nothing but fail, which have a warning of their own."""
    counts = {f"task-{number}": (5, 1) for number in range(10)}
    assert shares(tmp_path, (100, counts)) == [FailureShare("", 10, 60)]
    found = shares(tmp_path / "other", (100, {"a": (0, 60), "b": (300, 0)}))
    assert found == [FailureShare("", 60, 360)]


def test_a_long_interval_has_windows_that_lie_in_it(tmp_path: Path) -> None:
    """Else there would be no minute with a number in it, now and then."""
    found = shares(tmp_path, (1_800, {"a": (80, 20)}), interval=1_800.0)
    assert found == [FailureShare("a", 20, 100)]


def test_it_is_a_warning_that_says_how_many_of_what() -> None:
    found = FailureShare("shop.pay", 80, 500), FailureShare("shop.mail", 60, 400)
    verdict = judged(report(recent=Recent(seconds=600.0, failing=found)))
    assert (verdict.level, verdict.problems) == (
        Level.WARNING,
        (
            "16 % of shop.pay failed in the last 10 minutes (80 of 500), "
            "and too many of 1 other name",
        ),
    )
    verdict = judged(report(recent=Recent(seconds=600.0, failing=(FailureShare("", 60, 500),))))
    assert verdict.problems == ("12 % of all tasks failed in the last 10 minutes (60 of 500)",)
