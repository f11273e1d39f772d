"""Signals: SIGHUP is a graceful shutdown unless it is ignored, SIGUSR1 a look inside."""

from __future__ import annotations

import signal
import sys

import pytest

from ..support.endpoint import Endpoint
from ..support.processes import LISTENS, Processes
from ..support.synthetic import SyntheticWorker
from ..support.waiting import wait_until
from .conftest import WAYS, StartMonitor

SOON = 60  # seconds; only a broken monitor takes that long

pytestmark = pytest.mark.parametrize("broker", ["redis"], indirect=True)


@pytest.mark.parametrize("way", WAYS)
def test_sighup_is_a_graceful_shutdown_with_a_last_shot(
    way: str, start_monitor: StartMonitor, worker: SyntheticWorker, cloudwatch: Endpoint
) -> None:
    """A terminal that closes sends it twice, once from its shell."""
    monitor = start_monitor(way, interval=60)
    worker.run(40)

    monitor.send(signal.SIGHUP)
    monitor.wait_for_output("stopping on SIGHUP")
    monitor.send(signal.SIGHUP)

    assert monitor.wait(SOON) == 0
    assert cloudwatch.sum("TasksSucceeded") == 40


def test_under_nohup_it_outlives_its_terminal(
    processes: Processes, worker: SyntheticWorker, cloudwatch: Endpoint
) -> None:
    """Ignored at the start, SIGHUP stays ignored."""
    _, *arguments = WAYS["run"]
    command = ["/usr/bin/nohup", sys.executable, "-m", "event_monitor", *arguments]
    monitor = processes.start(command, {"EVENT_MONITOR_INTERVAL": "1"})
    monitor.wait_for_output(LISTENS)

    monitor.send(signal.SIGHUP)
    worker.run(40)

    wait_until(lambda: cloudwatch.sum("TasksSucceeded") == 40, SOON, "it goes on")
    assert monitor.stop() == 0


@pytest.mark.parametrize("way", WAYS)
def test_sigusr1_logs_what_every_thread_does_and_what_waits(
    way: str, start_monitor: StartMonitor, cloudwatch: Endpoint
) -> None:
    """And goes on."""
    # Given
    monitor = start_monitor(way)
    # A second request is sent only when the first was accepted.
    wait_until(lambda: cloudwatch.sum("MonitorHeartbeat") >= 2, SOON, "something is accepted")

    # When
    monitor.send(signal.SIGUSR1)
    monitor.wait_for_output("log lines waiting:")

    # Then
    for thread in ("MainThread", "camera", "publisher"):
        assert f"Thread {thread}:" in monitor.output
    (line,) = (line for line in monitor.output.splitlines() if "metrics unsent:" in line)
    assert "state dump: broker listening, last shot " in line
    assert "last accepted never" not in line
    before = cloudwatch.sum("MonitorHeartbeat")
    wait_until(lambda: cloudwatch.sum("MonitorHeartbeat") > before, SOON, "shots go on")
    assert monitor.stop() == 0


def test_while_the_endpoint_hangs_the_dump_says_what_is_unsent(
    start_monitor: StartMonitor, cloudwatch: Endpoint
) -> None:
    """What the operator wants to know at three in the morning."""
    cloudwatch.misbehave("hang")
    monitor = start_monitor(drain_seconds=0)
    assert cloudwatch.wait_for_requests(1, timeout_seconds=SOON)

    monitor.send(signal.SIGUSR1)
    monitor.wait_for_output("log lines waiting:")

    assert "last accepted never" in monitor.output
    assert "metrics unsent: 0" not in monitor.output
    assert "put_metric_data" in monitor.output  # where its thread stands
    assert monitor.stop() == 4
