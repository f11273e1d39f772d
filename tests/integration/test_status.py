"""Status, health check and beat task, with real workers, as they are typed."""

from __future__ import annotations

import json
import os
import re
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from celery import Celery

from ..support.cloudwatch import CloudWatch
from ..support.commands import command, wait_until_they_listen
from ..support.processes import PROJECT, ROOT, Process, Processes
from ..support.proj import QUEUES
from ..support.servers import RabbitServer, Server
from ..support.waiting import wait_until
from ..support.witness import Witness

SOON = 60.0  # seconds; only a broken monitor, or a very slow machine, takes that long
LOOK_SECONDS = 2.0  # between two health checks: each start of one costs a second of CPU
on_redis = pytest.mark.parametrize("broker", ["redis"], indirect=True)


def done(process: Process) -> int:
    """Wait for the end of a command."""
    return process.wait(SOON)


def status(processes: Processes, *arguments: str) -> Process:
    """Type ``event-monitor status`` and wait for its end."""
    process = processes.start(["event-monitor", "status", "-A", PROJECT, *arguments])
    done(process)
    return process


def test_status_shows_workers_queues_and_tasks(processes: Processes, client: Celery) -> None:
    """Numbers as they are, in JSON for programs and in tables for people."""
    # Given one worker that runs a task and holds others, and a queue that nobody reads
    processes.worker("w1@status", concurrency=1)
    wait_until_they_listen(client, "w1@status")
    for _ in range(8):
        client.send_task("proj.sleep_for", [600])
    client.send_task("proj.succeed", queue="backlog")

    # When
    def look() -> dict[str, Any] | None:
        process = status(processes, "--json", "--queues", "backlog")
        if process.exit_code != 0:  # a worker that is slow to answer
            return None
        report: dict[str, Any] = json.loads(process.output)
        tasks = report["tasks"]
        return report if (tasks["active"], tasks["reserved"]) == (1, 4) else None

    report = wait_until(look, 60, "the worker has what it can hold")

    # Then: one runs, four more are taken (four times a pool of one, when the first has begun)
    assert report is not None
    (worker,) = report["workers"]
    assert (worker["hostname"], worker["pool_processes"]) == ("w1@status", 1)
    assert (worker["processed"], worker["queues"]) == (1, list(QUEUES))
    assert report["tasks"]["oldest_running_name"] == "proj.sleep_for"
    assert 0 <= report["tasks"]["oldest_running_seconds"] < 120
    ready = {queue["name"]: queue["ready"] for queue in report["queues"]}
    assert ready == {"backlog": 1, "celery": 3, "elsewhere": 0}

    unread = {queue["name"]: queue["unread"] for queue in report["queues"]}
    assert unread == {"backlog": True, "celery": False, "elsewhere": False}

    text = status(processes, "--queues", "backlog").output
    line, numbers, *_ = re.split(r" \| |\n", text)
    assert line == "OK: 1 worker answers, 1 of 1 processes busy, 4 messages waiting"
    assert numbers.startswith("workers=1;;1:;0 active=1;;;0;1 waiting=4;;;0 'queue backlog'=1;;;0")
    assert "longest running: " in text
    assert max(len(line) for line in text.splitlines()[1:]) <= 80


