"""Schedules: a real beat that is stopped, and one that comes back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from event_monitor.liveness import read_note

from ..support.cloudwatch import CloudWatch
from ..support.processes import PROJECT, Process, Processes
from ..support.waiting import wait_until

PATIENCE = 60  # seconds
BEAT = {"BEAT_SECONDS": "2"}
SILENT = "is `celery beat` running?"

pytestmark = pytest.mark.parametrize("broker", ["redis"], indirect=True)


@pytest.fixture
def start_beat(processes: Processes, tmp_path: Path) -> Callable[[Mapping[str, str]], Process]:
    """Return what starts beat, which goes on where the last one ended."""
    command = ["celery", "-A", PROJECT, "beat", "--loglevel", "INFO", "--pidfile="]
    command += ["--schedule", str(tmp_path / "celerybeat-schedule")]
    return lambda environ: processes.start(command, environ)


@pytest.mark.parametrize("sends_sent_events", ["1", "0"], ids=["sent", "received"])
def test_a_beat_that_is_stopped_is_told_and_one_that_comes_back_ends_it(
    processes: Processes,
    cloudwatch: CloudWatch,
    start_beat: Callable[[Mapping[str, str]], Process],
    sends_sent_events: str,
) -> None:
    """As the sender's events tell, or else the workers'; one line for both tasks."""
    # Given
    environ = {**BEAT, "SEND_SENT_EVENT": sends_sent_events}
    monitor = processes.monitor("run", environ=environ)
    processes.worker("w1@host1", environ=environ)
    beat = start_beat(environ)
    wait_until(lambda: cloudwatch.last("ScheduleOverdue") == 0, PATIENCE, "both are known")

    # When
    assert beat.stop() == 0
    monitor.wait_for_output(SILENT, PATIENCE)
    wait_until(lambda: (cloudwatch.last("ScheduleOverdue") or 0) > 0, PATIENCE, "it is published")

    # Then it lasts until they come again
    start_beat(environ)
    wait_until(lambda: cloudwatch.last("ScheduleOverdue") == 0, PATIENCE, "it is over")
    assert monitor.stop() == 0
    assert monitor.output.count(SILENT) == 1
    assert "stay away" not in monitor.output


def test_a_monitor_that_is_restarted_knows_that_a_task_was_seen(
    processes: Processes,
    cloudwatch: CloudWatch,
    start_beat: Callable[[Mapping[str, str]], Process],
    tmp_path: Path,
) -> None:
    """Beat was stopped while no monitor ran."""
    # Given
    environ = {**BEAT, "EVENT_MONITOR_STATE_DIR": str(tmp_path / "state")}
    processes.worker("w1@host1", environ=BEAT)
    monitor = processes.monitor("run", environ=environ)
    beat = start_beat(BEAT)
    wait_until(lambda: cloudwatch.last("ScheduleOverdue") == 0, PATIENCE, "both are known")

    # When
    assert (monitor.stop(), beat.stop()) == (0, 0)
    cloudwatch.reset()
    monitor = processes.monitor("run", environ=environ)

    # Then
    monitor.wait_for_output(SILENT, PATIENCE)
    assert monitor.stop() == 0
    values = cloudwatch.values("ScheduleOverdue")
    assert values[0] == 0
    assert values[-1] > 0


def test_a_beat_leaves_its_sign_and_is_healthy_by_it(
    processes: Processes, start_beat: Callable[[Mapping[str, str]], Process], tmp_path: Path
) -> None:
    """Its container's own check, which knows nothing of the app."""
    # Given
    state_dir = tmp_path / "state"
    environ = {**BEAT, "EVENT_MONITOR_STATE_DIR": str(state_dir)}
    check = ["event-monitor", "healthcheck", "--beat"]
    assert processes.start(check, environ).wait() == 1

    # When
    beat = start_beat(environ)
    times = {0.0}

    def looks_again_and_again() -> bool:
        times.add(float(str(read_note(state_dir / "beat").get("at", 0.0))))
        return len(times) > 3

    # Then
    wait_until(looks_again_and_again, PATIENCE, "beat leaves signs")
    healthy = processes.start(check, environ)
    assert healthy.wait() == 0, healthy.output
    assert beat.stop() == 0
