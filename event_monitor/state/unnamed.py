"""Unnamed: events of tasks that began before we listened, kept until the workers have named them.

Their names are asked for when we begin to listen, and the answers take a second or two. Events that
come before them wait here, in their order. Pure and not thread-safe.
"""

from __future__ import annotations

from ..events import TaskEvent, without_body

__all__ = ["UnnamedEvents"]

_MOST = 10_000  # beyond it nothing waits


class UnnamedEvents:
    """Task events that wait, each with the time when it arrived, by our monotonic clock."""

    def __init__(self) -> None:
        self.until: float | None = None  # they wait no longer; None: nothing waits now
        self._events: list[tuple[TaskEvent, float]] = []
        self._uuids: set[str] = set()

    @property
    def is_full(self) -> bool:
        """Return whether there is no room for one more."""
        return len(self._events) >= _MOST

    def __contains__(self, uuid: object) -> bool:
        return uuid in self._uuids

    def __len__(self) -> int:
        return len(self._events)

    def keep(self, event: TaskEvent, now: float) -> None:
        """Let the event wait."""
        self._events.append((without_body(event), now))
        self._uuids.add(event.uuid)

    def take(self) -> list[tuple[TaskEvent, float]]:
        """Return the events, in their order, and wait no longer."""
        events, self._events = self._events, []
        self._uuids.clear()
        self.until = None
        return events
