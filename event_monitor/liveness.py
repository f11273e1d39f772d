"""Pulse: the file by which a running monitor shows that it lives. Imports nothing slow."""

from __future__ import annotations

import json
import logging
import os
import stat
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["Beat", "Pulse", "read_note", "runtime_dir", "write_note"]

log = logging.getLogger(__name__)

_LONGEST_NOTE = 10_000  # bytes; one of ours has a hundred


@dataclass(frozen=True, slots=True)
class Beat:
    """The last sign of life: how old it is, and how often there should be one."""

    age_seconds: float
    interval_seconds: float


class Pulse:
    """``beat`` it after every shot; another process sees by ``last`` how long ago that was.

    It is the file ``alive`` in ``state_dir``; without one, in a directory of this user's own
    among the temporary files. There two monitors of one user on one machine share it, and the
    life of one hides the death of the other: give each a ``state_dir``.
    """

    def __init__(self, state_dir: str = "") -> None:
        self.path = runtime_dir(state_dir) / "alive"
        self._failed = False

    def beat(self, *, interval_seconds: float) -> None:
        """Leave a sign of life. Never raises: what cannot be written is a WARNING, once."""
        try:
            write_note(self.path, {"at": time.time(), "interval_seconds": interval_seconds})
        except OSError as error:
            if not self._failed:
                log.warning("no sign of life for `healthcheck --monitor`: %s", error)
            self._failed = True
        else:
            self._failed = False

    def last(self, *, now: float) -> Beat | None:
        """The last sign of life as seen at ``now``, wall-clock seconds; None if there is none."""
        note = read_note(self.path)
        at, interval = note.get("at"), note.get("interval_seconds")
        if not isinstance(at, (int, float)) or not isinstance(interval, (int, float)):
            return None
        return Beat(max(0.0, now - at), float(interval))


def runtime_dir(state_dir: str) -> Path:
    """Where small notes from one process to the next are kept; it need not exist yet."""
    if state_dir:
        return Path(state_dir)
    return Path(tempfile.gettempdir()) / f"event-monitor-{os.getuid()}"


def write_note(path: Path, note: dict[str, Any]) -> None:
    """Replace the note in one step; makes its directory. Raises ``OSError``.

    Everybody may make directories among the temporary files, so one that another user made for
    us, or a link to elsewhere, is refused.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if path.parent.parent == Path(tempfile.gettempdir()):
        made = path.parent.lstat()
        if not stat.S_ISDIR(made.st_mode) or made.st_uid != os.getuid():
            raise PermissionError(f"{path.parent} is not a directory of this user's own")
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        draft.write_text(json.dumps(note))
        draft.replace(path)
    except OSError:
        draft.unlink(missing_ok=True)
        raise


def read_note(path: Path) -> dict[str, Any]:
    """The note; an empty one if there is none that can be read."""
    try:
        with path.open("rb") as file:
            note = json.loads(file.read(_LONGEST_NOTE))
    except (OSError, ValueError, RecursionError):
        return {}
    return note if isinstance(note, dict) else {}
