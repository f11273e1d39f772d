"""Processes: real workers and real monitors, as a user starts them."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from .proj import QUEUES
from .servers import kill_group
from .waiting import wait_until

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
PROJECT = "tests.support.proj"
WAYS = ("celery-events", "run")
LISTENS = "receiving events from "

#: A process namespace, as a container has one: what it starts is pid 1, and dies with it.
_CONTAINER = ("unshare", "--pid", "--fork", "--mount-proc", "--kill-child")


def has_ended(pid: str) -> bool:
    """Return whether the process has ended; nobody may have waited for it yet."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return True
    return status.rpartition(")")[2].split()[0] == "Z"


def require_containers() -> None:
    """Skip the test where no process namespace can be made; fail it in CI."""
    command = shutil.which(_CONTAINER[0])
    if (
        command
        and subprocess.run([*_CONTAINER, "true"], check=False, capture_output=True).returncode == 0
    ):
        return
    sentence = "only root can start a process as pid 1, as containers do"
    if os.environ.get("CI", "").lower() == "true":
        pytest.fail(sentence)
    pytest.skip(sentence)


class Process:
    """One command in a process group of its own, and what it writes."""

    def __init__(
        self,
        command: list[str],
        environ: Mapping[str, str],
        log: Path,
        *,
        in_container: bool = False,
        stdout: int | None = None,
        stderr: int | None = None,
    ) -> None:
        self.command = command
        self._log = log
        self._in_container = in_container
        with log.open("ab") as output:
            self._popen = subprocess.Popen(
                [*(_CONTAINER if in_container else ()), str(BIN / command[0]), *command[1:]],
                cwd=ROOT,
                env=dict(environ),
                stdin=subprocess.DEVNULL,
                stdout=output if stdout is None else stdout,
                stderr=output if stderr is None else stderr,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """Return the id of the process, and of its group."""
        return self._popen.pid

    @property
    def output(self) -> str:
        """Return what it has written to stdout and stderr so far."""
        return self._log.read_text(errors="replace")

    @property
    def exit_code(self) -> int | None:
        """Return None while it runs; minus the signal's number when a signal killed it."""
        return self._popen.poll()

    def wait_for_output(self, text: str, deadline_seconds: float = 60, *, times: int = 1) -> None:
        """Wait until it has written ``text``, so many ``times``."""

        def written() -> bool:
            is_over = self.exit_code is not None  # before all that it wrote is read
            done = self.output.count(text) >= times
            if not done and is_over:
                raise AssertionError(f"{self.command} ended with {self.exit_code}:\n{self.output}")
            return done

        wait_until(written, deadline_seconds, f"{self.command[0]} writes {text!r}\n{self.output}")

    def send(self, number: int) -> None:
        """Send a signal to the process only, not to its children."""
        pid = self.pid
        if self._in_container:  # the one outside only waits for it
            pid = int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])
        os.kill(pid, number)

    def hold(self) -> None:
        """Let it stand still until SIGCONT; return when none of its threads does anything.

        A signal is only a request: a thread ends the system call that it is in, such as a commit.
        """
        self.send(signal.SIGSTOP)
        wait_until(self._stands_still, 60, f"{self.command} stands still")

    def _stands_still(self) -> bool:
        try:
            threads = [path.read_text() for path in Path(f"/proc/{self.pid}/task").glob("*/stat")]
        except OSError:  # one has just ended
            return False
        return all(thread.rpartition(")")[2].split()[0] == "T" for thread in threads)

    def wait(self, deadline_seconds: float = 60) -> int:
        """Wait for its end and return the exit code."""
        try:
            return self._popen.wait(timeout=deadline_seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.command} does not end:\n{self.output}") from None

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Ask it to end, and return the exit code."""
        self.send(number)
        return self.wait()

    def kill(self) -> None:
        """Kill -9, with all its children."""
        kill_group(self._popen)


class Processes:
    """The processes of one test; those still running at its end are killed."""

    def __init__(self, folder: Path, environ: Mapping[str, str]) -> None:
        self._folder = folder
        self._environ = dict(environ)
        self._started: list[Process] = []

    def worker(
        self,
        name: str,
        *,
        pool: str = "prefork",
        concurrency: int = 2,
        queues: Sequence[str] = QUEUES,
        events: bool = True,
        heartbeat_seconds: int | None = 2,
        in_container: bool = False,
        environ: Mapping[str, str] | None = None,
        wait: bool = True,
    ) -> Process:
        """Start a worker, such as ``w1@host1``; return when it takes tasks.

        Several start in the time of one with ``workers``, or where the caller does the waiting.
        """
        command = ["celery", "-A", PROJECT, "worker", "--hostname", name, "--pool", pool]
        command += ["--concurrency", str(concurrency), "--queues", ",".join(queues)]
        command += ["--loglevel", "INFO", "--without-mingle"]
        command += ["--task-events"] if events else []
        if heartbeat_seconds is None:
            command += ["--without-heartbeat"]
        else:
            command += ["--heartbeat-interval", str(heartbeat_seconds)]
        process = self.start(command, environ, in_container=in_container)
        if wait:
            process.wait_for_output(f"{name} ready.")
        return process

    def workers(
        self, *names: str, concurrency: int = 2, heartbeat_seconds: int = 2
    ) -> dict[str, Process]:
        """Start workers at the same time; return when all take tasks."""
        started = {
            name: self.worker(
                name, concurrency=concurrency, heartbeat_seconds=heartbeat_seconds, wait=False
            )
            for name in names
        }
        for name, process in started.items():
            process.wait_for_output(f"{name} ready.")
        return started

    def monitor(
        self, way: str, *, interval_seconds: int = 2, environ: Mapping[str, str] | None = None
    ) -> Process:
        """Start the monitor in one of the ``WAYS``; return when it receives events."""
        command = {
            "celery-events": [
                *("celery", "-A", PROJECT, "events"),
                *("-c", "event_monitor.CloudWatchCam", "-F", str(interval_seconds), "-l", "INFO"),
            ],
            "run": ["event-monitor", "run", "-A", PROJECT, "--interval", str(interval_seconds)],
        }[way]
        process = self.start(command, environ)
        process.wait_for_output(LISTENS)
        return process

    def start(
        self,
        command: list[str],
        environ: Mapping[str, str] | None = None,
        *,
        in_container: bool = False,
        stdout: int | None = None,
        stderr: int | None = None,
    ) -> Process:
        """Start any command of the virtual environment; it is ended with the test.

        ``output`` lacks what goes to descriptors given as ``stdout`` and ``stderr``.
        """
        log = self._folder / f"{len(self._started)}-{Path(command[0]).name}.log"
        merged = {**self._environ, **(environ or {})}
        process = Process(
            command, merged, log, in_container=in_container, stdout=stdout, stderr=stderr
        )
        self._started.append(process)
        return process

    def close(self) -> str:
        """Kill what still runs; return what all of them have written."""
        for process in self._started:
            process.kill()
        return "".join(f"\n--- {process.command}\n{process.output}" for process in self._started)
