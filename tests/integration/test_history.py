"""The history, fed by real workers: what failed, where, and how often; also when all are dead."""

from __future__ import annotations

import inspect
import json
import subprocess
import time
from pathlib import Path

import pytest
from celery import Celery

from event_monitor.history import FILE_NAME, HOUR, Reader

from ..support import proj
from ..support.cloudwatch import CloudWatch
from ..support.processes import BIN, ROOT, Processes
from ..support.proj import RETRIES
from ..support.waiting import wait_until
from ..support.witness import Witness

PATIENCE = 60  # seconds

on_redis = pytest.mark.parametrize("broker", ["redis"], indirect=True)

#: Task → calls; exception class and function of its failures, which are as many.
FAILING = {
    "fail": (4, "ValueError", proj.fail),
    "fail_oddly": (2, "OddError", proj.fail_oddly),
    "exhaust": (2, "ValueError", proj.exhaust),
    "overrun": (1, "TimeLimitExceeded", None),
}
SUCCEEDING = {"succeed": 5, "retry_then_succeed": 3}
CALLED = 2  # tasks that `call` calls
COUNTS = ("sent", "received", "started", "succeeded", "failed", "retried", "revoked", "rejected")


def history(state_dir: Path, *arguments: str) -> dict[str, list[dict[str, object]]]:
    """Return what ``event-monitor history`` prints, in a process of its own."""
    done = subprocess.run(
        [BIN / "event-monitor", "history", *arguments, "--json", "--state-dir", state_dir],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    found: dict[str, list[dict[str, object]]] = json.loads(done.stdout)
    return found


def of_the_hour(state_dir: Path, *, queue: str | None = "") -> dict[str, int]:
    """Return what the hours of all tasks, or of each queue, add up to, without zeros."""
    with Reader.open(state_dir / FILE_NAME) as reader:
        points = reader.task_points(HOUR, queue=queue, since=0, until=time.time() + HOUR)
    added = {count: sum(getattr(point, count) for point in points) for count in COUNTS}
    return {count: number for count, number in added.items() if number}


def published(cloudwatch: CloudWatch) -> dict[str, float]:
    """Return the same as CloudWatch has it."""
    sums = {count: cloudwatch.sum(f"Tasks{count.title()}") for count in COUNTS}
    return {count: number for count, number in sums.items() if number}


def place_of(function: object) -> str:
    """Return where a function of the project raises: its only ``raise``."""
    lines, first = inspect.getsourcelines(function)  # type: ignore[arg-type]
    number = first + next(n for n, line in enumerate(lines) if line.strip().startswith("raise"))
    return f"{proj.__file__}:{number} in {function.__name__}"  # type: ignore[attr-defined]


@on_redis
def test_failures_are_those_of_the_script(
    processes: Processes,
    client: Celery,
    witness: Witness,
    cloudwatch: CloudWatch,
    tmp_path: Path,
) -> None:
    """By task, exception class and place; read after monitor and worker were killed."""
    # Given a monitor that keeps messages, tracebacks and arguments, too
    state_dir = tmp_path / "state"
    details = "message,traceback,args,result"
    monitor = processes.monitor(
        "run",
        environ={
            "EVENT_MONITOR_HISTORY": "true",
            "EVENT_MONITOR_HISTORY_DETAILS": details,
            "EVENT_MONITOR_HISTORY_REDACT": "pl(ann)ed",
            "EVENT_MONITOR_STATE_DIR": str(state_dir),
        },
    )
    worker = processes.worker("w1@host1", concurrency=4)

    # When
    for name, (times, _, _) in FAILING.items():
        for _ in range(times):
            client.tasks[f"proj.{name}"].delay()
    caller = client.tasks["proj.call"].delay().id
    slept = client.tasks["proj.sleep_for"].delay(0.01).id
    for name, times in SUCCEEDING.items():
        for _ in range(times):
            client.tasks[f"proj.{name}"].delay()
    wait_until(
        lambda: (
            len({event["uuid"] for event in witness.events(type="task-failed")}) >= 9
            and len(witness.events(type="task-succeeded")) >= 10 + CALLED
        ),
        PATIENCE,
        "all have ended",
    )
    wait_until(
        lambda: len(history(state_dir)["runs"]) >= 19 + CALLED + RETRIES * 5,
        PATIENCE,
        "they are kept",
    )
    wait_until(
        lambda: (
            cloudwatch.sum("TasksFailed") + cloudwatch.sum("TasksSucceeded") >= 19 + CALLED
            and of_the_hour(state_dir) == published(cloudwatch)
        ),
        PATIENCE,
        "the last shot is published, and kept",
    )
    monitor.kill()
    worker.kill()

    # Then
    failures = history(state_dir, "failures")["failures"]
    assert {(one["name"], one["exception"], one["place"]): one["count"] for one in failures} == {
        (f"proj.{name}", exception, place_of(function) if function else ""): times
        for name, (times, exception, function) in FAILING.items()
    }
    assert {one["message"] for one in failures if one["exception"] == "ValueError"} == {
        "ValueError('as pl**ed')"
    }
    kept = {str(one["state"]): (one["ended"], one["kept"]) for one in history(state_dir)["kept"]}
    assert kept == {"succeeded": (12, 12), "failed": (9, 9), "retried": (RETRIES * 5,) * 2}

    (run,) = history(state_dir, "show", slept)["runs"]
    assert (run["name"], run["state"], run["queue"]) == ("proj.sleep_for", "succeeded", "celery")
    assert run["details"] == {"args": "(0.01,)", "result": "None"}
    children = history(state_dir, "show", caller)["children"]
    assert [
        (child["name"], child["state"], child["root"], child["parent"]) for child in children
    ] == [("proj.succeed", "succeeded", caller, caller)] * CALLED
    exhausted = history(state_dir, "--task", "proj.exhaust", "--state", "failed")["runs"]
    runs = history(state_dir, "show", str(exhausted[0]["id"]))["runs"]
    assert [(one["state"], one["retries"]) for one in runs] == [
        ("retried", 1),
        ("retried", 2),
        ("failed", 2),
    ]
    assert "in exhaust" in str(runs[-1]["details"])

    assert of_the_hour(state_dir) == of_the_hour(state_dir, queue=None) == published(cloudwatch)
