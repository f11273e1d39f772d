"""Check, against real brokers and real workers with and without -E."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from celery import Celery
from celery.events.event import get_exchange
from kombu import Queue

from ..support.cloudwatch import CloudWatch
from ..support.processes import PROJECT, Process, Processes
from ..support.servers import RabbitServer, Server

CHECK = ["event-monitor", "check", "-A", PROJECT, "--format", "json"]


def findings(process: Process) -> dict[str, list[tuple[str, str]]]:
    """Name → (status, message) of each finding of a check that has ended."""
    report = json.loads(process.output)
    by_name: dict[str, list[tuple[str, str]]] = {}
    for finding in report["findings"]:
        by_name.setdefault(finding["name"], []).append((finding["status"], finding["message"]))
    return by_name


def test_check_proves_the_whole_way(processes: Processes, cloudwatch: CloudWatch) -> None:
    """Broker, events, an idle worker, and CloudWatch; the one datum is the only trace."""
    # Given
    processes.worker("w1@check", concurrency=1)

    # When
    check = processes.start(CHECK)
    code = check.wait()

    # Then
    found = findings(check)
    assert code == 0, check.output
    for name in ("transport", "broker", "event format", "events", "heartbeats", "permission"):
        assert [status for status, _ in found[name]] == ["ok"], (name, found[name])
    assert found["workers"] == [("ok", "1 answer: w1@check")]
    assert [status for status, _ in found["task events"]] == ["warning"]  # idle: nobody knows
    assert cloudwatch.names() == {"MonitorCheck"}


def test_check_finds_the_worker_without_task_events(processes: Processes, client: Celery) -> None:
    """It runs tasks and sends no event of them; the other one does; check knows which."""
    # Given: two workers at work, one of them started without -E
    processes.worker("with@check", concurrency=1)
    processes.worker("without@check", concurrency=1, events=False)
    for _ in range(60):
        client.send_task("proj.sleep_for", [0.2])

    # When
    check = processes.start([*CHECK, "--sink", "console"])
    code = check.wait()

    # Then
    ok, failed = findings(check)["task events"]
    assert code == 1, check.output
    assert ok == ("ok", "sent by with@check")
    assert failed[0] == "failed"
    assert failed[1].startswith("NOT SENT by without@check: without@check ran ")


def test_check_turns_task_events_on_when_asked_to(processes: Processes) -> None:
    """The worker's answer says whether it sent them before."""
    # Given
    processes.worker("with@check", concurrency=1)
    processes.worker("without@check", concurrency=1, events=False)
    command = [*CHECK, "--sink", "console", "--enable-events", "--listen", "0"]

    # When
    first = processes.start(command)
    first.wait()
    second = processes.start(command)
    second.wait()

    # Then
    assert findings(first)["task events"] == [
        ("ok", "turned on just now, until a restart, in without@check"),
        ("ok", "on already in with@check"),
    ]
    assert findings(second)["task events"] == [
        ("ok", "on already in with@check, without@check"),
    ]


def test_celerys_own_command_line_has_the_same_commands(processes: Processes) -> None:
    """``celery -A proj event-monitor check`` takes the app from Celery."""
    command = ["celery", "-A", PROJECT, "event-monitor", "check", "--sink", "console"]

    check = processes.start([*command, "--listen", "0", "--format", "json"])

    assert check.wait() == 0, check.output
    assert [status for status, _ in findings(check)["events"]] == ["ok"]


@pytest.mark.parametrize("broker", ["rabbitmq"], indirect=True)
def test_check_finds_event_queues_that_nobody_reads(
    server: Callable[[str], Server], processes: Processes, client: Celery
) -> None:
    """Left behind by another monitor, one collects every event."""
    # Given
    with client.connection_for_write() as connection:
        queue = Queue("celeryev.left-behind", get_exchange(connection), routing_key="#")
        queue(connection.channel()).declare()
    rabbitmq = server("rabbitmq")
    assert isinstance(rabbitmq, RabbitServer)
    url = f"http://guest:guest@127.0.0.1:{rabbitmq.http_port}"

    # When
    check = processes.start([*CHECK, "--sink", "console", "--management-url", url])
    check.wait()

    # Then
    ((status, message),) = findings(check)["event queues"]
    assert status == "warning"
    assert message.startswith("1 without a reader")
    assert message.endswith("celeryev.left-behind")
