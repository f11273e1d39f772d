"""CloudWatch fails in every way: each sum is right, or off by what the monitor reports."""

from __future__ import annotations

import time
from contextlib import ExitStack
from functools import partial
from itertools import pairwise
from urllib.parse import urlsplit

import pytest

from event_monitor.testing import Fault

from ..support.endpoint import Endpoint, environ_for, successes_in
from ..support.processes import Process
from ..support.proxy import Proxy
from ..support.synthetic import TASK, SyntheticWorker
from ..support.waiting import wait_until
from .conftest import StartMonitor

pytestmark = pytest.mark.parametrize("broker", ["redis"], indirect=True)

SOON = 60  # seconds; only a broken monitor takes that long
COUNTS = ("TasksReceived", "TasksStarted", "TasksSucceeded", "DatumsDropped", "EventsInvalid")


def exactly(tasks: int) -> dict[str, float]:
    """Return what ``COUNTS`` are when so many tasks succeeded and nothing went wrong."""
    return {
        "TasksReceived": tasks,
        "TasksStarted": tasks,
        "TasksSucceeded": tasks,
        "DatumsDropped": 0,
        "EventsInvalid": 0,
    }


def new_window(windows: int) -> float:
    """Wait until so many more windows have begun; return when the last of them did."""
    begins = float(time.time() // 1 + windows)
    wait_until(lambda: time.time() >= begins + 0.2, SOON, "a new window")
    return begins


@pytest.mark.parametrize("fault", ["error", "throttle", "forbid", "reset"])
def test_failed_requests_are_sent_again(
    fault: Fault, start_monitor: StartMonitor, worker: SyntheticWorker, cloudwatch: Endpoint
) -> None:
    """What an endpoint answers, or breaks off, without applying it costs time and no count."""
    # Given an endpoint that twice fails a request that counts tasks
    monitor = start_monitor()
    cloudwatch.strike(fault, when=successes_in)
    worker.run(40)
    wait_until(lambda: cloudwatch.struck, SOON, "a request with tasks failed")
    cloudwatch.misbehave(fault, times=1)

    # When it works again, and more tasks have run
    wait_until(lambda: cloudwatch.sum("PublishFailures") >= 2, SOON, "the failures are reported")
    worker.run(2)

    # Then every sum is right
    assert monitor.stop() == 0
    assert cloudwatch.counts(*COUNTS) == exactly(42)
    assert cloudwatch.sum("TasksSucceeded", TaskName=TASK) == 42
    assert cloudwatch.sum("PublishFailures") == 2


def test_a_request_that_is_too_large_is_split(
    start_monitor: StartMonitor, worker: SyntheticWorker, cloudwatch: Endpoint
) -> None:
    """After a 413 the halves arrive, and nothing is reported as failed or dropped."""
    # Given
    monitor = start_monitor()
    cloudwatch.strike("too large", when=successes_in)

    # When
    worker.run(40)
    wait_until(lambda: cloudwatch.sum("TasksSucceeded") == 40, SOON, "the tasks arrive")

    # Then
    assert monitor.stop() == 0
    assert len(cloudwatch.struck) == 1
    assert cloudwatch.counts(*COUNTS) == exactly(40)


def test_one_datum_that_is_refused_does_not_hold_up_the_rest(
    start_monitor: StartMonitor, worker: SyntheticWorker, cloudwatch: Endpoint
) -> None:
    """The bad one is found, dropped and counted; all others arrive."""
    # Given an endpoint that refuses whatever counts a cursed task
    monitor = start_monitor(by_task="TasksSucceeded")
    cloudwatch.curse("proj.cursed")

    # When one such task runs, and many others
    worker.run(1, name="proj.cursed")
    worker.run(40)
    wait_until(lambda: cloudwatch.sum("DatumsDropped"), SOON, "the drop is reported")

    # Then one datum is missing
    assert monitor.stop() == 0
    assert cloudwatch.counts(*COUNTS) == {**exactly(41), "DatumsDropped": 1}
    assert cloudwatch.sum("TasksSucceeded", TaskName=TASK) == 40
    assert cloudwatch.sum("TasksSucceeded", TaskName="proj.cursed") == 0


def test_what_hangs_is_ambiguous_and_the_setting_decides(
    start_monitor: StartMonitor, worker: SyntheticWorker, cloudwatch: Endpoint
) -> None:
    """Applied or not before it hung, sent again or not: each sum is off by just that request."""
    with ExitStack() as stack:
        # Given four monitors of the same tasks, each with an endpoint that hangs once
        faults: tuple[Fault, ...] = ("hang", "apply then hang")
        cases: dict[tuple[Fault, str], tuple[Process, Endpoint]] = {}
        for fault in faults:
            for policy in ("retry", "drop"):
                endpoint = stack.enter_context(Endpoint())
                endpoint.strike(fault, when=successes_in)
                environ = environ_for(endpoint.endpoint_url)
                monitor = start_monitor(
                    on_ambiguous_send=policy, until=None, environ=environ, leader="off"
                )
                cases[fault, policy] = (monitor, endpoint)
        for monitor, _ in cases.values():
            monitor.wait_for_output("receiving events from ")

        # When tasks have run, and each monitor has noticed
        worker.run(40)
        for case, (_, endpoint) in cases.items():
            wait_until(partial(endpoint.sum, "PublishAmbiguous"), SOON, f"{case} shows")

        # Then
        for case, (monitor, endpoint) in cases.items():
            assert monitor.stop() == 0, case
            (request,) = endpoint.struck
            doubled = successes_in(request) if case == ("apply then hang", "retry") else 0
            missing = successes_in(request) if case == ("hang", "drop") else 0
            dropped = len(request["MetricData"]) if case[1] == "drop" else 0
            assert endpoint.sum("TasksSucceeded") == 40 + doubled - missing, case
            assert endpoint.sum("PublishAmbiguous") == 1, case
            assert endpoint.sum("DatumsDropped") == dropped, case
    assert cloudwatch.data == ()


def test_late_data_land_in_the_windows_they_were_counted_in(
    start_monitor: StartMonitor, worker: SyntheticWorker, cloudwatch: Endpoint
) -> None:
    """After an absence of many intervals all data come with their own time, request by request."""
    with Proxy(urlsplit(cloudwatch.endpoint_url).port or 0) as gateway:
        # Given an endpoint that refuses connections
        gateway.refuse()
        monitor = start_monitor(environ=environ_for(f"http://127.0.0.1:{gateway.port}"))
        monitor.wait_for_output("publishing failed")

        # When tasks run in three windows, well apart, and then it comes back
        # On a busy machine a shot may be late, and what comes meanwhile is in the window before.
        bursts = []
        for tasks in (10, 20, 30):
            bursts.append(new_window(3) - 1)
            worker.run(tasks)
        back_at = new_window(3) - 1
        gateway.forward()
        worker.run(5)

        # Then everything arrives, each count in its own window, the oldest first
        assert monitor.stop() == 0
    assert cloudwatch.counts(*COUNTS) == exactly(65)
    data = cloudwatch.nonzero("TasksSucceeded")
    starts = [*bursts, back_at]
    in_windows = [
        sum(datum.values[0] for datum in data if start <= datum.timestamp < end)
        for start, end in pairwise([*starts, float("inf")])
    ]
    assert in_windows == [10, 20, 30, 5]
    timestamps = [datum.timestamp for datum in cloudwatch.series("MonitorHeartbeat")]
    assert timestamps == sorted(set(timestamps))
    assert cloudwatch.sum("MonitorHeartbeat") == len(timestamps)
    assert len(cloudwatch.offered) >= 6
    assert cloudwatch.most_at_once == 1
