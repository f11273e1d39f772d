"""Processes: the workers and the monitor, each a group of its own that never outlives the demo."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from .identity import Run

__all__ = ["Process", "ProcessState", "Processes"]

_LAST_LINES = 15  # of a log that is shown when something went wrong


class ProcessState(Enum):
    """The last thing the demo did to a process, or saw of it."""

    STARTING = "starting"
    READY = "ready"
    STOPPED = "stopped"
    KILLED = "killed"


@dataclass(slots=True)
class Process:
    """A `celery` command in its own process group, its output in a log file."""

    name: str
    ready_line: str  # what its log contains once it is ready
    log: Path
    popen: subprocess.Popen[bytes]
    state: ProcessState = ProcessState.STARTING

    @property
    def pid(self) -> int:
        """The id of the process, and of its group."""
        return self.popen.pid

    @property
    def log_text(self) -> str:
        """Its log so far."""
        return self.log.read_text(encoding="utf-8", errors="replace")

    @property
    def last_lines(self) -> str:
        """The end of its log, for when something went wrong."""
        return "\n".join(self.log_text.splitlines()[-_LAST_LINES:])

    @property
    def exit_code(self) -> int | None:
        """Its exit code, negative for a signal; None while it runs."""
        return self.popen.poll()

    def refresh(self) -> None:
        """Set ``state`` to ready once the log says so."""
        if self.state is ProcessState.STARTING and self.ready_line in self.log_text:
            self.state = ProcessState.READY

    def is_ready(self) -> bool:
        """Return whether it is up and running."""
        self.refresh()
        return self.state is ProcessState.READY

    def has_died(self) -> bool:
        """Return whether it ended though nobody asked it to."""
        running = self.state in (ProcessState.STARTING, ProcessState.READY)
        return running and self.has_ended()

    def terminate(self) -> None:
        """Send SIGTERM to the process, which stops its children, as an orchestrator would."""
        self.state = ProcessState.STOPPED
        self.popen.terminate()

    def has_ended(self) -> bool:
        """Return whether it is gone."""
        return self.exit_code is not None

    def kill(self) -> None:
        """Send SIGKILL to the whole group, at once."""
        self.state = ProcessState.KILLED
        self.kill_group()

    def kill_group(self) -> None:
        """Kill whatever is left of its group. Safe to call again."""
        with contextlib.suppress(ProcessLookupError):  # all of it is gone already
            os.killpg(self.pid, signal.SIGKILL)
        self.popen.wait()


class Processes:
    """The processes of one run. Leaving the ``with`` block kills what is left of them."""

    def __init__(
        self,
        run: Run,
        *,
        environ: Mapping[str, str],
        command: Sequence[str] = (sys.executable, "-m", "celery"),
    ) -> None:
        self._run = run
        self._command = command
        self._environ = dict(environ)
        self._started: list[Process] = []

    def __enter__(self) -> Processes:
        return self

    def __exit__(self, *exception: object) -> None:
        for process in self._started:
            process.kill_group()

    def __iter__(self) -> Iterator[Process]:
        return iter(self._started)

    def start(self, name: str, arguments: tuple[str, ...], *, ready_line: str) -> Process:
        """Start `celery` with these arguments and return at once."""
        log = self._run.folder / f"{name}.log"
        with log.open("wb") as output:
            popen = subprocess.Popen(  # noqa: S603  our own command, no shell
                [*self._command, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=self._run.folder,
                env=self._environ,
                start_new_session=True,
            )
        process = Process(name, ready_line, log, popen)
        self._started.append(process)
        return process
