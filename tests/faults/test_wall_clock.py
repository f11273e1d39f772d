"""The wall clock is stepped by an hour, as a machine without NTP does: no count is touched."""

from __future__ import annotations

from pathlib import Path

import pytest

from ..support.endpoint import Endpoint
from ..support.servers import missing
from ..support.synthetic import SyntheticWorker
from ..support.waiting import wait_until
from .conftest import StartMonitor

SOON = 60  # seconds; only a broken monitor takes that long


def libfaketime() -> Path:
    """Return the library that fakes a process's wall clock, from where Debian puts it."""
    found = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)
    return found or missing("faketime")


def stepped_by(offset: Path) -> dict[str, str]:
    """Return the environment of a process whose wall clock is off by what the file says."""
    return {
        "LD_PRELOAD": str(libfaketime()),
        "FAKETIME_TIMESTAMP_FILE": str(offset),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }


@pytest.mark.parametrize("broker", ["redis"], indirect=True)
@pytest.mark.parametrize(("before", "after"), [("+0", "-1h"), ("-1h", "+0")])
def test_clock_is_stepped_by_an_hour(
    before: str,
    after: str,
    start_monitor: StartMonitor,
    worker: SyntheticWorker,
    cloudwatch: Endpoint,
    tmp_path: Path,
) -> None:
    """Back or ahead: shots go on at once, every task is counted once, and no datum is refused."""
    # Given a monitor with a wall clock that can be stepped
    offset = tmp_path / "offset"
    offset.write_text(before)
    monitor = start_monitor(environ=stepped_by(offset), worker_grace_seconds=5)
    with worker.beating():
        worker.run(20)
        wait_until(lambda: cloudwatch.sum("TasksSucceeded") == 20, SOON, "tasks are counted")

        # When it is stepped in the life of a window
        shots = cloudwatch.sum("MonitorHeartbeat")
        offset.write_text(after)
        worker.run(20)
        wait_until(lambda: cloudwatch.sum("MonitorHeartbeat") >= shots + 3, SOON, "shots go on")
        worker.run(20)

        # Then
        assert monitor.stop() == 0
    assert cloudwatch.counts("TasksStarted", "TasksSucceeded", "DatumsDropped", "WorkersLost") == {
        "TasksStarted": 60,
        "TasksSucceeded": 60,
        "DatumsDropped": 0,
        "WorkersLost": 0,
    }
    timestamps = [datum.timestamp for datum in cloudwatch.series("MonitorHeartbeat")]
    assert 3_500 < max(timestamps) - min(timestamps) < 3_700


@pytest.mark.parametrize("broker", ["redis"], indirect=True)
@pytest.mark.parametrize("wrong", ["+20d", "-20d"])
def test_a_clock_that_is_twenty_days_wrong_for_a_while_costs_nothing(
    wrong: str,
    start_monitor: StartMonitor,
    worker: SyntheticWorker,
    cloudwatch: Endpoint,
    tmp_path: Path,
) -> None:
    """What is counted meanwhile is refused, and kept, and arrives with a time of now."""
    # Given
    offset = tmp_path / "offset"
    offset.write_text("+0")
    monitor = start_monitor(environ=stepped_by(offset), worker_grace_seconds=5)
    worker.run(20)

    # When the clock is stepped, and windows are refused for their time
    offset.write_text(wrong)
    worker.run(20)
    monitor.wait_for_output("Synchronise this machine's clock")
    worker.run(20)

    # Then all of it arrives when the clock is right
    offset.write_text("+0")
    wait_until(lambda: cloudwatch.sum("TasksSucceeded") == 60, SOON, "all tasks arrive")
    assert monitor.stop() == 0
    assert cloudwatch.counts("TasksStarted", "TasksSucceeded", "DatumsDropped") == {
        "TasksStarted": 60,
        "TasksSucceeded": 60,
        "DatumsDropped": 0,
    }
