"""The demo: its parts, and the whole of it with real workers, as a user sees it."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import pytest
from celery import Celery
from kombu import Connection, Exchange, Queue
from rich.console import Console

from event_monitor.clock import SYSTEM_CLOCK, Clock
from event_monitor.demo import ledger, run_demo
from event_monitor.demo.cloudwatch import CloudWatch, Reading
from event_monitor.demo.environment import process_environ
from event_monitor.demo.identity import Run
from event_monitor.demo.ledger import GroundTruth
from event_monitor.demo.processes import Processes
from event_monitor.demo.scenario import DemoError, Scenario
from event_monitor.demo.screen import Screen
from event_monitor.demo.sqs import broker_at
from event_monitor.demo.verdict import Comparison, compare, has_arrived
from event_monitor.errors import UnavailableError
from event_monitor.over_sqs.configuration import EventQueue
from event_monitor.testing import FakeClock

from ...support.servers import free_port

DEMO = (
    "import sys; from event_monitor.demo import run_demo; "
    "sys.exit(run_demo(keep='--keep' in sys.argv))"
)
HERE = str(Path(__file__).parents[3])


class Message(Protocol):
    """What the test needs of ``kombu.Message``."""

    def ack(self) -> None: ...


def test_the_demos_processes_cannot_reach_a_real_account(tmp_path: Path) -> None:
    """Whatever the user's environment says, every AWS service is the one on loopback."""
    run = Run.new(tmp_path, broker=None)
    outer = {
        "PATH": "/bin",
        "AWS_PROFILE": "production",
        "AWS_ACCESS_KEY_ID": "AKIAREAL",
        "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/real",
        "AWS_ENDPOINT_URL_CLOUDWATCH": "https://real",
        "CELERY_BROKER_URL": "redis://real",
        "EVENT_MONITOR_NAMESPACE": "Real",
        "HTTP_PROXY": "http://proxy",
    }

    inner = process_environ(outer, run=run, endpoint="http://127.0.0.1:4566", page="127.0.0.1:9808")

    assert {key: value for key, value in inner.items() if key.startswith("AWS_")} == {
        "AWS_ENDPOINT_URL": "http://127.0.0.1:4566",
        "AWS_ENDPOINT_URL_CLOUDWATCH": "http://127.0.0.1:4566",
        "AWS_ACCESS_KEY_ID": "demo",
        "AWS_SECRET_ACCESS_KEY": "demo",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_REGION": "us-east-1",
        "AWS_CONFIG_FILE": str(tmp_path / "no-such-file"),
        "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "no-such-file"),
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    assert "CELERY_BROKER_URL" not in inner
    assert inner["EVENT_MONITOR_NAMESPACE"] == "Celery"
    assert inner["NO_PROXY"] == inner["no_proxy"] == "127.0.0.1"
    assert Run.from_environ(inner) == run


def test_a_demo_over_sqs_has_a_queue_for_its_events(tmp_path: Path) -> None:
    """The broker's names may have dots, and those of SQS must not."""
    run = Run.new(tmp_path, broker=broker_at("127.0.0.1:5000"))

    assert run.is_over_sqs
    assert run.configuration["broker_url"] == "sqs://demo:demo@127.0.0.1:5000"
    assert run.transport_options["is_secure"] is False
    assert EventQueue(name=run.event_queue).name == f"{run.name}-events"
    assert not Run.new(tmp_path, broker=None).is_over_sqs


@pytest.mark.parametrize("broker", ["sqs://", "memory://", "localhost:6379"])
def test_a_broker_that_cannot_carry_the_demo_is_refused_before_anything_starts(broker: str) -> None:
    """Such as one that would be somebody's AWS account, or lives in one process only."""
    with pytest.raises(UnavailableError, match="--broker must be a URL that begins with amqp"):
        run_demo(broker=broker)


def test_the_embedded_broker_loses_no_message_and_keeps_each_senders_order(tmp_path: Path) -> None:
    """Given writers that publish while a reader polls, all arrives, whole and in order."""
    (tmp_path / "broker").mkdir()
    options = {
        **Run.new(tmp_path, broker=None).transport_options,
        "polling_interval": 0.001,  # so that the reader often meets a message being written
    }

    def connect() -> Connection:
        transport = "event_monitor.demo.broker:Transport"
        return Connection("filesystem://localhost", transport=transport, transport_options=options)

    exchange = Exchange("events", type="topic", durable=False)
    received: list[tuple[int, int]] = []

    def publish(sender: int) -> None:
        with connect() as connection:
            producer = connection.Producer(exchange=exchange)
            for number in range(200):
                producer.publish([sender, number], routing_key="task.sent", serializer="json")

    def on_message(body: list[int], message: Message) -> None:
        sender, number = body
        received.append((sender, number))
        message.ack()

    queue = Queue("events.reader", exchange, routing_key="#")
    with connect() as connection, connection.Consumer([queue], callbacks=[on_message]):
        senders = [threading.Thread(target=publish, args=(sender,)) for sender in range(3)]
        for sender in senders:
            sender.start()
        deadline = time.monotonic() + 60
        while len(received) < 600 and time.monotonic() < deadline:
            connection.drain_events(timeout=30)
        for sender in senders:
            sender.join()

    by_sender = [[number for s, number in received if s == sender] for sender in range(3)]
    assert by_sender == [list(range(200))] * 3


def test_cloudwatch_is_read_back_by_exact_dimensions(tmp_path: Path) -> None:
    """A total is not the sum of its splits, and distributions are unfolded."""
    script = """
import boto3
boto3.client("cloudwatch").put_metric_data(Namespace="Celery", MetricData=[
    {"MetricName": "TasksFailed", "Value": 3},
    {"MetricName": "TasksFailed", "Value": 2, "Dimensions": [{"Name": "TaskName", "Value": "a"}]},
    {"MetricName": "TaskRuntime", "Values": [0.5, 2], "Counts": [2, 1]},
    {"MetricName": "WorkersOnline", "Value": 1, "Timestamp": 1_000_000_060},
    {"MetricName": "WorkersOnline", "Value": 2, "Timestamp": 1_000_000_000},
])
boto3.client("cloudwatch").put_metric_data(Namespace="Other", MetricData=[
    {"MetricName": "TasksFailed", "Value": 7},
])
"""
    run = Run.new(tmp_path, broker=None)
    with CloudWatch() as cloudwatch:
        endpoint = f"http://{cloudwatch.address}"
        environ = process_environ(
            os.environ, run=run, endpoint=endpoint, page=f"127.0.0.1:{free_port()}"
        )
        subprocess.run([sys.executable, "-c", script], env=environ, check=True, timeout=60)

        reading = cloudwatch.read()

    assert reading.sum("TasksFailed") == 3
    assert reading.sum("TasksFailed", TaskName="a") == 2
    assert reading.values("TaskRuntime") == (0.5, 0.5, 2.0)
    assert reading.latest("WorkersOnline") == 1
    assert reading.split_by("TaskName") == ("a",)


def test_a_percentile_is_one_of_the_values_however_many_arrived() -> None:
    """Distributions of CloudWatch end at 150 values; what is read back has no such limit."""
    scattered = tuple(float(number * 37 % 1_000 + 1) for number in range(1_000))
    reading = Reading({("Few", ()): (3.0, 1.0, 3.0), ("Many", ()): scattered})

    assert reading.percentile("None", 95) is None
    assert [reading.percentile("Few", percent) for percent in (33, 50)] == [1.0, 3.0]
    assert reading.percentile("Many", 95) == 950.0


def test_a_retry_is_published_again_and_the_ledger_counts_lines(tmp_path: Path) -> None:
    """A retried task publishes itself, so two messages came of one that was sent."""
    path = tmp_path / "ledger"
    assert ledger.read(path) == GroundTruth.of([])

    actions: tuple[ledger.Action, ...] = ("sent", "started", "retried", "started")
    for action in actions:
        ledger.append(path, action, "shop.sync_stock")

    truth = ledger.read(path)
    assert (truth.published, truth.total("started"), truth.unfinished) == (2, 2, 1)


def test_one_count_that_differs_is_found() -> None:
    """Given everything counted once but one failure twice, the verdict names what differs."""
    truth = GroundTruth.of(["sent a", "started a", "failed a", "sent b", "started b"])
    reading = Reading(
        {
            ("TasksSent", ()): (2.0,),
            ("TasksReceived", ()): (1.0, 1.0),
            ("TasksStarted", ()): (2.0,),
            ("TasksFailed", ()): (2.0,),
            ("TasksFailed", (("TaskName", "a"),)): (1.0,),
            ("TasksFailed", (("TaskName", "unknown"),)): (1.0,),
            ("TaskQueueTime", ()): (0.1, 0.2),
            ("TaskQueueTime", (("TaskName", "a"),)): (0.1,),
            ("TaskQueueTime", (("TaskName", "b"),)): (0.2,),
            ("WorkersLost", ()): (0.0, 1.0),
            ("WorkersLost", (("WorkerName", "west@demo"),)): (1.0,),
            ("TasksOrphaned", ()): (1.0,),
        }
    )

    verdict = compare(truth, reading, killed="west@demo")

    assert not has_arrived(truth, reading)
    assert not verdict.agrees
    assert [comparison for comparison in verdict.comparisons if not comparison.agrees] == [
        Comparison(happened=1, counted=2),
        Comparison(happened=0, counted=1),
    ]
    assert verdict.totals["TasksFailed"] == Comparison(happened=1, counted=2)
    assert verdict.tasks["unknown"]["TasksFailed"] == Comparison(happened=0, counted=1)


def failing_scenario(folder: Path, script: str, *, clock: Clock) -> None:
    """Run the scenario with this Python script in place of Celery."""
    run = Run.new(folder, broker=None)
    command = (sys.executable, "-c", script)
    with Processes(run, environ={}, command=command) as processes:
        Scenario(
            run,
            Celery("producer", set_as_current=False),
            cloudwatch=CloudWatch(),
            processes=processes,
            screen=Screen(Console(file=io.StringIO()), title="", command="", page=""),
            clock=clock,
        ).run()


def test_a_process_that_never_gets_ready_ends_the_demo(tmp_path: Path) -> None:
    """The patience with it is counted by the clock."""
    clock = FakeClock()
    started_at = clock.monotonic()

    with pytest.raises(DemoError, match=r"^monitor did not become ready:"):
        failing_scenario(tmp_path, "import time; time.sleep(60)", clock=clock)

    assert 40 <= clock.monotonic() - started_at < 41


def test_a_process_that_dies_ends_the_demo_with_the_end_of_its_log(tmp_path: Path) -> None:
    """Nobody waits for what cannot come."""
    # Only one of the three, or another might be the first that is found dead.
    script = "import sys, time; 'worker' in sys.argv and time.sleep(600); print('no such app')"
    with pytest.raises(DemoError, match=r"^monitor died unexpectedly:\nno such app$"):
        failing_scenario(tmp_path, script, clock=SYSTEM_CLOCK)


# -- the whole demo, in a process of its own -------------------------------------------------


def left_running(folder: Path) -> list[str]:
    """The commands of processes whose environment names this folder (on Linux)."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if os.fsencode(folder) in (process / "environ").read_bytes():
                found.append((process / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except OSError:
            continue  # it has just ended, or is not ours
    return found


def wait_for(condition: Callable[[], bool], *, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "condition not met in time"
        time.sleep(0.05)


def start_demo(
    folder: Path, output: Path, *flags: str, until: str = "Both workers work"
) -> subprocess.Popen[bytes]:
    """Start the demo and come back when it says so: its workers work, unless said otherwise."""
    environ = {**os.environ, "TMPDIR": str(folder), "PYTHONPATH": HERE}
    with output.open("wb") as file:
        demo = subprocess.Popen(
            [sys.executable, "-c", DEMO, *flags],
            env=environ,
            stdout=file,
            stderr=subprocess.STDOUT,
        )
    # A character may be half written.
    wait_for(lambda: until in output.read_text(encoding="utf-8", errors="replace"), seconds=240)
    return demo


@pytest.mark.integration
def test_sent_and_counted_agree_and_nothing_is_left(tmp_path: Path) -> None:
    """`event-monitor demo` says that all agrees, and cleans up.

    With --keep it goes on until Ctrl-C, and what is sent meanwhile counts.
    """
    output = tmp_path.with_suffix(".out")
    demo = start_demo(tmp_path, output, "--keep", until="stay up until Ctrl-C")
    with pytest.raises(subprocess.TimeoutExpired):
        demo.wait(timeout=1)

    demo.send_signal(signal.SIGINT)

    assert demo.wait(timeout=60) == 0
    text = output.read_text(encoding="utf-8")
    assert "kill -9 west@demo" in text
    assert "WorkersLost: west@demo has died" in text
    assert "numbers agree: what happened is what CloudWatch holds" in text
    assert "✗" not in text
    assert "HTTP/1.1" not in text, "the log of the embedded CloudWatch spoils the screen"
    assert list(tmp_path.iterdir()) == []
    assert left_running(tmp_path) == []


@pytest.mark.integration
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_demo_leaves_nothing(tmp_path: Path, number: signal.Signals) -> None:
    """Ctrl-C in the middle ends workers and monitor and removes the folder."""
    output = tmp_path.with_suffix(".out")
    demo = start_demo(tmp_path, output)

    demo.send_signal(number)

    assert demo.wait(timeout=60) == 1
    assert "Interrupted; nothing is left running." in output.read_text(encoding="utf-8")
    wait_for(lambda: left_running(tmp_path) == [])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.integration
def test_a_killed_demo_takes_its_processes_along(tmp_path: Path) -> None:
    """Even after kill -9 of the demo itself, no worker stays behind."""
    output = tmp_path.with_suffix(".out")
    demo = start_demo(tmp_path, output)

    demo.kill()
    demo.wait()

    wait_for(lambda: left_running(tmp_path) == [])
