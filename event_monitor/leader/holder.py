"""Holder: the process that holds a lease, told apart from all others, and whether it still runs."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from uuid import uuid4

import msgspec

__all__ = ["Holder"]

_BOOT = Path("/proc/sys/kernel/random/boot_id")
_START_TIME = 19  # of the fields of /proc/PID/stat after the name: proc(5), field 22


class Holder(msgspec.Struct, frozen=True, kw_only=True):
    """One monitor of one process. What cannot be known is empty, and proves nothing.

    ``started``: in ticks since the boot: a process id is used again.
    """

    id: str
    host: str
    boot: str = ""
    pids: str = ""  # its namespace of process ids: each container has its own
    pid: int = 0
    started: str = ""

    @classmethod
    def here(cls) -> Holder:
        """Return a new one, of this process."""
        pid = os.getpid()
        return cls(
            id=uuid4().hex,
            host=socket.gethostname(),
            boot=_text(_BOOT),
            pids=_namespace(),
            pid=pid,
            started=_started(pid),
        )

    def encode(self) -> str:
        """Return the text that stands for it on a broker."""
        return msgspec.json.encode(self).decode()

    @classmethod
    def decode(cls, text: object) -> Holder | None:
        """Return what was encoded; None for anything else."""
        try:
            return msgspec.json.decode(text, type=cls) if isinstance(text, str | bytes) else None
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return None

    def has_ended(self) -> bool:
        """Return whether it ran on this machine, where its id could be seen, and does no more."""
        is_here = bool(self.boot and self.pids and self.started) and (
            (self.host, self.boot, self.pids) == (socket.gethostname(), _text(_BOOT), _namespace())
        )
        return is_here and _started(self.pid) != self.started

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host[:100]}"


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""


def _namespace() -> str:
    try:
        return os.readlink("/proc/self/ns/pid")  # noqa: PTH115  it is no path: pid:[4026531836]
    except OSError:
        return ""


def _started(pid: int) -> str:
    """Return when a process began; empty if there is none, or none but its exit code."""
    fields = _text(Path(f"/proc/{pid}/stat")).rpartition(")")[2].split()
    if len(fields) <= _START_TIME or fields[0] in ("Z", "X"):
        return ""
    return fields[_START_TIME]