def test_a_queue_that_only_producers_know_is_shown_while_work_waits_in_it(
    broker: str, processes: Processes, client: Celery, server: Callable[[str], Server]
) -> None:
    """Flagged as unread; RabbitMQ names it through its management API only."""
    # Given
    processes.worker("w1@status", concurrency=1)
    client.send_task("proj.succeed", queue="nobody")
    for_rabbitmq, of_no_use = [], []
    if broker.startswith("amqp"):
        rabbitmq = server("rabbitmq")
        assert isinstance(rabbitmq, RabbitServer)
        at = f"127.0.0.1:{rabbitmq.http_port}"
        for_rabbitmq = ["--management-url", f"http://guest:guest@{at}"]
        of_no_use = [f"http://guest:geheim@{at}", f"http://127.0.0.1:{rabbitmq.port}"]

    # When
    def queues() -> dict[str, tuple[int, bool]]:
        report = json.loads(status(processes, "--json", *for_rabbitmq).output)
        return {queue["name"]: (queue["ready"], queue["unread"]) for queue in report["queues"]}

    wait_until(lambda: "nobody" in queues(), 60, "the management API counts every five seconds")

    # Then
    assert queues() == {"celery": (0, False), "elsewhere": (0, False), "nobody": (1, True)}

    # And a management API that is of no use is told
    command = ["event-monitor", "status", "-A", PROJECT, "--management-url"]
    told = [processes.start([*command, url]) for url in of_no_use]
    assert [done(process) for process in told] == [1 for _ in of_no_use]
    sentences = [process.output.partition(": ")[2].partition("\n")[0] for process in told]
    for sentence, reason in zip(sentences, ("refuses the user", "hangs up"), strict=False):
        assert sentence.startswith("management_url is of no use: http://127.0.0.1:")
        assert reason in sentence
        assert "geheim" not in sentence


@on_redis
def test_limits_decide_on_the_exit_code(processes: Processes, client: Celery) -> None:
    """As a Nagios plugin."""
    # Given no worker, and five messages
    for _ in range(5):
        client.send_task("proj.succeed")

    # When, all at a time: each waits for answers
    command = ["event-monitor", "status", "-A", PROJECT]
    allowed, limits = ("--min-workers", "0"), "--queue-length-limits"
    typed = [
        processes.start([*command, *arguments])
        for arguments in (
            (),
            allowed,
            (*allowed, limits, "celery=5:50"),
            (*allowed, limits, "celery=1:5"),
        )
    ]

    # Then
    assert [done(process) for process in typed] == [2, 0, 1, 2]
    assert typed[0].output.startswith("CRITICAL: no worker answers")


# -- health check --------------------------------------------------------------------------------


@pytest.fixture
def healthcheck(processes: Processes, tmp_path: Path) -> Callable[..., Process]:
    """Type ``event-monitor healthcheck --worker``, with a directory for its notes."""

    def check(name: str, *arguments: str) -> Process:
        command = ["event-monitor", "healthcheck", "-A", PROJECT, "--worker", name]
        return processes.start([*command, "--state-dir", str(tmp_path), *arguments])

    return check


@on_redis
def test_a_worker_is_healthy_until_it_no_longer_answers(
    processes: Processes, client: Celery, healthcheck: Callable[..., Process]
) -> None:
    """Stopped dead it is not; nor is one that never was."""
    worker = processes.worker("w1@health", concurrency=1)
    wait_until_they_listen(client, "w1@health")

    assert done(healthcheck("w1@health")) == 0
    os.killpg(worker.pid, signal.SIGSTOP)
    nobody, stopped = (
        healthcheck(name, "--probe-seconds", "1") for name in ("w2@health", "w1@health")
    )

    assert (done(nobody), done(stopped)) == (1, 1)
    assert stopped.output.startswith("w1@health does not answer within 1 s, ")


