"""The monitor ends: gracefully, without its endpoint, at once, or killed. No count is lost."""

from __future__ import annotations

import signal
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from ..support.endpoint import Endpoint, environ_for
from ..support.processes import PROJECT, Processes
from ..support.proxy import Proxy
from ..support.spooled import successes_spooled
from ..support.synthetic import SyntheticWorker
from ..support.waiting import wait_until
from .conftest import WAYS, StartMonitor

SOON = 60  # seconds; only a broken monitor takes that long
DRAIN_SECONDS = 2
#: Reading what has arrived takes 1 s, a send that hangs is waited for 0.5 s longer; and margin.
END_SECONDS = DRAIN_SECONDS + 8

on_redis = pytest.mark.parametrize("broker", ["redis"], indirect=True)


@pytest.mark.parametrize("way", WAYS)
def test_sigterm_in_mid_window_sends_everything(
    way: str, start_monitor: StartMonitor, worker: SyntheticWorker, cloudwatch: Endpoint
) -> None:
    """Tasks that ended a moment before are sent, in a window of a minute that has just begun."""
    # Given
    monitor = start_monitor(way, interval=60)

    # When
    worker.run(500)
    code = monitor.stop()

    # Then
    assert code == 0
    assert cloudwatch.counts("TasksReceived", "TasksStarted", "TasksSucceeded") == {
        "TasksReceived": 500,
        "TasksStarted": 500,
        "TasksSucceeded": 500,
    }


@on_redis
@pytest.mark.parametrize("away", ["refuses", "hangs"])
def test_what_a_stop_could_not_send_is_sent_by_the_next_run(
    away: str,
    start_monitor: StartMonitor,
    worker: SyntheticWorker,
    cloudwatch: Endpoint,
    tmp_path: Path,
) -> None:
    """With the endpoint away it ends in time with code 4, and the next run starts with the rest."""
    with Proxy(urlsplit(cloudwatch.endpoint_url).port or 0) as gateway:
        # Given tasks that were counted while the endpoint could not be reached
        environ = environ_for(f"http://127.0.0.1:{gateway.port}")
        gateway.refuse() if away == "refuses" else gateway.freeze()
        first = start_monitor(drain_seconds=DRAIN_SECONDS, state_dir=tmp_path, environ=environ)
        worker.run(40)

        # When the monitor is stopped
        first.send(signal.SIGTERM)
        code = first.wait(END_SECONDS)
        stopped_at = time.time()

        # Then it reports so
        assert code == 4
        assert "metrics unsent; kept in the spool" in first.output
        assert cloudwatch.data == ()

        # And when the endpoint is back, the next run sends them, with their own timestamps
        gateway.forward()
        second = start_monitor(state_dir=tmp_path, environ=environ)
        wait_until(lambda: cloudwatch.sum("TasksSucceeded") == 40, SOON, "the rest arrives")
        worker.run(2)
        assert second.stop() == 0
    assert cloudwatch.counts("TasksStarted", "TasksSucceeded", "DatumsDropped") == {
        "TasksStarted": 42,
        "TasksSucceeded": 42,
        "DatumsDropped": 0,
    }
    early = [
        datum for datum in cloudwatch.nonzero("TasksSucceeded") if datum.timestamp < stopped_at
    ]
    assert sum(datum.values[0] for datum in early) == 40


@on_redis
def test_kill_9_loses_nothing_that_is_in_the_spool(
    start_monitor: StartMonitor, worker: SyntheticWorker, cloudwatch: Endpoint, tmp_path: Path
) -> None:
    """Unsent windows of a monitor that was killed are sent by the next one, as they were."""
    with Proxy(urlsplit(cloudwatch.endpoint_url).port or 0) as gateway:
        # Given tasks counted and spooled while the endpoint cannot be reached
        environ = environ_for(f"http://127.0.0.1:{gateway.port}")
        gateway.refuse()
        first = start_monitor(state_dir=tmp_path, environ=environ)
        worker.run(40)
        wait_until(lambda: successes_spooled(tmp_path) == 40, SOON, "the tasks are in the spool")

    # When the monitor is killed, and another one finds the endpoint
    first.kill()
    killed_at = time.time()
    assert cloudwatch.data == ()
    second = start_monitor(state_dir=tmp_path)
    wait_until(lambda: cloudwatch.sum("TasksSucceeded") == 40, SOON, "the rest arrives")

    # Then
    assert second.stop() == 0
    assert "unsent metrics are left from before" in second.output
    assert cloudwatch.counts("TasksStarted", "TasksSucceeded", "DatumsDropped") == {
        "TasksStarted": 40,
        "TasksSucceeded": 40,
        "DatumsDropped": 0,
    }
    assert max(datum.timestamp for datum in cloudwatch.nonzero("TasksSucceeded")) < killed_at


@on_redis
@pytest.mark.parametrize("way", WAYS)
def test_a_second_signal_stops_at_once(
    way: str, start_monitor: StartMonitor, worker: SyntheticWorker, cloudwatch: Endpoint
) -> None:
    """Whoever cannot wait for the drain sends a second signal."""
    # Given a monitor that would wait ten minutes for an endpoint that hangs
    cloudwatch.misbehave("hang")
    monitor = start_monitor(way, drain_seconds=600)
    worker.run(40)
    assert cloudwatch.wait_for_requests(1, timeout_seconds=SOON)

    # When
    monitor.send(signal.SIGTERM)
    monitor.wait_for_output("stopping on SIGTERM")
    monitor.send(signal.SIGTERM)

    # Then
    assert monitor.wait(5) == 4


@on_redis
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("query", ["login_method=CARRIER-PIGEON", "heartbeat=-1"])
def test_a_broker_that_can_never_be_used_ends_the_start_with_one_sentence(
    way: str, query: str, start_monitor: StartMonitor
) -> None:
    """Whether it shows before the first attempt to connect or in it."""
    monitor = start_monitor(
        way, until=None, environ={"BROKER_URL": f"amqp://:hidden@127.0.0.1:1//?{query}"}
    )

    assert monitor.wait() == 2
    assert "event-monitor: the broker" in monitor.output
    assert "Traceback" not in monitor.output
    assert "hidden" not in monitor.output


@on_redis
@pytest.mark.parametrize("frequency", ["0", "-1", "nan"])
def test_a_frequency_that_cannot_be_is_refused_in_one_sentence(
    frequency: str, processes: Processes
) -> None:
    """``celery events`` takes any number; a shot every 0 seconds would never end."""
    command = ["celery", "-A", PROJECT, "events", "-c", "event_monitor.CloudWatchCam"]
    process = processes.start([*command, "-F", frequency])

    assert process.wait() == 2
    assert "event-monitor: -F is " in process.output
    assert "it must be 1 to 3,600 seconds" in process.output
    assert "Traceback" not in process.output
