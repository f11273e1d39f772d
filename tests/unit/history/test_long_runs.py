"""Long runs: what is worth a look, and what is worth a warning, by the last day of the name."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from event_monitor.history import LongRun, Reader, Recorder, long_runs, too_long_runs
from event_monitor.settings import Settings
from event_monitor.snapshot import RunningTask, TaskCounts
from event_monitor.testing import FakeClock

from ..web.making import times
from .making import NOW, shot


@pytest.fixture
def reader() -> Iterator[Reader]:
    """The history of a day in which ``x`` took 20 s as a rule, and 5 of 100 took 300 s."""
    recorder = Recorder(Settings(), clock=FakeClock(wall=NOW))
    recorder.open()
    runtime = times(*([20.0] * 95), *([300.0] * 5))
    recorder.on_snapshot(shot(tasks={"x": TaskCounts(succeeded=100, runtime=runtime)}))
    recorder.flush()
    with recorder.reader() as reader:
        yield reader
    recorder.close()


def running(*tasks: tuple[str | None, float]) -> tuple[RunningTask, ...]:
    """Return tasks of that name that have been running for so many seconds, which is their id."""
    return tuple(RunningTask(str(age), name, "w", NOW - age) for name, age in tasks)


def ids(runs: list[LongRun]) -> list[str]:
    return [run.task.id for run in runs]


def test_worth_a_look_is_far_beyond_the_last_day_of_the_name(reader: Reader) -> None:
    """Beyond its 99th percentile, or ten medians; what ran never before is not judged."""
    tasks = running(("x", 500.0), ("x", 250.0), ("x", 150.0), ("y", 9_000.0), (None, 99.0))

    found = long_runs(tasks, at=NOW, reader=reader)

    assert ids(found) == ["500.0", "250.0"]
    assert found[0].seconds == 500.0
    assert found[0].usual == pytest.approx(20.0, rel=0.1)
    assert found[0].longest == pytest.approx(300.0, rel=0.1)


def test_worth_a_warning_is_three_times_what_hardly_any_took(reader: Reader) -> None:
    """One in a hundred is beyond its 99th percentile on the best of days."""
    tasks = running(("x", 500.0), ("x", 1_000.0), ("x", 2_000.0))

    assert ids(too_long_runs(tasks, at=NOW, reader=reader, unknown_seconds=60.0)) == [
        *("2000.0", "1000.0")
    ]


def test_of_a_name_that_is_not_known_a_limit_counts(reader: Reader) -> None:
    """Also where there is no history, or the worker did not tell the name."""
    tasks = running(("y", 3_000.0), ("y", 4_000.0), (None, 5_000.0))

    for known in (reader, None):
        found = too_long_runs(tasks, at=NOW, reader=known, unknown_seconds=3_600.0)
        assert ids(found) == ["5000.0", "4000.0"]
        assert {run.longest for run in found} == {None}


def test_a_minute_is_nothing_to_warn_of() -> None:
    """Whatever the limit."""
    tasks = running(("y", 60.0), ("y", 61.0))

    assert ids(too_long_runs(tasks, at=NOW, reader=None, unknown_seconds=1.0)) == ["61.0"]
