"""Processes: the workers and the monitor, each a group of its own that never outlives the demo."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from types import TracebackType

from .cloudwatch import NAMESPACE, REGION
from .run import Run

__all__ = ["Process", "ProcessState", "Processes", "environment", "stripped"]

#: Beginnings of the names of variables that could lead the demo elsewhere.
_STRIPPED = ("AWS_", "CELERY_", "DEMO_", "DJANGO_", "EVENT_MONITOR_", "KOMBU_", "PYTHONWARNINGS")
_WORKER_GRACE_SECONDS = 6  # of silence until a worker is lost; heartbeats come every 2 s
_LAST_LINES = 15  # of a log that is shown when something went wrong


def stripped(outer: Mapping[str, str]) -> dict[str, str]:
    """The user's environment without settings of AWS, Celery, Django or the monitor."""
    return {key: value for key, value in outer.items() if not key.startswith(_STRIPPED)}


def environment(outer: Mapping[str, str], *, run: Run, endpoint: str) -> dict[str, str]:
    """The environment of the demo's processes: the user's, without any way to a real AWS account.

    Keys, profiles, config files and endpoints of the user are out of reach, and every AWS service
    is the one on loopback; a proxy is not asked for it.
    """
    nothing = str(run.folder / "no-such-file")
    unproxied = ",".join(
        filter(None, (outer.get("NO_PROXY") or outer.get("no_proxy"), "127.0.0.1"))
    )
    here = str(Path(__file__).parents[2])
    return {
        **stripped(outer),
        **run.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, (here, outer.get("PYTHONPATH")))),
        "PYTHONUNBUFFERED": "1",
        "TMPDIR": str(run.folder),  # what a killed worker leaves there goes with the folder
        "NO_PROXY": unproxied,
        "no_proxy": unproxied,
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ENDPOINT_URL_CLOUDWATCH": endpoint,
        "AWS_ACCESS_KEY_ID": "demo",
        "AWS_SECRET_ACCESS_KEY": "demo",
        "AWS_DEFAULT_REGION": REGION,
        "AWS_REGION": REGION,
        "AWS_CONFIG_FILE": nothing,
        "AWS_SHARED_CREDENTIALS_FILE": nothing,
        "AWS_EC2_METADATA_DISABLED": "true",
        "EVENT_MONITOR_NAMESPACE": NAMESPACE,
        "EVENT_MONITOR_WORKER_GRACE_SECONDS": str(_WORKER_GRACE_SECONDS),
        "EVENT_MONITOR_WORKER_GRACE_BEATS": "2",
        "EVENT_MONITOR_BY_WORKER": "WorkersLost,TasksOrphaned",
    }


class ProcessState(Enum):
    """What became of a process, as the demo knows it."""

    STARTING = "starting"
    READY = "ready"
    STOPPED = "stopped"
    KILLED = "killed"


@dataclass(slots=True)
class Process:
    """A `celery` command in its own process group, its output in a log file."""

    name: str
    ready_line: str  # what its log says when it is up
    log: Path
    popen: subprocess.Popen[bytes]
    state: ProcessState = ProcessState.STARTING

    @property
    def pid(self) -> int:
        """Of the process, and of its group."""
        return self.popen.pid

    @property
    def text(self) -> str:
        """Its log so far."""
        return self.log.read_text(encoding="utf-8", errors="replace")

    @property
    def last_lines(self) -> str:
        """The end of its log, for when something went wrong."""
        return "\n".join(self.text.splitlines()[-_LAST_LINES:])

    def is_up(self) -> bool:
        """Whether it has said that it is ready."""
        if self.state is ProcessState.STARTING and self.ready_line in self.text:
            self.state = ProcessState.READY
        return self.state is ProcessState.READY

    def has_died(self) -> bool:
        """Whether it ended though nobody asked it to."""
        running = self.state in (ProcessState.STARTING, ProcessState.READY)
        return running and self.popen.poll() is not None

    def ask_to_stop(self) -> None:
        """Send SIGTERM, as an orchestrator would; to the process, which tells its children."""
        self.state = ProcessState.STOPPED
        self.popen.terminate()

    def has_ended(self) -> bool:
        """Whether it is gone."""
        return self.popen.poll() is not None

    def kill(self) -> None:
        """Send SIGKILL to the whole group, at once."""
        self.state = ProcessState.KILLED
        self.kill_group()

    def kill_group(self) -> None:
        """Make sure that nothing of it is left. Safe to call again."""
        with contextlib.suppress(ProcessLookupError):  # all of it is gone already
            os.killpg(self.pid, signal.SIGKILL)
        self.popen.wait()


class Processes:
    """Starts processes, and kills what is left of them at the end of the ``with`` block."""

    def __init__(self, run: Run, *, environ: Mapping[str, str]) -> None:
        self._run = run
        self._environ = dict(environ)
        self._started: list[Process] = []

    def __enter__(self) -> Processes:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for process in self._started:
            process.kill_group()

    def __iter__(self) -> Iterator[Process]:
        return iter(self._started)

    def start(self, name: str, arguments: tuple[str, ...], *, ready_line: str) -> Process:
        """Start `celery` with these arguments."""
        log = self._run.folder / f"{name}.log"
        with log.open("wb") as output:
            popen = subprocess.Popen(  # noqa: S603  our own command, no shell
                [sys.executable, "-m", "celery", *arguments],
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
