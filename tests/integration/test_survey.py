"""Survey: what broker and workers answer arrives in CloudWatch, and nothing else does."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import pairwise

import pytest
from celery import Celery
from celery.signals import before_task_publish

from event_monitor.catalog import CATALOG, spec
from event_monitor.enqueued_at import HEADER, stamp_tasks
from event_monitor.provision.options import ProvisionOptions, parse_queue_limits, parse_task_limits
from event_monitor.provision.stack import build_stack
from event_monitor.settings import Settings

from ..support.commands import command
from ..support.endpoint import Endpoint
from ..support.processes import LISTENS, PROJECT, Process, Processes
from ..support.servers import RabbitServer, Server
from ..support.waiting import wait_until

SOON = 60.0  # seconds; only a broken monitor, or a very slow machine, takes that long
STAMPED = "tests.support.stamped"
LETTING_GO = "tests.support.letting_go"  # whose workers fall out of their queues when told
BACKLOG = "backlog"  # a queue that no worker reads
HOSTILE = 'a"b\\c ${d} é'  # another
INTERVAL_SECONDS = 2
SETTINGS = {"interval": str(INTERVAL_SECONDS), "probe_seconds": "2", "queues": BACKLOG}

#: Known only from what broker and workers answer.
GAUGES = frozenset(metric.name for metric in CATALOG if metric.needs)

on_redis = pytest.mark.parametrize("broker", ["redis"], indirect=True)
on_rabbitmq = pytest.mark.parametrize("broker", ["rabbitmq"], indirect=True)


@pytest.fixture
def cloudwatch() -> Iterator[Endpoint]:
    """Return a strict CloudWatch endpoint, which keeps units and timestamps."""
    with Endpoint() as endpoint:
        yield endpoint


@pytest.fixture
def stamped(client: Celery) -> Iterator[Celery]:
    """Return a producer whose tasks carry the enqueued-at header, and which sends no events."""
    client.conf.task_send_sent_event = False
    stamp_tasks(client)
    yield client
    before_task_publish.disconnect(dispatch_uid=HEADER)


Managed = Callable[[str], dict[str, str]]


@pytest.fixture
def managed(broker: str, server: Callable[[str], Server]) -> Managed:
    """Return a function: password → settings of the management API, which Redis has not."""

    def settings(password: str) -> dict[str, str]:
        if not broker.startswith("amqp"):
            return {}
        rabbit = server("rabbitmq")
        assert isinstance(rabbit, RabbitServer)
        return {"management_url": f"http://guest:{password}@127.0.0.1:{rabbit.http_port}"}

    return settings


def environ_of(settings: dict[str, str]) -> dict[str, str]:
    """Return settings as environment variables."""
    return {f"EVENT_MONITOR_{name.upper()}": value for name, value in settings.items()}


def watch(processes: Processes, *, project: str = PROJECT, **settings: str) -> Process:
    """Start the monitor; return when it receives events."""
    environ = environ_of({**SETTINGS, **settings})
    monitor = processes.start(["event-monitor", "run", "-A", project], environ)
    monitor.wait_for_output(LISTENS)
    return monitor


def last(cloudwatch: Endpoint, name: str, **dimensions: str) -> float | None:
    """Return the newest value of one series; None when there is no such series."""
    series = cloudwatch.series(name, **dimensions)
    return series[-1].values[-1] if series else None


def become(look: Callable[[], object], expected: object) -> None:
    """Wait until ``look()`` is what is expected; show what it is instead if it never is."""
    with suppress(AssertionError):
        wait_until(lambda: look() == expected, SOON, "")
    assert look() == expected


def shots(cloudwatch: Endpoint) -> list[dict[str, float]]:
    """Return metric → value for each shot so far, of the gauges of the whole cluster."""
    found: dict[float, dict[str, float]] = {}
    for datum in cloudwatch.data:
        values = found.setdefault(datum.timestamp, {})
        if datum.name in GAUGES and not datum.dimensions:
            values[datum.name] = datum.values[0]
    return [found[at] for at in sorted(found)]


def warnings(monitor: Process, text: str) -> int:
    """Count the monitor's warnings that contain the text."""
    return sum("WARNING" in line and text in line for line in monitor.output.splitlines())


