"""Celerys: what Celery's own State keeps beside ours, for code written after Celery's guide."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import copy
from threading import Lock
from typing import Any
from weakref import WeakSet

from celery.events.state import CallableDefaultdict
from celery.events.state import State as CeleryState
from kombu.utils.functional import LRUCache

from ..events import CustomEvent, Event

__all__ = ["CountingState", "copy_of", "keeper_of"]

# What is not checked when an event is decoded, and what Celery sends as a text.
_TEXTS = {"args", "kwargs", "result", "exception", "traceback", "expires", "exchange"} | {
    *("routing_key", "root_id", "parent_id", "sw_ident", "sw_ver", "sw_sys")
}
_LONGEST = 16_384  # characters of one: Celery cuts most at 1,024, a traceback has some thousand
_MOST_NAMES = 10_000  # as many as tasks are kept
_COUNTED_ONLY = {"type": "-"}  # Celery's State counts an event of this type and keeps nothing

# What Celery's State has and ours does not, though code may ask ours for it; all else follows.
_CELERYS = {"tasks", "workers", "tasks_by_type", "tasks_by_worker", "_taskheap", "_seen_types"}

#: Gives one valid event to Celery's State, whose lock the caller holds.
Keep = Callable[[Event, Mapping[str, Any], float], Any]


class CountingState(CeleryState):  # type: ignore[misc]  # Celery ships no types
    """Celery's State without tasks and workers; it says so, and what to do, where they are read."""

    def __init__(self) -> None:
        super().__init__()
        for name in _CELERYS:
            delattr(self, name)

    @property
    def task_count(self) -> int:  # Celery's has a 0 for the class
        """Raise an error that says what to do instead."""
        raise AttributeError

    def __getattr__(self, name: str) -> Any:
        """Say what to do instead where Celery's State would have tasks and workers."""
        if name in _CELERYS or name == "task_count":
            raise AttributeError(
                f"event_monitor's State has no `{name}`: it counts, and keeps no task that ended. "
                "Make the state with app.events.State() and hand it to the camera, whose "
                "on_shutter(self, state) gets what Celery keeps; or override on_snapshot."
            )
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")


def keeper_of(state: CeleryState) -> Keep:
    """Return what keeps events in this state as Celery does, within bounds.

    It takes the event, its fields as they came, and when that was, by our wall clock. Of the fields
    only those reach the state that Celery sends, as what Celery sends them: others would overwrite
    its methods. A sender whose clock is ahead is not alive for longer.
    """
    dispatch, seen_names = state._event, state._seen_types  # noqa: SLF001  not public

    def keep(event: Event, fields: Mapping[str, Any], received_at: float) -> Any:
        if len(seen_names) > _MOST_NAMES:
            for names in (seen_names, state.tasks_by_type, state.tasks_by_worker):
                names.clear()
        return dispatch(_fields_for(event, fields, received_at))

    return keep


def _fields_for(event: Event, fields: Mapping[str, Any], received_at: float) -> dict[str, Any]:
    if isinstance(event, CustomEvent):
        return dict(_COUNTED_ONLY)
    clock = fields.get("clock")
    return {
        **{
            name: getattr(event, name)
            for name in event.__struct_fields__
            if name in fields and name not in _TEXTS
        },
        **{
            name: text[:_LONGEST]
            for name in _TEXTS & fields.keys()
            if isinstance(text := fields[name], str)
        },
        "clock": clock if isinstance(clock, int) else 0,
        "timestamp": min(event.timestamp, received_at),
        "local_received": received_at,
    }


def copy_of(state: CeleryState, *, clear_after: bool) -> CeleryState:
    """Return a copy that does not change any more, so that who reads it holds up no event.

    ``clear_after`` lets Celery's State forget what it has counted and the tasks that ended, as in a
    camera of Celery's. Its lock is held for some microseconds per task; it keeps 10,000 at most.
    """
    twin: CeleryState = state.freeze_while(_copied, state, clear_after=clear_after)
    by_type = twin.tasks_by_type = CallableDefaultdict(twin._tasks_by_type, WeakSet)  # noqa: SLF001
    by_worker = twin.tasks_by_worker = CallableDefaultdict(
        twin._tasks_by_worker,  # noqa: SLF001
        WeakSet,
    )
    tasks, workers = twin.tasks.data, twin.workers.data
    no_children: WeakSet[Any] = WeakSet()
    for task in tasks.values():
        if task.worker is not None:
            task.worker = workers.get(task.worker.hostname, task.worker)
            by_worker[task.worker.hostname].add(task)
        if task.name is not None:
            by_type[task.name].add(task)
        found = [tasks[child.uuid] for child in task.children if child and child.uuid in tasks]
        task.children = WeakSet(found) if found else no_children
    twin.rebuild_taskheap()
    return twin


def _copied(state: CeleryState) -> CeleryState:
    twin: CeleryState = object.__new__(type(state))
    workers, tasks = LRUCache(state.workers.limit), LRUCache(state.tasks.limit)
    vars(twin).update(vars(state), workers=workers, tasks=tasks, _mutex=Lock(), _taskheap=[])
    twin._seen_types = set(state._seen_types)  # noqa: SLF001
    vars(twin).pop("_event", None)  # made anew if it is asked for
    for hostname, worker in state.workers.data.items():
        workers.data[hostname] = other = copy(worker)
        vars(other).update(vars(worker))
        other.heartbeats = list(worker.heartbeats)
    for uuid, task in state.tasks.data.items():
        tasks.data[uuid] = other = object.__new__(type(task))
        fields = vars(other)
        fields.update(vars(task))
        fields["cluster_state"] = twin
        fields["children"] = [child() for child in task.children.data] if task.children.data else ()
        fields.pop("parent", None)  # if it was looked up before
        fields.pop("root", None)
    return twin
