"""Short ways to make events, as workers would send them."""

from __future__ import annotations

from typing import Any

from event_monitor import events as ev

W1 = "celery@one"
W2 = "celery@two"

_CLASSES = {
    kind.__struct_config__.tag: kind
    for kind in (
        ev.TaskSent,
        ev.TaskReceived,
        ev.TaskStarted,
        ev.TaskSucceeded,
        ev.TaskFailed,
        ev.TaskRetried,
        ev.TaskRevoked,
        ev.TaskRejected,
        ev.TaskCancelled,
    )
}


def task(what: str, uuid: str = "u1", *, at: float = 1_000.0, on: str = W1, **fields: Any) -> Any:
    """A task event; ``task("started", "u1")``."""
    if what in ("sent", "received"):
        fields.setdefault("name", "proj.add")
    return _CLASSES[f"task-{what}"](
        hostname=on, timestamp=at, uuid=uuid, pid=fields.pop("pid", 7), **fields
    )


def beat(on: str = W1, *, processed: int | None = 0, pid: int = 7, **fields: Any) -> Any:
    """A heartbeat with the fields a worker's own ones have."""
    if processed is not None:
        fields = {"freq": 2.0, "active": 0, "loadavg": (0.5, 0.4, 0.3), **fields}
    at = fields.pop("at", 1_000.0)
    return ev.WorkerHeartbeat(hostname=on, timestamp=at, pid=pid, processed=processed, **fields)


def online(on: str = W1, *, pid: int = 7, processed: int = 0) -> Any:
    """A worker-online event."""
    return ev.WorkerOnline(
        hostname=on, timestamp=1_000.0, pid=pid, processed=processed, freq=2.0, active=0
    )


def offline(on: str = W1, *, pid: int = 7) -> Any:
    """A worker-offline event."""
    return ev.WorkerOffline(hostname=on, timestamp=1_000.0, pid=pid)
