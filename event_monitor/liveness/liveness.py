"""Liveness: the file by which a running monitor shows that it lives. Imports nothing slow."""

from __future__ import annotations

import json
import logging
import os
import stat
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from .clock import SYSTEM_CLOCK, Clock

__all__ = ["Liveness", "SignOfLife", "read_note", "runtime_dir", "write_note"]

log = logging.getLogger(__name__)

_LONGEST_NOTE = 10_000  # bytes; one of ours has a hundred


@dataclass(frozen=True, slots=True)
class SignOfLife:
    """The last sign of life: how old it is, and how often there should be one."""

    age_seconds: float
    interval_seconds: float


class Liveness:
    """A sign of life, left with ``beat`` after every shot and read with ``last`` by any process.

    It is the file ``alive`` in ``state_dir``; without one, in a directory of this user's own
    in ``temporary_dir``, which is the system's unless given. There two monitors of one user on
    one machine share it, and the life of one hides the death of the other: give each a
    ``state_dir``. For one thread at a time.
    """

    def __init__(
        self, state_dir: str = "", *, temporary_dir: Path | None = None, clock: Clock = SYSTEM_CLOCK
    ) -> None:
        self.path = runtime_dir(state_dir, temporary_dir=temporary_dir) / "alive"
        self._temporary_dir = temporary_dir
        self._clock = clock
        self._failed = False

    def beat(self, *, interval_seconds: float) -> None:
        """Leave a sign of life. Never raises: what cannot be written is a WARNING, once."""
        note = {"at": self._clock.wall(), "interval_seconds": interval_seconds}
        try:
            write_note(self.path, note, temporary_dir=self._temporary_dir)
        except OSError as error:
            if not self._failed:
                log.warning("no sign of life for `healthcheck --monitor`: %s", error)
            self._failed = True
        else:
            self._failed = False

    def last(self, *, now: float) -> SignOfLife | None:
        """Return the last sign of life, as old as it is at ``now``, wall-clock seconds."""
        note = read_note(self.path)
        at, interval = note.get("at"), note.get("interval_seconds")
        if not isinstance(at, (int, float)) or not isinstance(interval, (int, float)):
            return None
        return SignOfLife(max(0.0, now - at), float(interval))


def runtime_dir(state_dir: str, *, temporary_dir: Path | None = None) -> Path:
    """Return where small notes from one process to the next are kept; it may not exist yet."""
    if state_dir:
        return Path(state_dir)
    return (temporary_dir or Path(tempfile.gettempdir())) / f"event-monitor-{os.getuid()}"


def write_note(
    path: Path, note: Mapping[str, object], *, temporary_dir: Path | None = None
) -> None:
    """Replace the note in one step; make its directory if need be. Raises ``OSError``.

    Every user may make directories among the temporary files, so one that another user has made
    in our name, or a link to somewhere else, is refused.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if path.parent.parent == (temporary_dir or Path(tempfile.gettempdir())):
        found = path.parent.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
            raise PermissionError(f"{path.parent} is not a directory of this user's own")
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        draft.write_text(json.dumps(note))
        draft.replace(path)
    except OSError:
        draft.unlink(missing_ok=True)
        raise


def read_note(path: Path) -> dict[str, object]:
    """Return the note; an empty one if there is none that can be read."""
    try:
        with path.open("rb") as file:
            note = json.loads(file.read(_LONGEST_NOTE))
    except (OSError, ValueError, RecursionError):
        return {}
    return note if isinstance(note, dict) else {}