@on_redis
def test_a_worker_that_leaves_its_work_is_noticed_from_look_to_look(
    processes: Processes, client: Celery, healthcheck: Callable[..., Process]
) -> None:
    """While messages wait in its queue; one that is held back on purpose no restart would help."""
    # Given one that has lost its queues and does not know it, one held back by a rate limit, and
    # one by its operator, who paused it
    lost, limited, paused = names = ("lost@health", "limited@health", "paused@health")
    include = ("--include", "tests.support.lost_consumer")
    for each in [start_worker(processes, *include, name=name, queues=name) for name in names]:
        each.wait_for_output(" ready.")
    command(client, "lose_consumer", lost)
    command(client, "rate_limit", limited, task_name="proj.succeed", rate_limit="1/h")
    command(client, "cancel_consumer", paused, queue=paused)
    for _ in range(20):
        for name in names:
            client.send_task("proj.succeed", queue=name)

    def waits() -> bool:
        report = json.loads(status(processes, "--json", "--queues", ",".join(names)).output)
        ready = {queue["name"]: queue["ready"] for queue in report["queues"]}
        return all(ready[name] for name in names)

    wait_until(waits, SOON, "messages wait")

    # When they are looked at, the two that are held back first
    def start_look(name: str) -> Process:
        return healthcheck(name, "--worker-stalled-seconds", "10")

    def look() -> list[str]:
        looks = [start_look(name) for name in (limited, paused, lost)]
        assert [done(each) for each in looks[:2]] == [0, 0]
        assert done(looks[2]) in (0, 1)
        return [each.output for each in looks]

    def is_noticed() -> bool:
        again = start_look(lost)
        assert done(again) in (0, 1)
        return f"{lost} is stalled: " in again.output

    # Then it is healthy until the time is over, and they are even then
    assert look() == ["healthy\n"] * 3
    wait_until(is_noticed, SOON, "it is found stalled", poll_seconds=LOOK_SECONDS)
    assert look()[:2] == ["healthy\n"] * 2

    # And again when nothing waits any more
    with client.connection_for_write() as connection:
        connection.default_channel.queue_purge(lost)
    assert done(start_look(lost)) == 0


@pytest.mark.parametrize(
    ("broker", "unreadable"),
    [("redis", "pickle"), ("rabbitmq", "no remote control")],
    indirect=["broker"],
)
def test_a_worker_that_cannot_be_read_is_not_restarted(unreadable: str, unread: Unread) -> None:
    """It ends with 0 and says why; --strict is 3, and so is the status: unknown, not critical.

    Whether one answers in pickle is known, and who does not is unhealthy.
    """
    reason = unread.start(unreadable)

    look = unread.type("healthcheck", "--worker", "w1@health")
    strict = unread.type("healthcheck", "--worker", "w1@health", "--strict")
    gone = unread.type("healthcheck", "--worker", "w2@health", "--probe-seconds", "2")
    report = unread.type("status", "--json")

    assert [done(process) for process in (look, strict, report)] == [0, 3, 3], report.output
    if unreadable == "no remote control":  # what it leaves would tell, if it left something
        instead = (
            "only with send_events_over_sqs(app) in the app would it leave its heartbeats here"
        )
        sentence = f"nothing is known of w1@health: {reason}, and {instead}.\n"
    else:
        sentence = f"nothing is known of w1@health: {reason}.\n"
    assert (look.output, strict.output) == (sentence, sentence)
    assert json.loads(report.output)["problems"] == [
        f"nothing is known of the workers: {reason}; --no-probe-workers leaves them out"
    ]
    if unreadable == "pickle":
        assert done(gone) == 1
        assert gone.output.startswith("w2@health does not answer within 2 s, ")
    else:
        assert done(gone) == 0, "nobody is asked"


@pytest.mark.parametrize(
    ("broker", "unreadable"),
    [("redis", "pickle"), ("rabbitmq", "no remote control")],
    indirect=["broker"],
)
def test_without_the_app_a_worker_that_only_beats_is_not_restarted(
    unreadable: str, broker: str, unread: Unread
) -> None:
    """-b alone does not know why it does not answer; its heartbeats prove that it is alive."""
    unread.start(unreadable)
    soon = ("--probe-seconds", "1")

    one = unread.type("healthcheck", "--worker", "w1@health", *soon, url=broker)
    other = unread.type("healthcheck", "--worker", "w2@health", *soon, url=broker)
    report = unread.type("status", *soon, url=broker)

    assert [done(process) for process in (one, other, report)] == [0, 1, 3], report.output
    reason = "heartbeats come and no answer does, as with worker_enable_remote_control off"
    assert f"nothing is known of w1@health: {reason}" in one.output
    assert "w2@health does not answer within 1 s, and sends no heartbeat." in other.output
    assert f"UNKNOWN: nothing is known of the workers: {reason}" in report.output


