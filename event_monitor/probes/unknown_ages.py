"""Unknown ages: says once per queue why the age of its oldest message is not published."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from ..survey import QueueDepth
from ..text import printable

__all__ = ["UnknownAges"]

log = logging.getLogger(__name__)

_LASTING = 2  # answers in a row: for a moment the age of a busy queue is unknown often
_MOST_NAMED = 5  # in one line


class UnknownAges:
    """Logs the queues in which messages wait of unknown age, each once. Not thread-safe."""

    def __init__(self) -> None:
        self._unknown: dict[str, int] = {}  # queue → answers in a row
        self._logged: set[str] = set()

    def note(self, depths: Iterable[QueueDepth], *, hint: str) -> None:
        """Note an answer of the broker; ``hint`` says why and what to do, and nothing if empty."""
        depths = tuple(depths)
        unknown = {
            depth.name: self._unknown.get(depth.name, 0) + 1
            for depth in depths
            if depth.ready and depth.oldest_seconds is None
        }
        self._unknown = unknown
        self._logged.intersection_update(depth.name for depth in depths)
        new = [name for name, n in unknown.items() if n >= _LASTING and name not in self._logged]
        if not new or not hint:
            return
        self._logged.update(new)
        names = ", ".join(printable(name) for name in new[:_MOST_NAMED])
        more = f" and {len(new) - _MOST_NAMED} more" if len(new) > _MOST_NAMED else ""
        log.warning(
            "OldestMessageAge is unknown for queue %s%s: %s",
            names,
            more,
            hint,
            extra={"queue": new},
        )
