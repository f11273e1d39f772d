"""Short ways to make events, as workers would send them."""

from __future__ import annotations

from typing import Any

from event_monitor import events as ev

W1 = "celery@one"
W2 = "celery@two"


def task(
    what: str, uuid: str = "u1", *, at: float = 1_000.0, on: str = W1, **fields: Any
) -> ev.TaskEvent:
    """Return a task event; ``task("started", "u1")``."""
    if what in ("sent", "received"):
        fields.setdefault("name", "proj.add")
    type_: Any = f"task-{what}"
    fields = {"hostname": on, "timestamp": at, "uuid": uuid, "pid": 7, **fields}
    return ev.TaskEvent(type=type_, **fields)


def beat(on: str = W1, *, processed: int | None = 0, pid: int = 7, **fields: Any) -> ev.WorkerEvent:
    """Return a heartbeat with the fields a worker's own ones have."""
    if processed is not None:
        fields = {"freq": 2.0, "active": 0, "loadavg": (0.5, 0.4, 0.3), **fields}
    at = fields.pop("at", 1_000.0)
    fields = {"pid": pid, "processed": processed, **fields}
    return ev.WorkerEvent(type="worker-heartbeat", hostname=on, timestamp=at, **fields)


def online(on: str = W1, *, pid: int = 7, processed: int = 0) -> ev.WorkerEvent:
    """Return a worker-online event."""
    fields: Any = {"pid": pid, "processed": processed, "freq": 2.0, "active": 0}
    return ev.WorkerEvent(type="worker-online", hostname=on, timestamp=1_000.0, **fields)


def offline(on: str = W1, *, pid: int = 7) -> ev.WorkerEvent:
    """Return a worker-offline event."""
    return ev.WorkerEvent(type="worker-offline", hostname=on, timestamp=1_000.0, pid=pid)
