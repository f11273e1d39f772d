"""``event-monitor events`` with real workers."""

from __future__ import annotations

import json
import signal

import pytest
from celery import Celery

from ..support.commands import wait_until_they_listen
from ..support.processes import PROJECT, Processes


@pytest.mark.parametrize("broker", ["redis"], indirect=True)
def test_events_are_shown_with_the_names_of_their_tasks(
    processes: Processes, client: Celery, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Also of a task that began before, by a worker that is asked; filters and details."""
    # Given a task that runs already, and one that keeps others waiting
    processes.worker("w1@events", concurrency=2)
    wait_until_they_listen(client, "w1@events")
    gates = tmp_path_factory.mktemp("gates")
    held = client.send_task("proj.hold", [str(gates / "held")])
    client.send_task("proj.hold_late", [str(gates / "others")])
    command = ["event-monitor", "events", "-A", PROJECT]
    everything = processes.start(command)
    failures = processes.start([*command, "--failed", "--json", "--details", "--limit", "2"])
    other = processes.start(
        [*command, "--task", "proj.hold", "--type", "succeeded", "--limit", "1", "--details"]
    )
    for process in (everything, failures, other):
        process.wait_for_output("receiving events from")

    # When two fail, once it is told that they were sent: else one may be over before
    failed = [client.send_task(name) for name in ("proj.fail", "proj.fail_oddly")]
    for name, task in zip(("proj.fail", "proj.fail_oddly"), failed, strict=True):
        everything.wait_for_output(f"{'task-sent':<14} {name}[{task.id}] by ")
    (gates / "others").touch()
    everything.wait_for_output(f"task-failed    proj.fail[{failed[0].id}] on w1@events: ValueError")
    assert failures.wait() == 0
    (gates / "held").touch()
    assert other.wait() == 0
    everything.send(signal.SIGINT)

    # Then
    assert everything.wait() == 0
    assert f" task-succeeded proj.hold[{held.id}] on w1@events: in " in other.output
    assert "\n    result: None\n" in other.output
    assert " events shown in " in everything.output.splitlines()[-1]
    documents = [json.loads(line) for line in failures.output.splitlines() if line[:1] == "{"]
    assert [(one["task"], one["exception_type"], one["queue"]) for one in documents] == [
        ("proj.fail", "ValueError", "celery"),
        ("proj.fail_oddly", "OddError", "celery"),
    ]
    assert documents[0]["exception"] == "ValueError('as planned')"
