"""SQS: Celery has no remote control there, so nobody is asked and no queue is made for replies."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import boto3
import pytest
from moto.core import DEFAULT_ACCOUNT_ID
from moto.sqs.models import sqs_backends

from ..support.cloudwatch import REGION, CloudWatch
from ..support.processes import ROOT, Process, Processes

APP = """\
import os
from celery import Celery

app = Celery("shop", broker=os.environ["BROKER_URL"])
app.conf.broker_transport_options = {"region": "us-east-1", "is_secure": False}
app.conf.imports = ("event_monitor.beat",)
"""
NOBODY = "sqs has no remote control of workers"
GAUGES = """\
from shop import app

app.loader.import_default_modules()
app.tasks["event_monitor.beat.publish_gauges"].apply(throw=True)
"""

pytestmark = pytest.mark.parametrize("broker", ["redis"], indirect=True)  # for the fixtures only


class Listener:
    """Counts who connects, and answers nobody."""

    def __init__(self) -> None:
        self.connections = 0
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Listen no more."""
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._socket.accept()
            except OSError:
                return
            self.connections += 1
            client.close()


@pytest.fixture
def listener() -> Iterator[Listener]:
    listener = Listener()
    yield listener
    listener.close()


Type = Callable[..., Process]


@pytest.fixture
def type_command(processes: Processes, tmp_path: Path) -> Type:
    """Return a function that types a command of an app whose broker is at that port."""

    def start(*command: str, port: int) -> Process:
        (tmp_path / "shop.py").write_text(APP)
        broker = f"sqs://testing:testing@127.0.0.1:{port}"
        environ = {"PYTHONPATH": f"{tmp_path}:{ROOT}", "BROKER_URL": broker}
        return processes.start([*command], environ)

    return start


def test_what_only_workers_could_tell_is_asked_of_nobody(
    listener: Listener, type_command: Type
) -> None:
    """Not one connection is made; each says why, and a worker's container is not restarted."""
    # When
    ours = ("event-monitor",)
    commands = {
        "health": (*ours, "healthcheck", "-A", "shop", "--worker", "w1@host"),
        "strict": (*ours, "healthcheck", "-A", "shop", "--worker", "w1@host", "--strict"),
        "status": (*ours, "status", "-A", "shop", "--no-probe-queues"),
        "check": (*ours, "check", "-A", "shop", "--enable-events", "--sink", "console"),
        "run": (*ours, "run", "-A", "shop", "--dry-run", "--enable-events"),
        "events": ("celery", "-A", "shop", "events", "-c", "event_monitor.CloudWatchCam"),
    }
    typed = {name: type_command(*command, port=listener.port) for name, command in commands.items()}

    # Then
    codes = {name: process.wait(60) for name, process in typed.items()}
    assert codes == {"health": 0, "strict": 3, "status": 3, "check": 1, "run": 3, "events": 3}
    for name in ("health", "strict"):
        assert typed[name].output == (
            f"nothing is known of w1@host: {NOBODY}, and only with send_events_over_sqs(app) in "
            "the app would it leave its heartbeats here.\n"
        )
    assert f"nothing is known of the workers: {NOBODY}" in typed["status"].output
    assert "sqs carries no Celery events" in typed["check"].output
    for name in ("run", "events"):
        assert "Celery sends no events over the sqs transport" in typed[name].output
    assert listener.connections == 0


def test_where_queues_are_asked_none_is_made(cloudwatch: CloudWatch, type_command: Type) -> None:
    """By ``status`` and by the beat task, which publishes what it knows."""
    # Given a queue of the app's with a message in it
    client = boto3.client(
        "sqs",
        endpoint_url=cloudwatch.url,
        region_name=REGION,
        aws_access_key_id="testing",
        aws_secret_access_key="testing",
    )
    queue = client.create_queue(QueueName="celery")["QueueUrl"]
    client.send_message(QueueUrl=queue, MessageBody="{}")
    port = urlsplit(cloudwatch.url).port or 0
    queues = sqs_backends[DEFAULT_ACCOUNT_ID][REGION].queues
    before = list(queues)  # those of other tests, too

    # When
    status = type_command("event-monitor", "status", "-A", "shop", "--queues", "typo", port=port)
    beat = type_command("python", "-c", GAUGES, port=port)

    # Then
    assert (status.wait(60), beat.wait(60)) == (3, 0), beat.output
    assert NOBODY in status.output
    assert cloudwatch.last("QueueLength") == 1
    assert cloudwatch.last("ProbeFailures") == 0
    assert "PoolProcesses" not in cloudwatch.names()
    assert list(queues) == before
    client.delete_queue(QueueUrl=queue)
    client.close()
