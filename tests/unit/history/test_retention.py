"""Retention: how long what is kept, and how much of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from event_monitor.history import FILE_NAME, HOUR, MINUTE, Reader, RunFilter
from event_monitor.snapshot import TaskCounts
from event_monitor.testing import FakeClock

from .conftest import OpenHistory
from .making import NOW, ended, shot

Read = Callable[[], Reader]
DAY = 86_400


def states(reader: Reader) -> set[str]:
    return {run.state for run in reader.runs(limit=10_000).runs}


def test_each_state_is_kept_as_long_as_it_is_said(
    open_history: OpenHistory, read: Read, clock: FakeClock
) -> None:
    """By our clock, whatever the senders' show."""
    history = open_history(history_succeeded=1 * DAY, history_failed=2 * DAY, history_other=3 * DAY)
    history.on_tasks(
        [
            ended("u1", "succeeded", ended=2 * NOW),
            ended("u2", "failed", ended=0.0),
            ended("u3", "revoked"),
        ]
    )
    history.flush()
    left = []
    for _ in range(4):
        history.flush()
        left.append(states(read()))
        clock.advance(DAY + 1)

    assert left == [{"succeeded", "failed", "revoked"}, {"failed", "revoked"}, {"revoked"}, set()]


def test_little_is_deleted_at_once(open_history: OpenHistory, read: Read, clock: FakeClock) -> None:
    """A thousand of each state, so that what is new is not kept waiting."""
    history = open_history()
    history.on_tasks([ended(f"u{number}", "failed") for number in range(2_500)])
    history.flush()
    clock.advance(30 * DAY)

    left = []
    for _ in range(3):
        history.flush()
        left.append(len(read().runs(limit=10_000).runs))
    assert left == [1_001, 1, 0]


def test_groups_and_series_get_old_too(
    open_history: OpenHistory, read: Read, clock: FakeClock
) -> None:
    """Minutes after a day, groups as failures, hours after five weeks."""
    history = open_history()
    history.on_tasks([ended("u1", "failed")])
    history.on_snapshot(shot(tasks={"shop.pay": TaskCounts(failed=1)}))
    history.flush()

    def left() -> tuple[int, int, int]:
        clock.advance(60)
        history.flush()
        points = [len(read().task_points(span, since=0, until=2 * NOW)) for span in (MINUTE, HOUR)]
        return len(read().failures()), points[0], points[1]

    assert left() == (1, 1, 1)
    clock.advance(DAY)
    assert left() == (1, 0, 1)
    clock.advance(3 * DAY)
    assert left() == (0, 0, 1)
    clock.advance(36 * DAY)
    assert left() == (0, 0, 0)


def test_what_succeeded_goes_first_when_there_is_too_much(
    open_history: OpenHistory, read: Read, clock: FakeClock, tmp_path: Path
) -> None:
    """The file stays near its bound; failures stay."""
    # Given
    history = open_history(history_megabytes=1, history_details=("message", "traceback"))
    long = (("traceback", b'"%s"' % b"".join(b"%x" % (n * n) for n in range(1_500))),)
    history.on_tasks([ended("precious", "failed")])

    # When
    for second in range(60):
        clock.advance(1)
        history.on_tasks(
            [ended(f"u{second}-{number}", details=long, retries=1) for number in range(30)]
        )
        history.flush()

    # Then
    runs = read().runs(limit=10_000).runs
    assert {run.id for run in runs if run.state == "failed"} == {"precious"}
    assert 0 < len(runs) < 60 * 30
    assert (tmp_path / FILE_NAME).stat().st_size <= 1_250_000
    (failed, succeeded) = sorted(read().kept(), key=lambda kept: kept.state)
    assert (failed.ended, succeeded.ended) == (1, 1_800)


def test_the_oldest_of_all_go_when_nothing_succeeded(
    open_history: OpenHistory, read: Read, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    """The newest stay; nobody has to be told."""
    history = open_history(history_megabytes=1, history_details=("traceback",))
    long = (("traceback", b'"%s"' % b"".join(b"%x" % (n * n) for n in range(1_500))),)
    for second in range(60):
        clock.advance(1)
        history.on_tasks(
            [ended(f"u{second}-{number}", "failed", details=long) for number in range(20)]
        )
        history.flush()
    runs = read().runs(RunFilter(states=("failed",)), limit=10_000).runs
    assert 0 < len(runs) < 60 * 20
    assert runs[0].id == "u59-19"
    assert caplog.records == []
