"""Running over SQS: what is known of workers that nobody can ask, and what is done to know it."""

from __future__ import annotations

import io
import json
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import boto3
import pytest
from moto.core import DEFAULT_ACCOUNT_ID
from moto.sqs.models import sqs_backends

from event_monitor.provision.options import ProvisionOptions
from event_monitor.provision.render.api import api_calls
from event_monitor.provision.stack import build_stack
from event_monitor.settings import Settings

from ..support.cloudwatch import REGION, CloudWatch
from ..support.processes import ROOT, Process, Processes
from ..support.waiting import wait_until

APP = """\
import os
from celery import Celery
from event_monitor import send_events_over_sqs

app = Celery("shop", broker=os.environ["BROKER_URL"])
app.conf.broker_transport_options = {
    "region": "us-east-1", "is_secure": False, "polling_interval": 0.1, "wait_time_seconds": 1
}
send_events_over_sqs(app, "shop-events", flush_seconds=0.5, beat_seconds=1)


@app.task(name="shop.add")
def add():
    return 2
"""
# Of the pools that need no pycurl on SQS.
WORKER = ("celery", "-A", "shop", "worker", "-E", "-P", "gevent", "-c", "2", "-n", "w1@host")

pytestmark = pytest.mark.parametrize("broker", ["redis"], indirect=True)  # for the fixtures only

Type = Callable[..., Process]


class Requests:
    """Counts the requests to moto by action and queue."""

    def __init__(self, application: Any) -> None:
        self._application = application
        self.counts: Counter[tuple[str, str]] = Counter()

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        target = environ.get("HTTP_X_AMZ_TARGET", "")
        if target.startswith("AmazonSQS."):
            body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            request = json.loads(body or b"{}")
            name = request.get("QueueName") or request.get("QueueUrl", "").rpartition("/")[2]
            self.counts[target.rpartition(".")[2], name] += 1
            environ["wsgi.input"] = io.BytesIO(body)
        return self._application(environ, start_response)

    def of(self, action: str) -> set[str]:
        """Return the queues for which that was asked."""
        return {name for found, name in tuple(self.counts) if found == action}


@pytest.fixture
def requests(cloudwatch: CloudWatch) -> Iterator[Requests]:
    server = cloudwatch._server._server
    before = server.app
    server.app = Requests(before)
    yield server.app
    server.app = before


@pytest.fixture
def type_command(processes: Processes, cloudwatch: CloudWatch, tmp_path: Path) -> Type:
    """Return a function that types a command of the app beside its workers."""
    (tmp_path / "shop.py").write_text(APP)
    (tmp_path / "tmp").mkdir()
    environ = {
        **cloudwatch.environ,
        "PYTHONPATH": f"{tmp_path}:{ROOT}",
        "TMPDIR": str(tmp_path / "tmp"),
        "BROKER_URL": cloudwatch.url.replace("http://", "sqs://testing:testing@"),
    }
    return lambda *command: processes.start([*command], environ)


def test_workers_that_nobody_can_ask_are_known(
    cloudwatch: CloudWatch, requests: Requests, type_command: Type
) -> None:
    """By their heartbeats; no command creates a queue, and only the monitor takes events away."""
    ours = ("event-monitor",)
    client = boto3.client(
        "sqs",
        endpoint_url=cloudwatch.url,
        region_name=REGION,
        aws_access_key_id="testing",
        aws_secret_access_key="testing",
    )

    # Given the queues as provision writes them, and a worker that sends heartbeats
    stack = build_stack(("sqs",), Settings(), ProvisionOptions(event_queue="shop-events"))
    for call in cast("list[dict[str, Any]]", api_calls(stack)["create_queue"]):
        client.create_queue(**call)
    type_command(*WORKER)
    wait_until(lambda: requests.counts["SendMessage", "shop-events"] > 1, 60, "it beats")

    # When it is asked how the worker is
    looks = {
        "health": type_command(*ours, "healthcheck", "-A", "shop", "--worker", "w1@host"),
        "status": type_command(*ours, "status", "-A", "shop"),
    }
    codes = {name: process.wait(60) for name, process in looks.items()}

    # Then the event queue is not even looked at
    assert codes == {"health": 0, "status": 3}
    assert looks["health"].output == "healthy\n"
    assert {action for action, name in tuple(requests.counts) if name == "shop-events"} == {
        "CreateQueue",
        "GetQueueUrl",
        "SendMessage",
    }

    # When it is checked while no monitor reads
    check = type_command(*ours, "check", "-A", "shop", "--sink", "console", "--listen", "1")

    # Then nothing is taken away
    assert check.wait(60) == 0, check.output
    assert "1 send events: w1@host" in check.output
    events = sqs_backends[DEFAULT_ACCOUNT_ID][REGION].queues["shop-events"]
    assert events.approximate_number_of_messages_not_visible == 0

    # When a monitor reads them
    type_command(*ours, "run", "-A", "shop", "--interval", "2")
    wait_until(lambda: cloudwatch.last("PoolProcesses") == 2, 60, "the pool is known")

    # Then
    wait_until(lambda: cloudwatch.last("QueueConsumers") == 1, 60, "who reads the queue is known")
    assert cloudwatch.last("WorkersStalled") == 0
    assert cloudwatch.last("TasksReserved") == 0
    assert (cloudwatch.last("WorkerMemory") or 0) > 10e6
    assert cloudwatch.sum("ProbeFailures") == 0
    status = type_command(*ours, "status", "-A", "shop")
    assert status.wait(60) == 0, status.output
    assert "1 worker answers" in status.output
    assert not any("pidbox" in name for _, name in tuple(requests.counts))
    assert requests.of("CreateQueue") <= {"shop-events", "shop-events-lease.fifo", "celery"}