class Unread:
    """A worker whose answers are not to be had, and commands that know its app."""

    def __init__(
        self, processes: Processes, environ: dict[str, str], folder: Path, witness: Witness
    ) -> None:
        self._processes = processes
        self._witness = witness
        self._environ = environ
        self._folder = folder
        self._app = ""

    def start(self, unreadable: str) -> str:
        """Start the worker; return the reason that is expected."""
        self._app = "tests.support.pickled"
        reason = "workers answer in pickle (task_serializer), which is never read"
        if unreadable == "no remote control":
            (self._folder / "uncontrolled.py").write_text(
                "import os\nfrom tests.support.proj import build\napp = build(os.environ)\n"
                "app.conf.worker_enable_remote_control = False\n"
            )
            self._environ = {**self._environ, "PYTHONPATH": f"{self._folder}:{ROOT}"}
            self._app, reason = "uncontrolled", "worker_enable_remote_control is off"
        # One that beats every two seconds, as they do by default, may seem to be silent for three.
        beats = ("--heartbeat-interval", "1")
        worker = start_worker(self._processes, *beats, app=self._app, environ=self._environ)
        worker.wait_for_output("w1@health ready.")
        self._witness.wait_for_beats("w1@health")  # on Redis it listens to commands only then
        return reason

    def type(self, command: str, *arguments: str, url: str = "") -> Process:
        """Type a command with that app, or with a broker only; several may run at a time."""
        whose = ["-b", url] if url else ["-A", self._app]
        return self._processes.start(["event-monitor", command, *whose, *arguments], self._environ)


@pytest.fixture
def unread(
    processes: Processes, environ: dict[str, str], tmp_path: Path, witness: Witness
) -> Unread:
    """Return one that has not started its worker yet."""
    return Unread(processes, {**environ, "C_FORCE_ROOT": "1"}, tmp_path, witness)


def start_worker(
    processes: Processes,
    *arguments: str,
    name: str = "w1@health",
    queues: str = ",".join(QUEUES),
    app: str = PROJECT,
    environ: dict[str, str] | None = None,
) -> Process:
    """Start a worker with these arguments; it is not ready yet."""
    command = ["celery", "-A", app, "worker", "-E", "--hostname", name, "-c", "1"]
    command += ["--queues", queues, "--loglevel", "INFO", "--without-mingle"]
    return processes.start([*command, *arguments], environ)


# -- beat ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("broker", "pool", "size"),
    [("redis", "prefork", 2), ("rabbitmq", "threads", 2), ("redis", "solo", None)],
    indirect=["broker"],
)
def test_the_beat_task_publishes_what_its_worker_says(
    pool: str, size: int | None, processes: Processes, client: Celery, cloudwatch: CloudWatch
) -> None:
    """From inside a worker that it asks as well; solo cannot answer, and is left out."""
    # Given
    worker = {"EVENT_MONITOR_PROBE_SECONDS": "2"}
    process = processes.start(
        [
            *("celery", "-A", PROJECT, "worker", "--hostname", "w1@beat", "--pool", pool),
            *("--concurrency", "2", "--queues", "celery", "--loglevel", "INFO"),
            *("--without-mingle", "--include", "event_monitor.beat"),
        ],
        worker,
    )
    process.wait_for_output("w1@beat ready.")

    # When
    client.send_task("event_monitor.beat.publish_gauges")
    wait_until(lambda: cloudwatch.count("WorkersOnline") == 1, SOON, "gauges are published")

    # Then
    assert cloudwatch.last("WorkersOnline") == 1
    assert cloudwatch.last("QueueLength") == 0
    assert cloudwatch.last("ProbeFailures") == 0
    if size is None:
        assert not {"PoolProcesses", "TasksActive", "WorkerMemory"} & cloudwatch.names()
    else:
        assert cloudwatch.last("PoolProcesses") == size
        assert cloudwatch.last("TasksActive") == 1  # itself
        memory = cloudwatch.last("WorkerMemory")
        assert memory is not None
        assert 10e6 < memory < 20e9  # a process inherits the peak of the one that started it
    assert not {"TasksSucceeded", "TasksFailed", "TasksRetried"} & cloudwatch.names()
