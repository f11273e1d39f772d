"""A ``state_dir`` that is read-only or full, has a bad file in it, or another monitor."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from ..support.endpoint import Endpoint
from ..support.synthetic import SyntheticWorker
from ..support.waiting import wait_until
from .conftest import Mount, StartMonitor, fill

pytestmark = pytest.mark.parametrize("broker", ["redis"], indirect=True)

SOON = 60  # seconds; only a broken monitor takes that long


def test_a_read_only_directory_is_refused(
    start_monitor: StartMonitor, mount: Mount, cloudwatch: Endpoint
) -> None:
    """The monitor does not start, and one sentence says what to do."""
    folder = mount("ro")

    monitor = start_monitor(state_dir=folder, until=None)

    assert monitor.wait() == 3
    assert (
        f"event-monitor: state_dir '{folder}' cannot be used: Read-only file system; "
        "name a directory this user may write to.\n"
    ) in monitor.output
    assert "Traceback" not in monitor.output
    assert cloudwatch.data == ()


def test_what_a_full_disk_refuses_is_kept_in_memory(
    start_monitor: StartMonitor, worker: SyntheticWorker, mount: Mount, cloudwatch: Endpoint
) -> None:
    """It arrives when the endpoint works again, and so does the disk."""
    # Given an endpoint that refuses everything, and a disk that something else fills
    cloudwatch.misbehave("throttle")
    folder = mount("size=256k")
    monitor = start_monitor(state_dir=folder)
    worker.run(20)
    fill(folder / "filler")
    worker.run(20)
    monitor.wait_for_output("going on in memory")
    worker.run(20)

    # When there is room again, and the endpoint works
    (folder / "filler").unlink()
    monitor.wait_for_output("the spool's disk works again")
    cloudwatch.behave()
    worker.run(20)

    # Then
    assert monitor.stop() == 0
    assert monitor.output.count("going on in memory") == 1
    assert cloudwatch.counts("TasksStarted", "TasksSucceeded", "DatumsDropped") == {
        "TasksStarted": 80,
        "TasksSucceeded": 80,
        "DatumsDropped": 0,
    }


def test_what_neither_the_endpoint_nor_the_disk_takes_is_not_said_to_be_kept(
    start_monitor: StartMonitor, mount: Mount, cloudwatch: Endpoint
) -> None:
    """It ends with the process."""
    # Given
    cloudwatch.misbehave("throttle")
    folder = mount("size=64k")
    fill(folder / "filler")

    # When
    monitor = start_monitor(state_dir=folder, drain_seconds=0)

    # Then
    assert monitor.stop() == 4
    assert "of them are lost: the spool did not take them" in monitor.output
    assert "kept in the spool" not in monitor.output


def test_a_disk_that_is_full_from_the_start_keeps_nobody_from_starting(
    start_monitor: StartMonitor, worker: SyntheticWorker, mount: Mount, cloudwatch: Endpoint
) -> None:
    """There may be room later; until then everything is kept in memory."""
    # Given
    folder = mount("size=64k")
    fill(folder / "filler")

    # When
    monitor = start_monitor(state_dir=folder)
    worker.run(40)

    # Then
    assert monitor.stop() == 0
    assert monitor.output.count("going on in memory") == 1
    assert "Traceback" not in monitor.output
    assert cloudwatch.counts("TasksSucceeded", "DatumsDropped") == {
        "TasksSucceeded": 40,
        "DatumsDropped": 0,
    }


@pytest.mark.parametrize("content", ["garbage", "foreign"])
def test_a_file_that_is_no_spool_is_moved_aside(
    content: str,
    start_monitor: StartMonitor,
    worker: SyntheticWorker,
    cloudwatch: Endpoint,
    tmp_path: Path,
) -> None:
    """A damaged or foreign file is kept for a person to look at, and the monitor goes on."""
    # Given
    path = tmp_path / "spool.sqlite3"
    if content == "garbage":
        path.write_bytes(b"not a database at all\n" * 1_000)
    else:
        with closing(sqlite3.connect(path)) as database:
            database.execute("CREATE TABLE precious (data)")
    before = path.read_bytes()

    # When
    monitor = start_monitor(state_dir=tmp_path)
    worker.run(40)
    wait_until(lambda: cloudwatch.sum("TasksSucceeded") == 40, SOON, "the tasks arrive")

    # Then
    assert monitor.stop() == 0
    (aside,) = tmp_path.glob("spool.sqlite3.corrupt-*")
    assert aside.read_bytes() == before
    assert f"moved it to {aside}" in monitor.output
    assert path.exists()
    assert cloudwatch.sum("DatumsDropped") == 0


def test_the_directory_of_another_monitor_is_refused(
    start_monitor: StartMonitor, worker: SyntheticWorker, cloudwatch: Endpoint, tmp_path: Path
) -> None:
    """The second monitor ends with one clear sentence; the first goes on undisturbed."""
    # Given
    first = start_monitor(state_dir=tmp_path)

    # When
    second = start_monitor(state_dir=tmp_path, until=None)
    code = second.wait()
    worker.run(40)

    # Then
    assert code == 3
    assert (
        f"event-monitor: state_dir '{tmp_path}' is in use by process {first.pid}; "
        "stop it, or give this one a directory of its own, as a standby needs.\n"
    ) in second.output
    assert first.stop() == 0
    assert cloudwatch.sum("TasksSucceeded") == 40
