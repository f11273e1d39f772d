"""Fields: what is sent of an event: what the monitor counts by, and nothing a task was given. Pure.

No arguments, results, tracebacks or texts of exceptions: an exception is cut to its class at once,
so that they are not even kept.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import msgspec

from ..events import TASK_TYPES, WORKER_TYPES, event_from_mapping, without_body
from .wire import ascii_json

__all__ = ["TASK_FIELDS", "WORKER_FIELDS", "Fields", "encoded", "is_task", "strip"]

Fields: TypeAlias = dict[str, Any]  # of one event, as Celery makes it

#: In the order in which they are decoded fastest; see ``events.TaskEvent``.
TASK_FIELDS = (
    *("hostname", "pid", "uuid", "name", "retries", "runtime", "eta", "queue", "exception"),
    *("terminated", "expired", "requeue", "root_id", "parent_id", "sent_at", "timestamp", "type"),
)
WORKER_FIELDS = (
    *("hostname", "pid", "freq", "active", "processed", "loadavg", "sw_ver", "facts"),
    *("is_last", "timestamp", "type"),
)
_CUSTOM_FIELDS = ("type",)

_SENT = {**dict.fromkeys(TASK_TYPES, TASK_FIELDS), **dict.fromkeys(WORKER_TYPES, WORKER_FIELDS)}


def strip(event: Fields) -> None:
    """Take from an event what may be large or private; it is to be sent later, or never.

    In place, since a worker's loop waits: a few dictionary operations. Raises ``InvalidEvent`` for
    a failure that the monitor would refuse.
    """
    if event["type"] not in _SENT:
        type_ = event["type"]
        event.clear()
        event["type"] = type_
        return
    event.pop("args", None)
    event.pop("kwargs", None)
    event.pop("result", None)
    if "exception" in event:
        # Of a traceback only the class is read, and only where the exception does not say it.
        cut = without_body(event_from_mapping(event))  # type: ignore[arg-type]  # no worker has one
        event["exception"] = msgspec.json.decode(cut.exception)
        event.pop("traceback", None)


def is_task(event: Fields) -> bool:
    """Return whether it is an event of a task; these are sent in lists."""
    return event["type"] in TASK_TYPES


def encoded(event: Fields) -> bytes:
    """Return an event as one line. Raises ``TypeError`` and the like for what JSON cannot say."""
    names = _SENT.get(event["type"], _CUSTOM_FIELDS)
    sent = {name: event[name] for name in names if event.get(name) is not None}
    if sent.get("root_id") == sent.get("uuid"):
        sent.pop("root_id", None)
    return ascii_json(sent)