# -- what is answered ------------------------------------------------------------------------------


def test_the_gauges_arrive(
    broker: str, processes: Processes, client: Celery, cloudwatch: Endpoint, managed: Managed
) -> None:
    """Of all queues and workers together, and of each queue, whatever the broker."""
    # Given a worker that runs two of thirteen tasks and has taken eight, and a queue of five
    processes.worker("w1@survey", concurrency=2)
    for _ in range(13):
        client.send_task("proj.sleep_for", [600])
    for _ in range(5):
        client.send_task("proj.succeed", queue=BACKLOG)

    # When
    by_queue = (
        *("QueueLength", "QueueUnacked", "QueueConsumers", "BacklogPerWorker"),
        *("WorkerUtilization", "PoolProcesses"),
    )
    monitor = watch(processes, by_queue=",".join(by_queue), **managed("guest"))

    # Then
    totals = {
        "QueueLength": 8,
        "QueueUnacked": 8,
        "QueueConsumers": 2,  # one of each queue that it reads
        "BacklogPerWorker": 8,
        "PoolProcesses": 2,
        "TasksReserved": 8,
        "TasksScheduled": 0,
        "TasksRevokedHeld": 0,
        "WorkerUtilization": 100,
        "WorkersStalled": 0,
    }
    become(lambda: {name: last(cloudwatch, name) for name in totals}, totals)
    become(
        lambda: {
            queue: tuple(last(cloudwatch, name, QueueName=queue) for name in by_queue)
            for queue in ("celery", "elsewhere", BACKLOG)
        },
        {
            "celery": (3, 8, 1, 5.5, 100, 2),
            "elsewhere": (0, 0, 1, 0, 100, 2),  # the same worker reads it
            BACKLOG: (5, 0, 0, 5, None, 0),
        },
    )
    own_queue = 0 if broker.startswith("amqp") else None  # Redis keeps no events for anybody
    become(lambda: last(cloudwatch, "EventQueueLength"), own_queue)
    # No Python with Celery in it is smaller than 10 MB, and none here has a gigabyte.
    # A process inherits the peak of the one that started it.
    assert 10e6 < (last(cloudwatch, "WorkerMemory") or 0) < 20e9
    assert monitor.stop() == 0
    assert cloudwatch.sum("ProbeFailures") == 0


@on_redis
def test_whatever_an_alarm_watches_arrives(
    processes: Processes, client: Celery, cloudwatch: Endpoint
) -> None:
    """Under the very namespace, name and dimensions that `provision` gives it, in its unit."""
    # Given settings that change names, dimensions and splits, and alarms made of the same
    chosen = {
        **SETTINGS,
        "namespace": "Shop",
        "dimensions": "Environment=prod",
        "queues": HOSTILE,
        "groups": "quick=proj.succeed|proj.fail",
        "by_queue": "QueueLength,OldestMessageAge,QueueStatus,QueueConsumers,BacklogPerWorker,"
        "WorkerUtilization,QueueUnacked",
        "queue_length_limits": "*=100:1000",
        "queue_age_limits": "elsewhere=60:600",
    }
    choices = ProvisionOptions(
        has_schedules=False,
        queues=(
            parse_queue_limits("celery:max_length=100"),
            parse_queue_limits(f"{HOSTILE}:max_age=60"),
        ),
        tasks=(
            parse_task_limits("quick:p95=5,failures=10"),
            parse_task_limits("proj.sleep_for:p95=5,failures=10"),
        ),
        scale_queue="celery",
        workers_from=0,
    )
    settings = Settings.load(environ=environ_of(chosen))
    stack = build_stack(("alarms", "autoscaling"), settings, choices)
    (service,) = stack.scaling
    alarms = (*stack.alarms, *(policy.alarm for policy in service.policies if policy.alarm))
    series = {
        *(watched for alarm in alarms for watched in alarm.series),
        *(policy.series for policy in service.policies if policy.series),
    }
    wanted = {
        (
            watched.namespace,
            watched.metric,
            tuple(sorted(watched.dimensions)),
            spec(watched.metric).unit,
        )
        for watched in series
    }

    # When a task succeeds, one fails, one runs, and one waits where nobody reads
    monitor = watch(processes, **chosen)
    processes.worker("w1@survey", concurrency=1)
    client.send_task("proj.succeed")
    client.send_task("proj.fail")
    client.send_task("proj.succeed", queue=HOSTILE)
    wait_until(lambda: cloudwatch.sum("TasksFailed", Environment="prod"), SOON, "one has failed")
    # What is missing is known of names that a worker has told of, once all of them have come.
    client.send_task("proj.succeed")
    client.send_task("proj.sleep_for", args=[600])

    # Then only the runtime of what has never ended is missing: there is no such value
    labels = (("Environment", "prod"), ("TaskName", "proj.sleep_for"))
    never = {("Shop", "TaskRuntime", labels, "Seconds")}

    def missing() -> object:
        arrived = {(d.namespace, d.name, d.dimensions, d.unit) for d in cloudwatch.data}
        return wanted - arrived

    become(missing, never)
    assert monitor.stop() == 0
    assert missing() == never
    assert len(wanted) > 20


