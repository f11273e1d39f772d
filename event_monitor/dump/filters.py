"""Filters: which events are shown. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from ..events import Event, TaskEvent
from ..settings import matches
from .known_tasks import KnownTask

__all__ = ["EventFilter"]

_HEARTBEAT = "worker-heartbeat"


@dataclass(frozen=True, slots=True, kw_only=True)
class EventFilter:
    """What an event has to be: one of each that is given. All but the ids are globs.

    Heartbeats are shown only if ``types`` has one that matches them. What is asked of tasks leaves
    out every other event, and so does a name or queue that is not known.
    """

    types: tuple[str, ...] = ()  # such as task-failed, or only failed
    tasks: tuple[str, ...] = ()
    workers: tuple[str, ...] = ()
    queues: tuple[str, ...] = ()
    ids: tuple[str, ...] = ()

    def wants(self, event: Event, known: KnownTask) -> bool:
        """Return whether the event is to be shown; ``known`` belongs to its task."""
        if self.types:
            short = event.type.partition("-")[2]
            if not (matches(event.type, self.types) or matches(short, self.types)):
                return False
        elif event.type == _HEARTBEAT:
            return False
        if self.workers and not matches(event.hostname, self.workers):
            return False
        if not isinstance(event, TaskEvent):
            return not (self.tasks or self.queues or self.ids)
        return (
            (not self.ids or event.uuid in self.ids)
            and (not self.tasks or matches(known.name or "", self.tasks))
            and (not self.queues or matches(known.queue or "", self.queues))
        )
