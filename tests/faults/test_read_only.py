"""Nothing can be written at all: a read-only root file system, no temporary files, not root."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from ..support.endpoint import Endpoint
from ..support.processes import BIN, LISTENS, PROJECT, Process, Processes
from ..support.spooled import successes_spooled
from ..support.synthetic import SyntheticWorker
from ..support.waiting import wait_until
from .conftest import Mount

pytestmark = pytest.mark.parametrize("broker", ["redis"], indirect=True)

SOON = 60  # seconds; only a broken monitor takes that long

_USER = 4_321  # has no name
#: Makes every mounted file system but one read-only for this process, then becomes a user without
#: rights, but for reading: the interpreter may be in a home directory.
_CONTAINER = """\
while read -r _ place _; do
    case "$place" in
        /proc*|/sys*|"$0") ;;
        *) mount -o remount,bind,ro "$place" 2>/dev/null || true ;;
    esac
done < /proc/mounts
for place in /tmp /var/tmp /dev/shm "$PWD"; do
    if touch "$place/event-monitor-x" 2>/dev/null; then exit 99; fi
done
exec setpriv --reuid 4321 --regid 4321 --clear-groups \
    --inh-caps=-all,+dac_read_search --ambient-caps=+dac_read_search "$@"
"""


_BECOME = "import os, sys; os.execvp(sys.argv[1], sys.argv[1:])"


def contained(command: Sequence[str], *, volume: Path | None = None) -> list[str]:
    """Return how to run a command of the virtual environment where only a volume can be written.

    ``volume`` is mounted; None is none at all.
    """
    inner = [str(BIN / command[0]), *command[1:]]
    kept = str(volume or "none")
    return ["python", "-c", _BECOME, "unshare", "--mount", "sh", "-euc", _CONTAINER, kept, *inner]


def require_read_only() -> None:
    """Skip the test where nobody may make file systems read-only; fail it in CI."""
    tools = all(shutil.which(tool) for tool in ("unshare", "setpriv"))
    if tools and os.geteuid() == 0:
        command = contained(["python", "--version"])
        command[0] = sys.executable
        done = subprocess.run(command, check=False, capture_output=True)
        if done.returncode == 0:
            return
    sentence = "only root can make everything read-only"
    if os.environ.get("CI", "").lower() == "true":
        pytest.fail(sentence)
    pytest.skip(sentence)


@pytest.mark.parametrize(
    "command",
    [
        ["event-monitor", "run", "-A", PROJECT],
        ["celery", "-A", PROJECT, "events", "-c", "event_monitor.CloudWatchCam", "-l", "INFO"],
    ],
    ids=["run", "celery-events"],
)
def test_it_runs_where_nothing_can_be_written(
    command: list[str], processes: Processes, worker: SyntheticWorker, cloudwatch: Endpoint
) -> None:
    """And so do its health check and ``status``, which find it without any file."""
    # Given
    require_read_only()
    monitor = processes.start(contained(command), {"EVENT_MONITOR_INTERVAL": "1"})
    monitor.wait_for_output(LISTENS)
    worker.run(20)
    wait_until(lambda: cloudwatch.sum("TasksSucceeded") == 20, SOON, "tasks are counted")

    def examined(*arguments: str) -> Process:
        process = processes.start(contained(["event-monitor", *arguments]))
        process.wait()
        return process

    # Then
    assert examined("healthcheck", "--monitor").exit_code == 0
    wait_until(
        lambda: "metrics were last accepted" in examined("healthcheck", "--monitor").output,
        SOON,
        "the next sign says that they were accepted",
    )
    status = examined("status", "-A", PROJECT, "--no-probe-workers")
    assert status.exit_code == 0
    assert "metrics were last accepted" in status.output
    assert "WARNING" not in monitor.output
    assert monitor.stop() == 0
    assert examined("healthcheck", "--monitor").exit_code == 1


def test_a_volume_for_its_state_is_all_it_needs(
    mount: Mount, processes: Processes, worker: SyntheticWorker, cloudwatch: Endpoint
) -> None:
    """There it keeps what is unsent, and its sign of life; nobody else may look in."""
    # Given
    require_read_only()
    volume = mount("size=2m")
    os.chown(volume, _USER, _USER)
    volume.chmod(0o755)
    environ = {"EVENT_MONITOR_INTERVAL": "1", "EVENT_MONITOR_STATE_DIR": str(volume)}
    cloudwatch.misbehave("throttle")
    run = contained(["event-monitor", "run", "-A", PROJECT], volume=volume)

    # When
    monitor = processes.start(run, environ)
    monitor.wait_for_output(LISTENS)
    worker.run(20)
    wait_until(lambda: successes_spooled(volume) == 20, SOON, "tasks are kept")
    check = processes.start(
        contained(["event-monitor", "healthcheck", "--monitor"], volume=volume), environ
    )

    # Then
    assert check.wait() == 0
    assert stat.S_IMODE(volume.stat().st_mode) == 0o700
    assert {path.name: stat.S_IMODE(path.stat().st_mode) for path in volume.glob("[!.]*")} == {
        "alive": 0o600,
        "spool.lock": 0o600,
        "spool.sqlite3": 0o600,
        "spool.sqlite3-note": 0o600,
        "spool.sqlite3-shm": 0o600,
        "spool.sqlite3-wal": 0o600,
    }
    monitor.kill()
    cloudwatch.behave()
    successor = processes.start(run, environ)
    wait_until(lambda: cloudwatch.sum("TasksSucceeded") == 20, SOON, "they are published")
    assert successor.stop() == 0


def test_a_worker_is_examined_where_nothing_can_be_written(processes: Processes) -> None:
    """Without a note from one look to the next a stall cannot be noticed, and that is said."""
    require_read_only()
    processes.worker("w1@host", pool="solo")

    check = processes.start(
        contained(["event-monitor", "healthcheck", "-A", PROJECT, "--worker", "w1@host"])
    )

    assert check.wait() == 0
    assert "healthy" in check.output
    assert "Traceback" not in check.output
