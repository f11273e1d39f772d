"""The spool's file is deleted or emptied under a running monitor that is then killed."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ..support.endpoint import Endpoint
from ..support.processes import Process
from ..support.spooled import successes_spooled
from ..support.synthetic import SyntheticWorker
from ..support.waiting import wait_until
from .conftest import StartMonitor

pytestmark = pytest.mark.parametrize("broker", ["rabbitmq"], indirect=True)

SOON = 60  # seconds; only a broken monitor takes that long


@contextmanager
def held(monitor: Process) -> Iterator[None]:
    """Let it write nothing meanwhile: each second it makes and renames a file in its directory."""
    monitor.hold()
    yield
    monitor.send(signal.SIGCONT)


def delete(state_dir: Path) -> None:
    for file in state_dir.glob("spool.sqlite3*"):
        file.unlink()


def delete_directory(state_dir: Path) -> None:
    shutil.rmtree(state_dir)


def empty(state_dir: Path) -> None:
    for file in state_dir.glob("spool.sqlite3*"):
        if not file.name.endswith("-shm"):  # mapped memory: no process would survive that
            os.truncate(file, 0)


@pytest.mark.parametrize("harm", [delete, delete_directory, empty])
def test_what_was_counted_is_published_by_the_successor(
    harm: Callable[[Path], None],
    cloudwatch: Endpoint,
    worker: SyntheticWorker,
    start_monitor: StartMonitor,
    tmp_path: Path,
) -> None:
    """Before and after the harm: each task exactly once, though the first monitor sent nothing."""
    # Given windows that are acknowledged to the broker, and are in the spool only
    state_dir = tmp_path / "state"
    cloudwatch.misbehave("throttle")
    monitor = start_monitor(durable_queue="event-monitor", state_dir=state_dir)
    worker.run(200)
    wait_until(lambda: successes_spooled(state_dir) == 200, SOON, "they are in the spool")

    # When
    with held(monitor):
        harm(state_dir)
    worker.run(200)
    monitor.wait_for_output("nothing in it is safe")
    wait_until(lambda: successes_spooled(state_dir) == 400, SOON, "all are in the new file")
    monitor.kill()
    cloudwatch.behave()
    successor = start_monitor(durable_queue="event-monitor", state_dir=state_dir)

    # Then
    wait_until(lambda: cloudwatch.sum("TasksSucceeded") >= 400, SOON, "all are published")
    assert successor.stop() == 0
    assert cloudwatch.counts("TasksStarted", "TasksSucceeded", "DatumsDropped") == {
        "TasksStarted": 400,
        "TasksSucceeded": 400,
        "DatumsDropped": 0,
    }


def test_nothing_is_acknowledged_while_no_new_file_can_be_written(
    cloudwatch: Endpoint,
    worker: SyntheticWorker,
    start_monitor: StartMonitor,
    tmp_path: Path,
) -> None:
    """The broker keeps what was counted since, and the next monitor counts it."""
    # Given a directory that is gone, and something else in its place
    state_dir = tmp_path / "state"
    cloudwatch.misbehave("throttle")
    monitor = start_monitor(durable_queue="event-monitor", state_dir=state_dir)
    with held(monitor):
        shutil.rmtree(state_dir)
        state_dir.write_text("in the way")

    # When tasks are counted, and the monitor is killed
    worker.run(200)
    monitor.wait_for_output("the spool cannot use")
    shots = len(cloudwatch.offered)
    wait_until(lambda: len(cloudwatch.offered) > shots, SOON, "it goes on")
    monitor.kill()
    state_dir.unlink()
    cloudwatch.behave()
    successor = start_monitor(durable_queue="event-monitor", state_dir=state_dir)

    # Then
    wait_until(lambda: cloudwatch.sum("TasksSucceeded") >= 200, SOON, "all are published")
    assert successor.stop() == 0
    assert cloudwatch.counts("TasksStarted", "TasksSucceeded") == {
        "TasksStarted": 200,
        "TasksSucceeded": 200,
    }
