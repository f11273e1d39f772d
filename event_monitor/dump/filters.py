"""Filters: which events are shown. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..events import FROM_WORKERS, WORKER_TYPES, Event, TaskEvent
from ..settings import Only, matches
from .known_tasks import KnownTask

__all__ = ["EventFilter"]

_HEARTBEAT = "worker-heartbeat"


@dataclass(frozen=True, slots=True, kw_only=True)
class EventFilter:
    """What an event has to be: one of each that is given. All but the ids are globs.

    Heartbeats are shown only if ``types`` has one that matches them. What is asked of tasks leaves
    out every other event, and so does a name or queue that is not known. ``only`` leaves out what
    does not belong to its service; the events of its workers stay.
    """

    types: tuple[str, ...] = ()  # such as task-failed, or only failed
    tasks: tuple[str, ...] = ()
    workers: tuple[str, ...] = ()
    queues: tuple[str, ...] = ()
    ids: tuple[str, ...] = ()
    only: Only = field(default_factory=Only)

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
        if not self._has(event, known):
            return False
        if not isinstance(event, TaskEvent):
            return not (self.tasks or self.queues or self.ids)
        return (
            (not self.ids or event.uuid in self.ids)
            and (not self.tasks or matches(known.name or "", self.tasks))
            and (not self.queues or matches(known.queue or "", self.queues))
        )

    def _has(self, event: Event, known: KnownTask) -> bool:
        only = self.only
        # Producers and events of an app's own come from no worker.
        has_node = event.type not in FROM_WORKERS | WORKER_TYPES or only.has_node(event.hostname)
        if not isinstance(event, TaskEvent):
            return has_node
        return has_node and only.has_task(known.name) and only.has_queue(known.queue)