# -- what is not answered --------------------------------------------------------------------------


@on_redis
def test_a_broker_that_is_away_leaves_gauges_unknown(
    server: Callable[[str], Server],
    processes: Processes,
    client: Celery,
    cloudwatch: Endpoint,
) -> None:
    """No zero is made up; shots go on, failures are counted, and all gauges return."""
    # Given
    processes.worker("w1@survey", concurrency=1)
    for _ in range(3):
        client.send_task("proj.succeed", queue=BACKLOG)
    monitor = watch(processes)
    before = {"QueueLength": 3.0, "PoolProcesses": 1.0}
    become(lambda: {name: last(cloudwatch, name) for name in before}, before)

    # When the broker is killed, until its last answers are too old
    server("redis").stop()
    try:
        become(lambda: shots(cloudwatch)[-2:], [{}, {}])
        known = [shot for shot in shots(cloudwatch) if shot]
        failures = cloudwatch.sum("ProbeFailures")
    finally:
        server("redis").start()

    # Then all come back; with another worker, since this one pauses before it tries again
    monitor.wait_for_output("can ask the workers again")
    processes.worker("w2@survey", concurrency=1)
    become(lambda: set(before) <= set(shots(cloudwatch)[-1]), True)
    assert monitor.stop() == 0

    # And until then only what had been answered was published
    for name, value in before.items():
        assert {shot[name] for shot in known if name in shot} == {value}, name
    # And no answer yet, when the broker was back, was not taken for no workers
    assert min(datum.values[0] for datum in cloudwatch.series("PoolProcesses")) == 1
    assert failures >= 4  # both, at least twice: the last answers grew old meanwhile
    assert min(datum.values[0] for datum in cloudwatch.series("BrokerConnected")) == 0

    # And shots went on; on a busy machine one may miss its boundary, and is in the next
    beats = cloudwatch.series("MonitorHeartbeat")
    numbers = [beat.timestamp // INTERVAL_SECONDS for beat in beats]
    assert {later - earlier for earlier, later in pairwise(numbers)} <= {1, 2}

    # And each question has one warning, and one line when it works again
    for question in ("ask the workers", "ask the broker for its queues"):
        assert warnings(monitor, f"could not {question}: ") == 1, question
        assert monitor.output.count(f"can {question} again") == 1, question


@on_rabbitmq
def test_a_wrong_management_password_costs_only_what_the_api_knows(
    processes: Processes, client: Celery, cloudwatch: Endpoint, managed: Managed
) -> None:
    """What AMQP reports stays; one warning names what is missing, without the password."""
    # Given
    client.send_task("proj.succeed", queue=BACKLOG)
    monitor = watch(processes, **managed("geheim"))
    become(lambda: last(cloudwatch, "QueueLength"), 1)

    # When it is asked again
    client.send_task("proj.succeed", queue=BACKLOG)
    become(lambda: last(cloudwatch, "QueueLength"), 2)

    # Then
    assert monitor.stop() == 0
    assert last(cloudwatch, "QueueConsumers") == 0
    assert cloudwatch.series("QueueUnacked") == ()
    assert cloudwatch.sum("ProbeFailures") == 0
    assert warnings(monitor, "no unacknowledged messages and rates of queues: ") == 1
    assert "geheim" not in monitor.output


# -- workers in trouble ----------------------------------------------------------------------------


@on_redis
def test_a_worker_that_stops_keeps_what_it_holds(
    processes: Processes, stamped: Celery, cloudwatch: Endpoint
) -> None:
    """Its messages show as unacknowledged, what waits grows older, and it is lost once."""
    # Given a worker that runs one task, holds four, and leaves three; no event has their age
    worker = processes.start(
        [
            *("celery", "-A", STAMPED, "worker", "--hostname", "w1@survey", "--concurrency", "1"),
            *("--loglevel", "INFO", "--without-mingle", "--task-events"),
        ]
    )
    worker.wait_for_output("w1@survey ready.")
    for _ in range(8):
        stamped.send_task("proj.sleep_for", [600])
    monitor = watch(processes, project=STAMPED, worker_grace_seconds="10", worker_grace_beats="2")
    held = {"QueueLength": 3.0, "QueueUnacked": 4.0, "WorkersOnline": 1.0, "PoolProcesses": 1.0}
    become(lambda: {name: last(cloudwatch, name) for name in held}, held)

    # When it stands still
    os.killpg(worker.pid, signal.SIGSTOP)
    stopped_at = time.time()
    wait_until(lambda: cloudwatch.sum("WorkersLost"), SOON, "the worker is lost")
    asked_later = held | {"WorkersOnline": 0.0, "PoolProcesses": 0.0}
    become(lambda: {name: last(cloudwatch, name) for name in held}, asked_later)

    # Then what waits grows older, once the broker has been asked twice since
    def since_then(name: str, **dimensions: str) -> list[float]:
        series = cloudwatch.series(name, **dimensions)
        return [datum.values[0] for datum in series if datum.timestamp >= stopped_at]

    def ages() -> list[float]:
        return since_then("OldestMessageAge", QueueName="celery")

    wait_until(lambda: len(set(ages())) > 1, SOON, "an older age is published")
    assert monitor.stop() == 0
    assert ages() == sorted(ages())
    assert cloudwatch.sum("WorkersLost") == 1
    assert set(since_then("QueueUnacked")) == {4}


@on_redis
def test_a_worker_that_beats_and_consumes_nothing_is_stalled(
    processes: Processes, client: Celery, cloudwatch: Endpoint
) -> None:
    """It is named in the log and counted, until it begins a task."""
    # Given a worker that falls out of its queues, and work
    worker = processes.start(
        [
            *("celery", "-A", LETTING_GO, "worker", "--hostname", "w1@survey", "-c", "1"),
            *("--loglevel", "INFO", "--without-mingle", "--task-events"),
        ]
    )
    worker.wait_for_output("w1@survey ready.")
    monitor = watch(processes, worker_stalled_seconds="10")
    become(lambda: last(cloudwatch, "WorkersStalled"), 0)
    command(client, "let_go", "w1@survey")
    for _ in range(3):
        client.send_task("proj.succeed")

    # When it does nothing
    become(lambda: last(cloudwatch, "WorkersStalled"), 1)
    monitor.wait_for_output("worker w1@survey is stalled: ")

    # Then it is stalled, until it works
    command(client, "take_hold", "w1@survey")
    become(lambda: last(cloudwatch, "WorkersStalled"), 0)
    assert monitor.stop() == 0
    assert warnings(monitor, "w1@survey is stalled: ") == 1
    assert {datum.values[0] for datum in cloudwatch.series("WorkersStalled")} == {0, 1}
