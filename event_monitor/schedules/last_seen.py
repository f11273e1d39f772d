"""Last seen: when each periodic task was seen last, kept in ``state_dir`` from run to run."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ..liveness import read_note, why_unbelieved, write_note

__all__ = ["LastSeen", "Seen"]

log = logging.getLogger(__name__)

_MOST_BYTES = 1_000_000  # some thousands of tasks


@dataclass(frozen=True, slots=True)
class Seen:
    """When a task was seen last, in wall-clock seconds, and whether its sender told of it."""

    at: float
    was_sent: bool = False


class LastSeen:
    """The file ``schedules`` in ``state_dir``; without one nothing is kept. Not thread-safe.

    Whoever uses it holds the lock of the directory. A disk that fails costs the memory of the next
    run, never a shot: it is logged once until it works again.
    """

    def __init__(self, state_dir: str = "") -> None:
        self._path = Path(state_dir, "schedules") if state_dir else None
        self._failed = False

    def load(self) -> dict[str, Seen]:
        """Return what was kept; a damaged file is logged, and nothing is known then."""
        if self._path is None:
            return {}
        try:
            self._path.lstat()
        except OSError:
            return {}
        try:
            return _decoded(read_note(self._path, most_bytes=_MOST_BYTES))
        except (KeyError, TypeError, ValueError, OverflowError):
            why = why_unbelieved(self._path) or "it is damaged"
            log.warning(
                "%s is not read, since %s: when periodic tasks were seen last is not known",
                self._path,
                why,
            )
            return {}

    def save(self, seen: Mapping[str, Seen]) -> None:
        """Replace what is kept."""
        if self._path is None:
            return
        note = {name: [found.at, found.was_sent] for name, found in seen.items()}
        try:
            write_note(self._path, {"seen": note})
        except OSError as error:
            if not self._failed:
                log.warning("when periodic tasks were seen last is not kept: %s", error)
            self._failed = True
        else:
            self._failed = False


def _decoded(note: Mapping[str, object]) -> dict[str, Seen]:
    kept = note["seen"]
    if not isinstance(kept, dict):
        raise TypeError
    seen = {}
    for name, (at, was_sent) in kept.items():
        if not math.isfinite(at) or not isinstance(was_sent, bool):
            raise ValueError
        seen[name] = Seen(float(at), was_sent)
    return seen
