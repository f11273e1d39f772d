"""EMF: a real monitor on a real Redis writes its metrics as lines, whatever their reader does."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from celery import Celery

from ..support.mix import BY_TASK, TOTALS, apply_mix
from ..support.processes import BIN, LISTENS, PROJECT, ROOT, Processes
from ..support.servers import kill_group
from ..support.waiting import wait_until
from ..support.witness import Witness

pytestmark = pytest.mark.parametrize("broker", ["redis"], indirect=True)

PIPE_BYTES = 4_096  # the least that Linux allows: full after a few windows
COMMAND = ["event-monitor", "run", "-A", PROJECT, "--interval", "1"]


class Monitor:
    """``event-monitor run`` with a pipe as its standard output, and a reader that can pause."""

    def __init__(self, environ: Mapping[str, str], log: Path) -> None:
        self._log = log
        with log.open("wb") as errors:
            self._popen = subprocess.Popen(
                [str(BIN / COMMAND[0]), *COMMAND[1:]],
                cwd=ROOT,
                env={**environ, "EVENT_MONITOR_SINK": "emf"},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                start_new_session=True,
            )
        assert self._popen.stdout is not None
        fcntl.fcntl(self._popen.stdout, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        self._read: list[bytes] = []
        self._may_read = threading.Event()
        self._may_read.set()
        self._reader = threading.Thread(target=self._copy, daemon=True)
        self._reader.start()

    def _copy(self) -> None:
        assert self._popen.stdout is not None
        while self._may_read.wait() and (chunk := os.read(self._popen.stdout.fileno(), 4_096)):
            self._read.append(chunk)

    def stall(self) -> None:
        """Let the reader read no more, after the read it is in."""
        self._may_read.clear()

    def resume(self) -> None:
        """Let it read again."""
        self._may_read.set()

    @property
    def log(self) -> str:
        """What it wrote to stderr."""
        return self._log.read_text(errors="replace")

    def wait_for_log(self, text: str, deadline_seconds: float = 60) -> None:
        """Wait until it has logged that."""
        wait_until(lambda: text in self.log, deadline_seconds, f"{text!r} in\n{self.log}")

    @property
    def text(self) -> str:
        """All that was read so far."""
        return b"".join(self._read).decode()

    def stop(self) -> int:
        """End it with SIGTERM; returns the exit code when everything it wrote was read."""
        self._popen.terminate()
        code = self._popen.wait(timeout=60)
        self._reader.join(timeout=60)
        return code

    def kill(self) -> None:
        """End it, if it still runs."""
        self.resume()
        kill_group(self._popen)
        if self._popen.stdout is not None:
            self._reader.join(timeout=60)
            self._popen.stdout.close()


@pytest.fixture
def monitor(environ: dict[str, str], tmp_path: Path) -> Iterator[Monitor]:
    """A monitor that receives events."""
    monitor = Monitor(environ, tmp_path / "monitor.log")
    try:
        monitor.wait_for_log(LISTENS)
        yield monitor
    finally:
        monitor.kill()
        sys.stdout.write(monitor.log)


def sums(text: str) -> Counter[tuple[str, str]]:
    """(metric, task name or "") → sum over all lines, each of which must be JSON."""
    assert text.endswith("\n")
    found: Counter[tuple[str, str]] = Counter()
    for line in text.splitlines():
        document: dict[str, Any] = json.loads(line)
        (directive,) = document["_aws"]["CloudWatchMetrics"]
        (dimensions,) = directive["Dimensions"]
        assert directive["Namespace"] == "Celery"
        for metric in directive["Metrics"]:
            value = document[metric["Name"]]
            task = document["TaskName"] if dimensions == ["TaskName"] else ""
            if dimensions in ([], ["TaskName"]) and not isinstance(value, dict):
                found[metric["Name"], task] += value
            elif dimensions == [] and isinstance(value, dict):
                found[metric["Name"], "count"] += sum(value["Counts"])
    return found


def test_every_line_is_json_and_every_sum_is_exact(
    monitor: Monitor, processes: Processes, client: Celery, witness: Witness
) -> None:
    """Totals and sums per task equal what was done; logs go to stderr and never between."""
    # Given
    for name in ("w1@host1", "w2@host1"):
        processes.worker(name)

    # When
    apply_mix(client, witness, interval_seconds=1)
    code = monitor.stop()

    # Then
    found = sums(monitor.text)
    assert code == 0
    assert {metric: found[metric, ""] for metric in TOTALS} == TOTALS
    assert {
        metric: {task: found[metric, task] for task in tasks} for metric, tasks in BY_TASK.items()
    } == BY_TASK
    assert found["TaskRuntime", "count"] == TOTALS["TasksSucceeded"]
    assert "receiving events from " in monitor.log


def test_a_reader_that_stalls_loses_and_doubles_nothing(
    monitor: Monitor, processes: Processes, client: Celery, witness: Witness
) -> None:
    """Its pipe is full for many windows; what waits in the spool arrives once it reads again."""
    # Given a worker, and a reader that has stopped reading
    processes.worker("w1@host1")
    monitor.stall()

    # When tasks run until the pipe is full, and the monitor has given up a send
    done = 0
    deadline = time.monotonic() + 90
    while "publishing failed" not in monitor.log and time.monotonic() < deadline:
        results = [client.send_task("proj.succeed") for _ in range(5)]
        for result in results:
            witness.wait_for(60, uuid=result.id, type="task-succeeded")
        done += len(results)
    monitor.wait_for_log("publishing failed", 1)
    before = monitor.text
    monitor.resume()
    wait_until(
        lambda: len(monitor.text) > len(before) + 4 * PIPE_BYTES, 60, "the reader catches up"
    )
    witness.wait_for_beats("w1@host1")
    code = monitor.stop()

    # Then
    found = sums(monitor.text)
    assert code == 0
    assert "its reader did not take everything in time" in monitor.log
    for metric in ("TasksSent", "TasksReceived", "TasksStarted", "TasksSucceeded"):
        assert found[metric, ""] == done
    assert found["TasksSucceeded", "proj.succeed"] == done
    assert found["TaskRuntime", "count"] == done
