"""Health checks of running monitors: what makes one unhealthy, and what never does."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ..support.endpoint import Endpoint
from ..support.processes import PROJECT, Process, Processes
from ..support.waiting import wait_until
from .conftest import StartMonitor

pytestmark = pytest.mark.parametrize("broker", ["redis"], indirect=True)

SOON = 60  # seconds; only a broken monitor takes that long


class Examine:
    """Runs commands that end by themselves, as a container's health check does.

    Of the monitors of this machine they look for those of one broker: other tests have some, too.
    """

    def __init__(self, processes: Processes, broker: str, environ: dict[str, str]) -> None:
        self._processes = processes
        self._broker = broker
        self._environ = environ

    def __call__(self, *arguments: str) -> Process:
        """Run it, and return it when it has ended."""
        command = ["event-monitor", *arguments, "--broker", self._broker]
        process = self._processes.start(command, self._environ)
        process.wait()
        return process


@pytest.fixture
def examine(processes: Processes, broker: str, tmp_path: Path) -> Examine:
    """Return a function that runs a command with the temporary files of this test."""
    return Examine(processes, broker, {"TMPDIR": str(tmp_path)})


@pytest.fixture
def own_files(tmp_path: Path) -> dict[str, str]:
    """Return the environment of a monitor with the temporary files of this test."""
    return {"TMPDIR": str(tmp_path)}


def test_a_monitor_whose_metrics_are_refused_is_healthy(
    start_monitor: StartMonitor,
    examine: Examine,
    own_files: dict[str, str],
    cloudwatch: Endpoint,
) -> None:
    """Since when is said; who asks for it gets a failure."""
    # Given
    cloudwatch.misbehave("throttle")
    monitor = start_monitor(environ=own_files)
    monitor.wait_for_output("publishing failed")

    # Then
    check = ("healthcheck", "--monitor")
    healthy = examine(*check)
    assert healthy.exit_code == 0
    assert "no metrics had been accepted then" in healthy.output
    wait_until(
        lambda: examine(*check, "--accepted-within", "1").exit_code == 1, SOON, "it is not accepted"
    )
    status = ("status", "-A", PROJECT, "--no-probe-workers")
    shown = json.loads(examine(*status, "--json").output)
    assert shown["monitor"]["interval_seconds"] == 1
    assert shown["monitor"]["accepted_seconds"] is None

    # When
    cloudwatch.behave()
    monitor.wait_for_output("publishing again")

    # Then
    wait_until(
        lambda: "metrics were last accepted" in examine(*check, "--accepted-within", "300").output,
        SOON,
        "it is accepted",
    )
    assert "metrics were last accepted" in examine(*status).output
    assert monitor.stop() == 0
    stopped = examine(*check)
    assert stopped.exit_code == 1
    assert "no monitor has left a sign of life" in stopped.output


def test_two_monitors_of_one_machine_do_not_vouch_for_each_other(
    start_monitor: StartMonitor, examine: Examine, own_files: dict[str, str]
) -> None:
    """The death of one is seen, though the other shares its temporary files."""
    # Given
    monitors = {name: start_monitor(environ=own_files, namespace=name) for name in ("Shop", "Bank")}
    for name in monitors:
        assert examine("healthcheck", "--monitor", "--namespace", name).exit_code == 0

    # When
    monitors["Shop"].kill()

    # Then
    wait_until(
        lambda: examine("healthcheck", "--monitor", "--namespace", "Shop").exit_code == 1,
        SOON,
        "the death is seen",
    )
    assert examine("healthcheck", "--monitor", "--namespace", "Bank").exit_code == 0
    unclear = examine("healthcheck", "--monitor")
    assert unclear.exit_code == 1
    assert "one of 2 monitors here" in unclear.output
