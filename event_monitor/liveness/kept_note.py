"""Kept note: what a monitor remembers in ``state_dir`` from run to run."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path

from .notes import read_note, why_unbelieved, write_note

__all__ = ["KeptNote"]

log = logging.getLogger(__name__)

_MOST_BYTES = 1_000_000


class KeptNote:
    """The file ``name`` in ``state_dir``; without one nothing is kept. Not thread-safe.

    ``what`` it holds is said in the log. Whoever uses it holds the lock of the directory. A disk
    that fails costs the memory of the next run, never a shot: it is logged once until it works
    again.
    """

    def __init__(self, state_dir: str, name: str, *, key: str, what: str) -> None:
        self._path = Path(state_dir, name) if state_dir else None
        self._key = key
        self._what = what
        self._failed = False

    def load(self) -> dict[str, object]:
        """Return what was kept; a damaged file is logged, and nothing is known then."""
        if self._path is None:
            return {}
        try:
            self._path.lstat()
        except OSError:
            return {}
        kept = read_note(self._path, most_bytes=_MOST_BYTES).get(self._key)
        if isinstance(kept, dict):
            return kept
        self.tell_damaged()
        return {}

    def tell_damaged(self) -> None:
        """Say in the log that nothing is known, and why."""
        if self._path is not None:
            why = why_unbelieved(self._path) or "it is damaged"
            log.warning("%s is not read, since %s: %s is not known", self._path, why, self._what)

    def save(self, kept: Mapping[str, object]) -> None:
        """Replace what is kept."""
        if self._path is None:
            return
        try:
            write_note(self._path, {self._key: kept})
        except OSError as error:
            if not self._failed:
                log.warning("%s is not kept: %s", self._what, error)
            self._failed = True
        else:
            self._failed = False
