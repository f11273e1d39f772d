"""Last seen: when each periodic task was seen last, kept in ``state_dir`` from run to run."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from ..liveness import KeptNote

__all__ = ["LastSeen", "Seen"]


@dataclass(frozen=True, slots=True)
class Seen:
    """When a task was seen last, in wall-clock seconds, and whether its sender told of it."""

    at: float
    was_sent: bool = False


class LastSeen:
    """The file ``schedules`` in ``state_dir``; without one nothing is kept. See ``KeptNote``."""

    def __init__(self, state_dir: str = "") -> None:
        self._note = KeptNote(
            state_dir, "schedules", key="seen", what="when periodic tasks were seen last"
        )

    def load(self) -> dict[str, Seen]:
        """Return what was kept; a damaged file is logged, and nothing is known then."""
        try:
            return _decoded(self._note.load())
        except (TypeError, ValueError, OverflowError):
            self._note.tell_damaged()
            return {}

    def save(self, seen: Mapping[str, Seen]) -> None:
        """Replace what is kept."""
        self._note.save({name: [found.at, found.was_sent] for name, found in seen.items()})


def _decoded(kept: Mapping[str, object]) -> dict[str, Seen]:
    seen = {}
    for name, found in kept.items():
        if not isinstance(found, list):
            raise TypeError
        at, was_sent = found
        if not math.isfinite(at) or not isinstance(was_sent, bool):
            raise ValueError
        seen[name] = Seen(float(at), was_sent)
    return seen
