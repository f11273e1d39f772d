"""Workers: a death is counted once, and no clock or time zone changes that."""

from __future__ import annotations

import signal

import pytest
from celery import Celery

from ..support.cloudwatch import CloudWatch
from ..support.processes import WAYS, Process, Processes
from ..support.waiting import wait_until
from ..support.witness import Witness

BEAT_SECONDS = 1
GRACE_SECONDS = 5  # as many heartbeats as the default
INTERVAL_SECONDS = 1
SOON = 60  # seconds; only a broken monitor takes that long

on_redis = pytest.mark.parametrize("broker", ["redis"], indirect=True)


class Cluster:
    """Lively workers and an impatient monitor, so that a death shows within seconds."""

    def __init__(self, processes: Processes) -> None:
        self._processes = processes

    def monitor(self, way: str = "run") -> Process:
        """Start the monitor; return when it receives events."""
        environ = {"EVENT_MONITOR_WORKER_GRACE_SECONDS": str(GRACE_SECONDS)}
        return self._processes.monitor(way, interval_seconds=INTERVAL_SECONDS, environ=environ)

    def worker(self, name: str, environ: dict[str, str] | None = None) -> Process:
        """Start a worker; return when it takes tasks."""
        return self._processes.worker(name, heartbeat_seconds=BEAT_SECONDS, environ=environ)

    def workers(self, *names: str) -> dict[str, Process]:
        """Start workers at the same time; return when all take tasks."""
        return self._processes.workers(*names, heartbeat_seconds=BEAT_SECONDS)


@pytest.fixture
def cluster(processes: Processes) -> Cluster:
    """Return one in which nothing is started yet."""
    return Cluster(processes)


def wait_for_online(cloudwatch: CloudWatch, workers: int) -> None:
    """Wait until the monitor publishes that so many workers are online."""
    wait_until(
        lambda: cloudwatch.last("WorkersOnline") == workers, SOON, f"WorkersOnline is {workers}"
    )


def wait_for_shots(cloudwatch: CloudWatch, shots: int) -> None:
    """Wait until the monitor has published so many more windows."""
    wanted = cloudwatch.count("MonitorHeartbeat") + shots
    wait_until(
        lambda: cloudwatch.count("MonitorHeartbeat") >= wanted,
        SOON,
        f"{shots} more shots",
    )


@on_redis  # on RabbitMQ it is a verdict of those on liveness
def test_killed_worker_is_lost_once_with_its_task(
    cluster: Cluster, client: Celery, witness: Witness, cloudwatch: CloudWatch
) -> None:
    """Kill -9 shows as one lost worker, one worker less online and one orphaned task."""
    # Given two workers, one of which runs a long task
    monitor = cluster.monitor()
    workers = cluster.workers("w1@host1", "w2@host1")
    uuid = client.tasks["proj.sleep_for"].delay(600).id
    victim = witness.wait_for(60, uuid=uuid, type="task-started")["hostname"]
    wait_for_online(cloudwatch, 2)

    # When that one is killed, and some time passes
    workers[victim].kill()
    wait_until(lambda: cloudwatch.sum("WorkersLost") == 1, SOON, "the worker is lost")
    wait_for_shots(cloudwatch, 2)

    # Then each is counted once
    assert monitor.stop() == 0
    assert cloudwatch.sum("WorkersLost") == 1
    assert cloudwatch.last("WorkersOnline") == 1
    assert cloudwatch.sum("TasksOrphaned") == 1
    assert cloudwatch.last("TasksRunning") == 0


@on_redis
def test_worker_comes_back_under_its_name(cluster: Cluster, cloudwatch: CloudWatch) -> None:
    """A worker that restarts under its old name is one worker: lost once, then online again."""
    # Given a worker that was killed and counted as lost
    monitor = cluster.monitor()
    first = cluster.worker("w1@host1")
    wait_for_online(cloudwatch, 1)
    first.kill()
    wait_until(lambda: cloudwatch.sum("WorkersLost") == 1, SOON, "the worker is lost")
    wait_for_online(cloudwatch, 0)

    # When it is started again
    second = cluster.worker("w1@host1")
    wait_for_online(cloudwatch, 1)
    assert second.stop() == 0
    wait_for_online(cloudwatch, 0)

    # Then there never were two
    assert monitor.stop() == 0
    assert cloudwatch.sum("WorkersLost") == 1
    assert max(cloudwatch.values("WorkersOnline")) == 1


@on_redis
def test_worker_in_another_time_zone(
    cluster: Cluster, client: Celery, witness: Witness, cloudwatch: CloudWatch
) -> None:
    """A worker on Tokyo time is measured and dies like any other, hours apart or not."""
    # Given a worker on Tokyo time, seen from UTC
    monitor = cluster.monitor()
    worker = cluster.worker("w1@host1", environ={"TZ": "Asia/Tokyo"})
    assert witness.wait_for(60, type="worker-heartbeat", hostname="w1@host1")["utcoffset"] == -9
    wait_for_online(cloudwatch, 1)

    # When it has run three tasks and is killed
    for _ in range(3):
        client.tasks["proj.succeed"].delay()
    wait_until(lambda: cloudwatch.sum("TasksSucceeded") == 3, SOON, "three tasks succeeded")
    worker.kill()
    wait_until(lambda: cloudwatch.sum("WorkersLost") == 1, SOON, "the worker is lost")

    # Then it is lost in time, and no duration is hours long
    assert monitor.stop() == 0
    assert cloudwatch.sum("WorkersLost") == 1
    assert cloudwatch.last("WorkersOnline") == 0
    times = cloudwatch.values("TaskQueueTime") + cloudwatch.values("EventDelay")
    assert 0 <= min(times) <= max(times) < 60


@on_redis
@pytest.mark.parametrize("way", WAYS)
def test_interrupt_flushes_and_exits_with_0(
    way: str, cluster: Cluster, client: Celery, witness: Witness, cloudwatch: CloudWatch
) -> None:
    """Ctrl-C loses no count and is no error."""
    # Given a task that has just ended
    monitor = cluster.monitor(way)
    cluster.worker("w1@host1")
    uuid = client.tasks["proj.succeed"].delay().id
    witness.wait_for(60, uuid=uuid, type="task-succeeded")

    # When the monitor is interrupted
    exit_code = monitor.stop(signal.SIGINT)

    # Then the task is in CloudWatch
    assert exit_code == 0
    assert cloudwatch.sum("TasksSucceeded") == 1
