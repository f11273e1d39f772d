"""Subject: the process under measurement, alone on its core, read through /proc."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from ..support.servers import kill_group

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent

_TICKS = os.sysconf("SC_CLK_TCK")
_POLL_SECONDS = 0.05
_QUIET_POLLS = 8  # in a row in which it did next to nothing: then it has read everything


def cores() -> tuple[int, frozenset[int]]:
    """Return the subject's core, and those of all others (the same where there is only one)."""
    every = sorted(os.sched_getaffinity(0))
    return every[-1], frozenset(every[:-1] or every)


SUBJECT_CORE, OTHER_CORES = cores()


class Subject:
    """One command, pinned to the subject's core; its output is in ``log``.

    ``checkout`` is the working tree whose packages it imports.
    """

    def __init__(
        self,
        command: list[str],
        environ: Mapping[str, str],
        log: Path,
        *,
        checkout: Path = ROOT,
    ) -> None:
        self.started_at = time.monotonic()
        self.log = log
        with log.open("wb") as output:
            self._popen = subprocess.Popen(
                [str(BIN / command[0]), *command[1:]],
                cwd=checkout,
                env=dict(environ),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                preexec_fn=lambda: os.sched_setaffinity(0, {SUBJECT_CORE}),
            )
        self._proc = Path(f"/proc/{self._popen.pid}")

    @property
    def runs(self) -> bool:
        """Return whether it has not ended."""
        return self._popen.poll() is None

    def cpu_seconds(self) -> float:
        """Return the CPU time of all its threads so far, user and system."""
        return self._stat()[1]

    def memory_mb(self, field: str = "VmHWM") -> float:
        """Return its peak resident memory, or with ``VmRSS`` the present one; 0 after its end."""
        try:
            for line in (self._proc / "status").read_text().splitlines():
                if line.startswith(f"{field}:"):
                    return int(line.split()[1]) / 1_000
        except OSError:
            pass
        return 0.0

    def wait_until_quiet(self, deadline_seconds: float) -> float:
        """Wait until it waits for events; return since when, on the monotonic clock."""
        deadline = time.monotonic() + deadline_seconds
        state, used = self._stat()
        quiet, since = 0, time.monotonic()
        while quiet < _QUIET_POLLS and self.runs:
            time.sleep(_POLL_SECONDS)
            (state, now_used), now = self._stat(), time.monotonic()
            busy = state == "R" or now_used - used > 1.5 / _TICKS
            quiet, since = (0, now) if busy else (quiet + 1, since)
            used = now_used
            if now > deadline:
                return now
        return since

    def pause(self) -> None:
        """Hold it, so that messages gather."""
        os.kill(self._popen.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        os.kill(self._popen.pid, signal.SIGCONT)

    def stop(self, deadline_seconds: float = 30.0) -> None:
        """Ask it to end, and kill it if it does not."""
        if self.runs:
            self._popen.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._popen.wait(timeout=deadline_seconds)
        kill_group(self._popen)

    def _stat(self) -> tuple[str, float]:
        """Return its state, and its CPU time in seconds."""
        try:
            fields = (self._proc / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            return "Z", 0.0
        return fields[0], (int(fields[11]) + int(fields[12])) / _TICKS
