"""One answer trickles, another never ends, a third is not CloudWatch's: publishing goes on."""

from __future__ import annotations

import json
import re
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest

from ..support.endpoint import Endpoint, successes_in
from ..support.processes import PROJECT, Processes
from ..support.synthetic import SyntheticWorker
from ..support.waiting import wait_until
from .conftest import StartMonitor

pytestmark = pytest.mark.parametrize("broker", ["redis"], indirect=True)

SOON = 60  # seconds; a request has 15, and only a broken monitor takes that long
COUNTS = ("TasksSucceeded", "DatumsDropped")
MOST_MEGABYTES = 220  # at its peak; without a bound it has 700 after some seconds


def peak_megabytes(pid: int) -> float:
    """Return the most memory that the process has had at a time."""
    status = Path(f"/proc/{pid}/status").read_text()
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    assert found is not None
    return int(found[1]) / 1_000


def _struck(endpoint: Endpoint) -> bool:
    return bool(endpoint.struck)


def test_an_answer_without_end_costs_one_request(
    start_monitor: StartMonitor, worker: SyntheticWorker
) -> None:
    """It trickles, or floods: the next request is a new one; memory and all counts are as ever."""
    with ExitStack() as stack:
        # Given
        faults = ("trickle", "endless")
        endpoints = {fault: stack.enter_context(Endpoint()) for fault in faults}
        monitors = {
            fault: start_monitor(until=None, environ=endpoint.environ, leader="off")
            for fault, endpoint in endpoints.items()
        }
        for fault, monitor in monitors.items():
            monitor.wait_for_output("receiving events from ")
            endpoints[fault].strike(fault, when=successes_in)  # type: ignore[arg-type]

        # When
        worker.run(40)
        for endpoint in endpoints.values():
            wait_until(partial(_struck, endpoint), SOON, "a request with tasks is struck")
        worker.run(2)
        for fault, endpoint in endpoints.items():
            wait_until(partial(endpoint.sum, "PublishAmbiguous"), SOON, f"{fault} is told")

        # Then
        for fault, monitor in monitors.items():
            assert peak_megabytes(monitor.pid) < MOST_MEGABYTES, fault
            assert monitor.stop() == 0, fault
            assert endpoints[fault].counts(*COUNTS) == {"TasksSucceeded": 42, "DatumsDropped": 0}
            assert endpoints[fault].sum("PublishAmbiguous") == 1, fault


def test_a_page_of_somebody_else_is_no_acknowledgement(
    start_monitor: StartMonitor,
    worker: SyntheticWorker,
    processes: Processes,
    cloudwatch: Endpoint,
) -> None:
    """With status 200 it takes nothing; check and the log name the endpoint; then all arrives."""
    # Given
    cloudwatch.misbehave("page")
    monitor = start_monitor(on_ambiguous_send="drop")
    worker.run(40)
    monitor.wait_for_output(
        f"{cloudwatch.endpoint_url} answers with status 200, but not as AWS does: "
        "there is no x-amzn-RequestId"
    )

    # When
    command = ["event-monitor", "check", "-A", PROJECT, "--listen", "0", "--format", "json"]
    check = processes.start(command)
    assert check.wait() == 1
    cloudwatch.behave()

    # Then
    found = {finding["name"]: finding for finding in json.loads(check.output)["findings"]}
    assert found["endpoint"]["status"] == "failed"
    assert found["endpoint"]["message"].startswith(cloudwatch.endpoint_url)
    assert monitor.stop() == 0
    assert cloudwatch.counts(*COUNTS) == {"TasksSucceeded": 40, "DatumsDropped": 0}
